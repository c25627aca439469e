"""The table of variants of sampling: known answers on the patch model, its rows, store, figures and refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from scipy import stats
from torch import nn

import probekit
from analyses import densities, variants
from analyses.variants import numbers, rows
from probekit.errors import InputError, ModelError
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

SIGMAS = np.geomspace(1, 0.01, 6).tolist()
QUICK: dict[str, Any] = {"sigmas": SIGMAS, "resamples": 100, "draws": 4, "held_out": (), "progress": False}
EXACT = {name: {"guidance": "rescale", "tolerance": 1e-6} for name in ("algorithm1", "guidance")}


def model() -> PatchModel:
    return PatchModel([1.0], [[0.2, 0.05, 0.1, 0.02]], pool=[[0, 1], [2, 3]])


def conditions(n: int = 6, seed: int = 1) -> xr.DataArray:
    return model().draw(n, rows=8, cols=8, seed=seed).images


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return variants.table(conditions(), denoiser=model(), options=EXACT, n_samples=3, **QUICK)


def unet() -> probekit.Denoiser:
    torch.manual_seed(1)
    network = UNet((4, 6, 8), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 1))
    return probekit.Denoiser(network.eval(), name="small")


def photographs(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, 8, 8), np.float32)


@pytest.fixture(scope="module")
def of_unet() -> xr.Dataset:
    return variants.table(
        photographs(), denoiser=unet(), **{**QUICK, "held_out": ("enc1", "dec2"), "sigmas": [0.5, 0.1]}
    )


def test_what_holds_phi_matches_it_and_what_does_not_is_a_draw_of_the_prior(found: xr.Dataset) -> None:
    error = found.value.sel(measure="error of φ")
    # Exact rescaling puts ā(y) on its target to a thousandth in each channel, with the noise of one draw at the last
    # level: φ is then off by the difference of that draw from the mean of 4, in each channel of a standard deviation
    # of at most √(1 + 1/4) 2σ √(ē/P). The median of 18 is under three times the largest such.
    energy = model().phi(torch.from_numpy(conditions().values), 0.0).numpy()
    bound = 3 * np.sqrt(1.25) * 2 * SIGMAS[-1] * np.sqrt(energy.max(axis=1) / 16) / np.linalg.norm(energy, axis=1)
    assert error.sel(variant="guidance") < bound.max() < 0.05
    # The dynamics end with a denoising, which takes off σ²/λ = 0.5 % of the weakest component, twice for the energy,
    # and stay on the level set to a tenth of a draw's variance.
    assert error.sel(variant="langevin") < bound.max() + 0.01
    # A channel's energy without a condition has a relative standard deviation of about √(2/P) = 0.35, and so has the
    # condition's: half of all such differences exceed 0.2 or so; a match would be under the bound.
    assert error.sel(variant="unconditional") > 0.1
    assert error.sel(variant="score") > 0.1


def samples(found: xr.Dataset, row: str) -> np.ndarray:
    return found.samples.sel(variant=row).values


def test_what_is_not_conditional_ignores_the_condition_and_what_is_does_not(found: xr.Dataset) -> None:
    other = variants.table(conditions(seed=2), denoiser=model(), options=EXACT, n_samples=3, **QUICK)
    for row in ("score", "unconditional"):
        np.testing.assert_array_equal(samples(found, row), samples(other, row))
    for row in ("langevin", "algorithm1", "guidance"):
        assert np.abs(samples(found, row) - samples(other, row)).mean() > 0.05


def test_guidance_costs_gradients_and_denoising_costs_passes(found: xr.Dataset) -> None:
    cost = found.value.sel(measure=["gradients", "passes"])
    assert (cost.sel(measure="gradients", variant=["score", "unconditional"]) == 0).all()
    assert (cost.sel(measure="gradients", variant=["langevin", "algorithm1", "guidance"]) > 0).all()
    passes = cost.sel(measure="passes")
    assert passes.sel(variant="guidance") == 0
    assert passes.sel(variant="algorithm1") == passes.sel(variant="score") == len(SIGMAS)
    # More than one denoising a level: the dynamics walk before they go on.
    assert (passes.sel(variant=["langevin", "unconditional"]) > len(SIGMAS)).all()
    assert (found.value.sel(measure="seconds") > 0).all()


def test_values_lie_in_their_intervals_and_differences_are_from_the_first_row(found: xr.Dataset) -> None:
    resampled = found.sel(measure=[m for m in found.measure.values if m != "seconds"])
    known = resampled.value.notnull()
    inside = (resampled.low <= resampled.value + 1e-9) & (resampled.value <= resampled.high + 1e-9)
    assert inside.where(known, True).all()
    first = found.isel(variant=0)
    assert (first.difference.dropna("measure") == 0).all()
    ends = resampled.isel(variant=0)[["difference_low", "difference_high"]].to_array()
    assert (ends.dropna("measure") == 0).all()
    np.testing.assert_allclose(found.difference, found.value - first.value.drop_vars(found.variant.coords), atol=1e-12)
    assert found.low.sel(measure="seconds").isnull().all()


def test_there_is_a_row_for_each_method_the_untrained_twin_and_every_other_tap(of_unet: xr.Dataset) -> None:
    methods = ["langevin", "algorithm1", "guidance", "score", "unconditional"]
    taps = ["at enc1", "at enc2", "at dec2"]
    assert of_unet.variant.values.tolist() == [*methods, "untrained", "untrained, unconditional", *taps]
    assert of_unet.network.values.tolist() == ["trained"] * 5 + ["untrained"] * 2 + ["trained"] * 3
    assert of_unet.block.values.tolist() == ["mid"] * 7 + ["enc1", "enc2", "dec2"]
    measures = of_unet.measure.values.tolist()
    assert [m for m in measures if m.startswith("nearer")] == ["nearer in enc1", "nearer in dec2", "nearer in mid"]
    assert not any("references" in m for m in measures)
    assert of_unet.attrs["analysis"] == "variants"
    assert of_unet.attrs["seed"] == 0
    # The method of the first row is not that of all.
    assert "method" not in of_unet.attrs


def test_the_untrained_row_is_of_fresh_weights(of_unet: xr.Dataset) -> None:
    assert np.abs(samples(of_unet, "untrained") - samples(of_unet, "langevin")).max() > 0.01
    gradients = of_unet.value.sel(measure="gradients")
    assert gradients.sel(variant="untrained") > gradients.sel(variant="untrained, unconditional") == 0


def test_samples_that_are_their_condition_are_at_no_distance_and_nearer_than_free_ones() -> None:
    net = unet()
    made = {name: probekit_samples(net, method) for name, method in (("held", "langevin"), ("free", "unconditional"))}
    copied = made["held"].assign(samples=made["held"].samples * 0 + made["held"].condition)
    found = numbers.per_image(copied, network=net, blocks=["enc1", "mid"], free=made["free"], sigma=0.1, seed=0)
    # φ of a copy has its own noise: another draw of it, and no more.
    assert (found["distance in enc1"] < found["nearer in enc1"]).all()
    assert (found["nearer in mid"] > 0).all()
    assert (found["diversity"] == 0).all()
    # What is added to a sample's distance is that of all the free samples of all conditions, worked out anew.
    measure = {"sigma": 0.1, "draws": 4, "seed": 0}
    tap = probekit.tap(net, "mid")
    with pytest.warns(UserWarning, match="reach from"):
        free = tap(made["free"].samples.values.reshape(-1, 3, 8, 8), **measure).phi.values[:, 0]
    given = tap(photographs(), **measure).phi.values[:, 0]
    apart = np.linalg.norm(free - given[:, None], axis=2).mean(axis=1) / np.linalg.norm(given, axis=1)
    np.testing.assert_allclose(found["nearer in mid"] + found["distance in mid"], apart, rtol=1e-4)
    alone = numbers.per_image(copied, network=net, blocks=["mid"], free=None, sigma=0.1, seed=0)
    assert np.isnan(alone["nearer in mid"]).all()


def probekit_samples(net: probekit.Denoiser, method: str) -> xr.Dataset:
    making = rows.Making(probekit.images.load(photographs()), 2, [0.5, 0.1], 2, 2, 0, None, None, False)
    return rows.samples_of(rows.Variant("one", "", net, "mid", method), making)[0]


def test_planted_copies_are_counted_and_other_samples_are_not() -> None:
    rng = np.random.default_rng(0)
    given, training = (rng.random((n, 1, 8, 8)).astype(np.float32) for n in (6, 200))

    def made(values: np.ndarray) -> xr.Dataset:
        dims = ("image", "sample", "band", "row", "col")
        variables = {
            "samples": (dims, np.stack([values, rng.random(values.shape)], axis=1)),
            "match": (dims[:2], np.zeros((6, 2))),
            "condition": (("image", *dims[2:]), given),
        }
        return xr.Dataset(variables, coords={"image": list("abcdef"), "sample": [0, 1]})

    shares = numbers.copies(
        {"copies": made(given), "training": made(training[:6]), "none": made(rng.random(given.shape))},
        probekit.images.load(training, ids=[f"t{i}" for i in range(200)]),
        0.01,
        0,
    )
    near = shares["near copies of references"]
    assert (near[1] >= 0.5).all()
    # Unrelated images come as near as the nearest 1 % of references do in some per cent of cases: more than 8 of the
    # other 30 happen less than once in a million at 5 %.
    assert 2 * (near[0].sum() + near[2].sum()) + 2 * (near[1] - 0.5).sum() <= 8
    # The same of conditions, with the threshold from pairs of all images.
    copied = shares["near copies"]
    assert (copied[0] >= 0.5).all()
    assert 2 * (copied[1].sum() + copied[2].sum()) + 2 * (copied[0] - 0.5).sum() <= 8


@pytest.mark.parametrize(("count", "n"), [(0, 24), (3, 24), (24, 24)])
def test_intervals_of_shares_are_wilsons_and_have_a_width_where_no_copy_was_seen(count: int, n: int) -> None:
    low, high = numbers.wilson(np.array(count / n), n, 0.95)
    known = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose([low, high], [known.low, known.high], atol=1e-12)


def test_medians_are_resampled_by_images_so_that_repeated_samples_add_nothing() -> None:
    values = np.random.default_rng(0).gamma(2, size=(2, 15, 1))
    one, many = (numbers.resampled_medians(v, resamples=200, seed=3) for v in (values, values.repeat(4, axis=2)))
    # An odd number of images: the median of copies is that of the originals.
    np.testing.assert_array_equal(one, many)


def test_a_second_call_reads_the_store_and_a_stopped_one_goes_on(tmp_path: Path, monkeypatch) -> None:
    from analyses import sampling

    options = {**QUICK, "denoiser": model(), "sigmas": [1, 0.1], "store": tmp_path}
    first = variants.table(conditions(3), **options)
    (tmp_path / "langevin" / "000001.nc").unlink()
    done: list[list[int]] = []
    real = sampling.images_of
    monkeypatch.setattr(sampling, "images_of", lambda job, todo, size: done.append(todo) or real(job, todo, size))
    again = variants.table(conditions(3), **options)
    assert done == [[1]]
    unchanged = [m for m in first.measure.values if m != "seconds"]
    xr.testing.assert_allclose(again.sel(measure=unchanged), first.sel(measure=unchanged), atol=1e-6)
    # Rows that were only read have the seconds that they took when they were made.
    kept = {"variant": ["algorithm1", "guidance", "score"], "measure": "seconds"}
    np.testing.assert_array_equal(again.value.sel(kept), first.value.sel(kept))


class Broken(nn.Module):
    tap_aliases = {"mid": "layer"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, y: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        del sigma
        return self.layer(y)[:, :1] * float("nan")


def test_a_row_without_finite_images_is_left_out_and_said_but_the_first_row_may_not_fail() -> None:
    further = variants.Variant(
        "broken", "gives NaN", probekit.Denoiser(Broken(), data_range=None), "mid", "unconditional"
    )
    options = {**QUICK, "sigmas": [1, 0.1]}
    with pytest.warns(UserWarning, match="'broken' is left out"):
        found = variants.table(conditions(2), denoiser=model(), further=[further], **options)
    assert "broken" not in found.variant
    with pytest.raises(ModelError):
        variants.table(conditions(2), denoiser=further.network, **options)


def test_levels_are_the_methods_own_in_the_number_asked_for() -> None:
    whole = rows.schedule("algorithm1", None, 100)
    np.testing.assert_allclose(whole, np.linspace(1, 0.03, 100))
    np.testing.assert_allclose(rows.schedule("algorithm1", None, 20), np.linspace(1, 0.03, 20))
    assert rows.schedule("score", [1, 0.5], 20) == [1, 0.5]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block": "enc2"}, "no 'enc2'"),
        ({"held_out": ["dec3"]}, "there is no tap dec3 among mid"),
        ({"n_samples": 0}, "n_samples=0"),
        ({"n_images": 0}, "n_images=0"),
        ({"sigmas": None, "levels": 1}, "levels=1"),
        ({"resamples": 3}, "resamples=3"),
        ({"further": [variants.Variant("score", "", model(), "mid", "score")]}, "two rows have one name"),
    ],
)
def test_what_cannot_be_made_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        variants.table(conditions(2), denoiser=model(), **{**QUICK, **options})


def test_the_table_round_trips_and_its_figures_show_every_row(of_unet: xr.Dataset, tmp_path: Path) -> None:
    of_unet.to_netcdf(tmp_path / "variants.nc", engine="h5netcdf")
    kept = xr.load_dataset(tmp_path / "variants.nc", engine="h5netcdf")
    xr.testing.assert_identical(kept, of_unet)
    figure = variants.plot(kept)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == of_unet.variant.values.tolist()
    sheet = variants.sheet(kept, conditions=2, samples=1)
    said = [t.get_text() for axis in sheet.axes for t in axis.texts]
    assert set(of_unet.variant.values) | set(of_unet.what.values) <= set(said)
    assert sum(len(axis.images) for axis in sheet.axes) == 2 * (of_unet.sizes["variant"] + 1)
    with pytest.raises(InputError, match=r"give what variants.analyse returns"):
        variants.plot(kept.drop_vars("value"))


def test_laws_are_what_densities_take_and_of_the_same_conditions_as_the_table(tmp_path: Path) -> None:
    options = {"denoiser": model(), "n_images": 9, "sigmas": [1, 0.3, 0.1], "draws": 4, "seed": 3}
    # Conditions of very different energies, beside which the noise of four samples is little.
    given = conditions(12) * xr.DataArray(np.linspace(0.2, 3, 12), dims="image")
    data = variants.laws(given, n_samples=4, store=tmp_path / "laws", **options)
    table = variants.table(given, resamples=100, held_out=(), n_samples=1, **options)
    assert data.image.values.tolist() == table.image.values.tolist()
    assert data.sizes["image"] == 9
    related = densities.analyse(data, measure="patch_wasserstein", least_pairs=36, resamples=100, permutations=100)
    assert related.feature.values.tolist() == ["phi", "pixels"]
    # The laws are spheres about one centre whose radii are φ's: near ones in φ are near.
    assert related.correlation.sel(feature="phi") > 0.5


def test_the_command_writes_table_figures_and_distances(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    for i, values in enumerate(photographs(2)):
        Image.fromarray((255 * values).astype(np.uint8).transpose(1, 2, 0)).save(tmp_path / "images" / f"{i}.png")
    weights = zoo.save(unet(), tmp_path / "small.safetensors")
    given = [str(tmp_path / "images"), "--denoiser", str(weights), "--held-out", "enc1", "--size", "8"]
    given += ["--levels", "2", "--samples", "1", "-o", str(tmp_path / "out")]
    assert variants.main([*given, "--reference", str(tmp_path / "images")]) == 0
    written = xr.load_dataset(tmp_path / "out" / "variants.nc", engine="h5netcdf")
    assert "near copies of references" in written.measure
    assert written.variant.values[-1] == "at dec2"
    assert all((tmp_path / "out" / f"variants{end}.png").stat().st_size for end in ("", "-sheet"))
    assert variants.main([*given, "--block", "nowhere"]) == 1
    assert "no 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantile": 2}, "quantile=2"),
        ({"sigma": "a"}, "sigma='a'"),
        ({"reference": np.zeros((2, 1, 4, 4), np.float32)}, r"references are \(1, 4, 4\) and images \(1, 8, 8\)"),
        ({"options": 5}, "options=5"),
        ({"options": {"nope": {}}}, "method='nope'"),
        ({"options": {"algorithm1": 5}}, "options of 'algorithm1'=5"),
        ({"options": {"algorithm1": {"lr": "a"}}}, "lr='a'"),
        ({"further": ["row"]}, "further= holds what is no row"),
        ({"held_out": 3}, "held_out=3"),
        ({"sigmas": "a"}, "sigma='a'"),
        ({"denoiser": 5}, "denoiser=5: give a bundled name"),
        ({"store": 5}, "store=5 is no folder"),
    ],
)
def test_what_is_wrong_is_said_before_any_sampling(
    options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sampled(*_: Any, **__: Any) -> None:
        raise AssertionError("a sample was begun")

    monkeypatch.setattr(rows.sampling, "reconstruct", sampled)
    with pytest.raises(InputError, match=words):
        variants.table(conditions(2), **{"denoiser": model(), **QUICK, **options})


def test_seconds_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    given: dict[str, Any] = {"denoiser": model(), "n_samples": 4, "levels": 2, "draws": 1, "store": tmp_path}
    variants.laws(conditions(1), **given)
    for text in ('{"sec', "[]", "{}"):
        (tmp_path / "langevin" / "seconds.json").write_text(text)
        with pytest.raises(InputError, match=r"seconds\.json cannot be read .* delete it"):
            variants.laws(conditions(1), **given)


def test_laws_of_too_few_samples_are_refused() -> None:
    with pytest.raises(InputError, match="n_samples=3"):
        variants.laws(conditions(1), denoiser=model(), n_samples=3)
