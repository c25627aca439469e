"""What holding concepts keeps and reads again, the choice of channels, figures and the command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import concepts, selectivity
from analyses.concepts.figure import MOST_SAMPLES
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

SIGMA, N = 0.02, 60
QUICK: dict[str, Any] = {
    "sigma": SIGMA,
    "sigmas": np.geomspace(1, 0.01, 12).tolist(),
    "draws": 2,
    "permutations": 199,
    "resamples": 100,
    "together": 1,
    "progress": False,
}


def model() -> PatchModel:
    """A rare class has component 1 and the other component 2; components 0 and 3 are the same in both."""
    return PatchModel([0.15, 0.85], [[0.4, 0.3, 0, 0.05], [0.4, 0, 0.3, 0.05]])


def measured() -> tuple[ImageSet, xr.Dataset]:
    images = probekit.images.load(model().draw(N, rows=8, cols=8, seed=4).images)
    return images, probekit.tap(model(), "mid")(images, sigma=[SIGMA, 0.2], draws=2)


def held(channels: list[int] | None, **options: Any) -> xr.Dataset:
    images, data = measured()
    return concepts.analyse(
        images, data, denoiser=model(), channels=channels, **{**QUICK, "n_images": 3, "n_samples": 6, **options}
    )


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return held([1, 3], sigmas=[1, 0.1], n_samples=2)


def test_what_is_kept_is_of_the_images_that_excite_the_channel_most(found: xr.Dataset) -> None:
    images, data = measured()
    for c, channel in enumerate((1, 3)):
        order = np.argsort(-data.phi.values[:, 0, channel])[:3]
        assert found.exciting_image.values[c].tolist() == [images.ids[i] for i in order]
        np.testing.assert_allclose(found.exciting.values[c], images.read(order.tolist()).numpy(), atol=1e-6)
    assert found.held.values.tolist() == ["mid:1", "mid:3"]


def test_a_single_concept_has_no_others_to_be_told_from_and_a_store_is_read_again(
    tmp_path: Path,
) -> None:
    options = {"n_images": 1, "n_samples": 2, "sigmas": [1, 0.1], "store": tmp_path}
    one = held([1], **options)
    assert one.p.sel(against="samples of other concepts").isnull().all()
    assert one.nearer_low.isnull().all()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nc")}
    assert {path.parent.name for path in written} == {"1-held", "1-free"}
    xr.testing.assert_identical(held([1], **options), one)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nc")} == written


def test_concepts_that_hold_the_same_channels_are_kept_apart(tmp_path: Path) -> None:
    _, data = measured()
    selective = selectivity.analyse(data, resamples=100)
    kinds = np.where(np.isin(np.arange(4), [1, 2]), "selective", "common").astype(object)
    selective["type"] = selective["type"].copy(data=np.broadcast_to(kinds, selective["type"].shape))
    options = {"findings": selective, "together": 2, "n_images": 1, "n_samples": 2, "sigmas": [1, 0.1]}
    found = held([1, 2], store=tmp_path, **options)
    assert found.held.values.tolist() == ["mid:1, mid:2", "mid:2, mid:1"]
    assert found.exciting_image.values[0] != found.exciting_image.values[1]
    assert {path.name for path in tmp_path.iterdir()} == {"1-2-held", "1-2-free", "2-1-held", "2-1-free"}
    xr.testing.assert_identical(held([1, 2], store=tmp_path, **options), found)
    xr.testing.assert_allclose(held([1, 2], **options), found)


def findings(kinds: list[str], sparseness: list[float], active: list[float]) -> xr.Dataset:
    over = ("sigma", "channel")
    return xr.Dataset(
        {
            "type": (over, np.array([kinds], dtype=object)),
            "lifetime_sparseness": (over, [sparseness]),
            "activity_fraction": (over, [active]),
        },
        coords={
            "sigma": [0.1],
            "channel": range(len(kinds)),
            "tap": ("channel", ["mid"] * len(kinds)),
            "unit": ("channel", range(len(kinds))),
        },
    )


def test_the_most_selective_are_the_sparsest_of_that_type_that_are_not_nearly_silent() -> None:
    kinds = ["selective", "common", "selective", "selective", "mixed", "selective"]
    given = findings(kinds, [0.5, 0.99, 0.9, 0.7, 0.95, 0.98], [0.2, 0.9, 0.1, 0.1, 0.3, 0.01])
    assert concepts.most_selective(given, sigma=0.1) == [2, 3, 0]
    assert concepts.most_selective(given, sigma=0.1, n_channels=1) == [2]
    assert concepts.most_selective(given, sigma=0.1, least_active=0.005)[0] == 5
    with pytest.raises(InputError, match="no channel that is active on 50 % of the images is selective"):
        concepts.most_selective(given, sigma=0.1, least_active=0.5)


def of_one() -> xr.Dataset:
    images = model().draw(3, rows=8, cols=8, seed=0).images
    samples = images.expand_dims(sample=2)
    tap = probekit.tap(model(), "mid")
    return concepts.concept(tap, samples, samples, images, channels=[1], draws=1, permutations=100, resamples=100)


def test_samples_that_are_all_their_images_are_as_near_held_as_free() -> None:
    found = of_one()
    np.testing.assert_array_equal(found.held_distance, found.free_distance.rename(free_sample="sample"))
    np.testing.assert_allclose(found.nearer, 0.5)
    assert found.attrs["analysis"] == "concepts"
    assert found.attrs["analysis_seed"] == 0


def test_the_figure_shows_exciting_images_and_samples_of_each_concept(found: xr.Dataset, tmp_path: Path) -> None:
    found.to_netcdf(tmp_path / "concepts.nc", engine="h5netcdf")
    kept = xr.load_dataset(tmp_path / "concepts.nc", engine="h5netcdf")
    xr.testing.assert_identical(kept, found)
    figure = concepts.plot(kept)
    assert sum(len(axis.images) for axis in figure.axes) == 2 * (3 + 2 * MOST_SAMPLES)
    assert len(concepts.plot(of_one()).axes[0].get_xticks()) == 2


def test_the_command_writes_findings_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    network = UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    weights = zoo.save(network.eval(), tmp_path / "small.safetensors")
    out = tmp_path / "out"
    given = ["samples", "--network", str(weights), "--n-images", "30", "--levels", "2", "--size", "32", "--draws", "2"]
    given += ["--samples", "2", "--exciting", "1", "--channels", "0,3", "--together", "1", "--permutations", "100"]
    assert concepts.main([*given, "--resamples", "100", "--quiet", "-o", str(out)]) == 0
    assert capsys.readouterr().out.split() == [str(out / f"concepts.{end}") for end in ("nc", "png")]
    written = xr.load_dataset(out / "concepts.nc", engine="h5netcdf")
    assert written.channel.values.tolist() == [0, 3]
    assert written.attrs["analysis"] == "concepts"
    assert written.attrs["permutations"] == 100
    assert concepts.main(["samples", "nothing", "-o", str(tmp_path)]) == 1
    assert "no built-in photograph nothing" in capsys.readouterr().err


def test_types_are_looked_up_at_the_findings_own_level() -> None:
    _, data = measured()
    types = selectivity.analyse(data, resamples=100)
    kept = types.assign(type=types.type.copy(data=np.full(types.type.shape, "selective", dtype=object)))
    # Channels are held by what they are at σ = 0.02, wherever it stands among the findings.
    given = {"findings": kept, "together": 2, "sigmas": [1, 0.1], "n_samples": 2}
    first = held([1], **given)
    turned = kept.isel(sigma=[1, 0]).copy(deep=True)
    turned["type"][0] = "common"
    assert held([1], **{**given, "findings": turned}).held.values.tolist() == first.held.values.tolist()


@pytest.mark.parametrize(
    "order", [slice(None, None, -1), [1, 0, 2, 3], [0, 1, 2]], ids=["reversed", "two exchanged", "one left out"]
)
def test_data_and_findings_of_other_channels_than_the_tap_gives_are_refused(order: Any) -> None:
    images, data = measured()
    with pytest.raises(InputError, match="channels, or their order, differ"):
        concepts.analyse(images, data.isel(channel=order), denoiser=model(), channels=[1], **QUICK)
    found = selectivity.analyse(data, resamples=100).isel(channel=order)
    with pytest.raises(InputError, match="give the same channels in the same order"):
        concepts.analyse(images, data, denoiser=model(), findings=found, channels=[1], **QUICK)


def test_findings_of_another_network_are_refused() -> None:
    images, data = measured()
    found = selectivity.analyse(data, resamples=100).assign_attrs(weights_sha256="0" * 64)
    with pytest.raises(InputError, match="the findings and the data are of different networks"):
        concepts.analyse(images, data, denoiser=model(), findings=found, channels=[1], **QUICK)
