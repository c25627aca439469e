"""Medians and summaries of variants against plain loops over variants, measures and resamples."""

import math

import numpy as np
import pytest
from scipy import stats

from analyses.variants import kernels

MEASURES = ("error of φ", "diversity", "near copies", "seconds", "near copies of references", "passes")
RESAMPLES, LEVEL, SEED = 60, 0.8, 7


def made(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (variant, measure, image), of which the first are not used, and errors (variant, image, sample)."""
    rng = np.random.default_rng(seed)
    numbers = rng.gamma(2.0, size=(3, len(MEASURES), images))
    for m, name in enumerate(MEASURES):
        if name.startswith("near copies"):
            numbers[:, m] = rng.integers(0, 4, size=(3, images)) / 3
    numbers[0, 2] = 0
    return numbers, rng.gamma(1.0, size=(3, images, 4))


def middle(numbers: list[float]) -> float:
    ordered = sorted(numbers)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def medians(match: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        chosen = rng.integers(match.shape[1], size=match.shape[1])
        found.append([middle([x for i in chosen for x in errors[i]]) for errors in match])
    return np.array(found)


def means(numbers: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    chosen = np.random.default_rng(seed).integers(len(numbers), size=(resamples, len(numbers)))
    return np.array([sum(numbers[i] for i in one) / len(one) for one in chosen])


def widened(drawn: np.ndarray, n: int) -> list[float]:
    """Percentiles as many normal deviations out as Student's t of n − 1 degrees is, times √(n/(n − 1))."""
    if n == 1:
        return [np.nan, np.nan]
    tail = stats.norm.cdf(stats.t.ppf((1 - LEVEL) / 2, n - 1) * math.sqrt(n / (n - 1)))
    return [float(np.quantile(drawn, share)) for share in (tail, 1 - tail)]


def wilson(share: float, n: int) -> list[float]:
    """The shares p that lie by no more than z of their standard errors √(p(1 − p)/n) from what was found."""
    z2 = stats.norm.ppf((1 + LEVEL) / 2) ** 2
    return sorted(np.roots([1 + z2 / n, -2 * share - z2 / n, share**2]))


@pytest.mark.parametrize(("images", "samples"), [(7, 4), (6, 1), (2, 3), (1, 2)])
@pytest.mark.parametrize("seed", [0, 3])
def test_medians_are_of_all_samples_of_images_drawn(images: int, samples: int, seed: int) -> None:
    match = np.random.default_rng(images).gamma(1.0, size=(3, images, samples))
    found = kernels.resampled_medians(match, resamples=20, seed=seed)
    np.testing.assert_allclose(found, medians(match, 20, seed))


@pytest.mark.parametrize("images", [1, 2, 9])
def test_values_and_differences_are_those_of_each_measure_by_itself(images: int) -> None:
    numbers, match = made(images)
    found, different = kernels.summary(numbers, match, MEASURES, resamples=RESAMPLES, level=LEVEL, seed=SEED)
    for v, m in np.ndindex(3, len(MEASURES)):
        if m == 0:
            values = [middle(list(match[one].ravel())) for one in (v, 0)]
            drawn = medians(match[[v, 0]], RESAMPLES, SEED)
        else:
            values = [sum(numbers[one, m]) / images for one in (v, 0)]
            drawn = means(numbers[[v, 0], m].T, RESAMPLES, SEED)
        ends, apart = widened(drawn[:, 0], images), widened(drawn[:, 0] - drawn[:, 1], images)
        if MEASURES[m].startswith("near copies") and images > 1:
            ends = wilson(values[0], images)
        if MEASURES[m] == "seconds":
            ends = apart = [np.nan, np.nan]
        np.testing.assert_allclose([one[v, m] for one in found], [values[0], *ends], atol=1e-12)
        np.testing.assert_allclose([one[v, m] for one in different], [values[0] - values[1], *apart], atol=1e-12)


def test_measures_are_known_by_their_names() -> None:
    numbers, match = made(9)
    found, _ = kernels.summary(numbers, match, ["other"] * 6, resamples=RESAMPLES, level=LEVEL, seed=SEED)
    for v, m in np.ndindex(3, len(MEASURES)):
        drawn = medians(match[[v]], RESAMPLES, SEED) if m == 0 else means(numbers[v, m], RESAMPLES, SEED)
        np.testing.assert_allclose([found.low[v, m], found.high[v, m]], widened(drawn.ravel(), 9), atol=1e-12)
