"""One file's pixels: hidden colours, frames, depth, orientation; what cannot be had rightly is refused in words."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from probekit.errors import InputError
from probekit.images import load


def noise(rows: int = 6, cols: int = 8, bands: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, cols, bands), dtype=np.uint8)


def saved(folder: Path, name: str, picture: Image.Image, **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    picture.save(folder / name, **options)
    return folder


def read(folder: Path, **options: Any) -> np.ndarray:
    """The only image of a folder, (rows, cols, bands), in levels."""
    return np.moveaxis(load(folder, **options).read([0])[0].numpy(), 0, -1) * 255


def see_through(alpha: np.ndarray, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.dstack([noise(*alpha.shape, seed=seed), alpha]), "RGBA")


# Transparency

HALF = np.where(np.indices((6, 8))[1] < 4, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.tga"])
def test_colours_hidden_under_transparency_are_refused_and_the_background_shows_in_their_place(
    tmp_path: Path, name: str
) -> None:
    picture = see_through(HALF)
    saved(tmp_path, name, picture, **({"lossless": True, "exact": True} if name == "a.webp" else {}))
    with pytest.raises(InputError, match=rf"1 of 1 files .*{name} \(transparent pixels.*give background="):
        load(tmp_path)
    for background, levels in ((1, (255,) * 3), (0, (0,) * 3), ((0.2, 0.4, 0.6), (51, 102, 153))):
        shown = read(tmp_path, background=background)
        np.testing.assert_allclose(shown[:, :4], np.broadcast_to(levels, (6, 4, 3)), rtol=1e-6)
        np.testing.assert_allclose(shown[:, 4:], np.asarray(picture)[:, 4:, :3], rtol=1e-6)


def test_half_transparent_colours_are_mixed_with_the_background_without_rounding(tmp_path: Path) -> None:
    alpha = np.full((6, 8), 77, np.uint8)
    picture = see_through(alpha)
    expected = np.asarray(picture)[..., :3] * (77 / 255) + 0.3 * 255 * (1 - 77 / 255)
    np.testing.assert_allclose(read(saved(tmp_path, "a.png", picture), background=0.3), expected, rtol=1e-6)
    with pytest.raises(InputError, match="give background="):
        load(tmp_path)


def test_transparency_of_palettes_colour_keys_and_grey_is_seen(tmp_path: Path) -> None:
    colours = Image.fromarray(noise())
    palette = colours.quantize(16)
    grey = Image.fromarray(noise()[..., 0])
    kinds = {
        "palette.png": (palette, {"transparency": bytes(range(16))}),
        "index.gif": (palette, {"transparency": int(np.asarray(palette)[0, 0])}),
        "key.png": (colours, {"transparency": colours.getpixel((0, 0))}),
        "greykey.png": (grey, {"transparency": grey.getpixel((0, 0))}),
        "grey.png": (Image.merge("LA", [grey, Image.fromarray(HALF)]), {}),
        "grey.tif": (Image.merge("LA", [grey, Image.fromarray(HALF)]), {}),
    }
    for name, (picture, options) in kinds.items():
        saved(tmp_path, name, picture, **options)
    with pytest.raises(InputError, match="6 of 6 files") as caught:
        load(tmp_path)
    assert str(caught.value).count("transparent pixels") == 5
    over = load(tmp_path, background=0)
    assert len(over) == 6
    # The corner's colour is the one that is keyed out, and nearly or wholly transparent elsewhere.
    corners = {name: float(over.read([i])[0, :, 0, 0].max()) for i, name in enumerate(over.ids)}
    assert {name: value for name, value in corners.items() if name != "palette.png"} == dict.fromkeys(
        set(corners) - {"palette.png"}, 0.0
    )


def test_what_is_wholly_opaque_passes_without_a_word_with_or_without_a_background(tmp_path: Path) -> None:
    opaque = see_through(np.full((6, 8), 255, np.uint8))
    saved(tmp_path, "alpha.png", opaque)
    saved(tmp_path, "key.png", opaque.convert("RGB"), transparency=(1, 2, 3))
    saved(tmp_path, "none.bmp", opaque.convert("RGB"))
    with warnings.catch_warnings(action="error"):
        for options in ({}, {"background": 0.5}):
            images = load(tmp_path, **options).read([0, 1, 2]).numpy()
            for image in images:
                np.testing.assert_array_equal(image, np.moveaxis(noise(), -1, 0).astype(np.float32) / 255)


def test_grey_images_lie_on_the_luma_of_the_background(tmp_path: Path) -> None:
    saved(tmp_path, "a.png", see_through(np.zeros((6, 8), np.uint8)))
    np.testing.assert_allclose(read(tmp_path, background=(0, 1, 0), bands=1), 255 * 0.587, rtol=1e-5)


@pytest.mark.parametrize("value", [-0.1, 1.1, 255, "white", (0, 0), (0, 0, 2), (0, 0, 0, 0), True, np.nan, [None] * 3])
def test_backgrounds_that_are_no_colours_are_refused(tmp_path: Path, value: Any) -> None:
    saved(tmp_path, "a.png", Image.fromarray(noise()))
    with pytest.raises(InputError, match=r"background=.*: give a grey level from 0 to 1, or three of red"):
        load(tmp_path, background=value)


def test_background_and_frame_are_in_the_preparation_and_refused_elsewhere(tmp_path: Path) -> None:
    saved(tmp_path, "a.png", Image.fromarray(noise()))
    images = load(tmp_path, size=(3, 4), crop=2, background=0.5, frame=0)
    assert images.preparation == "frame 0, over (0.5, 0.5, 0.5), area averages to 3×4, crop 2×2, RGB / 255"
    for source in (np.zeros((1, 3, 4, 4)), "samples"):
        with pytest.raises(InputError, match=r"background=0.5, frame=0 does not apply here"):
            load(source, background=0.5, frame=0)


# Frames and planes


def frames(count: int = 3) -> list[Image.Image]:
    return [Image.fromarray(noise(seed=i)).quantize(32).convert("RGB") for i in range(count)]


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.gif", {}), ("a.tif", {}), ("a.png", {}), ("a.webp", {"lossless": True})],
)
def test_of_several_frames_one_is_asked_for(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    first, *rest = frames()
    saved(tmp_path, name, first, save_all=True, append_images=rest, **options)
    with pytest.raises(InputError, match=rf"{name} \(3 frames or pages: give frame=, 0 for the first\)"):
        load(tmp_path)
    for index, expected in enumerate([first, *rest]):
        np.testing.assert_allclose(read(tmp_path, frame=index), np.asarray(expected), atol=1e-3)
    with pytest.raises(InputError, match=rf"{name} \(there is no frame 3, counted from 0, in a file of 3\)"):
        load(tmp_path, frame=3)


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png", "a.webp"])
def test_a_single_frame_passes_with_or_without_its_number(tmp_path: Path, name: str) -> None:
    saved(tmp_path, name, frames(1)[0], save_all=True, **({"lossless": True} if name == "a.webp" else {}))
    np.testing.assert_array_equal(read(tmp_path), read(tmp_path, frame=0))


@pytest.mark.parametrize("value", [-1, 1.0, True, "0", (0,)])
def test_frames_that_are_no_numbers_are_refused(tmp_path: Path, value: Any) -> None:
    saved(tmp_path, "a.png", Image.fromarray(noise()))
    with pytest.raises(InputError, match="frame="):
        load(tmp_path, frame=value)


def test_previews_that_cameras_append_to_photographs_are_no_frames(tmp_path: Path) -> None:
    photograph, preview = Image.fromarray(noise(16, 16)), Image.fromarray(noise(8, 8))
    stream = io.BytesIO()
    photograph.save(stream, "MPO", save_all=True, append_images=[preview])
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    assert load(tmp_path).shape == (3, 16, 16)
    # Both entries of the index, 16 bytes each, made the two views of a stereo pair.
    raw = bytearray(stream.getvalue())
    entry = raw.index(struct.pack("<L", 0x030000), raw.index(b"0100") + 32)
    for view in (0, 16):
        raw[entry + view : entry + view + 4] = struct.pack("<L", 0x020002)
    (tmp_path / "a.jpg").write_bytes(raw)
    with pytest.raises(InputError, match=r"a.jpg \(2 frames or pages: give frame="):
        load(tmp_path)
    assert load(tmp_path, frame=1).shape == (3, 8, 8)


def test_planes_of_a_tiff_beside_its_colours_are_refused(tmp_path: Path) -> None:
    planes = noise(bands=4)
    (tmp_path / "f").mkdir()
    Image.fromarray(planes, "RGBX").save(tmp_path / "f/a.tif")
    with pytest.raises(InputError, match=r"a.tif \(planes beside its colours"):
        load(tmp_path / "f")


# Depth and colour models


def png16(colour: int, bands: int) -> bytes:
    """A PNG of 16 bits, which Pillow reads as one of 8 if it has colours or alpha."""
    rows = b"".join(b"\0" + bytes(2 * bands * 4) for _ in range(4))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 4, 4, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff16() -> bytes:
    """An RGB TIFF of 16 bits a value, 2×2."""
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 134), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 140), (277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, 24), (284, 3, 1, 1)]
    body = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    body += b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 0)
    return body + struct.pack("<3H", 16, 16, 16) + bytes(24)


def sgi16() -> bytes:
    start = struct.pack(">HBBHHHH", 474, 0, 2, 3, 2, 2, 3).ljust(512, b"\0")
    return start + bytes(2 * 2 * 3 * 2)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("rgb.png", png16(2, 3)),
        ("rgba.png", png16(6, 4)),
        ("grey.png", png16(0, 1)),
        ("greyalpha.png", png16(4, 2)),
        ("rgb.tif", tiff16()),
        ("rgb.ppm", b"P6 2 2 65535 " + bytes(24)),
        ("twelve.ppm", b"P6 2 2 4095 " + bytes(24)),
        ("plain.ppm", b"P3 1 1 1000 1 2 3 "),
        ("grey.pgm", b"P5 2 2 1000 " + bytes(8)),
        ("float.pfm", b"Pf\n2 2\n-1.0\n" + bytes(16)),
        ("rgb.sgi", sgi16()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_of_more_than_8_bits_are_refused_also_where_pillow_would_cut_them_to_8(
    tmp_path: Path, name: str, encoded: bytes
) -> None:
    (tmp_path / name).write_bytes(encoded)
    with pytest.raises(InputError, match=rf"{name} \(pixels of more than 8 bits, mode .*as an array\)"):
        load(tmp_path)


def test_jpeg_2000_of_16_bits_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    try:
        Image.fromarray(noise(16, 16)).save(stream, "JPEG2000")
    except (KeyError, OSError):
        pytest.skip("Pillow here does not write this format")
    raw = bytearray(stream.getvalue())
    size = raw.index(b"\xff\x4f\xff\x51")
    raw[size + 42 : size + 51 : 3] = [15] * 3
    (tmp_path / "a.jp2").write_bytes(raw)
    with pytest.raises(InputError, match=r"a.jp2 \(pixels of more than 8 bits"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("picture", "name"),
    [
        (Image.fromarray(noise()).convert("CMYK"), "a.tif"),
        (Image.fromarray(noise()).convert("CMYK"), "a.jpg"),
        (Image.fromarray(noise()).convert("1"), "a.png"),
        (Image.fromarray(noise()).convert("1"), "a.tif"),
        (Image.fromarray(noise()).convert("1"), "a.pbm"),
        (Image.fromarray(noise()).convert("YCbCr"), "a.tif"),
        (Image.fromarray(noise()).quantize(7), "a.bmp"),
    ],
)
def test_other_colour_models_are_read_as_pillow_shows_them_in_rgb(
    tmp_path: Path, picture: Image.Image, name: str
) -> None:
    saved(tmp_path, name, picture)
    try:
        with Image.open(tmp_path / name) as opened:
            expected = np.asarray(opened.convert("RGB"))
    except OSError:
        pytest.skip("Pillow here does not read what it has written")
    np.testing.assert_allclose(read(tmp_path), expected, atol=1e-3)
    assert expected.std() > 10


def test_black_and_white_are_0_and_1(tmp_path: Path) -> None:
    saved(tmp_path, "a.png", Image.fromarray(np.eye(4) > 0))
    np.testing.assert_array_equal(load(tmp_path).read([0])[0].numpy(), np.stack([np.eye(4)] * 3))


# Orientation


def turned(orientation: Any, resolution: Any = None) -> bytes:
    """EXIF with an orientation and, as the smallest damage, a unit of resolution that is text."""
    entries = [(0x0112, 3, 1, struct.pack("<HH", orientation, 0))]
    if resolution is not None:
        entries.append((0x0128, 2, 4, resolution))
    body = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    body += b"".join(struct.pack("<HHI4s", *entry) for entry in entries) + struct.pack("<I", 0)
    return b"Exif\0\0" + body


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_pictures_are_turned_upright_as_viewers_show_them(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    saved(tmp_path, name, Image.fromarray(noise()), exif=exif)
    with Image.open(tmp_path / name) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    np.testing.assert_allclose(read(tmp_path), expected, atol=1e-3)
    assert load(tmp_path).shape == ((3, 6, 8) if orientation < 5 else (3, 8, 6))


def test_damaged_metadata_beside_the_orientation_do_no_harm(tmp_path: Path) -> None:
    picture = Image.fromarray(noise())
    saved(tmp_path / "sound", "a.jpg", picture, exif=turned(6))
    saved(tmp_path / "damaged", "a.jpg", picture, exif=turned(6, b"inch"))
    np.testing.assert_array_equal(read(tmp_path / "damaged"), read(tmp_path / "sound"))
    assert load(tmp_path / "damaged").shape == (3, 8, 6)


@pytest.mark.parametrize(
    "exif", [turned(0), turned(9), turned(65535), b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage" * 9]
)
def test_an_orientation_that_says_nothing_is_upright(tmp_path: Path, exif: bytes) -> None:
    saved(tmp_path / "plain", "a.jpg", Image.fromarray(noise()))
    saved(tmp_path / "odd", "a.jpg", Image.fromarray(noise()), exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "odd"), read(tmp_path / "plain"))


# Sizes


def test_a_huge_declared_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    raw = bytearray(png16(2, 3))
    raw[16:25] = struct.pack(">IIB", 60_000, 60_000, 8)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    (tmp_path / "a.png").write_bytes(raw)
    with pytest.raises(InputError, match=r"a.png \(.*exceeds limit of .* pixels.*decompression bomb"):
        load(tmp_path)


def test_drawings_films_and_scripts_under_a_suffix_of_images_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(InputError, match=r"a.png \(not an image that Pillow can read\)"):
        load(tmp_path)
