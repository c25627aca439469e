"""Laws of held concepts: swaps, units, channels that a classifier may not read, noise that samples may not share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from analyses.concepts import held, kernels


def swapping_turns_the_statistic_round(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Of few distances, so that there are ties.
    a, b = (rng.integers(0, 4, size=(3, n)).astype(float) for n in (5, 7))
    np.testing.assert_allclose(kernels.nearer(a, b) + kernels.nearer(b, a), 1)


@given(st.integers(0, 1000))
def test_nearer_and_farther_are_all_there_is(seed: int) -> None:
    swapping_turns_the_statistic_round(seed)


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_only_the_order_of_distances_counts(seed: int, unit: float) -> None:
    a, b = np.random.default_rng(seed).gamma(2, size=(2, 3, 5))
    np.testing.assert_array_equal(kernels.nearer(a, b), kernels.nearer((unit * a) ** 3, (unit * b) ** 3))
    of = {"permutations": 100, "seed": seed}
    assert kernels.relabelled_p(a, b, **of) == kernels.relabelled_p((unit * a) ** 3, (unit * b) ** 3, **of)


def phi_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, size=(40, 7))


@given(st.integers(0, 1000), st.permutations(range(40)), st.floats(0.01, 100))
def test_units_of_channels_and_the_order_of_images_decide_nothing_about_what_is_held(
    seed: int, order: list[int], unit: float
) -> None:
    phi, units = phi_of(seed), np.ones(7)
    units[3] = unit
    images = kernels.most_exciting(phi, 0, 3)
    turned = kernels.most_exciting((phi * units)[order], 0, 3)
    assert [order[i] for i in turned] == images.tolist()
    others = np.arange(7)
    together = kernels.raised_together((phi * units)[order], turned, 0, others)
    assert together == kernels.raised_together(phi, images, 0, others)
    assert sorted(together) == [1, 2, 3, 4, 5, 6]


def reads_no_held_channel(excitement: Callable[..., Any], seed: int) -> None:
    phi = phi_of(seed)
    held_channels, other = [0, 4], phi.copy()
    other[:, held_channels] = np.random.default_rng(seed + 1).gamma(0.5, size=(40, 2))
    reading = excitement(phi, 0, held_channels)
    np.testing.assert_array_equal(reading(phi), reading(other))
    assert reading(phi).shape == (40, 2)
    np.testing.assert_allclose(reading(phi).sum(axis=1), 1)


@given(st.integers(0, 1000))
def test_the_classifier_reads_no_channel_that_is_held(seed: int) -> None:
    reads_no_held_channel(kernels.excitement, seed)


def noise_is_not_shared(held_and_free: Callable[..., Any], seed: int) -> None:
    seeds = {}

    def draw(*, seed: int, channels: Any = None, method: str = "held") -> xr.Dataset:
        assert (method == "unconditional") == (channels is None)
        seeds[method] = seed
        return xr.Dataset(attrs={"method": method})

    made = held_and_free(draw, [3, 1], seed)
    assert [part.attrs["method"] for part in made] == ["held", "unconditional"]
    # Samples that shared their noise could not be exchanged.
    assert seeds["held"] != seeds["unconditional"]
    assert seeds["held"] == seed


@given(st.integers(0, 1000))
def test_held_and_free_samples_have_noise_of_their_own(seed: int) -> None:
    noise_is_not_shared(held.held_and_free, seed)
