"""The command that trains in parts, on crops, in half precision, and compares what it made."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from analyses.report.shell import main
from probekit.errors import InputError
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.train import progress_of
from probekit.train.start import Start


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders of 20×24 PNGs: two parts of a training set and what is held out."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, count in (("a", 5), ("b", 4), ("val", 3)):
        (folder / name).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def trained(pictures: Path, out: Path, *more: Any) -> str:
    """What the command prints, its line of error raised."""
    arguments = [
        *("train", pictures / "a", pictures / "b", "--out", out, "--held-out", pictures / "val", "--name", "tiny"),
        *("--size", 16, "--channels", "4,8", "--steps", 3, "--batch-size", 4, "--device", "cpu", "--quiet", *more),
    ]
    out_text, err_text = StringIO(), StringIO()
    with redirect_stdout(out_text), redirect_stderr(err_text):
        status = main(list(map(str, arguments)))
    if status:
        raise InputError(err_text.getvalue())
    return out_text.getvalue()


def card_of(out: Path) -> dict[str, Any]:
    return zoo.describe(out / "tiny.safetensors")["card"]


def test_a_run_in_parts_says_where_it_stopped_and_ends_with_the_weights_of_a_whole_one(
    pictures: Path, tmp_path: Path
) -> None:
    trained(pictures, tmp_path / "whole")
    for step in (1, 2):
        said = trained(pictures, tmp_path / "parts", "--minutes", 0)
        assert said == f"stopped after {step} of 3 steps: the same command goes on from there\n"
        assert not list((tmp_path / "parts").glob("tiny*"))
    assert "wrote" in trained(pictures, tmp_path / "parts", "--minutes", 0)
    whole, parts = (zoo.describe(tmp_path / p / "tiny.safetensors") for p in ("whole", "parts"))
    assert whole["weights_sha256"] == parts["weights_sha256"]
    assert whole["card"]["psnr"] == parts["card"]["psnr"]


def test_what_was_stopped_can_be_exported_as_it_is(pictures: Path, tmp_path: Path) -> None:
    trained(pictures, tmp_path, "--minutes", 0)
    assert "wrote" in trained(pictures, tmp_path, "--export")
    assert card_of(tmp_path)["steps"] == progress_of(tmp_path)["step"] == 1


def test_crops_are_of_the_side_given_and_so_are_the_images_that_they_are_measured_on(
    pictures: Path, tmp_path: Path
) -> None:
    trained(pictures, tmp_path, "--crop", 8)
    card = card_of(tmp_path)
    assert (card["recipe"]["crop"], card["data"]["size"]) == (8, 16)
    # The noisy images' mean square over 3 images of 3 × 8 × 8: five standard deviations of 576 normals, in dB. Of
    # 16 × 16 it would be another number, so the bound is not all that is asked: whole images give other numbers.
    noisy = np.array(card["psnr"]["noisy"]) + 20 * np.log10(card["psnr"]["sigma"])
    assert np.abs(noisy).max() < -10 * np.log10(1 - 5 * (2 / 576) ** 0.5)
    trained(pictures, tmp_path / "whole", "--size", 8)
    whole = card_of(tmp_path / "whole")["psnr"]
    assert np.allclose(whole["noisy"], card["psnr"]["noisy"], atol=0.011)
    assert whole["patch_wiener"] != card["psnr"]["patch_wiener"]


def test_the_card_names_precision_and_the_row_of_training_images(pictures: Path, tmp_path: Path) -> None:
    said = trained(pictures, tmp_path, "--precision", "bfloat16")
    card = card_of(tmp_path)
    assert card["precision"] == "bfloat16"
    assert card["psnr"]["training_count"] == 3
    names = ("sigma", "denoiser", "noisy", "gaussian blur", "patch wiener", "on training")
    rows = said.splitlines()[1:-1]
    assert all(row.strip().startswith(f"{name} ") for row, name in zip(rows, names, strict=True))


def test_another_denoiser_is_measured_beside_it(pictures: Path, tmp_path: Path) -> None:
    trained(pictures, tmp_path / "first")
    first = tmp_path / "first/tiny.safetensors"
    renamed = zoo.save(zoo.load(first), tmp_path / "other.safetensors")
    trained(pictures, tmp_path / "second", "--compare", renamed)
    # The same training again: the same weights, up to half precision in the one that is compared.
    table = card_of(tmp_path / "second")["psnr"]
    np.testing.assert_allclose(table["other"], table["denoiser"], atol=0.02)


def test_a_denoiser_that_cannot_take_the_images_is_refused_before_anything_is_trained(
    pictures: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    deep = UNet((2,) * 6, encoder_convs=(1,) * 5, middle_convs=1, decoder_convs=(2,) * 5)
    path = zoo.save(deep, tmp_path / "deep.safetensors")
    with pytest.raises(InputError, match=r"--compare .*deep\.safetensors: images of 16×16 .*multiples of 32"):
        trained(pictures, tmp_path / "run", "--compare", path)
    assert not (tmp_path / "run").exists()


def test_a_crop_that_the_card_cannot_be_measured_on_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--crop 4: the card's reference filters 8×8 patches; give at least 8"):
        trained(pictures, tmp_path, "--crop", 4)


def test_a_network_that_crops_suit_but_whole_images_do_not_gets_its_card(pictures: Path, tmp_path: Path) -> None:
    # 18 is no multiple of 4, which this network halves images by; 8 is.
    trained(pictures, tmp_path, "--size", 18, "--crop", 8, "--channels", "4,4,8")
    card = card_of(tmp_path)
    assert card["data"]["size"] == 18
    assert np.isfinite(card["psnr"]["on_training"]).all()


def test_procedural_images_are_measured_at_the_side_of_the_crops_too(tmp_path: Path) -> None:
    arguments = "train shapes:6 --held-out shapes:3:1 --name tiny --size 18 --crop 8 --channels 4,4,8 --steps 1"
    # At a side of 18 the network could not take them.
    assert main([*arguments.split(), "--batch-size", "2", "--quiet", "--out", str(tmp_path)]) == 0


def test_a_grey_network_is_trained_on_ovals_and_measured_on_others(tmp_path: Path) -> None:
    arguments = "train ovals:6 --held-out ovals:3:1 --bands 1 --size 24 --name tiny --channels 4,8 --steps 1"
    assert main([*arguments.split(), "--batch-size", "2", "--quiet", "--out", str(tmp_path)]) == 0
    made = zoo.describe(tmp_path / "tiny.safetensors")
    assert made["config"]["image_channels"] == 1
    assert np.isfinite(made["card"]["psnr"]["noisy"]).all()


def test_a_network_of_one_plane_is_begun_for_images_of_one_plane() -> None:
    for model, channels in (("unet", (4, 8)), ("sigma-unet", (4, 8)), ("dncnn", (4,))):
        made = Start(model=model, channels=channels, bands=1).denoiser()
        assert made(torch.zeros(1, 1, 8, 8), 0.1).shape == (1, 1, 8, 8)
    with pytest.raises(InputError, match="--bands 1, where it has 3; leave these options out"):
        Start(init="photo32", bands=1).denoiser()


def test_images_that_the_network_cannot_take_are_refused_before_anything_is_trained(
    pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"18×18 .* multiples of 4"):
        trained(pictures, tmp_path / "run", "--size", 18, "--channels", "4,4,8")
    assert not (tmp_path / "run").exists()


def test_a_denoiser_called_like_a_row_of_the_card_or_given_twice_is_refused_before_anything_is_trained(
    pictures: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = UNet((4, 8), encoder_convs=(2,), middle_convs=1, decoder_convs=(2,))
    noisy, other = (zoo.save(model, tmp_path / f"{name}.safetensors") for name in ("noisy", "other"))
    for given in ((noisy,), (other, other)):
        with pytest.raises(InputError, match=f"the card has a row {given[0].stem} already"):
            trained(pictures, tmp_path / "run", "--compare", ",".join(map(str, given)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "dncnn"), "--model dncnn, where it has unet"),
        (("--channels", "4,12"), r"channels=\[4, 12\]: a network of \[4, 8\] is widened"),
        (("--depth", 5), "--depth 5, where it has none"),
    ],
)
def test_a_start_that_is_another_network_than_asked_for_is_refused(
    pictures: Path, tmp_path: Path, options: tuple[Any, ...], message: str
) -> None:
    torch.manual_seed(0)
    start = zoo.save(UNet((4, 8), encoder_convs=(2,), decoder_convs=(5,)), tmp_path / "start.safetensors")
    with pytest.raises(InputError, match=message):
        trained(pictures, tmp_path / "run", "--init", start, *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--minutes", -1), "--minutes -1.0: give a time of at least 0"),
        (("--minutes", "nan"), "--minutes nan: give a time of at least 0"),
        (("--name", ""), "--name '': give the name of a file"),
        (("--name", "a/b"), "--name 'a/b': give the name of a file"),
        (("--name", "a-00001-of-00002"), "not that of a part of one"),
        (("--seed", 2**64), "an int of 64 bits"),
    ],
)
def test_options_that_mean_nothing_are_refused_before_anything_is_read(
    pictures: Path, tmp_path: Path, options: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        trained(pictures / "nowhere", tmp_path / "run", *options)


@pytest.mark.parametrize("option", ["--threads", "--max-held-out"])
def test_numbers_below_one_are_errors_of_use(option: str) -> None:
    arguments = ["train", "nowhere", "--held-out", "nowhere", "--out", "nowhere", option]
    assert main([*arguments, "0"]) == 2
    assert main([*arguments, "1"]) == 1


def test_threads_are_those_asked_for_while_it_runs_and_as_before_afterwards(pictures: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    trained(pictures, tmp_path / "run", "--threads", before + 1)
    assert card_of(tmp_path / "run")["device"] == f"CPU, {before + 1} threads"
    assert torch.get_num_threads() == before


def test_a_wider_run_begins_where_a_narrower_one_ended_and_its_card_says_so(pictures: Path, tmp_path: Path) -> None:
    trained(pictures, tmp_path / "narrow")
    start = tmp_path / "narrow/tiny.safetensors"
    options = ("--init", start, "--channels", "8,16")
    trained(pictures, tmp_path / "wide", *options, "--minutes", 0)
    trained(pictures, tmp_path / "wide", *options)
    found = zoo.describe(tmp_path / "wide/tiny.safetensors")
    assert found["config"]["channels"] == [8, 16]
    assert found["card"]["initial weights"]["widened from"]["channels"] == [4, 8]
    assert found["card"]["images seen"] == 2 * 3 * 4
    # The same run in one part: the wider start follows from the seed.
    trained(pictures, tmp_path / "whole", *options)
    assert zoo.describe(tmp_path / "whole/tiny.safetensors")["weights_sha256"] == found["weights_sha256"]


def test_a_run_goes_on_only_from_the_start_that_it_began_with(pictures: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    starts = [UNet((4, 8), encoder_convs=(2,), decoder_convs=(5,)) for _ in range(2)]
    one, other = (zoo.save(model, tmp_path / f"{k}.safetensors") for k, model in enumerate(starts))
    trained(pictures, tmp_path / "run", "--init", one, "--minutes", 0)
    trained(pictures, tmp_path / "new", "--minutes", 0)
    for out, given, began in (("run", ("--init", other), "0"), ("run", (), "0"), ("new", ("--init", one), "UNet")):
        with pytest.raises(InputError, match=f"the run in --out began from {began} .*: give the --init of the first"):
            trained(pictures, tmp_path / out, *given)
    trained(pictures, tmp_path / "run", "--init", one)
    assert card_of(tmp_path / "run")["initial weights"]["name"] == "0"
    assert "wrote" in trained(pictures, tmp_path / "new")
