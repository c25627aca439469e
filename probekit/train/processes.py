"""One process, or several that a launcher such as torchrun has started, each with its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from probekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Processes", "launched"]


@contextmanager
def launched() -> Iterator[int]:
    """Join the processes that torchrun started, if it did; gives this one's rank, 0 where it is alone.

    Tensors on GPUs are exchanged by NCCL, others by gloo. The group is left at the end of the block.

    Raises
    ------
    InputError
        If each process is to have a GPU of its own and there are fewer.

    Examples
    --------
    >>> with launched() as rank:
    ...     rank
    0
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


class Processes:
    """The processes of a run: how many there are, which one this is, and what they agree on."""

    def __init__(self) -> None:
        self.count, self.rank = 1, 0
        self._group: Any = None
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            self.count, self.rank = dist.get_world_size(), dist.get_rank()
            # Flags go by the CPU: reading one from a GPU would wait for its queue.
            self._group = dist.new_group(backend="gloo")

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.count == 1

    def place(self, device: str | torch.device | None) -> torch.device:
        """The device to train on: by default a GPU, this process's own, if there is one."""
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if found.type != "cuda" or found.index is not None or self.alone:
            return found
        local = int(os.environ.get("LOCAL_RANK", self.rank))
        if local >= torch.cuda.device_count():
            raise InputError(
                f"process {local} of this machine has no GPU of its own: there are {torch.cuda.device_count()}; "
                "start as many processes, or give device='cpu'"
            )
        torch.cuda.set_device(local)
        return torch.device("cuda", local)

    def share(self, batch_size: int) -> slice:
        """This process's part of the positions in a batch.

        Raises
        ------
        InputError
            If the batch cannot be shared evenly.
        """
        if batch_size % self.count:
            raise InputError(
                f"batch_size={batch_size} cannot be shared evenly by {self.count} processes: give a multiple of "
                f"{self.count}, e.g. {self.count * max(1, round(batch_size / self.count))}"
            )
        each = batch_size // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def joined(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model with gradients averaged over all processes."""
        if self.alone:
            return model
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[device.index] if device.type == "cuda" else None, gradient_as_bucket_view=True
        )

    def agreed(self, *flags: bool) -> tuple[bool, ...]:
        """What the first process says, which alone looks at its clock."""
        if self._group is None:
            return flags
        told = torch.tensor(flags)
        dist.broadcast(told, 0, group=self._group)
        return tuple(map(bool, told.tolist()))

    def mean(self, value: Tensor) -> float:
        """Mean of a number over the processes."""
        told = value.detach().double().cpu()
        if self._group is not None:
            dist.all_reduce(told, group=self._group)
        return float(told) / self.count
