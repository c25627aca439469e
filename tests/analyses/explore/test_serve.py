"""The server answers browsers of this machine that know its address, and nobody else; the widget sends the same."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from analyses.explore import Explorer
from analyses.explore.serve import KEPT, Serving, arrays_of
from probekit import InputError


@pytest.fixture
def served(explorer: Explorer) -> Iterator[Serving]:
    with explorer.serve() as found:
        yield found


def get(url: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers={} if host is None else {"Host": host})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_arrays_come_as_they_are_asked_for_and_those_of_every_image(served: Serving, explorer: Explorer) -> None:
    detailed = explorer.contents.meta["images"]["detailed"]
    other = next(k for k in range(40) if k not in detailed)
    for name in ("phi/0/1", "pictures", "order/1", f"denoised/1/{other}", f"own-maps/0/1/{other}", f"noise/{other}"):
        status, headers, body = get(f"{served.url}array/{name}")
        assert status == 200
        array = np.frombuffer(zlib.decompress(body), headers["X-Dtype"]).reshape(json.loads(headers["X-Shape"]))
        np.testing.assert_array_equal(array, explorer.contents.made(name))


def test_the_page_names_itself_as_the_only_source(served: Serving) -> None:
    status, headers, body = get(served.url)
    assert status == 200
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"connect-src &#x27;self&#x27;" in body
    assert b"array:phi" not in body


@pytest.mark.parametrize("path", ["array/nothing", "array/phi/0/99", "array/../../etc/passwd", "other", "array/"])
def test_what_there_is_not_is_not_found(served: Serving, path: str) -> None:
    assert get(served.url + path)[0] == 404


def test_without_the_secret_or_by_another_host_s_name_nothing_is_answered(served: Serving) -> None:
    base = served.url.rsplit("/", 2)[0]
    assert get(f"{base}/")[0] == 404
    assert get(f"{base}/array/pictures")[0] == 404
    assert get(f"{base}/wrong/array/pictures")[0] == 404
    assert get(served.url, host="evil.example:80")[0] == 404
    assert get(served.url, host=served.url.split("/")[2])[0] == 200


def test_it_listens_on_loopback_alone_and_ends_when_it_is_closed(explorer: Explorer) -> None:
    found = explorer.serve()
    port = int(found.url.split(":")[2].split("/")[0])
    assert found._server.server_address[0] == "127.0.0.1"
    found.close()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
    with pytest.raises(urllib.error.URLError):
        get(found.url)


def test_a_port_that_is_taken_or_none_is_refused(explorer: Explorer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot be had"):
            explorer.serve(port=taken.getsockname()[1])
    for wrong in (-1, 70_000, 3.5, "80"):
        with pytest.raises(InputError, match="port"):
            explorer.serve(port=wrong)  # pyright: ignore[reportArgumentType]


def test_only_the_last_arrays_are_kept(explorer: Explorer) -> None:
    arrays = arrays_of(explorer)
    for k in range(40):
        arrays.packed(f"noise/{k}")
    assert len(arrays._kept) == 40 <= KEPT
    first = arrays.packed("noise/0")
    assert first is arrays.packed("noise/0")


def test_an_array_that_cannot_be_made_is_told_and_the_server_goes_on(served: Serving, explorer: Explorer) -> None:
    def broken() -> np.ndarray:
        raise InputError("the image has gone")

    explorer.contents.makers["broken"] = broken
    try:
        status, _, body = get(f"{served.url}array/broken")
    finally:
        del explorer.contents.makers["broken"]
    assert (status, body) == (500, b"the image has gone")
    assert get(served.url)[0] == 200


def test_a_widget_answers_with_the_same_arrays(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget")
    widget = explorer.widget()
    assert widget.meta == explorer.contents.meta
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=(): sent.append((content, list(buffers))))
    for asked in ({"name": "rest/0"}, {"name": "nothing"}, {"name": 3}, "rubbish"):
        widget._handle_custom_msg(asked, [])
    (told, (data,)), (none, []) = sent
    assert told["name"] == "rest/0"
    array = np.frombuffer(zlib.decompress(data), told["dtype"]).reshape(told["shape"])
    np.testing.assert_array_equal(array, explorer.contents.array("rest/0"))
    assert none == {"name": "nothing"}


def test_in_a_notebook_it_shows_itself(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    import analyses.explore.widget as module

    found = explorer._repr_mimebundle_()
    bundle = found[0] if isinstance(found, tuple) else found
    assert "application/vnd.jupyter.widget-view+json" in bundle

    def missing(_: Explorer) -> None:
        raise InputError("a widget needs anywidget")

    monkeypatch.setattr(module, "widget_of", missing)
    alone = explorer._repr_mimebundle_()
    assert alone["text/plain"] == repr(explorer)
    assert alone["text/html"].startswith("<iframe")
    assert alone["text/html"].count("<") == 2
