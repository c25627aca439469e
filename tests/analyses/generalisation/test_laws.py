"""Laws of generalisation: what hides no copy, what makes none, and a threshold that keeps its word."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from analyses.generalisation import kernels
from probekit.errors import InputError
from probekit.images import load


def test_the_gap_is_the_difference_of_the_two_curves(honest: xr.Dataset) -> None:
    np.testing.assert_allclose(honest.gap, honest.psnr_training - honest.psnr_held_out)
    for name in ("psnr_training", "psnr_held_out", "gap"):
        assert (honest[f"{name}_low"] <= honest[name]).all()
        assert (honest[name] <= honest[f"{name}_high"]).all()


def brightness_and_contrast_hide_no_copy() -> None:
    training = load(np.random.default_rng(0).random((30, 3, 4, 4)))
    copy = 0.1 * training.read([7]) + 0.6
    result = kernels.nearest_training(copy, training, neighbours=5)
    assert int(result.position[0]) == 7
    # 1 − corr is known to about 2⁻²², so the distance to √2⁻²¹ = 7e-4, of distances to others of order 1.
    assert float(result.relative[0]) < 5e-3


def blurred_images_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    training = load(rng.random((200, 1, 16, 16)))
    mean = training.read(range(200)).mean(0)
    # Their mean is nearer to a training image than others typically are, but to none much more than to the rest.
    blurred = kernels.nearest_training(mean[None], training, neighbours=50)
    others = kernels.nearest_training(torch.from_numpy(rng.random((99, 1, 16, 16))).float(), training, neighbours=50)
    assert float(blurred.distance) < float(others.distance.median())
    assert float(blurred.relative) > kernels.threshold(others.relative.tolist(), 0.05)


def test_brightness_and_contrast_do_not_hide_a_copy() -> None:
    brightness_and_contrast_hide_no_copy()


def test_blurred_images_are_no_copies() -> None:
    blurred_images_are_no_copies()


def no_larger_share_lies_below(n: int, share: float) -> None:
    values = np.random.default_rng(n).permutation(n) + 1.0
    if int(share * (n + 1) + 1e-9) < 1:
        with pytest.raises(InputError, match="give at least"):
            kernels.threshold(values.tolist(), share)
        return
    # Another image of the same law takes each of the n + 1 ranks with the same probability.
    assert kernels.threshold(values.tolist(), share) / (n + 1) <= share + 1e-6


@given(n=st.integers(1, 300), share=st.floats(0.01, 0.99))
def test_the_threshold_leaves_no_larger_share_of_unseen_images_below_than_asked_for(n: int, share: float) -> None:
    no_larger_share_lies_below(n, share)
