"""Each channel's marginal over images against plain loops over channels, with scipy's moments and fitted laws."""

import math

import numpy as np
import pytest
from scipy import stats

from analyses.selectivity import kernels


def channels(n: int, seed: int) -> np.ndarray:
    """Normal, flat, heavy-tailed and skewed channels, two peaks, two values, one image far out, constant ones, rare."""
    rng = np.random.default_rng(seed)
    one = np.zeros(n)
    one[n // 3] = 5.0
    rare = np.where(rng.random(n) < 0.15, rng.exponential(size=n), 0.0)
    rare[:2] = 1.0, 2.0
    columns = [
        rng.normal(0.3, 1, n),
        rng.random(n) - 0.2,
        rng.laplace(0, 3, n),
        rng.standard_t(2, n),
        rng.gamma(0.5, size=n) - 0.2,
        np.tile([-1.0, 1.0], n)[:n] + 0.1 * rng.normal(size=n),
        np.tile([-1.0, 1.0], n)[:n],
        np.where(np.arange(n) == n // 2, -1.0, 1) * np.where(np.arange(n) == n // 2, 30, rng.normal(0, 1, n)),
        1e-3 * rng.normal(size=n) - 1,
        rare,
        one,
        np.full(n, 0.1),
        np.zeros(n),
        np.full(n, -2.0),
        # A numbers' rounding.
        1 + 2.0**-52 * (np.arange(n) % 2),
    ]
    return np.stack(columns, axis=1)


def constant(column: np.ndarray) -> bool:
    return len(set(column.tolist())) == 1


def differences(column: np.ndarray) -> np.ndarray:
    """Of log-likelihoods under the Laplace and the normal law, each at its maximum, of each image."""
    laplace = stats.laplace.logpdf(column, *stats.laplace.fit(column))
    return laplace - stats.norm.logpdf(column, *stats.norm.fit(column))


def units_of(members: np.ndarray | None, n: int) -> float:
    if members is None:
        return n
    return n**2 / sum(int((members == g).sum()) ** 2 for g in set(members.tolist()))


def scale(d: np.ndarray, members: np.ndarray | None) -> float:
    """The deviation that over √units is the standard error of the mean."""
    if members is None:
        return float(np.std(d))
    sums = [(d[members == g] - d.mean()).sum() for g in sorted(set(members.tolist()))]
    error = np.std(sums, ddof=1) * math.sqrt(len(sums)) / len(d)
    return error * math.sqrt(units_of(members, len(d)))


def vuong(column: np.ndarray, members: np.ndarray | None) -> float:
    if constant(column):
        return np.nan
    d = differences(column)
    return math.sqrt(units_of(members, len(d))) * d.mean() / scale(d, members)


def drawn_in(column: np.ndarray, members: np.ndarray | None) -> np.ndarray:
    """The channel with the image or group furthest from the median no further than the next."""
    middle = np.median(column)
    distance = [abs(x - middle) for x in column]
    furthest = distance.index(max(distance))
    own = {furthest} if members is None else set(np.flatnonzero(members == members[furthest]).tolist())
    cut = max(x for i, x in enumerate(distance) if i not in own)
    return np.array([min(max(x, middle - cut), middle + cut) for x in column])


def normal(column: np.ndarray, members: np.ndarray | None) -> float:
    """By Pearson's third type, of the skew that the mean has at the boundary, 7 of one image and ½ at most."""
    if constant(column):
        return np.nan
    d, units = differences(column), units_of(members, len(column))
    z = math.sqrt(units) * d.mean() / max(scale(d, members), 0.502)
    return float(stats.pearson3(min(7 / math.sqrt(units), 0.5)).cdf(z))


def sparseness(column: np.ndarray) -> float:
    n, r = len(column), [max(x, 0.0) for x in column]
    if not any(r):
        return np.nan
    return (1 - (sum(r) / n) ** 2 / (sum(x * x for x in r) / n)) / (1 - 1 / n)


def far(column: np.ndarray) -> int:
    lower, middle, upper = np.quantile(column, [0.25, 0.5, 0.75])
    deviation = (upper - lower) / 2 / 0.6745
    return sum(abs(x - middle) > 4 * deviation for x in column)


def grouped(n: int, seed: int) -> np.ndarray:
    """Images in groups of very different sizes, in no order."""
    rng = np.random.default_rng(seed)
    return np.unique(rng.integers(0, n // 3, size=n) ** 2 // (n // 3), return_inverse=True)[1]


@pytest.mark.parametrize("in_groups", [False, True])
@pytest.mark.parametrize(("n", "seed"), [(12, 0), (61, 1), (61, 2), (400, 3)])
def test_the_marginal_is_that_of_each_channel_by_itself(n: int, seed: int, in_groups: bool) -> None:
    activity = channels(n, seed)[:, :-1]
    members = grouped(n, seed) if in_groups else None
    found = kernels.shape(activity, members)
    for c, column in enumerate(activity.T):
        same = constant(column)
        tail, inner = vuong(column, members), vuong(drawn_in(column, members), members)
        expected = {
            "mean": sum(column) / n,
            "sd": np.nan if same else np.std(column, ddof=1),
            "skew": np.nan if same else stats.skew(column, bias=False),
            "kurtosis": np.nan if same else stats.kurtosis(column, bias=False),
            "lifetime": sparseness(column),
            "tail": tail,
            # Of one image alone that is not as all others nothing is left to tell.
            "heavy": tail if np.isnan(inner) else min(tail, inner),
            "p_normal": normal(column, members),
            "far": far(column),
        }
        for name, one in expected.items():
            if c == 6 and name in ("tail", "heavy"):
                continue
            # Sums of differences that nearly cancel, in double precision.
            np.testing.assert_allclose(getattr(found, name)[c], one, rtol=1e-7, atol=1e-12, err_msg=f"{c} {name}")


@pytest.mark.parametrize("n", [12, 60])
def test_two_values_as_often_fit_the_normal_law_better_in_every_image_alike(n: int) -> None:
    found = kernels.shape(np.tile([-1.0, 1.0], n // 2)[:, None])
    # The differences are the same of all: they have no deviation.
    assert found.tail == found.heavy == -np.inf
    z = math.sqrt(n) * (0.5 * math.log(2 * math.pi) - 0.5 - math.log(2)) / 0.502
    assert found.p_normal == pytest.approx(stats.pearson3(min(7 / math.sqrt(n), 0.5)).cdf(z), rel=1e-6, abs=0)


def test_p_is_0_where_the_third_type_has_ended() -> None:
    activity = np.tile([-1.0, 1.0], 60)[:, None] + 0.05 * np.random.default_rng(0).normal(size=(120, 3))
    assert kernels.shape(activity).p_normal.tolist() == [0, 0, 0]


def test_the_channels_above_meet_what_they_are_to_meet() -> None:
    activity = channels(61, 1)
    found = [vuong(column, None) for column in activity.T[:-1]]
    inner = [vuong(drawn_in(column, None), None) for column in activity.T[:-1]]
    assert min(found[:6]) < -1 < 1 < max(found[:6])
    assert np.isnan(inner).sum() == np.isnan(found).sum() + 1
    assert any(scale(differences(activity[:, c]), None) < 0.502 for c in range(6))
    assert any(scale(differences(activity[:, c]), None) > 0.502 for c in range(6))


def test_a_channel_that_varies_by_rounding_alone_is_measured_without_a_warning() -> None:
    found = kernels.shape(channels(20, 0)[:, -1:])
    assert 0 < found.sd < 1e-15
