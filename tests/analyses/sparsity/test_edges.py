"""What sparsity accepts, refuses, and gives at its extremes; its figure and its command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from analyses import sparsity
from probekit import labels
from probekit.errors import InputError


def dataset(images: int = 30, sigmas: int = 2, draws: int = 0, taps: tuple[str, ...] = ("enc1", "mid", "dec1")):
    rng = np.random.default_rng(0)
    phi_draws = rng.gamma(0.6, size=(images, sigmas, max(draws, 1), 4 * len(taps)))
    made = {"phi": phi_draws.mean(axis=2)} | ({"phi_draws": phi_draws} if draws else {})
    return labels.representation(
        made,
        ids=[str(i) for i in range(images)],
        labels=[str(i % 5) for i in range(images)],
        sigma=[0.1 * (s + 1) for s in range(sigmas)],
        channels=dict.fromkeys(taps, 4),
        attrs={"denoiser": "none"},
    )


def analysed(data: xr.Dataset, **options: Any) -> xr.Dataset:
    return sparsity.analyse(data, **{"resamples": 100, **options})


def changed(data: xr.Dataset, where: dict[str, int], value: float, name: str = "phi") -> xr.Dataset:
    data = data.copy(deep=True)
    data[name][where] = value
    return data


def test_the_input_is_left_as_it_was() -> None:
    data = dataset(draws=2)
    before = data.copy(deep=True)
    analysed(data)
    xr.testing.assert_identical(data, before)


def test_a_block_is_compared_with_the_tap_before_it_or_with_those_named() -> None:
    data = dataset()
    found = analysed(data, block_inputs={"dec1": ("mid", "enc1")})
    assert found.input.values.tolist() == ["", "enc1", "mid+enc1"]
    joined = data.phi.isel(channel=np.isin(data.tap, ["mid", "enc1"])).values
    ratio = sparsity.participation_ratio(joined).mean(axis=0)
    own = found.sparsity.sel(measure="participation_ratio", vector="phi", block="dec1")
    change = found.change.sel(measure="participation_ratio", vector="phi", block="dec1")
    np.testing.assert_allclose(change, own - ratio, rtol=1e-5)


def test_none_stands_for_the_tap_before() -> None:
    data = dataset()
    xr.testing.assert_identical(analysed(data, block_inputs={"mid": None}), analysed(data))


def test_kept_draws_are_measured_one_by_one_and_averaged() -> None:
    data = dataset(draws=3)
    found = analysed(data)
    draws = data.phi_draws.isel(channel=(data.tap == "mid").values).values
    expected = sparsity.participation_ratio(draws).mean(axis=(0, 2))
    own = found.sparsity.sel(measure="participation_ratio", vector="draw", block="mid")
    np.testing.assert_allclose(own, expected, rtol=1e-5)
    assert found.vector.values.tolist() == ["phi", "draw"]
    assert analysed(dataset()).vector.values.tolist() == ["phi"]


@pytest.mark.parametrize("draws", [0, 2])
def test_images_without_activity_are_counted_and_left_out_of_means(draws: int) -> None:
    data = dataset(draws=draws)
    silent = data.copy(deep=True)
    for name in silent.data_vars:
        silent[name][{"image": [0, 1], "sigma": 0}] = 0
    found, without = analysed(silent), analysed(data.isel(image=slice(2, None)))
    assert (found.zero_vectors.isel(sigma=0) == 2).all()
    assert (found.zero_vectors.isel(sigma=1) == 0).all()
    assert found.per_image.isel(image=[0, 1], sigma=0).isnull().all()
    xr.testing.assert_allclose(found.sparsity.isel(sigma=0), without.sparsity.isel(sigma=0))
    assert found.sparsity_low.notnull().all()


def test_activity_nowhere_gives_nan_and_no_error() -> None:
    data = dataset()
    data["phi"] *= 0
    found = analysed(data)
    assert found.sparsity.isnull().all()
    assert found.dimension.isnull().all()
    assert (found.zero_vectors == 30).all()
    assert (found.contradictions == 0).all()


def test_one_image_has_measures_but_no_interval_and_no_dimension() -> None:
    found = analysed(dataset(images=1))
    assert found.sparsity.notnull().all()
    for name in ("sparsity_low", "change_high", "dimension", "dimension_low"):
        assert found[name].isnull().all()


def test_one_channel_is_shared_by_all_and_has_no_sparseness_that_divides_by_the_others() -> None:
    found = analysed(dataset(taps=("mid",)).isel(channel=[0])).sparsity.isel(vector=0, block=0, sigma=0)
    assert found.sel(measure=["participation_ratio", "effective_number"]).values == pytest.approx([1, 1])
    assert float(found.sel(measure="gini")) == pytest.approx(0)
    assert found.sel(measure=["hoyer", "treves_rolls"]).isnull().all()


def test_a_disagreement_of_measures_is_counted_when_both_are_sure_and_said_in_words() -> None:
    # Two equal channels of four have PR 0.5 and Gini's index 0.5; one large and three small, none at rest, have 0.49
    # and 0.44: PR calls these the sparser, Gini's index the less sparse.
    few, spread = [1, 1, 0, 0], [1, 0.15, 0.15, 0.15]
    rng = np.random.default_rng(1)
    data = dataset(images=200, sigmas=1, taps=("enc1", "mid"))
    data["phi"][:] = rng.uniform(0.999, 1.001, (200, 1, 8)) * [*few, *spread]
    found = analysed(data)
    order = found.sparsity.isel(vector=0, sigma=0).diff("block").squeeze()
    assert float(order.sel(measure="participation_ratio")) < 0
    assert float(order.sel(measure="gini")) < 0
    pair = {"measure": "participation_ratio", "other_measure": "gini"}
    assert int(found.contradictions.sel(pair).squeeze()) == 1
    assert float(found.agreement.sel(pair).squeeze()) == -1
    assert "participation_ratio and gini order 1 pairs of blocks oppositely" in found.attrs["disagreement"]
    assert (found.contradictions_over_sigma == 0).all()


def test_clusters_widen_the_interval_of_images_that_resemble_each_other() -> None:
    data = dataset(images=400)
    data["phi"][:] = data.phi.values[np.arange(400) % 40]
    data = data.assign_coords(label=("image", (np.arange(400) % 40).astype(str).astype(object)))
    alone, together = analysed(data), analysed(data, clusters="label")
    width = {name: (f.sparsity_high - f.sparsity_low).mean() for name, f in (("a", alone), ("t", together))}
    # √10 for ten copies each, less what 100 resamples leave open: 10 % of each width, several times over.
    assert width["t"] > 2 * width["a"]


def test_fewer_than_thirty_images_or_clusters_have_no_interval() -> None:
    data = dataset(images=50)
    assert analysed(data, clusters="label").sparsity_low.isnull().all()
    assert analysed(data.isel(image=slice(29))).change_high.isnull().all()
    assert analysed(data.isel(image=slice(30))).sparsity_low.notnull().all()


def test_fewer_than_200_images_have_a_dimension_without_an_interval() -> None:
    data = dataset(images=200)
    assert analysed(data).dimension_low.notnull().all()
    few = analysed(data.isel(image=slice(199)))
    assert few.dimension.notnull().all()
    assert few.dimension_low.isnull().all()


@pytest.mark.parametrize("lazily", [True, False])
def test_data_and_findings_from_a_plain_zarr_store_are_as_good(lazily: bool, tmp_path: Path) -> None:
    data = dataset(draws=2)
    data.to_zarr(tmp_path / "phi.zarr", consolidated=False)
    opened = xr.open_zarr(tmp_path / "phi.zarr", consolidated=False)
    options: dict[str, Any] = {"clusters": "label", "block_inputs": {"dec1": ("mid", "enc1")}}
    expected, found = analysed(data, **options), analysed(opened if lazily else opened.load(), **options)
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name], expected[name])
    found.to_zarr(tmp_path / "findings.zarr", consolidated=False)
    assert sparsity.plot(xr.open_zarr(tmp_path / "findings.zarr", consolidated=False)).axes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block_inputs": {"middle": "enc1"}}, "'middle' is no tap of the data.*enc1, mid, dec1"),
        ({"block_inputs": {"mid": "encoder"}}, "'encoder' is no tap"),
        ({"block_inputs": {"mid": ()}}, "nothing feeds 'mid'"),
        ({"clusters": "tap"}, "clusters='tap' is no coordinate along image.*label"),
        ({"resamples": 5}, "resamples=5: give a whole number ≥ 100"),
        ({"level": 95}, "level=95: give the interval's coverage"),
        ({"level": "x"}, "level='x': give the interval's coverage"),
        ({"seed": -1}, "seed=-1: give a whole number ≥ 0"),
        ({"seed": 1.5}, "seed=1.5: give a whole number ≥ 0"),
        ({"block_inputs": "enc1"}, "block_inputs='enc1': give a mapping"),
        ({"block_inputs": {"mid": 3}}, "3 feeds 'mid': name a tap"),
        ({"block_inputs": {"middle": None}}, "'middle' is no tap"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        analysed(dataset(), **options)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (dataset().phi, "give the Dataset"),
        (dataset().drop_vars("phi"), "no 'phi'"),
        (dataset().isel(sigma=0), "keep all dims"),
        (dataset().drop_vars("tap"), "lacks the coordinates tap"),
        (changed(dataset(), {"image": 0}, np.nan), "NaN or infinite"),
        (
            changed(dataset(), {"image": 0}, -0.5),
            "phi is negative at 'enc1' .*, 'mid' .*, 'dec1' .*down to -0.5.*after the ReLU.*relu_mean",
        ),
        (changed(dataset(draws=2), {"image": 0}, -0.5, "phi_draws"), "phi_draws is negative"),
        (dataset().isel(image=[]), "give at least one image"),
        (dataset().astype(object), "phi is of type object: give real numbers"),
        (dataset().assign_coords(sigma=["low", "high"]), "sigma is of type .*: give real numbers"),
    ],
    ids=["array", "no phi", "no sigma", "no tap", "NaN", "negative", "negative draws", "no image", "objects", "words"],
)
def test_data_that_cannot_be_used_are_refused(data: xr.Dataset, words: str) -> None:
    with pytest.raises(InputError, match=words):
        analysed(data)


def test_of_many_noise_levels_the_figure_draws_five_that_span_them() -> None:
    figure = sparsity.plot(analysed(dataset(sigmas=12)))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["σ = 0.1", "σ = 0.4", "σ = 0.7", "σ = 0.9", "σ = 1.2"]


def test_what_is_no_finding_of_sparsity_is_not_drawn() -> None:
    with pytest.raises(InputError, match=r"the findings lack sparsity.*give what sparsity.analyse returns"):
        sparsity.plot(dataset())


@pytest.mark.parametrize("sigmas", [1, 3])
def test_the_figure_has_a_panel_for_each_measure_and_one_for_the_change(sigmas: int) -> None:
    figure = sparsity.plot(analysed(dataset(sigmas=sigmas, draws=2)))
    assert isinstance(figure, Figure)
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == 6
    assert "smaller: sparser" in titles[0]
    assert len(figure.axes[0].containers) == sigmas


def test_the_command_writes_findings_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset().to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    out = tmp_path / "out"
    given = [str(tmp_path / "phi.nc"), "-o", str(out), "--resamples", "100", "--clusters", "label"]
    assert sparsity.main(given) == 0
    written = xr.load_dataset(out / "sparsity.nc", engine="h5netcdf")
    assert written.attrs["analysis"] == "sparsity"
    assert written.attrs["clusters"] == "label"
    assert (out / "sparsity.png").stat().st_size > 0
    assert sparsity.main([*given[:-1], "nothing"]) == 1
    assert "clusters='nothing'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sparsity", "per_image"])
def test_a_coordinate_named_like_a_finding_is_left_out_with_a_warning(name: str) -> None:
    data = dataset()
    with pytest.warns(UserWarning, match=f"coordinates {name} of the data are left out"):
        found = analysed(data.assign_coords({name: ("image", np.arange(30))}))
    xr.testing.assert_identical(found, analysed(data))


def test_networks_of_other_sparsity_share_the_scale_of_each_measure_over_all_noise_levels() -> None:
    mine = analysed(dataset(sigmas=3, draws=2))
    other = mine.assign({name: mine[name] / 3 for name in mine if str(name).startswith(("sparsity", "change"))})
    figure = sparsity.plot(mine, against={"untrained": other})
    columns, measures = 3, mine.sizes["measure"] + 1
    assert len(figure.axes) == columns * measures
    for row in range(measures):
        axes = figure.axes[columns * row : columns * (row + 1)]
        assert len({axis.get_ylim() for axis in axes}) == 1
        low, high = axes[0].get_ylim()
        drawn = np.concatenate([line[0].get_ydata() for axis in axes for line in axis.containers]).astype(float)
        assert ((drawn >= low) & (drawn <= high) | np.isnan(drawn)).all()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [str(mine.attrs.get("denoiser", "network")), "untrained"]
    marks = {container[0].get_marker() for container in figure.axes[0].containers}
    assert len(marks) == 2
