"""Names of places in a network: aliases, module paths, repeated calls, items of tuple outputs."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from probekit.capture.survey import items_of, network_of, survey, trial_batch
from probekit.checks import listed, whole
from probekit.denoising.denoiser import as_denoiser
from probekit.errors import InputError, ProbeError, TapError
from probekit.machine.place import zeros_for

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["TapPoint", "resolve", "taps"]

NAME = re.compile(r"(?P<path>[^@\[\]]+)(@(?P<call>\d+))?(\[(?P<item>[^\[\]]+)\])?")
MAX_LISTED = 12
SHAPE = "(channels, rows, cols) of one image"


@dataclass(frozen=True)
class TapPoint:
    """One place in a network: a module, which of its calls, and which item of its output.

    Attributes
    ----------
    name : str
        What results call it: the alias, or the path as it was given.
    path : str
        Module path inside the network.
    call : int or None
        Which call of one forward pass, from 0; None where the module is called once.
    item : str or None
        Position or key within a tuple, list or mapping output; None where the output is a tensor.
    """

    name: str
    path: str
    call: int | None = None
    item: str | None = None

    @property
    def key(self) -> tuple[str, int, str | None]:
        """What tells two points apart, whatever they are called."""
        return self.path, self.call or 0, self.item

    def select(self, output: Any) -> Tensor:
        """The tensor of this point in its module's output."""
        found = output
        if self.item is not None:
            found = items_of(output).get(self.item)
        if isinstance(found, torch.Tensor):
            return found
        items = [key for key, value in items_of(output).items() if isinstance(value, torch.Tensor)]
        raise TapError(self.missing(type(output).__name__, items))

    def missing(self, output: str, items: Sequence[str | None]) -> str:
        """What to say where the output, of type `output`, holds tensors only at `items`."""
        given = "no tensor" if self.item is None else f"and no tensor called [{self.item}]"
        choices = [f'"{_spelled(self.path, self.call, item)}"' for item in items]
        hint = f"choose {' or '.join(choices)}" if choices else "tap another module"
        return f"tap {self.name!r}: the module's output is a {output}, {given}; {hint}"

    def replaced(self, output: Any, value: Tensor) -> Any:
        """The module's output with this point's tensor exchanged for `value`."""
        if self.item is None:
            return value
        if isinstance(output, Mapping):
            return type(output)({k: value if str(k) == self.item else v for k, v in output.items()})  # type: ignore[call-arg]
        items = [value if str(i) == self.item else v for i, v in enumerate(output)]
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)


def resolve(denoiser: nn.Module, names: Sequence[str]) -> tuple[TapPoint, ...]:
    """Places for names: a declared alias first, then an exact module path, then a found "mid".

    Raises
    ------
    TapError
        If a name is unknown (close matches are named), ambiguous, or given twice.
    """
    if not names:
        raise TapError(f"name at least one tap: {_listing(network_of(denoiser))}")
    points = tuple(_point(denoiser, name) for name in names)
    for index, point in enumerate(points):
        twin = next((other for other in points[:index] if other.key == point.key), None)
        if twin is not None:
            raise TapError(f"taps {twin.name!r} and {point.name!r} are one place ({point.path}): name it once")
    return points


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
    visits = survey(denoiser, zeros_for(network, 1, *sizes), 0.5, **conditions)
    calls = Counter(v.path for v in visits)
    aliases = {point.key: name for name, point in _aliases(network).items()}
    total = visits[-1].work
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


def _point(denoiser: nn.Module, name: str) -> TapPoint:
    network = network_of(denoiser)
    aliases = _aliases(network)
    if name in aliases:
        return aliases[name]
    modules = dict(network.named_modules(remove_duplicate=False))
    point = _parsed(name)
    if point is not None and point.path in modules:
        return point
    if name == "mid":
        return _bottleneck(denoiser)
    close = [
        match
        for known in (list(aliases), [path for path in modules if path])
        for match in difflib.get_close_matches(str(name), known, n=2, cutoff=0.5)
    ]
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"{_listing(network)}"
    raise TapError(f"{type(network).__name__} has no tap {name!r}: {hint}")


def _parsed(name: Any) -> TapPoint | None:
    match = NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return None
    return TapPoint(name, match["path"], None if match["call"] is None else int(match["call"]), match["item"])


def _aliases(network: nn.Module) -> dict[str, TapPoint]:
    """Declared aliases as places; a declaration that names no module is an error."""
    declared = getattr(network, "tap_aliases", None)
    if not isinstance(declared, Mapping):
        return {}
    modules = dict(network.named_modules(remove_duplicate=False))
    found = {}
    for alias, spelled in declared.items():
        point = _parsed(spelled)
        if point is None or point.path not in modules:
            raise TapError(
                f"{type(network).__name__}.tap_aliases maps {alias!r} to {spelled!r}, which is no module path"
            )
        found[alias] = TapPoint(alias, point.path, point.call, point.item)
    return found


def _bottleneck(denoiser: nn.Module) -> TapPoint:
    """The last block at the coarsest resolution, a block being a module as near the root as any there.

    Maps of one pixel are passed over where there are others: they are pooled summaries (squeeze and
    excitation), not a scale of the image.
    """
    y, visits = trial_batch(denoiser)
    maps = [(v, size) for v in visits if v.path for item, size in v.shapes.items() if item is None and len(size) == 4]
    areas = sorted({size[2] * size[3] for _, size in maps})
    areas = [a for a in areas if a > 1] or areas
    listing = _listing(network_of(denoiser))
    if not areas or areas[0] >= y.shape[2] * y.shape[3]:
        raise TapError(f'"mid" is not unique in a network without down-sampling: name a tap by its path; {listing}')
    coarsest = [v for v, size in maps if size[2] * size[3] == areas[0]]
    depth = min(v.path.count(".") for v in coarsest)
    last = [v for v in coarsest if v.path.count(".") == depth][-1]
    calls = sum(v.path == last.path for v in visits)
    return TapPoint("mid", last.path, last.call if calls > 1 else None)


def _spelled(path: str, call: int | None, item: str | None) -> str:
    return path + ("" if call is None else f"@{call}") + ("" if item is None else f"[{item}]")


def _listing(network: nn.Module) -> str:
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
