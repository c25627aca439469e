"""The weights' hash names exactly what a state dict holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from probekit.machine.weights import WeightsHash, weights_sha256

LAYERS = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
STATE = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor(1.5), "c": torch.zeros(0), "d": torch.tensor([1, 2])}


def test_the_weights_hash_does_not_depend_on_order_layout_or_gradients() -> None:
    expected = weights_sha256(STATE)
    assert weights_sha256(dict(reversed(STATE.items()))) == expected
    assert weights_sha256(STATE | {"b": STATE["b"].t().contiguous().t()}) == expected
    assert weights_sha256(STATE | {"b": nn.Parameter(STATE["b"].clone())}) == expected
    image = torch.rand(2, 3, 4, 4)
    last = image.to(memory_format=torch.channels_last)
    assert weights_sha256({"w": last}) == weights_sha256({"w": image})


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {("bb" if k == "b" else k): v for k, v in s.items()},
        lambda s: s | {"b": s["a"], "a": s["b"]},
        lambda s: s | {"b": s["b"].view(3, 2)},
        lambda s: s | {"b": s["b"].view(torch.int32)},
        lambda s: s | {"b": s["b"].double()},
        lambda s: s | {"a": torch.nextafter(s["a"], torch.tensor(2.0))},
        lambda s: s | {"a": s["a"].view(1)},
        lambda s: s | {"c": torch.zeros(0, 3)},
        lambda s: s | {"e": torch.zeros(0)},
        lambda s: {k: v for k, v in s.items() if k != "c"},
        lambda s: s | {"d": torch.tensor([2, 1])},
    ],
    ids=[
        "name",
        "names swapped",
        "shape",
        "dtype of the same bytes",
        "dtype",
        "one bit",
        "rank",
        "empty shape",
        "more",
        "fewer",
        "values swapped",
    ],
)
def test_the_weights_hash_changes_with_any_name_dtype_shape_or_byte(change: Callable[[dict], dict]) -> None:
    assert weights_sha256(change(STATE)) != weights_sha256(STATE)


@given(st.sampled_from(sorted(LAYERS.state_dict())), st.integers(0, 10**6))
def test_the_weights_hash_changes_with_every_single_weight(name: str, position: int) -> None:
    state = {k: v.clone() for k, v in LAYERS.state_dict().items()}
    before = weights_sha256(state)
    flat = state[name].view(-1)
    flat[position % len(flat)] += 1
    assert weights_sha256(state) != before


def test_negative_and_positive_zero_are_different_weights() -> None:
    assert weights_sha256({"a": torch.tensor(0.0)}) != weights_sha256({"a": torch.tensor(-0.0)})


def test_a_networks_hash_is_that_of_its_state_dict_and_follows_every_change() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    of = WeightsHash(network)
    assert of() == of() == weights_sha256(network.state_dict())
    seen = {of()}
    with torch.no_grad():
        network[0].weight[0, 0, 0, 0] += 1
        seen.add(of())
        network[0].weight.data.mul_(2)
        seen.add(of())
        network[1](torch.rand(2, 3, 4, 4))
        seen.add(of())
    network.load_state_dict({k: v + 1 for k, v in network.state_dict().items()})
    seen.add(of())
    assert len(seen) == 5
    assert of() == weights_sha256(network.state_dict())


def test_weights_made_in_inference_mode_have_a_hash() -> None:
    with torch.inference_mode():
        network = nn.Conv2d(2, 3, 3)
    assert WeightsHash(network)() == weights_sha256(network.state_dict())


@pytest.mark.parametrize("in_place", [False, True])
def test_a_networks_hash_follows_weights_that_only_change_places(in_place: bool) -> None:
    network = nn.Conv2d(2, 3, 3)
    of = WeightsHash(network)
    before = of()
    turned = network.weight.data.flip(0)
    if in_place:
        network.weight.data.copy_(turned)
    else:
        network.weight.data = turned
    assert of() == weights_sha256(network.state_dict()) != before


@pytest.mark.parametrize("part", ["the end of its storage", "every other column"])
def test_a_networks_hash_follows_weights_that_are_part_of_a_storage(part: str) -> None:
    # As numpy writes to it, torch counts no change.
    storage = np.zeros((6, 8), np.float32)
    whole = torch.from_numpy(storage)
    weight = whole[3:] if part == "the end of its storage" else whole[:, 1::2]
    network = nn.Linear(*weight.shape[::-1], bias=False)
    network.weight = nn.Parameter(weight, requires_grad=False)
    assert network.weight.data_ptr() == weight.data_ptr()
    of = WeightsHash(network)
    before = of()
    assert before == weights_sha256({"weight": weight.clone()})
    storage[0, 0] = 1
    assert of() == before
    storage[5, 7] = 1
    assert of() == weights_sha256({"weight": weight.clone()}) != before
