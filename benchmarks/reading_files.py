"""Images a second that are read of files: by one thread and by two, and while a network computes, ahead or not.

Run: python benchmarks/reading_files.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from turns import in_turns

import probekit
from probekit.images import load, reading
from probekit.phi import averages

__all__ = ["measured"]

SIDES = (64, 128, 256, 512)
# Of each size as many images as make a round about half a second; of taps, half of it.
PIXELS = 2**22
# Of what is read ahead several groups, which are read at once.
GROUPS, DRAWS = 4, 4


def written(folder: Path, side: int, kind: str, count: int | None = None) -> Path:
    """Built-in photographs in files of one size and kind."""
    folder.mkdir(parents=True)
    count = min(512, PIXELS // side**2) if count is None else count
    pixels = (255 * load("samples", size=64).read(range(64)).permute(0, 2, 3, 1).numpy()).astype(np.uint8)
    for k in range(count):
        image = Image.fromarray(pixels[k % 64]).resize((side, side), Image.Resampling.BICUBIC)
        image.save(folder / f"{k:04}.{kind}", quality=90)
    return folder


def ready(folders: Mapping[str, str], threads: int) -> Mapping[str, Callable[[], Mapping[str, Any]]]:
    """Reading of all images of each folder."""
    torch.set_num_threads(threads)
    reading.threads_for = lambda _: threads
    sets = {name: load(Path(folder)) for name, folder in folders.items()}
    return {name: partial(read, images) for name, images in sets.items()}


def read(images: Any) -> Mapping[str, Any]:
    """All images, as many at once as a tap reads."""
    for start in range(0, len(images), 64):
        images.read(range(start, min(start + 64, len(images))))
    return {"images": len(images)}


def tapped(
    folders: Mapping[str, str], cores: int, threads: int = 1, ahead: bool = True, draws: int = 1
) -> Mapping[str, Callable[[], Mapping[str, Any]]]:
    """φ of the images of each folder by a small network on so many cores, files being decoded in so many threads.

    On one of two cores the next images are read ahead while it computes, unless that is prevented.
    """
    torch.set_num_threads(cores)
    reading.threads_for = lambda _: threads
    if not ahead:
        # No batch has so many numbers.
        averages.EARLY_ELEMENTS = 2**62
    tap = probekit.tap(probekit.load("photo32"), "mid")
    sets = {name: load(Path(folder), size=32, crop=32) for name, folder in folders.items()}

    def measure(images: Any) -> Mapping[str, Any]:
        tap(images, sigma=0.3, draws=draws, progress=False)
        return {"images": len(images)}

    return {name: partial(measure, images) for name, images in sets.items()}


def measured(rounds: int = 7) -> list[tuple[str, list[float], str]]:
    """Rows of reading by two threads over one, of taps that do, and that read ahead: name, ratios, rates in words."""
    with tempfile.TemporaryDirectory() as place:
        folders = {
            f"{kind.upper()} of {side}×{side}": str(written(Path(place) / f"{kind}{side}", side, kind))
            for kind in ("jpg", "png")
            for side in SIDES
        }
        found = in_turns({f"{n} threads": partial(ready, folders, n) for n in (1, 2)}, rounds)
        larger = {name: folder for name, folder in folders.items() if name.endswith(("256×256", "512×512"))}
        taps = in_turns({f"{n} threads": partial(tapped, larger, cores=2, threads=n) for n in (1, 2)}, rounds)
        count = GROUPS * averages.GROUP_ELEMENTS // (3 * 32 * 32) // DRAWS
        many = {
            f"{kind.upper()} of {side}×{side}": str(written(Path(place) / f"{kind}{side}-many", side, kind, count))
            for kind, side in (("jpg", 64), ("jpg", 256), ("png", 256))
        }
        ways = {"ahead": {}, "one by one": {"ahead": False}, "ahead by two": {"threads": 2}}
        one_core = in_turns(
            {name: partial(tapped, many, cores=1, draws=DRAWS, **way) for name, way in ways.items()}, rounds
        )
    rows = []
    for title, with_it, without in (
        ("two threads over one, ", found["2 threads"], found["1 threads"]),
        ("two threads over one, φ of ", taps["2 threads"], taps["1 threads"]),
        (f"reading ahead over not, φ of {DRAWS} draws on one core of ", one_core["ahead"], one_core["one by one"]),
        ("the same in two threads over one, ", one_core["ahead by two"], one_core["ahead"]),
    ):
        for name in with_it:
            ratios = [a.seconds / b.seconds for a, b in zip(without[name], with_it[name], strict=True)]
            rates = [np.median([one.said["images"] / one.seconds for one in way[name]]) for way in (with_it, without)]
            rows.append((f"{title}{name}", ratios, f"{rates[0]:,.0f} images/s; without {rates[1]:,.0f}"))
    return rows


if __name__ == "__main__":
    # As a module that other processes find.
    import reading_files

    for name, ratios, rates in reading_files.measured():
        print(f"{name}: {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {rates}")
