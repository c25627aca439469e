"""The documentation site: `make docs` builds it in docs/_build/html."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))
# As the tests: small networks gain nothing by a second thread, and figures are drawn without a screen.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import probekit  # noqa: E402
from docs.building import api, pages, pictures, references  # noqa: E402

# What the package tells those who listen is no concern of the build's.
logging.getLogger("probekit").setLevel(logging.WARNING)

project = "probekit"
author = "The probekit developers"
version = release = probekit.__version__.partition("+")[0]
copyright = author

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "building", "gallery/*.ipynb", "**/sg_execution_times.rst"]
nitpicky = True
# Nothing is fetched to build the site, so other packages' names lead nowhere.
nitpick_ignore_regex = [("py:.*", r"^(?!probekit\.|analyses\.).*")]
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 4

default_role = "name"
autosummary_generate = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
numpydoc_show_class_members = False
numpydoc_validation_checks: set[str] = set()
add_module_names = False
modindex_common_prefix = ["probekit.", "analyses."]

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "image_scrapers": (pictures.unmanaged, "matplotlib"),
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "doc_module": ("probekit", "analyses"),
    "reference_url": {"probekit": None, "analyses": None},
    "image_srcset": ["2x"],
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "remove_config_comments": True,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
    "copyfile_regex": r"$^",
}
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

html_theme = "furo"
html_title = "probekit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": True,
    "footer_icons": [{"name": "GitHub", "url": pages.REPOSITORY, "html": "Source on GitHub", "class": ""}],
}


def _read(app, docname: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return
    words = pages.terms((DOCS / "glossary.md").read_text(encoding="utf-8"))
    text = pages.links(content[0], page, DOCS, words)
    content[0] = pages.glossary(text) if docname == "glossary" else text


def _write(app, config) -> None:  # noqa: ARG001
    api.write(DOCS / "api")
    pages.copied(DOCS)
    for made in (DOCS / "gallery").glob("plot_*"):
        if not (DOCS / "examples" / made.name.partition(".")[0]).with_suffix(".py").exists():
            made.unlink()


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Called by Sphinx for each name."""
    return references.source_of(domain, info, DOCS.parent, pages.BLOB)


def setup(app) -> None:
    """Called by Sphinx before it begins."""
    app.connect("config-inited", _write)
    app.connect("source-read", _read)
    references.setup(app, api.homes())
