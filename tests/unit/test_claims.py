"""The claims are judged as their criteria say, on representations whose answer is known."""

import numpy as np
import pytest
import xarray as xr

from analyses import claims, selectivity, sparsity, subspaces
from probekit import labels
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces

IMAGES, SIGMA = 960, (0.1, 0.5)
SPARSE = {"n_channels": 60, "n_subspaces": 6, "support": 6, "common": 12, "noise": 0.02}
DENSE = {"n_channels": 60, "n_subspaces": 1, "support": 1, "common": 59, "noise": 0.02}


def network(**taps: dict) -> xr.Dataset:
    """A representation at several taps, each a union of subspaces of its own."""
    drawn = [
        union_of_subspaces(IMAGES, sigma=SIGMA, seed=i, **settings).data for i, settings in enumerate(taps.values())
    ]
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


@pytest.fixture(scope="module")
def trained() -> dict[str, xr.Dataset]:
    return findings(network(enc2=DENSE, enc3=DENSE, mid=SPARSE))


@pytest.fixture(scope="module")
def untrained() -> dict[str, xr.Dataset]:
    return findings(network(enc2=DENSE, enc3=DENSE, mid=DENSE))


def test_a_sparse_selective_middle_is_found_to_be_so(trained, untrained) -> None:
    judged = claims.table(trained, untrained)
    held = claims.verdicts(judged)
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
    assert claims.verdicts(claims.table(untrained, untrained))[1] != "holds"
    assert claims.verdicts(claims.table(trained, trained))[1] == "partly"
    judged = claims.table(trained, trained)
    training = judged.isel(criterion=["untrained" in w for w in judged.what.values])
    np.testing.assert_allclose(training.value, 0, atol=1e-12)
    assert not training.holds.any()
    assert (training.low <= 0).all()
    assert (training.high >= 0).all()


def test_an_encoder_that_drops_breaks_the_first_claim(untrained) -> None:
    falling = findings(network(enc2=DENSE, enc3=SPARSE, mid={**SPARSE, "support": 2}))
    judged = claims.table({"sparsity": falling["sparsity"]}, {"sparsity": untrained["sparsity"]})
    assert claims.verdicts(judged) == {1: "partly"}
    dropped = judged.isel(criterion=["enc3, not below" in w for w in judged.what.values])
    assert not dropped.holds.any()


def test_every_criterion_is_printed_with_its_interval(trained, untrained) -> None:
    judged = claims.table(trained, untrained)
    text = claims.markdown(judged)
    assert text.count("\n| ") == judged.sizes["criterion"] + 3
    for claim, verdict in claims.verdicts(judged).items():
        assert f"**Claim {claim}. {claims.CLAIMS[claim]}: {verdict}.**" in text
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
    with pytest.raises(InputError, match="no block 'dec2' among enc2, enc3, mid"):
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
        findings[f"change{end}"].loc[{"block": ["enc3", "mid"]}] = np.nan
    judged = claims.table({"sparsity": findings}, {"sparsity": untrained["sparsity"]})
    assert not judged.holds[judged.value.isnull()].any()


def test_images_that_come_in_groups_are_resampled_in_groups_throughout() -> None:
    def grouped(data: xr.Dataset) -> dict[str, xr.Dataset]:
        # Ten sources of 96 copies each: there are ten independent images.
        copies = data.isel(image=np.repeat(np.arange(10), 96))
        copies = copies.assign_coords(image=data.image, label=("image", np.repeat(list("abcdefghij"), 96)))
        return {"sparsity": sparsity.analyse(copies, clusters="label", resamples=400)}

    judged = claims.table(grouped(network(enc3=DENSE, mid=SPARSE)), grouped(network(enc3=DENSE, mid=DENSE)))
    width = (judged.high - judged.low).values
    own, excess = width[0], width[1]
    # The untrained changes hardly vary, so that both intervals measure the same spread over ten images.
    assert 0.5 < excess / own < 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.assign_attrs(level=0.5), "coverage"),
        (lambda f: f.assign_coords(input=("block", np.array(["", "enc2", "enc2+enc3"], object))), "one tap feeds it"),
    ],
)
def test_findings_made_otherwise_are_refused(trained, change, says: str) -> None:
    findings = {"sparsity": change(trained["sparsity"])}
    with pytest.raises(InputError, match=says):
        claims.table(findings, findings)
