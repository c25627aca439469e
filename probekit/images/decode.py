"""One file's pixels: what Pillow reads of it, upright, opaque, one picture of 8 bits, or an error that says why not."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from probekit.checks import given, is_real, listed, number, unwrapped
from probekit.errors import InputError
from probekit.images.quiet import QUIET
from probekit.images.resize import area_means, centre, scaled
from probekit.images.unusable import Unusable, reason
from probekit.machine.memory import refuse_array

__all__ = ["Preparation", "colour", "formats", "suffixes"]

# Drawings, films, and containers of something else: Pillow knows their suffixes, but no pixels are in them.
NO_PICTURES = frozenset({"EPS", "WMF", "MPEG", "IPTC", "BUFR", "GRIB", "HDF5"})
# Their further "frames" are layers or sizes of the one picture.
ONE_PICTURE = frozenset({"PSD", "ICO", "ICNS", "CUR"})
ORIENTATION = 0x0112
# What to do with the stored picture, by its orientation in EXIF; all else is upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# ITU-R 601, in units of 2⁻¹⁶ that sum to 1, so that grey stays what it is.
LUMA = np.array([19595, 38470, 7471]) / 2**16
TIFF_BITS, TIFF_EXTRA, TIFF_SAMPLES = 258, 338, 339
# Of TIFF's kinds of samples, whole numbers with a sign.
SIGNED = 2
# Modes of 16 bits for all colours of a pixel, 5, 6 and 5.
PACKED = ("BGR;16", "RGB;16")


@cache
def formats() -> dict[str, tuple[str, ...]]:
    """The formats of still pictures that Pillow here reads, each with its suffixes, common ones first."""
    Image.init()
    found: dict[str, list[str]] = {name: [] for name in ("JPEG", "PNG")}
    for suffix, registered in Image.registered_extensions().items():
        # An MPO is opened as a JPEG, of which it is an extension.
        name = "JPEG" if registered == "MPO" else registered
        if name in Image.OPEN and name not in NO_PICTURES:
            found.setdefault(name, []).append(suffix)
    return {name: tuple(sorted(of)) for name, of in found.items()}


@cache
def suffixes() -> frozenset[str]:
    """The suffixes, in small letters, of the files that are taken for images."""
    return frozenset(suffix.lower() for of in formats().values() for suffix in of)


class Preparation(NamedTuple):
    """What is done to every file.

    (rows, cols or None) to resize to, (rows, cols or None) to cut, colour planes, what transparent pixels lie on, which
    picture of several.
    """

    size: tuple[int, int | None] | None
    crop: tuple[int, int | None] | None
    bands: int
    background: tuple[float, float, float] | None = None
    frame: int | None = None

    def __str__(self) -> str:
        framed = "" if self.frame is None else f"frame {self.frame}, "
        behind = "" if self.background is None else "over ({:g}, {:g}, {:g}), ".format(*self.background)
        resized = "" if self.size is None else f"area averages to {self.size[0]}×{self.size[1] or 'any'}, "
        cropped = "" if self.crop is None else f"crop {self.crop[0]}×{self.crop[1] or self.crop[0]}, "
        return f"{framed}{behind}{resized}{cropped}{'RGB' if self.bands == 3 else 'grey'} / 255"

    def decoded(self, encoded: bytes) -> np.ndarray:
        """The picture (rows, cols, 3) in the file's own size: uint8, or float64 where it was laid on a background.

        Raises
        ------
        Unusable
            If it cannot be read, or holds more than such a picture; the message says why.
        """
        with (
            QUIET,
            _explained(),
            Image.open(io.BytesIO(encoded), formats=list(formats())) as opened,
        ):
            self._choose(opened)
            _refuse_what_would_be_lost(opened, encoded)
            opened.load()
            return _over(_upright(opened), self.background)

    def shape(self, pixels: np.ndarray) -> tuple[int, int, int]:
        """(bands, rows, cols) of what `prepared` makes of a picture.

        Raises
        ------
        ValueError
            If it would be too large, or the crop is larger than it.
        CapacityError
            If resizing it would not fit in memory.
        """
        rows, cols = scaled(pixels.shape[0], pixels.shape[1], self.size)
        if self.size is not None:
            # Sums and means, each in double precision.
            refuse_array((rows, cols, 3, 2), 8, hint="give a smaller size=")
        kept = centre(rows, cols, self.crop)
        return self.bands, kept[0].stop - kept[0].start, kept[1].stop - kept[1].start

    def prepared(self, pixels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """A decoded picture resized, cut and, where asked for, grey: float32 (bands, rows, cols) in [0, 1].

        It is written to `out`, if that is given.
        """
        rows, cols = scaled(pixels.shape[0], pixels.shape[1], self.size)
        if (rows, cols) != pixels.shape[:2]:
            pixels = area_means(pixels, rows, cols)
        pixels = pixels[centre(rows, cols, self.crop)]
        if self.bands == 1:
            pixels = (pixels @ LUMA)[..., None]
        moved = np.moveaxis(pixels, -1, 0)
        if out is None:
            out = np.empty(moved.shape, np.float32)
        # Where it is to be, since each array on the way would take longer to get than to fill.
        precise = np.float32 if pixels.dtype == np.uint8 else np.float64
        return np.divide(moved, precise(255), out=out, dtype=precise, casting="same_kind")

    def _choose(self, opened: Image.Image) -> None:
        count = _frames(opened)
        if self.frame is None and count > 1:
            raise Unusable(f"{count} frames or pages: give frame=, 0 for the first")
        if self.frame is not None and self.frame >= count:
            raise Unusable(f"there is no frame {self.frame}, counted from 0, in a file of {count}")
        if self.frame:
            opened.seek(self.frame)


def colour(name: str, value: Any) -> tuple[float, float, float] | None:
    """A grey level or an RGB triple, in [0, 1], as a triple; None of None.

    Raises
    ------
    InputError
        If it is something else.
    """
    what = "a grey level from 0 to 1, or three of red, green and blue"
    if value is None:
        return None
    if is_real(unwrapped(value)):
        grey = number(name, value, what, good=lambda v: 0 <= v <= 1)
        return grey, grey, grey
    parts = listed(name, value, what, most=3)
    if len(parts) != 3:
        raise InputError(f"{given(name, value)}: give {what}")
    red, green, blue = (number(name, part, what, good=lambda v: 0 <= v <= 1) for part in parts)
    return red, green, blue


@contextmanager
def _explained() -> Iterator[None]:
    """Whatever Pillow raises of a damaged file, as one kind of error: there is no end to what that may be."""
    try:
        yield
    except Unusable:
        raise
    except UnidentifiedImageError:
        raise Unusable("not an image that Pillow can read") from None
    except Exception as error:
        raise Unusable(reason(error)) from error


def _frames(opened: Image.Image) -> int:
    """How many pictures there are to choose from."""
    if opened.format in ONE_PICTURE or not getattr(opened, "is_animated", False):
        return 1
    if opened.format == "MPO":
        # Cameras append previews to a photograph; only views that were taken as a series are a choice.
        entries: Sequence[Any] = getattr(opened, "mpinfo", {}).get(0xB002, ())
        return max(1, sum("Multi-Frame" in str(entry["Attribute"]["MPType"]) for entry in entries))
    return int(getattr(opened, "n_frames", 1))


def _refuse_what_would_be_lost(opened: Image.Image, encoded: bytes) -> None:
    """Refuse what Pillow would cut to 8 bits, or leave out, without a word."""
    if _deep(opened, encoded):
        raise Unusable(f"pixels of more than 8 bits, mode {opened.mode}: read such files yourself, as an array")
    # Pillow takes what is left of such a file for grey.
    if opened.format == "PCX" and encoded[3] == 8 and encoded[65] == 1 and encoded[-769:-768] != b"\x0c":
        raise Unusable("its palette is cut off")
    # Versions of Pillow before 12 fill with black what is missing behind the 128 bytes of the header.
    for codec, _, _, arguments in getattr(opened, "tile", ()):
        if codec == "dds_rgb" and len(encoded) < 128 + opened.width * opened.height * arguments[0] // 8:
            raise Unusable("its pixels are cut off")
    tags = getattr(opened, "tag_v2", {})
    # Pillow takes −128 for 128, or for 0.
    if SIGNED in _each(tags.get(TIFF_SAMPLES, 1)) or any(size & 0x80 for size in _jpeg2000_sizes(opened, encoded)):
        raise Unusable("pixels with a sign, which are no values from 0 to 255: read such files yourself, as an array")
    if (TIFF_EXTRA in tags and not opened.has_transparency_data) or opened.mode == "RGBX":
        raise Unusable("planes beside its colours, of which nobody says what they are: save it without them")


def _deep(opened: Image.Image, encoded: bytes) -> bool:
    """Whether a value of the file has more than 8 bits; Pillow reads colours of 16 bits as 8."""
    if opened.mode.startswith(("I", "F")):
        return True
    if opened.format == "TIFF":
        return max(_each(opened.tag_v2.get(TIFF_BITS, 8))) > 8  # pyright: ignore[reportAttributeAccessIssue]
    if opened.format == "JPEG2000":
        return any(size & 0x7F > 7 for size in _jpeg2000_sizes(opened, encoded))
    if opened.format == "AVIF":
        # The property pixi: version and flags, the number of channels, the depth of each.
        start = encoded.find(b"pixi")
        return start >= 0 and encoded[start + 9] > 8
    return any(_deep_tile(tile[0], _each(tile[3])) for tile in getattr(opened, "tile", ()))


def _jpeg2000_sizes(opened: Image.Image, encoded: bytes) -> list[int]:
    """Ssiz of each component, its depth less 1, and 128 more if it has a sign; of other formats none."""
    if opened.format != "JPEG2000":
        return []
    # The marker SIZ, in which their number comes before the components, of three bytes each.
    start = encoded.find(b"\xff\x4f\xff\x51")
    count = int.from_bytes(encoded[start + 40 : start + 42])
    return list(encoded[start + 42 : start + 42 + 3 * count : 3])


def _deep_tile(codec: str, arguments: tuple[Any, ...]) -> bool:
    if codec in ("ppm", "ppm_plain"):
        return isinstance(arguments[-1], int) and arguments[-1] > 255
    if codec == "sgi_rle":
        return arguments[-1] == 2
    return codec == "SGI16" or any(isinstance(a, str) and ";16" in a and a not in PACKED for a in arguments)


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF or XMP says; upright already where these cannot be read."""
    try:
        turn = UPRIGHT.get(picture.getexif().get(ORIENTATION, 1))
    except Exception:
        # There is no end to what damaged metadata raise, and pixels do not depend on them.
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _over(picture: Image.Image, background: tuple[float, float, float] | None) -> np.ndarray:
    """The colours (rows, cols, 3), laid over the background where some pixel is not opaque."""
    if not picture.has_transparency_data:
        return np.asarray(picture.convert("RGB"))
    if picture.mode == "La":
        picture = picture.convert("LA")
    layers = np.asarray(picture.convert("RGBA"))
    if layers[..., 3].min() == 255:
        return layers[..., :3]
    if background is None:
        raise Unusable("transparent pixels, whose colours nobody is meant to see: give background=, e.g. 1 for white")
    alpha = layers[..., 3:] / 255
    return layers[..., :3] * alpha + 255 * np.asarray(background) * (1 - alpha)
