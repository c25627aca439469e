"""Findings by specification: labels, intervals, checks and tables all come of one declaration."""

import re

import numpy as np
import pytest
import xarray as xr

from analyses.ground import Estimate, Findings, Variable
from probekit.errors import InputError

SPEC = Findings(
    "toys",
    {
        "mean": Variable(("image",), "mean of a toy", "intensity", interval="images resampled"),
        "count": Variable((), "number of toys", "toys"),
        "extra": Variable(("kind",), "what only some have", optional=True),
    },
    coords={"kind": "kind of toy"},
)
DATA = xr.Dataset(coords={"image": ["a", "b"], "sigma": [0.1]}, attrs={"denoiser": "none"})
MEAN = Estimate(np.array([1.0, 2.0]), np.array([0.5, 1.5]), np.array([1.5, 2.5]))


def labelled(**values: object) -> xr.Dataset:
    return SPEC.label({"mean": MEAN, "count": 2, **values}, DATA, coords={"kind": ["x"]}, level=0.9, clusters=None)


def test_an_estimate_becomes_a_variable_and_its_interval_with_names_and_units() -> None:
    found = labelled()
    assert found["mean_low"].values.tolist() == [0.5, 1.5]
    assert found["mean_high"].attrs == {
        "long_name": "mean: upper end of its 90 % interval, images resampled",
        "units": "intensity",
    }
    assert found["count"].attrs == {"long_name": "number of toys", "units": "toys"}
    assert found.attrs == {"denoiser": "none", "analysis": "toys", "level": 0.9}
    assert list(found.coords) == ["image", "kind"]
    assert found["kind"].attrs["long_name"] == "kind of toy"
    assert found["kind"].dtype == object


@pytest.mark.parametrize(
    "values", [{"mean": MEAN}, {"mean": MEAN, "count": 1, "other": 0}, {"mean": np.zeros(2), "count": 1}]
)
def test_what_the_specification_does_not_declare_or_lacks_is_a_fault_of_the_room(values: dict) -> None:
    with pytest.raises(ValueError, match="toys"):
        SPEC.label(values, DATA)


def test_findings_that_lack_a_variable_an_interval_a_dim_or_an_attribute_are_refused() -> None:
    found = labelled()
    SPEC.check(found)
    with pytest.raises(InputError, match=r"lack mean_low: give what toys.analyse returns"):
        SPEC.check(found.drop_vars("mean_low"))
    with pytest.raises(InputError, match=r"have no dim image.*\.isel\(image=\[0\]\)"):
        SPEC.check(found.isel(image=0))
    with pytest.raises(InputError, match="lack extra"):
        SPEC.check(found, "extra")
    with pytest.raises(InputError, match="lost their attributes level"):
        SPEC.check(found.drop_attrs(), attrs=("level",))
    with pytest.raises(InputError, match="the findings are a dict"):
        SPEC.check({})


def test_a_docstring_and_a_page_tell_every_variable_once() -> None:
    @SPEC.described
    def analyse() -> None:
        """Count toys.

        Returns
        -------
        Dataset
            {findings}
        """

    said = analyse.__doc__ or ""
    assert (
        "        `mean` (image): mean of a toy, in intensity; interval `mean_low` to `mean_high`: images resampled"
        in said
    )
    assert re.findall(r"^ {8,12}`(\w+)`", said, re.MULTILINE) == list(SPEC.variables)
    assert SPEC.rows()[1] == ("count", "–", "number of toys", "toys", "")


def test_a_docstring_without_a_place_for_the_table_is_a_fault_of_the_room() -> None:
    def analyse() -> None:
        """Count toys."""

    with pytest.raises(ValueError, match="analyse has no"):
        SPEC.described(analyse)


@pytest.mark.parametrize("name", ["mean", "mean_low", "count", "kind"])
def test_a_coordinate_named_like_something_else_in_the_findings_is_left_out_with_a_warning(name: str) -> None:
    data = DATA.assign_coords({name: ("image", [3, 4]), "breed": ("image", ["x", "y"])})
    values = {"mean": MEAN, "count": 2, "extra": [0.0]}
    with pytest.warns(
        UserWarning, match=rf"coordinates {name} of the data are left out .*data.rename\({name}="
    ) as told:
        found = SPEC.label(values, data, coords={"kind": ["x"]}, level=0.9)
    assert len(told) == 1
    expected = SPEC.label(values, data.drop_vars(name), coords={"kind": ["x"]}, level=0.9)
    xr.testing.assert_identical(found, expected)
    assert found["breed"].values.tolist() == ["x", "y"]


def test_a_coordinate_named_like_a_dim_without_values_is_left_out_with_a_warning() -> None:
    data = DATA.assign_coords(kind=("image", [3, 4]))
    with pytest.warns(UserWarning, match="coordinates kind of the data are left out"):
        found = SPEC.label({"mean": MEAN, "count": 2, "extra": [0.0, 1.0]}, data, level=0.9)
    assert "kind" not in found.coords
