"""Images that hang together in groups: intervals and p-values that take groups whole are honest, others are not."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy.stats import rankdata

from analyses import semantics
from analyses.ground import jackknifed_correlation
from analyses.semantics import kernels_correlation, kernels_mantel, kernels_pairs
from probekit import labels

LEVEL = 0.95


def dataset(phi: np.ndarray, groups: np.ndarray, label: np.ndarray | None = None) -> xr.Dataset:
    """φ (image, sigma, channel) of one tap at 0.01, 0.02, …, and the group of each image."""
    data = labels.representation(
        {"phi": phi},
        ids=[str(i) for i in range(len(phi))],
        labels=None if label is None else [str(name) for name in label],
        sigma=[0.01 * (s + 1) for s in range(phi.shape[1])],
        channels={"mid": phi.shape[2]},
        attrs={"denoiser": "none"},
    )
    return data.assign_coords(photograph=("image", np.array([f"photograph {g}" for g in groups], object)))


def covered(found: xr.Dataset, name: str, truth: float) -> float:
    low, high = (found[f"{name}_{end}"].squeeze().values[1:] for end in ("low", "high"))
    return float(((low <= truth) & (truth <= high)).mean())


def at_least_the_level(rate: float, repetitions: int) -> None:
    """3.5 binomial standard deviations below the level at most."""
    assert rate >= LEVEL - 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / repetitions), rate


def found_again_is_covered(clusters: str | None, repetitions: int = 300) -> None:
    """Images of a group are found again all or none, the groups independently; each noise level is a repetition."""
    rng = np.random.default_rng(0)
    groups, share = np.repeat(np.arange(60), 5), 0.7
    code = np.arange(len(groups), dtype=float)
    good = (rng.random((60, repetitions)) < share)[groups]
    # Those that fail lie exactly where another image is.
    seen = np.where(good, code[:, None], np.roll(code, 1)[:, None])
    phi = np.concatenate([code[:, None], seen], axis=1)[..., None]
    found = semantics.stability(dataset(phi, groups), reference=0.01, distances="euclidean", clusters=clusters)
    at_least_the_level(covered(found, "top1", share), repetitions)


def labels_of_neighbours_are_covered(clusters: str | None, repetitions: int = 300) -> None:
    """Of four images of a group each is next to the one of its class, or all are next to one of the other."""
    rng = np.random.default_rng(1)
    groups, share = np.repeat(np.arange(60), 4), 0.6
    good = rng.random((60, 1 + repetitions)) < share
    alike, unlike = np.array([0, 0.1, 1, 1.1]), np.array([0, 1, 0.1, 1.1])
    places = np.where(good[:, None], alike[:, None], unlike[:, None]).reshape(len(groups), -1)
    phi = (100.0 * groups[:, None] + places)[..., None]
    data = dataset(phi, groups, np.tile([0, 0, 1, 1], 60))
    found = semantics.neighbours(data, k=1, distances="euclidean", clusters=clusters)
    at_least_the_level(covered(found, "precision", share), repetitions)


def correlations_are_covered(grouped: bool, statistic: str, repetitions: int = 200) -> None:
    """A = share G + (1 − share) E of independent G and E, which a group's images have in common: the truth is known."""
    rng = np.random.default_rng(2)
    share, number, size = 0.5, 60, 3
    groups = np.repeat(np.arange(number), size)

    def vectors(count: int) -> np.ndarray:
        x = rng.normal(size=(count, 4)) + 1.5 * np.eye(4)[0]
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    # A million independent pairs of two groups, and pairs of one group, at distance 0, in the share that the sample has
    # of them: the truth to within 0.002, a thirtieth of the intervals' width.
    apart = 1_000_000
    together = round(apart * (size - 1) / (number * size - size))
    g, e = (np.append(1 - (vectors(apart) * vectors(apart)).sum(axis=1), np.zeros(together)) for _ in range(2))
    a = share * g + (1 - share) * e
    if statistic == "spearman":
        a, g = rankdata(a), rankdata(g)
    truth = np.corrcoef(a, g)[0, 1]
    hits = 0
    for _ in range(repetitions):
        one, two = (kernels_pairs.distance_matrix(vectors(number)[groups], "cosine") for _ in range(2))
        made = [kernels_correlation.transformed(d, statistic) for d in (share * one + (1 - share) * two, one)]
        r = kernels_correlation.partial(kernels_correlation.gram(made, made, groups if grouped else None), ())
        low, high, _ = jackknifed_correlation(r, LEVEL)
        hits += int(low <= truth <= high)
    at_least_the_level(hits / repetitions, repetitions)


def test_intervals_over_groups_cover_how_often_images_are_found_again() -> None:
    found_again_is_covered("photograph")


def test_intervals_over_groups_cover_how_many_neighbours_have_the_label() -> None:
    labels_of_neighbours_are_covered("photograph")


@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_intervals_over_groups_cover_correlations_of_distances(statistic: str) -> None:
    correlations_are_covered(True, statistic)


def test_intervals_over_images_of_groups_do_not_cover() -> None:
    for call in (
        lambda: found_again_is_covered(None, 100),
        lambda: labels_of_neighbours_are_covered(None, 100),
        lambda: correlations_are_covered(False, "pearson", 50),
    ):
        with pytest.raises(AssertionError):
            call()


def p_values_are_honest(grouped: bool) -> None:
    """No more than a share a of p-values is at most a, up to what 300 simulations can be off."""
    rng = np.random.default_rng(3)
    repetitions, m = 300, 99
    groups = np.repeat(np.arange(10), 4)
    p = np.empty(repetitions)
    for k in range(repetitions):
        centred = [
            kernels_pairs.centred(
                kernels_pairs.distance_matrix(
                    (rng.normal(size=(10, 3)))[groups] + 0.1 * rng.normal(size=(40, 3)), "euclidean"
                )
            )
            for _ in range(2)
        ]
        orders = kernels_mantel.permutations_of(40, m, k, groups if grouped else None)
        products = np.array([[(x * y).sum(dtype=float) for y in centred] for x in centred])
        moved = kernels_mantel.permuted_products(centred, centred, orders)
        r = float(kernels_correlation.partial(products, ()))
        p[k] = kernels_mantel.p_values(r, kernels_mantel.permuted_statistics(products, moved, ()))
    at = np.arange(1, m + 2) / (m + 1)
    excess = ((p[:, None] <= at + 1e-9).mean(axis=0) - at).max()
    # Dvoretzky, Kiefer & Wolfowitz, one-sided: exceeded in 1 of 1000 cases at most.
    assert excess <= math.sqrt(math.log(1000) / (2 * repetitions)), excess


def test_exchanging_whole_groups_makes_p_values_that_are_not_too_small() -> None:
    p_values_are_honest(True)


def test_exchanging_images_of_groups_makes_p_values_too_small() -> None:
    with pytest.raises(AssertionError):
        p_values_are_honest(False)


def test_groups_are_subsampled_whole_and_named_in_the_findings() -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), 3)
    data = dataset(rng.normal(size=(90, 2, 3)), groups, rng.integers(3, size=90))
    options = {"permutations": 99, "distances": "euclidean", "statistics": "pearson"}
    found = semantics.correlate(data, {"label": "label"}, clusters="photograph", max_images=50, **options)
    assert (found.attrs["images"], found.attrs["clusters"]) == (48, "photograph")
    whole = semantics.analyse(data, clusters="photograph", k=3, resamples=100, reference=0.01, **options)
    alone = semantics.analyse(data, k=3, resamples=100, reference=0.01, **options)
    assert whole.attrs["clusters"] == "photograph"
    for name in ("correlation", "precision", "reciprocal_rank"):
        xr.testing.assert_equal(whole[name], alone[name])
        assert not whole[f"{name}_low"].equals(alone[f"{name}_low"])


def test_groups_all_of_unlike_sizes_can_be_exchanged_in_one_way_only_which_proves_nothing() -> None:
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(12), np.arange(1, 13))
    meaning = rng.normal(size=(78, 2))
    data = dataset(meaning[:, None], groups)
    options = {"permutations": 99, "distances": "euclidean", "statistics": "pearson"}
    others = {"meaning": xr.DataArray(meaning, dims=("image", "feature"))}
    assert semantics.correlate(data, others, **options).p_permutation.item() == 0.01
    assert semantics.correlate(data, others, clusters="photograph", **options).p_permutation.item() == 1


def test_the_order_of_images_in_groups_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    groups = rng.permutation(np.repeat(np.arange(30), 3))
    data = dataset(rng.normal(size=(90, 2, 3)), groups, rng.integers(3, size=90))
    options = {"clusters": "photograph", "distances": "euclidean", "k": 3, "resamples": 100, "permutations": 99}
    one, two = (
        semantics.analyse(d, statistics="pearson", reference=0.01, max_images=60, **options)
        for d in (data, data.isel(image=rng.permutation(90)))
    )
    for name in ("correlation_low", "p_permutation", "precision_low", "reciprocal_rank_high"):
        np.testing.assert_allclose(one[name], two[name])
