"""φ above rest at each noise level and tap, with its error: what the analysis of subspaces works on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses.ground import as_activity, check_errors, check_numbers, image_blocks, sites, subsample
from analyses.subspaces import kernels_active
from probekit import checks, labels
from probekit.errors import InputError

__all__ = [
    "FIT_IMAGES",
    "MIN_IMAGES",
    "AboveRest",
    "Scale",
    "check",
    "check_fit_images",
    "grouped",
    "learnt_from",
    "measured",
    "parts",
    "responses",
    "scales",
    "shuffled",
    "sources",
    "usable_ranks",
]

MIN_IMAGES = 20
# Of more images, so many are fitted and the others sorted by what was learnt: a fit holds these in memory.
FIT_IMAGES = 20_000
MEASURED = ("phi", "phi_se", "rest", "rest_se")
# Rounding of float32 is no response.
ROUNDING = 4 * float(np.finfo(np.float32).eps)
# Distance of the normal law's quartile from its 5 % point; and how far beyond the error responses must vary there.
LOWER, VARIED = 0.970, 1.25


@dataclass(frozen=True)
class AboveRest:
    """φ above rest at one noise level and tap.

    Attributes
    ----------
    level, block
        Positions of the noise level and the tap.
    channels
        Positions of the tap's channels.
    x, error
        (images, channels), float32: φ − rest and the standard error of that, or (channels) for the error; in units
        that bring the largest number to between 1 and 2, so that squares neither vanish nor overflow.
    degrees
        Of freedom of the error, (channels) or one.
    floor
        (channels): least standard error, what rounding alone may cause.
    scatter
        (channels): standard error of φ alone on the median image.
    """

    level: int
    block: int
    channels: np.ndarray
    x: np.ndarray
    error: np.ndarray
    degrees: np.ndarray | float
    floor: np.ndarray
    scatter: np.ndarray

    @property
    def noise(self) -> float:
        """Mean variance of the error of one value."""
        return float(np.square(self.error, dtype=np.float64).mean())

    @property
    def shifted(self) -> np.ndarray:
        """Channels whose smallest values lie above rest by a constant: there the rest is wrong, if anything.

        Between their 5 % point and lower quartile over images they vary no more than their errors do.
        """
        low, quartile = np.quantile(self.x, [0.05, 0.25], axis=0)
        return (low > self.scatter) & (quartile - low <= VARIED * LOWER * self.scatter)

    def active(self, rate: float) -> np.ndarray:
        """Channels above rest on each image, at this false discovery rate."""
        return kernels_active.active(kernels_active.p_values(self.x, self.error, self.degrees, self.floor), rate=rate)


@dataclass(frozen=True)
class Scale:
    """What says of φ at one noise level and tap how far it is above rest, as images show it.

    Attributes
    ----------
    level, block, channels, degrees, floor, scatter
        As in `AboveRest`.
    power
        Numbers are divided by two to this power.
    rest, rest_error
        (channels), in these units.
    errors
        How standard errors are moderated; or the error itself (channels), where none are known.
    """

    level: int
    block: int
    channels: np.ndarray
    power: int
    rest: np.ndarray
    rest_error: np.ndarray
    errors: kernels_active.Moderation | np.ndarray
    floor: np.ndarray
    scatter: np.ndarray

    def above(self, phi: np.ndarray, se: np.ndarray | None) -> AboveRest:
        """φ above rest of some images, by φ and, where there is any, phi_se (images, sigma, channel)."""
        x = _scaled(phi[:, self.level, self.channels], self.power)
        np.subtract(x, self.rest, out=x)
        if isinstance(self.errors, np.ndarray):
            error, degrees = np.hypot(self.errors, self.rest_error), np.inf
        else:
            assert se is not None
            found = self.errors.errors(_scaled(se[:, self.level, self.channels], self.power))
            error, degrees = np.hypot(found, self.rest_error, out=found), self.errors.degrees
        return AboveRest(self.level, self.block, self.channels, x, error, degrees, self.floor, self.scatter)


class Learnt(NamedTuple):
    """Images that are fitted, in memory, and their positions; None where these are all images, as they are given."""

    data: xr.Dataset
    chosen: np.ndarray | None


def check_fit_images(fit_images: Any) -> int:
    """How many images are fitted at most, found fit for use."""
    return checks.whole("fit_images", fit_images, least=MIN_IMAGES)


def learnt_from(data: xr.Dataset, most: int, seed: int) -> Learnt:
    """The images that are fitted: all of them up to so many, else so many drawn by id, in the order of ids."""
    kept = data[[name for name in MEASURED if name in data]]
    if data.sizes["image"] <= most:
        return Learnt(kept.compute(), None)
    chosen = subsample(data, most, seed)
    return Learnt(kept.isel(image=chosen).compute(), chosen)


def measured(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """φ and its errors, None where there are none, of data that are in memory."""
    return data["phi"].values, data["phi_se"].values if "phi_se" in data else None


def parts(data: xr.Dataset) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
    """φ and its errors of all images, some at a time, after where they are."""
    names = [name for name in MEASURED[:2] if name in data]
    for rows, phi, *se in image_blocks(data, *names):
        yield rows, phi, se[0] if se else None


def check(data: xr.Dataset, rate: float = 0.05, *, images: int = 1, signed: bool = False) -> xr.Dataset:
    """The data as it is analysed; refuses what cannot be, and what is no rate.

    `signed` φ does where active channels do not count.
    """
    data = labels.once(data)
    check_numbers(data, *MEASURED)
    labels.check(data, "phi")
    labels.check_ids(data)
    for name in MEASURED[1:]:
        if name in data:
            labels.check(data, name, finite=not name.endswith("_se"))
    check_errors(data)
    draws = data.attrs.get("draws", 0)
    if isinstance(draws, str) or not np.isscalar(draws) or not np.isfinite(float(str(draws))):
        raise InputError(f"the attribute draws is {draws!r}: give the number of noise draws, or drop the attribute")
    if data.sizes["image"] < images:
        raise InputError(f"{data.sizes['image']} images: give at least {images}, subspaces are of many images")
    if not (data.sizes["sigma"] and data.sizes["channel"]):
        raise InputError("the data has no noise level or no channel: keep at least one of each")
    if not signed:
        data = as_activity(data, "phi", "rest")
    checks.fraction("rate", rate, "a false discovery rate between 0 and 1, such as 0.05")
    return data


def grouped(data: xr.Dataset, clusters: str | None) -> np.ndarray | None:
    """The number of each image's group; None where images are independent. Refuses too few groups."""
    if clusters is None:
        return None
    members = np.unique(labels.classes(data, clusters, option="clusters", least=1), return_inverse=True)[1]
    if members.max() + 1 < MIN_IMAGES:
        raise InputError(
            f"clusters={clusters!r}: {len(members)} images in {members.max() + 1} groups: give images of {MIN_IMAGES} "
            "groups at least, subspaces are of many independent images"
        )
    return members


def sources(data: xr.Dataset) -> dict[str, Any]:
    """What rest and its error were taken from, as attrs."""
    missing = [
        float(sigma)
        for level, sigma in enumerate(data.sigma.values)
        if "phi_se" not in data or np.isnan(data.phi_se.values[:, level]).any()
    ]
    errors = "phi_se, moderated over images"
    if missing:
        errors = "spread below rest" + (
            "" if len(missing) == data.sizes["sigma"] else f" at sigma {missing}, else {errors}"
        )
    return {"rest_from": "rest" if "rest" in data else "median over images", "error_from": errors}


def responses(data: xr.Dataset, what: str) -> Iterator[AboveRest]:
    """φ above rest at every noise level and tap, one at a time; `what` is done with it, in a word or two."""
    for scale in scales(data, what):
        yield scale.above(*measured(data))


def scales(data: xr.Dataset, what: str) -> Iterator[Scale]:
    """What these images, which are in memory, say of every noise level and tap, one at a time; `what` is done then."""
    degrees = max(int(data.attrs.get("draws", 0)) - 1, 0)
    for site in sites(data, what):
        yield _scale(data, site, degrees)


def _scale(data: xr.Dataset, site: labels.Site, degrees: int) -> Scale:
    level, block, channels = site.level, site.block, site.channels
    arrays = {name: data[name].values[..., level, channels] for name in MEASURED if name in data}
    peak = max(float(np.nanmax(np.abs(values), initial=0)) for values in arrays.values())
    # The largest number comes to between 1 and 2.
    power = int(np.frexp(peak)[1]) - 1
    arrays = {name: _scaled(values, power) for name, values in arrays.items()}
    phi, se = arrays["phi"], arrays.get("phi_se")
    rest_error = np.zeros(len(channels), np.float32)
    if "rest" in arrays:
        rest = arrays["rest"]
        if "rest_se" in arrays:
            rest_error = np.nan_to_num(arrays["rest_se"])
    else:
        rest = np.median(phi, axis=0)
    floor = ROUNDING * np.abs(phi).max(axis=0)
    if se is None or np.isnan(se).any():
        errors = scatter = kernels_active.spread_below(np.subtract(phi, rest, out=phi))
    else:
        # Unknown draws count as many.
        errors = kernels_active.moderation(se, degrees or 1e6)
        scatter = np.median(errors.errors(se), axis=0)
    return Scale(level, block, channels, power, rest, rest_error, errors, floor, scatter)


def _scaled(values: np.ndarray, power: int) -> np.ndarray:
    """A new float32 array, divided by two to this power, which leaves every digit as it is."""
    return np.ldexp(values, -power).astype(np.float32, copy=False)


def shuffled(data: xr.Dataset, seed: int, members: np.ndarray | None = None) -> xr.Dataset:
    """The data with every channel permuted over images on its own, phi_se along with phi.

    Groups of images are permuted whole: in each channel a group takes the values of another, image by image, those of
    a smaller one over again. It keeps its images in all channels, so that images that were alike stay so.
    """
    rng = np.random.default_rng(seed)
    arrays = {name: data[name].values.copy() for name in ("phi", "phi_se") if name in data}
    first = labels.by_id(data)
    if members is not None:
        first = first[np.argsort(members[first], kind="stable")]
    for level, channel in np.ndindex(data.sizes["sigma"], data.sizes["channel"]):
        order = rng.permutation(first) if members is None else first[_by_groups(members[first], rng)]
        for values in arrays.values():
            values[first, level, channel] = values[order, level, channel]
    return data.assign({name: (data[name].dims, values) for name, values in arrays.items()})


def _by_groups(own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whose values images take, `own` being the group of each, in order: of the group that theirs is permuted to."""
    sizes = np.bincount(own)
    starts = np.cumsum(sizes) - sizes
    other = np.argsort(rng.permutation(len(sizes)))[own]
    return starts[other] + (np.arange(len(own)) - starts[own]) % sizes[other]


def usable_ranks(data: xr.Dataset, ranks: Any) -> tuple[int, ...]:
    """The ranks that are below the number of channels of every tap; refuses what leaves none, and what is no rank."""
    numbers = checks.counts("ranks", ranks, least=0)
    width = min(len(site.channels) for site in labels.sites(data))
    if width < 2:
        raise InputError("a tap has 1 channel, which leaves nothing to compare: select taps of more channels")
    kept = tuple(r for r in numbers if 1 <= r < width)
    if not kept:
        raise InputError(
            f"{checks.given('ranks', ranks)}: give dimensions from 1 to {width - 1}, below the number of channels"
        )
    return kept
