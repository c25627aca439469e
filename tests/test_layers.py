"""The project's shape: imports go down only, rooms are entered by their door, modules are small."""

import ast
from pathlib import Path

import pytest

from analyses.report.shell import ANALYSES, COMMANDS

ROOT = Path(__file__).parents[1]
# From the bottom up; a module imports from its own floor or below.
FLOORS = [
    {
        "probekit.errors",
        "probekit.checks",
        "probekit.naming",
        "probekit.labels",
        "probekit.channels",
        "probekit.networks",
        "probekit.forms",
        "probekit.machine",
    },
    {
        "probekit.noise",
        "probekit.images",
        "probekit.distribute",
        "probekit.denoising",
        "probekit.models",
        "probekit.evaluation",
        "probekit.train",
        "probekit.synthetic",
    },
    {"probekit.capture"},
    {"probekit.phi", "probekit.drawing"},
    {"probekit.accessor", "probekit.registering"},
    {"probekit"},
    {"probekit.cli"},
    {"analyses", "analyses.beating"},
    {"analyses.running"},
    {"analyses.ground", "analyses.program"},
    {
        "analyses.sparsity",
        "analyses.selectivity",
        "analyses.subspaces",
        "analyses.semantics",
        "analyses.clusters",
        "analyses.probe",
        "analyses.densities",
        "analyses.descriptors",
        "analyses.attribution",
        "analyses.sampling",
    },
    {
        "analyses.variants",
        "analyses.concepts",
        "analyses.generalisation",
        "analyses.controls",
        "analyses.factors",
        "analyses.training",
        "analyses.cues",
        "analyses.noise_level",
        "analyses.textures",
    },
    {"analyses.explore"},
    {"analyses.claims"},
    {"analyses.report"},
    {"probekit.__main__"},
]
# Rooms of one floor do not know one another, but for these two, whose numbers others are made of.
KNOWN_TO_ALL = {"analyses.sparsity", "analyses.selectivity"}
# `probekit.explore` is asked for where all begins, and is made of what analyses find: it is handed on, and loaded only
# when it is asked for.
HANDED_ON = {"probekit": {"analyses.explore"}}
MODULES = sorted(p for package in ("probekit", "analyses") for p in (ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path) for path in MODULES}


def floor(module: str) -> int:
    name = module
    while name:
        for height, names in enumerate(FLOORS):
            if name in names:
                return height
        name = name.rpartition(".")[0]
    raise AssertionError(f"{module} belongs to no floor: add it to FLOORS")


def room(module: str) -> str:
    """The room of `analyses` that a module is in."""
    return ".".join(module.split(".")[:2])


def imported(path: Path) -> set[str]:
    """Modules of the project that a module imports, anywhere in it, by name or by a string."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            whole = [f"{node.module}.{a.name}" for a in node.names]
            found |= {name if name in NAMES else str(node.module) for name in whole}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            # As import_module and tables of lazily loaded commands name them.
            found |= {node.value.partition(":")[0]} & NAMES
    handed_on = HANDED_ON.get(dotted(path), set())
    return {name for name in found if name.split(".")[0] in ("probekit", "analyses")} - handed_on


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_imports_only_from_its_own_floor_or_below(path: Path) -> None:
    height = floor(dotted(path))
    above = {name for name in imported(path) if floor(name) > height}
    assert not above, f"{dotted(path)} imports upwards: {sorted(above)}"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if dotted(p).startswith("probekit.") and p.stem != "__main__"], ids=dotted
)
def test_probekit_knows_nothing_of_the_analyses(path: Path) -> None:
    assert not {name for name in imported(path) if name.startswith("analyses")}


ROOMS = [p for p in MODULES if dotted(p).startswith("analyses.")]


@pytest.mark.parametrize("path", ROOMS, ids=dotted)
def test_a_room_is_entered_by_its_door_only(path: Path) -> None:
    own = room(dotted(path))
    behind = {n for n in imported(path) if n.startswith("analyses.") and room(n) != own and n != room(n)}
    # The whole command line names each room's command, and loads it only when it is called.
    behind = {n for n in behind if not (own == "analyses.report" and n.endswith(".shell"))}
    assert not behind, f"{dotted(path)} looks behind the doors of other rooms: {sorted(behind)}"


@pytest.mark.parametrize("path", ROOMS, ids=dotted)
def test_rooms_of_one_floor_do_not_know_one_another(path: Path) -> None:
    own = room(dotted(path))
    beside = {n for n in map(room, imported(path)) if n.startswith("analyses.") and n != own and floor(n) == floor(own)}
    assert beside <= KNOWN_TO_ALL, f"{own} knows {sorted(beside - KNOWN_TO_ALL)}"


def test_imports_make_no_circle_between_rooms() -> None:
    edges = {(room(dotted(p)), room(n)) for p in ROOMS for n in imported(p) if n.startswith("analyses.")}
    reached = {a: {b for x, b in edges if x == a and b != a} for a, _ in edges}
    for _ in reached:
        reached = {a: bs | {c for b in bs for c in reached.get(b, ())} for a, bs in reached.items()}
    assert not [a for a, bs in reached.items() if a in bs]


def parameters(path: Path) -> list[tuple[str, int]]:
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    return [(f"{dotted(path)}.{f.name}", len(f.args.posonlyargs + f.args.args + f.args.kwonlyargs)) for f in functions]


def test_few_functions_take_ten_parameters_or_more() -> None:
    # A typer command takes one parameter an option, by design of typer.
    commands = {f"analyses.{room}.shell.command" for room in ANALYSES}
    commands |= {place.replace(":", ".") for _, place in COMMANDS.values()}
    long = [name for p in MODULES for name, n in parameters(p) if n >= 10 and name not in commands]
    assert len(long) <= 8, long


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_has_at_most_500_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


@pytest.mark.parametrize("name", sorted({room(dotted(p)) for p in ROOMS if p.parent.parent.name == "analyses"}))
def test_a_room_has_one_plan(name: str) -> None:
    files = {p.stem for p in (ROOT / name.replace(".", "/")).glob("*.py")}
    assert 3 <= len(files) <= 11, sorted(files)
    assert not [f for f in files if f.startswith("_") and f not in ("__init__", "__main__")]
    if name != "analyses.ground":
        assert {"__init__", "__main__", "shell"} <= files
