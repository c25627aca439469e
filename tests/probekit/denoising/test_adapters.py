"""Every adapter gives back the exact denoiser of a Gaussian prior, which is known, from any of its disguises.

Where pixels of clean images are N(m, τ²), D(y) = (τ² y + σ² m)/(τ² + σ²). The network below computes that in its own
frame, from the input that it is given and the noise level that it is told, and returns it as noise, residual, v or
whatever it is said to predict. Its formulas are written here in numpy, apart from the package's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from probekit import Denoiser
from probekit.errors import InputError

RANGES = [(0, 1), (-1, 1), (0, 255), (-0.5, 3.25), None]
# Noise levels of the network's frame, unevenly spaced, from the least that any range here asks for to the greatest.
TABLE = 1e-3 * 5.2e6 ** (np.linspace(0, 1, 48) ** 1.5)
SIGMA_DATA = 0.7


class Telling(NamedTuple):
    """A way to tell a network its noise level, and how the network understands it."""

    options: dict[str, Any]
    understood: Callable[[np.ndarray], np.ndarray]


TELLINGS = {
    "sigma": Telling({"sigma_to": "sigma"}, lambda told: told),
    "log_sigma": Telling({"sigma_to": "log_sigma"}, np.exp),
    "function": Telling({"sigma_to": lambda s: s.log() / 4}, lambda told: np.exp(4 * told)),
    "table": Telling({"sigma_to": TABLE}, lambda told: TABLE[told]),
    "falling table": Telling({"sigma_to": TABLE[::-1]}, lambda told: TABLE[len(TABLE) - 1 - told]),
    "interpolated table": Telling(
        {"sigma_to": TABLE.tolist(), "interpolate": True},
        lambda told: np.exp(np.interp(told, np.arange(len(TABLE)), np.log(TABLE))),
    ),
}
UNSCALED = {
    None: lambda given, _s: given,
    "vp": lambda given, s: given * np.sqrt(1 + s**2),
    "edm": lambda given, s: given * np.sqrt(SIGMA_DATA**2 + s**2),
    "function": lambda given, s: given * (3 + s),
}
DISGUISED = {
    "clean": lambda x, _u, _s: x,
    "noise": lambda x, u, s: (u - x) / s,
    "residual": lambda x, u, _s: u - x,
    # Salimans & Ho: v = √ᾱ ε − √(1 − ᾱ) x, with the share ᾱ = 1/(1 + s²) of signal in the variance.
    "v": lambda x, u, s: (u - x) / s / np.sqrt(1 + s**2) - np.sqrt(1 - 1 / (1 + s**2)) * x,
}
KINDS = [(p, s) for p in DISGUISED for s in UNSCALED if s != "edm" or p == "clean"]


class Exact(nn.Module):
    """The exact denoiser of N(mean, spread²) pixels, in the network's frame; `level` is what a blind one has found."""

    def __init__(self, mean: float, spread: float, predicts: str, scaling: str | None, telling: str | None) -> None:
        super().__init__()
        self.mean, self.spread = mean, spread
        self.predicts, self.scaling, self.telling = predicts, scaling, telling
        self.level: np.ndarray | None = None

    def forward(self, given: Tensor, told: Tensor | None = None) -> Tensor:
        s = self.level if self.telling is None else TELLINGS[self.telling].understood(told.numpy())
        s = np.asarray(s, float).reshape(-1, 1, 1, 1)
        u = UNSCALED[self.scaling](given.double().numpy(), s)
        x = (self.spread**2 * u + s**2 * self.mean) / (self.spread**2 + s**2)
        if self.scaling == "edm":
            # Karras et al., equation 7, solved for F.
            kept = SIGMA_DATA**2 / (s**2 + SIGMA_DATA**2)
            out = (x - kept * u) / (s * SIGMA_DATA / np.sqrt(SIGMA_DATA**2 + s**2))
        else:
            out = DISGUISED[self.predicts](x, u, s)
        return torch.from_numpy(out).to(given.dtype)


class Case(NamedTuple):
    """Noisy images with their closed-form clean estimate."""

    y: np.ndarray
    sigma: np.ndarray | float
    mean: float
    spread: float
    data_range: tuple[float, float] | None

    @property
    def width(self) -> float:
        return 1 if self.data_range is None else self.data_range[1] - self.data_range[0]

    @property
    def levels(self) -> np.ndarray:
        return np.broadcast_to(self.sigma, len(self.y)).reshape(-1, 1, 1, 1)

    @property
    def clean(self) -> np.ndarray:
        return (self.spread**2 * self.y + self.levels**2 * self.mean) / (self.spread**2 + self.levels**2)

    @property
    def score(self) -> np.ndarray:
        """Of N(mean, spread² + σ²), which y follows."""
        return (self.mean - self.y) / (self.spread**2 + self.levels**2)

    def denoiser(self, predicts: Any, scaling: str | None, telling: str | None) -> Denoiser:
        lowest = 0 if self.data_range is None else self.data_range[0]
        model = Exact(lowest + self.width * self.mean, self.width * self.spread, predicts, scaling, telling)
        model.level = self.width * self.levels
        return Denoiser(
            model,
            predicts=predicts,
            scaling=(lambda u, s: u / (3 + s.view(-1, 1, 1, 1))) if scaling == "function" else scaling,
            data_range=self.data_range,
            sigma_data=SIGMA_DATA,
            **(TELLINGS[telling].options if telling else {}),
        )


@st.composite
def cases(draw: st.DrawFn, *, of_table: bool = False) -> Case:
    """Priors, shapes, frames, and levels: one or one per image; of a table's own levels on request."""
    data_range = draw(st.sampled_from(RANGES))
    width = 1 if data_range is None else data_range[1] - data_range[0]
    mean, spread = draw(st.floats(0, 1)), draw(st.floats(0.01, 2))
    shape = [draw(st.integers(1, n)) for n in (4, 3, 6, 5)]
    inside = [float(s) for s in TABLE / width if 1e-3 <= s <= 20]
    one = st.sampled_from(inside) if of_table else st.floats(np.log(1e-3), np.log(20)).map(lambda x: float(np.exp(x)))
    alone = draw(st.booleans())
    sigma = draw(one) if alone else np.array(draw(st.lists(one, min_size=shape[0], max_size=shape[0])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = np.broadcast_to(sigma, shape[0]).reshape(-1, 1, 1, 1) * rng.standard_normal(shape)
    return Case(mean + spread * rng.standard_normal(shape) + noise, sigma, mean, spread, data_range)


def gives_it_back(case: Case, denoiser: Denoiser) -> None:
    y = torch.from_numpy(case.y)
    np.testing.assert_allclose(denoiser(y, case.sigma).numpy(), case.clean, rtol=0, atol=1e-6)
    # The score divides the estimate's error by σ².
    np.testing.assert_allclose(
        denoiser.score(y, case.sigma).numpy() * case.levels**2, case.score * case.levels**2, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("telling", [None, "sigma", "log_sigma", "function", "interpolated table"])
@pytest.mark.parametrize(("predicts", "scaling"), KINDS)
@given(case=cases())
def test_every_adapter_gives_back_the_exact_denoiser(
    predicts: str, scaling: str | None, telling: str | None, case: Case
) -> None:
    gives_it_back(case, case.denoiser(predicts, scaling, telling))


@pytest.mark.parametrize("telling", ["table", "falling table"])
@pytest.mark.parametrize(("predicts", "scaling"), KINDS)
@given(case=cases(of_table=True))
def test_a_network_told_timesteps_gives_back_the_exact_denoiser_at_the_levels_of_its_table(
    predicts: str, scaling: str | None, telling: str, case: Case
) -> None:
    gives_it_back(case, case.denoiser(predicts, scaling, telling))


@pytest.mark.parametrize("telling", [None, "sigma", "log_sigma", "function", "interpolated table"])
@pytest.mark.parametrize(("predicts", "scaling"), KINDS)
@given(case=cases())
def test_single_precision_gives_it_back_to_single_precision(
    predicts: str, scaling: str | None, telling: str | None, case: Case
) -> None:
    denoiser = case.denoiser(predicts, scaling, telling)
    case = case._replace(y=case.y.astype(np.float32).astype(float))
    clean = denoiser(torch.from_numpy(case.y).float(), case.sigma)
    assert clean.dtype == torch.float32
    # Fewer than a hundred roundings, of 2⁻²⁴ each, of numbers in the network's frame: about s, the largest |u| and
    # the ends of the range, seen from outside over its width.
    ends = 1 if case.data_range is None else max(map(abs, case.data_range)) / case.width
    largest = ends + float(np.abs(case.y).max()) + float(np.max(case.sigma))
    np.testing.assert_allclose(clean.numpy(), case.clean, rtol=0, atol=100 * 2**-24 * largest)


@pytest.mark.parametrize(("predicts", "scaling"), [(p, s) for p, s in KINDS if s != "function"])
@pytest.mark.parametrize("data_range", [(0, 1), (-1, 1), None])
def test_without_noise_the_image_itself_is_the_estimate_of_what_is_exact_there(
    predicts: Any, scaling: Any, data_range: Any
) -> None:
    class Anything(nn.Module):
        """Right where x̂ = y has to be said, and arbitrary where σ = 0 leaves the output no say."""

        def forward(self, given: Tensor) -> Tensor:
            if predicts == "clean" and scaling != "edm":
                return given
            return torch.zeros_like(given) if predicts == "residual" else torch.full_like(given, 0.3)

    y = torch.rand(2, 1, 3, 4, dtype=torch.float64)
    denoiser = Denoiser(Anything(), predicts=predicts, scaling=scaling, data_range=data_range)
    torch.testing.assert_close(denoiser(y, 0.0), y, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("telling", [None, "sigma", "log_sigma", "function", "interpolated table"])
@pytest.mark.parametrize(("predicts", "scaling"), KINDS)
@pytest.mark.parametrize("data_range", [(0, 1), (-1, 1), None])
def test_gradients_are_those_of_the_estimate(
    predicts: Any, scaling: str | None, telling: str | None, data_range: Any
) -> None:
    class Curved(nn.Module):
        """Nonlinear in the image and in what it is told."""

        def forward(self, given: Tensor, told: Tensor | float = 0.5) -> Tensor:
            return torch.sin(given + (told.view(-1, 1, 1, 1) if isinstance(told, Tensor) else told))

    denoiser = Denoiser(
        Curved(),
        predicts=predicts,
        scaling=(lambda u, s: u / (3 + s.view(-1, 1, 1, 1))) if scaling == "function" else scaling,
        data_range=data_range,
        **(TELLINGS[telling].options if telling else {}),
    )
    y = torch.rand(2, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.2, 1.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda y: denoiser(y, sigma), y)
    assert torch.autograd.gradcheck(lambda y: denoiser.score(y, sigma), y)


class Recording(nn.Module):
    """Remembers what it was told; its estimate, if that is what it predicts, is one number everywhere."""

    def __init__(self, output: float = 0.5) -> None:
        super().__init__()
        self.output, self.told = output, torch.empty(0)

    def forward(self, given: Tensor, told: Tensor) -> Tensor:
        self.told = told
        return torch.full_like(given, self.output)


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    """Rising or falling noise levels, neighbours at least 1 % apart."""
    steps = draw(st.lists(st.floats(0.01, 2), min_size=1, max_size=12))
    levels = np.exp(draw(st.floats(-7, 1)) + np.concatenate([[0], np.cumsum(steps)]))
    return levels[::-1] if draw(st.booleans()) else levels


def levels_about(table: np.ndarray) -> st.SearchStrategy[float]:
    """0, levels of the table, and others inside and outside it."""
    low, high = np.log(table.min()), np.log(table.max())
    return st.one_of(
        st.just(0.0),
        st.sampled_from(table.tolist()),
        st.floats(low - 3, high + 3).map(lambda x: float(np.exp(x))),
    )


@pytest.mark.parametrize("data_range", RANGES)
@pytest.mark.parametrize("as_given", [np.asarray, list, tuple, torch.tensor], ids=lambda f: f.__name__)
@given(data=st.data(), table=tables())
def test_the_timestep_told_is_the_nearest_in_log_sigma(
    data_range: Any, as_given: Callable[[list[float]], Any], data: st.DataObject, table: np.ndarray
) -> None:
    width = 1 if data_range is None else data_range[1] - data_range[0]
    s = np.array(data.draw(st.lists(levels_about(table), min_size=1, max_size=4)))
    model = Recording()
    given = as_given(table.tolist()) if as_given is not np.asarray else table
    Denoiser(model, sigma_to=given, data_range=data_range)(torch.zeros(len(s), 1, 2, 2, dtype=torch.float64), s / width)
    assert model.told.dtype == torch.int64
    assert model.told.shape == s.shape
    for level, index in zip(s, model.told.tolist(), strict=True):
        if level == 0:
            assert index == table.argmin()
        else:
            distances = np.abs(np.log(table) - np.log(level))
            # Two timesteps may be equally near, but for rounding.
            assert distances[index] <= distances.min() + 1e-12


@given(data=st.data(), table=tables())
def test_an_interpolated_timestep_is_linear_in_log_sigma_and_stays_inside_the_table(
    data: st.DataObject, table: np.ndarray
) -> None:
    s = np.array(data.draw(st.lists(levels_about(table), min_size=1, max_size=4)))
    model = Recording()
    y = torch.zeros(len(s), 1, 2, 2, dtype=torch.float64)
    Denoiser(model, sigma_to=table, interpolate=True)(y, s)
    assert model.told.dtype == torch.float64
    order = np.argsort(table)
    with np.errstate(divide="ignore"):
        expected = np.interp(np.log(s), np.log(table)[order], order.astype(float))
    # Logarithms of up to 30 are rounded by 2⁻⁴⁹, and steps between them are at least 0.01.
    np.testing.assert_allclose(model.told.numpy(), expected, rtol=0, atol=1e-11)
    for position, level in enumerate(table):
        Denoiser(model, sigma_to=table, interpolate=True)(y[:1], level)
        assert model.told.tolist() == [position]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_timestep_does_not_suffer_from_the_images_precision(dtype: torch.dtype) -> None:
    # Neighbours are 0.5 % apart, which bfloat16 cannot tell.
    table = np.geomspace(0.01, 100, 1843)
    model = Recording()
    for index in (0, 700, 1400, 1842):
        Denoiser(model, sigma_to=table)(torch.zeros(1, 1, 2, 2, dtype=dtype), table[index])
        assert model.told.tolist() == [index]
        Denoiser(model, sigma_to=table, interpolate=True)(torch.zeros(1, 1, 2, 2, dtype=dtype), table[index])
        assert model.told.dtype == torch.float32
        assert abs(model.told.item() - index) < 1e-3


@given(sigma=st.floats(0.01, 5))
def test_between_timesteps_the_estimate_is_made_with_the_level_itself(sigma: float) -> None:
    y = torch.rand(1, 1, 3, 3, dtype=torch.float64)
    table = [0.1, 1.0, 10.0]
    clean = Denoiser(Recording(0.25), predicts="noise", sigma_to=table)(y, sigma)
    torch.testing.assert_close(clean, y - 0.25 * sigma, rtol=0, atol=1e-14)


@pytest.mark.parametrize("data_range", RANGES)
def test_a_network_told_log_sigma_cannot_be_told_of_no_noise(data_range: Any) -> None:
    denoiser = Denoiser(Recording(), sigma_to="log_sigma", data_range=data_range)
    y = torch.zeros(2, 1, 2, 2)
    with pytest.raises(InputError, match=r"sigma is 0 somewhere and the network is told log σ"):
        denoiser(y, [0.1, 0.0])
    with pytest.raises(InputError, match=r"not defined there: give σ > 0"):
        denoiser(y, 0)


@pytest.mark.gpu
@pytest.mark.parametrize("telling", TELLINGS)
@pytest.mark.parametrize(("predicts", "scaling"), [(p, s) for p, s in KINDS if s != "function"])
def test_a_gpu_gives_what_the_cpu_gives(predicts: Any, scaling: Any, telling: str) -> None:
    class Curved(nn.Module):
        def forward(self, given: Tensor, told: Tensor) -> Tensor:
            return torch.sin(given + told.view(-1, 1, 1, 1))

    options = TELLINGS[telling].options
    denoiser = Denoiser(Curved(), predicts=predicts, scaling=scaling, data_range=(-1, 1), **options)
    y, sigma = torch.rand(3, 1, 4, 4, dtype=torch.float64), torch.tensor([0.01, 0.3, 5.0], dtype=torch.float64)
    torch.testing.assert_close(denoiser(y.cuda(), sigma).cpu(), denoiser(y, sigma), rtol=1e-10, atol=1e-10)
