"""φ taken as activity, the one rule for analyses to which 0 is a silent channel; φ tap by tap; what varies at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr

from analyses.ground.markup import rounded
from probekit import labels
from probekit.errors import InputError
from probekit.labels import Site
from probekit.machine.progress import at_work_on

__all__ = ["as_activity", "refuse_signed", "sites", "varies"]

# Of the largest |φ| of the tap at the noise level: what sums in single precision may leave of 0.
ROUNDING = 1e-6
# Taps that an error tells of.
TOLD = 4


def as_activity(data: xr.Dataset, *names: str) -> xr.Dataset:
    """φ, and what else is named, none of it negative; of what is negative by rounding alone, 0 is made.

    Analyses call this on entry to which it matters where 0 is: which channels are active, on how many images, how many
    share the activity. Those that compare images by distances, or read φ linearly, do not.

    Parameters
    ----------
    data
        What a tap returns, found to be as the label schema has it.
    names
        Variables that are taken for activity where they are present: phi, phi_draws, rest.

    Returns
    -------
    Dataset
        The data, the same object where nothing is negative.

    Raises
    ------
    InputError
        If a variable is negative beyond a millionth of the largest |φ| of its tap and noise level: it names these taps,
        with the share of values that are, and how to mend it.
    """
    mended = {}
    taps = {name: np.flatnonzero(labels.strings(data["tap"].values) == name) for name in labels.blocks(data)}
    for name in names:
        if name not in data or not data[name].size or float(data[name].min()) >= 0:
            continue
        values = data[name].values
        refuse_signed(values, taps, name=name, level_axis=data[name].dims.index("sigma"))
        mended[name] = (data[name].dims, np.maximum(values, 0), data[name].attrs)
    return data.assign(mended) if mended else data


def refuse_signed(
    values: np.ndarray, taps: Mapping[str, np.ndarray], *, name: str = "phi", level_axis: int = 1
) -> None:
    """Refuse φ (…, channel) that is negative beyond rounding.

    Parameters
    ----------
    values
        φ, with noise levels along `level_axis`.
    taps
        Positions of the channels of each tap.
    name
        What the error calls it.

    Raises
    ------
    InputError
        As for `as_activity`.
    """
    found = []
    for tap, channels in taps.items():
        own = np.moveaxis(values[..., channels], level_axis, 0).reshape(values.shape[level_axis], -1)
        least = -ROUNDING * np.abs(own).max(axis=1, keepdims=True, initial=0)
        below = own < least
        if below.any():
            found.append(f"{tap!r} ({_percent(float(below.mean()))} of its values, down to {float(own.min()):.3g})")
    if found:
        more = f" and {len(found) - TOLD} taps more" if len(found) > TOLD else ""
        raise InputError(
            f"{name} is negative at {', '.join(found[:TOLD])}{more}: this analysis takes it for activity, 0 where a "
            'channel is silent; tap the module after the ReLU, or measure with reduce="relu_mean", the mean of what a '
            'ReLU keeps, or "energy"'
        )


def _percent(share: float) -> str:
    return f"{rounded(100 * share, 2)} %" if share >= 1e-3 else "less than 0.1 %"


def sites(data: xr.Dataset | xr.DataArray, what: str) -> Iterator[Site]:
    """Every tap at every noise level, as `probekit.labels.sites`; a command that takes long says where it is.

    Parameters
    ----------
    data
        A representation.
    what
        Is done there, in a word or two.
    """
    every = list(labels.sites(data))
    for number, site in enumerate(every, start=1):
        with at_work_on(f"{what}: {site.name} at σ = {site.sigma:g}, {number} of {len(every)}"):
            yield site


def varies(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Where numbers vary along an axis by more than the rounding of their mean: all shape but that axis, of bool.

    Equal numbers that are not exact in binary, such as 0.1, have a standard deviation that is not 0.
    """
    values = np.asarray(values, np.float64)
    return values.std(axis=axis) > 1e-12 * np.abs(values).max(axis=axis, initial=0)
