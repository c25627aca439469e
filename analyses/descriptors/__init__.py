"""What φ is compared with: pixels, their principal components, colour statistics and gist of images."""

from analyses.descriptors.analyse import FINDINGS, analyse, as_representation, colour, gist, pca, pixels
from analyses.descriptors.network import KINDS, Descriptor, descriptor
from analyses.descriptors.shell import main

__all__ = [
    "FINDINGS",
    "KINDS",
    "Descriptor",
    "analyse",
    "as_representation",
    "colour",
    "descriptor",
    "gist",
    "main",
    "pca",
    "pixels",
]
