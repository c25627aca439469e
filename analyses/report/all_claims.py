"""All claims on one set of images by one command: measure φ, analyse it, judge, and write it down.

``probekit report val.zip --size 32 -o results/`` measures the denoiser and its untrained controls into stores, runs the
analyses, and writes their findings (netCDF), the table of claims (claims.nc) and the report itself: report.html, one
file with all figures in it, and report.md beside the folder of figures. What is there already is not done again. With
``--train train.zip`` the claims that need classes are judged too, from a table of controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import xarray as xr

import probekit
from analyses import claims, cues, textures
from analyses.claims import CLAIMS, LEAST_PAIRS
from analyses.ground import as_network, block_names, folder_called, untrained_twins
from analyses.noise_level import is_told
from analyses.report.page import Shown, html, markdown, report_page
from analyses.report.parts import PAPER_GAINS, TRAINED, UNTRAINED, found_in
from analyses.report.settings import Compared, Measured, Sampling, Study, Told, one_of_each
from probekit import checks
from probekit.capture.survey import network_of
from probekit.cli.arguments import (
    NETWORK,
)
from probekit.errors import InputError
from probekit.machine.files import prepared
from probekit.models import zoo
from probekit.phi.job import told_of
from probekit.phi.reliability import LEAST_DRAWS

if TYPE_CHECKING:
    from torch import nn

    from probekit.images import ImageSet

__all__ = ["run"]

MIN_IMAGES = 40
# What findings are made of further images, which ones, and what to say without them.
NEEDED = {
    "controls": ("train", "images of the same classes to train on: give compared=Compared(train=…) or --train"),
    "textures": (
        "textures",
        "photographs of textures, and others to choose the block on: give compared=Compared(textures=…, "
        "textures_train=…) or --textures and --textures-train",
    ),
    "cues": ("cues", "cue-conflict images: give compared=Compared(cues=…) or --cues"),
}
T = TypeVar("T")


def run(
    images: Any,
    *,
    out: str | Path,
    denoiser: str | Path | nn.Module = NETWORK,
    size: int | None = None,
    measured: Measured | None = None,
    compared: Compared | None = None,
    sampling: Sampling | None = None,
    only: Sequence[int] | None = None,
    told: Told | None = None,
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
    measured
        How φ is measured, and at which block.
    compared
        Further images: with those to train on claims 5 and 8 are judged too, and samples are compared with them;
        with photographs of textures claim 9, with cue-conflict images claim 10.
    sampling
        How samples are made, for claims 6 and 7.
    only
        Numbers of claims to judge; by default all that can be.
    told
        What is shown and told.

    Returns
    -------
    Dataset
        What `analyses.claims.table` returns; also written to claims.nc.

    Raises
    ------
    InputError
        If images, noise levels or names cannot be used, or a claim cannot be judged with what is given.
    CapacityError
        If the folder cannot be written to.
    """
    measured, sampling = _settled("measured", measured, Measured), _settled("sampling", sampling, Sampling)
    told = _settled("told", told, Told)
    if compared is not None:
        checks.instance("compared", compared, Compared, "report.Compared(train=…), or None")
    network, folder = as_network(denoiser), folder_called("out", out)
    wanted = _wanted(only, compared)
    source = probekit.images.load(images, size=size)
    if len(source) < MIN_IMAGES:
        raise InputError(f"{len(source)} images: the claims need {MIN_IMAGES} at least, and some hundred to be judged")
    if measured.block not in block_names(network):
        raise InputError(_undeclared(network, measured.block))
    _check_clusters(measured.clusters, source)
    independent = len(one_of_each(source, measured.clusters, measured.seed))
    wanted = _judgeable(wanted, network, measured, independent, only is not None, told)
    _check_pairs(wanted, independent, *sampling.of_laws)
    compared = None if compared is None else _loaded(compared, size)
    # Where workers cannot make the network, that shows before anything is measured.
    measured = replace(measured, client=told_of(measured.client, network))
    prepared(folder)
    study = Study(
        out=folder,
        network=network,
        source=source,
        wanted=wanted,
        measured=measured,
        compared=compared,
        sampling=sampling,
        told=told,
    )
    shown = Shown()
    found, others = found_in(study, shown)
    further = {name: others.pop(name) for name in ("stability", "textures", "cues", "noise_level") if name in others}
    twins = tuple(untrained_twins(network))
    pairs = {"untrained": found[UNTRAINED], "paper_gains": found[PAPER_GAINS]}
    judged = claims.table(found[TRAINED], **pairs, **others, further=further, twins=twins, block=measured.block)
    judged = judged.isel(claim=[int(c) in wanted for c in judged["claim"].values]).isel(
        criterion=[int(c) in wanted for c in judged["of_claim"].values]
    )
    name = str(getattr(network, "name", type(network).__name__))
    judged = judged.assign_attrs(denoiser=name, image_source=source.name)
    study.write("claims", judged)
    card = zoo.describe(denoiser).get("card") if isinstance(denoiser, str | Path) else None
    page = report_page(judged, card=card, shown=shown, command=told.command, settings=_settings(study))
    study.text("report.html", html(page))
    study.text("report.md", markdown(page, folder))
    for claim, verdict in claims.verdicts(judged).items():
        told.say(f"claim {claim}. {CLAIMS[claim].title}: {verdict}")
    return judged


def _loaded(compared: Compared, size: int | None) -> Compared:
    """Further images, found to be such before anything is measured."""
    if compared.train is not None:
        compared = replace(compared, train=probekit.images.load(compared.train, size=size))
    if compared.cues is not None:
        compared = replace(compared, cues=probekit.images.load(compared.cues))
        cues.named(compared.cues)
    if compared.textures is not None:
        for photographs in (compared.textures, compared.textures_train):
            textures.patches(photographs)
    return compared


def _settled(name: str, value: Any, kind: type[T]) -> T:
    """Settings as they are given, or those by default."""
    return kind() if value is None else checks.instance(name, value, kind, f"report.{kind.__name__}(…), or None")


def _undeclared(network: nn.Module, block: str) -> str:
    """What to say of a block that is none of the taps declared, or that nothing is declared beside."""
    if not getattr(network_of(network), "tap_aliases", None):
        return (
            f"the network declares no taps, so that claims about {block!r} have no block before it to compare with: "
            "declare them in the order of the forward pass, e.g. "
            f'model.tap_aliases = {{"early": …, "half": {block!r}}}, and give block="half" or --block half'
        )
    return (
        f"the network declares the taps {', '.join(block_names(network))} and no {block!r}: say which block the claims "
        "are about, block= or --block"
    )


def _wanted(only: Sequence[int] | None, compared: Compared | None) -> frozenset[int]:
    """Claims to judge, checked before anything is measured."""
    needed = {n: NEEDED[claim.needs] for n, claim in CLAIMS.items() if claim.needs in NEEDED}
    beyond = {n: said for n, (name, said) in needed.items() if getattr(compared, name, None) is None}
    if only is None:
        return frozenset(CLAIMS.keys() - beyond.keys())
    asked = [checks.plain(number) for number in checks.listed("only", only, "numbers of claims, e.g. [1, 3, 4]")]
    if not asked or any(not isinstance(n, int) or isinstance(n, bool) or n not in CLAIMS for n in asked):
        raise InputError(f"only={checks.shown(asked)}: give numbers of claims, from {min(CLAIMS)} to {max(CLAIMS)}")
    for said in dict.fromkeys(beyond[n] for n in sorted(asked) if n in beyond):
        of = [n for n in sorted(set(asked)) if beyond.get(n) == said]
        raise InputError(f"{_counted(of)} need{'s' if len(of) == 1 else ''} {said}")
    return frozenset(map(int, asked))


def _counted(numbers: Sequence[int]) -> str:
    return f"claim{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _judgeable(
    wanted: frozenset[int], network: nn.Module, measured: Measured, independent: int, asked: bool, told: Told
) -> frozenset[int]:
    """The claims wanted that this network, draws and images can be judged by; others, if asked for, are refused."""
    blocks = block_names(network)
    there = {"": True, "before": blocks.index(measured.block) > 0, "other": len(blocks) > 1}
    lacking = [number for number in wanted if not there[CLAIMS[number].beside]]
    reasons = {
        "beside": (
            lacking,
            f"{measured.block!r} is compared with another block, or with the block before it, and the network "
            f"declares the taps {', '.join(blocks)}: declare more, in the order of the forward pass, e.g. "
            'model.tap_aliases = {"enc": "down", "mid": "middle"}',
        ),
        "told": (
            [n for n in wanted if CLAIMS[n].needs == "noise_level" and is_told(network)],
            "it asks what a blind denoiser knows, and this one is told σ: judge one that is not",
        ),
        "groups": (
            [n for n in wanted if CLAIMS[n].needs == "controls" and measured.clusters == "label"],
            "labels cannot be both the groups that images are taken by and the classes that are told: give no clusters",
        ),
        "few": (
            [n for n in wanted if CLAIMS[n].needs == "stability" and independent < MIN_IMAGES],
            f"one image of each group is searched for, and there are {independent} groups: give {MIN_IMAGES} at least",
        ),
        "draws": (
            [n for n in wanted if CLAIMS[n].needs == "reliability" and measured.draws < LEAST_DRAWS],
            f"two halves of the draws are compared, and there are {measured.draws}: give draws={LEAST_DRAWS} or more",
        ),
    }
    for left, why in reasons.values():
        if not left:
            continue
        said = f"{_counted(sorted(left))} cannot be judged: {why}"
        wanted = wanted - frozenset(left)
        if asked or not wanted:
            raise InputError(said)
        told.say(f"left out: {said}")
    return wanted


def _check_clusters(clusters: str | None, source: ImageSet) -> None:
    known = ["image", *([] if source.labels is None else ["label"])]
    if clusters is not None and clusters not in known:
        raise InputError(
            f"{checks.given('clusters', clusters)} is no coordinate of these images: give one of {', '.join(known)}"
        )


def _check_pairs(wanted: frozenset[int], images: int, name: str, conditions: int) -> None:
    """What would make the samples useless, said before an hour is spent on them."""
    pairs = min(conditions, images) * (min(conditions, images) - 1) // 2
    if any(CLAIMS[number].needs == "densities" for number in wanted) and pairs < LEAST_PAIRS:
        raise InputError(
            f"{name}={conditions} of {images} images make {pairs} pairs, and claim 7 asks for {LEAST_PAIRS}: give "
            "21 conditions at least, or leave the claim out, only= or --claims"
        )


def _settings(study: Study) -> dict[str, Any]:
    """What is not said by the findings' own attributes."""
    made = {
        "images": len(study.source),
        "image shape": " × ".join(map(str, study.source.shape)),
        "noise levels": ", ".join(f"{s:g}" for s in study.measured.sigma),
        "block": study.measured.block,
    }
    if study.measured.clusters is not None:
        made["images, one of each group"] = len(study.independent)
    if study.compared is not None and study.compared.train is not None:
        train = study.compared.train
        made["training images"] = f"{train.name} ({len(train)})"
    if study.judging("variants") or study.judging("densities"):
        made["conditions"] = study.sampling.conditions
        made["conditions of claim 7"] = study.sampling.of_laws[1]
        made["samples of each of these"] = study.sampling.n_samples
    return made
