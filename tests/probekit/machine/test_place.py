"""Where a model's numbers are: of its parameters, else its buffers, of floating point only."""

import pytest
import torch
from torch import nn

from probekit.machine.place import place_of, zeros_for


class Counted(nn.Module):
    """A whole number, then a buffer of floating point."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(3, dtype=torch.float64))


def test_parameters_come_before_buffers_and_whole_numbers_do_not_count() -> None:
    assert place_of(nn.Conv2d(1, 1, 1).half()).dtype == torch.float16
    assert place_of(nn.Conv2d(1, 1, 1).to("meta")).device.type == "meta"
    assert place_of(Counted()).dtype == torch.float64
    assert place_of(nn.Sequential(Counted(), nn.Conv2d(1, 1, 1))).dtype == torch.float32


def test_a_model_without_numbers_is_where_it_is_told_to_be() -> None:
    assert (place_of(nn.Identity()).dtype, place_of(nn.Identity()).device.type) == (torch.float32, "cpu")
    y = torch.zeros(2, dtype=torch.float64)
    assert place_of(nn.Identity(), y) is y
    assert place_of(Counted(), torch.zeros(2)).dtype == torch.float64


def test_zeros_are_of_the_models_kind_and_of_the_shape_asked_for() -> None:
    zeros = zeros_for(nn.Conv2d(1, 1, 1).double(), 2, 3, 4)
    assert (zeros.shape, zeros.dtype, int(zeros.count_nonzero())) == ((2, 3, 4), torch.float64, 0)


class Conv2d(nn.Module):
    """A convolution of its own class, as in EDM's code."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 3, 3))


def first_of_another_type(convolution: nn.Module, first: torch.dtype) -> nn.Module:
    network = nn.Module()
    network.scale = nn.Parameter(torch.ones(1, 1, 1, 1, dtype=first))
    network.labels = nn.Embedding(4, 2, dtype=first)
    network.body = nn.Sequential(nn.GroupNorm(1, 1, dtype=first), convolution)
    return network


@pytest.mark.parametrize("first", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(1, 1, 3),
        nn.ConvTranspose2d(1, 1, 3, bias=False),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 1, 3)),
        Conv2d(),
    ],
    ids=["convolution", "transposed", "weight norm", "own class"],
)
def test_the_first_convolution_decides_whatever_stands_before_it(convolution: nn.Module, first: torch.dtype) -> None:
    place = place_of(first_of_another_type(convolution.to(torch.bfloat16), first))
    assert (place.dtype, place.ndim >= 3) == (torch.bfloat16, True)


def test_a_network_without_a_convolution_is_of_its_first_parameters_type() -> None:
    assert place_of(nn.Sequential(nn.Linear(1, 1).double(), nn.Linear(1, 1))).dtype == torch.float64


def test_weights_that_are_elsewhere_do_not_decide_where_the_others_are() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1).to("meta"), nn.Conv2d(1, 1, 1).double(), nn.Linear(1, 1))
    assert (place_of(network).device.type, place_of(network).dtype) == ("cpu", torch.float64)
    behind = nn.Sequential(nn.Conv2d(1, 1, 1).to("meta"), nn.Linear(1, 1).half())
    assert (place_of(behind).device.type, place_of(behind).dtype) == ("cpu", torch.float16)
    away = nn.Conv2d(1, 1, 1).to("meta")
    assert place_of(away, torch.zeros(1)).is_meta
