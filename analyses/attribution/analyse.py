"""Which pixels drive a channel."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Unpack

import numpy as np
import torch
import xarray as xr

from analyses.attribution.inputs import batches, middle, same_network
from analyses.ground import Findings, Variable, check_options, chosen_channels, labels_of, repeats
from probekit import checks
from probekit import images as image_sources
from probekit.errors import InputError, TapError
from probekit.machine.modes import evaluating
from probekit.machine.place import place_of
from probekit.machine.progress import bar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.phi.tap import Tap

    Read = Callable[..., Tensor]
    Make = Callable[[Read, Tensor, Tensor, int], Tensor]

__all__ = ["ATTRIBUTION", "METHODS", "attribute"]

METHODS = ("integrated_gradients", "occlusion")
PLACE = ("image", "sigma", "channel")
ATTRIBUTION = Findings(
    "attribution",
    {
        "attribution": Variable((*PLACE, "band", "row", "col"), "attribution to each pixel", "activation"),
        "difference": Variable(PLACE, "φ_c(x_σ) − φ_c(b_σ): φ of the image less φ of the baseline", "activation"),
        "completeness_error": Variable(
            PLACE, "|Σ A − difference|, mean over draws, relative to the larger of Σ|A| and |difference|"
        ),
    },
    coords={"band": "plane of the image", "row": "row", "col": "column"},
    source="attribution.attribute",
)
# Numbers of noisy images that a call of captum expands at once.
PIXELS = 2**20
# Of the quadrature, whose nodes are found in a matrix of that side.
MOST_STEPS = 4096


class Options(TypedDict, total=False):
    """Options of the methods by name; see `attribute`."""

    baseline: float | None
    n_steps: int
    tolerance: float
    window: int
    stride: int | None


class Settings(NamedTuple):
    """The same with their defaults, checked."""

    baseline: float | None = None
    n_steps: int = 50
    tolerance: float = 0.01
    window: int = 4
    stride: int | None = None


@ATTRIBUTION.described
def attribute(
    denoiser: nn.Module,
    tap: Tap,
    images: Any,
    *,
    channels: int | Sequence[int],
    sigma: float | Sequence[float],
    method: Literal["integrated_gradients", "occlusion"] = "integrated_gradients",
    draws: int = 1,
    seed: int = 0,
    ids: Sequence[Any] | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Attribute a channel's value to the pixels of each image, averaged over noise draws; by captum.

    The path from baseline to image keeps its noise: integrated gradients (Sundararajan, Taly & Yan 2017) are
    A_p = (x_p − b) ∫₀¹ ∂φ_c(b + t(x − b) + σz)/∂y_p dt, whose sum is φ_c(x_σ) − φ_c(b_σ) exactly (completeness), up to
    the quadrature's error. Occlusion (Zeiler & Fergus 2014) is what φ_c loses when a window of the image is replaced
    by the baseline, per pixel and band of the window; it is complete only where φ_c is additive over
    windows and these tile the image.

    Parameters
    ----------
    denoiser
        What `tap` was made of.
    tap
        One or several taps.
    images
        Clean images, as `probekit.images.load` takes them.
    channels
        Numbers along dim `channel` of what the tap returns.
    sigma
        Noise levels ≥ 0 in intensity units.
    method
        "integrated_gradients" or "occlusion".
    draws, seed
        Noise draws averaged over, and seed: the noise that `tap` uses.
    ids
        Image ids, unique; they address the noise.
    options
        Of the method. Both: `baseline`, intensity b of the constant image compared with (the middle of the denoiser's
        range; 0 without one). Integrated gradients: `n_steps` ≥ 2, points of the Gauss–Legendre quadrature along the
        path (50); `tolerance`, the completeness error above which it is warned (0.01). Occlusion: `window`, side of the
        square in pixels (4), and `stride`, its steps (as wide as the window).

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If a channel does not exist, σ is missing or invalid, the images are of a size that the network cannot take,
        or an option is out of its range.
    TapError
        If integrated gradients are asked for and what the tap sees has none with respect to the image.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> from probekit import tap
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> images = model.draw(2, rows=4, cols=4, seed=0).images
    >>> found = attribute(model, tap(model, "mid"), images, channels=[0, 1], sigma=0.1)
    >>> dict(found.attribution.sizes)
    {'image': 2, 'sigma': 1, 'channel': 2, 'band': 1, 'row': 4, 'col': 4}
    >>> bool(found.completeness_error.max() < 1e-4)
    True
    """
    integrated = checks.choice("method", method, METHODS) == "integrated_gradients"
    given = _checked(options)
    seed, draws = checks.seeded(seed), repeats("draws", draws, least=1)
    denoiser = same_network(denoiser, tap)
    levels = checks.noise_levels(sigma)
    source = image_sources.load(images, ids=ids)
    # Only for its labels, and for what it refuses.
    reference = tap(source.subset([0]), sigma=levels, draws=1, seed=seed)
    chosen = chosen_channels(channels, reference.sizes["channel"])
    _check_window(given, source.shape)
    constant = middle(denoiser) if given.baseline is None else given.baseline
    if integrated:
        make: Make = partial(_integrated, n_steps=given.n_steps)
        together = PIXELS // (given.n_steps * math.prod(source.shape))
    else:
        make, together = partial(_occluded, given=given), PIXELS // math.prod(source.shape)
    with evaluating(denoiser):
        maps, difference, error = _averaged(
            partial(_maps, make, tap, channels=chosen.tolist(), constant=constant),
            batches(source, draws, seed, max(1, together), place_of(denoiser)),
            shape=(len(source), len(levels), len(chosen), *source.shape),
            levels=levels,
            draws=draws,
        )
    scale = np.maximum(np.abs(maps).sum(axis=(3, 4, 5), dtype=np.float64), np.abs(difference))
    relative = np.divide(error, scale, out=np.zeros_like(error), where=scale > 0)
    if integrated:
        _warn_of_incompleteness(relative, given)
    own = ("n_steps",) if integrated else ("window", "stride")
    return ATTRIBUTION.label(
        {"attribution": maps, "difference": difference, "completeness_error": relative},
        labels_of(source, reference, chosen),
        coords={name: np.arange(n) for name, n in zip(("band", "row", "col"), source.shape, strict=True)},
        attrs={"attribution": {"long_name": f"attribution by {method}"}},
        method=method,
        baseline=constant,
        draws=draws,
        **{name: getattr(given, name) for name in own},
    )


def _checked(options: Options) -> Settings:
    check_options("attribute", options, Settings._fields)
    given = Settings(**options)
    if given.baseline is not None:
        baseline = checks.number(
            "baseline", given.baseline, "a finite intensity", good=lambda b: abs(b) <= checks.LOUDEST
        )
        given = given._replace(baseline=baseline)
    n_steps = checks.whole("n_steps", given.n_steps, least=2, most=MOST_STEPS)
    what = "the largest relative completeness error, > 0, e.g. 0.01"
    tolerance = checks.number("tolerance", given.tolerance, what, good=lambda v: v > 0)
    window = checks.whole("window", given.window, least=1)
    stride = window if given.stride is None else checks.whole("stride", given.stride, least=1)
    return given._replace(n_steps=n_steps, tolerance=tolerance, window=window, stride=stride)


def _averaged(
    maps_of: Callable[..., Iterator[tuple[np.ndarray, np.ndarray]]],
    noisy: Iterator[tuple[slice, Tensor, Tensor]],
    *,
    shape: tuple[int, ...],
    levels: list[float],
    draws: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps of this shape, differences of φ, and errors of completeness, each averaged over draws."""
    maps = np.zeros(shape, np.float32)
    difference, error = np.zeros((2, *shape[:3]))
    with bar(draws * math.prod(shape[:3]), "map", None, "attribution") as shown:
        for where, x, z in noisy:
            for s, level in enumerate(levels):
                for c, (found, change) in enumerate(maps_of(x, z, level)):
                    maps[where, s, c] += found / draws
                    difference[where, s, c] += change / draws
                    error[where, s, c] += np.abs(found.sum(axis=(1, 2, 3)) - change) / draws
                    shown.update(len(found))
    return maps, difference, error


def _maps(
    make: Make, tap: Tap, x: Tensor, z: Tensor, level: float, *, channels: list[int], constant: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each channel the maps (image, band, row, col) of one draw, and what they should add up to (image)."""
    y, baseline = x + level * z, torch.full_like(x, constant) + level * z
    read = partial(_features, tap, sigma=level)
    with torch.no_grad():
        change = (read(y) - read(baseline))[:, channels].double().cpu().numpy()
    for c, channel in enumerate(channels):
        yield make(read, y, baseline, channel).detach().double().cpu().numpy(), change[:, c]


def _features(tap: Tap, y: Tensor, sigma: float) -> Tensor:
    # A network may change its input in place, and y is used again.
    return tap.features(y.clone(), sigma=sigma)


def _integrated(read: Read, y: Tensor, baseline: Tensor, channel: int, *, n_steps: int) -> Tensor:
    from captum.attr import IntegratedGradients

    if not read(y[:1].detach().requires_grad_()).requires_grad:
        raise TapError(
            "what the tap sees has no gradient with respect to the image: the network computes it without one "
            "(torch.no_grad, detach), or not from the image; take method='occlusion', or tap another place"
        )
    found: Any = IntegratedGradients(read).attribute(
        y, baselines=baseline, target=channel, n_steps=n_steps, internal_batch_size=max(len(y), PIXELS // y[0].numel())
    )
    return found


def _occluded(read: Read, y: Tensor, baseline: Tensor, channel: int, *, given: Settings) -> Tensor:
    from captum.attr import Occlusion

    bands, stride = y.shape[1], given.stride or given.window
    found: Any = Occlusion(read).attribute(
        y,
        sliding_window_shapes=(bands, given.window, given.window),
        strides=(bands, stride, stride),
        baselines=baseline,
        target=channel,
    )
    # Captum gives every pixel the whole change; shared out, changes of windows that tile the image add up.
    return found / (bands * given.window**2)


def _warn_of_incompleteness(error: np.ndarray, given: Settings) -> None:
    if (error > given.tolerance).any():
        warnings.warn(
            f"integrated gradients miss completeness by up to {error.max():.2g} (tolerance {given.tolerance:g}) in "
            f"{int((error > given.tolerance).sum())} of {error.size} maps: give more than n_steps={given.n_steps}",
            stacklevel=3,
        )


def _check_window(given: Settings, shape: tuple[int, int, int]) -> None:
    window, stride = given.window, given.stride or given.window
    if window > min(shape[1:]):
        raise InputError(f"window={window} on images of {shape[1]}×{shape[2]}: give a smaller window")
    if not 1 <= stride <= window:
        raise InputError(f"stride={stride!r}: give a step of 1 to window={window} pixels, so that no pixel is left out")
