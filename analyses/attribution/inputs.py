"""What looking into causes is given: a denoiser with its tap, images, channels; checked and labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from probekit import checks
from probekit.capture.survey import network_of
from probekit.denoising.denoiser import as_denoiser, clean_range
from probekit.errors import InputError
from probekit.labels import COORDINATES
from probekit.phi.averages import clean_and_noise
from probekit.phi.tap import Tap

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.images import ImageSet

__all__ = ["batches", "check_count", "chosen_channels", "labels_of", "middle", "place_of", "same_network"]


def same_network(denoiser: nn.Module, tap: Any) -> nn.Module:
    """The denoiser, if the tap is one of its network."""
    denoiser = as_denoiser(denoiser)
    if not isinstance(tap, Tap):
        raise InputError(f"{checks.given('tap', tap)}: give a tap, probekit.tap(denoiser, name)")
    if network_of(denoiser) is not network_of(tap.denoiser):
        raise InputError(f"{tap} is not of this denoiser: make the tap of it, probekit.tap(denoiser, name)")
    return denoiser


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number ≥ `least`."""
    checks.whole(name, value, least=least)


def chosen_channels(channels: Any, count: int, name: str = "channels") -> np.ndarray:
    """Channels as distinct numbers among `count`, at least one."""
    given = np.atleast_1d(np.asarray(channels))
    if given.ndim != 1 or not given.size or not np.issubdtype(given.dtype, np.integer):
        raise InputError(f"{name}: got {channels!r}: give the number of at least one channel")
    outside = given[(given < 0) | (given >= count)].tolist()
    if outside:
        raise InputError(f"{name}: channels {outside} do not exist: there are channels 0…{count - 1}")
    if len(np.unique(given)) < len(given):
        raise InputError(f"{name}: {given.tolist()} names a channel twice: give each once")
    return given


def place_of(denoiser: nn.Module) -> Tensor:
    """A tensor of the type and on the device in which the network computes."""
    return next(denoiser.parameters(), torch.zeros(()))


def batches(
    source: ImageSet, draws: int, seed: int, size: int, place: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Positions, clean images and standard normal noise of each draw, so many images at a time."""
    for start in range(0, len(source), size):
        rows = range(start, min(start + size, len(source)))
        for draw in range(draws):
            x, z = clean_and_noise(source, rows, [draw] * len(rows), seed=seed, place=place)
            yield slice(rows.start, rows.stop), x, z


def middle(denoiser: nn.Module) -> float:
    """Middle of the range of clean images; 0 where none is declared."""
    bounds = clean_range(denoiser)
    return 0.0 if bounds is None else (bounds[0] + bounds[1]) / 2


def labels_of(source: ImageSet, reference: xr.Dataset | xr.DataArray, channels: Sequence[int] | Any = ()) -> xr.Dataset:
    """Coordinates of all images, with the noise levels, some channels and the attrs of what a tap gave for one."""
    coords: dict[str, Any] = {"image": ("image", _strings(source.ids), {"long_name": COORDINATES["image"]})}
    if source.labels is not None:
        coords["label"] = ("image", _strings(source.labels), {"long_name": COORDINATES["label"]})
    if len(channels):
        kept = reference.isel(channel=np.asarray(channels))
        coords |= {str(name): c.variable for name, c in kept.coords.items() if c.dims == ("channel",)}
    return xr.Dataset(coords={**coords, "sigma": reference["sigma"].variable}, attrs=reference.attrs)


def _strings(values: Sequence[str]) -> np.ndarray:
    return np.array(list(values), dtype=object)
