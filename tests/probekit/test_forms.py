"""What notebooks show is short, and a name is a text there whatever it holds."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import probekit
from probekit.forms import THUMBNAILS
from probekit.images import ImageSet
from probekit.models.unet import UNet

TAGS = {"div", "strong", "bdi", "table", "tr", "th", "td", "img", "p"}
NAMES = st.text(min_size=1, max_size=300).filter(lambda s: s.strip() and not any("\ud800" <= c <= "\udfff" for c in s))


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert {name for name, _ in attrs} <= {"style", "alt", "src"}
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(text: str) -> Seen:
    found = Seen()
    found.feed(text)
    found.close()
    assert found.tags <= TAGS
    return found


def network() -> UNet:
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))


def images(count: int = 40, **options: Any) -> ImageSet:
    return probekit.images.load(np.random.default_rng(0).random((count, 3, 6, 5), dtype=np.float32), **options)


@given(st.lists(NAMES, min_size=3, max_size=3, unique_by=lambda s: s.strip().casefold()), NAMES)
def test_names_are_texts_whatever_they_hold(names: list[str], called: str) -> None:
    try:
        found = images(3, ids=names, labels=names)
    except probekit.InputError:
        # Two that only look alike are refused before they are shown.
        return
    shown = seen(found._repr_html_())
    # The parser makes one line end of two, as browsers do.
    for name in names:
        beginning = name[:20].replace("\r\n", "\n").replace("\r", "\n").split("\0")[0]
        assert beginning in shown.text.replace("\r", "\n")
    denoiser = probekit.Denoiser(network(), name=called)
    assert seen(denoiser._repr_html_()).text.startswith("Denoiser ")
    seen(probekit.tap(denoiser, "mid")._repr_html_())


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "\"'><img src=x>", "\u202eabc", "a\nb", "x" * 100_000]
)
def test_text_forms_are_short_and_in_one_line(hostile: str) -> None:
    found = images(3, labels=[hostile, "b", "c"])
    denoiser = probekit.Denoiser(network(), name=hostile)
    for one in (found, denoiser, probekit.tap(denoiser, "enc1", "mid")):
        assert len(repr(one)) <= 2000
        assert repr(one).isprintable()
        assert len(one._repr_html_()) <= 40_000
    seen(found._repr_html_())


def test_a_tap_of_a_thousand_places_is_told_in_a_few_words() -> None:
    model = torch.nn.Sequential(*(torch.nn.Conv2d(3, 3, 1) for _ in range(1000)))
    tap = probekit.tap(model, [str(k) for k in range(1000)])
    assert "and 995 more" in repr(tap)
    assert len(repr(tap)) <= 2000
    assert "and 980 taps more" in seen(tap._repr_html_()).text
    assert len(tap._repr_html_()) <= 10_000


@pytest.mark.parametrize(("high", "wide"), [(1, 500), (500, 1), (1, 1), (47, 46), (600, 500)])
def test_images_of_any_shape_have_thumbnails_of_one_size(high: int, wide: int) -> None:
    import base64
    from io import BytesIO

    from PIL import Image

    values = np.zeros((14, 1, high, wide), np.float32)
    values[3] = 0.5
    html = probekit.images.load(values)._repr_html_()
    sheet = Image.open(BytesIO(base64.b64decode(html.partition("base64,")[2].partition('"')[0])))
    assert sheet.size == (12 * 48, 2 * 48)
    assert sheet.getpixel((3 * 48, 0)) == (128, 128, 128)
    assert sheet.getpixel((2 * 48, 0)) == (0, 0, 0)


def test_no_two_large_images_are_held_at_once() -> None:
    at_once: list[int] = []
    found = images(40).watched(lambda batch: at_once.append(len(batch)))
    found._repr_html_()
    assert at_once == [1] * THUMBNAILS


def test_a_set_of_a_hundred_thousand_classes_is_told_in_a_few_words() -> None:
    found = probekit.images.load(np.zeros((30_000, 1, 1, 1), np.float32), labels=range(30_000))
    assert len(repr(found)) < 300
    text = seen(found._repr_html_()).text
    assert "30,000 of 1×1×1" in text
    assert "29988 more" in text


def test_images_are_counted_by_class_and_at_most_two_dozen_are_read() -> None:
    read: list[int] = []
    found = images(40, labels=["cat"] * 30 + ["dog"] * 10).watched(lambda batch: read.append(len(batch)))
    shown = seen(found._repr_html_())
    assert "cat: 30, dog: 10" in shown.text
    assert "img" in shown.tags
    assert sum(read) == THUMBNAILS


def test_images_that_cannot_be_read_are_said_in_words(tmp_path: Any) -> None:
    from PIL import Image

    for k in range(3):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{k}.png")
    found = probekit.images.load(tmp_path)
    (tmp_path / "1.png").unlink()
    shown = seen(found._repr_html_())
    assert "1 of 3 images cannot be shown" in shown.text
    assert "img" in shown.tags
    for k in (0, 2):
        (tmp_path / f"{k}.png").write_bytes(b"no picture")
    shown = seen(found._repr_html_())
    assert "3 of 3 images cannot be shown" in shown.text
    assert "img" not in shown.tags


def test_a_denoiser_says_its_network_its_settings_and_its_taps() -> None:
    denoiser = probekit.Denoiser(network(), predicts="noise", name="mine")
    text = seen(denoiser._repr_html_()).text
    count = sum(p.numel() for p in denoiser.network.parameters())
    for said in ("Denoiser mine", "UNet", f"{count:,} weights", "predicts='noise'", "enc1, mid"):
        assert said in text
    assert repr(denoiser).startswith("Denoiser(mine: UNet, predicts='noise'")
    assert "\n" not in repr(denoiser)
    other = probekit.Denoiser(torch.nn.Conv2d(3, 3, 1))
    assert "none declared" in other._repr_html_()


def test_a_tap_says_where_it_reads() -> None:
    text = seen(probekit.tap(network(), "enc1", "mid", reduce="max")._repr_html_()).text
    for said in ("reduce=max", "encoder.0", "mid", "middle"):
        assert said in text


def test_channels_are_edited_by_their_names_as_by_their_numbers() -> None:
    model = network().eval()
    tap = probekit.tap(model, "mid")
    y = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        with tap.ablate([1, 3]):
            by_number = model(y)
        with tap.ablate(["mid:1", "mid:3"]):
            by_name = model(y)
        with tap.scale("mid:2", 2.0):
            scaled = model(y)
        with tap.scale(2, 2.0):
            same = model(y)
        in_arrays: list[Any] = [np.array(["mid:1", "mid:3"], object), xr.DataArray(["mid:1", "mid:3"], dims="rank")]
        for names in in_arrays:
            with tap.ablate(names):
                assert torch.equal(model(y), by_name)
        with tap.ablate(np.array([1, 3])):
            assert torch.equal(model(y), by_name)
    assert torch.equal(by_number, by_name)
    assert torch.equal(scaled, same)


@pytest.mark.parametrize(
    "name", ["enc1:1", "mid", "mid:x", "mid:-1", "mid:²", "", ["mid:1", 2], ["other:1"], np.array(["enc1:1"])]
)
def test_names_of_other_taps_are_refused(name: Any) -> None:
    with pytest.raises(probekit.InputError, match='such as "mid:0"'):
        probekit.tap(network(), "mid").ablate(name)


def test_a_name_beyond_the_channels_is_refused_as_a_number_is() -> None:
    model = network().eval()
    with pytest.raises(probekit.TapError, match="99"), probekit.tap(model, "mid").ablate("mid:99"):
        model(torch.rand(1, 3, 8, 8))
