"""The verdict on textures is that of the table of claims, whatever is left out, refuted or undecided."""

from itertools import product

import numpy as np
import pytest
import xarray as xr

from analyses import claims, textures
from analyses.ground import TWINS
from probekit import labels
from probekit.errors import InputError
from tests.analyses.claims.test_further import of_textures

# A rate of 0.79 leaves open whether the network's 0.8 is above it, and 0.9 says that it is not.
RATES: list[dict[str, float]] = [
    {},
    {"Gabor bank": 0.79},
    {"Gabor bank": 0.9},
    {"untrained": 0.9},
    dict.fromkeys(textures.RIVALS, 0.9),
    {"colour moments": np.nan},
    {"net": np.nan, **dict.fromkeys(textures.RIVALS, np.nan)},
]


def agreed(found: xr.Dataset, twins: tuple[str, ...] = tuple(TWINS)) -> str:
    """The verdict, which both say."""
    room = textures.verdict(found, found.attrs["block"], distance=found.attrs["verdict_distance"])
    judged = claims.table({}, {}, further={"textures": found}, twins=twins)
    assert claims.verdicts(judged) == {9: room}
    return room


@pytest.mark.parametrize("patches", [2, 8, 9])
@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("gone", ["", *textures.RIVALS, "colour", "grey"])
def test_the_verdict_is_that_of_the_table_of_claims(gone: str, rates: dict[str, float], patches: int) -> None:
    found = of_textures(**rates).assign_attrs(patches_least=patches)
    for dim in ("representation", "form"):
        found = found.sel({dim: found[dim].values != gone})
    said = agreed(found)
    refuted = {name for name, rate in rates.items() if rate == 0.9} - {gone}
    if refuted:
        others = set(textures.RIVALS) - refuted - {gone}
        assert said == ("partly" if others else "does not hold")
    elif patches < 8 or gone in ("colour", "grey") or rates.keys() == {"colour moments"}:
        assert said == "not judged"
    elif "net" in rates:
        # Of a network that has no rate nothing is known, whatever else is lacking.
        assert said == "undecided"
    elif gone:
        assert said == "not judged"
    else:
        assert said == ("undecided" if rates else "holds")


@pytest.mark.parametrize("rates", RATES)
def test_a_network_that_can_have_one_untrained_twin_is_judged_beside_it(rates: dict[str, float]) -> None:
    untrained, paper = TWINS
    both = of_textures(**rates)
    one = both.sel(representation=both.representation.values != paper)
    said = agreed(one.assign_attrs(twins=untrained), (untrained,))
    # The other is beside the point where it is there, and lacking where nothing says that it cannot be.
    assert agreed(both.assign_attrs(twins=untrained), (untrained,)) == said
    if not rates:
        assert said == "holds"
        assert agreed(one) == agreed(one.assign_attrs(twins="; ".join(TWINS))) == "not judged"


def test_photographs_of_few_patches_do_not_judge_the_claim_however_the_findings_are_made() -> None:
    def cut(each: int) -> xr.Dataset:
        rng = np.random.default_rng(0)
        data = labels.representation(
            {"phi": np.repeat(rng.normal(size=(12, 1, 3)), each, axis=0) + 0.01 * rng.normal(size=(12 * each, 1, 3))},
            ids=[str(k) for k in range(12 * each)],
            labels=[f"photograph {k // each}" for k in range(12 * each)],
            sigma=[0.1],
            channels={"mid": 3},
            attrs={},
        )
        noise = {name: data.assign(phi=data.phi + 9 * rng.normal(size=data.phi.shape)) for name in textures.RIVALS}
        found = [textures.analyse({"φ": data, **noise}, resamples=100)] * 2
        return xr.concat(found, "form", data_vars="all").assign_coords(form=["colour", "grey"])

    assert cut(7).attrs["patches_least"] == 7
    assert textures.verdict(cut(7), "mid") == "not judged"
    assert textures.verdict(cut(8), "mid") == "holds"
    assert textures.verdict(cut(8).drop_attrs().assign_attrs(reference="φ"), "mid") == "not judged"


def test_a_curve_over_patches_says_no_one_number_of_patches() -> None:
    data = labels.representation(
        {"phi": np.random.default_rng(0).normal(size=(48, 1, 3))},
        ids=[str(k) for k in range(48)],
        labels=[f"photograph {k // 4}" for k in range(48)],
        sigma=[0.1],
        channels={"mid": 3},
        attrs={},
    )
    found = textures.curve({"φ": data}, over="patches", counts=(2, 4), resamples=100)
    assert not {"patches", "patches_least"} & set(found.attrs)
    assert found.attrs["photographs"] == 12


def test_findings_that_lost_the_network_are_refused() -> None:
    found = of_textures()
    with pytest.raises(InputError, match="lost 'net', with which all are compared"):
        textures.verdict(found.sel(representation=found.representation.values != "net"), "enc2")


def test_every_noise_level_counts() -> None:
    for level, form in product(range(2), range(2)):
        found = of_textures()
        for end in ("", "_low", "_high"):
            found[f"difference{end}"][form, 0, 1, level] = -0.5
        assert agreed(found) == "partly"
