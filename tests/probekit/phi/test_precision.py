"""φ in a lower precision: taken where noise hides what it changes, and said; float32 otherwise."""

from __future__ import annotations

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import probekit
from probekit.errors import InputError
from probekit.models.unet import UNet
from probekit.phi import precision as trial
from probekit.phi.precision import error_of

FIGURES = ("precision_gain", "precision_error", "precision_phi_error", "precision_phi_se")
SIGMA = [0.0, 0.02, 0.1, 0.5]


@pytest.fixture
def any_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors alone decide: another precision is worth it, and hopeful, however slow the machine is at it."""
    monkeypatch.setattr(trial, "WORTH", 0.0)
    monkeypatch.setattr(trial, "HOPELESS", 0.0)


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    return probekit.images.load("samples", size=32).read(range(8))


@pytest.fixture
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet((8, 16, 16), encoder_convs=(2, 2), middle_convs=2, decoder_convs=(2, 2))


def measurement(network: nn.Module, tap: str, images: Tensor, sigma: Any, draws: int, batch: int | None = None) -> Any:
    """What a tap is about to measure."""
    how = {"ids": None, "batch_size": batch, "keep_draws": False, "conditions": None}
    return probekit.tap(network, tap)._measurement(images, sigma, draws, 0, **how)


class Cancelling(nn.Module):
    """A map that is the small difference of two large ones, of which bfloat16 keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.raised = nn.Conv2d(3, 4, 3, padding=1)
        self.middle = nn.Conv2d(4, 4, 1)
        nn.init.constant_(self.raised.bias, 3000.0)
        nn.init.dirac_(self.middle.weight)
        nn.init.constant_(self.middle.bias, -3000.0)
        self.end = nn.Conv2d(4, 3, 1)

    def forward(self, y: Tensor) -> Tensor:
        return self.end(self.middle(self.raised(y)).relu())


# What is promised


@given(
    bias=st.floats(0, 0.5),
    scatter=st.floats(0.01, 0.5),
    noise=st.floats(0.1, 2),
    draws=st.sampled_from([1, 10, 100]),
    seed=st.integers(0, 2**16),
)
def test_an_error_is_what_stays_and_what_averages_out(
    bias: float, scatter: float, noise: float, draws: int, seed: int
) -> None:
    """Of 400 values of 4 draws, a variance scatters by √(2/3) / √400 = 4 %; six times that is allowed."""
    rng = np.random.default_rng(seed)
    images, tried, channels = 20, 4, 20
    exact = 3 + noise * rng.standard_normal((images, tried, channels))
    signs = rng.choice([-1.0, 1.0], (images, 1, channels))
    rough = exact + bias * signs + scatter * rng.standard_normal(exact.shape)
    found = error_of(exact, rough, draws)
    assert found.noise**2 == pytest.approx(noise**2 / draws, rel=0.25)
    # The mean of four draws is squared, which scatters by itself and by its product with the bias.
    spread = 6 * (math.sqrt(2) * scatter**2 / tried + 2 * bias * scatter / math.sqrt(tried)) / math.sqrt(400)
    assert abs(found.error**2 - (bias**2 + scatter**2 / draws)) <= spread + 0.25 * scatter**2 * (1 / draws + 1 / tried)
    assert found.phi == pytest.approx(3, rel=0.3)


def test_what_is_no_longer_finite_is_off_by_infinity_and_what_never_was_is_left_out() -> None:
    exact = np.random.default_rng(0).standard_normal((2, 4, 3))
    rough = exact.copy()
    rough[0, 0, 1] = np.nan
    assert error_of(exact, rough, 1).in_noise == math.inf
    exact[..., 1] = np.inf
    assert error_of(exact, rough, 1).error == 0
    assert error_of(exact[..., 1:2], rough[..., 1:2], 1).in_noise == 0


@pytest.mark.usefixtures("any_speed")
@pytest.mark.parametrize(("network", "taps"), [("photo32", ("mid",)), ("photo32-shallow", ("enc1", "mid"))])
def test_what_is_taken_is_off_by_less_than_a_tenth_of_phi_se(network: str, taps: tuple[str, ...]) -> None:
    """On all images, a quarter of which were tried: a root mean square over images and channels, within a factor 2."""
    images = probekit.images.load("samples", size=32).subset(slice(0, 320, 20))
    tap = probekit.tap(probekit.load(network), *taps)
    exact = tap(images, sigma=SIGMA, draws=4)
    found = tap(images, sigma=SIGMA, draws=4, precision="auto")
    assert "bfloat16" in found.attrs["precision"]
    assert 0 < found.attrs["precision_error"] < 0.1
    for name in taps:
        off, se = (a[:, :, exact.tap.values == name] for a in (found.phi - exact.phi, exact.phi_se))
        for level in SIGMA[1:]:
            error, noise = (float((a.sel(sigma=level) ** 2).mean() ** 0.5) for a in (off, se))
            assert error < 2 * 0.1 * noise, (name, level)
    # Without noise nothing hides an error.
    assert np.array_equal(found.phi.sel(sigma=0), exact.phi.sel(sigma=0))
    assert not np.array_equal(found.phi.sel(sigma=0.5), exact.phi.sel(sigma=0.5))


@pytest.mark.usefixtures("any_speed")
def test_a_network_of_which_bfloat16_keeps_nothing_is_measured_in_float32(photographs: Tensor) -> None:
    tap = probekit.tap(Cancelling(), "middle", reduce="relu_mean")
    found = tap(photographs, sigma=0.1, draws=2, precision="auto")
    assert found.attrs["precision"] == "float32"
    assert found.attrs["precision_error"] == 0
    assert np.array_equal(found.phi, tap(photographs, sigma=0.1, draws=2).phi)
    # It was seen, not skipped.
    told = found.attrs["precision_trial"].split("; ")
    errors = [float(part.split("error ")[1].split(" of")[0]) for part in told if "error" in part]
    assert errors
    assert min(errors) > 0.1


def test_a_precision_that_is_slower_is_not_taken(photographs: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "WORTH", 1e6)
    found = probekit.tap(probekit.load("photo32"), "mid")(photographs, sigma=0.5, precision="auto")
    assert found.attrs["precision"] == "float32"
    assert "bfloat16: " in found.attrs["precision_trial"]


def test_what_is_hopelessly_slow_on_one_image_is_not_tried_on_a_batch(
    photographs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "HOPELESS", 1e9)
    sizes: dict[str, set[int]] = {}
    timed = trial._Trial._timed

    def noted(self: Any, way: Any, batch: Any) -> float:
        sizes.setdefault(way.precision, set()).add(len(batch[0]))
        return timed(self, way, batch)

    monkeypatch.setattr(trial._Trial, "_timed", noted)
    found = probekit.tap(probekit.load("photo32"), "mid")(photographs, sigma=0.5, draws=4, precision="auto")
    assert found.attrs["precision"] == "float32"
    assert "times as long" in found.attrs["precision_trial"]
    assert sizes["bfloat16"] == sizes["bfloat16x2"] == {1}
    assert max(sizes["float32"]) > 1


def test_what_is_far_from_the_fastest_is_timed_once_on_a_batch_and_float32_in_every_round(
    unet: UNet, photographs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[Any] = []
    seconds = {"float32": 2.0, "bfloat16": 1.0, "bfloat16x2": 1.2, "tf32": 1.3}

    def told(_: Any, way: Any, batch: Any) -> float:
        timed.append((way.precision, len(batch[0])))
        return seconds[way.precision] * len(batch[0]) / 100

    monkeypatch.setattr(trial._Trial, "_timed", told)
    measured = measurement(unet, "middle", photographs, 1.0, 4, batch=4)
    ways = [trial._Way(name) for name in seconds]  # pyright: ignore[reportArgumentType]
    found, failed = trial._Trial(measured, unet)._seconds(ways)
    assert not failed
    assert found == {way: seconds[way.precision] * 4 / 100 for way in ways}
    assert [timed.count((name, 4)) for name in seconds] == [3, 3, 3, 1]
    assert [timed.count((name, 1)) for name in seconds] == [1, 1, 1, 1]


@pytest.mark.usefixtures("any_speed")
def test_where_no_error_is_hidden_at_low_noise_the_border_is_found(photographs: Tensor) -> None:
    levels = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    tap = probekit.tap(probekit.load("photo32"), "mid")
    found = tap(photographs, sigma=levels, draws=4, precision="auto")
    exact = tap(photographs, sigma=levels, draws=4)
    same = [bool(np.array_equal(found.phi.sel(sigma=s), exact.phi.sel(sigma=s))) for s in levels]
    # Float32 below a level, another from there on.
    assert same == sorted(same, reverse=True)
    assert same[0]
    assert not same[-1]
    first = levels[same.index(False)]
    assert f"from sigma {first:g}" in found.attrs["precision"]


Times = dict[tuple[str, bool], float]
FAST_LAST: Times = {
    ("float32", False): 1.0,
    ("bfloat16", False): 0.7,
    ("float32", True): 1.2,
    ("bfloat16", True): 0.55,
}


def told_to_take(seconds: Times, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {trial._Way(*way): one for way, one in seconds.items()}
    monkeypatch.setattr(trial._Trial, "_seconds", lambda *_, **__: (told, {}))


@pytest.mark.parametrize(
    ("levels", "seconds", "precision", "last", "gain"),
    [
        # Nothing is hidden at the first level, bfloat16 is at the second.
        ([0.001], FAST_LAST, "float32", False, 1.0),
        ([1.0], FAST_LAST, "bfloat16", True, 1 / 0.55),
        ([0.001, 1.0], FAST_LAST, "float32; bfloat16 from sigma 1", False, 2 / 1.7),
        ([0.001, 1.0], FAST_LAST | {("float32", True): 1.1}, "float32; bfloat16 from sigma 1", True, 2 / 1.65),
        ([0.001], FAST_LAST | {("float32", True): 0.9}, "float32", True, 1 / 0.9),
    ],
)
def test_the_layout_is_the_one_in_which_what_is_hidden_is_fastest(
    levels: list[float],
    seconds: Times,
    precision: str,
    last: bool,
    gain: float,
    photographs: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told_to_take(seconds, monkeypatch)
    denoiser = probekit.load("photo32")
    measured = measurement(denoiser, "mid", photographs, levels, 4)
    found = trial.computed(measured, "auto", denoiser.model).computation
    assert found.attrs["precision"] == precision
    assert found.channels_last == last
    assert found.attrs["precision_gain"] == pytest.approx(gain)
    assert "bfloat16: 1.43 times as fast as float32, error " in found.attrs["precision_trial"]


ASKED: Times = {("float32", False): 1.0, ("bfloat16", False): 0.7}


@pytest.mark.parametrize(
    ("seconds", "last", "gain"),
    [
        (ASKED | {("bfloat16", True): 0.5}, True, 2),
        # Not worth it, slower, and not to be had.
        (ASKED | {("bfloat16", True): 0.69}, False, 1 / 0.7),
        (ASKED | {("bfloat16", True): 0.9}, False, 1 / 0.7),
        (ASKED, False, 1 / 0.7),
    ],
)
@pytest.mark.parametrize("indifferent", [True, False])
def test_a_precision_that_is_asked_for_has_its_fastest_layout_where_the_network_makes_the_same_of_it(
    seconds: Times,
    last: bool,
    gain: float,
    indifferent: bool,
    unet: UNet,
    photographs: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told_to_take(seconds, monkeypatch)
    network = unet if indifferent else Blind()
    measured = measurement(network, "middle", photographs, 1.0, 1)
    found = trial.computed(measured, "bfloat16", network).computation
    assert found.channels_last == (last and indifferent)
    assert found.attrs["precision_gain"] == pytest.approx(gain if indifferent else 1 / 0.7)
    assert found.precisions == {1.0: "bfloat16"}


@pytest.mark.filterwarnings("ignore:precision='bfloat16'. φ is off")
def test_a_precision_that_is_asked_for_is_timed_in_both_layouts_but_where_the_network_lies_in_one(
    unet: UNet, photographs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[Any] = []
    right = trial._Trial._seconds
    monkeypatch.setattr(
        trial._Trial, "_seconds", lambda self, ways, **how: timed.append([*ways]) or right(self, ways, **how)
    )
    for network in (unet, UNet((4, 8)).to(memory_format=torch.channels_last)):  # pyright: ignore[reportCallIssue]
        probekit.tap(network, "middle")(photographs, sigma=1.0, draws=1, precision="bfloat16")
    base, way = trial._Way("float32"), trial._Way("bfloat16")
    assert timed == [[base, way, trial._Way("bfloat16", True)], [base, way]]


# What is said


def test_by_default_layers_multiply_in_float32_and_nothing_is_tried(unet: UNet, photographs: Tensor) -> None:
    found = probekit.tap(unet, "mid")(photographs, sigma=0.1, draws=2)
    assert found.attrs["precision"] == "float32"
    assert [name for name in found.attrs if name.startswith("precision")] == ["precision"]
    double = probekit.tap(UNet((4, 8)).double(), "mid")(photographs[:2], sigma=0.1, draws=2)
    assert double.attrs["precision"] == "float64"


@pytest.mark.parametrize("precision", ["bfloat16", "bfloat16x2"])
def test_what_is_asked_for_is_made_at_every_level_and_its_error_and_gain_are_said(
    precision: Any, photographs: Tensor
) -> None:
    tap = probekit.tap(probekit.load("photo32"), "mid")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = tap(photographs, sigma=SIGMA, draws=4, precision=precision)
    assert found.attrs["precision"] == precision
    assert all(math.isfinite(found.attrs[name]) and found.attrs[name] > 0 for name in FIGURES)
    exact = tap(photographs, sigma=SIGMA, draws=4)
    for level in SIGMA:
        off = float(np.abs(found.phi.sel(sigma=level) - exact.phi.sel(sigma=level)).max())
        assert 0 < off < 0.1 * float(exact.phi.sel(sigma=level).max())


def test_an_error_that_noise_does_not_hide_is_warned_of(photographs: Tensor) -> None:
    tap = probekit.tap(probekit.load("photo32"), "mid")
    with pytest.warns(RuntimeWarning, match=r"precision='bfloat16': φ is off by .* of phi_se at σ = 0.02") as warned:
        tap(photographs, sigma=[0.02, 0.5], draws=100, precision="bfloat16")
    assert Path(warned[0].filename).name == Path(__file__).name


def test_the_log_says_what_was_found(unet: UNet, photographs: Tensor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "probekit"):
        probekit.tap(unet, "mid")(photographs, sigma=0.5, draws=2, precision="auto")
    assert any("times as fast as in float32" in record.message for record in caplog.records)


def test_results_with_it_are_written_and_read(tmp_path: Path, photographs: Tensor) -> None:
    found = probekit.tap(probekit.load("photo32"), "mid")(photographs, sigma=[0.1, 0.5], draws=2, precision="auto")
    found.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "phi.nc", engine="h5netcdf") as read:
        assert {k: v for k, v in read.attrs.items() if "precision" in k}.keys() >= {"precision", *FIGURES}


# What it goes with


def test_reductions_and_edits_of_users_multiply_as_they_are_written(photographs: Tensor) -> None:
    kernel = torch.full((1, 1, 1, 1), 1 + 2.0**-12)
    seen: list[torch.dtype] = []

    def reduce(a: Tensor) -> Tensor:
        seen.append(a.dtype)
        return nn.functional.conv2d(a.mean((2, 3))[:, :1, None, None] * 0 + 1, kernel).flatten(1)

    tap = probekit.tap(probekit.load("photo32"), "mid", reduce=reduce)
    with pytest.raises(InputError, match="changes nothing"):
        # Its φ is a constant: nothing that is rounded comes through, and the user's own product is exact.
        tap(photographs, sigma=0.5, draws=2, precision="bfloat16")
    assert set(seen) == {torch.float32}


def test_an_edit_is_seen_in_every_precision(photographs: Tensor) -> None:
    model = probekit.load("photo32")
    tap = probekit.tap(model, "mid")
    with tap.ablate([3]):
        found = tap(photographs, sigma=0.5, draws=2, precision="auto")
    assert (found.phi[:, :, 3] == 0).all()
    assert float(found.phi.sum()) > 0


@pytest.mark.parametrize("kind", ["scripted", "without convolutions"])
def test_a_precision_that_changes_nothing_is_refused(kind: str, photographs: Tensor) -> None:
    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.middle = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2))
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, y: Tensor) -> Tensor:
            return nn.functional.interpolate(self.middle(y * self.scale), scale_factor=2)

    if kind == "scripted":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            inner = torch.jit.script(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()))
        network = nn.Sequential(inner, nn.ReLU())
        name = "1"
    else:
        network, name = Halved(), "middle"
    with pytest.raises(InputError, match="precision='bfloat16' changes nothing"):
        probekit.tap(network, name)(photographs, sigma=0.5, draws=2, precision="bfloat16")
    auto = probekit.tap(network, name)(photographs, sigma=0.5, draws=2, precision="auto")
    assert auto.sizes["image"] == len(photographs)


class Blind(nn.Module):
    """Takes its maps' memory as it lies, as compiled code may: channels last, it makes something else of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.middle = nn.ReLU()

    def forward(self, y: Tensor) -> Tensor:
        a = self.first(y)
        lying = torch.as_strided(a, a.shape, (a[0].numel(), a[0, 0].numel(), a.shape[3], 1))
        return nn.functional.pad(self.middle(lying)[:, :3], (0, 0))


def test_channels_last_is_taken_only_by_networks_that_make_the_same_of_it(photographs: Tensor) -> None:
    for network, same in ((Blind(), False), (UNet((4, 8)), True)):
        measured = measurement(network, "middle", photographs, 0.2, 2)
        assert trial._Trial(measured, network)._indifferent() is same


# Stores


def test_a_store_keeps_the_precision_that_it_was_begun_with(
    tmp_path: Path, photographs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = probekit.tap(probekit.load("photo32"), "mid")
    options: dict[str, Any] = {"sigma": SIGMA, "draws": 4, "store": tmp_path / "phi.zarr", "precision": "auto"}
    monkeypatch.setattr(trial, "WORTH", 0.0)
    monkeypatch.setattr(trial, "HOPELESS", 0.0)
    begun = tap(photographs, **options).load()
    assert "bfloat16" in begun.attrs["precision"]

    def tried(*_: Any, **__: Any) -> None:
        raise AssertionError("a trial is made again")

    monkeypatch.setattr(trial, "_Trial", tried)
    again = tap(photographs, **options).load()
    xr.testing.assert_identical(again, begun)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"another plan.*precision"):
        tap(photographs, **options | {"precision": "float32"})


def test_a_store_of_float32_is_planned_as_before_there_was_a_choice(tmp_path: Path, photographs: Tensor) -> None:
    from probekit.phi.layout import plan_of

    tap = probekit.tap(probekit.load("photo32"), "mid")
    data = tap(photographs, sigma=0.1, draws=2, store=tmp_path / "phi.zarr")
    assert data.attrs["precision"] == "float32"
    assert not [name for name in plan_of(tmp_path / "phi.zarr") if "precision" in name or "channels_last" in name]


def test_a_store_in_which_auto_found_float32_stays_so(
    tmp_path: Path, photographs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = probekit.tap(probekit.load("photo32"), "mid")
    options: dict[str, Any] = {"sigma": 0.5, "draws": 4, "store": tmp_path / "phi.zarr", "precision": "auto"}
    monkeypatch.setattr(trial, "WORTH", 1e6)
    begun = tap(photographs, **options).load()
    assert begun.attrs["precision"] == "float32"
    monkeypatch.setattr(trial, "WORTH", 0.0)
    monkeypatch.setattr(trial, "HOPELESS", 0.0)
    xr.testing.assert_identical(tap(photographs, **options).load(), begun)


def test_an_estimate_is_of_the_precision_asked_for(photographs: Tensor) -> None:
    tap = probekit.tap(probekit.load("photo32"), "mid")
    assert tap.estimate(photographs, sigma=0.5, draws=4, precision="auto").images == len(photographs)
    with pytest.raises(InputError, match="precision='half'"):
        tap.estimate(photographs, sigma=0.5, precision="half")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("value", "told"), [("bf16", "give one of auto"), (None, "precision=None"), (16, "precision=16")]
)
def test_a_precision_of_another_name_is_refused(value: Any, told: str, unet: UNet, photographs: Tensor) -> None:
    with pytest.raises(InputError, match=told):
        probekit.tap(unet, "mid")(photographs, sigma=0.1, precision=value)
