"""White Gaussian noise addressed by (seed, image id, draw): the same whatever the batch, order or worker.

One z belongs to each (image, draw) and serves every noise level, so curves over σ are smooth and
their errors are correlated along σ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["SOURCE", "standard_normal"]

SOURCE = "Philox keyed by blake2b(seed, image id, draw), Box-Muller, on the CPU"
# Numbers transformed together: few enough that what is computed on the way stays in a core's cache.
CACHED = 2**14


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

    Examples
    --------
    >>> both = standard_normal((1, 2, 2), seed=0, ids=["a", "b"], draws=[0, 3])
    >>> alone = standard_normal((1, 2, 2), seed=0, ids=["b"], draws=[3])
    >>> bool((both[1] == alone[0]).all())
    True
    """
    half = (math.prod(shape) + 1) // 2
    z = np.empty((len(ids), 2 * half), np.float32)
    # The two numbers come first: an id may hold any character, so that no two triples spell one key.
    addresses = [f"{seed}:{draw}:{name}" for name, draw in zip(ids, draws, strict=True)]
    _fill(z, addresses)
    return torch.from_numpy(z[:, : math.prod(shape)].reshape(len(ids), *shape))


def _fill(z: np.ndarray, addresses: Sequence[str]) -> None:
    """Standard normals into the rows of z, each from the stream of its address."""
    half = z.shape[1] // 2
    rows = max(1, CACHED // half)
    stream = np.random.Philox(0)
    fresh: Any = stream.state
    for start in range(0, len(addresses), rows):
        bits = []
        for address in addresses[start : start + rows]:
            key = blake2b(address.encode(errors="surrogatepass"), digest_size=16).digest()
            # Setting the key of one generator is several times as fast as making a generator for each.
            fresh["state"]["key"][:] = np.frombuffer(key, "<u8")
            stream.state = fresh
            bits.append(stream.random_raw(half))
        _box_muller(np.stack(bits), out=z[start : start + rows])


def _box_muller(bits: np.ndarray, *, out: np.ndarray) -> None:
    """Two standard normals of each 64 random bits, (n, k) → (n, 2k), by Box & Muller (1958).

    Several times as fast as numpy's ziggurat in float32. The uniform that gives the radius lies in
    [2⁻³³, 1], so that |z| < 6.8; beyond lies 1e-11 of a normal.
    """
    n, half = bits.shape
    unit = bits.view(np.uint32).astype(np.float32)
    unit *= np.float32(2**-32)
    uniform, turn = np.moveaxis(unit.reshape(n, 2, half), 1, 0)
    radius = np.sqrt(-2 * np.log(uniform + np.float32(2**-33)))
    turn = turn * np.float32(2 * np.pi)
    np.multiply(radius, np.cos(turn), out=out[:, :half])
    np.multiply(radius, np.sin(turn), out=out[:, half:])
