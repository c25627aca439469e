"""Held concepts against known answers: what a channel decides on the patch model, and what is held with it."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize
from scipy.special import expit

import probekit
from analyses import concepts
from analyses.concepts import kernels
from probekit.images import ImageSet
from probekit.synthetic.patch_model import PatchModel

SIGMA, N = 0.02, 60
QUICK: dict[str, Any] = {
    "sigma": SIGMA,
    "sigmas": np.geomspace(1, 0.01, 12).tolist(),
    "draws": 2,
    "permutations": 199,
    "resamples": 100,
    "together": 1,
    "progress": False,
}


def model() -> PatchModel:
    """A rare class has component 1 and the other component 2; components 0 and 3 are the same in both."""
    return PatchModel([0.15, 0.85], [[0.4, 0.3, 0, 0.05], [0.4, 0, 0.3, 0.05]])


def measured() -> tuple[ImageSet, xr.Dataset]:
    images = probekit.images.load(model().draw(N, rows=8, cols=8, seed=4).images)
    return images, probekit.tap(model(), "mid")(images, sigma=SIGMA, draws=2)


def held(channels: list[int] | None, **options: Any) -> xr.Dataset:
    images, data = measured()
    return concepts.analyse(
        images, data, denoiser=model(), channels=channels, **{**QUICK, "n_images": 3, "n_samples": 6, **options}
    )


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return held([1, 3])


def test_a_channel_that_decides_the_class_brings_the_rest_of_the_class_with_it(found: xr.Dataset) -> None:
    of = found.isel(concept=0)
    # With component 1 held at a large energy only the rare class is possible, which has no component 2; free samples
    # have it in 85 % of cases, so that nearly all orders of held and free are won by the held ones.
    # The classifier is asked for more, to know the images that excite most from others of the class.
    against = of.sel(against="free samples")
    assert (against.p_holm.sel(witness=["held", "other"]) < 0.02).all()
    assert against.p_holm.sel(witness="classifier") <= 0.05
    assert (against.nearer_low.sel(witness=["held", "other"]) > 0.5).all()
    assert of.held_samples.dims == ("exciting", "sample", "band", "row", "col")
    # Samples are told from those of the other concept, by the channel itself and by what comes with it.
    assert (of.p.sel(against="samples of other concepts", witness=["held", "other"]) < 0.02).all()
    np.testing.assert_allclose(of.reached, 1, atol=0.1)


def test_a_channel_that_nothing_else_goes_with_is_found_to_bring_nothing_but_itself(found: xr.Dataset) -> None:
    of = found.isel(concept=1).sel(against="free samples")
    assert of.p.sel(witness="held") < 0.02
    # Without an effect p ≤ 0.01 happens once in a hundred seeds; this is one seed, fixed before it was seen.
    assert (of.p.sel(witness=["other", "classifier"]) > 0.01).all()
    assert of.nearer_low.sel(witness="other") < 0.5


def test_channels_held_together_are_those_that_the_same_images_raise_most() -> None:
    phi = np.zeros((40, 5))
    phi[:, 1:] = np.random.default_rng(0).random((40, 4)) * 0.1
    # Images 7 and 9 excite channel 0, and with it channel 3 more than 1; channel 4, the most, is of another type.
    phi[[7, 9], 0], phi[[7, 9], 3], phi[[7, 9], 1], phi[[7, 9], 4] = (2, 1), 0.4, 0.2, 5
    images = kernels.most_exciting(phi, 0, 2)
    assert images.tolist() == [7, 9]
    assert kernels.raised_together(phi, images, 0, np.array([0, 1, 2, 3]))[:2] == [3, 1]


def test_the_classifier_is_a_penalised_logistic_regression_on_free_channels_in_units_of_their_spread() -> None:
    rng = np.random.default_rng(1)
    phi, given = (10 + rng.normal(size=(n, 5)) * [1, 2, 0.1, 5, 1] for n in (60, 7))
    phi[:, 1] += 3 * phi[:, 0]
    excited = np.zeros(60, bool)
    excited[np.argsort(-phi[:, 0])[:6]] = True
    x = (phi[:, [1, 2, 4]] - phi[:, [1, 2, 4]].mean(axis=0)) / phi[:, [1, 2, 4]].std(axis=0)
    # Both kinds weigh the same; the penalty is ½ ‖w‖², data weigh 0.01, the intercept is free.
    weight = np.where(excited, 60 / (2 * 6), 60 / (2 * 54))

    def loss(w: np.ndarray) -> float:
        sign = np.where(excited, 1, -1)
        return float(0.5 * w[1:] @ w[1:] + 0.01 * (weight * np.logaddexp(0, -sign * (w[0] + x @ w[1:]))).sum())

    w = minimize(loss, np.zeros(4), tol=1e-12).x
    logit = w[0] + ((given[:, [1, 2, 4]] - phi[:, [1, 2, 4]].mean(axis=0)) / phi[:, [1, 2, 4]].std(axis=0)) @ w[1:]
    found = kernels.excitement(phi, 0, [0, 3])(given)
    # Both are minimised numerically, to gradients of some 1e-4.
    np.testing.assert_allclose(found, np.stack([expit(-logit), expit(logit)], axis=1), atol=1e-3)
    assert np.ptp(found[:, 1]) > 0.02
