"""All claims on one set of images by one command: measure φ, analyse it, judge, and write it down.

``probekit report val.zip --size 32 -o results/`` measures the denoiser and its untrained controls into stores, runs the
analyses, and writes their findings (netCDF), the table of claims (claims.nc) and the report itself: report.html, one
file with all figures in it, and report.md beside the folder of figures. What is there already is not done again. With
``--train train.zip`` the claims that need classes are judged too, from a table of controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr

import probekit
from analyses import claims, cues, textures
from analyses.claims import CLAIMS, LEAST_PAIRS
from analyses.ground import TWINS, as_network, at_hand, block_names, folder_called, read, untrained_twins
from analyses.noise_level import is_told
from analyses.report.page import Shown, html, markdown, report_page
from analyses.report.parts import PAPER_GAINS, PARTS, TRAINED, UNTRAINED, OnPhi, found_in, on_phi
from analyses.report.settings import MIDDLE, Compared, Measured, Results, Sampling, Study, Told, one_of_each
from probekit import checks, labels
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

__all__ = ["of_phi", "run"]

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
# φ by the name of the argument, and the role it has.
BY_ROLE = {"trained": TRAINED, "untrained": UNTRAINED, "paper_gains": PAPER_GAINS}
T = TypeVar("T")
# Claims that cannot be judged, and why, by what is lacking.
Reasons = dict[str, tuple[list[int], str]]


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
    name = str(getattr(network, "name", type(network).__name__))
    card = zoo.describe(denoiser).get("card") if isinstance(denoiser, str | Path) else None
    return _written(study, judged.assign_attrs(denoiser=name, image_source=source.name), shown, _settings(study), card)


def of_phi(
    trained: xr.Dataset | str | Path,
    *,
    untrained: xr.Dataset | str | Path,
    paper_gains: xr.Dataset | str | Path | None = None,
    out: str | Path,
    only: Sequence[int] | None = None,
    block: str = MIDDLE,
    clusters: str | None = None,
    seed: int = 0,
    told: Told | None = None,
) -> xr.Dataset:
    """Judge the claims that need φ alone, of a network and its untrained controls, measured wherever that was.

    φ that is large is read from its store some images at a time, and never held.

    Parameters
    ----------
    trained, untrained
        φ (image, sigma, channel) of the same at least 40 images, noise levels and taps, as a tap returns it, or the
        path of a store of it: of the network, and of an untrained twin with gains of 1.
    paper_gains
        The same of the twin whose gains are as the paper's code draws them; None for a network that has no such twin,
        as without normalisations of this package: nothing is then asked of it.
    out
        As for `run`.
    only
        Numbers of claims to judge: of 1, 3, 4 and, of φ whose draws were kept, 12. By default all that can be.
    block
        The tap that the claims are about.
    clusters, seed
        As for the analyses: coordinate along image whose groups are taken whole, seed ≥ 0 of everything drawn.
    told
        What is told; no images are shown.

    Returns
    -------
    Dataset
        What `analyses.claims.table` returns; also written to claims.nc.

    Raises
    ------
    InputError
        If it is no such φ, not of the same images, noise levels and taps, or of the same weights; if a claim cannot be
        judged by it.
    CapacityError
        If the folder cannot be written to.
    """
    told, folder = _settled("told", told, Told), folder_called("out", out)
    given = {"trained": trained, "untrained": untrained, "paper_gains": paper_gains}
    every = {name: as_phi(name, one) for name, one in given.items() if one is not None or name != "paper_gains"}
    own = every["trained"]
    for name, one in every.items():
        _check_alike(own, one, name)
    taps, draws = labels.blocks(own), own.sizes.get("draw", 1) if "phi_draws" in own else 1
    if own.sizes["image"] < MIN_IMAGES:
        raise InputError(f"φ of {own.sizes['image']} images: the claims need {MIN_IMAGES} at least")
    measured = Measured(sigma=own["sigma"].values.tolist(), draws=draws, block=block, clusters=clusters, seed=seed)
    if block not in taps:
        raise InputError(
            f"{checks.given('block', block)}: say which tap the claims are about, φ is of {', '.join(taps)}"
        )
    if clusters is not None:
        labels.classes(own, clusters, option="clusters", least=1)
    wanted = _without_images(only)
    wanted = _left(wanted, {**_beside(wanted, taps, block), **_too_few_draws(wanted, draws)}, only is not None, told)
    prepared(folder)
    results, shown = Results(out=folder, wanted=wanted, measured=measured, told=told), Shown()
    parts = {name: part for name, part in PARTS.items() if isinstance(part, OnPhi) and results.judging(name)}
    phi = {role: every[name] for name, role in BY_ROLE.items() if name in every}
    found = on_phi(results, parts, shown, {role: partial(at_hand, one) for role, one in phi.items()})
    judged = claims.table(
        found[TRAINED],
        untrained=found[UNTRAINED],
        paper_gains=found[PAPER_GAINS],
        twins=tuple(TWINS)[: len(every) - 1],
        block=block,
    )
    settings = {"images": own.sizes["image"], "taps": ", ".join(taps), "block": block}
    return _written(results, judged, shown, settings, None)


def as_phi(name: str, given: Any) -> xr.Dataset:
    """φ that is given, or that is read where it is named."""
    data = read(checks.path(name, given, "φ as a Dataset, or the path of a store of it")) if _is_path(given) else given
    data = checks.instance(name, data, xr.Dataset, "φ as a tap returns it, or the path of a store of it")
    lacking = [one for one in ("image", "sigma", "channel", "tap") if one not in data.coords]
    if "phi" not in data or data["phi"].dims != ("image", "sigma", "channel") or lacking:
        raise InputError(
            f"{name} holds no phi (image, sigma, channel) with their coordinates: give φ as a tap returns it"
        )
    return data


def _is_path(given: Any) -> bool:
    return isinstance(given, str | PathLike)


def _check_alike(own: xr.Dataset, other: xr.Dataset, name: str) -> None:
    """Refuse φ of other images, noise levels or channels than the network's, measured otherwise, or of itself."""
    for dim in ("image", "sigma", "tap"):
        one, two = own[dim].values, other[dim].values
        alike = np.array_equal(one, two) if dim == "sigma" else np.array_equal(labels.strings(one), labels.strings(two))
        if not alike:
            raise InputError(
                f"{name} is not of the same {dim}s as trained: measure the network and its controls by the same "
                "images, noise levels and taps"
            )
    for made, one, two in ((made, own.attrs.get(made), other.attrs.get(made)) for made in ("reduce", "draws")):
        if one is not None and two is not None and one != two:
            raise InputError(f"{name} was measured with {made}={two} and trained with {made}={one}: measure them alike")
    weights = own.attrs.get("weights_sha256")
    if name != "trained" and weights and weights == other.attrs.get("weights_sha256"):
        raise InputError(
            f"{name} is φ of the very weights that trained is of, {str(weights)[:8]}…: give φ of the untrained twin"
        )


def _without_images(only: Sequence[int] | None) -> frozenset[int]:
    """Claims to judge by φ alone."""
    can = frozenset(n for n, claim in CLAIMS.items() if isinstance(PARTS[claim.needs], OnPhi))
    if only is None:
        return can
    asked = _numbers(only)
    if beyond := sorted(asked - can):
        raise InputError(
            f"{_counted(beyond)} cannot be judged by φ alone, as {', '.join(map(str, sorted(can)))} can: give network "
            "and images to report.run, or to probekit report"
        )
    return asked


def _written(
    results: Results, judged: xr.Dataset, shown: Shown, settings: dict[str, Any], card: dict[str, Any] | None
) -> xr.Dataset:
    """The claims wanted, of all that were judged, written down and told."""
    judged = judged.isel(claim=[int(c) in results.wanted for c in judged["claim"].values]).isel(
        criterion=[int(c) in results.wanted for c in judged["of_claim"].values]
    )
    results.write("claims", judged)
    page = report_page(judged, card=card, shown=shown, command=results.told.command, settings=settings)
    results.text("report.html", html(page))
    results.text("report.md", markdown(page, results.out))
    for claim, verdict in claims.verdicts(judged).items():
        results.told.say(f"claim {claim}. {CLAIMS[claim].title}: {verdict}")
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
    asked = _numbers(only)
    for said in dict.fromkeys(beyond[n] for n in sorted(asked) if n in beyond):
        of = [n for n in sorted(asked) if beyond.get(n) == said]
        raise InputError(f"{_counted(of)} need{'s' if len(of) == 1 else ''} {said}")
    return asked


def _numbers(only: Sequence[int]) -> frozenset[int]:
    asked = [checks.plain(number) for number in checks.listed("only", only, "numbers of claims, e.g. [1, 3, 4]")]
    if not asked or any(not isinstance(n, int) or isinstance(n, bool) or n not in CLAIMS for n in asked):
        raise InputError(f"only={checks.shown(asked)}: give numbers of claims, from {min(CLAIMS)} to {max(CLAIMS)}")
    return frozenset(map(int, asked))


def _counted(numbers: Sequence[int]) -> str:
    return f"claim{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _judgeable(
    wanted: frozenset[int], network: nn.Module, measured: Measured, independent: int, asked: bool, told: Told
) -> frozenset[int]:
    """The claims wanted that this network, draws and images can be judged by; others, if asked for, are refused."""
    reasons = {
        **_beside(wanted, block_names(network), measured.block),
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
        **_too_few_draws(wanted, measured.draws),
    }
    return _left(wanted, reasons, asked, told)


def _beside(wanted: frozenset[int], blocks: Sequence[str], block: str) -> Reasons:
    there = {"": True, "before": list(blocks).index(block) > 0, "other": len(blocks) > 1}
    return {
        "beside": (
            [number for number in wanted if not there[CLAIMS[number].beside]],
            f"{block!r} is compared with another block, or with the block before it, and the taps are "
            f"{', '.join(blocks)}: declare more, in the order of the forward pass, e.g. "
            'model.tap_aliases = {"enc": "down", "mid": "middle"}, and measure them',
        )
    }


def _too_few_draws(wanted: frozenset[int], draws: int) -> Reasons:
    return {
        "draws": (
            [n for n in wanted if CLAIMS[n].needs == "reliability" and draws < LEAST_DRAWS],
            f"two halves of the draws are compared, and there {'is' if draws == 1 else 'are'} {draws} that "
            f"{'was' if draws == 1 else 'were'} kept: measure {LEAST_DRAWS} or more, and keep them, keep_draws=True",
        )
    }


def _left(wanted: frozenset[int], reasons: Reasons, asked: bool, told: Told) -> frozenset[int]:
    """The claims wanted that nothing speaks against; others, if asked for, are refused."""
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
