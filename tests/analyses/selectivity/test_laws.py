"""Laws of selectivity: planted types are found, false discoveries and confidence keep their word, symmetries hold."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gamma as gamma_function

from analyses import selectivity
from probekit import labels
from probekit.synthetic.subspaces import union_of_subspaces

ERROR, DRAWS = 0.05, 10
SETS = 200
# Of SETS sets with at least one false discovery, each with a chance of 5 % at most: 3.5 standard deviations above.
NOMINAL = 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / SETS)


def dataset(activity: np.ndarray, *, rest: float = 0.5, sets: int = 1, draws: int = DRAWS, seed: int = 0) -> xr.Dataset:
    """φ = rest + activity + a normal error; as many taps as sets, whose channels are judged together."""
    rng = np.random.default_rng(seed)
    images, channels = activity.shape

    def measured(mean: np.ndarray) -> np.ndarray:
        return mean + ERROR * rng.standard_normal(mean.shape)

    def error(shape: tuple[int, ...]) -> np.ndarray:
        return ERROR * np.sqrt(rng.chisquare(draws - 1, shape) / (draws - 1))

    arrays = {
        "phi": measured(rest + activity)[:, None],
        "phi_se": error((images, 1, channels)),
        "rest": measured(np.full((1, channels), rest)),
        "rest_se": error((1, channels)),
    }
    return labels.representation(
        arrays,
        ids=[str(i) for i in range(images)],
        labels=None,
        sigma=[0.1],
        channels={f"set {k}": channels // sets for k in range(sets)},
        attrs={"draws": draws},
    )


def planted(seed: int, images: int = 2000, each: int = 20) -> tuple[xr.Dataset, np.ndarray]:
    """Channels of each type: silent, common (normal about 1), selective (at rest on 80 to 95 %, else exponential)."""
    rng = np.random.default_rng(seed)
    activity = np.zeros((images, 3 * each))
    activity[:, each : 2 * each] = rng.normal(1, 0.2, (images, each))
    on = rng.random((images, each)) < rng.uniform(0.05, 0.2, each)
    activity[:, 2 * each :] = np.where(on, 0.5 + rng.exponential(0.5, (images, each)), 0)
    return dataset(activity, seed=seed), np.repeat(["silent", "common", "selective"], each)


def planted_types_are_found() -> None:
    wrong = []
    for seed in range(10):
        data, truth = planted(seed)
        wrong.append((selectivity.analyse(data, resamples=100).type.values[0] != truth).mean())
    # A discovery is false at a rate of 5 % at most, and nothing is missed: of 2000 normal values Vuong's statistic
    # has mean −0.049 √2000/0.265 = −8.2 and standard deviation 1, none is far out with probability 0.88, and up to two
    # leave p < 0.02; every other share is further than that from its margin.
    assert np.mean(wrong) <= 0.05


def test_planted_types_are_found() -> None:
    planted_types_are_found()


# Of 6 subspaces a channel is in two at most, active on a third of the images: half would be no minority.
@pytest.mark.parametrize("overlap", [0, 3])
def test_the_types_of_a_union_of_subspaces_are_found(overlap: int) -> None:
    for seed in range(5):
        data, truth = union_of_subspaces(2000, n_subspaces=6, overlap=overlap, sigma=(0.1, 0.5), seed=seed)
        assert (selectivity.analyse(data, resamples=100).type == truth.type).mean() >= 0.95


def silent(rng: np.random.Generator, images: int, channels: int) -> np.ndarray:
    del rng
    return np.zeros((images, channels))


def common(rng: np.random.Generator, images: int, channels: int) -> np.ndarray:
    return rng.normal(1, 0.2, (images, channels))


def correlated(rng: np.random.Generator, images: int, channels: int) -> np.ndarray:
    """Normal marginals; channels of one set share half of their variance."""
    shared = np.repeat(rng.normal(size=(images, SETS)), channels // SETS, axis=1)
    return 1 + 0.2 * (shared + rng.normal(size=(images, channels))) / math.sqrt(2)


def boundary_power() -> float:
    """The power β of exp(−|x|^β) whose mean distance over standard deviation makes both laws fit equally well."""
    low, high = 1.0, 2.0
    target = math.sqrt(math.pi / 2) / math.exp(0.5)
    for _ in range(60):
        middle = (low + high) / 2
        ratio = gamma_function(2 / middle) / math.sqrt(gamma_function(1 / middle) * gamma_function(3 / middle))
        low, high = (middle, high) if ratio < target else (low, middle)
    return low


def on_the_boundary(rng: np.random.Generator, images: int, channels: int) -> np.ndarray:
    """Neither law is closer; else like a selective channel: clear above rest on some images, not on most."""
    power = boundary_power()
    size = rng.gamma(1 / power, size=(images, channels)) ** (1 / power)
    deviation = math.sqrt(gamma_function(3 / power) / gamma_function(1 / power))
    return 0.1 + 0.35 * rng.choice([-1, 1], (images, channels)) * size / deviation


def skewed(law: str, rng: np.random.Generator, images: int, channels: int) -> np.ndarray:
    """Clear of rest on all images; neither law is closer, but for the last, closer to Laplace's law."""
    a = {
        # The shapes at which √(π/2)/e^½ = b/s; found by integration in the tests of the kernels.
        "gamma": lambda: (rng.gamma(2.8993, size=(images, channels)) - 2.8993) / math.sqrt(2.8993),
        "lognormal": lambda: (np.exp(0.34042 * rng.standard_normal((images, channels))) - 1.0597) / 0.3715,
        "steeper gamma": lambda: (rng.gamma(2.5, size=(images, channels)) - 2.5) / math.sqrt(2.5),
    }[law]()
    return 4 + 0.8 * a


def excited(rng: np.random.Generator, images: int, channels: int) -> np.ndarray:
    """Neither law is closer; clearly above rest on fewer than half of the images, hardly ever below."""
    return 0.3 + 0.35 * (skewed("gamma", rng, images, channels) - 4) / 0.8


Null = Callable[[np.random.Generator, int, int], np.ndarray]


def false_discoveries_keep_to_their_rate(null: Null, kind: str, images: int = 200, each: int = 40) -> None:
    activity = null(np.random.default_rng(5), images, SETS * each)
    findings = selectivity.analyse(dataset(activity, rest=9.0, sets=SETS, seed=6), resamples=100)
    # Where no channel is of this kind, every discovery is false, and the rate is the share of sets with any.
    assert float((findings["number"].sel(kind=kind) > 0).mean()) <= NOMINAL


@pytest.mark.parametrize("null", [silent, common, correlated, on_the_boundary, excited])
def test_false_discoveries_of_selective_channels_keep_to_their_rate(null: Null) -> None:
    false_discoveries_keep_to_their_rate(null, "selective")


@pytest.mark.parametrize("images", [40, 100, 400])
@pytest.mark.parametrize("law", ["gamma", "lognormal", "steeper gamma"])
def test_false_discoveries_of_common_channels_keep_to_their_rate_under_skewed_laws(law: str, images: int) -> None:
    false_discoveries_keep_to_their_rate(partial(skewed, law), "common", images)


def half_common(images: int, sets: int = 25, each: int = 128) -> tuple[xr.Dataset, np.ndarray]:
    """Findings (set, channel), and whether each channel is closer to Laplace's law, as half of them are."""
    rng = np.random.default_rng(images)
    heavy = np.tile(np.arange(each) < each // 2, sets)
    activity = 4 + 0.8 * rng.standard_normal((images, sets * each))
    activity[:, heavy] = skewed("steeper gamma", rng, images, int(heavy.sum()))
    return selectivity.analyse(dataset(activity, rest=2.0, sets=sets, seed=1), resamples=100), heavy


@pytest.mark.parametrize("images", [40, 100, 400])
def test_of_channels_called_common_few_are_of_a_skewed_law_and_fewer_with_confidence(images: int) -> None:
    findings, heavy = half_common(images)
    called = findings.type.values[0] == "common"
    false, found = ((called & which).reshape(25, -1).sum(axis=1) for which in (heavy, np.ones_like(heavy)))
    shares = false / np.maximum(found, 1)
    # Half of the channels are null, so the expected share is half of 5 % at most; 3.5 standard errors of the mean.
    assert shares.mean() <= 0.025 + 3.5 * shares.std() / 5
    sure = called & (findings.confidence.values[0] >= 0.9)
    # One answer in ten may be wrong: 3.5 binomial standard deviations.
    assert (sure & heavy).sum() <= 0.1 * sure.sum() + 3.5 * math.sqrt(0.09 * sure.sum())


def test_power_for_common_channels_is_what_the_documentation_says() -> None:
    # Fewer than 748 images do not show that fewer than 1 in 250 is far out, even where none is: 0.996^747 > 0.05.
    for images, power in ((200, 0.0), (740, 0.0), (1000, 0.936), (1500, 0.996)):
        activity = np.random.default_rng(images).normal(1, 0.2, (images, 1000))
        found = (selectivity.analyse(dataset(activity, rest=2.0), resamples=100).p_common < 0.05).mean()
        # 3.5 binomial standard deviations, and half of the last digit.
        assert abs(float(found) - power) < 3.5 * math.sqrt(power * (1 - power) / 1000) + 0.005


def noise_alone(spread: float, draws: int, images: int, sets: int = 60, each: int = 20) -> xr.Dataset:
    """Draws of normal noise, whose standard deviation differs between images, rest among them."""
    rng = np.random.default_rng(9)
    deviation = ERROR * np.exp(spread * rng.standard_normal((images + 1, sets * each)))
    drawn = 40 + deviation * rng.standard_normal((draws, *deviation.shape))
    phi, se = drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / math.sqrt(draws)
    arrays = {"phi": phi[1:, None], "phi_se": se[1:, None], "rest": phi[:1], "rest_se": se[:1]}
    return labels.representation(
        arrays,
        ids=[str(i) for i in range(images)],
        labels=None,
        sigma=[0.1],
        channels={f"set {k}": each for k in range(sets)},
        attrs={"draws": draws},
    )


def noise_alone_makes_no_channel_selective_or_common(spread: float, draws: int, images: int) -> None:
    found = selectivity.analyse(noise_alone(spread, draws, images), resamples=100).isel(sigma=0)
    number, sets = found.number, found.sizes["block"]
    # None responds: p-values below 5 % in 5 % of channels at most, 3.5 binomial standard deviations above.
    channels = found.sizes["channel"]
    assert float((found.p_response < 0.05).mean()) <= 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / channels)
    # Sets with any false discovery, of chance 5 % at most: 3.5 binomial standard deviations above.
    bound = 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / sets)
    for kind in ("selective", "common"):
        assert float((number.sel(kind=kind) > 0).mean()) <= bound


@pytest.mark.parametrize("images", [100, 1000])
@pytest.mark.parametrize("draws", [2, 3, 10])
@pytest.mark.parametrize("spread", [0.4, 0.75, 1.0])
def test_noise_that_differs_between_images_makes_no_channel_selective_or_common(
    spread: float, draws: int, images: int
) -> None:
    noise_alone_makes_no_channel_selective_or_common(spread, draws, images)


@pytest.mark.parametrize("null", [silent, on_the_boundary])
def test_false_discoveries_of_common_channels_keep_to_their_rate(null: Null) -> None:
    false_discoveries_keep_to_their_rate(null, "common")


def hard_cases(images: int, count: int, seed: int) -> np.ndarray:
    """Channels all the way from silent to common and to selective: amplitudes, shares of images and tails at random.

    The seed is that of the images; the channels are the same for all.
    """
    kinds, rng = np.random.default_rng(7), np.random.default_rng(seed)
    share, size, floor = kinds.uniform(0, 1, count) ** 2, kinds.uniform(0.05, 1.5, count), kinds.uniform(0, 1, count)
    power, offset = kinds.uniform(0.8, 2.5, count), kinds.uniform(0, 1, count)
    on = rng.random((images, count)) < share
    bursts = np.where(on, size * (floor + rng.exponential(1, (images, count)) * (1 - floor / 2)), 0)
    symmetric = rng.choice([-1, 1], (images, count)) * rng.gamma(1 / power, size=(images, count)) ** (1 / power)
    quiet = rng.normal(0, 0.01, (images, count))
    return np.select(
        [np.arange(count) % 3 == 0, np.arange(count) % 3 == 1], [bursts, offset + 0.5 * size * symmetric], quiet
    )


def answer_holds(findings: xr.Dataset, population: xr.Dataset) -> np.ndarray:
    """Whether each answer is that of a far larger set, by the criteria as they are stated."""
    p = {name: population[name].values[0] for name in ("activity_fraction", "below_fraction", "near_fraction")}
    clear, tail = p["activity_fraction"] + p["below_fraction"], population.tail_statistic.values[0]
    responds = clear > selectivity.FALSE_ALARM
    upward = p["activity_fraction"] > p["below_fraction"]
    is_selective = responds & (p["activity_fraction"] < selectivity.FEW) & (tail > 0) & upward
    # So many images lie above rest, or below it, and not near that the answer is the population's to 40 in 20,000.
    is_common = population.type.values[0] == "common"
    is_suppressed = population.type.values[0] == "suppressed"
    truth = {
        "silent": clear < selectivity.RARE,
        "selective": is_selective,
        "common": is_common,
        "suppressed": is_suppressed,
        "mixed": responds & ~is_selective & ~is_common & ~is_suppressed,
        "undecided": np.ones(clear.shape, bool),
    }
    return np.array([truth[kind][c] for c, kind in enumerate(findings.type.values[0])])


def test_answers_given_with_confidence_are_right() -> None:
    count = 300
    large = dataset(hard_cases(20_000, count, 0), rest=20.0)
    population = selectivity.analyse(large, resamples=100)
    sure, right = [], []
    for seed in range(1, 7):
        # What is known of rest is not what confidence is about: rest is measured once.
        data = dataset(hard_cases(600, count, seed), rest=20.0, seed=seed).assign(large[["rest", "rest_se"]])
        findings = selectivity.analyse(data, resamples=100)
        sure.append(findings.confidence.values[0] >= 0.9)
        right.append(answer_holds(findings, population))
    confident, correct = np.concatenate(sure), np.concatenate(right)
    # Hard cases must leave doubts, and the answers without must be enough to judge by.
    assert 200 < confident.sum() < 0.95 * confident.size
    assert correct[confident].mean() >= 0.95


@given(st.permutations(range(30)), st.integers(0, 3))
def test_a_permutation_of_channels_and_images_permutes_the_findings(order: list[int], seed: int) -> None:
    data, _ = planted(seed, images=100, each=10)
    images = np.random.default_rng(seed).permutation(100)
    in_order = selectivity.analyse(data, resamples=100)
    permuted = selectivity.analyse(data.isel(channel=order, image=images), resamples=100)
    per_channel = [name for name, v in in_order.items() if v.dims[-1:] == ("channel",)]
    xr.testing.assert_allclose(in_order[per_channel].isel(channel=order), permuted[per_channel])
    np.testing.assert_array_equal(in_order.number, permuted.number)


@given(st.integers(-12, 12), st.integers(0, 3))
def test_the_unit_of_activation_changes_no_type(power: int, seed: int) -> None:
    data, _ = planted(seed, images=100, each=8)
    scaled = data * np.float32(2.0**power)
    scaled.attrs = data.attrs
    a, b = selectivity.analyse(data, resamples=100), selectivity.analyse(scaled, resamples=100)
    np.testing.assert_array_equal(a.type, b.type)
    np.testing.assert_allclose(a.kurtosis, b.kurtosis)
    np.testing.assert_allclose(a.confidence, b.confidence)
    np.testing.assert_allclose(a.activity * 2.0**power, b.activity, rtol=1e-6)


@given(st.integers(0, 5))
def test_images_given_twice_change_no_mean_and_no_answer_that_was_sure(seed: int) -> None:
    data, _ = planted(seed, images=100, each=8)
    twice = xr.concat([data[["phi", "phi_se"]]] * 2, dim="image").assign(data[["rest", "rest_se"]])
    twice = twice.assign_coords(image=np.arange(200).astype(str).astype(object))
    a, b = selectivity.analyse(data, resamples=100), selectivity.analyse(twice, resamples=100)
    np.testing.assert_allclose(a.activity, b.activity, rtol=1e-6)
    np.testing.assert_array_equal(2 * a.histogram, b.histogram)
    sure = a.confidence.values > 0.9
    np.testing.assert_array_equal(a.type.values[sure], b.type.values[sure])


@pytest.mark.parametrize("draws", [2, 4])
def test_few_noise_draws_make_no_silent_channel_respond(draws: int) -> None:
    data = dataset(np.zeros((300, 400)), draws=draws, seed=8)
    # Responding is tested at 5 % over 400 channels none of which does: one set, so any answer but silent is an
    # event of chance 5 % at most; the normal error at 5 standard errors makes it far rarer.
    assert (selectivity.analyse(data, resamples=100).type == "silent").all()
