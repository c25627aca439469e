"""The patch model against dense linear algebra, exact distributions and direct quadrature."""

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import logsumexp

import probekit
from probekit.synthetic.patch_laws import EnergyLaw, SplitLaw, coefficient_law
from probekit.synthetic.patch_model import PatchModel
from probekit.synthetic.patch_strategies import patch_models

SIGMAS = st.floats(0.05, 2.0)
SEEDS = st.integers(0, 2**16)
# Of a family of tests with p-values p, all true, the least is under LEVEL/len(p) with probability at most LEVEL.
LEVEL = 0.01


def rejected(p_values: list[float]) -> bool:
    """Whether Holm's procedure rejects any of the family, as Bonferroni's does."""
    return min(p_values) * len(p_values) < LEVEL


def p_value(result: Any) -> float:
    return float(result.pvalue)


def dense_basis(patch: int, rows: int, cols: int) -> np.ndarray:
    """Pixels × (component, position), from the definition of the DCT."""
    t = np.arange(patch)
    waves = np.array([np.cos(math.pi * (t + 0.5) * u / patch) for u in range(patch)])
    waves *= np.sqrt(np.where(t == 0, 1, 2) / patch)[:, None]
    columns = []
    for u in range(patch):
        for v in range(patch):
            for r in range(rows):
                for c in range(cols):
                    image = np.zeros((patch * rows, patch * cols))
                    at = (slice(patch * r, patch * (r + 1)), slice(patch * c, patch * (c + 1)))
                    image[at] = np.outer(waves[u], waves[v])
                    columns.append(image.ravel())
    return np.array(columns).T


class Dense(NamedTuple):
    """What is true of one noisy image, from covariances of all its pixels."""

    mean: np.ndarray
    variance: float
    weights: np.ndarray
    log_density: float


def dense_posterior(model: PatchModel, y: np.ndarray, sigma: float) -> Dense:
    mixture = model.mixture
    grid = y.shape[0] // model.patch, y.shape[1] // model.patch
    basis = dense_basis(model.patch, *grid)
    flat, noise = y.ravel(), sigma**2 * np.eye(y.size)
    covariances = [basis @ np.diag(np.repeat(v, math.prod(grid))) @ basis.T for v in mixture.variances]
    exponents = np.array([flat @ np.linalg.solve(s + noise, flat) for s in covariances])
    determinants = np.array([np.linalg.slogdet(2 * math.pi * (s + noise))[1] for s in covariances])
    logs = np.log(mixture.weights) - exponents / 2 - determinants / 2
    log_density = np.asarray(logsumexp(logs))
    weights = np.exp(logs - log_density)
    gains = [np.linalg.solve(s + noise, s) for s in covariances]
    means = np.array([g.T @ flat for g in gains])
    mean = weights @ means
    within = sum(w * sigma**2 * np.trace(g) for w, g in zip(weights, gains, strict=True))
    between = weights @ ((means - mean) ** 2).sum(axis=1)
    return Dense(mean.reshape(y.shape), float(within + between) / y.size, weights, float(log_density))


def noisy(model: PatchModel, sigma: float, seed: int, foreign: bool) -> torch.Tensor:
    """Two noisy images of 2×1 patches: of the model, or of no class in particular."""
    size = 2 * model.patch, model.patch
    x = torch.from_numpy(model.draw(2, rows=size[0], cols=size[1], seed=seed).images.values)
    z = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, 1, *size)))
    return z if foreign else x + sigma * z


def dense_error(model: PatchModel, y: torch.Tensor, sigma: float) -> float:
    """Largest relative error of D over the images."""
    clean = model(y, sigma)[:, 0].numpy()
    expected = [dense_posterior(model, image, sigma).mean for image in y[:, 0].numpy()]
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(clean, expected, strict=True))


@given(patch_models(), SIGMAS, SEEDS, st.booleans())
def test_the_denoiser_is_the_posterior_mean_of_dense_covariances(
    model: PatchModel, sigma: float, seed: int, foreign: bool
) -> None:
    assert dense_error(model, noisy(model, sigma, seed, foreign), sigma) < 1e-9


@given(patch_models(), SIGMAS, SEEDS, st.booleans())
def test_class_posterior_posterior_variance_and_density_are_those_of_dense_covariances(
    model: PatchModel, sigma: float, seed: int, foreign: bool
) -> None:
    y = noisy(model, sigma, seed, foreign)
    dense = [dense_posterior(model, image, sigma) for image in y[:, 0].numpy()]
    # Weights are exponentials of log densities of up to 1e5, which carry 1e-16 of that as absolute error.
    np.testing.assert_allclose(model.posterior(y, sigma), [d.weights for d in dense], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(model.posterior_variance(y, sigma), [d.variance for d in dense], rtol=1e-8)
    np.testing.assert_allclose(model.log_density(y, sigma), [d.log_density for d in dense], rtol=1e-9, atol=1e-9)


@given(patch_models(max_patch=3), SIGMAS, SEEDS)
def test_the_score_is_the_gradient_of_the_log_density_of_a_dense_mixture(
    model: PatchModel, sigma: float, seed: int
) -> None:
    y = noisy(model, sigma, seed, foreign=False).requires_grad_()
    basis = torch.from_numpy(dense_basis(model.patch, 2, 1))
    known = torch.from_numpy(model.mixture.variances).repeat_interleave(2, dim=1)
    covariances = basis @ torch.diag_embed(known) @ basis.T + sigma**2 * torch.eye(len(basis), dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal(torch.zeros(len(basis), dtype=torch.float64), covariances)
    logs = normal.log_prob(y.flatten(1)[:, None]) + torch.from_numpy(model.mixture.weights).log()
    (expected,) = torch.autograd.grad(logs.logsumexp(dim=1).sum(), y)
    score = (model(y, sigma) - y) / sigma**2
    torch.testing.assert_close(score, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))


TAPPED = {
    "every component its own channel": None,
    "pooled": [[0, 3], [1, 2]],
}


def draw_p_values(model: PatchModel) -> list[float]:
    """Of the tap's noise draws of φ, against σ²/P χ'²(P |group|, P Σ ē/σ²): of all draws, and of their sum."""
    images, truth = model.draw(3, rows=8, cols=8, seed=3)
    sigmas, draws, positions = [0.1, 0.5], 400, 16
    data = probekit.tap(model, "mid")(images, sigma=sigmas, draws=draws, seed=5, keep_draws=True)
    sizes = np.array([len(group) for group in model.mixture.pool])
    found = []
    for sigma in sigmas:
        unit = sigma**2 / positions
        phi = data.phi_draws.sel(sigma=sigma).transpose("draw", "image", "channel").values.astype(float) / unit
        law = {"df": positions * sizes, "nc": truth.phi.values / unit}
        found += stats.kstest(stats.ncx2.cdf(phi, **law), "uniform").pvalue.ravel().tolist()
        # χ'² variables add up to one whose degrees of freedom and noncentrality are the sums.
        below = stats.ncx2.cdf(phi.sum(axis=0), **{key: draws * value for key, value in law.items()})
        found += (2 * np.minimum(below, 1 - below)).ravel().tolist()
    return found


@pytest.mark.parametrize("pool", TAPPED.values(), ids=TAPPED)
def test_the_draws_that_a_tap_measures_have_the_exact_law(pool: list[list[int]] | None) -> None:
    assert not rejected(draw_p_values(PatchModel([0.4, 0.6], [[0.2, 0.05, 0, 0], [0.2, 0.1, 0.1, 0]], pool=pool)))


@given(patch_models(), SIGMAS, SEEDS)
def test_phi_and_its_variance_are_the_mean_and_variance_of_the_noncentral_chi_square(
    model: PatchModel, sigma: float, seed: int
) -> None:
    size = 2 * model.patch
    images, truth = model.draw(2, rows=size, cols=size, seed=seed)
    x, unit = torch.from_numpy(images.values), sigma**2 / 4
    law = stats.ncx2(4 * np.array([len(group) for group in model.mixture.pool]), truth.phi.values / unit)
    np.testing.assert_allclose(model.phi(x, sigma), unit * law.mean(), rtol=1e-10)
    np.testing.assert_allclose(model.phi_variance(x, sigma), unit**2 * law.var(), rtol=1e-10)


# The class posterior is far from certain here, and neither support is the other's.
MIXED = {"weights": [0.3, 0.7], "variances": [[0.2, 0.05, 0, 0], [0.15, 0, 0.08, 0.03]]}


def errors(model: PatchModel, sigma: float, count: int, *changes: tuple[float, float]) -> np.ndarray:
    """Squared errors per pixel (change, image) of a D + b for each change (a, b), on images of 4×4 patches."""
    images = torch.from_numpy(model.draw(count, rows=8, cols=8, seed=11).images.values)
    z = torch.from_numpy(np.random.default_rng(12).standard_normal(images.shape))
    clean = model(images + sigma * z, sigma)
    return np.array([((images - a * clean - b) ** 2).mean(dim=(1, 2, 3)).numpy() for a, b in changes])


@pytest.mark.parametrize("sigma", [0.1, 0.4, 1.0])
def test_the_error_of_one_class_is_the_wiener_filters(sigma: float) -> None:
    model = PatchModel([1.0], [[0.2, 0.05, 0.01, 0]]).double()
    count, positions = 2000, 16
    error = errors(model, sigma, count, (1, 0)).mean()
    left = model.mixture.variances[0] * sigma**2 / (model.mixture.variances[0] + sigma**2)
    assert model.wiener_error(sigma)[0] == pytest.approx(left.mean(), rel=1e-12)
    # The error of a coefficient is N(0, left_j), whose square has variance 2 left_j²; 5 of the mean's
    # standard deviations are exceeded with probability 6e-7.
    deviation = math.sqrt(2 * (left**2).sum() / (count * positions)) / len(left)
    assert abs(error - left.mean()) < 5 * deviation


@pytest.mark.parametrize("sigma", [0.2, 0.5])
def test_the_error_of_a_mixture_is_its_posterior_variance_and_above_that_of_known_classes(sigma: float) -> None:
    model = PatchModel(**MIXED).double()
    images = torch.from_numpy(model.draw(4000, rows=8, cols=8, seed=11).images.values)
    z = torch.from_numpy(np.random.default_rng(12).standard_normal(images.shape))
    variance = model.posterior_variance(images + sigma * z, sigma).numpy()
    difference = errors(model, sigma, 4000, (1, 0))[0] - variance
    # Given y its mean is 0; a normal mean exceeds 5 standard errors with probability 6e-7.
    assert abs(difference.mean()) < 5 * difference.std() / math.sqrt(len(difference))
    known = model.mixture.weights @ model.wiener_error(sigma)
    assert variance.mean() > known - 5 * variance.std() / math.sqrt(len(variance))


@pytest.mark.parametrize("change", [(0.95, 0), (0.98, 0), (1.02, 0), (1.05, 0), (1, 0.02), (1, -0.02), (0.97, 0.01)])
def test_no_scaled_or_shifted_version_of_the_denoiser_does_better(change: tuple[float, float]) -> None:
    model = PatchModel(**MIXED).double()
    # The change costs (1 − a)² E D² + b² ≥ 1.4e-5 per pixel; its estimate's standard error is 1.6e-6 or less.
    exact, changed = errors(model, 0.3, 20_000, (1, 0), change)
    difference = changed - exact
    assert difference.mean() > 5 * difference.std() / math.sqrt(len(difference))


def coefficients(model: PatchModel, images: np.ndarray) -> np.ndarray:
    """Coefficients (image, component, position), from the definition of the DCT."""
    rows, cols = (size // model.patch for size in images.shape[-2:])
    flat = images.reshape(-1, math.prod(images.shape[-2:])) @ dense_basis(model.patch, rows, cols)
    return flat.reshape(len(flat), model.patch**2, rows * cols)


SPHERE = PatchModel([1.0], [[0.2, 0.05, 0, 0.1]]).double()
SPHERE_PHI = np.array([0.3, 0.02, 0, 0.15])


def sphere_p_values(grid: tuple[int, int]) -> list[float]:
    """Of conditional draws of `SPHERE`, against the uniform law on spheres; 0 where energies are not as given."""
    draws, positions = 3000, math.prod(grid)
    images, _ = SPHERE.conditional(SPHERE_PHI, n=draws, rows=2 * grid[0], cols=2 * grid[1], seed=7)
    c = coefficients(SPHERE, images.values[0])
    found = [float(np.allclose((c**2).mean(axis=2), SPHERE_PHI, rtol=1e-9, atol=1e-25))]
    held = np.flatnonzero(SPHERE_PHI)
    cosine = stats.beta((positions - 1) / 2, (positions - 1) / 2, loc=-1, scale=2)
    unit = c[:, held] / np.sqrt(positions * SPHERE_PHI[held])[:, None]
    for j in held:
        law = coefficient_law(SPHERE_PHI[j], positions=positions)
        found += [stats.kstest(c[:, j, p], law.cdf).pvalue for p in (0, positions - 1)]
    for first, second in combinations(range(len(held)), 2):
        # Two independent directions have the law of one and a fixed one.
        found.append(stats.kstest((unit[:, first] * unit[:, second]).sum(axis=1), cosine.cdf).pvalue)
    for j in range(len(held)):
        found.append(stats.kstest((unit[::2, j] * unit[1::2, j]).sum(axis=1), cosine.cdf).pvalue)
        # Squares are Dirichlet(1/2, …), so two of them add up to Beta(1, P/2 − 1).
        share = unit[:, j, :2] ** 2
        found.append(stats.kstest(share.sum(axis=1), stats.beta(1, positions / 2 - 1).cdf).pvalue)
        found.append(product_p_value(share[:, 0] * share[:, 1], positions))
    return found


def product_p_value(products: np.ndarray, positions: int) -> float:
    """Of the mean product of two squares, whose correlation is −1/(P − 1), by its exact mean and variance."""
    total = positions / 2
    mean = 0.25 / (total * (total + 1))
    square = 0.75**2 / math.prod(total + i for i in range(4))
    # corr = cov/var with E s = 1/P and E s² = 0.75/(total (total + 1)).
    spread = 0.75 / (total * (total + 1)) - 1 / positions**2
    assert (mean - 1 / positions**2) / spread == pytest.approx(-1 / (positions - 1))
    z = (products.mean() - mean) / math.sqrt((square - mean**2) / len(products))
    return float(2 * stats.norm.sf(abs(z)))


@pytest.mark.parametrize("grid", [(2, 2), (2, 4), (4, 4)])
def test_conditional_draws_are_uniform_on_independent_spheres(grid: tuple[int, int]) -> None:
    assert not rejected(sphere_p_values(grid))


def gamma_density(variance: float, positions: int) -> Callable[[Any], Any]:
    return partial(stats.gamma.pdf, a=positions / 2, scale=2 * variance / positions)


def convolved(variances: tuple[float, float], phi: float, positions: int) -> float:
    """Density of a sum of two energies, by quadrature."""
    one, two = (gamma_density(v, positions) for v in variances)
    return integrate.quad(lambda e: one(e) * two(phi - e), 0, phi, epsabs=0, epsrel=1e-11, limit=200)[0]


@pytest.mark.parametrize("phi", [0.05, 0.25, 0.6])
@pytest.mark.parametrize("positions", [2, 5, 16, 64])
@pytest.mark.parametrize("variances", [(0.2, 0.05), (0.1, 0.1), (0.5, 0.01)])
def test_the_density_of_a_pooled_energy_and_of_its_split_are_those_of_quadrature(
    variances: tuple[float, float], positions: int, phi: float
) -> None:
    one, two = (gamma_density(v, positions) for v in variances)
    total = convolved(variances, phi, positions)
    law, split = EnergyLaw(variances, positions=positions), SplitLaw(variances, phi=phi, positions=positions)
    # Densities are asked of quad to 1e-11, cdfs to its default 1.5e-8; the law's own grid is finer.
    assert float(law.log_density(phi)) == pytest.approx(math.log(total), rel=1e-9, abs=1e-9)

    def density(energy: Any) -> Any:
        return one(energy) * two(phi - energy) / total

    energy = np.linspace(0, phi, 23)[1:-1]
    np.testing.assert_allclose(split.pdf(energy), density(energy), rtol=1e-8, atol=1e-12)
    below = [integrate.quad(density, 0, e, limit=200)[0] for e in energy[::5]]
    np.testing.assert_allclose(split.cdf(energy[::5]), below, atol=5e-8)


def test_the_moments_of_the_split_are_the_known_ones() -> None:
    law = SplitLaw([0.2, 0.05], phi=0.25, positions=64)
    assert round(law.mean(), 4) == 0.1997
    assert round(law.std(), 4) == 0.0086


SPLIT = PatchModel([1.0], [[0.2, 0.05, 0, 0.1]], pool=[[0, 1], [2], [3]]).double()


def split_p_value() -> float:
    """Of conditional draws' first energy, against its quadrature law, for λ = (0.2, 0.05), φ = 0.25, P = 64."""
    images, truth = SPLIT.conditional([0.25, 0, 0.1], n=2000, rows=16, cols=16, seed=9)
    measured = (coefficients(SPLIT, images.values[0]) ** 2).mean(axis=2)
    np.testing.assert_allclose(measured, truth.energy.values[0], rtol=1e-9, atol=1e-25)
    law = SplitLaw([0.2, 0.05], phi=0.25, positions=64)
    return stats.kstest(measured[:, 0], law.cdf).pvalue


def test_conditional_draws_split_a_pooled_energy_by_the_known_law() -> None:
    assert not rejected([split_p_value()])


def simplex_cdfs(variances: tuple[float, ...], phi: float, positions: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Energies, and cdfs of the three marginals there, by the midpoint rule over the simplex of splits."""
    count = 1500
    step = phi / count
    mid = (np.arange(count) + 0.5) * step
    density = []
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        a, b, c = (gamma_density(variances[j], positions) for j in order)
        rest = phi - mid[:, None] - mid[None]
        marginal = a(mid) * (b(mid)[None] * np.where(rest > 0, c(np.maximum(rest, 0)), 0)).sum(axis=1)
        density.append(marginal / marginal.sum())
    return (np.arange(count) + 1) * step, [np.cumsum(d) for d in density]


@pytest.mark.parametrize("variances", [(0.2, 0.05, 0.02), (0.1, 0.1, 0.03)])
def test_pools_of_three_are_split_by_their_law(variances: tuple[float, float, float]) -> None:
    # Gamma densities of shape 4 vanish with two derivatives at the ends: the midpoint rule is good to about 1e-6.
    positions, phi = 8, 0.3
    edges, cdfs = simplex_cdfs(variances, phi, positions)
    drawn = EnergyLaw(variances, positions=positions).split(np.full(4000, phi), rng=np.random.default_rng(1))
    np.testing.assert_allclose(drawn.sum(axis=1), phi, rtol=1e-12)
    p_values = []
    for j, cdf in enumerate(cdfs):
        law = SplitLaw(variances, phi=phi, positions=positions, component=j)
        np.testing.assert_allclose(law.cdf(edges), cdf, atol=1e-5)
        p_values.append(stats.kstest(drawn[:, j], law.cdf).pvalue)
    assert not rejected(p_values)
    wrong = EnergyLaw(variances[::-1], positions=positions).split(np.full(4000, phi), rng=np.random.default_rng(1))
    assert rejected([stats.kstest(wrong[:, 0], SplitLaw(variances, phi=phi, positions=positions).cdf).pvalue])


TWO = PatchModel([0.3, 0.7], [[0.2, 0.05, 0, 0.1], [0.1, 0.12, 0, 0.08]], pool=[[0, 1], [2], [3]]).double()


def test_classes_come_with_their_probabilities_given_phi() -> None:
    rows, positions, draws = 8, 16, 4000
    phis = [[0.25, 0, 0.1], [0.15, 0, 0.06], [0.4, 0, 0.2]]
    posterior = TWO.posterior_given_phi(phis, rows=rows, cols=rows)
    _, truth = TWO.conditional(phis, n=draws, rows=rows, cols=rows, seed=2)
    right, prior = [], []
    for phi, probabilities, subspace in zip(phis, posterior, truth.subspace.values, strict=True):
        densities = [
            weight * convolved((v[0], v[1]), phi[0], positions) * gamma_density(v[3], positions)(phi[2])
            for weight, v in zip(TWO.mixture.weights, TWO.mixture.variances, strict=True)
        ]
        expected = np.array(densities) / sum(densities)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-8)
        count = int((subspace == 1).sum())
        right.append(stats.binomtest(count, draws, expected[1]).pvalue)
        prior.append(stats.binomtest(count, draws, TWO.mixture.weights[1]).pvalue)
    assert not rejected(right)
    assert rejected(prior)


@pytest.mark.parametrize("model", [TWO, PatchModel(**MIXED, pool=[[0, 1, 2, 3]]).double()], ids=["two", "four"])
def test_images_redrawn_from_their_own_phi_have_the_law_of_images(model: PatchModel) -> None:
    # ∫ p(x | φ) p(φ) dφ = p(x): one set of images against the redrawn images of another, independent set.
    _, first = model.draw(3000, rows=8, cols=8, seed=21)
    _, second = model.draw(3000, rows=8, cols=8, seed=22)
    _, redrawn = model.conditional(second.phi, n=1, rows=8, cols=8, seed=23)
    assert (redrawn.energy.values[:, 0] != second.energy.values).any()
    p_values = []
    for k in range(2):
        a = first.energy.values[first.subspace.values == k]
        b = redrawn.energy.values[redrawn.subspace.values[:, 0] == k, 0]
        table = [[len(a), len(first.image) - len(a)], [len(b), len(first.image) - len(b)]]
        p_values.append(p_value(stats.chi2_contingency(table)))
        for j in np.flatnonzero(model.mixture.variances[k]):
            p_values.append(p_value(stats.ks_2samp(a[:, j], b[:, j])))
            p_values.append(p_value(stats.ks_2samp(a[:, j] / a.sum(axis=1), b[:, j] / b.sum(axis=1))))
    assert not rejected(p_values)
