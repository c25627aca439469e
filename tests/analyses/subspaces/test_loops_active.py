"""Active sets and their groups against plain loops over images and channels, with urns in place of beta functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import optimize, special, stats

from analyses.subspaces import kernels_active

# What two answers of a choice must differ by, in nats, that float32 cannot mistake one for the other.
CLEAR = 1e-4

Path = dict[int, tuple[list[int], float]]


def moderated(se: np.ndarray, degrees: float) -> tuple[np.ndarray, float]:
    """Smyth's standard errors of one channel, and their degrees of freedom."""
    told = se[se > 0].astype(float)
    if len(told) < 2:
        return se, degrees
    logs = np.log(told**2)
    # Trigamma is Hurwitz' zeta function of 2.
    excess = logs.var(ddof=1) - special.zeta(2, degrees / 2)
    level = math.exp(logs.mean()) * degrees / 2 / math.exp(special.digamma(degrees / 2))
    if excess <= 1e-3:
        return np.full(len(se), math.sqrt(level)), math.inf
    half = math.exp(optimize.brentq(lambda h: math.log(special.zeta(2, math.exp(h)) / excess), -6.8, 9.3, xtol=1e-13))
    level *= math.exp(special.digamma(half)) / half
    return np.sqrt((2 * half * level + degrees * se.astype(float) ** 2) / (2 * half + degrees)), 2 * half + degrees


def errors(n: int, degrees: float) -> np.ndarray:
    """Of channels that differ by chance, somewhat, much and wildly; of few images, of one and of none."""
    rng = np.random.default_rng(int(10 * degrees) + n)
    spread = np.array([0.0, 0.3, 0.6, 2.0, 12.0, 1.0, 1.0, 1.0, 1.0])
    level = 0.007 * np.exp(spread / 2 * rng.standard_normal((n, 9)))
    se = level * np.sqrt(rng.chisquare(degrees, (n, 9)) / degrees)
    se[:: max(n // 4, 2), 2:5] = 0
    se[2:, 5], se[1:, 6], se[:-1, 7], se[:, 8] = 0, 0, 0, 0
    # Two errors that differ more than two of the same variance do.
    se[:2, 5] = 0.001, 9.0
    return se


@pytest.mark.parametrize(("n", "degrees"), [(12, 9), (40, 1), (300, 3), (40_000, 9), (500, 1e6)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_errors_are_moderated_channel_by_channel(n: int, degrees: float, kind: type) -> None:
    se = errors(n, degrees).astype(kind)
    found, freedom = kernels_active.measurement_error(se, degrees)
    assert found.dtype == np.float32
    expected = [moderated(one, degrees) for one in se.T]
    # Logarithms of float32 are kept, of some 10 each; their mean and spread are of float64. The prior's degrees of
    # freedom are told by what the spread has beyond chance.
    excess, wanted = (special.zeta(2, (np.array(one) - degrees) / 2) for one in (freedom, [d for _, d in expected]))
    np.testing.assert_allclose(excess, wanted, rtol=1e-6, atol=1e-6 * special.zeta(2, degrees / 2))
    np.testing.assert_allclose(found, np.transpose([one[0] for one in expected]), rtol=2e-6)


def test_some_errors_that_are_moderated_differ_by_chance_some_little_and_some_wildly() -> None:
    # Else the comparison above would not meet the bounds of the prior's degrees of freedom.
    prior = [moderated(one, 9)[1] - 9 for one in errors(4000, 9).T]
    assert np.isinf(prior).any()
    assert any(special.zeta(2, one / 2) < 0.1 for one in prior if 0 < one < np.inf)
    assert any(special.zeta(2, one / 2) > 100 for one in prior if 0 < one < np.inf)


def test_no_prior_has_fewer_degrees_of_freedom_than_two_in_a_thousand() -> None:
    # Of doubles: errors of float32 do not differ so much. Those of the first channel alone do.
    se = np.array([[5e-324, 1e-160], [1e19, 1e19]])
    freedom = kernels_active.measurement_error(se, 1)[1] - 1
    assert freedom[0] == pytest.approx(0.002, rel=1e-12)
    assert freedom[1] == pytest.approx(moderated(se[:, 1], 1)[1] - 1, rel=1e-5)


def test_the_spread_below_rest_is_the_root_mean_square_of_what_is_below_alone() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 6)).astype(np.float32)
    x[::3] = 0
    x[:, 1] *= np.float32(1e-25)
    x[:, 2] = np.abs(x[:, 2])
    x[1:, 3] = np.abs(x[1:, 3])
    x[0, 3] = -0.25
    x[:, 4] += 0.75
    found = kernels_active.spread_below(x)
    assert found.dtype == np.float32
    below = [[float(v) for v in one if v < 0] for one in x.T]
    expected = [math.sqrt(math.fsum(v * v for v in one) / len(one)) if one else 0 for one in below]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [len(one) for one in below[2:4]] == [0, 1]


@pytest.mark.parametrize("block", [3, 4096])
@pytest.mark.parametrize("of_images", [True, False])
def test_p_values_are_students_for_each_image_and_channel(
    block: int, of_images: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_active, "AT_ONCE", block)
    rng = np.random.default_rng(1)
    x = (0.6 * rng.normal(size=(11, 5))).astype(np.float32)
    error = rng.choice([0.0, 0.1, 0.5], (11, 5) if of_images else 5).astype(np.float32)
    floor = np.array([0.0, 0.3, 0.2, 0.0, 1.0]) if of_images else 0.2
    freedom = np.array([1.0, 3.0, 8.5, np.inf, 40.0])
    x[3], error[..., 0] = 0, 0
    found = kernels_active.p_values(x, error, freedom, floor)
    assert found.dtype == np.float32
    for i, j in np.ndindex(x.shape):
        scale = max(float(np.broadcast_to(error, x.shape)[i, j]), float(np.broadcast_to(floor, 5)[j]))
        if scale > 0:
            law = stats.norm() if np.isinf(freedom[j]) else stats.t(freedom[j])
            assert found[i, j] == pytest.approx(law.sf(x[i, j] / scale), rel=2e-6)
        # Without error all that is above rest is so for certain, and of what is not nothing is shown.
        elif x[i, j] > 0:
            assert found[i, j] == 0
        else:
            assert found[i, j] >= 0.5
    assert (found[3] == 0.5).all()


@pytest.mark.parametrize("block", [4, 4096])
@pytest.mark.parametrize(("channels", "rate"), [(8, 0.25), (16, 0.5), (1, 0.25), (2, 0.125)])
def test_active_channels_are_those_up_to_the_last_below_the_line(
    block: int, channels: int, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_active, "AT_ONCE", block)
    rng = np.random.default_rng(channels)
    # On a grid that the line i rate/channels has its points on, and both are exact in float32.
    p = (rng.integers(0, 3 * channels, (60, channels)) * rate / channels).clip(0, 1).astype(np.float32)
    p[0], p[1], p[2] = 1, 0, rate
    found = kernels_active.active(p, rate=rate)
    for one, of_image in zip(found, p, strict=True):
        passed = [v for k, v in enumerate(sorted(of_image), 1) if v <= k * rate / channels]
        np.testing.assert_array_equal(one, [bool(passed) and v <= max(passed) for v in of_image])
    assert found[1:3].all()
    assert not found[0].any()


def test_the_index_of_jaccard_is_that_of_pythons_sets() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 3, 7, 5)) < 0.3
    a[0, :2], b[0, :2] = False, False
    a[0, 1, 3] = True
    found = kernels_active.jaccard(a, b)
    assert found.shape == (3, 7)
    for at in np.ndindex(3, 7):
        one, two = (set(np.flatnonzero(sets[at])) for sets in (a, b))
        expected = len(one & two) / len(one | two) if one | two else math.nan
        np.testing.assert_equal(float(found[at]), expected)
        np.testing.assert_equal(float(kernels_active.jaccard(a[at], b[at])), expected)
    assert np.isnan(found[0, 0])
    assert found[0, 1] == 0


@pytest.mark.parametrize(("n", "groups"), [(1, 1), (2, 1), (2, 2), (3, 1), (40, 2), (301, 4), (64, 30)])
def test_images_are_paired_in_the_order_that_the_generator_draws(n: int, groups: int) -> None:
    labels = np.random.default_rng(n).integers(groups, size=n) if n > 3 else np.arange(n) % groups
    within, across = kernels_active.pairs(labels, np.random.default_rng(5))
    order = np.random.default_rng(5).permutation(n)
    members = [[int(i) for i in order if labels[i] == g] for g in range(groups)]
    expected = [[one[j], one[j + 1]] for one in members for j in range(0, len(one) - 1, 2)]
    assert within.tolist() == expected
    # Groups end to end, and the first half against the second.
    line = [i for one in members for i in one]
    halves = zip(line[: n // 2], line[n // 2 : n // 2 * 2], strict=True)
    assert across.tolist() == [[i, j] for i, j in halves if labels[i] != labels[j]]
    assert within.shape[1:] == across.shape[1:] == (2,)


@cache
def rising(count: int, first: float) -> float:
    """log of first (first + 1) … of so many factors: what an urn of that many balls of one colour gives."""
    return math.fsum(math.log(first + i) for i in range(count))


def drawn(ones: int, size: int) -> float:
    """Log probability of these draws one after another from an urn of half a ball of either colour."""
    return rising(ones, 0.5) + rising(size - ones, 0.5) - rising(size, 1)


def counted(active: np.ndarray, labels: Sequence[int]) -> list[tuple[list[int], int]]:
    """Of every group, images that make each channel active, and images."""
    rows = [[i for i, label in enumerate(labels) if label == g] for g in sorted(set(labels))]
    return [([int(active[own, c].sum()) for c in range(active.shape[1])], len(own)) for own in rows]


def evidence(active: np.ndarray, labels: Sequence[int]) -> float:
    groups, n = counted(active, labels), len(active)
    total = sum(rising(size, 0.5) for _, size in groups) - rising(n, len(groups) / 2)
    for c in range(active.shape[1]):
        shared = drawn(sum(ones[c] for ones, _ in groups), n)
        apart = sum(drawn(ones[c], size) for ones, size in groups)
        total += shared if len(groups) == 1 else np.logaddexp(shared, apart) - math.log(2)
    return total


def seeded(active: np.ndarray, k: int, rng: np.random.Generator) -> list[int]:
    n = len(active)
    labels, nearest = [0] * n, [math.inf] * n
    chosen = int(rng.integers(n))
    for number in range(k):
        for i in range(n):
            apart = sum(active[i] != active[chosen])
            if apart < nearest[i]:
                labels[i], nearest[i] = number, apart
        if max(nearest) == 0:
            break
        chosen = int(rng.choice(n, p=np.array(nearest) / sum(nearest)))
    return labels


def joint(active: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Log of share × probability of every image's set in every group."""
    groups, n = counted(active, labels), len(active)
    rates = [[(one + 0.5) / (size + 1) for one in ones] for ones, size in groups]
    shares = [math.log((size + 0.5) / (n + len(groups) / 2)) for _, size in groups]
    sets = [stats.bernoulli.logpmf(active, rate).sum(axis=1) + share for rate, share in zip(rates, shares, strict=True)]
    return np.transpose(sets)


def moved(active: np.ndarray, labels: Sequence[int]) -> list[int]:
    found = joint(active, labels)
    if found.shape[1] > 1:
        first, second = np.sort(found, axis=1)[:, :-3:-1].T
        assert (first - second > CLEAR).all()
    best = found.argmax(axis=1)
    return [sorted(set(best)).index(one) for one in best]


def cheapest(active: np.ndarray, labels: Sequence[int]) -> tuple[int, int]:
    groups = counted(active, labels)

    def alone(ones: Sequence[int], size: int) -> float:
        return sum(drawn(one, size) for one in ones) + rising(size, 0.5)

    losses = {}
    for j, (one, n) in enumerate(groups):
        for k, (other, m) in list(enumerate(groups))[:j]:
            merged = alone([a + b for a, b in zip(one, other, strict=True)], n + m)
            losses[k, j] = alone(one, n) + alone(other, m) - merged
    least = sorted(losses.values())
    assert len(least) == 1 or least[1] - least[0] > CLEAR
    return min(losses, key=lambda pair: losses[pair])


def path_of(active: np.ndarray, most: int, rng: np.random.Generator, sweeps: int = 3) -> Path:
    labels, path = seeded(active, min(2 * most, len(active)), rng), {}
    while True:
        for _ in range(sweeps):
            labels = moved(active, labels)
        if len(set(labels)) <= most:
            path[len(set(labels))] = labels, evidence(active, labels)
        if len(set(labels)) == 1:
            return path
        keep, gone = cheapest(active, labels)
        labels = [keep if label == gone else label for label in labels]


def sets(n: int, channels: int, seed: int) -> np.ndarray:
    """Of four kinds of images, of which none is sure."""
    rng = np.random.default_rng(seed)
    kinds = rng.beta(0.6, 0.6, (4, channels))
    return rng.random((n, channels)) < kinds[rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])]


# Of a few images no choice is one of equals, nor of many seen in few channels; the third path lacks a number.
CASES = [(40, 9, 4, 0), (60, 12, 5, 1), (50, 7, 6, 2), (5, 31, 4, 5), (30, 9, 2, 10), (1, 4, 3, 5)]


@pytest.mark.parametrize("case", CASES)
def test_the_path_is_that_of_plain_loops_over_images_groups_and_pairs(case: tuple[int, int, int, int]) -> None:
    n, channels, most, seed = case
    active = sets(n, channels, seed)
    found = kernels_active.merge_path(active, most, np.random.default_rng(seed))
    expected = path_of(active, most, np.random.default_rng(seed))
    assert found.keys() == expected.keys()
    for k, (labels, value) in expected.items():
        np.testing.assert_array_equal(np.equal.outer(found[k][0], found[k][0]), np.equal.outer(labels, labels))
        assert set(found[k][0]) == set(range(k))
        assert found[k][1] == pytest.approx(value, rel=1e-9)


def test_sweeps_that_do_not_suffice_and_fewer_groups_than_most_are_met_on_the_paths_above() -> None:
    # Else neither a sweep more nor a group more would be seen.
    def made(case: tuple[int, int, int, int], sweeps: int) -> Path:
        n, channels, most, seed = case
        return path_of(sets(n, channels, seed), most, np.random.default_rng(seed), sweeps)

    assert any(made(case, 3) != made(case, 4) for case in CASES)
    assert any(max(path, key=lambda k: path[k][1]) < max(path) for path in (made(case, 3) for case in CASES))


@pytest.mark.parametrize("block", [7, 8192])
@pytest.mark.parametrize(("channels", "number"), [(6, None), (6, 3), (500, 4)])
def test_images_belong_to_the_subspace_of_most_probability(
    channels: int, number: int | None, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_active, "BLOCK", block)
    rng = np.random.default_rng(channels)
    labels = rng.integers(6, size=400)
    active = rng.random((400, channels)) < 0.2 + 0.6 * rng.random((6, channels))[labels]
    labels[::9] = 5
    ones, size = (np.array(one, float) for one in zip(*counted(active, labels), strict=True))
    member = rng.dirichlet([0.5] * 3, 6) if number is None else np.eye(6)
    stray = rng.random(6) < 0.4 if number is None else np.zeros(6, bool)
    unused = np.zeros((0, channels), bool)
    groups = kernels_active.Groups(ones, size, member, stray, unused, unused[:0], {})
    found, certainty = groups.assign(active)
    logs = joint(active, labels)
    # The logarithms of float32 are sums of as many as there are channels.
    given = kernels_active.log_joint(active.astype(np.float32), ones, size)
    np.testing.assert_allclose(given, logs, rtol=1e-7 * channels)
    posterior = special.softmax(logs, axis=1)
    for i, of_groups in enumerate(posterior):
        weights = [sum(p * m for p, m in zip(of_groups, one, strict=True)) for one in member.T]
        best = int(np.argmax(weights))
        assert sorted(weights)[-1] - sorted(weights)[-2] > 1e-6
        vouched = sum(p * m for p, m, bad in zip(of_groups, member[:, best], stray, strict=True) if not bad)
        assert found[i] == best
        assert certainty[i] == pytest.approx(vouched, abs=1e-6 * channels)
    # Of one subspace all are certain, and none more than that.
    _, alone = replace(groups, member=np.ones((6, 1)), stray=np.zeros(6, bool)).assign(active)
    np.testing.assert_allclose(alone, 1, rtol=1e-6)
    assert (alone <= 1).all()


@pytest.mark.parametrize(("number", "most"), [(None, 4), (None, 1), (2, 4), (5, 2), (12, 3), (1, 1)])
def test_groups_are_those_of_most_evidence_or_of_the_number_given(number: int | None, most: int) -> None:
    active = sets(40, 25, 0)
    found = kernels_active.group(active, number, most, np.random.default_rng(0))
    path = path_of(active, max(most, number or 1), np.random.default_rng(0))
    assert found.evidence == pytest.approx({k: value for k, (_, value) in path.items()}, rel=1e-9)
    best = max((k for k in path if number is None or k <= number), key=lambda k: k if number else path[k][1])
    expected = counted(active, path[best][0])
    own = {(*one, n) for one, n in zip(found.ones.tolist(), found.size.tolist(), strict=True)}
    assert own == {(*ones, size) for ones, size in expected}
    if number is not None:
        assert found.member.tolist() == np.eye(best).tolist()
        assert not found.stray.any()


def shown(ones: np.ndarray, size: np.ndarray) -> tuple[list[set[int]], set[int]]:
    """Channels of each group alone, and of all."""
    of_groups: list[set[int]] = [set() for _ in size]
    for c, column in enumerate(ones.T.astype(int)):
        apart = sum(drawn(int(one), int(n)) for one, n in zip(column, size, strict=True))
        shared = drawn(int(column.sum()), int(size.sum()))
        for own, one, n in zip(of_groups, column, size, strict=True):
            on, of = (one, n) if apart > shared else (column.sum(), size.sum())
            if 2 * on >= of:
                own.add(c)
    common = set.intersection(*of_groups)
    return [own - common for own in of_groups], common


@pytest.mark.parametrize("seed", range(3))
def test_a_channel_is_of_a_group_where_half_its_images_have_it_unless_groups_differ_by_chance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [12, 16, 20])
    # Twelve sure channels tell groups apart; of the others, a half and a little less are met in one group and in all.
    rates = [[0.5, 0.5 - 1 / 12, 0, 0, 0.5, 0.5, 1], [0, 0, 0.5, 1, 0.5, 0.5, 1], [0, 1, 1, 0.45, 0.5, 0.4, 1]]
    sure = np.repeat(np.eye(3), 4, axis=1)[labels]
    rest = np.zeros((48, 7))
    for g, c in np.ndindex(3, 7):
        own = np.flatnonzero(labels == g)
        rest[rng.choice(own, round(rates[g][c] * len(own)), replace=False), c] = 1
    active = np.c_[sure, rest].astype(bool)
    found = kernels_active.group(active, 3, 3, np.random.default_rng(seed))
    assert sorted(found.size) == [12, 16, 20]
    supports, common = shown(found.ones, found.size)
    assert [set(np.flatnonzero(one)) for one in found.support] == supports
    assert set(np.flatnonzero(found.common)) == common
    assert common == {16, 18}


NESTED: list[list[tuple[set[int], int]]] = [
    # Within one, within two, within three quarters of one, at the bound; half of another, and at rest.
    [
        ({0, 1, 2, 3}, 40),
        ({0, 1, 2, 4}, 30),
        ({5, 6, 7, 8}, 36),
        ({5, 6}, 34),
        ({3, 9, 10, 11}, 44),
        ({3}, 32),
        (set(), 38),
        ({7, 8, 12, 13}, 42),
    ],
    # Two alike, of which the larger is first; a channel of all that are kept and not of those at rest.
    [({0, 1, 2, 3, 9}, 30), ({0, 1, 2, 4, 9}, 40), ({5, 6, 7, 9}, 35), ({9}, 32), (set(), 31), ({6, 8, 9}, 33)],
    [({0, 1, 2, 3}, 30), ({4, 5}, 40)],
    [({0, 1}, 30), (set(), 45)],
    [({0, 1, 2, 3, 4, 5, 6, 7}, 30), ({0, 1, 2, 3, 4, 5, 8}, 40), ({0, 1, 2, 3, 9, 10}, 50), ({1, 2, 3, 11}, 35)],
]


@pytest.mark.parametrize("common", [True, False])
@pytest.mark.parametrize("groups", NESTED)
def test_groups_within_others_are_put_into_them(groups: list[tuple[set[int], int]], common: bool) -> None:
    # Every channel twice: one that tells two groups apart is worth no more than what it costs to name the group.
    groups = [({2 * c + half for c in own for half in (0, 1)}, 4 * n) for own, n in groups]
    active = np.zeros((sum(n for _, n in groups), 30), bool)
    labels = np.repeat(np.arange(len(groups)), [n for _, n in groups])
    for row, label in zip(active, labels, strict=True):
        row[list(groups[label][0])] = True
    active[:, 28] = common
    found = kernels_active.group(active, None, 10, np.random.default_rng(0))
    # Sure channels in many images: groups are those that there are, in whatever order.
    assert sorted(found.size) == sorted(n for _, n in groups)
    at = [found.size.tolist().index(n) for _, n in groups]
    everywhere = {c for c in range(28) if all(c in own for own, _ in groups)}
    own = [one - everywhere for one, _ in groups]
    kept: list[int] = []
    for k in sorted(range(len(groups)), key=lambda k: (-len(own[k]), -groups[k][1])):
        inside = max((len(own[k] & own[j]) for j in kept), default=0)
        if not kept or (own[k] and inside < 0.75 * len(own[k])):
            kept.append(k)
    for k in range(len(groups)):
        inside = [len(own[k] & own[j]) for j in kept]
        holders = [j for j, shared in zip(kept, inside, strict=True) if shared == max(inside)]
        whole = sum(groups[j][1] for j in holders)
        expected = [float(j == k) if k in kept else groups[j][1] / whole * (j in holders) for j in kept]
        np.testing.assert_allclose(found.member[at[k]], expected)
        assert found.stray[at[k]] == (max(inside) < len(own[k]))
    everywhere |= set.intersection(*[own[k] for k in kept])
    assert set(np.flatnonzero(found.common)) == everywhere | ({28} if common else set())
    assert [set(np.flatnonzero(one)) for one in found.support] == [own[k] - everywhere for k in kept]
