"""Hypothesis strategies for procedural images and their settings; needs hypothesis."""

from __future__ import annotations

from typing import Any

import xarray as xr
from hypothesis import strategies as st

from probekit.synthetic.shape_factors import FACTORS, Factor, tabulate
from probekit.synthetic.shapes import ShapeData, render

__all__ = ["shape_settings", "shapes"]


def shape_settings(*, min_images: int = 1, max_images: int = 4, **fixed: Any) -> st.SearchStrategy[xr.Dataset]:
    """Settings of a few images, as `shapes.draw_settings` labels them, shrinking to the first of each range.

    Parameters
    ----------
    min_images, max_images
        How many images.
    **fixed
        Factors to set: one value for all images.

    Returns
    -------
    SearchStrategy[Dataset]
        Every factor (image) anywhere in its range, its ends included.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(shape_settings(max_images=1, shape="star"))
    ... def test_one_star(settings): ...
    """

    def labelled(images: list[dict[str, Any]]) -> xr.Dataset:
        columns = {name: [image[name] for image in images] for name in FACTORS if name not in fixed}
        return tabulate(columns | fixed, n=len(images))

    one = st.fixed_dictionaries({name: _values(factor) for name, factor in FACTORS.items() if name not in fixed})
    return st.lists(one, min_size=min_images, max_size=max_images).map(labelled)


def shapes(*, size: int = 32, min_images: int = 1, max_images: int = 4, **fixed: Any) -> st.SearchStrategy[ShapeData]:
    """A few images with their settings, as `shapes.draw` gives them; parameters as `shape_settings` and `render`.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(shapes(count=5))
    ... def test_five_objects(data): ...
    """
    drawn = shape_settings(min_images=min_images, max_images=max_images, **fixed)
    return drawn.map(lambda truth: ShapeData(render(truth, size=size), truth))


def _values(factor: Factor) -> st.SearchStrategy[Any]:
    if factor.kind == "category":
        return st.sampled_from(factor.values)
    if factor.kind == "whole":
        return st.integers(int(factor.low), int(factor.high))
    return st.floats(factor.low, factor.high, exclude_max=factor.kind == "circular")
