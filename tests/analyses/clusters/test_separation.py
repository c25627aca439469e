"""Where classes lie, apart from how far their images scatter: laws, size, coverage, what distances take for it."""

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom

from analyses import clusters, semantics
from probekit import labels
from probekit.errors import InputError

SEEDS, CHANNELS = 60, 8


def made(phi: np.ndarray, label: np.ndarray) -> xr.Dataset:
    return labels.representation(
        {"phi": phi[:, None]},
        ids=[f"i{i}" for i in range(len(phi))],
        labels=[f"class {one}" for one in label],
        sigma=[0.1],
        channels={"mid": phi.shape[1]},
        attrs={"draws": 1},
    )


def drawn(seed: int, sizes: tuple[int, ...], scatter: tuple[float, ...], apart: float = 0.0) -> xr.Dataset:
    """Classes of so many images, each normal with so large a scatter, their means `apart` on axes of their own."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(sizes)), sizes)
    phi = np.array(scatter)[label, None] * rng.normal(size=(len(label), CHANNELS))
    return made(phi + apart * np.eye(len(sizes), CHANNELS)[label], label)


def separation(data: xr.Dataset, **options: Any) -> xr.Dataset:
    return clusters.separation(data, **options).isel(sigma=0, block=0)


@pytest.mark.parametrize(
    ("sizes", "scatter"), [((40, 40), (1, 2)), ((20, 60), (2, 1)), ((60, 20), (2, 1)), ((20, 22, 25, 30), (4, 1, 2, 1))]
)
def test_scatter_alone_is_no_place(sizes: tuple[int, ...], scatter: tuple[float, ...]) -> None:
    found = [separation(drawn(seed, sizes, scatter), permutations=199) for seed in range(SEEDS)]
    # Tests of 5 %: among sixty more than this with probability below 10⁻³; intervals have 2.5 % at either end.
    assert sum(bool(one.p_value <= 0.05) for one in found) <= binom.isf(1e-3, SEEDS, 0.05)
    assert sum(bool(one.separation_low > 0) for one in found) <= binom.isf(1e-3, SEEDS, 0.025)
    # Without bias: the mean lies within four standard errors of 0.
    values = np.array([one.separation.item() for one in found])
    assert abs(values.mean()) < 4 * values.std(ddof=1) / np.sqrt(SEEDS)


@pytest.mark.parametrize(("smallest", "known"), [(19, False), (20, True)])
def test_a_class_of_few_images_has_no_p_value(smallest: int, known: bool) -> None:
    # Random signs of 3 and 60 images find 14 to 20 % of equal means apart at 5 %.
    found = separation(drawn(0, (smallest, 60), (1, 1)), permutations=199)
    assert bool(found.p_value.notnull()) == known
    assert found.separation_low.notnull()


def test_distances_take_scatter_for_class() -> None:
    # Equal means: one class of six images in seven is the tighter, and its images are near one another.
    data = drawn(0, (120, 20), (1, 2))
    taken = semantics.correlate(
        data, {"label": "label"}, distances=["euclidean"], statistics=["spearman"], permutations=199
    ).squeeze()
    assert taken.correlation > 0.5
    assert taken.correlation_low > 0
    assert taken.p_permutation == 0.005
    assert separation(data).separation_low < 0
    assert separation(data).p_value > 0.05


def test_intervals_cover_the_share_of_variance_between_means() -> None:
    sizes, scatter, apart = (30, 40, 50), (1.0, 1.5, 2.0), 1.2
    means = apart * np.eye(3, CHANNELS)
    between = ((means - means.mean(axis=0)) ** 2).sum() / 2
    within = CHANNELS * np.mean(np.square(scatter))
    true = between / (between + within)
    found = [separation(drawn(seed, sizes, scatter, apart), permutations=99) for seed in range(SEEDS)]
    covered = sum(bool((one.separation_low <= true) & (true <= one.separation_high)) for one in found)
    assert covered >= binom.ppf(1e-3, SEEDS, 0.93)
    assert all(bool(one.p_value <= 0.05) for one in found)


def sparse(rng: np.random.Generator, sizes: tuple[int, ...], scatter: tuple[float, ...], channels: int) -> xr.Dataset:
    """Classes of one mean whose channels 1 image in 20 excites, as much as each class scatters."""
    label = np.repeat(np.arange(len(sizes)), sizes)
    shape = (len(label), channels)
    return made(
        np.array(scatter)[label, None] * ((rng.random(shape) < 0.05) * rng.exponential(size=shape) - 0.05), label
    )


def skewed(rng: np.random.Generator, sizes: tuple[int, ...], scatter: tuple[float, ...], channels: int) -> xr.Dataset:
    """Lognormal ones."""
    label = np.repeat(np.arange(len(sizes)), sizes)
    x = np.exp(rng.normal(size=(len(label), channels))) - np.exp(0.5)
    return made(np.array(scatter)[label, None] * x, label)


def skew_is_no_place(law: Any, sizes: tuple[int, ...], scatter: tuple[float, ...], channels: int) -> None:
    rng = np.random.default_rng(5)
    repetitions = 120
    below = above = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the scatter of class", category=RuntimeWarning)
        for _ in range(repetitions):
            found = separation(law(rng, sizes, scatter, channels), permutations=99)
            below += bool(found.p_value <= 0.05)
            above += bool(found.separation_low > 0)
    assert below <= binom.isf(1e-3, repetitions, 0.05), below
    assert above <= binom.isf(1e-3, repetitions, 0.025), above


SKEWED = [
    (sparse, (120, 20), (1, 3), 2),
    (sparse, (120, 60), (1, 3), 1),
    (sparse, (120, 20), (1, 3), 10),
    (skewed, (120, 20), (1, 3), 1),
    (skewed, (120, 20), (1, 3), 2),
]


@pytest.mark.parametrize(("law", "sizes", "scatter", "channels"), SKEWED)
def test_skew_and_scatter_of_a_small_class_are_no_place(
    law: Any, sizes: tuple[int, ...], scatter: tuple[float, ...], channels: int
) -> None:
    skew_is_no_place(law, sizes, scatter, channels)


def test_a_class_that_few_images_excite_has_no_interval_and_no_p_value() -> None:
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(60, 2))
    phi[40:] = -0.05
    label = np.repeat([0, 1], [40, 20])
    for excited, count in (([], 0), ([50], 1.1), ([45, 50], 2)):
        phi[40:] = -0.05
        phi[excited] = 1
        # Squared distances from the mean, of a class of 20 of which m are excited: (1 − m/20)² and (m/20)².
        m = len(excited)
        q = np.repeat([(1 - m / 20) ** 2, (m / 20) ** 2], [m, 20 - m])
        np.testing.assert_allclose(q.sum() ** 2 / (q**2).sum() if m else 0, count, atol=0.5)
        data = made(phi, label)
        if m < 2:
            with (
                pytest.warns(RuntimeWarning, match="of against the scatter of class 1"),
                pytest.warns(
                    RuntimeWarning, match=r"block mid the scatter of class 1 comes of (0|1.1) of its images, and 2"
                ),
            ):
                found = separation(data, against=data)
            known = [found[name].notnull().item() for name in ("separation_low", "separation_high", "p_value")]
            assert known == [False] * 3
            assert found.difference_low.isnull()
            assert found.separation.notnull()
        else:
            assert separation(data).p_value.notnull()


def test_it_is_what_its_formula_says() -> None:
    data = drawn(3, (5, 7, 9), (1, 2, 3), 1.0)
    found = clusters.separation(data)
    phi, names = data.phi.values[:, 0].astype(float), data.label.values
    parts = [phi[names == one] for one in sorted(set(names))]
    square = [((one - one.mean(axis=0)) ** 2).sum() / (len(one) - 1) for one in parts]
    pairs = [
        ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() - square[i] / len(a) - square[j] / len(b)
        for i, a in enumerate(parts)
        for j, b in enumerate(parts)
        if i < j
    ]
    between = np.mean(pairs) / 2
    np.testing.assert_allclose(found.separation.item(), between / (between + np.mean(square)), rtol=1e-5)
    np.testing.assert_allclose(found.scatter.squeeze(), square, rtol=1e-5)
    assert list(found["class"].values) == ["class 0", "class 1", "class 2"]


def test_copies_of_images_are_taken_whole() -> None:
    above = {True: 0, False: 0}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        label = np.repeat([0, 1, 2], 12)
        source = np.repeat(np.arange(36), 5)
        phi = rng.normal(size=(36, CHANNELS))[source] + 0.1 * rng.normal(size=(180, CHANNELS))
        data = made(phi, label[source]).assign_coords(source=("image", source.astype(str)))
        for whole in above:
            one = separation(data, clusters="source" if whole else None, permutations=199)
            above[whole] += bool(one.p_value <= 0.05)
    assert above[True] <= binom.isf(1e-3, SEEDS, 0.05)
    assert above[False] > SEEDS // 2


def test_groups_may_lie_across_classes_and_one_image_a_group_changes_nothing() -> None:
    data = drawn(2, (20, 20), (1, 2), 0.5)
    alone = data.assign_coords(source=("image", np.arange(40).astype(str)))
    xr.testing.assert_allclose(
        clusters.separation(data).drop_attrs(), clusters.separation(alone, clusters="source").drop_attrs()
    )
    across = data.assign_coords(source=("image", np.tile(np.arange(20), 2).astype(str)))
    assert np.isfinite(clusters.separation(across, clusters="source").separation_low).all()


def test_the_difference_from_another_phi_is_paired() -> None:
    data = drawn(0, (30, 30), (1, 2), 2.0)
    rng = np.random.default_rng(1)
    nearly = data.assign(phi=data.phi + 0.01 * rng.normal(size=data.phi.shape))
    found = separation(data, against=nearly.isel(image=slice(None, None, -1)))
    np.testing.assert_allclose(found.difference, found.separation - separation(nearly).separation, atol=1e-6)
    # Both have nearly the same noise, which goes out of the difference.
    assert found.difference_high - found.difference_low < 0.1 * (found.separation_high - found.separation_low)
    none = separation(data, against=drawn(2, (30, 30), (1, 2)))
    assert none.difference_low > 0
    assert none.p_value == 0.001


def test_order_and_units_change_nothing_and_one_loud_channel_counts_as_others_do_when_standardised() -> None:
    data = drawn(1, (20, 30), (1, 1), 1.0)
    turned = (data * 1).assign(phi=data.phi * 7).isel(image=slice(None, None, -1))
    for name in ("separation", "separation_low", "separation_high", "p_value"):
        np.testing.assert_allclose(clusters.separation(data)[name], clusters.separation(turned)[name], rtol=1e-5)
    loud = data.assign(phi=data.phi * xr.DataArray([1e3] + [1.0] * (CHANNELS - 1), dims="channel"))
    np.testing.assert_allclose(
        clusters.separation(data, standardised=True).separation,
        clusters.separation(loud, standardised=True).separation,
        rtol=1e-4,
    )
    assert abs(clusters.separation(loud).separation - clusters.separation(data).separation) > 0.05


def test_a_constant_phi_is_undefined_and_said() -> None:
    data = drawn(0, (10, 10), (1, 1))
    with pytest.warns(RuntimeWarning, match="the same for all images"):
        found = clusters.separation(data.assign(phi=data.phi * 0 + 1))
    assert np.isnan(found.separation).all()
    assert np.isnan(found.p_value).all()


REFUSED = [
    (lambda d: clusters.separation(d, label="kind"), "kind"),
    (lambda d: clusters.separation(d.isel(image=slice(12))), "class 1.* 2 images: give 3 of each class at least"),
    (lambda d: clusters.separation(d.isel(image=slice(10))), "class"),
    (lambda d: clusters.separation(d, permutations=9), "permutations=9: give a whole number ≥ 99"),
    (lambda d: clusters.separation(d, level=2), "level=2"),
    (lambda d: clusters.separation(d, standardised=1), "standardised"),
    (lambda d: clusters.separation(d, against=d.isel(image=slice(1, None))), "against is of other images"),
    (
        lambda d: clusters.separation(d, against=d.assign_coords(sigma=[0.2])),
        "against has noise levels 0.2, the data 0.1",
    ),
    (lambda d: clusters.separation(d, against=d.phi), "Dataset"),
    (
        lambda d: clusters.separation(d.assign_coords(g=("image", np.repeat(["a", "b"], 10))), clusters="g"),
        "2 different classes, and 10 at least",
    ),
]


@pytest.mark.parametrize(("call", "said"), REFUSED)
def test_bad_input_is_refused(call: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call(drawn(0, (10, 10), (1, 1)))
