"""Calls of the room of texture and shape."""

from __future__ import annotations

import numpy as np
import xarray as xr

import probekit
from analyses import cues
from tests.analyses.cues.making import IDS, planted
from tests.odd import FLAGS, FUNCTIONS, LEVELS, MODULES, NOTHING, PATHS, Call
from tests.options.odd_analyses import COUNTS, HUGE, LARGER, QUICK, SHARES, TAKEN, figure
from tests.options.odd_network_rooms import NOWHERE, OWN, begun

__all__ = ["CALLS"]

FEATURES = planted(1, 0.5, 0.5)
CONFLICT = probekit.images.load(np.random.default_rng(0).random((len(IDS), 1, 8, 8), np.float32), ids=IDS)
TABLED = begun(cues.table)
SETTINGS = {"sigma": 0.1, "draws": 1, "reduce": "mean", "n_images": None, **QUICK}


def found() -> xr.Dataset:
    """Findings of a table, of a representation and an untrained one."""
    both = cues.analyse({"a": FEATURES, "b": planted(0, 0, 1)}, resamples=100)
    names = [name for name in both.data_vars if both[name].dims]
    wide = both.assign({name: both[name].expand_dims(treatment=["as they are"]) for name in names})
    return wide.assign_coords(group=("representation", np.array(["trained", "untrained"], object)))


FOUND = found()
CALLS: dict[str, Call] = {
    "cues.named": Call(
        cues.named,
        {"images": FEATURES, "shape": list(IDS), "texture": list(IDS)},
        only=["images", "shape", "texture"],
    ),
    "cues.analyse": Call(
        cues.analyse,
        {"representations": {"own": FEATURES}, "exemplars": None, "reference": None, **QUICK},
        TAKEN | {"exemplars": NOTHING, "reference": NOTHING},
    ),
    "cues.table": Call(
        TABLED,
        {
            "images": CONFLICT,
            "denoiser": OWN,
            "exemplars": None,
            "settings": cues.Settings(**SETTINGS),
            "store": NOWHERE,
            "client": None,
            "progress": False,
        },
        {
            "denoiser": MODULES,
            "exemplars": NOTHING,
            "settings": NOTHING,
            "client": NOTHING,
            "progress": NOTHING | FLAGS,
        },
        without={"store": NOTHING | PATHS},
    ),
    "cues.Settings": Call(
        cues.Settings,
        SETTINGS,
        TAKEN
        | {"sigma": LEVELS, "draws": LARGER, "reduce": FUNCTIONS, "n_images": NOTHING | COUNTS | LARGER | HUGE}
        | {"level": SHARES},
        then=lambda settings: TABLED(CONFLICT, OWN, settings=settings, progress=False),
    ),
    "cues.verdict": Call(cues.verdict, {"findings": FOUND, "blocks": "planted", "distance": "euclidean"}),
    "cues.plot": figure(cues.plot, {"findings": FOUND, "distance": None}, {"distance": NOTHING}),
}
