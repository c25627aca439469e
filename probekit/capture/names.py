"""Names of places in a network: aliases, module paths, repeated calls, items of tuple outputs."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch

from probekit.capture.items import Item, item_of, spelled, tensors_of, with_item
from probekit.capture.survey import NotTried, Visit, network_of, opaque, survey, trial
from probekit.checks import listed, shown, whole
from probekit.denoising.denoiser import as_denoiser
from probekit.errors import InputError, ProbeError, TapError
from probekit.machine.place import zeros_for

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["EVERY", "TapPoint", "check_distinct", "listing", "located", "resolve", "taps"]

# What follows a module's path in a name: a call, or every call, and items of the output.
SUFFIX = re.compile(r"(@(?P<call>\d+|\*))?(?P<items>(\[[^\[\]]+\])*)")
EVERY = "*"
MAX_LISTED = 12
# The largest map, in pixels, that a halving makes one pixel of.
HALVED_TO_ONE = 9
SHAPE = "(channels, rows, cols) of one image"


@dataclass(frozen=True)
class TapPoint:
    """One place in a network: a module, which of its calls, and which item of its output.

    Attributes
    ----------
    name : str
        What results call it: the alias, or the path as it was given.
    path : str
        Module path inside the network; "" for "mid" before there was an image to find it with.
    call : int, "*" or None
        Which call of one forward pass, from 0; "*" for all of them, which can be edited only; None where the module
        is called once.
    item : Item
        Positions or keys within tuple, list, mapping or dataclass outputs, outermost first; () where the output is
        a tensor.
    """

    name: str
    path: str
    call: int | Literal["*"] | None = None
    item: Item = ()

    @property
    def key(self) -> tuple[str, int | str, Item]:
        """What tells two points apart, whatever they are called."""
        return self.path, self.call or 0, self.item

    def select(self, output: Any) -> Tensor:
        """The tensor of this point in its module's output."""
        found = item_of(output, self.item) if self.item else output
        if isinstance(found, torch.Tensor):
            return found
        raise TapError(self.missing(type(output).__name__, list(tensors_of(output))))

    def missing(self, output: str, items: Sequence[Item]) -> str:
        """What to say where the output, of type `output`, holds tensors only at `items`."""
        given = f"and no tensor called {spelled(self.item)}" if self.item else "no tensor"
        choices = [f'"{_spelled(self.path, self.call, item)}"' for item in items]
        hint = f"choose {' or '.join(choices)}" if choices else "tap another module"
        return f"tap {self.name!r}: the module's output is a {output}, {given}; {hint}"

    def replaced(self, output: Any, value: Tensor) -> Any:
        """The module's output with this point's tensor exchanged for `value`."""
        return with_item(output, self.item, value)


def resolve(denoiser: nn.Module, names: Sequence[str]) -> tuple[TapPoint, ...]:
    """Places for names: a declared alias first, then an exact module path, then a found "mid".

    A "mid" that no small image finds is left to be `located` when there are images.

    Raises
    ------
    TapError
        If a name is unknown (close matches are named), ambiguous, or given twice.
    """
    if not names:
        raise TapError(f"name at least one tap: {listing(network_of(denoiser))}")
    points = tuple(_point(denoiser, name) for name in names)
    check_distinct(points)
    return points


def check_distinct(points: Sequence[TapPoint]) -> None:
    """Refuse two names for one place."""
    for index, point in enumerate(points):
        twin = next((other for other in points[:index] if other.key == point.key), None)
        if twin is not None:
            raise TapError(f"taps {twin.name!r} and {point.name!r} are one place ({point.path}): name it once")


def taps(denoiser: nn.Module, shape: Sequence[int], **conditions: Any) -> pd.DataFrame:
    """What can be tapped in a network, in the order in which a forward pass finishes it.

    Parameters
    ----------
    denoiser
        A `probekit.Denoiser` or a network.
    shape
        (C, H, W) of an image to try it on.
    conditions
        What else the network takes, by name, for a batch of that one image.

    Returns
    -------
    DataFrame
        One row per activation map. ``name`` is what `probekit.tap` takes (``path``, ``path@k`` for
        the k-th call of a module called several times, ``path[i]`` for an item of a tuple), ``alias``
        its declared name or "", ``kind`` the module's class, ``channels``, ``rows``, ``cols`` the
        map's shape, ``calls`` how often one pass calls the module, ``cost`` the share of the whole
        forward pass's arithmetic, in [0, 1], that reaching this tap takes (NaN where none is counted).

    Raises
    ------
    InputError
        If `shape` is not (C, H, W), or the network cannot take it.

    Examples
    --------
    >>> from probekit.models.unet import UNet
    >>> table = taps(UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)), (3, 8, 8))
    >>> table.loc[table.alias != "", ["name", "alias", "channels", "rows", "calls"]].values.tolist()
    [['encoder.0', 'enc1', 4, 8, 1], ['middle', 'mid', 8, 4, 1]]
    """
    sizes = [whole("shape", size, least=1) for size in listed("shape", shape, SHAPE)]
    if len(sizes) != 3:
        raise InputError(f"shape={tuple(sizes)}: give {SHAPE}")
    denoiser = as_denoiser(denoiser)
    network = network_of(denoiser)
    visits = survey(denoiser, zeros_for(network, 1, *sizes), 0.5, conditions=conditions, counted=True)
    calls = Counter(v.path for v in visits)
    aliases = {point.key: name for name, point in _aliases(network).items()}
    total = visits[-1].work if visits else 0.0
    found = [
        {
            "name": _spelled(v.path, v.call if calls[v.path] > 1 else None, item),
            "alias": aliases.get((v.path, v.call, item), ""),
            "kind": type(v.module).__name__,
            "channels": size[1],
            "rows": size[2],
            "cols": size[3],
            "calls": calls[v.path],
            "cost": v.work / total if total else float("nan"),
        }
        for v in visits
        for item, size in v.shapes.items()
        if v.path and len(size) == 4
    ]
    columns = ["name", "alias", "kind", "channels", "rows", "cols", "calls", "cost"]
    return pd.DataFrame(found, columns=columns)


def _point(denoiser: nn.Module, name: Any) -> TapPoint:
    network = network_of(denoiser)
    aliases = _aliases(network)
    if isinstance(name, str) and name in aliases:
        return aliases[name]
    paths = [path for path, _ in network.named_modules(remove_duplicate=False) if path]
    point = _parsed(name, set(paths))
    if point is not None:
        outer = opaque(network, point.path)
        if outer is not None:
            raise TapError(
                f"tap {name!r} is at or inside {outer!r}, which is scripted, and hooks do not fire there: give that "
                "part as it was before, or tap a module outside it"
            )
        return point
    if isinstance(name, str) and name == "mid":
        try:
            y, visits = trial(denoiser)
        except NotTried:
            return TapPoint("mid", "")
        return located(network, visits, (y.shape[2], y.shape[3]))
    close = [
        match
        for known in (list(aliases), paths)
        for match in difflib.get_close_matches(shown(name).strip("'"), known, n=2, cutoff=0.5)
    ]
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"{listing(network)}"
    raise TapError(f"{type(network).__name__} has no tap {shown(name)}: {hint}")


def _parsed(name: Any, paths: Collection[str]) -> TapPoint | None:
    """A name as the longest path that it begins with, a path as a whole first, and what follows that."""
    if not isinstance(name, str):
        return None
    for end in range(len(name), 0, -1):
        rest = SUFFIX.fullmatch(name, end) if name[:end] in paths else None
        if rest is not None:
            call = rest["call"]
            items = tuple(rest["items"][1:-1].split("][")) if rest["items"] else ()
            return TapPoint(name, name[:end], call if call is None or call == EVERY else int(call), items)
    return None


def _aliases(network: nn.Module) -> dict[str, TapPoint]:
    """Declared aliases as places; a declaration that names no module is an error."""
    declared = getattr(network, "tap_aliases", None)
    if not isinstance(declared, Mapping):
        return {}
    paths = {path for path, _ in network.named_modules(remove_duplicate=False) if path}
    found = {}
    for alias, place in declared.items():
        point = _parsed(place, paths)
        if point is None:
            raise TapError(f"{type(network).__name__}.tap_aliases maps {alias!r} to {place!r}, which is no module path")
        found[alias] = TapPoint(alias, point.path, point.call, point.item)
    return found


def located(network: nn.Module, visits: Sequence[Visit], size: tuple[int, int]) -> TapPoint:
    """ "mid" in a surveyed pass of images of this size: the last block at the coarsest resolution.

    A block is a module as near the root as any there. Maps of one pixel are passed over where there are others: they
    are pooled summaries (squeeze and excitation), not a scale of the image.

    Raises
    ------
    TapError
        If nothing is coarser than the images, or it cannot be told what is.
    """
    maps = [(v, v.shapes[()]) for v in visits if v.path and len(v.shapes.get((), ())) == 4]
    areas = sorted({shape[2] * shape[3] for _, shape in maps})
    scales = [a for a in areas if a > 1] or areas
    if len(scales) < len(areas) and scales[0] <= HALVED_TO_ONE:
        raise TapError(
            f'"mid" is not unique at {size[0]}×{size[1]}: maps of one pixel may be the coarsest resolution or a pooled '
            f"summary; name a tap by its path; {listing(network)}"
        )
    areas = scales
    if not areas or areas[0] >= size[0] * size[1]:
        raise TapError(
            f'"mid" is not unique in a network without down-sampling: name a tap by its path; {listing(network)}'
        )
    coarsest = [v for v, shape in maps if shape[2] * shape[3] == areas[0]]
    depth = min(v.path.count(".") for v in coarsest)
    last = [v for v in coarsest if v.path.count(".") == depth][-1]
    calls = sum(v.path == last.path for v in visits)
    return TapPoint("mid", last.path, last.call if calls > 1 else None)


def listing(network: nn.Module) -> str:
    """What there is to tap, in a sentence."""
    try:
        aliases = list(_aliases(network))
    except ProbeError:
        aliases = []
    paths = [path for path, _ in network.named_modules() if path]
    shown = [*aliases, *paths][:MAX_LISTED]
    more = len(aliases) + len(paths) - len(shown)
    return f"there are {', '.join(shown) or 'no submodules'}" + (
        f" and {more} more; probekit.taps lists all" if more else ""
    )


def _spelled(path: str, call: int | str | None, item: Item) -> str:
    return path + ("" if call is None else f"@{call}") + spelled(item)
