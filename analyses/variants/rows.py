"""The variants of sampling that are compared: which network, which block, which method; and their samples."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import xarray as xr
from torch import nn

import probekit
from analyses import sampling
from probekit.capture.survey import network_of
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.machine.files import writing_to
from probekit.models import zoo

__all__ = ["Making", "Variant", "rows", "samples_of"]


class Variant(NamedTuple):
    """One way to make samples.

    Attributes
    ----------
    name
        Of its row, and of its folder.
    what
        What it does, in a line, for figures.
    network
        The denoiser, whose own φ is held.
    block
        The tap that is held.
    method, options
        As for `sampling.reconstruct`.
    """

    name: str
    what: str
    network: nn.Module
    block: str
    method: str
    options: Mapping[str, Any] = MappingProxyType({})


class Making(NamedTuple):
    """What all variants are made with."""

    images: ImageSet
    n_samples: int
    sigmas: Sequence[float] | None
    levels: int
    draws: int
    seed: int
    batch_size: int | None
    store: Path | None
    progress: bool | None


def rows(denoiser: nn.Module, block: str, *, options: Mapping[str, Mapping[str, Any]], seed: int) -> list[Variant]:
    """The default method first; then what lacks an ingredient, what is untrained, and the other blocks.

    Parameters
    ----------
    denoiser
        The trained network.
    block
        The tap held; an alias that the network declares.
    options
        Of methods, by their name.
    seed
        Of the untrained network's weights.
    """
    names = list(getattr(network_of(denoiser), "tap_aliases", {}))
    if block not in names:
        raise InputError(
            f"the network declares the taps {', '.join(names) or 'none'} and no {block!r}: give one of them"
        )
    default = sampling.DEFAULT
    what = {
        default: f"φ of {block} held at every noise level",
        "algorithm1": "the paper's: noise, guidance, one denoising a level",
        "guidance": "Algorithm 1 without the denoiser",
        "score": "Algorithm 1 without guidance",
        "unconditional": "the default without φ",
    }
    found = [Variant(name, text, denoiser, block, name, options.get(name, {})) for name, text in what.items()]
    if isinstance(denoiser, Denoiser) and type(denoiser.model) in zoo.ARCHITECTURES.values():
        fresh = zoo.untrained(denoiser, seed=seed)
        for name, method in (("untrained", default), ("untrained, unconditional", "unconditional")):
            text = "fresh weights, their own φ held" if method == default else "fresh weights, without φ"
            found.append(Variant(name, text, fresh, block, method, options.get(method, {})))
    for name in names:
        if name != block:
            found.append(
                Variant(f"at {name}", f"φ of {name} held instead", denoiser, name, default, options.get(default, {}))
            )
    return found


def samples_of(variant: Variant, making: Making) -> tuple[xr.Dataset, float]:
    """Samples of a variant, and the seconds that one took to make: NaN where none was timed."""
    folder = None if making.store is None else making.store / re.sub(r"[^\w.-]+", "-", variant.name)
    before = 0 if folder is None else len(list(folder.glob("*.nc")))
    began = time.perf_counter()
    samples = sampling.reconstruct(
        variant.network,
        probekit.tap(variant.network, variant.block),
        making.images,
        n_samples=making.n_samples,
        sigmas=sampling.schedule(variant.method, making.sigmas, making.levels),
        method=variant.method,
        seed=making.seed,
        draws=making.draws,
        batch_size=making.batch_size,
        store=folder,
        progress=making.progress,
        **variant.options,
    )
    spent = time.perf_counter() - began
    count = (len(making.images) - before) * making.n_samples
    return samples, _each(spent, count, None if folder is None else folder / "seconds.json")


def _each(spent: float, count: int, kept: Path | None) -> float:
    """Seconds a sample over this call and those before it."""
    total = {"seconds": spent if count else 0.0, "samples": count}
    if kept is not None:
        if kept.exists():
            try:
                earlier = json.loads(kept.read_text(encoding="utf-8"))
                total = {key: total[key] + earlier[key] for key in total}
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"{kept} cannot be read ({error}): delete it, and only what is made from now on is timed"
                ) from error
        if count:
            part = kept.with_suffix(".part")
            with writing_to(kept.parent):
                part.write_text(json.dumps(total), encoding="utf-8")
                part.replace(kept)
    return total["seconds"] / total["samples"] if total["samples"] else float("nan")
