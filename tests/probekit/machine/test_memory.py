"""Sizes are spoken plainly, and work that cannot fit is refused before it begins."""

import os
import platform
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import CapacityError
from probekit.machine.memory import available_bytes, refuse_if_too_large, spoken

CPU = torch.device("cpu")
# Takes and frees eight arrays of 16 MiB, as a pass does, and prints how much of them the process holds afterwards.
PASSES = """
import os
import numpy as np

def held():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def one_pass():
    kept = [np.ones(2**22, np.float32) for _ in range(8)]

before = held()
one_pass()
one_pass()
print(held() - before)
"""
TAKEN = 8 * 2**24
# By itself glibc keeps at most twice the largest array that was freed.
ITSELF = 2 * 2**24 / TAKEN
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1.5 * 2**30, "1.5 GiB"),
        (1000 * 2**20, "1000 MiB"),
        (3 * 2**40, "3 TiB"),
    ],
)
def test_bytes_are_spoken_in_the_largest_fitting_unit(count: float, words: str) -> None:
    assert spoken(count) == words


@given(st.integers(0, 2**50))
def test_spoken_bytes_read_back_to_the_same_number_within_rounding(count: int) -> None:
    number, unit = re.fullmatch(r"([\d.]+) (\w+)", spoken(count)).groups()
    # Four significant digits: half a unit of the last one is at most 5·10⁻⁴ of the number.
    assert float(number) * UNITS[unit] == pytest.approx(count, rel=5e-4)


def test_available_memory_is_positive_and_at_most_what_the_machine_has() -> None:
    free = available_bytes()
    assert free is not None
    assert 0 < free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_work_that_fits_is_not_refused() -> None:
    refuse_if_too_large(1000, 1000, device=CPU, hint="unused")


def test_results_that_do_not_fit_are_refused_with_both_sizes_and_the_hint() -> None:
    with pytest.raises(CapacityError, match=r"results 1024 TiB, one batch 1 MiB.* are free: pass store="):
        refuse_if_too_large(2**50, 2**20, device=CPU, hint="pass store=")


def test_results_and_a_batch_that_fit_one_by_one_but_not_together_are_refused_on_the_cpu() -> None:
    part = int(0.7 * available_bytes())
    refuse_if_too_large(part // 2, 0, device=CPU, hint="")
    with pytest.raises(CapacityError, match="this needs about"):
        refuse_if_too_large(part, part, device=CPU, hint="")


def test_a_batch_that_does_not_fit_a_device_of_its_own_names_the_device_and_asks_for_smaller_batches() -> None:
    with pytest.raises(CapacityError, match=r"one batch needs about 1024 TiB on meta .* smaller batch_size"):
        refuse_if_too_large(0, 2**50, device=torch.device("meta"), hint="unused")


def kept_after(first: str, **environment: str) -> int:
    """Bytes of freed arrays that a new process holds, after `first`."""
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", f"{first}\n{PASSES}"],
        env=unset | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="sets what only glibc has")


@glibc
@pytest.mark.parametrize(
    "use",
    [
        "from probekit.machine.memory import keep_freed; assert keep_freed()",
        "from probekit.machine.modes import flushed_denormals\nwith flushed_denormals(): pass",
        "import probekit, torch\n"
        "network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1))\n"
        "probekit.tap(network, '0')(torch.rand(1, 1, 4, 4), sigma=0.1)",
    ],
    ids=["asked for", "much computing", "a tap"],
)
def test_whoever_computes_keeps_freed_memory_for_the_next_pass(use: str) -> None:
    assert kept_after(use) > 0.9 * TAKEN


@glibc
@pytest.mark.parametrize(
    "chosen",
    [{"MALLOC_TRIM_THRESHOLD_": str(2**17)}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}],
    ids=["variable", "tunable"],
)
def test_a_user_who_says_what_glibc_keeps_is_obeyed(chosen: dict[str, str]) -> None:
    first = "from probekit.machine.memory import keep_freed; assert not keep_freed()"
    assert kept_after(first, **chosen) < 0.1 * TAKEN


@glibc
def test_without_it_freed_memory_goes_back_to_the_system() -> None:
    assert kept_after("") < 1.1 * ITSELF * TAKEN


@pytest.mark.gpu
def test_available_memory_of_a_gpu_is_the_gpus_own() -> None:
    free = available_bytes("cuda")
    assert free is not None
    assert 0 < free <= torch.cuda.get_device_properties(0).total_memory
