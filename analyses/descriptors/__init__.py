"""What φ is compared with: pixels, their components, statistics of colour, gist, Gabor energies; images equalised."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.descriptors.analyse import (
        FINDINGS,
        analyse,
        as_representation,
        colour,
        colour_moments,
        gabor,
        gist,
        pca,
        pixels,
    )
    from analyses.descriptors.equalising import CONTRAST, equalised
    from analyses.descriptors.kinds import EVERY_KIND, KINDS, OF_TEXTURE
    from analyses.descriptors.network import Descriptor, descriptor
    from analyses.descriptors.prediction import BEYOND, PREDICTED, Predictions, beyond, predicted
    from analyses.descriptors.shell import main

__all__ = [
    "BEYOND",
    "CONTRAST",
    "EVERY_KIND",
    "FINDINGS",
    "KINDS",
    "OF_TEXTURE",
    "PREDICTED",
    "Descriptor",
    "Predictions",
    "analyse",
    "as_representation",
    "beyond",
    "colour",
    "colour_moments",
    "descriptor",
    "equalised",
    "gabor",
    "gist",
    "main",
    "pca",
    "pixels",
    "predicted",
]

on_demand(__name__)
