"""Images sorted into subspaces, as labelled findings, and how right these are where the truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from sklearn.metrics import normalized_mutual_info_score

from analyses.ground import Findings, Variable, by_channel, check_same_network, repeats
from analyses.subspaces import kernels_expression, kernels_fit
from analyses.subspaces.above_rest import (
    FIT_IMAGES,
    MIN_IMAGES,
    Scale,
    check,
    check_fit_images,
    grouped,
    learnt_from,
    measured,
    parts,
    responses,
    scales,
    sources,
)
from probekit import checks, labels
from probekit.errors import InputError

__all__ = [
    "ACTIVE",
    "COORDS",
    "FITTED",
    "METHODS",
    "PLACE",
    "SCORES",
    "active_sets",
    "check_fitted",
    "fit",
    "fitted",
    "fitted_part",
    "score",
    "subspace_of",
]

METHODS = ("coordinate", "linear")
MOST_EXPRESSED = 1000
PLACE = ("sigma", "block")
PER_IMAGE, EACH, PAIR = ("image", *PLACE), (*PLACE, "subspace"), (*PLACE, "subspace", "other")
COORDS = {"block": "block, by the tap at its output", "number": "number of groups tried"}
ACTIVE = Findings(
    "subspaces",
    {"active": Variable(("image", "sigma", "channel"), "whether the channel is above rest", holds="flags")},
    source="subspaces.active_sets",
)
# Looked for unless told otherwise: so many at most, judged by so many random halves of the images.
MOST_SUBSPACES, SPLITS = 32, 4
FITTED = Findings(
    "subspaces",
    {
        "subspace": Variable(PER_IMAGE, "subspace of the image, 0 being that of most images", holds="counts"),
        "certainty": Variable(PER_IMAGE, "probability that the image is in that subspace; NaN for linear"),
        "n_subspaces": Variable(PLACE, "number of subspaces", holds="counts"),
        "agreement": Variable(PLACE, "how far random halves of the images give the same answer"),
        "held": Variable(PLACE, "energy above rest inside the subspaces, beyond chance"),
        "confidence": Variable(PLACE, "agreement × held × (mean certainty)²; NaN for linear"),
        "size": Variable(EACH, "number of images; 0 stands for no subspace"),
        "dimension": Variable(EACH, "dimensions of the subspace"),
        "support": Variable(
            ("sigma", "subspace", "channel"), "channels of the subspace that not all share", holds="flags"
        ),
        "common": Variable(("sigma", "channel"), "channels that all subspaces of the tap share", holds="flags"),
        "basis": Variable(
            ("sigma", "subspace", "component", "channel"), "orthonormal basis of each tap, NaN beyond the dimension"
        ),
        "angle": Variable(PAIR, "smallest principal angle", "rad"),
        "angle_mean": Variable(PAIR, "mean principal angle", "rad"),
        "evidence": Variable((*PLACE, "number"), "evidence for so many groups", "nats"),
    },
    coords=COORDS,
    source="subspaces.fit",
)
SCORES = Findings(
    "subspaces",
    {
        "accuracy": Variable(PLACE, "share of images in the right subspace, under the best renaming"),
        "nmi": Variable(PLACE, "normalised mutual information"),
        "support_f1": Variable(PLACE, "F1 score of all (subspace, channel) pairs, after renaming"),
        "number_right": Variable(PLACE, "whether the number of subspaces is right", holds="flags"),
        "preserving_error": Variable(
            PLACE,
            "mean share of absolute coefficients that express an image by images of other subspaces",
            optional=True,
        ),
    },
    coords=COORDS,
    source="subspaces.score",
)


@ACTIVE.described
def active_sets(data: xr.Dataset, *, rate: float = 0.05, fit_images: int = FIT_IMAGES, seed: int = 0) -> xr.Dataset:
    """Which channels are above rest on each image.

    One-sided t-tests of (phi − rest)/√(phi_se² + rest_se²), with variances moderated over images (Smyth, 2004);
    within each image at most a share `rate` of the channels found is expected to be at rest (Benjamini & Hochberg,
    1995).
    Where phi_se is missing or NaN, the spread below rest stands in for the error, as it would be if the
    channel were at rest on many images; where rest is missing, the median over images stands in for it.

    Parameters
    ----------
    data
        What a tap returns.
    rate
        False discovery rate, in (0, 1).
    fit_images, seed
        Variances are moderated, and what stands in for errors or rest is found, over at most so many images, 20 at
        least, drawn by id and seed; and the seed.

    Returns
    -------
    Dataset
        {findings}

        The attributes `rest_from` and `error_from` say what was used, `images_fitted` of how many images.

    Raises
    ------
    InputError
        If the data cannot be used or `rate` is no rate.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(50, noise=0.02)
    >>> found = active_sets(data).active.isel(sigma=0)
    >>> float((found & truth.active).sum() / truth.active.sum()) > 0.95
    True
    """
    rate = checks.plain(rate)
    data = check(data, rate)
    learnt = learnt_from(data, check_fit_images(fit_images), checks.seeded(seed))
    found = np.zeros(data.phi.shape, bool)
    every = list(scales(learnt.data, "active sets"))
    for rows, phi, se in parts(data if learnt.chosen is not None else learnt.data):
        for scale in every:
            found[rows, scale.level, scale.channels] = scale.above(phi, se).active(rate)
    return ACTIVE.label(
        {"active": found}, data, rate=rate, images_fitted=learnt.data.sizes["image"], **sources(learnt.data)
    )


@FITTED.described
def fit(
    data: xr.Dataset,
    *,
    n_subspaces: int | None = None,
    method: str = "coordinate",
    max_subspaces: int = MOST_SUBSPACES,
    rate: float = 0.05,
    splits: int = SPLITS,
    clusters: str | None = None,
    fit_images: int = FIT_IMAGES,
    seed: int = 0,
) -> xr.Dataset:
    """Sort images into subspaces, at every tap and noise level.

    "coordinate" groups active sets: a mixture whose number of groups has the largest integrated classification
    likelihood (Biernacki, Celeux & Govaert, 2010), groups with nested supports being one subspace. "linear"
    expresses images by few others (sparse subspace clustering by orthogonal matching pursuit, You, Robinson & Vidal,
    2016) and merges groups by the evidence for linear subspaces of any orientation. Both learn from landmarks
    (4,000 and 1,000 images), and then take all images up to `fit_images`. Of more, so many are fitted, and all are then
    sorted some at a time, so that time grows in proportion to images and memory does not: what is said of subspaces,
    dimensions and supports too, and how far the answer repeats is then of the images fitted, `subspace`, `certainty`
    and `size` of all.

    Tests promise that "coordinate" finds subspaces of at least 3 channels, of at least 25 images each and 50 on
    average, whose supports overlap by half at most (not at all if there are two), when the error is at most a tenth
    of the mean activity, or a fiftieth if channels of a support vary together. Of answers of confidence ≥ 0.9, 95 %
    have the right number and at most 5 % of images misplaced: there, with more noise, fewer images or smaller
    supports, with supports that share most of their channels or are random sets of a few, when all channels of an
    image share a random gain, and when the rest is off by a constant. Two subspaces of one support are one, and one
    within another is part of it: no number of images tells more.

    Parameters
    ----------
    data
        What a tap returns, of at least 20 images.
    n_subspaces
        Number of subspaces; by default found. Fewer come back where fewer differ.
    method
        "coordinate" or "linear".
    max_subspaces
        Largest number of groups tried.
    rate
        False discovery rate of active channels, in (0, 1).
    splits
        How often images are split in halves to see whether the answer repeats.
    clusters
        Coordinate along `image`, such as "label", for images that are not independent, as crops of one photograph:
        subspaces are learnt, and halves split, from one image of each of 20 or more groups, and all are then sorted.
        By default images are independent.
    fit_images
        At most so many images, 20 at least, are fitted, drawn by id and seed: a sample of images, not of groups.
    seed
        Of the images fitted, landmarks, first seeds and splits.

    Returns
    -------
    Dataset
        {findings}

        At one tap and noise level `subspace` and `certainty` are (image) alone. Attr `images_fitted` says how many
        images were fitted. `held` is (h − s)/(1 − s) of the share
        h of energy inside the subspaces and s inside as many random dimensions; common channels that lie above rest by
        a mere constant do not count. `certainty` is 0 for an image whose active channels belong together but not all to
        the subspace. Nothing vouches for answers of "linear": it needs many more landmarks in each subspace than that
        has dimensions, and may else return their span. Of a single subspace all channels are common.

    Raises
    ------
    InputError
        If the data or an option cannot be used.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> score(fit(data), truth).accuracy.item()
    1.0
    """
    numbers = None
    if n_subspaces is not None:
        data = check(data, rate, images=MIN_IMAGES)
        members = grouped(data, clusters)
        most = data.sizes["image"] if members is None else int(members.max()) + 1
        most = min(most, check_fit_images(fit_images)) // 2
        numbers = np.full((1, 1), checks.whole("n_subspaces", n_subspaces, least=1, most=most))
    search = kernels_fit.Search(method, None, max_subspaces, splits, seed)
    return fitted(data, search, rate, numbers, clusters, fit_images)


def fitted(
    data: xr.Dataset,
    search: kernels_fit.Search,
    rate: float,
    numbers: np.ndarray | None,
    clusters: str | None,
    fit_images: int = FIT_IMAGES,
) -> xr.Dataset:
    """`fit` with a number of subspaces for each noise level and tap, (sigma, block) or what broadcasts to it."""
    rate = checks.plain(rate)
    data = check(data, rate, images=MIN_IMAGES)
    search = search._make(map(checks.plain, search))
    checks.seeded(search.seed)
    checks.choice("method", search.method, METHODS)
    checks.whole("max_subspaces", search.most, least=1)
    repeats("splits", search.splits, least=0)
    fit_images = check_fit_images(fit_images)
    grouped(data, clusters)
    learnt = learnt_from(data, fit_images, search.seed)
    members = grouped(learnt.data, clusters)
    shape = data.sizes["sigma"], len(labels.blocks(data))
    wanted = None if numbers is None else np.broadcast_to(numbers, shape)
    fits: dict[tuple[int, int], kernels_fit.Fit] = {}
    every = []
    for scale in scales(learnt.data, "subspaces"):
        at, response = (scale.level, scale.block), scale.above(*measured(learnt.data))
        here = search if wanted is None else search._replace(number=int(wanted[at]))
        active = response.active(rate)
        fits[at] = kernels_fit.fit(response.x, response.noise, active, here, shifted=response.shifted, members=members)
        every.append(scale)
    if learnt.chosen is not None:
        fits = _all_sorted(data, every, fits, rate)
    values = _arrays(data, fits)
    found = FITTED.label(
        values,
        data,
        coords={"block": labels.blocks(data), "number": np.arange(1, values["evidence"].shape[-1] + 1)},
        method=search.method,
        max_subspaces=search.most,
        rate=rate,
        splits=search.splits,
        clusters=clusters or "none: images are independent",
        images_fitted=learnt.data.sizes["image"],
        **sources(learnt.data),
        analysis_seed=search.seed,
    )
    if shape != (1, 1):
        return found
    return found.assign({name: found[name].variable.isel(sigma=0, block=0) for name in ("subspace", "certainty")})


def _all_sorted(
    data: xr.Dataset, every: list[Scale], fits: dict[tuple[int, int], kernels_fit.Fit], rate: float
) -> dict[tuple[int, int], kernels_fit.Fit]:
    """Fits to some images with all images sorted into their subspaces, some at a time."""
    found = {at: (np.empty(data.sizes["image"], int), np.empty(data.sizes["image"])) for at in fits}
    for rows, phi, se in parts(data):
        for scale in every:
            at, response = (scale.level, scale.block), scale.above(phi, se)
            sorter = fits[at].sorter
            assert sorter is not None
            subspace, certainty = found[at]
            subspace[rows], certainty[rows] = sorter.assign(response.x, response.active(rate))
    return {at: fit.of_all(*found[at]) for at, fit in fits.items()}


def fitted_part(data: xr.Dataset, findings: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The images that findings of `fit` were fitted to, in memory, and what was found of them.

    Raises
    ------
    InputError
        If the findings do not say which these are.
    """
    count = data.sizes["image"]
    said = {name: findings.attrs.get(name) for name in ("images_fitted", "analysis_seed")}
    few = count
    if said["images_fitted"] is not None:
        few = checks.whole("images_fitted of the findings", said["images_fitted"], least=MIN_IMAGES)
    if few < count and said["analysis_seed"] is None:
        raise InputError("the findings lost their attribute analysis_seed: give what subspaces.fit returned")
    learnt = learnt_from(data, few, 0 if few >= count else checks.seeded(said["analysis_seed"]))
    if learnt.chosen is None:
        return learnt.data, findings
    return learnt.data, findings.isel(image=learnt.chosen)


def _arrays(data: xr.Dataset, fits: dict[tuple[int, int], kernels_fit.Fit]) -> dict[str, Any]:
    """Values of findings from fits by (sigma, block)."""
    shape = data.sizes["sigma"], len(labels.blocks(data))
    images, channels = data.sizes["image"], data.sizes["channel"]
    most = max(len(f.support) for f in fits.values())
    wide = max(1, *(len(b) for f in fits.values() for b in f.bases))
    tried = max(max(f.evidence) for f in fits.values())
    values: dict[str, Any] = {
        "subspace": np.zeros((images, *shape), int),
        "certainty": np.zeros((images, *shape)),
        "n_subspaces": np.zeros(shape, int),
        **{name: np.zeros(shape) for name in ("agreement", "held", "confidence")},
        **{name: np.zeros((*shape, most), int) for name in ("size", "dimension")},
        "support": np.zeros((shape[0], most, channels), bool),
        "common": np.zeros((shape[0], channels), bool),
        "basis": np.full((shape[0], most, wide, channels), np.nan, np.float32),
        **{name: np.full((*shape, most, most), np.nan) for name in ("angle", "angle_mean")},
        "evidence": np.full((*shape, tried), np.nan),
    }
    for site in labels.sites(data):
        at, own = (site.level, site.block), site.channels
        f = fits[at]
        k = len(f.support)
        values["subspace"][:, *at], values["certainty"][:, *at] = f.labels, f.certainty
        for name in ("agreement", "held", "confidence"):
            values[name][at] = getattr(f, name)
        values["n_subspaces"][at] = k
        values["size"][at][:k] = np.bincount(f.labels, minlength=k)
        values["dimension"][at][:k] = [len(b) for b in f.bases]
        values["support"][site.level, :k, own], values["common"][site.level, own] = f.support.T, f.common
        for j, b in enumerate(f.bases):
            values["basis"][site.level, j, : len(b), own] = b.T
        for name, angles in zip(("angle", "angle_mean"), kernels_fit.angles(f.bases), strict=True):
            values[name][at][:k, :k] = angles
        for number, value in f.evidence.items():
            values["evidence"][*at, number - 1] = value
    return values


def check_fitted(data: xr.Dataset, findings: xr.Dataset) -> xr.Dataset:
    """The data as it is analysed; refuses findings that are not of `fit`, or of other data."""
    data = check(data, images=MIN_IMAGES)
    if not isinstance(findings, xr.Dataset) or "subspace" not in findings or "n_subspaces" not in findings:
        raise InputError("the findings have no subspaces: give what subspaces.fit or subspaces.analyse returned")
    findings = FITTED.taken(
        findings,
        "subspace",
        "n_subspaces",
        "support",
        "common",
        dims=("image", *PLACE, "subspace", "channel"),
        attrs=("rate",),
    )
    checks.fraction("rate of the findings", findings.attrs["rate"], "what subspaces.fit or subspaces.analyse returned")
    if (findings["n_subspaces"] > findings.sizes["subspace"]).any() or not (findings["n_subspaces"] > 0).all():
        raise InputError("the findings have other subspaces than they count: give what subspaces.fit returned, whole")
    if labels.blocks(data) != labels.strings(findings["block"].values).tolist():
        raise InputError("data and findings differ along block: give the data that was fitted, as it was")
    check_same_network(findings, data, ("the findings", "the data"))
    for name in ("image", "sigma", "channel", "tap", "unit"):
        one, other = findings[name].values, data[name].values
        if name in ("image", "tap"):
            one, other = labels.strings(one), labels.strings(other)
        if not np.array_equal(one, other):
            raise InputError(f"data and findings differ along {name}: give the data that was fitted, as it was")
    return data


def subspace_of(findings: xr.Dataset, level: int, block: int) -> np.ndarray:
    """Subspace of each image at one noise level and tap."""
    values = findings.subspace.values
    return values if values.ndim == 1 else values[:, level, block]


@SCORES.described
def score(findings: xr.Dataset, truth: xr.Dataset, *, data: xr.Dataset | None = None) -> xr.Dataset:
    """How right an answer is.

    Parameters
    ----------
    findings
        What `fit` or `analyse` returned.
    truth
        subspace (image), support (subspace, channel), as `probekit.synthetic.subspaces` gives it.
    data
        What was fitted, for the subspace-preserving error of its self-expression (Soltanolkotabi & Candès, 2012).

    Returns
    -------
    Dataset
        {findings}

        All numbers in [0, 1]; `preserving_error` with `data` only.

    Raises
    ------
    InputError
        If the two are not of the same images.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> score(fit(data), truth).support_f1.item()
    1.0
    """
    held = checks.instance("truth", truth, xr.Dataset, "what probekit.synthetic.subspaces made").variables
    lacking = [name for name in ("subspace", "support") if name not in held]
    if lacking:
        raise InputError(f"the truth lacks {', '.join(lacking)}: give what probekit.synthetic.subspaces made")
    if not isinstance(findings, xr.Dataset) or "n_subspaces" not in findings:
        raise InputError("the findings have no subspaces: give what subspaces.fit or subspaces.analyse returned")
    findings = FITTED.taken(findings, "n_subspaces", "support")
    if truth["subspace"].dims != ("image",) or truth["support"].dims != ("subspace", "channel"):
        raise InputError("the truth has other dims: give what probekit.synthetic.subspaces made")
    if not np.array_equal(labels.strings(findings.image.values), labels.strings(truth.image.values)):
        raise InputError("findings and truth are of different images: give the truth of the data that was fitted")
    right = np.unique(truth.subspace.values, return_inverse=True)
    true, masks = right[1], by_channel(truth["support"], findings, "the truth").values[right[0]]
    shape = findings.n_subspaces.shape
    taps, names = labels.strings(findings.tap.values), labels.strings(findings.block.values)
    values = {name: np.full(shape, np.nan) for name in ("accuracy", "nmi", "support_f1")}
    error = np.full(shape, np.nan)
    for at in np.ndindex(*shape):
        own = subspace_of(findings, *at)
        rows, columns, table = kernels_fit.match(true, own)
        found = findings.support.values[at[0]]
        hits = sum(int((masks[r] & found[c]).sum()) for r, c in zip(rows, columns, strict=True))
        number = int(findings.n_subspaces.values[at])
        named = int(masks.sum()) + int(found[:number][:, taps == names[at[1]]].sum())
        values["accuracy"][at] = table[rows, columns].sum() / len(true)
        values["nmi"][at] = normalized_mutual_info_score(true, own)
        values["support_f1"][at] = 2 * hits / named if named else 1.0
    if data is not None:
        part, own = fitted_part(check_fitted(data, findings), findings.assign(true=("image", true)))
        chosen = labels.by_id(part)[:MOST_EXPRESSED]
        for response in responses(part, "scores"):
            x = response.x[chosen][:, ~findings.common.values[response.level, response.channels]]
            code = kernels_expression.omp(x, noise=kernels_expression.SLACK * response.noise)
            error[response.level, response.block] = kernels_expression.preserving_error(code, own.true.values[chosen])
    values["number_right"] = findings.n_subspaces.values == len(masks)
    if data is not None:
        values["preserving_error"] = error
    return SCORES.label(values, findings)
