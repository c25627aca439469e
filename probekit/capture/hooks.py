"""One forward pass observed or edited, by hooks on an unmodified network that live only as long as needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from probekit.capture.sites import Site
from probekit.errors import InputError, TapError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    Reduction = Callable[[Tensor], Tensor]

__all__ = ["REDUCTIONS", "editing", "observing", "reduction", "setting"]


def _wide(x: Tensor) -> Tensor:
    """Half precision widened to float32, so that sums over positions keep their digits."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


REDUCTIONS: Mapping[str, Reduction] = {
    "mean": lambda a: _wide(a).mean(dim=(2, 3)),
    "max": lambda a: _wide(a).amax(dim=(2, 3)),
    "std": lambda a: _wide(a).std(dim=(2, 3), correction=0),
    "energy": lambda a: _wide(a).square().mean(dim=(2, 3)),
}


def reduction(reduce: str | Reduction) -> Reduction:
    """The function (N, C, H, W) → (N, C) called `reduce`; a callable is checked on what it returns.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if isinstance(reduce, str):
        if reduce not in REDUCTIONS:
            raise InputError(
                f"reduce={reduce!r}: give one of {', '.join(REDUCTIONS)}, or a function of a map (N, C, H, W)"
            )
        return _of_maps(REDUCTIONS[reduce])
    if not callable(reduce):
        raise InputError(f"reduce={reduce!r}: give one of {', '.join(REDUCTIONS)}, or a function of a map (N, C, H, W)")

    def checked(a: Tensor) -> Tensor:
        reduced = reduce(a)
        if not isinstance(reduced, torch.Tensor) or reduced.ndim != 2 or reduced.shape[0] != a.shape[0]:
            got = tuple(reduced.shape) if isinstance(reduced, torch.Tensor) else type(reduced).__name__
            raise TapError(f"the reduction made {got} of a map {tuple(a.shape)}: it must return a tensor (N, K)")
        # A view would keep the whole map in memory, and change when the network changes the map in place.
        shared = reduced.untyped_storage().data_ptr() == a.untyped_storage().data_ptr()
        return reduced.clone() if shared else reduced

    return checked


def _of_maps(function: Reduction) -> Reduction:
    def checked(a: Tensor) -> Tensor:
        if a.ndim != 4:
            raise TapError(
                f"the tapped output has shape {tuple(a.shape)}, which is no map (N, C, H, W): tap another module, "
                "or give reduce= a function that makes (N, K) of it"
            )
        return function(a)

    return checked


class _Enough(BaseException):
    """Raised by the hook of the last tap to end the pass; not an Exception, so that networks do not catch it."""


@contextmanager
def observing(
    network: nn.Module, sites: Sequence[Site], read: Callable[[Tensor], Tensor]
) -> Iterator[Callable[[Callable[[], Any]], list[Tensor]]]:
    """Hooks on the sites' modules while the block runs.

    Yields a function that makes one forward pass (it is given the call that makes it), stops it
    after the last site, and returns `read` of each site's output, in the order of the sites. `read`
    runs inside the hook, before the network can change its activations in place.

    Raises
    ------
    TapError
        From the yielded function, where a site did not fire or its output holds no tensor.
    """
    at: dict[nn.Module, list[Site]] = {}
    for site in sites:
        at.setdefault(network.get_submodule(site.path), []).append(site)
    counts: Counter[nn.Module] = Counter()
    found: dict[Site, Tensor] = {}

    def hook(module: nn.Module, _: Any, output: Any) -> None:
        call = counts[module]
        counts[module] += 1
        for site in at[module]:
            if call == (site.call or 0):
                found[site] = read(site.select(output))
        if len(found) == len(sites):
            raise _Enough

    def run(forward: Callable[[], Any]) -> list[Tensor]:
        counts.clear()
        found.clear()
        with suppress(_Enough):
            forward()
        missing = [repr(site.name) for site in sites if site not in found]
        if missing:
            raise TapError(
                f"{', '.join(missing)} did not fire in this forward pass: the module was not called "
                "(or not that often); probekit.taps lists what is"
            )
        return [found[site] for site in sites]

    with ExitStack() as stack:
        for module in at:
            stack.callback(module.register_forward_hook(hook).remove)
        stack.callback(found.clear)
        yield run


@contextmanager
def editing(network: nn.Module, site: Site, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While the block runs, every forward pass goes on with `function` of the site's map in its place."""
    module = network.get_submodule(site.path)
    calls = 0

    def restart(*_: Any) -> None:
        nonlocal calls
        calls = 0

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls - 1 != (site.call or 0):
            return None
        before = site.select(output)
        after = function(before)
        if not isinstance(after, torch.Tensor) or after.shape != before.shape:
            got = tuple(after.shape) if isinstance(after, torch.Tensor) else type(after).__name__
            raise TapError(f"the edit at {site.name!r} made {got} of a map {tuple(before.shape)}: keep its shape")
        return site.replaced(output, after)

    with ExitStack() as stack:
        stack.callback(network.register_forward_pre_hook(restart).remove)
        stack.callback(module.register_forward_hook(hook).remove)
        yield


def setting(
    channels: int | Sequence[int], make: Callable[[Float[Tensor, "n k row col"]], Any]
) -> Callable[[Float[Tensor, "n c row col"]], Float[Tensor, "n c row col"]]:
    """An edit that puts `make` of the chosen channels' maps in their place and leaves the others alone."""
    chosen = [channels] if isinstance(channels, int) else [int(c) for c in channels]

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
