"""One palette and one drawer of pictures; matplotlib is loaded where a figure is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GUIDE", "PALETTE", "block_colours", "level_colours", "picture", "shown_range"]

# What a network or row is, then types of channel, sets of images, what stands out, and what rivals may spend.
PALETTE = {
    "trained": "tab:blue",
    "untrained": "0.5",
    "untrained, paper's gains": "0.7",
    "descriptor": "tab:orange",
    "other network": "tab:green",
    "silent": "0.75",
    "common": "tab:blue",
    "selective": "tab:orange",
    "suppressed": "tab:purple",
    "mixed": "tab:green",
    "undecided": "tan",
    "training": "tab:orange",
    "held out": "tab:blue",
    "samples": "tab:green",
    "rest": "tab:orange",
    "marked": "tab:red",
    "parameters": "tab:blue",
    "nonzeros": "tab:orange",
    "coefficients": "tab:green",
}
# Lines that values are read against: chance, zero, a bound.
GUIDE: dict[str, Any] = {"color": "0.5", "lw": 0.8, "ls": "--"}
ENCODER = ("#9ecae1", "#4292c6", "#084594", "#08306b")
DECODER = ("#a63603", "#e6550d", "#fdae6b", "#fdd0a2")


def level_colours(count: int) -> np.ndarray:
    """Colours (count, 4) of noise levels, from the least (dark) to the largest (light)."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.85, count))


def block_colours(blocks: Sequence[str]) -> list[str]:
    """Colours of blocks: encoder blue, middle black, decoder orange, others grey."""
    encoder, decoder = iter(ENCODER), iter(DECODER)
    return ["black" if b == "mid" else next(encoder if b.startswith("enc") else decoder, "0.6") for b in blocks]


def shown_range(values: np.ndarray) -> tuple[float, float]:
    """The intensities drawn black and white: 0 and 1, or the extremes where values are of another range."""
    low, high = float(values.min()), float(values.max())
    if low >= -0.5 and high <= 1.5:
        return 0.0, 1.0
    return low, high if high > low else low + 1


def picture(
    axis: Axes,
    image: np.ndarray,
    title: str = "",
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    frame: str | None = None,
    fontsize: float = 6,
) -> None:
    """Draw an image (bands, rows, cols): three bands as colour, else the first in grey; no ticks.

    Parameters
    ----------
    axis, image, title
        Where, what, and what stands above it.
    limits
        Intensities drawn black and white; see `shown_range`.
    frame
        Colour of a frame; by default there is none.
    fontsize
        Of the title.
    """
    low, high = limits
    pixels = np.clip((np.moveaxis(np.asarray(image, np.float64), 0, -1) - low) / (high - low), 0, 1)
    axis.imshow(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    if title:
        axis.set_title(title, fontsize=fontsize, pad=2)
    for spine in axis.spines.values():
        spine.set(visible=frame is not None, color=frame, linewidth=2)
