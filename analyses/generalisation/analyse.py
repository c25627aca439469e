"""Whether a denoiser has learnt images by heart: training against held-out PSNR, and copies among its samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

import numpy as np
import torch
import xarray as xr
from scipy.stats import binomtest

from analyses.generalisation.kernels import nearest_training, threshold
from analyses.ground import (
    Estimate,
    Findings,
    Variable,
    along,
    check_options,
    estimated_mean,
    interval,
    resampled_means,
    resampling,
)
from analyses.sampling import sample
from probekit import checks
from probekit import images as image_sources
from probekit.denoising.denoiser import as_denoiser, refuse_lazy
from probekit.errors import InputError
from probekit.evaluation.psnr import CARD_SIGMA, psnr_curve
from probekit.labels import COORDINATES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.images import ImageSet

__all__ = ["FINDINGS", "analyse", "card_entry"]

# Each set is drawn anew on its own.
SEEDS = {"training": 0, "held_out": 1}
# What the rounding of single precision leaves of images in [0, 1], in dB.
MOST = 150.0
PIXELS, EACH = ("sample", "band", "row", "col"), ("sample",)
FINDINGS = Findings(
    "generalisation",
    {
        "psnr_training": Variable(("sigma",), "PSNR on training images", "dB", "images resampled"),
        "psnr_held_out": Variable(("sigma",), "PSNR on held-out images", "dB", "images resampled"),
        "gap": Variable(
            ("sigma",), "PSNR on training images less that on held-out ones", "dB", "images of each set resampled"
        ),
        "samples": Variable(PIXELS, "unconditional samples", "intensity"),
        "nearest_image": Variable(PIXELS, "nearest training image", "intensity"),
        "nearest": Variable(EACH, "id of the nearest training image", holds="names"),
        "distance": Variable(EACH, "distance to the nearest training image"),
        "relative_distance": Variable(EACH, "distance to the nearest over that to the next ones"),
        "relative_distance_held_out": Variable(("image",), "the same of held-out images"),
        "threshold": Variable((), "relative distance up to which a sample counts as a near copy"),
        "near_copy": Variable(EACH, "whether a near copy of a training image", holds="flags"),
        "near_copy_rate": Variable(
            (),
            "share of samples that are near copies; about `share` where nothing is known by heart",
            "1",
            "Clopper & Pearson",
        ),
    },
    coords={"sample": "unconditional sample", "image": "held-out image"},
)


class Options(TypedDict, total=False):
    """Further options of `analyse` by name."""

    sigmas: Sequence[float] | None
    neighbours: int
    resamples: int
    level: float
    batch_size: int


class Settings(NamedTuple):
    """The same with their defaults, checked."""

    sigmas: Sequence[float] | None = None
    neighbours: int = 50
    resamples: int = 1000
    level: float = 0.95
    batch_size: int = 64


@FINDINGS.described
def analyse(
    denoiser: nn.Module,
    training: Any,
    held_out: Any,
    *,
    sigma: Sequence[float] = CARD_SIGMA,
    n_samples: int = 64,
    n_images: int = 1000,
    share: float = 0.01,
    seed: int = 0,
    **options: Unpack[Options],
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
    share
        Share of unseen images that would count as near copies. A sample is one if its distance to the nearest training
        image, over the mean distance to the next ones, is below that of all but such a share of held-out images.
    seed
        Of noise, samples and resampling.
    options
        `sigmas`, noise levels of sampling (see `sample`); `neighbours`, how many next ones (50); `resamples` ≥ 100 of
        the bootstrap over images (1000); `level`, coverage of all intervals (0.95); `batch_size`, images and samples
        computed together (64).

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If the sets differ in size or are too small; if an option is out of its range.
    ModelError
        If the denoiser gives NaN or infinite values.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> seen, unseen = (model.draw(40, rows=8, cols=8, seed=s).images for s in (0, 1))
    >>> findings = analyse(model, seen, unseen, n_samples=8, share=0.1)
    >>> bool((findings.gap_low < 0).all() and (findings.gap_high > 0).all()), findings.sizes["sample"]
    (True, 8)
    """
    given, seed = _checked(options, seed), checks.seeded(seed)
    share = checks.fraction("share", share, "the share of unseen images that would count as copies, e.g. 0.01")
    sigma = checks.noise_levels(sigma)
    n_samples = checks.whole("n_samples", n_samples, least=1)
    n_images = checks.whole("n_images", n_images, least=1)
    seen, unseen = image_sources.load(training), image_sources.load(held_out)
    if seen.shape != unseen.shape:
        raise InputError(f"training images are {seen.shape} and held-out ones {unseen.shape}: bring them to one size")
    if len(seen) < 3 or len(unseen) < 2:
        raise InputError(f"{len(seen)} training and {len(unseen)} held-out images: give at least 3 and 2")
    denoiser = as_denoiser(denoiser)
    refuse_lazy(denoiser)
    compared = _spread(unseen, n_images)
    # A threshold that cannot be had is said before anything is measured.
    threshold(np.zeros(len(compared)).tolist(), share)
    curves = [
        # An image known by heart to the last bit has no finite PSNR.
        np.minimum(psnr_curve(denoiser, images, sigma=sigma, seed=seed, batch_size=given.batch_size).values, MOST)
        for images in (_spread(seen, n_images), compared)
    ]
    drawn = {"sigmas": given.sigmas, "seed": seed, "batch_size": given.batch_size}
    made = sample(denoiser, seen.shape, n_samples=n_samples, **drawn)
    values = _gap(*curves, seed=seed, resamples=given.resamples, level=given.level)
    values |= _copies(made, seen, compared, share, given.neighbours, given.level)
    return FINDINGS.label(
        values,
        xr.Dataset(),
        coords={
            "sigma": along("sigma", np.asarray(sigma, float), COORDINATES["sigma"], units="intensity"),
            "sample": np.arange(n_samples),
            "image": list(compared.ids),
            **{
                name: along(name, np.arange(n), COORDINATES.get(name, "plane of the image"))
                for name, n in zip(("band", "row", "col"), seen.shape, strict=True)
            },
        },
        denoiser=str(getattr(denoiser, "name", type(denoiser).__name__)),
        training_images=f"{seen.name}, {len(seen)}",
        held_out_images=f"{unseen.name}, {len(compared)} of {len(unseen)}",
        share=float(share),
        neighbours=given.neighbours,
        seed=seed,
        resamples=given.resamples,
        level=given.level,
    )


def _checked(options: Options, seed: int) -> Settings:
    check_options("analyse", options, Settings._fields)
    given = Settings._make(map(checks.plain, Settings(**options)))
    resampling(given.resamples, given.level, seed)
    checks.whole("neighbours", given.neighbours, least=1)
    checks.whole("batch_size", given.batch_size, least=1)
    return given


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
    needed = ("psnr_training", "psnr_held_out", "gap", "near_copy", "near_copy_rate")
    findings = FINDINGS.taken(findings, *needed, attrs=("training_images", "held_out_images", "share", "level"))

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


def _gap(seen: np.ndarray, unseen: np.ndarray, *, seed: int, resamples: int, level: float) -> dict[str, Estimate]:
    """Mean PSNR (image, sigma) on both sets and its difference; images of each set are drawn anew on their own."""
    curves = {"training": seen, "held_out": unseen}
    seeds = {name: 2 * seed + offset for name, offset in SEEDS.items()}
    found = {
        f"psnr_{name}": estimated_mean(curve, resamples=resamples, level=level, seed=seeds[name])
        for name, curve in curves.items()
    }
    drawn = [resampled_means(curve, resamples=resamples, seed=seeds[name]) for name, curve in curves.items()]
    low, high = interval(drawn[0] - drawn[1], level, units=min(map(len, curves.values())))
    return {**found, "gap": Estimate(found["psnr_training"].value - found["psnr_held_out"].value, low, high)}


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
    return {
        "samples": made.float().cpu().numpy(),
        "nearest_image": seen.read(position).numpy(),
        "nearest": np.array(seen.ids, dtype=object)[position],
        "distance": both.distance[:n].double().numpy(),
        "relative_distance": relative[:n],
        "relative_distance_held_out": relative[n:],
        "threshold": limit,
        "near_copy": near,
        "near_copy_rate": Estimate(near.mean(), rate.low, rate.high),
    }


def _spread(images: ImageSet, count: int) -> ImageSet:
    """So many of the images, evenly spread, so that every class of a sorted set is there."""
    return images.subset(np.linspace(0, len(images) - 1, min(count, len(images))).astype(int).tolist())
