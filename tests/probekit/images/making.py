"""A torch Dataset of whatever a test puts into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset


class Items(Dataset):
    """A map-style torch Dataset of given items, with whatever attributes are asked for."""

    def __init__(self, items: Sequence[Any], **attributes: Any) -> None:
        self.items = items
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]
