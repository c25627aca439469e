"""All claims on one set of images by one command: measure φ, analyse it, judge, and write it down.

``probekit report val.zip --size 32 -o results/`` measures the denoiser and its untrained control into stores, runs the
analyses, and writes their findings (netCDF), the table of claims (claims.nc) and the report itself: report.html, one
file with all figures in it, and report.md beside the folder of figures. What is there already is not done again. With
``--train train.zip`` the claims that need classes are judged too, from a table of controls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

import probekit
from analyses import controls, selectivity, sparsity, subspaces
from analyses.ground import as_network, block_names, untrained_twin
from analyses.report import claims
from analyses.report.claims_of_phi import SEMANTIC, STABLE_AT
from analyses.report.claims_of_samples import LEAST_PAIRS
from analyses.report.conditional import Sampling, conditional
from analyses.report.page import Shown, html, markdown, measure_table, report_page
from analyses.report.study import Study
from probekit import checks
from probekit.errors import InputError
from probekit.models import zoo

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from probekit.images import ImageSet

__all__ = ["PARTS", "Compared", "run"]

SIGMA, DRAWS, MIDDLE = (0.1, 0.2, 0.5), 10, "mid"
MIN_IMAGES = 40
TRAINED, UNTRAINED = "trained", "untrained"
SAMPLED = ("variants", "densities")


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
    sigma: Sequence[float] = SIGMA,
    draws: int = DRAWS,
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
