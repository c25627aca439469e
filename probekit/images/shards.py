"""Shards: which tars a pattern or a list names, and what is in them by the conventions of WebDataset."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from glob import glob, has_magic
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

from probekit.checks import given, shown
from probekit.errors import InputError
from probekit.images.containers import hidden, opened
from probekit.images.decode import suffixes
from probekit.images.members import Members
from probekit.images.tars import Tar, begins_as_tar
from probekit.images.unusable import Unusable, reason
from probekit.naming import abridged, check_spelling, name_of, named

__all__ = ["NO_FIELDS", "Fields", "Shards", "expanded", "samples_of", "shards_of", "tars_called", "tars_in"]

# Names that a pattern stands for, at most: more is a slip of the pen.
MOST_SHARDS = 10**6
# What stands for several tars: {000..099}, {0..90..10}, {train,val}.
BRACES = re.compile(r"\{([^{}]*)\}")
TARS = re.compile(r"\.(tar|tgz)(\.\w+)?\}?$", re.IGNORECASE)
RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")
# The field of a label, and of what is said of a sample, of which the label is a part.
CLASS, SAID, LABEL = "cls", "json", "label"
# Characters of a class at most.
LONGEST_LABEL = 240


class Shards(NamedTuple):
    """Several tars as one: what they are called together, where they are, and whether that is a place."""

    path: Path
    tar: Tar
    placed: bool


class Fields(NamedTuple):
    """Which field of a sample is its image, and which its class; None where it is to be found out."""

    image: str | None
    label: str | None


NO_FIELDS = Fields(None, None)


def shards_of(source: Any) -> Shards | None:
    """The tars that a pattern or a list names, or a folder holds; None of what names none.

    Raises
    ------
    InputError
        If some are not there, or one is no tar.
    """
    if isinstance(source, Path):
        paths = tars_called(str(source)) or tars_in(source)
        return Shards(source, _opened(paths, str(source)), True) if paths else None
    tars = [Path(one) for one in source if _called_tar(one)]
    if not tars:
        return None
    if len(tars) < len(source):
        other = next(shown(one) for one in source if not _called_tar(one))
        raise InputError(f"the list holds tars and other files, such as {other}: load the one and the other by itself")
    return Shards(Path(f"list of {len(tars)} tars"), _opened(tars, "the list"), False)


def _called_tar(path: Any) -> bool:
    return isinstance(path, str | Path) and (path if isinstance(path, str) else path.name).lower().endswith(".tar")


def samples_of(
    tar: Tar, path: Path, names: Sequence[str], others: Sequence[str], fields: Fields, *, with_labels: bool
) -> tuple[list[str], list[str], list[str] | None]:
    """The images of tars, one a sample, what else there is, and the classes that samples name, None if they name none.

    A sample is what has one key, a name up to the first dot after its last folder; a field is what comes after.

    Parameters
    ----------
    names, others
        Of all image files, sorted, and of all others.
    fields
        Which are asked for.
    with_labels
        Whether classes are wanted.

    Raises
    ------
    InputError
        If a name occurs twice, a key has several images and none is asked for, a field is not there, or a class is
        none.
    """
    _refuse_repeated(tar, path, [*names, *others])
    rest = list(others)
    if fields.image == "*":
        chosen = list(names)
    elif fields.image is not None:
        wanted = fields.image.lower().split(";")
        chosen = _of_fields([*names, *others], wanted)
        if not chosen:
            raise InputError(f"{given('path', fields.image)}: {path} {_fields(names, others)}")
        rest = [name for name in others if split(name)[1] not in wanted]
    else:
        chosen = list(names)
        _refuse_several(path, chosen)
    if not with_labels:
        return chosen, rest, None
    field, labels = _labels(tar, path, chosen, others, fields)
    return chosen, [name for name in rest if split(name)[1] != field], labels


def split(name: str) -> tuple[str, str]:
    """The key and the field of a member, as WebDataset has them."""
    begins = name.rfind("/") + 1
    dot = name.find(".", begins)
    return (name, "") if dot < 0 else (name[:dot], name[dot + 1 :].lower())


def tars_called(written: str) -> list[Path]:
    """The files that a pattern of tars stands for; none of what is no such pattern, or is there as it is written.

    Raises
    ------
    InputError
        If it is such a pattern, and no file is called so.
    """
    several = "{" in written or has_magic(written)
    if not several or not TARS.search(written) or "\0" in written or _is_there(written):
        return []
    found: list[Path] = []
    for one in expanded(written):
        # As it is written, where there is such a file: folders may have brackets in their names.
        as_written = not has_magic(one) or _is_there(one)
        found += [Path(one)] if as_written else map(Path, sorted(glob(one)))  # noqa: PTH207
    if not found:
        raise InputError(f"{abridged(written)}: no file is called so; give tars, such as shards-{{000..099}}.tar")
    return found


def tars_in(folder: Path) -> list[Path]:
    """The tars that lie in a folder, sorted; none where image files or folders lie beside them, or it is no folder."""
    found: list[Path] = []
    images = suffixes()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if hidden(entry.name):
                    continue
                suffix = Path(entry.name).suffix.lower()
                if suffix in images or entry.is_dir():
                    return []
                if suffix == ".tar":
                    found.append(folder / entry.name)
    except (OSError, ValueError):
        return []
    return sorted(found)


def _is_there(written: str) -> bool:
    """Whether there is such a file; what is too long for a name may still be a pattern."""
    try:
        return Path(written).exists()
    except (OSError, ValueError):
        return False


def expanded(written: str) -> Iterator[str]:
    """What a name with braces stands for, in order, as of the shell.

    Raises
    ------
    InputError
        If braces are not closed, lie in one another, hold neither a range nor a list, or stand for too many names.
    """
    pieces = BRACES.split(written)
    if any(brace in piece for piece in pieces[::2] for brace in "{}"):
        raise InputError(f"{abridged(written)}: braces are not closed, or one lies in another: write {{000..099}}")
    choices = [_choices(piece, written) if k % 2 else [piece] for k, piece in enumerate(pieces)]
    count = 1
    for one in choices:
        count *= len(one)
    if count > MOST_SHARDS:
        raise InputError(f"{abridged(written)} stands for {count:,} names, more than {MOST_SHARDS:,}")
    return ("".join(parts) for parts in product(*choices))


def _choices(inside: str, written: str) -> Sequence[str]:
    """What one pair of braces stands for."""
    if "," in inside:
        return inside.split(",")
    found = RANGE.fullmatch(inside)
    if found is None:
        raise InputError(f"{abridged(written)}: {{{inside}}} is no range such as {{000..099}}, and no list {{a,b}}")
    first, last, step = found.groups()
    start, end = int(first), int(last)
    by = max(1, abs(int(step or 1))) * (1 if end >= start else -1)
    numbers = range(start, end + (1 if by > 0 else -1), by)
    if len(numbers) > MOST_SHARDS:
        raise InputError(f"{abridged(written)} stands for {len(numbers):,} names, more than {MOST_SHARDS:,}")
    # Where an end is written with zeros before it, all are as long as the longer end.
    padded = any(re.match(r"-?0\d", one) for one in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return [f"{number:0{width}d}" for number in numbers]


def _opened(paths: Sequence[Path], called: str) -> Tar:
    twice = [str(path) for path, n in Counter(map(os.path.abspath, paths)).items() if n > 1]
    if twice:
        raise InputError(f"{called} names {named(twice)} more than once: give each tar once")
    lost = [str(path) for path in paths if not path.exists()]
    if lost:
        raise InputError(f"{len(lost)} of the {len(paths)} tars of {called} do not exist: {named(lost)}")
    for path in paths:
        if begins_as_tar(path):
            continue
        # Folders, zips and compressed tars say what they are; the oldest kind of tar does not.
        if not isinstance(opened(path), Tar):
            raise InputError(f"{path} is no tar: load it by itself, and join sets by probekit.images.concatenate")
    try:
        return Tar(paths)
    except (OSError, Unusable) as error:
        raise InputError(f"{called} cannot be read: {reason(error)}") from None


def _refuse_repeated(tar: Tar, path: Path, names: Sequence[str]) -> None:
    repeated = [name for name, n in Counter(names).items() if n > 1] if len(set(names)) < len(names) else []
    if repeated:
        where = named(list(map(str, tar.whereabouts(repeated[0]))))
        raise InputError(
            f"{path} holds {named(repeated)} more than once, the first in {where}: names are ids, which address noise, "
            "so each must be unique: load each tar by itself and join the sets by probekit.images.concatenate, whose "
            "ids begin with the set's name, or make the tars anew under other names"
        )


def _of_fields(names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """The members of a field; of several fields the first that a sample has."""
    found: dict[str, str] = {}
    for field in reversed(wanted):
        found |= {key: name for name in names for key, of in [split(name)] if of == field}
    return sorted(found.values())


def _refuse_several(path: Path, names: Sequence[str]) -> None:
    """Refuse samples of several images, of which one may be a mask."""
    # Names that begin with one key and a dot are together where they are sorted.
    for key, of_key in groupby(names, key=lambda name: split(name)[0]):
        several = list(of_key)
        if len(several) > 1:
            fields = [split(name)[1] for name in several]
            raise InputError(
                f"{path} has {len(several)} images under the key {key!r}, {named(several)}: say which are meant, "
                f'path="{fields[0]}", or path="*" for each by itself'
            )


def _labels(
    tar: Tar, path: Path, images: Sequence[str], others: Sequence[str], fields: Fields
) -> tuple[str | None, list[str] | None]:
    """The field that classes come from, and the class of each image, "" where there is none."""
    for field in (CLASS, SAID) if fields.label is None else (fields.label.lower(),):
        holding = {key: name for name in others for key, of in [split(name)] if of == field}
        if not holding:
            continue
        keys = [split(name)[0] for name in images]
        members = tar.at([holding[key] for key in keys if key in holding])
        said = iter([_class(members.names[k], _content(members, k), field) for k in range(len(members.names))])
        known: dict[str, str] = {}
        labels = [known.setdefault(label, label) for key in keys for label in [next(said) if key in holding else ""]]
        if any(labels) or fields.label is not None:
            _check_looks(path, field, labels)
            return field, labels
    if fields.label is not None:
        raise InputError(f"{given('label', fields.label)}: {path} {_fields(images, others)}")
    return None, None


def _content(members: Members, k: int) -> bytes:
    try:
        return members.read(k)
    except Unusable as error:
        raise InputError(f"{members.names[k]} cannot be read: {error}; give labels=") from None


def _class(name: str, content: bytes, field: str) -> str:
    """The class that a member says, "" if it says none."""
    mend = "give label=, another field, or labels=, one class per image"
    try:
        # Some programs write a mark of the byte order first, which is no part of a name.
        written = content.decode("utf-8-sig").strip()
        value: Any = written
        if field == SAID or field.endswith(f".{SAID}"):
            value = json.loads(written)
            value = value.get(LABEL) if isinstance(value, dict) else None
    except ValueError as error:
        raise InputError(f"{name} holds no class: {reason(error)}; {mend}") from None
    label = name_of(value)
    if label is None or len(label) > LONGEST_LABEL or "\n" in label:
        raise InputError(f"{name} holds {shown(value)}, which is no class: {mend}")
    return label


def _check_looks(path: Path, field: str, labels: Sequence[str]) -> None:
    try:
        check_spelling(f"classes in .{field}", labels)
    except InputError as error:
        raise InputError(f"{error}; mend them in {path}, or give labels=") from None


def _fields(names: Iterable[str], others: Iterable[str]) -> str:
    """What fields there are, in words."""
    counts = Counter(split(name)[1] for name in [*names, *others])
    return f"has no such field; it has {named([f'{field} ({n})' for field, n in counts.most_common() if field])}"
