"""The values of a factor: read from a coordinate, put on a scale, sorted into groups, and mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from analyses.factors.kernels import partners
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["SCALES", "Groups", "grouped", "scaled", "values_of"]

SCALES = ("log", "linear")
# A matrix of more values is no longer looked at.
MOST_VALUES = 200


@dataclass(frozen=True)
class Groups:
    """Images sorted by a factor's value.

    Attributes
    ----------
    group
        Of each image.
    values
        Of each group.
    places
        Of each image, its own value on the scale.
    partner
        Of each group, the group of the mirrored value, or −1.
    middle
        The mirror, on the scale; None for none.
    """

    group: np.ndarray
    values: np.ndarray
    places: np.ndarray
    partner: np.ndarray
    middle: float | None

    def chances(self) -> dict[str, float]:
        """How often the nearest other image would be of the same or the mirrored value by chance."""
        count = np.bincount(self.group, minlength=len(self.values)).astype(float)
        others = count.sum() - 1
        made = {"same_chance": float((count * (count - 1)).sum() / count.sum() / others)}
        if self.middle is not None:
            there = self.partner >= 0
            own, its = count[there], count[self.partner[there]]
            made["mirror_chance"] = float((own * its).sum() / own.sum() / others)
        return made


def values_of(data: xr.Dataset, factor: Any) -> np.ndarray:
    """The factor's value of each image, as float64.

    Raises
    ------
    InputError
        If there is no such coordinate along image, or it holds something else than finite numbers or texts of them.
    """
    texts = labels.classes(data, factor, option="factor")
    held = data[factor].values
    real = held.dtype.kind in "fiu"
    found = held.astype(np.float64) if real else np.array([_number(text) for text in texts])
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        image = labels.strings(data["image"].values)[wrong[0]]
        raise InputError(
            f"{factor} of image {image} is {checks.shown(str(texts[wrong[0]]))}: give finite numbers, or texts of such"
        )
    return found


def scaled(values: np.ndarray, scale: str, name: str) -> np.ndarray:
    """Values on the scale: natural logarithms, or as they are.

    Raises
    ------
    InputError
        If one is not positive where logarithms are taken.
    """
    if scale == "linear":
        return values
    if (values <= 0).any():
        raise InputError(f'{name} is {values[values <= 0][0]:g}: give positive values, or scale="linear"')
    return np.log(values)


def grouped(values: np.ndarray, *, scale: str, factor: str, bins: Any, mirror: Any) -> Groups:
    """Sort images by their value.

    Raises
    ------
    InputError
        If there are too many values or images without another of their value, or a mirror with no value on both sides.
    """
    places = scaled(values, scale, factor)
    middle = None if mirror is None else _middle(mirror, scale)
    if bins is not None:
        own, group = _binned(places, factor, checks.whole("bins", bins, least=2))
    else:
        own, group = np.unique(places, return_inverse=True)
        _check_counts(own, group, values, factor)
    shown = np.exp(own) if scale == "log" else own
    if bins is None:
        # As they were given: the exponential of a logarithm is a little off.
        shown = values[np.unique(group, return_index=True)[1]]
    partner = np.full(len(own), -1)
    if middle is not None:
        if bins is not None:
            raise InputError("mirror and bins are given: mirror images are of values as they are, leave one out")
        partner = partners(own, middle)
        if (partner < 0).all():
            given = checks.given("mirror", mirror)
            raise InputError(f"{given}: no value of {factor} is the mirror image of another; leave it out")
    return Groups(group, shown, places, partner, middle)


def _middle(mirror: Any, scale: str) -> float:
    what = "a value of the factor about which others are mirror images" + (", > 0" if scale == "log" else "")
    found = checks.number("mirror", mirror, what, good=lambda v: scale == "linear" or v > 0)
    return float(np.log(found)) if scale == "log" else found


def _binned(places: np.ndarray, factor: str, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of groups of equally many images in the order of their values, and each image's group."""
    if bins > min(MOST_VALUES, len(places) // 2):
        most = min(MOST_VALUES, len(places) // 2)
        raise InputError(f"bins={bins}: give at most {most}, so that each holds two images at least")
    edges = np.quantile(places, np.linspace(0, 1, bins + 1)[1:-1])
    # Equal values stay together.
    group = np.unique(np.searchsorted(edges, places, side="right"), return_inverse=True)[1]
    count = np.bincount(group)
    if len(count) < 2 or count.min() < 2:
        raise InputError(
            f"bins={bins}: the values of {factor} do not sort into groups of two images at least: give fewer"
        )
    return np.bincount(group, places) / count, group


def _check_counts(own: np.ndarray, group: np.ndarray, values: np.ndarray, factor: str) -> None:
    if len(own) > MOST_VALUES:
        raise InputError(
            f"{factor} has {len(own)} values, and {MOST_VALUES} at most are compared: give bins=, e.g. 10, to sort them"
        )
    alone = np.flatnonzero(np.bincount(group) < 2)
    if len(alone):
        value = values[group == alone[0]][0]
        raise InputError(
            f"{factor} is {value:g} of one image only: give two images of each value at least, or bins= to sort them"
        )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
