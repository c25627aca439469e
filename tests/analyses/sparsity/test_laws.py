"""Laws of sparsity: bounds, symmetries, extremes, and intervals that cover as often as they say."""

import math
import zlib

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from analyses import sparsity
from analyses.ground import estimated_mean, interval, resampled_means
from analyses.sparsity import kernels
from analyses.sparsity.analyse import MIN_UNITS
from analyses.sparsity.dimensions import dimensions
from probekit import labels

LEVEL = 0.95


def dataset(phi: np.ndarray, *taps: int) -> xr.Dataset:
    """φ (image, sigma, channel) with so many channels in each tap, by default all in one."""
    sizes = taps or (phi.shape[2],)
    return labels.representation(
        {"phi": phi},
        ids=[str(i) for i in range(len(phi))],
        labels=None,
        sigma=[0.1 * (s + 1) for s in range(phi.shape[1])],
        channels={f"tap {k}": size for k, size in enumerate(sizes)},
        attrs={"denoiser": "none"},
    )


def random(seed: int, images: int = 12, sigmas: int = 2, channels: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, size=(images, sigmas, channels))


def analysed(data: xr.Dataset, **options) -> xr.Dataset:
    return sparsity.analyse(data, resamples=100, **options)


vectors = arrays.arrays(np.float64, st.integers(2, 40), elements=st.floats(0, 1e6, allow_subnormal=False))


def bounds_hold(a: np.ndarray) -> None:
    found = dict(zip(kernels.MEASURES, kernels.measures(a), strict=True))
    if not a.any():
        assert np.isnan(list(found.values())).all()
        return
    least = 1 / len(a)
    slack = 1e-6
    for name in ("participation_ratio", "effective_number"):
        assert least - slack <= found[name] <= 1 + slack
    for name in ("hoyer", "gini", "treves_rolls"):
        assert -slack <= found[name] <= 1 + slack


@given(vectors)
def test_every_measure_keeps_to_its_range_and_is_undefined_for_no_activity(a: np.ndarray) -> None:
    bounds_hold(a)


@given(st.integers(2, 50), st.floats(1e-30, 1e30))
def test_extremes_are_one_active_channel_and_all_alike(channels: int, size: float) -> None:
    one, alike = np.zeros(channels), np.full(channels, size)
    one[0] = size
    expected = [(1 / channels, 1), (1, 0), (1 - 1 / channels, 0), (1, 0), (1 / channels, 1)]
    for found, (sparse, dense) in zip(zip(*map(kernels.measures, (one, alike)), strict=True), expected, strict=True):
        assert found == pytest.approx((sparse, dense), abs=1e-6)


@given(st.integers(0, 100), st.floats(1e-3, 1e3))
def test_the_unit_of_activation_changes_nothing(seed: int, unit: float) -> None:
    a, b = analysed(dataset(random(seed))), analysed(dataset(random(seed) * unit))
    xr.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@given(st.permutations(range(9)), st.integers(0, 100))
def test_the_order_of_channels_within_a_tap_changes_nothing(order: list[int], seed: int) -> None:
    phi = random(seed)
    xr.testing.assert_allclose(analysed(dataset(phi)), analysed(dataset(phi[:, :, order])), rtol=1e-4)


@given(st.permutations(range(12)), st.integers(0, 100))
def test_the_order_of_images_permutes_what_is_said_of_each_and_nothing_else(order: list[int], seed: int) -> None:
    data = dataset(random(seed))
    straight, permuted = analysed(data), analysed(data.isel(image=order))
    xr.testing.assert_equal(straight.per_image.isel(image=order), permuted.per_image)
    others = [name for name, v in straight.items() if "image" not in v.dims]
    xr.testing.assert_allclose(straight[others], permuted[others])


@given(st.permutations(range(200)), st.integers(0, 100))
def test_the_order_of_images_changes_no_interval_of_the_dimension(order: list[int], seed: int) -> None:
    data = dataset(random(seed, images=200))
    straight, permuted = analysed(data), analysed(data.isel(image=order))
    assert straight.dimension_low.notnull().all()
    for name in ("dimension_low", "dimension_high"):
        xr.testing.assert_allclose(straight[name], permuted[name])


@given(st.integers(0, 100))
def test_images_given_twice_change_no_mean(seed: int) -> None:
    phi = random(seed)
    once, twice = analysed(dataset(phi, 4, 5)), analysed(dataset(np.concatenate([phi, phi]), 4, 5))
    for name in ("sparsity", "change", "agreement", "dimension_plain"):
        xr.testing.assert_allclose(once[name], twice[name])


@given(st.integers(0, 100))
def test_taps_do_not_depend_on_which_others_are_measured_with_them(seed: int) -> None:
    phi = random(seed)
    both, alone = analysed(dataset(phi, 4, 5)), analysed(dataset(phi[:, :, :4], 4))
    # All blocks share one set of resamples, so intervals agree too.
    for name in ("sparsity", "sparsity_low", "sparsity_high", "dimension"):
        xr.testing.assert_allclose(both[name].isel(block=[0]), alone[name])


def intervals_cover(images: int, clusters: int | None = None) -> None:
    """Simulated data sets in columns; truth is the mean of very many vectors."""
    repetitions, channels = 400, 8
    rng = np.random.default_rng(11)

    def values(shape: tuple[int, ...]) -> np.ndarray:
        return kernels.measures(rng.gamma(0.5, size=(*shape, channels)))

    truth = values((400_000,)).mean(axis=0)
    if clusters is None:
        found = values((images, repetitions))
        low, high = interval(resampled_means(found, resamples=600, seed=1), LEVEL, units=images)
    else:
        # Images of a cluster are copies of one: as dependent as can be.
        members = np.arange(images) % clusters
        found = values((clusters, repetitions))[members]
        _, low, high = estimated_mean(found, clusters=members, resamples=600, level=LEVEL, seed=1)
    covered = ((low < truth) & (truth < high)).mean(axis=0)
    # 3.5 binomial standard deviations of 400 sets, for 5 measures.
    assert (abs(covered - LEVEL) <= 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / repetitions)).all(), covered


@pytest.mark.parametrize("images", [10, 40, 200])
def test_intervals_over_few_and_many_images_cover_at_their_level(images: int) -> None:
    intervals_cover(images)


def test_where_one_image_in_ten_is_unlike_the_rest_the_least_number_of_images_suffices() -> None:
    repetitions = 400
    rng = np.random.default_rng(13)
    # A tenth of the images are dense, at 0.9; the others at 0.1 ± 0.02.
    dense = rng.random((MIN_UNITS, repetitions)) < 0.1
    found = np.where(dense, 0.9, rng.normal(0.1, 0.02, (MIN_UNITS, repetitions)))
    low, high = interval(resampled_means(found, resamples=600, seed=1), LEVEL, units=MIN_UNITS)
    covered = ((low < 0.18) & (high > 0.18)).mean()
    # No interval covers where none is dense: 0.9³⁰ = 4 % of sets; a coverage of 90 % less 3.5 binomial deviations.
    assert covered >= 0.90 - 3.5 * math.sqrt(0.9 * 0.1 / repetitions), covered


def test_intervals_over_200_clusters_cover_at_their_level_however_many_images_each_has() -> None:
    intervals_cover(600, clusters=200)


def dimension_covers(phi: np.ndarray, truth: float) -> float:
    """How often intervals of the dimension hold the truth, one simulated set of images per noise level."""
    _, low, high, _ = dimensions_of(phi)
    return float(((low < truth) & (truth < high)).mean())


def dimensions_of(phi: np.ndarray) -> np.ndarray:
    """Dimension, ends of its interval and plain ratio (4, sigma) of φ that is all of one tap."""
    channels = np.arange(phi.shape[2])
    data = dataset(phi).assign_coords(tap=("channel", ["all"] * len(channels)), unit=("channel", channels))
    return dimensions(data, LEVEL)[:, :, 0]


def test_intervals_of_the_dimension_cover_at_their_level() -> None:
    repetitions, images = 400, 200
    rng = np.random.default_rng(12)
    scale = np.linspace(0.3, 1.5, 10)
    # Exponential channels of variance scale².
    covered = dimension_covers(
        rng.exponential(size=(images, repetitions, 10)) * scale, (scale**2).sum() ** 2 / (scale**4).sum()
    )
    # 3.5 binomial standard deviations of 400 sets.
    assert abs(covered - LEVEL) <= 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / repetitions), covered


def gains_are_covered(spread: float) -> None:
    """Intervals of the dimension of images that differ by a lognormal gain."""
    repetitions, images, channels = 400, 200, 20
    rng = np.random.default_rng(14)
    gain = np.exp(spread * rng.standard_normal((images, repetitions, 1)))
    # Of exponential channels, of mean 1 and second moment 2, times a gain of moments e^{s²/2} and e^{2s²}.
    own, shared = np.exp(2 * spread**2), np.exp(2 * spread**2) - np.exp(spread**2)
    covariance = own * np.eye(channels) + shared
    truth = np.trace(covariance) ** 2 / (covariance**2).sum()
    covered = dimension_covers(gain * rng.exponential(size=(images, repetitions, channels)), truth)
    # A coverage of 92 % at least, less 3.5 binomial standard deviations of 400 sets.
    assert covered >= 0.92 - 3.5 * math.sqrt(0.92 * 0.08 / repetitions), covered


@pytest.mark.parametrize("spread", [0.3, 0.5, 0.8])
def test_intervals_of_the_dimension_cover_where_images_differ_by_a_gain(spread: float) -> None:
    gains_are_covered(spread)


@given(st.integers(0, 100), st.floats(0, 3))
def test_an_interval_of_the_dimension_holds_the_estimate_and_only_what_a_dimension_can_be(
    seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    phi = random(seed, images=200, sigmas=1) * np.exp(spread * rng.standard_normal((200, 1, 1)))
    value, low, high, _ = dimensions_of(phi)[:, 0]
    assert min(1, value) <= low <= value <= high <= max(9, value)


def test_the_analysis_reports_the_bootstraps_interval_and_pairs_changes_over_images() -> None:
    found = analysed(dataset(random(3, images=30), 4, 5), seed=7)
    # Images are resampled in the order of a hash of their ids.
    order = sorted(range(30), key=lambda i: zlib.crc32(str(i).encode()))
    images = found.per_image.transpose("image", ...).isel(image=order)
    low, high = interval(resampled_means(images.values, resamples=100, seed=7), LEVEL, units=30)
    np.testing.assert_allclose(found.sparsity_low, low)
    np.testing.assert_allclose(found.sparsity_high, high)
    change = (images.isel(block=1) - images.isel(block=0)).values
    low, _ = interval(resampled_means(change, resamples=100, seed=7), LEVEL, units=30)
    np.testing.assert_allclose(found.change_low.isel(block=1), low)
    assert found.change.isel(block=0).isnull().all()
