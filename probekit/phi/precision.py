"""The precision that φ is measured in: float32, another that is asked for, or the fastest whose error noise hides.

A trial of about a second measures a few of the images in each precision with the same noise. A lower one is taken where
its error is below a tenth of phi_se, the standard error that the result will have over its draws, at every tap.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

from probekit.denoising.conditions import of_rows
from probekit.errors import InputError
from probekit.machine.clock import clock
from probekit.machine.precision import ROUNDING, Precision, checked_precision, lower_precisions
from probekit.machine.progress import at_work_on
from probekit.phi.averages import noisy_batches
from probekit.phi.store import planned

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from probekit.phi.measure import Measurement

__all__ = ["AUTO", "Computation", "computed", "of_plan"]

AUTO: Literal["auto"] = "auto"
# Of phi_se: what an error may be that nobody will see.
HIDDEN = 0.1
# What is tried: images, spread over the set, and draws of each.
IMAGES, DRAWS = 4, 4
# Seconds for errors, beyond the least that must be known; of a pass in float32 that is timed; and of what is timed.
ERROR_SECONDS, PASS_SECONDS, TIMED_SECONDS = 0.6, 0.08, 0.02
# Times as fast as float32 below which another precision is not worth it, and what a single image may show at worst.
WORTH, HOPELESS = 1.05, 1 / 3
# Of the largest value: what another order of sums changes in single precision, in any network that is of use.
SAME = 1e-3
# Rounds in which ways are timed in turn, and times the fastest's seconds beyond which one round is enough.
ROUNDS, NEAR = 3, 1.25


@dataclass(frozen=True)
class Computation:
    """How passes are computed.

    Attributes
    ----------
    precisions : Mapping[float, Precision]
        In what layers multiply at each noise level; float32 where nothing is said.
    channels_last : bool
        Whether the network is given its images channels last.
    attrs : Mapping[str, Any]
        What the result says of it.
    """

    precisions: Mapping[float, Precision] = field(default_factory=dict)
    channels_last: bool = False
    attrs: Mapping[str, Any] = field(default_factory=lambda: {"precision": "float32"})

    def at(self, level: float) -> Precision:
        """The precision at a noise level."""
        return self.precisions.get(level, "float32")

    @property
    def rounding(self) -> float:
        """Relative rounding of a factor, where it is coarsest."""
        return max(ROUNDING[p] for p in ("float32", *self.precisions.values()))

    @property
    def plan(self) -> dict[str, Any]:
        """What a store keeps of it; nothing of float32, in which stores were measured before there was a choice."""
        if "precision_asked" not in self.attrs:
            return {}
        levels = {repr(level): precision for level, precision in self.precisions.items()}
        return dict(self.attrs) | {"precision_levels": levels, "channels_last": self.channels_last}


def of_plan(precision: Any, store: str | Path) -> Any:
    """The computation that the store at this path was begun with, if it was asked for likewise; else what is given."""
    if not isinstance(precision, str) or precision == "float32" or planned(store, "precision_asked") != precision:
        return precision
    levels = {float(level): name for level, name in planned(store, "precision_levels").items()}
    attrs = {name: value for name in ATTRS if (value := planned(store, name)) is not None}
    return Computation(levels, planned(store, "channels_last"), attrs)


ATTRS = (
    "precision",
    "precision_asked",
    "precision_gain",
    "precision_error",
    "precision_phi_error",
    "precision_phi_se",
    "precision_trial",
)


class _Way(NamedTuple):
    """A precision, and whether images lie channels last."""

    precision: Precision
    channels_last: bool = False

    @property
    def name(self) -> str:
        return self.precision + (", channels last" if self.channels_last else "")


class _Error(NamedTuple):
    """Root mean squares over images and channels, at the tap where `error` is the largest part of `noise`.

    error is of φ against float32, as the result averages it; noise is phi_se; phi is φ itself.
    """

    error: float
    noise: float
    phi: float

    @property
    def in_noise(self) -> float:
        if self.noise:
            return self.error / self.noise
        return math.inf if self.error else 0.0


def computed(measurement: Measurement, asked: Any, network: nn.Module) -> Measurement:
    """The measurement, made in the precision that is asked for, or that a trial finds.

    Raises
    ------
    InputError
        If the precision is unknown, or not to be had for this network on its device.

    Warns
    -----
    RuntimeWarning
        Where the error of a precision that is asked for is no longer hidden by noise.
    """
    if isinstance(asked, Computation):
        return measurement.computed_as(asked)
    by_trial = isinstance(asked, str) and asked == AUTO
    if by_trial:
        precisions = lower_precisions(network)
    else:
        precisions = (checked_precision(asked, network),)
        if precisions == ("float32",):
            own = str(measurement.place.dtype).removeprefix("torch.")
            return measurement.computed_as(Computation(attrs={"precision": own}))
    trial = _Trial(measurement, network)
    with at_work_on("the precision of passes"):
        found = trial.chosen(precisions) if by_trial else trial.asked_for(precisions[0])
    return measurement.computed_as(replace(found, attrs={**found.attrs, "precision_asked": str(asked)}))


class _Trial:
    """A few of the images measured in several ways, with the same noise."""

    def __init__(self, measurement: Measurement, network: nn.Module) -> None:
        self.measurement, self.network = measurement, network
        noising = measurement.noising
        self.levels = sorted(noising.levels[s] for s in noising.noisy if noising.levels[s] > 0)
        self.per_image = 0.0
        self._kept: dict[float, list[np.ndarray]] = {}

    def chosen(self, precisions: Sequence[Precision]) -> Computation:
        """At each noise level the fastest precision whose error is hidden; float32 without noise, which hides none."""
        ways = [_Way(p) for p in ("float32", *precisions)]
        ways += self._laid_out(*(_Way(way.precision, True) for way in ways))
        seconds, failed = self._seconds(ways)
        last = _Way("float32", True)
        if min(seconds, key=lambda way: seconds[way]).channels_last and not (last in seconds and self._indifferent()):
            failed |= {way: "gives something else" for way in ways if way.channels_last}
        left = {way: s for way, s in seconds.items() if way not in failed}
        base, until = left[_Way("float32")], time.perf_counter() + ERROR_SECONDS
        errors: dict[Precision, dict[float, _Error]] = {}
        choices = []
        # The layout of the fastest way may be a slow one for the ways whose error is hidden.
        for layout in (True, False) if min(left, key=lambda way: left[way]).channels_last else (False,):
            found = self._found([way for way in left if way.channels_last == layout], left, errors, until)
            used = {level: left[_Way(found.get(level, "float32"), layout)] for level in self.measurement.noising.levels}
            choices.append((self._gain(used, base), layout, found))
            if max(used.values()) == min(left.values()):
                break
        gain, layout, found = max(choices, key=lambda choice: choice[0])
        taken = [e for precision, of in errors.items() for at, e in of.items() if found.get(at) == precision]
        timed = {way: base / s for way, s in seconds.items() if s != base}
        said = [_said(way, own, errors.get(way.precision, {}), failed.get(way)) for way, own in timed.items()]
        said += [
            f"{way.name}: {(str(why).splitlines() or [''])[0]}" for way, why in failed.items() if way not in seconds
        ]
        return Computation(found, layout, self._attrs(found, gain, taken, said))

    def _found(
        self,
        ways: Sequence[_Way],
        seconds: Mapping[_Way, float],
        errors: dict[Precision, dict[float, _Error]],
        until: float,
    ) -> dict[float, Precision]:
        """At each noise level the fastest of these ways, of one layout, whose error is hidden; `errors` are kept."""
        found: dict[float, Precision] = {}
        (slowest,) = (way for way in ways if way.precision == "float32")
        for way in sorted(ways, key=lambda way: seconds[way]):
            free = [level for level in self.levels if level not in found]
            if way != slowest and WORTH * seconds[way] < seconds[slowest]:
                if way.precision not in errors:
                    errors[way.precision] = self._errors(way, free, until)
                found |= dict.fromkeys(_hidden(free, errors[way.precision]), way.precision)
        return found

    def asked_for(self, precision: Precision) -> Computation:
        """One precision at every noise level, in the layout of images it is fastest in, and what is found of it."""
        base, way, last = _Way("float32"), _Way(precision), _Way(precision, True)
        seconds, failed = self._seconds([base, way, *self._laid_out(last)], hopeless=False)
        if way in failed:
            raise failed[way]
        if last in seconds and WORTH * seconds[last] < seconds[way] and self._indifferent():
            way = last
        levels = self.levels or list(self.measurement.noising.levels)
        errors = {level: self._error(way, level) for level in dict.fromkeys((levels[0], levels[-1]))}
        if not any(error.error for error in errors.values()):
            raise InputError(
                f"precision={precision!r} changes nothing in {type(self.network).__name__}: no convolution (of one "
                "group) or linear layer is called on the way to the taps, or only scripted ones, which are left alone; "
                'leave precision at "float32"'
            )
        worst = max(errors, key=lambda level: errors[level].in_noise)
        if self.levels and errors[worst].in_noise >= HIDDEN:
            warnings.warn(
                f"precision={precision!r}: φ is off by {errors[worst].in_noise:.2g} of phi_se at σ = {worst:g} on the "
                f'images tried, and noise hides no more than {HIDDEN:g}: give precision="auto", which takes it only '
                "where it is hidden, or fewer draws",
                RuntimeWarning,
                stacklevel=5,
            )
        found: dict[float, Precision] = dict.fromkeys(self.measurement.noising.levels, precision)
        gain = seconds[base] / seconds[way]
        attrs = self._attrs(found, gain, [*errors.values()], [_said(way, gain, errors, None)])
        return Computation(found, way.channels_last, attrs)

    def _laid_out(self, *ways: _Way) -> list[_Way]:
        """These ways, channels last, where the network does not lie so in any case."""
        return [] if _lies_channels_last(self.network) else [*ways]

    def _gain(self, used: Mapping[float, float], base: float) -> float:
        """How many times as fast all versions of an image are as in float32, by the seconds at each level."""
        noising = self.measurement.noising
        versions = {noising.levels[s]: noising.draws for s in noising.noisy} | {
            noising.levels[s]: 1 for s in noising.noiseless
        }
        return base * sum(versions.values()) / sum(used[level] * count for level, count in versions.items())

    def _attrs(
        self, found: Mapping[float, Precision], gain: float, errors: Sequence[_Error], said: Sequence[str]
    ) -> dict[str, Any]:
        worst = max(errors, key=lambda e: e.in_noise, default=_Error(0.0, 1.0, 1.0))
        return {
            "precision": _spoken(found, self.measurement.noising.levels),
            "precision_gain": gain,
            "precision_error": worst.in_noise,
            "precision_phi_error": worst.error / worst.phi if worst.phi else 0.0,
            "precision_phi_se": worst.noise / worst.phi if worst.phi else 0.0,
            "precision_trial": "; ".join(said) or "no other precision is to be had here",
        }

    def _errors(self, way: _Way, levels: Sequence[float], until: float) -> dict[float, _Error]:
        """Errors at the highest and lowest level, and at others between one that is hidden and one that is not.

        Noise hides less at lower levels; the border is looked for by halving, while there is time.
        """
        if not levels:
            return {}
        found = {levels[-1]: self._error(way, levels[-1])}
        low, high = 0, len(levels) - 1
        if not _is_hidden(found[levels[high]]) or not high:
            return found
        found[levels[0]] = self._error(way, levels[0])
        while not _is_hidden(found[levels[low]]) and high - low > 1 and time.perf_counter() < until:
            middle = (low + high) // 2
            found[levels[middle]] = self._error(way, levels[middle])
            low, high = (low, middle) if _is_hidden(found[levels[middle]]) else (middle, high)
        return found

    def _error(self, way: _Way, level: float) -> _Error:
        """Of the images and of the constant one, whichever is worse, at the tap that is worst."""
        if level not in self._kept:
            self._kept[level] = self._draws(_Way("float32"), level)
        worst = _Error(0.0, 1.0, 1.0)
        for exact, rough in zip(self._kept[level], self._draws(way, level), strict=True):
            start = 0
            for width in self.measurement.channels.values():
                at = slice(start, start + width)
                start += width
                one = error_of(exact[..., at], rough[..., at], self.measurement.noising.draws)
                worst = max(worst, one, key=lambda e: (e.in_noise, e.error))
        return worst

    def _draws(self, way: _Way, level: float) -> list[np.ndarray]:
        """A few draws of a few images, and of the constant one, (image, draw, channel)."""
        whole, count = self.measurement, len(self.measurement.source)
        images = IMAGES
        if self.per_image:
            images = min(IMAGES, max(1, int(ERROR_SECONDS / (2 * DRAWS * self.per_image)) - 1))
        spread = sorted({round(k) for k in np.linspace(0, count - 1, min(images, count))})
        few = replace(
            whole,
            source=whole.source.subset(spread),
            conditions=whole.conditions.subset(spread),
            noising=replace(whole.noising, levels=[level], draws=DRAWS),
            keep_draws=True,
        ).computed_as(Computation({level: way.precision}, way.channels_last))
        return [few.draws()[:, 0], few.rest_draws()[:, 0]]

    def _indifferent(self) -> bool:
        """Whether images laid out channels last give the same φ but for the order of sums."""
        level = self.levels[-1] if self.levels else self.measurement.noising.levels[0]
        try:
            error = self._error(_Way("float32", True), level)
        except Exception:
            return False
        return error.error <= SAME * error.phi

    def _seconds(self, ways: Sequence[_Way], *, hopeless: bool = True) -> tuple[dict[_Way, float], dict[_Way, Any]]:
        """Seconds of a pass in each way, the least of a few in turn, or of one; and what went wrong in the others.

        The first, float32, is what a failing network fails in, too.
        """
        batch = self._batch(1)
        base, failed = self._timed(ways[0], batch), {}
        self.per_image = base
        quick = {ways[0]: base}
        for way in ways[1:]:
            try:
                quick[way] = self._timed(way, batch)
            except Exception as error:
                failed[way] = error
        # Where bfloat16 is not in hardware a whole batch of it might take minutes.
        slow = [way for way in ways[1:] if hopeless and way in quick and HOPELESS * quick[way] > base]
        failed |= {way: f"takes {quick.pop(way) / base:.1f} times as long" for way in slow}
        batch = self._batch(max(1, int(PASS_SECONDS / base)))
        seconds: dict[_Way, float] = {}
        left = list(quick)
        for _ in range(ROUNDS):
            for way in left:
                seconds[way] = min(seconds.get(way, math.inf), self._timed(way, batch))
            near = NEAR * min(seconds.values())
            left = [way for way in left if way == ways[0] or seconds[way] < near]
        return seconds, failed

    def _batch(self, most: int) -> tuple[Tensor, float, Mapping[str, Any]]:
        """Noisy images as they are measured, no more than these; at a level with noise, where there is one."""
        whole = self.measurement
        levels = self.levels[-1:] or whole.noising.levels[:1]
        noising = replace(whole.noising, levels=levels, batch=min(most, whole.noising.batch))
        options = {"place": whole.place, "conditions": whole.conditions}
        batch = next(noisy_batches(whole.source, noising, **options, positions=range(min(most, len(whole.source)))))
        one = slice(noising.batch)
        return batch.y[one], levels[0], of_rows(batch.conditions, one)

    def _timed(self, way: _Way, batch: tuple[Tensor, float, Mapping[str, Any]]) -> float:
        """Seconds of a pass, once it has been made: the least of a few, which others on the machine disturb least."""
        made = self.measurement.computed_as(Computation({batch[1]: way.precision}, way.channels_last))
        device = self.measurement.place.device
        with made.reading() as read:
            read(*batch)
            until, least = clock(device) + TIMED_SECONDS, math.inf
            while least == math.inf or clock(device) < until:
                began = clock(device)
                read(*batch)
                least = min(least, clock(device) - began)
            return least


def error_of(exact: np.ndarray, rough: np.ndarray, draws: int) -> _Error:
    """How far φ of so many draws is off, from a few draws of it made with the same noise in both ways.

    Parameters
    ----------
    exact, rough
        (image, draw, channel), in float32 and in the other precision.
    draws
        Over which the result averages.

    Returns
    -------
    _Error
        What is off in every draw alike stays, E[e]²; what scatters over draws averages out, var(e) / draws. Root mean
        squares over images and channels that are finite.
    """
    kept = np.isfinite(exact).all(axis=(0, 1))
    if not np.isfinite(rough[..., kept]).all():
        return _Error(math.inf, 1.0, 1.0)
    exact, off = exact[..., kept].astype(np.float64), rough[..., kept].astype(np.float64) - exact[..., kept]
    if not off.size:
        return _Error(0.0, 0.0, 0.0)
    tried = off.shape[1]
    scatter = float(off.var(axis=1, ddof=1).mean())
    bias = max(float((off.mean(axis=1) ** 2).mean()) - scatter / tried, 0.0)
    noise = float(exact.var(axis=1, ddof=1).mean())
    return _Error(
        math.sqrt(bias + scatter / draws), math.sqrt(noise / draws), math.sqrt(float((exact.mean(axis=1) ** 2).mean()))
    )


def _is_hidden(error: _Error) -> bool:
    return error.in_noise < HIDDEN


def _hidden(levels: Sequence[float], errors: Mapping[float, _Error]) -> list[float]:
    """Levels from the lowest from which on every error that was looked at is hidden."""
    seen = sorted(errors, reverse=True)
    hidden = [level for k, level in enumerate(seen) if all(_is_hidden(errors[one]) for one in seen[: k + 1])]
    return [level for level in levels if hidden and level >= min(hidden)]


def _spoken(found: Mapping[float, Precision], levels: Sequence[float]) -> str:
    """Precisions in order of σ: "bfloat16", or "float32; bfloat16 from sigma 0.2"."""
    runs = [
        (precision, min(at)) for precision, at in groupby(sorted(levels), key=lambda level: found.get(level, "float32"))
    ]
    return "; ".join(name if not k else f"{name} from sigma {least:g}" for k, (name, least) in enumerate(runs))


def _said(way: _Way, gain: float, errors: Mapping[float, _Error], failed: Any) -> str:
    told = f"{way.name}: {gain:.2f} times as fast as float32"
    if failed is not None:
        return f"{told}, {failed}"
    at = [f"{errors[level].in_noise:.2g} of phi_se at sigma {level:g}" for level in sorted(errors)]
    return f"{told}, error {', '.join(at)}" if at else told


def _lies_channels_last(network: nn.Module) -> bool:
    """Whether convolutions of the network hold their weights channels last, so that its maps lie so, too."""
    kernels = [p for p in network.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] * p.shape[3] > 1]
    return all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
