"""The variants of sampling that are compared, their store, figures, laws and command."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from torch import nn

import probekit
from analyses import densities, sampling, variants
from analyses.variants import recipes, shell
from analyses.variants.recipes import on_either_side
from probekit.errors import InputError, ModelError
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

QUICK: dict[str, Any] = {"sigmas": [1, 0.1], "resamples": 100, "draws": 4, "held_out": (), "progress": False}


def model() -> PatchModel:
    return PatchModel([1.0], [[0.2, 0.05, 0.1, 0.02]], pool=[[0, 1], [2, 3]])


def conditions(n: int = 6, seed: int = 1) -> xr.DataArray:
    return model().draw(n, rows=8, cols=8, seed=seed).images


def unet() -> probekit.Denoiser:
    torch.manual_seed(1)
    network = UNet((4, 6, 8), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 1))
    return probekit.Denoiser(network.eval(), name="small")


def photographs(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, 8, 8), np.float32)


@pytest.fixture(scope="module")
def of_unet() -> xr.Dataset:
    return variants.table(
        photographs(), denoiser=unet(), **{**QUICK, "held_out": ("enc1", "dec2"), "sigmas": [0.5, 0.1]}
    )


def samples(found: xr.Dataset, variant: str) -> np.ndarray:
    return found.samples.sel(variant=variant).values


def test_each_method_the_untrained_twin_and_every_other_tap_are_compared(of_unet: xr.Dataset) -> None:
    methods = ["langevin", "algorithm1", "guidance", "score", "unconditional"]
    taps = ["at enc1", "at enc2", "at dec2"]
    one, paper = "untrained", "untrained, paper's gains"
    twins = [f"{name}{added}" for name in (one, paper) for added in ("", ", unconditional")]
    assert of_unet.variant.values.tolist() == [*methods, *twins, *taps]
    assert of_unet.network.values.tolist() == ["trained"] * 5 + [one] * 2 + [paper] * 2 + ["trained"] * 3
    assert of_unet.attrs["untrained_controls"] == f"{one}; {paper}"
    assert of_unet.block.values.tolist() == ["mid"] * 9 + ["enc1", "enc2", "dec2"]
    measures = of_unet.measure.values.tolist()
    assert [m for m in measures if m.startswith("nearer")] == ["nearer in enc1", "nearer in dec2", "nearer in mid"]
    assert not any("references" in m for m in measures)
    assert of_unet.attrs["analysis"] == "variants"
    assert of_unet.attrs["seed"] == of_unet.attrs["analysis_seed"] == 0
    # The method of the first variant is not that of all.
    assert "method" not in of_unet.attrs


def test_the_untrained_variant_is_of_fresh_weights(of_unet: xr.Dataset) -> None:
    gradients, twins = of_unet.value.sel(measure="gradients"), ("untrained", "untrained, paper's gains")
    for name in twins:
        assert np.abs(samples(of_unet, name) - samples(of_unet, "langevin")).max() > 0.01
        assert gradients.sel(variant=name) > gradients.sel(variant=f"{name}, unconditional") == 0
    assert np.abs(samples(of_unet, twins[0]) - samples(of_unet, twins[1])).max() > 0.01


def written(folder: Path) -> dict[Path, int]:
    """When each file of samples was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("0*.nc")}


def test_a_second_call_reads_the_store_and_a_stopped_one_goes_on(tmp_path: Path) -> None:
    options = {**QUICK, "denoiser": model(), "store": tmp_path}
    first, before = variants.table(conditions(3), **options), written(tmp_path)
    gone = tmp_path / "langevin" / "000001.nc"
    gone.unlink()
    again, after = variants.table(conditions(3), **options), written(tmp_path)
    assert before.keys() == after.keys()
    assert {path for path in before if before[path] != after[path]} == {gone}
    unchanged = [m for m in first.measure.values if m != "seconds"]
    xr.testing.assert_allclose(again.sel(measure=unchanged), first.sel(measure=unchanged), atol=1e-6)
    # Variants that were only read have the seconds that they took when they were made.
    kept = {"variant": ["algorithm1", "guidance", "score"], "measure": "seconds"}
    np.testing.assert_array_equal(again.value.sel(kept), first.value.sel(kept))


def test_a_recipe_more_is_a_variant_more(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"alone": variants.Recipe("guidance at {block}, and nothing else", "guidance")}
    monkeypatch.setattr(recipes, "RECIPES", dict(list(variants.RECIPES.items())[:1]) | more)
    found = variants.table(conditions(2), denoiser=model(), **QUICK)
    assert found.variant.values.tolist() == ["langevin", "alone"]
    assert found.what.values[1] == "guidance at mid, and nothing else"


class Broken(nn.Module):
    tap_aliases = {"mid": "layer"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, y: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        del sigma
        return self.layer(y)[:, :1] * float("nan")


def test_a_variant_without_finite_images_is_left_out_and_said_but_the_first_may_not_fail() -> None:
    further = variants.Variant(
        "broken", "gives NaN", probekit.Denoiser(Broken(), sigma_to="sigma", data_range=None), "mid", "unconditional"
    )
    with pytest.warns(UserWarning, match="the variant 'broken' is left out"):
        found = variants.table(conditions(2), denoiser=model(), further=[further], **QUICK)
    assert "broken" not in found.variant
    with pytest.raises(ModelError):
        variants.table(conditions(2), denoiser=further.network, **QUICK)


def test_levels_are_the_methods_own_in_the_number_asked_for() -> None:
    whole = sampling.schedule("algorithm1", None, 100)
    np.testing.assert_allclose(whole, np.linspace(1, 0.03, 100))
    np.testing.assert_allclose(sampling.schedule("algorithm1", None, 20), np.linspace(1, 0.03, 20))
    assert sampling.schedule("score", [1, 0.5], 20) == [1, 0.5]


def test_the_table_round_trips_and_its_figures_show_every_variant(of_unet: xr.Dataset, tmp_path: Path) -> None:
    of_unet.to_netcdf(tmp_path / "variants.nc", engine="h5netcdf")
    kept = xr.load_dataset(tmp_path / "variants.nc", engine="h5netcdf")
    xr.testing.assert_identical(kept, of_unet)
    figure = variants.plot(kept)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == of_unet.variant.values.tolist()
    sheet = variants.sheet(kept, conditions=2, samples=1)
    said = [t.get_text() for axis in sheet.axes for t in axis.texts]
    assert set(of_unet.variant.values) | set(of_unet.what.values) <= set(said)
    assert sum(len(axis.images) for axis in sheet.axes) == 2 * (of_unet.sizes["variant"] + 1)
    missed = variants.sheet(kept.assign(match=0 * kept["match"] + 1.096), conditions=2, samples=1)
    assert {axis.get_xlabel() for axis in missed.axes} - {""} == {"110 %"}
    large = kept.assign({name: 0 * kept[name] + 99.6 for name in ("value", "low", "high")})
    column = [t.get_text() for t in variants.plot(large).axes[0].texts]
    assert column == ["100"] * of_unet.sizes["variant"]
    with pytest.raises(InputError, match=r"give what variants.table returns"):
        variants.plot(kept.drop_vars("value"))


def test_laws_are_what_densities_take_and_of_the_same_conditions_as_the_table(tmp_path: Path) -> None:
    options = {"denoiser": model(), "n_images": 9, "sigmas": [1, 0.3, 0.1], "draws": 4, "seed": 3}
    # Conditions of very different energies, beside which the noise of four samples is little.
    given = conditions(12) * xr.DataArray(np.linspace(0.2, 3, 12), dims="image")
    data = variants.laws(given, n_samples=4, store=tmp_path / "laws", **options)
    table = variants.table(given, resamples=100, held_out=(), n_samples=1, **options)
    assert data.image.values.tolist() == table.image.values.tolist()
    assert data.sizes["image"] == 9
    related = densities.analyse(data, measure="patch_wasserstein", least_pairs=36, resamples=100, permutations=100)
    assert related.feature.values.tolist() == ["phi", "pixels"]
    # The laws are spheres about one centre whose radii are φ's: near ones in φ are near.
    assert related.correlation.sel(feature="phi") > 0.5


def command_line(folder: Path, count: int) -> list[str]:
    """Words of the command for so many small photographs and a small network, into folder/out."""
    (folder / "images").mkdir()
    for i, values in enumerate(photographs(count)):
        Image.fromarray((255 * values).astype(np.uint8).transpose(1, 2, 0)).save(folder / "images" / f"{i}.png")
    weights = zoo.save(unet(), folder / "small.safetensors")
    given = [str(folder / "images"), "--network", str(weights), "--held-out", "enc1", "--levels", "2", "--samples", "1"]
    return [*given, "--draws", "2", "--resamples", "100", "--quiet", "-o", str(folder / "out")]


def test_the_command_writes_table_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {name: recipe for name, recipe in variants.RECIPES.items() if recipe.method == sampling.DEFAULT}
    monkeypatch.setattr(recipes, "RECIPES", few)
    given = command_line(tmp_path, 2)
    assert variants.main([*given, "--reference", str(tmp_path / "images")]) == 0
    written = xr.load_dataset(tmp_path / "out" / "variants.nc", engine="h5netcdf")
    assert "near copies of references" in written.measure
    assert written.variant.values[-1] == "at dec2"
    assert all((tmp_path / "out" / f"variants{end}.png").stat().st_size for end in ("", "-sheet"))
    assert variants.main([*given, "--block", "nowhere"]) == 1
    assert "no 'nowhere'" in capsys.readouterr().err


def test_the_command_relates_laws_of_the_trained_and_the_untrained_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "RECIPES", dict(list(variants.RECIPES.items())[:1]))
    monkeypatch.setattr(shell, "DISTANCES", ("patch_wasserstein",))
    # 21 conditions make 210 pairs, and a correlation needs 200.
    assert variants.main([*command_line(tmp_path, 21), "--laws", "4"]) == 0
    for role in ("trained", "untrained", "untrained-paper-gains"):
        name = f"densities-patch-wasserstein-{role}"
        assert xr.load_dataset(tmp_path / "out" / f"{name}.nc", engine="h5netcdf").sizes["pair"] == 210
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 0


def test_seconds_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    given: dict[str, Any] = {"denoiser": model(), "n_samples": 4, "levels": 2, "draws": 1, "store": tmp_path}
    variants.laws(conditions(1), **given)
    for text in ('{"sec', "[]", "{}"):
        (tmp_path / "langevin" / "seconds.json").write_text(text)
        with pytest.raises(InputError, match=r"seconds\.json cannot be read .* delete it"):
            variants.laws(conditions(1), **given)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["enc1", "enc2", "enc3", "mid", "dec3", "dec2"], ["enc2", "dec3"]),
        (["enc1", "enc2", "mid", "dec1"], ["enc1", "dec1"]),
        (["mid"], []),
        (["layer5", "mid"], ["layer5"]),
        (["a", "b"], ["b"]),
    ],
)
def test_by_default_samples_are_compared_in_taps_on_either_side_of_the_block(
    names: list[str], expected: list[str]
) -> None:
    assert on_either_side(names, "mid" if "mid" in names else "a") == expected
