"""Odd values at every option of the analyses: a result that they stand for, or one clear error, at once."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
import xarray as xr

import analyses
from analyses import sampling
from probekit.errors import InputError
from probekit.images import ImageSet
from tests.odd import EVERY_PAIR, KINDS, ODD, Call, complaints, missing_calls, public_callables, sampled
from tests.options import (
    odd_claims,
    odd_cues,
    odd_explore,
    odd_factors,
    odd_network_rooms,
    odd_noise_level,
    odd_phi_rooms,
    odd_sampling_rooms,
    odd_training,
)

ROOMS = (
    odd_phi_rooms,
    odd_factors,
    odd_network_rooms,
    odd_sampling_rooms,
    odd_training,
    odd_cues,
    odd_noise_level,
    odd_claims,
    odd_explore,
)
CALLS: dict[str, Call] = {name: call for room in ROOMS for name, call in room.CALLS.items()}
# Where every pair is asked for, so many options share the values; over the options, all values come up. More share them
# where a call takes long. Otherwise an option is given one in so many of each kind.
SHARED, SLOWER = 3, 12
ONE_IN, ONE_IN_SLOWER = 12, 24
SLOW = {
    "variants.Variant",
    "variants.table",
    "controls.Settings",
    "controls.table",
    "controls.Source",
    "concepts.analyse",
    "semantics.analyse",
    "subspaces.analyse",
    "probe.analyse",
}
FIRST = {"analyses.descriptors", "analyses.sampling"}
# What is given for images, or for their ids, is asked what it is, and may fail at that.
OF_IMAGES = {"images", "photographs", "train", "training", "held_out", "reference", "condition", "ids", "size"}
ASKED = {
    "raises in fspath",
    "raises at any name",
    "raises in iter",
    "raises in next",
    "a failing generator",
    "a very deep list",
    "raises in repr",
    "repr is huge",
} | {
    name
    for name in ODD
    if name.startswith(("an array of 4 dims", "an array that is", "a tensor of 4", "a text that raises"))
}
# What only other rooms call, with what these have checked; commands, whose options are texts; and records that the
# package makes and users read.
WITHIN = {
    "explore.Explorer",
    "attribution.Matched",
    "descriptors.Descriptor",
    "descriptors.Descriptor.forward",
    "descriptors.Predictions",
    "descriptors.Predictions.beyond",
    "probe.check_tuning",
    "probe.subset",
    "sampling.Condition",
    "sampling.Condition.check",
    "sampling.Goal",
    "sampling.Guided",
    "sampling.Guiding.kernel",
    "sampling.Match.of",
    "sampling.Walk",
    "claims.Criterion",
    "claims.anchor",
    "claims.blocks_of_cues",
    "claims.cells",
    "claims.failing",
    "claims.met",
    "claims.sentence",
    "claims.undecided",
    "claims.unjudged",
    "noise_level.in_range",
    "noise_level.is_told",
    "noise_level.lacking",
    "controls.Source.checked",
    "controls.Source.row",
    "variants.Recipe",
    "variants.Variant.checked",
}
# Options that a function takes by name and hands on, and what they are tried as.
HANDED_ON = {
    "concepts.analyse": "concepts.Settings",
    "concepts.concept": "concepts.Significance",
    "concepts.hold_concept": "concepts.concept",
    "sampling.reconstruct": "sampling.method_of",
    "variants.table": "variants.Settings",
    "variants.laws": "variants.Settings",
    "subspaces.analyse": "subspaces.fit",
    "descriptors.descriptor": "descriptors.gist",
}


def whole(name: str, option: str) -> list[str]:
    """The odd values that are meant for an option of a call."""
    apart = {*CALLS[name].without.get(option, ()), *(ASKED if option in OF_IMAGES else ())}
    return [value for value in ODD if value not in apart]


def every(name: str, option: str) -> list[str]:
    """Those of them that it is given where every pair is asked for."""
    step = SLOWER if name in SLOW else SHARED
    # By name, so that a new option leaves the others with theirs.
    return whole(name, option)[crc32(f"{name}({option})".encode()) % step :: step]


def tried(name: str, option: str) -> list[str]:
    """Those that it is given."""
    if EVERY_PAIR:
        return every(name, option)
    return sampled(whole(name, option), f"{name}({option})", ONE_IN_SLOWER if name in SLOW else ONE_IN)


@pytest.mark.parametrize("name", CALLS)
def test_an_odd_value_is_taken_for_what_it_is_or_refused_in_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = complaints(name, CALLS[name], tried)
    assert not wrong, wrong


def test_every_option_of_every_room_is_tried() -> None:
    rooms = [module.name for module in pkgutil.iter_modules(analyses.__path__, "analyses.") if module.ispkg]
    # Of these first, so that what others pass on is named after them; what all stand on is called by these rooms.
    rooms = sorted(set(rooms) - {"analyses.ground"}, key=lambda room: (room not in FIRST, room))
    calls = {f"analyses.{name}": call for name, call in CALLS.items() if not name.startswith("ground.")}
    known = {
        name: function
        for name, function in public_callables(*rooms).items()
        if not (short := name.partition(".")[2]).endswith(".main")
        and short not in WITHIN
        and not short.startswith("sampling.Walk.")
    }
    lacking = {line for line in missing_calls(calls, known) if line not in handed_on(calls, known)}
    assert not lacking


def handed_on(calls: dict[str, Call], known: dict[str, Any]) -> set[str]:
    """Parameters such as ``**options``, if all that they stand for is tried by name, or where they are handed on to."""
    found = set()
    for name, function in known.items():
        tried_here = {
            option for key, call in calls.items() if key.partition(":")[0] == name for option in call.options()
        }
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                continue
            typed = str(parameter.annotation).removeprefix("Unpack[").removesuffix("]")
            options = getattr(sys.modules[function.__module__], typed, None)
            all_tried = options is not None and set(options.__annotations__) <= tried_here
            if all_tried or HANDED_ON.get(name.partition(".")[2]) in CALLS:
                found.add(f"{name}({parameter.name})")
    return found


# Arguments that are made when they are asked for may take seconds, which tests that are only collected need not wait.
SEEDED = [name for name, call in CALLS.items() if not callable(call.good) and "seed" in call.options()]


@pytest.mark.parametrize("name", SEEDED)
def test_seed_0_is_0_of_numpy_and_torch_and_nothing_else_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = CALLS[name]
    expected = call.made(seed=0)
    for zero in (np.int64(0), np.array(0), torch.tensor(0)):
        assert alike(call.made(seed=zero), expected)
    for wrong in (0.0, False, "0", None, -1):
        with pytest.raises(InputError, match=r"^seed=.*: give a whole number ≥ 0$"):
            call.made(seed=wrong)


def alike(one: Any, other: Any) -> bool:
    """Whether two results are the same to the last bit."""
    if isinstance(one, xr.Dataset | xr.DataArray):
        return one.identical(other)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, torch.nn.Module):
        ours, theirs = one.state_dict(), other.state_dict()
        return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    if isinstance(one, sampling.Condition):
        return one.ids == other.ids and np.array_equal(one.phi, other.phi)
    if isinstance(one, ImageSet):
        return one.ids == other.ids
    return bool(one == other)


def test_every_seed_is_asked() -> None:
    assert [name for name, call in CALLS.items() if "seed" in call.options()] == SEEDED


def test_there_are_ten_thousand_cases_and_of_these_an_option_meets_every_kind() -> None:
    options = [(name, option) for name, call in CALLS.items() for option in call.options()]
    assert sum(len(every(*one)) for one in options) >= 10_000
    met = set()
    for one in options:
        given = set(tried(*one))
        met |= given
        kinds = [kind.keys() & set(whole(*one)) for kind in KINDS.values()]
        assert EVERY_PAIR or all(given & kind for kind in kinds if kind), one
    assert met == set(ODD)
