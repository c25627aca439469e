"""Look inside convolutional image denoisers: named activation taps, results as labelled arrays."""

import logging
import sys
from typing import TYPE_CHECKING

if sys.argv[:1] == ["-m"]:
    # Python is about to start this package, or one that imports it, as a program.
    from probekit.machine.starting import quit_quietly

    quit_quietly()

from probekit import errors
from probekit.errors import CapacityError, InputError, ModelError, ProbeError, TapError
from probekit.machine.installed import installed_version
from probekit.machine.on_demand import on_demand
from probekit.registering import accessor_offered

if TYPE_CHECKING:
    from analyses.explore import explore
    from probekit import images, models
    from probekit.capture.names import taps
    from probekit.denoising.denoiser import Denoiser
    from probekit.distribute.workers import Workers
    from probekit.drawing.draw import draw
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
    "Workers",
    "draw",
    "errors",
    "explore",
    "images",
    "load",
    "models",
    "open",
    "tap",
    "taps",
]

__version__ = installed_version()

on_demand(__name__)
accessor_offered()

# What the package decides by itself is told to whoever listens.
logging.getLogger("probekit").addHandler(logging.NullHandler())
