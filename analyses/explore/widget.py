"""The explorer in a notebook, by anywidget: the same module, and a kernel that sends arrays as they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyses.explore.page import bundle, styles
from analyses.explore.serve import arrays_of
from probekit.errors import InputError

if TYPE_CHECKING:
    from analyses.explore.explorer import Explorer

__all__ = ["widget_of"]

RENDER = """
export default {
  render({ model, el }) {
    mount(el, model.get("meta"), inKernel(model), { page: false });
  },
};
"""


def widget_of(explorer: Explorer) -> Any:
    """A widget that shows an explorer.

    Raises
    ------
    InputError
        If anywidget is not installed.
    """
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise InputError(
            'a widget needs anywidget, which is not installed: pip install "probekit-denoisers[explore]", or use '
            ".save() or .serve()"
        ) from error
    arrays = arrays_of(explorer)

    class ExplorerWidget(anywidget.AnyWidget):
        _esm = f"{bundle()}\n{RENDER}"
        _css = styles()
        meta = traitlets.Dict().tag(sync=True)

    def answered(widget: Any, asked: Any, _buffers: Any) -> None:
        name = asked.get("name") if isinstance(asked, dict) else None
        if not isinstance(name, str):
            return
        try:
            found = arrays.packed(name)
        except Exception as error:
            # Whatever it is, the page that waits is told.
            widget.send({"name": name, "error": str(error)})
            return
        if found is None:
            widget.send({"name": name})
        else:
            data, dtype, shape = found
            widget.send({"name": name, "dtype": dtype, "shape": shape}, buffers=[data])

    widget = ExplorerWidget(meta=explorer.contents.meta)
    widget.on_msg(answered)
    return widget
