"""What tells one set's content from another's, and where a set comes from."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from probekit.images import ImageSet, concatenate, load


def pixels(n: int = 3, side: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8)


def written(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(np.moveaxis(image, 0, -1)).save(folder / f"{i:03}.png")
    return folder


def test_a_fingerprint_is_of_the_content_and_not_of_place_name_or_time(tmp_path: Path) -> None:
    folder = written(tmp_path / "here", pixels())
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere/there"))
    os.utime(copy / "000.png", (0, 0))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    for alike in (
        [folder, copy, tmp_path / "z.zip"],
        [pixels(), pixels().astype(np.float32) / np.float32(255)],
    ):
        assert len({load(source).fingerprint() for source in alike}) == 1


def test_a_fingerprint_tells_one_changed_value_in_any_image(tmp_path: Path) -> None:
    images, count = pixels(40, side=2), 40
    folder = written(tmp_path / "here", images)
    prints = {load(images).fingerprint(), load(folder).fingerprint()}
    for index in range(count):
        changed = images.copy()
        changed[index, 0, 1, 1] ^= 1
        prints |= {load(changed).fingerprint(), load(changed)[[*range(count)]].fingerprint()}
        before = (folder / f"{index:03}.png").read_bytes()
        Image.fromarray(np.moveaxis(changed[index], 0, -1)).save(folder / f"{index:03}.png")
        prints |= {load(folder).fingerprint()}
        (folder / f"{index:03}.png").write_bytes(before)
    assert len(prints) == 2 * (count + 1)


def test_a_fingerprint_of_files_is_the_sum_that_stores_have_kept(tmp_path: Path) -> None:
    """Of the number, the shape, what is done and the checksums, written as Python writes a tuple."""
    folder = written(tmp_path / "here", pixels(3))
    for images in (load(folder), load(folder)[:1]):
        sums = tuple(zlib.crc32((folder / name).read_bytes()) for name in images.ids)
        said = f"{len(images)} (3, 6, 6)RGB / 255 {sums}"
        assert images.fingerprint() == hashlib.sha256(said.encode()).hexdigest()


def test_parts_and_joined_sets_of_files_have_prints_of_their_own_files(tmp_path: Path) -> None:
    first, second = (load(written(tmp_path / name, pixels(4, seed=k))) for k, name in enumerate("ab"))
    joined = concatenate([first, second])
    assert joined[:4].fingerprint() == first.fingerprint() != second.fingerprint() == joined[4:].fingerprint()
    assert joined.fingerprint() != concatenate([second, first]).fingerprint()
    assert concatenate([first, load(pixels(4, seed=1))]).fingerprint() != joined.fingerprint()


def test_a_fingerprint_tells_order_number_shape_and_preparation(tmp_path: Path) -> None:
    images, folder = pixels(4), written(tmp_path / "here", pixels(4))
    constant = np.zeros((2, 1, 2, 3))
    sources: list[ImageSet] = [
        load(images),
        load(images[::-1].copy()),
        load(images[:3]),
        load(folder, size=3),
        load(folder, crop=3),
        load(folder, bands=1),
        load(constant),
        load(constant.reshape(2, 1, 3, 2)),
        load(np.zeros((3, 1, 2, 3))),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)


def test_of_large_sets_in_memory_256_images_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    images = load(pixels(1000, side=2)).watched(lambda batch: seen.append(len(batch)))
    images.fingerprint()
    assert sum(seen) == 1000
    monkeypatch.setattr("probekit.images.imageset.FINGERPRINTED_BYTES", 1000)
    seen.clear()
    images.fingerprint()
    assert sum(seen) == 256


def test_the_origin_is_the_whole_path_of_folder_or_zip_and_empty_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "here", pixels())
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    images = load("link")
    assert images.origin == str(folder.resolve())
    assert (images.name, load(pixels()).origin) == ("link", "")
    assert images.subset([0]).origin == images.origin
    other = load(written(tmp_path / "other", pixels()))
    assert concatenate([images, other, load(pixels())]).origin == f"{images.origin}; {other.origin}"
