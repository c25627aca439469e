"""One forward pass observed or edited, by hooks on an unmodified network that live only as long as needed."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from probekit.capture.items import tensors_of
from probekit.capture.names import TapPoint
from probekit.checks import given, is_real, listed, unwrapped, whole
from probekit.errors import InputError, TapError
from probekit.machine.modes import on_trial, uncompiled
from probekit.machine.precision import exactly

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["editing", "observing", "of_user", "setting"]


class _Enough(BaseException):
    """Raised by the hook of the last tap to end the pass; not an Exception, so that networks do not catch it."""


@contextmanager
def observing(
    network: nn.Module, points: Sequence[TapPoint], read: Callable[[Tensor], Tensor], *, to_the_end: bool = False
) -> Iterator[Callable[[Callable[[], Any]], list[Tensor]]]:
    """Hooks on the points' modules while the block runs.

    Yields a function that makes one forward pass (it is given the call that makes it), stops it
    after the last point, unless `to_the_end`, and returns `read` of each point's output, in the order of the
    points. `read` runs inside the hook, before the network can change its activations in place.

    Raises
    ------
    TapError
        From the yielded function, where a point did not fire, its output holds no tensor, or gradients are recorded
        and would not be those of what was read.
    """
    # Of each module, the points that are its calls, by their places among all.
    at: dict[nn.Module, list[tuple[int, TapPoint]]] = {}
    for place, point in enumerate(points):
        at.setdefault(network.get_submodule(point.path), []).append((place, point))
    calls = dict.fromkeys(at, 0)
    found: dict[int, Tensor] = {}
    # None where no gradients can be recorded.
    began: _Gradients | None = None
    # Hooks are the module's, for every thread; passes of others are left alone.
    mine = 0

    def hook(module: nn.Module, _: Any, output: Any) -> None:
        if threading.get_ident() != mine or on_trial() or _recomputing():
            return
        call = calls[module]
        calls[module] += 1
        for place, point in at[module]:
            if call == (point.call or 0):
                if began is not None:
                    began.refuse_if_recomputed_later(point)
                a = point.select(output)
                version = None if a.is_inference() else a._version
                found[place] = of_user("reduction", point, read, a)
                if version is not None and a._version != version:
                    raise TapError(
                        f"the reduction at {point.name!r} changed the map in place, which the network goes on with: "
                        "let it work on a copy, a.clone()"
                    )
        if len(found) == len(points) and not to_the_end:
            raise _Enough

    def run(forward: Callable[[], Any]) -> list[Tensor]:
        nonlocal began, mine
        mine = threading.get_ident()
        for module in calls:
            calls[module] = 0
        found.clear()
        began = None if torch.is_inference_mode_enabled() else _Gradients()
        with suppress(_Enough):
            forward()
        for edit in _ENTERED:
            edit.cut(network)
        if len(found) < len(points):
            missing = [repr(point.name) for place, point in enumerate(points) if place not in found]
            raise TapError(
                f"{', '.join(missing)} did not fire in this forward pass: the module was not called "
                "(or not that often, or only through .forward()); probekit.taps lists what is"
            )
        return [found[place] for place in range(len(points))]

    with ExitStack() as stack:
        stack.enter_context(uncompiled())
        for module in at:
            stack.callback(module.register_forward_hook(hook).remove)
        stack.callback(found.clear)
        yield run


@contextmanager
def editing(network: nn.Module, point: TapPoint, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While the block runs, every forward pass goes on with `function` of the point's map in its place.

    Raises
    ------
    TapError
        From a forward pass, where the point did not fire in it, or more often than its name says, the function
        failed or changed the shape, or gradients would not be those of the edited pass; on leaving the block,
        where it never fired.
    """
    edit = _Edit(network, point, function)
    with ExitStack() as stack:
        stack.enter_context(uncompiled())
        _ENTERED.append(edit)
        stack.callback(_ENTERED.remove, edit)
        stack.callback(network.register_forward_pre_hook(edit.begin).remove)
        stack.callback(network.register_forward_hook(edit.end, always_call=True).remove)
        stack.callback(network.get_submodule(point.path).register_forward_hook(edit.fire).remove)
        yield
    edit.close()


class _Edit:
    """An edit while it is in place, and what the network's passes made of it."""

    # What makes it the same edit in another process.
    identified_by = ("point", "function")

    def __init__(self, network: nn.Module, point: TapPoint, function: Callable[[Tensor], Tensor]) -> None:
        self.network, self.point, self.function = network, point, function
        self.thread = threading.get_ident()
        self.gradients = _Gradients()
        # How many passes of the network are open: more than one where it calls itself.
        self.depth = 0
        self.calls = 0
        self.fired = False
        self.cut_short = 0

    @property
    def elsewhere(self) -> bool:
        """Whether this is a pass that the edit is not about: of another thread, or of a trial."""
        return threading.get_ident() != self.thread or on_trial()

    def begin(self, *_: Any) -> None:
        """A forward pass of the network begins, perhaps within another."""
        if self.elsewhere or _recomputing():
            return
        self.depth += 1
        if self.depth == 1:
            self.calls, self.gradients = 0, _Gradients()

    def cut(self, network: nn.Module) -> None:
        """A tap that had read what it wanted may have left a forward pass of a network open."""
        if network is self.network and not self.elsewhere and self.depth:
            self.depth = 0
            self.cut_short += 1

    def end(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        """A forward pass of the network has ended, by itself or, without an output, by an error."""
        if self.elsewhere or _recomputing() or not self.depth:
            return
        self.depth -= 1
        if output is None:
            self.cut_short += 1
            return
        if self.depth:
            return
        point = self.point
        if self.calls == 0:
            raise TapError(
                f"the edit at {point.name!r} did not fire: {point.path} was not called in this forward pass (or only "
                "through .forward(), which no hook sees), so the edit changed nothing; probekit.taps lists what is"
            )
        if isinstance(point.call, int) and point.call >= self.calls:
            raise TapError(
                f"the edit at {point.name!r} did not fire: {point.path} was called {self.calls} times in this forward "
                "pass, counted from @0"
            )

    def fire(self, _module: nn.Module, inputs: Any, output: Any) -> Any:
        """The module was called: its output, edited where this is a call to edit."""
        point = self.point
        if on_trial() or (_recomputing() and not self.depth):
            # Nobody wants this pass, or it is for the gradient of one that was made outside the block.
            return None
        if self.elsewhere:
            if not _recomputing():
                return None
            # Torch's own thread, for the gradient of the open pass; or another pass's. Which is not known.
            raise TapError(
                f"{point.path} is called again for a gradient, in another thread than the edit at {point.name!r} was "
                "made in: turn activation checkpointing off, or make other gradients outside the block"
            )
        if _recomputing() or not self.depth:
            # Which call of a pass this is cannot be known: every call is edited, or none may be.
            if isinstance(point.call, int):
                raise TapError(
                    f"the edit at {point.name!r} is of one call of a forward pass, and {point.path} was called outside "
                    "of one (by .forward(), from a part of the network, or again for a gradient): call the network "
                    f'itself, without activation checkpointing, or edit every call, "{point.path}@*"'
                )
            return self._edited(inputs, output)
        call = self.calls
        self.calls += 1
        if point.call is None and call:
            raise TapError(
                f"the edit at {point.name!r} does not say which call of {point.path} is meant, which is called "
                f'several times in one forward pass: name one, "{point.path}@0" and so on, or all of them, '
                f'"{point.path}@*"'
            )
        if isinstance(point.call, int) and call != point.call:
            return None
        self.gradients.refuse_if_recomputed_later(point)
        return self._edited(inputs, output)

    def close(self) -> None:
        """The block is left, without an error."""
        self.cut_short += self.depth > 0
        if self.fired:
            return
        name, path = self.point.name, self.point.path
        if not self.cut_short:
            raise TapError(
                f"the edit at {name!r} never fired, so it changed nothing: no forward pass of the network was made in "
                f"the block, or {path} was not called in it; call the network inside the block"
            )
        warnings.warn(
            f"the edit at {name!r} never fired, so it changed nothing: every forward pass in the block ended before "
            f"{path} was called, at the last tap that was read",
            stacklevel=4,
        )

    def _edited(self, inputs: Any, output: Any) -> Any:
        self.fired = True
        before = self.point.select(output)
        after = of_user("edit", self.point, self.function, before)
        if not isinstance(after, torch.Tensor) or after.shape != before.shape:
            got = tuple(after.shape) if isinstance(after, torch.Tensor) else type(after).__name__
            raise TapError(f"the edit at {self.point.name!r} made {got} of a map {tuple(before.shape)}: keep its shape")
        if after.dtype != before.dtype:
            raise TapError(
                f"the edit at {self.point.name!r} made {after.dtype} of a map of {before.dtype}: keep its type, "
                "e.g. .to(a.dtype)"
            )
        if any(_shares(before, given) for given in tensors_of(inputs).values()):
            # The module works in place, and the network may go on with what it gave it rather than what came out.
            if before.requires_grad and torch.is_grad_enabled():
                raise TapError(
                    f"{self.point.path} works in place, and an edit of it would not have its gradient: give it "
                    "inplace=False, or make the pass under torch.no_grad() if only values are wanted"
                )
            before.copy_(after)
            return None
        return self.point.replaced(output, after)


# Edits whose blocks are being run, in the order in which they were entered.
_ENTERED: list[_Edit] = []


class _Gradients:
    """Whether gradients are recorded, and what is done with tensors that are saved for them, as a pass begins."""

    def __init__(self) -> None:
        self.recorded = torch.is_grad_enabled()
        self.saved_by = _saved_by()

    def refuse_if_recomputed_later(self, point: TapPoint) -> None:
        """Refuse a place whose activations a backward pass would compute anew, when the hooks are no longer there."""
        recorded = torch.is_grad_enabled()
        if (self.recorded and not recorded) or (recorded and _saved_by() != self.saved_by):
            raise TapError(
                f"{point.name!r} lies where the network records no gradients or computes activations anew for them "
                "(activation checkpointing, torch.no_grad), so that gradients would not be those of this pass: turn "
                "checkpointing off, or make the pass under torch.no_grad() if only values are wanted"
            )


def _shares(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same numbers in memory."""
    return (
        not a.is_meta and a.shape == b.shape and a.dtype == b.dtype and a.data_ptr() == b.data_ptr() and a.numel() > 0
    )


def _saved_by() -> Any:
    """What packs tensors that are saved for gradients, as activation checkpointing does."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True)  # pyright: ignore[reportAttributeAccessIssue]


def _recomputing() -> bool:
    """Whether a backward pass is running, in which activation checkpointing calls modules again."""
    return torch._C._current_graph_task_id() != -1


def of_user(what: str, point: TapPoint, function: Callable[[Tensor], Any], a: Tensor) -> Any:
    """`function` of a map; its failure is noted as its own."""
    try:
        with exactly():
            return function(a)
    except Exception as error:
        error.add_note(f"raised by the {what} at {point.name!r}, given a map {tuple(a.shape)} of {a.dtype}")
        raise


def setting(
    channels: int | Sequence[int], make: Callable[[Float[Tensor, "n k row col"]], Any]
) -> Callable[[Float[Tensor, "n c row col"]], Float[Tensor, "n c row col"]]:
    """An edit that puts `make` of the chosen channels' maps in their place and leaves the others alone.

    Parameters
    ----------
    channels
        Whole numbers, or a boolean mask with one entry for each channel of the map.
    make
        Given the chosen channels' maps, what is put in their place.

    Raises
    ------
    InputError
        If channels are neither.
    """
    mask, chosen = _mask_or_channels(channels)

    def edit(a: Tensor) -> Tensor:
        if a.ndim != 4:
            raise TapError(f"the tapped output has shape {tuple(a.shape)}, which has no channels to edit: use tap.edit")
        if mask is not None and mask != a.shape[1]:
            raise TapError(
                f"the mask of channels has {mask} entries and the map has {a.shape[1]} channels: give one each"
            )
        outside = [c for c in chosen if not 0 <= c < a.shape[1]]
        if outside:
            raise TapError(f"channels {outside} do not exist here: the map has channels 0…{a.shape[1] - 1}")
        index = torch.tensor(chosen, dtype=torch.long, device=a.device)
        value = _as_of(a, torch.as_tensor(make(a[:, index]), device=a.device))
        try:
            value = value.expand(a.shape[0], len(chosen), *a.shape[2:])
        except RuntimeError as error:
            raise TapError(
                f"a value of shape {tuple(value.shape)} does not fit {len(chosen)} channels of a map {tuple(a.shape)}: "
                "give a number, or a tensor that broadcasts to (N, channels, H, W)"
            ) from error
        return a.index_copy(1, index, value)

    return edit


def _as_of(a: Tensor, value: Tensor) -> Tensor:
    """The value in the map's type; what that type cannot hold is refused, but for rounding."""
    cast = value.real.to(a.dtype) if value.is_complex() and not a.is_complex() else value.to(a.dtype)
    exact = a.is_floating_point() or a.is_complex()
    if (value.is_complex() and not a.is_complex()) or not (exact or torch.equal(cast.to(value.dtype), value)):
        raise TapError(
            f"a value of {value.dtype} does not fit a map of {a.dtype}: give one that this type can hold, or tap a "
            "module whose map is of another type"
        )
    return cast


def _mask_or_channels(channels: Any) -> tuple[int | None, list[int]]:
    """The length of a boolean mask, where it is one, and the chosen channels, each once."""
    what = "whole numbers, or a boolean mask with one entry a channel"
    if is_real(unwrapped(channels)):
        return None, [whole("channels", channels)]
    items = [unwrapped(one) for one in listed("channels", channels, what)]
    if items and all(isinstance(one, bool | np.bool_) for one in items):
        return len(items), [k for k, one in enumerate(items) if one]
    chosen = [whole("channels", one) for one in items]
    if len(set(chosen)) < len(chosen):
        raise InputError(f"{given('channels', chosen)} names a channel twice: give each once")
    return None, chosen
