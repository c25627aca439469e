"""Laws of the synthetic unions of subspaces: the data keep the truth that comes with them."""

import io
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probekit import labels
from probekit.errors import InputError
from probekit.synthetic.strategies import subspace_data, subspace_settings
from probekit.synthetic.subspaces import SubspaceData, union_of_subspaces


@given(subspace_data())
def test_the_data_are_what_a_tap_returns(drawn: SubspaceData) -> None:
    labels.check(drawn.data, "phi", "phi_se", "rest", "rest_se")
    assert float(drawn.data.phi.min()) >= 0
    assert float(drawn.data.phi_se.min()) > 0


@given(subspace_data())
def test_the_truth_is_consistent(drawn: SubspaceData) -> None:
    truth = drawn.truth
    mine = truth.support.values[truth.subspace.values]
    active = truth.active.values
    # Specific and common channels are active, nothing else is, and no channel is both.
    np.testing.assert_array_equal(active, mine | truth.common.values)
    assert not (truth.support.values & truth.common.values).any()
    np.testing.assert_array_equal(active, truth.activity.values > 0)
    kinds = truth.type.values
    np.testing.assert_array_equal(kinds == "silent", ~active.any(axis=0))
    np.testing.assert_array_equal(kinds == "common", active.all(axis=0))


@given(subspace_settings())
def test_supports_have_the_size_and_overlap_that_were_asked_for(settings) -> None:
    support = union_of_subspaces(**settings).truth.support.values
    shared = support.astype(int) @ support.T.astype(int)
    assert (np.diag(shared) == settings["support"]).all()
    assert (np.diag(shared, 1) == settings["overlap"]).all()
    # The shares of a support with both its neighbours do not meet, so subspaces further apart share nothing.
    assert not np.triu(shared, 2).any()


@given(subspace_data(coordinate=False))
def test_the_specific_activity_of_an_image_lies_in_its_subspace(drawn: SubspaceData) -> None:
    truth = drawn.truth
    assert float(truth.basis.min()) >= 0
    specific = truth.activity.values * ~truth.common.values
    for k, basis in enumerate(truth.basis.values):
        assert np.linalg.matrix_rank(basis) == int(truth.dimension[k])
        rows = specific[truth.subspace.values == k]
        if len(rows):
            fitted = np.linalg.lstsq(basis.T, rows.T, rcond=None)[0]
            np.testing.assert_allclose(basis.T @ fitted, rows.T, atol=1e-9)


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
def test_errors_have_the_stated_mean_and_standard_deviation(noise: float) -> None:
    data, truth = union_of_subspaces(2000, noise=noise, rest=0.4, sigma=(0.1, 0.3), seed=3)
    z = ((data.phi - 0.4 - truth.activity) / noise).transpose("image", "sigma", "channel").values
    n = z.size
    assert abs(z.mean()) < 5 / math.sqrt(n)
    # The fourth moment of a gamma law of shape k is 3 + 6/k; k is at least (rest/noise)², so the variance of z² is
    # at most 2 + 6 (noise/rest)².
    assert abs((z**2).mean() - 1) < 5 * math.sqrt((2 + 6 * (noise / 0.4) ** 2) / n)
    fresh = np.corrcoef(z[:, 0].ravel(), z[:, 1].ravel())[0, 1]
    assert abs(fresh) < 5 / math.sqrt(n / 2)


def test_standard_errors_are_those_of_the_stated_number_of_draws() -> None:
    data, _ = union_of_subspaces(400, noise=0.2, draws=5, seed=1)
    scaled = (data.phi_se.values.ravel() / 0.2) ** 2 * 4
    assert stats.kstest(scaled, stats.chi2(4).cdf).pvalue > 1e-3


def test_subspaces_take_images_in_proportion_to_their_weights() -> None:
    truth = union_of_subspaces(4000, n_subspaces=3, weights=[1, 2, 5], seed=2).truth
    counts = np.bincount(truth.subspace.values, minlength=3)
    assert stats.chisquare(counts, 4000 * np.array([1, 2, 5]) / 8).pvalue > 1e-3


def test_amplitudes_have_the_documented_laws() -> None:
    _, truth = union_of_subspaces(5000, n_subspaces=1, support=4, common=2, seed=4)
    specific = truth.activity.values[:, truth.support.values[0]].ravel()
    common = truth.activity.values[:, truth.common.values].ravel()
    assert stats.kstest(specific - 0.5, stats.expon(scale=0.5).cdf).pvalue > 1e-3
    assert common.min() >= 0.2
    # The cut at four standard deviations below the mean moves 3e-5 of the law.
    assert stats.kstest(common, stats.norm(1, 0.2).cdf).pvalue > 1e-3


@given(subspace_settings(), st.integers(0, 2**32 - 1))
def test_the_seed_decides_everything(settings, other: int) -> None:
    first, again = (union_of_subspaces(**settings) for _ in range(2))
    xr.testing.assert_identical(first.data, again.data)
    xr.testing.assert_identical(first.truth, again.truth)
    if other != settings["seed"]:
        assert not (union_of_subspaces(**{**settings, "seed": other}).data.phi.values == first.data.phi.values).all()


@given(subspace_data())
def test_data_and_truth_round_trip_through_netcdf(drawn: SubspaceData) -> None:
    for kept in drawn:
        opened = xr.load_dataset(io.BytesIO(kept.to_netcdf(engine="h5netcdf")), engine="h5netcdf")
        xr.testing.assert_equal(opened, kept)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_images": 0}, "n_images=0: give a whole number ≥ 1"),
        ({"support": 4, "dimension": 5}, "dimension=5: a subspace of 4 channels has 1 to 4"),
        ({"support": 4, "overlap": 3}, "overlap=3: neighbouring supports of 4 channels share 0 to 2"),
        ({"noise": -0.1}, "noise=-0.1"),
        ({"noise": float("nan")}, "noise=nan"),
        ({"rest": 0}, "rest=0: give a positive"),
        ({"draws": 1}, "draws=1: give a whole number from 2"),
        ({"weights": [1, 2]}, "give 4 numbers"),
        ({"weights": [0, 0, 0, 0]}, "not all 0"),
        ({"n_channels": 20}, "n_channels=20: these subspaces and common channels need 28"),
        ({"n_images": 2.5}, "n_images=2.5: give a whole number ≥ 1"),
        ({"n_subspaces": -1}, "n_subspaces=-1: give a whole number ≥ 1"),
        ({"seed": -1}, "seed=-1: give a whole number ≥ 0"),
        ({"seed": None}, "seed=None: give a whole number ≥ 0"),
        ({"noise": float("inf")}, "noise=inf"),
        ({"noise": 1e-200}, "noise=1e-200"),
        ({"rest": float("inf")}, "rest=inf"),
        ({"weights": [1, 1, 1, float("inf")]}, "give 4 numbers"),
        ({"sigma": []}, "sigma .*noise standard deviation"),
        ({"sigma": [-1]}, "sigma .*noise standard deviation"),
        ({"sigma": [0.1, 0.1]}, "each once"),
    ],
)
def test_impossible_settings_say_what_is_possible(settings, says: str) -> None:
    with pytest.raises(InputError, match=says):
        union_of_subspaces(**settings)
