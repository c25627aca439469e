"""The explorer from a server of this process, on the loopback address alone: for sets too large for one file."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from analyses.explore.page import packed, shell_of
from probekit import checks
from probekit.errors import InputError, ProbeError

if TYPE_CHECKING:
    from analyses.explore.explorer import Explorer

__all__ = ["Serving", "arrays_of", "serving"]

HOST = "127.0.0.1"
# Arrays kept packed, so that a page opened again is quick.
KEPT = 256
LARGEST_PORT = 65_535


class Serving:
    """A server that runs until it is closed; a context in which it runs.

    Attributes
    ----------
    url : str
        What a browser of this machine opens. It holds a secret, so that other pages and users cannot read along.
    """

    def __init__(self, server: ThreadingHTTPServer, secret: str) -> None:
        self._server = server
        self.url = f"http://{HOST}:{server.server_address[1]}/{secret}/"
        self._thread = threading.Thread(target=server.serve_forever, name="explorer", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Last until the server is closed, or Ctrl-C."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.5)
        finally:
            self.close()

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Serving({self.url})"


class Arrays:
    """Arrays of an explorer as they are asked for, one made at a time; the last ones are kept."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._kept: OrderedDict[str, tuple[bytes, str, list[int]]] = OrderedDict()
        self._lock = threading.Lock()

    def packed(self, name: str) -> tuple[bytes, str, list[int]] | None:
        """The bytes, kind and shape of an array; None where there is none of the name."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
            made = self._explorer.contents.made(name)
            if made is None:
                return None
            self._kept[name] = packed(made)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[name]


def arrays_of(explorer: Explorer) -> Arrays:
    """The arrays of an explorer, packed as they are asked for."""
    return Arrays(explorer)


def serving(explorer: Explorer, port: int) -> Serving:
    """Start a server.

    Raises
    ------
    InputError
        If the port is none, or cannot be had.
    """
    number = checks.whole("port", port, least=0)
    if number > LARGEST_PORT:
        raise InputError(f"port={number}: ports go up to {LARGEST_PORT}; give 0 for any that is free")
    secret, arrays = secrets.token_urlsafe(16), Arrays(explorer)
    before, after = shell_of(explorer.contents, server=True)
    page = (before + after).encode()

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "probekit", ""

        def do_GET(self) -> None:
            # A name that leads here from elsewhere, as rebinding a host does, is not answered.
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            path = unquote(self.path.partition("?")[0])
            if host not in (HOST, "localhost") or not path.startswith(f"/{secret}/"):
                self._answer(HTTPStatus.NOT_FOUND, b"")
            elif path == f"/{secret}/":
                self._answer(HTTPStatus.OK, page, {"Content-Type": "text/html; charset=utf-8"})
            elif path.startswith(f"/{secret}/array/"):
                self._array(path.removeprefix(f"/{secret}/array/"))
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"")

        def _array(self, name: str) -> None:
            try:
                found = arrays.packed(name)
            except (ProbeError, MemoryError) as error:
                self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode())
                return
            if found is None:
                self._answer(HTTPStatus.NOT_FOUND, b"")
                return
            data, dtype, shape = found
            headers = {"Content-Type": "application/octet-stream", "X-Dtype": dtype, "X-Shape": str(shape)}
            self._answer(HTTPStatus.OK, data, headers)

        def _answer(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            said = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", **(headers or {})}
            for key, value in said.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: Any) -> None:
            """Nothing is told of every request."""

    try:
        server = ThreadingHTTPServer((HOST, number), Handler)
    except OSError as error:
        raise InputError(f"port={number} cannot be had ({error}): give another, or 0 for any that is free") from error
    server.daemon_threads = True
    return Serving(server, secret)
