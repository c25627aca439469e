"""Names of places: aliases, paths, repeated calls, tuple items, and a bottleneck that nobody declared."""

import pytest
import torch
from networks import DiffusersStyle
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from probekit.errors import InputError, TapError
from probekit.models.unet import UNet


class PoolingUNet(nn.Module):
    """A UNet whose coarsest block pools and convolves, as many public ones do; declares no taps."""

    def __init__(self, squeeze: bool = False) -> None:
        super().__init__()
        self.inc = nn.Conv2d(1, 2, 3, padding=1)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(2, 4, 3, padding=1), nn.ReLU())
        self.down2 = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.up1 = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.up2 = nn.ConvTranspose2d(8, 2, 2, stride=2)
        self.out = nn.Conv2d(4, 1, 3, padding=1)
        self.gate = nn.AdaptiveAvgPool2d(1) if squeeze else None

    def forward(self, y: Tensor) -> Tensor:
        a = self.inc(y)
        b = self.down1(a)
        c = self.down2(b)
        if self.gate is not None:
            c = c * self.gate(c).sigmoid()
        return self.out(torch.cat([self.up2(torch.cat([self.up1(c), b], 1)), a], 1))


def flat() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))


def test_the_table_lists_every_map_once_per_call_in_order_with_its_share_of_the_work() -> None:
    table = probekit.taps(UNet((4, 8, 8), encoder_convs=(2, 2), decoder_convs=(2, 2)), (3, 8, 12)).set_index("name")
    assert list(table.columns) == ["alias", "kind", "channels", "rows", "cols", "calls", "cost"]
    assert table.loc["middle", ["alias", "channels", "rows", "cols", "calls"]].tolist() == ["mid", 8, 2, 3, 1]
    assert table.loc["pool@1", ["kind", "rows", "calls"]].tolist() == ["AvgPool2d", 2, 2]
    assert table.cost.is_monotonic_increasing
    assert table.cost.iloc[-1] == 1
    assert list(table.index[table.alias != ""]) == ["encoder.0", "encoder.1", "middle", "decoder.1"]


def test_the_middle_of_the_papers_network_takes_24_percent_of_the_work() -> None:
    with torch.device("meta"):
        model = UNet()
    table = probekit.taps(model, (3, 64, 64)).set_index("alias")
    assert table.loc["mid", "cost"] == pytest.approx(0.24, abs=0.005)


def test_every_name_of_the_table_is_a_tap_of_the_shape_it_states() -> None:
    torch.manual_seed(0)
    for net, bands in ((DiffusersStyle(), 3), (PoolingUNet(), 1)):
        x = torch.rand(1, bands, 8, 12).numpy()
        for row in probekit.taps(net, (bands, 8, 12)).itertuples():
            maps = probekit.tap(net, row.name).maps(x, sigma=0.0)
            assert maps.shape[2:] == (row.channels, row.rows, row.cols)


def test_tuple_outputs_are_listed_and_tapped_by_item() -> None:
    names = probekit.taps(DiffusersStyle(), (3, 8, 8)).name.tolist()
    assert "down_blocks.0[0]" in names
    with pytest.raises(TapError, match=r'output is a tuple.*choose "down_blocks.0\[0\]"'):
        probekit.tap(DiffusersStyle(), "down_blocks.0")(torch.zeros(1, 3, 8, 8), sigma=0.1)


@pytest.mark.parametrize(
    ("net", "path"),
    [
        (DiffusersStyle(), "mid_block"),
        (PoolingUNet(), "down2"),
        (PoolingUNet(squeeze=True), "down2"),
        (nn.Sequential(PoolingUNet(), flat()), "0.down2"),
    ],
)
def test_mid_is_found_as_the_last_block_at_the_coarsest_resolution(net: nn.Module, path: str) -> None:
    assert probekit.tap(net, "mid").paths == {"mid": path}


def test_mid_without_down_sampling_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(TapError, match=r'"mid" is not unique.*without down-sampling.*there are 0, 1, 2'):
        probekit.tap(flat(), "mid")


def test_mid_of_a_network_that_cannot_be_tried_is_looked_for_when_there_are_images() -> None:
    class Picky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3)

        def forward(self, _: Tensor) -> Tensor:
            raise RuntimeError("only on Tuesdays")

    tap = probekit.tap(Picky(), "mid")
    assert tap.paths == {"mid": ""}
    with pytest.raises(TapError, match=r"measure images with this tap first, or name .*; there are conv"):
        tap.ablate(0)
    with pytest.raises(RuntimeError, match="only on Tuesdays"):
        tap(torch.zeros(1, 3, 8, 8), sigma=0.1)


def test_aliases_win_over_paths_and_may_name_calls_and_items() -> None:
    class Declared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(1, 1, 1), nn.ReLU()
            self.tap_aliases = {"conv": "act@1", "first": "act@0"}

        def forward(self, y: Tensor) -> Tensor:
            return self.act(-self.act(self.conv(y)))

    net = Declared()
    x = torch.rand(2, 1, 4, 4).numpy()
    assert (probekit.tap(net, "conv").maps(x, sigma=0) == 0).all()
    data = probekit.tap(net, "first", "conv")(x, sigma=0, draws=1)
    assert data.tap.values.tolist() == ["first", "conv"]
    net.tap_aliases = {"mid": "nowhere"}
    with pytest.raises(TapError, match="maps 'mid' to 'nowhere', which is no module path"):
        probekit.tap(net, "mid")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((), "name at least one tap: there are enc1, enc2, enc3, mid"),
        (("midle",), "no tap 'midle': did you mean 'mid' or 'middle'"),
        (("encoder.7",), "no tap 'encoder.7': did you mean 'encoder"),
        (("mid", "middle"), "'mid' and 'middle' are one place"),
        (("mid", "mid"), "name it once"),
        ((3,), "has no tap 3"),
        (("pool[",), "has no tap"),
    ],
)
def test_names_that_cannot_be_resolved_say_what_there_is(unet: UNet, names: tuple, says: str) -> None:
    with pytest.raises(TapError, match=says.replace("[", r"\[")):
        probekit.tap(unet, *names)


def test_a_module_called_several_times_must_be_tapped_by_call(unet: UNet) -> None:
    x = torch.zeros(1, 3, 8, 8)
    with pytest.raises(TapError, match=r'called 3 times.*"pool@0" to "pool@2"'):
        probekit.tap(unet, "pool")(x, sigma=0.1)
    with pytest.raises(TapError, match="called 3 times, counted from @0"):
        probekit.tap(unet, "pool@3")(x, sigma=0.1)


def test_a_tap_that_does_not_fire_is_an_error() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

        def forward(self, y: Tensor) -> Tensor:
            return F.relu(self.used(y))

    with pytest.raises(TapError, match="'unused' did not fire"):
        probekit.tap(Idle(), "unused")(torch.zeros(1, 1, 4, 4), sigma=0.1)


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_replicated_and_wholly_scripted_networks_are_refused() -> None:
    net = flat()
    with pytest.raises(TapError, match=r"DataParallel.*\.module"):
        probekit.tap(nn.DataParallel(net), "0")
    with pytest.raises(TapError, match=r"is compiled.*as it was before"):
        probekit.tap(torch.jit.script(net), "0")
    traced = torch.jit.trace(net, torch.rand(1, 1, 8, 8))
    with pytest.raises(TapError, match=r"is compiled.*as it was before"):
        probekit.tap(traced, "0")
    assert probekit.Denoiser(traced)(torch.rand(1, 1, 8, 8)).shape == (1, 1, 8, 8)  # pyright: ignore[reportArgumentType]


def test_the_table_refuses_shapes_that_are_not_images(unet: UNet) -> None:
    with pytest.raises(InputError, match=r"shape=\(64, 64\): give \(channels, rows, cols\)"):
        probekit.taps(unet, (64, 64))
    with pytest.raises(InputError, match="multiples of 8"):
        probekit.taps(unet, (3, 30, 32))
