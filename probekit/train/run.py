"""Everything that changes while training: weights, their average, the optimiser's state, the step."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit.errors import InputError
from probekit.machine.clock import clock
from probekit.machine.identity import modules_of
from probekit.machine.modes import trying
from probekit.machine.weights import weights_sha256
from probekit.train import checkpoint
from probekit.train.data import views
from probekit.train.precision import (
    AUTO,
    FLOAT32,
    SHORTEST,
    Precision,
    Timed,
    candidates,
    checked,
    kept,
    products,
    rounding,
    trial,
    untouched,
)
from probekit.train.processes import Processes
from probekit.train.recipe import sigma_quantile

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.denoising.denoiser import Denoiser
    from probekit.train.recipe import Recipe

__all__ = ["Run"]

# Streams of random numbers are told apart by the second number of their address.
ORDER, NOISE, CROPS = 0, 1, 2
# Of a batch, the share that shows whether a precision is worth a trial, and of how many images it is at least.
FEW, LEAST = 16, 2
LOG = logging.getLogger("probekit")


class Run:
    """A run that can make a step, be kept, and be restored."""

    def __init__(
        self,
        denoiser: Denoiser,
        recipe: Recipe,
        device: torch.device,
        *,
        compile: bool = False,
        precision: Precision = FLOAT32,
        images: str = "",
        content: str = "",
        processes: Processes | None = None,
    ) -> None:
        self.denoiser, self.recipe, self.device = denoiser, recipe, device
        self.images, self.content = images, content
        self.processes = processes or Processes()
        self.mine = self.processes.share(recipe.batch_size)
        # What the run began with; a resumed one began with what its checkpoint says.
        self.start = {"name": denoiser.name, "weights_sha256": weights_sha256(denoiser.model.state_dict())}
        self.modules = modules_of(denoiser)
        self.asked = checked(precision, device)
        # Until a trial, or a checkpoint, says otherwise.
        self.precision: Precision = FLOAT32 if self.asked == AUTO else self.asked
        self.trial: dict[str, Any] | None = None
        self.model = denoiser.model.to(device).to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        self.parameters = list(self.model.parameters())
        self.optimiser = torch.optim.Adam(
            self.parameters, lr=recipe.lr, betas=(0.9, 0.99), fused=all(p.is_floating_point() for p in self.parameters)
        )
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0
        self._compile = compile
        self._shared: nn.Module = self.model
        self._forward: Callable[..., Tensor] | None = None
        self._epoch: tuple[int, Tensor] | None = None

    def advance(self, data: Tensor) -> Tensor:
        """Make one step on this process's share of the batch. Returns the loss over it."""
        loss = self._descent(self._batch(data), self.precision, self._joined())
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.lr_at(self.step)
        self.optimiser.step()
        self._move_average()
        self.step += 1
        return loss

    def _joined(self) -> Callable[..., Tensor]:
        if self._forward is None:
            # Here, not earlier: what processes begin with is compared and made equal when they are joined.
            self._shared = self.processes.joined(self.model, self.device)
            self._forward = torch.compile(self._shared) if self._compile else self._shared
        return self._forward

    def _descent(self, batch: Sequence[Tensor], precision: Precision, forward: Callable[..., Tensor]) -> Tensor:
        """The loss of a batch; its gradient goes into the weights, in place of the one there."""
        clean, sigma, z = batch
        noisy = clean + sigma.view(-1, 1, 1, 1) * z
        with products(precision, self.device):
            with rounding(precision, self.device):
                position, keyword = self.denoiser.arguments(noisy, sigma)
                estimate = forward(*position, **keyword)
            error = ((estimate.float() - clean) ** 2).flatten(1).mean(1)
            loss = (error * (sigma + 0.01) ** -self.recipe.weight_power).mean()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
        return loss.detach()

    @property
    def undecided(self) -> bool:
        """Whether a trial is to find the precision: before the first step of a run that is worth one."""
        return self.asked == AUTO and not self.step and self.recipe.steps >= SHORTEST

    def settle(self, data: Tensor) -> None:
        """Find the fastest precision by trial, where one is to."""
        if not self.undecided:
            return
        forward = self._joined()
        batch = self._batch(data)
        few = [part[: max(LEAST, len(part) // FEW)] for part in batch]
        others = candidates(self.device)
        with trying(), self.processes.apart(self._shared):
            # Few are passed as the network was written: for another size the compiler would begin anew.
            tries = partial(self._tried, few, self.model), partial(self._tried, batch, forward)
            chosen, self.trial = trial(*tries, others)
        # The first process's choice is everyone's.
        told = self.processes.agreed(*(name == chosen for name in others))
        taken: list[Precision] = [name for name, is_it in zip(others, told, strict=True) if is_it]
        self.precision = taken[0] if taken else FLOAT32
        LOG.info("precision by trial: %s (%s)", self.precision, self.trial)

    def _tried(self, batch: Sequence[Tensor], forward: Callable[..., Tensor], precision: Precision) -> Timed:
        with untouched(self.model, self.device):
            began = clock(self.device)
            loss = self._descent(batch, precision, forward)
            seconds = clock(self.device) - began
            return Timed(seconds, float(loss), [p.grad for p in self.parameters if p.grad is not None])

    def _batch(self, data: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clean images, noise levels and noise of this process's share.

        All randomness is addressed by (seed, step) and drawn for the whole batch, so that an image gets the same by
        its position in the batch however many processes share it; noise costs next to nothing beside the network.
        """
        recipe, n = self.recipe, self.recipe.batch_size
        generator = _generator(self.device, recipe.seed, NOISE, self.step)
        # 1 − U with U in [0, 1) lies in (0, 1].
        sigma = sigma_quantile(recipe, 1 - torch.rand(n, generator=generator, device=self.device))
        mirrored = torch.rand(n, generator=generator, device=self.device)[self.mine] < 0.5 if recipe.flip else None
        positions = self.order(len(data))[self.mine]
        if recipe.crop is None:
            clean = views(data, positions, mirrored=mirrored)
        else:
            corners = self.corners(data)[self.mine]
            clean = views(data, positions, mirrored=mirrored, corners=corners, side=recipe.crop)
        z = torch.empty((n, *clean.shape[1:]), device=self.device, memory_format=torch.channels_last)
        return clean, sigma[self.mine], z.normal_(generator=generator)[self.mine]

    def corners(self, data: Tensor) -> Tensor:
        """Top row and left column (n, 2) of this step's squares, uniform over those that lie within the images."""
        side, (rows, cols) = self.recipe.crop or 0, data.shape[2:]
        if side > min(rows, cols):
            raise InputError(
                f"crop={side}: images of {rows}×{cols} hold no such square; give at most {min(rows, cols)}"
            )
        generator = _generator(self.device, self.recipe.seed, CROPS, self.step)
        free = torch.tensor([rows - side + 1, cols - side + 1], device=self.device)
        unit = torch.rand((self.recipe.batch_size, 2), generator=generator, device=self.device)
        # A product rounded up to the whole width would lie outside.
        return torch.minimum((unit * free).long(), free - 1)

    def order(self, count: int) -> Tensor:
        """Positions of this step's images: each epoch is a permutation of its own, and none is cut short."""
        start = self.step * self.recipe.batch_size
        positions = []
        for epoch in range(start // count, (start + self.recipe.batch_size - 1) // count + 1):
            if self._epoch is None or self._epoch[0] != epoch:
                generator = _generator(torch.device("cpu"), self.recipe.seed, ORDER, epoch)
                self._epoch = epoch, torch.randperm(count, generator=generator).to(self.device)
            first = max(start - epoch * count, 0)
            positions.append(self._epoch[1][first : start + self.recipe.batch_size - epoch * count])
        return torch.cat(positions)

    @torch.no_grad()
    def _move_average(self) -> None:
        weight = self.recipe.ema_weight(self.step)
        state = self.model.state_dict()
        floating = [k for k, v in state.items() if v.is_floating_point()]
        # All at once: on a GPU a call for each tensor would take as long as a small network's step.
        averages, now = [self.average[k] for k in floating], [state[k] for k in floating]
        torch._foreach_lerp_(averages, now, weight)  # pyright: ignore[reportPrivateImportUsage]
        for name in state.keys() - set(floating):
            self.average[name].copy_(state[name])

    @contextmanager
    def averaged(self) -> Iterator[Denoiser]:
        """The denoiser with the averaged weights, in evaluation mode, while the block runs."""
        own = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.adopt_average()
        try:
            yield self.denoiser
        finally:
            self.model.load_state_dict(own)
            self.denoiser.train()

    def adopt_average(self) -> None:
        """Give the denoiser the averaged weights, in evaluation mode."""
        self.model.load_state_dict(self.average)
        self.denoiser.eval()

    def keep(self, path: Path, *, optimiser: bool = True) -> None:
        """Write a checkpoint, whole or not at all; without the optimiser's state nothing goes on from it."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for index, state in self.optimiser.state_dict()["state"].items() if optimiser else ():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
        plan = {
            "step": self.step,
            "seconds": self.seconds,
            "recipe": asdict(self.recipe),
            "network": self._network_described(),
            "modules": self.modules,
            "images": self.images,
            "content": self.content,
            "start": self.start,
            "precision": self.precision,
            "trial": self.trial,
        }
        checkpoint.write(path, tensors, plan)

    def _network_described(self) -> str:
        try:
            return json.dumps(self.model.config, sort_keys=True)
        except (AttributeError, TypeError):
            return type(self.model).__name__

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of the same recipe, images and network, whatever device wrote it."""
        plan, tensors = checkpoint.read(path)
        model = checkpoint.part(tensors, "model.")
        # Networks may differ where their weights' shapes do not, as in how they normalise.
        differing = checkpoint.differences(
            plan,
            self.recipe,
            images=self.images,
            content=self.content,
            network=self._network_described(),
            modules=self.modules,
            precision=None if self.asked == AUTO else self.asked,
        )
        shapes, there = ({k: tuple(v.shape) for k, v in s.items()} for s in (self.model.state_dict(), model))
        if not differing and shapes != there:
            key = next(k for k in [*there, *shapes] if shapes.get(k) != there.get(k))
            differing = [f"a network of another shape: {key} is {there.get(key)} there, {shapes.get(key)} now"]
        if differing:
            raise InputError(
                f"{path} belongs to another run ({'; '.join(differing)}): give another folder, or remove it to start "
                "anew"
            )
        self.model.load_state_dict(model)
        # In place, so that the average keeps the memory layout of the weights; a checkpoint has none.
        for key, value in checkpoint.part(tensors, "average.").items():
            self.average[key].copy_(value)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in checkpoint.part(tensors, "optimiser.").items():
            index, name = key.split(".")
            parameter = self.parameters[int(index)]
            # Fused Adam takes moments only in the memory layout of their parameters.
            moment = value.shape == parameter.shape and name != "step"
            state.setdefault(int(index), {})[name] = torch.empty_like(parameter).copy_(value) if moment else value
        if state:
            groups = self.optimiser.state_dict()["param_groups"]
            self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        # Runs were in float32 before they said in what.
        self.precision, self.trial = kept(plan.get("precision", self.precision), path), plan.get("trial")
        self.start = plan.get("start", self.start)
        self.step, self.seconds = plan["step"], plan["seconds"]


def _generator(device: torch.device, *address: int) -> torch.Generator:
    seed = int(np.random.SeedSequence([a % 2**32 for a in address]).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(seed >> 1)
