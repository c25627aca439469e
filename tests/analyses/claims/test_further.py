"""Claims 9 to 12 are judged as their criteria say, on findings whose answer is planted; networks beside one another."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analyses import claims, cues, noise_level
from analyses.claims import Criterion
from analyses.ground import TWINS, Estimate
from probekit.errors import InputError
from tests.analyses.claims.test_judge import of_controls, of_densities, of_variants
from tests.analyses.noise_level.making import Shifted
from tests.analyses.noise_level.test_edges import NOTHING, pair

BLOCKS = ("enc2", "enc3", "mid")
RIVALS = (*TWINS, "colour moments", "Gabor bank")
FINITE = st.floats(-2, 2)


# The outcome of a criterion


@given(value=FINITE, spread=st.tuples(st.floats(0, 1), st.floats(0, 1)), bound=st.floats(-1, 1))
@pytest.mark.parametrize(("comparison", "opposite"), [("above", "below"), ("interval above", "below")])
def test_what_holds_one_way_does_not_hold_the_other_way_and_else_both_are_undecided(
    comparison: Any, opposite: Any, value: float, spread: tuple[float, float], bound: float
) -> None:
    estimate = Estimate(value, value - spread[0], value + spread[1])
    said = Criterion("number", comparison, bound, estimate).outcome
    other = Criterion("number", opposite, bound, estimate).outcome
    if estimate.low > bound + 1e-6 or estimate.high < bound - 1e-6:
        assert {said, other} == {"holds", "does not hold"}
        assert (said == "holds") == (value > bound)
    elif estimate.low < bound - 1e-6 and estimate.high > bound + 1e-6:
        assert (said, other) == ("undecided", "undecided")


@given(
    comparison=st.sampled_from(["below", "above", "interval above", "at least", "at most", "within"]),
    value=FINITE,
    spread=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    wider=st.floats(0, 1),
    bound=st.floats(0, 1),
)
def test_a_wider_interval_may_leave_undecided_what_was_decided_and_never_turns_it(
    comparison: Any, value: float, spread: tuple[float, float], wider: float, bound: float
) -> None:
    narrow = Criterion("number", comparison, bound, Estimate(value, value - spread[0], value + spread[1])).outcome
    wide = Criterion(
        "number", comparison, bound, Estimate(value, value - spread[0] - wider, value + spread[1] + wider)
    ).outcome
    assert wide in (narrow, "undecided")


def test_a_number_that_is_not_there_is_undecided_and_one_without_interval_is_exact() -> None:
    gone = Estimate(np.nan, np.nan, np.nan)
    assert Criterion("number", "at least", 0.1, gone).outcome == "undecided"
    assert Criterion("number", "at least", 0.1, Estimate(0.05, np.nan, np.nan)).outcome == "does not hold"
    assert Criterion("number", "at least", 0.1, Estimate(0.15, np.nan, np.nan)).outcome == "holds"


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.55, 0.45, 0.65, "holds"),
        (0.5, 0.4, 0.6, "holds"),
        (0.45, 0.35, 0.55, "undecided"),
        (0.4, 0.3, 0.5, "undecided"),
        (0.4, 0.3, 0.49, "does not hold"),
    ],
)
def test_a_value_that_is_to_reach_a_bound_is_refuted_by_its_whole_interval_alone(
    value: float, low: float, high: float, said: str
) -> None:
    assert Criterion("number", "at least", 0.5, Estimate(value, low, high)).outcome == said
    assert Criterion("number", "at most", -0.5, Estimate(-value, -high, -low)).outcome == said


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((-0.04, 0.05), "holds"),
        ((-0.06, 0.01), "undecided"),
        ((0.02, 0.2), "undecided"),
        ((-0.2, 0.2), "undecided"),
        ((0.06, 0.2), "does not hold"),
        ((-0.2, -0.051), "does not hold"),
    ],
)
def test_within_asks_for_the_whole_interval_on_both_sides(ends: tuple[float, float], said: str) -> None:
    assert Criterion("bias", "within", 0.05, Estimate(np.mean(ends), *ends)).outcome == said


# Textures


def of_textures(**rates: float) -> xr.Dataset:
    """A table of textures in which the network has a rate of 0.8 at enc2 and the rivals these, give or take 0.02."""
    rows = ["net", *RIVALS]
    values = np.full((2, 1, len(rows), 2, 2, 2), 0.3)
    values[:, :, 0] = 0.8
    for name, rate in rates.items():
        values[:, :, rows.index(name.replace("_", " "))] = rate
    dims = ("form", "subset", "representation", "sigma", "block", "distance")
    made = {}
    for name, array in (("rate", values), ("difference", values[:, :, :1] - values)):
        for end, shift in (("", 0.0), ("_low", -0.02), ("_high", 0.02)):
            made[name + end] = (dims, array + shift)
    coords = {
        "form": ["colour", "grey"],
        "subset": ["all"],
        "representation": rows,
        "sigma": [0.1, 0.5],
        "block": ["enc2", "mid"],
        "distance": ["euclidean", "standardised"],
    }
    attrs = {"reference": "net", "block": "enc2", "verdict_distance": "euclidean", "level": 0.95}
    attrs |= {"patches_each": 8, "patches_least": 8}
    return xr.Dataset({**made, "chance": (("form", "subset"), np.full((2, 1), 0.01))}, coords=coords, attrs=attrs)


def judged(**further: xr.Dataset) -> xr.Dataset:
    return claims.table({}, {}, further=further)


def test_a_network_that_tells_textures_better_than_all_it_is_compared_with_is_a_texture_descriptor() -> None:
    found = judged(textures=of_textures())
    assert claims.verdicts(found) == {9: "holds"}
    counted = found.isel(criterion=found.counts.values)
    # Four rivals in two forms at two noise levels; the rate itself is reported beside.
    assert counted.sizes["criterion"] == 16
    assert found.sizes["criterion"] == 20
    np.testing.assert_allclose(counted.value, 0.5)
    rates = found.isel(criterion=~found.counts.values)
    np.testing.assert_allclose(rates.value, 0.8)
    np.testing.assert_allclose(rates.control_paper_gains, 0.3)
    assert all("of enc2" in what for what in found.what.values)


@pytest.mark.parametrize("rival", RIVALS)
def test_each_rival_turns_the_verdict_on_textures(rival: str) -> None:
    name = rival.replace(" ", "_")
    assert claims.verdicts(judged(textures=of_textures(**{name: 0.79}))) == {9: "undecided"}
    assert claims.verdicts(judged(textures=of_textures(**{name: 0.9}))) == {9: "partly"}
    missing = of_textures()
    missing = missing.isel(representation=missing.representation.values != rival)
    found = judged(textures=missing)
    assert claims.verdicts(found) == {9: "not judged"}
    assert set(found.lacks.values) == {"", rival}
    assert claims.unjudged(found, 9)


def test_photographs_of_fewer_patches_than_were_asked_for_are_seen() -> None:
    found = judged(textures=of_textures().assign_attrs(patches_least=2))
    assert claims.verdicts(found) == {9: "not judged"}
    assert "8 patches of each photograph" in found.lacks.values


# Cue conflict


def of_cues(blocks: tuple[str, ...] = BLOCKS, /, **numbers: float) -> xr.Dataset:
    """A table of cues with texture less shape of 0.5, 0.3 beyond both twins, give or take 0.05; by block otherwise."""
    rows = {"net": "trained", **dict.fromkeys(TWINS, "untrained"), "gist": "descriptor"}
    dims = ("treatment", "representation", "sigma", "block", "distance")
    own = np.array([numbers.get(block, 0.5) for block in blocks])
    values = np.broadcast_to(own[:, None], (2, len(rows), 1, len(blocks), 1)).copy()
    values[:, 1:] = 0.2
    made = {}
    for name, array in (("difference", values), ("gain", values[:, :1] - values)):
        for end, shift in (("", 0.0), ("_low", -0.05), ("_high", 0.05)):
            made[name + end] = (dims, array + shift)
    coords = {
        "treatment": ["as they are", "equalised grey"],
        "representation": list(rows),
        "group": ("representation", list(rows.values())),
        "block": list(blocks),
        "sigma": [0.1],
        "distance": ["euclidean"],
    }
    made |= {"texture_chance": 0.1, "shape_chance": 0.1}
    return xr.Dataset(made, coords=coords, attrs={"reference": "net", "level": 0.95, "taps": ", ".join(blocks)})


@pytest.mark.parametrize(("shape_chance", "verdict"), [(0.1, "holds"), (0.05, "holds"), (0.0, "undecided")])
def test_more_candidates_of_a_texture_than_of_a_shape_count_for_chance(shape_chance: float, verdict: str) -> None:
    found = of_cues(mid=0.12, enc3=0.12)
    for name in ("gain", "gain_low", "gain_high"):
        found[name] += 1
    found = found.assign(texture_chance=0.1, shape_chance=shape_chance)
    said = judged(cues=found)
    # 0.12 ± 0.05 is above 0 and 0.05, and not shown to be above 0.1.
    assert claims.verdicts(said) == {10: verdict}
    assert cues.verdict(found).attrs["verdict"] == verdict


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ({}, "holds"),
        ({"mid": 0.22}, "undecided"),
        ({"mid": 0.1}, "partly"),
        ({"enc3": -0.1}, "partly"),
        ({"mid": -0.1, "enc3": -0.2}, "does not hold"),
        # Not where the claim is made.
        ({"enc2": -0.5}, "holds"),
    ],
)
def test_texture_over_shape_is_judged_at_the_middle_and_the_block_before_it(
    numbers: dict[str, float], verdict: str
) -> None:
    found = judged(cues=of_cues(BLOCKS, **numbers))
    assert claims.verdicts(found) == {10: verdict}
    assert found.sizes["criterion"] == 2 * 2 * 3
    room = cues.verdict(of_cues(BLOCKS, **numbers))
    assert room.attrs["verdict"] == verdict
    assert sorted(room.outcome.values) == sorted(found.outcome.values)
    assert not any("enc2" in what for what in found.what.values)


def test_a_part_of_the_blocks_is_not_judged_by_another_than_the_one_before_the_middle() -> None:
    part = of_cues(BLOCKS).sel(block=["enc2", "mid"])
    said = judged(cues=part)
    assert claims.verdicts(said) == {10: "not judged"}
    assert set(said.lacks.values) == {"", "enc3"}
    room = cues.verdict(part)
    assert room.attrs["verdict"] == "not judged"
    assert room.attrs["blocks"] == "mid"


def test_a_network_of_two_down_samplings_is_judged_at_its_own_block_before_the_middle() -> None:
    found = judged(cues=of_cues(("enc1", "enc2", "mid", "dec2")))
    assert {what.split(" of ")[1].split()[0] for what in found.subject.values} == {"enc2", "mid"}
    assert claims.blocks_of_cues(["mid", "dec1"], "mid") == ["mid"]


def test_both_controls_of_cues_are_compared_with() -> None:
    found, first = of_cues(), next(iter(TWINS))
    found["gain_low"].loc[{"representation": list(TWINS)[1]}] = -0.01
    said = judged(cues=found)
    assert claims.verdicts(said) == {10: "undecided"}
    without = found.isel(representation=found.representation.values != first)
    lacking = judged(cues=without)
    assert set(lacking.lacks.values) == {"", first}
    assert np.isnan(lacking.control.values).all()
    assert set(said.less.values[said.outcome.values == "undecided"]) == {f"that of {list(TWINS)[1]}"}


# The noise level


def walked(share: float) -> xr.Dataset:
    """What the room says of a denoiser whose σ̂ is this share of σ, as if it were blind, along a path from 1 to 0.03."""
    sigmas = np.linspace(1, 0.03, 12).tolist()
    path = noise_level.along(Shifted(share), NOTHING, sigmas=sigmas, n_samples=8, resamples=100, progress=False)
    blind = (one.assign_coords(told=("network", [False])) for one in (pair(Shifted(share))[0], path))
    room = noise_level.verdict(*blind)
    return room.assign_coords(told=("criterion", np.zeros(room.sizes["criterion"], bool)))


@pytest.mark.parametrize(
    ("share", "verdict"), [(1.0, "holds"), (0.96, "holds"), (0.92, "partly"), (0.8, "does not hold")]
)
def test_what_a_residual_says_of_the_noise_level_is_judged_as_its_room_judges_it(share: float, verdict: str) -> None:
    room = walked(share)
    said = judged(noise_level=room)
    assert claims.verdicts(said) == {11: verdict} == {11: room.attrs["verdict"]}
    # Every level on images; the path by the worst of its levels.
    on_path = room["part"].values != "held-out images"
    assert said.sizes["criterion"] == (~on_path).sum() + 1
    np.testing.assert_allclose(abs(said.value.values[-1]), np.abs(room["value"].values[on_path]).max())
    assert set(said.asked.values) == {"within ±0.05", "within ±0.1"}


# Reliability


def test_of_the_path_what_refutes_counts_before_what_reaches_furthest() -> None:
    room = walked(1.0).copy(deep=True)
    on_path = np.flatnonzero(room.part.values == "sampler's path")
    for name, values in (("value_low", (-0.2, 0.12)), ("value_high", (0.05, 0.15)), ("value", (0.0, 0.13))):
        room[name].values[on_path[:2]] = values
    room["outcome"].values[on_path[:2]] = ["undecided", "does not hold"]
    said = judged(noise_level=room)
    assert said.outcome.values[-1] == "does not hold"
    assert said.value.values[-1] == 0.13
    assert claims.verdicts(said) == {11: "partly"}


def test_too_few_noise_levels_of_claim_11_are_seen_and_several_networks_refused() -> None:
    room = walked(1.0)
    on_images = np.flatnonzero(room.part.values != "sampler's path")
    ends = [i for i in range(room.sizes["criterion"]) if i not in on_images[1:-1]]
    said = judged(noise_level=room.isel(criterion=ends))
    assert claims.verdicts(said) == {11: "not judged"}
    assert "3 levels of σ from 0.1 to 1" in said.lacks.values
    two = room.assign_coords(network=("criterion", ["a", *["b"] * (room.sizes["criterion"] - 1)]))
    with pytest.raises(InputError, match="judged of a, b: give verdict"):
        judged(noise_level=two)


def of_reliability(value: float, spread: float = 0.01) -> xr.Dataset:
    where = ("estimator", "sigma", "block", "distance")
    made = {
        f"reliability{end}": (where, np.full((2, 2, 2, 1), value) + shift * np.array([1, 0])[:, None, None, None])
        for end, shift in (("", 0.0), ("_low", -spread), ("_high", spread))
    }
    coords = {
        "estimator": ["noise_free", "plain"],
        "sigma": [0.1, 0.5],
        "block": ["enc3", "mid"],
        "distance": ["euclidean"],
    }
    return xr.Dataset(made, coords=coords, attrs={"level": 0.95, "draws_split": 10})


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.97, "holds"), (0.955, "holds"), (0.95, "holds"), (0.945, "undecided"), (0.93, "does not hold")],
)
def test_distances_are_trusted_where_their_reliability_is_shown(value: float, verdict: str) -> None:
    own, other = {"reliability": of_reliability(value)}, {"reliability": of_reliability(0.5)}
    said = claims.table(own, other, paper_gains=own)
    assert claims.verdicts(said) == {12: verdict}
    assert "at 10 draws" in said.what.values[0]
    assert set(said.asked.values) == {"at least 0.95"}
    np.testing.assert_allclose([said.control.values, said.control_paper_gains.values], [[0.5] * 4, [value] * 4])


@pytest.mark.parametrize(("block", "sigma"), [("enc3", 0.1), ("enc3", 0.5), ("mid", 0.1), ("mid", 0.5)])
def test_one_block_or_noise_level_that_is_not_reliable_is_told(block: str, sigma: float) -> None:
    own = of_reliability(0.97)
    for end in ("", "_low", "_high"):
        own[f"reliability{end}"].loc[{"block": block, "sigma": sigma}] -= 0.1
    said = claims.table({"reliability": own}, {})
    assert claims.verdicts(said) == {12: "partly"}
    (row,) = np.flatnonzero(said.outcome.values == "does not hold")
    assert f"in φ of {block} at" in said.subject.values[row]
    assert said.sigma.values[row] == sigma


def test_reliability_is_not_judged_without_the_block_that_claims_are_about() -> None:
    with pytest.raises(InputError, match="no block 'mid' among enc3"):
        claims.table({"reliability": of_reliability(0.97).sel(block=["enc3"])}, {})


# Networks beside one another


def two_networks() -> dict[str, Any]:
    first = claims.table({}, {}, controls=of_controls(stability=0.84, accuracy=0.6)).assign_attrs(denoiser="first")
    second = judged(cues=of_cues(mid=-0.1)).assign_attrs(denoiser="second")
    sampled = claims.table({}, {}, variants=of_variants(), densities=of_densities(0.45, 0.3))
    return {"first": first, "second": [second, sampled.assign_attrs(denoiser="second")]}


def test_networks_beside_one_another_have_the_verdicts_and_counts_of_their_own_tables() -> None:
    given = two_networks()
    found = claims.side_by_side(given)
    assert found.network.values.tolist() == ["first", "second"]
    assert found.claim.values.tolist() == list(range(1, 13))
    at = {(int(c), str(n)): str(found.verdict.sel(claim=c, network=n).item()) for c in found.claim for n in ("first",)}
    assert at[2, "first"] == "partly"
    assert at[8, "first"] == "holds"
    assert at[1, "first"] == "not measured"
    second = found.sel(network="second")
    assert second.verdict.sel(claim=[6, 7, 10]).values.tolist() == ["holds", "undecided", "partly"]
    for claim, one in ((6, given["second"][1]), (10, given["second"][0])):
        rows = one.isel(criterion=(one.of_claim.values == claim) & one.counts.values)
        assert second.criteria.sel(claim=claim) == rows.sizes["criterion"]
        assert second.met.sel(claim=claim) == rows.holds.sum()
    assert int(second.against.sel(claim=10)) == (given["second"][0].outcome.values == "does not hold").sum() > 0
    assert (found.met + found.against <= found.criteria).all()
    again = {"first": [given["first"], given["first"]]}
    with pytest.raises(InputError, match="claim 2 of 'first' is judged twice"):
        claims.side_by_side(again)


def test_the_table_links_each_verdict_to_the_heading_that_tells_its_numbers() -> None:
    given = two_networks()
    found = claims.side_by_side(given)
    links = {"first": {2: "first.md" + claims.anchor(given["first"], 2)}}
    text = claims.verdict_table(found, links)
    lines = text.splitlines()
    assert lines[0] == "| claim | `first` | `second` |"
    assert len(lines) == 2 + 12
    assert "[partly](first.md#claim-2-φ-is-stable-over-σ-partly), " in lines[3]
    assert lines[2].endswith("| not measured | not measured |")


def test_the_figure_has_a_cell_for_each_claim_and_network() -> None:
    figure = claims.plot(claims.side_by_side(two_networks()))
    assert isinstance(figure, Figure)
    (axis,) = figure.axes
    assert len(axis.patches) == len(axis.texts) == 24
    assert sum(text.get_text() == "not measured" for text in axis.texts) == 24 - 5


def test_the_command_puts_reports_beside_one_another(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = two_networks()
    for k, one in enumerate([given["first"], *given["second"]]):
        (tmp_path / str(k)).mkdir()
        one.to_netcdf(tmp_path / str(k) / "claims.nc", engine="h5netcdf")
    (tmp_path / "0" / "report.md").write_text("the page")
    paths = [str(tmp_path / str(k) / "claims.nc") for k in range(3)]
    assert claims.main([*paths, "-o", str(tmp_path / "out")]) == 0
    written = capsys.readouterr().out.split()
    assert [Path(one).name for one in written] == ["side_by_side.nc", "side_by_side.png", "side_by_side.md"]
    text = (tmp_path / "out" / "side_by_side.md").read_text(encoding="utf-8")
    assert text == claims.verdict_table(
        claims.side_by_side(given),
        {"first": {c: "../0/report.md" + claims.anchor(given["first"], c) for c in (2, 8)}},
    )
    assert claims.main([str(tmp_path / "nowhere.nc"), "-o", str(tmp_path / "out")]) == 1
    assert "nowhere.nc" in capsys.readouterr().err


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    xr.Dataset({"number": 1.0}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    assert claims.main([str(tmp_path / "other.nc"), "-o", str(tmp_path / "out")]) == 1
    assert "claims.table" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
