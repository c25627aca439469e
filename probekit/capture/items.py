"""Tensors within a module's output: in tuples, lists, mappings and dataclasses, also nested."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["Item", "item_of", "spelled", "tensors_of", "with_item"]

# Position or key at each level of nesting; () is the output itself.
Item = tuple[str, ...]
DEPTH = 4


def tensors_of(output: Any, depth: int = DEPTH) -> dict[Item, Tensor]:
    """Every tensor in an output, by where it is."""
    if isinstance(output, Tensor):
        return {(): output}
    inside = _parts(output) if depth else {}
    return {(key, *item): a for key, part in inside.items() for item, a in tensors_of(part, depth - 1).items()}


def item_of(output: Any, item: Item) -> Any:
    """What is at `item` of an output; None where there is nothing."""
    for key in item:
        output = _parts(output).get(key)
    return output


def with_item(output: Any, item: Item, value: Tensor) -> Any:
    """A copy of the output, of the same type, with `value` at `item`."""
    if not item:
        return value
    key, *rest = item
    part = with_item(_parts(output)[key], tuple(rest), value)
    if isinstance(output, Mapping):
        changed: Any = copy.copy(output)
        changed[next(k for k in output if str(k) == key)] = part
        return changed
    if dataclasses.is_dataclass(output):
        changed = copy.copy(output)
        # Not replace(): a dataclass may compute fields when it is made. Also where it is frozen.
        object.__setattr__(changed, key, part)
        return changed
    items = [part if str(i) == key else v for i, v in enumerate(output)]
    return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)


def spelled(item: Item) -> str:
    """An item as tap names write it, e.g. "[1][0]"."""
    return "".join(f"[{key}]" for key in item)


def _parts(output: Any) -> dict[str, Any]:
    if isinstance(output, Mapping):
        return {str(k): v for k, v in output.items()}
    if isinstance(output, tuple | list):
        return {str(i): v for i, v in enumerate(output)}
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {f.name: getattr(output, f.name, None) for f in dataclasses.fields(output)}
    return {}
