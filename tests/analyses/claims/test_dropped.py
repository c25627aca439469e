"""Whatever is left out of findings by which a claim holds, it holds no longer, and what it lacks is named."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import claims
from analyses.claims import Criterion
from analyses.ground import TWINS, Estimate
from probekit.errors import InputError
from tests.analyses.claims.test_further import of_cues, of_reliability, of_textures
from tests.analyses.claims.test_judge import of_controls, of_densities, of_variants

ENDS = (("", 0.0), ("_low", -0.01), ("_high", 0.01))
SIGMA = [0.1, 0.2, 0.5]


def made_of(numbers: Mapping[str, tuple[dict[str, list], Any]], **attrs: Any) -> xr.Dataset:
    """Findings of these numbers, each (coordinates, array), give or take 0.01."""
    found = {
        name + end: xr.DataArray(np.broadcast_to(value, tuple(map(len, at.values()))) + shift, at, tuple(at))
        for name, (at, value) in numbers.items()
        for end, shift in ENDS
    }
    return xr.Dataset(found, attrs={"level": 0.95, **attrs})


def of_sparsity(drop: float) -> xr.Dataset:
    """A ratio that falls by this much at mid and nowhere else."""
    blocks = ["enc1", "enc2", "mid"]
    at = {"vector": ["draw", "phi"], "measure": ["participation_ratio", "hoyer"], "sigma": SIGMA, "block": blocks}
    found = made_of({"change": (at, [np.nan, 0.0, -drop])})
    ratio = xr.DataArray([0.5, 0.5, 0.5 - drop], {"block": blocks}, "block")
    per_image = ratio.broadcast_like(found["change"]).expand_dims(image=40)
    return found.assign(per_image=per_image).assign_coords(input=("block", ["", "enc1", "enc2"]))


def of_selectivity(share: float) -> xr.Dataset:
    at = {"sigma": SIGMA, "block": ["mid"]}
    return made_of({"fraction": (at | {"kind": ["selective", "common"]}, share), "kurtosis_difference": (at, 1.0)})


def of_subspaces(gain: float, overlap: float, confidence: float = 1.0) -> xr.Dataset:
    at = {"sigma": SIGMA, "block": ["mid"]}
    compared = at | {"rank": [4, 8], "comparison": ["parameters", "coefficients"]}
    numbers = {"gain": (compared, gain), "gain_over_shuffled": (compared, gain)}
    numbers |= {"overlap_gap": (at, overlap), "overlap_gap_shuffled": (at, 0.0)}
    found = made_of(numbers)
    return found.assign(confidence=(("sigma", "block"), np.full((3, 1), confidence)))


WALK = [1.0, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2, 0.15, 0.05, 0.03]


def of_noise_level(*more: float) -> xr.Dataset:
    """No bias of a blind network on images at 0.1, 0.3 and 1, and these, nor along a path."""
    sigma = [0.1, 0.3, 1.0, *more, *WALK]
    on_images = 3 + len(more)
    found = made_of({"value": ({"criterion": list(range(len(sigma)))}, 0.0)})
    parts = ["held-out images"] * on_images + ["sampler's path"] * len(WALK)
    coords = {"sigma": sigma, "part": parts, "network": ["net"] * len(sigma), "told": [False] * len(sigma)}
    found = found.assign_coords({name: ("criterion", values) for name, values in coords.items()})
    bounds = [0.05] * on_images + [0.1] * len(WALK)
    return found.assign(bound=("criterion", bounds), outcome=("criterion", ["holds"] * len(sigma)))


def on_phi(name: str, own: xr.Dataset, other: xr.Dataset) -> dict[str, Any]:
    return {"trained": {name: own}, "untrained": {name: other}, "paper_gains": {name: other}}


CONTROLS = {"correlation_gist_given_colour": 0.5, "correlation_label_beyond_gist_and_colour": 0.4}
# Findings by which each claim holds.
HOLDING: Mapping[int, Callable[[], dict[str, Any]]] = {
    1: lambda: on_phi("sparsity", of_sparsity(0.3), of_sparsity(0.1)),
    2: lambda: {"controls": of_controls(stability=0.95)},
    3: lambda: on_phi("selectivity", of_selectivity(0.3), of_selectivity(0.1)),
    4: lambda: on_phi("subspaces", of_subspaces(0.3, 0.3), of_subspaces(0.1, 0.1)),
    5: lambda: {"controls": of_controls(**CONTROLS)},
    6: lambda: {"variants": of_variants()},
    7: lambda: {"densities": of_densities(0.7, 0.3)},
    8: lambda: {"controls": of_controls(accuracy=0.6)},
    9: lambda: {"further": {"textures": of_textures()}},
    10: lambda: {"further": {"cues": of_cues()}},
    11: lambda: {"further": {"noise_level": of_noise_level()}},
    12: lambda: {"trained": {"reliability": of_reliability(0.97)}},
}
STABILITY = {"stability_sigma": "σ = 0.1", "stability_among": "1,000 images", "stability_noise": "independent noise"}
STABILITY |= {"stability_draws": "10 draws a side"}
# What a claim does not ask for, by the name of a dim, of a label, a variable or an attribute.
UNASKED: Mapping[int, set[str]] = {
    # φ takes the place of single draws.
    1: {"hoyer", "draw", "phi"},
    2: {"net enc3", "0.2", "pca", "colour"},
    3: {"0.1", "0.2", "0.5", "control's common"},
    # The largest rank up to 4 counts, other comparisons are reported beside.
    4: {"0.1", "0.2", "0.5", "8", "coefficients", "confidence"},
    5: {"net enc3", "0.2", "0.3", "colour", *STABILITY},
    6: {*TWINS, "near copies of references", "nearer in mid"},
    7: {"pixels"},
    8: {"net enc3", "0.3", "colour", *STABILITY},
    9: {"0.1", "0.5", "mid", "standardised", "patches_each"},
    10: {"enc2", "gist", "taps"},
    11: {"bound", "outcome", "told", *(f"{sigma:g}" for sigma in WALK[1:-1])},
    12: {"0.1", "0.5", "enc3", "plain"},
}
# How a message says what it lacks, where it does not by the name of what was left out.
SAID: Mapping[str, str] = {
    **STABILITY,
    "participation_ratio": "participation ratio",
    "4": "rank of at most 4",
    "untrained 0 mid": "untrained",
    "untrained, paper's gains 0 mid": "untrained, paper's gains",
    "grey": "equalised grey",
    "langevin": "of the untrained network",
    "patches_least": "8 patches",
    "difference": "the conditioning images as pixels",
    "0.03": "levels of σ",
    "0.3": "levels of σ",
    "1": "levels of σ",
    "held-out images": "levels of σ",
    "sampler's path": "the path",
}


def without(found: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """Findings without each label, noise level, variable and attribute."""
    for dim in sorted(map(str, ({*found.dims} & {*found.coords}) - {"image", "pair", "criterion"})):
        for k, label in enumerate(found[dim].values.tolist()):
            rest = np.flatnonzero(np.arange(found.sizes[dim]) != k)
            # Where it is the only one, the dim is empty, and named.
            name = f"{label:g}" if isinstance(label, float) else str(label)
            yield name if len(rest) else str(dim), found.isel({dim: rest})
    if "criterion" in found.dims:
        for k, label in enumerate(found["sigma"].values.tolist()):
            yield f"{label:g}", found.isel(criterion=np.flatnonzero(np.arange(found.sizes["criterion"]) != k))
        for part in sorted(set(found["part"].values.tolist())):
            yield part, found.isel(criterion=found["part"].values != part)
    for name in (*found.data_vars, *(one for one in found.coords if one not in found.dims)):
        yield str(name), found.drop_vars(str(name))
    for name in sorted(found.attrs.keys() - {"level"}):
        yield name, found.drop_attrs(deep=False).assign_attrs({k: v for k, v in found.attrs.items() if k != name})


def each_left_out(given: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What was left out, of which control if of one, and what is left."""
    for key, one in given.items():
        twin = {"untrained": next(iter(TWINS)), "paper_gains": list(TWINS)[1]}.get(key, "")
        each = {"": one} if isinstance(one, xr.Dataset) else one
        for inner, found in each.items():
            for name, rest in without(found):
                yield name, twin, given | {key: {inner: rest} if inner else rest}
        if twin:
            yield twin, twin, given | {key: {}}
    if "untrained" in given:
        # Of the network and both controls at once.
        ((name, _),) = given["trained"].items()
        for each in zip(*(without(of[name]) for of in given.values()), strict=True):
            yield each[0][0], "", {key: {name: rest} for key, (_, rest) in zip(given, each, strict=True)}


def judged(given: dict[str, Any]) -> xr.Dataset:
    return claims.table(**{"trained": {}, "untrained": {}, **given})


@pytest.mark.parametrize("claim", HOLDING)
def test_a_claim_holds_only_by_all_that_it_asks_for_and_names_what_it_lacks(claim: int) -> None:
    given = HOLDING[claim]()
    assert claims.verdicts(judged(given)) == {claim: "holds"}
    used, tried = set(), 0
    for name, twin, rest in each_left_out(given):
        if unasked := {name, f"control's {name}" if twin else name} & UNASKED[claim]:
            used |= unasked
            continue
        tried += 1
        try:
            found = judged(rest)
        except InputError as error:
            said = str(error)
        else:
            assert claims.verdicts(found) == {claim: "not judged"}, name
            said = "; ".join(found["lacks"].values[found["counts"].values])
        assert any(word in said for word in (name, SAID.get(name, name), twin or name)), (name, said)
    assert tried > 3
    assert used == UNASKED[claim]


@pytest.mark.parametrize("claim", [claim for claim, made in HOLDING.items() if "untrained" not in made()])
def test_what_is_not_asked_for_may_be_left_out(claim: int) -> None:
    left_out = [rest for name, _, rest in each_left_out(HOLDING[claim]()) if name in UNASKED[claim]]
    assert all(claims.verdicts(judged(rest)) == {claim: "holds"} for rest in left_out)


def test_levels_and_ranks_that_no_claim_names_may_be_left_out_throughout() -> None:
    for claim, at in ((1, {"measure": [0]}), (3, {"sigma": [1]}), (4, {"sigma": [1], "rank": [0], "comparison": [0]})):
        given = {key: {n: one.isel(at) for n, one in found.items()} for key, found in HOLDING[claim]().items()}
        assert claims.verdicts(judged(given)) == {claim: "holds"}


def test_the_block_before_the_middle_is_the_encoder_block_of_the_largest_number() -> None:
    planted = {"enc3": -0.5, "mid": 0.5, "enc1": 0.5, "enc2": 0.5}
    for said in ("mid enc3", "enc3 mid", "mid enc3 enc2", "enc3 enc1 mid", "enc1 mid enc3"):
        order = tuple(said.split())
        found = judged({"further": {"cues": of_cues(order, **planted)}})
        assert claims.verdicts(found) == {10: "partly"}
        refuted = found.subject.values[(found.outcome == "does not hold").values]
        assert len(refuted)
        assert all(" of enc3 of " in subject for subject in refuted)
    # Another block is taken for it only where no findings name it.
    alone, textures = of_cues(("enc1", "mid")), of_textures()
    assert claims.verdicts(judged({"further": {"cues": alone}})) == {10: "holds"}
    found = judged({"further": {"cues": alone, "textures": textures}})
    assert claims.verdicts(found)[10] == "not judged"
    assert set(found.lacks.values[found.of_claim.values == 10]) == {"", "enc2"}
    found = judged({"further": {"cues": of_cues(("mid",))}})
    assert claims.verdicts(found) == {10: "not judged"}
    assert "the block before mid" in found.lacks.values


LARGEST = test_the_block_before_the_middle_is_the_encoder_block_of_the_largest_number


def test_a_probe_counts_at_the_noise_level_of_the_claim_alone() -> None:
    found = of_controls(accuracy=0.6)
    # At σ = 0.3 it is below all that it is compared with, and chance is above it throughout.
    for name in ("difference", "difference_low", "difference_high"):
        found[name].loc[{"sigma": 0.3}] = 1.0
    found["chance"][:] = 0.9
    said = judged({"controls": found})
    assert claims.verdicts(said) == {8: "holds"}
    assert set(said.sigma.values[said.counts.values]) == {0.2}
    reported = said.isel(criterion=~said.counts.values)
    assert (reported.outcome == "does not hold").sum() == 2 + 4
    # As the authors have it, 50 of 255.
    near = found.assign_coords(sigma=[50 / 255, 0.3])
    assert claims.verdicts(judged({"controls": near})) == {8: "holds"}
    for name in ("difference", "difference_low", "difference_high"):
        found[name].loc[{"sigma": 0.2, "row": "pixels"}] = 0.5
    assert claims.verdicts(judged({"controls": found})) == {8: "partly"}


def test_claim_11_is_judged_by_its_own_bounds_and_levels() -> None:
    def verdict(found: xr.Dataset) -> str:
        return claims.verdicts(judged({"further": {"noise_level": found}}))[11]

    assert verdict(of_noise_level()) == "holds"
    # One level thrice is one, and what is beyond the claim's range neither refutes it nor counts as a level of it.
    found = of_noise_level().assign_coords(sigma=("criterion", [0.1, 0.1, 1.0, *WALK]))
    assert verdict(found) == "not judged"
    found = of_noise_level(0.05, 2.0)
    for end in ("", "_low", "_high"):
        found[f"value{end}"][3:5] = 0.7
    said = judged({"further": {"noise_level": found}})
    assert claims.verdicts(said) == {11: "holds"}
    assert said.sigma.values[~said.counts.values].tolist() == [0.05, 2.0]
    # What the file calls its bounds and outcomes changes nothing.
    for at, bias in ((1, 0.07), (-1, 0.2)):
        found = of_noise_level()
        for end, shift in ENDS:
            found[f"value{end}"][at] = bias + shift
        said = judged({"further": {"noise_level": found.assign(bound=found.bound * 0 + 10)}})
        assert claims.verdicts(said) == {11: "partly"}
        assert set(said.bound.values) == {0.05, 0.1}


def test_reliability_needs_no_control_and_says_its_numbers_where_there_is_one() -> None:
    own = {"reliability": of_reliability(0.97)}
    alone, beside = claims.table(own, {}), claims.table(own, own)
    assert claims.verdicts(alone) == claims.verdicts(beside) == {12: "holds"}
    assert alone.control.isnull().all()
    np.testing.assert_allclose(beside.control, 0.97)


@pytest.mark.parametrize("confidence", [0.03, np.nan, 0.99])
def test_overlap_without_confidence_is_said_not_to_tell_a_union(confidence: float) -> None:
    given = on_phi("subspaces", of_subspaces(-0.1, 0.3, confidence), of_subspaces(-0.2, 0.1))
    said = judged(given)
    rows = said.isel(criterion=["does not tell a union" in what for what in said.what.values])
    assert rows.sizes["criterion"] == (0 if confidence > 0.9 else len(SIGMA))
    assert not rows.counts.any()
    np.testing.assert_array_equal(rows.value, np.full(rows.sizes["criterion"], confidence))
    assert claims.verdicts(said) == {4: "partly"}
    # Where overlap is not met there is nothing to say.
    given = on_phi("subspaces", of_subspaces(0.3, 0.1, confidence), of_subspaces(0.1, 0.3))
    assert not any("does not tell a union" in what for what in judged(given).what.values)


# What is refused


@pytest.mark.parametrize("comparison", ["above", "below", "interval above", "at least", "at most", "within"])
@pytest.mark.parametrize("lacks", ["", "images"])
def test_an_interval_whose_ends_are_swapped_is_refused(comparison: Any, lacks: str) -> None:
    swapped = Criterion("rate", comparison, 0.0, Estimate(0.1, 0.2, -0.05), lacks=lacks)
    with pytest.raises(InputError, match=r"rate: an interval from 0\.2 to -0\.05"):
        _ = swapped.outcome
    # A value may lie outside its interval.
    assert Criterion("rate", "above", 0.0, Estimate(0.5, 0.1, 0.2)).outcome == "holds"


@pytest.mark.parametrize("ends", [(np.nan, 0.6), (0.3, np.nan), (np.nan, 0.45)])
def test_half_an_interval_refutes_nothing(ends: tuple[float, float]) -> None:
    assert Criterion("rate", "at least", 0.5, Estimate(0.4, *ends)).outcome == "undecided"
    low, high = ends
    assert Criterion("rate", "at most", -0.5, Estimate(-0.4, -high, -low)).outcome == "undecided"


@pytest.mark.parametrize("claim", HOLDING)
def test_findings_whose_intervals_are_swapped_are_refused(claim: int) -> None:
    for name, made in every_findings(HOLDING[claim]()):
        for low in (str(one) for one in made.data_vars if str(one).endswith("low")):
            high = f"{low.removesuffix('low')}high"
            swapped = made.assign({low: made[high], high: made[low]})
            given = put(HOLDING[claim](), name, swapped)
            with pytest.raises(InputError, match=f"{low} lies above {high}, first .*: put intervals' ends in order"):
                judged(given)


def every_findings(given: dict[str, Any]) -> list[tuple[tuple[str, str], xr.Dataset]]:
    found = [((key, ""), one) for key, one in given.items() if isinstance(one, xr.Dataset)]
    nested = ((key, one) for key, one in given.items() if not isinstance(one, xr.Dataset))
    return found + [((key, inner), one) for key, several in nested for inner, one in several.items()]


def put(given: dict[str, Any], name: tuple[str, str], findings: xr.Dataset) -> dict[str, Any]:
    key, inner = name
    return given | {key: {inner: findings} if inner else findings}


@pytest.mark.parametrize("claim", HOLDING)
def test_a_label_or_noise_level_that_is_there_twice_or_along_no_dim_is_refused(claim: int) -> None:
    for name, made in every_findings(HOLDING[claim]()):
        for dim in ({*made.dims} & {*made.coords}) - {"image", "pair", "criterion"}:
            twice = made.isel({dim: [0, *range(made.sizes[dim])]})
            with pytest.raises(InputError, match=f"{dim} has .* twice: leave one out"):
                judged(put(HOLDING[claim](), name, twice))
            with pytest.raises(InputError, match=rf"{dim} is along no dim: choose by isel\({dim}=\[…\]\)"):
                judged(put(HOLDING[claim](), name, made.isel({dim: 0})))


@pytest.mark.parametrize("claim", [claim for claim in HOLDING if claim not in (6, 7)])
def test_noise_levels_in_single_precision_are_those_in_double(claim: int) -> None:
    given, double = HOLDING[claim](), judged(HOLDING[claim]())
    for name, made in every_findings(given):
        single = made.assign_coords(sigma=made["sigma"].astype(np.float32))
        xr.testing.assert_equal(judged(put(given, name, single)), double)


def test_noise_levels_that_are_no_numbers_and_images_of_another_number_are_refused() -> None:
    given = HOLDING[1]()
    with pytest.raises(InputError, match=r"sigma is of .*: noise levels are numbers"):
        judged(given | {"trained": {"sparsity": given["trained"]["sparsity"].assign_coords(sigma=["a", "b", "c"])}})
    fewer = {"sparsity": given["untrained"]["sparsity"].isel(image=slice(30))}
    with pytest.raises(InputError, match="differ along image: 40 of no id of the trained network and 30 of no id"):
        judged(given | {"untrained": fewer})


def test_findings_of_textures_that_lost_their_network_or_count_patches_in_words_are_refused() -> None:
    found = of_textures()
    for attrs, words in (
        ({"patches_least": "8"}, "patches_least of textures='8'"),
        ({"reference": "other"}, "lost 'other', with which all are compared"),
    ):
        with pytest.raises(InputError, match=words):
            judged({"further": {"textures": found.assign_attrs(attrs)}})


def test_a_claim_of_no_number_is_refused_wherever_judged_claims_are_read() -> None:
    said = judged(HOLDING[12]())
    odd = said.assign_coords(claim=[99])
    for read in (claims.verdicts, claims.markdown, lambda one: claims.side_by_side({"net": one})):
        with pytest.raises(InputError, match="there is no claim 99: claims are numbered 1 to 12"):
            read(odd)
    with pytest.raises(InputError, match="there is no claim 13"):
        claims.anchor(said, 13)
    with pytest.raises(InputError, match="claim 1 is not judged here: give one of 12"):
        claims.anchor(said, 1)
    compared = claims.side_by_side({"net": said})
    renamed = compared.assign_coords(claim=[*range(1, 12), 99])
    for read in (claims.plot, claims.verdict_table):
        with pytest.raises(InputError, match="there is no claim 99"):
            read(renamed)


def test_one_refuted_criterion_refutes_a_claim_whatever_else_is_open_or_lacking() -> None:
    found = of_variants(error_of_φ=(0.2, 0.3))
    # Near copies undecided, other blocks not judged: the match alone is refuted, and nothing holds.
    for end, value in (("value", 0.06), ("low", 0.01), ("high", 0.2)):
        found[end].loc[{"measure": "near copies"}] = value
    found = found.isel(measure=[not one.startswith("nearer") for one in found.measure.values.tolist()])
    said = judged({"variants": found})
    assert set(said.outcome.values[said.counts.values]) == {"does not hold", "undecided", "not judged"}
    assert claims.verdicts(said) == {6: "does not hold"}
