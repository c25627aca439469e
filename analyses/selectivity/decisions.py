"""Types of channel from p-values, under false-discovery control; their shares by block, and how far these are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import beta, false_discovery_control

from analyses.ground import Estimate, interval, sites
from analyses.selectivity import kernels_types
from probekit import labels

__all__ = ["CRITERIA", "KINDS", "Options", "decided", "median_difference", "shares", "tails"]

KINDS = (*kernels_types.ONE_OF, "undecided")
# Of two laws one is closer: one criterion, held or failed.
CRITERIA = tuple(name for name in kernels_types.CRITERIA if name != "normal")
# Where several are shown, as on the margin between silent and responding.
FIRST = ("selective", "common", "suppressed", "mixed", "silent")


@dataclass(frozen=True)
class Options:
    """False discovery rate and its method, coverage of intervals, resamples and seed."""

    fdr: float
    fdr_method: str
    level: float
    resamples: int
    seed: int


def _adjusted(p: np.ndarray, blocks: Sequence[np.ndarray], method: str) -> np.ndarray:
    """q-values over the channels of each tap; of taps of one width at once."""
    q = np.empty_like(p)
    for width in {len(here) for here in blocks}:
        alike = np.stack([here for here in blocks if len(here) == width])
        q[:, alike] = false_discovery_control(p[:, alike], axis=-1, method=method)
    return q


def _blocks(data: xr.Dataset) -> list[np.ndarray]:
    """Positions of the channels of each tap."""
    number = {name: n for n, name in enumerate(labels.blocks(data))}
    taps = np.array([number[name] for name in labels.strings(data["tap"].values)])
    return [np.flatnonzero(taps == n) for n in range(len(number))]


def decided(found: kernels_types.Weighed, data: xr.Dataset, options: Options) -> dict[str, np.ndarray]:
    """p- and q-values, types and confidence (sigma, channel), and which types are possible (kind, sigma, channel)."""
    values: dict[str, np.ndarray] = {}
    blocks = _blocks(data)
    for name, p in {"response": found.criteria["response"][0], **found.shown}.items():
        values |= {f"p_{name}": p, f"q_{name}": _adjusted(p, blocks, options.fdr_method)}
    kind = np.select(
        [values[f"q_{name}"] <= options.fdr for name in FIRST],
        [KINDS.index(name) for name in FIRST],
        KINDS.index("undecided"),
    )
    probability = np.stack([found.probability.get(name, np.full(kind.shape, np.nan)) for name in KINDS])
    is_of = kind == np.arange(len(KINDS))[:, None, None]
    kept = [_adjusted(found.excluded[name], blocks, options.fdr_method) > options.fdr for name in kernels_types.ONE_OF]
    return values | {
        "type": np.array(KINDS, dtype=object)[kind],
        "confidence": np.take_along_axis(probability, kind[None], axis=0)[0],
        "possible": is_of | np.stack([*kept, is_of[-1]]),
    }


def shares(types: np.ndarray, found: kernels_types.Weighed, data: xr.Dataset, options: Options) -> dict[str, Any]:
    """Numbers and shares of each type by block, from those shown to those possible, and shares of criteria decided."""
    blocks = _blocks(data)
    channels = np.array([len(here) for here in blocks])
    count = np.stack([[(types[:, here] == kind).sum(axis=-1) for here in blocks] for kind in KINDS]).transpose(0, 2, 1)
    # Of the chance to miss on one side, half is the images' and half the channels'.
    tail = (1 - options.level) / 4
    least, most = count.copy(), count.copy()
    for b, here in enumerate(blocks):
        alpha = tail / (1 / np.arange(1, channels[b] + 1)).sum() if options.fdr_method == "by" else tail
        for k, name in enumerate(kernels_types.ONE_OF):
            least[k, :, b] = channels[b] - kernels_types.most_true(found.shown[name][:, here], alpha)
            most[k, :, b] = kernels_types.most_true(found.excluded[name][:, here], alpha)
    low = np.where(least > 0, beta.ppf(tail, least + 0.5, channels - least + 0.5), 0)
    high = np.where(most < channels, beta.ppf(1 - tail, most + 0.5, channels - most + 0.5), 1)
    share = count / channels
    known = [
        np.minimum(*(_adjusted(p, blocks, options.fdr_method) for p in found.criteria[name])) <= options.fdr
        for name in CRITERIA
    ]
    return {
        "number": count,
        "fraction": Estimate(share, np.minimum(low, share), np.maximum(high, share)),
        "decided": np.stack([np.stack(known)[..., here].mean(axis=-1) for here in blocks], axis=-1),
    }


def tails(types: np.ndarray, kurtosis: np.ndarray, data: xr.Dataset, options: Options) -> dict[str, Any]:
    """Kurtosis of each type by block, and whether the selective channels' tails are the heavier."""
    sizes = (data.sizes["sigma"], len(labels.blocks(data)))
    median, difference = np.full((len(KINDS), *sizes), np.nan), np.full((3, *sizes), np.nan)
    for site in sites(data, "types of channel"):
        at, here = (site.level, site.block), (site.level, site.channels)
        # A constant channel has no kurtosis.
        finite = {kind: kurtosis[here][(types[here] == kind) & np.isfinite(kurtosis[here])] for kind in KINDS}
        median[:, *at] = [np.median(v) if len(v) else np.nan for v in finite.values()]
        difference[:, *at] = median_difference(
            finite["selective"], finite["common"], options.resamples, options.level, options.seed
        )
    return {"median_kurtosis": median, "kurtosis_difference": Estimate(*difference)}


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
