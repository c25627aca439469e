"""The paper's UNet: its counts, its formula written out by hand, its symmetries and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from probekit.errors import InputError
from probekit.models.normalisation import UncentredBatchNorm, UncentredNorm
from probekit.models.unet import UNet

EPSILON = 1e-5
TINY: Mapping[str, Any] = {"encoder_convs": (1,), "middle_convs": 1, "decoder_convs": (2,)}


@st.composite
def configurations(draw: st.DrawFn, **fixed: Any) -> dict[str, Any]:
    depth = draw(st.integers(1, 3))

    def counts(lowest: int) -> list[int]:
        return draw(st.lists(st.integers(lowest, 3), min_size=depth, max_size=depth))

    drawn = {
        "channels": draw(st.lists(st.integers(1, 5), min_size=depth + 1, max_size=depth + 1)),
        "image_channels": draw(st.integers(1, 7)),
        "encoder_convs": counts(1),
        "middle_convs": draw(st.integers(1, 3)),
        "decoder_convs": counts(2),
        "bias": draw(st.booleans()),
        "norm": draw(st.sampled_from([None, "layer", "batch", "instance"])),
    }
    return drawn | fixed


def built(config: Mapping[str, Any], seed: int = 0) -> UNet:
    """The network in float64 and evaluation mode, with no weight left at a value such as 0 or 1."""
    model = UNet(**config).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith(("gain", "running_std")):
                value.uniform_(0.5, 2, generator=generator)
            else:
                value.normal_(generator=generator)
    return model


def noisy(model: UNet, n: int = 2, seed: int = 0) -> Tensor:
    """Images of standard deviation 1 that are not square."""
    rows, cols = model.size_multiple, 3 * model.size_multiple
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, model.image_channels, rows, cols, dtype=torch.float64, generator=generator)


def by_hand(config: Mapping[str, Any], weights: Mapping[str, Tensor], y: Tensor) -> Tensor:
    """The architecture of the paper as one expression after another, on a state dict."""
    norm = config["norm"] or ("layer" if config["bias"] else "batch")
    depth = len(config["channels"]) - 1

    def normalised(x: Tensor, name: str) -> Tensor:
        if norm == "batch":
            std = weights[f"{name}.running_std"].view(1, -1, 1, 1)
        else:
            std = x.std((1, 2, 3) if norm == "layer" else (2, 3), correction=0, keepdim=True)
        return x / (std + EPSILON) * weights[f"{name}.gain"].view(1, -1, 1, 1)

    def block(x: Tensor, path: str, convs: int, *, bare_first: bool = False, bare_last: bool = False) -> Tensor:
        position = 0
        for i in range(convs):
            x = F.conv2d(x, weights[f"{path}.{position}.weight"], weights.get(f"{path}.{position}.bias"), padding=1)
            position += 1
            if bare_last and i == convs - 1:
                return x
            if not (bare_first and i == 0):
                x = normalised(x, f"{path}.{position}")
                position += 1
            x = x.clamp_min(0)
            position += 1
        return x

    skips = []
    for i in range(depth):
        y = block(y, f"encoder.{i}", config["encoder_convs"][i], bare_first=i == 0)
        skips.append(y)
        y = F.avg_pool2d(y, 2)
    y = block(y, "middle", config["middle_convs"])
    for i in reversed(range(depth)):
        y = F.conv_transpose2d(y, weights[f"up.{i}.weight"], stride=2)
        y = block(torch.cat([y, skips[i]], 1), f"decoder.{i}", config["decoder_convs"][i], bare_last=i == 0)
    return y


def named_sizes(message: str) -> tuple[tuple[int, int], ...]:
    """The size to crop to and the size to pad to that a message names."""
    found = re.search(r"crop to (\d+)×(\d+) or pad to (\d+)×(\d+)", message)
    a, b, c, d = map(int, found.groups())
    return (a, b), (c, d)


def convolutions(block: nn.Module) -> list[nn.Conv2d]:
    return [m for m in block.modules() if isinstance(m, nn.Conv2d)]


def test_the_default_network_has_the_papers_number_of_parameters() -> None:
    assert sum(p.numel() for p in UNet().parameters()) == 13_678_147


@pytest.mark.parametrize("channels", [(4, 8), (4, 8, 12), (2, 2, 2, 2, 2)])
def test_numbers_of_convolutions_that_are_not_given_follow_the_number_of_scales(channels: tuple[int, ...]) -> None:
    scales = len(channels) - 1
    config = UNet(channels).config
    assert config["encoder_convs"] == [2] * scales
    assert config["decoder_convs"] == list(range(5, 5 + scales))


def test_the_default_blocks_have_the_papers_channels_and_numbers_of_convolutions() -> None:
    with torch.device("meta"):
        model = UNet()
    blocks = [*model.encoder, model.middle, *model.decoder]
    assert [len(convolutions(b)) for b in blocks] == [2, 2, 2, 3, 5, 6, 7]
    assert [convolutions(b)[-1].out_channels for b in blocks] == [64, 128, 256, 512, 3, 128, 256]
    assert all(
        (c.kernel_size, c.padding, c.padding_mode) == ((3, 3), (1, 1), "zeros") and c.bias is not None
        for b in blocks
        for c in convolutions(b)
    )


def test_the_default_network_does_the_papers_amount_of_work() -> None:
    with torch.device("meta"):
        model, image = UNet(), torch.zeros(1, 3, 64, 64)
        with FlopCounterMode(display=False, depth=3) as counter:
            model(image)
    work = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    up_to_middle = sum(work[f"UNet.{block}"] for block in ("encoder.0", "encoder.1", "encoder.2", "middle"))
    # The paper's page rounds to 8.3 GFLOP and 24 %; normalisations and ReLUs are not counted here.
    assert work["UNet"] == pytest.approx(8.3e9, rel=0.01)
    assert up_to_middle / work["UNet"] == pytest.approx(0.24, abs=0.005)


@given(configurations())
def test_every_convolution_but_the_first_and_last_is_followed_by_normalisation_and_relu(config: dict) -> None:
    model = UNet(**config)
    blocks = [*model.encoder, model.middle, *reversed(model.decoder)]
    order = [layer for block in blocks for layer in block]
    kinds = {nn.Conv2d: "c", UncentredNorm: "n", UncentredBatchNorm: "n", nn.ReLU: "r"}
    convs = sum(config["encoder_convs"]) + config["middle_convs"] + sum(config["decoder_convs"])
    assert "".join(kinds[type(layer)] for layer in order) == "cr" + "cnr" * (convs - 2) + "c"


@given(configurations())
def test_transposed_convolutions_have_no_bias_and_halve_nothing_but_the_scale(config: dict) -> None:
    model = UNet(**config)
    ups = [m for m in model.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in ups] == list(
        zip(config["channels"][1:], config["channels"][:-1], strict=True)
    )
    assert all(m.bias is None and m.kernel_size == m.stride == (2, 2) for m in ups)


@given(config=configurations(), seed=st.integers(0, 100))
def test_the_network_equals_its_formula_written_by_hand(config: dict, seed: int) -> None:
    model = built(config, seed)
    y = noisy(model, seed=seed)
    with torch.no_grad():
        torch.testing.assert_close(model(y), by_hand(config, model.state_dict(), y), rtol=1e-9, atol=1e-9)


@given(configurations(norm=None))
def test_normalisation_is_over_layers_with_biases_and_over_batches_without(config: dict) -> None:
    model = UNet(**config)
    norms = [m for m in model.modules() if isinstance(m, UncentredNorm | UncentredBatchNorm)]
    if config["bias"]:
        assert all(isinstance(m, UncentredNorm) and m.dims == (1, 2, 3) for m in norms)
    else:
        assert all(isinstance(m, UncentredBatchNorm) for m in norms)
    assert model.config["norm"] == ("layer" if config["bias"] else "batch")


@given(configurations(bias=False))
def test_a_bias_free_network_has_no_additive_constant(config: dict) -> None:
    model = built(config)
    assert not any("bias" in name for name, _ in [*model.named_parameters(), *model.named_buffers()])
    zero = torch.zeros_like(noisy(model))
    assert torch.equal(model(zero), zero)


@given(config=configurations(bias=False, norm=None), power=st.floats(-6, 6), seed=st.integers(0, 100))
def test_a_bias_free_batch_norm_network_is_homogeneous_in_evaluation(config: dict, power: float, seed: int) -> None:
    model = built(config, seed)
    alpha, y = 10**power, noisy(model, seed=seed)
    # Each layer's rounding is at most (terms of its sums) · 2⁻⁵³ of what it gives with absolute values throughout, in
    # which nothing cancels; to first order these add along the path. Two evaluations differ by twice that at most.
    absolute = deepcopy(model)
    for p in absolute.parameters():
        p.data.abs_()
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    terms = sum(m.in_channels * m.kernel_size[0] * m.kernel_size[1] + 16 for m in layers)
    with torch.no_grad():
        difference = (model(alpha * y) - alpha * model(y)).abs()
        bound = 2 * terms * 2**-53 * alpha * absolute(y.abs())
        assert bool((difference <= 1.01 * bound).all())
        assert float(bound.max()) < 1e-9 * float((alpha * absolute(y.abs())).max())


@given(alpha=st.floats(1e-2, 1e2), seed=st.integers(0, 100))
def test_a_bias_free_layer_norm_network_is_scale_invariant_after_the_first_normalisation(
    alpha: float, seed: int
) -> None:
    config = {"channels": (4, 6), "encoder_convs": (2,), "middle_convs": 2, "decoder_convs": (3,)}
    model = built(config | {"bias": False, "norm": "layer"}, seed)
    y = noisy(model, n=3, seed=seed)
    conv1, relu, conv2, norm = list(model.encoder[0])[:4]
    with torch.no_grad():
        before = conv2(relu(conv1(y)))
        std = before.std((1, 2, 3), correction=0)
        small, large = norm(before), norm(conv2(relu(conv1(alpha * y))))
        # a(αy)/a(y) = α (s + ε)/(α s + ε), so the relative change is ε |α − 1|/(α s + ε); the rest is rounding.
        bound = EPSILON * abs(alpha - 1) / (alpha * std + EPSILON) + 1e-12
        change = (large - small).flatten(1).norm(dim=1) / small.flatten(1).norm(dim=1)
        assert bool((change <= bound).all())
        assert float(bound.max()) < 1e-2


def test_a_network_with_biases_is_neither_homogeneous_nor_scale_invariant() -> None:
    model = built({"channels": (4, 6), **TINY})
    y = noisy(model)
    with torch.no_grad():
        once, scaled = model(y), model(10 * y)
    assert not torch.allclose(scaled, 10 * once, rtol=0.01)
    assert not torch.allclose(scaled, once, rtol=0.01)


def test_initial_weights_are_kaiming_normal_by_fan_in_with_zero_biases_and_unit_gains() -> None:
    torch.manual_seed(0)
    model = UNet((16, 32, 64, 64))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # Each output of a 2×2, stride-2 transposed convolution sums one weight per input channel.
            fan_in = module.in_channels * (9 if isinstance(module, nn.Conv2d) else 1)
            std, n = (2 / fan_in) ** 0.5, module.weight.numel()
            weights = module.weight.detach().double()
            # Standard errors of a normal sample: of its mean std/√n, of its std std/√(2n); five of each.
            assert abs(float(weights.mean())) < 5 * std / n**0.5
            assert abs(float(weights.std()) - std) < 5 * std / (2 * n) ** 0.5
            assert module.bias is None or not bool(module.bias.any())
        if isinstance(module, UncentredNorm):
            assert torch.equal(module.gain, torch.ones_like(module.gain))


def test_initial_weights_are_reproduced_by_torchs_global_seed() -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(UNet((4, 8), **TINY).state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not torch.equal(states[0]["middle.0.weight"], states[2]["middle.0.weight"])


@given(config=configurations(), rows=st.integers(1, 3), cols=st.integers(1, 3), n=st.integers(1, 2))
def test_the_output_has_the_inputs_shape_for_any_planes_and_sides(config: dict, rows: int, cols: int, n: int) -> None:
    model = UNet(**config).eval()
    multiple = 2 ** (len(config["channels"]) - 1)
    assert model.size_multiple == multiple
    y = torch.randn(n, config["image_channels"], rows * multiple, cols * multiple)
    assert model(y).shape == y.shape


@given(configurations())
def test_the_configuration_rebuilds_the_network(config: dict) -> None:
    model = UNet(**config)
    again = UNet(**model.config)
    again.load_state_dict(model.state_dict())
    assert again.config == model.config


def test_taps_are_named_by_scale_and_lead_to_the_blocks() -> None:
    with torch.device("meta"):
        model = UNet()
    assert list(model.tap_aliases.items()) == [
        ("enc1", "encoder.0"),
        ("enc2", "encoder.1"),
        ("enc3", "encoder.2"),
        ("mid", "middle"),
        ("dec3", "decoder.2"),
        ("dec2", "decoder.1"),
    ]
    assert model.get_submodule("middle") is model.middle


@given(config=configurations(), rows=st.integers(8, 30), cols=st.integers(8, 30))
def test_sides_that_cannot_be_halved_are_refused_with_a_multiple_and_sizes_that_work(
    config: dict, rows: int, cols: int
) -> None:
    model = UNet(**config).eval()
    multiple = model.size_multiple
    y = torch.zeros(1, config["image_channels"], rows, cols)
    if rows % multiple == 0 and cols % multiple == 0:
        assert model(y).shape == y.shape
        return
    with pytest.raises(InputError, match=rf"^images of {rows}×{cols} .* multiples of {multiple}\b") as caught:
        model(y)
    crop, pad = named_sizes(str(caught.value))
    for size in (crop, pad):
        assert model(y.new_zeros(1, config["image_channels"], *size)).shape[2:] == size
    assert crop[0] <= rows <= pad[0]
    assert crop[1] <= cols <= pad[1]


@pytest.mark.parametrize("size", [(3, 3), (3, 8), (8, 1)])
def test_an_image_smaller_than_the_multiple_is_told_to_pad_and_not_to_crop(size: tuple[int, int]) -> None:
    model = UNet((2, 2, 2), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 2))
    with pytest.raises(InputError, match=r"multiples of 4.* pad to (4×4|4×8|8×4)") as caught:
        model(torch.zeros(1, 3, *size))
    assert "crop" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (4,)}, r"channels=\(4,\).* at least two positive numbers"),
        ({"channels": ()}, r"channels=\(\).* at least two positive numbers"),
        ({"channels": (4, 0)}, r"channels=\(4, 0\).* positive numbers"),
        ({"channels": (4, 8), "image_channels": 0}, r"image_channels=0.* positive image_channels"),
        (
            {"channels": (4, 8), "encoder_convs": (2, 2, 2)},
            r"encoder_convs=\(2, 2, 2\) does not fit channels=\(4, 8\): give 1 positive",
        ),
        ({"channels": (4, 8), **TINY, "decoder_convs": (2, 2)}, r"decoder_convs=\(2, 2\) does not fit .*give 1 "),
        ({"channels": (4, 8), **TINY, "encoder_convs": (0,)}, r"encoder_convs=\(0,\) does not fit .*positive"),
        ({"channels": (4, 8), **TINY, "middle_convs": 0}, r"middle_convs=0.* at least one convolution"),
        (
            {"channels": (4, 8), **TINY, "decoder_convs": (1,)},
            r"decoder_convs=\(1,\).* \(the first number\) at least two",
        ),
        ({"channels": (4, 8), **TINY, "norm": "group"}, r"norm='group': give one of 'layer', 'batch', 'instance'"),
    ],
)
def test_numbers_that_describe_no_network_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        UNet(**options)
