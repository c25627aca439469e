"""Hypothesis strategies for data and denoisers whose answers are known; needs hypothesis.

For property-based tests of analyses: `subspace_data` and `subspace_settings` (unions of sparse coordinate
subspaces), `patch_models` (images with an exact denoiser), `shapes` and `shape_settings` (images with
named factors). They shrink towards few, small, plain cases.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from probekit.synthetic.patch_strategies import patch_models
from probekit.synthetic.shapes_strategies import shape_settings, shapes
from probekit.synthetic.subspaces import SubspaceData, union_of_subspaces

__all__ = ["patch_models", "shape_settings", "shapes", "subspace_data", "subspace_settings"]


@st.composite
def subspace_settings(
    draw: st.DrawFn,
    *,
    max_images: int = 60,
    max_subspaces: int = 4,
    max_support: int = 6,
    max_overlap: int | None = None,
    max_common: int = 4,
    max_silent: int = 4,
    max_noise: float = 0.1,
    coordinate: bool | None = None,
    **fixed: Any,
) -> dict[str, Any]:
    """Draw keyword arguments of `subspaces.union_of_subspaces` that fit together.

    Parameters
    ----------
    max_images, max_subspaces, max_support, max_common, max_noise
        Largest values; the smallest are 1 image, 1 subspace, 1 channel, 0 common channels and noise 0.01.
    max_overlap
        Most channels that neighbouring supports share; by default half of the support.
    max_silent
        Most channels in no support and not common.
    coordinate
        Whether every subspace has as many dimensions as channels; None draws it.
    **fixed
        Arguments to set instead of drawing them.

    Returns
    -------
    SearchStrategy of dict

    Examples
    --------
    >>> from hypothesis import find
    >>> settings = find(subspace_settings(noise=0.05), lambda settings: settings["n_subspaces"] == 2)
    >>> settings["n_subspaces"], settings["support"], settings["noise"]
    (2, 1, 0.05)
    """
    n_subspaces = fixed.get("n_subspaces") or draw(st.integers(1, max_subspaces))
    support = fixed.get("support") or draw(st.integers(1, max_support))
    half = support // 2
    overlap = (
        fixed["overlap"]
        if "overlap" in fixed
        else draw(st.integers(0, half if max_overlap is None else min(half, max_overlap)))
    )
    common = fixed["common"] if "common" in fixed else draw(st.integers(0, max_common))
    plain = draw(st.booleans()) if coordinate is None else coordinate
    silent = draw(st.integers(0, max_silent))
    return {
        "n_images": draw(st.integers(1, max_images)),
        "n_subspaces": n_subspaces,
        "support": support,
        "dimension": None if plain else draw(st.integers(1, support)),
        "overlap": overlap,
        "common": common,
        "n_channels": support + (n_subspaces - 1) * (support - overlap) + common + silent,
        "noise": draw(st.floats(0.01, max_noise)),
        "seed": draw(st.integers(0, 2**32 - 1)),
        **fixed,
    }


def subspace_data(**settings: Any) -> st.SearchStrategy[SubspaceData]:
    """Representations on unions of subspaces with their truth; arguments as `subspace_settings` takes them.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(subspace_data(n_subspaces=3))
    ... def test_three_subspaces(drawn): ...
    """
    return subspace_settings(**settings).map(lambda drawn: union_of_subspaces(**drawn))
