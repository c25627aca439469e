"""Laws of procedural images: factors are drawn as documented, mean in the pixels what they say, and have a metric."""

import colorsys
import math
from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from probekit.synthetic.shapes import FACTORS, distance, draw, draw_settings, factor_distances, render
from probekit.synthetic.shapes_strategies import shape_settings

Render = Callable[..., xr.DataArray]
GRADED = [name for name, factor in FACTORS.items() if factor.kind in ("real", "circular")]
# Of 1,000,000,000 such tests with other seeds one would fail by chance.
CHANCE = 1e-9
# Float32 of a number in [0, 1] is at most this far off.
ROUNDING = 2.0**-24


def some_value(name: str, share: float = 0.5) -> Any:
    return FACTORS[name].quantile(np.array([share]))[0]


def covered_share(images: xr.DataArray) -> np.ndarray:
    """The share of each pixel that objects cover: their colours range from 0 to 1 over the bands, greys not at all."""
    return (images.max("band") - images.min("band")).values


# Drawing


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**40), st.sampled_from([16, 17, 32]))
def test_an_image_depends_on_seed_and_position_but_not_on_how_many_are_drawn(
    one: int, other: int, seed: int, size: int
) -> None:
    few, many = sorted([one, other])
    images, truth = draw(few, seed=seed, size=size)
    more_images, more_truth = draw(many, seed=seed, size=size)
    xr.testing.assert_identical(truth, more_truth.isel(image=slice(few)))
    xr.testing.assert_identical(images, more_images.isel(image=slice(few)))


@given(st.permutations(range(40)), st.integers(1, 40))
def test_images_of_permuted_settings_are_the_permuted_images_bit_for_bit(order: list[int], kept: int) -> None:
    images, truth = draw(40, seed=3, size=17)
    xr.testing.assert_identical(render(truth.isel(image=order[:kept]), size=17), images.isel(image=order[:kept]))


@given(st.integers(0, 100), st.integers(0, 100))
def test_other_seeds_give_other_settings(one: int, other: int) -> None:
    # Two streams agree in all 53 bits of a uniform with probability 2^-53.
    assert draw_settings(2, seed=one).equals(draw_settings(2, seed=other)) == (one == other)


@pytest.mark.parametrize("name", FACTORS)
def test_fixing_one_factor_leaves_the_others_as_they_were(name: str) -> None:
    free = draw_settings(30, seed=5)
    for value in (some_value(name), FACTORS[name].quantile(np.linspace(0, 0.99, 30))):
        fixed = draw_settings(30, seed=5, **{name: value})
        np.testing.assert_array_equal(fixed[name].values, np.broadcast_to(value, 30))
        assert fixed.drop_vars(name).equals(free.drop_vars(name))


@given(shape_settings(), st.sampled_from([16, 32, 45]))
def test_images_are_finite_float32_in_the_unit_range(settings: xr.Dataset, size: int) -> None:
    images = render(settings, size=size)
    assert images.dtype == np.float32
    assert images.dims == ("image", "band", "row", "col")
    assert images.shape == (settings.sizes["image"], 3, size, size)
    assert ((images >= 0) & (images <= 1)).all()


def ranks(truth: xr.Dataset) -> np.ndarray:
    """Each factor on [0, 1): position in its list or range, (image, factor)."""
    columns = []
    for name, factor in FACTORS.items():
        values = truth[name].values
        if factor.kind == "category":
            columns.append([factor.values.index(value) / len(factor.values) for value in values])
        elif factor.kind == "whole":
            columns.append((values - factor.low) / (factor.high - factor.low + 1))
        else:
            columns.append((values - factor.low) / (factor.high - factor.low))
    return np.stack(columns, axis=1)


def levels(name: str) -> int:
    factor = FACTORS[name]
    return len(factor.values) or (int(factor.high - factor.low) + 1 if factor.kind == "whole" else 0)


def test_every_factor_is_uniform_over_its_range() -> None:
    n = 100_000
    drawn = np.sort(ranks(draw_settings(n, seed=11)), axis=0)
    # Dvoretzky, Kiefer, Wolfowitz and Massart: P(sup |F_n − F| > ε) ≤ 2 exp(−2nε²), discrete laws included.
    bound = math.sqrt(math.log(2 * len(FACTORS) / CHANCE) / (2 * n))
    assert bound < 0.012
    for name, u in zip(FACTORS, drawn.T, strict=True):
        k = levels(name)
        at = np.arange(k) / k if k else np.linspace(0, 1, 1001)
        expected = at + 1 / k if k else at
        # A rank is k-th parts with rounding: half a part to the right is safely past it.
        below = np.searchsorted(u, at + (0.5 / k if k else 0), side="right") / n
        # Between the points of the grid a distribution function can rise by another thousandth.
        assert np.abs(below - expected).max() <= bound + (0 if k else 0.001), name


def test_factors_are_independent_of_each_other_and_of_the_image_before() -> None:
    n = 200_000
    # Each factor is cut in two near its middle; a rank is k-th parts with rounding.
    share = [math.ceil(levels(name) / 2) / levels(name) if levels(name) else 0.5 for name in FACTORS]
    low = ranks(draw_settings(n + 1, seed=12)) < np.array(share) - 1e-9
    every = range(len(FACTORS))
    pairs = [(low[1:, i], low[1:, j], share[i] * share[j]) for i, j in combinations(every, 2)]
    pairs += [(low[1:, i], low[:-1, j], share[i] * share[j]) for i, j in product(every, repeat=2)]
    # Hoeffding for each frequency, summed over the pairs; pairs with the image before are two interleaved
    # sequences of independent ones, for each of which the bound of n/2 holds.
    bound = math.sqrt(math.log(2 * 2 * len(pairs) / CHANCE) / n)
    for one, other, expected in pairs:
        assert abs((one & other).mean() - expected) <= bound
    # Two factors made from one number would be both low half of the time.
    assert bound < (0.5 - 0.25) / 10


# What the factors are in the pixels

FINE = 512
# How far, for S = 512 pixels a side and at most 6 cycles, the sample nearest to a crest falls short of it: it
# lies within √½/S, so that 1 − cos(2π·6·√½/S) ≤ 0.00137 of the amplitude is lost.
CREST = 1 - math.cos(2 * math.pi * 6 * math.sqrt(0.5) / FINE)


# The area of the box round each outline over its own; for the disc of 24 corners 4R² over 12 R² sin 15°, for the star
# with tips at 1 and notches at ½ its width 2 sin 72° times its height 1 + cos 36° over ½·10·½ sin 36°.
BOX = {
    "square": 1,
    "disc": 4 / (12 * math.sin(math.radians(15))),
    "cross": 9 / 5,
    "triangle": 2,
    "star": 2 * math.sin(math.radians(72)) * (1 + math.cos(math.radians(36))) / (2.5 * math.sin(math.radians(36))),
}


def assert_means_what_it_says(draw_images: Render, settings: xr.Dataset) -> None:
    """Measure every factor in the pixels of fine images; all bounds follow from the size of a pixel."""
    for i in range(settings.sizes["image"]):
        one = settings.isel(image=[i])
        truth = {name: one[name].values[0] for name in FACTORS}
        image = draw_images(one, size=FINE).isel(image=[0])
        covered = covered_share(image)[0].astype(np.float64)
        check_objects(image.values[0], covered, truth)
        check_background(image.values[0, 0].astype(np.float64), covered, truth)


def check_objects(image: np.ndarray, covered: np.ndarray, truth: dict[str, Any]) -> None:
    parts, count = ndimage.label(covered > 1e-6, np.ones((3, 3)))
    assert count == truth["count"]
    # Coverage is exact, so only float32 rounding of two bands is left.
    assert covered.mean() == pytest.approx(truth["area"], abs=2 * ROUNDING)
    red, green, blue = image[:, *np.unravel_index(covered.argmax(), covered.shape)].tolist()
    # A hue is a sixth of the middle band, whose rounding is that of float32.
    turns = colorsys.rgb_to_hsv(red, green, blue)[0] - truth["hue"]
    assert abs(turns - round(turns)) <= ROUNDING
    # What lies somewhere in a pixel counts as at its centre: no part of the mass moves by more than half a pixel.
    row, col = (np.array(ndimage.center_of_mass(covered)) + 0.5) / FINE
    assert row == pytest.approx(truth["position_row"], abs=0.5 / FINE)
    assert col == pytest.approx(truth["position_col"], abs=0.5 / FINE)
    rows, cols = ndimage.find_objects(parts)[0]
    part = np.where(parts == 1, covered, 0)[rows, cols]
    heights, widths = np.arange(part.shape[0]), np.arange(part.shape[1])
    height, width = (math.sqrt(np.cov(at, aweights=part.sum(axis), ddof=0)) for at, axis in ((heights, 1), (widths, 0)))
    # A standard deviation is a norm: it changes by at most the half pixel that mass moves.
    error = math.log2(height / (height - 0.5)) + math.log2(width / (width - 0.5))
    assert math.log2(width / height) == pytest.approx(truth["aspect"], abs=error)
    # The box round a shape over its area does not change with stretching. Pixels widen the box by less than 1 either
    # way; a tip that covers a millionth of a pixel is a thousandth of a pixel long, so no more than that is missed.
    wide, high = part.shape[1], part.shape[0]
    area = part.sum()
    assert (wide - 2) * (high - 2) / area < BOX[truth["shape"]] < (wide + 0.01) * (high + 0.01) / area


def check_background(grey: np.ndarray, covered: np.ndarray, truth: dict[str, Any]) -> None:
    bare = covered == 0
    crest, trough = grey[bare].max(), grey[bare].min()
    contrast = (crest - trough) / 2
    lost = CREST * truth["contrast"] + ROUNDING
    assert contrast == pytest.approx(truth["contrast"], abs=lost)
    assert (crest + trough) / 2 == pytest.approx(truth["brightness"], abs=lost)
    inner = ndimage.binary_erosion(bare, np.ones((3, 3)))
    row, col = (gradient[inner] * FINE for gradient in np.gradient(grey))
    steepness = np.hypot(row, col)
    at = (np.arange(FINE) + 0.5) / FINE - 0.5
    from_row, from_col = (place[inner] for place in np.meshgrid(at, at, indexing="ij"))
    # Shares of the gradient's energy along the diagonal and along the radius: 1 for stripes and rings, about
    # half for checks; differences over two pixels turn a gradient by parts in a thousand only.
    energy = np.sum(steepness**2)
    diagonal = np.sum((row + col) ** 2) / 2 / energy
    radial = np.sum(((row * from_row + col * from_col) / np.hypot(from_row, from_col)) ** 2) / energy
    assert ("stripes" if diagonal > 0.9 else "rings" if radial > 0.9 else "checks") == truth["texture"]
    # The steepest slope is 2πf times the amplitude, and 1/√2 of that for the mean of two crossed waves. A
    # difference over two pixels flattens it by (2πf/S)²/6; between samples it loses no more than a crest does.
    # The amplitude's own error comes on top, and float32 rounds each difference by S times its rounding.
    peak = steepness.max() * (math.sqrt(2) if truth["texture"] == "checks" else 1)
    relative = 2 * CREST + (2 * math.pi * 6 / FINE) ** 2 / 6 + 2 * ROUNDING * FINE / peak
    assert peak / (2 * math.pi * contrast) == pytest.approx(truth["frequency"], rel=relative)


@given(shape_settings(max_images=1))
def test_every_factor_can_be_measured_in_the_image(settings: xr.Dataset) -> None:
    assert_means_what_it_says(render, settings)


def extremes() -> xr.Dataset:
    """Largest objects of every shape, count and kind of aspect, at the corners of their range of positions."""
    ends = [(FACTORS[name].low, FACTORS[name].high) for name in ("position_row", "position_col", "aspect")]
    kinds = list(product(FACTORS["shape"].values, range(1, 6), *ends))
    names = ("shape", "count", "position_row", "position_col", "aspect")
    columns = {name: list(values) for name, values in zip(names, zip(*kinds, strict=True), strict=True)}
    return draw_settings(len(kinds), seed=4, area=FACTORS["area"].high, **columns)


@pytest.mark.parametrize("settings", [extremes(), draw_settings(1000, seed=8)], ids=["extremes", "drawn"])
def test_objects_are_apart_and_wholly_inside_at_32_pixels(settings: xr.Dataset) -> None:
    covered = covered_share(render(settings, size=32))
    counts = [ndimage.label(share > 0.5, np.ones((3, 3)))[1] for share in covered]
    np.testing.assert_array_equal(counts, settings["count"].values)
    # Objects that overlapped or left the image would lose area.
    np.testing.assert_allclose(covered.mean(axis=(1, 2)), settings["area"].values, atol=2 * ROUNDING)


@given(shape_settings(max_images=2), st.sampled_from([2, 3, 5]))
def test_coverage_of_a_pixel_is_the_mean_of_the_finer_pixels_in_it(settings: xr.Dataset, times: int) -> None:
    coarse, fine = (covered_share(render(settings, size=size)) for size in (20, 20 * times))
    means = fine.reshape(-1, 20, times, 20, times).mean(axis=(2, 4))
    # Two bands rounded on either side, and the coverage itself in double precision.
    np.testing.assert_allclose(coarse, means, atol=5 * ROUNDING)


# Every factor shows, and shows gradually

VISIBLE = 1 / 255


def assert_expressed(draw_images: Render, settings: xr.Dataset, name: str, other: Any) -> None:
    before, after = draw_images(settings), draw_images({**settings, name: other})
    assert (abs(after - before).max(("band", "row", "col")) > VISIBLE).all()


def another(name: str, value: Any, share: float) -> Any:
    """A value that differs from this one by at least a tenth of the range."""
    factor = FACTORS[name]
    if factor.kind in ("category", "whole"):
        options = factor.values or tuple(range(int(factor.low), int(factor.high) + 1))
        others = [option for option in options if option != value]
        return others[int(share * len(others))]
    step = (0.1 + 0.4 * share) * (factor.high - factor.low)
    if factor.kind == "circular":
        return (value + step) % 1
    return value + step if value + step <= factor.high else value - step


@given(shape_settings(max_images=1), st.sampled_from(list(FACTORS)), st.floats(0, 1, exclude_max=True))
def test_a_tenth_of_a_factors_range_is_visible_and_no_change_is_bit_identical(
    settings: xr.Dataset, name: str, share: float
) -> None:
    assert_expressed(render, settings, name, another(name, settings[name].values[0], share))
    xr.testing.assert_identical(render(settings), render(settings.copy(deep=True)))


def slope(name: str, size: int) -> float:
    """A bound of how fast any pixel changes with a factor.

    An outline sweeps over at most its speed times its length in the pixel: of two objects of at most 12 edges, none
    longer in a pixel than √2 (a convex outline has at most 4). No point of an object is further than 0.36 of the side
    from its centre. Objects and background differ by at most 1.
    """
    length = 2 * 12 * math.sqrt(2)
    farthest = math.sqrt(2) * 0.36 * size
    return {
        "position_row": length * size,
        "position_col": length * size,
        "aspect": length * farthest * math.log(2) / 2,
        "area": length * farthest / (2 * FACTORS["area"].low),
        "hue": 6,
        "frequency": 2 * math.pi * math.sqrt(0.5) * FACTORS["contrast"].high,
        "contrast": 1,
        "brightness": 1,
    }[name]


def assert_gradual(draw_images: Render, settings: xr.Dataset, name: str, start: float, step: float) -> None:
    before, after = (draw_images({**settings, name: value}) for value in (start, start + step))
    assert abs(after - before).max() <= slope(name, 32) * abs(step) + 2 * ROUNDING


@given(shape_settings(max_images=1), st.sampled_from(GRADED), st.floats(0, 1, exclude_max=True))
def test_a_small_change_of_a_factor_is_a_small_change_of_the_image(
    settings: xr.Dataset, name: str, share: float
) -> None:
    step = 1e-6 * (FACTORS[name].high - FACTORS[name].low)
    start = min(some_value(name, share), FACTORS[name].high - 2 * step)
    assert_gradual(render, settings, name, start, step)


@given(shape_settings(max_images=1))
def test_the_circle_of_hues_closes(settings: xr.Dataset) -> None:
    first, last = (render({**settings, "hue": hue}) for hue in (0.0, 1 - 1e-6))
    assert abs(last - first).max() <= slope("hue", 32) * 1e-6 + 2 * ROUNDING


# The metric

weights = st.fixed_dictionaries({name: st.floats(0.01, 100) for name in FACTORS})
# Each of a dozen squares, sums and roots rounds by half an ulp of numbers up to 1.
SLACK = 1e-14


@given(shape_settings(max_images=1), shape_settings(max_images=1), shape_settings(max_images=1), weights)
def test_distance_is_a_metric_in_the_unit_range(
    a: xr.Dataset, b: xr.Dataset, c: xr.Dataset, weight: dict[str, float]
) -> None:
    def d(one: xr.Dataset, other: xr.Dataset) -> float:
        return distance(one, other, weights=weight).item()

    assert d(a, a) == 0
    assert d(a, b) == d(b, a)
    assert 0 <= d(a, b) <= 1
    assert d(a, c) <= d(a, b) + d(b, c) + SLACK


@given(shape_settings(max_images=1), shape_settings(max_images=1), shape_settings(max_images=1))
def test_the_distance_in_each_factor_is_a_metric_in_the_unit_range(a: xr.Dataset, b: xr.Dataset, c: xr.Dataset) -> None:
    ab, ba, bc, ac = (factor_distances(*pair) for pair in ((a, b), (b, a), (b, c), (a, c)))
    for name in FACTORS:
        assert (ab[name] == ba[name]).all()
        assert ((ab[name] >= 0) & (ab[name] <= 1)).all()
        assert (ac[name] <= ab[name] + bc[name] + SLACK).all()
        assert (factor_distances(a, a)[name] == 0).all()


def assert_separates(measure: Callable[..., xr.DataArray], settings: xr.Dataset, name: str, other: Any) -> None:
    assert measure(settings, {**settings, name: other}).item() > 0


@given(shape_settings(max_images=1), st.sampled_from(list(FACTORS)), st.floats(0, 1, exclude_max=True))
def test_settings_that_differ_in_one_factor_are_apart_by_its_share(
    settings: xr.Dataset, name: str, share: float
) -> None:
    changed = {**settings, name: another(name, settings[name].values[0], share)}
    assert_separates(distance, settings, name, changed[name])
    alone = factor_distances(settings, changed)
    assert all((alone[other] == 0).all() for other in FACTORS if other != name)
    # One of eleven equal weights.
    expected = alone[name].values / math.sqrt(len(FACTORS))
    np.testing.assert_allclose(distance(settings, changed).values, expected, atol=SLACK)
    assert distance(settings, changed, weights={name: 0}).item() == 0


@pytest.mark.parametrize("name", [name for name, factor in FACTORS.items() if factor.kind != "category"])
def test_distance_grows_with_the_difference_in_a_factor(name: str) -> None:
    factor = FACTORS[name]
    values = np.arange(1, 6) if factor.kind == "whole" else np.linspace(factor.low, factor.high, 21)
    # Hues are furthest apart at half a turn.
    values = values[values <= 0.5] if factor.kind == "circular" else values
    settings = draw_settings(1, seed=2)
    many = {**{other: settings[other].values[0] for other in FACTORS}, name: values}
    apart = distance({**many, name: np.full(len(values), values[0])}, many)
    assert (np.diff(apart.values) > 0).all()
    assert factor_distances({name: values[:1]}, {name: values[-1:]}, factors=[name])[name].item() == 1


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), st.floats(-3, 3))
def test_distance_in_hue_does_not_change_when_both_are_turned(a: float, b: float, turn: float) -> None:
    def apart(one: float, other: float) -> float:
        return factor_distances({"hue": one % 1 % 1}, {"hue": other % 1 % 1}, factors=["hue"])["hue"].item()

    # Sums up to 4 round by 2^-51, doubled as the largest distance is half a turn.
    assert apart(a + turn, b + turn) == pytest.approx(apart(a, b), abs=8 * 2.0**-51)
