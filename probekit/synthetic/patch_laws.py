"""Closed forms of the patch model's conditional law: coefficients on spheres, energies split within a pool.

A coefficient map of P positions and variance λ has the energy ē = λ χ²_P/P, a gamma variable of shape
P/2 and scale 2λ/P; given ē it is uniform on the sphere of radius √(P ē). Everything here is plain numpy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from scipy.interpolate import CubicSpline
from scipy.special import gammaln, logsumexp, xlogy

from probekit.checks import given, instance, number, real_array, whole
from probekit.errors import InputError
from probekit.machine.memory import refuse_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["EnergyLaw", "SplitLaw", "coefficient_law", "on_spheres", "wasserstein2"]

# Terms of the gamma series held at once, and the most that one law may need.
CHUNK = 2**21
MAX_TERMS = 2**21
GRID = 4097
# Whole numbers up to here are floats too.
MOST_POSITIONS = 2**53
GENERATOR = "a numpy.random.Generator, e.g. numpy.random.default_rng(0)"
# Further below its peak than this, in log density, a density adds less than rounding does.
NEGLIGIBLE = 60.0


def coefficient_law(energy: float, *, positions: int) -> Any:
    """The law of one coefficient, at one position, given its map's energy.

    (1 + c/√(P ē))/2 ~ Beta((P − 1)/2, (P − 1)/2), as for any coordinate of a point uniform on a sphere.

    Parameters
    ----------
    energy
        ē > 0, spatial mean of the squared coefficients.
    positions
        P, number of positions, ≥ 2.

    Returns
    -------
    frozen scipy distribution
        Of c, between −√(P ē) and √(P ē).

    Raises
    ------
    InputError
        If the energy is not positive, or there are fewer than two positions.

    Examples
    --------
    >>> law = coefficient_law(0.25, positions=4)
    >>> law.support(), round(float(law.var()), 6)
    ((np.float64(-1.0), np.float64(1.0)), 0.25)
    """
    energy, positions = (
        number("energy", energy, "the spatial mean of squared coefficients"),
        whole("positions", positions, most=MOST_POSITIONS),
    )
    if not energy > 0 or positions < 2:
        raise InputError(
            f"energy={energy}, positions={positions}: a coefficient has a density given its map's energy where that "
            "is positive and there are at least 2 positions"
        )
    radius, shape = math.sqrt(positions * energy), (positions - 1) / 2
    return stats.beta(shape, shape, loc=-radius, scale=2 * radius)


def on_spheres(energies: ArrayLike, *, positions: int, rng: np.random.Generator) -> np.ndarray:
    """Draw coefficient maps, each uniform on the sphere that its energy fixes, independently.

    Parameters
    ----------
    energies
        (...), ē ≥ 0 of each map; where it is 0 the map is 0.
    positions
        P, number of positions.
    rng
        Source of the directions.

    Returns
    -------
    ndarray
        (..., positions), whose mean squares over positions are `energies` up to rounding.

    Raises
    ------
    InputError
        If an energy is negative or not finite, or there are no positions.

    Examples
    --------
    >>> c = on_spheres([0.25, 0.0], positions=64, rng=np.random.default_rng(0))
    >>> (c**2).mean(axis=-1).round(12).tolist()
    [0.25, 0.0]
    """
    energies = _energies("energies", energies)
    positions = whole("positions", positions, least=1, most=MOST_POSITIONS)
    instance("rng", rng, np.random.Generator, GENERATOR)
    refuse_array((*energies.shape, positions), 16, hint="give fewer energies at a time, or fewer positions")
    direction = rng.standard_normal((*energies.shape, positions))
    direction *= np.sqrt(positions * energies / (direction**2).sum(axis=-1))[..., None]
    return direction


def wasserstein2(a: ArrayLike, b: ArrayLike, *, positions: int) -> np.ndarray:
    """Squared 2-Wasserstein distance between the images with energies `a` and those with energies `b`.

    W₂² = P Σ_j (√ē_j − √ē'_j)²: concentric uniform spheres are best carried onto one another radially.

    Parameters
    ----------
    a, b
        (..., component), energies ≥ 0 at σ = 0; leading axes broadcast.
    positions
        P, number of positions.

    Returns
    -------
    ndarray
        (...), in squared intensity units, summed over pixels.

    Raises
    ------
    InputError
        If an energy is negative or not finite, or there are no positions.

    Examples
    --------
    >>> round(float(wasserstein2([0.25, 0.0], [0.04, 0.01], positions=4)), 12)
    0.4
    """
    positions = whole("positions", positions, least=1, most=MOST_POSITIONS)
    difference = np.sqrt(_energies("energies a", a)) - np.sqrt(_energies("energies b", b))
    return np.asarray(positions * (difference**2).sum(axis=-1))


class EnergyLaw:
    """The law of a pooled energy φ = Σ_j ē_j, and of its split into the ē_j.

    A gamma variable of scale θ is one of the smaller scale θ₁ whose shape a is raised by a negative binomial
    count N_j, p(N) = Γ(a + N)/(Γ(a) N!) (θ₁/θ)^a (1 − θ₁/θ)^N. With one scale for all, φ given M = Σ N_j is
    gamma of shape m a + M, which gives its density as a series of positive terms (Moschopoulos 1985); and the
    shares ē_j/φ given the counts are Dirichlet(a + N_j), which gives exact draws. The series is cut where
    the terms left out have less than 1e-20 of the sum: given φ, M is at most Poisson(φ (1/θ₁ − 1/θ_max)).

    Parameters
    ----------
    variances
        (m,), λ_j > 0 of the components pooled.
    positions
        P, number of positions.

    Raises
    ------
    InputError
        If a variance is not positive, or there are no positions.

    Examples
    --------
    >>> law = EnergyLaw([0.2, 0.05], positions=64)
    >>> round(float(law.log_density(0.25)), 4)
    2.3915
    >>> law.split([0.25] * 1000, rng=np.random.default_rng(0)).mean(axis=0).round(2).tolist()
    [0.2, 0.05]
    """

    def __init__(self, variances: Sequence[float] | np.ndarray, *, positions: int) -> None:
        self.variances = _positive(variances)
        self.positions = positions = whole("positions", positions, least=1, most=MOST_POSITIONS)
        self._shape = positions / 2
        scales = 2 * self.variances / positions
        self._scale = scales.min()
        self._raised = 1 - self._scale / scales
        self._log_norm = self._shape * np.log(self._scale / scales).sum()
        self._series: dict[int, np.ndarray] = {}

    def log_density(self, total: ArrayLike) -> np.ndarray:
        """Log density of the pooled energy at `total` (...), > 0, in inverse energy units.

        Raises
        ------
        InputError
            If the variances differ by so much that the series is too long.
        """
        total = _energies("total", total)
        if not (total > 0).all():
            raise InputError("total holds 0, where the density's logarithm is not defined: give sums > 0")
        t = total / self._scale
        shape = len(self.variances) * self._shape
        return self._log_norm - math.log(self._scale) + (shape - 1) * np.log(t) - t + self.log_series(total)

    def log_series(self, total: ArrayLike) -> np.ndarray:
        """Log of the density's smooth factor at `total` (...), ≥ 0: log Σ_M δ_M (φ/θ₁)^M / Γ(m a + M)."""
        t = _energies("total", total) / self._scale
        counts, log_terms = self._terms(float(t.max(initial=0)))
        flat = t.ravel()
        step = max(1, CHUNK // len(counts))
        log = np.empty_like(flat)
        for i in range(0, len(flat), step):
            log[i : i + step] = logsumexp(xlogy(counts, flat[i : i + step, None]) + log_terms, axis=1)
        return log.reshape(t.shape)

    def split(self, total: ArrayLike, *, rng: np.random.Generator) -> np.ndarray:
        """Draw the energies of the components, given their sum.

        Parameters
        ----------
        total
            (n,), sums > 0.
        rng
            Source of the draws.

        Returns
        -------
        ndarray
            (n, m), energies whose sums are `total`.

        Raises
        ------
        InputError
            If the variances differ by so much that the series is too long.
        """
        instance("rng", rng, np.random.Generator, GENERATOR)
        total = _energies("total", total)
        if total.ndim != 1 or not (total > 0).all():
            raise InputError(f"total has shape {total.shape} or holds 0: give (n,) sums > 0")
        raised = self._counts(total, rng)
        shares = rng.standard_gamma(self._shape + raised)
        return shares * (total / shares.sum(axis=1))[:, None]

    def _terms(self, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Counts M, and log δ_M − log Γ(m a + M), for sums up to `reach` in units of the smallest scale."""
        mean = reach * self._raised.max()
        needed = mean + 10 * math.sqrt(mean) + 50 if mean > 0 else 1
        if needed > MAX_TERMS:
            raise InputError(
                f"the pooled variances {self.variances.tolist()} differ too much for {self.positions} positions and "
                f"energies up to {reach * self._scale:.3g} (a series of {needed:.2g} terms): pool more similar "
                "variances, or give smaller images or energies"
            )
        length = 1 if mean == 0 else 2 ** math.ceil(math.log2(needed))
        counts = np.arange(length)
        if length not in self._series:
            shape = len(self.variances) * self._shape
            self._series[length] = _log_coefficients(self._raised, self._shape, length) - gammaln(shape + counts)
        return counts, self._series[length]

    def _counts(self, total: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the counts N_j (n, m) given the sums."""
        uniform = rng.random(total.shape)
        sums = np.zeros(total.shape, int)
        levels, which = np.unique(total, return_inverse=True)
        for i, level in enumerate(levels):
            counts, log_terms = self._terms(level / self._scale)
            chosen = which == i
            sums[chosen] = _inverse_cdf(xlogy(counts, level / self._scale) + log_terms, uniform[chosen])
        counts = np.zeros((*total.shape, len(self.variances)), int)
        left = np.flatnonzero(self._raised)
        for step, j in enumerate(left[:-1]):
            counts[:, j] = self._shared(sums, self._raised[j], self._raised[left[step + 1 :]], rng)
            sums = sums - counts[:, j]
        if left.size:
            counts[:, left[-1]] = sums
        return counts

    def _shared(self, sums: np.ndarray, one: float, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw one component's count, given the sums of its count and the others'."""
        uniform = rng.random(sums.shape)
        length = int(sums.max(initial=0)) + 1
        mine = _log_coefficients(np.array([one]), self._shape, length)
        theirs = _log_coefficients(others, self._shape, length)
        found = np.zeros(sums.shape, int)
        for value in np.unique(sums):
            chosen = sums == value
            found[chosen] = _inverse_cdf(mine[: value + 1] + theirs[value::-1], uniform[chosen])
        return found


class SplitLaw:
    """The law of one component's energy, given the pooled energy that it is part of.

    p(ē_j given φ) ∝ ē_j^{P/2−1} exp(−P ē_j/2λ_j) f(φ − ē_j), with f the density of the other components'
    sum; for two components ∝ [ē₁(φ − ē₁)]^{P/2−1} exp(−P ē₁/2λ₁ − P(φ − ē₁)/2λ₂). Moments and cdf are by
    quadrature over the angle α, ē_j = φ sin²α, in which the density is smooth whatever P. Named as scipy
    names its distributions' methods.

    Parameters
    ----------
    variances
        (m,), λ > 0 of all components pooled, at least two.
    phi
        The pooled energy at σ = 0, > 0.
    positions
        P, number of positions.
    component
        Which of the components, from 0.

    Raises
    ------
    InputError
        If these do not describe such a law, or the variances differ too much.

    Examples
    --------
    >>> law = SplitLaw([0.2, 0.05], phi=0.25, positions=64)
    >>> round(law.mean(), 4), round(law.std(), 4)
    (0.1997, 0.0086)
    """

    def __init__(
        self, variances: Sequence[float] | np.ndarray, *, phi: float, positions: int, component: int = 0
    ) -> None:
        known = _positive(variances)
        positions = whole("positions", positions, least=1, most=MOST_POSITIONS)
        component = whole("component", component)
        phi = number("phi", phi, "a positive pooled energy", good=lambda v: v > 0)
        if len(known) < 2 or not 0 <= component < len(known):
            raise InputError(
                f"{given('variances', known.tolist())}, {given('component', component)}: give at least two "
                "variances, and the index of one of them"
            )
        self.phi = float(phi)
        self._scale = 2 * known[component] / positions
        self._powers = positions - 1, (len(known) - 1) * positions - 1
        self._others = EnergyLaw(np.delete(known, component), positions=positions)
        self._other_scale = 2 * self._others.variances.min() / positions
        low, high = 0.0, math.pi / 2
        angle = np.linspace(low, high, GRID)
        # Twice is enough to bring a narrow peak from a few points of the first grid to all of the last.
        for _ in range(2):
            near = np.flatnonzero((log := self._log_density_of_angle(angle)) > log.max() - NEGLIGIBLE)
            if not near.size:
                raise InputError(f"phi={phi:g} is beyond what variances {known.max():g} at most give: give another phi")
            low, high = angle[max(near[0] - 1, 0)], angle[min(near[-1] + 1, GRID - 1)]
            angle = np.linspace(low, high, GRID)
        log = self._log_density_of_angle(angle)
        density = np.exp(log - log.max())
        self._low, self._high = low, high
        self._log_mass = log.max() + math.log(CubicSpline(angle, density).integrate(low, high))
        density /= math.exp(self._log_mass - log.max())
        self._cumulative = CubicSpline(angle, density).antiderivative()
        share = np.sin(angle) ** 2
        self._mean_share = float(CubicSpline(angle, density * share).integrate(low, high))
        self._var_share = float(CubicSpline(angle, density * (share - self._mean_share) ** 2).integrate(low, high))

    def pdf(self, energy: ArrayLike) -> np.ndarray:
        """Density at energies (...); 0 outside (0, φ)."""
        energy = _numbers(energy)
        inside = (energy > 0) & (energy < self.phi)
        angle = np.arcsin(np.sqrt(np.where(inside, energy, self.phi / 2) / self.phi))
        log = self._log_density_of_angle(angle) - self._log_mass - np.log(self.phi * np.sin(2 * angle))
        return np.where(inside, np.exp(log), 0.0)

    def cdf(self, energy: ArrayLike) -> np.ndarray:
        """Probability that the energy is at most `energy` (...)."""
        share = np.clip(_numbers(energy) / self.phi, 0, 1)
        angle = np.clip(np.arcsin(np.sqrt(share)), self._low, self._high)
        return np.clip(self._cumulative(angle), 0, 1)

    def mean(self) -> float:
        """Expected energy."""
        return self.phi * self._mean_share

    def std(self) -> float:
        """Standard deviation of the energy."""
        return self.phi * math.sqrt(self._var_share)

    def _log_density_of_angle(self, angle: np.ndarray) -> np.ndarray:
        sin, cos = np.sin(angle), np.cos(angle)
        mine, rest = self.phi * sin**2, self.phi * cos**2
        powers = xlogy(self._powers[0], sin) + xlogy(self._powers[1], cos)
        return powers - mine / self._scale - rest / self._other_scale + self._others.log_series(rest)


def _log_coefficients(rates: np.ndarray, shape: float, length: int) -> np.ndarray:
    """Log of the first coefficients δ_M of Π_j (1 − r_j z)^{−shape}, all of them positive for M = 0 or some r > 0."""
    rates = rates[rates > 0]
    counts = np.arange(length)
    if rates.size == 0:
        return np.where(counts == 0, 0.0, -np.inf)
    if rates.size == 1:
        return gammaln(shape + counts) - gammaln(shape) - gammaln(counts + 1) + counts * math.log(rates[0])
    # (M + 1) δ_{M+1} = shape Σ_j Σ_{i ≤ M} r_j^{i+1} δ_{M−i}: a running sum per component, and only sums of positives.
    found = np.zeros(length)
    value, offset, running = 1.0, 0.0, np.zeros(rates.size)
    for m in range(1, length):
        running = rates * (value + running)
        value = shape * float(running.sum()) / m
        if not 1e-200 < value < 1e200:
            running /= value
            offset += math.log(value)
            value = 1.0
        found[m] = offset + math.log(value)
    return found


def _inverse_cdf(log_weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Indices drawn with probabilities ∝ exp(log_weights), one for each uniform number."""
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    return np.minimum(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), len(log_weights) - 1)


def _positive(variances: Sequence[float] | np.ndarray) -> np.ndarray:
    known = real_array("variances", variances, "a list of finite variances > 0, one per pooled component")
    if known.ndim != 1 or known.size == 0 or not (np.isfinite(known) & (known > 0)).all():
        raise InputError(
            f"{given('variances', known.tolist())}: give a list of finite variances > 0, one per pooled component"
        )
    return known


def _numbers(energy: ArrayLike) -> np.ndarray:
    found = real_array("energy", energy, "energies, numbers")
    if np.isnan(found).any():
        raise InputError("energy holds NaN: give energies, numbers")
    return found


def _energies(name: str, found: ArrayLike) -> np.ndarray:
    energies = real_array(name, found, "spatial means of squares, finite and ≥ 0")
    if not (np.isfinite(energies) & (energies >= 0)).all():
        raise InputError(f"{name} hold negative or infinite values: give spatial means of squares, finite and ≥ 0")
    return energies
