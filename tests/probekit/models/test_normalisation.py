"""Normalisation without centring follows its formula: divide by a standard deviation, multiply by a gain."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from probekit.models.normalisation import UncentredBatchNorm, UncentredNorm, uncentred_norm

AXES = {"layer": (1, 2, 3), "instance": (2, 3), "batch": (0, 2, 3)}
shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(2, 4))
kinds = pytest.mark.parametrize("kind", ["layer", "instance", "batch"])


def with_gains(kind: str, channels: int, rng: np.random.Generator) -> nn.Module:
    norm = uncentred_norm(kind, channels).double()
    with torch.no_grad():
        norm.gain.copy_(torch.from_numpy(rng.uniform(0.5, 2, channels)))
    return norm


@kinds
@given(shape=shapes, seed=st.integers(0, 1000), offset=st.floats(-10, 10))
def test_output_is_input_times_gain_over_biased_std_plus_epsilon(
    kind: str, shape: tuple[int, ...], seed: int, offset: float
) -> None:
    rng = np.random.default_rng(seed)
    x = offset + rng.standard_normal(shape)
    norm = with_gains(kind, shape[1], rng)
    gain = norm.gain.detach().numpy()[None, :, None, None]
    expected = x * gain / (x.std(axis=AXES[kind], keepdims=True) + 1e-5)
    # float64 std of at most 48 numbers about a mean of at most 10 standard deviations: rounding far below 1e-10.
    np.testing.assert_allclose(norm(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-10)


@kinds
def test_the_mean_stays_in_the_output(kind: str) -> None:
    x = 3 + torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # Mean 3 and unit standard deviation from 384 values: five standard errors of x̄ and of 3·std add to 0.8.
    assert float(uncentred_norm(kind, 3).double()(x).detach().mean()) == pytest.approx(3, abs=0.8)


@kinds
def test_there_is_no_parameter_but_the_gain_which_starts_at_one(kind: str) -> None:
    parameters = dict(uncentred_norm(kind, 5).named_parameters())
    assert list(parameters) == ["gain"]
    assert torch.equal(parameters["gain"], torch.ones(5))


@pytest.mark.parametrize("kind", ["layer", "instance"])
@pytest.mark.parametrize("training", [True, False])
def test_layer_and_instance_normalisation_treat_each_image_alone(kind: str, training: bool) -> None:
    x = torch.randn(4, 3, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    norm = uncentred_norm(kind, 3).double().train(training)
    torch.testing.assert_close(norm(x)[2:3], norm(x[2:3]), rtol=1e-14, atol=0)


def test_running_std_moves_by_the_momentum_towards_each_training_batch() -> None:
    rng = np.random.default_rng(0)
    norm = UncentredBatchNorm(3, momentum=0.25).double()
    expected = np.ones(3)
    for _ in range(4):
        x = rng.standard_normal((2, 3, 4, 5)) * rng.uniform(1, 5, (1, 3, 1, 1)) + 7
        norm(torch.from_numpy(x))
        expected = 0.75 * expected + 0.25 * x.std(axis=(0, 2, 3))
        np.testing.assert_allclose(norm.running_std.numpy(), expected, rtol=1e-12)


def test_batch_normalisation_moves_its_running_std_by_a_tenth_by_default() -> None:
    norm = UncentredBatchNorm(1).double()
    norm(torch.tensor([-4.0, 4.0], dtype=torch.float64).view(2, 1, 1, 1))
    assert float(norm.running_std) == pytest.approx(0.9 + 0.1 * 4, rel=1e-14)


@given(seed=st.integers(0, 1000))
def test_batch_normalisation_divides_by_the_running_std_in_evaluation_and_leaves_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    norm = with_gains("batch", 3, rng)
    running = rng.uniform(0.1, 4, 3)
    norm.running_std.copy_(torch.from_numpy(running))
    x = rng.standard_normal((2, 3, 4, 4)) + 2
    y = norm.eval()(torch.from_numpy(x)).detach().numpy()
    scale = (norm.gain.detach().numpy() / (running + 1e-5))[None, :, None, None]
    np.testing.assert_allclose(y, x * scale, rtol=1e-14)
    assert np.array_equal(norm.running_std.numpy(), running)


def test_the_running_std_is_saved_with_the_weights_and_takes_no_gradient() -> None:
    norm = UncentredBatchNorm(2)
    norm(torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert set(norm.state_dict()) == {"gain", "running_std"}
    assert not norm.running_std.requires_grad


@kinds
def test_a_constant_map_gives_finite_values_and_gradients(kind: str) -> None:
    norm = uncentred_norm(kind, 2)
    x = torch.zeros(2, 2, 4, 4, requires_grad=True)
    y = norm(x)
    (y**2 + y).sum().backward()
    assert torch.equal(y, torch.zeros_like(y))
    assert bool(torch.isfinite(x.grad).all())


def test_the_kinds_are_per_sample_and_per_batch_normalisation() -> None:
    layer, instance, batch = (uncentred_norm(kind, 2) for kind in ("layer", "instance", "batch"))
    assert isinstance(layer, UncentredNorm)
    assert layer.dims == (1, 2, 3)
    assert isinstance(instance, UncentredNorm)
    assert instance.dims == (2, 3)
    assert isinstance(batch, UncentredBatchNorm)
