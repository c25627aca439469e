"""What φ is compared with: pixels, their principal components, colour statistics and gist of images."""

from analyses.descriptors.analyse import KINDS, Descriptor, as_representation, colour, descriptor, gist, pca, pixels

__all__ = ["KINDS", "Descriptor", "as_representation", "colour", "descriptor", "gist", "pca", "pixels"]
