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
    sizes = np.bincount(members)
    most = int(np.median(sizes))
    np.testing.assert_array_equal(np.bincount(members[np.r_[train, test]]), np.minimum(sizes, most))
    assert len(set(train) | set(test)) == len(train) + len(test)
    assert 0 <= 0.75 * (len(train) + len(test)) - len(train) <= most
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


def end_to_end(data: xr.Dataset, seed: int, members: np.ndarray | None = None) -> xr.Dataset:
    """Channels permuted by laying groups end to end in any order, whatever their sizes."""
    assert members is not None
    rng, first = np.random.default_rng(seed), labels.by_id(data)
    first = first[np.argsort(members[first], kind="stable")]
    arrays = {name: data[name].values.copy() for name in ("phi", "phi_se")}
    for level, channel in np.ndindex(data.sizes["sigma"], data.sizes["channel"]):
        order = first[np.argsort(rng.permutation(members.max() + 1)[members[first]], kind="stable")]
        for values in arrays.values():
            values[first, level, channel] = values[order, level, channel]
    return data.assign({name: (data[name].dims, values) for name, values in arrays.items()})


def test_groups_of_one_size_are_laid_end_to_end() -> None:
    data = five_times(union_of_subspaces(30, n_channels=12, n_subspaces=2, support=3)[0])
    data = data.isel(image=np.random.default_rng(1).permutation(150))
    members = above_rest.grouped(data, "source")
    permuted, expected = (f(data, 3, members) for f in (above_rest.shuffled, end_to_end))
    for name in ("phi", "phi_se"):
        np.testing.assert_array_equal(permuted[name], expected[name])


def test_a_group_of_any_size_takes_the_values_of_one_other_in_each_channel() -> None:
    data = uneven()
    # Values that tell the group, and the image's place in it.
    members = above_rest.grouped(data, "source")
    assert members is not None
    sizes = np.bincount(members)
    place = np.array([(members[:i] == own).sum() for i, own in enumerate(members)])
    told = (members + place / 100).astype(np.float32)[:, None, None]
    data = data.assign(phi=(data.phi.dims, np.broadcast_to(told, data.phi.shape).copy()))
    found = above_rest.shuffled(data.assign_coords(image=np.char.zfill(data.image.values.astype(str), 3)), 3, members)
    for values in found.phi.values[:, 0].T:
        other, at = np.floor(values).astype(int), np.round(100 * (values % 1)).astype(int)
        taken = other[np.unique(members, return_index=True)[1]]
        np.testing.assert_array_equal(other, taken[members])
        np.testing.assert_array_equal(np.sort(taken), np.arange(len(sizes)))
        np.testing.assert_array_equal(at, place % sizes[other])


def false_gains(runs: int = 40) -> np.ndarray:
    """How often independent channels seem to gain on shuffled ones, or to lose, by "nonzeros" and "coefficients"."""
    wrong = np.zeros(2)
    for k in range(runs):
        rng = np.random.default_rng([k, 5])
        sizes = np.minimum(np.ceil(rng.pareto(1.2, 80) + 0.01), 60).astype(int)
        data = repeated(drawn(k, images=80), np.repeat(np.arange(80), sizes))
        found = subspaces.analyse(
            data, clusters="source", resamples=200, ranks=(2,), dimensions=False, max_subspaces=2, splits=0
        ).sel(comparison=["nonzeros", "coefficients"])
        wrong += ((found.gain_over_shuffled_low > 0) | (found.gain_over_shuffled_high < 0)).values.ravel()
    return wrong / runs


def no_false_gains(runs: int = 40) -> None:
    # A 95 % interval, and 3.5 binomial standard deviations.
    assert (false_gains(runs) <= 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / runs)).all()


def test_independent_channels_neither_gain_on_shuffled_ones_nor_lose_where_groups_are_of_unlike_sizes() -> None:
    no_false_gains()


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
