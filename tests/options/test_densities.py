"""What densities refuses of samples, pairs and options, in words that say how to mend it."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from analyses import densities
from probekit.errors import InputError
from tests.analyses.densities.test_edges import FAST, QUICK, data

DATA, FEW = data(), data(7)
A, B = DATA.samples[0], DATA.samples[1]
PAIRS = densities.over_pairs(DATA.samples, measure=FAST)


def distance(a: Any = A, b: Any = B, **options: Any) -> xr.DataArray:
    return densities.distance(a, b, **options)


def over_pairs(samples: Any = DATA.samples, **options: Any) -> xr.DataArray:
    return densities.over_pairs(samples, **{"measure": FAST, **options})


def correlate(density: Any = PAIRS, phi: Any = DATA.phi, **options: Any) -> xr.Dataset:
    return densities.correlate(density, phi, **{**QUICK, **options})


def analyse(given: Any = DATA, **options: Any) -> xr.Dataset:
    return densities.analyse(given, **{**QUICK, "measure": FAST, **options})


def denoise(y: torch.Tensor, sigma: float) -> torch.Tensor:
    return y / (1 + sigma**2)


def along_noise(samples_a: Any = None, denoise_b: Any = denoise, **options: Any) -> xr.Dataset:
    samples = torch.ones(5, 2) if samples_a is None else samples_a
    return densities.along_noise(denoise, denoise_b, samples, **{"sigma": [0.1, 0.2, 0.3], **options})


def unknown_in(array: xr.DataArray) -> xr.DataArray:
    array = array.copy(deep=True)
    array[0] = np.nan
    return array


ITSELF = PAIRS.assign_coords(second=("pair", np.where(np.arange(45) == 0, PAIRS["first"], PAIRS["second"])))
WRONG: list[tuple[Any, str]] = [
    (lambda: distance(A[:3]), "samples_a: 3 samples of a law: give at least 4"),
    (lambda: distance(A, B[:, :, :1]), "give samples of images of one size"),
    (lambda: distance(A, unknown_in(B)), "samples_b: NaN or infinite values"),
    (lambda: distance(A.values), "samples_a: got ndarray, which is no DataArray with dim sample"),
    (lambda: distance(A.astype(str)), "of type <U"),
    (lambda: distance(A, B.astype(complex)), "samples_b: 24 values of type complex128: give real numbers"),
    (lambda: distance(A[:, :, :0], B[:, :, :0]), "samples_a: 0 values"),
    (
        lambda: distance(A.rename(row="y"), B.rename(row="y"), measure="patch_wasserstein"),
        "patch_wasserstein is of images, give dims band, row, col",
    ),
    (lambda: distance(measure="kl"), "measure='kl': give one of energy, energy_plug_in"),
    (lambda: distance(measure=[]), "measure=[]: give one of energy"),
    (lambda: distance(projections=0), "projections=0: give a whole number ≥ 1"),
    (lambda: distance(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: over_pairs(A), "give dim image with two conditions at least"),
    (lambda: over_pairs(DATA.samples.assign_coords(image=["one"] * 10)), "two images have one id: give each its own"),
    (lambda: over_pairs(DATA.samples.values), "the samples are a ndarray: give a DataArray"),
    (lambda: over_pairs(n_pairs=0), "n_pairs=0: give a whole number ≥ 1"),
    (lambda: over_pairs(measure="kl"), "measure='kl': give one of energy"),
    (lambda: over_pairs(projections=1.5), "projections=1.5: give a whole number ≥ 1"),
    (lambda: over_pairs(seed="a"), "seed='a': give a whole number ≥ 0"),
    (lambda: correlate(least_pairs=200), "45 pairs of 10 conditions: give at least 200 pairs (least_pairs)"),
    (lambda: correlate(over_pairs(FEW.samples), FEW.phi, least_pairs=5), "at least 8 conditions"),
    (lambda: correlate(phi=DATA.phi[1:]), "phi has no image 'image 0', which is in a pair"),
    (lambda: correlate(phi=DATA.phi * np.nan), "phi holds NaN or infinite values: leave those conditions out"),
    (lambda: correlate(phi=DATA.phi[:, 0]), "phi: got ('image',): give a DataArray with dim image and others"),
    (lambda: correlate(pixels=DATA.condition.values), "pixels: got ndarray: give a DataArray with dim image"),
    (lambda: correlate(PAIRS * np.inf), "density holds NaN or infinite distances: leave those pairs out"),
    (lambda: correlate(PAIRS.drop_vars("first")), "density lacks the coordinates first and second"),
    (lambda: correlate(DATA.phi), "give a DataArray over pair, as over_pairs returns"),
    (lambda: correlate(ITSELF), "a condition is paired with itself: give pairs of different conditions"),
    (lambda: correlate(permutations=10), "permutations=10: give a whole number ≥ 100"),
    (lambda: correlate(resamples=10), "resamples=10: give a whole number ≥ 100"),
    (lambda: correlate(least_pairs="a"), "least_pairs='a': give a whole number ≥ 1"),
    (lambda: correlate(least_pairs=0), "least_pairs=0: give a whole number ≥ 1"),
    (lambda: correlate(level=95), "level=95: give the interval's coverage"),
    (lambda: correlate(seed=None), "seed=None: give a whole number ≥ 0"),
    (lambda: analyse(DATA.drop_vars("samples")), "the Dataset has no samples: give samples and the φ"),
    (lambda: analyse(None), "the Dataset has no samples and no phi"),
    (lambda: analyse(measure="kl"), "measure='kl': give one of energy"),
    (lambda: analyse(n_pairs="all"), "n_pairs='all': give a whole number ≥ 1"),
    (lambda: analyse(projections=0), "projections=0: give a whole number ≥ 1"),
    (lambda: analyse(least_pairs=46), "45 pairs of 10 conditions"),
    (lambda: analyse(permutations=99), "permutations=99: give a whole number ≥ 100"),
    (lambda: analyse(resamples=99), "resamples=99: give a whole number ≥ 100"),
    (lambda: analyse(level=0), "level=0: give the interval's coverage"),
    (lambda: analyse(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: densities.plot(None), "the findings are a NoneType: give what densities.analyse returns"),  # type: ignore[arg-type]
    (lambda: densities.plot(DATA), "the findings lack correlation"),
    (lambda: along_noise(torch.zeros(3, 2)), "samples_a is (3, 2): give a tensor (n, ...) of at least 4 samples"),
    (lambda: along_noise([1.0]), "samples_a is list: give a tensor"),
    (lambda: along_noise(torch.full((5, 2), torch.nan)), "samples_a holds NaN or infinite values"),
    (lambda: along_noise(sigma=[0.1, 0.2]), "give at least 3 different finite noise levels > 0"),
    (lambda: along_noise(sigma=[0, 0.1, 0.2]), "give at least 3 different finite noise levels > 0"),
    (lambda: along_noise(sigma=[0.1, 0.1, 0.2]), "give at least 3 different finite noise levels > 0"),
    (lambda: along_noise(sigma="0.1"), "sigma='0.1': give at least 3 different finite noise levels > 0"),
    (lambda: along_noise(draws=0), "draws=0: give a whole number ≥ 1"),
    (lambda: along_noise(batch_size=True), "batch_size=True: give a whole number ≥ 1"),
    (lambda: along_noise(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (
        lambda: along_noise(denoise_b=lambda y, sigma: y[:1] * sigma),
        "a denoiser made (1, 2) of images (5, 2): it must return a tensor of their shape",
    ),
    (lambda: densities.empirical_denoiser(torch.zeros(3)), "samples is (3,): give a tensor (n, ...)"),
    (lambda: densities.empirical_denoiser(None), "samples is NoneType: give a tensor (n, ...)"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[f"{n} {message}" for n, (_, message) in enumerate(WRONG)])
def test_what_cannot_be_used_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert message in str(raised.value)
