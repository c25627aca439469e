"""The program: what it lists is what there is, it starts without the package's weight, and it ends in one way."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from analyses.report.shell import ANALYSES, COMMANDS, main

PLACES = {
    **COMMANDS,
    **{f"analyse {name}": (said, f"analyses.{name}.shell:command") for name, said in ANALYSES.items()},
}
ROOMS = Path(__file__).parents[3] / "analyses"
NETWORK = """
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
    torch.manual_seed(0)
    return Mine().eval()
"""


@pytest.mark.parametrize("name", PLACES)
def test_the_line_that_a_command_is_listed_with_is_its_own(name: str) -> None:
    said, place = PLACES[name]
    module, _, function = place.partition(":")
    own = getattr(import_module(module), function).__doc__
    assert " ".join(own.strip().split("\n\n")[0].split()) == said


def test_every_room_with_findings_is_listed() -> None:
    assert {p.name for p in ROOMS.iterdir() if p.is_dir() and (p / "shell.py").exists()} == {
        *ANALYSES,
        "ground",
        "report",
    }


def test_help_loads_nothing_that_takes_long() -> None:
    code = """
import sys
from analyses.report.shell import main
for words in (["--help"], ["analyse", "--help"], ["--version"]):
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 0, end.code
heavy = {"torch", "numpy", "xarray", "scipy", "sklearn", "matplotlib", "probekit", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert all(name in ran.stdout for name in (*COMMANDS, *ANALYSES))


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["analyse", "sparsity", "nowhere.nc"], 1, "probekit: nowhere.nc does not exist"),
        (["analyse", "nothing"], 2, "No such command"),
        (["analyse", "sparsity", "--level"], 2, "level"),
        (["taps", "nobody"], 1, "no bundled denoiser 'nobody'"),
        (["taps", "nomodule:make"], 1, "give module:function"),
        (["report", "samples", "--classes", "a.csv"], 1, "--classes goes with --train"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_status(
    words: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == status
    assert says in capsys.readouterr().err


def test_a_network_of_ones_own_goes_through_the_whole_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    words = ["report", "samples", "--size", "32", "--network", "my_network:make", "--claims", "3", "--sigma", "0.1"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--draws", "2", "-o", "out", "--quiet"])
    assert ended.value.code == 0, capsys.readouterr().err
    assert "claim 3" in capsys.readouterr().out
    assert "Mine" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_a_network_whose_weights_cannot_be_drawn_anew_has_no_untrained_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = NETWORK.replace(
        "class Mine(nn.Module):",
        "class Own(nn.Module):\n    def __init__(self):\n        super()."
        "__init__()\n        self.gain = nn.Parameter(torch.ones(1))\n\n    def forward(self, y):\n"
        "        return self.gain * y\n\n\nclass Mine(nn.Module):",
    ).replace("nn.AvgPool2d(2))", "nn.AvgPool2d(2), Own())")
    (tmp_path / "my_fixed.py").write_text(fixed)
    monkeypatch.chdir(tmp_path)
    words = ["report", "samples", "--size", "32", "--network", "my_fixed:make", "--claims", "3", "--sigma", "0.1"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--draws", "2", "-o", "out", "--quiet"])
    assert ended.value.code == 1
    assert "cannot be drawn anew: give these modules a method reset_parameters" in capsys.readouterr().err
