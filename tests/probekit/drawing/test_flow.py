"""What feeds what: known networks, and drawn ones followed by hand."""

from __future__ import annotations

import torch
from hypothesis import given
from networks import Drawn, drawn_networks
from pictured import SHAPE, CommonUNet, Odd, PlainDnCNN, Told, of_diffusers
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from probekit.drawing.plan import Plan, planned
from probekit.models.normalisation import uncentred_norm
from probekit.models.unet import UNet


def lines(plan: Plan) -> set[tuple[str, str]]:
    """Names of what is joined by lines."""

    def name(i: int) -> str:
        node = plan.flow.nodes[i]
        return plan.boxes[node].taps[0] if isinstance(node, int) else node

    return {(name(i), name(j)) for i, j in plan.flow.edges}


def through_joins(plan: Plan) -> set[tuple[str, str]]:
    """Pairs of box, input and output, with operations between them passed through."""
    last = len(plan.flow.nodes) - 1

    def end(i: int) -> bool:
        return isinstance(plan.flow.nodes[i], int) or i in (0, last)

    def users(i: int) -> set[int]:
        found = {j for a, j in plan.flow.edges if a == i}
        return {k for j in found for k in ({j} if end(j) else users(j))}

    def name(i: int) -> str:
        node = plan.flow.nodes[i]
        return plan.boxes[node].paths[0] if isinstance(node, int) else node

    return {(name(i), name(j)) for i in range(last + 1) if end(i) for j in users(i)}


def test_skips_of_the_papers_network_meet_what_comes_up() -> None:
    assert lines(planned(UNet((4, 8, 12)), SHAPE)) == {
        ("input", "enc1"),
        *(("enc1", "pool@0"), ("pool@0", "enc2"), ("enc2", "pool@1"), ("pool@1", "mid"), ("mid", "up.1")),
        *(("up.1", "cat"), ("enc2", "cat"), ("cat", "dec2"), ("dec2", "up.0"), ("up.0", "cat"), ("enc1", "cat")),
        *(("cat", "decoder.0"), ("decoder.0", "output")),
    }


def test_skips_go_straight_into_blocks_that_take_them() -> None:
    found = lines(planned(CommonUNet(), SHAPE))
    assert {("inc", "up2"), ("down1", "up1"), ("inc", "down1"), ("down2", "up1")} <= found
    assert len(found) == 9
    found = lines(planned(of_diffusers(), SHAPE))
    down, up = [f"down_blocks.{i}[0]" for i in range(3)], [f"up_blocks.{i}" for i in range(3)]
    assert {(down[2], up[0]), (down[1], up[0]), (down[1], up[1]), (down[0], up[1]), (down[0], up[2])} <= found
    assert ("conv_in", up[2]) in found
    assert (down[0], up[0]) not in found


def test_a_residual_around_the_network_starts_at_its_input() -> None:
    found = lines(planned(PlainDnCNN(), SHAPE))
    assert {("input", "sub"), ("layers.47", "sub"), ("sub", "output")} <= found


def test_parallel_branches_are_not_joined_to_one_another_and_nothing_is_invented() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.unused = (nn.Conv2d(3, 3, 1) for _ in range(3))

        def forward(self, y: Tensor) -> Tensor:
            a, b = self.left(y), self.right(y)
            self.unused(a)
            return F.relu(a) * b

    assert lines(planned(Branches(), SHAPE)) == {
        *(("input", "left"), ("input", "right"), ("left", "unused"), ("left", "mul"), ("right", "mul")),
        ("mul", "output"),
    }


def test_what_the_noise_level_makes_is_no_line() -> None:
    assert lines(planned(Told(), SHAPE, label=torch.zeros(1))) == {
        *(("input", "first"), ("first", "middle"), ("first", "add"), ("middle", "add"), ("add", "last")),
        ("last", "output"),
    }


def test_tuples_in_place_operations_and_modules_that_do_nothing_are_followed() -> None:
    long, gate = "the_first_stage.a_convolution_with_a_long_name", "gate"
    assert through_joins(planned(Odd(), SHAPE)) == {
        *(("input", long), (long, "the_first_stage.gate"), (long, "act@0"), ("the_first_stage.gate", "act@0")),
        *(("act@0", "act@1"), (long, "act@1"), ("act@1", "place"), ("place", "last"), (long, "last")),
        ("last", "output"),
    }
    assert gate in {box.taps[0] for box in planned(Odd(), SHAPE).boxes}


def test_a_shared_module_does_not_join_its_calls() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # The normalisation makes a view of its gains, which both calls use.
            self.block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), uncentred_norm("layer", 3))

        def forward(self, y: Tensor) -> Tensor:
            return self.block(y) + self.block(-y)

    plan = planned(Shared(), SHAPE, depth=1)
    assert through_joins(plan) == {
        (a, b) for c in (0, 1) for a, b in (("input", f"block@{c}"), (f"block@{c}", "output"))
    }


def test_what_is_written_into_part_of_a_map_is_in_the_map() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1), nn.Conv2d(4, 3, 1)

        def forward(self, y: Tensor) -> Tensor:
            h = self.first(y)
            h[:, 2:] += self.second(y)
            return self.last(h)

    found = through_joins(planned(Written(), SHAPE))
    assert found == {(a, b) for c in ("first", "second") for a, b in (("input", c), (c, "last"))} | {("last", "output")}


def followed(network: Drawn) -> set[tuple[str, str]]:
    """What feeds what in a drawn network, by the meaning of its steps."""
    # A cell is memory: which boxes its value comes from; steps in place change it.
    cells: list[list[str]] = [["input"]]
    values, found = [0], set()
    for position, step in enumerate(network.steps):
        x, other, place = values[-1], values[step.other % len(values)], network.place_of(position)
        read = cells[x] + (cells[other] if step.kind in ("dense", "add") else [])
        if place is not None:
            found |= {(source, place) for source in read}
        made = list(dict.fromkeys(read)) if place is None else [place]
        if step.kind == "relu_" and len(values) > 1:
            cells[x] = made
            values.append(x)
        else:
            cells.append(made)
            values.append(len(cells) - 1)
    return found | {(source, "output") for source in cells[values[-1]]}


@given(drawn_networks())
def test_drawn_networks_are_followed_as_by_hand(drawn: tuple[Drawn, int]) -> None:
    network, _ = drawn
    assert through_joins(planned(network, (3, 4, 4), depth=1, max_boxes=99)) == followed(network)


def test_a_denoisers_own_arithmetic_is_not_the_networks() -> None:
    residual = probekit.Denoiser(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)), predicts="residual")
    assert lines(planned(residual, SHAPE)) == {("input", "0"), ("0", "output")}
