"""Whether one representation's clusters are nearer to the classes than another's."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.stats import norm

from analyses.clusters import kernels_agreement
from analyses.clusters.analyse import FINDINGS, TEXTS
from analyses.ground import Estimate, Findings, Variable, resampling
from probekit import labels
from probekit.errors import InputError

__all__ = ["COMPARED", "compare"]

PLACE = ("sigma", "block", "other_block")
COMPARED = Findings(
    "clusters.compare",
    {
        name: Variable(PLACE, f"{text}: the first's less the second's", interval="paired halves of the images")
        for name, text in TEXTS.items()
    },
    coords={"other_block": "block of the second, by the tap at its output"},
)


@COMPARED.described
def compare(
    first: xr.Dataset,
    second: xr.Dataset,
    *,
    label: str = "label",
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Whether one representation's clusters are nearer to the classes than another's, on the same images.

    Parameters
    ----------
    first, second
        What `analyse` returned for both, on the same images in any order. Noise levels must be the same, unless
        `second` has one only, which is then compared with all.
    label
        Coordinate with the classes, which both must have, and the same.
    resamples, level, seed
        Of the halves of images, the same for both, whence differences are paired.

    Returns
    -------
    Dataset
        {findings}

        nmi and purity grow with the number of clusters: compare them at equal numbers.

    Raises
    ------
    InputError
        If these are no findings of `analyse`, lack the classes or differ in them, or are of different images or noise
        levels.

    Examples
    --------
    >>> from analyses.clusters import analyse
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(100, n_channels=30, n_subspaces=3)
    >>> data = data.assign_coords(label=("image", truth.subspace.values.astype(str)))
    >>> three, two = analyse(data, n_clusters=3), analyse(data, n_clusters=2)
    >>> bool(compare(three, two).ami_low > 0)
    True
    """
    resamples, level, seed = resampling(resamples, level, seed)
    own, other = (_checked(of, given, label) for of, given in (("first", first), ("second", second)))
    _check_paired(own, other, label)
    y = np.unique(labels.classes(own, label), return_inverse=True)[1]
    chosen = kernels_agreement.halves(len(y), resamples, seed)
    scored = [_scored(given["assignment"].values, y, chosen) for given in (own, other)]
    whole, half = (a[:, :, :, None] - b[:, :, None, :] for a, b in zip(*scored, strict=True))
    reach = norm.ppf((1 + level) / 2) * half.std(axis=0, ddof=1)
    ends = whole[0], whole[0] - reach, whole[0] + reach
    values = {name: Estimate(*(end[..., m] for end in ends)) for m, name in enumerate(kernels_agreement.MEASURES)}
    coords = {"other_block": ("other_block", other["block"].values)}
    return COMPARED.label(values, own, coords=coords, level=level, resamples=resamples, analysis_seed=seed)


def _checked(of: str, given: xr.Dataset, label: str) -> xr.Dataset:
    """Assignments in the order of ids."""
    if not isinstance(given, xr.Dataset) or "assignment" not in given:
        raise InputError(f"{of} lacks `assignment`: give what clusters.analyse returned")
    if given["assignment"].dims != ("image", "sigma", "block"):
        raise InputError(
            f"assignment of {of} has dims {given['assignment'].dims}: keep image, sigma and block, e.g. select "
            "with a list"
        )
    try:
        given = FINDINGS.taken(given, "assignment")
    except InputError as error:
        raise InputError(f"{of}: {error}") from error
    labels.check_ids(given, of=of)
    labels.classes(given, label, of=of)
    if not given["assignment"].size or int(given["assignment"].max()) >= given.sizes["image"]:
        raise InputError(f"{of} names more clusters than it has images: give what clusters.analyse returned")
    return given[["assignment"]].isel(image=labels.by_id(given))


def _check_paired(first: xr.Dataset, second: xr.Dataset, label: str) -> None:
    ids, others = (labels.strings(given["image"].values) for given in (first, second))
    if not np.array_equal(ids, others):
        raise InputError("the two are of different images: cluster the same, so that they can be paired")
    sigmas = first["sigma"].values, second["sigma"].values
    if len(sigmas[1]) != 1 and not np.array_equal(*sigmas):
        raise InputError(f"noise levels {sigmas[0]} and {sigmas[1]} differ: select the same")
    own, other = (labels.strings(given[label].values) for given in (first, second))
    differ = np.flatnonzero(own != other)
    if len(differ):
        i = differ[0]
        raise InputError(
            f"{label} of {len(differ)} images differs between the two, such as {ids[i]}, {own[i]!r} in the first "
            f"and {other[i]!r} in the second: compare both with the same classes"
        )


def _scored(cluster: np.ndarray, y: np.ndarray, chosen: kernels_agreement.Halves) -> tuple[np.ndarray, np.ndarray]:
    """Measures of all images and of halves, (1 or resamples, sigma, block, measure)."""
    _, sigmas, blocks = cluster.shape
    size = len(kernels_agreement.MEASURES)
    whole, half = np.empty((1, sigmas, blocks, size)), np.empty((len(chosen), sigmas, blocks, size))
    for s, b in np.ndindex(sigmas, blocks):
        own = cluster[:, s, b]
        shape = int(own.max()) + 1, int(y.max()) + 1
        whole[0, s, b] = kernels_agreement.measures(kernels_agreement.counts(own, y, shape))
        half[:, s, b] = kernels_agreement.half_samples(own, y, chosen)
    return whole, half
