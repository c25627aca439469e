"""Laws of the patch model: identities, symmetries and what conditioning keeps, over drawn models."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import probekit
from probekit.synthetic.patch_laws import EnergyLaw, SplitLaw, wasserstein2
from probekit.synthetic.patch_model import PatchModel
from probekit.synthetic.patch_strategies import patch_models

SIGMAS = st.floats(0.05, 2.0)
SEEDS = st.integers(0, 2**16)
VARIANCES = st.lists(st.floats(0.02, 1.0), min_size=1, max_size=4)


def noisy(model: PatchModel, sigma: float, seed: int, count: int = 3) -> torch.Tensor:
    """Noisy images of the model, of 2×3 patches."""
    x = model.draw(count, rows=2 * model.patch, cols=3 * model.patch, seed=seed).images.values
    return torch.from_numpy(x + sigma * np.random.default_rng(seed).standard_normal(x.shape))


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@given(patch_models())
def test_drawn_models_are_mixtures_with_pools_that_partition_the_components(model: PatchModel) -> None:
    mixture = model.mixture
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-15)
    assert len(mixture.weights) <= 4
    assert mixture.variances.shape == (len(mixture.weights), model.patch**2)
    assert model.patch in (2, 3, 4)
    positive = mixture.variances > 0
    assert (positive.sum(axis=1) >= 1).all()
    assert (positive.sum(axis=1) <= 6).all()
    assert ((mixture.variances[positive] >= 1 / 128) & (mixture.variances[positive] <= 1)).all()
    assert sorted(j for group in mixture.pool for j in group) == list(range(model.patch**2))
    assert model.analysis.weight.dtype == torch.float64


@given(patch_models(), SIGMAS, SEEDS)
def test_phi_is_the_energy_plus_the_noises_and_a_tap_reads_the_noisy_energy(
    model: PatchModel, sigma: float, seed: int
) -> None:
    images, truth = model.draw(3, rows=2 * model.patch, cols=2 * model.patch, seed=seed)
    x = torch.from_numpy(images.values)
    sizes = np.array([len(group) for group in model.mixture.pool])
    np.testing.assert_allclose(model.phi(x, sigma), truth.phi + sizes * sigma**2, rtol=1e-10)
    y = noisy(model, sigma, seed)
    close(probekit.tap(model, "mid").features(y, sigma), model.phi(y, 0.0))


@given(patch_models(max_patch=3), SIGMAS, SEEDS)
def test_sigma_squared_times_the_divergence_is_the_posterior_variance(
    model: PatchModel, sigma: float, seed: int
) -> None:
    y = noisy(model, sigma, seed, count=1)
    jacobian = torch.autograd.functional.jacobian(lambda t: model(t, sigma), y).reshape(y.numel(), y.numel())
    close(sigma**2 * jacobian.trace()[None] / y.numel(), model.posterior_variance(y, sigma))
    # The Jacobian is a covariance over σ²: symmetric, and no eigenvalue is negative.
    torch.testing.assert_close(jacobian, jacobian.T, rtol=1e-8, atol=1e-9)
    assert float(torch.linalg.eigvalsh(jacobian).min()) > -1e-9


@given(patch_models(), SIGMAS, SEEDS)
def test_the_score_is_the_gradient_of_the_log_density(model: PatchModel, sigma: float, seed: int) -> None:
    y = noisy(model, sigma, seed).requires_grad_()
    (gradient,) = torch.autograd.grad(model.log_density(y, sigma).sum(), y)
    torch.testing.assert_close((model(y, sigma) - y) / sigma**2, gradient, rtol=1e-8, atol=1e-8)
    wrapped = probekit.Denoiser(model, sigma_to="sigma", data_range=None)
    torch.testing.assert_close(wrapped.score(y, sigma), gradient, rtol=1e-8, atol=1e-8)


@given(patch_models(), SIGMAS, SEEDS, st.randoms(use_true_random=False))
def test_moving_patches_about_moves_the_estimate_with_them_and_turning_signs_turns_it(
    model: PatchModel, sigma: float, seed: int, random
) -> None:
    y, p = noisy(model, sigma, seed), model.patch
    order = list(range(6))
    random.shuffle(order)

    def moved(t: torch.Tensor) -> torch.Tensor:
        patches = torch.nn.functional.unfold(t, p, stride=p)[:, :, order]
        return torch.nn.functional.fold(patches, t.shape[2:], p, stride=p)

    close(model(moved(y), sigma), moved(model(y, sigma)))
    close(model(-y, sigma), -model(y, sigma))


@given(patch_models(), SIGMAS, SEEDS, st.floats(0.1, 10))
def test_in_other_units_of_intensity_everything_is_in_those_units(
    model: PatchModel, sigma: float, seed: int, scale: float
) -> None:
    known = model.mixture
    other = PatchModel(known.weights, scale**2 * known.variances, pool=known.pool).double()
    y = noisy(model, sigma, seed)
    torch.testing.assert_close(other(scale * y, scale * sigma), scale * model(y, sigma), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(
        other.posterior(scale * y, scale * sigma), model.posterior(y, sigma), rtol=1e-7, atol=1e-9
    )


@given(patch_models(), SEEDS, st.lists(st.sampled_from([0.0, 0.1, 0.7]), min_size=3, max_size=3))
def test_levels_per_image_are_the_levels_of_single_images(model: PatchModel, seed: int, levels: list[float]) -> None:
    y = noisy(model, 0.3, seed)
    together = model(y, torch.tensor(levels, dtype=torch.float64))
    for i, level in enumerate(levels):
        alone = model(y[i : i + 1], level)
        close(together[i : i + 1], alone)
        assert level > 0 or torch.equal(alone, y[i : i + 1])


@given(patch_models(), SIGMAS, SEEDS)
def test_a_class_cut_in_two_equal_ones_changes_nothing(model: PatchModel, sigma: float, seed: int) -> None:
    known = model.mixture
    weights = [known.weights[0] / 3, 2 * known.weights[0] / 3, *known.weights[1:]]
    cut = PatchModel(weights, [known.variances[0], *known.variances], pool=known.pool).double()
    y = noisy(model, sigma, seed)
    close(cut(y, sigma), model(y, sigma))
    close(cut.posterior(y, sigma)[:, :2].sum(dim=1), model.posterior(y, sigma)[:, 0])


@given(patch_models(), SEEDS)
def test_with_vanishing_noise_the_posterior_becomes_that_of_the_clean_image(model: PatchModel, seed: int) -> None:
    # A class whose support holds another's explains the other's images too, but ever worse: by σ^P per component.
    x = noisy(model, 0.0, seed)
    clean = model.posterior(x, 0.0)
    assert torch.isfinite(clean).all()
    torch.testing.assert_close(model.posterior(x, 1e-6), clean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model(x, 1e-6), x, rtol=1e-6, atol=1e-6)


@given(patch_models(), SEEDS, st.integers(1, 5), st.integers(0, 5))
def test_the_first_images_are_the_same_however_many_are_drawn(
    model: PatchModel, seed: int, few: int, more: int
) -> None:
    size = {"rows": model.patch, "cols": 2 * model.patch, "seed": seed}
    short, long = model.draw(few, **size), model.draw(few + more, **size)
    # One image more may change how a product of matrices is rounded.
    np.testing.assert_allclose(short.images, long.images[:few], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(short.truth.subspace, long.truth.subspace[:few])


@given(patch_models(), SEEDS, st.integers(1, 4))
def test_conditional_draws_keep_phi_and_lie_in_their_class(model: PatchModel, seed: int, n: int) -> None:
    size = {"rows": 2 * model.patch, "cols": 3 * model.patch, "seed": seed}
    images, truth = model.draw(3, **size)
    drawn, known = model.conditional(truth.phi, n=n, **size)
    assert drawn.dims == ("image", "sample", "band", "row", "col")
    phi = model.phi(torch.from_numpy(drawn.values).flatten(0, 1), 0.0).reshape(3, n, -1)
    np.testing.assert_allclose(phi, np.broadcast_to(truth.phi.values[:, None], phi.shape), rtol=1e-9, atol=1e-25)
    of_class = model.mixture.variances[known.subspace.values] > 0
    np.testing.assert_array_equal(known.energy.values > 0, of_class)
    again, _ = model.conditional(truth.phi, n=n, **size)
    np.testing.assert_array_equal(drawn, again)
    assert not np.allclose(drawn[:, 0], images)


@given(patch_models(), SEEDS)
def test_where_phi_holds_every_component_it_tells_as_much_of_the_class_as_the_image(
    model: PatchModel, seed: int
) -> None:
    known = model.mixture
    unpooled = PatchModel(known.weights, known.variances).double()
    size = {"rows": 2 * model.patch, "cols": 2 * model.patch}
    images, truth = unpooled.draw(3, **size, seed=seed)
    np.testing.assert_allclose(
        unpooled.posterior_given_phi(truth.phi, **size),
        unpooled.posterior(torch.from_numpy(images.values), 0.0),
        rtol=1e-7,
        atol=1e-12,
    )


@given(patch_models(), SEEDS)
def test_the_transport_distance_is_reached_by_equal_directions_and_undercut_by_none(
    model: PatchModel, seed: int
) -> None:
    size = {"rows": 2 * model.patch, "cols": 2 * model.patch, "seed": seed}
    known = model.mixture
    one = PatchModel([1.0], known.variances[:1]).double()
    _, truth = one.draw(2, **size)
    drawn = one.conditional(truth.phi, n=4, **size).images.values
    other = one.conditional(truth.phi.isel(image=[1, 0]), n=4, **size).images.values
    distance = float(wasserstein2(truth.phi[0], truth.phi[1], positions=4))
    # One seed gives one set of directions, so this coupling is radial; no coupling moves a point by less.
    radial = ((drawn[0] - other[0]) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(radial, distance, rtol=1e-8, atol=1e-14)
    assert (((drawn[0][:, None] - drawn[1][None]) ** 2).sum(axis=(2, 3, 4)) > distance - 1e-12).all()


@given(VARIANCES, st.integers(1, 40), st.floats(0.05, 3), st.floats(0.1, 10), st.randoms(use_true_random=False))
def test_the_law_of_a_pooled_energy_knows_no_order_and_no_unit(
    variances: list[float], positions: int, total: float, scale: float, random
) -> None:
    law = EnergyLaw(variances, positions=positions).log_density(total)
    shuffled = random.sample(variances, len(variances))
    np.testing.assert_allclose(EnergyLaw(shuffled, positions=positions).log_density(total), law, rtol=1e-8, atol=1e-8)
    scaled = EnergyLaw(scale * np.array(variances), positions=positions).log_density(scale * total)
    np.testing.assert_allclose(scaled, law - np.log(scale), rtol=1e-8, atol=1e-8)


@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=3), st.integers(2, 40))
def test_the_law_of_a_pooled_energy_has_the_mass_mean_and_variance_of_a_sum(
    variances: list[float], positions: int
) -> None:
    law, known = EnergyLaw(variances, positions=positions), np.array(variances)
    variance = 2 * (known**2).sum() / positions
    # Scales are at most the standard deviation, so beyond 25 of it hardly more than e^{−25} of the mass is left.
    reach, count = known.sum() + 25 * variance**0.5, 2000
    root = (np.arange(count) + 0.5) / count
    # In the root of the energy the worst density, of shape 1, starts with a slope of 2 reach/scale ≤ 52 and
    # not with a jump, which costs the midpoint rule 52/(24 count²) < 1e-6.
    energy = reach * root**2
    density = np.exp(law.log_density(energy)) * 2 * reach * root / count
    assert density.sum() == pytest.approx(1, abs=1e-6)
    assert density @ energy == pytest.approx(known.sum(), rel=1e-6)
    assert density @ (energy - known.sum()) ** 2 == pytest.approx(variance, rel=1e-5)


@given(st.lists(st.floats(0.02, 1.0), min_size=2, max_size=4), st.integers(1, 40), st.floats(0.05, 3))
def test_the_mean_shares_of_a_pooled_energy_add_up_to_it(variances: list[float], positions: int, phi: float) -> None:
    laws = [SplitLaw(variances, phi=phi, positions=positions, component=j) for j in range(len(variances))]
    assert sum(law.mean() for law in laws) == pytest.approx(phi, rel=1e-7)
    assert all(float(law.cdf(0)) == 0 and float(law.cdf(phi)) == pytest.approx(1, abs=1e-9) for law in laws)


@given(st.floats(0.02, 1.0), st.integers(2, 5), st.integers(1, 40))
def test_equal_variances_share_a_pooled_energy_by_a_beta_law(variance: float, size: int, positions: int) -> None:
    assume(size * positions > 2)
    law = SplitLaw([variance] * size, phi=0.5, positions=positions)
    total = size * positions / 2
    assert law.mean() == pytest.approx(0.5 / size, rel=1e-9)
    assert law.std() == pytest.approx(0.5 * np.sqrt((1 / size) * (1 - 1 / size) / (total + 1)), rel=1e-7)
