"""Classifiers fitted to a sample, test images read some at a time: recovery, equality wherever φ lies, what is read."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import probe
from analyses.probe import kernels
from probekit import labels
from tests.analyses.lazily import Log, blocks_of, everywhere, lazily

CHANNELS = 4
# A function of the room has its name.
MODULE = import_module("analyses.probe.analyse")
QUICK: dict[str, Any] = {"resamples": 100, "penalties": [0.01]}


def made(images: int, seed: int = 0, prefix: str = "a", apart: float = 2.0) -> xr.Dataset:
    """Three classes, unit noise about corners √2 times so far apart, in two taps, ids in no order."""
    rng = np.random.default_rng([seed, ord(prefix)])
    truth = np.arange(images) % 3
    phi = apart * np.eye(3, CHANNELS)[truth] + rng.normal(size=(images, CHANNELS))
    return labels.representation(
        {"phi": np.concatenate([phi, phi[:, ::-1]], axis=1)[:, None]},
        ids=[f"{prefix}{i:05d}" for i in rng.permutation(images)],
        labels=[f"c{t}" for t in truth],
        sigma=[0.1],
        channels={"a": CHANNELS, "b": CHANNELS},
        attrs={"denoiser": "none"},
    )


def test_classes_are_read_by_a_classifier_fitted_to_a_sample() -> None:
    found = probe.analyse(made(4000), made(3000, prefix="b", apart=8.0 / np.sqrt(2)), fit_images=300, **QUICK)
    assert found.attrs["train_images"] == 4000
    assert found.attrs["images_fitted"] == 300
    # Corners are 8 apart, and halfway lies 4 from each: a fit is off this by less than 1, and then one of two others
    # is nearer with probability 2Φ(−3) = 0.0027.
    assert (found.accuracy > 0.99).all()


@pytest.mark.parametrize("images", [1, 7])
@pytest.mark.parametrize("protocol", ["softmax", "ddae"])
@given(st.integers(0, 1000), st.sampled_from([20, 59, 60]))
@settings(max_examples=4)
def test_findings_are_the_same_wherever_phi_lies(images: int, protocol: str, seed: int, fitted: int) -> None:
    train, test = made(60, seed), made(50, seed, "b")
    how: dict[str, Any] = {"fit_images": fitted, "seed": seed, "protocol": protocol, "sizes": [10, 20], "epochs": 2}
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, 2 * CHANNELS * images)
        patch.setattr(MODULE, "HELD", 10)
        found = probe.analyse(train, test, **how, **QUICK)
        for other, others in zip(everywhere(train, 7), everywhere(test, 11), strict=True):
            xr.testing.assert_identical(probe.analyse(other, others, **how, **QUICK), found)


def test_test_images_some_at_a_time_are_scored_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = made(60), made(50, prefix="b")
    once = probe.analyse(train, test, sizes=[10, 20], **QUICK)
    blocks_of(monkeypatch, 2 * CHANNELS * 7)
    monkeypatch.setattr(MODULE, "HELD", 10)
    # Sums of four terms in double precision, kept in single.
    xr.testing.assert_allclose(probe.analyse(train, test, sizes=[10, 20], **QUICK), once, rtol=1e-6)


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=5)
def test_the_sample_goes_by_ids_whatever_order_images_are_in(seed: int, held: bool) -> None:
    train, test = made(60, seed), made(50, seed, "b")
    rng = np.random.default_rng(seed)
    order, other = rng.permutation(60), rng.permutation(50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "HELD", 1000 if held else 10)
        one = probe.analyse(train, test, fit_images=30, **QUICK)
        two = probe.analyse(train.isel(image=order), test.isel(image=other), fit_images=30, **QUICK)
    xr.testing.assert_allclose(one.isel(image=other), two, rtol=1e-6)


@given(st.lists(st.integers(0, 6), min_size=4, max_size=60), st.integers(3, 20), st.integers(0, 100))
def test_every_class_has_an_image_among_those_fitted(classes: list[int], most: int, seed: int) -> None:
    y = np.unique(classes, return_inverse=True)[1]
    part = kernels.fitted_on(y, most, seed)
    assert (np.diff(part) > 0).all()
    assert set(y[part]) == set(y)
    drawn = set(kernels.subset(y, min(most, len(y)), np.random.default_rng(seed)).tolist())
    assert drawn <= set(part.tolist())
    assert len(part) - len(drawn) == len(set(y)) - len(set(y[sorted(drawn)]))
    if len(y) <= most:
        assert part.tolist() == list(range(len(y)))


@pytest.mark.parametrize("images", [400, 1600])
def test_no_more_is_read_at_once_than_is_fitted_to_and_a_few_times_in_all(
    images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    blocks_of(monkeypatch, 2 * CHANNELS * 50)
    monkeypatch.setattr(MODULE, "HELD", 10)
    train, test = made(images), made(images, prefix="b")
    probe.analyse(lazily(train, log), lazily(test, log), fit_images=100, **QUICK)
    assert log.largest <= 100 * 2 * CHANNELS
    # Both are checked, the test images scored, and for each tap there is what is fitted to.
    assert log.total <= 2 * CHANNELS * (3 * images + 200)
