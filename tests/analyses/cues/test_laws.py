"""What changes nothing, and what changes signs."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import cues
from analyses.cues.analyse import DISTANCES
from probekit import labels
from tests.analyses.cues.making import CODES, IDS, planted

SHARES = ("texture", "shape", "difference", "gain")
MIXED = planted(1.0, 0.8, 0.8)


def found(x: xr.DataArray | xr.Dataset, **options: object) -> xr.Dataset:
    both = {"x": x, "noise": planted(0, 0, 1, 3)}
    return cues.analyse(both, **{"resamples": 100, **options})  # pyright: ignore[reportArgumentType]


BEFORE = found(MIXED)


def order_changes_nothing(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(IDS))
    xr.testing.assert_identical(found(MIXED.isel(image=order)), BEFORE)


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_order_of_images_changes_nothing(seed: int) -> None:
    order_changes_nothing(seed)


def test_the_order_of_images_that_are_all_alike_in_a_cue_changes_nothing() -> None:
    tied = planted(0, 1, 0)
    order = np.random.default_rng(1).permutation(len(IDS))
    xr.testing.assert_identical(found(tied.isel(image=order)), found(tied))


@given(st.floats(0.01, 100), st.floats(-5, 5))
@settings(max_examples=10, deadline=None)
def test_scale_and_offset_of_a_representation_change_nothing(scale: float, offset: float) -> None:
    again = found(scale * MIXED + offset)
    for name in SHARES:
        np.testing.assert_allclose(again[name], BEFORE[name], atol=1.5 / len(IDS))


def test_scales_of_channels_change_nothing_of_the_standardised_distance() -> None:
    scales = np.random.default_rng(0).uniform(0.1, 10, MIXED.sizes["feature"])
    again = found(MIXED * scales).sel(distance="standardised")
    np.testing.assert_allclose(again["texture"], BEFORE["texture"].sel(distance="standardised"), atol=1.5 / len(IDS))


def what_is_swapped_changes_sides() -> None:
    exemplars = cues.named(MIXED)
    swapped = cues.named(MIXED, shape=exemplars.texture.values.tolist(), texture=exemplars["shape"].values.tolist())
    again = found(MIXED, exemplars=swapped)
    np.testing.assert_array_equal(again["texture"], BEFORE["shape"])
    np.testing.assert_array_equal(again["shape"], BEFORE["texture"])
    np.testing.assert_array_equal(again["difference"], -BEFORE["difference"])
    np.testing.assert_array_equal(again["gain"], -BEFORE["gain"])
    assert again["texture_chance"] == BEFORE["shape_chance"]


def test_textures_called_shapes_and_shapes_called_textures_change_sides() -> None:
    what_is_swapped_changes_sides()


def test_the_gain_is_a_paired_difference() -> None:
    difference = BEFORE["difference"].values
    np.testing.assert_allclose(BEFORE["gain"], difference[:1] - difference, atol=1e-12)
    own = BEFORE.sel(representation="x")
    assert (own["gain"] == 0).all()
    assert (own["gain_low"] == 0).all()
    assert (own["gain_high"] == 0).all()
    # Noise that is nearly the same in both cancels: the pair's interval is narrower than the difference's own.
    other = MIXED.copy(deep=True)
    other[:1] += 3.0
    same = cues.analyse({"a": MIXED, "b": other}, resamples=100).sel(representation="b")
    assert (same["gain"] != 0).any()
    assert (same["gain_high"] - same["gain_low"] < 0.5 * (same["difference_high"] - same["difference_low"])).all()


def test_another_reference_turns_the_gain() -> None:
    again = found(MIXED, reference="noise").sel(representation="x")
    np.testing.assert_allclose(again["gain"], -BEFORE["gain"].sel(representation="noise"), atol=1e-12)


def dataset(*blocks: str, sigma: tuple[float, ...] = (0.1, 0.3)) -> xr.Dataset:
    """φ of several taps: "texture", "shape" and "noise" are made of what they are called after."""
    made = {"texture": planted(1, 0, 0), "shape": planted(0, 1, 0), "noise": planted(0, 0, 1)}
    phi = np.concatenate([made[block].values for block in blocks], axis=1)
    return labels.representation(
        {"phi": np.repeat(phi[:, None], len(sigma), axis=1).astype(np.float32)},
        ids=IDS,
        labels=None,
        sigma=list(sigma),
        channels=dict.fromkeys(blocks, MIXED.sizes["feature"]),
        attrs={},
    )


def test_blocks_and_noise_levels_are_matched_by_name() -> None:
    first, second = dataset("texture", "noise", "shape"), dataset("shape", "texture", "noise", sigma=(0.3, 0.1))
    both = cues.analyse({"a": first, "b": second}, distances="euclidean", resamples=100)
    assert both["block"].values.tolist() == ["texture", "noise", "shape"]
    assert both["texture"].sel(block="texture").values.ravel().tolist() == [1] * 4
    assert both["shape"].sel(block="shape").values.ravel().tolist() == [1] * 4
    assert (both["gain"] == 0).all()


def test_what_has_one_block_and_level_stands_beside_all() -> None:
    both = cues.analyse({"a": dataset("texture", "shape"), "b": planted(1, 0, 0)}, resamples=100)
    assert both["texture"].sel(representation="b").values.ravel().tolist() == [1] * 8
    assert both["distance"].values.tolist() == list(DISTANCES)


def test_exemplars_are_read_from_ids() -> None:
    exemplars = cues.named(MIXED)
    assert exemplars["shape"].values.tolist() == [f"cat{s + 1}" for s in CODES[0]]
    assert exemplars["texture"].values.tolist() == [f"dog{t + 1}" for t in CODES[1]]
    assert set(exemplars["shape_class"].values) == {"cat"}
    assert set(exemplars["texture_class"].values) == {"dog"}


@pytest.mark.parametrize("one", ["oven1-knife3.png", "a/b/oven1-knife3.jpg", "oven1-knife3", "x y/oven1-knife3.jpeg"])
def test_ids_are_read_in_any_folder_and_with_any_ending(one: str) -> None:
    exemplars = cues.named(np.zeros((1, 1, 2, 2)), shape=["a1"], texture=["b1"]).assign_coords(image=[one])
    again = cues.named(exemplars)
    assert (again["shape"].item(), again["texture"].item()) == ("oven1", "knife3")
    assert (again["shape_class"].item(), again["texture_class"].item()) == ("oven", "knife")
