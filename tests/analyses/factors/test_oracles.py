"""Planted dependence on a factor, whose correlations, R² and neighbours are known in closed form; and no dependence."""

import math

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import LinearRegression
from sklearn.metrics.pairwise import cosine_similarity

from analyses.factors import analyse, compare
from analyses.factors.kernels import correlations, cosines, nearest_others, read_out
from probekit.synthetic.ovals import GRID
from tests.analyses.factors.making import ASPECTS, noise, planted, repeated

# Of 1,000,000,000 such tests with other seeds one would fail by chance.
SIGMAS = 6.1


def one(found: xr.Dataset, name: str) -> float:
    """The number of the one tap and noise level."""
    return found[name].values.item()


def waves(aspects: np.ndarray, channels: int = 64) -> np.ndarray:
    """A smooth code: channel c is cos(s − 2πc/C), s = log a, so that two values correlate by cos(s − s')."""
    return np.cos(np.log(aspects)[:, None] - 2 * np.pi * np.arange(channels) / channels)


def test_the_correlation_matrix_of_a_smooth_code_is_its_closed_form() -> None:
    aspects = repeated(190, GRID)
    found = analyse(planted(waves(aspects) + 1, aspects), factor="aspect", resamples=100)
    s = np.log(found["value"].values)
    np.testing.assert_allclose(found["value"], GRID, rtol=1e-12)
    # φ is kept as float32.
    np.testing.assert_allclose(found["correlation"][0, 0], np.cos(s[:, None] - s[None]), atol=1e-5)


def test_the_centred_matrix_of_a_line_in_phi_is_the_sign_of_both_sides() -> None:
    aspects = repeated(40)
    direction = noise(1, 16)
    phi = 5 + np.log(aspects)[:, None] * direction
    found = analyse(planted(phi, aspects), resamples=100)
    sign = np.sign(np.log(ASPECTS))
    matrix = found["centred_correlation"].values[0, 0]
    expected = np.outer(sign, sign)
    expected[2] = expected[:, 2] = np.nan
    known = np.abs(np.outer(sign, sign)) > 0
    np.testing.assert_allclose(matrix[known], expected[known], atol=1e-4)
    assert one(found, "r2") == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_r2_of_a_line_with_noise_is_the_share_of_the_variance(tau: float) -> None:
    n, channels = 3000, 4
    aspects = repeated(n)
    s = np.log(aspects)
    found = analyse(planted(s[:, None] + tau * noise(2, n, channels), aspects), resamples=200)
    # The best linear reading averages C channels: its error is τ²/C against the variance of s.
    signal = s.var()
    r2 = signal / (signal + tau**2 / channels)
    # R² of n images has a deviation below 2 √((1 − R²)/n) with Gaussian errors; fitting C + 1 numbers costs (C + 1)/n.
    reach = SIGMAS * 2 * math.sqrt((1 - r2) / n) + (channels + 1) / n
    assert one(found, "r2") == pytest.approx(r2, abs=reach)
    # The interval is of the same noise: its half width is at most as much.
    assert one(found, "r2_low") < one(found, "r2") < one(found, "r2_high")
    assert one(found, "r2_high") - one(found, "r2_low") < 2 * reach


def test_noise_says_nothing_of_the_factor() -> None:
    n = 1000
    aspects = repeated(n)
    found = analyse(planted(noise(3, n, 40), aspects), mirror=1, resamples=200)
    # Each penalty's fit is no better than the mean but by chance: of unseen images R² has mean ≤ 0, and a deviation
    # below 2 √(p/n)/√n for the predictions that p channels make of n images, which vary by √(p/n) at most.
    assert one(found, "r2") < SIGMAS * 2 * math.sqrt(40 / n / n)
    assert one(found, "r2_low") < 0
    # Labels of a graph's ends are independent, and pairs of edges that share one end are uncorrelated; only where two
    # images are nearest to one another an edge counts twice: the variance is at most 2 p (1 − p)/n.
    for name, images in (("same", n), ("mirror", 800)):
        chance = one(found, f"{name}_chance")
        assert chance == pytest.approx(0.2, abs=0.001)
        assert one(found, f"{name}_share") == pytest.approx(chance, abs=SIGMAS * math.sqrt(2 * 0.16 / images))


def test_a_code_up_to_inversion_confuses_an_aspect_with_its_reciprocal_and_reads_no_direction() -> None:
    n = 1500
    aspects = repeated(n)
    size = np.abs(np.log(aspects))
    # Levels of |log a| are apart by far more than the noise.
    phi = 10 * size[:, None] * np.array([1.0, -2, 3]) + 0.1 * noise(4, n, 3)
    found = analyse(planted(phi, aspects), mirror=1, resamples=200)
    assert one(found, "r2_size") > 0.999
    assert one(found, "r2") < SIGMAS * 2 * math.sqrt(3 / n / n)
    # Of 300 images with the same and 300 with the mirrored value one is nearest: 299 to 300.
    near = found["nearest"].values[0, 0]
    for k, partner in enumerate((4, 3, 2, 1, 0)):
        assert near[k, k] + (near[k, partner] if partner != k else 0) == pytest.approx(1)
    reach = SIGMAS * math.sqrt(2 * 0.25 / 1200)
    assert one(found, "mirror_share") == pytest.approx(300 / 599, abs=reach)
    matrix = found["correlation"].values[0, 0]
    # Exactly alike but for noise: 300 images a mean, noise 0.1 against signals of 7 and more.
    assert matrix[0, 4] == pytest.approx(1, abs=1e-4)
    assert matrix[1, 3] == pytest.approx(1, abs=1e-4)


def test_without_noise_a_code_up_to_inversion_makes_mirror_images_the_same_to_the_bit() -> None:
    aspects = repeated(60, (0.25, 0.5, 1.0, 2.0, 4.0))
    x = np.abs(np.log2(aspects))[:, None] * np.array([1.0, 2.0, 5.0])
    found = analyse(planted(x + 1, aspects), mirror=1, resamples=100)
    np.testing.assert_array_equal(found["correlation"][0, 0, 0], found["correlation"][0, 0, 4])
    np.testing.assert_array_equal(found["correlation"][0, 0, 1], found["correlation"][0, 0, 3])


def test_a_code_of_every_value_is_read_without_a_confusion() -> None:
    aspects = repeated(200)
    phi = 10 * (aspects[:, None] == np.array(ASPECTS)) + 0.1 * noise(5, 200, 5)
    found = analyse(planted(phi, aspects), mirror=1, resamples=100)
    np.testing.assert_array_equal(found["nearest"][0, 0], np.eye(5))
    assert one(found, "same_share") == 1
    assert one(found, "mirror_share") == 0


def test_a_linear_factor_in_bins_is_read_as_its_values_are() -> None:
    n = 2000
    values = np.random.default_rng(6).uniform(0, 10, n)
    found = analyse(
        planted(values[:, None] + noise(7, n, 1), values), factor="aspect", scale="linear", bins=10, resamples=100
    )
    r2 = (100 / 12) / (100 / 12 + 1)
    assert one(found, "r2") == pytest.approx(r2, abs=SIGMAS * 2 * math.sqrt((1 - r2) / n) + 2 / n)
    # Deciles of a uniform law: centres 0.5, 1.5, …; quantiles of n values vary by at most √(1/4n) · 10.
    np.testing.assert_allclose(found["value"], np.arange(10) + 0.5, atol=SIGMAS * 10 * math.sqrt(1 / (4 * n)))


def test_differences_are_of_the_two_and_paired_over_images() -> None:
    n = 800
    aspects = repeated(n)
    s, shared = np.log(aspects)[:, None], noise(8, n, 3)
    clear, faint = (planted(s + tau * shared, aspects) for tau in (0.5, 1.0))
    first, second = (analyse(data, mirror=1, resamples=100) for data in (clear, faint))
    found = compare(first, second, resamples=500)
    for name in ("r2", "same_share", "r2_size", "mirror_share"):
        difference = one(first, name) - one(second, name)
        assert one(found, name) == pytest.approx(difference, abs=1e-12)
    assert one(found, "r2_low") > 0
    # The noise is the same but for its size, and so the pairing takes from the interval what both share.
    apart = math.hypot(*(one(each, "r2_high") - one(each, "r2_low") for each in (first, second)))
    assert one(found, "r2_high") - one(found, "r2_low") < apart


# Kernels against others' code


def test_correlations_are_numpys_and_cosines_sklearns() -> None:
    each = noise(9, 6, 20)
    np.testing.assert_allclose(correlations(each), np.corrcoef(each), atol=1e-12)
    np.testing.assert_allclose(cosines(each, largest=1.0), cosine_similarity(each), atol=1e-12)


def test_rounding_in_every_one_of_many_features_has_no_direction() -> None:
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (3, 10_000))
    for largest in (1e-9, 1.0, 1e9):
        found = cosines(largest * signs * np.array([[5e-13], [1e-10], [1.0]]), largest=largest)
        assert np.isnan(found[0]).all()
        np.testing.assert_allclose(found[1:, 1:], np.corrcoef(signs[1:]), atol=0.01)
    assert np.isnan(cosines(np.zeros((2, 3)), largest=0.0)).all()


def test_no_correlation_is_beyond_one_by_rounding() -> None:
    each = np.random.default_rng(0).normal(size=(50, 7))
    unit = each / np.linalg.norm(each, axis=1, keepdims=True)
    assert (unit @ unit.T).max() > 1
    both = cosines(np.concatenate([each, -each]), largest=5.0)
    assert both.max() == 1
    assert both.min() == -1


def test_nearest_others_are_those_of_all_distances_and_never_the_image_itself() -> None:
    for channels in (2, 40):
        x = noise(10, 50, channels) + 100
        x[7] = x[3]
        distance = ((x[:, None] - x[None]) ** 2).sum(axis=2)
        np.fill_diagonal(distance, np.inf)
        found = nearest_others(x)
        np.testing.assert_array_equal(found, distance.argmin(axis=1))
    assert (nearest_others(np.ones((5, 3))) != np.arange(5)).all()


def test_with_many_images_a_channel_reads_as_least_squares_do() -> None:
    x, fold = noise(11, 400, 2), np.arange(400) % 4
    y = x @ np.array([1.0, -2]) + 0.1 * noise(12, 400)
    error, spread = read_out(x, y[:, None], fold)
    for k in range(4):
        test = fold == k
        fitted = LinearRegression().fit(x[~test], y[~test])
        # The least penalty, 1e-5 of the variance, moves predictions by 1e-5 of themselves.
        np.testing.assert_allclose(error[test, 0], (y[test] - fitted.predict(x[test])) ** 2, atol=1e-3)
        np.testing.assert_allclose(spread[test, 0], (y[test] - y[~test].mean()) ** 2)


def test_targets_are_read_together_as_they_are_one_by_one() -> None:
    x, fold = noise(11, 60, 20), np.arange(60) % 4
    # One wants hardly a penalty, the other nothing but.
    targets = np.stack([x @ noise(12, 20), noise(13, 60)], axis=1)
    together, _ = read_out(x, targets, fold)
    alone = [read_out(x, targets[:, [t]], fold)[0][:, 0] for t in range(2)]
    np.testing.assert_allclose(together, np.stack(alone, axis=1), rtol=1e-6)
    assert together[:, 0].mean() < 0.01 * targets[:, 0].var()
    assert together[:, 1].mean() < 1.2 * targets[:, 1].var()


def test_every_site_is_of_its_own_channels_and_noise_level() -> None:
    n = 200
    aspects = repeated(n)
    phi = noise(13, n, 2, 6)
    phi[:, 1, 3:] += 5 * np.log(aspects)[:, None]
    data = planted(phi, aspects, sigma=[0.1, 0.3], taps={"enc1": 3, "mid": 3})
    found = analyse(data, resamples=100)
    assert float(found["r2"].sel(sigma=0.3, block="mid")) > 0.9
    others = found["r2"].values.copy()
    others[1, 1] = 0
    assert (others < 0.2).all()
    alone = analyse(data.isel(sigma=[1], channel=slice(3, 6)), resamples=100)
    xr.testing.assert_allclose(alone["r2"], found["r2"].isel(sigma=[1], block=[1]).assign_attrs(alone["r2"].attrs))
