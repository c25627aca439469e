"""Networks as others write them: what they keep, how they are compiled, what they return, where their weights are."""

import copy
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from networks import state_of
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from probekit import labels
from probekit.errors import InputError, TapError


def conv(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, 1)


class Skipping(nn.Module):
    """A UNet that keeps its skips where `keep` says, from one half of the pass to the other."""

    shared: ClassVar[list[Tensor]] = []

    def __init__(self, keep: str) -> None:
        super().__init__()
        self.down, self.middle, self.up = nn.ModuleList([conv(3, 4), conv(4, 4, 2)]), conv(4, 4), conv(8, 3)
        self.keep = keep
        type(self).shared.clear()
        self.skips: Any = {
            "subclass": Pile(),
            "class": self.shared,
            "list": [],
            "dict": {},
            "deque": deque(),
            "nested": {"down": []},
            "object": Held(),
            "number": Count(2),
        }.get(keep)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("hidden", torch.zeros(()))

    def stack(self) -> Any:
        if self.keep in ("object", "number"):
            return self.skips.maps
        return self.skips["down"] if self.keep == "nested" else self.skips

    def forward(self, y: Tensor) -> Tensor:
        h = y
        for k, part in enumerate(self.down):
            h = part(h).relu()
            if self.keep == "attribute":
                setattr(self, f"skip{k}", h)
            elif self.keep == "counter":
                self.seen += 1
            elif self.keep == "hidden":
                self.hidden += h.mean()
                h = h + self.hidden
            elif self.keep == "dict":
                self.skips[k] = h
            else:
                self.stack().append(h)
        h = F.interpolate(self.middle(h), scale_factor=2)
        if self.keep in ("counter", "hidden"):
            return self.up(torch.cat([h, h], dim=1))
        if self.keep == "attribute":
            skip = self.skip0
        elif self.keep == "dict":
            skip = self.skips.pop(0)
        else:
            self.stack().pop()
            skip = self.stack().pop()
            assert not self.stack(), "skips of another pass are left"
        return self.up(torch.cat([h, skip], dim=1))


class Pile(list[Tensor]):
    """A list of its own kind."""


class Held:
    def __init__(self) -> None:
        self.maps: list[Tensor] = []


class Count(int):
    """A number that holds something beside itself."""

    def __init__(self, value: int) -> None:
        self.value, self.maps = value, []


KEPT = ["subclass", "class", "list", "dict", "deque", "nested", "object", "number", "attribute", "counter", "hidden"]


@pytest.mark.parametrize("keep", KEPT)
def test_a_network_that_keeps_things_in_a_pass_is_measured_in_whole_passes_and_left_as_it_was(keep: str) -> None:
    torch.manual_seed(0)
    net = Skipping(keep).eval()
    x = torch.rand(5, 3, 8, 8)
    attributes = copy.deepcopy({k: v for k, v in vars(net).items() if not k.startswith("_")})
    state = state_of(net)
    with torch.no_grad():
        untouched = copy.deepcopy(net)
        expected = untouched.middle(untouched_prefix(untouched, x[:1])).mean((2, 3))
        out = copy.deepcopy(net)(x)
    tap = probekit.tap(net, "middle")
    with pytest.warns(UserWarning, match=r"changes what it holds in a forward pass \(\w+.*whole ones are made"):
        data = tap(x, sigma=0.0, draws=1, batch_size=1)
    np.testing.assert_allclose(data.phi.values[0, 0], expected.numpy()[0], rtol=1e-6)
    # Every pass begins alike, so batches and order make no difference.
    for batch in (1, 2, 5):
        if keep != "hidden":
            np.testing.assert_allclose(tap(x, sigma=0.0, draws=1, batch_size=batch).phi, data.phi, rtol=1e-5)
    np.testing.assert_allclose(tap(x.flip(0), sigma=0.0, draws=1, batch_size=1).phi, data.phi[::-1], rtol=1e-6)
    assert state_of(net) == state
    now = {k: v for k, v in vars(net).items() if not k.startswith("_")}
    assert now.keys() == attributes.keys()
    if isinstance(net.skips, list | dict | deque):
        assert net.skips == attributes["skips"]
    with torch.no_grad():
        assert torch.equal(net(x), out)


def untouched_prefix(net: Skipping, x: Tensor) -> Tensor:
    h, hidden = x, torch.zeros(())
    for part in net.down:
        h = part(h).relu()
        if net.keep == "hidden":
            hidden = hidden + h.mean()
            h = h + hidden
    return h


def test_a_network_that_makes_a_constant_once_is_not_said_to_change() -> None:
    class Lazily(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.out, self.grid = conv(3, 3), conv(3, 3), None

        def forward(self, y: Tensor) -> Tensor:
            if self.grid is None:
                self.grid = torch.linspace(0, 1, y.shape[-1])
            return self.out(self.conv(y * self.grid))

    net = Lazily()
    probekit.tap(net, "conv")(torch.rand(2, 3, 8, 8), sigma=0.1)
    assert net.grid is None or torch.equal(net.grid, torch.linspace(0, 1, 8))


def test_what_is_changed_on_the_way_out_of_a_stopped_pass_is_put_back() -> None:
    class Stepping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.out, self.step = conv(3, 3), conv(3, 3), 0

        def forward(self, y: Tensor) -> Tensor:
            try:
                return self.out(self.conv(y + self.step))
            finally:
                self.step += 1

    net, x = Stepping(), torch.rand(4, 3, 8, 8)
    with pytest.warns(UserWarning, match=r"changes what it holds in a forward pass \(step\)"):
        data = probekit.tap(net, "conv")(x, sigma=0.0, draws=1, batch_size=1)
    assert net.step == 0
    np.testing.assert_allclose(data.phi[:, 0], net.conv(x).mean((2, 3)).detach(), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Skipping changes what it holds")
def test_a_counter_of_passes_does_not_keep_a_store_from_being_resumed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Skipping("counter")
    x = torch.rand(3, 3, 8, 8)
    tap = probekit.tap(net, "down.0")
    data = tap(x, sigma=0.1, store=tmp_path / "a.zarr")
    assert data.attrs["weights_left_out"] == "seen"
    net(x)
    again = probekit.tap(net, "down.0")(x, sigma=0.1, store=tmp_path / "a.zarr")
    xr.testing.assert_identical(data, again)
    # What matters still does: weights, and a buffer that is not saved.
    with torch.no_grad():
        net.hidden += 1
    with pytest.raises(InputError, match="weights_sha256"):
        probekit.tap(net, "down.0")(x, sigma=0.1, store=tmp_path / "a.zarr")


def test_buffers_that_are_not_saved_tell_networks_apart() -> None:
    class Scaled(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = conv(1, 1)
            self.register_buffer("scale", torch.tensor(scale), persistent=False)

        def forward(self, y: Tensor) -> Tensor:
            return self.conv(self.scale * y)

    hashes = [probekit.tap(Scaled(s), "conv")(torch.rand(1, 1, 4, 4), sigma=0).weights_sha256 for s in (1.0, 1.0, 2.0)]
    assert hashes[0] == hashes[1] != hashes[2]


class Guidance(nn.Module):
    """Guided at low noise only: there its network is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.net = conv(3, 3)

    def forward(self, y: Tensor, sigma: Tensor, weight: float = 1.0) -> Tensor:
        if float(sigma[0]) >= 0.4 and weight == 1.0:
            return self.net(y)
        return 2 * self.net(y) - self.net(0.5 * y)


def test_a_network_that_goes_another_way_at_another_noise_level_or_condition_is_seen() -> None:
    net, x = Guidance(), torch.rand(2, 3, 8, 8)
    tap = probekit.tap(net, "net")
    tap(x, sigma=0.5)
    with pytest.raises(TapError, match=r"'net' is called 2 times in one forward pass"):
        tap(x, sigma=[0.1, 0.5])
    tap(x, sigma=0.5, conditions={"weight": 1.0})
    with pytest.raises(TapError, match=r"'net' is called 2 times in one forward pass"):
        tap(x, sigma=0.5, conditions={"weight": 3.0})
    assert probekit.tap(net, "net@0")(x, sigma=[0.1, 0.5]).phi.notnull().all()


@pytest.mark.parametrize("how", ["one by one", "in halves", "doubled"])
def test_a_network_that_takes_its_batch_apart_is_measured_image_by_image_or_refused(how: str) -> None:
    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = conv(3, 4)
            self.out = conv(4, 3)

        def forward(self, y: Tensor) -> Tensor:
            if how == "doubled":
                return self.out(self.net(torch.cat([y, y.flip(-1)]))[: len(y)])
            return torch.cat([self.out(self.net(part)) for part in y.split(1 if how == "one by one" else 2)])

    net, x = Apart(), torch.rand(4, 3, 8, 8)
    tap = probekit.tap(net, "net")
    for measure in (
        lambda: tap(x, sigma=0.0, draws=1, batch_size=4),
        lambda: tap.maps(x, sigma=0.0),
        lambda: tap.features(x),
    ):
        with pytest.raises(TapError, match=r"'net' gives \d+ maps for \d images.*batch_size=1"):
            measure()
    if how != "doubled":
        data = tap(x, sigma=0.0, draws=1, batch_size=1)
        np.testing.assert_allclose(data.phi[:, 0], net.net(x).mean((2, 3)).detach(), rtol=1e-5)


def test_two_threads_measure_one_network_without_mixing() -> None:
    from concurrent.futures import ThreadPoolExecutor

    net = tiny()
    taps = [probekit.tap(net, name) for name in ("0", "2.0")]
    batches = [torch.rand(3, 3, 8, 8) for _ in range(2)]
    expected = [tap.features(y).detach() for tap, y in zip(taps, batches, strict=True)]

    def many(k: int) -> bool:
        return all(torch.equal(taps[k].features(batches[k]).detach(), expected[k]) for _ in range(60))

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(many, [0, 1]))


def test_a_network_that_writes_to_its_weights_in_a_pass_is_said_to() -> None:
    class Drifting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv(3, 3)

        def forward(self, y: Tensor) -> Tensor:
            with torch.no_grad():
                self.conv.weight.mul_(0.9)
            return self.conv(y)

    with pytest.warns(UserWarning, match=r"changes what it holds in a forward pass \(conv.weight\)"):
        probekit.tap(Drifting(), "conv")(torch.rand(1, 3, 8, 8), sigma=0.0)


# Compiled


def tiny() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(conv(3, 4), nn.ReLU(), nn.Sequential(conv(4, 4), nn.ReLU()), conv(4, 3)).eval()


@pytest.mark.parametrize("how", ["whole", "in place", "part", "wrapped"])
def test_a_compiled_network_is_tapped_and_edited_as_it_was_written(how: str) -> None:
    net, plain, x = tiny(), tiny(), torch.rand(2, 3, 8, 8)
    name = "2._orig_mod.0" if how == "part" else "2.0"
    model: Any = net
    if how == "whole":
        model = torch.compile(net, backend="eager")
    elif how == "wrapped":
        model = probekit.Denoiser(torch.compile(net, backend="eager"))
    elif how == "part":
        net[2] = torch.compile(net[2], backend="eager")
    else:
        net.compile(backend="eager")
    with torch.no_grad():
        expected = plain(x)
        torch.testing.assert_close(model(x), expected)
        tap, same = probekit.tap(model, name), probekit.tap(plain, "2.0")
        np.testing.assert_array_equal(tap(x, sigma=0.1).phi, same(x, sigma=0.1).phi)
        with tap.ablate([0, 2]), same.ablate([0, 2]):
            edited = model(x)
            torch.testing.assert_close(edited, plain(x))
        assert not torch.allclose(edited, expected)
        torch.testing.assert_close(model(x), expected)
    assert name in probekit.taps(model, (3, 8, 8)).name.tolist()


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_scripted_part_leaves_the_rest_of_the_network_tapped() -> None:
    net, plain, x = tiny(), tiny(), torch.rand(2, 3, 8, 8)
    net[2] = torch.jit.script(net[2])
    np.testing.assert_array_equal(
        probekit.tap(net, "0").maps(x, sigma=0.1), probekit.tap(plain, "0").maps(x, sigma=0.1)
    )
    np.testing.assert_array_equal(
        probekit.tap(net, "3").maps(x, sigma=0.1), probekit.tap(plain, "3").maps(x, sigma=0.1)
    )
    for name in ("2", "2.0"):
        with pytest.raises(TapError, match=f"tap '{name}' is at or inside '2', which is scripted"):
            probekit.tap(net, name)
    assert probekit.taps(net, (3, 8, 8)).name.tolist() == ["0", "1", "3"]


# Where and of what type the weights are


def test_measurements_work_in_inference_mode() -> None:
    x = torch.rand(2, 3, 8, 8)
    expected = probekit.tap(tiny(), "2.0")(x, sigma=0.1)
    with torch.inference_mode():
        net = tiny()
        xr.testing.assert_equal(probekit.tap(net, "2.0")(x, sigma=0.1), expected)
        with probekit.tap(net, "2.0").ablate(0):
            assert not torch.equal(net(x), tiny()(x))
        table = probekit.taps(net, (3, 8, 8))
    pd_expected = probekit.taps(tiny(), (3, 8, 8))
    assert table.equals(pd_expected)
    xr.testing.assert_equal(probekit.tap(net, "2.0")(x, sigma=0.1), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_reduction_of_ones_own_is_tried_on_maps_of_the_networks_type(dtype: torch.dtype) -> None:
    weight = torch.ones(4, dtype=dtype)

    def weighted(a: Tensor) -> Tensor:
        assert a.dtype == dtype
        return torch.einsum("nchw,c->nc", a, weight)

    data = probekit.tap(tiny().to(dtype), "0", reduce=weighted)(torch.rand(2, 3, 8, 8), sigma=0.1)
    assert data.phi.sizes["channel"] == 4


def test_a_tap_leaves_lazy_networks_unmade_and_says_what_to_do() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1))
    for name in ("mid", "0"):
        with pytest.raises(TapError, match=r"LazyConv2d at '0' has no weights before .* model\(batch\)"):
            probekit.tap(net, name)
    assert torch.nn.parameter.is_lazy(net[0].weight)
    net(torch.rand(1, 3, 8, 8))
    assert probekit.tap(net, "0")(torch.rand(1, 3, 8, 8), sigma=0.1).sizes["channel"] == 4


class Offloaded(nn.Module):
    """Its convolution's weights lie elsewhere and come for the time of a call, as in offloading libraries."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(1, 2), conv(2, 1)
        self.kept = self.second.weight.detach().clone()
        self.second.weight = nn.Parameter(torch.empty_like(self.kept, device="meta"))

    def forward(self, y: Tensor) -> Tensor:
        meta = self.second.weight
        self.second.weight = nn.Parameter(self.kept)
        try:
            return self.second(self.first(y).relu())
        finally:
            self.second.weight = meta


def test_weights_on_the_meta_device_are_measured_and_kept_out_of_stores(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, x = Offloaded(), torch.rand(2, 1, 8, 8)
    with pytest.warns(UserWarning, match=r"changes what it holds in a forward pass \(second.weight\)"):
        data = probekit.tap(net, "second")(x, sigma=0.0)
    with torch.no_grad():
        np.testing.assert_allclose(data.phi[:, 0], net(x).mean((2, 3)), atol=1e-6)
    assert data.weights_sha256 == "unknown"
    # The tap that has warned once does not again.
    tap = probekit.tap(net, "second")
    with pytest.warns(UserWarning, match="changes what it holds"):
        tap(x, sigma=0.0)
    with pytest.raises(InputError, match=r"on the meta device.*without store="):
        tap(x, sigma=0.0, store=tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


# What is returned, and what it is called


@dataclass
class Output:
    sample: Tensor
    extra: tuple[Tensor, dict[str, Tensor]]


class Returning(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Splitting()
        self.out = conv(3, 3)

    def forward(self, y: Tensor) -> Tensor:
        found = self.inner(y)
        return self.out(found.sample + found.extra[0] + found.extra[1]["late"])


class Splitting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 9)

    def forward(self, y: Tensor) -> Output:
        a, b, c = self.conv(y).chunk(3, dim=1)
        return Output(a, (b, {"late": c}))


def test_nested_and_dataclass_outputs_are_listed_tapped_and_edited() -> None:
    torch.manual_seed(0)
    net, x = Returning(), torch.rand(2, 3, 8, 8)
    names = ["inner[sample]", "inner[extra][0]", "inner[extra][1][late]"]
    assert [n for n in probekit.taps(net, (3, 8, 8)).name if n.startswith("inner[")] == names
    with torch.no_grad():
        parts = net.inner.conv(x).chunk(3, dim=1)
        for k, name in enumerate(names):
            np.testing.assert_array_equal(probekit.tap(net, name).maps(x, sigma=0)[:, 0], parts[k])
            with probekit.tap(net, name).replace([0, 1, 2], 0.0):
                edited = net(x)
            torch.testing.assert_close(edited, net.out(sum(p for j, p in enumerate(parts) if j != k)))
    with pytest.raises(TapError, match=r"output is a Output.*inner\[sample\].*inner\[extra\]\[1\]\[late\]"):
        probekit.tap(net, "inner").maps(x, sigma=0)


def test_an_exact_path_comes_first_whatever_signs_are_in_it() -> None:
    class Keyed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict({"a@1": conv(3, 3), "b[0]": conv(3, 3), "a": conv(3, 3)})

        def forward(self, y: Tensor) -> Tensor:
            y = self.parts["a@1"](y)
            return self.parts["a"](self.parts["a"](self.parts["b[0]"](self.parts["b[0]"](y))))

    net, x = Keyed(), torch.rand(1, 3, 8, 8)
    table = probekit.taps(net, (3, 8, 8)).name.tolist()
    assert table == ["parts.a@1", "parts.b[0]@0", "parts.b[0]@1", "parts.a@0", "parts.a@1"]
    maps = probekit.tap(net, "parts.a@1").maps(x, sigma=0)
    np.testing.assert_array_equal(maps[:, 0], net.parts["a@1"](x).detach())
    np.testing.assert_array_equal(
        probekit.tap(net, "parts.b[0]@0").maps(x, sigma=0)[:, 0],
        net.parts["b[0]"](net.parts["a@1"](x)).detach(),
    )


def test_names_may_come_as_a_list() -> None:
    net, x = tiny(), torch.rand(1, 3, 8, 8)
    xr.testing.assert_identical(probekit.tap(net, ["0", "2"])(x, sigma=0.1), probekit.tap(net, "0", "2")(x, sigma=0.1))
    assert probekit.tap(net, "0", ("2", "3")).names == ("0", "2", "3")
    with pytest.raises(TapError, match="name at least one"):
        probekit.tap(net, [])
    with pytest.raises(TapError, match="one place"):
        probekit.tap(net, ["0", "2", "0"])


def test_results_of_parts_of_a_set_are_put_together_along_image(tmp_path: Path) -> None:
    net, x = tiny(), torch.rand(4, 3, 8, 8)
    tap = probekit.tap(net, "2")
    whole = tap(x, sigma=[0.1, 0.2], ids=list("abcd"))
    for store in (None, tmp_path):
        parts = [
            tap(x[k : k + 2], sigma=[0.1, 0.2], ids=list("abcd")[k : k + 2], store=store and store / f"{k}.zarr")
            for k in (0, 2)
        ]
        for kind in ("minimal", "all"):
            joined = xr.concat(parts, "image", data_vars=kind)
            xr.testing.assert_allclose(labels.once(joined), whole)
    other = joined.copy()
    other["rest"] = joined.rest + xr.DataArray([0.0, 0.0, 0.0, 1.0], dims="image")
    with pytest.raises(InputError, match="rest differs between images: the parts that were put together"):
        labels.once(other)


# "mid", found


class NoiseMapped(nn.Module):
    """Concatenates a map of the noise level, so that its first convolution has a plane more than its images."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.planes = planes
        self.body = nn.ModuleDict(
            {"down": conv(planes + 1, 4, 2), "mid": conv(4, 4), "up": nn.ConvTranspose2d(4, planes, 2, 2)}
        )

    def forward(self, y: Tensor, sigma: Tensor) -> Tensor:
        assert y.shape[1] == self.planes, f"expected {self.planes} planes, not {y.shape[1]}"
        noise = sigma.reshape(-1, 1, 1, 1).expand(len(y), 1, *y.shape[2:])
        return self.body["up"](self.body["mid"](self.body["down"](torch.cat([y, noise], dim=1))))


@pytest.mark.parametrize("planes", [1, 3, 5])
def test_mid_of_a_network_that_adds_a_plane_is_found(planes: int) -> None:
    net = probekit.Denoiser(NoiseMapped(planes), sigma_to="sigma")
    tap = probekit.tap(net, "mid")
    assert tap.paths["mid"] == ("" if planes == 5 else "body.mid")
    tap(torch.rand(2, planes, 8, 8), sigma=0.1)
    assert tap.paths["mid"] == "body.mid"
    with tap.ablate(0):
        net(torch.rand(2, planes, 8, 8), 0.1)


class Fields(nn.Module):
    """Takes fields of 14×9 and nothing else, with seven given planes."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 8, 14, 9))
        self.enter, self.middle, self.leave = conv(8, 4), conv(4, 4, 2), nn.Upsample((14, 9))
        self.last = conv(4, 1)

    def forward(self, y: Tensor, *, given: Tensor) -> Tensor:
        return self.last(self.leave(self.middle(self.enter(torch.cat([y, given], dim=1) + self.position))))


def test_mid_of_a_network_of_one_size_is_found_at_that_size() -> None:
    class Unconditioned(Fields):
        def forward(self, y: Tensor) -> Tensor:
            return super().forward(y, given=y.expand(-1, 7, -1, -1))

    net = Unconditioned()
    tap = probekit.tap(net, "mid")
    assert tap(torch.rand(2, 1, 14, 9), sigma=0.1).taps == "mid=middle"
    tap = probekit.tap(Fields(), "mid")
    features = tap.features(torch.rand(2, 1, 14, 9), given=torch.rand(2, 7, 14, 9))
    assert features.shape == (2, 4)
    assert tap.paths == {"mid": "middle"}


def test_an_output_that_is_no_clean_image_is_said_after_one_pass() -> None:
    passes = []

    class Variance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = conv(3, 4, 2), nn.ConvTranspose2d(4, 6, 2, 2)

        def forward(self, y: Tensor) -> Tensor:
            passes.append(y.shape)
            return self.up(self.down(y))

    with pytest.raises(probekit.errors.ModelError, match=r"returned \(1, 6, 64, 64\)"):
        probekit.tap(Variance(), "mid")
    assert [tuple(p) for p in passes if p[1] == 3] == [(1, 3, 64, 64)]


SHARDED = """
import sys
import numpy as np, torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
import probekit

def tiny():
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
    return nn.Sequential(*parts, nn.Conv2d(4, 3, 3, padding=1)).eval()

distributed.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=0, world_size=1)
net, plain, x = tiny(), tiny(), torch.rand(3, 3, 8, 8)
for part in (net[2], net):
    fully_shard(part, mesh=init_device_mesh("cpu", (1,)))
# Twice, since a pass that stops halfway would leave weights gathered.
for name in ("0", "2.0", "2", "0"):
    data, same = (probekit.tap(n, name)(x, sigma=0.1, batch_size=1) for n in (net, plain))
    np.testing.assert_array_equal(data.phi, same.phi)
    assert data.weights_sha256 == same.weights_sha256
with torch.no_grad(), probekit.tap(net, "2").ablate(0), probekit.tap(plain, "2").ablate(0):
    assert torch.equal(net(x), plain(x))
with torch.no_grad():
    assert torch.equal(net(x), plain(x))
print("alike")
distributed.destroy_process_group()
"""


def test_a_network_sharded_over_processes_is_measured_and_edited_like_a_whole_one(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error::UserWarning:probekit", "-c", SHARDED, str(tmp_path / "meet")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["alike"], run.stderr


class ChannelsLast(nn.Module):
    """As in ConvNeXt: a normalisation and a linear layer on (N, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear, self.out = conv(3, 6), nn.LayerNorm(6), nn.Linear(6, 6), conv(6, 3)

    def forward(self, y: Tensor) -> Tensor:
        return self.out(self.linear(self.norm(self.conv(y).permute(0, 2, 3, 1))).permute(0, 3, 1, 2))


@pytest.mark.parametrize("name", ["norm", "linear"])
def test_maps_whose_channels_are_last_are_not_taken_for_others(name: str) -> None:
    net, x = ChannelsLast(), torch.rand(2, 3, 8, 8)
    tap = probekit.tap(net, name)
    for use in (
        lambda: tap(x, sigma=0.0),
        lambda: tap.maps(x, sigma=0.0),
        lambda: tap.features(x),
        lambda: tap.ablate(0),
    ):
        with pytest.raises(TapError, match=rf"tap '{name}' is a L\w+, whose channels are the last dim"):
            use()
    own = probekit.tap(net, name, reduce=lambda a: a.mean((1, 2)))
    with torch.no_grad():
        a = net.norm(net.conv(x).permute(0, 2, 3, 1))
        expected = (a if name == "norm" else net.linear(a)).mean((1, 2))
        np.testing.assert_allclose(own(x, sigma=0.0).phi[:, 0], expected, atol=1e-6)
        assert torch.equal(own.features(x), expected)
