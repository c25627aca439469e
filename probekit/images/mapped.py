"""Arrays that are mapped from a file go to another process as the place in that file, and not as their values."""

from __future__ import annotations

import mmap
from typing import Any, NamedTuple

import numpy as np

from probekit.errors import InputError

__all__ = ["OnDisk"]


class OnDisk(NamedTuple):
    """Where the values of an array lie in a file."""

    path: str
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, values: Any) -> OnDisk | None:
        """Where the values of an array lie, None where they are in no file, or may differ from it."""
        mapping = getattr(values, "_mmap", None) if isinstance(values, np.memmap) else None
        # What is copied on writing may have been written to.
        if mapping is None or values.filename is None or values.mode == "c" or values.dtype.hasobject:
            return None
        if values.mode != "r":
            values.flush()
        # numpy says of a view where the whole begins; addresses say where the view does.
        starts = np.frombuffer(mapping, np.uint8).ctypes.data
        begins = values.ctypes.data - starts
        if not 0 <= begins < max(1, len(mapping)):
            return None
        whole = values.offset - values.offset % mmap.ALLOCATIONGRANULARITY
        return cls(str(values.filename), values.dtype, values.shape, values.strides, whole + begins)

    def mapped(self) -> np.ndarray:
        """The array, mapped again to be read only.

        Raises
        ------
        InputError
            If the file is not there, or too short.
        """
        try:
            # All of the file, since strides may lead back from the first value.
            whole = np.memmap(self.path, np.uint8, "r")
            # Checks that all of it lies within the file.
            found = np.ndarray(self.shape, self.dtype, whole, self.offset, self.strides)
            if not found.size:
                return found
            # Another view of the same, as a part of the mapping, so that this array may be sent on in the same way.
            first = whole[self.offset : self.offset + self.dtype.itemsize].view(self.dtype)
            return np.lib.stride_tricks.as_strided(first, self.shape, self.strides, subok=True, writeable=False)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{self.path}, of which images are read, cannot be mapped again ({error}): it is to be where it was, "
                "in other processes too"
            ) from None
