"""``probekit train``: a denoiser from photographs or procedural images, with a model card."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import nn

from probekit.cli.arguments import images_called, numbers
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError, ProbeError
from probekit.evaluation.psnr import CARD_ROWS, card_table
from probekit.evaluation.references import PATCH
from probekit.images import ImageSet
from probekit.machine.modes import evaluating
from probekit.machine.weights import weights_sha256
from probekit.models import zoo
from probekit.models.dncnn import DnCNN
from probekit.models.parts import part_of
from probekit.models.unet import SigmaUNet, UNet
from probekit.models.widening import widened
from probekit.train import Recipe, launched, progress_of
from probekit.train import train as run_training
from probekit.train.checkpoint import CHECKPOINT
from probekit.train.processes import usable

CHANNELS, DEPTH = "16,32,64,128", 17


class Architecture(StrEnum):
    """Networks that can be trained."""

    unet = "unet"
    sigma_unet = "sigma-unet"
    dncnn = "dncnn"


class Precision(StrEnum):
    """Number formats that the forward pass can be made in."""

    bf16 = "bf16"
    float32 = "float32"


def train(
    images: Annotated[
        list[str], typer.Argument(help="Folders or zips of training images, or shapes:COUNT; several are joined.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, log and weights; a run kept there goes on.")],
    held_out: Annotated[str, typer.Option(help="Images like those to measure PSNR on, for log and card.")],
    name: Annotated[str, typer.Option(help="Name of the denoiser: OUT/NAME.safetensors.")] = "denoiser",
    size: Annotated[int, typer.Option(help="Reduce images to this shorter side (box filter) and cut a square.")] = 32,
    crop: Annotated[
        int | None, typer.Option(help="Train on squares of this side, cut at random from those of --size.")
    ] = None,
    model: Annotated[Architecture | None, typer.Option(help="Blind UNet (the default), UNet told σ, or DnCNN.")] = None,
    channels: Annotated[
        str | None,
        typer.Option(help=f"UNet: channels from fine to coarse, then the middle ({CHANNELS}). DnCNN: one width."),
    ] = None,
    depth: Annotated[int | None, typer.Option(help=f"DnCNN only: convolutions in all ({DEPTH}).")] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps in all.")] = Recipe.steps,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this time, at a checkpoint; the same command goes on from there.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images per step, over all processes.")] = Recipe.batch_size,
    lr: Annotated[float, typer.Option(help="Peak learning rate of Adam.")] = Recipe.lr,
    sigma_max: Annotated[float, typer.Option(help="σ is uniform in (0, this].")] = Recipe.sigma_max,
    weight_power: Annotated[float, typer.Option(help="Weight the loss by σ^−this; 0 is the paper's.")] = 0.0,
    ema: Annotated[float, typer.Option(help="Average the weights over this fraction of the steps made.")] = Recipe.ema,
    seed: Annotated[int, typer.Option(help="Of initial weights, order, noise and flips.")] = 0,
    init: Annotated[
        str | None, typer.Option(help="Start from this denoiser, by name or path; --channels widens it.")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Another denoiser for the card, by name or path; can be repeated.")
    ] = None,
    evaluations: Annotated[int, typer.Option(help="How often PSNR goes into the log.")] = 20,
    max_held_out: Annotated[int, typer.Option(min=1, help="Held-out images for the log; the card uses all.")] = 500,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's own choice by default.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU is taken if there is one.")] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Of the forward pass; by default bf16 on a GPU, float32 on a CPU.")
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Use torch.compile (on CPU: needs a C++ compiler).")
    ] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="On a GPU: the same bits each time, at some cost in speed.")
    ] = False,
    export: Annotated[
        bool, typer.Option("--export", help="Train no further: write weights and card as they are.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train a denoiser and write its weights with a model card.

    On several GPUs, start it by torchrun: torchrun --nproc-per-node 8 -m probekit train …
    """
    began = time.monotonic()
    if minutes is not None and not minutes >= 0:
        raise InputError(f"--minutes {minutes}: give a time of at least 0, or leave it out to train to the end")
    if not name or Path(name).name != name or part_of(Path(f"{name}.safetensors")):
        raise InputError(f"--name {name!r}: give the name of a file without its ending, and not that of a part of one")
    if threads is not None:
        torch.set_num_threads(threads)
    recipe = Recipe(
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        sigma_max=sigma_max,
        weight_power=weight_power,
        ema=ema,
        seed=seed,
        crop=crop,
    )
    if (side := crop or size) < PATCH:
        option = "--size" if crop is None else "--crop"
        raise InputError(
            f"{option} {side}: the card's reference filters {PATCH}×{PATCH} patches; give at least {PATCH}"
        )
    with launched() as rank:
        data = images_called(images, size=size, crop=size)
        validation = _centred(images_called([held_out], size=size, crop=side), side)
        others = _compared(compare or [], validation)
        torch.manual_seed(seed)
        denoiser = _begun(init, model, None if channels is None else numbers(channels), depth)
        with evaluating(denoiser), torch.inference_mode():
            # An image that the network cannot take is refused before the training.
            denoiser(validation.read([0]), 0.5)
        if export or (out / CHECKPOINT).exists():
            _check_start(progress_of(out), denoiser, init)
        denoiser = run_training(
            denoiser,
            data,
            recipe=recipe,
            out=out,
            held_out=_thinned(validation, max_held_out),
            evaluations=evaluations,
            device=device,
            precision=None if precision is None else precision.value,
            compile=compile,
            deterministic=deterministic,
            progress=not quiet,
            until=0 if export else None,
            # Reading the images counts too.
            minutes=None if minutes is None else max(0.0, minutes - (time.monotonic() - began) / 60),
        )
        processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if rank:
        return
    made = progress_of(out)
    if made["step"] < steps and not export:
        typer.echo(f"stopped after {made['step']} of {steps} steps: the same command goes on from there")
        return
    made_on = _device_name(device, threads, processes)
    card = _card(denoiser, data, validation, made, init, made_on, others)
    path = zoo.save(denoiser, out / f"{name}.safetensors", card=card)
    typer.echo(_psnr_table(card["psnr"]))
    typer.echo(f"wrote {path} and {path.with_suffix('.json').name}")


def _compared(names: Sequence[str], validation: ImageSet) -> Mapping[str, nn.Module]:
    """Denoisers to compare with; that they can take the images is seen before the training, not after it."""
    found = {}
    for name in names:
        other = zoo.load(name)
        try:
            with torch.inference_mode():
                other(validation.read([0]), 0.5)
        except ProbeError as error:
            raise InputError(f"--compare {name}: {error}") from error
        if other.name in CARD_ROWS or other.name in found:
            raise InputError(
                f"--compare {name}: the card has a row {other.name} already; save it under another name, or leave it "
                "out"
            )
        found[other.name] = other
    return found


def _card(
    denoiser: Denoiser,
    data: ImageSet,
    validation: ImageSet,
    made: dict[str, Any],
    init: str | None,
    device: str,
    others: Mapping[str, nn.Module],
) -> dict[str, Any]:
    """The model card: how the weights came about, and how well they denoise beside other denoisers."""
    seen = made["step"] * made["recipe"]["batch_size"]
    # As large as what is held out, which is as large as what it is trained on.
    fitted_on = _centred(_thinned(data, 5000), validation.shape[1])
    start: Any = f"Kaiming-normal, seed {made['recipe']['seed']}"
    if init is not None:
        before = zoo.describe(init)
        start = {key: before[key] for key in ("name", "weights_sha256")}
        start |= {key: before["card"][key] for key in ("recipe", "initial weights", "steps") if key in before["card"]}
        if before["config"] != denoiser.model.config:
            start["widened from"] = before["config"]
        seen += before["card"].get("images seen", 0)
    return {
        "data": {"training": data.name, "images": len(data), "size": data.shape[1], "resize": "box filter"},
        "recipe": made["recipe"],
        "initial weights": start,
        "steps": made["step"],
        "images seen": seen,
        "wall time in s": round(made["seconds"]),
        "device": device,
        "precision": made.get("precision", "float32"),
        "psnr": card_table(denoiser, validation, fitted_on=fitted_on, compare=others),
    }


def _begun(init: str | None, model: Architecture | None, channels: list[int] | None, depth: int | None) -> Denoiser:
    """The denoiser to train: a new one, or that of --init, made wider on request; the rest asked for must fit it."""
    if init is None:
        return _new_denoiser(model or Architecture.unet, channels or numbers(CHANNELS), depth or DEPTH)
    begun, kind = zoo.load(init), zoo.describe(init)["architecture"]
    config: Mapping[str, Any] = begun.model.config  # pyright: ignore[reportAssignmentType]
    there = {"model": kind, "depth": config.get("depth")}
    asked = {"model": None if model is None else model.value, "depth": depth}
    differing = [
        f"--{key} {value}, where it has {there[key] or 'none'}"
        for key, value in asked.items()
        if value is not None and value != there[key]
    ]
    if differing:
        raise InputError(f"--init {init} is another network: {'; '.join(differing)}; leave these options out")
    if channels is None or channels == config.get("channels", [config.get("width")]):
        return begun
    try:
        return widened(begun, channels)
    except InputError as error:
        raise InputError(f"--init {init} --{error}") from error


def _check_start(made: Mapping[str, Any], denoiser: Denoiser, init: str | None) -> None:
    """What the card says that a run began with is what it began with."""
    start = made.get("start")
    if start is None:
        return
    # New weights follow from the seed, which the recipe names; bit for bit only on machines of one kind.
    same = start["name"] == denoiser.name and (
        init is None or start["weights_sha256"] == weights_sha256(denoiser.model.state_dict())
    )
    if not same:
        raise InputError(
            f"the run in --out began from {start['name']} ({start['weights_sha256'][:12]}…), not from "
            f"{denoiser.name if init is None else init}: give the --init of the first command, or another folder"
        )


def _new_denoiser(model: Architecture, channels: list[int], depth: int) -> Denoiser:
    """An untrained network; the UNet's numbers of convolutions are the paper's, continued to other depths."""
    if model is Architecture.dncnn:
        if len(channels) != 1:
            raise InputError(f"--channels {','.join(map(str, channels))}: a DnCNN has one width, e.g. --channels 24")
        return Denoiser(DnCNN(depth, channels[0]))
    scales = len(channels) - 1
    convs = {"encoder_convs": [2] * scales, "decoder_convs": range(5, 5 + scales)}
    if model is Architecture.sigma_unet:
        return Denoiser(SigmaUNet(channels, **convs), sigma_to="sigma")
    return Denoiser(UNet(channels, **convs))


def _centred(images: ImageSet, side: int) -> ImageSet:
    """The squares of this side in the middle of the images."""
    bands, rows, cols = images.shape
    if (rows, cols) == (side, side) or side > min(rows, cols):
        return images
    top, left = (rows - side) // 2, (cols - side) // 2

    def read(positions: Sequence[int]) -> torch.Tensor:
        return images.read(positions)[:, :, top : top + side, left : left + side]

    return replace(images, shape=(bands, side, side), _read=read)


def _thinned(images: ImageSet, count: int) -> ImageSet:
    """About `count` of the images, evenly spread, so that every class of a sorted set is there."""
    return images.subset(range(0, len(images), max(1, len(images) // count)))


def _device_name(device: str | None, threads: int | None, processes: int) -> str:
    many = f"{processes} × " if processes > 1 else ""
    if (place := usable(device)).type == "cuda":
        return many + torch.cuda.get_device_name(place)
    return f"{many}CPU, {threads or torch.get_num_threads()} threads"


def _psnr_table(table: Mapping[str, Any]) -> str:
    """The card's PSNR table as text, one method a line."""
    rows = {key: value for key, value in table.items() if isinstance(value, list)}
    width = max(14, *map(len, rows))
    lines = [f"PSNR in dB, mean over {table['count']} images of {table['images']}"]
    for key, row in rows.items():
        cells = (f"{v:7g}" if key == "sigma" else f"{v:7.2f}" for v in row)
        lines.append(f"{key.replace('_', ' '):>{width}}" + "".join(cells))
    return "\n".join(lines)
