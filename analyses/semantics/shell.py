"""The command of semantics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyses.ground import OF_TEST, OUT, Clusters, Data, Level, Resamples, run
from analyses.semantics.kernels_pairs import METRICS, MIN_IMAGES, STATISTICS
from probekit.cli.arguments import Out, Seed, check_words, words
from probekit.cli.checking import checked, number_of, possible_path, whole_of
from probekit.cli.output import results_awaited
from probekit.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["command", "main"]

Label = Annotated[str | None, typer.Option(help="Coordinate along image with the classes; by default label, if any.")]
Classes = Annotated[
    Path | None,
    typer.Option(callback=checked(possible_path), help="CSV file of classes with columns wnid, hypernym_wnids."),
]
Others = Annotated[
    Path | None,
    typer.Option(
        callback=checked(possible_path), help="netCDF file whose variables (image, feature) are compared with."
    ),
]
Beside = Annotated[
    Path | None,
    typer.Option(
        callback=checked(possible_path), help="netCDF file whose variables (image, feature) φ is measured against."
    ),
]
Distances = Annotated[
    str | None,
    typer.Option(
        callback=check_words("distances", METRICS),
        help=f"Some of {', '.join(METRICS)}, comma-separated; by default all.",
    ),
]
Statistics = Annotated[
    str | None,
    typer.Option(
        callback=check_words("statistics", STATISTICS),
        help=f"Some of {', '.join(STATISTICS)}, comma-separated; by default all.",
    ),
]
K = Annotated[int, typer.Option(callback=whole_of(1), help="Number of neighbours.")]
Reference = Annotated[
    float | None,
    typer.Option(
        callback=number_of("one of the noise levels of φ", lambda v: v >= 0),
        help="Noise level that is searched; by default 0.1, if there.",
    ),
]
Among = Annotated[int, typer.Option(callback=whole_of(2), help="Number of images searched.")]
QueryImages = Annotated[
    int,
    typer.Option(callback=whole_of(2), help="Images at most that are found again, and whose neighbours are sought."),
]
MaxImages = Annotated[int, typer.Option(callback=whole_of(MIN_IMAGES), help="Images correlated over, in pairs.")]


def _check_permutations(name: str, permutations: int) -> None:
    from analyses.semantics.analyse import check_permutations

    check_permutations(name, permutations)


def command(
    data: Data,
    out: Out = OUT,
    label: Label = None,
    classes: Classes = None,
    others: Others = None,
    controls: Beside = None,
    distances: Distances = None,
    statistics: Statistics = None,
    clusters: Clusters = None,
    k: K = 10,
    reference: Reference = None,
    among: Among = 1000,
    query_images: QueryImages = 20_000,
    noise_free: Annotated[
        bool, typer.Option("--noise-free", help="Take the bias by noise off distances: φ of two draws or more.")
    ] = False,
    permutations: Annotated[int, typer.Option(callback=checked(_check_permutations), help=OF_TEST)] = 999,
    max_images: MaxImages = 1000,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> list[Path]:
    """Is distance in φ semantic: stability over noise, neighbours, correlations with other distances.

    Of φ with four draws or more that were kept (`probekit phi --keep-draws`) it also writes and draws how
    reliable distances are.
    """
    from analyses.ground import read, saved
    from analyses.semantics.analyse import analyse
    from analyses.semantics.figure import plot, plot_reliability
    from analyses.semantics.reliability import reliability
    from probekit.phi.reliability import LEAST_DRAWS

    reads = [path for path in (data, classes, others, controls) if path is not None]
    results_awaited(out, "semantics.nc", "semantics.png", "reliability.nc", "reliability.png", reads=reads)
    phi = read(data)
    findings = analyse(
        phi,
        label=label,
        classes=classes,
        others=None if others is None else descriptors(others),
        controls=None if controls is None else descriptors(controls),
        distances=words(distances),
        statistics=words(statistics),
        clusters=clusters,
        k=k,
        reference=reference,
        among=among,
        query_images=query_images,
        noise_free=noise_free,
        permutations=permutations,
        max_images=max_images,
        resamples=resamples,
        level=level,
        seed=seed,
    )
    of_draws = []
    if "phi_draws" in phi and phi.sizes["draw"] >= LEAST_DRAWS:
        how = {"clusters": clusters, "max_images": max_images, "level": level, "seed": seed}
        found = reliability(phi, distances=words(distances), **how)
        of_draws = [("reliability", found), ("reliability", plot_reliability(found))]
    return saved(out, ("semantics", findings), ("semantics", plot(findings)), *of_draws)


def descriptors(path: Path) -> dict[str, xr.DataArray]:
    """The variables along image of a netCDF file, each a descriptor of images."""
    from probekit.machine import netcdf

    if not path.is_file():
        raise InputError(f"{path} does not exist: give a netCDF file of variables (image, feature)")
    file = netcdf.read(path, "give a netCDF file of variables (image, feature)")
    found = {str(name): values for name, values in file.data_vars.items() if "image" in values.dims}
    if not found:
        raise InputError(f"{path} has no variable along image: give a netCDF file of variables (image, feature)")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.semantics phi.zarr --classes synsets.csv -o out/``."""
    return run(command, "semantics", arguments)
