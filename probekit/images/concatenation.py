"""One image set of several, read part by part."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit.checks import given
from probekit.errors import InputError
from probekit.images.imageset import ImageSet, checked_ids
from probekit.images.members import Where
from probekit.images.parts import Part
from probekit.naming import check_spelling, named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["concatenate"]


def concatenate(sets: Sequence[ImageSet]) -> ImageSet:
    """One image set of several, such as the parts of a data set; ids gain the name of their part.

    A list of one set gives this set, whose ids are as they were. Noise is addressed by ids, so an image has other noise
    in the union than in its part. Two sets of one name are renamed by ``dataclasses.replace(images, name="…")``.

    Where only some parts have labels, the images of the others have the missing class "".

    Warns
    -----
    UserWarning
        If only some parts have labels.

    Raises
    ------
    InputError
        If there is no set, if sizes differ, if two parts have the same name, or if classes differ only in
        blanks at their ends or in how accents are encoded.
    """
    sets = _listed(sets)
    if not sets:
        raise InputError("there is no image set to concatenate: give at least one")
    if len(sets) == 1:
        return sets[0]
    twice = [name for name, n in Counter(s.name for s in sets).items() if n > 1]
    if twice:
        raise InputError(
            f"{named(twice)} names more than one set: ids begin with the set's name, so rename one of them by "
            'dataclasses.replace(images, name="…")'
        )
    shapes = {s.name: s.shape for s in sets}
    if len(set(shapes.values())) > 1:
        raise InputError(f"the sets differ in (bands, rows, cols): {shapes}: bring all to one size with size=")
    name = " + ".join(s.name for s in sets)
    ids = checked_ids([f"{s.name}/{i}" for s in sets for i in s.ids], sum(map(len, sets)), name)
    return ImageSet(
        name,
        ids,
        _joined_labels(sets),
        sets[0].shape,
        Joined(sets),
        tuple(f"{s.name}/{file}" for s in sets for file in s.skipped),
        "; ".join(dict.fromkeys(s.preparation for s in sets)),
        "; ".join(dict.fromkeys(s.origin for s in sets if s.origin)),
        _joined_sums(sets),
    )


class Joined:
    """Reads of several sets as if they were one."""

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        self.sets = tuple(sets)
        self.starts = np.cumsum([0, *map(len, sets)])

    def __call__(self, indices: Sequence[int]) -> Tensor:
        parts = (np.searchsorted(self.starts, indices, side="right") - 1).tolist()
        runs = groupby(zip(parts, indices, strict=True), key=lambda one: one[0])
        return torch.cat([self.sets[p].read([int(i - self.starts[p]) for _, i in run]) for p, run in runs])

    def part(self, where: Where) -> Callable[[Sequence[int]], Tensor]:
        """Of consecutive images only the sets that they are of, so that little is sent to another process."""
        if not isinstance(where, range) or where.step != 1 or not where:
            return Part(self, where)
        starts = self.starts[:-1].tolist()
        ends = [(max(where.start - a, 0), min(where.stop - a, len(s))) for a, s in zip(starts, self.sets, strict=True)]
        return Joined([s if b - a == len(s) else s[a:b] for s, (a, b) in zip(self.sets, ends, strict=True) if a < b])


def _joined_sums(sets: Sequence[ImageSet]) -> np.ndarray | None:
    """Checksums of the files of all sets; None where some are of no files, or are prepared otherwise."""
    if any(s._sums is None or s.preparation != sets[0].preparation for s in sets):
        return None
    return np.concatenate([s._sums for s in sets if s._sums is not None])


def _listed(sets: Any) -> list[ImageSet]:
    if not isinstance(sets, Iterable) or isinstance(sets, ImageSet | str | bytes | Mapping):
        raise InputError(f"{given('sets', sets)}: give a list of image sets, as load makes them")
    found: list[ImageSet] = []
    try:
        for one in sets:
            if not isinstance(one, ImageSet):
                raise InputError(f"sets hold a {type(one).__name__}, which is no image set: give each to load first")
            found.append(one)
    except InputError:
        raise
    except Exception as error:
        # Whatever an iterable of others raises.
        why = f"{given('sets', sets)}: they cannot be listed ({type(error).__name__})"
        raise InputError(f"{why}; give a list of image sets, as load makes them") from error
    return found


def _joined_labels(sets: Sequence[ImageSet]) -> tuple[str, ...] | None:
    without = [s.name for s in sets if s.labels is None]
    if len(without) == len(sets):
        return None
    if without:
        warnings.warn(
            f"{named(without)} have no classes, and other sets have: analyses by class refuse their images, of class "
            '"". Give labels= when they are loaded, or leave them out',
            stacklevel=3,
        )
    labels = tuple(label for s in sets for label in s.labels or [""] * len(s))
    check_spelling("labels of the sets", labels)
    return labels
