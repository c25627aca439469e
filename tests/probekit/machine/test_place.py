"""Where a model's numbers are: of its parameters, else its buffers, of floating point only."""

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
