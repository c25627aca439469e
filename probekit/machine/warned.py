"""Warnings that name the line of the caller, outside of this package, however deep they arise."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warned"]

OURS = ("probekit.", "analyses.")


def warned(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of something that the nearest caller outside of this package should know.

    Parameters
    ----------
    message, category
        As for ``warnings.warn``.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level + 1)
