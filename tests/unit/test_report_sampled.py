"""The report's samples: claims 6 and 7 on a small network, from images to the page; what is there is not made again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import claims, report
from probekit.models import zoo
from probekit.models.unet import UNet

SMALL: dict[str, Any] = {"sigma": (0.1, 0.5), "draws": 2, "levels": 2, "progress": False}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    zoo.save(probekit.Denoiser(UNet((4, 6, 8, 10))), path)
    return str(path)


@pytest.fixture(scope="module")
def images() -> probekit.images.ImageSet:
    return probekit.images.load("samples", size=32).subset(range(0, 320, 8))


@pytest.fixture(scope="module")
def reconstructed(network: str, images, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset, list[str]]:
    out, said = tmp_path_factory.mktemp("six"), []
    judged = report.run(images, out=out, denoiser=network, only=(6,), conditions=3, say=said.append, **SMALL)
    return out, judged, said


def test_claim_6_is_judged_and_shown(reconstructed) -> None:
    out, judged, said = reconstructed
    assert set(claims.verdicts(judged)) == {6}
    page = (out / "report.html").read_text()
    for text in (
        "Stochastic reconstruction",
        "langevin",
        "algorithm1",
        "unconditional",
        "untrained",
        "at enc2",
        "near copies",
    ):
        assert text in page
    for name in ("variants", "variants-sheet", "variants-builtin"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"figures/{name}.png" in (out / "report.md").read_text()
    assert page.count("data:image/png") >= 3
    assert any(line.startswith("claim 6") for line in said)
    assert xr.load_dataset(out / "variants.nc", engine="h5netcdf").sizes["image"] == 3


def test_samples_are_not_made_again(reconstructed, network: str, images) -> None:
    out, judged, _ = reconstructed
    kept = {p: p.stat().st_mtime_ns for p in (out / "stores").rglob("*.nc")}
    assert kept
    again = report.run(images, out=out, denoiser=network, only=(6,), conditions=3, say=lambda _: None, **SMALL)
    xr.testing.assert_equal(again, judged)
    assert {p: p.stat().st_mtime_ns for p in (out / "stores").rglob("*.nc")} == kept


def test_no_picture_of_the_images_is_shown_unless_asked_for(network: str, images, tmp_path: Path) -> None:
    how = {**SMALL, "only": (6,), "conditions": 2, "say": lambda _: None}
    report.run(images, out=tmp_path, denoiser=network, pictures=False, **how)
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {"variants.png", "variants-builtin.png"}


def test_claim_7_is_judged_of_the_network_and_untrained(network: str, images, tmp_path: Path) -> None:
    how = {**SMALL, "only": (7,), "conditions": 21, "n_samples": 4, "say": lambda _: None}
    judged = report.run(images, out=tmp_path, denoiser=network, **how)
    assert set(claims.verdicts(judged)) == {7}
    assert np.isfinite(judged.control.values[judged.counts.values]).any()
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {"densities-trained.png", "densities-untrained.png"}
    found = xr.load_dataset(tmp_path / "densities-patch_wasserstein-trained.nc", engine="h5netcdf")
    assert found.sizes["pair"] == 210
