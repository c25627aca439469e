"""Whether φ lies in a union of subspaces: sparse sets of channels that depend on the image.

Claim 4 of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912), taken apart: which channels an image raises above
rest (`active_sets`), which subspaces images share (`fit`), how much the sets overlap (`overlap`), what the subspaces
explain of held-out images (`explained_variance`), and how many dimensions φ has at all (`intrinsic_dimension`).
`analyse` does them all; `score` compares an answer with a known truth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses import ground
from analyses.ground import variable
from analyses.subspaces import kernels_fit
from analyses.subspaces.above_rest import MIN_IMAGES, blocks, check, shuffled, sites, sources
from analyses.subspaces.figure import plot
from analyses.subspaces.judgement import (
    against,
    explained,
    explained_variance,
    intrinsic_dimension,
    overlap,
    usable_ranks,
)
from analyses.subspaces.labelled import labelled
from analyses.subspaces.score import score
from probekit.checks import resampling, seeded
from probekit.errors import InputError

__all__ = [
    "active_sets",
    "analyse",
    "explained_variance",
    "fit",
    "intrinsic_dimension",
    "main",
    "overlap",
    "plot",
    "score",
]

METHODS = ("coordinate", "linear")


def analyse(
    data: xr.Dataset,
    *,
    n_subspaces: int | None = None,
    method: str = "coordinate",
    max_subspaces: int = 32,
    ranks: Sequence[int] = (1, 2, 4, 8, 16),
    rate: float = 0.05,
    splits: int = 4,
    resamples: int = 1000,
    dimensions: bool = True,
    seed: int = 0,
) -> xr.Dataset:
    """Look for a union of subspaces in φ, at every tap and noise level, and judge it.

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
        What `fit`, `overlap`, `explained_variance` and `intrinsic_dimension` return, together; and the same of a
        control with every channel permuted over images, found with as many subspaces: overlap_gap_shuffled,
        gain_shuffled and gain_over_shuffled, the difference of the two gains, each with _low and _high.

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
    options: dict[str, Any] = {"method": method, "max_subspaces": max_subspaces, "rate": rate, "seed": seed}
    # Before the fit, which takes time.
    check(data, rate, images=MIN_IMAGES)
    resampling(resamples, 0.95)
    usable_ranks(data, ranks)
    found = fit(data, n_subspaces=n_subspaces, splits=splits, **options)
    held_out, drawn = explained(data, found, ranks, resamples, seed)
    parts = [found, overlap(data, found, seed=seed), held_out]
    if dimensions:
        parts.append(intrinsic_dimension(data, seed=seed))
    permuted = shuffled(data, seed)
    control = _fit(permuted, found.n_subspaces.values, splits=0, **options)
    parts.append(against(held_out, drawn, *explained(permuted, control, ranks, resamples, seed + 1)))
    gap = overlap(permuted, control, seed=seed)[["overlap_gap", "overlap_gap_low", "overlap_gap_high"]]
    parts.append(gap.rename({name: str(name).replace("gap", "gap_shuffled") for name in gap}))
    merged = xr.merge([part.drop_attrs(deep=False) for part in parts], compat="override", join="outer")
    return merged.assign_attrs(found.attrs)


def active_sets(data: xr.Dataset, *, rate: float = 0.05) -> xr.Dataset:
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

    Returns
    -------
    Dataset
        active (image, sigma, channel), boolean; attrs `rest_from` and `error_from` say what was used.

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
    for site in sites(data):
        found[:, site.level, site.channels] = site.active(rate)
    made = {"active": variable(data.phi.dims, found, "whether the channel is above rest")}
    return ground.findings(made, data, analysis="subspaces", coords=None, rate=rate, **sources(data))


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
    2016) and merges groups by the evidence for linear subspaces of any orientation. Both learn from landmarks
    (4,000 and 1,000 images) and then take all images, so that time grows in proportion to images.

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
    seed
        Of landmarks, first seeds and splits.

    Returns
    -------
    Dataset
        subspace and certainty, (image) at one tap and noise level, else (image, sigma, block), the block being the
        tap: number of the subspace, 0 being that of most images, and its posterior probability. n_subspaces,
        agreement, held, confidence (sigma, block): the number found; how far random halves of the images give the
        same answer; how much more of the energy above rest lies inside the subspaces than inside as many random
        dimensions, (h − s)/(1 − s), common channels that are above rest by a mere constant not counted; product
        of these and the square of the mean certainty, which lets 5 % of images be misplaced at 0.9.
        certainty is 0 for an image whose active channels belong together but not all to the subspace.
        certainty and confidence are NaN for "linear", whose answers nothing vouches for: it needs many more
        landmarks in each subspace than that has dimensions, and may else return their span.
        size, dimension (sigma, block, subspace); a size of 0 stands for no subspace. support (sigma, subspace,
        channel), common (sigma, channel): channels of one subspace or some, and of all; of a single subspace all
        channels are common. basis (sigma, subspace, component, channel): orthonormal on the channels of each tap,
        NaN beyond the dimension. angle, angle_mean (sigma, block, subspace, other): smallest and mean principal
        angle, in radians. evidence (sigma, block, number): in nats, by number of groups tried.

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
        check(data, rate, images=MIN_IMAGES)
        numbers = np.full((1, 1), _number(data, n_subspaces))
    return _fit(data, numbers, method=method, max_subspaces=max_subspaces, rate=rate, splits=splits, seed=seed)


def _fit(
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
    check(data, rate, images=MIN_IMAGES)
    seeded(seed)
    _check_options(method, max_subspaces, splits)
    fits: dict[tuple[int, int], kernels_fit.Fit] = {}
    shape = data.sizes["sigma"], len(blocks(data))
    wanted = None if numbers is None else np.broadcast_to(numbers, shape)
    for site in sites(data):
        number = None if wanted is None else int(wanted[site.level, site.block])
        options: dict[str, Any] = {"method": method, "number": number, "most": max_subspaces, "splits": splits}
        fits[site.level, site.block] = kernels_fit.fit(
            site.x, site.noise, site.active(rate), seed=seed, shifted=site.shifted, **options
        )
    attrs = {"method": method, "max_subspaces": max_subspaces, "rate": rate, "splits": splits, **sources(data)}
    attrs["seed_of_analysis"] = seed
    return labelled(data, fits, attrs)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def _check_options(method: str, max_subspaces: int, splits: int) -> None:
    if method not in METHODS:
        raise InputError(f"method={method!r}: give one of {', '.join(map(repr, METHODS))}")
    for name, value, least in (("max_subspaces", max_subspaces, 1), ("splits", splits, 0)):
        if not _is_whole(value, least):
            raise InputError(f"{name}={value!r}: give a whole number ≥ {least}")


def _number(data: xr.Dataset, given: int) -> int:
    most = data.sizes["image"] // 2
    if not _is_whole(given, 1) or given > most:
        raise InputError(
            f"n_subspaces={given!r}: give 1 to {most}, half the number of images, or None to have it found"
        )
    return given


def main(arguments: list[str] | None = None) -> int:
    """Run the analysis on a store or file: ``python -m analyses.subspaces phi.zarr -o out/``."""
    return ground.legacy_run(
        analyse,
        plot,
        name="subspaces",
        description="Look for a union of subspaces in φ.",
        options=_options,
        arguments=arguments,
    )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n-subspaces", type=int, help="number of subspaces (default: found)")
    parser.add_argument("--method", choices=METHODS, default="coordinate", help="kind of subspace")
    parser.add_argument("--no-dimensions", dest="dimensions", action="store_false", help="skip intrinsic dimensions")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")


if __name__ == "__main__":
    sys.exit(main())
