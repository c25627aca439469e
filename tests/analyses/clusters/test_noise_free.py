"""Clusters with the bias by noise taken off, where the groups are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import clusters
from analyses.clusters import kernels_kmeans
from probekit import labels
from probekit.errors import InputError
from probekit.machine import netcdf
from probekit.phi.reliability import squared_distances

SEEDS = st.integers(0, 10_000)
FAST: dict[str, Any] = {"splits": 2, "n_init": 10, "resamples": 100, "permutations": 99}
IMAGES, CHANNELS, DRAWS = 60, 2000, 8


def measured(true: np.ndarray, noise: np.ndarray, classes: np.ndarray, seed: int) -> xr.Dataset:
    """φ of draws about true values (image, channel); the expected squared length of each image's error is `noise`."""
    spread = np.sqrt(noise * DRAWS / true.shape[1])
    draws = true + spread[:, None] * np.random.default_rng(seed).normal(size=(DRAWS, *true.shape))
    return labels.representation(
        {"phi": draws.mean(axis=0)[:, None], "phi_se": draws.std(axis=0, ddof=1)[:, None] / np.sqrt(DRAWS)},
        ids=[f"image {i:03}" for i in range(len(true))],
        labels=list(map(str, classes)),
        sigma=[0.1],
        channels={"mid": true.shape[1]},
        attrs={"denoiser": "none"},
    )


def two_groups(seed: int, apart: float = 3.0) -> xr.Dataset:
    """Two groups of 30, that far apart, with noise of squared length 1, of every sixth image 300."""
    y = np.arange(IMAGES) % 2
    noise = np.where(np.arange(IMAGES) // 2 % 6 == 0, 300.0, 1.0)
    axis = np.zeros(CHANNELS)
    axis[: CHANNELS // 2] = 1 / np.sqrt(CHANNELS // 2)
    return measured(1 + apart * y[:, None] * axis, noise, y, seed + 1)


@pytest.mark.parametrize("seed", range(3))
def test_noisy_images_become_clusters_of_their_own_and_noise_free_clusters_are_the_groups(seed: int) -> None:
    # To part the groups takes 60 · 3²/4 = 135 off the squares within, to part one noisy image 300. Errors along the
    # line between the groups have a deviation of √(300/2000) = 0.4, and the bound is 1.5 away.
    data = two_groups(seed)
    plain = clusters.analyse(data, n_clusters=2, **FAST)
    free = clusters.analyse(data, n_clusters=2, noise_free=True, **FAST)
    assert plain.size.values.min() == 1
    assert plain.ari.item() < 0.1
    assert free.ari.item() > 0.9
    assert free.attrs["noise_free"] == "squared standard errors of phi are taken off squared distances"
    assert "noise_free" not in plain.attrs


def test_the_number_of_groups_is_found_where_noise_differs_between_images() -> None:
    data = two_groups(7, apart=6.0)
    free = clusters.analyse(data, n_clusters=(1, 2, 3, 4), noise_free=True, **FAST)
    assert free.n_clusters.item() == 2
    assert free.silhouette.sel(number=2).item() > 0.8
    # Images of a group are the same but for noise: nothing is left within. Errors of the 10 noisy images' squares,
    # 300·√(2/2000) each, are 30 together, and the groups' 60 · 6²/4 = 540.
    assert abs(free.within.sel(number=2).item()) < 5 * 30 / 540
    plain = clusters.analyse(data, n_clusters=(1, 2, 3, 4), **FAST)
    assert plain.within.sel(number=2).item() > 0.5


@given(SEEDS, st.integers(1, 5))
def test_what_is_left_within_is_that_of_unbiased_distances_of_pairs(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x, noise, cluster = rng.normal(size=(12, 4)), rng.random(12), rng.integers(k, size=12)
    d, expected = squared_distances(x, noise), 0.0
    for c in np.unique(cluster):
        inside = np.flatnonzero(cluster == c)
        expected += d[np.ix_(inside, inside)].sum() / (2 * len(inside))
    found = kernels_kmeans.left_within(x, cluster, noise, k)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(SEEDS)
def test_distances_to_centres_are_those_of_unbiased_distances_of_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(12, 4)), rng.random(12)
    found = kernels_kmeans.partition(x, 3, seed=seed, n_init=2, noise=noise)
    d = squared_distances(x, noise)
    for i, own in enumerate(found.cluster):
        inside = np.flatnonzero(found.cluster == own)
        square = d[i, inside].mean() - d[np.ix_(inside, inside)].sum() / (2 * len(inside) ** 2)
        np.testing.assert_allclose(np.sign(found.distance[i]) * found.distance[i] ** 2, square, atol=1e-7)
        np.testing.assert_allclose(found.centre[own], x[inside].mean(axis=0), atol=1e-9)


@settings(max_examples=10)
@given(SEEDS)
def test_of_no_noise_groups_that_lie_apart_are_those_of_k_means(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (10 * np.eye(4)[np.arange(40) % 4] + rng.normal(size=(40, 4))).astype(np.float32)
    plain = kernels_kmeans.partition(x, 4, seed=seed, n_init=10)
    free = kernels_kmeans.partition(x, 4, seed=seed, n_init=10, noise=np.zeros(40))
    assert (np.equal.outer(plain.cluster, plain.cluster) == np.equal.outer(free.cluster, free.cluster)).all()
    np.testing.assert_allclose(free.distance, plain.distance, atol=1e-4)


def test_the_estimate_of_what_is_left_within_has_no_bias() -> None:
    rng = np.random.default_rng(3)
    true, noise, cluster = rng.normal(size=(12, 5)), np.tile([0.2, 5.0], 6), np.arange(12) % 3
    exact = kernels_kmeans.left_within(true, cluster, np.zeros(12), 3)
    drawn = true + np.sqrt(noise / 5)[:, None] * rng.normal(size=(4000, 12, 5))
    found = np.array([kernels_kmeans.left_within(x, cluster, noise, 3) for x in drawn])
    # Within four standard errors of the mean of 4,000.
    assert abs(found.mean() - exact) < 4 * found.std() / np.sqrt(4000)


def test_results_do_not_depend_on_the_order_of_images() -> None:
    data = two_groups(2)
    order = np.random.default_rng(0).permutation(IMAGES)
    first = clusters.analyse(data, n_clusters=2, noise_free=True, **FAST)
    other = clusters.analyse(data.isel(image=order), n_clusters=2, noise_free=True, **FAST)
    xr.testing.assert_identical(first.assignment.isel(image=order), other.assignment)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.drop_vars("phi_se"), "noise_free=True needs phi_se, .* which the data lacks: measure with"),
        (lambda data: data.assign(phi_se=data.phi_se * np.nan), "needs phi_se, which is NaN in the data at σ = 0.1"),
        (lambda data: data.assign(phi_se=-data.phi_se), "phi_se is negative"),
    ],
)
def test_noise_that_is_not_known_is_refused(change, said: str) -> None:
    with pytest.raises(InputError, match=said):
        clusters.analyse(change(two_groups(0)), n_clusters=2, noise_free=True)


def test_the_command_takes_noise_off(tmp_path: Path) -> None:
    data = two_groups(1)
    netcdf.write(data, tmp_path / "phi.nc")
    few = ["--n-clusters", "2", "--resamples", "100", "--permutations", "99", "--noise-free"]
    assert clusters.main([str(tmp_path / "phi.nc"), "-o", str(tmp_path / "out"), *few]) == 0
    found = netcdf.read(tmp_path / "out" / "clusters.nc", "")
    assert found.ari.item() > 0.9
