"""Whatever happens to a file of a store: no wrong number comes of it, and what is lost is measured again."""

import os
import shutil
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from probekit.errors import CapacityError, InputError, ProbeError
from probekit.models.unet import UNet
from probekit.phi import averages, store, stored
from tests.unprivileged import without_privileges


def network() -> UNet:
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))


PICTURES = np.random.default_rng(0).random((10, 3, 8, 8), dtype=np.float32)


def written(path: Path) -> xr.Dataset:
    images = probekit.images.load(PICTURES, labels=list("aabbccddee"))
    return probekit.tap(network(), "mid")(images, sigma=[0.1, 0.3], draws=1, batch_size=4, store=path)


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store of three units."""
    path = tmp_path_factory.mktemp("whole") / "phi.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "CHUNK_BYTES", 400)
        patch.setattr(averages, "GROUP", 1)
        written(path)
    assert stored.check(path).units == 3
    return path


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 400)
    monkeypatch.setattr(averages, "GROUP", 1)


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "phi.zarr")
    return tmp_path / "phi.zarr"


def flip(file: Path, rng: np.random.Generator) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        file.write_bytes(content)


def folder(file: Path, _: object) -> None:
    file.unlink()
    file.mkdir()


HARM: dict[str, Callable[[Path, np.random.Generator], object]] = {
    "a bit flipped": flip,
    "another bit flipped": flip,
    "cut short": lambda file, _: os.truncate(file, file.stat().st_size // 2),
    "emptied": lambda file, _: os.truncate(file, 0),
    "deleted": lambda file, _: file.unlink(),
    "longer": lambda file, _: file.write_bytes(file.read_bytes() + b"\0"),
    "another's": lambda file, rng: file.write_bytes(rng.bytes(100)),
    "a folder": folder,
}


@pytest.mark.parametrize("harm", HARM)
def test_no_wrong_number_comes_of_a_damaged_file_and_what_is_lost_is_measured_again(
    whole: Path, tmp_path: Path, harm: str
) -> None:
    rng = np.random.default_rng(sorted(HARM).index(harm))
    good, files = probekit.open(whole).load(), contents(whole)
    mended, refused = 0, set()
    for name in files:
        path = tmp_path / "phi.zarr"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(whole, path)
        HARM[harm](path / name, rng)
        if contents(path) == files:
            continue
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                data = probekit.open(path).load()
            except InputError:
                data = None
        if data is not None:
            # What is not as it was is missing, and that was said.
            assert ((data.phi == good.phi) | data.phi.isnull()).all(), name
            assert not data.phi.isnull().any() or any("read as NaN" in str(w.message) for w in said), name
            xr.testing.assert_identical(data.drop_vars(["phi", "phi_se"]), good.drop_vars(["phi", "phi_se"]))
        if name != "lock":
            try:
                assert not stored.check(path).whole, name
            except InputError:
                assert name.startswith(("progress/zarr.json", "sha256sums"))
        with warnings.catch_warnings(action="ignore"):
            try:
                again = written(path)
            except ProbeError:
                # Of the plan there is no other record; nor can a file take the place of a folder by itself.
                refused.add(name)
                continue
        mended += 1
        xr.testing.assert_identical(again.load(), good)
        assert {k: v for k, v in contents(path).items() if k != "lock"} == {k: files[k] for k in files if k != "lock"}
        assert stored.check(path).whole
    assert harm == "a folder" or (refused <= {"progress/zarr.json", "sha256sums.txt"} and mended > 10)


def test_a_damaged_chunk_is_an_error_once_its_values_are_used_and_the_others_can_be_read(path: Path) -> None:
    flip(path / "phi/c/1/0/0", np.random.default_rng(0))
    data = probekit.open(path)
    assert np.isfinite(data.phi[:4]).all()
    assert np.isfinite(data.phi.isel(image=[0, 9])).all()
    for values in (
        lambda: data.phi[4:8].values,
        lambda: data.phi.isel(image=[7]).load(),
        lambda: data.phi[5, 0, 0].item(),
        lambda: data.phi.mean("image"),
        lambda: data.load(),
    ):
        with pytest.raises(InputError, match=r"phi of .* cannot be read \(its checksum is another\): `probekit check"):
            values()


def test_chunks_that_are_whole_and_in_the_wrong_place_are_found(path: Path) -> None:
    good = probekit.open(path).load()
    files = [path / "phi/c/0/0/0", path / "phi/c/1/0/0"]
    first, second = (file.read_bytes() for file in files)
    files[0].write_bytes(second)
    files[1].write_bytes(first)
    assert len(stored.check(path).damaged) == 2
    assert "images 0 to 3: its files are not those that were written" in str(stored.check(path))
    with pytest.warns(UserWarning, match="measured again"):
        xr.testing.assert_identical(written(path).load(), good)
    # Nor do they belong there with the mark of their unit, or come from the store of another network.
    for one in ("phi/c/{}/0/0", "phi_se/c/{}/0/0", "progress/done/c/{}"):
        shutil.copy(path / one.format(1), path / one.format(0))
    assert list(stored.check(path).damaged) == [0]
    torch.manual_seed(5)
    other = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    images = probekit.images.load(PICTURES, labels=list("aabbccddee"))
    probekit.tap(other, "mid")(images, sigma=[0.1, 0.3], draws=1, batch_size=4, store=path.with_name("other.zarr"))
    for one in ("phi/c/{}/0/0", "phi_se/c/{}/0/0", "progress/done/c/{}"):
        shutil.copy(path.with_name("other.zarr") / one.format(2), path / one.format(2))
    assert list(stored.check(path).damaged) == [0, 2]
    with pytest.warns(UserWarning, match="measured again"):
        xr.testing.assert_identical(written(path).load(), good)


def test_what_is_whole_is_told(path: Path) -> None:
    assert str(stored.check(path)) == f"{path}: 3 of 3 units of 4 images are done and whole, as is all else"
    (path / "phi_se/c/2/0/0").unlink()
    flip(path / "phi/c/0/0/0", np.random.default_rng(0))
    flip(path / "label/c/0", np.random.default_rng(0))
    assert "label/c/0: not as it was written" in str(stored.check(path))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        store_made_again = written(path)
    texts = [str(w.message) for w in said]
    assert "label/c/0 of" in texts[0]
    assert (
        "(2 of them; images 0 to 3: phi is damaged: its checksum is another; images 8 to 9: phi_se is missing)"
        in texts[1]
    )
    assert stored.check(path).whole
    assert store_made_again.label.values.tolist() == list("aabbccddee")
    (path / "phi_se/c/2/0/0").unlink()
    flip(path / "phi/c/0/0/0", np.random.default_rng(0))
    told = str(stored.check(path))
    assert "1 of 3 units of 4 images are done and whole" in told
    assert "images 8 to 9: phi_se is missing" in told
    assert "images 0 to 3: phi is damaged" in told


def test_a_finished_store_that_cannot_be_written_is_returned_and_an_unfinished_one_is_an_error() -> None:
    with without_privileges() as folder:
        path = folder / "phi.zarr"
        good = written(path).load()
        before = contents(path)
        try:
            for file in [*path.rglob("*"), path]:
                file.chmod(0o555 if file.is_dir() else 0o444)
            xr.testing.assert_identical(written(path).load(), good)
            assert contents(path) == before
            path.chmod(0o755)
            (path / "progress/done/c").chmod(0o755)
            (path / "progress/done/c/1").unlink()
            (path / "progress/done/c").chmod(0o555)
            path.chmod(0o555)
            with pytest.raises(CapacityError, match=r"cannot be written.*permission"):
                written(path)
        finally:
            for one in [path, *path.rglob("*")]:
                one.chmod(0o755)


def test_a_store_is_not_written_where_nothing_is_to_be_done(path: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    written(path)
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


def test_a_group_can_read_what_the_umask_lets_it_read(tmp_path: Path) -> None:
    for mask, of_folder, of_file in ((0o022, 0o755, 0o644), (0o002, 0o775, 0o664), (0o077, 0o700, 0o600)):
        before = os.umask(mask)
        try:
            written(tmp_path / f"{mask}.zarr")
        finally:
            os.umask(before)
        modes = {
            p: stat.S_IMODE(p.stat().st_mode) for p in [tmp_path / f"{mask}.zarr", *tmp_path.glob(f"{mask}.zarr/**/*")]
        }
        assert {mode for p, mode in modes.items() if p.is_dir()} == {of_folder}
        assert {mode for p, mode in modes.items() if p.is_file()} == {of_file}


def test_a_store_that_is_removed_or_replaced_while_it_is_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.Store.write
    for number, meanwhile in enumerate(
        (shutil.rmtree, lambda path: (shutil.rmtree(path), written(path)), lambda path: path.rename(f"{path}.away"))
    ):
        path = tmp_path / f"{number}.zarr"

        def write(self: store.Store, positions: range, arrays: dict, path: Path = path, meanwhile=meanwhile) -> None:
            if positions.start == 4:
                with monkeypatch.context() as patch:
                    patch.setattr(store.Store, "write", real)
                    meanwhile(path)
            real(self, positions, arrays)

        with monkeypatch.context() as patch:
            patch.setattr(store.Store, "write", write)
            with pytest.raises(CapacityError, match=r"removed or replaced while it was being written|could not be"):
                written(path)


def test_folders_that_killed_calls_left_beside_are_swept(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from probekit.machine.files import beside
left = beside(Path({str(tmp_path / "phi.zarr")!r}))
left.mkdir()
(left / "zarr.json").touch()
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    written(tmp_path / "phi.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["phi.zarr"]


def test_a_store_of_a_later_format_says_so(path: Path) -> None:
    plan = path / "progress/zarr.json"
    plan.write_text(plan.read_text().replace('"format": 2', '"format": 3'))
    for use in (lambda: probekit.open(path), lambda: stored.check(path), lambda: written(path)):
        with pytest.raises(InputError, match=r"is of format 3, and this version .* up to 2: update probekit"):
            use()


def test_json_that_is_nested_too_deep_or_holds_something_else_is_an_error(path: Path) -> None:
    plan = path / "progress/zarr.json"
    for text in ("[" * 100_000, "{}", "[]", '{"attributes": 3}', '{"attributes": {"plan": {"format": "x"}}}', "\0"):
        plan.write_text(text)
        for use in (lambda: probekit.open(path), lambda: stored.check(path), lambda: written(path)):
            with pytest.raises(InputError, match=r"is damaged, or was changed by another program: progress/zarr.json"):
                use()


@pytest.mark.parametrize(
    "given", ["", "a\0b", "n" * 300, "/" * 5000 + "n" * 5000, b"bytes", 3, None, Path("n" * 300), ["a.zarr"], 1.5]
)
def test_paths_that_cannot_be_are_refused_before_anything_is_measured(given: object) -> None:
    for use in (probekit.open, stored.check, *([] if given is None else [written])):
        with pytest.raises(InputError, match=r"(path|store).*(give|another)"):
            use(given)  # pyright: ignore[reportArgumentType]


def test_whatever_this_package_made_is_opened_however_it_was_kept(tmp_path: Path) -> None:
    data = written(tmp_path / "phi.zarr").load()
    data.to_zarr(tmp_path / "own.zarr", zarr_format=3, consolidated=False)
    data.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    data.phi.to_netcdf(tmp_path / "array.nc", engine="h5netcdf")
    for name in ("own.zarr", "phi.nc"):
        opened = probekit.open(tmp_path / name)
        assert opened.image.dtype == opened.label.dtype == object
        xr.testing.assert_identical(opened.load(), data)
    xr.testing.assert_equal(probekit.open(tmp_path / "array.nc").phi, data.phi)


def test_what_is_not_of_this_package_is_refused_by_what_it_holds(tmp_path: Path) -> None:
    xr.Dataset({"temperature": ("time", [1.0])}).to_zarr(tmp_path / "theirs.zarr", consolidated=False)
    xr.Dataset({"temperature": ("time", [1.0])}).to_netcdf(tmp_path / "theirs.nc", engine="h5netcdf")
    for name in ("theirs.zarr", "theirs.nc"):
        with pytest.raises(InputError, match=r"holds nothing that this package wrote, only temperature: open it with"):
            probekit.open(tmp_path / name)
    for content in (b"", b"junk", b"\x89HDF\r\n\x1a\n" + bytes(100)):
        (tmp_path / "broken.nc").write_bytes(content)
        with pytest.raises(InputError, match=r"broken.nc cannot be read \(.*\): give a netCDF file"):
            probekit.open(tmp_path / "broken.nc")


def test_what_may_not_be_read_is_not_called_damaged() -> None:
    with without_privileges() as folder:
        path = folder / "phi.zarr"
        written(path)
        for one in ("image/c/0", "progress", "phi/c/1", "sha256sums.txt", "."):
            (path / one).chmod(0)
            try:
                for use in (lambda: probekit.open(path).load(), lambda: stored.check(path), lambda: written(path)):
                    with pytest.raises(InputError, match=r"may not be read .*permission"):
                        use()
            finally:
                (path / one).chmod(0o755)


def test_a_store_whose_sums_are_lost_is_mended(path: Path) -> None:
    good = probekit.open(path).load()
    (path / "sha256sums.txt").write_text("")
    with pytest.raises(InputError, match="made again, mends what can be"):
        probekit.open(path)
    with pytest.warns(UserWarning, match="are made again"):
        xr.testing.assert_identical(written(path).load(), good)
    assert stored.check(path).whole


def test_an_unfinished_store_whose_lock_is_lost_is_finished(path: Path) -> None:
    good = probekit.open(path).load()
    (path / "lock").unlink()
    (path / "progress/done/c/1").unlink()
    xr.testing.assert_identical(written(path).load(), good)
    assert stored.check(path).whole
