"""What tells one set's content from another's, and where a set comes from."""

from __future__ import annotations

import os
import shutil
import zipfile
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
    sources = (folder, copy, tmp_path / "z.zip", pixels(), pixels().astype(np.float32) / np.float32(255))
    assert len({load(source).fingerprint() for source in sources}) == 1


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 130])
def test_a_fingerprint_tells_one_changed_value_in_the_first_or_last_image(count: int) -> None:
    images = pixels(count, side=2)
    prints = {load(images).fingerprint()}
    for index in {0, count - 1}:
        changed = images.copy()
        changed[index, 0, 1, 1] ^= 1
        prints.add(load(changed).fingerprint())
    assert len(prints) == len({0, count - 1}) + 1


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


def test_of_many_images_at_most_64_are_read() -> None:
    seen = []
    load(pixels(1000, side=2)).watched(lambda batch: seen.append(len(batch))).fingerprint()
    assert 60 <= sum(seen) <= 64


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
