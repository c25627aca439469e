"""A denoiser that has learnt images by heart is caught, and one that knows their law alone is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binom
from torch import Tensor, nn

from analyses import generalisation
from analyses.generalisation.kernels import nearest_training, threshold
from probekit.errors import InputError
from probekit.images import load
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

# Energies of the four components of 2×2 patches: images with structure, of a law that is known.
LAW = PatchModel([0.5, 0.5], [[0.2, 0.05, 0, 0], [0.2, 0, 0.05, 0]])
SHARE, SAMPLES = 0.05, 60


class ByHeart(nn.Module):
    """Returns the nearest of the images that it knows, to 60 dB."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.register_buffer("known", known)

    known: Tensor

    def forward(self, y: Tensor) -> Tensor:
        return self.known[torch.cdist(y.flatten(1), self.known.flatten(1)).argmin(dim=1)] + 1e-3


def draws(n: int, seed: int) -> Any:
    return LAW.draw(n, rows=8, cols=8, seed=seed).images


@pytest.fixture(scope="module")
def known() -> Any:
    return draws(300, 0)


def found(denoiser: nn.Module, training: Any, **options: Any) -> xr.Dataset:
    settings = {"n_samples": SAMPLES, "share": SHARE, "sigma": (0.1, 0.5), "batch_size": 100} | options
    return generalisation.analyse(denoiser, training, draws(199, 1), **settings)


@pytest.fixture(scope="module")
def honest(known: Any) -> xr.Dataset:
    return found(LAW, known)


@pytest.fixture(scope="module")
def by_heart(known: Any) -> xr.Dataset:
    return found(ByHeart(load(known).read(range(300))), known)


def test_samples_of_a_denoiser_that_has_learnt_by_heart_are_all_near_copies(by_heart: xr.Dataset) -> None:
    assert float(by_heart.near_copy_rate) == 1
    assert float(by_heart.near_copy_rate_low) > SHARE
    np.testing.assert_allclose(by_heart.samples, by_heart.nearest_image, atol=1e-3 + 1e-6)


def test_samples_of_the_law_itself_are_near_copies_as_seldom_as_unseen_images_are(honest: xr.Dataset) -> None:
    # Given the threshold, the 10th smallest of 199, the share of unseen images below it has a Beta(10, 190) law: below
    # 0.105 but with probability 0.001; so many of 60 samples are exceeded with probability 0.001.
    assert honest.near_copy.sum() <= binom.isf(0.001, SAMPLES, 0.105)
    assert float(honest.near_copy_rate_low) < SHARE


def test_what_is_learnt_by_heart_raises_the_psnr_on_training_images_only(
    honest: xr.Dataset, by_heart: xr.Dataset
) -> None:
    # At σ = 0.1 the nearest of 300 images is the image itself. Of others it is no better than one at random, at most
    # the variance of the law: some 60 against 15 dB.
    assert float(by_heart.psnr_training.sel(sigma=0.1)) == pytest.approx(60, abs=0.01)
    assert float(by_heart.gap_low.sel(sigma=0.1)) > 20
    # Of the exact denoiser the expected gap is 0; its interval is about 4 standard errors wide, so twice it contains 0
    # but with probability 1e-4.
    middle, half = honest.gap.values, (honest.gap_high - honest.gap_low).values / 2
    assert (np.abs(middle) < 2 * half).all()


def test_the_gap_is_the_difference_of_the_two_curves(honest: xr.Dataset) -> None:
    np.testing.assert_allclose(honest.gap, honest.psnr_training - honest.psnr_held_out)
    for name in ("psnr_training", "psnr_held_out", "gap"):
        assert (honest[f"{name}_low"] <= honest[name]).all()
        assert (honest[name] <= honest[f"{name}_high"]).all()


def test_one_image_learnt_by_heart_beside_the_law_is_found(known: Any) -> None:
    image = load(known).read([0])

    class Drawn(nn.Module):
        """Knows one image by heart, and takes for it whatever lies on its side; of all else it knows the law."""

        def forward(self, y: Tensor, sigma: Any) -> Tensor:
            near = (y.flatten(1) @ image.flatten() > 0).view(-1, 1, 1, 1)
            return torch.where(near, image, LAW(y, sigma))

    findings = found(Drawn(), known)
    # Half of all noise begins on its side.
    assert float(findings.near_copy_rate_low) > SHARE
    copies = findings.relative_distance.values < 1e-2
    assert copies.any()
    assert set(findings.nearest.values[copies]) == {load(known).ids[0]}


@given(seed=st.integers(0, 99), n=st.integers(4, 700), k=st.integers(1, 5))
def test_the_nearest_training_image_is_that_of_a_search_by_hand(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    training, mine = rng.random((n, 1, 3, 3)), rng.random((3, 1, 3, 3))
    result = nearest_training(torch.from_numpy(mine).float(), load(training), neighbours=k)
    a, b = (x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(1, keepdims=True) for x in (mine, training))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    distances = np.linalg.norm(a[:, None] - b[None], axis=2)
    order = np.sort(distances, axis=1)
    # Of correlations in single precision: an error of some 2⁻²² under a root at √(2 − 2 corr) > 1e-2 or so.
    np.testing.assert_allclose(result.distance, order[:, 0], atol=1e-4)
    np.testing.assert_allclose(distances[np.arange(3), result.position], order[:, 0], atol=1e-4)
    np.testing.assert_allclose(result.relative, order[:, 0] / order[:, 1 : k + 1].mean(axis=1), atol=1e-3)


def test_brightness_and_contrast_do_not_hide_a_copy() -> None:
    training = load(np.random.default_rng(0).random((30, 3, 4, 4)))
    copy = 0.1 * training.read([7]) + 0.6
    result = nearest_training(copy, training, neighbours=5)
    assert int(result.position[0]) == 7
    # 1 − corr is known to about 2⁻²², so the distance to √2⁻²¹ = 7e-4, of distances to others of order 1.
    assert float(result.relative[0]) < 5e-3


def test_blurred_images_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    training = load(rng.random((200, 1, 16, 16)))
    mean = training.read(range(200)).mean(0)
    # Their mean is nearer to a training image than others typically are, but to none much more than to the rest.
    blurred = nearest_training(mean[None], training, neighbours=50)
    others = nearest_training(torch.from_numpy(rng.random((99, 1, 16, 16))).float(), training, neighbours=50)
    assert float(blurred.distance) < float(others.distance.median())
    assert float(blurred.relative) > threshold(others.relative.tolist(), 0.05)


@given(n=st.integers(1, 300), share=st.floats(0.01, 0.99))
def test_the_threshold_leaves_no_larger_share_of_unseen_images_below_than_asked_for(n: int, share: float) -> None:
    values = np.random.default_rng(n).permutation(n) + 1.0
    if int(share * (n + 1) + 1e-9) < 1:
        with pytest.raises(InputError, match="give at least"):
            threshold(values.tolist(), share)
        return
    # Another image of the same law takes each of the n + 1 ranks with the same probability.
    assert threshold(values.tolist(), share) / (n + 1) <= share + 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.001}, "give at least 999, or a larger share"),
        ({"share": 0}, "share"),
        ({"n_samples": 0}, "n_samples=0"),
        ({"neighbours": 1.5}, "neighbours=1.5"),
        ({"resamples": 3}, "resamples=3"),
    ],
)
def test_options_out_of_range_are_refused(known: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        found(LAW, known, **options)


def test_sets_of_different_sizes_are_refused(known: Any) -> None:
    with pytest.raises(InputError, match="bring them to one size"):
        generalisation.analyse(LAW, known, LAW.draw(40, rows=8, cols=10, seed=1).images)


def test_the_figure_shows_the_samples_nearest_to_training_images_first(by_heart: xr.Dataset) -> None:
    figure = generalisation.plot(by_heart, most=5)
    titles = [axis.get_title() for axis in figure.axes if axis.get_images()]
    assert titles[:5] == ["0.00"] * 5
    with pytest.raises(InputError, match="generalisation"):
        generalisation.plot(xr.Dataset())


@pytest.mark.parametrize("columns", [1, 7, 100])
def test_the_sheet_shows_every_sample_once_and_no_training_image(by_heart: xr.Dataset, columns: int) -> None:
    shown = [
        np.asarray(a.get_images()[0].get_array())
        for a in generalisation.sheet(by_heart, columns=columns).axes
        if a.get_images()
    ]
    assert len(shown) == SAMPLES
    for picture, sample in zip(shown, by_heart.samples.values, strict=True):
        np.testing.assert_array_equal(picture, np.clip(sample[0].astype(float), 0, 1))


def test_the_card_says_what_was_found(honest: xr.Dataset, by_heart: xr.Dataset) -> None:
    for findings, copies in ((by_heart, SAMPLES), (honest, int(honest.near_copy.sum()))):
        entry = json.loads(json.dumps(generalisation.card_entry(findings)))
        assert (entry["samples"], entry["near_copies"]) == (SAMPLES, copies)
        assert entry["near_copy_rate_low"] <= copies / SAMPLES <= entry["near_copy_rate_high"]
        np.testing.assert_allclose(entry["gap"], findings.gap, atol=0.005)
        assert entry["sigma"] == [0.1, 0.5]


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--device", "cuda:99"), "device='cuda:99'"), (("-o", __file__), "cannot write into")],
)
def test_what_cannot_be_done_is_said_before_images_are_read(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    arguments = ["--denoiser", "photo32", "--train", "nowhere", "--held-out", "nowhere", *options]
    assert generalisation.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_the_command_writes_findings_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        for i in range(9):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    torch.manual_seed(0)
    model = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    path = zoo.save(model, tmp_path / "tiny.safetensors")
    options = ["--size", "8", "--samples", "4", "--share", "0.2", "--device", "cpu", "-o", str(tmp_path / "out")]
    sources = ["--train", str(tmp_path / "train"), "--held-out", str(tmp_path / "val")]
    card = ["--card", str(path.with_suffix(".json"))]
    assert generalisation.main(["--denoiser", str(path), *sources, *options, *card]) == 0
    written = capsys.readouterr().out.splitlines()
    assert [Path(line).name for line in written] == [
        "generalisation.nc",
        "generalisation.png",
        "samples.png",
        "tiny.json",
    ]
    assert zoo.describe(path)["card"]["generalisation"]["samples"] == 4
    zoo.load(path)
    back = xr.load_dataset(written[0], engine="h5netcdf")
    assert back.sizes["sample"] == 4
    assert back.attrs["denoiser"] == "tiny"
    assert generalisation.main(["--denoiser", "photo32", *sources, *options, *card]) == 1
    assert "other weights than those of photo32" in capsys.readouterr().err
    assert generalisation.main(["--denoiser", "nobody", *sources, *options]) == 1
    assert "no bundled denoiser 'nobody'" in capsys.readouterr().err
