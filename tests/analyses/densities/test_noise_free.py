"""Distances in φ with noise taken off, where the order of pairs is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import densities
from probekit.errors import InputError
from probekit.machine import netcdf

CONDITIONS, CHANNELS, DRAWS = 40, 20_000, 8
QUICK: dict[str, Any] = {"resamples": 200, "permutations": 199}


def measured(true: np.ndarray, sd: np.ndarray, seed: int = 0) -> xr.Dataset:
    """φ and phi_se of draws about true values (condition, channel), noise of each condition of its own sd."""
    noise = np.random.default_rng(seed).normal(size=(DRAWS, *true.shape))
    draws = true + sd[:, None] * noise
    return xr.Dataset(
        {
            "phi": (("image", "channel"), draws.mean(axis=0)),
            "phi_se": (("image", "channel"), draws.std(axis=0, ddof=1) / np.sqrt(DRAWS)),
        },
        coords={"image": [f"image {i:02}" for i in range(len(true))]},
    )


def laws_apart(place: np.ndarray) -> xr.DataArray:
    """Distances between laws of which it is known: |m_i − m_j|, of laws that are one another moved."""
    first, second = np.triu_indices(len(place), 1)
    names = np.array([f"image {i:02}" for i in range(len(place))], object)
    coords = {"first": ("pair", names[first]), "second": ("pair", names[second])}
    return xr.DataArray(np.abs(place[first] - place[second]), coords, "pair")


def loud(seed: int) -> np.ndarray:
    """Noise of φ of squared length 50 or, of half of the conditions at random, a sixteenth of it."""
    per_draw = np.sqrt(50 * DRAWS / CHANNELS)
    return np.random.default_rng(seed).permutation(np.tile([0.25 * per_draw, per_draw], CONDITIONS // 2))


@pytest.mark.parametrize("seed", range(3))
def test_noise_that_differs_between_conditions_hides_a_relation_and_noise_free_distances_show_it(seed: int) -> None:
    place = np.linspace(0, 8, CONDITIONS)
    true = np.random.default_rng(seed).normal(size=(1, CHANNELS)) * place[:, None] / np.sqrt(CHANNELS)
    data = measured(true, loud(seed), seed + 100)
    plain = densities.correlate(laws_apart(place), data, **QUICK)
    free = densities.correlate(laws_apart(place), data, noise_free=True, **QUICK)
    # Squared distances, 0 to 64, are too large by 6, 53 or 100 of pairs of quiet, unlike and loud conditions. Once this
    # is off, their errors have deviations of at most 100·√(2/20000) = 1.0 and 2·8·√(100/20000) = 1.1.
    assert plain.correlation.item() < 0.5
    assert free.correlation.item() > 0.9
    assert free.correlation_low.item() > plain.correlation_high.item()
    assert free.p.item() == 1 / 200


def test_laws_that_follow_the_noise_alone_are_no_relation_once_noise_is_taken_off() -> None:
    found = []
    for seed in range(16):
        # Loud conditions have laws far from all others; φ knows of none of it.
        rng, sd = np.random.default_rng(seed), loud(seed)
        place = np.where(sd == sd.max(), rng.choice([-1, 1], CONDITIONS) * rng.uniform(5, 9, CONDITIONS), 0)
        pairs = laws_apart(place + 0.01 * rng.normal(size=CONDITIONS))
        data = measured(np.zeros((CONDITIONS, CHANNELS)), sd, seed)
        few: dict[str, Any] = {"resamples": 100, "permutations": 100}
        both = [densities.correlate(pairs, data, noise_free=free, **few) for free in (False, True)]
        found.append([one.correlation.item() for one in both])
    plain, free = np.transpose(found)
    assert plain.min() > 0.3
    # The mean of 16 independent correlations is 0 within four standard errors (two-sided p = 0.001, Student).
    assert abs(free.mean()) < 4 * free.std(ddof=1) / 4


def test_noise_free_distances_are_signed_roots_of_unbiased_squares() -> None:
    data = measured(np.zeros((CONDITIONS, CHANNELS)), loud(1), seed=2)
    pairs = laws_apart(np.arange(CONDITIONS, dtype=float))
    found = densities.correlate(pairs, data, noise_free=True, **QUICK).feature_distance.sel(feature="phi").values
    first, second = np.triu_indices(CONDITIONS, 1)
    phi, se = data.phi.values, data.phi_se.values
    square = ((phi[first] - phi[second]) ** 2 - se[first] ** 2 - se[second] ** 2).sum(axis=1)
    np.testing.assert_allclose(np.sign(found) * found**2, square, atol=1e-9)
    assert (found < 0).any()
    assert (found > 0).any()
    # Errors of squares have deviations of at most 100·√(2/20000) = 1; their mean is over 40 conditions.
    assert abs(square.mean()) < 5 / np.sqrt(CONDITIONS)


def test_of_no_noise_nothing_is_taken_off_and_pixels_have_none() -> None:
    place = np.random.default_rng(3).normal(size=CONDITIONS)
    data = measured(place[:, None] * np.ones(CHANNELS), np.zeros(CONDITIONS))
    pixels = data.phi + 0.1
    plain = densities.correlate(laws_apart(place), data, pixels=pixels, **QUICK)
    free = densities.correlate(laws_apart(place), data, pixels=pixels, noise_free=True, **QUICK)
    np.testing.assert_allclose(free.feature_distance, plain.feature_distance, rtol=1e-6)
    assert "noise_free" not in plain.attrs
    assert free.attrs["noise_free"] == "squared standard errors of phi are taken off squared distances"
    alone = densities.correlate(laws_apart(place), data.phi, **QUICK)
    np.testing.assert_array_equal(alone.feature_distance, plain.feature_distance.sel(feature=["phi"]))


def sampled() -> xr.Dataset:
    place = np.linspace(0, 4, 22)
    data = measured(place[:, None] * np.ones(10), np.tile([0.25, 1.0], 11))
    samples = place[:, None, None] + np.random.default_rng(0).normal(size=(22, 5, 3))
    return data.assign(samples=(("image", "sample", "col"), samples))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda data: data.drop_vars("phi_se"),
            "noise_free=True needs phi_se, .* which is not there: measure",
        ),
        (lambda data: data.assign(phi_se=data.phi_se * np.nan), "needs phi_se ≥ 0, and it is NaN, as of one draw"),
        (lambda data: data.assign(phi_se=-data.phi_se), "needs phi_se ≥ 0"),
        (
            lambda data: data.assign(phi_se=data.phi_se.isel(channel=0)),
            "phi_se has sizes .*: give both",
        ),
        (lambda data: data.assign(phi_se=data.phi_se.astype(str)), "needs phi_se ≥ 0"),
    ],
)
def test_noise_that_is_not_known_is_refused_before_laws_are_compared(change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        densities.analyse(change(sampled()), measure="gaussian_wasserstein", noise_free=True)


def test_an_option_that_there_is_not_is_named() -> None:
    with pytest.raises(TypeError, match="no option 'noise_fre': give noise_free"):
        densities.analyse(sampled(), noise_fre=True)  # pyright: ignore[reportCallIssue]
    with pytest.raises(InputError, match="noise_free='yes': give True or False"):
        densities.analyse(sampled(), noise_free="yes")  # pyright: ignore[reportArgumentType]


def test_the_command_takes_noise_off(tmp_path: Path) -> None:
    netcdf.write(sampled(), tmp_path / "samples.nc")
    options = ["--measure", "gaussian_wasserstein", "--permutations", "100", "--resamples", "100"]
    assert densities.main([str(tmp_path / "samples.nc"), "-o", str(tmp_path / "out"), "--noise-free", *options]) == 0
    found = netcdf.read(tmp_path / "out" / "densities.nc", "")
    expected = densities.analyse(
        sampled(), measure="gaussian_wasserstein", noise_free=True, permutations=100, resamples=100
    )
    np.testing.assert_allclose(found.feature_distance, expected.feature_distance)
    assert found.attrs["noise_free"] == expected.attrs["noise_free"]
