"""What samples given φ share, and in what they differ: match, diversity, near copies, agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from analyses.ground import findings, variable
from probekit import images as image_sources
from probekit import labels
from probekit.checks import fraction, seeded
from probekit.checks import given as shown
from probekit.errors import InputError
from probekit.phi.tap import Tap

if TYPE_CHECKING:
    from probekit.images import ImageSet

__all__ = ["check_samples", "describe"]

# Pairs of different images that the threshold of near copies is taken from, at most.
PAIRS = 20_000
CHUNK = 256
# Smallest side of images for MS-SSIM, whose coarsest of five scales must still hold its window of 11.
LEAST_SIDE = 161
WINDOW = 11
DIMS = ("image", "sample", "band", "row", "col")


def describe(
    samples: xr.Dataset,
    *,
    reference: Any = None,
    tap: Tap | None = None,
    unconditional: xr.Dataset | None = None,
    sigma: float = 0.1,
    draws: int = 4,
    quantile: float = 0.01,
    seed: int = 0,
) -> xr.Dataset:
    """Describe samples given φ: how well they match it, how they differ, and whether they are copies.

    Diversity is a root mean square of pixels' differences, in intensity units. Distances to conditions and references
    are so too, of images that are first centred and scaled to unit standard deviation over pixels and bands, so that
    bland images are not all near to one another: √(2 − 2 corr). A sample is a near copy of its condition where it
    lies nearer than all but a share `quantile` of pairs of different images to one another; of a reference, where it
    lies nearer to one than all but such a share of references to their nearest different one.

    Parameters
    ----------
    samples
        What `reconstruct` returns.
    reference
        Other images, such as those the denoiser was trained on; anything that `probekit.images.load` takes.
        With labels, only images of different labels count as different.
    tap
        Other blocks of the network than those matched, to measure samples in.
    unconditional
        Samples of the same sizes made without the condition, to compare with in φ of `tap`.
    sigma, draws
        At which φ of `tap` is measured.
    quantile
        Share of pairs of different images that would count as copies.
    seed
        Of the choice of pairs, and of the noise at `tap`.

    Returns
    -------
    Dataset
        `match` (image, sample) as in `samples`, `median_match`; `mean_image`, `variance_map` (image, band, row, col);
        `diversity` (image), mean distance between two samples, and `diversity_ssim`, 1 less their mean structural
        similarity (its kind in the attr `similarity`); NaN for one sample. `agreement` (image), correlation of the
        variance maps of even and odd samples, NaN with fewer than 4. Where conditions are known `distance` (image,
        sample) to them, `threshold`, `near_copy` (image, sample) and `near_copy_rate`, from at least two different
        images; with references the same of the nearest one, as `distance_reference` and so on, and its id, `nearest`.
        With `tap` `diversity_phi` (image, block), the distance between two samples' φ relative to their norm,
        and, where conditions are known, `distance_phi` (image, sample, block), to the condition's φ; the same
        of unconditional samples as `distance_phi_unconditional` (image, block), mean over them; NaN where the φ
        compared with is 0.

    Raises
    ------
    InputError
        If `samples` is not what `reconstruct` returns, the references are of another size, or an option is out of its
        range.

    Examples
    --------
    >>> import probekit
    >>> from analyses.sampling import reconstruct
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> images, _ = model.draw(2, rows=16, cols=16, seed=0)
    >>> samples = reconstruct(model, probekit.tap(model, "mid"), images, sigmas=[1, 0.3, 0.1, 0.03])
    >>> found = describe(samples)
    >>> float(found.median_match) < 0.1, found.variance_map.dims
    (True, ('image', 'band', 'row', 'col'))
    """
    check_samples(samples)
    if tap is not None and not isinstance(tap, Tap):
        raise InputError(f"{shown('tap', tap)}: give a tap, probekit.tap(denoiser, names)")
    if unconditional is not None:
        check_samples(unconditional, "unconditional")
    seeded(seed)
    fraction("quantile", quantile, "a share of pairs, between 0 and 1")
    values = samples["samples"].transpose(*DIMS).values.astype(float)
    others = None if reference is None else image_sources.load(reference)
    if others is not None and others.shape != values.shape[2:]:
        raise InputError(f"reference images are {others.shape} and samples {values.shape[2:]}: bring them to one size")
    similar, kind = _similarity(values)
    pixels = ("image", "band", "row", "col")
    found: dict[str, Any] = {
        "match": variable(("image", "sample"), samples["match"].values, "relative error of phi"),
        "median_match": variable((), np.median(samples["match"].values), "median relative error of phi"),
        "mean_image": variable(pixels, values.mean(axis=1), "mean over samples", "intensity"),
        "variance_map": variable(pixels, _spread(values), "variance over samples of each pixel", "squared intensity"),
        "diversity": variable("image", _between(values), "mean distance between two samples", "intensity"),
        "diversity_ssim": variable("image", 1 - similar, "1 - mean similarity of two samples"),
        "agreement": variable("image", _agreement(values), "correlation of variance maps of two halves of the samples"),
    }
    found |= _copies(samples, values, others, quantile, seed)
    coords: Mapping[str, Any] = {}
    if tap is not None:
        more, coords = _in_phi(samples, values, unconditional, tap, sigma, draws, seed)
        found |= more
    return findings(
        found, samples, analysis="sampling", coords=coords, quantile=quantile, similarity=kind, described_at=sigma
    )


def check_samples(samples: Any, name: str = "samples") -> None:
    """Refuse what `reconstruct` does not return.

    Raises
    ------
    InputError
        If variables or dims are missing, or there is no image or sample, or values are not finite.
    """
    if not isinstance(samples, xr.Dataset) or "samples" not in samples or "match" not in samples:
        raise InputError(f"{name}: give the Dataset that reconstruct returns, with samples and match")
    found = samples["samples"]
    if set(found.dims) != set(DIMS) or not all(found.shape) or "image" not in samples.coords:
        raise InputError(
            f"{name} has sizes {dict(found.sizes)}: give one image and one sample at least, with all dims; select with "
            "a list, e.g. .isel(image=[0])"
        )
    if not bool(np.isfinite(found).all()):
        raise InputError(f"{name} holds NaN or infinite values: leave those images out")


def _spread(values: np.ndarray) -> np.ndarray:
    if values.shape[1] < 2:
        return np.full(values[:, 0].shape, np.nan)
    return values.var(axis=1, ddof=1)


def _between(values: np.ndarray) -> np.ndarray:
    """Mean over pairs of samples of their root mean squared difference; (image,)."""
    return np.array([np.mean(d) if d.size else np.nan for d in (_pairs(v.reshape(len(v), -1)) for v in values)])


def _pairs(flat: np.ndarray) -> np.ndarray:
    """Distances of all pairs of the samples of one image."""
    return np.concatenate(
        [np.empty(0), *(np.sqrt(np.square(flat[k + 1 :] - flat[k]).mean(axis=1)) for k in range(len(flat) - 1))]
    )


def _agreement(values: np.ndarray) -> np.ndarray:
    if values.shape[1] < 4:
        return np.full(len(values), np.nan)
    halves = [values[:, half::2].var(axis=1, ddof=1).reshape(len(values), -1) for half in (0, 1)]
    centred = [h - h.mean(axis=1, keepdims=True) for h in halves]
    norms = np.prod([np.sqrt((c**2).sum(axis=1)) for c in centred], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (centred[0] * centred[1]).sum(axis=1) / norms


def _similarity(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Mean structural similarity of pairs of samples (image,), and which."""
    try:
        from torchmetrics.functional import image as metrics
    except ImportError:
        return np.full(len(values), np.nan), "not measured: torchmetrics is not installed"
    n, side = values.shape[1], min(values.shape[3:])
    if n < 2 or side < WINDOW:
        return np.full(len(values), np.nan), "not measured: needs 2 samples of 11 pixels a side"
    coarse = side >= LEAST_SIDE
    measure = (
        metrics.multiscale_structural_similarity_index_measure
        if coarse
        else metrics.structural_similarity_index_measure
    )
    first, second = np.triu_indices(n, 1)
    found = np.empty(len(values))
    for i, v in enumerate(values):
        scale = float(np.ptp(v)) or 1.0
        span = 1.0 if v.min() >= -0.5 and v.max() <= 1.5 else scale
        parts = [
            measure(
                torch.from_numpy(v[first[a : a + CHUNK]]),
                torch.from_numpy(v[second[a : a + CHUNK]]),
                data_range=span,
                reduction="none",
            )
            for a in range(0, len(first), CHUNK)
        ]
        found[i] = float(torch.cat([torch.as_tensor(p).reshape(-1) for p in parts]).mean())
    return found, "MS-SSIM" if coarse else "SSIM"


def _standardised(flat: np.ndarray) -> np.ndarray:
    """Images (..., pixels) of mean 0 and standard deviation 1; a constant one of 0."""
    centred = flat - flat.mean(axis=-1, keepdims=True)
    deviation = centred.std(axis=-1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)


def _copies(
    samples: xr.Dataset, values: np.ndarray, others: ImageSet | None, quantile: float, seed: int
) -> dict[str, Any]:
    """Distances to conditions and references, and what counts as near."""
    found: dict[str, Any] = {}
    pools: list[tuple[np.ndarray, np.ndarray]] = []
    flat = _standardised(values.reshape(*values.shape[:2], -1))
    nearest = np.full(flat.shape[:2], np.inf)
    if "condition" in samples:
        given = _standardised(samples["condition"].values.astype(float).reshape(len(flat), 1, -1))
        nearest = np.sqrt(np.square(flat - given).mean(axis=2))
        found["distance"] = variable(("image", "sample"), nearest, "distance to the condition")
        names = samples["label" if "label" in samples.coords else "image"].values
        pools.append((given[:, 0], labels.strings(names)))
    if others is not None:
        distance, index = _to_references(flat, others, labels.strings(samples["image"].values), others.ids)
        found["distance_reference"] = variable(("image", "sample"), distance, "distance to the nearest reference image")
        ids = np.array([*others.ids, ""], dtype=object)
        found["nearest"] = variable(("image", "sample"), ids[index], "nearest reference image")
        pools.append(_drawn(others, seed))
    if others is not None:
        found |= _judged(found["distance_reference"][1], _between_nearest(others, seed), quantile, "_reference")
    return found | _judged(nearest, _apart(pools, seed), quantile, "")


def _judged(distance: np.ndarray, apart: np.ndarray, quantile: float, suffix: str) -> dict[str, Any]:
    """What lies nearer than all but a share `quantile` of what is apart; nothing where nothing is."""
    if not apart.size or not np.isfinite(distance).any():
        return {}
    threshold = float(np.quantile(apart, quantile))
    near = distance < threshold
    of = "the nearest reference" if suffix else "the condition"
    return {
        f"threshold{suffix}": variable((), threshold, f"distance under which images count as copies of {of}"),
        f"near_copy{suffix}": variable(("image", "sample"), near, f"whether a near copy of {of}"),
        f"near_copy{suffix}_rate": variable((), near.mean(), f"share of samples that are near copies of {of}"),
    }


def _between_nearest(others: ImageSet, seed: int) -> np.ndarray:
    """Distances of some references to the nearest one that is a different image."""
    images, names = _drawn(others, seed)
    every = others.ids if others.labels is None else others.labels
    distance, _ = _to_references(images[:CHUNK, None], others, labels.strings(names[:CHUNK]), every)
    return distance[np.isfinite(distance)]


def _to_references(
    flat: np.ndarray, others: ImageSet, own: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to, and position of, the nearest reference whose name is not the image's own."""
    rows = flat.reshape(-1, flat.shape[2])
    owners = np.repeat(np.asarray(own, dtype=object), flat.shape[1])
    size = np.square(rows).mean(axis=1)
    best, where = np.full(len(rows), np.inf), np.full(len(rows), len(others))
    for start in range(0, len(others), CHUNK):
        chosen = list(range(start, min(start + CHUNK, len(others))))
        images = _standardised(others.read(chosen).numpy().reshape(len(chosen), -1).astype(float))
        # (a − b)² = a² + b² − 2ab, in one product; rounding may take it a little below 0.
        square = np.square(images).mean(axis=1) + size[:, None] - 2 / images.shape[1] * rows @ images.T
        distance = np.sqrt(np.clip(square, 0, None))
        distance[np.array([names[c] for c in chosen], dtype=object) == owners[:, None]] = np.inf
        least = distance.argmin(axis=1)
        found = distance[np.arange(len(rows)), least]
        nearer = found < best
        best[nearer], where[nearer] = found[nearer], start + least[nearer]
    return best.reshape(flat.shape[:2]), where.reshape(flat.shape[:2])


def _drawn(others: ImageSet, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Some references with their labels, or ids where there are none."""
    chosen = np.random.default_rng(seed).permutation(len(others))[: 4 * CHUNK].tolist()
    names = others.ids if others.labels is None else others.labels
    images = others.read(chosen).numpy().reshape(len(chosen), -1).astype(float)
    return _standardised(images), np.array([names[c] for c in chosen])


def _apart(pools: list[tuple[np.ndarray, np.ndarray]], seed: int) -> np.ndarray:
    """Distances of random pairs of different images."""
    if not pools:
        return np.empty(0)
    images = np.concatenate([p for p, _ in pools])
    names = np.concatenate([n for _, n in pools])
    rng = np.random.default_rng(seed)
    pairs = rng.integers(len(images), size=(PAIRS, 2))
    if len(images) ** 2 <= PAIRS:
        pairs = np.stack(np.triu_indices(len(images), 1), axis=1)
    pairs = pairs[names[pairs[:, 0]] != names[pairs[:, 1]]]
    parts = [
        np.sqrt(np.square(images[p[:, 0]] - images[p[:, 1]]).mean(axis=1))
        for p in np.array_split(pairs, max(1, len(pairs) // CHUNK))
    ]
    return np.concatenate(parts)


def _in_phi(
    samples: xr.Dataset,
    values: np.ndarray,
    unconditional: xr.Dataset | None,
    tap: Tap,
    sigma: float,
    draws: int,
    seed: int,
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Distances in φ of other blocks, each relative to the norm of the φ's compared."""
    phi = _phi(tap, values, sigma, draws, seed)
    taps = _phi_names(tap, values, sigma)
    blocks = list(dict.fromkeys(taps))
    columns = [np.flatnonzero(taps == b) for b in blocks]
    diversity = np.full((len(phi), len(blocks)), np.nan)
    for b, chosen in enumerate(columns):
        for i, part in enumerate(phi[..., chosen]):
            apart = _pairs(part) * len(chosen) ** 0.5
            if apart.size:
                diversity[i, b] = _shares(apart.mean(), np.linalg.norm(part, axis=1).mean())
    found = {
        "diversity_phi": variable(("image", "block"), diversity, "mean distance between two samples' phi, relative")
    }
    if "condition" in samples:
        given = _phi(tap, samples["condition"].values[:, None].astype(float), sigma, draws, seed)
        found["distance_phi"] = variable(
            ("image", "sample", "block"), _relative(phi, given, columns), "distance to the condition's phi, relative"
        )
        if unconditional is not None:
            free = _phi(tap, unconditional["samples"].values.astype(float), sigma, draws, seed)
            pooled = np.broadcast_to(
                free.reshape(1, -1, free.shape[-1]), (len(given), free.shape[0] * free.shape[1], free.shape[-1])
            )
            found["distance_phi_unconditional"] = variable(
                ("image", "block"),
                _relative(pooled, given, columns).mean(axis=1),
                "distance of unconditional samples to the condition's phi, relative",
            )
    return found, {"block": ("block", np.array(blocks, dtype=object), {"long_name": "block that phi is measured at"})}


def _relative(phi: np.ndarray, given: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """‖φ − φ*‖/‖φ*‖ (image, sample, block)."""
    away = [np.linalg.norm(phi[..., c] - given[..., c], axis=-1) for c in columns]
    size = [np.broadcast_to(np.linalg.norm(given[..., c], axis=-1), away[0].shape) for c in columns]
    return _shares(np.stack(away, axis=-1), np.stack(size, axis=-1))


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part/whole; NaN where there is nothing to be a share of."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _phi(tap: Tap, values: np.ndarray, sigma: float, draws: int, seed: int) -> np.ndarray:
    """φ (image, sample, channel) of images (image, sample, band, row, col)."""
    # Samples may leave the range of clean images a little, which is no fault of theirs here.
    flat = values.reshape(-1, *values.shape[2:]).astype(np.float32)
    data = tap(flat, sigma=sigma, draws=draws, seed=seed, progress=False)
    return data["phi"].values[:, 0].reshape(*values.shape[:2], -1).astype(float)


def _phi_names(tap: Tap, values: np.ndarray, sigma: float) -> np.ndarray:
    data = tap(values[0, :1].astype(np.float32), sigma=sigma, draws=1, progress=False)
    return labels.strings(data["tap"].values)
