"""Laws of the share of same-photograph neighbours: order, equal representations, subsets, curves, verdicts."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import textures
from probekit import labels

SEEDS = st.integers(0, 1000)


def phi(seed: int = 0, *, spread: float = 1.0, blocks: tuple[str, ...] = ("enc1", "mid"), draws: int = 4) -> xr.Dataset:
    """φ of 12 photographs of 4 patches at two noise levels: a place for each photograph, and noise about it."""
    rng = np.random.default_rng(seed)
    places = np.repeat(np.random.default_rng(99).normal(size=(12, 1, 3 * len(blocks))), 4, axis=0)
    each = places[..., None] + spread * rng.normal(size=(48, 2, 3 * len(blocks), draws))
    return labels.representation(
        {"phi": each.mean(axis=3), "phi_draws": each.transpose(0, 1, 3, 2)},
        ids=[f"{k // 4}#{k % 4}" for k in range(48)],
        labels=[f"photograph {k // 4}" for k in range(48)],
        sigma=[0.1, 0.2],
        channels=dict.fromkeys(blocks, 3),
        attrs={},
    )


@settings(max_examples=10)
@given(SEEDS)
def test_the_order_of_patches_changes_nothing(seed: int) -> None:
    data, other = phi(seed), phi(seed + 1)
    rng = np.random.default_rng(seed)
    shuffled = {"φ": data.isel(image=rng.permutation(48)), "other": other.isel(image=rng.permutation(48))}
    xr.testing.assert_equal(
        textures.analyse({"φ": data, "other": other}, resamples=100)[
            ["rate", "rate_low", "difference", "difference_high"]
        ],
        textures.analyse(shuffled, resamples=100)[["rate", "rate_low", "difference", "difference_high"]],
    )


@settings(max_examples=10)
@given(SEEDS, st.floats(0.3, 3))
def test_equal_representations_differ_by_0_and_the_interval_holds_it(seed: int, spread: float) -> None:
    data = phi(seed, spread=spread)
    found = textures.analyse({"φ": data, "the same": data.copy()}, resamples=100)
    assert (found["difference"] == 0).all()
    # Of the reference itself it is known; of another that agrees on these photographs it is not.
    own, other = (found.sel(representation=name) for name in ("φ", "the same"))
    assert (own["difference_low"] == 0).all()
    assert (own["difference_high"] == 0).all()
    assert (other["difference_low"] < 0).all()
    assert (other["difference_high"] > 0).all()


def width(each: int) -> float:
    """Of the interval of the rate of 40 photographs of so many patches: half lie together, half all over the place."""
    rng = np.random.default_rng(5)
    codes = np.repeat(np.arange(40), each)
    place = np.where(codes[:, None] % 2, 100.0 * rng.normal(size=(40, 3))[codes], rng.normal(size=(len(codes), 3)))
    values = xr.DataArray(place + 1e-3 * rng.normal(size=place.shape), dims=("image", "channel"))
    data = labels.representation(
        {"phi": values.values[:, None]},
        ids=[f"{code}#{k}" for k, code in enumerate(codes)],
        labels=[f"photograph {code}" for code in codes],
        sigma=[0.1],
        channels={"mid": 3},
        attrs={},
    )
    found = textures.analyse({"φ": data}, distances=["euclidean"], resamples=2000)
    assert 0.5 < found.rate.item() < 0.7
    return float(found.rate_high.item() - found.rate_low.item())


def test_more_patches_of_as_many_photographs_tell_no_more_of_other_photographs() -> None:
    # Each photograph's share is nearly 0 or 1, however many patches it is of: half of each, so that the standard
    # deviation of their mean is 0.5/√40. Of patches drawn anew, 16 to a photograph, it would be a quarter of it.
    expected = 2 * 1.96 * 0.5 / 40**0.5
    assert 0.8 * expected < width(16) < 1.3 * expected


@settings(max_examples=10)
@given(SEEDS)
def test_the_difference_is_that_of_the_rates_and_turns_about_with_the_reference(seed: int) -> None:
    given_ = {"a": phi(seed), "b": phi(seed + 1, spread=2)}
    one, two = (textures.analyse(given_, reference=name, resamples=100) for name in "ab")
    np.testing.assert_allclose(
        one.difference.sel(representation="b"),
        one.rate.sel(representation="a") - one.rate.sel(representation="b"),
        atol=1e-12,
    )
    for low, high in (("difference_low", "difference_high"), ("difference", "difference")):
        np.testing.assert_allclose(one[low].sel(representation="b"), -two[high].sel(representation="a"), atol=1e-12)


@settings(max_examples=10)
@given(SEEDS, st.floats(0.01, 100))
def test_units_of_channels_change_nothing_by_the_standardised_distance(seed: int, unit: float) -> None:
    data = phi(seed)
    other = data[["phi"]].assign(phi=data.phi * xr.DataArray([unit, 1, 1, 1, unit, 2], dims="channel"))
    found = textures.analyse({"φ": data, "other": other}, distances=["standardised"], resamples=100)
    assert (found.difference == 0).all()


def test_a_single_block_and_an_array_stand_beside_every_block_and_a_missing_block_is_nan() -> None:
    data = phi()
    array = xr.DataArray(data.phi.values[:, 0, :3], {"image": data.image}, ("image", "feature"), name="pixels")
    alone = data.isel(channel=[0, 1, 2])
    renamed = alone.assign_coords(tap=("channel", np.array(["x"] * 3, object)))
    found = textures.analyse({"φ": data, "array": array, "alone": alone, "renamed": renamed}, resamples=100).rate
    mine = found.sel(representation="φ", block="enc1")
    for block in ("enc1", "mid"):
        np.testing.assert_array_equal(found.sel(representation="renamed", block=block), mine)
        np.testing.assert_array_equal(found.sel(representation="array", block=block), [mine.isel(sigma=0)] * 2)
    np.testing.assert_array_equal(found.sel(representation="alone", block="enc1"), mine)
    assert found.sel(representation="alone", block="mid").isnull().all()


def test_more_draws_and_all_draws_are_as_phi_itself() -> None:
    data = phi(spread=1.5)
    found = textures.curve({"φ": data}, over="draws", counts=(1, 2, 4), resamples=100)
    whole = textures.analyse({"φ": data}, resamples=100)
    np.testing.assert_allclose(found.rate.sel(count=4), whole.rate)
    first = data.assign(phi=data.phi_draws.isel(draw=0, drop=True))
    np.testing.assert_allclose(found.rate.sel(count=1), textures.analyse({"φ": first}, resamples=100).rate)


def test_fewer_patches_keep_every_photograph_and_lower_the_chance() -> None:
    found = textures.curve({"φ": phi()}, over="patches", counts=(2, 3, 4), resamples=100)
    np.testing.assert_allclose(found.chance, [1 / 23, 2 / 35, 3 / 47])
    np.testing.assert_allclose(found.rate.sel(count=4), textures.analyse({"φ": phi()}, resamples=100).rate)


def table(low: float, high: float, **changed: tuple[float, float]) -> xr.Dataset:
    """Findings of both forms where every difference from a rival has these ends; some rivals others.

    They say that there are 8 patches of each photograph.
    """
    rivals = dict.fromkeys(textures.RIVALS)
    data = phi()
    found = textures.analyse({"φ": data, **dict.fromkeys(rivals, data)}, resamples=100)
    found = xr.concat([found, found], "form", combine_attrs="override", data_vars="all").assign_coords(
        form=["colour", "grey"]
    )
    ends = {name: changed.get(name, (low, high)) for name in rivals}
    for name, end in (("difference_low", 0), ("difference_high", 1)):
        new = found[name].copy()
        for rival, both in ends.items():
            new.loc[{"representation": rival}] = both[end]
        found[name] = new
    return found.assign_attrs(patches_least=8)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lambda: table(0.01, 0.2), "holds"),
        (lambda: table(0.01, 0.2, untrained=(-0.1, 0.1)), "undecided"),
        (lambda: table(0.01, 0.2, untrained=(-0.3, -0.1)), "partly"),
        (lambda: table(-0.1, 0.1), "undecided"),
        (lambda: table(-0.1, 0.1, untrained=(-0.3, -0.1)), "does not hold"),
        (lambda: table(-0.2, -0.1), "does not hold"),
        (lambda: table(0.0, 0.1), "undecided"),
        (lambda: table(0.01, 0.2, untrained=(np.nan, np.nan)), "undecided"),
        (lambda: table(0.01, 0.2).isel(form=[0]), "not judged"),
        (lambda: table(0.01, 0.2).isel(form=0), "not judged"),
        (lambda: table(0.01, 0.2).drop_sel(representation="Gabor bank"), "not judged"),
        (lambda: table(-0.1, 0.1).drop_sel(representation="Gabor bank"), "not judged"),
        (lambda: table(-0.2, -0.1).drop_sel(representation="Gabor bank"), "does not hold"),
    ],
)
def test_claim_9_is_judged_by_all_rivals_in_colour_and_grey(found: object, said: str) -> None:
    assert textures.verdict(found(), "mid") == said  # type: ignore[operator]


def test_the_best_block_is_that_of_the_reference_with_the_highest_mean_rate() -> None:
    data = phi(spread=0.3)
    worse = data.phi.values.copy()
    worse[..., :3] = np.random.default_rng(0).normal(size=worse[..., :3].shape)
    found = textures.analyse({"φ": data.assign(phi=(data.phi.dims, worse)), "other": data}, resamples=100)
    assert textures.best_block(found) == "mid"
    assert textures.best_block(found, distance="standardised", sigma=0.2) == "mid"
