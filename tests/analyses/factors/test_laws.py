"""Laws of factors: what must change nothing, what is symmetric, and what networks say of ovals and shapes."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import probekit
from analyses import factors
from probekit.errors import InputError
from probekit.synthetic import ovals, shapes
from tests.analyses.factors.making import noise, planted, repeated

N = 60
ASKED = {"factor": "aspect", "resamples": 100}


def some(seed: int = 0, channels: int = 5) -> xr.Dataset:
    aspects = repeated(N)
    phi = noise(seed, N, 2, 2 * channels) + np.log(aspects)[:, None, None] * noise(seed + 1, 2, 2 * channels)
    return planted(phi, aspects, sigma=[0.1, 0.3], taps={"enc1": channels, "mid": channels})


def summary(found: xr.Dataset) -> xr.Dataset:
    """What is not of single images."""
    return found.drop_dims("image")


@settings(max_examples=10)
@given(st.permutations(range(N)))
def test_the_order_of_images_changes_nothing_but_rounding(order: list[int]) -> None:
    data = some()
    first, second = (factors.analyse(one, mirror=1, **ASKED) for one in (data, data.isel(image=order)))
    xr.testing.assert_allclose(first, second.isel(image=np.argsort(order)), rtol=1e-9)
    assert second["image"].values.tolist() == [data["image"].values[k] for k in order]


@settings(max_examples=10)
@given(st.permutations(range(5)), st.floats(0.1, 10), st.floats(-3, 3))
def test_order_and_scale_of_channels_and_a_shift_leave_neighbours_and_reading(
    order: list[int], scale: float, shift: float
) -> None:
    data = some()
    changed = data.isel(channel=[*order, *range(5, 10)]).assign_coords(unit=data.unit, channel=data.channel)
    changed["phi"] = changed.phi * scale + shift
    first, second = (factors.analyse(one, mirror=1, **ASKED) for one in (data, changed))
    for name in ("r2", "r2_size", "same_share", "mirror_share", "nearest", "centred_correlation"):
        # float32, moved by up to 3 and back.
        np.testing.assert_allclose(first[name], second[name], atol=1e-3, err_msg=name)


@settings(max_examples=10)
@given(st.integers(0, 100))
def test_matrices_are_symmetric_of_unit_diagonal_and_shares_sum_to_one(seed: int) -> None:
    found = factors.analyse(some(seed), mirror=1, **ASKED)
    for name in ("correlation", "centred_correlation"):
        matrix = found[name].values
        np.testing.assert_allclose(matrix, matrix.swapaxes(-1, -2), atol=1e-12)
        np.testing.assert_allclose(np.diagonal(matrix, axis1=-2, axis2=-1), 1, atol=1e-12)
    np.testing.assert_allclose(found["nearest"].sum("other_value"), 1)
    diagonal = np.diagonal(found["nearest"].values, axis1=-2, axis2=-1).mean(axis=-1)
    np.testing.assert_allclose(found["same_share"], diagonal)
    for name in ("r2", "same_share", "mirror_share", "r2_size"):
        assert (found[f"{name}_low"] <= found[f"{name}_high"]).all()


def test_the_factor_inverted_is_read_as_well_and_turns_the_matrices() -> None:
    data = some()
    first, second = (
        factors.analyse(one, mirror=1, **ASKED) for one in (data, data.assign_coords(aspect=1 / data.aspect))
    )
    for name in ("r2", "r2_size", "same_share", "mirror_share"):
        xr.testing.assert_allclose(first[name], second[name], rtol=1e-6)
    turned = second["nearest"].values[..., ::-1, ::-1]
    np.testing.assert_allclose(first["nearest"], turned)


def test_labels_that_are_texts_of_numbers_are_the_same_factor() -> None:
    data = some()
    numbers, texts = (factors.analyse(data, factor=name, resamples=100) for name in ("aspect", "label"))
    xr.testing.assert_allclose(summary(numbers), summary(texts))


@pytest.mark.parametrize(("scale", "mirror", "values"), [("log", 3, (1, 3, 9)), ("linear", 5, (2, 5, 8))])
def test_values_are_mirrored_about_the_mirror_on_the_scale(scale: str, mirror: float, values: tuple) -> None:
    each = repeated(60, values)
    # Only how far a value is from the middle is told.
    data = planted((each == values[1])[:, None] * 10 + noise(4, 60, 3), each)
    found = factors.analyse(data, mirror=mirror, scale=scale, **ASKED)
    assert (found["r2_size_low"] > 0.8).all()
    assert found["mirror_chance"].item() == pytest.approx(20 / 59)
    assert found["mirrored"].isnull().sum().item() == 20
    for other in (mirror + 0.1, values[0]):
        with pytest.raises(InputError, match="mirror image of another"):
            factors.analyse(data, mirror=other, scale=scale, **ASKED)


def test_without_a_mirror_nothing_is_said_of_mirror_images() -> None:
    found = factors.analyse(some(), **ASKED)
    assert not [name for name in found if "mirror" in str(name) or "size" in str(name)]


def test_phi_that_is_the_same_for_all_images_reads_nothing_and_has_no_centred_matrix() -> None:
    found = factors.analyse(planted(np.ones((40, 3)), repeated(40)), resamples=100)
    assert abs(found["r2"].item()) < 1e-12
    assert found["centred_correlation"].isnull().all()
    assert found["correlation"].isnull().all()


def test_a_comparison_with_itself_is_zero_and_turned_round_it_is_the_negative() -> None:
    first, second = (factors.analyse(some(seed), mirror=1, **ASKED) for seed in (0, 1))
    itself, there, back = (factors.compare(*pair) for pair in ((first, first), (first, second), (second, first)))
    for name in ("r2", "same_share", "r2_size", "mirror_share"):
        for end in ("", "_low", "_high"):
            # Both are of the same resamples: nothing is left to vary.
            np.testing.assert_array_equal(np.diagonal(itself[name + end].values, axis1=1, axis2=2), 0)
        np.testing.assert_allclose(there[name], -back[name].values.swapaxes(1, 2), atol=1e-12)
        np.testing.assert_allclose(there[f"{name}_low"], -back[f"{name}_high"].values.swapaxes(1, 2), atol=1e-9)


def test_the_control_of_one_noise_level_stands_beside_all() -> None:
    found, flat = factors.analyse(some(), **ASKED), factors.analyse(some(3).isel(sigma=[0]), **ASKED)
    assert dict(factors.compare(found, flat).sizes) == {"sigma": 2, "block": 2, "other_block": 2}


# Networks


@pytest.fixture(scope="module")
def oval_phi() -> tuple[xr.Dataset, probekit.images.ImageSet, probekit.Denoiser]:
    truth = ovals.draw_settings(60, size=32, seed=0, count=4, aspect=np.resize(ovals.ASPECTS, 60))
    images, denoiser = ovals.image_set(truth, size=32, bands=3), probekit.load("photo32")
    data = probekit.tap(denoiser, ["enc2", "mid"])(images, sigma=0.1, draws=1)
    return data, images, denoiser


def test_controls_are_of_the_same_images_taps_noise_and_factor(oval_phi) -> None:
    data, images, denoiser = oval_phi
    made = factors.controls(denoiser, data, images)
    assert tuple(made) == factors.CONTROLS
    for name, control in made.items():
        assert control["image"].values.tolist() == data["image"].values.tolist()
        assert control["label"].values.tolist() == data["label"].values.tolist()
        if name.startswith("untrained"):
            xr.testing.assert_equal(control["tap"], data["tap"])
            assert control.attrs["seed"] == data.attrs["seed"]
            # The weights are others, and φ with them.
            assert not np.allclose(control["phi"], data["phi"])
    turned = data.isel(image=slice(None, None, -1))
    again = factors.controls(denoiser, turned, images)
    np.testing.assert_allclose(again["gist"]["phi"], made["gist"]["phi"].sel(image=turned["image"]), rtol=1e-5)


def test_the_aspect_of_ovals_is_read_by_gist_as_orientations_tell_it(oval_phi) -> None:
    data, images, denoiser = oval_phi
    gist = factors.controls(denoiser, data, images)["gist"]
    found = factors.analyse(gist, mirror=1, resamples=100)
    # Aspect is the share of horizontal and vertical edges, which is what gist measures.
    assert found["r2_low"].item() > 0
    assert factors.analyse(data, mirror=1, resamples=100)["r2_high"].max() > 0


@pytest.mark.parametrize(
    ("factor", "scale"),
    [("count", "log"), ("area", "log"), ("position_row", "linear"), ("aspect", "linear"), ("brightness", "linear")],
)
def test_trained_and_untrained_networks_are_compared_on_each_numeric_factor_of_shapes(factor: str, scale: str) -> None:
    images, truth = shapes.draw(80, seed=0)
    denoiser = probekit.load("shapes32")
    data = probekit.tap(denoiser, "mid")(probekit.images.load(images), sigma=0.1, draws=1)
    data = data.assign_coords({factor: ("image", truth[factor].values)})
    asked = {"factor": factor, "scale": scale, "resamples": 100, "bins": None if factor == "count" else 8}
    trained = factors.analyse(data, **asked)
    untrained = factors.analyse(factors.controls(denoiser, data, images)["untrained"], **asked)
    found = factors.compare(trained, untrained)
    expected = trained["r2"].item() - untrained["r2"].item()
    assert found["r2"].item() == pytest.approx(expected, abs=1e-12)
    assert found["r2_low"].item() < found["r2_high"].item()
    if factor == "brightness":
        # The mean of the image is a mean of its pixels, which any channel without a bias hands on.
        assert trained["r2_low"].item() > 0
