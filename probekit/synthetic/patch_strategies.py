"""Hypothesis strategies for patch models; needs hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from probekit.synthetic.patch_model import PatchModel

__all__ = ["patch_models"]


@st.composite
def patch_models(
    draw: st.DrawFn, *, max_classes: int = 4, max_patch: int = 4, max_support: int = 6, pools: bool | None = None
) -> PatchModel:
    """Draw small patch models, float64.

    Variances on a support are between 1/128 and 1. Failing examples shrink towards one class, 2×2 patches, one
    component and no pool.

    Parameters
    ----------
    max_classes
        Most classes, ≥ 1.
    max_patch
        Largest side of a patch in pixels, ≥ 2.
    max_support
        Most components of positive variance in a class, ≥ 1.
    pools
        Whether components are pooled; None draws it.

    Returns
    -------
    SearchStrategy of PatchModel

    Examples
    --------
    >>> from hypothesis import find
    >>> find(patch_models(), lambda model: len(model.mixture.weights) == 2).mixture.weights.tolist()
    [0.5, 0.5]
    """
    patch = draw(st.integers(2, max_patch))
    components = patch**2
    shares = draw(st.lists(st.integers(1, 5), min_size=1, max_size=max_classes))
    variance = st.floats(1 / 128, 1, width=32)
    classes = [
        draw(st.dictionaries(st.integers(0, components - 1), variance, min_size=1, max_size=max_support))
        for _ in shares
    ]
    variances = [[known.get(j, 0.0) for j in range(components)] for known in classes]
    pool = None
    if draw(st.booleans()) if pools is None else pools:
        channels = draw(st.lists(st.integers(0, 3), min_size=components, max_size=components))
        pool = [[j for j, channel in enumerate(channels) if channel == c] for c in sorted(set(channels))]
    return PatchModel([share / sum(shares) for share in shares], variances, pool=pool).double()
