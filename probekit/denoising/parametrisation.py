"""What networks predict and expect, as formulas: the frame they work in, input scaling, and how σ is told.

Two frames meet here. Users see clean images x in [0, 1] and noisy ones y = x + σz. A network made for clean images
in [lo, hi] works in its own frame: u = lo + (hi − lo) y, whose noise level is s = (hi − lo) σ. A network that declares
no range works on y and σ themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit.checks import LOUDEST, given, listed, plain, real_array
from probekit.checks import shown as shown_value
from probekit.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped
    from torch import Tensor

    Images = Float[Tensor, "n band row col"]
    Levels = Float[Tensor, " n"]

__all__ = [
    "PREDICTIONS",
    "SCALINGS",
    "NoiseTable",
    "check_prediction",
    "clean_estimate",
    "into_frame",
    "network_input",
    "noise_level_told",
    "of_diffusers",
    "out_of_frame",
    "scaled_level",
    "shown",
    "tell",
    "valid_range",
]

DIFFUSERS = {"epsilon": "noise", "sample": "clean", "v_prediction": "v"}
TELLINGS = ("sigma", "log_sigma")
SCALINGS = ("vp", "edm")
# From what the network returned, u and s to the clean estimate, all in the network's frame.
PREDICTIONS: Mapping[str, Callable[[Tensor, Tensor, Any], Tensor]] = {
    "clean": lambda output, _u, _s: output,
    "noise": lambda output, u, s: u - _each(s, u) * output,
    "residual": lambda output, u, _s: u - output,
    "v": lambda output, u, s: _each(1 / (1 + s**2), u) * u - _each(s / (1 + s**2).sqrt(), u) * output,
}


def into_frame(y: Images, data_range: tuple[float, float] | None) -> Images:
    """A noisy image as the network sees it: u = lo + (hi − lo) y."""
    if data_range is None or data_range == (0, 1):
        return y
    lowest, highest = data_range
    return lowest + (highest - lowest) * y


def scaled_level(sigma: Levels, data_range: tuple[float, float] | None) -> Levels:
    """The noise level in the network's frame: s = (hi − lo) σ."""
    return sigma if data_range is None or data_range == (0, 1) else (data_range[1] - data_range[0]) * sigma


def out_of_frame(x: Images, data_range: tuple[float, float] | None) -> Images:
    """A clean estimate in the network's frame back in the user's: (x − lo)/(hi − lo)."""
    if data_range is None or data_range == (0, 1):
        return x
    lowest, highest = data_range
    return (x - lowest) / (highest - lowest)


def network_input(scaling: Any, u: Images, s: Levels | None, *, sigma_data: float) -> Tensor:
    """What the network is given for `u` of noise levels `s`.

    None: u itself. "vp": u/√(1 + s²), the variance-preserving input x_t = √ᾱ x + √(1 − ᾱ) ε of Ho et al. 2020
    at s² = (1 − ᾱ)/ᾱ. "edm": c_in u, c_in = 1/√(σ_data² + s²) (Karras et al. 2022, table 1). A callable:
    ``scaling(u, s)``.
    """
    if scaling is None:
        return u
    assert s is not None
    if scaling == "vp":
        return _each(1 / (1 + s**2).sqrt(), u) * u
    if scaling == "edm":
        return _each(1 / (sigma_data**2 + s**2).sqrt(), u) * u
    given = scaling(u, s.to(u.dtype))
    if not isinstance(given, torch.Tensor):
        raise InputError(
            f"scaling made a {type(given).__name__} of the noisy images: it must return the network's input, a tensor"
        )
    return given


def clean_estimate(
    predicts: str, scaling: Any, output: Images, u: Images, s: Levels | None, *, sigma_data: float
) -> Images:
    """x̂ from what the network returned for `u` of noise levels `s`, in the network's frame.

    "clean": the output. "noise" ε: u − s ε. "residual" r: u − r. "v" (Salimans & Ho 2022): with α = 1/√(1 + s²),
    s' = s/√(1 + s²), v = α ε − s' x̂ and α u = α x̂ + s' ε give x̂ = α² u − s' v. With "edm" scaling
    (Karras et al. 2022, table 1): c_skip u + c_out F, c_skip = σ_data²/(σ_data² + s²),
    c_out = s σ_data/√(σ_data² + s²).
    """
    if isinstance(scaling, str) and scaling == "edm":
        assert s is not None
        total = sigma_data**2 + s**2
        return _each(sigma_data**2 / total, u) * u + _each(s * sigma_data / total.sqrt(), u) * output
    return PREDICTIONS[predicts](output, u, s)


def tell(sigma_to: Any, s: Levels, *, dtype: torch.dtype) -> Any:
    """What the network is told of noise levels `s`: see `Denoiser`."""
    if isinstance(sigma_to, NoiseTable):
        return sigma_to(s)
    if sigma_to == "log_sigma":
        if bool((s == 0).any()):
            raise InputError(
                "sigma is 0 somewhere and the network is told log σ, which is not defined there: give σ > 0"
            )
        return s.log().to(dtype)
    return s.to(dtype) if sigma_to == "sigma" else sigma_to(s.to(dtype))


@dataclass(frozen=True, eq=False, repr=False)
class NoiseTable:
    """Noise levels by timestep, as a function from a noise level to the timestep.

    Nearest in log σ, the less noisy one at a tie; or, interpolating, linear in log σ between the two around it. Levels
    outside the table, σ = 0 among them, are told as the nearest end of it.

    Attributes
    ----------
    levels : Tensor
        float64 (T,), on the CPU: strictly monotone, positive, in the network's frame.
    interpolate : bool
        Whether timesteps are fractional.
    """

    levels: Float[Tensor, " t"]
    interpolate: bool = False

    def __call__(self, s: Levels) -> Shaped[Tensor, " n"]:
        """Timesteps (N,) of noise levels (N,): int64, or where they are fractional at least float32."""
        # Apple's GPUs have no float64.
        precision = torch.float32 if s.device.type == "mps" else torch.float64
        falls = bool(self.levels[0] > self.levels[-1])
        logs = (self.levels.flip(0) if falls else self.levels).log().to(s.device, precision)
        wanted = s.to(precision).log().clamp(logs[0], logs[-1])
        above = torch.searchsorted(logs, wanted.contiguous()).clamp(min=1)
        below = above - 1
        fraction = (wanted - logs[below]) / (logs[above] - logs[below])
        if not self.interpolate:
            fraction = (fraction > 0.5).long()
        index = below + fraction
        if falls:
            index = len(logs) - 1 - index
        return index.to(torch.promote_types(s.dtype, torch.float32)) if self.interpolate else index

    def __repr__(self) -> str:
        how = ", interpolated" if self.interpolate else ""
        return f"<{len(self.levels)} noise levels from {self.levels[0]:.4g} to {self.levels[-1]:.4g}{how}>"


def noise_level_told(sigma_to: Any, *, interpolate: bool) -> Any:
    """`sigma_to` as `tell` takes it: a table becomes a `NoiseTable`.

    Raises
    ------
    InputError
        If it is none of the ways to tell a network σ, or only a table can be interpolated and this is none.
    """
    named = sigma_to is None or (isinstance(sigma_to, str) and sigma_to in TELLINGS)
    if isinstance(sigma_to, str) and not named:
        raise _no_telling(sigma_to)
    if named or callable(sigma_to):
        if interpolate:
            raise InputError(
                f"interpolate=True is for a table of noise levels, and {given('sigma_to', sigma_to)} is none: leave it "
                "out"
            )
        return sigma_to
    try:
        levels = torch.from_numpy(real_array("sigma_to", sigma_to, "noise levels"))
    except InputError as error:
        raise _no_telling(sigma_to) from error
    if levels.ndim == 0:
        raise _no_telling(sigma_to)
    steps = levels.diff()
    if levels.ndim != 1 or len(levels) < 2 or not bool((steps > 0).all() or (steps < 0).all()):
        raise InputError(
            f"sigma_to is a table of shape {tuple(levels.shape)} whose values are not all in order: give at least two "
            "noise levels, one a timestep, (T,), strictly rising or strictly falling"
        )
    if not bool((torch.isfinite(levels) & (levels > 0)).all()):
        raise InputError(
            f"sigma_to is a table of noise levels from {float(levels[0]):g} to {float(levels[-1]):g}, and they must be "
            "positive and finite: leave such ends out, or give a function of σ instead"
        )
    return NoiseTable(levels, interpolate)


def shown(setting: Any) -> str:
    """An option of `Denoiser` as printed: a function by its name, which the next process will print too."""
    if callable(setting) and not isinstance(setting, NoiseTable):
        return f"<{getattr(setting, '__qualname__', type(setting).__qualname__)}>"
    return repr(setting)


def check_prediction(predicts: Any, scaling: Any) -> None:
    """Refuse what is no prediction, no scaling, or not both together."""
    if not (isinstance(predicts, str) and predicts in PREDICTIONS):
        raise InputError(f"{given('predicts', predicts)}: give one of {', '.join(map(repr, PREDICTIONS))}")
    if not (scaling is None or callable(scaling) or (isinstance(scaling, str) and scaling in SCALINGS)):
        raise InputError(
            f"{given('scaling', scaling)}: give None, {', '.join(map(repr, SCALINGS))}, or a function (u, s) of noisy "
            "images and their noise levels (N,), both in the network's frame"
        )
    if isinstance(scaling, str) and scaling == "edm" and predicts != "clean":
        raise InputError(
            f'predicts={predicts!r} with scaling="edm": EDM preconditioning says itself how the output becomes the '
            'clean image; leave predicts at "clean"'
        )


def valid_range(data_range: Any) -> tuple[float, float] | None:
    """`data_range` as a pair of numbers in order, or None.

    Raises
    ------
    InputError
        If it is neither.
    """
    if data_range is None:
        return None
    what = (
        "(lowest, highest) with lowest < highest, the intensities of clean images that the network was made for, or "
        "None"
    )
    found = real_array("data_range", data_range, what)
    known = found.ndim == 1 and bool(np.isfinite(found).all())
    ends = tuple(map(plain, listed("data_range", data_range, what))) if known else ()
    # Between numbers whose squares, and those of one over them, float32 holds.
    if not (len(ends) == 2 and -LOUDEST <= ends[0] < ends[1] <= LOUDEST and ends[1] - ends[0] >= 1 / LOUDEST):
        raise InputError(f"{given('data_range', data_range)}: give {what}")
    return ends


def of_diffusers(scheduler: Any) -> dict[str, Any]:
    """Options of `Denoiser` for a network trained with a scheduler of diffusers: see `Denoiser.from_diffusers`."""
    kind = type(scheduler).__name__
    try:
        signal, config = getattr(scheduler, "alphas_cumprod", None), getattr(scheduler, "config", None)
    except Exception:
        # An object of others, which is no scheduler.
        signal = config = None
    if signal is None:
        raise InputError(
            f"{kind} has no alphas_cumprod, the signal's share of the variance at each timestep: give the scheduler "
            "that the network was trained with, such as DDPMScheduler; for networks trained otherwise use "
            "Denoiser(...) around a module that returns the .sample of the network's output"
        )
    known = config.get if isinstance(config, Mapping) else lambda key: getattr(config, key, None)
    prediction = known("prediction_type")
    if not isinstance(prediction, str) or prediction not in DIFFUSERS:
        raise InputError(
            f"{kind}'s prediction_type is {shown_value(prediction)}: it must be {' or '.join(map(repr, DIFFUSERS))}; for others "
            "use Denoiser(..., predicts=) around a module that returns the .sample of the network's output"
        )
    what = "the signal's share of the variance at each timestep, (T,), numbers from 0 to 1"
    share = torch.from_numpy(real_array(f"alphas_cumprod of {kind}", signal, what))
    if share.ndim != 1 or not bool(((share >= 0) & (share <= 1)).all()):
        raise InputError(f"alphas_cumprod of {kind} has shape {tuple(share.shape)} or leaves [0, 1]: give {what}")
    share = share[share > 0]
    return {
        "predicts": DIFFUSERS[prediction],
        "sigma_to": ((1 - share) / share).sqrt(),
        "scaling": "vp",
        "data_range": (-1, 1),
    }


def _no_telling(sigma_to: Any) -> InputError:
    return InputError(
        f'{given("sigma_to", sigma_to)}: give None for a blind network, or "sigma", "log_sigma", a function of σ, or a '
        "table of noise levels, one a timestep, for one told σ"
    )


def _each(factor: Levels, u: Images) -> Images:
    """One factor per image, laid out to multiply images."""
    return factor.to(u.dtype).view(-1, 1, 1, 1)
