"""Images that commands are given by name: tars and patterns of them are what `probekit.images.load` makes of them."""

from __future__ import annotations

import inspect
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
import torch

from analyses.report.shell import ANALYSES, COMMANDS, main
from probekit import images as image_sources
from probekit.cli.checking import words
from probekit.cli.image_sets import CHECKS, images_called, parted
from probekit.errors import InputError
from probekit.images import ImageSet, load
from probekit.images.sources import CHECKS as KNOWN
from tests.probekit.images.packing import folder, png, tarred, zipped


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ten shards of two samples each, and a folder and a zip of images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shards").mkdir()
    for k in range(10):
        samples = {f"{n:03}.{field}": made for n in (2 * k, 2 * k + 1) for field, made in sample(n).items()}
        tarred(tmp_path / f"shards/s-{k:03}.tar", samples)
    folder(tmp_path / "photographs", {f"{k}.png": png(k) for k in range(3)})
    zipped(tmp_path / "more.zip", {f"{k}.png": png(k) for k in range(2)})
    return tmp_path


def sample(number: int) -> dict[str, bytes]:
    return {"png": png(number), "cls": str(number % 2).encode(), "txt": b"a" if number < 5 else b"b"}


def same(one: ImageSet, other: ImageSet) -> bool:
    told = [(s.ids, s.labels, s.shape, s.preparation, s.fingerprint()) for s in (one, other)]
    return told[0] == told[1] and torch.equal(one.read(range(len(one))), other.read(range(len(other))))


EVERY = " ".join(f"shards/s-{k:03}.tar" for k in range(10))


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("shards/s-{000..009}.tar", 10),
        ("shards/s-{009..000}.tar", 10),
        ("shards/*.tar", 10),
        ("shards/s-00[0-4].tar", 5),
        ("shards/s-00?.tar", 10),
        ("shards/s-{000,003,004}.tar", 3),
        ("shards/s-{000..009..3}.tar", 4),
        ("shards/s-000.tar", 1),
        ("shards/s-000.tar,shards/s-001.tar", 2),
        ("shards/s-{000,001}.tar,shards/s-00[2-4].tar", 5),
        ("shards", 10),
        ("shards/s-000.tar shards/s-{003..005}.tar", 4),
        (EVERY, 10),
        (EVERY.replace(" ", ","), 10),
    ],
)
def test_tars_are_one_set_however_they_are_named(written: str, count: int) -> None:
    called = images_called(written.split(" "))
    assert same(called, load([Path(f"shards/s-{k:03}.tar") for k in sorted(int(i[:3]) // 2 for i in called.ids[::2])]))
    assert len(called) == 2 * count
    if " " not in written and "," not in written.partition("{")[0] and written.count(".tar") <= 1:
        assert same(called, load(written))
        assert called.name == load(written).name


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("pattern", ["shards/s-{000..003}.tar", "shards/s-{000,007}.tar", "shards/s-00*.tar"])
def test_it_makes_no_difference_who_replaces_a_pattern(pattern: str) -> None:
    by_shell = subprocess.run(["bash", "-c", f"echo {pattern}"], capture_output=True, text=True, check=True)
    assert len(shlex.split(by_shell.stdout)) > 1
    assert same(images_called(shlex.split(by_shell.stdout)), images_called([pattern]))


def test_braces_name_other_files_too(place: Path) -> None:
    zipped(place / "z-0.zip", {"a.png": png(0)})
    zipped(place / "z-1.zip", {"b.png": png(1)})
    assert images_called(["z-{0..1}.zip"]).ids == ("z-0.zip/a.png", "z-1.zip/b.png")
    assert images_called(["photographs/{0,2}.png"]).ids == ("photographs/0.png", "photographs/2.png")
    assert images_called(["{photo,more}*"]).name == "photographs + more.zip"
    # What is there as it is written is meant.
    folder(place / "{a,b}, c", {"0.png": png(0)})
    assert images_called(["{a,b}, c"]).ids == ("0.png",)
    for k in range(2):
        tarred(place / f"{{a,b}}, c/{k}.tar", {f"{k}.png": png(k)})
    assert images_called(["{a,b}, c/0.tar"]).ids == ("0.png",)


def test_tars_are_joined_to_other_images(place: Path) -> None:
    with pytest.warns(UserWarning, match=r"photographs, more\.zip have no classes, and other sets have"):
        joined = images_called(["photographs", "shards/s-000.tar", "more.zip", "shards/s-001.tar"])
    assert joined.name == "list of 2 tars + photographs + more.zip"
    assert len(joined) == 4 + 3 + 2
    folder(place / "d.tar", {"0.png": png()})
    with pytest.warns(UserWarning, match=r"d\.tar have no classes"):
        assert images_called(["d.tar", "shards/s-000.tar"]).name == "s-000.tar + d.tar"


@pytest.mark.usefixtures("place")
def test_fields_of_samples_are_named_by_path_and_label(place: Path) -> None:
    for source in ("shards", "shards/s-{000..009}.tar", "shards/s-002.tar"):
        assert same(images_called([source], label="txt"), load(source, label="txt"))
    (place / "shards/s-002.tar").rename(place / "unnamed")
    assert images_called(["unnamed"], path="png", label="txt").labels == ("a", "b")
    with pytest.raises(InputError, match=r"label='kind': .* has no such field; it has png \(18\)"):
        images_called(["shards"], label="kind")
    with pytest.raises(InputError, match=r"--path: there is no table among the images, and no tar"):
        images_called(["photographs"], path="png")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["shards/s-{008..012}.tar"], r"3 of the 5 tars of .* do not exist: shards/s-010\.tar, shards/s-011\.tar"),
        (["shards/t-*.tar"], r"shards/t-\*\.tar: no file is called so; give tars"),
        (["photographs", "shards/t-*.tar"], r"shards/t-\*\.tar: no file is called so; give tars"),
        (["nowhere/{a,b}*.zip"], r"nowhere/a\*\.zip: no file is called so"),
        (["shards/s-{000..}.tar"], r"\{000\.\.\} is no range such as \{000\.\.099\}, and no list"),
        (["shards/s-{000..001.tar"], r"braces are not closed"),
        (["shards/s-{}.tar"], r"\{\} is no range"),
        (["shards/s-{0..99999999}.tar"], r"stands for 100,000,000 names, more than"),
        (["shards/s-010.tar"], r"shards/s-010\.tar does not exist"),
        (["shards/s-000.tar", "shards/s-010.tar"], r"1 of the 2 tars of the list do not exist: shards/s-010\.tar"),
        (["shards/s-000.tar", "shards/s-00*.tar"], r"the list names .*s-000\.tar more than once"),
        (["shards/s-000.tar,photographs/0.png"], r"lists tars and 'photographs/0\.png', which is called like none"),
        (["shards/s-000.tar,"], None),
        (["a.tar,b.tar"], r"2 of the 2 tars of the list do not exist: a\.tar, b\.tar"),
        (["empty.tar"], r"empty\.tar holds no image files .*there are 1 \.txt"),
        (["empty.tar", "text.tar"], r"text\.tar"),
        (["text.tar"], r"text\.tar is a damaged tar"),
    ],
)
def test_what_names_no_tars_is_one_error_that_says_why(place: Path, names: list[str], why: str | None) -> None:
    tarred(place / "empty.tar", {"a.txt": b""})
    (place / "text.tar").write_text("no tar")
    if why is None:
        assert len(images_called(names)) == 2
        return
    with pytest.raises(InputError, match=why) as raised:
        images_called(names)
    assert "\n" not in str(raised.value)


def test_words_are_parted_outside_of_braces_only() -> None:
    assert words("a, b-{0,1}.tar,{x,y},") == ["a", "b-{0,1}.tar", "{x,y}"]
    assert parted("photographs, of mine") == ["photographs, of mine"]
    assert parted("ovals:3,4.tar") == ["ovals:3,4.tar"]


# Which files are looked at when they are loaded


def test_the_command_line_knows_the_checks_that_load_knows() -> None:
    assert CHECKS == KNOWN


@pytest.mark.parametrize("source", ["photographs", "shards", "more.zip", "photographs/*.png", "table.csv"])
def test_check_is_that_of_load(source: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "table.csv").write_text("file\nphotographs/0.png\nphotographs/1.png\n")
    asked = []

    def watched(given: object, **options: object) -> ImageSet:
        asked.append(options["check"])
        return load(given, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(image_sources, "load", watched)
    columns = {"path": "file"} if source.endswith("csv") else {}
    sets = [images_called([source], check=check, **columns) for check in CHECKS]
    assert same(*sets)
    assert asked == [*CHECKS]


def test_where_there_are_no_files_check_says_nothing() -> None:
    for names in (["samples"], ["shapes:3"], ["ovals:2"]):
        assert same(images_called(names, size=32), images_called(names, size=32, check="some"))


def test_with_some_checked_phi_names_what_cannot_be_used_when_it_is_read(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"{k:04}.png": png(k % 9, 8, 8) for k in range(600)}
    tarred(place / "many.tar", many | {"0001.png": b"no image"})
    asked = ["phi", "photo32", "many.tar", "--sigma", "0.1", "--draws", "1", "--quiet", "-o", "phi.nc"]

    def called(*more: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["probekit", *asked, *more])
        return main(), capsys.readouterr().err

    code, said = called()
    assert (code, said.count("\n")) == (1, 1)
    assert "1 of 600 files in many.tar cannot be used: 0001.png (not an image" in said
    code, said = called("--check", "some")
    assert (code, said.count("\n")) == (1, 1)
    assert "0001.png (not an image" in said
    assert 'loaded with check="some"' in said
    code, said = called("--check", "most")
    assert (code, said) == (1, said)
    assert "check='most'" in said
    code, said = called("--check", "some", "--skip-bad")
    assert code == 1
    assert "skip_bad" in said


def test_every_command_that_reads_images_from_files_takes_check() -> None:
    places = {name: place for name, (_, place) in COMMANDS.items()}
    places |= {name: f"analyses.{name}.shell:command" for name in ANALYSES}
    lacking, having = set(), set()
    for name, place in places.items():
        module, _, function = place.partition(":")
        parameters = inspect.signature(getattr(import_module(module), function)).parameters
        # What cuts images from files is told how to look at these.
        if {"size", "crop"} <= set(parameters):
            (having if "check" in parameters else lacking).add(name)
    assert lacking <= {"report"}, lacking
    assert len(having) >= 12
