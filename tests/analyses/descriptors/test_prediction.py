"""φ as far as it is a function of descriptors: what only follows these says nothing beyond them; more is seen."""

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances

from analyses import descriptors, semantics
from analyses.descriptors import kernels_prediction as kernels
from analyses.descriptors.kernels_classes import STRENGTHS, probabilities
from analyses.descriptors.kernels_prediction import GAMMAS, PENALTIES, crossfitted, folds_of, solved
from analyses.ground import varies
from probekit import labels
from probekit.errors import InputError

IMAGES, FEATURES, SEEDS = 240, 6, 20


def made(phi: np.ndarray, label: np.ndarray) -> xr.Dataset:
    images, channels = phi.shape
    return labels.representation(
        {"phi": phi[:, None]},
        ids=[f"i{i}" for i in range(images)],
        labels=[f"class {one}" for one in label],
        sigma=[0.1],
        channels={"mid": channels},
        attrs={"draws": 1},
    )


def drawn(seed: int, kind: str, beyond: float = 0.0) -> tuple[xr.Dataset, xr.DataArray]:
    """φ that is a function of gist alone, and classes that gist tells too, to which φ may add something of its own."""
    rng = np.random.default_rng(seed)
    gist = rng.normal(size=(IMAGES, FEATURES))
    mixing = rng.normal(size=(FEATURES, 20)) / np.sqrt(FEATURES)
    # Classes follow gist, though not gist's distances: three of its directions count, with noise.
    label = ((gist[:, :3] + 0.5 * rng.normal(size=(IMAGES, 3))) > 0) @ [1, 2, 4]
    phi = {
        "squares": (gist @ mixing) ** 2,
        "saturated": np.tanh(2 * gist[:, :3] @ rng.normal(size=(3, 20))),
        "products": (gist @ mixing) * (gist @ mixing[:, ::-1]),
    }[kind]
    phi = phi / phi.std() + 0.05 * rng.normal(size=phi.shape)
    own = rng.normal(size=(8, 20))
    data = made(phi + beyond * own[label.astype(int)], label.astype(int))
    described = xr.DataArray(gist, dims=("image", "feature"), coords={"image": data["image"].values})
    return data, described


def given_distances(data: xr.Dataset, gist: xr.DataArray) -> xr.Dataset:
    """Correlation of distances with the class given distances in gist."""
    found = semantics.correlate(
        data,
        {"label": "label", "gist": gist},
        given=["gist"],
        distances=["euclidean"],
        statistics=["spearman"],
        permutations=0,
    )
    return found.sel(other="label", given="gist", distance="euclidean", statistic="spearman").isel(sigma=0, block=0)


@pytest.mark.parametrize("kind", ["squares", "products"])
def test_a_function_of_gist_alone_is_seldom_found_to_say_more_than_gist(kind: str) -> None:
    found = [descriptors.beyond(*drawn(seed, kind)) for seed in range(SEEDS)]
    # Tests of 5 %: among twenty more than this with probability below 10⁻³. Intervals of 95 %, each end 2.5 %.
    assert sum(bool(one.p_value < 0.05) for one in found) <= binom.isf(1e-3, SEEDS, 0.05)
    assert sum(bool(one.correlation_low > 0) for one in found) <= binom.isf(1e-3, SEEDS, 0.025)


def test_what_both_regressions_smooth_is_a_tenth_of_what_distances_given_gist_take_for_more() -> None:
    sets = [drawn(seed, "saturated") for seed in range(6)]
    left = [descriptors.beyond(*one).correlation.item() for one in sets]
    taken = [given_distances(*one) for one in sets]
    # A function of gist alone, which distances given those in gist take for more than gist, every time.
    assert all(one.correlation_low > 0.1 for one in taken)
    assert np.mean(left) < 0.1 * np.mean([one.correlation.item() for one in taken])


@pytest.mark.parametrize("kind", ["squares", "saturated", "products"])
def test_what_phi_says_of_the_class_beyond_gist_is_found(kind: str) -> None:
    for seed in range(3):
        found = descriptors.beyond(*drawn(seed, kind, beyond=0.3))
        assert found.correlation_low > 0.1
        assert found.p_value == 0.001


def test_the_difference_from_another_phi_is_paired() -> None:
    data, gist = drawn(0, "squares", beyond=0.3)
    less, _ = drawn(0, "squares")
    found = descriptors.beyond(data, gist, against=less.isel(image=slice(None, None, -1)))
    alone = descriptors.beyond(less, gist)
    np.testing.assert_allclose(found.difference, found.correlation - alone.correlation, atol=1e-6)
    assert found.difference_low > 0
    same = descriptors.beyond(data, gist, against=data)
    np.testing.assert_allclose([same.difference, same.difference_low, same.difference_high], 0, atol=1e-7)


def test_predictions_made_once_say_of_each_phi_to_the_last_bit_what_is_said_of_it_alone() -> None:
    (data, gist), (less, _), (other, _) = drawn(0, "squares", beyond=0.3), drawn(0, "squares"), drawn(0, "products")
    # Two noise levels, to whose φ others are compared, each with its own; and several taps beside its one.
    levels = [xr.concat([one, one.assign_coords(sigma=[0.2]) ** 2], "sigma") for one in (data, less, other)]
    levels = [one.assign_attrs(data.attrs) for one in levels]
    several = levels[0].assign_coords(tap=("channel", ["enc"] * 5 + ["mid"] * 15))
    options: dict[str, Any] = {"against": levels[1], "seed": 3}
    made, how = descriptors.Predictions(levels[2], gist, **options), {"permutations": 99, "level": 0.9}
    for one in (levels[0], levels[2], several, levels[0].isel(image=slice(None, None, -1))):
        xr.testing.assert_identical(made.beyond(one, **how), descriptors.beyond(one, gist, **options, **how))
    found, alone = made.beyond(levels[0]), made.beyond(levels[1])
    # Each noise level beside its own.
    np.testing.assert_allclose(found.difference, found.correlation - alone.correlation, atol=1e-6)
    np.testing.assert_allclose(alone.difference, 0, atol=1e-7)


def test_predictions_are_of_their_own_images_and_classes() -> None:
    data, gist = drawn(0, "squares")
    made = descriptors.Predictions(data, gist)
    with pytest.raises(InputError, match="other images than predictions were made for"):
        made.beyond(data.isel(image=slice(1, None)))
    with pytest.raises(InputError, match="classes of 'label' are others than predictions were made for"):
        made.beyond(data.assign_coords(label=("image", data.label.values[::-1])))
    with pytest.raises(InputError, match="phi"):
        made.beyond(data.drop_vars("phi"))
    # Of φ without classes they are those of the images.
    xr.testing.assert_equal(made.beyond(data.drop_vars("label")), made.beyond(data))


def test_a_class_that_gist_tells_whole_leaves_nothing() -> None:
    data, _ = drawn(0, "squares")
    label = np.unique(data.label, return_inverse=True)[1]
    apart = 10.0 * np.eye(8)[label] + 0.01 * np.random.default_rng(0).normal(size=(IMAGES, 8))
    described = xr.DataArray(apart, dims=("image", "feature"), coords={"image": data["image"].values})
    assert abs(descriptors.beyond(data, described).correlation.item()) < 0.05


def test_more_noise_of_one_kind_of_image_is_no_relation() -> None:
    # Both remainders are large at the same images, and have no covariance: distances between them would be related.
    above = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        gist = rng.normal(size=(IMAGES, 3))
        loud = np.exp(1.5 * gist[:, :1])
        phi = loud * rng.normal(size=(IMAGES, 10))
        label = rng.integers(0, 4, IMAGES) * (gist[:, 0] > 0)
        data = made(phi, label)
        described = xr.DataArray(gist, dims=("image", "feature"), coords={"image": data["image"].values})
        above.append(bool(descriptors.beyond(data, described).p_value < 0.05))
    assert sum(above) <= binom.isf(1e-3, SEEDS, 0.05)


def test_the_correlation_is_the_unbiased_one_over_pairs_of_other_groups() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    groups = np.repeat(np.arange(4), 3)
    values, _ = kernels.shared(a, b, groups)

    def by_hand(kept: np.ndarray) -> float:
        products = [
            ((a[i] @ a[j]) * (b[i] @ b[j]), (a[i] @ a[j]) ** 2, (b[i] @ b[j]) ** 2)
            for i in kept
            for j in kept
            if groups[i] != groups[j]
        ]
        top, first, second = np.sum(products, axis=0)
        return top / np.sqrt(first * second)

    np.testing.assert_allclose(values[0], by_hand(np.arange(12)))
    for g in range(4):
        np.testing.assert_allclose(values[1 + g], by_hand(np.flatnonzero(groups != g)))


def test_predictions_are_made_by_images_of_other_folds_alone() -> None:
    data, gist = drawn(0, "squares")
    rng = np.random.default_rng(1)
    noise = data.assign(phi=data.phi.copy(data=rng.normal(size=data.phi.shape)))
    found = descriptors.predicted(noise, gist)
    # Of what has nothing to do with gist nothing is predicted; by an image's own value all would be.
    assert (found.explained < 0.1).all()
    assert not np.allclose(descriptors.predicted(noise, gist, seed=1).phi, found.phi)


def test_weights_are_of_images_of_other_folds_and_make_the_predictions() -> None:
    data, gist = drawn(0, "squares")
    features, phi = gist.values, data.phi.values[:, 0].astype(np.float64)
    folds = folds_of(IMAGES, 5, 0, None)
    (one,) = crossfitted(solved(features, folds), [phi])
    for _, left in folds:
        assert (one.weights[np.ix_(left, left)] == 0).all()
    # Single precision, of weights that sum to 1.
    np.testing.assert_allclose(one.weights.sum(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(one.weights @ phi, one.predicted, atol=1e-3)


def test_predictions_are_those_of_scikit_learns_kernel_ridge_at_the_best_width_and_penalty() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(60, 2))
    line = features @ rng.normal(size=(2, 4))
    # From smooth to wavy, from little noise to much: every width and every penalty is the best of some target.
    targets = [
        y + noise * rng.normal(size=y.shape)
        for y, noise in [
            (line, 0.0),
            (line, 0.1),
            (line, 1.0),
            (line, 6.0),
            (np.sin(1.5 * features), 0.01),
            (np.sin(2 * line), 0.1),
        ]
    ]
    folds = folds_of(60, 5, 0, None)
    squared = pairwise_distances(features, metric="sqeuclidean")
    squared = squared / np.median(squared[np.triu_indices(60, 1)])
    found, chosen = crossfitted(solved(features, folds), targets), set()
    for target, own in zip(targets, found, strict=True):
        tried = {}
        for gamma, penalty in itertools.product([0.02, 0.1, 0.5, 2.0], [1e-6, 1e-4, 1e-2, 1.0]):
            kernel, predicted = np.exp(-gamma * squared), np.empty_like(target)
            for fitted, left in folds:
                within = kernel[np.ix_(fitted, fitted)]
                alpha = penalty * np.linalg.eigvalsh(within)[-1]
                ridge = KernelRidge(alpha=alpha, kernel="precomputed")
                mean = target[fitted].mean(axis=0)
                predicted[left] = ridge.fit(within, target[fitted] - mean).predict(kernel[np.ix_(left, fitted)]) + mean
            tried[gamma, penalty] = (((predicted - target) ** 2).mean(axis=0) / target.var(axis=0)).mean(), predicted
        best = min(tried, key=lambda one: tried[one][0])
        chosen.add(best)
        np.testing.assert_allclose(own.predicted, tried[best][1], rtol=1e-5, atol=1e-5)
    assert {gamma for gamma, _ in chosen} == set(GAMMAS)
    assert {penalty for _, penalty in chosen} == set(PENALTIES)


def test_classes_are_predicted_as_by_scikit_learns_logistic_regression_at_the_best_penalty() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(120, 3))
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    classes = np.digitize(features[:, 0] + 0.3 * rng.normal(size=120), [-0.5, 0.5])
    folds = folds_of(120, 5, 0, None)
    tried = {}
    for strength in STRENGTHS:
        predicted = np.empty((120, 3))
        for fitted, left in folds:
            scale = np.sqrt((features[fitted] ** 2).sum(axis=1).mean())
            one = LogisticRegression(C=strength, max_iter=1000).fit(features[fitted] / scale, classes[fitted])
            predicted[left] = one.predict_proba(features[left] / scale)
        tried[strength] = ((predicted - np.eye(3)[classes]) ** 2).mean(), predicted
    best = min(tried.values(), key=lambda one: one[0])[1]
    # Both stop where no gradient of the mean loss is above 10⁻⁴.
    np.testing.assert_allclose(probabilities(features, classes, folds), best, atol=0.01)


def predictions_from_the_same_images_are_no_relation(grouped: bool) -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(24), 3) if grouped else np.arange(60)
    count = len(groups)
    features = rng.normal(size=(count, 10))
    weights = np.zeros((count, count))
    for fitted, left in folds_of(count, 5, 0, groups if grouped else None):
        # Least squares: the features predict nothing, and both remainders have the errors of the same fit.
        weights[np.ix_(left, fitted)] = features[left] @ np.linalg.pinv(features[fitted])
    found = []
    for _ in range(100):
        shown = [rng.normal(size=(groups.max() + 1, 30))[groups] + rng.normal(size=(count, 30)) for _ in "ab"]
        a, b = (one - weights @ one for one in shown)
        found.append(kernels.shared(a, b, groups if grouped else None, weights=weights)[0][0])
    # Four standard errors: of no relation, less than one seed in ten thousand.
    assert abs(np.mean(found)) < 4 * np.std(found) / 10


@pytest.mark.parametrize("grouped", [False, True])
def test_what_two_remainders_owe_to_predictions_from_the_same_images_is_no_relation(grouped: bool) -> None:
    predictions_from_the_same_images_are_no_relation(grouped)


@pytest.mark.parametrize(("images", "of_class", "channels"), [(100, 5, 256), (60, 3, 5)])
def test_where_phi_gist_and_class_are_independent_nothing_is_found(images: int, of_class: int, channels: int) -> None:
    found = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        data = made(rng.normal(size=(images, channels)), rng.permutation(np.arange(images) // of_class))
        gist = xr.DataArray(rng.normal(size=(images, 8)), {"image": data["image"].values}, ("image", "feature"))
        found.append(descriptors.beyond(data, gist, permutations=199))
    # Tests of 5 %, intervals of 95 %, each end 2.5 %: as above.
    assert sum(bool(one.p_value <= 0.05) for one in found) <= binom.isf(1e-3, SEEDS, 0.05)
    assert sum(bool(one.correlation_low > 0) for one in found) <= binom.isf(1e-3, SEEDS, 0.025)


def sharp(seed: int, noise: float = 0.0) -> tuple[xr.Dataset, xr.DataArray]:
    """φ and the class both steep functions of one direction of gist."""
    rng = np.random.default_rng(seed)
    gist = rng.normal(size=(200, 6))
    label = (gist[:, 0] > 0).astype(int)
    data = made(np.tanh(4 * gist[:, :4]) + 0.1 * rng.normal(size=(200, 4)) + noise * label[:, None], label)
    return data, xr.DataArray(gist, {"image": data["image"].values}, ("image", "feature"))


def a_sharp_border_in_gist_is_not_beyond_it() -> None:
    found = [descriptors.beyond(*sharp(seed), permutations=199) for seed in range(10)]
    assert sum(bool(one.correlation_low > 0) for one in found) <= binom.isf(1e-3, 10, 0.025)
    # The border is a plane: at the most some images of a hundred next to it are on the wrong side.
    assert min(one.class_explained.item() for one in found) > 0.8


def test_a_sharp_border_between_classes_in_gist_is_not_beyond_it() -> None:
    a_sharp_border_in_gist_is_not_beyond_it()


def ringed(seed: int) -> tuple[xr.Dataset, xr.DataArray]:
    """φ and the class both steep functions of how far gist is from its middle, in two directions of six."""
    rng = np.random.default_rng(seed)
    gist = rng.normal(size=(120, 6))
    apart = (gist[:, :2] ** 2).sum(axis=1, keepdims=True) - 1.4
    phi = np.tanh(2 * apart * rng.normal(size=(1, 6))) + 0.1 * rng.normal(size=(120, 6))
    label = (apart[:, 0] + 0.5 * rng.normal(size=120) > 0).astype(int)
    data = made(phi, label)
    return data, xr.DataArray(gist, {"image": data["image"].values}, ("image", "feature"))


def the_p_value_agrees_with_the_interval() -> None:
    # Rings are hard to learn from so few images: something is left, which the two would judge apart.
    found = [descriptors.beyond(*ringed(seed), permutations=199) for seed in range(10)]
    assert not any(one.p_value <= 0.05 and one.correlation_low <= 0 for one in found)


def test_no_small_p_value_goes_with_an_interval_that_holds_0() -> None:
    the_p_value_agrees_with_the_interval()


@pytest.mark.parametrize("of", ["data", "against"])
def test_phi_that_is_constant_is_warned_of_and_has_no_p_value(of: str) -> None:
    data, gist = drawn(0, "squares")
    flat = data.assign(phi=data.phi * 0)
    given = (flat, None) if of == "data" else (data, flat)
    with pytest.warns(RuntimeWarning, match="φ is the same for all images"):
        found = descriptors.beyond(given[0], gist, against=given[1], permutations=99)
    empty = ["correlation", "correlation_low", "correlation_high", "p_value"]
    if of == "against":
        assert np.isfinite([found[name].item() for name in empty]).all()
        empty = ["difference", "difference_low", "difference_high"]
    assert found[empty].isnull().all().to_array().all()


def test_descriptors_of_more_directions_than_can_be_learned_are_warned_of() -> None:
    data, _ = drawn(0, "squares")
    # (Σλ)²/Σλ² of n images and f independent features is n f/(n + f): 0.5 of the images, and 0.2.
    many = np.random.default_rng(0).normal(size=(IMAGES, IMAGES))
    gist = xr.DataArray(many, {"image": data["image"].values}, ("image", "feature"))
    with pytest.warns(RuntimeWarning, match=r"vary in 1\d\d directions over 240 images"):
        descriptors.beyond(data, gist, permutations=99)
    descriptors.beyond(data, gist.isel(feature=slice(IMAGES // 4)), permutations=99)


def test_a_noise_level_in_single_precision_is_the_same_noise_level() -> None:
    data, gist = drawn(0, "squares")
    other = data.assign_coords(sigma=data.sigma.astype(np.float32))
    found = descriptors.beyond(data, gist, against=other, permutations=99)
    np.testing.assert_allclose(found.difference, 0, atol=1e-7)
    with pytest.raises(InputError, match="noise levels"):
        descriptors.beyond(data, gist, against=data.assign_coords(sigma=[0.2]))


def test_groups_stay_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(40), 6)
    gist, phi = rng.normal(size=(40, 5))[source], rng.normal(size=(40, 8))[source]
    data = made(phi, source).assign_coords(source=("image", source.astype(str)))
    described = xr.DataArray(gist, dims=("image", "feature"), coords={"image": data["image"].values})
    # Copies of one image predict one another, unless they are kept together.
    assert (descriptors.predicted(data, described).explained > 0.9).all()
    assert (descriptors.predicted(data, described, clusters="source").explained < 0.3).all()


def test_the_order_of_images_and_units_of_features_change_nothing() -> None:
    data, gist = drawn(0, "products")
    found = descriptors.predicted(data, gist)
    turned = descriptors.predicted(data, (gist * 7 + 3).isel(image=slice(None, None, -1)))
    np.testing.assert_allclose(found.phi, turned.phi, atol=1e-8)
    several = descriptors.predicted(data, {"gist": gist})
    np.testing.assert_allclose(found.phi, several.phi)


def few(data: xr.Dataset) -> xr.Dataset:
    return data.assign_coords(
        label=("image", np.where(np.arange(IMAGES) < 2, "small", "other")),
        pair=("image", (np.arange(IMAGES) // 2).astype(str)),
    )


REFUSED = [
    (lambda d, g: descriptors.beyond(d.isel(image=slice(19)), g), "of 19 images: give 20 at least"),
    (lambda d, g: descriptors.beyond(d, g, label="kind"), "kind"),
    (lambda d, g: descriptors.beyond(few(d), g), "small has 2 images: give 3 of each class at least"),
    (
        lambda d, g: descriptors.beyond(few(d), g, clusters="pair"),
        "small has 1 groups of images: give 3 of each class at least",
    ),
    (lambda d, g: descriptors.beyond(d, g * 1e300), "holds numbers as large as .*e.300: give at most 1e.100"),
    (lambda d, g: descriptors.beyond(d, g, permutations=9), "permutations=9: give a whole number ≥ 99"),
    (lambda d, g: descriptors.beyond(d, g, level=2), "level=2"),
    (lambda d, g: descriptors.beyond(d, g, against=d.isel(image=slice(1, None))), "against is of other images"),
    (lambda d, g: descriptors.predicted(d.isel(image=slice(19)), g), "of 19 images: give 20 at least"),
    (lambda d, _: descriptors.predicted(d, {}), "descriptors is empty: give a DataArray"),
    (lambda d, g: descriptors.predicted(d, g.values), "give a DataArray"),
    (lambda d, g: descriptors.predicted(d, {"gist": g.isel(image=slice(9))}), "lacks 231 images, such as i9"),
    (lambda d, g: descriptors.predicted(d, g * 0), "the same for all images: leave it out"),
    (lambda d, g: descriptors.predicted(d, g * np.nan), "holds NaN or infinite numbers"),
    (lambda d, g: descriptors.predicted(d, g, folds=1), "folds=1: give a whole number ≥ 2"),
    (lambda d, g: descriptors.predicted(d, g, folds=100), "folds=100 of 240 images: give 60 at most"),
    (lambda d, g: descriptors.predicted(d, g, clusters="source"), "source"),
    (lambda d, g: descriptors.predicted(d.drop_vars("phi"), g), "phi"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_makes_no_sense_is_one_clear_error(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(*drawn(0, "squares"))


@pytest.mark.parametrize("value", [0.1, 1e-8, 1e6])
def test_channels_that_do_not_vary_add_nothing(value: float) -> None:
    data, gist = drawn(0, "squares", beyond=0.3)
    constant = np.full((IMAGES, 1, 30), value)
    more = made(np.concatenate([data.phi.values, constant], axis=2)[:, 0], np.zeros(IMAGES))
    more = more.assign_coords(label=data.label, image=data.image)
    more["phi"] = more.phi.dims, np.concatenate([data.phi.values.astype(np.float64), constant], axis=2)
    assert more.phi.dtype == np.float64
    # A mean of numbers that are the same is not the number: what is left is rounding, and no channel. Nor does a loud
    # channel silence others.
    assert varies(np.array([[1e15, 1.0, 0.1], [3e15, 2.0, 0.1]])).tolist() == [True, True, False]
    assert varies(more.phi.values[:, 0]).sum() == data.sizes["channel"]
    found, own = (descriptors.beyond(one, gist) for one in (more, data))
    np.testing.assert_allclose(found.correlation, own.correlation, rtol=1e-3)
    assert descriptors.predicted(more, gist).explained.isel(channel=slice(-30, None)).isnull().all()


def test_the_order_of_images_changes_nothing() -> None:
    data, gist = drawn(0, "squares", beyond=0.3)
    turned = data.isel(image=slice(None, None, -1))
    both = (descriptors.beyond(one, gist).data_vars.values() for one in (data, turned))
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    straight, back = (descriptors.predicted(d, gist).phi for d in (data, turned))
    np.testing.assert_allclose(straight, back.isel(image=slice(None, None, -1)), rtol=1e-6)


def test_a_flag_that_most_images_share_is_a_descriptor_and_any_seed_is_one() -> None:
    data, gist = drawn(0, "squares")
    flag = (gist.isel(feature=[0]) > 1.5).astype(float)
    found = descriptors.beyond(data, flag, seed=2**33)
    assert np.isfinite(found.correlation)
