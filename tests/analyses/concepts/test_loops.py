"""What is held with a channel, its classifier and permutation tests, against loops over images and samples."""

import math

import numpy as np
import pytest
from scipy.special import expit

from analyses.concepts import kernels


def representation(seed: int, images: int, channels: int) -> np.ndarray:
    """φ with many ties, channels of unlike spreads, and from the tenth on constant ones."""
    rng = np.random.default_rng(seed)
    phi = rng.integers(0, 4, size=(images, channels)) * rng.choice([0.01, 1.0, 8.0], channels)
    # The mean of equal numbers is exact of whole ones, and not of others.
    phi[:, 10:] = rng.integers(0, 3, size=channels)[10:] * rng.choice([1, 0.1], channels)[10:]
    return phi


@pytest.mark.parametrize("count", [1, 5, 40])
@pytest.mark.parametrize("seed", range(3))
def test_images_that_excite_most_come_first_and_equal_ones_in_their_order(seed: int, count: int) -> None:
    phi = representation(seed, 60, 3)
    order = sorted(range(60), key=lambda i: (-phi[i, 1], i))
    assert kernels.most_exciting(phi, 1, count).tolist() == order[:count]


@pytest.mark.parametrize("seed", range(4))
def test_channels_are_ordered_by_how_far_images_raise_them_in_their_standard_deviations(seed: int) -> None:
    phi, rng = representation(seed, 40, 50), np.random.default_rng(seed)
    images, others = rng.permutation(40)[:5], rng.permutation(50)[:45]
    raised = {}
    for c in others.tolist():
        mean = sum(phi[:, c]) / 40
        spread = math.sqrt(sum((v - mean) ** 2 for v in phi[:, c]) / 40)
        # A constant channel is not raised.
        raised[c] = sum(v - mean for v in phi[images, c]) / 5 / spread if len(set(phi[:, c])) > 1 else 0.0
    for channel in (0, 1, 20, int(others[0])):
        expected = [c for c in sorted(raised, key=lambda c: -raised[c]) if c != channel]
        assert kernels.raised_together(phi, images, channel, others) == expected
    # Some are raised and some are not.
    assert min(raised.values()) < 0 < max(raised.values())


def logistic(x: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Intercept and slopes that make ½ ‖w‖² + Σ weight · log loss least, by Newton's steps."""
    rows, w = np.insert(x, 0, 1, axis=1), np.zeros(x.shape[1] + 1)
    penalty = np.diag([0.0] + [1.0] * x.shape[1])
    for _ in range(30):
        p = expit(rows @ w)
        gradient = penalty @ w + rows.T @ (weight * (p - positive))
        w = w - np.linalg.solve(penalty + (rows.T * (weight * p * (1 - p))) @ rows, gradient)
    return w


@pytest.mark.parametrize(("images", "excited"), [(60, 6), (61, 7), (25, 3)])
@pytest.mark.parametrize("held", [[2], [0, 2, 4]])
def test_the_classifier_tells_a_tenth_from_the_rest_with_equal_weight_and_a_strong_penalty(
    images: int, excited: int, held: list[int]
) -> None:
    rng = np.random.default_rng(images)
    phi, given = (5 + rng.normal(size=(n, 6)) * [1, 2, 0.1, 5, 1, 3] for n in (images, 9))
    for one in (phi, given):
        one[:, 1] += 20 * one[:, 2]
    free = [c for c in range(6) if c not in held]
    positive = np.isin(np.arange(images), sorted(range(images), key=lambda i: -phi[i, 2])[:excited])
    # Both kinds weigh the same together, as much as half of the images.
    weight = 0.01 * np.where(positive, images / (2 * excited), images / (2 * (images - excited)))
    centre, spread = phi[:, free].mean(axis=0), phi[:, free].std(axis=0)
    w = logistic((phi[:, free] - centre) / spread, positive, weight)
    p = expit(w[0] + ((given[:, free] - centre) / spread) @ w[1:])
    found = kernels.excitement(phi, 2, held)(given)
    # scikit-learn's gradients end below 1e-4, and probabilities move at most a quarter as much as what they are of.
    np.testing.assert_allclose(found, np.stack([1 - p, p], axis=1), atol=1e-3)
    assert np.ptp(p) > 0.05


def distances(seed: int, conditions: int, held: int, free: int) -> tuple[np.ndarray, np.ndarray]:
    """Of few values, with ties; held ones of each condition nearer by another amount."""
    rng = np.random.default_rng(seed)
    nearer = np.linspace(0, 2, conditions)[:, None]
    return rng.integers(0, 5, size=(conditions, held)) - nearer, rng.integers(0, 5, size=(conditions, free)) + 0.0


def won(held: list[float], free: list[float]) -> float:
    return sum(1.0 if a < b else 0.5 if a == b else 0.0 for a in held for b in free) / (len(held) * len(free))


SIZES = [(1, 3, 4), (3, 2, 2), (3, 4, 3), (2, 1, 5), (4, 6, 1)]


@pytest.mark.parametrize("sizes", SIZES)
def test_nearer_is_the_share_of_pairs_that_held_samples_win_with_ties_as_halves(sizes: tuple[int, int, int]) -> None:
    for seed in range(3):
        held, free = distances(seed, *sizes)
        expected = [won(a, b) for a, b in zip(held.tolist(), free.tolist(), strict=True)]
        np.testing.assert_allclose(kernels.nearer(held, free), expected, rtol=1e-12)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_p_values_are_those_of_samples_dealt_anew_within_each_condition(sizes: tuple[int, int, int], seed: int) -> None:
    held, free = distances(seed, *sizes)
    count = held.shape[1]

    def mean_of(rows: np.ndarray) -> float:
        return sum(won(row[:count], row[count:]) for row in rows.tolist()) / len(rows)

    together, rng = np.concatenate([held, free], axis=1), np.random.default_rng(seed)
    # Wins are in steps of half a pair, far above rounding: what is nearly as large is as large.
    reached = sum(mean_of(rng.permuted(together, axis=1)) > mean_of(together) - 1e-9 for _ in range(60))
    found = kernels.relabelled_p(held, free, permutations=60, seed=seed)
    assert found == pytest.approx((1 + reached) / 61, rel=1e-12)


def test_some_of_the_p_values_above_are_neither_least_nor_1() -> None:
    found = [kernels.relabelled_p(*distances(s, *sizes), permutations=60, seed=s) for sizes in SIZES for s in range(3)]
    assert sum(3 / 61 < p < 58 / 61 for p in found) > 5


def test_equal_labellings_count_and_nearly_equal_ones_do_not() -> None:
    # One held sample of three is the second nearest: a half of pairs. It is dealt first, second or third.
    found = kernels.relabelled_p(np.array([[2.0]]), np.array([[1.0, 3.0]]), permutations=300, seed=1)
    rng = np.random.default_rng(1)
    first = [rng.permuted(np.array([[2.0, 1, 3]]), axis=1)[0, 0] for _ in range(300)]
    assert found == pytest.approx((1 + sum(one <= 2 for one in first)) / 301, rel=1e-12)
    # Of twelve others one more or less is a twelfth, which is no tie.
    others = np.arange(1.0, 13)[None]
    found = kernels.relabelled_p(np.array([[6.5]]), others, permutations=300, seed=2)
    rng = np.random.default_rng(2)
    first = [rng.permuted(np.insert(others, 0, 6.5, axis=1), axis=1)[0, 0] for _ in range(300)]
    assert found == pytest.approx((1 + sum(one <= 6.5 for one in first)) / 301, rel=1e-12)
