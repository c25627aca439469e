"""Procedural images: labels, what is refused and how, pairs of settings, and their use with the rest of the package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import probekit
from probekit.errors import InputError
from probekit.models.unet import UNet
from probekit.synthetic.drawing import CORNERS, hue_to_rgb
from probekit.synthetic.shapes import (
    FACTORS,
    ShapeData,
    distance,
    draw,
    draw_settings,
    factor_distances,
    render,
)
from probekit.synthetic.shapes_strategies import shape_settings, shapes

OUTSIDE = {
    "shape": "blob",
    "count": 6,
    "area": 0.5,
    "aspect": -0.7,
    "hue": 1.0,
    "position_row": 0.3,
    "position_col": 0.7,
    "texture": "dots",
    "frequency": 1.9,
    "contrast": 0.31,
    "brightness": 0.71,
}


def test_images_and_truth_carry_the_label_schema() -> None:
    images, truth = draw(3, seed=1, size=16)
    assert images.dims == ("image", "band", "row", "col")
    assert images["image"].values.tolist() == truth["image"].values.tolist() == ["0", "1", "2"]
    assert images["label"].values.tolist() == truth["shape"].values.tolist()
    assert list(truth.data_vars) == list(FACTORS)
    assert all(variable.dims == ("image",) for variable in truth.data_vars.values())
    assert all({"long_name", "units"} <= set(variable.attrs) for variable in [images, *truth.data_vars.values()])
    assert truth.attrs["seed"] == images.attrs["seed"] == 1
    assert truth["count"].dtype.kind == "i"


def test_truth_and_images_survive_netcdf(tmp_path: Path) -> None:
    images, truth = draw(4, seed=1, size=16)
    truth.to_netcdf(tmp_path / "truth.nc", engine="h5netcdf")
    images.to_netcdf(tmp_path / "images.nc", engine="h5netcdf")
    read = xr.load_dataset(tmp_path / "truth.nc", engine="h5netcdf")
    xr.testing.assert_identical(read, truth)
    xr.testing.assert_identical(xr.load_dataarray(tmp_path / "images.nc", engine="h5netcdf"), images)
    xr.testing.assert_equal(render(read, size=16), images)


def test_images_go_straight_into_a_tap(unet: UNet) -> None:
    images, truth = draw(3, seed=1, size=16)
    data = probekit.tap(unet, "mid")(images, sigma=[0.1], draws=2)
    assert data["image"].values.tolist() == truth["image"].values.tolist()
    assert data["label"].values.tolist() == truth["shape"].values.tolist()
    # Findings and truth share their ids, so that they merge.
    assert set(FACTORS) < set(data.merge(truth, combine_attrs="override").data_vars)


def test_settings_may_be_a_dataset_a_mapping_single_values_or_one_image_of_a_dataset() -> None:
    images, truth = draw(2, seed=3, size=16, hue=0.25)
    as_lists = {name: truth[name].values.tolist() for name in FACTORS}
    for settings in (truth, as_lists, {**as_lists, "hue": 0.25}, {**as_lists, "hue": [0.25]}, dict(truth.data_vars)):
        np.testing.assert_array_equal(render(settings, size=16).values, images.values)
    one = render(truth.isel(image=1), size=16)
    np.testing.assert_array_equal(one.values, images.values[1:])
    assert one["image"].values.tolist() == ["1"]
    none = render(truth.isel(image=[]), size=16)
    assert none.shape == (0, 3, 16, 16)


def test_a_fixed_factor_may_be_one_value_or_one_per_image() -> None:
    truth = draw_settings(3, seed=0, shape="star", count=[1, 2, 5], hue=np.array([0.5]), area=xr.DataArray(0.05))
    assert truth["shape"].values.tolist() == ["star"] * 3
    assert truth["count"].values.tolist() == [1, 2, 5]
    assert truth["hue"].values.tolist() == [0.5] * 3
    assert truth["area"].values.tolist() == [0.05] * 3


def test_arguments_are_left_as_they_were() -> None:
    truth = draw_settings(3, seed=0)
    before = truth.copy(deep=True)
    counts = np.array([1, 2, 3])
    render(truth, size=16)
    distance(truth, truth)
    drawn = draw_settings(3, seed=0, count=counts)
    drawn["count"][:] = 5
    xr.testing.assert_identical(truth, before)
    assert counts.tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize(
    "use",
    [
        lambda settings, name: draw(2, seed=0, **{name: settings[name]}),
        lambda settings, _: render(settings),
        lambda settings, _: distance(settings, draw_settings(2, seed=0)),
    ],
    ids=["draw", "render", "distance"],
)
def test_a_value_out_of_range_is_refused_naming_factor_value_position_and_range(
    name: str, use: Callable[[Any, str], Any]
) -> None:
    good = draw_settings(2, seed=0)
    settings = {**good, name: [good[name].values[0], OUTSIDE[name]]}
    with pytest.raises(InputError) as error:
        use(settings, name)
    message = str(error.value)
    shown = OUTSIDE[name] if isinstance(OUTSIDE[name], str) else float(OUTSIDE[name])
    assert message.startswith(f"{name} is {shown!r} at position 1: give ")
    factor = FACTORS[name]
    assert all(value in message for value in factor.values)
    assert factor.values or f"[{factor.low:g}, {factor.high:g}" in message


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"colour": 0.5}, "colour: no such factor; the factors are shape, count"),
        ({"count": [1, 2]}, "count has 2 values for 3 images: give one value, or one per image"),
        ({"count": 1.5}, r"count is 1.5: give a whole number in \[1, 5\]"),
        ({"count": True}, r"count=True: give a whole number in \[1, 5\]"),
        ({"hue": float("nan")}, r"hue is nan: give a number in \[0, 1\)"),
        ({"hue": "red"}, "hue='red': give a number"),
        ({"hue": None}, "hue=None: give a number"),
        ({"shape": 3}, "shape=3: give one of 'disc', 'square'"),
        ({"hue": [[0.1, 0.2, 0.3]]}, r"hue has shape \(1, 3\): give one value, or one per image"),
        ({"hue": xr.DataArray([0.1, 0.2, 0.3], dims="pair")}, r"hue has dims \('pair',\): give it the one dim image"),
    ],
)
def test_what_cannot_be_a_factor_is_refused(fixed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(3, seed=0, **fixed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n=0: give a whole number ≥ 1"),
        ({"n": 2.0}, r"n=2.0: give a whole number ≥ 1"),
        ({"seed": -1}, "seed=-1: give a whole number ≥ 0"),
        ({"size": 15}, "size=15: give a whole number ≥ 16"),
        ({"size": (32, 32)}, r"size=\(32, 32\): give a whole number"),
    ],
)
def test_numbers_that_cannot_be_used_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(**{"n": 2, "seed": 0, **arguments})


def test_missing_factors_are_refused_by_name() -> None:
    truth = draw_settings(2, seed=0)
    with pytest.raises(InputError, match="the settings lack hue, texture: give every factor a value"):
        render(truth.drop_vars(["hue", "texture"]))
    with pytest.raises(InputError, match="the settings lack hue: give it a value, or name the factors to compare"):
        distance(truth, truth.drop_vars("hue"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": ["colour"]}, "factors='colour': give one of shape, count"),
        ({"factors": []}, r"factors=\[\]: give some of shape"),
        ({"factors": ["hue", "hue"]}, "each once"),
        (
            {"factors": ["hue"], "weights": {"shape": 1}},
            "weights has 'shape', which is not compared",
        ),
        ({"weights": {"hue": -1}}, "the weight of hue=-1: give a finite number, 0 or more"),
        ({"weights": {"hue": float("nan")}}, "the weight of hue=nan"),
        ({"weights": {"hue": float("inf")}}, "the weight of hue=inf"),
        ({"weights": {"hue": "much"}}, "the weight of hue='much'"),
        ({"factors": ["hue"], "weights": {"hue": 0}}, "all weights are 0"),
    ],
)
def test_distances_that_are_not_defined_are_refused(options: dict[str, Any], message: str) -> None:
    truth = draw_settings(2, seed=0)
    with pytest.raises(InputError, match=message):
        distance(truth, truth, **options)


def test_settings_of_unequal_length_are_refused() -> None:
    truth = draw_settings(3, seed=0)
    with pytest.raises(InputError, match="has 3 and 2 values along image: give settings of one length, or rename"):
        distance(truth, truth.isel(image=[0, 1]))


def test_images_are_paired_by_position_whatever_their_ids() -> None:
    truth = draw_settings(4, seed=0)
    a, b = truth.isel(image=[0, 1]), truth.isel(image=[2, 3])
    apart = distance(a, b)
    assert apart.dims == ("image",)
    assert apart.sizes["image"] == 2
    assert "image" not in apart.coords
    for k in range(2):
        assert apart.values[k] == distance(a.isel(image=k), b.isel(image=k)).item()
    assert distance(truth, truth)["image"].values.tolist() == ["0", "1", "2", "3"]
    assert distance(truth, truth.isel(image=2))["image"].values.tolist() == ["0", "1", "2", "3"]


def test_chosen_pairs_and_all_pairs_agree() -> None:
    truth = draw_settings(5, seed=0)
    table = distance(truth, truth.rename(image="other"))
    assert table.dims == ("image", "other")
    assert table["other"].values.tolist() == truth["image"].values.tolist()
    one, other = np.triu_indices(5, 1)
    i, j = (xr.DataArray(k, dims="pair") for k in (one, other))
    pairs = distance(truth.isel(image=i), truth.isel(image=j))
    assert pairs.dims == ("pair",)
    np.testing.assert_array_equal(pairs.values, table.values[one, other])


def test_distance_is_the_weighted_root_mean_square_of_the_factors() -> None:
    a = {"shape": "disc", "count": 1, "hue": 0.9, "aspect": -0.6}
    b = {"shape": "star", "count": 3, "hue": 0.1, "aspect": 0.0}
    apart = factor_distances(a, b, factors=list(a))
    expected = {"shape": 1.0, "count": 0.5, "hue": 0.4, "aspect": 0.5}
    assert {name: apart[name].item() for name in expected} == pytest.approx(expected)
    total = distance(a, b, factors=list(a), weights={"shape": 3, "hue": 0})
    assert total.item() == pytest.approx(((3 * 1 + 0.25 + 0 + 0.25) / 5) ** 0.5)
    assert total.attrs["weights"] == "shape=3, count=1, hue=0, aspect=1"
    assert distance(a, b, factors="hue").item() == pytest.approx(0.4)


def test_outlines_have_area_1_their_centroid_at_the_origin_and_no_aspect_of_their_own() -> None:
    assert set(CORNERS) == set(FACTORS["shape"].values)
    for corners in CORNERS.values():
        (r0, c0), (r1, c1) = corners.T, np.roll(corners, -1, axis=0).T
        # Integrals over the triangles from the origin to each edge, by the shoelace formulas.
        cross = c0 * r1 - c1 * r0
        assert abs(cross.sum() / 2) == pytest.approx(1)
        assert (cross * (r0 + r1)).sum() == pytest.approx(0, abs=1e-12)
        assert (cross * (c0 + c1)).sum() == pytest.approx(0, abs=1e-12)
        rows, cols = (cross * (x0 * x0 + x0 * x1 + x1 * x1) for x0, x1 in ((r0, r1), (c0, c1)))
        assert rows.sum() == pytest.approx(cols.sum())


def test_hues_are_those_of_hsv() -> None:
    colours = hue_to_rgb(np.arange(6) / 6)
    expected = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1)]
    np.testing.assert_allclose(colours, expected, atol=1e-12)


@given(shape_settings(min_images=2, max_images=3, shape="star"))
def test_settings_from_the_strategy_are_valid_and_keep_what_is_fixed(settings: xr.Dataset) -> None:
    assert 2 <= settings.sizes["image"] <= 3
    assert list(settings.data_vars) == list(FACTORS)
    assert (settings["shape"] == "star").all()
    assert render(settings, size=16).sizes["image"] == settings.sizes["image"]


@given(st.data())
def test_images_from_the_strategy_are_those_of_their_settings(data: st.DataObject) -> None:
    drawn = data.draw(shapes(size=16, max_images=2, count=5))
    assert isinstance(drawn, ShapeData)
    assert (drawn.truth["count"] == 5).all()
    xr.testing.assert_identical(drawn.images, render(drawn.truth, size=16))
