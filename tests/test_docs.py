"""Every python block of the documentation runs: a page from top to bottom, in one namespace, in an empty folder."""

import re
import textwrap
from pathlib import Path

import pytest
import torch

from analyses.report.tables import page as findings_page
from docs.building.pages import GENERATED

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^(?P<indent> *)```python\n(?P<source>.*?)^(?P=indent)```", flags=re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The python blocks of a page, each moved down to its own line numbers."""
    text = page.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, match.start("source")) + textwrap.dedent(match["source"])
        for match in BLOCK.finditer(text)
    ]


# Pages, not what `make docs` has made beside them.
ALL = [page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in GENERATED]
PAGES = [page for page in ALL if blocks(page)]


def test_there_is_documentation_to_run() -> None:
    assert PAGES


def test_the_page_of_findings_is_what_the_rooms_declare() -> None:
    assert (DOCS / "findings.md").read_text(encoding="utf-8") == findings_page(), "make docs-sources"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_python_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    with torch.random.fork_rng(devices=[]):
        for source in blocks(page):
            exec(compile(source, str(page), "exec"), names)


WRITTEN = re.compile(r"""(?:store=|to_netcdf\(|-o )["']?([\w./-]+\.(?:zarr|nc))""")


def test_no_two_pages_write_a_file_of_one_name() -> None:
    # A reader follows them in one folder, and a store of another page's plan is refused.
    pages = [*ALL, DOCS.parent / "README.md"]
    names = {page.name: set(WRITTEN.findall(page.read_text(encoding="utf-8"))) for page in pages}
    assert sum(map(len, names.values())) > 5
    assert not {n for page in names for other in names if page < other for n in names[page] & names[other]}


# A package index shows the README, so its links are whole addresses of what is in this checkout.
HERE = re.compile(
    r"https://(?:github\.com/probekit-denoisers/probekit/blob/main|raw\.githubusercontent\.com/probekit-denoisers/probekit/main)/"
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


@pytest.mark.parametrize("page", [*ALL, *sorted(DOCS.parent.glob("*.md"))], ids=lambda p: p.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = LINK.findall(HERE.sub("../" * len(page.parent.relative_to(DOCS.parent).parts), prose))
    # What is made for the site alone is found missing when it is built.
    inside = [target for target in targets if "://" not in target and target.split("/")[0] not in GENERATED]
    absent = [target for target in inside if not (page.parent / target).exists()]
    assert not absent
