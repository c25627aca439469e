"""Edits of a tap's maps while a block runs: channels ablated, scaled, replaced, or any function of the map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit.capture.hooks import editing, setting
from probekit.capture.names import listing
from probekit.checks import attribute, given, number, real_array
from probekit.errors import InputError, TapError

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.capture.observer import Observer

__all__ = ["Edits"]

Channels = int | str | Sequence[int] | Sequence[str] | np.ndarray | torch.Tensor


class Edits:
    """What a tap can do to its network."""

    _observer: Observer

    def ablate(self, channels: Channels) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are 0 in every forward pass of the network.

        `channels` are whole numbers, names such as "mid:3", also in arrays, or a boolean mask of all of the tap's
        channels; see `edit` for errors.
        """
        return self._set(channels, lambda _: 0.0)

    def scale(self, channels: Channels, factor: float) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are multiplied by `factor` in every forward pass."""
        factor = number("factor", factor, "a finite number to multiply the channels by")
        return self._set(channels, lambda a: a * factor)

    def replace(self, channels: Channels, value: Any) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are `value` in every forward pass.

        `value` is a number, or a tensor that broadcasts to (N, channels given, H, W).
        """
        what = "a finite number, or a tensor that broadcasts to (N, channels, H, W)"
        if isinstance(value, np.ndarray) and value.dtype.kind == "c":
            value = torch.from_numpy(value)
        if isinstance(value, torch.Tensor) and value.ndim and not value.is_meta:
            return self._set(channels, lambda _: value)
        array = real_array("value", value, what)
        if not np.isfinite(array).all():
            raise InputError(f"{given('value', value)}: give {what}")
        made = torch.from_numpy(array) if array.ndim else float(array)
        return self._set(channels, lambda _: made)

    def edit(self, function: Callable[[Tensor], Tensor]) -> AbstractContextManager[None]:
        """A context in which every forward pass goes on with ``function(map)`` in place of the tap's map.

        Parameters
        ----------
        function
            From maps (N, C, H, W) to maps of the same shape; it must not change its argument.

        Returns
        -------
        context manager
            Edits nest, in the order in which they are entered; a tap read inside sees the edited map.

        Raises
        ------
        InputError
            If `function` cannot be called.
        TapError
            If there are several taps; on a forward pass, if the edit does not fire in it, or at a module
            that is called several times without ``@k`` or ``@*``, if a channel does not exist or the
            shape changes, and where gradients would be computed anew, without the edit
            (activation checkpointing); on leaving the block, if the edit never fired.
        """
        if not callable(function):
            raise InputError(f"{given('function', function)}: give a function of the tap's maps (N, C, H, W)")
        point = self._observer.only("edits are made")
        if not point.path:
            raise TapError(
                f'"mid" of {self._observer.name} is found by a pass of images, and none was made yet: measure images '
                f"with this tap first, or name the tap by its path; {listing(self._observer.network)}"
            )
        return editing(self._observer.network, point, function)

    def _set(self, channels: Any, make: Callable[[Tensor], Any]) -> AbstractContextManager[None]:
        point = self._observer.only("edits are made")
        edit = setting(_units(channels, point.name), make)
        context = self.edit(edit)
        self._observer.refuse_channels_last()
        return context


def _units(channels: Any, tap: str) -> Any:
    """Units where channels are given by name; anything else as it is."""
    # As results name them, in arrays too.
    held = channels if isinstance(channels, np.ndarray) else attribute(channels, "values")
    listed = held.tolist() if isinstance(held, np.ndarray) and held.dtype.kind in "OUT" else channels
    several = isinstance(listed, list | tuple) and any(isinstance(one, str) for one in listed)
    if not (isinstance(listed, str) or several):
        return channels
    found = []
    for one in [listed] if isinstance(listed, str) else listed:
        name, _, unit = one.rpartition(":") if isinstance(one, str) else ("", "", "")
        if name != tap or not (unit.isascii() and unit.isdecimal()):
            raise InputError(
                f'{given("channels", one)} is no channel of this tap: give whole numbers, names such as "{tap}:0", or '
                "a boolean mask"
            )
        found.append(int(unit))
    return found
