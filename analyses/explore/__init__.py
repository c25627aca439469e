"""Look instead of read: a network, every channel and every image in one page, in a notebook, or from a server."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.explore.explorer import Explorer, explore
    from analyses.explore.shell import main

__all__ = ["Explorer", "explore", "main"]

on_demand(__name__)
