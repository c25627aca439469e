"""One whole forward pass observed: which modules were called, what came out, and the work until then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from probekit.denoising.blame import first, raise_if_input_is_to_blame
from probekit.denoising.denoiser import network_inside
from probekit.denoising.inputs import input_channels
from probekit.errors import TapError
from probekit.machine.modes import evaluating
from probekit.machine.place import zeros_for

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Visit", "items_of", "network_of", "survey", "trial_batch"]

TRIAL_SIZES = (64, 32, 128, 28, 256, 16, 8)


@dataclass(frozen=True)
class Visit:
    """One module call seen in a survey: which, what came out (its type, its tensors' shapes), the work until then."""

    path: str
    call: int
    module: nn.Module
    output: str
    shapes: Mapping[str | None, tuple[int, ...]]
    work: float


def network_of(denoiser: nn.Module) -> nn.Module:
    """The module whose submodules are tapped: inside a `Denoiser` the user's own network.

    Raises
    ------
    TapError
        If hooks on it would not fire, or not on every call.
    """
    network = network_inside(denoiser)
    for path, module in network.named_modules():
        kind = type(module).__name__
        where = f"{kind} at {path!r}" if path else kind
        if isinstance(module, nn.DataParallel):
            raise TapError(f"{where} runs copies of the network, whose activations are out of reach: give its .module")
        if isinstance(module, torch.jit.ScriptModule):
            raise TapError(f"{where} is compiled, and taps do not fire in it: give the network as it was before")
        if kind == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None:
            raise TapError(
                f"{where} is compiled, and taps do not fire in it: give the network itself "
                "(what torch.compile returned keeps it as ._orig_mod)"
            )
    return network


def survey(denoiser: nn.Module, y: Tensor, sigma: Any = None, **conditions: Any) -> list[Visit]:
    """One whole forward pass of `y`, and every module call in it, in order of completion."""
    network = network_of(denoiser)
    visits: list[Visit] = []
    counts: Counter[str] = Counter()
    paths = {module: path for path, module in network.named_modules()}

    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(evaluating(denoiser))
        flops = stack.enter_context(FlopCounterMode(display=False))

        def seen(module: nn.Module, _: Any, output: Any) -> None:
            path = paths[module]
            found = {None: output} if isinstance(output, torch.Tensor) else items_of(output)
            shapes = {k: tuple(v.shape) for k, v in found.items() if isinstance(v, torch.Tensor)}
            visits.append(
                Visit(path, counts[path], module, type(output).__name__, shapes, float(flops.get_total_flops()))
            )
            counts[path] += 1

        for module in paths:
            stack.callback(module.register_forward_hook(seen).remove)
        try:
            denoiser(y, sigma, **conditions)
        except RuntimeError as error:

            def again(trial: Tensor) -> Any:
                part = {k: first(v, trial.shape[0], of=y.shape[0]) for k, v in conditions.items()}
                return denoiser(trial, first(sigma, trial.shape[0], of=y.shape[0]), **part)

            if network is denoiser:
                raise_if_input_is_to_blame(denoiser, y, again, error)
            raise
    return visits


def trial_batch(denoiser: nn.Module) -> tuple[Tensor, list[Visit]]:
    """A small batch that the network takes, and the survey of it, where no image is at hand."""
    network = network_of(denoiser)
    declared = input_channels(network)
    failure: Exception | None = None
    for channels in (declared,) if declared else (3, 1):
        for size in TRIAL_SIZES:
            y = zeros_for(network, 1, channels, size, size)
            try:
                return y, survey(denoiser, y, 0.5)
            except (RuntimeError, TypeError, ValueError) as error:
                failure = failure or error
    raise TapError(
        f'"mid" could not be found by trying {type(network).__name__} on small images ({failure}): '
        'name the tap by its path, or declare model.tap_aliases = {"mid": path}'
    ) from failure


def items_of(output: Any) -> dict[str, Any]:
    """The items of a module's output by key or position, as strings; none where it is no tuple, list or mapping."""
    if isinstance(output, Mapping):
        return {str(k): v for k, v in output.items()}
    if isinstance(output, tuple | list):
        return {str(i): v for i, v in enumerate(output)}
    return {}
