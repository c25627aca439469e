"""Types of channel tell the truth: shares are covered, directions tested, far images seen, groups are no images."""

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from analyses import selectivity
from analyses.selectivity import kernels_counts, kernels_types
from probekit import labels
from tests.analyses.selectivity.test_laws import NOMINAL, SETS, dataset, excited

KINDS = ("silent", "common", "suppressed", "selective", "mixed")


def bound(chance: float, trials: int) -> float:
    """Of so many trials, the share with an event of this chance at most: 3.5 binomial standard deviations above."""
    return chance + 3.5 * math.sqrt(chance * (1 - chance) / trials)


def of_kind(kind: str, rng: np.random.Generator, images: int, channels: int) -> np.ndarray:
    """Activity (images, channels) of channels of one type by construction."""
    size = (images, channels)
    return {
        "silent": lambda: np.zeros(size),
        "common": lambda: rng.normal(1, 0.2, size),
        "suppressed": lambda: -(1 + 0.3 * rng.standard_normal(size)),
        "selective": lambda: np.where(rng.random(size) < 0.12, 0.5 + rng.exponential(0.5, size), 0),
        # Clearly above rest on all images, with an exponential's tail.
        "mixed": lambda: 0.6 + rng.exponential(0.5, size),
    }[kind]()


SHARES = {"silent": 0.1, "common": 0.4, "suppressed": 0.2, "selective": 0.2, "mixed": 0.1}


def drawn_types(images: int, sets: int, each: int, draws: int) -> tuple[xr.Dataset, np.ndarray]:
    """Networks of `each` channels, whose types are drawn by SHARES; and the types."""
    rng = np.random.default_rng(images)
    kinds = rng.choice(list(SHARES), size=sets * each, p=list(SHARES.values()))
    activity = np.empty((images, len(kinds)))
    for kind in KINDS:
        activity[:, kinds == kind] = of_kind(kind, rng, images, int((kinds == kind).sum()))
    return dataset(activity, rest=9.0, sets=sets, draws=draws, seed=images), kinds


def intervals_cover_the_true_shares(images: int, sets: int = 100) -> None:
    data, _ = drawn_types(images, sets, 60, draws=4)
    found = selectivity.analyse(data, resamples=100).isel(sigma=0)
    for kind, share in SHARES.items():
        here = found.sel(kind=kind)
        outside = (here.fraction_low > share) | (here.fraction_high < share)
        assert float(outside.mean()) <= bound(0.05, sets)


@pytest.mark.parametrize("images", [50, 100, 200, 1000])
def test_intervals_of_shares_cover_the_truth_however_few_images_there_are(images: int) -> None:
    intervals_cover_the_true_shares(images)


def test_with_many_images_each_channel_is_told_and_shares_are_narrow() -> None:
    data, kinds = drawn_types(3000, 10, 60, draws=4)
    found = selectivity.analyse(data, resamples=100).isel(sigma=0)
    assert (found.type.values == kinds).mean() >= 0.95
    # Of 60 channels Jeffreys' interval of 40 % at 97.5 % spans 0.27 at most, of which each end may lose 5 % to doubt.
    width = found.fraction_high - found.fraction_low
    assert float(width.sel(kind="common").mean()) < 0.27 + 0.1
    assert (found.decided.sel(criterion="few") > 0.9).all()
    # Where rest may be, it is open on which side silent and selective channels lie on images that leave them at rest:
    # 30 % of channels, and 3.5 standard deviations of 600.
    assert (found.decided.sel(criterion=["raised", "lowered"]).mean("block") > 0.7 - 0.065).all()


def test_few_images_leave_types_undecided_and_possible() -> None:
    data, kinds = drawn_types(50, 1, 400, draws=4)
    found = selectivity.analyse(data, resamples=100).isel(sigma=0)
    for kind in KINDS:
        possible = found.possible.sel(kind=kind).values
        # Types are excluded under false-discovery control at 5 %.
        assert (~possible & (kinds == kind)).sum() <= 0.05 * max((~possible).sum(), 1) + 3.5 * math.sqrt(0.05 * 400)
    # 50 images cannot show that fewer than 1 in 250 is far out, nor that fewer than 1 in 100 is answered.
    assert not set(found.type.values) & {"common", "silent"}
    assert float(found.fraction.sel(kind="undecided", block="set 0")) > 0.5
    assert found.confidence.isnull().values.tolist() == (found.type == "undecided").values.tolist()


@pytest.mark.parametrize("law", ["normal", "exponential", "floor"])
@pytest.mark.parametrize("draws", [4, 10])
def test_channels_that_images_switch_off_are_suppressed_and_never_common(law: str, draws: int) -> None:
    rng = np.random.default_rng(3)
    size = (1000, 200)
    activity = {
        "normal": lambda: -(1 + 0.3 * rng.standard_normal(size)),
        "exponential": lambda: -(0.7 + rng.exponential(0.5, size)),
        # On 97 % of images all the way down.
        "floor": lambda: np.where(rng.random(size) < 0.97, -1.0, 0.5) + 0.1 * rng.standard_normal(size),
    }[law]()
    found = selectivity.analyse(dataset(activity, rest=9.0, draws=draws), resamples=100)
    assert (found.type == "suppressed").mean() >= 0.99
    assert (found.below_fraction > 0.8).mean() >= 0.99
    assert not found.possible.sel(kind=["common", "selective"]).any()


def test_departures_both_ways_make_a_channel_neither_common_nor_suppressed() -> None:
    activity = np.random.default_rng(4).normal(0, 1, (2000, 200))
    found = selectivity.analyse(dataset(activity, rest=9.0), resamples=100)
    assert (found.type == "mixed").all()


SYMMETRIC = {
    "Laplace": lambda rng, size: rng.laplace(0, 1, size),
    "Student": lambda rng, size: rng.standard_t(3, size).clip(-80, 80),
    "bursts": lambda rng, size: np.where(
        rng.random(size) < 0.1, rng.choice([-1, 1], size) * rng.exponential(1, size), 0
    ),
}


def both_ways_alike_is_not_selective(law: str, draws: int) -> None:
    activity = SYMMETRIC[law](np.random.default_rng(1), (1000, SETS * 16))
    found = selectivity.analyse(dataset(activity, rest=90.0, sets=SETS, draws=draws, seed=draws), resamples=100)
    # No channel is excited oftener than silenced: each p-value is below 5 % in 5 % of channels at most, and of sets at
    # most 5 % have any called so.
    assert float((found.p_selective < 0.05).mean()) <= bound(0.05, SETS * 16)
    assert float((found.number.sel(kind="selective") > 0).mean()) <= NOMINAL


@pytest.mark.parametrize("draws", [2, 4, 10])
@pytest.mark.parametrize("law", SYMMETRIC)
def test_channels_that_images_move_both_ways_alike_are_not_selective(law: str, draws: int) -> None:
    both_ways_alike_is_not_selective(law, draws)


def four_fifths_are_not_more(kind: str, spread: float) -> None:
    # Near rest within a tenth of the typical response (E b²)/(E b) at least, b being cut off where one in 250 are
    # larger, for a mean m far from 0; solved for m.
    b = stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000).clip(max=stats.norm.isf(0.004))
    mean = spread
    for _ in range(50):
        size = np.abs(mean + spread * b)
        mean = 0.1 * (size**2).mean() / size.mean() - spread * stats.norm.ppf(0.2)
    activity = np.random.default_rng(5).normal(mean, spread, (1500, SETS * 8)) * (1 if kind == "common" else -1)
    found = selectivity.analyse(dataset(activity, rest=19.0, sets=SETS, draws=4, seed=6), resamples=100)
    # Errors make some images near that would not be. Rest errs by a quarter or a twentieth of the spread.
    assert float((found[f"p_{kind}"] < 0.05).mean()) <= bound(0.05, SETS * 8)
    assert float((found.number.sel(kind=kind) > 0).mean()) <= NOMINAL


@pytest.mark.parametrize("kind", ["common", "suppressed"])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_channels_off_rest_on_four_fifths_of_images_are_not_shown_to_be_so_on_more(kind: str, spread: float) -> None:
    four_fifths_are_not_more(kind, spread)


# Shares of images so many standard deviations of the whole law out, at which both laws fit a normal law equally well.
FAR_OUT = {4: 0.01221, 5: 0.00652, 6: 0.0042}


def far_images_are_not_overlooked(images: int, deviations: int, each: int = 16) -> None:
    share = FAR_OUT[deviations]
    rng = np.random.default_rng(images)
    size = (images, SETS * each)
    far = rng.random(size) < share
    # With variance s² = 1 − share + share (deviations · s)².
    out = deviations * math.sqrt((1 - share) / (1 - deviations**2 * share))
    normal = np.where(far, rng.choice([-1, 1], size) * out, rng.standard_normal(size))
    found = selectivity.analyse(dataset(9 + 0.9 * normal, rest=9.0, sets=SETS, seed=2), resamples=100)
    assert float((found.p_common < 0.05).mean()) <= bound(0.05, SETS * each)
    assert float((found.number.sel(kind="common") > 0).mean()) <= NOMINAL


@pytest.mark.parametrize("deviations", FAR_OUT)
@pytest.mark.parametrize("images", [200, 1000])
def test_a_normal_channel_with_few_images_far_out_is_not_shown_to_be_common(images: int, deviations: int) -> None:
    far_images_are_not_overlooked(images, deviations)


@pytest.mark.parametrize("rate", [0.004, 0.01, 0.03])
def test_more_than_one_image_in_250_far_out_however_far_is_seen(rate: float) -> None:
    rng = np.random.default_rng(7)
    size = (1200, SETS * 8)
    activity = rng.normal(9, 0.9, size) + np.where(rng.random(size) < rate, 40, 0)
    found = selectivity.analyse(dataset(activity, rest=9.0, sets=SETS, seed=2), resamples=100)
    assert float((found.number.sel(kind="common") > 0).mean()) <= NOMINAL


def repeated(data: xr.Dataset, members: np.ndarray, ids: np.ndarray | None = None) -> xr.Dataset:
    """Images of the data, some given several times, and as the coordinate `source` which it was."""
    again = data.isel(image=members)
    names = np.arange(len(members)).astype(str).astype(object) if ids is None else ids
    return again.assign_coords(image=names, source=("image", members.astype(str).astype(object)))


def groups_count_once(members: np.ndarray, clusters: str | None) -> float:
    """Share of sets with a channel called selective, common or suppressed, where both laws are as close."""
    activity = excited(np.random.default_rng(2), int(members.max()) + 1, SETS * 8)
    data = repeated(dataset(activity, rest=9.0, sets=SETS, seed=3), members)
    found = selectivity.analyse(data, clusters=clusters, resamples=100)
    return float((found.number.sel(kind=["selective", "common", "suppressed"]).sum("kind") > 0).mean())


def uneven(rng: np.random.Generator, groups: int) -> np.ndarray:
    return np.repeat(np.arange(groups), rng.integers(1, 9, groups))


def groups_keep_false_discoveries_to_their_rate() -> None:
    assert groups_count_once(np.repeat(np.arange(200), 5), "source") <= NOMINAL


def test_images_given_five_times_make_false_discoveries_unless_their_groups_are_named() -> None:
    # Five times the 5 % that are allowed, at least.
    assert groups_count_once(np.repeat(np.arange(200), 5), None) > 0.25
    groups_keep_false_discoveries_to_their_rate()


def test_groups_of_uneven_sizes_keep_false_discoveries_to_their_rate() -> None:
    assert groups_count_once(uneven(np.random.default_rng(1), 200), "source") <= NOMINAL


def one_image_in_other_units_changes_no_type(worst: float) -> None:
    data, kinds = drawn_types(1000, 1, 60, draws=4)
    broken = data.copy(deep=True)
    broken["phi"][0] = data.rest.values + worst * np.abs(data.phi[0] - data.rest).values
    found = selectivity.analyse(broken, resamples=100).isel(sigma=0).type.values
    assert set(found[kinds == "silent"]) <= {"silent", "undecided"}
    told = found != "undecided"
    assert (found[told] == kinds[told]).all()
    # Common takes more images to show; four fifths is four binomial standard deviations below one in twenty missed.
    assert told[kinds != "common"].mean() > 0.8


@pytest.mark.parametrize("worst", [100.0, 255.0, 1e6])
def test_one_image_in_other_units_changes_no_type_of_others(worst: float) -> None:
    one_image_in_other_units_changes_no_type(worst)


def rest_that_is_noisier_than_images_moves_no_silent_channel() -> None:
    rng = np.random.default_rng(4)
    data = dataset(np.zeros((200, SETS * 60)), rest=50.0, sets=SETS, draws=2)
    noisy = 5 * data.phi_se.mean().item()
    data["rest"][:] = 50 + noisy * rng.standard_normal(data.rest.shape)
    data["rest_se"][:] = noisy * np.abs(rng.standard_normal(data.rest.shape))
    found = selectivity.analyse(data, resamples=100)
    wrong = found.number.sel(kind=["common", "suppressed", "selective", "mixed"]).sum("kind") > 0
    assert float(wrong.mean()) <= NOMINAL


def test_where_rest_is_noisier_than_images_silent_channels_are_not_moved() -> None:
    rest_that_is_noisier_than_images_moves_no_silent_channel()


UNEQUAL = {
    # Few large groups hold most of the images: two sizes, and a long tail of sizes.
    "six": np.array([40] * 6 + [1] * 1600),
    "four": np.array([100] * 4 + [1] * 1600),
    "Pareto": np.minimum(np.ceil(np.random.default_rng(7).pareto(1.2, 600) + 0.01), 60).astype(int),
}


def unequal_groups_keep_false_discoveries_to_their_rate(sizes: str, law: str) -> None:
    rng = np.random.default_rng(3)
    of = UNEQUAL[sizes]
    groups = np.repeat(np.arange(len(of)), of)
    shape = (len(of), SETS * 8)
    if law == "signs":
        # Images of large groups alone move channels, up as often as down: no channel is selective.
        large = (of >= np.sort(of)[-6])[:, None]
        activity = np.where(large, rng.choice([-1, 1], shape) * (1 + rng.exponential(0.5, shape)), 0)
        wrong = ["selective", "common", "suppressed"]
    else:
        # Common, with fewer than 1 image in 250 far out, whole groups at a time.
        x = rng.standard_normal(shape)
        x[rng.random(shape) < 0.0035] = 5
        activity, wrong = 2 + 0.1 * x, ["selective", "suppressed", "mixed", "silent"]
    data = dataset(activity[groups], rest=9.0, sets=SETS, draws=4).assign_coords(
        source=("image", [f"s{g}" for g in groups])
    )
    found = selectivity.analyse(data, clusters="source", resamples=100)
    assert float((found.number.sel(kind=wrong).sum("kind") > 0).mean()) <= NOMINAL
    if law == "far":
        # One large group far out is one event, however many its images are.
        assert float((found.p_mixed < 0.001).mean()) <= bound(0.001, SETS * 8)


@pytest.mark.parametrize("sizes", UNEQUAL)
@pytest.mark.parametrize("law", ["signs", "far"])
def test_groups_of_very_unequal_sizes_keep_false_discoveries_to_their_rate(sizes: str, law: str) -> None:
    unequal_groups_keep_false_discoveries_to_their_rate(sizes, law)


def test_images_given_several_times_with_their_groups_named_are_worth_what_each_is_once() -> None:
    data, _ = drawn_types(400, 1, 60, draws=4)
    once = selectivity.analyse(data, resamples=100)
    five = selectivity.analyse(repeated(data, np.repeat(np.arange(400), 5)), clusters="source", resamples=100)
    np.testing.assert_array_equal(once.type, five.type)
    for name in ("p_common", "p_selective", "p_silent", "p_suppressed", "fraction_low", "fraction_high", "confidence"):
        # The groups' variance has one degree of freedom less.
        np.testing.assert_allclose(five[name], once[name], rtol=0.1, atol=0.01)
    assert five.attrs["independent_images"] == pytest.approx(400)
    assert five.attrs["clusters"] == "source"


def test_groups_of_one_image_each_change_nothing() -> None:
    data, _ = drawn_types(400, 1, 60, draws=4)
    alone = data.assign_coords(source=("image", data.image.values))
    once, named = (selectivity.analyse(alone, clusters=c, resamples=100) for c in (None, "source"))
    np.testing.assert_array_equal(once.type, named.type)
    np.testing.assert_allclose(named.p_common, once.p_common, rtol=0.02, atol=1e-4)


def simes(p: np.ndarray, alpha: float) -> bool:
    return bool((np.sort(p) <= np.arange(1, len(p) + 1) * alpha / len(p)).any())


def test_the_number_of_true_hypotheses_is_that_of_closed_testing() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((60, 7)) ** rng.integers(1, 9, (60, 1))
    for row, most in zip(p, kernels_types.most_true(p, 0.1), strict=True):
        kept = [len(s) for k in range(1, 8) for s in itertools.combinations(row, k) if not simes(np.array(s), 0.1)]
        assert most == max(kept, default=0)


def test_rates_of_whole_counts_are_scipys_and_go_on_between() -> None:
    count = np.linspace(0, 30, 61)
    p = kernels_counts.at_least(count, 30, 0.2)
    np.testing.assert_allclose(p[::2], stats.binom.sf(np.arange(31) - 1, 30, 0.2), atol=1e-13)
    assert (np.diff(p) <= 0).all()


def test_power_grows_with_images_and_ends_at_what_analyse_says() -> None:
    data, _ = drawn_types(1000, 2, 60, draws=4)
    curve = selectivity.power_curve(data, seed=1)
    assert curve.n_images.values.tolist() == [50, 100, 200, 500, 1000]
    whole = selectivity.analyse(data, resamples=100)
    for name in ("fraction", "fraction_low", "fraction_high", "decided"):
        np.testing.assert_array_equal(curve[name].isel(n_images=-1), whole[name])
    undecided = curve.fraction.sel(kind="undecided").mean("block").isel(sigma=0).values
    # Each step doubles the images of channels whose types take from 20 to 900 of them to tell.
    assert (np.diff(undecided) <= 0.02).all()
    assert undecided[0] > undecided[-1] + 0.2
    turned = selectivity.power_curve(data.isel(image=slice(None, None, -1)), numbers=[50, 100], seed=1)
    np.testing.assert_array_equal(turned.fraction, curve.fraction.isel(n_images=[0, 1]))
    assert selectivity.plot_power(curve).axes


def test_power_by_groups_takes_them_whole() -> None:
    data = repeated(drawn_types(100, 1, 20, draws=4)[0], np.repeat(np.arange(100), 5))
    curve = selectivity.power_curve(data, numbers=[150, 500], clusters="source")
    np.testing.assert_allclose(curve.independent_images, [30, 100])


def test_the_ids_of_types_are_those_that_are_labelled() -> None:
    data, _ = drawn_types(50, 1, 20, draws=4)
    found = selectivity.analyse(data, resamples=100)
    assert tuple(found.kind.values) == selectivity.KINDS == (*KINDS, "undecided")
    assert tuple(found.criterion.values) == selectivity.CRITERIA
    np.testing.assert_allclose(found.fraction.sum("kind"), 1)
    assert labels.blocks(data) == found.block.values.tolist()
