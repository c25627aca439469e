"""The picture itself: everything can be read, names can be copied, and boxes stand where they say."""

from __future__ import annotations

import itertools
import re
from io import BytesIO, StringIO
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.transforms import Bbox
from pictured import NETWORKS, SHAPE, CommonUNet, Odd, PlainDnCNN, equal_layers, one_conv, uncounted
from torch import nn

import probekit
from probekit.drawing.lanes import lanes
from probekit.drawing.plan import planned
from probekit.models.dncnn import DnCNN
from probekit.models.unet import UNet

OPTIONS: list[dict[str, Any]] = [{}, {"depth": 3}]


def texts(figure: Figure) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for text in figure.axes[0].texts:
        found.setdefault(text.get_text(), []).append(text)
    return found


def extents(figure: Figure) -> tuple[Bbox, list[tuple[str, Bbox]], list[Bbox]]:
    """Where the whole, each text and each box (but for frames and stacks behind boxes) are, in points."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(72)
    renderer = canvas.get_renderer()
    figure.draw(renderer)
    found = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.axes[0].texts]
    boxes = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch) and p.get_zorder() == 3]
    return figure.bbox, found, [box.get_window_extent(renderer) for box in boxes]


def inside(inner: Bbox, outer: Bbox, slack: float = 0.5) -> bool:
    return (
        inner.x0 >= outer.x0 - slack
        and inner.x1 <= outer.x1 + slack
        and inner.y0 >= outer.y0 - slack
        and inner.y1 <= outer.y1 + slack
    )


def overlapping(extents: list[Bbox]) -> list[tuple[int, int]]:
    x0, y0, x1, y1 = np.array([extent.extents for extent in extents]).T
    apart = (x1[:, None] < x0) | (y1[:, None] < y0)
    return [(i, j) for i, j in np.argwhere(~(apart | apart.T)).tolist() if i < j]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("network", list(NETWORKS))
def test_no_text_is_clipped_or_overlaps_another_and_names_stand_in_their_boxes(
    network: str, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    denoiser = NETWORKS[network]()
    figure = probekit.draw(denoiser, SHAPE, **options)
    whole, said, boxes = extents(figure)
    assert all(inside(extent, whole) for _, extent in said), [t for t, e in said if not inside(e, whole)]
    assert not [(said[i][0], said[j][0]) for i, j in overlapping([extent for _, extent in said])]
    assert not overlapping(boxes)
    plan = planned(denoiser, SHAPE, **options)
    # The network's input and output are boxes too.
    assert len(boxes) == len(plan.boxes) + 2
    for name in {box.taps[0] for box in plan.boxes if box.count == len(box.taps) == 1}:
        at = [extent for text, extent in said if text == name]
        assert any(inside(extent, box) for extent in at for box in boxes), name


@pytest.mark.parametrize("network", ["photo32", "diffusers", "odd", "100 layers"])
def test_names_are_text_in_svg_that_can_be_copied(network: str) -> None:
    torch.manual_seed(0)
    denoiser = NETWORKS[network]()
    before = dict(matplotlib.rcParams)
    figure = probekit.draw(denoiser, SHAPE)
    file = StringIO()
    figure.savefig(file, format="svg")
    assert dict(matplotlib.rcParams) == before
    copied = re.findall(r"<text[^>]*>([^<]*)</text>", file.getvalue())
    for box in planned(denoiser, SHAPE).boxes:
        names = f"{box.taps[0]} … {box.taps[-1]}" if box.count > 1 else ", ".join(box.taps)
        assert names in copied
        assert f"{box.channels} × {box.rows} × {box.cols}" in copied
    assert figure._repr_svg_() == figure._repr_svg_()  # pyright: ignore[reportAttributeAccessIssue]


def test_maps_of_fewer_pixels_stand_further_right() -> None:
    figure = probekit.draw(UNet((4, 8, 12)), SHAPE)
    x = {name: found[0].get_position()[0] for name, found in texts(figure).items()}
    assert x["enc1"] < x["enc2"] < x["mid"]
    assert x["mid"] - x["enc2"] == pytest.approx(x["enc2"] - x["enc1"])
    assert (x["dec2"], x["decoder.0"], x["input"]) == (x["enc2"], x["enc1"], x["enc1"])
    flat = probekit.draw(DnCNN(5, 4), SHAPE)
    assert len({texts(flat)[f"layer{i + 1}"][0].get_position()[0] for i in range(5)}) == 1


def test_boxes_stand_in_order_of_execution_from_the_top() -> None:
    y = [texts(probekit.draw(CommonUNet(), SHAPE))[name][0].get_position()[1] for name in ("inc", "down2", "up1")]
    # The axis runs downwards.
    assert y == sorted(y)


def test_colour_is_cost_and_text_stands_out_from_it() -> None:
    plan = planned(CommonUNet(), SHAPE)
    figure = probekit.draw(CommonUNet(), SHAPE)
    boxes = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch) and p.get_zorder() == 3][1:-1]
    boxes.sort(key=lambda p: p.get_y())
    light = [sum(p.get_facecolor()[:3]) for p in boxes]
    costs = [box.cost for box in plan.boxes]
    assert sorted(range(len(costs)), key=lambda i: -costs[i]) == sorted(range(len(costs)), key=lambda i: light[i])
    for box, patch in zip(plan.boxes, boxes, strict=True):
        ink = matplotlib.colors.to_rgb(texts(figure)[box.taps[0]][0].get_color())
        assert abs(sum(ink) - sum(patch.get_facecolor()[:3])) > 1


def test_what_is_special_is_said() -> None:
    assert "pool@0" in texts(probekit.draw(UNet((4, 8, 12)), SHAPE))
    assert "AvgPool2d, 2 calls" in texts(probekit.draw(UNet((4, 8, 12)), SHAPE))
    assert "299 × Conv2d" in texts(probekit.draw(equal_layers(), SHAPE))
    assert "45 modules: Conv2d, BatchNorm2d, ReLU" in texts(probekit.draw(PlainDnCNN(), SHAPE))
    assert "in none of the boxes" in texts(probekit.draw(Odd(), SHAPE))
    assert "in none of the boxes" not in texts(probekit.draw(CommonUNet(), SHAPE))
    assert "< 0.1 %" in texts(probekit.draw(Odd(), SHAPE))
    assert "100 %" in texts(probekit.draw(one_conv(), SHAPE))
    without = texts(probekit.draw(uncounted(), SHAPE))
    assert len(without["–"]) == 2
    assert "share of the arithmetic" not in without
    bare = texts(probekit.draw(nn.Conv2d(3, 3, 1), SHAPE))
    assert "no submodule makes a map, so there is nothing to tap" in bare


def test_a_name_with_signs_of_mathematics_is_drawn_as_it_is() -> None:
    network = one_conv()
    network.tap_aliases = {"a$b_1$": "0"}  # pyright: ignore[reportAttributeAccessIssue]
    figure = probekit.draw(network, SHAPE)
    assert texts(figure)["a$b_1$"][0].get_parse_math() is False
    figure.savefig(BytesIO(), format="png")


def test_lanes_pass_left_of_what_they_pass_and_never_run_over_one_another() -> None:
    lefts = [0.0, 0.0, 0.4, 0.8, 0.8, 0.4, 0.0, 0.0]
    edges = [*((i, i + 1) for i in range(7)), (1, 6), (2, 5), (3, 5), (2, 4), (0, 7), (5, 7)]
    found = lanes(edges, lefts, gap=0.1)
    assert [(lane.source, lane.targets) for lane in sorted(found, key=lambda lane: lane.source)] == [
        *((0, (7,)), (1, (6,)), (2, (4, 5)), (3, (5,)), (5, (7,))),
    ]
    for lane in found:
        assert lane.x <= min(lefts[lane.source : lane.targets[-1] + 1]) - 0.1
    for a, b in itertools.combinations(found, 2):
        apart = a.source >= b.targets[-1] or b.source >= a.targets[-1]
        assert apart or abs(a.x - b.x) > 0.09
