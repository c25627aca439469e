"""The page is one file that asks nothing of anybody, whatever names hold; and it is written whole or not at all."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import probekit
from analyses.explore import Explorer
from analyses.explore.page import as_json, as_text, bundle
from probekit import CapacityError, InputError
from probekit.images import ImageSet
from tests.analyses.explore.conftest import HOSTILE, network, pictures


class Elements(HTMLParser):
    """Elements of a page, with attributes and texts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][2].append(data)


def elements(text: str) -> list[tuple[str, dict[str, str | None], list[str]]]:
    parser = Elements()
    parser.feed(text)
    parser.close()
    return parser.found


@pytest.fixture(scope="module")
def page(explorer: Explorer) -> str:
    return as_text(explorer.contents)


def test_a_page_has_no_element_that_a_name_has_put_there(page: str) -> None:
    tags = {tag for tag, _, _ in elements(page)}
    assert tags == {"html", "head", "meta", "link", "title", "style", "body", "div", "p", "script"}
    scripts = [attrs for tag, attrs, _ in elements(page) if tag == "script"]
    assert {attrs.get("type") for attrs in scripts} == {"application/json", "text/plain", "module"}
    assert sum(attrs.get("type") == "module" for attrs in scripts) == 1


def test_a_page_says_what_was_given_to_the_letter(page: str, explorer: Explorer, images: ImageSet) -> None:
    found = elements(page)
    meta = json.loads(next("".join(text) for _, attrs, text in found if attrs.get("id") == "meta"))
    assert meta["images"]["ids"] == list(images.ids)
    assert meta["images"]["ids"][: len(HOSTILE)] == list(HOSTILE)
    assert meta["title"] == HOSTILE[4] == next("".join(text) for tag, _, text in found if tag == "title").strip()
    hashes = [one.data.attrs["weights_sha256"] for one in explorer.networks.values()]
    assert [one["sha256"] for one in meta["networks"]] == hashes
    assert hashes[0] != hashes[1]


def test_every_array_comes_back_from_the_page(page: str, explorer: Explorer) -> None:
    held = {
        str(attrs["id"]): (attrs, "".join(text))
        for tag, attrs, text in elements(page)
        if tag == "script" and attrs.get("id")
    }
    assert set(held) - {"meta"} == {f"array:{name}" for name in explorer.contents.makers}
    for name in explorer.contents.makers:
        attrs, text = held[f"array:{name}"]
        raw = zlib.decompress(base64.b64decode(text))
        array = np.frombuffer(raw, str(attrs["data-dtype"])).reshape(json.loads(str(attrs["data-shape"])))
        np.testing.assert_array_equal(array, explorer.contents.array(name))


def test_a_page_may_ask_nothing_of_a_network(page: str) -> None:
    found = elements(page)
    policy = next(attrs["content"] for _, attrs, _ in found if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    sources = [attrs[name] for _, attrs, _ in found for name in ("src", "href") if attrs.get(name)]
    assert sources == ["data:,"]


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_a_page_is_the_same_and_ends_no_script(value: object) -> None:
    text = as_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.isascii()


def test_scripts_export_what_they_say_and_know_one_another() -> None:
    # Joined by name into one module; a name that a module takes from another and that is not there would be undefined.
    for path in Path(str(sys.modules["analyses.explore.page"].WEB)).glob("*.js"):
        for line in path.read_text().splitlines():
            if line.startswith("import "):
                wanted, _, module = line.removeprefix("import {").partition("} from ")
                exported = (path.parent / module.strip(' ";')).read_text()
                for name in filter(None, (one.strip() for one in wanted.split(","))):
                    assert any(
                        f"export {kind} {name}" in exported for kind in ("function", "async function", "class", "const")
                    ), (path.name, name)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_scripts_as_one_module_are_without_fault_of_syntax() -> None:
    done = subprocess.run(
        ["node", "--check", "--input-type=module", "-"],
        input=bundle(),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_page_is_saved_where_it_is_asked_for(explorer: Explorer, tmp_path: Path, page: str) -> None:
    assert explorer.save(tmp_path / "a.html", progress=False) == tmp_path / "a.html"
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page
    assert [one.name for one in tmp_path.iterdir()] == ["a.html"]


def test_a_page_that_cannot_be_finished_leaves_what_was_there(explorer: Explorer, tmp_path: Path) -> None:
    target = tmp_path / "a.html"
    target.write_text("before")

    def broken() -> np.ndarray:
        raise CapacityError("no memory is left")

    explorer.contents.makers["broken"] = broken
    try:
        with pytest.raises(CapacityError, match="no memory"):
            explorer.save(target, progress=False)
    finally:
        del explorer.contents.makers["broken"]
    assert target.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [("page.txt", "ends in .html"), ("page", "ends in .html"), (3, "the path of a file"), (None, "path")],
)
def test_other_files_are_refused(explorer: Explorer, path: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        explorer.save(path)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sigma": [0.0, 0.1]}, "noise levels above 0"),
        ({"sigma": []}, "sigma is empty"),
        ({"draws": 0}, "draws"),
        ({"detailed": -1}, "detailed"),
        ({"taps": []}, "names of taps"),
        ({"taps": [3]}, "names of taps"),
        ({"reduce": "median"}, "reduce"),
        ({"samples": 3}, "sampling.reconstruct"),
        ({"against": {"UNet": "photo32"}}, "names other than"),
        ({"against": {3: "photo32"}}, "networks by name"),
        ({"code": {"other": ""}}, "'load' and 'images'"),
        ({"progress": 3}, "progress"),
    ],
)
def test_options_out_of_their_range_are_refused_before_anything_is_measured(options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        probekit.explore(network(), pictures(4), **options)


def test_options_that_there_are_not_are_an_error_of_python_s_own_kind() -> None:
    with pytest.raises(TypeError, match="no option 'sigmas'"):
        probekit.explore(network(), pictures(4), sigmas=[0.1])


def test_too_few_and_too_many_images_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"from 2 to 10,000"):
        probekit.explore(network(), pictures(1))
    with pytest.raises(InputError, match=r"images\[:1000\]"):
        probekit.explore(network(), np.zeros((10_001, 3, 2, 2), np.float32))
    found = probekit.explore(
        network(), pictures(2001, 2), sigma=[0.3], draws=1, against=None, taps=["enc1"], detailed=0, progress=False
    )
    with pytest.raises(InputError, match=r"2,000 images and there are 2,001.*serve"):
        found.save(tmp_path / "a.html")
    assert not list(tmp_path.iterdir())


def test_a_network_whose_weights_cannot_be_drawn_anew_is_shown_alone_and_the_page_says_why() -> None:
    import torch

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(1))
            self.relu = torch.nn.ReLU()

        def forward(self, y: torch.Tensor) -> torch.Tensor:
            return self.relu(y * self.gain)

    found = probekit.explore(Fixed(), pictures(4), sigma=[0.2], draws=1, taps=["relu"], progress=False)
    assert list(found.networks) == ["Fixed"]
    assert "drawn anew" in found.contents.meta["left_out"]


def test_several_networks_keep_their_names_and_their_weights() -> None:
    other = network()
    found = probekit.explore(
        network(), pictures(4), against={"twin": other, "third": other}, sigma=[0.2], draws=1, progress=False
    )
    assert list(found.networks) == ["UNet", "twin", "third"]
    assert repr(found).startswith("Explorer(UNet and twin and third, 4 images at ")
    again = probekit.explore(network(), pictures(4), against=other, sigma=[0.2], draws=1, progress=False)
    assert list(again.networks) == ["UNet", "UNet 2"]
