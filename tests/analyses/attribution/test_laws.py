"""Laws of attribution: completeness, order, draws; groups that match."""

import numpy as np
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from networks import state_of
from scipy import stats

import probekit
from analyses import attribution
from analyses.attribution import groups
from probekit.models.unet import UNet
from probekit.noise import standard_normal

# A count that a binomial variable exceeds once in a million.
ONCE_IN_A_MILLION = 1e-6


def network(seed: int = 0) -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()


def images(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, 8, 8), np.float32)


def attributed(model: UNet, x: np.ndarray, **options) -> xr.Dataset:
    options = {"channels": [0, 3], "sigma": 0.2, "n_steps": 32, "tolerance": 1.0, **options}
    return attribution.attribute(model, probekit.tap(model, "mid"), x, **options)


def effects(model: UNet, x: np.ndarray, **options) -> xr.Dataset:
    options = {"groups": {"a": [0, 3], "b": [1]}, "sigma": [0.2, 0.4], "resamples": 100, **options}
    return attribution.effects(model, probekit.tap(model, "mid"), x, **options)


def variation(model: UNet, x: np.ndarray, baseline: float, points: int = 300) -> np.ndarray:
    """Total variation (image, channel) of the slope of φ_c along the path from baseline to image."""
    z = standard_normal((3, 8, 8), seed=0, ids=["0", "1"], draws=[0, 0])
    step = torch.from_numpy(x) - baseline
    t = torch.linspace(0, 1, points).view(-1, 1, 1, 1)
    found = np.empty((2, 2))
    for i in range(2):
        y = (baseline + 0.2 * z[i] + t * step[i]).requires_grad_(True)
        for c, channel in enumerate((0, 3)):
            (gradient,) = torch.autograd.grad(probekit.tap(model, "mid").features(y, 0.2)[:, channel].sum(), y)
            found[i, c] = (gradient * step[i]).double().sum(dim=(1, 2, 3)).diff().abs().sum()
    return found


@given(st.integers(0, 50), st.floats(0, 1))
def test_attributions_sum_to_the_difference_from_the_baseline(seed: int, baseline: float) -> None:
    model, x = network(seed), images(2)
    found = attributed(model, x, baseline=baseline, n_steps=64)
    total = found.attribution.sum(("band", "row", "col"))
    # Of a function of total variation V a quadrature is off by at most V times the largest gap between its summed
    # weights and the identity (Koksma), which for Gauss–Legendre is at most its largest weight (Chebyshev, Markov and
    # Stieltjes). The variation on a grid falls short of the whole a little, so it is given a tenth more.
    bound = 1.1 * variation(model, x, baseline) * np.polynomial.legendre.leggauss(64)[1].max() / 2
    assert (abs(total - found.difference)[:, 0] <= bound + 1e-6).all()
    # What is reported is what the maps show.
    scale = np.maximum(abs(found.attribution).sum(("band", "row", "col")), abs(found.difference))
    shown = abs(total - found.difference) / scale.where(scale > 0, 1)
    np.testing.assert_allclose(found.completeness_error, shown, atol=1e-4)


@given(st.permutations(range(4)))
def test_a_permutation_of_images_permutes_the_findings(order: list[int]) -> None:
    model, x, ids = network(), images(4), np.array(list("abcd"))
    options = {"ids": ids, "n_steps": 4}
    found, moved = attributed(model, x, **options), attributed(model, x[order], n_steps=4, ids=ids[order])
    xr.testing.assert_allclose(moved, found.isel(image=order), atol=1e-5)
    found, moved = effects(model, x, ids=ids), effects(model, x[order], ids=ids[order])
    xr.testing.assert_allclose(moved.per_image_change, found.per_image_change.isel(image=order), atol=1e-7)


@given(st.integers(0, 20), st.floats(0, 1), st.sampled_from(["integrated_gradients", "occlusion"]))
def test_an_image_that_is_the_baseline_is_given_no_attribution(seed: int, grey: float, method: str) -> None:
    x = np.full((1, 3, 8, 8), grey, np.float32)
    # The baseline is rounded as the image is.
    found = attributed(network(seed), x, baseline=float(np.float32(grey)), method=method, n_steps=4)
    assert (found.attribution == 0).all()
    assert (found.difference == 0).all()
    assert (found.completeness_error == 0).all()


def test_channels_noise_levels_and_images_are_attributed_each_for_itself() -> None:
    model, x = network(), images()
    whole = attributed(model, x, channels=[0, 3, 5], sigma=[0.1, 0.3])
    one = attributed(model, x[1:2], channels=3, sigma=0.3, ids=["1"])
    assert one.unit.item() == whole.unit.values[1] == 3
    part = whole.sel(image=["1"], sigma=[0.3]).isel(channel=[1])
    np.testing.assert_allclose(one.attribution, part.attribution, atol=1e-6)


def test_phi_of_the_tap_explains_the_difference() -> None:
    model, x = network(), images()
    tap = probekit.tap(model, "mid")
    found = attributed(model, x, draws=3, seed=7)
    phi = [tap(v, sigma=0.2, draws=3, seed=7, ids=["0", "1", "2"]).phi[:, 0, [0, 3]] for v in (x, 0 * x + 0.5)]
    np.testing.assert_allclose(found.difference[:, 0], phi[0] - phi[1], atol=1e-5)


@given(st.integers(1, 4))
def test_scaling_by_one_changes_nothing_and_batches_do_not_matter(batch: int) -> None:
    model, x = network(), images(4)
    assert (effects(model, x, factor=1.0).per_image_change == 0).all()
    xr.testing.assert_allclose(effects(model, x, batch_size=batch), effects(model, x), atol=1e-6)


def test_the_network_is_left_as_it_was() -> None:
    model = network().train()
    before = state_of(model)
    attributed(model, images(), n_steps=2)
    attributed(model, images(), method="occlusion", window=8)
    effects(model, images())
    assert state_of(model) == before


def a_group_matches(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    pool, energy = np.arange(100, 160), rng.gamma(0.5, size=60)
    # Attainable: the energy of some group of the pool.
    target = energy[rng.choice(60, size, replace=False)].sum()
    group = groups.random_group(size, pool, groups.Wanted(energy, target, 0.2), rng=rng)
    assert len(set(group)) == size
    assert set(group) <= set(pool)
    assert abs(energy[group - 100].sum() - target) <= 0.2 * target


@given(st.integers(0, 1000), st.integers(1, 10))
def test_a_matched_group_has_as_many_channels_and_as_much_energy_from_the_pool(seed: int, size: int) -> None:
    a_group_matches(seed, size)


def test_channels_matched_in_number_are_drawn_alike() -> None:
    rng = np.random.default_rng(0)
    drawn = np.concatenate([groups.random_group(5, np.arange(20), rng=rng) for _ in range(400)])
    counts = np.bincount(drawn, minlength=20)
    # Each of 20 channels is in a group with probability 1/4: all counts within a binomial's once-in-a-million range.
    low, high = stats.binom(400, 0.25).ppf([ONCE_IN_A_MILLION / 40, 1 - ONCE_IN_A_MILLION / 40])
    assert low <= counts.min()
    assert counts.max() <= high
