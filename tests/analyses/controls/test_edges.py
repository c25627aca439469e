"""The table of controls: its rows and labels, its store, its figure, its command line, and what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

import probekit
from analyses import clusters, controls, descriptors, probe, semantics
from analyses.controls import analyse, rows
from analyses.descriptors import network, prediction
from analyses.ground import Estimate
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models.normalisation import UncentredBatchNorm
from probekit.models.unet import UNet

SETTINGS = controls.Settings(resamples=100, penalties=(0.1,), n_clusters=4)
SMALL: dict[str, Any] = {"sigma": (0.1, 0.4), "draws": 2, "untrained": 1, "settings": SETTINGS}
# What is asked of rows or of a store is the same of any measures.
ONE, SOME = ["correlation: label"], ["correlation: label", "stability", "precision"]


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
    assert rows[4:10] == ["untrained 0 mid", "untrained, paper's gains 0 mid", "pixels", "pca", "colour", "gist"]
    assert rows[10:] == ["photo32-dncnn layer3", "photo32-dncnn layer6", "photo32-dncnn layer9", "photo32-sigma mid"]
    assert found.value.dims == ("row", "sigma", "measure")
    assert found.group.values.tolist()[3:7] == ["trained", "untrained", "untrained, paper's gains", "descriptor"]
    assert found.attrs["untrained_controls"] == "untrained; untrained, paper's gains"
    twins = found.value.sel(row=rows[4:6]).values
    assert not np.array_equal(twins[0], twins[1])
    assert found.attrs["reference"] == "small mid"
    assert (found.attrs["images"], found.attrs["train_images"]) == (48, 80)


def test_a_network_without_a_middle_is_compared_at_the_block_that_is_named(found: xr.Dataset) -> None:
    own = tabled(block="enc2", measures=SOME)
    assert own.attrs["reference"] == "small enc2"
    assert own.row.values.tolist()[4] == "untrained 0 enc2"
    row = own.sel(row="small enc2")
    for name in ("difference", "difference_low", "difference_high"):
        np.testing.assert_allclose(row[name].dropna("measure"), 0, atol=1e-9)
    np.testing.assert_allclose(own.value.sel(row="small mid"), found.value.sel(row="small mid", measure=own.measure))
    with pytest.raises(InputError, match="no block 'layer3', to which all else is compared: choose one of enc1, enc2"):
        tabled(block="layer3")


@pytest.mark.parametrize("bands", [1, 2])
def test_bundled_networks_of_three_planes_are_no_rows_where_images_have_other_bands(bands: int) -> None:
    torch.manual_seed(1)
    network = UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,), image_channels=bands)
    first, train = (replace_bands(images(p, n), bands) for p, n in (("a", 48), ("b", 80)))
    own = tabled(first, train=train, denoiser=network.eval(), sigma=(0.1,), measures=ONE)
    assert set(own.group.values) == {"trained", "untrained", "untrained, paper's gains", "descriptor"}


def replace_bands(of: ImageSet, bands: int) -> ImageSet:
    values = of.read(range(len(of)))[:, :bands]
    return probekit.images.load(values, ids=of.ids, labels=of.labels)


def own_row_differs_in_nothing(found: xr.Dataset) -> None:
    own = found.sel(row=found.attrs["reference"])
    assert (own[["difference", "difference_low", "difference_high"]].to_array() == 0).all()


def test_images_are_found_again_in_independent_noise_where_there_are_draws_for_it(found: xr.Dataset) -> None:
    assert found.attrs["stability_noise"] == "independent"


def test_the_trained_mid_differs_from_itself_in_nothing(found: xr.Dataset) -> None:
    own_row_differs_in_nothing(found)


def test_the_same_weights_read_otherwise_differ_from_themselves() -> None:
    own = denoiser()
    inside = controls.Source("inside", "other network", own, ("mid",), reduce="std")
    names = ("correlation: label", "correlation: label beyond gist and colour", "separation: label")
    found = tabled(denoiser=own, further=[inside], untrained=0, train=None, measures=names)
    one = found.sel(row="inside mid")
    itself = found.sel(row="small mid")
    for name in names:
        value, reference = (row.value.sel(measure=name).values for row in (one, itself))
        assert (one.difference.sel(measure=name).values != 0).all(), name
        np.testing.assert_allclose(one.difference.sel(measure=name).values, value - reference, atol=1e-5, err_msg=name)


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
    near = semantics.neighbours(data, label="label", distances=["euclidean"], resamples=100)
    for end, name in (("", "value"), ("_low", "low"), ("_high", "high")):
        stable = mid[name].sel(measure="stability")
        np.testing.assert_allclose(stable, again[f"top1{end}"].sel(noise="independent").squeeze())
        np.testing.assert_allclose(mid[name].sel(measure="precision"), near[f"precision{end}"].squeeze())
    assert (mid.chance.sel(measure="stability") == again.top1_chance).all()
    assert (mid.chance.sel(measure="precision") == near.precision_chance).all()
    linear = probe.analyse(train, data, penalties=(0.1,), resamples=100)
    np.testing.assert_allclose(mid.value.sel(measure="accuracy"), linear.accuracy.squeeze())


def test_images_that_are_left_out_of_the_search_are_left_out_of_the_table() -> None:
    fewer = SETTINGS._replace(among=20)
    found = tabled(train=None, settings=fewer, sigma=(0.1,), untrained=0, measures=["stability"])
    data = probekit.tap(denoiser(), "mid")(images("a").subset(order("a", 48)), sigma=0.1, draws=2, keep_draws=True)
    again = semantics.stability(data, reference=0.1, among=20, distances=["euclidean"], resamples=100)
    mid = found.sel(row="small mid", measure="stability")
    assert again.attrs["queries"] == 40
    for end, name in (("", "value"), ("_low", "low"), ("_high", "high")):
        np.testing.assert_allclose(mid[name], again[f"top1{end}"].sel(noise="independent").squeeze())


def order(prefix: str, count: int) -> list[int]:
    """Positions of images in the order of their ids."""
    return sorted(range(count), key=lambda i: f"{prefix}{i}")


def test_a_row_that_knows_nothing_of_classes_is_at_chance_and_below_one_that_sees_the_shade() -> None:
    blind = controls.Source("blind", "other network", Blind(), ("layer",))
    found = tabled(further=[blind], sigma=(0.1,), untrained=0, measures=["accuracy", "ami"]).isel(sigma=0)
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
        tabled(further=[blank], train=None, untrained=0, sigma=(0.1,), measures=ONE)


def test_the_order_of_images_changes_nothing(found: xr.Dataset) -> None:
    shuffled = images("a").subset(np.random.default_rng(0).permutation(48).tolist())
    xr.testing.assert_allclose(tabled(shuffled), found, atol=1e-5)


def counted(monkeypatch: pytest.MonkeyPatch, stop_at: str = "") -> list[str]:
    """Names of the sources whose rows are made, from now on; making those of `stop_at` fails."""
    made: list[str] = []
    right = analyse.rows

    def rows(source: Any, *rest: Any) -> xr.Dataset:
        if source.source.name == stop_at:
            raise KeyboardInterrupt
        made.append(source.source.name)
        return right(source, *rest)

    monkeypatch.setattr(analyse, "rows", rows)
    return made


def test_a_table_made_again_is_read_from_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few: dict[str, Any] = {"store": tmp_path, "train": None, "sigma": (0.1,), "untrained": 0, "measures": SOME}
    first = tabled(**few)
    (tmp_path / "gist" / "numbers.nc").unlink()
    made = counted(monkeypatch)
    xr.testing.assert_identical(first, tabled(**few))
    assert made == ["gist"]
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(InputError, match="another plan"):
        tabled(**{**few, "draws": 3})
    made.clear()
    # To other settings numbers are made again, of φ as it is kept.
    wider = tabled(**few, settings=SETTINGS._replace(level=0.99))
    assert len(made) == len(set(made)) == len(set(first.source.values))
    assert (wider.high >= first.high).where(first.high.notnull(), True).all()


def test_a_table_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: xr.Dataset) -> None:
    with monkeypatch.context() as until:
        counted(until, stop_at="colour")
        with pytest.raises(KeyboardInterrupt):
            tabled(store=tmp_path)
    made = counted(monkeypatch)
    xr.testing.assert_identical(tabled(store=tmp_path), found)
    assert made == ["colour", "gist", "photo32-dncnn", "photo32-sigma"]


def test_a_table_goes_on_where_components_are_fitted_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few: dict[str, Any] = {"store": tmp_path, "train": None, "sigma": (0.1,), "untrained": 0, "measures": SOME}
    first, right = tabled(**few), network._fitted
    (tmp_path / "pca" / "numbers.nc").unlink()
    # As another number of threads, or another machine, rounds them.
    monkeypatch.setattr(network, "_fitted", lambda *how: right(*how) * (1 + 1e-6))
    xr.testing.assert_identical(tabled(**few), first)


def test_a_measure_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def activity(beside: rows.Beside) -> rows.Numbers:
        phi = beside.own.measured.data["phi"]
        mean = phi.groupby("tap").mean(["image", "channel"]).transpose("sigma", "tap")
        value = Estimate(mean.values, mean.values - 1, mean.values + 1)
        return rows.Numbers(value, value, 0.5)

    monkeypatch.setitem(rows.MEASURES, "activity", activity)
    further = tabled(train=None, sigma=(0.1,), untrained=0, measures=["activity"])
    assert further.measure.values.tolist() == ["activity"]
    np.testing.assert_allclose(further.high - further.low, 2, rtol=1e-5)
    assert (further.chance == 0.5).all()


def test_correlations_and_separation_have_p_values_and_other_measures_have_none(found: xr.Dataset) -> None:
    of_pairs = np.array([str(name).startswith(("correlation", "separation")) for name in found.measure.values])
    assert found.p.isel(measure=~of_pairs).isnull().all()
    # Classes of twelve images are too few for signs of the separation.
    known = found.value.isel(measure=of_pairs).notnull() & (found.measure.isel(measure=of_pairs) != "separation: label")
    assert (found.p.isel(measure=of_pairs).notnull() == known).all()
    # 999 permutations, and the data themselves.
    np.testing.assert_allclose((found.p * 1000) % 1, np.where(found.p.notnull(), 0, np.nan), atol=1e-9)
    assert (found.p.isel(measure=of_pairs) >= 0.001).where(known, True).all()
    data = probekit.tap(denoiser(), "mid")(images("a").subset(order("a", 48)), sigma=SMALL["sigma"], draws=2)
    one = semantics.correlate(data, {"label": "label"}, distances="euclidean", statistics="spearman")
    mid = found.sel(row="small mid", measure="correlation: label")
    np.testing.assert_allclose(mid.p, one.p_permutation.sel(given="nothing").squeeze())
    # The shades are the classes: no arrangement of 48 images comes near.
    assert (found.p.sel(row="colour", measure="correlation: label") == 0.001).all()


def test_what_is_said_of_the_class_is_what_its_own_analyses_say(found: xr.Dataset) -> None:
    shown = images("a").subset(order("a", 48))
    data = probekit.tap(denoiser(), "mid")(shown, sigma=SMALL["sigma"], draws=2)
    named = {"gist": descriptors.gist(shown), "colour": descriptors.colour(shown)}
    left, place = descriptors.beyond(data, named), clusters.separation(data)
    for measure, own, name in (
        ("correlation: label beyond gist and colour", left, "correlation"),
        ("separation: label", place, "separation"),
    ):
        one = found.sel(row="small mid", measure=measure)
        for mine, theirs in (("value", name), ("low", f"{name}_low"), ("p", "p_value")):
            np.testing.assert_allclose(one[mine], own[theirs].squeeze(), rtol=1e-4)
        assert (one.difference == 0).all()
        twin = found.sel(row="untrained 0 mid", measure=measure)
        np.testing.assert_allclose(twin.difference, twin.value - one.value, atol=1e-6)
    of_descriptors = found.sel(row=["gist", "colour"], measure="correlation: label beyond gist and colour")
    assert of_descriptors.value.isnull().all()


def test_classes_and_the_reference_are_predicted_from_gist_once_for_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {"probabilities": 0, "solved": 0, "crossfitted": 0}

    def counting(name: str) -> Callable[..., Any]:
        right = getattr(prediction, name)

        def call(*given: Any) -> Any:
            counted[name] += 1
            return right(*given)

        return call

    for name in counted:
        monkeypatch.setattr(prediction, name, counting(name))
    found = tabled(train=None, measures=["correlation: label beyond gist and colour"])
    # Classes, the reference at all noise levels, and the φ of each source but gist and colour themselves.
    sources = set(found.source.values) - {"gist", "colour"}
    assert len(sources) > 5
    assert counted == {"probabilities": 1, "solved": 1, "crossfitted": 2 + len(sources)}


def test_of_classes_of_fewer_than_three_images_nothing_is_said_beyond_gist() -> None:
    labels = [f"class {k % 4}" for k in range(46)] + ["rare", "rare"]
    measure = "correlation: label beyond gist and colour"
    few: dict[str, Any] = {"train": None, "sigma": 0.2, "untrained": 0, "measures": [measure]}
    found = tabled(images("a", labels=labels), **few).sel(measure=measure)
    without = tabled(images("a").subset(range(46)), **few).sel(measure=measure)
    # Components are of all images.
    own, same = (one.value.drop_sel(row="pca") for one in (found, without))
    np.testing.assert_allclose(own, same, rtol=1e-5)
    assert found.value.sel(row="small mid").notnull().all()
    pairs = tabled(images("a", labels=[f"pair {k // 2}" for k in range(48)]), **few)
    assert pairs.value.isnull().all()


def test_without_training_images_there_is_no_accuracy_and_images_are_subsampled_by_class() -> None:
    found = tabled(train=None, n_images=44, draws=1, sigma=0.2, untrained=0)
    assert "accuracy" not in found.measure
    # Of one draw, an image has the same noise at all levels.
    assert found.attrs["stability_noise"] == "shared"
    assert found.attrs["images"] == 44


@pytest.mark.parametrize("names", [["stability"], ["accuracy", "stability", "nmi"], ["correlation: gist given colour"]])
def test_some_measures_are_those_of_the_whole_table(found: xr.Dataset, names: list[str]) -> None:
    some = tabled(measures=names)
    assert some.measure.values.tolist() == [name for name in found.measure.values if name in names]
    xr.testing.assert_equal(some, found.sel(measure=some.measure))
    assert ("stability_draws" in some.attrs) == ("stability" in names)
    assert controls.plot(some).axes


def test_the_figure_has_a_panel_for_each_measure_with_the_rows_that_have_it_or_one_for_each_noise_level(
    found: xr.Dataset,
) -> None:
    two = xr.concat([found.isel(sigma=[0]), found.isel(sigma=[0]).assign_coords(sigma=[0.7])], "sigma", data_vars="all")
    levels = two.sigma.values
    # All measures: each once, at one noise level, under the question that it answers.
    titles = [axis.get_title() for axis in controls.plot(two).axes if axis.get_visible()]
    assert sorted(titles) == sorted(m.replace("correlation: ", "correlation with\n") for m in two.measure.values)
    # Few measures: a column for each noise level, of rows that have a number.
    some = two.copy(deep=True)
    some["value"].loc[{"row": some.row[0], "measure": "stability"}] = np.nan
    axes = controls.plot(some, measures="stability").axes
    assert [axis.get_title() for axis in axes] == [f"stability,\nσ = {s:g}" for s in levels]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == some.row.values[1:].tolist()
    (one,) = controls.plot(some, measures=["nmi"], sigma=float(levels[1])).axes
    assert one.get_title() == "nmi"
    with pytest.raises(InputError, match=r"sigma=0.4: give one of the noise levels .*, or None"):
        controls.plot(some, sigma=0.4)
    with pytest.raises(InputError, match=r"measures='nothing': give one of stability"):
        controls.plot(some, measures=["nothing"])
    with pytest.raises(InputError, match="measures is empty: give some of stability"):
        controls.plot(some, measures=[])


def test_only_what_measures_need_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("not needed")

    for module, name in ((clusters, "analyse"), (probe, "analyse"), (semantics, "correlate"), (descriptors, "beyond")):
        monkeypatch.setattr(module, name, refused)
    assert tabled(measures=["stability"], sigma=(0.1,), untrained=0).measure.values.tolist() == ["stability"]


def test_images_of_no_class_are_found_again_as_those_of_classes_are(found: xr.Dataset) -> None:
    alone = tabled(images("a", labels=None), train=None, measures=["stability"])
    values = ["value", "low", "high", "difference"]
    rows_ = [row for row in alone.row.values if row != "pca"]
    xr.testing.assert_equal(alone[values].sel(row=rows_), found[values].sel(row=rows_, measure=["stability"]))
    few = tabled(images("a", labels=None), train=None, measures=["stability"], n_images=44, sigma=0.1, untrained=0)
    assert (few.attrs["images"], few.attrs["stability_among"]) == (44, 44)


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
    how = ["--sigma", "0.2", "--draws", "1", "--untrained", "1", "--measures", ",".join([*SOME, "accuracy"]), "--quiet"]
    assert controls.main([*given, *how]) == 0
    assert {"controls.nc", "controls.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    with xr.open_dataset(tmp_path / "out" / "controls.nc", engine="h5netcdf") as found:
        assert found.attrs["reference"] == "photo32 mid"
        assert set(found.measure.values) == {*SOME, "accuracy"}
    assert controls.main([str(tmp_path / "nothing"), "-o", str(tmp_path)]) == 1
    assert controls.main(["--train"]) == 2


def test_what_cannot_be_written_or_read_is_one_line_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert controls.main(["nowhere.zip", "-o", str(tmp_path / "out")]) == 1
    assert controls.main([str(tmp_path / "file"), "-o", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.count("probekit:") == 2


class Plain(torch.nn.Module):
    """A network of nobody's package: it keeps the contract by itself, and declares a middle."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.tap_aliases = "plain", {"mid": "layer"}
        self.layer = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, y: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        del sigma
        return y - self.layer(y).mean(dim=1, keepdim=True)


def test_a_network_of_ones_own_is_compared_with_its_own_twins_or_without_any() -> None:
    torch.manual_seed(0)
    network = Plain().eval()
    for untrained in (0, 2):
        found = tabled(train=None, denoiser=network, untrained=untrained, sigma=(0.1,), measures=ONE)
        assert found.attrs["reference"] == "plain mid"
        assert (found.group.values == "untrained").sum() == untrained
        # Without this package's normalisations there is one kind of control, and that is told.
        assert found.attrs["untrained_controls"] == ("untrained" if untrained else "")
    twins = found.value.isel(row=found.group.values == "untrained").dropna("measure")
    assert not np.array_equal(twins[0], twins[1])
    network.gain = torch.nn.Parameter(torch.ones(()))
    with pytest.raises(InputError, match="the weights of Plain cannot be drawn anew"):
        tabled(denoiser=network)


class Deep(torch.nn.Module):
    """So many running deviations of 1 in a row that the paper's gains leave nothing of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.tap_aliases = "deep", {"mid": "layers"}
        layers = [(torch.nn.Conv2d(3, 3, 1, bias=False), UncentredBatchNorm(3)) for _ in range(24)]
        for conv, _ in layers:
            torch.nn.init.dirac_(conv.weight)
        self.layers = torch.nn.Sequential(*(module for pair in layers for module in pair))

    def forward(self, y: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        del sigma
        return self.layers(y)


def test_an_untrained_control_that_gives_the_same_for_all_images_is_left_out_and_that_is_told() -> None:
    with pytest.warns(UserWarning, match="untrained, paper's gains 0 mid .* same for all images: this row is left out"):
        found = tabled(train=None, denoiser=Deep().eval(), sigma=(0.1,), measures=ONE)
    assert "untrained 0 mid" in found.row.values
    assert found.attrs["untrained_controls"] == "untrained"
