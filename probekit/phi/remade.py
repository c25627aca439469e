"""A denoiser and a tap of it as workers make them once more, and see that they do what those here do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit import images as image_sources
from probekit.capture.survey import network_of
from probekit.denoising.denoiser import as_denoiser, settings_shown
from probekit.errors import InputError
from probekit.machine.identity import modules_of
from probekit.machine.place import place_of
from probekit.machine.weights import weights_sha256
from probekit.phi.job import made_at, maker_of
from probekit.phi.tap import Tap
from probekit.phi.tap import tap as tapped

if TYPE_CHECKING:
    import xarray as xr
    from torch import nn

    from probekit.denoising.conditions import Conditions
    from probekit.distribute.workers import Workers

__all__ = ["Blank", "Remade", "looked", "remade"]

# What a tap says of the network that it looks into.
SAID = ("weights_sha256", "denoiser_settings", "taps", "reduce")


def looked(tap: Tap, shape: Sequence[int], sigma: Any, conditions: Conditions | None) -> xr.Dataset:
    """One look at a blank image (bands, rows, cols), which tells what this tap of this denoiser calls itself."""
    first = None if conditions is None else conditions.subset([0])
    blank = image_sources.load(np.zeros((1, *shape), np.float32), ids=["blank"] if first is None else first.ids)
    return tap(blank, sigma=sigma, draws=1, conditions=first, progress=False)


@dataclass(frozen=True)
class Blank:
    """What is looked at to tell networks apart: a blank image of this shape at these noise levels.

    Attributes
    ----------
    shape
        (bands, rows, cols).
    sigmas
        All that passes will be made at: a network may do otherwise at some of them.
    conditions
        What else it takes; the first image's are given.
    """

    shape: Sequence[int]
    sigmas: Sequence[float]
    conditions: Conditions | None = None


@dataclass(frozen=True, kw_only=True)
class Remade:
    """How workers make a denoiser and a tap; made by `remade`.

    Attributes
    ----------
    network, looked_into
        Make the denoiser, and the one that the tap looks into: the same, or another of the same weights.
    device, dtype
        Where they compute, "cpu" or another kind, and of what type their numbers are.
    names, reduce
        Of the tap.
    blank
        What is looked at.
    said, phi
        What those here say of themselves, and φ of the blank image.
    """

    network: Callable[[], nn.Module]
    looked_into: Callable[[], nn.Module]
    device: str
    dtype: torch.dtype
    names: Sequence[str]
    reduce: Any
    blank: Blank
    said: dict[str, Any]
    phi: np.ndarray

    def made(self) -> tuple[nn.Module, Tap]:
        """The denoiser and the tap, made in this process.

        Raises
        ------
        InputError
            If they are others than those that this was made of, or make something else of the blank image.
        """
        denoiser = as_denoiser(made_at(self.network, self.device, self.dtype))
        same = self.looked_into is self.network
        other = denoiser if same else made_at(self.looked_into, self.device, self.dtype)
        tap = tapped(other, *self.names, reduce=self.reduce)
        said, phi = _known(denoiser, tap, self.blank)
        differ = [name for name in self.said if said[name] != self.said[name]]
        # Half of the digits that a pass keeps.
        if not differ and not _close(phi, self.phi, math.sqrt(torch.finfo(self.dtype).eps)):
            differ = ["what it makes of a blank image"]
        if differ:
            raise InputError(
                f"a worker's network is another than this one ({', '.join(differ)}): it makes the network as it was "
                "loaded, and edits, hooks and changes of it do not travel: load it as it is to be"
            )
        return denoiser, tap


def remade(denoiser: nn.Module, tap: Tap, workers: Workers, blank: Blank) -> Remade:
    """How workers make this denoiser and this tap.

    Raises
    ------
    InputError
        If it is not known how the network was made, and it may not be pickled.
    """
    make, place = maker_of(denoiser, workers), place_of(network_of(denoiser))
    # A name names one network, the denoiser and what is looked into.
    other = make if workers.network is not None else maker_of(tap.denoiser, workers)
    said, phi = _known(denoiser, tap, blank)
    return Remade(
        network=make,
        looked_into=make if other is make or tap.denoiser is denoiser else other,
        device=place.device.type,
        dtype=place.dtype,
        names=tap.names,
        reduce=tap.reduce,
        blank=blank if blank.conditions is None else replace(blank, conditions=blank.conditions.subset([0])),
        said=said,
        phi=phi,
    )


def _known(denoiser: nn.Module, tap: Tap, blank: Blank) -> tuple[dict[str, Any], np.ndarray]:
    """What a denoiser and a tap say of themselves, and φ (level, channel) of the blank image."""
    own = looked(tap, blank.shape, list(blank.sigmas), blank.conditions)
    said = {name: own.attrs[name] for name in SAID} | {"settings": settings_shown(denoiser)}
    said |= {f"tap's {name}": value for name, value in tap.identity().items()}
    said |= {"modules": modules_of(denoiser), "weights": weights_sha256(network_of(denoiser).state_dict())}
    return said, own["phi"].values[0]


def _close(one: np.ndarray, other: np.ndarray, share: float) -> bool:
    """Whether numbers differ by no more than a share of the largest."""
    if one.shape != other.shape:
        return False
    largest = float(np.nanmax(np.abs(other[np.isfinite(other)]), initial=0.0))
    return bool(np.allclose(one, other, rtol=0, atol=share * largest, equal_nan=True))
