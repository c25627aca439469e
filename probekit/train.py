"""Training a denoiser: mean squared error of D(x + σz) against x, σ drawn anew for every image."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from tqdm.auto import tqdm

from probekit.denoiser import Denoiser
from probekit.errors import InputError, ModelError
from probekit.evaluation import CARD_SIGMA, psnr_curve
from probekit.modes import flushed_denormals

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.images import ImageSet

__all__ = ["Recipe", "progress_of", "train"]

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a training run consists of; the same recipe, images and machine give the same weights.

    Attributes
    ----------
    steps : int
        Optimiser steps in all.
    batch_size : int
        Images per step.
    lr : float
        Peak learning rate of Adam; it rises linearly over the first `warmup` of the steps and
        falls to 0 as a half cosine.
    warmup : float
        Fraction of the steps, in [0, 1).
    sigma_max : float
        σ is uniform in (0, sigma_max] for each image, in intensity units.
    weight_power : float
        The squared error of an image is weighted by (σ + 0.01)^−weight_power. 0 is the paper's
        loss, which is ruled by large σ; 1 makes all σ count about equally, since the error of a
        good denoiser of photographs grows about as σ. The minimiser at each σ is the same.
    ema : float
        The weights that are evaluated and returned are an average over about this fraction of the
        steps made so far, in [0, 1]; 0 returns the last weights.
    flip : bool
        Whether images are mirrored left-right at random.
    seed : int
        Of the order of images, the noise and the flips.
    """

    steps: int = 20_000
    batch_size: int = 128
    lr: float = 1e-3
    warmup: float = 0.02
    sigma_max: float = 1.0
    weight_power: float = 0.0
    ema: float = 0.1
    flip: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        rules: tuple[tuple[str, str, type, Callable[[Any], bool]], ...] = (
            ("steps", "a positive int", Integral, lambda v: v >= 1),
            ("batch_size", "a positive int", Integral, lambda v: v >= 1),
            ("lr", "a positive number", Real, lambda v: 0 < v < math.inf),
            ("warmup", "a fraction in [0, 1)", Real, lambda v: 0 <= v < 1),
            ("sigma_max", "a positive number", Real, lambda v: 0 < v < math.inf),
            ("weight_power", "a finite number", Real, math.isfinite),
            ("ema", "a fraction in [0, 1]", Real, lambda v: 0 <= v <= 1),
        )
        wrong = [
            f"{name}={getattr(self, name)!r} (expected {expected})"
            for name, expected, kind, holds in rules
            if not (isinstance(getattr(self, name), kind) and holds(getattr(self, name)))
        ]
        if wrong:
            raise InputError(f"the recipe cannot be followed: {'; '.join(wrong)}")

    def lr_at(self, step: int) -> float:
        """Learning rate of step number `step`, counted from 0."""
        rise = max(1, round(self.warmup * self.steps))
        fall = (step - rise) / max(1, self.steps - rise)
        return self.lr * min((step + 1) / rise, 0.5 * (1 + math.cos(math.pi * max(0.0, fall))))

    def ema_weight(self, step: int) -> float:
        """How far the average moves towards the weights after step number `step`, counted from 0."""
        return 1 / max(1.0, self.ema * (step + 1))


def train(
    denoiser: Denoiser | nn.Module,
    images: ImageSet,
    *,
    recipe: Recipe | None = None,
    out: str | Path | None = None,
    held_out: ImageSet | None = None,
    evaluations: int = 20,
    checkpoint_minutes: float = 5.0,
    device: str | torch.device | None = None,
    compile: bool = False,
    progress: bool = True,
    until: int | None = None,
) -> Denoiser:
    """Train a denoiser in place, and give it the averaged weights at the end.

    Convolutions run channels-last, denormals are flushed to zero while it trains, and on a GPU the
    forward pass runs in bfloat16. The loss is that of Kadkhodaie, Mallat & Simoncelli
    (arXiv:2506.01912), ‖D(x + σz) − x‖², with an optional weight over σ.

    Parameters
    ----------
    denoiser
        What to train, starting from the weights it has. A bare network is taken as blind.
    images
        Clean training images, held in memory (as uint8 where they came as 8-bit files).
    recipe
        The run; ``Recipe()`` by default.
    out
        Folder for ``checkpoint.safetensors`` and ``log.jsonl`` (one JSON object a line). If it holds a
        checkpoint of the same recipe, the run goes on from there and ends with the same weights as
        an uninterrupted one. None keeps nothing.
    held_out
        Images whose PSNR against σ is written to the log.
    evaluations
        How often that is done, evenly over the run.
    checkpoint_minutes
        Time between checkpoints, which is what an interrupted run loses at most; the last one is
        written at the end.
    device
        Where to train: by default on the GPU, if there is one.
    compile
        Whether to run the network through ``torch.compile`` (on a CPU this needs a C++ compiler).
    progress
        Whether to show a progress bar, with images/s and time left.
    until
        Stop when this many steps have been made in all, short of ``recipe.steps``; the learning rate
        still falls towards ``recipe.steps``, and a later call goes on from there.

    Returns
    -------
    Denoiser
        Around the network given, with the averaged weights, in evaluation mode.

    Raises
    ------
    InputError
        If `out` holds the checkpoint of another recipe or network, which is named; if the denoiser
        predicts something else than the clean image, or scales or shifts its input.
    ModelError
        If the loss stops being finite, or the checkpoint cannot be read.
    """
    recipe = recipe or Recipe()
    if not isinstance(denoiser, Denoiser):
        denoiser = Denoiser(denoiser)
    if denoiser.predicts != "clean" or denoiser.scaling is not None or denoiser.data_range not in (None, (0, 1)):
        raise InputError(
            f"{denoiser.name} has {denoiser.extra_repr()}: what is trained here predicts the clean image from the "
            "noisy one as it is; give Denoiser(model, sigma_to=...) alone, with data_range (0, 1) or None"
        )
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run = _Run(denoiser, recipe, place, compile, _fingerprint(images))
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            run.restore(folder / CHECKPOINT)
    with flushed_denormals():
        _drive(run, _held(images, run.device), folder, held_out, evaluations, checkpoint_minutes, progress, until)
    run.adopt_average()
    return denoiser


def progress_of(out: str | Path) -> dict[str, Any]:
    """How far the run kept in folder `out` has come: its "step", "seconds" and "recipe".

    Raises
    ------
    InputError
        If the folder holds no checkpoint.
    ModelError
        If the checkpoint cannot be read.
    """
    path = Path(out) / CHECKPOINT
    if not path.exists():
        raise InputError(f"{out} holds no {CHECKPOINT}: train into it first")
    return _read_checkpoint(path)[0]


class _Run:
    """Everything that changes while training: weights, their average, the optimiser's state, the step."""

    def __init__(
        self, denoiser: Denoiser, recipe: Recipe, device: torch.device, compile: bool, images: str = ""
    ) -> None:
        self.denoiser, self.recipe, self.device, self.images = denoiser, recipe, device, images
        self.model = denoiser.model.to(device).to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        self.forward: Callable[..., Tensor] = torch.compile(self.model) if compile else self.model
        self.parameters = list(self.model.parameters())
        self.optimiser = torch.optim.Adam(self.parameters, lr=recipe.lr, betas=(0.9, 0.99))
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0
        self._epoch: tuple[int, Tensor] | None = None

    def advance(self, data: Tensor) -> Tensor:
        """Make one step; all its randomness is addressed by (seed, step). Returns the loss."""
        recipe, n = self.recipe, self.recipe.batch_size
        generator = _generator(self.device, recipe.seed, 1, self.step)
        clean = data[self._order(len(data))].to(torch.float32)
        if data.dtype == torch.uint8:
            clean = clean / 255
        clean = clean.contiguous(memory_format=torch.channels_last)
        # 1 − U with U in [0, 1) lies in (0, 1].
        sigma = recipe.sigma_max * (1 - torch.rand(n, generator=generator, device=self.device))
        if recipe.flip:
            mirrored = torch.rand(n, generator=generator, device=self.device) < 0.5
            clean = torch.where(mirrored.view(-1, 1, 1, 1), clean.flip(-1), clean)
        z = torch.empty_like(clean).normal_(generator=generator)
        noisy = clean + sigma.view(-1, 1, 1, 1) * z
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            estimate = self.forward(*self.denoiser.arguments(noisy, sigma))
        error = ((estimate.float() - clean) ** 2).flatten(1).mean(1)
        loss = (error * (sigma + 0.01) ** -recipe.weight_power).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.lr_at(self.step)
        self.optimiser.step()
        with torch.no_grad():
            weight = recipe.ema_weight(self.step)
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, weight) if value.is_floating_point() else self.average[name].copy_(
                    value
                )
        self.step += 1
        return loss.detach()

    def _order(self, count: int) -> Tensor:
        """Positions of this step's images: each epoch is a permutation of its own, and none is cut short."""
        start = self.step * self.recipe.batch_size
        positions = []
        for epoch in range(start // count, (start + self.recipe.batch_size - 1) // count + 1):
            if self._epoch is None or self._epoch[0] != epoch:
                generator = _generator(torch.device("cpu"), self.recipe.seed, 0, epoch)
                self._epoch = epoch, torch.randperm(count, generator=generator).to(self.device)
            first = max(start - epoch * count, 0)
            positions.append(self._epoch[1][first : start + self.recipe.batch_size - epoch * count])
        return torch.cat(positions)

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
        self.model.load_state_dict(self.average)
        self.denoiser.eval()

    def keep(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
        plan = {
            "step": self.step,
            "seconds": self.seconds,
            "recipe": asdict(self.recipe),
            "network": self._network_described(),
            "images": self.images,
        }
        partial = path.with_name(path.name + ".partial")
        contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        save_file(contiguous, partial, metadata={"plan": json.dumps(plan)})
        partial.replace(path)

    def _network_described(self) -> str:
        try:
            return json.dumps(self.model.config, sort_keys=True)
        except (AttributeError, TypeError):
            return type(self.model).__name__

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of the same recipe and network."""
        plan, tensors = _read_checkpoint(path)
        mine = asdict(self.recipe)
        differing = [
            f"{f.name}: {plan['recipe'].get(f.name)!r} there, {mine[f.name]!r} now"
            for f in fields(self.recipe)
            if plan["recipe"].get(f.name) != mine[f.name]
        ]
        if (there := plan.get("images", self.images)) != self.images:
            differing.append(f"training images: {there} there, {self.images} now")
        # Networks may differ where their weights' shapes do not, as in how they normalise.
        if (there := plan.get("network", self._network_described())) != self._network_described():
            differing.append(f"network: {there} there, {self._network_described()} now")
        shapes = {k: v.shape for k, v in self.model.state_dict().items()}
        if differing or shapes != {k[6:]: v.shape for k, v in tensors.items() if k.startswith("model.")}:
            raise InputError(
                f"{path} belongs to another run ({'; '.join(differing) or 'a network of another shape'}): "
                "give another folder, or remove it to start anew"
            )
        self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        self.average = {k[8:]: v.to(self.device) for k, v in tensors.items() if k.startswith("average.")}
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        if state:
            groups = self.optimiser.state_dict()["param_groups"]
            self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.seconds = plan["step"], plan["seconds"]


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            plan = json.loads(file.metadata()["plan"])
            return plan, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}): remove it to start anew") from error


def _drive(
    run: _Run,
    data: Tensor,
    folder: Path | None,
    held_out: ImageSet | None,
    evaluations: int,
    checkpoint_minutes: float,
    progress: bool,
    until: int | None,
) -> None:
    steps, n = run.recipe.steps, run.recipe.batch_size
    last = steps if until is None else min(steps, until)
    every = max(1, steps // max(1, evaluations))
    log = _Log(folder, run.step)
    began = saved = time.monotonic()
    earlier = run.seconds
    losses: list[Tensor] = []
    with tqdm(total=steps * n, initial=run.step * n, unit="img", unit_scale=True, disable=not progress) as bar:
        while run.step < last:
            losses.append(run.advance(data))
            run.seconds = earlier + time.monotonic() - began
            bar.update(n)
            if run.step % every == 0 or run.step == last:
                log.write(_report(run, losses, held_out, bar))
                losses.clear()
            due = run.step == last or time.monotonic() - saved > 60 * checkpoint_minutes
            if folder is not None and due:
                _mean_loss(run, losses)
                run.keep(folder / CHECKPOINT)
                saved = time.monotonic()


def _report(run: _Run, losses: list[Tensor], held_out: ImageSet | None, bar: Any) -> dict[str, Any]:
    """One line of the log: where the run stands, and how well the averaged weights denoise."""
    loss = _mean_loss(run, losses)
    line = {
        "step": run.step,
        "images": run.step * run.recipe.batch_size,
        "seconds": round(run.seconds, 1),
        "loss": loss,
        "lr": run.recipe.lr_at(run.step - 1),
    }
    if held_out is not None:
        with run.averaged() as denoiser:
            curve = psnr_curve(denoiser, held_out, sigma=CARD_SIGMA).mean("image")
        line["psnr"] = {f"{s:g}": round(float(v), 2) for s, v in zip(CARD_SIGMA, curve, strict=True)}
        bar.set_postfix({"loss": f"{loss:.4g}", "dB at 0.2": line["psnr"]["0.2"]}, refresh=False)
    return line


def _mean_loss(run: _Run, losses: list[Tensor]) -> float:
    """Mean loss since the last report; a training that diverged ends here, before it is kept."""
    loss = float(torch.stack(losses).mean()) if losses else 0.0
    if not math.isfinite(loss):
        raise ModelError(
            f"the loss is {loss} after {run.step} steps: the training diverged; lower lr (now {run.recipe.lr}) "
            "and give another folder"
        )
    return loss


class _Log:
    """Appends JSON lines to a file, if there is a folder for it."""

    def __init__(self, folder: Path | None, step: int) -> None:
        self.path = None if folder is None else folder / LOG
        if self.path is not None and self.path.exists():
            # What a killed run reported after its last checkpoint is done again.
            lines = [text for text in self.path.read_text().splitlines() if json.loads(text)["step"] <= step]
            self.path.write_text("".join(text + "\n" for text in lines), encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _fingerprint(images: ImageSet) -> str:
    """What tells one set of training images from another: its name, preparation, shape and ids."""
    text = "\0".join([images.preparation, str(images.shape), *images.ids])
    return f"{images.name} {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}"


def _held(images: ImageSet, device: torch.device) -> Tensor:
    """All images in memory on the device, as uint8 where that loses nothing."""
    chunks, eight_bit = [], True
    for start in range(0, len(images), 1024):
        chunk = images.read(range(start, min(start + 1024, len(images))))
        levels = (chunk * 255).round()
        eight_bit = eight_bit and bool((levels / 255 == chunk).all() and (levels >= 0).all() and (levels <= 255).all())
        chunks.append(levels.to(torch.uint8) if eight_bit else chunk)
    if not eight_bit:
        chunks = [c.float() / 255 if c.dtype == torch.uint8 else c for c in chunks]
    return torch.cat(chunks).to(device)


def _generator(device: torch.device, *address: int) -> torch.Generator:
    seed = int(np.random.SeedSequence([a % 2**32 for a in address]).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(seed >> 1)
