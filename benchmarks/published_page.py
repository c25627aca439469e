"""The tables of docs/published.md, from what benchmarks/published.py has kept; what is not there is not measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from analyses import claims
from analyses.ground import rounded

__all__ = ["BEGIN", "END", "PARTS", "between", "judged_in", "written"]

BEGIN, END = "<!-- made by a command: begin -->", "<!-- end -->"
# Of what benchmarks/published.py makes: those that hold judged claims.
PARTS = ("phi", "noise", "textures", "stability", "compared", "samples")
# What is nearer to 0 is printed as 0: numbers that are equal by construction differ by rounding.
ROUNDING = 1e-9


def written(text: str, out: Path, networks: Mapping[str, Any]) -> str:
    """The page with its tables made anew between the marks."""
    return between(text, tables(out, networks))


def between(text: str, made: str) -> str:
    """A page with what stands between the marks replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def tables(out: Path, networks: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    quality = {name: _json(out / name / "quality.json") for name in networks}
    judged = {name: judged_in(out / name) for name in networks}
    parts = [
        "## The networks",
        "",
        _table(
            ["network", "block", "PSNR at σ = 0.05", "0.1", "0.2", "0.5", "photographs, draws"],
            [
                [
                    f"`{name}`",
                    f"`{network.block}`",
                    *([f"{p:.1f}" for p in q["psnr"]] if (q := quality[name]) else 4 * ["–"]),
                    f"{network.images}, {network.draws}",
                ]
                for name, network in networks.items()
            ],
        ),
        "## The claims",
        "",
        claims.verdict_table(claims.side_by_side(judged)),
    ]
    for number, claim in sorted(claims.CLAIMS.items()):
        found = {name: rows for name in networks if (rows := _criteria(judged[name], number))}
        if found:
            parts += [f"### Claim {number}. {claim.title}", "", f"Holds when: {claim.asks}.", ""]
            first = list(dict.fromkeys(what for rows in found.values() for what in rows))
            header = ["measured", *(f"`{name}`" for name in found)]
            parts.append(_table(header, [[what, *(found[n].get(what, "–") for n in found)] for what in first]))
    return "\n".join(parts).rstrip() + "\n"


def judged_in(folder: Path) -> list[xr.Dataset]:
    """The judged claims of a network, by part."""
    paths = [folder / part / "claims.nc" for part in PARTS]
    return [xr.load_dataset(path, engine="h5netcdf") for path in paths if path.exists()]


def _rows(judged: Iterable[xr.Dataset], number: int) -> xr.Dataset | None:
    for one in judged:
        rows = one.isel(criterion=(one["of_claim"].values == number) & one["counts"].values)
        if rows.sizes["criterion"]:
            return rows
    return None


def _criteria(judged: list[xr.Dataset], number: int) -> dict[str, str]:
    """Each criterion in words, its numbers at all noise levels; those that hold are bold, refuted ones are struck."""
    rows = _rows(judged, number)
    if rows is None:
        return {}
    found: dict[str, list[str]] = {}
    for i in range(rows.sizes["criterion"]):
        row = rows.isel(criterion=i)
        what = str(row["what"].item())
        value, low, high, sigma = (row[name].item() for name in ("value", "low", "high", "sigma"))
        value, low, high = (0.0 if abs(number) < ROUNDING else number for number in (value, low, high))
        text = _number(value)
        if np.isfinite([low, high]).all():
            text = f"{text} [{_number(low)}, {_number(high)}]"
        mark = {"holds": "**", "does not hold": "~~"}.get(str(row["outcome"].item()), "")
        text = f"{mark}{text}{mark}"
        found.setdefault(what, []).append(f"{sigma:.3g}: {text}" if np.isfinite(sigma) else text)
    return {what: "; ".join(texts) for what, texts in found.items()}


def _number(value: float) -> str:
    return rounded(value, 2) if np.isfinite(value) else "none"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
