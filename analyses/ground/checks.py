"""What analyses refuse of data, beyond what the label schema says; options are checked by `probekit.checks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import xarray as xr

from probekit import checks, labels
from probekit.checks import given as shown
from probekit.errors import InputError
from probekit.machine.extents import Extent, extents

__all__ = [
    "TAKEN_OFF",
    "check_errors",
    "check_measured",
    "check_noise",
    "check_numbers",
    "check_options",
    "noise_level",
    "real_numbers",
    "repeats",
    "resampling",
]

# What findings say where noise was taken off.
TAKEN_OFF = "squared standard errors of phi are taken off squared distances"
# Of resamples, permutations, splits, starts: of more, work would not end.
MOST_REPEATS = 1_000_000


def check_numbers(data: Any, *names: str) -> None:
    """Refuse variables, and noise levels, that are not real numbers.

    Raises
    ------
    InputError
        Naming the variable and its type.
    """
    if not isinstance(data, xr.Dataset):
        return
    for name in (*names, "sigma"):
        if name in data.variables and data[name].dtype.kind not in "fiu":
            raise InputError(
                f"{name} is of type {data[name].dtype}: give real numbers, e.g. data[{name!r}].astype(float)"
            )


def check_measured(data: Any) -> None:
    """Refuse data without usable phi, or with a phi_se that is not of its dims or no numbers."""
    labels.check(data, "phi")
    if "phi_se" in data:
        labels.check(data, "phi_se", finite=False)


def check_errors(data: xr.Dataset, known: Mapping[str, Extent] | None = None) -> None:
    """Refuse standard errors that cannot be any, or that are known of some images only.

    NaN at all images of a noise level says that errors are not known there, as of a single draw.

    Parameters
    ----------
    data
        As a tap returns it.
    known
        What `labels.check` gave of phi_se and rest_se; what it lacks is read through.

    Raises
    ------
    InputError
        If one is negative or infinite, or NaN beside others at its noise level that are not.
    """
    for name in ("phi_se", "rest_se"):
        if name not in data:
            continue
        found = known[name] if known and name in known else extents(data, name)[name]
        found = found.along("sigma")
        # Each is NaN as often as there are values, where all are.
        values = data[name].size // max(data.sizes["sigma"], 1)
        for s, level in enumerate(data["sigma"].values):
            if (found.low[s] < 0).any() or found.infinite[s].any():
                raise InputError(
                    f"{name} is negative or infinite in places at sigma {level:g}: give standard errors ≥ 0, or drop "
                    "the variable"
                )
            missing = int(found.missing[s].sum())
            if missing and missing < values:
                raise InputError(
                    f"{name} is NaN in some places at sigma {level:g} and known in others: give all images the same "
                    "number of draws, drop those images, or drop the variable"
                )


def check_noise(data: xr.Dataset, name: str = "the data") -> None:
    """Refuse φ whose noise is not known, so that it cannot be taken off distances.

    Raises
    ------
    InputError
        If phi_se is missing, no standard error, or NaN as of a single draw.
    """
    how = "measure with draws=2 or more and keep phi_se, or give noise_free=False"
    if "phi_se" not in data:
        raise InputError(f"noise_free=True needs phi_se, the standard error of φ over draws, which {name} lacks: {how}")
    check_numbers(data, "phi_se")
    found = labels.check(data, "phi_se", finite=False)
    check_errors(data, found)
    unknown = found["phi_se"].along("sigma").missing.any(axis=1)
    if unknown.any():
        levels = ", ".join(f"{level:g}" for level in data["sigma"].values[unknown])
        raise InputError(f"noise_free=True needs phi_se, which is NaN in {name} at σ = {levels}, as of one draw: {how}")


def check_options(function: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse options that a function passes on by name and that there are none of.

    Raises
    ------
    TypeError
        As Python does of a parameter that there is none of, with the name that was meant, or else all.
    """
    names = list(known)
    for name in options:
        if name not in names:
            meant = get_close_matches(name, names, 1) or names
            raise TypeError(f"{function}() has no option {name!r}: give {', '.join(meant)}")


def repeats(name: str, value: Any, *, least: int) -> int:
    """How often something is drawn, begun or permuted, as an int.

    Raises
    ------
    InputError
        If it is no whole number from `least` to a million.
    """
    found = checks.whole(name, value, least=least)
    if found > MOST_REPEATS:
        raise InputError(f"{shown(name, value)}: give a whole number from {least} to {MOST_REPEATS}")
    return found


def noise_level(value: Any, name: str = "sigma") -> float:
    """One noise standard deviation.

    Raises
    ------
    InputError
        If it is no number from 0 to the loudest that images are given.
    """
    what = f"a noise standard deviation from 0 to {checks.LOUDEST:g}"
    return checks.number(name, value, what, good=lambda sigma: 0 <= sigma <= checks.LOUDEST)


def resampling(resamples: Any, level: Any, seed: Any = 0) -> tuple[int, float, int]:
    """The number of resamples, the coverage of an interval, and the seed, as `checks.resampling` has them.

    Raises
    ------
    InputError
        As there, or if there are more than a million resamples.
    """
    found = checks.resampling(resamples, level, seed)
    repeats("resamples", resamples, least=100)
    return found


def real_numbers(name: str, value: Any) -> np.ndarray:
    """An argument as an array of float64.

    Raises
    ------
    InputError
        If it is no array of real numbers.
    """
    return checks.real_array(name, value, "real numbers, in rows of one length")
