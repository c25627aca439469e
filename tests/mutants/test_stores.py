"""Broken on purpose: stores and identities that do not see what they should are seen by their laws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from probekit.images import ImageSet, imageset
from probekit.machine import identity, walk
from probekit.phi import averages, layout, measure, store, stored, writing
from tests.probekit.images import test_classes as classes
from tests.probekit.images import test_content as content
from tests.probekit.machine import test_identity as identities
from tests.probekit.phi import test_store as stores
from tests.probekit.phi import test_store_plan as plans
from tests.probekit.phi import test_store_whole as wholes

# What a law raises that does not hold: errors and warnings that are missing are of the second kind.
BROKEN = (AssertionError, pytest.fail.Exception)


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 400)
    monkeypatch.setattr(averages, "GROUP", 1)


@pytest.fixture
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A finished store of three units."""
    request.getfixturevalue("small_units")
    wholes.written(tmp_path / "phi.zarr")
    return tmp_path / "phi.zarr"


def another_network(folder: Path) -> None:
    plans.test_another_network_of_the_same_weights_is_another_plan(folder, plans.hooked, r"modules model\.first")


@pytest.mark.parametrize(
    ("field", "law"),
    [
        ("modules", another_network),
        ("labels_sha256", plans.test_labels_are_part_of_what_was_asked_for),
        ("images_sha256", plans.test_other_images_under_the_same_ids_are_another_plan),
        ("reduce", plans.test_reductions_are_told_apart_by_what_they_do),
    ],
)
def test_a_plan_that_lacks_a_part_is_seen(
    field: str, law: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = measure.Measurement.plan
    law(tmp_path / "before")
    monkeypatch.setattr(
        measure.Measurement, "plan", lambda self: {key: value for key, value in made(self).items() if key != field}
    )
    with pytest.raises(BROKEN):
        law(tmp_path / "after")


def test_a_store_that_does_not_look_at_the_plan_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "refuse_another_plan", lambda *_, **__: None)
    with pytest.raises(BROKEN):
        plans.test_labels_are_part_of_what_was_asked_for(tmp_path)


def test_numbers_that_are_not_compared_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_refuse_other_numbers", lambda *_, **__: None)
    with pytest.MonkeyPatch.context() as environment, pytest.raises(BROKEN):
        plans.test_what_no_plan_sees_is_seen_in_the_numbers(tmp_path, environment, True, "image '0'")


@pytest.mark.usefixtures("small_units")
def test_chunks_without_checksums_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zarr.codecs import ZstdCodec

    monkeypatch.setattr("zarr.codecs.Crc32cCodec", lambda: ZstdCodec(level=0))
    wholes.written(tmp_path / "phi.zarr")
    with pytest.raises((*BROKEN, ValueError, RuntimeError)):
        wholes.test_a_damaged_chunk_is_an_error_once_its_values_are_used_and_the_others_can_be_read(
            tmp_path / "phi.zarr"
        )


faults, units = layout.faults, stored._Units.__init__


def not_read(*given: Any, **how: Any) -> dict[int, str]:
    return faults(*given, **how | {"read": False})


def none_missing(*given: Any, read: bool) -> dict[int, str]:
    return {unit: why for unit, why in faults(*given, read=read).items() if not why.endswith("missing")}


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (not_read, wholes.test_chunks_that_are_whole_and_in_the_wrong_place_are_found),
        (none_missing, wholes.test_what_is_whole_is_told),
    ],
)
def test_units_that_are_not_read_through_and_missing_ones_taken_for_done_are_seen(
    broken: Callable[..., Any], law: Callable[[Path], None], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "faults", broken)
    with pytest.raises(BROKEN):
        law(path)


def test_a_missing_chunk_that_is_read_as_nan_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored._Units, "__init__", lambda self, path, values, _: units(self, path, values, frozenset()))
    with pytest.raises(BROKEN):
        stores.test_a_store_is_read_lazily(tmp_path)


def test_files_that_are_not_compared_with_their_sums_are_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "unsealed", lambda _: [])
    with pytest.raises(BROKEN):
        wholes.test_what_is_whole_is_told(path)


function, hooks = walk.Walk._function, identity._Walk._hooks


def without_closure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "_content", lambda _: None)


def without_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    def bare(self: walk.Walk, f: FunctionType) -> str:
        return function(self, FunctionType(f.__code__, f.__globals__, f.__name__, None, f.__closure__))

    monkeypatch.setattr(walk.Walk, "_function", bare)


def without_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> Iterator[str]:
        return iter(())

    monkeypatch.setattr(walk.Walk, "_globals", none)


def without_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    real = walk.of_function

    def emptied(f: FunctionType) -> Any:
        kept = tuple(one if isinstance(one, CodeType) else None for one in f.__code__.co_consts)
        return real(FunctionType(f.__code__.replace(co_consts=kept), f.__globals__, f.__name__, None, f.__closure__))

    monkeypatch.setattr(walk, "of_function", emptied)


@pytest.mark.parametrize(
    ("broken", "name", "old", "new"),
    [
        (without_closure, "above", "closing(0.25)", "closing(0.5)"),
        (without_defaults, "top", "k=5", "k=6"),
        (without_globals, "top", "GAIN = 2.0", "GAIN = 2.5"),
        (without_constants, "strings", ":.3f", ":.4f"),
    ],
)
def test_an_identity_that_leaves_out_a_part_of_a_function_is_seen(
    broken: Callable[[pytest.MonkeyPatch], None], name: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def law() -> None:
        identities.test_whatever_changes_what_a_value_does_changes_its_identity(identities.from_nowhere, name, old, new)

    law()
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        law()


def test_an_identity_of_networks_that_leaves_out_hooks_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    identities.test_hooks_of_all_modules_are_seen()
    monkeypatch.setattr(identity._Walk, "_hooks", lambda *_: [])
    with pytest.raises(AssertionError):
        identities.test_hooks_of_all_modules_are_seen()


fingerprint = ImageSet.fingerprint


def without_the_last(images: ImageSet) -> str:
    return fingerprint(images[: max(1, len(images) - 1)])


def without_preparation(images: ImageSet) -> str:
    return fingerprint(replace(images, preparation="none"))


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (without_the_last, content.test_a_fingerprint_tells_one_changed_value_in_any_image),
        (without_preparation, content.test_a_fingerprint_tells_order_number_shape_and_preparation),
    ],
)
def test_a_fingerprint_that_ignores_one_image_or_what_was_done_to_files_is_seen(
    broken: Callable[[ImageSet], str], law: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    law(tmp_path / "before")
    monkeypatch.setattr(ImageSet, "fingerprint", broken)
    with pytest.raises(AssertionError):
        law(tmp_path / "after")


def test_missing_classes_that_are_kept_as_a_class_of_their_own_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = imageset.names_of
    monkeypatch.setattr(imageset, "names_of", lambda *given, **more: [one or "None" for one in real(*given, **more)])
    with pytest.raises(BROKEN):
        classes.test_a_missing_class_is_kept_as_missing_with_one_warning_and_refused_by_class(["cat", None, "dog"])
    with pytest.raises(BROKEN):
        classes.test_a_set_of_which_all_classes_are_missing_has_none(None)
