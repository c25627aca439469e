"""One rule for signed φ: what asks where 0 is refuses it with one error, and to all else signs make no difference."""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import probekit
from analyses import (
    attribution,
    clusters,
    concepts,
    controls,
    cues,
    densities,
    descriptors,
    factors,
    probe,
    report,
    sampling,
    selectivity,
    semantics,
    sparsity,
    subspaces,
    textures,
    training,
    variants,
)
from analyses.ground import as_activity, varies
from analyses.report.shell import ANALYSES
from probekit import labels
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces
from probekit.train import Recipe, train

PAGE = Path(__file__).parents[3] / "docs" / "howto-your-network.md"
ONE_ERROR = r'phi is negative at .* % of its values, down to -.*after the ReLU.*reduce="relu_mean"'


def dataset(prefix: str = "a", images: int = 40) -> xr.Dataset:
    """φ of two taps, of which the second is signed, with all that a tap gives; classes apart in it."""
    rng = np.random.default_rng(ord(prefix))
    y = np.arange(images) % 4
    drawn = rng.normal(size=(images, 2, 2, 12)) + 2 * np.eye(4)[y].repeat(3, axis=1)[:, None, None]
    drawn[..., :6] = np.abs(drawn[..., :6])
    arrays = {"phi": drawn.mean(axis=2), "phi_draws": drawn, "phi_se": np.full((images, 2, 12), 0.05)}
    rest = {"rest": np.full((2, 12), 0.1), "rest_se": np.full((2, 12), 0.05)}
    return labels.representation(
        arrays | rest,
        ids=[f"{prefix}{i}" for i in range(images)],
        labels=[f"class {k}" for k in y],
        sigma=[0.1, 0.2],
        channels={"enc1": 6, "mid": 6},
        attrs={"denoiser": "none", "image_source": prefix, "draws": 2},
    )


SIGNED = dataset()
SIGNS = np.where(np.arange(12) % 2, -1, 1)


def mirrored(data: xr.Dataset) -> xr.Dataset:
    """The same with every other channel's sign turned."""
    return data.assign({name: data[name] * SIGNS for name in ("phi", "phi_draws", "rest")}).assign_attrs(data.attrs)


def together(data: xr.Dataset) -> xr.Dataset:
    """The same, with ten photographs of four images as labels."""
    return data.assign_coords(label=("image", [f"photograph {i // 4}" for i in range(40)]))


class Net(nn.Module):
    """A network whose taps lie before its ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.down, self.middle = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 12, 3, padding=1)
        self.out = nn.Conv2d(12, 3, 3, padding=1)
        self.tap_aliases = {"enc1": "down", "mid": "middle"}

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        coarse = self.middle(nn.functional.avg_pool2d(self.down(y).relu(), 2)).relu()
        return y - 0.1 * self.out(nn.functional.interpolate(coarse, scale_factor=2))


NET = probekit.Denoiser(Net().eval(), name="net", data_range=None)
IMAGES = probekit.images.load(
    np.random.default_rng(5).random((40, 3, 8, 8)).astype(np.float32), labels=[f"class {i % 4}" for i in range(40)]
)


def turned(a: torch.Tensor) -> torch.Tensor:
    """The spatial mean of maps with every other channel's sign turned."""
    return a.mean((2, 3)) * (1 - 2 * (torch.arange(a.shape[1]) % 2))


@cache
def reconstructed(reduce: Any) -> xr.Dataset:
    tap = probekit.tap(NET, "mid", reduce=reduce)
    return sampling.reconstruct(NET, tap, IMAGES.subset([0, 1]), n_samples=2, sigmas=[0.5, 0.1], draws=2)


def of_images() -> xr.Dataset:
    return probekit.tap(NET, "mid")(IMAGES, sigma=0.1, draws=2)


def exemplars(images: Any) -> xr.Dataset:
    """Each of 40 images said to be of another pair of ten shapes and ten textures."""
    i = np.arange(40)
    shape, texture = ([f"{name}{k}" for k in of] for name, of in (("s", i % 10), ("t", (i + i // 10 * 3) % 10)))
    return cues.named(images, shape=shape, texture=texture)


def fitted() -> tuple[xr.Dataset, xr.Dataset]:
    """Data and the subspaces found in it, then some of φ negative."""
    data, _ = union_of_subspaces(100, n_channels=30, n_subspaces=3)
    found = subspaces.fit(data)
    return data.assign(phi=data.phi - data.phi.max() / 2), found


def of_fitted(function: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: function(*fitted())


def scored() -> Any:
    data, truth = union_of_subspaces(100, n_channels=30, n_subspaces=3)
    return subspaces.score(subspaces.fit(data), truth, data=data.assign(phi=-data.phi))


def reported() -> Any:
    told = report.Told(say=lambda _: None, progress=False)
    return report.run(
        IMAGES, out="out", denoiser=NET, only=[1], measured=report.Measured(sigma=[0.1], draws=1), told=told
    )


def stepped() -> Any:
    train(NET, IMAGES, recipe=Recipe(steps=1, batch_size=2, lr=1e-30), out="run", keep_every=1, progress=False)
    return training.analyse(NET, "run", IMAGES, settings=training.Settings(draws=1, sigma=0.1))


def topped() -> Any:
    tap = probekit.tap(NET, "mid")
    given = {"sigmas": [0.5, 0.1], "n_samples": 1, "draws": 2}
    return sampling.reconstruct(NET, tap, IMAGES.subset([0]), match=sampling.Match(top=3), **given)


REFUSES: dict[str, Callable[[], Any]] = {
    "sparsity.analyse": lambda: sparsity.analyse(SIGNED),
    "selectivity.analyse": lambda: selectivity.analyse(SIGNED),
    "subspaces.analyse": lambda: subspaces.analyse(SIGNED),
    "subspaces.active_sets": lambda: subspaces.active_sets(SIGNED),
    "subspaces.fit": lambda: subspaces.fit(SIGNED),
    "subspaces.overlap": of_fitted(subspaces.overlap),
    "subspaces.explained_variance": of_fitted(subspaces.explained_variance),
    "subspaces.score": scored,
    "concepts.analyse": lambda: concepts.analyse(IMAGES, of_images(), denoiser=NET),
    "sampling.Match": topped,
    "report.run": reported,
    "training.analyse": stepped,
}
# An array has no taps to be named.
OF_ARRAYS = {"sparsity.participation_ratio": lambda: sparsity.participation_ratio(SIGNED.phi.values)}

# Findings of φ and of φ with signs turned, each a function of a Dataset, or of what is made of maps.
OF_DATA: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "semantics.analyse": lambda d: semantics.analyse(d, label="label", resamples=100),
    "semantics.stability": lambda d: semantics.stability(d, resamples=100),
    "semantics.neighbours": lambda d: semantics.neighbours(d, k=3, resamples=100),
    "semantics.per_image": lambda d: semantics.per_image(d, k=3),
    "textures.analyse": lambda d: textures.analyse({"φ": together(d)}, resamples=100),
    "textures.curve": lambda d: textures.curve({"φ": together(d)}, over="patches", counts=(2, 4), resamples=100),
    "semantics.correlate": lambda d: semantics.correlate(d, {"label": "label"}, permutations=100),
    "descriptors.beyond": lambda d: descriptors.beyond(d, features_of(d)),
    "semantics.reliability": lambda d: semantics.reliability(with_more_draws(d), distances="euclidean"),
    "clusters.analyse": lambda d: clusters.analyse(d, n_clusters=4, resamples=100, permutations=99),
    "clusters.separation": lambda d: clusters.separation(d, permutations=99),
    "probe.analyse": lambda d: probe.analyse(d, signed_like(d, dataset("b")), resamples=100, penalties=[0.1]),
    "subspaces.intrinsic_dimension": subspaces.intrinsic_dimension,
    "factors.analyse": lambda d: factors.analyse(
        d.assign_coords(size=("image", np.arange(40) % 4 + 1.0)),
        factor="size",
        resamples=100,
        # Plain correlations over channels are of φ as it is; cosines between what differs are not.
    ).drop_vars("correlation"),
    "densities.correlate": lambda d: densities.correlate(
        densities.over_pairs(beside(d).samples), beside(d).phi, least_pairs=45, permutations=100, resamples=100
    ),
    "densities.analyse": lambda d: densities.analyse(beside(d), least_pairs=45, permutations=100, resamples=100),
}
OF_DATA |= {"cues.analyse": lambda data: cues.analyse({"x": data}, exemplars=exemplars(data), resamples=100)}
OF_REDUCTIONS: dict[str, Callable[[Any], xr.Dataset]] = {
    "sampling.reconstruct": reconstructed,
    "sampling.describe": lambda reduce: sampling.describe(
        reconstructed("mean"), tap=probekit.tap(NET, "mid", reduce=reduce)
    ),
    "sampling.shares": lambda reduce: sampling.shares(reconstructed(reduce)),
    "variants.laws": lambda reduce: variants.laws(
        IMAGES.subset([0]), denoiser=NET, n_samples=4, levels=2, draws=2, reduce=reduce, method="algorithm1"
    ).drop_vars("phi"),
    "concepts.concept": lambda reduce: held(reduce),
    "attribution.effects": lambda reduce: attribution.effects(
        NET, probekit.tap(NET, "mid", reduce=reduce), IMAGES.subset([0, 1]), groups={"some": [1, 2]}, sigma=0.1
    ),
    "cues.table": lambda reduce: cues.table(
        IMAGES, NET, exemplars=exemplars(IMAGES), settings=cues.Settings(draws=1, resamples=100, reduce=reduce)
    ),
    "controls.table": lambda reduce: controls.table(
        IMAGES,
        denoiser=NET,
        sigma=0.1,
        draws=1,
        untrained=0,
        settings=controls.Settings(resamples=100, n_clusters=4),
        reduce=reduce,
    ),
    "textures.table": lambda reduce: textures.table(
        IMAGES, denoiser=NET, settings=textures.Settings(size=4, side=None, draws=1, resamples=100, reduce=reduce)
    ),
}
# These go through what is tested above, with which they share how φ is compared.
BY_THEIR_PARTS = {
    "clusters.embed",
    "concepts.hold_concept",
    "sampling.centroid",
    "sampling.interpolate",
    "sampling.project",
    "variants.table",
    "report.run",
}
TURNED_WITH_IT = {"attribution.attribute", "descriptors.predicted"}


def signed_like(data: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    return mirrored(other) if bool((data.phi == mirrored(SIGNED).phi).all()) else other


def features_of(data: xr.Dataset) -> xr.DataArray:
    """Two numbers an image."""
    values = np.random.default_rng(5).normal(size=(data.sizes["image"], 2))
    return xr.DataArray(values, dims=("image", "feature"), coords={"image": data["image"].values})


def with_more_draws(data: xr.Dataset) -> xr.Dataset:
    """Four draws made of two."""
    more = xr.concat([data.phi_draws, 0.9 * data.phi_draws], "draw").assign_coords(draw=np.arange(4))
    more = more.transpose("image", "sigma", "draw", "channel")
    return data.drop_dims("draw").assign(phi=more.mean("draw").assign_attrs(data.phi.attrs), phi_draws=more)


def beside(data: xr.Dataset) -> xr.Dataset:
    """φ of some images beside samples that have nothing to do with it."""
    rng, pixels = np.random.default_rng(8), ("band", "row", "col")
    few = data[["phi"]].isel(image=slice(10))
    return few.assign(
        samples=(("image", "sample", *pixels), rng.random((10, 4, 1, 2, 2))),
        condition=(("image", *pixels), rng.random((10, 1, 2, 2))),
    )


def held(reduce: Any) -> xr.Dataset:
    samples = reconstructed("mean")["samples"]
    free = samples.copy(data=samples.values[:, ::-1] * 0.5)
    tap = probekit.tap(NET, "mid", reduce=reduce)
    return concepts.concept(tap, samples, free, IMAGES.subset([0, 1]), channels=[1], permutations=100)


def same_findings(first: xr.Dataset, second: xr.Dataset) -> None:
    """All but what is of single channels, such as a centre or a classifier's weights, which turn with them."""
    compared = [name for name, v in first.data_vars.items() if "channel" not in v.dims]
    assert compared
    assert set(first.data_vars) == set(second.data_vars)
    for name in compared:
        one = first[name]
        if one.dtype.kind == "f":
            np.testing.assert_allclose(second[name], one, rtol=1e-4, atol=1e-6, err_msg=str(name))
        else:
            np.testing.assert_array_equal(second[name], one, err_msg=str(name))


@pytest.mark.parametrize("call", REFUSES.values(), ids=REFUSES)
def test_what_asks_where_0_is_refuses_signed_phi_with_one_error(
    call: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=ONE_ERROR):
        call()


@pytest.mark.parametrize("call", OF_ARRAYS.values(), ids=OF_ARRAYS)
def test_arrays_that_are_negative_are_no_activities(call: Callable[[], Any]) -> None:
    with pytest.raises(InputError, match=r"negative in places, down to -.*relu_mean"):
        call()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("function", OF_DATA.values(), ids=OF_DATA)
def test_to_what_compares_images_the_signs_of_channels_make_no_difference(function: Callable) -> None:
    same_findings(function(SIGNED), function(mirrored(SIGNED)))


# Of so few images gist has too many directions to be learned.
@pytest.mark.filterwarnings("ignore:descriptors vary in:RuntimeWarning")
@pytest.mark.parametrize("function", OF_REDUCTIONS.values(), ids=OF_REDUCTIONS)
def test_to_what_taps_by_itself_the_signs_of_channels_make_no_difference(function: Callable) -> None:
    assert float(of_images().phi.min()) < 0
    same_findings(function(lambda a: a.mean((2, 3))), function(turned))


def test_an_attribution_turns_its_sign_with_its_channel() -> None:
    found = [
        attribution.attribute(
            NET, probekit.tap(NET, "mid", reduce=reduce), IMAGES.subset([0]), channels=[4, 5], sigma=0.1
        )["attribution"]
        for reduce in ("mean", turned)
    ]
    scale = float(abs(found[0]).max())
    signs = xr.DataArray([1, -1], dims="channel")
    np.testing.assert_allclose(found[1].values, (found[0] * signs).transpose(*found[1].dims).values, atol=1e-5 * scale)


def test_the_page_says_of_every_room_what_it_does_with_signed_phi() -> None:
    rows = [line.strip().strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    table = {re.findall(r"`(\w+)`", row[0])[0]: row[1:] for row in rows if len(row) == 4}
    assert set(table) == {*ANALYSES, "report"}
    said = [
        {f"{room}.{name}" for room, cells in table.items() for name in re.findall(r"`(\w+)`", cells[column])}
        for column in range(3)
    ]
    assert said[0] == {*REFUSES, *OF_ARRAYS}
    assert said[1] == {*OF_DATA, *OF_REDUCTIONS, *TURNED_WITH_IT, *BY_THEIR_PARTS}
    for name in set.union(*said):
        room, _, function = name.partition(".")
        assert function in import_module(f"analyses.{room}").__all__


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize(("apart", "expected"), [(0.0, False), (1.2e-12, False), (4e-12, True), (1e-8, True)])
def test_a_column_varies_by_more_than_rounding_of_its_own_numbers(size: float, apart: float, expected: bool) -> None:
    # The deviation of two values is half of what they are apart.
    column = size * np.array([1.0, 1.0 + apart])
    values = np.column_stack([column, -column, [0, 0], [0.1, 0.1], [3.0, -4.0], [0, 1e-15]])
    assert varies(values).tolist() == [expected, expected, False, False, True, True]


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-20, 3e30])
@pytest.mark.parametrize("count", [1, 3, 60, 5000])
def test_equal_numbers_do_not_vary_whatever_their_mean_is_rounded_to(value: float, count: int) -> None:
    for dtype in (np.float32, np.float64):
        x = np.full((count, 2), value, dtype)
        x[:, 1] = np.arange(count) * max(abs(value), 1e-20) * 1e-6 + value
        assert varies(x).tolist() == [False, count > 1 and len(set(x[:, 1].tolist())) > 1]
        assert varies(x.T, axis=1).tolist() == varies(x).tolist()


def test_what_is_not_negative_is_the_same_object() -> None:
    data = dataset().isel(channel=slice(6))
    assert as_activity(data, "phi", "phi_draws", "rest") is data


def test_what_rounding_leaves_below_0_counts_as_0() -> None:
    data = abs(dataset()).assign_attrs(dataset().attrs)
    peak = float(data.phi.isel(sigma=0, channel=slice(6, None)).max())
    data["phi"][{"sigma": 0, "channel": 7}] = -0.5e-6 * peak
    found = as_activity(data, "phi")
    assert (found.phi.isel(sigma=0, channel=7) == 0).all()
    xr.testing.assert_identical(found.drop_vars("phi"), data.drop_vars("phi"))
    assert (data.phi.isel(sigma=0, channel=7) < 0).all()
    data["phi"][{"sigma": 0, "channel": 7}] = -2e-6 * peak
    with pytest.raises(InputError, match=r"negative at 'mid' \(8\.3 % of its values"):
        as_activity(data, "phi")
    data["phi"][{"channel": slice(6, None)}] = -1.0
    with pytest.raises(InputError, match=r"negative at 'mid' \(100 % of its values"):
        as_activity(data, "phi")


def test_a_quiet_tap_or_noise_level_is_not_hidden_beside_a_loud_one() -> None:
    data = abs(dataset())
    data["phi"][{"channel": slice(6)}] *= 1e9
    data["phi"][{"channel": 7, "sigma": 1}] *= -1
    with pytest.raises(InputError, match="negative at 'mid' "):
        as_activity(data, "phi")
    data["phi"][{"channel": slice(6, None), "sigma": 0}] *= 1e9
    with pytest.raises(InputError, match="negative at 'mid' "):
        as_activity(data, "phi")


@pytest.mark.parametrize("reduce", ["relu_mean", "energy"])
@pytest.mark.parametrize("act", [nn.SiLU, nn.GELU, nn.LeakyReLU, nn.ELU, nn.Tanh])
def test_networks_without_relus_can_be_analysed_as_the_error_says(act: type[nn.Module], reduce: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), act(), nn.Conv2d(6, 3, 3, padding=1))
    with pytest.raises(InputError, match=r"negative at '1' .*reduce=\"relu_mean\""):
        sparsity.analyse(probekit.tap(net, "1")(IMAGES, sigma=0.1, draws=2))
    data = probekit.tap(net, "1", reduce=reduce)(IMAGES, sigma=0.1, draws=2)
    found = sparsity.analyse(data, resamples=100)
    assert np.isfinite(found.sparsity).all()
    assert selectivity.analyse(data, resamples=100).sizes["channel"] == 6
