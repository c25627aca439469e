"""What φ is compared with: pixels, their principal components, statistics of colour, gist and Gabor energies."""

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
from analyses.descriptors.network import EVERY_KIND, KINDS, OF_TEXTURE, Descriptor, descriptor
from analyses.descriptors.shell import main

__all__ = [
    "EVERY_KIND",
    "FINDINGS",
    "KINDS",
    "OF_TEXTURE",
    "Descriptor",
    "analyse",
    "as_representation",
    "colour",
    "colour_moments",
    "descriptor",
    "gabor",
    "gist",
    "main",
    "pca",
    "pixels",
]
