"""Samples of images in batches that fit memory: from a condition to a walk's record; no labels but dims."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import xarray as xr

from analyses.sampling.samplers import Method
from analyses.sampling.walk import Task, Walk
from probekit.capture.survey import network_of, survey
from probekit.machine.memory import available_bytes
from probekit.machine.modes import evaluating
from probekit.noise import standard_normal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from analyses.sampling.conditions import Condition
    from probekit.phi.tap import Tap

__all__ = ["Job", "fitting", "images_of"]

# Memory that one batch may take unless told otherwise: what a CPU's caches can still follow, what keeps a large GPU
# busy, and at most which share of what is free.
BUDGET, BUDGET_GPU, SHARE = 2**28, 2**33, 0.5


class Job(NamedTuple):
    """Everything that is the same for all batches of a reconstruction."""

    denoiser: nn.Module
    tap: Tap
    condition: Condition
    method: Method
    sigmas: list[float]
    weight: np.ndarray
    basis: np.ndarray | None
    start: np.ndarray
    n_samples: int
    seed: int
    draws: int
    trajectory: bool


def images_of(job: Job, chosen: Sequence[int], size: int) -> list[xr.Dataset]:
    """Samples of some images, in batches of at most `size`, as one Dataset per image."""
    pairs = [(i, k) for i in chosen for k in range(job.n_samples)]
    parts = [_batch(job, pairs[a : a + size]) for a in range(0, len(pairs), size)]
    joined = xr.concat(parts, "one", join="outer") if len(parts) > 1 else parts[0]
    return [
        joined.isel(one=slice(n * job.n_samples, (n + 1) * job.n_samples))
        .rename(one="sample")
        .expand_dims(image=np.array([job.condition.ids[i]], dtype=object))
        for n, i in enumerate(chosen)
    ]


def _batch(job: Job, pairs: Sequence[tuple[int, int]]) -> xr.Dataset:
    """Samples of (image, sample) pairs, along the dim `one`."""
    network = network_of(job.denoiser)
    place = next(network.parameters(), torch.zeros(()))
    estimates: list[Tensor] = []
    task = _task(job, pairs, place, estimates.append if job.trajectory else lambda _: None)
    walk = Walk(task)
    with evaluating(job.denoiser), _frozen(network):
        x = job.method.run(walk)
        match = _match(job, task, x, pairs)
    along = ("one", "level")
    values = {
        "samples": (("one", "band", "row", "col"), _array(x)),
        "loss_before": (along, _numpy(walk.first)),
        "loss": (along, _numpy(walk.last)),
        "guidance_steps": (along, _numpy(walk.steps).astype(float)),
        "noise_level": (along, _numpy(walk.sigma)),
        "evaluations": ("one", walk.denoised.cpu().numpy()),
        "match": ("one", match),
    }
    if walk.ess:
        values["ess"] = (along, _numpy(walk.ess))
    if job.trajectory:
        stacked = _array(torch.stack(estimates, dim=1))
        values["trajectory"] = (("one", "level", "band", "row", "col"), stacked)
    return xr.Dataset(values, coords={"level": np.arange(len(walk.sigma))})


def _task(job: Job, pairs: Sequence[tuple[int, int]], place: Tensor, seen: Callable[[Tensor], None]) -> Task:
    images = [i for i, _ in pairs]
    names = [f"{job.condition.ids[i]}/{k}" for i, k in pairs]

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device=place.device, dtype=place.dtype)

    basis = None if job.basis is None else tensor(job.basis)

    def features(y: Tensor, sigma: Tensor) -> Tensor:
        found = job.tap.features(y, sigma).to(place.dtype)
        return found if basis is None else found @ basis.T

    def noise(rows: Sequence[int], draws: Sequence[int]) -> Tensor:
        z = standard_normal(job.condition.shape, seed=job.seed, ids=[names[r] for r in rows], draws=draws)
        return z.to(device=place.device, dtype=place.dtype)

    target, spread, weight = job.condition.phi[images], job.condition.spread[images], job.weight[images]
    if job.basis is not None:
        target = target @ job.basis.T
        # As if channels' noise were independent; it only sets the scale of what is compared.
        spread = np.sqrt(spread**2 @ (job.basis**2).T)
        weight = np.ones(target[:, 0].shape)
    return Task(
        denoise=lambda y, sigma: job.denoiser(y, sigma),
        features=features,
        sigmas=job.sigmas,
        target=tensor(target.swapaxes(0, 1)),
        spread=tensor(spread.swapaxes(0, 1)),
        weight=tensor(weight),
        start=tensor(np.broadcast_to(job.start, (len(pairs), *job.condition.shape))),
        noise=noise,
        names=names,
        seen=seen,
    )


def _match(job: Job, task: Task, x: Tensor, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """‖φ(x) − φ*‖/‖φ*‖ at the last level, over draws of the noise that the condition's φ was measured with."""
    sigma = job.sigmas[-1]
    levels = torch.full((len(x),), sigma, dtype=x.dtype, device=x.device)
    ids = [job.condition.ids[i] for i, _ in pairs]
    total = torch.zeros_like(task.target[-1])
    with torch.no_grad():
        for draw in range(job.draws):
            z = standard_normal(job.condition.shape, seed=job.seed, ids=ids, draws=[draw] * len(ids)).to(x)
            total += task.features(x + sigma * z, levels)
    root = task.weight.sqrt()
    away = (root * (total / job.draws - task.target[-1])).norm(dim=1)
    return _array(away / (root * task.target[-1]).norm(dim=1))


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients with respect to images only: parameters ask for none inside the block, and are as before after it."""
    asked = [p for p in network.parameters() if p.requires_grad]
    for parameter in asked:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad = True


def _numpy(by_level: Sequence[Tensor]) -> np.ndarray:
    return _array(torch.stack(list(by_level), dim=1))


def _array(values: Tensor) -> np.ndarray:
    # numpy has no bfloat16.
    return (values.float() if values.dtype == torch.bfloat16 else values).cpu().numpy()


def fitting(job: Job) -> int:
    """Samples whose activations, kept for the gradient, fit the budget."""
    place = next(network_of(job.denoiser).parameters(), torch.zeros(()))
    blank = torch.zeros((1, *job.condition.shape), dtype=place.dtype, device=place.device)
    visits = survey(job.denoiser, blank, torch.full((1,), job.sigmas[0], dtype=place.dtype, device=place.device))
    elements = sum(math.prod(s) for v in visits for s in v.shapes.values())
    free = available_bytes(place.device)
    wanted = BUDGET if place.device.type == "cpu" else BUDGET_GPU
    budget = wanted if free is None else min(wanted, SHARE * free)
    each = 2 * elements * place.dtype.itemsize * getattr(job.method, "particles", 1)
    return max(1, int(budget // each))
