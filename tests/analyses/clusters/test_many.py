"""Clusters of a sample, all images put to them some at a time: recovery, equality wherever φ lies, what is read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from analyses import clusters
from analyses.clusters import kernels_kmeans as kernels
from probekit import labels
from tests.analyses.lazily import Log, blocks_of, everywhere, lazily

CHANNELS = 6


def made(images: int = 60, seed: int = 0, apart: float = 8.0) -> xr.Dataset:
    """Four groups of different sizes, unit noise about corners that lie √2 times so far apart, in two taps."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, size=images, p=[0.4, 0.3, 0.2, 0.1])
    phi = 9 + (apart * np.eye(4, CHANNELS)[truth] + rng.normal(size=(images, CHANNELS)))[:, None]
    phi = np.concatenate([phi, phi[..., ::-1]], axis=2)
    se = 0.1 * np.sqrt(rng.chisquare(9, phi.shape) / 9)
    ids = [f"im{i:05d}" for i in rng.permutation(images)]
    return labels.representation(
        {"phi": phi, "phi_se": se},
        ids=ids,
        labels=[f"c{t}" for t in truth],
        sigma=[0.1],
        channels={"a": CHANNELS, "b": CHANNELS},
        attrs={"denoiser": "none", "draws": 10},
    )


def analysed(data: xr.Dataset, **options: Any) -> xr.Dataset:
    how = {"n_clusters": 4, "splits": 1, "n_init": 3, "resamples": 100, "permutations": 99}
    return clusters.analyse(data, **{**how, **options})


@pytest.mark.parametrize("noise_free", [False, True])
def test_planted_groups_are_found_on_a_sample_and_all_images_put_to_them(noise_free: bool) -> None:
    data = made(4000)
    found = analysed(data, fit_images=200, noise_free=noise_free)
    for block in ("a", "b"):
        own = found.assignment.sel(block=block).values[:, 0]
        # Centres are 8√2 apart, and each known up to a fifth of a unit normal, of 20 images about: an image goes over
        # with probability Φ(−5.6 + 1) = 2e-6 at most.
        assert adjusted_rand_score(data.label.values, own) > 0.999
        assert found["size"].sel(block=block).values.ravel().tolist() == np.bincount(own).tolist()
        assert (np.diff(np.bincount(own)) <= 0).all()
    assert found.attrs["images_fitted"] == 200
    assert (found.ari > 0.999).all()


def test_a_number_is_chosen_among_the_images_clustered() -> None:
    found = analysed(made(3000), n_clusters=(2, 4, 6), fit_images=300, n_init=10, splits=4)
    assert (found.n_clusters == 4).all()


@pytest.mark.parametrize("images", [1, 7])
@given(st.integers(0, 1000), st.sampled_from([20, 33, 60, 61]), st.booleans())
@settings(max_examples=6)
def test_findings_are_the_same_wherever_phi_lies(images: int, seed: int, fitted: int, noise_free: bool) -> None:
    data = made(60, seed, 3)
    how: dict[str, Any] = {"fit_images": fitted, "noise_free": noise_free, "seed": seed}
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, 4 * CHANNELS * images)
        for other in everywhere(data, 7):
            xr.testing.assert_identical(analysed(other, **how), analysed(data, **how))
            halves = ("image", np.where(np.arange(60) % 2, "odd", "even").astype(object))
            both = [d.assign_coords(half=halves) for d in (data, other)]
            found = [clusters.separation(d, label="half", max_images=fitted, seed=seed) for d in both]
            xr.testing.assert_identical(*found)
            xr.testing.assert_identical(*(clusters.embed(d, perplexity=3, max_images=20) for d in (data, other)))


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=6)
def test_the_sample_goes_by_ids_whatever_order_images_are_in(seed: int, noise_free: bool) -> None:
    data = made(80, seed, 3)
    order = np.random.default_rng(seed).permutation(80)
    one, two = (analysed(d, fit_images=50, noise_free=noise_free) for d in (data, data.isel(image=order)))
    xr.testing.assert_identical(one.isel(image=order), two)
    data = data.assign_coords(half=("image", np.where(np.arange(80) % 2, "odd", "even").astype(object)))
    near = [
        clusters.separation(d, label="half", max_images=50, seed=seed, against=data[["phi"]] + 1.0)
        for d in (data, data.isel(image=order))
    ]
    xr.testing.assert_identical(*near)
    # φ moved by a constant is as far apart.
    np.testing.assert_allclose(near[0].difference, 0, atol=1e-6)
    assert near[0].attrs["images"] == 50


@pytest.mark.parametrize("noise_free", [False, True])
def test_images_that_were_not_fitted_are_at_their_nearest_centre(noise_free: bool) -> None:
    data = made(300, 2, 3)
    found = analysed(data, fit_images=40, noise_free=noise_free)
    chosen = set(np.random.default_rng(0).permutation(300)[:40].tolist())
    by_id = {name: i for i, name in enumerate(sorted(data.image.values))}
    new = [i for i, name in enumerate(data.image.values) if by_id[name] not in chosen]
    assert len(new) == 260
    phi, se = (data[name].values[:, 0, :CHANNELS].astype(float) for name in ("phi", "phi_se"))
    own = found.assignment.values[:, 0, 0]
    centres = found.centre.values[0, :, :CHANNELS].astype(float)
    fitted = [i for i in range(300) if i not in new]
    for i in new:
        far = []
        for c, centre in enumerate(centres):
            square = math.fsum((phi[i] - centre) ** 2)
            if noise_free:
                members = [j for j in fitted if own[j] == c]
                square -= math.fsum(se[i] ** 2) + sum(math.fsum(se[j] ** 2) for j in members) / len(members) ** 2
            far.append(square)
        assert own[i] == int(np.argmin(far))
        # Of float32, in units of the scale of φ.
        assert found.centre_distance.values[i, 0, 0] == pytest.approx(
            math.copysign(math.sqrt(abs(min(far))), min(far)), rel=1e-5
        )


def test_without_noise_to_take_off_distances_are_plain() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    centre = x[:4] + 0.5
    plain, free = kernels.assigned(x, centre), kernels.assigned(x, centre, np.zeros(20), np.zeros(4))
    np.testing.assert_array_equal(plain, free)


@pytest.mark.parametrize("images", [400, 1600])
def test_no_more_is_read_at_once_than_is_fitted_and_a_few_times_in_all(
    images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, log = made(images), Log()
    blocks_of(monkeypatch, 4 * CHANNELS * 50)
    analysed(lazily(data, log), fit_images=100, noise_free=True)
    assert log.largest <= 100 * 2 * CHANNELS
    # φ and its errors: checked, and put to centres.
    assert log.total <= 4 * CHANNELS * (2 * images + 100)
