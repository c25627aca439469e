"""The table of textures for a network: what it holds, which block is chosen, subsets, the command, and figures."""

import inspect
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from torch import nn

import probekit
from analyses import descriptors, textures
from analyses.ground import untrained_twin
from probekit.denoising.denoiser import as_denoiser
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models import zoo
from probekit.models.unet import UNet

with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    OWN = UNet((4, 6), image_channels=1, encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()
SMALL = textures.Settings(size=8, side=None, each=4, sigma=(0.1, 0.3), draws=2, resamples=100)
NETWORKS = ["UNet", "untrained", "untrained, paper's gains"]
QUIET: dict[str, Any] = {"settings": SMALL, "progress": False}


def photographs(seed: int = 0, *, count: int = 12, name: str = "photograph") -> ImageSet:
    """Gratings in noise: each photograph has a frequency and a direction of its own."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:16, :24]
    waves = rng.uniform(0.3, 2.5, (count, 2, 1, 1))
    made = 0.5 + 0.2 * np.cos(waves[:, 0] * rows + waves[:, 1] * cols) + 0.05 * rng.normal(size=(count, 16, 24))
    return probekit.images.load(made[:, None].clip(0, 1), ids=[f"{name} {k}" for k in range(count)])


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return textures.table(photographs(), denoiser=OWN, train=photographs(1, name="other"), **QUIET)


def test_a_table_is_what_analyse_says_of_each_form_and_of_representations(found: xr.Dataset) -> None:
    cut = textures.patches(photographs(), size=8, side=None, each=4)
    for form, images in (("colour", cut), ("grey", textures.equalised(cut))):
        measured = textures.representations(images, denoiser=OWN, **QUIET)
        assert list(measured) == [*NETWORKS, "pixels", "gist", "Gabor bank", "colour moments"]
        alone = textures.analyse(measured, resamples=100)
        for name in ("rate", "rate_low", "difference", "difference_high"):
            np.testing.assert_array_equal(found[name].sel(form=form, subset="all"), alone[name])
    assert found.attrs["reference"] == "UNet"
    assert (found.attrs["photographs"], found.attrs["patches"]) == (12, 48)
    assert (found.attrs["patches_each"], found.attrs["patches_least"]) == (4, 4)
    assert found.attrs["twins"].split("; ") == NETWORKS[1:]


def test_fewer_patches_than_were_asked_for_are_counted() -> None:
    # Of 16×24 pixels there are six squares of 8.
    many = textures.Settings(size=8, side=None, each=9, sigma=(0.1,), draws=1, resamples=100)
    counted = textures.table(photographs(), denoiser=OWN, settings=many, progress=False)
    assert (counted.attrs["patches_each"], counted.attrs["patches_least"]) == (9, 6)


def test_settings_and_the_command_take_ten_draws() -> None:
    command = import_module("analyses.textures.shell").command
    assert textures.Settings().draws == inspect.signature(command).parameters["draws"].default == 10


def test_the_untrained_row_is_the_twin_of_the_network() -> None:
    cut = textures.patches(photographs(), size=8, side=None, each=4)
    twin = untrained_twin(as_denoiser(OWN), seed=3)
    measured = textures.representations(cut, denoiser=OWN, seed=3, **QUIET)
    direct = probekit.tap(twin, *OWN.tap_aliases)(cut, sigma=(0.1, 0.3), draws=2, seed=3)
    np.testing.assert_array_equal(measured["untrained"]["phi"], direct["phi"])


def test_networks_of_the_package_have_a_twin_with_the_papers_gains_too() -> None:
    cut = textures.patches(np.random.default_rng(0).random((2, 3, 32, 64)), size=32, side=None)
    denoiser = zoo.load("photo32")
    measured = textures.representations(cut, denoiser=denoiser, settings=textures.Settings(draws=1), progress=False)
    twin = zoo.untrained(denoiser, gains="paper")
    direct = probekit.tap(twin, "mid")(cut, sigma=0.1, draws=1)
    own = measured["untrained, paper's gains"]
    np.testing.assert_allclose(own["phi"][..., own.tap.values == "mid"], direct["phi"], rtol=1e-5, atol=1e-6)


def test_the_block_is_the_best_of_the_training_photographs_in_both_forms(found: xr.Dataset) -> None:
    rates = found.training_rate.sel(distance="euclidean").mean(["form", "sigma"])
    assert found.attrs["block"] == str(found.block.values[rates.values.argmax()])
    cut = textures.patches(photographs(1, name="other"), size=8, side=None, each=4)
    alone = textures.analyse({"UNet": textures.representations(cut, denoiser=OWN, **QUIET)["UNet"]}, resamples=100)
    np.testing.assert_array_equal(found.training_rate.sel(form="colour"), alone.rate.sel(representation="UNet"))
    assert found.attrs["verdict"] == textures.verdict(found, found.attrs["block"])


def test_a_network_of_others_has_no_twin_of_the_papers_gains_and_a_verdict_beside_the_other() -> None:
    own = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
    own.tap_aliases = {"mid": "1"}  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    found = textures.table(photographs(), denoiser=own, train=photographs(1, name="other"), **QUIET)
    assert "untrained" in found.representation
    assert "untrained, paper's gains" not in found.representation
    rivals = ["untrained", "colour moments", "Gabor bank"]
    said = textures.verdict(found, found.attrs["block"], rivals=rivals, distance=found.attrs["verdict_distance"])
    assert found.attrs["verdict"] == said
    assert textures.verdict(found, found.attrs["block"]) == said
    assert found.attrs["twins"] == "untrained"
    with pytest.raises(InputError, match=r"paper's gains.*: the network has only untrained to be above"):
        textures.verdict(found, found.attrs["block"], rivals="untrained, paper's gains")


def test_without_training_photographs_there_is_no_block_and_no_verdict() -> None:
    found = textures.table(photographs(), denoiser=OWN, **QUIET)
    assert not {"block", "verdict"} & set(found.attrs)
    assert "training_rate" not in found


def test_curves_end_at_what_the_table_says(found: xr.Dataset) -> None:
    whole = found.rate.sel(subset="all")
    networks = {"representation": NETWORKS}
    for curve in (found.rate_by_draws.sel(n_draws=2), found.rate_by_patches.sel(n_patches=4)):
        np.testing.assert_allclose(curve.sel(networks), whole.sel(networks), atol=1e-12)
        assert curve.drop_sel(networks).isnull().all()
    assert found.n_patches.values.tolist() == [2, 4]


def test_a_group_is_searched_alone_and_small_ones_are_left_out() -> None:
    images = photographs(count=24)
    groups = {name: ("cloth" if k < 11 else "stone" if k < 22 else "few") for k, name in enumerate(images.ids)}
    with pytest.warns(UserWarning, match=r"left out groups of fewer than 10 photographs: few \(2\)"):
        found = textures.table(images, denoiser=OWN, groups=groups, **QUIET)
    assert found.subset.values.tolist() == ["all", "cloth", "stone"]
    alone = textures.table(images[list(range(11))], denoiser=OWN, **QUIET)
    np.testing.assert_array_equal(found.rate.sel(subset="cloth"), alone.rate.sel(subset="all"))
    assert found.chance.sel(form="grey").values.tolist() == pytest.approx([3 / 95, 3 / 43, 3 / 43])


def test_a_store_is_taken_up(tmp_path: Path) -> None:
    first = textures.table(photographs(), denoiser=OWN, store=tmp_path, **QUIET)
    assert (tmp_path / "grey" / "untrained.zarr").is_dir()
    xr.testing.assert_equal(first, textures.table(photographs(), denoiser=OWN, store=tmp_path, **QUIET))


def test_descriptions_are_kept_of_just_these_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(describe: Callable[[ImageSet], xr.DataArray]) -> Callable[[ImageSet], xr.DataArray]:
        return lambda source: made.append(describe) or describe(source)

    for kind in ("pixels", "gist", "gabor", "colour_moments"):
        monkeypatch.setattr(descriptors, kind, counted(getattr(descriptors, kind)))
    cut = textures.patches(photographs(), size=8, side=None, each=4)
    other = replace(probekit.images.load(0.9 * cut.read(range(len(cut))), ids=cut.ids), labels=cut.labels)
    for images, expected in ((cut, 4), (cut, 1), (other, 4)):
        fresh = textures.representations(images, denoiser=OWN, **QUIET)
        made.clear()
        for found in tmp_path.glob("*.zarr"):
            shutil.rmtree(found)
        kept = textures.representations(images, denoiser=OWN, store=tmp_path, **QUIET)
        assert len(made) == expected
        for name in ("pixels", "gist", "Gabor bank", "colour moments"):
            xr.testing.assert_identical(kept[name], fresh[name])


def test_figures_show_every_representation_and_every_block(found: xr.Dataset) -> None:
    rates, curves = textures.plot(found), textures.plot_curves(found)
    assert len(rates.axes) == 4
    for figure, names in ((rates, found.representation), (curves, found.block)):
        assert {*figure.axes[0].get_legend_handles_labels()[1]} >= set(map(str, names.values))
    plt.close("all")


def test_the_command_reads_photographs_of_all_sizes_and_writes_findings_and_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(10):
        Image.fromarray(rng.integers(0, 255, (32, 64 + k, 3), np.uint8)).save(tmp_path / f"{k}.png")
    groups = tmp_path / "groups.csv"
    groups.write_text("file,kind\n" + "".join(f"{k}.png,cloth\n" for k in range(10)))
    out = tmp_path / "results" / "out"
    options = ["--size", "32", "--side", "32", "--draws", "1", "--groups", str(groups), "--by", "kind", "--quiet"]
    folder = tmp_path / "photographs"
    folder.mkdir()
    for k in range(10):
        (tmp_path / f"{k}.png").rename(folder / f"{k}.png")
    assert textures.main([str(folder), "-o", str(out), *options]) == 0
    written = xr.load_dataset(out / "textures.nc", engine="h5netcdf")
    assert written.subset.values.tolist() == ["all", "cloth"]
    assert written.attrs["patches"] == 20
    assert {path.name for path in out.iterdir() if path.is_file()} == {
        "textures.nc",
        "textures.png",
        "textures-curves.png",
        "textures-sheet.png",
    }
    hidden = tmp_path / "hidden"
    assert textures.main([str(folder), "-o", str(hidden), *options, "--no-sheet"]) == 0
    assert {path.name for path in hidden.glob("*.png")} == {"textures.png", "textures-curves.png"}


def test_the_patches_that_excite_a_channel_are_those_of_its_largest_phi_and_their_maps_average_to_it() -> None:
    cut = textures.patches(photographs(), size=8, side=None, each=4)
    found = textures.excited(cut, denoiser=OWN, block="mid", channels=[3, 1], sigma=0.1, top=3, draws=1, seed=2)
    phi = probekit.tap(OWN, "mid")(cut, sigma=[0.1], draws=1, seed=2)
    for c, channel in enumerate((3, 1)):
        own = phi.phi.values[:, 0, channel]
        best = np.argsort(-own, kind="stable")[:3]
        assert found.name.values[c].tolist() == [cut.ids[i] for i in best]
        np.testing.assert_allclose(found.activation_map.values[c].mean(axis=(1, 2)), own[best], rtol=1e-4, atol=1e-7)
        np.testing.assert_array_equal(found.patch.values[c], cut.read(best.tolist()))
        assert found.photographs.values[c] == len({(cut.labels or ())[i] for i in best})
    figure = textures.sheet(found)
    assert len(figure.axes) == 2 * 3 * 2
    plt.close("all")


class Dying(nn.Module):
    """A layer of 12 channels: five of gains 5, 4, …, 1, and others that are dead, nearly so, or constant."""

    def __init__(self, *, dead: bool = False, signed: bool = False) -> None:
        super().__init__()
        gains = torch.tensor([1.0, 0, 3, 0, 5, 0, 1e-4, 1e-6, 4, 0, 2, 0]) * (0 if dead else 1)
        # One is the same for all patches, and one always below 0.
        rest = torch.tensor([0.0, 7, 0, -9, 0, 0, 0, 0, 0, 0, 0, 0])
        layer = nn.Conv2d(1, 12, 1)
        layer.weight = nn.Parameter(gains[:, None, None, None])
        layer.bias = nn.Parameter(rest)
        self.mid = layer if signed else nn.Sequential(layer, nn.ReLU())

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y - 0 * self.mid(y).mean()


def test_channels_that_are_dead_or_nearly_or_constant_are_left_out_and_counted() -> None:
    cut = textures.patches(photographs(), size=8, side=None, each=4)
    found = textures.excited(cut, denoiser=Dying(), block="mid", top=3, draws=2)
    assert found["unit"].values.tolist() == [4, 8, 2, 10, 0]
    assert found.attrs["channels_left_out"] == 7
    chosen = textures.excited(cut, denoiser=Dying(), block="mid", channels=[1, 5], top=3, draws=2)
    assert chosen["unit"].values.tolist() == [1, 5]
    assert "channels_left_out" not in chosen.attrs


def test_patches_excite_by_the_reduction_that_is_named() -> None:
    cut = textures.patches(photographs(), size=8, side=None, each=4)
    asked = {"denoiser": OWN, "block": "mid", "channels": [1], "top": 3, "draws": 2}
    plain, largest = (textures.excited(cut, reduce=reduce, **asked) for reduce in ("mean", "max"))
    assert (plain.activity.values != largest.activity.values).all()
    maxima = probekit.tap(OWN, "mid", reduce="max")(cut, sigma=[0.1], draws=2, progress=False).phi.values[:, 0, 1]
    assert largest.name.values[0, 0] == cut.ids[int(maxima.argmax())]


def test_a_block_of_which_no_channel_is_excited_is_refused() -> None:
    cut = textures.patches(photographs(), size=8, side=None, each=4)
    with pytest.raises(InputError, match=r"no channel of mid is excited .*give another block"):
        textures.excited(cut, denoiser=Dying(dead=True), block="mid", top=3, draws=1)


def test_the_command_draws_no_sheet_of_a_block_that_is_signed_and_says_why(found: xr.Dataset) -> None:
    drawn = import_module("analyses.textures.shell").sheet_of
    with pytest.warns(UserWarning, match=r"no sheet of patches: .*ReLU"):
        assert drawn(found.assign_attrs(block="mid"), photographs(), Dying(signed=True), SMALL, 0) == []
    (name, figure), *_ = drawn(found.assign_attrs(block="mid"), photographs(), Dying(), SMALL, 0)
    assert name == "textures-sheet"
    assert len(figure.axes) == 5 * 2 * 6


def test_at_most_eight_channels_are_shown_the_most_excited_first() -> None:
    # The package has a function of that name.
    most_excited = import_module("analyses.textures.excited").most_excited
    phi = np.random.default_rng(0).random((30, 1)) * np.arange(1, 21)
    chosen, left_out = most_excited(phi, 3)
    assert chosen.tolist() == [19, 18, 17, 16, 15, 14, 13, 12]
    assert left_out == 0
    assert most_excited(phi + 100, 3)[0].tolist() == chosen.tolist()


def test_photographs_that_are_in_both_sets_are_refused() -> None:
    with pytest.raises(InputError, match="12 photographs are in both sets, such as photograph 0"):
        textures.table(photographs(), denoiser=OWN, train=photographs(), **QUIET)
