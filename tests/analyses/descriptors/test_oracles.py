"""Descriptors against numpy, scikit-learn and closed forms."""

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


def test_an_even_image_has_no_gist() -> None:
    assert np.abs(descriptors.gist(np.full((2, 3, 16, 16), 0.4)).values).max() < 1e-4


def test_pixels_of_noisy_images_average_to_the_image_with_the_error_that_noise_has() -> None:
    images = np.random.default_rng(2).random((40, 1, 8, 8))
    draws, sigma = 16, 0.3
    data = probekit.tap(descriptors.descriptor("pixels", images), "pixels")(images, sigma=sigma, draws=draws)
    error = (data.phi.values[:, 0] - images.reshape(40, -1)) / (sigma / np.sqrt(draws))
    # The mean square of 2560 standard normal values has standard deviation √(2/2560): 3.5 of these.
    assert abs(np.mean(error**2) - 1) < 3.5 * np.sqrt(2 / 2560)
