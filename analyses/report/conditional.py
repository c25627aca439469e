"""What a report samples: images that share φ with others, what each ingredient does, their laws, and held concepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

import probekit
from analyses import concepts, densities, variants
from analyses.ground import block_names, drawn_images
from analyses.report.page import Shown, Table, interval_cell
from probekit import labels
from probekit.errors import InputError, ProbeError
from probekit.machine.modes import flushed_denormals

if TYPE_CHECKING:
    from analyses.report.all_claims import Study
    from probekit.images import ImageSet

__all__ = ["Sampling", "conditional", "sheet"]

CONCEPTS_AT = 0.1
# Training images among which a sample's nearest is looked for.
REFERENCES = 5000
# Built-in photographs shown in the sheet, seen whole.
SHOWN = ("chelsea", "coffee", "flower", "rocket")
MEASURES = ("patch_wasserstein", "gaussian_wasserstein_debiased", "energy")
BRIEF = ("error of φ", "diversity", "near copies", "near copies of references")


class Sampling(NamedTuple):
    """How samples are made.

    Attributes
    ----------
    conditions, n_samples
        Images conditioned on, evenly spread, and samples of each for claim 7, which asks for 200 pairs: 21 conditions.
    levels
        Noise levels that samples go through.
    pictures
        Whether figures may show the images themselves, which others may own: if not, only built-in ones are shown.
    """

    conditions: int = 24
    n_samples: int = 8
    levels: int = 20
    pictures: bool = True


def conditional(
    study: Study, wanted: set[int], train: ImageSet | None, settings: Sampling, shown: Shown
) -> dict[str, Any]:
    """Findings for claims 6 and 7, by the names under which `claims.table` takes them.

    Parameters
    ----------
    study
        Network, images and folder.
    wanted
        Claims to judge.
    train
        Images that samples may be copies of.
    settings
        How samples are made.
    shown
        Where figures and tables go.
    """
    found: dict[str, Any] = {}
    with flushed_denormals():
        if 6 in wanted:
            found["variants"] = _varied(study, train, settings, shown)
            sheet(study, settings, shown)
            _concepts(study, settings, shown)
        if 7 in wanted:
            found["densities"] = _related(study, settings, shown)
    return found


def _varied(study: Study, train: ImageSet | None, settings: Sampling, shown: Shown) -> xr.Dataset:
    reference = None if train is None else drawn_images(train, REFERENCES, study.seed)
    with study.timed("variants of sampling"):
        found = variants.table(
            study.source,
            denoiser=study.network,
            block=study.block,
            n_images=settings.conditions,
            levels=settings.levels,
            held_out=held_out(study),
            reference=reference,
            seed=study.seed,
            store=study.out / "stores" / "variants",
            progress=study.progress,
        )
    study.write("variants", found)
    picture = study.draw("variants", variants.plot(found))
    caption = f"What each ingredient of sampling does, over {found.sizes['image']} conditions, with 95 % intervals"
    shown.picture(6, picture, caption)
    if settings.pictures:
        drawn = study.draw("variants-sheet", variants.sheet(found))
        shown.picture(6, drawn, "Conditions, and samples by each variant of sampling")
    names = [m for m in labels.strings(found["measure"].values) if m in BRIEF or m.startswith("nearer")]
    rows = [
        [v, *(_interval(found.sel(variant=v, measure=m)) for m in names)]
        for v in labels.strings(found["variant"].values)
    ]
    shown.table(6, "Each variant of sampling; intervals are over conditions.", Table(["variant", *names], rows))
    return found


def held_out(study: Study) -> list[str]:
    """Taps other than the block in which samples are compared: one on the way to it and one after it, if there are."""
    names = list(block_names(study.network))
    at = names.index(study.block)
    return [*names[max(at - 2, 0) : at][:1], *names[at + 1 : at + 2]]


def _interval(part: xr.Dataset) -> str:
    return interval_cell(*(part[name].item() for name in ("value", "low", "high")))


def sheet(study: Study, settings: Sampling, shown: Shown) -> None:
    """The sheet of built-in photographs, where they can be had in the network's bands."""
    bands, rows, _ = study.source.shape
    try:
        builtin = probekit.images.load("samples", size=rows)
    except ProbeError as error:
        study.say(f"no sheet of built-in photographs: {error}")
        return
    if builtin.shape != study.source.shape:
        study.say(f"no sheet of built-in photographs: they have {builtin.shape[0]} bands, the images {bands}")
        return
    first = [next(i for i, name in enumerate(builtin.ids) if name.startswith(word)) for word in SHOWN]
    with study.timed("sheet of built-in photographs"):
        found = variants.table(
            builtin.subset(first),
            denoiser=study.network,
            block=study.block,
            held_out=held_out(study),
            levels=settings.levels,
            seed=study.seed,
            store=study.out / "stores" / "variants-builtin",
            progress=study.progress,
        )
    picture = study.draw("variants-builtin", variants.sheet(found))
    shown.picture(6, picture, "Four built-in photographs, and samples by each variant of sampling")


def _concepts(study: Study, settings: Sampling, shown: Shown) -> None:
    """Ten selective channels, each held alone."""
    sigma = CONCEPTS_AT if np.isclose(study.sigma, CONCEPTS_AT).any() else study.sigma[0]
    data = study.middle(study.phi(study.network, "trained"))
    try:
        with study.timed("concepts"):
            found = concepts.analyse(
                study.source,
                data,
                denoiser=study.network,
                sigma=sigma,
                levels=settings.levels,
                seed=study.seed,
                store=study.out / "stores" / "concepts",
                progress=study.progress,
            )
    except InputError as error:
        study.say(f"no concepts: {error}")
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
        f"The {len(rows)} most selective channels of `{study.block}`, each held with the selective channels that its "
        "most exciting images raise besides, at what these images make of them: how far they came (median), and the "
        "probability that such a sample is nearer to its image than another sample is (½: no effect), by the channels "
        "held, by all other channels, and by a classifier that reads the concept from other channels; with 95 % "
        "intervals, and p of a permutation test after Holm's correction."
    )
    header = ["channels held", "reached", *(f"{w}, against {a}" for a, w in columns)]
    shown.table(6, said, Table(header, rows))
    if settings.pictures:
        shown.picture(6, study.draw("concepts", concepts.plot(found)), "Held concepts, exciting images and samples")


def _nearer(part: xr.Dataset) -> str:
    text = interval_cell(*(part[name].item() for name in ("nearer", "nearer_low", "nearer_high")))
    p = part["p_holm"].item()
    return f"{text}, p = {p:.2g}" if np.isfinite(p) else text


def _related(study: Study, settings: Sampling, shown: Shown) -> list[xr.Dataset]:
    """Distances between conditional laws against distances in φ and in pixels, by each measure.

    The criteria compare with pixels. Samples of an untrained network, which take longest of all, are left out;
    `variants.laws` makes them.
    """
    with study.timed("samples of conditional laws"):
        data = variants.laws(
            study.source,
            denoiser=study.network,
            block=study.block,
            n_images=settings.conditions,
            n_samples=settings.n_samples,
            levels=settings.levels,
            seed=study.seed,
            store=study.out / "stores" / "laws-trained",
            progress=study.progress,
        )
    found = [
        study.findings(f"densities-{measure}-trained", densities.analyse, data, {"measure": measure})
        for measure in MEASURES
    ]
    picture = study.draw("densities-trained", densities.plot(found[0]))
    shown.picture(7, picture, "Distances between conditional laws against distances in φ and in pixels")
    return found
