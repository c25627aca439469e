"""Descriptors against numpy, scikit-learn and closed forms."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import probekit
from analyses import descriptors
from analyses.descriptors import kernels, network


def test_the_colour_histogram_is_the_root_of_numpys() -> None:
    images = np.random.default_rng(0).random((4, 3, 9, 7))
    found = descriptors.colour(images, bins=3).values
    for image, values in zip(images, found, strict=True):
        counts, _ = np.histogramdd(image.reshape(3, -1).T, bins=3, range=[(0, 1)] * 3)
        np.testing.assert_allclose(values[6:] ** 2, counts.ravel() / 63, atol=1e-6)
        np.testing.assert_allclose(values[:3], image.mean(axis=(1, 2)), rtol=1e-5)
        np.testing.assert_allclose(values[3:6], image.std(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("batches", [False, True])
def test_components_are_scikit_learns_of_the_training_images(batches: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    # Variances that fall by a quarter from one component to the next, so that components are defined.
    basis, _ = np.linalg.qr(rng.normal(size=(48, 48)))
    train, images = (
        ((rng.normal(size=(n, 48)) * 0.5 ** np.arange(48)) @ basis.T).reshape(n, 3, 4, 4).astype(np.float32)
        for n in (600, 7)
    )
    if batches:
        monkeypatch.setattr(network, "WHOLE", 0)
    found = descriptors.pca(images, train=train, n_components=3)
    expected = PCA(3, svd_solver="full").fit(train.reshape(600, -1).astype(float))
    direct = expected.transform(images.reshape(7, -1))
    # A batch drops what lies beyond the components kept, less than an eighth of the third's amplitude.
    tolerance = {"rtol": 0.02, "atol": 0.02} if batches else {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(np.abs(found), np.abs(direct), **tolerance)
    np.testing.assert_allclose(found.explained, expected.explained_variance_ratio_, rtol=0.01)


def test_a_filter_passes_a_plane_wave_at_its_transfer_function() -> None:
    size, scales, orientations = 40, 3, 6
    bank = kernels.filters(size, size, scales, orientations)
    rows, cols = np.mgrid[:size, :size]
    for down, across in [(0, 5), (3, 4), (7, -2), (-6, 0)]:
        wave = torch.tensor(np.cos(2 * np.pi * (down * rows + across * cols) / size))
        amplitude = torch.fft.ifft2(torch.fft.fft2(wave) * bank.double()).abs()
        f, theta = np.hypot(down, across) / size, np.arctan2(-down, across)
        for s, o in np.ndindex(scales, orientations):
            # A cosine is two lobes of half its amplitude, at θ and θ + π; their sum beats between these bounds.
            centre, turn = 0.3 / 1.85**s, theta - np.pi * o / orientations
            lobes = [
                0.5
                * np.exp(-3.5 * (f / centre - 1) ** 2)
                * np.exp(-2 * np.pi * (orientations / 8) ** 2 * ((turn + half + np.pi) % (2 * np.pi) - np.pi) ** 2)
                for half in (0, np.pi)
            ]
            assert float(amplitude[s, o].max()) <= sum(lobes) + 1e-6
            assert float(amplitude[s, o].min()) >= abs(lobes[0] - lobes[1]) - 1e-6


@pytest.mark.parametrize(("scales", "orientations"), [(4, 8), (2, 4)])
def test_gist_is_oliva_and_torralbas_written_out_in_numpy(scales: int, orientations: int) -> None:
    size, grid = 16, 4
    images = np.random.default_rng(3).random((2, 3, size, size))
    found = descriptors.gist(images, scales=scales, orientations=orientations, grid=grid).values
    f_rows, f_cols = np.meshgrid(np.fft.fftfreq(2 * size), np.fft.fftfreq(2 * size), indexing="ij")
    radius, angle = np.hypot(f_rows, f_cols), np.arctan2(-f_rows, f_cols)
    known = (np.abs(f_rows) < 0.5) & (np.abs(f_cols) < 0.5) & (radius > 0)
    centres = 0.3 / 1.85 ** np.arange(scales)
    blur = 0.5 ** ((radius / (centres[-1] / 3)) ** 2)

    def passed(x: np.ndarray, transfer: np.ndarray) -> np.ndarray:
        return np.fft.ifft2(np.fft.fft2(x) * transfer)

    for image, values in zip(images, found, strict=True):
        grey = np.tensordot([0.299, 0.587, 0.114], image, 1)
        log = np.pad(np.log(1 + 255 * grey), size // 2, mode="symmetric")
        detail = log - passed(log, blur).real
        white = detail / (0.2 + np.sqrt(np.maximum(passed(detail**2, blur).real, 0)))
        expected = []
        for centre, turn in itertools.product(centres, np.pi * np.arange(orientations) / orientations):
            off = (angle - turn + np.pi) % (2 * np.pi) - np.pi
            gauss = np.exp(-3.5 * (radius / centre - 1) ** 2 - 2 * np.pi * (orientations / 8) ** 2 * off**2)
            inside = np.abs(passed(white, gauss * known))[size // 2 : -size // 2, size // 2 : -size // 2]
            expected.append(inside.reshape(grid, size // grid, grid, size // grid).mean(axis=(1, 3)).ravel())
        # Single precision, and luminance weights of three digits.
        np.testing.assert_allclose(values, np.concatenate(expected), rtol=1e-4, atol=1e-5)


def test_an_even_image_has_no_gist() -> None:
    assert np.abs(descriptors.gist(np.full((2, 3, 16, 16), 0.4)).values).max() < 1e-4


def test_pixels_of_noisy_images_average_to_the_image_with_the_error_that_noise_has() -> None:
    images = np.random.default_rng(2).random((40, 1, 8, 8))
    draws, sigma = 16, 0.3
    data = probekit.tap(descriptors.descriptor("pixels", images), "pixels")(images, sigma=sigma, draws=draws)
    error = (data.phi.values[:, 0] - images.reshape(40, -1)) / (sigma / np.sqrt(draws))
    # The mean square of 2560 standard normal values has standard deviation √(2/2560): 3.5 of these.
    assert abs(np.mean(error**2) - 1) < 3.5 * np.sqrt(2 / 2560)


def transfer(centre: float, towards: float, across: float, down: float, orientations: int) -> float:
    """A Gabor filter's transfer function at one frequency, by its formula."""
    along = across * np.cos(towards) - down * np.sin(towards)
    aside = across * np.sin(towards) + down * np.cos(towards)
    # Half heights at 2/3 and 4/3 of the centre, and half way to the next orientation.
    wide, high = np.array([centre / 3, centre * np.tan(np.pi / (2 * orientations))]) / np.sqrt(2 * np.log(2))
    return float(np.exp(-((along - centre) ** 2) / (2 * wide**2) - aside**2 / (2 * high**2)))


@pytest.mark.parametrize(("across", "down"), [(32, 0), (16, 0), (0, 8), (16, 16), (20, 12), (6, 28)])
def test_gabor_energies_of_gratings_are_those_of_the_formula(across: int, down: int) -> None:
    size, amplitude = 64, 0.3
    rows, cols = np.mgrid[:size, :size] + 0.5
    # Reflection goes on with a cosine about an edge; a product of two is two gratings of half the amplitude.
    grating = amplitude * np.cos(2 * np.pi * across / 128 * cols) * np.cos(2 * np.pi * down / 128 * rows)
    found = descriptors.gabor(np.stack([0.5 + grating] * 3)[None]).values.reshape(3, 6)
    for scale, turn in np.ndindex(3, 6):
        lobes = {(a, d) for a in (across, -across) for d in (down, -down)}
        # Whole periods fit into the image, so that energies of different frequencies add up.
        each = amplitude / len(lobes)
        energy = sum((each * transfer(0.25 / 2**scale, np.pi * turn / 6, a / 128, d / 128, 6)) ** 2 for a, d in lobes)
        # Single precision: 2⁻²⁴ of the amplitude at each of some dozen steps of two transforms.
        assert found[scale, turn] == pytest.approx(np.sqrt(energy), abs=2e-5 * amplitude)


def test_a_grating_at_the_centre_of_a_gabor_filter_gives_half_its_amplitude_and_no_phase_changes_that() -> None:
    cols = np.arange(64)
    for phase in (0.0, 1.0, 2.0):
        grating = 0.4 * np.cos(2 * np.pi * cols / 8 + phase)
        found = descriptors.gabor(np.broadcast_to(grating, (1, 1, 64, 64)).copy())
        # At d pixels from an edge at most Φ(−d/s) of the response is of the reflection, s = 4.5 pixels; where it has
        # turned about, energy is off by at most 4Φ + 4Φ² there, 2.1 s from each edge, 0.29 of the whole.
        assert found.values.max() == pytest.approx(0.2, rel=0.15)
        assert found.frequency.values[found.values.argmax()] == 0.125
        assert found.orientation.values[found.values.argmax()] == 0


def test_colour_moments_are_numpys() -> None:
    images = np.random.default_rng(0).random((4, 3, 9, 7))
    expected = np.concatenate([images.mean(axis=(2, 3)), images.std(axis=(2, 3))], axis=1)
    np.testing.assert_allclose(descriptors.colour_moments(images), expected, rtol=1e-5)
