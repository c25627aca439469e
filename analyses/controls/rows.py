"""The rows of a table of controls: each number with its interval, and paired over images with the reference's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses import clusters, descriptors, probe, semantics
from analyses.controls.sources import Measured
from analyses.ground import Estimate, Findings, Variable, estimated_mean
from probekit import labels

__all__ = [
    "FINDINGS",
    "MEASURES",
    "OF_NO_CLASS",
    "PERMUTATIONS",
    "Alone",
    "Beside",
    "Numbers",
    "Plan",
    "Settings",
    "rows",
]

PERMUTATIONS = 999
ROUNDING = 1e-6
FOUND_FROM = 0.1
DESCRIBED = ("gist", "colour")
# Images that descriptors are to predict φ of, at most: the time grows as their cube. Of a class, at least.
BEYOND_IMAGES, LEAST_IMAGES, LEAST_OF_CLASS = 1000, 20, 3
DIMS = ("row", "sigma", "measure")
PAIRED = "paired over images"
FINDINGS = Findings(
    "controls",
    {
        "value": Variable(DIMS, "the measure"),
        "low": Variable(DIMS, "the measure: lower end of its interval over images"),
        "high": Variable(DIMS, "the measure: upper end of its interval over images"),
        "difference": Variable(DIMS, "the measure less that of the trained block compared with", interval=PAIRED),
        "chance": Variable(DIMS, "the measure by chance"),
        "p": Variable(
            DIMS, "p-value of no relation by permutations of images, two-sided, or by random signs, one-sided"
        ),
    },
    coords={
        "row": "network and block, or descriptor",
        "source": "network or descriptor",
        "block": "block, by the tap at its output",
        "group": "what the source is",
        "measure": "what is measured",
    },
    source="controls.table",
)


class Settings(NamedTuple):
    """How the numbers of a table are made.

    Attributes
    ----------
    statistic
        Of correlations: "spearman", "pearson" or "distance_correlation".
    among
        Number of images among which one is searched for.
    pairs_images
        At most so many images are correlated over, in pairs.
    n_clusters
        By default the number of classes, or a tenth of that of images if this is less: equal for all rows.
    penalties, tuning_images
        Of the probe; see `probe.analyse`.
    resamples, level
        Of the bootstraps over images, and coverage of intervals.
    """

    statistic: str = "spearman"
    among: int = 1000
    pairs_images: int = 500
    n_clusters: int | None = None
    penalties: Sequence[float] = (1.0, 0.1, 0.01, 0.001)
    tuning_images: int = 2000
    resamples: int = 1000
    level: float = 0.95


class Plan(NamedTuple):
    """What all rows are made by: settings, what distances are correlated with, the seed of all drawn, and measures."""

    settings: Settings
    others: Mapping[str, Any]
    seed: int
    measures: tuple[str, ...]

    @property
    def bootstraps(self) -> dict[str, Any]:
        """Options of the bootstraps over images."""
        return {"resamples": self.settings.resamples, "level": self.settings.level, "seed": self.seed}

    @property
    def of_clusters(self) -> dict[str, Any]:
        """The same of clusters, each of which takes long."""
        return {**self.bootstraps, "resamples": 200}


@dataclass(frozen=True)
class Alone:
    """A source by itself, and what is found of it once it is asked for."""

    measured: Measured
    plan: Plan

    @cached_property
    def per_image(self) -> xr.Dataset:
        """Whether images are found again, and share the class of their nearest."""
        data = self.measured.data
        return semantics.per_image(
            data,
            reference=found_from(data["sigma"].values),
            among=self.plan.settings.among,
            label="label" if "label" in data.coords else None,
            distances=["euclidean"],
            seed=self.plan.seed,
        )

    @cached_property
    def clusters(self) -> xr.Dataset:
        """Clusters against classes."""
        data, count = self.measured.data[["phi"]], self.plan.settings.n_clusters
        return clusters.analyse(data, n_clusters=count, n_init=3, **self.plan.of_clusters)

    @cached_property
    def probe(self) -> xr.Dataset | None:
        """Classes read by a linear probe, where there are training images."""
        if self.measured.train is None:
            return None
        settings = self.plan.settings
        return probe.analyse(
            self.measured.train,
            self.measured.data,
            penalties=settings.penalties,
            tuning_images=settings.tuning_images,
            **self.plan.bootstraps,
        )

    @cached_property
    def predictions(self) -> descriptors.Predictions | None:
        """What gist and colour tell of classes and of φ here, for the φ of all sources; None of too few images.

        Of 1,000 images at most, and of classes of three of them at least.
        """
        data, plan = self.measured.data, self.plan
        ids = data["image"].values
        drawn = np.random.default_rng(plan.seed).permutation(len(ids))[:BEYOND_IMAGES]
        # Of classes of which fewer were drawn nothing can be told.
        _, of, count = np.unique(labels.strings(data["label"].values)[drawn], return_inverse=True, return_counts=True)
        ids = np.sort(ids[drawn[count[of] >= LEAST_OF_CLASS]])
        if len(ids) < LEAST_IMAGES or (count >= LEAST_OF_CLASS).sum() < 2:
            return None
        here = data[["phi"]].sel(image=ids)
        named = {name: plan.others[name].sel(image=ids) for name in DESCRIBED}
        return descriptors.Predictions(here, named, against=here, seed=plan.seed)


@dataclass(frozen=True)
class Beside:
    """A source and the reference, a source of one block, and what is found of both together once it is asked for."""

    own: Alone
    reference: Alone
    plan: Plan

    @cached_property
    def correlations(self) -> xr.Dataset:
        """Correlations of distances with those in class, gist and colour."""
        return _correlated(self.own.measured, self.reference.measured, self.plan)

    @cached_property
    def clusters(self) -> xr.Dataset:
        """The difference of the clusters."""
        return clusters.compare(self.own.clusters, self.reference.clusters, **self.plan.of_clusters)

    @cached_property
    def probe(self) -> xr.Dataset | None:
        """The difference of the probes, where there are any."""
        if self.own.probe is None or self.reference.probe is None:
            return None
        return probe.compare(self.own.probe, self.reference.probe, **self.plan.bootstraps)


class Numbers(NamedTuple):
    """A measure of a source, (sigma, block): its difference from the reference, its level by chance, a p-value."""

    value: Estimate
    difference: Estimate
    chance: Any
    p: Any = np.nan


UNKNOWN = Numbers(Estimate(np.nan, np.nan, np.nan), Estimate(np.nan, np.nan, np.nan), np.nan)


def rows(source: Measured, reference: Alone, plan: Plan) -> xr.Dataset:
    """The rows of a source: one for each of its blocks, of every measure that the plan has.

    Parameters
    ----------
    source
        φ of the source.
    reference
        What the source is compared with, of one block, on the same images.
    plan
        How; `n_clusters` of the settings is a number.

    Returns
    -------
    Dataset
        As `controls.table` returns, of these rows.
    """
    beside = Beside(Alone(source, plan), reference, plan)
    found = {name: numbers for name in plan.measures if (numbers := MEASURES[name](beside)) is not None}
    blocks = labels.blocks(source.data)
    shape = source.data.sizes["sigma"], len(blocks)

    def stacked(part: Callable[[Numbers], Any]) -> np.ndarray:
        # (measure, sigma, block) to (row, sigma, measure), a row being a block.
        return np.stack([np.broadcast_to(part(numbers), shape) for numbers in found.values()]).transpose(2, 1, 0)

    of, settings = source.source, plan.settings._asdict()
    values = {
        **{name: stacked(lambda n, i=i: n.value[i]) for i, name in enumerate(("value", "low", "high"))},
        "difference": Estimate(*(stacked(lambda n, i=i: n.difference[i]) for i in range(3))),
        "chance": stacked(lambda n: n.chance),
        "p": stacked(lambda n: n.p),
    }
    coords = {
        "row": [of.row(block) for block in blocks],
        "source": ("row", [of.name] * len(blocks)),
        "block": ("row", blocks),
        "group": ("row", [of.group] * len(blocks)),
        "measure": list(found),
    }
    return FINDINGS.label(
        values,
        xr.Dataset(
            coords={"sigma": source.data["sigma"].variable},
            attrs={"probekit_version": source.data.attrs["probekit_version"]},
        ),
        coords=coords,
        images=source.data.sizes["image"],
        train_images=0 if source.train is None else source.train.sizes["image"],
        draws=source.data.attrs["draws"],
        # The first source's is kept: that of the networks.
        reduce=source.data.attrs["reduce"],
        analysis_seed=plan.seed,
        permutations=PERMUTATIONS,
        **settings,
    )


def found_from(sigma: np.ndarray) -> float:
    """The noise level at which images are looked for: 0.1, as the paper's, or the least where there is no such."""
    near = np.flatnonzero(np.isclose(sigma, FOUND_FROM))
    return float(sigma[near[0]] if len(near) else sigma.min())


def _correlated(own: Measured, reference: Measured, plan: Plan) -> xr.Dataset:
    """Correlations of distances with those in class, gist and colour; of a descriptor with itself none."""
    settings, data = plan.settings, own.data[["phi"]]
    others = {name: other for name, other in plan.others.items() if name != own.source.name}
    described = [name for name in DESCRIBED if name in others]
    given = [("colour",)] * ("colour" in described) + [tuple(described)] * (len(described) > 1)
    with warnings.catch_warnings():
        # Where φ does not vary, correlations are NaN, and the table says so.
        warnings.simplefilter("ignore", RuntimeWarning)
        return semantics.correlate(
            data,
            others,
            given=given,
            distances=["euclidean"],
            statistics=[settings.statistic],
            controls={"reference": reference.data[["phi"]]},
            permutations=PERMUTATIONS,
            max_images=settings.pairs_images,
            level=settings.level,
            seed=plan.seed,
        ).isel(distance=0, statistic=0, control=0)


def _mean_of_images(name: str, beside: Beside) -> Numbers:
    """Numbers of `semantics.per_image`, as `semantics` itself averages them: images are in the order of ids."""
    own, reference = (_with_independent_noise(one.per_image) for one in (beside.own, beside.reference))
    used = own["group"].values >= 0 if name == "top1" else slice(None)
    how = beside.plan.bootstraps
    values = own[name].values[used]
    less = values - reference[name].values[used]
    chance = own[f"{name}_chance"].item()
    # Of the reference itself pairs are the same, and nothing is open.
    paired, open_ = estimated_mean(less, **how), estimated_mean(less, span=(-1, 1), **how)
    itself = _is_reference(beside)
    difference = Estimate(*(np.where(itself, *both) for both in zip(paired, open_, strict=True)))
    return Numbers(estimated_mean(values, span=(0, 1), **how), difference, chance)


def _with_independent_noise(per_image: xr.Dataset) -> xr.Dataset:
    """The only distance, and of noises independent noise where it is known: shared noise makes it easier."""
    return per_image.isel(distance=0, noise=-1)


def _correlation(other: str, given: str, beside: Beside) -> Numbers | None:
    if other not in beside.plan.others:
        return None
    found = beside.correlations
    if other not in found["other"].values or given not in found["given"].values:
        return UNKNOWN
    one = found.sel(other=other, given=given).transpose("sigma", "block")
    value = Estimate(*(one[f"correlation{end}"].values for end in ("", "_low", "_high")))
    difference = Estimate(*(one[f"difference{end}"].values for end in ("", "_low", "_high")))
    return _exact(Numbers(value, difference, 0.0, one["p_permutation"].values), beside)


def _beyond(beside: Beside) -> Numbers | None:
    """What φ says of the class that gist and colour do not; of these two themselves nothing is asked."""
    own, predictions = beside.own.measured, beside.reference.predictions
    if own.source.name in DESCRIBED or predictions is None:
        return UNKNOWN
    data = own.data[["phi"]].sel(image=predictions.images)
    found = predictions.beyond(data, permutations=PERMUTATIONS, level=beside.plan.settings.level)
    return _exact(_of_place("correlation", found), beside)


def _separation(beside: Beside) -> Numbers | None:
    """How far the means of classes lie apart; unknown where a class has too few images."""
    own, reference, plan = beside.own.measured, beside.reference.measured, beside.plan
    if np.unique(labels.strings(own.data["label"].values), return_counts=True)[1].min() < LEAST_OF_CLASS:
        return UNKNOWN
    level, seed = plan.settings.level, plan.seed
    found = clusters.separation(
        own.data[["phi"]], against=reference.data[["phi"]], permutations=PERMUTATIONS, level=level, seed=seed
    )
    return _exact(_of_place("separation", found), beside)


def _of_place(name: str, found: xr.Dataset) -> Numbers:
    """A number (sigma, block) and its difference from the reference, as findings have them."""
    one = found.transpose("sigma", "block", ...)
    value, difference = (
        Estimate(*(one[f"{of}{end}"].values for end in ("", "_low", "_high"))) for of in (name, "difference")
    )
    return Numbers(value, difference, 0.0, one["p_value"].values)


def _exact(numbers: Numbers, beside: Beside) -> Numbers:
    """Differences from the reference, of the reference itself 0 exactly, and not only up to rounding."""
    known = _is_reference(beside) & (np.abs(numbers.difference.value) < ROUNDING)
    return numbers._replace(difference=Estimate(*(np.where(known, 0.0, part) for part in numbers.difference)))


def _is_reference(beside: Beside) -> np.ndarray:
    """Which blocks have the very φ of the reference, (block)."""
    own, reference = beside.own.measured.data, beside.reference.measured.data
    (only,) = labels.sites(reference.isel(sigma=[0]))
    against = reference["phi"].transpose("sigma", "image", "channel").values[:, :, only.channels]
    phi = own["phi"].transpose("sigma", "image", "channel").values
    every = labels.sites(own.isel(sigma=[0]))
    return np.array([np.array_equal(phi[:, :, site.channels], against) for site in every])


def _of_clusters(name: str, beside: Beside) -> Numbers:
    own = beside.own.clusters
    chance = own[f"{name}_chance"].transpose("sigma", "block").values
    return Numbers(*_of_findings(own, beside.clusters, name), chance)


def _of_probe(name: str, beside: Beside) -> Numbers | None:
    if beside.own.probe is None or beside.probe is None:
        return None
    chance = float(beside.own.probe["chance"])
    return _exact(Numbers(*_of_findings(beside.own.probe, beside.probe, name), chance), beside)


def _of_findings(own: xr.Dataset, against: xr.Dataset, name: str) -> tuple[Estimate, Estimate]:
    """A number that its own analysis gives with intervals, and its difference from the reference."""
    ends = ("", "_low", "_high")
    value = Estimate(*(own[name + end].transpose("sigma", "block").values for end in ends))
    less = against.isel(other_block=0)
    return value, Estimate(*(less[name + end].transpose("sigma", "block").values for end in ends))


# What is measured of images of no class.
OF_NO_CLASS = ("stability",)
# From the name of a measure to what gives it; None where the plan has nothing to make it of.
MEASURES: dict[str, Callable[[Beside], Numbers | None]] = {
    "stability": partial(_mean_of_images, "top1"),
    "precision": partial(_mean_of_images, "precision"),
    "correlation: label": partial(_correlation, "label", "nothing"),
    "correlation: classes": partial(_correlation, "classes", "nothing"),
    "correlation: gist": partial(_correlation, "gist", "nothing"),
    "correlation: colour": partial(_correlation, "colour", "nothing"),
    "correlation: gist given colour": partial(_correlation, "gist", "colour"),
    "correlation: label given gist and colour": partial(_correlation, "label", "gist+colour"),
    "correlation: label beyond gist and colour": _beyond,
    "separation: label": _separation,
    "nmi": partial(_of_clusters, "nmi"),
    "ami": partial(_of_clusters, "ami"),
    "accuracy": partial(_of_probe, "accuracy"),
}
