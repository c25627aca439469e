"""What a union of affine subspaces explains, against plain loops over images with singular values and least squares."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

from analyses.subspaces import kernels_explained


class Affine(NamedTuple):
    mean: np.ndarray
    basis: np.ndarray

    def missed(self, one: np.ndarray) -> float:
        """Squared distance of an image to the nearest point of the subspace."""
        apart = one - self.mean
        if not len(self.basis):
            return float(apart @ apart)
        weight = np.linalg.lstsq(self.basis.T, apart, rcond=None)[0]
        left = apart - weight @ self.basis
        return float(left @ left)


def fitted(own: np.ndarray, mask: np.ndarray, rank: int) -> Affine:
    """The nearest subspace on the masked channels, of directions that are no more than rounding left out."""
    if not len(own) or not mask.any():
        return Affine(np.zeros(len(mask)), np.zeros((0, len(mask))))
    seen = np.where(mask, own.astype(float), 0)
    _, value, vector = np.linalg.svd(seen - seen.mean(axis=0), full_matrices=False)
    told = [v for v, s in zip(vector, value, strict=True) if s > 1e-6 * value[0]]
    return Affine(seen.mean(axis=0), np.array(told[:rank]).reshape(-1, len(mask)))


def union(x: np.ndarray, labels: np.ndarray, masks: np.ndarray, rank: int) -> list[Affine]:
    return [fitted(x[[i for i, label in enumerate(labels) if label == k]], m, rank) for k, m in enumerate(masks)]


def alternated(x: np.ndarray, labels: np.ndarray, masks: np.ndarray, rank: int) -> tuple[list[Affine], int]:
    """After five turns of moving images at most, and how many there were."""
    found = union(x, labels, masks, rank)
    for turns in range(5):
        missed = [[part.missed(one) for part in found] for one in x]
        moved = np.array([one.index(min(one)) for one in missed])
        if (moved == labels).all():
            return found, turns
        labels, found = moved, union(x, moved, masks, rank)
    return found, 5


def parts(seed: int, n: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of affine subspaces with some error, and labels and masks that are right for many of them.

    One subspace has images of one direction alone, one a single image, one none, one equal images, one no channels.
    """
    rng = np.random.default_rng(seed)
    channels = 7
    labels = rng.integers(3, size=n)
    centres, turned = rng.normal(size=(3, channels)), rng.normal(size=(3, 2, channels))
    x = centres[labels] + np.einsum("nr,nrc->nc", rng.normal(size=(n, 2)), turned[labels])
    x += 0.3 * rng.normal(size=x.shape)
    x[:5] = np.outer(np.arange(5.0), np.arange(7.0) - 3) + 2
    x[6:9] = 1.5
    labels[:5], labels[5], labels[6:9], labels[9:11] = 3, 4, 6, 7
    masks = rng.random((8, channels)) < 0.7
    masks[3:7], masks[7] = True, False
    return (scale * x).astype(np.float32), labels, masks


def projector(basis: np.ndarray) -> np.ndarray:
    return basis.T @ basis


@pytest.mark.parametrize(("n", "scale"), [(90, 1.0), (26, 1.0), (60, 1e-5), (60, 1e4)])
@pytest.mark.parametrize("rank", [1, 3, 9])
def test_subspaces_are_the_nearest_to_their_images_on_their_channels(n: int, scale: float, rank: int) -> None:
    x, labels, masks = parts(rank, n, scale)
    found = kernels_explained.fit_union(x, labels, masks, rank)
    expected = union(x, labels, masks, rank)
    assert found.basis.shape == (8, rank, 7)
    for k, part in enumerate(expected):
        np.testing.assert_allclose(found.mean[k], part.mean, rtol=1e-9, atol=1e-12 * scale)
        np.testing.assert_allclose(projector(found.basis[k]), projector(part.basis), atol=1e-7)
        assert (found.basis[k, len(part.basis) :] == 0).all()
    assert [len(part.basis) for part in expected][3:] == [1, 0, 0, 0, 0]
    test = scale * np.random.default_rng(9).normal(size=(12, 7))
    missed = [[part.missed(one) for part in expected] for one in test]
    np.testing.assert_allclose(found.residual(test), missed, rtol=1e-7, atol=1e-12 * scale**2)
    # Of images within the subspaces rounding leaves no less than nothing.
    assert (found.residual(x) >= 0).all()


def test_directions_a_millionth_of_the_largest_are_rounding() -> None:
    along, across = np.linspace(-1, 1, 40), np.tile([1.0, -1.0], 20)
    for size, rank in ((1e-5, 2), (1e-7, 1)):
        # Largest singular value 3.7, and √40 size.
        x = np.c_[along, size * across, 0 * along]
        found = kernels_explained.fit_union(x, np.zeros(40, int), np.ones((1, 3), bool), 3)
        assert np.any(found.basis[0] != 0, axis=1).sum() == rank


@pytest.mark.parametrize("seed", range(4))
def test_images_and_subspaces_are_fitted_in_turns(seed: int) -> None:
    x, labels, masks = parts(seed, 70)
    masks, labels = masks[:3], np.random.default_rng(seed).integers(3, size=70)
    labels = labels if seed else np.array([part.argmin() for part in missed_by(union(x, labels, masks, 2), x)])
    found = kernels_explained.alternate(x, labels, masks, 2)
    expected, _ = alternated(x, labels, masks, 2)
    for k, part in enumerate(expected):
        np.testing.assert_allclose(found.mean[k], part.mean, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(projector(found.basis[k]), projector(part.basis), atol=1e-7)


def missed_by(found: list[Affine], x: np.ndarray) -> np.ndarray:
    return np.array([[part.missed(one) for part in found] for one in x])


def test_some_of_the_images_above_would_move_on_after_five_turns() -> None:
    # Else a turn more would not be seen.
    still = []
    for seed in range(1, 4):
        x, _, masks = parts(seed, 70)
        found, turns = alternated(x, np.random.default_rng(seed).integers(3, size=70), masks[:3], 2)
        again, _ = alternated(x, missed_by(found, x).argmin(axis=1), masks[:3], 2)
        apart = max(np.abs(a.mean - b.mean).max() for a, b in zip(found, again, strict=True))
        still.append(turns == 5 and apart > 1e-3)
    assert any(still)


@pytest.mark.parametrize("subspaces", [1, 2, 5])
@pytest.mark.parametrize("rank", [1, 2, 7])
@pytest.mark.parametrize(("channels", "nonzeros"), [(6, 2), (10, 10), (40, 23), (40, 80), (200, 500)])
def test_pcas_have_the_rank_that_as_many_numbers_allow(subspaces: int, rank: int, channels: int, nonzeros: int) -> None:
    def spent(comparison: str) -> int:
        return kernels_explained.pca_rank(
            comparison, subspaces=subspaces, rank=rank, channels=channels, nonzeros=nonzeros
        )

    # Every PCA of R dimensions and its mean are (R + 1) C numbers: the largest that is no more than the union's.
    ranks = range(channels + 1)
    numbers = subspaces * (rank + 1) * channels
    assert spent("parameters") == max(r for r in ranks if (r + 1) * channels <= numbers)
    sparse = [r for r in ranks if (r + 1) * channels <= (rank + 1) * nonzeros]
    assert spent("nonzeros") == max(sparse, default=0)
    assert spent("coefficients") == min(rank + 1, channels)


@pytest.mark.parametrize(("seed", "ranks"), [(0, (1, 2)), (1, (3,)), (2, (1, 4, 7))])
def test_residuals_are_those_of_the_nearest_subspace_and_of_one_pca(seed: int, ranks: tuple[int, ...]) -> None:
    x, labels, masks = parts(seed, 70)
    train, test, labels, masks = x[12:], x[:12], labels[12:], masks[:3]
    found = kernels_explained.compare(train, labels, masks, test, ranks)
    centre = train.astype(float).mean(axis=0)
    np.testing.assert_allclose(found.total, [sum((one - centre) ** 2) for one in test.astype(float)], rtol=1e-12)
    assert found.union.shape == found.pca.shape == (12, len(ranks), 3)
    for i, rank in enumerate(ranks):
        dense, sparse = (missed_by(alternated(train, labels, m, rank)[0], test) for m in (masks | True, masks))
        for j, name in enumerate(("parameters", "nonzeros", "coefficients")):
            near = (sparse if name == "nonzeros" else dense).min(axis=1)
            np.testing.assert_allclose(found.union[:, i, j], near, rtol=1e-6, atol=1e-9)
            spent = kernels_explained.pca_rank(
                name, subspaces=3, rank=rank, channels=7, nonzeros=sum(bool(m) for m in masks.ravel())
            )
            whole = fitted(train, np.ones(7, bool), spent)
            left = [whole.missed(one) for one in test.astype(float)]
            np.testing.assert_allclose(found.pca[:, i, j], left, rtol=1e-9, atol=1e-9)
    assert (found.pca >= 0).all()
    assert kernels_explained.COMPARISONS == ("parameters", "nonzeros", "coefficients")


@pytest.mark.parametrize("size", [1.0, 0.01])
def test_fractions_are_sums_over_images(size: float) -> None:
    rng = np.random.default_rng(0)
    residual, total = size * rng.random((5, 2, 3)), size * (1 + rng.random(5)) / 8
    found = kernels_explained.fractions(residual, total)
    for at in np.ndindex(2, 3):
        assert found[at] == pytest.approx(1 - math.fsum(residual[:, *at]) / math.fsum(total))
    assert np.isnan(kernels_explained.fractions(0 * residual, 0 * total)).all()


GROUPS = np.array([3, 0, 0, 1, 4, 2, 2, 2, 5])


@pytest.mark.parametrize("members", [None, GROUPS], ids=["images", "groups"])
@pytest.mark.parametrize("told", [9, 2, 0])
def test_gains_are_drawn_again_with_images_or_groups_in_the_numbers_of_the_generator(
    members: np.ndarray | None, told: int
) -> None:
    rng = np.random.default_rng(told)
    union, pca, total = rng.random((9, 2, 3)), rng.random((9, 2, 3)), rng.random(9) / 9
    # Images that differ from no mean: samples of them alone have no gain.
    total[told:] = 0
    explained = kernels_explained.Explained(union, pca, total)
    found, drawn = kernels_explained.gains(explained, resamples=40, seed=6, members=members)
    assert drawn.shape == (40, 2, 3)
    units = 9 if members is None else 6
    times = np.random.default_rng(6).multinomial(units, [1 / units] * units, size=40)
    unknown = 0
    for row, counts in enumerate([np.ones(units, int), *times]):
        images = [i for i in range(9) for _ in range(counts[i if members is None else GROUPS[i]])]
        whole = math.fsum(total[i] for i in images)
        unknown += whole == 0
        for at in np.ndindex(2, 3):
            saved = math.fsum(pca[i, *at] - union[i, *at] for i in images)
            expected = saved / whole if whole > 0 else math.nan
            assert (drawn[row - 1] if row else found)[at] == pytest.approx(expected, nan_ok=True)
    assert {9: unknown == 0, 2: 0 < unknown < 40, 0: unknown == 41}[told]
