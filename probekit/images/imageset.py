"""A set of images of one size, read when asked for, each under an id of its own."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
import torch
import xarray as xr

from probekit.checks import attribute, given, listed, shown
from probekit.errors import InputError
from probekit.images.members import Where, part_of, taken
from probekit.images.parts import Watched, part
from probekit.images.positions import is_mask, positions_of
from probekit.naming import MAX_NAMED, abridged, check_spelling, in_a_line, name_of, named, names_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["ImageSet", "check_order", "checked_ids", "checked_labels", "named", "relabelled"]

# Sets up to this size are read through for their fingerprint; of larger ones so many images stand for all.
FINGERPRINTED_BYTES, FINGERPRINTED = 2**28, 256
TOGETHER_BYTES = 2**24
# Names that a selection may be made by, where it does not say how many it has.
MOST_NAMES = 10**6


@dataclass(frozen=True, repr=False)
class ImageSet:
    """Images of one size, read when asked for.

    ``images[3]``, ``images[2:10]``, ``images[[1, 5]]`` and ``images[mask]`` are image sets too, of one image or more;
    so is each image in ``for image in images``. ``"id" in images`` says whether there is an image of this id.

    Attributes
    ----------
    name : str
        Where the images come from, as results state it.
    ids : tuple[str, ...]
        One stable, unique id per image.
    labels : tuple[str, ...] or None
        One class name per image, "" for images whose class is missing; None where there are no classes.
    shape : tuple[int, int, int]
        (bands, rows, columns) of every image.
    skipped : tuple[str, ...]
        Files that were left out on request, and pictures that Pillow does not read, each with the reason.
    preparation : str
        What was done to files and photographs: resizing, cropping, colour planes; "none" for others.
    origin : str
        Absolute path of the folder, zip or tars that the images come from; "" for others.
    """

    name: str
    ids: tuple[str, ...]
    labels: tuple[str, ...] | None
    shape: tuple[int, int, int]
    _read: Callable[[Sequence[int]], Tensor] = field(repr=False)
    skipped: tuple[str, ...] = ()
    preparation: str = "none"
    origin: str = ""
    _sums: np.ndarray | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        name, pixels = abridged(self.name), "×".join(map(str, self.shape))
        return f"ImageSet({name!r}, {len(self)} image{'s' * (len(self) != 1)} of {pixels}, {_spoken(self.labels)})"

    def _repr_html_(self) -> str:
        from probekit.forms import html_of_images

        return html_of_images(self)

    def __getitem__(self, key: Any) -> ImageSet:
        """The images at these positions, as `subset` gives them; one position gives an image set of one."""
        if isinstance(key, str):
            raise InputError(f"images[{shown(key)}]: give positions; by id it is images.sel(image={shown(key)})")
        several = isinstance(key, slice | Iterable) and attribute(key, "ndim", 1) != 0
        return self.subset(key if several else [key])

    def __iter__(self) -> Iterator[ImageSet]:
        return (self.subset([k]) for k in range(len(self)))

    def __contains__(self, image: object) -> bool:
        return name_of(image) in self.ids

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        # numpy would take image sets of one for rows, without end.
        raise InputError(f"{self!r} is no array: its images are .read(range({len(self)}))")

    def read(self, indices: Sequence[int]) -> Float[Tensor, "n band row col"]:
        """The images at these positions, float32 (n, C, H, W) on the CPU.

        Raises
        ------
        InputError
            If there is no such position, a mask comes with the ids in another order, or an image holds NaN or infinite
            values or no longer has the set's shape.
        """
        indices = self._positions(indices)
        if not indices:
            return torch.empty(0, *self.shape)
        images = self._read(indices).float()
        if tuple(images.shape) != (len(indices), *self.shape):
            raise InputError(f"{self.name} gave shape {tuple(images.shape)[1:]} where {self.shape} was announced")
        # Quicker than a look at every value; NaN is both the least and the largest.
        if not all(map(math.isfinite, torch.aminmax(images))):
            bad = [self.ids[i] for i, x in zip(indices, images, strict=True) if not bool(torch.isfinite(x).all())]
            raise InputError(f"{named(bad)} of {self.name} hold NaN or infinite values: remove or mend them")
        return images

    def _positions(self, indices: Any) -> list[int]:
        if isinstance(indices, pd.Series | xr.DataArray) and indices.ndim == 1 and is_mask(indices.values):
            check_order("mask", indices, self.ids)
        return positions_of("indices", indices, len(self))

    def _where(self, indices: Any) -> Where:
        """Positions as a range where they are one, of which nothing needs be listed."""
        if isinstance(indices, slice | range):
            try:
                where = range(len(self))[indices] if isinstance(indices, slice) else indices
            except Exception:
                # Ends of others, which may raise what they like, are told of below.
                where = None
            if where is not None and all(0 <= k < len(self) for k in [*where[:1], *where[-1:]]):
                return where
        return np.asarray(self._positions(indices), np.int64)

    def sel(self, *, image: Any = None, label: Any = None) -> ImageSet:
        """The images of these ids, or of these classes.

        Parameters
        ----------
        image
            One id, or a list, whose order is kept.
        label
            One class, or a list; "" is for images whose class is missing.

        Raises
        ------
        InputError
            If there is no such id or class, or neither is given.

        Examples
        --------
        >>> import numpy as np, probekit
        >>> images = probekit.images.load(np.zeros((3, 1, 8, 8)), ids=["a", "b", "c"], labels=["cat", "dog", "cat"])
        >>> images.sel(label="cat").ids, images.sel(image=["c", "b"]).labels
        (('a', 'c'), ('cat', 'dog'))
        """
        if image is None and label is None:
            raise InputError('sel() selects by name: give image=, one id or a list, or label=, e.g. label="cat"')
        chosen = self
        if image is not None:
            where = {name: k for k, name in enumerate(self.ids)}
            chosen = self.subset([where[name] for name in _known("image", image, where, self.name)])
        if label is None:
            return chosen
        if chosen.labels is None:
            raise InputError(f"{given('label', label)}: {self.name} has no classes: load it with labels=")
        wanted = set(_known("label", label, dict.fromkeys(self.labels or ()), self.name))
        return chosen.subset([k for k, name in enumerate(chosen.labels) if name in wanted])

    def subset(self, indices: Any) -> ImageSet:
        """The images at these positions, in this order, under their own ids.

        Parameters
        ----------
        indices
            Whole numbers, which count from the end where negative; a slice; or a mask, one True or False per image.

        Raises
        ------
        InputError
            If it is something else, there is no such position, one is named twice, or a mask comes with the images' ids
            in another order.
        """
        where = self._where(indices)
        if isinstance(where, np.ndarray) and len(np.unique(where)) < len(where):
            # Says which, and why that is refused.
            checked_ids(taken(self.ids, where), len(where), self.name)
        return replace(
            self,
            ids=taken(self.ids, where),
            labels=None if self.labels is None else taken(self.labels, where),
            _read=part(self._read, where),
            _sums=None if self._sums is None else part_of(self._sums, where),
        )

    def fingerprint(self) -> str:
        """SHA-256 of the images' content: of the checksums of files and what is done to them, or of the values.

        The same wherever the images lie and whatever they are called. Of sets of more than 256 MiB that are not read
        from files it is that of 256 images, evenly spread.

        Raises
        ------
        InputError
            If one of these images cannot be read.
        """
        content = hashlib.sha256(f"{len(self)} {self.shape}".encode())
        if self._sums is not None:
            content.update(f"{self.preparation} {tuple(self._sums.tolist())}".encode())
            return content.hexdigest()
        each = 4 * math.prod(self.shape)
        count = len(self) if len(self) * each <= FINGERPRINTED_BYTES else min(len(self), FINGERPRINTED)
        chosen = np.linspace(0, len(self) - 1, count).round().astype(int).tolist()
        together = max(1, TOGETHER_BYTES // each)
        for start in range(0, count, together):
            content.update(self.read(chosen[start : start + together]).numpy().astype("<f4").tobytes())
        return content.hexdigest()

    def watched(self, look: Callable[[Tensor], None]) -> ImageSet:
        """The same images; `look` is given each batch of them that is read.

        Raises
        ------
        InputError
            If `look` cannot be called.
        """
        if not callable(look):
            raise InputError(f"{given('look', look)}: give a function of a batch of images (n, C, H, W)")

        return replace(self, _read=Watched(self._read, look))


def relabelled(found: ImageSet, ids: Any, labels: Any) -> ImageSet:
    """The images under other ids and labels, where these are given.

    Raises
    ------
    InputError
        If they are not one per image, one is no name, or ids are missing or repeat.
    """
    former = found.ids
    if ids is not None:
        check_order("ids", ids, found.ids)
        found = replace(found, ids=checked_ids(ids, len(found), found.name))
    if labels is not None:
        check_order("labels", labels, found.ids, former)
        found = replace(found, labels=checked_labels(labels, len(found)))
    return found


def checked_ids(ids: Any, count: int, name: str) -> tuple[str, ...]:
    """Ids as strings.

    Raises
    ------
    InputError
        If there is not one for each of `count` images of the set called `name`, one is missing or no name, or one
        occurs twice.
    """
    values = tuple(names_of("ids", ids, count))
    missing = [str(k) for k, value in enumerate(values) if not value]
    if missing:
        raise InputError(f"ids of {name} are missing or blank at positions {named(missing)}: give each image an id")
    if len(set(values)) < len(values):
        repeated = [v for v, n in Counter(values).items() if n > 1]
        raise InputError(
            f"ids {named(repeated)} of {name} occur more than once: ids name images and address their noise, "
            "so each must be unique"
        )
    return values


def checked_labels(labels: Any, count: int) -> tuple[str, ...] | None:
    """Labels as strings, "" for images without a class; None where no image has one.

    Raises
    ------
    InputError
        If there is not one for each of `count` images, one is no name, or two look alike.
    """
    # One string for each class, whatever the number of images.
    known: dict[str, str] = {}
    values = tuple([known.setdefault(name, name) for name in names_of("labels", labels, count)])
    if not any(known):
        return None
    check_spelling("labels", values)
    return values


def check_order(option: str, values: Any, *orders: Sequence[str]) -> None:
    """Refuse values that come with the images' ids in another order; `orders` are all ids that the images go by.

    Raises
    ------
    InputError
        With the ways out.
    """
    if isinstance(values, pd.Series):
        own = values.index
    elif isinstance(values, xr.DataArray) and "image" in values.coords and values.dims == ("image",):
        own = values["image"].values
    else:
        return
    known = tuple(map(name_of, own))
    if known not in [tuple(ids) for ids in orders] and any(set(known) == set(ids) for ids in orders):
        at = "loc[list(images.ids)]" if isinstance(values, pd.Series) else "sel(image=list(images.ids))"
        raise InputError(
            f"{option} are indexed as the images are, in another order: give {option}.{at} to go by id, or "
            f"{option}.to_numpy() if they are in the order of the images"
        )


def _known(option: str, wanted: Any, known: Iterable[str], name: str) -> list[str]:
    """Names that are among those known."""
    several = isinstance(wanted, Iterable) and not isinstance(wanted, str | bytes) and attribute(wanted, "ndim", 1) != 0
    among = set(known)
    if several and not hasattr(type(wanted), "__len__"):
        # What is made while it is read may have no end.
        wanted = listed(option, wanted, "names, one or a list", most=MOST_NAMES)
    names = names_of(option, wanted if several else [wanted])
    unknown = [one for one in names if one not in among]
    if unknown:
        close = get_close_matches(unknown[0], among, 3) or sorted(among)[:MAX_NAMED]
        raise InputError(
            f"{option}: {name} has no {named(list(map(repr, unknown)))}: give one of its {len(among)}, such as "
            + named(list(map(repr, close)))
        )
    return names


def _spoken(labels: Sequence[str] | None) -> str:
    """Classes as a set is shown with them."""
    if labels is None:
        return "no classes"
    known, missing = [one for one in dict.fromkeys(labels) if one], sum(not one for one in labels)
    classes = f"{len(known)} class{'es' * (len(known) != 1)}: {named([*map(in_a_line, known)])}"
    return classes + (f"; {missing} without a class" if missing else "")
