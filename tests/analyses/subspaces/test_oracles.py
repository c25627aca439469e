"""Kernels of the search for subspaces against scipy, scikit-learn, closed forms and known truths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, special, stats
from sklearn.decomposition import PCA
from sklearn.linear_model import orthogonal_mp
from sklearn.metrics import adjusted_rand_score

from analyses import subspaces
from analyses.subspaces import kernels_active, kernels_explained, kernels_expression, kernels_fit
from probekit.synthetic.subspaces import union_of_subspaces

seeds = st.integers(0, 2**16)


@given(seeds, st.floats(0.01, 0.3))
def test_step_up_equals_scipys_false_discovery_control(seed: int, rate: float) -> None:
    # In float32 and in float64 alike, p-values on the grid of 1/4096 are exact; the limit is kept off it.
    p = np.random.default_rng(seed).integers(1, 4096, (7, 19)) / 4096
    expected = np.stack([stats.false_discovery_control(row) <= rate for row in p])
    np.testing.assert_array_equal(kernels_active.active(p.astype(np.float32), rate=rate), expected)


def test_p_values_are_students() -> None:
    x = np.linspace(-3, 6, 40, dtype=np.float32).reshape(10, 4)
    freedom = np.array([1.0, 3.0, 9.0, np.inf])
    expected = stats.t.sf(x / 0.5, np.where(np.isinf(freedom), 1e9, freedom))
    np.testing.assert_allclose(kernels_active.p_values(x, np.full(4, 0.5), freedom, 0.0), expected, rtol=1e-5)


@pytest.mark.parametrize("degrees", [1, 4, 9])
def test_moderated_errors_find_the_prior_that_the_variances_were_drawn_from(degrees: int) -> None:
    rng = np.random.default_rng(degrees)
    prior, level, n = 8.0, 0.3, 4000
    # Smyth's model: 1/variance ~ χ²_prior/(prior level²), se² ~ variance χ²_degrees/degrees.
    variance = prior * level**2 / rng.chisquare(prior, (n, 6))
    se = np.sqrt(variance * rng.chisquare(degrees, (n, 6)) / degrees)
    found, freedom = kernels_active.measurement_error(se, degrees)
    # The excess of var(log s²) has a standard error of about var(log s²)·√(κ/n), κ ≤ 7 the fourth standardised moment
    # less 1; trigamma(prior/2) = 0.28 is estimated from it, and d₀ moves with it in inverse proportion, about.
    spread = float(np.var(np.log(se**2)))
    excess = 0.2838
    slack = 4 * spread * np.sqrt(7 / n) / excess
    assert (np.abs(prior / (freedom - degrees) - 1) < slack).all()
    # Moderation must bring the errors nearer to the truth than the raw ones are.
    assert ((found**2 / variance - 1) ** 2).mean() < ((se**2 / variance - 1) ** 2).mean()


def test_equal_variances_are_pooled_wholly() -> None:
    rng = np.random.default_rng(0)
    found, freedom = kernels_active.measurement_error(0.2 * np.sqrt(rng.chisquare(9, (3000, 5)) / 9), 9)
    # log of the pooled variance is the mean of 3,000 logs of standard deviation √trigamma(4.5) = 0.5.
    assert np.abs(np.log(found**2 / 0.04)).mean() < 4 * 0.5 / np.sqrt(3000)
    assert (freedom > 50).all()


def test_active_sets_keep_their_false_discovery_rate_and_find_what_is_far_above_rest() -> None:
    rng = np.random.default_rng(1)
    n, channels, error = 2000, 100, 0.05
    true = rng.random((n, channels)) < 0.2
    # rest known without error here, so that tests of one image are independent as the rule's guarantee has it.
    x = (true * rng.uniform(0.3, 1, true.shape) + error * rng.standard_normal(true.shape)).astype(np.float32)
    found = kernels_active.active(kernels_active.p_values(x, np.full(channels, error), np.inf, 0.0), rate=0.05)
    share = (found & ~true).sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    # Its expectation is 0.05 times the share at rest, 0.8; four standard errors of the mean over images.
    assert abs(share.mean() - 0.05 * 0.8) < 4 * share.std() / np.sqrt(n)
    assert found[true].mean() > 0.99


@given(seeds, st.integers(1, 4))
def test_evidence_is_the_probability_of_the_sets_with_rates_integrated_out(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 9, k)
    ones = np.minimum(rng.integers(0, 9, (k, 3)), size[:, None])

    def probability(count: np.ndarray, of: np.ndarray) -> np.ndarray:
        # The beta-binomial law counts all orders of the same number of active images; here the order is given.
        return stats.betabinom.logpmf(count, of, 0.5, 0.5) - np.log(special.comb(of, count))

    orders = special.gammaln(size.sum() + 1) - special.gammaln(size + 1).sum()
    apart = probability(ones, size[:, None]).sum(axis=0)
    shared = probability(ones.sum(axis=0), size.sum())
    sizes = stats.dirichlet_multinomial(np.full(k, 0.5), size.sum()).logpmf(size) - orders
    expected = np.logaddexp(apart + np.log(0.5), shared + np.log(0.5)).sum() + sizes
    expected = shared.sum() if k == 1 else expected
    assert kernels_active.likelihood(ones.astype(float), size.astype(float)) == pytest.approx(expected, abs=1e-8)


@given(seeds, st.integers(1, 6))
def test_self_expression_equals_scikit_learns_matching_pursuit_of_each_image_by_the_others(
    seed: int, atoms: int
) -> None:
    x = np.random.default_rng(seed).standard_normal((25, 9))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    code = kernels_expression.omp(x, atoms=atoms)
    for i in range(0, 25, 5):
        others = np.delete(np.arange(25), i)
        expected = orthogonal_mp(unit[others].T, unit[i], n_nonzero_coefs=atoms)
        np.testing.assert_allclose(code[i, others], expected, atol=1e-8)
    assert (np.diag(code) == 0).all()


def test_self_expression_stops_at_the_noise_and_leaves_images_at_rest_alone() -> None:
    x = np.r_[np.eye(3)[[0, 0, 1, 1]], np.zeros((1, 3))]
    code = kernels_expression.omp(x)
    # Images 0 and 1 express each other, and so do 2 and 3; image 4 is at rest.
    expected = np.zeros((5, 5), bool)
    expected[[0, 1, 2, 3], [1, 0, 3, 2]] = True
    np.testing.assert_array_equal(code != 0, expected)
    assert not kernels_expression.omp(x, noise=1.0).any()


def test_preserving_error_is_the_share_of_coefficients_across_subspaces() -> None:
    code = np.array([[0, 3, 1], [1, 0, 0], [0, 0, 0.0]])
    # A quarter of image 0's, none of image 1's; image 2 has none.
    assert kernels_expression.preserving_error(code, np.array([0, 0, 1])) == pytest.approx(0.125)


def turned(
    number: int, rank: int, channels: int, noise: float, seed: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Images on linear subspaces of random orientation, their subspaces, and bases."""
    rng = np.random.default_rng(seed)
    bases = [np.linalg.qr(rng.standard_normal((channels, rank)))[0].T for _ in range(number)]
    labels = np.arange(60 * number) % number
    weight = rng.uniform(0.5, 1.5, (len(labels), rank)) * rng.choice([-1, 1], (len(labels), rank))
    x = np.stack([w @ bases[k] for w, k in zip(weight, labels, strict=True)])
    return x + noise * rng.standard_normal(x.shape), labels, bases


@pytest.mark.parametrize(
    ("number", "rank", "channels", "noise"), [(1, 3, 30, 0.02), (3, 3, 64, 0.0), (3, 4, 32, 0.02), (4, 4, 32, 0.01)]
)
@pytest.mark.parametrize("seed", range(3))
def test_linear_subspaces_of_any_orientation_are_found_with_their_dimensions(
    number: int, rank: int, channels: int, noise: float, seed: int
) -> None:
    x, labels, true = turned(number, rank, channels, noise, seed)
    found, evidence = kernels_expression.group(x, None, 8, noise**2, 0)
    assert max(evidence, key=lambda k: evidence[k]) == number
    assert [len(b) for b in found] == [rank] * number
    level = max(noise**2, 1e-6)
    own, _ = kernels_expression.assign(x, found, level, kernels_expression.mean_square(x))
    assert kernels_fit.agreement(labels, own) == 1
    rows, columns, _ = kernels_fit.match(labels, own)
    for r, c in zip(rows, columns, strict=True):
        # Davis & Kahan: the sine of the angle is at most 2 ‖error‖/gap; the error of a singular vector of 60 images is
        # about noise √channels against a signal of √(60/3) at least, for coefficients of mean square over 1.
        limit = 4 * noise * np.sqrt(channels) / np.sqrt(60 / 3) + 1e-6
        assert np.sin(linalg.subspace_angles(true[r].T, found[c].T).max()) < limit


def test_angles_are_scipys_and_empty_subspaces_have_none() -> None:
    rng = np.random.default_rng(0)
    bases = [linalg.orth(rng.standard_normal((8, r))).T for r in (2, 3)]
    least, mean = kernels_fit.angles([*bases, np.zeros((0, 8))])
    expected = linalg.subspace_angles(bases[0].T, bases[1].T)
    assert least[0, 1] == pytest.approx(expected.min())
    assert mean[1, 0] == pytest.approx(expected.mean())
    np.testing.assert_allclose(np.diag(least)[:2], 0, atol=1e-6)
    assert np.isnan(least[2]).all()


@given(seeds, st.integers(1, 5))
def test_one_subspace_explains_held_out_images_as_scikit_learns_pca_does(seed: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    train, test = (rng.standard_normal((n, 8)) @ rng.standard_normal((8, 8)) for n in (60, 20))
    found = kernels_explained.compare(train, np.zeros(60, int), np.ones((1, 8), bool), test, (rank,))
    pca = PCA(rank).fit(train)
    left = ((test - pca.inverse_transform(pca.transform(test))) ** 2).sum(axis=1)
    np.testing.assert_allclose(found.union[:, 0, 0], left, rtol=1e-6, atol=1e-9)
    # The PCA of as many parameters as one subspace of rank r is the one of rank r.
    np.testing.assert_allclose(found.pca[:, 0, 0], left, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.total, ((test - train.mean(axis=0)) ** 2).sum(axis=1))


@pytest.mark.parametrize(
    ("comparison", "expected"), [("parameters", 3 * 5 - 1), ("nonzeros", 5 * 40 // 50 - 1), ("coefficients", 5)]
)
def test_pcas_are_given_what_the_union_spends(comparison: str, expected: int) -> None:
    spent = kernels_explained.pca_rank(comparison, subspaces=3, rank=4, channels=50, nonzeros=40)
    assert spent == expected


def test_a_union_of_coordinate_subspaces_is_explained_wholly_by_as_many_dimensions() -> None:
    data, truth = union_of_subspaces(400, n_channels=40, n_subspaces=5, support=4, common=0, noise=0.0)
    found = subspaces.explained_variance(data, subspaces.fit(data, splits=0), ranks=[4])
    # Without error only the rounding of float32 is left.
    np.testing.assert_allclose(found.explained, 1, atol=1e-5)
    # The five means span four dimensions of variance 4/5; within subspaces each channel has variance 1/4, in a fifth
    # of the images. So five components explain (4 · 0.85 + 0.05)/4.2, its spread below 0.15 for one held-out image.
    part = found.explained_pca.sel(comparison="coefficients").item()
    assert abs(part - 3.45 / 4.2) < 4 * 0.15 / np.sqrt(100)
    assert truth.sizes["subspace"] == 5


def test_the_interval_of_the_gain_covers_the_gain_of_many_images() -> None:
    rng = np.random.default_rng(3)
    covered = []
    for seed in range(200):
        # Gains of one image of exponential size, in proportion 0.1 to the total on average.
        total = rng.exponential(size=150)
        pca = total * rng.uniform(0.2, 0.4, 150)
        union = total * rng.uniform(0.1, 0.3, 150)
        found = kernels_explained.Explained(union[:, None, None], pca[:, None, None], total)
        _, drawn = kernels_explained.gains(found, resamples=300, seed=seed)
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered.append(low <= 0.1 <= high)
    # 95 % of 200, less four binomial standard deviations of 3.1.
    assert sum(covered) >= 190 - 4 * 3.1


def test_the_intrinsic_dimension_of_a_plane_is_2() -> None:
    pytest.importorskip("skdim")
    data, _ = union_of_subspaces(300, n_channels=8, n_subspaces=1, support=8, dimension=2, common=0, noise=0.0)
    found = subspaces.intrinsic_dimension(data).intrinsic_dimension
    # Estimators of n images have a relative standard error of about 1/√n; four of them, and at the edge of the plane,
    # where neighbourhoods are cut in halves, local estimates fall short by a tenth.
    np.testing.assert_allclose(found, 2, rtol=4 / np.sqrt(300) + 0.1)


def test_scores_are_those_of_a_known_answer() -> None:
    data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3, support=4, noise=0.02)
    found = subspaces.fit(data, splits=0)
    right = subspaces.score(found, truth, data=data)
    assert right.accuracy.item() == right.nmi.item() == right.support_f1.item() == 1
    assert right.preserving_error.item() < 0.05
    # 50 images of one subspace called another: 150 of 200 stay right. Without one support of 4, F1 is 2·8/(12 + 8).
    subspace = found.subspace.values.copy()
    support = found.support.values.copy()
    subspace[np.flatnonzero(subspace == 0)[:50]] = 1
    support[0, 2] = False
    spoilt = subspaces.score(found.assign(subspace=("image", subspace), support=(found.support.dims, support)), truth)
    assert spoilt.accuracy.item() == pytest.approx(0.75)
    assert spoilt.support_f1.item() == pytest.approx(0.8)


@pytest.mark.parametrize("channels", [20, 512])
def test_certainty_is_the_posterior_probability_whatever_the_number_of_channels(channels: int) -> None:
    # Of 512 channels an active set has a probability of some e^−300: beyond the smallest float32.
    rng = np.random.default_rng(3)
    rate = rng.uniform(0.3, 0.7, (3, channels))
    active = rng.random((90, channels)) < rate[np.arange(90) % 3]
    # Some belong to two groups, channel by channel.
    active[:10] = np.where(rng.random((10, channels)) < 0.5, active[30:40], active[31:41])
    groups = kernels_active.group(active, 3, 6, np.random.default_rng(0))
    labels, certainty = groups.assign(active)
    p = ((groups.ones + 0.5) / (groups.size[:, None] + 1))[None]
    joint = stats.bernoulli.logpmf(active[:, None], p).sum(axis=2) + np.log(groups.size + 0.5)
    posterior = special.softmax(joint, axis=1) @ groups.member
    np.testing.assert_array_equal(labels, posterior.argmax(axis=1))
    # A sum of 512 logarithms of float32, each of some 1, errs by 512 × 6e-8 × 300 at most.
    np.testing.assert_allclose(certainty, posterior.max(axis=1), atol=0.01)
    assert (certainty > 0.99).mean() > 0.5


@given(seeds, st.integers(3, 6))
def test_the_first_merger_on_the_path_is_that_of_least_loss_in_evidence(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    # Channels are sure, so that no image changes its group between mergers; sizes and distances differ.
    pattern = rng.random((k, 30)) < 0.5
    labels = np.repeat(np.arange(k), rng.integers(2, 30, k))
    active = pattern[labels]
    path = kernels_active.merge_path(active, k, rng)
    before, after = (path[n][0] for n in sorted(path, reverse=True)[:2])
    groups = np.unique(before)

    def loss(pair: tuple[int, int]) -> float:
        """Of a merger, by the evidence of all groups with rates of their own."""
        own = [active[before == g] for g in pair]
        return sum(evidence(one) for one in own) - evidence(np.concatenate(own))

    def evidence(images: np.ndarray) -> float:
        n, on = len(images), images.sum(axis=0)
        rates = stats.betabinom.logpmf(on, n, 0.5, 0.5) - np.log(special.comb(n, on))
        return float(rates.sum() + special.gammaln(n + 0.5))

    pairs = [(a, b) for i, a in enumerate(groups) for b in groups[i + 1 :]]
    merged = [pair for pair in pairs if len(np.unique(after[np.isin(before, pair)])) == 1]
    assert min(map(loss, pairs)) == pytest.approx(min(map(loss, merged)), abs=1e-6)


def test_groups_are_merged_by_the_pair_that_keeps_most_evidence() -> None:
    rng = np.random.default_rng(2)
    # Three planes of nine channels, two of them seen in unlike numbers of images, and split at random.
    x = np.zeros((40, 9))
    for k, own in enumerate(np.split(np.arange(40), [6, 18])):
        x[own, 3 * k : 3 * k + 2] = rng.exponential(size=(len(own), 2)) + 0.2
    x += 0.05 * rng.normal(size=x.shape)
    labels, noise = np.repeat([0, 1, 2], [6, 12, 22]) * 2 + rng.integers(2, size=40), 0.05**2
    scale = kernels_expression.mean_square(x)

    def total(of: np.ndarray) -> float:
        groups = [x[of == k] for k in np.unique(of)]
        return sum(
            kernels_expression.evidence(own, noise, scale)[0] + len(own) * np.log(len(own) / 40) for own in groups
        )

    path = kernels_expression._merge(x, labels, noise)
    here = labels
    for number in range(6, 0, -1):
        found, evidence = path[number]
        assert evidence == pytest.approx(total(here))
        assert adjusted_rand_score(here, found) == 1
        merged = [np.where(here == k, j, here) for j, k in itertools.combinations(np.unique(here), 2)]
        here = max(merged, key=total, default=here)
    assert max(path, key=lambda k: path[k][1]) == 3


@pytest.mark.parametrize("method", ["coordinate", "linear"])
def test_channels_of_nearly_all_images_are_common_and_silent_ones_are_not(method: str) -> None:
    data, truth = union_of_subspaces(400, n_channels=20, n_subspaces=3, support=4, common=2, seed=1)
    # Each other channel is active on a third of the images, or on none.
    assert set(truth.type.values) == {"common", "selective", "silent"}
    found = subspaces.fit(data, method=method).isel(sigma=0)
    np.testing.assert_array_equal(found.common, truth.common)
