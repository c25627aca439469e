"""Folders and zips: every image in them is taken, listed or named; none is left out without a word."""

from __future__ import annotations

import io
import logging
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from probekit.errors import InputError
from probekit.images import ImageSet, load
from tests.unprivileged import without_privileges


def noise(seed: int = 0, rows: int = 6, cols: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, cols, 3), dtype=np.uint8)


def encoded(seed: int = 0, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(noise(seed)).save(stream, kind)
    return stream.getvalue()


def put(path: Path, content: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded() if content is None else content)
    return path


def zipped(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def quietly(source: Path, **options: Any) -> ImageSet:
    with warnings.catch_warnings(action="error"):
        return load(source, **options)


# Which files


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "tga", "jp2", "JP2", "pcx", "pbm", "pnm", "sgi", "qoi", "avif"])
def test_every_still_format_that_pillow_reads_is_taken(tmp_path: Path, suffix: str) -> None:
    try:
        put(tmp_path / f"a.{suffix}", encoded(0, Image.registered_extensions()[f".{suffix.lower()}"]))
    except (KeyError, OSError):
        pytest.skip("Pillow here does not write this format")
    put(tmp_path / "b.png")
    assert quietly(tmp_path).ids == (f"a.{suffix}", "b.png")


def test_links_to_folders_and_files_are_followed_and_name_classes(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/x.png")
    put(tmp_path / "f/dog/y.png")
    (tmp_path / "f/cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "f/kitten").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "f/dog/z.png").symlink_to(tmp_path / "elsewhere/x.png")
    images = quietly(tmp_path / "f")
    assert images.ids == ("cat/x.png", "dog/y.png", "dog/z.png", "kitten/x.png")
    assert images.labels == ("cat", "dog", "dog", "kitten")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    put(tmp_path / "f/a/x.png")
    put(tmp_path / "f/b/y.png")
    (tmp_path / "f/a/up").symlink_to(tmp_path / "f")
    (tmp_path / "f/b/self").symlink_to(".")
    (tmp_path / "f/a/b").symlink_to("../b")
    assert quietly(tmp_path / "f").ids == ("a/b/y.png", "a/x.png", "b/y.png")


def test_folders_of_any_depth_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = 1200  # more than Python's calls may be nested
    monkeypatch.chdir(tmp_path)
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    Path("x.png").write_bytes(encoded())
    try:
        assert quietly(tmp_path).ids == ("d/" * depth + "x.png",)
    finally:
        Path("x.png").unlink()
        for _ in range(depth):  # pytest cannot remove as deep a folder
            os.chdir("..")
            Path("d").rmdir()


LOST = [
    ("x.png", lambda p: p.symlink_to("nowhere"), "x.png", "a link that leads nowhere"),
    ("cat", lambda p: p.symlink_to("/not/mounted/cat"), "cat", "a link that leads nowhere"),
    ("x.png", lambda p: p.symlink_to("x.png"), "x.png", "Too many levels of symbolic links"),
    ("cat", lambda p: p.symlink_to("cat"), "cat", "Too many levels of symbolic links"),
    ("x.png", os.mkfifo, "x.png", "a pipe, socket or device, and no file"),
    ("x.png", lambda p: p.symlink_to("/dev/zero"), "x.png", "a pipe, socket or device, and no file"),
    ("x.png", lambda p: p.open("wb").truncate(2**31), "x.png", "2,147,483,648 bytes, more than any image file has"),
]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize(("name", "make", "named", "why"), LOST)
def test_what_leads_to_no_file_is_named_or_left_out_on_request(
    tmp_path: Path, name: str, make: Callable[[Path], Any], named: str, why: str
) -> None:
    put(tmp_path / "good.png")
    make(tmp_path / name)
    with pytest.raises(InputError, match=rf"1 of 2 files .* cannot be used: {named} \(.*{why}"):
        load(tmp_path)
    with pytest.warns(UserWarning, match=rf"left out 1 of 2 files .*{named}: .*{why}"):
        images = load(tmp_path, skip_bad=True)
    assert (images.ids, len(images.skipped)) == (("good.png",), 1)


@pytest.mark.parametrize(("locked", "why"), [("cat", "cat/"), ("cat/x.png", "cat/x.png"), ("dog", "dog/")])
def test_what_may_not_be_read_is_named_or_left_out_on_request(locked: str, why: str) -> None:
    with without_privileges() as folder:
        for name in ("cat/x.png", "dog/y.png", "z.png"):
            put(folder / name)
        mode = (folder / locked).stat().st_mode
        (folder / locked).chmod(0)
        try:
            with pytest.raises(InputError, match=rf"1 of . files .* cannot be used: {why} \(.*Permission denied"):
                load(folder)
            with warnings.catch_warnings(record=True, action="always") as told:
                images = load(folder, skip_bad=True)
            assert re.search(rf"left out 1 of . files .*{why}: .*Permission denied", str(told[0].message))
            # The class of what can be read is the same whether or not the other can.
            assert images.labels == (("cat" if locked == "dog" else "dog"), "")
            assert {one.filename for one in told} == {__file__}
            assert "1 of 2 images of" in str(told[1].message)
        finally:
            (folder / locked).chmod(mode)


def test_a_folder_or_zip_that_may_not_be_read_itself_is_refused() -> None:
    with without_privileges() as folder:
        put(folder / "f/x.png")
        zipped(folder / "z.zip", {"a.png": encoded()})
        for name in ("f", "z.zip"):
            (folder / name).chmod(0)
            with pytest.raises(InputError, match="Permission denied"):
                load(folder / name)
            (folder / name).chmod(0o700)


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 3000 + "b", "a\0b"])
def test_paths_that_cannot_be_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read|does not exist"):
        load(tmp_path / path)


# What is passed over


def test_a_few_other_files_are_passed_over_and_told_to_those_who_listen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "README.txt", "labels.csv", "LICENSE", "notes/x.txt"):
        put(tmp_path / name)
    with caplog.at_level(logging.INFO, "probekit"):
        assert quietly(tmp_path).skipped == ()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"passed over in {tmp_path}: 2 .txt, ")
    assert sorted(caplog.messages[0].split(", ")[1:]) == ["1 .csv", "1 without suffix"]


def test_one_annotation_for_each_image_is_passed_over_quietly(tmp_path: Path) -> None:
    for i in range(30):
        for suffix in ("png", "txt", "json"):
            put(tmp_path / f"{i}.{suffix}")
    assert len(quietly(tmp_path)) == 30


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "a.svg", "a.cr2", "a.jxl", "a.exr"])
def test_pictures_that_pillow_does_not_read_are_warned_of_and_listed(tmp_path: Path, name: str) -> None:
    put(tmp_path / "good.png")
    put(tmp_path / name, b"")
    suffix = Path(name).suffix.lower()
    with pytest.warns(UserWarning, match=rf"beside 1 images, .* not read: 1 {suffix}. Convert") as caught:
        assert load(tmp_path).skipped == (f"{name}: Pillow here reads no {suffix}",)
    assert caught[0].filename == __file__


def test_many_files_of_another_kind_beside_few_images_are_warned_of(tmp_path: Path) -> None:
    put(tmp_path / "logo.png")
    for i in range(50):
        put(tmp_path / f"{i}.npy", b"")
    with pytest.warns(UserWarning, match=r"beside 1 images, .* holds 50 files that are not read: 50 \.npy"):
        load(tmp_path)


def test_a_source_without_images_says_what_is_there(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / f"f/{i}.heic", b"")
    with pytest.raises(InputError, match=r"holds no image files \(.*\.png.*\); there are 3 \.heic"):
        load(tmp_path / "f")
    with pytest.raises(InputError, match=r"holds no image files .*; there are 1 \.zip"):
        load(zipped(tmp_path / "z.zip", {"inner.zip": b""}))


# Names


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"caf\xe9/x.png"])
def test_names_that_are_not_utf_8_are_refused_with_their_bytes_shown(tmp_path: Path, name: bytes) -> None:
    put(tmp_path / "f/good.png")
    put(Path(os.fsdecode(os.fsencode(tmp_path / "f") + b"/" + name)))
    with pytest.raises(InputError, match=r"1 of 2 files .*'caf\\udce9.*png' \(its path is not UTF-8") as caught:
        load(tmp_path / "f")
    str(caught.value).encode()
    with pytest.warns(UserWarning, match="left out 1 of 2 files"):
        images = load(tmp_path / "f", skip_bad=True)
    assert images.ids == ("good.png",)
    "".join(images.skipped).encode()


def test_a_folder_whose_own_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    put(folder / "a.png")
    with pytest.raises(InputError, match=r"'.*caf\\udce9' is not UTF-8"):
        load(folder)


# Zips


@pytest.mark.parametrize("top", ["", "pets\\", "data\\pets\\"])
def test_zips_with_backslashes_have_classes(tmp_path: Path, top: str) -> None:
    members = {f"{top}cat\\a.png": encoded(0), f"{top}cat\\b.png": encoded(1), f"{top}dog\\c.png": encoded(2)}
    images = quietly(zipped(tmp_path / "z.zip", {f"{top}cat\\": b"", **members}))
    above = top.replace("\\", "/")
    assert images.ids == (f"{above}cat/a.png", f"{above}cat/b.png", f"{above}dog/c.png")
    assert images.labels == ("cat", "cat", "dog")
    expected = np.stack([np.moveaxis(noise(i), -1, 0) for i in range(3)]).astype(np.float32) / 255
    np.testing.assert_array_equal(images.read([0, 1, 2]).numpy(), expected)


@pytest.mark.parametrize("folder", ["x.png/", "x.png\\", "cat/", ".hidden/"])
def test_folders_in_zips_are_no_files(tmp_path: Path, folder: str) -> None:
    assert quietly(zipped(tmp_path / "z.zip", {folder: b"", "a.png": encoded()})).ids == ("a.png",)


@pytest.mark.parametrize("name", ["/abs/a.png", "../up/a.png", "./here/a.png", "C:\\pets\\a.png", "katzen/ü 猫.png"])
def test_names_in_zips_are_only_names_wherever_they_seem_to_lead(tmp_path: Path, name: str) -> None:
    images = quietly(zipped(tmp_path / "z.zip", {name: encoded(3)}))
    assert images.ids == (name.replace("\\", "/"),)
    np.testing.assert_array_equal(images.read([0])[0].numpy(), np.moveaxis(noise(3), -1, 0).astype(np.float32) / 255)


def test_two_names_that_become_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cat/a\.png.* more than once"):
        load(zipped(tmp_path / "z.zip", {"cat/a.png": encoded(0), "cat\\a.png": encoded(1)}))


def test_members_written_as_a_stream_are_read(tmp_path: Path) -> None:
    class Stream(io.RawIOBase):  # Without seeking, sizes and checksums follow the data.
        def __init__(self) -> None:
            self.parts: list[bytes] = []

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.parts.append(bytes(data))
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", encoded())
    put(tmp_path / "z.zip", b"".join(stream.parts))
    assert quietly(tmp_path / "z.zip").ids == ("a.png",)


def test_a_link_and_a_bomb_in_a_zip_are_named(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", encoded())
        archive.writestr(link, "a.png")
        archive.writestr("bomb.png", bytes(2**20))
    raw = bytearray((tmp_path / "z.zip").read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = (2**30 + 1).to_bytes(4, "little")
    put(tmp_path / "z.zip", raw)
    with pytest.raises(InputError, match=r"bomb.png \(1,073,741,825 bytes.*link.png \(a symbolic link"):
        load(tmp_path / "z.zip")


def test_a_zip_with_a_damaged_directory_is_refused(tmp_path: Path) -> None:
    raw = bytearray(zipped(tmp_path / "z.zip", {"a.png": encoded()}).read_bytes())
    raw[raw.index(b"PK\x01\x02")] = 0
    put(tmp_path / "z.zip", raw)
    with pytest.raises(InputError, match=r"z.zip is a damaged zip"):
        load(tmp_path / "z.zip")


# Changes after loading


@pytest.fixture(params=["folder", "zip"])
def three(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[dict[str, bytes]], None]]:
    """A source of three images, and what replaces its content by that of others."""
    if request.param == "zip":

        def replace(content: dict[str, bytes]) -> None:
            (tmp_path / "new.zip").unlink(missing_ok=True)
            zipped(tmp_path / "new.zip", content).replace(tmp_path / "z.zip")

        path = tmp_path / "z.zip"
    else:

        def replace(content: dict[str, bytes]) -> None:
            for old in (tmp_path / "f").glob("*"):
                old.unlink()
            for name, data in content.items():
                put(tmp_path / "f" / name, data)

        path = tmp_path / "f"
    replace({f"{i}.png": encoded(i) for i in range(3)})
    return path, replace


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("1.png", encoded(7), "its content is another"),
        ("1.png", b"", "its content is another"),
        ("1.png", b"no image", "its content is another"),
        ("1.png", None, "it is not there"),
    ],
)
@pytest.mark.parametrize("positions", [[1], [0, 1, 2], [2, 1]])
def test_a_file_that_changed_since_loading_is_named_when_read(
    three: Any, name: str, content: bytes | None, why: str, positions: list[int]
) -> None:
    path, replace = three
    images = load(path)
    left = {f"{i}.png": encoded(i) for i in (0, 2)}
    replace(left | ({} if content is None else {name: content}))
    with pytest.raises(InputError, match=rf"^1.png \({why}\): changed in .* since the images were loaded: put back"):
        images.read(positions)
    assert images.read([2]).shape == (1, 3, 6, 8)


def test_a_source_that_was_touched_moved_and_put_back_is_still_the_same(three: Any) -> None:
    path, replace = three
    images = load(path)
    before = images.read([0, 1, 2])
    away = path.with_name("away")
    path.rename(away)
    with pytest.raises(InputError, match=r"0\.png \(.*2\.png \(.*changed in .* since the images were loaded"):
        images.read([0, 1, 2])
    away.rename(path)
    os.utime(path, (0, 0))
    assert torch.equal(images.read([0, 1, 2]), before)
    replace({f"{i}.png": encoded(i) for i in range(5)})
    assert torch.equal(images.read([0, 1, 2]), before)


def test_a_zip_overwritten_by_something_else_is_named(three: Any) -> None:
    path, _ = three
    images = load(path)
    if path.is_dir():
        pytest.skip("a folder is not overwritten")
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"0.png \(.*damaged zip.*changed in .* since the images were loaded"):
        images.read([0])


def test_links_from_each_folder_to_each_other_are_refused_at_once_and_a_few_ways_are_followed(tmp_path: Path) -> None:
    farm = tmp_path / "farm"
    for name in "abcdefgh":
        (farm / name).mkdir(parents=True)
        put(farm / name / "x.png")
        for other in "abcdefgh":
            if other != name:
                (farm / name / other).symlink_to(farm / other)
    with pytest.raises(InputError, match=r"lead to the folder .*farm/\w in more than 100 ways: load the folders"):
        load(farm)
    (tmp_path / "view").mkdir()
    for name in ("first", "second"):
        (tmp_path / "view" / name).symlink_to(farm / "a")
    for other in "bcdefgh":
        (farm / "a" / other).unlink()
    assert load(tmp_path / "view").ids == ("first/x.png", "second/x.png")
