"""What training does to a block: the same numbers for the network as it was after every step that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses import selectivity, semantics, sparsity
from analyses.ground import Estimate, Findings, Kept, Variable, along, block_names, drawn_images, resampling
from probekit import checks, labels, tap
from probekit import images as image_sources
from probekit.capture.reductions import reduction
from probekit.checks import settle
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.evaluation.psnr import psnr_curve
from probekit.images import ImageSet
from probekit.machine.progress import at_work_on
from probekit.machine.weights import weights_sha256
from probekit.train import at_step, progress_of, steps_kept

if TYPE_CHECKING:
    from probekit.capture.reductions import Reduction

__all__ = ["FINDINGS", "Settings", "analyse"]

PLACE = ("step", "sigma", "block")
IMAGES = "images resampled"
FINDINGS = Findings(
    "training",
    {
        "participation_ratio": Variable(PLACE, "(Σ φ)²/(C Σ φ²), mean over images", interval=IMAGES),
        "fraction": Variable(
            ("step", "kind", "sigma", "block"),
            "share of channels shown to be of the type",
            interval="as `selectivity.analyse` gives it",
        ),
        "psnr": Variable(("step", "sigma"), "PSNR on the images", "dB"),
        "found_again": Variable(
            PLACE, "share of images found again by φ among all at the least noise level", interval=IMAGES, optional=True
        ),
        "same_label": Variable(
            (*PLACE, "distance"),
            "share of images whose nearest neighbour in φ has their label",
            interval="images, or groups of them, resampled",
            optional=True,
        ),
        "same_label_chance": Variable((), "the same by chance", optional=True),
    },
    coords={
        "step": "steps of training made",
        "kind": "type of channel",
        "block": "block, by the tap at its output",
        "distance": "distance between two images' φ",
    },
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is looked at after each step.

    Attributes
    ----------
    taps
        Names for `probekit.tap`; None for those that the network declares.
    sigma, draws
        Noise levels, in intensity units, and noise draws of φ.
    reduce
        As for `probekit.tap`: "relu_mean" for taps before a ReLU.
    steps
        Steps of those that were kept; None for all.
    averaged
        Whether the weights are the average that a run returns, or those of the step.
    n_images
        Images at most, drawn at random; None for all.
    clusters
        Coordinate along `image` whose groups are resampled whole where neighbours are counted, e.g. "label" for patches
        of one photograph; None if images are independent.
    resamples, level, seed
        Of the bootstrap, coverage of intervals; seed of all that is drawn.

    Raises
    ------
    InputError
        If one is out of its range.
    """

    taps: Sequence[str] | None = None
    sigma: float | Sequence[float] = (0.1, 0.3)
    draws: int = 8
    reduce: str | Reduction = "mean"
    steps: Sequence[int] | None = None
    averaged: bool = True
    n_images: int | None = 1000
    clusters: str | None = None
    resamples: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        settle(self)
        resampling(self.resamples, self.level, self.seed)
        checks.whole("draws", self.draws, least=1)
        reduction(self.reduce)
        checks.flag("averaged", self.averaged)
        object.__setattr__(self, "sigma", tuple(checks.noise_levels(self.sigma)))
        if self.taps is not None:
            wanted = "names for probekit.tap, or None for those that the network declares"
            object.__setattr__(self, "taps", tuple(checks.names("taps", self.taps, wanted)))
            if not self.taps:
                raise InputError(f"taps is empty: give {wanted}")
        if self.steps is not None:
            wanted = "steps that were kept, or None for all"
            steps = [checks.whole("steps", one, least=0) for one in checks.listed("steps", self.steps, wanted)]
            object.__setattr__(self, "steps", tuple(steps))
        if self.n_images is not None:
            checks.whole("n_images", self.n_images, least=1)
        if self.clusters is not None:
            checks.text("clusters", self.clusters, "the name of a coordinate along image, or None")


@FINDINGS.described
def analyse(
    denoiser: Denoiser,
    run: str | Path,
    images: Any,
    *,
    settings: Settings | None = None,
    store: str | Path | None = None,
) -> xr.Dataset:
    """Measure a network after every step of its training that was kept.

    Parameters
    ----------
    denoiser
        The network that was trained; its own weights do not matter.
    run
        Folder that `probekit.train.train` wrote into with `keep_every`.
    images
        Anything that `probekit.images.load` takes; with labels, neighbours of one label are counted.
    settings
        What is measured; `Settings()` by default.
    store
        Folder in which each step's findings are kept: a call that was stopped goes on, and one made again is quick.

    Returns
    -------
    Dataset
        {findings}

        Types of channel are those of `selectivity.analyse`; `found_again`, which needs two noise levels, is `top1` of
        `semantics.stability` by Euclidean distance, with noise that is shared by the levels; `same_label`, which needs
        labels, is `precision` of `semantics.neighbours` with k = 1. The attribute `batch_size` tells how many images a
        step saw.

    Raises
    ------
    InputError
        If the run kept no weights, or not those of a step asked for, or of another network; if there are too few images
        for one of the analyses.

    Examples
    --------
    >>> import tempfile
    >>> from probekit.models.unet import UNet
    >>> from probekit.train import Recipe, train
    >>> photographs = image_sources.load("samples", size=32).subset(range(40))
    >>> with tempfile.TemporaryDirectory() as run:
    ...     recipe = Recipe(steps=4, batch_size=4)
    ...     trained = train(UNet((4, 8)), photographs, recipe=recipe, out=run, keep_every=2, progress=False)
    ...     findings = analyse(trained, run, photographs, settings=Settings(taps=["mid"], draws=2, resamples=100))
    >>> findings.participation_ratio.sizes["step"], findings.step.values.tolist()
    (3, [0, 2, 4])
    """
    checks.instance("denoiser", denoiser, Denoiser, "a probekit.Denoiser")
    settings = Settings() if settings is None else checks.instance("settings", settings, Settings, "Settings, or None")
    known = steps_kept(run)
    if not known:
        raise InputError(f"{run} holds weights of no step: train with keep_every")
    steps = list(known if settings.steps is None else dict.fromkeys(settings.steps))
    absent = [step for step in steps if step not in known]
    if absent or not steps:
        what = f"step {absent[0]} was not kept in {run}" if absent else "steps is empty"
        raise InputError(f"{what}: give some of the {len(known)} steps from {known[0]} to {known[-1]}")
    source = drawn_images(image_sources.load(images), settings.n_images, settings.seed)
    kept = None if store is None else Kept(store, what="steps of training")
    # Which steps are asked for decides nothing of one.
    how = {one.name: getattr(settings, one.name) for one in fields(settings) if one.name != "steps"}
    rows = []
    for number, step in enumerate(sorted(steps), start=1):
        with at_work_on(f"step {step}, {number} of {len(steps)}"):
            then = at_step(denoiser, run, step, averaged=settings.averaged)
            if kept is None:
                rows.append(_row(then, source, settings))
            else:
                of = weights_sha256(then.model.state_dict()), source.fingerprint(), how
                rows.append(kept.made(f"{step:08d}", lambda then=then: _row(then, source, settings), *of))
    return _joined(rows, sorted(steps), progress_of(run)["recipe"]["batch_size"], denoiser, settings)


def _row(denoiser: Denoiser, images: ImageSet, settings: Settings) -> xr.Dataset:
    """What is found after one step."""
    drawn = {"resamples": settings.resamples, "level": settings.level, "seed": settings.seed}
    taps = settings.taps or block_names(denoiser)
    sigma = list(np.atleast_1d(settings.sigma))
    opened = tap(denoiser, *taps, reduce=settings.reduce)
    data = opened(images, sigma=sigma, draws=settings.draws, seed=settings.seed, progress=False)
    alone = data.drop_vars("label", errors="ignore")
    ratio = sparsity.analyse(alone, **drawn).sel(measure="participation_ratio", vector="phi", drop=True)
    types = selectivity.analyse(alone, **drawn)
    found = {
        **_with_ends(ratio, "sparsity", "participation_ratio"),
        **_with_ends(types, "fraction", "fraction"),
        "psnr": psnr_curve(denoiser, images, sigma=sigma, seed=settings.seed).mean("image"),
    }
    if len(sigma) > 1:
        again = semantics.stability(
            data, reference=min(sigma), among=len(images), distances=["euclidean"], clusters=settings.clusters, **drawn
        )
        found |= _with_ends(again.sel(noise="shared", distance="euclidean", drop=True), "top1", "found_again")
    if "label" in data.coords:
        near = semantics.neighbours(
            data, k=1, distances=["euclidean", "standardised"], clusters=settings.clusters, **drawn
        )
        found |= _with_ends(near, "precision", "same_label")
        found["same_label_chance"] = near["precision_chance"]
    return xr.Dataset({name: one.drop_attrs() for name, one in found.items()}, attrs={"taps": ", ".join(taps)})


def _with_ends(findings: xr.Dataset, name: str, new: str) -> dict[str, xr.DataArray]:
    return {f"{new}{end}": findings[f"{name}{end}"].reset_coords(drop=True) for end in ("", "_low", "_high")}


def _joined(
    rows: Sequence[xr.Dataset], steps: Sequence[int], batch_size: int, denoiser: Denoiser, settings: Settings
) -> xr.Dataset:
    """Findings along steps."""
    joined = xr.concat(rows, xr.Variable("step", list(steps)), join="exact", combine_attrs="override")
    values: dict[str, Any] = {}
    for name, variable in FINDINGS.variables.items():
        if name not in joined:
            continue
        ends = [
            joined[f"{name}{end}"].transpose(*variable.dims, missing_dims="ignore").values
            for end in (("", "_low", "_high") if variable.interval else ("",))
        ]
        values[name] = Estimate(*ends) if variable.interval else ends[0]
    if "same_label_chance" in values:
        # The same at every step.
        values["same_label_chance"] = values["same_label_chance"].flat[0]
    coords = {
        name: along(name, joined[name].values, FINDINGS.coords[name])
        for name in ("step", "kind", "block", "distance")
        if name in joined.coords
    }
    coords["sigma"] = along("sigma", joined["sigma"].values, labels.COORDINATES["sigma"], units="intensity")
    return FINDINGS.label(
        values,
        xr.Dataset(),
        coords=coords,
        denoiser=denoiser.name,
        batch_size=batch_size,
        draws=settings.draws,
        averaged=int(settings.averaged),
        clusters=settings.clusters,
        resamples=settings.resamples,
        level=settings.level,
        seed=settings.seed,
    )
