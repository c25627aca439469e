"""Which channels respond to nearly every image and which to few: types of channel, under false-discovery control."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import beta, false_discovery_control

from analyses import ground
from analyses.ground import (
    check_errors,
    check_numbers,
    interval,
    variable,
)
from analyses.selectivity import kernels
from analyses.selectivity.figure import KINDS, plot
from probekit import labels
from probekit.checks import fraction, resampling, seeded
from probekit.errors import InputError

__all__ = ["FALSE_ALARM", "FEW", "KINDS", "NEARLY_NONE", "RARE", "analyse", "main", "plot"]

FALSE_ALARM, RARE, FEW, NEARLY_NONE = 0.001, 0.01, 0.5, 0.2
MIN_IMAGES = 20
BINS = 40
# Activities held in double precision at once.
CHUNK = 4_000_000


def analyse(
    data: xr.Dataset,
    *,
    fdr: float = 0.05,
    fdr_method: str = "bh",
    top: int = 16,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Tell silent, common and selective channels apart, at every tap and noise level.

    Common channels respond to nearly every image, with marginals over images close to Gaussian; selective ones
    are near rest on most images and large on few, heavy-tailed (Kadkhodaie, Mallat & Simoncelli,
    arXiv:2506.01912). Activity is a = φ − rest, rest being what the channel does on mid-grey in the same noise.
    Real channels fall below rest too, where images silence what noise excites: a departure in either direction is a
    response, but only one above rest can make a channel selective.

    On one image a channel is *clear* of rest when |a| exceeds 5 standard errors, *near* rest when it is within
    1, or within a tenth of the channel's typical response Σa²/Σ|a|, which is too little to count however precise;
    images between are undecided, fewer with more noise draws. Since few draws tell little of an image's error, and
    images differ in it, the variance is that of phi_se or its mean over the 20 images of nearest a, whichever is
    larger; of rest, that of rest_se or the mean around the image nearest to rest. Then, of a channel:

    - *silent*: not shown to be clear of rest on more than 1 image in 1000;
    - *selective*: shown to be so, and to be clearly above rest on fewer than half of the images, and to be
      closer to the heavy-tailed Laplace law than to the normal law (Vuong's test of their likelihoods),
      departures being above rest on the whole (Σ a|a| > 0);
    - *common*: shown to be clear of rest on more than 1 image in 1000, to be near rest on fewer than a fifth, and
      to be closer to the normal law;
    - *mixed*: it responds, and is not shown to be either.

    "Shown" is a test against the opposite; a conjunction's p-value is the largest of its parts'. p-values become
    q-values over the channels of each tap at each noise level.

    The false discovery rate of "selective" and of "common" is `fdr` at most where channels fit `fdr_method`, images are
    independent and errors normal, from 40 images and 2 draws on, also where the noise differs between images. To show
    which law is closer, not whether the marginal is exactly normal, keeps the answer from turning with the
    number of images. From few images of a skewed law Vuong's standard error is too small just where the tail happens to
    be missing; towards "common" it is therefore not taken below that of smooth laws for which neither is closer
    (exponential power, Student's t, gamma, inverse Gaussian, Weibull, lognormal). A law whose tail lies in fewer images
    than are given is still taken for what these show. A normal channel is closer to the normal law at p < 0.05 with
    power 16 % at 100 images, 41 % at 200, 87 % at 500 and 99.7 % at 1000. Noise that differs between images makes rest
    uncertain too: where its log standard deviation varies by 0.75, about 1 in 1000 channels of noise alone is found
    to respond, as a mixed one, at 2 draws, and 1 in 5000 at 4.

    Parameters
    ----------
    data
        phi (image, sigma, channel) of at least 20 images; rest, rest_se, phi_se and phi_draws where present. Images
        count as independent.
    fdr
        False discovery rate allowed for "selective" and for "common", in (0, 1).
    fdr_method
        "bh" (Benjamini & Hochberg; channels independent or positively dependent) or "by" (Benjamini & Yekutieli; any
        dependence).
    top
        Number of images kept that excite each channel most, ≥ 1.
    resamples, level, seed
        Number of resamples ≥ 100 of the bootstrap over channels, coverage in (0, 1) of all intervals, seed ≥ 0.

    Returns
    -------
    Dataset
        Over (sigma, channel): `type`; `confidence`, a lower bound on the probability of that answer, in
        [0, 1]: that all its criteria hold in the population of images ("silent": that fewer than 1 image
        in 100 is answered); `activity` (mean of a); `activity_fraction` and `below_fraction` (share of images
        clearly above and below rest), `near_fraction`; `lifetime_sparseness` (Vinje & Gallant, of max(a, 0));
        `skew` and `kurtosis` (excess), corrected for bias; `tail_statistic` (Vuong's, > 0: heavy-tailed);
        `p_selective`, `q_selective`, `p_common`, `q_common`, `p_response`, `q_response`; `reliability`
        1 − mean(phi_se²)/var(φ), cut off at 0, NaN without phi_se. `top_image` and `top_activity` add dim
        `rank`, `histogram` dim `bin` (between `activity_min` and `activity_max`).
        With several noise levels `rank_correlation` (Spearman) and `top_overlap` between them, (sigma,
        other_sigma, channel); with phi_draws both between even and odd draws, `draw_rank_correlation` and
        `draw_top_overlap` (sigma, channel).
        Over (sigma, block): `number` and `fraction` by `kind`, with Jeffreys intervals, and `median_kurtosis`
        by `kind`; `kurtosis_difference`, selective less common, with a bootstrap interval, NaN with fewer
        than 2 of either. These intervals take channels as drawn independently.
        Attrs `rest_source`, `error_source` name fallbacks: without rest, the lower decile of φ over images; without
        phi_se (or with one draw, where it is NaN) and with rest, the spread of φ below its median, which takes a
        channel that only varies about rest for silent; without either, no error, so that silent and common
        channels cannot be told apart.

    Raises
    ------
    InputError
        If phi is missing, mislabelled or not finite, standard errors are negative, infinite or known of some images
        only, images are too few, or an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(1000, seed=1)
    >>> findings = analyse(data)
    >>> bool((findings.type.isel(sigma=0) == truth.type).mean() > 0.95)
    True
    """
    resampling(resamples, level)
    seeded(seed)
    fraction("fdr", fdr, "a false discovery rate between 0 and 1, e.g. 0.05")
    _check(data, fdr_method, top)
    data = data.compute()
    source = _source(data)
    rows = _measured(data, source, min(top, data.sizes["image"]))
    taps = labels.strings(data["tap"].values)
    blocks = tuple(dict.fromkeys(taps))
    decided = _decided(rows, taps, blocks, data.sizes["image"], fdr, fdr_method)
    summary = _summary(decided["type"], rows["kurtosis"], taps, blocks, resamples, level, seed)
    return ground.findings(
        {**_labelled(rows, decided, labels.strings(data["image"].values)), **summary, **_consistency(rows)},
        data,
        analysis="selectivity",
        coords=_coords(data, blocks, rows["top_index"].shape[0]),
        rest_source=source.rest_from,
        error_source=source.error_from,
        fdr=fdr,
        fdr_method=fdr_method,
        level=level,
        resamples=resamples,
        bootstrap_seed=seed,
    )


class Source(NamedTuple):
    """Where rest and errors come from."""

    rest_from: str
    error_from: str
    rest: bool
    se: np.ndarray  # (sigma,)


def _check(data: xr.Dataset, fdr_method: str, top: int) -> None:
    check_numbers(data, "phi", "phi_draws", "phi_se", "rest", "rest_se")
    labels.check(data, "phi")
    for name in ("rest", "phi_draws"):
        if name in data:
            labels.check(data, name)
    for name in ("phi_se", "rest_se"):
        if name in data:
            labels.check(data, name, finite=False)
    check_errors(data)
    if not (data.sizes["sigma"] and data.sizes["channel"]):
        raise InputError(f"phi has sizes {dict(data['phi'].sizes)}: give at least one noise level and one channel")
    if data.sizes["image"] < MIN_IMAGES:
        raise InputError(
            f"phi is of {data.sizes['image']} images: types of channels need {MIN_IMAGES} at least, and some hundred "
            "to be sure of"
        )
    if fdr_method not in ("bh", "by"):
        raise InputError(f"fdr_method={fdr_method!r}: give 'bh' or, for any dependence between channels, 'by'")
    if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
        raise InputError(f"top={top!r}: give a whole number of images ≥ 1")


def _source(data: xr.Dataset) -> Source:
    rest, with_error = "rest" in data, "rest" in data and "rest_se" in data
    known = np.zeros(data.sizes["sigma"], bool)
    if "phi_se" in data:
        known = np.isfinite(data["phi_se"].values).all(axis=(0, 2))
        if with_error:
            known &= np.isfinite(data["rest_se"].values).all(axis=1)
    given = "phi_se and rest_se" if with_error else "phi_se"
    instead = "spread of phi below its median over images" if rest else "none: all variation counts as response"
    levels = ", ".join(f"{level:g}" for level in data["sigma"].values[known])
    return Source(
        "rest" if rest else "lower decile of phi over images",
        given if known.all() else f"{given} at sigma {levels}; elsewhere {instead}" if known.any() else instead,
        rest,
        np.asarray(known),
    )


def _measured(data: xr.Dataset, source: Source, top: int) -> dict[str, np.ndarray]:
    """What is measured on each channel: arrays (sigma, channel), or with leading dims."""
    sigmas, channels = data.sizes["sigma"], data.sizes["channel"]
    width = max(1, CHUNK // (data.sizes["image"] * sigmas))
    parts = []
    for start in range(0, channels, width):
        columns = slice(start, min(start + width, channels))
        activity = np.empty((sigmas, data.sizes["image"], columns.stop - start))
        rows = []
        for s in range(sigmas):
            rows.append(_row(data, source, s, columns, top, activity[s]))
        part = {name: np.stack([row[name] for row in rows], axis=-2) for name in rows[0]}
        if sigmas > 1:
            part["rank_correlation"] = kernels.rank_correlation(activity)
            lists = [row["top_index"] for row in rows]
            part["top_overlap"] = np.array([[kernels.overlap(a, b) for a in lists] for b in lists])
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}


def _row(
    data: xr.Dataset, source: Source, s: int, columns: slice, top: int, activity: np.ndarray
) -> dict[str, np.ndarray]:
    """The same for some channels at one noise level; fills in their activity (image, channel)."""

    def values(name: str) -> np.ndarray:
        return data[name].values[..., s, columns].astype(np.float64)

    phi = values("phi")
    rest = values("rest") if source.rest else np.quantile(phi, 0.1, axis=0)
    activity[:] = kernels.above(phi, rest)
    shape = kernels.shape(activity)
    reliability = np.full(phi.shape[1], np.nan)
    if source.se[s]:
        se = values("phi_se")
        rest_se = values("rest_se") if source.rest and "rest_se" in data else np.zeros(phi.shape[1])
        error = kernels.standard_error(activity, se, rest_se)
        with np.errstate(invalid="ignore", divide="ignore"):
            reliability = np.maximum(0, 1 - (se**2).mean(axis=0) / shape.sd**2)
    elif source.rest:
        # The distance from the lower quartile to the median is 0.6745 standard deviations of a normal law.
        lower, middle = np.quantile(phi, [0.25, 0.5], axis=0)
        error = (middle - lower) / 0.6745
    else:
        error = np.zeros(phi.shape[1])
    top_index = kernels.strongest(activity, top)
    counts, low, high = kernels.histogram(activity, BINS)
    row = {
        **kernels.zones(activity, error)._asdict(),
        **shape._asdict(),
        "reliability": reliability,
        "top_index": top_index,
        "top_activity": np.take_along_axis(activity, top_index, axis=0),
        "histogram": counts,
        "low": low,
        "high": high,
    }
    if data.sizes.get("draw", 0) > 1 and "phi_draws" in data:
        single = data["phi_draws"].values[:, s, :, columns].astype(np.float64)
        halves = np.stack([single[:, 0::2].mean(axis=1), single[:, 1::2].mean(axis=1)])
        row["draw_rank_correlation"] = kernels.rank_correlation(halves)[0, 1]
        row["draw_top_overlap"] = kernels.overlap(*(kernels.strongest(half, top) for half in halves))
    return row


def _decided(
    rows: dict[str, np.ndarray], taps: np.ndarray, blocks: tuple[str, ...], n: int, fdr: float, method: str
) -> dict[str, np.ndarray]:
    """p- and q-values, types and confidence (sigma, channel)."""
    zones = kernels.Zones(*(rows[name] for name in kernels.Zones._fields))
    shape = kernels.Shape(*(rows[name] for name in kernels.Shape._fields))
    found = kernels.evidence(zones, shape, n, false_alarm=FALSE_ALARM, rare=RARE, few=FEW, nearly_none=NEARLY_NONE)
    decided: dict[str, np.ndarray] = {}
    for name in ("response", "common", "selective"):
        p = getattr(found, name)
        q = np.empty_like(p)
        for block in blocks:
            q[:, taps == block] = controlled(p[:, taps == block], method)
        decided |= {f"p_{name}": p, f"q_{name}": q}
    kind = np.select(
        [decided["q_response"] > fdr, decided["q_selective"] <= fdr, decided["q_common"] <= fdr], [0, 2, 1], 3
    )
    decided["confidence"] = np.take_along_axis(found.probability, kind[None], axis=0)[0]
    decided["type"] = np.array(KINDS, dtype=object)[kind]
    return decided


def controlled(p: np.ndarray, method: str) -> np.ndarray:
    """q-values of p-values (..., channels), along the last axis."""
    return false_discovery_control(p, axis=-1, method=method)


def _labelled(rows: dict[str, np.ndarray], decided: dict[str, np.ndarray], ids: np.ndarray) -> dict[str, Any]:
    dims = ("sigma", "channel")
    n = rows["histogram"].sum(axis=0)
    units = "activation"
    return {
        "type": variable(dims, decided["type"], "type of the channel: " + ", ".join(KINDS)),
        "confidence": variable(dims, decided["confidence"], "lower bound on the probability of the type"),
        "activity": variable(dims, rows["mean"], "phi above rest, mean over images", units),
        "activity_sd": variable(dims, rows["sd"], "phi, standard deviation over images", units),
        "activity_fraction": variable(dims, rows["above"] / n, "share of images clearly above rest"),
        "below_fraction": variable(dims, rows["below"] / n, "share of images clearly below rest"),
        "near_fraction": variable(dims, rows["near"] / n, "share of images near rest"),
        "lifetime_sparseness": variable(dims, rows["lifetime"], "lifetime sparseness of phi above rest"),
        "skew": variable(dims, rows["skew"], "skewness over images, corrected for bias"),
        "kurtosis": variable(dims, rows["kurtosis"], "excess kurtosis over images, corrected for bias"),
        "tail_statistic": variable(dims, rows["tail"], "Vuong's statistic, Laplace (> 0) against normal law"),
        **{
            f"{letter}_{name}": variable(dims, decided[f"{letter}_{name}"], f"{letter}-value of {what}")
            for letter in "pq"
            for name, what in (("response", "any response"), ("common", "common"), ("selective", "selective"))
        },
        "reliability": variable(dims, rows["reliability"], "share of phi's variance over images that is not error"),
        "top_image": variable(("rank", *dims), ids[rows["top_index"]], "id of the image that excites the channel most"),
        "top_activity": variable(("rank", *dims), rows["top_activity"], "largest phi above rest", units),
        "histogram": variable(("bin", *dims), rows["histogram"], "images in equal bins of phi above rest", "images"),
        "activity_min": variable(dims, rows["low"], "least phi above rest", units),
        "activity_max": variable(dims, rows["high"], "largest phi above rest", units),
    }


def _consistency(rows: dict[str, np.ndarray]) -> dict[str, Any]:
    between, within = ("sigma", "other_sigma", "channel"), ("sigma", "channel")
    names = {
        "rank_correlation": (between, "Spearman's ρ of images between noise levels"),
        "top_overlap": (between, "share of top images common to two noise levels"),
        "draw_rank_correlation": (within, "Spearman's ρ of images between even and odd noise draws"),
        "draw_top_overlap": (within, "share of top images common to even and odd noise draws"),
    }
    return {name: variable(dims, rows[name], text) for name, (dims, text) in names.items() if name in rows}


def _summary(
    types: np.ndarray,
    kurtosis: np.ndarray,
    taps: np.ndarray,
    blocks: tuple[str, ...],
    resamples: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    """Types per block, and whether the selective channels' tails are the heavier."""
    sizes = (len(types), len(blocks))
    count, median = np.zeros((len(KINDS), *sizes), np.int64), np.full((len(KINDS), *sizes), np.nan)
    difference = np.full((3, *sizes), np.nan)
    for b, block in enumerate(blocks):
        here = taps == block
        for s in range(len(types)):
            of_kind = {kind: kurtosis[s, here][types[s, here] == kind] for kind in KINDS}
            count[:, s, b] = [len(values) for values in of_kind.values()]
            # A constant channel has no kurtosis.
            finite = {kind: values[np.isfinite(values)] for kind, values in of_kind.items()}
            median[:, s, b] = [np.median(v) if len(v) else np.nan for v in finite.values()]
            difference[:, s, b] = median_difference(finite["selective"], finite["common"], resamples, level, seed)
    channels = count.sum(axis=0)
    tail = (1 - level) / 2
    low, high = (beta.ppf(q, count + 0.5, channels - count + 0.5) for q in (tail, 1 - tail))
    dims, percent = ("kind", "sigma", "block"), f"{100 * level:g} % interval"
    return {
        "number": variable(dims, count, "number of channels of the type", "channels"),
        "fraction": variable(dims, count / channels, "share of channels of the type"),
        "fraction_low": variable(dims, np.where(count > 0, low, 0), f"fraction: lower end of its {percent}"),
        "fraction_high": variable(dims, np.where(count < channels, high, 1), f"fraction: upper end of its {percent}"),
        "median_kurtosis": variable(dims, median, "excess kurtosis, median over channels of the type"),
        "kurtosis_difference": variable(dims[1:], difference[0], "median kurtosis of selective less common channels"),
        "kurtosis_difference_low": variable(dims[1:], difference[1], f"difference: lower end of its {percent}"),
        "kurtosis_difference_high": variable(dims[1:], difference[2], f"difference: upper end of its {percent}"),
    }


def median_difference(
    first: np.ndarray, second: np.ndarray, resamples: int, level: float, seed: int
) -> tuple[float, float, float]:
    """Difference of medians and its percentile interval, each sample resampled; NaN with fewer than 2 of either."""
    if min(len(first), len(second)) < 2:
        return np.nan, np.nan, np.nan
    rng = np.random.default_rng(seed)
    drawn = [np.median(v[rng.integers(len(v), size=(resamples, len(v)))], axis=1) for v in (first, second)]
    low, high = interval(drawn[0] - drawn[1], level, units=min(len(first), len(second)))
    return float(np.median(first) - np.median(second)), float(low), float(high)


def _coords(data: xr.Dataset, blocks: tuple[str, ...], top: int) -> dict[str, Any]:
    sigma = data["sigma"].values
    between = {"other_sigma": ("other_sigma", sigma, data["sigma"].attrs)} if len(sigma) > 1 else {}
    return {
        "kind": ("kind", np.array(KINDS, dtype=object), {"long_name": "type of channel"}),
        "block": ("block", np.array(blocks, dtype=object), {"long_name": "block, by the tap at its output"}),
        "rank": ("rank", np.arange(top), {"long_name": "rank of the image, 0 the strongest"}),
        "bin": ("bin", np.arange(BINS), {"long_name": "bin of phi above rest"}),
        **between,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.selectivity phi.zarr -o out/``."""

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--fdr", type=float, default=0.05, help="false discovery rate (default: 0.05)")
        parser.add_argument("--fdr-method", default="bh", help="bh, or by for any dependence (default: bh)")
        parser.add_argument("--top", type=int, default=16, help="images kept for each channel (default: 16)")
        parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
        parser.add_argument("--level", type=float, default=0.95, help="coverage of intervals (default: 0.95)")
        parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")

    return ground.legacy_run(
        analyse,
        plot,
        name="selectivity",
        description="Which channels respond to nearly every image, and which to few.",
        options=options,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
