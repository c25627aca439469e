"""One process, or several that a launcher such as torchrun has started, each with its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from probekit.checks import given
from probekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Processes", "launched", "usable"]


@contextmanager
def launched() -> Iterator[int]:
    """Join the processes that torchrun started, if it did; gives this one's rank, 0 where it is alone.

    Tensors on GPUs are exchanged by NCCL, others by gloo. The group is left at the end of the block.

    Raises
    ------
    InputError
        If WORLD_SIZE asks for several processes that cannot be joined.

    Examples
    --------
    >>> with launched() as rank:
    ...     rank
    0
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        return
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']}, but the processes cannot be joined ({error}): start them with "
            "torchrun, or unset WORLD_SIZE"
        ) from error
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def usable(device: str | torch.device | None) -> torch.device:
    """The device of this name, by default a GPU if there is one.

    Raises
    ------
    InputError
        If it is neither a CPU nor a GPU that is there.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        # A number alone would be taken as a GPU.
        named = device if isinstance(device, str | torch.device) else ""
        found = torch.device(("cuda" if there else "cpu") if device is None else named)
    except (RuntimeError, ValueError):
        raise InputError(f"{given('device', device)}: give cpu, cuda, or cuda:0 and so on") from None
    if found.type not in ("cpu", "cuda"):
        raise InputError(f"device={str(found)!r}: training and sampling run on cpu or cuda")
    if found.type == "cuda" and (found.index or 0) >= there:
        raise InputError(
            f"device={str(found)!r}: this torch ({torch.__version__}) sees {there} GPUs; give cpu, or install a torch "
            "that is built for the machine's CUDA"
        )
    return found


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
        found = usable(device)
        if found.type != "cuda" or self.alone:
            return found
        if found.index is not None:
            raise InputError(f"device={str(found)!r} for {self.count} processes: give cuda, and each takes its own GPU")
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

    def apart(self, joined: nn.Module) -> AbstractContextManager[None]:
        """Inside the block gradients are each process's own."""
        return joined.no_sync() if isinstance(joined, nn.parallel.DistributedDataParallel) else nullcontext()

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
