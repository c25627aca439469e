"""Each worked example runs as a script, in an empty folder, without a warning, and draws a picture."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
# As Python runs a script; then figures must be there, since nothing has closed them.
RUN = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
import matplotlib.pyplot as plt
print(len(plt.get_fignums()), "figures")
"""


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_runs_as_a_script_and_draws_a_picture(example: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, str(example)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert int(ended.stdout.splitlines()[-1].split()[0]) >= 1
    assert not list(tmp_path.iterdir())  # what it writes goes to a folder of its own


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_says_what_it_is_and_is_shown_in_cells(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    title, line = text.splitlines()[1:3]
    assert set(line) == {"="}
    assert len(line) >= len(title)
    assert text.count("\n# %%\n") >= 3
    assert "plt.show()" in text
