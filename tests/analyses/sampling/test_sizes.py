"""Samples of another size than their condition: the law that is known for them, φ that is held, what is refused."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

import probekit
from analyses import sampling
from probekit.errors import InputError
from probekit.models.unet import UNet
from probekit.synthetic.patch_laws import SplitLaw
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.sampling import test_laws as laws
from tests.analyses.sampling.making import LEVELS, Plain, drawn, made, noise, patches

OF = 16


@pytest.fixture
def model() -> PatchModel:
    return patches()


@pytest.fixture
def images(model: PatchModel) -> xr.DataArray:
    return drawn(model)


def sized(
    model: PatchModel, phi: list[float], n: int, size: tuple[int, int], *, of: int = OF, **options: Any
) -> np.ndarray:
    """Coefficients of samples of some size, of a condition of `of` patches."""
    return laws.sampled(model, laws.condition(model, phi, of), n, size=size, **options)


@cache
def on_the_sphere(size: tuple[int, int], n: int) -> np.ndarray:
    return sized(laws.SPHERE, laws.SPHERE_PHI, n, size)


# Of 16 patches 8×8 pixels: half, twice and four times as many, and 4 times in one direction.
@pytest.mark.parametrize("size", [(8, 4), (8, 16), (16, 16), (8, 32)])
def test_samples_of_any_size_are_uniform_on_the_spheres_of_that_size(size: tuple[int, int]) -> None:
    c = on_the_sphere(size, 400)
    positions = size[0] * size[1] // 4
    assert c.shape == (400, 4, positions)
    assert not laws.rejected(laws.sphere_p_values(c, laws.HELD))
    assert np.abs(c[:, ~np.isin(np.arange(4), laws.HELD)]).max() < 1e-6


def quarter_p_values(c: np.ndarray) -> list[float]:
    """Tests that the share of the energy in a quadrant of square samples of P positions is Beta(P/8, 3P/8)."""
    positions, side = c.shape[2], math.isqrt(c.shape[2])
    square = np.square(c[:, laws.HELD]).reshape(len(c), len(laws.HELD), side, side)
    share = square[..., : side // 2, : side // 2].sum(axis=(2, 3)) / square.sum(axis=(2, 3))
    return [float(stats.kstest(s, stats.beta(positions / 8, 3 * positions / 8).cdf).pvalue) for s in share.T]


def test_energy_is_shared_among_all_positions_of_a_larger_sample_and_not_held_in_each_tile() -> None:
    assert not laws.rejected(quarter_p_values(on_the_sphere((16, 16), 400)))
    # Four samples of the condition's own size side by side have the same φ, each of them.
    tiles = sized(laws.SPHERE, laws.SPHERE_PHI, 200, (8, 8)).reshape(50, 2, 2, 4, 4, 4)
    assert laws.rejected(quarter_p_values(tiles.transpose(0, 3, 1, 4, 2, 5).reshape(50, 4, 64)))


@settings(max_examples=4)
@given(
    st.lists(st.floats(0.03, 1), min_size=1, max_size=4),
    st.sampled_from([(16, 16), (8, 24), (24, 16)]),
    st.floats(0.002, 0.01),
    st.floats(0.6, 1.6),
)
def test_phi_of_samples_is_the_target_within_what_noise_and_tolerance_leave_at_their_size(
    variances: list[float], size: tuple[int, int], last: float, share: float
) -> None:
    variances = [*variances, *[0.0] * (4 - len(variances))]
    model = PatchModel([1.0], [variances]).double()
    phi = np.array(variances) * share
    c = sized(model, list(phi), 20, size, sigmas=np.geomspace(1, last, 20))
    held = phi > 0
    # As for samples of the condition's own size: of the samples' spread there is √0.4 · 1.8 of the tolerance, and
    # 6/√4 of the clean estimate's draws; the target itself was measured on 10 draws of 16 positions.
    at = [np.sqrt((4 * last**2 * phi + 2 * last**4) / n) for n in (OF, size[0] * size[1] // 4)]
    of, own = (np.maximum(spread, 0.1 * spread.max()) for spread in at)
    slack = (1.8 * math.sqrt(0.4) + 6 / 2) * own + 6 / math.sqrt(10) * of
    assert (np.abs(np.square(c).mean(axis=2) - phi)[:, held] <= slack[held]).all()


@pytest.mark.parametrize("size", [(8, 8), (16, 16)])
def test_pooled_energy_is_split_as_the_prior_does_at_the_size_of_the_samples(size: tuple[int, int]) -> None:
    variances, phi = (0.2, 0.05), 0.25
    positions = size[0] * size[1] // 4
    c = sized(laws.pooled_model(variances), [phi, 0], 300, size, of=36)
    law = SplitLaw(variances, phi=phi, positions=positions)
    assert laws.splits_as_the_prior_does(c, law)
    # The law of the condition's 36 positions has another spread, √(36/16) or √(36/64) times as large.
    assert not laws.splits_as_the_prior_does(c, SplitLaw(variances, phi=phi, positions=36))


def test_the_condition_s_own_size_changes_nothing(model: PatchModel, images: xr.DataArray) -> None:
    for size in (8, (8, 8), np.int64(8), np.array([8, 8])):
        xr.testing.assert_identical(made(model, images, size=size), made(model, images))


def test_images_phi_and_conditions_made_beforehand_give_the_same_samples(
    model: PatchModel, images: xr.DataArray
) -> None:
    tap = probekit.tap(model, "mid")
    whole = made(model, images, size=(12, 16))
    assert whole.samples.shape == (3, 2, 1, 12, 16)
    by_images = sampling.Condition.from_images(tap, images, LEVELS)
    by_phi = sampling.Condition.from_phi(tap, tap(images, sigma=LEVELS), LEVELS, shape=(1, 8, 8))
    for condition in (by_images, by_phi):
        found = made(model, condition, size=(12, 16))
        np.testing.assert_array_equal(found.samples, whole.samples)
        np.testing.assert_array_equal(made(model, condition.at_size(tap, (12, 16))).samples, whole.samples)
        # There and back again.
        again = condition.at_size(tap, 16).at_size(tap, 8)
        assert again.measured is None
        np.testing.assert_allclose(again.spread, condition.spread, rtol=1e-12)


def test_samples_of_another_size_are_described_and_drawn_beside_their_condition(
    model: PatchModel, images: xr.DataArray
) -> None:
    found = made(model, images, size=16)
    assert found.condition_image.dims == ("image", "band", "condition_row", "condition_col")
    np.testing.assert_array_equal(found.condition_image, images.values.astype(np.float32))
    assert "condition" not in found
    assert found.attrs["size"] == "16×16"
    described = sampling.describe(found, tap=probekit.tap(model, "mid"))
    # In pixels there is nothing to compare; φ is of any size.
    assert "distance" not in described
    assert float(described.distance_phi.median()) < 0.5
    assert len(sampling.plot(found).axes) == 9


@pytest.mark.parametrize("method", ["algorithm1", "adaptive", "guidance", "score", "unconditional", "particles"])
def test_every_method_makes_samples_of_another_size(method: str, model: PatchModel, images: xr.DataArray) -> None:
    options = {"particles": {"particles": 8}, "adaptive": {"h0": 0.3, "until": 0.1}}.get(method, {})
    found = made(model, images, size=(8, 16), method=method, n_samples=1, sigmas=[1, 0.3, 0.1], **options)
    assert found.samples.shape == (3, 1, 1, 8, 16)
    assert bool(np.isfinite(found.samples).all())


def test_what_of_phi_is_matched_is_so_at_another_size_too(model: PatchModel, images: xr.DataArray) -> None:
    for match in (sampling.Match(channels=[0]), sampling.Match(top=1), sampling.Match(basis=[[1, 1, 0, 0]])):
        assert float(made(model, images, size=16, match=match).match.median()) < 0.1


def test_sizes_that_the_network_does_not_take_are_refused_before_anything_is_sampled(
    model: PatchModel, images: xr.DataArray, unet: UNet, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"samples of 15×16 cannot have φ of images of 8×8: .*2×2 patches.*another size"
    ):
        made(model, images, size=(15, 16), store=tmp_path / "s")
    assert not (tmp_path / "s").exists()
    given = noise(1, unet.image_channels, 16, 16)
    with pytest.raises(InputError, match=r"samples of 17×17 cannot have φ of images of 16×16: .*multiples of"):
        made(unet, given, size=17)


class Fixed(Plain):
    """A network of one size."""

    def __init__(self) -> None:
        super().__init__(nn.LayerNorm((8, 8)))


def test_a_network_of_one_size_is_named_as_failing_at_others() -> None:
    with pytest.raises(InputError, match=r"samples of 16×16 .*: the network fails at that size .*another size="):
        made(Fixed(), noise(1, 1, 8, 8), tap="net", size=16)


@pytest.mark.parametrize("size", ["16", 0, -8, 8.5, True, (8,), (8, 8, 8), (1, 8, 8), None, [8, "8"], {}, np.nan])
def test_what_is_no_size_is_refused(size: Any, model: PatchModel, images: xr.DataArray) -> None:
    condition = sampling.Condition.from_images(probekit.tap(model, "mid"), images, LEVELS)
    with pytest.raises(InputError, match=r"give size=\(rows, cols\) of the samples, or one whole number"):
        condition.at_size(probekit.tap(model, "mid"), size)


def total(a: Tensor) -> Tensor:
    return a.sum((2, 3))


def length(a: Tensor) -> Tensor:
    return torch.linalg.vector_norm(a, dim=(2, 3))


def each(a: Tensor) -> Tensor:
    return a.flatten(1)


def inner(a: Tensor) -> Tensor:
    return a[..., 1:-1, 1:-1].mean((2, 3))


@pytest.mark.parametrize(
    ("reduce", "words"),
    [
        ("max", "reduce='max' depends on how large an image is"),
        ("std", "reduce='std' depends on how large an image is"),
        ("max_inside", "reduce='max_inside' depends on how large an image is"),
        (total, "grows with the number of positions"),
        (length, "grows with the number of positions"),
        (each, "makes 64 and 256 numbers"),
    ],
)
def test_reductions_that_depend_on_the_size_are_refused(reduce: Any, words: str) -> None:
    tap = probekit.tap(Plain(), "net.0", reduce=reduce)
    condition = sampling.Condition.from_images(tap, noise(1, 1, 4, 4), LEVELS)
    with pytest.raises(InputError, match=words):
        condition.at_size(tap, 8)


@pytest.mark.parametrize("reduce", ["mean", "relu_mean", "energy", "mean_inside", inner])
def test_means_over_positions_are_held_at_any_size(reduce: Any) -> None:
    tap = probekit.tap(Plain(), "net", reduce=reduce)
    condition = sampling.Condition.from_images(tap, noise(1, 1, 8, 8), LEVELS)
    for size in ((16, 16), (4, 8), (32, 8)):
        assert condition.at_size(tap, size).shape == (1, *size)


def test_the_spread_of_one_draw_falls_as_the_root_of_the_number_of_positions(model: PatchModel) -> None:
    tap = probekit.tap(model, "mid")
    held = sampling.Condition.from_images(tap, drawn(model), [0.3, 0.1], draws=200)
    larger = held.at_size(tap, 32)
    # Exact: Σ (4σ²ē + 2σ⁴)/P, with P' = 16 P. A standard deviation of 200 draws is within 6/√398 = 0.3 of the truth.
    energy = model.phi(torch.from_numpy(drawn(model).values), 0.0).numpy()[:, None]
    square = np.square([0.3, 0.1])[:, None]
    exact = np.sqrt((4 * square * energy + 2 * square**2) / 256)
    np.testing.assert_allclose(larger.spread, exact, rtol=0.31)


class Mapped(nn.Module):
    """A denoiser that is given something of each pixel."""

    image_channels = 1
    data_range = None

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Identity()

    def forward(self, y: Tensor, sigma: Any = None, weight: Any = None) -> Tensor:
        return self.seen(y.square()) * 0 + y * weight / (1 + torch.as_tensor(sigma).view(-1, 1, 1, 1) ** 2)


def test_what_belongs_to_pixels_of_the_condition_must_be_given_for_the_samples() -> None:
    x, small, large = noise(1, 1, 8, 8), noise(1, 1, 8, 8), noise(1, 1, 16, 16)
    tap = probekit.tap(Mapped(), "seen")
    with pytest.raises(InputError, match=r"given weight of each of their pixels; measure φ first.* conditions="):
        made(Mapped(), x, tap="seen", size=16, conditions={"weight": small})
    held = sampling.Condition.from_images(tap, x, LEVELS, conditions={"weight": small})
    found = made(Mapped(), held, tap="seen", size=16, conditions={"weight": large})
    assert found.samples.shape[-2:] == (16, 16)


def test_a_store_of_one_size_is_not_gone_on_with_at_another(
    model: PatchModel, images: xr.DataArray, tmp_path: Path
) -> None:
    first = made(model, images, size=16, store=tmp_path)
    xr.testing.assert_identical(made(model, images, size=16, store=tmp_path), first)
    with pytest.raises(InputError, match=r"another plan \(size: 16×16, now 8×16"):
        made(model, images, size=(8, 16), store=tmp_path)
    with pytest.raises(InputError, match=r"another plan \(size: 16×16, now None"):
        made(model, images, store=tmp_path)


def test_the_size_is_changed_with_the_tap_that_phi_was_measured_with(model: PatchModel, images: xr.DataArray) -> None:
    held = sampling.Condition.from_images(probekit.tap(model, "mid"), images, LEVELS)
    with pytest.raises(InputError, match=r"another denoiser or tap .taps"):
        held.at_size(probekit.tap(model, "analysis"), 16)
    with pytest.raises(InputError, match="give a tap"):
        held.at_size(None, 8)


def test_the_command_makes_samples_of_another_size(tmp_path: Path) -> None:
    options = ["shapes:1", "--network", "photo32", "--crop", "16", "--levels", "2", "--samples", "1", "--quiet"]
    for text, sides in (("24", (24, 24)), ("8,16", (8, 16))):
        out = tmp_path / text
        assert sampling.main([*options, "--sample-size", text, "-o", str(out)]) == 0
        with xr.open_dataset(out / "samples.nc") as found:
            assert found.samples.shape[-2:] == sides
            assert found.condition_image.shape[-2:] == (16, 16)


@pytest.mark.parametrize("text", ["", "0", "8x16", "8,16,24", "-8"])
def test_the_command_refuses_what_is_no_size(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sampling.main(["shapes:1", "--sample-size", text, "-o", str(tmp_path / "o")]) != 0
    assert "write N or ROWS,COLS" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
