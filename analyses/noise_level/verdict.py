"""Claim 11 judged: does a blind denoiser know σ?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from analyses.ground import Estimate, Findings, Variable, outcome, verdict_of
from analyses.noise_level.analyse import FINDINGS, PATH
from analyses.sampling import levels
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["ON_IMAGES", "ON_PATH", "PARTS", "VERDICT", "in_range", "lacking", "verdict"]

# The bounds of the claim: relative bias on images, where σ is in this range, and mismatch on the sampler's path.
RANGE, ON_IMAGES, ON_PATH = (0.1, 1.0), 0.05, 0.1
# How many noise levels it asks for in the range, and on the path, whose ends are reached to a tenth.
LEVELS, STEPS, ABOUT = 3, 10, 0.1
PARTS = ("held-out images", "sampler's path")
VERDICT = Findings(
    "noise_level.verdict",
    {
        "value": Variable(
            ("criterion",), "what must not be further than `bound` from 0", interval="images or samples resampled"
        ),
        "bound": Variable(("criterion",), "bound of the claim"),
        "outcome": Variable(("criterion",), "holds, does not hold, undecided, or not judged", holds="names"),
    },
    coords={
        "criterion": "number of the criterion",
        "network": "denoiser",
        "part": "where σ̂ was measured",
        "sigma": "noise level, of the schedule on the path",
        "told": "whether σ goes into the denoiser",
    },
)


@VERDICT.described
def verdict(findings: xr.Dataset, path: xr.Dataset, *, networks: Sequence[str] | None = None) -> xr.Dataset:
    """Judge whether a blind denoiser knows the noise level: claim 11 of this package.

    Criteria: on held-out images the relative bias of σ̂ is within ±5 % at each noise level in [0.1, 1] that was
    measured; on the sampler's path the mismatch is within ±10 % at each level of the schedule. A criterion holds where
    the whole interval is within the bound, does not hold where all of it is beyond, and is undecided in between; that
    of a denoiser that is told σ is not judged. The claim asks besides for 3 noise levels at least from 0.1 to 1, with
    both, and for a path of 10 at least from about 1 to about 0.03, the ends of Algorithm 1's.

    Parameters
    ----------
    findings, path
        What `analyse` and `along` return, of the same denoisers.
    networks
        Those that are judged; by default all that are blind.

    Returns
    -------
    Dataset
        {findings}

        Attr `verdict`: "holds" if all criteria do; "partly" if some do and some do not; "does not hold" if none does
        and one at least does not; else "not judged" where something is lacking, which attr `lacks` names, or
        "undecided". Attr `tested` says which part of the range of σ was measured.

    Raises
    ------
    InputError
        If these are no such findings, of no blind denoiser, or of no noise level in the range.

    Examples
    --------
    >>> from torch import nn
    >>> from analyses.noise_level import along, analyse
    >>> images = np.zeros((4, 1, 8, 8))
    >>> found, path = analyse(nn.Identity(), images), along(nn.Identity(), images, sigmas=[0.2, 0.1])
    >>> judged = verdict(found, path)
    >>> judged.attrs["verdict"], judged.attrs["lacks"]
    ('does not hold', '10 levels of σ from 1 to 0.03 along the path')
    """
    findings = FINDINGS.taken(findings, "relative_bias", attrs=("level",))
    path = PATH.taken(path, "mismatch", attrs=("level",))
    known = _names(findings)
    if not set(known) <= set(_names(path)):
        raise InputError("findings and path are of different denoisers: give what analyse and along return of the same")
    if networks is None:
        chosen = [name for name in known if not bool(findings["told"].sel(network=name))]
    else:
        wanted = "names of networks in the findings"
        chosen = [checks.choice("networks", one, tuple(known)) for one in checks.names("networks", networks, wanted)]
    if not chosen:
        raise InputError("no denoiser of the findings is blind: give findings of one that is, or networks=")
    sigma = findings["sigma"].values
    inside = sigma[in_range(sigma)]
    if not len(inside):
        raise InputError(f"no noise level of the findings is in [{RANGE[0]:g}, {RANGE[1]:g}]: give some that are")
    rows = [
        (name, PARTS[0], s, ON_IMAGES, _ends(findings, "relative_bias", name, s)) for name in chosen for s in inside
    ]
    rows += [
        (name, PARTS[1], s, ON_PATH, _ends(path, "mismatch", name, s)) for name in chosen for s in path["sigma"].values
    ]
    network, part, at, bounds, ends = zip(*rows, strict=True)
    told_by = dict(zip(known, findings["told"].values.astype(bool), strict=True))
    told = np.array([told_by[name] for name in network])
    outcomes = [
        "not judged" if one else outcome(low, high, bound, "within")
        for (_, low, high), bound, one in zip(ends, bounds, told, strict=True)
    ]
    steps = path["sigma"].values
    lacks = [one for one in lacking(inside, steps) if one]
    lacks += [f"a blind network instead of {name}" for name in chosen if told_by[name]]
    whole = _reaches(inside, *RANGE)
    return VERDICT.label(
        {"value": Estimate(*np.transpose(ends)), "bound": np.array(bounds), "outcome": np.array(outcomes, object)},
        xr.Dataset(attrs=findings.attrs),
        coords={
            "criterion": np.arange(len(rows)),
            "network": ("criterion", np.array(network, object)),
            "part": ("criterion", np.array(part, object)),
            "sigma": ("criterion", np.array(at, float)),
            "told": ("criterion", told),
        },
        level=findings.attrs["level"],
        verdict=verdict_of([*outcomes, *("not judged" for _ in lacks)]),
        lacks="; ".join(lacks),
        tested=(
            f"{'the range' if whole else 'part of the range'} [{RANGE[0]:g}, {RANGE[1]:g}] on images: "
            f"{', '.join(f'{s:g}' for s in inside)}; path: {len(steps)} levels from {steps.max():g} to {steps.min():g}"
        ),
    )


def in_range(sigma: np.ndarray) -> np.ndarray:
    """Which noise levels (level) of images the claim is about."""
    return (sigma >= RANGE[0] * (1 - 1e-9)) & (sigma <= RANGE[1] * (1 + 1e-9))


def lacking(images: np.ndarray, path: np.ndarray) -> tuple[str, str]:
    """What lacks for noise levels (level) of images, and of the path, to be those that the claim asks for, or ""."""
    first, *_, last = levels("algorithm1")
    few = f"{LEVELS} levels of σ from {RANGE[0]:g} to {RANGE[1]:g}"
    short = f"{STEPS} levels of σ from {first:g} to {last:g} along the path"
    enough = _reach(images[in_range(images)], LEVELS, *RANGE)
    return "" if enough else few, "" if _reach(path, STEPS, last * (1 + ABOUT), first * (1 - ABOUT)) else short


def _reach(sigma: np.ndarray, least: int, low: float, high: float) -> bool:
    """Whether so many distinct noise levels reach from one to another, or beyond them."""
    # Those that are the same to rounding are one.
    return len(np.unique(sigma.round(6))) >= least and _reaches(sigma, low, high)


def _reaches(sigma: np.ndarray, low: float, high: float) -> bool:
    """Whether noise levels reach from one to another, or beyond them."""
    ends = (float(sigma.min()), low), (high, float(sigma.max()))
    return all(one < other or bool(np.isclose(one, other)) for one, other in ends)


def _names(findings: xr.Dataset) -> list[str]:
    if "told" not in findings.coords or findings["told"].dims != ("network",):
        raise InputError("the findings lost their coordinate told: give what noise_level returns")
    return labels.strings(findings["network"].values).tolist()


def _ends(findings: xr.Dataset, name: str, network: str, sigma: float) -> list[float]:
    here = findings.sel(network=network, sigma=sigma)
    return [float(here[name + end]) for end in ("", "_low", "_high")]
