"""The claims are judged as their criteria say, on representations whose answer is known."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import claims, selectivity, sparsity, subspaces
from analyses.claims import Criterion
from analyses.ground import TWINS, Estimate
from probekit import labels
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces

# So many that of 15 common channels none is undecided: 0.996^2400 < 0.05/60.
IMAGES, SIGMA = 2400, (0.1, 0.2, 0.5)
SPARSE = {"n_channels": 60, "n_subspaces": 6, "support": 6, "common": 15, "noise": 0.02}
DENSE = {"n_channels": 60, "n_subspaces": 1, "support": 1, "common": 59, "noise": 0.02}


@cache
def union(seed: int, **settings: Any) -> xr.Dataset:
    return union_of_subspaces(IMAGES, sigma=SIGMA, seed=seed, **settings).data


def network(**taps: dict) -> xr.Dataset:
    """A representation at several taps, each a union of subspaces of its own."""
    drawn = [union(seed, **settings) for seed, settings in enumerate(taps.values())]
    axis = {"phi": 2, "phi_se": 2, "rest": 1, "rest_se": 1}
    return labels.representation(
        {name: np.concatenate([d[name].values for d in drawn], axis=at) for name, at in axis.items()},
        ids=drawn[0].image.values.tolist(),
        labels=None,
        sigma=SIGMA,
        channels={tap: d.sizes["channel"] for tap, d in zip(taps, drawn, strict=True)},
        attrs=drawn[0].attrs,
    )


def findings(data: xr.Dataset) -> dict[str, xr.Dataset]:
    mid = data.isel(channel=data.tap.values == "mid")
    return {
        "sparsity": sparsity.analyse(data, resamples=200),
        "selectivity": selectivity.analyse(data, resamples=200),
        "subspaces": subspaces.analyse(mid, dimensions=False, resamples=200),
    }


@cache
def sparse_and_dense() -> tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]]:
    """What is found of a network with a sparse middle and of one whose middle is dense, once for all tests."""
    return findings(network(enc1=DENSE, enc2=DENSE, mid=SPARSE)), findings(network(enc1=DENSE, enc2=DENSE, mid=DENSE))


def test_a_sparse_selective_middle_is_found_to_be_so(trained, untrained) -> None:
    judged = claims.table(trained, untrained, paper_gains=untrained)
    held = claims.verdicts(judged)
    assert not any(judged.lacks.values)
    assert held[1] == "holds"
    assert held[3] == "holds"
    by_number = judged.isel(criterion=judged.of_claim.values == 4)
    # One PCA of as many parameters holds every subspace, so that only fewer numbers a picture, or fewer that are
    # not 0, can tell a union from it.
    overlap = by_number.isel(criterion=["overlap" in w for w in by_number.what.values])
    assert overlap.holds.all()
    sparse = by_number.isel(criterion=["nonzeros, above" in w for w in by_number.what.values])
    assert sparse.holds.all()
    assert not sparse.counts.any()


def test_networks_that_are_alike_leave_no_claim_that_training_matters(trained, untrained) -> None:
    assert claims.verdicts(claims.table(untrained, untrained, paper_gains=untrained))[1] != "holds"
    judged = claims.table(trained, trained, paper_gains=trained)
    assert claims.verdicts(judged)[1] == "partly"
    training = judged.isel(criterion=["untrained" in w for w in judged.what.values])
    np.testing.assert_allclose(training.value, 0, atol=1e-12)
    assert not training.holds.any()
    assert (training.low <= 0).all()
    assert (training.high >= 0).all()


@pytest.mark.parametrize("beaten", ["untrained", "paper_gains"])
def test_a_claim_that_is_beyond_one_control_and_not_the_other_does_not_hold(trained, untrained, beaten: str) -> None:
    # Planted: one control's middle is dense and without selective channels, the other's is as the trained network's.
    other = "paper_gains" if beaten == "untrained" else "untrained"
    judged = claims.table(trained, **{beaten: untrained, other: trained})
    both = claims.table(trained, untrained, paper_gains=untrained)
    assert [claims.verdicts(both)[c] for c in (1, 3)] == ["holds", "holds"]
    # A difference of paired numbers that is 0 is against; one whose interval holds 0 is undecided.
    assert [claims.verdicts(judged)[c] for c in (1, 3)] == ["partly", "undecided"]
    assert not any(judged.lacks.values)
    less = {"untrained": "the untrained network's", "paper_gains": "the untrained network's with the paper's gains"}
    for claim in (1, 3, 4):
        rows = judged.isel(criterion=judged.of_claim.values == claim)
        assert not rows.holds[rows.less.values == less[other]].any()
        each = 2 if claim == 4 else 1
        assert (rows.less.values == less[other]).sum() == (rows.less.values == less[beaten]).sum() == each * len(SIGMA)
        if claim != 4:
            assert rows.holds[rows.less.values == less[beaten]].all()
            text = claims.failing(judged, claim) + claims.undecided(judged, claim)
            assert f"less {less[other]}, " in text
            assert f"less {less[beaten]}, " not in text


def test_both_controls_numbers_stand_beside_each_other(trained, untrained) -> None:
    judged = claims.table(trained, untrained, paper_gains=trained)
    own = judged.isel(criterion=judged.less.values == "")
    np.testing.assert_allclose(own.control_paper_gains, own.value)
    assert not np.allclose(own.control, own.value)
    header = next(line for line in claims.markdown(judged).splitlines() if "measured" in line)
    kinds = "untrained | untrained, paper's gains | less untrained | less untrained, paper's gains"
    assert header == f"| measured | σ | value | 95 % interval | {kinds} | as claimed |"
    first, row = own.isel(criterion=0), claims.cells(judged, 1)[0]
    assert row[4:6] == [f"{first.control.item():.3g}", f"{first.value.item():.3g}"]
    assert judged.attrs["untrained_controls"] == "untrained; untrained, paper's gains"
    many = judged.assign({name: 0 * judged[name] + 1344.7 for name in ("value", "low", "high")})
    assert claims.cells(many, 1)[0][2:4] == ["1345", "1345 to 1345"]


@pytest.mark.parametrize("missing", ["untrained", "paper_gains"])
def test_what_asks_for_a_control_that_was_not_measured_is_not_judged_and_is_said(trained, untrained, missing) -> None:
    given = {"untrained": untrained, "paper_gains": untrained, missing: {}}
    judged = claims.table(trained, **given)
    named = dict(zip(given, TWINS, strict=True))[missing]
    assert set(judged.lacks.values) == {"", named}
    lacking = judged.isel(criterion=judged.lacks.values == named)
    # One criterion of each of the claims 1 and 3 and two of claim 4 at each noise level.
    assert sorted(lacking.of_claim.values.tolist()) == sorted([1, 3, 4, 4] * len(SIGMA))
    assert lacking.counts.all()
    assert not lacking.holds.any()
    assert set(lacking.outcome.values) == {"not judged"}
    # What is missing could turn it.
    assert claims.verdicts(judged)[1] == "not judged"
    assert len(claims.unjudged(judged, 3).split(";")) == 1
    assert claims.unjudged(judged, 3).endswith(f", which lacks {named} (σ = 0.1, 0.2, 0.5)")
    said = [cell for row in claims.cells(judged, 3) for cell in row[-3:] if cell.endswith("not judged")]
    assert len(said) == len(SIGMA)
    assert judged.attrs["untrained_controls"] == next(name for name in TWINS if name != named)


def test_a_number_that_a_control_does_not_have_is_not_judged_and_one_that_the_network_lacks_is_undecided(
    trained, untrained
) -> None:
    def without(findings: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
        found = findings["selectivity"].copy(deep=True)
        for end in ("", "_low", "_high"):
            found[f"fraction{end}"] = found[f"fraction{end}"] * np.nan
        return {"selectivity": found}

    trained, untrained = ({"selectivity": one["selectivity"]} for one in (trained, untrained))
    judged = claims.table(trained, untrained, paper_gains=without(untrained))
    assert set(judged.lacks.values) == {"", "untrained, paper's gains"}
    assert claims.verdicts(judged) == {3: "not judged"}
    for twins in (untrained, without(untrained), {}):
        judged = claims.table(without(trained), untrained, paper_gains=twins)
        assert not any(judged.lacks.values)
        assert claims.verdicts(judged) == {3: "undecided"}


def test_an_encoder_that_drops_breaks_the_first_claim(untrained) -> None:
    falling = sparsity.analyse(network(enc1=DENSE, enc2=SPARSE, mid={**SPARSE, "support": 2}), resamples=200)
    judged = claims.table({"sparsity": falling}, {"sparsity": untrained["sparsity"]})
    assert claims.verdicts(judged) == {1: "partly"}
    dropped = judged.isel(criterion=["of enc2, above -0.02" in w for w in judged.what.values])
    assert set(dropped.outcome.values) == {"does not hold"}


def test_every_criterion_is_printed_with_its_interval(trained, untrained) -> None:
    judged = claims.table(trained, untrained)
    text = claims.markdown(judged)
    # What is less a control's stands in the row of the number itself.
    folded = text.count(", above 0: ") + text.count(", below 0: ")
    assert text.count("\n| ") + folded == judged.sizes["criterion"] + 3
    for claim, verdict in claims.verdicts(judged).items():
        assert f"**Claim {claim}. {claims.CLAIMS[claim].title}: {verdict}.**" in text
    inside = (judged.low <= judged.value) & (judged.value <= judged.high)
    assert (inside | judged.low.isnull()).all()


def test_the_table_round_trips_through_netcdf(trained, untrained, tmp_path) -> None:
    judged = claims.table(trained, untrained)
    judged.to_netcdf(tmp_path / "claims.nc", engine="h5netcdf")
    kept = xr.load_dataset(tmp_path / "claims.nc", engine="h5netcdf")
    xr.testing.assert_equal(kept, judged)
    assert claims.markdown(kept) == claims.markdown(judged)


def test_findings_that_do_not_fit_together_are_refused(trained, untrained) -> None:
    with pytest.raises(InputError, match="differ along sigma"):
        claims.table({"sparsity": trained["sparsity"].isel(sigma=[0])}, {"sparsity": untrained["sparsity"]})
    with pytest.raises(InputError, match="no block 'dec2' among enc1, enc2, mid"):
        claims.table({"sparsity": trained["sparsity"]}, {"sparsity": untrained["sparsity"]}, block="dec2")
    with pytest.raises(InputError, match="no findings to judge by"):
        claims.table(trained, {})


def test_images_in_another_order_or_number_are_refused(trained, untrained) -> None:
    for other in (slice(None, None, -1), slice(0, 400)):
        with pytest.raises(InputError, match="differ along image"):
            claims.table({"sparsity": trained["sparsity"]}, {"sparsity": untrained["sparsity"].isel(image=other)})


def test_a_number_that_does_not_exist_holds_nothing(trained, untrained) -> None:
    findings = trained["sparsity"].copy(deep=True)
    for end in ("", "_low", "_high"):
        findings[f"change{end}"].loc[{"block": ["enc2", "mid"]}] = np.nan
    judged = claims.table({"sparsity": findings}, {"sparsity": untrained["sparsity"]})
    assert not judged.holds[judged.value.isnull()].any()


@pytest.mark.parametrize("comparison", ["above", "below", "interval above"])
def test_numbers_that_differ_by_rounding_alone_are_no_evidence(comparison: Any) -> None:
    sign = -1 if comparison == "below" else 1
    # As of a union of one subspace and the PCA that it is.
    ends = sorted(sign * one for one in (2e-17, 9e-17))
    assert not Criterion("gain", comparison, 0.0, Estimate(sign * 5e-17, *ends)).holds
    ends = sorted(sign * one for one in (2e-6, 9e-6))
    assert Criterion("gain", comparison, 0.0, Estimate(sign * 5e-6, *ends)).holds


def test_images_that_come_in_groups_are_resampled_in_groups_throughout() -> None:
    def grouped(data: xr.Dataset) -> dict[str, xr.Dataset]:
        # Forty sources of as many copies each: there are forty independent images.
        sources = np.repeat(np.arange(40), IMAGES // 40)
        copies = data.isel(image=sources).assign_coords(image=data.image, label=("image", [f"{k}" for k in sources]))
        return {"sparsity": sparsity.analyse(copies, clusters="label", resamples=400)}

    untrained = grouped(network(enc3=DENSE, mid=DENSE))
    judged = claims.table(grouped(network(enc3=DENSE, mid=SPARSE)), untrained, paper_gains=untrained)
    width = (judged.high - judged.low).values
    # The untrained changes hardly vary, so that all intervals measure the same spread over forty images.
    for excess in width[1:3]:
        assert 0.5 < excess / width[0] < 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.assign_attrs(level=0.5), "coverage"),
        (lambda f: f.assign_coords(input=("block", np.array(["", "enc1", "enc1+enc2"], object))), "one tap feeds it"),
    ],
)
def test_findings_made_otherwise_are_refused(trained, change, says: str) -> None:
    findings = {"sparsity": change(trained["sparsity"])}
    with pytest.raises(InputError, match=says):
        claims.table(findings, findings)


PAPER = "untrained, paper's gains"


def of_controls(**numbers: float) -> xr.Dataset:
    """A table of controls in which the trained middle block has these numbers and all others 0.2, give or take 0.05."""
    rows = {"net mid": "trained", "net enc3": "trained", "untrained 0 mid": "untrained"}
    rows |= {f"{PAPER} 0 mid": PAPER, "pixels": "descriptor", "pca": "descriptor", "colour": "descriptor"}
    values = np.full((len(rows), 2, len(numbers)), 0.2)
    values[0] = list(numbers.values())
    dims = ("row", "sigma", "measure")
    made = {}
    for name, array in (("", values), ("difference", values - values[0])):
        for end, shift in (("", 0.0), ("_low", -0.05), ("_high", 0.05)):
            made[(name + end) if name else end.strip("_") or "value"] = (dims, array + shift)
    made["chance"] = (dims, np.full(values.shape, 0.1))
    measures = [name.replace("_", " ").replace("correlation ", "correlation: ") for name in numbers]
    coords = {"row": list(rows), "sigma": [0.2, 0.3], "measure": measures, "group": ("row", list(rows.values()))}
    stability = {"sigma": 0.1, "among": 1000, "noise": "independent", "draws": 10}
    attrs = {"reference": "net mid", **{f"stability_{name}": one for name, one in stability.items()}}
    return xr.Dataset(made, coords=coords, attrs=attrs)


ALL = {"stability": 0.95, "correlation_gist_given_colour": 0.5, "correlation_label_beyond_gist_and_colour": 0.4}


def test_a_stable_semantic_representation_above_all_controls_is_found_to_be_so() -> None:
    judged = claims.table({}, {}, controls=of_controls(**ALL, accuracy=0.6))
    assert claims.verdicts(judged) == {2: "holds", 5: "holds", 8: "holds"}
    # One noise level of stability, two of the others; each beside two untrained networks and one or two descriptors.
    assert [int((judged.of_claim == c).sum()) for c in (2, 5, 8)] == [4, 2 * 2 * 5, 2 * 5]
    assert not any(judged.lacks.values)
    assert not any("colour, above" in what and "less that of colour" in what for what in judged.what.values)


@pytest.mark.parametrize(
    ("numbers", "verdicts"),
    [
        ({**ALL, "stability": 0.85}, {2: "undecided", 5: "holds"}),
        ({**ALL, "stability": 0.84}, {2: "partly", 5: "holds"}),
        ({**ALL, "stability": 0.1}, {2: "does not hold", 5: "holds"}),
        ({**ALL, "correlation_gist_given_colour": 0.22}, {2: "holds", 5: "undecided"}),
        ({**ALL, "correlation_gist_given_colour": 0.14}, {2: "holds", 5: "partly"}),
        ({"accuracy": 0.12}, {8: "does not hold"}),
        ({"accuracy": np.nan}, {8: "undecided"}),
    ],
)
def test_what_does_not_exceed_its_bound_or_its_controls_is_undecided_or_does_not_hold(numbers, verdicts) -> None:
    assert claims.verdicts(claims.table({}, {}, controls=of_controls(**numbers))) == verdicts


@pytest.mark.parametrize("level", ["untrained 0 mid", f"{PAPER} 0 mid"])
def test_a_row_of_either_untrained_control_that_is_as_high_keeps_a_claim_from_holding(level: str) -> None:
    found = of_controls(**ALL, accuracy=0.6)
    for name in ("value", "low", "high", "difference", "difference_low", "difference_high"):
        found[name].loc[{"row": level}] = found[name].sel(row="net mid").values
    judged = claims.table({}, {}, controls=found)
    assert claims.verdicts(judged) == {2: "undecided", 5: "undecided", 8: "undecided"}
    failing = judged.isel(criterion=~judged.holds.values)
    assert set(failing.less.values) == {f"that of {level}"}


@pytest.mark.parametrize("gone", ["untrained", PAPER, "pixels"])
def test_a_row_that_is_not_in_the_table_of_controls_is_said_not_to_be_judged(gone: str) -> None:
    found = of_controls(**ALL, accuracy=0.6)
    judged = claims.table(
        {}, {}, controls=found.isel(row=[not r.startswith(f"{gone} 0") and r != gone for r in found.row.values])
    )
    assert set(claims.verdicts(judged).values()) == {"not judged"}
    lacking = judged.isel(criterion=judged.lacks.values != "")
    assert set(lacking.lacks.values) == {gone}
    assert set(lacking.less.values) == {f"that of {gone}"}
    # At one noise level of claim 2, at two of two measures of claim 5, at two of claim 8.
    assert lacking.sizes["criterion"] == 1 + 4 + 2


@pytest.mark.parametrize(
    ("change", "claim", "lacks"),
    [
        (lambda f: f.assign_coords(sigma=[0.1, 0.3]), 8, "σ = 0.2"),
        (lambda f: f.assign_attrs(stability_noise="shared"), 2, "independent noise, of 2 draws at least"),
        (lambda f: f.assign_attrs(stability_draws=9), 2, "10 draws a side"),
        (lambda f: f.assign_attrs(stability_among=400), 2, "1,000 images to find it among"),
    ],
)
def test_what_a_claim_names_and_the_controls_lack_is_said(change, claim: int, lacks: str) -> None:
    judged = claims.table({}, {}, controls=change(of_controls(**ALL, accuracy=0.6)))
    assert claims.verdicts(judged)[claim] == "not judged"
    assert lacks in judged.lacks.values[judged.of_claim.values == claim]


def test_stability_of_its_own_table_is_what_claim_2_is_judged_by() -> None:
    own, others = of_controls(stability=0.95), of_controls(**{**ALL, "stability": 0.1})
    judged = claims.table({}, {}, controls=others, further={"stability": own})
    assert claims.verdicts(judged) == {2: "holds", 5: "holds"}
    assert judged.attrs["untrained_controls"] == f"untrained; {PAPER}"
    assert claims.verdicts(claims.table({}, {}, further={"stability": own})) == {2: "holds"}
    assert 2 not in claims.verdicts(claims.table({}, {}, controls=of_controls(accuracy=0.6)))
    with pytest.raises(InputError, match='has no measure "stability"'):
        claims.table({}, {}, further={"stability": of_controls(accuracy=0.6)})
    with pytest.raises(InputError, match=r"intervals of coverage 0\.5"):
        claims.table({}, {}, further={"stability": own.assign_attrs(level=0.5)})


def test_controls_of_another_coverage_are_refused() -> None:
    with pytest.raises(InputError, match=r"intervals of coverage 0\.5: the criteria ask for 0\.95"):
        claims.table({}, {}, controls=of_controls(**ALL).assign_attrs(level=0.5))


def test_controls_of_another_block_are_refused() -> None:
    with pytest.raises(InputError, match="compared with 'net mid', and the claims are about 'enc3'"):
        claims.table({}, {}, controls=of_controls(**ALL), block="enc3")


def of_variants(**numbers: tuple[float, float]) -> xr.Dataset:
    """A table of variants with these numbers (trained, untrained), give or take 0.02; the paper's gains add 1."""
    made = {
        "error of φ": (0.03, 0.3),
        "near copies": (0.01, 0.0),
        "near copies of references": (0.2, 0.0),
        "nearer in enc2": (0.1, 0.01),
        "nearer in dec3": (0.05, 0.01),
        "nearer in mid": (0.2, 0.1),
        **{name.replace("_", " "): pair for name, pair in numbers.items()},
    }
    values = np.array(list(made.values())).T
    values = np.concatenate([values, 1 + values[1:]])
    over = ("variant", "measure")
    return xr.Dataset(
        {"value": (over, values), "low": (over, values - 0.02), "high": (over, values + 0.02)},
        coords={
            "variant": ["langevin", "untrained", PAPER],
            "measure": list(made),
            "block": ("variant", ["mid"] * 3),
            "network": ("variant", ["trained", "untrained", PAPER]),
        },
        attrs={"held_out": "enc2, dec3", "phi_sigma": 0.1, "level": 0.95},
    )


def of_densities(value: float, difference: float, measure: str = "patch_wasserstein", pairs: int = 276) -> xr.Dataset:
    """Correlations of distances, give or take 0.1."""
    made = {}
    for name, at in (("correlation", [value, value - difference]), ("difference", difference)):
        for end, shift in (("", 0.0), ("_low", -0.1), ("_high", 0.1)):
            made[name + end] = ("feature" if name == "correlation" else (), np.array(at) + shift)
    coords = {"feature": ["phi", "pixels"], "pair": np.arange(pairs)}
    return xr.Dataset(made, coords=coords, attrs={"measure": measure, "level": 0.95})


def test_samples_that_match_vary_and_share_other_blocks_are_a_reconstruction() -> None:
    judged = claims.table({}, {}, variants=of_variants())
    assert claims.verdicts(judged) == {6: "holds"}
    # Match, copies of the condition and, reported only, of training images; two held-out blocks and not the one held.
    assert judged.sizes["criterion"] == 5
    np.testing.assert_allclose(judged.control, [0.3, 0, 0, 0.01, 0.01])
    np.testing.assert_allclose(judged.control_paper_gains, [1.3, 1, 1, 1.01, 1.01])
    assert judged.counts.values.tolist() == [True, True, False, True, True]
    assert not judged.holds.values[2]


def test_how_far_φ_is_at_another_noise_level_is_reported_and_turns_no_verdict() -> None:
    judged = claims.table({}, {}, variants=of_variants(distance_in_mid=(0.2, 0.5)))
    assert claims.verdicts(judged) == {6: "holds"}
    (at,) = np.flatnonzero(["φ of mid" in what for what in judged.what.values])
    assert judged.value.values[at] == 0.2
    assert not judged.counts.values[at]
    assert judged.sigma.values[at] == 0.1


@pytest.mark.parametrize(
    ("number", "criterion", "verdict"),
    [
        ({"error_of_φ": (0.051, 0.3)}, 0, "undecided"),
        ({"error_of_φ": (0.071, 0.3)}, 0, "partly"),
        ({"error_of_φ": (np.nan, 0.3)}, 0, "undecided"),
        ({"near_copies": (0.06, 0.0)}, 1, "undecided"),
        ({"near_copies": (0.08, 0.0)}, 1, "partly"),
        ({"nearer_in_enc2": (0.019, 0.0)}, 3, "undecided"),
        ({"nearer_in_dec3": (-0.1, 0.0)}, 4, "partly"),
    ],
)
def test_each_criterion_of_the_reconstruction_turns_its_verdict(number, criterion: int, verdict: str) -> None:
    judged = claims.table({}, {}, variants=of_variants(**number))
    assert claims.verdicts(judged) == {6: verdict}
    assert np.flatnonzero(~judged.holds.values & judged.counts.values).tolist() == [criterion]


def test_what_has_no_noise_level_is_printed_without_one_and_round_trips(tmp_path) -> None:
    judged = claims.table({}, {}, variants=of_variants(), densities=of_densities(0.7, 0.3))
    lines = [line for line in claims.markdown(judged).splitlines() if line.startswith("| ") and "measured" not in line]
    assert [line.split(" | ")[1] for line in lines] == ["–", "–", "–", "0.1", "0.1", "–", "–", "–"]
    judged.to_netcdf(tmp_path / "claims.nc", engine="h5netcdf")
    kept = xr.load_dataset(tmp_path / "claims.nc", engine="h5netcdf")
    assert claims.markdown(kept) == claims.markdown(judged)


def test_distances_in_phi_that_follow_those_of_laws_and_beat_pixels_are_found_to_do_so() -> None:
    trained = [of_densities(0.7, 0.3), of_densities(0.2, 0.0, "energy")]
    paper = {"densities": of_densities(0.3, -0.1)}
    judged = claims.table({}, {"densities": of_densities(0.4, -0.2)}, paper_gains=paper, densities=trained)
    assert claims.verdicts(judged) == {7: "holds"}
    # The measure that comes second is reported beside the first, and only the first has a control.
    assert judged.counts.values.tolist() == [True] * 3 + [False] * 3
    np.testing.assert_allclose(judged.control, [0.4, 0.4, -0.2, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(judged.control_paper_gains, [0.3, 0.3, -0.1, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("numbers", "failing", "verdict"),
    [
        ((0.45, 0.3), [0], "undecided"),
        ((0.05, 0.3), [0, 1], "partly"),
        ((0.7, 0.05), [2], "undecided"),
        ((0.7, -0.3), [2], "partly"),
        ((0.09, -0.3), [0, 1, 2], "does not hold"),
    ],
)
def test_each_criterion_of_the_densities_turns_its_verdict(numbers, failing: list[int], verdict: str) -> None:
    judged = claims.table({}, {}, densities=of_densities(*numbers))
    assert np.flatnonzero(~judged.holds.values).tolist() == failing
    assert claims.verdicts(judged) == {7: verdict}


def test_two_hundred_pairs_are_enough() -> None:
    assert claims.verdicts(claims.table({}, {}, densities=of_densities(0.7, 0.3, pairs=200))) == {7: "holds"}


def test_variants_and_densities_that_the_criteria_are_not_about_are_refused() -> None:
    refused = [
        ({"variants": of_variants(), "block": "enc3"}, "holds mid of the trained network"),
        ({"variants": of_variants().isel(variant=[1])}, "of the untrained network"),
        ({"variants": of_variants().assign_attrs(level=0.5)}, "coverage 0.5"),
        ({"densities": of_densities(0.7, 0.3).assign_attrs(level=0.5)}, "coverage 0.5"),
    ]
    for given, words in refused:
        with pytest.raises(InputError, match=words):
            claims.table({}, {}, **given)


def test_channels_that_images_switch_off_are_no_common_channels() -> None:
    data, truth = union_of_subspaces(IMAGES, sigma=SIGMA, seed=0, **SPARSE)
    data = data.assign_coords(tap=("channel", np.full(data.sizes["channel"], "mid", object)))
    raised = data.assign(phi=data.phi + 9, rest=data.rest + 9)
    mirrored = raised.phi.where(~truth.common, 2 * raised.rest - raised.phi).transpose(*raised.phi.dims)
    found = {"selectivity": selectivity.analyse(raised.assign(phi=mirrored), resamples=100)}
    assert (found["selectivity"].type == "suppressed").sum("channel").values.tolist() == [15] * len(SIGMA)
    judged = claims.table(found, found, paper_gains=found)
    share = judged.isel(criterion=["share of common" in w for w in judged.what.values])
    assert share.sizes["criterion"] == len(SIGMA)
    assert not share.value.any()
    assert not share.holds.any()
