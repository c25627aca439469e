"""Neighbours, chances and crossed resamples, against plain loops over images and over resamples written out."""

import numpy as np
import pytest

from analyses.cues import kernels


def drawn_codes(seed: int, n: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Textures, shapes and pairs of both of images: some pairs hold several images, some shapes one texture alone."""
    rng = np.random.default_rng(seed)
    texture, shape = rng.integers(4, size=n), rng.integers(6, size=n)
    # The last image alone has its texture, and alone its shape.
    texture[:4], shape[:6], texture[-1], shape[-1] = range(4), range(6), 4, 6
    return texture, shape, np.unique(texture * 100 + shape, return_inverse=True)[1]


def listed(seed: int, cells: np.ndarray) -> np.ndarray:
    """The images nearest to each at (2, 3) places, image 0 nearest to some; undefined for one image at one place."""
    rng = np.random.default_rng(seed)
    n, most = len(cells), int(np.bincount(cells).max())
    found = np.empty((2, 3, n, most), int)
    for a, b, i in np.ndindex(2, 3, n):
        # Of its own cell first, so that all of the list counts.
        others = sorted(rng.permutation([j for j in range(n) if j != i]), key=lambda j: cells[j] != cells[i])
        found[a, b, i] = others[:most] if rng.random() < 0.5 else rng.permutation(others)[:most]
        if a and i == 5:
            found[a, b, i, 0] = 0
    found[0, 1, 7] = -1
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alone", [False, True])
def test_the_neighbour_is_the_first_in_the_list_that_is_of_another_cell(seed: int, alone: bool) -> None:
    *_, cells = drawn_codes(seed)
    if alone:
        cells = np.random.default_rng(seed).permutation(len(cells))
    near = listed(seed, cells)
    found = kernels.nearest_of_other_cells(near, cells)
    assert found.shape == near.shape[:-1]
    for at in np.ndindex(found.shape):
        allowed = [j for j in near[at] if j >= 0 and cells[j] != cells[at[-1]]]
        assert found[at] == (allowed[0] if allowed else -1)


@pytest.mark.parametrize("seed", range(4))
def test_a_neighbour_shares_a_cue_where_its_code_is_the_images(seed: int) -> None:
    texture, shape, _ = drawn_codes(seed)
    nearest = np.random.default_rng(seed).integers(-1, len(texture), size=(3, len(texture)))
    nearest[0, :3] = 0, 0, -1
    for codes in (texture, shape):
        found = kernels.sharing(nearest, codes)
        for at in np.ndindex(found.shape):
            expected = np.nan if nearest[at] == -1 else float(codes[nearest[at]] == codes[at[-1]])
            np.testing.assert_equal(found[at], expected)


@pytest.mark.parametrize("seed", range(4))
def test_chances_are_means_over_images_of_neighbours_of_other_cells(seed: int) -> None:
    texture, shape, cells = drawn_codes(seed)
    by_chance, possible = np.zeros(2), np.zeros(2)
    for i in range(len(cells)):
        allowed = [j for j in range(len(cells)) if cells[j] != cells[i]]
        for k, codes in enumerate((texture, shape)):
            alike = [codes[j] == codes[i] for j in allowed]
            by_chance[k] += sum(alike) / len(allowed) / len(cells)
            possible[k] += any(alike) / len(cells)
    found = kernels.chances(texture, shape, cells)
    np.testing.assert_allclose([found.texture_chance, found.shape_chance], by_chance)
    np.testing.assert_allclose([found.texture_most, found.shape_most], possible)
    assert (possible < 1).all()


def resampled(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, *, resamples: int, seed: int, step: int
) -> tuple[np.ndarray, list[int]]:
    """Means of images written out as often as drawn, so many resamples at a time; and how many images each had."""
    rng = np.random.default_rng(seed)
    means: list[np.ndarray] = []
    sizes: list[int] = []
    while len(means) < resamples:
        count = min(step, resamples - len(means))
        times = [
            rng.multinomial(levels, [1 / levels] * levels, size=count)
            for levels in (len(set(first.tolist())), len(set(second.tolist())))
        ]
        for m, k in zip(*times, strict=True):
            images = [i for i in range(len(values)) for _ in range(m[first[i]] * k[second[i]])]
            sizes.append(len(images))
            if images:
                means.append(sum(values[i] for i in images) / len(images))
    return np.array(means), sizes


@pytest.mark.parametrize(("weights", "step"), [(2_000_000, 40), (200, 8), (23, 1)])
@pytest.mark.parametrize("dims", [(), (2,), (2, 3)])
def test_crossed_means_are_those_of_images_written_out(
    dims: tuple[int, ...], weights: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "WEIGHTS", weights)
    texture, shape, _ = drawn_codes(1)
    values = np.random.default_rng(1).normal(size=(len(texture), *dims))
    found = kernels.crossed_means(values, texture, shape, resamples=37, seed=5)
    expected, _ = resampled(values, texture, shape, resamples=37, seed=5, step=step)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("weights", [2_000_000, 30])
def test_resamples_of_no_image_are_drawn_again_and_those_of_one_are_not(
    weights: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "WEIGHTS", weights)
    # No two images have a level in common.
    own, values = np.arange(3), np.array([1.0, 10.0, 100.0])
    found = kernels.crossed_means(values, own, own, resamples=60, seed=2)
    expected, sizes = resampled(values, own, own, resamples=60, seed=2, step=min(60, weights // 3))
    assert {0, 1} < set(sizes)
    np.testing.assert_allclose(found, expected)


def test_a_mean_is_undefined_where_a_value_is_for_any_image_drawn_or_not() -> None:
    texture, shape, _ = drawn_codes(2)
    values = np.ones((len(texture), 2))
    values[3, 0] = np.nan
    found = kernels.crossed_means(values, texture, shape, resamples=20, seed=0)
    assert np.isnan(found[:, 0]).all()
    np.testing.assert_allclose(found[:, 1], 1)
