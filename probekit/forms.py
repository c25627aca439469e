"""How image sets, denoisers and taps show themselves in notebooks: short, and with names as texts, never as markup."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.machine.intensities import shown_range
from probekit.naming import abridged

if TYPE_CHECKING:
    from torch import nn

__all__ = ["html_of_denoiser", "html_of_images", "html_of_tap", "table"]

THUMBNAILS, ACROSS, SIDE = 24, 12, 48
CLASSES = 12
# Of taps.
ROWS = 20
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
    pictures, wrong = [], []
    for k in some:
        try:
            # One by one, since two dozen large ones may not fit in memory.
            pictures.append(_reduced(images.read([k]).numpy()[0]))
        except Exception as error:
            # Whatever is wrong with an image, a notebook's cell ends with what can be said.
            wrong.append(f"{type(error).__name__}: {error}")
    shown = _sheet(pictures) if pictures else ""
    if wrong:
        shown += f"<p>{len(wrong)} of {len(some)} images cannot be shown: <bdi>{_text(wrong[0])}</bdi></p>"
    return table(images.name, rows) + shown


def _short(name: str) -> str:
    return name if len(name) <= SHORT else f"{name[: SHORT // 2]}…{name[-SHORT // 2 :]}"


def _reduced(picture: np.ndarray) -> np.ndarray:
    """An image (band, row, col) as large as a thumbnail, (row, col, 3)."""
    from PIL import Image

    planes = picture[:3] if len(picture) >= 3 else np.repeat(picture[:1], 3, axis=0)
    scale = (SIDE - 2) / max(planes.shape[1:])
    size = (max(1, round(planes.shape[2] * scale)), max(1, round(planes.shape[1] * scale)))
    way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    return np.stack(
        [np.asarray(Image.fromarray(np.ascontiguousarray(one)).resize(size, way)) for one in planes], axis=-1
    )


def _sheet(pictures: list[np.ndarray]) -> str:
    """Thumbnails on one sheet, as an inline picture."""
    from PIL import Image

    low, high = shown_range(np.concatenate([one.ravel() for one in pictures]))
    down = -(-len(pictures) // ACROSS)
    sheet = Image.new("RGB", (min(len(pictures), ACROSS) * SIDE, down * SIDE), "white")
    for k, picture in enumerate(pictures):
        values = (255 * np.clip((picture - low) / (high - low), 0, 1)).round().astype(np.uint8)
        sheet.paste(Image.fromarray(values), (k % ACROSS * SIDE, k // ACROSS * SIDE))
    file = BytesIO()
    sheet.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="{len(pictures)} of the images" src="data:image/png;base64,{data}">'


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
    rows = [(name, path or "found once there are images") for name, path in list(tap.paths.items())[:ROWS]]
    rows += [("…", f"and {len(tap.paths) - ROWS} taps more")] if len(tap.paths) > ROWS else []
    name = getattr(tap.denoiser, "name", type(tap.denoiser).__name__)
    return table(f"Tap of {name}, reduce={tap._reduce_name}", rows)
