"""How reliable distances between images' φ are: from draws kept, predicted for others, and draws chosen by it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from probekit.checks import given, unwrapped, whole
from probekit.errors import InputError
from probekit.machine.progress import at_work_on

if TYPE_CHECKING:
    from pathlib import Path

    from probekit.phi.measure import Measurement

__all__ = [
    "AUTO",
    "LEAST_DRAWS",
    "RELIABLE",
    "Chosen",
    "chosen",
    "draws_given",
    "draws_needed",
    "halves",
    "mean_and_error",
    "measured_with",
    "of_plan",
    "signed_root",
    "spearman_brown",
    "split_half",
    "squared_distances",
]

AUTO: Literal["auto"] = "auto"
# The reliability at which distances are taken for those of φ itself.
RELIABLE = 0.95
# Two halves of two draws each, of which standard errors are known.
LEAST_DRAWS = 4
# Draws that are tried at most, images that they are tried on, and fewer than which nothing is correlated over.
MOST_TRIED, PILOT, LEAST_IMAGES = 64, 256, 20
SPLITS = 8
# Halves of draws up to which splits are listed; of more, random ones hardly ever are the same.
FEW = 100
# More noise draws of an image than any error would need.
MOST_DRAWS = 10**7
# Sites that a warning names.
TOLD = 4


def squared_distances(x: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
    """Squared distances ‖x_i − x_j‖² − n_i − n_j between images, 0 on the diagonal; below 0 where noise says so.

    With n_i = Σ_c se_ic² of means over draws, and noise that is independent between images, they are unbiased: equal to
    Σ_c of products of differences in different draws, averaged over all pairs of draws of each image.

    Parameters
    ----------
    x
        (images, channels).
    noise
        (images), by default 0.

    Returns
    -------
    ndarray
        (images, images), float64, symmetric.
    """
    # About the mean, squares are no larger than the distances that are their differences.
    x = np.asarray(x, np.float64)
    x = x - x.mean(axis=0)
    square = np.einsum("ic,ic->i", x, x)
    d = x @ x.T
    d *= -2
    d += square[:, None]
    d += square
    np.maximum(d, 0, out=d)
    # What is left of identical images is rounding of the squares.
    d[d < 1e-14 * square.max(initial=0)] = 0
    if noise is not None:
        d -= noise[:, None]
        d -= noise
    np.fill_diagonal(d, 0)
    return (d + d.T) / 2


def signed_root(square: np.ndarray) -> np.ndarray:
    """√d², and −√|d²| where d² < 0, as estimates without bias are: cut off at 0 they would be too large again."""
    return np.copysign(np.sqrt(np.abs(square)), square)


def halves(draws: int, splits: int = SPLITS, seed: int = 0) -> np.ndarray:
    """Different splits of the draws into two halves of one size, (splits, 2, draws // 2); all there are, if fewer."""
    half = draws // 2
    rng = np.random.default_rng(seed)
    if math.comb(draws, half) > FEW:
        return np.array([rng.permutation(draws)[: 2 * half].reshape(2, half) for _ in range(splits)])
    every = combinations(range(draws), half)
    found = np.array([(a, b) for a in every for b in combinations(range(draws), half) if a < b and not set(a) & set(b)])
    return found if len(found) <= splits else found[np.sort(rng.choice(len(found), splits, replace=False))]


def mean_and_error(draws: np.ndarray, axis: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over draws, two or more, which lie along an axis."""
    mean = draws.mean(axis=axis, dtype=np.float64)
    return mean, draws.std(axis=axis, ddof=1, dtype=np.float64) / math.sqrt(draws.shape[axis])


def spearman_brown(reliability: Any, factor: float) -> np.ndarray:
    """Reliability of `factor` times as many draws, k r/(1 + (k − 1) r) (Spearman 1910, Brown 1910).

    Exact where the variance of errors falls as 1/draws. That of squared distances has a part that falls as
    1/draws², so that more draws than given are more reliable than is said here.
    """
    r = np.asarray(reliability, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return factor * r / (1 + (factor - 1) * r)


def draws_needed(reliability: Any, draws: int, target: float = RELIABLE) -> np.ndarray:
    """Draws of which distances have a reliability of `target`, by Spearman's and Brown's formula, rounded up.

    Parameters
    ----------
    reliability
        That of so many `draws`.
    draws, target
        Draws that it is of, and the reliability sought, in (0, 1).

    Returns
    -------
    ndarray
        Infinite where nothing is reliable, r ≤ 0; NaN where r is.
    """
    r = np.asarray(reliability, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = target * (1 - r) / (r * (1 - target))
    # Rounding must not add a draw.
    needed = np.maximum(np.ceil(draws * factor - 1e-9), 1)
    return np.where(r <= 0, np.inf, needed)


def split_half(draws: np.ndarray, splits: int = SPLITS, seed: int = 0) -> float:
    """Correlation over pairs of images of squared distances from two halves of the draws, noise taken off each.

    Parameters
    ----------
    draws
        (images, draws, channels), at least 4 draws.
    splits, seed
        Number of random splits that the correlation is averaged over, and their seed.

    Returns
    -------
    float
        NaN where all distances of a half are the same.
    """
    upper = np.triu_indices(len(draws), 1)
    found = []
    for pair in halves(draws.shape[1], splits, seed):
        means, errors = zip(*(mean_and_error(draws[:, half]) for half in pair), strict=True)
        a, b = (
            squared_distances(mean, np.square(error).sum(axis=1))[upper]
            for mean, error in zip(means, errors, strict=True)
        )
        a, b = a - a.mean(), b - b.mean()
        size = math.sqrt(float(a @ a) * float(b @ b))
        found.append(float(a @ b) / size if size else math.nan)
    return float(np.mean(found))


@dataclass(frozen=True)
class Chosen:
    """A number of draws that was chosen, and what results say of it."""

    draws: int
    attrs: Mapping[str, str | int | float]


def draws_given(draws: Any) -> int | Literal["auto"] | Chosen:
    """A number of draws ≥ 1, "auto", or what was chosen before.

    Raises
    ------
    InputError
        If it is something else.
    """
    if isinstance(draws, Chosen):
        return draws
    found = unwrapped(draws)
    if isinstance(found, str):
        if found != AUTO:
            raise InputError(f'{given("draws", draws)}: give a whole number from 1 to {MOST_DRAWS}, or "auto"')
        return AUTO
    return whole("draws", draws, least=1, most=MOST_DRAWS)


def of_plan(draws: Any, path: str | Path) -> Any:
    """For "auto", what was chosen when the store at `path` was begun, if it was; else the draws as they are."""
    from probekit.phi.store import planned

    if draws_given(draws) != AUTO or planned(path, "draws_chosen") != AUTO:
        return draws
    names = ("draws_chosen", "draws_reliability", "draws_reliability_at")
    return Chosen(int(planned(path, "draws")), {name: planned(path, name) for name in names})


def chosen(measurement_of: Callable[[int], Measurement]) -> Chosen:
    """Draws, doubled from 4, of which squared distances are predicted to be reliable at every tap and noise level.

    They are tried on at most 256 images, drawn by their ids: the same in whatever order. The prediction for all draws
    comes from halves of them; see `split_half` and `spearman_brown`.

    Parameters
    ----------
    measurement_of
        What is to be measured, with so many draws.

    Raises
    ------
    InputError
        If there are too few images.
    CapacityError
        If the draws would not fit in memory.

    Warns
    -----
    RuntimeWarning
        Naming where the most draws are too few.
    """
    first = measurement_of(LEAST_DRAWS)
    ids = first.source.ids
    if len(ids) < LEAST_IMAGES:
        raise InputError(
            f'draws="auto" of {len(ids)} images: give {LEAST_IMAGES} images at least, whose distances are correlated, '
            "or a number of draws"
        )
    by_id = np.argsort(np.array(ids, dtype=object), kind="stable")
    pilot = np.sort(by_id[np.random.default_rng(0).permutation(len(ids))[:PILOT]]).tolist()
    draws = LEAST_DRAWS
    while True:
        with at_work_on(f"the reliability of {draws} draws"):
            found = _reliabilities(measurement_of(draws), pilot)
        low = {where: r for where, r in found.items() if r < RELIABLE}
        if not low or draws >= MOST_TRIED:
            break
        draws *= 2
    if low:
        worst = sorted(low, key=lambda where: low[where])
        told = "; ".join(f"{where}: {low[where]:.2f}" for where in worst[:TOLD])
        more = f"; and {len(low) - TOLD} more" if len(low) > TOLD else ""
        warnings.warn(
            f'draws="auto": with {draws} draws, the most that are tried, squared distances do not reach a reliability '
            f"of {RELIABLE} at {told}{more}. Give draws= a larger number, or do not read distances there",
            RuntimeWarning,
            stacklevel=4,
        )
    where, least = min(found.items(), key=lambda one: one[1], default=("", math.nan))
    return Chosen(draws, {"draws_chosen": AUTO, "draws_reliability": least, "draws_reliability_at": where})


def measured_with(draws: int | Literal["auto"] | Chosen, measurement_of: Callable[[int], Measurement]) -> Measurement:
    """The measurement of a number of draws, or of that which is chosen."""
    if isinstance(draws, int):
        return measurement_of(draws)
    known = draws if isinstance(draws, Chosen) else chosen(measurement_of)
    found = measurement_of(known.draws)
    return replace(found, attrs={**found.attrs, **known.attrs})


def _reliabilities(measurement: Measurement, images: list[int]) -> dict[str, float]:
    """Predicted reliability by tap and noise level, of a few images; those whose images are all alike are left out."""
    pilot = replace(
        measurement,
        source=measurement.source.subset(images),
        conditions=measurement.conditions.subset(images),
        keep_draws=True,
    )
    kept = pilot.draws()
    found, start = {}, 0
    for tap, width in measurement.channels.items():
        for s, level in enumerate(measurement.noising.levels):
            values = kept[:, s, :, start : start + width]
            # A channel that is not finite for some image is left out, as it is of no use in distances.
            values = values[:, :, np.isfinite(values).all(axis=(0, 1))]
            r = float(spearman_brown(split_half(values), 2))
            if not math.isnan(r):
                found[f"tap {tap!r}, σ = {level:g}"] = r
        start += width
    return found
