"""Held concepts: known effects on the patch model, the choice of channels, Holm's correction, figure and refusals."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import probekit
from analyses import concepts, selectivity
from analyses.concepts.figure import MOST_SAMPLES
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

SIGMA, N = 0.02, 60
QUICK: dict[str, Any] = {
    "sigma": SIGMA,
    "sigmas": np.geomspace(1, 0.01, 12).tolist(),
    "draws": 2,
    "permutations": 199,
    "resamples": 100,
    "together": 1,
    "progress": False,
}


def model() -> PatchModel:
    """A rare class has component 1 and the other component 2; components 0 and 3 are the same in both."""
    return PatchModel([0.15, 0.85], [[0.4, 0.3, 0, 0.05], [0.4, 0, 0.3, 0.05]])


def measured() -> tuple[ImageSet, xr.Dataset]:
    images = probekit.images.load(model().draw(N, rows=8, cols=8, seed=4).images)
    return images, probekit.tap(model(), "mid")(images, sigma=[SIGMA, 0.2], draws=2)


def held(channels: list[int] | None, **options: Any) -> xr.Dataset:
    images, data = measured()
    return concepts.analyse(
        images, data, denoiser=model(), channels=channels, **{**QUICK, "n_images": 3, "n_samples": 6, **options}
    )


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return held([1, 3])


def test_a_channel_that_decides_the_class_brings_the_rest_of_the_class_with_it(found: xr.Dataset) -> None:
    of = found.isel(concept=0)
    # With component 1 held at a large energy only the rare class is possible, which has no component 2; free samples
    # have it in 85 % of cases, so that nearly all orders of held and free are won by the held ones.
    # The classifier is asked for more, to know the images that excite most from others of the class.
    against = of.sel(against="free samples")
    assert (against.p_holm.sel(witness=["held", "other"]) < 0.02).all()
    assert against.p_holm.sel(witness="classifier") <= 0.05
    assert (against.nearer_low.sel(witness=["held", "other"]) > 0.5).all()
    assert of.held_samples.dims == ("exciting", "sample", "band", "row", "col")
    # Samples are told from those of the other concept, by the channel itself and by what comes with it.
    assert (of.p.sel(against="samples of other concepts", witness=["held", "other"]) < 0.02).all()
    np.testing.assert_allclose(of.reached, 1, atol=0.1)


def test_a_channel_that_nothing_else_goes_with_is_found_to_bring_nothing_but_itself(found: xr.Dataset) -> None:
    of = found.isel(concept=1).sel(against="free samples")
    assert of.p.sel(witness="held") < 0.02
    # Without an effect p ≤ 0.01 happens once in a hundred seeds; this is one seed, fixed before it was seen.
    assert (of.p.sel(witness=["other", "classifier"]) > 0.01).all()
    assert of.nearer_low.sel(witness="other") < 0.5


def test_what_is_kept_is_of_the_images_that_excite_the_channel_most(found: xr.Dataset) -> None:
    images, data = measured()
    for c, channel in enumerate((1, 3)):
        order = np.argsort(-data.phi.values[:, 0, channel])[:3]
        assert found.exciting_image.values[c].tolist() == [images.ids[i] for i in order]
        np.testing.assert_allclose(found.exciting.values[c], images.read(order.tolist()).numpy(), atol=1e-6)
    assert found.held.values.tolist() == ["1", "3"]


def test_a_single_concept_has_no_others_to_be_told_from_and_a_store_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analyses import sampling

    options = {"n_images": 1, "n_samples": 2, "sigmas": [1, 0.1], "store": tmp_path}
    one = held([1], **options)
    assert one.p.sel(against="samples of other concepts").isnull().all()
    assert one.nearer_low.isnull().all()
    monkeypatch.setattr(sampling, "images_of", None)
    xr.testing.assert_identical(held([1], **options), one)


def findings(kinds: list[str], sparseness: list[float], active: list[float]) -> xr.Dataset:
    over = ("sigma", "channel")
    return xr.Dataset(
        {
            "type": (over, np.array([kinds], dtype=object)),
            "lifetime_sparseness": (over, [sparseness]),
            "activity_fraction": (over, [active]),
        },
        coords={"sigma": [0.1]},
    )


def test_the_most_selective_are_the_sparsest_of_that_type_that_are_not_nearly_silent() -> None:
    kinds = ["selective", "common", "selective", "selective", "mixed", "selective"]
    given = findings(kinds, [0.5, 0.99, 0.9, 0.7, 0.95, 0.98], [0.2, 0.9, 0.1, 0.1, 0.3, 0.01])
    assert concepts.most_selective(given, sigma=0.1) == [2, 3, 0]
    assert concepts.most_selective(given, sigma=0.1, n_channels=1) == [2]
    assert concepts.most_selective(given, sigma=0.1, least_active=0.005)[0] == 5
    with pytest.raises(InputError, match="no channel that is active on 50 % of the images is selective"):
        concepts.most_selective(given, sigma=0.1, least_active=0.5)


def test_channels_held_together_are_those_that_the_same_images_raise_most() -> None:
    phi = np.zeros((40, 5))
    phi[:, 1:] = np.random.default_rng(0).random((40, 4)) * 0.1
    # Images 7 and 9 excite channel 0, and with it channel 3 more than 1; channel 4, the most, is of another type.
    phi[[7, 9], 0], phi[[7, 9], 3], phi[[7, 9], 1], phi[[7, 9], 4] = (2, 1), 0.4, 0.2, 5
    one = concepts._held(phi, 0, np.array([0, 1, 2, 3]), 3, 2)
    assert one == (0, [0, 1, 3], [7, 9])


@pytest.mark.parametrize("seed", range(3))
def test_holms_correction_rejects_what_its_procedure_rejects(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.3, 1, size=(10, 2))
    corrected = concepts.holm(p)
    assert (corrected >= p).all()
    for alpha in (0.01, 0.05, 0.2):
        for column in range(2):
            rejected = set()
            # Step down: the smallest against alpha/10, the next against alpha/9, until one is not small enough.
            for step, i in enumerate(np.argsort(p[:, column])):
                if p[i, column] > alpha / (10 - step):
                    break
                rejected.add(int(i))
            assert set(np.flatnonzero(corrected[:, column] <= alpha)) == rejected
    ordered = corrected[np.argsort(p[:, 0]), 0]
    assert all(a <= b for a, b in pairwise(ordered))


def test_unknown_p_values_do_not_count_as_tests() -> None:
    np.testing.assert_array_equal(concepts.holm(np.array([0.02, np.nan, 0.5])), [0.04, np.nan, 0.5])


def test_what_cannot_be_held_is_refused() -> None:
    images, data = measured()
    given = {"denoiser": model(), "channels": [1], **QUICK}
    refused = [
        ({"sigma": 0.5}, "give one of the data's noise levels"),
        ({"channels": [9]}, r"channels \[9\] do not exist"),
        ({"together": 6}, "together=6"),
        ({"n_samples": 1}, "n_samples=1"),
        ({"n_images": 0}, "n_images=0"),
        ({"n_images": N + 1}, f"there are {N} images"),
        ({"channels": []}, "at least one channel"),
        ({"channels": 5}, "a list of channels"),
        ({"channels": [0.5]}, "at least one channel"),
        ({"channels": [1, 1]}, "names a channel twice"),
        ({"sigma": "a"}, "sigma='a'"),
        ({"findings": data}, "findings lack type"),
        ({"permutations": 10}, "permutations=10"),
        ({"level": 2}, "level=2"),
        ({"store": 5}, "store=5 is no folder"),
    ]
    for options, words in refused:
        with pytest.raises(InputError, match=words):
            concepts.analyse(images, data, **{**given, **options})
    with pytest.raises(InputError, match=r"another denoiser or tap .* \(weights_sha256 differ\)"):
        concepts.analyse(images, data.assign_attrs(weights_sha256="other"), **given)
    with pytest.raises(InputError, match=r"another denoiser or tap .* \(taps differ\)"):
        concepts.analyse(images, data.assign_attrs(taps="enc1=encoder.0"), **given)
    with pytest.raises(InputError, match="data are of other images"):
        concepts.analyse(images.subset(range(N - 1)), data, **given)
    two = data.assign_coords(tap=("channel", np.array(["mid", "mid", "enc1", "enc1"], dtype=object)))
    with pytest.raises(InputError, match="data are of the taps mid, enc1: give φ of one"):
        concepts.analyse(images, two, findings=selectivity.analyse(data, resamples=100), **given)


def test_the_figure_shows_exciting_images_and_samples_of_each_concept(found: xr.Dataset, tmp_path: Path) -> None:
    found.to_netcdf(tmp_path / "concepts.nc", engine="h5netcdf")
    kept = xr.load_dataset(tmp_path / "concepts.nc", engine="h5netcdf")
    xr.testing.assert_identical(kept, found)
    figure = concepts.plot(kept)
    assert sum(len(axis.images) for axis in figure.axes) == 2 * (3 + 2 * MOST_SAMPLES)
    with pytest.raises(InputError, match="lack p_holm"):
        concepts.plot(kept.drop_vars("p_holm"))


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    weights = zoo.save(network.eval(), tmp_path / "small.safetensors")
    given = ["samples", "--denoiser", str(weights), "--n-images", "30", "--levels", "2", "-o", str(tmp_path)]
    code = concepts.main([*given, "--samples", "2", "--exciting", "1", "--size", "8", "--channels", "2"])
    said = capsys.readouterr()
    # A network of six channels that was never trained may have selective ones or not.
    assert (code == 0) == (tmp_path / "concepts.png").exists() == ("concepts.png" in said.out)
    assert (code == 1) == ("python -m analyses.concepts: " in said.err)
    assert concepts.main(["samples", "nothing", "-o", str(tmp_path)]) == 1
    assert "no built-in images ['nothing']" in capsys.readouterr().err


def test_types_are_looked_up_at_the_findings_own_level() -> None:
    _, data = measured()
    types = selectivity.analyse(data, resamples=100)
    kept = types.assign(type=types.type.copy(data=np.full(types.type.shape, "selective", dtype=object)))
    # Channels are held by what they are at σ = 0.02, wherever it stands among the findings.
    given = {"findings": kept, "together": 2, "sigmas": [1, 0.1], "n_samples": 2}
    straight = held([1], **given)
    turned = kept.isel(sigma=[1, 0]).copy(deep=True)
    turned["type"][0] = "common"
    assert held([1], **{**given, "findings": turned}).held.values.tolist() == straight.held.values.tolist()
