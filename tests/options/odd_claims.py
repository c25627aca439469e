"""Calls of claims."""

from __future__ import annotations

from analyses import claims, selectivity
from tests.analyses.claims.test_judge import of_controls, of_densities, of_variants
from tests.odd import NOTHING, ODD, Call
from tests.options import odd_analyses as made

__all__ = ["CALLS"]

FOUND = {"selectivity": selectivity.analyse(made.DATA, resamples=100)}
JUDGED = claims.table({}, {}, variants=of_variants(), densities=of_densities(0.7, 0.3))
COMPARED = claims.side_by_side({"net": JUDGED})
NO_ENTRIES = made.NO_ENTRIES
CALLS: dict[str, Call] = {
    "claims.table": Call(
        claims.table,
        {
            "trained": FOUND,
            "untrained": FOUND,
            "paper_gains": FOUND,
            "controls": of_controls(stability=0.9),
            "variants": of_variants(),
            "densities": of_densities(0.7, 0.3),
            "further": None,
            "twins": ["untrained", "untrained, paper's gains"],
            "block": "mid",
        },
        {
            "trained": NO_ENTRIES,
            "untrained": NO_ENTRIES,
            "paper_gains": NOTHING | NO_ENTRIES,
            "controls": NOTHING,
            "variants": NOTHING,
            "densities": NOTHING | NO_ENTRIES | {name for name in ODD if name.startswith("an empty")},
            "further": NOTHING | NO_ENTRIES,
        },
    ),
    "claims.side_by_side": Call(claims.side_by_side, {"judged": {"net": JUDGED}}),
    "claims.verdicts": Call(claims.verdicts, {"judged": JUDGED}),
    "claims.markdown": Call(claims.markdown, {"judged": JUDGED}),
    "claims.verdict_table": Call(
        claims.verdict_table,
        {"compared": COMPARED, "links": {"net": {6: "page.md"}}},
        {"links": NOTHING | NO_ENTRIES},
    ),
    "claims.plot": made.figure(claims.plot, {"compared": COMPARED}),
}
