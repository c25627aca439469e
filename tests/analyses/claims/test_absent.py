"""What was not measured is not met: claims say what they lack, and are not judged where it could turn them."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import claims, sparsity, subspaces
from analyses.claims import Criterion
from analyses.ground import TWINS
from probekit import labels
from probekit.errors import InputError
from tests.analyses.claims.test_further import of_cues
from tests.analyses.claims.test_judge import DENSE, PAPER, SPARSE, network, of_controls

STABLE = {"stability": 0.95}


@pytest.fixture
def pair(trained: dict[str, xr.Dataset], untrained: dict[str, xr.Dataset]) -> list[dict[str, xr.Dataset]]:
    return [trained, untrained]


def both(trained: dict[str, xr.Dataset], untrained: dict[str, xr.Dataset], **options: Any) -> xr.Dataset:
    return claims.table(trained, untrained, paper_gains=untrained, **options)


def only(found: dict[str, xr.Dataset], name: str, **at: Any) -> dict[str, xr.Dataset]:
    return {name: found[name].isel(at)}


def test_other_noise_levels_than_those_of_the_claim_do_not_judge_it(pair) -> None:
    trained, untrained = ({"sparsity": one["sparsity"].isel(sigma=[0]).assign_coords(sigma=[0.9])} for one in pair)
    judged = both(trained, untrained)
    assert claims.verdicts(judged) == {1: "not judged"}
    rows = judged.isel(criterion=judged.counts.values)
    assert rows.lacks.values.tolist() == ["σ = 0.1", "σ = 0.2", "σ = 0.5"]
    # What was measured elsewhere is reported.
    assert (judged.sigma.values[~judged.counts.values] == 0.9).all()


@pytest.mark.parametrize("left", [(0, 1), (1, 2), (0, 2)])
def test_a_claim_that_lacks_a_level_is_not_judged_and_names_it(pair, left: tuple[int, ...]) -> None:
    trained, untrained = (only(one, "sparsity", sigma=list(left)) for one in pair)
    judged = both(trained, untrained)
    assert claims.verdicts(judged) == {1: "not judged"}
    (gone,) = {0, 1, 2} - set(left)
    assert f"which lacks σ = {(0.1, 0.2, 0.5)[gone]:g}" in claims.unjudged(judged, 1)


@pytest.mark.parametrize(
    ("taps", "lacks"),
    [
        (("enc2", "enc3"), {"enc1"}),
        (("enc3",), {"enc2"}),
        # The change of enc3 is that of two blocks where enc2 was not tapped.
        (("enc1", "enc3"), {"enc2"}),
        # Whether enc1 is all of the encoder is not known.
        (("enc1",), {"enc2"}),
        (("down1", "down2"), {"the block before down1; the first block of an encoder is called enc1"}),
        (("layer5",), {"the block before layer5; the first block of an encoder is called enc1"}),
        ((), {"the block before mid"}),
    ],
)
def test_without_every_encoder_block_and_its_input_nothing_is_known_of_the_encoder(
    taps: tuple[str, ...], lacks: set[str]
) -> None:
    drawn = [network(**dict.fromkeys(taps, DENSE), mid=mid) for mid in (SPARSE, DENSE)]
    judged = both(*({"sparsity": sparsity.analyse(one, resamples=200)} for one in drawn))
    assert claims.verdicts(judged) == {1: "not judged"}
    assert lacks <= set(judged.lacks.values) - {""} <= lacks | {"enc1 and enc2"}
    assert all(one in claims.unjudged(judged, 1) for one in lacks)


def test_an_encoder_block_that_other_findings_name_is_not_passed_over(pair) -> None:
    trained, untrained = ({"sparsity": one["sparsity"]} for one in pair)
    assert claims.verdicts(both(trained, untrained)) == {1: "holds"}
    judged = both(trained, untrained, further={"cues": of_cues(("enc3", "mid"))})
    assert claims.verdicts(judged)[1] == "not judged"
    assert {"", "enc3 before mid", "enc3"} == set(judged.lacks.values[judged.of_claim.values == 1])


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ({"stability_among": 5}, "1,000 images to find it among"),
        ({"stability_among": 999}, "1,000 images to find it among"),
        ({"stability_sigma": 0.05}, "σ = 0.1"),
        ({"stability_sigma": 0.05, "stability_among": 50}, "σ = 0.1 and 1,000 images to find it among"),
        ({"stability_draws": 1, "stability_among": 50}, "1,000 images to find it among and 10 draws a side"),
    ],
)
def test_images_found_among_few_or_from_another_level_do_not_judge_stability(change, lacks: str) -> None:
    assert claims.verdicts(claims.table({}, {}, controls=of_controls(**STABLE))) == {2: "holds"}
    judged = claims.table({}, {}, controls=of_controls(**STABLE).assign_attrs(change))
    assert claims.verdicts(judged) == {2: "not judged"}
    assert judged.lacks.values.tolist() == [lacks]
    without = of_controls(**STABLE).sel(sigma=[0.2])
    assert "which lacks σ = 0.3" in claims.unjudged(claims.table({}, {}, controls=without), 2)


def test_a_ratio_that_rises_at_the_middle_says_the_opposite_whatever_the_encoder_does() -> None:
    rising = {"sparsity": sparsity.analyse(network(enc1=SPARSE, enc2=SPARSE, mid=DENSE), resamples=200)}
    flat = {"sparsity": sparsity.analyse(network(enc1=SPARSE, enc2=SPARSE, mid=SPARSE), resamples=200)}
    judged = both(rising, flat)
    assert claims.verdicts(judged) == {1: "does not hold"}
    encoder = judged.isel(criterion=["enc2" in what for what in judged.what.values])
    # It does not drop in the encoder, which alone would be "partly".
    assert encoder.holds.all()


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((-0.015, -0.005), "holds"),
        ((-0.05, -0.03), "does not hold"),
        ((-0.05, 0.05), "undecided"),
        ((-0.01, 0.3), "holds"),
        ((-0.3, 0.4), "undecided"),
    ],
)
def test_that_an_encoder_block_does_not_drop_is_shown_within_a_margin(pair, ends, said: str) -> None:
    found = pair[0]["sparsity"].copy(deep=True)
    for end, value in zip(("", "_low", "_high"), (np.mean(ends), *ends), strict=True):
        found[f"change{end}"].loc[{"block": "enc2"}] = value
    judged = both({"sparsity": found}, only(pair[1], "sparsity"))
    rows = judged.isel(criterion=["of enc2" in what for what in judged.what.values])
    assert set(rows.asked.values) == {"above -0.02"}
    assert set(rows.outcome.values) == {said}
    assert claims.verdicts(judged) == {1: {"does not hold": "partly"}.get(said, said)}


def test_too_few_images_for_an_interval_of_the_change_have_none_of_a_difference() -> None:
    few = [
        {"sparsity": sparsity.analyse(network(enc1=DENSE, enc2=DENSE, mid=mid).isel(image=slice(9)), resamples=200)}
        for mid in (SPARSE, DENSE)
    ]
    assert few[0]["sparsity"].change_low.sel(block="mid").isnull().all()
    judged = both(*few)
    assert judged.low.isnull().all()
    assert claims.verdicts(judged)[1] in ("undecided", "not judged")
    assert not judged.holds.any()


def test_without_a_number_nothing_is_decided(pair) -> None:
    found = pair[0]["sparsity"].copy(deep=True)
    for end in ("", "_low", "_high"):
        found[f"change{end}"].loc[{"block": "mid"}] = np.nan
    judged = both({"sparsity": found}, only(pair[1], "sparsity"))
    assert claims.verdicts(judged) == {1: "undecided"}


def test_a_network_that_can_have_one_control_is_judged_by_that_one(pair) -> None:
    trained, untrained = pair
    judged = claims.table(trained, untrained, twins=("untrained",))
    assert claims.verdicts(judged)[1] == "holds"
    assert not any("paper" in what for what in judged.what.values)
    assert judged.control_paper_gains.isnull().all()
    assert claims.verdicts(claims.table(trained, untrained))[1] == "not judged"
    with pytest.raises(InputError, match="there are findings of untrained, paper's gains, which twins leaves out"):
        both(trained, untrained, twins="untrained")
    with pytest.raises(InputError, match="twins is empty"):
        claims.table(trained, untrained, twins=())
    rows = of_controls(**STABLE)
    assert claims.verdicts(claims.table({}, {}, controls=rows, twins="untrained")) == {2: "holds"}
    assert PAPER in TWINS


def with_overlap(found: dict[str, xr.Dataset], gap: float, shuffled: float) -> dict[str, xr.Dataset]:
    made = found["subspaces"].copy(deep=True)
    for end, shift in (("", 0.0), ("_low", -0.004), ("_high", 0.004)):
        made[f"overlap_gap{end}"][:] = gap + shift
        made[f"overlap_gap_shuffled{end}"][:] = shuffled + shift
    return {"subspaces": made}


@pytest.mark.parametrize(
    ("own", "shuffled", "control", "held"),
    [
        (0.2, 0.05, 0.1, ["holds"] * 4),
        # Above 0 as it is, and below what needs no training.
        (0.0915, 0.02, 0.102, ["holds", "holds", "does not hold", "does not hold"]),
        (0.1, 0.12, 0.02, ["holds", "does not hold", "holds", "holds"]),
        (0.1, 0.1, 0.02, ["holds", "undecided", "holds", "holds"]),
        # Controls in which one group is found have no gap.
        (0.1, np.nan, np.nan, ["holds"] * 4),
        (0.1, 0.02, 0.1, ["holds", "holds", "undecided", "undecided"]),
    ],
)
def test_overlap_is_compared_with_shuffled_channels_and_both_controls(
    pair, own: float, shuffled: float, control: float, held: list[str]
) -> None:
    judged = both(with_overlap(pair[0], own, shuffled), with_overlap(pair[1], control, np.nan))
    rows = judged.isel(criterion=["overlap" in what for what in judged.what.values])
    assert rows.outcome.values.tolist() == held * 3
    assert not any(rows.lacks.values)


def rectified(dimensions: int, seed: int) -> dict[str, xr.Dataset]:
    """Subspaces of 40 rectified channels that mix so many Gaussians, or are independent."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(40) if dimensions == 40 else rng.normal(size=(dimensions, 40))
    phi = np.maximum(0, rng.normal(size=(400, dimensions)) @ mixing)[:, None]
    error = {"phi_se": np.full_like(phi, 0.01), "rest_se": np.full((1, 40), 0.01)}
    data = labels.representation(
        {"phi": phi, "rest": np.zeros((1, 40)), **error},
        ids=[str(i) for i in range(400)],
        labels=None,
        sigma=[0.1],
        channels={"mid": 40},
        attrs={"draws": 4},
    )
    return {"subspaces": subspaces.analyse(data, dimensions=False, resamples=100)}


def about(judged: xr.Dataset, words: str) -> xr.Dataset:
    return judged.isel(criterion=[words in what for what in judged.what.values])


def test_overlap_of_a_rectified_gaussian_of_few_dimensions_is_said_to_be_no_evidence_of_a_union() -> None:
    # There is no union: images differ by the orthant of four numbers, and channels of one direction go together. So
    # overlap exceeds that of shuffled channels, and of independent ones, whose images are one group.
    judged = both(rectified(4, seed=0), rectified(40, seed=1))
    assert about(judged, "overlap of active sets, within less between").holds.all()
    said = about(judged, "overlap alone does not tell a union of subspaces from rectified channels of few dimensions")
    assert said.sizes["criterion"] == 1
    assert not said.counts.any()
    # Below the confidence at which the number of subspaces was right in every simulated case.
    assert said.value.item() < 0.9
    assert claims.verdicts(judged) == {4: "partly"}


def test_nothing_is_said_against_the_overlap_of_a_union_of_subspaces(pair) -> None:
    judged = both(*({"subspaces": one["subspaces"]} for one in pair))
    assert about(judged, "overlap of active sets, within less between").holds.all()
    assert (pair[0]["subspaces"].confidence >= 0.9).all()
    assert not about(judged, "overlap alone").sizes["criterion"]


def test_what_lacks_something_is_not_judged_whatever_its_number() -> None:
    assert Criterion("number", "above", 0.0, (1.0, 0.5, 2.0), lacks="images").outcome == "not judged"  # type: ignore[arg-type]


def test_a_union_of_too_high_a_rank_judges_no_union(pair) -> None:
    trained, untrained = (
        {"subspaces": one["subspaces"].assign_coords(rank=one["subspaces"]["rank"] + 4)} for one in pair
    )
    judged = both(trained, untrained)
    assert "a rank of at most 4" in judged.lacks.values
    # Overlaps are as they were: they alone would make it hold.
    assert claims.verdicts(judged)[4] == "not judged"
    lacking = judged.isel(criterion=judged.lacks.values != "")
    assert all("union of subspaces" in subject for subject in lacking.subject.values)


def test_without_the_comparison_that_counts_there_is_no_verdict_on_unions(pair) -> None:
    def without(found: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
        kept = found["subspaces"]
        return {"subspaces": kept.isel(comparison=kept["comparison"].values != "parameters")}

    trained, untrained = (without(one) for one in pair)
    judged = both(trained, untrained)
    assert "PCA of equal parameters" in judged.lacks.values
    assert claims.verdicts(judged)[4] == "not judged"


def test_a_level_that_was_not_measured_keeps_a_claim_from_being_refuted_throughout() -> None:
    # The middle is denser than its input, where it was measured, and the encoder does not drop.
    dense = [sparsity.analyse(network(enc1=SPARSE, enc2=SPARSE, mid=mid), resamples=200) for mid in (DENSE, SPARSE)]
    every, alone = ([{"sparsity": one.isel(sigma=at)} for one in dense] for at in (slice(None), [0]))
    assert claims.verdicts(both(*every)) == {1: "does not hold"}
    judged = both(*alone)
    assert "holds" in judged.outcome.values
    assert claims.verdicts(judged) == {1: "partly"}


def test_too_few_images_are_what_is_lacking_and_not_the_controls() -> None:
    few = [network(enc1=DENSE, enc2=DENSE, mid=mid).isel(image=slice(29)) for mid in (SPARSE, DENSE)]
    judged = both(*({"sparsity": sparsity.analyse(one, resamples=200)} for one in few))
    assert claims.verdicts(judged)[1] == "not judged"
    assert "30 images, or groups" in judged.lacks.values
    assert not {"untrained", "untrained, paper's gains"} & set(judged.lacks.values.tolist())
