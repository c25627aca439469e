"""Files that others wrote, and may have been damaged since: whatever their readers raise is one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probekit.errors import InputError, ProbeError

__all__ = ["reading"]


@contextmanager
def reading(path: str | Path, wanted: str, kind: type[ProbeError] = InputError) -> Iterator[None]:
    """Read a file in here, and turn what is raised into an error that names it.

    Parameters
    ----------
    path
        Of the file.
    wanted
        What to give instead, as the error says it.
    kind
        Of the error.

    Raises
    ------
    ProbeError
        Of that kind; one raised inside is passed on.
    """
    try:
        yield
    except ProbeError:
        raise
    except Exception as error:
        # Readers of damaged files raise nearly anything: of broken headers, of JSON nested too deep, of odd types.
        said = str(error).strip() or type(error).__name__
        raise kind(f"{path} cannot be read ({said[:300]}): {wanted}") from error
