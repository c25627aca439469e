"""What φ is compared with: pixels, their principal components, colour statistics and gist of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from analyses.descriptors import kernels_gist
from probekit import checks, labels
from probekit import images as image_sources
from probekit.checks import seeded
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.machine.memory import refuse_if_too_large

__all__ = ["KINDS", "Descriptor", "as_representation", "colour", "descriptor", "gist", "pca", "pixels"]

KINDS = ("pixels", "pca", "colour", "gist")
BATCH = 256
# Beyond so many numbers (400 MB), components are found batch by batch.
WHOLE = 100_000_000
MAX_FEATURES = 100_000
# A share of the variance that single precision may leave of none, the rounding of the mean included.
ROUNDING = 1e-7


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
        One of `KINDS`.
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


def pixels(images: Any) -> xr.DataArray:
    """The images' intensities themselves.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes: N images (C, H, W).

    Returns
    -------
    DataArray
        float32 (image, feature), in the images' units, C·H·W features with coordinates band, row and col.

    Raises
    ------
    InputError
        If the images cannot be used.

    Examples
    --------
    >>> dict(pixels(np.zeros((2, 3, 4, 5))).sizes)
    {'image': 2, 'feature': 60}
    """
    return _described(descriptor("pixels", images), images)


def pca(images: Any, *, train: Any = None, n_components: int = 128, seed: int = 0) -> xr.DataArray:
    """Principal components of the pixels, those of training images.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes.
    train
        Images that the mean and the components are fitted on; by default `images`.
    n_components
        Number of components, at most the number of training images and of pixels.
    seed
        Of the randomised decomposition. Where the training pixels would take more than 400 MB, sklearn's
        IncrementalPCA reads them in batches instead.

    Returns
    -------
    DataArray
        float32 (image, feature): coordinates of x − mean along the components, strongest first; coordinate
        `explained`, each one's share of the training variance. Where this is below 1e-7, as beyond the number of
        different training images less one, the direction is rounding's and the coordinate 0.

    Raises
    ------
    InputError
        If the images cannot be used, training images are all the same, or the components are too many.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((6, 1, 4, 4))
    >>> dict(pca(images, n_components=3).sizes)
    {'image': 6, 'feature': 3}
    """
    return _described(descriptor("pca", images, train=train, n_components=n_components, seed=seed), images)


def colour(images: Any, *, bins: int = 4) -> xr.DataArray:
    """Means, standard deviations and the joint histogram of an image's colours, wherever they lie in it.

    The histogram's entries are the square roots of frequencies, so that Euclidean distance between histograms
    is √2 times Hellinger's, in [0, √2]. What is below 0 or above 1 counts in the outermost bins.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes, in [0, 1].
    bins
        Bins per colour plane, ≥ 2; the histogram has ``bins**C`` entries.

    Returns
    -------
    DataArray
        float32 (image, feature): C means, C standard deviations, the histogram; coordinate `statistic` names
        them.

    Raises
    ------
    InputError
        If the images cannot be used or the histogram is larger than 100,000 entries.

    Examples
    --------
    >>> colour(np.zeros((1, 1, 4, 4)), bins=2).values
    array([[0., 0., 1., 0.]], dtype=float32)
    """
    return _described(descriptor("colour", images, bins=bins), images)


def gist(images: Any, *, scales: int = 4, orientations: int = 8, grid: int = 4) -> xr.DataArray:
    """The spatial envelope of images (Oliva & Torralba, IJCV 2001): oriented energies on a coarse grid.

    Luminance, log(1 + 255 L), is whitened (less its local mean, over its local contrast plus 0.2) and extended
    by reflection; filters exp(−3.5 (f/f_s − 1)² − 2π (n/8)² (θ − θ_o)²) with centres f_s = 0.3/1.85ˢ cycles per
    pixel and n orientations θ_o give local amplitudes, which are averaged over the cells of the grid. The whitening's
    cut-off is a third of the coarsest centre, as the authors' is at 256×256.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes, in [0, 1]; RGB gives luminance by the weights of ITU-R 601, other
        numbers of bands by their mean.
    scales, orientations, grid
        Numbers of filters and of cells along a side, ≥ 1; images must have as many pixels along a side as cells.

    Returns
    -------
    DataArray
        float32 (image, feature), ≥ 0; coordinates frequency (cycles per pixel), orientation (of the direction
        in which luminance varies, degrees in [0, 180) anticlockwise from the horizontal), grid_row and
        grid_col.

    Raises
    ------
    InputError
        If the images cannot be used or a number is out of its range.

    Examples
    --------
    >>> stripes = np.broadcast_to(np.arange(32) % 4 < 2, (1, 1, 32, 32)).astype(float)
    >>> found = gist(stripes, orientations=4)
    >>> int(found.orientation[found.argmax("feature").item()])
    0
    """
    return _described(descriptor("gist", images, scales=scales, orientations=orientations, grid=grid), images)


def descriptor(kind: str, images: Any, *, train: Any = None, seed: int = 0, **settings: int) -> Descriptor:
    """A descriptor of images of this shape, fitted if it needs to be, that a tap can read.

    Parameters
    ----------
    kind
        One of "pixels", "pca", "colour", "gist".
    images
        What it is for: anything that `probekit.images.load` takes; only the shape is used, and for "pca" without
        `train` the images.
    train, seed
        As in `pca`.
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

    Examples
    --------
    >>> descriptor("gist", np.zeros((1, 3, 8, 8)), grid=2).settings
    {'scales': 4, 'orientations': 8, 'grid': 2}
    """
    defaults = {"pixels": {}, "pca": {"n_components": 128}, "colour": {"bins": 4}}
    defaults["gist"] = {"scales": 4, "orientations": 8, "grid": 4}
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"{checks.given('kind', kind)}: give one of {', '.join(map(repr, KINDS))}")
    unknown = sorted(set(settings) - set(defaults[kind]))
    if unknown:
        raise InputError(f"{kind} takes no {', '.join(unknown)}, only {', '.join(defaults[kind]) or 'images'}")
    seeded(seed)
    source = image_sources.load(images)
    settings = {**defaults[kind], **settings}
    settings = {name: checks.whole(name, value, least=1) for name, value in settings.items()}
    if kind == "pca":
        return _pca(
            source if train is None else image_sources.load(train), source.shape, settings["n_components"], seed
        )
    return {"pixels": _pixels, "colour": _colour, "gist": _gist_descriptor}[kind](source.shape, **settings)


def as_representation(features: xr.DataArray, *, sigma: float = 0.0) -> xr.Dataset:
    """Label a descriptor as a representation, so that every analysis takes it.

    A descriptor is of clean images: its noise level is 0 unless told, its standard error 0, and it has no
    response to mid-grey. For descriptors of noisy images, read a `Descriptor` by a tap.

    Parameters
    ----------
    features
        (image, feature), what the functions here give or any such array of one's own; its name becomes the tap's.
    sigma
        Noise level of the label, ≥ 0, for comparison with φ at that level.

    Returns
    -------
    Dataset
        phi and phi_se (image, sigma, channel), one noise level, channels being features.

    Raises
    ------
    InputError
        If the array has other dims, no finite values, ids that occur twice, or classes for some images only.

    Examples
    --------
    >>> data = as_representation(pixels(np.zeros((2, 3, 4, 4))))
    >>> dict(data.phi.sizes), str(data.tap.values[0])
    ({'image': 2, 'sigma': 1, 'channel': 48}, 'pixels')
    """
    if not isinstance(features, xr.DataArray) or set(features.dims) != {"image", "feature"}:
        given = features.dims if isinstance(features, xr.DataArray) else type(features).__name__
        raise InputError(f"features are {given}: give a DataArray with dims image and feature")
    if "image" not in features.coords:
        raise InputError("features have no ids: give them a coordinate `image`")
    sigma = checks.number("sigma", sigma, "a noise standard deviation ≥ 0", good=lambda value: value >= 0)
    if features.dtype.kind not in "fiub":
        raise InputError(f"features are of type {features.dtype}: give real numbers, e.g. features.astype(float)")
    values = features.transpose("image", "feature").values.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError("features hold NaN or infinite values: drop those images, e.g. features.dropna('image')")
    labels.check_ids(features)
    known = "label" in features.coords
    name = str(features.name or "features")
    return labels.representation(
        {"phi": values[:, None], "phi_se": np.zeros_like(values[:, None])},
        ids=list(map(str, features["image"].values)),
        labels=labels.classes(features, "label", of="the features", least=1).tolist() if known else None,
        sigma=[sigma],
        channels={name: values.shape[1]},
        attrs={"probekit_version": version("probekit"), "denoiser": name, **features.attrs},
    )


def _described(made: Descriptor, images: Any) -> xr.DataArray:
    source = image_sources.load(images)
    count = len(next(iter(made.coords.values())))
    values = np.empty((len(source), count), np.float32)
    refuse_if_too_large(values.nbytes, 0, device=torch.device("cpu"), hint="give fewer images at a time")
    with torch.no_grad():
        for start in range(0, len(source), BATCH):
            chosen = range(start, min(start + BATCH, len(source)))
            values[chosen] = made.features(source.read(chosen)).flatten(1).numpy()
    coords: dict[str, Any] = {"image": np.array(source.ids, dtype=object)}
    if source.labels is not None:
        coords["label"] = ("image", np.array(source.labels, dtype=object))
    coords |= {name: ("feature", values) for name, values in made.coords.items()}
    attrs: dict[str, Any] = {"long_name": f"{made.kind} of the image", "units": made.units, "image_source": source.name}
    return xr.DataArray(values, coords, ("image", "feature"), made.kind, attrs | made.settings)


def _places(shape: tuple[int, ...], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Coordinates along a flattened array."""
    return {name: index.ravel() for name, index in zip(names, np.indices(shape), strict=True)}


def _pixels(shape: tuple[int, int, int]) -> Descriptor:
    coords = _places(shape, ("band", "row", "col"))
    return Descriptor("pixels", lambda y: y.flatten(1), coords=coords, units="intensity", settings={})


def _pca(train: ImageSet, shape: tuple[int, int, int], n_components: int, seed: int) -> Descriptor:
    from sklearn.decomposition import PCA, IncrementalPCA

    if train.shape != shape:
        raise InputError(f"training images have shape {train.shape}, images {shape}: bring both to one size")
    n, size = len(train), math.prod(shape)
    if n_components > min(n, size):
        raise InputError(
            f"n_components={n_components} of {n} training images of {size} pixels: give at most {min(n, size)}"
        )
    _check_different(train)
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
    return Descriptor(
        "pca",
        lambda y, mean, components: (y.flatten(1) - mean) @ components.T,
        coords={"explained": explained},
        units="intensity",
        settings={},
        arrays={"mean": np.asarray(fitted.mean_), "components": components},
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
    if not (bins >= 2 and bins**bands <= MAX_FEATURES):
        raise InputError(f"bins={bins} for {bands} bands: give at least 2, and {MAX_FEATURES} in all at most")
    boxes = [f"histogram {' '.join(map(str, box))}" for box in np.ndindex(*[bins] * bands)]
    names = [f"{what} of band {b}" for what in ("mean", "sd") for b in range(bands)] + boxes
    coords = {"statistic": np.array(names, dtype=object)}
    return Descriptor(
        "colour", colour_statistics, coords=coords, units="intensity, √frequency", settings={"bins": bins}
    )


def colour_statistics(images: Tensor, *, bins: int) -> Tensor:
    """Means, standard deviations and root of the joint histogram, (N, 2C + bins**C)."""
    flat = images.flatten(2)
    bands = flat.shape[1]
    place = (flat * bins).floor().clamp(0, bins - 1)
    radix = place.new_tensor([float(bins ** (bands - 1 - b)) for b in range(bands)])
    code = torch.einsum("ncp,c->np", place, radix).long()
    counts = flat.new_zeros((len(flat), bins**bands))
    counts.scatter_add_(1, code, torch.ones_like(code, dtype=flat.dtype))
    return torch.cat([flat.mean(2), flat.std(2, correction=0), (counts / flat.shape[2]).sqrt()], dim=1)


def _gist_descriptor(shape: tuple[int, int, int], *, scales: int, orientations: int, grid: int) -> Descriptor:
    if grid > min(shape[1:]):
        raise InputError(f"grid={grid} on images of {shape[1]}×{shape[2]} pixels: give {min(shape[1:])} at most")
    places = _places((scales, orientations, grid, grid), ("scale", "turn", "grid_row", "grid_col"))
    coords = {
        "frequency": np.array(kernels_gist.frequencies(scales))[places["scale"]],
        "orientation": 180 * places["turn"] / orientations,
        "grid_row": places["grid_row"],
        "grid_col": places["grid_col"],
    }
    settings = {"scales": scales, "orientations": orientations, "grid": grid}
    return Descriptor("gist", kernels_gist.energies, coords=coords, units="contrast", settings=settings)
