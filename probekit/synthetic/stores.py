"""Representations with known answers that are larger than memory, written to disk a block of images at a time."""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from probekit import labels
from probekit.checks import given, listed, path, seeded, whole
from probekit.errors import CapacityError, InputError
from probekit.machine.files import beside, writing_to
from probekit.machine.memory import refuse_array, spoken
from probekit.synthetic.subspaces import TAP, Drawn, Given, Law, SubspaceData, law_of

__all__ = ["write_union_of_subspaces"]

# Images of a block, which are drawn and kept on disk together.
BLOCK = 1024
# Random numbers of a seed: of the law itself, of rest, and of each block.
OF_REST, OF_BLOCKS = 1, 2
# Memory that the id and the label of an image take.
ID_BYTES = 150


def write_union_of_subspaces(
    store: str | Path, n_images: int = 1_000_000, *, taps: Sequence[str] = (TAP,), seed: int = 0, **union: Any
) -> SubspaceData:
    """Write a representation of `subspaces.union_of_subspaces`' law to a Zarr folder, in memory of one block of images.

    Supports and bases are those that `union_of_subspaces` has of this seed; images are others of the same law. Those of
    each 1024 have random numbers of their own, so that the first images are the same however many there are.

    Parameters
    ----------
    store
        Path of the folder, which must not exist yet, e.g. ``large.zarr``; `probekit.open` opens it lazily.
    n_images
        Number of images. With 512 channels, a million take 4 GB for each noise level.
    taps
        Names of taps, which share the channels evenly, in order.
    seed
        Of everything drawn.
    **union
        n_channels, n_subspaces, support and whatever else `union_of_subspaces` takes.

    Returns
    -------
    SubspaceData
        The data as `probekit.open` gives it, with the truth as coordinates: `subspace` of each image, which is its
        `label` too, and `type` of each channel; and the truth, without activity (image, channel). Channels of a
        subspace are "selective" whether or not one of the images is in it.

    Raises
    ------
    InputError
        If a number is out of its range, names are no names, there is no such option, or something is at the path.
    CapacityError
        If it cannot be written, or takes more room than there is.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     data, truth = write_union_of_subspaces(f"{folder}/large.zarr", 3000, n_channels=32, n_subspaces=2)
    ...     data.phi.shape, data.phi.isel(image=slice(0, 2)).load().shape
    ((3000, 1, 32), (2, 1, 32))
    """
    folder = path("store", store, "the path of a new folder, by custom ending in .zarr")
    n_images, seed = whole("n_images", n_images, least=1), seeded(seed)
    if unknown := sorted(set(union) - set(Given._fields)):
        raise InputError(f"no option is called {', '.join(unknown)}: give some of {', '.join(Given._fields)}")
    law = law_of(np.random.default_rng(seed), Given(**union), BLOCK)
    shared = _shared(taps, len(law.is_common))
    if folder.exists():
        raise InputError(f"{given('store', str(folder))} exists: give a new path, or delete what is there")
    with writing_to(folder.parent):
        _refuse_without_room(folder, (n_images, len(law.sigma), len(law.is_common)))
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = beside(folder)
        try:
            data, subspace = _written(making, law, n_images, shared, seed)
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    truth = law.truth(subspace, data, seen=_seen(law))
    with warnings.catch_warnings(action="ignore"):
        opened = xr.open_zarr(folder, chunks=None)
    # Strings as Python's own, as `probekit.open` has them.
    texts = {name: one.astype(object) for name, one in data.coords.items() if one.dtype.kind in "OTU"}
    return SubspaceData(opened.assign_coords(texts), truth)


def _refuse_without_room(folder: Path, shape: tuple[int, ...]) -> None:
    hint = "give fewer images"
    refuse_array(shape[:1], ID_BYTES, hint=hint)
    needed = math.prod(shape) * 2 * np.dtype(np.float32).itemsize
    free = shutil.disk_usage(next(part for part in folder.absolute().parents if part.exists())).free
    if needed > free:
        raise CapacityError(
            f"{given('store', str(folder))} takes {spoken(needed)}, and {spoken(free)} are free there: {hint}, "
            "channels or noise levels, or another place"
        )


def _shared(taps: Any, n_channels: int) -> dict[str, int]:
    """How many channels each tap has."""
    what = 'names, e.g. ["enc3", "mid"]'
    names = listed("taps", taps, what)
    if not names or not all(isinstance(n, str) and n.strip() for n in names) or len(set(names)) < len(names):
        raise InputError(f"{given('taps', taps)}: give different {what}")
    if len(names) > n_channels:
        raise InputError(f"{given('taps', taps)}: {n_channels} channels are too few for {len(names)} taps")
    bounds = np.linspace(0, n_channels, len(names) + 1).astype(int)
    return dict(zip(names, np.diff(bounds).tolist(), strict=True))


def _seen(law: Law) -> np.ndarray:
    """The share of images on which each channel is active: none, some or all."""
    specific = law.supports[law.share > 0]
    return np.where(law.is_common | specific.all(axis=0), 1.0, np.where(specific.any(axis=0), 0.5, 0.0))


def _blocks(law: Law, n_images: int, seed: int) -> Iterator[tuple[slice, Drawn]]:
    """Images block by block; of the last, whole as it is drawn, as many as there are."""
    for number, start in enumerate(range(0, n_images, BLOCK)):
        rows = slice(start, min(start + BLOCK, n_images))
        drawn = law.images(np.random.default_rng([seed, OF_BLOCKS, number]), BLOCK)
        count = rows.stop - start
        arrays = {name: values[:count] for name, values in drawn.arrays.items()}
        yield rows, Drawn(drawn.subspace[:count], drawn.activity[:count], arrays)


def _written(making: Path, law: Law, n_images: int, taps: dict[str, int], seed: int) -> tuple[xr.Dataset, np.ndarray]:
    """The store but for its place; gives what is in memory of it, and the subspace of each image."""
    import zarr

    shape = (n_images, len(law.sigma), len(law.is_common))
    # Views of one number: a template of any size takes no memory.
    empty = {name: np.broadcast_to(np.float32("nan"), shape) for name in ("phi", "phi_se")}
    of_rest = law.of_rest(np.random.default_rng([seed, OF_REST]))
    whole_set = law.labelled({**empty, **of_rest}, [str(i) for i in range(n_images)], seed, taps)
    making.mkdir()
    group = zarr.open_group(making, mode="w")
    for name in empty:
        group.create_array(
            name,
            shape=shape,
            chunks=(min(BLOCK, n_images), *shape[1:]),
            dtype="float32",
            fill_value=float("nan"),
            dimension_names=list(map(str, whole_set[name].dims)),
            attributes=dict(whole_set[name].attrs),
        )
    subspace = np.empty(n_images, np.int64)
    for rows, drawn in _blocks(law, n_images, seed):
        subspace[rows] = drawn.subspace
        for name, values in drawn.arrays.items():
            found: Any = group[name]
            found[rows] = values.astype(np.float32)
    names = labels.strings([f"subspace {k}" for k in range(len(law.supports))])
    kind = law.truth(subspace, whole_set, seen=_seen(law))["type"]
    data = whole_set.drop_vars(list(empty)).assign_coords(
        label=("image", names[subspace], {"long_name": labels.COORDINATES["label"]}),
        subspace=("image", subspace, {"long_name": "subspace of the image"}),
        type=("channel", kind.values, kind.attrs),
    )
    with warnings.catch_warnings(action="ignore"):
        data.to_zarr(making, mode="a", zarr_format=3, consolidated=False)
        zarr.consolidate_metadata(making)
    return data, subspace
