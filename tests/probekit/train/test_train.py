"""Training follows its recipe, says where it stands, and goes on from where it was stopped as if it had not been."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from probekit.denoising.denoiser import Denoiser
from probekit.errors import CapacityError, InputError, ModelError
from probekit.evaluation.psnr import CARD_SIGMA
from probekit.images import load
from probekit.train import Recipe, progress_of
from probekit.train.checkpoint import read as read_checkpoint
from probekit.train.checkpoint import write as write_checkpoint
from probekit.train.data import held
from tests.probekit.train.tiny import (
    CPU,
    SHORT,
    Recording,
    checkpoint,
    differing,
    log_of,
    network,
    noise_free,
    quietly,
    run_of,
    same,
    toys,
)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_papers_loss_is_the_mean_squared_error(dtype: torch.dtype) -> None:
    run = run_of(Recording(), Recipe(steps=3, batch_size=5, flip=False))
    data = noise_free()
    for _ in range(3):
        clean = data[run.order(len(data))].float() / 255
        loss = run.advance(data if dtype == torch.uint8 else data.float() / 255)
        expected = ((run.model.estimate - clean) ** 2).mean()
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_squared_error_of_each_image_is_weighted_by_its_own_sigma(power: float) -> None:
    run = run_of(Recording(), Recipe(steps=1, batch_size=6, flip=False, weight_power=power))
    data = noise_free()
    clean = data[run.order(len(data))].float() / 255
    loss = run.advance(data)
    errors = ((run.model.estimate - clean) ** 2).mean((1, 2, 3))
    expected = sum(float(e) / (float(s) + 0.01) ** power for e, s in zip(errors, run.model.sigma, strict=True)) / 6
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_noise_is_white_and_gaussian_and_sigma_uniform_up_to_its_maximum() -> None:
    n, maximum = 4000, 3.0
    run = run_of(Recording(), Recipe(steps=1, batch_size=n, flip=False, sigma_max=maximum))
    data = noise_free()
    clean = data[run.order(len(data))].float() / 255
    run.advance(data)
    sigma = run.model.sigma.double()
    z = ((run.model.y - clean) / run.model.sigma.view(-1, 1, 1, 1)).double()
    assert float(sigma.min()) > 0
    assert float(sigma.max()) <= maximum
    # Kolmogorov–Smirnov: the distribution function of n uniforms is off by 1.95/√n with probability 0.001.
    steps = torch.arange(1, n + 1, dtype=torch.float64) / n
    assert float((sigma.sort().values / maximum - steps).abs().max()) < 1.95 / n**0.5 + 1 / n
    # Five standard errors of mean, variance and fourth moment, and of correlations with σ and between neighbours.
    m = z.numel()
    assert abs(float(z.mean())) < 5 / m**0.5
    assert abs(float((z**2).mean()) - 1) < 5 * (2 / m) ** 0.5
    assert abs(float((z**4).mean()) - 3) < 5 * (96 / m) ** 0.5
    assert abs(float((z[..., 1:] * z[..., :-1]).mean())) < 5 / (m * 5 / 6) ** 0.5
    assert abs(float((z[1:] * z[:-1]).mean())) < 5 / m**0.5


def test_about_half_of_the_images_are_mirrored_left_to_right_and_none_otherwise() -> None:
    n = 600
    run = run_of(Recording(), Recipe(steps=1, batch_size=n, sigma_max=1e-6))
    data = noise_free()
    clean = data[run.order(len(data))].float() / 255
    run.advance(data)
    # Noise of σ ≤ 1e-6 stays below 1e-5; two different pixels differ by 1/255 at least.
    straight, mirrored = (
        ((run.model.y - x).abs().flatten(1).max(dim=1).values < 1e-4) for x in (clean, clean.flip(-1))
    )
    assert bool((straight ^ mirrored).all())
    # Five standard deviations of a fair coin thrown n times.
    assert abs(int(mirrored.sum()) - n / 2) < 2.5 * n**0.5


def test_every_step_has_noise_of_its_own() -> None:
    run = run_of(Recording(), Recipe(steps=2, batch_size=7, flip=False))
    data = torch.zeros(7, 3, 4, 6, dtype=torch.uint8)
    drawn = []
    for _ in range(2):
        run.advance(data)
        drawn.append((run.model.sigma, run.model.y))
    assert not bool((drawn[0][0] == drawn[1][0]).any())
    assert not bool((drawn[0][1] == drawn[1][1]).any())


@given(count=st.integers(1, 20), batch_size=st.integers(1, 25), seed=st.integers(0, 50))
def test_each_epoch_visits_every_image_once(count: int, batch_size: int, seed: int) -> None:
    run = run_of(Recording(), Recipe(steps=1000, batch_size=batch_size, seed=seed))
    epochs = 3
    visited = []
    for step in range(math.ceil(epochs * count / batch_size)):
        run.step = step
        order = run.order(count)
        assert len(order) == batch_size
        visited += order.tolist()
    for epoch in range(epochs):
        assert sorted(visited[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(count=st.integers(1, 20), batch_size=st.integers(1, 25), step=st.integers(0, 100))
def test_the_order_at_a_step_does_not_depend_on_the_steps_before(count: int, batch_size: int, step: int) -> None:
    gone, fresh = (run_of(Recording(), Recipe(steps=1000, batch_size=batch_size)) for _ in range(2))
    for gone.step in range(step + 1):
        order = gone.order(count)
    fresh.step = step
    assert torch.equal(order, fresh.order(count))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    # Two of 50! orders agree by chance with probability below 10^-64.
    orders = []
    for seed in (0, 1):
        run = run_of(Recording(), Recipe(steps=10, batch_size=50, seed=seed))
        for run.step in range(2):
            orders.append(tuple(run.order(50).tolist()))
    assert len(set(orders)) == 4


@given(
    levels=st.sampled_from([(0, 255), (-255, 255), (0, 256), (-1, 1)]).flatmap(
        lambda ends: hnp.arrays(np.int64, (3, 1, 2, 2), elements=st.integers(*ends))
    ),
    scale=st.sampled_from([255.0, 254.0]),
    offset=st.sampled_from([0.0, 1e-3]),
)
def test_training_images_are_held_without_loss(levels: np.ndarray, scale: float, offset: float) -> None:
    source = (levels / scale + offset).astype(np.float32)
    data = held(load(source), CPU)
    values = data.float() / 255 if data.dtype == torch.uint8 else data
    np.testing.assert_allclose(values.numpy(), source, rtol=1e-6, atol=1e-6)


def test_eight_bit_images_are_held_as_eight_bits_and_a_single_other_one_makes_all_floats() -> None:
    array = np.random.default_rng(0).integers(0, 256, (1030, 1, 2, 2), dtype=np.uint8)
    data = held(load(array), CPU)
    assert data.dtype == torch.uint8
    np.testing.assert_array_equal(data.numpy(), array)
    mixed = array.astype(np.float32) / 255
    mixed[-1, 0, 0, 0] = 0.5  # lies between two levels
    data = held(load(mixed), CPU)
    assert data.dtype == torch.float32
    np.testing.assert_allclose(data.numpy(), mixed, rtol=1e-6)


# The schedule and the average


@given(steps=st.integers(1, 3000), warmup=st.floats(0, 0.99), lr=st.floats(1e-6, 1))
def test_the_learning_rate_rises_linearly_to_its_peak_and_falls_to_zero(steps: int, warmup: float, lr: float) -> None:
    recipe = Recipe(steps=steps, warmup=warmup, lr=lr)
    rates = [recipe.lr_at(step) for step in range(steps + 1)]
    rise = max(1, round(warmup * steps))
    assert rates[0] == pytest.approx(lr / rise)
    assert rates[rise - 1] == max(rates) == pytest.approx(lr)
    assert all(r > 0 for r in rates[:steps])
    np.testing.assert_allclose(rates[:rise], lr * np.arange(1, rise + 1) / rise, rtol=1e-12)
    assert all(a >= b for a, b in zip(rates[rise:-1], rates[rise + 1 :], strict=True))
    if rise < steps:
        assert rates[steps] == pytest.approx(0, abs=1e-15)
        assert recipe.lr_at((steps + rise) // 2) == pytest.approx(lr / 2, abs=lr * 2 / (steps - rise))


def test_the_optimiser_steps_by_the_rate_of_the_schedule() -> None:
    recipe = Recipe(steps=100, warmup=0.05, batch_size=6, lr=0.5, flip=False)
    run = run_of(Recording(), recipe)
    before = run.model.gain.item()
    run.advance(noise_free())
    # Adam's first step is lr · g/(|g| + 1e-8): the rate itself, up to ε over a gradient of order 0.1.
    assert abs(run.model.gain.item() - before) == pytest.approx(recipe.lr_at(0), rel=1e-5)
    assert recipe.lr_at(0) == pytest.approx(0.1)


def test_moves_of_the_optimiser_are_those_of_adam_as_it_is_written() -> None:
    run = run_of(network(), Recipe(steps=100, lr=1e-3), None)
    start, rng = [p.detach().double() for p in run.parameters], torch.Generator().manual_seed(0)
    first, second = ([torch.zeros_like(p) for p in start] for _ in range(2))
    expected = [p.clone() for p in start]
    for step in range(1, 6):
        for k, parameter in enumerate(run.parameters):
            gradient = torch.randn(parameter.shape, generator=rng)
            parameter.grad = gradient.contiguous(memory_format=torch.channels_last) if gradient.ndim == 4 else gradient
            first[k] = 0.9 * first[k] + 0.1 * gradient.double()
            second[k] = 0.99 * second[k] + 0.01 * gradient.double() ** 2
            size = (second[k] / (1 - 0.99**step)) ** 0.5 + 1e-8
            expected[k] -= 1e-3 * first[k] / (1 - 0.9**step) / size
        run.optimiser.step()
    for parameter, before, after in zip(run.parameters, start, expected, strict=True):
        # Five moves of at most some 1e-3, each of about ten roundings of 2⁻²⁴, and one of the weight, which is below 4.
        torch.testing.assert_close(parameter.detach().double(), after, rtol=0, atol=5 * (4 + 10e-3) * 2**-24)
        assert float((after - before).abs().max()) > 1e-3


def test_the_average_of_weights_that_never_change_is_those_weights() -> None:
    class Still(nn.Module):
        """Its weights have zero gradients."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([0.1, -1e-3, 7.7]))

        def forward(self, y: Tensor) -> Tensor:
            return y + 0 * self.weight.sum()

    run = run_of(Still(), Recipe(steps=20, batch_size=3, ema=0.3), None)
    for _ in range(20):
        run.advance(noise_free())
    assert torch.equal(run.average["weight"], torch.tensor([0.1, -1e-3, 7.7]))


def test_an_average_over_all_steps_is_the_mean_of_the_weights_after_each() -> None:
    run = run_of(Recording(), Recipe(steps=12, batch_size=6, lr=0.1, ema=1.0))
    gains = []
    for _ in range(12):
        run.advance(noise_free())
        gains.append(float(run.model.gain.detach()))
    # Twelve moves of the average in float32, each rounded to 2⁻²⁴ of numbers below 1.
    assert float(run.average["gain"]) == pytest.approx(np.mean(gains), abs=12 * 2**-24)
    assert float(np.ptp(gains)) > 0.1


def test_the_average_reaches_back_over_the_given_fraction_of_the_steps_made() -> None:
    recipe = Recipe(ema=0.1)
    assert [recipe.ema_weight(step) for step in (0, 9, 19, 999)] == pytest.approx([1, 1, 0.5, 0.01])


def test_no_average_returns_the_last_weights(tmp_path: Path) -> None:
    trained = quietly(network(), Recipe(steps=6, batch_size=5, lr=1e-2, ema=0), out=tmp_path)
    kept = load_file(tmp_path / "checkpoint.safetensors")
    last = {k[6:]: v for k, v in kept.items() if k.startswith("model.")}
    assert same(dict(trained.model.state_dict()), last)


def test_the_averaged_weights_are_returned_and_differ_from_the_last_ones(tmp_path: Path) -> None:
    trained = quietly(network(), out=tmp_path)
    kept = load_file(tmp_path / "checkpoint.safetensors")
    for prefix, equal in (("average.", True), ("model.", False)):
        part = {k.removeprefix(prefix): v for k, v in kept.items() if k.startswith(prefix)}
        assert same(dict(trained.model.state_dict()), part) is equal


# The recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, r"steps=0 \(expected a positive int\)"),
        ({"steps": 1.5}, r"steps=1.5 \(expected a positive int\)"),
        ({"batch_size": 0}, r"batch_size=0 \(expected a positive int\)"),
        ({"batch_size": 2.5}, r"batch_size=2.5 \(expected a positive int\)"),
        ({"lr": 0}, r"lr=0 \(expected a positive number\)"),
        ({"lr": -1e-3}, r"lr=-0.001 \(expected a positive number\)"),
        ({"lr": math.nan}, r"lr=nan \(expected a positive number\)"),
        ({"lr": math.inf}, r"lr=inf \(expected a positive number\)"),
        ({"warmup": 1}, r"warmup=1 \(expected a fraction in \[0, 1\)\)"),
        ({"warmup": -0.1}, r"warmup=-0.1 \(expected a fraction"),
        ({"sigma_max": 0}, r"sigma_max=0 \(expected a positive number\)"),
        ({"sigma_max": math.inf}, r"sigma_max=inf \(expected a positive number\)"),
        ({"weight_power": math.nan}, r"weight_power=nan \(expected a finite number\)"),
        ({"ema": 1.1}, r"ema=1.1 \(expected a fraction in \[0, 1\]\)"),
        ({"steps": "many"}, r"steps='many' \(expected a positive int\)"),
        ({"steps": -1, "ema": -1}, r"cannot be followed: steps=-1 \(.*\); ema=-1 \(expected a fraction in \[0, 1\]\)"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**options)


# A whole run


def test_the_loss_falls_below_that_of_returning_the_noisy_image(tmp_path: Path) -> None:
    recipe = Recipe(steps=150, batch_size=16, lr=1e-2)
    quietly(network(), recipe, out=tmp_path, evaluations=10)
    losses = [line["loss"] for line in log_of(tmp_path)]
    # Returning y costs E σ² = 1/3; averaging an image of one colour, which convolutions can learn, costs far less.
    assert losses[-1] < min(1 / 3, losses[0]) / 2


def test_training_is_in_place_and_ends_in_evaluation_mode() -> None:
    model = network()
    denoiser = Denoiser(model)
    assert quietly(denoiser) is denoiser
    assert denoiser.model is model
    assert not any(m.training for m in denoiser.modules())
    assert not torch.equal(model.middle[0].weight, network().middle[0].weight)


def test_the_same_recipe_gives_the_same_weights_whatever_the_global_generator() -> None:
    states = []
    for seed in (1, 2):
        model = network()
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        states.append({k: v.clone() for k, v in quietly(model).model.state_dict().items()})
        assert torch.equal(torch.get_rng_state(), before)
    assert same(*states)
    other = quietly(network(), Recipe(steps=8, batch_size=5, lr=1e-2, ema=0.5, seed=1)).model.state_dict()
    assert not same(dict(other), states[0])


@pytest.mark.parametrize("options", [{}, {"bias": False}], ids=["layer", "batch"])
def test_looking_at_held_out_images_does_not_change_the_training(tmp_path: Path, options: dict) -> None:
    alone = quietly(network(**options)).model.state_dict()
    watched = quietly(network(**options), out=tmp_path, held_out=toys(3, seed=9), evaluations=8).model.state_dict()
    assert same(dict(alone), dict(watched))


def test_the_log_holds_a_json_object_a_line_with_psnr_where_held_out_images_are_given(tmp_path: Path) -> None:
    recipe = Recipe(steps=8, batch_size=5)
    quietly(network(), recipe, out=tmp_path / "with", held_out=toys(3, seed=9), evaluations=4)
    lines = log_of(tmp_path / "with")
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    for line in lines:
        assert set(line) == {"step", "images", "seconds", "loss", "lr", "precision", "psnr"}
        assert line["images"] == 5 * line["step"]
        assert line["lr"] == recipe.lr_at(line["step"] - 1)
        assert list(line["psnr"]) == [f"{s:g}" for s in CARD_SIGMA]
        assert all(math.isfinite(v) for v in (*line["psnr"].values(), line["loss"], line["seconds"]))
    quietly(network(), recipe, out=tmp_path / "without", evaluations=1)
    (line,) = log_of(tmp_path / "without")
    assert set(line) == {"step", "images", "seconds", "loss", "lr", "precision"}


def test_the_log_has_the_mean_loss_of_the_steps_since_the_line_before(tmp_path: Path) -> None:
    for name, evaluations in (("fine", 8), ("coarse", 2)):
        quietly(network(), out=tmp_path / name, evaluations=evaluations)
    fine = [line["loss"] for line in log_of(tmp_path / "fine")]
    coarse = [line["loss"] for line in log_of(tmp_path / "coarse")]
    assert coarse == pytest.approx([np.mean(fine[:4]), np.mean(fine[4:])], rel=1e-6)


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quietly(network())
    assert not list(tmp_path.iterdir())


def test_a_network_told_sigma_is_trained_with_it() -> None:
    recording = Recording()
    trained = quietly(Denoiser(recording, sigma_to="sigma"))
    assert trained.sigma_to == "sigma"
    assert recording.sigma.shape == (5,)


def test_a_loss_that_is_no_number_is_a_model_error() -> None:
    with pytest.raises(ModelError, match=r"the loss is (nan|inf) after \d+ steps: .* lower lr \(now 1e\+25\)"):
        quietly(network(), Recipe(steps=30, batch_size=5, lr=1e25))


def flushing() -> bool:
    """Whether the processor takes denormals for zero."""
    return bool(torch.tensor([1e-42]) * 1 == 0)


@contextmanager
def denormals(flushed: bool) -> Iterator[None]:
    torch.set_flush_denormal(flushed)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class Looking(Recording):
    """Remembers whether denormals were flushed while it ran; fails on request."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.fails = fails

    def forward(self, y: Tensor, sigma: Tensor) -> Tensor:
        self.flushed = flushing()
        if self.fails:
            raise KeyboardInterrupt
        return super().forward(y, sigma)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_denormals_are_flushed_while_training_and_treated_as_before_afterwards(before: bool, fails: bool) -> None:
    model = Looking(fails)
    with denormals(before):
        if fails:
            with pytest.raises(KeyboardInterrupt):
                quietly(Denoiser(model, sigma_to="sigma"))
        else:
            quietly(Denoiser(model, sigma_to="sigma"))
        assert model.flushed
        assert flushing() is before


# Stopping and going on


@pytest.mark.parametrize("stops", [[1], [5], [2, 3, 6]], ids=str)
@pytest.mark.parametrize("options", [{}, {"bias": False}], ids=["layer", "batch"])
def test_a_run_stopped_and_resumed_ends_bit_for_bit_like_one_that_was_not(
    tmp_path: Path, stops: list[int], options: dict
) -> None:
    whole = quietly(network(**options), out=tmp_path / "whole")
    for k, stop in enumerate(stops):
        quietly(network(seed=k, **options), out=tmp_path / "parts", until=stop)
        assert progress_of(tmp_path / "parts")["step"] == stop
    resumed = quietly(network(seed=99, **options), out=tmp_path / "parts")
    assert same(checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "parts"))
    assert same(dict(whole.model.state_dict()), dict(resumed.model.state_dict()))


TRAINING = """
import sys, time
import torch
from tiny import SHORT, network, toys
from probekit.train import train
from probekit.train.run import Run

advance = Run.advance

def slowly(run, data):
    time.sleep(0.1)
    return advance(run, data)

Run.advance = slowly
torch.set_num_threads(1)
train(network(), toys(), recipe=SHORT, out=sys.argv[1], device="cpu", progress=False, checkpoint_minutes=0)
"""


WRITING = """
import sys
from itertools import count
from pathlib import Path
import torch
from probekit.train import checkpoint
for step in count():
    tensors = {"a": torch.full((9,), step), "b": torch.ones(step % 7)}
    checkpoint.write(Path(sys.argv[1]), tensors, {"recipe": {}, "step": step})
"""


def test_a_checkpoint_is_whole_while_the_next_one_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, {"a": torch.full((9,), -1), "b": torch.ones(0)}, {"recipe": {}, "step": -1})
    child = subprocess.Popen([sys.executable, "-c", WRITING, path])
    steps = set()
    try:
        # Read as one file opened twice, one of some sixty was of two checkpoints: (59/60)^600 < 10⁻⁴.
        while len(steps) < 600 and child.poll() is None:
            plan, tensors = read_checkpoint(path)
            assert (tensors["a"] == plan["step"]).all()
            assert len(tensors["b"]) == max(plan["step"], 0) % 7
            steps.add(plan["step"])
    finally:
        child.kill()
        child.wait(timeout=30)
    assert len(steps) == 600


def test_a_run_that_was_killed_and_resumed_ends_bit_for_bit_like_one_that_was_not(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", TRAINING, killed], cwd=Path(__file__).parent)
    try:
        # A checkpoint is whole at any moment, so it can be read while the child writes the next one.
        while child.poll() is None and not (
            (killed / "checkpoint.safetensors").exists() and progress_of(killed)["step"] > 1
        ):
            time.sleep(0.01)
    finally:
        child.kill()
        ended = child.wait(timeout=30)
    assert ended == -signal.SIGKILL
    assert 2 <= progress_of(killed)["step"] < SHORT.steps
    resumed = quietly(network(seed=1), out=killed)
    whole = quietly(network(), out=tmp_path / "whole")
    assert differing(checkpoint(tmp_path / "whole"), checkpoint(killed)) == {}
    assert differing(dict(whole.model.state_dict()), dict(resumed.model.state_dict())) == {}


@pytest.mark.parametrize("left", [b'{"step": 3, "ima', b"\x00\x00\n", b"\xff\n", b"[1]\n"])
def test_a_line_of_the_log_that_a_kill_left_unfinished_is_written_again(tmp_path: Path, left: bytes) -> None:
    quietly(network(), out=tmp_path / "whole")
    quietly(network(), out=tmp_path / "parts", until=2)
    with (tmp_path / "parts/log.jsonl").open("ab") as log:
        log.write(left)
    quietly(network(1), out=tmp_path / "parts")
    whole, parts = ([{**x, "seconds": 0} for x in log_of(tmp_path / p)] for p in ("whole", "parts"))
    assert whole == parts


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model = network()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for out in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(CapacityError, match=r"cannot write into .*: give a folder that can be made"):
            quietly(model, out=out)
    assert same(before, dict(model.state_dict()))


def test_a_checkpoint_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").symlink_to("/proc/nothing/checkpoint.safetensors")
    with pytest.raises(CapacityError, match="cannot write into"):
        quietly(network(), out=tmp_path)


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    first = quietly(network(), out=tmp_path)
    files = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    again = quietly(network(seed=1), out=tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == files
    assert same(dict(first.model.state_dict()), dict(again.model.state_dict()))


def test_a_checkpoint_is_written_at_the_end_however_seldom_they_are_due(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, checkpoint_minutes=1e9)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.safetensors", "log.jsonl"]
    assert progress_of(tmp_path)["step"] == SHORT.steps


def test_progress_says_how_far_a_run_has_come_and_by_which_recipe(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=3)
    progress = progress_of(tmp_path)
    assert progress["step"] == 3
    assert progress["seconds"] > 0
    assert Recipe(**progress["recipe"]) == SHORT


def test_stopping_beyond_the_recipe_stops_at_its_end(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=1000)
    assert progress_of(tmp_path)["step"] == SHORT.steps


def test_a_folder_without_a_checkpoint_has_no_progress(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no checkpoint\.safetensors: train into it first"):
        progress_of(tmp_path)


def test_another_recipe_is_refused_with_the_differing_fields_named(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=2)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    other = Recipe(steps=9, batch_size=5, lr=1e-3, ema=0.5)
    message = (
        r"belongs to another run \(steps: 8 there, 9 now; lr: 0\.01 there, 0\.001 now\): "
        "give another folder, or remove it"
    )
    with pytest.raises(InputError, match=message):
        quietly(network(), other, out=tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "other", [{"channels": (4, 9)}, {"middle_convs": 2}, {"bias": False}, {"norm": "instance"}], ids=str
)
def test_the_checkpoint_of_another_network_is_refused(tmp_path: Path, other: dict) -> None:
    quietly(network(), out=tmp_path, until=2)
    with pytest.raises(InputError, match=r"belongs to another run \(.*network.*\): give another folder, or remove it"):
        quietly(network(**other), out=tmp_path)


def test_a_network_whose_config_is_no_json_can_be_trained_and_resumed(tmp_path: Path) -> None:
    class Configured(nn.Conv2d):
        """Many networks carry an object of settings of their own."""

        config = SimpleNamespace(width=3)

    recipe = Recipe(steps=4, batch_size=5)
    for until in (2, 4):
        quietly(Configured(3, 3, 3, padding=1), recipe, out=tmp_path, until=until)
    assert progress_of(tmp_path)["step"] == 4


def test_a_refused_checkpoint_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=2)
    model = network(seed=5)
    with pytest.raises(InputError, match="another run"):
        quietly(model, Recipe(steps=9), out=tmp_path)
    assert same(dict(model.state_dict()), dict(network(seed=5).state_dict()))


@pytest.mark.parametrize(
    "settings", [{"predicts": "residual"}, {"scaling": "vp"}, {"data_range": (-1, 1)}, {"scaling": lambda u, s: u / s}]
)
def test_only_networks_that_return_the_clean_image_of_the_noisy_one_as_it_is_are_trained(settings: dict) -> None:
    with pytest.raises(InputError, match=r"what is trained here predicts the clean image from the noisy one as it is"):
        quietly(Denoiser(network(), **settings))
    quietly(Denoiser(network(), data_range=None))


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, -1])
def test_a_truncated_checkpoint_is_a_model_error(tmp_path: Path, kept: float) -> None:
    quietly(network(), out=tmp_path, until=2)
    path = tmp_path / "checkpoint.safetensors"
    raw = path.read_bytes()
    path.write_bytes(raw[: int(kept * len(raw)) if isinstance(kept, float) else kept])
    for use in (lambda: quietly(network(), out=tmp_path), lambda: progress_of(tmp_path)):
        with pytest.raises(ModelError, match=r"checkpoint\.safetensors cannot be read \(.*\): remove it to start anew"):
            use()


@pytest.mark.parametrize("metadata", [None, {"other": "x"}, {"plan": "{"}], ids=str)
def test_a_file_that_is_no_checkpoint_is_a_model_error(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "checkpoint.safetensors", metadata=metadata)
    with pytest.raises(ModelError, match=r"checkpoint\.safetensors cannot be read \(.*\): remove it to start anew"):
        quietly(network(), out=tmp_path)


def test_a_run_does_not_go_on_with_other_images_under_the_same_ids_or_with_another_pass(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=2)
    changed = toys().read(range(12)).numpy()
    changed[3, 0, 1, 1] += 0.25
    with pytest.raises(InputError, match=r"another run \(training images' content: "):
        quietly(network(), out=tmp_path, images=load(changed))
    eight_bit = np.full((12, 3, 8, 8), 7, np.uint8)
    with pytest.raises(InputError, match=r"another run \(training images' content: "):
        quietly(network(), out=tmp_path, images=load(eight_bit))
    other = network()
    other.register_forward_hook(lambda _, __, clean: clean * 0.9)
    with pytest.raises(InputError, match=r"another run \(modules model: "):
        quietly(other, out=tmp_path)


def test_a_bit_that_flipped_in_a_checkpoint_is_seen(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=2)
    path, rng = tmp_path / "checkpoint.safetensors", np.random.default_rng(0)
    whole = path.read_bytes()
    for place in [*rng.integers(8, len(whole), size=30), len(whole) - 1]:
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(ModelError, match="remove it to start anew"):
            progress_of(tmp_path)
    path.write_bytes(whole)
    assert progress_of(tmp_path)["step"] == 2
