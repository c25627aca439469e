"""Weights in one safetensors file or several: how tensors are dealt out, named, found and read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from probekit.errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["files_of", "in_parts", "part_of", "stored"]

# What a safetensors header takes at most: its fixed part, and for each tensor its name and numbers.
HEADER, ENTRY = 64, 160
PART = re.compile(r"(?P<name>.+)-\d{5}-of-\d{5}")


def part_of(path: Path) -> str | None:
    """The name of the denoiser that a file of this name is a part of, if it is one."""
    match = PART.fullmatch(path.stem)
    return None if match is None or path.suffix != ".safetensors" else match["name"]


def in_parts(state: Mapping[str, Tensor], path: Path, max_bytes: int) -> dict[str, dict[str, Tensor]]:
    """The tensors by file name, in their order, each file filled before the next."""
    parts: list[dict[str, Tensor]] = [{}]
    size = HEADER
    for key, value in state.items():
        takes = value.numel() * value.element_size() + len(key.encode()) + ENTRY
        if HEADER + takes > max_bytes:
            raise InputError(f"the tensor {key} alone takes {takes} bytes: give a larger max_bytes than {max_bytes}")
        if size + takes > max_bytes:
            parts.append({})
            size = HEADER
        parts[-1][key] = value
        size += takes
    if len(parts) == 1:
        return {path.name: parts[0]}
    return {f"{path.stem}-{n:05d}-of-{len(parts):05d}.safetensors": part for n, part in enumerate(parts, 1)}


def stored(path: Path, files: Any) -> dict[str, Tensor]:
    """The tensors of a denoiser's one file, or of those that its description lists."""
    if files is None:
        if not path.is_file():
            raise InputError(f"{path} does not exist: its description is there, but not its weights; get them again")
        return _read(path)
    described = path.with_suffix(".json")
    # Only names of its own parts: a description leads nowhere else.
    named = isinstance(files, list) and all(
        isinstance(file, str) and Path(file).name == file and part_of(Path(file)) == path.stem for file in files
    )
    if not named:
        raise ModelError(f"{described} lists files={files!r}: they are not parts of {path.stem}; get it again")
    missing = [file for file in files if not path.with_name(file).is_file()]
    if missing:
        raise ModelError(
            f"{', '.join(missing)} of the {len(files)} parts of {path.stem} lack beside {described}: get them again"
        )
    return {key: value for file in files for key, value in _read(path.with_name(file)).items()}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read ({error}): it is truncated or altered; get it again") from error


def files_of(path: Path) -> list[Path]:
    """Weights files of this name that are there."""
    parts = [file for file in path.parent.glob("*.safetensors") if part_of(file) == path.stem]
    return parts + [path] * path.is_file()
