"""Fits of a union of subspaces and what vouches for them, against plain loops over images, halves and renamings."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import special

from analyses.subspaces import kernels_active, kernels_expression, kernels_fit
from analyses.subspaces.kernels_fit import Search


def edge(n: int, size: int) -> float:
    """Of the largest eigenvalue of noise of variance 1, once in a hundred times (Johnstone, 2001)."""
    a, b = math.sqrt(n - 1), math.sqrt(size)
    return (a + b) ** 2 + 2.02 * (a + b) * (1 / max(a, 1) + 1 / b) ** (1 / 3)


def basis_of(own: np.ndarray, mask: np.ndarray, noise: float) -> np.ndarray:
    own = own.astype(float)
    if not len(own) or not mask.any():
        return np.zeros((0, len(mask)))
    off = [statistics.pvariance(one.tolist()) for one in own.T[~mask]] if len(own) > 1 else []
    variance = max(noise, statistics.median(off)) if off else noise
    _, values, vectors = np.linalg.svd(np.where(mask, own, 0), full_matrices=False)
    limit = max(variance * edge(len(own), mask.sum()), 1e-10 * values[0] ** 2)
    return vectors[[value**2 > limit for value in values]]


def held_of(
    x: np.ndarray, labels: Sequence[int], support: np.ndarray, common: np.ndarray, bases: list[np.ndarray] | None
) -> float:
    inside = total = expected = 0.0
    for one, k in zip(x.astype(float), labels, strict=True):
        if bases is None:
            energy = [max(v, 0) ** 2 for v in one]
            own = [bool(a or b) for a, b in zip(support[k], common, strict=True)]
            inside += sum(e for e, on in zip(energy, own, strict=True) if on)
            total += sum(energy)
            expected += sum(own) / len(own) / len(x)
        else:
            inside += sum(float(one @ axis) ** 2 for axis in bases[k])
            total += sum(v * v for v, both in zip(one, common, strict=True) if not both)
            expected += len(bases[k]) / max(sum(not both for both in common), 1) / len(x)
    if total == 0 or expected >= 1:
        return 0
    return min(max((inside / total - expected) / (1 - expected), 0), 1)


def agreed(a: Sequence[int], b: Sequence[int]) -> float:
    """By all renamings."""
    ways = itertools.permutations(range(max(*a, *b) + 1))
    return max(sum(names[i] == j for i, j in zip(a, b, strict=True)) for names in ways) / len(a)


def expected_fit(
    x: np.ndarray,
    noise: float,
    active: np.ndarray,
    search: Search,
    shifted: np.ndarray | None,
    members: np.ndarray | None,
    most: int,
) -> kernels_fit.Fit:
    """With at most so many landmarks; its groups are those of the kernels of either method."""
    rng, n = np.random.default_rng(search.seed), len(x)
    order = sorted(range(n), key=lambda i: (sum(active[i]), sum(x[i].tolist()), max(x[i])))
    landmarks: list[int] = []
    for i in (order[j] for j in rng.permutation(n)):
        if members is None or members[i] not in members[landmarks]:
            landmarks.append(i)
    landmarks = landmarks[:most]
    if search.method == "coordinate":
        sets = active[landmarks]
        groups = kernels_active.group(sets, search.number, search.most, rng)
        labels, certainty = groups.assign(active)
        support, common, evidence = groups.support, groups.common, groups.evidence
        bases = [basis_of(x[labels == k], mask, noise) for k, mask in enumerate(support)]

        def refit(half: np.ndarray) -> tuple[np.ndarray, int]:
            other = kernels_active.group(sets[half], search.number, search.most, rng)
            return other.assign(sets)[0], len(other.support)

    else:
        common = np.array([sum(one) / n >= 0.95 for one in active.T])
        if common.all() or statistics.fmean((x[landmarks][:, ~common].astype(float) ** 2).ravel()) <= 2 * noise:
            common = np.zeros(len(common), bool)
        own, few = x[:, ~common], x[landmarks][:, ~common]
        noise = max(noise, 1e-6 * float(np.square(few).mean()), float(np.finfo(np.float32).tiny))
        seed = int(rng.integers(2**31))
        found, evidence = kernels_expression.group(few, search.number, search.most, noise, seed)
        labels, found = kernels_expression.k_subspaces(own, found, noise)
        certainty = np.full(n, np.nan)
        bases, support = [np.zeros((len(one), len(common))) for one in found], np.zeros((len(found), len(common)), bool)
        for k, one in enumerate(found):
            bases[k][:, ~common] = one
            images = own[labels == k].astype(float)
            support[k, ~common] = [len(one) > 0 and statistics.fmean(one**2) > 4 * noise for one in images.T]
        scale = float(np.square(few).sum(axis=1).mean())

        def refit(half: np.ndarray) -> tuple[np.ndarray, int]:
            other, _ = kernels_expression.group(few[half], search.number, search.most, noise, seed)
            return kernels_expression.assign(few, other, noise, scale)[0], len(other)

    told = common if shifted is None else common & ~shifted
    held = held_of(x, labels, support, told, bases if search.method == "linear" else None)
    agreements = []
    for _ in range(search.splits):
        halves = rng.permutation(len(landmarks)).tolist()
        middle = len(halves) // 2
        for half in (halves[:middle], halves[middle:]):
            other, count = refit(np.array(half))
            agreements.append(agreed(labels[landmarks], other) if count == len(support) else 0)
    sizes = [sum(labels == k) for k in range(len(support))]
    rank = sorted(range(len(support)), key=lambda k: (-sizes[k], k))
    return kernels_fit.Fit(
        np.array([rank.index(k) for k in labels]),
        certainty,
        support[rank],
        common,
        [bases[k] for k in rank],
        evidence,
        statistics.fmean(agreements) if agreements else math.nan,
        held,
    )


def assert_same(found: kernels_fit.Fit, expected: kernels_fit.Fit) -> None:
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.certainty, expected.certainty)
    np.testing.assert_array_equal(found.support, expected.support)
    np.testing.assert_array_equal(found.common, expected.common)
    assert [one.shape for one in found.bases] == [one.shape for one in expected.bases]
    for one, other in zip(found.bases, expected.bases, strict=True):
        np.testing.assert_allclose(one.T @ one, other.T @ other, atol=1e-6)
    assert found.evidence == expected.evidence
    np.testing.assert_allclose([found.agreement, found.held], [expected.agreement, expected.held], rtol=1e-6)
    sure = sum(expected.certainty) / len(expected.labels)
    np.testing.assert_allclose(found.confidence, expected.agreement * expected.held * sure * sure, rtol=1e-6)


def data(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """φ above rest of three kinds of images and their active sets, both unsure; sums of channels often tie.

    Channel 0 is active in all, channel 1 in 19 of 20 images, channel 2 in fewer.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.random((3, 8)) < 0.4
    active = rng.random((n, 8)) < np.where(kinds, 0.75, 0.2)[rng.choice(3, n, p=[0.5, 0.3, 0.2])]
    active[:, :3] = True
    active[: n // 20, 1], active[: n // 20 + 1, 2] = False, False
    x = active * rng.integers(1, 9, (n, 8)) + rng.integers(-1, 2, (n, 8))
    return (x / 4).astype(np.float32), active


FITS = [
    (Search("coordinate", None, 6, 3, 0), 0.05, 120, 1),
    (Search("coordinate", 3, 2, 2, 1), 0.2, 61, 1),
    (Search("coordinate", None, 4, 0, 2), 0.0, 40, 2),
    (Search("coordinate", 4, 6, 2, 3), 0.1, 40, 3),
    (Search("linear", None, 3, 1, 0), 0.05, 40, 0),
    (Search("linear", 3, 2, 1, 1), 0.3, 61, 1),
    (Search("linear", 2, 3, 0, 2), 0.0, 40, 2),
    (Search("linear", 2, 3, 1, 4), 20.0, 40, 4),
]


@pytest.mark.parametrize(("search", "noise", "n", "seed"), FITS)
@pytest.mark.parametrize("most", [25, 4000])
@pytest.mark.parametrize("grouped", [True, False])
def test_fits_are_those_of_landmarks_and_their_halves(
    search: Search, noise: float, n: int, seed: int, most: int, grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kernels_fit.LANDMARKS, search.method, most)
    x, active = data(n, seed)
    members = np.random.default_rng(seed).integers(n // 2, size=n) if grouped else None
    shifted = np.arange(8) == 0 if grouped else None
    found = kernels_fit.fit(x, noise, active, search, shifted=shifted, members=members)
    assert_same(found, expected_fit(x, noise, active, search, shifted, members, most))


def test_fits_above_are_unsure_and_differ_by_what_is_drawn() -> None:
    # Else they would not see which images are landmarks and halves.
    for search, noise, n, seed in (FITS[1], FITS[3]):
        x, active = data(n, seed)
        found = [kernels_fit.fit(x, noise, active, search._replace(seed=s)) for s in (0, 1)]
        assert len({one.agreement for one in found}) == 2
        assert 0 < found[0].agreement < 1


def test_without_splits_nothing_vouches_for_a_fit() -> None:
    x, active = data(40, 0)
    found = kernels_fit.fit(x, 0.1, active, Search("coordinate", 2, 2, 0, 0))
    assert math.isnan(found.agreement)
    assert math.isnan(found.confidence)


def test_subspaces_are_learnt_from_4000_or_1000_landmarks() -> None:
    # One channel is active in all: the probability of such a draw after another is that of (½ + i)/(1 + i).
    one = np.ones((4100, 1), np.float32)
    found = kernels_fit.fit(one, 0.1, one > 0, Search("coordinate", 1, 1, 0, 0))
    assert found.evidence[1] == pytest.approx(special.betaln(4000.5, 0.5) - special.betaln(0.5, 0.5), rel=1e-9)
    # One direction of length 1 in two channels: a coefficient an image, and a basis of two numbers.
    x = np.where(np.arange(1100) % 3 > 0, 1, -1)[:, None] * np.array([[1.0, 0.0]], np.float32)
    found = kernels_fit.fit(x, 0.1, np.zeros((1100, 2), bool), Search("linear", 1, 1, 0, 0))
    assert found.evidence[1] == pytest.approx(-(1000 * math.log(11) + 2 * math.log(10001)) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("noise", "active", "common"),
    [(0.49, 1, [0]), (0.5, 1, []), (0.2, 4, []), (0.2, 2, [0, 1]), (0.2, 0, [])],
)
def test_common_channels_are_left_out_of_linear_subspaces_unless_the_others_are_noise(
    noise: float, active: int, common: list[int]
) -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (40, 4)).astype(np.float32)
    x[:, 0] = 9
    sets = np.arange(4) < np.full((40, 1), active)
    found = kernels_fit.fit(x, noise, sets, Search("linear", None, 2, 0, 0))
    assert np.flatnonzero(found.common).tolist() == common


def test_a_channel_is_of_a_linear_subspace_where_its_mean_square_is_over_four_times_the_noise() -> None:
    rng = np.random.default_rng(1)
    x = np.c_[rng.normal(size=(40, 2)) * 5, rng.choice([-1.0, 1.0], (40, 3)) * [1, 1.125, 0.5]].astype(np.float32)
    found = kernels_fit.fit(x, 0.25, np.zeros((40, 5), bool), Search("linear", 1, 1, 0, 0))
    assert found.support.tolist() == [[True, True, False, True, False]]


def test_noise_alone_is_in_one_subspace_without_dimension() -> None:
    x = np.random.default_rng(2).normal(size=(30, 6)).astype(np.float32)
    found = kernels_fit.fit(x, 4.0, np.zeros((30, 6), bool), Search("linear", 1, 2, 0, 0))
    assert (found.labels == 0).all()
    assert found.support.shape == (1, 6)
    assert found.held == 0
    assert [len(one) for one in found.bases] == [0]


def test_a_subspace_that_loses_all_its_images_is_the_last_and_has_no_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [np.eye(4)[:1], np.eye(4)[:2], np.eye(4)[2:]]
    labels = np.repeat([0, 1], [8, 12])
    monkeypatch.setattr(kernels_expression, "k_subspaces", lambda *_: (labels, found))
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    fit = kernels_fit.fit(x, 0.01, np.zeros((20, 4), bool), Search("linear", 3, 3, 0, 0))
    assert fit.labels.tolist() == [1] * 8 + [0] * 12
    assert fit.support.any(axis=1).tolist() == [True, True, False]
    assert [len(one) for one in fit.bases] == [2, 1, 2]


def test_zeros_are_one_subspace_of_no_dimension() -> None:
    x = np.zeros((30, 4), np.float32)
    found = kernels_fit.fit(x, 0.0, x > 0, Search("linear", None, 2, 1, 0))
    assert [one.shape for one in found.bases] == [(0, 4)]
    assert (found.held, found.agreement) == (0, 1)


@pytest.mark.parametrize(("n", "size"), [(1, 3), (2, 4), (3, 1), (5, 3), (40, 6), (200, 2), (9, 7)])
@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e12])
def test_dimensions_are_the_eigenvalues_beyond_the_edge_of_the_noise(n: int, size: int, scale: float) -> None:
    rng = np.random.default_rng(n)
    x = (scale * rng.normal(size=(n + 5, 7)) * np.linspace(2, 0.5, 7)).astype(np.float32)
    mask, rows = np.arange(7) < size, np.arange(n + 5) >= 5
    own = x[rows].astype(float)
    values = np.linalg.svd(own[:, mask], compute_uv=False) ** 2
    off = statistics.median([statistics.pvariance(one.tolist()) for one in own.T[~mask]]) if size < 7 and n > 1 else 0
    for k, value in enumerate(values):
        # The noise whose edge is just below and just above an eigenvalue.
        for noise, rank in ((value / edge(n, size) * (1 - 1e-9), k + 1), (value / edge(n, size) * (1 + 1e-9), k)):
            found = kernels_fit._basis(x, rows, mask, noise)
            if noise > off:
                assert len(found) == rank
            expected = basis_of(x[rows], mask, noise)
            assert found.shape == expected.shape
            np.testing.assert_allclose(found.T @ found, expected.T @ expected, atol=1e-6)
    none = kernels_fit._basis(x, rows, mask, 0.0)
    assert none.shape == basis_of(x[rows], mask, 0.0).shape


def test_rounding_is_no_dimension_nor_are_images_or_channels_that_there_are_not() -> None:
    rng = np.random.default_rng(0)
    x = np.outer(rng.normal(size=30), rng.normal(size=5))
    every, rows = np.ones(5, bool), np.ones(30, bool)
    for scale in (1.0, 1e-6, 1e6):
        assert len(kernels_fit._basis(scale * x, rows, every, 0.0)) == 1
    # A direction of a ten thousandth is one, one of a millionth is none.
    for small, rank in ((1e-4, 2), (1e-6, 1)):
        y = np.c_[np.cos(np.arange(30)), small * np.sin(np.arange(30))]
        assert len(kernels_fit._basis(y, rows, every[:2], 0.0)) == rank
    for own, on, mask in ((x, ~rows, every), (x, rows, ~every), (0 * x, rows, every)):
        assert kernels_fit._basis(own, on, mask, 0.0).shape == (0, 5)


@pytest.mark.parametrize("block", [7, 8192])
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-25, 0.01])
def test_the_energy_held_is_a_sum_over_images(
    block: int, linear: bool, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_fit, "BLOCK", block)
    rng = np.random.default_rng(3)
    found = []
    for common in (rng.random(6) < 0.3, np.arange(6) < 5, np.ones(6, bool), np.zeros(6, bool)):
        for strength in (0.0, 0.1, 5.0):
            labels = rng.choice(3, 40, p=[0.6, 0.4, 0])
            support = rng.random((3, 6)) < 0.4
            x = (scale * rng.normal(size=(40, 6)) * (0.2 + strength * support[labels])).astype(np.float32)
            bases = [np.eye(6)[own & ~common] for own in support] if linear else None
            held = kernels_fit._held(x, labels, support, common, bases)
            assert held == pytest.approx(held_of(x, labels.tolist(), support, common, bases), rel=1e-6)
            found.append(held)
    assert min(found) == 0
    assert max(found) > 0.5


@pytest.mark.parametrize("linear", [True, False])
def test_nothing_is_held_where_there_is_nothing_or_where_all_channels_are_in(linear: bool) -> None:
    labels, none = np.zeros(10, int), np.zeros(4, bool)
    x = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    for size, images in ((2, 0 * x), (4, x)):
        support = np.arange(4)[None] < size
        assert kernels_fit._held(images, labels, support, none, [np.eye(4)[:size]] if linear else None) == 0


def test_what_lies_within_is_held_wholly_and_no_more_than_that() -> None:
    support, none = np.arange(4)[None] < 2, np.zeros(4, bool)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        bases = [np.linalg.qr(rng.normal(size=(4, 2)))[0].T]
        x = rng.normal(size=(10, 2)) @ bases[0]
        for held in (
            kernels_fit._held(x, np.zeros(10, int), support, none, bases),
            kernels_fit._held(x * support, np.zeros(10, int), support, none, None),
        ):
            assert held == pytest.approx(1)
            assert held <= 1


def test_the_first_of_each_group_is_kept_in_order() -> None:
    rng = np.random.default_rng(4)
    order, members = rng.permutation(30), rng.integers(12, size=30)
    kept: list[int] = []
    for i in order:
        if members[i] not in members[kept]:
            kept.append(int(i))
    assert kernels_fit.one_of_each(order, members).tolist() == kept
    assert kernels_fit.one_of_each(order, None).tolist() == order.tolist()


@pytest.mark.parametrize(("one", "other"), [(3, 3), (2, 5), (5, 1), (4, 2)])
def test_labels_are_matched_as_no_renaming_does_better(one: int, other: int) -> None:
    rng = np.random.default_rng(one)
    a, b = rng.integers(one, size=30), rng.integers(other, size=30)
    a[:2], b[:2] = [0, one - 1], [0, other - 1]
    rows, columns, table = kernels_fit.match(a, b)
    assert table.tolist() == [[sum((a == j) & (b == k)) for k in range(other)] for j in range(one)]
    assert len(set(rows)) == len(set(columns)) == len(rows) == min(one, other)
    best = agreed(a.tolist(), b.tolist())
    assert sum(table[j, k] for j, k in zip(rows, columns, strict=True)) / 30 == pytest.approx(best)
    assert kernels_fit.agreement(a, b) == pytest.approx(best)


def test_angles_are_arc_cosines_of_singular_values() -> None:
    rng = np.random.default_rng(6)
    bases = [np.linalg.qr(rng.normal(size=(9, r)))[0].T for r in (2, 0, 3, 1)]
    least, mean = kernels_fit.angles(bases)
    for j, k in np.ndindex(4, 4):
        if 1 in (j, k):
            assert math.isnan(least[j, k])
            assert math.isnan(mean[j, k])
        elif j != k:
            angles = np.arccos(np.linalg.svd(bases[j] @ bases[k].T, compute_uv=False))
            assert least[j, k] == pytest.approx(min(angles))
            assert mean[j, k] == pytest.approx(sum(angles) / len(angles))
        else:
            # The arc cosine of 1 to 16 digits is known to 8.
            assert least[j, j] == pytest.approx(0, abs=1e-7)
            assert mean[j, j] == pytest.approx(0, abs=1e-7)
