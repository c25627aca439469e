"""All claims on one set of images by one command: measure φ, analyse it, judge, and write it down.

``python -m analyses.report val.zip --size 32 -o results/`` measures the denoiser and its untrained control into
stores, runs the analyses, and writes their findings (netCDF), figures (PNG) and the table of claims
(claims.nc, claims.md). What is there already is not done again. With ``--train train.zip`` the claims that need classes
are judged too, from a table of controls.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

import probekit
from analyses import _findings, claims, controls, selectivity, sparsity, subspaces
from probekit.errors import InputError, ProbeError
from probekit.models import zoo
from probekit.modes import flushed_denormals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from probekit.images import ImageSet

__all__ = ["main", "run"]

SIGMA, DRAWS, MIDDLE = (0.1, 0.2, 0.5), 2, "mid"
MIN_IMAGES = 40
TRAINED, UNTRAINED = "trained", "untrained"


class Part(NamedTuple):
    """An analysis that is run on each network: of which taps, and how."""

    analyse: Callable[..., xr.Dataset]
    plot: Callable[[xr.Dataset], Figure]
    middle_only: bool
    options: Mapping[str, Any]


PARTS: Mapping[str, Part] = {
    "sparsity": Part(sparsity.analyse, sparsity.plot, False, {}),
    "selectivity": Part(selectivity.analyse, selectivity.plot, False, {}),
    "subspaces": Part(subspaces.analyse, subspaces.plot, True, {"dimensions": False}),
}


def run(
    images: Any,
    *,
    out: str | Path,
    denoiser: str = "photo32",
    size: int | None = None,
    sigma: Sequence[float] = SIGMA,
    draws: int = DRAWS,
    seed: int = 0,
    clusters: str | None = None,
    block: str = MIDDLE,
    train: Any = None,
    classes: str | Path | None = None,
    say: Callable[[str], object] = print,
    progress: bool | None = None,
) -> xr.Dataset:
    """Measure and judge the claims on a set of images.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes; at least 40 images.
    out
        Folder for stores, findings, figures and the table, made if need be. A run that was stopped goes on from
        what is there; findings are made again where the data or options differ.
    denoiser
        A bundled name or the path of weights.
    size
        Scale the shorter side of files to this.
    sigma, draws, seed
        Noise levels, draws for each image and level, seed of the noise.
    clusters
        Coordinate along image whose groups are resampled whole, where images are not independent: for the intervals
        of claim 1. Those of claims 3 and 4 take images, or channels, as independent.
    block
        The tap that the claims are about, and whose subspaces are looked for.
    train, classes
        Other images of the same classes, and a CSV file of their hypernyms, as `controls.table` takes them: with
        `train` claims 2, 5 and 8 are judged too, at σ = 0.3 besides.
    say
        Where progress is told, line by line.
    progress
        Whether to show progress bars; by default only in a terminal.

    Returns
    -------
    Dataset
        What `claims.table` returns; also written to claims.nc and claims.md.

    Raises
    ------
    InputError
        If images, noise levels or names cannot be used.
    """
    out = Path(out)
    network = zoo.load(denoiser)
    source = probekit.images.load(images, size=size)
    if len(source) < MIN_IMAGES:
        raise InputError(f"{len(source)} images: the claims need {MIN_IMAGES} at least, and some hundred to be judged")
    if block not in zoo.tap_names(network):
        raise InputError(
            f"the network declares the taps {', '.join(zoo.tap_names(network))} and no {block!r}: say which block the "
            "claims are about with block="
        )
    found: dict[str, dict[str, xr.Dataset]] = {}
    for role, model in ((TRAINED, network), (UNTRAINED, zoo.untrained(network))):
        with _timed(say, f"φ of {len(source)} images, {role}"):
            data = _measured(model, source, out / "stores" / f"{role}.zarr", sigma, draws, seed, progress)
        found[role] = {}
        for name, part in PARTS.items():
            options = dict(part.options) | ({"clusters": clusters} if clusters and name == "sparsity" else {})
            analysed = _part(data, block if part.middle_only else None)
            with _timed(say, f"{name}, {role}"):
                found[role][name] = _kept(out / f"{name}-{role}.nc", part.analyse, analysed, options)
            with _findings.writing_to(out):
                part.plot(found[role][name]).savefig(out / f"{name}-{role}.png", dpi=150)
    compared = None
    if train is not None:
        with _timed(say, "controls"):
            compared = controls.table(
                source,
                train=probekit.images.load(train, size=size),
                classes=classes,
                denoiser=network,
                sigma=sorted({*sigma, claims.STABLE_AT}),
                draws=draws,
                store=out / "stores" / "controls",
                seed=seed,
                progress=progress,
            )
        with _findings.writing_to(out):
            compared.to_netcdf(out / "controls.nc", engine="h5netcdf")
            controls.plot(compared).savefig(out / "controls.png", dpi=150)
    table = claims.table(found[TRAINED], found[UNTRAINED], controls=compared, block=block)
    with _findings.writing_to(out):
        table.to_netcdf(out / "claims.nc", engine="h5netcdf")
        (out / "claims.md").write_text(claims.markdown(table))
    say(claims.markdown(table))
    return table


def _measured(
    model: probekit.Denoiser,
    source: ImageSet,
    store: Path,
    sigma: Sequence[float],
    draws: int,
    seed: int,
    progress: bool | None,
) -> xr.Dataset:
    tap = probekit.tap(model, *zoo.tap_names(model))
    with flushed_denormals():
        return tap(source, sigma=sigma, draws=draws, seed=seed, keep_draws=True, store=store, progress=progress).load()


def _part(data: xr.Dataset, block: str | None) -> xr.Dataset:
    return data if block is None else data.isel(channel=data["tap"].values == block)


def _kept(path: Path, analyse: Callable[..., xr.Dataset], data: xr.Dataset, options: Mapping[str, Any]) -> xr.Dataset:
    """Findings from a file, if they were made of the same data with the same options; else made and kept."""
    key = _fingerprint(data, options)
    if path.exists():
        kept = xr.load_dataset(path, engine="h5netcdf")
        if kept.attrs.get("made_of") == key:
            return kept
    findings = analyse(data, **options).assign_attrs(made_of=key)
    unfinished = path.with_suffix(".part")
    with _findings.writing_to(path.parent):
        findings.to_netcdf(unfinished, engine="h5netcdf")
        unfinished.replace(path)
    return findings


def _fingerprint(data: xr.Dataset, options: Mapping[str, Any]) -> str:
    """SHA-256 of everything that findings are made of."""
    described = {
        "attrs": {key: str(value) for key, value in data.attrs.items()},
        "coords": {str(name): list(map(str, data[name].values)) for name in data.coords},
        "options": {key: str(value) for key, value in options.items()},
    }
    made_of = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(map(str, data.data_vars)):
        made_of.update(name.encode() + np.ascontiguousarray(data[name].values).tobytes())
    return made_of.hexdigest()


@contextmanager
def _timed(say: Callable[[str], object], what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.0f} s")


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.report val.zip --size 32 -o results/``."""
    about = "Measure a denoiser on images, run the analyses, and judge the claims."
    parser = argparse.ArgumentParser(prog="python -m analyses.report", description=about)
    parser.add_argument("images", nargs="+", help="folders or zips of images, or samples for the built-in ones")
    parser.add_argument("-o", "--out", type=Path, default=Path("results"), help="folder (default: results)")
    parser.add_argument("--denoiser", default="photo32", help="bundled name or path of weights (default: photo32)")
    parser.add_argument("--size", type=int, help="scale the shorter side of files to this")
    parser.add_argument("--sigma", default="0.1,0.2,0.5", help="noise levels (default: 0.1,0.2,0.5)")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"noise draws (default: {DRAWS})")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    parser.add_argument("--clusters", help="coordinate whose groups are resampled whole, e.g. label")
    parser.add_argument("--block", default=MIDDLE, help=f"tap that the claims are about (default: {MIDDLE})")
    parser.add_argument("--train", nargs="+", help="folders or zips of training images, for claims 2, 5 and 8")
    parser.add_argument("--classes", help="CSV file of classes with columns wnid, hypernym_wnids")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    given = parser.parse_args(arguments)
    try:
        run(
            _joined(given.images, given.size),
            out=given.out,
            denoiser=given.denoiser,
            sigma=_numbers(given.sigma),
            draws=given.draws,
            seed=given.seed,
            clusters=given.clusters,
            block=given.block,
            train=_joined(given.train, given.size) if given.train else None,
            classes=given.classes,
            progress=False if given.quiet else None,
        )
    except ProbeError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def _joined(names: Sequence[str], size: int | None) -> ImageSet:
    sources = [probekit.images.load(name, size=size) for name in names]
    return sources[0] if len(sources) == 1 else probekit.images.concatenate(sources)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--sigma {text}: give numbers separated by commas, e.g. 0.1,0.2,0.5") from error


if __name__ == "__main__":
    sys.exit(main())
