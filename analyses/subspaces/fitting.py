"""Active sets and the subspaces that images share, and how right these are where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from sklearn.metrics import normalized_mutual_info_score

from analyses.ground import Findings, Variable
from analyses.subspaces import kernels_expression, kernels_fit
from analyses.subspaces.above_rest import MIN_IMAGES, above_rest, check, sources
from probekit import checks, labels
from probekit.errors import InputError

__all__ = [
    "ACTIVE",
    "BLOCK",
    "FIT",
    "SCORES",
    "active_sets",
    "check_fitted",
    "fit",
    "fit_numbers",
    "score",
    "sorted_at",
]

MOST_EXPRESSED = 1000
BLOCK = {"block": "block, by the tap at its output"}
SITE, PER_IMAGE = ("sigma", "block"), ("image", "sigma", "block")
ONE_SITE = "; of one tap at one noise level over images alone"
ACTIVE = Findings(
    "subspaces",
    {"active": Variable(("image", "sigma", "channel"), "whether the channel is above rest")},
    source="subspaces.active_sets",
)
FIT = Findings(
    "subspaces",
    {
        "subspace": Variable(PER_IMAGE, f"subspace of the image, 0 that of most images{ONE_SITE}"),
        "certainty": Variable(
            PER_IMAGE,
            "probability that the image is in that subspace, 0 where its active channels belong together but not all "
            f"to the subspace; NaN for linear{ONE_SITE}",
        ),
        "n_subspaces": Variable(SITE, "number of subspaces"),
        "agreement": Variable(SITE, "how far random halves of the images give the same answer"),
        "held": Variable(
            SITE,
            "energy above rest inside the subspaces beyond that inside as many random dimensions, (h − s)/(1 − s)",
        ),
        "confidence": Variable(SITE, "agreement × held × (mean certainty)²; NaN for linear"),
        "size": Variable((*SITE, "subspace"), "number of images; 0 stands for no subspace"),
        "dimension": Variable((*SITE, "subspace"), "dimensions of the subspace"),
        "support": Variable(("sigma", "subspace", "channel"), "channels of the subspace that not all share"),
        "common": Variable(("sigma", "channel"), "channels that all subspaces of the tap share"),
        "basis": Variable(
            ("sigma", "subspace", "component", "channel"),
            "orthonormal basis on the channels of each tap; NaN beyond the dimension",
        ),
        "angle": Variable((*SITE, "subspace", "other"), "smallest principal angle", "rad"),
        "angle_mean": Variable((*SITE, "subspace", "other"), "mean principal angle", "rad"),
        "evidence": Variable((*SITE, "number"), "evidence for so many groups", "nats"),
    },
    coords={**BLOCK, "number": "number of groups tried"},
    source="subspaces.fit",
)
SCORES = Findings(
    "subspaces.score",
    {
        "accuracy": Variable(SITE, "share of images in the right subspace, under the best renaming"),
        "nmi": Variable(SITE, "normalised mutual information of subspaces found and true"),
        "support_f1": Variable(SITE, "F1 score of all pairs of subspace and channel, after renaming"),
        "number_right": Variable(SITE, "whether the number of subspaces is right"),
        "preserving_error": Variable(
            SITE,
            "mean share of absolute coefficients that express an image by images of other subspaces",
            optional=True,
        ),
    },
    coords=BLOCK,
)


@ACTIVE.described
def active_sets(data: xr.Dataset, *, rate: float = 0.05) -> xr.Dataset:
    """Find the channels that are above rest on each image.

    One-sided t-tests of (phi − rest)/√(phi_se² + rest_se²), with variances moderated over images (Smyth, 2004);
    within each image at most a share `rate` of the channels found is expected to be at rest (Benjamini & Hochberg,
    1995). Where phi_se is missing or NaN, the spread below rest stands in for the error, as it would be if the
    channel were at rest on many images; where rest is missing, the median over images stands in for it.

    Parameters
    ----------
    data
        What a tap returns.
    rate
        False discovery rate, in (0, 1).

    Returns
    -------
    Dataset
        {findings}

        The attrs `rest_source` and `error_source` say what was used.

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
    check(data, rate)
    found = np.zeros(data.phi.shape, bool)
    for here in above_rest(data):
        found[:, here.site.level, here.site.channels] = here.active(rate)
    return ACTIVE.label({"active": found}, data, rate=rate, **sources(data))


@FIT.described
def fit(
    data: xr.Dataset,
    *,
    n_subspaces: int | None = None,
    method: str = "coordinate",
    max_subspaces: int = 32,
    rate: float = 0.05,
    splits: int = 4,
    seed: int = 0,
) -> xr.Dataset:
    """Sort images into subspaces, at every tap and noise level.

    "coordinate" groups active sets: a mixture whose number of groups has the largest integrated classification
    likelihood (Biernacki, Celeux & Govaert, 2010), groups with nested supports being one subspace. "linear"
    expresses images by few others (sparse subspace clustering by orthogonal matching pursuit, You, Robinson & Vidal,
    2016) and merges groups by the likelihood of linear subspaces of any orientation. Both learn from landmarks
    (4,000 and 1,000 images) and then take all images, so that time grows in proportion to images.

    Where tests promise that "coordinate" finds the subspaces, and that answers of confidence ≥ 0.9 are right, is in
    docs/calibration.md. Two subspaces of one support are one, and one within another is part of it, however many
    images there are. Nothing vouches for the answers of "linear": each subspace needs many more landmarks than it has
    dimensions, or their span may be returned.

    Parameters
    ----------
    data
        What a tap returns, of at least 20 images.
    n_subspaces
        Number of subspaces, up to half the number of images; by default found. Fewer come back where fewer differ.
    method
        "coordinate" or "linear".
    max_subspaces
        Largest number of groups tried, ≥ 1.
    rate
        False discovery rate of active channels, in (0, 1).
    splits
        How often images are split in halves to see whether the answer repeats, ≥ 0.
    seed
        Of landmarks, first seeds and splits, ≥ 0.

    Returns
    -------
    Dataset
        {findings}

        In `held`, common channels that are above rest by a mere constant do not count. All channels of a single
        subspace are common.

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
    check(data, rate, images=MIN_IMAGES)
    numbers = None
    if n_subspaces is not None:
        # Half of the images at most, so that each subspace may have two.
        numbers = np.full((1, 1), checks.whole("n_subspaces", n_subspaces, least=1, most=data.sizes["image"] // 2))
    return fit_numbers(data, numbers, method=method, max_subspaces=max_subspaces, rate=rate, splits=splits, seed=seed)


def fit_numbers(
    data: xr.Dataset,
    numbers: np.ndarray | None,
    *,
    method: str,
    max_subspaces: int,
    rate: float,
    splits: int,
    seed: int,
) -> xr.Dataset:
    """`fit` with a number of subspaces for each noise level and tap, (sigma, block) or what broadcasts to it."""
    checks.choice("method", method, kernels_fit.METHODS)
    checks.whole("max_subspaces", max_subspaces, least=1)
    checks.whole("splits", splits, least=0)
    checks.seeded(seed)
    shape = data.sizes["sigma"], len(labels.blocks(data))
    given = None if numbers is None else np.broadcast_to(numbers, shape)
    answers: dict[tuple[int, int], kernels_fit.Answer] = {}
    for here in above_rest(data):
        wanted = kernels_fit.Wanted(None if given is None else int(given[here.at]), max_subspaces)
        answers[here.at] = kernels_fit.fit(here.activity(rate), wanted, method=method, splits=splits, seed=seed)
    options = {"method": method, "max_subspaces": max_subspaces, "rate": rate, "splits": splits, **sources(data)}
    return _labelled(data, answers, {**options, "analysis_seed": seed})


def _labelled(
    data: xr.Dataset, answers: Mapping[tuple[int, int], kernels_fit.Answer], options: Mapping[str, Any]
) -> xr.Dataset:
    """Findings from answers by positions of noise level and tap."""
    images, channels, sigmas = data.sizes["image"], data.sizes["channel"], data.sizes["sigma"]
    parts = {at: answer.partition for at, answer in answers.items()}
    shape = sigmas, len(labels.blocks(data))
    most = max(len(p.support) for p in parts.values())
    wide = max(1, *(len(b) for p in parts.values() for b in p.bases))
    tried = max(max(p.evidence) for p in parts.values())
    made = {
        "subspace": np.zeros((images, *shape), int),
        "certainty": np.zeros((images, *shape)),
        "n_subspaces": np.zeros(shape, int),
        **{name: np.zeros(shape) for name in ("agreement", "held", "confidence")},
        **{name: np.zeros((*shape, most), int) for name in ("size", "dimension")},
        "support": np.zeros((sigmas, most, channels), bool),
        "common": np.zeros((sigmas, channels), bool),
        "basis": np.full((sigmas, most, wide, channels), np.nan, np.float32),
        **{name: np.full((*shape, most, most), np.nan) for name in ("angle", "angle_mean")},
        "evidence": np.full((*shape, tried), np.nan),
    }
    for site in labels.sites(data):
        at, own = (site.level, site.block), site.channels
        answer, p = answers[at], parts[at]
        k = len(p.support)
        made["subspace"][:, *at], made["certainty"][:, *at], made["n_subspaces"][at] = p.labels, p.certainty, k
        for name in ("agreement", "held", "confidence"):
            made[name][at] = getattr(answer, name)
        made["size"][at][:k] = np.bincount(p.labels, minlength=k)
        made["dimension"][at][:k] = [len(b) for b in p.bases]
        made["support"][site.level, :k, own], made["common"][site.level, own] = p.support.T, p.common
        for j, b in enumerate(p.bases):
            made["basis"][site.level, j, : len(b), own] = b.T
        made["angle"][at][:k, :k], made["angle_mean"][at][:k, :k] = kernels_fit.angles(p.bases)
        made["evidence"][at][[number - 1 for number in p.evidence]] = list(p.evidence.values())
    coords = {"block": labels.blocks(data), "number": np.arange(1, tried + 1)}
    found = FIT.label(made, data, coords=coords, **options)
    if shape != (1, 1):
        return found
    return found.assign({name: found[name].isel(sigma=0, block=0, drop=True) for name in ("subspace", "certainty")})


def sorted_at(findings: xr.Dataset, at: tuple[int, int]) -> np.ndarray:
    """Subspace of each image at one noise level and tap."""
    values = findings.subspace.values
    return values if values.ndim == 1 else values[:, *at]


def check_fitted(data: xr.Dataset, findings: xr.Dataset) -> None:
    """Refuse what is not the data and the findings of a fit to them."""
    check(data, images=MIN_IMAGES)
    _check_fit(findings)
    for name in ("image", "sigma", "channel"):
        one, other = findings[name].values, data[name].values
        if name == "image":
            one, other = labels.strings(one), labels.strings(other)
        if not np.array_equal(one, other):
            raise InputError(f"data and findings differ along {name}: give the data that was fitted, as it was")


def _check_fit(findings: Any) -> None:
    needed = ("subspace", "n_subspaces", "support", "common")
    FIT.check(findings, *needed, dims=("image", *SITE, "channel"), attrs=("rate",))


@SCORES.described
def score(findings: xr.Dataset, truth: xr.Dataset, *, data: xr.Dataset | None = None) -> xr.Dataset:
    """Say how right an answer is.

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
        All in [0, 1]; the last with `data` only.

        {findings}

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
    lacking = [n for n in ("subspace", "support") if not isinstance(truth, xr.Dataset) or n not in truth]
    if lacking:
        raise InputError(f"the truth lacks {', '.join(lacking)}: give what probekit.synthetic.subspaces made")
    _check_fit(findings)
    if not np.array_equal(labels.strings(findings.image.values), labels.strings(truth.image.values)):
        raise InputError("findings and truth are of different images: give the truth of the data that was fitted")
    present, true = np.unique(truth.subspace.values, return_inverse=True)
    masks = truth.support.values[present]
    shape = findings.n_subspaces.shape
    made = {name: np.full(shape, np.nan) for name in ("accuracy", "nmi", "support_f1")}
    made["number_right"] = findings.n_subspaces.values == len(masks)
    for site in labels.sites(findings):
        at = site.level, site.block
        own = sorted_at(findings, at)
        ones, others, table = kernels_fit.match(true, own)
        support = findings.support.values[site.level]
        hits = sum(int((masks[one] & support[other]).sum()) for one, other in zip(ones, others, strict=True))
        pairs = int(masks.sum()) + int(support[: int(findings.n_subspaces.values[at])][:, site.channels].sum())
        made["accuracy"][at] = table[ones, others].sum() / len(true)
        made["nmi"][at] = normalized_mutual_info_score(true, own)
        made["support_f1"][at] = 2 * hits / pairs if pairs else 1.0
    if data is not None:
        check_fitted(data, findings)
        made["preserving_error"] = _preserving_error(data, findings, true)
    return SCORES.label(made, findings[[]].drop_attrs(), coords={"block": findings.block})


def _preserving_error(data: xr.Dataset, findings: xr.Dataset, true: np.ndarray) -> np.ndarray:
    chosen = labels.by_id(data)[:MOST_EXPRESSED]
    error = np.full(findings.n_subspaces.shape, np.nan)
    for here in above_rest(data):
        x = here.x[chosen][:, ~findings.common.values[here.site.level, here.site.channels]]
        code = kernels_expression.omp(x, noise=kernels_expression.SLACK * here.noise)
        error[here.at] = kernels_expression.preserving_error(code, true[chosen])
    return error
