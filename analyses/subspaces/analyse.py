"""Whether φ lies in a union of subspaces, and whether that explains anything: overlap, variance, dimensions, a control.

Claim 4 of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912), taken apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import Estimate, Findings, Variable, interval
from analyses.subspaces import kernels_judged
from analyses.subspaces.above_rest import MIN_IMAGES, above_rest, check, shuffled
from analyses.subspaces.fitting import BLOCK, FIT, check_fitted, fit, fit_numbers, sorted_at
from probekit import checks, labels
from probekit.errors import InputError

__all__ = [
    "DIMENSIONS",
    "EXPLAINED",
    "FINDINGS",
    "OVERLAP",
    "analyse",
    "explained_variance",
    "intrinsic_dimension",
    "overlap",
]

MOST_COMPARED = 10_000
LEVEL = 0.95
# Of pairs of images, for the interval of the overlap.
RESAMPLES = 1000
RANKS = (1, 2, 4, 8, 16)
ESTIMATORS = {"two_nn": "TwoNN", "mle": "MLE", "local_pca": "lPCA"}
SITE = ("sigma", "block")
COMPARED = (*SITE, "rank", "comparison")
PAIRS, HELD_OUT = "pairs of images resampled", "held-out images resampled"
OVERLAP = Findings(
    "subspaces",
    {
        "overlap_within": Variable(SITE, "mean Jaccard index of active sets in one subspace"),
        "overlap_between": Variable(SITE, "mean Jaccard index of active sets in different subspaces"),
        "overlap_gap": Variable(SITE, "overlap_within − overlap_between", interval=PAIRS),
    },
    coords=BLOCK,
    source="subspaces.overlap",
)
EXPLAINED = Findings(
    "subspaces",
    {
        "explained": Variable(COMPARED, "variance of held-out images that the union explains"),
        "explained_pca": Variable(COMPARED, "variance of held-out images that one PCA explains"),
        "pca_rank": Variable(COMPARED, "rank of that PCA"),
        "gain": Variable(COMPARED, "explained − explained_pca", interval=HELD_OUT),
    },
    coords={
        **BLOCK,
        "rank": "dimensions of each subspace",
        "comparison": "what the PCA may spend as much of as the union",
    },
    source="subspaces.explained_variance",
)
DIMENSIONS = Findings(
    "subspaces",
    {"intrinsic_dimension": Variable((*SITE, "estimator"), "local dimensions of phi; NaN where all images are equal")},
    coords={**BLOCK, "estimator": "estimator of the dimension"},
    source="subspaces.intrinsic_dimension",
)
CONTROL = Findings(
    "subspaces",
    {
        "overlap_gap_shuffled": Variable(SITE, "overlap_gap of channel-shuffled phi", interval=PAIRS),
        "gain_shuffled": Variable(COMPARED, "gain of channel-shuffled phi", interval=HELD_OUT),
        "gain_over_shuffled": Variable(COMPARED, "gain − gain_shuffled", interval=HELD_OUT),
    },
    coords=EXPLAINED.coords,
)
FINDINGS = Findings(
    "subspaces",
    {
        **FIT.variables,
        **OVERLAP.variables,
        **EXPLAINED.variables,
        "intrinsic_dimension": DIMENSIONS.variables["intrinsic_dimension"]._replace(optional=True),
        **CONTROL.variables,
    },
    coords={**FIT.coords, **EXPLAINED.coords, **DIMENSIONS.coords},
)


@FINDINGS.described
def analyse(
    data: xr.Dataset,
    *,
    n_subspaces: int | None = None,
    method: str = "coordinate",
    max_subspaces: int = 32,
    ranks: Sequence[int] = RANKS,
    rate: float = 0.05,
    splits: int = 4,
    resamples: int = 1000,
    dimensions: bool = True,
    seed: int = 0,
) -> xr.Dataset:
    """Look for a union of subspaces in φ, at every tap and noise level, and judge it.

    What `fit`, `overlap`, `explained_variance` and `intrinsic_dimension` return, together; and what they return for a
    control, φ with every channel permuted over images on its own, in which as many subspaces are looked for.

    Parameters
    ----------
    data
        What a tap returns: phi, and where present phi_se (image, sigma, channel), rest, rest_se (sigma, channel).
    n_subspaces, method, max_subspaces, rate, splits
        As in `fit`.
    ranks, resamples
        As in `explained_variance`.
    dimensions
        Whether to estimate the intrinsic dimension; needs scikit-dimension.
    seed
        Of everything drawn.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If the data or an option cannot be used.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, _ = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> findings = analyse(data, dimensions=False)
    >>> findings.n_subspaces.values
    array([[3]])
    >>> bool(findings.overlap_within > findings.overlap_between)
    True
    """
    # Before the fit, which takes time.
    check(data, rate, images=MIN_IMAGES)
    checks.resampling(resamples, LEVEL, seed)
    checks.flag("dimensions", dimensions)
    _usable_ranks(data, ranks)
    options: dict[str, Any] = {"method": method, "max_subspaces": max_subspaces, "rate": rate, "seed": seed}
    found = fit(data, n_subspaces=n_subspaces, splits=splits, **options)
    explained, drawn = _explained(data, found, ranks, resamples, seed)
    parts = [found, overlap(data, found, seed=seed), explained]
    if dimensions:
        parts.append(intrinsic_dimension(data, seed=seed))
    permuted = shuffled(data, seed)
    control = fit_numbers(permuted, found.n_subspaces.values, splits=0, **options)
    control_explained, control_drawn = _explained(permuted, control, ranks, resamples, seed + 1)
    gap = overlap(permuted, control, seed=seed)
    # The two bootstraps are independent.
    excess = explained.gain.values - control_explained.gain.values
    over = interval(drawn - control_drawn, LEVEL, units=_held_out(data))
    values = {
        "overlap_gap_shuffled": Estimate(gap.overlap_gap, gap.overlap_gap_low, gap.overlap_gap_high),
        "gain_shuffled": Estimate(*(control_explained[f"gain{end}"] for end in ("", "_low", "_high"))),
        "gain_over_shuffled": Estimate(excess, *over),
    }
    parts.append(CONTROL.label(values, explained[[]], level=LEVEL))
    merged = xr.merge([part.drop_attrs(deep=False) for part in parts], compat="override", join="outer")
    return merged.assign_attrs({**found.attrs, "resamples": resamples, "level": LEVEL})


@OVERLAP.described
def overlap(data: xr.Dataset, findings: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    """Measure how much active sets overlap within subspaces and between them.

    Jaccard index |A ∩ B|/|A ∪ B| without the common channels, its mean over random disjoint pairs of images: no
    image is in two pairs of a kind. Subspaces were chosen so that it is large within them: compare it with a control.

    Parameters
    ----------
    data
        What was fitted.
    findings
        What `fit` returned.
    seed
        Of the pairs and their resamples, which are of ids: no order of images changes them.

    Returns
    -------
    Dataset
        NaN where there are fewer than two pairs of a kind.

        {findings}

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
    check_fitted(data, findings)
    checks.seeded(seed)
    first = labels.by_id(data)
    within, between, *gap = np.full((5, *findings.n_subspaces.shape), np.nan)
    for here in above_rest(data):
        common = findings.common.values[here.site.level, here.site.channels]
        sets = here.active(findings.attrs["rate"])[first][:, ~common]
        own = sorted_at(findings, here.at)[first]
        found = kernels_judged.overlap(sets, own, resamples=RESAMPLES, seed=seed)
        if found is not None:
            within[here.at], between[here.at] = found.within, found.between
            gap[0][here.at] = found.within - found.between
            gap[1][here.at], gap[2][here.at] = interval(found.gaps, LEVEL, units=found.pairs)
    values = {"overlap_within": within, "overlap_between": between, "overlap_gap": Estimate(*gap)}
    return OVERLAP.label(values, data, coords={"block": labels.blocks(data)}, level=LEVEL, analysis_seed=seed)


@EXPLAINED.described
def explained_variance(
    data: xr.Dataset,
    findings: xr.Dataset,
    *,
    ranks: Sequence[int] = RANKS,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Measure what the subspaces explain of held-out images, against one PCA with as much to spend.

    Three quarters of the images (at most 10,000 in all) fit k affine subspaces of r dimensions, alternating from
    the assignment found; held-out images go to the nearest. Explained is 1 − Σ‖x − x̂‖²/Σ‖x − x̄‖², x̄ the mean
    of the fitted images. The PCA of each `comparison` has

    - "parameters": as many numbers in means and bases, rank k (r + 1) − 1. It spans all k subspaces, so that in the
      images fitted no union can beat it, whatever the data; on held-out ones only by overfitting less.
    - "nonzeros": as many numbers as a union whose means and bases are at rest off the active channels of their
      subspace, and that is what it is compared with: few channels determine a coordinate subspace.
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
        {findings}

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
    return _explained(data, findings, ranks, resamples, seed)[0]


def _held_out(data: xr.Dataset) -> int:
    """Number of images that subspaces are judged by."""
    used = min(data.sizes["image"], MOST_COMPARED)
    return used - used * 3 // 4


def _explained(
    data: xr.Dataset, findings: xr.Dataset, ranks: Sequence[int], resamples: int, seed: int
) -> tuple[xr.Dataset, np.ndarray]:
    """`explained_variance`, and the gains of its bootstrap samples (resamples, sigma, block, rank, comparison)."""
    check_fitted(data, findings)
    checks.resampling(resamples, LEVEL, seed)
    usable = _usable_ranks(data, ranks)
    shape = (*findings.n_subspaces.shape, len(usable), len(kernels_judged.COMPARISONS))
    explained, pca, gain = np.full((3, *shape), np.nan)
    spent = np.zeros(shape, int)
    drawn = np.full((resamples, *shape), np.nan)
    used = np.random.default_rng(seed).permutation(labels.by_id(data))[:MOST_COMPARED]
    train, test = np.split(used, [len(used) - _held_out(data)])
    for here in above_rest(data):
        at, channels = here.at, here.site.channels
        number = int(findings.n_subspaces.values[at])
        masks = findings.support.values[here.site.level, :number][:, channels]
        masks = masks | findings.common.values[here.site.level, channels]
        own = sorted_at(findings, at)
        found = kernels_judged.compare(here.x[train], own[train], masks, here.x[test], usable)
        explained[at] = kernels_judged.fractions(found.union, found.total)
        pca[at] = kernels_judged.fractions(found.pca, found.total)
        gain[at], drawn[:, *at] = kernels_judged.gains(found, resamples=resamples, seed=seed)
        spent[at] = found.spent
    values = {
        "explained": explained,
        "explained_pca": pca,
        "pca_rank": spent,
        "gain": Estimate(gain, *interval(drawn, LEVEL, units=len(test))),
    }
    coords = {"block": labels.blocks(data), "rank": list(usable), "comparison": list(kernels_judged.COMPARISONS)}
    attrs = {"resamples": resamples, "level": LEVEL, "analysis_seed": seed}
    return EXPLAINED.label(values, data, coords=coords, **attrs), drawn


def _usable_ranks(data: xr.Dataset, ranks: Any) -> tuple[int, ...]:
    """The ranks that are below the number of channels of every tap; refuses what leaves none, and what is no rank."""
    given = checks.listed("ranks", ranks, "a sequence of whole numbers, such as (1, 2, 4)")
    numbers = [checks.whole("each of ranks", rank) for rank in given]
    width = min(len(site.channels) for site in labels.sites(data))
    if width < 2:
        raise InputError("a tap has 1 channel, which leaves nothing to compare: select taps of more channels")
    usable = tuple(rank for rank in numbers if 1 <= rank < width)
    if not usable:
        raise InputError(
            f"{checks.given('ranks', ranks)}: give dimensions from 1 to {width - 1}, below the number of channels"
        )
    return usable


@DIMENSIONS.described
def intrinsic_dimension(data: xr.Dataset, *, images: int = 1000, seed: int = 0) -> xr.Dataset:
    """Estimate how many dimensions φ has locally, whatever its shape.

    Estimators of scikit-dimension: TwoNN (Facco et al., 2017), maximum likelihood (Levina & Bickel, 2004), and PCA.

    Parameters
    ----------
    data
        What a tap returns.
    images
        Random images to use at most, at least 20, which bounds the cost.
    seed
        Of the choice.

    Returns
    -------
    Dataset
        With estimators "two_nn", "mle" and "local_pca".

        {findings}

    Raises
    ------
    InputError
        If the data cannot be used, or scikit-dimension is not installed.
    """
    check(data, images=MIN_IMAGES)
    checks.seeded(seed)
    checks.whole("images", images, least=MIN_IMAGES)
    try:
        from skdim import id as estimators
    except ImportError as error:
        raise InputError(
            "the intrinsic dimension needs scikit-dimension: pip install 'probekit[analyses]', or dimensions=False"
        ) from error
    chosen = np.random.default_rng(seed).permutation(labels.by_id(data))[:images]
    values = np.full((data.sizes["sigma"], len(labels.blocks(data)), len(ESTIMATORS)), np.nan)
    for here in above_rest(data):
        # Equal images have no distances to compare.
        own = np.unique(here.x[chosen].astype(np.float64), axis=0)
        if len(own) < MIN_IMAGES or own.shape[1] < 2:
            continue
        for i, name in enumerate(ESTIMATORS.values()):
            # On exact planes local_pca divides by eigenvalues of 0, without harm.
            with np.errstate(divide="ignore", invalid="ignore"):
                values[*here.at, i] = getattr(estimators, name)().fit(own).dimension_
    coords = {"block": labels.blocks(data), "estimator": list(ESTIMATORS)}
    return DIMENSIONS.label({"intrinsic_dimension": values}, data, coords=coords, images=images, analysis_seed=seed)
