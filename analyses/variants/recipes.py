"""The variants of sampling that are compared: which network, which block, which method; and samples by each."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr
from torch import nn

import probekit
from analyses import sampling
from analyses.ground import TWINS, SampleSettings, block_names, folder_of, untrained_twins
from probekit import checks
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.machine.files import whole
from probekit.phi.job import beside

if TYPE_CHECKING:
    from probekit.capture.reductions import Reduction

__all__ = [
    "RECIPES",
    "Made",
    "Recipe",
    "Variant",
    "declared_taps",
    "on_either_side",
    "sampled",
    "twins_of",
    "variants_of",
]


class Variant(NamedTuple):
    """One way to make samples.

    Attributes
    ----------
    name
        In findings, and of its folder.
    what
        What it does, in a line, for figures.
    network
        The denoiser, whose own φ is held.
    block
        The tap that is held.
    method, options
        As for `sampling.reconstruct`.
    reduce
        As for `probekit.tap`.
    """

    name: str
    what: str
    network: nn.Module
    block: str
    method: str
    options: Mapping[str, Any] = MappingProxyType({})
    reduce: str | Reduction = "mean"

    def checked(self) -> Variant:
        """The same, found fit for use.

        Raises
        ------
        InputError
            If a name is no text, the network no module, or the method has no such options.
        TapError
            If the network has no such tap.
        """
        checks.text("the name of a variant", self.name, "a text")
        if not isinstance(self.what, str):
            raise InputError(f"{checks.given('what', self.what)}: give a line of text that says what {self.name} does")
        checks.instance("network", self.network, nn.Module, "a denoiser, a torch.nn.Module")
        probekit.tap(self.network, checks.text("block", self.block, "the name of a tap"), reduce=self.reduce)
        options = checks.mapping("options", self.options, "options of the method by name")
        sampling.method_of(self.method, options)
        return self._replace(options=options)


class Recipe(NamedTuple):
    """A variant of any network; ``{block}`` in its name and in what it does stands for the tap that is held.

    Attributes
    ----------
    what
        What it does, in a line.
    method
        As for `sampling.reconstruct`.
    untrained
        Which of `ground.TWINS` the network is, "" for the trained; left out where there is no such control.
    elsewhere
        Whether it is made once at each tap that the network declares but the block.
    """

    what: str
    method: str = sampling.DEFAULT
    untrained: str = ""
    elsewhere: bool = False


ONE, PAPER = TWINS
# By name, in the order of the findings; the first is what all others are compared with.
RECIPES: Mapping[str, Recipe] = {
    sampling.DEFAULT: Recipe("φ of {block} held at every noise level"),
    "algorithm1": Recipe("the paper's: noise, guidance, one denoising a level", "algorithm1"),
    "guidance": Recipe("Algorithm 1 without the denoiser", "guidance"),
    "score": Recipe("Algorithm 1 without guidance", "score"),
    "unconditional": Recipe("the default without φ", "unconditional"),
    "untrained": Recipe("fresh weights, gains of 1, their own φ held", untrained=ONE),
    "untrained, unconditional": Recipe("fresh weights, gains of 1, without φ", "unconditional", untrained=ONE),
    PAPER: Recipe("fresh weights, gains as in the paper's code, their own φ held", untrained=PAPER),
    f"{PAPER}, unconditional": Recipe(
        "fresh weights, gains as in the paper's code, without φ", "unconditional", untrained=PAPER
    ),
    "at {block}": Recipe("φ of {block} held instead", elsewhere=True),
}


class Made(NamedTuple):
    """A variant's samples, and the seconds that each took to make: NaN where none was timed."""

    variant: Variant
    samples: xr.Dataset
    seconds: float


def declared_taps(denoiser: nn.Module) -> list[str]:
    """The taps that a network declares, in its order; of one that declares none its middle."""
    return list(block_names(denoiser))


def on_either_side(names: Sequence[str], block: str) -> list[str]:
    """Of these taps one on the way to the block, two before it, and the next after it, where there are such."""
    at = names.index(block) if block in names else 0
    return [*names[max(at - 2, 0) : at][:1], *names[at + 1 : at + 2]]


def twins_of(denoiser: nn.Module, seed: int) -> dict[str, nn.Module]:
    """The untrained controls by name; none where weights cannot be drawn anew."""
    try:
        return untrained_twins(denoiser, seed=seed)
    except InputError:
        return {}


def variants_of(
    denoiser: nn.Module,
    block: str,
    *,
    options: Mapping[str, Mapping[str, Any]],
    seed: int,
    reduce: str | Reduction = "mean",
) -> list[Variant]:
    """The recipes for this network.

    Parameters
    ----------
    denoiser
        The trained network.
    block
        The tap held.
    options
        Of methods, by their name.
    seed
        Of the untrained network's weights.
    reduce
        As for `probekit.tap`.

    Raises
    ------
    InputError
        If the network declares no such tap.
    """
    taps = declared_taps(denoiser)
    if block not in taps:
        raise InputError(
            f"the network declares the taps {', '.join(taps) or 'none'} and no {checks.shown(block)}: give one of them"
        )
    twins = twins_of(denoiser, seed)
    found = []
    for name, (what, method, untrained, elsewhere) in RECIPES.items():
        network = twins.get(untrained) if untrained else denoiser
        for held in [tap for tap in taps if (tap != block) == elsewhere]:
            if network is not None:
                said = name.format(block=held), what.format(block=held)
                found.append(Variant(*said, network, held, method, options.get(method, {}), reduce))
    return found


def sampled(variant: Variant, images: ImageSet, settings: SampleSettings) -> Made:
    """Samples by a variant, from its folder where they are kept there."""
    store = folder_of(settings.store)
    folder = None if store is None else store / re.sub(r"[^\w.-]+", "-", variant.name)
    before = 0 if folder is None else len(list(folder.glob("[0-9]*.nc")))
    began = time.perf_counter()
    samples = sampling.reconstruct(
        variant.network,
        probekit.tap(variant.network, variant.block, reduce=variant.reduce),
        images,
        n_samples=settings.n_samples,
        sigmas=sampling.schedule(variant.method, settings.sigmas, settings.levels),
        method=variant.method,
        seed=settings.seed,
        draws=settings.draws,
        batch_size=settings.batch_size,
        store=folder,
        client=beside(settings.client, variant.network),
        progress=settings.progress,
        **variant.options,
    )
    spent = time.perf_counter() - began
    count = (len(images) - before) * settings.n_samples
    return Made(variant, samples, _seconds_each(spent, count, None if folder is None else folder / "seconds.json"))


def _seconds_each(spent: float, count: int, kept: Path | None) -> float:
    """Seconds a sample over this call and those before it."""
    total = {"seconds": spent if count else 0.0, "samples": count}
    if kept is not None and kept.exists():
        try:
            earlier = json.loads(kept.read_text(encoding="utf-8"))
            total = {key: total[key] + earlier[key] for key in total}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{kept} cannot be read ({error}): delete it, and only what is made from now on is timed"
            ) from error
    if kept is not None and count:
        with whole(kept) as unfinished:
            unfinished.write_text(json.dumps(total), encoding="utf-8")
    return total["seconds"] / total["samples"] if total["samples"] else float("nan")
