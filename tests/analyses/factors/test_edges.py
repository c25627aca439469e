"""What factors refuse, their figure, and the command."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import probekit
from analyses import factors
from analyses.report.shell import main as program
from probekit.errors import InputError
from tests.analyses.factors.making import noise, planted, repeated

ASPECTS = repeated(40)
DATA = planted(noise(0, 40, 1, 6), ASPECTS, taps={"enc1": 3, "mid": 3})


def analysed(data: xr.Dataset = DATA, **options) -> xr.Dataset:
    return factors.analyse(data, **{"resamples": 100, **options})


BAD = [
    ({"factor": "kind"}, "factor='kind' is no coordinate along image|kind='kind'"),
    ({"factor": 3}, "factor=3: give the name of a coordinate along image"),
    ({"scale": "octaves"}, "scale='octaves': give one of log, linear"),
    ({"mirror": 3}, "mirror=3: no value of label is the mirror image of another; leave it out"),
    ({"mirror": 0}, "mirror=0: give a value of the factor about which others are mirror images, > 0"),
    ({"mirror": "1"}, "mirror='1': give a value"),
    ({"mirror": 1, "bins": 2}, "mirror and bins are given"),
    ({"bins": 1}, "bins=1: give a whole number ≥ 2"),
    ({"bins": 21}, "bins=21: give at most 20, so that each holds two images"),
    ({"folds": 1}, "folds=1: give a whole number ≥ 2"),
    ({"folds": 41}, "folds=41: give at most as many as images, 40"),
    ({"resamples": 99}, "resamples=99: give a whole number ≥ 100"),
    ({"level": 1}, "level=1: give the interval's coverage"),
    ({"seed": -1}, "seed=-1: give a whole number"),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=lambda value: str(value)[:40])
def test_options_out_of_range_are_refused_in_words(options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        analysed(**options)


def test_values_that_are_no_numbers_single_or_too_many_are_refused_in_words() -> None:
    named = DATA.assign_coords(label=("image", np.resize(["disc", "1"], 40).astype(object)))
    with pytest.raises(InputError, match="label of image 00000 is 'disc': give finite numbers"):
        analysed(named)
    with pytest.raises(InputError, match="label of image 00000 is 'inf'"):
        analysed(named.assign_coords(label=("image", np.resize(["inf", "1"], 40).astype(object))))
    with pytest.raises(InputError, match='aspect is -1: give positive values, or scale="linear"'):
        analysed(DATA.assign_coords(aspect=("image", np.resize([-1.0, 1.0], 40))), factor="aspect")
    with pytest.raises(InputError, match="aspect is 9 of one image only: give two images of each value at least"):
        analysed(DATA.assign_coords(aspect=("image", [9.0, *ASPECTS[1:]])), factor="aspect")
    with pytest.raises(InputError, match=r"label.*all images are of class"):
        analysed(DATA.assign_coords(label=("image", ["2"] * 40)))
    many = planted(noise(1, 402, 1, 2), np.repeat(np.arange(1, 202), 2))
    with pytest.raises(InputError, match="aspect has 201 values, and 200 at most are compared: give bins="):
        analysed(many, factor="aspect")
    with pytest.raises(InputError, match="bins=3: the values of aspect do not sort into groups of two images"):
        analysed(DATA.assign_coords(aspect=("image", [1.0, *[2.0] * 39])), factor="aspect", bins=3)
    with pytest.raises(InputError, match="the data is a int"):
        analysed(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="occur more than once"):
        analysed(DATA.isel(image=[0, *range(40)]))


def test_a_comparison_of_what_was_not_asked_alike_is_refused_in_words() -> None:
    found = analysed(mirror=1)
    for other, said in (
        (analysed(), "the two differ in mirror"),
        (analysed(scale="linear"), "the two differ in scale, mirror"),
        (analysed(DATA.isel(image=slice(20)), mirror=1), "the two are of different images"),
        (
            analysed(DATA.assign_coords(label=DATA.label[::-1].variable), mirror=1),
            "the two differ in values of the factor",
        ),
        (DATA, "second: the findings lack"),
        (found.isel(sigma=0), "second: the findings have no dim sigma"),
        (found.assign_coords(value=found.value.astype(str)), "second: value is of type <U.*: give real numbers"),
        (found.assign(group=found.group + 9), "second counts images to values that it does not have"),
    ):
        with pytest.raises(InputError, match=said):
            factors.compare(found, other)
    two = analysed(planted(noise(2, 40, 2, 3), ASPECTS, sigma=[0.1, 0.2]), mirror=1)
    three = two.assign_coords(sigma=[0.1, 0.3])
    with pytest.raises(InputError, match="noise levels"):
        factors.compare(two, three)


def test_controls_of_other_images_or_of_data_that_says_not_how_it_was_measured_are_refused() -> None:
    images = np.zeros((3, 3, 16, 16), np.float32)
    with pytest.raises(InputError, match="images lack 40 of those of the data, such as 00000: give the same images"):
        factors.controls("photo32", DATA, images)
    bare = DATA.copy()
    bare.attrs = {}
    with pytest.raises(InputError, match="the data lost their attributes draws, reduce"):
        factors.controls("photo32", bare, images)
    with pytest.raises(InputError, match="denoiser=3"):
        factors.controls(3, DATA, images)


def test_the_figure_has_a_row_for_each_network_and_a_matrix_for_each_block() -> None:
    found = analysed(mirror=1)
    other = analysed(planted(noise(3, 40, 4), ASPECTS), mirror=1)
    figure = factors.plot(found, {"pixels": other})
    titles = [axis.get_title() for axis in figure.axes if axis.images]
    assert titles == ["enc1", "mid", "mid"]
    shown = [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]
    np.testing.assert_allclose(shown[0], found["centred_correlation"][0, 0])
    np.testing.assert_allclose(shown[2], other["centred_correlation"][0, 0])
    # Of one block, networks stand side by side, each under its name.
    beside = factors.plot(other, {"pixels": other, "gist": other})
    beside.draw_without_rendering()
    of_matrices = [axis for axis in beside.axes if axis.images]
    assert [axis.get_ylabel() for axis in of_matrices] == ["trained", "pixels", "gist"]
    left = [axis.get_position().x0 for axis in of_matrices]
    assert left == sorted(set(left))
    plain = factors.plot(found, matrix="correlation", sigma=0.1)
    np.testing.assert_allclose(np.asarray(plain.axes[0].images[0].get_array()), found["correlation"][0, 0])
    odd: list[tuple[dict[str, Any], str]] = [
        ({"sigma": 0.2}, "sigma=0.2: give one of the noise levels 0.1"),
        ({"matrix": "covariance"}, "matrix='covariance': give one of"),
        ({"others": 3}, "others=3: give findings of controls by name"),
        ({"others": {"a": DATA}}, "the findings lack"),
    ]
    for options, said in odd:
        with pytest.raises(InputError, match=said):
            factors.plot(found, **options)


def test_the_command_writes_findings_figure_and_differences_to_the_controls(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    store, out = tmp_path / "phi.nc", tmp_path / "out"
    asked = ["ovals:20:3", "--size", "16", "--draws", "1", "--sigma", "0.1", "--tap", "mid", "--quiet"]
    assert program(["phi", "photo32", *asked, "-o", str(store)]) == 0
    words = [str(store), "--mirror", "1", "--resamples", "100", "-o", str(out)]
    assert factors.main(words) == 0
    assert {p.name for p in out.iterdir()} == {"factors.nc", "factors.png"}
    more = ["--same-images", "ovals:20:3", "--size", "16", "--quiet"]
    assert program(["analyse", "factors", *words, *more]) == 0
    named = {f"less-{name}.nc" for name in ("untrained", "untrained-paper-gains", "pixels", "gist")}
    assert {p.name for p in out.iterdir()} == {"factors.nc", "factors.png", *named}
    found = xr.load_dataset(out / "less-gist.nc", engine="h5netcdf")
    assert found["r2"].dims == ("sigma", "block", "other_block")
    written = xr.load_dataset(out / "factors.nc", engine="h5netcdf")
    expected = factors.analyse(probekit.open(store).load(), mirror=1, resamples=100)
    np.testing.assert_allclose(written["r2"], expected["r2"])
    capsys.readouterr()
    assert factors.main([str(store), "--factor", "kind", "-o", str(out)]) == 1
    assert "is no coordinate along image" in capsys.readouterr().err
    assert factors.main([str(store), "--same-images", "ovals:4:3", "--size", "16", "-o", str(out), "--quiet"]) == 1
    assert "images lack 16 of those of the data" in capsys.readouterr().err
