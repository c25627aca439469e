"""What densities accepts, refuses and writes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from analyses import densities
from probekit.errors import InputError

QUICK = {"resamples": 100, "permutations": 100, "least_pairs": 45}
FAST = "gaussian_wasserstein"


def data(conditions: int = 10, n: int = 6) -> xr.Dataset:
    rng = np.random.default_rng(0)
    place = rng.normal(size=(conditions, 1, 1, 2, 2))
    return xr.Dataset(
        {
            "samples": (
                ("image", "sample", "band", "row", "col"),
                place + rng.normal(size=(conditions, n, 1, 2, 2)),
            ),
            "phi": (("image", "channel"), place.reshape(conditions, 4)),
            "condition": (("image", "band", "row", "col"), rng.normal(size=(conditions, 1, 2, 2))),
        },
        coords={"image": [f"image {i}" for i in range(conditions)]},
        attrs={"denoiser": "none"},
    )


def over_pairs(found: xr.Dataset) -> xr.DataArray:
    return densities.over_pairs(found.samples, measure=FAST)


def test_the_input_is_left_as_it_was_and_the_findings_say_how_they_were_made() -> None:
    given = data()
    before = given.copy(deep=True)
    found = densities.analyse(given, measure=FAST, **QUICK)
    xr.testing.assert_identical(given, before)
    assert found.sizes == {"feature": 2, "pair": 45}
    assert found.attrs["denoiser"] == "none"
    assert (found.attrs["measure"], found.attrs["conditions"], found.attrs["samples"]) == (FAST, 10, 6)
    assert found.attrs["analysis_seed"] == 0


def test_some_pairs_are_drawn_where_a_number_is_given() -> None:
    found = densities.over_pairs(data().samples, measure=FAST, n_pairs=7, seed=1)
    assert found.sizes["pair"] == 7
    whole = over_pairs(data())
    at = [
        int(np.flatnonzero((whole["first"] == a).values & (whole["second"] == b).values)[0])
        for a, b in zip(found["first"].values, found["second"].values, strict=True)
    ]
    np.testing.assert_allclose(found, whole[at])


def test_the_numbers_of_samples_of_two_laws_may_differ() -> None:
    samples = data().samples
    found = densities.distance(samples[0], samples[1, :5], measure="energy")
    assert found.dims == ()
    assert (found.attrs["measure"], found.attrs["units"]) == ("energy", "intensity")


def test_a_missing_library_is_named_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(InputError, match=r"not installed: pip install 'probekit-denoisers\[analyses\]'"):
        densities.distance(data().samples[0], data().samples[1], measure="sliced_wasserstein")


@pytest.mark.parametrize(("name", "said"), [("phi", "phi"), ("condition", "pixels"), ("samples", "density")])
def test_distances_that_are_all_the_same_are_warned_of_and_have_no_correlation(name: str, said: str) -> None:
    given = data()
    with pytest.warns(UserWarning, match=f"equally far apart in {said}"):
        found = densities.analyse(given.assign({name: given[name] * 0}), measure=FAST, **QUICK)
    unknown = {"phi": ["phi"], "condition": ["pixels"], "samples": ["phi", "pixels"]}[name]
    for variable in ("correlation", "correlation_low", "p"):
        assert found[variable].sel(feature=unknown).isnull().all()
    assert found.p.notnull().sum() == 2 - len(unknown)


@pytest.mark.parametrize("pixels", [True, False])
def test_the_figure_has_a_panel_for_each_feature(pixels: bool) -> None:
    given = data() if pixels else data().drop_vars("condition")
    figure = densities.plot(densities.analyse(given, measure=FAST, **QUICK))
    assert isinstance(figure, Figure)
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "distance in φ (activation)",
        "distance in pixels (intensity)",
    ][: 1 + pixels]


def test_the_command_writes_findings_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data().to_netcdf(tmp_path / "samples.nc", engine="h5netcdf")
    out = tmp_path / "out"
    given = [str(tmp_path / "samples.nc"), "-o", str(out), "--measure", FAST, "--permutations", "100"]
    assert densities.main([*given, "--resamples", "100", "--least-pairs", "45"]) == 0
    written = xr.load_dataset(out / "densities.nc", engine="h5netcdf")
    assert written.attrs["analysis"] == "densities"
    assert (out / "densities.png").stat().st_size > 0
    assert densities.main(given) == 1
    assert "45 pairs" in capsys.readouterr().err
