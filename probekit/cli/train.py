"""``probekit train``: the options of a training run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from probekit.cli.arguments import (
    CHECK,
    AnySeed,
    Bands,
    Check,
    Images,
    Quiet,
    Size,
    images_called,
    network_called,
    numbers,
    out_option,
    words,
)
from probekit.cli.checking import whole_of
from probekit.cli.output import goes_on, results_awaited
from probekit.train.recipe import CHANNELS, DEPTH, Recipe

__all__ = ["command", "train"]


class Architecture(StrEnum):
    """Networks that can be trained."""

    unet = "unet"
    sigma_unet = "sigma-unet"
    dncnn = "dncnn"


class Gains(StrEnum):
    """What gains of the normalisations begin with."""

    one = "one"
    paper = "paper"


def train(
    images: Images,
    out: Annotated[
        Path,
        out_option("Folder of checkpoint, log and weights; its run goes on."),
    ],
    held_out: Annotated[str, typer.Option(help="Images like those to measure PSNR on, for log and card.")],
    name: Annotated[str, typer.Option(help="Name of the denoiser: OUT/NAME.safetensors.")] = "denoiser",
    size: Size = None,
    crop: Annotated[
        int | None, typer.Option(callback=whole_of(1), help="Train on squares of this side, cut at random.")
    ] = None,
    bands: Bands = 3,
    check: Check = CHECK,
    model: Annotated[Architecture | None, typer.Option(help="Blind UNet (the default), UNet told σ, or DnCNN.")] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            help=f"UNet: from fine to coarse, then the middle ({','.join(map(str, CHANNELS))}). DnCNN: one width."
        ),
    ] = None,
    depth: Annotated[int | None, typer.Option(help=f"DnCNN only: convolutions in all ({DEPTH}).")] = None,
    gains: Annotated[
        Gains | None, typer.Option(help="Of normalisations at first: one, or signed and tiny as in the paper's code.")
    ] = None,
    skips: Annotated[
        str | None,
        typer.Option(
            help="UNet: which encoder blocks feed the decoder, as 1,1,0; a fraction is how often in training."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps in all.")] = Recipe.steps,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this time, at a checkpoint; the same command goes on from there.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images per step, over all processes.")] = Recipe.batch_size,
    lr: Annotated[float, typer.Option(help="Peak learning rate of Adam.")] = Recipe.lr,
    sigma_max: Annotated[float, typer.Option(help="Largest σ trained on.")] = Recipe.sigma_max,
    sigma_min: Annotated[float, typer.Option(help="Smallest σ trained on.")] = Recipe.sigma_min,
    sigma_power: Annotated[
        float, typer.Option(help="σ has a density ∝ σ^−this: 0 uniform, 0.5 as the paper's textures, 1 log-uniform.")
    ] = Recipe.sigma_power,
    weight_power: Annotated[float, typer.Option(help="Weight the loss by σ^−this; 0 is the paper's.")] = 0.0,
    ema: Annotated[float, typer.Option(help="Average the weights over this fraction of the steps made.")] = Recipe.ema,
    seed: AnySeed = 0,
    init: Annotated[str | None, typer.Option(help="Start from this denoiser; --channels widens it.")] = None,
    compare: Annotated[str | None, typer.Option(help="Other networks for the card, comma-separated.")] = None,
    evaluations: Annotated[int, typer.Option(callback=whole_of(0), help="How often PSNR goes into the log.")] = 20,
    keep_every: Annotated[
        int | None, typer.Option(callback=whole_of(1), help="Keep the weights, OUT/steps/STEP.safetensors, so often.")
    ] = None,
    max_held_out: Annotated[int, typer.Option(min=1, help="Held-out images for the log; the card uses all.")] = 500,
    threads: Annotated[
        int | None, typer.Option(min=1, max=4096, help="CPU threads; torch's own choice by default.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU is taken if there is one.")] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|tf32|bfloat16", help="Of the passes; auto: the fastest, by trial, that agrees."
        ),
    ] = "auto",
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile (CPU: needs a C++ compiler).")] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="On a GPU: the same bits each time, at some cost in speed.")
    ] = False,
    export: Annotated[bool, typer.Option("--export", help="Train no further: write weights and card now.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a denoiser and write its weights with a model card.

    --size also cuts the middle square. On several GPUs, start it by torchrun: torchrun --nproc-per-node 8 -m probekit
    train …
    """
    from probekit.train.checkpoint import CHECKPOINT
    from probekit.train.command import Machine, Measured, trained_denoiser, weights_path
    from probekit.train.loop import LOG_FILE
    from probekit.train.start import Start

    path = weights_path(out, name)
    results_awaited(out, CHECKPOINT, LOG_FILE, path.name, path.with_suffix(".json").name)
    with goes_on(out / CHECKPOINT):
        said = trained_denoiser(
            lambda: images_called(images, size=size, crop=size, bands=bands, check=check),
            path,
            recipe=Recipe(
                steps=steps,
                batch_size=batch_size,
                lr=lr,
                sigma_max=sigma_max,
                sigma_min=sigma_min,
                sigma_power=sigma_power,
                weight_power=weight_power,
                ema=ema,
                seed=seed,
                crop=crop,
            ),
            start=Start(
                init=init,
                model=None if model is None else model.value,
                channels=None if channels is None else numbers(channels, option="--channels"),
                depth=depth,
                gains=None if gains is None else gains.value,
                skips=None if skips is None else numbers(skips, float, option="--skips"),
                bands=bands if init is None else None,
                seed=seed,
            ),
            measured=Measured(
                lambda: images_called(words(held_out) or [], size=size, crop=crop or size, bands=bands, check=check),
                lambda: [(other, network_called(other)) for other in words(compare) or []],
                evaluations,
                max_held_out,
                keep_every,
            ),
            machine=Machine(threads, device, precision, compile, deterministic),
            minutes=minutes,
            export=export,
            progress=not quiet,
        )
    for line in said:
        typer.echo(line)


command = train
