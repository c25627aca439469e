"""Whether subspaces explain φ: overlap of active sets, explained variance against PCA, dimensions, and a control."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import variable
from analyses.subspaces import kernels_active, kernels_explained
from analyses.subspaces.above_rest import MIN_IMAGES, blocks, by_id, check, sites
from analyses.subspaces.labelled import check_findings, subspace_of, with_blocks
from probekit import labels
from probekit.checks import resampling, seeded
from probekit.errors import InputError

__all__ = ["against", "explained", "explained_variance", "intrinsic_dimension", "overlap", "usable_ranks"]

MOST_COMPARED = 10_000
INTERVAL = (0.025, 0.975)
ESTIMATORS = {"two_nn": "TwoNN", "mle": "MLE", "local_pca": "lPCA"}


def overlap(data: xr.Dataset, findings: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    """How much active sets overlap within subspaces and between them.

    Jaccard index |A ∩ B|/|A ∪ B| without the common channels, its mean over random disjoint pairs of images: no
    image is in two pairs of a kind. Subspaces were chosen so that it is large within them: compare it with a control.

    Parameters
    ----------
    data
        What was fitted.
    findings
        What `fit` returned.
    seed
        Of the pairs, which are of ids: no order of images changes them.

    Returns
    -------
    Dataset
        overlap_within, overlap_between, overlap_gap with overlap_gap_low and overlap_gap_high (sigma, block): means
        in [0, 1], their difference and its 95 % interval by the normal approximation; NaN where there is no such pair.

    Raises
    ------
    InputError
        If the data cannot be used or is not what was fitted.

    Examples
    --------
    >>> from analyses.subspaces import fit
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, _ = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> bool(overlap(data, fit(data)).overlap_gap_low > 0.5)
    True
    """
    check_findings(data, findings)
    seeded(seed)
    first = by_id(data)
    values = np.full((5, *findings.n_subspaces.shape), np.nan)
    for site in sites(data):
        own = subspace_of(findings, site.level, site.block)[first]
        sets = site.active(findings.attrs["rate"])[first][:, ~findings.common.values[site.level, site.channels]]
        rng = np.random.default_rng(seed)
        shares = [kernels_active.jaccard(sets[p[:, 0]], sets[p[:, 1]]) for p in kernels_active.pairs(own, rng)]
        within, between = (share[~np.isnan(share)] for share in shares)
        if len(within) > 1 and len(between) > 1:
            gap = within.mean() - between.mean()
            error = 1.96 * np.sqrt(within.var(ddof=1) / len(within) + between.var(ddof=1) / len(between))
            values[:, site.level, site.block] = within.mean(), between.mean(), gap, gap - error, gap + error
    names = {
        "overlap_within": "mean Jaccard index of active sets in one subspace",
        "overlap_between": "mean Jaccard index of active sets in different subspaces",
        "overlap_gap": "overlap_within − overlap_between",
        "overlap_gap_low": "lower end of its 95 % interval",
        "overlap_gap_high": "upper end of its 95 % interval",
    }
    made = {name: variable(("sigma", "block"), v, long) for (name, long), v in zip(names.items(), values, strict=True)}
    return with_blocks(made, data)


def explained_variance(
    data: xr.Dataset,
    findings: xr.Dataset,
    *,
    ranks: Sequence[int] = (1, 2, 4, 8, 16),
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """What the subspaces explain of held-out images, against one PCA with as much to spend.

    Three quarters of the images (at most 10,000 in all) fit k affine subspaces of r dimensions, alternating from
    the assignment found; held-out images go to the nearest. Explained is 1 − Σ‖x − x̂‖²/Σ‖x − x̄‖², x̄ the mean
    of the fitted images. The PCA of each `comparison` has

    - "parameters": as many numbers in means and bases, rank k (r + 1) − 1. It spans all k subspaces, so that in the
      images fitted no union can beat it, whatever the data; on held-out ones only by overfitting less.
    - "nonzeros": as many numbers as a union whose means and bases are at rest off the active channels of their
      subspace, and that is what it is compared with: a coordinate subspace is told by its few channels.
    - "coefficients": as many numbers per image: r, and one more for the log₂ k bits that name the subspace.

    Parameters
    ----------
    data, findings
        What was fitted and what `fit` returned.
    ranks
        Dimensions r; those that reach the number of channels of the narrowest tap are left out.
    resamples, seed
        Bootstrap samples of held-out images for the 95 % interval, at least 100; seed of split and bootstrap, which
        are of ids: no order of images changes them.

    Returns
    -------
    Dataset
        explained, explained_pca, gain, gain_low, gain_high (sigma, block, rank, comparison), pca_rank likewise.

    Raises
    ------
    InputError
        If the data cannot be used, is not what was fitted, or no rank is left.

    Examples
    --------
    >>> from analyses.subspaces import fit
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, _ = union_of_subspaces(400, n_channels=40, n_subspaces=5, common=0)
    >>> found = explained_variance(data, fit(data), ranks=[4])
    >>> bool(found.gain_low.sel(comparison="nonzeros") > 0)
    True
    """
    return explained(data, findings, ranks, resamples, seed)[0]


def explained(
    data: xr.Dataset, findings: xr.Dataset, ranks: Sequence[int], resamples: int, seed: int
) -> tuple[xr.Dataset, np.ndarray]:
    """`explained_variance`, and the gains of its bootstrap samples (resamples, sigma, block, rank, comparison)."""
    check_findings(data, findings)
    seeded(seed)
    resampling(resamples, INTERVAL[1] - INTERVAL[0])
    kept = usable_ranks(data, ranks)
    shape = (*findings.n_subspaces.shape, len(kept), len(kernels_explained.COMPARISONS))
    explained, pca, gain = (np.full(shape, np.nan) for _ in range(3))
    spent = np.zeros(shape, int)
    drawn = np.full((resamples, *shape), np.nan)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(by_id(data))[:MOST_COMPARED]
    train, test = np.split(chosen, [len(chosen) * 3 // 4])
    for site in sites(data):
        at = site.level, site.block
        number = int(findings.n_subspaces.values[at])
        here = findings.support.values[site.level, :number][:, site.channels]
        masks = here | findings.common.values[site.level, site.channels]
        own = subspace_of(findings, site.level, site.block)
        found = kernels_explained.compare(site.x[train], own[train], masks, site.x[test], kept)
        explained[at] = kernels_explained.fractions(found.union, found.total)
        pca[at] = kernels_explained.fractions(found.pca, found.total)
        gain[at], drawn[:, *at] = kernels_explained.gains(found, resamples=resamples, seed=seed)
        for i, r in enumerate(kept):
            for j, name in enumerate(kernels_explained.COMPARISONS):
                spent[*at, i, j] = kernels_explained.pca_rank(
                    name, subspaces=number, rank=r, channels=len(site.channels), nonzeros=int(masks.sum())
                )
    dims = ("sigma", "block", "rank", "comparison")
    low, high = np.quantile(drawn, INTERVAL, axis=0)
    made = {
        "explained": variable(dims, explained, "variance of held-out images that the union explains"),
        "explained_pca": variable(dims, pca, "variance of held-out images that one PCA explains"),
        "pca_rank": variable(dims, spent, "rank of that PCA"),
        "gain": variable(dims, gain, "explained − explained_pca"),
        "gain_low": variable(dims, low, "lower end of the 95 % interval of gain"),
        "gain_high": variable(dims, high, "upper end of the 95 % interval of gain"),
    }
    coords = {"rank": np.array(kept), "comparison": np.array(kernels_explained.COMPARISONS, object)}
    return with_blocks(made, data, coords), drawn


def usable_ranks(data: xr.Dataset, ranks: Any) -> tuple[int, ...]:
    """The ranks that are below the number of channels of every tap; refuses what leaves none, and what is no rank."""
    numbers = tuple(ranks) if isinstance(ranks, Iterable) else ()
    if not numbers or any(isinstance(r, bool) or not isinstance(r, int | np.integer) for r in numbers):
        raise InputError(f"ranks={ranks!r}: give a sequence of whole numbers, such as (1, 2, 4)")
    taps = labels.strings(data.tap.values)
    width = min(int((taps == name).sum()) for name in blocks(data))
    if width < 2:
        raise InputError("a tap has 1 channel, which leaves nothing to compare: select taps of more channels")
    kept = tuple(int(r) for r in numbers if 1 <= r < width)
    if not kept:
        raise InputError(f"ranks={ranks!r}: give dimensions from 1 to {width - 1}, below the number of channels")
    return kept


def against(found: xr.Dataset, drawn: np.ndarray, control: xr.Dataset, drawn_control: np.ndarray) -> xr.Dataset:
    """The control's gain, and how far the gain exceeds it; the two bootstraps are independent."""
    dims = found.gain.dims
    low, high = np.quantile(drawn - drawn_control, INTERVAL, axis=0)
    excess = found.gain.values - control.gain.values
    return found[[]].assign(
        {name.replace("gain", "gain_shuffled"): control[name] for name in ("gain", "gain_low", "gain_high")}
        | {
            "gain_over_shuffled": variable(dims, excess, "gain − gain of channel-shuffled phi"),
            "gain_over_shuffled_low": variable(dims, low, "lower end of its 95 % interval"),
            "gain_over_shuffled_high": variable(dims, high, "upper end of its 95 % interval"),
        }
    )


def intrinsic_dimension(data: xr.Dataset, *, images: int = 1000, seed: int = 0) -> xr.Dataset:
    """How many dimensions φ has locally, whatever its shape.

    Estimated by scikit-dimension: TwoNN (Facco et al., 2017), maximum likelihood (Levina & Bickel, 2004), and PCA.

    Parameters
    ----------
    data
        What a tap returns.
    images
        Random images to use at most, which bounds the cost.
    seed
        Of the choice.

    Returns
    -------
    Dataset
        intrinsic_dimension (sigma, block, estimator): "two_nn", "mle", "local_pca"; NaN where all images are equal.

    Raises
    ------
    InputError
        If the data cannot be used, or scikit-dimension is not installed.
    """
    check(data, images=MIN_IMAGES)
    seeded(seed)
    if isinstance(images, bool) or not isinstance(images, int | np.integer) or images < MIN_IMAGES:
        raise InputError(f"images={images!r}: give a whole number ≥ {MIN_IMAGES}")
    try:
        from skdim import id as estimators
    except ImportError as error:
        message = (
            "the intrinsic dimension needs scikit-dimension: pip install 'probekit[analyses]', or dimensions=False"
        )
        raise InputError(message) from error
    chosen = np.random.default_rng(seed).permutation(by_id(data))[:images]
    values = np.full((data.sizes["sigma"], len(blocks(data)), len(ESTIMATORS)), np.nan)
    for site in sites(data):
        # Equal images have no distances to compare.
        own = np.unique(site.x[chosen].astype(np.float64), axis=0)
        if len(own) < MIN_IMAGES or own.shape[1] < 2:
            continue
        for i, name in enumerate(ESTIMATORS.values()):
            # On exact planes local_pca divides by eigenvalues of 0, without harm.
            with np.errstate(divide="ignore", invalid="ignore"):
                values[site.level, site.block, i] = getattr(estimators, name)().fit(own).dimension_
    made = {"intrinsic_dimension": variable(("sigma", "block", "estimator"), values, "local dimensions of phi")}
    return with_blocks(made, data, {"estimator": np.array(list(ESTIMATORS), object)})
