"""docs/NAME.md and its figures from reports: ``python benchmarks/results_pages.py results results-texture48``.

Figures are kept in 256 colours, a third of their size; those that show images as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
# Colours kept, and what a drawing has at most: photographs have more.
COLOURS, OF_A_DRAWING = 256, 20_000


def published(report: Path, docs: Path) -> Path:
    """The page of a report, its figures beside those of the other pages, under its name."""
    page = (report / "report.md").read_text(encoding="utf-8")
    prefix = f"{report.name}-"
    shown = {name.name: name for name in sorted((report / "figures").glob("*.png")) if f"(figures/{name.name})" in page}
    for name, drawn in shown.items():
        with Image.open(drawn) as image:
            colours = image.convert("RGB")
            if colours.getcolors(OF_A_DRAWING) is not None:
                colours = colours.quantize(COLOURS, dither=Image.Dither.NONE)
            colours.save(docs / "figures" / f"{prefix}{name}", optimize=True)
    written = docs / f"{report.name}.md"
    written.write_text(page.replace("](figures/", f"](figures/{prefix}"), encoding="utf-8")
    return written


def main() -> None:
    """Write the pages of all reports named."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("reports", nargs="+", type=Path, help="folders that probekit report has written")
    options.add_argument("--docs", type=Path, default=DOCS)
    given = options.parse_args()
    for report in given.reports:
        print(published(report, given.docs))


if __name__ == "__main__":
    main()
