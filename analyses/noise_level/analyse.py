"""Whether a denoiser knows how much noise there is: the noise level that its residual says, against the true one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from analyses import ground
from analyses.ground import Estimate, Findings, Variable, drawn_images, estimated_mean, repeats, resampling
from analyses.noise_level.kernels import deviation, estimated_spread, walked
from analyses.noise_level.networks import denoising, is_told, networks_of
from analyses.sampling import levels
from probekit import __version__, checks
from probekit import images as image_sources
from probekit.errors import InputError
from probekit.labels import COORDINATES
from probekit.machine.progress import bar
from probekit.noise import standard_normal

if TYPE_CHECKING:
    from probekit.images import ImageSet

__all__ = ["FINDINGS", "PATH", "along", "analyse"]

Denoisers = str | Path | nn.Module | Mapping[str, str | Path | nn.Module]
# Below, a share of it overflows.
LEAST = 1 / checks.LOUDEST
POSITIVE = f"noise levels > 0, of {LEAST:g} at least"
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
HERE = ("network", "sigma")
IMAGES, SAMPLES = "images resampled", "samples resampled"
COORDS = {"network": "denoiser", "told": "whether σ goes into the denoiser"}
FINDINGS = Findings(
    "noise_level",
    {
        "sigma_hat": Variable(("network", "image", "sigma"), "‖D(y) − y‖/√N of each image", "intensity"),
        "mean": Variable(HERE, "mean of `sigma_hat`", "intensity", IMAGES),
        "bias": Variable(HERE, "`mean` less σ", "intensity", IMAGES),
        "relative_bias": Variable(HERE, "`mean` over σ, less 1", interval=IMAGES),
        "sd": Variable(HERE, "standard deviation of `sigma_hat` over images", "intensity", IMAGES),
        "error": Variable(HERE, "root of the mean squared error of D(y)", "intensity"),
        "exact_bias": Variable(HERE, "√(1 − `error`²/σ²) − 1: relative bias of an exact denoiser of that error"),
    },
    coords=COORDS,
)
PATH = Findings(
    "noise_level.along",
    {
        "sigma_hat": Variable(("network", "sample", "sigma"), "‖D(y) − y‖/√N of each sample", "intensity"),
        "mean": Variable(HERE, "mean of `sigma_hat`", "intensity", SAMPLES),
        "mismatch": Variable(HERE, "`mean` over σ of the schedule, less 1", interval=SAMPLES),
    },
    coords=COORDS | {"sample": "number of the sample"},
)


@FINDINGS.described
def analyse(
    denoisers: Denoisers,
    images: Any,
    *,
    sigma: Sequence[float] = LEVELS,
    n_images: int | None = 256,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    batch_size: int = 64,
    progress: bool | None = None,
) -> xr.Dataset:
    """The noise level that a denoiser's residual says of images, σ̂ = ‖D(y) − y‖/√N, against the true one.

    A blind denoiser is not told σ, and can only take as much off an image as it takes for noise (Kadkhodaie &
    Simoncelli, NeurIPS 2021, let a sampler's schedule follow σ̂). Even the exact posterior mean has some bias, since
    E σ̂² = σ² − E‖D(y) − x‖²/N: `exact_bias` says how much for a denoiser of this error. Where the bias is no larger,
    it says nothing against the denoiser's knowledge of σ.

    Parameters
    ----------
    denoisers
        One, or several by name: bundled names, paths or modules. Those that take σ are told it.
    images
        Images that they were not trained on: anything that `probekit.images.load` takes.
    sigma
        Noise levels > 0.
    n_images
        At most so many images, drawn at random; None for all. Each has one noise draw, the same at all levels.
    resamples, level, seed
        Of the bootstrap over images; seed of the noise too.
    batch_size
        Images denoised together.
    progress
        Whether to show a progress bar; by default only in a terminal.

    Returns
    -------
    Dataset
        {findings}

        Coordinate `told` along network.

    Raises
    ------
    InputError
        If there is no denoiser, a noise level is 0, or an option is out of its range.
    ModelError
        If a denoiser gives NaN or infinite values.

    Examples
    --------
    >>> found = analyse(nn.Identity(), np.zeros((4, 1, 8, 8)), sigma=[0.1])
    >>> found.relative_bias.item()
    -1.0
    """
    networks, known = networks_of(denoisers), checks.noise_levels(sigma)
    if min(known) < LEAST:
        raise InputError(f"sigma holds {min(known):g}, of which no share can be taken: give {POSITIVE}")
    resamples, level, seed = resampling(resamples, level, seed)
    batch_size = checks.whole("batch_size", batch_size, least=1)
    progress = None if progress is None else checks.flag("progress", progress)
    n_images = None if n_images is None else checks.whole("n_images", n_images, least=1)
    source = drawn_images(image_sources.load(images), n_images, seed)
    found = np.empty((2, len(networks), len(source), len(known)))
    with bar(len(networks) * len(source), "img", progress, f"noise levels of {source.name}") as shown:
        for k, (name, network) in enumerate(networks.items()):
            for chosen, values in _of_images(name, network, source, known, seed=seed, batch_size=batch_size):
                found[:, k, chosen] = values
                shown.update(len(chosen))
    sigma_hat, squared = found
    levels_given, options = np.array(known), {"resamples": resamples, "level": level, "seed": seed}
    over_images = sigma_hat.transpose(1, 0, 2)
    mean = estimated_mean(over_images, **options)
    error = np.sqrt(squared.mean(axis=1))
    with np.errstate(invalid="ignore"):
        exact = np.sqrt(1 - (error / levels_given) ** 2) - 1
    values = {
        "sigma_hat": sigma_hat,
        "mean": mean,
        "bias": Estimate(*(end - levels_given for end in mean)),
        "relative_bias": Estimate(*(end / levels_given - 1 for end in mean)),
        "sd": estimated_spread(over_images, **options),
        "error": error,
        "exact_bias": exact,
    }
    along_images = {"image": ground.along("image", list(source.ids), COORDINATES["image"])}
    return FINDINGS.label(
        values,
        xr.Dataset(attrs={"probekit_version": __version__, "image_source": source.name}),
        coords=_coords(networks, known) | along_images,
        images=len(source),
        resamples=resamples,
        level=level,
        seed=seed,
    )


def _of_images(
    name: str, network: nn.Module, source: ImageSet, sigma: Sequence[float], *, seed: int, batch_size: int
) -> Iterator[tuple[range, np.ndarray]]:
    """σ̂ and the mean squared error (2, n, sigma) of each batch of images, with their positions."""
    with denoising(name, network) as denoise:
        for start in range(0, len(source), batch_size):
            chosen = range(start, min(start + batch_size, len(source)))
            clean = source.read(chosen)
            ids = [source.ids[i] for i in chosen]
            z = standard_normal(source.shape, seed=seed, ids=ids, draws=[0] * len(ids))
            values = []
            for one in sigma:
                y = clean + one * z
                estimate = denoise(y, one)
                values.append(torch.stack([deviation(estimate - y), deviation(estimate - clean) ** 2]))
            yield chosen, torch.stack(values, dim=-1).numpy()


@PATH.described
def along(
    denoisers: Denoisers,
    images: Any,
    *,
    sigmas: Sequence[float] | None = None,
    n_samples: int = 16,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    batch_size: int = 64,
    progress: bool | None = None,
) -> xr.Dataset:
    """σ̂ at each level of a sampler against its schedule, where images are what the denoiser itself has made.

    The score steps of Algorithm 1 (arXiv:2506.01912) without guidance, in a loop of its own: from the images' mean
    colour, y = x + σ_t z with fresh z, σ̂ = ‖D(y) − y‖/√N, x = D(y), down the schedule σ_t.

    Parameters
    ----------
    denoisers
        As for `analyse`.
    images
        Of whose shape samples are, and whose mean colour they begin at; anything that `probekit.images.load` takes.
    sigmas
        Noise levels > 0, falling; by default those of Algorithm 1, 100 from 1 to 0.03.
    n_samples
        Samples, each with noise of its own.
    resamples, level, seed
        Of the bootstrap over samples; seed of the noise too.
    batch_size
        Samples made together.
    progress
        Whether to show a progress bar; by default only in a terminal.

    Returns
    -------
    Dataset
        {findings}

        Coordinate `told` along network.

    Raises
    ------
    InputError
        If there is no denoiser, levels do not fall or reach 0, or an option is out of its range.
    ModelError
        If a denoiser gives NaN or infinite values.

    Examples
    --------
    >>> found = along(nn.Identity(), np.zeros((4, 1, 8, 8)), sigmas=[0.2, 0.1], n_samples=2)
    >>> found.mismatch.values.tolist()
    [[-1.0, -1.0]]
    """
    networks = networks_of(denoisers)
    walk = _falling(levels("algorithm1") if sigmas is None else sigmas)
    resamples, level, seed = resampling(resamples, level, seed)
    count, batch_size = repeats("n_samples", n_samples, least=1), checks.whole("batch_size", batch_size, least=1)
    progress = None if progress is None else checks.flag("progress", progress)
    source = image_sources.load(images)
    colour = _mean_colour(source, batch_size)
    found = np.empty((len(networks), count, len(walk)))
    with bar(len(networks) * count, "img", progress, "samples") as shown:
        for k, (name, network) in enumerate(networks.items()):
            for start in range(0, count, batch_size):
                chosen = range(start, min(start + batch_size, count))
                names = [f"sample {i}" for i in chosen]

                def noise(t: int, names: list[str] = names) -> torch.Tensor:
                    return standard_normal(source.shape, seed=seed, ids=names, draws=[t] * len(names))

                begun = colour.expand(len(names), *source.shape)
                with denoising(name, network) as denoise:
                    found[k, chosen] = torch.stack([*walked(denoise, begun, walk, noise)], dim=1).numpy()
                shown.update(len(chosen))
    mean = estimated_mean(found.transpose(1, 0, 2), resamples=resamples, level=level, seed=seed)
    mismatch = Estimate(*(end / np.array(walk) - 1 for end in mean))
    return PATH.label(
        {"sigma_hat": found, "mean": mean, "mismatch": mismatch},
        xr.Dataset(attrs={"probekit_version": __version__, "image_source": source.name}),
        coords=_coords(networks, walk) | {"sample": np.arange(count)},
        samples=count,
        resamples=resamples,
        level=level,
        seed=seed,
    )


def _coords(networks: Mapping[str, nn.Module], sigma: Sequence[float]) -> dict[str, Any]:
    told = np.array([is_told(one) for one in networks.values()])
    return {
        "network": list(networks),
        "told": ("network", told),
        "sigma": ground.along("sigma", np.asarray(sigma, float), COORDINATES["sigma"], units="intensity"),
    }


def _falling(sigmas: Any) -> list[float]:
    found = checks.noise_levels(sigmas)
    if min(found) < LEAST or any(a <= b for a, b in pairwise(found)):
        raise InputError(
            f"{checks.given('sigmas', sigmas)}: give {POSITIVE}, that fall from the first to the last, e.g. "
            "numpy.linspace(1, 0.03, 100)"
        )
    return found


def _mean_colour(source: ImageSet, batch_size: int) -> torch.Tensor:
    """The mean of each band over images and pixels, (1, C, 1, 1)."""
    total = torch.zeros(source.shape[0], dtype=torch.float64)
    for start in range(0, len(source), batch_size):
        batch = source.read(range(start, min(start + batch_size, len(source))))
        total += batch.double().mean(dim=(2, 3)).sum(dim=0)
    return (total / len(source)).float().view(1, -1, 1, 1)
