"""A denoiser that has learnt images by heart is caught, and one that knows their law alone is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor, nn

from analyses.generalisation import kernels
from probekit.images import load
from tests.analyses.generalisation.making import LAW, SAMPLES, SHARE, found


def test_samples_of_a_denoiser_that_has_learnt_by_heart_are_all_near_copies(by_heart: xr.Dataset) -> None:
    assert float(by_heart.near_copy_rate) == 1
    assert float(by_heart.near_copy_rate_low) > SHARE
    np.testing.assert_allclose(by_heart.samples, by_heart.nearest_image, atol=1e-3 + 1e-6)


def test_samples_of_the_law_itself_are_near_copies_as_seldom_as_unseen_images_are(honest: xr.Dataset) -> None:
    # Given the threshold, the 10th smallest of 199, the share of unseen images below it has a Beta(10, 190) law: below
    # 0.105 but with probability 0.001; so many of 60 samples are exceeded with probability 0.001.
    assert honest.near_copy.sum() <= binom.isf(0.001, SAMPLES, 0.105)
    assert float(honest.near_copy_rate_low) < SHARE


def test_what_is_learnt_by_heart_raises_the_psnr_on_training_images_only(
    honest: xr.Dataset, by_heart: xr.Dataset
) -> None:
    # At σ = 0.1 the nearest of 300 images is the image itself. Of others it is no better than one at random, at most
    # the variance of the law: some 60 against 15 dB.
    assert float(by_heart.psnr_training.sel(sigma=0.1)) == pytest.approx(60, abs=0.01)
    assert float(by_heart.gap_low.sel(sigma=0.1)) > 20
    # Of the exact denoiser the expected gap is 0; its interval is about 4 standard errors wide, so twice it contains 0
    # but with probability 1e-4.
    middle, half = honest.gap.values, (honest.gap_high - honest.gap_low).values / 2
    assert (np.abs(middle) < 2 * half).all()


def test_one_image_learnt_by_heart_beside_the_law_is_found(known: Any) -> None:
    image = load(known).read([0])

    class Drawn(nn.Module):
        """Knows one image by heart, and takes for it whatever lies on its side; of all else it knows the law."""

        def forward(self, y: Tensor, sigma: Any) -> Tensor:
            near = (y.flatten(1) @ image.flatten() > 0).view(-1, 1, 1, 1)
            return torch.where(near, image, LAW(y, sigma))

    findings = found(Drawn(), known)
    # Half of all noise begins on its side.
    assert float(findings.near_copy_rate_low) > SHARE
    copies = findings.relative_distance.values < 1e-2
    assert copies.any()
    assert set(findings.nearest.values[copies]) == {load(known).ids[0]}


def the_nearest_is_that_of_a_search_by_hand(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    training, mine = rng.random((n, 1, 3, 3)), rng.random((3, 1, 3, 3))
    result = kernels.nearest_training(torch.from_numpy(mine).float(), load(training), neighbours=k)
    a, b = (x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(1, keepdims=True) for x in (mine, training))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    distances = np.linalg.norm(a[:, None] - b[None], axis=2)
    order = np.sort(distances, axis=1)
    # Of correlations in single precision: an error of some 2⁻²² under a root at √(2 − 2 corr) > 1e-2 or so.
    np.testing.assert_allclose(result.distance, order[:, 0], atol=1e-4)
    np.testing.assert_allclose(distances[np.arange(3), result.position], order[:, 0], atol=1e-4)
    np.testing.assert_allclose(result.relative, order[:, 0] / order[:, 1 : k + 1].mean(axis=1), atol=1e-3)


@pytest.mark.parametrize("copies", [1, 3, 600])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_copy_of_what_is_there_many_times_is_as_near_as_a_copy_of_one(copies: int, noise: float) -> None:
    rng = np.random.default_rng(0)
    one, others = rng.random((1, 1, 8, 8)), rng.random((20, 1, 8, 8))
    # Twins are at √2 · 0.01 from one another, the sample at 0.02 from the first.
    twins = one + noise * (rng.random((copies, 1, 8, 8)) - 0.5)
    sample = one + 0.02 * (rng.random((1, 1, 8, 8)) - 0.5)
    found = kernels.nearest_training(
        torch.from_numpy(sample).float(), load(np.concatenate([twins, others])), neighbours=3
    )
    x = np.concatenate([sample, twins, others]).reshape(-1, 64)
    x = x - x.mean(axis=1, keepdims=True)
    distances = np.linalg.norm((x / np.linalg.norm(x, axis=1, keepdims=True))[1:] - x[0] / np.linalg.norm(x[0]), axis=1)
    expected = distances[:copies].min() / np.sort(distances[copies:])[:3].mean()
    assert expected < 0.03
    # Single precision under a root: some 2⁻²² at 0.02.
    np.testing.assert_allclose(found.relative, expected, rtol=0.02)


def test_images_that_are_all_twins_are_all_copied() -> None:
    images = np.random.default_rng(0).random((1, 1, 8, 8)).repeat(5, axis=0)
    found = kernels.nearest_training(torch.from_numpy(images).float(), load(images), neighbours=3)
    assert found.relative.tolist() == [0] * 5


@given(seed=st.integers(0, 99), n=st.integers(4, 700), k=st.integers(1, 5))
def test_the_nearest_training_image_is_that_of_a_search_by_hand(seed: int, n: int, k: int) -> None:
    the_nearest_is_that_of_a_search_by_hand(seed, n, k)
