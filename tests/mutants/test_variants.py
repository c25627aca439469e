"""Broken on purpose: each fault in variants is seen by a law."""

from typing import Any

import numpy as np
import pytest

from analyses import variants
from analyses.ground import resampled_means
from analyses.variants import analyse, kernels, recipes
from tests.analyses.variants.test_laws import (
    differences_are_paired,
    ignored_by_what_is_unconditional,
    model,
    order_changes_nothing,
    table,
)


def test_differences_of_variants_resampled_apart_are_not_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    def apart(values: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
        each = np.moveaxis(values, 1, 0)
        drawn = [resampled_means(one, resamples=resamples, seed=seed + v) for v, one in enumerate(each)]
        return np.stack(drawn, axis=1)

    differences_are_paired(0, 0.2)
    monkeypatch.setattr(kernels, "resampled_means", apart)
    with pytest.raises(AssertionError):
        differences_are_paired(0, 0.2)


def test_a_condition_in_what_should_have_none_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    held = dict(variants.RECIPES) | {"unconditional": variants.Recipe("holds φ all the same")}
    monkeypatch.setattr(recipes, "RECIPES", held)
    with pytest.raises(AssertionError):
        ignored_by_what_is_unconditional(0, 0)


def test_images_that_are_taken_as_they_come_make_their_order_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    images = model().draw(4, rows=8, cols=8, seed=0).images.assign_coords(image=list("abcd"))

    def as_they_come(source: Any, most: int | None, seed: int) -> Any:
        del most, seed
        return source

    monkeypatch.setattr(analyse, "drawn_images", as_they_come)
    with pytest.raises(AssertionError):
        order_changes_nothing(images, table(images), [2, 0, 3, 1])
