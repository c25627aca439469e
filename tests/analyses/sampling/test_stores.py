"""Stores of samples: what is kept, what a call that broke finds again, and what is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import probekit
from analyses import sampling
from probekit.errors import CapacityError, InputError, ModelError
from probekit.machine.files import beside
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.sampling.making import SHAPE, Plain, drawn, made, measured, noise, patches


@pytest.fixture
def model() -> PatchModel:
    return patches()


@pytest.fixture
def images(model: PatchModel) -> xr.DataArray:
    return drawn(model)


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
    kept = sorted((tmp_path / "s").glob("[0-9]*.nc"))
    assert 1 <= len(kept) < 3
    # The same network, which from now on breaks no more.
    calls = -(10**9)
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
        with pytest.warns(UserWarning, match=r"000001\.nc cannot be read .*: it is made again"):
            xr.testing.assert_identical(made(model, images, store=tmp_path), whole)
    piece.unlink()
    xr.testing.assert_identical(made(model, images, store=tmp_path), whole)


def test_a_call_killed_while_it_wrote_is_finished(model: PatchModel, images: xr.DataArray, tmp_path: Path) -> None:
    # What a kill leaves is an unfinished file under another name, of the plan or of a piece.
    beside(tmp_path / "plan.json").write_text('{"a')
    whole = made(model, images, store=tmp_path)
    (tmp_path / "000002.nc").rename(beside(tmp_path / "000002.nc"))
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
    assert sorted(p.name for p in tmp_path.glob("*.nc")) == ["000000.nc", "phi.nc"]


def test_samples_of_phi_whose_spread_was_edited_are_of_another_plan(
    model: PatchModel, images: xr.DataArray, tmp_path: Path
) -> None:
    phi = measured(model, images)
    made(model, phi, shape=SHAPE, store=tmp_path)
    with pytest.raises(InputError, match=r"another plan \(targets_sha256"):
        made(model, phi.assign(phi_se=3 * phi.phi_se), shape=SHAPE, store=tmp_path)


def test_pieces_belong_to_their_plan_and_place(model: PatchModel, images: xr.DataArray, tmp_path: Path) -> None:
    whole = made(model, images, store=tmp_path / "a")
    made(model, images, store=tmp_path / "b", seed=1)
    first, second = tmp_path / "a" / "000000.nc", tmp_path / "a" / "000001.nc"
    kept = first.read_bytes()
    for others in (second.read_bytes(), (tmp_path / "b" / "000000.nc").read_bytes()):
        first.write_bytes(others)
        with pytest.warns(UserWarning, match=r"000000\.nc cannot be read as this part of this plan"):
            xr.testing.assert_identical(made(model, images, store=tmp_path / "a"), whole)
        first.write_bytes(kept)


def test_another_reading_of_the_same_network_is_another_plan(tmp_path: Path) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.body = nn.Conv2d(1, 2, 3, padding=1, bias=False)
                self.last = nn.Conv2d(2, 1, 3, padding=1, bias=False)

        def forward(self, y: Tensor) -> Tensor:
            return 0.5 * y + 0.1 * self.last(torch.relu(self.body(y)))

    network = Plain().eval()
    tap = probekit.tap(network, "body")
    pictures = np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32)
    options = {"n_samples": 1, "sigmas": [0.5, 0.2], "draws": 1, "store": tmp_path, "progress": False}
    sampling.reconstruct(network, tap, pictures, **options)
    other = probekit.Denoiser(network, predicts="residual")
    with pytest.raises(InputError, match=r"begun with another plan .*denoiser"):
        sampling.reconstruct(other, tap, pictures, **options)
    attrs = sampling.reconstruct(other, tap, pictures, **options | {"store": None}).attrs
    assert "residual" in attrs["denoiser_settings"]


def test_another_way_of_telling_the_noise_level_is_another_plan(tmp_path: Path) -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.body = nn.Conv2d(1, 2, 3, padding=1, bias=False)
                self.last = nn.Conv2d(2, 1, 3, padding=1, bias=False)

        def forward(self, y: Tensor, sigma: Tensor) -> Tensor:
            return y / (1 + sigma.view(-1, 1, 1, 1)) + 0.1 * self.last(torch.relu(self.body(y)))

    network = Told().eval()

    def told(by: float) -> probekit.Denoiser:
        return probekit.Denoiser(network, sigma_to=lambda sigma: by * sigma)

    tap = probekit.tap(told(1.0), "body")
    pictures = np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32)
    options = {"n_samples": 1, "sigmas": [0.5, 0.2], "draws": 1, "store": tmp_path, "progress": False}
    first = sampling.reconstruct(told(1.0), tap, pictures, **options)
    xr.testing.assert_identical(sampling.reconstruct(told(1.0), tap, pictures, **options), first)
    # It prints as the other does.
    with pytest.raises(InputError, match=r"begun with another plan \(denoiser_modules: "):
        sampling.reconstruct(told(2.0), tap, pictures, **options)


def images_passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass of a patch model has from now on."""
    passed, forward = [], PatchModel.forward

    def counting(self: PatchModel, y: Tensor, sigma: Any = None) -> Tensor:
        passed.append(len(y))
        return forward(self, y, sigma)

    monkeypatch.setattr(PatchModel, "forward", counting)
    return passed


def test_a_whole_store_costs_one_look_whatever_its_levels_images_and_draws(
    model: PatchModel, images: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed, counts = images_passed(monkeypatch), []
    for some, draws, levels in ((images, 2, [0.4, 0.2]), (images[:1], 9, [0.4, 0.3, 0.2, 0.1])):
        folder = tmp_path / str(draws)
        first = made(model, some, store=folder, draws=draws, sigmas=levels)
        passed.clear()
        xr.testing.assert_identical(made(model, some, store=folder, draws=draws, sigmas=levels), first)
        assert set(passed) == {1}
        counts.append(len(passed))
    assert counts[0] == counts[1]


class Remembering(Plain):
    """Keeps its last output on itself, at low noise levels alone."""

    def forward(self, y: Tensor, sigma: Any = None) -> Tensor:
        out = super().forward(y)
        if float(torch.as_tensor(sigma).max()) < 0.15:
            self.kept = out
        return out


def test_what_a_network_keeps_at_some_levels_alone_is_known_when_a_store_goes_on(tmp_path: Path) -> None:
    net, images = Remembering(bands=1), noise(2, 1, 8, 8)
    how: dict[str, Any] = {"tap": "net.3", "store": tmp_path, "draws": 2, "batch_size": 2, "sigmas": [0.4, 0.2, 0.1]}
    with pytest.warns(UserWarning, match=r"changes what it holds in a forward pass \(kept\)"):
        first = made(net, images, **how)
    kept = (tmp_path / "phi.nc").stat().st_mtime_ns
    (tmp_path / "000001.nc").unlink()
    # Which of its passes may be stopped at the tap depends on it.
    with pytest.warns(UserWarning, match=r"changes what it holds in a forward pass \(kept\)"):
        xr.testing.assert_identical(made(net, images, **how), first)
    assert (tmp_path / "phi.nc").stat().st_mtime_ns == kept


class Crowded(Plain):
    """What it makes of an image depends on how many are looked at together, as last bits do."""

    def forward(self, y: Tensor) -> Tensor:
        return super().forward(y) + 1e-3 * len(y)


def test_a_batch_of_which_a_part_was_kept_is_made_whole_again(tmp_path: Path) -> None:
    net, images = Crowded(bands=1), noise(5, 1, 8, 8)
    how: dict[str, Any] = {"tap": "net.3", "store": tmp_path, "draws": 2, "batch_size": 4}
    first = made(net, images, **how)
    kept = (tmp_path / "000000.nc").stat().st_mtime_ns
    (tmp_path / "000001.nc").unlink()
    xr.testing.assert_identical(made(net, images, **how), first)
    assert (tmp_path / "000000.nc").stat().st_mtime_ns == kept


@contextmanager
def other_sums() -> Iterator[None]:
    """Convolutions in another order of sums, as on another machine."""
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(True)


def test_a_store_goes_on_where_sums_round_otherwise(tmp_path: Path) -> None:
    net, images = Plain(bands=1), noise(3, 1, 8, 8)
    how: dict[str, Any] = {"tap": "net.3", "store": tmp_path, "draws": 2}
    first, phi = made(net, images, **how), measured(net, images, tap="net.3").phi
    with other_sums():
        assert not measured(net, images, tap="net.3").phi.equals(phi)
        xr.testing.assert_identical(made(net, images, **how), first)
        (tmp_path / "000001.nc").unlink()
        again = made(net, images, **how)
    assert again.attrs == first.attrs
    xr.testing.assert_identical(again.isel(image=[0, 2]), first.isel(image=[0, 2]))
    assert np.isfinite(again.samples).all()


@pytest.mark.parametrize("change", ["pixels", "draws", "weights", "tap"])
def test_kept_phi_is_of_just_these_images_draws_and_network(change: str, tmp_path: Path) -> None:
    net, images = Plain(bands=1), noise(2, 1, 8, 8)
    made(net, images, tap="net.1", store=tmp_path, draws=2)
    if change == "weights":
        with torch.no_grad():
            next(net.net.parameters()).add_(0.1)
    other = 0.99 * images if change == "pixels" else images
    tap = "net.3" if change == "tap" else "net.1"
    with pytest.raises(InputError, match="begun with another plan"):
        made(net, other, tap=tap, store=tmp_path, draws=3 if change == "draws" else 2)


def test_damaged_phi_is_measured_and_kept_again(model: PatchModel, images: xr.DataArray, tmp_path: Path) -> None:
    first = made(model, images, store=tmp_path)
    kept = (tmp_path / "phi.nc").read_bytes()
    (tmp_path / "phi.nc").write_bytes(kept[: len(kept) // 2])
    with pytest.warns(UserWarning, match=r"phi\.nc cannot be read .*: it is made again"):
        xr.testing.assert_identical(made(model, images, store=tmp_path), first)
    xr.testing.assert_identical(made(model, images, store=tmp_path), first)
    assert xr.load_dataset(tmp_path / "phi.nc").phi.equals(measured(model, images, draws=10).phi)
