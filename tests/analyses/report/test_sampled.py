"""The report's samples: claims 6 and 7 on a small network, from images to the page; what is there is not made again."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import claims, report
from analyses.report import Measured, Sampling, Told, parts
from analyses.report.page import Shown
from probekit.models import zoo
from probekit.models.unet import UNet

SMALL: dict[str, Any] = {"measured": Measured(sigma=(0.1, 0.5), draws=2)}
QUIET = Told(say=lambda _: None, progress=False)
FEW = Sampling(conditions=2, levels=2)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    zoo.save(probekit.Denoiser(UNet((3, 4, 6), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 1))), path)
    return str(path)


@pytest.fixture(scope="module")
def images() -> probekit.images.ImageSet:
    return probekit.images.load(torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module")
def reconstructed(network: str, images, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset, list[str]]:
    out, said = tmp_path_factory.mktemp("six"), []
    told = replace(QUIET, say=said.append)
    judged = report.run(images, out=out, denoiser=network, only=(6,), sampling=FEW, told=told, **SMALL)
    return out, judged, said


def test_claim_6_is_judged_and_shown(reconstructed) -> None:
    out, judged, said = reconstructed
    assert set(claims.verdicts(judged)) == {6}
    page = (out / "report.html").read_text()
    words = (
        "Stochastic reconstruction",
        "langevin",
        "algorithm1",
        "unconditional",
        "untrained",
        "at enc2",
        "near copies",
    )
    for text in words:
        assert text in page
    for name in ("variants", "variants-sheet"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"figures/{name}.png" in (out / "report.md").read_text()
    assert page.count("data:image/png") >= 2
    assert any(line.startswith("claim 6") for line in said)
    # A network that was never trained may have no selective channel: then it is said, and else the concepts are there.
    without = any("give channels= to hold, or more images" in line for line in said)
    assert (out / "concepts.nc").exists() is not without
    assert ("channels held" in page) is not without
    assert any("no sheet of built-in photographs: " in line for line in said)
    assert xr.load_dataset(out / "variants.nc", engine="h5netcdf").sizes["image"] == FEW.conditions


def test_what_is_there_is_not_made_again_and_pictures_of_the_images_can_be_left_out(
    reconstructed, network: str, images
) -> None:
    out, judged, _ = reconstructed
    kept = {p: p.stat().st_mtime_ns for p in (out / "stores").rglob("*.nc")}
    assert kept
    for picture in (out / "figures").glob("*.png"):
        picture.unlink()
    quiet = replace(QUIET, pictures=False)
    again = report.run(images, out=out, denoiser=network, only=(6,), sampling=FEW, told=quiet, **SMALL)
    xr.testing.assert_equal(again, judged)
    assert {p: p.stat().st_mtime_ns for p in (out / "stores").rglob("*.nc")} == kept
    assert [p.name for p in (out / "figures").glob("*.png")] == ["variants.png"]


def test_built_in_photographs_are_sampled_where_they_fit(network: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(parts, "SHOWN", ("chelsea", "rocket"))
    photographs = probekit.images.load("samples", size=32)
    study = parts.Study(
        out=tmp_path, network=zoo.load(network), source=photographs, wanted=frozenset({6}), sampling=FEW, told=QUIET
    )
    shown = Shown()
    parts.sheet(study, shown)
    (picture,) = shown.of(6)
    assert picture.path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("shape", "size", "why"),
    [
        ((3, 48, 56), 64, ""),
        ((1, 32, 24), 32, ""),
        ((3, 32, 32), 32, ""),
        ((3, 40, 40), 0, "they are 3 × 64 × 64, the images 3 × 40 × 40"),
        ((3, 80, 64), 0, "they are 3 × 64 × 64, the images 3 × 80 × 64"),
        ((2, 32, 32), 0, "bands=2"),
    ],
)
def test_of_built_in_photographs_the_middle_is_shown_or_it_is_said_why_none_is(shape, size: int, why: str) -> None:
    said: list[str] = []
    found = parts._builtin(shape, said.append)
    if found is None:
        assert re.search(why, said[0])
        return
    assert not why
    assert found.shape == shape
    whole = probekit.images.load("samples", size=size, bands=shape[0])
    assert [name.partition("/")[0] for name in found.ids] == [*parts.SHOWN]
    top, left = (size - shape[1]) // 2, (size - shape[2]) // 2
    of = [whole.ids.index(name) for name in found.ids]
    middle = whole.read(of)[:, :, top : top + shape[1], left : left + shape[2]]
    assert torch.equal(found.read(range(4)), middle)
    # Stores of samples go by it.
    assert found.name == whole.name + ("" if shape[1:] == (size, size) else ", their middle")


def test_claim_7_is_judged_against_pixels(network: str, images, tmp_path: Path) -> None:
    few = replace(FEW, law_conditions=21, n_samples=4)
    judged = report.run(images, out=tmp_path, denoiser=network, only=(7,), sampling=few, told=QUIET, **SMALL)
    assert set(claims.verdicts(judged)) == {7}
    assert np.isfinite(judged.value.values).all()
    assert ["pixels" in what for what in judged.what.values[judged.counts.values]] == [False, False, True]
    assert {p.name for p in (tmp_path / "figures").glob("*.png")} == {"densities-trained.png"}
    found = xr.load_dataset(tmp_path / "densities-patch_wasserstein-trained.nc", engine="h5netcdf")
    assert found.sizes["pair"] == 210
