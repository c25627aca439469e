"""One look: palette and shapes that all eyes tell apart, themes, networks side by side, pictures."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib import rcParams
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure
from skimage.color import deltaE_ciede2000, rgb2lab

from analyses.ground import (
    HATCHES,
    MARKERS,
    PALETTE,
    block_colours,
    block_marks,
    common_levels,
    figure_of,
    level_colours,
    line_looks,
    mosaic,
    network_looks,
    networks_drawn,
    new_figure,
    picture,
    shown_range,
    themed,
    whiskers,
)
from probekit.errors import InputError

# Machado, Oliveira & Fernandes (2009), severity 1, of linear RGB.
EYES = {
    "normal": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TYPES = ("silent", "common", "selective", "suppressed", "mixed", "undecided")
NETWORKS = ("trained", "untrained", "untrained, paper's gains", "descriptor", "other network")
# CIEDE2000 of 12 is told apart at a glance, also where areas are small.
APART = 12
DARK = "#1b1b1f"


def linear(colour: Any) -> np.ndarray:
    values = np.array(to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def seen(colour: Any, eyes: str) -> np.ndarray:
    """CIE Lab of a colour as it is seen."""
    light = np.clip(np.asarray(EYES[eyes]) @ linear(colour), 0, 1)
    return rgb2lab(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def apart(one: Any, other: Any, eyes: str) -> float:
    return float(deltaE_ciede2000(seen(one, eyes), seen(other, eyes)))


def contrast(one: Any, other: Any) -> float:
    """Contrast of two colours by WCAG 2."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("names", [TYPES, NETWORKS], ids=["types", "networks"])
def test_no_two_types_of_channel_or_networks_look_alike_to_any_eyes(names: tuple[str, ...], eyes: str) -> None:
    pairs = {pair: apart(PALETTE[pair[0]], PALETTE[pair[1]], eyes) for pair in combinations(names, 2)}
    assert min(pairs.values()) >= APART, min(pairs, key=lambda pair: pairs[pair])


def test_colours_of_matplotlib_that_stood_for_selective_and_mixed_are_alike_to_a_protanope() -> None:
    # What the test before is for: it does tell such a pair.
    assert apart("tab:orange", "tab:green", "normal") > APART
    assert apart("tab:orange", "tab:green", "protanope") < APART / 2


@pytest.mark.parametrize("pair", [("samples", "held out"), ("training", "held out"), ("marked", "samples")])
def test_sets_of_images_of_one_panel_do_not_look_alike(pair: tuple[str, str]) -> None:
    assert min(apart(PALETTE[pair[0]], PALETTE[pair[1]], eyes) for eyes in EYES) >= APART


@pytest.mark.parametrize("name", [*TYPES, *NETWORKS])
def test_every_colour_shows_on_white_and_on_dark_paper(name: str) -> None:
    # Of the undecided, who fill whole bars, less is enough.
    least = 1.7 if name == "undecided" else 2.5
    assert contrast(PALETTE[name], "white") >= least
    assert contrast(PALETTE[name], DARK) >= least


def test_types_have_each_a_marker_and_those_that_are_decided_a_hatch_of_their_own() -> None:
    assert [MARKERS[name] for name in TYPES] == [".", "o", "^", "v", "D", "s"]
    assert set(HATCHES) == set(TYPES)
    hatched = [HATCHES[name] for name in TYPES if HATCHES[name]]
    assert len(set(hatched)) == len(hatched) == 4
    assert len({MARKERS[name] for name in NETWORKS}) == len(NETWORKS)
    assert MARKERS.keys() <= PALETTE.keys()


def test_networks_beside_each_other_differ_in_line_marker_and_colour_and_untrained_ones_are_hollow() -> None:
    names = ["photo32", "untrained", "untrained, paper's gains", "mine", "another", "untrained 2"]
    looks = network_looks(names)
    assert looks[0]["color"] == PALETTE["trained"]
    assert looks[1]["color"] == PALETTE["untrained"]
    assert looks[2]["color"] == PALETTE["untrained, paper's gains"]
    assert len({look["color"] for look in looks}) == len({look["marker"] for look in looks}) == len(names)
    assert len({look["ls"] for look in looks[:4]}) == 4
    assert [same_color(look["mfc"], "white") for look in looks] == ["untrained" in name for name in names]


def test_lines_without_a_meaning_of_their_own_are_told_apart() -> None:
    looks = [tuple(map(str, look.values())) for look in line_looks(32)]
    assert len(set(looks)) == 32


def test_a_theme_holds_within_its_block_and_axes_that_were_given_keep_what_holds() -> None:
    before = dict(dict.items(rcParams))
    with themed("dark"):
        assert same_color(rcParams["figure.facecolor"], DARK)
        figure = new_figure(2, 1)
    assert same_color(figure.get_facecolor(), DARK)
    with themed(None, figure.subplots()):
        assert dict(dict.items(rcParams)) == before
    assert dict(dict.items(rcParams)) == before


def test_all_settings_of_ones_own_are_a_theme_and_what_is_of_the_machine_is_left_alone() -> None:
    backend = rcParams["backend"]
    with themed({**rcParams, "font.size": 17, "backend": "pdf"}):
        assert rcParams["font.size"] == 17
        assert rcParams["backend"] == backend


def test_the_figure_of_axes_is_the_whole_one() -> None:
    figure = Figure()
    assert figure_of(figure.subplots()) is figure
    assert figure_of(figure.subfigures(1, 2)[0].subfigures(2, 1)[1].subplots()) is figure


def found(sigma: list[float], **attrs: str) -> xr.Dataset:
    return xr.Dataset({"x": ("sigma", np.arange(len(sigma), dtype=float))}, coords={"sigma": sigma}, attrs=attrs)


def test_networks_are_named_in_order_whether_by_a_dim_or_beside_each_other() -> None:
    one, other = found([0.1, 0.2], denoiser="mine"), found([0.2])
    assert list(networks_drawn(one, {"b": other, "a": other}, lambda given: given)) == ["mine", "b", "a"]
    joined = xr.concat([one, one], dim=xr.DataArray(["u", "v"], dims="network", name="network"))
    assert list(networks_drawn(joined, {"w": other}, lambda given: given)) == ["u", "v", "w"]
    with pytest.raises(InputError, match="lost their coordinate network: give"):
        networks_drawn(joined.drop_vars("network"), None, lambda given: given)


def test_noise_levels_are_those_that_all_have_spread_from_the_least_to_the_largest() -> None:
    many = found([round(0.1 * k, 1) for k in range(1, 10)])
    assert common_levels({"a": many}, 3) == [0.1, 0.5, 0.9]
    assert common_levels({"a": many, "b": found([0.3, 0.2, 0.7])}, 5) == [0.2, 0.3, 0.7]


def test_whiskers_reach_from_the_value_to_the_ends_of_its_interval_and_never_inwards() -> None:
    part = xr.Dataset({"x": ("k", [1.0, 2.0]), "x_low": ("k", [0.5, 2.5]), "x_high": ("k", [3.0, np.nan])})
    value, errors = whiskers(part, "x")
    assert value.tolist() == [1.0, 2.0]
    assert errors.tolist() == [[0.5, 0.0], [2.0, 0.0]]


def drawn(image: np.ndarray, **options: Any) -> np.ndarray:
    axis = Figure().subplots()
    picture(axis, image, "a picture", **options)
    assert axis.get_title() == "a picture"
    return np.asarray(axis.images[0].get_array())


def test_three_bands_are_colour_and_one_is_grey() -> None:
    image = np.random.default_rng(0).random((3, 4, 5))
    np.testing.assert_allclose(drawn(image), np.moveaxis(image, 0, -1))
    np.testing.assert_allclose(drawn(image[:1]), image[0])
    np.testing.assert_allclose(drawn(np.concatenate([image, image])), np.moveaxis(image, 0, -1))


def test_intensities_beyond_the_range_are_clipped_and_another_range_is_stretched() -> None:
    image = np.linspace(-1, 3, 12).reshape(1, 3, 4)
    assert drawn(image).min() == 0
    assert drawn(image).max() == 1
    np.testing.assert_allclose(drawn(image, limits=(-1, 3)), (image[0] + 1) / 4)


@pytest.mark.parametrize("bands", [1, 3])
def test_a_mosaic_holds_every_image_at_its_place_and_paper_between_them(bands: int) -> None:
    images = np.random.default_rng(0).random((2, 3, bands, 4, 5))
    axis = Figure().subplots()
    mosaic(axis, [list(images[0]), list(images[1][:2])], names=["a", "b"])
    whole = np.ma.filled(np.ma.asarray(axis.images[0].get_array()), np.nan)
    assert whole.shape[:2] == (4 + 1 + 4, 3 * 5 + 2)
    for r, c in ((0, 0), (0, 2), (1, 1)):
        place = whole[5 * r : 5 * r + 4, 6 * c : 6 * c + 5]
        np.testing.assert_allclose(place[..., :3] if bands == 3 else place, np.moveaxis(images[r, c], 0, -1).squeeze())
    # Between them, and where there is none, nothing is drawn.
    for empty in (whole[4], whole[5:, 12:]):
        assert np.isnan(empty).all() if bands == 1 else not empty[..., 3].any()
    assert [text.get_text() for text in axis.get_yticklabels()] == ["a", "b"]


def test_the_range_shown_is_0_to_1_unless_values_are_of_another() -> None:
    assert shown_range(np.array([-0.2, 1.3])) == (0.0, 1.0)
    assert shown_range(np.array([-1.0, 1.0])) == (-1.0, 1.0)
    low, high = shown_range(np.array([7.0, 7.0]))
    assert high > low


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_blocks_are_coloured_and_marked_by_their_side_of_the_network_and_levels_differ(theme: str) -> None:
    blocks = ["enc1", "enc2", "mid", "dec1", "layer1", "layer2"]
    with themed(theme):
        colours, levels, ink = block_colours(blocks), level_colours(7), rcParams["text.color"]
        paper = rcParams["axes.facecolor"]
    assert colours[2] == ink
    assert len(set(map(str, colours))) == 6
    assert block_marks(blocks) == ["o", "o", "s", "^", "D", "D"]
    assert len({tuple(c) for c in levels}) == 7
    # Each shows on its paper.
    assert min(contrast(colour, paper) for colour in [*colours, *map(tuple, levels)]) > 1.5
