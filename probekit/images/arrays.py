"""Image sets of what is in memory: arrays, tensors, labelled arrays, torch Datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from probekit.errors import InputError
from probekit.images.imageset import ImageSet, named, plain, relabelled

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["from_array", "in_memory"]


def in_memory(source: Any) -> ImageSet:
    """The images of an array, a tensor, a labelled array or a torch Dataset; see `probekit.images.load`."""
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, xr.DataArray):
        return from_labelled(source)
    if isinstance(source, np.ndarray | torch.Tensor):
        return from_array(source, f"{type(source).__name__} of shape {tuple(source.shape)}")
    if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, list | tuple | Mapping):
        return from_dataset(source)
    raise InputError(
        f"images cannot be read from a {type(source).__name__}: give an array or tensor (N, C, H, W), a DataArray "
        '(image, band, row, col), a folder, a zip, a torch Dataset, or "samples"; stack lists with numpy.stack'
    )


def from_array(source: np.ndarray | Tensor, name: str) -> ImageSet:
    """The images of an array or tensor (N, C, H, W), under their positions as ids."""
    if source.ndim != 4:
        raise InputError(
            f"images have shape {tuple(source.shape)}: give (N, C, H, W)"
            + ("; for one image write images[None]" if source.ndim == 3 else "")
        )
    if 0 in source.shape:
        raise InputError(f"images have shape {tuple(source.shape)}: there is nothing in them")
    kind = source.dtype.kind if isinstance(source, np.ndarray) else ("f" if source.is_floating_point() else "")
    eight_bit = source.dtype in (torch.uint8, np.dtype(np.uint8))
    if kind != "f" and not eight_bit:
        raise InputError(f"images are {source.dtype}: give floats in the denoiser's range, or uint8 in 0…255")

    def read(indices: Sequence[int]) -> Tensor:
        if isinstance(source, np.ndarray):
            # Only what is asked for is copied: the array may be mapped from disk.
            chosen = torch.from_numpy(source[np.asarray(indices, int)].astype(np.float32))
        else:
            chosen = source.detach()[list(indices)].cpu().float()
        return chosen / 255 if eight_bit else chosen

    shape = (int(source.shape[1]), int(source.shape[2]), int(source.shape[3]))
    return ImageSet(name, tuple(map(str, range(source.shape[0]))), None, shape, read)


def from_labelled(source: xr.DataArray) -> ImageSet:
    wanted = ("image", "band", "row", "col")
    if set(source.dims) != set(wanted):
        raise InputError(f"the DataArray has dims {tuple(map(str, source.dims))}: rename them to {wanted}")
    source = source.transpose(*wanted)
    found = from_array(np.asarray(source.values), str(source.name or "DataArray"))
    ids = source["image"].values if "image" in source.coords else None
    labels = None
    if "label" in source.coords:
        labels = np.broadcast_to(source["label"].values, source.sizes["image"])
    return relabelled(found, ids, labels)


def from_dataset(source: Any) -> ImageSet:
    if len(source) == 0:
        raise InputError(f"{type(source).__name__} is empty: there are no images in it")

    def image(index: int) -> Tensor:
        item = source[index]
        item = item[0] if isinstance(item, tuple | list) else item
        if not isinstance(item, torch.Tensor | np.ndarray) or item.ndim != 3:
            raise InputError(
                f"item {index} of {type(source).__name__} is a {type(item).__name__}: give a Dataset of tensors "
                "(C, H, W) or of (tensor, label) pairs, converting PIL images in its transform"
            )
        return from_array(item[None], "item").read([0])[0]

    def read(indices: Sequence[int]) -> Tensor:
        images = [image(i) for i in indices]
        odd = [str(i) for i, x in zip(indices, images, strict=True) if x.shape != images[0].shape]
        if odd:
            raise InputError(f"items {named(odd)} of {type(source).__name__} differ in shape: give images of one size")
        return torch.stack(images)

    first = source[0]
    labels = None
    if isinstance(first, tuple | list) and len(first) > 1:
        targets = getattr(source, "targets", None)
        targets = [source[i][1] for i in range(len(source))] if targets is None else list(targets)
        classes = getattr(source, "classes", None)
        labels = tuple(str(classes[int(t)] if classes else plain(t)) for t in targets)
    c, h, w = image(0).shape
    return ImageSet(type(source).__name__, tuple(map(str, range(len(source)))), labels, (c, h, w), read)
