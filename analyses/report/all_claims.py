"""All claims on one set of images by one command: measure φ, analyse it, judge, and write it down.

``probekit report val.zip --size 32 -o results/`` measures the denoiser and its untrained control into stores, runs the
analyses, and writes their findings (netCDF), the table of claims (claims.nc) and the report itself: report.html, one
file with all figures in it, and report.md beside the folder of figures. What is there already is not done again. With
``--train train.zip`` the claims that need classes are judged too, from a table of controls.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
import xarray as xr

import probekit
from analyses import controls, selectivity, sparsity, subspaces
from analyses.ground import OUT, Clusters, Kept, as_network, block_names, saved, untrained_twin
from analyses.ground import run as ground_run
from analyses.report import claims
from analyses.report.claims_of_phi import SEMANTIC, STABLE_AT
from analyses.report.claims_of_samples import LEAST_PAIRS
from analyses.report.conditional import Sampling, conditional
from analyses.report.page import Shown, html, markdown, measure_table, report_page
from probekit import checks
from probekit.cli.arguments import (
    DRAWS,
    NETWORK,
    SIGMA,
    Crop,
    Draws,
    Images,
    Network,
    Out,
    Quiet,
    Seed,
    Sigma,
    Size,
    images_called,
    network_called,
    numbers,
)
from probekit.errors import InputError
from probekit.machine.files import prepared, whole
from probekit.machine.modes import flushed_denormals
from probekit.models import zoo

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from probekit.images import ImageSet

__all__ = ["PARTS", "Compared", "Study", "command", "main", "run"]

MIDDLE = "mid"
MIN_IMAGES = 40
TRAINED, UNTRAINED = "trained", "untrained"
SAMPLED = ("variants", "densities")


class Study(NamedTuple):
    """A network, images, and how φ is measured; where results go, and who is told."""

    out: Path
    network: nn.Module
    source: ImageSet
    sigma: tuple[float, ...]
    draws: int
    seed: int
    block: str
    say: Callable[[str], object]
    progress: bool | None

    def phi(self, model: nn.Module, role: str) -> xr.Dataset:
        """φ at every tap, every draw kept, from the store of this role or measured into it."""
        tap = probekit.tap(model, *block_names(model))
        with self.timed(f"φ of {len(self.source)} images, {role}"), flushed_denormals():
            return tap(
                self.source,
                sigma=self.sigma,
                draws=self.draws,
                seed=self.seed,
                keep_draws=True,
                store=self.out / "stores" / f"{role}.zarr",
                progress=self.progress,
            ).load()

    def middle(self, data: xr.Dataset) -> xr.Dataset:
        """The part of φ that is of the block the claims are about."""
        return data.isel(channel=data["tap"].values == self.block)

    def findings(
        self, name: str, analyse: Callable[..., xr.Dataset], data: xr.Dataset, options: Mapping[str, Any]
    ) -> xr.Dataset:
        """Findings from NAME.nc in the folder, or made and kept there."""
        with self.timed(name):
            return Kept(self.out).made(name, lambda: analyse(data, **options), data, dict(options))

    def write(self, name: str, findings: xr.Dataset) -> None:
        """Findings into NAME.nc in the folder, whole or not at all."""
        saved(self.out, (name, findings))

    def text(self, name: str, text: str) -> Path:
        """A text file in the folder, whole or not at all."""
        prepared(self.out)
        with whole(self.out / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        return self.out / name

    def draw(self, name: str, figure: Figure) -> Path:
        """A figure into NAME.png in the folder of figures."""
        prepared(self.out / "figures")
        return saved(self.out / "figures", (name, figure))[0]

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say how long something took."""
        began = time.monotonic()
        yield
        self.say(f"{what}: {time.monotonic() - began:.0f} s")


class Part(NamedTuple):
    """An analysis that is run on both networks: of which taps, how, and what its figure shows."""

    analyse: Callable[..., xr.Dataset]
    plot: Callable[[xr.Dataset], Figure]
    middle_only: bool
    options: Mapping[str, Any]
    caption: str


# By what claims need.
PARTS: Mapping[str, Part] = {
    "sparsity": Part(
        sparsity.analyse, sparsity.plot, False, {}, "Five measures of sparsity for each block and noise level"
    ),
    "selectivity": Part(selectivity.analyse, selectivity.plot, False, {}, "Types of channel in each block"),
    "subspaces": Part(
        subspaces.analyse,
        subspaces.plot,
        True,
        {"dimensions": False},
        "Supports, explained variance, overlap and confidence of the subspaces found",
    ),
}


class Compared(NamedTuple):
    """What the table of controls is made of, for the claims about classes.

    Attributes
    ----------
    train
        Other images of the same classes, anything that `probekit.images.load` takes.
    classes
        A CSV file of their hypernyms, as `controls.table` takes it.
    n_images, n_train
        Images and training images of the table, at most; None for all.
    """

    train: Any
    classes: str | Path | None = None
    n_images: int | None = 5000
    n_train: int | None = 12500


def run(
    images: Any,
    *,
    out: str | Path,
    denoiser: str | Path | nn.Module = "photo32",
    size: int | None = None,
    sigma: Sequence[float] = (0.1, 0.2, 0.5),
    draws: int = 10,
    seed: int = 0,
    clusters: str | None = None,
    block: str = MIDDLE,
    compared: Compared | None = None,
    sampling: Sampling | None = None,
    only: Sequence[int] | None = None,
    command: str = "",
    say: Callable[[str], object] = print,
    progress: bool | None = None,
) -> xr.Dataset:
    """Measure and judge the claims on a set of images.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes; at least 40 images.
    out
        Folder for stores, findings, figures and the report, made if need be. A run that was stopped goes on from
        what is there; findings are made again where the data or options differ.
    denoiser
        A bundled name, the path of weights, or a network of your own.
    size
        Scale the shorter side of files to this.
    sigma, draws, seed
        Noise levels, draws for each image and level, seed of the noise and of everything drawn.
    clusters
        Coordinate along image whose groups are resampled whole, where images are not independent: for the intervals
        of claim 1. Those of claims 3 and 4 take images, or channels, as independent.
    block
        The tap that the claims are about, and whose subspaces are looked for.
    compared
        What claims 2, 5 and 8 need: with it they are judged too, at σ = 0.3 besides, and samples are compared with its
        training images.
    sampling
        How samples are made, for claims 6 and 7.
    only
        Claims to judge; by default all that can be.
    command
        Named in the report as what made it.
    say
        Where progress is told, line by line.
    progress
        Whether to show progress bars; by default only in a terminal.

    Returns
    -------
    Dataset
        What `claims.table` returns; also written to claims.nc.

    Raises
    ------
    InputError
        If images, noise levels or names cannot be used, or a claim cannot be judged with what is given.
    """
    settings = Sampling() if sampling is None else sampling
    network = as_network(denoiser)
    wanted = _wanted(only, compared)
    source = probekit.images.load(images, size=size)
    if len(source) < MIN_IMAGES:
        raise InputError(f"{len(source)} images: the claims need {MIN_IMAGES} at least, and some hundred to be judged")
    if block not in block_names(network):
        raise InputError(
            f"the network declares the taps {', '.join(block_names(network))} and no {block!r}: say which block the "
            "claims are about, block= or --block"
        )
    _check_sampling(wanted, len(source), settings)
    others = None if compared is None else probekit.images.load(compared.train, size=size)
    levels = tuple(checks.noise_levels(sigma))
    study = Study(Path(out), network, source, levels, draws, seed, block, say, progress)
    shown = Shown()
    found = _alone(study, wanted, clusters, shown)
    further: dict[str, Any] = {}
    if compared is not None and _needing("controls") & wanted:
        further["controls"] = _beside(study, compared._replace(train=others), shown)
    if _needing(*SAMPLED) & wanted:
        further |= conditional(study, wanted, others, settings, shown)
    judged = claims.table(found[TRAINED], found[UNTRAINED], **further, block=block)
    judged = judged.isel(claim=[int(c) in wanted for c in judged["claim"].values]).isel(
        criterion=[int(c) in wanted for c in judged["of_claim"].values]
    )
    judged = judged.assign_attrs(denoiser=_name(network), image_source=source.name)
    study.write("claims", judged)
    page = report_page(
        judged,
        card=zoo.describe(denoiser).get("card") if isinstance(denoiser, str | Path) else None,
        shown=shown,
        command=command or "analyses.report.run",
        settings=_settings(study, others, wanted, settings),
    )
    study.text("report.html", html(page))
    study.text("report.md", markdown(page, study.out))
    for claim, verdict in claims.verdicts(judged).items():
        say(f"claim {claim}. {claims.CLAIMS[claim].title}: {verdict}")
    say(f"wrote {study.out / 'report.html'}")
    return judged


def _needing(*findings: str) -> set[int]:
    """Claims that need some of these findings."""
    return {number for number, claim in claims.CLAIMS.items() if claim.needs in findings}


def _name(network: nn.Module) -> str:
    return str(getattr(network, "name", type(network).__name__))


def _wanted(only: Sequence[int] | None, compared: Compared | None) -> set[int]:
    """Claims to judge, checked before anything is measured."""
    possible = set(claims.CLAIMS) - (_needing("controls") if compared is None else set())
    if only is None:
        return possible
    unknown = sorted(set(only) - set(claims.CLAIMS))
    if unknown or not only:
        raise InputError(
            f"only={list(only)!r}: give numbers of claims, from {min(claims.CLAIMS)} to {max(claims.CLAIMS)}"
        )
    beyond = sorted(set(only) - possible)
    if beyond:
        raise InputError(
            f"claims {', '.join(map(str, beyond))} need images of the same classes to train on: give compared= or "
            "--train"
        )
    return set(only)


def _check_sampling(wanted: set[int], images: int, settings: Sampling) -> None:
    """What would make the samples useless, said before an hour is spent on them."""
    conditions = checks.whole("conditions", settings.conditions, least=2)
    checks.whole("n_samples", settings.n_samples, least=4)
    pairs = min(conditions, images) * (min(conditions, images) - 1) // 2
    if _needing("densities") & wanted and pairs < LEAST_PAIRS:
        raise InputError(
            f"conditions={conditions} of {images} images make {pairs} pairs, and claim 7 asks for {LEAST_PAIRS}: give "
            "21 conditions at least, or leave the claim out, only= or --claims"
        )


def _alone(study: Study, wanted: set[int], clusters: str | None, shown: Shown) -> dict[str, dict[str, Any]]:
    """What the analyses find in the network and in its untrained control."""
    found: dict[str, dict[str, Any]] = {TRAINED: {}, UNTRAINED: {}}
    parts = {name: part for name, part in PARTS.items() if _needing(name) & wanted}
    if not parts:
        return found
    for role, model in ((TRAINED, study.network), (UNTRAINED, untrained_twin(study.network))):
        data = study.phi(model, role)
        for name, part in parts.items():
            options = dict(part.options) | ({"clusters": clusters} if clusters and name == "sparsity" else {})
            analysed = study.middle(data) if part.middle_only else data
            found[role][name] = study.findings(f"{name}-{role}", part.analyse, analysed, options)
            picture = study.draw(f"{name}-{role}", part.plot(found[role][name]))
            for claim in _needing(name):
                shown.picture(claim, picture, f"{part.caption}: {role}")
    return found


def _beside(study: Study, compared: Compared, shown: Shown) -> xr.Dataset:
    """The table of controls."""
    with study.timed("controls"):
        table = controls.table(
            study.source,
            **compared._asdict(),
            denoiser=study.network,
            sigma=sorted({*study.sigma, STABLE_AT}),
            draws=study.draws,
            store=study.out / "stores" / "controls",
            seed=study.seed,
            progress=study.progress,
        )
    study.write("controls", table)
    picture = study.draw("controls", controls.plot(table))
    shown.picture(2, picture, "Every measure for every row of the table of controls, with 95 % intervals")
    for claim, measures in ((2, ("stability",)), (5, SEMANTIC), (8, ("accuracy",))):
        for measure in measures:
            shown.table(claim, *measure_table(table, measure))
    return table


def _settings(study: Study, train: ImageSet | None, wanted: set[int], settings: Sampling) -> dict[str, Any]:
    """What is not said by the findings' own attributes."""
    made = {
        "images": len(study.source),
        "image shape": " × ".join(map(str, study.source.shape)),
        "noise levels": ", ".join(f"{s:g}" for s in study.sigma),
        "block": study.block,
    }
    if train is not None:
        made["training images"] = f"{train.name} ({len(train)})"
    if _needing(*SAMPLED) & wanted:
        made |= {"conditions": settings.conditions, "samples of each condition": settings.n_samples}
    return made


def command(
    images: Images,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    sigma: Sigma = SIGMA,
    draws: Draws = DRAWS,
    seed: Seed = 0,
    out: Out = OUT,
    clusters: Clusters = None,
    block: Annotated[str, typer.Option(help="Tap that the claims are about.")] = MIDDLE,
    train: Annotated[
        list[str] | None, typer.Option(help="Training images, for claims 2, 5 and 8; can be repeated.")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="CSV file of classes, columns wnid and hypernym_wnids.")] = None,
    n_images: Annotated[int, typer.Option(help="Images of the table of controls, at most.")] = 5000,
    n_train: Annotated[int, typer.Option(help="Its training images, at most.")] = 12500,
    conditions: Annotated[int, typer.Option(help="Images conditioned on, for claims 6 and 7.")] = 24,
    samples: Annotated[int, typer.Option(help="Samples of each.")] = 8,
    levels: Annotated[int, typer.Option(help="Noise levels that samples go through.")] = 20,
    claims: Annotated[str | None, typer.Option(help="Claims to judge, e.g. 1,3,4; by default all that can be.")] = None,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Show none of the images, only built-in ones.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure a denoiser on images, run the analyses, judge the paper's claims, and write a report."""
    compared = None
    if train:
        compared = Compared(images_called(train, size=size, crop=crop), classes, n_images, n_train)
    elif classes is not None:
        raise InputError("--classes goes with --train: give training images of the same classes too")
    source = images_called(images, size=size, crop=crop)
    # A name is kept, so that the report can show the network's card.
    named = network if network in zoo.available() or network.endswith(".safetensors") else network_called(network)
    run(
        source,
        out=out,
        denoiser=named,
        sigma=numbers(sigma, float, option="--sigma"),
        draws=draws,
        seed=seed,
        clusters=clusters,
        block=block,
        compared=compared,
        sampling=Sampling(conditions, samples, levels, not no_pictures),
        only=None if claims is None else numbers(claims, option="--claims"),
        command=f"probekit report {_short(sys.argv[2:] if sys.argv[1:2] == ['report'] else sys.argv[1:])}",
        say=typer.echo,
        progress=False if quiet else None,
    )


def _short(typed: Sequence[str]) -> str:
    """The command's arguments as typed, files by their names."""
    return shlex.join(Path(word).name if "/" in word else word for word in typed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.report val.zip --network photo32 --size 32 -o results/``."""
    return ground_run(command, "report", arguments)
