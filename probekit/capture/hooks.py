"""One forward pass observed or edited, by hooks on an unmodified network that live only as long as needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from probekit.capture.names import TapPoint
from probekit.checks import whole
from probekit.errors import TapError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["editing", "observing", "setting"]


class _Enough(BaseException):
    """Raised by the hook of the last tap to end the pass; not an Exception, so that networks do not catch it."""


@contextmanager
def observing(
    network: nn.Module, points: Sequence[TapPoint], read: Callable[[Tensor], Tensor]
) -> Iterator[Callable[[Callable[[], Any]], list[Tensor]]]:
    """Hooks on the points' modules while the block runs.

    Yields a function that makes one forward pass (it is given the call that makes it), stops it
    after the last point, and returns `read` of each point's output, in the order of the points. `read`
    runs inside the hook, before the network can change its activations in place.

    Raises
    ------
    TapError
        From the yielded function, where a point did not fire or its output holds no tensor.
    """
    at: dict[nn.Module, list[TapPoint]] = {}
    for point in points:
        at.setdefault(network.get_submodule(point.path), []).append(point)
    counts: Counter[nn.Module] = Counter()
    found: dict[TapPoint, Tensor] = {}

    def hook(module: nn.Module, _: Any, output: Any) -> None:
        call = counts[module]
        counts[module] += 1
        for point in at[module]:
            if call == (point.call or 0):
                found[point] = read(point.select(output))
        if len(found) == len(points):
            raise _Enough

    def run(forward: Callable[[], Any]) -> list[Tensor]:
        counts.clear()
        found.clear()
        with suppress(_Enough):
            forward()
        missing = [repr(point.name) for point in points if point not in found]
        if missing:
            raise TapError(
                f"{', '.join(missing)} did not fire in this forward pass: the module was not called "
                "(or not that often); probekit.taps lists what is"
            )
        return [found[point] for point in points]

    with ExitStack() as stack:
        for module in at:
            stack.callback(module.register_forward_hook(hook).remove)
        stack.callback(found.clear)
        yield run


@contextmanager
def editing(network: nn.Module, point: TapPoint, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While the block runs, every forward pass goes on with `function` of the point's map in its place."""
    module = network.get_submodule(point.path)
    calls = 0

    def restart(*_: Any) -> None:
        nonlocal calls
        calls = 0

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls - 1 != (point.call or 0):
            return None
        before = point.select(output)
        after = function(before)
        if not isinstance(after, torch.Tensor) or after.shape != before.shape:
            got = tuple(after.shape) if isinstance(after, torch.Tensor) else type(after).__name__
            raise TapError(f"the edit at {point.name!r} made {got} of a map {tuple(before.shape)}: keep its shape")
        return point.replaced(output, after)

    with ExitStack() as stack:
        stack.callback(network.register_forward_pre_hook(restart).remove)
        stack.callback(module.register_forward_hook(hook).remove)
        yield


def setting(
    channels: int | Sequence[int], make: Callable[[Float[Tensor, "n k row col"]], Any]
) -> Callable[[Float[Tensor, "n c row col"]], Float[Tensor, "n c row col"]]:
    """An edit that puts `make` of the chosen channels' maps in their place and leaves the others alone.

    Raises
    ------
    InputError
        If channels are no whole numbers.
    """
    given = channels.tolist() if isinstance(channels, torch.Tensor) else channels
    chosen = [whole("channels", c) for c in np.asarray(given).ravel().tolist()]

    def edit(a: Tensor) -> Tensor:
        if a.ndim != 4:
            raise TapError(f"the tapped output has shape {tuple(a.shape)}, which has no channels to edit: use tap.edit")
        outside = [c for c in chosen if not 0 <= c < a.shape[1]]
        if outside:
            raise TapError(f"channels {outside} do not exist here: the map has channels 0…{a.shape[1] - 1}")
        index = torch.tensor(chosen, dtype=torch.long, device=a.device)
        value = torch.as_tensor(make(a[:, index]), dtype=a.dtype, device=a.device)
        try:
            value = value.expand(a.shape[0], len(chosen), *a.shape[2:])
        except RuntimeError as error:
            raise TapError(
                f"a value of shape {tuple(value.shape)} does not fit {len(chosen)} channels of a map {tuple(a.shape)}: "
                "give a number, or a tensor that broadcasts to (N, channels, H, W)"
            ) from error
        return a.index_copy(1, index, value)

    return edit
