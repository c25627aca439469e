"""The claims, by number. A claim is one entry of `CLAIMS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analyses.claims.criteria import Claim
from analyses.claims.of_comparisons import SEMANTIC, identity, laws_follow, reconstruction, semantic, stable
from analyses.claims.of_phi import sparser, two_types, union_of_subspaces
from analyses.claims.of_textures import descriptor_of_textures, knows_sigma, reliable, texture_over_shape
from probekit.errors import InputError

__all__ = ["CLAIMS", "claim_of"]

CLAIMS: Mapping[int, Claim] = {
    1: Claim(
        "Sparsity grows at the middle",
        "the participation ratio of ā is lower at the output of the middle block than at its input, more so than "
        "untrained with gains of 1 and with the paper's, at σ = 0.1, 0.2 and 0.5, and encoder blocks do not lower it "
        "by 0.02 or more",
        "sparsity",
        sparser,
        beside="before",
    ),
    2: Claim(
        "φ is stable over σ",
        "at σ = 0.3 nine images of ten are nearest to themselves at σ = 0.1 among 1,000, by ten draws at either, more "
        "than untrained with gains of 1 and with the paper's, and in pixels",
        "stability",
        stable,
        ("stability",),
    ),
    3: Claim(
        "Two types of channel",
        "a tenth of the middle block's channels at least are selective and a tenth common, the selective have heavier "
        "tails, and there are more of them than untrained with gains of 1 and with the paper's",
        "selectivity",
        two_types,
    ),
    4: Claim(
        "Union of subspaces",
        "a union of subspaces explains more of held-out images than one PCA of as many parameters, and active sets "
        "overlap more within its groups than between; more so than with channels shuffled, and than untrained "
        "with gains of 1 and with the paper's",
        "subspaces",
        union_of_subspaces,
    ),
    5: Claim(
        "Euclidean distance in φ is semantic",
        "distance in φ is correlated with gist given colour, and what gist and colour leave of φ with what they leave "
        "of the label, more than in pixels, their PCA and untrained with gains of 1 and with the paper's",
        "controls",
        semantic,
        tuple(SEMANTIC),
    ),
    6: Claim(
        "Stochastic reconstruction",
        "the median relative error of φ is 5 % at most, near copies of the condition are 5 % at most, and samples are "
        "nearer to their condition in φ of other blocks than unconditional samples are",
        "variants",
        reconstruction,
        beside="other",
    ),
    7: Claim(
        "Distances between φ's follow distances between conditional densities",
        "the rank correlation of distances in φ with distances between conditional laws is 0.5 at least over 200 "
        "pairs, and above that of pixels",
        "densities",
        laws_follow,
    ),
    8: Claim(
        "Object identity is partly linear in φ",
        "at σ = 0.2, 50 of 255, a linear probe is above pixels, their PCA and untrained with gains of 1 and with "
        "the paper's",
        "controls",
        identity,
        ("accuracy",),
    ),
    9: Claim(
        "φ is a texture descriptor",
        "on unseen photographs of textures, in the block that did best on others, a patch's nearest neighbour is of "
        "the same photograph more often than untrained with gains of 1 and with the paper's, than by moments of colour "
        "and than by a Gabor bank, in colour and in equalised grey",
        "textures",
        descriptor_of_textures,
    ),
    10: Claim(
        "Training turns a layout code into a texture code",
        "where texture and shape disagree, more nearest neighbours share the texture than the shape, and more so than "
        "untrained with gains of 1 and with the paper's, at the middle block and at the one before it, in colour and "
        "in equalised grey",
        "cues",
        texture_over_shape,
    ),
    11: Claim(
        "A blind denoiser knows σ",
        "of a network that is not told σ the residual on held-out images says σ to 5 % for σ from 0.1 to 1, and to "
        "10 % along the sampler's path from 1 to 0.03",
        "noise_level",
        knows_sigma,
    ),
    12: Claim(
        "φ can be trusted where it is read",
        "distances from two disjoint halves of the draws agree at every block and noise level: their reliability, "
        "without the noise's part, is 0.95 at least",
        "reliability",
        reliable,
    ),
}


def claim_of(number: Any) -> Claim:
    """The claim of a number; one that is none is refused."""
    if number not in CLAIMS:
        raise InputError(f"there is no claim {number}: claims are numbered {min(CLAIMS)} to {max(CLAIMS)}")
    return CLAIMS[int(number)]
