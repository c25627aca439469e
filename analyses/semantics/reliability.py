"""Whether distances in φ are those of φ or of the noise that it was averaged over: halves of the draws compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import (
    Estimate,
    Findings,
    Variable,
    check_noise,
    image_blocks,
    jackknifed_correlation,
    repeats,
    resampling,
    sites,
)
from analyses.semantics.inputs import (
    ALONE,
    MIN_IMAGES,
    PLACE,
    PLACE_COORDS,
    checked,
    grouped,
    place_coords,
    subsample,
)
from analyses.semantics.kernels_correlation import gram, partial, transformed
from analyses.semantics.kernels_nearest import Side, Sides
from analyses.semantics.kernels_pairs import (
    channel_reliability,
    noise_free,
    prepared,
    spreads,
)
from probekit import checks, labels
from probekit.errors import InputError
from probekit.machine.warned import warned
from probekit.phi.reliability import (
    LEAST_DRAWS,
    RELIABLE,
    draws_needed,
    halves,
    mean_and_error,
    spearman_brown,
    squared_distances,
)

__all__ = ["RELIABILITY", "halves_of_draws", "reliability", "sides_of"]

ESTIMATORS = {
    "noise_free": "squared distances less both images' squared standard errors",
    "plain": "squared distances as they are, whose bias by noise is the same in both halves",
}
WHERE = ("estimator", *PLACE)
# By how much of the largest draw φ may differ from the draws' mean: some hundred roundings of float32.
MEAN_OFF = 1e-5
RELIABILITY = Findings(
    "semantics.reliability",
    {
        "half_correlation": Variable(WHERE, "correlation over pairs of distances from two halves of draws"),
        "reliability": Variable(
            WHERE, "the same for all draws, by Spearman and Brown", interval="jackknife over images"
        ),
        "reliable": Variable(
            PLACE, "whether noise-free distances are reliable, by their interval: yes, no, undecided", holds="names"
        ),
        "draws_needed": Variable(WHERE, "draws at which distances would be reliable; infinite if none would", "draws"),
        "channel_reliability": Variable(("sigma", "channel"), "share of variance over images that is no noise"),
        "median_channel_reliability": Variable(("sigma", "block"), "median over channels of their reliability"),
    },
    coords=PLACE_COORDS | {"estimator": "how distances are estimated"},
)


@RELIABILITY.described
def reliability(
    data: xr.Dataset,
    *,
    distances: Sequence[str] | None = None,
    target: float = RELIABLE,
    splits: int = 4,
    clusters: str | None = None,
    max_images: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Say at which taps and noise levels distances in φ are reliable at the draws that it was averaged over.

    Draws are split at random in two disjoint halves, distances between images are computed from each, and correlated
    over pairs of images. The prediction for all draws is that of Spearman (1910) and Brown (1910), 2r/(1 + r) for two
    halves; it is rather too low for squared distances, a part of whose errors falls as 1/draws².

    Squared distances are compared, half of them for the cosine, which is linear in these. *Plain* ones are biased
    upward by the noise of both images, which both halves share: where noise differs between images they can repeat
    well and be wrong. What is `reliable` is told by the noise-free ones.

    Parameters
    ----------
    data
        phi, phi_se and phi_draws, of 4 draws and 20 images at least.
    distances
        Some of "euclidean", "cosine", "standardised" (by the channels' standard deviations at all draws); default all.
    target
        What counts as reliable, in (0, 1).
    splits
        Number of splits, over which correlations are averaged.
    clusters
        Coordinate along `image` whose groups, 10 at least, are left out by the jackknife whole. Only pairs of images of
        different groups count.
    max_images
        More images than this are subsampled at random, in whole groups where these are named.
    level, seed
        Coverage in (0, 1) of the jackknife's intervals over images, never pairs, on Fisher's scale; seed of splits and
        of subsampling.

    Returns
    -------
    Dataset
        {findings}

        Attr `draws_split` says how many draws were split.

    Raises
    ------
    InputError
        If there are too few draws, images or groups, φ is missing, not finite or not the mean of phi_draws, or an
        option is out of its range.

    Examples
    --------
    >>> import probekit
    >>> from probekit.models import zoo
    >>> tap = probekit.tap(zoo.load("photo32"), "mid")
    >>> data = tap(np.random.default_rng(0).random((20, 3, 8, 8)), sigma=0.3, draws=4, keep_draws=True)
    >>> reliability(data, distances="euclidean").reliable.values.ravel().tolist()
    ['no']
    """
    data, metrics = checked(data, distances)
    kept = _draws_kept(data)
    target = checks.fraction("target", target, "the reliability sought, between 0 and 1, e.g. 0.95")
    splits = repeats("splits", splits, least=1)
    max_images = checks.whole("max_images", max_images, least=MIN_IMAGES)
    _, level, seed = resampling(100, level, seed)
    members = grouped(data, clusters)
    used = subsample(data, max_images, seed, members)
    groups = shares = None
    if members is not None:
        _, groups, counts = np.unique(members[used], return_inverse=True, return_counts=True)
        shares = counts / len(used)
    pairs = halves(kept, splits, seed)
    part = data[["phi", "phi_se", "phi_draws"]].isel(image=used).compute()
    draws, phi, se = (part[name].values for name in ("phi_draws", "phi", "phi_se"))
    blocks = labels.blocks(data)
    shape = (len(ESTIMATORS), data.sizes["sigma"], len(blocks), len(metrics))
    half, whole = np.full(shape, np.nan), np.full((3, *shape), np.nan)
    of_channel = np.full((data.sizes["sigma"], data.sizes["channel"]), np.nan)
    middle = np.full(shape[1:3], np.nan)
    for site in sites(data, "reliability"):
        x, error = phi[:, site.level, site.channels], se[:, site.level, site.channels]
        of_channel[site.level, site.channels] = shared = channel_reliability(x, error, groups)
        if np.isfinite(shared).any():
            middle[site.level, site.block] = np.nanmedian(shared)
        here = draws[:, site.level][..., site.channels]
        for e, estimator in enumerate(ESTIMATORS):
            spread = spreads(x, error if estimator == "noise_free" else None, groups)
            for m, metric in enumerate(metrics):
                at = e, site.level, site.block, m
                each = [_correlated(here[:, pair], metric, spread, estimator, groups) for pair in pairs]
                values = np.mean(each, axis=0)
                if np.isnan(values[0]):
                    warned(
                        f"at σ = {site.sigma:g}, block {site.name} the {metric} distance is undefined, or the same for "
                        f"all images ({estimator}): findings there are NaN, and nothing is decided",
                        RuntimeWarning,
                    )
                    continue
                predicted = spearman_brown(values, kept / pairs.shape[2])
                half[at] = values[0]
                whole[:, *at] = [predicted[0], *jackknifed_correlation(predicted, level, shares)[:2]]
    estimate = Estimate(*whole)
    found: dict[str, Any] = {
        "half_correlation": half,
        "reliability": estimate,
        "reliable": _verdict(Estimate(*(part[0] for part in estimate)), target),
        "draws_needed": draws_needed(half, pairs.shape[2], target),
        "channel_reliability": of_channel,
        "median_channel_reliability": middle,
    }
    return RELIABILITY.label(
        found,
        data,
        coords=place_coords(data, metrics) | {"estimator": list(ESTIMATORS)},
        images=len(used),
        images_given=data.sizes["image"],
        draws_split=kept,
        splits=len(pairs),
        target=target,
        clusters=clusters or ALONE,
        level=level,
        analysis_seed=seed,
    )


def sides_of(data: xr.Dataset) -> dict[str, Sides]:
    """By the noise that they share, query and key, one way or both."""
    phi = Side(data["phi"].values)
    sides: dict[str, Sides] = {"shared": [(phi, phi)]}
    if data.sizes.get("draw", 0) > 1 and "phi_draws" in data:
        draws = data["phi_draws"].transpose("image", "sigma", "channel", "draw")
        even, odd = (Side(draws.isel(draw=slice(k, None, 2)).mean("draw").values) for k in (0, 1))
        sides["independent"] = [(even, odd), (odd, even)]
    return sides


def halves_of_draws(data: xr.Dataset) -> dict[str, Sides]:
    """Query and key of even and odd draws, whose noise is independent, with the standard errors of each."""
    kept = data["phi_draws"].sizes["draw"] if "phi_draws" in data else 0
    if kept < LEAST_DRAWS:
        raise InputError(
            f"noise_free=True finds images again by disjoint draws, and the data has {kept or 'no'} phi_draws: measure "
            f"with keep_draws=True and draws={LEAST_DRAWS} or more, or give noise_free=False"
        )
    draws = data["phi_draws"].transpose("image", "sigma", "draw", "channel").values
    even, odd = (Side(*mean_and_error(draws[:, :, k::2], axis=2)) for k in (0, 1))
    return {"independent": [(even, odd), (odd, even)]}


def _draws_kept(data: xr.Dataset) -> int:
    """How many draws there are, found to be enough, of enough images."""
    check_noise(data)
    kept = data["phi_draws"].sizes["draw"] if "phi_draws" in data else 0
    if kept < LEAST_DRAWS:
        raise InputError(
            f"reliability compares two halves of the draws, and the data has {kept or 'no'} phi_draws: measure with "
            f"keep_draws=True and draws={LEAST_DRAWS} or more"
        )
    _check_mean(data)
    if data.sizes["image"] < MIN_IMAGES:
        raise InputError(f"phi is of {data.sizes['image']} images: give {MIN_IMAGES} at least, to correlate over pairs")
    return kept


def _check_mean(data: xr.Dataset) -> None:
    """Refuse draws whose mean φ is not; kept ones can be fewer digits than what was averaged."""
    largest, worst = 0.0, (0.0, "", 0.0, 0.0)
    for rows, phi, draws in image_blocks(data, "phi", "phi_draws"):
        mean = draws.transpose(0, 1, 3, 2).mean(axis=-1, dtype=np.float64)
        off = np.abs(mean - phi)
        most = np.unravel_index(int(off.argmax()), off.shape)
        largest = max(largest, float(np.abs(draws).max(initial=0)))
        if off[most] > worst[0]:
            image, sigma = data["image"].values[rows][most[0]], data["sigma"].values[most[1]]
            worst = off[most], str(image), sigma, mean[most]
    if worst[0] > MEAN_OFF * largest:
        raise InputError(
            f"phi is not the mean of phi_draws: of image {checks.shown(worst[1])}, σ = {worst[2]:g}, their mean is "
            f"{worst[3]:.4g}; give the phi and phi_draws that one call measured"
        )


def _verdict(found: Estimate, target: float) -> np.ndarray:
    """Yes where an interval lies above the target, no where it lies below, else undecided."""
    return np.where(found.low >= target, "yes", np.where(found.high < target, "no", "undecided")).astype(object)


def _correlated(
    draws: np.ndarray, metric: str, spread: np.ndarray, estimator: str, groups: np.ndarray | None
) -> np.ndarray:
    """Correlations of distances from two halves (image, half, draw, channel): of all images, and without each group."""
    sides = []
    for half in range(2):
        mean, error = mean_and_error(draws[:, half])
        if estimator == "noise_free":
            features, noise = noise_free(mean, error, metric, spread)
        else:
            features, noise = prepared(mean, metric, spread), None
        if not np.isfinite(features).all():
            return np.full(1 + (len(draws) if groups is None else int(groups.max()) + 1), np.nan)
        sides.append(transformed(squared_distances(features, noise).astype(np.float32), "pearson", groups))
    return partial(gram(sides, sides), ())
