"""Whether φ lies in a union of subspaces: sparse sets of channels that depend on the image.

Claim 4 of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912), taken apart: which channels an image raises above
rest (`active_sets`), which subspaces images share (`fit`), how much the sets overlap (`overlap`), what the subspaces
explain of held-out images (`explained_variance`), and how many dimensions φ has at all (`intrinsic_dimension`).
`analyse` does them all.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import t as student

from analyses.ground import Estimate, Findings, Variable, check_options, interval, resampling
from analyses.subspaces import kernels_active, kernels_explained
from analyses.subspaces.above_rest import (
    FIT_IMAGES,
    MIN_IMAGES,
    check,
    grouped,
    learnt_from,
    responses,
    shuffled,
    usable_ranks,
)
from analyses.subspaces.fitting import (
    COORDS,
    FITTED,
    MOST_SUBSPACES,
    PLACE,
    SPLITS,
    check_fitted,
    fit,
    fitted,
    fitted_part,
    subspace_of,
)
from analyses.subspaces.kernels_fit import Search, one_of_each
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
ESTIMATORS = {"two_nn": "TwoNN", "mle": "MLE", "local_pca": "lPCA"}
COMPARED = (*PLACE, "rank", "comparison")
PAIRS, HELD_OUT = "95 %, Welch's t over pairs of images", "95 %, held-out images, or clusters of them, resampled"
OVERLAP = Findings(
    "subspaces",
    {
        "overlap_within": Variable(PLACE, "mean Jaccard index of active sets in one subspace"),
        "overlap_between": Variable(PLACE, "mean Jaccard index of active sets in different subspaces"),
        "overlap_gap": Variable(PLACE, "overlap_within − overlap_between", interval=PAIRS),
    },
    coords=COORDS,
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
    coords={**COORDS, "rank": "dimensions of each subspace", "comparison": "what union and PCA have equally many of"},
    source="subspaces.explained_variance",
)
DIMENSIONS = Findings(
    "subspaces",
    {"intrinsic_dimension": Variable((*PLACE, "estimator"), "local dimensions of phi; NaN where all images are equal")},
    coords={**COORDS, "estimator": "two_nn, mle or local_pca"},
    source="subspaces.intrinsic_dimension",
)
CONTROL = Findings(
    "subspaces",
    {
        "overlap_gap_shuffled": Variable(PLACE, "overlap_gap of channel-shuffled phi", interval=PAIRS),
        "gain_shuffled": Variable(COMPARED, "gain of channel-shuffled phi", interval=HELD_OUT),
        "gain_over_shuffled": Variable(COMPARED, "gain − gain of channel-shuffled phi", interval=HELD_OUT),
    },
    coords=EXPLAINED.coords,
)
FINDINGS = Findings(
    "subspaces",
    {
        **FITTED.variables,
        **OVERLAP.variables,
        **EXPLAINED.variables,
        **CONTROL.variables,
        **{name: v._replace(optional=True) for name, v in DIMENSIONS.variables.items()},
    },
    coords={**EXPLAINED.coords, **DIMENSIONS.coords},
)


@FINDINGS.described
def analyse(
    data: xr.Dataset,
    *,
    n_subspaces: int | None = None,
    method: str = "coordinate",
    ranks: Sequence[int] = (1, 2, 4, 8, 16),
    rate: float = 0.05,
    resamples: int = 1000,
    dimensions: bool = True,
    clusters: str | None = None,
    seed: int = 0,
    **further: Any,
) -> xr.Dataset:
    """Look for a union of subspaces in φ, at every tap and noise level, and judge it.

    Parameters
    ----------
    data
        What a tap returns: phi, and where present phi_se (image, sigma, channel), rest, rest_se (sigma, channel).
    n_subspaces, method, rate
        As in `fit`.
    ranks, resamples
        As in `explained_variance`.
    dimensions
        Whether to estimate the intrinsic dimension; needs scikit-dimension.
    clusters
        Coordinate along `image`, such as "label", for images that are not independent, as crops of one photograph; see
        `fit`, `overlap`, `explained_variance` and `intrinsic_dimension`. Groups are permuted whole in the control, and
        keep their sizes. By default images are independent.
    seed
        Of everything drawn.
    further
        `max_subspaces` (32), `splits` (4) and `fit_images` (20,000), as in `fit`.

    Returns
    -------
    Dataset
        {findings}

        What `fit`, `overlap`, `explained_variance` and `intrinsic_dimension` return, together. The control "shuffled"
        has every channel of the images fitted permuted over them, and is found with as many subspaces.

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
    rate, seed = checks.plain(rate), checks.plain(seed)
    data = check(data, rate, images=MIN_IMAGES)
    resamples, _, _ = resampling(resamples, LEVEL)
    checks.flag("dimensions", dimensions)
    check_options("analyse", further, ("max_subspaces", "splits", "fit_images"))
    usable_ranks(data, ranks)
    grouped(data, clusters)
    most = further.get("max_subspaces", MOST_SUBSPACES)
    data = FINDINGS.distinct(data)
    found = fit(
        data,
        n_subspaces=n_subspaces,
        method=method,
        max_subspaces=most,
        rate=rate,
        splits=further.get("splits", SPLITS),
        clusters=clusters,
        fit_images=further.get("fit_images", FIT_IMAGES),
        seed=seed,
    )
    data, sorted_ = fitted_part(data, found)
    own = _explained(data, sorted_, ranks, resamples, clusters, seed)
    parts = [found, overlap(data, sorted_, clusters=clusters, seed=seed), own.label(data)]
    if dimensions:
        parts.append(intrinsic_dimension(data, clusters=clusters, seed=seed))
    permuted = shuffled(data, seed, grouped(data, clusters))
    search = Search(method, None, most, 0, seed)
    control = fitted(permuted, search, rate, found.n_subspaces.values, clusters, data.sizes["image"])
    other = _explained(permuted, control, ranks, resamples, clusters, seed + 1)
    gap = overlap(permuted, control, clusters=clusters, seed=seed)
    # The two bootstraps are independent.
    excess = Estimate(own.gain - other.gain, *interval(own.drawn - other.drawn, LEVEL, units=own.units))
    values = {
        "overlap_gap_shuffled": Estimate(*(gap[f"overlap_gap{end}"].values for end in ("", "_low", "_high"))),
        "gain_shuffled": other.estimate(),
        "gain_over_shuffled": excess,
    }
    parts.append(CONTROL.label(values, data, coords=own.coords(data)))
    merged = xr.merge([part.drop_attrs(deep=False) for part in parts], compat="override", join="outer")
    return merged.assign_attrs(found.attrs)


@OVERLAP.described
def overlap(data: xr.Dataset, findings: xr.Dataset, *, clusters: str | None = None, seed: int = 0) -> xr.Dataset:
    """How much active sets overlap within subspaces and between them.

    Jaccard index |A ∩ B|/|A ∪ B| without the common channels, its mean over random disjoint pairs of the images that
    were fitted: no image is in two pairs of a kind. Subspaces were chosen so that it is large within them: compare it
    with a control.

    Parameters
    ----------
    data
        What was fitted.
    findings
        What `fit` returned.
    clusters
        Coordinate along `image`, such as "label", for images that are not independent, as crops of one photograph: one
        image of each group is paired. By default images are independent.
    seed
        Of the pairs, which are of ids: no order of images changes them.

    Returns
    -------
    Dataset
        {findings}

        Means in [0, 1]; NaN where there is no such pair.

    Raises
    ------
    InputError
        If the data cannot be used or is not what was fitted.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, _ = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> bool(overlap(data, fit(data)).overlap_gap_low > 0.5)
    True
    """
    data, findings = _part(data, findings)
    seed = checks.seeded(seed)
    order = labels.by_id(data)
    members = grouped(data, clusters)
    if members is not None:
        order = one_of_each(np.random.default_rng(seed).permutation(order), members)
    within, between, gap, low, high = (np.full(findings.n_subspaces.shape, np.nan) for _ in range(5))
    for response in responses(data, "overlap of active sets"):
        at = response.level, response.block
        own = subspace_of(findings, *at)[order]
        sets = response.active(findings.attrs["rate"])[order]
        sets = sets[:, ~findings.common.values[response.level, response.channels]]
        pairs = kernels_active.pairs(own, np.random.default_rng(seed))
        indices = [kernels_active.jaccard(sets[p[:, 0]], sets[p[:, 1]]) for p in pairs]
        inside, outside = (index[~np.isnan(index)] for index in indices)
        if len(inside) > 1 and len(outside) > 1:
            within[at], between[at] = inside.mean(), outside.mean()
            gap[at] = within[at] - between[at]
            reach = _reach(inside, outside)
            low[at], high[at] = gap[at] - reach, gap[at] + reach
    values = {"overlap_within": within, "overlap_between": between, "overlap_gap": Estimate(gap, low, high)}
    return OVERLAP.label(values, data, coords={"block": labels.blocks(data)})


def _reach(first: np.ndarray, second: np.ndarray) -> float:
    """Half the width of Welch's interval of the difference of two means."""
    squares = np.array([group.var(ddof=1) / len(group) for group in (first, second)])
    if not squares.any():
        return 0.0
    degrees = squares.sum() ** 2 / (squares**2 / [len(first) - 1, len(second) - 1]).sum()
    return float(student.ppf((1 + LEVEL) / 2, degrees) * np.sqrt(squares.sum()))


@EXPLAINED.described
def explained_variance(
    data: xr.Dataset,
    findings: xr.Dataset,
    *,
    ranks: Sequence[int] = (1, 2, 4, 8, 16),
    resamples: int = 1000,
    clusters: str | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """What the subspaces explain of held-out images, against one PCA with as much to spend.

    Three quarters of the images fitted (at most 10,000 in all) fit k affine subspaces of r dimensions, alternating from
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
    clusters
        Coordinate along `image`, such as "label", whose groups are held out and resampled whole: for images that are
        not independent, as crops of one photograph. Of larger groups than the median one as many images are drawn as
        that has. By default images are independent.
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
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, _ = union_of_subspaces(400, n_channels=40, n_subspaces=5, common=0)
    >>> found = explained_variance(data, fit(data), ranks=[4])
    >>> bool(found.gain_low.sel(comparison="nonzeros") > 0)
    True
    """
    return _explained(data, findings, ranks, resamples, clusters, seed).label(data)


class HeldOut(NamedTuple):
    """What union and PCA explain, (sigma, block, rank, comparison), and resampled gains, (resamples, …).

    `ranks` are the dimensions of subspaces; `units` the number of held-out images, or groups of them.
    """

    explained: np.ndarray
    pca: np.ndarray
    spent: np.ndarray
    gain: np.ndarray
    drawn: np.ndarray
    ranks: tuple[int, ...]
    units: int

    def estimate(self) -> Estimate:
        return Estimate(self.gain, *interval(self.drawn, LEVEL, units=self.units))

    def coords(self, data: xr.Dataset) -> dict[str, Any]:
        return {
            "block": labels.blocks(data),
            "rank": np.array(self.ranks),
            "comparison": list(kernels_explained.COMPARISONS),
        }

    def label(self, data: xr.Dataset) -> xr.Dataset:
        values = {"explained": self.explained, "explained_pca": self.pca, "pca_rank": self.spent}
        return EXPLAINED.label({**values, "gain": self.estimate()}, data, coords=self.coords(data))


def _part(data: xr.Dataset, findings: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The images that were fitted, in memory, and what was found of them; refuses what is not of one another."""
    return fitted_part(check_fitted(data, findings), findings)


def _explained(
    data: xr.Dataset, findings: xr.Dataset, ranks: Sequence[int], resamples: int, clusters: str | None, seed: int
) -> HeldOut:
    data, findings = _part(data, findings)
    resamples, _, seed = resampling(resamples, LEVEL, seed)
    kept = usable_ranks(data, ranks)
    train, test, held = _split(data, grouped(data, clusters), seed)
    shape = (*findings.n_subspaces.shape, len(kept), len(kernels_explained.COMPARISONS))
    explained, pca, gain = (np.full(shape, np.nan) for _ in range(3))
    held_out = HeldOut(
        explained,
        pca,
        np.zeros(shape, int),
        gain,
        np.full((resamples, *shape), np.nan),
        kept,
        len(test) if held is None else int(held.max()) + 1,
    )
    for response in responses(data, "held-out variance"):
        at = response.level, response.block
        number = int(findings.n_subspaces.values[at])
        here = findings.support.values[response.level, :number][:, response.channels]
        masks = here | findings.common.values[response.level, response.channels]
        own = subspace_of(findings, *at)
        found = kernels_explained.compare(response.x[train], own[train], masks, response.x[test], kept)
        explained[at] = kernels_explained.fractions(found.union, found.total)
        pca[at] = kernels_explained.fractions(found.pca, found.total)
        gain[at], held_out.drawn[:, *at] = kernels_explained.gains(found, resamples=resamples, seed=seed, members=held)
        budget = {"subspaces": number, "channels": len(response.channels), "nonzeros": int(masks.sum())}
        held_out.spent[at] = [
            [kernels_explained.pca_rank(name, rank=r, **budget) for name in kernels_explained.COMPARISONS] for r in kept
        ]
    return held_out


def _split(data: xr.Dataset, members: np.ndarray | None, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Positions of images to fit and to hold out, groups of them whole, and the number of each held-out one's group.

    Of a group no more images are drawn than the median group has.
    """
    chosen = np.random.default_rng(seed).permutation(labels.by_id(data))
    if members is None:
        train, test = np.split(chosen[:MOST_COMPARED], [min(len(chosen), MOST_COMPARED) * 3 // 4])
        return train, test, None
    sizes = np.bincount(members)
    most = int(np.median(sizes))
    own = members[chosen]
    place = np.empty(len(chosen), int)
    place[np.argsort(own, kind="stable")] = np.arange(len(chosen)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # Else few large groups decide what is fitted, and resampling held-out groups says nothing of that.
    chosen = chosen[place < most]
    # Groups in the order in which their first image is drawn; of these as many as make the number of images.
    groups = members[one_of_each(chosen, members)]
    until = np.cumsum(np.minimum(sizes, most)[groups])
    groups = groups[: max(int((until <= MOST_COMPARED).sum()), 2)]
    fitted_on = groups[: max(int((until[: len(groups)] <= until[len(groups) - 1] * 3 // 4).sum()), 1)]
    train = chosen[np.isin(members[chosen], fitted_on)]
    test = chosen[np.isin(members[chosen], np.setdiff1d(groups, fitted_on))]
    return train, test, np.unique(members[test], return_inverse=True)[1]


@DIMENSIONS.described
def intrinsic_dimension(
    data: xr.Dataset, *, images: int = 1000, clusters: str | None = None, seed: int = 0
) -> xr.Dataset:
    """How many dimensions φ has locally, whatever its shape.

    Estimated by scikit-dimension: TwoNN (Facco et al., 2017), maximum likelihood (Levina & Bickel, 2004), and PCA.

    Parameters
    ----------
    data
        What a tap returns.
    images
        Random images to use at most, which bounds the cost.
    clusters
        Coordinate along `image`, such as "label", of whose groups one image each is used: for images that are not
        independent, as crops of one photograph, which are near one another. By default images are independent.
    seed
        Of the choice.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If the data cannot be used, or scikit-dimension is not installed.
    """
    data = check(data, images=MIN_IMAGES, signed=True)
    seed = checks.seeded(seed)
    images = checks.whole("images", images, least=MIN_IMAGES)
    try:
        from skdim import id as estimators
    except ImportError as error:
        message = (
            "the intrinsic dimension needs scikit-dimension: pip install 'probekit-denoisers[analyses]', or "
            "dimensions=False"
        )
        raise InputError(message) from error
    chosen = one_of_each(np.random.default_rng(seed).permutation(labels.by_id(data)), grouped(data, clusters))[:images]
    if data.sizes["image"] > FIT_IMAGES:
        data = data.isel(image=chosen)
        chosen = np.arange(len(chosen))
    data, _ = learnt_from(data, data.sizes["image"], seed)
    values = np.full((data.sizes["sigma"], len(labels.blocks(data)), len(ESTIMATORS)), np.nan)
    for response in responses(data, "intrinsic dimensions"):
        # Equal images have no distances to compare.
        own = np.unique(response.x[chosen].astype(np.float64), axis=0)
        if len(own) < MIN_IMAGES or own.shape[1] < 2:
            continue
        for i, name in enumerate(ESTIMATORS.values()):
            # On exact planes local_pca divides by eigenvalues of 0, without harm; of few images all are neighbours.
            with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="n_neighbors >= len")
                values[response.level, response.block, i] = getattr(estimators, name)().fit(own).dimension_
    coords = {"block": labels.blocks(data), "estimator": list(ESTIMATORS)}
    return DIMENSIONS.label({"intrinsic_dimension": values}, data, coords=coords)
