"""The command of the explorer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from analyses.ground import run
from probekit.cli.arguments import (
    CHECK,
    REDUCE,
    Bands,
    Check,
    Condition,
    Crop,
    Draws,
    Images,
    Model,
    Quiet,
    Reduce,
    Seed,
    Sigma,
    Size,
    conditions_called,
    images_called,
    is_function,
    network_called,
    numbers,
    out_option,
    words,
)
from probekit.cli.checking import checked, possible_path, whole_of
from probekit.cli.output import file_awaited
from probekit.machine.progress import silent

__all__ = ["command", "main"]

PAGE = "explore.html"
DRAWS, DETAILED = 4, 24
SIGMA = "0.05,0.1,0.2,0.3,0.5,0.8,1"


def command(
    network: Model,
    images: Images,
    out: Annotated[Path, out_option("The page, one file that ends in .html.")] = Path(PAGE),
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    against: Annotated[
        str,
        typer.Option(help="What is shown beside it: untrained, nothing, or another network, named as the first."),
    ] = "untrained",
    sigma: Sigma = SIGMA,
    draws: Draws = DRAWS,
    taps: Annotated[
        str, typer.Option(help="Places in the network, comma-separated; by default those it declares.")
    ] = "",
    reduce: Reduce = REDUCE,
    seed: Seed = 0,
    detailed: Annotated[
        int, typer.Option(callback=whole_of(0), help="Images of which the page holds noisy, denoised and maps.")
    ] = DETAILED,
    condition: Condition = None,
    samples: Annotated[
        Path | None,
        typer.Option(callback=checked(possible_path), help="samples.nc of `probekit analyse sampling`, shown too."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it to browsers of this machine instead: for more than 2,000 images.")
    ] = False,
    port: Annotated[int, typer.Option(callback=whole_of(0, most=65_535), help="Of --serve; 0 for any.")] = 0,
    quiet: Quiet = False,
) -> list[Path]:
    """Write a page in which a network can be looked at: its blocks, every channel, every image."""
    from analyses.explore.explorer import explore

    told = {
        "--size": (size, None),
        "--crop": (crop, None),
        "--bands": (bands, 3),
        "--check": (check, CHECK),
        "--against": (against, "untrained"),
        "--sigma": (sigma, SIGMA),
        "--draws": (draws, DRAWS),
        "--taps": (taps, ""),
        "--reduce": (reduce, REDUCE),
        "--seed": (seed, 0),
        "--detailed": (detailed, DETAILED),
        "--samples": (samples, None),
    }
    if not serve:
        file_awaited(out, (".html", ".htm"), ".html", images=images)
    denoiser = network_called(network)
    source = images_called(images, size=size, crop=crop, bands=bands, check=check)
    other = None if against == "nothing" else against if against == "untrained" else network_called(against)
    with silent(quiet):
        found = explore(
            denoiser,
            source,
            against=other,
            samples=None if samples is None else _read(samples),
            command=shlex.join(["probekit", "explore", network, *images, *_options(told, condition)]),
            code=_code(network, images, size, crop, bands),
            sigma=numbers(sigma, float, option="--sigma"),
            draws=draws,
            taps=words(taps) or None,
            reduce=reduce,
            seed=seed,
            detailed=detailed,
            conditions=conditions_called(condition),
        )
        if not serve:
            return [found.save(out)]
    with found.serve(port=port) as served:
        typer.echo(f"{served.url}\nto browsers of this machine, until Ctrl-C")
        served.wait()
    return []


def _read(path: Path) -> Any:
    from analyses.ground import read

    return read(path)


def _options(told: Mapping[str, tuple[Any, Any]], conditions: Sequence[str] | None) -> list[str]:
    """Options that were given another value than they have by themselves, as words."""
    words = [word for name, (value, usual) in told.items() if value != usual for word in (name, str(value))]
    return words + [word for one in conditions or () for word in ("--condition", one)]


def _code(network: str, images: Sequence[str], size: int | None, crop: int | None, bands: int) -> dict[str, str]:
    """Lines of Python that load the same."""
    if is_function(network):
        module, _, function = network.partition(":")
        load = f"from {module} import {function}\ndenoiser = {function}()"
    else:
        load = f"denoiser = probekit.load({network!r})"
    told = {"size": size, "crop": crop, "bands": bands if bands != 3 else None}
    options = "".join(f", {name}={value}" for name, value in told.items() if value is not None)
    parts = [f"probekit.images.load({one!r}{options})" for one in images]
    joined = parts[0] if len(parts) == 1 else f"probekit.images.concatenate([{', '.join(parts)}])"
    return {"load": load, "images": f"images = {joined}"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.explore photo32 photos.zip -o explore.html``."""
    return run(command, "explore", arguments)
