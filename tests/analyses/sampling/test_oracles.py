"""Kernels of sampling against torch's Adam, closed forms, direct quadrature, and plain loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torchmetrics.functional.image import structural_similarity_index_measure

import probekit
from analyses import sampling
from analyses.sampling import description, kernels, samplers
from analyses.sampling.kernels import Goal
from probekit.models.unet import UNet
from probekit.noise import standard_normal
from probekit.synthetic.patch_model import PatchModel


def quadratic(seed: int, count: int = 5, features: int = 3) -> tuple[Goal, torch.Tensor]:
    """Features that are quadratic in images of 2×3 pixels."""
    rng = torch.Generator().manual_seed(seed)
    mixing = torch.randn(features, 6, dtype=torch.float64, generator=rng)
    y = torch.randn(count, 1, 2, 3, dtype=torch.float64, generator=rng)

    def of(images: torch.Tensor, _rows: torch.Tensor) -> torch.Tensor:
        return (images.flatten(1) @ mixing.T).square() + images.flatten(1).square().mean(1, keepdim=True)

    target = torch.rand(count, features, dtype=torch.float64, generator=rng) + 0.5
    return Goal(of, target, torch.ones_like(target)), y


def test_adam_makes_the_steps_of_torchs_adam() -> None:
    goal, y = quadratic(0)
    ours = kernels.adam(goal, y, steps=30, tolerance=1e-12, lr=0.02)
    for i in range(len(y)):
        leaf = y[i : i + 1].clone().requires_grad_()
        optimiser = torch.optim.Adam([leaf], lr=0.02)
        for _ in range(30):
            optimiser.zero_grad()
            (goal.features(leaf, torch.tensor([0])) - goal.target[i : i + 1]).square().mean().backward()
            optimiser.step()
        torch.testing.assert_close(ours.y[i : i + 1], leaf.detach(), rtol=1e-9, atol=1e-11)


def test_averaged_adam_makes_the_steps_of_torchs_adam_on_the_batch() -> None:
    goal, y = quadratic(1)
    ours = kernels.adam(goal, y, steps=20, tolerance=1e-12, average_loss=True, eps=1e-2)
    leaf = y.clone().requires_grad_()
    optimiser = torch.optim.Adam([leaf], lr=0.01, eps=1e-2)
    for _ in range(20):
        optimiser.zero_grad()
        (goal.features(leaf, torch.arange(len(y))) - goal.target).square().mean().backward()
        optimiser.step()
    torch.testing.assert_close(ours.y, leaf.detach(), rtol=1e-9, atol=1e-11)


def test_rescaling_of_one_energy_keeps_directions_and_reaches_the_radius() -> None:
    y = torch.from_numpy(np.random.default_rng(0).standard_normal((20, 1, 4, 4)))
    target = torch.linspace(0.01, 4, 20, dtype=torch.float64)[:, None]
    goal = Goal(lambda a, _: a.flatten(1).square().mean(1, keepdim=True), target, torch.ones_like(target))
    for flowing in (False, True):
        found = kernels.rescale(goal, y, steps=100, tolerance=1e-20, flowing=flowing)
        exact = y * (target[:, 0] / y.flatten(1).square().mean(1)).sqrt()[:, None, None, None]
        torch.testing.assert_close(found.y, exact, rtol=1e-6, atol=1e-8)


def test_rescaling_is_equivariant_to_rotations() -> None:
    goal, y = quadratic(2)
    turn = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0])
    turned = Goal(lambda a, r: goal.features((a.flatten(1) @ turn).view_as(a), r), goal.target, goal.weight)
    for flowing in (False, True):
        plain = kernels.rescale(goal, y, steps=8, tolerance=1e-6, flowing=flowing).y
        other = kernels.rescale(turned, (y.flatten(1) @ turn.T).view_as(y), steps=8, tolerance=1e-6, flowing=flowing).y
        torch.testing.assert_close((other.flatten(1) @ turn).view_as(y), plain, rtol=1e-6, atol=1e-8)


def put_back(goal: Goal, y: torch.Tensor, *, step: float, flowing: bool = True) -> np.ndarray:
    """y₁² (time, point) of Langevin steps for a normal prior, each put back onto a level set, from time 1 to 1.5."""
    rng = torch.Generator().manual_seed(0)
    found = []
    for t in range(int(1.5 / step)):
        y = (1 - step) * y + math.sqrt(2 * step) * torch.randn(y.shape, dtype=torch.float64, generator=rng)
        y = kernels.rescale(goal, y, steps=30, tolerance=1e-4, absolute=True, flowing=flowing).y
        if t > 1 / step:
            found.append(y[:, 0, 0, 0].square().numpy())
    return np.stack(found)


def on_an_ellipse(*, flowing: bool, points: int = 4000) -> float:
    """E y₁² on y₁² + 4y₂² = 4."""
    target = torch.full((points, 1), 4.0, dtype=torch.float64)
    goal = Goal(lambda y, _: y[:, 0, 0, :1] ** 2 + 4 * y[:, 0, 0, 1:] ** 2, target, torch.ones_like(target))
    begin = torch.randn(points, 1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return float(put_back(goal, begin, step=0.01, flowing=flowing).mean())


def test_on_unevenly_curved_level_sets_flowing_gives_the_conditional_density_and_plain_steps_do_not() -> None:
    # p(y | a(y) = 4) is the normal density over |∇a| along the ellipse: E y₁² = 1.298; over |∇a|², where whole Newton
    # steps from outside lead, it is 1.582. The halfway value 1.44 tells the two apart: steps of 0.01 add 0.07 of bias,
    # the tolerance moves y₁² by less than 0.01, and the means of 4000 points at any one time have a standard error of
    # at most 1.4/√4000 = 0.02. Points have moved through more than a relaxation time before they count.
    angle = np.linspace(0, 2 * np.pi, 20001)
    first, second = 2 * np.cos(angle), np.sin(angle)
    along = np.hypot(2 * np.sin(angle), np.cos(angle)) * np.exp(-(first**2 + second**2) / 2)
    over = np.hypot(2 * first, 8 * second)
    exact, wrong = (float(np.average(first**2, weights=along / over**power)) for power in (1, 2))
    assert on_an_ellipse(flowing=True) < (exact + wrong) / 2 < on_an_ellipse(flowing=False)


# Two features in space, told as they are with very different weights, and mixed.
TOLD = [([[1.0, 0.0], [0.0, 1.0]], [1.0, 50.0]), ([[0.25, 1.0], [0.25, -1.0]], [1.0, 1.0])]


def on_a_curve(points: int = 1400) -> np.ndarray:
    """E y₁² on y₁² + 4y₂² = 4 and y₃ + 0.3y₁ = 0.5, for each way to tell the features; all in one batch."""
    mixed = torch.tensor([mixing for mixing, _ in TOLD], dtype=torch.float64).repeat_interleave(points, dim=0)

    def features(y: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        first, second, third = y[:, 0, 0].unbind(1)
        told = torch.stack([first**2 + 4 * second**2, third + 0.3 * first], dim=1)
        return torch.einsum("nij,nj->ni", mixed[rows], told)

    target = torch.einsum("nij,j->ni", mixed, torch.tensor([4, 0.5], dtype=torch.float64))
    weight = torch.tensor([weight for _, weight in TOLD], dtype=torch.float64).repeat_interleave(points, dim=0)
    rng = torch.Generator().manual_seed(1)
    begin = torch.randn(points * len(TOLD), 1, 1, 3, dtype=torch.float64, generator=rng)
    found = put_back(Goal(features, target, weight), begin, step=0.005)
    return found.mean(axis=0).reshape(len(TOLD), points).mean(axis=1)


def test_the_conditional_density_does_not_depend_on_how_features_are_weighed_or_mixed() -> None:
    # p(y | a₁ = 4, a₂ = 0.5) is the normal density over √det(JJᵀ) along the curve: E y₁² = 1.244; over det(JJᵀ), where
    # whole Newton steps lead, 1.534. The halfway value tells them apart, as for one feature; here steps of 0.005 and
    # 1400 points leave a standard error of at most 1.4/√1400 = 0.04.
    angle = np.linspace(0, 2 * np.pi, 20001)
    y = np.stack([2 * np.cos(angle), np.sin(angle), 0.5 - 0.6 * np.cos(angle)])
    along = np.sqrt((2 * np.sin(angle)) ** 2 + np.cos(angle) ** 2 + (0.6 * np.sin(angle)) ** 2)
    determinant = (4 * y[0] ** 2 + 64 * y[1] ** 2) * 1.09 - (0.6 * y[0]) ** 2
    law = along * np.exp(-np.square(y).sum(axis=0) / 2)
    exact, wrong = (float(np.average(y[0] ** 2, weights=law / determinant**power)) for power in (0.5, 1))
    np.testing.assert_array_less(np.abs(on_a_curve() - exact), abs(wrong - exact) / 2)


def test_curvature_of_past_moves_is_that_of_dense_bfgs() -> None:
    rng = np.random.default_rng(0)
    secants = kernels.Secants()
    inverse = np.tile(np.eye(6), (4, 1, 1))
    scale = np.full(4, 0.3)
    pairs = []
    for number in range(5):
        move, change = rng.standard_normal((2, 4, 6))
        # Upward curvature everywhere but in one row, whose pair counts for nothing; the last one was not made.
        change *= np.where(np.einsum("ni,ni->n", move, change) > 0, 1, -1)[:, None]
        made = torch.ones(4, dtype=torch.bool)
        if number == 1:
            change[2] *= -1
        made[3] = number != 4
        secants.add(torch.from_numpy(move).view(4, 1, 2, 3), torch.from_numpy(change).view(4, 1, 2, 3), made)
        pairs.append((move, change, made.numpy() & ~((number == 1) & (np.arange(4) == 2))))
    for row in range(4):
        kept = [(m[row], c[row]) for m, c, counts in pairs if counts[row]]
        last = kept[-1]
        dense = inverse[row] * (last[0] @ last[1]) / (last[1] @ last[1])
        for move, change in kept:
            rho = 1 / (move @ change)
            left = np.eye(6) - rho * np.outer(move, change)
            dense = left @ dense @ left.T + rho * np.outer(move, move)
        gradient = rng.standard_normal(6)
        given = torch.from_numpy(np.tile(gradient, (4, 1))).view(4, 1, 2, 3)
        found = secants.preconditioned(given, torch.from_numpy(scale))[row].flatten().numpy()
        np.testing.assert_allclose(found, dense @ gradient, rtol=1e-9)
        # The secant equation, by which it is defined.
        changed = torch.from_numpy(np.tile(last[1], (4, 1))).view(4, 1, 2, 3)
        back = secants.preconditioned(changed, torch.from_numpy(scale))[row].flatten().numpy()
        np.testing.assert_allclose(back, last[0], rtol=1e-9)


def test_steps_of_the_adaptive_schedule_are_those_of_its_formula() -> None:
    assert [samplers.step_length(t, 0.01) for t in (1, 2)] == pytest.approx([0.01, 0.02 / 1.01])
    assert samplers.noise_share(0.1, 0.5) == pytest.approx(math.sqrt(0.95**2 - 0.9**2))
    assert samplers.noise_share(0.1, 1.0) == 0


def test_algorithm_1_on_a_unet_is_a_plain_loop_with_torchs_adam(unet: UNet) -> None:
    unet = unet.double()
    tap = probekit.tap(unet, "mid")
    images = np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32)
    sigmas = [0.8, 0.4, 0.2]
    made = sampling.reconstruct(
        unet, tap, images, n_samples=2, sigmas=sigmas, method="algorithm1", guidance_steps=5, seed=3, progress=False
    )
    phi = torch.from_numpy(tap(images, sigma=sigmas, draws=10, seed=3).phi.values[0]).double()
    for k in range(2):
        x = torch.full((1, 3, 16, 16), 0.5, dtype=torch.float64)
        for t, sigma in enumerate(sigmas):
            # A level's draws are 64 apart.
            z = standard_normal((3, 16, 16), seed=3, ids=[f"0/{k}"], draws=[64 * t]).double()
            y = (x + sigma * z).requires_grad_()
            optimiser = torch.optim.Adam([y], lr=0.01)
            first = None
            for _ in range(5):
                optimiser.zero_grad()
                loss = (tap.features(y, sigma) - phi[t]).square().mean()
                first = loss.detach() if first is None else first
                if loss <= 0.01 * first:
                    break
                loss.backward()
                optimiser.step()
            with torch.no_grad():
                x = tap.denoiser(y, sigma)
        np.testing.assert_allclose(made.samples.values[0, k], x[0].numpy(), atol=1e-9)


def test_findings_are_those_of_plain_loops() -> None:
    model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    images, _ = model.draw(3, rows=16, cols=16, seed=0)
    made = sampling.reconstruct(model, probekit.tap(model, "mid"), images, sigmas=[1, 0.2, 0.05], progress=False)
    reference = model.draw(5, rows=16, cols=16, seed=9).images.drop_vars("label")
    found = sampling.describe(made, reference=reference.assign_coords(image=[f"r{i}" for i in range(5)]))
    x = made.samples.values.astype(float)

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(np.mean((a - b) ** 2)))

    def unlike(a: np.ndarray, b: np.ndarray) -> float:
        return math.sqrt(2 - 2 * float(np.corrcoef(a.ravel(), b.ravel())[0, 1]))

    pairs = [(j, k) for j in range(4) for k in range(j)]
    for i in range(3):
        assert float(found.diversity[i]) == pytest.approx(np.mean([apart(x[i, j], x[i, k]) for j, k in pairs]))
        span = float(np.ptp(x[i]))
        similar = [
            float(
                structural_similarity_index_measure(
                    torch.from_numpy(x[i, None, j]), torch.from_numpy(x[i, None, k]), data_range=span
                )
            )
            for j, k in pairs
        ]
        assert float(found.diversity_ssim[i]) == pytest.approx(1 - np.mean(similar), rel=1e-5)
        for k in range(4):
            assert float(found.distance[i, k]) == pytest.approx(unlike(x[i, k], images.values[i]))
            distances = [unlike(x[i, k], r) for r in reference.values]
            assert float(found.distance_reference[i, k]) == pytest.approx(min(distances))
            assert found.nearest.values[i, k] == f"r{int(np.argmin(distances))}"
    np.testing.assert_allclose(found.variance_map, x.var(axis=1, ddof=1))
    different = [*images.values, *reference.values]
    labels = [*images.label.values, *(f"r{i}" for i in range(5))]
    threshold = np.quantile(
        [unlike(different[a], different[b]) for a in range(8) for b in range(a) if labels[a] != labels[b]], 0.01
    )
    assert float(found.threshold) == pytest.approx(float(threshold), rel=1e-5)
    r = reference.values
    nearest = [min(unlike(r[a], r[b]) for b in range(5) if b != a) for a in range(5)]
    assert float(found.threshold_reference) == pytest.approx(float(np.quantile(nearest, 0.01)), rel=1e-5)


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (0.5, 0.02), (300.0, 40.0), (1000.0, 1.0), (-1e4, 0.1)])
def test_similarity_is_that_of_double_precision_wherever_values_lie(offset: float, scale: float) -> None:
    rng = np.random.default_rng(2)
    shape = (2, 3, 3, 16, 16)
    common = rng.random((2, 1, 3, 16, 16))
    x = (offset + scale * (0.6 * common + 0.4 * rng.random(shape))).astype(np.float32)
    found = description._similarity(x.astype(float))[0]
    for i, each in enumerate(x.astype(float)):
        span = 1.0 if each.min() >= -0.5 and each.max() <= 1.5 else float(np.ptp(each))
        similar = [
            float(
                structural_similarity_index_measure(
                    torch.from_numpy(each[None, j]), torch.from_numpy(each[None, k]), data_range=span
                )
            )
            for j, k in [(0, 1), (0, 2), (1, 2)]
        ]
        # Rounding of squares of at most 4 span², by 2⁻²⁴, beside the (0.03 span)² that is added to variances.
        assert abs(found[i] - np.mean(similar)) < 4 * 2**-24 / 0.03**2


def test_copies_of_the_condition_are_found_and_other_images_are_not() -> None:
    images = np.random.default_rng(0).random((6, 3, 16, 16))
    dims = ("image", "sample", "band", "row", "col")
    ids = np.array(list("abcdef"), dtype=object)
    copies = images[:, None] + 0.001
    # Negatives are further from their images, and from one another's, than any two images are from one another.
    others = 1 - images[:, None]
    made = xr.Dataset(
        {
            "samples": (dims, np.concatenate([copies, others], axis=1)),
            "condition": (("image", "band", "row", "col"), images),
            "match": (("image", "sample"), np.zeros((6, 2))),
        },
        coords={"image": ids},
    )
    found = sampling.describe(made)
    assert found.near_copy.values.tolist() == [[True, False]] * 6
    assert float(found.near_copy_rate) == 0.5
    # With the other images as references, their copies are found too.
    both = sampling.describe(made, reference=xr.DataArray(1 - images, dims=made.condition.dims))
    assert both.near_copy_reference.values.tolist() == [[False, True]] * 6
    assert both.nearest.values[:, 1].tolist() == list("012345")


def test_a_sample_whose_loss_does_not_fall_is_left_where_it_is_after_eight_refusals_in_a_row() -> None:
    # The gradient of the features is turned round: every step leads up, at any length.
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, y: torch.Tensor) -> torch.Tensor:
            return y.clone()

        @staticmethod
        def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
            return -gradients[0]

    goal, y = quadratic(3)
    uphill = goal._replace(features=lambda a, r: goal.features(Wrong.apply(a), r))
    found = kernels.rescale(uphill, y, steps=50, tolerance=1e-6)
    torch.testing.assert_close(found.y, y)
    torch.testing.assert_close(found.last, found.first)
    # The first look, and eight steps.
    assert found.steps.tolist() == [9] * len(y)
