"""Broken on purpose: each fault in sampling is seen by a law."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analyses import sampling
from analyses.sampling import description, kernels, samplers, walk
from tests.analyses.sampling import making
from tests.analyses.sampling import test_laws as laws
from tests.analyses.sampling import test_loops as loops
from tests.analyses.sampling import test_precisions as precisions
from tests.analyses.sampling import test_shares as shares
from tests.analyses.sampling import test_sizes as sizes


def splits_pooled_energy(n: int = 150) -> bool:
    """Whether the default sampler keeps the law of pooled energies, sampled afresh.

    Of 150 samples the mean has a standard error of 0.08 and the spread of 6 %, well inside the bounds of 0.5 and 20 %.
    """
    variances, phi, positions = laws.POOLED[0]
    model = laws.pooled_model(variances)
    c = laws.sampled(model, laws.condition(model, [phi, 0], positions), n)
    return laws.splits_as_the_prior_does(c, laws.SplitLaw(variances, phi=phi, positions=positions))


def test_whole_samplers_pass_the_law_that_broken_ones_fail() -> None:
    assert splits_pooled_energy()


def test_one_noise_shared_by_all_samples_fails_the_sphere_law(monkeypatch: pytest.MonkeyPatch) -> None:
    true = walk.standard_normal

    def shared(shape: Any, *, seed: int, ids: list[str], draws: list[int]) -> torch.Tensor:
        return true(shape, seed=seed, ids=["one"] * len(ids), draws=draws)

    monkeypatch.setattr(walk, "standard_normal", shared)
    c = laws.sampled(laws.SPHERE, laws.condition(laws.SPHERE, laws.SPHERE_PHI, 16), 50)
    assert laws.rejected(laws.sphere_p_values(c, laws.HELD))


def without_projection(goal: Any, y: torch.Tensor, **_: Any) -> kernels.Guided:
    loss, _ = kernels.losses(goal, y, torch.arange(len(y)))
    return kernels.Guided(y, loss, loss, torch.ones(len(y), dtype=torch.long))


def towards_half(goal: Any, y: torch.Tensor, *, original: Callable[..., Any], **options: Any) -> kernels.Guided:
    return original(goal._replace(target=goal.target / 2), y, **options)


@pytest.mark.parametrize("broken", [without_projection, partial(towards_half, original=kernels.rescale)])
def test_a_broken_guidance_fails_the_pooled_law(broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "rescale", broken)
    assert not splits_pooled_energy()


def test_langevin_steps_with_half_of_their_noise_fail_the_pooled_law(monkeypatch: pytest.MonkeyPatch) -> None:
    true = sampling.Walk.noise
    monkeypatch.setattr(sampling.Walk, "noise", lambda walk, *a: true(walk, *a) / math.sqrt(2))
    assert not splits_pooled_energy()


def test_guidance_at_the_last_level_only_fails_the_pooled_law() -> None:
    variances, phi, positions = laws.POOLED[1]
    model = laws.pooled_model(variances)
    c = laws.sampled(model, laws.condition(model, [phi, 0], positions), 150, tolerance_before=1e6)
    away, _ = laws.split_errors(c, laws.SplitLaw(variances, phi=phi, positions=positions))
    assert abs(away) > 0.5


def test_a_last_move_that_sees_one_draw_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    true, asked = sampling.Walk.noise, []

    def turned(walk: sampling.Walk, t: int, step: int = 0) -> torch.Tensor:
        asked.append((t, step))
        return true(walk, t, step) * (-1) ** (asked.count((t, step)) + 1)

    monkeypatch.setattr(sampling.Walk, "noise", turned)
    with pytest.raises(AssertionError):
        laws.test_the_last_move_sees_noise_and_its_opposite_so_that_what_they_add_to_phi_cancels()


def test_gradients_that_nobody_goes_along_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    true = kernels._seen
    monkeypatch.setattr(kernels, "_seen", lambda goal, y, rows, _=None: true(goal, y, rows))
    with pytest.raises(AssertionError):
        loops.test_no_gradient_is_made_that_nobody_goes_along(loops.CASES[2])


def test_as_many_steps_at_every_level_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "MOVING", 1.0)
    with pytest.raises(AssertionError):
        laws.test_langevin_steps_are_fewer_where_noise_is_too_small_to_move_images("langevin")


def test_lower_precision_at_the_last_level_too_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.Multiplying, "at", lambda self, _: self.precision)
    with pytest.raises(AssertionError):
        precisions.test_the_last_level_the_targets_and_the_match_are_float32_and_others_as_asked()


def test_a_trial_that_overlooks_what_rounding_changes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "FAINT", math.inf)
    with pytest.raises(AssertionError):
        precisions.test_auto_takes_nothing_whose_rounding_shows_beside_the_noise(monkeypatch)


def test_a_store_that_does_not_know_its_precision_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    true = kernels.Multiplying.told

    def untold(multiplying: kernels.Multiplying) -> dict[str, Any]:
        return true(multiplying) | {"precision": "any"}

    monkeypatch.setattr(kernels.Multiplying, "told", untold)
    with pytest.raises(BaseException, match=r"DID NOT RAISE|precision"):
        precisions.test_a_store_goes_on_in_the_precision_it_was_begun_with(tmp_path, monkeypatch)


def test_samples_that_share_what_their_batch_gives_are_seen_by_the_law_of_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true = sampling.Walk.denoise

    def centred(walk: sampling.Walk, *given: Any) -> torch.Tensor:
        x = true(walk, *given)
        return x - 1e-3 * x.mean(dim=0)

    monkeypatch.setattr(sampling.Walk, "denoise", centred)
    monkeypatch.setattr(laws, "together", laws.few)
    with pytest.raises(AssertionError):
        laws.test_one_seed_gives_one_result_whatever_the_batching_and_others_differ("score")


def test_noise_addressed_by_place_instead_of_id_is_seen_by_the_law_of_permutations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true = walk.standard_normal

    def placed(shape: Any, *, seed: int, ids: list[str], draws: list[int]) -> torch.Tensor:
        return true(shape, seed=seed, ids=list(map(str, np.arange(len(ids)))), draws=draws)

    monkeypatch.setattr(walk, "standard_normal", placed)
    monkeypatch.setattr(laws, "together", laws.few)
    with pytest.raises(AssertionError):
        laws.test_a_permutation_of_conditions_permutes_the_samples("score")


def test_mixtures_without_the_noise_of_their_ends_are_not_the_samples_of_the_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = making.patches()
    data = making.measured(model, making.drawn(model))
    mixed = sampling.interpolate(data.isel(image=[0]), data.isel(image=[1]), [1])
    whole = making.made(model, data.isel(image=[1]), shape=making.SHAPE).samples
    assert float(abs(making.made(model, mixed, shape=making.SHAPE).samples.values - whole.values).max()) == 0
    monkeypatch.setattr(sampling.Condition, "noise_ids", property(lambda condition: condition.ids))
    assert float(abs(making.made(model, mixed, shape=making.SHAPE).samples.values - whole.values).max()) > 0.1


def test_larger_samples_made_of_tiles_fail_the_law_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    true = walk.standard_normal

    def tiled(shape: Any, *, seed: int, ids: list[str], draws: list[int]) -> torch.Tensor:
        small = true((*shape[:1], shape[1] // 2, shape[2] // 2), seed=seed, ids=ids, draws=draws)
        return small.repeat(1, 1, 2, 2)

    monkeypatch.setattr(walk, "standard_normal", tiled)
    c = sizes.sized(laws.SPHERE, laws.SPHERE_PHI, 50, (16, 16))
    assert laws.rejected(sizes.quarter_p_values(c))


def laws_of_shares() -> None:
    shares.test_false_alarms_are_as_rare_as_the_level_says()
    shares.test_lasting_differences_are_found_and_signed()


def rest_as_the_group(work: np.ndarray, mine: np.ndarray, missed: float) -> Any:
    return kernels.excess_of(work, ~mine, missed)


def too_narrow(work: np.ndarray, mine: np.ndarray, missed: float) -> Any:
    return kernels.excess_of(work, mine, 10 * missed)


def overlapping_halves(losses: np.ndarray, missed: float) -> Any:
    return kernels.persistence_of(np.concatenate([losses] * 2, axis=2), missed)


@pytest.mark.parametrize(
    ("kernel", "broken"),
    [("excess_of", rest_as_the_group), ("excess_of", too_narrow), ("persistence_of", overlapping_halves)],
)
def test_faults_in_what_tells_wrong_shares_are_seen(
    kernel: str, broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(description, kernel, broken)
    with pytest.raises(AssertionError):
        laws_of_shares()
