"""The label schema page says what the code does."""

import re
from pathlib import Path

import numpy as np
import xarray as xr

import probekit
from probekit import labels
from probekit.models.unet import UNet

PAGE = (Path(__file__).parents[1] / "docs" / "labels.md").read_text(encoding="utf-8")


def rows(first: str) -> list[list[str]]:
    """The rows of the table whose first column is headed `first`."""
    table = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    assert table is not None
    return [[cell.strip().strip("`") for cell in line.strip("|\n").split("|")] for line in table[1].splitlines()]


def everything() -> tuple[xr.Dataset, xr.DataArray]:
    model = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    images = probekit.images.load(np.zeros((2, 3, 8, 8), np.float32), labels=["a", "b"])
    tap = probekit.tap(model, "mid")
    return tap(images, sigma=0.1, draws=2, keep_draws=True), tap.maps(images, sigma=0.1)


def test_variables_have_the_dims_and_meaning_of_the_page() -> None:
    data, maps = everything()
    variables = {**data.data_vars, "activation": maps}
    assert {name: (", ".join(v.dims), v.attrs["long_name"]) for name, v in variables.items()} == {
        name: (dims, what) for name, dims, what in rows("variable")
    }
    assert {v.dtype for v in variables.values()} == {np.dtype(np.float32)}
    assert {v.attrs["units"] for v in variables.values()} == {"activation"}


def test_coordinates_have_the_dims_types_and_meaning_of_the_page() -> None:
    data, maps = everything()
    coordinates = {**data.coords, **{n: c for n, c in maps.coords.items() if n in ("row", "col")}}
    said = {name: (along, kind, what) for name, along, kind, what in rows("coordinate")}
    assert {
        name: (", ".join(c.dims), "string" if c.dtype == object else str(c.dtype), c.attrs["long_name"])
        for name, c in coordinates.items()
    } == said
    assert said.keys() == labels.COORDINATES.keys()


def test_attributes_are_those_of_the_page() -> None:
    data, _ = everything()
    assert list(data.attrs) == [name for name, _ in rows("attribute")]
