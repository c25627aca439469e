"""Expectations over noise: noisy batches are made, read by whoever has a network, and averaged image by image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from probekit.checks import noise_levels
from probekit.denoising.conditions import by_row, placed
from probekit.machine.ahead import ahead
from probekit.machine.cores import usable_cores
from probekit.noise import from_bits, random_bits, standard_normal

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from probekit.denoising.conditions import Conditions
    from probekit.images import ImageSet

# Small batches share the cost of reading, noising and averaging: so many noisy images at once, or so many numbers.
GROUP = 64
GROUP_ELEMENTS = 2**22
# Numbers in a batch from which on a thread of its own for what comes next is worth the while.
EARLY_ELEMENTS = 2**15

__all__ = ["Average", "Noising", "NoisyBatch", "averaged", "clean_and_noise", "noise_levels", "noisy_batches"]


@dataclass(frozen=True)
class Noising:
    """Which noisy versions of each image are looked at, and how many at once.

    Attributes
    ----------
    levels : Sequence[float]
        Noise levels.
    draws, seed : int
        Which noise; one z per (image, draw) for all levels. At level 0 one version serves as every draw.
    batch : int
        Noisy images in one forward pass, at most.
    rotating : bool
        Whether draw d of every image is looked at under the conditions of the d-th image, in rotation, instead of its
        own; then draws differ at level 0 too, and each is looked at there.
    """

    levels: Sequence[float]
    draws: int
    seed: int
    batch: int
    rotating: bool = False

    @property
    def noisy(self) -> list[int]:
        """Positions of the levels at which draws differ: those above 0."""
        return [s for s, level in enumerate(self.levels) if level > 0 or self.rotating]

    @property
    def noiseless(self) -> list[int]:
        """Positions of the levels at which one version serves as every draw: those at 0."""
        return [s for s, level in enumerate(self.levels) if level == 0 and not self.rotating]

    @property
    def versions(self) -> int:
        """Noisy versions of one image."""
        return len(self.noisy) * self.draws + len(self.noiseless)

    def block(self, source: ImageSet) -> int:
        """Noisy images made at once: whole batches, as many as make small ones worth the while."""
        return self.batch * max(1, min(GROUP, GROUP_ELEMENTS // math.prod(source.shape)) // self.batch)

    def together(self, source: ImageSet) -> int:
        """Images that are read, noised and averaged at once: those of one forward pass, or of several small ones."""
        block = self.block(source)
        return max(1, block // self.draws) if self.noisy else block


class NoisyBatch(NamedTuple):
    """Noisy images that are made at once, for one forward pass or several.

    group are the places in their set of the images that are averaged together, to which these belong; level is
    the position of their noise level, y the noisy images (n, C, H, W), and conditions what else the network is given of
    them.
    """

    group: range
    level: int
    y: Tensor
    conditions: Mapping[str, Any]


class Average(NamedTuple):
    """Averages over draws of a few images.

    positions are the images' places in their set; phi and phi_se are (image, sigma, channel),
    phi_draws (image, sigma, draw, channel).
    """

    positions: range
    phi: np.ndarray
    phi_se: np.ndarray
    phi_draws: np.ndarray


def noisy_batches(
    source: ImageSet,
    noising: Noising,
    *,
    place: Tensor,
    conditions: Conditions | None = None,
    positions: range | None = None,
    early: bool | None = None,
) -> Iterator[NoisyBatch]:
    """Every image of a set at every noise level and draw, one or several forward passes of them at a time.

    Parameters
    ----------
    source
        Clean images.
    noising
        Which noisy versions, how many at once.
    place
        A tensor of the type and on the device in which the network computes.
    conditions
        What else the network is given of each image, if anything.
    positions
        Which images, by default all. Images are read in groups of `Noising.together`, counted from
        the first of these; the same groups give the same numbers to the last bit.
    early
        Whether images and conditions are read, and noise made, in a thread of their own while the network is busy. By
        default where that takes no core from the network: it is on a GPU, where random bits become noise, or computes
        in fewer threads than this process may use, and batches are not small.

    Yields
    ------
    NoisyBatch
        Group by group in the order of the set; of a group, block by block of its images and draws, at each noisy level
        image by image and draw by draw; then its images without noise.
    """
    elsewhere = place.device.type != "cpu"
    if early is None:
        # Two threads wait for each other longer than a few small images take.
        small = noising.batch * math.prod(source.shape) < EARLY_ELEMENTS
        early = elsewhere or (torch.get_num_threads() < usable_cores() and not small)
    from_device = elsewhere and early
    everything = range(len(source)) if positions is None else positions
    together = noising.together(source)
    # Group by group as they come: a list of them would grow with the set.
    blocks = (
        (group, block) for group in _groups(everything, together) for block in _blocks(len(group), source, noising)
    )
    made = _parts(source, blocks, noising, conditions, place, random_bits if from_device else standard_normal)
    in_the_first = len(_blocks(min(together, len(everything)), source, noising))
    several = in_the_first > 1 or (in_the_first == 1 and len(everything) > together)
    parts = ahead(made) if early and several else made
    noisy, noiseless = noising.noisy, noising.noiseless
    for group in _groups(everything, together):
        for _ in _blocks(len(group), source, noising):
            *images_and_noise, given = next(parts)
            x, random = (_moved(part, place) for part in images_and_noise)
            z = (from_bits(random, source.shape) if from_device else random).to(place.dtype)
            x, given = x.to(place.dtype), placed(given, place)
            for s in noisy:
                # Memory that is in the cache is written to again, the noise itself last.
                y = z if s == noisy[-1] else torch.empty_like(z)
                yield NoisyBatch(group, s, torch.mul(z, noising.levels[s], out=y).add_(x), given)
        for s in noiseless:
            for first in range(0, len(group), noising.batch):
                chosen = group[first : first + noising.batch]
                given = {} if conditions is None else conditions.at(chosen, place)
                yield NoisyBatch(group, s, _placed(source.read(chosen), place), given)


def averaged(values: Iterable[tuple[NoisyBatch, list[Tensor]]], noising: Noising) -> Iterator[Average]:
    """Averages over draws, of what was read of `noisy_batches`.

    Parameters
    ----------
    values
        Each batch, in order, with (n, channels) at each tap.
    noising
        That of the batches.

    Yields
    ------
    Average
        Of a group of images as soon as it is complete. phi_se is the standard error over draws, of the sample
        standard deviation (NaN for one draw); both are accumulated in float64.
    """
    found: list[list[Tensor]] = [[] for _ in noising.levels]
    seen, versions = 0, noising.versions
    for batch, taps in values:
        found[batch.level].append(torch.cat(taps, dim=1) if len(taps) > 1 else taps[0])
        seen += batch.y.shape[0]
        if seen == len(batch.group) * versions:
            yield _average(batch.group, found, noising)
            found, seen = [[] for _ in noising.levels], 0


def clean_and_noise(
    source: ImageSet, indices: Sequence[int], draws: Sequence[int], *, seed: int, place: Tensor
) -> tuple[Float[Tensor, "n band row col"], Float[Tensor, "n band row col"]]:
    """Images of the set with the standard normal noise of one draw each, of the type and on the device of `place`."""
    clean, noise = _clean_and_random(source, indices, draws, seed=seed, make=standard_normal)
    return _placed(clean, place), _placed(noise, place)


def _groups(everything: range, together: int) -> Iterator[range]:
    """The images that are averaged together, so many at a time."""
    return (range(a, min(a + together, everything.stop)) for a in range(everything.start, everything.stop, together))


def _blocks(images: int, source: ImageSet, noising: Noising) -> list[range]:
    """The noisy images of a group, counted image by image and draw by draw, in the blocks in which they are made."""
    count, block = images * noising.draws if noising.noisy else 0, noising.block(source)
    return [range(first, min(first + block, count)) for first in range(0, count, block)]


def _parts(
    source: ImageSet,
    blocks: Iterable[tuple[range, range]],
    noising: Noising,
    conditions: Conditions | None,
    place: Tensor,
    make: Callable[..., Tensor],
) -> Iterator[tuple[Tensor, Tensor, Mapping[str, Any]]]:
    """Images, noise or what it is made of, and conditions of each block, in main memory; pinned there for a GPU."""
    pinned = place.device.type == "cuda"
    for group, block in blocks:
        images, draws = [group[k // noising.draws] for k in block], [k % noising.draws for k in block]
        clean, random = _clean_and_random(source, images, draws, seed=noising.seed, make=make)
        given: dict[str, Any] = {}
        if conditions is not None:
            whose = [draw % len(conditions) for draw in draws] if noising.rotating else images
            given = conditions.read(whose, place)
        if pinned:
            clean, random = clean.pin_memory(), random.pin_memory()
            given = {name: value.pin_memory() if by_row(value) else value for name, value in given.items()}
        yield clean, random, given


def _clean_and_random(
    source: ImageSet, indices: Sequence[int], draws: Sequence[int], *, seed: int, make: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    """Images, and noise or what it is made of, in main memory."""
    distinct = {index: row for row, index in enumerate(dict.fromkeys(indices))}
    clean = source.read(list(distinct))
    if len(distinct) < len(indices):
        clean = clean[[distinct[i] for i in indices]]
    ids = [source.ids[i] for i in indices]
    return clean, make(source.shape, seed=seed, ids=ids, draws=draws)


def _average(group: range, found: Sequence[Sequence[Tensor]], noising: Noising) -> Average:
    draws, noiseless = noising.draws, noising.noiseless
    joined = [_single_or_double(made[0] if len(made) == 1 else torch.cat(list(made))).cpu().numpy() for made in found]
    for s in noiseless:
        joined[s] = np.repeat(joined[s], draws, axis=0)
    stacked = np.stack(joined, axis=1)
    kept = stacked.reshape(len(group), draws, len(noising.levels), -1).swapaxes(1, 2)
    if draws == 1:
        phi = kept[:, :, 0].astype(np.float64)
        phi_se = np.full(phi.shape, np.nan)
    else:
        phi = kept.mean(axis=2, dtype=np.float64)
        phi_se = kept.std(axis=2, ddof=1, dtype=np.float64) / math.sqrt(draws)
    phi_se[:, noiseless] = 0.0
    return Average(group, phi, phi_se, kept)


def _single_or_double(values: Tensor) -> Tensor:
    """Values of double precision as they are, so that a small spread about a large mean is not lost; others float32."""
    return values if values.dtype == torch.float64 else values.float()


def _placed(images: Tensor, place: Tensor) -> Tensor:
    return _moved(images, place).to(place.dtype)


def _moved(values: Tensor, place: Tensor) -> Tensor:
    # What comes from pinned memory is not waited for here: the device's next work is.
    return values.to(place.device, non_blocking=values.is_pinned())
