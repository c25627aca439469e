"""Laws of clusters: planted numbers are found, null classes are at chance, symmetries hold, intervals cover."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from analyses import clusters
from analyses.clusters import kernels_agreement
from probekit import labels
from probekit.synthetic.subspaces import union_of_subspaces

LEVEL = 0.95
FAST = {"splits": 2, "n_init": 3, "resamples": 100, "permutations": 99}


def dataset(phi: np.ndarray, classes: np.ndarray) -> xr.Dataset:
    """φ (image, channel) at one noise level, with classes."""
    return labels.representation(
        {"phi": phi[:, None]},
        ids=[f"image {i:04d}" for i in range(len(phi))],
        labels=list(map(str, classes)),
        sigma=[0.1],
        channels={"mid": phi.shape[1]},
        attrs={"denoiser": "none"},
    )


def planted(seed: int, k: int = 3, images: int = 120, apart: float = 12.0) -> xr.Dataset:
    """Unit normal groups with centres on axes, √2 · apart from one another, in 8 dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(images) % k
    return dataset(apart * np.eye(8)[y] + rng.normal(size=(images, 8)), y)


def analysed(data: xr.Dataset, **options) -> xr.Dataset:
    return clusters.analyse(data, **{**FAST, "n_clusters": 3, **options})


def numbers_are_found() -> None:
    for k in (1, 2, 3, 5, 8):
        found = analysed(planted(k, k, 240), n_clusters=None, splits=3, n_init=5, label=None)
        assert found.n_clusters.item() == k, k


def test_the_planted_number_of_groups_is_found_where_groups_are_12_standard_deviations_from_their_middle() -> None:
    numbers_are_found()


def test_union_of_subspaces_gives_one_cluster_per_subspace() -> None:
    data, truth = union_of_subspaces(400, n_subspaces=4, noise=0.05)
    data = data.assign_coords(label=("image", truth.subspace.values.astype(str)))
    assert analysed(data, n_clusters=4, n_init=10).ari.item() > 0.95


def null_is_at_chance() -> None:
    simulations, level = 300, 0.1
    rng = np.random.default_rng(1)
    cluster = rng.integers(6, size=150)
    found = [
        kernels_agreement.agreement(
            cluster, rng.integers(4, size=150), resamples=2, permutations=99, level=LEVEL, seed=s
        )
        for s in range(simulations)
    ]
    p = np.array([one.p_value for one in found])
    # p-values of a permutation test are super-uniform: 3.5 binomial standard deviations above their level.
    assert ((p <= level).mean(axis=0) <= level + 3.5 * math.sqrt(level * (1 - level) / simulations)).all()
    value = np.array([one.value for one in found])[:, 1:3]
    # AMI and ARI are 0 on average: 3.5 standard errors of the mean.
    assert (abs(value.mean(axis=0)) <= 3.5 * value.std(axis=0) / math.sqrt(simulations)).all()


def test_classes_that_know_nothing_of_clusters_are_at_chance() -> None:
    null_is_at_chance()


def intervals_cover() -> None:
    simulations, images = 200, 300
    rng = np.random.default_rng(2)
    # Clusters and classes drawn together from a table of probabilities.
    table = np.full((4, 4), 0.03) + 0.13 * np.eye(4)
    assert table.sum() == pytest.approx(1)
    drawn = rng.choice(16, size=(simulations, images), p=table.ravel())
    # Adjusted measures are nearly unbiased: their truth is that of 2·10⁵ images, known to some 0.003.
    many = rng.multinomial(200_000, table.ravel()).reshape(4, 4)
    truth = kernels_agreement.measures(many)
    found = [
        kernels_agreement.agreement(codes // 4, codes % 4, resamples=200, permutations=1, level=LEVEL, seed=s)
        for s, codes in enumerate(drawn)
    ]
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    covered = ((low <= truth) & (truth <= high)).mean(axis=0)
    # 3.5 binomial standard deviations of 200 sets. NMI and purity are biased, and no interval mends that.
    assert (abs(covered - LEVEL) <= 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / simulations))[1:3].all(), covered


def test_intervals_of_adjusted_measures_cover_at_their_level() -> None:
    intervals_cover()


@given(st.integers(0, 500), st.integers(-30, 30))
@settings(max_examples=15)
def test_turning_scaling_and_moving_phi_changes_no_cluster(seed: int, exponent: int) -> None:
    data = planted(seed)
    turn = ortho_group.rvs(8, random_state=seed)
    moved = data.assign(phi=(data.phi.dims, ((data.phi.values + 3) @ turn * 2.0**exponent).astype(np.float32)))
    first, other = analysed(data), analysed(moved)
    np.testing.assert_array_equal(first.assignment, other.assignment)
    np.testing.assert_allclose(first.centre_distance * 2.0**exponent, other.centre_distance, rtol=1e-3)


@given(st.permutations(range(120)))
@settings(max_examples=15)
def test_the_order_of_images_permutes_their_clusters_and_nothing_else(order: list[int]) -> None:
    # Groups that overlap, so that k-means could end elsewhere.
    data = planted(1, apart=2.0)
    first, permuted = analysed(data, n_clusters=(2, 3, 4)), analysed(data.isel(image=order), n_clusters=(2, 3, 4))
    xr.testing.assert_equal(first.assignment.isel(image=order), permuted.assignment)
    for name in ("ari", "ami_low", "strength", "nmi_p"):
        xr.testing.assert_equal(first[name], permuted[name])


@given(st.permutations("abc"))
@settings(max_examples=6)
def test_names_of_classes_mean_nothing(names: list[str]) -> None:
    data = planted(2, apart=2.0)
    renamed = data.assign_coords(label=("image", [names[int(c)] for c in data.label.values]))
    first, other = analysed(data), analysed(renamed)
    for name in ("nmi", "ami", "ari", "purity", "ami_low", "ami_high"):
        np.testing.assert_allclose(first[name], other[name], atol=1e-9)


def test_taps_and_noise_levels_are_clustered_each_on_its_own() -> None:
    first, second = planted(1), planted(2, apart=3.0)
    phi = np.stack(
        [np.concatenate([d.phi.values[:, 0] for d in pair], axis=1) for pair in ((first, second), (second, first))],
        axis=1,
    )
    both = labels.representation(
        {"phi": phi},
        ids=first.image.values.tolist(),
        labels=first.label.values.tolist(),
        sigma=[0.1, 0.2],
        channels={"a": 8, "b": 8},
        attrs={},
    )
    together = analysed(both)
    for data, places in ((first, [(0, 0), (1, 1)]), (second, [(0, 1), (1, 0)])):
        alone = analysed(data)
        for s, b in places:
            np.testing.assert_array_equal(together.assignment[:, s, b], alone.assignment[:, 0, 0])
            assert together.ami[s, b].item() == alone.ami.item()
            np.testing.assert_allclose(together.centre[s, :, 8 * b : 8 * b + 8], alone.centre[0], rtol=1e-5)


def test_differences_between_representations_are_paired_over_images() -> None:
    clear, vague = analysed(planted(1)), analysed(planted(1, apart=2.5))
    same = clusters.compare(clear, clear)
    assert (same[["ami", "ami_low", "ami_high"]].to_array() == 0).all()
    found = clusters.compare(clear, vague.isel(image=slice(None, None, -1)))
    assert found.ami.item() == pytest.approx(clear.ami.item() - vague.ami.item())
    assert found.ami_low.item() > 0


def test_the_map_keeps_groups_together() -> None:
    data = planted(0)
    places = clusters.embed(data, perplexity=10).embedding.values[:, 0, 0]
    nearest = np.square(places[:, None] - places[None]).sum(axis=2)
    np.fill_diagonal(nearest, np.inf)
    y = data.label.values
    # Groups 17 standard deviations apart: neighbours on the map are of one group but for strays.
    assert (y[nearest.argmin(axis=1)] == y).mean() > 0.95
