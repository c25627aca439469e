"""What is made of a map, of whatever numbers it holds: complex, whole, truth values, double precision, NaN."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import probekit
from probekit import labels
from probekit.capture.reductions import REDUCTIONS, reduction
from probekit.errors import ProbeError, TapError

X = np.random.default_rng(3).random((3, 2, 6, 4), dtype=np.float32)


class Gives(nn.Module):
    """A network whose module `here` gives a function of the noisy image."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.here, self.last = _Calls(self), nn.Conv2d(2, 2, 1)

    def forward(self, y: Tensor) -> Tensor:
        self.here(y)
        return self.last(y)


class _Calls(nn.Module):
    def __init__(self, owner: Gives) -> None:
        super().__init__()
        self.owner = [owner]

    def forward(self, y: Tensor) -> Tensor:
        return self.owner[0].function(y)


def phi_of(function, reduce, **options) -> np.ndarray:
    given = {"sigma": 0, "draws": 1, **options}
    return probekit.tap(Gives(function), "here", reduce=reduce)(X, **given).phi.values[:, 0]


def spectrum(y: Tensor) -> Tensor:
    return torch.fft.rfft2(y)


F = np.fft.rfft2(X.astype(np.float64))
COMPLEX = {"fft": spectrum, "conjugated": lambda y: spectrum(y).conj(), "double": lambda y: spectrum(y.double())}


@pytest.mark.parametrize("function", COMPLEX.values(), ids=COMPLEX)
def test_the_energy_of_a_complex_map_is_the_mean_of_its_squared_magnitudes(function) -> None:
    np.testing.assert_allclose(phi_of(function, "energy"), (abs(F) ** 2).mean((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("function", COMPLEX.values(), ids=COMPLEX)
def test_the_standard_deviation_of_a_complex_map_is_that_of_distances_from_its_mean(function) -> None:
    away = abs(F - F.mean((2, 3), keepdims=True))
    np.testing.assert_allclose(phi_of(function, "std"), np.sqrt((away**2).mean((2, 3))), rtol=1e-5)


def test_by_parseval_the_energy_of_a_transform_is_that_of_the_image() -> None:
    transformed = phi_of(lambda y: torch.fft.fft2(y, norm="ortho"), "energy")
    np.testing.assert_allclose(transformed, phi_of(lambda y: y, "energy"), rtol=1e-5)


@pytest.mark.parametrize("reduce", ["mean", "relu_mean", "max"])
def test_what_would_lose_the_imaginary_part_is_refused_with_what_to_do(reduce: str) -> None:
    said = rf"'{reduce}' of a complex activation .*reduce=\"energy\".*\.abs\(\)\.mean\(\(2, 3\)\), or of a\.real"
    with pytest.raises(TapError, match=said):
        phi_of(spectrum, reduce)
    with pytest.raises(TapError, match=said):
        probekit.tap(Gives(spectrum), "here", reduce=reduce).features(torch.from_numpy(X))


def test_whole_maps_are_not_given_without_their_imaginary_part() -> None:
    with pytest.raises(TapError, match=r"a whole map is wanted of a complex activation"):
        probekit.tap(Gives(spectrum), "here").maps(X, sigma=0.1)


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [(lambda a: a.abs().mean((2, 3)), abs(F).mean((2, 3))), (lambda a: a.real.amax((2, 3)), F.real.max((2, 3)))],
)
def test_the_functions_that_the_error_speaks_of_do_it(reduce, expected: np.ndarray) -> None:
    np.testing.assert_allclose(phi_of(spectrum, reduce), expected, rtol=1e-5)


@pytest.mark.parametrize("reduce", [lambda a: a.mean((2, 3)), lambda a: a[:, :, 0, 0]])
def test_a_function_that_returns_complex_values_is_refused(reduce) -> None:
    with pytest.raises(TapError, match=r"the reduction made complex values of a map \(\d, 2, 6, 3\).*\.abs\(\)"):
        phi_of(spectrum, reduce)


@pytest.mark.parametrize("reduce", ["energy", "std"])
def test_gradients_flow_back_through_a_complex_map_also_of_a_constant_image(reduce: str) -> None:
    tap = probekit.tap(Gives(lambda y: y * (1 + 2j)), "here", reduce=reduce)
    for image in (torch.from_numpy(X[:1]), torch.full((1, 2, 6, 4), 0.5)):
        y = image.clone().requires_grad_()
        (found,) = torch.autograd.grad(tap.features(y).sum(), y)
        y = image.clone().requires_grad_()
        # |1 + 2i|² = 5
        own = reduction(reduce)(y).sum() * (5 if reduce == "energy" else 5**0.5)
        torch.testing.assert_close(found, torch.autograd.grad(own, y)[0], rtol=1e-4, atol=1e-6)


def of_positions(name: str, a: np.ndarray) -> np.ndarray:
    if name.endswith("_inside"):
        name, a = name.removesuffix("_inside"), a[:, :, 1:-1, 1:-1]
    made = {
        "mean": a.mean((2, 3)),
        "relu_mean": np.maximum(a, 0).mean((2, 3)),
        "max": a.max((2, 3)),
        "std": a.std((2, 3)),
        "energy": (a**2).mean((2, 3)),
    }
    return made[name]


# Whole numbers and truth values as argmax, masks and quantised maps have them, with what NumPy makes of them.
WHOLE = {
    "mask": lambda y: y > 0.5,
    "argmax": lambda y: y.argmax(dim=1, keepdim=True).expand(-1, 2, -1, -1),
    "uint8": lambda y: (255 * y).to(torch.uint8),
    "int8": lambda y: (200 * y - 100).to(torch.int8),
    "large": lambda y: (y * 1e6).to(torch.int32) - 500_000,
}


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("function", WHOLE.values(), ids=WHOLE)
def test_maps_of_whole_numbers_are_taken_as_numbers(function, reduce: str) -> None:
    expected = of_positions(reduce, function(torch.from_numpy(X)).numpy().astype(np.float64))
    np.testing.assert_allclose(phi_of(function, reduce), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_maps_of_any_precision_are_summed_in_single_precision_at_least(dtype: torch.dtype, reduce: str) -> None:
    def function(y: Tensor) -> Tensor:
        return (y - 0.5).to(dtype)

    expected = of_positions(reduce, function(torch.from_numpy(X)).double().numpy())
    # Of a signed map the mean is small, and rounded as its terms are.
    np.testing.assert_allclose(phi_of(function, reduce), expected, rtol=1e-6, atol=1e-7)


def test_the_error_of_a_double_precision_map_is_not_lost_beside_its_size() -> None:
    def raised(y: Tensor) -> Tensor:
        return y.double() + 1e6

    tap = probekit.tap(Gives(raised), "here")
    plain = probekit.tap(Gives(lambda y: y), "here")
    given = {"sigma": 0.1, "draws": 8}
    np.testing.assert_allclose(tap(X, **given).phi_se, plain(X, **given).phi_se, rtol=1e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_what_is_no_number_in_a_map_is_seen_in_that_channel_of_that_image_alone(bad: float, reduce: str) -> None:
    def function(y: Tensor) -> Tensor:
        y = y.clone()
        y[y[:, 0, 0, 0] == float(X[1, 0, 0, 0]), 1, 2, 2] = bad
        return y

    found = np.isfinite(phi_of(function, reduce))
    np.testing.assert_array_equal(found, [[True, True], [True, False], [True, True]])
    data = probekit.tap(Gives(function), "here", reduce=reduce)(X, sigma=0, draws=1)
    with pytest.raises(ProbeError, match="phi holds NaN or infinite values"):
        labels.check(data, "phi")


def test_the_mean_of_what_a_relu_keeps_is_the_mean_after_the_relu() -> None:
    torch.manual_seed(0)
    before = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 2, 3, padding=1))
    given = {"sigma": [0.0, 0.3], "draws": 3, "keep_draws": True}
    there = probekit.tap(before, "0", reduce="relu_mean")(X, **given)
    after = probekit.tap(before, "1")(X, **given)
    for name in ("phi", "phi_se", "phi_draws", "rest", "rest_se"):
        np.testing.assert_array_equal(there[name], after[name])
    assert there.attrs["reduce"] == "relu_mean"
    signed = probekit.tap(before, "0")(X, **given)
    assert float(signed.phi.min()) < 0 <= float(there.phi.min())


def test_the_gradient_of_the_mean_of_what_a_relu_keeps_is_that_after_the_relu() -> None:
    torch.manual_seed(0)
    before = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 2, 1))
    made = []
    for name, reduce in (("0", "relu_mean"), ("1", "mean")):
        y = torch.from_numpy(X).requires_grad_()
        tap = probekit.tap(before, name, reduce=reduce)
        made.append(torch.autograd.grad(tap.features(y).square().sum(), y)[0])
    torch.testing.assert_close(*made, rtol=0, atol=0)


def test_relu_mean_is_what_it_was_when_the_network_goes_on_in_place() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 1))
    maps = probekit.tap(net, "0").maps(X, sigma=0)
    found = probekit.tap(net, "0", "2", reduce="relu_mean")(X, sigma=0, draws=1)
    expected = maps.clip(min=0).mean(["row", "col"])
    np.testing.assert_allclose(found.phi.values[..., :3], expected, rtol=1e-6)


INNER = ("mean_inside", "relu_mean_inside", "max_inside", "std_inside", "energy_inside")


@pytest.mark.parametrize("name", INNER)
def test_inside_a_map_is_all_but_its_outermost_ring(name: str) -> None:
    signed = X - 0.5
    found = phi_of(lambda y: y - 0.5, name)
    np.testing.assert_allclose(found, of_positions(name, signed.astype(np.float64)), rtol=1e-5, atol=1e-7)
    # Whatever stands in the ring, and however large.
    ring = torch.ones(6, 4)
    ring[1:-1, 1:-1] = 0
    np.testing.assert_array_equal(phi_of(lambda y: y - 0.5 + 1e6 * ring, name), found)
    assert not np.allclose(phi_of(lambda y: y - 0.5, name.removesuffix("_inside")), found)


def test_every_reduction_has_one_inside_and_a_map_without_a_ring_of_its_own_is_the_same_in_both() -> None:
    assert {name for name in REDUCTIONS if name.endswith("_inside")} == set(INNER)
    constant = torch.arange(1.0, 3.0)[None, :, None, None].expand(2, 2, 5, 3)
    for name in INNER:
        assert torch.equal(reduction(name)(constant), reduction(name.removesuffix("_inside"))(constant))


def test_the_energy_of_a_complex_map_inside_is_that_of_its_inner_coefficients_and_its_mean_is_refused() -> None:
    whole = np.fft.fft2(X.astype(np.float64))[:, :, 1:-1, 1:-1]
    np.testing.assert_allclose(phi_of(torch.fft.fft2, "energy_inside"), (abs(whole) ** 2).mean((2, 3)), rtol=1e-5)
    with pytest.raises(TapError, match="'mean_inside' of a complex activation"):
        phi_of(torch.fft.fft2, "mean_inside")


@pytest.mark.parametrize("kept", [(1, 1), (2, 4), (6, 2)])
def test_a_map_that_is_nothing_but_its_ring_is_refused_with_its_tap_and_size(kept: tuple[int, int]) -> None:
    rows, cols = kept
    said = rf"'energy_inside' of a map \(1, 2, {rows}, {cols}\): all of its {rows}×{cols} .* measure reduce='energy'"
    with pytest.raises(TapError, match=said) as refused:
        phi_of(lambda y: y[:, :, :rows, :cols], "energy_inside")
    assert any("the reduction at 'here'" in note for note in refused.value.__notes__)
    assert phi_of(lambda y: y[:, :, :3, :3], "energy_inside").shape == (3, 2)


def test_a_store_of_whole_maps_is_not_gone_on_with_inside(tmp_path) -> None:
    taps = {name: probekit.tap(Gives(lambda y: y), "here", reduce=name) for name in ("mean", "mean_inside")}
    kept = {name: tap(X, sigma=0, draws=1, store=tmp_path / name) for name, tap in taps.items()}
    assert [one.attrs["reduce"] for one in kept.values()] == list(taps)
    np.testing.assert_allclose(kept["mean_inside"].phi.values[:, 0], X[:, :, 1:-1, 1:-1].mean((2, 3)), rtol=1e-5)
    with pytest.raises(ProbeError, match="reduce"):
        taps["mean_inside"](X, sigma=0, draws=1, store=tmp_path / "mean")
