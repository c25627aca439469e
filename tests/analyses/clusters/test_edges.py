"""What clusters accept and refuse, their labels, figures and command line."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import probekit
from analyses import clusters
from probekit import labels


def dataset(images: int = 60, taps: tuple[str, ...] = ("enc1", "mid")) -> xr.Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(images) % 3
    phi = rng.gamma(2, size=(images, 2, 3 * len(taps))) + 4 * np.tile(np.eye(3)[y], len(taps))[:, None]
    return labels.representation(
        {"phi": phi},
        ids=[str(i) for i in range(images)],
        labels=[f"class {k}" for k in y],
        sigma=[0.1, 0.2],
        channels=dict.fromkeys(taps, 3),
        attrs={"denoiser": "none"},
    )


DATA = dataset()


def analysed(data: xr.Dataset = DATA, **options: Any) -> xr.Dataset:
    given = {"n_clusters": 3, "splits": 2, "n_init": 2, "resamples": 100, "permutations": 99}
    return clusters.analyse(data, **{**given, **options})


def test_findings_are_labelled_and_the_input_left_as_it_was() -> None:
    before = DATA.copy(deep=True)
    found = analysed(n_clusters=(2, 3, 4))
    xr.testing.assert_identical(DATA, before)
    assert found.assignment.dims == ("image", "sigma", "block")
    assert found.strength.dims == ("number", "sigma", "block")
    assert found.number.values.tolist() == [2, 3, 4]
    assert found.centre.dims == ("sigma", "cluster", "channel")
    assert (found["size"].sum("cluster") == 60).all()
    assert (np.diff(found["size"].values, axis=-1) <= 0).all()


def test_centres_are_means_and_distances_go_to_them() -> None:
    found = analysed()
    here = (DATA.tap == "mid").values
    phi = DATA.phi.values[:, 1, here]
    own = found.assignment.sel(block="mid").values[:, 1]
    centre = found.centre.values[1][:, here]
    for k in range(3):
        np.testing.assert_allclose(centre[k], phi[own == k].mean(axis=0), rtol=1e-4)
    expected = np.linalg.norm(phi - centre[own], axis=1)
    np.testing.assert_allclose(found.centre_distance.sel(block="mid").values[:, 1], expected, rtol=1e-4)


def test_a_half_with_fewer_different_images_than_clusters_speaks_against_so_many() -> None:
    # 22 different images, of which a half of 60 misses some: with probability (21/22)³⁰ = ¼ each.
    rng = np.random.default_rng(1)
    places = rng.normal(size=(22, 1, 1)) * np.ones((1, 2, 6)) + np.arange(22)[:, None, None]
    data = DATA.assign(phi=(DATA.phi.dims, places[np.arange(60) % 22].astype(np.float32)))
    found = analysed(data, n_clusters=(2, 22), label=None)
    assert (found.strength.sel(number=22) == 0).all()
    assert (found.n_clusters == 2).all()


def test_without_classes_there_is_no_agreement() -> None:
    found = analysed(DATA.drop_vars("label"), label=None)
    assert "ami" not in found
    assert "assignment" in found


def test_figures_are_drawn_from_a_file_too(tmp_path: Path) -> None:
    found = analysed(n_clusters=None)
    found.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    again = xr.load_dataset(tmp_path / "f.nc", engine="h5netcdf")
    assert len(clusters.plot(again).axes) == 4
    assert len(clusters.plot(analysed(label=None)).axes) == 1
    embedded = clusters.embed(DATA, max_images=40, perplexity=5)
    assert embedded.sizes["image"] == 40
    assert len(clusters.plot_embedding(embedded, again).axes) == 4


def test_a_sheet_shows_the_images_nearest_to_the_centre_first() -> None:
    found = analysed()
    # Each image's intensity names it.
    shades = np.broadcast_to((np.arange(60) / 60)[:, None, None, None], (60, 1, 4, 4)).astype(np.float32)
    images = probekit.images.load(shades).subset(range(59, -1, -1))
    figure = clusters.sheet(images, found, 1, block="enc1", sigma=0.1, n=5)
    assert isinstance(figure, Figure)
    here = found.sel(block="enc1", sigma=0.1)
    members = np.flatnonzero(here.assignment == 1)
    expected = members[np.argsort(here.centre_distance.values[members])][:5]
    shown = [float(np.asarray(axis.images[0].get_array()).mean()) * 60 for axis in figure.axes if axis.images]
    np.testing.assert_allclose(shown, expected, atol=1e-3)


def test_the_command_line_writes_findings_and_a_figure(tmp_path: Path) -> None:
    DATA.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    assert clusters.main([str(tmp_path / "phi.nc"), "-o", str(tmp_path / "out"), "--n-clusters", "3"]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["clusters.nc", "clusters.png"]
    with xr.open_dataset(tmp_path / "out" / "clusters.nc", engine="h5netcdf") as found:
        assert (found.n_clusters == 3).all()
