"""What analyses are asked about: a network by whatever names it, so many of the images, and samples of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import xarray as xr

from analyses.ground.checks import repeats
from analyses.ground.keep import folder_of
from probekit import checks
from probekit.capture.reductions import reduction
from probekit.capture.survey import network_of
from probekit.checks import flag, given, seeded, settle, whole
from probekit.denoising.denoiser import Denoiser, as_denoiser
from probekit.distribute import as_workers
from probekit.errors import InputError
from probekit.labels import COORDINATES, strings
from probekit.models import zoo
from probekit.models.blocks import GAINS, draw_gains
from probekit.models.made import origin_of, remember
from probekit.models.normalisation import UncentredBatchNorm, UncentredNorm
from probekit.phi.averages import noise_levels
from probekit.phi.tap import Tap

if TYPE_CHECKING:
    from distributed import Client
    from torch import nn

    from probekit.capture.reductions import Reduction
    from probekit.distribute import Workers
    from probekit.images import ImageSet

__all__ = [
    "TWINS",
    "SampleSettings",
    "as_network",
    "as_tap",
    "asked_twins",
    "block_names",
    "chosen_channels",
    "drawn_images",
    "labels_of",
    "untrained_twin",
    "untrained_twins",
    "workers_of",
]

# Controls by name, and the gains of their normalisations. Numbers depend much on these, so that "more than untrained"
# is more than both.
TWINS: Mapping[str, str] = {"untrained": "one", "untrained, paper's gains": "paper"}
NORMALISATIONS = (UncentredNorm, UncentredBatchNorm)


def as_network(denoiser: Any) -> nn.Module:
    """A denoiser of a bundled name, a path, or a module.

    Raises
    ------
    InputError
        If it is something else.
    """
    if isinstance(denoiser, torch.nn.Module):
        return as_denoiser(denoiser)
    if not isinstance(denoiser, str | Path):
        raise InputError(f"{given('denoiser', denoiser)}: give a bundled name, a path or a module")
    return zoo.load(denoiser)


def as_tap(value: Any) -> Tap:
    """The tap that a caller gives.

    Raises
    ------
    InputError
        If it is none.
    """
    return checks.instance("tap", value, Tap, "a tap, probekit.tap(denoiser, name)")


def block_names(denoiser: nn.Module) -> tuple[str, ...]:
    """The taps that a network declares, in the order of its forward pass; of one that declares none its middle."""
    return tuple(getattr(network_of(denoiser), "tap_aliases", {})) or ("mid",)


def untrained_twin(denoiser: nn.Module, *, seed: int = 0, gains: str = "one") -> nn.Module:
    """One control: the same network with fresh weights; `untrained_twins` makes both.

    Packaged networks start as training starts them. Of others every module is reset that can be, by its own
    ``reset_parameters``, as torch's layers have it, and this package's normalisations.

    Parameters
    ----------
    denoiser
        A denoiser or a network; it is not changed.
    seed
        Of the fresh weights; torch's global generator is left as it was.
    gains
        Of this package's normalisations: "one", or "paper" as the paper's code draws them; see `zoo.untrained`.

    Raises
    ------
    InputError
        If the network has no weights, or they belong to modules that cannot reset them; if gains are to be the
        paper's and the network has no normalisation of this package.
    """
    gains = checks.choice("gains", gains, GAINS)
    if gains == "paper" and not _has_gains(denoiser):
        raise InputError(
            "gains='paper': the network has no normalisation of this package, UncentredNorm or UncentredBatchNorm, "
            "whose gains could be drawn: give gains='one', its only control"
        )
    if isinstance(denoiser, Denoiser) and type(denoiser.model) in zoo.ARCHITECTURES.values():
        return zoo.untrained(denoiser, seed=seed, gains=gains)
    seed = seeded(seed)
    twin = copy.deepcopy(denoiser)
    network = network_of(twin)
    holding = {n: m for n, m in network.named_modules() if next(m.parameters(recurse=False), None) is not None}
    fixed = [
        name or type(m).__name__
        for name, m in holding.items()
        if not hasattr(m, "reset_parameters") and not isinstance(m, NORMALISATIONS)
    ]
    if fixed or not holding:
        what = f"the weights of {', '.join(fixed[:3])} cannot be drawn anew" if fixed else "the network has no weights"
        raise InputError(
            f"{what}: give the modules that hold weights a method reset_parameters, as torch's layers have, so that "
            "there is an untrained network to compare with"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in network.modules():
            _reset(module)
        if gains == "paper":
            draw_gains(network)
    if isinstance(twin, Denoiser):
        twin.name = f"{twin.name}-untrained{'' if gains == 'one' else '-paper-gains'}"
    if (make := origin_of(denoiser)) is not None:
        remember(twin, partial(_twin_again, make, seed, gains))
    return twin.eval()


def _twin_again(make: Callable[[], nn.Module], seed: int, gains: str) -> nn.Module:
    return untrained_twin(make(), seed=seed, gains=gains)


def asked_twins(findings: xr.Dataset) -> list[str]:
    """The controls that a network is to be compared with: those that it can have, by attr `twins`, or else both."""
    said = str(findings.attrs.get("twins", "")).split("; ")
    return [twin for twin in TWINS if twin in said] or list(TWINS)


def untrained_twins(denoiser: nn.Module, *, seed: int = 0) -> dict[str, nn.Module]:
    """The controls by their names in `TWINS`, with the same convolutions.

    Networks without normalisations of this package have one, "untrained".

    Parameters
    ----------
    denoiser, seed
        As for `untrained_twin`.

    Raises
    ------
    InputError
        As for `untrained_twin`.
    """
    possible = [name for name, gains in TWINS.items() if gains == "one" or _has_gains(denoiser)]
    return {name: untrained_twin(denoiser, seed=seed, gains=TWINS[name]) for name in possible}


def _has_gains(denoiser: nn.Module) -> bool:
    return any(isinstance(module, NORMALISATIONS) for module in network_of(denoiser).modules())


def _reset(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
    elif isinstance(module, NORMALISATIONS):
        # As they are made: gains and running deviations of 1.
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            torch.nn.init.ones_(tensor)


def drawn_images(images: ImageSet, most: int | None, seed: int) -> ImageSet:
    """At most so many images, at random, in the order of their ids: the same ones whatever order they come in."""
    order = sorted(range(len(images)), key=lambda i: images.ids[i])
    if most is not None and whole("n_images", most, least=1) < len(order):
        drawn = np.random.default_rng(seeded(seed)).permutation(len(order))[:most]
        order = [order[i] for i in sorted(drawn.tolist())]
    return images.subset(order)


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How samples are made of images; rooms extend it by how samples are judged.

    Attributes
    ----------
    n_images
        Images that samples are made of, at most; None for all.
    n_samples
        Samples of each.
    sigmas, levels
        Noise levels that samples go through; without, so many of the method's own.
    draws
        Noise draws of φ.
    reduce
        What is made of a map, as for `probekit.tap`: "relu_mean" for taps before a ReLU.
    seed
        Of everything drawn.
    batch_size, progress
        As for `sampling.reconstruct`.
    store
        Folder in which samples are kept: a call that was stopped goes on, and one made again is quick.
    client
        With `store`: whose workers make the samples, as for `sampling.reconstruct`; it decides no number.

    Raises
    ------
    InputError
        If one is out of its range.
    """

    least_samples: ClassVar[int] = 1

    n_images: int | None
    n_samples: int
    sigmas: Sequence[float] | None = None
    levels: int = 20
    draws: int = 10
    reduce: str | Reduction = "mean"
    seed: int = 0
    batch_size: int | None = None
    store: str | Path | None = None
    progress: bool | None = None
    client: Client | Workers | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        settle(self)
        repeats("n_samples", self.n_samples, least=self.least_samples)
        repeats("levels", self.levels, least=2)
        repeats("draws", self.draws, least=1)
        if self.reduce is not type(self).reduce:
            reduction(self.reduce)
        seeded(self.seed)
        object.__setattr__(self, "client", workers_of(self.client, self.store))
        for name in ("n_images", "batch_size"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least=1)
        if self.sigmas is not None:
            object.__setattr__(self, "sigmas", noise_levels(self.sigmas))
        if self.progress is not None:
            flag("progress", self.progress)


def workers_of(client: Any, store: Any) -> Workers | None:
    """The workers given as ``client=``, who need a folder to keep in what they make; None for none.

    Raises
    ------
    InputError
        If they have none, or what is given is no client or no path of a folder.
    """
    folder, workers = folder_of(store), as_workers(client)
    if workers is not None and folder is None:
        raise InputError("client= needs store=, the folder that workers keep results in: give the path of one")
    return workers


def chosen_channels(channels: Any, count: int, name: str = "channels") -> np.ndarray:
    """Channels as distinct numbers among `count`, at least one.

    Raises
    ------
    InputError
        If they are something else; `name` says of what.
    """
    try:
        one = checks.is_real(checks.unwrapped(channels))
        numbers = [checks.whole(name, c) for c in ([channels] if one else checks.listed(name, channels, ""))]
    except InputError:
        numbers = []
    if not numbers:
        raise InputError(f"{name}: got {checks.shown(channels)}: give the number of at least one channel")
    outside = [c for c in numbers if not 0 <= c < count]
    if outside:
        raise InputError(f"{name}: channels {checks.shown(outside)} do not exist: there are channels 0…{count - 1}")
    if len(set(numbers)) < len(numbers):
        raise InputError(f"{name}: {checks.shown(numbers)} names a channel twice: give each once")
    return np.array(numbers)


def labels_of(source: ImageSet, reference: xr.Dataset | xr.DataArray, channels: Sequence[int] | Any = ()) -> xr.Dataset:
    """Coordinates of all images, with the noise levels, some channels and the attrs of what a tap gave for one."""
    coords: dict[str, Any] = {"image": ("image", strings(source.ids), {"long_name": COORDINATES["image"]})}
    if source.labels is not None:
        coords["label"] = ("image", strings(source.labels), {"long_name": COORDINATES["label"]})
    if len(channels):
        kept = reference.isel(channel=np.asarray(channels))
        coords |= {str(name): c.variable for name, c in kept.coords.items() if c.dims == ("channel",)}
    return xr.Dataset(coords={**coords, "sigma": reference["sigma"].variable}, attrs=reference.attrs)
