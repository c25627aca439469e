"""`probekit.draw`: a network as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from probekit.drawing.plan import MAX_BOXES, planned

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

__all__ = ["draw"]


def draw(
    denoiser: nn.Module,
    shape: Sequence[int],
    *,
    depth: int | None = None,
    expand: str | Iterable[str] = (),
    max_boxes: int = MAX_BOXES,
    **conditions: Any,
) -> Figure:
    """Draw a network: a box for each block, with the name that `probekit.tap` takes, map size and cost.

    Boxes stand in order of execution, further to the right the fewer pixels their maps have, so that a
    UNet goes in and out again and a flat network straight down. Lines are what one forward pass showed:
    a box is joined to those that use what it made. Where several values meet between boxes there is a
    sign (+, −, ×; a dot for concatenation and all else). Opened blocks are grey frames around what is in
    them. Text stays text in SVG and PDF files, so that names can be copied.

    Parameters
    ----------
    denoiser, shape
        As for `probekit.taps`: a `probekit.Denoiser` or a network, and (C, H, W) of an image to try it on.
    depth
        Open all blocks down to this level of calls; 1 is what the network's own forward calls. By default
        blocks are shut, but large parts of a network are opened while boxes are few. What holds a
        declared alias is opened whatever the depth.
    expand
        Names of further blocks to open, by one level each.
    max_boxes
        Where there would be more boxes, repeated neighbours are folded into one, and without `depth`
        neighbours that differ too.
    conditions
        What else the network takes, by name, for a batch of one image; what it calls as one of the options
        above is first kept in a module around it.

    Returns
    -------
    Figure
        Cost is the share of the forward pass's arithmetic that is done in a box (not, as in
        `probekit.taps`, until its end), as number and as colour; "–" where none is counted.

    Raises
    ------
    InputError
        If an option is not one of the above, or `shape` is not (C, H, W), or the network cannot take it.
    TapError
        If there is nothing of a name in `expand` or nothing in it to open, or taps do not fire in the network.

    Examples
    --------
    >>> from probekit.models.unet import UNet
    >>> network = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    >>> figure = draw(network, (3, 8, 8))
    >>> [text.get_text() for text in figure.axes[0].texts if text.get_weight() == "bold"]
    ['enc1', 'pool', 'mid', 'up.0', 'decoder.0']
    """
    from probekit.drawing.figure import drawn

    return drawn(planned(denoiser, shape, depth=depth, expand=expand, max_boxes=max_boxes, **conditions))
