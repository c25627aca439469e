"""Image sets of what is in memory: arrays, tensors, labelled arrays; and the luminance of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from probekit.errors import InputError
from probekit.images.decode import LUMA
from probekit.images.imageset import ImageSet, relabelled
from probekit.images.mapped import OnDisk
from probekit.images.members import Where, part_of
from probekit.images.parts import Part

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["from_array", "from_labelled", "luminance"]


def luminance(images: Tensor) -> Tensor:
    """(N, 1, H, W) of images (N, C, H, W): of three bands by the weights of ITU-R 601, of other numbers their mean."""
    weights = images.new_tensor(LUMA) if images.shape[1] == 3 else images.new_ones(images.shape[1])
    return torch.einsum("nchw,c->nhw", images, weights / weights.sum())[:, None]


def from_array(source: np.ndarray | Tensor, name: str | None = None) -> ImageSet:
    """The images of an array or tensor (N, C, H, W), under their positions as ids; it is not copied."""
    if isinstance(source, torch.Tensor):
        _check_tensor(source)
    name = name or f"{type(source).__name__} of shape {tuple(source.shape)}"
    return _of_values(source, name, Rows(source))


def from_labelled(source: xr.DataArray, *, with_labels: bool = True) -> ImageSet:
    """The images of a labelled array, read when asked for, with its ids and, if wanted, its labels."""
    wanted = ("image", "band", "row", "col")
    if set(source.dims) != set(wanted):
        raise InputError(f"the DataArray has dims {tuple(map(str, source.dims))}: rename them to {wanted}")
    source = source.transpose(*wanted)
    found = _of_values(source, str(source.name or "DataArray"), Labelled(source))
    ids = source["image"].values if "image" in source.coords else None
    labels = None
    if with_labels and "label" in source.coords:
        if source["label"].dims not in ((), ("image",)):
            raise InputError(f"label has dims {source['label'].dims}: give it the one dim image, or leave it out")
        labels = np.broadcast_to(source["label"].values, source.sizes["image"])
    return relabelled(found, ids, labels)


class Rows:
    """Reads the images of an array or tensor; only what is asked for is copied: it may be mapped from disk."""

    def __init__(self, values: np.ndarray | Tensor) -> None:
        self.values = values.detach() if isinstance(values, torch.Tensor) else values

    def __call__(self, indices: Sequence[int]) -> Tensor:
        # Of consecutive images a view serves.
        first, last = indices[0], indices[0] + len(indices)
        chosen = self.values[first:last] if indices == [*range(first, last)] else self.values[list(indices)]
        return _floats(chosen.clone() if isinstance(chosen, torch.Tensor) else chosen)

    def part(self, where: Where) -> Callable[[Sequence[int]], Tensor]:
        """Of a range of images the view, so that no others are sent to another process."""
        # Tensors have no steps down.
        return Rows(part_of(self.values, where)) if isinstance(where, range) and where.step > 0 else Part(self, where)

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.values, torch.Tensor):
            # Of a view torch would write all that it is a view of.
            return {"values": self.values.clone()}
        return {"values": OnDisk.of(self.values) or self.values}

    def __setstate__(self, state: dict[str, Any]) -> None:
        values = state["values"]
        self.values = values.mapped() if isinstance(values, OnDisk) else values


class Labelled:
    """Reads the images of a labelled array with dims image, band, row, col."""

    def __init__(self, source: xr.DataArray) -> None:
        self.source = source

    def __call__(self, indices: Sequence[int]) -> Tensor:
        return _floats(self.source.isel(image=list(indices)).values)

    def part(self, where: Where) -> Callable[[Sequence[int]], Tensor]:
        """Of a range of images a view, so that no others are sent to another process."""
        return Labelled(part_of(self.source, where)) if isinstance(where, range) else Part(self, where)


def _check_values(source: Any) -> None:
    """Refuse what are no values of images: neither floats nor 8 bits, or partly masked.

    Raises
    ------
    InputError
        Saying what is taken.
    """
    tensor = isinstance(source, torch.Tensor)
    good = source.is_floating_point() if tensor else source.dtype.kind == "f"
    if not good and source.dtype not in (torch.uint8, np.dtype(np.uint8)):
        raise InputError(f"images are {source.dtype}: give floats in the denoiser's range, or uint8 in 0…255")
    if isinstance(source, np.ma.MaskedArray) and np.ma.is_masked(source):
        raise InputError(
            "images are partly masked, and a network sees all pixels: say what these are, e.g. images.filled(0), or "
            "leave masked images out"
        )


def _floats(values: np.ndarray | Tensor) -> Tensor:
    """Values of images as float32 on the CPU, 8-bit ones divided by 255."""
    eight_bit = values.dtype in (torch.uint8, np.dtype(np.uint8))
    if isinstance(values, torch.Tensor):
        chosen = values.detach().cpu().float()
    else:
        with np.errstate(over="ignore"):  # What overflows is infinite, and refused as such.
            chosen = torch.from_numpy(np.asarray(values).astype(np.float32))
    return chosen / 255 if eight_bit else chosen


def _of_values(source: Any, name: str, read: Callable[[Sequence[int]], Tensor]) -> ImageSet:
    """The images of anything (N, C, H, W) that has a shape and a dtype."""
    if source.ndim != 4:
        raise InputError(
            f"images have shape {tuple(source.shape)}: give (N, C, H, W)"
            + ("; for one image write images[None]" if source.ndim == 3 else "")
        )
    if 0 in source.shape:
        raise InputError(f"images have shape {tuple(source.shape)}: there is nothing in them")
    _check_values(source)

    shape = (int(source.shape[1]), int(source.shape[2]), int(source.shape[3]))
    return ImageSet(name, tuple(map(str, range(source.shape[0]))), None, shape, read)


def _check_tensor(source: Tensor) -> None:
    if source.is_meta:
        kind, mend = "meta", "it holds no values"
    elif source.is_nested or source.layout is not torch.strided:
        kind, mend = "nested or sparse", "give .to_dense(), or one of stacked images"
    elif source.is_quantized:
        kind, mend = "quantised", "give .dequantize()"
    else:
        return
    raise InputError(f"images are a {kind} tensor of {source.dtype}: {mend}")
