"""Model cards: how weights came about, and how well they denoise beside other denoisers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from probekit.denoising.denoiser import Denoiser, as_denoiser
from probekit.errors import InputError, ProbeError
from probekit.evaluation.psnr import CARD_ROWS, card_table
from probekit.images import ImageSet
from probekit.machine.modes import evaluating

__all__ = ["comparable", "model_card", "psnr_text"]


def comparable(networks: Iterable[tuple[str, nn.Module]], images: ImageSet) -> dict[str, nn.Module]:
    """Denoisers to be compared with in a card, by the names of their rows.

    That they can take the images is seen here, before anything is trained.

    Parameters
    ----------
    networks
        With what the user called them.
    images
        That they will denoise.

    Raises
    ------
    InputError
        If one cannot take the images, or is called like another row.
    """
    found: dict[str, nn.Module] = {}
    for called, network in networks:
        other = as_denoiser(network)
        name = getattr(other, "name", type(other).__name__)
        try:
            with evaluating(other), torch.inference_mode():
                other(images.read([0]), 0.5)
        except ProbeError as error:
            raise InputError(f"--compare {called}: {error}") from error
        if name in CARD_ROWS or name in found:
            raise InputError(
                f"--compare {called}: the card has a row {name} already; save it under another name, or leave it out"
            )
        found[name] = other
    return found


def model_card(
    denoiser: Denoiser,
    *,
    trained_on: ImageSet,
    fitted_on: ImageSet,
    held_out: ImageSet,
    progress: Mapping[str, Any],
    start: tuple[Any, int],
    device: str,
    compare: Mapping[str, nn.Module],
) -> dict[str, Any]:
    """The card of a trained denoiser.

    Parameters
    ----------
    denoiser
        With its final weights.
    trained_on, fitted_on, held_out
        The training images; some of them, of the size of those held out, on which the references are fitted; and those
        that PSNR is measured on.
    progress
        What `train.progress_of` tells of the run.
    start
        What the initial weights were, and how many images they had seen.
    device
        The machine, in words.
    compare
        Further denoisers of the table, by name.
    """
    initial, seen_before = start
    return {
        "data": {
            "training": trained_on.name,
            "images": len(trained_on),
            "size": trained_on.shape[1],
            "resize": "area averages",
        },
        "recipe": progress["recipe"],
        "initial weights": initial,
        "steps": progress["step"],
        "images seen": progress["step"] * progress["recipe"]["batch_size"] + seen_before,
        "wall time in s": round(progress["seconds"]),
        "device": device,
        "precision": progress.get("precision", "float32"),
        **({"trial of precision": trial} if (trial := progress.get("trial")) else {}),
        "psnr": card_table(denoiser, held_out, fitted_on=fitted_on, compare=compare),
    }


def psnr_text(table: Mapping[str, Any]) -> str:
    """The card's PSNR table as text, one method a line."""
    rows: dict[str, Sequence[float]] = {key: value for key, value in table.items() if isinstance(value, list)}
    width = max(14, *map(len, rows))
    lines = [f"PSNR in dB, mean over {table['count']} images of {table['images']}"]
    for key, row in rows.items():
        cells = (f"{v:7g}" if key == "sigma" else f"{v:7.2f}" for v in row)
        lines.append(f"{key.replace('_', ' '):>{width}}" + "".join(cells))
    return "\n".join(lines)
