"""What an explorer holds: a description that is JSON, and arrays by name, made when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial.distance import cdist
from scipy.stats import kurtosis

from analyses.explore.measure import Measured, Measuring, denoised, maps_of, reduced, without_channel
from analyses.ground import shown_range
from analyses.selectivity import KINDS
from probekit.images import ImageSet
from probekit.labels import strings

__all__ = ["SUMMARY", "Contents", "contents_of"]

SUMMARY = ("mean", "low", "high", "activity", "fraction", "kurtosis", "sparseness", "type", "confidence")
# Images shown of a channel: those that excite it most, the middle ones, those that excite it least.
STRONGEST, MIDDLE, WEAKEST = 6, 3, 3
# Images that a channel's silencing is tried on: of its strongest, and others.
TRIED = 3
NEAREST, CORRELATED, MAPS_OF_IMAGE = 6, 6, 6
# Pictures of images have at most so many rows and columns.
PICTURE = 64
# Standard errors by which a channel is clear of rest, as for types of channel.
CLEAR = 5.0
# The largest value kept of a channel, so that half precision holds it.
SCALED = 1000.0


@dataclass
class Contents:
    """The description of an explorer, and what makes each of its arrays.

    Attributes
    ----------
    meta
        JSON: networks, blocks, channels, noise levels, images and which of them are detailed.
    makers
        By the array's name, what makes it.
    of_images
        What makes arrays that are called so, followed by the position of any image.
    """

    meta: dict[str, Any]
    makers: dict[str, Callable[[], np.ndarray]] = field(default_factory=dict)
    of_images: dict[str, Callable[[int], np.ndarray]] = field(default_factory=dict)

    def array(self, name: str) -> np.ndarray:
        """One array of those that a page holds."""
        return self.makers[name]()

    def made(self, name: str) -> np.ndarray | None:
        """One array, of those too that a page holds of detailed images alone; None where there is none of the name."""
        if name in self.makers:
            return self.makers[name]()
        kind, _, number = name.rpartition("/")
        known = kind in self.of_images and number.isdecimal() and int(number) < len(self.meta["images"]["ids"])
        return self.of_images[kind](int(number)) if known else None


def contents_of(
    networks: Sequence[Measured], images: ImageSet, settings: Measuring, samples: xr.Dataset | None = None
) -> Contents:
    """What there is to see of networks on images.

    Parameters
    ----------
    networks
        Measured on these images in this way; the first is the one that the explorer is about.
    images, settings
        On what, how.
    samples
        What `sampling.reconstruct` returned, for conditions among the images.
    """
    count = len(images)
    detailed = _spread(images, min(settings.detailed, count))
    made = Contents(
        {
            "sigma": list(settings.sigma),
            "shown": settings.shown,
            "effect": settings.shown[len(settings.shown) // 2],
            "draws": settings.draws,
            "map_draws": settings.map_draws,
            "seed": settings.seed,
            "reduce": settings.reduce
            if isinstance(settings.reduce, str)
            else getattr(settings.reduce, "__name__", "?"),
            "kinds": list(KINDS),
            "clear": CLEAR,
            "ranks": {"strongest": min(STRONGEST, count), "middle": min(MIDDLE, count), "weakest": min(WEAKEST, count)},
            "images": {
                "source": images.name,
                "ids": list(images.ids),
                "labels": None if images.labels is None else list(images.labels),
                "shape": list(images.shape),
                "detailed": detailed,
            },
            "networks": [_described(one) for one in networks],
            "samples": [],
        }
    )
    limits = _limits(images)
    made.meta["range"] = limits[1] - limits[0]
    made.makers["pictures"] = lambda: _pictures(images, range(count), limits)
    made.makers["near-pixels"] = lambda: _nearest(_pixels(images))
    for n, one in enumerate(networks):
        _add_network(made, n, one, images, settings, detailed, limits)
    if samples is not None:
        _add_samples(made, samples, images, limits)
    return made


def _described(one: Measured) -> dict[str, Any]:
    attrs = one.data.attrs
    return {
        "name": one.name,
        "denoiser": str(attrs["denoiser"]),
        "settings": one.settings,
        "sha256": str(attrs["weights_sha256"]),
        "taps": str(attrs["taps"]),
        "refused": one.refused,
        "blocks": [
            {
                "name": block,
                "start": int(one.channels(block)[0]),
                "channels": len(one.channels(block)),
                "rows": one.sizes[block][0],
                "cols": one.sizes[block][1],
                "shown": list(reduced(one.sizes[block])),
                "sparsity": [None if math.isnan(v) else v for v in one.sparsity.sel(block=block).values.tolist()],
            }
            for block in one.blocks
        ],
    }


def _add_network(
    made: Contents,
    n: int,
    one: Measured,
    images: ImageSet,
    settings: Measuring,
    detailed: Sequence[int],
    limits: tuple[float, float],
) -> None:
    phi = one.data["phi"].values
    rest = one.data["rest"].values
    order = _ranked(phi, made.meta["ranks"])
    largest = np.abs(phi).max(axis=(0, 1))
    scale = np.where(largest > 0, largest / SCALED, 1).astype(np.float32)
    makers = made.makers
    makers[f"scale/{n}"] = lambda: scale
    makers[f"rest/{n}"] = lambda: rest.astype(np.float32)
    makers[f"order/{n}"] = lambda: order
    makers[f"summary/{n}"] = lambda: _summary(one)
    makers[f"correlated/{n}"] = lambda: _correlated(phi)[0]
    makers[f"correlation/{n}"] = lambda: _correlated(phi)[1]
    makers[f"active/{n}"] = lambda: np.packbits(_clear(one.data), axis=-1)
    for s in range(len(settings.sigma)):
        makers[f"phi/{n}/{s}"] = lambda s=s: (phi[:, s] / scale).astype(np.float16)
    for b, block in enumerate(one.blocks):
        here = one.channels(block)
        for s in range(len(settings.sigma)):
            makers[f"near/{n}/{b}/{s}"] = lambda s=s, here=here: _nearest(phi[:, s, here])
        if n == 0:
            for name, make in _effects(one, images, block, order, settings).items():
                makers[f"{name}/{b}"] = make
    _add_maps(made, n, one, images, settings, order, detailed)
    made.of_images[f"denoised/{n}"] = lambda k: _bytes(denoised(one, images, [k], settings)[0][0], limits)
    if n == 0:
        made.of_images["noise"] = lambda k: _noise(denoised(one, images, [k], settings)[1][0])
    for kind in [f"denoised/{n}", *(["noise"] if n == 0 else [])]:
        for k in detailed:
            makers[f"{kind}/{k}"] = partial(made.of_images[kind], k)


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """The same, made when it is first asked for and kept."""
    kept: list[Any] = []

    def made() -> Any:
        if not kept:
            kept.append(make())
        return kept[0]

    return made


def _ranked(phi: np.ndarray, ranks: dict[str, int]) -> np.ndarray:
    """Positions (rank, sigma, channel) of the images shown of a channel: strongest first, ties by position."""
    order = np.argsort(-phi, axis=0, kind="stable")
    count, half = len(phi), (len(phi) - ranks["middle"]) // 2
    weakest = range(count - ranks["weakest"], count)
    return order[[*range(ranks["strongest"]), *range(half, half + ranks["middle"]), *weakest]].astype(np.uint32)


def _summary(one: Measured) -> np.ndarray:
    """What is said of each channel at each noise level, (SUMMARY, sigma, channel); NaN where it is not known."""
    phi, rest = one.data["phi"].values.astype(np.float64), one.data["rest"].values
    unknown = np.full(rest.shape, np.nan)
    low, high = np.quantile(phi, [0.1, 0.9], axis=0)
    if one.types is None:
        with np.errstate(all="ignore"):
            told = [unknown, _kurtosis(phi), unknown, unknown, unknown]
    else:
        names = {kind: k for k, kind in enumerate(KINDS)}
        kinds = np.vectorize(names.__getitem__, otypes=[float])(strings_of(one.types["type"]))
        told = [
            one.types["activity_fraction"].values,
            one.types["kurtosis"].values,
            one.types["lifetime_sparseness"].values,
            kinds,
            one.types["confidence"].values,
        ]
    return np.stack([phi.mean(axis=0), low, high, phi.mean(axis=0) - rest, *told]).astype(np.float32)


def strings_of(names: xr.DataArray) -> np.ndarray:
    """Names of an array of any dims, as str objects."""
    return strings(names.values.ravel()).reshape(names.shape)


def _kurtosis(phi: np.ndarray) -> np.ndarray:
    if len(phi) <= 3:
        return np.full(phi.shape[1:], np.nan)
    varies = phi.std(axis=0) > 1e-7 * np.abs(phi).max(axis=0)
    return np.where(varies, kurtosis(phi, axis=0, bias=False), np.nan)


def _correlated(phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each channel those that its φ is most correlated with over images (rank, sigma, channel), and how much.

    Where a channel does not vary, or there are too few channels, the correlation is NaN.
    """
    count = min(CORRELATED, phi.shape[2])
    found = np.zeros((count, *phi.shape[1:]), np.uint32)
    much = np.full((count, *phi.shape[1:]), np.nan, np.float32)
    for s in range(phi.shape[1]):
        centred = phi[:, s].astype(np.float64)
        centred -= centred.mean(axis=0)
        norm = np.sqrt((centred**2).sum(axis=0))
        varies = norm > 1e-6 * np.abs(phi[:, s]).max(axis=0, initial=0) * math.sqrt(len(phi))
        unit = np.where(varies, centred / np.where(varies, norm, 1), 0)
        correlation = unit.T @ unit
        correlation[:, ~varies] = -2
        np.fill_diagonal(correlation, -2)
        order = np.argsort(-correlation, axis=1, kind="stable")[:, :count]
        found[:, s] = order.T
        values = np.take_along_axis(correlation, order, axis=1).T
        much[:, s] = np.where((values < -1.5) | ~varies, np.nan, values)
    return found, much


def _clear(data: xr.Dataset) -> np.ndarray:
    """Where an image's φ is clear of rest, above it, (sigma, image, channel); with one draw nowhere."""
    rest, error = data["rest"].values, data["phi_se"].values ** 2 + data["rest_se"].values ** 2
    with np.errstate(invalid="ignore"):
        return np.moveaxis(data["phi"].values - rest > CLEAR * np.sqrt(error), 1, 0)


def _nearest(vectors: np.ndarray) -> np.ndarray:
    """The images nearest to each by Euclidean distance, (image, rank), itself left out; ties by position."""
    vectors = vectors.reshape(len(vectors), -1).astype(np.float64)
    count = min(NEAREST, len(vectors) - 1)
    found = np.empty((len(vectors), count), np.uint32)
    for start in range(0, len(vectors), 512):
        rows = np.arange(start, min(start + 512, len(vectors)))
        distances = cdist(vectors[rows], vectors)
        distances[np.arange(len(rows)), rows] = np.inf
        found[rows] = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return found


def _pixels(images: ImageSet) -> np.ndarray:
    """Pixels of all images, of large ones those of the picture that is shown."""
    parts = (images.read(range(k, min(k + 64, len(images)))).numpy() for k in range(0, len(images), 64))
    return np.concatenate([_smaller(part) for part in parts])


def _limits(images: ImageSet) -> tuple[float, float]:
    """Intensities shown black and white: those of some hundred images, spread evenly."""
    some = np.unique(np.linspace(0, len(images) - 1, min(len(images), 128)).round().astype(int))
    return shown_range(images.read(some.tolist()).numpy())


def _bytes(pictures: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Pictures (…, band, row, col) as bytes (…, row, col, 3), clipped, and made smaller where they are large."""
    low, high = limits
    pictures = pictures[..., :3, :, :] if pictures.shape[-3] >= 3 else pictures[..., :1, :, :]
    pictures = _smaller(np.clip((pictures - low) / (high - low), 0, 1))
    colours = np.moveaxis((255 * pictures).round().astype(np.uint8), -3, -1)
    return colours if colours.shape[-1] == 3 else np.repeat(colours, 3, axis=-1)


def _smaller(pictures: np.ndarray) -> np.ndarray:
    """Means over squares of pixels, so that neither side is longer than PICTURE."""
    rows, cols = pictures.shape[-2:]
    down, across = _steps_of(rows, cols)
    # What is left over at the end of a row is no whole square.
    cut = pictures[..., : rows // down * down, : cols // across * across]
    return cut.reshape(*cut.shape[:-2], rows // down, down, cols // across, across).mean(axis=(-3, -1))


def _steps_of(rows: int, cols: int) -> tuple[int, int]:
    """How many rows and columns become one."""
    step = -(-max(rows, cols) // PICTURE)
    return min(step, rows), min(step, cols)


def _pictures(images: ImageSet, positions: Sequence[int], limits: tuple[float, float]) -> np.ndarray:
    parts = [list(positions)[k : k + 256] for k in range(0, len(positions), 256)]
    return np.concatenate([_bytes(images.read(part).numpy(), limits) for part in parts])


def _noise(noise: np.ndarray) -> np.ndarray:
    """Standard normal noise in steps of 4/127 (row, col, 3), cut off at 4 either way; each pixel's own is kept."""
    noise = noise[:3] if len(noise) >= 3 else noise[:1]
    rows, cols = noise.shape[1:]
    down, across = _steps_of(rows, cols)
    # Of a picture made smaller one pixel's noise stands for the square: a mean would be quieter.
    noise = noise[:, : rows // down * down : down, : cols // across * across : across]
    values = np.moveaxis(np.clip(noise * 127 / 4, -127, 127).round().astype(np.int8), 0, -1)
    return values if values.shape[-1] == 3 else np.repeat(values, 3, axis=-1)


def _spread(images: ImageSet, count: int) -> list[int]:
    """Positions of so many images: evenly over the set, the classes taking turns."""
    if not count:
        return []
    if images.labels is None:
        return np.unique(np.linspace(0, len(images) - 1, count).round().astype(int)).tolist()
    turns: dict[str, int] = {}
    order = []
    for k, label in enumerate(images.labels):
        turns[label] = turns.get(label, -1) + 1
        order.append((turns[label], k))
    return sorted(k for _, k in sorted(order)[:count])


def _effects(
    one: Measured, images: ImageSet, block: str, order: np.ndarray, settings: Measuring
) -> dict[str, Callable[[], np.ndarray]]:
    """Arrays of what silencing each channel of a tap does, by name."""
    level = settings.shown[len(settings.shown) // 2]
    ranks = [*range(min(TRIED, len(order))), *range(max(len(order) - TRIED, 0), len(order))]
    tried = order[ranks][:, level][:, one.channels(block)].T

    def measured() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        change, psnr = without_channel(one, images, block, tried, settings)
        change = _smaller(change).mean(axis=2)
        largest = np.abs(change).max(axis=(1, 2, 3))
        steps = 127 * change / np.where(largest > 0, largest, 1)[:, None, None, None]
        return steps.round().astype(np.int8), largest.astype(np.float32), psnr.astype(np.float32)

    once = _once(measured)
    return {
        "tried": lambda: tried.astype(np.uint32),
        "change": lambda: once()[0],
        "change-largest": lambda: once()[1],
        "psnr": lambda: once()[2],
    }


def _add_maps(
    made: Contents,
    n: int,
    one: Measured,
    images: ImageSet,
    settings: Measuring,
    order: np.ndarray,
    detailed: Sequence[int],
) -> None:
    once = _once(lambda: _maps(one, images, settings, order, detailed))

    def maker(name: str) -> Callable[[], np.ndarray]:
        return lambda: once()[name]

    def of_image(kind: str, b: int) -> Callable[[int], np.ndarray]:
        return lambda k: _own_maps(one, images, settings, k)[f"{kind}/{b}"]

    for b, _ in enumerate(one.blocks):
        for s in range(len(settings.shown)):
            for kind in ("maps", "maps-largest"):
                made.makers[f"{kind}/{n}/{b}/{s}"] = maker(f"{kind}/{b}/{s}")
        for kind in ("own-maps", "own-channels", "own-largest"):
            made.of_images[f"{kind}/{n}/{b}"] = of_image(kind, b)
            for k in detailed:
                made.makers[f"{kind}/{n}/{b}/{k}"] = maker(f"{kind}/{b}/{k}")


def _maps(
    one: Measured, images: ImageSet, settings: Measuring, order: np.ndarray, detailed: Sequence[int]
) -> dict[str, np.ndarray]:
    """Maps of the images shown of every channel, and of detailed images those of their most active channels.

    In steps of 1/127 of the largest of their channel.
    """
    levels, chosen = settings.shown, set(detailed)
    tiles = {
        b: np.zeros((len(levels), len(one.channels(block)), len(order), *reduced(one.sizes[block])), np.float32)
        for b, block in enumerate(one.blocks)
    }
    found: dict[str, np.ndarray] = {}
    for where, maps in maps_of(one, images, settings):
        for b, block in enumerate(one.blocks):
            here = one.channels(block)
            for s, level in enumerate(levels):
                # (channel, rank)
                positions = order[:, level][:, here].T.astype(np.int64)
                channel, rank = np.nonzero((positions >= where[0]) & (positions <= where[-1]))
                tiles[b][s, channel, rank] = maps[block][positions[channel, rank] - where[0], s, channel]
        for k in chosen & set(where):
            own = {block: maps[block][k - where[0]] for block in one.blocks}
            found |= {f"{name}/{k}": array for name, array in _most_active(one, own, settings, k).items()}
    for b, tile in tiles.items():
        for s, at in enumerate(tile):
            largest = np.abs(at).max(axis=(1, 2, 3))
            scaled = 127 * at / np.where(largest > 0, largest, 1)[:, None, None, None]
            found[f"maps/{b}/{s}"] = scaled.round().astype(np.int8)
            found[f"maps-largest/{b}/{s}"] = largest.astype(np.float32)
    return found


def _own_maps(one: Measured, images: ImageSet, settings: Measuring, k: int) -> dict[str, np.ndarray]:
    """Maps of one image, made when they are asked for."""
    ((_, maps),) = maps_of(one, images, settings, [k])
    return _most_active(one, {block: found[0] for block, found in maps.items()}, settings, k)


def _most_active(one: Measured, maps: dict[str, np.ndarray], settings: Measuring, k: int) -> dict[str, np.ndarray]:
    """Of an image's maps (shown level, channel, row, col) those of the channels furthest above rest."""
    found = {}
    above = (one.data["phi"].values[k] - one.data["rest"].values)[settings.shown]
    for b, block in enumerate(one.blocks):
        active = np.argsort(-above[:, one.channels(block)], axis=1, kind="stable")[:, :MAPS_OF_IMAGE]
        own = np.take_along_axis(maps[block], active[:, :, None, None], axis=1)
        found[f"own-maps/{b}"], found[f"own-largest/{b}"] = _steps(own)
        found[f"own-channels/{b}"] = active.astype(np.uint32)
    return found


def _steps(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps (…, row, col) in steps of 1/127 of the largest of each, and that."""
    largest = np.abs(maps).max(axis=(-2, -1))
    scaled = 127 * maps / np.where(largest > 0, largest, 1)[..., None, None]
    return scaled.round().astype(np.int8), largest.astype(np.float32)


def _add_samples(made: Contents, samples: xr.Dataset, images: ImageSet, limits: tuple[float, float]) -> None:
    place = {name: k for k, name in enumerate(images.ids)}
    ids = strings(samples["image"].values).tolist()
    made.meta["samples"] = [
        {"id": name, "image": place.get(name, -1), "match": samples["match"].values[k].astype(float).tolist()}
        for k, name in enumerate(ids)
    ]
    made.meta["sampled"] = str(samples.attrs.get("tap", samples.attrs.get("taps", "")))
    made.makers["samples"] = lambda: _bytes(samples["samples"].values, limits)
