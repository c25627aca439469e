"""PSNR is what its formula says, is measured in evaluation mode, and leaves the network as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.evaluation.psnr import CARD_SIGMA, card_table, psnr, psnr_curve
from probekit.evaluation.references import GaussianBlur, PatchWiener
from probekit.images import ImageSet, load


def photographs(n: int = 6, side: int = 32, seed: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    return load(rng.random((n, 3, side, side), dtype=np.float32), ids=[f"p{i}" for i in range(n)])


class Shrinking(nn.Module):
    """Draws the image towards grey, and normalises by batch statistics so that its mode can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.frozen = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)

    def forward(self, y: Tensor) -> Tensor:
        return 0.5 + 0.5 * (self.drop(self.frozen(self.norm(y))) - 0.5)


@given(error=st.floats(1e-3, 1e3), n=st.integers(1, 4), rows=st.integers(1, 5))
def test_psnr_of_a_constant_error_is_minus_20_log10_of_it(error: float, n: int, rows: int) -> None:
    clean = torch.rand(n, 2, rows, 3, dtype=torch.float64)
    expected = np.full(n, -20 * np.log10(error))
    # The difference of two numbers near 10³ at most loses 2⁻⁵³ · 10⁶ of an error of 10⁻³.
    np.testing.assert_allclose(psnr(clean, clean + error).numpy(), expected, atol=1e-8)
    np.testing.assert_allclose(psnr(clean, clean - error).numpy(), expected, atol=1e-8)


def test_psnr_is_of_each_image_alone_and_of_the_mean_square_over_all_its_pixels() -> None:
    clean = torch.zeros(3, 1, 2, 2, dtype=torch.float64)
    estimate = clean.clone()
    estimate[0, 0, 0, 0] = 2.0  # mean square 1
    estimate[1] = 0.1  # 0.01
    estimate[2, 0, :, 0] = 0.2  # 0.02
    np.testing.assert_allclose(psnr(clean, estimate).numpy(), [0, 20, -10 * np.log10(0.02)], atol=1e-12)


@pytest.mark.parametrize("side", [8, 32])
def test_psnr_of_the_noisy_image_is_minus_20_log10_sigma(side: int) -> None:
    sigma = [0.01, 0.1, 0.5, 1.0, 3.0]
    curve = psnr_curve(nn.Identity(), photographs(side=side), sigma=sigma)
    # The mean square of m standard normals has standard deviation √(2/m); five of them, in dB.
    bound = -10 * np.log10(1 - 5 * (2 / (3 * side**2)) ** 0.5)
    assert float(np.abs(curve + 20 * np.log10(sigma)).max()) < bound


def test_one_noise_draw_is_shared_by_all_levels() -> None:
    sigma = np.array([0.05, 0.1, 0.7])
    curve = psnr_curve(nn.Identity(), photographs(), sigma=sigma)
    relative = curve.values + 20 * np.log10(sigma)
    # The same z at every level gives the same deviation from −20 log₁₀ σ, up to the rounding of y = x + σz in float32.
    assert float(np.ptp(relative, axis=1).max()) < 1e-3
    assert float(np.ptp(relative, axis=0).min()) > 1e-2


def test_each_seed_has_noise_of_its_own() -> None:
    a, b = (psnr_curve(nn.Identity(), photographs(), sigma=[0.1], seed=s) for s in (0, 1))
    assert float(np.abs(a - b).min()) > 0
    assert (a.attrs["seed"], b.attrs["seed"]) == (0, 1)


@pytest.mark.parametrize("batch_size", [1, 4, 6, 250])
def test_the_curve_does_not_depend_on_the_batch_size(batch_size: int) -> None:
    images = photographs()
    curve, reference = (psnr_curve(nn.Identity(), images, sigma=[0.1, 1.0], batch_size=b) for b in (batch_size, 5))
    np.testing.assert_allclose(curve.values, reference.values, rtol=1e-6)


def test_the_curve_is_labelled_by_image_and_sigma() -> None:
    images = photographs(4, side=8)
    curve = psnr_curve(nn.Identity(), images, sigma=[0.1, 0.5])
    assert (curve.name, curve.dims) == ("psnr", ("image", "sigma"))
    assert curve["image"].values.tolist() == list(images.ids)
    assert curve["sigma"].values.tolist() == [0.1, 0.5]
    assert curve["sigma"].dtype == np.float64
    assert (curve.attrs["units"], curve.attrs["images"]) == ("dB", images.name)


def test_the_denoiser_is_told_each_level() -> None:
    class Shifting(nn.Module):
        def forward(self, y: Tensor, sigma: Any) -> Tensor:
            return y * 0 + sigma.view(-1, 1, 1, 1)

    images = load(np.zeros((2, 1, 4, 4), np.float32))
    curve = psnr_curve(Shifting(), images, sigma=[0.1, 0.5])
    np.testing.assert_allclose(curve.values, np.tile(-20 * np.log10([0.1, 0.5]), (2, 1)), rtol=1e-5)


def test_a_network_is_measured_in_evaluation_mode_whatever_its_mode() -> None:
    curves = []
    for training in (True, False):
        model = Shrinking().train(training)
        curves.append(psnr_curve(model, photographs(), sigma=[0.2]))
        assert torch.equal(model.norm.running_mean, torch.zeros(3))
    np.testing.assert_array_equal(curves[0].values, curves[1].values)


@pytest.mark.parametrize("wrap", [lambda m: m, Denoiser], ids=["network", "denoiser"])
@pytest.mark.parametrize("modes", ["training", "evaluation", "mixed"])
def test_every_module_is_set_back_to_its_own_mode(wrap: Callable[[nn.Module], nn.Module], modes: str) -> None:
    model = Shrinking().train(modes != "evaluation")
    if modes == "mixed":
        model.frozen.eval()
    before = [m.training for m in model.modules()]
    psnr_curve(wrap(model), photographs(2, side=8), sigma=[0.2])
    assert [m.training for m in model.modules()] == before


def test_a_network_that_fails_is_set_back_to_its_own_mode() -> None:
    class Failing(Shrinking):
        def forward(self, y: Tensor) -> Tensor:
            raise KeyError(f"lost {len(y)}")

    model = Failing().train()
    with pytest.raises(KeyError, match="lost 2"):
        psnr_curve(model, photographs(2, side=8), sigma=[0.2])
    assert all(m.training for m in model.modules())


def test_the_card_holds_the_mean_psnr_of_the_denoiser_and_of_what_it_must_beat() -> None:
    held_out, fitted_on = photographs(5, side=8), photographs(20, side=8, seed=1)
    model = Shrinking().eval()
    table = card_table(model, held_out, fitted_on=fitted_on)
    expected = {
        "denoiser": model,
        "noisy": nn.Identity(),
        "gaussian_blur": GaussianBlur(fitted_on, sigma=CARD_SIGMA),
        "patch_wiener": PatchWiener(fitted_on, patch=8),
    }
    assert set(table) == {"sigma", "images", "count", "units", "on_training", "training_count", *expected}
    assert table["sigma"] == list(CARD_SIGMA)
    assert (table["images"], table["count"]) == (held_out.name, 5)
    for name, method in expected.items():
        curve = psnr_curve(method, held_out, sigma=CARD_SIGMA).mean("image").values
        # Rounded to two digits.
        np.testing.assert_allclose(table[name], curve, atol=0.005 + 1e-5)
        assert all(round(v, 2) == v for v in table[name])


def test_the_card_of_other_levels_is_measured_at_them() -> None:
    images = photographs(3, side=8)
    table = card_table(nn.Identity(), images, fitted_on=images, sigma=(0.25,))
    assert table["sigma"] == [0.25]
    assert table["denoiser"] == table["noisy"]
    assert len(table["patch_wiener"]) == 1


def test_other_denoisers_stand_in_the_table_under_their_names_measured_on_the_same_images() -> None:
    images = photographs(3, side=8)
    table = card_table(Shrinking(), images, fitted_on=images, compare={"other": nn.Identity()}, sigma=(0.1, 0.5))
    assert table["other"] == table["noisy"]
    for name in ("noisy", "on_training", "count"):
        with pytest.raises(InputError, match=rf"compare has {name}, a row that the table has already: rename it"):
            card_table(nn.Identity(), images, fitted_on=images, compare={name: nn.Identity()}, sigma=(0.1,))


class Knowing(nn.Module):
    """Returns the nearest of the images it knows: it has learnt them by heart, and nothing else."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.register_buffer("known", known)

    known: Tensor

    def forward(self, y: Tensor) -> Tensor:
        apart = torch.cdist(y.flatten(1), self.known.flatten(1))
        return self.known[apart.argmin(dim=1)]


def test_what_is_learnt_by_heart_shows_in_the_row_of_training_images() -> None:
    training, held_out = photographs(40, side=8, seed=1), photographs(7, side=8)
    table = card_table(Knowing(training.read(range(40)) + 0.01), held_out, fitted_on=training, sigma=(0.05,))
    # 192 uniform values differ by √(1/6) on average, 7.8 dB; of those known by heart 0.01 is left, 40 dB.
    assert table["on_training"] == [40.0]
    assert table["denoiser"][0] < 10
    assert table["training_count"] == 7


def test_the_row_of_training_images_is_over_images_spread_evenly_over_the_set() -> None:
    values = np.linspace(0.1, 0.9, 9, dtype=np.float32)[:, None, None, None]
    training = load(np.broadcast_to(values, (9, 1, 8, 8)).copy())

    class Zero(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return 0 * y

    table = card_table(Zero(), training.subset([0, 1, 2]), fitted_on=training, sigma=(0.1,))
    # The first, the middle and the last: −20 log₁₀ of 0.1, 0.5 and 0.9.
    assert table["on_training"] == [round(float(np.mean(-20 * np.log10([0.1, 0.5, 0.9]))), 2)]


class Guess(nn.Module):
    """Returns what it is given."""

    def forward(self, y: Tensor, sigma: float, *, guess: Tensor) -> Tensor:  # noqa: ARG002
        return guess + 0 * y


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_psnr_of_a_network_given_more_is_of_what_belongs_to_each_image(batch_size: int) -> None:
    x = np.random.default_rng(0).random((5, 1, 4, 4), np.float32)
    images = load(x)
    error = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    guess = x + error[:, None, None, None]
    by_id = {str(i): guess[i] for i in (3, 1, 4, 0, 2)}
    for values in (guess, by_id):
        curve = psnr_curve(Guess(), images, sigma=[0.1, 0.7], batch_size=batch_size, conditions={"guess": values})
        np.testing.assert_allclose(curve, np.tile(-20 * np.log10(error)[:, None], 2), rtol=1e-4)
    with pytest.raises(InputError, match="'guess' must be given"):
        psnr_curve(Guess(), images, sigma=[0.1])
    with pytest.raises(InputError, match="'guess' has 4 entries"):
        psnr_curve(Guess(), images, sigma=[0.1], conditions={"guess": guess[:4]})
