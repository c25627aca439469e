"""What a training run starts from: a new network, or another denoiser, perhaps made wider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probekit.checks import choice, counts, listed, number, seeded, whole
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.machine.weights import weights_sha256
from probekit.models import zoo
from probekit.models.blocks import GAINS, draw_gains
from probekit.models.dncnn import DnCNN
from probekit.models.unet import SigmaUNet, UNet
from probekit.models.widening import widened
from probekit.train.recipe import CHANNELS, DEPTH

__all__ = ["Start"]

UNET, SIGMA_UNET, DNCNN = zoo.ARCHITECTURES


@dataclass(frozen=True, kw_only=True)
class Start:
    """What training begins with.

    Attributes
    ----------
    init
        Name or path of the denoiser to go on from; None for a new network.
    model
        Architecture, one of "unet", "sigma-unet" and "dncnn"; None for that of `init`, or a blind UNet.
    channels
        Of a UNet, from fine to coarse, then the middle; the one width of a DnCNN. Other numbers than those of `init`
        widen it. None for those of `init`, or the defaults.
    depth
        Convolutions of a DnCNN.
    gains
        What gains of the normalisations begin with in a new network: "one", or "paper" for N(0, (2/9/64)²) clipped to
        ±0.025, as the paper's code draws them. None for "one", or those of `init`.
    skips
        Of a new UNet, as `probekit.models.unet.UNet` takes them. None for all, or those of `init`.
    bands
        Of the images that a new network takes: 3, or 1 for grey ones. None for 3, or those of `init`.
    seed
        Of new weights; they are drawn from torch's generator, seeded with it by the caller.
    """

    init: str | None = None
    model: str | None = None
    channels: Sequence[int] | None = None
    depth: int | None = None
    gains: str | None = None
    skips: Sequence[float] | None = None
    bands: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        seeded(self.seed)
        if self.model is not None:
            choice("model", self.model, zoo.ARCHITECTURES)
        if self.channels is not None:
            # A list, since an iterator is used up.
            object.__setattr__(self, "channels", counts("channels", self.channels))
        if self.depth is not None:
            whole("depth", self.depth, least=2)
        if self.gains is not None:
            choice("gains", self.gains, GAINS)
        if self.bands is not None:
            whole("bands", self.bands, least=1)
        if self.skips is not None:
            what = "one share from 0 to 1, or one for each scale, e.g. (1, 1, 0)"
            shares = [number("skips", s, what, good=lambda v: 0 <= v <= 1) for s in listed("skips", self.skips, what)]
            if not shares:
                raise InputError(f"skips is empty: give {what}")
            object.__setattr__(self, "skips", shares)
        if self.init is not None:
            return
        if self.skips is not None and self.model == DNCNN:
            raise InputError("--skips is of a UNet, and a DnCNN has none: leave it out")
        if self.depth is not None and self.model != DNCNN:
            raise InputError(f"--depth {self.depth} is of a DnCNN, and {self.model or UNET} has none: leave it out")
        if self.model == DNCNN and len(self.channels or CHANNELS) != 1:
            widths = ",".join(map(str, self.channels or CHANNELS))
            raise InputError(f"--channels {widths}: a DnCNN has one width, e.g. --channels 24")

    def denoiser(self) -> Denoiser:
        """The denoiser to train.

        Raises
        ------
        InputError
            If what is asked for does not fit `init`, or is no network.
        """
        model = self.model
        channels = CHANNELS if self.channels is None else self.channels
        if self.init is None:
            made = _new(model or UNET, list(channels), self.depth or DEPTH, self.skips, self.bands or 3)
            if self.gains == "paper":
                draw_gains(made.model)
            return made
        begun, kind = zoo.load(self.init), zoo.describe(self.init)["architecture"]
        config: Mapping[str, Any] = begun.model.config  # pyright: ignore[reportAssignmentType]
        there = {"model": kind, "depth": config.get("depth"), "gains": "its own"}
        there |= {"skips": config.get("skips"), "bands": config.get("image_channels", 3)}
        asked = {name: getattr(self, name) for name in there}
        differing = [
            f"--{key} {value}, where it has {there[key] or 'none'}"
            for key, value in asked.items()
            if value is not None and value != there[key]
        ]
        if differing:
            raise InputError(f"--init {self.init} is another network: {'; '.join(differing)}; leave these options out")
        if self.channels is None or list(self.channels) == config.get("channels", [config.get("width")]):
            return begun
        try:
            return widened(begun, self.channels)
        except InputError as error:
            raise InputError(f"--init {self.init} --{error}") from error

    def check(self, made: Mapping[str, Any], denoiser: Denoiser) -> None:
        """Refuse a run that began with something else than this.

        Parameters
        ----------
        made
            What `progress_of` tells of the run.
        denoiser
            What this start gives.
        """
        start = made.get("start")
        if start is None:
            return
        # New weights follow from the seed, which the recipe names; bit for bit only on machines of one kind.
        same = start["name"] == denoiser.name and (
            self.init is None or start["weights_sha256"] == weights_sha256(denoiser.model.state_dict())
        )
        if not same:
            raise InputError(
                f"the run in --out began from {start['name']} ({start['weights_sha256'][:12]}…), not from "
                f"{denoiser.name if self.init is None else self.init}: give the --init of the first command, or "
                "another folder"
            )

    def described(self, denoiser: Denoiser) -> tuple[Any, int]:
        """What the card says of the initial weights, and how many images these had seen."""
        if self.init is None:
            gains = ", gains as the paper's code draws them" if self.gains == "paper" else ""
            return f"Kaiming-normal{gains}, seed {self.seed}", 0
        before = zoo.describe(self.init)
        start = {key: before[key] for key in ("name", "weights_sha256")}
        start |= {key: before["card"][key] for key in ("recipe", "initial weights", "steps") if key in before["card"]}
        if before["config"] != denoiser.model.config:
            start["widened from"] = before["config"]
        return start, before["card"].get("images seen", 0)


def _new(model: str, channels: list[int], depth: int, skips: Sequence[float] | None, bands: int) -> Denoiser:
    if model == DNCNN:
        return Denoiser(DnCNN(depth, channels[0], image_channels=bands))
    options: dict[str, Any] = {} if skips is None else {"skips": skips[0] if len(skips) == 1 else skips}
    options["image_channels"] = bands
    if model == SIGMA_UNET:
        return Denoiser(SigmaUNet(channels, **options), sigma_to="sigma")
    return Denoiser(UNet(channels, **options))
