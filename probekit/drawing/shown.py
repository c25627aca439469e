"""Figures that a notebook shows as they are returned, whether or not pyplot was loaded there."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, ClassVar

from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure

__all__ = ["Shown"]

# Settings that are asked for again as a figure is drawn or saved: ticks, for one, are made when they come into sight.
ASKED_LATER = (
    "axes.",
    "font.",
    "grid.",
    "lines.",
    "mathtext.",
    "pdf.",
    "savefig.",
    "svg.",
    "text.",
    "xtick.",
    "ytick.",
)
# Of them, what is of the machine and not of the figure.
OF_THE_MACHINE = ("savefig.directory",)


class Shown(Figure):
    """A figure that shows itself as the last line of a notebook's cell, drawn with the settings that it was made with.

    It is none of pyplot's, which neither keeps it nor shows it a second time. Where a notebook has a way of its own to
    show figures of matplotlib, as the inline backend has, that way is gone instead.
    """

    # Settings that hold whatever the others are.
    always: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Looked up plainly: to ask for the backend loads one.
        self._settings: dict[Any, Any] = {
            name: value
            for name, value in dict.items(rcParams)
            if name.startswith(ASKED_LATER) and name not in OF_THE_MACHINE
        } | dict(self.always)

    def draw(self, renderer: Any) -> None:
        with rc_context(self._settings):
            super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        with rc_context(self._settings):
            super().savefig(fname, **options)

    def _repr_png_(self) -> bytes:
        """What notebooks show."""
        with BytesIO() as written:
            self.savefig(written, format="png")
            return written.getvalue()
