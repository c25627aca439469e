"""The table of controls: its rows and labels, its store, its figure, its command line, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

import probekit
from analyses import controls, probe, semantics
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models.unet import UNet

SMALL: dict[str, Any] = {
    "sigma": (0.1, 0.4),
    "draws": 2,
    "untrained": 1,
    "resamples": 100,
    "penalties": (0.1,),
    "n_clusters": 4,
}


def images(prefix: str, count: int = 48, **options: Any) -> ImageSet:
    """Noise about one of four shades, which are the classes."""
    rng = np.random.default_rng(ord(prefix))
    shade = np.arange(count) % 4
    values = 0.2 + 0.2 * shade[:, None, None, None] + 0.1 * rng.normal(size=(count, 3, 8, 8))
    given = {"ids": [f"{prefix}{i}" for i in range(count)], "labels": [f"class {k}" for k in shade], **options}
    return probekit.images.load(values.clip(0, 1).astype(np.float32), **given)


def denoiser() -> probekit.Denoiser:
    torch.manual_seed(1)
    network = UNet((4, 6, 8), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 1))
    return probekit.Denoiser(network.eval(), name="small")


class Blind(torch.nn.Module):
    """Answers every image, by nothing that its class has to do with: so steep a wave is as good as a draw."""

    def __init__(self, steepness: float = 1e5) -> None:
        super().__init__()
        self.name, self.steepness = "blind", steepness
        self.layer = torch.nn.Identity()

    def forward(self, y: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        del sigma
        total = self.steepness * y.double().mean(dim=(1, 2, 3))
        self.layer(torch.stack([total.sin(), total.cos()], dim=1).float()[..., None, None])
        return y


def tabled(first: Any = None, **options: Any) -> xr.Dataset:
    first = images("a") if first is None else first
    given = {"train": images("b", 80), "denoiser": denoiser(), **SMALL}
    return controls.table(first, **{**given, **options})


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return tabled()


def test_there_is_a_row_for_each_block_and_each_control(found: xr.Dataset) -> None:
    rows = found.row.values.tolist()
    assert rows[:4] == ["small enc1", "small enc2", "small mid", "small dec2"]
    assert rows[4:9] == ["untrained 0 mid", "pixels", "pca", "colour", "gist"]
    assert rows[9:] == ["photo32-dncnn layer3", "photo32-dncnn layer6", "photo32-dncnn layer9", "photo32-sigma mid"]
    assert found.value.dims == ("row", "sigma", "measure")
    assert found.group.values.tolist()[3:6] == ["trained", "untrained", "descriptor"]
    assert found.attrs["reference"] == "small mid"
    assert (found.attrs["images"], found.attrs["train_images"]) == (48, 80)


def own_row_differs_in_nothing(found: xr.Dataset) -> None:
    own = found.sel(row=found.attrs["reference"])
    assert (own[["difference", "difference_low", "difference_high"]].to_array() == 0).all()


def test_the_trained_mid_differs_from_itself_in_nothing(found: xr.Dataset) -> None:
    own_row_differs_in_nothing(found)


def test_differences_of_images_that_are_not_paired_show_in_the_row_of_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from analyses.controls import measures

    right = measures._per_image
    monkeypatch.setattr(
        measures, "_per_image", lambda own, reference, *rest: right(own, np.roll(reference, 1, axis=0), *rest)
    )
    with pytest.raises(AssertionError):
        own_row_differs_in_nothing(tabled())


def test_values_lie_in_their_intervals_and_differences_are_differences(found: xr.Dataset) -> None:
    known = found.value.notnull()
    assert ((found.low <= found.value + 1e-9) & (found.value <= found.high + 1e-9)).where(known, True).all()
    reference = found.value.sel(row="small mid", drop=True)
    np.testing.assert_allclose(found.difference.where(known), (found.value - reference).where(known), atol=1e-6)


def test_a_descriptor_is_not_correlated_with_itself_and_all_else_is_known(found: xr.Dataset) -> None:
    for row in found.row.values:
        unknown = set(found.measure.values[np.isnan(found.value.sel(row=row).isel(sigma=0).values)])
        assert all(row in name for name in unknown), (row, unknown)


def test_numbers_are_those_of_the_single_analyses(found: xr.Dataset) -> None:
    data, train = (
        probekit.tap(denoiser(), "mid")(x, sigma=SMALL["sigma"], draws=2, keep_draws=True)
        for x in (images("a").subset(order("a", 48)), images("b", 80).subset(order("b", 80)))
    )
    mid = found.sel(row="small mid")
    again = semantics.stability(data, reference=0.1, distances=["euclidean"], resamples=100)
    np.testing.assert_allclose(mid.value.sel(measure="stability"), again.top1.sel(noise="independent").squeeze())
    near = semantics.neighbours(data, label="label", distances=["euclidean"], resamples=100)
    np.testing.assert_allclose(mid.value.sel(measure="precision"), near.precision.squeeze())
    linear = probe.analyse(train, data, penalties=(0.1,), resamples=100)
    np.testing.assert_allclose(mid.value.sel(measure="accuracy"), linear.accuracy.squeeze())


def order(prefix: str, count: int) -> list[int]:
    """Positions of images in the order of their ids."""
    return sorted(range(count), key=lambda i: f"{prefix}{i}")


def test_a_row_that_knows_nothing_of_classes_is_at_chance_and_below_one_that_sees_the_shade() -> None:
    blind = controls.Source("blind", "other network", Blind(), ("layer",))
    found = tabled(further=[blind]).isel(sigma=0)
    unknowing = found.value.sel(row="blind layer")
    # 3.5 binomial standard deviations of 48 images; AMI's are of the order of (k − 1)/n.
    assert abs(unknowing.sel(measure="accuracy") - 0.25) < 3.5 * np.sqrt(0.25 * 0.75 / 48)
    assert abs(unknowing.sel(measure="ami")) < 0.2
    shades = found.sel(row="colour", measure="accuracy")
    assert shades.low > shades.chance
    assert shades.value > unknowing.sel(measure="accuracy")


def test_a_row_that_is_the_same_for_all_images_is_refused_by_name() -> None:
    blank = controls.Source("blank", "other network", Blind(0.0), ("layer",))
    with pytest.raises(InputError, match=r"φ of blank layer at σ = 0.1 is the same for all images"):
        tabled(further=[blank])


def test_the_order_of_images_changes_nothing(found: xr.Dataset) -> None:
    shuffled = images("a").subset(np.random.default_rng(0).permutation(48).tolist())
    xr.testing.assert_allclose(tabled(shuffled), found, atol=1e-5)


def test_a_table_made_again_is_read_from_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from analyses.controls import measures

    first = tabled(store=tmp_path)
    one = next((tmp_path / "gist").glob("numbers-*.nc"))
    one.unlink()
    calls = []
    right = measures.measures

    def counted(subject: Any, reference: Any) -> Any:
        calls.append(subject.name)
        return right(subject, reference)

    monkeypatch.setattr(measures, "measures", counted)
    again = tabled(store=tmp_path)
    assert calls == ["gist"]
    xr.testing.assert_allclose(first, again)
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(InputError, match="another plan"):
        tabled(store=tmp_path, draws=3)


def test_correlations_have_p_values_of_permutations_and_other_measures_have_none(found: xr.Dataset) -> None:
    told = np.array([str(name).startswith("correlation") for name in found.measure.values])
    assert found.p.isel(measure=~told).isnull().all()
    known = found.value.isel(measure=told).notnull()
    assert (found.p.isel(measure=told).notnull() == known).all()
    # 999 permutations, and the data themselves.
    np.testing.assert_allclose((found.p * 1000) % 1, np.where(found.p.notnull(), 0, np.nan), atol=1e-9)
    assert (found.p.isel(measure=told) >= 0.001).where(known, True).all()
    data = probekit.tap(denoiser(), "mid")(images("a").subset(order("a", 48)), sigma=SMALL["sigma"], draws=2)
    one = semantics.correlate(data, {"label": "label"}, distances="euclidean", statistics="spearman")
    mid = found.sel(row="small mid", measure="correlation: label")
    np.testing.assert_allclose(mid.p, one.p_permutation.sel(given="nothing").squeeze())
    # The shades are the classes: no arrangement of 48 images comes near.
    assert (found.p.sel(row="colour", measure="correlation: label") == 0.001).all()


def test_rows_kept_without_p_values_are_given_them_and_nothing_else_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analyses.controls import measures

    first = tabled(store=tmp_path)
    for path in tmp_path.rglob("numbers-*.nc"):
        row = xr.load_dataset(path, engine="h5netcdf").drop_vars("p")
        del row.attrs["permutations"]
        row.to_netcdf(path, engine="h5netcdf")
    monkeypatch.setattr(measures, "measures", None)
    xr.testing.assert_allclose(tabled(store=tmp_path), first)
    # By now they are kept with p, and read as they are.
    monkeypatch.setattr(measures, "correlations", None)
    xr.testing.assert_allclose(tabled(store=tmp_path), first)


def test_without_training_images_there_is_no_accuracy_and_images_are_subsampled_by_class() -> None:
    found = tabled(train=None, n_images=44, draws=1, sigma=0.2)
    assert "accuracy" not in found.measure
    assert found.attrs["images"] == 44


def test_the_command_line_writes_a_table_and_a_figure(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("val", 12), ("train", 16)):
        for k in range(4):
            folder = tmp_path / part / f"class {k}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = (40 + 50 * k + 20 * rng.random((8, 8, 3))).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{part} {i}.png")
    given = [str(tmp_path / "val"), "--train", str(tmp_path / "train"), "-o", str(tmp_path / "out"), "--size", "8"]
    assert controls.main([*given, "--sigma", "0.2", "--draws", "1"]) == 0
    assert {"controls.nc", "controls.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    with xr.open_dataset(tmp_path / "out" / "controls.nc", engine="h5netcdf") as found:
        assert found.attrs["reference"] == "photo32 mid"
    assert controls.main([str(tmp_path / "nothing"), "-o", str(tmp_path)]) == 1


WRONG: list[tuple[Any, str]] = [
    (lambda: tabled(np.zeros((50, 3, 8, 8), np.float32)), "has no classes"),
    (lambda: tabled(images("a", labels=["one"] * 48)), "are of class 'one': give two classes at least"),
    (lambda: tabled(train=images("a")), "48 ids are in both sets"),
    (lambda: tabled(train=images("b", labels=["class 0", "class 1"] * 24)), "classes class 2, class 3 are in no"),
    (lambda: tabled(images("a", 30)), "30 images: give 40 at least"),
    (lambda: tabled(untrained=-1), "untrained=-1: give a whole number ≥ 0"),
    (lambda: tabled(resamples=10), "resamples=10"),
    (lambda: tabled(denoiser="photo32-dncnn"), "declares no block `mid`"),
    (lambda: tabled(further=[controls.Source("gist", "descriptor", Blind(), ("layer",))]), "two sources have one name"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_used_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert message in str(raised.value)
