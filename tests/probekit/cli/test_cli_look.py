"""The commands that look into denoisers: what they print, what they write, how they fail."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import probekit
from analyses.report.shell import main
from probekit.cli.arguments import DRAWS, SIGMA, images_called, network_called, numbers
from probekit.errors import ProbeError
from probekit.synthetic import ovals, shapes

NETWORK = """
import torch
from probekit.models.unet import UNet

def make():
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))

def needy(width):
    return UNet((width, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))

made = make()
nothing = 3
"""
SMALL = ("--sigma", "0.1,0.4", "--draws", "2", "--size", "8", "--crop", "8", "--quiet")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run the command line in an empty folder that holds a network and photographs: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "a_network", raising=False)
    (tmp_path / "a_network.py").write_text(NETWORK)
    (tmp_path / "photographs").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photographs" / f"{i}.png")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["probekit", *arguments])
        return main(), *capsys.readouterr()

    return call


def test_models_lists_every_bundled_denoiser(run) -> None:
    code, out, _ = run("models")
    assert code == 0
    assert all(name in out for name in ("photo32", "photo32-sigma", "photo32-dncnn"))
    described = json.loads(run("models", "--json")[1])
    assert described["photo32-sigma"]["sigma_to"] == "sigma"


@pytest.mark.parametrize("network", ["a_network:make", "a_network:made"])
def test_taps_prints_the_table_and_as_json_its_rows(run, network: str) -> None:
    code, out, _ = run("taps", network, "--shape", "3,8,8")
    assert code == 0
    assert "encoder.0" in out
    rows = json.loads(run("taps", network, "--shape", "3,8,8", "--json")[1])
    assert [r["alias"] for r in rows if r["alias"]] == ["enc1", "mid"]


@pytest.mark.parametrize(("suffix", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_draw_writes_a_picture_whose_names_can_be_copied(run, tmp_path: Path, suffix: str, begins: bytes) -> None:
    asked = ("draw", "a_network:make", "--shape", "3,8,8", "--expand", "mid, enc1")
    for out in (f"deep/network.{suffix}", f"again.{suffix}"):
        assert run(*asked, "-o", out) == (0, f"{out}\n", "")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [f"network.{suffix}"]
    written = (tmp_path / "deep" / f"network.{suffix}").read_bytes()
    assert written.startswith(begins)
    assert written == (tmp_path / f"again.{suffix}").read_bytes()
    if suffix == "svg":
        assert all(f">{name}<" in written.decode() for name in ("enc1", "encoder.0.0", "mid", "middle.0", "decoder.0"))


def test_phi_writes_the_same_to_a_store_and_to_netcdf_and_finishes_a_store_begun(run, tmp_path: Path) -> None:
    options = ("--tap", "enc1,mid", *SMALL)
    for out in ("phi.zarr", "deep/phi.nc", "phi.zarr"):
        assert run("phi", "a_network:make", "photographs", "-o", out, *options) == (0, f"{out}\n", "")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["phi.nc"]
    stored = probekit.open(tmp_path / "phi.zarr").load()
    with xr.open_dataset(tmp_path / "deep" / "phi.nc", engine="h5netcdf") as plain:
        np.testing.assert_array_equal(plain.phi.values, stored.phi.values)
        assert plain.image.values.tolist() == stored.image.values.tolist() == ["0.png", "1.png", "2.png"]
    summary = json.loads(run("phi", "a_network:make", "photographs", "-o", "b.nc", *options, "--json")[1])
    assert summary["sizes"] == {"image": 3, "sigma": 2, "channel": 12}


def test_phi_takes_the_noise_levels_and_draws_of_every_command_by_default(run, tmp_path: Path) -> None:
    assert run("phi", "a_network:make", "photographs", "-o", "phi.nc", "--crop", "8", "--quiet")[0] == 0
    data = xr.load_dataset(tmp_path / "phi.nc", engine="h5netcdf")
    assert data.sigma.values.tolist() == numbers(SIGMA, float)
    assert data.attrs["draws"] == DRAWS


def test_phi_chooses_the_draws_itself_and_goes_on_with_them(run, tmp_path: Path) -> None:
    options = ("phi", "photo32", "shapes:20", "--crop", "16", "--sigma", "0.05", "--draws", "auto", "-o", "phi.zarr")
    assert run(*options, "--quiet")[0] == 0
    first = probekit.open(tmp_path / "phi.zarr").load()
    assert first.attrs["draws_chosen"] == "auto"
    assert first.attrs["draws_reliability"] >= 0.95
    assert run(*options, "--quiet")[0] == 0
    assert probekit.open(tmp_path / "phi.zarr").identical(first)
    assert "give a whole number from 1" in run(*options[:-3], "automatic", *options[-2:])[2]
    assert "20 images" in run(*options[:2], "photographs", "--crop", "8", "--draws", "auto", "-o", "few.nc")[2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("taps", "nowhere"), "there is no bundled denoiser 'nowhere'"),
        (("taps", "a_network:missing"), "a_network:missing: a_network has no missing"),
        (("taps", "a_network:nothing"), "a_network:nothing gave a int"),
        (("taps", "a_network:needy"), "a_network:needy: missing a required argument: 'width'"),
        (("taps", "a_network:make", "--shape", "3,x"), "--shape: '3,x' is not a list of numbers"),
        (("draw", "a_network:make", "-o", "phi.gif"), "the output ends in .svg (whose names can be copied), .png or"),
        (("draw", "a_network:make", "-o", "phi.svg", "--shape", "3"), "--shape 3: give (channels, rows, cols)"),
        (("draw", "a_network:make", "-o", "phi.svg", "--expand", "middel"), "did you mean"),
        (("draw", "a_network:make", "-o", "phi.svg", "--depth", "0"), "depth=0: give a whole number ≥ 1"),
        (("draw", "a_network:make", "-o", "a_network.py/phi.svg"), "a_network.py"),
        (("phi", "a_network:make", "photographs", "-o", "phi.txt"), "the output ends in .zarr"),
        (("phi", "a_network:make", "photographs", "-o", "a_network.py/phi.nc"), "a_network.py"),
        (("phi", "a_network:make", "missing", "-o", "phi.nc"), "missing does not exist"),
        (("phi", "a_network:make", "samples", "photographs", "-o", "phi.nc"), "samples stands alone"),
        (("phi", "a_network:make", "photographs", "samples", "-o", "phi.nc"), "samples stands alone"),
        (("phi", "a_network:make", "photographs", "-o", "phi.nc", "--sigma", "0.1;0.2"), "--sigma: '0.1;0.2' is not"),
        (("phi", "a_network:make", "photographs", "-o", "phi.nc", "--tap", "middel"), "did you mean"),
        (("phi", "a_network:make", "photographs", "-o", "phi.nc", "--tap", ","), "name at least one tap"),
        (("phi", "a_network:make", "photographs", "-o", "phi.nc", "--reduce", "median"), "median"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(
    run, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, out, errors = run(*arguments)
    assert (code, out) == (1, "")
    assert errors.startswith("probekit: ")
    assert errors.count("\n") == 1
    assert says in errors
    assert not list(tmp_path.glob("phi.*"))


def test_procedural_images_are_called_by_number_and_seed(run, tmp_path: Path) -> None:
    asked = ("shapes:3:1", "-o", "phi.nc", "--draws", "1", "--sigma", "0.1", "--size", "16")
    assert run("phi", "a_network:make", *asked)[0] == 0
    data = xr.load_dataset(tmp_path / "phi.nc", engine="h5netcdf")
    drawn = shapes.draw(3, size=16, seed=1)
    assert data.attrs["image_source"] == "shapes:3:1"
    assert data.label.values.tolist() == drawn.truth["shape"].values.tolist()


@pytest.mark.parametrize("kind", ["shapes", "ovals", "ovals-grid"])
@pytest.mark.parametrize("rest", ["", "many", "3:1:2", "-3"])
def test_procedural_images_called_otherwise_say_how(run, kind: str, rest: str) -> None:
    code, _, errors = run("phi", "a_network:make", f"{kind}:{rest}", "-o", "phi.nc")
    assert code == 1
    assert f"write {kind}:COUNT or {kind}:COUNT:SEED" in errors


@pytest.mark.parametrize(("bands", "size"), [(1, 80), (3, 80), (1, 40)])
def test_ovals_are_called_by_number_and_seed_in_any_size_and_bands(bands: int, size: int) -> None:
    called = images_called(["ovals:6:2"], size=size, bands=bands)
    drawn = ovals.draw(6, seed=2, size=size, bands=bands).images
    assert called.name == "ovals:6:2"
    assert called.labels == tuple(drawn.label.values)
    np.testing.assert_array_equal(called.read(range(6)).numpy(), drawn.values)
    assert images_called(["ovals:6:2"]).shape == (3, 80, 80)


def test_ovals_of_the_grid_have_each_aspect_in_turn() -> None:
    called = images_called(["ovals-grid:38"], bands=1)
    assert called.labels == tuple(f"{a:g}" for a in 2 * ovals.GRID)


def test_ovals_of_other_seeds_are_others_and_of_one_seed_the_same_however_many() -> None:
    seen, unseen, more = (images_called([name], bands=1) for name in ("ovals:5", "ovals:5:1", "ovals:9"))
    few = range(5)
    assert not any((seen.read([i]) == unseen.read([k])).all() for i in few for k in few)
    np.testing.assert_array_equal(seen.read(few).numpy(), more.read(few).numpy())


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["ovals:2"], {"size": 40, "crop": 20}, "--crop 20 would cut ovals"),
        (["ovals:2"], {"crop": 90}, "--crop 90 is larger"),
        (["ovals:0"], {}, "give one image at least, e.g. ovals:1000"),
        (["ovals:2"], {"background": "0.5"}, "come from no files: leave --background out"),
        (["ovals:" + "9" * 15], {}, "give fewer images"),
        (["shapes:2"], {"bands": 1}, "drawn in colour"),
    ],
)
def test_ovals_that_cannot_be_drawn_so_are_refused(names: list[str], options: dict, said: str) -> None:
    with pytest.raises(ProbeError, match=said):
        images_called(names, **options)


GIVEN = """
import torch
from torch import nn

class Given(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, y, sigma=None, *, given, kind=None):
        return self.conv(torch.cat([y, given], dim=1)) + (0 if kind is None else kind[:, None, None, None])

def make():
    torch.manual_seed(0)
    return Given()
"""
GIVEN_PHI = ("phi", "given_network:make", "photographs", "--tap", "conv", *SMALL)


def test_phi_takes_conditions_from_files_by_order_or_by_id(run, tmp_path: Path) -> None:
    (tmp_path / "given_network.py").write_text(GIVEN)
    fields = np.random.default_rng(0).random((3, 1, 8, 8))
    names = np.array([f"{i}.png" for i in range(3)], dtype=object)
    turned = xr.DataArray(fields[::-1], dims=("image", "band", "row", "col"), coords={"image": names[::-1]})
    np.save(tmp_path / "a.npy", fields)
    np.savez(tmp_path / "b.npz", ids=names[::-1].astype(str), values=fields[::-1])
    turned.to_dataset(name="given").assign(other=1).to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    turned.to_dataset(name="fields").to_zarr(tmp_path / "d.zarr", zarr_format=3, consolidated=False)
    np.save(tmp_path / "kind.npy", np.arange(3))
    found = []
    for file in ("a.npy", "b.npz", "c.nc", "d.zarr"):
        out = f"phi-{file}.nc"
        more = ("--condition", f"given={file}", "--condition", "kind=kind.npy", "-o", out)
        assert run(*GIVEN_PHI, *more) == (0, f"{out}\n", "")
        found.append(xr.load_dataset(tmp_path / out, engine="h5netcdf"))
    assert found[0].attrs["conditions"] == "given, kind"
    for other in found[1:]:
        np.testing.assert_array_equal(other.phi, found[0].phi)
    plain = probekit.tap(network_called("given_network:make"), "conv")(
        probekit.images.load(tmp_path / "photographs", size=8, crop=8),
        sigma=[0.1, 0.4],
        draws=2,
        conditions={"given": fields, "kind": np.arange(3)},
    )
    np.testing.assert_array_equal(plain.phi, found[0].phi)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("given", "--condition given: write NAME=FILE"),
        ("=a.npy", "--condition =a.npy: write NAME=FILE"),
        ("given=a.txt", "give a file that ends in .npy, .npz, .nc or .zarr"),
        ("given=missing.npy", "given=missing.npy: it cannot be read"),
        ("given=missing.nc", "given=missing.nc: it cannot be read"),
        ("given=missing.zarr", "given=missing.zarr: it cannot be read"),
        ("given=objects.npy", "given=objects.npy: it cannot be read"),
        ("given=others.npz", "others.npz: it holds fields, names; it must hold the arrays ids and values"),
        ("given=several.nc", "several.nc: it holds a, b; it must hold a variable called given, or one only"),
        ("given=short.npy", "condition 'given' has 2 entries (shape (2, 1, 8, 8)) for 3 images"),
        ("givn=short.npy", "takes given, kind beside the image and σ, and no condition 'givn'"),
    ],
)
def test_conditions_that_cannot_be_used_are_one_line(run, tmp_path: Path, condition: str, says: str) -> None:
    (tmp_path / "given_network.py").write_text(GIVEN)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    np.savez(tmp_path / "others.npz", names=np.arange(3), fields=np.arange(3))
    xr.Dataset({"a": 1, "b": 2}).to_netcdf(tmp_path / "several.nc", engine="h5netcdf")
    np.save(tmp_path / "short.npy", np.zeros((2, 1, 8, 8)))
    code, out, errors = run(*GIVEN_PHI, "--condition", condition, "-o", "phi.nc")
    assert (code, out) == (1, "")
    assert errors.count("\n") == 1
    assert says in errors
    assert not list(tmp_path.glob("phi.*"))


def test_a_condition_given_twice_is_refused(run, tmp_path: Path) -> None:
    (tmp_path / "given_network.py").write_text(GIVEN)
    np.save(tmp_path / "a.npy", np.zeros((3, 1, 8, 8)))
    twice = ("--condition", "given=a.npy", "--condition", "given=a.npy")
    assert "given is given twice" in run(*GIVEN_PHI, *twice, "-o", "phi.nc")[2]


def test_phi_takes_a_background_and_a_frame_for_files(run, tmp_path: Path) -> None:
    clear = np.zeros((8, 12, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "photographs/clear.png")
    code, _, errors = run("phi", "a_network:make", "photographs", "-o", "phi.nc", *SMALL)
    assert code == 1
    assert "clear.png (transparent pixels" in errors
    for background, written in (("1", "(1, 1, 1)"), ("0.2,0.4,0.6", "(0.2, 0.4, 0.6)")):
        told = ("--background", background, "--frame", "0", "-o", "phi.nc", *SMALL)
        assert run("phi", "a_network:make", "photographs", *told)[0] == 0
        made = images_called(["photographs"], size=8, background=background, frame=0)
        assert made.preparation == f"frame 0, over {written}, area averages to 8×any, RGB / 255"
    code, _, errors = run("phi", "a_network:make", "photographs", "--background", "white", "-o", "phi.nc", *SMALL)
    assert code == 1
    assert "--background: 'white' is not a list of numbers" in errors
    code, _, errors = run("phi", "a_network:make", "samples", "--frame", "0", "-o", "phi.nc", "--size", "32")
    assert code == 1
    assert "frame=0 does not apply here" in errors


def test_phi_says_what_it_would_cost_and_writes_nothing(run, tmp_path: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if "__pycache__" not in p.parts}
    asked = ("phi", "a_network:make", "photographs", "-o", "new/phi.zarr", *SMALL, "--dry-run")
    code, out, said = run(*asked)
    assert (code, said) == (0, "")
    assert out.startswith("3 images, ")
    assert "of results, and" in out
    told = json.loads(run(*asked, "--json")[1])
    assert told["images"] == 3
    assert told["result_bytes"] == 3 * 2 * 8 * 4 * 2
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if "__pycache__" not in p.parts} == before


def test_check_says_what_of_a_store_is_whole(run, tmp_path: Path) -> None:
    run("phi", "a_network:make", "photographs", "-o", "phi.zarr", *SMALL)
    code, out, _ = run("check", "phi.zarr")
    assert (code, out) == (0, "phi.zarr: 1 of 1 units of 3 images are done and whole, as is all else\n")
    chunk = next(p for p in (tmp_path / "phi.zarr/phi/c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\0")
    code, out, _ = run("check", "phi.zarr")
    assert code == 1
    assert "images 0 to 2: phi is damaged: its checksum is another" in out
    assert json.loads(run("check", "phi.zarr", "--json")[1])["whole"] is False
    with pytest.warns(UserWarning, match="they are measured again"):
        assert run("phi", "a_network:make", "photographs", "-o", "phi.zarr", *SMALL)[0] == 0
    assert run("check", "phi.zarr")[0] == 0
    code, out, said = run("check", "photographs")
    assert (code, out) == (1, "")
    assert said.startswith("probekit: photographs is not a store that this package wrote")


@pytest.fixture
def tabled(tmp_path: Path) -> None:
    rows = "file,kind\nphotographs/2.png,cat\nphotographs/0.png,dog\n"
    (tmp_path / "pets.csv").write_text(rows)
    (tmp_path / "pets.tsv").write_text(rows.replace(",", "\t"))


@pytest.mark.parametrize("kind", ["csv", "tsv"])
@pytest.mark.usefixtures("tabled")
def test_phi_takes_the_files_and_classes_of_a_table(run, kind: str) -> None:
    told = ("--path", "file", "--label", "kind", "-o", "phi.nc", *SMALL)
    assert run("phi", "a_network:make", f"pets.{kind}", *told) == (0, "phi.nc\n", "")
    with xr.open_dataset("phi.nc") as data:
        assert data["image"].values.tolist() == ["photographs/2.png", "photographs/0.png"]
        assert data["label"].values.tolist() == ["cat", "dog"]


@pytest.mark.usefixtures("tabled")
def test_images_may_be_files_and_tables_and_folders_together(run) -> None:
    files = ["photographs/2.png", "photographs/0.png"]
    assert run("phi", "a_network:make", *files, "-o", "phi.nc", *SMALL) == (0, "phi.nc\n", "")
    with xr.open_dataset("phi.nc") as data:
        assert data["image"].values.tolist() == files
    assert images_called(["photographs/*.png"]).ids == ("photographs/0.png", "photographs/1.png", "photographs/2.png")
    joined = images_called([files[0], "photographs", "pets.csv"], path="file")
    assert joined.ids == (
        f"list of 1 files/{files[0]}",
        *(f"photographs/{k}.png" for k in range(3)),
        *(f"pets.csv/{file}" for file in files),
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pets.csv",), "pets.csv is a table: probekit phi reads it with --path, the column of its files"),
        (("pets.csv", "--label", "kind"), "pets.csv is a table: probekit phi reads it with --path"),
        (("pets.csv", "--path", "files"), "path='files': pets.csv has no such column; it has 'file', 'kind'"),
        (("pets.csv", "--path", "file", "--label", ""), "label='': pets.csv has no such column"),
        (("photographs", "--path", "file"), "--path: there is no table among the images"),
        (("photographs/0.png", "--label", "a", "--path", "b"), "--path and --label: there is no table among"),
        (("nowhere.csv", "--path", "file"), "--path: there is no table among the images"),
        (("samples", "--path", "file"), "path='file' does not apply here"),
        (("shapes:2", "--label", "file"), "--label: there is no table among the images"),
        (("photographs/0.png", "photographs/0.png"), "photographs/0.png is listed more than once"),
    ],
)
@pytest.mark.usefixtures("tabled")
def test_tables_and_files_that_are_no_images_are_one_line_that_says_why(
    run, arguments: tuple[str, ...], says: str
) -> None:
    code, out, errors = run("phi", "a_network:make", *arguments, "-o", "phi.nc", *SMALL)
    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert says in errors
    assert not Path("phi.nc").exists()
