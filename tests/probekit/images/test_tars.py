"""Tars and shards: what is in them is what a folder or a zip of the same files holds; what is unsure is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import tempfile
import warnings
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import InputError
from probekit.images import ImageSet, concatenate, load
from probekit.images.shards import expanded, split
from probekit.noise import standard_normal
from tests.probekit.images.packing import folder, member, png, tarred, zipped

# Letters that sort before and after the slash and the dot, and some that are not ASCII.
LETTERS = "ab-0Z é"
PARTS = st.text(LETTERS, min_size=1, max_size=3).map(str.strip).filter(bool)
KINDS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def quietly(source: Any, **options: Any) -> ImageSet:
    with warnings.catch_warnings(action="error"):
        return load(source, **options)


def same(one: ImageSet, other: ImageSet) -> bool:
    """Whether two sets hold the same images under the same ids and classes."""
    told = [(s.ids, s.labels, s.shape, s.preparation, s.fingerprint(), s.skipped) for s in (one, other)]
    return told[0] == told[1] and torch.equal(one.read(range(len(one))), other.read(range(len(other))))


# The same as of folders and zips


@given(
    names=st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), min_size=1, max_size=6, unique=True),
    cuts=st.lists(st.integers(0, 6), max_size=2).map(sorted),
    order=st.randoms(use_true_random=False),
    kind=st.sampled_from(KINDS),
)
def test_a_tar_and_shards_are_what_a_folder_and_a_zip_of_the_same_files_are(
    names: list[str], cuts: list[int], order: Any, kind: int
) -> None:
    files = {f"{name}.png": png(k) for k, name in enumerate(names)}
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings(action="ignore"):
        here = Path(place)
        of_folder = load(folder(here / "f", files))
        stored = list(files.items())
        order.shuffle(stored)
        # A tar of a folder itself has "./" before each name.
        tars = [
            tarred(here / f"{k}.tar", {above + name: content for name, content in stored}, kind=kind)
            for k, above in enumerate(["", "./"])
        ]
        ends = [0, *cuts, len(stored)]
        shards = [tarred(here / f"s{k}.tar", dict(stored[a:b])) for k, (a, b) in enumerate(pairwise(ends))]
        others = [load(zipped(here / "z.zip", files)), *map(load, tars), load(shards)]
        assert all(same(of_folder, one) for one in others)
        # A part is that of the set, whatever it is a part of.
        where = order.sample(range(len(files)), order.randint(1, len(files)))
        assert all(same(of_folder[where], one[where]) for one in others)
        assert all(same(of_folder[::-1], one[::-1]) for one in others)


def test_noise_is_the_same_in_a_folder_and_in_shards(tmp_path: Path) -> None:
    files = {f"{kind}/{k}.png": png(k) for k, kind in enumerate(["cat", "dog", "cat", "dog"])}
    sets = [load(folder(tmp_path / "f", files))]
    halves = [dict(list(files.items())[a::2]) for a in range(2)]
    sets.append(load([tarred(tmp_path / f"{k}.tar", half) for k, half in enumerate(halves)]))
    z = [standard_normal(s.shape, seed=0, ids=s.ids, draws=[0] * len(s)) for s in sets]
    assert torch.equal(*z)
    assert sets[0].labels == sets[1].labels == ("cat", "cat", "dog", "dog")


# Samples of several fields


def sample(key: str, seed: int = 0, **fields: str) -> dict[str, bytes]:
    return {f"{key}.png": png(seed)} | {f"{key}.{field}": text.encode() for field, text in fields.items()}


def test_a_class_is_what_cls_says_and_else_what_json_does_and_else_the_folder(tmp_path: Path) -> None:
    both = sample("a/0", cls="7\n", json='{"label": "cat"}') | sample("b/1", 1, cls=" 12 ")
    said = {"a/0.json": '{"label": 3}', "b/1.json": '{"label": "dog", "x": 1}'}
    of_json = sample("a/0") | sample("b/1", 1) | {name: text.encode() for name, text in said.items()}
    neither = sample("a/0", json='{"caption": "a"}') | sample("b/1", 1, json="[1]")
    assert quietly(tarred(tmp_path / "1.tar", both)).labels == ("7", "12")
    assert quietly(tarred(tmp_path / "2.tar", of_json)).labels == ("3", "dog")
    assert quietly(tarred(tmp_path / "3.tar", neither)).labels == ("a", "b")
    assert quietly(tmp_path / "1.tar", labels=["x", "y"]).labels == ("x", "y")
    with pytest.warns(UserWarning, match=r"1 of 2 images of 1\.tar have no class: b/1\.png"):
        assert load(tmp_path / "1.tar", label="json").labels == ("cat", "")


def test_a_class_of_any_field_may_be_asked_for(tmp_path: Path) -> None:
    path = tarred(tmp_path / "x.tar", sample("0", txt="tabby", cls="1") | sample("1", 1, txt="hound", cls="2"))
    assert quietly(path, label="txt").labels == ("tabby", "hound")
    assert quietly(path, label="TXT").labels == ("tabby", "hound")
    with pytest.raises(InputError, match=r"label='kind': .*x\.tar has no such field; it has png \(2\), cls \(2\), txt"):
        load(path, label="kind")
    with pytest.raises(InputError, match=r"label='txt' and labels= are both given"):
        load(path, label="txt", labels=["a", "b"])
    with pytest.raises(InputError, match=r"root='.' does not apply here"):
        load(path, root=".")
    with pytest.raises(InputError, match=r"path=3: give a field of samples"):
        load(path, path=3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("field", "text", "why"),
    [
        ("json", '{"label": [1, 0]}', r"1\.json holds .*1, 0.*, which is no class"),
        ("json", '{"label": 0.5}', r"1\.json holds 0\.5, which is no class"),
        ("json", '{"label"', r"1\.json holds no class: .*; give label="),
        ("cls", "two\nlines", r"1\.cls holds .*, which is no class: give label=, another field, or labels="),
        ("cls", "x" * 300, r"1\.cls holds .*which is no class"),
        ("cls", "0 ", None),
    ],
)
def test_what_is_no_class_is_named(tmp_path: Path, field: str, text: str, why: str | None) -> None:
    good = sample("0", **{field: '{"label": 0}' if field == "json" else "0"})
    path = tarred(tmp_path / "x.tar", good | sample("1", **{field: text}))
    if why is None:
        assert quietly(path).labels == ("0", "0")
        return
    with pytest.raises(InputError, match=why):
        load(path)
    assert len(quietly(path, labels=["a", "b"])) == 2


def test_a_mark_of_the_byte_order_is_no_part_of_a_class(tmp_path: Path) -> None:
    files = sample("0") | sample("1", 1) | {"0.cls": b"\xef\xbb\xbfcat\r\n", "1.cls": b"cat"}
    assert quietly(tarred(tmp_path / "x.tar", files)).labels == ("cat", "cat")
    files = sample("0") | sample("1", 1) | {f"{k}.json": b'\xef\xbb\xbf{"label": "cat"}' for k in range(2)}
    assert quietly(tarred(tmp_path / "y.tar", files)).labels == ("cat", "cat")


def test_classes_that_are_no_text_or_look_alike_are_refused(tmp_path: Path) -> None:
    files = sample("0") | sample("1", 1) | {"0.cls": b"caf\xe9", "1.cls": b"1"}
    with pytest.raises(InputError, match=r"0\.cls holds no class: .*utf-8"):
        load(tarred(tmp_path / "x.tar", files))
    files |= {"0.cls": "é".encode(), "1.cls": "e\u0301".encode()}
    with pytest.raises(InputError, match=r"classes in \.cls .* look alike.*mend them in .*y\.tar"):
        load(tarred(tmp_path / "y.tar", files))


@pytest.mark.parametrize("other", ["0.jpg", "0.seg.png", "0.PNG"])
def test_two_images_under_one_key_are_refused_until_it_is_said_which_is_meant(tmp_path: Path, other: str) -> None:
    name = "0.png" if other != "0.PNG" else "0.b.png"
    files = {name: png(0), other: png(1), "1.b.png": png(2), "1.png": png(3), "0.cls": b"4", "1.cls": b"5"}
    path = tarred(tmp_path / "x.tar", files)
    with pytest.raises(InputError, match=r"x\.tar has 2 images under the key '0', .*: say which are meant, path=\""):
        load(path)
    field = split(name)[1]
    assert quietly(path, path="png;b.png" if field == "b.png" else "png").ids[-1] == "1.png"
    every = quietly(path, path="*")
    assert sorted(every.ids) == sorted(n for n in files if not n.endswith("cls"))
    assert every.labels == tuple("4" if name.startswith("0") else "5" for name in every.ids)
    with pytest.raises(InputError, match=r"path='webp': .* has no such field; it has"):
        load(path, path="webp")


def test_a_field_that_is_asked_for_has_its_samples_only_and_masks_are_not_told_of(tmp_path: Path) -> None:
    files = {f"{k}.{field}": png(10 * k + i) for k in range(3) for i, field in enumerate(("img.png", "mask.png"))}
    path = tarred(tmp_path / "x.tar", files | {"3.mask.png": png(9)})
    images = quietly(path, path="img.png")
    assert (images.ids, images.skipped) == (("0.img.png", "1.img.png", "2.img.png"), ())
    assert quietly(path, path="mask.png").ids == tuple(f"{k}.mask.png" for k in range(4))
    # Of several the first that a sample has.
    assert quietly(path, path="img.png;mask.png").ids[-1] == "3.mask.png"
    expected = load(folder(tmp_path / "f", {n: c for n, c in files.items() if "img" in n}))
    assert torch.equal(images.read([0, 1, 2]), expected.read([0, 1, 2]))


@given(name=st.text("a./_1-", min_size=1, max_size=12))
def test_keys_and_fields_are_those_of_webdataset(name: str) -> None:
    tariterators = pytest.importorskip("webdataset.tariterators")
    key, field = tariterators.base_plus_ext(name)
    # What has no key there is hidden, or has no field.
    if key is not None:
        assert split(name) == (key, field.lower())


def test_samples_are_those_that_webdataset_reads(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    for shard in range(3):
        with webdataset.TarWriter(str(tmp_path / f"s-{shard:03}.tar")) as sink:
            for k in range(4):
                number = 4 * shard + k
                sink.write({"__key__": f"{number:06}", "png": png(number), "cls": number % 3, "json": {"label": "x"}})
    pattern = str(tmp_path / "s-{000..002}.tar")
    with ExitStack() as closing:
        # It leaves open what it opens itself.
        streams = [closing.enter_context((tmp_path / f"s-{shard:03}.tar").open("rb")) for shard in range(3)]
        sources = [{"url": stream.name, "stream": stream} for stream in streams]
        iterators = webdataset.tariterators
        theirs = list(iterators.group_by_keys(iterators.tar_file_expander(sources)))
    images = quietly(pattern)
    assert [f"{one['__key__']}.png" for one in theirs] == list(images.ids)
    assert tuple(one["cls"].decode() for one in theirs) == images.labels
    assert [one["png"] for one in theirs] == [images._read.members.read(k) for k in range(12)]  # pyright: ignore


# Which tars


@pytest.mark.parametrize(
    "pattern",
    [
        "a{0..3}",
        "a{00..11}",
        "a{3..1}",
        "{0..9..4}-{a,b}",
        "{x,}y",
        "{008..010}",
        "{-1..1}",
        "plain",
        "{9..0..3}{1,22}",
    ],
)
def test_patterns_stand_for_what_braceexpand_has_them_stand_for(pattern: str) -> None:
    braceexpand = pytest.importorskip("braceexpand").braceexpand
    assert list(expanded(pattern)) == list(braceexpand(pattern))


@given(first=st.integers(0, 120), last=st.integers(0, 120), width=st.integers(1, 4), step=st.integers(1, 30))
def test_ranges_of_patterns_are_those_of_braceexpand(first: int, last: int, width: int, step: int) -> None:
    braceexpand = pytest.importorskip("braceexpand").braceexpand
    pattern = f"s-{{{first:0{width}}..{last:0{width}}..{step}}}.tar"
    assert list(expanded(pattern)) == list(braceexpand(pattern))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("s-{000..009}.tar", r"8 of the 10 tars of .*s-\{000\.\.009\}\.tar do not exist: .*s-002\.tar, .* and 3 more"),
        ("s-{000..001.tar", "braces are not closed"),
        ("s-{0{00..01}}.tar", "one lies in another"),
        ("s-{a..c}.tar", r"\{a\.\.c\} is no range such as \{000\.\.099\}"),
        ("s-{}.tar", "is no range"),
        ("s-{0..99999999}.tar", r"stands for 100,000,000 names"),
        ("s-{0..9999}{0..9999}.tar", r"stands for 100,000,000 names"),
        ("t-*.tar", r"t-\*\.tar: no file is called so; give tars, such as"),
        ("s-{000,000}.tar", r"names .*s-000\.tar more than once"),
        ("s-{000,*}.tar", r"names .*s-000\.tar more than once"),
    ],
)
def test_patterns_that_stand_for_no_tars_or_for_lost_ones_are_refused(tmp_path: Path, pattern: str, why: str) -> None:
    for k in range(2):
        tarred(tmp_path / f"s-{k:03}.tar", {f"{k}.png": png(k)})
    with pytest.raises(InputError, match=why):
        load(tmp_path / pattern)


def test_patterns_and_lists_name_tars(tmp_path: Path) -> None:
    place = tmp_path / "a [1] {x}"
    place.mkdir()
    for k in range(3):
        tarred(place / f"s-{k:03}.tar", {f"{k}.png": png(k)})
    # A place whose name looks like a pattern, as it is written; its files by name.
    listed = quietly(sorted(map(str, place.glob("*.tar"))))
    assert (listed.ids, listed.name, listed.origin) == (("0.png", "1.png", "2.png"), "list of 3 tars", "")
    assert quietly(place / "s-001.tar").ids == ("1.png",)
    plain = tmp_path / "plain"
    place.rename(plain)
    for pattern in ("s-{000..002}.tar", "s-*.tar", "s-00?.tar", "s-{000,001,002}.tar"):
        images = quietly(plain / pattern)
        assert same(images[:], quietly(sorted(plain.glob("*.tar")))[:])
        assert (images.name, images.origin) == (pattern, str(plain / pattern))
    with pytest.raises(InputError, match=r"the list holds tars and other files, such as 'x\.png'"):
        load([str(plain / "s-000.tar"), "x.png"])


def test_a_folder_of_tars_alone_is_what_these_are_together(tmp_path: Path) -> None:
    place = tmp_path / "s"
    place.mkdir()
    for k in range(3):
        tarred(place / f"s-{k}.{'TAR' if k == 1 else 'tar'}", sample(f"{k}", k, txt=f"{k % 2}"))
    # What tells of shards, and hidden files, lies beside them.
    (place / "sizes.json").write_text("{}")
    (place / "._s-0.tar").write_bytes(b"no tar")
    (place / ".cache").mkdir()
    images = quietly(place, label="txt")
    assert (images.name, images.origin, images.labels) == ("s", str(place), ("0", "1", "0"))
    assert torch.equal(images.read(range(3)), quietly(sorted(place.glob("s-*"))[:3]).read(range(3)))
    # Beside folders or images it is not said which are meant.
    (place / "more").mkdir()
    with pytest.raises(
        InputError, match=r"holds no image files .*; there are .*3 \.tar.*; of tars give a pattern, load"
    ):
        load(place)
    with pytest.raises(
        InputError, match=r"label='txt' does not apply here: .* nor is it a tar, or a folder of tars alone"
    ):
        load(place, label="txt")
    (place / "a.png").write_bytes(png())
    assert load(place).ids == ("a.png",)


def test_a_pattern_may_be_longer_than_a_name(tmp_path: Path) -> None:
    names = [f"shard-{k:03}-{'x' * 20}" for k in range(12)]
    for k, name in enumerate(names):
        tarred(tmp_path / f"{name}.tar", {f"{k:02}.png": png(k)})
    assert len(quietly(tmp_path / f"{{{','.join(names)}}}.tar")) == 12


def test_a_name_in_two_shards_is_refused_and_the_sets_are_joined_instead(tmp_path: Path) -> None:
    paths = [tarred(tmp_path / f"{name}.tar", {"0.png": png(k), "1.png": png(k + 2)}) for k, name in enumerate("ab")]
    why = r"holds 0\.png, 1\.png more than once, the first in .*a\.tar, .*b\.tar: names are ids.*concatenate"
    with pytest.raises(InputError, match=why):
        load(paths)
    joined = concatenate([load(path) for path in paths])
    assert joined.ids == ("a.tar/0.png", "a.tar/1.png", "b.tar/0.png", "b.tar/1.png")
    with pytest.raises(InputError, match=r"holds 0\.png more than once, the first in .*c\.tar, .*c\.tar"):
        load(tarred(tmp_path / "c.tar", {}, member("0.png", png(0)), member("./0.png", png(1))))


def test_members_are_read_where_the_system_cannot_read_at_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{k}.png": png(k) for k in range(5)}
    sets = [load(tarred(tmp_path / "x.tar", files)), load(zipped(tmp_path / "z.zip", files))]
    expected = sets[0].read(range(5))
    monkeypatch.delattr(os, "pread", raising=False)
    assert all(torch.equal(one.read([3, 0, 4, 1]), expected[[3, 0, 4, 1]]) for one in sets)


def test_an_empty_shard_adds_nothing_and_empty_tars_alone_are_refused(tmp_path: Path) -> None:
    paths = [tarred(tmp_path / "a.tar", {}), tarred(tmp_path / "b.tar", {"0.png": png()})]
    assert quietly(paths).ids == ("0.png",)
    with pytest.raises(InputError, match=r"a\.tar holds no image files"):
        load(paths[0])
    (tmp_path / "c.tar").write_bytes(b"")
    with pytest.raises(InputError, match=r"c\.tar is a damaged tar, or cut off, after no file: .*empty"):
        load([*paths, tmp_path / "c.tar"])


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "x.tar"])
def test_compressed_tars_are_refused_with_what_unpacks_them(tmp_path: Path, packed: Any, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(packed(tarred(tmp_path / "plain.tar", {"0.png": png()}).read_bytes()))
    for source in (path, tmp_path / f"?{name[1:]}"):
        with pytest.raises(InputError, match=rf"{name} is compressed by \w+, .*: unpack it once, \w+ {name}"):
            load(source)
    if name == "x.tar":
        with pytest.raises(InputError, match=r"is compressed by"):
            load([tmp_path / "plain.tar", path])


def test_what_is_called_a_tar_and_is_none_is_read_as_what_it_is_or_refused(tmp_path: Path) -> None:
    (tmp_path / "d.tar").mkdir()
    folder(tmp_path / "d.tar", {"0.png": png()})
    zipped(tmp_path / "z.tar", {"0.png": png()})
    tarred(
        tmp_path / "t.zip", {"0.png": png()}, member("last.zip", zipped(tmp_path / "in.zip", {"a": b""}).read_bytes())
    )
    for name in ("d.tar", "z.tar", "t.zip"):
        assert quietly(tmp_path / name).ids == ("0.png",)
    with pytest.raises(InputError, match=r"z\.tar is no tar: load it by itself"):
        load([tarred(tmp_path / "plain.tar", {"9.png": png()}), tmp_path / "z.tar"])
    (tmp_path / "n.tar").write_bytes(b"nothing" * 200)
    with pytest.raises(InputError, match=r"n\.tar is a damaged tar"):
        load(tmp_path / "n.tar")


# What a tar may hold


def test_hard_links_have_the_bytes_of_what_they_are_links_to(tmp_path: Path) -> None:
    put = folder(tmp_path / "f", {"a/x.png": png(0), "b/z.png": png(1)})
    os.link(put / "a/x.png", put / "b/y.png")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(put, ".")
        assert any(one.islnk() for one in archive.getmembers())
    assert same(quietly(tmp_path / "x.tar"), quietly(put))
    lost = tarred(tmp_path / "y.tar", {"a.png": png()}, member("b.png", type=tarfile.LNKTYPE, linkname="gone.png"))
    with pytest.raises(InputError, match=r"1 of 2 files .*b\.png \(a link to 'gone\.png', which is not in its tar\)"):
        load(lost)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "a symbolic link, which leads nowhere from within a tar: make it with `tar --dereference`"),
        (tarfile.FIFOTYPE, "a pipe or device, and no file"),
        (tarfile.CHRTYPE, "a pipe or device, and no file"),
        (tarfile.GNUTYPE_SPARSE, "stored with holes: make the tar without --sparse"),
    ],
)
def test_what_is_no_file_is_named_or_left_out_on_request(tmp_path: Path, kind: bytes, why: str) -> None:
    odd = member("a.png", type=kind, linkname="b.png" if kind == tarfile.SYMTYPE else "")
    path = tarred(tmp_path / "x.tar", {"b.png": png()}, odd, kind=tarfile.GNU_FORMAT)
    with pytest.raises(InputError, match=rf"1 of 2 files .*a\.png \({why}"):
        load(path)
    with pytest.warns(UserWarning, match=rf"left out 1 of 2 files in .*: a\.png: {why}") as told:
        images = load(path, skip_bad=True)
    assert (images.ids, told[0].filename) == (("b.png",), __file__)
    # Of a set whose first is left out, all else has moved up.
    assert torch.equal(images.read([0])[0], load(folder(tmp_path / "f", {"b.png": png()})).read([0])[0])


def test_folders_hidden_files_long_names_and_names_that_are_no_utf_8(tmp_path: Path) -> None:
    long = "/".join(["d" * 90] * 4) + "/" + "é" * 60 + ".png"
    files = {long: png(0), ".hidden.png": b"", "x/.git/a.png": b"", "__MACOSX/._b.png": b"", "c.png": png(1)}
    for kind in KINDS[1:]:
        path = tarred(tmp_path / "x.tar", files, member("x", type=tarfile.DIRTYPE), kind=kind)
        with warnings.catch_warnings(action="ignore"):
            assert load(path).ids == ("c.png", long)
    bad = tarred(tmp_path / "y.tar", {os.fsdecode(b"caf\xe9.png"): png(0), "d.png": png(1)}, kind=tarfile.GNU_FORMAT)
    with pytest.raises(InputError, match=r"'caf\\udce9\.png' \(its path is not UTF-8"):
        load(bad)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    files = {"0.png": png(0), "1.png": b"no image", "2.png": png(2, 7), "notes.txt": b""}
    with pytest.raises(
        InputError, match=r"2 of 3 files .*: 1\.png \(not an image.*, 2\.png \(7×8 where most are 6×8\)"
    ):
        load(tarred(tmp_path / "x.tar", files))


# Damage


def test_a_tar_cut_anywhere_is_refused_or_whole(tmp_path: Path) -> None:
    """Cut between two files too, where tarfile takes what is left for all."""
    files = {f"{k}.png": png(k) for k in range(3)}
    sound = tarred(tmp_path / "x.tar", files).read_bytes()
    good, end = load(tmp_path / "x.tar"), sound.rstrip(b"\0")
    for kept in [*range(0, len(end), 64), *range(0, len(sound), 512)]:
        (tmp_path / "x.tar").write_bytes(sound[:kept])
        try:
            found = load(tmp_path / "x.tar")
        except InputError as error:
            assert "x.tar is a damaged tar, or cut off, after " in str(error)  # noqa: PT017
            continue
        assert kept >= len(end) + 512
        assert same(found, good)


def test_damaged_tars_are_read_or_refused_and_no_file_is_lost_in_silence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = {f"{k}.png": png(k) for k in range(3)}
    sound = tarred(tmp_path / "x.tar", files).read_bytes()
    good = load(tmp_path / "x.tar")
    refused = 0
    for case in range(400):
        raw = bytearray(sound)
        # In headers, in which tarfile takes a wrong checksum for the end.
        at = int(rng.integers(512)) + [0, sound.index(b"1.png"), sound.index(b"2.png")][case % 3]
        raw[at : at + 1] = [bytes([raw[at] ^ (1 << int(rng.integers(8)))]), b""][int(rng.integers(2))]
        (tmp_path / "x.tar").write_bytes(raw)
        try:
            found = load(tmp_path / "x.tar")
        except InputError:
            refused += 1
            continue
        assert len(found) == len(good)
    assert refused > 300


def test_two_tars_written_one_after_the_other_are_refused(tmp_path: Path) -> None:
    raw = [tarred(tmp_path / f"{k}.tar", {f"{k}.png": png(k)}).read_bytes() for k in range(2)]
    (tmp_path / "x.tar").write_bytes(b"".join(raw))
    with pytest.raises(InputError, match=r"goes on after its end, which comes after 1 files, the last '0\.png'"):
        load(tmp_path / "x.tar")
    # Zeros are no members.
    (tmp_path / "y.tar").write_bytes(raw[0] + bytes(2**21 + 5))
    assert quietly(tmp_path / "y.tar").ids == ("0.png",)
