"""Claims judged by φ alone: as a report on images judges them, wherever φ lies, and what cannot be judged so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
import probekit.machine.blocks as blocks
from analyses import report
from analyses.report import Measured, Told
from analyses.report.shell import main
from probekit.errors import InputError
from probekit.models.unet import UNet
from tests.analyses.lazily import blocks_of, lazily

QUIET = Told(say=lambda _: None, progress=False)
ROLES = {"untrained": "untrained", "paper_gains": "untrained-paper-gains"}
IMAGES, TAKEN = 48, [1, 3, 4, 12]


def small() -> probekit.Denoiser:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = UNet((3, 4, 6), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 1))
    return probekit.Denoiser(module, name="small")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on images."""
    out = tmp_path_factory.mktemp("report")
    images = torch.rand(IMAGES, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    source = probekit.images.load(images, labels=[f"class {k % 24}" for k in range(IMAGES)])
    report.run(source, out=out, denoiser=small(), measured=Measured(draws=4, sigma=(0.1, 0.2)), only=TAKEN, told=QUIET)
    return out


def stores(measured: Path) -> dict[str, Path]:
    folder = measured / "stores"
    return {"trained": folder / "trained.zarr", **{name: folder / f"{role}.zarr" for name, role in ROLES.items()}}


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Equal to the last bit but for what names a call."""
    assert set(one.variables) == set(other.variables)
    for name in one.variables:
        np.testing.assert_array_equal(one[name].values, other[name].values, err_msg=str(name))


def check_same_results(one: Path, other: Path) -> None:
    files = sorted(p.name for p in other.glob("*.nc"))
    assert sorted(p.name for p in one.glob("*.nc")) == files
    assert len(files) == 14
    for name in files:
        same(xr.load_dataset(one / name, engine="h5netcdf"), xr.load_dataset(other / name, engine="h5netcdf"))
    assert "report.html" in {p.name for p in one.iterdir()}


def test_what_a_report_measured_is_judged_as_the_report_judged_it(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch
) -> None:
    given = stores(measured)
    words = ["judge", given["trained"], "--untrained", given["untrained"], "--paper-gains", given["paper_gains"]]
    typed = [*map(str, words), "-o", str(tmp_path / "judged")]
    monkeypatch.setattr(sys, "argv", ["probekit", *typed])
    assert main(typed) == 0
    assert "claim 12." in capsys.readouterr().out
    check_same_results(tmp_path / "judged", measured)
    text = (tmp_path / "judged" / "report.md").read_text()
    assert "probekit judge trained.zarr --untrained untrained.zarr" in text
    assert f"| images | `{IMAGES}` |" in text


@pytest.mark.usefixtures("undrawn")
def test_phi_that_is_read_when_it_is_used_is_judged_alike(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = {name: probekit.open(path).load() for name, path in stores(measured).items()}
    # So many numbers as 10 images have. Sums are rounded by blocks, so that both are taken by the same.
    at_once = every["trained"]["phi_draws"].size * 10 // IMAGES
    monkeypatch.setattr(blocks, "AT_ONCE", at_once)
    judged(every, tmp_path / "in memory")
    blocks_of(monkeypatch, at_once)
    judged({name: lazily(one) for name, one in every.items()}, tmp_path / "read")
    check_same_results(tmp_path / "read", tmp_path / "in memory")


def judged(given: dict[str, xr.Dataset], out: Path) -> None:
    controls: dict[str, Any] = {name: one for name, one in given.items() if name != "trained"}
    report.of_phi(given["trained"], **controls, out=out, told=QUIET)


@pytest.mark.usefixtures("undrawn")
def test_without_the_papers_gains_nothing_is_asked_of_them(measured: Path, tmp_path: Path) -> None:
    given, said = stores(measured), []
    found = report.of_phi(
        given["trained"], untrained=given["untrained"], out=tmp_path, only=[3], told=Told(say=said.append)
    )
    assert found.attrs["untrained_controls"] == "untrained"
    assert found["control_paper_gains"].isnull().all()
    assert "nothing is asked of them" in said[0]
    assert found["claim"].values.tolist() == [3]
    assert (found["lacks"] == "").all()


@pytest.mark.usefixtures("undrawn")
def test_images_in_groups_are_taken_whole(measured: Path, tmp_path: Path) -> None:
    given = stores(measured)
    report.of_phi(
        given["trained"], untrained=given["untrained"], out=tmp_path, only=[3], clusters="label", seed=1, told=QUIET
    )
    found = xr.load_dataset(tmp_path / "selectivity-trained.nc", engine="h5netcdf")
    assert found.attrs["clusters"] == "label"
    assert found.attrs["analysis_seed"] == 1


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "no φ": (lambda g: {**g, "trained": 5}, "trained=5: give φ as a tap returns it, or the path"),
    "no file": (lambda g: {**g, "untrained": "nowhere.zarr"}, "nowhere.zarr does not exist"),
    "no labels": (lambda g: {**g, "trained": xr.Dataset({"phi": ("x", [1.0])})}, r"trained holds no phi \(image,"),
    "one σ": (lambda g: {**g, "untrained": g["untrained"].isel(sigma=0)}, r"untrained holds no phi \(image,"),
    "other σ": (lambda g: {**g, "untrained": g["untrained"].isel(sigma=[1])}, "untrained is not of the same sigmas"),
    "other images": (
        lambda g: {**g, "paper_gains": g["paper_gains"].isel(image=slice(40))},
        "paper_gains is not of the same images as trained: measure",
    ),
    "other order": (
        lambda g: {**g, "untrained": g["untrained"].isel(image=slice(None, None, -1))},
        "untrained is not of the same images",
    ),
    "other taps": (
        lambda g: {**g, "untrained": g["untrained"].isel(channel=slice(1, None))},
        "untrained is not of the same taps",
    ),
    "the network itself": (
        lambda g: {**g, "paper_gains": g["trained"]},
        "paper_gains is φ of the very weights that trained is of, [0-9a-f]{8}…: give φ of the untrained twin",
    ),
    "other draws": (
        lambda g: {**g, "untrained": g["untrained"].assign_attrs(draws=10)},
        "untrained was measured with draws=10 and trained with draws=4: measure them alike",
    ),
    "other averages": (
        lambda g: {**g, "untrained": g["untrained"].assign_attrs(reduce="max")},
        "untrained was measured with reduce=max and trained with reduce=mean",
    ),
    "few images": (lambda g: {n: one.isel(image=slice(39)) for n, one in g.items()}, "φ of 39 images: the claims need"),
    "block": (lambda g: {**g, "block": "enc9"}, "block='enc9': say which tap the claims are about, φ is of enc1, "),
    "no claims": (lambda g: {**g, "only": []}, "only=.*: give numbers of claims, from 1 to 12"),
    "claims of images": (
        lambda g: {**g, "only": [1, 6, 5]},
        "claims 5, 6 cannot be judged by φ alone, as 1, 3, 4, 12 can",
    ),
    "no block before": (lambda g: {**g, "only": [1], "block": "enc1"}, "claim 1 cannot be judged: 'enc1' is compared"),
    "no draws": (
        lambda g: {**{n: one.drop_vars("phi_draws") for n, one in g.items()}, "only": [12]},
        "claim 12 cannot be judged: two halves of the draws are compared, and there is 1 that was kept",
    ),
    "clusters": (lambda g: {**g, "clusters": "kind", "only": [3]}, "kind"),
    "seed": (lambda g: {**g, "seed": -1}, "seed=-1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_judged_is_refused_before_anything_is_made(name: str, measured: Path, tmp_path: Path) -> None:
    spoil, said = REFUSED[name]
    given = spoil({one: probekit.open(path).load() for one, path in stores(measured).items()})
    with pytest.raises(InputError, match=said):
        report.of_phi(given.pop("trained"), **given, out=tmp_path / "out", told=QUIET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("undrawn")
def test_a_judgement_is_taken_up_again(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = dict(stores(measured))
    trained = given.pop("trained")
    report.of_phi(trained, **given, out=tmp_path, only=[1], told=QUIET)
    when = (tmp_path / "sparsity-trained.nc").stat().st_mtime_ns
    # Also where φ is read in blocks, or from a file of another kind.
    blocks_of(monkeypatch, 1000)
    report.of_phi(probekit.open(trained), **given, out=tmp_path, only=[1], told=QUIET)
    assert (tmp_path / "sparsity-trained.nc").stat().st_mtime_ns == when
    changed = probekit.open(trained).load()
    changed["phi"][-1, -1, -1] += 1
    report.of_phi(changed, **given, out=tmp_path, only=[1], told=QUIET)
    assert (tmp_path / "sparsity-trained.nc").stat().st_mtime_ns != when
