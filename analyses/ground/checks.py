"""What analyses refuse of data, options and findings, beyond what the label schema says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import xarray as xr

from probekit.errors import InputError

__all__ = ["check_errors", "check_findings", "check_fraction", "check_numbers"]


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


def check_errors(data: xr.Dataset) -> None:
    """Refuse standard errors that cannot be any, or that are known of some images only.

    NaN at all images of a noise level says that errors are not known there, as of a single draw.

    Raises
    ------
    InputError
        If one is negative or infinite, or NaN beside others at its noise level that are not.
    """
    for name in ("phi_se", "rest_se"):
        if name not in data:
            continue
        values = np.moveaxis(data[name].values, data[name].dims.index("sigma"), 0)
        for level, at_level in zip(data["sigma"].values, values, strict=True):
            if (at_level < 0).any() or np.isinf(at_level).any():
                raise InputError(
                    f"{name} is negative or infinite in places at sigma {level:g}: give standard errors ≥ 0, or drop "
                    "the variable"
                )
            missing = np.isnan(at_level)
            if missing.any() and not missing.all():
                raise InputError(
                    f"{name} is NaN in some places at sigma {level:g} and known in others: give all images the same "
                    "number of draws, drop those images, or drop the variable"
                )


def check_fraction(name: str, value: Any, what: str) -> None:
    """Refuse an option that is no number between 0 and 1.

    Parameters
    ----------
    name, value
        Of the option.
    what
        What it should be, with an example.

    Raises
    ------
    InputError
        Saying so.
    """
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not 0 < value < 1:
        raise InputError(f"{name}={value!r}: give {what}")


def check_findings(
    findings: Any,
    analysis: str,
    names: Collection[str],
    *,
    dims: Collection[str] = (),
    attrs: Collection[str] = (),
    verb: str = "analyse",
) -> None:
    """Refuse to draw what an analysis did not return.

    Parameters
    ----------
    findings
        What was given.
    analysis, verb
        Module and function that should have returned it.
    names, dims, attrs
        Variables, dims and attributes that are needed.

    Raises
    ------
    InputError
        Naming what is lacking.
    """
    source = f"{analysis}.{verb} returns"
    if not isinstance(findings, xr.Dataset):
        raise InputError(f"the findings are a {type(findings).__name__}: give what {source}")
    lacking = [name for name in names if name not in findings.variables]
    if lacking:
        raise InputError(f"the findings lack {', '.join(lacking)}: give what {source}, with all dims")
    squeezed = [dim for dim in dims if dim not in findings.dims]
    if squeezed:
        raise InputError(
            f"the findings have no dim {', '.join(squeezed)}: give what {source} with all dims; select with a list, "
            f"e.g. .isel({squeezed[0]}=[0])"
        )
    lost = [name for name in attrs if name not in findings.attrs]
    if lost:
        raise InputError(
            f"the findings lost their attributes {', '.join(lost)}: give what {source}, or compute under "
            "xarray.set_options(keep_attrs=True)"
        )
