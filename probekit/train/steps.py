"""A network as it was on the way: weights that a run kept after some of its steps."""

from __future__ import annotations

import copy
from pathlib import Path

from probekit.checks import flag, instance, path, whole
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.train import checkpoint

__all__ = ["STEPS", "at_step", "of_step", "steps_kept"]

STEPS = "steps"


def steps_kept(out: str | Path) -> list[int]:
    """The steps of the run in folder `out` after which its weights were kept, in order; see `train`'s `keep_every`.

    Raises
    ------
    InputError
        If the folder holds no checkpoint.
    """
    folder = path("out", out, "the path of the folder of a run")
    checkpoint.present(folder)
    return sorted(int(one.stem) for one in (folder / STEPS).glob("*.safetensors") if one.stem.isdecimal())


def at_step(denoiser: Denoiser, out: str | Path, step: int, *, averaged: bool = True) -> Denoiser:
    """The denoiser as it was after a step of its training, from what `train` kept with `keep_every`.

    Parameters
    ----------
    denoiser
        Of the same network, e.g. the trained one; it is not changed.
    out
        Folder of the run.
    step
        One of `steps_kept(out)`.
    averaged
        Whether its weights are the average over the last steps, as those that a run returns, or those of the step.

    Returns
    -------
    Denoiser
        A copy, in evaluation mode, whose name ends in "@STEP".

    Raises
    ------
    InputError
        If nothing was kept at that step, or of another network.
    ModelError
        If what was kept cannot be read.
    """
    instance("denoiser", denoiser, Denoiser, "a probekit.Denoiser")
    averaged, step = flag("averaged", averaged), whole("step", step, least=0)
    known = steps_kept(out)
    if step not in known:
        there = f"of {len(known)} steps from {known[0]} to {known[-1]}" if known else "of no step"
        raise InputError(f"step={step}: {out} holds weights {there}: give one of them, or train with keep_every")
    tensors = checkpoint.read(of_step(Path(out), step))[1]
    copied = copy.deepcopy(denoiser)
    try:
        copied.model.load_state_dict(checkpoint.part(tensors, "average." if averaged else "model."))
    except RuntimeError as error:
        raise InputError(f"the weights of step {step} in {out} are those of another network: {error}") from error
    copied.name = f"{denoiser.name}@{step}"
    return copied.eval()


def of_step(folder: Path, step: int) -> Path:
    """Where the weights of a step are kept."""
    return folder / STEPS / f"{step:08d}.safetensors"
