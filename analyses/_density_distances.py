"""Distances between two laws from samples of each; plain arrays, no labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from probekit.errors import InputError

__all__ = ["LEAST_SAMPLES", "MEASURES", "measured"]

# Fewer samples than this leave nothing to average over.
LEAST_SAMPLES = 4

MEASURES: Mapping[str, str] = {
    "energy": "2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖, each sample's distance to itself left out: unbiased, may be below 0",
    "energy_plug_in": "the same with those distances counted: ≥ 0, biased upward by about (E‖X − X'‖ + E‖Y − Y'‖)/n",
    "sliced_wasserstein": "root of the mean over directions of W₂² between projections: biased upward, as √(1/n)",
    "gaussian_wasserstein": "W₂ between normal laws of the samples' means and covariances, a lower bound of W₂ between "
    "the laws (Gelbrich 1990): biased upward, much so where samples are fewer than dimensions",
    "gaussian_wasserstein_debiased": "W₂² between such normal laws of halves of the samples of two laws, less the "
    "mean of that between halves of each law: of mean 0 for one law, may be below 0",
}


def energy(a: np.ndarray, b: np.ndarray, *, statistic: Literal["u_statistic", "v_statistic"]) -> float:
    """Energy distance of Székely & Rizzo (2013), by dcor."""
    try:
        import dcor
    except ImportError as error:
        raise InputError(
            "the energy distance needs dcor, which is not installed: pip install 'probekit[analyses]'"
        ) from error
    return float(dcor.energy_distance(a, b, estimation_stat=statistic))


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, *, projections: int, seed: int) -> float:
    """Sliced 2-Wasserstein distance of Bonneel et al. (2015), by POT; one seed gives one set of directions."""
    try:
        import ot
    except ImportError as error:
        raise InputError(
            "the sliced Wasserstein distance needs POT, which is not installed: pip install 'probekit[analyses]'"
        ) from error
    found: Any = ot.sliced_wasserstein_distance(a, b, n_projections=projections, p=2, seed=seed)
    return float(found)


def gaussian_wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """Root of ‖m_a − m_b‖² + tr S_a + tr S_b − 2 tr (S_a^½ S_b S_a^½)^½, covariances as they are in the samples.

    The last trace is the nuclear norm of A Bᵀ/√(n_a n_b), A and B being samples less their means: no matrix
    (dimensions, dimensions) is made.
    """
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    a, b = (a - mean_a) / np.sqrt(len(a)), (b - mean_b) / np.sqrt(len(b))
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    square = ((mean_a - mean_b) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * shared
    return float(np.sqrt(max(square, 0)))


def debiased(a: np.ndarray, b: np.ndarray) -> float:
    """W₂² of `gaussian_wasserstein` between halves of different laws, less that between halves of each."""
    # Halves of one size: the bias, which depends on the numbers of samples, is then the same in all terms.
    n = min(len(a), len(b)) // 2
    halves = (a[:n], a[n : 2 * n]), (b[:n], b[n : 2 * n])
    across = [gaussian_wasserstein(x, y) ** 2 for x in halves[0] for y in halves[1]]
    return float(np.mean(across) - np.mean([gaussian_wasserstein(*half) ** 2 for half in halves]))


def measured(a: np.ndarray, b: np.ndarray, measure: str, *, projections: int, seed: int) -> float:
    """Distance between the laws of samples (n, dimensions) and (m, dimensions).

    Parameters
    ----------
    a, b
        Samples.
    measure
        A key of `MEASURES`.
    projections, seed
        Directions of the sliced distance.
    """
    if measure == "sliced_wasserstein":
        return sliced_wasserstein(a, b, projections=projections, seed=seed)
    if measure == "gaussian_wasserstein":
        return gaussian_wasserstein(a, b)
    if measure == "gaussian_wasserstein_debiased":
        return debiased(a, b)
    return energy(a, b, statistic="u_statistic" if measure == "energy" else "v_statistic")
