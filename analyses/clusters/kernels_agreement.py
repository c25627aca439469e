"""Agreement of two partitions of the same images, from their table of counts alone; no labels here.

Own measures, since scikit-learn's take 90 times as long under permutations: they count, and find E, each time anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from scipy.special import entr
from scipy.stats import norm
from sklearn.metrics.cluster import expected_mutual_information

__all__ = ["MEASURES", "Agreement", "Halves", "agreement", "counts", "half_samples", "halves", "measures"]

# Counts whose measures are taken at once.
CELLS = 2**17
MEASURES = ("nmi", "ami", "ari", "purity")


class Agreement(NamedTuple):
    """Each (measure): the value, its interval, its mean and p-value under permuted labels."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    chance: np.ndarray
    p_value: np.ndarray


def counts(first: np.ndarray, second: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Number of images (first, second) in each pair of classes."""
    return np.bincount(first * shape[1] + second, minlength=shape[0] * shape[1]).reshape(shape)


def measures(table: np.ndarray, expected: float | None = None) -> np.ndarray:
    """NMI, AMI, ARI and purity of tables of counts (…, cluster, class), along a last dimension of their own.

    NMI is I/((H₁ + H₂)/2); AMI (I − E)/((H₁ + H₂)/2 − E) with E the mean of I over permutations (Vinh, Epps & Bailey,
    2010); ARI Hubert & Arabie's; purity the share of images of their cluster's most frequent class. Two partitions into
    one class agree fully.

    Parameters
    ----------
    table
        Counts.
    expected
        E, where it is known nearly enough; else found exactly, of one table.
    """
    n = table.sum(axis=(-2, -1))
    rows, cols = table.sum(axis=-1), table.sum(axis=-2)
    entropies = entr(rows / n[..., None]).sum(axis=-1) + entr(cols / n[..., None]).sum(axis=-1)
    mutual = entropies - entr(table / n[..., None, None]).sum(axis=(-2, -1))
    mean = entropies / 2
    purity = table.max(axis=-1).sum(axis=-1) / n
    one_class = mean < 1e-12
    if expected is None:
        expected = 0.0 if one_class else expected_information(table)
    # Where nothing but the one outcome is possible the denominator is rounding.
    room = mean - expected
    adjusted = _over(mutual - expected, room, np.abs(room) > 1e-12 * np.maximum(1.0, mean), otherwise=0.0)
    found = [_over(np.maximum(mutual, 0), mean, ~one_class), np.where(one_class, 1.0, adjusted)]
    return np.stack([*found, np.where(one_class, 1.0, rand_index(table)), purity], axis=-1)


def _over(above: np.ndarray, below: np.ndarray, known: np.ndarray, otherwise: float = 1.0) -> np.ndarray:
    return np.divide(above, below, out=np.full(np.shape(below), otherwise), where=known)


def expected_information(table: np.ndarray) -> float:
    """Mean mutual information of partitions with these sizes, over permutations."""
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    return float(expected_mutual_information(table.astype(np.int64), int(table.sum())))


def rand_index(table: np.ndarray) -> np.ndarray:
    """Hubert & Arabie's adjusted Rand index: pairs together in both partitions, less what chance gives."""
    whole = table.sum(axis=(-2, -1))
    sums = (table.reshape(*whole.shape, -1), table.sum(axis=-1), table.sum(axis=-2), whole[..., None])
    pairs, rows, cols, total = ((x * (x - 1.0)).sum(axis=-1) for x in sums)
    chance = _over(rows * cols, total, total > 0, otherwise=0.0)
    room = (rows + cols) / 2 - chance
    return _over(pairs - chance, room, room != 0)


@dataclass(frozen=True)
class Halves:
    """Random halves of images, positions (images // 2) each: the same each time, drawn as they are needed."""

    images: int
    resamples: int
    seed: int

    def __len__(self) -> int:
        return self.resamples

    def __iter__(self) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        return (rng.permutation(self.images)[: self.images // 2] for _ in range(self.resamples))


def halves(n: int, resamples: int, seed: int) -> Halves:
    """Random halves of n images, the same for whatever is compared; of many images all at once would be too much."""
    return Halves(n, resamples, seed)


def half_samples(first: np.ndarray, second: np.ndarray, chosen: Iterable[np.ndarray]) -> np.ndarray:
    """The measures (resamples, measure) of random halves of the images.

    Their standard deviation is that of the measure on all images (the delete-half jackknife of Shao & Wu, 1989: the
    variance of a half without replacement about the whole is that of the whole about the population), and no image
    occurs twice, as it would in a bootstrap, where copies agree with themselves and raise every measure.
    """
    shape = int(first.max()) + 1, int(second.max()) + 1
    # Sizes of classes hardly differ between halves, and E depends on them alone.
    one = next(iter(chosen))
    expected = expected_information(counts(first[one], second[one], shape))
    return _of_each(((first[half], second[half]) for half in chosen), shape, expected)


def _of_each(pairs: Iterable[tuple[np.ndarray, np.ndarray]], shape: tuple[int, int], expected: float) -> np.ndarray:
    """The measures (pairs, measure) of partitions, some MiB of tables at a time."""
    tables = (counts(first, second, shape) for first, second in pairs)
    together = max(1, CELLS // math.prod(shape))
    batches = iter(lambda: list(islice(tables, together)), [])
    return np.concatenate([measures(np.stack(some), expected) for some in batches])


def agreement(
    first: np.ndarray, second: np.ndarray, *, resamples: int, permutations: int, level: float, seed: int
) -> Agreement:
    """How far clusters agree with classes, both numbered from 0, with intervals over images and chance levels.

    The partition into clusters is taken as it is: the interval is value ± z standard errors by `half_samples`, cut off
    at the measures' upper end of 1. The p-value is (1 + as good)/(1 + permutations).
    """
    shape = int(first.max()) + 1, int(second.max()) + 1
    table = counts(first, second, shape)
    expected = expected_information(table)
    value = measures(table, expected)
    error = half_samples(first, second, halves(len(first), resamples, seed)).std(axis=0, ddof=1)
    reach = norm.ppf((1 + level) / 2) * error
    rng = np.random.default_rng(seed)
    # Permutations keep the sizes of classes, and with them E.
    null = _of_each(((first, rng.permutation(second)) for _ in range(permutations)), shape, expected)
    as_good = (null >= value - 1e-12).sum(axis=0)
    return Agreement(
        value, value - reach, np.minimum(value + reach, 1), null.mean(axis=0), (1 + as_good) / (1 + permutations)
    )
