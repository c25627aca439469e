"""Tapped points of a denoiser: how far a pass must go to reach them, what comes out there, and reading it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from probekit.capture.hooks import observing, of_user
from probekit.capture.names import EVERY, TapPoint, check_distinct, located
from probekit.capture.passes import Passes
from probekit.capture.state import preserved
from probekit.capture.survey import Visit, network_of, survey
from probekit.denoising.dependence import warn_of_batch
from probekit.errors import TapError
from probekit.machine.modes import evaluating, every_module
from probekit.machine.place import place_of, zeros_for
from probekit.machine.precision import Arithmetic
from probekit.machine.weights import WeightsHash

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.machine.precision import Precision

__all__ = ["Observer", "Reach"]

# A forward pass that keeps no gradients holds a few activations at a time: input, output, skips.
LIVE_ACTIVATIONS = 6
MAX_NAMED = 4


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
        return max((a.numel() for v in self.visits for a in v.maps.values()), default=1)

    def map(self, point: TapPoint) -> Tensor:
        """What comes out at a tap, as zeros of its shape, type and device.

        Raises
        ------
        TapError
            If that is no tensor.
        """
        visit = self.ends[point]
        if point.item not in visit.maps:
            raise TapError(point.missing(visit.output, list(visit.maps)))
        return visit.maps[point.item]

    def shape(self, point: TapPoint) -> tuple[int, ...]:
        """Shape of what comes out at a tap; see `map`."""
        return tuple(self.map(point).shape)


class Observer:
    """Points of a denoiser, read in forward passes that leave it as it was.

    Attributes
    ----------
    denoiser : nn.Module
        What is called with (y, sigma).
    network : nn.Module
        The module whose submodules the points are in.
    points : tuple[TapPoint, ...]
        Where it is read; "mid" may be without a path until a pass of images is reached for.
    weights_sha256 : callable
        Gives the SHA-256 of the network's weights and buffers, without those that only count passes.
    """

    def __init__(self, denoiser: nn.Module, points: tuple[TapPoint, ...]) -> None:
        self.denoiser = denoiser
        self.network = network_of(denoiser)
        warn_of_batch(self.network, stacklevel=4)
        self.points = points
        self.weights_sha256 = WeightsHash(self.network)
        self._reached: dict[tuple[Any, ...], Reach] = {}
        self._changes: tuple[str, ...] = ()

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

    @property
    def to_the_end(self) -> bool:
        """Whether passes go to their end, and are not stopped at the last point."""
        return bool(self._changes) or _sharded(self.network)

    @contextmanager
    def running(self, read: Callable[[Tensor], Tensor]) -> Iterator[Callable[[Callable[[], Any]], list[Tensor]]]:
        """A function that makes the pass it is given, in evaluation mode, and returns `read` of each point's output.

        A pass stops at the last point; of a network that keeps things on its attributes it goes to the end, and each
        begins with what the network held before.
        """
        with evaluating(self.denoiser), observing(self.network, self.points, read, to_the_end=self.to_the_end) as run:

            def alone(forward: Callable[[], Any]) -> list[Tensor]:
                with preserved(self.network):
                    return run(forward)

            yield alone if self._changes else run

    @contextmanager
    def reading(
        self,
        read: Callable[[Tensor], Tensor],
        precision_at: Callable[[float], Precision] | None = None,
        *,
        channels_last: bool = False,
        batch: int | None = None,
        plain: bool = False,
        done: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Callable[[Tensor, float, Mapping[str, Any]], list[Tensor]]]:
        """A function (noisy images, σ, conditions) → `read` of each point's output, without gradients, in the block.

        Layers multiply in the precision that `precision_at` says for a σ, by default in float32; images may be laid
        out channels last, and be more than the `batch` of one pass. A `plain` read neither writes to the map nor
        differentiates. `done` is told how many images each pass had.
        """
        with (
            torch.no_grad(),
            # A network that differentiates inside hands on maps with a history.
            self.running(lambda a: read(a.detach() if a.requires_grad else a)) as run,
            Arithmetic(self.network).switching() as switch,
        ):
            # What is kept from a pass, by the network or by what shards it, is to be usable for gradients later.
            quickly = plain and not self.to_the_end
            passes = Passes(self.denoiser, run, self.of_each, batch=batch, quickly=quickly, done=done)

            def several(y: Tensor, level: float, conditions: Mapping[str, Any]) -> list[Tensor]:
                switch("float32" if precision_at is None else precision_at(level))
                given = y.contiguous(memory_format=torch.channels_last) if channels_last else y
                return passes(given, level, conditions)

            yield several

    def refuse_channels_last(self, reached: Reach | None = None) -> None:
        """Refuse points whose module works on the last dim of its map, where a map's channels are its second.

        Raises
        ------
        TapError
            Naming one.
        """
        for point in self.points:
            module = self.network.get_submodule(point.path)
            last = isinstance(module, nn.Linear) or (
                isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1
            )
            if last and (reached is None or reached.map(point).ndim == 4):
                raise TapError(
                    f"tap {point.name!r} is a {type(module).__name__}, whose channels are the last dim of its map, and "
                    "the second is wanted: tap a module after it that gives (N, C, H, W); or give reduce= a function, "
                    "e.g. lambda a: a.mean((1, 2)), and edit with tap.edit"
                )

    def of_each(self, y: Tensor, values: list[Tensor]) -> list[Tensor]:
        """What was read at each point, one row for each image of the batch.

        Raises
        ------
        TapError
            If there are more rows or fewer: the network takes its batch apart, or makes more of it.
        """
        rows = y.shape[0]
        for point, value in zip(self.points, values, strict=True):
            if value.shape[0] != rows:
                raise TapError(
                    f"tap {point.name!r} gives {value.shape[0]} maps for {rows} images: the network takes its batch "
                    "apart or puts batches together there; where it goes through it image by image, measure with "
                    "batch_size=1, else tap a place that each image passes once"
                )
        return values

    def reach(
        self, shape: tuple[int, ...], sigma: Any = 0.5, count: int = 1, conditions: Mapping[str, Any] | None = None
    ) -> Reach:
        """How far a pass of images of this shape goes; seen once for each shape and kind of conditions.

        Raises
        ------
        TapError
            If a point is not reached, or more than once where its tap does not say which call is meant.
        """
        conditions = conditions or {}
        # What is seen of several images would have a later call take fewer of them at once.
        case = (
            count > 1,
            sigma if isinstance(sigma, float) else None,
            *shape,
            *sorted((name, _kind(value)) for name, value in conditions.items()),
        )
        if case not in self._reached:
            self._reached[case] = self._surveyed(zeros_for(self.network, count, *shape), sigma, conditions)
        return self._reached[case]

    def _surveyed(self, y: Tensor, sigma: Any, conditions: Mapping[str, Any]) -> Reach:
        # At the end of the pass, the root's, counters show.
        watched = ["", *(p.path for p in self.points)]
        visits = survey(self.denoiser, y, sigma, conditions=conditions, watched=watched)
        if not all(point.path for point in self.points):
            size = (y.shape[-2], y.shape[-1])
            self.points = tuple(p if p.path else located(self.network, visits, size) for p in self.points)
            check_distinct(self.points)
            return self._surveyed(y, sigma, conditions)
        ends = {point: _position(self.network, point, visits) for point in self.points}
        last = max(ends.values(), default=0)
        # What is changed behind the tap may be changed on the way out of a pass that is stopped, too.
        changes = (visits[last].changed or visits[-1].changed) if visits else ()
        if changes and not self._changes and not _sharded(self.network):
            self._changes = changes
            self._say_that_state_changes()
        self.weights_sha256.left_out = self._counters(visits[-1].changed if visits else ())
        return Reach(visits[: last + 1], {point: visits[end] for point, end in ends.items()})

    @property
    def changes(self) -> tuple[str, ...]:
        """Names of what a pass changes in the network, as far as passes were seen."""
        return self._changes

    def _counters(self, changed: Sequence[str]) -> tuple[str, ...]:
        """Those of the changed names that count passes: buffers of one whole number."""
        buffers = dict(self.network.named_buffers())
        whole = {
            name for name, b in buffers.items() if b.numel() == 1 and not (b.is_floating_point() or b.is_complex())
        }
        return tuple(sorted(whole.intersection(changed)))

    def _say_that_state_changes(self) -> None:
        shown = ", ".join(self._changes[:MAX_NAMED]) + (", …" if len(self._changes) > MAX_NAMED else "")
        warnings.warn(
            f"{self.name} changes what it holds in a forward pass ({shown}), so no pass is stopped at a tap: whole "
            "ones are made, which take longer, and each begins with what the network holds now",
            stacklevel=6,
        )

    def widths(self, reached: Reach, reduce: Callable[[Tensor], Tensor]) -> dict[str, int]:
        """Number of values that a reduction gives at each point."""
        maps = {point: reached.map(point).clone() for point in self.points}
        return {point.name: of_user("reduction", point, reduce, a).shape[1] for point, a in maps.items()}

    def image_bytes(self, reached: Reach) -> int:
        """About what one image takes of memory in a pass without gradients."""
        return LIVE_ACTIVATIONS * reached.largest * self.place.dtype.itemsize


def _sharded(network: nn.Module) -> bool:
    """Whether weights are gathered for a pass and given away at its end (torch's fully_shard)."""
    return any(hasattr(module, "set_reshard_after_forward") for module in every_module(network))


def _kind(condition: Any) -> str:
    """What of a condition may decide which modules are called, and how large their outputs are."""
    try:
        if getattr(condition, "ndim", 0) > 0:
            return str(tuple(condition.shape[1:]))
        said = condition is None or isinstance(condition, bool | str | Number)
        return repr(condition) if said else type(condition).__name__
    except Exception:
        # Objects of others may fail at this, and are passed on to the network as they are.
        return type(condition).__name__


def _position(network: nn.Module, point: TapPoint, visits: Sequence[Visit]) -> int:
    """Position among the visits of the call that the tap names."""
    if point.call == EVERY:
        raise TapError(
            f'tap {point.name!r} means every call, which can be edited and not read: name one, "{point.path}@0"'
        )
    module = network.get_submodule(point.path)
    calls = [i for i, v in enumerate(visits) if v.module is module]
    if not calls:
        raise TapError(
            f"tap {point.name!r} did not fire: {point.path} is not called in a forward pass, or only through "
            ".forward(); probekit.taps lists what is"
        )
    if len(calls) > 1 and point.call is None:
        raise TapError(
            f"{point.path!r} is called {len(calls)} times in one forward pass: say which, "
            f'"{point.path}@0" to "{point.path}@{len(calls) - 1}"'
        )
    if (point.call or 0) >= len(calls):
        raise TapError(f"tap {point.name!r}: {point.path} is called {len(calls)} times, counted from @0")
    return calls[point.call or 0]
