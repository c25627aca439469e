"""Whether samples made with a few channels held share a pattern that the others were left free to lose."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses import ground
from analyses.concepts.kernels import nearer, relabelled_p
from analyses.ground import chosen_channels, interval, labels_of, resampled_means, variable
from probekit import images as image_sources
from probekit.checks import resampling, whole
from probekit.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from probekit.images import ImageSet
    from probekit.phi.tap import Tap

__all__ = ["concept", "hold_concept"]


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
    permutations: int = 999,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Test whether samples made with a few channels held share more with their condition than samples made without.

    Witnesses of what is shared: the held channels themselves (that sampling did as told), the *other* channels of the
    tap, which were left free, and a classifier. The statistic is the probability that a held sample is nearer
    to its condition than a free one, averaged over conditions: ½ if holding does nothing.

    Parameters
    ----------
    tap
        Where φ is read; channels that were held and others.
    held, free
        (image, sample, band, row, col), samples of each condition with and without the channels held; made alike
        otherwise, so that without an effect they could be exchanged.
    condition
        The conditioning images, as `probekit.images.load` takes them, in the order of dim `image`.
    channels
        The channels held.
    sigma, draws
        Noise level and draws of φ.
    classifier
        From φ (n, channels) to class probabilities (n, classes), e.g. the ``predict_proba`` of a scikit-learn
        classifier; a sample's distance is 1 less the probability of the class that the condition is given.
    permutations, resamples, level, seed
        Of the test that relabels samples within conditions, and of the bootstrap over conditions (percentile
        intervals, NaN for one condition); numbers ≥ 100, coverage, seed.

    Returns
    -------
    Dataset
        Over `witness` ("held", "other", "classifier"): `nearer` in [0, 1], `nearer_low`, `nearer_high`, and
        one-sided `p`, ≥ 1/(1 + permutations). `held_distance`, `free_distance` (witness, image, sample), Euclidean.

    Raises
    ------
    InputError
        If samples and conditions do not fit each other, channels do not exist or are all of them, the classifier
        returns something else, or an option is out of its range.
    """
    resampling(resamples, level, seed)
    whole("permutations", permutations, least=100)
    source = image_sources.load(condition)
    for name, samples in (("held", held), ("free", free)):
        _check_samples(name, samples, source)
    given = tap(source, sigma=sigma, draws=draws, seed=seed)
    chosen = chosen_channels(channels, given.sizes["channel"])
    others = np.setdiff1d(np.arange(given.sizes["channel"]), chosen)
    if not len(others):
        raise InputError("all channels are held: hold fewer, so that the others can bear witness")
    goal = given["phi"].values[:, 0].astype(float)
    measure = partial(_distances, goal=goal, sets={"held": chosen, "other": others}, classifier=classifier)
    of_held = measure(_phi_of_samples(tap, held, source, sigma, draws, seed))
    of_free = measure(_phi_of_samples(tap, free, source, sigma, draws, seed))
    each = np.stack([nearer(of_held[w], of_free[w]) for w in of_held], axis=1)
    low = high = np.full(each.shape[1], np.nan)
    if len(each) > 1:
        low, high = interval(resampled_means(each, resamples=resamples, seed=seed), level, units=len(each))
    p = [relabelled_p(of_held[w], of_free[w], permutations=permutations, seed=seed) for w in of_held]
    over = ("witness", "image", "sample")
    words = "probability that a held sample is nearer to its condition than a free one"
    return ground.findings(
        {
            "nearer": variable("witness", each.mean(axis=0), words),
            "nearer_low": variable("witness", low, f"lower end of its {100 * level:g} % interval over conditions"),
            "nearer_high": variable("witness", high, f"upper end of its {100 * level:g} % interval over conditions"),
            "p": variable("witness", p, "one-sided p-value, samples relabelled within conditions"),
            "held_distance": variable(over, list(of_held.values()), "held samples' distance to their condition"),
            "free_distance": variable(
                ("witness", "image", "free_sample"), list(of_free.values()), "free samples' distance to the condition"
            ),
        },
        labels_of(source, given),
        analysis="attribution",
        coords={"witness": list(of_held)},
        channels=", ".join(map(str, chosen)),
        permutations=permutations,
        resamples=resamples,
        level=level,
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
        What `concept` returns.

    Raises
    ------
    InputError
        As for the sampler and `concept`.
    """
    whole("n_samples", n_samples, least=2)
    if sampler is None:
        from analyses import sampling

        sampler = sampling.reconstruct
    draw = partial(sampler, denoiser, tap, condition, n_samples=n_samples, **(settings or {}))
    held = draw(channels=list(channels), seed=seed)["samples"]
    # Another seed: samples that shared their noise with the held ones could not be exchanged with them.
    free = draw(method="unconditional", seed=seed + 1)["samples"]
    return concept(tap, held, free, condition, channels=channels, seed=seed, **options)


def _check_samples(name: str, samples: Any, source: ImageSet) -> None:
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
