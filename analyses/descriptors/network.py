"""Descriptors of images as networks, so that a tap reads them as it reads a denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from analyses.descriptors.kernels import (
    colour_moments,
    colour_statistics,
    energies,
    frequencies,
    gabor_energies,
    gabor_frequencies,
)
from analyses.descriptors.kinds import EVERY_KIND
from analyses.ground import Kept, folder_of
from probekit import checks
from probekit import images as image_sources
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models.made import remember

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BATCH", "COMPONENTS", "Descriptor", "descriptor"]

BATCH, COMPONENTS = 256, 128
# Beyond so many numbers (400 MB), components are found batch by batch.
WHOLE = 100_000_000
MAX_FEATURES = 100_000
# A filter's centre falls by 1.85 from each to the next: that of the last is a cycle in 600 million pixels.
MOST_SCALES = 32
# A share of the variance that single precision may leave of none, the rounding of the mean included.
ROUNDING = 1e-7
DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "pixels": {},
    "pca": {"n_components": COMPONENTS},
    "colour": {"bins": 4},
    "gist": {"scales": 4, "orientations": 8, "grid": 4},
    "colour_moments": {},
    "gabor": {"scales": 3, "orientations": 6},
}


class Descriptor(nn.Module):
    """A descriptor of images in the place of a denoiser, so that ``probekit.tap(it, kind)`` reads it.

    So read, a descriptor of noisy images has the noise, averages over draws, labels, stores and provenance of φ. Made
    by `descriptor`; its forward pass gives back the images.

    Attributes
    ----------
    tap_aliases : dict[str, str]
        The kind, as a name for the tap, to the module below.
    features : nn.Module
        From images (N, C, H, W) to features (N, F, 1, 1).
    kind : str
        One of `KINDS` or `OF_TEXTURE`.
    coords : dict
        Coordinates along the features.

    Examples
    --------
    >>> from probekit import tap
    >>> images = np.random.default_rng(0).random((2, 3, 8, 8))
    >>> data = tap(descriptor("colour", images), "colour")(images, sigma=[0.1, 0.3], draws=2)
    >>> dict(data.phi.sizes)
    {'image': 2, 'sigma': 2, 'channel': 70}
    """

    takes_any_sigma: ClassVar[bool] = True

    def __init__(
        self,
        kind: str,
        function: Callable[..., Tensor],
        *,
        coords: Mapping[str, np.ndarray],
        units: str,
        settings: Mapping[str, int],
        arrays: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        self.kind, self.name = kind, kind
        self.tap_aliases = {kind: "features"}
        self.coords, self.units, self.settings = dict(coords), units, dict(settings)
        self.features = _Features(function, self.settings, arrays or {})

    def forward(self, y: Tensor, sigma: Any = None) -> Tensor:
        """Describe images (N, C, H, W), whatever their noise level, and give them back."""
        del sigma
        self.features(y)
        return y


class _Features(nn.Module):
    def __init__(
        self, function: Callable[..., Tensor], settings: Mapping[str, int], arrays: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__()
        self.function, self.settings = function, dict(settings)
        self.names = tuple(arrays)
        for name, values in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values, np.float32)))
        # Settings are part of what a store is known by, as weights are.
        self.register_buffer("settings_used", torch.tensor([*map(float, settings.values()), 0.0]))

    def forward(self, y: Tensor) -> Tensor:
        given = {name: self.get_buffer(name) for name in self.names}
        return self.function(y, **self.settings, **given).reshape(len(y), -1, 1, 1)


def descriptor(
    kind: str,
    images: Any,
    *,
    train: Any = None,
    seed: int = 0,
    store: str | PathLike[str] | None = None,
    **settings: int,
) -> Descriptor:
    """A descriptor of images of this shape, fitted if it needs to be, that a tap can read.

    Parameters
    ----------
    kind
        One of "pixels", "pca", "colour", "gist", "colour_moments", "gabor".
    images
        What it is for: anything that `probekit.images.load` takes; only the shape is used, and for "pca" without
        `train` the images.
    train, seed
        As in `pca`.
    store
        Folder in which what is fitted is kept, and taken up where it was fitted on the same: another machine, or
        another number of threads, rounds a fit otherwise, and would make another descriptor of it. None for no folder.
    settings
        Options of the function of that name.

    Returns
    -------
    Descriptor
        To be read by ``probekit.tap(it, kind)``.

    Raises
    ------
    InputError
        If the kind or an option is unknown or out of range, or the images cannot be used.
    CapacityError
        If the folder cannot be written to.

    Examples
    --------
    >>> descriptor("gist", np.zeros((1, 3, 8, 8)), grid=2).settings
    {'scales': 4, 'orientations': 8, 'grid': 2}
    """
    checks.choice("kind", kind, EVERY_KIND)
    unknown = sorted(set(settings) - set(DEFAULTS[kind]))
    if unknown:
        raise InputError(f"{kind} takes no {', '.join(unknown)}, only {', '.join(DEFAULTS[kind]) or 'images'}")
    seed, folder = checks.seeded(seed), folder_of(store)
    source = image_sources.load(images)
    settings = {name: checks.whole(name, value, least=1) for name, value in {**DEFAULTS[kind], **settings}.items()}
    if kind == "pca":
        fitted_on = source if train is None else image_sources.load(train)
        make = partial(_pca, _components(fitted_on, source.shape, settings["n_components"], seed, folder))
        return _known(make)
    made = {
        "pixels": _pixels,
        "colour": _colour,
        "gist": _gist,
        "colour_moments": _colour_moments,
        "gabor": _gabor,
    }
    return _known(partial(made[kind], source.shape, **settings))


def _known(make: Callable[[], Descriptor]) -> Descriptor:
    """A descriptor that workers of a cluster can make too."""
    found = make()
    remember(found, make)
    return found


def _places(shape: tuple[int, ...], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Coordinates along a flattened array."""
    return {name: index.ravel() for name, index in zip(names, np.indices(shape), strict=True)}


def _pixels(shape: tuple[int, int, int]) -> Descriptor:
    coords = _places(shape, ("band", "row", "col"))
    return Descriptor("pixels", lambda y: y.flatten(1), coords=coords, units="intensity", settings={})


def _components(
    train: ImageSet, shape: tuple[int, int, int], n_components: int, seed: int, folder: Path | None
) -> xr.Dataset:
    """What `_fitted` gives, kept in the folder."""
    if train.shape != shape:
        raise InputError(f"training images have shape {train.shape}, images {shape}: bring both to one size")
    n, size = len(train), math.prod(shape)
    if n_components > min(n, size):
        raise InputError(
            f"n_components={n_components} of {n} training images of {size} pixels: give at most {min(n, size)}"
        )
    fit = partial(_fitted, train, n_components, seed)
    return fit() if folder is None else Kept(folder).made("fitted", fit, train, n_components, seed)


def _pca(fitted: xr.Dataset) -> Descriptor:
    return Descriptor(
        "pca",
        lambda y, mean, components: (y.flatten(1) - mean) @ components.T,
        coords={"explained": fitted["explained"].values},
        units="intensity",
        settings={},
        arrays={name: fitted[name].values for name in ("mean", "components")},
    )


def _fitted(train: ImageSet, n_components: int, seed: int) -> xr.Dataset:
    """mean (pixel), components (component, pixel) and explained (component), the share of the variance of each."""
    from sklearn.decomposition import PCA, IncrementalPCA

    _check_different(train)
    n, size = len(train), math.prod(train.shape)
    if n * size <= WHOLE:
        flat = np.concatenate([_flat(train, start) for start in range(0, n, BATCH)])
        fitted = PCA(n_components, svd_solver="randomized", random_state=seed).fit(flat)
    else:
        fitted = IncrementalPCA(n_components)
        step = max(BATCH, 4 * n_components)
        # The last batch takes what is left over: each must hold as many images as there are components.
        edges = [*range(0, max(n - step, 0) + 1, step), n]
        for start, end in pairwise(edges):
            fitted.partial_fit(train.read(range(start, end)).flatten(1).numpy())
    explained = np.asarray(fitted.explained_variance_ratio_)
    components = np.where(explained[:, None] > ROUNDING, np.asarray(fitted.components_), 0.0)
    return xr.Dataset(
        {
            "mean": ("pixel", np.asarray(fitted.mean_)),
            "components": (("component", "pixel"), components),
            "explained": ("component", explained),
        }
    )


def _check_different(train: ImageSet) -> None:
    """Refuse training images that are all the same; those of the first batch are, as a rule, not."""
    first = _flat(train, 0)[:1]
    for start in range(0, len(train), BATCH):
        if np.abs(_flat(train, start) - first).max() > 1e-6 * max(float(np.abs(first).max()), 1e-6):
            return
    raise InputError(
        f"the {len(train)} training images are all the same: give different ones, which principal components tell apart"
    )


def _flat(source: ImageSet, start: int) -> np.ndarray:
    return source.read(range(start, min(start + BATCH, len(source)))).flatten(1).numpy()


def _colour(shape: tuple[int, int, int], *, bins: int) -> Descriptor:
    bands = shape[0]
    if not (2 <= bins <= MAX_FEATURES and bins**bands <= MAX_FEATURES):
        raise InputError(f"bins={bins} for {bands} bands: give at least 2, and {MAX_FEATURES} in all at most")
    boxes = [f"histogram {' '.join(map(str, box))}" for box in np.ndindex(*[bins] * bands)]
    names = _moments(bands) + boxes
    coords = {"statistic": np.array(names, dtype=object)}
    return Descriptor(
        "colour", colour_statistics, coords=coords, units="intensity, √frequency", settings={"bins": bins}
    )


def _moments(bands: int) -> list[str]:
    return [f"{what} of band {b}" for what in ("mean", "sd") for b in range(bands)]


def _colour_moments(shape: tuple[int, int, int]) -> Descriptor:
    coords = {"statistic": np.array(_moments(shape[0]), dtype=object)}
    return Descriptor("colour_moments", colour_moments, coords=coords, units="intensity", settings={})


def _gabor(shape: tuple[int, int, int], *, scales: int, orientations: int) -> Descriptor:
    del shape
    _check_bank(scales, orientations)
    places = _places((scales, orientations), ("scale", "turn"))
    coords = {
        "frequency": np.array(gabor_frequencies(scales))[places["scale"]],
        "orientation": 180 * places["turn"] / orientations,
    }
    settings = {"scales": scales, "orientations": orientations}
    return Descriptor("gabor", gabor_energies, coords=coords, units="intensity", settings=settings)


def _check_bank(scales: int, orientations: int, grid: int = 1) -> None:
    """Refuse more filters, or cells of them, than there can be."""
    if scales > MOST_SCALES:
        raise InputError(f"scales={checks.shown(scales)}: give {MOST_SCALES} at most")
    if (count := scales * orientations * grid**2) > MAX_FEATURES:
        cells = f" and grid={grid}" if grid > 1 else ""
        joined = ", " if cells else " and "
        raise InputError(
            f"scales={scales}{joined}orientations={orientations}{cells} make {checks.shown(count)} features: give "
            f"fewer, {MAX_FEATURES} in all at most"
        )


def _gist(shape: tuple[int, int, int], *, scales: int, orientations: int, grid: int) -> Descriptor:
    if grid > min(shape[1:]):
        raise InputError(f"grid={grid} on images of {shape[1]}×{shape[2]} pixels: give {min(shape[1:])} at most")
    _check_bank(scales, orientations, grid)
    places = _places((scales, orientations, grid, grid), ("scale", "turn", "grid_row", "grid_col"))
    coords = {
        "frequency": np.array(frequencies(scales))[places["scale"]],
        "orientation": 180 * places["turn"] / orientations,
        "grid_row": places["grid_row"],
        "grid_col": places["grid_col"],
    }
    settings = {"scales": scales, "orientations": orientations, "grid": grid}
    return Descriptor("gist", energies, coords=coords, units="contrast", settings=settings)
