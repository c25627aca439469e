"""Shares of planted features against exact limits and a search by hand; intervals against simulations."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

from analyses import cues
from analyses.cues import kernels
from analyses.ground import interval
from tests.analyses.cues.making import FEATURES, IDS, SHAPES, TEXTURES, planted

EUCLIDEAN = {"distances": ["euclidean"], "resamples": 100}


def shares(features: xr.DataArray, **options: object) -> tuple[float, float]:
    found = cues.analyse({"x": features}, **{**EUCLIDEAN, **options})  # pyright: ignore[reportArgumentType]
    return found["texture"].item(), found["shape"].item()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("distance", ["euclidean", "standardised", "cosine"])
def test_what_is_made_of_one_cue_has_share_1_of_it_and_0_of_the_other(distance: str, noise: float, seed: int) -> None:
    # The two least of 12 or 16 vectors of 20 normal features differ by far more than a thousandth.
    assert shares(planted(1, 0, noise, seed), distances=[distance]) == (1, 0)
    assert shares(planted(0, 1, noise, seed), distances=[distance]) == (0, 1)
    assert shares(planted(1, 1e-3, 0, seed), distances=[distance]) == (1, 0)
    assert shares(planted(1e-3, 1, 0, seed), distances=[distance]) == (0, 1)


def by_hand(texture: float, shape: float, noise: float, seed: int) -> tuple[float, float]:
    """Both shares of one draw of the same law, image by image."""
    rng = np.random.default_rng(seed)
    t, s = rng.normal(size=(TEXTURES, FEATURES)), rng.normal(size=(SHAPES, FEATURES))
    x = np.array([[texture * t[j] + shape * s[i] for j in range(TEXTURES)] for i in range(SHAPES)])
    x = (x + noise * rng.normal(size=x.shape)).reshape(-1, FEATURES)
    distances = cdist(x, x)
    np.fill_diagonal(distances, np.inf)
    near = distances.argmin(axis=1)
    own = np.arange(len(x))
    same_texture = (near % TEXTURES == own % TEXTURES).mean()
    same_shape = (near // TEXTURES == own // TEXTURES).mean()
    return float(same_texture), float(same_shape)


def the_shares_are_those_of_the_law(texture: float, shape: float, noise: float) -> None:
    ours = np.array([shares(planted(texture, shape, noise, seed)) for seed in range(40)])
    theirs = np.array([by_hand(texture, shape, noise, 1000 + seed) for seed in range(200)])
    # Draws are independent: the difference of the means has this standard error, and 5 of it are passed once in
    # two million.
    error = np.sqrt(ours.var(axis=0, ddof=1) / 40 + theirs.var(axis=0, ddof=1) / 200)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) <= 5 * error).all()
    # Neither is at an end, where all laws agree.
    assert (theirs.mean(axis=0) > 0.01).all()


@pytest.mark.parametrize(("texture", "shape", "noise"), [(1.0, 1.0, 0.5), (1.2, 1.0, 1.0), (0.3, 0.5, 1.0)])
def test_the_shares_of_planted_features_are_those_of_an_independent_simulation(
    texture: float, shape: float, noise: float
) -> None:
    the_shares_are_those_of_the_law(texture, shape, noise)


def noise_is_at_chance() -> None:
    found = [cues.analyse({"x": planted(0, 0, 1, seed)}, **EUCLIDEAN) for seed in range(60)]  # pyright: ignore
    for name in ("texture", "shape"):
        drawn = np.array([one[name].item() for one in found])
        error = drawn.std(ddof=1) / np.sqrt(len(drawn))
        assert abs(drawn.mean() - found[0][f"{name}_chance"].item()) <= 5 * error


def test_pure_noise_is_at_chance() -> None:
    noise_is_at_chance()


def chances_are_counted(texture: np.ndarray, shape: np.ndarray) -> None:
    n = len(texture)
    cell = np.unique(texture * 1000 + shape, return_inverse=True)[1]
    found = kernels.chances(texture, shape, cell)
    by_chance, possible = [], []
    for i in range(n):
        allowed = [j for j in range(n) if (texture[j], shape[j]) != (texture[i], shape[i])]
        alike = [[one[j] == one[i] for j in allowed] for one in (texture, shape)]
        by_chance.append([np.mean(one) for one in alike])
        possible.append([any(one) for one in alike])
    np.testing.assert_allclose(found[:2], np.mean(by_chance, axis=0))
    np.testing.assert_allclose(found[2:], np.mean(possible, axis=0))


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_what_counting_all_neighbours_that_are_allowed_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    texture = np.unique(rng.integers(5, size=60), return_inverse=True)[1]
    shape = np.unique(rng.integers(40, size=60), return_inverse=True)[1]
    chances_are_counted(texture, shape)


def images_that_share_both_are_no_neighbours() -> None:
    # Three copies of each image, nearest to one another: the neighbour is the nearest image beside them.
    rng = np.random.default_rng(0)
    one = planted(1, 0.1, 0)
    copies = np.tile(one.values, (3, 1)) + 1e-6 * rng.normal(size=(3 * one.shape[0], FEATURES))
    ids = [f"{k}/{name}" for k in range(3) for name in IDS]
    assert shares(xr.DataArray(copies, {"image": ids}, ("image", "feature"), "x")) == (1, 0)


def test_an_image_that_shares_both_cues_is_no_neighbour() -> None:
    images_that_share_both_are_no_neighbours()


@pytest.mark.parametrize("seed", range(3))
def test_crossed_means_are_those_of_images_written_out_as_often_as_both_levels_were_drawn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(4, size=30), rng.integers(5, size=30)
    first[:4], second[:5] = range(4), range(5)
    values = rng.normal(size=(30, 2))
    found = kernels.crossed_means(values, first, second, resamples=5, seed=seed)
    drawing = np.random.default_rng(seed)
    times = [drawing.multinomial(count, np.full(count, 1 / count), size=5) for count in (4, 5)]
    for r in range(5):
        listed = [i for i in range(30) for _ in range(times[0][r, first[i]] * times[1][r, second[i]])]
        np.testing.assert_allclose(found[r], values[listed].mean(axis=0))


SIMULATED, ROWS, COLS = 600, 14, 18


def coverage(row: float, col: float, noise: float) -> float:
    """How often the interval holds the mean 0 of a_i + b_j + noise, of standard deviations row, col and noise."""
    rng = np.random.default_rng(1)
    first, second = np.indices((ROWS, COLS)).reshape(2, -1)
    values = (
        row * rng.normal(size=(ROWS, SIMULATED))[first]
        + col * rng.normal(size=(COLS, SIMULATED))[second]
        + noise * rng.normal(size=(ROWS * COLS, SIMULATED))
    )
    drawn = kernels.crossed_means(values, first, second, resamples=1000, seed=2)
    low, high = interval(drawn, 0.95, units=ROWS)
    return float(((low <= 0) & (high >= 0)).mean())


# Four standard errors of a share of 0.95 among 600 simulations, passed once in thirty thousand: 0.0356.
ALLOWED = 4 * np.sqrt(0.95 * 0.05 / SIMULATED)


def intervals_cover(row: float, col: float, noise: float) -> None:
    assert coverage(row, col, noise) >= 0.95 - ALLOWED


@pytest.mark.parametrize("levels", [2, 3])
def test_resamples_that_hold_no_image_are_drawn_again(levels: int) -> None:
    # Images that share no level: many resamples draw the levels of none.
    own = np.arange(levels)
    values = 2.0**own
    drawing, expected = np.random.default_rng(0), []
    while len(expected) < 200:
        left = 200 - len(expected)
        times = [drawing.multinomial(levels, np.full(levels, 1 / levels), size=left) for _ in range(2)]
        listed = [
            [v for v, m, n in zip(values, *both, strict=True) for _ in range(m * n)]
            for both in zip(*times, strict=True)
        ]
        expected += [np.mean(one) for one in listed if one]
    found = kernels.crossed_means(values, own, own, resamples=200, seed=0)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("row", "col", "noise"), [(1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1), (0.3, 0.3, 1)])
def test_intervals_over_two_crossed_factors_cover_at_least_as_often_as_they_say(
    row: float, col: float, noise: float
) -> None:
    intervals_cover(row, col, noise)


def test_intervals_of_what_a_factor_alone_varies_cover_as_often_as_they_say() -> None:
    # The widening is that of the factor with fewer levels, and exact for it.
    assert abs(coverage(1, 0, 0) - 0.95) <= ALLOWED


def test_what_is_peculiar_to_images_is_counted_nearly_three_times() -> None:
    columns, resamples = 400, 1000
    drawn = kernels.crossed_means(
        np.random.default_rng(0).normal(size=(ROWS * COLS, columns)),
        *np.indices((ROWS, COLS)).reshape(2, -1),
        resamples=resamples,
        seed=0,
    )
    # Of weights w = m n of two multinomials, whose sum is fixed, E(w²) = (2 − 1/r)(2 − 1/c): the bootstrap variance of
    # the mean of independent numbers is E(w²) − 1 times its true one, 1/(rc).
    expected = (2 - 1 / ROWS) * (2 - 1 / COLS) - 1
    squares = (drawn - drawn.mean(axis=0)) ** 2 * ROWS * COLS
    errors = [squares.mean(axis=1 - k).std(ddof=1) / np.sqrt(squares.shape[k]) for k in (0, 1)]
    assert abs(squares.mean() - expected) <= 5 * np.hypot(*errors)
    # Of 600 intervals √2.75 times as wide as they should be, 0.7 miss in expectation, and more than 6 once in 10⁵.
    assert coverage(0, 0, 1) >= 0.99
