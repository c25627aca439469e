"""Hypothesis profiles, data that may be absent, and small networks that tests share."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

# Before torch is loaded: tiny networks gain nothing by a second thread, and workers of several threads each wait for
# one another far longer than they compute. Processes that tests start inherit it. Numba has a count of its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings

from probekit.models.unet import UNet

# Forward passes on a busy two-core machine vary too much for a deadline.
quiet = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("local", max_examples=20, **quiet)
settings.register_profile("ci", max_examples=50, derandomize=True, **quiet)
torch.set_num_threads(1)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "local"))

PHOTOGRAPHS = Path(
    os.environ.get("PROBEKIT_PHOTOGRAPHS", Path(__file__).parents[2] / "shared" / "data" / "tiny-imagenet")
)

DENOISERS = Path(os.environ.get("PROBEKIT_DENOISERS", PHOTOGRAPHS.parent / "published-denoisers"))

SLOW = set(Path(__file__).with_name("slow.txt").read_text().split())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """The garbage collector begins once modules, tests and their parameters are there, and leaves these aside.

    They live to the end, and to look at all of them again and again was a quarter of the time of the suite.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = pytest.mark.skip(reason=f"no photographs at {PHOTOGRAPHS}; set PROBEKIT_PHOTOGRAPHS to where val.zip lies")
    unpublished = pytest.mark.skip(reason=f"no weights at {DENOISERS}; set PROBEKIT_DENOISERS to where they lie")
    no_gpu = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if item.nodeid.partition("[")[0] in SLOW:
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("photographs") and not (PHOTOGRAPHS / "val.zip").exists():
            item.add_marker(absent)
        if item.get_closest_marker("denoisers") and not list(DENOISERS.glob("*.safetensors")):
            item.add_marker(unpublished)
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(no_gpu)


def state_of_the_process() -> dict[str, object]:
    """What a call may not leave changed for those who come after it."""
    return {
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "denormals flushed": bool(torch.tensor([1e-42]) * 1 == 0),
        "default dtype": torch.get_default_dtype(),
        "only deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "precision of products": torch.get_float32_matmul_precision(),
        "oneDNN": torch.backends.mkldnn.enabled,
    }


# Before any test module is imported, since imports change it too.
AT_FIRST = state_of_the_process()


@pytest.fixture(autouse=True)
def as_found() -> Iterator[None]:
    """No test, no command it runs and nothing it imports leaves the process otherwise than it was."""
    assert state_of_the_process() == AT_FIRST
    folder = Path.cwd()
    yield
    assert state_of_the_process() == AT_FIRST
    assert Path.cwd() == folder


@pytest.fixture
def photographs() -> Path:
    """Folder of the Tiny ImageNet zips; use with the marker of the same name."""
    return PHOTOGRAPHS


@pytest.fixture
def denoisers() -> Path:
    """Folder of the published denoisers' weights, .safetensors; use with the marker of the same name."""
    return DENOISERS


@pytest.fixture
def unet() -> UNet:
    """The paper's UNet, narrow, with reproducible weights, in evaluation mode."""
    torch.manual_seed(0)
    return UNet((4, 8, 12, 16)).eval()
