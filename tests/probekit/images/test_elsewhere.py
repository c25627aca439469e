"""Image sets in other processes: every kind can be pickled, is small where it is a part, and reads the same there."""

from __future__ import annotations

import ast
import gc
import io
import multiprocessing
import os
import pickle
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from torch.utils.data import TensorDataset

import probekit
from analyses.descriptors import equalised
from analyses.ground import drawn_images
from analyses.textures import patches
from probekit.cli.procedural import procedural_called
from probekit.errors import InputError
from probekit.images import ImageSet, concatenate, load
from probekit.images.members import MOST_OPEN
from probekit.train.data import centred
from tests.probekit.images.packing import folder, png, tarred, zipped

FILES = {f"{kind}/{k}.png": png(k) for k, kind in enumerate(["cat", "dog", "cat", "dog", "cow", "cow"])}
VALUES = np.random.default_rng(0).random((6, 3, 6, 8), dtype=np.float32)

PHOTOGRAPHS = {f"{k}.png": png(k, 8, 12 + k) for k in range(3)}


def table(place: Path) -> pd.DataFrame:
    folder(place / "t", FILES)
    return pd.DataFrame({"file": [str(place / "t" / name) for name in FILES], "kind": ["x", "y"] * 3})


def mapped(place: Path) -> np.ndarray:
    np.save(place / "v.npy", VALUES)
    return np.load(place / "v.npy", mmap_mode="r")


def shards(place: Path) -> ImageSet:
    place.mkdir(exist_ok=True)
    for k in range(3):
        tarred(place / f"s-{k}.tar", dict(list(FILES.items())[k::3]))
    return load(place / "s-{0..2}.tar")


def labelled() -> xr.DataArray:
    ids = {"image": list("abcdef")}
    return xr.DataArray(VALUES, dims=("image", "band", "row", "col"), coords=ids).assign_coords(
        label=("image", [*"xyxyxy"])
    )


KINDS: dict[str, Callable[[Path], ImageSet]] = {
    "folder": lambda place: load(folder(place / "f", FILES)),
    "folder, some checked": lambda place: load(folder(place / "f", FILES), check="some"),
    "resized": lambda place: load(folder(place / "f", FILES), size=4, crop=3, bands=1),
    "zip": lambda place: load(zipped(place / "z.zip", FILES)),
    "tar": lambda place: load(tarred(place / "x.tar", FILES)),
    "shards": shards,
    "list of tars": lambda place: load([tarred(place / "x.tar", FILES)]),
    "table": lambda place: load(table(place), path="file", label="kind"),
    "list": lambda place: load([folder(place / "f", FILES) / name for name in FILES]),
    "array": lambda _: load(VALUES, labels=[*"xyxyxy"]),
    "array of 8 bits": lambda _: load((255 * VALUES).astype(np.uint8)),
    "tensor": lambda _: load(torch.from_numpy(VALUES).requires_grad_()),
    "DataArray": lambda _: load(labelled()),
    "mapped": lambda place: load(mapped(place)),
    "mapped, turned": lambda place: load(mapped(place)[::-1, :, ::2]),
    "Dataset": lambda _: load(TensorDataset(torch.from_numpy(VALUES), torch.arange(6))),
    "samples": lambda _: load("samples", size=32),
    "joined": lambda place: concatenate(
        [load(folder(place / "f", FILES)), load(VALUES, labels=[*"xyxyxy"]), load(shards(place).subset([3]))]
    ),
    "joined of files": lambda place: concatenate([load(folder(place / "f", FILES)), shards(place)]),
    "watched": lambda place: load(folder(place / "f", FILES)).watched(torch.mean),
    "folder of tars": lambda place: load(shards(place / "s") and place / "s"),
    "centred": lambda place: centred(load(folder(place / "f", FILES)), 4),
    "shapes": lambda _: procedural_called("shapes:6", size=16, crop=8),
    "ovals": lambda _: procedural_called("ovals:6", size=16, bands=3),
    "equalised": lambda place: equalised(load(folder(place / "f", FILES)), bands=2),
    "patches": lambda place: patches(folder(place / "p", PHOTOGRAPHS), size=4, side=8, each=2),
    "patches of a zip": lambda place: patches(zipped(place / "p.zip", PHOTOGRAPHS), size=4, side=None, each=2, bands=1),
    "patches of an array": lambda _: patches(VALUES[:3], size=4, side=8, each=2, bands=1),
    "drawn": lambda place: drawn_images(load(folder(place / "f", FILES)), 6, seed=1),
    "renamed": lambda place: load(folder(place / "f", FILES), ids=[*"abcdef"], labels=[1, 2] * 3),
}


def told(images: ImageSet) -> tuple[Any, ...]:
    """All that there is to say of a set."""
    said = (images.name, images.ids, images.labels, images.shape, images.skipped, images.preparation, images.origin)
    return *said, images.fingerprint(), images.read(range(len(images))).numpy().tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_set_and_every_part_of_it_reads_the_same_after_pickling(kind: str, tmp_path: Path) -> None:
    images = KINDS[kind](tmp_path)
    where = range(len(images))
    parts = [
        (images, where),
        (images[2:5], where[2:5]),
        (images[::-2], where[::-2]),
        (images[[4, 0, 3]], [4, 0, 3]),
        (images[1:][[2, 0]][:1], [3]),
        (images[::-1][[0, 2]][::-1], [len(images) - 3, len(images) - 1]),
        (images[[3, 1, 2]][::-1][1:], [1, 3]),
    ]
    for part, at in parts:
        assert part.ids == tuple(images.ids[k] for k in at)
        assert torch.equal(part.read(range(len(part))), images.read(list(at)))
        # Before it has read anything, after that, and from one process to the next.
        once = pickle.loads(pickle.dumps(part))
        assert told(once) == told(part) == told(pickle.loads(pickle.dumps(once)))


def readers(module: ast.AST) -> list[ast.expr]:
    """What image sets are given to read with, in a module."""
    found = []
    for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
        found += [keyword.value for keyword in call.keywords if keyword.arg == "_read"]
        if isinstance(call.func, ast.Name) and call.func.id == "ImageSet" and len(call.args) > 4:
            found.append(call.args[4])
    return found


def local_functions(module: ast.AST) -> set[str]:
    """Names of the functions inside functions, which cannot be pickled."""
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    return {inner.name for one in functions for inner in ast.walk(one) if isinstance(inner, ast.FunctionDef)} - {
        one.name for one in getattr(module, "body", []) if isinstance(one, ast.FunctionDef)
    }


def test_no_maker_of_image_sets_reads_by_a_function_inside_a_function() -> None:
    root, seen = Path(probekit.__file__).parents[1], 0
    for path in (p for package in ("probekit", "analyses", "benchmarks") for p in (root / package).rglob("*.py")):
        module = ast.parse(path.read_text())
        for reader in readers(module):
            seen += 1
            local = isinstance(reader, ast.Lambda) or ast.unparse(reader) in local_functions(module)
            assert not local, f"{path}: {ast.unparse(reader)} cannot be sent to another process: make it a class"
    assert seen >= 8


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_sets_read_the_same_in_other_processes(method: str, tmp_path: Path) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("processes are not started so here")
    sets = [
        KINDS[kind](tmp_path) for kind in ("folder", "zip", "shards", "mapped", "joined of files", "ovals", "patches")
    ]
    here = [told(images) for images in sets]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(told, sets, chunksize=1) == here
    # A fork that shares what is open here leaves the places of this process alone.
    assert [told(images) for images in sets] == here


def test_a_part_sends_no_more_than_itself(tmp_path: Path) -> None:
    many = {f"{k:05}.png": png(k % 5) for k in range(3000)}
    np.save(tmp_path / "v.npy", np.zeros((3000, 3, 8, 8), np.uint8))
    sets = [
        load(folder(tmp_path / "f", many), check="some"),
        load(zipped(tmp_path / "z.zip", many), check="some"),
        load(tarred(tmp_path / "x.tar", many), check="some"),
        load(np.zeros((3000, 3, 8, 8), np.uint8)),
        load(torch.zeros((3000, 3, 8, 8), dtype=torch.uint8)),
        load(np.load(tmp_path / "v.npy", mmap_mode="r")),
    ]
    sets.append(concatenate([sets[0], sets[1]]))
    for images in sets:
        # An image of an array is 192 bytes, and what is said of one of a file fewer than 100.
        assert len(pickle.dumps(images[1000:1010])) < 4000 + 10 * 300
        assert len(pickle.dumps(images[1000:1010][[2, 1]])) < 4000 + 10 * 300
    # Of what is mapped no values are sent.
    assert len(pickle.dumps(sets[5])) < 3000 * 12


def test_what_is_mapped_and_may_differ_from_its_file_is_sent_by_value(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VALUES)
    changed = np.load(tmp_path / "v.npy", mmap_mode="c")
    changed[0] = 0
    assert told(pickle.loads(pickle.dumps(load(changed)))) == told(load(changed))
    written = np.load(tmp_path / "v.npy", mmap_mode="r+")
    written[1] = 0.25
    kept = pickle.dumps(load(written[1:]))
    assert torch.equal(pickle.loads(kept).read([0]), torch.full((1, 3, 6, 8), 0.25))
    sent = pickle.dumps(load(np.load(tmp_path / "v.npy", mmap_mode="r")))
    (tmp_path / "v.npy").unlink()
    with pytest.raises(InputError, match=r"v\.npy, of which images are read, cannot be mapped again"):
        pickle.loads(sent)
    (tmp_path / "v.npy").write_bytes(b"short")
    with pytest.raises(InputError, match=r"v\.npy, of which images are read, cannot be mapped again"):
        pickle.loads(sent)


def test_a_set_of_what_cannot_be_pickled_says_so(tmp_path: Path) -> None:
    images = load(folder(tmp_path / "f", FILES)).watched(lambda _: None)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(images)


@pytest.mark.parametrize("kind", ["zip", "tar", "shards"])
def test_a_set_that_was_sent_finds_an_archive_that_was_put_back_otherwise_and_names_one_that_changed(
    kind: str, tmp_path: Path
) -> None:
    images = KINDS[kind](tmp_path)
    images.read([0])
    sent, before = pickle.dumps(images), images.read(range(6))
    path = next(p for p in tmp_path.iterdir() if p.suffix in (".zip", ".tar"))
    own = {name: FILES[name] for name in images.ids if name.encode() in path.read_bytes()}
    pack = zipped if kind == "zip" else tarred
    # In another order, with more beside, so that all lies elsewhere.
    pack(path, {"zzz.png": png(99)} | dict(reversed(own.items())))
    os.utime(path, (1, 1))
    for one in (images, pickle.loads(sent), images[::-1][::-1]):
        assert torch.equal(one.read(range(6)), before)
    lost = next(iter(own))
    pack(path, {name: content if name != lost else png(50) for name, content in own.items()})
    with pytest.raises(InputError, match=rf"^{lost} \(its content is another\): changed in .* since the images were"):
        pickle.loads(sent).read(range(6))
    pack(path, {name: content for name, content in own.items() if name != lost})
    with pytest.raises(InputError, match=rf"^{lost} \(it is not there\): changed in"):
        images.read(range(6))
    path.unlink()
    with pytest.raises(InputError, match=rf"{lost} \({path.name}: No such file.*changed in"):
        images.read(range(6))


@pytest.mark.skipif(sys.platform != "linux", reason="what is open is counted by /proc")
def test_of_many_sets_together_few_archives_are_open_at_once(tmp_path: Path) -> None:
    count, places = MOST_OPEN + 20, Path("/proc/self/fd")
    sets = []
    before = len(list(places.iterdir()))
    for k in range(count):
        pack = tarred if k % 2 else zipped
        sets.append(load(pack(tmp_path / f"{k:03}", {"x.png": png(k % 7)})))
    joined = concatenate(sets)
    for _ in range(2):
        assert torch.equal(
            joined.read(range(count))[::7], sets[0].read([0]).expand(len(range(0, count, 7)), -1, -1, -1)
        )
        assert len(list(places.iterdir())) <= before + MOST_OPEN
    del joined, sets
    assert len(list(places.iterdir())) <= before


def test_of_many_shards_few_are_open_at_once(tmp_path: Path) -> None:
    count = MOST_OPEN + 20
    for k in range(count):
        tarred(tmp_path / f"s-{k:03}.tar", {f"{k:03}.png": png(k % 7)})
    images = load(tmp_path / f"s-{{000..{count - 1:03}}}.tar")
    places = Path("/proc/self/fd")
    before = len(list(places.iterdir())) if sys.platform == "linux" else None
    for _ in range(2):
        assert torch.equal(images.read([0, count - 1, 40])[0], load(tmp_path / "s-000.tar").read([0])[0])
        images.read(range(count))
    if before is not None:
        assert len(list(places.iterdir())) <= before + MOST_OPEN
    del images
    if before is not None:
        assert len(list(places.iterdir())) < before + 10


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_an_image_of_a_large_set_costs_its_name_and_a_few_numbers(kind: str, tmp_path: Path) -> None:
    count = 4000
    files = {f"n{k % 10:08}/n{k % 10:08}_{k:05}.png": png(0) for k in range(count)}
    path = {"folder": folder, "zip": zipped, "tar": tarred}[kind](tmp_path / f"x.{kind}", files)
    load(path, check="some")
    tracemalloc.start()
    images = load(path, check="some")
    # Pictures of Pillow refer to themselves.
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    part = images[1:]
    of_part = tracemalloc.get_traced_memory()[0] - kept
    tracemalloc.stop()
    # The name, a pointer to it and to the class, a checksum of 4 bytes and, of archives, at most 23 to find it by;
    # a part has pointers and numbers of its own. A tenth of a byte or so an image is what does not grow.
    name = sys.getsizeof(next(iter(files)))
    assert kept / count < name + 8 + 8 + 4 + 23 + 4
    assert of_part / count < 8 + 8 + 8 + 4 + 23 + 4
    assert part.ids[0] is images.ids[1]
    assert len({id(label) for label in images.labels or ()}) == 10


def test_parts_of_parts_lead_to_the_images_directly_however_often_they_are_cut(tmp_path: Path) -> None:
    images = load(folder(tmp_path / "f", FILES))
    once = images
    for _ in range(5000):
        once = once[:]
        images = images[[0, 1, 2, 3, 4, 5]]
    assert told(once) == told(images)
    stream = io.BytesIO()
    pickle.dump(load(VALUES)[::-1][[0, 2]][::-1], stream)
    assert stream.tell() < 2 * VALUES.nbytes
