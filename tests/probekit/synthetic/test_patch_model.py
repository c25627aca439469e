"""The patch model's edges: what it refuses, noise-free images, types, labels, and how it sits in the package."""

import copy
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import find

import probekit
from probekit.errors import InputError
from probekit.synthetic.patch_laws import EnergyLaw, SplitLaw, coefficient_law
from probekit.synthetic.patch_model import PatchModel
from probekit.synthetic.patch_strategies import patch_models

WEIGHTS, VARIANCES = [0.4, 0.6], [[0.2, 0.05, 0, 0], [0.2, 0.1, 0.1, 0]]


@pytest.fixture
def model() -> PatchModel:
    return PatchModel(WEIGHTS, VARIANCES).double()


def pooled() -> PatchModel:
    return PatchModel(WEIGHTS, VARIANCES, pool=[[0, 3], [1, 2]]).double()


@pytest.mark.parametrize(
    ("weights", "variances", "pool", "message"),
    [
        ([0.5, 0.6], VARIANCES, None, "weights=[0.5, 0.6]: give a list of priors > 0, one per class, that sum to 1"),
        ([0.0, 1.0], VARIANCES, None, "priors > 0"),
        (0.5, VARIANCES, None, "weights=0.5"),
        ([1.0], VARIANCES, None, "variances has shape (2, 4) with 1 weights"),
        (WEIGHTS, [[1.0, 0, 0]] * 2, None, "one column per DCT component of a p×p patch"),
        (WEIGHTS, [[0.2, -0.1, 0, 0]] * 2, None, "variances holds [-0.1, -0.1]"),
        (WEIGHTS, [[0.2, np.inf, 0, 0]] * 2, None, "finite numbers ≥ 0"),
        (WEIGHTS, [[0.2, 0, 0, 0], [0.0, 0, 0, 0]], None, "classes [1] have none above 0"),
        (WEIGHTS, VARIANCES, [[0, 1], [2]], "pool=[[0, 1], [2]]: give groups of component indices"),
        (WEIGHTS, VARIANCES, [[0, 1], [1, 2, 3]], "each of 0…3 is once"),
        (WEIGHTS, VARIANCES, [[0, 1, 2, 3], []], "none empty"),
    ],
)
def test_what_describes_no_mixture_is_refused(weights: Any, variances: Any, pool: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        PatchModel(weights, variances, pool=pool)


@pytest.mark.parametrize("method", ["__call__", "phi", "phi_variance", "posterior", "posterior_variance"])
@pytest.mark.parametrize(
    ("y", "sigma", "message"),
    [
        (torch.zeros(1, 1, 4, 5), 0.1, "4×5 cannot be cut into 2×2 patches: height and width must be positive multip"),
        (torch.zeros(1, 3, 4, 4), 0.1, "one band, (N, 1, H, W)"),
        (torch.zeros(1, 4, 4), 0.1, "give a batch (N, C, H, W)"),
        (torch.zeros(1, 1, 4, 4).float(), 0.1, "y is torch.float32"),
        (torch.zeros(1, 1, 4, 4), None, "pass sigma"),
        (torch.zeros(1, 1, 4, 4), -0.1, "sigma=-0.1"),
        (torch.zeros(1, 1, 4, 4), torch.tensor([0.1, 0.2]), "for a batch of 1"),
    ],
)
def test_batches_and_levels_that_cannot_be_used_are_refused(
    model: PatchModel, method: str, y: torch.Tensor, sigma: Any, message: str
) -> None:
    y = y if "float32" in message else y.double()
    with pytest.raises(InputError, match=re.escape(message)):
        getattr(model, method)(y, sigma)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phi": [0.2, 0.1, 0.1]}, "phi has shape (3,): give (4,) or (image, 4)"),
        ({"phi": np.zeros((1, 2, 4))}, "select one noise level, data.phi.sel(sigma=0)"),
        ({"phi": np.zeros((0, 4))}, "phi has shape (0, 4)"),
        ({"phi": [0.2, -0.1, 0, 0]}, "negative or not finite"),
        ({"phi": [0.2, np.nan, 0, 0]}, "negative or not finite"),
        ({"phi": [0.2, 0, 0, 0]}, "phi[0] has energy in channels [0], which is impossible"),
        ({"phi": [[0.2, 0.1, 0, 0], [0.2, 0.1, 0, 0.1]]}, "phi[1] has energy in channels [0, 1, 3]"),
        ({"phi": [0.0, 0, 0, 0]}, "images of the classes have energy in exactly [[0, 1], [0, 1, 2]]"),
        ({"n": 0}, "n=0: give a whole number ≥ 1"),
        ({"rows": 5}, "5×4 cannot be cut into 2×2 patches"),
        ({"cols": 0}, "4×0 cannot be cut"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(model: PatchModel, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        model.conditional(**({"phi": [0.2, 0.1, 0, 0], "n": 1, "rows": 4, "cols": 4, "seed": 0} | change))


def test_laws_refuse_what_they_are_not_of(model: PatchModel) -> None:
    with pytest.raises(InputError, match=r"variances=\[0.1, 0.0\]: give a list of finite variances > 0"):
        EnergyLaw([0.1, 0.0], positions=4)
    with pytest.raises(InputError, match=r"differ too much for 4096 positions .* pool more similar"):
        EnergyLaw([1.0, 1e-6], positions=4096).log_density(1.0)
    with pytest.raises(InputError, match="at least two variances"):
        SplitLaw([0.1], phi=0.1, positions=4)
    with pytest.raises(InputError, match=r"phi=-1\.0"):
        SplitLaw([0.1, 0.2], phi=-1.0, positions=4)
    with pytest.raises(InputError, match="positions=1"):
        coefficient_law(0.1, positions=1)
    with pytest.raises(InputError, match="n=0"):
        model.draw(0, rows=4, cols=4, seed=0)
    with pytest.raises(InputError, match="3×4 cannot be cut"):
        model.draw(1, rows=3, cols=4, seed=0)
    with pytest.raises(InputError, match="finite noise standard deviation > 0"):
        model.wiener_error(0.0)
    with pytest.raises(InputError, match="the density needs sigma > 0"):
        model.log_density(torch.zeros(1, 1, 2, 2).double(), 0.0)


def test_without_noise_any_image_is_known_but_only_the_models_have_a_class(model: PatchModel) -> None:
    foreign = torch.rand(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.equal(model(foreign, 0.0), foreign)
    (gradient,) = torch.autograd.grad(model(foreign, 0.0).sum(), foreign)
    assert torch.equal(gradient, torch.ones_like(gradient))
    assert torch.equal(model.posterior_variance(foreign, 0.0), torch.zeros(2).double())
    with pytest.raises(InputError, match=r"image 0 has energy in components \[0, 1, 2, 3\]"):
        model.posterior(foreign, 0.0)
    images, truth = model.draw(20, rows=4, cols=4, seed=0)
    for kind in (model, model.float()):
        x = torch.from_numpy(images.values).to(kind.analysis.weight.dtype)
        np.testing.assert_array_equal(kind.posterior(x, 0.0).argmax(dim=1), truth.subspace)
    levels = torch.tensor([0.0] * 10 + [0.1] * 10)
    torch.testing.assert_close(model.posterior(x, levels)[10:], model.posterior(x[10:], 0.1))


@pytest.mark.parametrize("sigma", [1e-30, 1e-12, 1e-5, 1e3])
def test_extreme_noise_levels_give_finite_estimates_and_gradients(sigma: float) -> None:
    model = PatchModel(WEIGHTS, VARIANCES)
    y = torch.from_numpy(model.draw(3, rows=8, cols=8, seed=0).images.values).requires_grad_()
    clean = model(y, sigma)
    (gradient,) = torch.autograd.grad(clean.square().sum(), y)
    assert torch.isfinite(clean).all()
    assert torch.isfinite(gradient).all()


def test_constants_are_exact_in_whatever_type_the_model_comes_to_be() -> None:
    straight = pooled()
    there_and_back = pooled().float().half().double()
    for name, value in straight.state_dict().items():
        assert torch.equal(there_and_back.state_dict()[name], value), name
    y = torch.rand(2, 1, 4, 4)
    assert straight.float()(y, 0.2).dtype == torch.float32
    torch.testing.assert_close(straight(y, 0.2).double(), pooled()(y.double(), 0.2), rtol=1e-4, atol=1e-5)
    assert straight.draw(1, rows=2, cols=2, seed=0).images.dtype == np.float32


def test_making_a_model_draws_nothing_from_the_global_generator_and_nothing_is_trainable() -> None:
    before = torch.get_rng_state()
    model = pooled()
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    twin = copy.deepcopy(model)
    y = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    assert torch.equal(twin(y, 0.1), model(y, 0.1))


def test_a_tap_finds_mid_and_reads_what_was_drawn(model: PatchModel) -> None:
    for kind, path in ((model, "square"), (pooled(), "pooling")):
        images, truth = kind.draw(4, rows=8, cols=12, seed=1)
        with warnings.catch_warnings(action="error"):
            tap = probekit.tap(kind, "mid")
            data = tap(images, sigma=[0.0], draws=1)
        assert tap.paths == {"mid": path}
        assert tap.maps(images, sigma=0.0).sizes["row"] == 4
        assert tap.maps(images, sigma=0.0).sizes["col"] == 6
        # Images are read as float32, which rounds squares by a few times 6e-8.
        np.testing.assert_allclose(data.phi.sel(sigma=0.0), truth.phi, rtol=1e-5, atol=1e-9)
        np.testing.assert_array_equal(data["label"], truth.subspace.astype(str))
        samples, known = kind.conditional(data.phi.sel(sigma=0.0), n=2, rows=8, cols=12, seed=2)
        np.testing.assert_array_equal(samples["image"], images["image"])
        np.testing.assert_allclose(known.phi.isel(sample=0), truth.phi, rtol=1e-5, atol=1e-9)
    table = probekit.taps(model, (1, 8, 8))
    assert table.loc[table.alias == "mid", ["name", "channels", "rows"]].values.tolist() == [["square", 4, 4]]


def test_edits_at_mid_reach_the_image_unless_it_is_pooled(model: PatchModel) -> None:
    y = torch.from_numpy(model.draw(3, rows=8, cols=8, seed=1).images.values)
    for kind, changes in ((model, True), (pooled(), False)):
        plain = kind(y, 0.3)
        with probekit.tap(kind, "mid").scale([1, *([2] if changes else [])], 100.0):
            assert torch.equal(kind(y, 0.3), plain) is not changes


def test_images_and_truth_are_labelled_and_survive_a_file(model: PatchModel, tmp_path: Any) -> None:
    images, truth = model.draw(3, rows=4, cols=6, seed=0)
    assert images.dims == ("image", "band", "row", "col")
    assert images["image"].values.tolist() == ["0", "1", "2"]
    assert truth.energy.dims == ("image", "component")
    assert truth.support.dims == ("subspace", "channel")
    np.testing.assert_array_equal(truth.variance, VARIANCES)
    np.testing.assert_array_equal(truth.support, np.array(VARIANCES) > 0)
    np.testing.assert_array_equal(pooled().draw(1, rows=2, cols=2, seed=0).truth.pool, [0, 1, 1, 0])
    for name, data in (("images", images.to_dataset()), ("truth", truth)):
        data.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        with xr.open_dataset(tmp_path / f"{name}.nc", engine="h5netcdf") as read:
            xr.testing.assert_identical(read.load(), data)
    samples, known = model.conditional(truth.phi.rename(image="image"), n=2, rows=4, cols=6, seed=0)
    assert samples.dims == ("image", "sample", "band", "row", "col")
    assert known.energy.dims == ("image", "sample", "component")


def test_phi_given_as_one_condition_or_with_dims_in_another_order_is_understood(model: PatchModel) -> None:
    _, truth = model.draw(3, rows=4, cols=4, seed=0)
    size = {"n": 2, "rows": 4, "cols": 4, "seed": 1}
    straight = model.conditional(truth.phi, **size).images
    xr.testing.assert_identical(model.conditional(truth.phi.transpose("channel", "image"), **size).images, straight)
    one = model.conditional(truth.phi.values[0], **size).images
    assert one.sizes["image"] == 1
    assert model.conditional(truth.phi.isel(image=2), **size).images["image"].values.tolist() == ["2"]


def test_energies_and_phi_are_not_changed_by_what_is_made_of_them(model: PatchModel) -> None:
    phi = np.array([[0.2, 0.1, 1e-20, 0.0]])
    before = phi.copy()
    samples, truth = model.conditional(phi, n=1, rows=4, cols=4, seed=0)
    np.testing.assert_array_equal(phi, before)
    assert truth.energy.values[0, 0, 2] == 0
    assert samples.sizes["sample"] == 1


def test_failing_models_shrink_to_one_class_of_one_component_without_a_pool() -> None:
    smallest = find(patch_models(), lambda _: True)
    assert (smallest.patch, len(smallest.mixture.weights)) == (2, 1)
    assert (smallest.mixture.variances > 0).sum() == 1
    assert smallest.tap_aliases == {"mid": "square"}
    assert find(patch_models(pools=True), lambda _: True).mixture.pool == ((0, 1, 2, 3),)
