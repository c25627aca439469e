"""Odd words for every option of every command: a status and a line, never a traceback, and nothing written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from analyses.report.shell import ANALYSES, COMMANDS, main
from probekit.synthetic.subspaces import union_of_subspaces

PLACES = {name: place for name, (_, place) in COMMANDS.items()} | {
    f"analyse {name}": f"analyses.{name}.shell:command" for name in ANALYSES
}
NETWORK = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
        self.middle = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
        self.up = nn.Conv2d(6, 3, 3, padding=1)
        self.tap_aliases = {"enc": "down", "mid": "middle"}

    def forward(self, y):
        return self.up(nn.functional.interpolate(self.middle(self.down(y)), scale_factor=2))


def make():
    torch.manual_seed(5)
    return Small().eval()


def needs(width):
    return Small()


def nothing():
    return None


def fails():
    raise ValueError("of its own\\nin two lines")


def leaves():
    raise SystemExit(0)


number = 3
"""
# Modules that fail while they are imported, each otherwise.
MODULES = {
    "broken_import": "import nowhere_to_be_found",
    "broken_syntax": "def (",
    "broken_name": "x = undefined",
    "broken_exit": "import sys; sys.exit(3)",
    "broken_own": "class Odd(BaseException): pass\nraise Odd('own')",
    "broken_bytes": "\ufeff\0",
    "broken_deep": "def f(): return f()\nf()",
}
ODD = [
    *(
        "",
        " ",
        ",",
        "nan",
        "inf",
        "-inf",
        "-1",
        "0",
        "1.5",
        "1e400",
        "9" * 25,
        "9" * 5000,
        "x",
        "x,y",
        "0.1,",
        "0.1,0.1",
    ),
    *(
        "None",
        "True",
        "é",
        "\0",
        "a\0b",
        "x" * 300,
        "x/" * 3000,
        "=",
        "a=",
        "=b",
        "a=b.npy",
        "*",
        "**x",
        "[",
        "\n",
        "\x1b[2J",
    ),
    *(
        "💥",
        "\udcff",
        "--",
        "-",
        "/",
        ".",
        ":",
        ":f",
        "a:",
        "a:b:c",
        "shapes:0",
        "shapes:" + "9" * 12,
        "ovals:0",
        "ovals-grid:" + "9" * 12,
        "/dev/null",
        "0x10",
    ),
]


def parameters(name: str) -> list[Any]:
    module, _, function = PLACES[name].partition(":")
    app = typer.Typer(add_completion=False)
    app.command()(getattr(import_module(module), function))
    return typer.main.get_command(app).params


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, with networks, φ, and files that are none."""
    made = tmp_path_factory.mktemp("here")
    before = Path.cwd()
    os.chdir(made)
    (made / "my_nets.py").write_text(NETWORK)
    for name, text in MODULES.items():
        (made / f"{name}.py").write_text(text)
    union_of_subspaces(60, seed=0).data.to_netcdf(made / "phi.nc", engine="h5netcdf")
    (made / "empty.nc").touch()
    (made / "text.nc").write_text("not netCDF")
    (made / "cut.nc").write_bytes((made / "phi.nc").read_bytes()[:3000])
    (made / "damaged.nc").write_bytes((made / "phi.nc").read_bytes()[:900] + bytes(range(256)) * 40)
    (made / "folder.zarr").mkdir()
    (made / "deep.zarr").mkdir()
    (made / "deep.zarr" / "zarr.json").write_text("[" * 100_000)
    (made / "text.zarr").write_text("no folder")
    (made / "cut.safetensors").write_bytes(b"\x10\0\0\0")
    (made / "cut.json").write_text("{")
    (made / "deep.safetensors").write_bytes(b"\x10\0\0\0")
    (made / "deep.json").write_text("[" * 100_000)
    (made / "folder.safetensors").mkdir()
    (made / "odd.npy").write_bytes(b"\x93NUMPY\x01\0")
    (made / "odd.npz").write_bytes(b"PK\x03\x04" + bytes(50))
    np.save(made / "objects.npy", np.array([{}], object), allow_pickle=True)
    yield made
    os.chdir(before)


def refused_or_done(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """The status of a command that either did what it was asked, or wrote nothing and said why in a line."""
    before = sorted(folder.rglob("*"))
    status = main(words)
    told = capsys.readouterr()
    assert status in (0, 1, 2), (status, told.err)
    if status:
        assert told.err.startswith("probekit: "), told.err
        assert told.err.count("\n") == 1, told.err
        assert not set(told.err[:-1]) & {"\r", "\x1b", "\0"}
        left = [path for path in sorted(folder.rglob("*")) if path not in before and "__pycache__" not in path.parts]
        assert not left, left
    return status


# Enough for each command to be complete; images and φ that are not there end it where its options are in order.
BASES = {
    "demo": ["--network", "my_nets:nothing"],
    "models": ["--no-such-option"],
    "taps": ["my_nets:make"],
    "draw": ["my_nets:make", "-o", "nowhere.gif"],
    "phi": ["my_nets:make", "nowhere", "-o", "out.nc"],
    "explore": ["my_nets:make", "nowhere"],
    "train": ["nowhere", "--held-out", "nowhere", "-o", "out"],
    "report": ["nowhere"],
    "analyse attribution": ["nowhere", "--channels", "0"],
    "analyse generalisation": ["--train", "nowhere", "--held-out", "nowhere"],
    "analyse training": ["nowhere", "nowhere", "--network", "my_nets:make"],
    "analyse probe": ["nowhere", "--train", "nowhere"],
}
EVERY = [(name, param.opts[0]) for name in PLACES for param in parameters(name) if param.opts[0].startswith("-")]


# Every option is given a third of the words, another third than the option before.
PARTS = 3


@pytest.mark.parametrize("case", range(len(EVERY)), ids=lambda case: " ".join(EVERY[case]))
def test_an_odd_word_for_an_option_is_one_line_and_nothing_is_written(
    case: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, option = EVERY[case]
    base = [*name.split(), *BASES.get(name, ["nowhere"])]
    for word in ODD[case % PARTS :: PARTS]:
        refused_or_done([*base, option, word], folder, capsys)


def test_there_are_enough_cases_to_mean_something() -> None:
    assert sum(len(ODD[case % PARTS :: PARTS]) for case in range(len(EVERY))) > 2000


@pytest.mark.parametrize("name", [name for name in PLACES if name not in ("demo", "models")])
def test_an_odd_word_in_place_of_the_first_argument_is_refused(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *rest = BASES.get(name, ["nowhere"])
    if first.startswith("-"):
        return
    rest = ["-o", "out.svg"] if name == "draw" else rest
    for word in ODD:
        # A folder that is there is one of images: all of the machine's files would be looked at below "/".
        if not os.path.isdir(word):  # noqa: PTH112, since Path refuses some of these words
            assert refused_or_done([*name.split(), word, *rest], folder, capsys) in (1, 2), word


NETWORKS = {
    ":make": "write module:function",
    "my_nets:": "write module:function",
    "my_nets:make:again": "write module:function",
    "my nets:make": "write module:function",
    "nowhere_at_all:make": "No module named 'nowhere_at_all'",
    "my_nets:mak": "my_nets has no mak, did you mean make?",
    "my_nets:needs": "give its arguments defaults",
    "my_nets:nothing": "gave a NoneType",
    "my_nets:number": "gave a int",
    "my_nets:fails": "fails() raised ValueError: of its own in two lines at",
    "my_nets:leaves": "leaves() raised SystemExit: 0",
    "math:sin": "give its arguments defaults",
    "broken_import:make": "importing broken_import raised ModuleNotFoundError",
    "broken_syntax:make": "raised SyntaxError",
    "broken_name:make": "raised NameError: name 'undefined' is not defined at",
    "broken_exit:make": "raised SystemExit: 3",
    "broken_own:make": "raised Odd: own",
    "broken_bytes:make": "importing broken_bytes raised",
    "broken_deep:make": "raised RecursionError",
    "cut.safetensors": "cannot be read",
    "deep.safetensors": "cannot be read",
    "folder.safetensors": "does not exist",
    "nowhere.safetensors": "does not exist",
    "x" * 300 + ".safetensors": "can be the path of no file",
    "a\0.safetensors": "can be the path of no file",
    "": "a path is empty",
}


TRAIN = ["train", "shapes:6", "--size", "16", "--held-out", "shapes:2", "--channels", "4,8", "-o", "out"]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("command", ["taps", "draw", "phi", "analyse attribution", "report", "demo", "train"])
def test_a_network_that_is_none_is_said_in_a_line(
    network: str, command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {
        "taps": ["taps", network],
        "draw": ["draw", network, "-o", "net.svg"],
        "phi": ["phi", network, "shapes:2", "--size", "16", "-o", "phi-out.zarr"],
        "analyse attribution": ["analyse", "attribution", "shapes:2", "--channels", "0", "--network", network],
        "report": ["report", "shapes:2", "--network", network],
        "demo": ["demo", "--network", network],
        "train": [
            *[
                "train",
                "shapes:6",
                "--size",
                "16",
                "--held-out",
                "shapes:2",
                "--channels",
                "4,8",
                "-o",
                "out",
                "--compare",
            ],
            network,
        ],
    }[command]
    if command == "train" and not network:
        return
    assert main(words) == 1
    said = capsys.readouterr().err
    assert NETWORKS[network] in said
    assert (said[:10], said.count("\n")) == ("probekit: ", 1)
    assert not list(folder.glob("*out*"))


DATA = [
    "empty.nc",
    "text.nc",
    "cut.nc",
    "damaged.nc",
    "folder.zarr",
    "deep.zarr",
    "text.zarr",
    "odd.npz",
    ".",
    "/dev/null",
]


@pytest.mark.parametrize("file", DATA)
@pytest.mark.parametrize(
    "room", ["sparsity", "selectivity", "subspaces", "semantics", "clusters", "probe", "densities"]
)
def test_files_that_hold_no_findings_are_said_in_a_line(
    room: str, file: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--train", file] if room == "probe" else []
    assert refused_or_done(["analyse", room, file, *more], folder, capsys) == 1


@pytest.mark.parametrize("option", ["--others", "--controls", "--classes"])
def test_other_files_that_hold_nothing_are_said_in_a_line(
    option: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("nowhere.nc", *DATA):
        assert refused_or_done(["analyse", "semantics", "phi.nc", option, file], folder, capsys) == 1


CONDITIONS = [
    "empty.nc",
    "text.nc",
    "cut.nc",
    "damaged.nc",
    "folder.zarr",
    "deep.zarr",
    "odd.npy",
    "odd.npz",
    "objects.npy",
]


@pytest.mark.parametrize("file", [*CONDITIONS, "nowhere.npy", "x" * 300 + ".npy", "a\0.npy", "text.txt", ""])
def test_conditions_that_hold_no_values_are_said_in_a_line(
    file: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["phi", "my_nets:make", "shapes:2", "-o", "a.zarr"], ["analyse", "sampling", "shapes:2"]):
        assert refused_or_done([*command, "--size", "16", "--condition", f"given={file}"], folder, capsys) == 1


SHAPES = [
    "3,99999999,99999999",
    "3,-1,2",
    "3",
    "3,32",
    "3,32,32,32",
    "3,32,x",
    "0,32,32",
    "3,1.5,32",
    "",
    "4,32,32",
    "3,1,1",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_that_no_image_has_is_refused(shape: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["taps", "my_nets:make"], ["draw", "my_nets:make", "-o", "net.svg"]):
        assert refused_or_done([*words, "--shape", shape], folder, capsys) == 1


PHI = ["phi", "my_nets:make", "shapes:2", "--size", "16", "--draws", "1", "--sigma", "0.1", "-o", "made.nc", "--quiet"]
REFUSED = [
    *(["--tap", tap] for tap in ("", ",", "nowhere", "mid,mid", "mid,middle", "mid@9", "mid[0]", "é")),
    *(["--sigma", sigma] for sigma in ("", "nan", "-1", "0.1,0.1", "inf", "x")),
    *(["--condition", condition] for condition in ("a", "=b.npy", "a=", "a=b.txt", "a=objects.npy")),
    *(
        [
            ["--seed", "1.5"],
            ["--draws", "0"],
            ["--batch-size", "0"],
            ["--reduce", "sum"],
            ["--bands", "2"],
            ["--crop", "99"],
        ]
    ),
    *(
        ["-o", out]
        for out in ("made.txt", "made", ".", "", "folder.nc", "text.nc/made.nc", "x" * 300 + ".nc", "a\0.nc")
    ),
    *([["--size", "8"], ["--size", "99999999"], ["--bands", "1"]]),
]


@pytest.mark.parametrize("more", REFUSED, ids=lambda more: " ".join(more)[:40])
def test_phi_refuses_before_it_writes(more: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "folder.nc").mkdir(exist_ok=True)
    assert refused_or_done([*PHI, *more], folder, capsys) in (1, 2)


@pytest.mark.parametrize(
    "images",
    [
        "shapes:0",
        "ovals:0",
        "ovals-grid:x",
        "shapes:99999999999",
        "shapes:-1",
        "shapes:x",
        "shapes:",
        "shapes:1:2:3",
        "no*match",
        "**x",
        "text.nc",
        ".",
    ],
)
def test_images_that_are_none_are_said_in_a_line(images: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused_or_done(["phi", "my_nets:make", images, "-o", "made.nc"], folder, capsys) == 1
    assert refused_or_done(["phi", "my_nets:make", "samples", images, "-o", "made.nc"], folder, capsys) == 1


def test_the_same_command_without_odd_words_does_its_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PHI]) == 0
    assert (folder / "made.nc").is_file()
    (folder / "made.nc").unlink()
    assert main(["draw", "my_nets:make", "-o", "net.svg"]) == 0
    (folder / "net.svg").unlink()
    assert main(["taps", "my_nets:make"]) == 0
    assert "middle" in capsys.readouterr().out
