"""What a table of controls has rows for: networks and descriptors that a tap reads, and their φ."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from torch import nn

from analyses import descriptors
from analyses.probe import subset
from probekit import labels, tap
from probekit.checks import given
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models import zoo

__all__ = ["GROUPS", "Source", "balanced", "check_sets", "digest", "measured", "sources"]

GROUPS: tuple[str, ...] = ("trained", "untrained", "descriptor", "other network")
OTHERS = ("photo32-dncnn", "photo32-sigma")
COMPONENTS = 128
EVERY = 3


class Source(NamedTuple):
    """A network or descriptor, and the taps that each give a row.

    Attributes
    ----------
    name
        Names its rows, with the tap's name after it, and its store.
    group
        One of "trained", "untrained", "descriptor", "other network".
    network
        What `probekit.tap` takes.
    taps
        Names for `probekit.tap`.
    """

    name: str
    group: str
    network: nn.Module
    taps: tuple[str, ...]

    def row(self, block: str) -> str:
        """Name of the row of a tap."""
        return self.name if self.group == "descriptor" else f"{self.name} {block}"


def sources(
    images: ImageSet, *, train: ImageSet | None, denoiser: str | Path | Denoiser, untrained: int, seed: int
) -> list[Source]:
    """The trained denoiser's blocks first, then its untrained twins, the descriptors and the bundled other networks."""
    if not isinstance(denoiser, Denoiser | str | Path):
        raise InputError(f"{given('denoiser', denoiser)}: give a bundled name, a path or a probekit.Denoiser")
    trained = denoiser if isinstance(denoiser, Denoiser) else zoo.load(denoiser)
    if "mid" not in zoo.tap_names(trained):
        raise InputError(f"{trained.name} declares no block `mid`, to which all else is compared: give a UNet")
    made = [Source(trained.name, "trained", trained, zoo.tap_names(trained))]
    for one in range(untrained):
        made.append(Source(f"untrained {one}", "untrained", zoo.untrained(trained, seed=seed + one), ("mid",)))
    for kind in descriptors.KINDS:
        fitted = images if train is None else train
        most = min(COMPONENTS, len(fitted), int(np.prod(images.shape)))
        options = {"train": train, "n_components": most, "seed": seed} if kind == "pca" else {}
        made.append(Source(kind, "descriptor", descriptors.descriptor(kind, images, **options), (kind,)))
    for name in OTHERS:
        if name == trained.name:
            continue
        other = zoo.load(name)
        names = zoo.tap_names(other)
        # The last layer of a network without blocks is no activation but what it makes of the image.
        taps = ("mid",) if "mid" in names else names[EVERY - 1 : -1 : EVERY]
        made.append(Source(name, "other network", other, tuple(taps)))
    return made


def measured(
    source: Source,
    images: ImageSet,
    *,
    part: str,
    sigma: Sequence[float],
    draws: int,
    seed: int,
    keep_draws: bool,
    store: Path | None,
    progress: bool | None,
) -> xr.Dataset:
    """φ of a source in memory, read from its store in the folder or made there."""
    folder = None
    if store is not None:
        folder = store / source.name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"sigma": sigma, "draws": draws, "seed": seed, "keep_draws": keep_draws}
    data = tap(source.network, *source.taps)(
        images, **options, store=None if folder is None else folder / f"{part}.zarr", progress=progress
    )
    # Standard errors and rest are not needed, and are as large as φ.
    return _checked(source, data[["phi", "phi_draws"] if keep_draws else ["phi"]].load())


def _checked(source: Source, data: xr.Dataset) -> xr.Dataset:
    """φ, where every block tells some images apart."""
    taps = labels.strings(data["tap"].values)
    for block in dict.fromkeys(taps):
        phi = data["phi"].values[:, :, taps == block]
        spread = np.ptp(phi, axis=0).max(axis=-1) > 1e-6 * np.abs(phi).max(axis=(0, 2))
        if not spread.all():
            sigma = data["sigma"].values[~spread][0]
            raise InputError(
                f"φ of {source.row(block)} at σ = {sigma:g} is the same for all images: leave this row out"
            )
    return data


def balanced(images: ImageSet, most: int | None, seed: int) -> ImageSet:
    """At most so many images, at random, classes keeping their shares; in the order of ids, whatever it was."""
    images = images.subset(sorted(range(len(images)), key=lambda i: images.ids[i]))
    if most is None or most >= len(images):
        return images
    codes = np.unique(np.array(images.labels), return_inverse=True)[1]
    return images.subset(subset(codes, most, np.random.default_rng(seed)).tolist())


def check_sets(images: ImageSet, train: ImageSet | None) -> None:
    """Refuse sets that no table can be made of, before anything is measured."""
    for name, one in (("images", images), ("train", train)):
        if one is None:
            continue
        if one.labels is None:
            raise InputError(f"{name}: {one.name} has no classes: give a folder of a class each, or labels=")
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


def digest(*parts: Any) -> str:
    """A short name for settings and image ids, so that results are taken up only for what they were made of."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
