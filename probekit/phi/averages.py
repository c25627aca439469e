"""Expectations over noise: draws read batch by batch, then averaged image by image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from probekit.errors import InputError
from probekit.machine.ahead import ahead
from probekit.noise import from_bits, random_bits, standard_normal

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from probekit.images import ImageSet

# Small batches share the cost of reading, noising and averaging: so many noisy images at once, or so many numbers.
GROUP = 64
GROUP_ELEMENTS = 2**22

__all__ = ["Average", "averages", "clean_and_noise", "images_together", "noise_levels", "passes"]


class Average(NamedTuple):
    """Averages over draws of a few images.

    positions are the images' places in their set; phi and phi_se are (image, sigma, channel),
    phi_draws (image, sigma, draw, channel).
    """

    positions: range
    phi: np.ndarray
    phi_se: np.ndarray
    phi_draws: np.ndarray


def noise_levels(sigma: Any) -> list[float]:
    """σ as a list of distinct finite numbers ≥ 0.

    Raises
    ------
    InputError
        If it is not.
    """
    try:
        levels = [float(s) for s in np.atleast_1d(np.asarray(sigma, dtype=float)).ravel()]
    except (TypeError, ValueError) as error:
        raise InputError(f"sigma={sigma!r}: give one noise standard deviation or a sequence of them") from error
    if not levels:
        raise InputError("sigma is empty: give at least one noise standard deviation")
    wrong = [s for s in levels if not (math.isfinite(s) and s >= 0)]
    if wrong:
        raise InputError(f"sigma holds {wrong}: noise standard deviations are finite and ≥ 0, in intensity units")
    if len(set(levels)) < len(levels):
        raise InputError(f"sigma={levels} names a noise level twice: give each once")
    return levels


def passes(levels: Sequence[float], draws: int) -> int:
    """Noisy versions of one image that are looked at."""
    return sum(draws if s > 0 else 1 for s in levels)


def images_together(source: ImageSet, levels: Sequence[float], draws: int, batch: int) -> int:
    """Images that are read, noised and averaged at once: those of one forward pass, or of several small ones."""
    block = _block(source, batch)
    return max(1, block // draws) if any(levels) else block


def _block(source: ImageSet, batch: int) -> int:
    """Noisy images made at once: whole batches, as many as make small ones worth the while."""
    return batch * max(1, min(GROUP, GROUP_ELEMENTS // math.prod(source.shape)) // batch)


def averages(
    read: Callable[[Tensor, float], list[Tensor]],
    source: ImageSet,
    levels: Sequence[float],
    *,
    draws: int,
    seed: int,
    batch: int,
    place: Tensor,
    positions: range | None = None,
    advance: Callable[[int], Any] = lambda _: None,
    early: bool | None = None,
) -> Iterator[Average]:
    """Read every image of a set at every noise level and draw; yield averages, a few images at a time.

    Parameters
    ----------
    read
        From a noisy batch (n, C, H, W) and its σ to (n, channels) at each tap.
    source
        Clean images.
    levels
        Noise levels; at 0 one pass serves as every draw.
    draws, seed
        Which noise; one z per (image, draw) for all levels.
    batch
        Noisy images in one forward pass, at most.
    place
        A tensor of the type and on the device in which the network computes.
    positions
        Which images, by default all. Images are read in groups of `images_together`, counted from
        the first of these; the same groups give the same numbers to the last bit.
    advance
        Told the number of noisy images just read.
    early
        Whether images are read, and the noise's random bits made, in a thread of their own while the network is busy,
        and the bits become noise where the network is. By default where that is not the CPU, whose threads this would
        take away from the network.

    Yields
    ------
    Average
        In the order of the set. phi_se is the standard error over draws, of the sample standard
        deviation (NaN for one draw); both are accumulated in float64.
    """
    noisy = [s for s, level in enumerate(levels) if level > 0]
    silent = [s for s, level in enumerate(levels) if level == 0]
    everything = range(len(source)) if positions is None else positions
    together, block = images_together(source, levels, draws, batch), _block(source, batch)
    groups = [range(a, min(a + together, everything.stop)) for a in range(everything.start, everything.stop, together)]
    # Noisy images of a group in order, image by image and draw by draw: the blocks in which they are made.
    blocks = {group.start: range(0, len(group) * draws if noisy else 0, block) for group in groups}
    if early is None:
        early = place.device.type != "cpu"
    made_of = random_bits if early else standard_normal

    def made() -> Iterator[tuple[Tensor, Tensor]]:
        for group in groups:
            for first in blocks[group.start]:
                chosen = range(first, min(first + block, len(group) * draws))
                images, of = [group[k // draws] for k in chosen], [k % draws for k in chosen]
                clean, random = _made(source, images, of, seed=seed, noise=made_of)
                pinned = place.device.type == "cuda"
                yield (clean.pin_memory(), random.pin_memory()) if pinned else (clean, random)

    pairs = ahead(made()) if early else made()
    for group in groups:
        values: dict[int, list[list[Tensor]]] = {s: [] for s in range(len(levels))}
        for _ in blocks[group.start]:
            x, random = (_moved(part, place) for part in next(pairs))
            z = (from_bits(random, source.shape) if early else random).to(place.dtype)
            x = x.to(place.dtype)
            for clean, noise in zip(x.split(batch), z.split(batch), strict=True):
                for s in noisy:
                    values[s].append(read(clean + levels[s] * noise, levels[s]))
                    advance(len(clean))
        for s in silent:
            for first in range(0, len(group), batch):
                chosen = group[first : first + batch]
                values[s].append(read(_placed(source.read(chosen), place), 0.0))
                advance(len(chosen))
        joined = [_joined(values[s]) for s in range(len(levels))]
        for s in silent:
            joined[s] = np.repeat(joined[s], draws, axis=0)
        stacked = np.stack(joined, axis=1)
        kept = stacked.reshape(len(group), draws, len(levels), -1).swapaxes(1, 2)
        yield _average(group, kept, silent)


def clean_and_noise(
    source: ImageSet, indices: Sequence[int], draws: Sequence[int], *, seed: int, place: Tensor
) -> tuple[Float[Tensor, "n band row col"], Float[Tensor, "n band row col"]]:
    """Images of the set with the standard normal noise of one draw each, of the type and on the device of `place`."""
    clean, noise = _made(source, indices, draws, seed=seed, noise=standard_normal)
    return _placed(clean, place), _placed(noise, place)


def _made(
    source: ImageSet, indices: Sequence[int], draws: Sequence[int], *, seed: int, noise: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    """Images and noise, or what it is made of, in main memory."""
    distinct = {index: row for row, index in enumerate(dict.fromkeys(indices))}
    clean = source.read(list(distinct))
    if len(distinct) < len(indices):
        clean = clean[[distinct[i] for i in indices]]
    ids = [source.ids[i] for i in indices]
    return clean, noise(source.shape, seed=seed, ids=ids, draws=draws)


def _average(positions: range, kept: np.ndarray, silent: Sequence[int]) -> Average:
    draws = kept.shape[2]
    phi = kept.mean(axis=2, dtype=np.float64)
    spread = kept.std(axis=2, ddof=1, dtype=np.float64) if draws > 1 else np.full(phi.shape, np.nan)
    phi_se = spread / math.sqrt(draws)
    phi_se[:, silent] = 0.0
    return Average(positions, phi, phi_se, kept)


def _joined(batches: Sequence[Sequence[Tensor]]) -> np.ndarray:
    """The values of one forward pass after another, each a list of taps, as one array (n, channels)."""
    return torch.cat([torch.cat(list(taps), dim=1) for taps in batches]).float().cpu().numpy()


def _placed(images: Tensor, place: Tensor) -> Tensor:
    return _moved(images, place).to(place.dtype)


def _moved(values: Tensor, place: Tensor) -> Tensor:
    # What comes from pinned memory is not waited for here: the device's next work is.
    return values.to(place.device, non_blocking=values.is_pinned())
