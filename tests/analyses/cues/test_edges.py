"""The table of a network, its figure, its verdict, and the command."""

import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

import probekit
from analyses import cues
from probekit.denoising.denoiser import Denoiser
from probekit.images import ImageSet
from probekit.models.unet import UNet
from tests.analyses.cues.making import CODES, IDS

PIXELS = 16


def network(seed: int = 7) -> Denoiser:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Denoiser(UNet((4, 6, 8, 8), image_channels=3, encoder_convs=(1, 1, 1), decoder_convs=(2, 1, 1)).eval())


def drawn(count: int = len(IDS)) -> ImageSet:
    """Images whose stripes' frequency and colour are their texture's, and whose blob's place is their shape's."""
    rng = np.random.default_rng(0)
    row, col = np.indices((PIXELS, PIXELS)) / PIXELS
    images = []
    for s, t in CODES.T[:count]:
        blob = np.exp(-((row - s % 4 / 4) ** 2 + (col - s // 4 / 4) ** 2) / 0.02)
        stripes = np.sin(2 * np.pi * (1 + t % 4) * (row if t % 2 else col))
        colour = np.array([t % 3, (t + 1) % 3, t % 2])[:, None, None] / 4
        images.append(
            0.1 + 0.8 * colour * (0.5 + 0.3 * stripes) + 0.2 * blob + 0.01 * rng.normal(size=(PIXELS, PIXELS))
        )
    return probekit.images.load(np.stack(images).astype(np.float32), ids=IDS[:count])


SETTINGS = cues.Settings(resamples=100, draws=1)
FOUND = cues.table(drawn(), network(), settings=SETTINGS, progress=False)


def test_the_table_has_the_network_both_untrained_twins_pixels_and_gist() -> None:
    rows = ["trained", "untrained", "untrained, paper's gains", "pixels", "gist"]
    assert FOUND["representation"].values.tolist() == rows
    assert FOUND["group"].values.tolist() == ["trained", "untrained", "untrained", "descriptor", "descriptor"]
    assert FOUND.attrs["twins"].split("; ") == rows[1:3]
    assert FOUND["treatment"].values.tolist() == ["as they are", "equalised grey"]
    assert {"enc1", "enc3", "mid"} <= set(FOUND["block"].values)
    assert (FOUND.attrs["textures"], FOUND.attrs["shapes"], FOUND.attrs["images"]) == (12, 16, len(IDS))
    for name in ("texture", "shape", "difference", "gain"):
        low, high = FOUND[f"{name}_low"], FOUND[f"{name}_high"]
        assert FOUND[name].notnull().all()
        assert (low <= high).all()


@pytest.mark.filterwarnings("ignore:images of .* equalised reach:UserWarning")
def test_a_row_is_what_analyse_finds_of_that_network_alone() -> None:
    images, net = drawn(), network()
    for treatment, treated in (("as they are", images), ("equalised grey", cues.equalised(images))):
        phi = probekit.tap(net, *FOUND["block"].values)(treated, sigma=0.1, draws=1, progress=False)
        alone = cues.analyse({"trained": phi}, resamples=100)
        both = FOUND.sel(treatment=treatment, representation=["trained"])
        for name in ("texture", "texture_low", "shape", "difference_high"):
            np.testing.assert_allclose(both[name], alone[name], atol=1e-12)


def test_equalised_images_are_grey_and_of_one_mean_and_contrast() -> None:
    images = drawn(20)
    values = cues.equalised(images).read(range(20)).double()
    assert torch.equal(values[:, 0], values[:, 1])
    assert torch.equal(values[:, 0], values[:, 2])
    np.testing.assert_allclose(values.mean(dim=(1, 2, 3)), 0.5, atol=1e-6)
    np.testing.assert_allclose(values[:, 0].std(dim=(1, 2), correction=0), 0.15, atol=1e-6)
    # Nothing but mean and contrast is taken off luminance.
    grey = torch.einsum("nchw,c->nhw", images.read(range(20)).double(), torch.tensor([0.299, 0.587, 0.114]).double())
    for one, other in zip(values[:, 0], grey, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(1, abs=1e-6)
    assert cues.equalised(images).ids == images.ids


def test_contrast_and_colour_of_textures_tell_nothing_once_they_are_equalised() -> None:
    rng = np.random.default_rng(0)
    pattern = rng.random((len(IDS), 1, PIXELS, PIXELS))
    tint = rng.uniform(0.2, 1, (12, 3, 1, 1))[CODES[1]]
    tinted = probekit.images.load((pattern * tint).astype(np.float32), ids=IDS)
    found = cues.table(tinted, network(), settings=SETTINGS, progress=False)["texture"]
    pixels = found.sel(representation="pixels", distance="euclidean").isel(block=0, sigma=0)
    # By chance 16/191: of 192 images, 35 neighbours that share the texture are passed with p < 10⁻⁵ (binomial).
    assert pixels.sel(treatment="as they are") > 35 / 192 > pixels.sel(treatment="equalised grey")


def test_a_store_gives_the_same_again(tmp_path: Path) -> None:
    first = cues.table(drawn(), network(), settings=SETTINGS, store=tmp_path / "kept", progress=False)
    again = cues.table(drawn(), network(), settings=SETTINGS, store=tmp_path / "kept", progress=False)
    xr.testing.assert_identical(first, again)
    xr.testing.assert_allclose(first, FOUND)


def test_a_network_of_ones_own_has_the_untrained_twin_that_its_modules_make() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 3, padding=1))
    net.tap_aliases = {"mid": "1"}  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    found = cues.table(drawn(), net.eval(), settings=SETTINGS, progress=False)
    assert found["representation"].values.tolist() == ["trained", "untrained", "pixels", "gist"]
    assert found.attrs["twins"] == "untrained"
    judged = cues.verdict(found, blocks="mid")
    assert judged.sizes["criterion"] == 4
    assert "not judged" not in judged["outcome"].values


def test_settings_and_the_command_take_ten_draws() -> None:
    command = import_module("analyses.cues.shell").command
    assert cues.Settings().draws == inspect.signature(command).parameters["draws"].default == 10


def table_with(difference: float, gain: float, spread: float = 0.1) -> xr.Dataset:
    """The table with these numbers everywhere."""
    changed = {}
    for name, value in (("difference", difference), ("gain", gain)):
        for end, shift in (("", 0.0), ("_low", -spread), ("_high", spread)):
            changed[name + end] = xr.full_like(FOUND[name], value + shift)
    return FOUND.assign(changed)


@pytest.mark.parametrize(
    ("difference", "gain", "said"),
    [
        (0.5, 0.5, "holds"),
        (0.5, -0.5, "partly"),
        (0.5, 0.05, "undecided"),
        (-0.5, 0.5, "partly"),
        (-0.5, -0.5, "does not hold"),
        (-0.5, 0.0, "does not hold"),
        (0.0, 0.0, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_the_claim_holds_where_all_intervals_lie_above_0(difference: float, gain: float, said: str) -> None:
    judged = cues.verdict(table_with(difference, gain))
    assert judged.attrs["verdict"] == said
    # Two treatments, two blocks, one noise level; against 0 and two untrained networks.
    assert judged.sizes["criterion"] == 12
    assert set(judged["less"].values) == {"none", "untrained", "untrained, paper's gains"}


def test_one_untrained_network_that_may_not_be_exceeded_leaves_it_undecided() -> None:
    found = table_with(0.5, 0.5)
    found["gain_low"].loc[
        {"representation": "untrained, paper's gains", "block": "enc3", "treatment": "as they are"}
    ] = -1
    judged = cues.verdict(found)
    assert judged.attrs["verdict"] == "undecided"
    assert (judged["outcome"].values == "undecided").sum() == 1
    # By its number, not its place; without any the claim could still be refuted.
    assert cues.verdict(found.isel(block=slice(None, None, -1))).attrs["blocks"] == judged.attrs["blocks"]
    assert cues.verdict(found.sel(block=["mid"])).attrs["verdict"] == "not judged"
    assert cues.verdict(found, blocks="mid").attrs["verdict"] == "holds"
    assert cues.verdict(found.isel(treatment=[0]), blocks="mid").attrs["verdict"] == "not judged"
    assert cues.verdict(found, distance="standardised").attrs["verdict"] == "undecided"


def test_the_figure_has_a_panel_for_each_cue_treatment_and_noise_level() -> None:
    figure = cues.plot(FOUND, distance="standardised")
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 4
    assert [len(axis.containers) for axis in figure.axes] == [5] * 4


def test_the_command_measures_judges_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for one, image in zip(IDS, drawn().read(range(len(IDS))), strict=True):
        path = tmp_path / "images" / one
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = (image.clip(0, 1) * 255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    (tmp_path / "my_net.py").write_text("from tests.analyses.cues.test_edges import network as make\n")
    assert cues.main(["images", "--network", "my_net:make", "--draws", "1", "-o", "out", "--quiet"]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "cues-stores",
        "cues-verdict.nc",
        "cues.nc",
        "cues.png",
    ]
    assert "cues.nc" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "out" / "cues-verdict.nc") as judged:
        assert judged.attrs["verdict"] in ("holds", "partly", "does not hold", "undecided")
