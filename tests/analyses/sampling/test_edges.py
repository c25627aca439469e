"""Sampling: what it says, what it leaves alone, networks and memory out of the ordinary, its findings and figures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from networks import state_of
from torch import Tensor, nn

import probekit
from analyses import sampling
from analyses.sampling import walk
from probekit.errors import InputError, ModelError, TapError
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.sampling.making import LEVELS, METHODS, Plain, drawn, made, noise, patches


@pytest.fixture
def model() -> PatchModel:
    return patches()


@pytest.fixture
def images(model: PatchModel) -> xr.DataArray:
    return drawn(model)


@pytest.mark.parametrize("method", METHODS)
def test_results_are_labelled_and_survive_files(
    method: str, model: PatchModel, images: xr.DataArray, tmp_path: Path
) -> None:
    found = made(model, images, method=method, trajectory=True)
    assert found.samples.dims == ("image", "sample", "band", "row", "col")
    assert found.image.values.tolist() == images.image.values.tolist()
    assert found.label.values.tolist() == images.label.values.tolist()
    assert found.trajectory.dims == ("image", "sample", "level", "band", "row", "col")
    np.testing.assert_array_equal(found.condition.values, images.values.astype(np.float32))
    assert {"method", "method_settings", "weights_sha256", "taps", "seed"} <= set(found.attrs)
    sampling.SAMPLES.check(found)
    assert all({"long_name", "units"} <= set(v.attrs) for v in found.data_vars.values())
    assert all("long_name" in c.attrs for c in found.coords.values())
    last = found.trajectory.isel(level=-1)
    np.testing.assert_array_equal(last.values, found.samples.values)
    assert float(abs(found.trajectory.isel(level=0) - last).max()) > 0.01
    found.to_netcdf(tmp_path / "samples.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "samples.nc", engine="h5netcdf"), found)


def test_evaluations_and_guidance_steps_are_those_made(unet: UNet) -> None:
    sizes: dict[bool, list[int]] = {False: [], True: []}

    def seen(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        sizes[inputs[0].requires_grad].append(len(inputs[0]))

    x = np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32)
    with unet.decoder[-1].register_forward_hook(seen):
        found = made(unet, x, correctors=1, n_samples=3)
    # At each of the levels 1 corrector, and one pass to go on: nothing but these, and trials of
    # single images, reaches the network's end; and with gradients, the last guidance.
    assert sum(n for n in sizes[False] if n > 1) == 24
    assert int(found.evaluations.sum()) == 24 + sum(sizes[True])
    # 20 gradients and half as many more, one before them, and two of the first step.
    assert 3 <= sum(sizes[True]) <= 3 * 33


def test_samples_that_are_done_leave_the_batch(model: PatchModel, images: xr.DataArray) -> None:
    tap = probekit.tap(model, "mid")
    sizes: list[int] = []
    features = tap.features

    def counted(y: Tensor, sigma: Any = None) -> Tensor:
        sizes.append(len(y))
        return features(y, sigma)

    tap.features = counted  # pyright: ignore[reportAttributeAccessIssue]
    found = sampling.reconstruct(
        model, tap, images, n_samples=4, sigmas=LEVELS, method="algorithm1", lr=0.05, draws=1, progress=False
    )
    # The match costs one more pass of all; the rest is what samples took, and not 12 times the slowest.
    assert sum(sizes) - 12 == int(found.guidance_steps.sum())
    assert sum(sizes) < 12 * len(sizes)


@pytest.mark.parametrize("method", METHODS)
def test_the_network_is_left_as_it_was(method: str, unet: UNet) -> None:
    unet.train()
    unet.encoder[0].requires_grad_(False)
    before = state_of(unet)
    x = np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32)
    short = {"most_levels": 5} if method == "adaptive" else {"particles": 3} if method == "particles" else {}
    made(unet, x, method=method, n_samples=1, sigmas=[0.5, 0.2], draws=2, **short)
    assert state_of(unet) == before


class Spoilt(nn.Module):
    """A denoiser whose output is NaN for images whose mean is large."""

    image_channels = 1
    data_range = None

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, y: Tensor, sigma: Any = None) -> Tensor:  # noqa: ARG002
        a = self.block(y)
        return a[:, :1] * 0.1 + torch.where(y.mean((1, 2, 3), keepdim=True) > 50, torch.nan, 0.0)


@pytest.fixture
def spoilt() -> Iterator[Spoilt]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield Spoilt()


def test_a_network_that_breaks_down_is_named_with_sample_and_level(spoilt: Spoilt) -> None:
    x = np.zeros((2, 1, 8, 8), np.float32)
    with pytest.raises(
        ModelError, match=r"clean estimate of samples a/0, a/1, b/0, … is not finite at level 1 \(σ = 1\)"
    ):
        made(spoilt, xr.DataArray(x, dims=("image", "band", "row", "col"), coords={"image": ["a", "b"]}),
             tap="block", method="score", start=100.0)  # fmt: skip


def test_a_loss_that_is_not_finite_is_one_clear_error(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    with pytest.raises(ModelError, match=r"guidance .* of samples .* is not finite at level 1"):
        made(model, data, shape=(1, 8, 8), start=1e200, method="guidance", guidance="rescale")


def test_noise_above_the_trained_range_is_warned_of(model: PatchModel, images: xr.DataArray) -> None:
    with pytest.warns(UserWarning, match="sigmas begin at 2"):
        made(model, images, sigmas=[2, 0.5])


def test_several_taps_are_matched_together(unet: UNet) -> None:
    x = np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32)
    tap = probekit.tap(unet, "enc1", "mid")
    found = sampling.reconstruct(unet, tap, x, n_samples=2, sigmas=[0.5, 0.2, 0.1], progress=False)
    assert found.attrs["taps"] == "enc1=encoder.0, mid=middle"
    assert bool((found.loss < found.loss_before).all())


class Detached(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return y.detach()


class Rooted(nn.Module):
    """The image itself, with a gradient that is 1 + 0·∞."""

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.sqrt((y - y.detach()).square())


class Changing(Plain):
    """The same as `Plain`, by a forward that changes its input in place."""

    def forward(self, y: Tensor) -> Tensor:
        plain = super().forward(y.clone())
        y -= 5
        return plain


@pytest.mark.parametrize("method", ["langevin", "algorithm1", "particles"])
def test_what_has_no_gradient_is_one_clear_error(method: str) -> None:
    with pytest.raises(TapError, match="no gradient with respect to the image"):
        made(Plain(Detached()), noise(1, 1, 8, 8), tap="seen", method=method)


def test_gradients_that_are_not_finite_are_an_error_and_not_a_rest() -> None:
    with pytest.raises(ModelError, match=r"gradient of the guidance loss of 2 samples is not finite\) of samples 0/0"):
        made(Plain(Rooted()), noise(1, 1, 8, 8), tap="seen", sigmas=[0.5, 0.1])


def test_a_network_that_changes_its_input_gives_what_one_that_does_not_gives() -> None:
    x = noise(1, 1, 9, 7)
    np.testing.assert_array_equal(made(Changing(), x, tap="net.2").samples, made(Plain(), x, tap="net.2").samples)


def test_a_network_in_bfloat16_can_be_sampled_from() -> None:
    found = made(Plain().bfloat16(), noise(1, 1, 8, 8), tap="net.2", trajectory=True)
    assert found.samples.dtype == np.float32
    assert bool(np.isfinite(found.samples).all())


def test_a_match_relative_to_nothing_is_warned_of() -> None:
    silent = Plain()
    with torch.no_grad():
        silent.net[2].bias.fill_(-100)  # pyright: ignore[reportCallIssue]
    x = noise(2, 1, 8, 8)
    with pytest.warns(UserWarning, match="0 in all channels matched for 2 images, 0 among them"):
        found = made(silent, x, tap="net.3")
    assert bool(np.isnan(found.match).all())
    # Findings are NaN there too, and numpy says nothing of divisions.
    described = sampling.describe(found.assign(samples=found.samples.clip(0, 1)), tap=probekit.tap(silent, "net.3"))
    assert bool(np.isnan(described.distance_phi).all())
    assert bool(np.isnan(described.diversity_phi).all())


def test_targets_of_all_levels_are_measured_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    images, tap = model.draw(3, rows=8, cols=8, seed=0).images, probekit.tap(model, "mid")
    called: list[int] = []
    measured = type(tap).__call__

    def counted(self: Any, *given: Any, **options: Any) -> xr.Dataset:
        called.append(len(np.atleast_1d(options["sigma"])))
        return measured(self, *given, **options)

    monkeypatch.setattr(type(tap), "__call__", counted)
    sampling.reconstruct(model, tap, images, n_samples=4, sigmas=[1, 0.3, 0.1], batch_size=2)
    assert called == [3]


def test_batches_fit_the_memory_that_is_free_and_change_no_sample(
    model: PatchModel, images: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = probekit.tap(model, "mid")
    # Measured beforehand, so that nothing but samples is seen in batches.
    condition = sampling.Condition.from_images(tap, images, [1, 0.3])
    sizes: set[int] = set()
    with model.register_forward_pre_hook(lambda _, given: sizes.add(len(given[0]))):
        ample = sampling.reconstruct(model, tap, condition, n_samples=4)
        assert max(sizes) == 12
        sizes.clear()
        monkeypatch.setattr(walk, "available_bytes", lambda _: 1)
        scarce = sampling.reconstruct(model, tap, condition, n_samples=4)
        assert sizes == {1}
    np.testing.assert_allclose(scarce.samples, ample.samples, rtol=1e-6, atol=1e-9)


def test_the_progress_bar_counts_images_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    images, tap = model.draw(3, rows=8, cols=8, seed=0).images, probekit.tap(model, "mid")
    sampling.reconstruct(model, tap, images, n_samples=1, sigmas=[1, 0.3], progress=False)
    assert capsys.readouterr().err == ""
    sampling.reconstruct(model, tap, images, n_samples=1, sigmas=[1, 0.3], progress=True)
    assert "samples: 3 img in" in capsys.readouterr().err


def test_findings_of_other_blocks_and_of_unconditional_samples(unet: UNet) -> None:
    x = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)
    samples = made(unet, x, sigmas=[0.5, 0.1], n_samples=4)
    free = made(unet, x, sigmas=[0.5, 0.1], method="unconditional")
    with pytest.warns(UserWarning, match="clean images for UNet"):
        found = sampling.describe(samples, tap=probekit.tap(unet, "enc2", "dec3"), unconditional=free)
    assert found.block.values.tolist() == ["enc2", "dec3"]
    assert found.distance_phi.dims == ("image", "sample", "block")
    assert found.distance_phi_unconditional.dims == ("image", "block")
    assert bool(np.isfinite(found.agreement).all())
    assert bool((found.diversity_phi > 0).all())
    turned = [one.isel(image=[1, 0]) for one in (samples, free)]
    for given, alone in ((samples, turned[1]), (turned[0], free), turned):
        with pytest.warns(UserWarning, match="clean images for UNet"):
            other = sampling.describe(given, tap=probekit.tap(unet, "enc2", "dec3"), unconditional=alone)
        xr.testing.assert_allclose(other.sortby("image").drop_attrs(), found.sortby("image").drop_attrs())
    with pytest.raises(InputError, match="samples and unconditional are of different networks"):
        sampling.describe(samples, unconditional=free.assign_attrs(weights_sha256="0"))
    one = sampling.describe(made(unet, x, sigmas=[0.5, 0.1], n_samples=1))
    assert bool(np.isnan(one.diversity).all())
    with pytest.raises(InputError, match="samples: the findings lack samples: give what"):
        sampling.describe(found)


def test_the_sheet_shows_every_condition_and_sample(model: PatchModel, images: xr.DataArray) -> None:
    figure = sampling.plot(made(model, images))
    assert len(figure.axes) == 3 * (1 + 2)


def test_the_command_line_writes_samples_findings_and_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["samples", "coffee/1x1/r0c0", "--size", "32", "--samples", "2", "--levels", "2", "-o", tmp_path]
    assert sampling.main([*map(str, arguments), "--method", "score", "--draws", "2", "--quiet"]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / name) for name in ("samples.nc", "sampling.nc", "sampling.png")
    ]
    assert xr.load_dataset(tmp_path / "sampling.nc", engine="h5netcdf").attrs["method"] == "score"
    assert xr.load_dataset(tmp_path / "samples.nc", engine="h5netcdf").attrs["draws"] == 2
    assert sampling.main(["samples", "nobody", "-o", str(tmp_path)]) == 1
    assert "no built-in photograph nobody" in capsys.readouterr().err
    assert sampling.main(["--steps", "3"]) == 2


def test_findings_and_sheet_refuse_what_reconstruct_does_not_return(model: PatchModel, images: xr.DataArray) -> None:
    samples = made(model, images)
    refused = [
        (xr.Dataset(), "lack samples, match: give what sampling.reconstruct returns"),
        (samples.drop_vars("match"), "lack match: give what sampling.reconstruct returns"),
        (samples.isel(image=0), "select with a list"),
        (samples.isel(sample=[]), "nothing along sample: give .* of one at least"),
        (samples.isel(image=[]), "nothing along image: give .* of one at least"),
        (samples.assign(samples=samples.samples * np.nan), "NaN or infinite"),
    ]
    for given, words in refused:
        for function in (sampling.describe, sampling.plot):
            with pytest.raises(InputError, match=words):
                function(given)


def test_findings_say_what_was_told_of_them(model: PatchModel, images: xr.DataArray) -> None:
    found = sampling.describe(made(model, images, n_samples=4), tap=probekit.tap(model, "mid"), seed=3)
    sampling.FINDINGS.check(found)
    assert found.attrs["analysis_seed"] == 3
    assert set(found.data_vars) <= set(sampling.FINDINGS.variables)
    assert all({"long_name", "units"} <= set(v.attrs) for v in found.data_vars.values())
