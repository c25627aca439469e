"""Means of classes apart from the scatter of their images, against plain loops over classes and groups of images."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from analyses.clusters import kernels_separation as kernels


class Case(NamedTuple):
    x: np.ndarray
    classes: np.ndarray
    groups: np.ndarray


def case(seed: int, sizes: tuple[int, ...], groups: str, channels: int, unit: float = 1.0) -> Case:
    """Classes that scatter more and more; groups of one image each, within classes, or across them."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    x = (
        rng.normal(size=(len(classes), channels)) * (1 + classes[:, None])
        + rng.normal(size=(len(sizes), channels))[classes]
    )
    each = np.arange(len(classes))
    of = {"alone": each, "within": classes + len(sizes) * (each % 4), "across": rng.integers(6, size=len(classes))}
    return Case(unit * x, classes, np.unique(of[groups], return_inverse=True)[1])


CASES = {
    "two classes": case(0, (6, 9), "alone", 3),
    "three classes": case(1, (5, 7, 8), "alone", 2),
    "one channel": case(2, (6, 6), "alone", 1),
    "groups within classes": case(3, (20, 24, 28), "within", 3),
    "groups across classes": case(4, (25, 20, 30), "across", 4),
    "groups across two": case(5, (18, 12), "across", 1),
    "small units": case(6, (7, 9, 6), "alone", 3, 1e-3),
}


def deviations(of: Case, one: int) -> list[np.ndarray]:
    """Of a class, the sum over the images of each of its groups of what sets them apart from its mean."""
    mine = of.classes == one
    mean = of.x[mine].mean(axis=0)
    return [(of.x[mine & (of.groups == g)] - mean).sum(axis=0) for g in np.unique(of.groups[mine])]


def scatter_of(of: Case, one: int) -> tuple[np.ndarray, float, float]:
    images = of.x[of.classes == one]
    mean, n, parts = images.mean(axis=0), len(images), deviations(of, one)
    square = sum(float(part @ part) for part in parts)
    return mean, square / n**2 * len(parts) / (len(parts) - 1), float(((images - mean) ** 2).sum()) / (n - 1)


def share(of: Case) -> float:
    found = [scatter_of(of, one) for one in np.unique(of.classes)]
    pairs = [((a - b) ** 2).sum() - v - w for (a, v, _), (b, w, _) in itertools.combinations(found, 2)]
    between = np.mean(pairs) / 2
    return float(between / (between + np.mean([one[2] for one in found])))


@pytest.mark.parametrize("name", CASES)
def test_means_their_variances_and_scatters_are_those_of_loops_over_images_and_groups(name: str) -> None:
    of = CASES[name]
    found = kernels.scatters(kernels.Sums(*of).of_class)
    count = int(of.classes.max()) + 1
    assert [len(one) for one in found] == [count] * 3
    for one in range(count):
        for mine, expected in zip(found, scatter_of(of, one), strict=True):
            np.testing.assert_allclose(mine[one], expected, rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_share_between_classes_is_that_of_pairs_of_means_also_without_each_group(name: str) -> None:
    of = CASES[name]
    left = [Case(*(part[of.groups != g] for part in of)) for g in range(int(of.groups.max()) + 1)]
    np.testing.assert_allclose(kernels.separated(kernels.Sums(*of)), [share(of), *map(share, left)], rtol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_the_worth_of_a_class_is_the_number_of_equal_squares_that_its_scatter_would_be(name: str) -> None:
    of = CASES[name]
    found = kernels.worth(kernels.Sums(*of))
    for one in range(int(of.classes.max()) + 1):
        q = [float(part @ part) for part in deviations(of, one)]
        assert found[one] == pytest.approx(sum(q) ** 2 / sum(v**2 for v in q), rel=1e-9)


@pytest.mark.parametrize("size", [20.0, 1e-3])
@pytest.mark.parametrize(("times", "worth"), [(0.0, 0), (0.9, 0), (1.1, 2)])
def test_of_a_class_that_is_all_alike_rounding_is_no_scatter(size: float, times: float, worth: float) -> None:
    # Rounding is less than 10⁻¹⁰ of the longest image, here of the other class, times the images of a group.
    other = size * np.array([[0.6, 0.8], [-0.1, 0.2], [0.3, 0.1], [0.2, -0.4]])
    mine = times * 1e-10 * size * np.array([[0.6, 0.8]] * 3 + [[-0.6, -0.8]] * 3)
    x, classes = np.concatenate([other, mine]), np.repeat([1, 0], [4, 6])
    found = kernels.worth(kernels.Sums(x, classes, np.array([2, 3, 4, 5, 0, 0, 0, 1, 1, 1])))
    assert found[0] == pytest.approx(worth, rel=1e-4)
    assert found[1] > 1


def p_of_signs(of: Case, draws: int, seed: int) -> float:
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, int(of.groups.max()) + 1))
    count = int(of.classes.max()) + 1

    def apart(means: list[np.ndarray]) -> float:
        middle = sum(means) / count
        return float(sum(((mean - middle) ** 2).sum() for mean in means))

    observed, reached = apart([scatter_of(of, one)[0] for one in range(count)]), 0
    for row in signs:
        moved = []
        for one in range(count):
            mine, parts = np.unique(of.groups[of.classes == one]), deviations(of, one)
            whole = sum(row[g] * part for g, part in zip(mine, parts, strict=True))
            moved.append(whole / (of.classes == one).sum() * math.sqrt(len(parts) / (len(parts) - 1)))
        reached += apart(moved) >= observed
    return (1 + reached) / (1 + draws)


@pytest.mark.parametrize("name", CASES)
def test_p_values_are_those_of_random_signs_of_groups(name: str) -> None:
    of = CASES[name]
    means = np.array([of.x[of.classes == one].mean(axis=0) for one in range(int(of.classes.max()) + 1)])
    expected = []
    for seed, nearer in enumerate((0.0, 0.4, 0.8)):
        moved = of._replace(x=of.x - nearer * means[of.classes])
        expected.append(p_of_signs(moved, 80, seed))
        assert kernels.p_value(kernels.Sums(*moved), 80, seed) == pytest.approx(expected[-1], rel=1e-12)
    # Some signs carry means as far, and some do not.
    assert any(0.05 < p < 0.95 for p in expected), expected


@pytest.mark.parametrize(("beyond", "share"), [(-0.4e-9, 0.5), (0.4e-9, 0.5), (0.6e-9, 0.0)])
def test_what_is_as_far_apart_up_to_a_billionth_counts(beyond: float, share: float) -> None:
    # Signs carry the mean of two images at ±1 by 0 or √2, and that of two at one place nowhere.
    x = np.array([1.0, -1.0, 0, 0])[:, None]
    x[2:] = math.sqrt(2) * (1 + beyond)
    classes = np.array([0, 0, 1, 1])
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(60, 4))
    reached = int((signs[:, 0] != signs[:, 1]).sum()) if share else 0
    assert not share or 15 < reached < 45
    found = kernels.p_value(kernels.Sums(x, classes, np.arange(4)), 60, 0)
    assert found == pytest.approx((1 + reached) / 61, rel=1e-12)


def test_of_images_that_are_all_alike_every_sign_carries_as_far() -> None:
    assert kernels.p_value(kernels.Sums(np.zeros((6, 2)), np.repeat([0, 1], 3), np.arange(6)), 19, 0) == 1


@pytest.mark.parametrize("shares", [None, [0.1, 0.3, 0.2, 0.15, 0.25]], ids=["alike", "of unlike sizes"])
@pytest.mark.parametrize("value", [0.05, 0.3, -0.1])
def test_p_values_of_the_jackknife_take_half_the_variance_it_finds(value: float, shares: list[float] | None) -> None:
    without = value + np.array([0.02, -0.03, 0.05, 0.01, -0.01])
    # A group's share s moves the whole by s/(1 − s) of what sets it apart: it counts 1 − s, of 1 − 1/n.
    weights = [1.0] * 5 if shares is None else [(1 - s) / (1 - 1 / 5) for s in shares]
    moved = [value + w * (one - value) for w, one in zip(weights, without, strict=True)]
    square = 4 / 5 * sum((one - sum(moved) / 5) ** 2 for one in moved)
    expected = stats.t.sf(value / math.sqrt(square / 2), 4)
    found = kernels.p_of_jackknife(np.array([value, *without]), None if shares is None else np.array(shares))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("value", "expected"), [(0.3, 0.0), (-0.3, 1.0), (0.0, math.nan)])
def test_without_any_error_a_share_is_above_0_below_it_or_unknown(value: float, expected: float) -> None:
    np.testing.assert_equal(kernels.p_of_jackknife(np.full(6, value), None), expected)
