"""Files are written whole or not at all, and folders are looked at before work begins."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probekit.errors import CapacityError
from probekit.machine import files
from probekit.machine.files import SUFFIX, beside, is_unfinished, prepared, prepared_file, whole


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.txt"
    path.write_text("before")
    return path


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)
    yield lambda mask: os.umask(mask) and None
    os.umask(before)


def test_a_file_takes_the_place_of_another_only_once_it_is_whole(kept: Path) -> None:
    with whole(kept) as unfinished:
        unfinished.write_text("aft")
        assert kept.read_text() == "before"
        unfinished.write_text("after")
    assert kept.read_text() == "after"
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_what_was_there_and_nothing_beside(kept: Path, error: type[BaseException]) -> None:
    def fails() -> None:
        with whole(kept) as unfinished:
            unfinished.write_text("aft")
            raise error

    with pytest.raises(error):
        fails()
    assert kept.read_text() == "before"
    assert list(kept.parent.iterdir()) == [kept]


def test_a_full_disk_is_a_clear_error_and_leaves_what_was_there(kept: Path) -> None:
    with pytest.raises(CapacityError, match=r"cannot write into .*No space left.*with space left"), whole(kept):
        raise OSError(28, "No space left on device")
    assert kept.read_text() == "before"


def test_a_folder_is_made_and_a_file_in_its_place_is_refused(tmp_path: Path, kept: Path) -> None:
    prepared(tmp_path / "a" / "b")
    prepared(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    with pytest.raises(CapacityError, match=r"numbers.txt .*: give a folder that can be made and written to"):
        prepared(kept)


def test_new_files_have_the_permissions_that_the_umask_gives_and_replaced_ones_keep_theirs(
    kept: Path, umask: Callable[[int], None]
) -> None:
    def written_by_a_private_writer(path: Path) -> int:
        with whole(path) as unfinished:
            # As some libraries do: a file of their own, that only its owner can read, takes the place.
            own = unfinished.with_name("own")
            own.touch(mode=0o600)
            own.replace(unfinished)
        return path.stat().st_mode & 0o777

    for mask, mode in ((0o022, 0o644), (0o002, 0o664), (0o077, 0o600)):
        umask(mask)
        assert written_by_a_private_writer(kept.with_name(f"new {mask}")) == mode
    kept.chmod(0o640)
    assert written_by_a_private_writer(kept) == 0o640


def test_nobody_elses_link_is_written_through(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who knows the temporary name beforehand puts a link there, to have another file overwritten.
    victim = kept.with_name("victim")
    victim.write_text("precious")
    known = kept.with_name(".known.partial")
    known.symlink_to(victim)
    monkeypatch.setattr(files, "beside", lambda _: known)
    with pytest.raises(CapacityError, match="exists"), whole(kept) as unfinished:
        unfinished.write_text("overwritten")
    assert victim.read_text() == "precious"
    assert kept.read_text() == "before"


def test_temporary_names_differ_each_time_and_fit_the_file_system(tmp_path: Path) -> None:
    names = {beside(tmp_path / "numbers.txt") for _ in range(100)}
    assert len(names) == 100
    assert all(map(is_unfinished, names))
    for longest in ("n" * 255, "σ" * 127):
        with whole(tmp_path / longest) as unfinished:
            unfinished.write_text("after")
        assert (tmp_path / longest).read_text() == "after"


def test_an_output_that_is_a_link_is_written_where_it_points_to(kept: Path) -> None:
    link = kept.with_name("link")
    link.symlink_to(kept)
    with whole(link) as unfinished:
        unfinished.write_text("after")
    assert link.is_symlink()
    assert kept.read_text() == "after"


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(kept: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from probekit.machine.files import beside, whole
for folder in (True, False):
    left = beside(Path({str(kept)!r}))
    left.mkdir() if folder else left.touch()
beside(Path({str(kept.with_name("other"))!r})).touch()
with whole(Path({str(kept)!r})) as unfinished:
    unfinished.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    mine = beside(kept)
    mine.touch()
    strangers = [kept.with_name(f".{kept.name}.{where}-1{SUFFIX}") for where in ("00000000-1", "backup")]
    for stranger in strangers:
        stranger.touch()
    assert len(list(kept.parent.iterdir())) == 8
    with whole(kept) as unfinished:
        unfinished.write_text("after")
    left = {p for p in kept.parent.iterdir() if not p.name.startswith(".other")}
    assert left == {kept, mine, *strangers}


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (lambda p: p.mkdir(), "a folder", "is a folder"),
        (lambda p: p.parent.touch(), "file/below", "ot a directory|File exists"),
        (lambda _: None, "n" * 256, "too long"),
        (lambda _: None, "a\0b", "NUL"),
        (lambda p: p.symlink_to("/proc/nothing/here"), "link", "nothing"),
    ],
)
def test_a_file_that_could_not_be_written_is_seen_before_anything_is_computed(
    tmp_path: Path, make: Callable[[Path], object], name: str, said: str
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(CapacityError, match=rf"cannot write into .*({said}).*: give a folder"):
        prepared_file(path)


def test_a_file_that_can_be_written_is_not_touched_beforehand(tmp_path: Path, kept: Path) -> None:
    prepared_file(kept)
    prepared_file(tmp_path / "a/b/new")
    assert kept.read_text() == "before"
    assert not list((tmp_path / "a/b").iterdir())
