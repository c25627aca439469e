"""What the findings about distances in φ have in common: checks, places, labels, intervals."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import t as student

from analyses.ground import check_numbers, variable
from analyses.semantics.kernels_correlation import deviation, jackknife, levelled
from analyses.semantics.kernels_pairs import METRICS
from probekit import checks, labels
from probekit.checks import resampling
from probekit.errors import InputError

__all__ = [
    "ALONE",
    "PLACE",
    "blocks_of",
    "checked",
    "chosen",
    "comparisons",
    "contrast",
    "coords",
    "defined",
    "differences",
    "grouped",
    "places",
    "same",
    "summary",
    "text",
]

PLACE = ("sigma", "block", "distance")
COMPARED = ("statistic", "other", "given")
# Groups of images that an interval over groups needs, and what findings say where images are not grouped.
GROUPS = 10
ALONE = "none: images are independent"


def checked(
    data: xr.Dataset, distances: Sequence[str] | None, resamples: int = 100, level: float = 0.95, seed: int = 0
) -> tuple[xr.Dataset, list[str]]:
    """The data in memory, and the names of the distances, both found fit for use."""
    check_numbers(data, "phi", "phi_draws")
    labels.check(data, "phi")
    labels.check_ids(data)
    if "phi_draws" in data:
        labels.check(data, "phi_draws")
    if not (data.sizes["sigma"] and data.sizes["channel"]) or data.sizes["image"] < 2:
        raise InputError(
            f"phi has sizes {dict(data['phi'].sizes)}: give at least 2 images, a noise level and a channel"
        )
    resampling(resamples, level, seed)
    return data.compute(), chosen("distances", distances, METRICS)


def chosen(option: str, names: Sequence[str] | None, known: Mapping[str, Any]) -> list[str]:
    """The names that an option gives, by default all; one name may stand for itself."""
    if names is None:
        return list(known)
    found = checks.names(option, names, f"one or several of {', '.join(known)}, or None for all")
    unknown = [name for name in found if name not in known]
    if unknown or not found:
        what = repr(unknown[0]) if unknown else "an empty list"
        raise InputError(f"{option}: {what} was given: choose among {', '.join(known)}")
    return found


def grouped(data: xr.Dataset, clusters: str | None) -> np.ndarray | None:
    """The group of each image that is resampled or left out whole; None where images are independent."""
    return None if clusters is None else labels.classes(data, clusters, option="clusters", least=GROUPS)


def blocks_of(data: xr.Dataset) -> list[str]:
    return list(dict.fromkeys(map(str, data["tap"].values)))


def places(
    data: xr.Dataset, blocks: Sequence[str], metrics: Sequence[str]
) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Each noise level, block and distance by number, and the block's channels."""
    taps = labels.strings(data["tap"].values)
    for b, block in enumerate(blocks):
        columns = np.flatnonzero(taps == block)
        for s in range(data.sizes["sigma"]):
            for m in range(len(metrics)):
                yield s, b, m, columns


def defined(x: np.ndarray, where: str, metric: str, *, warn: bool = True) -> bool:
    """Whether features tell images apart; a warning says where they do not."""
    if not np.isfinite(x).all():
        images = int((~np.isfinite(x).all(axis=1)).sum())
        what = f"the {metric} distance is undefined for {images} images without any activity"
    elif same(x):
        what = f"φ is the same for all images, so the {metric} distance tells nothing"
    else:
        return True
    if warn:
        warnings.warn(f"at {where} {what}: findings there are NaN", RuntimeWarning, stacklevel=3)
    return False


def same(x: np.ndarray) -> bool:
    """Whether all images (images, channels) are alike, rounding aside."""
    return x.size == 0 or not np.ptp(x, axis=0).max(initial=0) > 1e-12 * np.abs(x).max(initial=0)


def text(dim: str, values: Sequence[str], long_name: str) -> tuple[str, np.ndarray, dict[str, str]]:
    return dim, np.array(values, dtype=object), {"long_name": long_name}


def coords(blocks: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "block": text("block", blocks, "block, by the tap at its output"),
        "distance": (
            "distance",
            np.array(metrics, dtype=object),
            {"long_name": "distance between two images' φ", **{name: METRICS[name] for name in metrics}},
        ),
    }


def summary(values: np.ndarray, p: np.ndarray, level: float, shares: np.ndarray | None = None) -> np.ndarray:
    """Of correlations (1 + groups, …), and p-values (…) of permutations: what `comparisons` labels, (5, …)."""
    return np.stack([values[0], *jackknife(values, level, shares), p])


def contrast(values: np.ndarray, control: np.ndarray, level: float, shares: np.ndarray | None = None) -> np.ndarray:
    """Of correlations (1 + groups, …) in φ and in a control: what `differences` labels, (4, …)."""
    less = values - control
    reach = student.ppf((1 + level) / 2, len(values) - 2) * deviation(levelled(less, shares))
    return np.stack([control[0], less[0], less[0] - reach, less[0] + reach])


def comparisons(found: np.ndarray, level: float) -> dict[str, Any]:
    """Variables of correlations and their tests (5, …)."""
    dims, percent = (*PLACE, *COMPARED), f"{100 * level:g} % interval"
    said = {
        "correlation": "correlation of distances in φ with other distances, over pairs",
        "correlation_low": f"correlation: lower end of its {percent}, jackknife over images",
        "correlation_high": f"correlation: upper end of its {percent}, jackknife over images",
        "p_jackknife": "p-value of no correlation, by the jackknife, two-sided",
        "p_permutation": "p-value of no relation, Mantel's permutations, two-sided",
    }
    return {
        name: variable(dims, values, long_name) for values, (name, long_name) in zip(found, said.items(), strict=True)
    }


def differences(found: np.ndarray, level: float) -> dict[str, Any]:
    """Variables of controls (4, control, …)."""
    dims, percent = ("control", *PLACE, *COMPARED), f"{100 * level:g} % interval"
    said = {
        "control_correlation": "correlation of distances in the control",
        "difference": "correlation of φ less that of the control",
        "difference_low": f"difference: lower end of its {percent}, paired jackknife over images",
        "difference_high": f"difference: upper end of its {percent}, paired jackknife over images",
    }
    return {
        name: variable(dims, values, long_name) for values, (name, long_name) in zip(found, said.items(), strict=True)
    }
