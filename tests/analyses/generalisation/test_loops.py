"""Nearest training images and the threshold of what is unseen, against plain loops over pairs of images."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
import torch

from analyses.generalisation import kernels
from probekit.errors import InputError
from probekit.images import load


class Near(NamedTuple):
    position: int
    distance: float
    relative: float
    counted: int


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Euclidean distance of images that are centred and scaled to unit norm; a constant one has no direction."""
    a, b = (image.ravel().astype(float) - image.astype(float).mean() for image in (one, other))
    sizes = [math.sqrt(float(x @ x)) for x in (a, b)]
    return math.sqrt(2) if min(np.ptp(one), np.ptp(other)) == 0 else float(np.linalg.norm(a / sizes[0] - b / sizes[1]))


def nearest(image: np.ndarray, training: np.ndarray, neighbours: int) -> Near:
    """By hand: the nearest, and the mean of the next ones that are no twins of it, up to 0.1 from it."""
    distances = [apart(image, other) for other in training]
    position = min(range(len(training)), key=lambda j: distances[j])
    others = [d for d, other in zip(distances, training, strict=True) if apart(training[position], other) > 0.1]
    following = sorted(others)[:neighbours]
    relative = distances[position] / (sum(following) / len(following)) if following else 0.0
    return Near(position, distances[position], relative, len(following))


def at_distance(image: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    """An image so far from this one, as `apart` says."""
    a, b = image.ravel() - image.mean(), rng.normal(size=image.size)
    a = a / np.linalg.norm(a)
    b = b - b.mean()
    b = b - (a @ b) * a
    angle = 2 * math.asin(distance / 2)
    turned = math.cos(angle) * a + math.sin(angle) * b / np.linalg.norm(b)
    # Contrast and brightness change no distance.
    return (3.0 * turned - 2).reshape(image.shape)


def problem(seed: int, training: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and training images: families of twins, some just no twins, constant ones, negatives, the first copied."""
    rng = np.random.default_rng(seed)
    made = list(rng.random((max(training - 6, 1), 3, 4, 5)))
    for distance in (0.0, 0.05, 0.09, 0.11, 0.2, 2.0)[: training - len(made)]:
        made.append(at_distance(made[0], distance, rng))
    if training > 6:
        made[1], made[2] = np.full((3, 4, 5), 0.5), np.full((3, 4, 5), 0.9)
    mine = [
        made[0].copy(),
        at_distance(made[0], 0.04, rng),
        at_distance(made[-1], 0.3, rng),
        np.full((3, 4, 5), 0.25),
        np.full((3, 4, 5), 0.9),
        *rng.random((4, 3, 4, 5)),
    ]
    order = np.arange(training) if seed == 0 else rng.permutation(training)
    return np.array(mine, np.float32), np.array(made, np.float32)[order]


@pytest.mark.parametrize("chunk", [1, 4, 512])
@pytest.mark.parametrize(("training", "neighbours"), [(13, 1), (13, 5), (16, 3), (13, 12), (2, 1), (1, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_training_image_and_the_next_are_those_of_all_pairs(
    seed: int, training: int, neighbours: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "CHUNK", chunk)
    mine, known = problem(seed, training)
    found = kernels.nearest_training(torch.from_numpy(mine), load(known), neighbours=neighbours)
    assert [tuple(one.shape) for one in found] == [(len(mine),)] * 3
    for i, image in enumerate(mine):
        expected = nearest(image, known, neighbours)
        # Correlations in single precision have errors of some 2⁻²²; of distances d that is 2⁻²²/d, and its root at 0.
        np.testing.assert_allclose(float(found.distance[i]), expected.distance, atol=7e-4)
        np.testing.assert_allclose(apart(image, known[int(found.position[i])]), expected.distance, atol=7e-4)
        np.testing.assert_allclose(float(found.relative[i]), expected.relative, rtol=1e-3, atol=7e-3)


def test_the_loops_above_meet_fewer_next_ones_than_asked_for_and_none() -> None:
    counted = {nearest(image, problem(0, n)[1], 12).counted for n in (13, 2, 1) for image in problem(0, n)[0]}
    assert {0, 12} < counted


def test_all_are_copied_only_of_images_whose_nearest_has_all_for_twins() -> None:
    rng = np.random.default_rng(0)
    middle = rng.random((1, 4, 5))
    one = at_distance(middle, 0.08, rng)
    # As far on the other side, so that these two are no twins.
    a, b = (x - x.mean() for x in (middle, one))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    known = np.array([one, 2 * (a * b).sum() * a - b, middle])
    mine = np.array([at_distance(x, 0.02, rng) for x in (middle, one)], np.float32)
    found = kernels.nearest_training(torch.from_numpy(mine), load(known), neighbours=3)
    expected = [nearest(image, known, 3) for image in mine]
    assert [near.counted for near in expected] == [0, 1]
    np.testing.assert_allclose(found.relative, [near.relative for near in expected], rtol=1e-3)


def test_as_far_as_a_twin_may_be_it_is_no_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # Correlations of the patterns are exact: 1, 0 and −1.
    patterns = torch.tensor([[1.0, 1, -1, -1], [1, 1, -1, -1], [1, -1, 1, -1], [-1, -1, 1, 1]])
    known = load(patterns.view(4, 1, 2, 2).numpy())
    image = torch.tensor([1.0, -1, -1, 1]).view(1, 1, 2, 2) + patterns[:1].view(1, 1, 2, 2)
    near = math.sqrt(2 - math.sqrt(2))
    for twin, following in [(0.0, (math.sqrt(2), math.sqrt(2 + math.sqrt(2)))), (2.0, ())]:
        monkeypatch.setattr(kernels, "TWIN", twin)
        found = kernels.nearest_training(image, known, neighbours=3)
        expected = near / float(np.mean(following)) if following else 0.0
        assert float(found.relative) == pytest.approx(expected, rel=1e-6)


SHARES = {
    "0.05": [18, 19, 20, 38],
    "0.1": [18, 29],
    "0.29": [99],
    "0.07": [99],
    "0.99": [9],
    "0.5": [0, 1],
    "0.49": [1],
    "0.123": [40],
}


@pytest.mark.parametrize(("share", "n"), [(share, n) for share, numbers in SHARES.items() for n in numbers])
def test_the_threshold_is_the_number_of_which_a_share_of_one_more_lies_at_or_below(share: str, n: int) -> None:
    held_out = np.random.default_rng(n).random(n).tolist()
    # Of the decimal, where that of floating-point numbers may be short of a whole one.
    k = math.floor(Fraction(share) * (n + 1))
    if k >= 1:
        assert kernels.threshold(held_out, float(share)) == sorted(held_out)[k - 1]
    else:
        with pytest.raises(InputError, match=f"{n} held-out images cannot tell what a share of {share} of unseen"):
            kernels.threshold(held_out, float(share))


@pytest.mark.parametrize(("share", "least"), [(0.05, 19), (0.3, 3), (0.5, 1), (0.01, 99), (1e-30, 10**18 - 1)])
def test_the_error_says_how_many_held_out_images_are_enough(share: float, least: int) -> None:
    with pytest.raises(InputError, match=f"give at least {least}, or a larger share"):
        kernels.threshold([], share)
    if least < 100:
        kernels.threshold([0.5] * least, share)
        with pytest.raises(InputError, match="cannot tell"):
            kernels.threshold([0.5] * (least - 1), share)
