"""Representations on a union of sparse coordinate subspaces, with the truth that an analysis should find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from probekit import labels
from probekit.checks import MOST, given, noise_levels, number, real_array, seeded, whole
from probekit.errors import InputError
from probekit.machine.memory import refuse_array

__all__ = ["Given", "Law", "SubspaceData", "law_of", "union_of_subspaces"]

TAP = "synthetic"
# Amplitudes are made of exponential variables about this mean, plus a floor that keeps an active channel above rest.
FLOOR, MEAN = 0.5, 1.0
COMMON_SPREAD = 0.2
# Errors and rest beyond these would leave the range of float32 or of the gamma law's parameters.
SMALLEST, LARGEST = 1e-6, 1e6


class SubspaceData(NamedTuple):
    """A representation and what is true of it.

    Attributes
    ----------
    data : Dataset
        As a tap returns it: phi, phi_se (image, sigma, channel), rest, rest_se (sigma, channel).
    truth : Dataset
        activity (image, channel), the phi above rest without its error; active (image, channel), where
        that is not 0; subspace (image), the subspace of each image; support (subspace, channel), its
        specific channels; common (channel); dimension (subspace); basis (subspace, component, channel),
        non-negative and NaN beyond the dimension; type (channel), "silent", "common" or "selective".
    """

    data: xr.Dataset
    truth: xr.Dataset


def union_of_subspaces(
    n_images: int = 400,
    *,
    n_channels: int = 64,
    n_subspaces: int = 4,
    support: int = 6,
    dimension: int | None = None,
    overlap: int = 0,
    common: int = 4,
    noise: float = 0.05,
    rest: float = 0.1,
    draws: int = 10,
    sigma: float | Sequence[float] = (0.1,),
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> SubspaceData:
    """Draw representations φ = rest + a + error, each a in one of several sparse coordinate subspaces.

    An image of subspace k has a_c = Σ_m h_m B_kmc on the support of k (`support` channels), with
    independent h_m = 1/2 + an exponential variable of mean 1/2. With ``dimension=None`` B is the
    identity on the support: the subspace is a coordinate subspace of as many dimensions as channels.
    With fewer dimensions, B's rows are non-negative and random. Common channels have a normal
    a_c of mean 1 and standard deviation 0.2, cut off at 0.2. All others have a_c = 0. The error is that of
    an average over noise draws: φ_c is gamma-distributed about rest + a_c with standard deviation `noise`,
    so it is never negative. φ at several σ is the same a with fresh errors.

    Parameters
    ----------
    n_images
        Number of images.
    n_channels
        Number of channels; those in no support and not common are silent.
    n_subspaces, support
        Number of subspaces, and of channels specific to each.
    dimension
        Dimensions of each subspace, 1 to `support`; by default `support`.
    overlap
        Number of channels that each subspace's support shares with the next one's, 0 to half of `support`.
    common
        Number of channels active on every image, in no support.
    noise
        Standard error of φ and of rest, in units of the mean activity: 0, or from 1e-6 to 1e6.
    rest
        φ of every channel where nothing is active, from 1e-6 to 1e6.
    draws
        Number of noise draws that phi_se is estimated from, ≥ 2: phi_se is `noise` times a χ variable
        of draws − 1 degrees of freedom over its root mean square.
    sigma
        Noise level or levels that the result is labelled with.
    weights
        Relative numbers of images of each subspace, by default equal. Subspaces take their images at random.
    seed
        Of everything drawn.

    Returns
    -------
    SubspaceData
        data, as a tap returns it, and truth.

    Raises
    ------
    InputError
        If a number is out of its range, or the channels are too few.

    Examples
    --------
    >>> data, truth = union_of_subspaces(100, n_channels=20, n_subspaces=2, support=3, common=2)
    >>> dict(data.phi.sizes)
    {'image': 100, 'sigma': 1, 'channel': 20}
    >>> truth.support.sum("channel").values.tolist()
    [3, 3]
    >>> sorted(set(truth.type.values))
    ['common', 'selective', 'silent']
    """
    n_images, seed = whole("n_images", n_images, least=1), seeded(seed)
    given_law = Given(n_channels, n_subspaces, support, dimension, overlap, common, noise, rest, draws, sigma, weights)
    rng = np.random.default_rng(seed)
    law = law_of(rng, given_law, n_images)
    drawn = law.images(rng, n_images)
    rest_arrays = law.of_rest(rng)
    data = law.labelled({**drawn.arrays, **rest_arrays}, [str(i) for i in range(n_images)], seed)
    truth = law.truth(drawn.subspace, data, seen=(drawn.activity > 0).mean(axis=0))
    said = {"activity": "phi above rest, without its error", "active": "whether the channel is above rest"}
    each = {"activity": drawn.activity, "active": drawn.activity > 0}
    of_images = {name: (("image", "channel"), values, {"long_name": said[name]}) for name, values in each.items()}
    return SubspaceData(data, xr.Dataset({**of_images, **truth.data_vars}, coords=truth.coords))


class Given(NamedTuple):
    """Settings of `union_of_subspaces` but for the number of images and the seed, as they are given."""

    n_channels: int = 64
    n_subspaces: int = 4
    support: int = 6
    dimension: int | None = None
    overlap: int = 0
    common: int = 4
    noise: float = 0.05
    rest: float = 0.1
    draws: int = 10
    sigma: float | Sequence[float] = (0.1,)
    weights: Sequence[float] | None = None


class Drawn(NamedTuple):
    """Images: the subspace of each, phi above rest without its error (image, channel), phi and phi_se."""

    subspace: np.ndarray
    activity: np.ndarray
    arrays: dict[str, np.ndarray]


class Law(NamedTuple):
    """What images are drawn from: settings that were checked, supports, common channels and bases."""

    supports: np.ndarray
    is_common: np.ndarray
    basis: np.ndarray
    share: np.ndarray
    noise: float
    rest: float
    draws: int
    sigma: list[float]

    def images(self, rng: np.random.Generator, count: int) -> Drawn:
        """So many images."""
        dimension, common = self.basis.shape[1], int(self.is_common.sum())
        subspace = rng.choice(len(self.share), size=count, p=self.share)
        weight = FLOOR + rng.exponential(MEAN - FLOOR, (count, dimension))
        activity = np.einsum("im,imc->ic", weight, self.basis[subspace])
        activity[:, self.is_common] = np.maximum(rng.normal(MEAN, COMMON_SPREAD, (count, common)), COMMON_SPREAD)
        shape = (count, len(self.sigma), activity.shape[1])
        mean = np.broadcast_to((self.rest + activity)[:, None], shape)
        phi = _measured(rng, mean, self.noise)
        return Drawn(subspace, activity, {"phi": phi, "phi_se": _standard_errors(rng, shape, self.noise, self.draws)})

    def of_rest(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """rest and rest_se (sigma, channel)."""
        shape = (len(self.sigma), len(self.is_common))
        rest = _measured(rng, np.full(shape, self.rest), self.noise)
        return {"rest": rest, "rest_se": _standard_errors(rng, shape, self.noise, self.draws)}

    def labelled(
        self, arrays: dict[str, np.ndarray], ids: Sequence[str], seed: int, taps: dict[str, int] | None = None
    ) -> xr.Dataset:
        """As a tap returns it; of several taps, each has so many of the channels."""
        taps = {TAP: len(self.is_common)} if taps is None else taps
        attrs = labels.provenance(
            denoiser="none",
            settings="",
            weights_sha256="",
            taps={name: name for name in taps},
            reduce="mean",
            draws=self.draws,
            seed=seed,
            noise="gamma-distributed errors of phi",
            images=f"union of {len(self.supports)} subspaces",
        )
        return labels.representation(arrays, ids=ids, labels=None, sigma=self.sigma, channels=taps, attrs=attrs)

    def truth(self, subspace: np.ndarray, data: xr.Dataset, *, seen: np.ndarray) -> xr.Dataset:
        """What is true of the subspaces, of each image, and of channels active on such a share of the images."""
        kind = np.where(seen == 0, "silent", np.where(seen == 1, "common", "selective")).astype(object)
        dimension = np.full(len(self.supports), self.basis.shape[1])
        return xr.Dataset(
            {
                "subspace": ("image", subspace, {"long_name": "subspace of the image"}),
                "support": (
                    ("subspace", "channel"),
                    self.supports,
                    {"long_name": "channels specific to the subspace"},
                ),
                "common": ("channel", self.is_common, {"long_name": "whether the channel is active on every image"}),
                "dimension": ("subspace", dimension, {"long_name": "dimensions of the subspace"}),
                "basis": (("subspace", "component", "channel"), self.basis, {"long_name": "basis of the subspace"}),
                "type": ("channel", kind, {"long_name": "type of the channel"}),
            },
            coords={name: data[name] for name in ("image", "channel", "tap", "unit")},
        )


def law_of(rng: np.random.Generator, asked: Given, together: int) -> Law:
    """The law that images are drawn from, itself drawn; so many images must fit into memory.

    Raises
    ------
    InputError
        If a number is out of its range, or the channels are too few.
    """
    n_subspaces, n_channels = (whole(n, getattr(asked, n), least=1) for n in ("n_subspaces", "n_channels"))
    support = whole("support", asked.support, least=1)
    overlap, common = whole("overlap", asked.overlap, least=0), whole("common", asked.common, least=0)
    draws = whole("draws", asked.draws, least=2, most=MOST)
    dimension = support if asked.dimension is None else whole("dimension", asked.dimension, least=1)
    _check_channels(n_channels, n_subspaces, support, dimension, overlap, common)
    share = _shares(asked.weights, n_subspaces)
    what = f"a standard error of 0, or from {SMALLEST:g} to {LARGEST:g}"
    noise = number("noise", asked.noise, what, good=lambda v: v == 0 or SMALLEST <= v <= LARGEST)
    what = f"a positive response to noise alone, from {SMALLEST:g} to {LARGEST:g}"
    rest = number("rest", asked.rest, what, good=lambda v: SMALLEST <= v <= LARGEST)
    sigma = noise_levels(asked.sigma)
    hint = "give fewer images, channels or noise levels"
    refuse_array((together + n_subspaces * dimension, 4 * len(sigma), n_channels), 8, hint=hint)
    supports, is_common = _channels(rng, n_channels, n_subspaces, support, overlap, common)
    return Law(supports, is_common, _bases(rng, supports, dimension), share, noise, rest, draws, sigma)


def _channels(
    rng: np.random.Generator, n_channels: int, n_subspaces: int, support: int, overlap: int, common: int
) -> tuple[np.ndarray, np.ndarray]:
    """Supports (subspace, channel) and common channels (channel), on channels in random order."""
    stride = support - overlap
    order = rng.permutation(n_channels)
    supports = np.zeros((n_subspaces, n_channels), bool)
    for k in range(n_subspaces):
        supports[k, order[k * stride : k * stride + support]] = True
    is_common = np.zeros(n_channels, bool)
    is_common[order[n_channels - common :]] = True
    return supports, is_common


def _bases(rng: np.random.Generator, supports: np.ndarray, dimension: int) -> np.ndarray:
    """Non-negative bases (subspace, component, channel); every channel of the support is in one at least."""
    n_subspaces, n_channels = supports.shape
    basis = np.zeros((n_subspaces, dimension, n_channels))
    for k, mask in enumerate(supports):
        channels = np.flatnonzero(mask)
        if dimension == len(channels):
            basis[k][:, channels] = np.eye(dimension)
        else:
            basis[k][:, channels] = rng.uniform(0.2, 1.0, (dimension, len(channels)))
    return basis


def _measured(rng: np.random.Generator, mean: np.ndarray, noise: float) -> np.ndarray:
    if noise == 0:
        return np.array(mean)
    return rng.gamma((mean / noise) ** 2, noise**2 / mean)


def _standard_errors(rng: np.random.Generator, shape: tuple[int, ...], noise: float, draws: int) -> np.ndarray:
    return noise * np.sqrt(rng.chisquare(draws - 1, shape) / (draws - 1))


def _check_channels(n_channels: int, n_subspaces: int, support: int, dimension: int, overlap: int, common: int) -> None:
    if dimension > support:
        raise InputError(f"dimension={dimension}: a subspace of {support} channels has 1 to {support} dimensions")
    if overlap > support // 2:
        raise InputError(f"overlap={overlap}: neighbouring supports of {support} channels share 0 to {support // 2}")
    needed = support + (n_subspaces - 1) * (support - overlap) + common
    if n_channels < needed:
        raise InputError(f"n_channels={n_channels}: these subspaces and common channels need {needed}")


def _shares(weights: Sequence[float] | None, n_subspaces: int) -> np.ndarray:
    """Share of the images that each subspace takes."""
    what = f"{n_subspaces} numbers ≥ 0, one per subspace"
    share = np.ones(n_subspaces) if weights is None else real_array("weights", weights, what)
    valid = share.shape == (n_subspaces,) and np.isfinite(share).all() and (share >= 0).all() and share.sum() > 0
    if not valid:
        raise InputError(
            f"{given('weights', share.tolist())}: give {n_subspaces} numbers ≥ 0, one per subspace, not all 0"
        )
    return share / share.sum()
