"""The kinds of descriptor by name."""

from __future__ import annotations

__all__ = ["EVERY_KIND", "KINDS", "OF_TEXTURE"]

KINDS = ("pixels", "pca", "colour", "gist")
# What patches of textures are told apart by, wherever in the patch it is.
OF_TEXTURE = ("colour_moments", "gabor")
EVERY_KIND = (*KINDS, *OF_TEXTURE)
