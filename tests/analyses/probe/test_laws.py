"""Laws of the probe: what it may see, what changes nothing, chance on null labels, intervals that cover."""

import math
from functools import cache

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from analyses import probe
from analyses.probe import kernels
from analyses.probe.analyse import estimates
from analyses.probe.kernels_softmax import Classifier
from probekit import labels

SEEDS = st.integers(0, 1000)


def dataset(phi: np.ndarray, classes: np.ndarray, prefix: str) -> xr.Dataset:
    """φ (image, sigma, channel) of one tap, with classes."""
    return labels.representation(
        {"phi": phi},
        ids=[f"{prefix}{i}" for i in range(len(phi))],
        labels=list(map(str, classes)),
        sigma=[0.1 * (s + 1) for s in range(phi.shape[1])],
        channels={"mid": phi.shape[2]},
        attrs={"denoiser": "none"},
    )


def planted(seed: int, images: int, strength: float = 1.0, classes: int = 3, channels: int = 4, prefix: str = "a"):
    means = strength * np.random.default_rng(99).normal(size=(classes, channels))
    rng = np.random.default_rng([seed, ord(prefix)])
    y = np.arange(images) % classes
    return dataset((means[y] + rng.normal(size=(images, channels)))[:, None], y, prefix)


def pair(seed: int, **options) -> tuple[xr.Dataset, xr.Dataset]:
    return planted(seed, 90, prefix="a", **options), planted(seed, 60, prefix="b", **options)


def analysed(train: xr.Dataset, test: xr.Dataset, **options) -> xr.Dataset:
    return probe.analyse(train, test, **{"resamples": 100, "penalties": (0.1, 0.01), **options})


def nothing_leaks(protocol: str = "softmax") -> None:
    train, test = pair(1)
    poisoned = test.copy(deep=True)
    poisoned["phi"] = poisoned.phi[::-1] * 100
    poisoned = poisoned.assign_coords(label=("image", test.label.values[::-1].copy()))
    clean, spoilt = (analysed(train, t, sizes=[30], protocol=protocol) for t in (test, poisoned))
    for name in ("coefficient", "intercept", "penalty"):
        np.testing.assert_array_equal(clean[name].values, spoilt[name].values)
    assert clean.accuracy.item() != spoilt.accuracy.item()


@pytest.mark.parametrize("protocol", ["softmax", "ddae"])
def test_poisoned_test_images_and_labels_leave_the_classifier_as_it_was(protocol: str) -> None:
    nothing_leaks(protocol)


@given(SEEDS, st.integers(-20, 20), st.integers(-10, 10))
def test_the_units_of_channels_change_nothing(seed: int, exponent: int, shift: int) -> None:
    train, test = pair(seed)
    # Powers of two and small shifts, so that float32 holds the same numbers up to rounding.
    scale = 2.0 ** (exponent * np.array([1, 0, -1, 0.5]).round())
    moved = [d.assign(phi=(d.phi + shift / 8) * xr.DataArray(scale, dims="channel")) for d in (train, test)]
    plain, scaled = analysed(train, test), analysed(*moved)
    np.testing.assert_allclose(plain.loss, scaled.loss, atol=2e-3)
    assert plain.penalty.item() == scaled.penalty.item()


@cache
def in_order() -> xr.Dataset:
    return analysed(*pair(2), sizes=[30])


@given(st.permutations(range(90)), st.permutations(range(60)))
def test_the_order_of_images_permutes_what_is_said_of_each_and_nothing_else(
    first: list[int], second: list[int]
) -> None:
    train, test = pair(2)
    before = in_order()
    permuted = analysed(train.isel(image=first), test.isel(image=second), sizes=[30])
    xr.testing.assert_identical(before.isel(image=second), permuted)
    other = before.assign(loss=before.loss * 2, correct=before.correct[::-1].variable)
    xr.testing.assert_identical(
        probe.compare(before, other, resamples=100),
        probe.compare(permuted, other.isel(image=slice(None, None, -1)), resamples=100),
    )


@given(SEEDS)
def test_names_of_classes_mean_nothing(seed: int) -> None:
    train, test = pair(seed)
    names = {"0": "z", "1": "b", "2": "m"}
    renamed = [d.assign_coords(label=("image", [names[c] for c in d.label.values])) for d in (train, test)]
    # With one penalty no folds are drawn, so nothing depends on the order of classes but sums.
    plain, other = analysed(train, test, penalties=(0.01,)), analysed(*renamed, penalties=(0.01,))
    np.testing.assert_allclose(plain.loss, other.loss, atol=2e-3)


@given(SEEDS)
def test_taps_and_noise_levels_are_probed_each_on_its_own(seed: int) -> None:
    train, test = pair(seed)
    both = [
        xr.concat([d, d.assign_coords(sigma=[0.7]) * 2], "sigma").assign_coords(d.coords["label"].coords)
        for d in (train, test)
    ]
    alone, together = analysed(train, test), analysed(*both)
    np.testing.assert_array_equal(alone.loss.values[:, 0], together.loss.values[:, 0])


def test_on_null_labels_the_probe_is_at_chance() -> None:
    images, classes = 2000, 5
    rng = np.random.default_rng(5)
    train = dataset(rng.normal(size=(500, 1, 10)), np.arange(500) % classes, "a")
    # Fresh classes that know nothing of φ: every classifier is right with probability 1/5.
    test = dataset(rng.normal(size=(images, 1, 10)), rng.integers(classes, size=images), "b")
    found = analysed(train, test).accuracy.item()
    # 3.5 binomial standard deviations.
    assert abs(found - 1 / classes) < 3.5 * math.sqrt(0.16 / images)


def a_constant_answer_gets_no_credit() -> None:
    y = np.array([0, 1, 2, 1])
    blank = Classifier(np.zeros((3, 2)), np.zeros(3))
    assert not kernels.scores(np.ones((4, 2)), y, blank, 1).first.any()
    assert not kernels.scores(np.ones((4, 2)), y, blank, 2).among.any()
    assert kernels.scores(np.ones((4, 2)), y, blank, 3).among.all()


def test_a_constant_answer_gets_no_credit_for_ties() -> None:
    a_constant_answer_gets_no_credit()


def intervals_cover() -> None:
    repetitions, images, truth, level = 300, 200, 0.3, 0.95
    rng = np.random.default_rng(7)
    right = rng.random((images, repetitions, 1)) < truth
    per_image = dict.fromkeys(("correct", "top_correct", "loss"), right.astype(float))
    _, low, high = estimates(per_image, resamples=500, level=level, seed=0)["accuracy"]
    covered = ((low <= truth) & (truth <= high)).mean()
    # 3.5 binomial standard deviations of 300 sets.
    assert abs(covered - level) <= 3.5 * math.sqrt(level * (1 - level) / repetitions), covered


def test_intervals_cover_the_accuracy_that_a_fixed_classifier_has() -> None:
    intervals_cover()


def test_a_representation_against_itself_differs_in_nothing_and_noise_added_shows() -> None:
    train, test = planted(3, 600, prefix="a"), planted(3, 600, prefix="b")
    found = analysed(train, test)
    same = probe.compare(found, found)
    assert (same[["accuracy", "only_first"]].to_array() == 0).all()
    # Answers that are the same on 600 images leave open what others would be, 0.6 % of them.
    assert -0.01 < same.accuracy_low.item() < 0 < same.accuracy_high.item() < 0.01
    assert (same.p_value == 1).all()
    rng = np.random.default_rng(0)
    noisy = [d.assign(phi=d.phi + 3 * rng.normal(size=d.phi.shape)) for d in (train, test)]
    other = probe.compare(found, analysed(*noisy))
    assert other.accuracy_low.item() > 0
    assert other.p_value.item() < 0.01
    assert other.accuracy.item() == pytest.approx((other.only_first - other.only_second).item() / 600)


def test_pairing_is_by_id_and_not_by_place() -> None:
    train, test = pair(4)
    found = analysed(train, test)
    assert probe.compare(found, found.isel(image=slice(None, None, -1))).only_first.item() == 0
