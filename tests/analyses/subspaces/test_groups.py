"""Images that come in groups, as crops of one photograph, count by their groups in the search for subspaces."""

import math

import numpy as np
import pytest
import xarray as xr

from analyses import subspaces
from analyses.subspaces import above_rest, kernels_explained
from analyses.subspaces.analyse import _split
from probekit import labels
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces

SETS = 60


def repeated(data: xr.Dataset, members: np.ndarray) -> xr.Dataset:
    """Images of the data, some given several times, and as the coordinate `source` which each was."""
    ids = np.arange(len(members)).astype(str).astype(object)
    return data.isel(image=members).assign_coords(image=ids, source=("image", members.astype(str).astype(object)))


def five_times(data: xr.Dataset) -> xr.Dataset:
    return repeated(data, np.repeat(np.arange(data.sizes["image"]), 5))


def drawn(seed: int, *, halves: bool = False, images: int = 100, channels: int = 24) -> xr.Dataset:
    """Channels active on three images in ten each, independently, or half of them on each half of the images."""
    rng = np.random.default_rng(seed)
    active = rng.random((images, channels)) < 0.3
    if halves:
        active = (np.arange(images)[:, None] < images // 2) == (np.arange(channels) < channels // 2)
    activity = np.where(active, 0.5 + rng.exponential(0.5, active.shape), 0)
    arrays = {
        "phi": (1 + activity + 0.02 * rng.standard_normal(activity.shape))[:, None],
        "phi_se": np.full((images, 1, channels), 0.02),
        "rest": np.ones((1, channels)),
        "rest_se": np.full((1, channels), 0.001),
    }
    return labels.representation(
        arrays,
        ids=[str(i) for i in range(images)],
        labels=None,
        sigma=[0.1],
        channels={"mid": channels},
        attrs={"draws": 10},
    )


def false_gaps(clusters: str | None) -> float:
    """How often the overlap of active sets seems larger within subspaces that are drawn at random."""
    copies = np.repeat(np.arange(30), 20)
    two = subspaces.fit(repeated(drawn(0, halves=True, images=30), copies), n_subspaces=2, splits=0)
    wrong = 0
    for seed in range(SETS):
        # Copies of one image share a subspace, and nothing else decides it.
        own = np.random.default_rng(seed).integers(2, size=30)[copies]
        at_random = two.assign(subspace=("image", own), common=two.common & False)
        data = repeated(drawn(seed, images=30), copies)
        wrong += subspaces.overlap(data, at_random, clusters=clusters, seed=seed).overlap_gap_low.item() > 0
    return wrong / SETS


def test_overlap_within_subspaces_of_copies_is_no_overlap_where_their_groups_are_named() -> None:
    assert false_gaps(None) > 0.5
    # The lower end of a 95 % interval: 2.5 %, and 3.5 binomial standard deviations.
    assert false_gaps("source") <= 0.025 + 3.5 * math.sqrt(0.025 * 0.975 / SETS)


@pytest.mark.parametrize("method", ["coordinate", "linear"])
def test_copies_whose_groups_are_named_lead_to_the_subspaces_of_the_images_alone(method: str) -> None:
    data, truth = union_of_subspaces(300, n_channels=40, n_subspaces=5, common=0, seed=2)
    five = five_times(data)
    once, named = subspaces.fit(data, method=method), subspaces.fit(five, method=method, clusters="source")
    assert named.n_subspaces.item() == once.n_subspaces.item()
    if method == "coordinate":
        np.testing.assert_allclose(named.agreement, once.agreement, atol=0.05)
    np.testing.assert_array_equal(np.asarray(named.subspace).reshape(300, 5).std(axis=1), 0)
    again = truth.isel(image=np.repeat(np.arange(300), 5)).assign_coords(image=five.image)
    expected = subspaces.score(once, truth).accuracy.item()
    assert subspaces.score(named, again).accuracy.item() == pytest.approx(expected, abs=0.02)


def uneven(groups: int = 40) -> xr.Dataset:
    data, _ = union_of_subspaces(groups, n_channels=30, n_subspaces=3)
    return repeated(data, np.repeat(np.arange(groups), np.random.default_rng(0).integers(1, 9, groups)))


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_both_fitted_and_held_out(seed: int) -> None:
    data = uneven()
    members = above_rest.grouped(data, "source")
    train, test, held = _split(data, members, seed)
    assert members is not None
    assert held is not None
    assert not set(members[train]) & set(members[test])
    assert len(set(train)) + len(set(test)) == data.sizes["image"]
    # A group has 8 images at most.
    assert 0 <= 0.75 * data.sizes["image"] - len(train) <= 8
    assert held.max() + 1 == len(set(members[test]))


def test_resampled_groups_of_copies_are_resampled_images() -> None:
    rng = np.random.default_rng(0)
    once = kernels_explained.Explained(*(rng.random((20, *shape)) for shape in ((2, 3), (2, 3), ())))
    five = kernels_explained.Explained(*(np.repeat(v, 5, axis=0) for v in (once.union, once.pca, once.total)))
    alone = kernels_explained.gains(once, resamples=200, seed=1)
    grouped = kernels_explained.gains(five, resamples=200, seed=1, members=np.repeat(np.arange(20), 5))
    for a, b in zip(alone, grouped, strict=True):
        np.testing.assert_allclose(a, b)
    loose = kernels_explained.gains(five, resamples=200, seed=1)[1]
    # Of five times as many units, the spread is smaller by √5, known from 200 resamples to 5 % each.
    assert alone[1].std(axis=0) == pytest.approx(math.sqrt(5) * loose.std(axis=0), rel=0.35)


def test_groups_are_permuted_whole() -> None:
    data = five_times(union_of_subspaces(30, n_channels=12, n_subspaces=2, support=3)[0])
    permuted = above_rest.shuffled(data, 3, above_rest.grouped(data, "source"))
    phi = permuted.phi.values[:, 0].reshape(30, 5, 12)
    np.testing.assert_array_equal(phi, phi[:, :1].repeat(5, axis=1))
    np.testing.assert_allclose(np.sort(permuted.phi.values, axis=0), np.sort(data.phi.values, axis=0))
    assert not np.array_equal(permuted.phi.values, data.phi.values)


def test_groups_of_one_image_each_are_images() -> None:
    data, _ = union_of_subspaces(120, n_channels=24, n_subspaces=3)
    alone = data.assign_coords(source=("image", data.image.values))
    once, named = (subspaces.fit(alone, clusters=c) for c in (None, "source"))
    np.testing.assert_array_equal(once.subspace, named.subspace)
    np.testing.assert_allclose(once.confidence, named.confidence)


def test_groups_go_through_the_whole_analysis_in_any_order_of_images() -> None:
    data = uneven()
    how = {"dimensions": False, "resamples": 100, "ranks": (1, 2), "clusters": "source"}
    found = subspaces.analyse(data, **how)
    assert found.attrs["clusters"] == "source"
    turned = subspaces.analyse(data.isel(image=slice(None, None, -1)), **how)
    for name in ("overlap_gap_low", "gain_low", "gain_over_shuffled_high", "n_subspaces"):
        np.testing.assert_allclose(found[name], turned[name], rtol=1e-6, atol=1e-9)


def test_intrinsic_dimensions_are_of_one_image_of_each_group() -> None:
    pytest.importorskip("skdim")
    rng = np.random.default_rng(5)
    data, _ = union_of_subspaces(200, n_channels=8, n_subspaces=1, support=4, dimension=2, common=0, noise=0)
    five = five_times(data)
    # Crops that are alike but not the same: a line of neighbours about each image.
    near = five.assign(phi=five.phi * xr.DataArray(rng.uniform(0.999, 1, five.sizes["image"]), dims="image"))
    once = subspaces.intrinsic_dimension(data).intrinsic_dimension.sel(estimator="mle")
    named = subspaces.intrinsic_dimension(near, clusters="source").intrinsic_dimension.sel(estimator="mle")
    np.testing.assert_allclose(named, once, rtol=0.1)


def test_too_few_groups_are_refused() -> None:
    data = repeated(drawn(0, images=19), np.repeat(np.arange(19), 3))
    for call in (subspaces.fit, subspaces.intrinsic_dimension, subspaces.analyse):
        with pytest.raises(InputError, match="57 images in 19 groups: give images of 20 groups at least"):
            call(data, clusters="source")
    with pytest.raises(InputError, match="clusters='photograph' is no coordinate along image"):
        subspaces.fit(data, clusters="photograph")
