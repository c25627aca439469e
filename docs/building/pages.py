"""What a page that reads on GitHub becomes on the site: links out of docs/ lead somewhere, words are in a glossary."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["BLOB", "GENERATED", "copied", "glossary", "links"]

REPOSITORY = "https://github.com/probekit-denoisers/probekit"
BLOB = f"{REPOSITORY}/blob/main/"
# What the build puts into docs/ beside the pages that are there.
GENERATED = ("_build", "api", "gallery", "project")
FENCE = re.compile(r"(^ *(```+)[^\n]*\n.*?^ *\2 *$|(?<!`)`[^`\n]+`(?!`))", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<open>\]\()(?P<target>[^)#\s:]*)(?P<anchor>#[^)\s]*)?(?P<close>\))")
TERM = re.compile(r"\[(?P<words>[^\]]+)\]\((?:[\w/.]*/)?glossary\.md#(?P<slug>[^)]+)\)")
ENTRY = re.compile(r"^\*\*(?P<terms>.+?)\.\*\* (?P<rest>.*?)(?=\n\n|\Z)", flags=re.MULTILINE | re.DOTALL)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """A page with everything changed but its code."""
    parts = FENCE.split(text)
    # Of each match there are two groups, the whole and its fence: every third part from the first is prose.
    return "".join(change(part) if i % 3 == 0 else part if i % 3 == 1 else "" for i, part in enumerate(parts))


def slug(term: str) -> str:
    """A word's anchor."""
    return term.strip().lower().replace(" ", "-")


def terms(glossary_page: str) -> dict[str, str]:
    """The words of the glossary by their anchors."""
    named = (term for entry in ENTRY.finditer(glossary_page) for term in re.split(r", ", entry["terms"]))
    return {slug(term): term.strip() for term in named}


def glossary(text: str) -> str:
    """The page of words, **word.** and what it means, as a glossary of Sphinx's that pages can refer to."""
    first = ENTRY.search(text)
    if first is None:
        raise ValueError("the glossary has no entries **word.** meaning")
    entries = []
    for entry in ENTRY.finditer(text):
        words = "\n".join(term.strip() for term in entry["terms"].split(", "))
        meaning = "\n".join(f"  {line}" for line in entry["rest"].splitlines())
        entries.append(f"{words}\n{meaning}")
    return text[: first.start()] + "````{glossary}\n" + "\n\n".join(entries) + "\n````\n"


def links(text: str, page: Path, docs: Path, words: dict[str, str]) -> str:
    """A page whose links work on the site: those to words become terms, those out of docs/ lead into the repository.

    A link to an example's script leads to its page in the gallery.

    A link to a file that is not there stays as it is, and the build says so.
    """
    root = docs.parent

    def term(match: re.Match[str]) -> str:
        word = words.get(match["slug"], match["slug"])
        return f"{{term}}`{match['words']} <{word}>`"

    def link(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"] or ""
        if not target:
            return match[0]
        there = (page.parent / target).resolve()
        if not there.exists() or not there.is_relative_to(root):
            return match[0]
        own = {root / "CONTRIBUTING.md": "contributing.md", root / "CHANGELOG.md": "changelog.md"}.get(there)
        if own:
            up = "../" * len(page.parent.relative_to(docs).parts) if page.is_relative_to(docs) else ""
            return f"]({up}project/{own}{anchor})"
        if there.is_relative_to(docs / "examples") and there.suffix == ".py":
            return f"](gallery/{there.stem}.rst{anchor})"
        if there.is_relative_to(docs) and there.suffix in {".md", ".png", ".svg"}:
            return match[0]
        return f"]({BLOB}{there.relative_to(root).as_posix()}{anchor})"

    return outside_code(text, lambda prose: LINK.sub(link, TERM.sub(term, prose)))


def copied(docs: Path) -> None:
    """CONTRIBUTING.md and CHANGELOG.md as pages of the site, with links as seen from there."""
    folder = docs / "project"
    folder.mkdir(exist_ok=True)
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        text = (docs.parent / name).read_text(encoding="utf-8")
        moved = outside_code(text, lambda prose: re.sub(r"\]\((?![a-z]+:|#)", "](../../", prose))
        page = folder / name.lower()
        if not page.exists() or page.read_text(encoding="utf-8") != moved:
            page.write_text(moved, encoding="utf-8")
