"""How long something took on a device."""

from __future__ import annotations

import time

import torch

__all__ = ["clock"]


def clock(device: torch.device) -> float:
    """Seconds, once all that a GPU was given is done; on one thread of the CPU, those that it worked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif torch.get_num_threads() == 1:
        # What other programs on the processor take is no part of it.
        return time.thread_time()
    return time.perf_counter()
