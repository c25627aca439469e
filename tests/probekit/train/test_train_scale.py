"""What training at the paper's scale needs: half precision, crops, little memory, parts, several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from probekit.denoising.denoiser import Denoiser
from probekit.errors import CapacityError, InputError
from probekit.images import ImageSet, load
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.train import Recipe, progress_of, train
from probekit.train.checkpoint import differences
from probekit.train.checkpoint import read as read_checkpoint
from probekit.train.checkpoint import write as write_checkpoint
from probekit.train.data import views
from probekit.train.processes import Processes, launched
from probekit.train.run import Run

CPU = torch.device("cpu")
# Where programs of their own find the package and the tests.
HERE = os.pathsep.join(map(str, (Path(__file__).parents[3], Path(__file__).parent)))
SHORT = Recipe(steps=6, batch_size=6, lr=1e-2, ema=0.5)


def network(seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet((4, 8), encoder_convs=(2,), middle_convs=1, decoder_convs=(2,))


def toys(n: int = 15, side: int = 8) -> ImageSet:
    rng = np.random.default_rng(0)
    return load(rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8))


def quietly(model: nn.Module, recipe: Recipe = SHORT, **options: Any) -> Denoiser:
    options = {"images": toys(), "device": "cpu"} | options
    return train(model, options.pop("images"), recipe=recipe, progress=False, **options)


def kept(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "checkpoint.safetensors")


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# Precision


class Watching(UNet):
    """Remembers the type of number that its middle block works in."""

    def __init__(self) -> None:
        super().__init__((4, 8), encoder_convs=(2,), middle_convs=1, decoder_convs=(2,))
        self.middle[0].register_forward_hook(lambda _m, _i, output: setattr(self, "worked_in", output.dtype))


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_the_forward_pass_has_the_precision_asked_for_and_all_that_is_kept_is_float32(
    tmp_path: Path, precision: Any, dtype: torch.dtype
) -> None:
    model = Watching()
    trained = quietly(model, out=tmp_path, precision=precision)
    assert model.worked_in == dtype
    assert {v.dtype for v in kept(tmp_path).values()} == {torch.float32}
    assert {v.dtype for v in trained.model.state_dict().values()} == {torch.float32}
    assert progress_of(tmp_path)["precision"] == precision


def test_half_precision_makes_the_gradient_of_full_precision_up_to_its_rounding(tmp_path: Path) -> None:
    gradients = []
    for precision in ("float32", "bfloat16"):
        quietly(network(), out=tmp_path / precision, precision=precision, until=1)
        # After one step Adam's first moment is the gradient times 1 − β₁.
        moments = {k: v for k, v in kept(tmp_path / precision).items() if k.endswith(".exp_avg")}
        gradients.append(torch.cat([v.flatten() for v in moments.values()]))
    error = float((gradients[1] - gradients[0]).norm() / gradients[0].norm())
    # bfloat16 rounds by at most 2⁻⁸. A value passes through some 20 roundings, forward and backward, in the five
    # convolutions, their normalisations and ReLUs; were all of the same sign they would come to 20 · 2⁻⁸ = 8 %.
    assert 1e-6 < error < 20 * 2**-8


def test_a_run_goes_on_in_the_precision_it_was_begun_in_and_another_is_refused(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path / "whole", precision="bfloat16")
    quietly(network(), out=tmp_path / "parts", precision="bfloat16", until=2)
    with pytest.raises(InputError, match=r"another run \(precision: bfloat16 there, float32 now\)"):
        quietly(network(), out=tmp_path / "parts", precision="float32")
    quietly(network(), out=tmp_path / "parts")
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


# Crops and flips on the device


@given(
    rows=st.integers(3, 9), cols=st.integers(3, 9), side=st.integers(1, 3), n=st.integers(1, 6), seed=st.integers(0, 99)
)
def test_a_crop_is_the_square_at_its_corner_mirrored_or_not(rows: int, cols: int, side: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = torch.from_numpy(rng.integers(0, 256, (4, 3, rows, cols), dtype=np.uint8))
    positions = torch.from_numpy(rng.integers(0, 4, n))
    corners = torch.from_numpy(np.stack([rng.integers(0, rows - side + 1, n), rng.integers(0, cols - side + 1, n)], 1))
    mirrored = torch.from_numpy(rng.random(n) < 0.5)
    found = views(data, positions, mirrored=mirrored, corners=corners, side=side)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for image, position, (top, left), flip in zip(found, positions, corners, mirrored, strict=True):
        square = data[position, :, top : top + side, left : left + side] / 255
        assert torch.equal(image, square.flip(-1) if flip else square)


@given(rows=st.integers(1, 9), cols=st.integers(1, 9), n=st.integers(1, 6), seed=st.integers(0, 99))
def test_whole_images_are_crops_of_their_own_size(rows: int, cols: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    side = min(rows, cols)
    data = torch.from_numpy(rng.integers(0, 256, (4, 2, side, side), dtype=np.uint8))
    positions, mirrored = torch.from_numpy(rng.integers(0, 4, n)), torch.from_numpy(rng.random(n) < 0.5)
    corners = torch.zeros((n, 2), dtype=torch.int64)
    whole = views(data, positions, mirrored=mirrored)
    assert torch.equal(whole, views(data, positions, mirrored=mirrored, corners=corners, side=side))


def test_corners_are_uniform_over_all_places_within_the_image() -> None:
    n, side = 6000, 4
    run = Run(Denoiser(network()), Recipe(steps=2, batch_size=n, crop=side), CPU)
    corners = run.corners(torch.empty(1, 3, 6, 7))
    places = (corners[:, 0] * 4 + corners[:, 1]).bincount(minlength=12)
    # 3 × 4 places. Pearson's statistic has 11 degrees of freedom: above 31.3 with probability 0.001.
    assert len(places) == 12
    assert float(((places - n / 12) ** 2 / (n / 12)).sum()) < 31.3
    run.step = 1
    assert not torch.equal(corners, run.corners(torch.empty(1, 3, 6, 7)))


def test_training_on_crops_resumes_bit_for_bit(tmp_path: Path) -> None:
    recipe = Recipe(steps=6, batch_size=6, lr=1e-2, crop=8)
    large = toys(side=12)
    quietly(network(), recipe, images=large, out=tmp_path / "whole")
    quietly(network(), recipe, images=large, out=tmp_path / "parts", until=2)
    quietly(network(1), recipe, images=large, out=tmp_path / "parts")
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


def test_a_crop_beyond_the_images_is_refused() -> None:
    with pytest.raises(InputError, match=r"crop=9: images of 8×8 hold no such square; give at most 8"):
        quietly(network(), Recipe(steps=1, batch_size=2, crop=9))
    with pytest.raises(InputError, match=r"crop=0 \(expected a positive int, or None\)"):
        Recipe(crop=0)


# Memory

HOLDING = """
from pathlib import Path
import torch
from probekit.images import ImageSet
from probekit.train import data as reading

def peak():
    # Of this program alone: the figure of getrusage begins with the parent's.
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return 1024 * int(line.split()[1])

torch.set_num_threads(1)
# A few at a time, so that what a chunk takes in floats is little beside the bytes of all.
reading.CHUNK = 32
n, shape = 12288, (3, 64, 64)
# Made when asked for, as images of zips are: the source itself takes no memory.
images = ImageSet("made", tuple(map(str, range(n))), None, shape, lambda chosen: torch.zeros(len(chosen), *shape))
reading.held(images.subset(range(32)), torch.device("cpu"))
before = peak()
data = reading.held(images, torch.device("cpu"))
print(data.numel() * data.element_size(), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read peak memory from")
def test_holding_images_takes_hardly_more_than_their_bytes() -> None:
    result = subprocess.run([sys.executable, "-c", HOLDING], capture_output=True, text=True, check=True)
    size, grown = map(int, result.stdout.split())
    # A chunk in floats, its levels and their differences are four times 1.6 MB, 4 % of the bytes; an allocator that
    # does not use them again in time keeps a few such. A second copy of the bytes would make it 2, floats 5.
    assert size == 12288 * 3 * 64 * 64
    assert 0.5 * size < grown < 1.25 * size


# Parts


def test_a_run_stopped_by_the_clock_goes_on_to_the_same_end(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path / "whole")
    made = []
    while not made or made[-1] < SHORT.steps:
        # No time at all: each call makes one step, keeps it, and stops.
        quietly(network(len(made)), out=tmp_path / "parts", minutes=0)
        made.append(progress_of(tmp_path / "parts")["step"])
    assert made == list(range(1, SHORT.steps + 1))
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


def test_with_time_enough_the_clock_stops_nothing(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, minutes=60)
    assert progress_of(tmp_path)["step"] == SHORT.steps


@pytest.mark.parametrize("minutes", [-1, float("nan")])
def test_a_time_that_is_none_is_refused(minutes: float) -> None:
    with pytest.raises(InputError, match="give a time of at least 0"):
        quietly(network(), minutes=minutes)


def test_a_checkpoint_that_names_no_crop_or_precision_is_one_without_crops_in_any_precision(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path / "whole")
    quietly(network(), out=tmp_path / "parts", until=2)
    path = tmp_path / "parts/checkpoint.safetensors"
    plan, tensors = read_checkpoint(path)
    del plan["precision"], plan["recipe"]["crop"]
    write_checkpoint(path, tensors, plan)
    with pytest.raises(InputError, match=r"another run \(crop: None there, 8 now\)"):
        quietly(network(), Recipe(steps=6, batch_size=6, lr=1e-2, ema=0.5, crop=8), out=tmp_path / "parts")
    quietly(network(), out=tmp_path / "parts")
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "parts"))
    assert differences(plan, SHORT, precision="bfloat16") == []


# Torch's compiler sets off warnings of torch's own.
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_run_stopped_and_resumed_ends_bit_for_bit_like_one_that_was_not(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path / "whole", compile=True)
    quietly(network(), out=tmp_path / "parts", compile=True, until=2)
    quietly(network(1), out=tmp_path / "parts", compile=True)
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


def test_restored_averages_and_moments_lie_in_memory_as_the_weights_do(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=2)
    plan = read_checkpoint(tmp_path / "checkpoint.safetensors")[0]
    run = Run(Denoiser(network(1)), SHORT, CPU, images=plan["images"], content=plan["content"])
    run.restore(tmp_path / "checkpoint.safetensors")
    weights = dict(run.model.named_parameters())
    assert any(not w.is_contiguous() for w in weights.values())
    for name, weight in weights.items():
        assert run.average[name].stride() == weight.stride()
        state = run.optimiser.state[weight]
        assert {state["exp_avg"].stride(), state["exp_avg_sq"].stride()} == {weight.stride()}
        assert state["step"].shape == ()


# What the machine lacks


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "device='gpu': give cpu, cuda"), ("meta", "run on cpu or cuda"), ("cuda:99", "this torch .* sees . GPUs")],
)
def test_a_device_that_is_not_there_is_refused(device: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        quietly(network(), device=device)


class Greedy(nn.Conv2d):
    """Runs out of memory, as a GPU does."""

    def forward(self, _: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation.")


def test_a_batch_beyond_the_memory_of_a_gpu_is_a_clear_error() -> None:
    with pytest.raises(CapacityError, match=r"^batch_size=6 does not fit .* 2.00 GiB.\): give a smaller one"):
        quietly(Greedy(3, 3, 1))


def test_a_compiler_that_does_not_work_is_a_clear_error(tmp_path: Path) -> None:
    text = """
from test_train_scale import network, quietly
from probekit.errors import CapacityError
try:
    quietly(network(), compile=True)
except CapacityError as error:
    print(error)
"""
    environment = {"CC": "false", "CXX": "false", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment, "PYTHONPATH": HERE},
    )
    assert result.stdout.startswith("torch.compile does not work here (")
    assert result.stdout.endswith("train without compile, or install a C++ compiler\n")


def test_other_failures_of_a_network_are_its_own() -> None:
    class Failing(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            raise RuntimeError(f"of its own, at {len(input)} images")

    with pytest.raises(RuntimeError, match="of its own"):
        quietly(Failing(3, 3, 1))


def test_images_of_other_bands_than_the_network_takes_are_to_blame() -> None:
    with pytest.raises(InputError, match="takes images of 1 channels and was given 3"):
        quietly(nn.Conv2d(1, 3, 1))


# Several processes


def test_processes_that_nobody_started_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"WORLD_SIZE=2, but .*: start them with torchrun, or unset"), launched():
        pass


SHARED = """
import sys
from pathlib import Path
import torch
from test_train_scale import SHORT, network, quietly
from probekit.errors import InputError
from probekit.train import Recipe, launched

torch.set_num_threads(1)
out = Path(sys.argv[1])
with launched() as rank:
    # Each process begins with weights of its own: the first one's count.
    quietly(network(rank), out=out / "first", until=1)
    trained = quietly(network(rank), out=out / "whole", evaluations=3)
    torch.save(dict(trained.model.state_dict()), out / f"rank{rank}.pt")
    quietly(network(rank), out=out / "parts", until=2)
    for _ in range(4):
        quietly(network(rank + 7), out=out / "parts", minutes=0)
    try:
        quietly(network(rank), Recipe(steps=1, batch_size=5))
    except InputError as error:
        (out / f"refusal{rank}").write_text(str(error))
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs made by two processes that torchrun started."""
    out = tmp_path_factory.mktemp("shared")
    (out / "shared.py").write_text(SHARED)
    launch(out / "shared.py", out)
    return out


def launch(*command: Any) -> str:
    """What two processes print that torchrun starts on the CPU."""
    result = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": HERE},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def apart(a: dict[str, Tensor], b: dict[str, Tensor], kind: str) -> float:
    """Relative distance of all tensors of a kind."""
    assert a.keys() == b.keys()
    names = [k for k in a if k.startswith(kind) or k.endswith(kind)]
    both = [torch.cat([x[k].flatten() for k in names]).double() for x in (a, b)]
    return float((both[0] - both[1]).norm() / both[0].norm())


def test_two_processes_make_the_gradient_that_one_makes_of_the_whole_batch(shared: Path, tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=1)
    # After one step Adam's first moment is the gradient times 1 − β₁. Sums of some 10³ terms in another order differ
    # by about √10³ · 2⁻²⁴ = 2e-6 of the terms; a share left out, counted twice or given other noise differs by order 1.
    assert apart(kept(tmp_path), kept(shared / "first"), ".exp_avg") < 1e-4


def test_two_processes_end_with_the_weights_that_one_ends_with(shared: Path, tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, evaluations=3)
    one, two = kept(tmp_path), kept(shared / "whole")
    start = {f"model.{k}": v for k, v in network().state_dict().items()}
    moved = apart({k: v for k, v in one.items() if k in start}, start, "model.")
    for kind in ("model.", "average."):
        assert apart(one, two, kind) < 1e-3 * moved
    logs = [(folder / "log.jsonl").read_text().splitlines() for folder in (tmp_path, shared / "whole")]
    alone, together = ([json.loads(line) for line in log] for log in logs)
    # One process writes, or lines would be there twice.
    assert [line["step"] for line in together] == [2, 4, 6]
    np.testing.assert_allclose([x["loss"] for x in together], [x["loss"] for x in alone], rtol=1e-4)


def test_all_processes_end_with_the_same_weights(shared: Path) -> None:
    a, b = (torch.load(shared / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert same(a, b)


def test_several_processes_stopped_and_resumed_end_bit_for_bit_like_those_that_were_not(shared: Path) -> None:
    assert progress_of(shared / "parts")["step"] == SHORT.steps
    assert same(kept(shared / "whole"), kept(shared / "parts"))


def test_a_run_of_several_processes_is_finished_by_one(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "checkpoint.safetensors").write_bytes((shared / "first/checkpoint.safetensors").read_bytes())
    quietly(network(3), out=folder)
    assert apart(kept(folder), kept(shared / "whole"), "model.") < 1e-3


def test_a_batch_that_cannot_be_shared_evenly_is_refused_by_all(shared: Path) -> None:
    said = {(shared / f"refusal{rank}").read_text() for rank in (0, 1)}
    assert said == {"batch_size=5 cannot be shared evenly by 2 processes: give a multiple of 2, e.g. 4"}


def test_the_command_line_trains_in_several_processes_and_writes_once(tmp_path: Path) -> None:
    arguments = "shapes:12 --held-out shapes:3:1 --size 16 --channels 4,8 --steps 3 --batch-size 4 --device cpu --quiet"
    out = launch("-m", "probekit", "train", *arguments.split(), "--out", tmp_path, "--name", "tiny")
    assert out.count("PSNR in dB") == out.count("wrote ") == 1
    card = zoo.describe(tmp_path / "tiny.safetensors")["card"]
    assert card["device"] == "2 × CPU, 1 threads"
    assert (card["steps"], card["images seen"]) == (3, 12)


@given(count=st.integers(1, 8), each=st.integers(1, 9))
def test_the_shares_of_a_batch_are_all_of_it_in_order(count: int, each: int) -> None:
    places = []
    for rank in range(count):
        processes = Processes()
        processes.count, processes.rank = count, rank
        places += list(range(count * each))[processes.share(count * each)]
    assert places == list(range(count * each))


# On a GPU


@pytest.mark.gpu
def test_on_a_gpu_a_deterministic_run_resumes_bit_for_bit_and_goes_on_on_a_cpu(tmp_path: Path) -> None:
    options: dict[str, Any] = {"device": "cuda", "deterministic": True, "precision": "bfloat16"}
    quietly(network(), out=tmp_path / "whole", **options)
    quietly(network(), out=tmp_path / "parts", until=2, **options)
    assert progress_of(tmp_path / "parts")["precision"] == "bfloat16"
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/checkpoint.safetensors").write_bytes((tmp_path / "parts/checkpoint.safetensors").read_bytes())
    quietly(network(1), out=tmp_path / "parts", **options)
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "parts"))
    quietly(network(1), out=tmp_path / "moved", device="cpu")
    assert progress_of(tmp_path / "moved") | {"seconds": 0} == progress_of(tmp_path / "whole") | {"seconds": 0}


@pytest.mark.gpu
@pytest.mark.parametrize("compile", [False, True])
def test_on_a_gpu_the_loss_falls(tmp_path: Path, compile: bool) -> None:
    quietly(network(), Recipe(steps=100, batch_size=8, lr=1e-2), out=tmp_path, device="cuda", compile=compile)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2
