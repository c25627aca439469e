"""Figures, and all else that takes findings, take what an analysis returned, however it was kept in between."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from tests.odd import Call
from tests.options import odd_factors, odd_network_rooms, odd_phi_rooms, odd_sampling_rooms

Kept = Callable[[xr.Dataset, Path], xr.Dataset]
CALLS: dict[str, Call] = {
    **odd_phi_rooms.CALLS,
    **odd_factors.CALLS,
    **odd_network_rooms.CALLS,
    **odd_sampling_rooms.CALLS,
}
OF_FINDINGS = {"findings", "embedding", "first", "second", "samples", "unconditional"}
FIGURES = [name for name in CALLS if name.split(".")[1].startswith(("plot", "sheet"))]
TAKERS = [
    *FIGURES,
    *(
        name
        for name, call in CALLS.items()
        if name not in FIGURES
        and not callable(call.good)
        and any(option in OF_FINDINGS and isinstance(v, xr.Dataset) for option, v in call.good.items())
    ),
]


def netcdf(engine: Any) -> Kept:
    def kept(found: xr.Dataset, folder: Path) -> xr.Dataset:
        found.to_netcdf(folder / "found.nc", engine=engine)
        return xr.load_dataset(folder / "found.nc", engine=engine)

    return kept


def zarr(found: xr.Dataset, folder: Path) -> xr.Dataset:
    found.to_zarr(folder / "found.zarr", consolidated=False)
    return xr.open_zarr(folder / "found.zarr", consolidated=False)


def lists(found: xr.Dataset, folder: Path) -> xr.Dataset:
    del folder
    return found.isel({dim: list(range(size)) for dim, size in found.sizes.items()})


def fixed_width(found: xr.Dataset, folder: Path) -> xr.Dataset:
    del folder
    words = [name for name, v in found.variables.items() if v.dtype == object]
    return found.assign({n: found[n].astype(str) for n in words if n in found.data_vars}).assign_coords(
        {n: found[n].astype(str) for n in words if n in found.coords}
    )


def single(found: xr.Dataset, folder: Path) -> xr.Dataset:
    del folder
    return found.assign({n: v.astype(np.float32) for n, v in found.items() if v.dtype == np.float64})


KEPT: dict[str, Kept] = {
    "netCDF4": netcdf("h5netcdf"),
    "netCDF3": netcdf("scipy"),
    "zarr": zarr,
    "pickle": lambda found, _: pickle.loads(pickle.dumps(found)),
    "isel with lists": lists,
    "strings of fixed width": fixed_width,
    "float32": single,
}


def arguments(name: str) -> tuple[dict[str, Any], list[str]]:
    """Arguments that a call takes, and those that are findings."""
    good = CALLS[name].good
    given = dict(good() if callable(good) else good)
    return given, [option for option, v in given.items() if option in OF_FINDINGS and isinstance(v, xr.Dataset)]


# What the calls say of so few images, and Zarr of strings of fixed width, is no matter here.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", KEPT)
@pytest.mark.parametrize("name", TAKERS)
def test_findings_that_were_kept_are_taken_as_they_were(name: str, how: str, tmp_path: Path) -> None:
    given, found = arguments(name)
    assert found
    expected = CALLS[name].function(**given)
    for option in found:
        (tmp_path / option).mkdir()
        given[option] = KEPT[how](given[option], tmp_path / option)
    result = CALLS[name].function(**given)
    if isinstance(expected, xr.Dataset):
        assert set(result.variables) == set(expected.variables)
        for key in expected.data_vars:
            if expected[key].dtype.kind in "fiub":
                relative, absolute = (1e-4, 1e-6) if how == "float32" else (1e-12, 0.0)
                np.testing.assert_allclose(
                    result[key].values, expected[key].values, relative, absolute, err_msg=str(key)
                )
            else:
                assert result[key].values.tolist() == expected[key].values.tolist(), key
    plt.close("all")


@pytest.mark.filterwarnings("ignore")
# Not those that pair two findings, or ask for a noise level.
@pytest.mark.parametrize("name", sorted({*FIGURES} - {"clusters.plot_embedding", "clusters.sheet"}))
def test_a_figure_is_drawn_of_one_noise_level_or_image_selected_with_a_list(name: str) -> None:
    given, found = arguments(name)
    for dim in ("sigma", "image"):
        cut = {o: given[o].isel({dim: [-1]}, missing_dims="ignore") for o in found}
        CALLS[name].function(**{**given, **cut})
    plt.close("all")
