"""The classical references do what their formulas say, and the Wiener filter is best where it must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from probekit.denoising.denoiser import as_denoiser
from probekit.errors import InputError
from probekit.evaluation.references import GaussianBlur, PatchWiener
from probekit.images import ImageSet, load
from probekit.noise import standard_normal

SIDE = 4
# Variances of the sixteen components of a 4×4 image, from strong to absent.
VARIANCES = np.append(0.5 * 0.6 ** np.arange(15), 0)


def gaussian_images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 4, 4) of a known Gaussian law, and its mean (16,)."""
    law = np.random.default_rng(7)
    axes = np.linalg.qr(law.standard_normal((16, 16)))[0]
    mean = law.uniform(0, 1, 16)
    rng = np.random.default_rng(seed)
    images = mean + (rng.standard_normal((n, 16)) * np.sqrt(VARIANCES)) @ axes.T
    return images.reshape(n, 1, SIDE, SIDE).astype(np.float32), mean


def textures(n: int = 5, bands: int = 2, rows: int = 9, cols: int = 7, seed: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.standard_normal((n, bands, rows, cols)), (0, 0, 1, 1))
    return load((0.5 + smooth).astype(np.float32))


@pytest.fixture(scope="module")
def wiener() -> tuple[PatchWiener, int]:
    n = 2**16
    return PatchWiener(load(gaussian_images(n, 1)[0]), patch=SIDE), n


def squared_errors(estimate: torch.Tensor, clean: np.ndarray) -> np.ndarray:
    return ((estimate.numpy().astype(float) - clean) ** 2).reshape(len(clean), -1).sum(1)


def expected_excess(sigma: float, n: int) -> float:
    """What estimating mean and covariance from n images costs, to first order in 1/n.

    With M = C + σ² and Δ the error of C, the gain is off by σ² M⁻¹ Δ M⁻¹; E Δ X Δ = (C X C + tr(C X) C)/n.
    The mean is off by C/n, of which σ² M⁻¹ passes.
    """
    m = VARIANCES + sigma**2
    covariance = (VARIANCES**2 / m**3).sum() + (VARIANCES / m).sum() * (VARIANCES / m**2).sum()
    return float(sigma**4 / n * (covariance + (VARIANCES / m**2).sum()))


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.3, 1.0, 3.0])
def test_on_gaussian_patches_the_wiener_filter_has_the_least_possible_error(
    wiener: tuple[PatchWiener, int], sigma: float
) -> None:
    model, n = wiener
    clean, _ = gaussian_images(2**16, 2)
    noisy = clean + sigma * np.random.default_rng(3).standard_normal(clean.shape)
    errors = squared_errors(model(torch.from_numpy(noisy).float(), sigma), clean)
    # The Bayes error of each component, λσ²/(λ + σ²), is the variance of a Gaussian: five standard errors of their sum.
    bayes = VARIANCES * sigma**2 / (VARIANCES + sigma**2)
    standard_error = (2 * (bayes**2).sum() / len(clean)) ** 0.5
    assert abs(errors.mean() - bayes.sum()) < 5 * standard_error + 3 * expected_excess(sigma, n)


@pytest.mark.parametrize("scale", [0.8, 0.9, 1.1, 1.2])
@pytest.mark.parametrize("sigma", [0.1, 0.3, 1.0])
def test_on_gaussian_patches_every_scaled_wiener_filter_is_worse(
    wiener: tuple[PatchWiener, int], sigma: float, scale: float
) -> None:
    model, n = wiener
    clean, mean = gaussian_images(2**16, 4)
    noisy = clean + sigma * np.random.default_rng(5).standard_normal(clean.shape)
    estimate = model(torch.from_numpy(noisy).float(), sigma)
    about = torch.from_numpy(mean.reshape(1, 1, SIDE, SIDE)).float()
    worse = squared_errors(about + scale * (estimate - about), clean) - squared_errors(estimate, clean)
    # Scaling by s costs (1 − s)² G, G = Σ λ²/(λ + σ²) the energy of the estimate; an estimate whose own error is
    # larger than the least by e changes that by at most 2 |1 − s| √(G e) (Cauchy–Schwarz), and e is known.
    energy = (VARIANCES**2 / (VARIANCES + sigma**2)).sum()
    slack = 2 * abs(1 - scale) * (energy * 3 * expected_excess(sigma, n)) ** 0.5
    least = (1 - scale) ** 2 * energy - slack - 5 * worse.std() / len(worse) ** 0.5
    assert least > 0
    assert worse.mean() > least


def patches_of(image: np.ndarray, side: int, stride: int) -> np.ndarray:
    """All patches (m, bands · side²) of an image (bands, rows, cols), left to right and top to bottom."""
    rows, cols = image.shape[1:]
    return np.stack(
        [
            image[:, r : r + side, c : c + side].ravel()
            for r in range(0, rows - side + 1, stride)
            for c in range(0, cols - side + 1, stride)
        ]
    )


@pytest.mark.parametrize("n", [5, 300])
def test_the_wiener_filter_is_fitted_to_mean_and_covariance_of_patches_of_all_colours(n: int) -> None:
    images = textures(n)
    model = PatchWiener(images, patch=4)
    rows = np.concatenate([patches_of(x, 4, 2) for x in images.read(range(n)).numpy().astype(float)])
    np.testing.assert_allclose(model.mean.numpy(), rows.mean(0), rtol=1e-5)
    covariance = (model.axes * model.variances) @ model.axes.T
    np.testing.assert_allclose(covariance.numpy(), np.cov(rows.T, bias=True), atol=1e-6)


@given(levels=st.lists(st.floats(0.01, 3), min_size=2, max_size=2), side=st.integers(1, 5))
def test_overlapping_patches_are_filtered_and_their_estimates_averaged(levels: list[float], side: int) -> None:
    model = PatchWiener(textures(40), patch=side)
    y = textures(2, seed=1).read([0, 1]).numpy()
    clean = model(torch.from_numpy(y), torch.tensor(levels)).numpy()
    mean, axes, variances = (b.numpy().astype(float) for b in (model.mean, model.axes, model.variances))
    for image, sigma, found in zip(y, levels, clean, strict=True):
        total, count = np.zeros(image.shape), np.zeros(image.shape)
        gain = (axes * (variances / (variances + sigma**2))) @ axes.T
        for r in range(image.shape[1] - side + 1):
            for c in range(image.shape[2] - side + 1):
                window = (slice(None), slice(r, r + side), slice(c, c + side))
                total[window] += (mean + gain @ (image[window].ravel() - mean)).reshape(total[window].shape)
                count[window] += 1
        np.testing.assert_allclose(found, total / count, atol=1e-4)


def test_without_noise_the_wiener_filter_returns_the_image() -> None:
    model = PatchWiener(textures(200), patch=3)
    assert float(model.variances.min()) > 1e-4
    y = textures(2, seed=1).read([0, 1])
    # Gains λ/(λ + 10⁻¹²) with λ > 10⁻⁴: what is left is the rounding of 18 products in float32.
    torch.testing.assert_close(model(y, 0), y, rtol=0, atol=1e-5)


def test_the_references_keep_the_denoiser_contract_and_must_be_told_sigma() -> None:
    images = textures()
    for model in (PatchWiener(images, patch=3), GaussianBlur(images, sigma=[0.1])):
        assert as_denoiser(model) is model
        y = images.read([0, 1])
        assert model(y, 0.1).shape == y.shape
        assert torch.equal(model(y, 0.1), model(y, torch.tensor([0.1, 0.1])))
        with pytest.raises(InputError, match="told the noise level: pass sigma"):
            model(y, None)
        with pytest.raises(InputError, match=r"sigma=-1.*≥ 0"):
            model(y, -1)


def test_images_smaller_than_a_patch_are_refused() -> None:
    with pytest.raises(InputError, match="images of 9×7 hold no 8×8 patch"):
        PatchWiener(textures(), patch=8)


# Blur


def test_the_best_blur_is_wider_for_more_noise_on_smooth_images() -> None:
    sigma = (0.01, 0.1, 0.3, 1.0)
    blur = GaussianBlur(textures(20, rows=24, cols=24), sigma=sigma)
    assert all(a < b for a, b in zip(blur.widths[:-1], blur.widths[1:], strict=True))


@pytest.mark.parametrize("seed", [0, 3])
def test_the_width_of_the_blur_is_the_best_of_those_offered(seed: int) -> None:
    images, sigma, widths = textures(4, rows=12, cols=12), (0.05, 0.4), (0.3, 0.6, 1.2, 2.4)
    blur = GaussianBlur(images, sigma=sigma, widths=widths, seed=seed)
    clean = images.read(range(4)).numpy()
    z = standard_normal(images.shape, seed=seed, ids=images.ids, draws=[0] * 4).numpy()
    for s, chosen in zip(sigma, blur.widths, strict=True):
        errors = {w: np.mean((gaussian_filter(clean + np.float32(s) * z, (0, 0, w, w)) - clean) ** 2) for w in widths}
        assert chosen == min(errors, key=errors.get)


def test_each_image_is_blurred_by_the_width_of_the_level_nearest_to_its_own() -> None:
    blur = GaussianBlur(textures(), sigma=[0.1, 1.0])
    blur.widths = np.array([0.5, 2.0])
    y = textures(4, seed=1).read(range(4))
    clean = blur(y, torch.tensor([0.0, 0.5, 0.6, 9.0])).numpy()
    for image, width, found in zip(y.numpy(), (0.5, 0.5, 2.0, 2.0), clean, strict=True):
        # Colour planes are blurred apart, with the image reflected at its borders.
        for plane, blurred in zip(image, found, strict=True):
            np.testing.assert_allclose(blurred, gaussian_filter(plane, width, mode="reflect"), atol=1e-6)


def test_a_constant_image_is_left_alone_by_any_blur() -> None:
    blur = GaussianBlur(textures(), sigma=[0.1, 1.0])
    y = torch.full((2, 2, 9, 7), 0.25)
    torch.testing.assert_close(blur(y, 1.0), y, rtol=1e-6, atol=0)
