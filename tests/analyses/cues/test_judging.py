"""The verdict on texture and shape is that of the table of claims, whatever is left out, refuted or undecided."""

import numpy as np
import pytest
import xarray as xr

from analyses import claims, cues
from analyses.ground import TWINS
from probekit.errors import InputError
from tests.analyses.claims.test_further import BLOCKS, of_cues

TREATMENTS = ("as they are", "equalised grey")
# Texture less shape at mid and enc3, beside 0.2 of both twins: all holds, one is open, one or all are refuted.
NUMBERS: list[dict[str, float]] = [
    {},
    {"mid": 0.22},
    {"mid": 0.1},
    {"mid": -0.1, "enc3": -0.2},
    {"mid": np.nan},
    {"mid": np.nan, "enc3": np.nan},
]


def agreed(found: xr.Dataset, twins: tuple[str, ...] = tuple(TWINS)) -> str:
    """The verdict, which both say."""
    room = cues.verdict(found)
    judged = claims.table({}, {}, further={"cues": found}, twins=twins)
    assert claims.verdicts(judged) == {10: room.attrs["verdict"]}
    assert set(room.outcome.values) == set(judged.outcome.values[judged.counts.values])
    return str(room.attrs["verdict"])


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("gone", ["", *TWINS, *TREATMENTS, "enc3", "enc2", "gist"])
def test_the_verdict_is_that_of_the_table_of_claims(gone: str, numbers: dict[str, float]) -> None:
    found = of_cues(BLOCKS, **numbers)
    for dim in ("representation", "treatment", "block"):
        found = found.sel({dim: found[dim].values != gone})
    said = agreed(found)
    asked = gone not in ("", "enc2", "gist")
    if not numbers:
        assert said == ("not judged" if asked else "holds")
    elif numbers.get("mid") == 0.1:
        assert said == "partly"
    elif numbers.get("mid") == -0.1:
        assert said == "does not hold"


@pytest.mark.parametrize("numbers", NUMBERS)
def test_a_network_that_can_have_one_untrained_twin_is_judged_beside_it(numbers: dict[str, float]) -> None:
    untrained, paper = TWINS
    both = of_cues(BLOCKS, **numbers)
    one = both.sel(representation=both.representation.values != paper)
    said = agreed(one.assign_attrs(twins=untrained), (untrained,))
    assert agreed(both.assign_attrs(twins=untrained), (untrained,)) == said
    if not numbers:
        assert said == "holds"
        assert agreed(one) == agreed(one.assign_attrs(twins="; ".join(TWINS))) == "not judged"


def test_a_network_without_a_block_before_the_middle_lacks_it() -> None:
    found = of_cues(("mid", "dec1"))
    assert agreed(found) == "not judged"
    judged = cues.verdict(found)
    assert judged.attrs["blocks"] == "mid"
    assert set(judged["block"].values) == {"the block before mid", "mid"}
    assert cues.verdict(found, blocks=["dec1", "mid"]).attrs["verdict"] == "holds"


def test_what_is_lacking_has_a_criterion_that_is_not_judged_and_has_no_number() -> None:
    judged = cues.verdict(of_cues().sel(block=["enc2", "mid"], treatment=["as they are"]))
    lacking = judged["outcome"].values == "not judged"
    measured = (judged["block"].values == "mid") & (judged["treatment"].values == "as they are")
    np.testing.assert_array_equal(lacking, ~measured)
    assert judged["value"].isnull().values.tolist() == lacking.tolist()
    assert judged.sizes["criterion"] == 12


def test_a_treatment_that_the_claim_does_not_ask_for_changes_nothing() -> None:
    found = of_cues()
    blurred = found.isel(treatment=[0]).assign_coords(treatment=["blurred"])
    for end in ("", "_low", "_high"):
        blurred[f"difference{end}"] -= 9
    names = [name for name in found.data_vars if found[name].dims]
    more = xr.concat([found, blurred], "treatment", data_vars=names, coords="minimal")
    xr.testing.assert_identical(cues.verdict(more), cues.verdict(found))
    assert agreed(more) == "holds"


def test_findings_that_lost_the_network_are_refused() -> None:
    found = of_cues()
    with pytest.raises(InputError, match="lost 'net', with which all are compared"):
        cues.verdict(found.sel(representation=found.representation.values != "net"))
