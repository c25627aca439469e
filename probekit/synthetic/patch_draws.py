"""The mixture that a patch model is of, and labelled draws from it; plain numpy, without the network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.fft import idctn

from probekit.checks import given, listed, real_array, seeded, whole
from probekit.errors import InputError
from probekit.labels import COORDINATES
from probekit.machine.memory import refuse_array
from probekit.synthetic.patch_laws import MOST_POSITIONS, EnergyLaw, on_spheres

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Laws = dict[tuple[int, int], tuple[np.ndarray, EnergyLaw]]

__all__ = ["Mixture", "PatchData", "conditional", "draw", "given_phi", "nonzero"]

# An energy that is no larger a share of the whole is what rounding to float32 leaves of 0.
ZERO_SHARE = 1e-12
FEWER = "give fewer images, or smaller ones"
# Priors may be off by the rounding of float32; they are then scaled to sum to 1.
WEIGHT_TOLERANCE = 1e-6


class PatchData(NamedTuple):
    """Images of a patch model and what is true of them.

    Attributes
    ----------
    images : DataArray
        (image, band, row, col), with ``label``, the class; conditional ones (image, sample, band, row, col).
    truth : Dataset
        Of each image, or sample: ``subspace``, its class; ``energy`` (…, component), the spatial mean ē_j of
        its squared coefficients; ``phi`` (…, channel), the same pooled, which is φ at σ = 0. Of the model,
        except with conditional images: ``weight`` (subspace), ``variance`` (subspace, component), ``support``
        (subspace, channel), whether the class has any variance there, and ``pool`` (component), the channel
        that a component is summed into.
    """

    images: xr.DataArray
    truth: xr.Dataset


@dataclass(frozen=True)
class Mixture:
    """Classes of Gaussian coefficient maps, and how their energies are pooled.

    Attributes
    ----------
    weights : ndarray
        (K,), priors π_k.
    variances : ndarray
        (K, J), λ_kj.
    pool : tuple[tuple[int, ...], ...]
        Components of each channel.
    """

    weights: np.ndarray
    variances: np.ndarray
    pool: tuple[tuple[int, ...], ...]

    @classmethod
    def checked(cls, weights: ArrayLike, variances: ArrayLike, pool: Sequence[Sequence[int]] | None) -> Mixture:
        """A mixture of what a user gave, or an InputError."""
        priors = _numbers("weights", weights, "a list of priors, one per class")
        known = _numbers("variances", variances, "(classes, p²), one row of equal length per class")
        if priors.ndim != 1 or not (priors > 0).all() or abs(priors.sum() - 1) > WEIGHT_TOLERANCE:
            raise InputError(
                f"{given('weights', priors.tolist())}: give a list of priors > 0, one per class, that sum to 1"
            )
        if known.ndim != 2 or len(known) != len(priors) or math.isqrt(known.shape[1]) ** 2 != known.shape[1]:
            raise InputError(
                f"variances has shape {known.shape} with {len(priors)} weights: give (classes, p²), one row per class "
                "and one column per DCT component of a p×p patch"
            )
        if not (np.isfinite(known) & (known >= 0)).all() or not (known > 0).any(axis=1).all():
            wrong = known[~(np.isfinite(known) & (known >= 0))].tolist()
            empty = np.flatnonzero(~(known > 0).any(axis=1)).tolist()
            raise InputError(
                f"variances holds {wrong}, and classes {empty} have none above 0: give finite numbers ≥ 0, 0 off the "
                "support of a class, and at least one above 0 in each class"
            )
        return cls(priors / priors.sum(), known, _checked_pool(pool, known.shape[1]))

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return math.isqrt(self.variances.shape[1])

    @cached_property
    def membership(self) -> np.ndarray:
        """(channel, component), 1 where the component is summed into the channel."""
        member = np.zeros((len(self.pool), self.variances.shape[1]))
        for channel, group in enumerate(self.pool):
            member[channel, list(group)] = 1
        return member

    @property
    def support(self) -> np.ndarray:
        """(class, channel), whether the class has a positive variance there."""
        return self.variances @ self.membership.T > 0

    @property
    def basis(self) -> np.ndarray:
        """(component, row, col), the orthonormal DCT patches, row frequency first."""
        p = self.patch
        return np.asarray(idctn(np.eye(p * p).reshape(-1, p, p), axes=(1, 2), norm="ortho"))

    def grid(self, rows: int, cols: int) -> tuple[int, int]:
        """Rows and columns of patches in an image of this many pixels."""
        rows = whole("rows", rows, least=0, most=MOST_POSITIONS)
        cols = whole("cols", cols, least=0, most=MOST_POSITIONS)
        if min(rows, cols) < 1 or rows % self.patch or cols % self.patch:
            raise InputError(
                f"images of {rows}×{cols} cannot be cut into {self.patch}×{self.patch} patches: height and width must "
                f"be positive multiples of {self.patch}"
            )
        return rows // self.patch, cols // self.patch

    def energy_laws(self, positions: int) -> Laws:
        """By class and channel: its components of positive variance, and the law of their energies' sum."""
        laws = {}
        for k, variances in enumerate(self.variances):
            for channel, group in enumerate(self.pool):
                members = np.array([j for j in group if variances[j] > 0], int)
                if members.size:
                    laws[k, channel] = members, EnergyLaw(variances[members], positions=positions)
        return laws


def draw(mixture: Mixture, n: int, rows: int, cols: int, seed: int, dtype: np.dtype) -> PatchData:
    """Images of the mixture; see `PatchModel.draw`."""
    grid = mixture.grid(rows, cols)
    n, seed = whole("n", n, least=1), seeded(seed)
    refuse_array((n, 2 * mixture.variances.shape[1], *grid), 8, hint=FEWER)
    # Two streams, so that the first images are the same however many are drawn.
    of_classes, of_values = np.random.default_rng(seed).spawn(2)
    subspace = of_classes.choice(len(mixture.weights), size=n, p=mixture.weights)
    maps = of_values.standard_normal((n, mixture.variances.shape[1], *grid))
    maps *= np.sqrt(mixture.variances[subspace])[:, :, None, None]
    data = _labelled(mixture, maps, subspace, [str(i) for i in range(n)], dtype, _described(mixture))
    label = subspace.astype(str).astype(object)
    labelled = data.images.assign_coords(label=("image", label, {"long_name": COORDINATES["label"]}))
    return PatchData(labelled, data.truth)


def conditional(mixture: Mixture, phi: Any, n: int, rows: int, cols: int, seed: int, dtype: np.dtype) -> PatchData:
    """Images of the mixture given φ; see `PatchModel.conditional`."""
    grid = mixture.grid(rows, cols)
    n, seed = whole("n", n, least=1), seeded(seed)
    values, positions = _given(mixture, phi), math.prod(grid)
    refuse_array((len(values), n, 2 * mixture.variances.shape[1], positions), 8, hint=FEWER)
    laws = mixture.energy_laws(positions)
    posterior = _posterior(mixture, values, laws)
    rng = np.random.default_rng(seed)
    below = np.cumsum(posterior, axis=1)[:, None, :-1] <= rng.random((len(values), n, 1))
    subspace = below.sum(axis=2)
    energy = np.zeros((len(values), n, mixture.variances.shape[1]))
    for (k, channel), (members, law) in laws.items():
        image, sample = np.nonzero(subspace == k)
        energy[image[:, None], sample[:, None], members] = law.split(values[image, channel], rng=rng)
    maps = on_spheres(energy, positions=positions, rng=rng).reshape(*energy.shape, *grid)
    return _labelled(mixture, maps, subspace, _ids(phi, len(values)), dtype, {})


def given_phi(mixture: Mixture, phi: Any, rows: int, cols: int) -> np.ndarray:
    """Class posterior (image, class) given φ; see `PatchModel.posterior_given_phi`."""
    laws = mixture.energy_laws(math.prod(mixture.grid(rows, cols)))
    return _posterior(mixture, _given(mixture, phi), laws)


def nonzero(energies: np.ndarray) -> np.ndarray:
    """Which of the energies (..., component) are more than rounding leaves of 0."""
    return energies > ZERO_SHARE * energies.sum(axis=-1, keepdims=True)


def _posterior(mixture: Mixture, phi: np.ndarray, laws: Laws) -> np.ndarray:
    held = phi > 0
    possible = (held[:, None] == mixture.support[None]).all(axis=2)
    if not possible.any(axis=1).all():
        first = int(np.flatnonzero(~possible.any(axis=1))[0])
        supports = [np.flatnonzero(s).tolist() for s in mixture.support]
        raise InputError(
            f"phi[{first}] has energy in channels {np.flatnonzero(held[first]).tolist()}, which is impossible: images "
            f"of the classes have energy in exactly {supports}; give φ at σ = 0 of an image that the model drew"
        )
    log = np.where(possible, np.log(mixture.weights), -np.inf)
    for (k, channel), (_, law) in laws.items():
        chosen = possible[:, k]
        log[chosen, k] += law.log_density(phi[chosen, channel])
    weights = np.exp(log - log.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _given(mixture: Mixture, phi: Any) -> np.ndarray:
    """φ as (image, channel), with 0 for what rounding left of it."""
    if isinstance(phi, xr.DataArray) and "image" in phi.dims:
        phi = phi.transpose("image", ...)
    values = _numbers("phi", phi, "one for each channel")
    values = values[None] if values.ndim == 1 else values
    channels = len(mixture.pool)
    if values.ndim != 2 or len(values) < 1 or values.shape[1] != channels:
        raise InputError(
            f"phi has shape {np.shape(phi)}: give ({channels},) or (image, {channels}), one number per channel of the "
            "model; of a tap's result select one noise level, data.phi.sel(sigma=0)"
        )
    if not (np.isfinite(values) & (values >= 0)).all():
        raise InputError("phi holds values that are negative or not finite: energies are finite and ≥ 0")
    return np.where(nonzero(values), values, 0.0)


def _ids(phi: Any, count: int) -> list[str]:
    if isinstance(phi, xr.DataArray) and "image" in phi.coords:
        return [str(i) for i in np.atleast_1d(phi["image"].values)]
    return [str(i) for i in range(count)]


def _labelled(
    mixture: Mixture,
    maps: np.ndarray,
    subspace: np.ndarray,
    ids: Sequence[str],
    dtype: np.dtype,
    described: Mapping[str, Any],
) -> PatchData:
    """Images and truth of coefficient maps (image[, sample], component, row, col) of these classes."""
    dims = ("image", "sample")[: subspace.ndim]
    grid, p = maps.shape[-2:], mixture.patch
    pixels = np.einsum("...jrc,jab->...racb", maps, mixture.basis, optimize=True)
    pixels = pixels.reshape(*subspace.shape, 1, p * grid[0], p * grid[1]).astype(dtype)
    along = (*dims[1:], "band", "row", "col")
    coords: dict[str, Any] = {d: np.arange(size) for d, size in zip(along, pixels.shape[1:], strict=True)}
    coords["image"] = ("image", np.array(ids, dtype=object), {"long_name": COORDINATES["image"]})
    images = xr.DataArray(
        pixels,
        dims=("image", *along),
        coords=coords,
        name="patch_model",
        attrs={"long_name": "images of a patch model", "units": "intensity"},
    )
    energy = np.square(maps).mean(axis=(-2, -1))
    units = {"units": "squared intensity"}
    truth = xr.Dataset(
        {
            "subspace": (dims, subspace, {"long_name": "class of the image"}),
            "energy": ((*dims, "component"), energy, {"long_name": "mean squared coefficient", **units}),
            "phi": ((*dims, "channel"), energy @ mixture.membership.T, {"long_name": "phi without noise", **units}),
            **described,
        },
        coords={d: coords[d] for d in dims}
        | {"component": np.arange(energy.shape[-1]), "channel": np.arange(len(mixture.pool))},
    )
    return PatchData(images, truth)


def _described(mixture: Mixture) -> dict[str, Any]:
    """Variables of a truth that tell of the model."""
    channel_of = mixture.membership.argmax(axis=0)
    variance = {"long_name": "variance of the coefficients", "units": "squared intensity"}
    return {
        "weight": ("subspace", mixture.weights, {"long_name": "prior of the class"}),
        "variance": (("subspace", "component"), mixture.variances, variance),
        "support": (("subspace", "channel"), mixture.support, {"long_name": "whether the class has variance"}),
        "pool": ("component", channel_of, {"long_name": "channel that the component is summed into"}),
    }


def _numbers(name: str, found: ArrayLike, wanted: str) -> np.ndarray:
    return real_array(name, found, f"numbers, {wanted}")


def _checked_pool(pool: Sequence[Sequence[int]] | None, components: int) -> tuple[tuple[int, ...], ...]:
    if pool is None:
        return tuple((j,) for j in range(components))
    what = "a list of groups, each a list of component indices, e.g. [[0], [1, 2]]"
    groups = tuple(tuple(whole("pool", j) for j in listed("pool", group, what)) for group in listed("pool", pool, what))
    if sorted(j for group in groups for j in group) != list(range(components)) or not all(groups):
        raise InputError(
            f"{given('pool', [list(group) for group in groups])}: give groups of component indices, none empty, in "
            f"which each of 0…{components - 1} is once"
        )
    return groups
