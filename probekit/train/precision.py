"""The number format of training steps: as asked for, or the fastest by trial whose gradient is that of float32."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import torch

from probekit.checks import given
from probekit.errors import InputError, ModelError
from probekit.machine.precision import multiplying

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = [
    "AUTO",
    "FLOAT32",
    "SHORTEST",
    "Precision",
    "Timed",
    "candidates",
    "checked",
    "kept",
    "products",
    "rounding",
    "trial",
    "untouched",
]

Precision = Literal["auto", "float32", "tf32", "bfloat16"]
KNOWN: tuple[Precision, ...] = get_args(Precision)
AUTO: Precision = "auto"
FLOAT32: Precision = "float32"
TF32: Precision = "tf32"
BFLOAT16: Precision = "bfloat16"

# Runs of fewer steps are in float32: a trial takes the time of about ten.
SHORTEST = 100
# Of a gradient off by 72 roundings of bfloat16: 1 − (72·2⁻⁹)²/2; new networks of the package are off by 4 to 41.
LEAST_COSINE = 0.99
# Ten roundings of 2⁻⁹; new networks of the package are off by at most 5.
MOST_LOSS_ERROR = 0.02
# Less is within what a clock says of two equal steps, and float32 is the more precise.
LEAST_GAIN = 1.05
# Where products of a kind are emulated a few images take many times as long; overheads weigh more on few than on all.
PATIENCE = 2
LEAST_LAPS, MOST_LAPS, SECONDS = 3, 15, 1.0


class Timed(NamedTuple):
    """A step that was tried: how long it took, the loss, and the gradient."""

    seconds: float
    loss: float
    gradient: list[Tensor]


def checked(precision: Any, device: torch.device) -> Precision:
    """The precision of this name, if the device has it.

    Raises
    ------
    InputError
        If there is none of this name, or the device lacks it.
    """
    if isinstance(precision, str) and precision == "bf16":
        raise InputError('precision="bf16": write "bfloat16"')
    if not isinstance(precision, str) or precision not in KNOWN:
        raise InputError(f"{given('precision', precision)}: give one of {', '.join(KNOWN)}")
    if precision == TF32 and device.type != "cuda":
        raise InputError(f'precision="tf32" is of GPUs, and training is on {device}: give "float32", or "auto"')
    return KNOWN[KNOWN.index(precision)]


def kept(precision: Any, path: Path) -> Precision:
    """The precision that a checkpoint names; one of GPUs may go on elsewhere, where its products are of float32.

    Raises
    ------
    ModelError
        If this version knows none of this name.
    """
    if precision not in KNOWN[1:]:
        raise ModelError(
            f"{path} is of a run in {precision!r}; this version knows {', '.join(KNOWN[1:])}: upgrade probekit"
        )
    return KNOWN[KNOWN.index(precision)]


def candidates(device: torch.device) -> tuple[Precision, ...]:
    """What may be faster than float32 on a device."""
    return (TF32, BFLOAT16) if device.type == "cuda" else (BFLOAT16,)


def rounding(precision: Precision, device: torch.device) -> torch.autocast:
    """The context of a forward pass in this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == BFLOAT16)


def products(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """On GPUs, products of float32 inside the block, forward and backward, are of TF32 in this precision alone."""
    return multiplying("tf32" if precision == TF32 else "ieee") if device.type == "cuda" else nullcontext()


@contextmanager
def untouched(model: nn.Module, device: torch.device) -> Iterator[None]:
    """After the block weights, buffers, gradients and streams of random numbers are bit for bit what they were."""
    buffers = [(m, name, b) for m in model.modules() for name, b in m._buffers.items() if b is not None]
    tensors = [*model.parameters(), *(b for _, _, b in buffers)]
    copies, gradients = [t.detach().clone() for t in tensors], [(p, p.grad) for p in model.parameters()]
    # A network's own code may draw by the old global generator.
    drawn = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])  # noqa: NPY002
            for module, name, buffer in buffers:
                module._buffers[name] = buffer
            with torch.no_grad():
                for tensor, copy in zip(tensors, copies, strict=True):
                    tensor.copy_(copy)
            for parameter, gradient in gradients:
                parameter.grad = gradient


def trial(
    few: Callable[[Precision], Timed], step: Callable[[Precision], Timed], others: Sequence[Precision]
) -> tuple[Precision, dict[str, dict[str, Any]]]:
    """The fastest precision whose loss and gradient agree with float32's, and what was found of each other one.

    They agree if the cosine between the gradients of the whole network is at least 0.99 and the losses are within 2 %.
    To be taken a candidate must be faster by 5 %; one that is twice as slow on a few images is tried no further.

    Parameters
    ----------
    few, step
        Make a step in a precision on a few images, and on a batch, and leave no trace.
    others
        The candidates beside float32.

    Returns
    -------
    tuple
        The precision; and for each candidate its "cosine", "loss error" (relative), and "gain", the time of a step in
        float32 over its own, None where a batch in float32 does not fit into memory; or why it is "not taken".
    """
    pace = _second(few, FLOAT32)
    try:
        reference, fits = step(FLOAT32), True
    except torch.OutOfMemoryError:
        # What has room for a batch in half the bytes is compared on a few images.
        reference, fits = few(FLOAT32), False
    found = {name: _entered(name, pace, few, step, reference, fits) for name in others}
    entrants: list[Precision] = [name for name in others if "not taken" not in found[name]]
    if not entrants:
        return FLOAT32, found
    seconds = _raced(step, [FLOAT32, *entrants] if fits else entrants)
    for name in entrants:
        found[name]["gain"] = seconds[FLOAT32] / seconds[name] if fits else None
    best = min(entrants, key=lambda name: seconds[name])
    return best if not fits or found[best]["gain"] >= LEAST_GAIN else FLOAT32, found


def _second(few: Callable[[Precision], Timed], name: Precision) -> float:
    """Seconds of the second step on a few images: in the first, kernels are made."""
    return [few(name).seconds for _ in range(2)][1]


def _entered(
    name: Precision,
    pace: float,
    few: Callable[[Precision], Timed],
    step: Callable[[Precision], Timed],
    reference: Timed,
    fits: bool,
) -> dict[str, Any]:
    """How far a candidate agrees with the reference, or why it is not tried further."""
    try:
        if (slower := _second(few, name) / pace) > PATIENCE:
            return {"not taken": f"{slower:.1f} times as slow on a few images"}
        own = step(name)
        found = _agreement(reference, own if fits else few(name))
    except (RuntimeError, TypeError) as error:
        return {"not taken": f"it fails: {(str(error).splitlines() or [type(error).__name__])[0]}"}
    # Numbers that are none agree with nothing.
    if not (found["cosine"] >= LEAST_COSINE and found["loss error"] <= MOST_LOSS_ERROR):
        found = {
            "not taken": f"the gradient's cosine with float32's is {found['cosine']:.4f}, the loss is off by "
            f"{found['loss error']:.2%}"
        }
    return found


def _agreement(reference: Timed, other: Timed) -> dict[str, Any]:
    """Cosine between two gradients, and the relative difference of the losses."""
    pairs = list(zip(reference.gradient, other.gradient, strict=True))
    inner, first, second = (
        sum(float((a * b).sum(dtype=torch.float64)) for a, b in products)
        for products in (pairs, [(a, a) for a, _ in pairs], [(b, b) for _, b in pairs])
    )
    lengths = (first * second) ** 0.5
    # Of a loss of 0 all of the other's is error.
    off = abs(other.loss - reference.loss)
    return {
        "cosine": inner / lengths if lengths else float(first == second),
        "loss error": off / reference.loss if reference.loss else float(off > 0),
    }


def _raced(step: Callable[[Precision], Timed], names: Sequence[Precision]) -> dict[Precision, float]:
    """Median seconds of a step in each precision, one after the other in every lap."""
    laps: list[list[float]] = []
    began = time.perf_counter()
    while len(laps) < LEAST_LAPS or (len(laps) < MOST_LAPS and time.perf_counter() - began < SECONDS):
        laps.append([step(name).seconds for name in names])
    return dict(zip(names, np.median(laps, axis=0).tolist(), strict=True))
