"""How criteria are weighed and types follow, against plain loops over channels and scipy's distributions."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from analyses.selectivity import kernels, kernels_counts, kernels_types

N = 40
RATES = kernels_types.Rates(false_alarm=0.1, rare=0.15, few=0.4, nearly_none=0.2, far=0.12)


class Channel(NamedTuple):
    """Numbers of images of one channel, if rest is higher and if it is lower by each shift; the laws of its marginal.

    `higher` and `lower` are lists over shifts of images above, below, above and not near, below and not near.
    """

    above: int
    below: int
    higher: list[tuple[int, ...]]
    lower: list[tuple[int, ...]]
    worth_higher: list[float]
    worth_lower: list[float]
    tail: float
    heavy: float
    p_normal: float
    far: int


def drawn(rng: np.random.Generator) -> Channel:
    """Any channel, often near the bounds of the criteria, where no p-value is 0 or 1."""
    above, below = (int(rng.binomial(N // 2, share)) for share in rng.choice([0.05, 0.2, 0.5, 0.9], 2))
    steps = range(len(kernels.SHIFTS))
    # Where rest is higher fewer images are above it; near it are any that are not clear, and some that are.
    higher = [(max(above - s, 0), min(below + s, N // 2)) for s in steps]
    lower = [(min(above + s, N // 2), max(below - s, 0)) for s in steps]
    wide = [[(a, b, N - b - int(rng.integers(0, 5)), N - a) for a, b in one] for one in (higher, lower)]
    worth = [[float(rng.uniform(0.3, 1) * (a + b)) for a, b in one] for one in (higher, lower)]
    constant = rng.random() < 0.2
    tail, heavy, normal = (np.nan,) * 3 if constant else (rng.normal(), rng.normal(0, 2), rng.random() ** 2)
    return Channel(above, below, wide[0], wide[1], worth[0], worth[1], tail, heavy, normal, int(rng.binomial(N, 0.1)))


def given(channels: list[Channel]) -> tuple[kernels.Zones, kernels.Shape]:
    zones = kernels.Zones(
        np.array([c.above for c in channels]),
        np.array([c.below for c in channels]),
        np.zeros(len(channels)),
        np.array([c.higher for c in channels]).T,
        np.array([c.lower for c in channels]).T,
        np.transpose([c.worth_higher for c in channels]),
        np.transpose([c.worth_lower for c in channels]),
    )
    unused = np.full(len(channels), np.nan)
    laws = {name: np.array([getattr(c, name) for c in channels]) for name in ("tail", "heavy", "p_normal", "far")}
    return zones, kernels.Shape(unused, unused, unused, unused, unused, **laws)


def averaged(p: list[float]) -> float:
    """Over where rest lies: of p-values that grow with the shift, each step counts by its far end, the rest as 1."""
    edges = [-np.inf, *kernels.SHIFTS]
    steps = [stats.norm.cdf(b) - stats.norm.cdf(a) for a, b in itertools.pairwise(edges)]
    beyond = float(stats.norm.sf(kernels.SHIFTS[-1]))
    return min(1.0, float(np.dot(steps, p)) + beyond)


class Law:
    """p-values and posteriors of rates from numbers of images, by scipy or by all the subsets of groups."""

    def __init__(self, sizes: list[int] | None) -> None:
        self.sizes = sizes

    def pmf(self, rate: float) -> np.ndarray:
        assert self.sizes is not None
        found = np.array([1.0])
        for size in self.sizes:
            found = np.convolve(found, [1 - rate, *[0] * (size - 1), rate])
        return found

    def at_least(self, count: int, rate: float) -> float:
        return float(stats.binom.sf(count - 1, N, rate)) if self.sizes is None else self.pmf(rate)[count:].sum()

    def at_most(self, count: int, rate: float) -> float:
        return float(stats.binom.cdf(count, N, rate)) if self.sizes is None else self.pmf(rate)[: count + 1].sum()

    def lower(self, count: int, rate: float) -> float:
        if self.sizes is None:
            return float(stats.beta.cdf(rate, count + 0.5, N - count + 0.5))
        pmf = self.pmf(rate)
        return (pmf[count:].sum() + pmf[count + 1 :].sum()) / 2


def oftener(one: int, other: int, worth: float) -> float:
    """The p-value of a sign test of so many independent images, in the proportion of these."""
    if not one:
        return 1.0
    trials = worth
    mine = one * worth / (one + other)
    return float(stats.beta.cdf(0.5, mine, trials - mine + 1))


Both = dict[str, tuple[float, float]]


def criteria_of(c: Channel, law: Law, rest: bool, errors: bool) -> Both:
    clear, most = c.above + c.below, 1 - RATES.nearly_none
    constant = np.isnan(c.tail)
    p_heavy = 1.0 if constant else float(stats.norm.sf(c.heavy))
    p_normal = 1.0 if constant else c.p_normal
    not_heavy, not_normal = (0.0, 0.0) if constant else (p_normal, p_heavy)
    rows = list(zip(c.higher, c.lower, c.worth_higher, c.worth_lower, strict=True))
    # A channel that is raised is least so where rest is higher; that it is not is least so where rest is lower.
    found = {
        "response": (
            law.at_least(clear, RATES.false_alarm),
            law.at_most(clear, RATES.rare) if errors else 1.0,
        ),
        "raised": (
            averaged([law.at_least(h[2], most) for h, *_ in rows]),
            averaged([law.at_most(low[2], most) for _, low, *_ in rows]),
        ),
        "lowered": (
            averaged([law.at_least(low[3], most) for _, low, *_ in rows]),
            averaged([law.at_most(h[3], most) for h, *_ in rows]),
        ),
        "few": (
            averaged([law.at_most(low[0], RATES.few) for _, low, *_ in rows]),
            averaged([law.at_least(h[0], RATES.few) for h, *_ in rows]),
        ),
        "upward": (
            averaged([oftener(h[0], h[1], worth) for h, _, worth, _ in rows]),
            averaged([oftener(low[1], low[0], worth) for _, low, _, worth in rows]),
        ),
        "heavy": (p_heavy, not_heavy),
        "normal": (p_normal, not_normal),
        "within": (law.at_most(c.far, RATES.far), law.at_least(c.far, RATES.far)),
    }
    if not rest:
        found |= dict.fromkeys(("response", "raised", "lowered", "few", "upward"), (1.0, 1.0))
    return found


NEEDED = {
    "common": ("response", "raised", "normal", "within"),
    "suppressed": ("response", "lowered", "downward"),
    "selective": ("response", "few", "upward", "heavy"),
}


def of_types(criteria: Both) -> tuple[dict[str, float], dict[str, float]]:
    """p-values against a channel's not being of a type, and against its being of it."""
    every = criteria | {"downward": criteria["upward"][::-1]}
    shown = {"silent": criteria["response"][1]}
    excluded = {"silent": criteria["response"][0]}
    for kind, needed in NEEDED.items():
        shown[kind] = max(every[name][0] for name in needed)
        excluded[kind] = min(1.0, len(needed) * min(every[name][1] for name in needed))
    # Mixed is none of the other four.
    shown_mixed, excluded_mixed = max(excluded.values()), min(1.0, 4 * min(shown.values()))
    return shown | {"mixed": shown_mixed}, excluded | {"mixed": excluded_mixed}


def probabilities(c: Channel, law: Law, criteria: Both) -> dict[str, float]:
    clear, most = c.above + c.below, 1 - RATES.nearly_none
    constant = np.isnan(c.tail)
    p_heavy = 0.5 if constant else float(stats.norm.sf(c.heavy))
    p_normal = 0.5 if constant else c.p_normal
    doubts = {
        "response": law.lower(clear, RATES.false_alarm),
        "raised": averaged([law.lower(h[2], most) for h in c.higher]),
        "lowered": averaged([law.lower(low[3], most) for low in c.lower]),
        "few": averaged([1 - law.lower(low[0], RATES.few) for low in c.lower]),
        "upward": criteria["upward"][0],
        "downward": criteria["upward"][1],
        "heavy": p_heavy,
        "normal": p_normal,
        "within": 1 - law.lower(c.far, RATES.far),
    }
    found = {"silent": law.lower(clear, RATES.rare)}
    least = doubts | {"normal": min(p_normal, 0.0 if constant else 1 - p_heavy)}
    left = 1 - found["silent"]
    for kind, needed in NEEDED.items():
        found[kind] = 1 - sum(doubts[name] for name in needed)
        left -= 1 - max(least[name] for name in needed)
    return {kind: min(max(p, 0.0), 1.0) for kind, p in (found | {"mixed": left}).items()}


GROUPED = [9, 1, 1, 4, 3, 3, 2, 2, 1, 1, 1, 6, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("sizes", [None, GROUPED], ids=["images", "groups"])
@pytest.mark.parametrize(("rest", "errors"), [(True, True), (False, True), (True, False)])
def test_criteria_and_types_are_weighed_as_their_definitions_say(
    sizes: list[int] | None, rest: bool, errors: bool
) -> None:
    rng = np.random.default_rng(3)
    channels = [drawn(rng) for _ in range(100)]
    members = None if sizes is None else np.repeat(np.arange(len(sizes)), sizes)
    assert sizes is None or sum(sizes) == N
    known = np.where(np.arange(100) % 2 == 0, errors, True)
    counts = kernels_counts.Counts(N, members)
    found = kernels_types.weighed(*given(channels), counts, RATES, rest=rest, errors=known)
    law = Law(sizes)
    assert set(found.shown) == set(found.excluded) == set(found.probability) == set(kernels_types.ONE_OF)
    for i, c in enumerate(channels):
        criteria = criteria_of(c, law, rest, bool(known[i]))
        assert set(criteria) == set(found.criteria) == set(kernels_types.CRITERIA)
        for name, both in criteria.items():
            np.testing.assert_allclose(
                [one[i] for one in found.criteria[name]], both, rtol=1e-7, atol=1e-9, err_msg=name
            )
        for mine, p in zip(of_types(criteria), (found.shown, found.excluded), strict=True):
            for kind, one in mine.items():
                np.testing.assert_allclose(p[kind][i], one, rtol=1e-7, atol=1e-9, err_msg=kind)
        for kind, one in probabilities(c, law, criteria).items():
            np.testing.assert_allclose(found.probability[kind][i], one, rtol=1e-7, atol=1e-9, err_msg=kind)


def test_the_channels_that_are_weighed_show_and_exclude_every_type() -> None:
    # Else the comparison above would be of ones.
    rng = np.random.default_rng(3)
    found = kernels_types.weighed(*given([drawn(rng) for _ in range(100)]), kernels_counts.Counts(N), RATES)
    for kind in kernels_types.ONE_OF:
        assert np.ptp(found.probability[kind]) > 0.1, kind
        for p in (found.shown[kind], found.excluded[kind]):
            assert p.min() < 0.25 < 0.75 < p.max(), kind


@pytest.mark.parametrize("m", [1, 2, 3, 8])
def test_all_hypotheses_may_be_true_where_none_is_small_and_none_where_all_are(m: int) -> None:
    p = np.array([[1.0] * m, [0.0] * m, [1.0] * (m - 1) + [0.0]])
    assert kernels_types.most_true(p, 0.05).tolist() == [m, 0, m - 1]


def test_the_bound_of_simes_test_itself_rejects() -> None:
    # i p ≤ rank α rejects: one hypothesis at p = α does.
    assert kernels_types.most_true(np.array([0.05]), 0.05) == 0
    assert kernels_types.most_true(np.array([np.nextafter(0.05, 1)]), 0.05) == 1


def test_hypotheses_of_every_row_are_counted_by_themselves() -> None:
    p = np.random.default_rng(0).random((3, 2, 6)) ** 4
    found = kernels_types.most_true(p, 0.2)
    assert found.shape == (3, 2)
    assert len(set(found.ravel())) > 1
    for i, j in np.ndindex(3, 2):
        one = kernels_types.most_true(p[i, j], 0.2)
        assert one.shape == ()
        assert one == found[i, j]
