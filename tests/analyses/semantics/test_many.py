"""Some images' neighbours among very many, read some at a time: exact, equal wherever φ lies, what is read."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import semantics
from analyses.semantics import inputs, kernels_nearest, kernels_pairs, retrieval
from probekit import labels
from tests.analyses.lazily import Log, blocks_of, everywhere, lazily

CHANNELS = 5
# Before a test changes it where it is defined.
assert retrieval.QUERY_IMAGES == inputs.QUERY_IMAGES == 20_000
QUICK: dict[str, Any] = {"resamples": 100}


def made(images: int = 60, seed: int = 0, levels: int = 2) -> xr.Dataset:
    """Three classes, whose images are in groups of three; φ with its errors and four draws."""
    rng = np.random.default_rng(seed)
    truth = np.arange(images) // 3 % 3
    clean = 9 + 2 * np.eye(3, CHANNELS)[truth] + rng.normal(size=(images, CHANNELS))
    draws = (clean[:, None, None] + 0.3 * rng.normal(size=(images, levels, 4, CHANNELS))).astype(np.float32)
    data = labels.representation(
        {"phi": draws.mean(axis=2), "phi_se": draws.std(axis=2, ddof=1) / 2, "phi_draws": draws},
        ids=[f"im{i:05d}" for i in rng.permutation(images)],
        labels=[f"c{t}" for t in truth],
        sigma=[0.1 * (s + 1) for s in range(levels)],
        channels={"mid": CHANNELS},
        attrs={"denoiser": "none", "draws": 4},
    )
    return data.assign_coords(source=("image", np.array([f"s{i // 3}" for i in range(images)], dtype=object)))


# Whole numbers, of which many pairs are as far apart as others.
@pytest.mark.parametrize("whole", [False, True])
@given(
    st.integers(0, 10_000),
    st.integers(2, 40),
    st.lists(st.integers(1, 39), max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([kernels_pairs.ELEMENTS, 1]),
)
@settings(max_examples=50)
def test_neighbours_of_some_images_are_those_among_all_however_these_come(
    whole: bool, seed: int, n: int, cuts: list[int], noisy: bool, grouped: bool, elements: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, size=(n, 3)).astype(float) if whole else rng.normal(size=(n, 3)) + np.array([1e4, 0, 0])
    groups = np.unique(rng.integers(0, 6, n), return_inverse=True)[1] if grouped else np.arange(n)
    noise = rng.integers(0, 3, n) / 4 if noisy else None
    most = n - int(np.bincount(groups).max())
    if most < 1:
        return
    k = int(rng.integers(1, most + 1))
    asked = rng.permutation(n)[: int(rng.integers(1, n + 1))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels_nearest, "ELEMENTS", elements)
        found = kernels_nearest.Nearest(x[asked], k, groups[asked], None if noise is None else noise[asked])
        ends = sorted({0, n, *(c for c in cuts if c < n)})
        for start, stop in itertools.pairwise(ends):
            rows = slice(start, stop)
            found.look(x[rows], start, groups[rows], None if noise is None else noise[rows])
    index, distance = kernels_pairs.nearest(x, k, noise, groups)
    if noise is None:
        if whole:
            # Exact, so that the first of equal ones comes first; about their mean they may be equal up to rounding.
            square = np.square(x[asked, None] - x).sum(axis=2)
            square[groups[asked, None] == groups] = np.inf
            index[asked] = np.argsort(square, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(found.index, index[asked])
        # Differences of numbers of 10⁴ are exact to 2⁻⁵³ of these.
        np.testing.assert_allclose(found.distance, distance[asked], rtol=1e-9, atol=1e-11)
    else:
        # Of squares of 10⁸ about a middle, ten of sixteen digits are left of unit differences; a root of 0 has half.
        np.testing.assert_allclose(found.distance, distance[asked], atol=1e-5)
        # Of equal ones either may come first: those that were found are as far as is said.
        apart = np.square(x[asked, None] - x[found.index]).sum(axis=2) - noise[asked, None] - noise[found.index]
        np.testing.assert_allclose(np.copysign(np.sqrt(np.abs(apart)), apart), found.distance, atol=1e-5)
        assert (groups[found.index] != groups[asked, None]).all()
        assert all(len(set(one)) == k for one in found.index.tolist())


def test_a_query_that_candidates_do_not_settle_looks_at_all_rows() -> None:
    # Norms of 10⁸ leave no digit of squared distances of 1: candidates are any.
    rng = np.random.default_rng(1)
    x = rng.permuted(np.arange(200.0))[:, None] + 1e8 * np.array([[1.0, 0, -1]])
    x[:, 1] = np.where(rng.random(200) < 0.5, 1e9, -1e9)
    found = kernels_nearest.Nearest(x[:30], 3, np.arange(30))
    for start in (0, 90):
        found.look(
            x[start : start + 110][: 90 if not start else None],
            start,
            np.arange(200)[start:][: 90 if not start else None],
        )
    d = np.array([[np.linalg.norm(a - b) if i != j else np.inf for j, b in enumerate(x)] for i, a in enumerate(x[:30])])
    np.testing.assert_array_equal(found.index, np.argsort(d, axis=1, kind="stable")[:, :3])
    np.testing.assert_allclose(found.distance, np.sort(d, axis=1)[:, :3])


@pytest.mark.parametrize("held", [kernels_nearest.GROUP_BYTES, 1])
@given(st.integers(0, 10_000), st.integers(1, 7), st.booleans(), st.booleans())
@settings(max_examples=20)
def test_channels_vary_over_parts_as_over_all(held: int, seed: int, step: int, noisy: bool, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.gamma(1.0, size=(23, 2, 4)) * [1, 1e-6, 1e6, 0] + [0, 1, 0, 0.1]).astype(np.float32)
    se = (x.std(axis=0) * rng.uniform(0, 0.9, 4) * np.ones(x.shape)).astype(np.float32) if noisy else None
    groups = rng.permutation(np.arange(23) % 9) if grouped else None

    def parts():
        for start in range(0, 23, step):
            rows = slice(start, min(start + step, 23))
            yield x[rows], None if se is None else se[rows], rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels_nearest, "GROUP_BYTES", held)
        found = kernels_nearest.spreads_of_parts(parts, groups)
    each = [kernels_pairs.spreads(x[:, s], None if se is None else se[:, s], groups) for s in range(2)]
    # Means are off by 23 roundings, squares of deviations then by the square of that, and sums by 23 more.
    np.testing.assert_allclose(found, each, rtol=1e-9)


@pytest.mark.parametrize("images", [1, 7])
@pytest.mark.parametrize("noise_free", [False, True])
@given(st.integers(0, 1000), st.sampled_from([25, 59, 60]), st.sampled_from([None, "source"]))
@settings(max_examples=3)
def test_findings_are_the_same_wherever_phi_lies(
    images: int, noise_free: bool, seed: int, asked: int, clusters: str | None
) -> None:
    data = made(60, seed)
    how: dict[str, Any] = {"query_images": asked, "noise_free": noise_free, "seed": seed}
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, 4 * CHANNELS * images)
        patch.setattr(inputs, "QUERY_IMAGES", 10)
        for other in everywhere(data, 7):
            both = data, other
            rest: dict[str, Any] = {**how, **QUICK, "clusters": clusters, "among": 20, "max_images": 40, "k": 4}
            xr.testing.assert_identical(*(semantics.analyse(d, permutations=99, **rest) for d in both))
            xr.testing.assert_identical(*(semantics.per_image(d, among=20, k=3, **how) for d in both))
            held = {"max_images": 30, "clusters": clusters, "seed": seed}
            xr.testing.assert_identical(*(semantics.reliability(d, splits=1, **held) for d in both))


@pytest.mark.parametrize("noise_free", [False, True])
@pytest.mark.parametrize("clusters", [None, "source"])
def test_images_asked_for_have_the_neighbours_that_all_have(noise_free: bool, clusters: str | None) -> None:
    data = made(90, levels=1)
    how: dict[str, Any] = {"k": 4, "noise_free": noise_free, "clusters": clusters, **QUICK}
    every, some = semantics.neighbours(data, **how), semantics.neighbours(data, query_images=30, **how)
    asked = np.flatnonzero((some.neighbor_index.values[0, 0, 0] >= 0).all(axis=1))
    assert len(asked) == some.attrs["query_images"] == 30
    assert every.attrs["query_images"] == 90
    for name in ("neighbor_index", "neighbor_distance"):
        values = some[name].values[:, :, :, asked]
        np.testing.assert_allclose(values, every[name].values[:, :, :, asked], rtol=1e-5, atol=1e-6)
    others = np.setdiff1d(np.arange(90), asked)
    assert (some.neighbor_index.values[:, :, :, others] == -1).all()
    assert np.isnan(some.neighbor_distance.values[:, :, :, others]).all()
    own = data.label.values[every.neighbor_index.values[0, 0, 0][asked]] == data.label.values[asked, None]
    assert some.precision.values[0, 0, 0] == pytest.approx(own.mean())
    np.testing.assert_array_equal(some.precision_chance, every.precision_chance)


def test_images_are_found_again_among_those_drawn() -> None:
    data = made(90)
    found = semantics.per_image(data, among=10, k=None, query_images=35, distances="euclidean")
    group = found.group.values
    assert (np.bincount(group[group >= 0]) == 10).all()
    assert (group >= 0).sum() == found.attrs["queries"] == 30
    assert np.isnan(found["rank"].values[group < 0]).all()
    assert (found["rank"].values[group >= 0] >= 1).all()
    alone = data.isel(image=np.flatnonzero(group == 0))
    # Searched alone, the images of a group are found at the same ranks.
    again = semantics.per_image(alone, among=10, k=None, distances="euclidean")
    np.testing.assert_array_equal(again["rank"], found["rank"].values[group == 0])


@given(st.integers(0, 1000), st.sampled_from([None, "source"]))
@settings(max_examples=3)
def test_the_images_asked_for_go_by_ids_whatever_order_images_are_in(seed: int, clusters: str | None) -> None:
    data = made(60, seed)
    order = np.random.default_rng(seed).permutation(60)
    rest: dict[str, Any] = {"query_images": 30, "clusters": clusters, "permutations": 0, "among": 10, **QUICK}
    one, two = (semantics.analyse(d, **rest) for d in (data, data.isel(image=order)))
    places = one.neighbor_index.values[..., order, :]
    # Of places before and after: −1 stays.
    moved = np.where(two.neighbor_index.values < 0, -1, order[two.neighbor_index.values])
    np.testing.assert_array_equal(places, moved)
    for name in ("precision", "precision_low", "top1", "top1_high", "correlation", "correlation_low"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("spoil", "metric", "said"),
    [
        (
            lambda phi: np.where(np.arange(60)[:, None, None] == 41, 0, phi),
            "cosine",
            "undefined for 1 images without any",
        ),
        (lambda phi: 0 * phi + 0.1, "euclidean", "φ is the same for all images"),
        (lambda phi: 0 * phi + 0.1, "standardised", "φ is the same for all images"),
    ],
)
def test_where_distances_tell_nothing_nothing_is_found(spoil: Any, metric: str, said: str) -> None:
    data = made(60, levels=1)
    data["phi"] = data.phi.copy(data=spoil(data.phi.values).astype(np.float32))
    with pytest.warns(RuntimeWarning, match=said):
        found = semantics.neighbours(data, query_images=20, distances=metric, **QUICK)
    assert (found.neighbor_index == -1).all()
    assert np.isnan(found.precision).all()


@pytest.mark.parametrize("images", [300, 1200])
def test_no_more_is_read_at_once_than_is_asked_for_and_a_few_times_in_all(
    images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, log = made(images).drop_vars("phi_draws"), Log()
    blocks_of(monkeypatch, 4 * CHANNELS * 20)
    monkeypatch.setattr(inputs, "QUERY_IMAGES", 10)
    how: dict[str, Any] = {"query_images": 40, "max_images": 40, "permutations": 0, "among": 20, **QUICK}
    semantics.analyse(lazily(data, log), **how)
    assert log.largest <= 40 * 2 * CHANNELS
    # φ: checked by each of four, looked through for means, squares and neighbours; and what is asked for.
    assert log.total <= 2 * CHANNELS * (8 * images + 400)
