"""In what precision a network's convolutions and linear layers multiply: float32, or less where that is faster.

"float32" is IEEE single precision, also where a device would take less by itself. "bfloat16" rounds images, activations
and weights to bfloat16, whose products AMX, avx512_bf16 and GPUs make several times as fast; sums are float32, and what
comes out is rounded once more. "bfloat16x2" holds each weight as the sum of two bfloat16 numbers, 16 bits, at twice the
products: weights are the same for every noise draw, so that their rounding biases an average over draws, while that of
activations scatters. (oneMKL's mode of that name splits both factors.) "tf32" is the TensorFloat-32 of NVIDIA's GPUs.
Everything else that a network computes, and all that it hands on, is float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cached_property
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from probekit.checks import choice
from probekit.errors import InputError
from probekit.machine.place import place_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ASKED",
    "PRECISIONS",
    "ROUNDING",
    "Arithmetic",
    "Asked",
    "Precision",
    "checked_precision",
    "exactly",
    "lower_precisions",
    "multiplying",
]

Precision = Literal["float32", "tf32", "bfloat16x2", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16x2", "bfloat16")
Asked = Literal["auto", "float32", "tf32", "bfloat16x2", "bfloat16"]
ASKED: tuple[Asked, ...] = ("auto", *PRECISIONS)
# Relative rounding of a factor.
ROUNDING: Mapping[str, float] = {"float32": 2.0**-24, "tf32": 2.0**-11, "bfloat16x2": 2.0**-8, "bfloat16": 2.0**-8}
# Terms that a weight is held as.
TERMS: Mapping[str, int] = {"bfloat16": 1, "bfloat16x2": 2}
AMPERE = 8


class _Layer(NamedTuple):
    """A function of (input, weight, bias, …) that multiplies the two: which dims of them are summed over."""

    of_input: int
    of_weight: int


LAYERS: Mapping[Any, _Layer] = {
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _Layer(1, 1)),
    **dict.fromkeys((torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _Layer(1, 0)),
    nn.functional.linear: _Layer(-1, 1),
}
# Number of groups, by its place behind the bias.
GROUPS = 3
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


# Of this thread: what is asked for inside a pass and is none of the network's layers.
_NOT_OF_NETWORK: ContextVar[bool] = ContextVar("not_of_network", default=False)


class exactly:
    """What is computed in the block is no part of the network: it multiplies as it is written."""

    def __enter__(self) -> None:
        self._token = _NOT_OF_NETWORK.set(True)

    def __exit__(self, *_: object) -> None:
        _NOT_OF_NETWORK.reset(self._token)


def lower_precisions(network: nn.Module) -> tuple[Precision, ...]:
    """What a network may multiply in beside float32, where it is: by its type and device, the coarsest first."""
    place = place_of(network)
    if place.dtype != torch.float32 or place.device.type not in ("cpu", "cuda"):
        return ()
    tensor_cores = place.device.type == "cuda" and torch.cuda.get_device_capability(place.device)[0] >= AMPERE
    return ("bfloat16", "bfloat16x2", "tf32") if tensor_cores else ("bfloat16", "bfloat16x2")


def checked_precision(value: Any, network: nn.Module) -> Precision:
    """A precision that the network can multiply in.

    Raises
    ------
    InputError
        If there is none of the name, or not for a network of this type or on this device.
    """
    found = PRECISIONS[PRECISIONS.index(choice("precision", value, ASKED))]  # pyright: ignore[reportArgumentType]
    there = lower_precisions(network)
    if found == "float32" or found in there:
        return found
    place = place_of(network)
    if place.dtype != torch.float32:
        raise InputError(
            f"precision={value!r}: the network's numbers are {place.dtype}, in which it computes; convert it with "
            '.float(), or leave precision at "float32"'
        )
    others = ", ".join(map(repr, ("auto", "float32", *there)))
    raise InputError(f"precision={value!r}: not to be had on {place.device} ({_why(found)}); give one of {others}")


def _why(precision: Precision) -> str:
    return "TF32 needs an NVIDIA GPU from Ampere on" if precision == "tf32" else "only CPUs and NVIDIA GPUs are known"


class Arithmetic:
    """How the layers of a network multiply, inside blocks.

    Attributes
    ----------
    layers : int
        Calls of layers that multiplied in bfloat16 so far.
    """

    def __init__(self, network: nn.Module) -> None:
        self._place = place_of(network)
        self._terms = _Terms(network)
        self.layers = 0

    @contextmanager
    def computing(self, precision: Precision) -> Iterator[None]:
        """In the block convolutions (of one group) and linear layers of float32 multiply in this precision.

        What surrounds the block, such as torch.autocast, does not reach into it; a network that is float64 or half
        precision computes as it is. Gradients pass through to the inputs of a layer; in bfloat16, not to its weights.
        """
        with ExitStack() as stack:
            stack.enter_context(multiplying("tf32" if precision == "tf32" else "ieee"))
            device = self._place.device.type
            if torch.amp.is_autocast_available(device):
                stack.enter_context(torch.autocast(device, enabled=False))
            if precision in TERMS:
                stack.enter_context(_Rounded(self, TERMS[precision]))
            yield

    @contextmanager
    def switching(self) -> Iterator[Callable[[Precision], None]]:
        """A function that has the rest of the block compute in a precision, until it is called with another."""
        now: Precision | None = None
        with ExitStack() as stack:

            def switch(precision: Precision) -> None:
                nonlocal now
                if precision != now:
                    stack.close()
                    stack.enter_context(self.computing(precision))
                    now = precision

            yield switch

    def terms(self, weight: Tensor, count: int, dim: int) -> Tensor:
        """A weight as the sum of so many bfloat16 tensors, side by side along `dim`."""
        return self._terms.of(weight, count, dim)


class _Rounded(TorchFunctionMode):
    """Layers multiply in bfloat16 inside the block."""

    def __init__(self, arithmetic: Arithmetic, terms: int) -> None:
        super().__init__()
        self.arithmetic, self.terms = arithmetic, terms

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        layer = LAYERS.get(func)
        if layer is None or _NOT_OF_NETWORK.get():
            return func(*args, **(kwargs or {}))
        return self._called(func, layer, *args, **(kwargs or {}))

    def _called(
        self, func: Any, layer: _Layer, input: Any, weight: Any, bias: Any = None, *rest: Any, **named: Any
    ) -> Any:
        groups = rest[GROUPS] if len(rest) > GROUPS else named.get("groups", 1)
        batched = layer.of_input == -1 or input.ndim == weight.ndim
        single = all(a.dtype == torch.float32 and not a.is_meta for a in (input, weight))
        if groups != 1 or not batched or not single:
            return func(input, weight, bias, *rest, **named)
        self.arithmetic.layers += 1
        # As float32 would come out.
        last = next((f for a in (input, weight) if (f := LAST.get(a.ndim)) and _is(a, f)), None)
        convolving = layer.of_input == 1 and input.ndim in LAST
        fastest = LAST[input.ndim] if convolving else torch.preserve_format
        rounded = input.to(torch.bfloat16, memory_format=fastest)
        if self.terms > 1:
            rounded = torch.cat([rounded] * self.terms, dim=layer.of_input)
        out = func(rounded, self.arithmetic.terms(weight, self.terms, layer.of_weight), None, *rest, **named)
        if bias is None:
            found = out.float()
        else:
            # In float32: the bias is the same for all noise, too.
            found = out + (bias.view(-1, *[1] * (weight.ndim - 2)) if layer.of_input == 1 else bias)
        return found if last or not convolving else found.contiguous()


def _is(a: Tensor, format: torch.memory_format) -> bool:
    """Whether a tensor lies in this format, and in no other."""
    return a.is_contiguous(memory_format=format) and not a.is_contiguous()


class _Terms:
    """The network's weights as sums of bfloat16 numbers, made once for as long as a weight stays as it is."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._made: dict[tuple[int, int, int], tuple[Tensor, int, Tensor]] = {}

    @cached_property
    def _kept(self) -> set[int]:
        return {id(a) for numbers in (self._network.parameters(), self._network.buffers()) for a in numbers}

    def of(self, weight: Tensor, count: int, dim: int) -> Tensor:
        if id(weight) not in self._kept or weight.is_inference():
            return _split(weight.detach(), count, dim)
        key = (id(weight), count, dim)
        held, version, made = self._made.get(key, (None, -1, weight))
        if held is not weight or version != weight._version:
            made = _split(weight.detach(), count, dim)
            self._made[key] = weight, weight._version, made
        return made


def _split(weight: Tensor, count: int, dim: int) -> Tensor:
    terms: list[Tensor] = []
    for _ in range(count):
        terms.append(weight.bfloat16())
        weight = weight - terms[-1].float()
    joined = torch.cat(terms, dim=dim)
    return joined.contiguous(memory_format=LAST[joined.ndim]) if joined.ndim in LAST else joined


# Who asks how factors are taken: of each block that is open, its thread and what it asks for; and what was before all.
_OPEN: dict[object, tuple[int, str]] = {}
_BEFORE: list[tuple[Callable[[Any], None], Any]] = []
# An open block may be ended by the collection of garbage, in the midst of a change.
_CHANGING = RLock()


@contextmanager
def multiplying(how: Literal["ieee", "tf32"]) -> Iterator[None]:
    """How float32 factors are taken by cuDNN, cuBLAS and oneDNN inside the block.

    These are settings of the process. Where several threads are in such a block, they stay until the last has left it;
    each is asked for what its innermost block says, and all are given "ieee" if one asks for that.
    """
    block = object()
    with _CHANGING:
        if not _OPEN:
            switches = _switches() if hasattr(torch.backends.cudnn, "conv") else _switches_before()
            _BEFORE[:] = [(put, get()) for get, put in switches]
        _OPEN[block] = get_ident(), how
        _put_what_is_asked()
    try:
        yield
    finally:
        with _CHANGING:
            del _OPEN[block]
            _put_what_is_asked()


def _put_what_is_asked() -> None:
    innermost = dict(_OPEN.values())
    wanted = "ieee" if "ieee" in innermost.values() else "tf32"
    for put, before in _BEFORE:
        put(wanted if innermost else before)


def _switches() -> list[tuple[Callable[[], Any], Callable[[Any], None]]]:
    """The settings of torch from 2.9 on."""
    backends: Any = torch.backends
    parts = [
        getattr(getattr(backends, library), part)
        for library, known in (("cudnn", ("conv", "rnn")), ("cuda", ("matmul",)), ("mkldnn", ("conv", "matmul", "rnn")))
        for part in known
    ]

    def put(part: Any, value: Any) -> None:
        # oneDNN on CPUs has no TF32, and takes the word for something else.
        part.fp32_precision = "ieee" if value == "tf32" and part in parts[3:] else value

    return [(lambda part=part: part.fp32_precision, lambda value, part=part: put(part, value)) for part in parts]


def _switches_before() -> list[tuple[Callable[[], Any], Callable[[Any], None]]]:
    cudnn: Any = torch.backends.cudnn

    def put(value: Any) -> None:
        cudnn.allow_tf32 = value if isinstance(value, bool) else value == "tf32"

    def put_products(value: str) -> None:
        torch.set_float32_matmul_precision({"ieee": "highest", "tf32": "high"}.get(value, value))

    return [(lambda: cudnn.allow_tf32, put), (torch.get_float32_matmul_precision, put_products)]
