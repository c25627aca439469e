"""The command of descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.descriptors.kinds import EVERY_KIND, KINDS
from analyses.ground import OUT, run
from probekit.cli.arguments import CHECK, Bands, Check, Crop, Images, Out, Seed, Size, check_words, images_called, words
from probekit.cli.checking import whole_of
from probekit.cli.output import results_awaited

__all__ = ["command", "main"]


def command(
    images: Images,
    out: Out = OUT,
    kinds: Annotated[
        str,
        typer.Option(
            callback=check_words("kinds", EVERY_KIND), help=f"Some of {', '.join(EVERY_KIND)}, comma-separated."
        ),
    ] = ",".join(KINDS),
    train: Annotated[
        str | None, typer.Option(help="Images that principal components are fitted on, comma-separated.")
    ] = None,
    n_components: Annotated[
        int | None,
        typer.Option(callback=whole_of(1), help="Principal components; by default 128, or as many as there can be."),
    ] = None,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    seed: Seed = 0,
) -> list[Path]:
    """Descriptors of images, as semantics compares φ with them: --others descriptors.nc."""
    from analyses.descriptors.analyse import analyse
    from analyses.ground import saved

    results_awaited(out, "descriptors.nc", images=images)
    source = images_called(images, size=size, crop=crop, bands=bands, check=check)
    fitted_on = (
        None if train is None else images_called(words(train) or [], size=size, crop=crop, bands=bands, check=check)
    )
    found = analyse(source, kinds=words(kinds) or [], train=fitted_on, n_components=n_components, seed=seed)
    return saved(out, ("descriptors", found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.descriptors photographs/ -o out/``."""
    return run(command, "descriptors", arguments)
