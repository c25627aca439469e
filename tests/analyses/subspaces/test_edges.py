"""The analysis of subspaces at its edges: bad input, extremes, several taps and noise levels, files, the figure."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import subspaces
from analyses.subspaces import kernels_active
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces

QUICK: dict[str, Any] = {"ranks": (1, 2), "splits": 1, "resamples": 100}


def small(**options: Any) -> xr.Dataset:
    return union_of_subspaces(**{"n_images": 90, "n_channels": 24, "n_subspaces": 3, "support": 4, **options}).data


def two_taps() -> xr.Dataset:
    """Three subspaces in one tap and two in the other, at two noise levels."""
    one = small(sigma=[0.1, 0.3])
    two = small(n_subspaces=2, seed=1, sigma=[0.1, 0.3], n_channels=20)
    two = two.assign_coords(channel=two.channel + 24, tap=("channel", np.full(20, "other", object)))
    return xr.concat([one, two], "channel", data_vars="all", coords="minimal", compat="override", join="exact")


@pytest.fixture(scope="module")
def findings() -> xr.Dataset:
    return subspaces.analyse(two_taps(), **QUICK)


def test_each_tap_and_noise_level_has_its_own_answer(findings: xr.Dataset) -> None:
    assert findings.n_subspaces.dims == ("sigma", "block")
    np.testing.assert_array_equal(findings.n_subspaces, [[3, 2], [3, 2]])
    assert findings.subspace.dims == ("image", "sigma", "block")
    assert findings.block.values.tolist() == ["synthetic", "other"]
    # Subspaces of a tap have channels of that tap; the two of the second one have none for a third.
    other = findings.tap.values == "other"
    assert findings.support.values[:, 2, other].sum() == 0
    assert findings.support.values[:, 2, ~other].any()


def test_the_answer_at_one_tap_and_level_is_that_of_the_tap_and_level_alone(findings: xr.Dataset) -> None:
    data = two_taps()
    alone = subspaces.fit(data.isel(sigma=[1], channel=data.tap.values == "other"), splits=1)
    assert alone.subspace.dims == ("image",)
    np.testing.assert_array_equal(alone.subspace, findings.subspace.isel(sigma=1, block=1))
    assert alone.agreement.item() == findings.agreement.values[1, 1]


def test_findings_keep_labels_and_say_how_they_were_made(findings: xr.Dataset) -> None:
    assert findings.attrs["analysis"] == "subspaces"
    assert findings.attrs["weights_sha256"] == ""
    assert (findings.attrs["method"], findings.attrs["rate"]) == ("coordinate", 0.05)
    assert findings.attrs["error_from"] == "phi_se, moderated over images"
    assert all({"long_name", "units"} <= v.attrs.keys() for v in findings.data_vars.values())


@pytest.mark.parametrize("several", [True, False])
def test_findings_round_trip_through_netcdf_and_zarr(findings: xr.Dataset, tmp_path: Path, several: bool) -> None:
    one = findings if several else subspaces.fit(small(), splits=1)
    one.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    again = xr.load_dataset(tmp_path / "f.nc", engine="h5netcdf")
    one.to_zarr(tmp_path / "f.zarr", zarr_format=3, consolidated=False)
    stored = xr.open_zarr(tmp_path / "f.zarr", consolidated=False).load()
    for name, variable in one.variables.items():
        for other in (again, stored):
            assert other[name].dims == variable.dims
            np.testing.assert_array_equal(np.asarray(other[name].values, variable.dtype), variable.values)


def test_bases_are_orthonormal_on_their_support_and_nan_beyond_their_dimension(findings: xr.Dataset) -> None:
    basis = findings.basis.values[0, 0][:, findings.tap.values == "synthetic"]
    dimension = int(findings.dimension[0, 0, 0])
    np.testing.assert_allclose(basis[:dimension] @ basis[:dimension].T, np.eye(dimension), atol=1e-6)
    assert np.isnan(basis[dimension:]).all()
    off = ~findings.support.values[0, 0][findings.tap.values == "synthetic"]
    assert (basis[:dimension, off] == 0).all()


def test_the_input_is_not_changed() -> None:
    data = small()
    before = data.copy(deep=True)
    subspaces.analyse(data, dimensions=False, **QUICK)
    xr.testing.assert_identical(data, before)


def test_the_same_seed_gives_the_same_findings() -> None:
    one, two = (subspaces.analyse(small(), dimensions=False, **QUICK) for _ in range(2))
    xr.testing.assert_identical(one, two)


@pytest.mark.parametrize("loaded", [True, False])
def test_a_zarr_store_opened_by_xarray_gives_what_the_data_in_memory_give(tmp_path: Path, loaded: bool) -> None:
    data = small()
    # As the label schema has them, and as zarr has no type for them that numpy casts to its own strings.
    data.to_zarr(tmp_path / "phi.zarr", zarr_format=3, consolidated=False)
    stored = xr.open_zarr(tmp_path / "phi.zarr", chunks=None, consolidated=False)
    stored = stored.load() if loaded else stored
    one, other = (subspaces.analyse(d, dimensions=False, **QUICK) for d in (data, stored))
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], other[name], err_msg=str(name))
    one.to_zarr(tmp_path / "f.zarr", zarr_format=3, consolidated=False)
    again = xr.open_zarr(tmp_path / "f.zarr", chunks=None, consolidated=False)
    assert len(subspaces.plot(again).axes) == 5
    xr.testing.assert_equal(subspaces.overlap(stored, again), subspaces.overlap(data, one))
    truth = union_of_subspaces(90, n_channels=24, n_subspaces=3, support=4).truth
    assert subspaces.score(again, truth, data=stored).accuracy.item() == 1


def test_taps_named_by_numbers_are_analysed_under_their_names_as_strings() -> None:
    data = small()
    found = subspaces.analyse(data.assign_coords(tap=data.tap.copy(data=np.full(24, 3))), dimensions=False, **QUICK)
    assert found.block.values.tolist() == ["3"]
    assert found.n_subspaces.item() == 3
    assert len(subspaces.plot(found).axes) == 5


@pytest.mark.parametrize("power", [-85, 85])
def test_numbers_whose_squares_float32_cannot_hold_are_analysed_as_any_others(power: int) -> None:
    data = small()
    # Powers of two scale floats exactly; 2**85 is about 4e25.
    scaled = data.map(lambda values: values * np.float32(2.0**power), keep_attrs=True).assign_attrs(data.attrs)
    one, other = (subspaces.analyse(d, dimensions=False, **QUICK) for d in (data, scaled))
    xr.testing.assert_identical(one, other)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.phi, "the data is a DataArray: give the Dataset"),
        (lambda d: d.drop_vars("phi"), "no 'phi'"),
        (lambda d: d.isel(sigma=0), "select with a list"),
        (lambda d: d.drop_vars("tap"), "lacks the coordinates tap"),
        (lambda d: d.assign(phi=d.phi.where(d.image != "3")), "phi holds NaN .* drop those images"),
        (lambda d: d.assign(rest=d.rest * np.nan), "rest holds NaN"),
        (
            lambda d: d.assign(phi_se=d.phi_se.where(d.image != "3")),
            "phi_se is NaN in some .* drop the variable",
        ),
        (lambda d: d.isel(image=slice(1)), "1 images: give at least 20"),
        (lambda d: d.isel(image=slice(19)), "19 images: give at least 20"),
        (lambda d: d.isel(channel=slice(0)), "no noise level or no channel"),
        (lambda d: d.phi.values, "the data is a ndarray: give the Dataset"),
        (lambda d: d.assign(phi=d.phi.astype(object)), r"phi is of type object: give real numbers"),
        (lambda d: d.assign_coords(sigma=["low"]), "sigma is of type .*: give real numbers"),
        (lambda d: d.assign(phi_se=d.phi_se / 0), "phi_se is negative or infinite"),
        (lambda d: d.assign(phi_se=-d.phi_se), "phi_se is negative or infinite"),
        (lambda d: d.assign(rest_se=-d.rest_se), "rest_se is negative or infinite"),
        (lambda d: d.assign_attrs(draws="ten"), "the attribute draws is 'ten': give the number"),
    ],
)
def test_data_that_cannot_be_used_are_refused_with_the_remedy(spoil: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        subspaces.analyse(spoil(small()))
    with pytest.raises(InputError, match=message):
        subspaces.fit(spoil(small()), n_subspaces=2)


def test_findings_of_other_data_are_refused() -> None:
    found = subspaces.fit(small(), splits=0)
    with pytest.raises(InputError, match="differ along image"):
        subspaces.overlap(small(n_images=80), found)
    with pytest.raises(InputError, match="no subspaces: give what"):
        subspaces.overlap(small(), small())
    with pytest.raises(InputError, match="different images"):
        subspaces.score(found, union_of_subspaces(80).truth)
    with pytest.raises(InputError, match="the truth lacks support: give what"):
        subspaces.score(found, union_of_subspaces(90).truth.drop_vars("support"))
    with pytest.raises(InputError, match=r"lack support, .*explained, .*: give what subspaces\.analyse"):
        subspaces.plot(small())
    with pytest.raises(InputError, match=r"lack explained, .*overlap_gap_shuffled.*: give what subspaces\.analyse"):
        subspaces.plot(found)


def filled(phi: np.ndarray) -> xr.Dataset:
    """Data with this φ (images, channels), rest 0.1 and no error."""
    data = small(n_images=phi.shape[0], noise=0.0).isel(channel=slice(phi.shape[1]))
    data = data.assign(phi=(data.phi.dims, phi[:, None].astype(np.float32)))
    return data.assign(rest=data.rest * 0 + np.float32(0.1))


@pytest.mark.parametrize("method", ["coordinate", "linear"])
@pytest.mark.parametrize("value", [0.0, 0.1, 0.7], ids=["all zero", "at rest", "constant above rest"])
def test_equal_images_are_one_subspace(value: float, method: str) -> None:
    found = subspaces.analyse(filled(np.full((40, 6), value)), method=method, dimensions=False, **QUICK)
    assert found.n_subspaces.item() == 1
    assert found.size.item() == 40
    # Nothing varies, so there is nothing to explain and no other subspace to compare with.
    assert np.isnan(found.explained).all()
    assert np.isnan(found.overlap_gap).all()
    assert np.isnan(found.confidence.item()) == (method == "linear")
    if method == "coordinate" and value < 0.5:
        assert found.confidence.item() == 0
        assert not found.common.any()
        assert found.dimension.item() == 0


def test_one_hot_images_are_subspaces_of_one_channel_each() -> None:
    found = subspaces.fit(filled(0.1 + np.eye(4)[np.arange(80) % 4]))
    assert found.n_subspaces.item() == 4
    np.testing.assert_array_equal(found.support.values[0].sum(axis=1), 1)
    np.testing.assert_array_equal(found.dimension.values[0, 0], 1)
    assert found.confidence.item() > 0.99
    np.testing.assert_allclose(found.angle.values[0, 0] + np.pi / 2 * np.eye(4), np.pi / 2, atol=1e-6)


def test_one_channel_is_fitted_but_leaves_no_rank_to_compare() -> None:
    data = filled(np.r_[np.zeros(30), np.ones(30)][:, None])
    assert subspaces.fit(data).n_subspaces.item() == 1
    with pytest.raises(InputError, match="1 channel"):
        subspaces.analyse(data)


def test_a_number_that_is_given_is_the_number_found() -> None:
    for number in (2, 3, 5):
        assert subspaces.fit(small(), n_subspaces=number, splits=0).n_subspaces.item() == number


@pytest.mark.parametrize(
    ("missing", "rest", "error"),
    [
        ([], "rest", "phi_se, moderated over images"),
        (["phi_se"], "rest", "spread below rest"),
        (["phi_se", "rest", "rest_se"], "median over images", "spread below rest"),
    ],
)
def test_what_is_missing_is_replaced_and_the_replacement_named(missing: list[str], rest: str, error: str) -> None:
    made = union_of_subspaces(200, n_channels=40, n_subspaces=5, common=0)
    found = subspaces.fit(made.data.drop_vars(missing), splits=1)
    assert (found.attrs["rest_from"], found.attrs["error_from"]) == (rest, error)
    assert subspaces.score(found, made.truth).accuracy.item() >= 0.95


def test_a_level_of_one_draw_falls_back_alone() -> None:
    data = small(sigma=[0.1, 0.3])
    found = subspaces.fit(data.assign(phi_se=data.phi_se.where(data.sigma > 0.2)), splits=0)
    assert found.attrs["error_from"] == "spread below rest at sigma [0.1], else phi_se, moderated over images"


def test_scikit_dimension_is_needed_only_for_intrinsic_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("skdim"):
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"needs scikit-dimension: pip install 'probekit-denoisers\[analyses\]'"):
        subspaces.intrinsic_dimension(small())
    assert "intrinsic_dimension" not in subspaces.analyse(small(), dimensions=False, **QUICK)


def test_no_image_is_in_two_pairs_and_pairs_are_of_their_kind() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(4, size=101)
    within, between = kernels_active.pairs(groups, rng)
    for pairs in (within, between):
        assert len(np.unique(pairs)) == pairs.size
    assert (groups[within[:, 0]] == groups[within[:, 1]]).all()
    assert (groups[between[:, 0]] != groups[between[:, 1]]).all()
    # All but one image of each group at most is paired within it.
    assert len(within) == sum(np.bincount(groups) // 2)


def test_the_figure_shows_four_panels_for_every_tap(findings: xr.Dataset, tmp_path: Path) -> None:
    figure = subspaces.plot(findings)
    numbers = figure.axes[3]
    assert [t.get_text() for t in numbers.get_yticklabels()] == ["synthetic", "other"]
    # Row by row, the number of subspaces at each noise level.
    assert [t.get_text() for t in numbers.texts] == ["3", "3", "2", "2"]
    legend = figure.axes[2].get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == [
        "synthetic",
        "other",
        "hollow, dotted: channels shuffled",
    ]
    # Where shuffled channels have no overlap to show, as where they make one group, the legend names none.
    unknown = findings.assign(overlap_gap_shuffled=np.nan * findings.overlap_gap_shuffled)
    alone = subspaces.plot(unknown).axes[2].get_legend()
    assert alone is not None
    assert [t.get_text() for t in alone.get_texts()] == ["synthetic", "other"]
    figure.savefig(tmp_path / "f.png")


def test_in_a_figure_of_many_taps_and_noise_levels_no_text_or_legend_covers_another() -> None:
    # Seven taps of three channels, at twenty levels; every channel is above rest on one image in three.
    rng = np.random.default_rng(0)
    levels = np.linspace(0, 3, 20)
    data = small(n_channels=21, sigma=levels, noise=0.02).isel(image=slice(30))
    taps = np.repeat([f"block{k}" for k in range(7)], 3).astype(object)
    phi = 0.1 + (rng.integers(3, size=(30, 20, 7, 1)) == np.arange(3)).reshape(30, 20, 21)
    data = data.assign(phi=(data.phi.dims, phi.astype(np.float32))).assign_coords(tap=("channel", taps))
    figure = subspaces.plot(subspaces.analyse(data, dimensions=False, ranks=(1, 2), splits=0, resamples=100))
    figure.draw_without_rendering()
    for axes in figure.axes:
        ticks = [t for t in (*axes.get_xticklabels(), *axes.get_yticklabels()) if t.get_text() and t.get_visible()]
        boxes = [t.get_window_extent() for t in (*ticks, *axes.texts)]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    legend = figure.axes[2].get_legend()
    assert legend is not None
    assert not legend.get_window_extent().overlaps(figure.axes[2].get_window_extent())
    assert legend.get_window_extent().x0 >= 0


def test_curves_that_coincide_are_both_visible_in_the_figure(findings: xr.Dataset) -> None:
    lines = {line.get_label(): line for line in subspaces.plot(findings).axes[1].get_lines()}
    assert len(lines) == 5
    # The union that two PCAs are compared with is drawn once, and broader than the lines upon it.
    assert all(lines["union"].get_linewidth() > 2 * line.get_linewidth() for k, line in lines.items() if k != "union")


def test_a_single_subspace_has_a_number_in_the_figure_and_words_for_what_cannot_be_compared() -> None:
    found = subspaces.analyse(filled(np.full((40, 6), 0.7)), dimensions=False, **QUICK)
    axes = subspaces.plot(found).axes
    # A panel of overlap would be empty, and there is none.
    assert [t.get_text() for t in axes[2].texts] == ["1"]
    assert "no others to compare with" in axes[2].get_title()
    assert len(axes) == 4


def test_the_command_writes_findings_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small().to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    arguments = [str(tmp_path / "phi.nc"), "-o", str(tmp_path), "--n-subspaces", "3", "--no-dimensions"]
    assert subspaces.main(arguments) == 0
    assert xr.load_dataset(tmp_path / "subspaces.nc", engine="h5netcdf").n_subspaces.item() == 3
    assert (tmp_path / "subspaces.png").stat().st_size > 10_000
    assert subspaces.main([*arguments[:-3], "--n-subspaces", "99"]) == 1
    assert "n_subspaces=99" in capsys.readouterr().err


def test_findings_of_another_network_or_of_channels_in_another_order_are_refused() -> None:
    data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    data = data.assign_attrs(weights_sha256="1")
    found = subspaces.fit(data)
    with pytest.raises(InputError, match="the findings and the data are of different networks"):
        subspaces.overlap(data.assign_attrs(weights_sha256="2"), found)
    with pytest.raises(InputError, match="data and findings differ along tap"):
        subspaces.overlap(data.assign_coords(tap=("channel", ["other"] * 30)), found.assign_coords(block=["other"]))
    backwards = truth.isel(channel=slice(None, None, -1))
    assert subspaces.score(found, backwards).support_f1 == subspaces.score(found, truth).support_f1 == 1


@pytest.mark.parametrize("name", ["held", "certainty", "overlap_gap", "gain_shuffled_low", "block"])
def test_a_coordinate_named_like_a_finding_is_left_out_with_one_warning(name: str) -> None:
    data, _ = union_of_subspaces(120, n_channels=30, n_subspaces=3)
    data = data.assign_coords({name: ("image", np.arange(120))})
    options: dict[str, Any] = {"n_subspaces": 3, "resamples": 100, "dimensions": False}
    with pytest.warns(UserWarning, match=f"coordinates {name} of the data are left out"):
        found = subspaces.analyse(data, **options)
    xr.testing.assert_identical(found, subspaces.analyse(data.drop_vars(name), **options))
