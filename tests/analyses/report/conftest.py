"""What tests of the report share."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made and laid out on no paper, which takes half of a small report's time; for tests of all else."""

    def saved(_: Figure, path: Any, **__: Any) -> None:
        Path(path).write_bytes(b"\x89PNG")

    monkeypatch.setattr(Figure, "savefig", saved)
