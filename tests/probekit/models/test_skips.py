"""What feeds the decoder of a UNet, and what gains of its normalisations begin with."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

import probekit
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.models import zoo
from probekit.models.unet import SigmaUNet, UNet
from probekit.models.widening import widened

NORMS = ("layer", "batch", "instance")


def network(seed: int = 0, **options: Any) -> UNet:
    torch.manual_seed(seed)
    return UNet((4, 6, 8), decoder_convs=(2, 2), **options).eval()


def pair() -> torch.Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def told_apart(model: UNet, *, without_middle: bool = False) -> bool:
    """Whether the output depends on the image, with zeros in place of the middle block's output if so asked."""
    with torch.no_grad(), probekit.tap(model, "mid").ablate(range(8)) if without_middle else nullcontext():
        one, other = model(pair())
    return not torch.equal(one, other)


@pytest.mark.parametrize(
    ("skips", "ways"),
    [(True, ["enc1", "enc2"]), (False, []), ([True, False], ["enc1"]), ([0, 1], ["enc2"]), (0.5, ["enc1", "enc2"])],
)
def test_the_image_reaches_the_output_past_the_middle_by_the_skips_that_there_are(skips: Any, ways: list[str]) -> None:
    model = network(skips=skips)
    assert told_apart(model)
    assert told_apart(model, without_middle=True) == bool(ways)
    widths = [block[0].in_channels for block in model.decoder]
    assert widths == [width * (1 + (name in ways)) for width, name in zip((4, 6), ("enc1", "enc2"), strict=True)]


def test_a_skip_that_is_there_at_times_is_always_there_in_evaluation_and_on_average_in_training() -> None:
    often = 0.8
    plain, dropped = network(), network(skips=often)
    dropped.load_state_dict(plain.state_dict())
    y = pair()
    with torch.no_grad():
        assert torch.equal(plain(y), dropped(y))
        seen: list[torch.Tensor] = []
        handle = dropped.decoder[0].register_forward_pre_hook(lambda _, given: seen.append(given[0][:, 4:].clone()))
        n = 400
        torch.manual_seed(2)
        dropped.train()(y[:1].expand(n, -1, -1, -1))
        handle.remove()
        skip = plain.encoder[0](y[:1])
    (fed,) = seen
    there = fed.flatten(1).abs().sum(1) > 0
    torch.testing.assert_close(fed[there], (skip / often).expand(int(there.sum()), -1, -1, -1))
    # Five standard deviations of a coin thrown n times.
    assert abs(int(there.sum()) - often * n) < 5 * (n * often * (1 - often)) ** 0.5


def test_the_papers_network_is_described_as_ever_and_others_are_kept_and_widened(tmp_path: Path) -> None:
    assert "skips" not in network().config
    assert "skips" not in network(skips=1.0).config
    model = network(skips=[False, 0.5])
    back = zoo.load(zoo.save(model, tmp_path / "one.safetensors"))
    assert back.model.config["skips"] == [0, 0.5]
    torch.testing.assert_close(back.model(pair()), model(pair()), rtol=1e-2, atol=1e-2)
    wide = widened(Denoiser(model), [8, 12, 16])
    torch.testing.assert_close(wide(pair()), Denoiser(model)(pair()), rtol=1e-4, atol=1e-5)
    assert SigmaUNet((4, 6, 8), skips=False).config["skips"] == [0, 0]


@pytest.mark.parametrize("skips", ["all", None, [True], [1, 2], 1.5, -0.1, 1e-300, [True, "no"], float("nan"), {1: 2}])
def test_what_says_nothing_of_skips_is_refused(skips: Any) -> None:
    with pytest.raises(InputError, match=r"^skips.*give True, False or a probability from 0.01, or 2 of them, one for"):
        UNet((4, 6, 8), skips=skips)


@pytest.mark.parametrize("norm", NORMS)
def test_gains_of_the_papers_code_are_signed_and_tiny_beside_the_same_convolutions(norm: str) -> None:
    torch.manual_seed(0)
    trained = Denoiser(UNet((64, 128, 256), norm=norm))  # pyright: ignore[reportArgumentType]
    one, paper = (zoo.untrained(trained, seed=3, gains=gains) for gains in ("one", "paper"))
    gains = torch.cat([v for k, v in paper.model.state_dict().items() if k.endswith("gain")]).double()
    n, sd = len(gains), 2 / 9 / 64
    assert n > 2000
    # Five standard errors of mean, variance and share of signs.
    assert abs(float(gains.mean())) < 5 * sd / n**0.5
    assert abs(float((gains**2).mean()) / sd**2 - 1) < 5 * (2 / n) ** 0.5
    assert abs(float((gains > 0).double().mean()) - 0.5) < 2.5 / n**0.5
    assert float(gains.abs().max()) <= 0.025
    for name, value in one.model.state_dict().items():
        if name.endswith("gain"):
            assert bool((value == 1).all())
        else:
            assert torch.equal(value, paper.model.state_dict()[name])
    assert (one.name, paper.name) == ("UNet-untrained", "UNet-untrained-paper-gains")
    with pytest.raises(InputError, match="gains='two'"):
        zoo.untrained(trained, gains="two")
