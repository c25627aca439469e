"""Denoisers on disk come back as they were, and files that are not what they claim are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from probekit.denoising.denoiser import Denoiser
from probekit.errors import CapacityError, InputError, ModelError
from probekit.machine.weights import weights_sha256
from probekit.models import zoo
from probekit.models.dncnn import DnCNN
from probekit.models.unet import SigmaUNet, UNet

TINY = {"channels": [4, 8], "encoder_convs": [1], "middle_convs": 1, "decoder_convs": [2]}


def network(seed: int = 0, **options: Any) -> UNet:
    torch.manual_seed(seed)
    return UNet(**(TINY | options)).eval()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return zoo.save(network(), tmp_path / "mine.safetensors", card={"data": "σ-noise"})


def described(path: Path) -> dict[str, Any]:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def redescribe(path: Path, description: Any) -> None:
    path.with_suffix(".json").write_text(json.dumps(description), encoding="utf-8")


def images() -> torch.Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"norm": "instance"}, {"image_channels": 1}])
def test_a_denoiser_comes_back_with_its_weights_rounded_to_half_precision(tmp_path: Path, options: dict) -> None:
    model = network(**options)
    for name, value in model.state_dict().items():
        value.uniform_(0.1, 2, generator=torch.Generator().manual_seed(len(name)))
    denoiser = Denoiser(model, data_range=None)
    path = zoo.save(denoiser, tmp_path / "a.safetensors")
    back = zoo.load(path)
    assert back.model.config == model.config
    assert (back.sigma_to, back.data_range, back.name) == (None, None, "a")
    assert back.model.state_dict().keys() == model.state_dict().keys()
    for name, value in back.model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[name].half().float())


@pytest.mark.parametrize(
    ("model", "sigma_to"),
    [(UNet(**TINY), None), (SigmaUNet(**TINY), "sigma"), (DnCNN(3, 4), None), (DnCNN(3, 4, bias=False), None)],
    ids=["unet", "sigma-unet", "dncnn", "bias-free dncnn"],
)
def test_every_kind_of_network_comes_back_as_itself(tmp_path: Path, model: nn.Module, sigma_to: Any) -> None:
    model = model.eval()
    for value in model.parameters():
        value.data = value.data.half().float()
    denoiser = Denoiser(model, sigma_to=sigma_to)
    back = zoo.load(zoo.save(denoiser, tmp_path / "a.safetensors"))
    assert (type(back.model), back.sigma_to) == (type(model), sigma_to)
    with torch.no_grad():
        # Channels-last convolutions may sum in another order: a few float32 roundings of numbers of order 1.
        torch.testing.assert_close(back(images(), 0.3), denoiser(images(), 0.3), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"predicts": "v", "sigma_to": "sigma", "scaling": "vp", "data_range": (-1, 1)},
        {"predicts": "noise", "sigma_to": "log_sigma"},
        {"scaling": "edm", "sigma_to": "sigma", "sigma_data": 0.3, "data_range": (0, 255)},
    ],
)
def test_what_a_network_predicts_and_expects_comes_back(tmp_path: Path, settings: dict[str, Any]) -> None:
    denoiser = Denoiser(SigmaUNet(**TINY), **settings)
    back = zoo.load(zoo.save(denoiser, tmp_path / "a.safetensors"))
    assert back.settings == denoiser.settings == zoo.untrained(back).settings


def test_a_description_without_settings_that_it_did_not_know_is_read_as_the_contract_itself(saved: Path) -> None:
    redescribe(saved, {k: v for k, v in described(saved).items() if k not in ("predicts", "scaling", "sigma_data")})
    assert zoo.load(saved).settings == Denoiser(network()).settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sigma_to": [0.1, 1.0]}, r"sigma_to=<2 noise levels from 0.1 to 1>: functions and tables cannot be written"),
        ({"sigma_to": torch.log}, r"sigma_to=<.*log>: functions and tables cannot be written .* save the network"),
        ({"sigma_to": "sigma", "scaling": lambda u, s: u / s}, r"scaling=<<lambda>>: .*cannot be written"),
    ],
)
def test_a_denoiser_told_by_a_function_or_a_table_is_not_saved(tmp_path: Path, settings: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        zoo.save(Denoiser(SigmaUNet(**TINY), **settings), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_saving_and_loading_again_changes_nothing_more(saved: Path, tmp_path: Path) -> None:
    once = zoo.load(saved)
    again = zoo.load(zoo.save(once, tmp_path / "again.safetensors"))
    assert torch.equal(once(images(), 0.1), again(images(), 0.1))
    assert described(saved)["weights_sha256"] == described(tmp_path / "again.safetensors")["weights_sha256"]


def test_a_loaded_denoiser_is_in_evaluation_mode_and_channels_last(saved: Path) -> None:
    back = zoo.load(saved)
    assert not any(module.training for module in back.modules())
    weight = back.model.get_parameter("middle.0.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_saving_leaves_the_network_as_it_is(tmp_path: Path) -> None:
    model = network().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    zoo.save(model, tmp_path / "a.safetensors")
    assert model.training
    assert all(v.dtype == torch.float32 and torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_description_says_what_the_denoiser_is(saved: Path) -> None:
    weights = {k: v.half().float() for k, v in network().state_dict().items()}
    assert described(saved) == {
        "format": 1,
        "name": "mine",
        "architecture": "unet",
        "config": network().config,
        "predicts": "clean",
        "sigma_to": None,
        "scaling": None,
        "data_range": [0, 1],
        "sigma_data": 0.5,
        "weights_sha256": weights_sha256(weights),
        "card": {"data": "σ-noise"},
    }
    assert zoo.describe(saved) == described(saved)


def test_the_weights_on_disk_are_half_precision(saved: Path) -> None:
    assert {v.dtype for v in load_file(saved).values()} == {torch.float16}


def test_saving_makes_folders_and_leaves_the_two_files_only(tmp_path: Path) -> None:
    path = zoo.save(network(), tmp_path / "deep/er/a.safetensors")
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.json", "a.safetensors"]


def test_saving_replaces_an_earlier_denoiser(saved: Path) -> None:
    zoo.save(network(1), saved)
    assert torch.equal(zoo.load(saved).model.middle[0].weight, network(1).middle[0].weight.half().float())


def test_a_network_of_numpy_numbers_of_channels_can_be_saved(tmp_path: Path) -> None:
    path = zoo.save(network(channels=np.array([4, 8])), tmp_path / "a.safetensors")
    assert zoo.load(path).model.config["channels"] == [4, 8]


# What cannot be saved


def test_a_path_of_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.pt must end in \.safetensors"):
        zoo.save(network(), tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_a_foreign_network_is_refused(tmp_path: Path) -> None:
    class Mine(UNet):
        pass

    for model in (nn.Conv2d(3, 3, 3, padding=1), Mine(**TINY)):
        with pytest.raises(InputError, match=rf"{type(model).__name__} is not one of the package's networks \(unet\b"):
            zoo.save(model, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


# The largest half-precision number is 65504; what rounds beyond it is infinite.
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 65536.0, -1e6])
def test_weights_that_do_not_fit_half_precision_are_refused_and_nothing_is_written(
    tmp_path: Path, value: float
) -> None:
    model = network()
    model.middle[0].weight.data[0, 0, 0, 0] = value
    with pytest.raises(ModelError, match=r"weights middle\.0\.weight are not finite in half precision"):
        zoo.save(model, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("present", [False, True])
def test_a_card_that_json_cannot_hold_leaves_the_folder_as_it_was(tmp_path: Path, present: bool) -> None:
    if present:
        zoo.save(network(), tmp_path / "a.safetensors")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"card cannot be written as JSON .*object.*: give strings, numbers"):
        zoo.save(network(1), tmp_path / "a.safetensors", card={"table": object()})
    assert contents(tmp_path) == before


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_an_amended_card_keeps_everything_else(saved: Path, suffix: str) -> None:
    before, weights = zoo.describe(saved), saved.read_bytes()
    zoo.amend(saved.with_suffix(suffix), lambda card: card.update(rows=[1.5]))
    assert zoo.describe(saved) == before | {"card": before["card"] | {"rows": [1.5]}}
    assert saved.read_bytes() == weights
    zoo.load(saved)


def test_a_card_that_cannot_be_amended_is_left_as_it_was(saved: Path) -> None:
    files = {path: path.read_bytes() for path in saved.parent.iterdir()}
    with pytest.raises(InputError, match="cannot be written as JSON"):
        zoo.amend(saved, lambda card: card.update(rows=np.zeros(2)))
    with pytest.raises(InputError, match="does not exist"):
        zoo.amend(saved.with_name("nobody.json"), lambda card: card.clear())
    assert {path: path.read_bytes() for path in saved.parent.iterdir()} == files


def test_a_name_that_only_parts_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"called like a part of a: give a name without"):
        zoo.save(network(), tmp_path / "a-00001-of-00002.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CapacityError, match=r"cannot write into .*file .*give a folder that can be made"):
        zoo.save(network(), tmp_path / "file/a.safetensors")


def test_a_failure_while_writing_leaves_no_partial_file(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(CapacityError, match="directory"):
        zoo.save(network(), tmp_path / "a.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


# What cannot be loaded


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(InputError, match=r"no bundled denoiser 'nobody': there are .*; or give the path of a "):
        zoo.load("nobody")


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.safetensors does not exist: give the path"):
        zoo.load(tmp_path / "gone.safetensors")


@given(kept=st.floats(0, 1, exclude_max=True))
def test_truncated_weights_are_refused(tmp_path_factory: pytest.TempPathFactory, kept: float) -> None:
    path = zoo.save(network(), tmp_path_factory.mktemp("cut") / "a.safetensors")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ModelError, match=r"a\.safetensors cannot be read .* truncated or altered; get it again"):
        zoo.load(path)


@given(position=st.integers(0, 10**6), change=st.integers(1, 255))
def test_an_altered_byte_of_the_weights_is_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, change: int
) -> None:
    path = zoo.save(network(), tmp_path_factory.mktemp("altered") / "a.safetensors")
    raw = bytearray(path.read_bytes())
    first = 8 + int.from_bytes(raw[:8], "little")
    raw[first + position % (len(raw) - first)] ^= change
    path.write_bytes(raw)
    with pytest.raises(ModelError, match=r"does not hold the weights that its description names \(SHA-256 .*altered"):
        zoo.load(path)


@given(position=st.integers(0, 10**6), change=st.integers(1, 255))
def test_an_altered_byte_of_the_header_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: int, change: int
) -> None:
    path = zoo.save(network(), tmp_path_factory.mktemp("altered") / "a.safetensors")
    state = zoo.load(path).model.state_dict()
    raw = bytearray(path.read_bytes())
    raw[position % (8 + int.from_bytes(raw[:8], "little"))] ^= change
    path.write_bytes(raw)
    try:
        back, refusal = zoo.load(path).model.state_dict(), ""
    except ModelError as error:
        back, refusal = {}, str(error)
    assert str(path) in refusal or all(torch.equal(back[k], v) for k, v in state.items())


def test_weights_without_a_description_are_refused(saved: Path) -> None:
    saved.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"mine\.json cannot be read .*: the description belongs beside the weights"):
        zoo.load(saved)


@pytest.mark.parametrize("text", ["", "{", "not json", '{"format": 1', "\udcff"])
def test_a_description_that_is_no_json_is_refused(saved: Path, text: str) -> None:
    saved.with_suffix(".json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ModelError, match=r"mine\.json cannot be read"):
        zoo.load(saved)


@pytest.mark.parametrize("value", [[], None, "text", 3, {}])
def test_json_of_another_kind_is_refused(saved: Path, value: Any) -> None:
    redescribe(saved, value)
    with pytest.raises(ModelError, match=r"mine\.json lacks architecture, card, .*not a description written by this"):
        zoo.load(saved)


def test_a_description_without_one_of_its_fields_is_refused(saved: Path) -> None:
    whole = described(saved)
    for name in set(whole) - {"predicts", "scaling", "sigma_data"}:
        redescribe(saved, {k: v for k, v in whole.items() if k != name})
        with pytest.raises(ModelError, match=rf"mine\.json lacks {name}: it is not a description"):
            zoo.load(saved)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "format",
            2,
            r"has format 2 and architecture 'unet'; this version reads format 1 and unet.*: upgrade probekit",
        ),
        ("format", None, r"has format None"),
        ("architecture", "dit", r"has format 1 and architecture 'dit'; .*upgrade"),
        ("architecture", ["unet"], r"architecture \['unet'\]"),
        ("config", None, r"mine\.json does not describe the weights beside it"),
        ("config", [], r"mine\.json"),
        ("config", TINY | {"depth": 3}, r"mine\.json does not describe the weights beside it: .*depth"),
        (
            "config",
            TINY | {"channels": [4, 9]},
            r"(?s)mine\.json does not describe the weights beside it: .*size mismatch",
        ),
        ("config", TINY | {"channels": [4]}, r"mine\.json does not describe .*at least two positive numbers"),
        ("config", TINY | {"channels": "4,8"}, r"mine\.json does not describe"),
        ("config", TINY | {"middle_convs": 2}, r"(?s)mine\.json does not describe .*Missing key"),
        ("config", TINY | {"norm": "group"}, r"mine\.json does not describe .*norm='group'"),
        ("weights_sha256", "0" * 64, r"does not hold the weights .* instead of 000000000000….*one of the two files"),
        ("weights_sha256", None, r"mine"),
        ("sigma_to", "sigma", r"cannot be called with \(y, sigma\)"),
        ("sigma_to", "time", r"sigma_to='time'"),
        ("data_range", [1, 0], r"data_range=.1, 0."),
        ("data_range", 1, r"data_range"),
    ],
)
def test_an_altered_description_is_refused(saved: Path, name: str, value: Any, message: str) -> None:
    redescribe(saved, described(saved) | {name: value})
    with pytest.raises(ModelError, match=message):
        zoo.load(saved)


# What is bundled, and the untrained control


def test_every_bundled_denoiser_loads_by_name_and_denoises() -> None:
    assert "photo32" in zoo.available()
    for name in zoo.available():
        denoiser = zoo.load(name)
        assert denoiser.name == name
        clean = torch.full((1, denoiser.model.image_channels, 32, 32), 0.5)
        noisy = clean + 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            # A constant image, the easiest there is: a denoiser that removes less than half the noise is broken.
            assert float((denoiser(noisy, 0.2) - clean).std()) < 0.1


def test_taps_are_named_in_the_order_of_the_forward_pass() -> None:
    model = UNet([2] * 4, encoder_convs=[1] * 3, middle_convs=1, decoder_convs=[2] * 3)
    assert zoo.tap_names(Denoiser(model)) == ("enc1", "enc2", "enc3", "mid", "dec3", "dec2")


def test_the_untrained_control_has_the_same_shape_and_weights_by_seed() -> None:
    trained = Denoiser(network(5), data_range=None, name="mine")
    state = torch.get_rng_state()
    controls = [zoo.untrained(trained, seed=seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), state)
    hashes = [weights_sha256(c.model.state_dict()) for c in controls]
    assert hashes[0] == hashes[1] == weights_sha256(network(3).state_dict())
    assert len({*hashes, weights_sha256(trained.model.state_dict())}) == 3
    assert controls[0].model.config == trained.model.config
    assert (controls[0].name, controls[0].data_range) == ("mine-untrained", None)
    assert not controls[0].model.training


def test_the_untrained_control_of_a_foreign_network_is_refused() -> None:
    with pytest.raises(InputError, match="Conv2d is not one of the package's networks: make its untrained twin"):
        zoo.untrained(Denoiser(nn.Conv2d(3, 3, 3, padding=1)))


# Weights in several files


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.safetensors"))


@pytest.fixture
def in_parts(tmp_path: Path) -> Path:
    return zoo.save(network(), tmp_path / "big.safetensors", max_bytes=2000)


@given(max_bytes=st.integers(1500, 12_000))
def test_no_file_is_larger_than_allowed_and_the_denoiser_is_the_same_in_however_many(
    tmp_path_factory: pytest.TempPathFactory, max_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    path = zoo.save(network(), folder / "big.safetensors", max_bytes=max_bytes)
    files = parts(folder)
    assert all((folder / name).stat().st_size <= max_bytes for name in files)
    if len(files) > 1:
        assert files == described(path)["files"]
        assert files == [f"big-{n:05d}-of-{len(files):05d}.safetensors" for n in range(1, len(files) + 1)]
    else:
        assert files == ["big.safetensors"]
        assert "files" not in described(path)
    back = zoo.load(path)
    expected = {k: v.half().float() for k, v in network().state_dict().items()}
    assert back.model.state_dict().keys() == expected.keys()
    assert all(torch.equal(v, expected[k]) for k, v in back.model.state_dict().items())
    assert described(path)["weights_sha256"] == weights_sha256(expected)


def test_the_papers_network_comes_in_two_files_of_under_16_mib(tmp_path: Path) -> None:
    path = zoo.save(UNet(), tmp_path / "photo64.safetensors")
    assert parts(tmp_path) == ["photo64-00001-of-00002.safetensors", "photo64-00002-of-00002.safetensors"]
    sizes = [(tmp_path / name).stat().st_size for name in parts(tmp_path)]
    # 13.68 M parameters of two bytes.
    assert max(sizes) <= 16 * 2**20
    assert 27.3e6 < sum(sizes) < 27.5e6
    assert sum(v.numel() for v in zoo.load(path).model.state_dict().values()) * 2 < sum(sizes)


def test_bundled_names_are_those_of_denoisers_and_not_of_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.save(network(), tmp_path / "big.safetensors", max_bytes=2000)
    zoo.save(network(), tmp_path / "small.safetensors")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert zoo.available() == ("big", "small")
    assert zoo.load("big").name == "big"


@pytest.mark.parametrize(("first", "second"), [(2000, 10**6), (10**6, 2000), (2000, 4000)])
def test_files_of_an_earlier_denoiser_of_the_name_are_removed_and_others_are_not(
    tmp_path: Path, first: int, second: int
) -> None:
    zoo.save(network(2), tmp_path / "bigger.safetensors", max_bytes=first)
    others = parts(tmp_path)
    zoo.save(network(1), tmp_path / "big.safetensors", max_bytes=first)
    path = zoo.save(network(), tmp_path / "big.safetensors", max_bytes=second)
    own = described(path).get("files", ["big.safetensors"])
    assert parts(tmp_path) == sorted([*own, *others])
    assert torch.equal(zoo.load(path).model.middle[0].weight, network().middle[0].weight.half().float())
    assert zoo.load(tmp_path / "bigger.safetensors").name == "bigger"


def test_missing_parts_are_named(in_parts: Path) -> None:
    files = described(in_parts)["files"]
    assert len(files) > 2
    in_parts.with_name(files[1]).unlink()
    with pytest.raises(ModelError, match=rf"^{files[1]} of the {len(files)} parts of big lack beside .*big\.json: get"):
        zoo.load(in_parts)


def test_a_part_of_another_denoiser_is_refused(in_parts: Path, tmp_path: Path) -> None:
    other = zoo.save(network(1), tmp_path / "other/big.safetensors", max_bytes=2000)
    name = described(in_parts)["files"][2]
    in_parts.with_name(name).write_bytes(other.with_name(name).read_bytes())
    with pytest.raises(ModelError, match=r"big\.safetensors does not hold the weights .* or is of another denoiser"):
        zoo.load(in_parts)


def test_a_truncated_part_is_refused_by_name(in_parts: Path) -> None:
    path = in_parts.with_name(described(in_parts)["files"][1])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=rf"{path.name} cannot be read .*truncated or altered; get it again"):
        zoo.load(in_parts)


@pytest.mark.parametrize(
    "files",
    [[1], "big", ["../big-00001-of-00002.safetensors"], ["small-00001-of-00002.safetensors"], ["big.safetensors"]],
)
def test_a_description_that_lists_other_files_than_its_parts_is_refused(in_parts: Path, files: Any) -> None:
    redescribe(in_parts, described(in_parts) | {"files": files})
    with pytest.raises(ModelError, match=r"big\.json lists files=.*: they are not parts of big; get it again"):
        zoo.load(in_parts)


def test_the_path_of_one_part_is_answered_with_that_of_the_whole(in_parts: Path) -> None:
    with pytest.raises(
        InputError, match=r"00001-of-\d+\.safetensors is one part of .*: give .*/big\.safetensors, also"
    ):
        zoo.load(in_parts.with_name(described(in_parts)["files"][0]))


def test_weights_that_are_gone_are_missed_by_name(saved: Path) -> None:
    saved.unlink()
    with pytest.raises(InputError, match=r"mine\.safetensors does not exist: its description is there, but not"):
        zoo.load(saved)


def test_a_limit_that_one_tensor_exceeds_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the tensor \S+ alone takes \d+ bytes: give a larger max_bytes than 300"):
        zoo.save(network(), tmp_path / "a.safetensors", max_bytes=300)
    assert not list(tmp_path.iterdir())
