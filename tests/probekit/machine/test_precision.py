"""Layers multiply in the precision asked for, and in no other; what surrounds them stays as it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from probekit.errors import InputError
from probekit.machine.precision import (
    ROUNDING,
    TERMS,
    Arithmetic,
    checked_precision,
    exactly,
    lower_precisions,
    multiplying,
)

F = nn.functional
# What is left of a weight after as many bfloat16 terms.
LEFT = {terms: 2.0 ** (-8 * terms) for terms in (1, 2)}
SINGLE = 2.0**-24


class Once(nn.Module):
    """One layer as a function of (input, weight, bias), called as the test wants it."""

    def __init__(self, function: Any, weight: Tensor, bias: Tensor | None, **options: Any) -> None:
        super().__init__()
        self.function, self.options = function, options
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias, **self.options)


LAYERS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "conv1d": (F.conv1d, (2, 3, 9), (4, 3, 3), {"padding": 1}),
    "conv2d": (F.conv2d, (2, 3, 6, 5), (4, 3, 3, 3), {"padding": "same"}),
    "conv2d, strided": (F.conv2d, (2, 3, 6, 5), (4, 3, 3, 3), {"stride": 2, "dilation": 1}),
    "conv3d": (F.conv3d, (1, 2, 4, 4, 3), (3, 2, 2, 2, 2), {}),
    "conv_transpose2d": (F.conv_transpose2d, (2, 4, 3, 5), (4, 3, 2, 2), {"stride": 2, "output_padding": 1}),
    "linear": (F.linear, (2, 5, 7), (3, 7), {}),
}


@given(
    layer=st.sampled_from(sorted(LAYERS)),
    precision=st.sampled_from(["bfloat16", "bfloat16x2"]),
    biased=st.booleans(),
    last=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_a_layer_is_off_by_no_more_than_the_rounding_of_its_factors_and_of_what_it_gives(
    layer: str, precision: Any, biased: bool, last: bool, seed: int
) -> None:
    function, shape, kernel, options = LAYERS[layer]
    generator = torch.Generator().manual_seed(seed)
    x, weight = (torch.randn(s, generator=generator) for s in (shape, kernel))
    channels = kernel[1] if "transpose" in layer else kernel[0]
    bias = 100 * torch.randn(channels, generator=generator) if biased else None
    if last and x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    network = Once(function, weight, bias, **options)
    arithmetic = Arithmetic(network)
    with torch.no_grad():
        ordinary = network(x)
        exact = function(x.double(), weight.double(), None if bias is None else bias.double(), **options)
        # |x| * |w|: what roundings of factors are relative to.
        size = function(x.double().abs(), weight.double().abs(), None, **options)
        product = function(x.double(), weight.double(), None, **options)
        with arithmetic.computing(precision):
            found = network(x)
    half = ROUNDING[precision]
    products = half + LEFT[TERMS[precision]] + half**2
    # Factors; sums of at most a hundred products in single precision; what comes out, once; and the bias added.
    bound = size * products + size * 100 * SINGLE
    bound = bound + (product.abs() + bound) * half + (exact.abs() + bound) * 2 * SINGLE
    assert arithmetic.layers == 1
    assert found.dtype == torch.float32
    assert ((found - exact).abs() <= bound).all()
    # It comes out as it lay.
    assert found.stride() == ordinary.stride()


@pytest.mark.parametrize(("precision", "least", "most"), [("bfloat16", 1e-3, 1.0), ("bfloat16x2", -1e-4, 1e-4)])
def test_a_second_term_takes_the_bias_of_rounded_weights_away(precision: Any, least: float, most: float) -> None:
    """Weights that are all rounded down make every output too small; what comes out is rounded up and down.

    8,000 outputs, each off by at most 2⁻⁸, evenly: their mean is off by 2⁻⁸ / √(3 · 8000) = 2.5e-5, a quarter of what
    is allowed.
    """
    generator = torch.Generator().manual_seed(0)
    weight = torch.full((1, 16, 3, 3), 1 + 2.0**-9 + 2.0**-16)
    x = torch.rand((500, 16, 6, 6), generator=generator).bfloat16().float()
    network = Once(F.conv2d, weight, None)
    with torch.no_grad(), Arithmetic(network).computing(precision):
        found = network(x).double().mean()
    exact = F.conv2d(x.double(), weight.double()).mean()
    assert least <= 1 - (found / exact).item() <= most


def test_in_float32_nothing_is_rounded_whatever_surrounds_the_block() -> None:
    torch.manual_seed(0)
    # So large that it is multiplied by the library whose precision is set.
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 256, 256))
    x = torch.randn(64, 3, 18, 18)
    before = torch.get_float32_matmul_precision()
    with torch.no_grad():
        plain = network(x)
        try:
            torch.set_float32_matmul_precision("medium")
            with torch.autocast("cpu", torch.bfloat16), Arithmetic(network).computing("float32"):
                found = network(x)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = network(x)
        finally:
            torch.set_float32_matmul_precision(before)
    assert torch.equal(found, plain)
    assert not torch.equal(rounded.float(), plain)


def test_settings_of_torch_are_as_they_were_behind_the_block_and_behind_an_error() -> None:
    network = nn.Conv2d(1, 1, 1)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        for precision in ("float32", "bfloat16"):
            with pytest.raises(ZeroDivisionError), Arithmetic(network).computing(precision):
                raise ZeroDivisionError
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.backends.cudnn.allow_tf32 in (True, False)


def taken() -> tuple[Any, ...]:
    """What torch's settings are, as this version names them."""
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):
        return backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    return tuple(part.fp32_precision for part in (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul))


def test_settings_of_torch_stay_until_the_last_thread_has_left_and_are_then_as_they_were() -> None:
    before = taken()
    with multiplying("ieee"):
        ieee = taken()
    with multiplying("tf32"):
        tf32 = taken()
    assert ieee != tf32
    with ThreadPoolExecutor(1) as other:
        for here, there, after, both in (
            ("ieee", "ieee", ieee, ieee),
            ("tf32", "ieee", ieee, ieee),
            ("ieee", "tf32", tf32, ieee),
        ):
            first, second = multiplying(here), multiplying(there)
            first.__enter__()
            other.submit(second.__enter__).result()
            assert taken() == both
            first.__exit__(None, None, None)
            assert taken() == after
            other.submit(second.__exit__, None, None, None).result()
            assert taken() == before
    with multiplying("ieee"):
        with multiplying("tf32"):
            assert taken() == tf32
        assert taken() == ieee
    assert taken() == before


@pytest.mark.parametrize("change", ["in place", "of a copy"])
def test_a_weight_that_changes_is_split_anew(change: str) -> None:
    network = nn.Conv2d(1, 1, 1, bias=False)
    x = torch.ones(1, 1, 2, 2)
    with torch.no_grad(), Arithmetic(network).computing("bfloat16"):
        network.weight.fill_(2.0)
        assert network(x).mean() == 2
        if change == "in place":
            network.weight.fill_(3.0)
        else:
            network.weight = nn.Parameter(torch.full((1, 1, 1, 1), 3.0))
        assert network(x).mean() == 3


def test_a_weight_that_is_made_in_each_pass_is_split_in_each() -> None:
    network = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(network.weight)
    torch.nn.utils.parametrizations.weight_norm(network)
    gain, x = network.parametrizations.weight.original0, torch.ones(1, 1, 2, 2)
    with torch.no_grad(), Arithmetic(network).computing("bfloat16"):
        for value in (1.0, 2.0, 4.0):
            gain.fill_(value)
            assert network(x).mean() == value


def test_groups_other_types_and_single_images_are_computed_as_they_are() -> None:
    torch.manual_seed(0)
    cases = [
        (nn.Conv2d(4, 4, 3, groups=4), torch.randn(2, 4, 5, 5)),
        (nn.Conv2d(4, 4, 3), torch.randn(4, 5, 5)),
        (nn.Conv2d(4, 4, 3).double(), torch.randn(2, 4, 5, 5).double()),
        (nn.Conv2d(4, 4, 3).bfloat16(), torch.randn(2, 4, 5, 5).bfloat16()),
    ]
    for network, x in cases:
        arithmetic = Arithmetic(network)
        with torch.no_grad():
            plain = network(x)
            with arithmetic.computing("bfloat16"):
                assert torch.equal(network(x), plain)
        assert arithmetic.layers == 0


def test_what_is_no_part_of_the_network_multiplies_as_it_is_written() -> None:
    network = nn.Conv2d(1, 1, 1)
    x, kernel = torch.randn(2, 1, 5, 5), torch.randn(1, 1, 3, 3)
    with torch.no_grad(), Arithmetic(network).computing("bfloat16"):
        with exactly():
            assert torch.equal(F.conv2d(x, kernel), F.conv2d(x.clone(), kernel))
            inside = F.conv2d(x, kernel)
        outside = F.conv2d(x, kernel)
    assert torch.equal(inside, F.conv2d(x, kernel))
    assert not torch.equal(outside, inside)


@pytest.mark.parametrize("precision", ["bfloat16", "bfloat16x2"])
def test_gradients_reach_the_input(precision: Any) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 3, 3))
    y = torch.randn(2, 2, 8, 8, requires_grad=True)
    exact = torch.autograd.grad(network(y).square().sum(), y)[0]
    with Arithmetic(network).computing(precision):
        found = torch.autograd.grad(network(y).square().sum(), y)[0]
    assert found.dtype == torch.float32
    # Two layers and their gradients, of each of which factors and what comes out are rounded.
    assert (found - exact).norm() / exact.norm() < 4 * 3 * 2.0**-8


def test_switching_keeps_to_what_was_said_last() -> None:
    network = Once(F.linear, torch.full((1, 1), 1 + 2.0**-10), None)
    x = torch.ones(1, 1)
    with torch.no_grad(), Arithmetic(network).switching() as switch:
        values = []
        for precision in ("float32", "bfloat16", "bfloat16", "float32"):
            switch(precision)
            values.append(network(x).item())
    assert values == [1 + 2.0**-10, 1.0, 1.0, 1 + 2.0**-10]
    assert network(x).item() == 1 + 2.0**-10


def test_what_a_network_may_multiply_in_follows_from_its_type_and_device() -> None:
    assert lower_precisions(nn.Conv2d(1, 1, 1)) == ("bfloat16", "bfloat16x2")
    assert lower_precisions(nn.Conv2d(1, 1, 1).double()) == ()
    assert checked_precision("float32", nn.Conv2d(1, 1, 1).double()) == "float32"
    assert checked_precision(np.str_("bfloat16"), nn.Conv2d(1, 1, 1)) == "bfloat16"


@pytest.mark.parametrize(
    ("value", "network", "told"),
    [
        ("bf16", nn.Conv2d(1, 1, 1), "give one of auto, float32, tf32, bfloat16x2, bfloat16"),
        (None, nn.Conv2d(1, 1, 1), "precision=None"),
        (16, nn.Conv2d(1, 1, 1), "precision=16"),
        (["bfloat16"], nn.Conv2d(1, 1, 1), "give one of"),
        ("tf32", nn.Conv2d(1, 1, 1), "needs an NVIDIA GPU"),
        ("bfloat16", nn.Conv2d(1, 1, 1).double(), "torch.float64, in which it computes"),
        ("tf32", nn.Conv2d(1, 1, 1).bfloat16(), "torch.bfloat16, in which it computes"),
    ],
)
def test_a_precision_that_is_not_to_be_had_is_refused_with_what_is(value: Any, network: nn.Module, told: str) -> None:
    with pytest.raises(InputError, match="precision=") as error:
        checked_precision(value, network)
    assert told in str(error.value)
