"""Samples given φ against laws that are known: uniform on spheres, and a split of pooled energies by the prior."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import probekit
from analyses import sampling
from probekit.synthetic.patch_laws import SplitLaw, coefficient_law
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.sampling.making import METHODS

# Of a family of true hypotheses Holm's procedure rejects any with probability at most LEVEL.
LEVEL = 0.01
FINE = np.geomspace(1, 0.003, 20)
# Mean within half an exact standard deviation, and standard deviation within a fifth of it.
MEAN, SPREAD = 0.5, 0.2
# λ, φ, P: about the prior's mean, far out in its tails, equal and very unequal variances.
POOLED = [
    ((0.2, 0.05), 0.25, 64),
    ((0.2, 0.05), 0.4, 64),
    ((0.2, 0.05), 0.13, 64),
    ((0.5, 0.01), 0.4, 16),
    ((1.0, 0.3), 0.9, 16),
    ((0.3, 0.25), 0.7, 36),
]


def rejected(p_values: list[float]) -> bool:
    """Whether Holm's procedure rejects any, as Bonferroni's does."""
    return min(p_values) * len(p_values) < LEVEL


def pooled_model(variances: tuple[float, float]) -> PatchModel:
    return PatchModel([1.0], [[*variances, 0, 0]], pool=[[0, 1], [2, 3]]).double()


def condition(model: PatchModel, phi: list[float], positions: int) -> xr.DataArray:
    side = model.patch * math.isqrt(positions)
    return model.conditional(phi, n=1, rows=side, cols=side, seed=1).images.isel(sample=0, drop=True)


def sampled(model: PatchModel, images: xr.DataArray | sampling.Condition, n: int, **options: Any) -> np.ndarray:
    """Coefficients (sample, component, position) of samples of one condition."""
    made = sampling.reconstruct(
        model, probekit.tap(model, "mid"), images, n_samples=n, progress=False, **{"sigmas": FINE, **options}
    )
    return coefficients(model, made.samples.values[0])


def coefficients(model: PatchModel, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model.analysis(torch.from_numpy(pixels)).flatten(2).numpy()


def split_errors(c: np.ndarray, law: SplitLaw) -> tuple[float, float]:
    """Error of the mean of ē₁ in exact standard deviations, and ratio of standard deviations."""
    energy = np.square(c[:, 0]).mean(axis=1)
    return (energy.mean() - law.mean()) / law.std(), energy.std(ddof=1) / law.std()


def splits_as_the_prior_does(c: np.ndarray, law: SplitLaw) -> bool:
    away, ratio = split_errors(c, law)
    return abs(away) < MEAN and abs(ratio - 1) < SPREAD


def sphere_p_values(c: np.ndarray, held: np.ndarray) -> list[float]:
    """Tests that each map in `held` is uniform on its sphere, and independent of the others.

    A coordinate of the unit sphere in R^P follows a Beta law, sign included; squares of two coordinates of radius √P
    have the mean product P/(P + 2) (correlation −1/(P − 1)) and its variance from E x⁴y⁴ = 9P³/((P+2)(P+4)(P+6));
    maps of two components are orthogonal but for t-distributed products.
    """
    n, _, p = c.shape
    unit = c[:, held] / np.sqrt(np.square(c[:, held]).mean(axis=2, keepdims=True))
    law = coefficient_law(1.0, positions=p)
    found = [float(stats.kstest(unit[:, j, j % p], law.cdf).pvalue) for j in range(unit.shape[1])]
    product = np.square(unit[..., 0]) * np.square(unit[..., 1])
    variance = 9 * p**3 / ((p + 2) * (p + 4) * (p + 6)) - (p / (p + 2)) ** 2
    z = (product.mean(axis=0) - p / (p + 2)) / math.sqrt(variance / n)
    found += list(2 * stats.norm.sf(np.abs(z)))
    if unit.shape[1] > 1:
        # The cosine of a uniform direction with any other is a coordinate of the unit sphere.
        cosine = np.einsum("np,np->n", unit[:, 0], unit[:, 1]) / math.sqrt(p)
        found.append(float(stats.kstest(cosine, law.cdf).pvalue))
    # Samples are independent of one another: so are the first two maps of neighbours.
    follower = np.einsum("np,np->n", unit[:-1:2, 0], unit[1::2, 0]) / math.sqrt(p)
    found.append(float(stats.kstest(follower, law.cdf).pvalue))
    return found


SPHERE = PatchModel([0.5, 0.5], [[0.3, 0.1, 0, 0], [0.3, 0, 0.05, 0]]).double()
SPHERE_PHI = [0.25, 0.12, 0, 0]
HELD = np.array([0, 1])
guidance_alone = {"method": "guidance", "guidance": "rescale", "tolerance": 1e-8}


@cache
def on_the_sphere(positions: int, n: int, **options: Any) -> np.ndarray:
    return sampled(SPHERE, condition(SPHERE, SPHERE_PHI, positions), n, **options)


@cache
def split(case: int, n: int, method: str = "langevin", **options: Any) -> tuple[np.ndarray, SplitLaw]:
    variances, phi, positions = POOLED[case]
    model = pooled_model(variances)
    given = condition(model, [phi, 0], positions)
    return sampled(model, given, n, method=method, **options), SplitLaw(variances, phi=phi, positions=positions)


@pytest.mark.parametrize("positions", [16, 64])
def test_exact_draws_pass_both_laws(positions: int) -> None:
    side = 2 * math.isqrt(positions)
    drawn = SPHERE.conditional(SPHERE_PHI, n=400, rows=side, cols=side, seed=3).images.values[0]
    assert not rejected(sphere_p_values(coefficients(SPHERE, drawn), HELD))
    variances, phi, _ = POOLED[0]
    model, law = pooled_model(variances), SplitLaw(variances, phi=phi, positions=positions)
    c = coefficients(model, model.conditional([phi, 0], n=400, rows=side, cols=side, seed=3).images.values[0])
    assert not rejected([float(stats.kstest(np.square(c[:, 0]).mean(axis=1), law.cdf).pvalue)])
    assert splits_as_the_prior_does(c, law)


@pytest.mark.parametrize("positions", [16, 64])
def test_the_default_sampler_is_uniform_on_the_spheres_that_phi_fixes(positions: int) -> None:
    c = on_the_sphere(positions, 400)
    assert not rejected(sphere_p_values(c, HELD))
    assert np.abs(c[:, ~np.isin(np.arange(4), HELD)]).max() < 1e-6


@settings(max_examples=8)
@given(
    st.lists(st.floats(0.03, 1), min_size=1, max_size=4), st.sampled_from([16, 36]), st.floats(0.002, 0.01), st.data()
)
def test_energies_are_phi_within_what_noise_and_tolerance_leave(
    variances: list[float], positions: int, last: float, data: st.DataObject
) -> None:
    variances = [*variances, *[0.0] * (4 - len(variances))]
    model = PatchModel([1.0], [variances]).double()
    share = data.draw(st.floats(0.6, 1.6))
    phi = np.array(variances) * share
    c = sampled(model, condition(model, list(phi), positions), 20, sigmas=np.geomspace(1, last, 20))
    held = phi > 0
    energy = np.square(c).mean(axis=2)
    # The last guidance leaves the weighted mean square under its tolerance of 0.1 over 4 channels: |r_c| ≤ √0.4 s_c,
    # s_c at least a tenth of the largest spread; targets themselves are means of 10 draws, within 6 s_c/√10 of the
    # truth, and what clean estimates show are means of 4, within 6 s_c/√4 of their φ; spreads of 10 draws are at most
    # √(29/9) ≈ 1.8 times the true ones (χ²₉ > 29 has probability 7e-4).
    spread = np.sqrt((4 * last**2 * phi + 2 * last**4) / positions)
    slack = (1.8 * math.sqrt(0.4) + 6 / math.sqrt(10) + 6 / 2) * np.maximum(spread, 0.1 * spread.max())
    assert (np.abs(energy - phi)[:, held] <= slack[held]).all()
    assert energy[:, ~held].max(initial=0) < 1e-12


class Faded(PatchModel):
    """A denoiser that takes a tenth off everything, at any noise level."""

    def forward(self, y: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        return 0.9 * super().forward(y, sigma)


def test_phi_of_samples_is_as_asked_though_the_denoiser_errs_at_the_end() -> None:
    model = Faded([1.0], [[0.2, 0.05, 0, 0]]).double()
    images = condition(model, [0.2, 0.05, 0, 0], 64)
    made = {n: np.square(sampled(model, images, 20, final_draws=n)).mean(axis=2)[:, :2] for n in (0, 4)}
    away = {n: np.abs(energy / [0.2, 0.05] - 1) for n, energy in made.items()}
    # Nine tenths of the amplitude are 0.81 of the energy. At σ = 0.003 a draw's relative standard deviation is
    # 2σ/√(Pē) = 0.0017 and 0.0034: bounds as for the energies above.
    assert (away[0] > 0.15).all()
    assert (away[4] < (1.8 * math.sqrt(0.4) + 6 / math.sqrt(10) + 6 / 2) * np.array([0.0017, 0.0034])).all()


def test_the_last_move_sees_noise_and_its_opposite_so_that_what_they_add_to_phi_cancels() -> None:
    model = pooled_model((0.2, 0.05))
    images, last = condition(model, [0.25, 0], 64), FINE[-1]
    tap = probekit.tap(model, "mid")
    measured = tap(images.values, sigma=list(FINE), draws=10)
    # Two components a channel, each of which has σ² of noise.
    phi = np.array([0.25, 0.0]) + 2 * FINE[:, None] ** 2
    exact = measured.assign(phi=measured.phi.copy(data=phi[None].astype(measured.phi.dtype)))
    asked = sampling.Condition.from_phi(tap, exact, list(FINE), shape=(1, 16, 16))
    away = {}
    for draws in (1, 2):
        c = sampled(model, asked, 20, sigmas=None, final_draws=draws, tolerance=1e-6)
        away[draws] = np.abs(np.square(c[:, :2]).mean(axis=2).sum(axis=1) - 0.25)
    # ē(x + σz) − ē(x) = 2σ⟨x, z⟩/P + σ⟨z, z⟩σ/P. Of one draw the first term stays, of deviation s = 2σ√(ē/P); of a pair
    # only the second, of mean σ² a component and deviation σ²√(2/P) each; and the tolerance, √(2 · 1e-6) of at most
    # 1.8 s, and the rounding of φ to float32.
    one = 2 * last * math.sqrt(0.25 / 64)
    assert away[2].max() < 6 * last**2 * math.sqrt(2 * 2 / 64) + 1.8 * math.sqrt(2e-6) * one + 2**-24 * 0.25
    # Twenty normal numbers, half of which are beyond 0.67 deviations.
    assert np.median(away[1]) > 0.3 * one


@pytest.mark.parametrize("method", ["langevin", "unconditional"])
def test_langevin_steps_are_fewer_where_noise_is_too_small_to_move_images(method: str) -> None:
    def passes(**options: int) -> int:
        given = {"sigmas": np.geomspace(1, 0.1, 10), "n_samples": 1, "progress": False, "final_draws": 0, **options}
        found = sampling.reconstruct(SPHERE, probekit.tap(SPHERE, "mid"), THREE[:1], method=method, **given)
        return int(found.evaluations.item())

    # A clean estimate at each of 10 levels, and one a step: at 7 levels so many, at 3 fewer.
    assert passes(correctors=3, last_correctors=1) == 10 + 7 * 3 + 3 * 1
    assert passes(correctors=2, last_correctors=0) == 10 + 7 * 2
    assert passes(correctors=2, last_correctors=5) == 10 + 10 * 2


@pytest.mark.parametrize("case", range(len(POOLED)))
def test_the_default_sampler_splits_pooled_energy_as_the_prior_does(case: int) -> None:
    # Of 300 samples the mean has a standard error of 0.06 and the spread of 4 %: both well inside the bounds.
    c, law = split(case, 300)
    assert splits_as_the_prior_does(c, law)


@settings(max_examples=4)
@given(st.floats(0.02, 1), st.floats(0.02, 1), st.floats(0.7, 1.4), st.sampled_from([16, 36]))
def test_it_does_so_for_any_two_variances(first: float, second: float, share: float, positions: int) -> None:
    phi = share * (first + second)
    model, law = pooled_model((first, second)), SplitLaw([first, second], phi=phi, positions=positions)
    assert splits_as_the_prior_does(sampled(model, condition(model, [phi, 0], positions), 300), law)


@pytest.mark.parametrize(
    ("variances", "prior", "phi", "most"),
    [
        # Shares are the same at every level, so that none is frozen in.
        ([[0.2, 0.05], [0.05, 0.2]], [0.7, 0.3], 0.25, 0.0),
        # p(k | ā(y) = φ_σ) of the first class goes from 0.50 at σ = 1 to 0.57: what is frozen in may be as far off.
        ([[0.3, 0.02], [0.1, 0.15]], [0.5, 0.5], 0.29, 0.07),
    ],
)
def test_classes_are_drawn_as_the_prior_and_phi_say(
    variances: list[list[float]], prior: list[float], phi: float, most: float
) -> None:
    model = PatchModel(prior, [[*v, 0, 0] for v in variances], pool=[[0, 1], [2, 3]]).double()
    images = condition(model, [phi, 0], 64)
    exact = model.posterior_given_phi([phi, 0], rows=16, cols=16)[0, 0]
    energy = np.square(sampled(model, images, 400)).mean(axis=2)[:, :2]
    first, second = (32 * (np.log(v) + energy / v).sum(axis=1) for v in np.array(variances))
    share = (prior[0] * np.exp(-first) / (prior[0] * np.exp(-first) + prior[1] * np.exp(-second))).mean()
    # The mean of 400 shares in [0, 1] has a standard error of at most √(p(1 − p)/400).
    assert abs(share - exact) < most + 3 * math.sqrt(exact * (1 - exact) / 400)


@st.composite
def mixtures(draw: st.DrawFn) -> PatchModel:
    """One to three classes with components 0 and 1 in all their supports, others in some; channels pooled or not."""
    variance = st.floats(0.03, 1)
    rows = [
        [draw(variance), draw(variance), *(draw(st.one_of(st.just(0.0), variance)) for _ in range(2))]
        for _ in range(draw(st.integers(1, 3)))
    ]
    pool = draw(st.sampled_from([None, [[0, 1], [2, 3]], [[0, 2], [1, 3]], [[0], [1, 2, 3]]]))
    weight = np.array(draw(st.lists(st.floats(0.2, 1), min_size=len(rows), max_size=len(rows))))
    return PatchModel(list(weight / weight.sum()), rows, pool=pool).double()


@settings(max_examples=6)
@given(mixtures(), st.integers(0, 2**16))
def test_directions_are_uniform_for_any_classes_supports_and_pools(model: PatchModel, seed: int) -> None:
    images = model.draw(1, rows=8, cols=8, seed=seed).images
    c = sampled(model, images, 100, sigmas=np.geomspace(1, 0.003, 12))
    # Each map is isotropic whatever its energy. Bonferroni over examples too, as many as are drawn in ten runs.
    p_values = sphere_p_values(c, HELD)
    assert min(p_values) * len(p_values) > LEVEL / 60


@pytest.mark.parametrize("sigmas", [np.geomspace(1, 0.005, 25), np.linspace(1, 0.005, 40)])
def test_the_split_does_not_depend_on_the_schedule(sigmas: np.ndarray) -> None:
    variances, phi, positions = POOLED[0]
    model = pooled_model(variances)
    c = sampled(model, condition(model, [phi, 0], positions), 100, sigmas=sigmas)
    assert splits_as_the_prior_does(c, SplitLaw(variances, phi=phi, positions=positions))


@cache
def by_particles() -> tuple[np.ndarray, np.ndarray, SplitLaw]:
    levels = np.geomspace(1, 0.005, 60)
    options = {"method": "particles", "particles": 24, "sigmas": levels}
    model, (variances, phi, _) = pooled_model(POOLED[0][0]), POOLED[0]
    pooled = sampled(model, condition(model, [phi, 0], 16), 100, **options)
    sphere = sampled(SPHERE, condition(SPHERE, SPHERE_PHI, 16), 100, **options)
    return pooled, sphere, SplitLaw(variances, phi=phi, positions=16)


def test_the_particle_reference_passes_both_laws() -> None:
    pooled, sphere, law = by_particles()
    # Of 100 samples the mean has a standard error of 0.1, the spread of 7 %.
    assert splits_as_the_prior_does(pooled, law)
    assert not rejected(sphere_p_values(sphere, HELD))


def test_algorithm_1_with_exact_guidance_has_its_known_bias() -> None:
    # 0.2209, standard deviation 0.0051 (exact: 0.1997, 0.0086): to its last digit, and 4 standard errors.
    c, law = split(
        0, 200, method="algorithm1", guidance="rescale", tolerance=1e-6, sigmas=tuple(np.linspace(1, 0.003, 100))
    )
    energy = np.square(c[:, 0]).mean(axis=1)
    assert abs(energy.mean() - 0.2209) < 0.00005 + 4 * 0.0051 / math.sqrt(200)
    assert abs(energy.std() / 0.0051 - 1) < 4 / math.sqrt(400)
    assert not splits_as_the_prior_does(c, law)


@pytest.mark.parametrize("method", ["score", "guidance"])
def test_half_of_algorithm_1_does_not_sample_the_pooled_law(method: str) -> None:
    options = guidance_alone if method == "guidance" else {"method": method}
    c, law = split(0, 100, **options)
    assert not splits_as_the_prior_does(c, law)


def test_the_score_alone_misses_the_energies() -> None:
    c = on_the_sphere(16, 100, method="score")
    assert np.abs(np.square(c[:, 0]).mean(axis=1) / SPHERE_PHI[0] - 1).max() > 0.5


def test_guidance_alone_by_exact_rescaling_passes_the_sphere_law() -> None:
    assert not rejected(sphere_p_values(on_the_sphere(16, 400, **guidance_alone), HELD))


def test_pixelwise_adam_alone_fails_the_sphere_law() -> None:
    adam = {
        "method": "guidance",
        "guidance": "adam",
        "tolerance": 1e-3,
        "guidance_steps": 300,
        "sigmas": (1.0, 0.1, 0.003),
    }
    assert rejected(sphere_p_values(on_the_sphere(16, 400, **adam), HELD))


def test_without_a_condition_samples_follow_the_prior() -> None:
    # ē₁ is λ₁ χ²_P/P; the bounds are those of the pooled law, of which this is the one without φ.
    c, _ = split(0, 300, method="unconditional")
    energy = np.square(c[:, 0]).mean(axis=1)
    exact = 0.2 * math.sqrt(2 / 64)
    assert abs(energy.mean() - 0.2) < MEAN * exact
    assert abs(energy.std() / exact - 1) < SPREAD


# A few steps of each: that samples depend on nothing but their own noise shows in the first.
SHORT: dict[str, dict[str, Any]] = {
    "adaptive": {"h0": 0.3, "until": 0.1},
    "algorithm1": {"guidance_steps": 10},
    "guidance": {"guidance_steps": 10},
    "particles": {"particles": 16},
}
THREE = SPHERE.draw(3, rows=8, cols=8, seed=0).images


def few(method: str, images: xr.DataArray = THREE, **options: Any) -> xr.DataArray:
    given = {"sigmas": [1, 0.3, 0.1], "n_samples": 2, "progress": False, **SHORT.get(method, {}), **options}
    return sampling.reconstruct(SPHERE, probekit.tap(SPHERE, "mid"), images, method=method, **given).samples


@cache
def together(method: str) -> xr.DataArray:
    return few(method)


@pytest.mark.parametrize("method", METHODS)
def test_one_seed_gives_one_result_whatever_the_batching_and_others_differ(method: str) -> None:
    whole = together(method)
    # The samples of an image apart, and those of two images together.
    for batch in (1, 4):
        np.testing.assert_allclose(few(method, batch_size=batch), whole, atol=1e-6)
    np.testing.assert_allclose(few(method, THREE.isel(image=[2])), whole.isel(image=[2]), atol=1e-6)
    assert float(abs(few(method, seed=1) - whole).mean()) > 0.01
    assert float(abs(whole.isel(sample=0) - whole.isel(sample=1)).mean()) > 0.01


# How φ varies over noise is unknown of one draw, and measured of three.
@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("method", ["langevin", "particles"])
def test_samples_do_not_depend_on_images_of_another_scale_in_their_batch(method: str, draws: int) -> None:
    images = THREE * xr.DataArray([1.0, 3.0, 0.3], dims="image")
    alone, in_one_batch = (few(method, images, draws=draws, batch_size=size) for size in (1, 6))
    np.testing.assert_allclose(alone, in_one_batch, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_permutation_of_conditions_permutes_the_samples(method: str) -> None:
    whole = together(method)
    turned = few(method, THREE.isel(image=[2, 0, 1]))
    np.testing.assert_allclose(turned.sel(image=whole.image), whole, atol=1e-6)
