"""One name for a channel in every figure, table and message: `mid:59`, unit 59 (from 0) of the tap "mid"."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np
import xarray as xr

from probekit.checks import given
from probekit.errors import InputError
from probekit.labels import strings

__all__ = ["channel_at", "channel_name", "channel_names"]


def channel_name(tap: Any, unit: Any) -> str:
    """The name of a channel: that of its tap, a colon, and its unit (from 0)."""
    return f"{tap}:{int(unit)}"


def channel_names(data: xr.Dataset | xr.DataArray) -> np.ndarray:
    """The name of each channel, (channel) str objects, such as "mid:59".

    Parameters
    ----------
    data
        With coordinates `tap` and `unit` along `channel`.
    """
    taps, units = np.atleast_1d(data["tap"].values), np.atleast_1d(data["unit"].values)
    return strings([channel_name(tap, unit) for tap, unit in zip(strings(taps), units, strict=True)])


def channel_at(data: xr.Dataset | xr.DataArray, name: Any, *, option: str = "channel") -> int:
    """The position of a channel among those of the data.

    Parameters
    ----------
    data
        With coordinates `tap` and `unit` along `channel`.
    name
        Such as "mid:59".
    option
        What named the channel, as the error says it.

    Raises
    ------
    InputError
        If it is no such name, or the data has no channel of this name.
    """
    names = channel_names(data).tolist()
    if not isinstance(name, str):
        example = names[0] if names else "mid:59"
        raise InputError(f'{given(option, name)}: give the name of a channel, its tap and unit, such as "{example}"')
    if name in names:
        return names.index(name)
    tap, _, unit = name.rpartition(":")
    units = [one.rpartition(":")[2] for one in names if one.rpartition(":")[0] == tap]
    if units and unit.isdecimal():
        known = f"{tap} has units {min(map(int, units))} to {max(map(int, units))} here"
    else:
        close = get_close_matches(name, names, 3) or [*names[:2], *names[-1:]]
        known = f"there are {len(names)} channels, such as {', '.join(close)}"
    raise InputError(f"{given(option, name)} is no channel of the data: {known}")
