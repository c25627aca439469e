"""Faults said to change nothing that matters are of code that is there, each with a reason."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_faults_that_do_not_count_are_of_code_that_is_there_and_have_a_reason() -> None:
    lines = (ROOT / "tests" / "mutants" / "equivalent.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert len(set(lines)) == len(lines)
    for line in lines:
        module, code, fault, *reason = line.split(" | ")
        source = (ROOT / module).read_text(encoding="utf-8")
        assert code.count("<<") == code.count(">>") == 1, line
        assert code.replace("<<", "").replace(">>", "") in map(str.strip, source.splitlines()), line
        assert " → " in fault, line
        assert len(" ".join(reason).split()) >= 4, line
