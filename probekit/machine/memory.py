"""What memory is there, what work would take, and refusing in time."""

from __future__ import annotations

import ctypes
import math
import os
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from probekit.errors import CapacityError

if TYPE_CHECKING:
    import torch

__all__ = ["available_bytes", "keep_freed", "keeping_freed", "refuse_array", "refuse_if_too_large", "spoken"]

# What every machine has, and more than any has.
SMALL, MORE_THAN_ANY = 2**26, 2**100
# Parameters of glibc's mallopt (malloc.h), and what they are set to: freed memory that a process keeps at most, and the
# largest array that is taken from it. glibc itself goes as far as 64 and 32 MiB, as larger and larger arrays are freed.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT, LARGEST = 2**28, 2**25
# How a user says that glibc is to keep to other values.
CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_")
# What Dask says of MALLOC_TRIM_THRESHOLD_, in workers and in a process that has started some, without being asked.
DASKS = "65536"


def available_bytes(device: torch.device | str = "cpu") -> int | None:
    """Bytes free for new work on a device; None where the system does not tell."""
    if str(device) != "cpu":
        import torch

        device = torch.device(device)
        if device.type == "cuda":
            return torch.cuda.mem_get_info(device)[0]
    limits = [_meminfo(), _control_group()]
    known = [n for n in limits if n is not None]
    return min(known, default=None)


def refuse_if_too_large(results: int, batch: int, *, device: torch.device, hint: str) -> None:
    """Raise CapacityError where results (kept in main memory) and one batch's work (on the device) cannot fit."""
    main = available_bytes("cpu")
    on_device = main if device.type == "cpu" else available_bytes(device)
    need_main = results + (batch if device.type == "cpu" else 0)
    if main is not None and need_main > main:
        raise CapacityError(
            f"this needs about {spoken(need_main)} of memory (results {spoken(results)}, one batch {spoken(batch)}) "
            f"and {spoken(main)} are free: {hint}"
        )
    if on_device is not None and batch > on_device:
        raise CapacityError(
            f"one batch needs about {spoken(batch)} on {device} and {spoken(on_device)} are free: "
            "give a smaller batch_size"
        )


def refuse_array(shape: Sequence[int], itemsize: int, *, device: torch.device | str = "cpu", hint: str) -> None:
    """Raise CapacityError where an array of this shape cannot fit; small ones are not measured against what is free."""
    needed = math.prod(shape) * itemsize
    if needed > SMALL:
        import torch

        refuse_if_too_large(0, needed, device=torch.device(device), hint=hint)


@cache
def keep_freed() -> bool:
    """Let this process keep up to 256 MiB of freed memory for its next use, and say whether that is so.

    Networks free and take the same memory in every pass. glibc gives it back to the system in between, which clears
    each page of 4 KiB again when it is next touched: a quarter of the time of passes that are short and not tiny.
    Nothing is set where glibc does not manage memory or the environment says how it shall (`mallopt`'s
    MALLOC_TRIM_THRESHOLD_ and the like, GLIBC_TUNABLES). It is set once, and for the whole process.
    """
    if _chosen() or platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all([mallopt(TRIM_THRESHOLD, KEPT), mallopt(MMAP_THRESHOLD, LARGEST)])


def keeping_freed() -> dict[str, str]:
    """Variables of the environment of a process that keeps freed memory so from its start, for all of its threads.

    Dask has its workers give memory back at once, and passes in a thread of their own take it from an arena of its own,
    which `keep_freed` has no say in. Empty where the environment of this process says how it shall be.
    """
    if _chosen():
        return {}
    return {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": str(KEPT), "MALLOC_MMAP_THRESHOLD_": str(LARGEST)}


def _chosen() -> bool:
    """Whether the environment says how glibc shall manage memory."""
    said = (os.environ.get(name) for name in CHOSEN)
    return any(value not in (None, DASKS) for value in said) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")


def spoken(count: float) -> str:
    """Bytes as a person says them, e.g. "1.5 GiB"."""
    count = float(min(count, MORE_THAN_ANY))
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def _meminfo() -> int | None:
    meminfo = Path("/proc/meminfo")
    for line in meminfo.read_text().splitlines() if meminfo.exists() else ():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _control_group() -> int | None:
    """What a container's memory limit leaves (cgroup v2)."""
    try:
        limit, used = (Path("/sys/fs/cgroup", f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return None if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return None
