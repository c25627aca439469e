"""Patches of photographs: where they lie, what they are called, which are left out, and what equalising takes away."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import probekit
from analyses import textures
from probekit.errors import InputError

RNG = np.random.default_rng(0)


def saved(folder: Path, name: str, rows: int, cols: int) -> np.ndarray:
    """A file of noise, and its pixels in [0, 1]."""
    pixels = RNG.integers(0, 256, (rows, cols, 3), np.uint8)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return pixels.astype(np.float32) / 255


@given(st.integers(8, 40), st.integers(8, 40), st.integers(1, 9), st.sampled_from([None, 2, 5]), st.integers(0, 9))
def test_patches_are_squares_of_their_photograph_at_the_place_that_their_id_says_and_do_not_overlap(
    rows: int, cols: int, size: int, each: int | None, seed: int
) -> None:
    photographs = np.random.default_rng(seed).random((2, 3, rows, cols)).astype(np.float32)
    if (rows // size) * (cols // size) < 2 or size < 2:
        return
    found = textures.patches(photographs, size=size, side=None, each=each, seed=seed)
    taken = np.zeros((2, rows, cols), int)
    for name, label, pixels in zip(found.ids, found.labels or (), found.read(range(len(found))), strict=True):
        photograph, place = name.split("#")
        row, col = map(int, place.split(","))
        assert photograph == label
        square = np.s_[int(photograph), ..., row : row + size, col : col + size]
        np.testing.assert_array_equal(pixels, photographs[square])
        taken[square] += 1
    room = (rows // size) * (cols // size)
    assert taken.max() == 1
    assert (taken.sum(axis=(1, 2)) == (room if each is None else min(each, room)) * size**2).all()


def test_files_of_all_sizes_and_proportions_give_what_room_there_is_at_one_short_side(tmp_path: Path) -> None:
    pixels = saved(tmp_path, "a/square.png", 32, 32)
    saved(tmp_path, "b/wide.png", 16, 48)
    saved(tmp_path, "tall.png", 96, 32)
    found = textures.patches(tmp_path, size=8, side=16, each=None)
    # 16×16, 16×48 and 48×16 hold 2·2, 2·6 and 6·2 squares of 8.
    assert {name: (found.labels or ()).count(name) for name in found.labels or ()} == {
        "a/square.png": 4,
        "b/wide.png": 12,
        "tall.png": 12,
    }
    means = pixels[:16, :16].reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found.sel(image="a/square.png#0,0").read([0])[0].permute(1, 2, 0), means, atol=1e-6)


def test_a_zip_a_folder_and_a_list_of_the_same_files_give_the_same_patches(tmp_path: Path) -> None:
    names = ["one.png", "two.png"]
    for name in names:
        saved(tmp_path / "folder", name, 20, 30)
    with zipfile.ZipFile(tmp_path / "photographs.zip", "w") as packed:
        for name in names:
            packed.write(tmp_path / "folder" / name, name)
    folder, packed, listed = (
        textures.patches(source, size=8, side=20, each=None)
        for source in (tmp_path / "folder", str(tmp_path / "photographs.zip"), [tmp_path / "folder" / n for n in names])
    )
    assert folder.ids == packed.ids
    assert [name.rpartition("/")[2] for name in listed.ids] == list(folder.ids)
    for other in (packed, listed):
        torch.testing.assert_close(folder.read(range(12)), other.read(range(12)), atol=0, rtol=0)
    assert folder.fingerprint() == packed.fingerprint()


def test_which_patches_are_drawn_depends_on_the_photograph_and_the_seed_alone() -> None:
    photographs = probekit.images.load(RNG.random((4, 1, 24, 24)), ids=list("abcd"))
    ids = {seed: set(textures.patches(photographs, size=6, side=None, each=4, seed=seed).ids) for seed in (0, 1)}
    turned = textures.patches(photographs[[3, 1]], size=6, side=None, each=4)
    assert set(turned.ids) == {name for name in ids[0] if name[0] in "bd"}
    assert ids[0] != ids[1]


def test_a_photograph_of_fewer_than_two_patches_is_left_out_with_a_warning_that_names_it(tmp_path: Path) -> None:
    saved(tmp_path, "large.png", 20, 20)
    saved(tmp_path, "square.png", 12, 12)
    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(tmp_path / "flat.png")
    with pytest.warns(UserWarning, match=r"left out 2 of 3 .*: flat.png \(without contrast\), square.png \(12×12\)"):
        found = textures.patches(tmp_path, size=8, side=None, each=None)
    assert set(found.labels or ()) == {"large.png"}


def test_no_patch_at_all_is_an_error_that_says_how_to_mend_it() -> None:
    with pytest.raises(InputError, match=r"none of 2 photographs gives two patches of 8×8 pixels: .*give a smaller"):
        textures.patches(RNG.random((2, 1, 10, 10)), size=8, side=None)


def test_images_in_memory_are_resized_and_made_grey_as_files_are(tmp_path: Path) -> None:
    pixels = saved(tmp_path, "0.png", 24, 32)
    read = textures.patches(tmp_path, size=6, side=12, each=None, bands=1)
    held = textures.patches(np.moveaxis(pixels, -1, 0)[None], size=6, side=12, each=None, bands=1)
    torch.testing.assert_close(read.read(range(4)), held.read(range(4)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bands", [1, 3])
@given(gain=st.floats(0.1, 0.9), shift=st.floats(0, 0.1), seed=st.integers(0, 99))
def test_equalised_images_have_one_mean_and_deviation_whatever_their_brightness_and_contrast(
    bands: int, gain: float, shift: float, seed: int
) -> None:
    images = np.random.default_rng(seed).random((3, 3, 8, 8))
    plain = textures.equalised(images, bands=bands, sd=0.2).read(range(3))
    changed = textures.equalised(gain * images + shift, bands=bands, sd=0.2).read(range(3))
    # Single precision of the images, enlarged as the contrast is.
    torch.testing.assert_close(plain, changed, atol=2e-5, rtol=0)
    assert plain.shape == (3, bands, 8, 8)
    np.testing.assert_allclose(plain.mean(dim=(1, 2, 3)), 0.5, atol=1e-6)
    np.testing.assert_allclose(plain[:, 0].std(dim=(1, 2), correction=0), 0.2, atol=1e-6)
    assert all((plain[:, 0] == band).all() for band in plain.unbind(1))


def test_few_pixels_of_equalised_images_leave_the_range_of_intensities() -> None:
    images = (RNG.random((20, 1, 16, 16)) > 0.98).astype(float)
    images[:, :, 0, 0] = 1
    outside = textures.equalised(images).read(range(20))
    assert 0 < ((outside < 0) | (outside > 1)).double().mean(dim=(1, 2, 3)).max() <= 0.09


def test_an_image_without_contrast_is_named() -> None:
    images = RNG.random((3, 1, 8, 8))
    images[1] = 0.5
    with pytest.raises(InputError, match=r"1 of .* have no contrast that could be made equal"):
        textures.equalised(images)
