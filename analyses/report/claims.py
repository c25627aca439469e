"""The claims of the paper judged by criteria that were fixed before the results.

Each claim of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912) has a few criteria at each noise level: a number whose
95 % interval must exclude a bound, or a share or rate that must reach one. A claim *holds* where all its criteria do,
*partly* where some do, and *does not hold* where none does. Claim 4 asks for a union that beats one PCA of as many
parameters; such a PCA can hold all the subspaces of the union, so this asks much, and comparisons at equal numbers per
image and at equal non-zero parameters are reported beside it. Claims 6 and 7 are about samples, not noise levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from analyses.ground import interval, resampled_means
from probekit import labels
from probekit.errors import InputError

__all__ = ["CLAIMS", "CRITERIA", "HEADER", "cells", "markdown", "table", "verdicts"]

CLAIMS: Mapping[int, str] = {
    1: "Sparsity grows at the middle",
    2: "φ is stable over σ",
    3: "Two types of channel",
    4: "Union of subspaces",
    5: "Euclidean distance in φ is semantic",
    6: "Stochastic reconstruction",
    7: "Distances between φ's follow distances between conditional densities",
    8: "Object identity is partly linear in φ",
}
CRITERIA: Mapping[int, str] = {
    1: "the participation ratio of ā is lower at the output of the middle block than at its input, more so than "
    "untrained, and encoder blocks do not lower it",
    2: "at σ = 0.3 nine images of ten are nearest to themselves at the least σ among 1,000, more than untrained and in "
    "pixels",
    3: "a tenth of the middle block's channels at least are selective and a tenth common, the selective have heavier "
    "tails, and there are more of them than untrained",
    4: "a union of subspaces explains more of held-out images than one PCA of as many parameters, and active sets "
    "overlap more within its groups than between; more so than with channels shuffled, and than untrained",
    5: "distance in φ is correlated with gist given colour, and with label given gist and colour, more than in pixels, "
    "their PCA and untrained",
    6: "the median relative error of φ is 5 % at most, near copies of the condition are 5 % at most, and samples are "
    "nearer to their condition in φ of other blocks than unconditional samples are",
    7: "the rank correlation of distances in φ with distances between conditional laws is 0.5 at least over 200 pairs, "
    "and above that of pixels",
    8: "a linear probe is above chance, and above pixels, their PCA and untrained",
}
HEADER = ("measured", "σ", "value", "95 % interval", "untrained", "as claimed")
LEAST_SHARE = 0.1
RANK = 4
NOT_DROPPING = ("enc2", "enc3")
STABLE_AT, STABLE = 0.3, 0.9
LEVEL = 0.95
MATCHED, COPIED = 0.05, 0.05
LEAST_PAIRS, RELATED = 200, 0.5
SEMANTIC = ("correlation: gist given colour", "correlation: label given gist and colour")
Findings = Mapping[str, xr.Dataset]


class Criterion(NamedTuple):
    """One number and whether it is as the claim has it."""

    claim: int
    what: str
    sigma: float
    value: float
    low: float
    high: float
    control: float
    holds: bool
    counts: bool = True


def _criterion(
    claim: int, what: str, sigma: float, number: Sequence[float], control: float, holds: bool, counts: bool = True
) -> Criterion:
    """A criterion from (value, low, high)."""
    value, low, high = number
    return Criterion(claim, what, sigma, value, low, high, control, bool(holds), counts)


def table(
    trained: Findings,
    untrained: Findings,
    *,
    controls: xr.Dataset | None = None,
    variants: xr.Dataset | None = None,
    densities: xr.Dataset | Sequence[xr.Dataset] | None = None,
    block: str = "mid",
) -> xr.Dataset:
    """Judge the claims on findings of a trained network and of its untrained control.

    Parameters
    ----------
    trained, untrained
        Findings by analysis ("sparsity", "selectivity", "subspaces") of the same images and noise levels; a claim
        whose findings are absent is left out. In `untrained` also "densities", the control of those below.
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
        Along `criterion`: claim, what, sigma (NaN where it is of none), value, low, high (95 % interval; NaN where the
        number has none), control (the same number of the untrained network, or the mean of several), holds, and
        counts, False for numbers that are reported beside the criteria. Along `claim`: verdict, "holds", "partly" or
        "does not hold".

    Raises
    ------
    InputError
        If the two are of different images, noise levels or taps, lack the block or what feeds it, or have intervals of
        another coverage than 95 %. If densities are of fewer than 200 pairs, or were not compared with pixels.
    """
    judges = {"sparsity": _sparsity, "selectivity": _selectivity, "subspaces": _subspaces}
    rows: list[Criterion] = []
    for name, judge in judges.items():
        if name in trained and name in untrained:
            _check(trained[name], untrained[name], block)
            rows += judge(trained[name], untrained[name], block)
    if controls is not None:
        rows += _semantics(controls, block)
    if variants is not None:
        rows += _reconstruction(variants, block)
    if densities is not None:
        rows += _densities(_several(densities), _several(untrained.get("densities", ())))
    if not rows:
        raise InputError(f"no findings to judge by: give {', '.join(judges)} of a trained and an untrained network")
    columns = dict(zip(Criterion._fields, zip(*rows, strict=True), strict=True))
    claims = sorted(set(columns["claim"]))
    names = {
        "what": "what is measured",
        "sigma": "noise standard deviation",
        "value": "measured value",
        "low": "lower end of its 95 % interval",
        "high": "upper end of its 95 % interval",
        "control": "the same of the untrained network",
        "holds": "whether it is as claimed",
        "counts": "whether the verdict rests on it",
    }
    made = {
        name: ("criterion", np.array(columns[name], object if name == "what" else None), {"long_name": text})
        for name, text in names.items()
    }
    verdict = np.array([_verdict([r for r in rows if r.claim == claim]) for claim in claims], object)
    given = [*trained.values(), *(f for f in (variants, controls) if f is not None), *_several(densities or ())]
    source = next(iter(given), xr.Dataset()).attrs
    kept = {
        k: source[k]
        for k in ("probekit_version", "denoiser", "weights_sha256", "image_source", "draws", "seed")
        if k in source
    }
    return xr.Dataset(
        {**made, "of_claim": ("criterion", np.array(columns["claim"])), "verdict": ("claim", verdict)},
        coords={"claim": np.array(claims)},
        attrs=kept,
    )


def verdicts(judged: xr.Dataset) -> dict[int, str]:
    """The verdict on each claim, by its number."""
    return {int(c): str(v) for c, v in zip(judged["claim"].values, judged["verdict"].values, strict=True)}


def cells(judged: xr.Dataset, claim: int) -> list[list[str]]:
    """The criteria of a claim as text, a row each, under `HEADER`."""
    rows = judged.isel(criterion=judged["of_claim"].values == claim)
    found = []
    for i in range(rows.sizes["criterion"]):
        row = rows.isel(criterion=i)
        ends = [row[name].item() for name in ("low", "high")]
        spread = f"{ends[0]:.3g} to {ends[1]:.3g}" if np.isfinite(ends).all() else "–"
        holds = ("yes" if row["holds"] else "no") if row["counts"] else "reported only"
        numbers = [_number(row[name]) for name in ("sigma", "value", "control")]
        found.append([row["what"].item(), *numbers[:2], spread, numbers[2], holds])
    return found


def markdown(judged: xr.Dataset) -> str:
    """The table as text: for each claim its verdict and its criteria."""
    lines = []
    for claim, verdict in verdicts(judged).items():
        lines += [f"**Claim {claim}. {CLAIMS[claim]}: {verdict}.**", ""]
        rows = ["| " + " | ".join(row) + " |" for row in (HEADER, *cells(judged, claim))]
        lines += [rows[0], "|" + "---|" * len(HEADER), *rows[1:], ""]
    return "\n".join(lines)


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
        raise InputError(f"no block {block!r} among {', '.join(labels.strings(trained['block'].values))}: tap it")
    levels = {findings.attrs.get("level", LEVEL) for findings in (trained, untrained)}
    if levels != {LEVEL}:
        raise InputError(f"intervals of coverage {sorted(levels)}: the criteria ask for {LEVEL}, the default")


def _some(names: np.ndarray) -> str:
    return f"{', '.join(names[:3])}, … ({len(names)})" if len(names) > 4 else ", ".join(names)


def _verdict(rows: list[Criterion]) -> str:
    held = [row.holds for row in rows if row.counts]
    return "holds" if all(held) else "partly" if any(held) else "does not hold"


def _sparsity(trained: xr.Dataset, untrained: xr.Dataset, block: str) -> Iterator[Criterion]:
    """Claim 1: the participation ratio of ā drops at the middle block, more than untrained, and not in the encoder."""
    vector = "draw" if "draw" in labels.strings(trained["vector"].values) else "phi"
    chosen = {"vector": vector, "measure": "participation_ratio"}
    mine, control = trained.sel(chosen), untrained.sel(chosen)
    for sigma in trained["sigma"].values:
        here, there = (f.sel(sigma=sigma) for f in (mine, control))
        change = _number_of(here.sel(block=block), "change")
        what = f"participation ratio, output less input of {block}"
        yield _criterion(1, f"{what}, below 0", sigma, change, there["change"].sel(block=block).item(), change[2] < 0)
        excess = _paired_changes(here, block) - _paired_changes(there, block)
        members = _clusters(trained)
        resampled = resampled_means(excess, clusters=members, resamples=2000, seed=0)
        units = len(excess) if members is None else len(set(members))
        low, high = (float(end) for end in interval(resampled, LEVEL, units=units))
        yield _criterion(
            1,
            "the same less the untrained network's, below 0",
            sigma,
            (float(np.nanmean(excess)), low, high),
            np.nan,
            high < 0,
        )
        for name in NOT_DROPPING:
            if name in labels.strings(trained["block"].values) and str(here["input"].sel(block=name).item()):
                number = _number_of(here.sel(block=name), "change")
                other = there["change"].sel(block=name).item()
                what = f"participation ratio, output less input of {name}, not below 0"
                yield _criterion(1, what, sigma, number, other, number[2] >= 0)


def _number_of(findings: xr.Dataset, name: str) -> tuple[float, float, float]:
    """A number with the ends of its interval."""
    value, low, high = (float(findings[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return value, low, high


def _clusters(findings: xr.Dataset) -> np.ndarray | None:
    """Groups of images that the findings' own intervals resample whole."""
    name = str(findings.attrs.get("clusters", ""))
    return labels.strings(findings[name].values) if name in findings.coords else None


def _paired_changes(findings: xr.Dataset, block: str) -> np.ndarray:
    """Output less input of the block, image by image."""
    fed_by = str(findings["input"].sel(block=block).item())
    known = list(labels.strings(findings["block"].values))
    if fed_by not in known:
        raise InputError(
            f"the input of {block!r} is {fed_by or 'not tapped'!r}: judge findings in which one tap feeds it, "
            f"e.g. of {', '.join(known)} and the block before"
        )
    per_image = findings["per_image"]
    return (per_image.sel(block=block) - per_image.sel(block=fed_by)).values


def _selectivity(trained: xr.Dataset, untrained: xr.Dataset, block: str) -> Iterator[Criterion]:
    """Claim 3: many selective and many common channels, the selective heavier-tailed, more of them than untrained."""
    for sigma in trained["sigma"].values:
        here, there = (f.sel(sigma=sigma, block=block) for f in (trained, untrained))
        for kind in ("selective", "common"):
            share = _number_of(here.sel(kind=kind), "fraction")
            control = there["fraction"].sel(kind=kind).item()
            what = f"share of {kind} channels, at least {LEAST_SHARE:g}"
            yield _criterion(3, what, sigma, share, control, share[0] >= LEAST_SHARE)
        tails = _number_of(here, "kurtosis_difference")
        what = "median excess kurtosis, selective less common, above 0"
        yield _criterion(3, what, sigma, tails, there["kurtosis_difference"].item(), tails[1] > 0)
        more = _difference(here.sel(kind="selective"), there.sel(kind="selective"), "fraction")
        what = "share of selective channels less the untrained network's, above 0"
        yield _criterion(3, what, sigma, more, np.nan, more[1] > 0)


def _difference(here: xr.Dataset, there: xr.Dataset, name: str) -> tuple[float, float, float]:
    """Difference of two numbers, its interval from theirs as if independent (Newcombe 1998, method 10).

    Numbers of the same images are positively dependent, so that the interval is rather too wide.
    """
    (p, p_low, p_high), (q, q_low, q_high) = _number_of(here, name), _number_of(there, name)
    return p - q, p - q - float(np.hypot(p - p_low, q_high - q)), p - q + float(np.hypot(p_high - p, q - q_low))


def _subspaces(trained: xr.Dataset, untrained: xr.Dataset, block: str) -> Iterator[Criterion]:
    """Claim 4: a union explains held-out φ better than one PCA, and active sets overlap more within clusters."""
    ranks = [int(rank) for rank in trained["rank"].values if rank <= RANK]
    for sigma in trained["sigma"].values:
        here, there = (f.sel(sigma=sigma, block=block) for f in (trained, untrained))
        for comparison in labels.strings(here["comparison"].values) if ranks else ():
            part, other = (f.sel(rank=max(ranks), comparison=comparison) for f in (here, there))
            what = f"held-out variance explained, union of {max(ranks)}-dimensional subspaces less PCA of equal "
            counts = comparison == "parameters"
            gain = _number_of(part, "gain")
            yield _criterion(4, f"{what}{comparison}, above 0", sigma, gain, other["gain"].item(), gain[1] > 0, counts)
            if counts:
                over = _number_of(part, "gain_over_shuffled")
                control = other["gain_over_shuffled"].item()
                what = "the same less that of channel-shuffled φ, above 0"
                yield _criterion(4, what, sigma, over, control, over[1] > 0)
                more = _difference(part, other, "gain")
                what = "the same less the untrained network's, above 0"
                yield _criterion(4, what, sigma, more, np.nan, more[1] > 0)
        gap = _number_of(here, "overlap_gap")
        what = "overlap of active sets, within less between subspaces, above 0"
        yield _criterion(4, what, sigma, gap, there["overlap_gap"].item(), gap[1] > 0)


def _semantics(controls: xr.Dataset, block: str) -> Iterator[Criterion]:
    """Claims 2, 5 and 8: numbers of the middle block, and each above those of what it is compared with."""
    reference = str(controls.attrs["reference"])
    if not reference.endswith(f" {block}"):
        raise InputError(f"the controls are compared with {reference!r}, and the claims are about {block!r}")
    for sigma in controls["sigma"].values:
        here = controls.sel(sigma=sigma)
        if np.isclose(sigma, STABLE_AT) and "stability" in labels.strings(here["measure"].values):
            what = f"rate at which an image is nearest to itself at the least σ, at least {STABLE:g}"
            yield from _against(2, here.sel(measure="stability"), what, STABLE, reference, ("pixels",))
        for name in SEMANTIC:
            if name in labels.strings(here["measure"].values):
                what = f"{name.replace(': ', ' of distances with ')}, above 0"
                yield from _against(5, here.sel(measure=name), what, 0.0, reference, ("pixels", "pca"))
        if "accuracy" in labels.strings(here["measure"].values):
            what = "accuracy of a linear probe, above chance"
            part = here.sel(measure="accuracy")
            chance = part["chance"].sel(row=reference).item()
            yield from _against(8, part, what, chance, reference, ("pixels", "pca"))


def _reconstruction(variants: xr.Dataset, block: str) -> Iterator[Criterion]:
    """Claim 6: samples match φ, are no copies, and are nearer to their condition in other blocks than free ones are."""
    names, networks = (labels.strings(variants[name].values) for name in ("variant", "network"))
    first = variants.isel(variant=0)
    if first["block"].item() != block or networks[0] != "trained":
        raise InputError(
            f"the first row, {names[0]!r}, holds {first['block'].item()} of the {networks[0]} network, and the claims "
            f"are about {block!r} of the trained: give what variants.table(block={block!r}) returns"
        )
    _check_level(variants)
    control = variants.isel(variant=list(names).index("untrained")) if "untrained" in names else None

    def row(measure: str) -> tuple[tuple[float, float, float], float]:
        here = first.sel(measure=measure)
        other = np.nan if control is None else control["value"].sel(measure=measure).item()
        return (here["value"].item(), here["low"].item(), here["high"].item()), other

    number, other = row("error of φ")
    what = f"median relative error of φ, at most {MATCHED:g}"
    yield _criterion(6, what, np.nan, number, other, number[0] <= MATCHED)
    for measure, counts in (("near copies", True), ("near copies of references", False)):
        if measure in labels.strings(variants["measure"].values):
            number, other = row(measure)
            of = "the condition" if counts else "a training image"
            what = f"share of samples that are near copies of {of}, at most {COPIED:g}"
            yield _criterion(6, what, np.nan, number, other, number[0] <= COPIED, counts)
    sigma = float(variants.attrs["phi_sigma"])
    if f"distance in {block}" in labels.strings(variants["measure"].values):
        # φ is matched at the last noise level; at others it is as near as the images are alike.
        number, other = row(f"distance in {block}")
        what = f"relative distance to the condition's φ of {block}, at most {MATCHED:g}"
        yield _criterion(6, what, sigma, number, other, number[0] <= MATCHED, False)
    others = [name for name in str(variants.attrs["held_out"]).split(", ") if name and name != block]
    if not others:
        raise InputError("the variants were compared in no other block: give variants.table the taps held_out=")
    for name in others:
        number, other = row(f"nearer in {name}")
        what = f"distance to the condition's φ of {name}, unconditional samples' less samples', above 0"
        yield _criterion(6, what, sigma, number, other, number[1] > 0)


def _several(findings: xr.Dataset | Sequence[xr.Dataset]) -> list[xr.Dataset]:
    return [findings] if isinstance(findings, xr.Dataset) else list(findings)


def _densities(trained: Sequence[xr.Dataset], untrained: Sequence[xr.Dataset]) -> Iterator[Criterion]:
    """Claim 7: distances in φ rank pairs as distances between conditional laws do, and better than pixels."""
    controls = {str(findings.attrs["measure"]): findings for findings in untrained}
    for n, findings in enumerate(trained):
        _check_level(findings)
        pairs, measure = findings.sizes["pair"], str(findings.attrs["measure"])
        if pairs < LEAST_PAIRS or "difference" not in findings:
            compared = "" if "difference" in findings else ", not compared with pixels"
            raise InputError(
                f"the densities are of {pairs} pairs{compared}: the criterion asks for {LEAST_PAIRS} pairs at least, "
                "and for the conditioning images as pixels"
            )
        here, control = findings.sel(feature="phi"), controls.get(measure)
        number = _number_of(here, "correlation")
        other, less = (
            (np.nan, np.nan)
            if control is None
            else (control["correlation"].sel(feature="phi").item(), control["difference"].item())
        )
        what = f"rank correlation of distances in φ and between laws ({measure.replace('_', ' ')}, {pairs} pairs)"
        counts = n == 0
        yield _criterion(7, f"{what}, at least {RELATED:g}", np.nan, number, other, number[0] >= RELATED, counts)
        yield _criterion(7, "the same, interval above 0", np.nan, number, other, number[1] > 0, counts)
        more = _number_of(findings, "difference")
        yield _criterion(7, "the same less that of pixels, above 0", np.nan, more, less, more[1] > 0, counts)


def _check_level(findings: xr.Dataset) -> None:
    if findings.attrs.get("level", LEVEL) != LEVEL:
        raise InputError(f"intervals of coverage {findings.attrs['level']}: the criteria ask for {LEVEL}, the default")


def _against(
    claim: int, part: xr.Dataset, what: str, least: float, reference: str, descriptors: tuple[str, ...]
) -> Iterator[Criterion]:
    """The reference's number above a bound, and above that of every row that it is compared with."""
    sigma = part["sigma"].item()
    mine = part.sel(row=reference)
    groups = labels.strings(part["group"].values)
    control = float(part["value"].values[groups == "untrained"].mean()) if (groups == "untrained").any() else np.nan
    value, low, high = (mine[name].item() for name in ("value", "low", "high"))
    # A rate is asked to reach its bound; a correlation or accuracy to exceed it with its whole interval.
    reaches = value >= least if claim == 2 else low > least
    yield _criterion(claim, what, sigma, (value, low, high), control, reaches)
    for r, (row, group) in enumerate(zip(part["row"].values, groups, strict=True)):
        if group == "untrained" or row in descriptors:
            other = part.isel(row=r)
            more = [-other[name].item() for name in ("difference", "difference_high", "difference_low")]
            yield _criterion(claim, f"the same less that of {row}, above 0", sigma, more, np.nan, more[1] > 0)
