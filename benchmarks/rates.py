"""Clocks and limits that benchmarks share: seconds on the device, arithmetic of a network, a large matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["device_name", "flops_of", "peak_of", "product_rate", "seconds_of"]

# Dense bf16 TFLOP/s with float32 accumulation, from NVIDIA's data sheets.
PEAKS = {"H100 PCIe": 756, "H100": 989, "H200": 989, "GH200": 989, "A100": 312, "L40S": 362}


def device_name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def peak_of(device: torch.device) -> float | None:
    """TFLOP/s that the maker states for bf16, where known."""
    name = device_name(device)
    return next((float(rate) for key, rate in PEAKS.items() if device.type == "cuda" and key in name), None)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Time of `work`: between two events in the GPU's own queue, or by the clock."""
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    # The device's own queue, also where it is not the current device.
    queue = torch.cuda.current_stream(device)
    begin.record(queue)
    work()
    end.record(queue)
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def flops_of(work: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and products in `work`; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def product_rate(device: torch.device, dtype: torch.dtype, side: int) -> Callable[[], float]:
    """A function that multiplies two square matrices and gives the FLOP/s."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    out: Tensor = torch.empty(side, side, device=device, dtype=dtype)
    repeats = 10 if device.type == "cuda" else 1

    def measured() -> float:
        seconds = seconds_of(lambda: [torch.mm(a, b, out=out) for _ in range(repeats)], device)
        return repeats * 2 * side**3 / seconds

    return measured
