"""What φ is compared with: pixels, their principal components, statistics of colour, gist and Gabor energies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from analyses.descriptors.kinds import EVERY_KIND, KINDS
from analyses.descriptors.network import BATCH, COMPONENTS, DEFAULTS, Descriptor, descriptor
from analyses.ground import Findings, Variable, noise_level
from probekit import __version__, checks, labels
from probekit import images as image_sources
from probekit.errors import InputError
from probekit.machine.memory import refuse_if_too_large

__all__ = [
    "FINDINGS",
    "analyse",
    "as_representation",
    "colour",
    "colour_moments",
    "gabor",
    "gist",
    "pca",
    "pixels",
]

FINDINGS = Findings(
    "descriptors",
    {
        "pixels": Variable(("image", "pixels_feature"), "the image's intensities", "intensity", optional=True),
        "pca": Variable(("image", "pca_feature"), "principal components of the pixels", "intensity", optional=True),
        "colour": Variable(
            ("image", "colour_feature"),
            "means, deviations and root of the histogram of colours",
            "intensity, √frequency",
            optional=True,
        ),
        "gist": Variable(("image", "gist_feature"), "oriented energies on a coarse grid", "contrast", optional=True),
        "colour_moments": Variable(
            ("image", "colour_moments_feature"), "mean and deviation of each band", "intensity", optional=True
        ),
        "gabor": Variable(("image", "gabor_feature"), "root mean energies of a Gabor bank", "intensity", optional=True),
    },
)


@FINDINGS.described
def analyse(
    images: Any, *, kinds: Sequence[str] = KINDS, train: Any = None, n_components: int | None = None, seed: int = 0
) -> xr.Dataset:
    """Several descriptors of images beside one another, as `analyses.semantics` compares φ with them.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes.
    kinds
        Some of "pixels", "pca", "colour", "gist", "colour_moments", "gabor"; by default the first four.
    train, seed
        As in `pca`.
    n_components
        As in `pca`; by default 128, or as many as there are training images or pixels.

    Returns
    -------
    Dataset
        {findings}

        Coordinates along the features are those of the functions of these names.

    Raises
    ------
    InputError
        If there is no kind, or an unknown one; as for the functions of these names.

    Examples
    --------
    >>> found = analyse(np.random.default_rng(0).random((4, 3, 8, 8)), kinds=["colour", "gist"])
    >>> {name: descriptor.shape for name, descriptor in found.items()}
    {'colour': (4, 70), 'gist': (4, 512)}
    """
    wanted = f"some of {', '.join(EVERY_KIND)}"
    kinds = [checks.choice("kinds", kind, EVERY_KIND) for kind in checks.names("kinds", kinds, wanted)]
    if not kinds:
        raise InputError(f"kinds is empty: give {wanted}")
    seed = checks.seeded(seed)
    source = image_sources.load(images)
    fitted_on = source if train is None else image_sources.load(train)
    if n_components is None:
        n_components = min(COMPONENTS, len(fitted_on), math.prod(source.shape))
    settings = {"pca": {"train": train, "n_components": n_components, "seed": seed}}
    found = {
        kind: _described(descriptor(kind, source, **settings.get(kind, {})), source).rename(feature=f"{kind}_feature")
        for kind in kinds
    }
    first = next(iter(found.values()))
    images_alone = xr.Dataset(
        coords={name: c for name, c in first.coords.items() if c.dims == ("image",)},
        attrs={"probekit_version": __version__, "image_source": source.name},
    )
    coords = {str(n): c.variable for each in found.values() for n, c in each.coords.items() if c.dims != ("image",)}
    return FINDINGS.label(
        {kind: each.values for kind, each in found.items()},
        images_alone,
        coords=coords,
        attrs={kind: {n: v for n, v in each.attrs.items() if n in DEFAULTS[kind]} for kind, each in found.items()},
        n_components=n_components if "pca" in kinds else None,
        analysis_seed=seed,
    )


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


def colour_moments(images: Any) -> xr.DataArray:
    """Mean and standard deviation of each band: what of an image's colours two numbers a band say.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes.

    Returns
    -------
    DataArray
        float32 (image, feature), in the images' units: C means, C standard deviations; coordinate `statistic` names
        them.

    Raises
    ------
    InputError
        If the images cannot be used.

    Examples
    --------
    >>> colour_moments(np.array([[[[0.0, 1.0]]]])).values
    array([[0.5, 0.5]], dtype=float32)
    """
    return _described(descriptor("colour_moments", images), images)


def gabor(images: Any, *, scales: int = 3, orientations: int = 6) -> xr.DataArray:
    """Square root of the mean energy, over the whole image, of the response of each filter of a Gabor bank.

    Complex filters of Manjunath & Ma (IEEE PAMI 18, 837, 1996) with centres f_s = 1/4, 1/8, 1/16, … cycles per pixel,
    an octave wide at half height, and n orientations πo/n that touch there, on luminance that is extended by
    reflection. A grating A cos(2πf_s x) at a filter's centre gives A/2.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes; RGB gives luminance by the weights of ITU-R 601, other numbers of
        bands by their mean.
    scales, orientations
        Numbers of filters, ≥ 1.

    Returns
    -------
    DataArray
        float32 (image, feature), ≥ 0, in the images' units; coordinates frequency (cycles per pixel) and orientation
        (of the direction in which luminance varies, degrees in [0, 180) anticlockwise from the horizontal).

    Raises
    ------
    InputError
        If the images cannot be used or a number is out of its range.

    Examples
    --------
    >>> grating = 0.2 * np.cos(2 * np.pi * (np.arange(32) + 0.5) / 8)
    >>> found = gabor(np.broadcast_to(grating, (1, 1, 32, 32)))
    >>> found.isel(feature=found.argmax("feature").item()).item().__round__(3), found.frequency.values[6].item()
    (0.1, 0.125)
    """
    return _described(descriptor("gabor", images, scales=scales, orientations=orientations), images)


def as_representation(features: xr.DataArray, *, sigma: float = 0.0) -> xr.Dataset:
    """Label a descriptor as a representation, so that every analysis takes it.

    A descriptor is of clean images: its noise level is 0 unless `sigma` says another, its standard error 0, and it
    has no response to mid-grey. For descriptors of noisy images, read a `Descriptor` by a tap.

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
    sigma = noise_level(sigma)
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
        ids=labels.strings(features["image"].values).tolist(),
        labels=labels.classes(features, "label", of="the features", least=1).tolist() if known else None,
        sigma=[sigma],
        channels={name: values.shape[1]},
        attrs={"probekit_version": __version__, "denoiser": name, **features.attrs},
    )


def _described(made: Descriptor, images: Any) -> xr.DataArray:
    source = image_sources.load(images)
    count = len(next(iter(made.coords.values())))
    values = np.empty((len(source), count), np.float32)
    refuse_if_too_large(values.nbytes, 0, device=torch.device("cpu"), hint="give fewer images at a time")
    with torch.no_grad():
        for start in range(0, len(source), BATCH):
            batch = range(start, min(start + BATCH, len(source)))
            values[batch] = made.features(source.read(batch)).flatten(1).numpy()
    coords: dict[str, Any] = {"image": np.array(source.ids, dtype=object)}
    if source.labels is not None:
        coords["label"] = ("image", np.array(source.labels, dtype=object))
    coords |= {name: ("feature", values) for name, values in made.coords.items()}
    attrs: dict[str, Any] = {"long_name": f"{made.kind} of the image", "units": made.units, "image_source": source.name}
    return xr.DataArray(values, coords, ("image", "feature"), made.kind, attrs | made.settings)
