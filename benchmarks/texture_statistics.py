"""How many statistics of a texture samples have: those of Portilla & Simoncelli (2000), by the library plenoptic.

The statistics are of grey images, the mean over bands; of a photograph those that are finite in all its patches. A
statistic of a sample is matched where it lies within the interval that a further patch of the same photograph lies in
with a given probability, if patches' statistics are normal: so patches themselves match about that share, which is what
samples can be compared with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from scipy import stats

from analyses.ground import Findings, Variable
from probekit import images as image_sources
from probekit import labels
from probekit.checks import fraction, whole
from probekit.errors import InputError
from probekit.images import ImageSet

__all__ = ["FINDINGS", "Photographs", "compared", "photographs", "statistics", "texture_statistics"]

# The least side of the coarsest scale.
COARSEST = 8
LEAST_PATCHES = 3
ALL = "all"
OF_SAMPLE = ("image", "sample")
FINDINGS = Findings(
    "texture_statistics",
    {
        "matched": Variable(
            (*OF_SAMPLE, "statistics"), "share of statistics within the interval of a further patch of the photograph"
        ),
        "distance_own": Variable(
            OF_SAMPLE,
            "distance to the mean statistics of the condition's photograph, in standard deviations of patches",
        ),
        "distance_other": Variable(OF_SAMPLE, "the same to other photographs, mean over them"),
        "nearest_own": Variable(OF_SAMPLE, "whether its photograph is the nearest of all", holds="flags"),
    },
    coords={"sample": "conditional sample", "statistics": "kind of statistic; all of them"},
    source="texture_statistics",
)


class Photographs(NamedTuple):
    """Statistics of patches, by photograph: names, mean, standard deviation (photograph, statistic) and patches."""

    names: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    patches: np.ndarray


def texture_statistics(
    samples: xr.Dataset, reference: Any, *, scales: int | None = None, level: float = 0.95
) -> xr.Dataset:
    """Compare the statistics of samples with those of patches of their photographs.

    Parameters
    ----------
    samples
        What `sampling.reconstruct` returns, of conditions whose label is the photograph. Samples that are larger than
        the patches are cut into tiles of their size, over which statistics are averaged.
    reference
        Patches of at least two photographs, at least three of each, labelled by photograph; not the conditions.
    scales
        Of the steerable pyramid; by default as many as leave 8 pixels at the coarsest.
    level
        Probability that a statistic of a further patch is matched.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If there are no such labels, samples are smaller than patches, or no statistic is finite in all patches.
    ImportError
        Without plenoptic.
    """
    level = fraction("level", level, "a probability between 0 and 1")
    known = image_sources.load(reference)
    if "label" not in samples.coords or known.labels is None:
        raise InputError("the samples or the reference have no labels: label each image by its photograph")
    values = samples["samples"].transpose("image", "sample", "band", "row", "col").values
    patches, names = statistics(known.read(range(len(known))).numpy(), scales)
    if not np.isfinite(patches).all(axis=0).any():
        raise InputError("no statistic is finite in all patches: leave constant patches out")
    tiles, count = _tiles(values, known)
    own, _ = statistics(tiles, scales)
    own = own.reshape(*values.shape[:2], count, -1).mean(axis=2)
    of = labels.strings(samples["label"].values)
    found = compared(own, of, photographs(patches, known.labels), names, level)
    kinds = np.array([ALL, *dict.fromkeys(names)], dtype=object)
    coords = {"sample": np.arange(values.shape[1]), "statistics": kinds}
    return FINDINGS.label(found, samples, coords=coords, level=level, tiles=count)


def statistics(images: np.ndarray, scales: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Statistics (n, statistic) of images (n, band, row, col) as grey ones, and the kind of each."""
    from plenoptic.models import PortillaSimoncelli

    sides = images.shape[2:]
    most = int(np.log2(min(sides) / COARSEST))
    if most < 1:
        raise InputError(f"patches of {sides[0]}×{sides[1]} are too small: give {2 * COARSEST} pixels a side at least")
    scales = most if scales is None else whole("scales", scales, least=1, most=most)
    model = PortillaSimoncelli(sides, n_scales=scales).double()
    grey = torch.from_numpy(images.astype(np.float64)).mean(dim=1, keepdim=True)
    with torch.no_grad():
        found = torch.cat([model(part)[:, 0] for part in grey.split(64)])
    places = model.convert_to_dict(torch.arange(found.shape[1], dtype=torch.float64)[None, None])
    names = np.empty(found.shape[1], dtype=object)
    for name, at in places.items():
        names[at[torch.isfinite(at)].long().numpy()] = name
    return found.numpy(), names


def photographs(patches: np.ndarray, names: Any) -> Photographs:
    """What patches of each photograph have in common (patch, statistic), and how they differ."""
    of = labels.strings(np.asarray(names, dtype=object))
    every, counts = np.unique(of, return_counts=True)
    if len(every) < 2 or counts.min() < LEAST_PATCHES:
        raise InputError(
            f"{counts.min()} patches of a photograph, {len(every)} photographs: give {LEAST_PATCHES} of each of two at "
            "least"
        )
    mean = np.stack([patches[of == name].mean(axis=0) for name in every])
    spread = np.stack([patches[of == name].std(axis=0, ddof=1) for name in every])
    return Photographs(every, mean, spread, counts)


def compared(
    own: np.ndarray, of: np.ndarray, known: Photographs, names: np.ndarray, level: float
) -> dict[str, np.ndarray]:
    """The findings, from statistics (image, sample, statistic) and the photograph of each image.

    A further patch of n normal ones lies within t √(1 + 1/n) of their standard deviations of their mean.
    """
    absent = [name for name in of if name not in known.names]
    if absent:
        raise InputError(f"the reference has no patches of {absent[0]}: give some of each condition's photograph")
    at = np.searchsorted(known.names, of)
    n = known.patches[at][:, None]
    reach = stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt(1 + 1 / n) * known.spread[at]
    # What is not finite in a sample is not matched; what is not in its photograph's patches is not asked for.
    asked = np.isfinite(reach)[:, None]
    within = asked & (np.abs(own - known.mean[at][:, None]) <= reach[:, None])
    kinds = [np.ones(len(names), dtype=bool), *(names == kind for kind in dict.fromkeys(names))]
    pooled = np.sqrt(np.square(known.spread).mean(axis=0))
    varied = np.isfinite(pooled) & (pooled > 1e-9 * np.abs(known.mean).max(axis=0))
    scaled = (own[:, :, None] - known.mean) / np.where(varied, pooled, np.inf)
    distance = np.sqrt(np.square(scaled)[..., varied].mean(axis=-1))
    mine = np.take_along_axis(distance, np.broadcast_to(at[:, None, None], (*own.shape[:2], 1)), axis=2)[..., 0]
    return {
        "matched": np.stack([_share(within[..., kind], asked[..., kind]) for kind in kinds], axis=-1),
        "distance_own": mine,
        "distance_other": (distance.sum(axis=2) - mine) / (distance.shape[2] - 1),
        "nearest_own": mine <= distance.min(axis=2),
    }


def _share(within: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Share of those asked for, NaN where none is."""
    count = np.broadcast_to(asked, within.shape).sum(axis=-1)
    return np.divide(within.sum(axis=-1), count, out=np.full(count.shape, np.nan), where=count > 0)


def _tiles(values: np.ndarray, known: ImageSet) -> tuple[np.ndarray, int]:
    """Tiles (n, band, row, col) of patches' size, those of one sample one after the other, and how many it has."""
    rows, cols = known.shape[1:]
    down, across = values.shape[3] // rows, values.shape[4] // cols
    if not down or not across:
        raise InputError(
            f"samples of {values.shape[3]}×{values.shape[4]} are smaller than patches of {rows}×{cols}: give patches "
            "of their size"
        )
    cut = values[..., : down * rows, : across * cols]
    cut = cut.reshape(*cut.shape[:3], down, rows, across, cols)
    return np.moveaxis(cut, (3, 5), (2, 3)).reshape(-1, values.shape[2], rows, cols), down * across


FINDINGS.described(texture_statistics)
