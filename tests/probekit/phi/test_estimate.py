"""What a measurement costs is told beforehand, from the same numbers that decide it."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import probekit
from probekit.errors import InputError
from probekit.models.unet import UNet
from probekit.phi import measure


def network() -> UNet:
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))


PICTURES = np.random.default_rng(0).random((7, 3, 8, 8), dtype=np.float32)


@pytest.mark.parametrize(
    ("sigma", "draws", "versions"), [([0.1, 0.3], 3, 6), ([0.0, 0.3], 3, 4), ([0.0], 5, 1), (0.2, 1, 1)]
)
@pytest.mark.parametrize("keep_draws", [False, True])
def test_an_estimate_counts_what_the_call_would_measure(
    sigma: float | list[float], draws: int, versions: int, keep_draws: bool
) -> None:
    tap = probekit.tap(network(), "enc1", "mid")
    cost = tap.estimate(PICTURES, sigma=sigma, draws=draws, keep_draws=keep_draws, batch_size=2)
    made = []
    with pytest.MonkeyPatch.context() as patch:
        real = measure.noisy_batches

        def counted(*arguments: Any, **given: Any) -> Iterator[Any]:
            for batch in real(*arguments, **given):
                made.append(len(batch.y))
                yield batch

        patch.setattr(measure, "noisy_batches", counted)
        data = tap(PICTURES, sigma=sigma, draws=draws, keep_draws=keep_draws, batch_size=2)
    assert cost.noisy_images == sum(made) == 7 * versions + versions
    assert cost.images == 7
    measured = [data[name] for name in ("phi", "phi_se", "phi_draws") if name in data]
    assert cost.result_bytes == sum(values.nbytes for values in measured)
    assert cost.batch_size == 2
    assert cost.device == "cpu"
    assert 0 < cost.seconds < 60
    assert cost.store_memory_bytes > cost.result_bytes / 7


def test_an_estimate_refuses_what_the_call_refuses_and_leaves_the_network_alone(tmp_path: Path) -> None:
    model = network().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    tap = probekit.tap(model, "mid")
    for wrong in ({"sigma": -1.0}, {"sigma": 0.1, "draws": 0}, {"sigma": 0.1, "batch_size": 0}):
        with pytest.raises(InputError, match=r"give|≥ 0"):
            tap.estimate(PICTURES, **wrong)  # pyright: ignore[reportArgumentType]
    tap.estimate(PICTURES, sigma=0.1)
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert not list(tmp_path.iterdir())


def test_an_estimate_says_itself_in_a_sentence() -> None:
    cost = probekit.tap(network(), "mid").estimate(PICTURES, sigma=[0.1, 0.3], draws=2)
    assert str(cost).startswith("7 images, 32 noisy ones, ")
    assert set(asdict(cost)) == {
        "images",
        "noisy_images",
        "seconds",
        "result_bytes",
        "store_memory_bytes",
        "batch_size",
        "device",
    }


def test_the_count_that_is_shown_is_the_count_that_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    tap, options = probekit.tap(network(), "mid"), {"sigma": [0.0, 0.1, 0.2], "draws": 3}
    cost = tap.estimate(PICTURES, **options)
    tap(PICTURES, **options, progress=True)
    assert f"φ at mid: {cost.noisy_images} img in" in capsys.readouterr().err
