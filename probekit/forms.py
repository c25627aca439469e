"""How image sets, denoisers and taps show themselves in notebooks: short, and with names as texts, never as markup."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.naming import abridged

if TYPE_CHECKING:
    from torch import nn

__all__ = ["html_of_denoiser", "html_of_images", "html_of_tap", "table"]

THUMBNAILS, ACROSS, SIDE = 24, 12, 48
CLASSES = 12
SHORT = 60
LEFT = 'style="text-align:left"'


def table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A title and rows of two texts, as HTML."""
    cells = "".join(
        f"<tr><th {LEFT}>{_text(name)}</th><td {LEFT}><bdi>{_text(value)}</bdi></td></tr>" for name, value in rows
    )
    return f"<div><strong><bdi>{_text(title)}</bdi></strong><table>{cells}</table></div>"


def _text(value: str) -> str:
    return html.escape(abridged(value))


def html_of_images(images: Any) -> str:
    """Two dozen of the images, evenly over the set, and what there is; at most these are read."""
    rows = [("images", f"{len(images):,} of {'×'.join(map(str, images.shape))} (bands × rows × columns)")]
    if images.labels is not None:
        counts = Counter(images.labels).most_common()
        told = ", ".join(f"{_short(name) or 'no class'}: {count:,}" for name, count in counts[:CLASSES])
        more = f" and {len(counts) - CLASSES} more" if len(counts) > CLASSES else ""
        rows.append((f"{len(counts)} classes", told + more))
    rows += [("prepared", images.preparation)] if images.preparation != "none" else []
    rows += [("left out", f"{len(images.skipped):,} files")] if images.skipped else []
    some = np.unique(np.linspace(0, len(images) - 1, min(len(images), THUMBNAILS)).round().astype(int)).tolist()
    try:
        shown = _sheet(images.read(some).numpy()) if some else ""
    except Exception as error:
        # Whatever is wrong with an image, a notebook's cell ends with what can be said.
        shown = f"<p>they cannot be shown: {_text(f'{type(error).__name__}: {error}')}</p>"
    return table(images.name, rows) + shown


def _short(name: str) -> str:
    return name if len(name) <= SHORT else f"{name[: SHORT // 2]}…{name[-SHORT // 2 :]}"


def _sheet(pictures: np.ndarray) -> str:
    """Pictures (n, band, row, col) on one sheet, as an inline picture."""
    from PIL import Image

    low, high = float(pictures.min()), float(pictures.max())
    low, high = (0.0, 1.0) if low >= -0.5 and high <= 1.5 else (low, high if high > low else low + 1)
    values = (255 * np.clip((pictures - low) / (high - low), 0, 1)).round().astype(np.uint8)
    values = np.moveaxis(values[:, :3] if values.shape[1] >= 3 else np.repeat(values[:, :1], 3, axis=1), 1, -1)
    down = -(-len(values) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * SIDE, down * SIDE), "white")
    for k, picture in enumerate(values):
        one = Image.fromarray(np.ascontiguousarray(picture))
        scale = (SIDE - 2) / max(one.size)
        size = (max(1, round(one.width * scale)), max(1, round(one.height * scale)))
        way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        sheet.paste(one.resize(size, way), (k % ACROSS * SIDE, k // ACROSS * SIDE))
    file = BytesIO()
    sheet.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="{len(values)} of the images" src="data:image/png;base64,{data}">'


def html_of_denoiser(denoiser: Any) -> str:
    """What a denoiser is: its network, size, settings, and the taps that it declares."""
    network: nn.Module = denoiser.network
    count = sum(p.numel() for p in network.parameters())
    aliases = getattr(network, "tap_aliases", {})
    rows = [
        ("network", f"{type(network).__name__}, {count:,} weights"),
        ("settings", denoiser.extra_repr()),
        (
            "taps",
            ", ".join(map(str, aliases)) if aliases else "none declared: probekit.taps(denoiser, shape) lists all",
        ),
    ]
    return table(f"Denoiser {denoiser.name}", rows)


def html_of_tap(tap: Any) -> str:
    """Where a tap reads, and what is made of it."""
    rows = [(name, path or "found once there are images") for name, path in tap.paths.items()]
    name = getattr(tap.denoiser, "name", type(tap.denoiser).__name__)
    return table(f"Tap of {name}, reduce={tap._reduce_name}", rows)
