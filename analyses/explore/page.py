"""The explorer as one file: styles, scripts, the description and the arrays, all within it."""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from analyses.explore.contents import Contents
from probekit.machine.files import whole
from probekit.machine.progress import bar

__all__ = ["as_json", "as_text", "bundle", "packed", "shell_of", "styles", "write"]

WEB = files("analyses.explore") / "web"
START = "main"
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function\*? (\w+)|class (\w+)|const (\w+))", re.MULTILINE)
# Pages are opened from anywhere, and ask nothing of anybody: a policy says so to the browser.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; connect-src {}; "
    "base-uri 'none'; form-action 'none'"
)


def _text(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def styles() -> str:
    """The style sheet."""
    return _text("style.css")


@cache
def bundle() -> str:
    """The scripts as one ES module, each in a scope of its own, with the libraries.

    Written for modules of this package alone, which import and export by name, one statement a line.
    """
    order: list[str] = []
    _follow(START, order)
    parts = [_vendored("d3", "vendor/d3.min.js"), _vendored("Plot", "vendor/plot.min.js")]
    for name in order:
        text = _text(f"{name}.js")
        exported = [next(filter(None, found)) for found in EXPORT.findall(text)]
        body = IMPORT.sub(lambda found: f"const {{{found[1]}}} = module_{found[2]};\n", EXPORT.sub("", text))
        parts.append(f"const module_{name} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();\n")
    parts.append("const { mount } = module_main;\nconst { inPage, onServer, inKernel } = module_data;\n")
    return "\n".join(parts)


def _follow(name: str, order: list[str]) -> None:
    for _, needed in IMPORT.findall(_text(f"{name}.js")):
        if needed not in order:
            _follow(needed, order)
    order.append(name)


def _vendored(name: str, path: str) -> str:
    """A library whose script is made for anything, kept from being seen outside."""
    licence = _text(f"vendor/{Path(path).name.partition('.')[0]}-LICENSE.txt")
    text = _text(path)
    given = "const module = { exports: {} }, exports = module.exports, require = () => d3, define = undefined;"
    return f"/*\n{licence}*/\nconst {name} = (() => {{\n{given}\n{text}\nreturn module.exports;\n}})();\n"


def as_json(value: Any) -> str:
    """JSON that can stand in a script element whatever its texts hold."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(array: np.ndarray) -> tuple[bytes, str, list[int]]:
    """The bytes of an array, little-endian and deflated, its kind and its shape."""
    array = np.ascontiguousarray(array)
    return zlib.compress(array.astype(array.dtype.newbyteorder("<")).tobytes(), 6), array.dtype.name, list(array.shape)


def shell_of(contents: Contents, *, server: bool) -> tuple[str, str]:
    """What comes before and after the arrays of a page."""
    meta = contents.meta
    where = 'onServer("./")' if server else "inPage(document)"
    policy = POLICY.format("'self'" if server else "'none'")
    before = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(meta['title'])}</title>\n<style>\n:root {{ color-scheme: light dark; }}\n"
        f"body {{ margin: 0; }}\n{styles()}</style>\n</head>\n<body>\n"
        '<div id="explorer"><p>This page needs JavaScript, which it brings along; it asks nothing of any network.</p>'
        "</div>\n"
        f'<script type="application/json" id="meta">{as_json(meta)}</script>\n'
    )
    start = (
        f"{bundle()}\nconst described = JSON.parse(document.getElementById('meta').textContent);\n"
        f"mount(document.getElementById('explorer'), described, {where}, {{ page: true }});\n"
    )
    after = f'<script type="module">\n{start}</script>\n</body>\n</html>\n'
    return before, after


def _header(name: str, dtype: str, shape: list[int]) -> str:
    """The element that holds an array, up to its bytes."""
    return f'<script type="text/plain" id="array:{html.escape(name)}" data-dtype="{dtype}" data-shape="{shape}">'


def write(contents: Contents, path: Path, *, progress: bool | None = None) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    contents
        What it holds; every array is made, one at a time.
    path
        Of the file.
    progress
        Whether to show how far it is; None for in a terminal.

    Raises
    ------
    CapacityError
        If it cannot be written.
    """
    with whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for part in _page(contents, progress):
            file.write(part)


def as_text(contents: Contents) -> str:
    """The page as a text."""
    return "".join(_page(contents, False))


def _page(contents: Contents, progress: bool | None) -> Iterator[str]:
    before, after = shell_of(contents, server=False)
    yield before
    with bar(len(contents.makers), "array", progress, "page") as told:
        for name in contents.makers:
            data, dtype, shape = packed(contents.array(name))
            yield f"{_header(name, dtype, shape)}{base64.b64encode(data).decode('ascii')}</script>\n"
            told.update(1)
    yield after
