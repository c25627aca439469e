"""What samples are conditioned on: φ of images at the levels of a schedule, or φ that the caller brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from analyses.ground import check_numbers
from probekit import images as image_sources
from probekit import labels
from probekit.checks import given as shown
from probekit.checks import number
from probekit.errors import InputError

if TYPE_CHECKING:
    from probekit.phi.tap import Tap

__all__ = ["Condition", "centroid", "condition_of", "interpolate", "project", "real_numbers", "weights_of"]

# What two representations must share for one to stand for the other.
SAME = ("weights_sha256", "denoiser_settings", "taps", "reduce")
CLOSE = 1e-9
# What says which channel is which.
CHANNELS = ("tap", "unit")


class Condition(NamedTuple):
    """φ of M images at T levels: phi and spread (image, level, channel), the images' (bands, rows, cols)."""

    ids: list[str]
    labels: list[str] | None
    phi: np.ndarray
    spread: np.ndarray
    taps: np.ndarray
    shape: tuple[int, int, int]
    images: np.ndarray | None
    attrs: dict[str, Any]


def condition_of(
    tap: Tap,
    condition: Any,
    sigmas: Sequence[float],
    *,
    draws: int,
    seed: int,
    ids: Sequence[Any] | None,
    shape: Sequence[int] | None,
    progress: bool | None,
) -> Condition:
    """Targets at all levels: measured once on images, or selected from a Dataset that fits the tap.

    Raises
    ------
    InputError
        If φ is of another denoiser or tap, lacks levels, or comes without the images' shape.
    """
    if isinstance(condition, xr.Dataset):
        if ids is not None:
            raise InputError("ids= are of images, and the condition is φ, which has ids of its own: leave them out")
        return _given(tap, condition, sigmas, shape=shape)
    if isinstance(condition, xr.DataArray) and "channel" in condition.dims:
        raise InputError(
            "the condition is a DataArray of φ: give the Dataset that a tap returns, whose attrs say of what"
        )
    source = image_sources.load(condition, ids=ids)
    if shape is not None and _shape(shape) != source.shape:
        raise InputError(f"shape={shape} and the condition's images are {source.shape}: samples have their shape")
    data = tap(source, sigma=list(sigmas), draws=draws, seed=seed, progress=progress)
    phi, spread = _numbers(data)
    images = source.read(range(len(source))).numpy()
    kept = None if source.labels is None else list(source.labels)
    return Condition(list(source.ids), kept, phi, spread, data["tap"].values, source.shape, images, dict(data.attrs))


def same(data: xr.Dataset, own: xr.Dataset, key: str) -> bool:
    """Whether an attr of φ is the tap's own; the part of one tap of a φ of several names them all under "taps"."""
    if key != "taps":
        return data.attrs.get(key) == own.attrs[key]
    return set(own.attrs[key].split(", ")) <= set(str(data.attrs.get(key, "")).split(", "))


def _given(tap: Tap, data: xr.Dataset, sigmas: Sequence[float], *, shape: Sequence[int] | None) -> Condition:
    check_numbers(data, "phi", "phi_se")
    labels.check(data, "phi")
    if not data.sizes["image"] or not data.sizes["sigma"]:
        raise InputError(
            f"φ of {data.sizes['image']} images at {data.sizes['sigma']} levels: give one at least of each"
        )
    bands, rows, cols = _shape(shape)
    # One look at a blank image tells what this tap of this denoiser calls itself.
    own = tap(np.zeros((1, bands, rows, cols), np.float32), sigma=float(sigmas[0]), draws=1, progress=False)
    differ = [f"{key}: {data.attrs.get(key)!r}, not {own.attrs[key]!r}" for key in SAME if not same(data, own, key)]
    same_channels = all(np.array_equal(labels.strings(data[c].values), labels.strings(own[c].values)) for c in CHANNELS)
    if differ or not same_channels:
        raise InputError(
            f"this φ is of another denoiser or tap ({'; '.join(differ) or 'other channels, or in another order'}): "
            "measure it with this, tap(images, sigma=…); where φ is edited keep its attrs, "
            "xarray.set_options(keep_attrs=True)"
        )
    phi, spread = _numbers(data)
    known = data["sigma"].values.astype(float)
    if len(known) == 1:
        at = [0] * len(sigmas)
    else:
        at = [int(np.abs(known - s).argmin()) for s in sigmas]
        missing = [s for s, i in zip(sigmas, at, strict=True) if abs(known[i] - s) > CLOSE]
        if missing:
            raise InputError(
                f"φ is known at σ = {[round(float(s), 4) for s in known]} and not at {len(missing)} levels of the "
                f"schedule, {missing[0]:.4g} among them: measure it there, tap(images, sigma=sampling.levels(method)), "
                "give sigmas= that it has, or select one level that serves for all"
            )
    names = [str(i) for i in data["image"].values]
    if len(set(names)) < len(names):
        raise InputError("the images of φ have repeated ids, which address the noise: make them unique")
    kept = [str(v) for v in data["label"].values] if "label" in data.coords else None
    return Condition(
        names, kept, phi[:, at], spread[:, at], data["tap"].values, (bands, rows, cols), None, dict(own.attrs)
    )


def _shape(shape: Any) -> tuple[int, int, int]:
    given = [] if shape is None or not np.iterable(shape) else list(shape)
    if len(given) != 3 or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in given):
        raise InputError(
            f"shape={shape!r}: φ does not say how large images are; give shape=(bands, rows, cols) with a φ condition"
        )
    return int(given[0]), int(given[1]), int(given[2])


def _numbers(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """φ, and the standard deviation of one draw of it, as float64; NaN where it is not known."""
    phi = data["phi"].values.astype(np.float64)
    draws = number("the attr draws of φ", data.attrs.get("draws", 1), "the number of draws, ≥ 1", good=lambda n: n >= 1)
    if "phi_se" in data and bool(((data["phi_se"] < 0) | np.isinf(data["phi_se"])).any()):
        raise InputError("phi_se is negative or infinite in places: give standard errors ≥ 0, or drop the variable")
    spread = data["phi_se"].values.astype(np.float64) * draws**0.5 if "phi_se" in data else np.full(phi.shape, np.nan)
    return phi, spread


def weights_of(
    condition: Condition, channels: Sequence[int] | np.ndarray | None, top: int | None, weights: Any
) -> np.ndarray:
    """Weights (image, channel) ≥ 0 of mean 1: all channels, some, the top K of each image's φ, or as given.

    Raises
    ------
    InputError
        If a channel does not exist, or no weight is left.
    """
    images, count = len(condition.phi), condition.phi.shape[2]
    found = np.ones((images, count))
    if channels is not None:
        chosen = np.asarray(channels)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool and chosen.shape == (count,) else chosen
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not ((chosen >= 0) & (chosen < count)).all():
            raise InputError(f"channels={channels!r}: give channel numbers 0…{count - 1}, or a mask of {count}")
        found *= np.isin(np.arange(count), chosen)
    if top is not None:
        if isinstance(top, bool) or not isinstance(top, int | np.integer) or not 1 <= top <= count:
            raise InputError(f"top={top!r}: give how many of the {count} channels of largest φ to match")
        order = np.argsort(-condition.phi.mean(axis=1), axis=1, kind="stable")
        mask = np.zeros_like(found)
        np.put_along_axis(mask, order[:, :top], 1.0, axis=1)
        found *= mask
    if weights is not None:
        given = real_numbers("weights", weights)
        if given.shape != (count,) or not (np.isfinite(given) & (given >= 0)).all():
            raise InputError(f"weights has shape {given.shape}: give {count} finite numbers ≥ 0, one per channel")
        found *= given
    total = found.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        raise InputError("no channel is left to be matched: channels, top and weights exclude them all")
    return found * count / total


def centroid(data: xr.Dataset, *, name: str = "centroid") -> xr.Dataset:
    """Average φ over images, as one condition: what these have in common.

    Parameters
    ----------
    data
        What a tap returns.
    name
        Id of the result, which addresses its noise.

    Returns
    -------
    Dataset
        phi and, where known, phi_se (image, sigma, channel) of one image; the attrs of `data`. phi_se stays the mean
        over images of the standard errors: it sets the scale on which features are compared.

    Raises
    ------
    InputError
        If `data` is not what a tap returns, or is of no image.

    Examples
    --------
    >>> import probekit
    >>> tap = probekit.tap(probekit.load("photo32"), "mid")
    >>> data = tap(np.zeros((2, 3, 32, 32), np.float32), sigma=0.1, draws=2)
    >>> centroid(data).phi.sizes["image"]
    1
    """
    labels.check(data, "phi")
    if not data.sizes["image"]:
        raise InputError("φ of no image has no average: give one image at least")
    kept = [v for v in ("phi", "phi_se") if v in data]
    mean = data[kept].mean("image", keep_attrs=True).expand_dims(image=np.array([name], dtype=object))
    return mean.transpose("image", "sigma", "channel")


def interpolate(first: xr.Dataset, second: xr.Dataset, shares: Sequence[float]) -> xr.Dataset:
    """Conditions on the line between two φ's, (1 − s) φ₁ + s φ₂.

    Parameters
    ----------
    first, second
        φ of one image each, from the same tap, levels and draws.
    shares
        s of each condition, usually in [0, 1].

    Returns
    -------
    Dataset
        One image per share, with ids such as "a→b/0.5".

    Raises
    ------
    InputError
        If either is not φ of one image, they do not fit together, or shares are no different finite numbers.

    Examples
    --------
    >>> import probekit
    >>> tap = probekit.tap(probekit.load("photo32"), "mid")
    >>> data = tap(np.zeros((2, 3, 32, 32), np.float32), sigma=0.1, draws=2)
    >>> interpolate(data.isel(image=[0]), data.isel(image=[1]), [0, 0.5]).image.values.tolist()
    ['0→1/0', '0→1/0.5']
    """
    for data in (first, second):
        labels.check(data, "phi")
        if data.sizes["image"] != 1:
            raise InputError(f"φ of {data.sizes['image']} images: give one on each side, data.isel(image=[0])")
    same = [first.attrs.get(k) == second.attrs.get(k) for k in (*SAME, "draws")]
    if not all(same) or not all(np.array_equal(first[c].values, second[c].values) for c in ("sigma", *CHANNELS)):
        raise InputError("the two φ's are of other denoisers, taps, draws or noise levels: measure both with one tap")
    given = real_numbers("shares", shares)
    named = {f"{s:g}" for s in given.ravel()}
    if given.ndim != 1 or not given.size or not np.isfinite(given).all() or len(named) < given.size:
        raise InputError(
            f"{shown('shares', shares)}: give a list of finite numbers, different in six digits, e.g. [0, 0.5, 1]"
        )
    a, b = (str(d["image"].values[0]) for d in (first, second))
    ids = np.array([f"{a}→{b}/{s:g}" for s in given], dtype=object)
    along = xr.DataArray(given, dims="image", coords={"image": ids})
    kept = [v for v in ("phi", "phi_se") if v in first and v in second]
    one, two = (d[kept].isel(image=0, drop=True) for d in (first, second))
    with xr.set_options(keep_attrs=True):
        mixed = (1 - along) * one + along * two
    return mixed.drop_vars("label", errors="ignore").transpose("image", "sigma", "channel").assign_attrs(first.attrs)


def project(data: xr.Dataset, basis: Any, *, centre: Any = 0.0) -> xr.Dataset:
    """Project φ on an affine subspace, centre + B Bᵀ (φ − centre), before samples are made from it.

    Parameters
    ----------
    data
        What a tap returns.
    basis
        (r, channel), spanning vectors; made orthonormal here. One from `subspaces.analyse`, for instance.
    centre
        A point of the subspace: a number, or (channel,).

    Returns
    -------
    Dataset
        `data` with another phi.

    Raises
    ------
    InputError
        If the basis has another number of channels, is not finite or spans nothing; if the centre is no such point.

    Examples
    --------
    >>> import probekit
    >>> tap = probekit.tap(probekit.load("photo32"), "mid")
    >>> data = tap(np.zeros((1, 3, 32, 32), np.float32), sigma=0.1, draws=2)
    >>> bool(abs(project(data, np.eye(128)).phi - data.phi).max() < 1e-6)
    True
    """
    labels.check(data, "phi")
    orthonormal = orthonormal_basis(basis, data.sizes["channel"])
    phi = data["phi"]
    point = real_numbers("centre", centre)
    if point.shape not in ((), (data.sizes["channel"],)) or not np.isfinite(point).all():
        raise InputError(f"centre has shape {point.shape}: give a finite number, or one for each channel")
    away = phi.values - point
    projected = point + (away @ orthonormal.T) @ orthonormal
    return data.assign(phi=phi.copy(data=projected.astype(phi.dtype)))


def orthonormal_basis(basis: Any, channels: int) -> np.ndarray:
    """Rows (r, channel) that are orthonormal and span what the rows given span."""
    given = real_numbers("basis", basis)
    if given.ndim != 2 or given.shape[1] != channels or not len(given) or not np.isfinite(given).all():
        raise InputError(f"basis has shape {given.shape}: give finite rows of {channels} channels, (r, {channels})")
    if not given.any():
        raise InputError("basis is 0 throughout and spans nothing: give rows that differ from 0")
    _, sizes, rows = np.linalg.svd(given, full_matrices=False)
    return rows[sizes > 1e-10 * max(sizes[0], np.finfo(float).tiny)]


def real_numbers(name: str, value: Any) -> np.ndarray:
    """An argument as an array of float64.

    Raises
    ------
    InputError
        If it is no array of real numbers.
    """
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{shown(name, value)}: give an array of numbers, with rows of one length") from error
    if found.dtype.kind not in "fiub":
        raise InputError(f"{shown(name, value)}: give real numbers")
    return found.astype(float)
