"""Whether selective channels are concepts: hold what excites one, and see whether samples show the rest of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import xarray as xr
from torch import nn

import probekit
from analyses import sampling, selectivity
from analyses.concepts.held import NEARER, HeldAndFree, P, Significance, concept, held_and_free, reconstructed
from analyses.concepts.kernels import excitement, most_exciting, raised_together
from analyses.ground import (
    Estimate,
    Findings,
    SampleSettings,
    Variable,
    as_activity,
    as_network,
    check_same_network,
    chosen_channels,
    folder_of,
    holm,
    same_attr,
    same_channels,
)
from probekit import checks, labels
from probekit import images as image_sources
from probekit.capture.reductions import REDUCTIONS
from probekit.channels import channel_names
from probekit.errors import InputError

if TYPE_CHECKING:
    from probekit.capture.reductions import Reduction
    from probekit.images import ImageSet
    from probekit.phi.tap import Tap

__all__ = ["FINDINGS", "Settings", "analyse", "most_selective"]

FREE, OTHERS = "free samples", "samples of other concepts"
LEAST_ACTIVE = 0.05
OVER, PIXELS = ("concept", "against", "witness"), ("band", "row", "col")
SAMPLES = ("concept", "exciting", "sample", *PIXELS)
# What is read of the types of channel.
READ = ("type", "activity_fraction", "lifetime_sparseness")
FINDINGS = Findings(
    "concepts",
    {
        "nearer": Variable(OVER, NEARER, interval="images resampled; NaN for one"),
        "p": Variable(OVER, P),
        "p_holm": Variable(OVER, "p after Holm's correction over concepts"),
        "held_samples": Variable(SAMPLES, "samples with the concept held", "intensity"),
        "free_samples": Variable(SAMPLES, "samples with the concept free", "intensity"),
        "exciting": Variable(("concept", "exciting", *PIXELS), "images that excite most", "intensity"),
        "reached": Variable(SAMPLES[:3], "φ of the channel as a share of the image's"),
        "exciting_image": Variable(("concept", "exciting"), "ids of the images that excite most", holds="names"),
        "sparseness": Variable(("concept",), "lifetime sparseness of the channel"),
    },
    coords={
        "concept": "concept, from the first channel held",
        "channel": "the channel that is the concept",
        "held": "names of all channels held, its own first",
        "against": "samples compared with: without a condition, or of the other concepts",
        "witness": "what is compared: the channels held, all others, or a classifier's reading",
    },
)


@dataclass(frozen=True, kw_only=True)
class Settings(SampleSettings, Significance):
    """How `analyse` makes samples and judges them: `ground.SampleSettings` and `Significance` together.

    Attributes
    ----------
    n_images
        Most exciting images of each channel, that samples are made of.
    n_samples
        Samples of each image, ≥ 2.
    reduce
        As for `probekit.tap`; by default what was made of the maps of `data`.
    """

    least_samples: ClassVar[int] = 2

    n_images: int = 3
    n_samples: int = 4
    reduce: str | Reduction | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self) -> None:
        checks.whole("n_images", self.n_images, least=1)
        SampleSettings.__post_init__(self)
        Significance.__post_init__(self)


class Concept(NamedTuple):
    """A channel, all channels held with it, and the positions of the images that excite it most."""

    channel: int
    channels: list[int]
    images: list[int]

    @property
    def own_first(self) -> list[int]:
        """The channels, its own before the others: two concepts may hold the same ones, of images of their own."""
        return [self.channel, *(c for c in self.channels if c != self.channel)]


class Tested(NamedTuple):
    """What holding a concept does: samples of its images, what reads it, how far it came, how near samples are."""

    concept: Concept
    images: ImageSet
    samples: HeldAndFree
    classifier: Callable[[np.ndarray], np.ndarray]
    reached: np.ndarray
    against_free: xr.Dataset


@FINDINGS.described
def analyse(
    images: Any,
    data: xr.Dataset,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    findings: xr.Dataset | None = None,
    channels: Sequence[int] | None = None,
    n_channels: int = 10,
    together: int = 4,
    sigma: float = 0.1,
    **settings: Any,
) -> xr.Dataset:
    """Hold selective channels at what their most exciting images make of them, and test what else samples share.

    For each channel images are sampled with it held (`hold_concept`), for each of the images that excite it most, and
    compared with the image by three witnesses: the channels held (did sampling hold them?), all other channels of the
    block, and a classifier that reads from the other channels alone whether an image is among the tenth that excite
    the channel most. The statistic is the probability that a held sample is nearer to its image than a sample it is
    compared with: samples without a condition, and samples of the other concepts (is what is shared this concept's
    own?).

    With the defaults photo32 takes some 3 to 5 s a held sample on one core: 10 channels, 3 images and 4 samples take
    some eight minutes.

    Parameters
    ----------
    images
        Where the most exciting images are found; of the ids that `data` has.
    data
        φ of these images at one block, as `probekit.tap` returns it; at `sigma` among others.
    denoiser
        Bundled name, path or module: the network that `data` are of.
    findings
        What `selectivity.analyse` returns of `data`; by default made here.
    channels, n_channels
        Channels to hold, by their number in `data`; by default the `n_channels` most selective, see `most_selective`.
    together
        Channels held at once: the channel, and those others of type selective that its images raise most, in standard
        deviations over images. A channel that is silent in a sample has no gradient, so that one held alone is often
        not reached; see `reached`.
    sigma
        Noise level at which channels are ranked and samples compared.
    settings
        How samples are made and judged, see `Settings`: n_images (3), n_samples (4), sigmas, levels (20), draws (10,
        also of φ of samples), reduce (by default that of `data`), seed, store, client, progress (by default no bars),
        batch_size; permutations (999), resamples (1000), level (0.95).

    Returns
    -------
    Dataset
        {findings}

        `against` is "free samples" and "samples of other concepts" (NaN for one concept).

    Raises
    ------
    InputError
        If data are not of these images, of this network or of one tap, σ is not among the data's, channels are too
        few or none is selective, or an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([0.2, 0.8], [[0.4, 0.3, 0, 0.05], [0.4, 0, 0.3, 0.05]])
    >>> images = probekit.images.load(model.draw(30, rows=8, cols=8, seed=0).images)
    >>> data = probekit.tap(model, "mid")(images, sigma=0.02, draws=2)
    >>> found = analyse(images, data, denoiser=model, channels=[1], together=1, sigma=0.02, levels=6, permutations=100)
    >>> bool(found.nearer.sel(against="free samples", witness="held") > 0.9)
    True
    """
    given = Settings(**settings)
    together = checks.whole("together", together, least=1)
    n_channels = checks.whole("n_channels", n_channels, least=1)
    source, tap = _checked(images, data, as_network(denoiser), sigma, given)
    found = selectivity.analyse(data, resamples=100) if findings is None else findings
    found = selectivity.FINDINGS.taken(found, *READ)
    check_same_network(found, data, ("the findings", "the data"))
    if not same_channels(found, data):
        raise InputError(
            f"findings of {found.sizes['channel']} channels and φ of {data.sizes['channel']}, or in other order: give "
            "the same channels in the same order, as selectivity.analyse(data) returns them"
        )
    phi = data["phi"].values[:, _position(data, sigma)].astype(float)
    if channels is None:
        channels = most_selective(found, sigma=sigma, n_channels=n_channels)
    numbers = chosen_channels(checks.listed("channels", channels, "a list of channels' numbers"), phi.shape[1])
    at = found.isel(sigma=_position(found, sigma))
    selective = np.flatnonzero(labels.strings(at["type"].values) == "selective")
    concepts = [_concept(phi, int(c), selective, together, given.n_images) for c in numbers]
    tested = [_tested(tap, source.subset(one.images), one, phi, sigma, given) for one in concepts]
    of_others = _against_others(tap, tested, sigma, given)
    return _labelled(tested, of_others, at["lifetime_sparseness"].values, given, channel_names(data))


def _checked(images: Any, data: Any, net: nn.Module, sigma: float, settings: Settings) -> tuple[ImageSet, Tap]:
    """The images, and the tap that data are of."""
    labels.check(data, "phi")
    as_activity(data, "phi")
    _position(data, sigma)
    source = image_sources.load(images)
    if settings.n_images > len(source):
        raise InputError(
            f"n_images={settings.n_images}: there are {len(source)} images: give fewer exciting ones, or more images"
        )
    if tuple(labels.strings(data["image"].values)) != tuple(source.ids):
        raise InputError("data are of other images than those given, or of another order: give φ of these images")
    names = list(labels.blocks(data))
    if len(names) > 1:
        raise InputError(
            f"data are of the taps {', '.join(names)}: give φ of one, e.g. tap(denoiser, 'mid')(images, …)"
        )
    tap = probekit.tap(net, names[0], reduce=_reduce_of(data, settings))
    own = tap(source.subset([0]), sigma=sigma, draws=1, seed=settings.seed, progress=False)
    other = [key for key in ("weights_sha256", "taps", "reduce") if not same_attr(data, own, key)]
    if other or not same_channels(data, own):
        raise InputError(
            f"data are of another denoiser or tap than {net.__class__.__name__} at {names[0]!r} "
            f"({', '.join(other) or 'channels, or their order,'} differ): measure φ with it, tap(images, sigma=…)"
        )
    return source, tap


def _reduce_of(data: xr.Dataset, settings: Settings) -> str | Reduction:
    """What is made of maps: what is asked for, else what the data say."""
    if settings.reduce is not None:
        return settings.reduce
    made = str(data.attrs.get("reduce", "mean"))
    if made not in REDUCTIONS:
        raise InputError(f"what was made of the maps of the data is called {made!r}: give that function as reduce=")
    return made


def most_selective(
    findings: xr.Dataset, *, sigma: float, n_channels: int = 10, least_active: float = LEAST_ACTIVE
) -> list[int]:
    """The channels of type selective of largest lifetime sparseness (Vinje & Gallant), the sparsest first.

    Of those that are clearly above rest on a share of the images at least: rarer ones are silent, without a gradient,
    in almost every image on the way to a sample, so that they cannot be held.

    Parameters
    ----------
    findings
        What `selectivity.analyse` returns of one tap.
    sigma
        Noise level.
    n_channels
        At most so many.
    least_active
        Least share of images, in (0, 1).

    Returns
    -------
    list[int]
        Their numbers along dim `channel`.

    Raises
    ------
    InputError
        If there is no selective channel, or no such noise level.
    """
    n_channels = checks.whole("n_channels", n_channels, least=1)
    findings = selectivity.FINDINGS.taken(findings, *READ)
    at = findings.isel(sigma=_position(findings, sigma))
    least_active = checks.fraction("least_active", least_active, "a share of the images, between 0 and 1, e.g. 0.05")
    active = at["activity_fraction"].values >= least_active
    selective = np.flatnonzero(active & (labels.strings(at["type"].values) == "selective"))
    if not len(selective):
        raise InputError(
            f"no channel that is active on {100 * least_active:g} % of the images is selective at σ = {sigma:g}: give "
            "channels= to hold, or more images"
        )
    sparseness = at["lifetime_sparseness"].values[selective]
    return selective[np.argsort(-sparseness, kind="stable")][:n_channels].tolist()


def _position(data: xr.Dataset, sigma: float) -> int:
    sigma = checks.number("sigma", sigma, "one noise standard deviation of the data")
    levels = data["sigma"].values
    if not np.isclose(levels, sigma).any():
        raise InputError(f"sigma={sigma}: give one of the data's noise levels, {levels.tolist()}")
    return int(np.abs(levels - sigma).argmin())


def _concept(phi: np.ndarray, channel: int, selective: np.ndarray, together: int, n_images: int) -> Concept:
    images = most_exciting(phi, channel, n_images)
    others = raised_together(phi, images, channel, selective)
    if len(others) < together - 1:
        raise InputError(
            f"together={together}: there are {len(others)} other selective channels: give a smaller number"
        )
    return Concept(channel, sorted([channel, *others[: together - 1]]), images.tolist())


def _tested(tap: Tap, images: ImageSet, one: Concept, phi: np.ndarray, sigma: float, settings: Settings) -> Tested:
    draw = partial(
        reconstructed,
        tap.denoiser,
        tap,
        images,
        n_samples=settings.n_samples,
        sigmas=sampling.schedule(sampling.DEFAULT, settings.sigmas, settings.levels),
        draws=settings.draws,
        batch_size=settings.batch_size,
        client=settings.client,
        progress=bool(settings.progress),
    )
    store, name = folder_of(settings.store), "-".join(map(str, one.own_first))
    folders = None if store is None else (store / f"{name}-held", store / f"{name}-free")
    samples = held_and_free(draw, one.channels, settings.seed, folders)
    classifier = excitement(phi, one.channel, one.channels)
    reached = _reached(tap, images, samples.held["samples"].values, one.channel, sigma, settings)
    against_free = _compared(
        tap, images, one, classifier, samples.held["samples"], samples.free["samples"], sigma, settings
    )
    return Tested(one, images, samples, classifier, reached, against_free)


def _compared(
    tap: Tap,
    images: ImageSet,
    one: Concept,
    classifier: Callable[[np.ndarray], np.ndarray],
    held: xr.DataArray,
    other: xr.DataArray,
    sigma: float,
    settings: Settings,
) -> xr.Dataset:
    """Held samples and others: which are nearer to the images."""
    return concept(
        tap,
        held,
        other,
        images,
        channels=one.channels,
        sigma=sigma,
        draws=settings.draws,
        classifier=classifier,
        seed=settings.seed,
        permutations=settings.permutations,
        resamples=settings.resamples,
        level=settings.level,
    )


def _reached(
    tap: Tap, images: ImageSet, samples: np.ndarray, channel: int, sigma: float, settings: Settings
) -> np.ndarray:
    """φ (image, sample) of a channel as a share of the image's."""
    measure = partial(tap, sigma=sigma, draws=settings.draws, seed=settings.seed, progress=False)
    with warnings.catch_warnings():
        # That samples leave the range of clean images a little is no fault of the caller's.
        warnings.filterwarnings("ignore", message="images of .* reach from")
        phi = measure(samples.reshape(-1, *samples.shape[2:]))["phi"].values[:, 0, channel]
    wanted = measure(images)["phi"].values[:, 0, channel]
    with np.errstate(invalid="ignore", divide="ignore"):
        return phi.reshape(samples.shape[:2]) / wanted[:, None]


def _against_others(tap: Tap, tested: Sequence[Tested], sigma: float, settings: Settings) -> list[xr.Dataset | None]:
    """Each concept's samples compared with those of the other concepts, of images of the same rank."""
    if len(tested) < 2:
        return [None]
    found: list[xr.Dataset | None] = []
    for own in tested:
        held = own.samples.held["samples"]
        others = [one.samples.held["samples"].values for one in tested if one is not own]
        joined = xr.DataArray(np.concatenate(others, axis=1), dims=held.dims)
        found.append(_compared(tap, own.images, own.concept, own.classifier, held, joined, sigma, settings))
    return found


def _labelled(
    tested: Sequence[Tested],
    of_others: Sequence[xr.Dataset | None],
    sparseness: np.ndarray,
    settings: Settings,
    names: np.ndarray,
) -> xr.Dataset:
    first = tested[0].against_free
    unknown = np.full(first.sizes["witness"], np.nan)

    def over(name: str) -> np.ndarray:
        """(concept, against, witness) of a variable of `concept`."""
        return np.array(
            [
                [own.against_free[name].values, unknown if other is None else other[name].values]
                for own, other in zip(tested, of_others, strict=True)
            ]
        )

    p = over("p")
    channels = [own.concept.channel for own in tested]
    return FINDINGS.label(
        {
            "nearer": Estimate(*map(over, ("nearer", "nearer_low", "nearer_high"))),
            "p": p,
            "p_holm": holm(p),
            "held_samples": [own.samples.held["samples"].values for own in tested],
            "free_samples": [own.samples.free["samples"].values for own in tested],
            "exciting": [own.samples.held["condition"].values for own in tested],
            "reached": [own.reached for own in tested],
            "exciting_image": np.array([list(own.images.ids) for own in tested], dtype=object),
            "sparseness": sparseness[channels],
        },
        xr.Dataset(attrs={k: v for k, v in first.attrs.items() if k != "channels"}),
        coords={
            "concept": np.arange(len(tested)),
            "channel": ("concept", channels),
            "held": ("concept", [", ".join(names[own.concept.own_first]) for own in tested]),
            "against": [FREE, OTHERS],
            "witness": labels.strings(first["witness"].values),
        },
        level=settings.level,
        together=len(tested[0].concept.channels),
    )
