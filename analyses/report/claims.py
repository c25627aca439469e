"""The claims of the paper judged by criteria that were fixed before the results.

Each claim of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912) has a few criteria at each noise level: a number whose
95 % interval must exclude a bound, or a share or rate that must reach one. A claim *holds* where all its criteria do,
*partly* where some do, and *does not hold* where none does. Claim 4 asks for a union that beats one PCA of as many
parameters; such a PCA can hold all the subspaces of the union, so this asks much, and comparisons at equal numbers per
image and at equal non-zero parameters are reported beside it. Claims 6 and 7 are about samples, not noise levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from analyses.ground import TWINS, Findings, Variable
from analyses.report.criteria import LEVEL, Criterion, Given
from analyses.report.judging import CLAIMS
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["CLAIMS", "HEADER", "JUDGED", "cells", "failing", "markdown", "table", "unjudged", "verdicts"]

HEADER = ("measured", "σ", "value", "95 % interval", *TWINS, "as claimed")
# Failing criteria named in words; the table holds all.
MOST = 6
ALONG = ("criterion",)
JUDGED = Findings(
    "claims",
    {
        "of_claim": Variable(ALONG, "number of the claim"),
        "what": Variable(ALONG, "the criterion in words", holds="names"),
        "subject": Variable(ALONG, "what is measured", holds="names"),
        "less": Variable(ALONG, "what is taken off it", holds="names"),
        "asked": Variable(ALONG, "how it must compare with the bound, in words", holds="names"),
        "bound": Variable(ALONG, "the bound"),
        "sigma": Variable(ALONG, "noise standard deviation; NaN where it is of none"),
        "value": Variable(ALONG, "measured value"),
        "low": Variable(ALONG, "lower end of its 95 % interval; NaN where it has none"),
        "high": Variable(ALONG, "upper end of its 95 % interval; NaN where it has none"),
        "control": Variable(ALONG, "the same of the untrained network, gains of 1, or the mean of several"),
        "control_paper_gains": Variable(ALONG, "the same of the untrained network with the paper's gains"),
        "holds": Variable(ALONG, "whether it is as claimed", holds="flags"),
        "counts": Variable(ALONG, "whether the verdict rests on it", holds="flags"),
        "lacks": Variable(ALONG, "the control without whose number it is not judged; '' where it is", holds="names"),
        "verdict": Variable(("claim",), "holds, partly or does not hold", holds="names"),
    },
    coords={"claim": "number of the claim"},
    source="report.claims.table",
)
KEPT = ("probekit_version", "denoiser", "weights_sha256", "image_source", "draws", "seed")
CONTROLS = ("control", "control_paper_gains")


@JUDGED.described
def table(
    trained: Mapping[str, xr.Dataset],
    untrained: Mapping[str, xr.Dataset],
    *,
    paper_gains: Mapping[str, xr.Dataset] | None = None,
    controls: xr.Dataset | None = None,
    variants: xr.Dataset | None = None,
    densities: xr.Dataset | Sequence[xr.Dataset] | None = None,
    block: str = "mid",
) -> xr.Dataset:
    """Judge the claims on findings of a trained network and of its untrained controls.

    "More than untrained" is more than each control, with intervals that exclude 0. Where a control was not measured,
    the criterion that asks for it is not judged, and the table says so.

    Parameters
    ----------
    trained, untrained
        Findings by analysis ("sparsity", "selectivity", "subspaces") of the same images and noise levels; a claim
        whose findings are absent is left out. In `untrained` also "densities", the control of those below.
    paper_gains
        As `untrained`, of the control whose gains are as the paper's code draws them; see `ground.untrained_twins`.
    controls
        What `controls.table` returns, for claims 2 (if it has σ = 0.3), 5 and 8 (if it has a probe's accuracy).
    variants
        What `variants.table` returns, for claim 6, which is judged by its first row.
    densities
        What `densities.analyse` returns of samples of the trained network (see `variants.laws`), for claim 7; where
        they are by several measures, it is judged by the first, and the others are reported beside it.
    block
        The middle block.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If the two are of different images, noise levels or taps, lack the block or what feeds it, or have intervals of
        another coverage than 95 %. If densities are of fewer than 200 pairs, or were not compared with pixels.
    """
    wanted = 'findings by analysis, e.g. {"sparsity": sparsity.analyse(data)}'
    trained = checks.mapping("trained", trained, wanted)
    both = {"untrained": untrained, "paper_gains": {} if paper_gains is None else paper_gains}
    twins = dict(zip(TWINS, (checks.mapping(name, found, wanted) for name, found in both.items()), strict=True))
    pairs = {twin: {k: v for k, v in found.items() if k != "densities"} for twin, found in twins.items()}
    several = {twin: _several(found.get("densities")) for twin, found in twins.items()}
    given = Given(trained, pairs, controls, variants, _several(densities), several, block)
    for found in pairs.values():
        for name in found.keys() & trained.keys():
            _check(trained[name], found[name], block)
    judged = {number: list(claim.judge(given)) for number, claim in CLAIMS.items() if given.has(claim.needs)}
    rows = [(number, one) for number, criteria in judged.items() for one in criteria]
    if not rows:
        wanted = dict.fromkeys(claim.needs for claim in CLAIMS.values())
        raise InputError(
            f"no findings to judge by: give {', '.join(wanted)}; the first three of a trained and an untrained network"
        )
    made = [one for made in (*trained.values(), variants, controls, *given.densities) if (one := made) is not None]
    source = made[0].attrs if made else {}
    claimed = [number for number, criteria in judged.items() if criteria]
    words = np.array([_words(one) for _, one in rows], object)
    return JUDGED.label(
        {
            "of_claim": [number for number, _ in rows],
            "what": np.array([_prose(one) for _, one in rows], object),
            "subject": words[:, 0],
            "less": words[:, 1],
            "asked": words[:, 2],
            "bound": [float(one.bound) for _, one in rows],
            "sigma": [float(one.sigma) for _, one in rows],
            **{end: [float(getattr(one.estimate, end)) for _, one in rows] for end in ("value", "low", "high")},
            **{name: [one.control[i] for _, one in rows] for i, name in enumerate(CONTROLS)},
            "holds": [one.holds for _, one in rows],
            "counts": [one.counts for _, one in rows],
            "lacks": np.array([one.lacks for _, one in rows], object),
            "verdict": np.array([_verdict(judged[number]) for number in claimed], object),
        },
        xr.Dataset(attrs={key: source[key] for key in KEPT if key in source}),
        coords={"claim": claimed},
        untrained_controls="; ".join(twin for twin in TWINS if given.has_twin(twin)),
    )


def verdicts(judged: xr.Dataset) -> dict[int, str]:
    """The verdict on each claim, by its number."""
    return {int(c): str(v) for c, v in zip(judged["claim"].values, judged["verdict"].values, strict=True)}


def cells(judged: xr.Dataset, claim: int) -> list[list[str]]:
    """The criteria of a claim as text, a row each, under `HEADER`."""
    rows = judged.isel(criterion=judged["of_claim"].values == claim)
    found, before = [], ("", "")
    for i in range(rows.sizes["criterion"]):
        row = rows.isel(criterion=i)
        ends = [row[name].item() for name in ("low", "high")]
        spread = f"{ends[0]:.3g} to {ends[1]:.3g}" if np.isfinite(ends).all() else "–"
        holds = ("yes" if row["holds"] else "no") if row["counts"] else "reported only"
        if row["lacks"].item():
            holds = "not judged"
        numbers = [_number(row[name]) for name in ("sigma", "value", *CONTROLS)]
        subject, less, asked = (str(row[name].item()) for name in ("subject", "less", "asked"))
        what = _joined("the same" if (subject, numbers[0]) == before else subject, less, asked)
        found.append([what, *numbers[:2], spread, *numbers[2:], holds])
        before = subject, numbers[0]
    return found


def failing(judged: xr.Dataset, claim: int) -> str:
    """What of a claim is not as claimed, in words, with the noise levels at which it is not; empty where all is."""
    rows = judged.isel(criterion=judged["of_claim"].values == claim)
    return _named(rows, rows["counts"].values.astype(bool) & ~rows["holds"].values.astype(bool))


def unjudged(judged: xr.Dataset, claim: int) -> str:
    """What of a claim is not judged since a control has no such number, as `failing` says what is not as claimed."""
    rows = judged.isel(criterion=judged["of_claim"].values == claim)
    return _named(rows, labels.strings(rows["lacks"].values) != "")


def _named(rows: xr.Dataset, chosen: np.ndarray) -> str:
    """Some criteria in words, with their noise levels."""
    found: dict[str, list[float]] = {}
    for what, sigma in zip(rows["what"].values[chosen], rows["sigma"].values[chosen], strict=True):
        found.setdefault(str(what), []).append(float(sigma))
    named = [what + _at(levels) for what, levels in found.items()]
    more = [f"and {len(named) - MOST} more"] if len(named) > MOST else []
    return "; ".join(named[:MOST] + more)


def markdown(judged: xr.Dataset) -> str:
    """The table as text: for each claim its verdict and its criteria."""
    lines = []
    for claim, verdict in verdicts(judged).items():
        lines += [f"**Claim {claim}. {CLAIMS[claim].title}: {verdict}.**", ""]
        rows = ["| " + " | ".join(row) + " |" for row in (HEADER, *cells(judged, claim))]
        lines += [rows[0], "|" + "---|" * len(HEADER), *rows[1:], ""]
    return "\n".join(lines)


def _words(one: Criterion) -> tuple[str, str, str]:
    return one.subject, one.less, f"{one.comparison} {one.bound_name or f'{one.bound:g}'}"


def _prose(one: Criterion) -> str:
    return _joined(*_words(one))


def _joined(subject: str, less: str, asked: str) -> str:
    return f"{subject}{f' less {less}' if less else ''}, {asked}"


def _at(levels: Sequence[float]) -> str:
    known = [f"{level:g}" for level in levels if np.isfinite(level)]
    return f" (σ = {', '.join(known)})" if known else ""


def _number(value: xr.DataArray) -> str:
    return f"{value.item():.3g}" if np.isfinite(value) else "–"


def _check(trained: xr.Dataset, untrained: xr.Dataset, block: str) -> None:
    for name in ("sigma", "block", "image"):
        if name in trained.coords and name in untrained.coords:
            mine, other = labels.strings(trained[name].values), labels.strings(untrained[name].values)
            if not np.array_equal(mine, other):
                raise InputError(
                    f"the findings differ along {name}: {_some(mine)} of the trained network and {_some(other)} of the "
                    "untrained: measure both on the same images, in the same order, at the same noise levels and taps"
                )
    if block not in labels.strings(trained["block"].values):
        raise InputError(
            f"no block {checks.shown(block)} among {', '.join(labels.strings(trained['block'].values))}: tap it"
        )
    levels = {findings.attrs.get("level", LEVEL) for findings in (trained, untrained)}
    if levels != {LEVEL}:
        raise InputError(f"intervals of coverage {sorted(levels)}: the criteria ask for {LEVEL}, the default")


def _some(names: np.ndarray) -> str:
    return f"{', '.join(names[:3])}, … ({len(names)})" if len(names) > 4 else ", ".join(names)


def _verdict(criteria: Sequence[Criterion]) -> str:
    held = [one.holds for one in criteria if one.counts]
    return "holds" if all(held) else "partly" if any(held) else "does not hold"


def _several(findings: xr.Dataset | Sequence[xr.Dataset] | None) -> list[xr.Dataset]:
    if findings is None:
        return []
    return [findings] if isinstance(findings, xr.Dataset) else list(findings)
