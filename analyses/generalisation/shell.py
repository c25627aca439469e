"""The command of generalisation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, run
from probekit.cli.arguments import (
    CHECK,
    NETWORK,
    Bands,
    Check,
    Crop,
    Network,
    Out,
    Quiet,
    Seed,
    Size,
    images_called,
    network_called,
    words,
)
from probekit.cli.checking import checked, fraction_of, possible_path, whole_of
from probekit.cli.output import results_awaited
from probekit.errors import InputError
from probekit.machine.progress import silent

__all__ = ["command", "main"]


def command(
    train: Annotated[str, typer.Option(help="All images it was trained on: folders or zips, comma-separated.")],
    held_out: Annotated[str, typer.Option(help="Images that it was not trained on, comma-separated.")],
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    samples: Annotated[int, typer.Option(callback=whole_of(1, "n_samples"), help="Unconditional samples.")] = 64,
    n_images: Annotated[
        int, typer.Option(callback=whole_of(1), help="Images of each set that PSNR is measured on.")
    ] = 1000,
    share: Annotated[
        float,
        typer.Option(
            callback=fraction_of("the share of unseen images that would count as copies, e.g. 0.01"),
            help="Share of unseen images that would count as near copies.",
        ),
    ] = 0.01,
    seed: Seed = 0,
    card: Annotated[
        Path | None,
        typer.Option(callback=checked(possible_path), help="The network's .json, to write the outcome into."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU is taken if there is one.")] = None,
    out: Out = OUT,
    quiet: Quiet = False,
) -> list[Path]:
    """Whether a denoiser has learnt its training images by heart: PSNR on both sets, near copies among samples."""
    from analyses.generalisation.analyse import analyse, card_entry
    from analyses.generalisation.figure import plot, sheet
    from analyses.ground import saved
    from probekit.models import zoo
    from probekit.train.processes import usable

    place = usable(device)
    figures = ("generalisation.png", "samples.png")
    results_awaited(out, "generalisation.nc", *figures, images=[*(words(train) or []), *(words(held_out) or [])])
    denoiser = network_called(network)
    if card is not None:
        _check_card(card, network)
    sets = (
        images_called(words(names) or [], size=size, crop=crop, bands=bands, check=check) for names in (train, held_out)
    )
    with silent(quiet):
        findings = analyse(denoiser.to(place), *sets, n_samples=samples, n_images=n_images, share=share, seed=seed)
    figures = ("generalisation", plot(findings)), ("samples", sheet(findings))
    written = saved(out, ("generalisation", findings), *figures)
    if card is not None:
        zoo.amend(card, lambda entries: entries.update(generalisation=card_entry(findings)))
        written.append(card)
    return written


def _check_card(card: Path, network: str) -> None:
    """Refuse to write into the card of another denoiser."""
    from probekit.models import zoo

    if card.suffix != ".json":
        raise InputError(f"{card} is no card: give the .json beside the weights of {network}")
    of, own = (zoo.describe(name)["weights_sha256"] for name in (card.with_suffix(".safetensors"), network))
    if of != own:
        raise InputError(f"{card} describes other weights than those of {network}: give the .json beside them")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.generalisation --network NAME --train … --held-out … -o out/``."""
    return run(command, "generalisation", arguments)
