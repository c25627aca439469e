"""What samples given φ share, and in what they differ: match, diversity, near copies, agreement, shares of groups."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from analyses.ground import Estimate, Findings, Variable, as_tap, check_same_network, noise_level, wilson
from analyses.sampling.analyse import PIXELS, SAMPLES
from analyses.sampling.kernels import agreement_of, excess_of, persistence_of, standardised
from probekit import images as image_sources
from probekit import labels
from probekit.checks import fraction, seeded, whole
from probekit.checks import given as shown
from probekit.errors import InputError
from probekit.phi.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from probekit.images import ImageSet

__all__ = ["FINDINGS", "SHARES", "check_samples", "describe", "shares"]

# Pairs of different images that the threshold of near copies is taken from, at most.
PAIRS = 20_000
CHUNK = 256
# Smallest side of images for MS-SSIM, whose coarsest of five scales must still hold its window of 11.
LEAST_SIDE = 161
WINDOW = 11
DIMS = ("image", "sample", *PIXELS)
OF_SAMPLE, OF_BLOCK, OF_GROUP = ("image", "sample"), ("image", "block"), ("image", "group")
# The sampler whose losses are in units of one draw's variance.
GUIDED = "langevin"


def _of_copies(of: str, suffix: str = "") -> dict[str, Variable]:
    return {
        f"threshold{suffix}": Variable((), f"distance under which images count as copies of {of}", optional=True),
        f"near_copy{suffix}": Variable(OF_SAMPLE, f"whether a near copy of {of}", optional=True, holds="flags"),
        f"near_copy{suffix}_rate": Variable((), f"share of samples that are near copies of {of}", optional=True),
    }


FINDINGS = Findings(
    "sampling",
    {
        "match": Variable(OF_SAMPLE, "relative error of φ, as in the samples"),
        "median_match": Variable((), "its median"),
        "mean_image": Variable(("image", *PIXELS), "mean over samples", "intensity"),
        "variance_map": Variable(
            ("image", *PIXELS), "variance over samples of each pixel; NaN for one sample", "squared intensity"
        ),
        "diversity": Variable(("image",), "mean distance between two samples; NaN for one sample", "intensity"),
        "diversity_ssim": Variable(
            ("image",), "1 − mean structural similarity of two samples, of the kind in the attr similarity"
        ),
        "agreement": Variable(
            ("image",), "correlation of the variance maps of even and odd samples; NaN with fewer than 4"
        ),
        "distance": Variable(
            OF_SAMPLE, "distance to the condition, where that is an image of their size", optional=True
        ),
        **_of_copies("the condition"),
        "distance_reference": Variable(OF_SAMPLE, "distance to the nearest reference image", optional=True),
        "nearest": Variable(OF_SAMPLE, "id of the nearest reference image", optional=True, holds="names"),
        **_of_copies("the nearest reference", "_reference"),
        "diversity_phi": Variable(
            OF_BLOCK, "mean distance between two samples' φ, relative to their norm; NaN where that is 0", optional=True
        ),
        "distance_phi": Variable(
            (*OF_SAMPLE, "block"), "distance to the condition's φ, relative to it; NaN where that is 0", optional=True
        ),
        "distance_phi_unconditional": Variable(
            OF_BLOCK, "the same of unconditional samples, mean over all of them", optional=True
        ),
    },
    coords={"block": "block that φ is measured at"},
    source="sampling.describe",
)
OVER_SAMPLES = "samples, of all images and groups together"
SHARES = Findings(
    "sampling.shares",
    {
        "work": Variable(OF_SAMPLE, "what guidance took: losses before it, summed over levels after the first"),
        "persistence": Variable(
            ("image",), "correlation over samples of work early and late on the way down", interval=OVER_SAMPLES
        ),
        "share": Variable(OF_GROUP, "share of the samples that are of the group", interval="Wilson", optional=True),
        "excess": Variable(
            OF_GROUP, "mean work of the group less that of other samples", interval=OVER_SAMPLES, optional=True
        ),
        "bias": Variable(
            OF_GROUP, "whether too many samples are of it, too few, or neither is shown", optional=True, holds="names"
        ),
    },
    coords={"group": "kind of sample"},
)


@FINDINGS.described
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
        {findings}

        Thresholds are known from at least two different images, distances in φ with `tap`.

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
    if tap is not None:
        as_tap(tap)
    if unconditional is not None:
        check_samples(unconditional, "unconditional")
        network = ("weights_sha256", "denoiser_settings")
        check_same_network(samples, unconditional, ("samples", "unconditional"), network)
    seed, draws = seeded(seed), whole("draws", draws, least=1)
    quantile = fraction("quantile", quantile, "a share of pairs, between 0 and 1")
    sigma = noise_level(sigma)
    values = samples["samples"].transpose(*DIMS).values.astype(float)
    others = None if reference is None else image_sources.load(reference)
    if others is not None and others.shape != values.shape[2:]:
        raise InputError(f"reference images are {others.shape} and samples {values.shape[2:]}: bring them to one size")
    similar, kind = _similarity(values)
    found: dict[str, Any] = {
        "match": samples["match"].values,
        "median_match": np.median(samples["match"].values),
        "mean_image": values.mean(axis=1),
        "variance_map": _spread(values),
        "diversity": _between(values),
        "diversity_ssim": 1 - similar,
        "agreement": agreement_of(values),
        **_copies(samples, values, others, quantile, seed),
    }
    coords = {}
    if tap is not None:
        measured = partial(_phi, partial(tap, sigma=sigma, draws=draws, seed=seed, progress=False))
        more, coords["block"] = _in_phi(samples, values, unconditional, measured)
        found |= more
    return FINDINGS.label(
        found, samples, coords=coords, quantile=quantile, similarity=kind, described_at=sigma, analysis_seed=seed
    )


@SHARES.described
def shares(samples: xr.Dataset, *, groups: str | None = None, level: float = 0.95) -> xr.Dataset:
    """Shares of groups among samples given φ, and whether they can be those of p(x | φ).

    Images of a kind that seldom has the φ asked for drift off it at each level, and guidance takes them back: they
    stay, where most should be gone. So there are too many samples of kinds that take more work, and what samples
    differ in that differ lastingly in work has not the law of p(x | φ); see docs/sampling.md.

    Parameters
    ----------
    samples
        What `reconstruct` returns, by its default method.
    groups
        Coordinate along (image, sample) that says what each sample shows: by a classifier, or by clusters of samples.
    level
        Probability with which all intervals of a variable hold at once; those of shares hold one by one.

    Returns
    -------
    Dataset
        {findings}

        Persistence is NaN with fewer than 4 samples or 9 noise levels, an excess where a group or the rest has fewer
        than 2 samples, or work that does not vary. A warning names the conditions where a bias is shown.

    Raises
    ------
    InputError
        If these are no samples of that method, or groups is no such coordinate or misses samples.

    Examples
    --------
    >>> from analyses import sampling
    >>> kinds = [["dog", "cat", "dog", "dog"]]
    >>> samples = samples.assign_coords(kind=(("image", "sample"), kinds))  # doctest: +SKIP
    >>> sampling.shares(samples, groups="kind").bias.values  # doctest: +SKIP
    array([['not shown', 'not shown']], dtype=object)
    """
    check_samples(samples)
    samples = SAMPLES.taken(samples, "loss_before", dims=("level",), attrs=("method",))
    if (method := samples.attrs["method"]) != GUIDED:
        raise InputError(f"samples are of method {method!r}: give some of {GUIDED!r}, whose losses can be compared")
    level = fraction("level", level, "a probability between 0 and 1")
    losses = samples["loss_before"].transpose(*OF_SAMPLE, "level").values[..., 1:].astype(float)
    lasting = persistence_of(losses, (1 - level) / len(losses))
    work, suspected, coords = losses.sum(axis=2), lasting.low > 0, {}
    found: dict[str, Any] = {"work": work, "persistence": lasting}
    if groups is not None:
        of = _grouped(groups, samples)
        coords["group"] = np.unique(of)
        mine = of[..., None] == coords["group"]
        share = mine.mean(axis=1)
        excess = excess_of(work, mine, (1 - level) / share.size)
        found["share"] = Estimate(share, *wilson(share, of.shape[1], level))
        found["excess"] = excess
        said = np.where(excess.low > 0, "too many", np.where(excess.high < 0, "too few", "not shown"))
        found["bias"] = said.astype(object)
        suspected |= ((excess.low > 0) | (excess.high < 0)).any(axis=1)
    if suspected.any():
        names = ", ".join([*labels.strings(samples["image"].values[suspected])[:3], "…"][: suspected.sum()])
        warnings.warn(
            f"guidance took more work for some samples than for others given φ of {names}: shares of what they differ "
            "in are not those of p(x | φ), docs/sampling.md",
            stacklevel=3,
        )
    return SHARES.label(found, samples, coords=coords, level=level)


def _grouped(name: Any, samples: xr.Dataset) -> np.ndarray:
    """Names (image, sample) of the groups of samples, by a coordinate."""
    if not isinstance(name, str) or name not in samples.coords or set(samples[name].dims) != set(OF_SAMPLE):
        raise InputError(
            f"{shown('groups', name)} is no coordinate along image and sample of the samples: add one with "
            "assign_coords(kind=(('image', 'sample'), …)), and give groups='kind'"
        )
    names = labels.strings(samples[name].transpose(*OF_SAMPLE).values.ravel())
    if missing := sum(not one.strip() for one in names):
        raise InputError(f"{name} is missing for {missing} samples: give each a name")
    return names.reshape(samples["match"].shape)


def check_samples(samples: Any, name: str = "samples") -> None:
    """Refuse what `reconstruct` does not return.

    Raises
    ------
    InputError
        If variables or dims are missing, or there is no image or sample, or values are not finite.
    """
    try:
        SAMPLES.check(samples, "samples", "match")
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    found = samples["samples"]
    if set(found.dims) != set(DIMS) or not all(found.shape) or "image" not in samples.coords:
        raise InputError(f"{name} has sizes {dict(found.sizes)}: give one image and one sample at least, with all dims")
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
    name = "structural_similarity_index_measure"
    measure = getattr(metrics, f"multiscale_{name}" if coarse else name)
    first, second = np.triu_indices(n, 1)
    found = np.empty(len(values))
    for i, v in enumerate(values):
        scale = float(np.ptp(v)) or 1.0
        span = 1.0 if v.min() >= -0.5 and v.max() <= 1.5 else scale
        # Double precision takes eighty times as long, and is needed where values are large beside what they differ by.
        if np.abs(v).max() <= 2 * span:
            v = v.astype(np.float32)
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


def _copies(
    samples: xr.Dataset, values: np.ndarray, others: ImageSet | None, quantile: float, seed: int
) -> dict[str, Any]:
    """Distances to conditions and references, and what counts as near."""
    found: dict[str, Any] = {}
    pools: list[tuple[np.ndarray, np.ndarray]] = []
    flat = standardised(values.reshape(*values.shape[:2], -1))
    nearest = np.full(flat.shape[:2], np.inf)
    if "condition" in samples:
        given = standardised(samples["condition"].values.astype(float).reshape(len(flat), 1, -1))
        found["distance"] = nearest = np.sqrt(np.square(flat - given).mean(axis=2))
        kinds = labels.strings(samples["label"].values) if "label" in samples.coords else None
        pools.append((given[:, 0], _names(labels.strings(samples["image"].values), kinds)))
    if others is not None:
        distance, index = _to_references(flat, others, labels.strings(samples["image"].values), others.ids)
        found["distance_reference"] = distance
        found["nearest"] = np.array([*others.ids, ""], dtype=object)[index]
        pools.append(_drawn(others, seed))
        found |= _judged(distance, _between_nearest(others, seed), quantile, "_reference")
    return found | _judged(nearest, _apart(pools, seed), quantile, "")


def _judged(distance: np.ndarray, apart: np.ndarray, quantile: float, suffix: str) -> dict[str, Any]:
    """What lies nearer than all but a share `quantile` of what is apart; nothing where nothing is."""
    if not apart.size or not np.isfinite(distance).any():
        return {}
    threshold = float(np.quantile(apart, quantile))
    near = distance < threshold
    return {f"threshold{suffix}": threshold, f"near_copy{suffix}": near, f"near_copy{suffix}_rate": near.mean()}


def _between_nearest(others: ImageSet, seed: int) -> np.ndarray:
    """Distances of some references to the nearest one that is a different image."""
    images, names = _drawn(others, seed)
    every = _names(others.ids, others.labels)
    distance, _ = _to_references(images[:CHUNK, None], others, labels.strings(names[:CHUNK]), every)
    return distance[np.isfinite(distance)]


def _to_references(
    flat: np.ndarray, others: ImageSet, own: np.ndarray, names: Sequence[str] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to, and position of, the nearest reference whose name is not the image's own."""
    rows = flat.reshape(-1, flat.shape[2])
    owners = np.repeat(np.asarray(own, dtype=object), flat.shape[1])
    size = np.square(rows).mean(axis=1)
    best, where = np.full(len(rows), np.inf), np.full(len(rows), len(others))
    for start in range(0, len(others), CHUNK):
        chosen = list(range(start, min(start + CHUNK, len(others))))
        images = standardised(others.read(chosen).numpy().reshape(len(chosen), -1).astype(float))
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
    """Some references with their labels, or ids where there is none."""
    chosen = np.random.default_rng(seed).permutation(len(others))[: 4 * CHUNK].tolist()
    names = _names(others.ids, others.labels)
    images = others.read(chosen).numpy().reshape(len(chosen), -1).astype(float)
    return standardised(images), np.array([names[c] for c in chosen])


def _names(ids: Sequence[str] | np.ndarray, classes: Sequence[str] | np.ndarray | None) -> np.ndarray:
    """Classes of images, or their ids where there is none: what two images must differ in to count as different."""
    return np.array(
        [kind or own for own, kind in zip(ids, [""] * len(ids) if classes is None else classes, strict=True)],
        dtype=object,
    )


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
    measured: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> tuple[dict[str, Any], list[str]]:
    """Distances in φ of other blocks, each relative to the norm of the φ's compared; and the blocks."""
    phi, taps = measured(values, samples["image"].values)
    blocks = list(dict.fromkeys(taps))
    columns = [np.flatnonzero(taps == b) for b in blocks]
    diversity = np.full((len(phi), len(blocks)), np.nan)
    for b, own in enumerate(columns):
        for i, part in enumerate(phi[..., own]):
            apart = _pairs(part) * len(own) ** 0.5
            if apart.size:
                diversity[i, b] = _ratio(apart.mean(), np.linalg.norm(part, axis=1).mean())
    found = {"diversity_phi": diversity}
    shown_at = next((name for name in ("condition", "condition_image") if name in samples), None)
    if shown_at is not None:
        given, _ = measured(samples[shown_at].values[:, None].astype(float), samples["image"].values)
        found["distance_phi"] = _relative(phi, given, columns)
        if unconditional is not None:
            alone = unconditional["samples"].transpose(*DIMS)
            free, _ = measured(alone.values.astype(float), alone["image"].values)
            pooled = np.broadcast_to(
                free.reshape(1, -1, free.shape[-1]), (len(given), free.shape[0] * free.shape[1], free.shape[-1])
            )
            found["distance_phi_unconditional"] = _relative(pooled, given, columns).mean(axis=1)
    return found, blocks


def _relative(phi: np.ndarray, given: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """‖φ − φ*‖/‖φ*‖ (image, sample, block)."""
    away = [np.linalg.norm(phi[..., c] - given[..., c], axis=-1) for c in columns]
    size = [np.broadcast_to(np.linalg.norm(given[..., c], axis=-1), away[0].shape) for c in columns]
    return _ratio(np.stack(away, axis=-1), np.stack(size, axis=-1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part/whole; NaN where there is nothing to be a part of."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _phi(measure: Callable[..., xr.Dataset], values: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """φ (image, sample, channel) of images (image, sample, band, row, col), and the tap of each channel."""
    # Noise belongs to the image and the number of the sample, so that the order of images changes nothing.
    ids = [f"{image}/{k}" for image in labels.strings(images) for k in range(values.shape[1])]
    # Samples may leave the range of clean images a little, which is no fault of theirs here.
    data = measure(values.reshape(-1, *values.shape[2:]).astype(np.float32), ids=ids)
    return data["phi"].values[:, 0].reshape(*values.shape[:2], -1).astype(float), labels.strings(data["tap"].values)
