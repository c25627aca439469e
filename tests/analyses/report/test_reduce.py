"""Networks whose ReLUs are function calls: with relu_mean every analysis that taps finds what it finds after a ReLU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import probekit
from analyses import concepts, controls, report, sampling, variants
from analyses.report.shell import main
from probekit.errors import InputError
from probekit.images import ImageSet

SIZE = 8


class Rectified(nn.Module):
    """A small UNet whose blocks end in ReLUs; `declared` says whether its taps are before them or after."""

    def __init__(self, declared: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.down, self.middle = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 12, 3, padding=1)
        self.up = nn.Conv2d(16, 4, 3, padding=1)
        self.down_relu, self.middle_relu, self.up_relu = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.out = nn.Conv2d(4, 3, 3, padding=1)
        after = "" if declared == "before" else "_relu"
        self.tap_aliases = {"enc1": f"down{after}", "mid": f"middle{after}", "dec1": f"up{after}"}

    def forward(self, y: Tensor) -> Tensor:
        fine = self.down_relu(self.down(y))
        coarse = self.middle_relu(self.middle(nn.functional.avg_pool2d(fine, 2)))
        joined = torch.cat([fine, nn.functional.interpolate(coarse, scale_factor=2)], dim=1)
        return y - 0.1 * self.out(self.up_relu(self.up(joined)))


def network(declared: str) -> probekit.Denoiser:
    return probekit.Denoiser(Rectified(declared).eval(), name="small")


def images(count: int, prefix: str = "a") -> ImageSet:
    shade = np.arange(count) % 4
    rng = np.random.default_rng(ord(prefix))
    values = 0.2 + 0.2 * shade[:, None, None, None] + 0.1 * rng.normal(size=(count, 3, SIZE, SIZE))
    ids, classes = [f"{prefix}{i}" for i in range(count)], [f"class {k}" for k in shade]
    return probekit.images.load(values.clip(0, 1).astype(np.float32), ids=ids, labels=classes)


def assert_same_numbers(before: xr.Dataset, after: xr.Dataset) -> None:
    assert before.attrs["reduce"] == "relu_mean"
    assert after.attrs["reduce"] == "mean"
    xr.testing.assert_equal(before, after)


@pytest.mark.usefixtures("undrawn")
def test_the_report_judges_the_same(tmp_path: Path) -> None:
    for declared, reduce in (("before", "relu_mean"), ("after", "mean")):
        report.run(
            images(40),
            out=tmp_path / declared,
            denoiser=network(declared),
            only=(1, 3),
            measured=report.Measured(sigma=(0.1, 0.5), draws=2, reduce=reduce),
            told=report.Told(say=lambda _: None, progress=False),
        )
    names = {path.name for path in (tmp_path / "after").glob("*.nc")}
    assert {"claims.nc", "sparsity-trained.nc", "selectivity-untrained.nc"} <= names
    assert names == {path.name for path in (tmp_path / "before").glob("*.nc")}
    for name in names - {"claims.nc"}:
        assert_same_numbers(*(xr.load_dataset(tmp_path / declared / name) for declared in ("before", "after")))
    claims = [xr.load_dataset(tmp_path / declared / "claims.nc") for declared in ("before", "after")]
    xr.testing.assert_equal(claims[0], claims[1])


def test_variants_of_sampling_are_the_same_but_for_the_seconds_that_they_took() -> None:
    given: Any = {
        "n_images": 2,
        "levels": 2,
        "n_samples": 1,
        "draws": 2,
        "resamples": 100,
        "held_out": ("enc1", "dec1"),
    }
    made = [
        variants.table(images(4), denoiser=network(declared), reduce=reduce, **given)
        for declared, reduce in (("before", "relu_mean"), ("after", "mean"))
    ]
    assert_same_numbers(*(one.sel(measure=one.measure != "seconds") for one in made))


def test_laws_are_the_same() -> None:
    made = [
        variants.laws(images(4), denoiser=network(declared), n_samples=4, levels=2, draws=2, reduce=reduce)
        for declared, reduce in (("before", "relu_mean"), ("after", "mean"))
    ]
    assert_same_numbers(*made)
    other = variants.laws(images(4), denoiser=network("before"), n_samples=4, levels=2, draws=2)
    assert not np.array_equal(other.samples, made[0].samples)


def test_the_table_of_controls_is_the_same_and_descriptors_are_what_they_are() -> None:
    settings = controls.Settings(resamples=100, penalties=(0.1,), n_clusters=4)
    # One of each kind: of pairs of images, of an image and those near it, of clusters, and of what is learnt.
    measures = ["correlation: label", "stability", "precision", "nmi", "accuracy"]
    made = [
        controls.table(
            images(40),
            train=images(48, "b"),
            denoiser=network(declared),
            sigma=0.1,
            draws=1,
            untrained=1,
            settings=settings,
            measures=measures,
            reduce=reduce,
        )
        for declared, reduce in (("before", "relu_mean"), ("after", "mean"))
    ]
    assert_same_numbers(*made)


def test_samples_hold_what_the_tap_makes_of_maps() -> None:
    made = []
    for declared, reduce in (("before", "relu_mean"), ("after", "mean")):
        denoiser = network(declared)
        tap = probekit.tap(denoiser, "mid", reduce=reduce)
        made.append(sampling.reconstruct(denoiser, tap, images(2), n_samples=1, sigmas=[0.5, 0.1], draws=2))
    assert_same_numbers(*made)


def test_concepts_are_held_by_what_the_data_were_made_by() -> None:
    source, given = images(40), {"channels": [2], "together": 1, "levels": 2, "permutations": 100, "resamples": 100}
    made = []
    for declared, reduce in (("before", "relu_mean"), ("after", "mean")):
        data = probekit.tap(network(declared), "mid", reduce=reduce)(source, sigma=0.1, draws=2)
        made.append(concepts.analyse(source, data, denoiser=network(declared), draws=2, **given))
    assert_same_numbers(*made)


def test_concepts_of_data_by_a_function_of_ones_own_ask_for_that_function() -> None:
    def largest(a: Tensor) -> Tensor:
        return a.amax((2, 3)).relu()

    source, given = images(40), {"channels": [2], "together": 1, "levels": 2, "permutations": 100, "resamples": 100}
    data = probekit.tap(network("before"), "mid", reduce=largest)(source, sigma=0.1, draws=2)
    with pytest.raises(InputError, match=r"is called '.*largest': give that function as reduce="):
        concepts.analyse(source, data, denoiser=network("before"), draws=2, **given)
    found = concepts.analyse(source, data, denoiser=network("before"), draws=2, reduce=largest, **given)
    assert found.sizes["concept"] == 1


COMMANDS: dict[str, list[str]] = {
    "phi": ["phi", "photo32", "shapes:40", "-o", "phi.nc"],
    "report": ["report", "shapes:40"],
    "demo": ["demo"],
    "controls": ["analyse", "controls", "shapes:40"],
    "variants": ["analyse", "variants", "shapes:40"],
    "sampling": ["analyse", "sampling", "shapes:2"],
    "attribution": ["analyse", "attribution", "shapes:2", "--channels", "1"],
    "concepts": ["analyse", "concepts", "shapes:40"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_every_command_that_makes_taps_is_told_what_is_made_of_maps(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--reduce", "median"]) == 1
    assert "reduce='median': give one of mean, relu_mean, max, std, energy" in capsys.readouterr().err


def test_a_command_does_with_it_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given: Any = ["--levels", "2", "--samples", "1", "--draws", "1", "--quiet", "-o", "out"]
    assert main(["analyse", "sampling", "shapes:1", "--reduce", "energy", *given]) == 0
    assert xr.load_dataset(tmp_path / "out" / "samples.nc").attrs["reduce"] == "energy"
