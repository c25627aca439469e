"""Agreement of partitions against loops over images, pairs of images and classes, and the hypergeometric law."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from analyses.clusters import kernels_agreement as kernels

# First and second class of each image; what is named first is numbered first.
PARTITIONS = {
    "random": ("0120120110220011", "0011223300112202"),
    "near": ("0000111122223333", "0000111122223330"),
    "empty classes": ("00330330033300", "11441144111144"),
    "one against many": ("0000000000", "0012012012"),
    "many against one": ("0012012012", "0000000000"),
    "single images": ("0112222222", "0122222222"),
    "one image apart": ("0" * 58 + "01", "0" * 58 + "10"),
    "worse than chance": ("000111222", "012012012"),
}


def labels(name: str) -> tuple[np.ndarray, np.ndarray]:
    first, second = PARTITIONS[name]
    return np.array(list(map(int, first))), np.array(list(map(int, second)))


def entropy(one: np.ndarray) -> float:
    return -sum(m / len(one) * math.log(m / len(one)) for m in Counter(one.tolist()).values())


def information(first: np.ndarray, second: np.ndarray) -> float:
    n, a, b = len(first), Counter(first.tolist()), Counter(second.tolist())
    both = Counter(zip(first.tolist(), second.tolist(), strict=True))
    return sum(m / n * math.log(n * m / (a[i] * b[j])) for (i, j), m in both.items())


def expected_information(first: np.ndarray, second: np.ndarray) -> float:
    """Of two classes of a and b images among n, as many are in both as white balls among b drawn."""
    n, total = len(first), 0.0
    for a, b in itertools.product(Counter(first.tolist()).values(), Counter(second.tolist()).values()):
        for m in range(1, min(a, b) + 1):
            total += m / n * math.log(n * m / (a * b)) * float(stats.hypergeom.pmf(m, n, a, b))
    return total


def rand_index(first: np.ndarray, second: np.ndarray) -> float:
    pairs = list(itertools.combinations(range(len(first)), 2))
    together = np.array([(first[i] == first[j], second[i] == second[j]) for i, j in pairs], float)
    both, (a, b) = float(together.prod(axis=1).sum()), together.sum(axis=0)
    chance = a * b / len(pairs)
    return (both - chance) / ((a + b) / 2 - chance)


def measured(first: np.ndarray, second: np.ndarray, expected: float) -> list[float]:
    mean, mutual = (entropy(first) + entropy(second)) / 2, information(first, second)
    most = [Counter(second[first == one].tolist()).most_common(1)[0][1] for one in set(first.tolist())]
    adjusted = (mutual - expected) / (mean - expected)
    return [mutual / mean, adjusted, rand_index(first, second), sum(most) / len(first)]


@pytest.mark.parametrize("shape", [(5, 6), (7, 5)])
def test_pairs_of_classes_are_counted_one_by_one_also_those_without_images(shape: tuple[int, int]) -> None:
    first, second = labels("empty classes")
    table = kernels.counts(first, second, shape)
    assert table.shape == shape
    for i, j in np.ndindex(*shape):
        assert table[i, j] == sum(one == (i, j) for one in zip(first, second, strict=True))


@pytest.mark.parametrize("name", PARTITIONS)
def test_measures_are_those_of_loops_over_images_and_pairs_of_them(name: str) -> None:
    first, second = labels(name)
    table = kernels.counts(first, second, (first.max() + 2, second.max() + 3))
    expected = expected_information(first, second)
    assert kernels.expected_information(table) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(kernels.measures(table), measured(first, second, expected), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(kernels.measures(table, 0.03), measured(first, second, 0.03), rtol=1e-9, atol=1e-12)
    # Rounding puts no mutual information below 0.
    assert kernels.measures(table)[0] >= 0


@pytest.mark.parametrize(("images", "clusters"), [(1, 1), (60, 1), (60, 3)])
def test_two_partitions_into_one_class_agree_fully_whatever_is_expected(images: int, clusters: int) -> None:
    table = np.diag([images] + [0] * (clusters - 1))
    assert kernels.measures(table).tolist() == [1, 1, 1, 1]
    assert kernels.measures(table, 0.5).tolist() == [1, 1, 1, 1]
    assert kernels.rand_index(table) == 1


@pytest.mark.parametrize("images", [2, 5, 30])
def test_of_images_that_are_all_apart_no_other_outcome_is_possible_and_nothing_is_adjusted(images: int) -> None:
    # The mean under permutations is the entropy itself, and no pair is together.
    np.testing.assert_allclose(kernels.measures(np.eye(images, dtype=int)), [1, 0, 1, 1], rtol=1e-12)


@pytest.mark.parametrize("images", [2, 9], ids=["entropy below 1", "entropy above 1"])
@pytest.mark.parametrize(("times", "adjusted"), [(0.9, 0), (1.1, 1)])
def test_room_of_a_billionth_of_a_thousandth_is_rounding(images: int, times: float, adjusted: float) -> None:
    # Of all entropies, and of 1 where they are less.
    room = 1e-12 * max(1.0, math.log(images)) * times
    found = kernels.measures(np.eye(images, dtype=int), math.log(images) - room)
    # Entropies are rounded to some 4e-16 of it.
    assert found[1] == pytest.approx(adjusted, abs=0.01)


@pytest.mark.parametrize(("images", "seed"), [(9, 0), (10, 3)])
def test_halves_are_the_first_half_of_one_permutation_after_another(images: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = [rng.permutation(images).tolist()[: images // 2] for _ in range(4)]
    found = kernels.halves(images, 4, seed)
    assert len(found) == 4
    # Once more they are the same.
    assert [[half.tolist() for half in found] for _ in range(2)] == [expected, expected]


def partitions(seed: int, own: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.integers(3, size=31)
    return first, np.where(rng.random(31) < own, first, rng.integers(4, size=31))


# Tables of 12 counts: one at a time, three, and all six.
@pytest.mark.parametrize("cells", [1, 40, kernels.CELLS])
@pytest.mark.parametrize("own", [0.2, 0.95])
def test_halves_are_measured_by_loops_with_what_the_first_of_them_expects(
    own: float, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "CELLS", cells)
    first, second = partitions(1, own)
    chosen = np.stack([np.random.default_rng(s).permutation(31)[:15] for s in range(6)])
    expected = expected_information(first[chosen[0]], second[chosen[0]])
    each = [measured(first[half], second[half], expected) for half in chosen]
    np.testing.assert_allclose(kernels.half_samples(first, second, chosen), each, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("own", "level", "seed"), [(0.15, 0.8, 0), (0.5, 0.95, 1), (0.9, 0.95, 2)], ids=["chance", "some", "nearly all"]
)
def test_intervals_chance_and_p_values_are_those_of_halves_and_permutations(
    own: float, level: float, seed: int
) -> None:
    first, second = partitions(seed, own)
    found = kernels.agreement(first, second, resamples=12, permutations=25, level=level, seed=seed + 5)
    expected = expected_information(first, second)
    value = np.array(measured(first, second, expected))
    halves = list(kernels.halves(31, 12, seed + 5))
    of_half = expected_information(first[halves[0]], second[halves[0]])
    each = np.array([measured(first[half], second[half], of_half) for half in halves])
    rng = np.random.default_rng(seed + 5)
    null = np.array([measured(first, rng.permutation(second), expected) for _ in range(25)])
    for m, name in enumerate(kernels.MEASURES):
        error = math.sqrt(sum((one - each[:, m].mean()) ** 2 for one in each[:, m]) / 11)
        reach = stats.norm.isf((1 - level) / 2) * error
        as_good = sum(one >= value[m] - 1e-9 for one in null[:, m])
        mine = [value[m], value[m] - reach, min(1, value[m] + reach), null[:, m].mean(), (1 + as_good) / 26]
        np.testing.assert_allclose([one[m] for one in found], mine, rtol=1e-9, atol=1e-12, err_msg=name)
    # What lies beyond 1 is cut off.
    assert ((value < 1) & (found.high == 1)).any() == (own > 0.8)


def test_permutations_that_give_the_same_count_as_as_good() -> None:
    # Two classes of two images: their permutations agree fully, or are as far from it as can be.
    first = np.array([0, 0, 1, 1])
    found = kernels.agreement(first, first, resamples=2, permutations=40, level=0.9, seed=2)
    rng = np.random.default_rng(2)
    same = sum(one[0] == one[1] and one[2] == one[3] for one in (rng.permutation(first) for _ in range(40)))
    assert 5 < same < 35
    assert found.p_value.tolist() == [(1 + same) / 41] * 4
