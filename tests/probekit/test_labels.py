"""Results carry the label schema's dims, coordinates and attributes, and keep them through files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import probekit
from probekit import labels
from probekit.errors import InputError

CHANNELS = {"enc1": 2, "mid": 3}
SIGMA = (0.05, 0.1, 1.0)
PROVENANCE = {
    "denoiser": "photo",
    "settings": "predicts='clean'",
    "weights_sha256": "0" * 64,
    "taps": {"enc1": "encoder.0", "mid": "middle"},
    "reduce": "mean",
    "draws": 4,
    "seed": 7,
    "noise": "Philox",
    "images": "ndarray of shape (2, 3, 8, 8)",
}
# NUL ends strings in netCDF, and surrogates are not text: neither can be kept in a file.
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)


def arrays(n: int = 2, *, draws: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    c, s = sum(CHANNELS.values()), len(SIGMA)
    made = {
        "phi": rng.random((n, s, c)),
        "phi_se": np.full((n, s, c), np.nan),
        "rest": rng.random((s, c)),
        "rest_se": rng.random((s, c)),
    }
    return made | ({"phi_draws": rng.random((n, s, 4, c))} if draws else {})


def dataset(n: int = 2, *, draws: bool = False, **changed: Any) -> xr.Dataset:
    options = {
        "ids": [f"file{i}" for i in range(n)],
        "labels": ["cat", "dog"] * (n // 2),
        "sigma": SIGMA,
        "channels": CHANNELS,
        "attrs": labels.provenance(**PROVENANCE),
    }
    return labels.representation(arrays(n, draws=draws), **options | changed)


def maps(**changed: Any) -> xr.DataArray:
    options = {
        "ids": ["a", "b"],
        "labels": ["u", "v"],
        "sigma": [0.3],
        "tap": "mid",
        "attrs": labels.provenance(**PROVENANCE),
    }
    return labels.activation_maps(np.random.default_rng(0).random((2, 1, 3, 4, 5)), **options | changed)


def through_netcdf(data: xr.Dataset, folder: Path) -> xr.Dataset:
    data.to_netcdf(folder / "data.nc", engine="h5netcdf")
    with xr.open_dataset(folder / "data.nc", engine="h5netcdf") as opened:
        return opened.load()


def through_zarr(data: xr.Dataset, folder: Path) -> xr.Dataset:
    # Zarr's third format has no consolidated metadata, and warns where it is asked for.
    data.to_zarr(folder / "data.zarr", zarr_format=3, consolidated=False, mode="w")
    with xr.open_zarr(folder / "data.zarr", consolidated=False) as opened:
        return opened.load()


FILES = pytest.mark.parametrize("through", [through_netcdf, through_zarr], ids=["netCDF", "Zarr"])


def test_a_representation_has_the_dims_of_the_schema_in_float32() -> None:
    data = dataset(draws=True)
    assert {name: v.dims for name, v in data.data_vars.items()} == {
        "phi": ("image", "sigma", "channel"),
        "phi_se": ("image", "sigma", "channel"),
        "phi_draws": ("image", "sigma", "draw", "channel"),
        "rest": ("sigma", "channel"),
        "rest_se": ("sigma", "channel"),
    }
    assert {v.dtype for v in data.data_vars.values()} == {np.dtype(np.float32)}
    for name, values in arrays(draws=True).items():
        np.testing.assert_array_equal(data[name].values, values.astype(np.float32))


def test_coordinates_have_the_types_of_the_schema_and_no_multiindex() -> None:
    data = dataset(draws=True)
    assert {name: c.dims for name, c in data.coords.items()} == {
        "image": ("image",),
        "label": ("image",),
        "sigma": ("sigma",),
        "channel": ("channel",),
        "tap": ("channel",),
        "unit": ("channel",),
        "draw": ("draw",),
    }
    assert data["sigma"].dtype == np.float64
    assert all(data[name].dtype == np.int64 for name in ("channel", "unit", "draw"))
    assert all(isinstance(v, str) for name in ("image", "label", "tap") for v in data[name].values)
    assert set(data.indexes) == {"image", "sigma", "channel", "draw"}
    assert all(index.nlevels == 1 for index in data.indexes.values())


@given(st.dictionaries(names, st.integers(1, 5), min_size=1, max_size=4))
def test_channels_are_numbered_over_all_taps_and_units_within_each(channels: dict[str, int]) -> None:
    total = sum(channels.values())
    values = {"rest": np.zeros((len(SIGMA), total))}
    data = labels.representation(values, ids=["a"], labels=None, sigma=SIGMA, channels=channels, attrs={})
    assert data["channel"].values.tolist() == list(range(total))
    for name, count in channels.items():
        assert data["unit"].values[data["tap"].values == name].tolist() == list(range(count))
    assert list(dict.fromkeys(data["tap"].values)) == list(channels)


def test_images_are_selected_by_id_and_noise_levels_by_value() -> None:
    values = arrays()["phi"].astype(np.float32)
    data = dataset()
    np.testing.assert_array_equal(data["phi"].sel(image="file1", sigma=0.1), values[1, 1])
    np.testing.assert_array_equal(data["phi"].isel(channel=(data["tap"] == "mid").values), values[:, :, 2:])


def test_images_without_classes_have_no_label_coordinate() -> None:
    assert "label" not in dataset(labels=None).coords
    assert "label" not in maps(labels=None).coords


def test_there_is_no_draw_coordinate_unless_draws_are_kept() -> None:
    assert "draw" not in dataset().coords
    assert dataset(draws=True)["draw"].values.tolist() == [0, 1, 2, 3]


def test_variables_and_coordinates_say_what_they_are_and_in_which_units() -> None:
    data = dataset(draws=True)
    assert all(v.attrs["long_name"] for v in data.variables.values())
    assert all(v.attrs["units"] for v in data.data_vars.values())
    assert data["sigma"].attrs["units"] == "standard deviation in intensity units of [0, 1] images"


def test_activation_maps_have_rows_and_columns_and_one_tap() -> None:
    data = maps()
    assert (data.name, data.dims) == ("activation", ("image", "sigma", "channel", "row", "col"))
    assert data.dtype == np.float32
    assert (data["row"].values.tolist(), data["col"].values.tolist()) == ([0, 1, 2, 3], [0, 1, 2, 3, 4])
    assert set(data["tap"].values) == {"mid"}
    assert data["unit"].values.tolist() == [0, 1, 2]
    assert data["label"].values.tolist() == ["u", "v"]
    assert all(data.attrs[name] == value for name, value in labels.provenance(**PROVENANCE).items())


def test_provenance_holds_what_every_result_must_carry_as_strings_and_numbers() -> None:
    attrs = labels.provenance(**PROVENANCE)
    assert attrs == {
        "probekit_version": probekit.__version__,
        "denoiser": "photo",
        "denoiser_settings": "predicts='clean'",
        "weights_sha256": "0" * 64,
        "taps": "enc1=encoder.0, mid=middle",
        "reduce": "mean",
        "draws": 4,
        "seed": 7,
        "noise": "Philox",
        "sigma_units": "standard deviation in intensity units of [0, 1] images",
        "image_source": "ndarray of shape (2, 3, 8, 8)",
    }
    assert all(isinstance(value, str | int | float) for value in attrs.values())
    assert dataset().attrs == attrs


def test_attributes_are_copied_so_that_later_changes_to_the_givens_do_not_reach_results() -> None:
    attrs = labels.provenance(**PROVENANCE)
    data = dataset(attrs=attrs)
    attrs["denoiser"] = "other"
    assert data.attrs["denoiser"] == "photo"


def same_types(a: xr.Dataset, b: xr.Dataset) -> bool:
    """Whether numbers have equal dtypes, and strings are strings; each format has a string dtype of its own."""
    return all(
        a[name].dtype == b[name].dtype
        if a[name].dtype.kind in "iuf"
        else b[name].dtype.kind in "OUT" and all(isinstance(v, str) for v in b[name].values.tolist())
        for name in a.variables
    )


@FILES
@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize("classes", [None, ["cat", "a longer dög"]])
def test_a_representation_comes_back_from_a_file_unchanged(
    through: Callable[[xr.Dataset, Path], xr.Dataset], draws: bool, classes: Any, tmp_path: Path
) -> None:
    data = dataset(draws=draws, labels=classes)
    back = through(data, tmp_path)
    xr.testing.assert_identical(back, data)
    assert same_types(data, back)
    assert set(back.indexes) == set(data.indexes)


@FILES
def test_activation_maps_come_back_from_a_file_unchanged(
    through: Callable[[xr.Dataset, Path], xr.Dataset], tmp_path: Path
) -> None:
    data = maps().to_dataset(promote_attrs=True)
    back = through(data, tmp_path)
    xr.testing.assert_identical(back, data)
    assert same_types(data, back)


@FILES
@given(ids=st.lists(names, min_size=2, max_size=2, unique=True), classes=st.lists(names, min_size=2, max_size=2))
def test_any_ids_and_labels_come_back_from_a_file(
    through: Callable[[xr.Dataset, Path], xr.Dataset],
    ids: list[str],
    classes: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    back = through(dataset(ids=ids, labels=classes), tmp_path_factory.mktemp("files"))
    assert back["image"].values.tolist() == ids
    assert back["label"].values.tolist() == classes


def test_a_representation_survives_zarr_then_netcdf_and_each_of_them_twice(tmp_path: Path) -> None:
    data = dataset(draws=True)
    for chain in ((through_zarr, through_netcdf), (through_zarr, through_zarr), (through_netcdf, through_netcdf)):
        back = data
        for through in chain:
            back = through(back, tmp_path)
        xr.testing.assert_identical(back, data)


def test_a_dataset_that_holds_what_is_asked_for_passes_and_is_left_as_it_is() -> None:
    data = dataset(draws=True)
    before = data.copy(deep=True)
    labels.check(data, "phi", "rest", "rest_se", "phi_draws")
    labels.check(data, "phi_se", finite=False)
    labels.check(data)
    xr.testing.assert_identical(data, before)


@FILES
def test_a_dataset_from_a_file_passes_the_check(
    through: Callable[[xr.Dataset, Path], xr.Dataset], tmp_path: Path
) -> None:
    labels.check(through(dataset(draws=True), tmp_path), "phi", "rest", "phi_draws")


def holding(bad: float) -> xr.Dataset:
    data = dataset()
    data["phi"][1, 0, 2] = bad
    return data


@pytest.mark.parametrize(
    ("data", "names", "message"),
    [
        (np.zeros(3), ["phi"], r"the data is a ndarray: give the Dataset that a tap returns"),
        (dataset()["phi"], ["phi"], r"the data is a DataArray: give the Dataset that a tap returns"),
        (
            dataset().drop_vars("phi"),
            ["phi"],
            r"the Dataset has no 'phi', only phi_se, rest, rest_se: give what a tap returns",
        ),
        (xr.Dataset(), ["rest"], r"the Dataset has no 'rest', only nothing: give what a tap returns"),
        (dataset(), ["rest", "phi_draws"], r"the Dataset has no 'phi_draws'"),
        (
            dataset().transpose("channel", ...),
            ["phi"],
            r"phi has dims channel, image, sigma instead of image, sigma, channel: .*\.transpose\('image', 'sigma', ",
        ),
        (dataset().isel(sigma=0), ["phi"], r"phi has dims image, channel instead of image, sigma, channel: keep all"),
        (
            dataset().isel(sigma=0),
            ["rest"],
            r"rest has dims channel instead of sigma, channel: .*\.isel\(sigma=\[0\]\)",
        ),
        (dataset().drop_vars("tap"), ["phi"], r"phi lacks the coordinates tap: give what a tap returns"),
        (dataset().drop_vars(["image", "unit"]), ["phi"], r"phi lacks the coordinates image, unit"),
        (holding(np.nan), ["phi"], r"phi holds NaN or infinite values: drop those images, e.g. data.isel\(image="),
        (
            dataset().assign(phi=lambda d: d.phi.where(d.channel != d.channel[2])),
            ["phi"],
            r"phi holds NaN or infinite values: drop those channels, e.g. data.isel\(channel=",
        ),
        (holding(np.inf), ["rest", "phi"], r"phi holds NaN or infinite values"),
        (dataset(), ["phi_se"], r"phi_se holds NaN or infinite values"),
    ],
)
def test_a_dataset_that_lacks_what_is_asked_for_is_refused(data: Any, names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        labels.check(data, *names)


def scaled(by: float) -> xr.Dataset:
    data = dataset()
    return data.assign(phi=data.phi.astype(float) * by)


def of_axis(name: str, dim: str, values: Any) -> xr.Dataset:
    return dataset().assign_coords({name: (dim, np.array(values, object if isinstance(values[0], str) else None))})


SIZES = dataset().sizes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (scaled(1e200), r"phi is .*e\+\d+ at most, the square of which"),
        # Whatever its sign.
        (scaled(-1e200), r"phi is \d.*e\+\d+ at most, the square of which"),
        (scaled(1e-200), r"phi is .*e-\d\d\d at most, the square of which"),
        (dataset().assign(phi=lambda d: d.phi > 0), r"phi is of type bool: give real numbers"),
        (dataset().assign(phi=lambda d: d.phi.astype(complex)), r"phi is of type complex128: give real numbers"),
        (of_axis("tap", "image", ["a"] * SIZES["image"]), r"tap has dims image: give one for each channel"),
        (
            of_axis("tap", "channel", [" "] * SIZES["channel"]),
            rf"tap is missing or no name in {SIZES['channel']} places",
        ),
        (
            of_axis("image", "image", ["", *"bcdefghij"[: SIZES["image"] - 1]]),
            r"image is missing or no name in 1 places",
        ),
        (of_axis("unit", "channel", [-1.0] * SIZES["channel"]), r"unit is no list of whole numbers"),
        (of_axis("unit", "channel", [0.5] * SIZES["channel"]), r"unit is no list of whole numbers"),
        (of_axis("unit", "channel", [0] * SIZES["channel"]), r"unit 0 of tap '.*' occurs more than once"),
        (of_axis("sigma", "sigma", [0.1] * SIZES["sigma"]), r"sigma holds a noise level twice"),
        (of_axis("sigma", "sigma", [-0.1] * SIZES["sigma"]), r"sigma holds \[-0.1"),
    ],
)
def test_numbers_and_coordinates_that_are_not_what_they_say_are_refused(data: xr.Dataset, message: str) -> None:
    with pytest.raises(InputError, match=message):
        labels.check(data, "phi")


def test_of_values_that_need_not_be_finite_those_that_are_count() -> None:
    data = scaled(1e200)
    data["phi"][0] = np.nan
    with pytest.raises(InputError, match="at most, the square of which"):
        labels.check(data, "phi", finite=False)
    data["phi"][:] = np.nan
    labels.check(data, "phi", finite=False)


def test_values_that_need_not_be_finite_are_not_looked_at() -> None:
    labels.check(holding(np.nan), "phi", finite=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_advice_for_values_that_are_not_finite_mends_them(bad: float) -> None:
    data = holding(bad)
    mended = advised(data, "phi")
    labels.check(mended, "phi")
    assert mended["image"].values.tolist() == ["file0"]
    data["rest"][{"channel": 0}] = bad
    mended = advised(data, "rest")
    labels.check(mended, "rest")
    assert mended.sizes["channel"] == data.sizes["channel"] - 1


def advised(data: xr.Dataset, name: str) -> xr.Dataset:
    """What the error says to do."""
    with pytest.raises(InputError, match=r"e\.g\. data\.isel") as refused:
        labels.check(data, name)
    return eval(str(refused.value).split("e.g. ")[1], {"np": np, "data": data})


@pytest.mark.parametrize("dim", ["image", "sigma", "channel"])
def test_the_advice_for_a_missing_dim_names_the_dim_that_is_missing(dim: str) -> None:
    with pytest.raises(InputError, match=rf"\.isel\({dim}=\[0\]\)"):
        labels.check(dataset().isel({dim: 0}), "phi")


@pytest.mark.parametrize("value", [None, float("nan"), ""])
def test_an_image_without_a_class_is_refused_also_as_a_file_gives_it_back(value: Any, tmp_path: Path) -> None:
    data = dataset(3, labels=None).assign_coords(label=("image", np.array(["x", value, "y"], dtype=object)))
    data.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    for one in (data, xr.load_dataset(tmp_path / "phi.nc", engine="h5netcdf")):
        with pytest.raises(InputError, match="label is missing for 1 images of the data"):
            labels.classes(one, "label")


def test_classes_are_strings_whatever_they_were() -> None:
    data = dataset(3, labels=None).assign_coords(kind=("image", [7, 8, 7]), side=("image", [True, False, True]))
    assert labels.classes(data, "kind").tolist() == ["7", "8", "7"]
    assert labels.classes(data, "side").tolist() == ["True", "False", "True"]


@pytest.mark.parametrize(
    ("name", "least", "message"),
    [
        ("word", 2, r"label='word' is no coordinate along image of the data, which has image, .*assign_coords\(word="),
        ("tap", 2, "label='tap' is no coordinate along image"),
        (["kind"], 2, r"label=\['kind'\]: give the name of a coordinate along image of the data, which has image, "),
        (np.arange(3), 2, r"label.*: give the name of .*; of values make one with assign_coords\(label="),
        ("kind", 3, "there are 2 different classes, and 3 at least are needed"),
        ("same", 2, "all images are of class '1', and 2 at least are needed"),
    ],
)
def test_what_sorts_no_images_into_classes_is_refused(name: Any, least: int, message: str) -> None:
    data = dataset(3, labels=None).assign_coords(kind=("image", [7, 8, 7]), same=("image", [1, 1, 1]))
    with pytest.raises(InputError, match=message):
        labels.classes(data, name, least=least)


def test_ids_that_read_alike_are_refused() -> None:
    data = dataset(2).assign_coords(image=np.array([1, "1"], dtype=object))
    with pytest.raises(InputError, match="ids of the sketches occur more than once, such as 1: give each image once"):
        labels.check_ids(data, of="the sketches")
    labels.check_ids(dataset(2))
