"""The documentation site: public names are in the reference, pages are reached, links lead somewhere."""

import ast
import re
from pathlib import Path

import pytest

from docs.building import api, check, pages
from docs.building.docstrings import prepared

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.glob("*.md"))
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def public_names() -> list[str]:
    """What each package of the code lists in its ``__all__``, read from its file."""
    found = []
    for package in ("probekit", "analyses"):
        for init in sorted((ROOT / package).rglob("__init__.py")):
            room = ".".join(init.parent.relative_to(ROOT).parts)
            for node in ast.parse(init.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                    found += [(room, name) for name in ast.literal_eval(node.value)]
    return [f"{room}:{name}" for room, name in found]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the reference."""
    folder = tmp_path_factory.mktemp("api")
    api.write(folder)
    return folder


def test_every_public_name_has_its_entry_in_the_reference(reference: Path) -> None:
    names = public_names()
    assert len(names) > 200
    absent = []
    for room, _, name in (one.partition(":") for one in names):
        page = reference / f"{room}.rst"
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        own = rf"^\.\. (?:auto|py:)(?:function|class|data):: {name}$"
        module = rf"^\.\. automodule:: {room}\.{name}$|^Modules: .*:doc:`{re.escape(room)}\.{name}`"
        if not re.search(f"{own}|{module}", text, flags=re.MULTILINE):
            absent.append(f"{room}.{name}")
    assert not absent


def test_what_two_rooms_share_is_told_in_the_one_that_it_is_of(reference: Path) -> None:
    assert ".. autofunction:: sample\n" in (reference / "analyses.sampling.rst").read_text(encoding="utf-8")
    other = (reference / "analyses.generalisation.rst").read_text(encoding="utf-8")
    assert "The same as :py:obj:`analyses.sampling.sample`" in other
    assert ".. autoclass:: Workers\n" in (reference / "probekit.rst").read_text(encoding="utf-8")


def test_every_page_of_the_reference_is_in_its_table(reference: Path) -> None:
    index = (reference / "index.rst").read_text(encoding="utf-8")
    for page in reference.glob("*.rst"):
        assert page.stem == "index" or re.search(rf"^   {page.stem} <{page.stem}>$", index, flags=re.MULTILINE)


def test_a_package_of_no_chapter_is_in_the_table_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "CHAPTERS", {"One": ("probekit",)})
    api.write(tmp_path)
    index = (tmp_path / "index.rst").read_text(encoding="utf-8")
    assert "More\n" in index
    assert re.search(r"^   analyses.probe <analyses.probe>$", index, flags=re.MULTILINE)


def test_a_page_of_the_reference_that_is_no_longer_wanted_goes(tmp_path: Path) -> None:
    (tmp_path / "probekit.gone.rst").touch()
    api.write(tmp_path)
    assert not (tmp_path / "probekit.gone.rst").exists()
    assert (tmp_path / "probekit.rst").exists()


def in_toctrees() -> list[str]:
    trees = TOCTREE.findall((DOCS / "index.md").read_text(encoding="utf-8"))
    lines = [line.strip() for tree in trees for line in tree.splitlines()]
    return [line for line in lines if line and not line.startswith(":")]


def test_every_page_is_in_the_navigation_once() -> None:
    listed = in_toctrees()
    assert sorted(name for name in listed if "/" not in name) == [name for name in PAGES if name != "index"]
    assert {name for name in listed if "/" in name} == {
        "gallery/index",
        "api/index",
        "project/contributing",
        "project/changelog",
    }


def test_the_glossary_is_one_of_words_that_pages_can_refer_to() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    words = pages.terms(text)
    assert {"active-set", "unit", "φ", "blind", "noise-level"} <= words.keys()
    made = pages.glossary(text)
    assert "````{glossary}\nabove rest\n  φ − rest, what an image adds" in made
    assert "\nchannel\nunit\n  `channel` counts" in made
    # Nothing is lost: what is said is there in the same order, word for word.
    said = [re.sub(r"\W+", "", part) for part in (text, made.replace("````{glossary}", ""))]
    assert said[0] == said[1]


def test_links_to_words_of_the_glossary_are_to_words_that_are_there() -> None:
    words = pages.terms((DOCS / "glossary.md").read_text(encoding="utf-8"))
    used = [
        (page.name, match["slug"])
        for page in DOCS.glob("*.md")
        for match in pages.TERM.finditer(page.read_text(encoding="utf-8"))
    ]
    assert used
    assert not [(page, slug) for page, slug in used if slug not in words]


@pytest.mark.parametrize(
    ("written", "on_the_site"),
    [
        ("[a](glossary.md#active-set)", "{term}`a <active set>`"),
        ("[a](labels.md#variables)", "[a](labels.md#variables)"),
        ("[a](../LICENSE)", f"[a]({pages.BLOB}LICENSE)"),
        ("[a](slurm.py)", f"[a]({pages.BLOB}docs/slurm.py)"),
        ("[a](../CONTRIBUTING.md#add-a-claim)", "[a](project/contributing.md#add-a-claim)"),
        ("[a](../absent.md)", "[a](../absent.md)"),
        ("`[a](../LICENSE)`", "`[a](../LICENSE)`"),
        ("```\n[a](../LICENSE)\n```\n", "```\n[a](../LICENSE)\n```\n"),
        ("[a](examples/plot_2_diffusers.py)", "[a](gallery/plot_2_diffusers.rst)"),
        ("![a](figures/claims.png)", "![a](figures/claims.png)"),
    ],
)
def test_a_link_out_of_the_pages_leads_into_the_repository(written: str, on_the_site: str) -> None:
    assert pages.links(written, DOCS / "sampling.md", DOCS, {"active-set": "active set"}) == on_the_site


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here"><a href="#nowhere"><a href="b.html#there"><a href="b.html#not"><a href="c.html">'
        f'<a href="{pages.BLOB}LICENSE"><a href="{pages.BLOB}LICENCE"><img src="none.png"><a href="https://a.b/c">'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    assert check.broken(tmp_path) == [
        f"a.html: {link}" for link in ("#nowhere", "b.html#not", "c.html", f"{pages.BLOB}LICENCE", "none.png")
    ]


@pytest.mark.parametrize(
    ("written", "made"),
    [
        (
            ["Over σ.", "`mean` (sigma): the mean, which", "  goes on", "`sd`: spread", "More."],
            ["Over σ.", "", "- `mean` (sigma): the mean, which", "  goes on", "- `sd`: spread", "", "More."],
        ),
        (["mean |a|², of ``|a|``"], [r"mean \|a\|², of ``|a|``"]),
        ([">>> a |b"], [">>> a |b"]),
        (["√(1 − `error`²)"], [r"√(1 − `error`\ ²)"]),
        (["(n, *shape), but *near* rest"], [r"(n, \*shape), but *near* rest"]),
        (["how often is in docs/calibration.md."], ["how often is in :doc:`docs/calibration.md </calibration>`."]),
    ],
)
def test_a_docstring_of_plain_text_means_on_the_site_what_it_says(written: list[str], made: list[str]) -> None:
    assert prepared(written) == made
