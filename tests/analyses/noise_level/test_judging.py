"""The verdict on what a denoiser knows of σ is that of the table of claims, whatever was measured."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import claims, noise_level
from analyses.sampling import levels
from tests.analyses.noise_level.making import Scaled, Shifted
from tests.analyses.noise_level.test_edges import WALK, pair

RANGE = (0.1, 0.3, 1.0)
ON_IMAGES, ON_PATH = "3 levels of σ from 0.1 to 1", "10 levels of σ from 1 to 0.03 along the path"


@cache
def measured(share: float, sigma: tuple[float, ...] = RANGE, walk: tuple[float, ...] = tuple(WALK)) -> Any:
    """Findings of a denoiser whose σ̂ is this share of σ, which is called blind."""
    return pair(Shifted(share), sigma=list(sigma), walk=list(walk))


def agreed(found: xr.Dataset, path: xr.Dataset) -> tuple[str, str]:
    """The verdict, which both say, and what it lacks."""
    room = noise_level.verdict(found, path, networks=found["network"].values.tolist())
    assert claims.verdicts(claims.table({}, {}, further={"noise_level": room})) == {11: room.attrs["verdict"]}
    return str(room.attrs["verdict"]), str(room.attrs["lacks"])


@pytest.mark.parametrize(("share", "said"), [(1.0, "holds"), (0.92, "partly"), (0.8, "does not hold")])
@pytest.mark.parametrize(
    ("sigma", "enough"),
    [
        (RANGE, True),
        ((0.05, 0.1, 0.2, 0.5, 1.0, 2.0), True),
        ((0.1, 1.0), False),
        ((0.1,), False),
        ((0.1, 0.2, 0.3), False),
        ((0.2, 0.5, 1.0), False),
        ((0.05, 0.1, 1.0), False),
    ],
)
@pytest.mark.parametrize(
    ("walk", "reaches"),
    [
        (tuple(WALK), True),
        (tuple(levels("algorithm1")), True),
        (tuple(np.geomspace(0.95, 0.032, 10)), True),
        (tuple(np.geomspace(2, 0.01, 10)), True),
        (tuple(np.geomspace(1, 0.03, 9)), False),
        ((1.0, 0.03), False),
        ((0.5,), False),
        (tuple(np.geomspace(0.8, 0.03, 20)), False),
        (tuple(np.geomspace(1, 0.04, 20)), False),
    ],
)
def test_three_levels_and_the_samplers_path_are_asked_for_by_what_is_not_refuted(
    walk: tuple[float, ...], reaches: bool, sigma: tuple[float, ...], enough: bool, share: float, said: str
) -> None:
    verdict, lacks = agreed(measured(share, sigma)[0], measured(share, walk=walk)[1])
    assert lacks == "; ".join([ON_IMAGES] * (not enough) + [ON_PATH] * (not reaches))
    assert verdict == ("not judged" if said == "holds" and lacks else said)


@pytest.mark.parametrize("share", [1.0, 0.92, 0.8])
def test_a_denoiser_that_is_told_the_noise_level_is_not_judged(share: float) -> None:
    found, path = pair({"guided": Shifted(share)}, told=True)
    assert agreed(found, path) == ("not judged", "a blind network instead of guided")
    judged = noise_level.verdict(found, path, networks="guided")
    assert judged["told"].values.all()
    assert set(judged["outcome"].values) == {"not judged"}
    np.testing.assert_allclose(judged["value"].values, share - 1, atol=1e-5)


def test_each_of_several_denoisers_says_whether_it_is_told() -> None:
    found, path = pair({"black": Scaled(0), "guided": Shifted(1.0)}, told=True)
    judged = noise_level.verdict(found, path, networks=["black", "guided"])
    np.testing.assert_array_equal(judged["told"].values, judged["network"].values == "guided")
    assert judged.attrs["verdict"] == "not judged"
    # What is refuted of one that is blind stays so.
    found, path = pair({"white": Scaled(1), "guided": Shifted(1.0)}, told=True)
    assert noise_level.verdict(found, path, networks=["white", "guided"]).attrs["verdict"] == "does not hold"
