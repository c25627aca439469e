"""Laws of distances in φ: symmetries, planted relations, p-values that are honest, intervals that cover."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from analyses import semantics
from analyses.ground import Estimate, interval, jackknifed_correlation, resampled_means, unlike
from analyses.semantics import kernels_correlation, kernels_pairs
from probekit import labels
from probekit.errors import InputError

LEVEL = 0.95
STATISTICS = list(kernels_pairs.STATISTICS)
seeds = st.integers(0, 10_000)


def dataset(phi: np.ndarray, label: np.ndarray | None = None, ids: np.ndarray | None = None) -> xr.Dataset:
    """φ (image, sigma, channel) of one tap at 0.1, 0.2, …"""
    return labels.representation(
        {"phi": phi},
        ids=[str(i) for i in (np.arange(len(phi)) if ids is None else ids)],
        labels=None if label is None else [str(name) for name in label],
        sigma=[0.1 * (s + 1) for s in range(phi.shape[1])],
        channels={"mid": phi.shape[2]},
        attrs={"denoiser": "none"},
    )


def descriptor(values: np.ndarray, ids: np.ndarray | None = None) -> xr.DataArray:
    names = np.array([str(i) for i in (np.arange(len(values)) if ids is None else ids)], dtype=object)
    return xr.DataArray(values, dims=("image", "feature"), coords={"image": names})


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def correlations(matrices: list[np.ndarray], statistic: str) -> np.ndarray:
    """Of the first two given the rest, over all images and without each."""
    variables = [kernels_correlation.transformed(d, statistic) for d in matrices]
    return kernels_correlation.partial(kernels_correlation.gram(variables, variables), tuple(range(2, len(matrices))))


@given(seeds, st.floats(0.01, 100))
def test_a_rotation_and_a_common_scale_of_phi_change_nothing(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x, other = rng.gamma(0.7, size=(25, 5)), rng.normal(size=(25, 3))
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    for metric in ("euclidean", "cosine"):
        plain, turned = (kernels_pairs.distance_matrix(y, metric) for y in (x, scale * x @ rotation))
        for statistic in STATISTICS:
            one, two = (
                correlations([d, kernels_pairs.distance_matrix(other, "euclidean")], statistic)[0]
                for d in (plain, turned)
            )
            # Ranks of distances that single precision can swap differ by 1 in 300 pairs; the others by rounding.
            assert one == pytest.approx(two, abs=1e-3 if statistic == "spearman" else 1e-5)


@given(seeds)
def test_standardised_distances_do_not_depend_on_the_channels_scales(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, scales = rng.gamma(0.7, size=(25, 5)), rng.uniform(0.1, 10, 5)
    a, b = (kernels_pairs.distance_matrix(y, "standardised") for y in (x, x * scales))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@given(seeds)
def test_a_permutation_of_images_permutes_the_findings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    phi, label, gist = rng.gamma(0.7, size=(30, 2, 5)), rng.integers(4, size=30), rng.normal(size=(30, 3))
    order = rng.permutation(30)
    # The descriptor keeps its order: it is matched by id.
    one_order, permuted = dataset(phi, label), dataset(phi[order], label[order], order)
    options = {"statistics": STATISTICS, "permutations": 99}
    others = {"label": "label", "gist": descriptor(gist)}
    xr.testing.assert_identical(
        *(
            semantics.correlate(data.isel(sigma=[0]), others, given=["gist"], **options)
            for data in (one_order, permuted)
        )
    )
    one, two = (semantics.neighbours(data, k=3, resamples=100) for data in (one_order, permuted))
    np.testing.assert_array_equal(order[two.neighbor_index], one.neighbor_index.values[..., order, :])
    for name in ("precision", "precision_low", "precision_high"):
        np.testing.assert_allclose(one[name], two[name])
    one, two = (semantics.stability(data, among=12, resamples=100) for data in (one_order, permuted))
    for name in ("top1", "top1_low", "top1_high", "reciprocal_rank_low", "median_rank"):
        np.testing.assert_allclose(one[name], two[name])


@given(seeds)
def test_names_of_classes_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    phi, label = rng.gamma(0.7, size=(30, 1, 5)), rng.integers(4, size=30)
    renamed = np.array(["d", "b", "a", "c"])[label]
    found = [
        semantics.analyse(dataset(phi, names), permutations=0, resamples=100, k=3, statistics=["pearson"])
        for names in (label, renamed)
    ]
    xr.testing.assert_allclose(*(one.drop_vars("label") for one in found))


@given(seeds)
def test_distances_between_classes_are_a_metric(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = ["root"]
    chains = ["root"]
    for k in range(12):
        above = int(rng.integers(len(words)))
        words.append(f"n{k}")
        chains.append(f"{chains[above]} > n{k}")
    d = semantics.class_distances(pd.DataFrame({"wnid": words, "hypernym_wnids": chains})).values
    np.testing.assert_array_equal(d, d.T)
    assert (d[~np.eye(len(d), dtype=bool)] > 0).all()
    assert not np.diagonal(d).any()
    assert (d[:, None] <= d[:, :, None] + d[None]).all()


def planted(strength: float, seed: int, n: int = 300) -> tuple[xr.Dataset, dict[str, xr.DataArray | str]]:
    """φ that holds a semantic vector by so much, mixed with what has nothing to do with it; classes are its regions."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(6, 4))
    label = rng.integers(6, size=n)
    meaning = centres[label] + 0.5 * rng.normal(size=(n, 4))
    # In the same channels, so that dividing by their standard deviations keeps the share.
    phi = strength * meaning + (1 - strength) * rng.normal(size=(n, 4))
    return dataset(phi[:, None], label), {"label": "label", "meaning": descriptor(meaning)}


def test_every_estimator_recovers_a_planted_relation_in_its_order_of_strength() -> None:
    found = [
        semantics.correlate(*planted(strength, 3), permutations=99).squeeze() for strength in (0.2, 0.35, 0.5, 0.8)
    ]
    values = xr.concat([one.correlation for one in found], "strength")
    assert (values.diff("strength") > 0).all()
    assert (found[-1].correlation_low > 0.1).all()
    assert (found[-1].p_permutation == 0.01).all()
    assert (found[-1].p_jackknife < 0.001).all()
    precision = [semantics.neighbours(planted(s, 3)[0], resamples=100) for s in (0.2, 0.35, 0.5, 0.8)]
    assert (xr.concat([one.precision for one in precision], "strength").diff("strength") > 0).all()
    assert (precision[-1].precision_low > precision[-1].precision_chance).all()


def through(rng: np.random.Generator, n: int, share: float, spread: float = 0.5) -> list[np.ndarray]:
    """Distances A = share G + (1 − share) E, exactly; B, of classes, which G follows and E does not; and G."""
    centres, others = np.random.default_rng(5).normal(size=(2, 5, 4))
    label, unrelated = rng.integers(5, size=(2, n))
    g = kernels_pairs.distance_matrix(unit(centres[label] + spread * rng.normal(size=(n, 4))), "cosine")
    e = kernels_pairs.distance_matrix(unit(others[unrelated] + spread * rng.normal(size=(n, 4))), "cosine")
    b = (label[:, None] != label).astype(np.float32)
    return [(share * g + (1 - share) * e).astype(np.float32), b, g]


@pytest.mark.parametrize("statistic", ["pearson", "distance_correlation"])
def test_a_relation_that_runs_through_what_is_held_fixed_vanishes(statistic: str) -> None:
    rng = np.random.default_rng(6)
    repetitions = 100
    made = [through(rng, 100, 0.6) for _ in range(repetitions)]
    plain = np.array([correlations(one[:2], statistic)[0] for one in made])
    partial = np.array([correlations(one, statistic)[0] for one in made])
    assert plain.min() > 0.3
    # Of mean 0 up to terms of order 1/n²: 4 standard errors of the mean.
    assert abs(partial.mean()) <= 4 * partial.std(ddof=1) / math.sqrt(repetitions)


def test_the_difference_from_a_control_is_paired_and_has_its_sign() -> None:
    data, others = planted(0.7, 8)
    weak = planted(0.3, 8)[0]
    found = semantics.correlate(data, others, controls={"weak": weak, "self": data}, permutations=0)
    assert (found.difference_low.sel(control="weak") > 0).all()
    np.testing.assert_allclose(found.difference.sel(control="self"), 0, atol=1e-12)
    np.testing.assert_allclose(found.difference_high.sel(control="self"), 0, atol=1e-12)


def test_levels_and_distances_that_are_permuted_together_are_found_as_each_alone() -> None:
    rng = np.random.default_rng(5)
    # More places than are permuted at once, of which one has nothing to permute: 4 levels, 3 distances.
    phi = rng.gamma(0.7, size=(30, 4, 5))
    phi[:, 2] = 1.0
    others = {"a": descriptor(phi[:, 1] + rng.normal(size=(30, 5))), "b": descriptor(rng.normal(size=(30, 2)))}
    options: dict[str, Any] = {"given": ("b",), "permutations": 99}
    with pytest.warns(RuntimeWarning, match="the same for all images"):
        together = semantics.correlate(dataset(phi), others, **options).p_permutation
    assert np.isnan(together[2]).all()
    assert np.isfinite(together[[0, 1, 3]].sel(other="a")).all()
    for s in (0, 1, 3):
        for metric in kernels_pairs.METRICS:
            data = dataset(phi).isel(sigma=[s])
            alone = semantics.correlate(data, others, distances=[metric], **options).p_permutation
            np.testing.assert_array_equal(together[s].sel(distance=metric), alone[0, :, 0])


def test_a_control_of_one_tap_stands_beside_every_tap_at_its_noise_level() -> None:
    (data, others), weak = planted(0.7, 8), planted(0.3, 8)[0]
    data, weak = (xr.concat([one, one.assign_coords(sigma=one.sigma * 2) ** 2], "sigma") for one in (data, weak))
    names = np.where(np.arange(data.sizes["channel"]) < 2, "enc", "dec")
    data, weak = data.assign_coords(tap=("channel", names)), weak.assign_coords(tap=("channel", ["else"] * len(names)))
    how: dict[str, Any] = {"permutations": 0, "distances": "euclidean"}
    found = semantics.correlate(data, others, controls={"weak": weak}, **how)
    for s in range(2):
        # An array is the same beside all taps.
        level = weak["phi"].isel(sigma=s, drop=True)
        alone = semantics.correlate(data.isel(sigma=[s]), others, controls={"weak": level}, **how)
        xr.testing.assert_equal(found.isel(sigma=[s]), alone)
    with pytest.raises(InputError, match=r"lacks σ = .* or tap 'enc'"):
        semantics.correlate(
            data, others, controls={"weak": data.assign_coords(tap=("channel", [f"{name}2" for name in names]))}, **how
        )


def p_values_are_honest(partial: bool = False, *, classes: bool = False) -> None:
    """No more than a share a of p-values is at most a, up to what 600 simulations can be off."""
    rng = np.random.default_rng(9)
    repetitions, n, m = 600, 30, 99
    p = np.empty(repetitions)
    for k in range(repetitions):
        if partial:
            matrices = through(rng, n, 0.95, spread=0.3)
        else:
            shift = rng.normal(size=(4, 3))[rng.integers(4, size=n)] * 3 if classes else 0
            label = rng.integers(3, size=n)
            own = kernels_pairs.distance_matrix(rng.normal(size=(n, 3)) + shift, "euclidean")
            other = (
                (label[:, None] != label)
                if classes
                else kernels_pairs.distance_matrix(rng.normal(size=(n, 3)), "cosine")
            )
            matrices = [own, other.astype(np.float32)]
        mats = [kernels_pairs.centred(d) for d in matrices]
        orders = rng.permuted(np.tile(np.arange(n), (m, 1)), axis=1)
        products = np.array([[kernels_correlation.products(a, b).sum() for b in mats] for a in mats])
        given = tuple(range(2, len(mats)))
        moved = kernels_correlation.permuted_products(mats, mats, orders)
        permuted = kernels_correlation.permuted_statistics(products, moved, given)
        p[k] = kernels_correlation.p_values(float(kernels_correlation.partial(products, given)), permuted)
    assert p.min() >= 1 / (1 + m) - 1e-12
    at = np.arange(1, m + 2) / (m + 1)
    excess = ((p[:, None] <= at + 1e-9).mean(axis=0) - at).max()
    # Dvoretzky, Kiefer & Wolfowitz, one-sided: exceeded in 1 of 1000 cases at most.
    assert excess <= math.sqrt(math.log(1000) / (2 * repetitions)), excess


@pytest.mark.parametrize("classes", [False, True])
def test_p_values_of_unrelated_distances_are_not_too_small_even_if_images_cluster(classes: bool) -> None:
    p_values_are_honest(classes=classes)


def test_partial_p_values_are_not_too_small_where_what_is_held_fixed_clusters() -> None:
    p_values_are_honest(partial=True)


def intervals_cover(share: float, repetitions: int = 400, n: int = 200) -> None:
    """A = share G + (1 − share) E of G and E alike and independent: every truth is known."""
    rng = np.random.default_rng(13)

    def vectors(count: int) -> np.ndarray:
        # About a centre: were directions uniform, all images would have one mean distance, and pairs no dependence.
        return unit(rng.normal(size=(count, 4)) + 1.5 * np.eye(4)[0])

    truth = dict.fromkeys(STATISTICS, share / math.hypot(share, 1 - share))
    # Spearman's is that of one pair's two distances: 2·10⁶ independent pairs, to within 0.001.
    g, e = ((vectors(2_000_000) * vectors(2_000_000)).sum(axis=1) for _ in range(2))
    truth["spearman"] = np.corrcoef((share * g + (1 - share) * e).argsort().argsort(), g.argsort().argsort())[0, 1]
    if share == 0:
        truth["spearman"] = 0.0
    covered = dict.fromkeys(STATISTICS, 0)
    for _ in range(repetitions):
        one, two = (kernels_pairs.distance_matrix(vectors(n), "cosine") for _ in range(2))
        for statistic in STATISTICS:
            r = correlations([share * one + (1 - share) * two, one], statistic)
            low, high, _ = jackknifed_correlation(r, LEVEL)
            covered[statistic] += int(low <= truth[statistic] <= high)
    # 3.5 binomial standard deviations below the level; above it too where the truth is not 0, at which the error is
    # overstated.
    slack = 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / repetitions)
    found = {name: count / repetitions for name, count in covered.items()}
    assert all(rate >= LEVEL - slack for rate in found.values()), found


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_intervals_over_200_images_cover_at_their_level_or_above(share: float) -> None:
    intervals_cover(share)


def test_intervals_of_partial_correlations_cover_0() -> None:
    rng = np.random.default_rng(14)
    repetitions = 200
    covered = 0
    for _ in range(repetitions):
        low, high, _ = jackknifed_correlation(correlations(through(rng, 200, 0.6), "pearson"), LEVEL)
        covered += int(low <= 0 <= high)
    assert covered / repetitions >= LEVEL - 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / repetitions)


def found_again(phi: np.ndarray, **options) -> xr.Dataset:
    return semantics.stability(dataset(phi), resamples=100, **options)


@given(seeds)
def test_an_unchanged_representation_is_always_found_again(seed: int) -> None:
    x = np.random.default_rng(seed).gamma(0.7, size=(40, 1, 4))
    assert (found_again(np.concatenate([x, x], axis=1)).top1 == 1).all()


def test_a_representation_that_tells_nothing_apart_is_exactly_at_chance() -> None:
    with pytest.warns(RuntimeWarning, match="block mid φ is the same for all images: they are found again at chance"):
        found = found_again(np.ones((50, 2, 3)), distances=["euclidean", "standardised"])
    np.testing.assert_allclose(found.top1, found.top1_chance)
    np.testing.assert_allclose(found.reciprocal_rank, found.reciprocal_rank_chance)
    np.testing.assert_allclose(found.median_rank, 25.5)


def test_unrelated_representations_are_at_chance_and_noisier_ones_are_found_less() -> None:
    rng = np.random.default_rng(15)
    n = 1000
    x, noise = rng.normal(size=(2, n, 5))
    levels = [x + scale * noise for scale in (0, 0.1, 0.4, 1)] + [rng.normal(size=(n, 5))]
    found = found_again(np.stack(levels, axis=1), distances=["euclidean"])
    assert (found.top1.diff("sigma") < 0).all()
    assert (found.reciprocal_rank.diff("sigma") < 0).all()
    # Each query is at rank 1 with probability 1/N; sharing references leaves the sum close to Poisson's of mean 1:
    # more than 8 has probability 1e-6.
    assert found.top1.isel(sigma=-1).item() <= 8 / n
    # Uniform ranks have mean 1/rank H/N and a standard deviation below √(π²/6/N); 5 standard errors of the mean.
    far = found.reciprocal_rank.isel(sigma=-1).item() - found.reciprocal_rank_chance.item()
    assert abs(far) <= 5 * math.sqrt(math.pi**2 / 6 / n) / math.sqrt(n)


def neighbours_are_at_chance() -> None:
    rng = np.random.default_rng(16)
    label = np.arange(400) % 100
    found = semantics.neighbours(
        dataset(rng.normal(size=(400, 1, 6)), label), k=10, distances=["euclidean"], resamples=100
    )
    chance = found.precision_chance.item()
    # 4000 neighbours, each of the class with probability 3/399; mutual ones count twice: variance at most doubled.
    assert abs(found.precision.item() - chance) <= 4 * math.sqrt(2 * chance * (1 - chance) / 4000)


def test_neighbours_that_know_nothing_of_labels_are_at_chance() -> None:
    neighbours_are_at_chance()


def independent_distances_do_not_correlate() -> None:
    rng = np.random.default_rng(17)
    r = np.empty(200)
    for k in range(len(r)):
        one, two = (kernels_pairs.distance_matrix(rng.normal(size=(30, 3)), "euclidean") for _ in range(2))
        r[k] = correlations([one, two], "pearson")[0]
    # The covariance is unbiased, and the ratio's bias of order 1/n of its spread: 4 standard errors.
    assert abs(r.mean()) <= 4 * r.std(ddof=1) / math.sqrt(len(r))


def test_independent_distances_do_not_correlate() -> None:
    independent_distances_do_not_correlate()


def means_are_of_each_image() -> None:
    """Averages and their intervals are those of what is found image by image, those left out being left out."""
    rng = np.random.default_rng(18)
    x, noise = rng.normal(size=(2, 64, 3))
    data = dataset(np.stack([x, x + 0.5 * noise], axis=1), rng.integers(3, size=64))
    each = semantics.per_image(data, among=10, k=4)
    found = semantics.stability(data, among=10, resamples=200)
    assert (each.group < 0).sum() == 4
    assert each.top1.isnull().any(["sigma", "noise", "block", "distance"]).equals(each.group < 0)
    near = semantics.neighbours(data, k=4, resamples=200)
    xr.testing.assert_equal(near.neighbor_index, each.neighbor_index)
    order = np.argsort(data.image.values)
    used = order[each.group.values[order] >= 0]
    for mean, values in (
        (found.top1, each.top1.values[used]),
        (found.reciprocal_rank, each.reciprocal_rank.values[used]),
        (near.precision, each.precision.values[order]),
    ):
        np.testing.assert_allclose(mean, values.mean(axis=0))
        drawn = Estimate(mean.values, *interval(resampled_means(values, resamples=200), LEVEL, units=len(values)))
        # All that are found again leave open what others would be.
        _, low, _ = unlike(drawn, (0, 1), LEVEL, units=len(values))
        source = found if str(mean.name) in found else near
        np.testing.assert_allclose(source[f"{mean.name}_low"], low)
    np.testing.assert_array_equal(found.median_rank, np.median(each["rank"].values[used], axis=0))


def test_averages_are_those_of_what_is_found_image_by_image() -> None:
    means_are_of_each_image()
