"""One whole forward pass observed: which modules were called, what came out, and the work until then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from probekit.capture.items import tensors_of
from probekit.capture.state import State, preserved
from probekit.denoising.blame import first, part_for, raise_if_input_is_to_blame
from probekit.denoising.denoiser import network_inside
from probekit.denoising.inputs import input_channels
from probekit.errors import ModelError, ProbeError, TapError
from probekit.machine.modes import evaluating, trying, uncompiled
from probekit.machine.place import zeros_for

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.capture.items import Item

__all__ = ["NotTried", "Operations", "Visit", "network_of", "opaque", "survey", "tappable", "trial"]

TRIAL_SIZES = (64, 32, 128, 28, 16, 8)
TRIAL_PLANES = (3, 1)


@dataclass(frozen=True)
class Visit:
    """One module call seen in a survey.

    Attributes
    ----------
    path, call, module
        Which, and which of its calls, from 0.
    output : str
        Type of what came out.
    maps : Mapping[Item, Tensor]
        For each tensor in the output one of zeros, of its shape, type and device, that takes no memory.
    work : float
        Operations of the pass until then; NaN where they were not, or could not be, counted.
    changed : tuple[str, ...]
        Attributes and buffers that the pass had changed by then; looked for at the `watched` paths only.
    """

    path: str
    call: int
    module: nn.Module
    output: str
    maps: Mapping[Item, Tensor]
    work: float
    changed: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[Item, tuple[int, ...]]:
        """Shape of each tensor in the output."""
        return {item: tuple(a.shape) for item, a in self.maps.items()}


class NotTried(TapError):
    """No small image was found that the network takes."""


def network_of(denoiser: nn.Module) -> nn.Module:
    """The module whose submodules are tapped: inside a `Denoiser` the user's own network, as it was before compiling.

    Raises
    ------
    TapError
        If hooks on it would not fire, or not on every call, or a pass would make its weights.
    """
    given = network_inside(denoiser)
    network = getattr(given, "_orig_mod", given)
    for path, module in network.named_modules():
        kind = type(module).__name__
        where = f"{kind} at {path!r}" if path else kind
        if isinstance(module, nn.DataParallel):
            raise TapError(f"{where} runs copies of the network, whose activations are out of reach: give its .module")
        if isinstance(module, torch.jit.ScriptModule) and module is network:
            raise TapError(f"{where} is compiled, and taps do not fire in it: give the network as it was before")
        if any(is_lazy(a) for a in _own_tensors(module)):
            raise TapError(
                f"{where} has no weights before its first forward pass, which would make them for good: call the "
                "network once on a batch of its images first, model(batch)"
            )
    return network


def tappable(network: nn.Module) -> dict[nn.Module, str]:
    """Path of each module on which hooks fire: of all but scripted ones and what is inside them."""
    named = dict(network.named_modules())
    return {module: path for path, module in named.items() if opaque(network, path) is None}


def opaque(network: nn.Module, path: str) -> str | None:
    """The path of the scripted module in which, or at which, `path` lies; None where it lies in none."""
    parts = path.split(".") if path else []
    for count in range(len(parts) + 1):
        outer = ".".join(parts[:count])
        if isinstance(network.get_submodule(outer), torch.jit.ScriptModule):
            return outer
    return None


def survey(
    denoiser: nn.Module,
    y: Tensor,
    sigma: Any = None,
    *,
    conditions: Mapping[str, Any] | None = None,
    watched: Collection[str] = (),
    counted: bool = False,
) -> list[Visit]:
    """One whole forward pass of `y`, and every module call in it, in order of completion.

    The network's attributes and buffers are afterwards as before. Where a pass changes them before a watched module's
    output, a second one, of another batch, tells what each pass changes from what the first one made for good.

    Parameters
    ----------
    denoiser, y, sigma, conditions
        What is called with what.
    watched
        Paths of modules at whose calls it is looked whether the pass has changed the network's state.
    counted
        Whether operations are counted; where that makes the pass fail, it is made again without.
    """
    network = network_of(denoiser)
    passes = _Passes(denoiser, network, y, sigma, conditions or {}, frozenset(watched))
    with preserved(network) as before:
        visits = passes.counted() if counted else passes.one(before)
        return replace(passes, y=_another(y)).one() if any(v.changed for v in visits) else visits


@dataclass(frozen=True)
class _Passes:
    """Whole passes of one batch."""

    denoiser: nn.Module
    network: nn.Module
    y: Tensor
    sigma: Any
    conditions: Mapping[str, Any]
    watched: frozenset[str]

    def counted(self) -> list[Visit]:
        """One pass whose operations are counted; where they cannot be, a pass without."""
        try:
            with preserved(self.network) as before, Operations() as operations:
                return self.one(before, operations)
        except ProbeError:
            raise
        except Exception:
            # A network that differentiates inside, tensors of other kinds: counting never stops a measurement.
            return self.one()

    def one(self, before: State | None = None, operations: Operations | None = None) -> list[Visit]:
        """One pass, and the visits in it; `before` is the state of the network, where it is known."""
        visits: list[Visit] = []
        counts: Counter[str] = Counter()
        paths = tappable(self.network)

        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(evaluating(self.denoiser))
            stack.enter_context(uncompiled())
            state = (before or State(self.network)) if self.watched else None

            def seen(module: nn.Module, _: Any, output: Any) -> None:
                path = paths[module]
                maps = {item: _hollow(a) for item, a in tensors_of(output).items()}
                work = float("nan") if operations is None else float(operations.total)
                changed = state.changed() if state is not None and path in self.watched else ()
                visits.append(Visit(path, counts[path], module, type(output).__name__, maps, work, changed))
                counts[path] += 1

            for module in paths:
                stack.callback(module.register_forward_hook(seen).remove)
            try:
                self.denoiser(self.y, self.sigma, **self.conditions)
            except RuntimeError as error:
                if self.network is self.denoiser:
                    raise_if_input_is_to_blame(self.denoiser, self.y, self._again, error, self.conditions)
                raise
        return visits

    def _again(self, trial: Tensor) -> Any:
        sigma = first(self.sigma, trial.shape[0], of=self.y.shape[0])
        return self.denoiser(trial, sigma, **part_for(self.conditions, trial, of=self.y))


def trial(denoiser: nn.Module) -> tuple[Tensor, list[Visit]]:
    """A small batch that the network takes, and the survey of it, where no image is at hand.

    Raises
    ------
    NotTried
        If none of the sizes and numbers of planes that are tried will do.
    ModelError
        If the network returns what is no clean estimate.
    """
    network = network_of(denoiser)
    declared, first_planes = getattr(network, "image_channels", None), input_channels(network)
    guesses = (declared,) if isinstance(declared, int) else tuple(dict.fromkeys([first_planes or 3, *TRIAL_PLANES]))
    failures: list[Exception] = []
    for planes in guesses:
        for size in TRIAL_SIZES:
            y = zeros_for(network, 1, planes, size, size)
            try:
                with trying():
                    return y, survey(denoiser, y, 0.5)
            except ModelError as error:
                # What a network returns is not mended by another size.
                failures.append(error)
                break
            except Exception as error:
                failures.append(error)
    broken = next((e for e in failures if isinstance(e, ModelError)), None)
    if broken is not None:
        raise broken
    raise NotTried(f"{type(network).__name__} takes none of the small images that were tried ({failures[0]})")


class Operations(TorchDispatchMode):
    """Counts operations as torch.utils.flop_counter does, without its hooks on modules and gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        counts = flop_registry.get(func._overloadpacket)
        if counts is None and torch.is_inference_mode_enabled():
            # Outside inference mode autograd has taken such operations apart already.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if counts is not None:
            self.total += counts(*args, **kwargs, out_val=out)
        return out


def _own_tensors(module: nn.Module) -> Iterator[Any]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)


def _another(y: Tensor) -> Tensor:
    """Another batch of the same shape, that no normalisation makes the same."""
    return torch.linspace(0, 1, y.numel(), dtype=y.dtype, device=y.device).reshape(y.shape)


def _hollow(a: Tensor) -> Tensor:
    return a.detach().new_zeros(()).expand(a.shape)
