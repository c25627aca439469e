"""Which pixels drive a channel, what a channel causes, and whether holding a few channels holds a pattern."""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import xarray as xr

import probekit
from analyses import ground
from analyses.attribution.effects import effects
from analyses.attribution.figure import plot
from analyses.attribution.groups import Matched, matched_groups
from analyses.attribution.inputs import batches, check_count, chosen_channels, labels_of, middle, place_of, same_network
from analyses.ground import variable
from probekit import images as image_sources
from probekit.checks import number, seeded, whole
from probekit.errors import InputError, TapError
from probekit.machine.files import prepared
from probekit.machine.modes import evaluating
from probekit.phi.averages import noise_levels

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.phi.tap import Tap

    Make = Callable[[Callable[..., Tensor], Tensor, Tensor, int], Tensor]

__all__ = ["Matched", "attribute", "effects", "main", "matched_groups", "plot"]

# Numbers of noisy images that a call of captum expands at once.
PIXELS = 2**20


def attribute(
    denoiser: nn.Module,
    tap: Tap,
    images: Any,
    *,
    channels: int | Sequence[int],
    sigma: float | Sequence[float],
    method: Literal["integrated_gradients", "occlusion"] = "integrated_gradients",
    baseline: float | None = None,
    draws: int = 1,
    seed: int = 0,
    ids: Sequence[Any] | None = None,
    n_steps: int = 50,
    window: int = 4,
    stride: int | None = None,
    tolerance: float = 0.01,
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
    baseline
        Intensity b of the constant image compared with; by default the middle of the denoiser's range, 0 without one.
    draws, seed
        Noise draws averaged over, and seed: the noise that `tap` uses.
    ids
        Image ids, unique; they address the noise.
    n_steps
        Points of the Gauss–Legendre quadrature along the path, ≥ 2.
    window, stride
        Side of the occluding square in pixels, and its steps; by default steps as wide as the window.
    tolerance
        Integrated gradients whose completeness error exceeds it are warned of.

    Returns
    -------
    Dataset
        `attribution` (image, sigma, channel, band, row, col), in units of activation; over (image, sigma, channel)
        `difference`, φ_c(x_σ) − φ_c(b_σ), and `completeness_error`, the mean over draws of |Σ A − difference|, relative
        to the larger of Σ|A| and |difference|.

    Raises
    ------
    InputError
        If a channel does not exist, σ is missing or invalid, the images are of a size that the network cannot take,
        or an option is out of its range.
    TapError
        If integrated gradients are asked for and what the tap sees has none with respect to the image.

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
    if method not in ("integrated_gradients", "occlusion"):
        raise InputError(f"method={method!r}: give 'integrated_gradients' or 'occlusion'")
    number("tolerance", tolerance, "the largest relative completeness error, > 0, e.g. 0.01", good=lambda v: v > 0)
    seeded(seed)
    for name, value, least in (("draws", draws, 1), ("n_steps", n_steps, 2), ("window", window, 1)):
        check_count(name, value, least)
    denoiser = same_network(denoiser, tap)
    levels = noise_levels(sigma)
    source = image_sources.load(images, ids=ids)
    # Only for its labels, and for what it refuses.
    reference = tap(source.subset([0]), sigma=levels, draws=1, seed=seed)
    chosen = chosen_channels(channels, reference.sizes["channel"])
    stride = window if stride is None else whole("stride", stride, least=1)
    _check_window(window, stride, source.shape)
    constant = middle(denoiser) if baseline is None else number("baseline", baseline, "a finite intensity")
    if method == "integrated_gradients":
        make: Make = partial(_integrated, n_steps=n_steps)
        together = PIXELS // (n_steps * math.prod(source.shape))
    else:
        make, together = partial(_occluded, window=window, stride=stride), PIXELS // math.prod(source.shape)
    with evaluating(denoiser):
        maps, difference, error = _averaged(
            make,
            tap,
            batches(source, draws, seed, max(1, together), place_of(denoiser)),
            shape=(len(source), len(levels), len(chosen), *source.shape),
            channels=chosen.tolist(),
            levels=levels,
            constant=constant,
            draws=draws,
        )
    scale = np.maximum(np.abs(maps).sum(axis=(3, 4, 5), dtype=np.float64), np.abs(difference))
    relative = np.divide(error, scale, out=np.zeros_like(error), where=scale > 0)
    if method == "integrated_gradients":
        _warn_of_incompleteness(relative, tolerance, n_steps)
    over = ("image", "sigma", "channel")
    return ground.findings(
        {
            "attribution": variable((*over, "band", "row", "col"), maps, f"attribution by {method}", "activation"),
            "difference": variable(over, difference, "φ of the image less φ of the baseline", "activation"),
            "completeness_error": variable(over, relative, "|Σ attribution − difference|, relative, mean over draws"),
        },
        labels_of(source, reference, chosen),
        analysis="attribution",
        coords={name: np.arange(n) for name, n in zip(("band", "row", "col"), source.shape, strict=True)},
        method=method,
        baseline=constant,
        draws=draws,
        n_steps=n_steps if method == "integrated_gradients" else None,
        window=window if method == "occlusion" else None,
        stride=stride if method == "occlusion" else None,
    )


def _averaged(
    make: Make,
    tap: Tap,
    noisy: Iterator[tuple[slice, Tensor, Tensor]],
    *,
    shape: tuple[int, ...],
    channels: list[int],
    levels: list[float],
    constant: float,
    draws: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps of this shape, differences of φ, and errors of completeness, each averaged over draws."""
    maps = np.zeros(shape, np.float32)
    difference, error = np.zeros((2, *shape[:3]))
    for rows, x, z in noisy:
        for s, level in enumerate(levels):
            y, rest = x + level * z, torch.full_like(x, constant) + level * z
            read = partial(_features, tap, sigma=level)
            with torch.no_grad():
                change = (read(y) - read(rest))[:, channels].double().cpu().numpy()
            difference[rows, s] += change / draws
            for c, channel in enumerate(channels):
                found = make(read, y, rest, channel).detach().double()
                maps[rows, s, c] += found.cpu().numpy() / draws
                error[rows, s, c] += np.abs(found.flatten(1).sum(dim=1).cpu().numpy() - change[:, c]) / draws
    return maps, difference, error


def _features(tap: Tap, y: Tensor, sigma: float) -> Tensor:
    # A network may change its input in place, and y is used again.
    return tap.features(y.clone(), sigma=sigma)


def _integrated(read: Callable[..., Tensor], y: Tensor, rest: Tensor, channel: int, *, n_steps: int) -> Tensor:
    from captum.attr import IntegratedGradients

    if not read(y[:1].detach().requires_grad_()).requires_grad:
        raise TapError(
            "what the tap sees has no gradient with respect to the image: the network computes it without one "
            "(torch.no_grad, detach), or not from the image; take method='occlusion', or tap another place"
        )
    found: Any = IntegratedGradients(read).attribute(
        y, baselines=rest, target=channel, n_steps=n_steps, internal_batch_size=max(len(y), PIXELS // y[0].numel())
    )
    return found


def _occluded(
    read: Callable[..., Tensor], y: Tensor, rest: Tensor, channel: int, *, window: int, stride: int
) -> Tensor:
    from captum.attr import Occlusion

    bands = y.shape[1]
    found: Any = Occlusion(read).attribute(
        y,
        sliding_window_shapes=(bands, window, window),
        strides=(bands, stride, stride),
        baselines=rest,
        target=channel,
    )
    # Captum gives every pixel the whole change; shared out, changes of windows that tile the image add up.
    return found / (bands * window**2)


def _warn_of_incompleteness(error: np.ndarray, tolerance: float, n_steps: int) -> None:
    if (error > tolerance).any():
        warnings.warn(
            f"integrated gradients miss completeness by up to {error.max():.2g} (tolerance {tolerance:g}) in "
            f"{int((error > tolerance).sum())} of {error.size} maps: give more than n_steps={n_steps}",
            stacklevel=3,
        )


def _check_window(window: int, stride: int, shape: tuple[int, int, int]) -> None:
    if window > min(shape[1:]):
        raise InputError(f"window={window} on images of {shape[1]}×{shape[2]}: give a smaller window")
    if not 1 <= stride <= window:
        raise InputError(f"stride={stride!r}: give a step of 1 to window={window} pixels, so that no pixel is left out")


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.attribution photo32 images/ --channels 3 17 --sigma 0.1 -o out/``."""
    parser = argparse.ArgumentParser(
        prog="python -m analyses.attribution", description="Which pixels drive channels of a denoiser."
    )
    parser.add_argument("model", help="a bundled denoiser's name, or a .safetensors file")
    parser.add_argument("images", help="folder or zip of images, or samples")
    parser.add_argument("--channels", type=int, nargs="+", required=True, help="numbers of the tap's channels")
    parser.add_argument("--tap", default="mid", help="place in the network (default: mid)")
    parser.add_argument("--sigma", type=float, nargs="+", default=[0.1], help="noise levels (default: 0.1)")
    parser.add_argument("--method", choices=["integrated_gradients", "occlusion"], default="integrated_gradients")
    parser.add_argument("--first", type=int, default=4, help="number of images, from the first (default: 4)")
    parser.add_argument("--size", type=int, help="scale the shorter side to this, and crop a square")
    parser.add_argument("--draws", type=int, default=1, help="noise draws (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder for the results (default: here)")
    given = parser.parse_args(arguments)
    return ground.command(parser, lambda: _written(given))


def _written(given: argparse.Namespace) -> list[Path]:
    denoiser = probekit.load(given.model)
    tap = probekit.tap(denoiser, given.tap)
    crop = None if given.images == "samples" else given.size
    source = image_sources.load(given.images, size=given.size, crop=crop)
    prepared(given.out)
    found = attribute(
        denoiser,
        tap,
        source.subset(range(min(given.first, len(source)))),
        channels=given.channels,
        sigma=given.sigma,
        method=given.method,
        draws=given.draws,
        seed=given.seed,
    )
    return ground.saved(given.out, ("attribution", found), ("attribution", plot(found)))


if __name__ == "__main__":
    sys.exit(main())
