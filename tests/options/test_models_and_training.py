"""Bad options of everything public in models, evaluation and train: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError, ProbeError
from probekit.evaluation.psnr import card_table, psnr_curve
from probekit.evaluation.references import GaussianBlur, PatchWiener
from probekit.images import ImageSet, load
from probekit.models import zoo
from probekit.models.card import comparable
from probekit.models.dncnn import DnCNN
from probekit.models.unet import SigmaUNet, UNet
from probekit.models.widening import widened
from probekit.train import Recipe, progress_of, train
from probekit.train.command import weights_path
from probekit.train.processes import usable
from probekit.train.start import Start


def images() -> ImageSet:
    return load(np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32))


def small() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(UNet((4, 8)))


def brief(**options: Any) -> Any:
    return train(small(), images(), **{"recipe": Recipe(steps=1, batch_size=2), "progress": False, **options})


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: UNet(()), "at least two positive numbers"),
    (lambda: UNet((4.5, 8)), "channels=4.5"),  # pyright: ignore[reportArgumentType]
    (lambda: UNet("48"), "channels="),  # pyright: ignore[reportArgumentType]
    (lambda: UNet((4, 8), image_channels=0), "positive image_channels"),
    (lambda: UNet((4, 8), encoder_convs=(1, 1)), "does not fit"),
    (lambda: UNet((4, 8), decoder_convs=(1,)), "at least two"),
    (lambda: UNet((4, 8), middle_convs=0), "at least one"),
    (lambda: UNet((4, 8), norm="group"), "norm='group'"),  # pyright: ignore[reportArgumentType]
    (lambda: SigmaUNet((4, 8))(torch.zeros(1, 3, 8, 8)), "told the noise level"),
    (lambda: DnCNN(1, 4), "depth of at least 2"),
    (lambda: DnCNN(3, 0), "positive numbers of channels"),
    (lambda: widened(small(), (4, 12)), "multiple of its own"),
    (lambda: widened(small(), (4,)), "multiple of its own"),
    (lambda: widened(small(), 3), "channels="),  # pyright: ignore[reportArgumentType]
    (lambda: zoo.load("nobody"), "no bundled denoiser 'nobody'"),
    (lambda: zoo.load("missing.safetensors"), "does not exist"),
    (lambda: zoo.describe("nobody"), "no bundled denoiser"),
    (lambda: zoo.amend("missing.safetensors", lambda card: card), "does not exist"),
    (lambda: zoo.save(small(), "weights.pt"), "must end in .safetensors"),
    (lambda: zoo.save(nn.Conv2d(3, 3, 1), "a.safetensors"), "is not one of the package's networks"),
    (lambda: zoo.save(small(), "a.safetensors", max_bytes=10), "give a larger max_bytes"),
    (lambda: zoo.save(small(), "a.safetensors", card={"x": object()}), "cannot be written as JSON"),
    (lambda: zoo.untrained(Denoiser(nn.Conv2d(3, 3, 1))), "make its untrained twin yourself"),
    (lambda: zoo.untrained(small(), seed=-1), "seed=-1"),
    (lambda: zoo.untrained(small(), seed="x"), "seed='x'"),  # pyright: ignore[reportArgumentType]
    (lambda: psnr_curve(small(), images(), sigma=[-0.1]), "sigma"),
    (lambda: psnr_curve(small(), images(), sigma=[]), "sigma"),
    (lambda: psnr_curve(small(), images(), sigma=[0.1], batch_size=0), "batch_size=0"),
    (lambda: psnr_curve(small(), images(), sigma=[0.1], seed=-1), "seed=-1"),
    (lambda: card_table(small(), images(), fitted_on=images(), compare={"noisy": small()}), "a row that the table has"),
    (lambda: PatchWiener(load(np.zeros((1, 1, 4, 4), np.float32))), "hold no 8×8 patch"),
    (lambda: PatchWiener(images())(torch.zeros(1, 3, 8, 8)), "told the noise level"),
    (lambda: GaussianBlur(images(), sigma=[0.1])(torch.zeros(1, 3, 8, 8)), "told the noise level"),
    (lambda: comparable([("a", small()), ("b", small())], images()), "--compare b: the card has a row UNet already"),
    (lambda: Recipe(steps=0), "steps=0 .expected a positive int"),
    (lambda: Recipe(lr=-1.0), "lr=-1.0"),
    (lambda: Recipe(warmup=1.0), "warmup=1.0"),
    (lambda: Recipe(sigma_max=0.0), "sigma_max=0.0"),
    (lambda: Recipe(weight_power=float("nan")), "weight_power=nan"),
    (lambda: Recipe(ema=2.0), "ema=2.0"),
    (lambda: Recipe(crop=0), "crop=0"),
    (lambda: brief(minutes=-1), "minutes=-1"),
    (lambda: brief(minutes="x"), "minutes='x'"),
    (lambda: brief(evaluations=-1), "evaluations=-1"),
    (lambda: brief(checkpoint_minutes=-1), "checkpoint_minutes=-1"),
    (lambda: brief(until=-1), "until=-1"),
    (lambda: brief(precision="half"), "precision='half': give one of auto, float32, tf32, bfloat16"),
    (lambda: brief(precision="bf16"), 'precision="bf16": write "bfloat16"'),
    (lambda: brief(precision="tf32", device="cpu"), 'precision="tf32" is of GPUs, and training is on cpu'),
    (lambda: brief(device="tpu"), "device='tpu'"),
    (lambda: brief(recipe=Recipe(steps=1, batch_size=2, crop=9)), "crop=9"),
    (lambda: train(Denoiser(UNet((4, 8)), predicts="noise"), images(), progress=False), "predicts the clean image"),
    (lambda: progress_of("nowhere"), "holds no checkpoint"),
    (lambda: usable("cuda:99"), "GPUs"),
    (lambda: weights_path(Path("out"), "a/b"), "--name 'a/b'"),
    (lambda: weights_path(Path("out"), ""), "--name ''"),
    (lambda: Start(init="photo32", model="dncnn").denoiser(), "--model dncnn, where it has unet"),
    (lambda: Start(model="dncnn", channels=(3, 4)).denoiser(), "a DnCNN has one width"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(
    call: Callable[[], Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProbeError, match=words) as caught:
        call()
    assert isinstance(caught.value, InputError)
    assert not list(tmp_path.iterdir())
