"""Calls of the explorer."""

from __future__ import annotations

import xarray as xr

import probekit
from analyses import explore
from tests.odd import FLAGS, FUNCTIONS, IMAGES, LEVELS, MODULES, NOTHING, TEXTS, WHOLES, Call
from tests.options.odd_taps import NETWORK, PICTURES

FOUND = probekit.explore(NETWORK, PICTURES, against=None, sigma=[0.3], draws=1, detailed=0, progress=False)
GOOD = {
    "denoiser": NETWORK,
    "images": PICTURES,
    "against": None,
    "samples": None,
    "data": None,
    "title": None,
    "command": None,
    "code": None,
    "sigma": [0.3],
    "draws": 1,
    "seed": 0,
    "taps": ["mid"],
    "reduce": "mean",
    "detailed": 1,
    "conditions": None,
    "progress": False,
}
TAKES = {
    "denoiser": MODULES,
    "images": IMAGES,
    "against": MODULES | NOTHING,
    "samples": NOTHING,
    "data": NOTHING | {"an empty mapping"},
    "title": TEXTS | NOTHING,
    "command": TEXTS | NOTHING,
    "code": NOTHING | {"an empty mapping", "an empty Dataset"},
    "sigma": LEVELS,
    "draws": WHOLES,
    "seed": WHOLES,
    "taps": NOTHING,
    "reduce": FUNCTIONS,
    "detailed": WHOLES,
    "conditions": NOTHING | {"an empty mapping", "an empty Dataset"},
    "progress": FLAGS | NOTHING,
}


def measured(found: explore.Explorer) -> xr.Dataset:
    """What was measured of the network."""
    return next(iter(found.networks.values())).data


PROBEKIT = {"probekit.explore": Call(probekit.explore, GOOD, TAKES, then=measured)}
CALLS = {
    "explore.explore": Call(explore.explore, GOOD, TAKES, then=measured),
    "explore.Explorer.save": Call(
        explore.Explorer.save,
        {"self": FOUND, "path": "a.html", "progress": False},
        {"progress": FLAGS | NOTHING},
        only=("path", "progress"),
    ),
    "explore.Explorer.serve": Call(
        explore.Explorer.serve,
        {"self": FOUND, "port": 0},
        {"port": WHOLES},
        then=lambda served: served.close(),
        only=("port",),
    ),
}
