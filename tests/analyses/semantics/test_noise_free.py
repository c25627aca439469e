"""Distances whose bias by noise is taken off, and how reliable they are, where both are known."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from scipy.stats import binom

from analyses import semantics
from analyses.semantics import kernels_pairs
from probekit import labels
from probekit.errors import InputError
from probekit.machine import netcdf
from probekit.phi import reliability as formulas

METRICS = list(kernels_pairs.METRICS)


def measured(draws: np.ndarray, keep: bool = True, label: np.ndarray | None = None) -> xr.Dataset:
    """φ at 0.1, 0.2, … of draws (image, sigma, draw, channel)."""
    mean, error = formulas.mean_and_error(draws, axis=2)
    arrays = {"phi": mean, "phi_se": error} | ({"phi_draws": draws} if keep else {})
    return labels.representation(
        arrays,
        ids=[f"image {i:03}" for i in range(len(draws))],
        labels=None if label is None else [str(name) for name in label],
        sigma=[0.1 * (s + 1) for s in range(draws.shape[1])],
        channels={"mid": draws.shape[3]},
        attrs={"denoiser": "none"},
    )


def noisy(mean: np.ndarray, sd: np.ndarray | float, draws: int = 10, seed: int = 0, levels: int = 1) -> np.ndarray:
    """Draws (image, sigma, draw, channel) about means (image, channel), of an sd for each image."""
    noise = np.random.default_rng(seed).normal(size=(len(mean), levels, draws, mean.shape[1]))
    return mean[:, None, None] + np.reshape(sd, (-1, 1, 1, 1)) * noise


def couples(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of 20 couples, 1 apart, couples √20 from one another; the second of each is noisy, of variance 1."""
    rng = np.random.default_rng(seed)
    centre = np.linalg.qr(rng.normal(size=(300, 20)))[0].T * math.sqrt(10)
    apart = np.linalg.qr(rng.normal(size=(300, 20)))[0].T
    mean = 1 + np.stack([centre, centre + apart], axis=1).reshape(40, 300)
    return mean, np.tile([0.01, 1.0], 20), np.repeat(np.arange(20), 2)


def test_plain_distances_order_pairs_wrongly_where_noise_differs_and_noise_free_ones_rightly() -> None:
    mean, sd, couple = couples()
    data = measured(noisy(mean, sd), label=couple)
    # Noise of the partner adds 300/10 to a squared distance of 1, while other quiet images are at 20; without it
    # the estimate has a standard deviation below 3.
    for metric in METRICS:
        plain = semantics.neighbours(data, k=1, distances=metric, resamples=100)
        free = semantics.neighbours(data, k=1, distances=metric, resamples=100, noise_free=True)
        quiet = plain.neighbor_index.values.ravel()[::2]
        assert (quiet % 2 == 0).mean() > 0.9, "noisy images are pushed away"
        if metric != "standardised":
            assert free.precision.item() == 1
            assert plain.precision.item() < 0.6


def test_neighbours_distances_are_signed_roots_of_what_is_unbiased() -> None:
    mean = np.zeros((30, 50))
    data = measured(noisy(mean + 1, 1.0))
    found = semantics.neighbours(data, k=29, distances=["euclidean", "cosine"], noise_free=True)
    values = found.neighbor_distance
    assert (values.diff("neighbor") >= 0).all()
    d2 = formulas.squared_distances(data.phi.values[:, 0], (data.phi_se.values[:, 0] ** 2).sum(axis=1))
    signed = np.sign(d2) * np.sqrt(np.abs(d2))
    nearest = values.sel(distance="euclidean").values[0, 0]
    index = found.neighbor_index.sel(distance="euclidean").values[0, 0]
    np.testing.assert_allclose(nearest, np.take_along_axis(signed, index, axis=1), rtol=1e-4, atol=1e-4)
    assert (nearest < 0).any()
    assert (nearest > 0).any()
    # Of no true differences the squares are 0 on average: within five standard errors of 30 independent images.
    square = np.sign(nearest) * nearest**2
    assert abs(square.mean()) < 5 * square.mean(axis=1).std() / math.sqrt(30)


def test_the_cosine_is_that_of_the_means_and_the_plain_one_shrinks() -> None:
    rng = np.random.default_rng(1)
    mean = rng.normal(size=(6, 400))
    truth = kernels_pairs.distance_matrix(mean, "cosine")
    upper = np.triu_indices(6, 1)
    free, plain = [], []
    for seed in range(300):
        x, se = formulas.mean_and_error(noisy(mean, np.linspace(0.5, 4, 6), seed=seed)[:, 0])
        free.append(kernels_pairs.distance_matrix(x, "cosine", se)[upper])
        plain.append(kernels_pairs.distance_matrix(x, "cosine")[upper])
    off = np.mean(free, axis=0) - truth[upper]
    error = np.std(free, axis=0, ddof=1) / math.sqrt(300)
    # The norms' own errors, relative variance below 4·1.6/400 + 2·1.6²/400, bias a ratio to second order.
    assert (np.abs(off) < 5 * error + 0.03 * np.abs(1 - truth[upper])).all()
    shrunk = (1 - np.mean(plain, axis=0)) / (1 - truth[upper])
    assert shrunk[-1] == pytest.approx(1 / math.sqrt((1 + 1.6) * (1 + (3.3**2) / 10)), abs=0.08)


def test_the_spread_of_channels_is_without_noise_and_channels_of_noise_alone_are_left_out() -> None:
    rng = np.random.default_rng(2)
    found = []
    for seed in range(100):
        mean = np.concatenate([rng.normal(0, 2, (60, 3)), np.zeros((60, 2))], axis=1)
        x, se = formulas.mean_and_error(noisy(mean, np.linspace(0.5, 5, 60), seed=seed)[:, 0])
        found.append(kernels_pairs.signal_deviations(x, se))
    squares = np.square(found)
    error = squares[:, :3].std(axis=0, ddof=1) / 10
    assert (np.abs(squares[:, :3].mean(axis=0) - 4) < 5 * error).all()
    # Of noise alone half of the variance remains only where it comes out twice as large, four standard errors or more.
    assert (squares[:, 3:] == 0).mean() > 0.95


def test_standardised_distances_are_unbiased_over_the_channels_that_are_kept() -> None:
    rng = np.random.default_rng(12)
    mean = np.concatenate([rng.normal(0, [2, 1, 0.7], (50, 3)), np.zeros((50, 1))], axis=1)
    upper = np.triu_indices(50, 1)
    means = []
    for seed in range(100):
        x, se = formulas.mean_and_error(noisy(mean, np.linspace(0.1, 2, 50), seed=seed)[:, 0])
        features, noise = kernels_pairs.noise_free(x, se, "standardised")
        assert features.shape[1] == 3
        d2 = formulas.squared_distances(features, noise)
        quiet, loud = d2[:25, :25][np.triu_indices(25, 1)], d2[25:, 25:][np.triu_indices(25, 1)]
        means.append([d2[upper].mean(), quiet.mean(), loud.mean()])
    # Over all pairs each channel gives 2 by its variance of 1; over some, what the true means give.
    truth = formulas.squared_distances(mean[:, :3] / mean[:, :3].std(axis=0, ddof=1))
    parts = [truth[upper], truth[:25, :25][np.triu_indices(25, 1)], truth[25:, 25:][np.triu_indices(25, 1)]]
    error = np.std(means, axis=0, ddof=1) / 10
    # The spread's own error, relative variance of some (2/49)(0.14/0.49) at most, biases its inverse to second order.
    assert (np.abs(np.mean(means, axis=0) - [part.mean() for part in parts]) < 5 * error + 0.02 * 6).all()


def test_without_noise_noise_free_distances_are_the_plain_ones() -> None:
    rng = np.random.default_rng(3)
    data = measured(noisy(rng.gamma(0.7, size=(40, 8)), 0.0, levels=2), label=rng.integers(4, size=40))
    other = xr.DataArray(rng.normal(size=(40, 3)), dims=("image", "feature"), coords={"image": data.image})
    options: dict[str, Any] = {"others": {"other": other}, "permutations": 99, "resamples": 100}
    options |= {"controls": {"twice": data.assign(phi=data.phi**2)}}
    plain, free = (semantics.analyse(data, noise_free=flag, **options) for flag in (False, True))
    for name in free.data_vars:
        one, two = plain[name], free[name]
        if "noise" in one.dims:
            one, two = one.sel(noise="independent"), two.sel(noise="independent")
        if name == "p_permutation":
            one = one.copy(data=np.maximum(one.values, plain.p_jackknife.values))
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one.values, two.values, rtol=1e-3, atol=1e-3)
        else:
            np.testing.assert_array_equal(one.values, two.values)
    assert "noise_free" in free.attrs
    assert "noise_free" not in plain.attrs


@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_correlations_with_true_distances_are_restored(statistic: str) -> None:
    rng = np.random.default_rng(4)
    mean = rng.normal(size=(60, 200)) * np.linspace(2, 0.2, 200)
    sd = rng.uniform(0.05, 8, 60)
    data = measured(noisy(mean, sd))
    truth = xr.DataArray(mean, dims=("image", "feature"), coords={"image": data.image})
    options: dict[str, Any] = {"distances": "euclidean", "statistics": statistic, "permutations": 0}
    plain, free = (
        semantics.correlate(data, {"truth": truth}, controls={"itself": data}, noise_free=flag, **options)
        for flag in (False, True)
    )
    assert plain.correlation.item() < 0.2
    assert free.correlation.item() > plain.correlation.item() + 0.3
    assert free.control_correlation.item() == pytest.approx(free.correlation.item(), abs=1e-6)


def test_images_with_noisy_keys_are_found_again_by_disjoint_draws() -> None:
    mean, sd, _ = couples(1)
    # All far apart but for noise: 20 between images, against 300/5 that half of the keys are pushed away by.
    rng = np.random.default_rng(5)
    mean = 1 + np.linalg.qr(rng.normal(size=(300, 40)))[0].T * 10
    data = measured(noisy(mean, 2 * sd, levels=2))
    options: dict[str, Any] = {"resamples": 100, "distances": ["euclidean", "cosine"]}
    free = semantics.stability(data, noise_free=True, **options)
    assert free.noise.values.tolist() == ["independent"]
    assert (free.top1 > 0.95).all()
    plain = semantics.stability(data, **options).sel(noise="independent", distance="euclidean")
    assert (plain.top1 < 0.8).all()


def test_ranks_count_the_images_that_are_nearer_once_the_noise_of_each_is_taken_off() -> None:
    rng = np.random.default_rng(7)
    data = measured(noisy(rng.normal(size=(30, 20)), rng.uniform(0.2, 4, 30), levels=2))
    found = semantics.per_image(data, k=None, distances="euclidean", noise_free=True)
    ranks = []
    for first in (0, 1):
        query, key = (data.phi_draws.values[:, :, (first + side) % 2 :: 2] for side in (0, 1))
        noise = key[:, 0].var(axis=1, ddof=1).sum(axis=1) / 5
        d2 = ((query[:, 1].mean(axis=1)[:, None] - key[:, 0].mean(axis=1)) ** 2).sum(axis=2) - noise
        ranks.append(1 + (d2 < np.diagonal(d2)[:, None]).sum(axis=1))
    np.testing.assert_array_equal(found["rank"].values[:, 0, 1, 0, 0], np.mean(ranks, axis=0))


def test_where_a_norm_is_no_larger_than_its_noise_the_cosine_is_undefined_with_a_warning() -> None:
    data = measured(noisy(np.zeros((30, 4)), 1.0, levels=2))
    with pytest.warns(RuntimeWarning, match=r"cosine distance is undefined for \d+ images whose φ is no larger"):
        found = semantics.neighbours(data, k=2, distances="cosine", noise_free=True)
    assert found.neighbor_distance.isnull().all()
    with pytest.warns(RuntimeWarning, match="cosine distance is undefined for images whose φ is no larger"):
        assert semantics.stability(data, distances="cosine", resamples=100, noise_free=True).top1.isnull().all()
    constant = measured(noisy(np.ones((30, 1)), 1.0, draws=4)).assign(phi_se=lambda d: d.phi_se * 0 + 1)
    with pytest.warns(RuntimeWarning, match="no channel varies by more than its noise"):
        semantics.neighbours(constant, k=2, distances="standardised", noise_free=True)


DATA = measured(noisy(np.random.default_rng(6).normal(size=(24, 5)), 0.5, levels=2), label=np.arange(24) % 3)
ONE = DATA.assign(phi_se=DATA.phi_se.where(DATA.sigma < 0.15))
LACKING = DATA.drop_vars("phi_se")


@pytest.mark.parametrize(
    ("call", "data", "said"),
    [
        ("neighbours", LACKING, "needs phi_se, .* the data lacks: measure with draws=2 or more"),
        ("neighbours", ONE, r"NaN in the data at σ = 0.2, as of one draw: measure with draws=2"),
        ("per_image", ONE, r"NaN in the data at σ = 0.2"),
        ("correlate", LACKING, "needs phi_se"),
        ("analyse", ONE, "NaN in the data"),
        (
            "stability",
            DATA.drop_vars("phi_draws"),
            "the data has no phi_draws: measure with keep_draws=True and draws=4",
        ),
        ("stability", DATA.isel(draw=[0, 1, 2]), "the data has 3 phi_draws"),
        ("per_image", DATA.drop_vars("phi_draws"), "the data has no phi_draws"),
        ("neighbours", DATA.assign(phi_se=-DATA.phi_se), "negative"),
        ("neighbours", DATA.assign(phi_se=DATA.phi_se.isel(image=0)), "phi_se has dims"),
    ],
)
def test_noise_that_is_not_known_is_an_error_that_says_what_to_do(call: str, data: xr.Dataset, said: str) -> None:
    more = {"correlate": ({"label": "label"},)}.get(call, ())
    with pytest.raises(InputError, match=said):
        getattr(semantics, call)(data, *more, noise_free=True)


def test_a_control_whose_noise_is_not_known_is_named() -> None:
    with pytest.raises(InputError, match=r"noise_free=True needs phi_se, .*which controls\['untrained'\] lacks"):
        semantics.correlate(DATA, {"label": "label"}, controls={"untrained": LACKING}, noise_free=True)


def test_the_command_takes_noise_off_and_says_how_reliable_distances_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    netcdf.write(DATA, tmp_path / "phi.nc")
    options = [
        "--permutations",
        "0",
        "--resamples",
        "100",
        "--k",
        "3",
        "--statistics",
        "pearson",
        "-o",
        str(tmp_path / "out"),
    ]
    assert semantics.main([str(tmp_path / "phi.nc"), "--noise-free", *options]) == 0
    assert "reliability.nc" in capsys.readouterr().out
    found = xr.load_dataset(tmp_path / "out" / "semantics.nc", engine="h5netcdf")
    assert found.noise.values.tolist() == ["independent"]
    written = xr.load_dataset(tmp_path / "out" / "reliability.nc", engine="h5netcdf")
    mine = semantics.reliability(DATA, max_images=1000)
    np.testing.assert_allclose(written.reliability, mine.reliability)
    assert written.reliable.values.tolist() == mine.reliable.values.tolist()
    assert (tmp_path / "out" / "reliability.png").stat().st_size > 0
    netcdf.write(LACKING, tmp_path / "lacking.nc")
    assert semantics.main([str(tmp_path / "lacking.nc"), "--noise-free", *options]) == 1
    assert "measure with draws=2 or more" in capsys.readouterr().err


def gaussian(images: int, draws: int, noise: float, seed: int) -> xr.Dataset:
    """φ of 10 independent channels of mean 3 and variance 1, each draw with noise of the variance given."""
    mean = np.random.default_rng(seed).normal(3, 1, size=(images, 10))
    return measured(noisy(mean, math.sqrt(noise), draws, seed + 1000))


def of_population(noise: float, half: int) -> float:
    """Correlation of d² of two halves: var d² = 8C, error 8·2C·τ²/h + 8C(τ²/h)² + 4C(τ²/h)²/(h − 1), over C."""
    each = noise / half
    return 8 / (8 + 16 * each + 8 * each**2 + 4 * each**2 / (half - 1))


def test_reliability_is_that_of_its_closed_form_and_its_interval_covers_it() -> None:
    expected = float(formulas.spearman_brown(of_population(2.0, 5), 2))
    found = [semantics.reliability(gaussian(60, 10, 2.0, s), distances="euclidean", splits=1) for s in range(60)]
    values = np.array([one.reliability.sel(estimator="noise_free").item() for one in found])
    # A correlation of n images is biased by some 1/n beside five standard errors.
    assert abs(values.mean() - expected) < 5 * values.std(ddof=1) / math.sqrt(60) + 1 / 60
    low, high = (
        np.array([one[f"reliability_{end}"].sel(estimator="noise_free").item() for one in found])
        for end in ("low", "high")
    )
    covered = ((low <= expected) & (expected <= high)).mean()
    # Five standard deviations of a share of 60 below 0.95.
    assert covered > 0.95 - 5 * math.sqrt(0.95 * 0.05 / 60)


def test_verdicts_are_yes_no_and_undecided_by_the_interval() -> None:
    yes, no = (semantics.reliability(gaussian(100, 10, noise, 1)) for noise in (0.05, 10.0))
    assert (yes.reliable == "yes").all()
    assert (no.reliable == "no").all()
    assert (yes.draws_needed.sel(estimator="noise_free") <= 10).all()
    close = float(no.reliability.sel(distance="euclidean", estimator="noise_free").item())
    assert (
        semantics.reliability(gaussian(100, 10, 10.0, 1), distances="euclidean", target=close).reliable.item()
        == "undecided"
    )


def test_noise_alone_makes_plain_distances_repeat_and_noise_free_ones_not() -> None:
    sd = np.random.default_rng(8).uniform(0.1, 3, 60)
    found = semantics.reliability(measured(noisy(np.ones((60, 300)), sd)), distances="euclidean")
    assert found.reliability.sel(estimator="plain").item() > 0.9
    assert found.reliability_high.sel(estimator="noise_free").item() < 0.5
    assert found.reliable.item() == "no"


def test_the_reliability_of_channels_is_the_share_of_their_variance_that_is_signal() -> None:
    rng = np.random.default_rng(9)
    mean = rng.normal(size=(400, 4)) * [3, 1, 0.5, 0]
    found = semantics.reliability(measured(noisy(mean, 1.0)), distances="euclidean", max_images=400)
    expected = np.array([9, 1, 0.25, 0]) / (np.array([9, 1, 0.25, 0]) + 0.1)
    # The variance over 400 images has a relative error of √(2/399).
    bound = 5 * (1 - expected) * math.sqrt(2 / 399)
    assert (np.abs(found.channel_reliability.values[0] - expected) < bound).all()
    assert found.median_channel_reliability.item() == pytest.approx(np.median(found.channel_reliability))


def test_reliability_does_not_depend_on_the_order_of_images_nor_on_scale() -> None:
    data = gaussian(50, 8, 1.0, 3)
    one = semantics.reliability(data, max_images=30)
    order = np.random.default_rng(0).permutation(50)
    other = data.isel(image=order) * 7
    other = other.assign_attrs(data.attrs)
    for name in other.data_vars:
        other[name].attrs = data[name].attrs
    two = semantics.reliability(other, max_images=30)
    for name in ("reliability", "reliability_low", "half_correlation"):
        np.testing.assert_allclose(one[name], two[name], atol=1e-5)


def test_groups_of_images_are_left_out_whole_and_make_intervals_wider() -> None:
    data = gaussian(20, 8, 1.0, 4)
    copies = xr.concat([data] * 4, "image").assign_coords(
        image=[f"copy {i:02}" for i in range(80)], source=("image", np.tile([f"of {i}" for i in range(20)], 4))
    )
    copies["image"].attrs = data["image"].attrs
    alone, grouped = (
        semantics.reliability(copies, distances="euclidean", clusters=name).sel(estimator="noise_free")
        for name in (None, "source")
    )
    width = [(one.reliability_high - one.reliability_low).item() for one in (alone, grouped)]
    assert width[1] > 1.3 * width[0]


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (DATA.drop_vars("phi_draws"), {}, "the data has no phi_draws: measure with keep_draws=True"),
        (DATA.isel(draw=[0, 1, 2]), {}, "the data has 3 phi_draws"),
        (DATA.isel(image=slice(19)), {}, "phi is of 19 images: give 20 at least"),
        (LACKING, {}, "needs phi_se"),
        (DATA, {"target": 1.0}, "the reliability sought"),
        (DATA, {"splits": 0}, "splits"),
        (DATA, {"clusters": "label"}, "10"),
        (DATA, {"distances": "l1"}, "choose among"),
    ],
)
def test_what_reliability_cannot_be_told_of_is_refused(data: xr.Dataset, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        semantics.reliability(data, **options)


def test_the_figure_of_reliability_tells_what_is_shown_from_what_is_refuted_and_undecided() -> None:
    found = semantics.reliability(gaussian(100, 10, 0.05, 1))
    figure = semantics.plot_reliability(found)
    assert len(figure.axes) == found.sizes["distance"]
    assert any(np.allclose(line.get_ydata(), 0.95) for line in figure.axes[0].lines)
    own = set("os^")
    for said, markers, open_ in (("yes", own, False), ("no", {"x"}, False), ("undecided", own, True)):
        one = found.assign(reliable=found.reliable.copy(data=np.full(found.reliable.shape, said, object)))
        (axis, *_) = semantics.plot_reliability(one).axes
        marks = [m for m in axis.lines if m.get_marker() in own | {"x"} and np.size(m.get_xdata())]
        assert {str(m.get_marker()) for m in marks} <= markers
        assert {same_color(m.get_markerfacecolor(), axis.get_facecolor()) for m in marks} == {open_}


def drawn_marks(figure: Figure) -> dict[tuple[str, bool], list[tuple[float, float]]]:
    """Heights of the marks of the first panel, discs or whatever is a level's, and crosses, filled or open."""
    found: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for container in figure.axes[0].containers:
        line = container[0]
        x, y = (np.asarray(values, float) for values in line.get_data())
        filled = not same_color(line.get_markerfacecolor(), figure.axes[0].get_facecolor())
        key = "x" if line.get_marker() == "x" else "o", filled
        found.setdefault(key, []).extend(zip(x.tolist(), y.tolist(), strict=True))
    return found


def judged(said: dict[str, float]) -> xr.Dataset:
    """Findings of DATA at one distance, where noise levels have these outcomes and reliabilities."""
    found = semantics.reliability(DATA, distances="euclidean").isel(sigma=[0] * len(said))
    found = found.assign_coords(sigma=("sigma", 0.1 * np.arange(1, len(said) + 1), found.sigma.attrs))
    for s, (outcome, value) in enumerate(said.items()):
        found["reliable"][s] = outcome.split()[0]
        for end, by in (("", 0.0), ("_low", -0.02), ("_high", 0.02)):
            found[f"reliability{end}"][:, s] = value + by
    return found


def test_the_figure_tells_what_is_undecided_from_what_is_and_what_is_not_reliable() -> None:
    figure = semantics.plot_reliability(judged({"yes": 0.98, "no": 0.5, "undecided": 0.94}))
    marks = drawn_marks(figure)
    assert [y for _, y in marks["o", True]] == [0.98]
    assert [y for _, y in marks["x", True]] == [0.5]
    assert [y for _, y in marks["o", False]] == [0.94]
    (target,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert target.get_ydata()[0] == 0.95  # type: ignore[index]
    low, high = figure.axes[0].get_ylim()
    assert low < 0.48
    assert high > 1
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {
        "reliable",
        "not reliable",
        "undecided",
        "target 0.95",
        "σ = 0.1",
    }


def test_what_is_not_known_is_a_question_mark_and_no_point() -> None:
    figure = semantics.plot_reliability(judged({"yes": 0.98, "undecided": np.nan}))
    assert [text.get_text() for text in figure.axes[0].texts] == ["?"]
    assert sum(map(len, drawn_marks(figure).values())) == 1
    nothing = semantics.plot_reliability(judged({"undecided": np.nan}))
    assert np.isfinite(nothing.axes[0].get_ylim()).all()


def test_the_figure_has_a_panel_for_each_distance_and_takes_no_other_findings() -> None:
    assert len(semantics.plot_reliability(semantics.reliability(DATA)).axes) == 3
    with pytest.raises(InputError, match=r"give what semantics.reliability returns"):
        semantics.plot_reliability(semantics.stability(DATA))
    found = semantics.reliability(DATA, distances="euclidean")
    with pytest.raises(InputError, match="lack the estimator noise_free"):
        semantics.plot_reliability(found.sel(estimator=["plain"]))


def unequal_noise_is_no_relation(repetitions: int = 60) -> None:
    """Classes of one law of means, one of them eight times as noisy: tests of 5 % reject in 5 %."""
    found = np.zeros(2, int)
    for seed in range(repetitions):
        label = np.arange(40) % 2
        data = measured(
            noisy(np.random.default_rng(seed).normal(size=(40, 10)), 0.5 + 3.5 * label, 2, seed), label=label
        )
        one = semantics.correlate(
            data,
            {"label": "label"},
            distances="euclidean",
            statistics=["pearson", "spearman"],
            noise_free=True,
            permutations=99,
        ).squeeze()
        found += one.p_permutation.values <= 0.05
        assert (one.p_permutation >= one.p_jackknife).all()
    # More in one of the two with probability below 2 in 1000.
    assert (found <= binom.isf(1e-3, repetitions, 0.05)).all(), found


def test_noise_that_differs_between_classes_is_no_relation_once_it_is_taken_off() -> None:
    unequal_noise_is_no_relation()


def test_draws_that_phi_is_not_the_mean_of_are_refused_and_rounding_is_not() -> None:
    data = gaussian(30, 4, 1.0, 5)
    rounded = data.assign(phi_draws=data.phi_draws.astype(np.float32), phi=data.phi.astype(np.float32))
    semantics.reliability(rounded, distances="euclidean", splits=1)
    other = data.assign(phi_draws=data.phi_draws.copy(data=np.roll(data.phi_draws.values, 1, axis=0)))
    for wrong in (other, data.assign(phi=data.phi + 0.01), data.assign(phi_draws=data.phi_draws * 2)):
        with pytest.raises(
            InputError, match=r"phi is not the mean of phi_draws: of image 'image \d+', σ = 0.1, their mean"
        ):
            semantics.reliability(wrong)
