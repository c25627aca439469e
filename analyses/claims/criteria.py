"""What a criterion and a claim are, and the numbers that criteria are about; prose is made of them at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from analyses.ground import TWINS, Estimate, Findings, Variable, outcome
from probekit import checks, labels
from probekit.errors import InputError

__all__ = [
    "ABSENT",
    "COMPARED",
    "JUDGED",
    "LEVEL",
    "UNKNOWN",
    "Claim",
    "Criterion",
    "Given",
    "Outcome",
    "beyond",
    "beyond_each",
    "check_level",
    "checked",
    "difference_of",
    "estimate_of",
    "labelled",
    "of_each",
    "part_of",
]

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
        "outcome": Variable(ALONG, "holds, does not hold, undecided, or not judged", holds="names"),
        "counts": Variable(ALONG, "whether the verdict rests on it", holds="flags"),
        "lacks": Variable(ALONG, "what was not measured without which it is not judged; '' where it is", holds="names"),
        "verdict": Variable(("claim",), "holds, partly, does not hold, undecided or not judged", holds="names"),
    },
    coords={"claim": "number of the claim"},
    source="claims.table",
)
# Where a claim was not judged of a network.
ABSENT = "not measured"
BOTH = ("claim", "network")
COMPARED = Findings(
    "claims.side_by_side",
    {
        "verdict": Variable(BOTH, "as `table` says it, or not measured", holds="names"),
        "met": Variable(BOTH, "criteria that hold", holds="counts"),
        "against": Variable(BOTH, "criteria that do not hold, the whole interval saying the opposite", holds="counts"),
        "criteria": Variable(BOTH, "criteria that the verdict rests on", holds="counts"),
    },
    coords={"claim": "number of the claim", "network": "denoiser"},
)
LEVEL = 0.95
UNKNOWN = Estimate(np.nan, np.nan, np.nan)
# By less than this nothing is above anything.
ROUNDING = 1e-9
# Findings that are judged without an untrained network's.
WITHOUT_TWINS = ("reliability",)
ENDS = ("", "_low", "_high")
# What is taken off where a number is compared with a control's.
LESS = dict(zip(TWINS, ("the untrained network's", "the untrained network's with the paper's gains"), strict=True))
Comparison = Literal["below", "above", "interval above", "at least", "at most", "within"]
Outcome = Literal["holds", "does not hold", "undecided", "not judged"]


class Criterion(NamedTuple):
    """A number, and how it must compare with a bound.

    Attributes
    ----------
    subject, less
        What is measured; what is taken off it, if anything: of the control, of pixels, ….
    comparison, bound
        "below", "above" ask it of the whole interval, "at least", "at most" of the value;
        "interval above" is "above" beside an "at least" of the same number; "within" asks that the whole interval lies
        between −bound and bound.
    estimate
        The number with its interval.
    sigma
        Noise level, NaN where it is of none.
    control
        The same number of each untrained control, in the order of `TWINS`; NaN where there is none.
    bound_name
        What the bound is, where that says more than its value.
    counts
        Whether the verdict rests on it, or it is reported beside.
    lacks
        What was not measured without which it cannot be judged, such as a control; "" where it is judged.
    core
        Whether it is what the claim says first: where all such say the opposite, the claim does not hold.
    """

    subject: str
    comparison: Comparison
    bound: float
    estimate: Estimate
    sigma: float = np.nan
    control: tuple[float, ...] = (np.nan,) * len(TWINS)
    less: str = ""
    bound_name: str = ""
    counts: bool = True
    lacks: str = ""
    core: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is as claimed; nothing holds of a number that does not exist, or lacks something."""
        return self.outcome == "holds"

    @property
    def outcome(self) -> Outcome:
        """Holds, does not hold where the whole interval says the opposite, else undecided; so is what has no number.

        A value that is to reach a bound, and has no interval, is taken as exact; where one end alone is known, it is
        not refuted. What lacks something is not judged.

        Raises
        ------
        InputError
            If the interval's lower end is above its upper one.
        """
        (value, low, high), bound = self.estimate, self.bound
        if low > high + ROUNDING:
            raise InputError(
                f"{self.subject}: an interval from {low:g} to {high:g}: its lower end is above its upper one, give "
                "them in order"
            )
        if self.lacks:
            return "not judged"
        if self.comparison in ("at least", "at most"):
            sign = 1 if self.comparison == "at least" else -1
            if sign * value >= sign * bound:
                return "holds"
            gone = np.isnan([low, high])
            furthest = value if gone.all() else np.nan if gone.any() else high if sign == 1 else low
            return "does not hold" if sign * furthest < sign * bound else "undecided"
        if self.comparison == "within":
            return outcome(low, high, bound, "within")
        # Equal, as a union of one subspace is to a PCA, is neither above nor below.
        return outcome(-high, -low, -bound) if self.comparison == "below" else outcome(low, high, bound)


class Given(NamedTuple):
    """What claims are judged by.

    Attributes
    ----------
    trained
        Findings of analyses of the trained network, by name.
    untrained
        Of each control that the network can have the same, by its name in `TWINS`; empty where it was not measured.
    controls, variants
        What `controls.table` and `variants.table` return.
    densities
        What `densities.analyse` returns, by several measures, the first of which counts.
    densities_untrained
        Of each of these controls the same; empty where it was not measured.
    further
        Findings that hold their controls themselves, by name: those of "stability", "textures", "cues" and
        "noise_level".
    block
        The block that the claims are about.
    """

    trained: Mapping[str, xr.Dataset]
    untrained: Mapping[str, Mapping[str, xr.Dataset]]
    controls: xr.Dataset | None
    variants: xr.Dataset | None
    densities: Sequence[xr.Dataset]
    densities_untrained: Mapping[str, Sequence[xr.Dataset]]
    further: Mapping[str, xr.Dataset]
    block: str

    def has(self, name: str) -> bool:
        """Whether there are findings of this name, of the network and a control where these are compared."""
        if name in self._fields:
            found = getattr(self, name)
            return found is not None and len(found) > 0
        if name in self.further:
            return True
        # In a table of controls with others, or by itself: of more draws, at fewer noise levels.
        if name == "stability" and self.controls is not None:
            return name in self.controls["measure"].values
        compared = name in WITHOUT_TWINS or any(name in found for found in self.untrained.values())
        return name in self.trained and compared

    def has_twin(self, twin: str) -> bool:
        """Whether anything was measured of a control."""
        rows = ((self.controls, "group"), (self.further.get("stability"), "group"), (self.variants, "variant"))
        named = any(found is not None and twin in found[name].values for found, name in rows)
        return named or bool(self.untrained.get(twin)) or bool(self.densities_untrained.get(twin))

    @property
    def blocks(self) -> list[str]:
        """All blocks of the network that any of the findings names, each once."""
        measured = (*self.trained.values(), *(self.further.get(name) for name in ("cues", "textures")))
        named = [found["block"].values for found in measured if found is not None]
        if self.variants is not None:
            named.append(np.array([*str(self.variants.attrs["held_out"]).split(", "), self.block], object))
        return [name for name in dict.fromkeys(one for every in named for one in labels.strings(every)) if name]

    def of_twins(self, name: str) -> dict[str, xr.Dataset | None]:
        """Findings of this name of each control, None where there are none."""
        return {twin: found.get(name) for twin, found in self.untrained.items()}


class Claim(NamedTuple):
    """A claim of the paper, and how it is judged.

    Attributes
    ----------
    title
        The claim.
    asks
        What must be so for it to hold, in words.
    needs
        The findings that it is judged by: "sparsity", … of the network and its controls, a field of `Given`, or one of
        `further`.
    judge
        Its criteria.
    measures
        Of the table of controls: what the report shows of it.
    beside
        Another block that it needs, if any: "before" the block that the claims are about, or "other".
    """

    title: str
    asks: str
    needs: str
    judge: Callable[[Given], Iterator[Criterion]]
    measures: tuple[str, ...] = ()
    beside: Literal["", "before", "other"] = ""


def estimate_of(findings: xr.Dataset, name: str) -> Estimate:
    """A number of findings with the ends of its interval."""
    return Estimate(*(float(findings[f"{name}{end}"]) for end in ("", "_low", "_high")))


def difference_of(here: xr.Dataset, there: xr.Dataset, name: str) -> Estimate:
    """Difference of two numbers, its interval from theirs as if independent (Newcombe 1998, method 10).

    Numbers of the same images are positively dependent, so that the interval is rather too wide.
    """
    (p, p_low, p_high), (q, q_low, q_high) = estimate_of(here, name), estimate_of(there, name)
    low, high = p - q - float(np.hypot(p - p_low, q_high - q)), p - q + float(np.hypot(p_high - p, q - q_low))
    return Estimate(p - q, low, high)


def of_each(twins: Mapping[str, xr.Dataset | None], number: Callable[[xr.Dataset], xr.DataArray]) -> tuple[float, ...]:
    """A number of each control, in the order of `TWINS`, NaN of one without findings or without this number."""

    def known(found: xr.Dataset | None) -> float:
        try:
            return np.nan if found is None else float(number(found).item())
        except KeyError:
            return np.nan

    return tuple(known(twins.get(twin)) for twin in TWINS)


def labelled(findings: xr.Dataset | None, dim: str, label: Any) -> np.ndarray:
    """Where findings have a label: names that are equal, noise levels to rounding."""
    if findings is None:
        return np.array([], int)
    values = findings[dim].values
    alike = labels.strings(values) == str(label) if isinstance(label, str) else np.isclose(values, label)
    return np.flatnonzero(alike)


def part_of(findings: xr.Dataset | None, **at: Any) -> xr.Dataset | None:
    """The part of findings that has these labels; None where one of them was not measured."""
    for dim, label in at.items():
        places = labelled(findings, dim, label)
        if findings is None or not len(places):
            return None
        findings = findings.isel({dim: int(places[0])})
    return findings


def beyond(make: Callable[..., Criterion], name: str, own: float, excess: Estimate | None, less: str) -> Criterion:
    """The criterion that a number is beyond that of a control, which is not judged where the control has none.

    Parameters
    ----------
    make
        The criterion, but for what follows.
    name
        Of the control.
    own
        The network's own number: where this does not exist either, the criterion does not hold.
    excess
        What the number is beyond the control's; None where the control was not measured.
    less
        What is taken off, in words.
    """
    estimate = UNKNOWN if excess is None else excess
    lacks = name if np.isnan(estimate.value) and np.isfinite(own) else ""
    return make(estimate=estimate, less=less, lacks=lacks)


def beyond_each(
    make: Callable[..., Criterion],
    own: float,
    twins: Mapping[str, xr.Dataset | None],
    excess: Callable[[xr.Dataset], Estimate],
) -> Iterator[Criterion]:
    """The criteria that a number is beyond that of each control; see `beyond`."""
    for name, found in twins.items():
        yield beyond(make, name, own, None if found is None else excess(found), LESS[name])


def _with_ends(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{end}" for name in names for end in ENDS)


OF_CONTROLS = (
    ("value", "low", "high", *_with_ends("difference"), "chance", "row", "measure", "sigma", "group"),
    ("reference",),
)
# Of findings, by name: what returns them, the variables and coordinates that criteria are made of, and attributes.
MADE_OF: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "sparsity": (
        "sparsity.analyse",
        (*_with_ends("change"), "per_image", "sigma", "block", "input", "vector", "measure"),
        (),
    ),
    "selectivity": (
        "selectivity.analyse",
        (*_with_ends("fraction", "kurtosis_difference"), "sigma", "block", "kind"),
        (),
    ),
    "subspaces": (
        "subspaces.analyse",
        (
            *_with_ends("gain", "gain_over_shuffled", "overlap_gap", "overlap_gap_shuffled"),
            *("confidence", "sigma", "block", "rank", "comparison"),
        ),
        (),
    ),
    "reliability": (
        "semantics.reliability",
        (*_with_ends("reliability"), "sigma", "block", "distance", "estimator"),
        ("draws_split",),
    ),
    "controls": ("controls.table", *OF_CONTROLS),
    "stability": ('controls.table(measures=["stability"])', *OF_CONTROLS),
    "variants": (
        "variants.table",
        ("value", "low", "high", "variant", "measure", "block", "network"),
        ("held_out", "phi_sigma"),
    ),
    "densities": ("densities.analyse", (*_with_ends("correlation"), "feature"), ("measure",)),
    "textures": (
        "textures.table",
        (
            *_with_ends("rate", "difference"),
            *("chance", "form", "subset", "representation", "sigma", "block", "distance"),
        ),
        ("reference", "verdict_distance"),
    ),
    "cues": (
        "cues.table",
        (
            *_with_ends("difference", "gain"),
            *("texture_chance", "shape_chance", "treatment", "representation", "group", "sigma", "block", "distance"),
        ),
        ("reference",),
    ),
    "noise_level": ("noise_level.verdict", (*_with_ends("value"), "network", "part", "sigma"), ()),
}
# Numbers that findings may lack, and that are checked where they have them.
MAY_HAVE: Mapping[str, tuple[str, ...]] = {"densities": ("difference",)}


def checked(name: str, findings: Any, said: str) -> xr.Dataset:
    """Findings, their noise levels in double precision; what criteria cannot be made of is refused.

    Parameters
    ----------
    name
        Of the findings, in `MADE_OF`.
    findings
        What is to be such findings.
    said
        How they were given, e.g. "controls".

    Raises
    ------
    InputError
        If a variable, a coordinate or an attribute is lacking, a noise level, a block or another label is there twice
        or along no dim, or the lower end of an interval is above its upper one.
    """
    source, names, attrs = MADE_OF[name]
    mend = f"give what {source} returns"
    if not isinstance(findings, xr.Dataset):
        raise InputError(f"{checks.given(said, findings)}: {mend}")
    names = (*names, *(one for may in MAY_HAVE.get(name, ()) if may in findings for one in _with_ends(may)))
    lacking = [one for one in names if one not in findings.variables]
    lacking += [one for one in attrs if one not in findings.attrs]
    if lacking:
        raise InputError(f"{said} lacks {', '.join(lacking)}: {mend}")
    for coordinate in (one for one in names if one in findings.coords):
        _check_labels(findings[coordinate], f"{said}: {coordinate}", mend)
    for low in (one for one in names if one.endswith("low")):
        high = f"{low.removesuffix('low')}high"
        swapped = (findings[low] > findings[high] + ROUNDING).values
        if swapped.any():
            first = (findings[end].broadcast_like(findings[low]).values[swapped][0] for end in (low, high))
            ends = " above ".join(f"{end:g}" for end in first)
            raise InputError(f"{said}: {low} lies above {high}, first {ends}: put intervals' ends in order, or {mend}")
    if "sigma" not in findings.coords:
        return findings
    # 0.1 in single precision is 0.1 and not 0.10000000149.
    exact = [float(str(one)) for one in findings["sigma"].values]
    return findings.assign_coords(sigma=findings["sigma"].copy(data=np.array(exact, float)))


def _check_labels(coordinate: xr.DataArray, said: str, mend: str) -> None:
    values = coordinate.values
    if coordinate.ndim != 1:
        raise InputError(f"{said} is along no dim: choose by isel({coordinate.name}=[…]), which keeps it, and {mend}")
    if not values.size:
        raise InputError(f"{said} is empty: {mend}")
    if coordinate.name == "sigma" and values.dtype.kind not in "fiu":
        raise InputError(f"{said} is of {values.dtype}: noise levels are numbers, {mend}")
    if coordinate.dims != (coordinate.name,):
        return
    names = labels.strings(values)
    again = np.isclose(*np.meshgrid(values, values)) if coordinate.name == "sigma" else names[:, None] == names
    twice = names[again.sum(0) > 1]
    if len(twice):
        raise InputError(f"{said} has {twice[0]} twice: leave one out, or {mend}")


def check_level(findings: xr.Dataset) -> None:
    """Refuse findings whose intervals are of another coverage than the criteria's."""
    if findings.attrs.get("level", LEVEL) != LEVEL:
        raise InputError(f"intervals of coverage {findings.attrs['level']}: the criteria ask for {LEVEL}, the default")
