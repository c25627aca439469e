"""The project's shape: imports go down only, modules stay small, importing is quick and silent."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the bottom up; a module imports from its own layer or below.
LAYERS = [
    {
        "probekit.ahead",
        "probekit.checks",
        "probekit.errors",
        "probekit.folders",
        "probekit.labels",
        "probekit.memory",
        "probekit.modes",
        "probekit.weights",
    },
    {
        "probekit.denoiser",
        "probekit.parametrisation",
        "probekit.inputs",
        "probekit.images",
        "probekit.noise",
        "probekit.samples",
        "probekit.models",
        "probekit.references",
        "probekit.evaluation",
        "probekit.train",
        "probekit.synthetic",
    },
    {"probekit.tap", "probekit.sites"},
    {"probekit.representation", "probekit.averages", "probekit.jobs", "probekit.store"},
    {"probekit"},
    {"analyses"},
    {"probekit.__main__", "probekit.cli", "probekit.demo", "analyses.report"},
]
MODULES = sorted(p for package in ("probekit", "analyses") for p in (ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> int:
    name = module
    while name:
        for height, names in enumerate(LAYERS):
            if name in names:
                return height
        name = name.rpartition(".")[0]
    raise AssertionError(f"{module} belongs to no layer: add it to LAYERS")


def imported(path: Path) -> set[str]:
    known = {dotted(p) for p in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in known else node.module for a in node.names
            }
    return {name for name in found if name.split(".")[0] in ("probekit", "analyses")}


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_imports_only_from_its_own_layer_or_below(path: Path) -> None:
    height = layer(dotted(path))
    above = {name for name in imported(path) if layer(name) > height}
    assert not above, f"{dotted(path)} imports upwards: {sorted(above)}"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_has_at_most_500_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


IMPORT_COST = """
import time, torch, xarray, sys
# Processor time: a busy machine is no slower by it.
began = time.process_time()
import probekit
print(time.process_time() - began)
heavy = sorted({"sklearn", "matplotlib", "captum", "skimage", "zarr", "typer", "analyses"} & set(sys.modules))
assert not heavy, heavy
"""


def test_importing_costs_under_0_3_s_beyond_torch_and_xarray_and_prints_nothing() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", IMPORT_COST], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    assert all(run.stderr == "" and run.stdout.count("\n") == 1 for run in runs)
    assert min(float(run.stdout) for run in runs) < 0.3
