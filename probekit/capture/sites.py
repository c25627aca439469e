"""Names of places in a network: aliases, module paths, repeated calls, items of tuple outputs."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from probekit.denoising.denoiser import Denoiser, as_denoiser
from probekit.denoising.inputs import first, input_channels, raise_if_input_is_to_blame
from probekit.errors import InputError, ProbeError, TapError
from probekit.machine.modes import evaluating

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Site", "Visit", "network_of", "resolve", "survey", "taps"]

NAME = re.compile(r"(?P<path>[^@\[\]]+)(@(?P<call>\d+))?(\[(?P<item>[^\[\]]+)\])?")
TRIAL_SIZES = (64, 32, 128, 28, 256, 16, 8)
MAX_LISTED = 12


@dataclass(frozen=True)
class Site:
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
    def place(self) -> tuple[str, int, str | None]:
        """What tells two sites apart, whatever they are called."""
        return self.path, self.call or 0, self.item

    def select(self, output: Any) -> Tensor:
        """The tensor of this site in its module's output."""
        found = output
        if self.item is not None:
            found = _items(output).get(self.item)
        if isinstance(found, torch.Tensor):
            return found
        items = [key for key, value in _items(output).items() if isinstance(value, torch.Tensor)]
        raise TapError(self.missing(type(output).__name__, items))

    def missing(self, output: str, items: Sequence[str | None]) -> str:
        """What to say where the output, of type `output`, holds tensors only at `items`."""
        given = "no tensor" if self.item is None else f"and no tensor called [{self.item}]"
        choices = [f'"{_spelled(self.path, self.call, item)}"' for item in items]
        hint = f"choose {' or '.join(choices)}" if choices else "tap another module"
        return f"tap {self.name!r}: the module's output is a {output}, {given}; {hint}"

    def replaced(self, output: Any, value: Tensor) -> Any:
        """The module's output with this site's tensor exchanged for `value`."""
        if self.item is None:
            return value
        if isinstance(output, Mapping):
            return type(output)({k: value if str(k) == self.item else v for k, v in output.items()})  # type: ignore[call-arg]
        items = [value if str(i) == self.item else v for i, v in enumerate(output)]
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)


@dataclass(frozen=True)
class Visit:
    """One module call seen in a survey: which, what came out (its type, its tensors' shapes), the work until then."""

    path: str
    call: int
    module: nn.Module
    output: str
    shapes: Mapping[str | None, tuple[int, ...]]
    work: float


def network_of(denoiser: nn.Module) -> nn.Module:
    """The module whose submodules are tapped: inside a `Denoiser` the user's own network.

    Raises
    ------
    TapError
        If hooks on it would not fire, or not on every call.
    """
    network = denoiser.model if isinstance(denoiser, Denoiser) else denoiser
    for path, module in network.named_modules():
        kind = type(module).__name__
        where = f"{kind} at {path!r}" if path else kind
        if isinstance(module, nn.DataParallel):
            raise TapError(f"{where} runs copies of the network, whose activations are out of reach: give its .module")
        if isinstance(module, torch.jit.ScriptModule):
            raise TapError(f"{where} is compiled, and taps do not fire in it: give the network as it was before")
        if kind == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None:
            raise TapError(
                f"{where} is compiled, and taps do not fire in it: give the network itself "
                "(what torch.compile returned keeps it as ._orig_mod)"
            )
    return network


def resolve(denoiser: nn.Module, names: Sequence[str]) -> tuple[Site, ...]:
    """Places for names: a declared alias first, then an exact module path, then a found "mid".

    Raises
    ------
    TapError
        If a name is unknown (close matches are named), ambiguous, or given twice.
    """
    if not names:
        raise TapError(f"name at least one tap: {_listing(network_of(denoiser))}")
    sites = tuple(_site(denoiser, name) for name in names)
    for index, site in enumerate(sites):
        twin = next((other for other in sites[:index] if other.place == site.place), None)
        if twin is not None:
            raise TapError(f"taps {twin.name!r} and {site.name!r} are one place ({site.path}): name it once")
    return sites


def survey(denoiser: nn.Module, y: Tensor, sigma: Any = None, **conditions: Any) -> list[Visit]:
    """One whole forward pass of `y`, and every module call in it, in order of completion."""
    network = network_of(denoiser)
    visits: list[Visit] = []
    counts: Counter[str] = Counter()
    paths = {module: path for path, module in network.named_modules()}

    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(evaluating(denoiser))
        flops = stack.enter_context(FlopCounterMode(display=False))

        def seen(module: nn.Module, _: Any, output: Any) -> None:
            path = paths[module]
            found = {None: output} if isinstance(output, torch.Tensor) else _items(output)
            shapes = {k: tuple(v.shape) for k, v in found.items() if isinstance(v, torch.Tensor)}
            visits.append(
                Visit(path, counts[path], module, type(output).__name__, shapes, float(flops.get_total_flops()))
            )
            counts[path] += 1

        for module in paths:
            stack.callback(module.register_forward_hook(seen).remove)
        try:
            denoiser(y, sigma, **conditions)
        except RuntimeError as error:

            def again(trial: Tensor) -> Any:
                part = {k: first(v, trial.shape[0], of=y.shape[0]) for k, v in conditions.items()}
                return denoiser(trial, first(sigma, trial.shape[0], of=y.shape[0]), **part)

            if not isinstance(denoiser, Denoiser):
                raise_if_input_is_to_blame(denoiser, y, again, error)
            raise
    return visits


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
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"shape={tuple(shape)}: give (channels, rows, cols) of one image")
    denoiser = as_denoiser(denoiser)
    network = network_of(denoiser)
    visits = survey(denoiser, _trial(network, shape), 0.5, **conditions)
    calls = Counter(v.path for v in visits)
    aliases = {site.place: name for name, site in _aliases(network).items()}
    total = visits[-1].work
    rows = [
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
    return pd.DataFrame(rows, columns=columns)


def trial_batch(denoiser: nn.Module) -> tuple[Tensor, list[Visit]]:
    """A small batch that the network takes, and the survey of it, where no image is at hand."""
    network = network_of(denoiser)
    declared = input_channels(network)
    failure: Exception | None = None
    for channels in (declared,) if declared else (3, 1):
        for size in TRIAL_SIZES:
            y = _trial(network, (channels, size, size))
            try:
                return y, survey(denoiser, y, 0.5)
            except (RuntimeError, TypeError, ValueError) as error:
                failure = failure or error
    raise TapError(
        f'"mid" could not be found by trying {type(network).__name__} on small images ({failure}): '
        'name the tap by its path, or declare model.tap_aliases = {"mid": path}'
    ) from failure


def _site(denoiser: nn.Module, name: str) -> Site:
    network = network_of(denoiser)
    aliases = _aliases(network)
    if name in aliases:
        return aliases[name]
    modules = dict(network.named_modules(remove_duplicate=False))
    site = _parsed(name)
    if site is not None and site.path in modules:
        return site
    if name == "mid":
        return _bottleneck(denoiser)
    close = [
        match
        for known in (list(aliases), [path for path in modules if path])
        for match in difflib.get_close_matches(str(name), known, n=2, cutoff=0.5)
    ]
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"{_listing(network)}"
    raise TapError(f"{type(network).__name__} has no tap {name!r}: {hint}")


def _parsed(name: Any) -> Site | None:
    match = NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return None
    return Site(name, match["path"], None if match["call"] is None else int(match["call"]), match["item"])


def _aliases(network: nn.Module) -> dict[str, Site]:
    """Declared aliases as places; a declaration that names no module is an error."""
    declared = getattr(network, "tap_aliases", None)
    if not isinstance(declared, Mapping):
        return {}
    modules = dict(network.named_modules(remove_duplicate=False))
    found = {}
    for alias, spelled in declared.items():
        site = _parsed(spelled)
        if site is None or site.path not in modules:
            raise TapError(
                f"{type(network).__name__}.tap_aliases maps {alias!r} to {spelled!r}, which is no module path"
            )
        found[alias] = Site(alias, site.path, site.call, site.item)
    return found


def _bottleneck(denoiser: nn.Module) -> Site:
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
    return Site("mid", last.path, last.call if calls > 1 else None)


def _items(output: Any) -> dict[str, Any]:
    if isinstance(output, Mapping):
        return {str(k): v for k, v in output.items()}
    if isinstance(output, tuple | list):
        return {str(i): v for i, v in enumerate(output)}
    return {}


def _spelled(path: str, call: int | None, item: str | None) -> str:
    return path + ("" if call is None else f"@{call}") + ("" if item is None else f"[{item}]")


def _trial(network: nn.Module, shape: Sequence[int]) -> Tensor:
    parameter = next(network.parameters(), torch.zeros(()))
    return torch.zeros((1, *shape), dtype=parameter.dtype, device=parameter.device)


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
