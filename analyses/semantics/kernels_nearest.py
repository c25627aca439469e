"""Images found again among others; neighbours of some images among very many, which come some at a time; arrays only.

`kernels_pairs.nearest` holds all images at once, for each of them as a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import digamma

from analyses.semantics.kernels_pairs import (
    ELEMENTS,
    SIGNAL,
    SPARE,
    noise_free,
    prepared,
    ranks,
    rows_apart,
    same,
    spreads,
)
from probekit.machine.warned import warned
from probekit.phi.reliability import signed_root

__all__ = [
    "Nearest",
    "Parts",
    "Side",
    "Sides",
    "Sought",
    "among_all",
    "found_again",
    "harmonic",
    "searched",
    "spreads_of_parts",
]

# Sums of groups, which are held for some channels at once, in bytes.
GROUP_BYTES = 2**28
# φ and its standard errors of some images, and where among all they are; in the order of images, all of them.
Parts = Callable[[], Iterator[tuple[np.ndarray, np.ndarray | None, slice]]]


class Nearest:
    """The k nearest rows of each query, by Euclidean distance, exactly; of rows that come some at a time, in order.

    scikit-learn finds among these rows a few candidates more than k by |a|² − 2a·b + |b|², whose rounding is relative
    to the norms, and their distances are computed again as norms of differences. A query looks at all of the rows
    unless its k-th distance so far lies below the last candidate's by more than that rounding, so that no other row
    can be as near.

    Parameters
    ----------
    queries
        (queries, features), finite.
    k
        Number of neighbours.
    groups
        (queries), the number of each query's group, of which no row is its neighbour: itself, at least.
    noise
        (queries), what squared distances to and from each are too large by; by default nothing.

    Attributes
    ----------
    index, distance
        (queries, k): rows, by their places among all, and distances; nearest first, of equal ones the lower place
        first. With noise, distances are signed roots, and equal or not up to rounding. −1 and infinite where fewer
        than k rows were looked at.
    """

    def __init__(self, queries: np.ndarray, k: int, groups: np.ndarray, noise: np.ndarray | None = None) -> None:
        self._queries, self._k, self._groups, self._noise = np.ascontiguousarray(queries, np.float64), k, groups, noise
        # About this, norms are no larger than the distances that are their differences.
        self._middle = self._queries.mean(axis=0)
        self._about = self._queries - self._middle
        self.index = np.full((len(queries), k), -1)
        self._found = np.full((len(queries), k), np.inf)

    @property
    def distance(self) -> np.ndarray:
        return self._found if self._noise is None else signed_root(self._found)

    def look(self, x: np.ndarray, start: int, groups: np.ndarray, noise: np.ndarray | None = None) -> None:
        """Take in rows (rows, features), the first of which is at place `start`, with their groups and noise (rows)."""
        if self._noise is None:
            self._look(np.ascontiguousarray(x, np.float64), start, groups)
            return
        about = x - self._middle
        square = (about**2).sum(axis=1) - noise
        own = (self._about**2).sum(axis=1) - self._noise
        step = max(1, ELEMENTS // (2 * len(x)))
        for first in range(0, len(own), step):
            rows = np.arange(first, min(first + step, len(own)))
            d = square - 2 * self._about[rows] @ about.T + own[rows, None]
            d[self._groups[rows, None] == groups] = np.inf
            self._take(rows, *_least(d, self._k, start))

    def _look(self, x: np.ndarray, start: int, groups: np.ndarray) -> None:
        from sklearn.neighbors import NearestNeighbors

        about = x - self._middle
        shared = np.isin(groups, self._groups)
        largest = int(np.bincount(groups[shared]).max()) if shared.any() else 0
        few = min(self._k + SPARE + largest, len(x))
        last, candidates = NearestNeighbors(n_neighbors=few, algorithm="brute").fit(about).kneighbors(self._about)
        # Nearest first, and those of the own group last: what lies beyond the first few of the others is not looked at.
        own = groups[candidates] == self._groups[:, None]
        first = np.argsort(own, axis=1, kind="stable")[:, : self._k + SPARE]
        last, candidates, own = (np.take_along_axis(values, first, axis=1) for values in (last, candidates, own))
        exact = rows_apart(x, candidates, self._queries)
        exact[own] = np.inf
        before = self.index.copy(), self._found.copy()
        every = np.arange(len(self._queries))
        self._take(every, candidates + start, exact)
        if candidates.shape[1] == len(x):
            return
        # Sums of C products and of three squares, each of at most the largest norm's; twice that, for both sides.
        norms = max(float((side**2).sum(axis=1).max()) for side in (about, self._about))
        error = 8 * (x.shape[1] + 4) * 2.0**-53 * norms
        for i in np.flatnonzero(self._found[:, -1] ** 2 >= last[:, -1] ** 2 - error):
            self.index[i], self._found[i] = before[0][i], before[1][i]
            d = rows_apart(x, np.arange(len(x))[None], self._queries[[i]])
            d[0, groups == self._groups[i]] = np.inf
            self._take(every[[i]], *_least(d, self._k, start))

    def _take(self, rows: np.ndarray, index: np.ndarray, found: np.ndarray) -> None:
        """Keep the nearest of those of before and of these, (rows, some)."""
        index = np.concatenate([self.index[rows], index], axis=1)
        found = np.concatenate([self._found[rows], found], axis=1)
        index[np.isinf(found)] = -1
        order = np.lexsort((index, found))[:, : self._k]
        self.index[rows], self._found[rows] = (np.take_along_axis(values, order, axis=1) for values in (index, found))


def _least(d: np.ndarray, k: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the k least of each row (rows, images), of equal ones the first; fewer of fewer images."""
    k = min(k, d.shape[1])
    last = np.partition(d, k - 1, axis=1)[:, k - 1]
    index = np.empty((len(d), k), int)
    for i, row in enumerate(d):
        within = np.flatnonzero(row <= last[i])
        index[i] = within[np.argsort(row[within], kind="stable")][:k]
    return index + start, np.take_along_axis(d, index, axis=1)


def spreads_of_parts(parts: Parts, groups: np.ndarray | None = None) -> np.ndarray:
    """Standard deviation of each channel, as `kernels_pairs.spreads` finds it, of images that come some at a time.

    They come twice: for means, and for squares about these, which loses no more digits than with all at once. With
    groups they come once more for every 256 MiB of sums of groups.

    Parameters
    ----------
    parts
        Gives φ and standard errors (some, …), or None, and where they are.
    groups
        (images), the number of each image's group, from 0; None where images are independent.

    Returns
    -------
    ndarray
        (…), float64; 0 where rounding is all that varies.
    """
    count, total, noise, peak = 0, 0.0, None, 0.0
    for x, se, _ in parts():
        count += len(x)
        total = total + x.sum(axis=0, dtype=np.float64)
        peak = np.maximum(peak, np.abs(x).max(axis=0))
        if se is not None:
            noise = (0.0 if noise is None else noise) + np.square(se, dtype=np.float64).sum(axis=0)
    mean = np.asarray(total / count)
    square = np.zeros(mean.shape)
    if groups is None:
        for x, _, _ in parts():
            square += np.square(x - mean).sum(axis=0)
        variance = square / (count - 1)
    else:
        sizes = np.bincount(groups)
        step = max(1, GROUP_BYTES // (8 * len(sizes)))
        flat, middle = square.reshape(-1), mean.reshape(-1)
        for first in range(0, len(flat), step):
            some = slice(first, first + step)
            sums = np.zeros((len(sizes), len(flat[some])))
            for x, _, rows in parts():
                about = x.reshape(len(x), -1)[:, some] - middle[some]
                np.add.at(sums, groups[rows], about)
                # n Σx² − (Σx)² is Σ (x_i − x_j)²/2 over ordered pairs: of all images, less that of each group.
                flat[some] += ((count - sizes[groups[rows]])[:, None] * about**2).sum(axis=0)
            flat[some] += (sums**2).sum(axis=0)
        variance = square / (count**2 - float((sizes**2).sum()))
    spread = np.where(np.sqrt(variance) > 1e-12 * peak, np.sqrt(variance), 0)
    if noise is None:
        return spread
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(spread > 0, 1 - noise / count / spread**2, np.nan)
    return np.where(share >= SIGNAL, spread * np.sqrt(np.maximum(share, 0)), 0)


class Sought(NamedTuple):
    """Neighbours found at one place by one metric, or why there are none.

    Attributes
    ----------
    found, distance
        `index` and `distance` of `Nearest`.
    undefined
        Number of images without a distance; with any, nothing was found.
    nothing, alike
        Whether no feature was left; whether all images are alike.
    """

    found: np.ndarray
    distance: np.ndarray
    undefined: int
    nothing: bool
    alike: bool


class _Search:
    """Neighbours at one place by one metric, while images come."""

    def __init__(self, level: int, channels: np.ndarray, metric: str, spread: np.ndarray) -> None:
        self._level, self._channels, self._metric, self._spread = level, channels, metric, spread
        self._undefined, self._size = 0, 1
        self._low = self._high = np.zeros(0)

    def ask(self, phi: np.ndarray, se: np.ndarray | None, k: int, groups: np.ndarray) -> None:
        x, noise = self._features(phi, se)
        self._known = bool(np.isfinite(x).all())
        self._nearest = Nearest(x, k, groups, noise)

    def look(self, phi: np.ndarray, se: np.ndarray | None, start: int, groups: np.ndarray) -> None:
        x, noise = self._features(phi, se)
        self._undefined += int((~np.isfinite(x).all(axis=1)).sum())
        self._size = x.shape[1]
        if self._undefined or not self._known or not self._size:
            return
        least, most = x.min(axis=0), x.max(axis=0)
        self._low = np.minimum(self._low, least) if self._low.size else least
        self._high = np.maximum(self._high, most) if self._high.size else most
        self._nearest.look(x, start, groups, noise)

    def found(self) -> Sought:
        extent = np.stack([self._low, self._high])
        return Sought(self._nearest.index, self._nearest.distance, self._undefined, not self._size, same(extent))

    def _features(self, phi: np.ndarray, se: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        x = phi[:, self._level][:, self._channels]
        if se is None:
            return prepared(x, self._metric, self._spread), None
        return noise_free(x, se[:, self._level][:, self._channels], self._metric, self._spread)


def searched(
    parts: Parts,
    queries: tuple[np.ndarray, np.ndarray | None, np.ndarray],
    places: Sequence[tuple[int, np.ndarray]],
    metrics: Sequence[str],
    k: int,
    groups: np.ndarray | None,
) -> list[list[Sought]]:
    """Neighbours of a few images among all, by place and metric; all images come once for all of these.

    Parameters
    ----------
    parts
        Gives φ and standard errors (some, sigma, channel), or None, and where they are.
    queries
        φ and standard errors, or None, of the images whose neighbours are sought, and their positions among all.
    places
        Noise level and channels of each.
    metrics
        Keys of `METRICS`.
    k
        Number of neighbours.
    groups
        (images), the number of each image's group, none of which is its neighbour; None where images are independent.
    """
    phi, se, asked = queries
    spread = spreads_of_parts(parts, groups) if "standardised" in metrics else np.zeros(phi.shape[1:])
    searches = [[_Search(s, channels, m, spread[s, channels]) for m in metrics] for s, channels in places]
    every = [one for at in searches for one in at]
    for one in every:
        one.ask(phi, se, k, asked if groups is None else groups[asked])
    for x, error, rows in parts():
        own = np.arange(rows.start, rows.start + len(x)) if groups is None else groups[rows]
        for one in every:
            one.look(x, error, rows.start, own)
    return [[one.found() for one in at] for at in searches]


class Side(NamedTuple):
    """φ (image, sigma, channel) of queries or of what is searched, and its standard errors where noise is taken off."""

    phi: np.ndarray
    se: np.ndarray | None = None

    def at(self, level: int, channels: np.ndarray) -> Side:
        """Those of a noise level and tap, (image, channel)."""
        return Side(*(None if part is None else part[:, level, channels] for part in self))  # pyright: ignore


Sides = list[tuple[Side, Side]]


def found_again(query: Side, key: Side, groups: np.ndarray, metric: str, where: str) -> np.ndarray:
    """Top-1, 1/rank and rank (3, images) of each image among its group, in expectation over ties."""
    noise = np.zeros(len(key.phi))
    if key.se is None or query.se is None:
        spread, lacking = spreads(key.phi), "without any activity"
        q, k = (prepared(side.phi, metric, spread) for side in (query, key))
    else:
        spread, lacking = spreads(key.phi, key.se), "whose φ is no larger than its noise"
        q, _ = noise_free(query.phi, query.se, metric, spread)
        k, noise = noise_free(key.phi, key.se, metric, spread)
    if not (np.isfinite(q).all() and np.isfinite(k).all()):
        warned(
            f"at {where} the {metric} distance is undefined for images {lacking}: findings there are NaN",
            RuntimeWarning,
        )
        return np.full((3, groups.size), np.nan)
    if same(query.phi) or same(key.phi):
        warned(f"at {where} φ is the same for all images: they are found again at chance", RuntimeWarning)
    elif not k.size:
        warned(
            f"at {where} no channel varies by more than its noise: images are found again at chance by the {metric} "
            "distance",
            RuntimeWarning,
        )
        noise = np.zeros(len(key.phi))
    nearer, equal = np.concatenate([ranks(q[members], k[members], noise[members]) for members in groups], axis=1)
    top1 = (nearer == 0) / (1 + equal)
    reciprocal = harmonic(nearer, nearer + equal + 1) / (equal + 1)
    return np.stack([top1, reciprocal, 1 + nearer + equal / 2])


def harmonic(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Σ 1/j over start < j ≤ stop."""
    return digamma(stop + 1.0) - digamma(start + 1.0)


def among_all(found: Mapping[str, Any], asked: np.ndarray, images: int) -> dict[str, Any]:
    """What was found of some images at their places among all, the others left out: group −1, NaN."""
    out = dict(found)
    for name, values in found.items():
        if np.ndim(values):
            out[name] = np.full((images, *values.shape[1:]), -1 if name == "group" else np.nan, values.dtype)
            out[name][asked] = values
    return out
