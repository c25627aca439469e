"""A wider network that begins as the same function: training goes on where a narrower one has nothing left to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from probekit.checks import counts, given, instance
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.machine.place import place_of

__all__ = ["widened"]

WIDTHS = ("channels", "width")
PACKAGED = "a Denoiser around one of the package's networks"


def widened(denoiser: Denoiser, channels: Sequence[int]) -> Denoiser:
    """A packaged network of more channels, each of the old ones repeated, that denoises as the old one does.

    What a convolution takes from a channel is shared out among its copies unevenly (Net2WiderNet: Chen, Goodfellow
    & Shlens, arXiv:1511.05641), by weights from torch's global generator whose sum is kept, of a size that keeps the
    variance of fan-in scaling. So the function is the same up to rounding, and copies learn different things.

    Parameters
    ----------
    denoiser
        Around one of the package's networks.
    channels
        Its new numbers of channels, as in its configuration; each a multiple of the old one. One number for a DnCNN.

    Returns
    -------
    Denoiser
        Of the same name and settings, in evaluation mode; φ at a tap is the old one, each value repeated.

    Raises
    ------
    InputError
        If a number is no multiple of the old one, or there are more or fewer of them.

    Examples
    --------
    >>> from probekit.models.dncnn import DnCNN
    >>> narrow = Denoiser(DnCNN(3, 4).eval())
    >>> wide, y = widened(narrow, [8]), torch.rand(1, 3, 8, 8)
    >>> torch.allclose(wide(y), narrow(y), atol=1e-5)
    True
    """
    instance("denoiser", denoiser, Denoiser, PACKAGED)
    model = denoiser.model
    declared: Any = getattr(model, "config", None)
    config: dict[str, Any] = dict(declared) if isinstance(declared, Mapping) else {}
    key = next((name for name in WIDTHS if name in config), None)
    if key is None:
        raise InputError(f"{type(model).__name__} is not one of the package's networks: give {PACKAGED}")
    channels = counts("channels", channels, least=0)
    before = config[key] if isinstance(config[key], list) else [config[key]]
    if len(channels) != len(before) or any(new % old or new < 1 for new, old in zip(channels, before, strict=False)):
        raise InputError(
            f"{given('channels', channels)}: a network of {before} is widened to as many numbers of channels, each a "
            "multiple of its own"
        )
    config[key] = list(channels) if isinstance(config[key], list) else channels[0]
    place = place_of(model)
    wide = type(model)(**config).to(place.device, place.dtype)
    transposed = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, nn.ConvTranspose2d)}
    state: Mapping[str, Tensor] = model.state_dict()
    wide.load_state_dict(
        {
            name: _repeated(state[name], like.shape, into=0 if name in transposed else 1)
            for name, like in wide.state_dict().items()
        }
    )
    wide = wide.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return Denoiser(wide.eval(), **denoiser.settings, name=denoiser.name)


def _repeated(narrow: Tensor, shape: torch.Size, *, into: int) -> Tensor:
    """A tensor repeated along its dims to this shape; of a convolution's weight, inputs (dim `into`) are shared out."""
    wide = narrow
    for dim, (old, new) in enumerate(zip(narrow.shape, shape, strict=True)):
        wide = wide.repeat_interleave(new // old, dim) if new != old else wide
    copies = shape[into] // narrow.shape[into] if len(shape) > 1 else 1
    if copies == 1:
        return wide
    # Among the copies of an input: zero mean, so that the sum over them is kept.
    noise = torch.randn(shape, dtype=narrow.dtype).to(narrow.device).unflatten(into, (-1, copies))
    noise = (noise - noise.mean(into + 1, keepdim=True)) * (copies / (copies - 1)) ** 0.5
    spread = narrow.std() * (copies - 1) ** 0.5 / copies
    return wide / copies + spread * noise.flatten(into, into + 1)
