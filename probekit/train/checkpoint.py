"""A run on disk: tensors and the plan that they belong to, whole or not at all, for any device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load, save_file

from probekit.errors import InputError, ModelError
from probekit.machine.files import whole
from probekit.machine.reading import reading
from probekit.machine.weights import weights_sha256
from probekit.models.zoo import precision_named

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.train.recipe import Recipe

__all__ = ["CHECKPOINT", "differences", "part", "present", "read", "write"]

CHECKPOINT = "checkpoint.safetensors"
LABELS = {"images": "training images", "content": "training images' content"}


def write(path: Path, tensors: Mapping[str, Tensor], plan: Mapping[str, Any]) -> None:
    """Keep tensors and plan with their SHA-256, whole or not at all."""
    contiguous, text = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}, json.dumps(plan)
    with whole(path) as unfinished:
        save_file(contiguous, unfinished, metadata={"plan": text, "sha256": _sum(contiguous, text)})


def present(folder: Path) -> Path:
    """The checkpoint of the run in a folder.

    Raises
    ------
    InputError
        If there is none.
    """
    if not (folder / CHECKPOINT).exists():
        raise InputError(f"{folder} holds no {CHECKPOINT}: train into it first")
    return folder / CHECKPOINT


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Plan and tensors, on the CPU.

    Raises
    ------
    ModelError
        If the file is damaged or is no checkpoint.
    """
    with reading(path, "remove it to start anew", ModelError):
        # At once: safe_open opens a file twice, and a run may put its next checkpoint in place between.
        file = path.read_bytes()
        tensors = load(file)
        metadata = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])["__metadata__"]
        plan = json.loads(metadata["plan"])
        if not (isinstance(plan, dict) and isinstance(plan["recipe"], dict) and isinstance(plan["step"], int)):
            raise ModelError(f"{path} holds no plan of a run: remove it to start anew")
        # Earlier versions wrote no sum.
        written = metadata.get("sha256")
        if written is not None and written != _sum(tensors, metadata["plan"]):
            raise ModelError(f"{path} is damaged, its checksum is another: remove it to start anew")
        if "precision" in plan:
            plan["precision"] = precision_named(plan["precision"])
        return plan, tensors


def _sum(tensors: Mapping[str, Tensor], plan: str) -> str:
    return weights_sha256({**tensors, "plan of the run": plan})


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without the beginning."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def differences(plan: Mapping[str, Any], recipe: Recipe, **others: Any) -> list[str]:
    """In what a plan differs from a recipe and other settings; None, and what it does not name, match anything."""
    mine = asdict(recipe)
    # A plan written before the recipe had a field was made with the field's default.
    there = {f.name: plan["recipe"].get(f.name, f.default) for f in fields(recipe)}
    found = [f"{k}: {there[k]!r} there, {mine[k]!r} now" for k in mine if there[k] != mine[k]]
    for name, value in others.items():
        there_then = plan.get(name, value)
        if value is None or there_then == value:
            continue
        if isinstance(value, Mapping) and isinstance(there_then, Mapping):
            keys = [k for k in dict.fromkeys((*there_then, *value)) if there_then.get(k) != value.get(k)]
            found += [f"{name} {k}: {there_then.get(k)} there, {value.get(k)} now" for k in keys[:3]]
        else:
            found.append(f"{LABELS.get(name, name)}: {there_then} there, {value} now")
    return found
