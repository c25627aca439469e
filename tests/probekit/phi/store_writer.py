"""A process that forks writers of one store on request, so that tests can kill them at any moment.

Imports are made once; each line on standard input, a JSON list [path, seconds or null], forks a writer, which the
system kills without warning once it has used so much processor time, unless it has ended. Printed are its exit status
and the processor time that it used: that of a busy machine is no other, and no one need watch.
"""

import json
import os
import signal
import sys

import numpy as np
import torch
import xarray.backends.zarr  # noqa: F401  so that forked writers need not import it
import zarr  # noqa: F401

import probekit
from probekit.models.unet import UNet
from probekit.phi import averages, store

IMAGES, SIGMA, DRAWS = 60, [0.0, 0.2], 2


def network() -> UNet:
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))


def write(path: str) -> None:
    """Write, or go on writing, the store that all tests here use: 15 units of 4 images."""
    torch.set_num_threads(1)
    images = np.random.default_rng(0).random((IMAGES, 3, 8, 8), dtype=np.float32)
    probekit.tap(network(), "enc1", "mid")(images, sigma=SIGMA, draws=DRAWS, batch_size=8, keep_draws=True, store=path)


def main() -> None:
    store.CHUNK_BYTES, averages.GROUP = 1600, 1
    # The first survey of a process makes torch import its compiler, which takes several times as long as a store.
    probekit.taps(network(), (3, 8, 8))
    for line in sys.stdin:
        path, seconds = json.loads(line)
        child = os.fork()
        if child == 0:
            if seconds is not None:
                # As deadly as SIGKILL where nobody handles it; counts what the process computes, all threads together.
                signal.setitimer(signal.ITIMER_PROF, seconds)
            write(path)
            os._exit(0)
        _, status, used = os.wait4(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]), flush=True)


if __name__ == "__main__":
    main()
