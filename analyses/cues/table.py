"""Cue conflict of a denoiser beside its untrained twins, pixels and gist, in colour and in equalised grey."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr
from torch import nn

from analyses.cues.analyse import DISTANCES, VARIABLES, analyse, metrics_of
from analyses.cues.exemplars import coded, named
from analyses.descriptors import descriptor, equalised
from analyses.ground import (
    Findings,
    along,
    as_network,
    block_names,
    drawn_images,
    folder_of,
    repeats,
    untrained_twins,
    workers_of,
)
from analyses.ground import resampling as checked_resampling
from probekit import checks, labels, tap
from probekit import images as image_sources
from probekit.capture.reductions import reduction
from probekit.machine.files import prepared
from probekit.phi.averages import noise_levels
from probekit.phi.job import beside, told_of

if TYPE_CHECKING:
    from distributed import Client

    from probekit.capture.reductions import Reduction
    from probekit.distribute import Workers

__all__ = ["TABLE", "TREATMENTS", "Settings", "table"]

TREATMENTS = ("as they are", "equalised grey")
DESCRIBED = ("pixels", "gist")
TABLE = Findings(
    "cues",
    {
        name: variable._replace(dims=("treatment", *variable.dims)) if variable.dims else variable
        for name, variable in VARIABLES.items()
    },
    coords={
        "treatment": "what was done to the images",
        "representation": "network or descriptor",
        "group": "what the representation is of",
        "block": "block, by the tap at its output",
        "distance": "distance between two images' representations",
    },
    source="cues.table",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a table is measured.

    Attributes
    ----------
    sigma, draws
        Noise levels, and noise draws of φ: ten, since with two the noise left in φ hides which image is the nearest.
    reduce
        What is made of the networks' maps, as for `probekit.tap`.
    n_images
        At most so many images, drawn at random; None for all.
    distances, resamples, level
        As for `analyse`.
    seed
        Of noise, untrained weights and resamples.

    Raises
    ------
    InputError
        If one is out of its range.
    """

    sigma: float | Sequence[float] = (0.1,)
    draws: int = 10
    reduce: str | Reduction = "mean"
    n_images: int | None = None
    distances: Sequence[str] = DISTANCES
    resamples: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        checks.settle(self)
        object.__setattr__(self, "sigma", tuple(noise_levels(self.sigma)))
        repeats("draws", self.draws, least=1)
        reduction(self.reduce)
        if self.n_images is not None:
            checks.whole("n_images", self.n_images, least=1)
        object.__setattr__(self, "distances", tuple(metrics_of(self.distances)))
        checked_resampling(self.resamples, self.level, self.seed)


@TABLE.described
def table(
    images: Any,
    denoiser: str | Path | nn.Module = "photo32",
    *,
    exemplars: xr.Dataset | None = None,
    settings: Settings | None = None,
    store: str | Path | None = None,
    client: Client | Workers | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Measure texture and shape of neighbours at every block of a denoiser, and of what it is compared with.

    Representations: the trained denoiser, which is the reference; the same network untrained, with gains of 1 and,
    where it has normalisations of this package, with gains as the paper's code draws them; pixels and gist of the same
    noisy images. Treatments: images as they are, and as `equalised` makes them: luminance, each image moved and scaled
    to mean 0.5 and standard deviation 0.15, so that neither colour nor contrast tells textures apart.

    Parameters
    ----------
    images
        Cue-conflict images: anything that `probekit.images.load` takes.
    denoiser
        Bundled name, path or module.
    exemplars
        As for `analyse`.
    settings
        How it is measured; by default as `Settings` has it.
    store
        Folder in which φ is kept: a call that was stopped goes on, and one made again is quick.
    client
        With `store`: whose workers measure φ, as for `controls.table`.
    progress
        Whether to show progress bars; by default only in a terminal.

    Returns
    -------
    Dataset
        {findings}

        Attr `twins`: the untrained networks that there can be, with "; " between them.

    Raises
    ------
    InputError
        As `analyse` raises; also if an image has no contrast.

    Examples
    --------
    >>> from analyses import cues
    >>> found = cues.table("cue-conflict.zip", "photo32")  # doctest: +SKIP
    """
    if settings is not None:
        checks.instance("settings", settings, Settings, "cues.Settings(…), or None")
    how = Settings() if settings is None else settings
    progress = None if progress is None else checks.flag("progress", progress)
    folder = folder_of(store)
    trained = as_network(denoiser)
    workers = told_of(workers_of(client, store), trained)
    source = drawn_images(image_sources.load(images), how.n_images, how.seed)
    known = named(source) if exemplars is None else exemplars
    # What cannot be compared is said before anything is measured.
    coded(known, labels.strings(source.ids))
    twins = untrained_twins(trained, seed=how.seed)
    networks = {"trained": ("trained", trained)} | {name: ("untrained", one) for name, one in twins.items()}
    if folder is not None:
        prepared(folder)
    found = []
    for treatment, treated in zip(TREATMENTS, (source, equalised(source)), strict=True):
        phi = {}
        rows = {name: (network, block_names(trained), how.reduce) for name, (_, network) in networks.items()}
        rows |= {kind: (descriptor(kind, treated), (kind,), "mean") for kind in DESCRIBED}
        for name, (network, taps, reduce) in rows.items():
            at = (
                None
                if folder is None
                else folder / f"{name} {treatment}.zarr".replace(",", "").replace("'", "").replace(" ", "-")
            )
            read = tap(network, *taps, reduce=reduce)
            with warnings.catch_warnings():
                # One standard deviation for all images takes the brightest pixels of some out of the network's range.
                warnings.filterwarnings("ignore", "images of .* equalised reach", UserWarning)
                noise = {"sigma": how.sigma, "draws": how.draws, "seed": how.seed}
                data = read(treated, **noise, store=at, client=beside(workers, network), progress=progress)
            phi[name] = data[["phi"]].load()
        options = {"resamples": how.resamples, "level": how.level, "seed": how.seed}
        found.append(analyse(phi, exemplars=known, distances=how.distances, **options))
    measured = [str(name) for name, one in found[0].items() if one.dims]
    joined = xr.concat(found, "treatment", data_vars=measured, combine_attrs="override", join="exact", coords="minimal")
    groups = [group for group, _ in networks.values()] + ["descriptor"] * len(DESCRIBED)
    return joined.assign_coords(
        treatment=along("treatment", TREATMENTS, TABLE.coords["treatment"]),
        group=along("representation", groups, TABLE.coords["group"]),
    ).assign_attrs(image_source=source.name, taps=", ".join(block_names(trained)), twins="; ".join(twins))
