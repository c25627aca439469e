"""Shares of groups of samples, and the warning where they are not those of p(x | φ)."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import probekit
from analyses import sampling
from probekit.errors import InputError
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.sampling.making import LEVELS, drawn, made, patches

POSITIONS = 64
SIDE = 16


def two_classes(variances: list[list[float]], prior: list[float], phi: float, n: int, **options: Any) -> Any:
    """Samples of a pooled energy, their classes, and the exact shares of these."""
    model = PatchModel(prior, [[*v, 0, 0] for v in variances], pool=[[0, 1], [2, 3]]).double()
    image = model.conditional([phi, 0], n=1, rows=SIDE, cols=SIDE, seed=1).images.isel(sample=0)
    options = {"sigmas": np.geomspace(1, 0.003, 20), "progress": False, **options}
    samples = sampling.reconstruct(model, probekit.tap(model, "mid"), image, n_samples=n, **options)
    coefficients = model.analysis(torch.as_tensor(samples["samples"].values[0]))
    energy = coefficients.square().mean((2, 3)).numpy()[:, :2]
    likely = [
        np.log(p) - POSITIONS / 2 * (np.log(v) + energy / v).sum(1) for p, v in zip(prior, variances, strict=True)
    ]
    groups = np.array(["first", "second"], dtype=object)[np.argmax(likely, axis=0)][None]
    return samples, groups, model.posterior_given_phi([phi, 0], rows=SIDE, cols=SIDE)[0]


def as_if(losses: np.ndarray) -> xr.Dataset:
    """Samples whose guidance took so much at each level (image, sample, level), the first left out."""
    n_images, n_samples, _ = losses.shape
    first = np.full((n_images, n_samples, 1), 100.0)
    return xr.Dataset(
        {
            "samples": (("image", "sample", "band", "row", "col"), np.zeros((n_images, n_samples, 1, 2, 2))),
            "match": (("image", "sample"), np.zeros((n_images, n_samples))),
            "loss_before": (("image", "sample", "level"), np.concatenate([first, losses], axis=2)),
        },
        {"image": [f"i{k}" for k in range(n_images)]},
        {"method": "langevin"},
    )


def quiet(samples: xr.Dataset, groups: Any = None, **options: Any) -> tuple[xr.Dataset, bool]:
    """The findings, and whether they came with a warning."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if groups is not None:
            samples = samples.assign_coords(kind=(("image", "sample"), np.asarray(groups, dtype=object)))
            options["groups"] = "kind"
        found = sampling.shares(samples, **options)
    assert all("guidance took more work" in str(one.message) for one in told)
    return found, bool(told)


def test_shares_that_are_right_are_not_suspected() -> None:
    samples, groups, exact = two_classes([[0.2, 0.05], [0.05, 0.2]], [0.7, 0.3], 0.25, 200)
    found, warned = quiet(samples, groups, level=0.999)
    assert not warned
    assert (found.bias == "not shown").all()
    assert (found.share_low <= exact).all()
    assert (exact <= found.share_high).all()


@pytest.mark.parametrize(
    ("variances", "phi"),
    [
        ([[0.2, 0.05], [0.12, 0.1]], 0.3),  # exact 0.92, 0.08; the path is there only near its end
        ([[0.2, 0.05], [0.1, 0.1]], 0.28),  # 0.97, 0.03
        ([[0.3, 0.02], [0.1, 0.15]], 0.29),  # 0.57, 0.43
    ],
)
def test_too_many_samples_of_a_class_that_seldom_has_this_phi_are_told(
    variances: list[list[float]], phi: float
) -> None:
    samples, groups, exact = two_classes(variances, [0.5, 0.5], phi, 200)
    found, warned = quiet(samples, groups)
    first = found.isel(image=0).sel(group="first")
    # The first class has too few, by more than four standard errors of 200 draws in the first two cases.
    assert first.share < exact[0]
    assert warned
    assert found.bias.sel(group=["first", "second"]).values.tolist() == [["too few", "too many"]]
    assert first.excess_high < 0


def test_more_levels_and_correctors_help_and_the_rest_is_still_told() -> None:
    _, groups, exact = two_classes([[0.2, 0.05], [0.1, 0.1]], [0.5, 0.5], 0.28, 120)
    fine, better, _ = two_classes(
        [[0.2, 0.05], [0.1, 0.1]], [0.5, 0.5], 0.28, 120, sigmas=np.geomspace(1, 0.003, 60), correctors=6
    )
    shares = [float((one == "first").mean()) for one in (groups, better)]
    assert shares[0] < shares[1] < exact[0]
    assert quiet(fine, better)[0].bias.sel(group="second").item() == "too many"


def test_work_tells_a_likely_phi_from_one_far_in_the_tail() -> None:
    mean = {}
    for phi in (0.25, 1.0):
        samples, _, _ = two_classes([[0.2, 0.05], [0.2, 0.05]], [0.5, 0.5], phi, 40)
        mean[phi] = float(quiet(samples)[0].work.mean()) / 19
    # A likely sum lies within the one variance that guidance leaves anyway; four times the prior's mean is far from
    # where each step leads.
    assert mean[0.25] < 1
    assert mean[1.0] > max(1, 3 * mean[0.25])


def test_false_alarms_are_as_rare_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    alarms = {"persistence": 0, "excess": 0}
    for _ in range(200):
        found, _ = quiet(
            as_if(rng.gamma(2.0, size=(5, 30, 19))), rng.permuted(np.tile(["a", "b", "c"], (5, 10)), axis=1)
        )
        for name in alarms:
            alarms[name] += bool(((found[f"{name}_low"] > 0) | (found[f"{name}_high"] < 0)).any())
    # 200 tries at 0.05: 10, and three standard deviations of 3.1.
    assert max(alarms.values()) <= 19
    # Nor are they so wide that nothing could be told: at least one in 200 has probability 1 − 0.95²⁰⁰.
    assert min(alarms.values()) > 0


@settings(max_examples=20)
@given(st.integers(0, 2**16), st.sampled_from([1.5, 3.0]))
def test_lasting_differences_are_found_and_signed(seed: int, times: float) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.permuted(np.repeat([["dear", "cheap"]], 50, axis=1), axis=1)
    losses = rng.gamma(4.0, size=(1, 100, 19)) * np.where(groups == "dear", times, 1.0)[..., None]
    found, warned = quiet(as_if(losses), groups)
    assert warned
    assert found.bias.sel(group=["dear", "cheap"]).values.tolist() == [["too many", "too few"]]
    assert found.persistence_low > 0
    # Mean work is 4 a level, of 19.
    assert found.excess_low.sel(group="dear") < 76 * (times - 1) < found.excess_high.sel(group="dear")
    np.testing.assert_allclose(found.excess.sum("group"), 0, atol=1e-9)
    np.testing.assert_allclose(found.work, losses.sum(axis=2))


def test_names_and_orders_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    samples = as_if(rng.gamma(2.0, size=(3, 24, 19)))
    groups = rng.choice(["a", "b"], (3, 24))
    found, _ = quiet(samples, groups)
    order = [2, 0, 1]
    turned, _ = quiet(samples.isel(image=order), groups[order])
    xr.testing.assert_allclose(found.isel(image=order), turned)
    across = samples.assign_coords(kind=(("sample", "image"), groups.T.astype(object)))
    for name, values in sampling.shares(across, groups="kind").data_vars.items():
        np.testing.assert_array_equal(found[name], values)
    renamed, _ = quiet(samples, np.where(groups == "a", "z", "y"))
    np.testing.assert_allclose(found.excess.sel(group="a"), renamed.excess.sel(group="z"))
    alone, _ = quiet(samples)
    xr.testing.assert_allclose(
        found[["work", "persistence"]].drop_vars(["group", "kind"], errors="ignore"), alone[["work", "persistence"]]
    )
    assert "share" not in alone


def test_what_cannot_be_told_is_nan() -> None:
    rng = np.random.default_rng(2)
    few, warned = quiet(as_if(rng.gamma(2.0, size=(1, 3, 19))), [["a", "b", "b"]])
    assert np.isnan(few.persistence).all()
    assert np.isnan(few.excess).all()
    assert (few.bias == "not shown").all()
    assert not warned
    short, _ = quiet(as_if(rng.gamma(2.0, size=(1, 30, 7))), [["a"] * 30])
    assert np.isnan(short.persistence).all()
    assert short.share.item() == 1
    assert np.isnan(short.excess).all()
    known, _ = quiet(as_if(rng.gamma(2.0, size=(1, 30, 8))))
    assert np.isfinite(known.persistence).all()
    same, warned = quiet(as_if(np.ones((1, 30, 19))), [["a", "b"] * 15])
    assert not warned
    assert np.isnan(same.persistence).all()


def test_other_samples_and_groups_are_refused() -> None:
    samples = as_if(np.ones((2, 3, 9)))
    for groups in ("kind", "image", ["kind"], 3):
        with pytest.raises(InputError, match="is no coordinate along image and sample of the samples"):
            sampling.shares(samples, groups=groups)
    for missing in ("", None, np.nan):
        with pytest.raises(InputError, match="kind is missing for 2 samples"):
            quiet(samples, [["a", missing, "b"]] * 2)
    for level in (0, 1, "high", None):
        with pytest.raises(InputError, match="level"):
            sampling.shares(samples, level=level)
    model = patches()
    with pytest.raises(InputError, match="method 'algorithm1': give some of 'langevin'"):
        sampling.shares(made(model, drawn(model), method="algorithm1", guidance_steps=2))
    with pytest.raises(InputError, match="loss_before"):
        sampling.shares(samples.drop_vars("loss_before"))
    assert sampling.shares(made(model, drawn(model))).sizes["image"] == len(drawn(model))
    assert len(LEVELS) < 9
