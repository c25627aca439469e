"""What a file's values are: packed colours are read, and values with a sign are refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from probekit.errors import InputError
from probekit.images import load


def bmp(values: np.ndarray, masks: tuple[int, int, int]) -> bytes:
    """A BMP of 16 bits a pixel whose colours lie under these masks; rows from the bottom."""
    rows, cols = values.shape
    pixels = values[::-1].astype("<u2").tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, cols, rows, 1, 16, 3, len(pixels), 0, 0, 0, 0) + struct.pack("<3I", *masks)
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + pixels


def tiff(samples: int, order: str) -> bytes:
    """A grey TIFF of 8 bits, 128 everywhere, whose samples are of a kind: 1 without a sign, 2 with one."""
    pixels = bytes([0x80] * 16)
    short = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 277: 1, 278: 4, 339: samples}
    long = {273: 8, 279: len(pixels)}
    entries = {tag: struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in short.items()}
    entries |= {tag: struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in long.items()}
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}I", 8 + len(pixels)) + pixels + directory


def test_a_bmp_of_16_bits_for_all_colours_is_read(tmp_path: Path) -> None:
    values = np.array([[0xF800, 0x07E0], [0x001F, 0xFFFF]])
    (tmp_path / "a.bmp").write_bytes(bmp(values, (0xF800, 0x07E0, 0x001F)))
    pixels = load(tmp_path).read([0])[0].permute(1, 2, 0).tolist()
    assert pixels == [[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 1]]]


def test_a_bmp_of_15_bits_is_read_too(tmp_path: Path) -> None:
    values = np.array([[0x7C00, 0x03E0], [0x001F, 0x7FFF]])
    (tmp_path / "a.bmp").write_bytes(bmp(values, (0x7C00, 0x03E0, 0x001F)))
    pixels = load(tmp_path).read([0])[0].permute(1, 2, 0).tolist()
    assert pixels == [[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 1]]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_values_with_a_sign_is_refused_and_one_without_is_read(tmp_path: Path, order: str) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(1, order))
    assert load(tmp_path).read([0]).unique().tolist() == [np.float32(128 / 255)]
    (tmp_path / "a.tif").write_bytes(tiff(2, order))
    with pytest.raises(InputError, match=r"a.tif \(pixels with a sign.*read such files yourself"):
        load(tmp_path)


@pytest.mark.parametrize("component", [0, 2])
def test_a_jpeg_2000_of_which_one_component_has_a_sign_or_is_deep_is_refused(tmp_path: Path, component: int) -> None:
    stream = io.BytesIO()
    try:
        Image.fromarray(np.full((16, 16, 3), 9, np.uint8)).save(stream, "JPEG2000")
    except OSError:
        pytest.skip("Pillow here has no JPEG 2000")
    for size, why in ((0x87, "pixels with a sign"), (0x0F, "more than 8 bits")):
        raw = bytearray(stream.getvalue())
        raw[raw.find(b"\xff\x4f\xff\x51") + 42 + 3 * component] = size
        (tmp_path / "a.jp2").write_bytes(raw)
        with pytest.raises(InputError, match=rf"a.jp2 \(.*{why}"):
            load(tmp_path)
