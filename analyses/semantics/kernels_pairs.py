"""Distances between images: as matrices over a bounded number of them, nearest neighbours, retrieval ranks.

Where images come in groups that are not independent, as crops of one photograph do, a pair of one group says nothing of
independent images: it counts nowhere here.
"""

from __future__ import annotations

import numpy as np

from probekit.phi.reliability import signed_root, squared_distances

__all__ = [
    "METRICS",
    "MIN_IMAGES",
    "STATISTICS",
    "additive",
    "apart",
    "centred",
    "channel_reliability",
    "constant_without",
    "deviations",
    "distance_matrix",
    "nearest",
    "noise_free",
    "pairs_apart",
    "prepared",
    "ranked",
    "ranks",
    "rows_apart",
    "same",
    "shared_labels",
    "signal_deviations",
    "spreads",
    "u_centred",
]

# Distances held at once: some 64 MiB in double precision.
ELEMENTS = 2**23
# Numbers that a core's cache holds while they are worked on.
CACHED = 2**16
# Candidates beyond the neighbours asked for, which show that none was missed.
SPARE = 8
# Least share of a channel's variance over images that must be no noise, for it to be divided by what is left.
SIGNAL = 0.5
# Of the largest distance: a spread of no more is rounding of single precision.
SAME = 1e-5

# Images that correlations over pairs need.
MIN_IMAGES = 20

METRICS = {
    "euclidean": "‖a − b‖",
    "cosine": "1 − a·b/(‖a‖‖b‖)",
    "standardised": "‖(a − b)/s‖, s_c the standard deviation of channel c over images; constant channels left out",
}


def prepared(x: np.ndarray, metric: str, spread: np.ndarray | None = None) -> np.ndarray:
    """Features whose Euclidean distances order images as the metric does (half their square, for the cosine).

    Parameters
    ----------
    x
        (images, channels).
    metric
        A key of `METRICS`.
    spread
        Standard deviation of each channel, where images are to be compared with others; by default x's own.

    Returns
    -------
    ndarray
        float64; with NaN where the metric is undefined: for the cosine, images without any activity.
    """
    x = np.asarray(x, np.float64)
    if metric == "cosine":
        with np.errstate(invalid="ignore", divide="ignore"):
            peak = np.abs(x).max(axis=1, keepdims=True)
            x = x / peak
            return x / np.linalg.norm(x, axis=1, keepdims=True)
    if metric == "standardised":
        spread = deviations(x) if spread is None else spread
        return x[:, spread > 0] / spread[spread > 0]
    return x


def noise_free(
    x: np.ndarray, se: np.ndarray, metric: str, spread: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Features, and the noise of each image, which squared distances are too large by: ‖f_i − f_j‖² − n_i − n_j.

    That is unbiased (of the cosine, twice 1 − φ_i·φ_j/√((‖φ_i‖² − n_i)(‖φ_j‖² − n_j)), up to the noise of the norms),
    since noise is independent between images.

    Parameters
    ----------
    x, se
        (images, channels), means over draws and their standard errors: se² is unbiased for the variance of x's noise.
    metric
        A key of `METRICS`.
    spread
        Standard deviation of each channel, noise taken off; by default `signal_deviations` of x.

    Returns
    -------
    tuple of ndarray
        (images, channels), (images); float64. NaN where the cosine is undefined: a norm is no larger than its noise.
    """
    x, noise = np.asarray(x, np.float64), np.square(np.asarray(se, np.float64))
    if metric == "cosine":
        with np.errstate(invalid="ignore", divide="ignore"):
            peak = np.abs(x).max(axis=1, keepdims=True)
            x, added = x / peak, (noise / peak**2).sum(axis=1)
            square = (x**2).sum(axis=1) - added
            square = np.where(square > 0, square, np.nan)
            return x / np.sqrt(square)[:, None], added / square
    if metric == "standardised":
        spread = signal_deviations(x, se) if spread is None else spread
        kept = spread > 0
        return x[:, kept] / spread[kept], (noise[:, kept] / spread[kept] ** 2).sum(axis=1)
    return x, noise.sum(axis=1)


def spreads(x: np.ndarray, se: np.ndarray | None = None, groups: np.ndarray | None = None) -> np.ndarray:
    """Standard deviation of each channel, which the standardised distance divides by; noise taken off where known."""
    return deviations(x, groups) if se is None else signal_deviations(x, se, groups)


def channel_reliability(x: np.ndarray, se: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Share of each channel's variance over images that is no noise, 1 − mean(se²)/var(x); NaN where none varies."""
    variance = deviations(x, groups) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, 1 - np.square(np.asarray(se, np.float64)).mean(axis=0) / variance, np.nan)


def signal_deviations(x: np.ndarray, se: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Standard deviation of each channel over images, noise taken off: √(var(x) − mean(se²)).

    0, so that the channel is left out, where less than half of the variance remains: dividing by less than the noise
    would make that the largest part of the distance, and by an estimate about 0 a part of any size.
    """
    share = channel_reliability(x, se, groups)
    return np.where(share >= SIGNAL, deviations(x, groups) * np.sqrt(np.maximum(share, 0)), 0)


def deviations(x: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Standard deviation of each channel over images, 0 where rounding is all that varies.

    Its square is half the mean squared difference over pairs of images, or of images of different groups.
    """
    if groups is None:
        spread = x.std(axis=0, ddof=1, dtype=np.float64)
    else:
        about = x - x.mean(axis=0, dtype=np.float64)
        sizes = np.bincount(groups)
        total = np.zeros((len(sizes), about.shape[1]))
        np.add.at(total, groups, about)
        # n Σx² − (Σx)² is Σ (x_i − x_j)²/2 over ordered pairs: of all images, whose Σx is 0, less that of each group.
        square = ((len(x) - sizes[groups])[:, None] * about**2).sum(axis=0) + (total**2).sum(axis=0)
        spread = np.sqrt(square / (len(x) ** 2 - (sizes**2).sum()))
    return np.where(spread > 1e-12 * np.abs(x).max(axis=0, initial=0), spread, 0)


def same(x: np.ndarray) -> bool:
    """Whether all images (images, channels) are alike, rounding aside."""
    return x.size == 0 or not np.ptp(x, axis=0).max(initial=0) > 1e-12 * np.abs(x).max(initial=0)


def distance_matrix(
    x: np.ndarray, metric: str, se: np.ndarray | None = None, spread: np.ndarray | None = None
) -> np.ndarray:
    """Distances (images, images) between all images: symmetric, float32, 0 on the diagonal.

    Noise-free ones are signed roots of what is unbiased, −√|d²| where d² < 0. Nothing is cut off at 0: that would bias
    the small ones upward again, and tie them in ranks.

    Parameters
    ----------
    x
        (images, channels).
    metric
        A key of `METRICS`.
    se
        (images, channels), standard errors of x, whose squares are taken off squared distances; by default none are.
    spread
        Standard deviation of each channel, for the standardised distance; by default `spreads` of x.
    """
    if se is not None:
        d = squared_distances(*noise_free(x, se, metric, spread))
        return (d / 2 if metric == "cosine" else signed_root(d)).astype(np.float32)
    x = prepared(x, metric, spread)
    # About the mean, squares are no larger than the distances that are their differences.
    x = x - x.mean(axis=0)
    square = (x**2).sum(axis=1)
    d = x @ x.T
    d *= -2
    d += square[:, None]
    d += square
    np.maximum(d, 0, out=d)
    # What is left of identical images is rounding of the squares.
    d[d < 1e-14 * square.max(initial=0)] = 0
    if metric == "cosine":
        d /= 2
    else:
        np.sqrt(d, out=d)
    np.fill_diagonal(d, 0)
    d = d.astype(np.float32)
    return np.maximum(d, d.T)


def apart(n: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Which pairs count, (images, images): different images, or images of different groups."""
    return ~np.eye(n, dtype=bool) if groups is None else groups[:, None] != groups


def pairs_apart(n: int, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The images i < j of each pair that counts."""
    i, j = np.triu_indices(n, 1)
    if groups is None:
        return i, j
    kept = groups[i] != groups[j]
    return i[kept], j[kept]


def constant_without(d: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Whether distances of the pairs left without each group (groups) are all alike, rounding aside, or there are none.

    Parameters
    ----------
    d
        (images, images).
    groups
        (images), the number of each image's group, from 0; by default its own.
    """
    members = np.arange(len(d)) if groups is None else groups

    def least(d: np.ndarray) -> np.ndarray:
        d = np.where(members[:, None] == members, np.inf, d)
        place = np.unravel_index(d.argmin(), d.shape)
        out = np.full(members.max() + 1, d[place])
        # Only without one of these two groups the least is another pair's.
        for group in members[list(place)]:
            left = members != group
            out[group] = d[left][:, left].min()
        return out

    low, high = least(d), -least(-d)
    with np.errstate(invalid="ignore"):
        return ~(high - low > SAME * np.maximum(np.abs(low), np.abs(high)))


def centred(d: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Distances less their mean over pairs that count, 0 for others, scaled to a largest of 1."""
    among = apart(len(d), groups)
    d = d if groups is None else np.where(among, d, 0)
    mean = float(d.sum(dtype=np.float64) / among.sum())
    out = (d - np.float64(mean)).astype(np.float32)
    out[~among] = 0
    return scaled(out, float(np.abs(d).max(initial=0)))


def ranked(d: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Mid-ranks of distances among all pairs that count, as fractions less ½; 0 for others."""
    from scipy.stats import rankdata

    n = len(d)
    upper = pairs_apart(n, groups)
    rank = rankdata(d[upper])
    rank -= (len(rank) + 1) / 2
    rank /= len(rank)
    out = np.zeros((n, n), np.float32)
    out[upper] = rank
    return out + out.T


def u_centred(d: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Distances less what an effect of each image explains, u_i + u_j by least squares over pairs that count; else 0.

    Over all pairs of different images these are the unbiased centred distances of Székely & Rizzo (2014), A_ij = d_ij −
    d_i./(n − 2) − d_.j/(n − 2) + d../((n − 1)(n − 2)): rows sum to 0. With groups rows sum to 0 over images of other
    groups, so that their products are 0 in expectation where groups are independent of one another.
    """
    n = len(d)
    if groups is None:
        row = d.sum(axis=1, dtype=np.float64)
        effect = row / (n - 2) - row.sum() / (2 * (n - 1) * (n - 2))
    else:
        d = np.where(apart(n, groups), d, 0)
        row = d.sum(axis=1, dtype=np.float64)
        sizes = np.bincount(groups)
        total, own = additive(np.bincount(groups, row)[:, None], sizes[:, None])
        effect = (row - total[0] + own[groups, 0]) / (n - sizes[groups])
    out = (d - effect[:, None] - effect).astype(np.float32)
    out[~apart(n, groups)] = 0
    return scaled(out, float(np.abs(d).max(initial=0)))


def additive(rows: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the effects u by which u_i + u_j fits entries of pairs of different groups best.

    The normal equations are (n − n_g) u_i + T − U_g = row sum of i, for i of group g; summed over the group,
    (n − 2n_g) U_g + n_g T = R_g.

    Parameters
    ----------
    rows
        (groups, cases), sums R_g of the entries of each group's rows.
    sizes
        (groups, cases), numbers n_g of images; three groups at least have any.

    Returns
    -------
    tuple of ndarray
        T (cases), of all images, and U (groups, cases).
    """
    room = sizes.sum(axis=0) - 2 * sizes
    half = (room == 0).any(axis=0)
    safe = np.where(room == 0, 1, room)
    total = (rows / safe).sum(axis=0) / (1 + (sizes / safe).sum(axis=0))
    own = (rows - sizes * total) / safe
    # A group that has half of the images determines T by itself.
    for case in np.flatnonzero(half):
        own[:, case] = np.linalg.solve(np.diag(room[:, case]) + sizes[:, [case]], rows[:, case])
        total[case] = own[:, case].sum()
    return total, own


def scaled(out: np.ndarray, size: float) -> np.ndarray:
    """In units of the largest distance; exactly 0 where rounding is all that varies."""
    if not np.abs(out).max(initial=0) > SAME * size:
        return np.zeros_like(out)
    out /= size
    return out


def nearest(
    x: np.ndarray, k: int, noise: np.ndarray | None = None, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows of each row, by Euclidean distance, exactly.

    scikit-learn finds a few candidates more than k by |a|² − 2a·b + |b|², whose rounding is relative to the norms;
    their distances are computed again as norms of differences. A row is searched whole unless its k-th distance lies
    below the last candidate's by more than that rounding.

    Parameters
    ----------
    x
        (images, channels), finite.
    k
        Number of neighbours, below the number of images; at most that of the images outside the largest group.
    noise
        (images), what squared distances to and from each are too large by; by default nothing.
    groups
        (images), the number of each image's group, from 0, none of which is its neighbour; by default its own.

    Returns
    -------
    tuple of ndarray
        Indices and distances, (images, k); nearest first, of equal ones the lower index first. With noise, distances
        are signed roots, and equal or not up to rounding.
    """
    from sklearn.neighbors import NearestNeighbors

    groups = np.arange(len(x)) if groups is None else groups
    if noise is not None:
        return _nearest_noise_free(x, k, noise, groups)
    n, channels = x.shape
    # Rows are gathered, many times as fast where each lies in one piece.
    x = np.ascontiguousarray(x, np.float64) - x.mean(axis=0, dtype=np.float64)
    few = min(k + SPARE + int(np.bincount(groups).max()) - 1, n - 1)
    last, candidates = NearestNeighbors(n_neighbors=few, algorithm="brute").fit(x).kneighbors()
    # Nearest first, and those of the own group last: what lies beyond the first few of the others is not looked at.
    first = np.argsort(groups[candidates] == groups[:, None], axis=1, kind="stable")[:, : k + SPARE]
    last, candidates = (np.take_along_axis(values, first, axis=1) for values in (last, candidates))
    exact = rows_apart(x, candidates, x)
    exact[groups[candidates] == groups[:, None]] = np.inf
    order = np.lexsort((candidates, exact))[:, :k]
    index, distance = (np.take_along_axis(values, order, axis=1) for values in (candidates, exact))
    if candidates.shape[1] < n - 1:
        # Sums of C products and of three squares, each of at most the largest norm's; twice that, for both sides.
        error = 8 * (channels + 4) * 2.0**-53 * (x**2).sum(axis=1).max()
        for i in np.flatnonzero(distance[:, -1] ** 2 >= last[:, -1] ** 2 - error):
            index[i], distance[i] = _nearest_of_all(x, groups == groups[i], int(i), k)
    return index, distance


def shared_labels(
    index: np.ndarray, codes: np.ndarray, groups: np.ndarray | None, asked: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Share of each image's neighbours (…, images, k) that have its class, and what it is by chance, on average.

    By chance neighbours are drawn among all other images, or those of other groups. NaN where an index is −1, as it is
    but for the images at the positions `asked`, where these are named.
    """
    rows = slice(None) if asked is None else asked
    share = np.full(index.shape[:-1], np.nan)
    own = index[..., rows, :]
    share[..., rows] = np.where(own[..., 0] < 0, np.nan, (codes[own] == codes[rows, None]).mean(axis=-1))
    groups = np.arange(len(codes)) if groups is None else groups
    both = np.unique(np.stack([codes, groups]), axis=1, return_inverse=True, return_counts=True)
    alike = np.bincount(codes)[codes] - both[2][both[1].ravel()]
    return share, float((alike / (len(codes) - np.bincount(groups)[groups])).mean())


def rows_apart(x: np.ndarray, others: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Distances (own, m) to the rows of x that `others` (own, m) names, some rows at a time."""
    out = np.empty(others.shape)
    step = max(1, CACHED // (others.shape[1] * x.shape[1]))
    for start in range(0, len(others), step):
        part = slice(start, start + step)
        apart = x[others[part]]
        apart -= own[part, None]
        out[part] = np.sqrt(np.einsum("ijc,ijc->ij", apart, apart))
    return out


def _nearest_of_all(x: np.ndarray, own: np.ndarray, i: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of one row, without its own group, by all its distances, of equal ones the lower index first."""
    pieces = np.array_split(x, -(-4 * x.size // ELEMENTS))
    d = np.concatenate([np.linalg.norm(piece - x[i], axis=1) for piece in pieces])
    d[own] = np.inf
    within = np.flatnonzero(d <= np.partition(d, k - 1)[k - 1])
    order = within[np.lexsort((within, d[within]))][:k]
    return order, d[order]


def _nearest_noise_free(x: np.ndarray, k: int, noise: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of each row by ‖x_i − x_j‖² − n_i − n_j, some rows at a time."""
    n = len(x)
    x = np.asarray(x, np.float64) - x.mean(axis=0, dtype=np.float64)
    square = (x**2).sum(axis=1) - noise
    index, distance = np.empty((n, k), np.int64), np.empty((n, k))
    step = max(1, ELEMENTS // (2 * n))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        d = square - 2 * x[rows] @ x.T + square[rows, None]
        d[groups[rows, None] == groups] = np.inf
        last = np.partition(d, k - 1, axis=1)[:, k - 1]
        for i, row in enumerate(d):
            within = np.flatnonzero(row <= last[i])
            index[start + i] = within[np.argsort(row[within], kind="stable")][:k]
        distance[rows] = signed_root(np.take_along_axis(d, index[rows], axis=1))
    return index, distance


def ranks(
    queries: np.ndarray, references: np.ndarray, noise: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """How many references are nearer to each query than its own, and how many others are as near.

    A kernel of its own: libraries list neighbours, and here those nearer than a given one are counted, with ties up to
    rounding apart.

    Parameters
    ----------
    queries, references
        (images, channels); the i-th reference is the i-th query's own.
    noise
        (images), of the references, taken off squared distances to them; the queries' own changes no rank.

    Returns
    -------
    tuple of ndarray
        Numbers (images) of nearer references, and of other references that are equally near up to rounding.
    """
    n = len(queries)
    centre = references.mean(axis=0)
    q, r = queries - centre, references - centre
    off = 0 if noise is None else noise
    own = ((q - r) ** 2).sum(axis=1) - off
    largest = (r**2).sum(axis=1).max()
    square = (r**2).sum(axis=1) - off
    nearer, equal = np.empty(n, np.int64), np.empty(n, np.int64)
    step = max(1, ELEMENTS // (2 * n))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        d = square - 2 * q[rows] @ r.T
        d += (q[rows] ** 2).sum(axis=1)[:, None] - own[rows, None]
        # Rounding of sums of products in double precision, relative to the squares that were summed.
        slack = 1e-12 * ((q[rows] ** 2).sum(axis=1) + largest)[:, None]
        inside = np.arange(len(d))
        d[inside, start + inside] = np.inf
        nearer[rows] = (d < -slack).sum(axis=1)
        equal[rows] = (np.abs(d) <= slack).sum(axis=1)
    return nearer, equal


STATISTICS = {"pearson": centred, "spearman": ranked, "distance_correlation": u_centred}
