"""White Gaussian noise addressed by (seed, image id, draw): the same whatever the batch, order or worker.

One z belongs to each (image, draw) and serves every noise level, so curves over σ are smooth and
their errors are correlated along σ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit.checks import given, listed, plain, whole
from probekit.errors import InputError
from probekit.machine.memory import refuse_array

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

__all__ = ["SOURCE", "SOURCE_DEVICE", "from_bits", "random_bits", "standard_normal"]

SOURCE = "Philox keyed by blake2b(seed, image id, draw), Box-Muller, on the CPU"
SOURCE_DEVICE = "Philox keyed by blake2b(seed, image id, draw) on the CPU, Box-Muller on the device"
# Numbers transformed together: few enough that what is computed on the way stays in a core's cache.
CACHED = 2**14
FEWER = "give a smaller shape, or fewer ids at a time"


def standard_normal(
    shape: Sequence[int], *, seed: int, ids: Sequence[str], draws: Sequence[int]
) -> Float[Tensor, "n ..."]:
    """Draw one standard normal array for each pair of an image id and a draw number.

    Each pair has a stream of its own: a counter-based generator (Philox 4×64) whose 128-bit key is
    a hash of (seed, id, draw). Nothing is shared between streams and no global state is touched.

    Parameters
    ----------
    shape
        Shape of one array, e.g. (C, H, W).
    seed
        Any integer.
    ids, draws
        Image ids and draw numbers, of equal length n.

    Returns
    -------
    Tensor
        float32, shape (n, *shape), on the CPU.

    Raises
    ------
    InputError
        If sizes, seed or draws are no whole numbers, ids neither texts nor whole numbers, or there is not one draw for
        each id.
    CapacityError
        If the arrays do not fit in memory.

    Examples
    --------
    >>> both = standard_normal((1, 2, 2), seed=0, ids=["a", "b"], draws=[0, 3])
    >>> alone = standard_normal((1, 2, 2), seed=0, ids=["b"], draws=[3])
    >>> bool((both[1] == alone[0]).all())
    True
    """
    shape = _sizes(shape)
    half = (math.prod(shape) + 1) // 2
    seed, ids, draws = _address(seed, ids, draws)
    refuse_array((len(ids), 2 * half), 4, hint=FEWER)
    streams = _streams(seed, ids, draws, half)
    z = np.empty((len(ids), 2 * half), np.float32)
    together = min(len(ids), max(1, CACHED // half))
    scratch = np.empty((3, together, half), np.float32)
    for start in range(0, len(ids), together):
        chosen = z[start : start + together]
        for place, bits in zip(chosen.view(np.uint64), streams, strict=False):
            place[:] = bits
        _box_muller(chosen, scratch[:, : len(chosen)])
    return torch.from_numpy(z[:, : math.prod(shape)].reshape(len(ids), *shape))


def random_bits(shape: Sequence[int], *, seed: int, ids: Sequence[str], draws: Sequence[int]) -> Int[Tensor, "n bits"]:
    """The bits that `standard_normal` makes noise of, for a device that makes it itself: a third of the work.

    Parameters
    ----------
    shape, seed, ids, draws
        As for `standard_normal`.

    Returns
    -------
    Tensor
        int32, shape (n, numbers in one array, rounded up to an even number), on the CPU.

    Raises
    ------
    InputError
        As for `standard_normal`.
    """
    half = (math.prod(_sizes(shape)) + 1) // 2
    seed, ids, draws = _address(seed, ids, draws)
    refuse_array((len(ids), half), 8, hint=FEWER)
    streams = _streams(seed, ids, draws, half)
    bits = np.empty((len(ids), half), np.uint64)
    for place, stream in zip(bits, streams, strict=True):
        place[:] = stream
    return torch.from_numpy(bits.view(np.int32))


def from_bits(bits: Int[Tensor, "n bits"], shape: Sequence[int]) -> Float[Tensor, "n ..."]:
    """Standard normals of `random_bits`, on their device: those of `standard_normal`, up to rounding.

    Parameters
    ----------
    bits
        What `random_bits` returned, on any device.
    shape
        Shape of one array.

    Returns
    -------
    Tensor
        float32, shape (n, *shape).

    Raises
    ------
    InputError
        If these are not the bits of such arrays.
    """
    shape = _sizes(shape)
    width = (math.prod(shape) + 1) // 2 * 2
    if not isinstance(bits, torch.Tensor) or bits.dtype != torch.int32 or bits.ndim != 2 or bits.shape[1] != width:
        got = f"{bits.dtype} {tuple(bits.shape)}" if isinstance(bits, torch.Tensor) else f"a {type(bits).__name__}"
        raise InputError(f"bits are {got}: give what random_bits made for the shape {shape}, torch.int32 (n, {width})")
    unit = (bits.long() & 0xFFFFFFFF).float() * 2**-32
    uniform, turn = unit.chunk(2, dim=1)
    radius = (-2 * (uniform + 2**-33).log()).sqrt()
    turn = turn * (2 * math.pi)
    z = torch.cat([radius * turn.cos(), radius * turn.sin()], dim=1)
    return z[:, : math.prod(shape)].reshape(len(bits), *shape)


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(
        whole("shape", size, least=1) for size in listed("shape", shape, "the shape of one array, e.g. (3, 64, 64)")
    )


def _address(seed: Any, ids: Any, draws: Any) -> tuple[int, list[str], list[int]]:
    ids = listed("ids", ids, "a list of image ids")
    draws = listed("draws", draws, "a list of draw numbers, one for each id")
    # Asked for at every batch: what is in order is not looked at twice.
    if not all(type(one) is str for one in ids):
        ids = [_id(one) for one in ids]
    if not all(type(draw) is int for draw in draws):
        draws = [whole("draws", draw) for draw in draws]
    if len(ids) != len(draws):
        raise InputError(f"there are {len(ids)} ids and {len(draws)} draws: give one draw for each id")
    return whole("seed", seed), ids, draws


def _id(value: Any) -> str:
    """An id as it is hashed: a text, or a whole number as one."""
    found = plain(value)
    if not isinstance(found, str | int) or isinstance(found, bool):
        raise InputError(f"{given('ids', value)}: give a list of image ids, texts or whole numbers")
    return str(found)


def _streams(seed: int, ids: Sequence[str], draws: Sequence[int], count: int) -> Iterator[np.ndarray]:
    """The first `count` numbers of 64 bits of each address."""
    stream = np.random.Philox(0)
    fresh: Any = stream.state
    own = fresh["state"]["key"]
    for name, draw in zip(ids, draws, strict=True):
        # The two numbers come first: an id may hold any character, so that no two triples spell one key.
        key = blake2b(f"{seed}:{draw}:{name}".encode(errors="surrogatepass"), digest_size=16).digest()
        # Setting the key of one generator is several times as fast as making a generator for each.
        own[:] = np.frombuffer(key, "<u8")
        stream.state = fresh
        yield stream.random_raw(count)


def _box_muller(z: np.ndarray, scratch: np.ndarray) -> None:
    """Two standard normals of each 64 random bits, in their place, by Box & Muller (1958).

    Several times as fast as numpy's ziggurat in float32. The uniform that gives the radius lies in
    [2⁻³³, 1], so that |z| < 6.8; beyond lies 1e-11 of a normal.

    Parameters
    ----------
    z
        Random bits (n, 2k), taken as float32; normals afterwards.
    scratch
        Memory to work in, float32 (3, n, k).
    """
    half = scratch.shape[2]
    radius, turn, wave = scratch
    for unit, bits in ((radius, z[:, :half]), (turn, z[:, half:])):
        np.copyto(unit, bits.view(np.uint32), casting="unsafe")
        unit *= np.float32(2**-32)
    radius += np.float32(2**-33)
    np.log(radius, out=radius)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    turn *= np.float32(2 * np.pi)
    np.multiply(radius, np.cos(turn, out=wave), out=z[:, :half])
    np.multiply(radius, np.sin(turn, out=wave), out=z[:, half:])
