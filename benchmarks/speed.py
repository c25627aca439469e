"""Rows of the page on φ: how many times as fast as other ways, what share of the arithmetic limit, how much memory.

A ratio is the time (or memory) of another way over that of this package, so that more than 1 is in its favour;
`precision="auto"`, of several times as many images and its trial included, is compared with this package's own float32.
Each way has a process of its own; they take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from by_hand import means_at
from rates import flops_of, product_rate, seconds_of
from torch import nn
from turns import Turn, in_turns
from ways import AUTO, FLOAT32, TOOLS, WAYS, Work, installed, prepared

from probekit.machine.memory import spoken

__all__ = [
    "IMAGES",
    "PLAIN",
    "batch_sizes",
    "compared",
    "levels",
    "limit",
    "linear",
    "memory",
    "middle",
    "several",
]

Rows = list[tuple[str, list[float], str]]
Found = Mapping[str, Mapping[str, Sequence[Turn]]]

PAPER, SMALL = (64, 128, 256, 512), (16, 32, 64, 128)
# Enough images that what a call costs once weighs as in a real run; those ways that take longest get fewer, as each
# batch costs them the same, and are compared by the time that an image takes.
MIDDLE = Work(PAPER, size=64, images=128, batch=8, fewer=2, more=4)
BLOCKS = ("enc1", "enc2", "enc3", "mid", "dec3", "dec2")
SEVERAL = replace(MIDDLE, images=32, blocks=BLOCKS, fewer=1, more=8)
LEVELS = Work(SMALL, size=32, images=32, batch=32, sigma=(0.1, 0.2, 0.3, 0.5, 1.0), draws=8)
IMAGES = 1024
# A hook takes a few times as long as a pass that is stopped, whatever the batch; tools longer as batches are small.
FEWER = {"hook": 4, **dict.fromkeys(TOOLS, 64)}
BATCHES = (1, 4, 16, 64, 256)
# What needs no other package.
PLAIN = (FLOAT32, AUTO, "by hand", "hook")
# Sides of the matrices whose product is the limit, large enough that a larger one is no faster.
SIGMA = 0.2
SIDES = {"float32": 2048, "bfloat16": 4096}
ONE_BY_ONE = "one by one"
AGAINST_AUTO = 'written out by hand, against `"auto"`'


def ready(key: str, works: Mapping[str, Work]) -> dict[str, Callable[[], dict[str, Any]]]:
    """The runs of one way, by label."""
    return {label: prepared(key, work) for label, work in works.items()}


def ready_one_by_one(label: str, work: Work) -> dict[str, Callable[[], dict[str, Any]]]:
    """This package, a call for each block."""
    calls = [prepared(FLOAT32, replace(work, blocks=(block,))) for block in work.blocks]
    return {label: lambda: {"calls": len([call() for call in calls])}}


def ready_product(dtype: str, label: str) -> dict[str, Callable[[], dict[str, Any]]]:
    """A large matrix product: the most of three, as a limit is what can be reached."""
    product = product_rate(torch.device("cpu"), getattr(torch, dtype), SIDES[dtype])
    return {label: lambda: {"rate": max(product() for _ in range(3))}}


def turns(ways: Iterable[str], works: Mapping[str, Work], rounds: int, **others: Any) -> Found:
    """Every way that there is here at all works, in turns, and what else is to be made in the same rounds."""
    jobs = {key: partial(ready, key, _as_timed(key, works)) for key in ways if installed(key)}
    return in_turns(jobs | others, rounds)


def _as_timed(key: str, works: Mapping[str, Work]) -> dict[str, Work]:
    """The works, of fewer images for ways that take long and of more where a trial comes first."""

    def count(work: Work) -> int:
        fewer = min(work.fewer, FEWER.get(key, 1))
        return max(min(work.batch, work.images), work.images // fewer) * (work.more if key == AUTO else 1)

    return {label: replace(work, images=count(work)) for label, work in works.items()}


def each(found: Found, key: str, label: str, work: Work) -> np.ndarray:
    """Seconds that a noisy image took, in each round."""
    count = _as_timed(key, {label: work})[label].noisy_images
    return np.array([turn.seconds for turn in found[key][label]]) / count


def compared(found: Found, label: str, work: Work, after: str = "") -> Rows:
    """Rows of one work: all ways against this package in float32."""
    mine = each(found, FLOAT32, label, work)
    rows: Rows = []
    for key in WAYS:
        if key == FLOAT32 or key not in found:
            continue
        theirs = each(found, key, label, work)
        rate = f"{_rate(theirs)} images/s; probekit {_rate(mine)}"
        if key == AUTO:
            rate = f"{_rate(theirs)} images/s{_precision(found[key][label])}; float32 {_rate(mine)}"
        ratios = mine / theirs if key == AUTO else theirs / mine
        rows.append((WAYS[key].name + after, ratios.tolist(), rate))
    if AUTO in found and "by hand" in found:
        theirs, auto = (each(found, key, label, work) for key in ("by hand", AUTO))
        rate = f"{_rate(theirs)} images/s; probekit {_rate(auto)}"
        rows.append((f"{AGAINST_AUTO}{after}", (theirs / auto).tolist(), rate))
    return rows


def _rate(seconds: np.ndarray) -> str:
    rate = float(1 / np.median(seconds))
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _precision(turns: Sequence[Turn]) -> str:
    said = turns[-1].said
    numbers = {
        key.removeprefix("precision_"): said[key] for key in ("precision_gain", "precision_error") if key in said
    }
    told = [f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}" for name, value in numbers.items()]
    return f" ({', '.join([str(said.get('precision', 'auto')), *told])})"


@cache
def _at_the_middle(ways: tuple[str, ...], rounds: int) -> Found:
    products = {dtype: partial(ready_product, dtype, "mid") for dtype in SIDES}
    return turns(ways, {"mid": MIDDLE}, rounds, **products)


def middle(ways: tuple[str, ...] = tuple(WAYS), rounds: int = 5) -> Rows:
    """φ at the middle block of the paper's network."""
    return compared(_at_the_middle(ways, rounds), "mid", MIDDLE)


def limit(ways: tuple[str, ...] = tuple(WAYS), rounds: int = 5) -> Rows:
    """Operations a second as far as the middle block, over those of a large matrix product in the same rounds."""
    found = _at_the_middle(ways, rounds)
    model, x = MIDDLE.model(), MIDDLE.clean()[:1]
    operations = flops_of(lambda: means_at(model, x, ["mid"]))
    rows: Rows = []
    for key in (FLOAT32, AUTO, "by hand"):
        if key not in found:
            continue
        chosen = str(found[key]["mid"][-1].said.get("precision", "float32"))
        dtype = "bfloat16" if chosen.startswith("bfloat16") else "float32"
        done = operations / each(found, key, "mid", MIDDLE)
        limits = np.array([turn.said["rate"] for turn in found[dtype]["mid"]])
        rate = f"{np.median(done) / 1e9:.3g} GFLOP/s; a product in {dtype} {np.median(limits) / 1e9:.3g}"
        rows.append((WAYS[key].name, (done / limits).tolist(), rate))
    return rows


def memory(ways: tuple[str, ...] = tuple(WAYS), rounds: int = 5) -> Rows:
    """By how much peak memory grows in these processes, over that of this package."""
    found = _at_the_middle(ways, rounds)
    mine = found[FLOAT32]["mid"][-1].growth
    rows: Rows = []
    for key in WAYS:
        if key != FLOAT32 and key in found:
            theirs = found[key]["mid"][-1].growth
            rows.append((WAYS[key].name, [theirs / mine], f"{spoken(theirs)}; probekit {spoken(mine)}"))
    return rows


def batch_sizes(ways: tuple[str, ...] = tuple(WAYS), rounds: int = 5, batches: tuple[int, ...] = BATCHES) -> Rows:
    """φ at the middle block of a small network, at several batch sizes."""
    works = {f"batch {batch}": Work(SMALL, size=32, images=IMAGES, batch=batch, fewer=64) for batch in batches}
    found = turns(ways, works, rounds)
    return [row for label, work in works.items() for row in compared(found, label, work, f", {label}")]


def several(ways: tuple[str, ...] = tuple(WAYS), rounds: int = 5) -> Rows:
    """φ at six blocks in one pass."""
    apart = {ONE_BY_ONE: partial(ready_one_by_one, "blocks", SEVERAL)}
    found = turns(ways, {"blocks": SEVERAL}, rounds, **apart)
    mine, theirs = (each(found, key, "blocks", SEVERAL) for key in (FLOAT32, ONE_BY_ONE))
    rate = f"{_rate(theirs)} images/s; probekit {_rate(mine)}"
    return [*compared(found, "blocks", SEVERAL), ("probekit, a call for each block", (theirs / mine).tolist(), rate)]


def levels(ways: tuple[str, ...] = tuple(WAYS), rounds: int = 5) -> Rows:
    """φ at the middle block of a small network, at five noise levels and over eight draws."""
    return compared(turns(ways, {"levels": LEVELS}, rounds), "levels", LEVELS)


def linear(rounds: int = 15) -> Rows:
    """Would noise levels gain by sharing the first layer, conv(x + σz) = conv(x) + σ conv(z)? In one process."""
    return [_shared(work, rounds) for work in (MIDDLE, Work(SMALL, size=32, images=64, batch=64))]


def _shared(work: Work, rounds: int) -> tuple[str, list[float], str]:
    model, x = work.model(), work.clean()[: work.batch]
    first: nn.Module = model.encoder[0][0]  # type: ignore[index, assignment]
    z, device = torch.randn_like(x), torch.device("cpu")
    with torch.no_grad():
        of_clean, of_noise = first(x), first(z)
        calls = {
            "layer": lambda: first(x + SIGMA * z),
            "sum": lambda: torch.add(of_clean, of_noise, alpha=SIGMA),
            "pass": lambda: means_at(model, x + SIGMA * z, ["mid"]),
        }
        took = {name: np.array([seconds_of(call, device) for _ in range(rounds)]) for name, call in calls.items()}
    saved = float(np.median(took["layer"]) - np.median(took["sum"]))
    name = f"{'-'.join(map(str, work.channels))}, {work.size}×{work.size}, batch {work.batch}"
    rate = f"saves {1000 * saved:.2f} ms of a pass of {1000 * float(np.median(took['pass'])):.1f} ms"
    return name, (took["pass"] / (took["pass"] - saved)).tolist(), rate
