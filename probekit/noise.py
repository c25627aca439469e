"""White Gaussian noise addressed by (seed, image id, draw): the same whatever the batch, order or worker.

One z belongs to each (image, draw) and serves every noise level, so curves over σ are smooth and
their errors are correlated along σ.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["SOURCE", "standard_normal"]

SOURCE = "numpy Philox keyed by blake2b(seed, image id, draw), on the CPU"


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
    z = np.empty((len(ids), *shape), dtype=np.float32)
    for out, name, draw in zip(z, ids, draws, strict=True):
        # The two numbers come first: an id may hold any character, so that no two triples spell one key.
        key = blake2b(f"{seed}:{draw}:{name}".encode(), digest_size=16).digest()
        stream = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
        stream.standard_normal(out=out, dtype=np.float32)
    return torch.from_numpy(z)
