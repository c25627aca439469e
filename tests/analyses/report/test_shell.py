"""The program: every command told in one line before anything is loaded, one vocabulary, one way to end."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import xarray as xr

import analyses
from analyses.ground import OUT, Clusters, Level, Permutations, Resamples
from analyses.report.shell import ANALYSES, COMMANDS, main
from probekit.cli.arguments import (
    DRAWS,
    NETWORK,
    SIGMA,
    BatchSize,
    Crop,
    Draws,
    Images,
    Network,
    Out,
    Quiet,
    Seed,
    Sigma,
    Size,
)
from probekit.models import zoo
from probekit.synthetic.subspaces import union_of_subspaces

ROOT = Path(analyses.__file__).parents[1]
OWN = """
import torch
from torch import nn


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
        self.middle = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
        self.up = nn.Conv2d(6, 3, 3, padding=1)
        self.tap_aliases = {"mid": "middle"}

    def forward(self, y):
        return self.up(nn.functional.interpolate(self.middle(self.down(y)), scale_factor=2)) + 0.5 * y


def make():
    torch.manual_seed(5)
    return Mine().eval()
"""
WITHOUT_NAMES = OWN.replace('        self.tap_aliases = {"mid": "middle"}\n', "")
FIXED = OWN.replace("        self.up =", "        self.gain = nn.Parameter(torch.ones(()))\n        self.up =")
PLACES = {name: place for name, (_, place) in COMMANDS.items()} | {
    f"analyse {name}": f"analyses.{name}.shell:command" for name in ANALYSES
}
LINES = {name: line for name, (line, _) in COMMANDS.items()} | {f"analyse {n}": line for n, line in ANALYSES.items()}


def function(name: str) -> Any:
    module, _, called = PLACES[name].partition(":")
    return getattr(import_module(module), called)


def options(command: Any) -> dict[str, Any]:
    """What a command takes, by name."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return {str(param.name): param for param in typer.main.get_command(app).params}


def vocabulary(
    images: Images,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    sigma: Sigma = SIGMA,
    draws: Draws = DRAWS,
    seed: Seed = 0,
    out: Out = OUT,
    batch_size: BatchSize = None,
    quiet: Quiet = False,
    clusters: Clusters = None,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    permutations: Permutations = 999,
) -> None:
    """Every shared word, with its default."""


def run(*arguments: Any) -> int:
    return main([str(word) for word in arguments])


@pytest.mark.parametrize("asked", [["--help"], ["analyse", "--help"]], ids=" ".join)
def test_help_names_every_command(asked: list[str], capsys: pytest.CaptureFixture) -> None:
    assert run(*asked) == 0
    told = set(capsys.readouterr().out.replace("│", " ").split())
    assert set(ANALYSES if "analyse" in asked else {*COMMANDS, "analyse"}) <= told


def test_every_analysis_is_named() -> None:
    rooms = {p.parent.name for p in (ROOT / "analyses").glob("*/__init__.py")}
    assert set(ANALYSES) == rooms - {"ground", "report", "explore"}
    # Of two programs, each a command of its own.
    assert {"report", "explore"} <= set(COMMANDS)


@pytest.mark.parametrize("name", LINES)
def test_a_command_is_told_by_the_first_line_of_its_docstring(name: str) -> None:
    said = (function(name).__doc__ or "").strip().split("\n\n")[0]
    assert " ".join(said.split()) == LINES[name]


@pytest.mark.parametrize("name", LINES)
def test_a_word_means_the_same_in_every_command(name: str) -> None:
    # A file, and a folder that a run is kept in; squares that are cut anew each time; images of one step; whole
    # clusterings are made again, which takes long; draws that may be chosen; patches; several networks; the noise
    # levels and draws that a claim is judged at.
    own = {
        "draw": {"out"},
        "phi": {"out", "draws"},
        "train": {"out", "crop", "batch_size"},
        "analyse clusters": {"resamples", "permutations"},
        "analyse cues": {"sigma", "draws"},
        "analyse textures": {"size", "sigma", "draws"},
        "analyse noise_level": {"sigma", "network"},
        "analyse controls": {"draws"},
        "report": {"draws"},
        "explore": {"out", "sigma", "draws"},
    }.get(name, set())
    shared = options(vocabulary)
    for word, param in options(function(name)).items():
        if word in shared and word not in own and not (word == "network" and param.param_type_name == "argument"):
            same = shared[word]
            assert (param.opts, param.default, param.help) == (same.opts, same.default, same.help), word


@pytest.mark.parametrize("name", LINES)
def test_what_can_be_asked_for_is_told(
    name: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(*name.split(), "--help") == 0
    told = capsys.readouterr().out.lower()
    assert all(max(param.opts, key=len).lower() in told for param in options(function(name)).values())


def test_no_module_of_a_command_names_another_word_for_a_network_or_images() -> None:
    for place in PLACES.values():
        path = ROOT / (place.partition(":")[0].replace(".", "/") + ".py")
        words = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
        assert not words & {"--denoiser", "--images", "--model-path"}, place


def test_paths_that_were_written_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    union_of_subspaces(60, seed=0).data.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    assert run("analyse", "sparsity", tmp_path / "phi.nc", "-o", tmp_path / "out", "--resamples", 100) == 0
    told = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert told == [tmp_path / "out" / f"sparsity.{kind}" for kind in ("nc", "png")]
    assert np.isfinite(xr.load_dataset(told[0], engine="h5netcdf").sparsity).any()


def test_an_error_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("analyse", "sparsity", tmp_path / "phi.nc") == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "phi.nc does not exist" in told.err


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["modls"], "models"),
        (["analyse", "spars"], "sparsity"),
        (["models", "--jsn"], "--json"),
        (["analyse", "sparsity"], "data"),
        (["analyse", "sparsity", "phi.nc", "--resamples", "many"], "--resamples"),
    ],
)
def test_words_that_are_none_of_the_commands_are_status_2_and_name_what_is_near(
    typed: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(*typed) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture) -> None:
    run()
    told = capsys.readouterr()
    assert "train" in told.out + told.err


def test_started_as_a_module_it_is_the_same_program() -> None:
    told = [
        subprocess.run([sys.executable, "-m", *words, "models"], capture_output=True, text=True, check=True, cwd=ROOT)
        for words in (("probekit",), ("analyses.report.shell",))
    ]
    assert told[0].stdout == told[1].stdout
    assert all(name in told[0].stdout for name in zoo.available())


def called(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a network of one's own, to be called from a folder."""
    (folder / "my_network.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "my_network", raising=False)
    return "my_network:make"


SMALL = ("--size", "32", "--sigma", "0.1", "--draws", "2", "--quiet", "-o", "out")


@pytest.mark.parametrize("text", [OWN, WITHOUT_NAMES], ids=["declares its middle", "declares nothing"])
def test_a_network_of_ones_own_goes_through_the_report(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    network = called(text, tmp_path, monkeypatch)
    assert run("report", "samples", "--network", network, "--claims", "3", *SMALL) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-3:] == ["out/report.html", "out/report.md", "out/claims.nc"]
    assert told[-4].startswith("claim 3. Two types of channel: ")
    assert "Mine" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    judged = xr.load_dataset(tmp_path / "out" / "claims.nc", engine="h5netcdf")
    # The untrained twin has been measured, and is another network.
    shares = judged.isel(criterion=np.isfinite(judged.control.values))
    assert shares.sizes["criterion"] >= 2
    assert not list((tmp_path / "out").glob("*paper-gains*"))
    assert "one untrained control: gains as the paper's code draws them need normalisations" in "\n".join(told)
    assert "untrained, with gains of 1 alone" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert judged.attrs["untrained_controls"] == "untrained"
    found = [xr.load_dataset(tmp_path / "out" / f"selectivity-{role}.nc") for role in ("trained", "untrained")]
    assert found[0].attrs["weights_sha256"] != found[1].attrs["weights_sha256"]


def test_claims_for_which_ones_own_network_declares_too_few_taps_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    network = called(OWN, tmp_path, monkeypatch)
    assert run("report", "samples", "--network", network, "--claims", "1,3,6", *SMALL) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "claims 1, 6 cannot be judged: 'mid' is compared with another block" in told.err
    assert "declare more" in told.err
    assert not (tmp_path / "out").exists()


GREY = OWN.replace("nn.Conv2d(3, 4,", "nn.Conv2d(1, 4,").replace("nn.Conv2d(6, 3,", "nn.Conv2d(6, 1,")


def test_a_network_of_one_plane_is_given_grey_images_by_one_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    network = called(GREY, tmp_path, monkeypatch)
    assert run("report", "samples", "--network", network, "--claims", "3", "--bands", "1", *SMALL) == 0
    assert "1 × 32 × 32" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert run("phi", network, "samples", "--bands", "1", "--size", "32", "--sigma", "0.1", "-o", "grey.nc") == 0
    assert xr.load_dataset(tmp_path / "grey.nc", engine="h5netcdf").attrs["image_source"] == "samples 32×32 grey"
    for words in (["shapes:50", "--bands", "1"], ["samples", "--bands", "2"], ["samples"]):
        assert run("phi", network, *words, "--size", "32", "-o", "other.nc") == 1
    told = capsys.readouterr().err.splitlines()
    assert "procedural images are drawn in colour" in told[-3]
    assert "bands=2: give 1 to read files as grey or 3" in told[-2]
    assert "1 channels and was given 3" in told[-1]


def test_a_network_that_declares_nothing_is_told_how_to_name_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    network = called(WITHOUT_NAMES, tmp_path, monkeypatch)
    assert run("report", "samples", "--network", network, "--block", "down.0", *SMALL) == 1
    told = capsys.readouterr().err
    assert "declares no taps" in told
    assert "'down.0'}" in told
    network = called(OWN, tmp_path, monkeypatch)
    assert run("report", "samples", "--network", network, "--block", "down.0", *SMALL) == 1
    assert "declares the taps mid and no 'down.0'" in capsys.readouterr().err


def test_a_network_whose_weights_cannot_be_drawn_anew_has_no_untrained_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    network = called(FIXED, tmp_path, monkeypatch)
    assert run("report", "samples", "--network", network, "--claims", "3", *SMALL) == 1
    assert "the weights of Mine cannot be drawn anew" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.zarr"))


def test_training_images_are_asked_for_where_classes_are_given(capsys: pytest.CaptureFixture) -> None:
    assert run("report", "samples", "--classes", "a.csv") == 1
    assert "--classes goes with --train" in capsys.readouterr().err
