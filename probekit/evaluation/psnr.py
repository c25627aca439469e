"""How well a denoiser denoises: PSNR against σ, beside the noisy image and classical references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from probekit.checks import given, instance, mapping, noise_levels, seeded, whole
from probekit.denoising.conditions import conditions_for
from probekit.denoising.denoiser import as_denoiser, refuse_lazy
from probekit.errors import InputError
from probekit.evaluation.references import GaussianBlur, PatchWiener
from probekit.images import ImageSet
from probekit.machine.modes import evaluating
from probekit.machine.place import place_of
from probekit.machine.progress import bar
from probekit.noise import standard_normal

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["CARD_ROWS", "CARD_SIGMA", "card_table", "psnr", "psnr_curve"]

CARD_SIGMA = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
IMAGE_SET = "an image set, as probekit.images.load makes it"
# What a card's table has of its own, so that no denoiser it is compared with can be called so.
METHODS = ("denoiser", "noisy", "gaussian_blur", "patch_wiener")
CARD_ROWS = frozenset({"sigma", "on_training", "training_count", "images", "count", "units", *METHODS})


def psnr(clean: Float[Tensor, "n ..."], estimate: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio of each image, −10 log₁₀(mean squared error), in dB for a peak of 1.

    Nothing is clipped to the intensity range.

    Raises
    ------
    InputError
        If these are no tensors of one shape (n, …), of a floating type.
    """
    for name, value in (("clean", clean), ("estimate", estimate)):
        if not isinstance(value, torch.Tensor) or value.ndim < 2 or not value.is_floating_point():
            raise InputError(f"{given(name, value)}: give a float tensor of images (n, …)")
    if clean.shape != estimate.shape:
        raise InputError(f"clean has shape {tuple(clean.shape)} and estimate {tuple(estimate.shape)}: give one shape")
    return -10 * torch.log10(((estimate - clean) ** 2).flatten(1).mean(1))


def psnr_curve(
    denoiser: nn.Module,
    images: ImageSet,
    *,
    sigma: Sequence[float],
    seed: int = 0,
    batch_size: int = 250,
    conditions: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """PSNR of each image at each noise level, one noise draw shared by all levels.

    Parameters
    ----------
    denoiser
        A `probekit.Denoiser` or a blind network; it is evaluated in evaluation mode and then set back.
    images
        Clean images in [0, 1].
    sigma
        Noise levels in intensity units, > 0.
    seed
        Of the noise.
    batch_size
        Images denoised together.
    conditions
        What else the network takes of each image, as for calling a tap.

    Returns
    -------
    DataArray
        Dims (image, sigma), in dB.

    Raises
    ------
    InputError
        If an option is out of range, or conditions do not fit the network and the images.
    """
    denoiser, sigma = as_denoiser(denoiser), noise_levels(sigma)
    refuse_lazy(denoiser)
    batch_size, seed = whole("batch_size", batch_size, least=1), seeded(seed)
    instance("images", images, ImageSet, IMAGE_SET)
    known, place = conditions_for(denoiser, conditions, images), place_of(denoiser)
    device = place.device
    rows = []
    told = bar(len(images), "img", None, f"PSNR on {images.name}")
    with evaluating(denoiser), torch.inference_mode(), told as shown:
        for start in range(0, len(images), batch_size):
            chosen = range(start, min(start + batch_size, len(images)))
            clean = images.read(chosen).to(device)
            ids = [images.ids[i] for i in chosen]
            z = standard_normal(images.shape, seed=seed, ids=ids, draws=[0] * len(ids)).to(device)
            told = known.at(chosen, place)
            rows.append(torch.stack([psnr(clean, denoiser(clean + s * z, s, **told)) for s in sigma], dim=1).cpu())
            shown.update(len(chosen))
    return xr.DataArray(
        torch.cat(rows).numpy(),
        dims=("image", "sigma"),
        coords={"image": list(images.ids), "sigma": np.asarray(sigma, float)},
        name="psnr",
        attrs={"long_name": "peak signal-to-noise ratio", "units": "dB", "images": images.name, "seed": seed},
    )


def card_table(
    denoiser: nn.Module,
    held_out: ImageSet,
    *,
    fitted_on: ImageSet,
    compare: Mapping[str, nn.Module] | None = None,
    sigma: Sequence[float] = CARD_SIGMA,
    batch_size: int = 250,
) -> Mapping[str, Any]:
    """The table of a model card: mean PSNR over held-out images against σ, beside what it must beat.

    Everything is computed where the denoiser's parameters are, but for the blur.

    Parameters
    ----------
    denoiser
        The trained denoiser.
    held_out
        Images on which nothing was fitted.
    fitted_on
        Training images, on which the references are fitted.
    compare
        Other denoisers to measure on the same images, by name.
    sigma
        Noise levels in intensity units.
    batch_size
        Images denoised together.

    Returns
    -------
    dict
        "sigma" and, for each method, mean PSNR in dB rounded to 0.01: "denoiser", "noisy",
        "gaussian_blur" (the best width at each σ), "patch_wiener" (8×8 patches, told σ), each of
        `compare`; and "on_training", the denoiser's on `fitted_on`, as many images as are held out
        (at most all; "training_count"), which exceeds "denoiser" by what it has learnt by heart.

    Raises
    ------
    InputError
        If a denoiser of `compare` has the name of another row.
    """
    others = {} if compare is None else mapping("compare", compare, "denoisers by name, {name: network}")
    for name, images in (("held_out", held_out), ("fitted_on", fitted_on)):
        instance(name, images, ImageSet, IMAGE_SET)
    sigma, batch_size = noise_levels(sigma), whole("batch_size", batch_size, least=1)
    for network in (denoiser, *others.values()):
        as_denoiser(network)
    if taken := CARD_ROWS & set(others):
        raise InputError(f"compare has {', '.join(sorted(taken))}, a row that the table has already: rename it")
    methods = {
        "denoiser": denoiser,
        "noisy": nn.Identity(),
        "gaussian_blur": GaussianBlur(fitted_on, sigma=sigma),
        "patch_wiener": PatchWiener(fitted_on),
    }
    device = place_of(denoiser).device
    # Evenly spread, so that every class of a sorted set is there.
    seen = fitted_on.subset(np.linspace(0, len(fitted_on) - 1, min(len(fitted_on), len(held_out))).astype(int).tolist())

    def row(method: nn.Module, images: ImageSet) -> list[float]:
        curve = psnr_curve(method.to(device), images, sigma=sigma, batch_size=batch_size)
        return [round(float(v), 2) for v in curve.mean("image")]

    return {
        "sigma": list(map(float, sigma)),
        **{name: row(method, held_out) for name, method in (methods | others).items()},
        "on_training": row(denoiser, seen),
        "training_count": len(seen),
        "images": held_out.name,
        "count": len(held_out),
        "units": "dB, mean over images, unclipped",
    }
