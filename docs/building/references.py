"""Names in docstrings, `tap` or `probekit.tap`: links where there is a page of them, code where there is none."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry, PythonDomain
from sphinx.roles import XRefRole

from docs.building.docstrings import prepared

__all__ = ["setup", "source_of"]

NAME = re.compile(r"(?P<name>\w+(?:\.\w+)+)(?:\(.*\))?")


def setup(app: Sphinx, homes: dict[str, str]) -> None:
    """Add the role ``name``, and lead references to where a thing is defined to where it is documented."""

    def found(app: Sphinx, env: Any, node: addnodes.pending_xref, content: nodes.Element) -> nodes.Node | None:
        if node.get("refdomain") != "py":
            return None
        target = node["reftarget"].removeprefix("~")
        place = _place(env, homes, target, node.get("py:module") or "")
        if place is not None:
            return _link(app, node["refdoc"], place, content, target)
        # A word alone is oftener a parameter or a variable than a name; a whole name must be one.
        whole = target.startswith(("probekit.", "analyses."))
        return content if _is_there(target) or (node.get("soft") and not whole) else None

    def linked(app: Sphinx, doctree: nodes.document, docname: str) -> None:
        """In pages, `sampling.reconstruct` or `probekit.tap(…)` leads to what is said of it."""
        if docname.startswith(("api/", "gallery/")):
            return
        for literal in list(doctree.findall(nodes.literal)):
            name = NAME.fullmatch(literal.astext())
            place = name and _place(app.env, homes, name["name"], "")
            if (
                place
                and isinstance(literal.parent, nodes.TextElement)
                and not isinstance(literal.parent, nodes.reference)
            ):
                literal.replace_self(_link(app, docname, place, literal.deepcopy(), literal.astext()))

    # Before numpydoc, whose priority is 500.
    app.connect("autodoc-process-docstring", _prepared, priority=400)
    app.add_role("name", _Name(innernodeclass=nodes.literal))
    app.connect("missing-reference", found)
    app.connect("doctree-resolved", linked)


def _place(env: Any, homes: dict[str, str], target: str, inside: str) -> ObjectEntry | None:
    """Where a name is documented: a word alone in the room itself, one with dots also with its package left out."""
    domain: PythonDomain = env.domains.python_domain
    tried = (target, f"probekit.{target}", f"analyses.{target}") if "." in target else ()
    for name in (f"{inside}.{target}", *tried):
        home = homes.get(name, name)
        if home in domain.objects:
            return domain.objects[home]
    return None


def _is_there(name: str) -> bool:
    """Whether a name of this package's is one in the code, though not a public one: signatures have such types."""
    module, _, last = name.rpartition(".")
    return name in sys.modules or (module in sys.modules and hasattr(sys.modules[module], last))


def _link(app: Sphinx, here: str, place: ObjectEntry, content: nodes.Element, title: str) -> nodes.reference:
    address = app.builder.get_relative_uri(here, place.docname) + f"#{place.node_id}"
    return nodes.reference("", "", content, internal=True, refuri=address, reftitle=title)


class _Name(XRefRole):
    def process_link(self, env, refnode, has_explicit_title, title, target):  # noqa: ARG002
        # None of Sphinx's own types, since these find a word wherever there is one of its name.
        refnode["refdomain"], refnode["reftype"] = "py", "name"
        refnode["soft"] = True
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        return title, target.strip().removesuffix("()")


def _prepared(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    lines[:] = prepared(lines)


def source_of(domain: str, info: dict[str, str], root: Path, blob: str) -> str | None:
    """Where the source of a name is read."""
    if domain != "py" or info["module"] not in sys.modules:
        return None
    thing: Any = sys.modules[info["module"]]
    for part in info["fullname"].split("."):
        thing = getattr(thing, part, None)
        thing = inspect.unwrap(thing) if callable(thing) else thing
    thing = getattr(thing, "fget", thing)
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return None
    try:
        file, (lines, first) = inspect.getsourcefile(thing), inspect.getsourcelines(thing)
    except (OSError, TypeError):
        return None
    if file is None or not Path(file).is_relative_to(root):
        return None
    return f"{blob}{Path(file).relative_to(root).as_posix()}#L{first}-L{first + len(lines) - 1}"
