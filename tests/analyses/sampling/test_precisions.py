"""Samples made in lower precision: their law and match, what "auto" finds and tells, and stores of each."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import probekit
from analyses import sampling
from analyses.sampling import walk
from probekit.errors import InputError
from probekit.models.unet import UNet
from probekit.synthetic.patch_laws import SplitLaw
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.sampling.making import SHAPE, Plain, made, noise, patches
from tests.analyses.sampling.test_laws import coefficients, condition, split_errors

FINE = np.geomspace(1, 0.003, 20)
LOWER = ("bfloat16", "bfloat16x2")


def single(variances: tuple[float, float]) -> PatchModel:
    """The model with pooled channels, in float32."""
    return PatchModel([1.0], [[*variances, 0, 0]], pool=[[0, 1], [2, 3]]).float()


def sampled(model: PatchModel, images: Any, n: int, **options: Any) -> xr.Dataset:
    tap = probekit.tap(model, "mid")
    return sampling.reconstruct(model, tap, images, n_samples=n, progress=False, **{"sigmas": FINE, **options})


@settings(max_examples=3)
@given(st.floats(0.02, 1), st.floats(0.02, 1), st.floats(0.7, 1.4), st.sampled_from(LOWER), st.integers(0, 2**16))
def test_pooled_energy_is_split_as_the_prior_does_in_lower_precision(
    first: float, second: float, share: float, precision: str, seed: int
) -> None:
    phi, positions = share * (first + second), 36
    model, law = single((first, second)), SplitLaw([first, second], phi=phi, positions=positions)
    images = condition(model.double(), [phi, 0], positions).astype(np.float32)
    model = model.float()
    exact, rounded = (
        split_errors(coefficients(model, sampled(model, images, 300, precision=p, seed=seed).samples.values[0]), law)
        for p in ("float32", precision)
    )
    # Of 300 samples the mean has a standard error of 0.06; the same noise goes into both.
    assert abs(rounded[0] - exact[0]) < 0.4
    assert abs(rounded[0]) < 0.5
    assert abs(rounded[1] - 1) < 0.2


@pytest.mark.parametrize("precision", LOWER)
def test_the_match_is_measured_in_float32_and_is_as_good(precision: Any) -> None:
    model = single((0.2, 0.05))
    images = condition(model.double(), [0.25, 0], 36).astype(np.float32)
    model = model.float()
    exact, rounded = (sampled(model, images, 20, precision=p) for p in ("float32", precision))
    assert float(rounded.match.median()) < 2 * float(exact.match.median())
    again = probekit.tap(model, "mid")(rounded.samples.values[0], sigma=0.003, draws=10)
    target = probekit.tap(model, "mid")(images, sigma=0.003, draws=10)
    away = np.abs(again.phi.values[:, 0, 0] / target.phi.values[:, 0, 0] - 1)
    # Other noise of ten draws: each of 2σ/√(Pē) = 0.002 a draw, within six standard errors on either side.
    np.testing.assert_allclose(away, rounded.match.values[0], atol=12 * 0.002 / math.sqrt(10))


SEEN: list[tuple[float, torch.dtype]] = []


class Watched(nn.Module):
    """Three convolutions, and one that tells in which type it multiplies, by noise level."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Plain()

    def forward(self, y: Tensor, sigma: Tensor) -> Tensor:
        out = self.inner(y)
        rounded = torch.nn.functional.conv2d(y, y.new_full((1, 1, 1, 1), 1 / 3))
        exact = y * y.new_full((), 1 / 3)
        # A product of one factor 1/3 is rounded to 8 bits or to 24.
        off = float(((rounded - exact).abs().max() / exact.abs().max()).detach())
        SEEN.append((round(float(sigma.max()), 4), torch.bfloat16 if off > 2**-14 else torch.float32))
        return out


def pictures(n: int = 1) -> np.ndarray:
    return noise(n, *SHAPE)


def test_the_last_level_the_targets_and_the_match_are_float32_and_others_as_asked() -> None:
    network = Watched()
    tap = probekit.tap(network, "inner.last")
    options: Any = {"n_samples": 2, "sigmas": [1, 0.3, 0.1], "draws": 2, "progress": False, "precision": "bfloat16"}
    SEEN.clear()
    condition = sampling.Condition.from_images(tap, pictures(), [1, 0.3, 0.1], draws=2)
    assert {kind for _, kind in SEEN} == {torch.float32}
    SEEN.clear()
    found = sampling.reconstruct(network, tap, condition, **options | {"sigmas": None})
    kinds = {level: {k for s, k in SEEN if s == level} for level in (1.0, 0.3, 0.1)}
    # At the first level the size of a batch and the layout are found out, too.
    assert torch.bfloat16 in kinds[1.0]
    assert kinds[0.3] == {torch.bfloat16}
    assert kinds[0.1] == {torch.float32}
    assert found.attrs["precision"] == "bfloat16"
    assert 0.1 <= found.attrs["precision_above"] < 0.3


@pytest.mark.parametrize("method", ["algorithm1", "adaptive", "score", "unconditional", "particles"])
def test_every_method_goes_down_its_levels_in_the_precision_asked_for(method: str) -> None:
    options: dict[str, Any] = {
        "adaptive": {"h0": 0.3, "until": 0.2},
        "algorithm1": {"guidance_steps": 3},
        "particles": {"particles": 4},
    }.get(method, {})
    model = single((0.2, 0.05))
    images = condition(model.double(), [0.25, 0], 16).astype(np.float32)
    model = model.float()
    made_in = {
        p: sampled(model, images, 2, method=method, sigmas=[1, 0.5, 0.2], precision=p, **options).samples.values
        for p in ("float32", "bfloat16")
    }
    away = np.abs(made_in["bfloat16"] - made_in["float32"]).max()
    assert 0 < away < 0.3


def unet() -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet((8, 16), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,), image_channels=1)


def few(model: nn.Module, **options: Any) -> xr.Dataset:
    return made(model, pictures(2), tap="mid", **{"sigmas": [1, 0.5, 0.2], "draws": 2, **options})


def test_a_trial_tells_what_it_took_and_float32_wins_unless_another_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    true = walk.Walk.multiply
    now = "float32"

    def multiply(self: Any, precision: Any) -> None:
        nonlocal now
        now = precision
        true(self, precision)

    monkeypatch.setattr(walk.Walk, "multiply", multiply)
    for slow, wanted in (("float32", "bfloat16"), ("bfloat16", "bfloat16x2"), ("both", "float32")):
        told = 0.0

        def counter(_: torch.device, slow: str = slow) -> float:
            nonlocal told
            told += 2.0 if now == slow or (slow == "both" and now != "float32") else 1.0 + (now == "float32") / 2
            return told

        monkeypatch.setattr(walk, "clock", counter)
        attrs = few(unet(), precision="auto").attrs
        assert attrs["precision"] == wanted
        assert (attrs["precision_gain"] > 1) == (wanted != "float32")
        assert attrs["precision_error"] < 0.1
        assert ("precision_above" in attrs) == (wanted != "float32")


def test_what_is_hopelessly_slow_on_a_few_samples_is_not_tried_on_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, set[int]] = {}
    now = "float32"
    true, seconds = walk.Walk.multiply, walk._seconds

    def multiply(self: Any, precision: Any) -> None:
        nonlocal now
        now = precision
        true(self, precision)

    def noted(made: Any, clean: torch.Tensor, precision: Any) -> float:
        sizes.setdefault(precision, set()).add(len(clean))
        return seconds(made, clean, precision)

    told = 0.0

    def counter(_: torch.device) -> float:
        nonlocal told
        told += 1.0 if now == "float32" else 10.0
        return told

    monkeypatch.setattr(walk.Walk, "multiply", multiply)
    monkeypatch.setattr(walk, "_seconds", noted)
    monkeypatch.setattr(walk, "clock", counter)
    assert few(unet(), precision="auto").attrs["precision"] == "float32"
    assert {max(sizes[p]) for p in ("bfloat16", "bfloat16x2")} == {walk.TRIED}


class Coarse(PatchModel):
    """A denoiser whose layers lose far more than noise hides: a large number is added, and taken off after rounding."""

    def forward(self, y: Tensor, sigma: Any = None) -> Tensor:
        one = y.new_ones((y.shape[1], 1, 1, 1))
        return super().forward(torch.nn.functional.conv2d(y + 300, one, groups=1) - 300, sigma)


def test_auto_takes_nothing_whose_rounding_shows_beside_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "FASTER", 0.0)
    monkeypatch.setattr(walk, "PATIENCE", 1e9)
    images = condition(single((0.2, 0.05)).double(), [0.25, 0], 16).astype(np.float32)
    coarse = Coarse([1.0], [[0.2, 0.05, 0, 0]], pool=[[0, 1], [2, 3]]).float()
    assert sampled(coarse, images, 2, sigmas=[1, 0.3, 0.1], precision="auto").attrs["precision"] == "float32"
    found = sampled(single((0.2, 0.05)), images, 2, precision="auto").attrs
    assert found["precision"] != "float32"
    assert found["precision_error"] <= 0.1
    assert found["precision_above"] > 0.003


def test_a_store_goes_on_in_the_precision_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, model = few(unet(), store=tmp_path / "plain"), unet()
    with pytest.raises(InputError, match=r"another plan \(precision: None, now bfloat16"):
        few(model, store=tmp_path / "plain", precision="bfloat16")
    xr.testing.assert_equal(few(model, store=tmp_path / "plain", precision="auto"), plain)
    lower = few(model, store=tmp_path / "lower", precision="bfloat16")
    xr.testing.assert_identical(few(model, store=tmp_path / "lower", precision="bfloat16"), lower)
    for other in ("float32", "bfloat16x2"):
        with pytest.raises(InputError, match=r"another plan \(precision"):
            few(model, store=tmp_path / "lower", precision=other)
    monkeypatch.setattr(walk, "FASTER", 0.0)
    monkeypatch.setattr(walk, "PATIENCE", 1e9)
    tried = few(model, store=tmp_path / "tried", precision="auto", batch_size=2)
    assert tried.attrs["precision"] != "float32"
    # Another trial would find other figures, and may find another precision.
    monkeypatch.setattr(walk, "FASTER", 1e9)
    (tmp_path / "tried" / "000001.nc").unlink()
    xr.testing.assert_identical(few(model, store=tmp_path / "tried", precision="auto", batch_size=2), tried)


def test_a_precision_that_cannot_be_had_is_one_clear_error() -> None:
    for model, value, words in (
        (patches(), "bfloat16", r"the network's numbers are torch\.float64"),
        (patches().float(), "half", "precision='half'"),
        (patches().float(), 16, "precision=16"),
        (patches().float(), "tf32", "not to be had on cpu"),
    ):
        with pytest.raises(InputError, match=words):
            few(model, precision=value)
    # Where there is nothing lower, "auto" is float32.
    assert made(patches(), patches().draw(1, rows=8, cols=8, seed=0).images, precision="auto").attrs["precision"] == (
        "float32"
    )


class Viewed(nn.Module):
    """A network that takes apart its image by a view, which one that lies channels last does not bear."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Plain(bands=2)

    def forward(self, y: Tensor) -> Tensor:
        return self.net(y.view(len(y), -1).view(y.shape))


def test_a_network_that_bears_one_layout_only_is_given_that() -> None:
    found = made(Viewed(), noise(1, 2, 8, 8), tap="net.last", precision="bfloat16", draws=2)
    assert bool(np.isfinite(found.samples).all())
