"""The numbers of a table of controls: each with its interval, and paired over images with a reference."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses import clusters, probe, semantics
from analyses.ground import interval, resampled_means
from analyses.semantics import kernels_neighbours as _neighbours
from probekit import labels
from probekit.errors import InputError

__all__ = ["FIELDS", "PERMUTATIONS", "Settings", "Subject", "correlations", "measures"]

FIELDS = ("value", "low", "high", "difference", "difference_low", "difference_high", "chance", "p")
NEIGHBOURS = 10
PERMUTATIONS = 999


class Settings(NamedTuple):
    """How numbers are made; see `controls.table`."""

    others: Mapping[str, Any]
    statistic: str
    among: int
    pairs_images: int
    n_clusters: int
    penalties: tuple[float, ...]
    tuning_images: int
    resamples: int
    level: float
    seed: int


class Subject:
    """φ of one source, and what is found once for it: per image where differences are paired."""

    def __init__(self, name: str, data: xr.Dataset, train: xr.Dataset | None, settings: Settings) -> None:
        self.name, self.data, self.train, self.settings = name, data, train, settings
        self.blocks = list(dict.fromkeys(map(str, data["tap"].values)))

    def block(self, name: str) -> Subject:
        """The same of one tap."""

        def part(data: xr.Dataset) -> xr.Dataset:
            return data.isel(channel=np.flatnonzero(labels.strings(data["tap"].values) == name))

        return Subject(self.name, part(self.data), None if self.train is None else part(self.train), self.settings)

    @cached_property
    def found_again(self) -> np.ndarray:
        """Whether each image is nearest to itself at the least noise level, (image, sigma, block); NaN if left out.

        Noise is independent where draws were kept, as in `semantics.stability`.
        """
        data, n = self.data, min(self.settings.among, self.data.sizes["image"])
        # As many groups of n as there are; the rest is left out.
        order = np.random.default_rng(self.settings.seed).permutation(data.sizes["image"])
        groups = np.sort(order[: len(order) // n * n].reshape(-1, n), axis=1)
        sides = [(data["phi"].values, data["phi"].values)]
        if data.sizes.get("draw", 0) > 1:
            halves = [data["phi_draws"].values[:, :, k::2].mean(axis=2) for k in (0, 1)]
            sides = [(halves[0], halves[1]), (halves[1], halves[0])]
        at, found = (
            int(data["sigma"].values.argmin()),
            np.full((len(order), data.sizes["sigma"], len(self.blocks)), np.nan),
        )
        for (query, key), (s, b, columns) in ((side, site) for side in sides for site in self._sites()):
            for rows in groups:
                nearer, equal = _neighbours.ranks(query[rows][:, s, columns], key[rows][:, at, columns])
                hit = (nearer == 0) / (1 + equal) / len(sides)
                found[rows, s, b] = np.nan_to_num(found[rows, s, b]) + hit
        return found

    @cached_property
    def precision(self) -> tuple[np.ndarray, float]:
        """Share of the ten nearest images with the image's class, (image, sigma, block), and its level by chance."""
        s = self.settings
        k = min(NEIGHBOURS, self.data.sizes["image"] - 1)
        found = semantics.neighbours(
            self.data[["phi"]], k=k, label="label", distances=["euclidean"], resamples=100, level=s.level, seed=s.seed
        )
        index = found["neighbor_index"].isel(distance=0).transpose("image", "sigma", "block", "neighbor").values
        classes = labels.strings(self.data["label"].values)
        return (classes[index] == classes[:, None, None, None]).mean(axis=-1), float(found["precision_chance"])

    @cached_property
    def clusters(self) -> xr.Dataset:
        """Clusters, as many as asked for."""
        s = self.settings
        return clusters.analyse(
            self.data[["phi"]], n_clusters=s.n_clusters, n_init=3, level=s.level, resamples=200, seed=s.seed
        )

    @cached_property
    def probe(self) -> xr.Dataset:
        """The linear probe's answers."""
        if self.train is None:
            raise InputError("there are no training images to fit a probe on: give train=")
        s = self.settings
        return probe.analyse(
            self.train,
            self.data,
            penalties=s.penalties,
            tuning_images=s.tuning_images,
            resamples=s.resamples,
            level=s.level,
            seed=s.seed,
        )

    def _sites(self) -> Iterator[tuple[int, int, np.ndarray]]:
        taps = labels.strings(self.data["tap"].values)
        for b, block in enumerate(self.blocks):
            for s in range(self.data.sizes["sigma"]):
                yield s, b, np.flatnonzero(taps == block)


def measures(subject: Subject, reference: Subject) -> dict[str, np.ndarray]:
    """By measure, the fields (field, sigma, block), of a subject beside a reference of one block.

    Without training images there is no accuracy. Pairs of images are never resampled with their own copies.
    """
    settings = subject.settings
    found = {
        "stability": _per_image(
            subject.found_again,
            reference.found_again,
            1 / min(settings.among, subject.data.sizes["image"]),
            settings,
        ),
        "precision": _per_image(subject.precision[0], reference.precision[0], subject.precision[1], settings),
    }
    found |= correlations(subject, reference)
    own = subject.clusters
    against = clusters.compare(own, reference.clusters, resamples=200, level=settings.level, seed=settings.seed)
    for name in ("nmi", "ami"):
        found[name] = _of_findings(own, against, name, own[f"{name}_chance"].values)
    if subject.train is not None:
        answers = subject.probe
        against = probe.compare(
            answers, reference.probe, resamples=settings.resamples, level=settings.level, seed=settings.seed
        )
        found["accuracy"] = _of_findings(answers, against, "accuracy", float(answers["chance"]))
    return found


def _per_image(own: np.ndarray, reference: np.ndarray, chance: float, settings: Settings) -> np.ndarray:
    """Fields of the mean over images of values (image, sigma, block)."""
    fields = [own, own - reference]
    made = []
    for values in fields:
        resampled = resampled_means(values, resamples=settings.resamples, seed=settings.seed)
        made += [np.nanmean(values, axis=0), *interval(resampled, settings.level, units=len(values))]
    return np.stack([*made, np.full(own.shape[1:], chance), np.full(own.shape[1:], np.nan)])


def _of_findings(own: xr.Dataset, against: xr.Dataset, name: str, chance: Any) -> np.ndarray:
    """Fields of a number that its own analysis gives with intervals."""
    ends = ("", "_low", "_high")
    values = [own[name + end].transpose("sigma", "block").values for end in ends]
    values += [against[name + end].isel(other_block=0).transpose("sigma", "block").values for end in ends]
    return np.stack([*values, np.broadcast_to(chance, values[0].shape), np.full(values[0].shape, np.nan)])


def correlations(subject: Subject, reference: Subject) -> dict[str, np.ndarray]:
    """Correlations of distances with those in class, gist and colour; of a descriptor with itself none.

    Fields by measure, as of `measures`; `p` is of Mantel's permutations, images' rows and columns together.
    """
    settings, data = subject.settings, subject.data[["phi"]]
    others = {name: other for name, other in settings.others.items() if name != subject.name}
    described = [name for name in ("gist", "colour") if name in others]
    given = [("colour",)] * ("colour" in described) + [tuple(described)] * (len(described) > 1)
    shape = len(FIELDS), data.sizes["sigma"], len(subject.blocks)
    wanted = {f"correlation: {name}": (name, "nothing") for name in settings.others}
    if {"gist", "colour"} <= set(settings.others):
        wanted["correlation: gist given colour"] = ("gist", "colour")
        wanted["correlation: label given gist and colour"] = ("label", "gist+colour")
    found = {name: np.full(shape, np.nan) for name in wanted}
    itself = subject.data.attrs.get("weights_sha256") == reference.data.attrs.get("weights_sha256")
    for s in range(data.sizes["sigma"]):
        beside = reference.data["phi"].isel(sigma=s, drop=True)
        with warnings.catch_warnings():
            # Where φ does not vary, correlations are NaN, and the table says so.
            warnings.simplefilter("ignore", RuntimeWarning)
            result = semantics.correlate(
                data.isel(sigma=[s]),
                others,
                given=given,
                distances=["euclidean"],
                statistics=[settings.statistic],
                controls={"reference": beside},
                permutations=PERMUTATIONS,
                max_images=settings.pairs_images,
                level=settings.level,
                seed=settings.seed,
            ).isel(sigma=0, distance=0, statistic=0)
        for name, (other, fixed) in wanted.items():
            if other in others and fixed in result["given"].values:
                one = result.sel(other=other, given=fixed)
                values = [one[f"correlation{end}"].values for end in ("", "_low", "_high")]
                values += [one[f"difference{end}"].isel(control=0).values for end in ("", "_low", "_high")]
                found[name][:, s] = np.stack([*values, np.zeros(shape[2]), one["p_permutation"].values])
    if itself and reference.blocks[0] in subject.blocks:
        # A difference of a row from itself is 0 exactly, not up to rounding.
        same = subject.blocks.index(reference.blocks[0])
        for values in found.values():
            values[3:6, :, same] = np.where(np.isnan(values[0, :, same]), np.nan, 0.0)
    return found
