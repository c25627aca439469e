"""Linear subspaces of any orientation against plain loops over images and pairs of groups, with singular values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import linalg
from sklearn.cluster import KMeans

from analyses.subspaces import kernels_expression


def pursued(x: np.ndarray, i: int, atoms: int, noise: float) -> tuple[dict[int, float], float]:
    """Coefficients of one image by others, brought to unit length, and its residual relative to what is enough."""
    length = [math.sqrt(sum(one.astype(float) ** 2)) for one in x]
    unit = {j: one / size for j, (one, size) in enumerate(zip(x, length, strict=True)) if size > 0}
    if i not in unit:
        return {}, 0
    enough = max(x.shape[1] * noise / max(length[i] ** 2, 1e-12), 1e-9)
    left, chosen, weights = unit[i], [], np.zeros(0)
    others = [j for j in unit if j != i]
    while left @ left > enough and len(chosen) < min(atoms, len(others)):
        chosen.append(max((j for j in others if j not in chosen), key=lambda j: abs(unit[j] @ left)))
        of_chosen = np.transpose([unit[j] for j in chosen])
        weights = np.linalg.lstsq(of_chosen, unit[i], rcond=None)[0]
        left = unit[i] - of_chosen @ weights
    return dict(zip(chosen, weights.tolist(), strict=True)), float(left @ left) / enough


def images(n: int, channels: int, rank: int, seed: int) -> np.ndarray:
    """Of three linear subspaces with some error, of unlike lengths."""
    rng = np.random.default_rng(seed)
    turned = rng.normal(size=(3, rank, channels))
    x = np.einsum("nr,nrc->nc", rng.normal(size=(n, rank)), turned[rng.choice(3, n, p=[0.5, 0.3, 0.2])])
    return (x + 0.1 * rng.normal(size=x.shape)) * rng.uniform(0.2, 3, (n, 1))


@pytest.mark.parametrize(("n", "channels", "atoms"), [(20, 12, 8), (20, 6, 5), (5, 9, 8), (30, 14, 12)])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("scale", [1.0, 1e-7])
def test_each_image_is_expressed_by_few_others(n: int, channels: int, atoms: int, noise: float, scale: float) -> None:
    x = scale * images(n, channels, 3, n + atoms)
    # With five images each is expressed by all the others.
    x[3] *= n == 5
    # Images of lengths below a millionth are as good as none: their noise is told as that of a millionth.
    noise = noise * (scale**2 if scale == 1 else 1e-13)
    found = kernels_expression.omp(x, atoms=atoms, noise=noise)
    for i in range(n):
        expected = np.zeros(n)
        for j, weight in pursued(x, i, atoms, noise)[0].items():
            expected[j] = weight
        np.testing.assert_allclose(found[i], expected, atol=1e-7)


def test_pursuits_above_stop_at_the_noise_after_unlike_numbers_of_others() -> None:
    # Else they would not see what is enough.
    x = images(20, 12, 3, 28)
    for noise in (0.01, 0.2):
        assert len({len(pursued(x, i, 8, noise)[0]) for i in range(20)}) > 3


def test_by_default_eight_others_express_an_image_without_error() -> None:
    x = np.random.default_rng(0).normal(size=(20, 12))
    found = kernels_expression.omp(x)
    assert ((found != 0).sum(axis=1) == 8).all()
    np.testing.assert_allclose(found, kernels_expression.omp(x, atoms=8, noise=0), rtol=1e-12)


def test_a_residual_of_just_the_noise_counts_as_expressed() -> None:
    # Equal images of length 1 in four channels of noise a quarter.
    x = np.tile([1.0, 0, 0, 0], (3, 1))
    assert not kernels_expression.omp(x, noise=0.25).any()
    assert kernels_expression.omp(x, noise=np.nextafter(0.25, 0)).any()


def test_affinities_are_sums_of_coefficients_by_the_largest_of_their_row() -> None:
    code = np.random.default_rng(1).normal(size=(6, 6)) * (np.random.default_rng(2).random((6, 6)) < 0.6)
    code[4], code[2] = 0, code[2] / 1000
    found = kernels_expression.affinity(code)
    largest = [max(abs(v) for v in one) or 1 for one in code]
    for i, j in np.ndindex(6, 6):
        assert found[i, j] == pytest.approx(abs(code[i, j]) / largest[i] + abs(code[j, i]) / largest[j])


def explained(x: np.ndarray, noise: float, scale: float) -> tuple[float, int]:
    """Evidence and dimension, by a loop over dimensions."""
    n, channels = x.shape
    values = np.linalg.svd(x, compute_uv=False) ** 2
    found = []
    for r in range(min(n, channels) + 1):
        missed = math.fsum(values[r:]) / noise
        coefficients = n * r * math.log(1 + scale / noise)
        # The free numbers of an orthonormal basis, but for r of its lengths.
        free = sum(channels - k for k in range(r))
        found.append(-(missed + coefficients + free * math.log(1 + n * scale / noise)) / 2)
    return max(found), found.index(max(found))


@pytest.mark.parametrize(
    ("n", "channels", "noise", "scale"),
    [(30, 8, 0.02, 6.0), (7, 12, 0.02, 3.0), (9, 9, 0.5, 2.0), (60, 3, 4.0, 0.2), (40, 8, 3.0, 9.0), (1, 5, 0.1, 1.0)],
)
def test_evidence_is_the_largest_over_dimensions(n: int, channels: int, noise: float, scale: float) -> None:
    x = images(n, channels, 3, n)
    value, rank = kernels_expression.evidence(x, noise, scale)
    expected, dimension = explained(x, noise, scale)
    assert value == pytest.approx(expected, rel=1e-9)
    assert rank == dimension
    squares = [sum(v * v for v in one) for one in x]
    assert kernels_expression.mean_square(x) == pytest.approx(sum(squares) / n)


def split(x: np.ndarray, number: int, noise: float, seed: int) -> list[int]:
    """Ng, Jordan & Weiss's spectral clustering of the affinities of all images."""
    weights = kernels_expression.affinity(kernels_expression.omp(x, noise=2 * noise))
    weights = weights + 1e-6 * weights.max() + 1e-12
    root = np.diag([1 / math.sqrt(sum(one)) for one in weights])
    _, vectors = linalg.eigh(root @ weights @ root, subset_by_index=[len(x) - number, len(x) - 1])
    rows = np.array([one / math.sqrt(sum(one**2)) for one in vectors])
    return KMeans(number, n_init=4, random_state=seed).fit(rows).labels_.tolist()


def value(x: np.ndarray, labels: list[int], noise: float) -> float:
    """Evidence of groups, each with its share of images."""
    scale, total = sum(sum(one**2) for one in x) / len(x), 0.0
    for k in set(labels):
        own = x[[label == k for label in labels]]
        total += explained(own, noise, scale)[0] + len(own) * math.log(len(own) / len(x))
    return total


def merged(x: np.ndarray, labels: list[int], noise: float) -> dict[int, tuple[list[int], float]]:
    path = {}
    while True:
        here = sorted(set(labels))
        path[len(here)] = labels, value(x, labels, noise)
        if len(here) == 1:
            return path
        pairs = itertools.combinations(here, 2)
        ways = [[j if label == k else label for label in labels] for j, k in pairs]
        labels = max(ways, key=lambda way: value(x, way, noise))


def fitted(x: np.ndarray, labels: list[int], number: int, noise: float, scale: float) -> list[np.ndarray]:
    found = []
    for k in range(number):
        own = x[[label == k for label in labels]]
        rank = explained(own, noise, scale)[1] if len(own) else 0
        found.append(np.linalg.svd(own, full_matrices=False)[2][:rank] if rank else np.zeros((0, x.shape[1])))
    return found


def nearest(x: np.ndarray, found: list[np.ndarray], noise: float, scale: float) -> tuple[list[int], list[float]]:
    """Subspace of the briefest description of each image, and what it misses, by least squares."""
    labels, missed = [], []
    for one in x:
        left = [float(sum((one - basis.T @ (basis @ one)) ** 2)) for basis in found]
        costs = [off / noise + len(b) * math.log(1 + scale / noise) for off, b in zip(left, found, strict=True)]
        labels.append(costs.index(min(costs)))
        missed.append(left[labels[-1]])
    return labels, missed


def turned(x: np.ndarray, found: list[np.ndarray], noise: float, most: int) -> tuple[list[int], list[np.ndarray], int]:
    """Assignment and fits in turns, and the number of turns that moved images."""
    scale = sum(sum(one**2) for one in x) / len(x)
    labels, _ = nearest(x, found, noise, scale)
    for turns in range(most):
        found = fitted(x, labels, len(found), noise, scale)
        moved, _ = nearest(x, found, noise, scale)
        if moved == labels:
            return labels, found, turns
        labels = moved
    return labels, found, most


def assert_same_subspaces(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert [one.shape for one in found] == [one.shape for one in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.T @ one, other.T @ other, atol=1e-6)


def assert_same_groups(labels: np.ndarray, expected: list[int]) -> None:
    np.testing.assert_array_equal(np.equal.outer(labels, labels), np.equal.outer(expected, expected))


@pytest.mark.parametrize("block", [7, 8192])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_images_go_where_they_are_told_most_briefly(block: int, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_expression, "BLOCK", block)
    x = images(40, 8, 3, 1).astype(kind)
    rng = np.random.default_rng(1)
    directions = [linalg.orth(rng.normal(size=(8, r))).T if r else np.zeros((0, 8)) for r in (3, 1, 4, 0, 3)]
    x[0] = 0
    x[1] = directions[0][0]
    for noise, scale in ((0.3, 5.0), (0.01, 0.4), (2.0, 3.0)):
        labels, missed = kernels_expression.assign(x, directions, noise, scale)
        expected, left = nearest(x.astype(float), directions, noise, scale)
        assert labels.tolist() == expected
        np.testing.assert_allclose(missed, left, rtol=1e-5, atol=1e-5)
        assert (missed >= 0).all()


@pytest.mark.parametrize(("noise", "number"), [(0.1, 4), (0.02, 3), (3.0, 5)])
def test_bases_are_the_largest_singular_vectors_of_each_group(noise: float, number: int) -> None:
    x = images(50, 9, 2, 4)
    labels = np.random.default_rng(4).integers(3, size=50)
    labels[labels == 1] = 3
    found = kernels_expression.bases(x, labels, number, noise)
    assert_same_subspaces(found, fitted(x, labels.tolist(), number, noise, kernels_expression.mean_square(x)))
    assert len(found[1]) == 0


def begin(number: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Images of no subspaces, and bases of two dimensions to begin with."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(150, 10)) * np.linspace(0.5, 2, 10)
    return x, [linalg.orth(rng.normal(size=(10, 2))).T for _ in range(number)]


BEGUN = [(2, 2), (3, 0), (8, 2)]


@pytest.mark.parametrize("sweeps", [None, 0, 1, 3])
@pytest.mark.parametrize(("number", "seed"), BEGUN)
def test_assignment_and_fits_alternate(sweeps: int | None, number: int, seed: int) -> None:
    x, begun = begin(number, seed)
    options = {} if sweeps is None else {"sweeps": sweeps}
    labels, found = kernels_expression.k_subspaces(x, begun, 0.5, **options)
    expected, wanted, _ = turned(x, begun, 0.5, 10 if sweeps is None else sweeps)
    assert labels.tolist() == expected
    assert_same_subspaces(found, wanted)


def test_images_above_still_move_after_ten_turns_in_some_cases_and_not_in_others() -> None:
    # Else a turn more would not be seen, nor one that is not needed.
    turns = [turned(*begin(*case), 0.5, 11)[2] for case in BEGUN]
    assert max(turns) == 11
    assert min(turns) < 10


@pytest.mark.parametrize(("number", "noise", "seed"), [(5, 0.02, 0), (7, 0.3, 1), (3, 0.01, 2), (12, 0.05, 2)])
def test_many_groups_are_made_of_the_spectrum_of_affinities(number: int, noise: float, seed: int) -> None:
    x = images(60, 8, 2, seed)
    found = kernels_expression._oversegment(x, number, noise, seed)
    expected = split(x, number, noise, seed)
    assert_same_groups(found, expected)
    assert set(found) == set(range(len(set(expected))))


@pytest.mark.parametrize(("noise", "seed"), [(0.01, 0), (0.2, 1), (0.05, 2)])
def test_groups_are_merged_where_evidence_is_lost_least(noise: float, seed: int) -> None:
    x = images(40, 7, 2, seed)
    labels = np.random.default_rng(seed).integers(7, size=40)
    found = kernels_expression._merge(x, labels, noise)
    expected = merged(x, labels.tolist(), noise)
    assert found.keys() == expected.keys()
    for k, (groups, evidence) in expected.items():
        assert_same_groups(found[k][0], groups)
        assert set(found[k][0]) == set(range(k))
        assert found[k][1] == pytest.approx(evidence, rel=1e-9)


def found_by_loops(x: np.ndarray, number: int | None, most: int, noise: float, seed: int):
    noise = max(noise, 1e-6 * sum(sum(one**2) for one in x) / x.size, 1e-12)
    most = max(most, number or 1)
    labels = split(x, max(min(2 * most, len(x) // 3), number or 1), noise, seed)
    path, found = {}, []
    for _ in range(2):
        path = {k: one for k, one in merged(x, labels, noise).items() if k <= most}
        best = max((k for k in path if k <= (number or k)), key=lambda k: k if number else path[k][1])
        names = sorted(set(path[best][0]))
        groups = [names.index(one) for one in path[best][0]]
        scale = sum(sum(one**2) for one in x) / len(x)
        labels, found, _ = turned(x, fitted(x, groups, best, noise, scale), noise, 10)
    kept = found if number else [one for one in found if len(one)] or found[:1]
    return kept, {k: evidence for k, (_, evidence) in path.items()}


def assert_found(x: np.ndarray, number: int | None, most: int, noise: float, seed: int) -> None:
    found, evidence = kernels_expression.group(x, number, most, noise, seed)
    expected, values = found_by_loops(x, number, most, noise, seed)
    assert evidence == pytest.approx(values, rel=1e-8)
    # In any order: that of k-means.
    one, other = (sorted(some, key=lambda basis: np.round(basis.T @ basis, 5).tolist()) for some in (found, expected))
    assert_same_subspaces(one, other)


# Number, most, noise, seed, images, and how many of these are at rest.
GROUPED = [
    (None, 5, 0.02, 0, 50, 0),
    (None, 2, 0.3, 1, 50, 0),
    (None, 8, 0.0, 2, 20, 0),
    (None, 4, 0.02, 1, 50, 20),
    (5, 5, 0.02, 1, 50, 20),
    (4, 3, 0.05, 3, 50, 0),
    (2, 6, 2.0, 4, 40, 0),
    (7, 2, 0.05, 5, 12, 0),
    (5, 8, 0.05, 2, 18, 0),
    (None, 3, 0.05, 6, 4, 0),
    (None, 1, 0.05, 6, 30, 0),
    (None, 3, 9.0, 7, 30, 0),
    (3, 3, 9.0, 7, 30, 0),
]


@pytest.mark.parametrize(("number", "most", "noise", "seed", "n", "rest"), GROUPED)
def test_subspaces_are_those_of_two_rounds_of_merging_and_fitting(
    number: int | None, most: int, noise: float, seed: int, n: int, rest: int
) -> None:
    x = images(n, 7, 2, seed)
    x[:rest] *= 0.01
    assert_found(x, number, most, noise, seed)


def test_a_third_round_is_not_made_where_it_would_find_other_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    x = begin(2, 5)[0][:60]
    assert_found(x, None, 6, 0.3, 5)
    _, two = kernels_expression.group(x, None, 6, 0.3, 5)
    monkeypatch.setattr(kernels_expression, "ROUNDS", 3)
    assert kernels_expression.group(x, None, 6, 0.3, 5)[1] != two


@pytest.mark.parametrize("number", [None, 3])
def test_images_at_rest_are_a_subspace_beside_others_only_where_that_many_are_asked_for(number: int | None) -> None:
    rng = np.random.default_rng(0)
    x = np.kron(np.eye(3)[:, :2], np.ones((20, 1))) @ np.eye(2, 6) * rng.uniform(1, 5, (60, 1))
    found, evidence = kernels_expression.group(x + 0.01 * rng.normal(size=(60, 6)), number, 4, 1e-4, 0)
    assert max(evidence, key=lambda k: evidence[k]) == 3
    assert sorted(len(one) for one in found) == ([1, 1] if number is None else [0, 1, 1])


def test_images_at_rest_are_one_subspace_without_dimension() -> None:
    found, evidence = kernels_expression.group(np.zeros((12, 4)), None, 1, 0.0, 0)
    assert [one.shape for one in found] == [(0, 4)]
    assert evidence == {1: 0}


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_errors_of_preserving_are_means_over_images_that_are_expressed(scale: float) -> None:
    rng = np.random.default_rng(5)
    code = scale * rng.normal(size=(9, 9)) * (rng.random((9, 9)) < 0.4)
    code[2] = 0
    labels = rng.integers(3, size=9)
    shares = []
    for i in range(9):
        total = sum(abs(v) for v in code[i])
        if total:
            shares.append(sum(abs(code[i, j]) for j in range(9) if labels[j] != labels[i]) / total)
    found = kernels_expression.preserving_error(code, labels)
    assert found == pytest.approx(sum(shares) / len(shares))
    assert len(shares) == 8
    assert math.isnan(kernels_expression.preserving_error(0 * code, labels))
