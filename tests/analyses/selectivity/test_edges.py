"""What selectivity accepts, refuses, falls back on, and gives at its extremes; its figure and its command line."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy import stats

from analyses import selectivity
from probekit.errors import InputError
from probekit.synthetic.subspaces import SubspaceData, union_of_subspaces
from tests.analyses.selectivity.test_laws import dataset


def union(seed: int = 0, **options) -> SubspaceData:
    given = {"n_channels": 40, "n_subspaces": 6, "support": 4, "sigma": (0.1, 0.3)} | options
    return union_of_subspaces(given.pop("n_images", 600), seed=seed, **given)


def analysed(data: xr.Dataset, **options: Any) -> xr.Dataset:
    return selectivity.analyse(data, **{"resamples": 100, **options})


def with_draws(data: xr.Dataset, draws: int = 4) -> xr.Dataset:
    """The data raised by 1, so that no draw is negative, with draws of φ."""
    data = data.assign(phi=data.phi + 1, rest=data.rest + 1)
    rng = np.random.default_rng(3)
    noise = 0.05 * rng.standard_normal((data.sizes["image"], data.sizes["sigma"], draws, data.sizes["channel"]))
    values = (data.phi.values[:, :, None] + noise).astype(np.float32)
    return data.assign(phi_draws=(("image", "sigma", "draw", "channel"), values)).assign_coords(draw=np.arange(draws))


def test_the_input_is_left_as_it_was() -> None:
    data = with_draws(union(n_images=60).data)
    before = data.copy(deep=True)
    analysed(data)
    xr.testing.assert_identical(data, before)


def test_fractions_and_top_images_are_those_that_were_planted() -> None:
    data, truth = union(noise=0.02)
    found = analysed(data, top=5)
    active = truth.active.mean("image")
    # Errors of 0.02 hide a response of 0.5 or more, 17 standard errors of φ − rest, or raise one by 5, on far fewer
    # than 1 image in 100.
    assert abs(found.activity_fraction - active).max() < 0.01
    assert found.top_image.dims == ("rank", "sigma", "channel")
    best = data.phi.isel(sigma=0).idxmax("image")
    np.testing.assert_array_equal(found.top_image.isel(rank=0, sigma=0), best)
    above = (data.phi - data.rest).max("image").transpose("sigma", "channel")
    np.testing.assert_allclose(found.top_activity.isel(rank=0), above, rtol=1e-5)
    assert (found.top_activity.diff("rank") <= 0).all()
    assert (found.histogram.sum("bin") == 600).all()


def test_q_values_are_scipys_within_each_tap() -> None:
    data = union(n_images=100).data
    data = data.assign_coords(tap=("channel", np.repeat(np.array(["mid", "enc1"], object), 20)))
    for method in ("bh", "by"):
        found = analysed(data, fdr_method=method)
        for block in ("mid", "enc1"):
            p, q = (found[name].isel(sigma=1, channel=(found.tap == block).values) for name in ("p_common", "q_common"))
            np.testing.assert_allclose(q, stats.false_discovery_control(p, method=method))
    assert found.number.sum("kind").values.tolist() == [[20, 20], [20, 20]]


def test_the_summary_counts_types_and_compares_their_tails() -> None:
    data, truth = union(n_images=2000)
    found = analysed(data).isel(sigma=0, block=0)
    for kind in ("silent", "common", "selective"):
        here = (found.type == kind).values
        assert int(found.number.sel(kind=kind)) == here.sum()
        share = float(found.fraction.sel(kind=kind))
        assert float(found.fraction_low.sel(kind=kind)) < share < float(found.fraction_high.sel(kind=kind))
        assert float(found.median_kurtosis.sel(kind=kind)) == pytest.approx(np.median(found.kurtosis[here]))
    assert float(found.kurtosis_difference_low) > 0
    assert float(found.kurtosis_difference_low) <= float(found.kurtosis_difference)
    assert (found.type == truth.type).mean() > 0.9


def test_kinds_without_channels_have_no_median_and_a_one_sided_interval() -> None:
    found = analysed(union(common=0).data).isel(sigma=0, block=0)
    assert np.isnan(found.kurtosis_difference)
    assert np.isnan(found.median_kurtosis.sel(kind="common"))
    assert float(found.fraction_low.sel(kind="common")) == 0
    assert 0 < float(found.fraction_high.sel(kind="common")) < 0.15


def test_rankings_that_are_alike_between_noise_levels_and_draws_are_said_to_be() -> None:
    data, truth = union(noise=0.02)
    found = analysed(with_draws(data))
    kind = truth.type.values
    across = found.rank_correlation.isel(sigma=0, other_sigma=1)
    # Common channels vary by 0.2 and err by 0.02: ρ is nearly 0.99; silent ones only err.
    assert (across[kind == "common"] > 0.9).all()
    assert (abs(across[kind == "silent"]) < 5 / np.sqrt(600)).all()
    assert (found.top_overlap.isel(sigma=0, other_sigma=1)[kind == "selective"] > 0.6).all()
    assert (found.top_overlap.isel(sigma=0, other_sigma=0) == 1).all()
    halves = found.draw_rank_correlation.isel(sigma=0)
    assert (halves[kind == "common"] > 0.8).all()
    assert found.draw_top_overlap.dims == ("sigma", "channel")
    assert (found.reliability.isel(sigma=0)[kind == "common"] > 0.95).all()
    assert (found.reliability.isel(sigma=0)[kind == "silent"] < 0.2).all()
    alone = analysed(data.isel(sigma=[0]))
    assert "rank_correlation" not in alone
    assert "draw_rank_correlation" not in alone


def test_without_rest_no_type_is_shown_and_shapes_exclude_some() -> None:
    data, truth = union(n_images=2000)
    found = analysed(data.drop_vars(["rest", "rest_se"])).isel(sigma=0)
    assert found.attrs["rest_source"].startswith("none")
    assert found.attrs["error_source"] == "phi_se"
    assert (found.type == "undecided").all()
    assert (found.fraction_high.sel(kind=["common", "suppressed"]) >= 0.5).all()
    # Heavy tails are no common channel's, a normal law is no selective one's, wherever rest is.
    possible = found.possible
    assert not possible.sel(kind="common").values[truth.type == "selective"].any()
    assert not possible.sel(kind="selective").values[truth.type == "common"].any()
    assert possible.sel(kind="suppressed").all()
    np.testing.assert_allclose(found.activity, (data.phi - data.phi.quantile(0.1, "image")).mean("image")[0], rtol=1e-4)


@pytest.mark.parametrize("absent", [False, True], ids=["NaN, as of one draw", "absent"])
def test_without_standard_errors_the_spread_below_the_median_stands_in_and_is_named(absent: bool) -> None:
    data, truth = union()
    data = data.drop_vars(["phi_se", "rest_se"]) if absent else data.assign(phi_se=data.phi_se * np.nan)
    found = analysed(data).isel(sigma=0)
    assert found.attrs["rest_source"] == "rest"
    assert found.attrs["error_source"] == "spread of phi below its median over images"
    assert found.reliability.isnull().all()
    assert (found.type == truth.type).values[truth.type == "selective"].all()
    assert (found.type == "selective").values[truth.type != "selective"].sum() == 0


def test_standard_errors_known_at_some_noise_levels_are_used_there() -> None:
    data = union().data
    data["phi_se"][:, 1] = np.nan
    found = analysed(data)
    expected = "phi_se and rest_se at sigma 0.1; elsewhere spread of phi below its median over images"
    assert found.attrs["error_source"] == expected
    assert found.reliability.isel(sigma=0).notnull().all()


def test_with_neither_rest_nor_error_nothing_is_shown() -> None:
    found = analysed(union().data[["phi"]]).isel(sigma=0)
    assert found.attrs["error_source"].startswith("none")
    assert (found.type == "undecided").all()


def test_without_errors_a_channel_that_stays_off_rest_is_not_shown_to_be_silent() -> None:
    rng = np.random.default_rng(0)
    # Above rest on 97.7 % of images, by two of its standard deviations on average.
    data = dataset(0.6 + 0.3 * rng.standard_normal((1000, 60)), rest=9.0).drop_vars(["phi_se", "rest_se"])
    found = analysed(data).isel(sigma=0)
    assert not (found.type == "silent").any()
    assert found.possible.sel(kind="common").all()
    silent = analysed(dataset(np.zeros((1000, 60)), rest=9.0).drop_vars(["phi_se", "rest_se"])).isel(sigma=0)
    assert (silent.type == "undecided").all()


def test_a_channel_that_never_varies_is_silent_at_rest_and_mixed_off_it() -> None:
    # Of 600 images none is clear of rest with probability 0.0024 if one in a hundred were.
    data = union().data
    data["phi"][:, :, 0] = data.rest[:, 0]
    data["phi"][:, :, 1] = 5.0
    data["phi"][:, :, 2] = 0.0
    for name, value in (("rest", 0.0), ("phi_se", 0.0), ("rest_se", 0.0)):
        data[name][..., 2] = value
    found = analysed(data)
    assert (found.type.isel(channel=[0, 2]) == "silent").all()
    assert (found.type.isel(channel=1) == "mixed").all()
    assert found.kurtosis.isel(channel=[1, 2]).isnull().all()
    assert (found.activity_fraction.isel(channel=1) == 1).all()


def test_a_channel_that_images_silence_is_no_selective_one() -> None:
    rng = np.random.default_rng(4)
    data = union(n_images=1000).data
    suppressed = np.where(rng.random(1000) < 0.15, rng.exponential(1, 1000), 0)
    data["phi"][:, :, 0] = (9 - suppressed + rng.normal(0, 0.05, 1000))[:, None]
    data["rest"][:, 0] = 9.0
    found = analysed(data).isel(channel=0)
    assert (found.type == "mixed").all()
    # A share exp(−5·√2·0.05) = 0.7 of 15 % is clear; 0.05 is 3.4 binomial standard deviations less.
    assert (found.below_fraction > 0.05).all()
    assert not found.possible.sel(kind=["selective", "common", "suppressed"]).any()
    assert (found.tail_statistic > 3).all()


def test_where_phi_is_not_negative_only_what_is_above_rest_counts() -> None:
    data = union(n_images=60).data
    raised = data.assign(phi=data.phi + 3, rest=data.rest + 3)
    np.testing.assert_array_equal(analysed(data).type, analysed(raised).type)


@pytest.mark.parametrize("name", ["phi", "phi_draws", "rest"])
def test_what_is_negative_is_no_activity(name: str) -> None:
    data = with_draws(union(n_images=60).data)
    data[name][{"channel": 0}] *= -1
    with pytest.raises(
        InputError, match=rf"{name} is negative at 'synthetic' \(2\.5 % of its values, down to -.*relu_mean"
    ):
        analysed(data)


def test_one_channel_and_more_top_images_than_there_are_work() -> None:
    found = analysed(union(n_images=20).data.isel(channel=[3], sigma=[0]), top=50)
    assert found.sizes["rank"] == 20
    assert found.type.shape == (1, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fdr": 0}, "fdr=0: give a false discovery rate"),
        ({"fdr_method": "holm"}, "fdr_method='holm': give one of bh, by"),
        ({"top": 0}, "top=0: give a whole number"),
        ({"resamples": 1}, "resamples=1"),
        ({"level": 0}, "level=0"),
        ({"fdr": "a"}, "fdr='a': give a false discovery rate"),
        ({"seed": -1}, "seed=-1: give a whole number ≥ 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        analysed(union(n_images=30).data, **options)


def broken(case: str) -> xr.Dataset:
    data = union(n_images=30).data.copy(deep=True)
    if case in ("phi", "rest"):
        data[case][{"channel": 0}] = np.nan
    if case.startswith("phi_se"):
        data["phi_se"][{"image": 0, "channel": 0}] = float(case.split()[1])
    if case.startswith("rest_se"):
        data["rest_se"][{"channel": 0}] = float(case.split()[1])
    return {
        "no phi": data.drop_vars("phi"),
        "no tap": data.drop_vars("tap"),
        "dims": data.isel(sigma=0),
        "few images": data.isel(image=slice(0, 19)),
        "no channel": data.isel(channel=[]),
        "objects": data.assign(phi=data.phi.astype(object)),
        "words": data.assign_coords(sigma=["low", "high"]),
    }.get(case, data)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no phi", "no 'phi'"),
        ("no tap", "lacks the coordinates tap"),
        ("dims", "keep all dims"),
        ("phi", "phi holds NaN"),
        ("rest", "rest holds NaN"),
        ("few images", "phi is of 19 images: types of channels need 20"),
        ("objects", "phi is of type object: give real numbers"),
        ("words", "sigma is of type .*: give real numbers"),
        ("phi_se nan", "phi_se is NaN in some places at sigma 0.1 and known in others"),
        ("phi_se inf", "phi_se is negative or infinite in places at sigma 0.1"),
        ("phi_se -1", "phi_se is negative"),
        ("rest_se nan", "rest_se is NaN in some places"),
        ("no channel", "at least one noise level and one channel"),
    ],
)
def test_data_that_cannot_be_used_are_refused(case: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        analysed(broken(case))


@pytest.mark.parametrize("lazily", [True, False])
def test_data_and_findings_from_a_plain_zarr_store_are_as_good(lazily: bool, tmp_path: Path) -> None:
    data = with_draws(union(n_images=60).data)
    data.to_zarr(tmp_path / "phi.zarr", consolidated=False)
    opened = xr.open_zarr(tmp_path / "phi.zarr", consolidated=False)
    expected, found = analysed(data), analysed(opened if lazily else opened.load())
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name], expected[name])
    found.to_zarr(tmp_path / "findings.zarr", consolidated=False)
    assert selectivity.plot(xr.open_zarr(tmp_path / "findings.zarr", consolidated=False)).axes


def test_what_is_no_finding_of_selectivity_is_not_drawn() -> None:
    with pytest.raises(InputError, match=r"the findings lack type.*give what selectivity.analyse returns"):
        selectivity.plot(union(n_images=30).data)


def test_a_single_bar_does_not_fill_its_panel() -> None:
    axis = selectivity.plot(analysed(union(n_images=60).data.isel(sigma=[0]))).axes[0]
    first = axis.patches[0].get_window_extent()
    assert first.width < 0.25 * axis.get_window_extent().width


@pytest.mark.parametrize("common", [0, 4])
def test_the_figure_has_compositions_a_scatter_and_a_marginal_of_each_type_there_is(common: int) -> None:
    figure = selectivity.plot(analysed(union(n_images=2000, common=common).data))
    assert isinstance(figure, Figure)
    marginals = [axis.get_title() for axis in figure.axes if "kurtosis" in axis.get_title()]
    assert [title.split(", ")[1].split("\n")[0] for title in marginals] == ["common"] * (common > 0) + ["selective"]
    # Channels go by their names, and types that there are none of take no room and no entry.
    assert all(title.startswith("synthetic:") for title in marginals)
    assert len(figure.axes) == 2 + 1 + len(marginals)
    said = {text.get_text() for legend in figure.subfigs[0].legends for text in legend.get_texts()}
    assert "suppressed" not in said
    assert ("common" in said) == (common > 0)


def test_the_command_writes_findings_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    union(n_images=60).data.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    out = tmp_path / "out"
    given = [str(tmp_path / "phi.nc"), "-o", str(out), "--resamples", "100", "--top", "4"]
    assert selectivity.main([*given, "--fdr-method", "by"]) == 0
    written = xr.load_dataset(out / "selectivity.nc", engine="h5netcdf")
    assert written.attrs["fdr_method"] == "by"
    assert written.sizes["rank"] == 4
    assert set(written.type.values.ravel()) <= set(selectivity.KINDS)
    assert (out / "selectivity.png").stat().st_size > 0
    assert selectivity.main([*given, "--fdr", "2"]) == 1
    assert "fdr=2.0" in capsys.readouterr().err


def test_the_command_takes_groups_of_images_and_says_what_fewer_decide(tmp_path: Path) -> None:
    data = union(n_images=60).data
    data.assign_coords(pair=("image", [f"pair {i // 2}" for i in range(60)])).to_netcdf(
        tmp_path / "phi.nc", engine="h5netcdf"
    )
    out = tmp_path / "out"
    assert (
        selectivity.main(
            [str(tmp_path / "phi.nc"), "-o", str(out), "--resamples", "100", "--clusters", "pair", "--power"]
        )
        == 0
    )
    assert xr.load_dataset(out / "selectivity.nc", engine="h5netcdf").attrs["independent_images"] == 30
    curve = xr.load_dataset(out / "selectivity-power.nc", engine="h5netcdf")
    assert curve.n_images.values.tolist() == [50, 60]
    assert (out / "selectivity-power.png").stat().st_size > 0


def test_the_power_of_few_groups_begins_where_these_are_enough() -> None:
    # 60 images in 20 groups: of 50, in 17, no types can be told.
    data = union(n_images=60).data.assign_coords(group=("image", np.arange(60) % 20))
    assert selectivity.power_curve(data, clusters="group").n_images.values.tolist() == [60]
    with pytest.raises(InputError, match=r"50 images in 17 groups are worth 16\.9 independent ones"):
        selectivity.power_curve(data, clusters="group", numbers=[50, 60])
    with pytest.raises(InputError, match="phi is of 10 images: types of channels need 20 at least"):
        selectivity.power_curve(data.isel(image=slice(10)))


def test_a_curve_says_nothing_of_coordinates_that_it_returns_none_of() -> None:
    data = union_of_subspaces(120, seed=1).data
    named = data.assign_coords(type=("channel", ["a"] * data.sizes["channel"]))
    with pytest.warns(UserWarning, match="coordinates type of the data are left out"):
        selectivity.analyse(named)
    with warnings.catch_warnings(action="error"):
        selectivity.power_curve(named, numbers=[50, 120])
