"""What a criterion and a claim are, and the numbers that criteria are about; prose is made of them at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr

from analyses.ground import Estimate
from probekit.errors import InputError

__all__ = ["LEVEL", "Claim", "Criterion", "Given", "check_level", "difference_of", "estimate_of"]

LEVEL = 0.95
# Beyond a bound by less than this is no evidence: numbers that are equal by construction differ by rounding.
ROUNDING = 1e-9
Comparison = Literal["below", "above", "interval above", "not below", "at least", "at most"]


class Criterion(NamedTuple):
    """A number, and how it must compare with a bound.

    Attributes
    ----------
    subject, less
        What is measured; what is taken off it, if anything: of the control, of pixels, ….
    comparison, bound
        "below", "above" ask it of the whole interval, "not below" of its upper end, "at least", "at most" of the value;
        "interval above" is "above" beside an "at least" of the same number.
    estimate
        The number with its interval.
    sigma
        Noise level, NaN where it is of none.
    control
        The same number of the untrained network, NaN where there is none.
    bound_name
        What the bound is, where that says more than its value.
    counts
        Whether the verdict rests on it, or it is reported beside.
    """

    subject: str
    comparison: Comparison
    bound: float
    estimate: Estimate
    sigma: float = np.nan
    control: float = np.nan
    less: str = ""
    bound_name: str = ""
    counts: bool = True

    @property
    def holds(self) -> bool:
        """Whether it is as claimed; nothing holds of a number that does not exist."""
        value, low, high = self.estimate
        met = {
            "below": high < self.bound - ROUNDING,
            "above": low > self.bound + ROUNDING,
            "interval above": low > self.bound + ROUNDING,
            "not below": high >= self.bound,
            "at least": value >= self.bound,
            "at most": value <= self.bound,
        }
        return bool(met[self.comparison])


class Given(NamedTuple):
    """What claims are judged by.

    Attributes
    ----------
    trained, untrained
        Findings of analyses that both networks went through, by name.
    controls, variants
        What `controls.table` and `variants.table` return.
    densities, densities_untrained
        What `densities.analyse` returns, by several measures, the first of which counts.
    block
        The block that the claims are about.
    """

    trained: Mapping[str, xr.Dataset]
    untrained: Mapping[str, xr.Dataset]
    controls: xr.Dataset | None
    variants: xr.Dataset | None
    densities: Sequence[xr.Dataset]
    densities_untrained: Sequence[xr.Dataset]
    block: str

    def has(self, name: str) -> bool:
        """Whether there are findings of this name, of both networks where they come in pairs."""
        if name in self._fields:
            found = getattr(self, name)
            return found is not None and len(found) > 0
        return name in self.trained and name in self.untrained


class Claim(NamedTuple):
    """A claim of the paper, and how it is judged.

    Attributes
    ----------
    title
        The claim.
    asks
        What must be so for it to hold, in words.
    needs
        The findings that it is judged by: "sparsity", … of both networks, or a field of `Given`.
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


def check_level(findings: xr.Dataset) -> None:
    """Refuse findings whose intervals are of another coverage than the criteria's."""
    if findings.attrs.get("level", LEVEL) != LEVEL:
        raise InputError(f"intervals of coverage {findings.attrs['level']}: the criteria ask for {LEVEL}, the default")
