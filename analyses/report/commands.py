"""The commands of the report and of the demo: their options, and what is called with them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.densities import LEAST_SAMPLES
from analyses.ground import OUT, Clusters
from analyses.ground import run as run_command
from probekit.cli.arguments import (
    DRAWS,
    NETWORK,
    PRECISION,
    REDUCE,
    SIGMA,
    Bands,
    Crop,
    Draws,
    Images,
    Network,
    Out,
    Precision,
    Quiet,
    Reduce,
    Seed,
    Sigma,
    Size,
    check_list,
    images_called,
    is_function,
    network_called,
    numbers,
    precision_called,
    words,
)
from probekit.cli.checking import checked, possible_path, whole_of
from probekit.cli.cluster import Pickled, Scheduler, Threads, Workers, cluster_called, without_workers
from probekit.cli.output import goes_on, results_awaited
from probekit.errors import InputError

__all__ = ["demo", "main", "report"]


def demo(
    network: Network = NETWORK,
    draws: Draws = DRAWS,
    reduce: Reduce = REDUCE,
    seed: Seed = 0,
    out: Out = OUT,
    quiet: Quiet = False,
) -> list[Path]:
    """Measure φ of the built-in photographs at every block of a trained denoiser, and draw what it shows."""
    from analyses.report.demo import run
    from probekit.machine.progress import silent

    results_awaited(out, "phi.nc")
    with silent(quiet):
        return run(out, network=network_called(network), draws=draws, reduce=reduce, seed=seed, say=typer.echo)


def report(
    images: Images,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    sigma: Sigma = SIGMA,
    draws: Draws = 20,
    reduce: Reduce = REDUCE,
    precision: Precision = PRECISION,
    seed: Seed = 0,
    clusters: Clusters = None,
    block: Annotated[str, typer.Option(help="Tap that the claims are about.")] = "mid",
    train: Annotated[
        str | None, typer.Option(help="Training images of the same classes, comma-separated, for claims 5 and 8.")
    ] = None,
    textures: Annotated[
        str | None, typer.Option(help="Photographs of textures, unseen in training, for claim 9.")
    ] = None,
    textures_train: Annotated[
        str | None, typer.Option(help="Other photographs of textures, on which its block is chosen.")
    ] = None,
    cues: Annotated[
        str | None,
        typer.Option(help="Cue-conflict images whose ids name their exemplars, comma-separated, for claim 10."),
    ] = None,
    further_draws: Annotated[
        int | None,
        typer.Option(
            callback=whole_of(1), help="Noise draws of these further images, and in the table of controls. [as --draws]"
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(callback=checked(possible_path), help="CSV file of classes with columns wnid, hypernym_wnids."),
    ] = None,
    n_images: Annotated[
        int, typer.Option(callback=whole_of(1), help="Images of the table of controls, at most.")
    ] = 5000,
    n_train: Annotated[int, typer.Option(callback=whole_of(1), help="Its training images, at most.")] = 12500,
    conditions: Annotated[
        int, typer.Option(callback=whole_of(2), help="Images conditioned on, for claims 6 and 7.")
    ] = 24,
    samples: Annotated[int, typer.Option(callback=whole_of(LEAST_SAMPLES, "n_samples"), help="Samples of each.")] = 8,
    law_conditions: Annotated[
        int | None,
        typer.Option(callback=whole_of(2), help="Images conditioned on for claim 7. [as --conditions]"),
    ] = None,
    levels: Annotated[int, typer.Option(callback=whole_of(2), help="Noise levels that samples go through.")] = 20,
    claims: Annotated[
        str | None,
        typer.Option(
            callback=check_list(int, "--claims"),
            help="Claims to judge, comma-separated; by default all that can be.",
        ),
    ] = None,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Show none of the images, only built-in ones.")
    ] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    threads: Threads = None,
    pickled: Pickled = False,
    quiet: Quiet = False,
    out: Out = OUT,
) -> list[Path]:
    """Measure a denoiser on images, run the analyses, judge the paper's claims, and write a report."""
    from analyses.report.all_claims import run
    from analyses.report.settings import Compared, Measured, Sampling, Told

    others, conflict = words(train), words(cues)
    of_textures = [name for name in (textures, textures_train) if name is not None]
    if len(of_textures) == 1:
        raise InputError("--textures goes with --textures-train: give both, or neither")
    names = ["report.html", "report.md", "claims.nc"]
    every = [*images, *(others or []), *of_textures, *(conflict or [])]
    results_awaited(out, *names, reads=[] if classes is None else [classes], images=every)
    if classes is not None and not others:
        raise InputError("--classes goes with --train: give training images of the same classes too")
    only = None if claims is None else numbers(claims, option="--claims")
    denoiser = network_called(network)
    compared = None
    if others or of_textures or conflict:
        compared = Compared(
            train=images_called(others, size=size, crop=crop, bands=bands) if others else None,
            classes=classes,
            n_images=n_images,
            n_train=n_train,
            draws=further_draws,
            **dict(zip(("textures", "textures_train"), map(Path, of_textures), strict=False)),
            # As large as they are: the claim is about their own size.
            cues=images_called(conflict, bands=bands) if conflict else None,
        )
    with goes_on(out), cluster_called(workers, scheduler, threads, pickled=pickled) as crew:
        run(
            images_called(images, size=size, crop=crop, bands=bands),
            out=out,
            # A name is kept, so that the report can show the network's card.
            denoiser=denoiser if is_function(network) else network,
            measured=Measured(
                sigma=numbers(sigma, float, option="--sigma"),
                draws=draws,
                reduce=reduce,
                precision=precision_called(precision),
                seed=seed,
                block=block,
                clusters=clusters,
                client=crew,
            ),
            compared=compared,
            sampling=Sampling(conditions=conditions, n_samples=samples, law_conditions=law_conditions, levels=levels),
            only=only,
            told=Told(
                pictures=not no_pictures,
                command=f"probekit report {_typed()}",
                say=typer.echo,
                progress=False if quiet else None,
            ),
        )
    return [out / name for name in names]


def _typed() -> str:
    """The command's words as typed, files by their names, without who works: the report is the same by any workers."""
    typed = without_workers(sys.argv[2:] if sys.argv[1:2] == ["report"] else sys.argv[1:])
    return shlex.join(Path(word).name if "/" in word else word for word in typed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.report val.zip --network photo32 --size 32 -o results/``."""
    return run_command(report, "report", arguments)
