"""What samples are conditioned on: φ of images at the levels of a schedule, or φ that the caller brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import Kept, as_tap, check_measured, check_numbers, real_numbers, same_attr, same_channels
from analyses.sampling.methods import (
    CLOSE,
    falling,
    image_shape,
    orthonormal_basis,
    positions_of,
    refuse_sums,
    sides_of,
)
from probekit import images as image_sources
from probekit import labels
from probekit.capture.reductions import INSIDE
from probekit.checks import given as shown
from probekit.checks import number, seeded, text
from probekit.denoising.conditions import Conditions, conditions_for
from probekit.errors import InputError, ProbeError
from probekit.images import ImageSet
from probekit.phi.remade import looked
from probekit.phi.tap import Tap

__all__ = ["Condition", "centroid", "condition_of", "interpolate", "project"]

# What two representations must share for one to stand for the other.
SAME = ("weights_sha256", "denoiser_settings", "taps", "reduce")
# In a store of samples: φ that they are conditioned on.
PHI = "phi"
# Means over positions, and reductions whose mean over images depends on how large images are.
MEANS, OF_SIZE = ("mean", "relu_mean", "energy"), ("max", "std")


@dataclass(frozen=True, eq=False)
class Condition:
    """φ that samples are to have, at the noise levels of a schedule; made by `from_images` or `from_phi`.

    Attributes
    ----------
    ids, labels
        Of its M images; their classes, where known.
    sigmas
        T noise levels, falling.
    phi, spread
        (M, T, channel): φ, and the standard deviation over noise of one draw of it, NaN where it is not known.
    shape
        (bands, rows, cols) of the samples.
    images
        (M, bands, rows, cols), where φ was measured on images.
    attrs
        What was measured, as a tap says it.
    given
        What else the network is given of each image, if anything.
    noise
        Ids that address the noise of the samples, where they are not those of the images.
    share
        (M,), how much of each φ is of the second of two that were mixed, where they were.
    measured
        (bands, rows, cols) of the images that φ was measured on, where samples are of another size.
    fresh
        What the tap returned, where a store of samples is to hold it and does not yet.
    """

    ids: list[str]
    labels: list[str] | None
    sigmas: list[float]
    phi: np.ndarray
    spread: np.ndarray
    shape: tuple[int, int, int]
    images: np.ndarray | None
    attrs: dict[str, Any]
    given: Conditions | None = None
    noise: list[str] | None = None
    share: np.ndarray | None = None
    measured: tuple[int, int, int] | None = None
    fresh: xr.Dataset | None = None

    @property
    def noise_ids(self) -> list[str]:
        """Ids that address the noise of the samples."""
        return self.ids if self.noise is None else self.noise

    @classmethod
    def from_images(
        cls,
        tap: Tap,
        images: Any,
        sigmas: Sequence[float],
        *,
        ids: Sequence[Any] | None = None,
        draws: int = 10,
        seed: int = 0,
        conditions: Any = None,
        progress: bool | None = False,
    ) -> Condition:
        """φ of clean images, measured at all noise levels at once.

        Parameters
        ----------
        tap, images, ids, draws, seed, conditions, progress
            As for calling the tap, `probekit.tap`.
        sigmas
            Noise levels, falling.

        Raises
        ------
        InputError
            If the images do not fit the network, or an option is out of range.

        Examples
        --------
        >>> import probekit
        >>> tap = probekit.tap(probekit.load("photo32"), "mid")
        >>> Condition.from_images(tap, np.zeros((1, 3, 32, 32), np.float32), [0.5, 0.1], ids=["black"]).phi.shape
        (1, 2, 128)
        """
        source = image_sources.load(images, ids=ids)
        return _of_clean(tap, source, sigmas, conditions, draws=draws, seed=seed, progress=progress)

    @classmethod
    def from_phi(
        cls, tap: Tap, phi: xr.Dataset, sigmas: Sequence[float], *, shape: Sequence[int], conditions: Any = None
    ) -> Condition:
        """φ that is known already: measured, averaged (`centroid`), mixed (`interpolate`), projected or edited.

        Parameters
        ----------
        tap
            The one that φ was measured with, or one that looks at the same place of the same network.
        phi
            What the tap returns, at all noise levels or at one that serves for all, with its attrs kept. Coordinates
            ``share`` and ``noise_id`` of its images, as `interpolate` gives them, are kept.
        sigmas
            Noise levels, falling.
        shape
            (bands, rows, cols) of the images that φ was measured on, since φ does not say; samples are of this size
            unless another is asked for, ``at_size``.
        conditions
            What else the network takes of each image of φ, as for calling the tap.

        Raises
        ------
        InputError
            If φ is of another denoiser or tap, is not finite or lacks levels, or the shape is none.

        Examples
        --------
        >>> import probekit
        >>> tap = probekit.tap(probekit.load("photo32"), "mid")
        >>> data = tap(np.zeros((2, 3, 32, 32), np.float32), sigma=0.1, draws=2)
        >>> Condition.from_phi(tap, centroid(data), [0.5, 0.1], shape=(3, 32, 32)).ids
        ['centroid']
        """
        levels, size = falling(sigmas), image_shape(shape)
        check_numbers(phi, "phi", "phi_se")
        labels.check(phi, "phi")
        if not phi.sizes["image"] or not phi.sizes["sigma"]:
            raise InputError(
                f"φ of {phi.sizes['image']} images at {phi.sizes['sigma']} levels: give one at least of each"
            )
        names = labels.strings(phi["image"].values).tolist()
        if len(set(names)) < len(names):
            raise InputError("the images of φ have repeated ids, which address the noise: make them unique")
        given = conditions_for(as_tap(tap).denoiser, conditions, names)
        own = looked(tap, size, levels[0], given)
        differ = [
            f"{key}: {phi.attrs.get(key)!r}, not {own.attrs[key]!r}" for key in SAME if not same_attr(phi, own, key)
        ]
        if differ or not same_channels(phi, own):
            raise InputError(
                f"this φ is of another denoiser or tap ({'; '.join(differ) or 'other channels, or in another order'}): "
                "measure it with this, tap(images, sigma=…); where φ is edited keep its attrs, "
                "xarray.set_options(keep_attrs=True)"
            )
        values, spread = _numbers(phi)
        at = positions_of(phi["sigma"].values.astype(float), levels)
        kept = labels.strings(phi["label"].values).tolist() if "label" in phi.coords else None
        noise = labels.strings(phi["noise_id"].values).tolist() if _of_images(phi, "noise_id") else None
        share = real_numbers("share", phi["share"].values) if _of_images(phi, "share") else None
        measured = (values[:, at], spread[:, at], size, None, dict(own.attrs), given)
        return cls(names, kept, levels, *measured, noise, share)

    def at_size(self, tap: Tap, size: Any) -> Condition:
        """The same φ for samples of another size than the images that it was measured on.

        φ is a mean over positions, whose expectation over stationary images is the same at any size, but for what
        zero padding does at borders; the spread of one noise draw of it falls as one over the root of the number of
        positions.

        Parameters
        ----------
        tap
            The one that φ was measured with.
        size
            (rows, cols) of the samples, or one number for both.

        Raises
        ------
        InputError
            If the network takes no images of this size, what else it is given of each image is of the images' own size,
            φ is no mean over positions, or the tap is another.

        Examples
        --------
        >>> import probekit
        >>> tap = probekit.tap(probekit.load("photo32"), "mid")
        >>> condition = Condition.from_images(tap, np.zeros((1, 3, 32, 32), np.float32), [0.5, 0.1])
        >>> condition.at_size(tap, (32, 64)).shape
        (3, 32, 64)
        """
        as_tap(tap)
        bands, *sides = self.shape
        shape = image_shape((bands, *sides_of(size)))
        if shape == self.shape:
            return self
        said = f"samples of {shape[1]}×{shape[2]} cannot have φ of images of {sides[0]}×{sides[1]}"
        maps = _maps(self.given, self.shape[1:])
        if maps:
            raise InputError(
                f"{said}: the network is given {', '.join(maps)} of each of their pixels; measure φ first, "
                "Condition.from_images(tap, images, sigmas, conditions=…), and give reconstruct conditions= of the "
                "samples' size"
            )
        reduce = self.attrs["reduce"]
        whole = reduce.removesuffix(INSIDE)
        if whole in OF_SIZE:
            raise InputError(
                f"{said}: reduce={reduce!r} depends on how large an image is; hold a mean over positions, "
                f"reduce={' or '.join(map(repr, MEANS))}"
            )
        try:
            other = looked(tap, shape, self.sigmas[0], self.given)
        except InputError as error:
            raise InputError(f"{said}: {error}; give another size=") from error
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            if isinstance(error, ProbeError):
                raise
            raise InputError(f"{said}: the network fails at that size ({error}); give another size=") from error
        ratio = shape[1] * shape[2] / (sides[0] * sides[1])
        self._refuse_other(other)
        if whole not in MEANS and not _maps(self.given, shape[1:]):
            refuse_sums(looked(tap, self.shape, self.sigmas[0], self.given), other, ratio, said)
        own = self.shape if self.measured is None else self.measured
        return replace(self, shape=shape, spread=self.spread / ratio**0.5, measured=None if shape == own else own)

    def check(self, tap: Tap, sigmas: Sequence[float]) -> None:
        """Refuse to be matched at another tap, or at other noise levels.

        Raises
        ------
        InputError
            Naming what differs.
        """
        self._refuse_other(looked(tap, self.shape, self.sigmas[0], self.given))
        if len(sigmas) != len(self.sigmas) or np.abs(np.subtract(sigmas, self.sigmas)).max() > CLOSE:
            known, asked = (f"{len(s)} from {s[0]:g} to {s[-1]:g}" for s in (self.sigmas, sigmas))
            raise InputError(
                f"the condition has noise levels, {known}, and sigmas are others, {asked}: give sigmas= to the "
                "condition alone"
            )

    def _refuse_other(self, own: xr.Dataset) -> None:
        differ = [f"{k}: {self.attrs[k]!r}, not {own.attrs[k]!r}" for k in SAME if self.attrs[k] != own.attrs[k]]
        if differ:
            raise InputError(
                f"the condition is of another denoiser or tap ({'; '.join(differ)}): make it with this tap"
            )


def condition_of(
    tap: Tap, condition: Any, sigmas: Any, own: Sequence[float], *, conditions: Any, size: Any = None, **how: Any
) -> Condition:
    """A condition at the noise levels given, else at those it has, else at the method's own; images are measured.

    `conditions` of the network, where given, take the place of those that a `Condition` has; samples are of `size`,
    where given. Images are not measured again where the store of their samples holds their φ.

    Raises
    ------
    InputError
        If it cannot be one, or is of another tap or other noise levels.
    """
    if isinstance(condition, Condition):
        if conditions is not None:
            condition = replace(condition, given=conditions_for(tap.denoiser, conditions, condition.ids))
        condition = condition if size is None else condition.at_size(tap, size)
        condition.check(tap, condition.sigmas if sigmas is None else falling(sigmas))
        return condition
    if isinstance(condition, xr.DataArray) and "channel" in condition.dims:
        raise InputError(
            "the condition is a DataArray of φ: give the Dataset that a tap returns, whose attrs say of what"
        )
    if isinstance(condition, xr.Dataset):
        raise InputError(
            "the condition is φ, which does not say how large images are: give sampling.Condition.from_phi(tap, phi, "
            "sigmas, shape=(bands, rows, cols))"
        )
    size = None if size is None else sides_of(size)
    made = _of_clean(tap, image_sources.load(condition), own if sigmas is None else sigmas, conditions, **how)
    return made if size is None else made.at_size(tap, size)


def _of_clean(
    tap: Tap, source: ImageSet, sigmas: Any, conditions: Any, store: Any = None, *, progress: Any, **how: Any
) -> Condition:
    """φ of clean images: what a store of samples holds of just these by this tap, else measured."""
    levels, given = falling(sigmas), conditions_for(as_tap(tap).denoiser, conditions, source)
    how = {"sigma": levels, **how, "seed": seeded(how["seed"])}
    pixels = source.read(range(len(source))).numpy()
    make, look = partial(tap, source, **how, conditions=given, progress=progress), partial(looked, tap, source.shape)
    of: tuple[Any, ...] = ()
    if store is not None:
        of = source.ids, pixels, how, given.fingerprints(), look(levels[:1], given).attrs, tap.identity()
    # What passes change, and a network is known without, may show at some level alone.
    data, fresh = Kept.taken_up(store, PHI, make, *of, known=lambda: tap.changes, learn=partial(look, levels, given))
    phi, spread = _numbers(data)
    named = list(source.ids), None if source.labels is None else list(source.labels)
    return Condition(*named, levels, phi, spread, source.shape, pixels, dict(data.attrs), given, fresh=fresh)


def _of_images(phi: xr.Dataset, name: str) -> bool:
    """Whether φ has a coordinate of this name, one an image."""
    return name in phi.coords and phi[name].dims == ("image",)


def _maps(given: Conditions | None, sides: tuple[int, ...]) -> list[str]:
    """What the network is given of each pixel of images of these sides."""
    return [] if given is None else [name for name, entry in given.each.items() if entry.shape[-2:] == sides]


def _numbers(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """φ, and the standard deviation of one draw of it, as float64; NaN where it is not known."""
    phi = data["phi"].values.astype(np.float64)
    draws = number("the attr draws of φ", data.attrs.get("draws", 1), "the number of draws, ≥ 1", good=lambda n: n >= 1)
    if "phi_se" in data and bool(((data["phi_se"] < 0) | np.isinf(data["phi_se"])).any()):
        raise InputError("phi_se is negative or infinite in places: give standard errors ≥ 0, or drop the variable")
    spread = data["phi_se"].values.astype(np.float64) * draws**0.5 if "phi_se" in data else np.full(phi.shape, np.nan)
    return phi, spread


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
    check_measured(data)
    name = text("name", name, "what the average is called")
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
        One image per share, with ids such as "a→b/0.5", and coordinates ``share``, s, and ``noise_id``, whose
        noise samples are made from: at s = 0 and s = 1 the ends' own, so that samples there are those of the ends.
        Several such Datasets joined along ``image`` are many mixtures.

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
        check_measured(data)
        if data.sizes["image"] != 1:
            raise InputError(f"φ of {data.sizes['image']} images: give one on each side, data.isel(image=[0])")
    alike = [first.attrs.get(k) == second.attrs.get(k) for k in (*SAME, "draws")]
    alike += [np.array_equal(first["sigma"].values, second["sigma"].values), same_channels(first, second)]
    if not all(alike):
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
    ends = {float(s): _noise_of(d) for s, d in ((0, first), (1, second))}
    noise = np.array([ends.get(float(s), own) for s, own in zip(given, ids, strict=True)], dtype=object)
    kept = [v for v in ("phi", "phi_se") if v in first and v in second]
    one, two = (d[kept].isel(image=0, drop=True) for d in (first, second))
    # The same channels, found above: by position, since numbers of channels may repeat where taps were joined.
    two = two.assign_coords({name: one[name].variable for name in ("channel", "sigma")})
    with xr.set_options(keep_attrs=True):
        mixed = (1 - along) * one + along * two
    mixed = mixed.drop_vars("label", errors="ignore").transpose("image", "sigma", "channel")
    return mixed.assign_coords(share=("image", given), noise_id=("image", noise)).assign_attrs(first.attrs)


def _noise_of(data: xr.Dataset) -> str:
    """The id that addresses the noise of one image's samples."""
    return str(data["noise_id" if _of_images(data, "noise_id") else "image"].values[0])


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
    projected = point + (phi.values - point) @ orthonormal.T @ orthonormal
    with np.errstate(over="ignore"):
        found = projected.astype(phi.dtype)
    if not np.isfinite(found).all():
        raise InputError(f"{shown('centre', centre)} is beyond {phi.dtype}: give a smaller one")
    return data.assign(phi=phi.copy(data=found))
