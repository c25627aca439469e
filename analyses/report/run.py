"""All claims on one set of images by one command: measure φ, analyse it, judge, and write it down.

``python -m analyses.report --images val.zip --size 32 -o results/`` measures the denoiser and its untrained control
into stores, runs the analyses, and writes their findings (netCDF), the table of claims (claims.nc) and the report
itself: report.html, one file with all figures in it, and report.md beside the folder of figures. What is there already
is not done again. With ``--train train.zip`` the claims that need classes are judged too, from a table of controls.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

import probekit
from analyses import controls, selectivity, sparsity, subspaces
from analyses.report import claims, pages
from analyses.report.conditional import Sampling, conditional
from analyses.report.page import html, markdown
from analyses.report.pages import Shown
from analyses.report.study import Study
from probekit.checks import whole
from probekit.errors import InputError, ProbeError
from probekit.models import zoo
from probekit.phi.averages import noise_levels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from probekit.images import ImageSet

__all__ = ["main", "run"]

SIGMA, DRAWS, MIDDLE = (0.1, 0.2, 0.5), 2, "mid"
MIN_IMAGES = 40
TRAINED, UNTRAINED = "trained", "untrained"
WITH_CLASSES, CONDITIONAL = {2, 5, 8}, {6, 7}


class Part(NamedTuple):
    """An analysis that is run on both networks: for which claim, of which taps, how, and what its figure shows."""

    claim: int
    analyse: Callable[..., xr.Dataset]
    plot: Callable[[xr.Dataset], Figure]
    middle_only: bool
    options: Mapping[str, Any]
    caption: str


PARTS: Mapping[str, Part] = {
    "sparsity": Part(
        1, sparsity.analyse, sparsity.plot, False, {}, "Five measures of sparsity for each block and noise level"
    ),
    "selectivity": Part(3, selectivity.analyse, selectivity.plot, False, {}, "Types of channel in each block"),
    "subspaces": Part(
        4,
        subspaces.analyse,
        subspaces.plot,
        True,
        {"dimensions": False},
        "Supports, explained variance, overlap and confidence of the subspaces found",
    ),
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
    n_images: int | None = 5000,
    n_train: int | None = 12500,
    conditions: int = 24,
    n_samples: int = 8,
    levels: int = 20,
    only: Sequence[int] | None = None,
    pictures: bool = True,
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
        A bundled name or the path of weights.
    size
        Scale the shorter side of files to this.
    sigma, draws, seed
        Noise levels, draws for each image and level, seed of the noise and of everything drawn.
    clusters
        Coordinate along image whose groups are resampled whole, where images are not independent: for the intervals
        of claim 1. Those of claims 3 and 4 take images, or channels, as independent.
    block
        The tap that the claims are about, and whose subspaces are looked for.
    train, classes
        Other images of the same classes, and a CSV file of their hypernyms, as `controls.table` takes them: with
        `train` claims 2, 5 and 8 are judged too, at σ = 0.3 besides; and samples are compared with these images.
    n_images, n_train
        Images and training images of the table of controls, at most; None for all.
    conditions, n_samples
        Of claims 6 and 7: so many of the images, evenly spread, are conditioned on, with so many samples each. 21
        conditions make the 200 pairs that claim 7 asks for.
    levels
        Noise levels that samples go through.
    only
        Claims to judge; by default all that can be.
    pictures
        Whether figures may show the images themselves, which others may own: if not, only built-in ones are shown.
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
    network = zoo.load(denoiser)
    wanted = _wanted(only, train)
    source = probekit.images.load(images, size=size)
    if len(source) < MIN_IMAGES:
        raise InputError(f"{len(source)} images: the claims need {MIN_IMAGES} at least, and some hundred to be judged")
    if block not in zoo.tap_names(network):
        raise InputError(
            f"the network declares the taps {', '.join(zoo.tap_names(network))} and no {block!r}: say which block the "
            "claims are about, block= or --block"
        )
    _check_sampling(wanted, len(source), conditions, n_samples)
    others = None if train is None else probekit.images.load(train, size=size)
    study = Study(Path(out), network, source, tuple(noise_levels(sigma)), draws, seed, block, say, progress)
    shown = Shown()
    found = _alone(study, wanted, clusters, shown)
    further: dict[str, Any] = {}
    if wanted & WITH_CLASSES:
        further["controls"] = _compared(study, others, classes, n_images, n_train, shown)
    if wanted & CONDITIONAL:
        how = Sampling(conditions, n_samples, levels, pictures)
        further |= conditional(study, wanted, others, how, shown)
    judged = claims.table(found[TRAINED], found[UNTRAINED], **further, block=block)
    judged = judged.isel(claim=[int(c) in wanted for c in judged["claim"].values]).isel(
        criterion=[int(c) in wanted for c in judged["of_claim"].values]
    )
    judged = judged.assign_attrs(denoiser=network.name, image_source=source.name)
    study.write("claims", judged)
    page = pages.page(
        judged,
        card=zoo.describe(denoiser).get("card"),
        shown=shown,
        command=command or "analyses.report.run",
        settings=_settings(study, others, wanted, conditions, n_samples),
    )
    study.text("report.html", html(page))
    study.text("report.md", markdown(page, study.out))
    for claim, verdict in claims.verdicts(judged).items():
        say(f"claim {claim}. {claims.CLAIMS[claim]}: {verdict}")
    say(f"wrote {study.out / 'report.html'}")
    return judged


def _wanted(only: Sequence[int] | None, train: Any) -> set[int]:
    """Claims to judge, checked before anything is measured."""
    possible = set(claims.CLAIMS) - (WITH_CLASSES if train is None else set())
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
            f"claims {', '.join(map(str, beyond))} need images of the same classes to train on: give train= or --train"
        )
    return set(only)


def _check_sampling(wanted: set[int], images: int, conditions: int, n_samples: int) -> None:
    """What would make the samples useless, said before an hour is spent on them."""
    whole("conditions", conditions, least=2)
    whole("n_samples", n_samples, least=4)
    pairs = min(conditions, images) * (min(conditions, images) - 1) // 2
    if 7 in wanted and pairs < claims.LEAST_PAIRS:
        raise InputError(
            f"conditions={conditions} of {images} images make {pairs} pairs, and claim 7 asks for "
            f"{claims.LEAST_PAIRS}: give 21 conditions at least, or leave the claim out, only= or --claims"
        )


def _alone(study: Study, wanted: set[int], clusters: str | None, shown: Shown) -> dict[str, dict[str, Any]]:
    """What the analyses find in the network and in its untrained control."""
    found: dict[str, dict[str, Any]] = {TRAINED: {}, UNTRAINED: {}}
    parts = {name: part for name, part in PARTS.items() if part.claim in wanted}
    if not parts:
        return found
    for role, model in ((TRAINED, study.network), (UNTRAINED, zoo.untrained(study.network))):
        data = study.phi(model, role)
        for name, part in parts.items():
            options = dict(part.options) | ({"clusters": clusters} if clusters and name == "sparsity" else {})
            analysed = study.middle(data) if part.middle_only else data
            found[role][name] = study.findings(f"{name}-{role}", part.analyse, analysed, options)
            picture = study.draw(f"{name}-{role}", part.plot(found[role][name]))
            shown.picture(part.claim, picture, f"{part.caption}: {role}")
    return found


def _compared(
    study: Study,
    train: ImageSet | None,
    classes: str | Path | None,
    n_images: int | None,
    n_train: int | None,
    shown: Shown,
) -> xr.Dataset:
    """The table of controls."""
    with study.timed("controls"):
        compared = controls.table(
            study.source,
            train=train,
            classes=classes,
            denoiser=study.network,
            sigma=sorted({*study.sigma, claims.STABLE_AT}),
            draws=study.draws,
            n_images=n_images,
            n_train=n_train,
            store=study.out / "stores" / "controls",
            seed=study.seed,
            progress=study.progress,
        )
    study.write("controls", compared)
    picture = study.draw("controls", controls.plot(compared))
    shown.picture(2, picture, "Every measure for every row of the table of controls, with 95 % intervals")
    for claim, measures in ((2, ("stability",)), (5, claims.SEMANTIC), (8, ("accuracy",))):
        for measure in measures:
            shown.table(claim, *pages.measure_table(compared, measure))
    return compared


def _settings(
    study: Study, train: ImageSet | None, wanted: Iterable[int], conditions: int, n_samples: int
) -> dict[str, Any]:
    """What is not said by the findings' own attributes."""
    made = {
        "images": len(study.source),
        "image shape": " × ".join(map(str, study.source.shape)),
        "noise levels": ", ".join(f"{s:g}" for s in study.sigma),
        "block": study.block,
    }
    if train is not None:
        made["training images"] = f"{train.name} ({len(train)})"
    if set(wanted) & CONDITIONAL:
        made |= {"conditions": conditions, "samples of each condition": n_samples}
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.report --denoiser photo32 --images val.zip --size 32 -o results/``."""
    about = "Measure a denoiser on images, run the analyses, judge the paper's claims, and write a report."
    parser = argparse.ArgumentParser(prog="python -m analyses.report", description=about)
    parser.add_argument(
        "--images", nargs="+", required=True, help="folders or zips of images, or samples for the built-in ones"
    )
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
    parser.add_argument("--n-images", type=int, default=5000, help="images of the table of controls (default: 5000)")
    parser.add_argument("--n-train", type=int, default=12500, help="its training images (default: 12500)")
    parser.add_argument("--conditions", type=int, default=24, help="images conditioned on (default: 24)")
    parser.add_argument("--samples", type=int, default=8, help="samples of each (default: 8)")
    parser.add_argument("--levels", type=int, default=20, help="noise levels of sampling (default: 20)")
    parser.add_argument("--claims", help="claims to judge, e.g. 1,3,4 (default: all that can be)")
    parser.add_argument("--no-pictures", action="store_true", help="show none of the images, only built-in ones")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    given = parser.parse_args(arguments)
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        run(
            _joined(given.images, given.size),
            out=given.out,
            denoiser=given.denoiser,
            sigma=_numbers("--sigma", given.sigma, float),
            draws=given.draws,
            seed=given.seed,
            clusters=given.clusters,
            block=given.block,
            train=_joined(given.train, given.size) if given.train else None,
            classes=given.classes,
            n_images=given.n_images,
            n_train=given.n_train,
            conditions=given.conditions,
            n_samples=given.samples,
            levels=given.levels,
            only=None if given.claims is None else _numbers("--claims", given.claims, int),
            pictures=not given.no_pictures,
            command=f"{parser.prog} {_short(typed)}",
            progress=False if given.quiet else None,
        )
    except ProbeError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def _short(typed: Sequence[str]) -> str:
    """The command's arguments as typed, files by their names."""
    return shlex.join(Path(word).name if "/" in word else word for word in typed)


def _joined(names: Sequence[str], size: int | None) -> ImageSet:
    sources = [probekit.images.load(name, size=size) for name in names]
    return sources[0] if len(sources) == 1 else probekit.images.concatenate(sources)


def _numbers(option: str, text: str, kind: type) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        example = "0.1,0.2,0.5" if kind is float else "1,3,4"
        raise InputError(f"{option} {text}: give numbers separated by commas, e.g. {example}") from error


if __name__ == "__main__":
    sys.exit(main())
