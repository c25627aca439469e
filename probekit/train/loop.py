"""The loop of training: steps, reports, checkpoints, and when to stop."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from probekit.checks import flag, instance, number, path, whole
from probekit.denoising.denoiser import Denoiser, refuse_lazy
from probekit.errors import CapacityError, InputError, ModelError, ProbeError
from probekit.evaluation.psnr import CARD_SIGMA, psnr_curve
from probekit.images import ImageSet
from probekit.machine import files
from probekit.machine.files import prepared, writing_to
from probekit.machine.memory import refuse_array
from probekit.machine.modes import evaluating, flushed_denormals
from probekit.machine.place import place_of
from probekit.machine.progress import Bar, bar, silent
from probekit.train import checkpoint
from probekit.train.checkpoint import CHECKPOINT
from probekit.train.data import fingerprint, held
from probekit.train.precision import Precision
from probekit.train.processes import Processes
from probekit.train.recipe import Recipe
from probekit.train.run import Run
from probekit.train.steps import STEPS, of_step

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["progress_of", "train"]

LOG_FILE = "log.jsonl"
LOG = logging.getLogger("probekit")


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
    precision: Precision = "auto",
    compile: bool = False,
    deterministic: bool = False,
    progress: bool = True,
    until: int | None = None,
    minutes: float | None = None,
    keep_every: int | None = None,
) -> Denoiser:
    """Train a denoiser in place, and give it the averaged weights at the end.

    The loss is that of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912), ‖D(x + σz) − x‖², with an optional weight
    over σ. Weights, their average and the optimiser's state are float32 throughout; convolutions run channels-last,
    and denormals are flushed to zero while it trains. Images are kept on the device, and flipped and cut there.

    Where processes are joined (see `launched`), each takes its share of every batch, gradients are averaged by
    ``DistributedDataParallel``, and the first process alone writes. An image's σ, noise, flip and crop follow from
    seed, step and its place in the batch, so any number of processes makes the same steps, up to float rounding; not
    so in networks with batch normalisation, whose statistics are over each process's share.

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
        checkpoint of the same recipe, the run goes on from there, whatever device wrote it, and ends with the
        same weights as an uninterrupted one: bit for bit on a CPU with as many processes, and on a
        GPU of the same kind with `deterministic`; not where the network has dropout, or state that is no
        weight. None keeps nothing.
    held_out
        Images whose PSNR against σ is written to the log.
    evaluations
        How often that is done, evenly over the run.
    checkpoint_minutes
        Time between checkpoints, which is what an interrupted run loses at most; the last one is
        written at the end.
    device
        Where to train: by default on the GPU, if there is one; each process on its own.
    precision
        Of the passes: "float32"; on a GPU "tf32", float32 with products of TF32; "bfloat16" where torch's autocast
        allows it. "auto" is that of the checkpoint, on whatever machine; in a new run, the fastest here whose loss
        and gradient on the first batch agree with those of float32 (cosine of the gradients at least 0.99, loss
        within 2 %) and which is faster by 5 %. It is found by a trial of some steps, which leaves no trace but in a
        network with state that is no weight, and takes about a second, with `compile` also one compilation for each
        precision. Runs of fewer than 100 steps are in float32 without a trial. Two runs may come to different
        precisions: name one where bits matter.
    compile
        Whether to run the network through ``torch.compile`` (on a CPU this needs a C++ compiler).
    deterministic
        On a GPU: only algorithms that give the same bits each time, instead of the fastest ones.
    progress
        Whether to show a progress bar, with images/s and time left.
    until
        Stop when this many steps have been made in all, short of ``recipe.steps``; the learning rate
        still falls towards ``recipe.steps``, and a later call goes on from there.
    minutes
        Likewise, stop at the first step that ends later than so many minutes after the call.
    keep_every
        Keep the weights and their average at first and after every so many steps, in `out`, for
        `probekit.train.at_step`; None for never.

    Returns
    -------
    Denoiser
        Around the network given, with the averaged weights, in evaluation mode.

    Raises
    ------
    InputError
        If `out` holds the checkpoint of another recipe, precision or network, which is named; if the denoiser
        predicts something else than the clean image, or scales or shifts its input; if the batch cannot be
        shared evenly by the processes.
    ModelError
        If the loss stops being finite, or the checkpoint cannot be read.
    CapacityError
        If `out` cannot be written to, the batch does not fit into the GPU's memory, or ``torch.compile`` does not work.

    Examples
    --------
    >>> from probekit.images import load
    >>> images = load(torch.zeros(4, 1, 8, 8))
    >>> trained = train(nn.Conv2d(1, 1, 3, padding=1), images, recipe=Recipe(steps=2, batch_size=2), progress=False)
    >>> trained.training
    False
    """
    began = time.monotonic()
    if minutes is not None:
        minutes = number("minutes", minutes, "a time of at least 0, or None to train to the end", good=lambda v: v >= 0)
    checkpoint_minutes = number("checkpoint_minutes", checkpoint_minutes, "a time of at least 0", good=lambda v: v >= 0)
    evaluations = whole("evaluations", evaluations, least=0)
    if until is not None:
        until = whole("until", until, least=0)
    if keep_every is not None:
        keep_every = whole("keep_every", keep_every, least=1)
        if out is None:
            raise InputError(f"keep_every={keep_every} keeps weights in a folder: give out, or leave it out")
    recipe = Recipe() if recipe is None else instance("recipe", recipe, Recipe, "a probekit.train.Recipe, or None")
    denoiser = _trainable(denoiser)
    instance("images", images, ImageSet, "an image set, as probekit.images.load makes it")
    if held_out is not None:
        instance("held_out", held_out, ImageSet, "an image set, as probekit.images.load makes it, or None")
    compile, deterministic = flag("compile", compile), flag("deterministic", deterministic)
    progress = flag("progress", progress)
    folder = None if out is None else path("out", out, "the path of a folder, or None")
    shape = (recipe.batch_size, images.shape[0], *(recipe.crop or side for side in images.shape[1:]))
    refuse_array(shape, 4, hint="give a smaller batch_size")
    processes = Processes()
    place = processes.place(device)
    run = Run(
        denoiser,
        recipe,
        place,
        compile=compile,
        precision=precision,
        images=fingerprint(images),
        content=images.fingerprint(),
        processes=processes,
    )
    if folder is not None:
        prepared(folder if keep_every is None else folder / STEPS)
        if (folder / CHECKPOINT).exists():
            run.restore(folder / CHECKPOINT)
            LOG.info("%s: the run goes on after %d steps", folder / CHECKPOINT, run.step)
    LOG.info(
        "training on %s in %s, %d processes, torch.compile %s, %s",
        place,
        "the precision that a trial finds" if run.undecided else run.precision,
        processes.count,
        "on" if compile else "off",
        "the same bits each time" if deterministic else "the fastest algorithms",
    )
    plan = _Plan(
        folder if processes.rank == 0 else None,
        held_out if processes.rank == 0 else None,
        max(1, recipe.steps // max(1, evaluations)),
        60 * checkpoint_minutes,
        progress and processes.rank == 0,
        recipe.steps if until is None else min(recipe.steps, until),
        math.inf if minutes is None else began + 60 * minutes,
        keep_every,
    )
    with flushed_denormals(), _algorithms(deterministic), _within_means(recipe.batch_size):
        if run.step < plan.last:
            try:
                _drive(run, held(images, place), plan)
            except (RuntimeError, TypeError) as error:
                if not isinstance(error, ProbeError):
                    _blame_images(denoiser, images, recipe.crop)
                raise
    run.adopt_average()
    return denoiser


def progress_of(out: str | Path) -> dict[str, Any]:
    """How far the run kept in folder `out` has come: its "step", "seconds", "recipe", "precision" and "trial".

    The trial is what was found of each precision that the run might have had, as the model card says; None where
    there was none.

    Raises
    ------
    InputError
        If the folder holds no checkpoint.
    ModelError
        If the checkpoint cannot be read.
    """
    return checkpoint.read(checkpoint.present(path("out", out, "the path of the folder of a run")))[0]


class _Plan(NamedTuple):
    """What a call does beside making steps; folder and held-out images in the first process only."""

    folder: Path | None
    held_out: ImageSet | None
    report_every: int
    keep_every: float
    progress: bool
    last: int
    deadline: float
    weights_every: int | None


def _trainable(denoiser: Denoiser | nn.Module) -> Denoiser:
    if not isinstance(denoiser, Denoiser):
        denoiser = Denoiser(denoiser)
    refuse_lazy(denoiser)
    if denoiser.predicts != "clean" or denoiser.scaling is not None or denoiser.data_range not in (None, (0, 1)):
        raise InputError(
            f"{denoiser.name} has {denoiser.extra_repr()}: what is trained here predicts the clean image from the "
            "noisy one as it is; give Denoiser(model, sigma_to=...) alone, with data_range (0, 1) or None"
        )
    return denoiser


def _blame_images(denoiser: Denoiser, images: ImageSet, crop: int | None) -> None:
    """After a step that failed, the clear error of one image, if the network cannot take these at all."""
    try:
        with torch.no_grad(), evaluating(denoiser):
            denoiser(images.read([0])[..., :crop, :crop].to(place_of(denoiser)), 0.1)
    except InputError:
        raise
    except Exception:
        # The step's own failure says more.
        return


@contextmanager
def _algorithms(deterministic: bool) -> Iterator[None]:
    """On GPUs, the fastest convolutions as they are found by trying, or those that always give the same bits."""
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = not deterministic, deterministic
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before


@contextmanager
def _within_means(batch_size: int) -> Iterator[None]:
    """What the machine lacks, memory or a compiler, is a clear error."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise CapacityError(
            f"batch_size={batch_size} does not fit into the GPU's memory beside the images "
            f"({str(error).splitlines()[0]}): give a smaller one, or start more processes"
        ) from error
    except RuntimeError as error:
        # Their classes are not named here, since naming them takes seconds that only compiling needs.
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        raise CapacityError(
            f"torch.compile does not work here ({str(error).splitlines()[0]}): train without compile, or install a "
            "C++ compiler"
        ) from error


def _drive(run: Run, data: Tensor, plan: _Plan) -> None:
    n = run.recipe.batch_size
    log = _Log(plan.folder, run.step)
    began = saved = time.monotonic()
    earlier = run.seconds
    run.settle(data)
    losses: list[Tensor] = []
    ended = False
    asked = None if plan.progress else False
    if plan.folder is not None and plan.weights_every and not run.step:
        run.keep(of_step(plan.folder, 0), optimiser=False)
    with bar(run.recipe.steps * n, "img", asked, "training", done=run.step * n) as shown:
        while not ended:
            losses.append(run.advance(data))
            now = time.monotonic()
            shown.update(n)
            if plan.folder is not None and plan.weights_every and run.step % plan.weights_every == 0:
                run.keep(of_step(plan.folder, run.step), optimiser=False)
            late, due = run.processes.agreed(now > plan.deadline, now - saved > plan.keep_every)
            ended = late or run.step >= plan.last
            report = ended or run.step % plan.report_every == 0
            if not (report or due):
                continue
            # Waits for the device, so that the time that follows is true.
            loss = _mean_loss(run, losses)
            run.seconds = earlier + time.monotonic() - began
            if report:
                log.write(_report(run, loss, plan.held_out, shown))
                losses.clear()
            if ended or due:
                run.seconds = earlier + time.monotonic() - began
                if plan.folder is not None:
                    run.keep(plan.folder / CHECKPOINT)
                saved = time.monotonic()


def _report(run: Run, loss: float, held_out: ImageSet | None, shown: Bar) -> dict[str, Any]:
    """One line of the log: where the run stands, and how well the averaged weights denoise."""
    line = {
        "step": run.step,
        "images": run.step * run.recipe.batch_size,
        "seconds": round(run.seconds, 1),
        "loss": loss,
        "lr": run.recipe.lr_at(run.step - 1),
        "precision": run.precision,
    }
    if held_out is not None:
        with run.averaged() as denoiser, silent():
            curve = psnr_curve(denoiser, held_out, sigma=CARD_SIGMA).mean("image")
        line["psnr"] = {f"{s:g}": round(float(v), 2) for s, v in zip(CARD_SIGMA, curve, strict=True)}
        shown.note(f"loss {loss:.4g}, {line['psnr']['0.2']} dB at σ = 0.2")
    return line


def _mean_loss(run: Run, losses: list[Tensor]) -> float:
    """Mean loss since the last report, over all processes; a training that diverged ends here, before it is kept."""
    loss = run.processes.mean(torch.stack(losses).mean()) if losses else 0.0
    if not math.isfinite(loss):
        raise ModelError(
            f"the loss is {loss} after {run.step} steps: the training diverged; lower lr (now {run.recipe.lr}) "
            "and give another folder"
        )
    return loss


class _Log:
    """Appends JSON lines to a file, if there is a folder for it."""

    def __init__(self, folder: Path | None, step: int) -> None:
        self.path = None if folder is None else folder / LOG_FILE
        if self.path is not None and self.path.exists():
            # What a killed run reported after its last checkpoint, perhaps not to the end of a line, is done again.
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
            with files.whole(self.path) as unfinished:
                unfinished.write_text("".join(x + "\n" for x in lines if _step_of(x) <= step), encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        if self.path is not None:
            with writing_to(self.path.parent), self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _step_of(line: str) -> float:
    """The step of a line of the log; infinity where the line is none, as what a kill leaves of one."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf
