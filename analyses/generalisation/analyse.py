"""Whether a denoiser has learnt images by heart: training against held-out PSNR, and copies among its samples."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from scipy.stats import binomtest

import probekit
from analyses.generalisation.figure import plot, sheet
from analyses.generalisation.kernels import nearest_training, threshold
from analyses.ground import (
    check_findings,
    command,
    interval,
    resampled_means,
    saved,
    variable,
)
from analyses.sampling import sample
from probekit import images as image_sources
from probekit.checks import fraction, resampling, whole
from probekit.denoising.denoiser import as_denoiser
from probekit.errors import InputError
from probekit.evaluation.psnr import CARD_SIGMA, psnr_curve
from probekit.labels import COORDINATES
from probekit.machine.files import prepared
from probekit.models import zoo
from probekit.train.processes import usable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.images import ImageSet

__all__ = ["analyse", "card_entry", "main", "plot", "sample", "sheet"]

# Each set is drawn anew on its own.
SEEDS = {"training": 0, "held_out": 1}
# What the rounding of single precision leaves of images in [0, 1], in dB.
MOST = 150.0


def analyse(
    denoiser: nn.Module,
    training: Any,
    held_out: Any,
    *,
    sigma: Sequence[float] = CARD_SIGMA,
    n_samples: int = 64,
    n_images: int = 1000,
    sigmas: Sequence[float] | None = None,
    share: float = 0.01,
    neighbours: int = 50,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
    batch_size: int = 64,
) -> xr.Dataset:
    """Compare what a denoiser does on training images and on unseen ones, and look for copies among its samples.

    Parameters
    ----------
    denoiser
        Any module that keeps the contract, or a blind network; computed where its parameters are.
    training, held_out
        Images it was trained on, all of them where copies are to be found, and images of the same kind that it was
        not; anything that `probekit.images.load` takes.
    sigma
        Noise levels of the PSNR, in intensity units.
    n_samples
        Unconditional samples (see `sample`).
    n_images
        Images, evenly spread over each set, that PSNR is measured on; as many held-out ones calibrate the threshold.
    sigmas
        Noise levels of sampling.
    share
        Share of unseen images that would count as near copies. A sample is one if its distance to the nearest training
        image, over the mean distance to the next ones, is below that of all but such a share of held-out images.
    neighbours
        How many next ones.
    seed
        Of noise, samples and resampling.
    resamples, level
        Of the bootstrap over images: number ≥ 100; coverage in (0, 1), also of the interval of the share of copies
        (Clopper & Pearson).
    batch_size
        Images and samples computed together.

    Returns
    -------
    Dataset
        `psnr_training`, `psnr_held_out` and `gap`, the first less the second, along `sigma`, in dB, each with _low and
        _high. `samples` and `nearest_image` (sample, band, row, col); `nearest`, `distance`, `relative_distance` and
        `near_copy` (sample); `relative_distance_held_out` (image); `threshold`; `near_copy_rate` with _low and _high,
        which for a denoiser that has learnt no image by heart is about `share`.

    Raises
    ------
    InputError
        If the sets differ in size or are too small; if an option is out of its range.
    ModelError
        If the denoiser gives NaN or infinite values.

    Examples
    --------
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> seen, unseen = (model.draw(40, rows=8, cols=8, seed=s).images for s in (0, 1))
    >>> findings = analyse(model, seen, unseen, n_samples=8, share=0.1)
    >>> bool((findings.gap_low < 0).all() and (findings.gap_high > 0).all()), findings.sizes["sample"]
    (True, 8)
    """
    resampling(resamples, level, seed)
    fraction("share", share, "the share of unseen images that would count as copies, e.g. 0.01")
    for name, value in (("n_samples", n_samples), ("n_images", n_images), ("neighbours", neighbours)):
        whole(name, value, least=1)
    seen, unseen = image_sources.load(training), image_sources.load(held_out)
    if seen.shape != unseen.shape:
        raise InputError(f"training images are {seen.shape} and held-out ones {unseen.shape}: bring them to one size")
    if len(seen) < 3 or len(unseen) < 2:
        raise InputError(f"{len(seen)} training and {len(unseen)} held-out images: give at least 3 and 2")
    denoiser = as_denoiser(denoiser)
    compared = _spread(unseen, n_images)
    # A threshold that cannot be had is said before anything is measured.
    threshold(np.zeros(len(compared)).tolist(), share)
    values = _psnr(denoiser, _spread(seen, n_images), compared, sigma, seed, resamples, level, batch_size)
    made = sample(denoiser, seen.shape, n_samples=n_samples, sigmas=sigmas, seed=seed, batch_size=batch_size)
    values |= _copies(made, seen, compared, share, neighbours, level)
    return xr.Dataset(
        values,
        coords={
            "sigma": ("sigma", np.asarray(sigma, float), {"long_name": COORDINATES["sigma"], "units": "intensity"}),
            "sample": ("sample", np.arange(n_samples), {"long_name": "unconditional sample"}),
            "image": ("image", np.array(compared.ids, dtype=object), {"long_name": "held-out image"}),
            "band": np.arange(seen.shape[0]),
            "row": np.arange(seen.shape[1]),
            "col": np.arange(seen.shape[2]),
        },
        attrs={
            "analysis": "generalisation",
            "denoiser": str(getattr(denoiser, "name", type(denoiser).__name__)),
            "training_images": f"{seen.name}, {len(seen)}",
            "held_out_images": f"{unseen.name}, {len(compared)} of {len(unseen)}",
            "share": float(share),
            "neighbours": neighbours,
            "seed": seed,
            "resamples": resamples,
            "level": level,
        },
    )


def card_entry(findings: xr.Dataset) -> dict[str, Any]:
    """What a model card says of generalisation, as JSON takes it.

    Parameters
    ----------
    findings
        What `analyse` returns.

    Returns
    -------
    dict
        PSNR on both sets and its gap with interval, in dB, against σ; samples, near copies among them and the
        interval of their share.

    Raises
    ------
    InputError
        If the findings are not of this analysis.
    """
    check_findings(findings, "generalisation", ("gap", "gap_low", "gap_high", "near_copy", "near_copy_rate"))

    def rounded(name: str, digits: int = 2) -> Any:
        return findings[name].values.astype(float).round(digits).tolist()

    return {
        "sigma": findings["sigma"].values.tolist(),
        **{name: rounded(name) for name in ("psnr_training", "psnr_held_out", "gap", "gap_low", "gap_high")},
        "samples": findings.sizes["sample"],
        "near_copies": int(findings["near_copy"].sum()),
        **{name: rounded(name, 4) for name in ("near_copy_rate", "near_copy_rate_low", "near_copy_rate_high")},
        "training": findings.attrs["training_images"],
        "held_out": findings.attrs["held_out_images"],
        "share": findings.attrs["share"],
        "level": findings.attrs["level"],
    }


def _psnr(
    denoiser: nn.Module,
    seen: ImageSet,
    unseen: ImageSet,
    sigma: Sequence[float],
    seed: int,
    resamples: int,
    level: float,
    batch_size: int,
) -> dict[str, Any]:
    """Mean PSNR on both sets and its difference, with percentile intervals over images of each set drawn anew."""
    curves, drawn = {}, {}
    for (name, offset), images in zip(SEEDS.items(), (seen, unseen), strict=True):
        curve = psnr_curve(denoiser, images, sigma=sigma, seed=seed, batch_size=batch_size).values
        # An image known by heart to the last bit has no finite PSNR.
        curves[name] = np.minimum(curve, MOST)
        drawn[name] = resampled_means(curves[name], resamples=resamples, seed=2 * seed + offset)
    means = {name: curve.mean(axis=0) for name, curve in curves.items()}
    means = {f"psnr_{name}": mean for name, mean in means.items()} | {"gap": means["training"] - means["held_out"]}
    resampled = {f"psnr_{name}": d for name, d in drawn.items()} | {"gap": drawn["training"] - drawn["held_out"]}
    texts = {
        "psnr_training": "PSNR on training images",
        "psnr_held_out": "PSNR on held-out images",
        "gap": "PSNR on training images less that on held-out ones",
    }
    found = {}
    units = {f"psnr_{name}": len(curve) for name, curve in curves.items()}
    units["gap"] = min(units.values())
    for name, text in texts.items():
        low, high = interval(resampled[name], level, units=units[name])
        found[name] = variable("sigma", means[name], text, "dB")
        found[f"{name}_low"] = variable("sigma", low, f"{text}: lower end of its {100 * level:g} % interval", "dB")
        found[f"{name}_high"] = variable("sigma", high, f"{text}: upper end of its {100 * level:g} % interval", "dB")
    return found


def _copies(
    made: Tensor, seen: ImageSet, unseen: ImageSet, share: float, neighbours: int, level: float
) -> dict[str, Any]:
    """Nearest training images of samples, and what of it is nearer than an unseen image's."""
    others = unseen.read(range(len(unseen))).to(made)
    both = nearest_training(torch.cat([made, others]), seen, neighbours=neighbours)
    n = len(made)
    relative = both.relative.double().numpy()
    limit = threshold(relative[n:].tolist(), share)
    near = relative[:n] <= limit
    position = both.position[:n].tolist()
    rate = binomtest(int(near.sum()), n).proportion_ci(level)
    ids = np.array(seen.ids, dtype=object)
    pixels = ("sample", "band", "row", "col")
    percent = f"{100 * level:g} % interval"
    return {
        "samples": variable(pixels, made.float().cpu().numpy(), "unconditional samples", "intensity"),
        "nearest_image": variable(pixels, seen.read(position).numpy(), "nearest training image", "intensity"),
        "nearest": variable("sample", ids[position], "nearest training image"),
        "distance": variable("sample", both.distance[:n].double().numpy(), "distance to the nearest training image"),
        "relative_distance": variable("sample", relative[:n], "distance to the nearest over that to the next ones"),
        "relative_distance_held_out": variable("image", relative[n:], "the same of held-out images"),
        "threshold": variable((), limit, "relative distance up to which a sample counts as a near copy"),
        "near_copy": variable("sample", near, "whether a near copy of a training image"),
        "near_copy_rate": variable((), near.mean(), "share of samples that are near copies"),
        "near_copy_rate_low": variable((), rate.low, f"share of near copies: lower end of its {percent}"),
        "near_copy_rate_high": variable((), rate.high, f"share of near copies: upper end of its {percent}"),
    }


def _spread(images: ImageSet, count: int) -> ImageSet:
    """So many of the images, evenly spread, so that every class of a sorted set is there."""
    return images.subset(np.linspace(0, len(images) - 1, min(count, len(images))).astype(int).tolist())


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.generalisation --denoiser NAME --train … --held-out … -o out/``."""
    parser = argparse.ArgumentParser(
        prog="python -m analyses.generalisation",
        description="PSNR on training and held-out images, and near copies of training images among samples.",
    )
    parser.add_argument("--denoiser", required=True, help="bundled name or .safetensors path")
    parser.add_argument("--train", nargs="+", required=True, help="folders or zips of all images it was trained on")
    parser.add_argument("--held-out", nargs="+", required=True, help="folders or zips of images that it was not")
    parser.add_argument("--size", type=int, default=64, help="side of the images (default: 64)")
    parser.add_argument("--samples", type=int, default=64, help="unconditional samples (default: 64)")
    parser.add_argument("--images", type=int, default=1000, help="images of each set for the PSNR (default: 1000)")
    parser.add_argument("--share", type=float, default=0.01, help="of unseen images that would count as near copies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--card", type=Path, help="the denoiser's .json, to write the outcome into")
    parser.add_argument("--device", help="cpu or cuda; a GPU is taken if there is one")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder for the results (default: here)")
    given = parser.parse_args(arguments)
    return command(parser, lambda: _made(given))


def _made(given: argparse.Namespace) -> list[Path]:
    device = usable(given.device)
    # Samples take minutes: that the folder can be written to is seen before.
    prepared(given.out)
    denoiser = probekit.load(given.denoiser)
    if given.card is not None:
        _check_card(given.card, given.denoiser)
    sets = (
        image_sources.concatenate([image_sources.load(Path(n), size=given.size, crop=given.size) for n in names])
        for names in (given.train, given.held_out)
    )
    findings = analyse(
        denoiser.to(device),
        *sets,
        n_samples=given.samples,
        n_images=given.images,
        share=given.share,
        seed=given.seed,
    )
    figures = ("generalisation", plot(findings)), ("samples", sheet(findings))
    written = saved(given.out, ("generalisation", findings), *figures)
    if given.card is not None:
        zoo.amend(given.card, lambda card: card.update(generalisation=card_entry(findings)))
        written.append(given.card)
    return written


def _check_card(card: Path, denoiser: str) -> None:
    """Refuse to write into the card of another denoiser."""
    of, own = (zoo.describe(name)["weights_sha256"] for name in (card.with_suffix(".safetensors"), denoiser))
    if of != own:
        raise InputError(f"{card} describes other weights than those of {denoiser}: give the .json beside them")


if __name__ == "__main__":
    sys.exit(main())
