"""Rows of the page on memory: by how many bytes the peak grows with images, blocks, noise levels and draws.

The network has wide layers that cost little, so that results are what takes memory. Every row is a process of its
own, which makes a small call, then is measured with few and with many.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import nn
from turns import memory_now, peak_since_reset, reset_peak

import probekit
from probekit.machine.memory import spoken

__all__ = ["Call", "flat", "linear", "made"]

Rows = list[tuple[str, list[float], str]]

WIDTH, DEPTH, SIDE = 1024, 6, 2
FLOAT = 4


@dataclass(frozen=True)
class Call:
    """How many of each, whether draws are kept, and whether results go to a store."""

    images: int
    blocks: int = 1
    levels: int = 1
    draws: int = 1
    keep_draws: bool = False
    store: bool = False

    @property
    def result_bytes(self) -> int:
        """What φ, its standard error and kept draws take."""
        return self.images * self.levels * self.blocks * WIDTH * FLOAT * (2 + self.draws * self.keep_draws)


@dataclass(frozen=True)
class Case:
    """A call, and what of it is varied between few and many."""

    call: Call
    varied: str
    few: int
    many: int

    def ends(self) -> tuple[Call, Call]:
        few: dict[str, Any] = {self.varied: self.few}
        many: dict[str, Any] = {self.varied: self.many}
        return replace(self.call, **few), replace(self.call, **many)

    def each(self, quantity: float) -> float:
        """Of what lies between the ends: what there is for each."""
        return quantity / (self.many - self.few)


# Stores are measured where several of their units are in flight at both ends.
LINEAR = {
    "images, results in memory": Case(Call(1000), "images", 1000, 5000),
    "noise levels, results in memory": Case(Call(2000), "levels", 1, 9),
    "blocks, results in memory": Case(Call(2000), "blocks", 1, DEPTH),
    "draws that are kept, results in memory": Case(Call(500, keep_draws=True), "draws", 2, 10),
}
FLAT = {
    "images, results in a store": Case(Call(4000, store=True), "images", 4000, 16000),
    "noise levels, results in a store": Case(Call(2000, store=True), "levels", 1, 9),
    "blocks, results in a store": Case(Call(2000, store=True), "blocks", 1, DEPTH),
    "draws that are kept, results in a store": Case(Call(2000, keep_draws=True, store=True), "draws", 2, 10),
    "draws that are averaged": Case(Call(2000), "draws", 2, 10),
}


def made(call: Call) -> xr.Dataset:
    """φ of the call's images; of a store nothing is left."""
    torch.manual_seed(0)
    layers = [layer for _ in range(DEPTH) for layer in (nn.Conv2d(3, WIDTH, 1), nn.Conv2d(WIDTH, 3, 1))]
    tap = probekit.tap(nn.Sequential(*layers), *(str(2 * block) for block in range(call.blocks)))
    sigma = [0.1 * (1 + level) for level in range(call.levels)]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "phi.zarr" if call.store else None
        options = {"keep_draws": call.keep_draws, "store": store, "progress": False}
        return tap(torch.rand(call.images, 3, SIDE, SIDE), sigma=sigma, draws=call.draws, batch_size=64, **options)


def growth(case: Case) -> tuple[int, int]:
    """Bytes of peak memory with few and with many, above those before."""
    few, many = case.ends()
    made(replace(few, images=64))
    before = memory_now()
    peaks = []
    for call in (few, many):
        reset_peak()
        made(call)
        peaks.append(peak_since_reset() - before)
    return peaks[0], peaks[1]


def _grown(cases: dict[str, Case]) -> dict[str, tuple[int, int]]:
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return dict(zip(cases, pool.map(growth, cases.values(), chunksize=1), strict=True))


def linear() -> Rows:
    """Bytes of results over bytes by which the peak grows: 1 where nothing but results is held."""
    rows: Rows = []
    for name, (few, many) in _grown(LINEAR).items():
        case = LINEAR[name]
        slope = case.each(many - few)
        results = case.each(case.ends()[1].result_bytes - case.ends()[0].result_bytes)
        rate = f"{spoken(slope)} for each, {case.few:,} to {case.many:,}; its results are {spoken(results)}"
        rows.append((name, [results / slope], rate))
    return rows


def flat() -> Rows:
    """Growth of the peak with few over that with many: 1 where it does not depend on how many there are."""
    rows: Rows = []
    for name, (few, many) in _grown(FLAT).items():
        case = FLAT[name]
        slope = case.each(many - few)
        each = f"{'−' * (slope < 0)}{spoken(abs(slope))} for each"
        rate = f"{spoken(few)} with {case.few:,}, {spoken(many)} with {case.many:,}: {each}"
        rows.append((name, [few / many], rate))
    return rows
