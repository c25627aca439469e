"""Denoisers that others have trained: their modules are what the weights were made for, and taps read them rightly."""

import importlib.util
import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from analyses import (
    attribution,
    claims,
    clusters,
    concepts,
    controls,
    cues,
    densities,
    descriptors,
    explore,
    factors,
    generalisation,
    noise_level,
    probe,
    report,
    sampling,
    selectivity,
    semantics,
    sparsity,
    subspaces,
    textures,
    variants,
)
from analyses.ground import untrained_twin
from analyses.report import Compared, Measured, Told
from probekit.images import load
from tests.analyses.noise_level.making import Scaled
from tests.analyses.noise_level.test_edges import pair

ROOT = Path(__file__).parents[1]
FILE = ROOT / "benchmarks" / "published_networks.py"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


networks = loaded(FILE)
# How each is made, what it predicts, its numbers, its receptive field, and its PSNR at σ = 0.05, 0.1, 0.2, 0.5.
PUBLISHED: dict[str, tuple[Callable[[], nn.Module], str, int, int, list[float]]] = {
    "bsd-unet-free-100": (networks.UNet, "clean", 233_024, 0, [28.3, 25.2, 22.3, 19.1]),
    "bsd-unet-bias-100": (lambda: networks.UNet(bias=True), "clean", 233_440, 0, [28.2, 25.1, 22.2, 17.4]),
    "bsd-dncnn-free-100": (networks.DnCNN, "clean", 669_330, 41, [27.8, 25.0, 22.3, 19.0]),
    "bsd-dncnn-bias-100": (lambda: networks.DnCNN(bias=True), "clean", 670_547, 41, [27.6, 24.9, 22.3, 17.7]),
    "celeba-rf05": (lambda: networks.Flat(5), "residual", 81_408, 5, [23.5, 22.0, 20.2, 17.1]),
    "celeba-rf13": (lambda: networks.Flat(13), "residual", 212_480, 13, [24.8, 23.0, 21.0, 18.3]),
    "celeba-rf43": (lambda: networks.Flat(43), "residual", 704_000, 43, [27.5, 24.3, 21.7, 18.8]),
}
NAMES = list(PUBLISHED)
BIASED = [name for name in NAMES if "bias" in name]


def made(name: str, weights: Path | None = None) -> probekit.Denoiser:
    """The network with its weights from the folder, or with any that leave no normalisation trivial."""
    make, predicts, *_ = PUBLISHED[name]
    torch.manual_seed(3)
    module = make().eval()
    if weights is not None:
        module.load_state_dict(load_file(weights / f"{name}.safetensors"))
    else:
        scales = ("running_var", "running_sd", "gammas", "bn_layer_list")
        state = {
            k: v.uniform_(0.5, 1.5) if any(s in k for s in scales) and v.is_floating_point() else v
            for k, v in module.state_dict().items()
        }
        state |= {k: v.normal_(0, 0.1) for k, v in state.items() if k.endswith(("bias", "running_mean"))}
        module.load_state_dict(state)
    return probekit.Denoiser(module, predicts=predicts, name=name)  # type: ignore[arg-type]


@pytest.fixture(params=["random weights", pytest.param("published weights", marks=pytest.mark.denoisers)])
def weights(request: pytest.FixtureRequest, denoisers: Path) -> Path | None:
    return denoisers if request.param == "published weights" else None


def noisy(size: int = 24, count: int = 2) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0))


# The page and the weights


def test_the_page_shows_the_modules_as_they_are_measured() -> None:
    page = (ROOT / "docs" / "howto-published.md").read_text(encoding="utf-8")
    assert f"```python\n{FILE.read_text(encoding='utf-8')}```\n" in page


@pytest.mark.parametrize("name", NAMES)
def test_the_modules_hold_as_many_numbers_as_were_published_under_their_names(name: str, tmp_path: Path) -> None:
    state = made(name).model.state_dict()
    assert sum(value.numel() for value in state.values()) == PUBLISHED[name][2]
    # Files hold them as they come, and no other kind of network takes them.
    save_file(state, tmp_path / f"{name}.safetensors")
    again = made(name, tmp_path)
    torch.testing.assert_close(again(noisy(), 0.1), made(name)(noisy(), 0.1))
    other = next(make for make, *_ in PUBLISHED.values() if set(make().state_dict()) != set(state))
    with pytest.raises(RuntimeError, match=r"Missing key|Unexpected key"):
        other().load_state_dict(state)


@pytest.mark.denoisers
@pytest.mark.parametrize("name", NAMES)
def test_published_weights_load_strictly(name: str, denoisers: Path) -> None:
    found = load_file(denoisers / f"{name}.safetensors")
    own = PUBLISHED[name][0]().state_dict()
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in own.items()}
    made(name, denoisers)


@pytest.mark.photographs
@pytest.mark.denoisers
@pytest.mark.parametrize("name", NAMES)
def test_on_grey_photographs_they_denoise_as_well_as_is_known(name: str, denoisers: Path, photographs: Path) -> None:
    every = load(photographs / "val.zip", bands=1)
    # Every 250th by class and number: 20 classes, one each.
    order = sorted(range(len(every)), key=lambda i: (every.ids[i].split("/")[0], int(every.ids[i].split("_")[-1][:-5])))
    x, denoiser = every.read(order[::250]), made(name, denoisers)
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = [(denoiser(x + s * z, s) - x).square().mean((1, 2, 3)).log10().mean() for s in (0.05, 0.1, 0.2, 0.5)]
    # Numbers are given to 0.05 dB; another draw of the noise changes the mean over 20 images by 0.1 dB or less.
    torch.testing.assert_close(-10 * torch.stack(found), torch.tensor(PUBLISHED[name][4]), rtol=0, atol=0.15)


# What is tapped


def prefix(name: str, state: dict[str, Tensor], y: Tensor, count: int) -> Tensor:
    """The first convolutions, each normalised and rectified, written out from the published numbers alone."""
    h = y
    for n in range(count):
        if "unet" in name:
            key, step = f"conv{n + 1}", {3: {"stride": 2}, 5: {"dilation": 2}, 6: {"dilation": 4}}.get(n + 1, {})
        elif "dncnn" in name:
            key, step = "first_layer" if n == 0 else f"hidden_layer_list.{n - 1}", {}
        else:
            key, step = f"conv_layers.{n}", {}
        kernel = state[f"{key}.weight"]
        reach = step.get("dilation", 1) * (kernel.shape[-1] // 2)
        h = F.conv2d(h, kernel, state.get(f"{key}.bias"), padding=reach, **step)
        if "dncnn" in name and n > 0:
            norm = {k: v for k, v in state.items() if k.startswith(f"bn_layer_list.{n - 1}.")}
            gain, var, mean, bias = (
                norm[f"bn_layer_list.{n - 1}.{k}"].view(1, -1, 1, 1)
                for k in ("weight", "running_var", "running_mean", "bias")
            )
            h = (h - mean) / (var + 1e-5).sqrt() * gain + bias if name in BIASED else h * gain / (var.sqrt() + 1e-5)
        if "celeba" in name and n > 0:
            h = h / state[f"BN_layers.{n - 1}.running_sd"] * state[f"BN_layers.{n - 1}.gammas"]
        if "celeba" not in name or n > 0:
            h = h.clamp(min=0)
    return h


@pytest.mark.parametrize("name", NAMES)
def test_a_tap_reads_the_rectified_activations_of_the_layer_that_it_names(name: str, weights: Path | None) -> None:
    denoiser, y = made(name, weights).double(), noisy().double()
    taps = {"enc1": 2, "enc2": 4, "mid": 6} if "unet" in name else {"layer5": 5, "layer10": 10, "layer15": 15}
    for tap, count in taps.items():
        expected = prefix(name, denoiser.model.state_dict(), y, count)
        found = probekit.tap(denoiser, tap).maps(y, sigma=0.0).values
        assert expected.min() == 0
        torch.testing.assert_close(torch.tensor(found).squeeze(1), expected.float(), rtol=1e-5, atol=1e-6)
    assert denoiser(noisy(15).double(), 0.1).shape == (2, 1, 15, 15)


@pytest.mark.parametrize("name", NAMES)
def test_networks_without_biases_are_homogeneous_of_degree_1_and_others_are_not(
    name: str, weights: Path | None
) -> None:
    denoiser, y = made(name, weights).double(), noisy().double()
    with torch.no_grad():
        for scale in (0.1, 3.0):
            one, other = scale * denoiser(y, 0.1), denoiser(scale * y, 0.1)
            error = float((one - other).norm() / one.norm())
            assert (error > 1e-3) if name in BIASED else (error < 1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if PUBLISHED[name][3]])
def test_a_pixel_depends_on_its_receptive_field_and_on_no_other_pixel(name: str, weights: Path | None) -> None:
    field = PUBLISHED[name][3]
    denoiser = made(name, weights)
    if weights is None:
        # Where every weight is positive no unit is at rest, so that the whole field is seen.
        for parameter in denoiser.model.parameters():
            parameter.data = parameter.data.abs() + 1e-3
    y = noisy(49, 1).requires_grad_()
    denoiser(y, 0.1)[0, 0, 24, 24].backward()
    seen = torch.nonzero(y.grad[0, 0]) - 24  # type: ignore[index]
    assert seen.abs().max() <= field // 2
    assert weights is not None or seen.abs().amax(0).tolist() == [field // 2] * 2
    assert len(seen) > 0.5 * field**2


def test_a_unit_of_the_unets_middle_sees_37_pixels() -> None:
    denoiser = made("bsd-unet-free-100")
    for parameter in denoiser.model.parameters():
        parameter.data = parameter.data.abs() + 1e-3
    y = noisy(64, 1).requires_grad_()
    kept: list[Tensor] = []
    handle = denoiser.model.rectified[5].register_forward_hook(lambda *given: kept.append(given[2]))  # type: ignore[index]
    denoiser(y, 0.1)
    handle.remove()
    kept[0][0, :, 16, 16].sum().backward()
    rows, cols = torch.nonzero(y.grad[0, 0]).T  # type: ignore[index]
    assert rows.unique().tolist() == cols.unique().tolist() == list(range(14, 51))


@pytest.mark.parametrize("name", NAMES)
def test_untrained_they_are_as_large_in_every_layer(name: str) -> None:
    twin = untrained_twin(made(name), seed=1)
    taps = [*twin.model.tap_aliases]  # type: ignore[union-attr, arg-type]
    data = probekit.tap(twin, *taps)(noisy(), sigma=0.1, draws=1)
    sizes = [float(data.phi.values[..., data.tap.values == tap].mean()) for tap in taps]
    assert 0.02 < min(sizes) <= max(sizes) < 5
    assert not math.isclose(sizes[0], sizes[-1])


# The report


@pytest.mark.parametrize(("name", "asked"), [("celeba-rf05", [1, 2, 3, 4, 5, 8]), ("bsd-unet-bias-100", [1, 3, 4])])
def test_the_report_takes_them(name: str, asked: list[int], weights: Path | None, tmp_path: Path) -> None:
    denoiser = made(name, weights)
    block = "mid" if "unet" in name else "layer10"
    rng = torch.Generator().manual_seed(0)
    shade = (torch.arange(120) % 4).view(-1, 1, 1, 1) / 4
    grey = (shade + 0.2 * torch.rand(120, 1, 8, 8, generator=rng)).clamp(0, 1)
    names = [f"class {i % 4}" for i in range(120)]
    first = load(grey[:48], ids=[f"a{i}" for i in range(48)], labels=names[:48])
    train = load(grey[48:], ids=[f"b{i}" for i in range(72)], labels=names[48:])
    judged = report.run(
        first,
        out=tmp_path,
        denoiser=denoiser,
        measured=Measured(sigma=(0.1,), draws=2, block=block),
        compared=Compared(train=train),
        only=asked,
        told=Told(say=lambda _: None, progress=False),
    )
    assert judged.claim.values.tolist() == asked
    assert judged.attrs["denoiser"] == name
    if 8 in asked:
        assert f"less that of untrained 0 {block}" in " ".join(judged.what.values)


# The page of results


def test_the_page_is_made_of_what_is_kept_and_tells_undecided_from_refuted(tmp_path: Path) -> None:
    page = loaded(ROOT / "benchmarks" / "published_page.py")
    of = {
        "one": SimpleNamespace(block="mid", images=5, draws=2),
        "two": SimpleNamespace(block="half", images=6, draws=3),
    }
    (tmp_path / "one" / "noise").mkdir(parents=True)
    (tmp_path / "one" / "quality.json").write_text(json.dumps({"psnr": [30, 25, 22, 19]}))
    bias = np.array([[0.0, 0.1, 0.04, 0.2]])
    ends = {"relative_bias": bias, "relative_bias_low": bias - 0.02, "relative_bias_high": bias + 0.02}
    found, path = pair(Scaled(0), sigma=[0.1, 0.2, 0.5, 1.0])
    room = noise_level.verdict(found.assign({k: (("network", "sigma"), v) for k, v in ends.items()}), path)
    judged = claims.table({}, {}, further={"noise_level": room})
    judged.to_netcdf(tmp_path / "one" / "noise" / "claims.nc", engine="h5netcdf")
    text = page.written(f"before {page.BEGIN} old {page.END} after", tmp_path, of)
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert " old " not in text
    assert "| `one` | `mid` | 30.0 | 25.0 | 22.0 | 19.0 | 5, 2 |" in text
    assert "| 11. A blind denoiser knows σ | partly, 2 of 5, 2 against | not measured |" in text
    numbers = next(line for line in text.splitlines() if line.startswith("| relative bias of σ̂ on held-out images"))
    assert "0.1: **0 [-0.02, 0.02]**; 0.2: ~~0.1 [0.08, 0.12]~~; 0.5: 0.04 [0.02, 0.06]; 1: ~~0.2" in numbers
    assert page.written(text, tmp_path, of) == text


def test_the_page_of_results_keeps_its_marks() -> None:
    page = loaded(ROOT / "benchmarks" / "published_page.py")
    text = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    assert "](figures/" not in text


# Every analysis


def explored(at: SimpleNamespace) -> xr.Dataset:
    """φ of an explorer, all of whose arrays can be made."""
    how = {"taps": [at.block], "sigma": [0.1], "draws": 2, "detailed": 1, "progress": False}
    found = explore.explore(at.denoiser, at.images, **how)
    for name in found.contents.makers:
        assert found.contents.array(name).size, name
    return next(iter(found.networks.values())).data


ROOMS: dict[str, Callable[[SimpleNamespace], xr.Dataset]] = {
    "explore": explored,
    "sparsity": lambda at: sparsity.analyse(at.data),
    "selectivity": lambda at: selectivity.analyse(at.data, resamples=100),
    "subspaces": lambda at: subspaces.analyse(at.data, resamples=100, max_subspaces=2),
    "semantics": lambda at: semantics.analyse(at.data, resamples=100),
    "clusters": lambda at: clusters.analyse(at.data, n_clusters=4),
    "probe": lambda at: probe.analyse(at.train, at.data, resamples=100),
    "attribution": lambda at: attribution.effects(
        at.denoiser, at.tap, at.images, groups={"two": [0, 1], "one": [2]}, sigma=0.1
    ),
    "concepts": lambda at: concepts.analyse(
        at.images, at.data, denoiser=at.denoiser, channels=[0, 1], together=1, **FEW, **QUICK
    ),
    "sampling": lambda at: sampling.reconstruct(
        at.denoiser, at.tap, at.images.subset([0]), n_samples=2, sigmas=[1, 0.1], progress=False
    ),
    "densities": lambda at: densities.analyse(
        variants.laws(at.images, denoiser=at.denoiser, block=at.block, n_images=24, n_samples=4, **QUICK), resamples=100
    ),
    "descriptors": lambda at: descriptors.analyse(at.images),
    "generalisation": lambda at: generalisation.analyse(
        at.denoiser, at.train_images, at.images, n_samples=2, share=0.1
    ),
    "variants": lambda at: variants.table(
        at.images, denoiser=at.denoiser, block=at.block, n_images=2, n_samples=2, **QUICK
    ),
    "controls": lambda at: controls.table(
        at.images,
        train=at.train_images,
        denoiser=at.denoiser,
        block=at.block,
        sigma=0.1,
        draws=2,
        untrained=1,
        settings=controls.Settings(resamples=100),
        progress=False,
    ),
    "textures": lambda at: textures.analyse({"φ": by(at.data, label=[str(i // 4) for i in NUMBERS])}, resamples=100),
    "cues": lambda at: cues.analyse(
        {"φ": at.data},
        exemplars=cues.named(
            at.data, shape=[f"s{i % 10}" for i in NUMBERS], texture=[f"t{(i + i // 10 * 3) % 10}" for i in NUMBERS]
        ),
        resamples=100,
    ),
    "factors": lambda at: factors.analyse(by(at.data, shade=[1.0 + i % 4 for i in NUMBERS]), factor="shade"),
    "noise_level": lambda at: noise_level.analyse({"it": at.denoiser}, at.images, sigma=[0.1], resamples=100),
}
NUMBERS = range(48)
# Of runs that this package made.
OF_RUNS = {"training"}
# What others have found, judged.
OF_FINDINGS = {"claims"}
QUICK: dict[str, Any] = {"sigmas": [1, 0.1], "draws": 2, "progress": False}
FEW: dict[str, Any] = {"n_images": 2, "n_samples": 2, "permutations": 100, "resamples": 100}


def by(data: xr.Dataset, **said: Any) -> xr.Dataset:
    """The data with something said of each image."""
    return data.assign_coords({name: ("image", values) for name, values in said.items()})


@pytest.fixture(scope="module")
def at() -> Callable[[str], SimpleNamespace]:
    """A published network of random weights, grey images of four classes, and φ of them."""

    @cache
    def of(name: str) -> SimpleNamespace:
        denoiser, block = made(name), "mid" if "unet" in name else "layer10"
        # What it takes away from images is little, or samples of random weights would grow beyond all numbers.
        last = [m for m in denoiser.model.modules() if isinstance(m, nn.Conv2d)][-1]
        last.weight.data *= 0.01
        rng = torch.Generator().manual_seed(0)
        shade = (torch.arange(120) % 4).view(-1, 1, 1, 1) / 4
        grey = (shade + 0.2 * torch.rand(120, 1, 8, 8, generator=rng)).clamp(0, 1)
        names = [f"class {i % 4}" for i in range(120)]
        sets = [load(grey[part], ids=[f"{part.start}{i}" for i in range(part.stop - part.start)], labels=names[part])
                for part in (slice(0, 48), slice(48, 120))]  # fmt: skip
        tap = probekit.tap(denoiser, block)
        data, train = (tap(one, sigma=0.1, draws=3) for one in sets)
        return SimpleNamespace(
            denoiser=denoiser, block=block, tap=tap, images=sets[0], train_images=sets[1], data=data, train=train
        )

    return of


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("name", ["bsd-unet-free-100", "celeba-rf05"])
def test_every_analysis_takes_them(name: str, room: str, at: Callable[[str], SimpleNamespace]) -> None:
    found = ROOMS[room](at(name))
    assert found.sizes
    assert len(found.data_vars) > 0


def test_no_analysis_is_forgotten() -> None:
    assert {*ROOMS, *OF_RUNS, *OF_FINDINGS, "report"} == {
        one.parent.name for one in (ROOT / "analyses").glob("*/__init__.py")
    } - {"ground"}
