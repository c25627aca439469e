"""Images sorted by which others express them: a union of linear subspaces of any orientation; arrays only."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from sklearn.cluster import KMeans

__all__ = ["affinity", "assign", "bases", "evidence", "group", "k_subspaces", "omp", "preserving_error"]

ATOMS = 8
TINY = 1e-12
# An image expressed by others carries their errors too.
SLACK = 2.0
ROUNDS = 2
BLOCK = 8192


def omp(x: np.ndarray, *, atoms: int = ATOMS, noise: float = 0.0) -> np.ndarray:
    """Express each image by few others: orthogonal matching pursuit for all images at once.

    min ‖x_i − Σ_j c_ij x_j‖ with c_ii = 0 and at most `atoms` non-zeros, greedily (You, Robinson & Vidal, 2016).

    Parameters
    ----------
    x
        (images, channels); rows are brought to unit length first. Rows of zeros express nothing.
    atoms
        Largest number of others.
    noise
        Variance of the error of one value of `x`; an image whose residual is no larger counts as expressed.

    Returns
    -------
    ndarray
        c, (images, images): for landmarks, never for all images.
    """
    n = len(x)
    norm = np.linalg.norm(x, axis=1)
    unit = np.divide(x, norm[:, None], out=np.zeros(x.shape), where=norm[:, None] > 0)
    tolerance = np.maximum(x.shape[1] * noise / np.maximum(norm**2, TINY), 1e-9)
    gram = unit @ unit.T
    residual = unit.copy()
    chosen = np.empty((n, 0), int)
    code = np.zeros((n, 0))
    rows = np.arange(n)
    for _ in range(min(atoms, n - 1)):
        match = np.abs(residual @ unit.T)
        match[rows, rows] = -1
        np.put_along_axis(match, chosen, -1, axis=1)
        # An expressed image takes further atoms with weight 0, so that all images stay in step.
        going = (residual**2).sum(axis=1) > tolerance
        chosen = np.column_stack([chosen, match.argmax(axis=1)])
        inner = gram[chosen[:, :, None], chosen[:, None, :]] + TINY * np.eye(chosen.shape[1])
        fitted = np.linalg.solve(inner, gram[rows[:, None], chosen][..., None])[..., 0]
        code = np.where(going[:, None], fitted, np.column_stack([code, np.zeros(n)]))
        residual = unit - np.einsum("na,nac->nc", code, unit[chosen])
    coefficients = np.zeros((n, n))
    np.put_along_axis(coefficients, chosen, code, axis=1)
    return coefficients


def affinity(coefficients: np.ndarray) -> np.ndarray:
    """|C| + |C|ᵀ, each row of C first divided by its largest entry."""
    size = np.abs(coefficients)
    size = size / np.maximum(size.max(axis=1, keepdims=True), TINY)
    return size + size.T


def mean_square(x: np.ndarray) -> float:
    """Mean squared length of the images: the scale of their coefficients."""
    return float(np.square(x).sum(axis=1).mean())


def evidence(x: np.ndarray, noise: float, scale: float) -> tuple[float, int]:
    """Evidence for one linear subspace under all these images, in nats, and its dimension.

    max over r of −½ [Σ_{m > r} n λ_m/noise + n r log(1 + scale/noise) + (r C − r (r − 1)/2) log(1 + n scale/noise)],
    λ_m the eigenvalues of the mean of x xᵀ: errors of known variance, then each coefficient and each free number
    of a basis at the precision that the images allow (Laplace's approximation). A coefficient costs the same in all
    subspaces, so that nothing is gained by telling strong images from weak ones of one subspace.

    Parameters
    ----------
    x
        (images, channels), φ above rest.
    noise
        Variance of the error of one value, > 0.
    scale
        Mean square of a coefficient.
    """
    n, channels = x.shape
    gram = x @ x.T if n < channels else x.T @ x
    weight = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0) / noise
    r = np.arange(len(weight) + 1)
    missed = weight.sum() - np.r_[0, np.cumsum(weight)]
    coefficients = n * r * np.log1p(scale / noise)
    numbers = (r * channels - r * (r - 1) / 2) * np.log1p(n * scale / noise)
    values = -(missed + coefficients + numbers) / 2
    return float(values.max()), int(values.argmax())


def group(
    x: np.ndarray, number: int | None, most: int, noise: float, seed: int
) -> tuple[list[np.ndarray], dict[int, float]]:
    """Linear subspaces of the images: self-expression, spectral clustering into many, merging, alternating fits.

    The graph of a greedy self-expression falls apart inside subspaces (Nasihatkon & Hartley, 2011), so its
    spectrum does not count them. Twice `most` groups are made of it; then the two are merged that
    lose least evidence, down to one, and the number of the largest evidence is taken.

    Parameters
    ----------
    x
        (images, channels).
    number
        Number of subspaces; by default found.
    most
        Largest number tried.
    noise
        Variance of the error of one value.
    seed
        Of k-means.

    Returns
    -------
    tuple
        Bases, and evidence by number of subspaces.
    """
    noise = max(noise, 1e-6 * float(np.square(x).mean()), TINY)
    most = max(most, number or 1)
    many = max(min(2 * most, len(x) // 3), number or 1)
    labels = _oversegment(x, many, noise, seed)
    values: dict[int, float] = {}
    directions: list[np.ndarray] = []
    for _ in range(ROUNDS):
        path = {k: found for k, found in _merge(x, labels, noise).items() if k <= most}
        values = {k: value for k, (_, value) in path.items()}
        best = max(k for k in path if k <= number) if number else max(values, key=lambda k: values[k])
        labels, directions = k_subspaces(x, bases(x, path[best][0], best, noise), noise)
        labels = np.unique(labels, return_inverse=True)[1]
    # Images at rest are in every subspace.
    return ([b for b in directions if len(b)] or directions[:1]) if number is None else directions, values


def _oversegment(x: np.ndarray, number: int, noise: float, seed: int) -> np.ndarray:
    """Labels of many groups, by spectral clustering of the self-expression's affinities (Ng, Jordan & Weiss, 2001)."""
    weights = affinity(omp(x, noise=SLACK * noise))
    # Not by SpectralClustering, which normalises no rows: four orthogonal directions came out of it as three.
    # A weight of nearly nothing between all keeps unconnected parts in one graph.
    weights += 1e-6 * weights.max() + TINY
    degree = weights.sum(axis=1) ** -0.5
    embedded = np.linalg.eigh(degree[:, None] * weights * degree)[1][:, -number:]
    embedded /= np.maximum(np.linalg.norm(embedded, axis=1, keepdims=True), TINY)
    found = KMeans(number, n_init=cast(Any, 4), random_state=seed).fit_predict(embedded)
    return np.unique(found, return_inverse=True)[1]


def _merge(x: np.ndarray, labels: np.ndarray, noise: float) -> dict[int, tuple[np.ndarray, float]]:
    """Labels and evidence by number of groups, each time merging the pair that loses least."""
    n, scale = len(x), mean_square(x)

    def value(members: np.ndarray) -> float:
        return evidence(x[members], noise, scale)[0] + len(members) * np.log(len(members) / n)

    members = {k: np.flatnonzero(labels == k) for k in range(labels.max() + 1)}
    own = {k: value(m) for k, m in members.items()}
    gain = {(j, k): value(np.r_[members[j], members[k]]) - own[j] - own[k] for j in members for k in members if j < k}
    path = {}
    while True:
        path[len(members)] = np.unique(labels, return_inverse=True)[1], sum(own.values())
        if len(members) == 1:
            return path
        keep, gone = max(gain, key=lambda pair: gain[pair])
        labels = np.where(labels == gone, keep, labels)
        members[keep] = np.r_[members[keep], members.pop(gone)]
        own[keep] = own[keep] + own.pop(gone) + gain[keep, gone]
        gain = {pair: g for pair, g in gain.items() if keep not in pair and gone not in pair}
        for k in members.keys() - {keep}:
            gain[min(k, keep), max(k, keep)] = value(np.r_[members[k], members[keep]]) - own[k] - own[keep]


def preserving_error(coefficients: np.ndarray, labels: np.ndarray) -> float:
    """Mean share of an image's absolute coefficients that goes to images of other subspaces, in [0, 1].

    Parameters
    ----------
    coefficients
        (images, images), what `omp` gives; images without any are passed over.
    labels
        (images), their true subspaces.
    """
    size = np.abs(coefficients)
    total = size.sum(axis=1)
    own = (size * (labels[:, None] == labels)).sum(axis=1)
    expressed = total > 0
    return float((1 - own[expressed] / total[expressed]).mean()) if expressed.any() else float("nan")


def bases(x: np.ndarray, labels: np.ndarray, number: int, noise: float) -> list[np.ndarray]:
    """Orthonormal bases (dimension, channels) of the linear subspaces of the groups, of the likeliest dimensions.

    Parameters
    ----------
    x
        (images, channels), φ above rest.
    labels
        (images).
    number
        Number of groups; those without images have no dimension.
    noise
        Variance of the error of one value, > 0.
    """
    found, scale = [], mean_square(x)
    for k in range(number):
        own = x[labels == k]
        rank = evidence(own, noise, scale)[1] if len(own) else 0
        vectors = np.linalg.eigh((own.T @ own).astype(np.float64))[1]
        found.append(vectors[:, ::-1][:, :rank].T)
    return found


def assign(x: np.ndarray, directions: list[np.ndarray], noise: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Subspace that tells each image most briefly, and the square of the residual from it.

    The smallest of ‖x − B Bᵀ x‖²/noise + r log(1 + scale/noise): without the second term a subspace of more
    dimensions would draw images from the others.
    """
    labels = np.empty(len(x), int)
    missed = np.empty(len(x))
    cost = np.array([len(b) * np.log1p(scale / noise) for b in directions])
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        held = np.stack([((block @ b.T.astype(x.dtype)) ** 2).sum(axis=1) for b in directions], axis=1)
        best = (held / noise - cost).argmax(axis=1)
        labels[start : start + BLOCK] = best
        missed[start : start + BLOCK] = (block**2).sum(axis=1) - held[np.arange(len(block)), best]
    return labels, np.maximum(missed, 0)


def k_subspaces(
    x: np.ndarray, directions: list[np.ndarray], noise: float, *, sweeps: int = 10
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Alternate between assigning images and fitting subspaces (Bradley & Mangasarian, 2000); linear in images.

    Parameters
    ----------
    x
        (images, channels).
    directions
        Bases to begin with.
    noise
        Variance of the error of one value.
    sweeps
        Largest number of alternations.

    Returns
    -------
    tuple
        Labels (images) and bases.
    """
    scale = mean_square(x)
    labels, _ = assign(x, directions, noise, scale)
    for _ in range(sweeps):
        directions = bases(x, labels, len(directions), noise)
        moved, _ = assign(x, directions, noise, scale)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return labels, directions
