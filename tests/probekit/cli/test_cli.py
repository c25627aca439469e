"""The shell face trains, goes on where it was stopped, and says what is wrong in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from analyses.report.shell import main
from probekit.images import load
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.train import Recipe, progress_of, train

# What the options below come to.
RECIPE = Recipe(steps=3, batch_size=4, seed=0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of 16×20 PNGs: six to train on and three held out."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, count in (("train", 6), ("val", 3)):
        (folder / name).mkdir()
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def probekit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process: exit code, standard output, standard error."""

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["probekit", *map(str, arguments)])
        return main(), *capsys.readouterr()

    return run


def training(pictures: Path, out: Path, *more: Any, steps: int = 3, channels: str = "4,8") -> list[Any]:
    return [
        *("train", pictures / "train", "--out", out, "--held-out", pictures / "val", "--name", "tiny"),
        *("--size", 8, "--channels", channels, "--steps", steps, "--batch-size", 4, "--device", "cpu", "--quiet"),
        *more,
    ]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(command in told for command in ("demo", "models", "taps", "phi", "train"))


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "train" in "".join(capsys.readouterr())


def test_help_of_training_names_its_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["train", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(option in told for option in ("--held-out", "--weight-power", "--sigma-max", "--export"))


def test_training_writes_weights_description_log_and_checkpoint(
    pictures: Path, tmp_path: Path, probekit: Command
) -> None:
    code, out, err = probekit(*training(pictures, tmp_path, "--evaluations", 1))
    assert (code, err) == (0, "")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint.safetensors",
        "log.jsonl",
        "tiny.json",
        "tiny.safetensors",
    ]
    assert f"wrote {tmp_path / 'tiny.safetensors'} and tiny.json" in out
    assert out.splitlines()[0] == "PSNR in dB, mean over 3 images of val"
    (line,) = (json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    assert line["step"] == 3
    assert set(line["psnr"]) == {"0.05", "0.1", "0.2", "0.3", "0.5", "0.8", "1"}
    assert zoo.load(tmp_path / "tiny.safetensors").model.config["channels"] == [4, 8]


def test_the_card_says_what_was_trained_how_and_how_well(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    probekit(*training(pictures, tmp_path))
    card = zoo.describe(tmp_path / "tiny.safetensors")["card"]
    assert card["data"] == {"training": "train", "images": 6, "size": 8, "resize": "area averages"}
    assert Recipe(**card["recipe"]) == RECIPE
    assert (card["steps"], card["images seen"]) == (3, 12)
    assert card["initial weights"] == "Kaiming-normal, seed 0"
    assert card["psnr"]["count"] == 3
    # Returning the noisy image has −20 log₁₀ σ dB; five standard deviations of the mean square of 576 normals.
    bound = -10 * np.log10(1 - 5 * (2 / 576) ** 0.5)
    np.testing.assert_allclose(card["psnr"]["noisy"], -20 * np.log10(card["psnr"]["sigma"]), atol=bound)


def test_the_command_trains_like_the_function(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    probekit(*training(pictures, tmp_path))
    torch.manual_seed(0)
    model = UNet((4, 8), encoder_convs=(2,), decoder_convs=(5,))
    images = load(pictures / "train", size=8, crop=8)
    trained = train(model, images, recipe=RECIPE, device="cpu", progress=False)
    for name, value in zoo.load(tmp_path / "tiny.safetensors").model.state_dict().items():
        assert torch.equal(value, trained.model.state_dict()[name].half().float())


def test_a_second_call_goes_on_where_the_first_was_stopped(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    probekit(*training(pictures, tmp_path / "whole"))
    torch.manual_seed(0)
    model = UNet((4, 8), encoder_convs=(2,), decoder_convs=(5,))
    images = load(pictures / "train", size=8, crop=8)
    train(model, images, recipe=RECIPE, out=tmp_path / "parts", device="cpu", progress=False, until=1)
    assert progress_of(tmp_path / "parts")["step"] == 1
    assert probekit(*training(pictures, tmp_path / "parts"))[0] == 0
    whole, parts = (zoo.describe(tmp_path / p / "tiny.safetensors")["weights_sha256"] for p in ("whole", "parts"))
    assert whole == parts


def test_calling_again_after_the_end_trains_no_further(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    probekit(*training(pictures, tmp_path))
    kept = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert probekit(*training(pictures, tmp_path))[0] == 0
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == kept


def test_export_writes_the_weights_of_a_run_as_they_are(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    torch.manual_seed(0)
    model = UNet((4, 8), encoder_convs=(2,), decoder_convs=(5,))
    images = load(pictures / "train", size=8, crop=8)
    half_way = train(model, images, recipe=RECIPE, out=tmp_path, device="cpu", progress=False, until=2)
    assert probekit(*training(pictures, tmp_path, "--export"))[0] == 0
    assert progress_of(tmp_path)["step"] == 2
    assert zoo.describe(tmp_path / "tiny.safetensors")["card"]["steps"] == 2
    exported = zoo.load(tmp_path / "tiny.safetensors").model.state_dict()
    assert all(torch.equal(v, half_way.model.state_dict()[k].half().float()) for k, v in exported.items())


def test_several_folders_are_joined(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    command = training(pictures, tmp_path)
    command.insert(2, pictures / "val")
    assert probekit(*command)[0] == 0
    assert zoo.describe(tmp_path / "tiny.safetensors")["card"]["data"]["images"] == 9


def test_training_can_start_from_other_weights(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    probekit(*training(pictures, tmp_path / "first"))
    first = tmp_path / "first/tiny.safetensors"
    # A rate this small moves no weight by a half-precision digit, so that the start is seen in the end.
    assert probekit(*training(pictures, tmp_path / "second", "--init", first, "--lr", 1e-12))[0] == 0
    a, b = (zoo.load(tmp_path / p / "tiny.safetensors").model.state_dict() for p in ("first", "second"))
    assert all(torch.equal(a[k], b[k]) for k in a)
    start = zoo.describe(tmp_path / "second/tiny.safetensors")["card"]["initial weights"]
    assert start["weights_sha256"] == zoo.describe(first)["weights_sha256"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": "4,x"}, "'4,x' is not a list of numbers: write them like 16,32,64,128"),
        ({"channels": "4"}, r"channels=\(4,\).* at least two positive numbers"),
        ({"channels": "4,8,8,8,8"}, "images of 8×8 cannot be halved evenly .* multiples of 16"),
        ({"steps": 0}, "the recipe cannot be followed: steps=0"),
    ],
    ids=["channels", "one channel", "size", "steps"],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    pictures: Path, tmp_path: Path, probekit: Command, changes: dict, message: str
) -> None:
    code, out, err = probekit(*training(pictures, tmp_path, **changes))
    assert (code, out) == (1, "")
    assert err.startswith("probekit: ")
    assert err.count("\n") == 1
    with pytest.raises(ValueError, match=message):
        raise ValueError(err)


def test_another_recipe_is_refused_in_one_line(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    probekit(*training(pictures, tmp_path))
    code, _, err = probekit(*training(pictures, tmp_path, steps=4))
    assert code == 1
    assert err.startswith(
        f"probekit: {tmp_path / 'checkpoint.safetensors'} belongs to another run (steps: 3 there, 4 now)"
    )
    assert err.count("\n") == 1


def test_exporting_before_training_is_refused_in_one_line(pictures: Path, tmp_path: Path, probekit: Command) -> None:
    code, _, err = probekit(*training(pictures, tmp_path, "--export"))
    assert code == 1
    assert err == f"probekit: {tmp_path} holds no checkpoint.safetensors: train into it first\n"
    assert not list(tmp_path.iterdir())


def test_the_installed_command_says_an_error_in_one_line_without_a_traceback(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("probekit")
    arguments = training(tmp_path / "missing", tmp_path / "out")
    result = subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"probekit: {tmp_path / 'missing/train'} does not exist: give a folder, a zip")
    assert result.stderr.count("\n") == 1
