"""Measures of sparsity, moments of spectra, jackknife intervals and rank correlations, against plain loops."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analyses.sparsity import kernels
from probekit.errors import InputError


def measured(vector: list[float]) -> list[float]:
    """Each measure of one vector as its definition says, by sums over channels; NaN where nothing is active."""
    c, total, squares = len(vector), math.fsum(vector), math.fsum(v * v for v in vector)
    if not total:
        return [math.nan] * 5
    ratio = total**2 / (c * squares)
    alone = c == 1
    hoyer = math.nan if alone else (math.sqrt(c) - total / math.sqrt(squares)) / (math.sqrt(c) - 1)
    # Half the mean difference of all pairs of channels, over the mean.
    gini = sum(abs(v - w) for v in vector for w in vector) / (2 * c * total)
    treves = math.nan if alone else (1 - (total / c) ** 2 / (squares / c)) / (1 - 1 / c)
    number = math.exp(-sum(v / total * math.log(v / total) for v in vector if v)) / c
    return [ratio, hoyer, gini, treves, number]


def activities(channels: int) -> np.ndarray:
    """Some vectors (3, 4, channels): also with zeros, with one channel active, with equal ones, and with none."""
    a = np.random.default_rng(channels).gamma(0.7, size=(3, 4, channels))
    a[0, 0] = 0
    a[0, 1] = 2.5
    a[0, 2] = np.eye(channels)[-1] * 3
    a[1, :, : channels // 2] = 0
    return a


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_measures_are_those_of_loops_over_channels_whatever_dims_come_before(channels: int, dims: int) -> None:
    a = activities(channels)
    a = a[2, 3] if dims == 1 else a[0] if dims == 2 else a
    found = kernels.measures(a)
    assert found.shape == (*a.shape[:-1], len(kernels.MEASURES))
    each = (kernels.participation_ratio, kernels.hoyer, kernels.gini, kernels.treves_rolls, kernels.effective_number)
    assert [one.__name__ for one in each] == list(kernels.MEASURES)
    for where in np.ndindex(*a.shape[:-1]):
        expected = measured(a[where].tolist())
        # Of equal channels the difference from 1 is rounding, which a root makes 1e-8.
        np.testing.assert_allclose(found[where], expected, rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose([one(a)[where] for one in each], expected, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("channels", [2, 6])
def test_the_direction_of_each_measure_is_that_from_equal_channels_to_one_alone(channels: int) -> None:
    alike, alone = kernels.measures(np.ones(channels)), kernels.measures(np.eye(channels)[0])
    assert [direction for direction, _ in kernels.MEASURES.values()] == np.sign(alone - alike).tolist()


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("unit", [1.0, 1e-200, 1e200])
def test_the_participation_ratio_is_along_the_axis_named_whatever_the_unit(axis: int, unit: float) -> None:
    a = activities(5)
    found = kernels.participation_ratio(unit * a, axis)
    expected = np.apply_along_axis(lambda vector: measured(vector.tolist())[0], axis, a)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("axis", [3, -4, 5])
def test_an_axis_that_is_not_there_is_refused(axis: int) -> None:
    with pytest.raises(InputError, match=f"axis={axis}: give a whole number from -3 to 2"):
        kernels.participation_ratio(activities(2), axis)


def test_no_channels_and_negative_activities_are_refused() -> None:
    with pytest.raises(InputError, match="no activity: give one channel at least"):
        kernels.participation_ratio(np.zeros((3, 0)))
    with pytest.raises(InputError, match=r"negative in places, down to -0\.25"):
        kernels.participation_ratio(np.array([[1.0, 2, 3], [0, -0.25, 2]]))


def moments(x: np.ndarray) -> dict[str, float]:
    """Of images' deviations from their mean: tr M, tr M², Σ ‖y‖⁴, from products of pairs of images."""
    y = [row - x.mean(axis=0, dtype=np.float64) for row in x.astype(np.float64)]
    products = [[float(one @ other) for other in y] for one in y]
    return {
        "trace": sum(products[i][i] for i in range(len(y))),
        "square": sum(p * p for row in products for p in row),
        "fourth": sum(products[i][i] ** 2 for i in range(len(y))),
    }


@pytest.mark.parametrize("images", [2, 3, 5, 9])
@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("unit", [0.1, 1.0])
def test_scatters_are_those_of_loops_over_images_and_of_all_but_each(images: int, channels: int, unit: float) -> None:
    rng = np.random.default_rng(images + channels)
    # In float32, whose sums of so large numbers would be wrong by more than is allowed here.
    x = (unit * (rng.gamma(0.7, size=(images, channels)) + 1000)).astype(np.float32)
    whole, without = kernels.scatters(lambda: np.array_split(x, 2))
    assert without is not None
    assert whole.images == images
    assert without.images == images - 1
    for name, expected in moments(x).items():
        np.testing.assert_allclose(getattr(whole, name), expected, rtol=1e-8)
        left = [moments(np.delete(x, i, axis=0))[name] for i in range(images)]
        # Of two images, one is left, which has no scatter but for the rounding of differences of the whole's.
        np.testing.assert_allclose(getattr(without, name), left, rtol=1e-8, atol=1e-9 * expected)


def test_without_each_image_is_left_out_where_it_is_not_wanted() -> None:
    x, calls = np.random.default_rng(0).random((6, 2)), []

    def chunks() -> list[np.ndarray]:
        calls.append(1)
        return [x]

    whole, without = kernels.scatters(chunks, without=False)
    assert without is None
    assert len(calls) == 2
    assert whole == kernels.scatters(chunks)[0]


def distinct(x: np.ndarray) -> tuple[float, float]:
    """Means over ordered quadruples of different images: of products of squared lengths, and of squared products."""
    quadruples = list(itertools.permutations(x.tolist(), 4))
    differences = [(np.subtract(i, j), np.subtract(k, m)) for i, j, k, m in quadruples]
    squared_trace = sum(float((a @ a) * (b @ b)) / 4 for a, b in differences) / len(differences)
    return squared_trace, sum(float(a @ b) ** 2 / 4 for a, b in differences) / len(differences)


@pytest.mark.parametrize(("images", "channels"), [(4, 2), (5, 1), (6, 3)])
def test_moments_of_the_spectrum_are_means_over_four_different_images_also_without_each(
    images: int, channels: int
) -> None:
    x = np.random.default_rng(images).gamma(0.7, size=(images, channels))
    whole, without = kernels.scatters(lambda: [x])
    assert without is not None
    np.testing.assert_allclose(kernels.spectrum_moments(whole), distinct(x), rtol=1e-9, atol=1e-12)
    left = kernels.spectrum_moments(without)
    for i in range(images):
        expected = distinct(np.delete(x, i, axis=0)) if images > 4 else (math.nan, math.nan)
        np.testing.assert_allclose([one[i] for one in left], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("images", [2, 3])
def test_fewer_than_four_images_have_no_moments(images: int) -> None:
    whole, without = kernels.scatters(lambda: [np.random.default_rng(0).random((images, 2))])
    assert without is not None
    for scatter, shape in ((whole, ()), (without, (images,))):
        found = kernels.spectrum_moments(scatter)
        assert [one.shape for one in found] == [shape] * 2
        assert np.isnan(found).all()


WITHOUT = {
    "few images decide": lambda rng: rng.exponential(size=30) ** 2,
    "towards the other side": lambda rng: -(rng.exponential(size=30) ** 2),
    "light tails": lambda rng: rng.random(12),
    "two sides": lambda rng: np.sign(rng.normal(size=9)) + 0.1 * rng.random(9),
    "small units": lambda rng: 1e-3 * rng.exponential(size=20),
    "hardly skewed": lambda rng: np.concatenate([np.linspace(-1, 1, 30), 0.01 + 0 * rng.random(1)]),
}


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("name", WITHOUT)
def test_ends_of_the_jackknife_are_those_that_halls_transformation_takes_to_students_quantiles(
    name: str, level: float
) -> None:
    without = WITHOUT[name](np.random.default_rng(1))
    n, value = len(without), float(np.median(without)) + 0.3
    mean = sum(without) / n
    influence = [(n - 1) * (mean - one) for one in without]
    error = math.sqrt(sum(one**2 for one in influence) / n / (n - 1))
    # g(t) = t + a t² + a² t³/3 + a/2 with a = skewness/(3 √n).
    a = float(stats.skew(influence)) / (3 * math.sqrt(n))
    degrees = min(n - 1, 2 * n / (float(stats.kurtosis(influence, fisher=False)) - 1))
    low, high = kernels.jackknife_interval(value, without, level)
    assert low < high
    for end, share in ((low, (1 + level) / 2), (high, (1 - level) / 2)):
        t = (value - end) / error
        assert t + a * t**2 + a**2 * t**3 / 3 + a / 2 == pytest.approx(float(stats.t.ppf(share, degrees)), rel=1e-8)


def test_both_degrees_of_freedom_and_both_signs_of_skewness_are_met_above() -> None:
    made = {name: draw(np.random.default_rng(1)) for name, draw in WITHOUT.items()}
    # Of so many images Student's degrees are n − 1 where the kurtosis is below 3 − 2/n or so.
    heavy = {name: stats.kurtosis(one, fisher=False) - 1 > 2 * len(one) / (len(one) - 1) for name, one in made.items()}
    assert set(heavy.values()) == {True, False}
    assert {np.sign(stats.skew(one)) for one in made.values()} == {-1, 1}
    assert abs(stats.skew(made["hardly skewed"])) / math.sqrt(31) < 0.01


def test_without_skewness_the_interval_is_students() -> None:
    half = np.random.default_rng(2).random(8)
    without = np.concatenate([half, -half])
    error = math.sqrt(15 / 16 * sum(one**2 for one in without))
    reach = error * float(stats.t.ppf(0.9, 15))
    np.testing.assert_allclose(kernels.jackknife_interval(3.0, without, 0.8), (3 - reach, 3 + reach), rtol=1e-9)


@pytest.mark.parametrize("unit", [0.0, 2.0])
def test_a_statistic_that_no_image_changes_has_no_width_whatever_it_is(unit: float) -> None:
    assert kernels.jackknife_interval(1.5, np.full(6, unit), 0.9) == (1.5, 1.5)


@pytest.mark.parametrize("value", [1.0, np.nan, np.inf])
@pytest.mark.parametrize("without", [[1.0, 2, 4], [1.0, np.nan, 4], [np.inf, 2, 4], [np.nan] * 3])
def test_what_is_not_known_of_any_image_or_of_all_has_no_interval(value: float, without: list[float]) -> None:
    found = kernels.jackknife_interval(value, np.array(without), 0.9)
    assert np.isfinite(found).tolist() == [math.isfinite(value) and all(map(math.isfinite, without))] * 2


@pytest.mark.parametrize("shape", [(10, 3), (2, 6, 4), (2, 3, 6, 2), (3, 1, 2)])
def test_kendalls_tau_is_that_of_agreeing_less_disagreeing_pairs(shape: tuple[int, ...]) -> None:
    signs = np.random.default_rng(len(shape)).integers(-1, 2, size=shape)
    found = kernels.kendall(signs)
    assert found.shape == (*shape[:-2], shape[-1], shape[-1])
    for *where, i, j in np.ndindex(*found.shape):
        pairs = [(row[i], row[j]) for row in signs[tuple(where)]]
        score = sum(a == b != 0 for a, b in pairs) - sum(a == -b != 0 for a, b in pairs)
        assert found[(*where, i, j)] == pytest.approx(score / shape[-2])


def test_where_there_is_no_pair_there_is_no_tau() -> None:
    assert np.isnan(kernels.kendall(np.zeros((2, 0, 3)))).tolist() == [[[True] * 3] * 3] * 2
