"""The table of docs/claims.md and its figure: verdicts on all claims, in bundled and published networks.

``python benchmarks/claims_page.py photo32=results texture48=results-texture48 --published results-published`` reads the
claims.nc of reports, whose pages are docs/FOLDER.md, and what benchmarks/published.py has kept.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import xarray as xr
from published import NETWORKS
from published_page import between, judged_in

from analyses import claims

DOCS = Path(__file__).parents[1] / "docs"


def of_report(folder: Path) -> tuple[xr.Dataset, dict[int, str]]:
    """Judged claims of a report, and where its page tells their numbers."""
    judged = xr.load_dataset(folder / "claims.nc", engine="h5netcdf")
    return judged, {n: f"{folder.name}.md{claims.anchor(judged, n)}" for n in claims.verdicts(judged)}


def of_published(folder: Path) -> tuple[list[xr.Dataset], dict[int, str]]:
    """The same of a published network."""
    judged = judged_in(folder)
    numbers = [n for one in judged for n in claims.verdicts(one)]
    titles = {n: re.sub(r"[^\w\- ]", "", f"claim {n}. {claims.CLAIMS[n].title}".lower()) for n in numbers}
    return judged, {n: f"published.md#{title.replace(' ', '-')}" for n, title in titles.items()}


def main() -> None:
    """Write the table and the figure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("reports", nargs="+", help="NAME=FOLDER")
    options.add_argument("--published", type=Path, default=Path("results-published"))
    options.add_argument("--page", type=Path, default=DOCS / "claims.md")
    given = options.parse_args()
    found = {name: of_report(Path(folder)) for name, _, folder in (one.partition("=") for one in given.reports)}
    found |= {name: of_published(given.published / name) for name in NETWORKS if judged_in(given.published / name)}
    compared = claims.side_by_side({name: judged for name, (judged, _) in found.items()})
    table = claims.verdict_table(compared, {name: links for name, (_, links) in found.items()})
    given.page.write_text(between(given.page.read_text(encoding="utf-8"), table), encoding="utf-8")
    claims.plot(compared).savefig(given.page.parent / "figures" / "claims.png", dpi=150)


if __name__ == "__main__":
    main()
