"""Every link inside the built site leads to a page that is there, and to a place on it that is there.

From a shell: ``python docs/building/check.py docs/_build/html``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["broken"]

BLOB = "https://github.com/probekit-denoisers/probekit/blob/main/"
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Page:
    """What a page links to, and the places on it that can be linked to."""

    links: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        given = dict(attrs)
        self.page.places |= {given[name] or "" for name in ("id", "name") if name in given}
        self.page.links += [given[name] or "" for name in ("href", "src") if given.get(name)]


def read(html: str) -> Page:
    """The links and places of a page."""
    reader = _Reader()
    reader.feed(html)
    return reader.page


def broken(site: Path) -> list[str]:
    """The links that lead nowhere: the page, and what it links to."""
    pages = {path.resolve(): read(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    return [
        f"{path.relative_to(site.resolve())}: {link}"
        for path, page in pages.items()
        for link in sorted(set(page.links))
        if not _leads_somewhere(link, path, pages)
    ]


def _leads_somewhere(link: str, path: Path, pages: dict[Path, Page]) -> bool:
    if link.startswith(BLOB):
        return (ROOT / unquote(urlsplit(link).path.split("/blob/main/")[1])).exists()
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    there = there / "index.html" if there.is_dir() else there
    if there not in pages:
        return there.exists()
    place = unquote(parts.fragment)
    return not place or place in pages[there].places


def main(site: Path) -> int:
    """Say which links are broken; 1 where there are some, or no pages."""
    found = broken(site)
    count = sum(1 for _ in site.rglob("*.html"))
    print(*found, f"{count} pages, {len(found)} broken links", sep="\n")
    return int(bool(found) or not count)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
