"""Groups of channels by type, and random groups that match them in number and in energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses.ground import by_channel, repeats
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["Matched", "Wanted", "matched_groups", "random_group"]

# A descent that has tried this many starts has shown that the pool holds no such group, or hardly any.
STARTS = 50


class Matched(NamedTuple):
    """Groups of channels, and the random groups that each is to be compared with.

    Attributes
    ----------
    groups : dict[str, list[int]]
        Channels of each group, numbered within their tap.
    controls : dict[str, list[str]]
        From a group to the names of the random groups that match it.
    """

    groups: dict[str, list[int]]
    controls: dict[str, list[str]]


class Wanted(NamedTuple):
    """Energy of each channel of a pool, total energy that a group shall have, and its largest relative deviation."""

    energy: np.ndarray
    target: float
    tolerance: float


def matched_groups(
    findings: xr.Dataset,
    energy: xr.DataArray,
    *,
    sigma: float | None = None,
    tap: str | None = None,
    kinds: Sequence[str] = ("selective", "common"),
    size: int | None = None,
    n_random: int = 10,
    tolerance: float | None = 0.1,
    seed: int = 0,
) -> Matched:
    """Groups of channels by type, each with random groups of as many channels and, if wanted, as much energy.

    Silencing channels that do much changes an image more, whatever they mean: a fair comparison takes away as many
    channels of as much energy. Random channels are drawn from those outside the group.

    Parameters
    ----------
    findings
        What `selectivity.analyse` returns: `type` (sigma, channel).
    energy
        (channel), energy of each channel ≥ 0 at the noise level in question: e.g. the mean over images of φ of a tap
        made with ``reduce="energy"``. In any order where it has the coordinates tap and unit, or channel; else in the
        findings' own.
    sigma, tap
        Which noise level and tap of the findings; may be left out where there is one.
    kinds
        Types to make groups of.
    size
        Channels of each group, drawn at random from those of the type; by default all.
    n_random
        Random groups of each, ≥ 1.
    tolerance
        Largest relative deviation of a random group's total energy from the group's, > 0; None matches them in number
        only.
    seed
        Of everything drawn.

    Returns
    -------
    Matched
        Named "selective", "selective, random 0" and so on; channels numbered within the tap, as edits take them.

    Raises
    ------
    InputError
        If there is no channel of a type or fewer than `size`; if a group is larger than the pool outside it, or the
        pool holds no group of its energy; if energies do not belong to the findings; if an option is out of its range.
    """
    n_random = repeats("n_random", n_random, least=1)
    if size is not None:
        size = checks.whole("size", size, least=1)
    if tolerance is not None:
        what = "a relative deviation > 0, e.g. 0.1, or None to match in number only"
        tolerance = checks.number("tolerance", tolerance, what, good=lambda v: v > 0)
    seed = checks.seeded(seed)
    if sigma is not None:
        sigma = checks.number("sigma", sigma, "one of the findings' noise levels")
    if tap is not None:
        tap = checks.text("tap", tap, "the name of one of the findings' taps")
    kinds = checks.names("kinds", kinds, "types of channel, e.g. ['selective']")
    types, units, energies = _typed(findings, energy, sigma, tap)
    rng = np.random.default_rng(seed)
    groups, controls = {}, {}
    for kind in kinds:
        of_kind = np.flatnonzero(types == kind)
        count = len(of_kind) if size is None else size
        if not len(of_kind) or count > len(of_kind):
            kind = kind if kind.isidentifier() and len(kind) < 20 else checks.shown(kind)
            raise InputError(f"{count or 'no'} of {len(of_kind)} {kind} channels: give another type or a smaller size")
        group = np.sort(rng.choice(of_kind, size=count, replace=False))
        pool = np.setdiff1d(np.arange(len(types)), group)
        wanted = None if tolerance is None else Wanted(energies[pool], energies[group].sum(), tolerance)
        groups[kind] = units[group].tolist()
        controls[kind] = [f"{kind}, random {k}" for k in range(n_random)]
        for name in controls[kind]:
            groups[name] = units[random_group(count, pool, wanted, rng=rng)].tolist()
    return Matched(groups, controls)


def _typed(
    findings: Any, energy: Any, sigma: float | None, tap: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Type, number within the tap, and energy of each channel of one tap at one noise level."""
    if not isinstance(findings, xr.Dataset) or "type" not in findings or findings["type"].dims != ("sigma", "channel"):
        raise InputError("the findings have no type (sigma, channel): give what selectivity.analyse returns")
    if not isinstance(energy, xr.DataArray) or energy.dims != ("channel",):
        got = energy.dims if isinstance(energy, xr.DataArray) else type(energy).__name__
        raise InputError(f"energy: got {got}: give a DataArray (channel)")
    if energy.sizes["channel"] != findings.sizes["channel"]:
        raise InputError(
            f"energies of {energy.sizes['channel']} channels and findings of {findings.sizes['channel']}: give the same"
        )
    levels, taps = findings["sigma"].values, labels.strings(findings["tap"].values)
    if (sigma is None and len(levels) > 1) or (sigma is not None and not np.isclose(levels, sigma).any()):
        raise InputError(f"{checks.given('sigma', sigma)}: give one of the findings' noise levels, {levels.tolist()}")
    names = labels.blocks(findings)
    if (tap is None and len(names) > 1) or (tap is not None and tap not in names):
        raise InputError(f"{checks.given('tap', tap)}: give one of the findings' taps, {', '.join(names)}")
    here = taps == (names[0] if tap is None else tap)
    known = np.asarray(by_channel(energy, findings, "energy").values, float)[here]
    if not (np.isfinite(known) & (known >= 0)).all():
        raise InputError("energy holds values that are negative or not finite: give mean squares")
    at = 0 if sigma is None else int(np.abs(levels - sigma).argmin())
    return labels.strings(findings["type"].values[at, here]), findings["unit"].values[here], known


def random_group(size: int, pool: np.ndarray, wanted: Wanted | None = None, *, rng: np.random.Generator) -> np.ndarray:
    """Draw channels of a pool, of a total energy near the target where one is wanted.

    A uniform draw is changed by exchanges of one channel for another, each chosen at random among those that at
    least halve the gap, or else the best, until the gap is within tolerance.

    Parameters
    ----------
    size
        Number of channels.
    pool
        Channels to draw from.
    wanted
        Energy of each channel of the pool, total energy to reach, and the largest relative deviation from it; None
        matches in number only.
    rng
        Source of the draws.

    Returns
    -------
    ndarray
        (size), sorted.

    Raises
    ------
    InputError
        If the pool is smaller than the group, or no such group is found in it.
    """
    if size > len(pool):
        raise InputError(f"a group of {size} channels from a pool of {len(pool)}: make the group smaller")
    for _ in range(STARTS):
        order = rng.permutation(len(pool))
        chosen, others = order[:size], order[size:]
        if wanted is None or _approached(chosen, others, wanted, rng):
            return np.sort(pool[chosen])
    assert wanted is not None
    ordered = np.sort(wanted.energy)
    raise InputError(
        f"no {size} channels of the pool were found with a total energy within {100 * wanted.tolerance:g} % of "
        f"{wanted.target:.3g}: "
        f"groups of that size there have {ordered[:size].sum():.3g} to {ordered[-size:].sum():.3g}; "
        "match in number only, take fewer channels, or allow a larger tolerance"
    )


def _approached(chosen: np.ndarray, others: np.ndarray, wanted: Wanted, rng: np.random.Generator) -> bool:
    """Exchange channels between the two, in place, until the energy is right; False if no exchange helps."""
    energy, target, tolerance = wanted
    gap = energy[chosen].sum() - target
    while abs(gap) > tolerance * abs(target):
        if not len(others):
            return False
        after = np.abs(gap - energy[chosen][:, None] + energy[others])
        halved = np.flatnonzero(after <= abs(gap) / 2)
        pick = rng.choice(halved) if len(halved) else after.argmin()
        out, into = np.unravel_index(pick, after.shape)
        if not after[out, into] < abs(gap):
            return False
        chosen[out], others[into] = others[into], chosen[out]
        gap = energy[chosen].sum() - target
    return True
