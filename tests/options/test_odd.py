"""Odd values at every option of everything public in probekit: a result, or an error of its own kinds, at once."""

from __future__ import annotations

import pkgutil
from dataclasses import fields
from pathlib import Path

import pytest

import probekit
from analyses.explore.measure import Measuring
from tests.odd import EVERY_PAIR, KINDS, ODD, Call, complaints, missing_calls, public_callables, sampled
from tests.options import odd_accessor, odd_explore, odd_images, odd_models, odd_synthetic, odd_taps

CALLS: dict[str, Call] = {
    **odd_taps.CALLS,
    **odd_models.CALLS,
    **odd_synthetic.CALLS,
    **odd_images.CALLS,
    **odd_explore.PROBEKIT,
    **odd_accessor.CALLS,
}

# Modules whose `__all__` users call; of the package itself first, so that what it passes on is named after it.
PUBLIC = [
    "probekit",
    "probekit.accessor",
    "probekit.images",
    "probekit.noise",
    "probekit.evaluation.psnr",
    "probekit.evaluation.references",
    "probekit.models.dncnn",
    "probekit.models.unet",
    "probekit.models.widening",
    "probekit.models.zoo",
    "probekit.synthetic.ovals",
    "probekit.synthetic.patch_laws",
    "probekit.synthetic.patch_model",
    "probekit.synthetic.shapes",
    "probekit.synthetic.stores",
    "probekit.synthetic.subspaces",
    "probekit.train",
    "probekit.train.start",
]
# What only other modules call, with what these have checked; the checks themselves; and commands, whose options are
# texts.
WITHIN = [
    "probekit.capture",
    "probekit.channels",
    "probekit.checks",
    "probekit.cli",
    "probekit.denoising",
    "probekit.distribute",
    "probekit.drawing",
    "probekit.errors",
    "probekit.forms",
    "probekit.evaluation",
    "probekit.images.arrays",
    "probekit.images.class_folders",
    "probekit.images.concatenation",
    "probekit.images.containers",
    "probekit.images.datasets",
    "probekit.images.decode",
    "probekit.images.files",
    "probekit.images.imageset",
    "probekit.images.items",
    "probekit.images.mapped",
    "probekit.images.members",
    "probekit.images.parts",
    "probekit.images.positions",
    "probekit.images.quiet",
    "probekit.images.reading",
    "probekit.images.resize",
    "probekit.images.samples",
    "probekit.images.shards",
    "probekit.images.sources",
    "probekit.images.tables",
    "probekit.images.tars",
    "probekit.images.targets",
    "probekit.images.unusable",
    "probekit.images.zips",
    "probekit.labels",
    "probekit.machine",
    "probekit.naming",
    "probekit.networks",
    "probekit.models",
    "probekit.models.blocks",
    "probekit.models.card",
    "probekit.models.made",
    "probekit.models.normalisation",
    "probekit.models.parts",
    "probekit.phi",
    "probekit.registering",
    "probekit.synthetic",
    "probekit.synthetic.drawing",
    "probekit.synthetic.oval_coverage",
    "probekit.synthetic.patch_draws",
    "probekit.synthetic.patch_gate",
    "probekit.synthetic.patch_strategies",
    "probekit.synthetic.shape_distances",
    "probekit.synthetic.shape_factors",
    "probekit.synthetic.shapes_strategies",
    # Of hypothesis, whose own errors these are.
    "probekit.synthetic.strategies",
    "probekit.train.checkpoint",
    "probekit.train.command",
    "probekit.train.data",
    "probekit.train.loop",
    "probekit.train.precision",
    "probekit.train.processes",
    "probekit.train.recipe",
    "probekit.train.run",
    "probekit.train.steps",
]
# Rooms that are within with all their modules.
ROOMS = tuple(
    f"probekit.{room}." for room in ("capture", "cli", "denoising", "distribute", "drawing", "machine", "phi")
)
# Records that the package makes and users read, and what is made by a function that checks.
MADE = {
    "probekit.accessor.Probe",
    "probekit.Tap",
    "probekit.images.ImageSet",
    "probekit.synthetic.patch_model.PatchData",
    "probekit.synthetic.ovals.OvalData",
    "probekit.synthetic.shapes.ShapeData",
    "probekit.synthetic.shapes.Factor",
    "probekit.synthetic.shapes.Factor.quantile",
    "probekit.synthetic.shapes.Factor.distance",
    "probekit.synthetic.shapes.Factor.checked",
    "probekit.synthetic.subspaces.SubspaceData",
    # Called by `union_of_subspaces`, which checks, and by what writes its representations.
    "probekit.synthetic.subspaces.Given",
    "probekit.synthetic.subspaces.Law",
    "probekit.synthetic.subspaces.Law.images",
    "probekit.synthetic.subspaces.Law.of_rest",
    "probekit.synthetic.subspaces.Law.labelled",
    "probekit.synthetic.subspaces.Law.truth",
    "probekit.synthetic.subspaces.law_of",
    # Called by the training command, with what the run holds.
    "probekit.train.start.Start.check",
    "probekit.train.start.Start.described",
    "probekit.train.start.Start.denoiser",
}


# One in so many odd values of each kind is tried at an option, unless every pair is asked for.
ONE_IN = 5


def whole(name: str, option: str) -> list[str]:
    """The odd values that are meant for an option of a call."""
    return [value for value in ODD if value not in CALLS[name].without.get(option, ())]


def tried(name: str, option: str) -> list[str]:
    """The odd values that it is given."""
    return whole(name, option) if EVERY_PAIR else sampled(whole(name, option), f"{name}({option})", ONE_IN)


@pytest.mark.parametrize("name", CALLS)
def test_an_odd_value_gives_a_result_or_an_error_of_the_packages_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = complaints(name, CALLS[name], tried)
    assert not wrong, wrong


def test_every_parameter_of_everything_public_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Good arguments may be files.
    monkeypatch.chdir(tmp_path)
    found = {name: function for name, function in public_callables(*PUBLIC).items() if name not in MADE}
    # Its settings are options of this call, each by its name.
    assert set(missing_calls(CALLS, found)) <= {"probekit.explore(settings)"}
    assert {field.name for field in fields(Measuring)} <= set(CALLS["probekit.explore"].options())


def test_a_module_is_public_or_within() -> None:
    modules = [m.name for m in pkgutil.walk_packages(probekit.__path__, "probekit.")]
    unknown = [m for m in modules if m not in PUBLIC + WITHIN and not m.startswith(ROOMS) and m != "probekit.__main__"]
    assert not unknown, f"say of {unknown} whether users call what is in them"


def test_there_are_ten_thousand_cases_and_of_these_an_option_meets_every_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [(name, option) for name, call in CALLS.items() for option in call.options()]
    assert sum(len(whole(*one)) for one in options) >= 10_000
    met = set()
    for one in options:
        given = set(tried(*one))
        met |= given
        assert all(given & values for kind in KINDS.values() if (values := kind.keys() & set(whole(*one)))), one
    assert met == set(ODD)
