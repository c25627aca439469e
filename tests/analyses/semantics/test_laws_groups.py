"""Images that hang together in groups: intervals and p-values that take groups whole are honest, others are not."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom, rankdata

from analyses import semantics
from analyses.ground import jackknifed_correlation
from analyses.semantics import kernels_correlation, kernels_pairs
from probekit import labels
from probekit.errors import InputError

LEVEL = 0.95


def dataset(phi: np.ndarray, groups: np.ndarray, label: np.ndarray | None = None) -> xr.Dataset:
    """φ (image, sigma, channel) of one tap at 0.01, 0.02, …, and the group of each image."""
    data = labels.representation(
        {"phi": phi},
        ids=[str(i) for i in range(len(phi))],
        labels=None if label is None else [str(name) for name in label],
        sigma=[0.01 * (s + 1) for s in range(phi.shape[1])],
        channels={"mid": phi.shape[2]},
        attrs={"denoiser": "none"},
    )
    return data.assign_coords(photograph=("image", np.array([f"photograph {g}" for g in groups], object)))


def covered(found: xr.Dataset, name: str, truth: float) -> float:
    low, high = (found[f"{name}_{end}"].squeeze().values[1:] for end in ("low", "high"))
    return float(((low <= truth) & (truth <= high)).mean())


def at_least_the_level(rate: float, repetitions: int) -> None:
    """3.5 binomial standard deviations below the level at most."""
    assert rate >= LEVEL - 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / repetitions), rate


def found_again_is_covered(clusters: str | None, repetitions: int = 300) -> None:
    """Images of a group are found again all or none, the groups independently; each noise level is a repetition."""
    rng = np.random.default_rng(0)
    groups, share = np.repeat(np.arange(60), 5), 0.7
    code = np.arange(len(groups), dtype=float)
    good = (rng.random((60, repetitions)) < share)[groups]
    # Those that fail lie exactly where another image is.
    seen = np.where(good, code[:, None], np.roll(code, 1)[:, None])
    phi = np.concatenate([code[:, None], seen], axis=1)[..., None]
    found = semantics.stability(dataset(phi, groups), reference=0.01, distances="euclidean", clusters=clusters)
    at_least_the_level(covered(found, "top1", share), repetitions)


def labels_of_neighbours_are_covered(clusters: str | None, repetitions: int = 300) -> None:
    """The four images of a group all lie next to one of their class in another group, or all next to one of another."""
    rng = np.random.default_rng(1)
    share = 0.6
    good = rng.random((60, 1 + repetitions)) < share
    # Far from all others two groups have an image of each class, which are each the other's nearest.
    anchors = np.array([0, 1, 0.001, 1.001])
    near = np.where(good[:, None], np.linspace(0.1, 0.2, 4)[:, None], np.linspace(0.8, 0.9, 4)[:, None])
    places = np.concatenate([near, np.broadcast_to(anchors[:, None], near.shape)], axis=1)
    phi = (100.0 * np.arange(60)[:, None, None] + places).reshape(480, -1, 1)
    groups = (3 * np.arange(60)[:, None] + [0, 0, 0, 0, 1, 1, 2, 2]).ravel()
    data = dataset(phi, groups, np.tile([0, 0, 0, 0, 0, 1, 0, 1], 60))
    found = semantics.neighbours(data, k=1, distances="euclidean", clusters=clusters)
    at_least_the_level(covered(found, "precision", (4 * share + 4) / 8), repetitions)


def correlations_are_covered(grouped: bool, statistic: str, repetitions: int = 200) -> None:
    """A = share G + (1 − share) E of independent G and E, which a group's images have in common: the truth is known."""
    rng = np.random.default_rng(2)
    share, number, size = 0.5, 60, 3
    groups = np.repeat(np.arange(number), size)

    def vectors(count: int) -> np.ndarray:
        x = rng.normal(size=(count, 4)) + 1.5 * np.eye(4)[0]
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    # A million independent pairs of two groups: the truth to within 0.002, a thirtieth of the intervals' width.
    g, e = (1 - (vectors(1_000_000) * vectors(1_000_000)).sum(axis=1) for _ in range(2))
    a = share * g + (1 - share) * e
    if statistic == "spearman":
        a, g = rankdata(a), rankdata(g)
    truth = np.corrcoef(a, g)[0, 1]
    hits = 0
    for _ in range(repetitions):
        one, two = (kernels_pairs.distance_matrix(vectors(number)[groups], "cosine") for _ in range(2))
        both = share * one + (1 - share) * two, one
        made = [kernels_correlation.transformed(d, statistic, groups if grouped else None) for d in both]
        r = kernels_correlation.partial(kernels_correlation.gram(made, made), ())
        low, high, _ = jackknifed_correlation(r, LEVEL)
        hits += int(low <= truth <= high)
    at_least_the_level(hits / repetitions, repetitions)


def test_intervals_over_groups_cover_how_often_images_are_found_again() -> None:
    found_again_is_covered("photograph")


def test_intervals_over_groups_cover_how_many_neighbours_have_the_label() -> None:
    labels_of_neighbours_are_covered("photograph")


@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_intervals_over_groups_cover_correlations_of_distances(statistic: str) -> None:
    correlations_are_covered(True, statistic)


def test_intervals_over_images_of_groups_do_not_cover() -> None:
    for call in (
        lambda: found_again_is_covered(None, 100),
        lambda: labels_of_neighbours_are_covered(None, 100),
        lambda: correlations_are_covered(False, "pearson", 50),
    ):
        with pytest.raises(AssertionError):
            call()


def p_values_are_honest(grouped: bool) -> None:
    """No more than a share a of p-values is at most a, up to what 300 simulations can be off."""
    rng = np.random.default_rng(3)
    repetitions, m = 300, 99
    groups = np.repeat(np.arange(10), 4)
    p = np.empty(repetitions)
    for k in range(repetitions):
        centred = [
            kernels_pairs.centred(
                kernels_pairs.distance_matrix(
                    (rng.normal(size=(10, 3)))[groups] + 0.1 * rng.normal(size=(40, 3)), "euclidean"
                )
            )
            for _ in range(2)
        ]
        orders = kernels_correlation.permutations_of(40, m, k, groups if grouped else None)
        products = np.array([[(x * y).sum(dtype=float) for y in centred] for x in centred])
        moved = kernels_correlation.permuted_products(centred, centred, orders)
        r = float(kernels_correlation.partial(products, ()))
        p[k] = kernels_correlation.p_values(r, kernels_correlation.permuted_statistics(products, moved, ()))
    at = np.arange(1, m + 2) / (m + 1)
    excess = ((p[:, None] <= at + 1e-9).mean(axis=0) - at).max()
    # Dvoretzky, Kiefer & Wolfowitz, one-sided: exceeded in 1 of 1000 cases at most.
    assert excess <= math.sqrt(math.log(1000) / (2 * repetitions)), excess


def test_exchanging_whole_groups_makes_p_values_that_are_not_too_small() -> None:
    p_values_are_honest(True)


def test_exchanging_images_of_groups_makes_p_values_too_small() -> None:
    with pytest.raises(AssertionError):
        p_values_are_honest(False)


def test_groups_are_subsampled_whole_and_named_in_the_findings() -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), 3)
    data = dataset(rng.normal(size=(90, 2, 3)), groups, rng.integers(3, size=90))
    options = {"permutations": 99, "distances": "euclidean", "statistics": "pearson"}
    found = semantics.correlate(data, {"label": "label"}, clusters="photograph", max_images=50, **options)
    assert (found.attrs["images"], found.attrs["clusters"]) == (48, "photograph")
    whole = semantics.analyse(data, clusters="photograph", k=3, resamples=100, reference=0.01, **options)
    alone = semantics.analyse(data, k=3, resamples=100, reference=0.01, **options)
    assert whole.attrs["clusters"] == "photograph"
    xr.testing.assert_equal(whole.reciprocal_rank, alone.reciprocal_rank)
    for name in ("correlation", "precision", "reciprocal_rank"):
        assert not whole[f"{name}_low"].equals(alone[f"{name}_low"])


def test_groups_all_of_unlike_sizes_can_be_exchanged_in_one_way_only_which_proves_nothing() -> None:
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(12), np.arange(1, 13))
    meaning = rng.normal(size=(78, 2))
    data = dataset(meaning[:, None], groups)
    options = {"permutations": 99, "distances": "euclidean", "statistics": "pearson"}
    others = {"meaning": xr.DataArray(meaning, dims=("image", "feature"))}
    assert semantics.correlate(data, others, **options).p_permutation.item() == 0.01
    assert semantics.correlate(data, others, clusters="photograph", **options).p_permutation.item() == 1


def test_the_order_of_images_in_groups_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    groups = rng.permutation(np.repeat(np.arange(30), 3))
    data = dataset(rng.normal(size=(90, 2, 3)), groups, rng.integers(3, size=90))
    options = {"clusters": "photograph", "distances": "euclidean", "k": 3, "resamples": 100, "permutations": 99}
    one, two = (
        semantics.analyse(d, statistics="pearson", reference=0.01, max_images=60, **options)
        for d in (data, data.isel(image=rng.permutation(90)))
    )
    for name in ("correlation_low", "p_permutation", "precision_low", "reciprocal_rank_high"):
        np.testing.assert_allclose(one[name], two[name])


def crops(seed: int, number: int, size: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """φ of crops of photographs, near one another; the photographs' classes, which φ has nothing to do with."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(number), size)
    phi = rng.normal(size=(number, 6))[groups] + 0.3 * rng.normal(size=(number * size, 6))
    return phi, groups, rng.permutation(np.arange(number) % 4)[groups]


def crops_say_nothing_of_classes(number: int = 20, repetitions: int = 150) -> None:
    """Intervals of what is nothing lie above it in 2.5 % of cases."""
    above = np.zeros(4, int)
    values = []
    options = {"distances": "euclidean", "clusters": "photograph"}
    for seed in range(repetitions):
        phi, groups, label = crops(seed, number)
        data = dataset(phi[:, None], groups, label)
        found = semantics.correlate(data, {"label": "label"}, permutations=0, **options).squeeze()
        near = semantics.neighbours(data, k=3, resamples=200, **options).squeeze()
        above[:3] += found.correlation_low.values > 0
        above[3] += bool(near.precision_low > near.precision_chance)
        values.append([*found.correlation.values, (near.precision - near.precision_chance).item()])
    # More in one of the four with probability below 4 in 1000.
    assert (above <= binom.isf(1e-3, repetitions, 0.025)).all(), above
    mean, error = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / math.sqrt(repetitions)
    assert (np.abs(mean) <= 4 * error).all(), mean


def test_crops_of_photographs_that_say_nothing_of_classes_are_found_to_say_nothing() -> None:
    crops_say_nothing_of_classes()


def repeated(data: xr.Dataset, times: int) -> xr.Dataset:
    """Each image so many times, its copies named by it, in an order of their own."""
    order = np.random.default_rng(0).permutation(times * data.sizes["image"])
    copies = data.isel(image=order % data.sizes["image"])
    names = copies["image"].values
    ids = np.array([f"{name} copy {k}" for k, name in enumerate(names)], object)
    return copies.assign_coords(image=("image", ids, data["image"].attrs))


@pytest.mark.parametrize("noise_free", [False, True])
def test_images_given_several_times_are_what_they_are_once(noise_free: bool) -> None:
    rng = np.random.default_rng(8)
    x, label = rng.gamma(2, size=(30, 2, 6)), rng.integers(3, size=30)
    draws = (x[:, :, None] + 0.3 * rng.normal(size=(30, 2, 4, 6))).astype(np.float32)
    data = dataset(draws.mean(axis=2), np.arange(30), label)
    data = data.assign(
        phi_se=(data.phi.dims, draws.std(axis=2, ddof=1) / 2),
        phi_draws=(("image", "sigma", "draw", "channel"), draws),
    ).assign_coords(draw=np.arange(4))
    gist = rng.normal(size=(30, 3))
    options = {"noise_free": noise_free, "permutations": 99}
    findings = []
    for one in (data, repeated(data, 3)):
        alone = one is data
        place = [int(name.split()[1]) for name in one.photograph.values]
        again = xr.DataArray(gist[place], dims=("image", "feature"))
        which = {"clusters": "photograph"}
        found = semantics.correlate(
            one, {"label": "label", "gist": again}, given=["gist"], controls={"level": again}, **options, **which
        )
        near = semantics.neighbours(one, k=2 if alone else 6, noise_free=noise_free, resamples=100, **which)
        kept = semantics.reliability(one, **which)
        findings.append((found, near, kept))
    for one, two, names in zip(
        *findings,
        (
            ("correlation", "correlation_low", "p_jackknife", "control_correlation", "difference", "difference_high"),
            ("precision", "precision_chance"),
            ("reliability", "reliability_low", "median_channel_reliability"),
        ),
        strict=True,
    ):
        for name in names:
            # Ranks without a group are of first order in its share of pairs, the same of either.
            np.testing.assert_allclose(one[name], two[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_label_and_clusters_of_one_name_ask_for_neighbours_of_the_own_group() -> None:
    phi, groups, _ = crops(1, 20)
    data = dataset(phi[:, None], groups)
    found = semantics.neighbours(data, k=1, label="photograph", distances="euclidean", clusters="photograph")
    alone = semantics.neighbours(data, k=1, label="photograph", distances="euclidean")
    xr.testing.assert_equal(found.precision, alone.precision)
    assert found.precision_chance.item() == pytest.approx(3 / 79)
    other = data.assign_coords(kind=("image", data.photograph.values))
    with pytest.raises(InputError, match="no label is of images of two groups of clusters"):
        semantics.neighbours(other, k=1, label="kind", distances="euclidean", clusters="photograph")
    with pytest.raises(InputError, match="same for all pairs of images of different groups, which alone count"):
        semantics.correlate(other, {"kind": "kind"}, clusters="photograph")
    whole = semantics.analyse(
        data, label="photograph", others={"x": data.phi.isel(sigma=0)}, k=1, permutations=0, clusters="photograph"
    )
    assert whole.other.values.tolist() == ["x"]
    with pytest.raises(InputError, match=r"k=77: .* between 1 and 76, the images of other groups than the largest"):
        semantics.neighbours(data, k=77, clusters="photograph")


def test_numbers_of_a_coordinate_are_classes_by_name_and_numbers_by_array() -> None:
    phi, groups, _ = crops(2, 20)
    data = dataset(phi[:, None], groups).assign_coords(size=("image", np.arange(80.0)))
    with pytest.raises(InputError, match=r"coordinate named 'size' are taken as names .* give data\['size'\] itself"):
        semantics.correlate(data, {"a": "size"})
    apart = np.abs(np.arange(80)[:, None] - np.arange(80)).astype(np.float32)
    options = {"permutations": 0, "distances": "euclidean"}
    one, two = (
        semantics.correlate(data, {"size": other}, **options)
        for other in (data["size"], xr.DataArray(apart, dims=("image", "other_image")))
    )
    np.testing.assert_allclose(one.correlation, two.correlation, atol=1e-6)
