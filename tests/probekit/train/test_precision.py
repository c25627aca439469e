"""The precision of training: the fastest whose gradient is float32's, found without a trace, and kept."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError, ModelError
from probekit.models import zoo
from probekit.models.card import model_card
from probekit.models.unet import UNet
from probekit.train import Recipe, progress_of
from probekit.train.checkpoint import read, write
from probekit.train.precision import Timed, trial
from probekit.train.run import Run
from tests.probekit.train.test_train_scale import launch
from tests.probekit.train.tiny import CPU, TINY, checkpoint, log_of, network, noise_free, quietly, same, toys

LONG = Recipe(steps=200, batch_size=32, lr=1e-2, ema=0.5)


def halved() -> bool:
    """Whether this is a forward pass in bfloat16."""
    return torch.is_autocast_enabled("cpu")


class Odd(UNet):
    """Draws random numbers, has statistics of the batch, and does something else in one precision than in the other."""

    def __init__(self, odd: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__(**TINY, bias=False, skips=0.5)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.odd, self.passed = odd, []

    def forward(self, y: Tensor) -> Tensor:
        self.passed.append((len(y), halved()))
        # Another tensor, not the same one changed.
        self.seen = self.seen + torch.rand(())
        return self.odd(self, super().forward(y))


def busy() -> None:
    """Work that takes many times as long as a step of a tiny network."""
    a = torch.ones(512, 512)
    for _ in range(40):
        a = a @ a / 512


def slow_in_float32(_: nn.Module, estimate: Tensor) -> Tensor:
    if not halved():
        busy()
    return estimate


def slow_in_half(_: nn.Module, estimate: Tensor) -> Tensor:
    if halved():
        busy()
    return estimate


def wrong_in_half(_: nn.Module, estimate: Tensor) -> Tensor:
    if not halved():
        busy()
    return -estimate if halved() else estimate


def failing_in_half(_: nn.Module, estimate: Tensor) -> Tensor:
    if halved():
        raise RuntimeError("\"made\" not implemented for 'BFloat16'")
    return estimate


def too_large_in_float32(_: nn.Module, estimate: Tensor) -> Tensor:
    if not halved() and len(estimate) > 8:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return estimate


def odd(kind: Callable[[nn.Module, Tensor], Tensor]) -> Odd:
    torch.manual_seed(0)
    return Odd(kind)


# What is chosen


@pytest.mark.parametrize(
    ("kind", "chosen", "reason"),
    [
        (slow_in_float32, "bfloat16", None),
        (slow_in_half, "float32", "times as slow on a few images"),
        (wrong_in_half, "float32", r"cosine with float32's is -?0\.\d+, the loss is off by"),
        (failing_in_half, "float32", "it fails: \"made\" not implemented for 'BFloat16'"),
        (too_large_in_float32, "bfloat16", None),
    ],
)
def test_the_fastest_precision_is_chosen_that_works_and_agrees(
    tmp_path: Path, kind: Any, chosen: str, reason: str | None
) -> None:
    quietly(odd(kind), LONG, out=tmp_path, until=1)
    made = progress_of(tmp_path)
    assert made["precision"] == log_of(tmp_path)[0]["precision"] == chosen
    found = made["trial"]["bfloat16"]
    if reason is None:
        assert found["gain"] is None if kind is too_large_in_float32 else found["gain"] > 1.05
        # Of a new network, as bfloat16 rounds.
        assert 0.99 <= found["cosine"] < 1
        assert 0 < found["loss error"] <= 0.02
    else:
        assert re.search(reason, found["not taken"])


def test_what_is_slow_on_a_few_images_is_never_given_a_batch() -> None:
    model = odd(slow_in_half)
    quietly(model, LONG, until=3)
    assert (LONG.batch_size, True) not in model.passed
    assert [n for n, half in model.passed if half] == [2, 2]


def test_a_short_run_is_in_float32_without_a_trial(tmp_path: Path) -> None:
    model = odd(slow_in_float32)
    quietly(model, Recipe(steps=99, batch_size=32), out=tmp_path, until=2)
    assert model.passed == [(32, False)] * 2
    assert (progress_of(tmp_path)["precision"], progress_of(tmp_path)["trial"]) == ("float32", None)


def steps_of(seconds: dict[str, list[float]], gradients: dict[str, list[Tensor]], losses: dict[str, float]) -> Any:
    """Steps that take these times one after the other, the last one ever after."""

    def step(name: str) -> Timed:
        times = seconds[name]
        return Timed(times.pop(0) if len(times) > 1 else times[0], losses[name], gradients[name])

    return step


def tried(
    *, own: list[float], few: float = 1.0, turn: float = 0.0, stretch: float = 1.0, loss: float = 1.0
) -> tuple[str, Any]:
    """The outcome of a trial of steps in which float32 takes a second, and the other has its gradient turned."""
    # In two tensors, of which each alone may be turned by more.
    gradients = {
        "float32": [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])],
        "bfloat16": [
            stretch * torch.tensor([3 * np.cos(turn), 5 * np.sin(turn)]),
            stretch * torch.tensor([[4 * np.cos(turn)]]),
        ],
    }
    losses = {"float32": 1.0, "bfloat16": loss}
    small = steps_of({"float32": [9.0, 1.0], "bfloat16": [99.0, few]}, gradients, losses)
    return trial(small, steps_of({"float32": [99.0, 1.0], "bfloat16": own}, gradients, losses), ["bfloat16"])


def test_times_are_medians_after_a_first_step_that_does_not_count() -> None:
    chosen, found = tried(own=[99, 0.5, 99, 0.5])
    assert chosen == "bfloat16"
    assert found["bfloat16"]["gain"] == 2
    assert tried(own=[0.1, 2, 0.1, 2])[0] == "float32"


@pytest.mark.parametrize(("own", "chosen"), [(1 / 1.04, "float32"), (1 / 1.06, "bfloat16"), (1.5, "float32")])
def test_a_gain_within_the_clocks_error_leaves_float32(own: float, chosen: str) -> None:
    assert tried(own=[own])[0] == chosen


@pytest.mark.parametrize(("few", "chosen"), [(1.9, "bfloat16"), (2.1, "float32")])
def test_a_candidate_may_be_somewhat_slower_on_a_few_images(few: float, chosen: str) -> None:
    assert tried(own=[0.5], few=few)[0] == chosen


@pytest.mark.parametrize(
    ("difference", "chosen"),
    [
        # A cosine of 0.99 is an angle of 0.1415.
        ({"turn": 0.14}, "bfloat16"),
        ({"turn": 0.143}, "float32"),
        ({"turn": float("nan")}, "float32"),
        # Adam does not feel a gradient's length.
        ({"stretch": 3.0}, "bfloat16"),
        ({"stretch": -1.0}, "float32"),
        ({"stretch": 0.0}, "float32"),
        ({"loss": 1.019}, "bfloat16"),
        ({"loss": 0.979}, "float32"),
        ({"loss": float("inf")}, "float32"),
    ],
)
def test_the_whole_gradient_and_the_loss_must_agree_with_those_of_float32(difference: Any, chosen: str) -> None:
    assert tried(own=[0.5], **difference)[0] == chosen


# Without a trace


def others() -> tuple[Any, Any]:
    """The state of the global generators that are not torch's."""
    numpy: Any = np.random.get_state()  # noqa: NPY002
    return numpy[1].tolist(), random.getstate()


@pytest.mark.parametrize(("kind", "chosen"), [(slow_in_half, "float32"), (slow_in_float32, "bfloat16")])
def test_a_run_in_the_precision_that_a_trial_chose_is_bit_for_bit_one_that_named_it(
    tmp_path: Path, kind: Any, chosen: str
) -> None:
    states = {}
    for name in ("auto", chosen):
        quietly(odd(kind), LONG, out=tmp_path / name, until=3, precision=name)
        states[name] = torch.get_rng_state()
    assert progress_of(tmp_path / "auto")["precision"] == chosen
    assert same(checkpoint(tmp_path / "auto"), checkpoint(tmp_path / chosen))
    # The network draws its skips from the global generator.
    assert torch.equal(states["auto"], states[chosen])


@pytest.mark.parametrize("kind", [slow_in_half, slow_in_float32, wrong_in_half, failing_in_half])
def test_a_trial_leaves_weights_buffers_gradients_and_random_streams_as_they_were(kind: Any) -> None:
    model = odd(kind)
    run = Run(Denoiser(model), LONG, CPU, precision="auto")
    for parameter in run.parameters[1:]:
        parameter.grad = torch.full_like(parameter, 0.25)
    gradients = [p.grad for p in run.parameters]
    seen = model.seen
    tensors = {k: v.clone() for k, v in [*model.named_parameters(), *model.named_buffers()]}
    streams = torch.get_rng_state(), *others()
    run.settle(noise_free(rows=8, cols=8))
    assert len(model.passed) > 3
    assert same({k: v.detach() for k, v in [*model.named_parameters(), *model.named_buffers()]}, tensors)
    assert model.seen is seen
    assert all(now.grad is before for now, before in zip(run.parameters, gradients, strict=True))
    assert all(bool((g == 0.25).all()) for g in gradients if g is not None)
    assert not run.optimiser.state
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert others() == streams[1:]
    assert run.step == 0


def test_every_step_of_a_trial_draws_the_same_random_numbers() -> None:
    drawn: list[float] = []

    def drawing(_: nn.Module, estimate: Tensor) -> Tensor:
        drawn.append(float(torch.rand(())) + random.random() + float(np.random.rand()))  # noqa: NPY002
        return estimate

    Run(Denoiser(odd(drawing)), LONG, CPU, precision="auto").settle(noise_free(rows=8, cols=8))
    assert len(drawn) > 3
    # Skips are drawn for each image of a batch before: few images and whole batches differ.
    assert len(set(drawn)) == 2


# Torch's compiler sets off warnings of torch's own.
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_run_after_a_trial_is_bit_for_bit_one_without(tmp_path: Path) -> None:
    def trained(name: str) -> str:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1))
        torch.compiler.reset()
        quietly(model, LONG, out=tmp_path / name, until=2, precision=name, compile=True)
        return progress_of(tmp_path / name)["precision"]

    chosen = trained("auto")
    assert trained(chosen) == chosen
    assert same(checkpoint(tmp_path / "auto"), checkpoint(tmp_path / chosen))


SHARED = """
import sys
from pathlib import Path
import torch
from probekit.train import launched
from tests.probekit.train.test_precision import LONG, odd, slow_in_float32, slow_in_half
from tests.probekit.train.tiny import quietly

torch.set_num_threads(1)
out = Path(sys.argv[1])
with launched() as rank:
    # Each process alone would come to another precision: the first one's counts.
    for name in ("auto", "bfloat16"):
        quietly(odd(slow_in_half if rank else slow_in_float32), LONG, out=out / name, until=3, precision=name)
"""


def test_several_processes_take_the_precision_of_the_first_one(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text(SHARED)
    launch(tmp_path / "shared.py", tmp_path)
    assert progress_of(tmp_path / "auto")["precision"] == "bfloat16"
    assert same(checkpoint(tmp_path / "auto"), checkpoint(tmp_path / "bfloat16"))


# Kept


def without_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("there was a trial")

    monkeypatch.setattr("probekit.train.run.trial", refused)


def test_a_run_goes_on_in_the_precision_that_its_trial_found_without_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quietly(odd(slow_in_float32), LONG, out=tmp_path, until=1)
    first = progress_of(tmp_path)
    without_trial(monkeypatch)
    quietly(odd(slow_in_float32), LONG, out=tmp_path, until=3)
    second = progress_of(tmp_path)
    assert (second["step"], second["precision"]) == (3, "bfloat16")
    assert second["trial"] == first["trial"]
    assert [line["precision"] for line in log_of(tmp_path)] == ["bfloat16"] * 2
    with pytest.raises(InputError, match=r"another run \(precision: bfloat16 there, float32 now\)"):
        quietly(odd(slow_in_float32), LONG, out=tmp_path, until=4, precision="float32")


def rewritten(folder: Path, precision: str) -> None:
    """The checkpoint of a folder as one that names another precision."""
    plan, tensors = read(folder / "checkpoint.safetensors")
    del plan["trial"]
    write(folder / "checkpoint.safetensors", tensors, plan | {"precision": precision})


@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_a_checkpoint_written_earlier_that_says_bf16_goes_on_in_bfloat16(tmp_path: Path, asked: str) -> None:
    quietly(network(), LONG, out=tmp_path / "whole", until=4, precision="bfloat16")
    quietly(network(), LONG, out=tmp_path / "parts", until=2, precision="bfloat16")
    rewritten(tmp_path / "parts", "bf16")
    assert progress_of(tmp_path / "parts")["precision"] == "bfloat16"
    with pytest.raises(InputError, match=r"\(precision: bfloat16 there, float32 now\)"):
        quietly(network(), LONG, out=tmp_path / "parts", until=4, precision="float32")
    quietly(network(), LONG, out=tmp_path / "parts", until=4, precision=asked)
    assert same(checkpoint(tmp_path / "parts"), checkpoint(tmp_path / "whole"))


def test_a_run_in_tf32_goes_on_without_a_gpu_and_stays_one(tmp_path: Path) -> None:
    quietly(network(), LONG, out=tmp_path, until=1, precision="float32")
    rewritten(tmp_path, "tf32")
    quietly(network(), LONG, out=tmp_path, until=2)
    assert progress_of(tmp_path)["precision"] == "tf32"
    rewritten(tmp_path, "float8")
    with pytest.raises(ModelError, match="of a run in 'float8'; this version knows float32, tf32, bfloat16: upgrade"):
        quietly(network(), LONG, out=tmp_path, until=3)


def test_cards_written_earlier_are_shown_with_todays_word(tmp_path: Path) -> None:
    assert zoo.describe("texture48")["card"]["precision"] == "bfloat16"
    path = zoo.save(network(), tmp_path / "a.safetensors", card={"precision": "bf16", "recipe": {"steps": 3}})
    assert zoo.describe(path)["card"] == {"precision": "bfloat16", "recipe": {"steps": 3}}


def test_the_card_says_what_the_trial_found() -> None:
    found = {"bfloat16": {"cosine": 0.999, "loss error": 0.001, "gain": 1.5}}
    progress = {"recipe": {"batch_size": 2}, "step": 1, "seconds": 2, "precision": "bfloat16", "trial": found}
    images = toys()
    options: dict[str, Any] = {"trained_on": images, "fitted_on": images, "held_out": images, "compare": {}}
    described = {"start": ("new", 0), "device": "CPU"}
    denoiser = Denoiser(network()).eval()
    card = model_card(denoiser, progress=progress, **options, **described)
    assert (card["precision"], card["trial of precision"]) == ("bfloat16", found)
    assert "trial of precision" not in model_card(denoiser, progress=progress | {"trial": None}, **options, **described)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_on_a_gpu_products_are_of_tf32_in_that_precision_alone_and_flags_are_put_back(precision: str) -> None:
    flags: list[tuple[Any, Any]] = []

    def looking(_: nn.Module, estimate: Tensor) -> Tensor:
        flags.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        return estimate

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    quietly(odd(looking), LONG, until=1, precision=precision, device="cuda")
    assert flags == [(precision == "tf32",) * 2]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
