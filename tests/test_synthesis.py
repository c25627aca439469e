"""The benchmark of texture synthesis counts what it says it counts."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

from probekit.errors import InputError
from probekit.images import ImageSet, load

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
KINDS = np.array(["a"] * 30 + ["b"] * 10, dtype=object)


@pytest.fixture
def texture_statistics(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("texture_statistics")


def normal(
    texture_statistics: ModuleType, patches: int, level: float, away: float = 0.0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Statistics that are normal: of 20 photographs, patches each, and 50 further patches; `away` in spreads."""
    rng = np.random.default_rng(patches)
    mean, spread = 3 * rng.standard_normal((20, 1, 40)), rng.uniform(0.1, 3, (20, 1, 40))
    known = mean + spread * rng.standard_normal((20, patches, 40))
    names = np.array([f"p{k:02d}" for k in range(20)])
    photographs = texture_statistics.photographs(known.reshape(-1, 40), np.repeat(names, patches))
    further = mean + spread * (rng.standard_normal((20, 50, 40)) + away)
    return texture_statistics.compared(further, names, photographs, KINDS, level), names


@pytest.mark.parametrize("patches", [3, 8, 14])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_further_patches_of_a_photograph_match_the_share_of_statistics_that_the_level_says(
    texture_statistics: ModuleType, patches: int, level: float
) -> None:
    found, _ = normal(texture_statistics, patches, level)
    assert found["matched"].shape == (20, 50, 3)
    # The 50 draws share the interval of their photograph: photographs are the independent units.
    by_photograph = found["matched"][..., 0].mean(axis=1)
    assert abs(by_photograph.mean() - level) < 4 * by_photograph.std(ddof=1) / np.sqrt(20)
    np.testing.assert_allclose(found["matched"] @ [-40, 30, 10], 0, atol=1e-9)


def test_what_is_of_another_law_matches_less_and_lies_further(texture_statistics: ModuleType) -> None:
    near, _ = normal(texture_statistics, 8, 0.95)
    far, _ = normal(texture_statistics, 8, 0.95, away=4.0)
    assert far["matched"].mean() < 0.5 < near["matched"].mean()
    # Root mean squares of 40 numbers: √(1 + 1/8) of standard normals about the mean of 8, and √(17 + 1/8) 4 further
    # away, in units of spreads that are pooled over photographs.
    assert near["distance_own"].mean() == pytest.approx(np.sqrt(1 + 1 / 8), rel=0.2)
    assert far["distance_own"].mean() == pytest.approx(np.sqrt(17 + 1 / 8), rel=0.2)
    assert near["nearest_own"].mean() > 0.99
    assert (near["distance_other"] > near["distance_own"]).mean() > 0.99


def test_statistics_that_are_not_finite_are_not_matched(texture_statistics: ModuleType) -> None:
    known = texture_statistics.photographs(np.random.default_rng(0).random((6, 40)), list("aaabbb"))
    own = np.full((2, 1, 40), np.nan)
    assert texture_statistics.compared(own, np.array(["a", "b"]), known, KINDS, 0.95)["matched"].max() == 0


def test_statistics_that_patches_do_not_have_are_asked_of_no_sample_of_their_photograph(
    texture_statistics: ModuleType,
) -> None:
    values = np.random.default_rng(0).random((6, 40))
    own = values[[0, 3]][:, None]
    values[1, :10] = np.nan
    known = texture_statistics.photographs(values, list("aaabbb"))
    found = texture_statistics.compared(own, np.array(["a", "b"]), known, KINDS, 0.999999)
    assert found["matched"].min() == 1
    assert np.isfinite(found["distance_own"]).all()


def test_too_few_patches_and_unknown_photographs_are_refused(texture_statistics: ModuleType) -> None:
    values = np.random.default_rng(0).random((6, 40))
    with pytest.raises(InputError, match="1 patches of a photograph, 2 photographs"):
        texture_statistics.photographs(values, list("aaaaab"))
    with pytest.raises(InputError, match="6 patches of a photograph, 1 photographs"):
        texture_statistics.photographs(values, list("aaaaaa"))
    known = texture_statistics.photographs(values, list("aaabbb"))
    with pytest.raises(InputError, match="no patches of c"):
        texture_statistics.compared(values[:1, None], np.array(["c"]), known, KINDS, 0.95)


def gaussian(power: float, n: int, side: int, seed: int, angle: float = 0.0) -> np.ndarray:
    """Gaussian textures (n, 1, side, side) with a spectrum ∝ f^−power, longer along one direction."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    gain = (1 / 32 + np.hypot(along, 3 * across)) ** -power
    made = np.fft.ifft2(np.fft.fft2(rng.standard_normal((n, side, side))) * gain).real
    return (0.5 + 0.15 * (made - made.mean()) / made.std())[:, None].astype(np.float32)


LAWS = {"rough": (0.3, 0.0), "smooth": (1.5, 0.0), "turned": (1.0, np.pi / 2), "along": (1.0, 0.0)}


def reference(side: int = 32, patches: int = 12) -> ImageSet:
    made = [gaussian(power, patches, side, 1, angle) for power, angle in LAWS.values()]
    names = [f"{name}/{k}" for name in LAWS for k in range(patches)]
    return load(np.concatenate(made), ids=names, labels=[name.split("/")[0] for name in names])


def sampled(side: int, of: list[str]) -> xr.Dataset:
    values = np.stack([gaussian(*LAWS[name][:1], 6, side, 2, LAWS[name][1]) for name in of])
    return xr.Dataset(
        {"samples": (("image", "sample", "band", "row", "col"), values)},
        coords={"image": ("image", np.array(list(LAWS), object)), "label": ("image", np.array(list(LAWS), object))},
    )


@pytest.mark.parametrize("side", [32, 64])
def test_textures_of_one_law_match_its_statistics_and_those_of_another_do_not(
    texture_statistics: ModuleType, side: int
) -> None:
    pytest.importorskip("plenoptic")
    own = texture_statistics.texture_statistics(sampled(side, list(LAWS)), reference())
    other = texture_statistics.texture_statistics(sampled(side, [*list(LAWS)[1:], "rough"]), reference())
    assert own.attrs["tiles"] == (side // 32) ** 2
    assert bool((own.matched.sel(statistics="all") > other.matched.sel(statistics="all").mean()).all())
    assert bool(own.nearest_own.all())
    assert not bool(other.nearest_own.any())
    assert bool((own.distance_own < own.distance_other).all())
    assert bool((other.distance_own.min("sample") > own.distance_own.max("sample")).all())


def test_each_statistic_has_a_kind_and_sizes_are_told(texture_statistics: ModuleType) -> None:
    pytest.importorskip("plenoptic")
    found, names = texture_statistics.statistics(gaussian(1.0, 2, 32, 0))
    assert found.shape == (2, len(names))
    assert all(isinstance(name, str) for name in names)
    assert (names == "pixel_statistics").sum() == 6
    with pytest.raises(InputError, match="patches of 8×8 are too small"):
        texture_statistics.statistics(gaussian(1.0, 2, 8, 0))
    with pytest.raises(InputError, match="smaller than patches"):
        texture_statistics.texture_statistics(sampled(16, list(LAWS)), reference())
