"""Image sources: every kind of source gives the same images, and what cannot be used is named."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from sklearn.datasets import load_sample_image
from torch.utils.data import IterableDataset, Subset, TensorDataset

from probekit.errors import InputError
from probekit.images import ImageSet, concatenate, load
from probekit.images.samples import photographs
from tests.probekit.images.making import Items

EIGHT_BIT = hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 4)] * 4))


def pixels(n: int = 3, bands: int = 3, rows: int = 6, cols: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, bands, rows, cols), dtype=np.uint8)


def write(path: Path, image: np.ndarray, **options: Any) -> Path:
    """Save (rows, cols), (rows, cols, 3) or (3, rows, cols) as the format that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.moveaxis(image, 0, -1) if image.ndim == 3 and image.shape[0] == 3 else image).save(
        path, **options
    )
    return path


def encoded(image: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.moveaxis(image, 0, -1)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images in two class folders, written in no particular order."""
    for name, image in zip(("dog/b.png", "cat/x.png", "cat/a.bmp"), pixels(), strict=True):
        write(tmp_path / "pets" / name, image)
    return tmp_path / "pets"


def zipped(folder: Path, target: Path, top: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(target, "w", compression) as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, top + path.relative_to(folder).as_posix())
    return target


def everything(images: ImageSet) -> torch.Tensor:
    return images.read(range(len(images)))


# Arrays and tensors


@given(EIGHT_BIT)
def test_uint8_arrays_and_tensors_are_divided_by_255(array: np.ndarray) -> None:
    expected = torch.from_numpy(array).float() / 255
    for source in (array, torch.from_numpy(array)):
        images = load(source)
        assert images.shape == array.shape[1:]
        assert everything(images).dtype == torch.float32
        assert torch.equal(everything(images), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_taken_as_they_are_whatever_their_range(dtype: type) -> None:
    array = np.random.default_rng(0).uniform(-3, 300, (2, 1, 4, 5)).astype(dtype)
    for source in (array, torch.from_numpy(array), torch.from_numpy(array).requires_grad_()):
        read = everything(load(source))
        assert not read.requires_grad
        np.testing.assert_array_equal(read.numpy(), array.astype(np.float32))


@pytest.mark.parametrize(
    "view",
    [lambda a: a[:, :, ::-1], lambda a: a.transpose(0, 1, 3, 2), lambda a: a[::2]],
    ids=["negative strides", "transposed", "strided"],
)
def test_views_of_arrays_are_read_as_numpy_shows_them(view: Callable[[np.ndarray], np.ndarray]) -> None:
    array = view(pixels())
    np.testing.assert_array_equal(everything(load(array)).numpy(), array.astype(np.float32) / 255)


def test_read_only_arrays_are_taken_without_a_warning() -> None:
    array = pixels()
    array.flags.writeable = False
    np.testing.assert_array_equal(everything(load(array)).numpy(), array.astype(np.float32) / 255)


def test_arrays_of_foreign_byte_order_are_read_right() -> None:
    array = np.random.default_rng(0).random((2, 1, 3, 4))
    np.testing.assert_array_equal(everything(load(array.astype(">f4"))).numpy(), array.astype(np.float32))


@given(st.lists(st.integers(0, 4), max_size=6))
def test_images_are_read_at_the_positions_asked_for(positions: list[int]) -> None:
    array = pixels(5)
    assert torch.equal(load(array).read(positions), torch.from_numpy(array[positions]).float() / 255)


def test_ids_are_positions_and_there_are_no_labels_by_default() -> None:
    images = load(pixels(3))
    assert (images.ids, images.labels, images.skipped, len(images)) == (("0", "1", "2"), None, (), 3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 8, 8)), r"shape \(3, 8, 8\): give \(N, C, H, W\); for one image write images\[None\]"),
        (torch.zeros(8, 8), r"shape \(8, 8\): give \(N, C, H, W\)$"),
        (np.zeros((0, 3, 8, 8)), r"shape \(0, 3, 8, 8\): there is nothing in them"),
        (torch.zeros(2, 3, 0, 8), r"shape \(2, 3, 0, 8\): there is nothing in them"),
        (np.zeros((1, 3, 4, 4), np.int64), r"images are int64: give floats .* or uint8 in 0…255"),
        (np.zeros((1, 3, 4, 4), np.uint16), r"images are uint16: give floats .* or uint8"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.bool), r"images are torch.bool: give floats"),
        (np.zeros((1, 3, 4, 4), np.complex64), r"images are complex64: give floats"),
        (np.zeros((1, 3, 4, 4), object), r"images are object: give floats"),
        ([np.zeros((3, 4, 4))], r"read from a list: give an array .* stack lists with numpy.stack"),
        (None, r"read from a NoneType: give an array"),
        (7, r"read from a int: give an array"),
    ],
)
def test_what_holds_no_batch_of_images_is_refused(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_images_with_values_that_are_not_finite_are_named_when_read(bad: float) -> None:
    array = np.zeros((4, 1, 2, 2))
    array[1, 0, 1, 0] = array[3, 0, 0, 0] = bad
    images = load(array, ids=["a", "b", "c", "d"])
    assert torch.equal(images.read([0, 2]), torch.zeros(2, 1, 2, 2))
    with pytest.raises(InputError, match=r"^d, b of ndarray .* hold NaN or infinite values: remove or mend them"):
        images.read([3, 0, 1])


# Labelled arrays


@given(order=st.permutations(["image", "band", "row", "col"]), array=EIGHT_BIT)
def test_labelled_arrays_are_read_by_dim_names_in_any_order(order: list[str], array: np.ndarray) -> None:
    n = len(array)
    ids, labels = [f"id{i}" for i in range(n)], [f"class{i % 2}" for i in range(n)]
    source = xr.DataArray(
        array, dims=("image", "band", "row", "col"), coords={"image": ids, "label": ("image", labels)}
    )
    images = load(source.transpose(*order))
    assert (images.ids, images.labels) == (tuple(ids), tuple(labels))
    assert torch.equal(everything(images), torch.from_numpy(array).float() / 255)


def test_a_labelled_array_without_coordinates_has_positions_as_ids() -> None:
    images = load(xr.DataArray(pixels(2), dims=("image", "band", "row", "col"), name="mine"))
    assert (images.ids, images.labels, images.name) == (("0", "1"), None, "mine")


def test_one_label_for_a_whole_labelled_array_is_given_to_every_image() -> None:
    source = xr.DataArray(pixels(2), dims=("image", "band", "row", "col"), coords={"label": "cat"})
    assert load(source).labels == ("cat", "cat")


def test_a_labelled_array_of_other_dims_is_refused_with_both_lists() -> None:
    with pytest.raises(InputError, match=r"dims \('image', 'channel', 'row', 'col'\): rename .*'band'"):
        load(xr.DataArray(pixels(2), dims=("image", "channel", "row", "col")))


def test_a_dataset_of_labelled_arrays_is_refused() -> None:
    source = xr.Dataset({"photos": xr.DataArray(pixels(2), dims=("image", "band", "row", "col"))})
    with pytest.raises(InputError, match="Dataset"):
        load(source)


# Ids and labels


@pytest.mark.parametrize(
    "ids", [["a", "b", "c"], (7, 8, 9), np.array([7, 8, 9]), np.array(["x", "y", "z"]), torch.tensor([7, 8, 9])]
)
def test_ids_and_labels_are_made_strings(ids: Any) -> None:
    images = load(pixels(3), ids=ids, labels=ids)
    plain = ids.tolist() if hasattr(ids, "tolist") else ids
    assert images.ids == images.labels == tuple(map(str, plain))


def test_given_ids_and_labels_replace_those_of_the_source(folder: Path) -> None:
    images = load(load(folder), ids=[1, 2, 3], labels=["u", "v", "u"])
    assert (images.ids, images.labels) == (("1", "2", "3"), ("u", "v", "u"))
    assert torch.equal(everything(images), everything(load(folder)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ids": ["a", "b", "a"]}, r"ids a of ndarray .* occur more than once: .* must be unique"),
        ({"ids": [1, "1", 2]}, r"ids 1 of .* more than once"),
        ({"ids": ["a", "b"]}, r"2 ids for 3 images: give one per image"),
        ({"labels": ["a"] * 4}, r"4 labels for 3 images: give one per image"),
        ({"size": 4}, r"size=4 does not apply here: only image files"),
        ({"crop": 4, "bands": 1, "skip_bad": True}, r"crop=4, bands=1, skip_bad=True does not apply here: only image"),
    ],
)
def test_options_that_do_not_fit_an_array_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(pixels(3), **options)


# Folders and zips


def test_a_folder_is_read_in_order_of_its_paths_with_class_folders_as_labels(folder: Path) -> None:
    images = load(folder)
    assert images.name == "pets"
    assert images.ids == ("cat/a.bmp", "cat/x.png", "dog/b.png")
    assert images.labels == ("cat", "cat", "dog")
    np.testing.assert_array_equal(everything(images).numpy(), pixels()[[2, 1, 0]].astype(np.float32) / 255)


def test_a_path_written_as_text_is_a_path(folder: Path) -> None:
    assert load(str(folder)).ids == load(folder).ids


@pytest.mark.parametrize("top", ["", "pets/", "data/pets/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_like_its_folder_whatever_folders_all_its_files_share(
    folder: Path, tmp_path: Path, top: str, compression: int
) -> None:
    images, reference = load(zipped(folder, tmp_path / "z.zip", top, compression)), load(folder)
    assert images.ids == tuple(top + i for i in reference.ids)
    assert (images.name, images.labels) == ("z.zip", reference.labels)
    assert torch.equal(everything(images), everything(reference))


@pytest.mark.parametrize(
    "classes",
    [
        {"cat/a": "cat", "dog/b": "dog", "c": ""},
        {"train/cat/a": "cat", "train/dog/b": "dog", "c": ""},
        {"train/cat/a": "cat", "train/dog/b": "dog", "train/c": "", "d": ""},
        {"cat/close/a": "cat", "dog/close/b": "dog", "dog/c": "dog"},
        {"cat/a": "cat", "b": ""},
        {"data/cat/a": "cat", "data/b": ""},
        {"cat/close/a": "cat", "b": ""},
        {"a/b": "a", "a/a/c": "a", "d": ""},
    ],
)
def test_files_above_class_folders_have_a_missing_class_and_change_no_other(
    tmp_path: Path, classes: dict[str, str]
) -> None:
    for k, name in enumerate(sorted(classes)):
        write(tmp_path / f"pets/{name}.png", pixels(8)[k])
    for source in (tmp_path / "pets", zipped(tmp_path / "pets", tmp_path / "pets.zip")):
        with warnings.catch_warnings(record=True, action="always") as told:
            images = load(source)
        assert dict(zip(images.ids, images.labels, strict=True)) == {f"{k}.png": v for k, v in classes.items()}
        loose = [f"{name}.png" for name in sorted(classes) if not classes[name]]
        assert [str(one.message).split(". ")[0] for one in told] == [
            f"{len(loose)} of {len(classes)} images of {source.name} have no class: {', '.join(loose)}"
        ][: len(loose)]
        assert load(source, labels=range(len(classes))).labels == tuple(map(str, range(len(classes))))


@pytest.mark.parametrize("names", [["a", "b"], ["cat/a", "cat/b"], ["data/cat/a"], ["data/cat/images/a"]])
def test_files_that_all_lie_in_one_folder_have_no_labels(tmp_path: Path, names: list[str]) -> None:
    for k, name in enumerate(names):
        write(tmp_path / f"pets/{name}.png", pixels(8)[k])
    with warnings.catch_warnings(action="error"):
        assert load(tmp_path / "pets").labels is None


@pytest.mark.parametrize(
    ("classes", "inside"),
    [
        ({"train/cat/a": "train", "train/dog/b": "train", "val/cat/c": "val"}, "cat, dog"),
        ({"train/cat/a": "train", "train/dog/b": "train", "test/c": "test"}, "cat, dog"),
        ({"x/train/images/cat/a": "train", "x/val/images/dog/b": "val", "x/c": ""}, "cat, dog"),
    ],
)
def test_classes_that_may_be_meant_by_folders_further_inside_are_warned_of_unless_labels_are_given(
    tmp_path: Path, classes: dict[str, str], inside: str
) -> None:
    for k, name in enumerate(sorted(classes)):
        write(tmp_path / f"pets/{name}.png", pixels(8)[k])
    with warnings.catch_warnings(record=True, action="always") as told:
        images = load(tmp_path / "pets")
    warned = [one for one in told if "first folders that differ" in str(one.message)]
    assert dict(zip(images.ids, images.labels, strict=True)) == {f"{k}.png": v for k, v in classes.items()}
    assert f"inside these are folders {inside}: if those are the classes, load one" in str(warned[0].message)
    assert {one.filename for one in told} == {__file__}
    with warnings.catch_warnings(action="error"):
        load(tmp_path / "pets", labels=["u"] * len(classes))
        load([tmp_path / f"pets/{name}.png" for name in classes])


def test_the_classes_of_files_do_not_change_where_others_are_left_out(folder: Path) -> None:
    (folder / "dog/b.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="left out 1 of 3 files"):
        assert load(folder, skip_bad=True).labels == ("cat", "cat")


def test_hidden_files_mac_leftovers_and_other_files_are_passed_over(folder: Path, tmp_path: Path) -> None:
    for name in (".hidden.png", "__MACOSX/cat/._a.png", ".git/x.png", "cat/notes.txt", "cat/Thumbs.db"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
    expected = ("cat/a.bmp", "cat/x.png", "dog/b.png")
    assert load(folder).ids == expected
    assert load(zipped(folder, tmp_path / "z.zip")).ids == expected


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "tiff", "ppm", "gif", "webp", "jpg", "JPEG"])
def test_every_kind_of_file_is_read(tmp_path: Path, suffix: str) -> None:
    lossless = {"webp": {"lossless": True}}.get(suffix, {})
    # Grey in blocks of 8×8, which JPEG keeps within a level or two and the others exactly.
    image = np.kron(np.array([[0, 60], [128, 255]], np.uint8), np.ones((8, 8), np.uint8))
    write(tmp_path / "f" / f"a.{suffix}", np.stack([image] * 3), **lossless)
    read = load(tmp_path / "f").read([0])[0].numpy() * 255
    np.testing.assert_allclose(read, np.stack([image] * 3), atol=2 if suffix in ("jpg", "JPEG") else 1e-4)


def test_palette_files_are_read_as_their_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.moveaxis(pixels(1)[0], 0, -1)).quantize(16)
    (tmp_path / "f").mkdir()
    image.save(tmp_path / "f/a.png")
    expected = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0).astype(np.float32) / 255
    np.testing.assert_array_equal(load(tmp_path / "f").read([0])[0].numpy(), expected)


def test_grey_files_become_rgb_with_three_equal_bands(tmp_path: Path) -> None:
    grey = pixels(1, 1)[0, 0]
    write(tmp_path / "f/a.png", grey)
    images = load(tmp_path / "f")
    assert images.shape == (3, 6, 8)
    np.testing.assert_array_equal(images.read([0])[0].numpy(), np.stack([grey.astype(np.float32) / 255] * 3))


def test_bands_1_reads_colour_files_as_luma_and_grey_files_unchanged(tmp_path: Path) -> None:
    colour, grey = pixels(1)[0], pixels(1, 1)[0, 0]
    write(tmp_path / "f/colour.png", colour)
    write(tmp_path / "f/grey.png", grey)
    images = load(tmp_path / "f", bands=1)
    assert images.shape == (1, 6, 8)
    read = images.read([0, 1]).numpy()[:, 0] * 255
    # ITU-R 601 luma; Pillow's weights are multiples of 2⁻¹⁶.
    np.testing.assert_allclose(read[0], np.tensordot([0.299, 0.587, 0.114], colour, 1), atol=255 * 3 * 2**-17 + 1e-4)
    np.testing.assert_array_equal(images.read([1])[0, 0].numpy(), grey.astype(np.float32) / 255)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize(("name", "dtype"), [("a.png", np.uint16), ("a.tif", np.uint16), ("a.tif", np.float32)])
def test_files_of_more_than_8_bits_are_refused_and_not_clipped(
    tmp_path: Path, bands: Any, name: str, dtype: type
) -> None:
    write(tmp_path / "f" / name, np.array([[0, 256, 1000, 60000]] * 4).astype(dtype))
    with pytest.raises(InputError, match=rf"1 of 1 files .*{name} \(pixels of more than 8 bits.*as an array"):
        load(tmp_path / "f", bands=bands)


def test_size_as_rows_and_columns_resizes_to_them(tmp_path: Path) -> None:
    write(tmp_path / "f/a.png", pixels(1, rows=12, cols=8)[0])
    assert load(tmp_path / "f", size=(3, 5)).shape == (3, 3, 5)


@pytest.mark.parametrize(
    ("rows", "cols", "expected"), [(12, 8, (6, 4)), (8, 20, (4, 10)), (4, 4, (4, 4)), (2, 3, (4, 6))]
)
def test_size_as_a_number_scales_the_shorter_side_and_keeps_the_proportions(
    tmp_path: Path, rows: int, cols: int, expected: tuple[int, int]
) -> None:
    write(tmp_path / "f/a.png", pixels(1, rows=rows, cols=cols)[0])
    assert load(tmp_path / "f", size=4).shape == (3, *expected)


@pytest.mark.parametrize("size", [4, np.int64(4), (4, 6), [4, 6], np.array([4, 6])])
def test_sizes_may_be_any_integers(tmp_path: Path, size: Any) -> None:
    write(tmp_path / "f/a.png", pixels(1, rows=8, cols=12)[0])
    assert load(tmp_path / "f", size=size).shape == (3, 4, 6)


def test_halving_averages_blocks_of_two_by_two(tmp_path: Path) -> None:
    image = pixels(1, rows=12, cols=16)[0]
    write(tmp_path / "f/a.png", image)
    read = load(tmp_path / "f", size=6).read([0])[0].numpy()
    blocks = image.reshape(3, 6, 2, 8, 2).mean((2, 4))
    np.testing.assert_array_equal(read, (blocks / 255).astype(np.float32))


def test_a_crop_is_cut_from_the_centre(tmp_path: Path) -> None:
    image = pixels(1, rows=10, cols=13)[0]
    write(tmp_path / "f/a.png", image)
    for crop, cut in ((4, image[:, 3:7, 4:8]), ((6, 3), image[:, 2:8, 5:8]), ((10, 13), image)):
        read = load(tmp_path / "f", crop=crop).read([0])[0].numpy()
        np.testing.assert_array_equal(read, cut.astype(np.float32) / 255)


def test_size_is_applied_before_crop(tmp_path: Path) -> None:
    write(tmp_path / "f/a.png", pixels(1, rows=8, cols=24)[0])
    cropped, whole = (load(tmp_path / "f", size=4, crop=c).read([0])[0] for c in (4, None))
    assert torch.equal(cropped, whole[:, :, 4:8])


@pytest.mark.parametrize("name", ["size", "crop"])
@pytest.mark.parametrize("value", [0, -4, True, "32", (4,), (4, 5, 6), (4, 0), 4.0, (None, 4), (4.5, 4)])
def test_sizes_that_are_no_positive_integers_are_refused(folder: Path, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"{name}=.*: give a positive int, or \(rows, cols\)"):
        load(folder, **{name: value})


@pytest.mark.parametrize("bands", [0, 2, 4, "RGB"])
def test_bands_other_than_1_and_3_are_refused(folder: Path, bands: Any) -> None:
    with pytest.raises(InputError, match=rf"bands={bands!r}.*1.*3"):
        load(folder, bands=bands)


def test_a_crop_that_does_not_fit_names_the_file_and_both_sizes(folder: Path) -> None:
    with pytest.raises(InputError, match=r"3 of 3 files .*cat/a.bmp \(6×8 is smaller than the crop 7×7\)"):
        load(folder, crop=7)


# Bad files


def test_a_corrupt_file_is_named_with_the_number_of_bad_files(folder: Path) -> None:
    (folder / "cat/broken.png").write_bytes(b"not a picture")
    message = (
        r"1 of 4 files in .*pets cannot be used: cat/broken.png \(not an image that Pillow can read\)\. "
        r"Remove them, bring all to one size with size= and crop=, or pass skip_bad=True"
    )
    with pytest.raises(InputError, match=message):
        load(folder)


def test_of_many_bad_files_five_are_named_and_the_rest_counted(folder: Path) -> None:
    for i in range(7):
        (folder / f"bad{i}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"7 of 10 files .*bad0.*bad1.*bad2.*bad3.*bad4.* and 2 more") as caught:
        load(folder)
    assert "bad5" not in str(caught.value)


# Of some damage Pillow warns before it fails.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(kind=st.sampled_from(["png", "jpeg", "bmp", "gif", "tiff", "webp"]), kept=st.floats(0, 0.7))
def test_a_file_cut_short_is_named(tmp_path_factory: pytest.TempPathFactory, kind: str, kept: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    write(folder / "whole.png", pixels(1, rows=32, cols=32)[0])
    whole = encoded(pixels(1, rows=32, cols=32)[0], kind)
    (folder / f"short.{kind}").write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=rf"1 of 2 files in .* cannot be used: short\.{kind} \("):
        load(folder)


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_png_with_an_altered_bit_is_named_or_read_unchanged(
    tmp_path_factory: pytest.TempPathFactory, position: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    image = pixels(1, rows=16, cols=16)[0]
    raw = bytearray(encoded(image, "png"))
    raw[int(position * len(raw))] ^= 1 << bit
    (folder / "a.png").write_bytes(raw)
    try:
        read, refusal = load(folder).read([0])[0].numpy(), ""
    except InputError as error:
        read, refusal = None, str(error)
    named = "1 of 1 files" in refusal and "a.png (" in refusal
    assert named or np.array_equal(read, image.astype(np.float32) / 255)


def test_a_file_of_another_size_is_named_with_both_sizes(folder: Path) -> None:
    write(folder / "cat/odd.png", pixels(1, rows=5, cols=9)[0])
    with pytest.raises(InputError, match=r"1 of 4 files .*cat/odd.png \(5×9 where most are 6×8\)"):
        load(folder)


def test_skipping_bad_files_keeps_the_good_ones_lists_the_bad_ones_and_warns_the_caller(folder: Path) -> None:
    whole = load(folder)
    (folder / "cat/broken.png").write_bytes(b"not a picture")
    write(folder / "dog/odd.png", pixels(1, rows=5, cols=9)[0])
    with pytest.warns(UserWarning, match=r"left out 2 of 5 files in .*pets: cat/broken.png: .*dog/odd.png: ") as caught:
        images = load(folder, skip_bad=True)
    assert (images.ids, images.labels) == (whole.ids, whole.labels)
    assert torch.equal(everything(images), everything(whole))
    assert images.skipped == (
        "cat/broken.png: not an image that Pillow can read",
        "dog/odd.png: 5×9 where most are 6×8",
    )
    assert caught[0].filename == __file__


def test_skipping_bad_files_is_silent_where_there_are_none(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(folder, skip_bad=True).skipped == ()


def test_a_source_of_bad_files_alone_is_refused_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"1 of 1 files .* cannot be used: a.png"):
        load(tmp_path, skip_bad=True)


def damaged(archive: Path, name: str, change: Callable[[bytearray, int, int], None]) -> None:
    """Alter one member of a zip: `change` gets the bytes and where its local and central headers begin."""
    raw = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        local = opened.getinfo(name).header_offset
    central = raw.index(b"PK\x01\x02")
    while raw[central + 46 : central + 46 + len(name)] != name.encode():
        central = raw.index(b"PK\x01\x02", central + 1)
    change(raw, local, central)
    archive.write_bytes(raw)


def an_impossible_block(raw: bytearray, local: int, _: int) -> None:
    start = local + 30 + int.from_bytes(raw[local + 26 : local + 28], "little")
    raw[start] |= 0b111  # a deflate block of the reserved type 3


def a_wrong_checksum(raw: bytearray, local: int, central: int) -> None:
    raw[local + 14] ^= 0xFF
    raw[central + 16] ^= 0xFF


def a_password(raw: bytearray, local: int, central: int) -> None:
    raw[local + 6] |= 1
    raw[central + 8] |= 1


def an_unknown_compression(raw: bytearray, local: int, central: int) -> None:
    raw[local + 8] = raw[central + 10] = 97


@pytest.mark.parametrize(
    "change", [an_impossible_block, a_wrong_checksum, a_password, an_unknown_compression], ids=lambda f: f.__name__
)
def test_a_member_of_a_zip_that_cannot_be_unpacked_is_named(
    folder: Path, tmp_path: Path, change: Callable[[bytearray, int, int], None]
) -> None:
    archive = zipped(folder, tmp_path / "z.zip", compression=zipfile.ZIP_DEFLATED)
    damaged(archive, "cat/a.bmp", change)
    with pytest.raises(InputError, match=r"1 of 3 files in .*z.zip cannot be used: cat/a.bmp \("):
        load(archive)


def test_a_zip_that_holds_one_path_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a.png", encoded(pixels(1)[0], "png"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", encoded(pixels(1, seed=1)[0], "png"))
    with pytest.raises(InputError, match=r"a\.png"):
        load(tmp_path / "z.zip")


def test_a_truncated_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "z.zip")
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(InputError, match=r"z.zip is neither a folder, a zip nor a tar"):
        load(archive)


def test_an_empty_folder_and_an_empty_zip_hold_no_image_files(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "z.zip", "w"):
        pass
    for source in ("empty", "z.zip"):
        with pytest.raises(InputError, match=rf"{source} holds no image files \(.*\.png"):
            load(tmp_path / source)


def test_a_path_that_does_not_exist_and_a_single_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'missing does not exist: give a folder, a zip, tars, or "samples"'):
        load(tmp_path / "missing")
    with pytest.raises(
        InputError,
        match=r"a.png is neither a folder, a zip nor a tar: of single image files give a list, load\(\[.*a.png'\]\)",
    ):
        load(write(tmp_path / "a.png", pixels(1)[0]))


# torch Datasets


def test_a_torch_dataset_of_tensors_has_no_labels() -> None:
    tensors = torch.rand(3, 2, 4, 5)
    for source in (Items(tensors), TensorDataset(tensors), Subset(TensorDataset(tensors), [0, 1, 2])):
        images = load(source)
        assert (images.name, images.labels, images.ids) == (type(source).__name__, None, ("0", "1", "2"))
        assert torch.equal(everything(images), tensors)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([1, 0, 1], ("1", "0", "1")),
        (torch.tensor([1, 0, 1]), ("1", "0", "1")),
        (["u", "v", "u"], ("u", "v", "u")),
        (np.array([1, 0, 1]), ("1", "0", "1")),
    ],
    ids=["ints", "tensor", "strings", "numpy"],
)
def test_a_torch_dataset_of_pairs_gives_its_second_items_as_labels(targets: Any, expected: tuple[str, ...]) -> None:
    tensors = torch.rand(3, 2, 4, 5)
    images = load(Items(list(zip(tensors, targets, strict=True))))
    assert images.labels == expected
    assert torch.equal(everything(images), tensors)


@pytest.mark.parametrize("targets", [[1, 0, 1], torch.tensor([1, 0, 1])])
def test_a_torch_dataset_with_targets_and_classes_is_labelled_by_class_names(targets: Any) -> None:
    pairs = list(zip(torch.rand(3, 1, 4, 4), [1, 0, 1], strict=True))
    assert load(Items(pairs, targets=targets, classes=["cat", "dog"])).labels == ("dog", "cat", "dog")
    assert load(Items(pairs, targets=targets)).labels == ("1", "0", "1")


def test_eight_bit_items_of_a_torch_dataset_are_divided_by_255() -> None:
    array = pixels(3)
    for items in (list(array), list(torch.from_numpy(array))):
        assert torch.equal(everything(load(Items(items))), torch.from_numpy(array).float() / 255)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], r"Items is empty: there are no images in it"),
        (
            [Image.new("RGB", (4, 4))],
            r"item 0 of Items is a Image: .*tensors \(C, H, W\).* PIL images in its transform",
        ),
        ([torch.zeros(4, 4)], r"item 0 of Items is a Tensor: give a Dataset of tensors \(C, H, W\)"),
        ([torch.zeros(1, 4, 4, dtype=torch.int64)], r"images are torch.int64: give floats"),
    ],
    ids=["empty", "PIL", "rank", "dtype"],
)
def test_torch_datasets_of_no_images_are_refused(items: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(Items(items))


def test_items_of_a_torch_dataset_that_differ_in_shape_are_named_when_read() -> None:
    images = load(Items([torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), torch.zeros(1, 5, 4)]))
    with pytest.raises(InputError, match=r"items 2 of Items differ in shape: give images of one size"):
        images.read([0, 1, 2])
    with pytest.raises(InputError, match=r"Items gave shape \(1, 5, 4\) where \(1, 4, 4\) was announced"):
        images.read([2])


def test_a_torch_dataset_without_positions_is_refused() -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Iterator[torch.Tensor]:
            return iter([torch.zeros(3, 4, 4)])

    with pytest.raises(InputError, match="cannot be read from a Stream: give a map-style Dataset"):
        load(Stream())


# The built-in photographs


@pytest.mark.parametrize(("size", "options"), [(64, {}), (64, {"size": 64}), (32, {"size": 32})])
def test_the_samples_are_crops_of_17_photographs(size: int, options: dict) -> None:
    images = load("samples", **options)
    assert images.shape == (3, size, size)
    assert images.name == f"samples {size}×{size}"
    assert len(set(images.labels)) == 17
    assert len(set(images.ids)) == len(images) > 300
    assert all(i.startswith(f"{label}/") for i, label in zip(images.ids, images.labels, strict=True))
    values = everything(images)
    assert 0 <= float(values.min()) < float(values.max()) <= 1


def test_the_samples_are_the_same_each_time_they_are_made() -> None:
    first = load("samples", size=32)
    photographs.cache_clear()
    second = load("samples", size=32)
    assert (first.ids, first.labels) == (second.ids, second.labels)
    assert torch.equal(everything(first), everything(second))


def test_crops_of_a_sample_at_one_scale_tile_the_photograph_of_the_coarser_scale() -> None:
    size = 32
    images = load("samples", size=size)
    where = {name: i for i, name in enumerate(images.ids)}
    for n in (2, 4):
        rows = [
            torch.cat([images.read([where[f"astronaut/{n}x{n}/r{r}c{c}"]])[0] for c in range(n)], dim=2)
            for r in range(n)
        ]
        mosaic = torch.nn.functional.avg_pool2d(torch.cat(rows, dim=1), n)
        whole = images.read([where["astronaut/1x1/r0c0"]])[0]
        # 512 pixels are a multiple of every side: means of means are means.
        torch.testing.assert_close(mosaic, whole, rtol=0, atol=1e-6)


def test_a_sample_is_the_central_square_of_its_photograph() -> None:
    images = load("samples", size=32)
    photograph = load_sample_image("china.jpg").astype(float)
    rows, cols = photograph.shape[:2]
    assert rows < cols
    square = photograph[:, (cols - rows) // 2 : (cols + rows) // 2]
    crop = images.read([images.ids.index("china/1x1/r0c0")])[0].numpy()
    # Means of areas keep the mean, of the whole and of each half, of which the square's odd side leaves one column out.
    np.testing.assert_allclose(255 * crop.mean((1, 2)), square.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(255 * crop[:, :, :16].mean((1, 2)), square[:, : rows // 2].mean((0, 1)), atol=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 48}, r"come as 64×64 or 32×32, not size=48: give 64 or 32"),
        ({"size": (64, 64)}, r"not size=\(64, 64\): give 64 or 32"),
        ({"crop": 16}, r"crop=16 does not apply here: the built-in samples take only size=64 or size=32"),
        ({"bands": 2}, r"bands=2: give 1 to read files as grey"),
    ],
)
def test_options_that_do_not_fit_the_samples_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load("samples", **options)


@pytest.mark.parametrize("size", [32, 64])
def test_the_samples_come_in_grey_for_networks_of_one_plane(size: int) -> None:
    grey, colour = load("samples", size=size, bands=1), load("samples", size=size)
    assert (grey.shape, grey.name) == ((1, size, size), f"samples {size}×{size} grey")
    assert (grey.ids, grey.labels) == (colour.ids, colour.labels)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    # Luma of ITU-R 601, in weights that are multiples of 2⁻¹⁶.
    torch.testing.assert_close(
        everything(grey), (weights * everything(colour)).sum(1, keepdim=True), rtol=0, atol=3 * 2**-17 + 1e-6
    )


# Subsets and unions


@given(st.lists(st.integers(-5, 4), max_size=5, unique_by=lambda i: i % 5))
def test_a_subset_reads_its_parents_images_under_their_own_ids(chosen: list[int]) -> None:
    images = load(pixels(5), ids=list("abcde"), labels=list("uuvvw"))
    part = images.subset(chosen)
    assert part.ids == tuple("abcde"[i] for i in chosen)
    assert part.labels == tuple("uuvvw"[i] for i in chosen)
    assert torch.equal(everything(part), images.read([i % 5 for i in chosen]))


def test_a_subset_of_a_subset_leads_to_the_first_source() -> None:
    images = load(pixels(6), ids=list("abcdef"))
    part = images.subset([5, 3, 1]).subset([2, 0])
    assert part.ids == ("b", "f")
    assert torch.equal(everything(part), images.read([1, 5]))


def test_a_subset_that_repeats_an_image_or_is_out_of_range_is_refused() -> None:
    images = load(pixels(3))
    with pytest.raises(InputError, match=r"ids 1 of .* more than once"):
        images.subset([1, 1])
    with pytest.raises(InputError, match="no image at position 3: there are 3, at 0 to 2"):
        images.subset([3])


@given(counts=st.lists(st.integers(1, 3), min_size=1, max_size=4), seed=st.randoms(use_true_random=False))
def test_a_union_reads_its_parts_one_after_another_in_any_order(counts: list[int], seed: Any) -> None:
    sets = [
        load(xr.DataArray(pixels(n, seed=k), dims=("image", "band", "row", "col"), name=f"part{k}"), labels=[k] * n)
        for k, n in enumerate(counts)
    ]
    whole = concatenate(sets)
    expected = torch.cat([everything(s) for s in sets])
    order = list(range(sum(counts)))
    seed.shuffle(order)
    assert torch.equal(whole.read(order), expected[order])
    assert whole.labels == tuple(str(k) for k, n in enumerate(counts) for _ in range(n))
    if len(sets) > 1:
        assert whole.name == " + ".join(s.name for s in sets)
        assert whole.ids == tuple(f"{s.name}/{i}" for s in sets for i in s.ids)


def test_a_union_of_parts_of_which_one_has_no_labels_keeps_the_others_and_says_so() -> None:
    labelled = load(xr.DataArray(pixels(2), dims=("image", "band", "row", "col"), name="a"), labels=["u", "v"])
    with pytest.warns(UserWarning, match=r"ndarray of shape \(2, 3, 6, 8\) have no classes, and other sets have"):
        assert concatenate([labelled, load(pixels(2))]).labels == ("u", "v", "", "")
    assert concatenate([load(pixels(2)), load(torch.from_numpy(pixels(2)))]).labels is None


def test_a_union_lists_what_its_parts_left_out(tmp_path: Path) -> None:
    for part in ("one", "two"):
        write(tmp_path / part / "good.png", pixels(1)[0])
        (tmp_path / part / "bad.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="left out 1 of 2"):
        parts = [load(tmp_path / part, skip_bad=True) for part in ("one", "two")]
    assert len(concatenate(parts).skipped) == 2


def test_a_union_of_no_sets_or_of_different_shapes_is_refused() -> None:
    with pytest.raises(InputError, match="no image set to concatenate: give at least one"):
        concatenate([])
    with pytest.raises(InputError, match=r"sets differ in .*\(3, 6, 8\).*\(3, 4, 4\).* one size with size="):
        concatenate([load(pixels(2)), load(pixels(1, rows=4, cols=4))])


@pytest.mark.parametrize("rows", [6, 4], ids=["one shape", "two shapes"])
def test_a_union_of_parts_of_one_name_is_refused(rows: int) -> None:
    one, other = (
        load(xr.DataArray(pixels(1, rows=r), dims=("image", "band", "row", "col"), name="val"), ids=[i])
        for r, i in ((6, "a"), (rows, "b"))
    )
    with pytest.raises(InputError, match="val"):
        concatenate([one, other])
