"""Figures that an example makes without pyplot, as `probekit.draw` and every `plot` of an analysis does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["unmanaged"]

SHOWN = "shown on the site"


def unmanaged(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any], **options: Any) -> str:  # noqa: ARG001
    """The figures among an example's variables that no window of pyplot holds, each shown where it was made."""
    from matplotlib.figure import Figure
    from sphinx_gallery.scrapers import figure_rst

    made = []
    for figure in block_vars["example_globals"].values():
        if not isinstance(figure, Figure) or figure.get_gid() == SHOWN:
            continue
        if figure.canvas.manager is None:
            path = next(block_vars["image_path_iterator"])
            figure.savefig(path, dpi=150)
            made.append(Path(path).as_posix())
        # Also one of pyplot's, which is shown next, and then closed: it has no window any more.
        figure.set_gid(SHOWN)
    return figure_rst(made, gallery_conf["src_dir"]) if made else ""
