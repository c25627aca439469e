"""Calls of `data.probe`."""

from __future__ import annotations

import probekit
from probekit.accessor import Probe
from tests.odd import IMAGES, LEVELS, NOTHING, NUMBERS, WHOLES, Call
from tests.options.odd_taps import NETWORK, PICTURES

DATA = probekit.tap(NETWORK, "enc1", "mid")(PICTURES, sigma=[0.1, 0.3], draws=2, progress=False)
PROBE = DATA.probe
CALLS = {
    "probekit.accessor.Probe.tap": Call(Probe.tap, {"self": PROBE, "names": ("mid",)}, only=("names",)),
    "probekit.accessor.Probe.channel": Call(Probe.channel, {"self": PROBE, "names": ("mid:1",)}, only=("names",)),
    "probekit.accessor.Probe.images": Call(Probe.images, {"self": PROBE, "names": ("0",)}, only=("names",)),
    "probekit.accessor.Probe.above_rest": Call(Probe.above_rest, {"self": PROBE}, only=()),
    "probekit.accessor.Probe.top": Call(
        Probe.top, {"self": PROBE, "count": 2, "of": "channel"}, {"count": WHOLES}, only=("count", "of")
    ),
    "probekit.accessor.Probe.show": Call(
        Probe.show,
        {"self": PROBE, "channel": "mid:1", "sigma": 0.1, "images": None},
        {"sigma": NUMBERS | LEVELS | NOTHING, "images": NOTHING | IMAGES},
        only=("channel", "sigma", "images"),
    ),
    "probekit.accessor.Probe.compare": Call(
        Probe.compare,
        {"self": PROBE, "other": DATA, "more": (), "names": None},
        {"names": NOTHING | {"an array of texts", "an array of object texts"}},
        only=("other", "more", "names"),
    ),
}
