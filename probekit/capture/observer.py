"""Tapped points of a denoiser: how far a pass must go to reach them, what comes out there, and reading it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from probekit.capture.hooks import observing
from probekit.capture.names import TapPoint
from probekit.capture.survey import Visit, network_of, survey
from probekit.denoising.dependence import warn_of_batch
from probekit.errors import TapError
from probekit.machine.modes import evaluating
from probekit.machine.place import place_of, zeros_for
from probekit.machine.weights import WeightsHash

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Observer", "Reach"]

# A forward pass that keeps no gradients holds a few activations at a time: input, output, skips.
LIVE_ACTIVATIONS = 6


@dataclass(frozen=True)
class Reach:
    """The module calls of a forward pass up to its last tap.

    Attributes
    ----------
    visits : Sequence[Visit]
        The calls, in order of completion.
    ends : Mapping[TapPoint, Visit]
        The call at each tap.
    """

    visits: Sequence[Visit]
    ends: Mapping[TapPoint, Visit]

    @property
    def largest(self) -> int:
        """Elements of the largest activation on the way, for the batch that was surveyed."""
        return max((math.prod(s) for v in self.visits for s in v.shapes.values()), default=1)

    def shape(self, point: TapPoint) -> tuple[int, ...]:
        """Shape of what comes out at a tap.

        Raises
        ------
        TapError
            If that is no tensor.
        """
        visit = self.ends[point]
        if point.item not in visit.shapes:
            raise TapError(point.missing(visit.output, list(visit.shapes)))
        return visit.shapes[point.item]


class Observer:
    """Points of a denoiser, read in forward passes that leave it as it was.

    Attributes
    ----------
    denoiser : nn.Module
        What is called with (y, sigma).
    network : nn.Module
        The module whose submodules the points are in.
    points : tuple[TapPoint, ...]
        Where it is read.
    weights_sha256 : callable
        Gives the SHA-256 of the network's weights.
    """

    def __init__(self, denoiser: nn.Module, points: tuple[TapPoint, ...]) -> None:
        self.denoiser = denoiser
        self.network = network_of(denoiser)
        warn_of_batch(self.network, stacklevel=4)
        self.points = points
        self.weights_sha256 = WeightsHash(self.network)
        self._reached: dict[tuple[int | str, ...], Reach] = {}

    @property
    def name(self) -> str:
        """What results call the denoiser."""
        return str(getattr(self.denoiser, "name", type(self.denoiser).__name__))

    @property
    def place(self) -> Tensor:
        """A tensor of the type and on the device in which the network computes."""
        return place_of(self.network)

    def only(self, what: str) -> TapPoint:
        """The one point there is.

        Raises
        ------
        TapError
            If there are several; `what` says what is done at one only.
        """
        point, *others = self.points
        if others:
            names = ", ".join(point.name for point in self.points)
            raise TapError(f"{what} at one tap at a time, not at {names}: make a tap for each")
        return point

    @contextmanager
    def running(self, read: Callable[[Tensor], Tensor]) -> Iterator[Callable[[Callable[[], Any]], list[Tensor]]]:
        """A function that makes the pass it is given, in evaluation mode, and returns `read` of each point's output."""
        with evaluating(self.denoiser), observing(self.network, self.points, read) as run:
            yield run

    @contextmanager
    def reading(self, read: Callable[[Tensor], Tensor]) -> Iterator[Callable[[Tensor, float], list[Tensor]]]:
        """A function (noisy batch, σ) → `read` of the output at each point, without gradients, while the block runs."""
        with torch.no_grad(), self.running(read) as run:
            yield lambda y, level: run(lambda: self.denoiser(y, level))

    def reach(
        self, shape: tuple[int, ...], sigma: Any = 0.5, count: int = 1, conditions: Mapping[str, Any] | None = None
    ) -> Reach:
        """How far a pass of images of this shape goes; seen once for each shape and names of conditions.

        Raises
        ------
        TapError
            If a point is not reached, or more than once where its tap does not say which call is meant.
        """
        conditions = conditions or {}
        case = (*shape, *sorted(conditions))
        if case not in self._reached:
            visits = survey(self.denoiser, zeros_for(self.network, count, *shape), sigma, **conditions)
            ends = {point: _position(self.network, point, visits) for point in self.points}
            passed = visits[: max(ends.values(), default=0) + 1]
            self._reached[case] = Reach(passed, {point: visits[end] for point, end in ends.items()})
        return self._reached[case]

    def widths(self, reached: Reach, reduce: Callable[[Tensor], Tensor]) -> dict[str, int]:
        """Number of values that a reduction gives at each point."""
        shapes = {point.name: reached.shape(point) for point in self.points}
        return {name: reduce(torch.zeros(shape)).shape[1] for name, shape in shapes.items()}

    def image_bytes(self, reached: Reach) -> int:
        """About what one image takes of memory in a pass without gradients."""
        return LIVE_ACTIVATIONS * reached.largest * self.place.dtype.itemsize


def _position(network: nn.Module, point: TapPoint, visits: Sequence[Visit]) -> int:
    """Position among the visits of the call that the tap names."""
    module = network.get_submodule(point.path)
    calls = [i for i, v in enumerate(visits) if v.module is module]
    if not calls:
        raise TapError(
            f"tap {point.name!r} did not fire: {point.path} is not called in a forward pass; "
            "probekit.taps lists what is"
        )
    if len(calls) > 1 and point.call is None:
        raise TapError(
            f"{point.path!r} is called {len(calls)} times in one forward pass: say which, "
            f'"{point.path}@0" to "{point.path}@{len(calls) - 1}"'
        )
    if (point.call or 0) >= len(calls):
        raise TapError(f"tap {point.name!r}: {point.path} is called {len(calls)} times, counted from @0")
    return calls[point.call or 0]
