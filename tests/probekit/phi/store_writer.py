"""A process that forks writers of one store on request, so that tests can kill them at any moment.

Imports are made once; each line on standard input, a JSON list [path, files or null], forks a writer, kills it
with SIGKILL as soon as its folder holds that many files, unless it has ended, and prints its exit status.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import xarray.backends.zarr  # noqa: F401  so that forked writers need not import it
import zarr  # noqa: F401

import probekit
from probekit.models.unet import UNet
from probekit.phi import averages, store

IMAGES, SIGMA, DRAWS = 60, [0.0, 0.2], 2


def write(path: str) -> None:
    """Write, or go on writing, the store that all tests here use: 15 units of 4 images."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    images = np.random.default_rng(0).random((IMAGES, 3, 8, 8), dtype=np.float32)
    probekit.tap(model, "enc1", "mid")(images, sigma=SIGMA, draws=DRAWS, batch_size=8, keep_draws=True, store=path)


def main() -> None:
    store.CHUNK_BYTES, averages.GROUP = 1600, 1
    for line in sys.stdin:
        path, files = json.loads(line)
        child = os.fork()
        if child == 0:
            # On a busy machine the one who watches is to be quicker than the one who writes.
            os.nice(10 if files is not None else 0)
            write(path)
            os._exit(0)
        ended, status = (0, 0) if files is not None else os.waitpid(child, 0)
        while not ended:
            # os.walk passes over folders that vanish while it looks.
            if sum(len(names) for *_, names in os.walk(Path(path).parent)) >= files:
                os.kill(child, signal.SIGKILL)
                ended, status = os.waitpid(child, 0)
            else:
                ended, status = os.waitpid(child, os.WNOHANG)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
