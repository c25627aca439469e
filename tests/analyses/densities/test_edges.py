"""What densities accepts, refuses and writes."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
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
    assert found.attrs["measure"] == "energy"


def changed(value: float) -> xr.DataArray:
    samples = data().samples.copy(deep=True)
    samples[1, 0] = value
    return samples


@pytest.mark.parametrize(
    ("a", "b", "options", "words"),
    [
        (data().samples[0, :3], data().samples[1], {}, "samples_a: 3 samples of a law: give at least 4"),
        (data().samples[0], data().samples[1, :, :, :1], {}, "give samples of images of one size"),
        (data().samples[0], changed(np.nan)[1], {}, "samples_b: NaN or infinite values"),
        (data().samples[0].values, data().samples[1], {}, "samples_a: got ndarray.*dim sample"),
        (data().samples[0], data().samples[1], {"measure": "kl"}, "measure='kl': give one of energy"),
        (data().samples[0], data().samples[1], {"projections": 0}, "projections=0: give a whole number"),
        (data().samples[0], data().samples[1], {"measure": []}, r"measure=\[\]: give one of energy"),
        (data().samples[0].astype(str), data().samples[1], {}, "samples_a: .* of type <U.*give real numbers"),
        (data().samples[0], data().samples[1].astype(complex), {}, "samples_b: .* of type complex128"),
        (data().samples[0, :, :, :0], data().samples[1, :, :, :0], {}, "samples_a: 0 values"),
    ],
    ids=["few", "sizes", "NaN", "array", "measure", "projections", "no measure", "text", "complex", "empty"],
)
def test_samples_and_measures_that_cannot_be_used_are_refused(a: Any, b: Any, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        densities.distance(a, b, **options)


@pytest.mark.parametrize(("measure", "library"), [("energy", "dcor"), ("sliced_wasserstein", "ot")])
def test_a_missing_library_is_named_with_the_extra_that_has_it(
    measure: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=r"not installed: pip install 'probekit\[analyses\]'"):
        densities.distance(data().samples[0], data().samples[1], measure=measure)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (data().samples[0], "give dim image with two conditions"),
        (data().samples.assign_coords(image=["one"] * 10), "two images have one id"),
    ],
    ids=["no image", "one id"],
)
def test_conditions_that_cannot_be_paired_are_refused(given: xr.DataArray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        densities.over_pairs(given, measure=FAST)
    with pytest.raises(InputError, match="n_pairs=0"):
        densities.over_pairs(data().samples, measure=FAST, n_pairs=0)
    with pytest.raises(InputError, match="the samples are a ndarray"):
        densities.over_pairs(data().samples.values, measure=FAST)  # pyright: ignore[reportArgumentType]


def itself() -> xr.DataArray:
    found = over_pairs(data())
    return found.assign_coords(second=("pair", np.where(np.arange(45) == 0, found["first"], found["second"])))


@pytest.mark.parametrize(
    ("density", "phi", "options", "words"),
    [
        (over_pairs(data()), data().phi, {"least_pairs": 200}, r"45 pairs of 10 conditions: give at least 200 pairs"),
        (over_pairs(data(7)), data().phi, {"least_pairs": 5}, "at least 8 conditions"),
        (over_pairs(data()), data().phi[1:], {}, "phi has no image 'image 0'"),
        (over_pairs(data()), data().phi * np.nan, {}, "phi holds NaN"),
        (over_pairs(data()), data().phi[:, 0], {}, "phi: got .*dim image and others"),
        (over_pairs(data()) * np.inf, data().phi, {}, "density holds NaN or infinite"),
        (over_pairs(data()).drop_vars("first"), data().phi, {}, "lacks the coordinates first"),
        (data().phi, data().phi, {}, "give a DataArray over pair"),
        (itself(), data().phi, {}, "paired with itself"),
        (over_pairs(data()), data().phi, {"permutations": 10}, "permutations=10: give a whole number ≥ 100"),
        (over_pairs(data()), data().phi, {"resamples": 10}, "resamples=10"),
        (over_pairs(data()), data().phi, {"least_pairs": "a"}, "least_pairs='a'"),
        (over_pairs(data()), data().phi, {"least_pairs": 0}, "least_pairs=0"),
        (over_pairs(data()), data().phi, {"level": 95}, "level=95"),
    ],
)
def test_pairs_and_features_that_cannot_be_correlated_are_refused(
    density: Any, phi: Any, options: dict, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        densities.correlate(density, phi, **{**QUICK, **options})


@pytest.mark.parametrize(("name", "said"), [("phi", "phi"), ("condition", "pixels"), ("samples", "density")])
def test_distances_that_are_all_the_same_are_warned_of_and_have_no_correlation(name: str, said: str) -> None:
    given = data()
    with pytest.warns(UserWarning, match=f"equally far apart in {said}"):
        found = densities.analyse(given.assign({name: given[name] * 0}), measure=FAST, **QUICK)
    lost = {"phi": ["phi"], "condition": ["pixels"], "samples": ["phi", "pixels"]}[name]
    for variable in ("correlation", "correlation_low", "p"):
        assert found[variable].sel(feature=lost).isnull().all()
    assert found.p.notnull().sum() == 2 - len(lost)


def test_other_findings_are_not_drawn() -> None:
    for given in (None, data()):
        with pytest.raises(InputError, match=r"give what densities\.analyse returns"):
            densities.plot(given)  # pyright: ignore[reportArgumentType]


def test_a_dataset_without_samples_is_refused() -> None:
    with pytest.raises(InputError, match="no samples"):
        densities.analyse(data().drop_vars("samples"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"samples_a": torch.zeros(3, 2)}, r"samples_a is \(3, 2\): give a tensor"),
        ({"samples_a": torch.full((5, 2), torch.nan)}, "samples_a holds NaN"),
        ({"sigma": [0.1, 0.2]}, "give at least 3 different finite noise levels > 0"),
        ({"sigma": [0, 0.1, 0.2]}, "give at least 3 different finite noise levels > 0"),
        ({"sigma": [0.1, 0.1, 0.2]}, "give at least 3 different finite noise levels > 0"),
        ({"draws": 0}, "draws=0"),
        ({"denoise_b": lambda y, sigma: y[:1] * sigma}, r"a denoiser made \(1, 2\) of images \(5, 2\)"),
    ],
)
def test_what_cannot_be_integrated_along_noise_is_refused(given: dict, words: str) -> None:
    def denoise(y: torch.Tensor, sigma: float) -> torch.Tensor:
        return y / (1 + sigma**2)

    options = {"denoise_a": denoise, "denoise_b": denoise, "samples_a": torch.ones(5, 2), "sigma": [0.1, 0.2, 0.3]}
    with pytest.raises(InputError, match=words):
        densities.along_noise(**{**options, **given})


@pytest.mark.parametrize("pixels", [True, False])
def test_the_figure_has_a_panel_for_each_feature(pixels: bool) -> None:
    given = data() if pixels else data().drop_vars("condition")
    figure = densities.plot(densities.analyse(given, measure=FAST, **QUICK))
    assert isinstance(figure, Figure)
    assert [axis.get_xlabel() for axis in figure.axes] == ["distance in φ", "distance in pixels"][: 1 + pixels]


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
