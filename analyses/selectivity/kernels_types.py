"""Numpy kernels of types of channel: criteria as tests that they hold and that they fail, and what follows of types."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from analyses.selectivity.kernels import SHIFTS, Shape, Zones
from analyses.selectivity.kernels_counts import Counts, at_least

__all__ = ["ABOUT_REST", "CRITERIA", "ONE_OF", "Rates", "Weighed", "most_true", "weighed"]

CRITERIA = ("response", "raised", "lowered", "few", "upward", "heavy", "normal", "within")
# Those that ask where rest lies.
ABOUT_REST = ("response", "raised", "lowered", "few", "upward")
# The criteria of each type; silent is what does not respond, mixed what is none of the others.
NEEDS = {
    "common": ("response", "raised", "normal", "within"),
    "suppressed": ("response", "lowered", "downward"),
    "selective": ("response", "few", "upward", "heavy"),
}
ONE_OF = ("silent", *NEEDS, "mixed")


class Rates(NamedTuple):
    """Shares of images that criteria are about.

    Attributes
    ----------
    false_alarm
        Clear departures from rest that errors alone may bring: more is a response.
    rare
        A channel is silent that responds to a smaller share of images.
    few
        A selective channel is clearly above rest on a smaller share of images.
    nearly_none
        A common channel is above rest, and not near it, but for a smaller share of images, a suppressed one below it.
    far
        A common channel is far from its median on a smaller share of images.
    """

    false_alarm: float
    rare: float
    few: float
    nearly_none: float
    far: float


class Weighed(NamedTuple):
    """p-values and probabilities, by name; arrays of channels.

    Attributes
    ----------
    criteria
        Against each criterion's failing, and against its holding.
    shown, excluded
        Of each type: against the channel's not being of it, and against its being so.
    probability
        Of each type, a lower bound.
    """

    criteria: dict[str, tuple[np.ndarray, np.ndarray]]
    shown: dict[str, np.ndarray]
    excluded: dict[str, np.ndarray]
    probability: dict[str, np.ndarray]


def wherever(p: np.ndarray) -> np.ndarray:
    """Mean of p-values (shifts, …) over the normal law of where rest lies, of which each step counts by its worse end.

    Where counts change in proportion to rest, that is the test with both errors in its variance. The p-values are those
    if rest lay elsewhere by SHIFTS of its standard errors, to the disadvantage of what is to be shown.
    """
    weights = np.diff(ndtr(np.array([-np.inf, *SHIFTS])))
    return np.minimum(np.tensordot(weights, p, axes=1) + ndtr(-SHIFTS[-1]), 1)


def weighed(
    zones: Zones, shape: Shape, counts: Counts, rates: Rates, *, rest: bool = True, errors: np.ndarray | bool = True
) -> Weighed:
    """Weigh the criteria of the types.

    Each type is a conjunction of criteria, so it is shown where all are: its p-value is the largest of theirs
    (intersection-union test). It is excluded where one of its criteria is shown to fail (Bonferroni). Mixed is shown
    where all others are excluded, and excluded where one of them is shown. A criterion's probability is its posterior:
    of a rate under Jeffreys' prior, of a statistic's sign under its normal approximation; an answer's is the least
    that these allow (Bonferroni).

    Parameters
    ----------
    zones, shape
        Of the channels.
    counts
        What numbers of images say.
    rates
        Of the criteria.
    rest
        Whether rest was measured: else nothing is shown of what asks where it lies, either way.
    errors
        Whether errors are known, of each channel or what broadcasts to them: else what departs from rest less than the
        bound that stands in for them is not shown to stay there.
    """
    clear, far = zones.above + zones.below, shape.far
    higher, lower = zones.if_higher, zones.if_lower
    raised, lowered = higher[2], lower[3]
    nearly_all = 1 - rates.nearly_none
    known = ~np.isnan(shape.tail)
    # Of a constant channel neither law is closer.
    p_heavy = np.where(known, ndtr(-np.nan_to_num(shape.heavy)), 1.0)
    p_normal = np.where(known, shape.p_normal, 1.0)
    criteria = {
        "response": (
            counts.at_least(clear, rates.false_alarm),
            np.where(errors, counts.at_most(clear, rates.rare), 1.0),
        ),
        "raised": (
            wherever(counts.at_least(raised, nearly_all)),
            wherever(counts.at_most(lower[2], nearly_all)),
        ),
        "lowered": (
            wherever(counts.at_least(lowered, nearly_all)),
            wherever(counts.at_most(higher[3], nearly_all)),
        ),
        "few": (wherever(counts.at_most(lower[0], rates.few)), wherever(counts.at_least(higher[0], rates.few))),
        "upward": (
            wherever(_oftener(higher[0], higher[1], zones.worth_if_higher)),
            wherever(_oftener(lower[1], lower[0], zones.worth_if_lower)),
        ),
        "heavy": (p_heavy, np.where(known, p_normal, 0.0)),
        "normal": (p_normal, np.where(known, p_heavy, 0.0)),
        "within": (counts.at_most(far, rates.far), counts.at_least(far, rates.far)),
    }
    if not rest:
        criteria |= {name: (np.ones_like(p_heavy), np.ones_like(p_heavy)) for name in ABOUT_REST}
    both = criteria | {"downward": criteria["upward"][::-1]}
    shown = {"silent": criteria["response"][1]}
    excluded = {"silent": criteria["response"][0]}
    for kind, needed in NEEDS.items():
        shown[kind] = np.maximum.reduce([both[name][0] for name in needed])
        excluded[kind] = np.minimum(len(needed) * np.minimum.reduce([both[name][1] for name in needed]), 1)
    another = np.minimum(len(shown) * np.minimum.reduce(list(shown.values())), 1)
    shown["mixed"], excluded["mixed"] = np.maximum.reduce(list(excluded.values())), another

    silent = counts.lower(clear, rates.rare)
    doubt = {
        "response": counts.lower(clear, rates.false_alarm),
        **{name: wherever(counts.lower(of, nearly_all)) for name, of in (("raised", raised), ("lowered", lowered))},
        "few": wherever(1 - counts.lower(lower[0], rates.few)),
        "upward": criteria["upward"][0],
        "downward": criteria["upward"][1],
        "heavy": np.where(known, p_heavy, 0.5),
        "normal": np.where(known, p_normal, 0.5),
        "within": 1 - counts.lower(far, rates.far),
    }
    probability = {"silent": silent}
    left = 1 - silent
    for kind, needed in NEEDS.items():
        probability[kind] = 1 - np.sum([doubt[name] for name in needed], axis=0)
        # At most as probable as its least probable criterion. What the bound adds to the doubts in "normal" is no
        # reason to believe in "mixed".
        least = doubt | {"normal": np.minimum(1 - p_heavy, doubt["normal"])}
        left = left - (1 - np.maximum.reduce([least[name] for name in needed]))
    probability["mixed"] = left
    return Weighed(criteria, shown, excluded, {kind: np.maximum(p, 0) for kind, p in probability.items()})


def _oftener(one: np.ndarray, other: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """p-value against "no oftener one than other", of numbers of images (…) that together are worth so many."""
    scale = worth / np.maximum(one + other, 1)
    return at_least(one * scale, (one + other) * scale, 0.5)


def most_true(p: np.ndarray, alpha: float) -> np.ndarray:
    """Number of null hypotheses that may all be true, with confidence 1 − alpha; of p-values (…, hypotheses).

    The largest number i such that Simes' test at alpha rejects none of the i largest p-values together: the closed
    test by Simes' (Hommel, Biometrika 75, 383, 1988; Goeman & Solari, Statistical Science 26, 584, 2011).
    """
    p = np.sort(np.asarray(p, float))
    m = p.shape[-1]
    low, high = np.zeros(p.shape[:-1], int), np.full(p.shape[:-1], m)
    order = np.arange(m)
    # If Simes' test does not reject i of them, it does not reject fewer: so halving finds the largest.
    for _ in range(m.bit_length()):
        middle = (low + high + 1) // 2
        rank = order - (m - middle)[..., None] + 1
        kept = ((rank < 1) | (middle[..., None] * p > rank * alpha)).all(axis=-1)
        low, high = np.where(kept, middle, low), np.where(kept, high, middle - 1)
    return low
