"""Several denoisers, what changes nothing, the verdict, the figure and the command."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import probekit
from analyses import noise_level
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.noise_level.making import Scaled, Shifted

IMAGES = np.random.default_rng(0).random((30, 1, 8, 8)).astype(np.float32)
NOTHING = np.zeros((30, 1, 16, 16), np.float32)
QUICK: dict[str, Any] = {"resamples": 100, "progress": False}
WALK = np.linspace(1, 0.03, 12).tolist()


def pair(
    denoisers: Any, images: Any = NOTHING, *, told: bool = False, walk: Any = WALK, **options: Any
) -> tuple[xr.Dataset, xr.Dataset]:
    """What both functions return, of denoisers that are called blind, also those that are told σ, unless `told`."""
    found = noise_level.analyse(denoisers, images, **QUICK, **options)
    path = noise_level.along(denoisers, images, sigmas=walk, n_samples=8, **QUICK)
    blind = {"told": ("network", np.zeros(found.sizes["network"], bool))}
    return (found, path) if told else (found.assign_coords(blind), path.assign_coords(blind))


def test_each_of_several_denoisers_is_as_it_is_alone() -> None:
    several = {"none": Scaled(0), "told": Shifted(0.9)}
    for both, alone in zip(pair(several, told=True), pair({"told": several["told"]}, told=True), strict=True):
        xr.testing.assert_allclose(both.sel(network=["told"]), alone)
        assert both["told"].values.tolist() == [False, True]


def test_a_denoiser_alone_is_called_after_itself() -> None:
    model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    assert noise_level.analyse(model, NOTHING, **QUICK)["network"].values.tolist() == ["PatchModel"]


def test_batches_and_the_order_of_images_change_nothing() -> None:
    images = probekit.images.load(IMAGES)
    first = noise_level.analyse(Scaled(0.3), images, **QUICK)
    order = np.random.default_rng(0).permutation(len(images))
    xr.testing.assert_allclose(noise_level.analyse(Scaled(0.3), images[order], batch_size=7, **QUICK), first)
    walks = [
        noise_level.along(Scaled(0.3), images, sigmas=WALK, n_samples=5, batch_size=size, **QUICK) for size in (2, 64)
    ]
    xr.testing.assert_allclose(walks[0], walks[1])


def test_so_many_images_are_drawn() -> None:
    found = noise_level.analyse(Scaled(0.3), IMAGES, n_images=7, **QUICK)
    assert found.sizes["image"] == 7
    every = noise_level.analyse(Scaled(0.3), IMAGES, **QUICK)["sigma_hat"]
    xr.testing.assert_allclose(found["sigma_hat"], every.sel(image=found["image"]))


def test_one_image_has_no_interval() -> None:
    found = noise_level.analyse(Scaled(0.3), IMAGES[:1], **QUICK)
    assert found["mean"].notnull().all()
    assert found["mean_low"].isnull().all()
    assert found["sd"].isnull().all()


def test_the_claim_holds_of_a_blind_denoiser_that_takes_off_the_noise_and_nothing_else() -> None:
    # Of black images a denoiser that says black: σ̂ is σ within its sampling error of 4 % an image.
    judged = noise_level.verdict(*pair({"black": Scaled(0), "told": Shifted(0.1)}, told=True))
    assert judged.attrs["verdict"] == "holds"
    assert set(judged["network"].values) == {"black"}
    assert judged.attrs["tested"].startswith(
        "the range [0.1, 1] on images: 0.1, 0.2, 0.3, 0.5, 0.8, 1; path: 12 levels"
    )
    assert judged.attrs["lacks"] == ""
    assert not judged["told"].values.any()
    # Of the seven default levels one is below the range.
    assert judged.sizes["criterion"] == 6 + len(WALK)


@pytest.mark.parametrize(
    ("share", "said"), [(1.0, "holds"), (0.96, "holds"), (0.92, "partly"), (1.08, "partly"), (0.8, "does not hold")]
)
def test_a_bias_of_5_on_images_and_of_10_percent_on_the_path_are_the_bounds(share: float, said: str) -> None:
    judged = noise_level.verdict(*pair(Shifted(share)), networks=["Shifted"])
    assert judged.attrs["verdict"] == said
    on_images = judged["outcome"].values[judged["part"].values == "held-out images"]
    assert set(on_images) == {"holds" if abs(share - 1) <= 0.05 else "does not hold"}


def widened(findings: xr.Dataset, name: str) -> xr.Dataset:
    return findings.assign({f"{name}_{end}": findings[name] + shift for end, shift in (("low", -1), ("high", 1))})


def test_a_part_of_the_range_is_called_so_and_wide_intervals_are_undecided() -> None:
    found, path = pair(Scaled(0), sigma=[0.1, 0.3, 1.0])
    assert noise_level.verdict(found, path).attrs["verdict"] == "holds"
    wide = widened(path, "mismatch")
    assert noise_level.verdict(widened(found, "relative_bias"), wide).attrs["verdict"] == "undecided"
    assert noise_level.verdict(found, wide).attrs["verdict"] == "undecided"
    # Up to 0.3 alone it could still be refuted, unless it is.
    part = found.isel(sigma=[0, 1])
    for one in (path, wide):
        judged = noise_level.verdict(part, one)
        assert judged.attrs["verdict"] == "not judged"
        assert judged.attrs["tested"].startswith("part of the range [0.1, 1] on images: 0.1, 0.3;")
    refuted = noise_level.verdict(
        part.assign({f"relative_bias{end}": part.relative_bias - 0.9 for end in ("", "_low", "_high")}), path
    )
    assert refuted.attrs["verdict"] == "partly"


def test_the_figure_has_a_panel_for_bias_spread_and_path() -> None:
    found, path = pair({"none": Scaled(0), "told": Shifted(0.9)}, told=True)
    figure = noise_level.plot(found, path)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 3
    assert len(noise_level.plot(found).axes) == 2
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} >= {"none, blind", "told, told σ"}


def test_the_command_measures_judges_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets_of_noise_level.py").write_text(
        "from tests.analyses.noise_level.making import Scaled, Shifted\n"
        "def none():\n    return Scaled(0)\n"
        "def told():\n    return Shifted(0.9)\n"
    )
    networks = "nets_of_noise_level:none,nets_of_noise_level:told"
    words = ["samples", "--size", "32", "--network", networks, "--samples", "2", "-o", "out", "--quiet"]
    assert noise_level.main(words) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "noise_level-path.nc",
        "noise_level-verdict.nc",
        "noise_level.nc",
        "noise_level.png",
    ]
    with xr.open_dataset(tmp_path / "out" / "noise_level.nc") as found:
        assert found["network"].values.tolist() == networks.split(",")
    with xr.open_dataset(tmp_path / "out" / "noise_level-verdict.nc") as judged:
        assert set(judged["network"].values) == {networks.split(",")[0]}
        assert judged["told"].dtype == bool
        assert not judged["told"].any()
    # Where no denoiser is blind, nothing is judged.
    assert noise_level.main([*words[:4], "nets_of_noise_level:told", *words[5:8], "told", "--quiet"]) == 0
    assert not (tmp_path / "told" / "noise_level-verdict.nc").exists()
