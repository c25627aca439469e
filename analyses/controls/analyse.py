"""Does it need training? The same numbers for the trained denoiser and all that it is compared with."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import nn

from analyses import descriptors
from analyses.controls.rows import (
    FINDINGS,
    MEASURES,
    OF_NO_CLASS,
    PERMUTATIONS,
    Alone,
    Plan,
    Settings,
    found_from,
    rows,
)
from analyses.controls.sources import Alike, Measured, Source, balanced, check_sets, measured, sources
from analyses.ground import TWINS, Kept, as_network, folder_of, repeats, resampling, workers_of
from analyses.probe import check_tuning, penalties_of
from analyses.semantics import STATISTICS, class_distances, class_table
from probekit import checks, labels
from probekit import images as image_sources
from probekit.capture.reductions import reduction
from probekit.errors import InputError
from probekit.machine.files import prepared
from probekit.phi.averages import noise_levels
from probekit.phi.job import told_of

if TYPE_CHECKING:
    from distributed import Client

    from probekit.capture.reductions import Reduction
    from probekit.distribute import Workers
    from probekit.images import ImageSet

__all__ = ["DRAWS", "table"]

# Ten a side, without which claim 2 is not judged.
DRAWS = 20

MIN_IMAGES = 40
MADE_OF = "made_of"


@FINDINGS.described
def table(
    images: Any,
    *,
    train: Any = None,
    classes: xr.DataArray | pd.DataFrame | str | Path | None = None,
    denoiser: str | Path | nn.Module = "photo32",
    block: str = "mid",
    sigma: float | Sequence[float] = (0.1, 0.2, 0.5),
    draws: int = DRAWS,
    reduce: str | Reduction = "mean",
    untrained: int = 3,
    further: Sequence[Source] = (),
    measures: Sequence[str] | None = None,
    n_images: int | None = 2000,
    n_train: int | None = 5000,
    settings: Settings | None = None,
    store: str | Path | None = None,
    seed: int = 0,
    client: Client | Workers | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Measure stability, semantics, clusters and probe of every block and every control, on the same noisy images.

    Rows: each block of the trained denoiser; one block of the same network with fresh weights, under several seeds,
    with gains of 1 and, beside the same convolutions, with gains as the paper's code draws them (where the network has
    normalisations of this package); pixels, principal components of pixels, colour statistics and gist of the same
    noisy images, averaged over the same draws as φ; of images in colour also every third layer of the bundled network
    without down-sampling, and `mid` of the bundled network that is told σ. All are compared with that block of the
    trained network, paired over images:
    whether training is needed is answered by the `difference` of the untrained rows, both groups of them.

    Parameters
    ----------
    images
        Images with classes, of which "stability" alone has no need: anything that `probekit.images.load` takes.
    train
        Other images of the same classes, on which the probe and the principal components are fitted. Without, there
        is no accuracy, and the components are those of `images`.
    classes
        Distances between classes, as in `semantics.correlate`: a square table or a CSV file of hypernyms.
    denoiser
        Bundled name, path or module.
    block
        The tap that all else is compared with; the network declares it.
    sigma, draws
        Noise levels and draws. With two draws or more an image is searched for under independent noise; with fewer than
        20, which make 10 a side, noise loses images, and claim 2 is not judged.
    reduce
        What is made of the networks' maps, as for `probekit.tap`: "relu_mean" for taps before a ReLU.
    untrained
        Number of untrained twins with gains of 1, and with the paper's.
    further
        More rows: `Source` of one's own.
    measures
        Some of those below; by default all that the images given allow. Only what they need is made.
    n_images, n_train
        At most so many, drawn at random with classes keeping their shares; None for all.
    settings
        How the numbers are made; by default as `Settings` has it.
    store
        Folder in which φ and the numbers of each source are kept: a call that was stopped goes on, and one made
        again is quick. Refused if begun with other images, noise or draws; numbers made to other settings are made
        again.
    seed
        Of everything drawn.
    client
        With `store`: whose workers measure φ, as for calling a tap; `probekit.Workers` says how they load `denoiser`,
        and networks beside it are made of it or sent to them.
    progress
        Whether to show progress bars; by default only in a terminal.

    Returns
    -------
    Dataset
        {findings}

        Measures: "stability" (top-1 rate of finding an image at σ = 0.1, else the least, as `semantics.stability`),
        "precision" (share of the 10 nearest with the image's class, as `semantics.neighbours`), "correlation: …" of
        distances with those in class ("label"), "classes", "gist" and "colour" of the clean images, also given others,
        whose `p` is of 999 permutations (see `semantics.correlate`); "correlation: label beyond gist and colour" of up
        to 1,000 images (see `descriptors.beyond`) and "separation: label" (see `clusters.separation`; NaN where a class
        has fewer than 3 images), whose `p` is of 999 random signs; "nmi", "ami" of k-means clusters with classes;
        "accuracy" of the linear probe. A descriptor is not correlated with itself (NaN). Intervals are over images,
        the networks being as they are: what another training would give is not in them.

    Raises
    ------
    InputError
        If classes are missing or one, ids are in both sets, the training images lack a class, images are too few, or
        an option is out of its range.

    Examples
    --------
    >>> from analyses import controls
    >>> found = controls.table("val.zip", train="train.zip", store="stores")  # doctest: +SKIP
    """
    levels = noise_levels(sigma)
    checks.text("block", block, "the name of a tap, such as 'mid'")
    draws = repeats("draws", draws, least=1)
    untrained = repeats("untrained", untrained, least=0)
    progress = None if progress is None else checks.flag("progress", progress)
    n_images = None if n_images is None else checks.whole("n_images", n_images, least=1)
    n_train = None if n_train is None else checks.whole("n_train", n_train, least=1)
    reduction(reduce)
    settings = _checked(Settings() if settings is None else settings, seed)
    more = _further(further)
    folder, workers = folder_of(store), workers_of(client, store)
    measured_on, fitted_on = image_sources.load(images), None if train is None else image_sources.load(train)
    wanted = _measures(measures, fitted_on)
    if fitted_on is None and set(wanted) <= set(OF_NO_CLASS):
        measured_on = replace(measured_on, labels=None)
    else:
        check_sets(measured_on, fitted_on)
    named = {"image_source": measured_on.name} | ({} if fitted_on is None else {"train_source": fitted_on.name})
    measured_on = balanced(measured_on, n_images, seed)
    if fitted_on is not None:
        fitted_on = balanced(fitted_on, n_train, seed)
        check_sets(measured_on, fitted_on)
    if len(measured_on) < MIN_IMAGES:
        raise InputError(
            f"{len(measured_on)} images: give {MIN_IMAGES} at least, and some hundred for narrow intervals"
        )
    if fitted_on is not None and len(settings.penalties) > 1:
        names, y = np.unique(labels.strings(fitted_on.labels or ()), return_inverse=True)
        check_tuning(y, names, settings.tuning_images, seed)
    others = {} if measured_on.labels is None else _others(measured_on, classes)
    plan = Plan(_with_clusters(settings, measured_on), others, seed, wanted)
    trained = as_network(denoiser)
    workers = told_of(workers, trained)
    drawn = {"untrained": untrained, "seed": seed, "reduce": reduce, "folder": folder}
    every = [*sources(measured_on, train=fitted_on, denoiser=trained, block=block, **drawn), *more]
    if len({source.name for source in every}) < len(every):
        raise InputError("two sources have one name: give those under further= names of their own")
    noise = {"sigma": levels, "draws": draws, "seed": seed}
    if folder is not None:
        prepared(folder)

    def phi(source: Source) -> Measured:
        own = _own_folder(folder, source)
        return measured(source, measured_on, fitted_on, noise=noise, folder=own, workers=workers, progress=progress)

    parts = _rows_of_all(every, block, phi, plan, folder)
    merged = xr.concat(parts, "row", combine_attrs="override", join="outer")
    merged.attrs.pop(MADE_OF, None)
    found = set(labels.strings(merged["group"].values))
    named["untrained_controls"] = "; ".join(twin for twin in TWINS if twin in found)
    if "stability" in wanted:
        merged.attrs["stability_sigma"] = found_from(np.asarray(levels, float))
        merged.attrs["stability_among"] = min(plan.settings.among, len(measured_on))
        # Those of one level and of another are disjoint halves.
        merged.attrs["stability_draws"] = max(1, draws // 2)
        merged.attrs["stability_noise"] = "independent" if draws > 1 else "shared"
    return merged.assign_attrs(reference=every[0].row(block), **named)


def _rows_of_all(every: Sequence[Source], block: str, phi: Any, plan: Plan, folder: Path | None) -> list[xr.Dataset]:
    """The rows of each source, kept in its folder; the block of the first is what all are compared with."""
    first = phi(every[0])
    middle = first.block(block)

    @cache
    def reference() -> Alone:
        # Made only where rows are not there already.
        return Alone(middle, plan)

    parts = []
    for source in every:
        try:
            one = first if source is every[0] else phi(source)
        except Alike as error:
            # Without running deviations of its own a deep network of tiny gains gives nothing at all.
            if TWINS.get(source.group) != "paper":
                raise
            warnings.warn(str(error).replace("leave this row out", "this row is left out"), stacklevel=3)
            continue
        make = partial(_rows, one, reference, plan)
        own = _own_folder(folder, source)
        if own is None:
            parts.append(make())
            continue
        how = (plan.settings, plan.seed, PERMUTATIONS, plan.measures, source.name, source.group)
        parts.append(Kept(own).made("numbers", make, one.data, one.train, middle.data, middle.train, plan.others, *how))
    return parts


def _rows(source: Measured, reference: Any, plan: Plan) -> xr.Dataset:
    return rows(source, reference(), plan)


def _own_folder(folder: Path | None, source: Source) -> Path | None:
    return None if folder is None else folder / re.sub("[ ,']+", "-", source.name)


def _checked(settings: Any, seed: int) -> Settings:
    """Settings in range, or an error before anything is measured."""
    if not isinstance(settings, Settings):
        raise InputError(f"{checks.given('settings', settings)}: give controls.Settings(…), or None")
    settings = Settings._make(map(checks.plain, settings))
    resampling(settings.resamples, settings.level, seed)
    checks.choice("statistic", settings.statistic, STATISTICS)
    checks.whole("among", settings.among, least=2)
    checks.whole("pairs_images", settings.pairs_images, least=20)
    checks.whole("tuning_images", settings.tuning_images, least=3)
    if settings.n_clusters is not None:
        checks.whole("n_clusters", settings.n_clusters, least=1)
    return settings._replace(penalties=penalties_of(settings.penalties))


def _measures(measures: Any, train: ImageSet | None) -> tuple[str, ...]:
    """Names of measures, in the order in which a table has them."""
    if measures is None:
        return tuple(MEASURES)
    chosen = checks.names("measures", measures, f"some of {', '.join(MEASURES)}")
    if not chosen:
        raise InputError(f"measures is empty: give some of {', '.join(MEASURES)}")
    for one in chosen:
        checks.choice("measures", one, tuple(MEASURES))
    if "accuracy" in chosen and train is None:
        raise InputError("measures has 'accuracy', which needs images to train on: give train=, or leave it out")
    return tuple(name for name in MEASURES if name in chosen)


def _further(further: Any) -> list[Source]:
    wanted = "a list of controls.Source, or ()"
    # A Source is a tuple too.
    found = [further] if isinstance(further, Source) else checks.listed("further", further, wanted)
    if isinstance(further, Source) or not all(isinstance(one, Source) for one in found):
        raise InputError(f"{checks.given('further', further)}: give {wanted}")
    return [one.checked() for one in found]


def _with_clusters(settings: Settings, images: ImageSet) -> Settings:
    count = settings.n_clusters
    if count is None:
        count = min(len(set(images.labels or ())), max(2, len(images) // 10))
    if count > len(images):
        raise InputError(f"n_clusters={count} of {len(images)} images: give {len(images)} at most")
    return settings._replace(n_clusters=count)


def _others(images: ImageSet, classes: Any) -> Mapping[str, Any]:
    """What distances are correlated with."""
    found: dict[str, Any] = {"label": "label"}
    if classes is not None:
        between = classes if isinstance(classes, xr.DataArray | pd.DataFrame) else class_distances(classes)
        names = np.unique(labels.strings(images.labels or ()))
        coords = {"label": names, "other_label": names}
        found["classes"] = xr.DataArray(class_table(between, names), coords, ("label", "other_label"))
    return found | {"gist": descriptors.gist(images), "colour": descriptors.colour(images)}
