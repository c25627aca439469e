"""Broken on purpose: tars that lose files in silence, places that lead to others, and order lost to threads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probekit.images import members, reading, shards, tars
from probekit.images.members import Archived, Index
from tests.probekit.images import test_checks as checks
from tests.probekit.images import test_elsewhere as elsewhere
from tests.probekit.images import test_tars as laws

SEEN = (AssertionError, ValueError, pytest.fail.Exception)


def nothing(*_: Any) -> None:
    """What should refuse, and does not."""


def without_links(names: list[str], places: np.ndarray, odd: dict[int, str], _links: Any) -> Any:
    """Links have the bytes that stand at their own place: none."""
    return tars._Shard(names, places[:, 0].copy(), places[:, 1].astype(np.uint32), odd)


def forwards(where: Any) -> Any:
    """A range is taken from its least to its largest."""
    if not isinstance(where, range):
        return where
    least, largest = min(where, default=0), max(where, default=-1)
    return slice(least, largest + 1, abs(where.step))


def as_they_come(work: Callable[[Any], Any], items: Sequence[Any], _threads: int) -> list[Any]:
    """What is made first is first."""
    return [work(item) for item in reversed(items)]


def not_moved_up(archived: Archived, where: Any) -> Archived:
    """Of members that are taken out of others, what cannot be read is still known by its former position."""
    columns = {name: members.part_of(column, where) for name, column in archived.index.columns.items()}
    index = Index(archived.index.states, columns, archived.index.odd)
    return type(archived)(archived.paths, members.taken(archived.names, where), index)


BREAKS: dict[str, tuple[Any, str, Any, Callable[[Path], None]]] = {
    "the end is not looked at": (tars, "_check_end", nothing, laws.test_a_tar_cut_anywhere_is_refused_or_whole),
    "headers that are wrong end a tar": (
        tars,
        "_check_end",
        nothing,
        laws.test_damaged_tars_are_read_or_refused_and_no_file_is_lost_in_silence,
    ),
    "links are empty": (
        tars,
        "_linked",
        without_links,
        laws.test_hard_links_have_the_bytes_of_what_they_are_links_to,
    ),
    "masks are images": (
        shards,
        "_refuse_several",
        nothing,
        lambda place: laws.test_two_images_under_one_key_are_refused_until_it_is_said_which_is_meant(
            place, "0.seg.png"
        ),
    ),
    "of two of one name one is lost": (
        shards,
        "_refuse_repeated",
        nothing,
        laws.test_a_name_in_two_shards_is_refused_and_the_sets_are_joined_instead,
    ),
    "steps down are steps up": (
        members,
        "_slice",
        forwards,
        lambda place: elsewhere.test_every_set_and_every_part_of_it_reads_the_same_after_pickling("tar", place),
    ),
    "members left out are still counted": (
        Archived,
        "part",
        not_moved_up,
        lambda place: laws.test_what_is_no_file_is_named_or_left_out_on_request(
            place, laws.tarfile.SYMTYPE, "a symbolic link"
        ),
    ),
    "sizes are not compared": (
        reading.FileReader,
        "_check",
        nothing,
        lambda place: checks.test_with_some_checked_what_cannot_be_used_is_named_when_it_is_read("zip", place),
    ),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_breaks_of_tars_parts_and_checks_are_seen(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, otherwise, law = BREAKS[broken]
    monkeypatch.setattr(where, name, otherwise)
    with pytest.raises(SEEN):
        law(tmp_path)


def test_threads_whose_results_come_in_another_order_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_shared_out", as_they_come)
    with pytest.raises(AssertionError):
        checks.test_threads_change_no_bit_of_what_is_read(tmp_path, {}, monkeypatch)
