"""Broken on purpose: each fault in generalisation is seen by a law or a search by hand."""

import pytest
import torch
from torch import Tensor

from analyses.generalisation import kernels
from tests.analyses.generalisation.test_laws import (
    blurred_images_are_no_copies,
    brightness_and_contrast_hide_no_copy,
    no_larger_share_lies_below,
)
from tests.analyses.generalisation.test_oracles import the_nearest_is_that_of_a_search_by_hand


def test_images_that_are_not_centred_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(images: Tensor) -> Tensor:
        flat = images.flatten(1).float()
        return flat / flat.norm(dim=1, keepdim=True)

    monkeypatch.setattr(kernels, "_standardised", scaled)
    with pytest.raises(AssertionError):
        brightness_and_contrast_hide_no_copy()


def test_a_distance_that_is_not_compared_with_the_next_ones_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    nearest = kernels.nearest_training

    def alone(*args: object, neighbours: int) -> kernels.Nearest:
        found = nearest(*args, neighbours=neighbours)  # pyright: ignore[reportArgumentType]
        return found._replace(relative=found.distance)

    monkeypatch.setattr(kernels, "nearest_training", alone)
    with pytest.raises(AssertionError):
        blurred_images_are_no_copies()


def test_a_nearest_image_of_its_piece_only_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    concatenated = torch.cat
    # Of each piece the best ones, and nothing of the pieces before.
    monkeypatch.setattr(torch, "cat", lambda parts, *dim, **named: parts[-1] if named or dim else concatenated(parts))
    with pytest.raises(AssertionError):
        the_nearest_is_that_of_a_search_by_hand(0, 700, 3)


def test_a_threshold_of_one_image_more_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "threshold", lambda values, share: sorted(values)[int(share * (len(values) + 1))])
    with pytest.raises(AssertionError):
        no_larger_share_lies_below(199, 0.05)
