"""Do tests notice? Random small faults in kernels, one at a time, and the tests of their rooms.

Each fault changes one operator, comparison, constant, condition or keyword argument of one function in a copy of the
code. A fault is killed where a test fails or takes far longer than without it, and survives where all pass. Faults that
change nothing that matters are named, with the reason, in tests/mutants/equivalent.txt, and do not count.

Run: python benchmarks/mutants.py [MODULE.py …] [--count 8] [--seed 0] [-o mutants.jsonl]; by default of all kernels.
What is in the file already is not tried again; with --survivors only what survived is, in code that is still there.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EQUIVALENT = ROOT / "tests" / "mutants" / "equivalent.txt"
PACKAGES = ("probekit", "analyses", "tests", "benchmarks", "docs")
ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARED: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
NAMES = {"min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin", "any": "all", "all": "any", "sum": "mean"}
BUILTINS = {name: NAMES[name] for name in ("min", "max", "any", "all")} | {"sum": "max"}
NAMES |= {"amin": "amax", "amax": "amin", "minimum": "maximum", "maximum": "minimum", "mean": "sum", "std": "var"}


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The faults that one node can have, in words, with the node as it then is."""

    def changed(**fields: Any) -> ast.AST:
        other = copy.copy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        return other

    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield "operator", changed(op=ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        yield "comparison", changed(ops=[COMPARED[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        yield "and, or", changed(op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield "sign", node.operand
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "flag", changed(value=not node.value)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "number", changed(value=node.value + 1 if isinstance(node.value, int) else node.value * 2 + 0.1)
    elif isinstance(node, ast.IfExp | ast.If):
        yield "condition", changed(test=ast.UnaryOp(op=ast.Not(), operand=node.test))
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield "name", changed(attr=NAMES[node.attr])
    elif isinstance(node, ast.Name) and node.id in BUILTINS and isinstance(node.ctx, ast.Load):
        yield "name", changed(id=BUILTINS[node.id])
    elif isinstance(node, ast.Call) and len(node.keywords) > 0 and node.keywords[-1].arg is not None:
        yield "keyword left out", changed(keywords=node.keywords[:-1])


class Faulty:
    """Puts a fault at the n-th place that can have one; docstrings and annotations have none."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.seen, self.said = wanted, 0, ""
        self.node: ast.AST = ast.Pass(lineno=1, col_offset=0)

    def visit(self, node: ast.AST) -> ast.AST:
        """This node with the fault, if it is here or below."""
        for said, other in changes(node):
            if self.seen == self.wanted:
                before = ast.unparse(node).splitlines()[0]
                self.said = f"{said}: {before} → {ast.unparse(other).splitlines()[0]}"
                self.node = node
                self.seen += 1
                return other
            self.seen += 1
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            if isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
            elif isinstance(value, list):
                value[:] = [self.visit(one) if isinstance(one, ast.AST) else one for one in value]
        return node


def places(source: str) -> int:
    """How many faults a module can have."""
    counting = Faulty(-1)
    counting.visit(ast.parse(source))
    return counting.seen


def faulty(source: str, place: int) -> tuple[str, dict[str, Any]]:
    """The module with a fault, and what the fault is: its line, that line with <<the place>> marked, and words."""
    tree, fault = ast.parse(source), Faulty(place)
    fault.visit(tree)
    line, start = getattr(fault.node, "lineno", 1), getattr(fault.node, "col_offset", 0)
    text = source.splitlines()[line - 1].encode()
    end = getattr(fault.node, "end_col_offset", None) if getattr(fault.node, "end_lineno", 0) == line else None
    # Columns are of bytes.
    code = b"".join([text[:start], b"<<", text[start:end], b">>", b"" if end is None else text[end:]]).decode()
    return ast.unparse(ast.fix_missing_locations(tree)), {"line": line, "code": code.strip(), "fault": fault.said}


def tests_of(module: Path) -> list[str]:
    """The tests of a module's room, and those that break it on purpose."""
    room = module.parent.relative_to(ROOT)
    found = [ROOT / "tests" / room, ROOT / "tests" / "mutants" / f"test_{room.name}.py"]
    return [str(path.relative_to(ROOT)) for path in found if path.exists()]


def run(tree: Path, tests: Sequence[str], seconds: float) -> tuple[str, float]:
    """Whether all tests pass in a copy of the project, and how long it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *tests]
    settings = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "all", "MPLBACKEND": "Agg"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=os.environ | settings, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return "killed: too slow", time.monotonic() - began
    return "survived" if done.returncode == 0 else "killed", time.monotonic() - began


def main() -> None:
    """Try faults, and print the share that tests notice by module."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("modules", nargs="*", type=Path)
    options.add_argument("--count", type=int, default=8, help="faults tried in each module")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--survivors", action="store_true", help="try again what survived, and nothing else")
    options.add_argument("-o", "--out", type=Path, default=Path("mutants.jsonl"))
    given = options.parse_args()
    modules = [path.resolve() for path in given.modules] or sorted(ROOT.glob("analyses/*/kernels*.py"))
    out = given.out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    # The last word on each.
    known = list({named(one): one for one in map(json.loads, lines)}.values())
    # Seconds that tests take without a fault.
    usual: dict[tuple[str, ...], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in PACKAGES:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "Makefile"):
            shutil.copy(ROOT / name, tree / name)
        for module in modules:
            name, source = str(module.relative_to(ROOT)), module.read_text(encoding="utf-8")
            every = {place: faulty(source, place) for place in range(places(source))}
            if given.survivors:
                alive = {named(one) for one in known if one["module"] == name and one["outcome"] == "survived"}
                todo = [place for place, (_, said) in every.items() if named({"module": name, **said}) in alive]
            else:
                chosen = random.Random(f"{given.seed} {name}").sample(sorted(every), min(given.count, len(every)))
                tried = {named(one) for one in known}
                todo = [place for place in chosen if named({"module": name, **every[place][1]}) not in tried]
            if not todo:
                continue
            tests = tuple(tests_of(module))
            if tests not in usual:
                passed, usual[tests] = run(tree, tests, 3600)
                if passed != "survived":
                    sys.exit(f"{name}: its tests fail without a fault")
            for place in todo:
                text, said = every[place]
                (tree / name).write_text(text, encoding="utf-8")
                outcome, seconds = run(tree, tests, 60 + 3 * usual[tests])
                (tree / name).write_text(source, encoding="utf-8")
                record = {"module": name, **said, "outcome": outcome}
                known = [*(one for one in known if named(one) != named(record)), record]
                with out.open("a", encoding="utf-8") as log:
                    log.write(json.dumps(record, ensure_ascii=False) + "\n")
                print(f"{name}:{said['line']}: {said['fault']}: {outcome} ({seconds:.0f} s)", flush=True)
    print(table(known, equivalent()))


def named(fault: dict[str, Any]) -> tuple[str, str, str]:
    """What a fault is known by wherever its line is: module, code, and the fault in words."""
    return fault["module"], fault["code"], fault["fault"]


def equivalent() -> set[tuple[str, ...]]:
    """Faults that change nothing that matters, as `named` gives them."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return {tuple(line.split(" | ")[:3]) for line in lines if line and not line.startswith("#")}


def table(known: list[dict[str, Any]], without: set[tuple[str, ...]]) -> str:
    """Killed faults of those that matter, by module, and the survivors."""
    matter = [one for one in known if named(one) not in without]
    lines = ["| module | killed | of |", "| --- | --- | --- |"]
    for name in [*dict.fromkeys(one["module"] for one in matter), ""]:
        own = [one for one in matter if name in ("", one["module"])]
        killed = sum(one["outcome"] != "survived" for one in own)
        lines.append(f"| {name or 'all'} | {killed} | {len(own)} |")
    alive = [f"{one['module']}:{one['line']}: {one['fault']}" for one in matter if one["outcome"] == "survived"]
    return "\n".join([*lines, "", *alive])


if __name__ == "__main__":
    main()
