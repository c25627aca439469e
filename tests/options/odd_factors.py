"""Calls of factors."""

from __future__ import annotations

import numpy as np

import probekit
from analyses import factors
from tests.odd import NOTHING, Call
from tests.options import odd_analyses as made
from tests.options import odd_network_rooms as networks

__all__ = ["CALLS"]

DATA = made.DATA.assign_coords(aspect=("image", np.resize([0.5, 1.0, 2.0], 24)))
FOUND = factors.analyse(DATA, factor="aspect", mirror=1, folds=2, resamples=100)
PHI = probekit.tap(networks.OWN, "mid")(networks.CLASSED, sigma=0.1, draws=1)
CALLS: dict[str, Call] = {
    "factors.analyse": Call(
        factors.analyse,
        {
            "data": DATA,
            "factor": "aspect",
            "scale": "log",
            "mirror": 1,
            "bins": None,
            "folds": 2,
            **made.RESAMPLED,
        },
        made.TAKEN
        | {
            "mirror": NOTHING | made.COUNTS | {"a DataArray of no dims"},
            "bins": NOTHING | made.COUNTS,
            "folds": made.LARGER,
        },
    ),
    "factors.compare": Call(factors.compare, {"first": FOUND, "second": FOUND, **made.RESAMPLED}, made.TAKEN),
    "factors.controls": Call(
        factors.controls,
        {"denoiser": networks.OWN, "data": PHI, "images": networks.CLASSED, "seed": 0},
        {"seed": made.SEEDS},
    ),
    "factors.plot": made.figure(
        factors.plot,
        {"findings": FOUND, "others": None, "matrix": "correlation", "sigma": None},
        {"others": NOTHING | made.NO_ENTRIES, "sigma": NOTHING},
    ),
}
