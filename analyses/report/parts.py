"""What a report is made of: one list of parts, each made once, kept, and taken up again if it was made of the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

import probekit
from analyses import concepts, controls, densities, selectivity, semantics, sparsity, subspaces, variants
from analyses.claims import AMONG, CLAIMS, FOUND_AT
from analyses.ground import TWINS, drawn_images, untrained_twins
from analyses.report.further import conflicting, noise_told, of_textures
from analyses.report.page import Shown, Table, interval_cell, measure_table
from analyses.report.settings import Results, Study
from probekit import labels
from probekit.errors import InputError, ProbeError
from probekit.machine.modes import flushed_denormals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from probekit.images import ImageSet

__all__ = ["PARTS", "Made", "OnPhi", "concepts_held", "found_in", "on_phi", "sheet"]

TRAINED, UNTRAINED, PAPER_GAINS = "trained", "untrained", "untrained-paper-gains"
# Files, stores and figures of each control are named by its role.
ROLES = dict(zip(TWINS, (UNTRAINED, PAPER_GAINS), strict=True))
CONCEPTS_AT = 0.1
# Training images among which a sample's nearest is looked for.
REFERENCES = 5000
# Sides of the built-in photographs, and those shown in the sheet, seen whole but for a margin where images are smaller.
BUILT_IN, LEAST_SHOWN = (32, 64), 0.75
SHOWN = ("chelsea", "coffee", "flower", "rocket")
MEASURES = ("patch_wasserstein", "gaussian_wasserstein_debiased", "energy")
BRIEF = ("error of φ", "diversity", "near copies", "near copies of references")


class OnPhi(NamedTuple):
    """An analysis of φ of the network and its controls: of every tap or the block alone, how, what its figure shows."""

    analyse: Callable[..., xr.Dataset]
    plot: Callable[..., Figure]
    caption: str
    middle_only: bool = False
    options: Mapping[str, Any] = {}


class Made(NamedTuple):
    """Findings that are made otherwise, with whatever is shown of them."""

    make: Callable[[Study, Shown], Any]


def on_phi(
    study: Results, parts: Mapping[str, OnPhi], shown: Shown, phi: Mapping[str, Callable[[], xr.Dataset]]
) -> dict[str, dict[str, xr.Dataset]]:
    """What the analyses find in the φ of each role, which is asked for when it is its turn, by role and name."""
    found: dict[str, dict[str, xr.Dataset]] = {role: {} for role in (TRAINED, *ROLES.values())}
    if parts and len(phi) <= len(TWINS):
        study.told.say(
            "one untrained control: gains as the paper's code draws them need normalisations of this package, and "
            "nothing is asked of them"
        )
    power: xr.Dataset | None = None
    for role, given in phi.items() if parts else ():
        data = given()
        for name, part in parts.items():
            options = {**part.options, "seed": study.measured.seed, **_grouped(study)}
            analysed = study.middle(data) if part.middle_only else data
            found[role][name] = study.findings(f"{name}-{role}", part.analyse, analysed, options)
        if role == TRAINED and "selectivity" in parts:
            options = {"seed": study.measured.seed, **_grouped(study)}
            power = study.findings("power-trained", selectivity.power_curve, study.middle(data), options)
    for name, part in parts.items() if phi else ():
        against = {twin: found[role][name] for twin, role in ROLES.items() if name in found[role]}
        # One figure of all networks, by the name of the first.
        picture = study.draw(f"{name}-{TRAINED}", part.plot, found[TRAINED][name], against=against)
        shown.picture(study.judging(name), picture, f"{part.caption}: {', '.join([TRAINED, *against])}")
    if power is not None:
        _power(study, found[TRAINED]["selectivity"], power, shown)
    return found


def _grouped(study: Results) -> dict[str, Any]:
    clusters = study.measured.clusters
    return {} if clusters is None else {"clusters": clusters}


def _power(study: Results, found: xr.Dataset, curve: xr.Dataset, shown: Shown) -> None:
    """How much these images and draws decide of types of channel, and what fewer images would."""
    block, about = study.measured.block, study.judging("selectivity")
    levels = [f"σ = {s:g}" for s in found["sigma"].values]
    here = found["decided"].isel(block=labels.strings(found["block"].values).tolist().index(block))
    rows = [[str(name), *_shares(here.sel(criterion=name))] for name in here["criterion"].values]
    shown.table(
        about,
        f"Share of the channels of {block} of which each criterion is decided:",
        Table(["criterion", *levels], rows),
    )
    open_to = curve["fraction"].sel(kind="undecided").isel(block=0)
    rows = [[f"{n:,}", *_shares(open_to.sel(n_images=n))] for n in curve["n_images"].values.tolist()]
    said = f"Share of the channels of {block} that are undecided, by the number of images:"
    shown.table(about, said, Table(["images", *levels], rows))


def _shares(values: xr.DataArray) -> list[str]:
    return [f"{100 * one:.0f} %" for one in values.values]


def found_again(study: Study, shown: Shown) -> xr.Dataset:
    """A table of controls of one measure, of as many draws as φ has: whether images are found again."""
    how: dict[str, Any] = {
        "block": study.measured.block,
        "sigma": FOUND_AT,
        "draws": study.measured.draws,
        "reduce": study.measured.reduce,
        "measures": ["stability"],
        "n_images": AMONG,
        "seed": study.measured.seed,
    }
    with study.timed("images found again"):
        found = study.of_images("stability", lambda: _of_controls(study, "stability", **how), how)
    said, table = measure_table(found, "stability")
    among, draws = (int(found.attrs[name]) for name in ("stability_among", "stability_draws"))
    sides = f"Found among {among:,} images, of {draws} draw{'s' * (draws > 1)} a side"
    shown.table(study.judging("stability"), f"{said} {sides}, {found.attrs['stability_noise']} noise.", table)
    return found


def _of_controls(study: Study, store: str, **how: Any) -> xr.Dataset:
    """A table of controls, whose φ is kept in the store of this name."""
    folder = study.out / "stores" / store
    shared: dict[str, Any] = {"store": folder, "client": study.workers, "progress": study.told.progress}
    return controls.table(study.independent, denoiser=study.network, **shared, **how)


def compared_with_controls(study: Study, shown: Shown) -> xr.Dataset:
    """The table of controls, of all measures but that one."""
    assert study.compared is not None
    compared = study.compared
    how: dict[str, Any] = {
        "block": study.measured.block,
        "sigma": study.measured.sigma,
        "draws": study.further_draws,
        "reduce": study.measured.reduce,
        "measures": [name for name in controls.MEASURES if name != "stability"],
        "n_images": compared.n_images,
        "n_train": compared.n_train,
        "seed": study.measured.seed,
    }
    classes = None if compared.classes is None else Path(compared.classes).read_bytes()
    with study.timed("controls"):
        found = study.of_images(
            "controls",
            lambda: _of_controls(study, "controls", train=compared.train, classes=compared.classes, **how),
            compared.train,
            classes,
            how,
        )
    picture = study.draw("controls", controls.plot, found)
    about = study.judging("controls")
    # One figure for all of these claims, under the first.
    shown.picture(about[:1], picture, "Every measure for every row of the table of controls, with 95 % intervals")
    known = labels.strings(found["measure"].values)
    for number in about:
        own = [measure for measure in CLAIMS[number].measures if measure in known]
        if own and found.sizes["sigma"] > 1:
            picture = study.draw(f"controls-{number}", controls.plot, found, measures=own)
            caption = f"What this claim asks of controls, at every noise level: {', '.join(own)}"
            shown.picture([number], picture, caption)
        for measure in CLAIMS[number].measures:
            shown.table([number], *measure_table(found, measure))
    return found


@flushed_denormals()
def varied(study: Study, shown: Shown) -> xr.Dataset:
    """Samples by each variant of sampling; beside them built-in photographs, and held concepts."""
    about = study.judging("variants")
    train = None if study.compared is None else study.compared.train
    reference = None if train is None else drawn_images(train, REFERENCES, study.measured.seed)
    with study.timed("variants of sampling"):
        found = _sampled(study, "variants", study.independent, study.sampling.conditions, reference)
    picture = study.draw("variants", variants.plot, found)
    caption = f"What each ingredient of sampling does, over {found.sizes['image']} conditions, with 95 % intervals"
    shown.picture(about, picture, caption)
    if study.told.pictures:
        drawn = study.draw("variants-sheet", variants.sheet, found)
        shown.picture(about, drawn, "Conditions, and samples by each variant of sampling")
    names = [m for m in labels.strings(found["measure"].values) if m in BRIEF or m.startswith("nearer")]
    rows = [
        [v, *(_interval(found.sel(variant=v, measure=m)) for m in names)]
        for v in labels.strings(found["variant"].values)
    ]
    said = "Each variant of sampling; intervals are over conditions."
    shown.table(about, said, Table(["variant", *names], rows))
    sheet(study, shown)
    concepts_held(study, shown)
    return found


def _sampled(study: Study, name: str, images: ImageSet, conditions: int, reference: ImageSet | None) -> xr.Dataset:
    """The table of variants, of samples that are kept in the store of this name."""
    how: dict[str, Any] = {
        "block": study.measured.block,
        "levels": study.sampling.levels,
        "reduce": study.measured.reduce,
        "seed": study.measured.seed,
        "n_images": conditions,
    }

    def made() -> xr.Dataset:
        return variants.table(
            images,
            denoiser=study.network,
            reference=reference,
            store=study.out / "stores" / name,
            client=study.workers,
            progress=study.told.progress,
            **how,
        )

    return study.of_images(name, made, images, reference, how)


def _interval(part: xr.Dataset) -> str:
    return interval_cell(*(part[name].item() for name in ("value", "low", "high")))


def sheet(study: Study, shown: Shown) -> None:
    """The sheet of built-in photographs, where they can be had in the network's bands."""
    builtin = _builtin(study.source.shape, study.told.say)
    if builtin is None:
        return
    with study.timed("sheet of built-in photographs"):
        found = _sampled(study, "variants-builtin", builtin, len(builtin), None)
    picture = study.draw("variants-builtin", variants.sheet, found)
    caption = "Four built-in photographs, and samples by each variant of sampling"
    shown.picture(study.judging("variants"), picture, caption)


def _builtin(shape: tuple[int, int, int], say: Callable[[str], object]) -> ImageSet | None:
    """The built-in photographs shown, or the middle of them, in this shape; None, and why, where they cannot be had."""
    bands, rows, cols = shape
    size = next((side for side in BUILT_IN if side >= max(rows, cols)), BUILT_IN[-1])
    try:
        every = probekit.images.load("samples", size=size, bands=bands)  # pyright: ignore[reportArgumentType]
    except ProbeError as error:
        say(f"no sheet of built-in photographs: {error}")
        return None
    if every.shape[0] != bands or max(rows, cols) > size or min(rows, cols) < LEAST_SHOWN * size:
        found, wanted = (" × ".join(map(str, one)) for one in (every.shape, shape))
        say(f"no sheet of built-in photographs: they are {found}, the images {wanted}")
        return None
    chosen = every.subset([next(i for i, name in enumerate(every.ids) if name.startswith(word)) for word in SHOWN])
    if chosen.shape == shape:
        return chosen
    top, left = (size - rows) // 2, (size - cols) // 2
    pixels = chosen.read(range(len(chosen)))[:, :, top : top + rows, left : left + cols]
    return replace(probekit.images.load(pixels, ids=chosen.ids), name=f"{chosen.name}, their middle")


def concepts_held(study: Study, shown: Shown) -> None:
    """Ten selective channels, each held alone."""
    sigma = CONCEPTS_AT if np.isclose(study.measured.sigma, CONCEPTS_AT).any() else study.measured.sigma[0]
    data = study.middle(study.phi(study.network, "trained"))
    how: dict[str, Any] = {
        "sigma": sigma,
        "levels": study.sampling.levels,
        "reduce": study.measured.reduce,
        "seed": study.measured.seed,
    }

    def made() -> xr.Dataset:
        shared: dict[str, Any] = {"client": study.workers, "progress": study.told.progress}
        store = study.out / "stores" / "concepts"
        return concepts.analyse(study.source, data, denoiser=study.network, store=store, **shared, **how)

    try:
        with study.timed("concepts"):
            found = study.of_images("concepts", made, study.source, data, how)
    except InputError as error:
        study.told.say(f"no concepts: {error}")
        return
    columns = [(a, w) for a in labels.strings(found["against"].values) for w in labels.strings(found["witness"].values)]
    reached = found["reached"].median(("exciting", "sample")).values
    rows = [
        [
            str(found["held"].values[c]),
            f"{100 * reached[c]:.0f} %",
            *(_nearer(found.isel(concept=c).sel(against=a, witness=w)) for a, w in columns),
        ]
        for c in range(found.sizes["concept"])
    ]
    said = (
        f"The {len(rows)} most selective channels of {study.measured.block}, each held with the selective channels "
        "that its most exciting images raise besides, at what these images make of them: how far they came (median), "
        "and the probability that such a sample is nearer to its image than another sample is (½: no effect), by the "
        "channels held, by all other channels, and by a classifier that reads the concept from other channels; with "
        "95 % intervals, and p of a permutation test after Holm's correction."
    )
    about = study.judging("variants")
    header = ["channels held", "reached", *(f"{w}, against {a}" for a, w in columns)]
    shown.table(about, said, Table(header, rows))
    if study.told.pictures:
        picture = study.draw("concepts", concepts.plot, found)
        shown.picture(about, picture, "Held concepts, exciting images and samples")


def _nearer(part: xr.Dataset) -> str:
    text = interval_cell(*(part[name].item() for name in ("nearer", "nearer_low", "nearer_high")))
    p = part["p_holm"].item()
    return f"{text}, p = {p:.2g}" if np.isfinite(p) else text


@flushed_denormals()
def related(study: Study, shown: Shown) -> list[xr.Dataset]:
    """Distances between conditional laws against distances in φ and in pixels, by each measure.

    The criteria compare with pixels. Samples of untrained networks, which take longest of all, are left out;
    `variants.laws` makes them.
    """
    with study.timed("samples of conditional laws"):
        data = variants.laws(
            study.independent,
            denoiser=study.network,
            block=study.measured.block,
            n_images=study.sampling.of_laws[1],
            n_samples=study.sampling.n_samples,
            levels=study.sampling.levels,
            reduce=study.measured.reduce,
            seed=study.measured.seed,
            store=study.out / "stores" / "laws-trained",
            client=study.workers,
            progress=study.told.progress,
        )
    found = [
        study.findings(f"densities-{measure}-trained", densities.analyse, data, {"measure": measure})
        for measure in MEASURES
    ]
    picture = study.draw("densities-trained", densities.plot, found[0])
    shown.picture(
        study.judging("densities"), picture, "Distances between conditional laws against distances in φ and in pixels"
    )
    return found


# By the findings that claims need, in the order in which they are made.
PARTS: Mapping[str, OnPhi | Made] = {
    "sparsity": OnPhi(sparsity.analyse, sparsity.plot, "Five measures of sparsity for each block and noise level"),
    "selectivity": OnPhi(selectivity.analyse, selectivity.plot, "Types of channel in each block"),
    "subspaces": OnPhi(
        subspaces.analyse,
        subspaces.plot,
        "Supports, explained variance, overlap and confidence of the subspaces found",
        middle_only=True,
        options={"dimensions": False},
    ),
    "reliability": OnPhi(
        semantics.reliability,
        semantics.plot_reliability,
        "Reliability of distances in φ at each block and noise level",
        options={"distances": "euclidean"},
    ),
    "stability": Made(found_again),
    "controls": Made(compared_with_controls),
    "variants": Made(varied),
    "densities": Made(related),
    "textures": Made(of_textures),
    "cues": Made(conflicting),
    "noise_level": Made(noise_told),
}


def found_in(study: Study, shown: Shown) -> tuple[dict[str, dict[str, xr.Dataset]], dict[str, Any]]:
    """All that the claims wanted need: by role and name what was found in all networks, and by name the rest."""
    parts = {name: part for name, part in PARTS.items() if study.judging(name)}
    of_phi = {name: part for name, part in parts.items() if isinstance(part, OnPhi)}
    # That there is an untrained network is seen before anything is measured.
    twins = untrained_twins(study.network) if of_phi else {}
    networks = {TRAINED: study.network, **{ROLES[name]: twin for name, twin in twins.items()}}
    of_all = on_phi(study, of_phi, shown, {role: partial(study.phi, one, role) for role, one in networks.items()})
    return of_all, {name: part.make(study, shown) for name, part in parts.items() if isinstance(part, Made)}
