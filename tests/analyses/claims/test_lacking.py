"""What a part of findings lacks leaves its own claim not judged, and the others judged as they are."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import claims
from probekit.errors import InputError
from tests.analyses.claims.test_further import judged, of_cues, of_textures, walked
from tests.analyses.claims.test_judge import ALL, of_controls, of_densities, of_variants

WITHOUT_PIXELS = "the conditioning images as pixels"


@pytest.mark.parametrize(
    ("densities", "lacks"),
    [
        (of_densities(0.7, 0.3, pairs=199), ["200 pairs"] * 3),
        (of_densities(0.7, 0.3).drop_vars("difference"), ["", "", WITHOUT_PIXELS]),
        (
            of_densities(0.1, 0.3, pairs=1).drop_vars("difference"),
            [*["200 pairs"] * 2, f"200 pairs and {WITHOUT_PIXELS}"],
        ),
    ],
)
def test_few_pairs_and_laws_without_pixels_do_not_judge_claim_7_and_the_others_are_judged(densities, lacks) -> None:
    said = claims.table({}, {}, densities=densities, controls=of_controls(**ALL, accuracy=0.6))
    assert claims.verdicts(said) == {2: "holds", 5: "holds", 7: "not judged", 8: "holds"}
    assert said.lacks.values[said.of_claim.values == 7].tolist() == lacks
    assert said.value.isnull().values[said.lacks.values != ""].all()


def test_laws_that_are_refuted_without_pixels_are_refuted() -> None:
    refuted = of_densities(0.05, 0.3).drop_vars("difference")
    assert claims.verdicts(claims.table({}, {}, densities=refuted)) == {7: "does not hold"}


def test_samples_that_were_compared_in_no_other_block_do_not_judge_claim_6() -> None:
    said = claims.table({}, {}, variants=of_variants().assign_attrs(held_out=""))
    assert claims.verdicts(said) == {6: "not judged"}
    assert said.lacks.values[said.lacks.values != ""].tolist() == ["other blocks to compare in"]
    assert said.outcome.values.tolist() == ["holds", "holds", "does not hold", "not judged"]
    # What refutes it refutes it all the same.
    worse = of_variants(error_of_φ=(0.2, 0.3)).assign_attrs(held_out="")
    assert claims.verdicts(claims.table({}, {}, variants=worse)) == {6: "partly"}


def test_classes_of_fewer_than_three_images_do_not_judge_claim_5() -> None:
    beyond = {"measure": "correlation: label beyond gist and colour"}
    found = of_controls(**ALL)
    for name in ("value", "low", "high", "difference", "difference_low", "difference_high"):
        found[name].loc[beyond] = np.nan
    said = claims.table({}, {}, controls=found)
    assert claims.verdicts(said) == {2: "holds", 5: "not judged"}
    assert set(said.lacks.values) == {"", "3 images of each class"}
    assert said.sigma.values[said.lacks.values != ""].tolist() == [0.2, 0.3]
    # Where other rows have the number, the network's own does not exist.
    found = of_controls(**ALL)
    for name in ("value", "low", "high"):
        found[name].loc[beyond | {"row": "net mid"}] = np.nan
    for name in ("difference", "difference_low", "difference_high"):
        found[name].loc[beyond] = np.nan
    said = claims.table({}, {}, controls=found)
    assert claims.verdicts(said) == {2: "holds", 5: "undecided"}
    assert not any(said.lacks.values)


def test_claim_2_says_of_how_many_draws_and_is_not_refuted_by_few() -> None:
    for draws, sides, verdict in (
        (1, "1 draw", "not judged"),
        (9, "9 draws", "not judged"),
        (10, "10 draws", "partly"),
    ):
        for rate in (0.5, 0.95):
            found = of_controls(stability=rate).assign_attrs(stability_draws=draws)
            said = claims.table({}, {}, controls=found)
            assert claims.verdicts(said) == {2: "holds" if verdict == "partly" and rate > 0.9 else verdict}
            assert all(f", of {sides} a side" in subject for subject in said.subject.values)
    with pytest.raises(InputError, match="stability_draws='10': give number of draws a side"):
        claims.table({}, {}, controls=of_controls(stability=0.9).assign_attrs(stability_draws="10"))


def test_findings_of_textures_without_a_chosen_block_do_not_judge_claim_9_and_the_others_are_judged() -> None:
    found = of_textures()
    del found.attrs["block"]
    said = judged(textures=found, cues=of_cues())
    assert claims.verdicts(said) == {9: "not judged", 10: "holds"}
    assert set(said.lacks.values) == {"", "a block chosen on training photographs"}


@pytest.mark.parametrize(
    ("kept", "lacks"),
    [
        ({"block": ["mid"]}, "block 'enc2'"),
        ({"distance": ["standardised"]}, "distance 'euclidean'"),
        ({"block": ["mid"], "distance": ["standardised"]}, "block 'enc2' and distance 'euclidean'"),
    ],
)
def test_a_part_of_the_findings_of_textures_that_lacks_what_they_are_about_does_not_judge_claim_9(
    kept: dict[str, list[str]], lacks: str
) -> None:
    said = judged(textures=of_textures().sel(kept))
    assert claims.verdicts(said) == {9: "not judged"}
    assert said.lacks.values.tolist() == [lacks]


@pytest.mark.parametrize("taps", [None, "enc1, enc2, mid"])
def test_cues_without_the_block_do_not_judge_claim_10_and_the_others_are_judged(taps: str | None) -> None:
    found = of_cues(("enc1", "enc2"))
    found = found.assign_attrs(taps=taps) if taps else found.drop_attrs().assign_attrs(reference="net")
    said = judged(cues=found, textures=of_textures())
    assert claims.verdicts(said) == {9: "holds", 10: "not judged"}
    assert set(said.lacks.values) == {"", "mid"}
    assert {subject.split()[4] for subject in said.subject.values[said.of_claim.values == 10]} == {"enc2", "mid"}


def test_cues_of_a_network_of_unnumbered_blocks_without_the_block_lack_both() -> None:
    found = of_cues(("down1",))
    said = judged(cues=found)
    assert claims.verdicts(said) == {10: "not judged"}
    assert set(said.lacks.values) == {"the block before mid", "mid"}


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_a_network_that_is_told_the_noise_level_does_not_judge_what_a_blind_one_knows(share: float) -> None:
    room = walked(share)
    said = judged(noise_level=room.assign_coords(told=~room["told"]))
    assert claims.verdicts(said) == {11: "not judged"}
    assert said.lacks.values.tolist() == ["a blind network"] * 2
    assert said.bound.values.tolist() == [0.05, 0.1]
    # Findings that do not say it are taken for those of a blind one, which the room judges by default.
    assert claims.verdicts(judged(noise_level=room.drop_vars("told")))[11] != "not judged"


@pytest.mark.parametrize(
    ("sigma", "reaches"),
    [
        (np.linspace(1, 0.03, 100), True),
        (np.geomspace(1, 0.03, 10), True),
        (np.geomspace(3, 0.01, 10), True),
        (np.linspace(0.95, 0.032, 20), True),
        ([0.5], False),
        ([1, 0.03], False),
        (np.geomspace(1, 0.03, 9), False),
        (np.linspace(1, 0.1, 100), False),
        (np.linspace(0.5, 0.03, 100), False),
        # One level so often is one.
        ([1.0] + [0.03] * 20, False),
    ],
)
@pytest.mark.parametrize(("bias", "verdict"), [(0.0, "holds"), (0.2, "partly")])
def test_a_path_is_the_samplers_where_it_reaches_from_1_to_003_by_several_levels(
    sigma: Any, reaches: bool, bias: float, verdict: str
) -> None:
    room = walked(1.0)
    images = room.isel(criterion=room["part"].values == "held-out images")
    path = room.isel(criterion=[-1] * len(sigma)).assign_coords(sigma=("criterion", np.asarray(sigma, float)))
    for end in ("", "_low", "_high"):
        path[f"value{end}"][:] = bias
    said = judged(noise_level=xr.concat([images, path], "criterion"))
    lacking = said.lacks.values[said.lacks.values != ""].tolist()
    assert lacking == ([] if reaches else ["10 levels of σ from 1 to 0.03 along the path"])
    # A mismatch at the levels there are refutes it all the same.
    assert claims.verdicts(said) == {11: verdict if reaches or bias else "not judged"}


REACHING = test_a_path_is_the_samplers_where_it_reaches_from_1_to_003_by_several_levels
