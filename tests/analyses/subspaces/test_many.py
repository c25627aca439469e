"""Fits to a sample of images, all images sorted some at a time: recovery, equality wherever φ lies, what is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import subspaces
from analyses.subspaces import above_rest, kernels_active, kernels_fit
from probekit.synthetic.subspaces import SubspaceData, union_of_subspaces
from tests.analyses.lazily import Log, blocks_of, everywhere, lazily

CHANNELS = 40


def made(images: int = 200, seed: int = 0, **options: Any) -> SubspaceData:
    return union_of_subspaces(images, n_channels=CHANNELS, n_subspaces=4, seed=seed, **options)


@pytest.mark.parametrize("method", ["coordinate", "linear"])
def test_a_fit_to_some_images_sorts_all_as_they_are(method: str) -> None:
    data, truth = made(4000, noise=0.02)
    found = subspaces.fit(data, method=method, n_subspaces=4, fit_images=300, splits=1)
    score = subspaces.score(found, truth)
    # An active channel lies 25 standard errors above rest at least, and supports share none: an image is in another
    # subspace only if most of its six channels seem at rest, with probability Φ(−23)³ < 1e-300.
    assert score.accuracy.item() == 1
    assert score.support_f1.item() == 1
    assert found.attrs["images_fitted"] == 300
    assert found["size"].values.ravel().tolist() == sorted(np.bincount(truth.subspace.values), reverse=True)
    assert (found["size"].values.ravel() == np.bincount(found.subspace.values)).all()


def test_the_number_is_found_on_the_sample_too() -> None:
    data, truth = made(4000)
    found = subspaces.analyse(data, fit_images=400, dimensions=False, ranks=(4,), resamples=100)
    assert found.n_subspaces.item() == 4
    assert subspaces.score(found, truth, data=data).preserving_error.item() < 0.05
    assert found.overlap_gap_low.item() > 0.5 > found.overlap_gap_shuffled_high.item()


# One image at once, or a few.
@pytest.mark.parametrize("images", [1, 7])
@pytest.mark.parametrize("method", ["coordinate", "linear"])
@given(st.integers(0, 1000), st.sampled_from([20, 33, 60, 61]), st.booleans())
@settings(max_examples=3)
def test_findings_are_the_same_wherever_phi_lies(
    images: int, method: str, seed: int, fitted: int, errors: bool
) -> None:
    data = made(60, seed).data
    data = data if errors else data.drop_vars(["phi_se", "rest"])
    how: dict[str, Any] = {"fit_images": fitted, "seed": seed}
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, 2 * CHANNELS * images)
        whole = subspaces.analyse(
            data, method=method, n_subspaces=4, ranks=(2,), resamples=100, **how, dimensions=False
        )
        for other in everywhere(data, 7):
            again = subspaces.analyse(
                other, method=method, n_subspaces=4, ranks=(2,), resamples=100, **how, dimensions=False
            )
            xr.testing.assert_identical(again, whole)
            xr.testing.assert_identical(subspaces.active_sets(other, **how), subspaces.active_sets(data, **how))
            xr.testing.assert_identical(subspaces.intrinsic_dimension(other), subspaces.intrinsic_dimension(data))


@pytest.mark.parametrize("method", ["coordinate", "linear"])
def test_blocks_change_nothing_but_rounding(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made(300, noise=0.2).data
    one = subspaces.fit(data, method=method, n_subspaces=4, fit_images=100, splits=0)
    blocks_of(monkeypatch, 2 * CHANNELS * 11)
    two = subspaces.fit(data, method=method, n_subspaces=4, fit_images=100, splits=0)
    xr.testing.assert_equal(
        one.drop_vars("certainty"),
        two.drop_vars("certainty").drop_vars("confidence", errors="ignore").assign(confidence=one.confidence),
    )
    # Sums of 40 channels in float32, of terms below 10, make errors of a share of e^(40 · 10 · 2⁻²⁴) − 1.
    np.testing.assert_allclose(one.certainty, two.certainty, atol=40 * 10 * 2.0**-24 * 4)


@pytest.mark.parametrize("method", ["coordinate", "linear"])
@given(st.integers(0, 1000))
@settings(max_examples=3)
def test_the_sample_goes_by_ids_whatever_order_images_are_in(method: str, seed: int) -> None:
    data = made(80, seed).data
    order = np.random.default_rng(seed).permutation(80)
    found = [subspaces.fit(d, method=method, n_subspaces=3, fit_images=50) for d in (data, data.isel(image=order))]
    xr.testing.assert_allclose(found[0].isel(image=order), found[1])
    np.testing.assert_array_equal(found[0].subspace.values[order], found[1].subspace.values)


def test_images_that_were_fitted_are_sorted_as_the_fit_sorts_them() -> None:
    data = made(200, noise=0.3).data
    learnt = above_rest.learnt_from(data, 90, 3)
    assert learnt.chosen is not None
    alone = subspaces.fit(data.isel(image=learnt.chosen), n_subspaces=4, fit_images=90, splits=0, seed=3)
    all_of = subspaces.fit(data, n_subspaces=4, fit_images=90, splits=0, seed=3)
    own = all_of.subspace.values[learnt.chosen]
    # Numbers go by sizes, of these images or of all.
    assert kernels_fit.agreement(alone.subspace.values, own) == 1
    np.testing.assert_allclose(all_of.certainty.values[learnt.chosen], alone.certainty.values, atol=1e-5)


def test_errors_of_a_block_are_those_of_all_images() -> None:
    se = 0.1 * np.sqrt(np.random.default_rng(0).chisquare(4, (500, 3)) / 4).astype(np.float32)
    found = kernels_active.moderation(se, 4)
    np.testing.assert_array_equal(found.errors(se)[100:107], found.errors(se[100:107]))
    np.testing.assert_array_equal(kernels_active.measurement_error(se, 4)[0], found.errors(se))


@pytest.mark.parametrize("images", [400, 1600])
def test_no_more_is_read_at_once_than_is_fitted_and_a_few_times_in_all(
    images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, log = made(images).data, Log()
    blocks_of(monkeypatch, 2 * CHANNELS * 50)
    found = subspaces.analyse(lazily(data, log), fit_images=100, dimensions=True, ranks=(2,), resamples=100)
    assert found.subspace.sizes["image"] == images
    assert log.largest <= 100 * CHANNELS
    # φ and errors: checked thrice, sorted once; and what is fitted, or has its dimensions estimated, a few times.
    assert log.total <= 2 * CHANNELS * (6 * images + 1000)
