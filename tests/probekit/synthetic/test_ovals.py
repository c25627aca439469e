"""Laws of images of ovals: areas, aspects and places are in the pixels what settings say, and drawn as documented."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from probekit import images as image_sources
from probekit.errors import InputError
from probekit.synthetic.oval_coverage import coverage
from probekit.synthetic.ovals import ASPECTS, GRID, draw, draw_settings, image_set, render

# Of 1,000,000,000 such tests with other seeds one would fail by chance.
CHANCE = 1e-9
# Float32 of a number in [0, 1] is at most this far off.
ROUNDING = 2.0**-24
aspects = st.floats(0.1, 10)


def one_oval(aspect: float, area: float, row: float, col: float) -> xr.Dataset:
    each = {name: (("image", "oval"), [[value]]) for name, value in (("area", area), ("row", row), ("col", col))}
    return xr.Dataset({"aspect": ("image", [aspect]), **each})


# What is in the pixels


@given(aspects, st.floats(1, 100), st.integers(0, 2**30))
def test_an_ovals_pixels_sum_to_its_area_and_centre_on_its_place(aspect: float, area: float, seed: int) -> None:
    images, truth = draw(1, size=40, seed=seed, count=1, area=(area, area), aspect=aspect)
    pixels = images.values[0, 0].astype(float)
    # Coverage is exact: each of 1600 pixels is rounded once.
    assert pixels.sum() == pytest.approx(area, abs=1600 * ROUNDING)
    # Within a pixel the coverage is taken for even, which it is but in pixels at the edge: their moments are off by
    # at most half a pixel times their area, on sides that cancel; an edge crosses at most four pixels a row and column.
    middle = np.arange(40) + 0.5
    bound = 0.5 * min(area, 160) / area
    assert pixels.sum(1) @ middle / area == pytest.approx(truth.row.item(), abs=bound)
    assert pixels.sum(0) @ middle / area == pytest.approx(truth.col.item(), abs=bound)


@given(aspects, st.floats(120, 200), st.floats(120, 200))
def test_the_second_moments_of_the_coverage_give_the_aspect(aspect: float, row: float, col: float) -> None:
    area, size = 3000.0, 320
    pixels = coverage(aspect, np.array([area]), np.array([row]), np.array([col]), size=size)
    half = {0: math.sqrt(area / math.pi * aspect), 1: math.sqrt(area / math.pi / aspect)}
    # A convex edge crosses no more pixels than twice the box's rows and columns.
    edge = min(1.0, (4 * (half[0] + half[1]) + 8) / area)
    for axis, place in ((0, col), (1, row)):
        moment = pixels.sum(axis) @ (np.arange(size) + 0.5 - place) ** 2 / area
        # Over an oval the mean of u² is half²/4. In a whole pixel it is that at its centre c, and 1/12; in a part of
        # one |u² − c²| = |u − c| |u + c| is at most (2 half + 3/2)/2.
        assert abs(moment - half[axis] ** 2 / 4) <= 1 / 12 + edge * (2 * half[axis] + 1.5) / 2


def test_coverage_is_what_four_thousand_points_in_every_pixel_say() -> None:
    # The independent way: k² points a pixel; a convex edge misjudges at most 4k points of a pixel, 4/k of its area.
    k, size = 64, 16
    at = (np.arange(size * k) + 0.5) / k
    for aspect, area, row, col in (
        (1.0, 40.0, 7.3, 8.1),
        (4.0, 30.0, 5.2, 9.9),
        (0.3, 3.0, 8, 2.5),
        (2, 90, 0.5, 15),
    ):
        down, across = math.sqrt(area / math.pi / aspect), math.sqrt(area / math.pi * aspect)
        inside = ((at[:, None] - row) / down) ** 2 + ((at[None] - col) / across) ** 2 <= 1
        counted = inside.reshape(size, k, size, k).mean(axis=(1, 3))
        exact = coverage(aspect, np.array([area]), np.array([row]), np.array([col]), size=size)
        assert np.abs(exact - counted).max() <= 4 / k
        assert np.abs(exact - counted).mean() <= 1e-3


@given(aspects, st.integers(0, 2**30))
def test_the_transposed_settings_give_the_transposed_image(aspect: float, seed: int) -> None:
    images, truth = draw(1, size=40, seed=seed, count=3, area=(5, 20), aspect=aspect)
    turned = truth.assign(aspect=1 / truth.aspect, row=truth.col, col=truth.row)
    # The reciprocal is rounded: nothing but that differs.
    np.testing.assert_allclose(
        render(turned, size=40).values, images.transpose("image", "band", "col", "row").values, atol=1e-6
    )


@pytest.mark.parametrize("aspect", [1.0, 2.0, 4.0])
def test_of_aspects_whose_reciprocal_is_exact_transposing_is_so_to_the_bit(aspect: float) -> None:
    images, truth = draw(3, size=40, seed=2, count=4, area=(5, 20), aspect=aspect)
    turned = truth.assign(aspect=1 / truth.aspect, row=truth.col, col=truth.row)
    np.testing.assert_array_equal(
        render(turned, size=40).values, images.transpose("image", "band", "col", "row").values
    )


@given(st.integers(1, 6), st.floats(0.2, 5), st.integers(0, 2**30), st.sampled_from([1, 3]))
def test_values_are_float32_in_range_and_bands_alike(count: int, aspect: float, seed: int, bands: int) -> None:
    images, _ = draw(2, size=32, seed=seed, count=count, aspect=aspect, bands=bands)
    assert images.dtype == np.float32
    assert images.shape == (2, bands, 32, 32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert (images == images.isel(band=[0]).values).all()


def test_what_two_ovals_cover_is_one_less_what_neither_does() -> None:
    both = coverage(2.0, np.array([40.0, 60.0]), np.array([8.2, 10.1]), np.array([7.7, 9.0]), size=20)
    each = [
        coverage(2.0, np.array([a]), np.array([r]), np.array([c]), size=20)
        for a, r, c in ((40, 8.2, 7.7), (60, 10.1, 9))
    ]
    np.testing.assert_allclose(both, 1 - (1 - each[0]) * (1 - each[1]), atol=1e-12)
    # The two overlap: one on the other counts once.
    assert both.sum() < 99


def test_an_oval_over_the_border_is_cut_there() -> None:
    half = render(one_oval(1.0, 100.0, 0.0, 20.0), size=40)
    assert float(half.sum()) == pytest.approx(50, abs=1600 * ROUNDING)


# Drawing


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**40))
def test_an_image_depends_on_seed_and_position_but_not_on_how_many_are_drawn(one: int, other: int, seed: int) -> None:
    few, many = sorted([one, other])
    images, truth = draw(few, seed=seed, size=32, count=4)
    more_images, more_truth = draw(many, seed=seed, size=32, count=4)
    xr.testing.assert_identical(truth, more_truth.isel(image=slice(few)))
    xr.testing.assert_identical(images, more_images.isel(image=slice(few)))


@given(st.permutations(range(10)), st.integers(1, 10))
def test_images_of_permuted_settings_are_the_permuted_images_bit_for_bit(order: list[int], kept: int) -> None:
    images, truth = draw(10, seed=3, size=32, count=4)
    xr.testing.assert_identical(render(truth.isel(image=order[:kept]), size=32), images.isel(image=order[:kept]))


def test_the_order_of_ovals_changes_nothing_but_rounding() -> None:
    images, truth = draw(3, seed=3, size=32, count=6)
    np.testing.assert_allclose(render(truth.isel(oval=slice(None, None, -1)), size=32), images, atol=1e-6)


@given(st.integers(0, 100), st.integers(0, 100))
def test_other_seeds_give_other_ovals(one: int, other: int) -> None:
    assert draw_settings(2, seed=one).equals(draw_settings(2, seed=other)) == (one == other)


def test_every_oval_lies_in_the_image_as_a_whole() -> None:
    _, truth = draw(50, seed=5, size=40, count=8, aspect=np.resize(GRID, 50))
    for place, half in (
        ("row", np.sqrt(truth["area"] / np.pi / truth["aspect"])),
        ("col", np.sqrt(truth["area"] / np.pi * truth["aspect"])),
    ):
        assert (truth[place] - half >= -1e-9).all()
        assert (truth[place] + half <= 40 + 1e-9).all()


def test_areas_and_places_are_uniform_and_aspects_equally_frequent() -> None:
    n, count = 20_000, 5
    truth = draw_settings(n, seed=6, count=count, aspect=1)
    half = np.sqrt(truth["area"] / np.pi)
    ranks = {
        "area": (truth["area"] - 60) / 40,
        **{name: (truth[name] - half) / (80 - 2 * half) for name in ("row", "col")},
    }
    # Dvoretzky, Kiefer, Wolfowitz and Massart: P(sup |F_n − F| > ε) ≤ 2 exp(−2nε²).
    bound = math.sqrt(math.log(2 * 3 / CHANCE) / (2 * n * count))
    for name, values in ranks.items():
        u = np.sort(values.values.ravel())
        assert np.abs(u - np.arange(1, len(u) + 1) / len(u)).max() <= bound + 1 / len(u), name
    drawn = draw_settings(n, seed=6).aspect.values
    # Hoeffding for each of five shares.
    reach = math.sqrt(math.log(2 * 5 / CHANCE) / (2 * n))
    for aspect in ASPECTS:
        assert (drawn == aspect).mean() == pytest.approx(1 / 5, abs=reach)


def test_setting_the_aspect_leaves_areas_as_they_were() -> None:
    free = draw_settings(20, seed=7)
    for aspect in (2.0, np.resize(GRID, 20)):
        fixed = draw_settings(20, seed=7, aspect=aspect)
        np.testing.assert_array_equal(fixed["aspect"], np.broadcast_to(aspect, 20))
        np.testing.assert_array_equal(fixed["area"], free["area"])


def test_areas_are_the_same_share_of_an_image_of_any_size() -> None:
    large, small = (draw_settings(4, seed=8, size=size) for size in (80, 40))
    np.testing.assert_allclose(large["area"], 4 * small["area"])


def test_the_grid_is_of_19_aspects_evenly_spaced_from_a_tenth_to_ten_with_their_reciprocals() -> None:
    assert len(GRID) == 19
    np.testing.assert_allclose(GRID, 10 ** np.linspace(-1, 1, 19))
    np.testing.assert_allclose(GRID, 1 / np.array(GRID[::-1]))
    assert all(a < b for a, b in pairwise(GRID))


# Image sets


@pytest.mark.parametrize("bands", [1, 3])
def test_an_image_set_reads_the_images_that_are_drawn(bands: int) -> None:
    images, truth = draw(12, seed=9, size=32, count=4, bands=bands)
    drawn_late, drawn_at_once = image_set(truth, size=32, bands=bands), image_sources.load(images)
    assert drawn_late.ids == drawn_at_once.ids
    assert drawn_late.labels == drawn_at_once.labels == tuple(f"{a:g}" for a in truth.aspect.values)
    assert torch.equal(drawn_late.read([5, 2]), drawn_at_once.read([5, 2]))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"n": 0}, "n=0: give a whole number ≥ 1"),
    ({"count": 0}, "count=0: give a whole number"),
    ({"size": 2.5}, "size=2.5: give a whole number"),
    ({"seed": -1}, "seed=-1: give a whole number"),
    ({"bands": 0}, "bands=0: give a whole number"),
    ({"area": 60}, "area=60: give the smallest and the largest area"),
    ({"area": (100, 60)}, "give the smallest and the largest area in pixels"),
    ({"area": (0, 60)}, "area=0: give the smallest"),
    ({"area": (60, 70, 80)}, "give the smallest and the largest"),
    ({"aspect": 0}, "aspect is 0: give ratios of width to height from 0.01 to 100"),
    ({"aspect": float("nan")}, "aspect is nan"),
    ({"aspect": "wide"}, "aspect='wide': give ratios"),
    ({"aspect": [1, 2, 3]}, r"aspect has shape \(3,\) for 2 images"),
    ({"aspect": [[1, 2]]}, r"aspect has shape \(1, 2\)"),
    ({"aspect": 100}, "pixels long, in images of 80×80: give a smaller area"),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=lambda value: str(value)[:30])
def test_options_out_of_range_are_refused_in_words(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        draw(**{"n": 2, "seed": 0, **options})


TRUTH = draw_settings(2, seed=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"aspect": 1}, "give a Dataset, as draw_settings makes it"),
        (TRUTH.drop_vars("area"), "the settings lack area"),
        (TRUTH.isel(oval=0), "area has dims {'image': 2}: give it along image, oval"),
        (TRUTH.isel(image=[]), "one at least"),
        (TRUTH.assign(aspect=-TRUTH.aspect), "aspect is -"),
        (TRUTH.assign(area=0 * TRUTH.area), "area is 0 in an image of 80×80: give pixels from 0 to 6400, more than 0"),
        (TRUTH.assign(row=TRUTH.row + 90), "give pixels from 0 to 80"),
        (TRUTH.assign(col=TRUTH.col * np.nan), "col is nan in an image"),
        (TRUTH.assign(col=TRUTH.col.astype(str)), "give real numbers"),
    ],
)
def test_settings_that_describe_no_image_are_refused_in_words(settings: Any, said: str) -> None:
    for make in (render, image_set):
        with pytest.raises(InputError, match=said):
            make(settings)
