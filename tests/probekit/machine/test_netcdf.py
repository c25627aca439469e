"""Results in netCDF files: what is damaged is an error, and never another number."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from probekit.errors import CapacityError, InputError
from probekit.machine.netcdf import read, write

DATA = xr.Dataset(
    {
        "phi": (("image", "channel"), np.random.default_rng(0).random((40, 64), np.float32)),
        "alone": ((), 3.0),
        "none": ("nothing", np.zeros(0)),
        "counts": ("image", np.arange(40)),
        "flags": ("image", np.arange(40) % 2 == 0),
    },
    coords={"image": np.array([f"image {i}" for i in range(40)], object)},
    attrs={"draws": 3},
)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    write(DATA, tmp_path / "a.nc")
    xr.testing.assert_identical(read(tmp_path / "a.nc"), DATA)
    # What comes from one file goes into another, in a part.
    write(read(tmp_path / "a.nc").isel(image=[0, 3]), tmp_path / "b.nc")
    xr.testing.assert_identical(read(tmp_path / "b.nc"), DATA.isel(image=[0, 3]))


# h5netcdf complains when a file that it could not open is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_bit_that_flips_never_makes_another_number(tmp_path: Path) -> None:
    path, rng, refused = tmp_path / "a.nc", np.random.default_rng(0), 0
    write(DATA, path)
    content = path.read_bytes()
    phi = DATA.phi.values.tobytes()
    start = content.index(phi[:64])
    places = [*(start + rng.integers(len(phi), size=40)), *rng.integers(len(content), size=80)]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            found = read(path)
        except InputError as error:
            assert "a.nc cannot be read (" in str(error)  # noqa: PT017
            refused += 1
            continue
        for name in ("phi", "counts", "flags"):
            if name in found:
                np.testing.assert_array_equal(found[name], DATA[name])
    assert refused >= 40


@pytest.mark.parametrize("content", [b"", b"junk", b"\x89HDF\r\n\x1a\n" + bytes(100), None])
def test_what_is_no_file_of_results_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.nc cannot be read \(.*\): give what this package"):
        read(tmp_path / "a.nc")


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    write(DATA, tmp_path / "a.nc")
    with pytest.raises(ValueError, match="odd"):
        write(DATA.assign(odd=("image", np.array([object()] * 40))), tmp_path / "a.nc")
    xr.testing.assert_identical(read(tmp_path / "a.nc"), DATA)
    with pytest.raises(CapacityError, match="cannot write into"):
        write(DATA, tmp_path / "a.nc" / "b.nc")
