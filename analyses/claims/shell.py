"""The command of claims."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyses.ground import OUT, run
from probekit.cli.arguments import Out
from probekit.cli.output import results_awaited
from probekit.machine.files import whole

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["command", "main"]

Judged = Annotated[list[Path], typer.Argument(help="claims.nc of reports, of several networks.")]


def command(judged: Judged, out: Out = OUT) -> list[Path]:
    """The paper's claims in several networks beside one another, from the claims.nc of their reports."""
    from analyses.claims.criteria import JUDGED
    from analyses.claims.figure import plot
    from analyses.claims.judge import side_by_side
    from analyses.claims.words import anchor, verdict_table, verdicts
    from analyses.ground import read, saved

    results_awaited(out, "side_by_side.nc", "side_by_side.md", "side_by_side.png", reads=judged)
    found: dict[str, list[xr.Dataset]] = {}
    links: dict[str, dict[int, str]] = {}
    for path in judged:
        one = read(path)
        one = JUDGED.taken(one, "of_claim", "outcome", "counts", "verdict")
        name = str(one.attrs.get("denoiser", path.parent.name))
        found.setdefault(name, []).append(one)
        page = path.with_name("report.md")
        if page.exists():
            beside = Path(os.path.relpath(page, out)).as_posix()
            links.setdefault(name, {}).update({c: beside + anchor(one, c) for c in verdicts(one)})
    compared = side_by_side(found)
    made = saved(out, ("side_by_side", compared), ("side_by_side", plot(compared)))
    with whole(out / "side_by_side.md") as unfinished:
        unfinished.write_text(verdict_table(compared, links), encoding="utf-8")
    return [*made, out / "side_by_side.md"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.claims results/claims.nc other/claims.nc -o compared/``."""
    return run(command, "claims", arguments)
