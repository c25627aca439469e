"""The tables of docs/published.md, from what benchmarks/published.py has kept; what is not there is not measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from analyses.report.criteria import ROUNDING
from analyses.report.judging import CLAIMS

__all__ = ["BEGIN", "END", "against", "written"]

BEGIN, END = "<!-- made by make published: begin -->", "<!-- end -->"
KNOWN, TRUSTED = 0.05, 0.95
NOISE, DRAWS = "A blind denoiser knows σ: relative bias of σ̂", "φ can be trusted: reliability of distances"


def written(text: str, out: Path, networks: Mapping[str, Any]) -> str:
    """The page with its tables made anew between the marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables(out, networks)}\n{END}{after}"


def tables(out: Path, networks: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    quality = {name: _json(out / name / "quality.json") for name in networks}
    reliable = {name: _json(out / name / "reliability.json") for name in networks}
    judged = {name: _judged(out / name) for name in networks}
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
        _table(
            ["claim", *(f"`{name}`" for name in networks)],
            [
                *(
                    [f"{n}. {CLAIMS[n].title}", *(_verdict(judged[name], n) for name in networks)]
                    for n in sorted(CLAIMS)
                ),
                [f"11. {NOISE}", *(_limit(quality[name], name) for name in networks)],
                [f"12. {DRAWS}", *(_floor(reliable[name]) for name in networks)],
            ],
        ),
    ]
    for number in sorted(CLAIMS):
        found = {name: rows for name in networks if (rows := _criteria(judged[name], number))}
        if found:
            parts += [f"### Claim {number}. {CLAIMS[number].title}", "", f"Holds when: {CLAIMS[number].asks}.", ""]
            first = list(dict.fromkeys(what for rows in found.values() for what in rows))
            header = ["measured", *(f"`{name}`" for name in found)]
            parts.append(_table(header, [[what, *(found[n].get(what, "–") for n in found)] for what in first]))
    return "\n".join(parts).rstrip() + "\n"


def against(judged: xr.Dataset) -> np.ndarray:
    """Whether the whole interval of a criterion's number lies where the claim says that it does not."""
    bound, low, high = (judged[name].values for name in ("bound", "low", "high"))
    asked = judged["asked"].values
    falling = np.array([str(one).startswith(("below", "at most")) for one in asked])
    # Equal, as a union of one subspace is to a PCA, is neither above nor below; "at least" and "at most" are met by it.
    strict = np.array([str(one).startswith(("below", "above", "interval")) for one in asked])
    slack = np.where(strict, ROUNDING, 0.0)
    return np.where(falling, low > bound - slack, high < bound + slack)


def _judged(folder: Path) -> list[xr.Dataset]:
    paths = [folder / part / "claims.nc" for part in ("phi", "compared", "samples")]
    return [xr.load_dataset(path, engine="h5netcdf") for path in paths if path.exists()]


def _rows(judged: Iterable[xr.Dataset], number: int) -> xr.Dataset | None:
    for one in judged:
        rows = one.isel(criterion=(one["of_claim"].values == number) & one["counts"].values)
        if rows.sizes["criterion"]:
            return rows
    return None


def _verdict(judged: list[xr.Dataset], number: int) -> str:
    """Holds where all criteria are met; undecided where none that is not met is against the claim."""
    rows = _rows(judged, number)
    if rows is None:
        return "not measured"
    met, contrary = rows["holds"].values, against(rows) & ~rows["holds"].values
    counted = f"{int(met.sum())} of {len(met)} met, {int(contrary.sum())} against"
    if met.all():
        return f"holds: {counted}"
    if not contrary.any():
        return f"undecided: {counted}"
    return f"{'partly' if met.any() else 'does not hold'}: {counted}"


def _criteria(judged: list[xr.Dataset], number: int) -> dict[str, str]:
    """Each criterion in words, its numbers at all noise levels beside one another; met ones are bold."""
    rows = _rows(judged, number)
    if rows is None:
        return {}
    found: dict[str, list[str]] = {}
    for i in range(rows.sizes["criterion"]):
        row = rows.isel(criterion=i)
        what = str(row["what"].item())
        value, low, high, sigma = (row[name].item() for name in ("value", "low", "high", "sigma"))
        value, low, high = (0.0 if abs(number) < ROUNDING else number for number in (value, low, high))
        text = f"{value:.2g} [{low:.2g}, {high:.2g}]" if np.isfinite([low, high]).all() else _number(value)
        text = f"**{text}**" if row["holds"].item() else text
        found.setdefault(what, []).append(f"{sigma:g}: {text}" if np.isfinite(sigma) else text)
    return {what: "; ".join(texts) for what, texts in found.items()}


def _number(value: float) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "none"


def _limit(quality: Any, name: str) -> str:
    if not quality:
        return "not measured"
    numbers = {float(s): bias for s, (bias, _) in quality["noise"].items()}
    worst = max(numbers.values(), key=abs)
    trained = 100 / 255 if name.startswith("bsd") else 1.0
    inside = max((bias for s, bias in numbers.items() if s <= trained), key=abs)
    verdict = "holds" if abs(worst) <= KNOWN else "partly" if abs(inside) <= KNOWN else "does not hold"
    return f"{verdict}: {100 * inside:+.1f} % at worst in training's range, {100 * worst:+.1f} % up to σ = 1"


def _floor(reliable: Any) -> str:
    if not reliable:
        return "not measured"
    met = [value >= TRUSTED for value in reliable.values()]
    verdict = "holds" if all(met) else "partly" if any(met) else "does not hold"
    return f"{verdict}: " + "; ".join(f"{sigma}: {value:.3f}" for sigma, value in reliable.items())


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
