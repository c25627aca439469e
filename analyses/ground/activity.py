"""φ taken as activity, the one rule for analyses to which 0 is a silent channel; φ tap by tap; what varies at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import xarray as xr

from analyses.ground.markup import rounded
from probekit import labels
from probekit.errors import InputError
from probekit.labels import Site
from probekit.machine.blocks import image_blocks, mapped
from probekit.machine.extents import Extent, extents
from probekit.machine.progress import at_work_on

__all__ = ["as_activity", "refuse_signed", "sites", "varies"]

# Of the largest |φ| of the tap at the noise level: what sums in single precision may leave of 0.
ROUNDING = 1e-6
# Taps that an error tells of.
TOLD = 4


def as_activity(data: xr.Dataset, *names: str, known: Mapping[str, Extent] | None = None) -> xr.Dataset:
    """φ, and what else is named, none of it negative; of what is negative by rounding alone, 0 is made.

    Analyses call this on entry to which it matters where 0 is: which channels are active, on how many images, how many
    share the activity. Those that compare images by distances, or read φ linearly, do not.

    Parameters
    ----------
    data
        What a tap returns, found to be as the label schema has it.
    names
        Variables that are taken for activity where they are present: phi, phi_draws, rest.
    known
        What `labels.check` gave of them; what it lacks is read through.

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
        if name not in data or not data[name].size:
            continue
        found = known[name] if known and name in known else extents(data, name)[name]
        if np.fmin.reduce(found.low, axis=None) >= 0:
            continue
        _refuse_signed(data[name], found.along("sigma"), taps, name)
        mended[name] = mapped(data[name].variable, partial(np.maximum, 0))
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
    values = np.moveaxis(values, level_axis, 0).reshape(values.shape[level_axis], -1, values.shape[-1])
    data = xr.DataArray(values, dims=("sigma", "image", "channel")).transpose("image", "sigma", "channel")
    _refuse_signed(data, extents(data.to_dataset(name="phi"), "phi")["phi"].along("sigma"), taps, name)


def _refuse_signed(data: xr.DataArray, found: Extent, taps: Mapping[str, np.ndarray], name: str) -> None:
    """The same of a variable with its extent, of arrays (sigma, channel)."""
    least, signed = np.zeros(found.low.shape), {}
    for tap, channels in taps.items():
        low, high = found.low[:, channels], found.high[:, channels]
        least[:, channels] = -ROUNDING * np.maximum(np.abs(low), np.abs(high)).max(axis=1, keepdims=True, initial=0)
        if (low < least[:, channels]).any():
            signed[tap] = float(low.min())
    if not signed:
        return
    # As one array of noise levels and channels, whatever other dims there are.
    below, bound = np.zeros(found.low.shape), xr.DataArray(least, dims=("sigma", "channel"))
    over = [str(dim) for dim in data.dims if dim not in bound.dims]
    parts = (part for _, part in image_blocks(data)) if "image" in data.dims else iter([data.values])
    for part in parts:
        below += (xr.DataArray(part, dims=data.dims) < bound).sum(over).transpose("sigma", "channel").values
    each = data.size // max(below.size, 1)
    told = [
        f"{tap!r} ({_percent(float(below[:, taps[tap]].mean() / each))} of its values, down to {low:.3g})"
        for tap, low in signed.items()
    ]
    more = f" and {len(told) - TOLD} taps more" if len(told) > TOLD else ""
    raise InputError(
        f"{name} is negative at {', '.join(told[:TOLD])}{more}: this analysis takes it for activity, 0 where a "
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
