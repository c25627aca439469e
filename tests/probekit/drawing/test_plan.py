"""Which boxes a network is drawn as: names that can be tapped, true sizes and costs, order, and how many."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from networks import state_of
from pictured import NETWORKS, SHAPE, Chain, CommonUNet, Odd, PlainDnCNN, Told, equal_layers, of_diffusers
from torch import Tensor, nn

import probekit
from probekit.drawing.plan import MAX_BOXES, Box, Plan, planned
from probekit.errors import InputError, TapError
from probekit.models.dncnn import DnCNN
from probekit.models.unet import UNet

OPTIONS: list[dict[str, Any]] = [{}, {"depth": 1}, {"depth": 2}, {"depth": 9}, {"max_boxes": 5}, {"max_boxes": 2000}]


@pytest.fixture(scope="module", params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[request.param]()


@pytest.fixture(scope="module")
def taps(network: nn.Module) -> pd.DataFrame:
    """The table of all taps, which every plan of the network is held against."""
    return probekit.taps(network, SHAPE)


@pytest.fixture(scope="module", params=OPTIONS, ids=str)
def plan(network: nn.Module, request: pytest.FixtureRequest) -> Plan:
    return planned(network, SHAPE, **request.param)


def shown(plan: Plan) -> list[Box]:
    return [*plan.boxes, *(frame.box for frame in plan.frames)]


def names(plan: Plan) -> list[str]:
    return [box.taps[0] if box.count == 1 else f"{box.taps[0]} … {box.taps[-1]}" for box in plan.boxes]


def test_names_and_sizes_are_those_of_the_table(taps: pd.DataFrame, plan: Plan) -> None:
    table = taps.set_index("name")
    for box in shown(plan):
        assert [table.alias[path] or path for path in box.paths] == list(box.taps)
        row = table.loc[box.paths[0] if box.count == 1 else box.paths[-1]]
        assert (box.channels, box.rows, box.cols) == (row.channels, row.rows, row.cols)
        assert box.count > 1 or (box.kind, box.calls) == (row.kind, row.calls)


def test_every_name_that_is_drawn_can_be_tapped(network: nn.Module) -> None:
    x = np.zeros((1, *SHAPE), np.float32)
    boxes = shown(planned(network, SHAPE))
    for box in boxes[:: len(boxes) // 12 + 1]:
        for name in {box.taps[0], box.taps[-1]}:
            maps = probekit.tap(network, name).maps(x, sigma=0.0)
            assert box.count > 1 or len(box.taps) > 1 or maps.shape[2:] == (box.channels, box.rows, box.cols)


def test_boxes_are_in_order_of_execution_and_none_is_drawn_twice(taps: pd.DataFrame, plan: Plan) -> None:
    order = taps.name.tolist()
    places = [order.index(path) for box in plan.boxes for path in sorted(box.paths, key=order.index)]
    assert places == sorted(set(places))
    assert [node for node in plan.flow.nodes if isinstance(node, int)] == list(range(len(plan.boxes)))


def test_no_alias_is_lost(taps: pd.DataFrame, plan: Plan) -> None:
    aliases = [alias for alias in taps.alias if alias]
    drawn = [name for box in shown(plan) for name in box.taps]
    assert set(aliases) <= set(drawn)
    assert len(drawn) == len(set(drawn))


def test_of_a_block_of_several_maps_those_that_have_an_alias_are_named() -> None:
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 1)

        def forward(self, y: Tensor) -> tuple[Tensor, ...]:
            h = self.conv(y)
            return h, h[:, :1], h[:, :2]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = Three(), nn.Conv2d(9, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, y: Tensor) -> Tensor:
            return self.c(self.b(torch.cat(self.a(y), dim=1)))

    network = Net()
    assert names(planned(network, SHAPE)) == ["a[0]", "b", "c"]
    network.tap_aliases = {"one": "a[1]", "two": "a[2]"}  # pyright: ignore[reportArgumentType]
    box = planned(network, SHAPE).boxes[0]
    assert (box.taps, box.paths, box.channels) == (("one", "two"), ("a[1]", "a[2]"), 1)
    assert "one, two" in [text.get_text().strip() for text in probekit.draw(network, SHAPE).axes[0].texts]


def test_costs_of_boxes_and_of_what_is_in_none_make_the_whole(taps: pd.DataFrame, plan: Plan) -> None:
    costs = [box.cost for box in plan.boxes]
    counted = not taps.cost.isna().any() and bool(costs)
    assert counted == (not any(map(math.isnan, [*costs, plan.between]))) or not costs
    if counted:
        assert sum(costs) + plan.between == pytest.approx(1)
        assert plan.between >= -1e-12


def test_a_frame_costs_what_is_in_it(network: nn.Module) -> None:
    plan = planned(network, SHAPE, depth=9, max_boxes=2000)
    for frame in plan.frames:
        inside = [plan.boxes[n] for n in plan.flow.nodes[frame.first : frame.last + 1] if isinstance(n, int)]
        assert sum(box.cost for box in inside) <= frame.box.cost + 1e-12 or math.isnan(frame.box.cost)
        assert all(path.startswith(frame.box.paths[0].partition("[")[0] + ".") for b in inside for path in b.paths)


def test_where_all_work_is_in_boxes_costs_add_up_to_those_of_the_table() -> None:
    network = UNet((4, 8, 12))
    table = probekit.taps(network, SHAPE).set_index("name").cost
    plan = planned(network, SHAPE)
    assert plan.between == pytest.approx(0)
    reached = np.cumsum([box.cost for box in plan.boxes])
    np.testing.assert_allclose(reached, [table[box.paths[0]] for box in plan.boxes])


def test_arithmetic_outside_modules_belongs_to_no_box() -> None:
    plan = planned(Odd(), SHAPE)
    pixels = 16 * 24
    # Multiply-adds: in all 3·8 and 8·8 and 16·3 kernels of 9 at each pixel, and 8·8 at one.
    total = pixels * 9 * (24 + 64 + 48) + 64
    assert plan.between == pytest.approx(pixels * 9 * 64 / total)


def test_networks_are_drawn_at_the_level_of_their_blocks() -> None:
    assert names(planned(UNet((4, 8, 12)), SHAPE)) == [
        *("enc1", "pool@0", "enc2", "pool@1", "mid", "up.1", "dec2", "up.0", "decoder.0"),
    ]
    assert names(planned(CommonUNet(), SHAPE)) == ["inc", "down1", "down2", "up1", "up2", "outc"]
    assert names(planned(of_diffusers(), SHAPE)) == [
        "conv_in",
        *(f"down_blocks.{i}[0]" for i in range(3)),
        "mid_block",
        *(f"up_blocks.{i}" for i in range(3)),
        *("conv_norm_out", "conv_act", "conv_out"),
    ]
    assert names(planned(DnCNN(12, 4), SHAPE)) == [f"layer{i + 1}" for i in range(12)]


def test_a_wrapper_around_a_network_is_opened_to_its_blocks() -> None:
    class Wrapped(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, y: Tensor) -> Tensor:
            return self.net(y)

    plan = planned(Wrapped(Wrapped(CommonUNet())), SHAPE)
    assert names(plan) == [f"net.net.{name}" for name in ("inc", "down1", "down2", "up1", "up2", "outc")]
    assert [frame.box.taps for frame in plan.frames] == [("net",), ("net.net",)]


def test_many_layers_become_few_boxes_and_a_pattern_is_folded_as_a_whole() -> None:
    assert names(planned(equal_layers(), SHAPE)) == ["0 … 298", "299"]
    assert names(planned(PlainDnCNN(), SHAPE)) == ["layers.0", "layers.1", "layers.2 … layers.46", "layers.47"]
    folded = planned(PlainDnCNN(), SHAPE).boxes[2]
    assert (folded.count, folded.kind) == (45, "Conv2d, BatchNorm2d, ReLU")
    assert names(planned(DnCNN(60, 4), SHAPE)) == ["layer1 … layer59", "layer60"]


@pytest.mark.parametrize("most", [2, 7, MAX_BOXES])
def test_there_are_no_more_boxes_than_asked_for(most: int) -> None:
    plan = planned(Chain(300), SHAPE, max_boxes=most)
    assert len(plan.boxes) <= most
    assert sum(box.count for box in plan.boxes) == 300
    if most >= 7:
        # Maps of one size stay together.
        assert {(box.rows, box.cols) for box in plan.boxes} == {(16, 24), (8, 12)}
        assert sum(box.count for box in plan.boxes if box.rows == 8) == 100


def test_depth_opens_blocks_level_by_level_and_folds_only_what_repeats() -> None:
    network = UNet((4, 8), encoder_convs=(2,), middle_convs=1, decoder_convs=(2,))
    layers = ["encoder.0.0", "encoder.0.1", "encoder.0.2", "encoder.0.3", "encoder.0.4", "pool"]
    assert names(planned(network, SHAPE, depth=2))[:6] == layers
    assert [frame.box.taps[0] for frame in planned(network, SHAPE, depth=2).frames] == ["enc1", "mid", "decoder.0"]
    assert len(planned(Chain(50), SHAPE, depth=1).boxes) == 50
    assert len(planned(Chain(50), SHAPE).boxes) == MAX_BOXES


def test_expand_opens_one_block_and_those_around_it() -> None:
    plan = planned(CommonUNet(), SHAPE, expand="down1.1.double_conv")
    assert names(plan)[1:8] == ["down1.0", *(f"down1.1.double_conv.{i}" for i in range(6))]
    assert [frame.box.taps[0] for frame in plan.frames] == ["down1", "down1.1", "down1.1.double_conv"]
    both = planned(UNet((4, 8, 12)), SHAPE, expand=["enc1", "mid"])
    assert [frame.box.taps[0] for frame in both.frames] == ["enc1", "mid"]
    # What is asked for is not folded.
    blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(40)))
    assert names(planned(blocks, SHAPE)) == ["0 … 39"]
    assert names(planned(blocks, SHAPE, expand="7")) == ["0 … 6", "7.0", "7.1", "8 … 39"]


def test_what_cannot_be_opened_is_an_error() -> None:
    with pytest.raises(TapError, match=r"nothing within decoder.0.0 makes a map, so there is nothing to open"):
        planned(UNet((4, 8)), SHAPE, expand="decoder.0.0")
    with pytest.raises(TapError, match=r"no tap 'middel': did you mean .*'middle'"):
        planned(UNet((4, 8)), SHAPE, expand=["mid", "middel"])
    network = Told()
    with pytest.raises(TapError, match="embed makes no map"):
        planned(network, SHAPE, expand="embed", label=torch.zeros(1))


def test_conditions_are_passed_on_and_embeddings_are_no_boxes() -> None:
    plan = planned(Told(), SHAPE, label=torch.zeros(1))
    assert names(plan) == ["first", "middle", "last"]
    with pytest.raises(InputError, match="label"):
        planned(probekit.Denoiser(Told(), sigma_to="sigma"), SHAPE)


def test_a_network_is_left_as_it_was_also_where_it_fails() -> None:
    network = UNet((4, 8))
    network.middle.register_forward_hook(lambda *_: None)
    before = state_of(network)
    planned(network, SHAPE)
    assert state_of(network) == before
    with pytest.raises(InputError, match="multiples of 2"):
        planned(network, (3, 9, 8))
    assert state_of(network) == before
    assert planned(network, SHAPE) == planned(network, SHAPE)
