"""Damaged files: whatever is done to their bytes, loading ends, in images or in the package's own error."""

from __future__ import annotations

import io
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from probekit.errors import InputError
from probekit.images import load

CASES = 100  # of each format
LONGEST = 5.0  # seconds that one damaged file may take on a busy machine; sound ones take a few milliseconds
SIDES = (20, 24)


def picture() -> Image.Image:
    """Smooth colours under some noise, so that every coder has something to do."""
    rng = np.random.default_rng(0)
    rows, cols = np.indices(SIDES)
    image = np.stack([8 * rows, 8 * cols, 4 * (rows + cols)], -1) + rng.integers(0, 32, (*SIDES, 3))
    return Image.fromarray(image.astype(np.uint8))


def exif() -> bytes:
    """Orientation, resolution, text, and a folder of further tags with a time and a thumbnail's place."""
    tags = Image.Exif()
    tags[0x0112], tags[0x0128], tags[0x010E] = 6, 2, "a picture"
    tags[0x011A] = tags[0x011B] = 72.0
    tags.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    return tags.tobytes()


def encoded(kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    made = picture()
    if kind == "PCX-P":
        made, kind = made.quantize(16), "PCX"
    if kind == "GIF":
        made = made.quantize(32)
    made.save(stream, kind, **options)
    return stream.getvalue()


FORMATS = {
    "png": lambda: encoded("PNG"),
    "exif.png": lambda: encoded("PNG", exif=exif()),
    "jpg": lambda: encoded("JPEG", exif=exif()),
    "progressive.jpg": lambda: encoded("JPEG", progressive=True),
    "gif": lambda: encoded("GIF"),
    "bmp": lambda: encoded("BMP"),
    "tif": lambda: encoded("TIFF"),
    "lzw.tif": lambda: encoded("TIFF", compression="tiff_lzw"),
    "deflate.tif": lambda: encoded("TIFF", compression="tiff_adobe_deflate"),
    "webp": lambda: encoded("WEBP", exif=exif()),
    "lossless.webp": lambda: encoded("WEBP", lossless=True),
    "ppm": lambda: encoded("PPM"),
    "tga": lambda: encoded("TGA"),
    "rle.tga": lambda: encoded("TGA", compression="tga_rle"),
    "jp2": lambda: encoded("JPEG2000"),
    "pcx": lambda: encoded("PCX-P"),
    "sgi": lambda: encoded("SGI"),
    "ico": lambda: encoded("ICO", sizes=[(16, 16)]),
    "qoi": lambda: encoded("QOI"),
    "avif": lambda: encoded("AVIF"),
    "dds": lambda: encoded("DDS"),
}


def mutated(sound: bytes, rng: np.random.Generator) -> bytes:
    """The bytes after one to three changes, half of them in the first 200, where headers and tags are."""
    raw = bytearray(sound)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(min(len(raw), 200 if rng.random() < 0.5 else len(raw)) or 1))
        match rng.integers(6):
            case 0:
                raw[at : at + 1] = bytes([raw[at] ^ (1 << int(rng.integers(8)))]) if raw else b""
            case 1:
                del raw[at:]
            case 2:
                raw[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 3:
                raw[at : at + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"][int(rng.integers(3))]
            case 4:
                del raw[at : at + int(rng.integers(1, 9))]
            case _:
                start = int(rng.integers(len(raw) or 1))
                raw[at:at] = raw[start : start + int(rng.integers(1, 33))]
    return bytes(raw)


def outcome(source: Path, **options: Any) -> Any:
    """The images that come of a source, (n, 3, rows, cols), or what the error says."""
    begun = time.monotonic()
    said = ""
    try:
        with warnings.catch_warnings():
            if options.get("skip_bad"):
                warnings.filterwarnings("ignore", "left out", UserWarning)
            images = load(source, **options)
            read = images.read(range(len(images)))
    except InputError as error:
        said = str(error)
    assert time.monotonic() - begun < LONGEST
    if said:
        assert "\0" not in said
        assert len(said) < 2000
        return said
    assert 0 <= float(read.min()) <= float(read.max()) <= 1
    return read.numpy()


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_named_and_left_out_on_request(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        sound = FORMATS[name]()
    except (KeyError, OSError):
        pytest.skip("Pillow here does not write this format")
    rng = np.random.default_rng(list(name.encode()))
    path = tmp_path / "f" / f"a.{name}"
    path.parent.mkdir()
    path.write_bytes(sound)
    good = outcome(path.parent)
    assert isinstance(good, np.ndarray)
    refused = 0
    for _ in range(CASES):
        path.write_bytes(mutated(sound, rng))
        strict, lenient = outcome(path.parent), outcome(path.parent, skip_bad=True, size=8, crop=8)
        refused += isinstance(strict, str)
        if isinstance(strict, str):
            assert path.name in strict
            assert isinstance(lenient, str)
    assert refused > 0
    # Libraries below Pillow do not write to the terminal either, but for libtiff.
    written = capfd.readouterr()
    assert (written.out, "" if name.endswith("tif") else written.err) == ("", "")


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_short_is_refused_or_gives_the_same_pixels(name: str, tmp_path: Path) -> None:
    try:
        sound = FORMATS[name]()
    except (KeyError, OSError):
        pytest.skip("Pillow here does not write this format")
    path = tmp_path / f"a.{name}"
    path.write_bytes(sound)
    good = outcome(tmp_path)
    for kept in np.linspace(0, len(sound) - 1, 40).astype(int):
        path.write_bytes(sound[:kept])
        found = outcome(tmp_path)
        assert isinstance(found, str) or np.array_equal(found, good), f"{kept} of {len(sound)} bytes"


def test_a_damaged_zip_is_read_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("png", "jpg", "bmp"):
            archive.writestr(f"{name}/a.{name}", encoded({"jpg": "JPEG"}.get(name, name.upper())))
    sound, path = stream.getvalue(), tmp_path / "z.zip"
    for _ in range(500):
        raw = bytearray(mutated(sound, rng))
        # Half of the damage is in the directory at the end.
        if rng.random() < 0.5 and len(raw) > 300:
            raw[-int(rng.integers(1, 300))] = int(rng.integers(256))
        path.write_bytes(raw)
        outcome(path)
        outcome(path, skip_bad=True)
