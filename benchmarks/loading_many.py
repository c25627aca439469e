"""A million images in a folder, a zip, a tar and shards: seconds to load, memory on the way and kept, bytes pickled.

Each is loaded by a process of its own with check="some", after a small one of its kind, while no other is at work.

Run: python benchmarks/loading_many.py [--images 1000000] [--only folder,zip,tar,shards]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import io
import multiprocessing
import pickle
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from turns import memory_now, peak_since_reset, reset_peak

from probekit.images import load

__all__ = ["KINDS", "measured"]

KINDS = ("folder", "zip", "tar", "shards")
CLASSES, SHARDS, SIDE = 1000, 10, 16
FEW = 1000


def files(images: int) -> Iterator[tuple[str, bytes]]:
    """Names of 30 characters, as those of ImageNet, and PNG, of which a few hundred differ."""
    contents = []
    for k in range(256):
        stream = io.BytesIO()
        pixels = np.random.default_rng(k).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        contents.append(stream.getvalue())
    for k in range(images):
        name = f"n{k % CLASSES:08}"
        yield f"{name}/{name}_{k:07}.png", contents[k % 256]


def written(kind: str, place: Path, images: int) -> str:
    """What `load` takes, once the files are there."""
    if kind == "folder":
        for k in range(CLASSES):
            (place / f"n{k:08}").mkdir(parents=True, exist_ok=True)
        for name, content in files(images):
            (place / name).write_bytes(content)
        return str(place)
    place.mkdir(parents=True)
    if kind == "zip":
        with zipfile.ZipFile(place / "images.zip", "w") as archive:
            for name, content in files(images):
                archive.writestr(name, content)
        return str(place / "images.zip")
    count = 1 if kind == "tar" else SHARDS
    each = -(-images // count)
    every = files(images)
    for shard in range(count):
        with tarfile.open(place / f"images-{shard:02}.tar", "w") as archive:
            for k, (name, content) in zip(range(shard * each, min((shard + 1) * each, images)), every, strict=False):
                fields = {name: content}
                if kind == "shards":
                    key = f"{k:07}"
                    fields = {f"{key}.png": content, f"{key}.cls": str(k % CLASSES).encode()}
                for field, written in fields.items():
                    member = tarfile.TarInfo(field)
                    member.size = len(written)
                    archive.addfile(member, io.BytesIO(written))
                archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
    return str(place / "images-*.tar")


def settled() -> int:
    """Memory that is in use, once what was let go of is given back to the system."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return memory_now()


def told(few: str, many: str, answer: Any) -> None:
    """Load both in this process, and say what the second cost."""
    load(few, check="some")
    before = settled()
    reset_peak()
    began = time.perf_counter()
    images = load(many, check="some")
    seconds, peak = time.perf_counter() - began, peak_since_reset() - before
    kept = settled() - before
    part = images[: len(images) // 2]
    of_part = settled() - before - kept
    answer.put((len(images), seconds, peak, kept, of_part / len(part), len(pickle.dumps(images))))


def measured(kind: str, images: int) -> str:
    """One line of what there is to say of a kind."""
    with tempfile.TemporaryDirectory() as folder:
        few = written(kind, Path(folder) / "few", FEW)
        many = written(kind, Path(folder) / "many", images)
        context = multiprocessing.get_context("spawn")
        answer = context.Queue()
        process = context.Process(target=told, args=(few, many, answer))
        process.start()
        count, seconds, peak, kept, of_part, sent = answer.get()
        process.join()
    return (
        f"{kind}: {count:,} images in {seconds:.0f} s; memory grows by {peak / 1e9:.2f} GB at most, of which "
        f"{kept / count:.0f} bytes an image are kept, {of_part:.0f} more an image of a part; "
        f"pickled {sent / count:.0f} bytes an image"
    )


if __name__ == "__main__":
    # As a module that other processes find.
    import loading_many

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=10**6)
    options.add_argument("--only", default=",".join(KINDS))
    given = options.parse_args()
    for kind in given.only.split(","):
        print(loading_many.measured(kind, given.images), flush=True)
