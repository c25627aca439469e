"""The command of variants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyses import densities
from analyses.ground import OUT, Level, Resamples, run
from probekit.cli.arguments import (
    CHECK,
    DRAWS,
    NETWORK,
    REDUCE,
    Bands,
    Check,
    Crop,
    Draws,
    Images,
    Network,
    Out,
    Quiet,
    Reduce,
    Seed,
    Size,
    images_called,
    network_called,
    words,
)
from probekit.cli.checking import number_of, whole_of
from probekit.cli.cluster import Pickled, Scheduler, Threads, Workers, cluster_called
from probekit.cli.output import goes_on, results_awaited

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["command", "main"]

# The network and its untrained controls, in the order of `ground.TWINS`.
ROLES = ("trained", "untrained", "untrained-paper-gains")
DISTANCES = ("patch_wasserstein", "gaussian_wasserstein_debiased", "energy")


def command(
    images: Images,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    block: Annotated[str, typer.Option(help="Tap whose φ is held.")] = "mid",
    held_out: Annotated[
        str | None, typer.Option(help="Taps compared in, comma-separated. Default: one before the block, one after.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Training images to look for near copies of: folders or zips, comma-separated.")
    ] = None,
    n_reference: Annotated[int, typer.Option(callback=whole_of(1, "n_images"), help="At most so many of them.")] = 5000,
    at: Annotated[
        float,
        typer.Option(
            callback=number_of("one noise standard deviation ≥ 0", lambda v: v >= 0, "sigma"),
            help="Noise level at which φ is compared.",
        ),
    ] = 0.1,
    n_images: Annotated[int, typer.Option(callback=whole_of(1), help="Conditions, at most.")] = 24,
    samples: Annotated[int, typer.Option(callback=whole_of(1, "n_samples"), help="Of each condition and variant.")] = 2,
    levels: Annotated[int, typer.Option(callback=whole_of(2), help="Noise levels that samples go through.")] = 20,
    with_laws: Annotated[
        int | None,
        typer.Option(
            "--laws",
            callback=whole_of(densities.LEAST_SAMPLES, "laws"),
            help="Samples of each condition for distances between laws; by default none are made.",
        ),
    ] = None,
    draws: Draws = DRAWS,
    reduce: Reduce = REDUCE,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    out: Out = OUT,
    workers: Workers = None,
    scheduler: Scheduler = None,
    threads: Threads = None,
    pickled: Pickled = False,
    quiet: Quiet = False,
) -> list[Path]:
    """What each ingredient of conditional sampling does: match, variety, near copies, other blocks, untrained network.

    Samples are kept in the folder, so that a call that was stopped goes on.
    """
    from analyses.ground import drawn_images, saved
    from analyses.variants.analyse import laws, table
    from analyses.variants.figure import plot, sheet
    from analyses.variants.recipes import twins_of

    results_awaited(out, *_names(with_laws is not None), images=images)
    source = images_called(images, size=size, crop=crop, bands=bands, check=check)
    references = words(reference)
    if references:
        references = drawn_images(
            images_called(references, size=size, crop=crop, bands=bands, check=check), n_reference, seed
        )
    net, stores = network_called(network), out / "variants-stores"
    shared = {"block": block, "n_images": n_images, "levels": levels, "draws": draws, "seed": seed, "reduce": reduce}
    shared |= {"sigma": at, "progress": False if quiet else None}
    with goes_on(stores), cluster_called(workers, scheduler, threads, pickled=pickled) as crew:
        shared |= {"client": crew}
        found = table(
            source,
            denoiser=net,
            n_samples=samples,
            reference=references or None,
            held_out=words(held_out),
            store=stores,
            resamples=resamples,
            level=level,
            **shared,
        )
        written = saved(out, ("variants", found), ("variants", plot(found)), ("variants-sheet", sheet(found)))
        if with_laws is not None:
            twins = zip(ROLES[1:], twins_of(net, seed).values(), strict=False)
            for role, one in ((ROLES[0], net), *twins):
                data = laws(source, denoiser=one, n_samples=with_laws, store=stores / f"laws-{role}", **shared)
                written += _distances(data, out, role)
    return written


def _names(laws: bool) -> list[str]:
    """Of the files that are written."""
    further = [f"densities-{m.replace('_', '-')}-{role}" for m in DISTANCES for role in ROLES]
    names = ["variants", *(further if laws else ())]
    return [*(f"{name}{end}" for name in names for end in (".nc", ".png")), "variants-sheet.png"]


def _distances(data: xr.Dataset, out: Path, role: str) -> list[Path]:
    """Findings of `densities` by each measure, and the figure of each."""
    from analyses.ground import saved

    written = []
    for measure in DISTANCES:
        found = densities.analyse(data, measure=measure)
        name = f"densities-{measure.replace('_', '-')}-{role}"
        written += saved(out, (name, found), (name, densities.plot(found)))
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.variants VAL.zip --reference TRAIN.zip -o out/``."""
    return run(command, "variants", arguments)
