"""Broken on purpose: each fault in how φ is measured is seen by a law."""

from typing import Any

import numpy as np
import pytest
import torch

from probekit.noise import standard_normal
from probekit.phi import averages
from tests.probekit.phi import test_representation as laws


def by_position(shape: Any, *, seed: int, ids: Any, draws: Any) -> torch.Tensor:
    """Noise addressed by the place in the batch."""
    return standard_normal(shape, seed=seed, ids=[str(n) for n in range(len(ids))], draws=draws)


def same_for_all_draws(shape: Any, *, seed: int, ids: Any, draws: Any) -> torch.Tensor:
    return standard_normal(shape, seed=seed, ids=ids, draws=[0] * len(draws))


def test_noise_that_belongs_to_places_in_the_batch_does_not_permute_with_the_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(averages, "standard_normal", by_position)
    with pytest.raises(AssertionError):
        laws.test_permuting_images_with_their_ids_permutes_results()


def test_draws_of_one_noise_have_no_spread_to_match_their_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averages, "standard_normal", same_for_all_draws)
    with pytest.raises(AssertionError), np.errstate(divide="ignore"):
        laws.test_the_standard_error_matches_the_spread_of_independent_repetitions()


def test_a_standard_error_that_is_the_spread_itself_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spread:
        """Square roots of nothing but 1."""

        prod = staticmethod(averages.math.prod)

        @staticmethod
        def sqrt(_: float) -> float:
            return 1.0

    monkeypatch.setattr(averages, "math", Spread)
    with pytest.raises(AssertionError):
        laws.test_phi_and_its_standard_error_are_the_mean_and_its_error_over_the_draws_kept()
    with pytest.raises(AssertionError):
        laws.test_the_standard_error_matches_the_spread_of_independent_repetitions()


def test_noisy_batches_without_their_images_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made = averages.noisy_batches

    def emptied(*given: Any, **options: Any) -> Any:
        for batch in made(*given, **options):
            yield batch._replace(y=torch.zeros_like(batch.y)) if batch.level else batch

    monkeypatch.setattr("probekit.phi.measure.noisy_batches", emptied)
    with pytest.raises(AssertionError):
        laws.test_a_linear_network_has_a_representation_that_does_not_depend_on_sigma_in_expectation()
