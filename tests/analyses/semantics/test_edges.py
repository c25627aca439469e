"""What semantics accepts, refuses, and gives at its extremes; its figure and its command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

from analyses import semantics
from probekit import labels
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces

N = 30
FAST = {"permutations": 99, "statistics": ["pearson", "distance_correlation"]}


def dataset(
    images: int = N, sigma: tuple[float, ...] = (0.1, 0.3), draws: int = 0, taps: tuple[str, ...] = ("enc1", "mid")
) -> xr.Dataset:
    rng = np.random.default_rng(0)
    own = rng.gamma(0.6, size=(images, 1, 1, 4 * len(taps)))
    phi_draws = own + 0.1 * rng.normal(size=(images, len(sigma), max(draws, 1), 4 * len(taps)))
    made = {"phi": phi_draws.mean(axis=2)} | ({"phi_draws": phi_draws} if draws else {})
    return labels.representation(
        made,
        ids=[f"{i}.png" for i in range(images)],
        labels=[f"class {i % 5}" for i in range(images)],
        sigma=sigma,
        channels=dict.fromkeys(taps, 4),
        attrs={"denoiser": "none"},
    )


def descriptor(data: xr.Dataset, seed: int = 1) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(data.sizes["image"], 3))
    return xr.DataArray(values, dims=("image", "feature"), coords={"image": data.image.values})


def table(names: list[str]) -> pd.DataFrame:
    place = np.arange(len(names), dtype=float)
    return pd.DataFrame(np.abs(place[:, None] - place), index=names, columns=names)


CLASSES = [f"class {k}" for k in range(5)]


def test_all_parts_come_together_with_labels_that_files_keep(tmp_path: Path) -> None:
    data = dataset(draws=2)
    before = data.copy(deep=True)
    found = semantics.analyse(
        data,
        classes=table(CLASSES),
        others={"gist": descriptor(data), "colour": descriptor(data, 2)},
        controls={"pixels": descriptor(data, 3)},
        k=3,
        resamples=100,
        **FAST,
    )
    xr.testing.assert_identical(data, before)
    assert found.other.values.tolist() == ["label", "classes", "gist", "colour"]
    assert found.given.values.tolist() == ["nothing", "gist", "colour", "gist+colour"]
    assert found.correlation.dims == ("sigma", "block", "distance", "statistic", "other", "given")
    assert found.noise.values.tolist() == ["shared", "independent"]
    assert {"top1", "precision", "correlation", "difference", "control_correlation"} <= set(found.data_vars)
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    again = xr.load_dataset(tmp_path / "found.nc", engine="h5netcdf")
    xr.testing.assert_equal(again, found)
    assert isinstance(semantics.plot(again), Figure)


def test_what_is_held_fixed_has_no_correlation_of_its_own() -> None:
    data = dataset()
    found = semantics.correlate(data, {"label": "label", "gist": descriptor(data)}, given=["gist"], **FAST)
    assert found.correlation.sel(other="gist", given="gist").isnull().all()
    assert found.p_permutation.sel(other="gist", given="gist").isnull().all()
    assert found.correlation.sel(other="label", given="gist").notnull().all()


def test_nothing_remains_of_phi_given_its_own_distances() -> None:
    data = dataset(sigma=(0.1,), taps=("mid",))
    found = semantics.correlate(
        data, {"label": "label", "phi": data}, given=["phi"], distances=["euclidean"], **FAST
    ).squeeze()
    assert found.correlation.sel(other="label", given="phi").isnull().all()
    assert found.p_permutation.sel(other="label", given="phi").isnull().all()
    np.testing.assert_allclose(found.correlation.sel(other="phi", given="nothing"), 1, atol=1e-6)


def test_the_same_distances_can_be_given_in_each_form() -> None:
    data = dataset()
    gist = descriptor(data)
    d = np.linalg.norm(gist.values[:, None] - gist.values, axis=2)
    shuffled = np.random.default_rng(3).permutation(N)
    matrix = xr.DataArray(
        d, dims=("image", "other_image"), coords={"image": gist.image, "other_image": gist.image.values}
    )
    place = {name: i for i, name in enumerate(data.image.values)}
    others = {
        "features": gist,
        "shuffled": gist[shuffled],
        "image shaped": gist.values.reshape(N, 3, 1) * xr.ones_like(gist.expand_dims("row", 2)),
        "distances": matrix[shuffled, shuffled[::-1]],
        "by place": xr.DataArray(d, dims=("image", "other_image")),
        "function": lambda ids: d[np.ix_([place[i] for i in ids], [place[i] for i in ids])],
    }
    found = semantics.correlate(data, others, max_images=25, permutations=0)
    for name in others:
        np.testing.assert_allclose(
            found.correlation.sel(other=name), found.correlation.sel(other="features"), atol=1e-5
        )
    assert (found.attrs["images"], found.attrs["images_given"]) == (25, N)


def test_a_table_between_classes_grades_what_the_label_only_tells_apart() -> None:
    data = dataset()
    flat = pd.DataFrame(1 - np.eye(5), index=CLASSES, columns=CLASSES)
    others = {"label": "label", "flat": flat, "graded": table(CLASSES[::-1])}
    found = semantics.correlate(data, others, permutations=0).correlation.squeeze()
    xr.testing.assert_allclose(found.sel(other="label"), found.sel(other="flat").assign_coords(other="label"))
    assert float(abs(found.sel(other="graded") - found.sel(other="label")).max()) > 1e-3


def test_with_images_searched_in_groups_all_groups_count_and_the_rest_is_left_out() -> None:
    found = semantics.stability(dataset(images=32), among=10, resamples=100)
    assert (found.attrs["among"], found.attrs["queries"]) == (10, 30)
    assert found.top1_chance.item() == pytest.approx(0.1)
    assert ((found.top1_low <= found.top1) & (found.top1 <= found.top1_high)).all()


def test_independent_noise_makes_even_the_reference_level_a_task() -> None:
    rng = np.random.default_rng(4)
    data = dataset(draws=2).copy(deep=True)
    data["phi_draws"][:] = rng.normal(size=data.phi_draws.shape)
    data["phi"][:] = data.phi_draws.mean("draw")
    found = semantics.stability(data, resamples=100).sel(sigma=0.1)
    assert (found.top1.sel(noise="shared") == 1).all()
    # Draws of pure noise: binomial of 60 searches at 1/30, of which 12 or more has probability below 1e-5.
    assert (found.top1.sel(noise="independent") < 12 / 60).all()


def test_constant_phi_gives_nan_and_says_so() -> None:
    data = dataset().copy(deep=True)
    data["phi"][{"sigma": 1, "channel": slice(0, 4)}] = 2.0
    with pytest.warns(RuntimeWarning, match=r"σ = 0\.3, block enc1 φ is the same for all images"):
        found = semantics.neighbours(data, resamples=100)
    bad = found.sel(sigma=0.3, block="enc1")
    assert bad.precision.isnull().all()
    assert (bad.neighbor_index == -1).all()
    assert found.precision.sel(block="mid").notnull().all()
    with pytest.warns(RuntimeWarning, match="findings there are NaN"):
        found = semantics.correlate(data, {"label": "label"}, **FAST)
    assert found.correlation.sel(sigma=0.3, block="enc1").isnull().all()
    assert found.p_permutation.sel(sigma=0.3, block="enc1").isnull().all()
    assert found.p_jackknife.sel(sigma=0.3, block="enc1").isnull().all()


@pytest.mark.parametrize("grouped", [False, True])
def test_the_only_image_or_group_of_a_class_leaves_no_interval_and_is_named(grouped: bool) -> None:
    data = dataset().assign_coords(group=("image", [f"photo {i // 2:02}" for i in range(N)]))
    alone = [14, 15] if grouped else [14]
    data["label"] = ("image", ["odd" if i in alone else "even" for i in range(N)])
    options = {"clusters": "group"} if grouped else {}
    who = "group photo 07" if grouped else r"image 14\.png"
    with pytest.warns(RuntimeWarning, match=rf"without {who} the correlation with label, given nothing, is undefined"):
        found = semantics.correlate(
            data, {"label": "label"}, **FAST | {"statistics": ["pearson", "spearman"]}, **options
        )
    assert found.correlation.notnull().all()
    assert found.p_permutation.notnull().all()
    for name in ("correlation_low", "correlation_high", "p_jackknife"):
        assert found[name].isnull().all()


def test_images_without_activity_have_no_cosine() -> None:
    data = dataset().copy(deep=True)
    data["phi"][{"sigma": 0, "image": [3, 4]}] = 0.0
    with pytest.warns(RuntimeWarning, match="cosine distance is undefined for 2 images"):
        found = semantics.neighbours(data, resamples=100)
    assert found.precision.sel(distance="cosine", sigma=0.1).isnull().all()
    assert found.precision.sel(distance="euclidean").notnull().all()
    with pytest.warns(RuntimeWarning, match="cosine distance is undefined"):
        stable = semantics.stability(data, resamples=100)
    assert stable.top1.sel(distance="cosine", noise="shared").isnull().all()


def test_image_by_image_only_what_is_asked_for_is_found() -> None:
    data = dataset(draws=2)
    assert set(semantics.per_image(data, reference=None, k=3).data_vars) == {
        "neighbor_index",
        "neighbor_distance",
        "precision",
        "precision_chance",
    }
    searched = semantics.per_image(data, k=None, distances="euclidean")
    assert "neighbor_index" not in searched
    assert searched.top1.dims == ("image", "noise", "sigma", "block", "distance")
    assert (searched.attrs["among"], searched.attrs["queries"], searched.attrs["analysis_seed"]) == (N, N, 0)
    assert isinstance(searched.attrs["among"], int)


def test_without_labels_neighbours_are_found_and_correlations_left_out() -> None:
    data = dataset().drop_vars("label")
    found = semantics.analyse(data, resamples=100)
    assert "precision" not in found
    assert "correlation" not in found
    assert isinstance(semantics.plot(found), Figure)


def test_phi_that_is_not_finite_is_refused() -> None:
    data = dataset().copy(deep=True)
    data["phi"][0, 0, 0] = np.nan
    for verb in (semantics.stability, semantics.neighbours, semantics.analyse):
        with pytest.raises(InputError, match="NaN"):
            verb(data)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"wnid": ["a"]}, "not one 'hypernym_wnids'"),
        ({"wnid": ["a", "a"], "hypernym_wnids": ["r", "r"]}, "'a' has several rows"),
        ({"wnid": ["a", "b"], "hypernym_wnids": ["r", "s"]}, "'a' and 'b' share no hypernym"),
    ],
)
def test_tables_of_classes_that_make_no_tree_are_refused(rows: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        semantics.class_distances(pd.DataFrame(rows))


def test_a_file_of_classes_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        semantics.class_distances(tmp_path / "none.csv")


def test_the_command_line_writes_findings_and_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = dataset()
    data.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    xr.Dataset({"gist": descriptor(data)}).to_netcdf(tmp_path / "others.nc", engine="h5netcdf")
    rows = [f"{name},root > group {k % 2} > {name}" for k, name in enumerate(CLASSES)]
    (tmp_path / "classes.csv").write_text("\n".join(["wnid,hypernym_wnids", *rows]))
    arguments = [str(tmp_path / "phi.nc"), "-o", str(tmp_path / "out"), "--classes", str(tmp_path / "classes.csv")]
    arguments += ["--others", str(tmp_path / "others.nc"), "--controls", str(tmp_path / "others.nc")]
    few = ["--permutations", "99", "--resamples", "100", "--k", "3", "--distances", "euclidean,cosine"]
    assert semantics.main([*arguments, *few]) == 0
    found = xr.load_dataset(tmp_path / "out" / "semantics.nc", engine="h5netcdf")
    assert found.other.values.tolist() == ["label", "classes", "gist"]
    assert found.control.values.tolist() == ["gist"]
    assert found.distance.values.tolist() == ["euclidean", "cosine"]
    assert found.attrs["analysis_seed"] == 0
    assert (tmp_path / "out" / "semantics.png").exists()
    capsys.readouterr()
    assert semantics.main([*arguments, "--k", "40"]) == 1
    assert "k=40" in capsys.readouterr().err


def test_an_option_of_no_part_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="no option 'neighbors'"):
        semantics.analyse(dataset(), neighbors=3)  # type: ignore[arg-type]


def test_seeds_repeat_results_and_change_what_is_random() -> None:
    data = dataset()
    one, same, other = (
        semantics.correlate(data, {"gist": descriptor(data)}, seed=seed, max_images=25, **FAST) for seed in (1, 1, 2)
    )
    xr.testing.assert_identical(one, same)
    assert not one.correlation.equals(other.correlation)


@pytest.mark.parametrize("name", ["precision", "precision_low", "top1", "correlation", "distance"])
def test_a_coordinate_named_like_a_finding_is_left_out_with_a_warning(name: str) -> None:
    data = dataset(images=32)
    named = data.assign_coords({name: ("image", np.arange(32))})
    with pytest.warns(UserWarning, match=f"coordinates {name} of the data are left out"):
        found = semantics.analyse(named, permutations=0, resamples=100)
    xr.testing.assert_identical(found, semantics.analyse(data, permutations=0, resamples=100))


@pytest.mark.parametrize("name", ["group", "rank", "top1"])
def test_what_data_call_their_groups_does_not_change_stability(name: str) -> None:
    data = dataset(images=32)
    named = data.assign_coords({name: ("image", np.arange(32))})
    found = semantics.stability(named, resamples=100)
    xr.testing.assert_identical(found, semantics.stability(data, resamples=100))
    if name == "group":
        with pytest.warns(UserWarning, match="coordinates group of the data are left out"):
            semantics.per_image(named, reference=0.1)


def test_a_number_of_neighbours_in_an_array_of_no_dims_is_one() -> None:
    data = union_of_subspaces(40, n_channels=20, n_subspaces=2).data
    three = semantics.per_image(data, reference=None, k=3)
    xr.testing.assert_identical(semantics.per_image(data, reference=None, k=np.array(3)), three)  # type: ignore[arg-type]
    assert three.attrs["k"] == 3
