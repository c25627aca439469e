"""A store holds what was asked for: whatever decides the numbers or their labels is in its plan, or is seen."""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import probekit
from probekit.errors import InputError

PICTURES = np.random.default_rng(0).random((6, 1, 8, 8), dtype=np.float32)
OPTIONS: dict[str, Any] = {"sigma": [0.1, 0.3], "draws": 2}


class Small(nn.Module):
    """Two convolutions with something between."""

    def __init__(self, act: nn.Module | Callable[[Tensor], Tensor] | None = None, stride: int = 1) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
            self.last = nn.Conv2d(4, 1, 3, padding=1, bias=False)
        self.act = nn.ReLU() if act is None else act
        self.stride = stride

    def forward(self, y: Tensor) -> Tensor:
        return y - self.last(self.act(self.first(y)))


class Doubled(Small):
    """The same weights under the same names, and another pass."""

    def forward(self, y: Tensor) -> Tensor:
        return y - self.last(self.act(2 * self.first(y)))


def network(**given: Any) -> Small:
    return Small(**given).eval()


def measured(path: Path, model: nn.Module | None = None, images: Any = PICTURES, **given: Any) -> Any:
    labels = given.pop("labels", None)
    source = probekit.images.load(images, labels=labels)
    tap = probekit.tap(network() if model is None else model, "last", reduce=given.pop("reduce", "std"))
    return tap(source, **OPTIONS, **given, store=path).load()


def top_mean(maps: Tensor) -> Tensor:
    return maps.flatten(2).topk(5).values.mean(-1)


def below(share: float) -> Callable[[Tensor], Tensor]:
    def quantile(maps: Tensor) -> Tensor:
        return maps.flatten(2).quantile(share, dim=-1)

    return quantile


def another_forward() -> nn.Module:
    return Doubled().eval()


def another_activation() -> nn.Module:
    return network(act=nn.Tanh())


def another_function() -> nn.Module:
    return network(act=torch.tanh)


def another_setting() -> nn.Module:
    model = network()
    model.first.padding_mode = "circular"
    model.first._reversed_padding_repeated_twice = [1, 1, 1, 1]
    return model


def hooked() -> nn.Module:
    model = network()
    model.first.register_forward_hook(lambda _, __, out: out * 0.5)
    return model


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (another_forward, "modules"),
        (another_activation, r"modules model\.act"),
        (another_function, "modules"),
        (another_setting, r"modules model\.first"),
        (hooked, r"modules model\.first"),
    ],
)
def test_another_network_of_the_same_weights_is_another_plan(
    tmp_path: Path, make: Callable[[], nn.Module], named: str
) -> None:
    measured(tmp_path / "phi.zarr")
    with pytest.raises(InputError, match=rf"begun with another plan: .*{named}"):
        measured(tmp_path / "phi.zarr", make())


def test_a_store_is_not_resumed_inside_an_edit_nor_the_other_way_round(tmp_path: Path) -> None:
    model = network()
    edits: list[Callable[[], Any]] = [
        lambda: probekit.tap(model, "first").ablate([1]),
        lambda: probekit.tap(model, "first").ablate([2]),
        lambda: probekit.tap(model, "first").scale([1], 0.5),
        lambda: probekit.tap(model, "first").edit(lambda a: a + 1),
    ]
    plain = measured(tmp_path / "plain.zarr", model)
    for number, edit in enumerate(edits):
        with edit():
            edited = measured(tmp_path / f"{number}.zarr", model)
            assert not np.allclose(edited.phi, plain.phi)
            with pytest.raises(InputError, match="another plan"):
                measured(tmp_path / "plain.zarr", model)
        with pytest.raises(InputError, match="another plan"):
            measured(tmp_path / f"{number}.zarr", model)
        for other, another in enumerate(edits):
            if other != number:
                with another(), pytest.raises(InputError, match="another plan"):
                    measured(tmp_path / f"{number}.zarr", model)
    assert measured(tmp_path / "plain.zarr", model).equals(plain)


class FromEnvironment(Small):
    """Reads a number from outside the program; of pictures alone, if `pictures`."""

    def __init__(self, pictures: bool) -> None:
        super().__init__()
        self.pictures = pictures

    def forward(self, y: Tensor) -> Tensor:
        flat = y.mean((1, 2, 3), keepdim=True) > 0.45
        gain = float(os.environ.get("PROBEKIT_TEST_GAIN", "1"))
        return y - self.last(self.act(self.first(y)) * (torch.where(flat, 1.0, gain) if self.pictures else gain))


@pytest.mark.parametrize(("pictures", "named"), [(False, "the constant image"), (True, "image '0'")])
def test_what_no_plan_sees_is_seen_in_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: bool, named: str
) -> None:
    # The constant image is at 0.5, and all of these are darker.
    model, dark = FromEnvironment(pictures).eval(), PICTURES / 4
    measured(tmp_path / "phi.zarr", model, dark)
    monkeypatch.setenv("PROBEKIT_TEST_GAIN", "0.9")
    with pytest.raises(InputError, match=rf"something else of {named} .* at tap 'last' it differs by 0\.\d"):
        measured(tmp_path / "phi.zarr", model, dark)
    # What rounding does in other sums is no other network.
    monkeypatch.setenv("PROBEKIT_TEST_GAIN", "1.000001")
    measured(tmp_path / "phi.zarr", model, dark)


def test_labels_are_part_of_what_was_asked_for(tmp_path: Path) -> None:
    measured(tmp_path / "phi.zarr", labels=list("aabbcc"))
    for labels in (list("ccbbaa"), None, [*"aabbc", "d"]):
        with pytest.raises(InputError, match=r"labels_sha256 .*other labels need no other numbers: .*assign_coords"):
            measured(tmp_path / "phi.zarr", labels=labels)
    assert measured(tmp_path / "phi.zarr", labels=list("aabbcc")).label.values.tolist() == list("aabbcc")


def test_other_images_under_the_same_ids_are_another_plan(tmp_path: Path) -> None:
    measured(tmp_path / "phi.zarr")
    for place in range(len(PICTURES)):
        others = PICTURES.copy()
        others[place, 0, 3, 3] += 0.01
        with pytest.raises(InputError, match=r"images_sha256 .*the images under these ids are others"):
            measured(tmp_path / "phi.zarr", images=others)
    with pytest.raises(InputError, match="images_sha256"):
        measured(tmp_path / "phi.zarr", images=PICTURES[::-1].copy())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of one name, with files of the same names."""
    for place, of in ((tmp_path / "A" / "test", 0), (tmp_path / "B" / "test", 1)):
        for number in range(5):
            (place / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng((of, number)).integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(place / f"class{number % 2}" / f"{number}.png")
    return tmp_path / "A" / "test", tmp_path / "B" / "test"


def test_folders_of_one_name_do_not_share_a_store(folders: tuple[Path, Path], tmp_path: Path) -> None:
    def phi(folder: Path) -> Any:
        return measured(tmp_path / "phi.zarr", images=probekit.images.load(folder, bands=1))

    first, second = folders
    mine = phi(first)
    with pytest.raises(InputError, match="images_sha256"):
        phi(second)
    # The same files elsewhere are the same images.
    shutil.copytree(first, tmp_path / "C" / "test")
    assert phi(tmp_path / "C" / "test").equals(mine)
    # One file of many that is replaced makes others of them.
    shutil.copy(second / "class1" / "3.png", first / "class1" / "3.png")
    with pytest.raises(InputError, match="images_sha256"):
        phi(first)


def test_reductions_are_told_apart_by_what_they_do(tmp_path: Path) -> None:
    measured(tmp_path / "top.zarr", reduce=top_mean)
    assert measured(tmp_path / "top.zarr", reduce=top_mean) is not None

    def mean(maps: Tensor) -> Tensor:
        return maps.mean((2, 3))

    measured(tmp_path / "mean.zarr", reduce="mean")
    measured(tmp_path / "below.zarr", reduce=below(0.1))
    measured(tmp_path / "below.zarr", reduce=below(0.1))
    for path, other in (
        ("top.zarr", below(0.1)),
        ("mean.zarr", mean),
        ("below.zarr", below(0.9)),
        ("below.zarr", "mean"),
    ):
        with pytest.raises(InputError, match=r"another plan: .*reduce \("):
            measured(tmp_path / path, reduce=other)


@pytest.mark.parametrize(
    "reduce",
    [
        lambda maps: maps.amax((2, 3)),
        functools.partial(torch.amax, dim=(2, 3)),
        functools.partial(lambda maps, dim: maps.amax(dim), dim=(2, 3)),
    ],
)
def test_functions_without_a_name_are_refused_for_stores_and_the_way_out_works(
    tmp_path: Path, reduce: Callable[[Tensor], Tensor]
) -> None:
    with pytest.raises(InputError, match=r"def "):
        measured(tmp_path / "phi.zarr", reduce=reduce)
    assert not list(tmp_path.iterdir())

    def amax(maps: Tensor) -> Tensor:
        return reduce(maps)

    in_memory = probekit.tap(network(), "last", reduce=reduce)(PICTURES, **OPTIONS)
    np.testing.assert_array_equal(measured(tmp_path / "phi.zarr", reduce=amax).phi, in_memory.phi)


def test_how_a_network_is_told_the_noise_level_is_part_of_the_plan(tmp_path: Path) -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = network()

        def forward(self, y: Tensor, sigma: Tensor) -> Tensor:
            return self.last(y * (1 - 0.1 * sigma.view(-1, 1, 1, 1)))

    def told(by: float) -> probekit.Denoiser:
        return probekit.Denoiser(Told(), sigma_to=lambda sigma: by * sigma)

    measured(tmp_path / "phi.zarr", told(1.0))
    measured(tmp_path / "phi.zarr", told(1.0))
    with pytest.raises(InputError, match="another plan"):
        measured(tmp_path / "phi.zarr", told(2.0))


def test_a_store_survives_what_changes_no_number(tmp_path: Path) -> None:
    model = network()
    first = measured(tmp_path / "phi.zarr", model)
    model.train()
    model.requires_grad_(False)
    model.note = None  # pyright: ignore[reportAttributeAccessIssue]
    del model.note
    model(torch.zeros(1, 1, 8, 8))
    again = measured(tmp_path / "phi.zarr", model, batch_size=None, progress=False)
    assert again.equals(first)


class Calibrated(Small):
    """Clips at a value that a pass may set, and in evaluation never does."""

    def __init__(self, top: float) -> None:
        super().__init__()
        self.top, self.calibrating, self.grid = top, False, None

    def forward(self, y: Tensor) -> Tensor:
        if self.calibrating:
            self.top = float(y.amax())
        if self.grid is None:
            self.grid = torch.ones_like(y[:1])
        return y - self.last(self.act(self.first(y * self.grid)).clamp(max=self.top))


def test_what_a_pass_may_set_and_does_not_counts_and_caches_do_not(tmp_path: Path) -> None:
    model = Calibrated(1e6).eval()
    first = measured(tmp_path / "phi.zarr", model)
    with pytest.raises(InputError, match="modules model "):
        measured(tmp_path / "phi.zarr", Calibrated(0.8).eval())
    model(torch.zeros(1, 1, 8, 8))
    assert model.grid is not None
    assert measured(tmp_path / "phi.zarr", model).equals(first)
