"""Sampling: what it refuses and says, what it leaves alone, what it keeps, and what its options do."""

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
from probekit.errors import InputError, ModelError
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

LEVELS = [1.0, 0.3, 0.1, 0.03]
METHODS = ["langevin", "algorithm1", "adaptive", "guidance", "score", "unconditional", "particles"]


@pytest.fixture
def model() -> PatchModel:
    return PatchModel([1.0], [[0.2, 0.05, 0.01, 0]]).double()


@pytest.fixture
def images(model: PatchModel) -> xr.DataArray:
    return model.draw(3, rows=8, cols=8, seed=0).images


def made(model: nn.Module, images: Any, *, tap: str = "mid", **options: Any) -> xr.Dataset:
    given = {"sigmas": LEVELS, "n_samples": 2, "progress": False, **options}
    return sampling.reconstruct(model, probekit.tap(model, tap), images, **given)


def energies(model: PatchModel, samples: xr.Dataset) -> np.ndarray:
    flat = samples.samples.values.reshape(-1, *samples.samples.shape[2:])
    return model.phi(torch.from_numpy(flat), 0.0).numpy().reshape(*samples.samples.shape[:2], -1)


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
    assert all({"long_name", "units"} <= set(v.attrs) for v in found.data_vars.values())
    last = found.trajectory.isel(level=-1)
    np.testing.assert_array_equal(last.values, found.samples.values)
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
    assert 3 <= sum(sizes[True]) <= 3 * 23


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


def test_finished_images_are_kept_and_a_call_that_broke_is_finished(
    model: PatchModel, images: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = PatchModel.forward
    calls, most = 0, 10**9

    def failing(self: PatchModel, y: Tensor, sigma: Any = None) -> Tensor:
        nonlocal calls
        calls += 1
        return forward(self, y, sigma) * (torch.nan if calls > most else 1)

    monkeypatch.setattr(PatchModel, "forward", failing)
    whole = made(model, images, batch_size=2, draws=1)
    # Of three images one or two are done when half of the calls are made.
    calls, most = 0, calls // 2
    with pytest.raises(ModelError, match="not finite"):
        made(model, images, batch_size=2, store=tmp_path / "s", draws=1)
    kept = sorted((tmp_path / "s").glob("*.nc"))
    assert 1 <= len(kept) < 3
    monkeypatch.undo()
    times = [path.stat().st_mtime_ns for path in kept]
    finished = made(model, images, batch_size=2, store=tmp_path / "s", draws=1)
    assert [path.stat().st_mtime_ns for path in kept] == times
    xr.testing.assert_identical(finished, whole)
    with pytest.raises(InputError, match=r"begun with another plan \(seed: 0, now 1"):
        made(model, images, store=tmp_path / "s", draws=1, seed=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no plan"):
        made(model, images, store=tmp_path / "other")


def test_a_phi_condition_gives_what_its_images_give(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    found = made(model, data, shape=(1, 8, 8))
    np.testing.assert_array_equal(found.samples, made(model, images).samples)
    assert "condition" not in found
    # Levels may come in any order, with others among them; one level serves for all.
    more = probekit.tap(model, "mid")(images, sigma=[0.03, 0.1, 0.2, 0.3, 1.0])
    np.testing.assert_allclose(made(model, more, shape=(1, 8, 8)).samples, found.samples, atol=1e-6)
    assert made(model, data.isel(sigma=[2]), shape=(1, 8, 8)).samples.shape == found.samples.shape


def test_phi_of_another_denoiser_or_tap_is_refused(model: PatchModel, images: xr.DataArray, unet: UNet) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    other = PatchModel([1.0], [[0.3, 0.05, 0.01, 0]]).double()
    with pytest.raises(InputError, match=r"another denoiser or tap .weights_sha256"):
        made(other, data, shape=(1, 8, 8))
    with pytest.raises(InputError, match=r"another denoiser or tap .taps: 'mid=square', not 'analysis=analysis'"):
        made(model, data, tap="analysis", shape=(1, 8, 8))
    with pytest.raises(InputError, match="keep its attrs"):
        made(model, data.drop_attrs(), shape=(1, 8, 8))
    with pytest.raises(InputError, match="the tap looks into another network"):
        sampling.reconstruct(unet, probekit.tap(model, "mid"), images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmas": [0.1, 0.3]}, "fall from the first to the last"),
        ({"sigmas": [1, 0.0]}, "noise levels > 0"),
        ({"sigmas": []}, "sigma is empty"),
        ({"method": "ddpm"}, "give one of langevin"),
        ({"lr": 0.1}, "'langevin' has no option lr: it has correctors"),
        ({"step": 1.5}, r"in \(0, 1\]"),
        ({"tolerance": -1}, "finite number > 0"),
        ({"correctors": -1}, "whole number from 0"),
        ({"final_draws": 65}, "whole number from 0 to 64"),
        ({"method": "algorithm1", "guidance": "sgd"}, 'give "adam" or "rescale"'),
        ({"method": "adaptive", "beta": 2.0}, "both are shares"),
        ({"method": "particles", "particles": 1}, "whole number ≥ 2"),
        ({"n_samples": 0}, "n_samples=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"channels": [7]}, r"channel numbers 0…3"),
        ({"channels": [True, False]}, "a mask of 4"),
        ({"top": 5}, "how many of the 4 channels"),
        ({"weights": [1, -1, 0, 0]}, "numbers ≥ 0"),
        ({"channels": [0], "weights": [0, 1, 1, 1]}, "no channel is left"),
        ({"basis": np.ones((1, 3))}, "finite rows of 4 channels"),
        ({"start": np.zeros((3, 8, 8))}, r"samples have \(1, 8, 8\)"),
        ({"start": np.nan}, "start holds NaN"),
    ],
)
def test_bad_options_are_refused_in_clear_words(
    options: dict[str, Any], message: str, model: PatchModel, images: xr.DataArray
) -> None:
    with pytest.raises(InputError, match=message):
        made(model, images, **options)


def test_conditions_that_do_not_fit_are_refused(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    with pytest.raises(InputError, match="cannot be cut into 2×2 patches"):
        made(model, images.isel(row=slice(7)))
    with pytest.raises(InputError, match=r"network takes images of 1 channels and .* has 3"):
        made(model, np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(InputError, match=r"give shape=\(bands, rows, cols\)"):
        made(model, data)
    with pytest.raises(InputError, match=r"not at 1 levels of the schedule, 0.05"):
        made(model, data, shape=(1, 8, 8), sigmas=[1, 0.3, 0.05])
    with pytest.raises(InputError, match="DataArray of φ"):
        made(model, data.phi, shape=(1, 8, 8))
    with pytest.raises(InputError, match="repeated ids"):
        made(model, data.isel(image=[0, 0]), shape=(1, 8, 8))


def test_noise_above_the_trained_range_is_warned_of(model: PatchModel, images: xr.DataArray) -> None:
    with pytest.warns(UserWarning, match="sigmas begin at 2"):
        made(model, images, sigmas=[2, 0.5])


def test_conditions_are_not_changed(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    kept, copied = data.copy(deep=True), images.copy(deep=True)
    made(model, data, shape=(1, 8, 8), top=2)
    made(model, images)
    xr.testing.assert_identical(data, kept)
    xr.testing.assert_identical(images, copied)


def test_only_chosen_channels_are_matched(model: PatchModel, images: xr.DataArray) -> None:
    doubled = xr.DataArray(images.values * 2, dims=images.dims)
    held = energies(model, made(model, doubled, channels=[0], n_samples=20))
    wanted = model.phi(torch.from_numpy(doubled.values), 0.0).numpy()
    # One standard deviation of a draw's features at the last level is 2σ/√(Pē) of ē, 7 % or less of energies over 0.2.
    assert np.abs(held[..., 0] / wanted[:, None, 0] - 1).max() < 0.25
    # The other channels are free, and follow the prior: λ = 0.05 with 16 positions, not 4 times that.
    assert np.abs(held[..., 1].mean() - 0.05) < 4 * 0.05 * np.sqrt(2 / 16 / 60) + 0.005
    for options in ({"top": 1}, {"weights": [1, 0, 0, 0]}, {"channels": [True, False, False, False]}):
        np.testing.assert_array_equal(
            energies(model, made(model, doubled, n_samples=20, **options)),
            held,  # type: ignore[arg-type]
        )


def test_within_a_basis_only_its_span_is_matched(model: PatchModel, images: xr.DataArray) -> None:
    found = energies(model, made(model, images, basis=[[1, 1, 0, 0]], n_samples=10))
    wanted = model.phi(torch.from_numpy(images.values), 0.0).numpy()
    total, aim = found[..., :2].sum(axis=2), wanted[:, None, :2].sum(axis=2)
    assert np.abs(total / aim - 1).max() < 0.25
    assert (found[..., 0].std(axis=1) > 0.001).all()


def test_centroids_interpolations_and_projections_of_phi(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    mean = sampling.centroid(data)
    np.testing.assert_allclose(mean.phi.values[0], data.phi.values.mean(axis=0), rtol=1e-6)
    mixed = sampling.interpolate(data.isel(image=[0]), data.isel(image=[1]), [0, 0.25, 1])
    np.testing.assert_allclose(mixed.phi.values[1], 0.75 * data.phi.values[0] + 0.25 * data.phi.values[1], rtol=1e-6)
    centre = np.array([0.1, 0, 0, 0])
    flat = sampling.project(data, [[1, 1, 0, 0]], centre=centre)
    along = np.array([1, 1, 0, 0]) / np.sqrt(2)
    np.testing.assert_allclose(
        flat.phi.values, centre + ((data.phi.values - centre) @ along)[..., None] * along, atol=1e-6
    )
    for edited in (mean, mixed, flat):
        assert made(model, edited, shape=(1, 8, 8)).sizes["image"] == edited.sizes["image"]
    with pytest.raises(InputError, match="give one on each side"):
        sampling.interpolate(data, data, [0.5])
    with pytest.raises(InputError, match="other denoisers, taps, draws or noise levels"):
        sampling.interpolate(data.isel(image=[0]), data.isel(image=[1], sigma=[0]), [0.5])


class Idle(nn.Module):
    """A denoiser of unit-variance images, with a block of one energy, a constant, and a dead channel."""

    image_channels = 1
    data_range = None

    def __init__(self) -> None:
        super().__init__()
        self.block = Summed()

    def forward(self, y: Tensor, sigma: Any = None) -> Tensor:
        self.block(y)
        return y / (1 + torch.as_tensor(sigma).view(-1, 1, 1, 1) ** 2)


class Summed(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y.square(), torch.full_like(y, 3), torch.relu(-1 - y.square())], dim=1)


@pytest.mark.parametrize("draws", [1, 10])
@pytest.mark.parametrize("asked", [[1.5, 3.0, 0.0], [1.5, 2.99, 0.01]])
def test_channels_that_nothing_moves_do_not_keep_others_from_being_matched(asked: list[float], draws: int) -> None:
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 8)).astype(np.float32)
    levels = [1.0, 0.5, 0.2, 0.1, 0.03]
    # Of one draw no spread is known. The constant is never 2.99, and the dead channel never 0.01.
    data = probekit.tap(Idle(), "block")(x, sigma=levels, draws=draws)
    data["phi"][...] = asked
    found = made(Idle(), data, tap="block", shape=(1, 8, 8), sigmas=levels, n_samples=4)
    energy = np.square(found.samples.values.astype(float)).mean(axis=(2, 3, 4))
    # A draw's standard deviation at the last level is 2σ√(ē/64) = 0.009, and of 4 draws' mean half of that; the
    # spread of 10 draws is at most 1.8 times the true one, and the tolerance √0.3 of it; the presumed one is 0.03.
    assert np.abs(energy - 1.5).max() < 6 * 0.009 / 2 + max(1.8 * 0.009, 0.03) * 0.3**0.5 + 0.03**2


def test_several_taps_are_matched_together(unet: UNet) -> None:
    x = np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32)
    tap = probekit.tap(unet, "enc1", "mid")
    found = sampling.reconstruct(unet, tap, x, n_samples=2, sigmas=[0.5, 0.2, 0.1], progress=False)
    assert found.attrs["taps"] == "enc1=encoder.0, mid=middle"
    assert bool((found.loss < found.loss_before).all())


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
    one = sampling.describe(made(unet, x, sigmas=[0.5, 0.1], n_samples=1))
    assert bool(np.isnan(one.diversity).all())
    with pytest.raises(InputError, match="bring them to one size"):
        sampling.describe(samples, reference=np.zeros((2, 3, 8, 8), np.float32))
    with pytest.raises(InputError, match="the Dataset that reconstruct returns"):
        sampling.describe(found)


def test_the_sheet_shows_every_condition_and_sample(model: PatchModel, images: xr.DataArray) -> None:
    figure = sampling.plot(made(model, images))
    assert len(figure.axes) == 3 * (1 + 2)
    with pytest.raises(InputError, match="reconstruct returns"):
        sampling.plot(xr.Dataset())


def test_the_command_line_writes_samples_findings_and_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["samples", "coffee/1x1/r0c0", "--samples", "2", "--levels", "2", "-o", str(tmp_path)]
    assert sampling.main([*arguments, "--method", "score"]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / name) for name in ("samples.nc", "sampling.nc", "sampling.png")
    ]
    assert xr.load_dataset(tmp_path / "sampling.nc", engine="h5netcdf").attrs["method"] == "score"
    assert sampling.main(["samples", "nobody", "-o", str(tmp_path)]) == 1
    assert "no built-in images ['nobody']" in capsys.readouterr().err
