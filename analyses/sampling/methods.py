"""Methods by name: functions that sample, their options and noise levels; what of φ, and which size, is asked for."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
import xarray as xr

from analyses.ground import real_numbers, refuse_signed
from probekit import checks
from probekit.checks import given as shown
from probekit.checks import text, whole
from probekit.denoising.denoiser import as_denoiser, clean_range
from probekit.errors import InputError
from probekit.machine.memory import refuse_if_too_large
from probekit.phi.averages import noise_levels

if TYPE_CHECKING:
    from torch import Tensor, nn

    from analyses.sampling.walk import Walk

__all__ = [
    "CLOSE",
    "METHODS",
    "Match",
    "Matched",
    "Method",
    "falling",
    "geometric",
    "image_shape",
    "linear",
    "method_of",
    "middle_of",
    "orthonormal_basis",
    "positions_of",
    "refuse_sums",
    "sampler",
    "sides_of",
    "start_of",
]

TRAINED = 1.0
# Noise levels that differ by no more are one.
CLOSE = 1e-9
Sampler = Callable[..., "Tensor"]
S = TypeVar("S", bound=Sampler)


def linear(first: float = 1.0, last: float = 0.03, levels: int = 100) -> list[float]:
    """Equally spaced levels; the defaults are those of the paper's Algorithm 1."""
    return [float(s) for s in np.linspace(first, last, levels)]


def geometric(first: float = 1.0, last: float = 0.01, levels: int = 20) -> list[float]:
    """Levels of equal ratio, so that each step removes the same share of the noise that is left."""
    return [float(s) for s in np.geomspace(first, last, levels)]


def falling(sigmas: Any) -> list[float]:
    """Levels as a list of falling numbers > 0; a warning above the range that denoisers are trained in.

    Raises
    ------
    InputError
        If they are not.
    """
    levels = noise_levels(sigmas)
    if min(levels) <= 0 or any(a <= b for a, b in pairwise(levels)):
        raise InputError(
            f"sigmas={_short(levels)}: give noise levels > 0 that fall from the first to the last, e.g. "
            "numpy.geomspace(1, 0.01, 20)"
        )
    if levels[0] > TRAINED:
        warnings.warn(
            f"sigmas begin at {levels[0]:g}, and denoisers are mostly trained on noise levels in (0, {TRAINED:g}]: "
            "begin there, unless this one knows more",
            stacklevel=3,
        )
    return levels


class Registered(NamedTuple):
    """A sampler, and the noise levels that it goes through unless told others."""

    function: Sampler
    levels: list[float]


METHODS: dict[str, Registered] = {}


def sampler(name: str, *, sigmas: Sequence[float] | None = None) -> Callable[[S], S]:
    """Make a function a method of `reconstruct`, under a name.

    The function is called as ``function(walk, sigmas, **options)`` and returns the samples, shaped like
    ``walk.start``; see `Walk` for what it can ask for. Its keyword-only parameters are the method's options. One
    annotated as ``Annotated[type, check]`` is checked by ``check(name, value)`` before anything is computed; one whose
    default is a dataclass, such as `Guiding`, stands for its fields. An option called ``particles`` says how many
    images each sample carries, so that batches fit the memory.

    Parameters
    ----------
    name
        Of the method; a bundled one's cannot be taken.
    sigmas
        Noise levels, falling, that it goes through unless told others; by default 20 from 1 to 0.01.

    Returns
    -------
    Callable
        A decorator, which gives the function back.

    Raises
    ------
    InputError
        If the name is taken, the function takes no ``walk`` and ``sigmas``, or the noise levels do not fall.

    Examples
    --------
    >>> @sampler("denoised once")
    ... def sample_once(walk, sigmas):
    ...     walk.enter(sigmas[0])
    ...     return walk.denoise(walk.start + sigmas[0] * walk.noise(0), sigmas[0])
    >>> method_of("denoised once", {}).levels == geometric()
    True
    """
    text("name", name, "the name of a method")
    levels = geometric() if sigmas is None else falling(sigmas)

    def register(function: S) -> S:
        _options(function)
        known = _bundled().get(name)
        if known is not None and _place(known.function) != _place(function):
            raise InputError(f"{checks.given('name', name)} is {_place(known.function)} already: give another name")
        METHODS[name] = Registered(function, levels)
        return function

    return register


class Method(NamedTuple):
    """A sampler with its settings, by option."""

    name: str
    function: Sampler
    settings: dict[str, Any]
    levels: list[float]

    @property
    def code(self) -> str | None:
        """The source of a function that is not of this package; None of one that is."""
        if self.function.__module__.startswith(__name__.rpartition(".")[0] + "."):
            return None
        try:
            return inspect.getsource(self.function)
        except (OSError, TypeError):
            return _place(self.function)

    def run(self, walk: Walk) -> Tensor:
        """The samples (N, C, H, W).

        Raises
        ------
        InputError
            If the function returns something else, or enters no level.
        """
        grouped = {}
        for name, parameter in _options(self.function).items():
            if _is_group(parameter.default):
                own = {field.name: self.settings[field.name] for field in fields(parameter.default)}
                grouped[name] = replace(parameter.default, **own)
            else:
                grouped[name] = self.settings[name]
        x = self.function(walk, walk.sigmas, **grouped)
        if not isinstance(x, torch.Tensor) or x.shape != walk.start.shape:
            what = f"shape {tuple(x.shape)}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
            raise InputError(f"the method {self.name!r} returns {what}: return images of {tuple(walk.start.shape)}")
        if not walk.levels:
            raise InputError(f"the method {self.name!r} enters no level: call walk.enter(sigma) at each")
        return x.detach()


def method_of(method: str | Sampler, options: Mapping[str, Any]) -> Method:
    """The method of a name, or a function itself, with these options.

    Parameters
    ----------
    method
        As for `reconstruct`.
    options
        By name; others have their defaults.

    Raises
    ------
    InputError
        If there is no such method, it has no such option or lacks one, or an option is out of its range.

    Examples
    --------
    >>> method_of("langevin", {"correctors": 1}).settings["correctors"]
    1
    """
    name, (function, levels) = registered(method)
    options = checks.mapping("options", options, "options of the method by name, e.g. {'step': 0.5}")
    defaults: dict[str, Any] = {}
    parameters = _options(function)
    for option, parameter in parameters.items():
        group = _is_group(parameter.default)
        defaults |= asdict(parameter.default) if group else {option: parameter.default}
    unknown = [key for key in options if key not in defaults]
    if unknown:
        raise InputError(
            f"the method {name!r} has no option {', '.join(unknown)}: it has {', '.join(defaults) or 'none'}"
        )
    settings = {**defaults, **options}
    lacking = [option for option, value in settings.items() if value is inspect.Parameter.empty]
    if lacking:
        raise InputError(f"the method {name!r} needs {', '.join(lacking)}: give {lacking[0]}=")
    for option, parameter in parameters.items():
        if _is_group(parameter.default):
            # A dataclass checks itself when it is made.
            group = replace(parameter.default, **{f.name: settings[f.name] for f in fields(parameter.default)})
            settings |= {field.name: getattr(group, field.name) for field in fields(group)}
        for check in getattr(parameter.annotation, "__metadata__", ()):
            if callable(check):
                # What a check makes of it: numbers as Python's own.
                kept = check(option, settings[option])
                settings[option] = settings[option] if kept is None else kept
    return Method(name, function, settings, list(levels))


def registered(method: Any) -> tuple[str, Registered]:
    """Name, function and levels of a method, which may be a function that has no name yet."""
    methods = _bundled()
    if isinstance(method, str) and method in methods:
        return method, methods[method]
    if not callable(method):
        raise InputError(f"{shown('method', method)}: give one of {', '.join(methods)}, or a function")
    for name, known in methods.items():
        if known.function is method:
            return name, known
    return getattr(method, "__name__", type(method).__name__), Registered(cast("Sampler", method), geometric())


def _bundled() -> dict[str, Registered]:
    """The methods, those of this package among them, which register themselves once they are loaded."""
    importlib.import_module("analyses.sampling.samplers")
    return METHODS


def _options(function: Sampler) -> dict[str, inspect.Parameter]:
    """The options of a sampler: what it takes by keyword."""
    try:
        found = inspect.signature(function, eval_str=True)
    except NameError:
        # Names that only type checkers know: such a function is called without checks of its options.
        found = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise InputError(f"{shown('method', function)}: give a function of (walk, sigmas)") from error
    parameters = list(found.parameters.values())
    ordered = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(ordered) != 2:
        raise InputError(
            f"{_place(function)} takes {', '.join(p.name for p in ordered) or 'nothing'}: a sampler takes walk and "
            "sigmas, and options by keyword only, def sample(walk, sigmas, *, option=…)"
        )
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


def _is_group(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _place(function: Any) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__name__)}"


def _short(levels: list[float]) -> str:
    shown = [f"{s:g}" for s in levels]
    return f"[{', '.join(shown if len(shown) <= 6 else [*shown[:3], '…', *shown[-2:]])}]"


class Matched(NamedTuple):
    """What is matched of a condition: weights (image, channel) of mean 1, and the rows of an orthonormal basis."""

    weight: np.ndarray
    basis: np.ndarray | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """What of φ samples are to match; by default all channels alike.

    Attributes
    ----------
    channels
        Some channels, by number or as a mask.
    top
        So many channels, those of largest φ of each image.
    weights
        (channel,) ≥ 0. Together with `channels` or `top` they are multiplied.
    basis
        (r, channel): φ only within the span of these rows; alone.

    Raises
    ------
    InputError
        If a basis is given with others.

    Examples
    --------
    >>> Match(channels=[3, 5]).of(np.ones((1, 2, 6))).weight
    array([[0., 0., 0., 3., 0., 3.]])
    """

    channels: Sequence[int] | np.ndarray | None = None
    top: int | None = None
    weights: Any = None
    basis: Any = None

    def __post_init__(self) -> None:
        if self.basis is not None and any(given is not None for given in (self.channels, self.top, self.weights)):
            raise InputError("basis with channels, top or weights: give rows that are 0 at channels not to be matched")

    def of(self, phi: np.ndarray) -> Matched:
        """What is matched of φ (image, level, channel).

        Raises
        ------
        InputError
            If a channel does not exist, no weight is left, the basis does not fit, or `top` is of a negative φ.
        """
        images, _, count = phi.shape
        found = np.ones((images, count))
        if self.channels is not None:
            found *= np.isin(np.arange(count), self._numbers(count))
        if self.top is not None:
            largest = whole("top", self.top, least=1, most=count)
            refuse_signed(phi, {"the tap": np.arange(count)})
            order = np.argsort(-phi.mean(axis=1), axis=1, kind="stable")
            found *= np.argsort(order, axis=1) < largest
        if self.weights is not None:
            given = real_numbers("weights", self.weights)
            if given.shape != (count,) or not (np.isfinite(given) & (given >= 0)).all():
                raise InputError(f"weights has shape {given.shape}: give {count} finite numbers ≥ 0, one per channel")
            found *= given
        total = found.sum(axis=1, keepdims=True)
        if not (total > 0).all():
            raise InputError("no channel is left to be matched: channels, top and weights exclude them all")
        return Matched(found * count / total, None if self.basis is None else orthonormal_basis(self.basis, count))

    def _numbers(self, count: int) -> np.ndarray:
        try:
            chosen = np.asarray(self.channels)
        except Exception:
            chosen = np.array(None)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool and chosen.shape == (count,) else chosen
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not ((chosen >= 0) & (chosen < count)).all():
            raise InputError(
                f"{shown('channels', self.channels)}: give channel numbers 0…{count - 1}, or a mask of {count}"
            )
        return chosen


def orthonormal_basis(basis: Any, channels: int) -> np.ndarray:
    """Rows (r, channel) that are orthonormal and span what the rows given span."""
    given = real_numbers("basis", basis)
    if given.ndim != 2 or given.shape[1] != channels or not len(given) or not np.isfinite(given).all():
        raise InputError(f"basis has shape {given.shape}: give finite rows of {channels} channels, (r, {channels})")
    if not given.any():
        raise InputError("basis is 0 throughout and spans nothing: give rows that differ from 0")
    _, sizes, rows = np.linalg.svd(given, full_matrices=False)
    return rows[sizes > 1e-10 * max(sizes[0], np.finfo(float).tiny)]


def image_shape(shape: Any) -> tuple[int, int, int]:
    """(bands, rows, cols) of samples, as whole numbers.

    Raises
    ------
    InputError
        If it is something else.
    CapacityError
        If one such image does not fit memory.
    """
    try:
        sides = checks.listed("shape", shape, "(bands, rows, cols)")
        bands, rows, cols = (checks.whole("shape", n, least=1) for n in sides)
    except (InputError, ValueError):
        raise InputError(
            f"{checks.given('shape', shape)}: φ does not say how large images are; give shape=(bands, rows, cols)"
        ) from None
    refuse_if_too_large(8 * bands * rows * cols, 0, device=torch.device("cpu"), hint="give a smaller shape")
    return bands, rows, cols


def middle_of(denoiser: nn.Module) -> float:
    """The middle of the range of clean images."""
    bounds = clean_range(denoiser)
    return 0.0 if bounds is None else (bounds[0] + bounds[1]) / 2


def start_of(start: Any, shape: tuple[int, int, int], denoiser: nn.Module) -> np.ndarray:
    """The image (bands, rows, cols) that samples begin at; by default the middle.

    Raises
    ------
    InputError
        If it is none of that shape.
    """
    given = real_numbers("start", middle_of(as_denoiser(denoiser)) if start is None else start)
    try:
        found = np.broadcast_to(given, shape)
    except ValueError as error:
        raise InputError(
            f"start has shape {given.shape} and samples have {shape}: give a number or such an image"
        ) from error
    if not np.isfinite(found).all():
        raise InputError("start holds NaN or infinite values: give a finite image or number")
    return found


def sides_of(size: Any) -> tuple[int, int]:
    """(rows, cols) of samples, from both or from one number for both.

    Raises
    ------
    InputError
        If it is neither.
    """
    try:
        sides = [size, size] if np.ndim(checks.unwrapped(size)) == 0 else checks.listed("size", size, "(rows, cols)")
        rows, cols = (whole("size", side, least=1) for side in sides)
    except Exception:
        raise InputError(
            f"{checks.given('size', size)}: give size=(rows, cols) of the samples, or one whole number ≥ 1 for both"
        ) from None
    return rows, cols


def refuse_sums(own: xr.Dataset, other: xr.Dataset, ratio: float, said: str) -> None:
    """Refuse a reduction that grows with the number of positions; seen on noise, which is alike at both sizes.

    Raises
    ------
    InputError
        Beginning with what is `said`.
    """
    small, large = (np.abs(d["phi"].values.astype(float)).ravel() for d in (own, other))
    if small.shape != large.shape:
        raise InputError(
            f"{said}: reduce={own.attrs['reduce']!r} makes {small.size} and {large.size} numbers of their maps; hold a "
            "mean over positions, reduce='mean'"
        )
    seen = (small > 0) & (large > 0)
    grown = float(np.median(np.log(large[seen] / small[seen]))) / np.log(ratio) if seen.any() and ratio != 1 else 0.0
    if grown > 0.4 and abs(np.log(ratio)) > 0.4:
        raise InputError(
            f"{said}: reduce={own.attrs['reduce']!r} grows with the number of positions; hold a mean over positions, "
            "reduce='mean'"
        )


def positions_of(known: np.ndarray, sigmas: Sequence[float]) -> list[int]:
    """Where each level of a schedule is among those that φ is known at; one serves for all.

    Raises
    ------
    InputError
        If it is not there.
    """
    if len(known) == 1:
        return [0] * len(sigmas)
    at = [int(np.abs(known - s).argmin()) for s in sigmas]
    missing = [s for s, i in zip(sigmas, at, strict=True) if abs(known[i] - s) > CLOSE]
    if missing:
        raise InputError(
            f"φ is known at σ = {[round(float(s), 4) for s in known]} and not at {len(missing)} levels of the "
            f"schedule, {missing[0]:.4g} among them: measure it there, tap(images, sigma=sampling.levels(method)), "
            "give sigmas= that it has, or select one level that serves for all"
        )
    return at
