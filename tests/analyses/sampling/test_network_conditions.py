"""Samples of a network that is given more than the noisy image are made under what belongs to their image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

import probekit
from analyses import sampling
from analyses.sampling.analyse import levels
from analyses.sampling.methods import geometric
from probekit.cli.arguments import network_called
from probekit.errors import InputError
from tests.analyses.sampling.making import METHODS

VARIANCE = 0.04
SHAPE = (1, 4, 3)
LEVELS = [float(s) for s in np.geomspace(1, 0.01, 12)]


class Wiener(nn.Module):
    """The exact denoiser of x ~ N(given, VARIANCE): the given image, and the Wiener estimate of the rest."""

    data_range = None
    variance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.rest = nn.Identity()
        self.register_buffer("variance", torch.tensor(VARIANCE, dtype=torch.float64))

    def forward(self, y: Tensor, sigma: Any, *, given: Tensor, scale: float = 1.0) -> Tensor:
        level = torch.as_tensor(sigma, dtype=y.dtype).reshape(-1, 1, 1, 1)
        rest = self.rest(y - scale * given)
        return scale * given + self.variance / (self.variance + level**2) * rest


def world(count: int) -> tuple[np.ndarray, np.ndarray]:
    """What images are given, far from one another, and the images."""
    rng = np.random.default_rng(3)
    planes = 4 * rng.standard_normal((count, *SHAPE))
    return planes, planes + VARIANCE**0.5 * rng.standard_normal(planes.shape)


def made(x: Any, conditions: Any, **options: Any) -> xr.Dataset:
    network = Wiener()
    chosen = {"sigmas": LEVELS, "n_samples": 3, "draws": 4, "progress": False, **options}
    return sampling.reconstruct(network, probekit.tap(network, "rest"), x, conditions=conditions, **chosen)


def off(samples: np.ndarray, planes: np.ndarray) -> float:
    """The largest root mean square over pixels of samples (image, sample, …) less what their images are given."""
    away = samples - planes[:, None]
    return float(np.sqrt(np.square(away).mean(axis=(2, 3, 4))).max())


def kept_its_own(method: str) -> bool:
    """Whether samples lie about what their own image is given.

    Samples of N(given, 0.2²) over 12 pixels lie 0.2 from it, and 0.5 with a probability of 1e-9; what other images are
    given lies 4 √2 away.
    """
    planes, x = world(3)
    order = [2, 0, 1]
    chosen = {"guidance_steps": 10} if method in ("algorithm1", "adaptive") else {}
    found = made(x[order], {"given": planes[order]}, method=method, **chosen)
    return off(found.samples.values, planes[order]) < 0.5


# "guidance" never asks for a clean estimate, and stays where it begins but for φ.
@pytest.mark.parametrize("method", [m for m in METHODS if m != "guidance"])
def test_every_method_samples_about_what_is_given_of_the_image(method: str) -> None:
    assert kept_its_own(method)


@settings(max_examples=12)
@given(st.permutations(range(4)), st.integers(1, 9), st.sampled_from(["langevin", "unconditional", "score"]))
def test_permuting_images_with_their_conditions_permutes_the_samples(
    order: list[int], batch_size: int, method: str
) -> None:
    planes, x = world(4)
    ids = [f"picture {i}" for i in range(4)]
    by_id = {"given": dict(zip(ids, planes, strict=True))}
    whole = made(probekit.images.load(x, ids=ids), by_id, method=method, n_samples=2)
    source = probekit.images.load(x[order], ids=[ids[i] for i in order])
    for conditions in (by_id, {"given": planes[order]}):
        found = made(source, conditions, method=method, n_samples=2, batch_size=batch_size)
        for name in ("samples", "match"):
            np.testing.assert_allclose(found[name], whole[name].isel(image=order), rtol=1e-6, atol=1e-8)


def deviation_of_langevin(levels: list[float], step: float = 0.8) -> float:
    """Standard deviation of a pixel's residual under the dynamics, which are linear here: exact, and near 0.2.

    By recursion of the variance of the noisy residual y, and of its covariance with the z of the step before, through
    y ← k y + √(2h) σ (z + z₋)/2, k = 1 − h σ²/(λ + σ²), and between levels y ← (a + (1 − a) σ'/σ) y, a = λ/(λ + σ²).
    """
    variance, shared = levels[0] ** 2, levels[0] * (step / 2) ** 0.5
    gain = 1.0
    for t, sigma in enumerate(levels):
        if t:
            kept = gain + (1 - gain) * sigma / levels[t - 1]
            variance, shared = kept**2 * variance, kept * shared
        gain = VARIANCE / (VARIANCE + sigma**2)
        k, noise = 1 - step * (1 - gain), (2 * step) ** 0.5 * sigma / 2
        # Four steps at the upper seven tenths of the levels, one at others.
        for _ in range(4 if t < 0.7 * len(levels) else 1):
            variance, shared = k**2 * variance + 2 * noise**2 + 2 * k * noise * shared, noise
    return gain * variance**0.5


def test_samples_given_phi_have_the_conditional_law() -> None:
    """φ is the mean m of x − given over 12 pixels: given it, x is given + m + N(0, 0.2²) about its own mean.

    400 samples of each of 3 images: the mean over them of a pixel's residual has a standard error of 0.01, six of which
    bound all 36; that of the standard deviation over 1200 · 11 degrees of freedom is 1/√26400 of it, and five bound it.
    φ is held within the tolerance of guidance, √0.1 of one draw's deviation 0.01/√12, and four draws' noise beside it.
    """
    planes, x = world(3)
    found = made(x, {"given": planes}, n_samples=400, sigmas=None)
    rest = found.samples.values - planes[:, None]
    mean = (x - planes).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(rest.mean(axis=(2, 3, 4)), np.broadcast_to(mean[:, None], (3, 400)), atol=0.01)
    about = rest - rest.mean(axis=(2, 3, 4), keepdims=True)
    assert np.abs(about.mean(axis=1)).max() < 0.06
    deviation = np.sqrt(np.square(about).sum() / (1200 * 11))
    expected = deviation_of_langevin(sampling.levels("langevin"))
    assert abs(expected / 0.2 - 1) < 0.03
    assert abs(deviation / expected - 1) < 5 / 26400**0.5


def test_unconditional_samples_have_the_law_of_what_each_is_given() -> None:
    """600 samples, each of its own mean: residuals of 7200 pixels, within five standard errors."""
    planes, _ = world(600)
    found = sampling.sample(Wiener(), SHAPE, n_samples=600, conditions={"given": planes}, batch_size=64).numpy()
    rest = found - planes
    assert abs(rest.mean()) < 5 * 0.2 / 7200**0.5
    expected = deviation_of_langevin(sampling.levels("unconditional"))
    assert abs(rest.std() / expected - 1) < 5 / 14400**0.5
    few = sampling.sample(Wiener(), SHAPE, n_samples=7, conditions={"given": planes[:7]}, batch_size=3).numpy()
    np.testing.assert_allclose(few, found[:7], rtol=1e-9, atol=1e-9)
    by_id = {"given": {str(k): planes[k] for k in reversed(range(7))}}
    again = sampling.sample(Wiener(), SHAPE, n_samples=7, conditions=by_id).numpy()
    np.testing.assert_allclose(again, found[:7], rtol=1e-9, atol=1e-9)


def test_a_condition_of_phi_brings_what_it_was_made_with() -> None:
    planes, x = world(3)
    network = Wiener()
    tap = probekit.tap(network, "rest")
    of_images = made(x, {"given": planes})
    condition = sampling.Condition.from_images(tap, x, LEVELS, draws=4, conditions={"given": planes})
    phi = tap(x, sigma=LEVELS, draws=4, conditions={"given": planes})
    from_phi = sampling.Condition.from_phi(tap, phi, LEVELS, shape=SHAPE, conditions={"given": planes})
    for known in (condition, from_phi):
        np.testing.assert_allclose(made(known, None).samples, of_images.samples, rtol=1e-6, atol=1e-7)
    # The φ of one image with what another is given.
    turned = made(condition, {"given": planes[[1, 2, 0]]})
    assert off(turned.samples.values, planes[[1, 2, 0]]) < 0.6


def test_what_is_the_same_for_all_goes_along() -> None:
    planes, x = world(2)
    found = made(2 * planes + x - planes, {"given": planes, "scale": 2.0})
    assert off(found.samples.values, 2 * planes) < 0.5
    assert found.attrs["conditions"] == "given, scale"


def test_stores_are_finished_under_the_same_conditions_only(tmp_path: Path) -> None:
    planes, x = world(3)
    first = made(x, {"given": planes}, store=tmp_path)
    again = made(x, {"given": {str(i): planes[i] for i in (2, 1, 0)}}, store=tmp_path)
    np.testing.assert_array_equal(again.samples, first.samples)
    with pytest.raises(InputError, match="condition_given_sha256"):
        made(x, {"given": np.roll(planes, 1, axis=0)}, store=tmp_path)


def test_conditions_that_are_missing_or_do_not_fit_are_refused() -> None:
    planes, x = world(3)
    with pytest.raises(InputError, match="'given' must be given"):
        made(x, None)
    with pytest.raises(InputError, match="has 2 entries"):
        made(x, {"given": planes[:2]})
    with pytest.raises(InputError, match="no condition 'gives'"):
        made(x, {"given": planes, "gives": 1})
    with pytest.raises(InputError, match="'given' must be given"):
        sampling.sample(Wiener(), SHAPE, n_samples=2)
    with pytest.raises(InputError, match="has 3 entries"):
        sampling.sample(Wiener(), SHAPE, n_samples=2, conditions={"given": planes})


def test_a_sampler_that_does_not_say_of_which_rows_its_images_are_is_told_so() -> None:
    def forgetful(walk: Any, sigmas: list[float]) -> Tensor:
        walk.enter(sigmas[0])
        return walk.features(walk.start[:2], sigmas[0])

    planes, x = world(3)
    with pytest.raises(InputError, match=r"2 noisy images .* of 9 rows, .* say which rows"):
        made(x, {"given": planes}, method=forgetful)


GIVEN = """
import torch
from torch import nn

class Beside(nn.Module):
    def __init__(self):
        super().__init__()
        self.rest = nn.Identity()

    def forward(self, y, sigma, *, given):
        level = sigma.view(-1, 1, 1, 1)
        return given + 0.04 / (0.04 + level**2) * self.rest(y - given)

def make():
    return Beside()
"""


@pytest.mark.parametrize("turned", [False, True])
def test_the_command_line_gives_each_image_its_own(
    turned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"beside_{turned}"
    (tmp_path / f"{name}.py").write_text(GIVEN)
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{k}.png")
    planes = rng.standard_normal((3, 3, 4, 4)).astype(np.float32)
    ids = np.array([f"{k}.png" for k in range(3)], dtype=object)
    order = slice(None, None, -1) if turned else slice(None)
    np.savez(tmp_path / "given.npz", ids=ids[order].astype(str), values=planes[order])
    arguments = ["pictures", "--network", f"{name}:make", "--tap", "rest", "--samples", "2", "--levels", "4"]
    assert sampling.main([*arguments, "--condition", "given=given.npz", "--draws", "2", "-o", "out", "--quiet"]) == 0
    found = xr.load_dataset(tmp_path / "out" / "samples.nc", engine="h5netcdf")
    network, ends = network_called(f"{name}:make"), levels("langevin")

    def by_hand(planes: np.ndarray) -> xr.Dataset:
        options = {"n_samples": 2, "sigmas": geometric(ends[0], ends[-1], 4), "draws": 2, "progress": False}
        return sampling.reconstruct(
            network, probekit.tap(network, "rest"), tmp_path / "pictures", conditions={"given": planes}, **options
        )

    np.testing.assert_array_equal(found.samples, by_hand(planes).samples)
    assert not np.array_equal(found.samples, by_hand(planes[[1, 2, 0]]).samples)
    assert sampling.main([*arguments, "-o", "out2", "--quiet"]) == 1
    assert "'given' must be given" in capsys.readouterr().err
