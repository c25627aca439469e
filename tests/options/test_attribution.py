"""Bad options of everything public in attribution: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import attribution
from probekit.errors import InputError, ModelError
from probekit.models.unet import UNet


def network(seed: int) -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()


MODEL = network(0)
TAP = probekit.tap(MODEL, "mid")
OTHER = probekit.tap(network(1), "mid")


def images(size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((2, 3, size, size), np.float32)


KINDS = np.tile(np.array(["selective", "common", "mixed", "silent"], dtype=object), (2, 10))
TYPES = xr.Dataset(
    {"type": (("sigma", "channel"), KINDS)},
    coords={
        "sigma": [0.1, 0.3],
        "tap": ("channel", np.array(["mid"] * 40, dtype=object)),
        "unit": ("channel", np.arange(40)),
    },
)
TWO_TAPS = TYPES.assign_coords(tap=("channel", np.repeat(np.array(["enc1", "mid"], dtype=object), 20)))
ENERGY = xr.DataArray(np.random.default_rng(0).gamma(2, size=40), dims="channel")


def attribute(x: Any = None, *, model: Any = MODEL, tap: Any = TAP, **options: Any) -> Callable[[], Any]:
    given = {"channels": [0], "sigma": 0.2, "n_steps": 4, "tolerance": 1.0, **options}
    return lambda: attribution.attribute(model, tap, images() if x is None else x, **given)


def effects(x: Any = None, *, model: Any = MODEL, tap: Any = TAP, **options: Any) -> Callable[[], Any]:
    given = {"groups": {"a": [0]}, "sigma": 0.2, "resamples": 100, **options}
    return lambda: attribution.effects(model, tap, images() if x is None else x, **given)


def matched(findings: Any = TYPES, energy: Any = ENERGY, **options: Any) -> Callable[[], Any]:
    return lambda: attribution.matched_groups(findings, energy, **{"sigma": 0.1, **options})


BAD: list[tuple[Callable[[], Any], str]] = [
    (attribute(tap="mid"), "tap='mid': give a tap"),
    (attribute(tap=OTHER), "is not of this denoiser: make the tap of it"),
    (attribute(images(9)), "cannot be halved evenly"),
    (attribute(images()[:, :1]), "images of 3 channels"),
    (attribute(5), "images"),
    (attribute(ids=["a"]), "ids"),
    (attribute(ids=["a", "a"]), "more than once"),
    (attribute(channels=[0, 6]), r"channels \[6\] do not exist: there are channels 0…5"),
    (attribute(channels=[]), "at least one channel"),
    (attribute(channels=[1, 1]), "names a channel twice"),
    (attribute(channels=[0.5]), "give the number"),
    (attribute(sigma=[]), "sigma is empty"),
    (attribute(sigma=-1), "noise standard deviations are finite"),
    (attribute(sigma=None), "sigma"),
    (attribute(method="saliency"), "method='saliency': give one of integrated_gradients, occlusion"),
    (attribute(draws=0), "draws=0: give a whole number ≥ 1"),
    (attribute(seed="a"), "seed='a': give a whole number ≥ 0"),
    (attribute(baseline="a"), "baseline='a': give a finite intensity"),
    (attribute(baseline=np.nan), "baseline=nan"),
    (attribute(n_steps=1), "n_steps=1: give a whole number from 2 to 4096"),
    (attribute(tolerance=0), "tolerance=0: give the largest relative completeness error"),
    (attribute(tolerance=None), "tolerance=None"),
    (attribute(method="occlusion", window=0), "window=0: give a whole number ≥ 1"),
    (attribute(method="occlusion", window=9), "window=9 on images of 8×8"),
    (attribute(method="occlusion", stride=5), "stride=5: give a step of 1 to window=4"),
    (attribute(method="occlusion", stride="a"), "stride='a'"),
    (effects(tap="mid"), "tap='mid': give a tap"),
    (effects(tap=OTHER), "is not of this denoiser: make the tap of it"),
    (effects(images(9)), "cannot be halved evenly"),
    (effects(groups={}), "groups is empty"),
    (effects(groups=5), "groups=5: give channels of each group by name"),
    (effects(groups={"a": None}), "group 'a'.*at least one channel"),
    (effects(groups={"a": []}), "group 'a'.*at least one channel"),
    (effects(groups={"a": [6]}), r"group 'a': channels \[6\] do not exist"),
    (effects(groups={"a": [2, 2]}), "names a channel twice"),
    (effects(sigma=[]), "sigma is empty"),
    (effects(factor="a"), "factor='a': give a finite number"),
    (effects(factor=np.inf), "factor=inf"),
    (effects(controls=5), "controls=5: give names of groups"),
    (effects(controls={"a": "a"}), "controls of 'a'='a'"),
    (effects(controls={"a": ["b"]}), "controls of 'a' name 'b'"),
    (effects(controls={"a": []}), "controls of 'a' name nothing"),
    (effects(draws=0), "draws=0"),
    (effects(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (effects(ids=["a", "a"]), "more than once"),
    (effects(batch_size=0), "batch_size=0"),
    (effects(resamples=5), "resamples=5: give a whole number ≥ 100"),
    (effects(level=95), "level=95: give the interval's coverage"),
    (matched(5), "have no type"),
    (matched(TYPES.drop_vars("type")), "have no type"),
    (matched(energy=5), r"energy: got int: give a DataArray \(channel\)"),
    (matched(energy=ENERGY[:5]), "energies of 5 channels and findings of 40"),
    (matched(energy=-ENERGY), "negative or not finite"),
    (matched(sigma=None), r"sigma=None: give one of the findings' noise levels, \[0.1, 0.3\]"),
    (matched(sigma=0.2), "sigma=0.2: give one of"),
    (matched(sigma="a"), "sigma='a': give one of"),
    (matched(tap="enc1"), "tap='enc1': give one of the findings' taps, mid"),
    (matched(TWO_TAPS), "tap=None: give one of the findings' taps, enc1, mid"),
    (matched(kinds=["rare"]), "no of 0 rare channels"),
    (matched(kinds=5), "kinds=5: give types of channel"),
    (matched(size=11), "11 of 10 selective channels: give another type or a smaller size"),
    (matched(size=0), "size=0"),
    (matched(n_random=0), "n_random=0"),
    (matched(tolerance=0), "tolerance=0: give a relative deviation > 0, e.g. 0.1, or None"),
    (matched(tolerance="a"), "tolerance='a'"),
    (matched(seed=-1), "seed=-1"),
    (lambda: attribution.plot(xr.Dataset({"phi": 0})), r"lack attribution.*give what attribution\.attribute returns"),
    (lambda: attribution.plot(5), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (
        lambda: attribution.plot(xr.Dataset({"change": 0})),
        r"the findings lack .*give what attribution\.effects returns",
    ),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("call", [attribute(model=5), effects(model=5)])
def test_what_is_no_network_is_refused(call: Callable[[], Any]) -> None:
    with pytest.raises(ModelError, match=r"a denoiser wraps a torch\.nn\.Module, not int"):
        call()


@pytest.mark.parametrize("call", [attribute(steps=5), effects(n_steps=5)])
def test_an_option_that_there_is_none_of_is_refused_as_python_refuses_it(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="has no option"):
        call()
