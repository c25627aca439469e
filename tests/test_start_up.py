"""What is loaded when: help, the version and words that are none of a command's need no torch, and importing little."""

import ast
import json
import pickle
import subprocess
import sys
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import probekit
from analyses import sparsity
from analyses.report.shell import ANALYSES, COMMANDS

ROOT = Path(probekit.__file__).parents[1]
# Each takes a tenth of a second or more, or is needed for figures, fits and files alone.
HEAVY = {
    "PIL",
    "captum",
    "h5netcdf",
    "h5py",
    "jinja2",
    "matplotlib",
    "pandas",
    "safetensors.torch",
    "scipy",
    "skimage",
    "sklearn",
    "torch",
    "tqdm",
    "xarray",
    "zarr",
}
PROGRAM = [[name] for name in COMMANDS] + [["analyse", name] for name in ANALYSES]
ROOMS = [*ANALYSES, "report"]
# Called one after another in a fresh process: what each prints, its status, and what it was the first to load.
CALLED = """
import contextlib, io, json, runpy, sys

calls, heavy = json.loads(sys.argv[1])
told = []
for module, *words in calls:
    before = set(sys.modules)
    said = io.StringIO()
    sys.argv = [module, *words]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            runpy.run_module(module, run_name="__main__")
            status = None
        except SystemExit as ended:
            status = ended.code
    told.append([status, said.getvalue(), sorted(set(heavy) & (sys.modules.keys() - before))])
print(json.dumps(told))
"""


def call(words: list[str]) -> list[str]:
    return ["probekit", *words]


HELP = [
    call([]),
    call(["--help"]),
    call(["--version"]),
    call(["analyse"]),
    call(["analyse", "--help"]),
    *(call([*words, "--help"]) for words in PROGRAM),
    *([f"analyses.{room}", "--help"] for room in ROOMS),
    ["analyses.report.shell", "--help"],
]
# Commands that can be called without a word have nothing that can be left out.
LACKING = [words for words in PROGRAM if words not in (["demo"], ["models"])]
WRONG = [
    call(["modls"]),
    call(["--hepl"]),
    call(["analyse", "spars"]),
    *(call([*words, "--nonsense"]) for words in PROGRAM),
    *(call(words) for words in LACKING),
    *([f"analyses.{room}", "--nonsense"] for room in ROOMS),
    call(["analyse", "sparsity", "phi.nc", "--resamples", "many"]),
    call(["train", "samples", "--out", "here", "--held-out", "samples", "--model", "none-such"]),
]


@cache
def called() -> dict[tuple[str, ...], tuple[Any, str, list[str]]]:
    calls = HELP + WRONG
    given = json.dumps([calls, sorted(HEAVY)])
    run = subprocess.run([sys.executable, "-c", CALLED, given], capture_output=True, text=True, check=True, cwd=ROOT)
    return {tuple(words): tuple(told) for words, told in zip(calls, json.loads(run.stdout), strict=True)}


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_and_version_load_nothing_that_takes_long(words: list[str]) -> None:
    status, said, loaded = called()[tuple(words)]
    assert status == (0 if words[-1] in ("--help", "--version") else 2)
    assert ("Usage: " in said) == (words[-1] != "--version")
    assert not loaded


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_words_that_are_none_of_a_commands_are_refused_before_anything_that_takes_long_is_loaded(
    words: list[str],
) -> None:
    status, said, loaded = called()[tuple(words)]
    assert status == 2
    assert said.startswith("probekit: ")
    assert not loaded


def loaded_by(code: str, *names: str) -> set[str]:
    """Which of some modules a fresh process has loaded after some code, which prints nothing."""
    code = f"import sys\n{code}\nprint(*({set(names)!r} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stderr == ""
    return set(run.stdout.split())


@pytest.mark.parametrize("words", [["probekit"], ["analyses.sparsity"], ["analyses.report"]], ids=" ".join)
def test_python_itself_starts_modules_as_quickly(words: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", *words, "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Usage: " in run.stdout
    assert not HEAVY & {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}


@pytest.mark.parametrize("code", ["import probekit", "import analyses", "from analyses import sparsity, report"])
def test_importing_loads_nothing_that_takes_long_and_prints_nothing(code: str) -> None:
    assert not loaded_by(code, *HEAVY, "typer", "numpy")


def test_all_that_the_package_shows_asks_for_no_library_of_figures_fits_files_and_commands() -> None:
    # What xarray, which loads libraries for files if it finds them, and torch load by themselves is theirs.
    aside = {"matplotlib", "sklearn", "captum", "skimage", "zarr", "h5netcdf", "scipy.stats", "typer", "analyses"}
    # `explore` is made of what analyses find.
    every = "import probekit\nfor name in set(probekit.__all__) - {'explore'}: getattr(probekit, name)"
    assert not loaded_by(every, *aside) - loaded_by("import torch, xarray", *aside)


def named_as_modules(door: str) -> list[str]:
    """Public names of a package that are names of its modules too."""
    package = import_module(door)
    return sorted({path.stem for path in Path(str(package.__file__)).parent.glob("*.py")} & set(package.__all__))


DOORS = ["probekit", "probekit.train", "analyses.ground", *(f"analyses.{room}" for room in ROOMS)]
ALIKE = [door for door in DOORS if door != "probekit" and named_as_modules(door)]


def shown(door: str) -> set[str]:
    """What a type checker sees in a package: the names that it imports, under a condition or not."""
    source = Path(str(import_module(door).__file__)).read_text(encoding="utf-8")
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


@pytest.mark.parametrize("door", DOORS)
def test_a_package_shows_what_type_checkers_see_and_has_all_of_it(door: str) -> None:
    package = import_module(door)
    machinery = {"TYPE_CHECKING", "accessor_offered", "on_demand", "quit_quietly", "installed_version"}
    assert set(package.__all__) == shown(door) - machinery
    assert set(package.__all__) <= set(dir(package))
    found = {name: getattr(package, name) for name in package.__all__}
    modules = {name for name, value in found.items() if isinstance(value, ModuleType)}
    assert modules == ({"errors", "images", "models"} if door == "probekit" else set())


# Each in a fork of one process that has loaded what takes long and nothing of this package: what is wrong of each.
FORKED = """
import json, os, sys, traceback
import matplotlib.pyplot, scipy.stats, sklearn.linear_model, torch, typer, xarray

assert not {"probekit", "analyses"} & sys.modules.keys()
for said, code in json.load(sys.stdin).items():
    child = os.fork()
    if child == 0:
        try:
            exec(code, {})
        except BaseException:
            print(said, traceback.format_exc(), flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(said, "failed", flush=True)
print("done")
"""


def test_a_public_name_means_the_same_when_a_module_of_that_name_is_loaded_first() -> None:
    codes = {}
    for door in ALIKE:
        both = named_as_modules(door)
        code = f"import {door} as door\n" + "".join(f"import {door}.{name}\n" for name in both)
        code += "".join(f"assert door.{name}.__class__.__name__ != 'module', {name!r}\n" for name in both)
        codes[door] = code + "".join(f"from {door} import {name}\nassert {name} is door.{name}\n" for name in both)
    assert len(codes) > 10
    command = [sys.executable, "-c", FORKED]
    run = subprocess.run(command, input=json.dumps(codes), capture_output=True, text=True, check=True, cwd=ROOT)
    assert (run.stdout, run.stderr) == ("done\n", "")


def test_modules_of_a_package_are_there_as_well_and_nothing_else_is() -> None:
    loaded_by("import probekit\nassert probekit.checks.whole('n', 1) == 1")
    with pytest.raises(AttributeError, match=r"module 'probekit' has no attribute 'tapp'"):
        _ = probekit.tapp  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ImportError, match="cannot import name 'analyze'"):
        exec("from analyses.sparsity import analyze")
    assert not hasattr(sparsity, "__wrapped__")


def test_what_is_loaded_on_demand_is_pickled_by_its_own_place() -> None:
    for name in ("Tap", "tap", "load", "taps"):
        assert pickle.loads(pickle.dumps(getattr(probekit, name))) is getattr(probekit, name)


# What a command says itself, and where the function has it, whose module loads what takes long.
SAID = [
    ("analyses.clusters.shell:command", "threshold", "analyses.clusters.analyse:THRESHOLD"),
    ("analyses.controls.shell:command", "draws", "analyses.controls.analyse:DRAWS"),
    ("analyses.sampling.shell:command", "method", "analyses.sampling.analyse:DEFAULT"),
    ("analyses.report.commands:report", "draws", "analyses.report.settings:DRAWS"),
    ("analyses.report.commands:report", "block", "analyses.report.settings:MIDDLE"),
    ("probekit.cli.look:draw", "max_boxes", "probekit.drawing.plan:MAX_BOXES"),
]
WORDS = [
    ("analyses.attribution.shell:METHODS", "analyses.attribution.analyse:METHODS"),
    ("analyses.factors.shell:SCALES", "analyses.factors.groups:SCALES"),
    ("analyses.probe.shell:PROTOCOLS", "analyses.probe.checks:PROTOCOLS"),
    ("analyses.probe.shell:PENALTIES", "analyses.probe.analyse:PENALTIES"),
    ("analyses.subspaces.shell:METHODS", "analyses.subspaces.fitting:METHODS"),
    ("analyses.textures.shell:DISTANCES", "analyses.textures.analyse:DISTANCES"),
]


def at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize(("command", "option", "place"), SAID)
def test_a_commands_default_is_its_functions(command: str, option: str, place: str) -> None:
    assert signature(at(command)).parameters[option].default == at(place)


@pytest.mark.parametrize(("of_command", "place"), WORDS)
def test_a_commands_words_are_its_functions(of_command: str, place: str) -> None:
    assert list(at(of_command)) == list(at(place))
    assert len(at("analyses.factors.shell:FILES")) == len(at("analyses.factors.controls:CONTROLS"))
