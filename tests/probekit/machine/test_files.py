"""Files are written whole or not at all, and folders are looked at before work begins."""

from pathlib import Path

import pytest

from probekit.errors import CapacityError
from probekit.machine.files import prepared, whole


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.txt"
    path.write_text("before")
    return path


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
