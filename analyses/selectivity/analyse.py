"""Which channels respond to nearly every image and which to few: types of channel, under false-discovery control."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import (
    Findings,
    Variable,
    as_activity,
    at_hand,
    check_errors,
    check_numbers,
    resampling,
)
from analyses.selectivity import decisions, kernels, kernels_types
from analyses.selectivity.kernels_counts import Counts, effective
from analyses.selectivity.measuring import BINS, Given, by_channel, given_of
from probekit import checks, labels
from probekit.errors import InputError
from probekit.machine.extents import Extent

__all__ = [
    "CRITERIA",
    "FALSE_ALARM",
    "FAR_OUT",
    "FEW",
    "FINDINGS",
    "KINDS",
    "MIN_IMAGES",
    "NEARLY_NONE",
    "RARE",
    "analyse",
    "check",
    "held",
    "independent",
]

KINDS, CRITERIA = decisions.KINDS, decisions.CRITERIA
FALSE_ALARM, RARE, FEW, NEARLY_NONE, FAR_OUT = 0.001, 0.01, 0.5, 0.2, 0.004
RATES = kernels_types.Rates(FALSE_ALARM, RARE, FEW, NEARLY_NONE, FAR_OUT)
MIN_IMAGES = 20
PLACE, BY_KIND, BETWEEN = ("sigma", "channel"), ("kind", "sigma", "block"), ("sigma", "other_sigma", "channel")
TESTED = {"response": "any response", **{kind: kind for kind in kernels_types.ONE_OF}}
FINDINGS = Findings(
    "selectivity",
    {
        "type": Variable(PLACE, "type of the channel: " + ", ".join(KINDS), holds="names"),
        "confidence": Variable(
            PLACE,
            "lower bound on the probability of the type: that all its criteria hold in the population of images; "
            "NaN of undecided",
        ),
        "possible": Variable(
            ("kind", *PLACE), "whether the channel may be of the type: it is, or is not shown not to be", holds="flags"
        ),
        "activity": Variable(PLACE, "phi above rest, mean over images", "activation"),
        "activity_sd": Variable(PLACE, "phi, standard deviation over images", "activation"),
        "activity_fraction": Variable(PLACE, "share of images clearly above rest"),
        "below_fraction": Variable(PLACE, "share of images clearly below rest"),
        "near_fraction": Variable(PLACE, "share of images near rest"),
        "lifetime_sparseness": Variable(PLACE, "lifetime sparseness of phi above rest (Vinje & Gallant)"),
        "skew": Variable(PLACE, "skewness over images, corrected for bias"),
        "kurtosis": Variable(PLACE, "excess kurtosis over images, corrected for bias"),
        "tail_statistic": Variable(PLACE, "Vuong's statistic, Laplace (> 0) against normal law"),
        **{f"p_{name}": Variable(PLACE, f"p-value of {what}") for name, what in TESTED.items()},
        **{f"q_{name}": Variable(PLACE, f"q-value of {what}") for name, what in TESTED.items()},
        "reliability": Variable(
            PLACE, "share of phi's variance over images that is not error, cut off at 0; NaN without phi_se"
        ),
        "top_image": Variable(("rank", *PLACE), "id of the image that excites the channel most", holds="names"),
        "top_activity": Variable(("rank", *PLACE), "largest phi above rest", "activation"),
        "histogram": Variable(
            ("bin", *PLACE), "images in equal bins of phi above rest, activity_min to activity_max", "images"
        ),
        "activity_min": Variable(PLACE, "least phi above rest", "activation"),
        "activity_max": Variable(PLACE, "largest phi above rest", "activation"),
        "number": Variable(BY_KIND, "number of channels shown to be of the type", "channels"),
        "fraction": Variable(
            BY_KIND,
            "share of channels shown to be of the type",
            interval="from those shown to be of it to those not shown not to be (Simes' closed test), "
            "each end Jeffreys', channels drawn independently",
        ),
        "decided": Variable(
            ("criterion", "sigma", "block"), "share of channels of which a criterion is shown to hold, or to fail"
        ),
        "median_kurtosis": Variable(BY_KIND, "excess kurtosis, median over channels of the type"),
        "kurtosis_difference": Variable(
            BY_KIND[1:],
            "median kurtosis of selective less common channels",
            interval="channels resampled; NaN with fewer than 2 of either type",
        ),
        "rank_correlation": Variable(BETWEEN, "Spearman's ρ of images between noise levels", optional=True),
        "top_overlap": Variable(BETWEEN, "share of top images common to two noise levels", optional=True),
        "draw_rank_correlation": Variable(
            PLACE, "Spearman's ρ of images between even and odd noise draws", optional=True
        ),
        "draw_top_overlap": Variable(PLACE, "share of top images common to even and odd noise draws", optional=True),
    },
    coords={
        "kind": "type of channel",
        "criterion": "criterion of types",
        "block": "block, by the tap at its output",
        "rank": "rank of the image, 0 the strongest",
        "bin": "bin of phi above rest",
    },
)


@FINDINGS.described
def analyse(
    data: xr.Dataset,
    *,
    fdr: float = 0.05,
    fdr_method: str = "bh",
    top: int = 16,
    clusters: str | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Tell silent, common, suppressed and selective channels apart, at every tap and noise level.

    Common channels respond to nearly every image, with marginals over images close to Gaussian; selective ones
    are near rest on most images and large on few, heavy-tailed (Kadkhodaie, Mallat & Simoncelli,
    arXiv:2506.01912). Activity is a = φ − rest, rest being what the channel does on mid-grey in the same noise.
    Real channels fall below rest too, where images silence what noise excites: such a departure is a response, but
    makes a channel neither common nor selective.

    On one image a channel is *clear* of rest when |a| exceeds 5 standard errors, *near* rest when it is within
    1; a tenth of the channel's typical response Σa²/Σ|a|, in which the largest 1 in 250 count as the next, is near and
    not clear however precise; images between are neither. Since few draws tell little of an image's error, and images
    differ in it, the variance is that of phi_se or its mean over the 20 images of nearest a, whichever is larger; of
    rest, that of rest_se, the mean around the image nearest to rest, or as many times the images' as in the other
    channels of the tap, whichever is largest. A channel *responds* that is clear of rest on more than 1 image in 1000.
    Over the images that these are drawn from it is

    - *silent* if it is clear of rest on fewer than 1 image in 100;
    - *common* if it responds, is above rest and not near it on more than four fifths, is closer to the normal law than
      to the heavy-tailed Laplace law (Vuong's test of their likelihoods), and is far from its median, by 4 standard
      deviations as the quartiles tell them, on fewer than 1 image in 250;
    - *suppressed* if it responds, is below rest and not near it on more than four fifths, and clearly below oftener
      than clearly above;
    - *selective* if it responds, is clearly above rest on fewer than half but oftener than clearly below, and is closer
      to the Laplace law;
    - *mixed* if it is none of these;
    - *undecided* where none of these is shown, which more images, or more draws, may change.

    "Shown" is a test against the opposite, in which rest may lie elsewhere by its error; a conjunction's p-value is the
    largest of its parts', and mixed is shown where each other type has a criterion that is shown to fail. p-values
    become q-values over the channels of each tap at each noise level. Between 1 image in 1000 and 1 in 100 a channel is
    silent, or what its other criteria make it.

    The false discovery rate of each type is `fdr` at most where channels fit `fdr_method`, images, or their `clusters`,
    are independent and errors normal, from 40 images and 2 draws on, also where the noise differs between images and
    where 1 image in 250 or more lies far out: those that are rarer are not looked for. What is shown is which law is
    closer, not that the marginal is exactly normal: so the answer does not turn with the number of images. Power and
    false alarms in simulations are in docs/calibration.md; `power_curve` shows what fewer of the images decide.

    Parameters
    ----------
    data
        phi (image, sigma, channel) of at least 20 images; rest, rest_se, phi_se and phi_draws where present.
    fdr
        False discovery rate allowed for each type, in (0, 1).
    fdr_method
        "bh" (Benjamini & Hochberg; channels independent or positively dependent) or "by" (Benjamini & Yekutieli; any
        dependence).
    top
        Number of images kept that excite each channel most, ≥ 1.
    clusters
        Coordinate along `image`, such as "label", for images that are not independent, as crops of one photograph:
        images of one group count as if they were alike throughout, n images in groups of m as n²/Σm² independent ones,
        which must be 20 at least, and a number of images as that in whole groups. By default images are independent.
    resamples, level, seed
        Number of resamples ≥ 100 of the bootstrap over channels, coverage in (0, 1) of all intervals, seed ≥ 0.

    Returns
    -------
    Dataset
        {findings}

        Between noise levels only where there are several, between draws only with phi_draws.
        Attrs `rest_source`, `error_source` name fallbacks. Without rest, activity is counted from the lower decile of φ
        over images, and no type is shown, since all ask where rest lies; `possible` and `decided` say what the shape of
        the marginal excludes. Without phi_se (or with one draw, where it is NaN) the spread of φ below its median
        stands in for the errors of φ and of rest, which can only be smaller: so no channel that varies is shown to be
        silent. `independent_images` is the number that images are worth.

    Raises
    ------
    InputError
        If phi is missing, mislabelled, not finite or negative, standard errors are negative, infinite or known of some
        images only, images or groups are too few, there is no such coordinate, or an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(2000, seed=1)
    >>> findings = analyse(data)
    >>> bool((findings.type.isel(sigma=0) == truth.type).mean() > 0.95)
    True
    """
    resamples, level, seed = resampling(resamples, level, seed)
    fdr = checks.fraction("fdr", fdr, "a false discovery rate between 0 and 1, e.g. 0.05")
    checks.choice("fdr_method", fdr_method, ("bh", "by"))
    top = checks.whole("top", top, least=1)
    data = held(data)
    known = check(data)
    members, units = independent(data, clusters)
    data = as_activity(data, "phi", "phi_draws", "rest", known=known)
    given = given_of(data, known)
    measured = by_channel(data, given, min(top, data.sizes["image"]), members)
    options = decisions.Options(fdr, fdr_method, level, resamples, seed)
    found = _weighed(measured, Counts(data.sizes["image"], members), given)
    decided = decisions.decided(found, data, options)
    values = {
        **_by_channel(measured, decided, labels.strings(data["image"].values)),
        **decisions.shares(decided["type"], found, data, options),
        **decisions.tails(decided["type"], measured["kurtosis"], data, options),
    }
    return FINDINGS.label(
        values,
        data,
        coords=_coords(data, measured["top_index"].shape[0]),
        rest_source=given.rest_source,
        error_source=given.error_source,
        fdr=fdr,
        fdr_method=fdr_method,
        clusters=clusters or "none: images are independent",
        independent_images=units,
        level=level,
        resamples=resamples,
        analysis_seed=seed,
    )


def held(data: Any) -> Any:
    """The data, rest in memory and of what is of images what is not large."""
    return at_hand(at_hand(labels.once(data), "rest", "rest_se"), "phi", "phi_se", "phi_draws")


def check(data: xr.Dataset) -> dict[str, Extent]:
    """Refuse what types of channel cannot be told of; gives between which values variables lie."""
    check_numbers(data, "phi", "phi_draws", "phi_se", "rest", "rest_se")
    there = data.data_vars if isinstance(data, xr.Dataset) else ()
    known = labels.check(data, "phi", *(name for name in ("rest", "phi_draws") if name in there))
    labels.check_ids(data)
    known |= labels.check(data, *(name for name in ("phi_se", "rest_se") if name in there), finite=False)
    check_errors(data, known)
    if not (data.sizes["sigma"] and data.sizes["channel"]):
        raise InputError(f"phi has sizes {dict(data['phi'].sizes)}: give at least one noise level and one channel")
    if data.sizes["image"] < MIN_IMAGES:
        raise InputError(
            f"phi is of {data.sizes['image']} images: types of channels need {MIN_IMAGES} at least, and some hundred "
            "to be sure of"
        )
    return known


def independent(data: xr.Dataset, clusters: str | None) -> tuple[np.ndarray | None, float]:
    """The number of each image's group, None where images are independent, and how many such ones they are worth.

    Refuses images that are worth too few.
    """
    if clusters is None:
        return None, float(data.sizes["image"])
    members = np.unique(labels.classes(data, clusters, option="clusters", least=1), return_inverse=True)[1]
    units = effective(members, len(members))
    if units < MIN_IMAGES:
        raise InputError(
            f"clusters={clusters!r}: {len(members)} images in {members.max() + 1} groups are worth {units:.3g} "
            f"independent ones, and types of channels need {MIN_IMAGES} at least: give images of more groups"
        )
    return members, units


def _weighed(measured: dict[str, np.ndarray], counts: Counts, given: Given) -> kernels_types.Weighed:
    zones = kernels.Zones(*(measured[name] for name in kernels.Zones._fields))
    shape = kernels.Shape(*(measured[name] for name in kernels.Shape._fields))
    # What never varies has no error that would.
    errors = given.known[:, None] | (measured["low"] == measured["high"])
    return kernels_types.weighed(zones, shape, counts, RATES, rest=given.rest, errors=errors)


def _by_channel(
    measured: dict[str, np.ndarray], decided: dict[str, np.ndarray], ids: np.ndarray
) -> dict[str, np.ndarray]:
    """What is said of each channel, by the names of the findings."""
    named = {
        "activity": "mean",
        "activity_sd": "sd",
        "lifetime_sparseness": "lifetime",
        "tail_statistic": "tail",
        "activity_min": "low",
        "activity_max": "high",
    }
    same = ("skew", "kurtosis", "reliability", "top_activity", "histogram")
    between = ("rank_correlation", "top_overlap", "draw_rank_correlation", "draw_top_overlap")
    n = measured["histogram"].sum(axis=0)
    return {
        **decided,
        **{name: measured[key] for name, key in named.items()},
        **{name: measured[name] for name in (*same, *between) if name in measured},
        "activity_fraction": measured["above"] / n,
        "below_fraction": measured["below"] / n,
        "near_fraction": measured["near"] / n,
        "top_image": ids[measured["top_index"]],
    }


def _coords(data: xr.Dataset, top: int) -> dict[str, Any]:
    sigma = data["sigma"]
    between = {"other_sigma": ("other_sigma", sigma.values, sigma.attrs)} if len(sigma) > 1 else {}
    return {
        "kind": list(KINDS),
        "criterion": list(CRITERIA),
        "block": labels.blocks(data),
        "rank": np.arange(top),
        "bin": np.arange(BINS),
        **between,
    }
