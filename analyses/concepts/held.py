"""Whether samples made with a few channels held share a pattern that the others were left free to lose."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from analyses import sampling
from analyses.concepts.kernels import nearer, relabelled_p
from analyses.ground import (
    Findings,
    Variable,
    as_tap,
    by_image,
    chosen_channels,
    estimated_mean,
    noise_level,
    repeats,
    resampling,
)
from probekit import checks
from probekit import images as image_sources
from probekit.channels import channel_names
from probekit.errors import InputError
from probekit.phi.tap import Tap

if TYPE_CHECKING:
    from torch import nn

    from probekit.images import ImageSet

__all__ = ["HELD", "HeldAndFree", "Significance", "concept", "held_and_free", "hold_concept", "reconstructed"]

NEARER = "probability that a held sample is nearer to its condition than a free one"
P = "one-sided p-value, samples relabelled within conditions"
HELD = Findings(
    "concepts",
    {
        "nearer": Variable(("witness",), NEARER, interval="conditions resampled; NaN for one"),
        "p": Variable(("witness",), P),
        "held_distance": Variable(("witness", "image", "sample"), "held samples' distance to their condition"),
        "free_distance": Variable(("witness", "image", "free_sample"), "free samples' distance to the condition"),
    },
    coords={"witness": "what is compared: the channels held, all others, or a classifier's reading"},
    source="concepts.concept",
)


@dataclass(frozen=True, kw_only=True)
class Significance:
    """How sure an effect of holding is.

    Attributes
    ----------
    permutations
        Of the test that relabels samples within conditions, ≥ 100.
    resamples, level
        Of the bootstrap over conditions: number ≥ 100, and coverage of intervals, in (0, 1).

    Raises
    ------
    InputError
        If one is out of its range.
    """

    permutations: int = 999
    resamples: int = 1000
    level: float = 0.95

    def __post_init__(self) -> None:
        checks.settle(self)
        repeats("permutations", self.permutations, least=100)
        resampling(self.resamples, self.level)


@HELD.described
def concept(
    tap: Tap,
    held: xr.DataArray,
    free: xr.DataArray,
    condition: Any,
    *,
    channels: Sequence[int],
    sigma: float = 0.1,
    draws: int = 10,
    classifier: Callable[[np.ndarray], np.ndarray] | None = None,
    seed: int = 0,
    **significance: Any,
) -> xr.Dataset:
    """Test whether samples made with a few channels held share more with their condition than samples made without.

    Witnesses of what is shared: the held channels themselves (did sampling hold them?), the *other* channels of the
    tap, which were left free, and a classifier. The statistic is the probability that a held sample is nearer
    to its condition than a free one, averaged over conditions: ½ if holding does nothing.

    Parameters
    ----------
    tap
        Where φ is read; channels that were held and others.
    held, free
        (image, sample, band, row, col), samples of each condition with and without the channels held; made alike
        otherwise, so that without an effect they could be exchanged. Where they have ids along `image`, these are the
        conditions' in any order; without, they are in the order of the conditions.
    condition
        The conditioning images, as `probekit.images.load` takes them, in the order of dim `image`.
    channels
        The channels held.
    sigma, draws
        Noise level and draws of φ.
    classifier
        From φ (n, channels) to class probabilities (n, classes), e.g. the ``predict_proba`` of a scikit-learn
        classifier; a sample's distance is 1 less the probability of the class that the condition is given.
    seed
        Of the noise, the test and the bootstrap.
    significance
        Of the test and the intervals, see `Significance`: permutations (999), resamples (1000), level (0.95).

    Returns
    -------
    Dataset
        {findings}

        Witnesses are "held", "other" and, with a classifier, "classifier". p is at least 1/(1 + permutations);
        distances of φ are Euclidean.

    Raises
    ------
    InputError
        If samples and conditions do not fit each other, channels do not exist or are all of them, the classifier
        returns something else, or an option is out of its range.

    Examples
    --------
    >>> import probekit
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([0.5, 0.5], [[0.4, 0.2, 0, 0.05], [0.4, 0, 0.2, 0.05]])
    >>> images = model.draw(6, rows=8, cols=8, seed=0).images
    >>> held = images.expand_dims(sample=4)  # the images themselves
    >>> free = held.copy(data=model.draw(24, rows=8, cols=8, seed=1).images.values.reshape(held.shape))
    >>> found = concept(probekit.tap(model, "mid"), held, free, images, channels=[1], sigma=0.01, permutations=100)
    >>> (found.p < 0.05).values.tolist()
    [True, True]
    """
    sure = Significance(**significance)
    seed = checks.seeded(seed)
    as_tap(tap)
    if classifier is not None and not callable(classifier):
        raise InputError(f"{checks.given('classifier', classifier)}: give a function from φ to probabilities, or None")
    sigma, draws = noise_level(sigma), repeats("draws", draws, least=1)
    source = image_sources.load(condition)
    held, free = (_samples(name, samples, source) for name, samples in (("held", held), ("free", free)))
    given = tap(source, sigma=sigma, draws=draws, seed=seed)
    chosen = chosen_channels(channels, given.sizes["channel"])
    others = np.setdiff1d(np.arange(given.sizes["channel"]), chosen)
    if not len(others):
        raise InputError("all channels are held: hold fewer, so that the others can bear witness")
    goal = given["phi"].values[:, 0].astype(float)
    distances = partial(_distances, goal=goal, sets={"held": chosen, "other": others}, classifier=classifier)
    of_held = distances(_phi_of_samples(tap, held, source, sigma, draws, seed))
    of_free = distances(_phi_of_samples(tap, free, source, sigma, draws, seed))
    each = np.stack([nearer(of_held[w], of_free[w]) for w in of_held], axis=1)
    p = [relabelled_p(of_held[w], of_free[w], permutations=sure.permutations, seed=seed) for w in of_held]
    return HELD.label(
        {
            "nearer": estimated_mean(each, resamples=sure.resamples, level=sure.level, seed=seed),
            "p": p,
            "held_distance": list(of_held.values()),
            "free_distance": list(of_free.values()),
        },
        given,
        coords={"witness": list(of_held)},
        channels=", ".join(channel_names(given)[chosen]),
        permutations=sure.permutations,
        resamples=sure.resamples,
        level=sure.level,
        analysis_seed=seed,
    )


def _phi_of_samples(
    tap: Tap, samples: xr.DataArray, source: ImageSet, sigma: float, draws: int, seed: int
) -> np.ndarray:
    """φ (image, sample, channel)."""
    values = samples.transpose("image", "sample", "band", "row", "col").values
    names = [f"{image}/{k}" for image in source.ids for k in range(values.shape[1])]
    with warnings.catch_warnings():
        # That samples leave the range of clean images a little is no fault of the caller's.
        warnings.filterwarnings("ignore", message="images of .* reach from")
        found = tap(values.reshape(-1, *values.shape[2:]), sigma=sigma, draws=draws, seed=seed, ids=names)
    return found["phi"].values[:, 0].astype(float).reshape(*values.shape[:2], -1)


def _distances(
    phi: np.ndarray, *, goal: np.ndarray, sets: Mapping[str, np.ndarray], classifier: Callable[[np.ndarray], Any] | None
) -> dict[str, np.ndarray]:
    """Distances (image, sample) of samples to their conditions, for each witness."""
    found = {name: np.linalg.norm(phi[..., of] - goal[:, None, of], axis=2) for name, of in sets.items()}
    if classifier is not None:
        wanted = np.asarray(classifier(goal), float)
        probability = np.asarray(classifier(phi.reshape(-1, phi.shape[2])), float)
        if wanted.ndim != 2 or probability.shape != (phi.shape[0] * phi.shape[1], wanted.shape[1]):
            raise InputError(
                f"the classifier made {probability.shape} of φ {(phi.shape[0] * phi.shape[1], phi.shape[2])}: it must "
                "return class probabilities (n, classes)"
            )
        probability = probability.reshape(*phi.shape[:2], -1)
        found["classifier"] = 1 - np.take_along_axis(probability, wanted.argmax(axis=1)[:, None, None], axis=2)[..., 0]
    return found


class HeldAndFree(NamedTuple):
    """Samples of the same conditions with some channels held, and with none."""

    held: xr.Dataset
    free: xr.Dataset


def reconstructed(
    denoiser: nn.Module, tap: Tap, condition: Any, *, channels: Sequence[int] | None = None, **options: Any
) -> xr.Dataset:
    """Samples of the package's own: some channels held, or all of the tap's."""
    match = None if channels is None else sampling.Match(channels=channels)
    return sampling.reconstruct(denoiser, tap, condition, match=match, **options)


def held_and_free(
    draw: Callable[..., xr.Dataset], channels: Sequence[int], seed: int, folders: tuple[Path, Path] | None = None
) -> HeldAndFree:
    """Samples by what lacks nothing but what is held and the seed; in folders for those held and free, if given."""
    stores = ({}, {}) if folders is None else tuple({"store": folder} for folder in folders)
    held = draw(channels=list(channels), seed=seed, **stores[0])
    # Another seed: samples that shared their noise with the held ones could not be exchanged with them.
    return HeldAndFree(held, draw(method="unconditional", seed=seed + 1, **stores[1]))


@HELD.described
def hold_concept(
    denoiser: nn.Module,
    tap: Tap,
    condition: Any,
    *,
    channels: Sequence[int],
    n_samples: int = 8,
    sampler: Callable[..., xr.Dataset] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> xr.Dataset:
    """Sample with only a few channels held, and with none, and test whether the samples share a pattern.

    Parameters
    ----------
    denoiser, tap, condition
        As for `analyses.sampling.reconstruct`.
    channels
        Channels held, such as a few selective ones that the condition excites.
    n_samples
        Samples of each condition, with and without, ≥ 2.
    sampler
        Called as ``sampler(denoiser, tap, condition, n_samples=…, seed=…)`` with ``channels=…`` for held samples, and
        ``method="unconditional"`` for free ones; returns a Dataset with ``samples`` (image, sample, band, row, col).
        By default `analyses.sampling.reconstruct`.
    settings
        Further settings of the sampler for both, e.g. ``{"sigmas": …}``.
    seed
        Of the held samples and of the test; free samples have the next one.
    options
        Of `concept`.

    Returns
    -------
    Dataset
        {findings}

        As `concept` returns them.

    Raises
    ------
    InputError
        As for the sampler and `concept`.
    """
    n_samples = repeats("n_samples", n_samples, least=2)
    seed = checks.seeded(seed)
    more = checks.mapping(
        "settings", {} if settings is None else settings, 'settings of the sampler, e.g. {"sigmas": …}'
    )
    if sampler is not None and not callable(sampler):
        raise InputError(f"{checks.given('sampler', sampler)}: give a function that samples, or None")
    draw = partial(sampler or reconstructed, denoiser, tap, condition, n_samples=n_samples, **more)
    held, free = held_and_free(draw, checks.listed("channels", channels, "a list of channels' numbers"), seed)
    return concept(tap, held["samples"], free["samples"], condition, channels=channels, seed=seed, **options)


def _samples(name: str, samples: Any, source: ImageSet) -> xr.DataArray:
    """Samples in the order of their conditions."""
    dims = ("image", "sample", "band", "row", "col")
    if not isinstance(samples, xr.DataArray) or set(samples.dims) != set(dims):
        got = samples.dims if isinstance(samples, xr.DataArray) else type(samples).__name__
        raise InputError(f"{name}: got {got}: give a DataArray of dims {', '.join(dims)}")
    sizes = tuple(samples.sizes[dim] for dim in ("image", "band", "row", "col"))
    if sizes != (len(source), *source.shape) or samples.sizes["sample"] < 2:
        raise InputError(
            f"{name}: sizes {dict(samples.sizes)} for {len(source)} conditions of shape {source.shape}: give at "
            "least 2 samples of each condition, of its size"
        )
    return by_image(samples, source.ids, name)
