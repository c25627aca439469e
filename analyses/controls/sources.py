"""What a table of controls has rows for: networks and descriptors that a tap reads, and their φ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from torch import nn

from analyses import descriptors
from analyses.ground import as_network, block_names, untrained_twins
from analyses.probe import subset
from probekit import checks, labels, tap
from probekit.capture.reductions import reduction
from probekit.denoising.inputs import input_channels
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models import zoo
from probekit.phi.job import beside

if TYPE_CHECKING:
    from probekit.capture.reductions import Reduction
    from probekit.distribute import Workers

__all__ = ["Alike", "Measured", "Source", "balanced", "check_sets", "measured", "sources"]

OTHERS = ("photo32-dncnn", "photo32-sigma")
COMPONENTS = 128
EVERY = 3


class Alike(InputError):
    """A row that cannot be, its φ being the same for all images."""


class Source(NamedTuple):
    """A network or descriptor, and the taps that each give a row.

    Attributes
    ----------
    name
        Names its rows, with the tap's name after it, and its store.
    group
        One of "trained", "untrained", "untrained, paper's gains", "descriptor", "other network".
    network
        What `probekit.tap` takes.
    taps
        Names for `probekit.tap`.
    reduce
        As for `probekit.tap`.
    """

    name: str
    group: str
    network: nn.Module
    taps: tuple[str, ...]
    reduce: str | Reduction = "mean"

    def checked(self) -> Source:
        """The same, found fit for use.

        Raises
        ------
        InputError
            If a name is no text, the network no module, or there is no tap.
        """
        checks.text("the name of a source", self.name, "a text")
        checks.text("group", self.group, "a text, such as 'other network'")
        checks.instance("network", self.network, nn.Module, "what probekit.tap takes, a torch.nn.Module")
        wanted = "names for probekit.tap, e.g. ('mid',)"
        taps = tuple(checks.names("taps", self.taps, wanted))
        if not taps:
            raise InputError(f"taps is empty: give {wanted}")
        reduction(self.reduce)
        return self._replace(taps=taps)

    def row(self, block: str) -> str:
        """Name of the row of a tap."""
        return self.name if self.group == "descriptor" else f"{self.name} {block}"


class Measured(NamedTuple):
    """φ of a source, of the images and of those that the probe is fitted on."""

    source: Source
    data: xr.Dataset
    train: xr.Dataset | None

    def block(self, name: str) -> Measured:
        """The same of one tap."""

        def part(data: xr.Dataset) -> xr.Dataset:
            return data.isel(channel=np.flatnonzero(labels.strings(data["tap"].values) == name))

        return Measured(self.source, part(self.data), None if self.train is None else part(self.train))


def sources(
    images: ImageSet,
    *,
    train: ImageSet | None,
    denoiser: str | Path | nn.Module,
    block: str,
    untrained: int,
    seed: int,
    reduce: str | Reduction = "mean",
    folder: Path | None = None,
) -> list[Source]:
    """The trained denoiser's blocks first, then its untrained twins, the descriptors and the bundled other networks.

    Twins have gains of 1, then gains as the paper's code draws them beside the same convolutions. Bundled networks
    that take images of another number of bands are left out. Maps of networks are made into numbers
    by `reduce`; descriptors are numbers already, and may be signed. What one is fitted to is kept in the folder of its
    store, in `folder`.
    """
    trained = as_network(denoiser)
    name = str(getattr(trained, "name", type(trained).__name__))
    # A network that declares no names has its bottleneck found by trial.
    taps = block_names(trained)
    if block not in taps:
        raise InputError(
            f"{name} declares no block {checks.shown(block)}, to which all else is compared: choose one of "
            f"{', '.join(taps)}, block= or --block"
        )
    made = [Source(name, "trained", trained, taps, reduce)]
    twins = [untrained_twins(trained, seed=seed + one) for one in range(untrained)]
    for kind in twins[0] if twins else ():
        made += [Source(f"{kind} {n}", kind, twin[kind], (block,), reduce) for n, twin in enumerate(twins)]
    for kind in descriptors.KINDS:
        fitted = images if train is None else train
        most = min(COMPONENTS, len(fitted), int(np.prod(images.shape)))
        store = None if folder is None else folder / kind
        options = {"train": train, "n_components": most, "seed": seed, "store": store} if kind == "pca" else {}
        made.append(Source(kind, "descriptor", descriptors.descriptor(kind, images, **options), (kind,)))
    for other_name in OTHERS:
        if other_name == name:
            continue
        other = zoo.load(other_name)
        if input_channels(other.model) != images.shape[0]:
            continue
        names = zoo.tap_names(other)
        # The last layer of a network without blocks is no activation but what it makes of the image.
        compared = ("mid",) if "mid" in names else names[EVERY - 1 : -1 : EVERY]
        made.append(Source(other_name, "other network", other, compared, reduce))
    return made


def measured(
    source: Source,
    images: ImageSet,
    train: ImageSet | None,
    *,
    noise: Mapping[str, Any],
    folder: Path | None,
    workers: Workers | None,
    progress: bool | None,
) -> Measured:
    """φ of a source in memory, read from its stores in the source's own folder or made there.

    Parameters
    ----------
    source, images, train
        What is measured, and on what.
    noise
        sigma, draws, seed of a tap.
    folder
        Of the source; None for no stores.
    workers
        Who measure into the stores; None for this process.
    progress
        Of a tap.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)

    def phi(of: ImageSet, part: str, keep_draws: bool) -> xr.Dataset:
        store = None if folder is None else folder / f"{part}.zarr"
        read = tap(source.network, *source.taps, reduce=source.reduce)
        own = beside(workers, source.network)
        data = read(of, **noise, keep_draws=keep_draws, store=store, client=own, progress=progress)
        # Standard errors and rest are not needed, and are as large as φ.
        return _checked(source, data[["phi", "phi_draws"] if keep_draws else ["phi"]].load())

    # With draws kept, noise of query and key can be independent when images are found again.
    data = phi(images, "images", noise["draws"] > 1)
    return Measured(source, data, None if train is None else phi(train, "train", False))


def _checked(source: Source, data: xr.Dataset) -> xr.Dataset:
    """φ, where every block tells some images apart."""
    for site in labels.sites(data):
        phi = data["phi"].values[:, site.level, site.channels]
        if not np.ptp(phi, axis=0).max() > 1e-6 * np.abs(phi).max():
            raise Alike(
                f"φ of {source.row(site.name)} at σ = {site.sigma:g} is the same for all images: leave this row out"
            )
    return data


def balanced(images: ImageSet, most: int | None, seed: int) -> ImageSet:
    """At most so many images, at random, classes keeping their shares; in the order of ids, whatever it was."""
    images = images.subset(sorted(range(len(images)), key=lambda i: images.ids[i]))
    if most is None or most >= len(images):
        return images
    codes = np.unique(np.array(images.labels or [""] * len(images)), return_inverse=True)[1]
    # Not scikit-learn's StratifiedShuffleSplit: it refuses classes of one image, and draws other images of a seed.
    return images.subset(subset(codes, most, np.random.default_rng(seed)).tolist())


def check_sets(images: ImageSet, train: ImageSet | None) -> None:
    """Refuse sets that no table can be made of, before anything is measured."""
    for name, one in (("images", images), ("train", train)):
        if one is None:
            continue
        if one.labels is None:
            raise InputError(f"{name}: {one.name} has no classes: give a folder of a class each, or labels=")
        missing = sum(not label for label in one.labels)
        if missing:
            raise InputError(
                f"{name}: the class of {missing} images of {one.name} is missing: leave these out, e.g. "
                "images[[bool(label) for label in images.labels]]"
            )
        if len(set(one.labels)) < 2:
            raise InputError(f"{name}: all of {one.name} are of class {one.labels[0]!r}: give two classes at least")
    if train is None:
        return
    if train.shape != images.shape:
        raise InputError(f"train has images of shape {train.shape}, images {images.shape}: load both at one size")
    both = sorted(set(images.ids) & set(train.ids))
    if both:
        raise InputError(
            f"{len(both)} ids are in both sets, such as {', '.join(both[:3])}: train on other images than are tested, "
            "or give ids="
        )
    unknown = sorted(set(images.labels or ()) - set(train.labels or ()))
    if unknown:
        raise InputError(f"classes {', '.join(unknown[:5])} are in no training image: give some")
