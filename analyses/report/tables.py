"""The page of all findings, of what each room declares: ``python -m analyses.report.tables > docs/findings.md``."""

from __future__ import annotations

from importlib import import_module

from analyses.ground import Code, Findings, table_row
from analyses.report.shell import ANALYSES

__all__ = ["page"]

LEAD = """# What the findings hold

Every variable that an analysis returns, as the code declares it; made by `make docs`, and held to the code by a test.
An interval stands in two further variables, `NAME_low` and `NAME_high`, at the coverage that the attribute `level`
names. Dims are explained in [the label schema](labels.md), words in the [glossary](glossary.md).
"""


def page() -> str:
    """The page as Markdown."""
    lines = [LEAD]
    for room in ANALYSES:
        module = import_module(f"analyses.{room}")
        names = [*getattr(module, "__all__", ())]
        specifications = [found for name in names if isinstance(found := getattr(module, name), Findings)]
        for one in specifications:
            lines += [f"## `{one.source}`", "", *_table(one), ""]
            if one.coords:
                lines += [
                    "Coordinates: " + "; ".join(f"`{name}`, {said}" for name, said in one.coords.items()) + ".",
                    "",
                ]
    return "\n".join(lines).rstrip() + "\n"


def _table(one: Findings) -> list[str]:
    """One specification as a Markdown table; what findings may lack is named so."""
    lines = ["| variable | dims | what | units | interval |", "|---|---|---|---|---|"]
    for name, dims, meaning, units, interval in one.rows():
        said = f"{meaning} (may be absent)" if one.variables[name].optional else meaning
        lines.append(table_row(([Code(name)], dims, _pieces(said), units, interval)))
    return lines


def _pieces(said: str) -> list[str | Code]:
    """What a specification says, in which code stands between backticks."""
    return [Code(piece) if k % 2 else piece for k, piece in enumerate(said.split("`"))]


if __name__ == "__main__":
    print(page(), end="")
