"""Colours, filters and energies of images against plain loops over pixels, frequencies and filters."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from analyses.descriptors import kernels

# Transfer functions are of single precision: frequencies and angles to 2⁻²⁴, exponents of some tens times that.
SINGLE = {"rtol": 2e-5, "atol": 1e-6}
# ITU-R 601, in units of 2⁻¹⁶.
LUMA = {1: [1.0], 2: [0.5, 0.5], 3: np.round(np.array([0.299, 0.587, 0.114]) * 2**16) / 2**16}


def drawn(bands: int, rows: int, cols: int, count: int = 2) -> np.ndarray:
    """Images with an even one among them, an intensity below 0 and some above 1."""
    images = np.random.default_rng(bands + 10 * rows).random((count, bands, rows, cols)) * 1.1
    images[0, :, 0, 1] = -0.2
    images[-1] = 0.25
    return images


@pytest.mark.parametrize(("bands", "bins"), [(1, 1), (1, 4), (2, 3), (3, 2), (3, 4)])
def test_colours_are_counted_pixel_by_pixel_the_first_band_the_slowest(bands: int, bins: int) -> None:
    rng = np.random.default_rng(bins)
    # Halves of bins: every second number lies on a border, some outside.
    images = rng.integers(-2, 2 * bins + 3, size=(3, bands, 5, 7)) / (2 * bins)
    found = kernels.colour_statistics(torch.from_numpy(images), bins=bins).numpy()
    assert found.shape == (3, 2 * bands + bins**bands)
    for image, values in zip(images, found, strict=True):
        counts = np.zeros((bins,) * bands)
        for pixel in image.reshape(bands, -1).T:
            counts[tuple(min(max(math.floor(v * bins + 1e-9), 0), bins - 1) for v in pixel)] += 1
        moments = [one.mean() for one in image] + [math.sqrt(((one - one.mean()) ** 2).mean()) for one in image]
        np.testing.assert_allclose(values[: 2 * bands], moments, rtol=1e-9)
        np.testing.assert_allclose(values[2 * bands :], np.sqrt(counts.ravel() / 35), rtol=1e-9)
    np.testing.assert_array_equal(kernels.colour_moments(torch.from_numpy(images)), found[:, : 2 * bands])


def test_single_precision_stays_single() -> None:
    images = torch.from_numpy(drawn(3, 5, 6)).float()
    for found in (
        kernels.colour_statistics(images, bins=2),
        kernels.gabor_energies(images, scales=1, orientations=2),
        kernels.energies(images, scales=1, orientations=2, grid=1),
    ):
        assert found.dtype == torch.float32


def grid_of(rows: int, cols: int) -> list[tuple[int, int, float, float]]:
    """Place, frequency across and frequency upwards of each number of a transform."""
    down, across = np.fft.fftfreq(rows), np.fft.fftfreq(cols)
    return [(r, c, across[c], -down[r]) for r, c in np.ndindex(rows, cols)]


def gabor(rows: int, cols: int, scales: int, orientations: int) -> np.ndarray:
    bank = np.zeros((scales, orientations, rows, cols))
    for s, o in np.ndindex(scales, orientations):
        centre, turn = 0.25 / 2**s, math.pi * o / orientations
        # A third of the centre is half the width of an octave at half height; neighbours touch at half their angle.
        apart = math.pi / orientations if orientations > 3 else math.pi / 4
        for r, c, x, y in grid_of(rows, cols):
            along, aside = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
            half = (along - centre) / (centre / 3), aside / (centre * math.tan(apart / 2))
            if x or y:
                bank[s, o, r, c] = 0.5 ** (half[0] ** 2 + half[1] ** 2)
    return bank


def envelope(rows: int, cols: int, scales: int, orientations: int) -> np.ndarray:
    bank = np.zeros((scales, orientations, rows, cols))
    for s, o in np.ndindex(scales, orientations):
        centre, turn = 0.3 / 1.85**s, math.pi * o / orientations
        for r, c, x, y in grid_of(rows, cols):
            f = math.hypot(x, y)
            # Angles apart, the short way round.
            off = math.acos(min(max(math.cos(math.atan2(y, x) - turn), -1), 1))
            if f > 0 and max(abs(x), abs(y)) < 0.5:
                bank[s, o, r, c] = math.exp(
                    -3.5 * (f / centre - 1) ** 2 - 2 * math.pi * (orientations / 8) ** 2 * off**2
                )
    return bank


BANKS = [(8, 8, 2, 1), (9, 6, 3, 2), (6, 9, 1, 4), (5, 12, 2, 5), (12, 5, 2, 8)]


@pytest.mark.parametrize("given", BANKS)
def test_gabor_filters_are_their_formula_at_every_frequency(given: tuple[int, int, int, int]) -> None:
    np.testing.assert_allclose(kernels.gabor_filters(*given), gabor(*given), **SINGLE)


@pytest.mark.parametrize("given", BANKS)
def test_filters_of_the_envelope_are_their_formula_at_every_frequency(given: tuple[int, int, int, int]) -> None:
    np.testing.assert_allclose(kernels.filters(*given), envelope(*given), **SINGLE)


def test_centres_are_an_octave_apart_or_a_ratio_of_1_85() -> None:
    assert kernels.gabor_frequencies(4) == [0.25, 0.125, 0.0625, 0.03125]
    np.testing.assert_allclose(kernels.frequencies(4), [0.3, 0.3 / 1.85, 0.3 / 1.85**2, 0.3 / 1.85**3])


def extended(image: np.ndarray) -> np.ndarray:
    """Luminance, reflected about its edges by half its size, the odd pixel left out."""
    grey = np.tensordot(LUMA[len(image)], image, 1)
    return np.pad(grey, [(n // 2, n // 2) for n in grey.shape], mode="symmetric")


def passed(x: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    return np.fft.ifft2(np.fft.fft2(x) * transfer)


def inside(x: np.ndarray, rows: int, cols: int) -> np.ndarray:
    return x[rows // 2 :][:rows, cols // 2 :][:, :cols]


SIZES = [(1, 8, 8), (2, 7, 6), (3, 6, 9), (3, 5, 7)]


@pytest.mark.parametrize(("bands", "rows", "cols"), SIZES)
@pytest.mark.parametrize(("scales", "orientations"), [(1, 4), (3, 2)])
def test_gabor_energies_are_the_mean_square_modulus_inside_the_image(
    bands: int, rows: int, cols: int, scales: int, orientations: int
) -> None:
    images = drawn(bands, rows, cols)
    found = kernels.gabor_energies(torch.from_numpy(images), scales=scales, orientations=orientations)
    assert found.shape == (2, scales, orientations)
    for image, values in zip(images, found.numpy(), strict=True):
        whole = extended(image)
        bank = gabor(*whole.shape, scales, orientations)
        for place in np.ndindex(scales, orientations):
            response = inside(np.abs(passed(whole, bank[place])), rows, cols)
            np.testing.assert_allclose(values[place], math.sqrt((response**2).mean()), **SINGLE)


def whitened(image: np.ndarray, cutoff: float) -> np.ndarray:
    log = np.log(1 + 255 * np.maximum(extended(image), 0))
    blur = np.zeros(log.shape)
    for r, c, x, y in grid_of(*log.shape):
        # Half at the cut-off.
        blur[r, c] = 0.5 ** ((x**2 + y**2) / cutoff**2)
    detail = log - passed(log, blur).real
    return detail / (0.2 + np.sqrt(np.maximum(passed(detail**2, blur).real, 0)))


@pytest.mark.parametrize(("bands", "rows", "cols"), SIZES)
@pytest.mark.parametrize("cutoff", [0.02, 0.1, 0.4])
def test_prefiltered_images_are_log_luminance_whitened(bands: int, rows: int, cols: int, cutoff: float) -> None:
    images = drawn(bands, rows, cols)
    found = kernels.prefiltered(torch.from_numpy(images), cutoff).numpy()
    for image, values in zip(images, found, strict=True):
        np.testing.assert_allclose(values, whitened(image, cutoff), **SINGLE)


def pooled(x: np.ndarray, grid: int) -> np.ndarray:
    """Means of cells that hold every pixel that they touch."""
    out = np.zeros((grid, grid))
    for i, j in np.ndindex(grid, grid):
        r, c = (slice(n * k // grid, -(-n * (k + 1) // grid)) for n, k in zip(x.shape, (i, j), strict=True))
        out[i, j] = x[r, c].mean()
    return out


@pytest.mark.parametrize(("bands", "rows", "cols"), SIZES)
@pytest.mark.parametrize(("scales", "orientations", "grid"), [(1, 4, 1), (3, 2, 2), (2, 3, 4)])
def test_energies_are_mean_amplitudes_of_the_cells_inside_the_image(
    bands: int, rows: int, cols: int, scales: int, orientations: int, grid: int
) -> None:
    images = drawn(bands, rows, cols)
    found = kernels.energies(torch.from_numpy(images), scales=scales, orientations=orientations, grid=grid)
    assert found.shape == (2, scales, orientations, grid, grid)
    for image, values in zip(images, found.numpy(), strict=True):
        white = whitened(image, 0.3 / 1.85 ** (scales - 1) / 3)
        bank = envelope(*white.shape, scales, orientations)
        for place in product(range(scales), range(orientations)):
            expected = pooled(inside(np.abs(passed(white, bank[place])), rows, cols), grid)
            np.testing.assert_allclose(values[place], expected, **SINGLE)


def test_what_noise_free_rounding_leaves_of_an_even_patch_has_no_root_of_a_negative_number() -> None:
    images = np.full((1, 1, 16, 16), 0.5)
    images[..., 0, 0] = 1.0
    found = kernels.prefiltered(torch.from_numpy(images), 0.45)
    np.testing.assert_allclose(found[0], whitened(images[0], 0.45), **SINGLE)
    assert torch.isfinite(found).all()
