"""Sampling of networks, conditions, options, stores and findings that are out of the ordinary."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import probekit
from analyses import sampling
from analyses.sampling import batches
from probekit.errors import CapacityError, InputError, ModelError, TapError
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

LEVELS = [1.0, 0.3, 0.1]
SHAPE = (1, 8, 8)


@pytest.fixture
def model() -> PatchModel:
    return PatchModel([1.0], [[0.2, 0.05, 0.01, 0]]).double()


@pytest.fixture
def images(model: PatchModel) -> xr.DataArray:
    return model.draw(3, rows=8, cols=8, seed=0).images


@pytest.fixture
def phi(model: PatchModel, images: xr.DataArray) -> xr.Dataset:
    return probekit.tap(model, "mid")(images, sigma=LEVELS, draws=2)


def made(model: nn.Module, condition: Any, *, tap: str = "mid", **options: Any) -> xr.Dataset:
    given = {"sigmas": LEVELS, "n_samples": 2, "draws": 2, "progress": False, **options}
    return sampling.reconstruct(model, probekit.tap(model, tap), condition, **given)


class Plain(nn.Module):
    """Three convolutions; what `seen` makes of the noisy image can be tapped."""

    def __init__(self, seen: nn.Module | None = None, bands: int = 1) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = nn.Sequential(
                nn.Conv2d(bands, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
            )
            self.last = nn.Conv2d(4, bands, 3, padding=1)
        self.seen = nn.Identity() if seen is None else seen

    def forward(self, y: Tensor) -> Tensor:
        self.seen(y)
        return 0.5 * y + 0.1 * self.last(self.net(y))


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


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


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


def test_phi_whose_channels_were_reordered_is_refused(model: PatchModel, phi: xr.Dataset) -> None:
    with pytest.raises(InputError, match="other channels, or in another order"):
        made(model, phi.isel(channel=[1, 0, 2, 3]), shape=SHAPE)
    with pytest.raises(InputError, match="other denoisers, taps"):
        sampling.interpolate(phi.isel(image=[0]), phi.isel(image=[1], channel=[1, 0, 2, 3]), [0.5])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: d.assign(phi_se=-d.phi_se), "phi_se is negative or infinite"),
        (lambda d: d.assign(phi_se=d.phi_se * np.inf), "phi_se is negative or infinite"),
        (lambda d: d.assign(phi=d.phi.where(d.phi > 1)), "phi holds NaN"),
        (lambda d: d.assign(phi=d.phi.astype(str)), "phi is of type"),
        (lambda d: d.assign(phi=d.phi.astype(complex)), "phi is of type complex128"),
        (lambda d: d.assign_attrs(draws="ten"), "the attr draws of φ='ten'"),
        (lambda d: d.assign_attrs(draws=0), "the attr draws of φ=0"),
        (lambda d: d.isel(image=[]), "φ of 0 images"),
        (lambda d: d.isel(sigma=[]), "at 0 levels"),
    ],
)
def test_phi_that_cannot_be_held_is_refused(edit: Any, words: str, model: PatchModel, phi: xr.Dataset) -> None:
    with pytest.raises(InputError, match=words):
        made(model, edit(phi), shape=SHAPE)


@pytest.mark.parametrize("shape", ["188", 5, (1, 8), (1, 8, "a"), (1, 8, 8.5), (0, 8, 8), (1, True, 8)])
def test_shapes_that_are_none_are_refused(shape: Any, model: PatchModel, phi: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"give shape=\(bands, rows, cols\)"):
        made(model, phi, shape=shape)


def test_what_a_condition_already_says_is_not_silently_ignored(
    model: PatchModel, images: xr.DataArray, phi: xr.Dataset
) -> None:
    with pytest.raises(InputError, match="ids= are of images"):
        made(model, phi, shape=SHAPE, ids=["a", "b", "c"])
    with pytest.raises(InputError, match=r"shape=\(1, 4, 4\) and the condition's images are \(1, 8, 8\)"):
        made(model, images, shape=(1, 4, 4))
    for option in ({"channels": [0]}, {"top": 1}, {"weights": np.ones(4)}):
        with pytest.raises(InputError, match="basis with channels, top or weights"):
            made(model, images, basis=np.eye(4), **option)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": []}, "give one of langevin"),
        ({"seed": "a"}, "seed='a'"),
        ({"seed": -1}, "seed=-1"),
        ({"draws": 0}, "draws=0"),
        ({"step": True}, "step=True"),
        ({"tolerance": np.nan}, "tolerance=nan"),
        ({"trajectory": "a"}, "trajectory='a'"),
        ({"start": "a"}, "start='a': give real numbers"),
        ({"start": [[1], [2, 3]]}, "rows of one length"),
        ({"weights": "a"}, "weights='a'"),
        ({"basis": "a"}, "basis='a'"),
        ({"basis": np.zeros((2, 4))}, "basis is 0 throughout"),
        ({"method": "algorithm1", "eps": None}, "eps=None"),
        ({"method": "algorithm1", "eps": -1}, "eps=-1"),
        ({"method": "algorithm1", "average_loss": "no"}, "average_loss='no'"),
        ({"method": "adaptive", "most_levels": 0}, "most_levels=0"),
        ({"method": "particles", "resample_below": None}, "resample_below=None"),
        ({"store": 5}, "store=5"),
    ],
)
def test_options_of_the_wrong_kind_are_refused(
    options: dict[str, Any], words: str, model: PatchModel, images: xr.DataArray
) -> None:
    with pytest.raises(InputError, match=words):
        made(model, images, **options)


def test_what_is_no_tap_is_refused(model: PatchModel, images: xr.DataArray) -> None:
    for wrong in (None, "mid"):
        with pytest.raises(InputError, match=r"give a tap, probekit\.tap"):
            sampling.reconstruct(model, wrong, images)  # pyright: ignore[reportArgumentType]


def test_phi_that_cannot_be_mixed_or_projected_is_refused(phi: xr.Dataset) -> None:
    first, second = phi.isel(image=[0]), phi.isel(image=[1])
    for shares in ("a", 0.5, [np.nan], [[0.5]], [0.5, 0.5], []):
        with pytest.raises(InputError, match="shares"):
            sampling.interpolate(first, second, shares)  # pyright: ignore[reportArgumentType]
    for centre in ("a", [1, 2], np.nan, np.zeros((3, 3, 4))):
        with pytest.raises(InputError, match="centre"):
            sampling.project(phi, np.eye(4), centre=centre)
    with pytest.raises(InputError, match="φ of no image"):
        sampling.centroid(phi.isel(image=[]))


def test_a_store_that_cannot_be_used_is_one_clear_error(
    model: PatchModel, images: xr.DataArray, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is no folder"):
        made(model, images, store=tmp_path / "file")
    with pytest.raises(CapacityError, match="cannot write into"):
        made(model, images, store=tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"
    for text, words in (('{"a"', "cannot be read"), ("[1]", "no plan of samples")):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(InputError, match=words):
            made(model, images, store=tmp_path)


def test_a_broken_piece_is_named_and_made_again_once_deleted(
    model: PatchModel, images: xr.DataArray, tmp_path: Path
) -> None:
    whole = made(model, images, store=tmp_path)
    piece = tmp_path / "000001.nc"
    for content in (b"", b"junk", piece.read_bytes()[:5000]):
        piece.write_bytes(content)
        with pytest.raises(InputError, match=r"000001\.nc cannot be read .* delete it, and its image is made again"):
            made(model, images, store=tmp_path)
    piece.unlink()
    xr.testing.assert_identical(made(model, images, store=tmp_path), whole)


def test_a_call_killed_while_it_wrote_is_finished(model: PatchModel, images: xr.DataArray, tmp_path: Path) -> None:
    # What a kill leaves is an unfinished file under another name, of the plan or of a piece.
    (tmp_path / "plan.part").write_text('{"a')
    whole = made(model, images, store=tmp_path)
    (tmp_path / "000002.nc").rename(tmp_path / "000002.part")
    xr.testing.assert_identical(made(model, images, store=tmp_path), whole)


def test_a_full_disc_keeps_what_is_finished(
    model: PatchModel, images: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = xr.Dataset.to_netcdf

    def full(self: xr.Dataset, path: Path, **options: Any) -> Any:
        if "000001" in str(path):
            raise OSError(28, "No space left on device")
        return write(self, path, **options)

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(CapacityError, match=r"cannot write into .*No space left"):
        made(model, images, store=tmp_path, batch_size=2)
    assert [p.name for p in tmp_path.glob("*.nc")] == ["000000.nc"]


def test_samples_of_phi_whose_spread_was_edited_are_of_another_plan(
    model: PatchModel, phi: xr.Dataset, tmp_path: Path
) -> None:
    made(model, phi, shape=SHAPE, store=tmp_path)
    with pytest.raises(InputError, match=r"another plan \(targets_sha256"):
        made(model, phi.assign(phi_se=3 * phi.phi_se), shape=SHAPE, store=tmp_path)


def test_findings_and_sheet_refuse_what_reconstruct_does_not_return(model: PatchModel, images: xr.DataArray) -> None:
    samples = made(model, images)
    refused = [
        (samples.drop_vars("match"), "with samples and match"),
        (samples.isel(image=0), "select with a list"),
        (samples.isel(sample=[]), "one image and one sample at least"),
        (samples.isel(image=[]), "one image and one sample at least"),
        (samples.assign(samples=samples.samples * np.nan), "NaN or infinite"),
    ]
    for given, words in refused:
        for function in (sampling.describe, sampling.plot):
            with pytest.raises(InputError, match=words):
                function(given)
    options = [
        ({"quantile": "a"}, "quantile='a'"),
        ({"seed": -1}, "seed=-1"),
        ({"tap": "mid"}, "tap='mid'"),
        ({"unconditional": xr.Dataset()}, "unconditional: give"),
    ]
    for option, words in options:
        with pytest.raises(InputError, match=words):
            sampling.describe(samples, **option)
    with pytest.raises(InputError, match="most=0"):
        sampling.plot(samples, most=0)


def test_the_part_of_one_tap_of_a_φ_of_several_is_a_condition_for_it() -> None:
    torch.manual_seed(0)
    network = UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()
    x = torch.rand(1, 3, 8, 8)
    both = probekit.tap(network, "enc1", "mid")(x, sigma=[0.1], draws=2)
    mid = both.isel(channel=both["tap"].values == "mid")
    tap = probekit.tap(network, "mid")
    how = {"shape": (3, 8, 8), "n_samples": 1, "sigmas": [0.1, 0.05]}
    made = sampling.reconstruct(network, tap, mid, **how)
    alone = sampling.reconstruct(network, tap, tap(x, sigma=[0.1], draws=2), **how)
    np.testing.assert_array_equal(made.samples, alone.samples)
    with pytest.raises(InputError, match="another denoiser or tap"):
        sampling.reconstruct(network, tap, both.isel(channel=both["tap"].values == "enc1"), **how)


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


def test_batches_fit_the_memory_that_is_free_and_change_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    model = PatchModel([1.0], [[0.2, 0.05, 0, 0]]).double()
    images, tap = model.draw(3, rows=8, cols=8, seed=0).images, probekit.tap(model, "mid")
    sizes: list[int] = []
    batch = batches._batch

    def seen(job: Any, pairs: Any) -> xr.Dataset:
        sizes.append(len(pairs))
        return batch(job, pairs)

    monkeypatch.setattr(batches, "_batch", seen)
    ample = sampling.reconstruct(model, tap, images, n_samples=4, sigmas=[1, 0.3, 0.1])
    assert sizes == [12]
    sizes.clear()
    monkeypatch.setattr(batches, "available_bytes", lambda _: 1)
    scarce = sampling.reconstruct(model, tap, images, n_samples=4, sigmas=[1, 0.3, 0.1])
    assert sizes == [1] * 12
    np.testing.assert_allclose(scarce.samples, ample.samples, rtol=1e-6, atol=1e-9)


def test_the_progress_bar_counts_images_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    images, tap = model.draw(3, rows=8, cols=8, seed=0).images, probekit.tap(model, "mid")
    sampling.reconstruct(model, tap, images, n_samples=1, sigmas=[1, 0.3], progress=False)
    assert capsys.readouterr().err == ""
    sampling.reconstruct(model, tap, images, n_samples=1, sigmas=[1, 0.3], progress=True)
    assert "3/3" in capsys.readouterr().err
