"""Commands that look into denoisers: models, taps, draw, phi."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from probekit import checks
from probekit.cli.arguments import (
    CHECK,
    DRAWS,
    PRECISION,
    REDUCE,
    SIGMA,
    AnySeed,
    Background,
    Bands,
    BatchSize,
    Check,
    Condition,
    Crop,
    DrawsOrAuto,
    Frame,
    Images,
    LabelColumn,
    Model,
    PathColumn,
    Precision,
    Quiet,
    Reduce,
    Sigma,
    Size,
    conditions_called,
    draws_called,
    images_called,
    is_function,
    network_called,
    numbers,
    out_option,
    precision_called,
    refuse_images_too_large,
    store_called,
    words,
)
from probekit.cli.checking import checked, whole_of
from probekit.cli.cluster import Pickled, Scheduler, Threads, Workers, cluster_called
from probekit.cli.output import file_awaited, goes_on
from probekit.errors import InputError
from probekit.machine.files import prepared, whole
from probekit.machine.storage import is_remote

__all__ = ["check", "draw", "models", "phi", "taps"]


def _shape_of(shape: str) -> list[int]:
    """Channels, rows and columns, of an image that the network's maps fit beside in memory."""
    sizes = checks.counts("--shape", numbers(shape, option="--shape"))
    if len(sizes) != 3:
        raise InputError(f"--shape {shape}: give (channels, rows, cols), e.g. {SHAPE}")
    hint = f"--shape {shape} is too large to try a network on: give a smaller image, e.g. {SHAPE}"
    refuse_images_too_large(MAPS, *sizes, hint=hint)
    return sizes


Shape = Annotated[
    str,
    typer.Option(
        callback=checked(lambda _, shape: _shape_of(shape)), help="Channels, rows, columns of an image to try it on."
    ),
]
# Suffixes of pictures, with what a file of each is told to say of itself: no time, so that it is the same each time.
PICTURES: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".png": {}, ".pdf": {"CreationDate": None}}
SHAPE = "3,32,32"
# Planes of the first maps of a network, for each plane of an image: there are no fewer in those that are used.
MAPS = 16
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def models(as_json: Json = False) -> None:
    """List the bundled denoisers, with how well they denoise."""
    from probekit.models import zoo

    described = {name: zoo.describe(name) for name in zoo.available()}
    if as_json:
        typer.echo(json.dumps(described, ensure_ascii=False, indent=2))
        return
    for name, description in described.items():
        card = description["card"]
        psnr = card.get("psnr", {})
        levels = zip(psnr.get("sigma", []), psnr.get("denoiser", []), strict=True)
        told = "told σ" if description["sigma_to"] else "blind"
        typer.echo(f"{name}: {description['architecture']}, {told}, {card.get('images seen', '?')} images seen")
        typer.echo("  PSNR in dB at σ: " + ", ".join(f"{v:.1f} at {s:g}" for s, v in levels))
        typer.echo(f"  weights SHA-256 {description['weights_sha256']}")


def taps(
    network: Model,
    shape: Shape = SHAPE,
    as_json: Json = False,
) -> None:
    """List what can be tapped in a network: name, alias, map shape, calls, share of the work to reach it."""
    from probekit.capture.names import taps as table_of_taps

    table = table_of_taps(network_called(network), _shape_of(shape))
    if as_json:
        typer.echo(table.to_json(orient="records", indent=2))
    else:
        typer.echo(table.to_string(index=False, formatters={"cost": "{:.1%}".format}))


def draw(
    network: Model,
    out: Annotated[
        Path,
        out_option("A file that ends in .svg, .png or .pdf."),
    ],
    shape: Shape = SHAPE,
    depth: Annotated[
        int | None, typer.Option(callback=whole_of(1), help="Open all blocks down to this level of calls.")
    ] = None,
    expand: Annotated[str | None, typer.Option(help="Names of further blocks to open, comma-separated.")] = None,
    max_boxes: Annotated[
        int, typer.Option(callback=whole_of(1), help="Where there would be more boxes, neighbours are folded.")
    ] = 30,
) -> list[Path]:
    """Draw a network: blocks with tap names, map sizes and costs, and what feeds what."""
    from probekit.drawing.draw import draw as drawing_of

    reads = [] if is_function(network) else [network]
    file_awaited(out, tuple(PICTURES), ".svg (whose names can be copied), .png or .pdf", reads=reads)
    figure = drawing_of(
        network_called(network), _shape_of(shape), depth=depth, expand=words(expand) or (), max_boxes=max_boxes
    )
    prepared(out.parent)
    with whole(out) as unfinished:
        figure.savefig(unfinished, dpi=150, format=out.suffix[1:], metadata=PICTURES[out.suffix])
    return [out]


def check(
    store: Annotated[
        Path,
        typer.Argument(
            parser=store_called, metavar="STORE", help="A .zarr store that `probekit phi` or a tap has written."
        ),
    ],
    as_json: Json = False,
) -> int:
    """Read a store through, and say what of it is whole: exit status 0 if all is, 1 if not."""
    from probekit.phi.stored import check as checked_store

    found = checked_store(store)
    if as_json:
        told = {**asdict(found), "path": str(found.path), "whole": found.whole}
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        typer.echo(str(found))
    return 0 if found.whole else 1


def _check_taps(_name: str, value: str) -> None:
    if not words(value):
        raise InputError(f"--tap {value!r}: name at least one tap, comma-separated, as `probekit taps` lists them")


def phi(
    network: Model,
    images: Images,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            parser=store_called,
            metavar="PATH",
            help="A .zarr store, streamed and resumed, also s3://bucket/NAME.zarr and the like; or a .nc file.",
        ),
    ],
    tap: Annotated[str, typer.Option(callback=checked(_check_taps), help="Names of taps, comma-separated.")] = "mid",
    sigma: Sigma = SIGMA,
    draws: DrawsOrAuto = str(DRAWS),
    reduce: Reduce = REDUCE,
    seed: AnySeed = 0,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out files that cannot be used.")] = False,
    background: Background = None,
    frame: Frame = None,
    check: Check = CHECK,
    path: PathColumn = None,
    label: LabelColumn = None,
    batch_size: BatchSize = None,
    condition: Condition = None,
    precision: Precision = PRECISION,
    keep_draws: Annotated[bool, typer.Option("--keep-draws", help="Keep every draw too.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Write nothing: say what it would cost in time, by this process alone, memory and disk."
        ),
    ] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    threads: Threads = None,
    pickled: Pickled = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> list[Path] | None:
    """Write the representation φ of images to a file that xarray opens.

    A .zarr store is written as it is computed: killed and called again with the same arguments, the
    command goes on where it was.
    """
    from probekit.machine import netcdf
    from probekit.phi.tap import tap as make_tap

    reads = [*images, *(one.partition("=")[2] for one in condition or ())]
    file_awaited(out, (".zarr", ".nc"), ".zarr (streamed, resumable) or .nc (netCDF)", reads=reads, images=images)
    files = {"skip_bad": skip_bad, "frame": frame, "check": check, "path": path, "label": label}
    source = images_called(images, size=size, crop=crop, bands=bands, background=background, **files)
    tapped = make_tap(network_called(network), *(words(tap) or ()), reduce=reduce)
    levels = numbers(sigma, float, option="--sigma")
    conditions = conditions_called(condition)
    number = draws_called(draws)
    if dry_run:
        cost = tapped.estimate(
            source,
            sigma=levels,
            draws=number,
            batch_size=batch_size,
            keep_draws=keep_draws,
            conditions=conditions,
            precision=precision_called(precision),
        )
        typer.echo(json.dumps(asdict(cost), indent=2) if as_json else str(cost))
        return None
    if not is_remote(out):
        prepared(out.parent)
    asked = {"--workers": workers, "--scheduler": scheduler}
    if out.suffix != ".zarr" and any(asked.values()):
        option = next(name for name, value in asked.items() if value)
        raise InputError(f"{option}: workers write a .zarr store, and {out} is none: give -o NAME.zarr")
    cluster = cluster_called(workers, scheduler, threads, pickled=pickled)
    with goes_on(out if out.suffix == ".zarr" else None), cluster as crew:
        data = tapped(
            source,
            sigma=levels,
            draws=number,
            seed=seed,
            batch_size=batch_size,
            keep_draws=keep_draws,
            store=out if out.suffix == ".zarr" else None,
            conditions=conditions,
            precision=precision_called(precision),
            client=crew,
            progress=False if quiet else None,
        )
    if out.suffix == ".nc":
        netcdf.write(data, out)
    if not as_json:
        return [out]
    summary = {"path": str(out), "sizes": dict(data.sizes), "skipped": list(source.skipped), "attrs": data.attrs}
    typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    return None
