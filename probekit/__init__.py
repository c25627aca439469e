"""Look inside convolutional image denoisers: named activation taps, results as labelled arrays."""

from probekit import errors, images, models
from probekit.capture.names import taps
from probekit.denoising.denoiser import Denoiser
from probekit.drawing.draw import draw
from probekit.errors import CapacityError, InputError, ModelError, ProbeError, TapError
from probekit.machine.installed import installed_version
from probekit.models.zoo import load
from probekit.phi.stored import open
from probekit.phi.tap import Tap, tap

__all__ = [
    "CapacityError",
    "Denoiser",
    "InputError",
    "ModelError",
    "ProbeError",
    "Tap",
    "TapError",
    "draw",
    "errors",
    "images",
    "load",
    "models",
    "open",
    "tap",
    "taps",
]

__version__ = installed_version()


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
