"""Benchmarks of training and of GPUs count what they say they count, and say so where they cannot run."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from probekit.evaluation.psnr import psnr_curve
from probekit.images import load
from probekit.models import zoo

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    """Import a benchmark by name, as if it had been started with these arguments."""

    def imported(name: str, *arguments: object) -> ModuleType:
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return importlib.import_module(name)

    before = torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32
    yield imported
    torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32 = before
    for name in ("training", "gpu", "rates", "by_hand", "bm3d_psnr"):
        sys.modules.pop(name, None)


def convolutions(channels: list[int], size: int) -> int:
    """Multiplications and additions of the paper's UNet, convolution by convolution."""
    sides = [size // 2**k for k in range(len(channels))]
    total = 0
    for k, (side, width) in enumerate(zip(sides[:-1], channels, strict=False)):
        before = 3 if k == 0 else channels[k - 1]
        # Two convolutions down; up, 5 + k, of which the first takes twice the width and the finest last makes 3 bands.
        total += 2 * 9 * side**2 * (before * width + width**2)
        total += 2 * 9 * side**2 * (2 * width**2 + (3 + k) * width**2 + width * (3 if k == 0 else width))
        # Each pixel of the transposed convolution comes from one coarse pixel.
        total += 2 * side**2 * channels[k + 1] * width
    deep = channels[-1]
    return total + 2 * 9 * sides[-1] ** 2 * (channels[-2] * deep + 2 * deep**2)


@pytest.mark.parametrize(("channels", "size"), [([4, 8], 16), ([64, 128, 256, 512], 64)])
def test_operations_are_those_of_the_convolutions_and_about_three_times_as_many_with_the_backward_pass(
    benchmark, channels: list[int], size: int
) -> None:
    forward, both = benchmark("training").flops_per_image(channels, size)
    assert forward == convolutions(channels, size)
    # Gradients of inputs and of weights cost a forward pass each, but for the image, whose gradient nobody needs.
    assert both == 3 * forward - 2 * 9 * size**2 * 3 * channels[0]


def test_the_papers_network_takes_25_gflop_an_image() -> None:
    assert 24.5e9 < 3 * convolutions([64, 128, 256, 512], 64) < 25.5e9


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_rates_of_training_agree_with_one_another(
    benchmark, capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    options = "--channels 4,8 --size 16 --batch-size 4 --images 8 --rounds 3 --steps 1 --side 64 --device cpu --peak 2"
    module = benchmark("training", *options.split(), "--precision", precision)
    module.main()
    said = capsys.readouterr().out
    images, tera = (float(v) for v in re.search(r"training: (\d+) images/s, (\S+) TFLOP/s", said).groups())
    each = 3 * convolutions([4, 8], 16) - 2 * 9 * 256 * 3 * 4
    # Three digits of TFLOP/s and whole images are printed.
    assert tera * 1e12 == pytest.approx(images * each, rel=0.005 + 1 / images)
    peak = float(re.search(r"peak: 2 TFLOP/s, (\d+) images/s", said).group(1))
    assert peak == pytest.approx(2e12 / each, rel=1e-3, abs=0.5)
    assert precision in said


def test_rates_in_each_precision_and_their_ratio_are_rows(benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--ratio --channels 4,8 --size 16 --batch-size 4 --rounds 1 --device cpu"
    module = benchmark("training", *options.split())
    single, half, ratio = module.ratio([4, 8], 16, 4, torch.device("cpu"), compile=False, rounds=2)
    assert (single[0], half[0], ratio[0]) == ("training float32", "training bfloat16", "bfloat16 over float32")
    assert (single[2], half[2], ratio[2]) == ("images/s", "images/s", "ratio")
    assert ratio[1] == pytest.approx(half[1] / single[1])
    module.main()
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in said] == [single[0], half[0], ratio[0]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_benchmark_says_so_in_a_line(benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark("gpu").main() == 1
    assert capsys.readouterr().err == "no CUDA device: there is nothing to measure here\n"


def test_the_gpu_benchmark_measures_every_way(benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--device cpu --channels 4,8 --size 16 --images 16 --batch 8 --rounds 1"
    assert benchmark("gpu", *options.split()).main() == 0
    said = capsys.readouterr().out
    assert said.count("images/s") == 4
    # Both sides are the CPU here, so that nothing differs.
    assert "relative difference of φ 0.0e+00" in said


def test_without_bm3d_its_benchmark_says_what_to_install(
    benchmark, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bm3d", "bm3d_triton"):
        monkeypatch.setitem(sys.modules, name, None)
    assert benchmark("bm3d_psnr", "--held-out", "nowhere").main() == 1
    assert "pip install bm3d (for non-commercial use only)" in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for k in range(3):
        Image.fromarray(np.full((16, 16, 3), 60 * k, np.uint8)).save(tmp_path / f"pictures/{k}.png")
    return tmp_path / "pictures"


def test_a_card_without_a_table_is_refused_before_anything_is_filtered(
    benchmark, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    # Filters nothing: the implementation must not be called.
    monkeypatch.setitem(sys.modules, "bm3d", SimpleNamespace())
    card = Path(zoo.__file__).parent / "weights/photo32.json"
    empty = pictures.parent / "empty.json"
    empty.write_text(json.dumps(json.loads(card.read_text(encoding="utf-8")) | {"card": {}}), encoding="utf-8")
    for given, message in ((empty, "has no table of PSNR"), (pictures.parent / "none.json", "does not exist")):
        arguments = ("--held-out", pictures, "--size", 16, "--images", 3, "--card", given)
        assert benchmark("bm3d_psnr", *arguments).main() == 1
        assert message in capsys.readouterr().err


def test_the_row_of_another_implementation_goes_into_the_card(
    benchmark, monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    # An implementation that returns grey, whose error each image's own grey gives.
    monkeypatch.setitem(sys.modules, "bm3d", SimpleNamespace(bm3d_rgb=lambda pixels, _: 0 * pixels + 0.5))
    card = pictures.parent / "photo32.json"
    for file in (card, card.with_suffix(".safetensors")):
        file.write_bytes((Path(zoo.__file__).parent / "weights" / file.name).read_bytes())
    arguments = ("--held-out", pictures, "--size", 16, "--images", 3, "--card", card)
    assert benchmark("bm3d_psnr", *arguments).main() == 0
    squares = [(60 * k / 255 - 0.5) ** 2 for k in range(3)]
    expected = round(float(np.mean(-10 * np.log10(squares))), 2)
    table = json.loads(card.read_text(encoding="utf-8"))["card"]["psnr"]
    assert table["bm3d"] == [expected] * 7
    own = psnr_curve(zoo.load("photo32"), load(pictures, size=16), sigma=table["sigma"]).mean("image")
    np.testing.assert_allclose(table["beside_bm3d"], own, atol=0.01)
    files = {path.name for path in pictures.parent.iterdir() if path.is_file()}
    assert files == {"photo32.json", "photo32.safetensors"}
