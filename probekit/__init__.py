"""Look inside convolutional image denoisers: named activation taps, results as labelled arrays."""

from probekit import errors, images, models
from probekit.denoiser import Denoiser
from probekit.errors import CapacityError, InputError, ModelError, ProbeError, TapError
from probekit.models.zoo import load
from probekit.representation import Tap, tap
from probekit.sites import taps
from probekit.store import open

__all__ = [
    "CapacityError",
    "Denoiser",
    "InputError",
    "ModelError",
    "ProbeError",
    "Tap",
    "TapError",
    "errors",
    "images",
    "load",
    "models",
    "open",
    "tap",
    "taps",
]
