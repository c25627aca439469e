"""Whether φ lies in a union of subspaces: sparse sets of channels that depend on the image."""

from analyses.subspaces.analyse import (
    active_sets,
    analyse,
    explained_variance,
    fit,
    intrinsic_dimension,
    main,
    overlap,
    plot,
    score,
)

__all__ = [
    "active_sets",
    "analyse",
    "explained_variance",
    "fit",
    "intrinsic_dimension",
    "main",
    "overlap",
    "plot",
    "score",
]
