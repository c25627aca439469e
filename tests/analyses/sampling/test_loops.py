"""Guidance and what samples share, against plain loops over single samples with scipy and dense matrices."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats

from analyses.sampling import kernels
from analyses.sampling.kernels import Goal
from tests.analyses.sampling.test_oracles import quadratic


class Walked(NamedTuple):
    y: np.ndarray
    first: float
    last: float
    steps: int
    moves: int
    taken_back: int


def one_of(goal: Goal, i: int):
    """Loss, gradient and features' differences of one sample at a point, and the gradient of given differences."""

    def at(y: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        leaf = torch.from_numpy(y).view(1, 1, 2, 3).requires_grad_()
        difference = goal.features(leaf, torch.tensor([i])) - goal.target[i]
        loss = (goal.weight[i] * difference**2).mean()
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.item(), gradient.numpy().ravel(), difference.detach().numpy()[0]

    def pulled(y: np.ndarray, held: np.ndarray) -> np.ndarray:
        leaf = torch.from_numpy(y).view(1, 1, 2, 3).requires_grad_()
        features = goal.features(leaf, torch.tensor([i]))
        loss = 2 * (goal.weight[i] * torch.from_numpy(held) * features).mean()
        return torch.autograd.grad(loss, leaf)[0].numpy().ravel()

    return at, pulled


def bfgs(pairs: list[tuple[np.ndarray, np.ndarray]], length: float) -> np.ndarray:
    """The inverse Hessian of the last ten moves that saw upward curvature, of those remembered; dense."""
    seen = [(m, c) for m, c in pairs[-10:] if m @ c > 1e-8 * math.sqrt((m @ m) * (c @ c))]
    if seen:
        move, change = seen[-1]
        length = float(move @ change) / float(change @ change)
    inverse = length * np.eye(6)
    for move, change in seen:
        left = np.eye(6) - np.outer(move, change) / (move @ change)
        inverse = left @ inverse @ left.T + np.outer(move, move) / (move @ change)
    return inverse


def walked(goal: Goal, y: torch.Tensor, i: int, *, steps: int, tolerance: float, absolute: bool, flowing: bool):
    at, pulled = one_of(goal, i)
    here = y[i].numpy().ravel().copy()
    loss, gradient, difference = at(here)
    first, steps_made, share, refused, taken_back, pairs = loss, 1, 1.0, 0, 0, []
    enough = max(tolerance if absolute else tolerance * first, 1e-20 * first)
    for step in range(steps + (1 if flowing else 0)):
        if loss <= enough or refused >= 8 or not gradient.any():
            break
        newton = 2 * loss / float(gradient @ gradient)
        if flowing and step == 0:
            whole = -newton * gradient
            change, weight = at(here + whole)[2] - difference, goal.weight[i].numpy()
            part = -float(weight * change @ difference) / float(weight * change @ change)
            part = min(max(part, 0.05), 1.0)
            # Heun's rule, with the slope at the far end of the shorter step between those seen.
            slope = whole + part * (-newton * pulled(here + whole, difference) - whole)
            move = part * (whole + slope) / 2
            steps_made += 1
        else:
            move = -share * (bfgs(pairs, newton) @ gradient)
        new_loss, new_gradient, _ = at(here + move)
        steps_made += 1
        better = new_loss < loss
        # A move that was taken back is remembered as none.
        pairs.append((move, new_gradient - gradient) if better else (move, -move))
        if better:
            here, loss, gradient, refused, share = here + move, new_loss, new_gradient, 0, 1.0
        else:
            refused, taken_back = refused + 1, taken_back + 1
            share = 1.0 if flowing and step == 0 else share / 4
    return Walked(here, first, loss, steps_made, len(pairs), taken_back)


CASES = [
    {"steps": 6, "tolerance": 1e-9, "absolute": False, "flowing": False},
    {"steps": 6, "tolerance": 1e-9, "absolute": False, "flowing": True},
    {"steps": 25, "tolerance": 1e-3, "absolute": True, "flowing": True},
    {"steps": 25, "tolerance": 0.05, "absolute": False, "flowing": False},
    {"steps": 1, "tolerance": 1e-9, "absolute": False, "flowing": True},
    {"steps": 0, "tolerance": 1e-9, "absolute": False, "flowing": False},
    {"steps": 16, "tolerance": 1e-14, "absolute": False, "flowing": False},
]


def problem(seed: int) -> tuple[Goal, torch.Tensor]:
    goal, y = quadratic(seed, count=6)
    rng = torch.Generator().manual_seed(seed)
    goal = goal._replace(weight=0.2 + torch.rand(goal.weight.shape, dtype=torch.float64, generator=rng))
    # One sample is there already, and one begins where no feature has a gradient.
    y[4:] = 0
    goal.target[4] = 0
    return goal, y


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(4))
def test_rescaling_is_a_plain_loop_over_samples_with_dense_bfgs(seed: int, case: dict) -> None:
    goal, y = problem(seed)
    found = kernels.rescale(goal, y, **case)
    for i in range(len(y)):
        expected = walked(goal, y, i, **case)
        assert int(found.steps[i]) == expected.steps
        np.testing.assert_allclose(found.y[i].numpy().ravel(), expected.y, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(
            [found.first[i], found.last[i]], [expected.first, expected.last], rtol=1e-6, atol=1e-12
        )


@pytest.mark.parametrize("case", CASES)
def test_no_gradient_is_made_that_nobody_goes_along(case: dict) -> None:
    goal, y = problem(0)
    made: list[int] = []

    class Seen(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
            return a.clone()

        @staticmethod
        def backward(ctx, *along: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
            made.append(len(along[0]))
            return along[0]

    watched = goal._replace(features=lambda a, rows: goal.features(Seen.apply(a), rows))
    for i in range(len(y)):
        one = Goal(lambda a, _, i=i: watched.features(a, torch.full((len(a),), i)), goal.target[[i]], goal.weight[[i]])
        made.clear()
        found = kernels.rescale(one, y[[i]], **case)
        plain = walked(goal, y, i, **case)
        enough = max(case["tolerance"] * (1 if case["absolute"] else plain.first), 1e-20 * plain.first)
        # One for each look, but for the last where that is near enough or no further step is allowed.
        reached = plain.first == 0 or (plain.moves > 0 and plain.last <= enough)
        spent = case["steps"] > 0 and plain.moves == case["steps"] + case["flowing"]
        assert len(made) == int(found.steps[0]) - (reached or spent or (case["absolute"] and plain.first <= enough))


def test_the_loops_above_take_steps_back_and_forget() -> None:
    # Else they would not see what becomes of refused steps, nor of more than ten moves.
    made = [walked(*problem(seed), i, **case) for seed in range(4) for i in range(4) for case in CASES]
    assert sum(one.taken_back > 0 for one in made) > 5
    assert sum(one.moves > 11 for one in made) > 5


def test_a_move_that_changes_no_gradient_says_nothing_of_curvature() -> None:
    secants = kernels.Secants()
    move, gradient = torch.randn(2, 3, 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    secants.add(move, torch.zeros_like(move), torch.ones(3, dtype=torch.bool))
    torch.testing.assert_close(secants.preconditioned(gradient, torch.full((3,), 0.3).double()), 0.3 * gradient)


@pytest.mark.parametrize("steps", [0, 1, 7])
@pytest.mark.parametrize("average_loss", [False, True])
def test_adam_counts_what_it_looks_at_and_stops_where_each_is_near_enough(steps: int, average_loss: bool) -> None:
    goal, y = quadratic(1, count=6)
    how = {"lr": 0.2, "average_loss": average_loss}
    path = [kernels.adam(goal, y, steps=s, tolerance=0.0, **how) for s in range(steps + 1)]
    lost = np.stack([one.last.numpy() for one in path])
    tolerance = float(np.median(lost[-1] / lost[0])) if steps else 0.5
    found = kernels.adam(goal, y, steps=steps, tolerance=tolerance, **how)
    near = lost <= tolerance * lost[0]
    for i in range(len(y)):
        done = near.all(axis=1) if average_loss else near[:, i]
        at = int(done.argmax()) if done.any() else steps
        assert int(found.steps[i]) == at + 1
        assert float(found.first[i]) == pytest.approx(lost[0, i])
        assert float(found.last[i]) == pytest.approx(lost[at, i])
        torch.testing.assert_close(found.y[i], path[at].y[i])


def test_persistence_is_the_rank_correlation_of_the_halves_four_levels_apart() -> None:
    rng = np.random.default_rng(0)
    lost = rng.gamma(1.0, size=(3, 12, 1)) * rng.gamma(2.0, size=(3, 12, 17))
    lost[2] = 1.0
    found = kernels.persistence_of(lost, 0.05)
    for i in range(2):
        # 17 levels: six at either end.
        first, last = (np.argsort(np.argsort(part.sum(1))) for part in (lost[i, :, :6], lost[i, :, 11:]))
        r = float(np.corrcoef(first, last)[0, 1])
        reach = stats.norm.ppf(0.975) * math.sqrt(1.06 / 9)
        ends = [math.tanh(math.atanh(r) + sign * reach) for sign in (-1, 1)]
        np.testing.assert_allclose([found.value[i], found.low[i], found.high[i]], [r, *ends])
    assert np.isnan([one[2] for one in found]).all()


@pytest.mark.parametrize(("samples", "levels", "known"), [(4, 8, True), (3, 8, False), (4, 7, False), (4, 9, True)])
def test_persistence_needs_four_samples_and_two_levels_a_side(samples: int, levels: int, known: bool) -> None:
    lost = np.random.default_rng(0).gamma(1.0, size=(2, samples, levels))
    found = kernels.persistence_of(lost, 0.05)
    assert np.isfinite(found.value).all() == known
    assert all(len(one) == 2 for one in found)


def test_work_that_is_the_same_in_one_half_alone_has_no_persistence() -> None:
    lost = np.random.default_rng(0).gamma(1.0, size=(2, 6, 10))
    lost[0, :, :3], lost[1, :, -3:] = 1.0, 1.0
    assert np.isnan(kernels.persistence_of(lost, 0.05).value).all()


def test_order_that_is_kept_or_turned_round_is_an_estimate_of_one_with_an_interval() -> None:
    order = np.arange(1.0, 9.0)
    lost = np.stack([np.repeat(order[:, None], 10, 1), np.c_[np.repeat(order[:, None], 5, 1), -np.ones((8, 5))]])
    lost[1, :, -3:] = -order[:, None]
    found = kernels.persistence_of(lost, 0.05)
    np.testing.assert_allclose(found.value, [1, -1])
    assert np.isfinite([*found.low, *found.high]).all()


def test_excess_is_scipys_of_welchs_test_of_a_group_against_the_rest() -> None:
    rng = np.random.default_rng(1)
    work = rng.gamma(2.0, size=(2, 9))
    work[1, :2] = 3.0
    mine = np.zeros((2, 9, 6), bool)
    mine[..., 5] = True
    for image in range(2):
        for group, members in enumerate(([0, 1], [2, 3, 4], [5], [0, 1, 2, 3, 4, 5, 6, 7])):
            mine[image, members, group] = True
    found = kernels.excess_of(work, mine, 0.1)
    for i, g in ((0, 0), (0, 1), (1, 1)):
        own, rest = work[i][mine[i, :, g]], work[i][~mine[i, :, g]]
        n, m, a, b = len(own), len(rest), own.var(ddof=1), rest.var(ddof=1)
        freedom = (a / n + b / m) ** 2 / ((a / n) ** 2 / (n - 1) + (b / m) ** 2 / (m - 1))
        reach = stats.t.ppf(0.95, freedom) * math.sqrt(a / n + b / m)
        difference = own.mean() - rest.mean()
        expected = [difference, difference - reach, difference + reach]
        np.testing.assert_allclose([one[i, g] for one in found], expected)
    # Two of the same work say nothing of its spread, nor does one sample, on either side, nor none.
    for i, g in ((1, 0), (0, 2), (0, 3), (0, 4), (0, 5)):
        assert np.isnan([one[i, g] for one in found]).all()


def test_agreement_is_the_correlation_of_the_variances_of_every_other_sample() -> None:
    values = np.random.default_rng(2).gamma(1.0, size=(2, 5, 3, 4, 4)) * np.linspace(1, 3, 48).reshape(3, 4, 4)
    found = kernels.agreement_of(values)
    for i in range(2):
        halves = [values[i, ::2].var(axis=0, ddof=1).ravel(), values[i, 1::2].var(axis=0, ddof=1).ravel()]
        assert found[i] == pytest.approx(np.corrcoef(*halves)[0, 1])
    assert np.isfinite(kernels.agreement_of(values[:, :4])).all()
    assert np.isnan(kernels.agreement_of(values[:, :3])).tolist() == [True, True]
    assert np.isnan(kernels.agreement_of(np.ones((1, 4, 3, 2, 2)))).all()


def test_standardised_images_have_mean_0_and_deviation_1_and_constant_ones_are_0() -> None:
    flat = np.random.default_rng(3).normal(3, 2, (2, 3, 50))
    flat[1, 2] = 7.0
    found = kernels.standardised(flat)
    for i, j in np.ndindex(2, 3):
        expected = np.zeros(50) if (i, j) == (1, 2) else (flat[i, j] - flat[i, j].mean()) / flat[i, j].std()
        np.testing.assert_allclose(found[i, j], expected, atol=1e-12)
