"""A training run from images to weights with a card, as the shell asks for it: in parts, in processes, or exported."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.evaluation.references import PATCH
from probekit.images import ImageSet
from probekit.machine.modes import evaluating, threaded
from probekit.models import zoo
from probekit.models.card import comparable, model_card, psnr_text
from probekit.models.parts import part_of
from probekit.train.checkpoint import CHECKPOINT
from probekit.train.data import centred, thinned
from probekit.train.loop import progress_of, train
from probekit.train.precision import checked
from probekit.train.processes import launched, usable
from probekit.train.recipe import Recipe
from probekit.train.start import Start

__all__ = ["Machine", "Measured", "trained_denoiser", "weights_path"]

# Training images that the references of a card are fitted on.
FITTED_ON = 5000


class Measured(NamedTuple):
    """How a run is measured.

    Attributes
    ----------
    held_out
        Gives the images that PSNR is measured on.
    compare
        Gives the other denoisers of the card, with what they were called.
    evaluations, most
        How often PSNR goes into the log, and of how many of the images.
    keep_every
        After how many steps the weights are kept; None for never.
    """

    held_out: Callable[[], ImageSet]
    compare: Callable[[], list[tuple[str, nn.Module]]]
    evaluations: int
    most: int
    keep_every: int | None


class Machine(NamedTuple):
    """What a run is computed on, as `train` takes it; threads of the CPU."""

    threads: int | None
    device: str | None
    precision: str
    compile: bool
    deterministic: bool


def trained_denoiser(
    images: Callable[[], ImageSet],
    path: Path,
    *,
    recipe: Recipe,
    start: Start,
    measured: Measured,
    machine: Machine,
    minutes: float | None,
    export: bool,
    progress: bool,
) -> Sequence[str]:
    """Train, and write weights and card once the last step is made; what there is to say, line by line.

    Parameters
    ----------
    images
        Gives the training images; read by each process.
    path
        Of the weights; checkpoint and log are kept in its folder, and a run kept there goes on.
    recipe, start, measured, machine
        What is done, from what, how it is measured, and on what.
    minutes
        Stop after this time, the reading of images included, at a checkpoint.
    export
        Whether to train no further, and write weights and card as they are.
    progress
        Whether to show a progress bar.
    """
    began, out = time.monotonic(), path.parent
    if minutes is not None and not minutes >= 0:
        raise InputError(f"--minutes {minutes}: give a time of at least 0, or leave it out to train to the end")
    if export or (out / CHECKPOINT).exists():
        progress_of(out)
    with threaded(machine.threads), launched() as rank:
        checked(machine.precision, usable(machine.device))
        data = images()
        side = recipe.crop or min(data.shape[1:])
        if side < PATCH:
            option = "--size" if recipe.crop is None else "--crop"
            raise InputError(
                f"{option} {side}: the card's reference filters {PATCH}×{PATCH} patches; give at least {PATCH}"
            )
        held_out = centred(measured.held_out(), side)
        if held_out.shape[1:] != (side, side):
            rows, cols = held_out.shape[1:]
            raise InputError(
                f"held-out images are {rows}×{cols} and training is on {side}×{side}: give ones of that size at least"
            )
        others = comparable(measured.compare(), held_out)
        torch.manual_seed(start.seed)
        denoiser = start.denoiser()
        with evaluating(denoiser), torch.inference_mode():
            # An image that the network cannot take is refused before the training.
            denoiser(held_out.read([0]), 0.5)
        if export or (out / CHECKPOINT).exists():
            start.check(progress_of(out), denoiser)
        denoiser = train(
            denoiser,
            data,
            recipe=recipe,
            out=out,
            held_out=thinned(held_out, measured.most),
            evaluations=measured.evaluations,
            keep_every=measured.keep_every,
            **{key: value for key, value in machine._asdict().items() if key != "threads"},
            progress=progress,
            until=0 if export else None,
            # Reading the images counts too.
            minutes=None if minutes is None else max(0.0, minutes - (time.monotonic() - began) / 60),
        )
        processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if rank:
        return []
    made = progress_of(out)
    if made["step"] < recipe.steps and not export:
        return [f"stopped after {made['step']} of {recipe.steps} steps: the same command goes on from there"]
    with threaded(machine.threads):
        return _written(denoiser, path, data, held_out, made, start, others, _named(machine, processes))


def weights_path(out: Path, name: str) -> Path:
    """Where the weights of a run go.

    Raises
    ------
    InputError
        If the name is that of no file, or of a part of one.
    """
    path = out / f"{name}.safetensors"
    if not name or Path(name).name != name or part_of(path):
        raise InputError(f"--name {name!r}: give the name of a file without its ending, and not that of a part of one")
    return path


def _written(
    denoiser: Denoiser,
    path: Path,
    data: ImageSet,
    held_out: ImageSet,
    made: Mapping[str, object],
    start: Start,
    others: Mapping[str, nn.Module],
    device: str,
) -> list[str]:
    card = model_card(
        denoiser,
        trained_on=data,
        # As large as what is held out, which is as large as what it is trained on.
        fitted_on=centred(thinned(data, FITTED_ON), held_out.shape[1]),
        held_out=held_out,
        progress=made,
        start=start.described(denoiser),
        device=device,
        compare=others,
    )
    zoo.save(denoiser, path, card=card)
    return [psnr_text(card["psnr"]), f"wrote {path} and {path.with_suffix('.json').name}"]


def _named(machine: Machine, processes: int) -> str:
    many = f"{processes} × " if processes > 1 else ""
    if (place := usable(machine.device)).type == "cuda":
        return many + torch.cuda.get_device_name(place)
    return f"{many}CPU, {torch.get_num_threads()} threads"
