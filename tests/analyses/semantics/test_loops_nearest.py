"""Neighbours, shared classes and retrieval ranks, against plain loops over all images."""

import math
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from analyses.semantics import kernels_pairs

BLOCKS = pytest.mark.parametrize("elements", [kernels_pairs.ELEMENTS, 200, 1])


def neighbours(
    x: np.ndarray, k: int, noise: np.ndarray | None, groups: np.ndarray | None
) -> tuple[list[list[int]], list[list[float]]]:
    """Of each image the k nearest of other groups, of equal ones the lower number first."""
    own, off = range(len(x)) if groups is None else groups, np.zeros(len(x)) if noise is None else noise
    index, distance = [], []
    for i, one in enumerate(x.tolist()):
        far = []
        for j, other in enumerate(x.tolist()):
            if own[i] != own[j]:
                square = math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)) - off[i] - off[j]
                far.append((math.copysign(math.sqrt(abs(square)), square), j))
        index.append([j for _, j in sorted(far)[:k]])
        distance.append([d for d, _ in sorted(far)[:k]])
    return index, distance


@BLOCKS
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("k", [1, 4, 17])
def test_neighbours_are_those_of_loops(
    k: int, grouped: bool, noisy: bool, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_pairs, "ELEMENTS", elements)
    rng = np.random.default_rng(1)
    x = rng.gamma(1.0, size=(40, 3)) + np.array([1e6, -1e6, 0])
    groups = rng.permutation(np.repeat(np.arange(8), [14, 1, 1, 1, 9, 2, 7, 5])) if grouped else None
    noise = rng.uniform(0, 0.5, 40) if noisy else None
    index, distance = kernels_pairs.nearest(x, k, noise, groups)
    expected = neighbours(x, k, noise, groups)
    np.testing.assert_array_equal(index, expected[0])
    # Numbers of 10⁶ have ten digits after the point; squares of single differences keep them, or lose half at 0.
    np.testing.assert_allclose(distance, expected[1], rtol=1e-8, atol=1e-5 if noisy else 0)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("n", [5, 11, 12, 13, 14, 15])
def test_all_others_are_neighbours_up_to_the_last(n: int, noisy: bool) -> None:
    x = np.random.default_rng(n).normal(size=(n, 2))
    noise = 0.1 * np.arange(n) if noisy else None
    expected = [np.array(one) for one in neighbours(x, n - 1, noise, None)]
    for k in (3, n - 2, n - 1):
        index, distance = kernels_pairs.nearest(x, k, noise)
        np.testing.assert_array_equal(index, expected[0][:, :k])
        np.testing.assert_allclose(distance, expected[1][:, :k], rtol=1e-7)


def alike(n: int) -> np.ndarray:
    return np.ones((n, 2))


def lattice(size: float) -> np.ndarray:
    """Sixteen sites equally far from each other, each of four images in a short row; nothing is rounded."""
    sites = np.repeat(np.eye(16), 4, axis=0)
    rows = np.tile(np.arange(4) / 64, 16)[:, None]
    return size * np.random.default_rng(2).permutation(np.hstack([sites, rows]))


@pytest.mark.parametrize("elements", [kernels_pairs.ELEMENTS, 200])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize(
    "x", [alike(12), alike(13), alike(32), lattice(0.25), lattice(4.0)], ids=["12", "13", "32", "small", "large"]
)
def test_of_equally_near_images_the_first_come_first(
    x: np.ndarray, noisy: bool, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_pairs, "ELEMENTS", elements)
    noise = np.full(len(x), 2.0**-20) if noisy else None
    expected = [np.array(one) for one in neighbours(x, 5, noise, None)]
    for k in (1, 4, 5):
        index, distance = kernels_pairs.nearest(x, k, noise)
        np.testing.assert_array_equal(index, expected[0][:, :k])
        np.testing.assert_allclose(distance, expected[1][:, :k], rtol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_of_many_images_that_are_all_as_far_apart_the_first_of_other_groups_come_first(size: int) -> None:
    # Each excites a channel of its own: any two are √2 apart, and no few candidates hold the first of them.
    x, groups = np.eye(60), np.arange(60) // size
    index, distance = kernels_pairs.nearest(x[::-1].copy(), 3, None, groups)
    for i, row in enumerate(index.tolist()):
        assert row == [j for j in range(60) if groups[j] != groups[i]][:3]
    np.testing.assert_allclose(distance, math.sqrt(2), rtol=1e-15)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("size", [2.0**10, 2.0**-10])
def test_neighbours_are_exact_where_norms_are_a_billion_times_their_distances(size: float, channels: int) -> None:
    rng = np.random.default_rng(3)
    # Whole numbers of 2⁻³⁴, about 0 and two far points: differences are exact, and products of norms see none of them.
    x = rng.integers(-100, 101, (64, channels)) * 2.0**-34
    side = rng.permutation(np.repeat([-1, 0, 1], [28, 8, 28]))
    x = size * (side[:, None] * rng.integers(2**17, 2**18, channels) / 2**18 + x)
    # All but one of the 27 others on an image's side are candidates: the rounding of products chooses which.
    k = 26 - kernels_pairs.SPARE
    index, distance = kernels_pairs.nearest(x, k)
    expected = neighbours(x, k, None, None)
    np.testing.assert_array_equal(index, expected[0])
    np.testing.assert_allclose(distance, expected[1], rtol=1e-12)


def counted(monkeypatch: pytest.MonkeyPatch, search: Callable[[], object]) -> int:
    """How many rows a search has to take whole."""
    calls = []
    right = kernels_pairs._nearest_of_all

    def counting(*given: Any) -> tuple[np.ndarray, np.ndarray]:
        calls.append(given)
        return right(*given)

    with monkeypatch.context() as patch:
        patch.setattr(kernels_pairs, "_nearest_of_all", counting)
        search()
    return len(calls)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_rows_are_searched_whole_only_where_candidates_may_miss_a_neighbour(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    x = scale * rng.gamma(1.0, size=(100, 3))
    for k in (1, 3, 91, 99):
        assert counted(monkeypatch, lambda k=k: kernels_pairs.nearest(x, k)) == 0
    # Candidates are enough for any one group to be left out of them, and not for two.
    groups = np.repeat(np.arange(5), 20)
    assert counted(monkeypatch, lambda: kernels_pairs.nearest(x, 3, None, groups)) == 0
    assert counted(monkeypatch, lambda: kernels_pairs.nearest(alike(30), 3)) == 30


@pytest.mark.parametrize("grouped", [False, True])
def test_shares_of_the_own_class_and_chance_are_those_of_loops(grouped: bool) -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(4, size=20)
    groups = rng.permutation(np.repeat(np.arange(6), [6, 1, 4, 2, 5, 2])) if grouped else None
    own = range(20) if groups is None else groups
    chances = []
    for i in range(20):
        others = [j for j in range(20) if own[j] != own[i]]
        chances.append(sum(int(codes[j] == codes[i]) for j in others) / len(others))
    for shape in ((20, 1), (20, 5), (2, 3, 20, 5)):
        index = rng.integers(20, size=shape)
        # One that nothing is known of, and one whose first neighbour is image 0.
        index[..., 7, :], index[..., 3, 0] = -1, 0
        share, chance = kernels_pairs.shared_labels(index, codes, groups)
        assert share.shape == shape[:-1]
        assert chance == pytest.approx(sum(chances) / 20, rel=1e-12)
        for at in np.ndindex(share.shape):
            same = [int(codes[j] == codes[at[-1]]) for j in index[at]]
            assert math.isnan(share[at]) if at[-1] == 7 else share[at] == pytest.approx(sum(same) / len(same))


def ranked(queries: np.ndarray, references: np.ndarray, noise: np.ndarray | None) -> tuple[list[int], list[int]]:
    """Numbers of references nearer than the own, and of others exactly as near, in fractions."""
    off = np.zeros(len(queries)) if noise is None else noise
    nearer, equal = [], []
    for i, query in enumerate(queries.tolist()):
        square = [
            sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(query, reference, strict=True)) - Fraction(float(n))
            for reference, n in zip(references.tolist(), off, strict=True)
        ]
        nearer.append(sum(s < square[i] for s in square))
        equal.append(sum(s == square[i] for s in square) - 1)
    return nearer, equal


@BLOCKS
@pytest.mark.parametrize("noisy", [False, True])
def test_ranks_are_those_of_loops_with_ties_apart(noisy: bool, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_pairs, "ELEMENTS", elements)
    rng = np.random.default_rng(6)
    # Noise and steps of whole 1/64, so that ties are exact; far from 0 on either side.
    references = rng.integers(-20, 20, (30, 3)) / 64 + [2e6, -2e6, 1]
    references[20:25] = references[10:15]
    queries = references + rng.integers(-30, 30, (30, 3)) / 64
    noise = rng.integers(0, 20, 30) / 64 if noisy else None
    nearer, equal = kernels_pairs.ranks(queries, references, noise)
    expected = ranked(queries, references, noise)
    assert sum(expected[0]) > 30
    assert noisy or sum(expected[1]) >= 10
    assert nearer.tolist() == expected[0]
    assert equal.tolist() == expected[1]


def test_references_and_queries_that_are_all_alike_are_equally_near() -> None:
    for value in (0.0, 0.1):
        nearer, equal = kernels_pairs.ranks(np.full((5, 2), value), np.full((5, 2), value))
        assert nearer.tolist() == [0] * 5
        assert equal.tolist() == [4] * 5


@pytest.mark.parametrize("far", [0.0, 10.0])
def test_ranks_hold_as_equal_what_differs_by_a_millionth_of_a_millionth_of_the_squares(far: float) -> None:
    # The first query's own reference is at 1 on the second axis, and four others nearly as far from the query.
    slack = 1e-12 * (far**2 + 4)
    by = slack * np.array([0.0, -1.7, -0.6, 0.6, 1.7])
    near = np.zeros((5, 3))
    near[:, 1] = [1, -1, 1, -1, 1]
    if far:
        # Of a query far along the first axis, a step along it by s changes squared distances by −2 far s.
        near[:, 0] = -by / (2 * far)
    else:
        near[:, 1] *= 1 + by / 2
    # With what is mirrored their mean is 0; the largest square is 4, and two are 0, which are nearer.
    references = np.concatenate([near, -near, [[0, 0, 2], [0, 0, -2], [0, 0, 0], [0, 0, 0]]])
    queries = np.zeros_like(references)
    queries[:, 0] = far
    nearer, equal = kernels_pairs.ranks(queries, references)
    assert nearer[0] == 2 + 2
    assert equal[0] == 1 + 2 + 2


@pytest.mark.parametrize("kernel", ["neighbours", "neighbours without noise", "ranks"])
def test_distances_held_at_once_are_bounded(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels_pairs.ELEMENTS * 8 == 64 * 2**20
    monkeypatch.setattr(kernels_pairs, "ELEMENTS", 2**13)
    x = np.random.default_rng(7).normal(size=(1000, 40))
    calls = {
        "neighbours": lambda: kernels_pairs.nearest(x, 5),
        "neighbours without noise": lambda: kernels_pairs.nearest(x, 5, np.full(1000, 0.1)),
        "ranks": lambda: kernels_pairs.ranks(x, x + 0.1),
    }
    tracemalloc.start()
    try:
        calls[kernel]()
        # All distances, or all differences to candidates, take more: some copies of x are allowed.
        assert tracemalloc.get_traced_memory()[1] < 8 * x.nbytes
    finally:
        tracemalloc.stop()
