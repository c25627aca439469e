"""Resizing averages areas: laws, a plain oracle, and the sizes that come out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probekit.errors import InputError
from probekit.images.resize import MOST_PIXELS, area_means, centre, pair, scaled

SIDES = st.integers(1, 12)
IMAGES = hnp.arrays(np.uint8, st.tuples(SIDES, SIDES, st.sampled_from([1, 3])))


def by_repeating(image: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Area means by cutting every pixel into so many that cells hold whole ones."""
    tall, wide = math.lcm(image.shape[0], rows), math.lcm(image.shape[1], cols)
    fine = image.repeat(tall // image.shape[0], 0).repeat(wide // image.shape[1], 1).astype(float)
    return fine.reshape(rows, tall // rows, cols, wide // cols, -1).mean((1, 3))


@given(IMAGES, SIDES, SIDES)
def test_every_value_is_the_mean_of_the_area_that_it_covers(image: np.ndarray, rows: int, cols: int) -> None:
    expected = by_repeating(image, rows, cols)
    np.testing.assert_allclose(area_means(image, rows, cols), expected, rtol=1e-13)
    np.testing.assert_allclose(area_means(image / 255, rows, cols) * 255, expected, rtol=1e-12, atol=1e-12)


@given(IMAGES, SIDES, SIDES)
def test_the_mean_of_the_image_is_kept(image: np.ndarray, rows: int, cols: int) -> None:
    np.testing.assert_allclose(area_means(image, rows, cols).mean((0, 1)), image.mean((0, 1)), rtol=1e-12)


@given(st.integers(0, 255), SIDES, SIDES, SIDES, SIDES)
def test_a_constant_image_stays_exactly_the_same(level: int, n_rows: int, n_cols: int, rows: int, cols: int) -> None:
    image = np.full((n_rows, n_cols, 3), level, np.uint8)
    np.testing.assert_array_equal(area_means(image, rows, cols), level)


@given(IMAGES)
def test_an_image_of_the_size_asked_for_is_unchanged(image: np.ndarray) -> None:
    np.testing.assert_array_equal(area_means(image, *image.shape[:2]), image)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_whole_ratios_are_means_of_blocks_rounded_once(factor: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4 * factor, 6 * factor, 3), dtype=np.uint8)
    sums = image.reshape(4, factor, 6, factor, 3).sum((1, 3), dtype=np.int64)
    np.testing.assert_array_equal(area_means(image, 4, 6), sums / factor**2)


def test_halving_twice_is_quartering() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_allclose(area_means(area_means(image, 32, 32), 16, 16), area_means(image, 16, 16), rtol=1e-14)


@given(IMAGES, SIDES, SIDES)
def test_turned_and_mirrored_images_give_turned_and_mirrored_ones(image: np.ndarray, rows: int, cols: int) -> None:
    small = area_means(image, rows, cols)
    np.testing.assert_array_equal(area_means(np.rot90(image), cols, rows), np.rot90(small))
    np.testing.assert_array_equal(area_means(image[::-1], rows, cols), small[::-1])
    np.testing.assert_array_equal(area_means(image[:, ::-1], rows, cols), small[:, ::-1])


def test_sums_of_long_columns_are_exact() -> None:
    image = np.full((66_000, 2, 1), 255, np.uint8)
    image[::7] = 254
    assert area_means(image, 1, 1).item() == image.mean(dtype=np.float64)


def test_enlarging_repeats_pixels_and_mixes_them_only_across_their_edges() -> None:
    image = np.array([[[0.0], [1.0]]])
    np.testing.assert_array_equal(area_means(image, 2, 4)[..., 0], [[0, 0, 1, 1]] * 2)
    np.testing.assert_array_equal(area_means(image, 1, 3)[..., 0], [[0, 0.5, 1]])


@pytest.mark.parametrize(
    ("rows", "cols", "size", "expected"),
    [
        (375, 500, 36, (36, 48)),
        (500, 375, 36, (48, 36)),
        (100, 149, 10, (10, 15)),  # 14.9: the nearest, where cutting off gives 14
        (2, 5, 1, (1, 2)),  # 2.5: halves to the even number
        (2, 7, 1, (1, 4)),
        (3, 3, 7, (7, 7)),
        (480, 640, None, (480, 640)),
    ],
)
def test_the_longer_side_is_rounded_to_the_nearest_whole_number(
    rows: int, cols: int, size: int | None, expected: tuple[int, int]
) -> None:
    assert scaled(rows, cols, None if size is None else (size, None)) == expected


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_a_cut_from_the_centre_leaves_equal_rests_or_one_more_below_and_right(
    rows: int, cols: int, data: st.DataObject
) -> None:
    crop = data.draw(st.integers(1, rows)), data.draw(st.integers(1, cols))
    for side, length, kept in zip((rows, cols), crop, centre(rows, cols, crop), strict=True):
        assert kept.stop - kept.start == length
        assert (side - kept.stop) - kept.start in (0, 1)


@pytest.mark.parametrize("value", [2**31, 2**40, 10**30, (1, 2**31), (2**31, 1), (2**14, 2**14)])
@pytest.mark.parametrize("name", ["size", "crop"])
def test_sizes_of_more_pixels_than_can_be_held_are_refused_at_once(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name}=.*: give sizes of at most 134,217,728 pixels in all"):
        pair(value, name)


def test_a_long_image_that_would_become_too_large_is_refused() -> None:
    assert MOST_PIXELS == 134_217_728
    with pytest.raises(ValueError, match=r"1×40000 would become 1000×40000000, of more than 134,217,728 pixels"):
        scaled(1, 40_000, (1000, None))
