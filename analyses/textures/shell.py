"""The command of textures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyses.ground import OUT, run
from probekit.cli.arguments import (
    DRAWS,
    NETWORK,
    REDUCE,
    Draws,
    Network,
    Out,
    Quiet,
    Reduce,
    Seed,
    Sigma,
    check_words,
    images_called,
    network_called,
    numbers,
)
from probekit.cli.checking import checked, possible_path, whole_of
from probekit.cli.output import goes_on, results_awaited
from probekit.errors import InputError
from probekit.machine.reading import reading

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from analyses.textures.table import Settings

__all__ = ["command", "main"]

DISTANCES = ("euclidean", "standardised")

Photographs = Annotated[
    str, typer.Argument(help="Folder or zip of photographs of textures, of any sizes; or shapes:COUNT, samples.")
]
Train = Annotated[
    str | None, typer.Option(help="Other photographs, on which the block is chosen that the verdict is about.")
]
Patch = Annotated[int, typer.Option("--size", callback=whole_of(1), help="Side of a patch in pixels.")]
Side = Annotated[int | None, typer.Option(callback=whole_of(1), help="Shorter side that photographs are resized to.")]
Each = Annotated[int, typer.Option(callback=whole_of(2), help="Patches of a photograph, at most.")]
Distance = Annotated[
    str,
    typer.Option(
        callback=check_words("distance", DISTANCES), help=f"{' or '.join(DISTANCES)}: what the verdict rests on."
    ),
]
Groups = Annotated[
    Path | None,
    typer.Option(callback=checked(possible_path), help="CSV file of photographs, by the column file, with groups."),
]
By = Annotated[str, typer.Option(help="Column of the groups.")]


def command(
    photographs: Photographs,
    out: Out = OUT,
    network: Network = NETWORK,
    train: Train = None,
    size: Patch = 64,
    side: Side = 192,
    each: Each = 8,
    sigma: Sigma = "0.1",
    draws: Draws = DRAWS,
    reduce: Reduce = REDUCE,
    distance: Distance = "euclidean",
    groups: Groups = None,
    by: By = "source",
    seed: Seed = 0,
    no_sheet: Annotated[
        bool, typer.Option("--no-sheet", help="Draw no patches: for photographs that may not be shown.")
    ] = False,
    quiet: Quiet = False,
) -> list[Path]:
    """Whether φ is a texture descriptor: patches of one photograph lie together, nearer than by untrained twins.

    It also draws the patches that excite the channels of a block most, the block of the verdict where there is one.
    """
    from analyses.ground import saved
    from analyses.textures.figure import plot, plot_curves
    from analyses.textures.table import Settings, table

    given = [name for name in (photographs, train) if name is not None]
    figures = ("textures.png", "textures-curves.png", *(() if no_sheet else ("textures-sheet.png",)))
    results_awaited(out, "textures.nc", *figures, images=given, reads=[] if groups is None else [groups])
    of = None if groups is None else _groups(groups, by)
    denoiser = network_called(network)
    levels = numbers(sigma, float, "--sigma")
    settings = Settings(size=size, side=side, each=each, sigma=levels, draws=draws, reduce=reduce, distance=distance)
    with goes_on(stores := out / "textures-stores"):
        found = table(
            _called(photographs),
            denoiser=denoiser,
            train=None if train is None else _called(train),
            groups=of,
            settings=settings,
            store=stores,
            seed=seed,
            progress=False if quiet else None,
        )
        drawn = [] if no_sheet else sheet_of(found, _called(photographs), denoiser, settings, seed)
    return saved(out, ("textures", found), ("textures", plot(found)), ("textures-curves", plot_curves(found)), *drawn)


def sheet_of(
    found: xr.Dataset, photographs: Any, denoiser: Any, settings: Settings, seed: int
) -> list[tuple[str, Figure]]:
    """The sheet of what excites the channels of a block, at the middle noise level; or none, and why."""
    from analyses.textures.excited import excited, sheet
    from analyses.textures.patches import patches
    from probekit.capture.survey import network_of
    from probekit.denoising.inputs import input_channels

    blocks = list(map(str, found["block"].values))
    block = found.attrs.get("block", "mid" if "mid" in blocks else blocks[len(blocks) // 2])
    sigma = float(found["sigma"].values[found.sizes["sigma"] // 2])
    bands = input_channels(network_of(denoiser))
    cut = patches(
        photographs,
        size=settings.size,
        side=settings.side,
        each=settings.each,
        bands=bands if bands in (1, 3) else None,
        seed=seed,
    )
    try:
        how = {"draws": settings.draws, "reduce": settings.reduce, "seed": seed}
        best = excited(cut, denoiser=denoiser, block=block, sigma=sigma, **how)
    except InputError as error:
        warnings.warn(f"no sheet of patches: {error}", stacklevel=2)
        return []
    return [("textures-sheet", sheet(best))]


def _called(name: str) -> Any:
    """What `patches` takes: a path, or the images that a name stands for."""
    if name == "samples" or name.startswith("shapes:"):
        return images_called([name])
    return Path(name)


def _groups(path: Path, by: str) -> dict[str, str]:
    """Groups of photographs by their file names."""
    import pandas as pd

    with reading(path, "give a CSV file with columns file and of groups"):
        read = pd.read_csv(path, dtype=str, keep_default_na=False)
    lacking = [name for name in ("file", by) if name not in read]
    if lacking:
        raise InputError(
            f"{path} has no column {', '.join(lacking)}, only {', '.join(map(str, read.columns))}: give --by one of "
            "these, and the photographs in the column file"
        )
    return dict(zip(read["file"], read[by], strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.textures unseen.zip --train train.zip -o out/``."""
    return run(command, "textures", arguments)
