"""Distances between densities against closed forms: normal laws, folded normals, the patch model's conditional laws."""

import math
from collections.abc import Callable
from itertools import combinations, permutations

import numpy as np
import ot
import pytest
import torch
import xarray as xr
from scipy import stats
from scipy.special import ive

from analyses import densities
from analyses.densities import kernels_ranks
from analyses.densities.divergence import divergence_terms
from analyses.densities.kernels_distances import debiased, gaussian_wasserstein, measured, patch_wasserstein
from probekit.synthetic.patch_laws import wasserstein2
from probekit.synthetic.patch_model import PatchModel

ROWS, POSITIONS, CONDITIONS = 8, 16, 21


def kernel(measure: str, a: np.ndarray, b: np.ndarray, projections: int = 50) -> float:
    return measured(a, b, measure, projections=projections, seed=0)


def folded_mean(shift: float, spread: float) -> float:
    """E|N(shift, spread²)|."""
    return spread * math.sqrt(2 / math.pi) * math.exp(-(shift**2) / (2 * spread**2)) + shift * math.erf(
        shift / (spread * math.sqrt(2))
    )


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_the_energy_distance_of_two_normal_laws_is_that_of_folded_normals(shift: float) -> None:
    rng = np.random.default_rng(1)
    exact = 2 * folded_mean(shift, math.sqrt(2)) - 2 * folded_mean(0, math.sqrt(2))
    found = [kernel("energy", rng.normal(size=(20, 1)), rng.normal(shift, 1, (30, 1))) for _ in range(200)]
    # Unbiased: the mean of independent replicates is within 5 of its standard errors, missed once in a million.
    assert abs(np.mean(found) - exact) < 5 * np.std(found, ddof=1) / math.sqrt(len(found))


def test_the_plug_in_energy_distance_is_biased_upward_by_what_its_description_says() -> None:
    rng = np.random.default_rng(2)
    pairs = [rng.normal(size=(2, 20, 3)) for _ in range(200)]
    found = [kernel("energy_plug_in", *pair) for pair in pairs]
    # E‖X − X'‖ of standard normal points in 3 dimensions is 4/√π; each law's own share is that over n.
    bias = 2 * 4 / math.sqrt(math.pi) / 20
    assert abs(np.mean(found) - bias) < 5 * np.std(found, ddof=1) / math.sqrt(len(found))


def test_a_shift_moves_the_sliced_distance_by_its_length_over_the_root_of_the_dimension() -> None:
    rng = np.random.default_rng(3)
    a, shift, projections = rng.normal(size=(40, 6)), np.arange(6.0), 2000
    found = kernel("sliced_wasserstein", a, a + shift, projections) ** 2
    # Each projection is moved by θ·m, and (θ·m)²/‖m‖² ~ Beta(1/2, 5/2): five standard errors of its mean.
    square = (shift**2).sum()
    assert abs(found - square / 6) < 5 * square * stats.beta(0.5, 2.5).std() / math.sqrt(projections)


@pytest.mark.parametrize("dimensions", [3, 50])
def test_the_gaussian_distance_to_a_symmetric_image_of_the_samples_is_the_length_of_that_map(dimensions: int) -> None:
    rng = np.random.default_rng(4)
    a = rng.normal(size=(20, dimensions))
    root = rng.normal(size=(dimensions, dimensions))
    b = a @ (root @ root.T) / dimensions + rng.normal(size=dimensions)
    # A symmetric positive map is the gradient of a convex function, hence optimal between what it connects.
    assert gaussian_wasserstein(a, b) ** 2 == pytest.approx(((a - b) ** 2).sum(axis=1).mean(), rel=1e-9)


def test_the_gaussian_distance_is_that_of_pot_where_there_are_more_samples_than_dimensions() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(200, 4)), rng.normal(1, 2, size=(300, 4))
    pot = ot.gaussian.bures_wasserstein_distance(a.mean(0), b.mean(0), np.cov(a.T, ddof=0), np.cov(b.T, ddof=0))
    assert gaussian_wasserstein(a, b) == pytest.approx(float(pot), rel=1e-8)


def test_the_debiased_gaussian_distance_of_one_law_has_mean_zero_however_few_samples() -> None:
    rng = np.random.default_rng(6)
    found = [debiased(*rng.normal(size=(2, 10, 30))) for _ in range(200)]
    plain = [gaussian_wasserstein(*rng.normal(size=(2, 10, 30))) ** 2 for _ in range(20)]
    # By symmetry its terms have one mean: within 5 standard errors. Without the correction it would be far off.
    bound = 5 * np.std(found, ddof=1) / math.sqrt(len(found))
    assert abs(np.mean(found)) < bound < 0.1 * np.mean(plain)


def gaussian(mean: float, variance: float) -> Callable[[torch.Tensor, float], torch.Tensor]:
    return lambda y, sigma: (y * variance + mean * sigma**2) / (variance + sigma**2)


def kl(m: float, a: float, b: float, d: int) -> float:
    """Of N(0, a I) from N(m, b I) in d dimensions."""
    return d / 2 * (a / b - 1 + m**2 / b + math.log(b / a))


@pytest.mark.parametrize(("mean", "a", "b"), [(0.0, 1.0, 4.0), (0.0, 4.0, 1.0), (1.5, 1.0, 1.0), (-1.0, 0.5, 2.0)])
def test_the_divergence_along_noise_is_that_of_the_laws_blurred_by_the_cut_offs(
    mean: float, a: float, b: float
) -> None:
    d, levels = 3, np.geomspace(0.1, 5, 40)
    x = torch.from_numpy(np.random.default_rng(7).normal(0, math.sqrt(a), (2000, d)))
    found = densities.along_noise(gaussian(0, a), gaussian(mean, b), x, sigma=levels, draws=2, seed=1)
    exact = kl(mean, a + 0.01, b + 0.01, d) - kl(mean, a + 25, b + 25, d)

    def integral(at: np.ndarray) -> float:
        s = at**2
        gain = a / (a + s) - b / (b + s)
        return float(divergence_terms(d * (gain**2 * (a + s) + (mean * s / (b + s)) ** 2)[None], at)[0])

    # A second-order rule is off by 4/3 of what halving its step changes; rounded up to twice that.
    finer = np.geomspace(0.1, 5, 79)
    quadrature = 2 * abs(integral(levels) - integral(finer))
    assert abs(integral(levels) - exact) <= quadrature < 0.02 * exact
    # The samples' own error: five standard errors.
    assert abs(found.divergence.item() - exact) < quadrature + 5 * found.divergence_se.item()


def test_the_empirical_denoiser_of_two_points_is_a_hyperbolic_tangent() -> None:
    point = torch.tensor([[1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
    y = torch.from_numpy(np.random.default_rng(8).normal(size=(50, 2)))
    found = densities.empirical_denoiser(point)(y, 0.7)
    expected = torch.tanh(y @ point[0] / 0.49)[:, None] * point[0]
    torch.testing.assert_close(found, expected)


def sphere_denoiser(energy: np.ndarray) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """The posterior mean of coefficients (n, J, P) where each c_j is uniform on a sphere of radius r.

    The posterior is a von Mises–Fisher law, of mean length r I_{P/2}(κ)/I_{P/2−1}(κ) with κ = r‖y_j‖/σ².
    """
    radius = np.sqrt(POSITIONS * energy)[:, None]

    def denoise(y: torch.Tensor, sigma: float) -> torch.Tensor:
        length = y.norm(dim=2, keepdim=True).numpy()
        kappa = radius * length / sigma**2
        mean = radius * ive(POSITIONS / 2, kappa) / ive(POSITIONS / 2 - 1, kappa)
        return y * torch.from_numpy(mean / length)

    return denoise


def conditions(fixed_total: bool) -> tuple[PatchModel, np.ndarray]:
    model = PatchModel([1.0], [[0.2, 0.1, 0.1, 0.05]]).double()
    energy = np.random.default_rng(0).gamma(1.0, 0.1, size=(CONDITIONS, 4))
    return model, 0.4 * energy / energy.sum(axis=1, keepdims=True) if fixed_total else energy


@pytest.mark.parametrize("fixed_total", [False, True])
@pytest.mark.parametrize("measure", ["gaussian_wasserstein", "gaussian_wasserstein_debiased"])
def test_gaussian_distances_of_exact_conditional_draws_rank_pairs_as_the_known_wasserstein_distance_does(
    measure: str, fixed_total: bool
) -> None:
    model, energy = conditions(fixed_total)
    images = model.conditional(energy, n=160, rows=ROWS, cols=ROWS, seed=1).images
    found = densities.over_pairs(images, measure=measure)
    assert found.sizes["pair"] == 210
    first, second = found["first"].values.astype(int), found["second"].values.astype(int)
    known = wasserstein2(energy[first], energy[second], positions=POSITIONS)
    assert stats.spearmanr(found, known)[0] >= 0.95


@pytest.mark.parametrize("fixed_total", [False, True])
def test_divergences_along_noise_of_exact_denoisers_rank_pairs_as_the_known_wasserstein_distance_does(
    fixed_total: bool,
) -> None:
    model, energy = conditions(fixed_total)
    images = model.conditional(energy, n=4, rows=ROWS, cols=ROWS, seed=1).images
    denoise = [sphere_denoiser(e) for e in energy]
    # Coefficients instead of pixels: the transform is orthonormal, so divergences are the same.
    x = [model.analysis(torch.from_numpy(values)).flatten(2) for values in images.values]
    levels = np.geomspace(0.05, 3, 8)
    pairs = list(combinations(range(CONDITIONS), 2))
    found = [
        sum(
            densities.along_noise(denoise[p], denoise[q], x[p], sigma=levels).divergence.item()
            for p, q in ((i, j), (j, i))
        )
        for i, j in pairs
    ]
    known = [float(wasserstein2(energy[i], energy[j], positions=POSITIONS)) for i, j in pairs]
    assert stats.spearmanr(found, known)[0] >= 0.95


def test_a_measure_that_ignores_the_laws_spread_does_not_rank_as_the_known_distance_does() -> None:
    model, energy = conditions(False)
    images = model.conditional(energy, n=160, rows=ROWS, cols=ROWS, seed=1).images
    means = images.mean("sample").values.reshape(CONDITIONS, -1)
    pairs = np.array(list(combinations(range(CONDITIONS), 2)))
    known = wasserstein2(energy[pairs[:, 0]], energy[pairs[:, 1]], positions=POSITIONS)
    assert stats.spearmanr(kernels_ranks.feature_distances(means, pairs), known)[0] < 0.95


def test_the_rank_correlation_is_scipys_ties_included() -> None:
    rng = np.random.default_rng(9)
    several, b = rng.integers(0, 5, size=(4, 60)), rng.integers(0, 5, size=60)
    expected = [stats.spearmanr(a, b)[0] for a in several]
    np.testing.assert_allclose(kernels_ranks.spearman(several, b), expected, atol=1e-12)
    assert math.isnan(kernels_ranks.spearman(several[0], np.ones(60)))


def test_a_weighted_rank_correlation_is_that_of_pairs_written_out_as_often_as_they_count() -> None:
    rng = np.random.default_rng(10)
    a, b = rng.integers(0, 6, size=(2, 30)).astype(float)
    weights = rng.integers(0, 4, size=(5, 30)).astype(float)
    ranks = [kernels_ranks.weighted_ranks(v, weights) for v in (a, b)]
    found = kernels_ranks.weighted_correlation(*ranks, weights)
    expected = [stats.spearmanr(*(np.repeat(v, w.astype(int)) for v in (a, b)))[0] for w in weights]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 17])
def test_all_pairs_are_the_combinations_of_two_conditions(count: int) -> None:
    assert set(map(tuple, kernels_ranks.chosen_pairs(count, None, 0).tolist())) == set(combinations(range(count), 2))


@pytest.mark.parametrize("chunk", [kernels_ranks.CHUNK, 25])
def test_the_permutation_p_value_is_the_share_of_all_arrangements_of_the_conditions(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_ranks, "CHUNK", chunk)
    rng = np.random.default_rng(2)
    pairs = kernels_ranks.chosen_pairs(5, None, 0)
    features = rng.normal(size=(5, 2))
    target = kernels_ranks.feature_distances(features, pairs) + rng.random(10)
    every = [
        stats.spearmanr(kernels_ranks.feature_distances(features[list(order)], pairs), target)[0]
        for order in permutations(range(5))
    ]
    exact = float(np.mean(np.array(every) >= every[0] - 1e-9))
    assert exact == pytest.approx(4 / 120)
    found = kernels_ranks.permutation_p(features, target, pairs, permutations=5000, seed=0)
    # Five standard deviations of a binomial share, and the one arrangement that is always counted.
    assert abs(found - exact) < 5 * math.sqrt(exact * (1 - exact) / 5000) + 1 / 5001


def test_a_relation_that_is_known_is_found_and_pixels_that_know_nothing_are_below_it() -> None:
    rng = np.random.default_rng(11)
    place = rng.normal(size=(25, 2))
    x = xr.DataArray(place[:, None] + 0.1 * rng.normal(size=(25, 40, 2)), dims=("image", "sample", "col"))
    phi = xr.DataArray(place, dims=("image", "channel"))
    pixels = xr.DataArray(rng.normal(size=(25, 4)), dims=("image", "col"))
    found = densities.correlate(densities.over_pairs(x), phi, pixels=pixels)
    # Of shifted copies of one law the energy distance is a function of the shift: only noise, here a tenth of the
    # conditions' spread, keeps the ranks from being the same.
    assert found.correlation.sel(feature="phi") > 0.95
    assert found.p.sel(feature="phi").item() == 0.001
    assert found.difference_low > 0
    assert found.correlation_low.sel(feature="pixels") < 0 < found.correlation_high.sel(feature="pixels")


def test_tiles_of_samples_that_are_one_tile_each_are_samples() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 6)), rng.normal(1, 2, size=(50, 6))
    whole = gaussian_wasserstein(a, b)
    assert patch_wasserstein(a, b) == pytest.approx(whole)
    assert patch_wasserstein(a[:, None], b[:, None]) == pytest.approx(whole)
    # Three numbers twice, taken as two tiles of one law: W₂² of two tiles is twice that of one.
    tiled = patch_wasserstein(*(x.reshape(-1, 2, 3) for x in (a, b)))
    pooled = gaussian_wasserstein(*(x.reshape(-1, 3) for x in (a, b)))
    assert tiled == pytest.approx(np.sqrt(2) * pooled)
