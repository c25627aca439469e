"""What a report is made of: one list of parts, each made once, kept, and taken up again if it was made of the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

import probekit
from analyses import concepts, controls, densities, selectivity, sparsity, subspaces, variants
from analyses.ground import TWINS, Kept, block_names, drawn_images, repeats, saved, untrained_twins
from analyses.report.judging import CLAIMS, STABLE_AT
from analyses.report.page import Shown, Table, interval_cell, measure_table
from probekit import checks, labels
from probekit.capture.reductions import reduction
from probekit.errors import InputError, ProbeError
from probekit.machine.files import prepared, whole
from probekit.machine.modes import flushed_denormals

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from probekit.capture.reductions import Reduction
    from probekit.images import ImageSet

__all__ = ["PARTS", "Compared", "Made", "Measured", "OnPhi", "Sampling", "Study", "Told", "found_in", "sheet"]

TRAINED, UNTRAINED, PAPER_GAINS = "trained", "untrained", "untrained-paper-gains"
# Files, stores and figures of each control are named by its role.
ROLES = dict(zip(TWINS, (UNTRAINED, PAPER_GAINS), strict=True))
SIGMA, DRAWS, MIDDLE = (0.1, 0.2, 0.5), 10, "mid"
CONCEPTS_AT = 0.1
# Training images among which a sample's nearest is looked for.
REFERENCES = 5000
# Built-in photographs shown in the sheet, seen whole.
SHOWN = ("chelsea", "coffee", "flower", "rocket")
MEASURES = ("patch_wasserstein", "gaussian_wasserstein_debiased", "energy")
BRIEF = ("error of φ", "diversity", "near copies", "near copies of references")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How φ is measured, and what the claims are about.

    Attributes
    ----------
    sigma, draws, seed
        Noise levels, draws for each image and level, seed of the noise and of everything drawn.
    reduce
        What is made of maps, as for `probekit.tap`: "relu_mean" for taps before a ReLU.
    block
        The tap that the claims are about, and whose subspaces are looked for.
    clusters
        Coordinate along image whose groups are resampled whole, where images are not independent: for the intervals
        of claim 1. Those of claims 3 and 4 take images, or channels, as independent.
    """

    sigma: Sequence[float] = SIGMA
    draws: int = DRAWS
    reduce: str | Reduction = "mean"
    seed: int = 0
    block: str = MIDDLE
    clusters: str | None = None

    def __post_init__(self) -> None:
        checks.settle(self)
        object.__setattr__(self, "sigma", tuple(checks.noise_levels(self.sigma)))
        repeats("draws", self.draws, least=1)
        reduction(self.reduce)
        checks.seeded(self.seed)
        checks.text("block", self.block, "the name of a tap, such as 'mid'")
        if self.clusters is not None:
            checks.text("clusters", self.clusters, "the name of a coordinate along image, such as 'label'")


@dataclass(frozen=True, kw_only=True)
class Compared:
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

    def __post_init__(self) -> None:
        checks.settle(self)
        if self.classes is not None:
            checks.path("classes", self.classes, "a CSV file of classes with columns wnid, hypernym_wnids")
        for name in ("n_images", "n_train"):
            if getattr(self, name) is not None:
                checks.whole(name, getattr(self, name), least=1)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How samples are made.

    Attributes
    ----------
    conditions, n_samples
        Images conditioned on, evenly spread, and samples of each for claim 7, which asks for 200 pairs: 21 conditions.
    levels
        Noise levels that samples go through.
    """

    conditions: int = 24
    n_samples: int = 8
    levels: int = 20

    def __post_init__(self) -> None:
        checks.settle(self)
        for name, least in (("conditions", 2), ("n_samples", densities.LEAST_SAMPLES), ("levels", 2)):
            repeats(name, getattr(self, name), least=least)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is shown and told.

    Attributes
    ----------
    pictures
        Whether figures may show the images themselves, which others may own: if not, only built-in ones are shown.
    command
        Named in the report as what made it.
    say
        Where progress is told, line by line.
    progress
        Whether to show progress bars; by default only in a terminal.
    """

    pictures: bool = True
    command: str = "analyses.report.run"
    say: Callable[[str], object] = print
    progress: bool | None = None

    def __post_init__(self) -> None:
        checks.flag("pictures", self.pictures)
        checks.text("command", self.command, "a line of text")
        if not callable(self.say):
            raise InputError(f"{checks.given('say', self.say)}: give a function that takes a line of text")
        if self.progress is not None:
            checks.flag("progress", self.progress)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A network, images, where results go, and how all is done."""

    out: Path
    network: nn.Module
    source: ImageSet
    wanted: frozenset[int]
    measured: Measured = field(default_factory=Measured)
    compared: Compared | None = None
    sampling: Sampling = field(default_factory=Sampling)
    told: Told = field(default_factory=Told)

    def judging(self, name: str) -> list[int]:
        """The claims wanted that need the findings of this name."""
        return sorted(number for number in self.wanted if CLAIMS[number].needs == name)

    def phi(self, model: nn.Module, role: str) -> xr.Dataset:
        """φ at every tap, every draw kept, from the store of this role or measured into it."""
        tap = probekit.tap(model, *block_names(model), reduce=self.measured.reduce)
        with self.timed(f"φ of {len(self.source)} images, {role}"), flushed_denormals():
            return tap(
                self.source,
                sigma=self.measured.sigma,
                draws=self.measured.draws,
                seed=self.measured.seed,
                keep_draws=True,
                store=self.out / "stores" / f"{role}.zarr",
                progress=self.told.progress,
            ).load()

    def middle(self, data: xr.Dataset) -> xr.Dataset:
        """The part of φ that is of the block the claims are about."""
        return data.isel(channel=data["tap"].values == self.measured.block)

    def findings(
        self, name: str, analyse: Callable[..., xr.Dataset], data: xr.Dataset, options: Mapping[str, Any]
    ) -> xr.Dataset:
        """Findings from NAME.nc in the folder, or made and kept there."""
        with self.timed(name):
            return Kept(self.out).made(name, lambda: analyse(data, **options), data, dict(options))

    def write(self, name: str, findings: xr.Dataset) -> None:
        """Findings into NAME.nc in the folder, whole or not at all."""
        saved(self.out, (name, findings))

    def text(self, name: str, text: str) -> None:
        """A text file in the folder, whole or not at all."""
        prepared(self.out)
        with whole(self.out / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")

    def draw(self, name: str, figure: Figure) -> Path:
        """A figure into NAME.png in the folder of figures."""
        prepared(self.out / "figures")
        return saved(self.out / "figures", (name, figure))[0]

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say how long something took."""
        began = time.monotonic()
        yield
        self.told.say(f"{what}: {time.monotonic() - began:.0f} s")


class OnPhi(NamedTuple):
    """An analysis of φ of the network and its controls: of every tap or the block alone, how, what its figure shows."""

    analyse: Callable[..., xr.Dataset]
    plot: Callable[[xr.Dataset], Figure]
    caption: str
    middle_only: bool = False
    options: Mapping[str, Any] = {}


class Made(NamedTuple):
    """Findings that are made otherwise, with whatever is shown of them."""

    make: Callable[[Study, Shown], Any]


def on_phi(study: Study, parts: Mapping[str, OnPhi], shown: Shown) -> dict[str, dict[str, xr.Dataset]]:
    """What the analyses find in the network and in its untrained controls, by role and name."""
    found: dict[str, dict[str, xr.Dataset]] = {role: {} for role in (TRAINED, *ROLES.values())}
    # That there is an untrained network is seen before anything is measured.
    twins = untrained_twins(study.network) if parts else {}
    if twins.keys() < TWINS.keys() and parts:
        study.told.say(
            "one untrained control: gains as the paper's code draws them need normalisations of this package, and "
            "criteria that compare with them are not judged"
        )
    networks = {TRAINED: study.network, **{ROLES[name]: twin for name, twin in twins.items()}} if parts else {}
    for role, model in networks.items():
        data = study.phi(model, role)
        for name, part in parts.items():
            clustered = name == "sparsity" and study.measured.clusters is not None
            options = {**part.options, **({"clusters": study.measured.clusters} if clustered else {})}
            analysed = study.middle(data) if part.middle_only else data
            found[role][name] = study.findings(f"{name}-{role}", part.analyse, analysed, options)
            picture = study.draw(f"{name}-{role}", part.plot(found[role][name]))
            shown.picture(study.judging(name), picture, f"{part.caption}: {role}")
    return found


def compared_with_controls(study: Study, shown: Shown) -> xr.Dataset:
    """The table of controls."""
    assert study.compared is not None
    with study.timed("controls"):
        found = controls.table(
            study.source,
            train=study.compared.train,
            classes=study.compared.classes,
            denoiser=study.network,
            block=study.measured.block,
            sigma=sorted({*study.measured.sigma, STABLE_AT}),
            draws=study.measured.draws,
            reduce=study.measured.reduce,
            n_images=study.compared.n_images,
            n_train=study.compared.n_train,
            store=study.out / "stores" / "controls",
            seed=study.measured.seed,
            progress=study.told.progress,
        )
    study.write("controls", found)
    picture = study.draw("controls", controls.plot(found))
    about = study.judging("controls")
    # One figure for all of these claims, under the first.
    shown.picture(about[:1], picture, "Every measure for every row of the table of controls, with 95 % intervals")
    for number in about:
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
        found = variants.table(
            study.source,
            denoiser=study.network,
            block=study.measured.block,
            n_images=study.sampling.conditions,
            levels=study.sampling.levels,
            reduce=study.measured.reduce,
            reference=reference,
            seed=study.measured.seed,
            store=study.out / "stores" / "variants",
            progress=study.told.progress,
        )
    study.write("variants", found)
    picture = study.draw("variants", variants.plot(found))
    caption = f"What each ingredient of sampling does, over {found.sizes['image']} conditions, with 95 % intervals"
    shown.picture(about, picture, caption)
    if study.told.pictures:
        drawn = study.draw("variants-sheet", variants.sheet(found))
        shown.picture(about, drawn, "Conditions, and samples by each variant of sampling")
    names = [m for m in labels.strings(found["measure"].values) if m in BRIEF or m.startswith("nearer")]
    rows = [
        [v, *(_interval(found.sel(variant=v, measure=m)) for m in names)]
        for v in labels.strings(found["variant"].values)
    ]
    said = "Each variant of sampling; intervals are over conditions."
    shown.table(about, said, Table(["variant", *names], rows))
    sheet(study, shown)
    _concepts(study, shown)
    return found


def _interval(part: xr.Dataset) -> str:
    return interval_cell(*(part[name].item() for name in ("value", "low", "high")))


def sheet(study: Study, shown: Shown) -> None:
    """The sheet of built-in photographs, where they can be had in the network's bands."""
    bands, rows, _ = study.source.shape
    try:
        builtin = probekit.images.load("samples", size=rows, bands=bands)  # pyright: ignore[reportArgumentType]
    except ProbeError as error:
        study.told.say(f"no sheet of built-in photographs: {error}")
        return
    if builtin.shape != study.source.shape:
        study.told.say(f"no sheet of built-in photographs: they have {builtin.shape[0]} bands, the images {bands}")
        return
    first = [next(i for i, name in enumerate(builtin.ids) if name.startswith(word)) for word in SHOWN]
    with study.timed("sheet of built-in photographs"):
        found = variants.table(
            builtin.subset(first),
            denoiser=study.network,
            block=study.measured.block,
            levels=study.sampling.levels,
            reduce=study.measured.reduce,
            seed=study.measured.seed,
            store=study.out / "stores" / "variants-builtin",
            progress=study.told.progress,
        )
    picture = study.draw("variants-builtin", variants.sheet(found))
    caption = "Four built-in photographs, and samples by each variant of sampling"
    shown.picture(study.judging("variants"), picture, caption)


def _concepts(study: Study, shown: Shown) -> None:
    """Ten selective channels, each held alone."""
    sigma = CONCEPTS_AT if np.isclose(study.measured.sigma, CONCEPTS_AT).any() else study.measured.sigma[0]
    data = study.middle(study.phi(study.network, "trained"))
    try:
        with study.timed("concepts"):
            found = concepts.analyse(
                study.source,
                data,
                denoiser=study.network,
                sigma=sigma,
                levels=study.sampling.levels,
                reduce=study.measured.reduce,
                seed=study.measured.seed,
                store=study.out / "stores" / "concepts",
                progress=study.told.progress,
            )
    except InputError as error:
        study.told.say(f"no concepts: {error}")
        return
    study.write("concepts", found)
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
        picture = study.draw("concepts", concepts.plot(found))
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
            study.source,
            denoiser=study.network,
            block=study.measured.block,
            n_images=study.sampling.conditions,
            n_samples=study.sampling.n_samples,
            levels=study.sampling.levels,
            reduce=study.measured.reduce,
            seed=study.measured.seed,
            store=study.out / "stores" / "laws-trained",
            progress=study.told.progress,
        )
    found = [
        study.findings(f"densities-{measure}-trained", densities.analyse, data, {"measure": measure})
        for measure in MEASURES
    ]
    picture = study.draw("densities-trained", densities.plot(found[0]))
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
    "controls": Made(compared_with_controls),
    "variants": Made(varied),
    "densities": Made(related),
}


def found_in(study: Study, shown: Shown) -> tuple[dict[str, dict[str, xr.Dataset]], dict[str, Any]]:
    """All that the claims wanted need: by role and name what was found in all networks, and by name the rest."""
    parts = {name: part for name, part in PARTS.items() if study.judging(name)}
    of_all = on_phi(study, {name: part for name, part in parts.items() if isinstance(part, OnPhi)}, shown)
    return of_all, {name: part.make(study, shown) for name, part in parts.items() if isinstance(part, Made)}
