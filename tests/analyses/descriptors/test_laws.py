"""Laws of descriptors: what turns, mirrors, shuffles and batches of images do to them."""

from importlib import import_module

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

import probekit
from analyses import cues, descriptors, textures
from analyses.descriptors import kernels

SEEDS = st.integers(0, 10_000)
# Sums of some thousand float32 terms, relative to the largest: 2⁻²⁴ · √n, several times over.
ROUNDING = 2e-5


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape or (3, 3, 16, 16))


def cells(images: np.ndarray, orientations: int = 8) -> np.ndarray:
    """Gist as (image, scale, orientation, grid row, grid column)."""
    return descriptors.gist(images, orientations=orientations).values.reshape(len(images), 4, orientations, 4, 4)


@given(SEEDS, st.sampled_from([4, 8]))
def test_a_quarter_turn_permutes_orientations_and_turns_the_grid(seed: int, orientations: int) -> None:
    images = random(seed)
    upright, turned = cells(images, orientations), cells(np.rot90(images, axes=(2, 3)).copy(), orientations)
    expected = np.roll(np.rot90(upright, axes=(3, 4)), orientations // 2, axis=2)
    np.testing.assert_allclose(turned, expected, atol=ROUNDING * upright.max())


@given(SEEDS)
def test_a_mirrored_image_has_mirrored_orientations_and_cells(seed: int) -> None:
    images = random(seed)
    upright, mirrored = cells(images), cells(images[..., ::-1].copy())
    order = -np.arange(8) % 8
    np.testing.assert_allclose(mirrored, upright[:, :, order, :, ::-1], atol=ROUNDING * upright.max())


@given(SEEDS)
def test_colour_statistics_do_not_say_where_a_colour_lies(seed: int) -> None:
    images = random(seed)
    order = np.random.default_rng(seed).permutation(256)
    shuffled = images.reshape(3, 3, 256)[:, :, order].reshape(images.shape)
    np.testing.assert_allclose(descriptors.colour(images), descriptors.colour(shuffled), atol=ROUNDING)


@given(SEEDS)
def test_pixels_keep_every_distance_and_so_do_all_their_components(seed: int) -> None:
    images = random(seed, 12, 1, 6, 6)
    distances = pdist(images.reshape(12, -1))
    np.testing.assert_allclose(pdist(descriptors.pixels(images).values), distances, rtol=1e-5)
    np.testing.assert_allclose(pdist(descriptors.pca(images, n_components=12).values), distances, rtol=1e-4)


@pytest.mark.parametrize("kind", descriptors.EVERY_KIND)
@given(order=st.permutations(range(8)))
def test_the_order_of_images_permutes_descriptors(kind: str, order: list[int]) -> None:
    images = random(3, 8, 3, 8, 8)
    made = descriptors.descriptor(kind, images, **({"n_components": 3} if kind == "pca" else {}))
    with torch.no_grad():
        in_order, permuted = (made.features(torch.tensor(x).float()) for x in (images, images[order]))
    np.testing.assert_allclose(in_order[order], permuted, atol=ROUNDING * float(in_order.abs().max()))


@pytest.mark.parametrize("kind", descriptors.EVERY_KIND)
def test_a_tap_on_a_descriptor_gives_at_no_noise_what_the_function_gives(kind: str) -> None:
    images = probekit.images.load(random(1, 30, 3, 8, 8), labels=[str(i % 3) for i in range(30)])
    options = {"n_components": 5} if kind == "pca" else {}
    read = probekit.tap(descriptors.descriptor(kind, images, **options), kind)(images, sigma=0)
    direct = descriptors.as_representation(getattr(descriptors, kind)(images, **options))
    xr.testing.assert_allclose(read[["phi", "phi_se"]], direct, atol=1e-5)
    assert set(read.tap.values) == {kind}


@given(SEEDS)
def test_a_quarter_turn_permutes_the_orientations_of_a_gabor_bank(seed: int) -> None:
    images = random(seed)
    turned = np.rot90(images, axes=(2, 3)).copy()
    upright, after = (descriptors.gabor(x).values.reshape(3, 3, 6) for x in (images, turned))
    np.testing.assert_allclose(after, np.roll(upright, 3, axis=2), atol=ROUNDING * upright.max())


@given(SEEDS)
def test_contrast_scales_gabor_energies_and_a_constant_adds_nothing(seed: int) -> None:
    images = random(seed)
    plain, changed = descriptors.gabor(images), descriptors.gabor(3 * images + 2)
    np.testing.assert_allclose(changed, 3 * plain, atol=10 * ROUNDING * float(plain.max()))


def peaks_are_where_gratings_are() -> None:
    rows, cols = np.mgrid[:64, :64]
    sites = [(scale, turn) for scale in range(4) for turn in range(8)]
    images = []
    for scale, turn in sites:
        angle = np.pi * turn / 8
        # Rows count downwards, angles anticlockwise.
        phase = 2 * np.pi * kernels.frequencies(4)[scale] * (cols * np.cos(angle) - rows * np.sin(angle))
        images.append(0.5 + 0.2 * np.cos(phase)[None])
    amplitudes = cells(np.stack(images)).mean(axis=(3, 4)).reshape(len(sites), -1)
    assert amplitudes.argmax(axis=1).tolist() == [8 * scale + turn for scale, turn in sites]


def test_gist_peaks_at_the_orientation_and_frequency_of_a_grating() -> None:
    peaks_are_where_gratings_are()


def test_rooms_equalise_images_by_the_same_function() -> None:
    assert cues.equalised is textures.equalised is descriptors.equalised
    assert import_module("analyses.cues.table").equalised is descriptors.equalised
    assert import_module("analyses.textures.table").equalised is descriptors.equalised
    assert textures.Settings().sd == descriptors.CONTRAST == 0.15


@given(SEEDS, st.sampled_from([1, 2, 3, 4]))
def test_equalised_images_are_luminance_moved_and_scaled(seed: int, planes: int) -> None:
    images = random(seed, 3, planes, 16, 16)
    weights = [0.299, 0.587, 0.114] if planes == 3 else np.full(planes, 1 / planes)
    grey = np.tensordot(images, weights, (1, 0))
    grey = grey - grey.mean(axis=(1, 2), keepdims=True)
    expected = 0.5 + 0.15 * grey / grey.std(axis=(1, 2), keepdims=True)
    found = descriptors.equalised(images).read(range(3)).numpy()
    assert found.shape == images.shape
    # The weights are rounded to 2⁻¹⁶, enlarged as the contrast is (by less than one).
    np.testing.assert_allclose(found, np.repeat(expected[:, None], planes, axis=1), atol=1e-4)
