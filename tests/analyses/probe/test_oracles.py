"""The probe against Bayes' rule, scikit-learn and scipy."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from scipy.stats import chi2, norm
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from analyses import probe
from analyses.probe import kernels
from analyses.probe.kernels_softmax import Regression, minimum
from probekit import labels


def objective(x: np.ndarray, y: np.ndarray, classes: int, penalty: float) -> Callable[[np.ndarray], float]:
    """Mean −log p plus half the penalty times the sum of squares, of coefficients and intercepts (classes, 1 + d)."""

    def value(flat: np.ndarray) -> float:
        rows = flat.reshape(classes, -1)
        logits = x @ rows[:, 1:].T + rows[:, 0]
        loss = (logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]).mean()
        return float(loss + penalty / 2 * (rows[:, 1:] ** 2).sum())

    return value


def drawn(classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    return x, np.digitize(x[:, 0] + x[:, 1] + rng.normal(size=300), np.linspace(-1, 1, classes + 1)[1:-1])


def the_solver_finds_the_minimum(classes: int) -> None:
    x, y = drawn(classes)
    penalty = 0.01
    found = minimum(x, y, classes, penalty)
    value = objective(x.astype(float), y, classes, penalty)
    best = minimize(value, np.zeros(classes * 7), method="BFGS", options={"gtol": 1e-5})
    own = np.column_stack([found.intercept, found.coefficient])
    assert found.converged
    # The objective is 0.01-strongly convex in the coefficients: a gradient of 1e-4 leaves them within 1e-4/0.01, and
    # the objective within 1e-8/0.02 of its least.
    np.testing.assert_allclose(found.coefficient, best.x.reshape(classes, 7)[:, 1:], atol=1e-2)
    assert value(own.ravel()) == pytest.approx(best.fun, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_solver_finds_the_minimum_of_what_it_says_it_minimises(classes: int) -> None:
    the_solver_finds_the_minimum(classes)


@pytest.mark.parametrize("classes", [2, 3])
def test_where_a_fit_begins_does_not_matter(classes: int) -> None:
    x, y = drawn(classes)
    regression = Regression(x, y, classes)
    for penalty in (1.0, 0.1):
        regression.fit(penalty)
    warm, cold = regression.fit(0.01), minimum(x, y, classes, 0.01)
    # Both are within a gradient of 1e-4 of the minimum.
    np.testing.assert_allclose(warm.coefficient, cold.coefficient, atol=2e-2)


def test_classes_without_an_image_are_never_named_and_leave_the_others_as_they_are() -> None:
    x, y = drawn(3)
    found, without = minimum(x, 2 * (y > 0) + 1, 5, 0.01), minimum(x, (y > 0).astype(int), 2, 0.01)
    assert set((x @ found.coefficient.T + found.intercept).argmax(axis=1)) == {1, 3}
    np.testing.assert_allclose(found.coefficient[[1, 3]], without.coefficient, atol=1e-2)
    # Of one class alone that class is named.
    assert kernels.scores(x, np.full(300, 2), minimum(x, np.full(300, 2), 5, 0.01), 1).first.all()


def test_scores_are_scikit_learns() -> None:
    x, y = drawn(3)
    found = minimum(x, y, 3, 0.01)
    logits = x @ found.coefficient.T + found.intercept
    scored = kernels.scores(x, y, found, 2)
    assert scored.loss.mean() == pytest.approx(log_loss(y, softmax(logits, axis=1)))
    assert scored.first.mean() == accuracy_score(y, logits.argmax(axis=1))
    assert scored.among.mean() == top_k_accuracy_score(y, logits, k=2)


def test_on_gaussians_with_one_covariance_the_probe_is_as_good_as_bayes_rule() -> None:
    rng = np.random.default_rng(1)
    n_train, n_test, channels = 8000, 20_000, 3
    mixing = np.array([[1.0, 0.4, 0.0], [0.0, 0.8, 0.3], [0.0, 0.0, 1.2]])
    means = np.array([[0.0, 0, 0], [1.0, 1, 0], [-1.0, 0.5, 1]])

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(3, size=n)
        return (means[y] + rng.normal(size=(n, channels)) @ mixing).astype(np.float32), y

    (x, y), (x_test, y_test) = drawn(n_train), drawn(n_test)
    made = [
        labels.representation(
            {"phi": values[:, None]},
            ids=[f"{name}{i}" for i in range(len(values))],
            labels=list(map(str, known)),
            sigma=[0.1],
            channels={"mid": channels},
            attrs={},
        )
        for name, values, known in (("a", x, y), ("b", x_test, y_test))
    ]
    found = probe.analyse(*made, resamples=100)
    precision = np.linalg.inv(mixing.T @ mixing)
    bayes = (x_test @ precision @ means.T - 0.5 * np.einsum("ki,ij,kj->k", means, precision, means)).argmax(axis=1)
    right = bayes == y_test
    difference = found.accuracy.item() - right.mean()
    # Wilks: n times twice the excess log-loss is about χ² with as many degrees as there are free parameters. A plug-in
    # rule loses at most twice the total variation between posteriors, and Pinsker bounds that by √(KL/2).
    worst = chi2.ppf(0.999, 2 * (channels + 1)) / (2 * n_train)
    lost = math.sqrt(2 * worst)
    # Both rules are scored on the same images: only those that just one gets right make noise.
    odd = (found.correct.values[:, 0, 0] != right).mean()
    assert -lost - 3.5 * math.sqrt(odd / n_test) < difference < 3.5 * math.sqrt(odd / n_test)
    assert lost < 0.06


def test_two_gaussians_are_told_apart_as_often_as_the_normal_law_says() -> None:
    rng = np.random.default_rng(2)
    n, distance = 20_000, 1.5
    y = np.arange(n) % 2
    x = rng.normal(size=(n, 2)).astype(np.float32)
    x[:, 0] += distance * y
    fit = minimum(x[: n // 2], y[: n // 2], 2, 1e-6)
    found = kernels.scores(x[n // 2 :], y[n // 2 :], fit, 1).first.mean()
    # The rule's direction errs by about 1/√n, its accuracy by the square of that; the rest is binomial.
    truth = norm.cdf(distance / 2)
    assert abs(found - truth) < 3.5 * math.sqrt(truth * (1 - truth) / (n / 2)) + 10 / n


def test_the_penalty_of_least_cross_validated_loss_is_the_one_that_tests_best() -> None:
    rng = np.random.default_rng(3)
    means = 0.3 * rng.normal(size=(10, 60))
    y = np.arange(600) % 10
    x = (means[y] + rng.normal(size=(600, 60))).astype(np.float32)
    y_new = np.arange(5000) % 10
    x_new = (means[y_new] + rng.normal(size=(5000, 60))).astype(np.float32)
    penalties = (10.0, 1.0, 0.1, 0.01, 0.0001)
    losses = kernels.tuning_losses(x, y, penalties, rng)
    tested = [kernels.scores(x_new, y_new, minimum(x, y, 10, p), 1).loss.mean() for p in penalties]
    # Neighbours on a grid of tenfold steps: cross-validation sees two thirds of the images.
    assert abs(int(np.nanargmin(losses)) - int(np.argmin(tested))) <= 1


def test_the_ddae_probe_reaches_the_minimum_where_there_is_no_need_of_a_penalty() -> None:
    rng = np.random.default_rng(4)
    y = np.arange(6000) % 2
    x = rng.normal(size=(6000, 3)).astype(np.float32)
    x[:, 0] += y
    adam = kernels.ddae(x, y, 2, epochs=60, seed=0)
    best = minimum(x, y, 2, 1e-6)
    losses = [kernels.scores(x, y, fit, 1).loss.mean() for fit in (adam, best)]
    # A weight begins within 1/√3 and ends within 1/2 of 0: it has less than 1.1 to go. 60 epochs of 47 steps of 0.001,
    # under a cosine, reach 1.4. A slope wrong by δ costs δ²/8 at most: 0.01 allows δ = 0.28.
    assert losses[1] <= losses[0] + 1e-6
    assert losses[0] - losses[1] < 0.01


def test_the_ddae_probe_is_adam_with_a_rate_that_falls_as_a_cosine_over_epochs() -> None:
    x, y = drawn(3)
    rng = torch.Generator().manual_seed(7)
    features, target = torch.from_numpy(x), torch.from_numpy(y)
    weight, bias = (
        ((2 * torch.rand(shape, generator=rng) - 1) / math.sqrt(6)).requires_grad_() for shape in ((3, 6), (3,))
    )
    moments = [[torch.zeros_like(p), torch.zeros_like(p)] for p in (weight, bias)]
    step = 0
    for epoch in range(5):
        rate = 0.001 * (1 + math.cos(math.pi * epoch / 5)) / 2
        order = torch.randperm(300, generator=rng)
        for batch in (order[:128], order[128:256], order[256:]):
            step += 1
            loss = torch.nn.functional.cross_entropy(features[batch] @ weight.T + bias, target[batch])
            for p, g, m in zip((weight, bias), torch.autograd.grad(loss, (weight, bias)), moments, strict=True):
                m[0], m[1] = 0.9 * m[0] + 0.1 * g, 0.999 * m[1] + 0.001 * g**2
                root = (m[1] / (1 - 0.999**step)).sqrt() + 1e-8
                p.data -= rate * m[0] / (1 - 0.9**step) / root
    found = kernels.ddae(x, y, 3, epochs=5, seed=7)
    np.testing.assert_allclose(found.coefficient, weight.detach(), atol=2e-6)
    np.testing.assert_allclose(found.intercept, bias.detach(), atol=2e-6)


def test_samples_keep_the_shares_of_classes() -> None:
    y = np.repeat([0, 1, 2], [600, 300, 100])
    part = kernels.subset(y, 100, np.random.default_rng(0))
    assert len(set(part)) == 100
    # Evenly spaced places differ from a class's exact share by less than one image.
    assert np.abs(np.bincount(y[part]) - [60, 30, 10]).max() <= 1


def test_a_penalty_keeps_its_product_with_the_images_that_it_was_chosen_on() -> None:
    x, y = drawn(3)
    protocol = kernels.Protocol("softmax", 3, (0.3, 0.03), tuning_images=150, epochs=1, seed=0)
    found = kernels.trained(x, y, protocol)
    # Two thirds of 150 images are fitted on in each fold.
    assert found.strength / 100 in (pytest.approx(0.3), pytest.approx(0.03))
    part = kernels.subset(y, 120, np.random.default_rng(1))
    smaller = kernels.trained(x[part], y[part], protocol, strength=found.strength)
    alone = kernels.trained(x[part], y[part], protocol._replace(penalties=(found.strength / 120,)))
    np.testing.assert_array_equal(smaller.classifier.coefficient, alone.classifier.coefficient)
