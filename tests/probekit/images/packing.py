"""Files of images as tests need them: in folders, zips and tars of the same names."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Files = Mapping[str, bytes]


def noise(seed: int = 0, rows: int = 6, cols: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, cols, 3), dtype=np.uint8)


def png(seed: int = 0, rows: int = 6, cols: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(noise(seed, rows, cols)).save(stream, "PNG")
    return stream.getvalue()


def folder(path: Path, files: Files) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zipped(path: Path, files: Files, **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def member(name: str, content: bytes = b"", **told: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in told.items():
        setattr(info, key, value)
    return info, content


def tarred(path: Path, files: Files, *more: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=kind) as archive:
        for info, content in [*(member(name, content) for name, content in files.items()), *more]:
            archive.addfile(info, io.BytesIO(content))
    return path
