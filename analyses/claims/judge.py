"""The claims of the paper judged by criteria that were fixed before the results.

Each claim of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912), and four more, 9 to 12, has a few criteria at each
noise level: a number whose 95 % interval must exclude a bound, or a share or rate that must reach one. A criterion
holds; or it does not, where the whole interval says the opposite; or it is undecided; or it is not judged, where what
it asks for was not measured. A claim is all of its criteria at once. It *holds* where all do. One criterion that does
not hold refutes it as it is stated, whatever else is open: it is then said to hold *partly* where another does, and
that it *does not hold* where none does, or where what it says first turns out the opposite throughout. Where nothing
is refuted and something is open, it is *not judged* if anything was not measured, else *undecided*. Claim 4 asks for a
union that beats one PCA of as many parameters; such a PCA can hold all the subspaces of the union, so this asks much,
and comparisons at equal numbers per image and at equal non-zero parameters are reported beside it. Overlap of active
sets alone does not tell a union from rectified channels of few dimensions: where it is met and the confidence of the
number of subspaces is low, that confidence is reported beside it. Claims 6 and 7 are about samples, not noise levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.claims.criteria import ABSENT, COMPARED, JUDGED, Criterion, Given, check_level, checked
from analyses.claims.listed import CLAIMS
from analyses.claims.words import CONTROLS, joined, rows_of, verdicts
from analyses.ground import TWINS, verdict_of
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["side_by_side", "table"]

ON_PHI = ("sparsity", "selectivity", "subspaces", "reliability")
FURTHER = ("stability", "textures", "cues", "noise_level")
KEPT = ("probekit_version", "denoiser", "weights_sha256", "image_source", "draws", "seed")


@JUDGED.described
def table(
    trained: Mapping[str, xr.Dataset],
    untrained: Mapping[str, xr.Dataset],
    *,
    paper_gains: Mapping[str, xr.Dataset] | None = None,
    controls: xr.Dataset | None = None,
    variants: xr.Dataset | None = None,
    densities: xr.Dataset | Sequence[xr.Dataset] | None = None,
    further: Mapping[str, xr.Dataset] | None = None,
    twins: Sequence[str] = tuple(TWINS),
    block: str = "mid",
) -> xr.Dataset:
    """Judge the claims on findings of a trained network and of its untrained controls.

    "More than untrained" is more than each control, with intervals that exclude 0. Where something was not measured,
    a control, a noise level, a block, a measure, or enough draws, pairs or images of a class, the criterion that asks
    for it is not judged and says what it lacks, and no claim holds without it. A claim of which one criterion is
    refuted is refuted as it is stated, whatever is not judged or undecided besides.

    Parameters
    ----------
    trained, untrained
        Findings by analysis ("sparsity", "selectivity", "subspaces", "reliability") of the same images and noise
        levels; a claim whose findings are absent is left out, and "reliability" needs none of a control. Encoder
        blocks are those that are called enc1, enc2, …. In `untrained` also "densities", the control of those below.
    paper_gains
        As `untrained`, of the control whose gains are as the paper's code draws them; see `ground.untrained_twins`.
    controls
        What `controls.table` returns, for claims 5, 8 (if it has a probe's accuracy) and 2 (if it has stability at
        σ = 0.3 and 0.1, and `further` has none).
    variants
        What `variants.table` returns, for claim 6, which is judged by its first row.
    densities
        What `densities.analyse` returns of samples of the trained network (see `variants.laws`), for claim 7; where
        they are by several measures, it is judged by the first, and the others are reported beside it.
    further
        Findings that hold their controls themselves: of "stability" what `controls.table` returns with
        measures=["stability"], for claim 2; of "textures" what `textures.table` returns with training
        photographs, for claim 9; of "cues" what `cues.table` returns, for claim 10; of "noise_level" what
        `noise_level.verdict` returns of this denoiser, for claim 11.
    twins
        The controls that the network can have: of one without normalisations of this package ("untrained",) alone.
    block
        The middle block.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If the two are of different images, noise levels or taps, lack the block, or have intervals of another coverage
        than 95 % or whose lower end is above their upper one. If a noise level or another label is there twice.
    """
    checks.text("block", block, "the name of a tap, such as 'mid'")
    own = _named("trained", trained, ON_PHI)
    both = {"untrained": untrained, "paper_gains": {} if paper_gains is None else paper_gains}
    named = {name: _named(name, found, (*ON_PHI, "densities")) for name, found in both.items()}
    found_of = _of_twins(dict(zip(TWINS, named.values(), strict=True)), twins)
    pairs = {twin: {k: v for k, v in found.items() if k != "densities"} for twin, found in found_of.items()}
    several = {twin: found.get("densities", []) for twin, found in found_of.items()}
    others = _named("further", {} if further is None else further, FURTHER)
    controls, variants = (
        None if one is None else checked(name, one, name)
        for name, one in (("controls", controls), ("variants", variants))
    )
    for one in (controls, variants):
        if one is not None:
            check_level(one)
    given = Given(own, pairs, controls, variants, _several("densities", densities), several, others, block)
    for name, one in own.items():
        _check(one, block)
        for found in pairs.values():
            if name in found:
                check_level(found[name])
                _check_alike(one, found[name])
    judged = {number: list(claim.judge(given)) for number, claim in CLAIMS.items() if given.has(claim.needs)}
    rows = [(number, one) for number, criteria in judged.items() for one in criteria]
    if not rows:
        alone = dict.fromkeys(claim.needs for claim in CLAIMS.values() if claim.needs not in ON_PHI)
        raise InputError(
            f"no findings to judge by: give {', '.join(ON_PHI)}, each of a trained and of an untrained network, or "
            f"{', '.join(alone)}"
        )
    made = [*own.values(), variants, controls, *given.densities, *others.values()]
    made = [one for one in made if one is not None]
    source = made[0].attrs if made else {}
    claimed = [number for number, criteria in judged.items() if criteria]
    words = np.array([_words(one) for _, one in rows], object)
    return JUDGED.label(
        {
            "of_claim": [number for number, _ in rows],
            "what": np.array([joined(*of) for of in words], object),
            "subject": words[:, 0],
            "less": words[:, 1],
            "asked": words[:, 2],
            "bound": [float(one.bound) for _, one in rows],
            "sigma": [float(one.sigma) for _, one in rows],
            **{end: [float(getattr(one.estimate, end)) for _, one in rows] for end in ("value", "low", "high")},
            **{name: [one.control[i] for _, one in rows] for i, name in enumerate(CONTROLS)},
            "holds": [one.holds for _, one in rows],
            "outcome": np.array([one.outcome for _, one in rows], object),
            "counts": [one.counts for _, one in rows],
            "lacks": np.array([one.lacks for _, one in rows], object),
            "verdict": np.array([_verdict(judged[number]) for number in claimed], object),
        },
        xr.Dataset(attrs={key: source[key] for key in KEPT if key in source}),
        coords={"claim": claimed},
        untrained_controls="; ".join(twin for twin in TWINS if given.has_twin(twin)),
    )


@COMPARED.described
def side_by_side(judged: Mapping[str, xr.Dataset | Sequence[xr.Dataset]]) -> xr.Dataset:
    """Put what `table` says of several networks beside one another.

    Parameters
    ----------
    judged
        By name of the network, what `table` returns of it; or several such, of different claims.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If there is no network, or a claim of one network is judged twice.

    Examples
    --------
    >>> from analyses import claims
    >>> side_by_side({"mine": xr.load_dataset("results/claims.nc")})  # doctest: +SKIP
    """
    wanted = 'what claims.table returns by network, e.g. {"photo32": judged}'
    given = checks.mapping("judged", judged, wanted)
    if not given:
        raise InputError(f"judged is empty: give {wanted}")
    numbers = sorted(CLAIMS)
    found: dict[str, Any] = {name: np.zeros((len(numbers), len(given)), int) for name in ("met", "against", "criteria")}
    found["verdict"] = np.full((len(numbers), len(given)), ABSENT, object)
    for n, (name, several) in enumerate(given.items()):
        for one in [several] if isinstance(several, xr.Dataset) else checks.listed("judged", several, wanted):
            one = JUDGED.taken(one, "of_claim", "outcome", "counts", "verdict")
            for claim, verdict in verdicts(one).items():
                at = numbers.index(claim), n
                if found["verdict"][at] != ABSENT:
                    raise InputError(f"claim {claim} of {checks.shown(name)} is judged twice: give it once")
                rows = rows_of(one, claim)
                counts = rows["counts"].values.astype(bool)
                outcomes = labels.strings(rows["outcome"].values)[counts]
                found["verdict"][at] = verdict
                found["met"][at], found["against"][at] = (
                    (outcomes == "holds").sum(),
                    (outcomes == "does not hold").sum(),
                )
                found["criteria"][at] = len(outcomes)
    return COMPARED.label(found, xr.Dataset(), coords={"claim": numbers, "network": list(given)})


def _words(one: Criterion) -> tuple[str, str, str]:
    return one.subject, one.less, f"{one.comparison} {one.bound_name or _bound(one)}"


def _bound(one: Criterion) -> str:
    return f"±{one.bound:g}" if one.comparison == "within" else f"{one.bound:g}"


def _verdict(criteria: Sequence[Criterion]) -> str:
    core = {one.outcome for one in criteria if one.counts and one.core}
    return "does not hold" if core == {"does not hold"} else verdict_of(one.outcome for one in criteria if one.counts)


def _check(findings: xr.Dataset, block: str) -> None:
    check_level(findings)
    if block not in labels.strings(findings["block"].values):
        raise InputError(
            f"no block {checks.shown(block)} among {', '.join(labels.strings(findings['block'].values))}: tap it"
        )


def _check_alike(trained: xr.Dataset, untrained: xr.Dataset) -> None:
    both = (trained, untrained)
    for name in ("sigma", "block", "image"):
        if all(name in one.coords for one in both):
            mine, other = (_named_along(one, name) for one in both)
        else:
            mine, other = (np.array([f"{one.sizes.get(name, 0)} of no id"], object) for one in both)
        if not np.array_equal(mine, other):
            raise InputError(
                f"the findings differ along {name}: {_some(mine)} of the trained network and {_some(other)} of the "
                "untrained: measure both on the same images, in the same order, at the same noise levels and taps"
            )


def _named_along(findings: xr.Dataset, name: str) -> np.ndarray:
    values = findings[name].values
    return np.array([f"{one:g}" for one in values], object) if name == "sigma" else labels.strings(values)


def _some(names: np.ndarray) -> str:
    return f"{', '.join(names[:3])}, … ({len(names)})" if len(names) > 4 else ", ".join(names)


def _of_twins(found: dict[str, dict[str, Any]], twins: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Findings of the controls that the network can have."""
    wanted = f"the controls that the network can have, of {', '.join(map(repr, TWINS))}"
    chosen = checks.names("twins", twins, wanted)
    if not chosen:
        raise InputError(f"twins is empty: give {wanted}")
    for one in chosen:
        checks.choice("twins", one, tuple(TWINS))
    beyond = [twin for twin, findings in found.items() if findings and twin not in chosen]
    if beyond:
        raise InputError(f"there are findings of {', '.join(beyond)}, which twins leaves out: give twins= {wanted}")
    return {twin: findings for twin, findings in found.items() if twin in chosen}


def _named(name: str, found: Any, known: Sequence[str]) -> dict[str, Any]:
    """Findings by name, each of its kind."""
    given = checks.mapping(name, found, 'findings by analysis, e.g. {"sparsity": sparsity.analyse(data)}')
    made = {}
    for one, findings in given.items():
        checks.choice(name, one, known)
        said = f'{name}["{one}"]'
        made[one] = _several(said, findings) if one == "densities" else checked(one, findings, said)
    return made


def _several(name: str, findings: Any) -> list[xr.Dataset]:
    """Densities by one measure or several."""
    if findings is None:
        return []
    every = [findings] if isinstance(findings, xr.Dataset) else checks.listed(name, findings, "what densities returns")
    return [checked("densities", one, name) for one in every]
