"""What descriptors accept and refuse, and how they are labelled."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import descriptors, semantics
from analyses.descriptors import network
from probekit.errors import InputError

IMAGES = np.random.default_rng(0).random((5, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("kind", descriptors.EVERY_KIND)
def test_descriptors_carry_ids_classes_and_where_they_come_from(kind: str) -> None:
    images = probekit.images.load(IMAGES, ids=list("abcde"), labels=list("xxyyy"))
    found = getattr(descriptors, kind)(images, **({"n_components": 2} if kind == "pca" else {}))
    assert found.dims == ("image", "feature")
    assert found.dtype == np.float32
    assert found.image.values.tolist() == list("abcde")
    assert found.label.values.tolist() == list("xxyyy")
    assert found.name == kind
    assert found.attrs["image_source"] == images.name
    assert (found.isel(image=0).values == found.sel(image="a").values).all()


def test_reading_in_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = descriptors.gist(IMAGES)
    monkeypatch.setattr(sys.modules[descriptors.gist.__module__], "BATCH", 2)
    xr.testing.assert_allclose(descriptors.gist(IMAGES), whole)


@pytest.mark.parametrize("batches", [False, True])
def test_components_that_training_images_do_not_have_are_0_for_all_images(
    batches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three different images span two directions about their mean.
    train = np.repeat(IMAGES[:3], 200, axis=0)
    if batches:
        monkeypatch.setattr(network, "WHOLE", 0)
    found = descriptors.pca(IMAGES, train=train, n_components=6)
    assert (np.abs(found.values[:, :2]).max(axis=0) > 0.1).all()
    assert found.explained.values[:2].sum() == pytest.approx(1, abs=1e-5)
    assert (found.values[:, 2:] == 0).all()


def test_colours_beyond_the_range_count_in_the_outermost_bins() -> None:
    images = np.array([[[[-0.5, 0.2], [0.9, 1.7]]]], np.float32)
    found = descriptors.colour(images, bins=2).values[0, 2:]
    np.testing.assert_allclose(found**2, [0.5, 0.5], atol=1e-6)


def test_a_descriptor_labelled_as_a_representation_keeps_its_values_and_ids() -> None:
    features = descriptors.pixels(probekit.images.load(IMAGES, labels=list("xxyyy")))
    data = descriptors.as_representation(features, sigma=0.1)
    np.testing.assert_array_equal(data.phi.values[:, 0], features.values)
    assert (data.phi_se == 0).all()
    assert data.sigma.values.tolist() == [0.1]
    assert data.label.values.tolist() == list("xxyyy")


def test_several_descriptors_stand_beside_one_another_as_each_is_alone() -> None:
    images = probekit.images.load(IMAGES, ids=list("abcde"), labels=list("xxyyy"))
    found = descriptors.analyse(images, kinds=["pca", "gist"], train=IMAGES[:4], seed=1)
    # As many components as there are training images.
    assert dict(found.sizes) == {"image": 5, "pca_feature": 4, "gist_feature": 512}
    alone = descriptors.pca(images, train=IMAGES[:4], n_components=4, seed=1)
    np.testing.assert_array_equal(found.pca, alone)
    np.testing.assert_array_equal(found.explained, alone.explained)
    np.testing.assert_array_equal(found.gist, descriptors.gist(images))
    assert found.label.values.tolist() == list("xxyyy")
    assert (found.attrs["n_components"], found.gist.attrs["grid"], found.gist.attrs["units"]) == (4, 4, "contrast")


def test_the_command_writes_what_semantics_compares_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert descriptors.main(["shapes:24:1", "-o", str(out), "--kinds", "colour,pixels", "--size", "16"]) == 0
    assert [path.name for path in out.iterdir()] == ["descriptors.nc"]
    written = xr.load_dataset(out / "descriptors.nc", engine="h5netcdf")
    assert {name: v.shape for name, v in written.items()} == {"colour": (24, 70), "pixels": (24, 768)}
    assert written.attrs["analysis"] == "descriptors"
    phi = descriptors.as_representation(written.pixels.rename(pixels_feature="feature"))
    found = semantics.correlate(phi, {str(name): v for name, v in written.items()}, permutations=99)
    # The same features twice are at the same distances.
    assert found.correlation.sel(other="pixels", distance="euclidean", statistic="spearman").item() == pytest.approx(1)
    assert descriptors.main(["shapes:24:1", "-o", str(out), "--kinds", "wavelets"]) == 1
    assert "kinds='wavelets': give one of pixels, pca, colour, gist, colour_moments, gabor" in capsys.readouterr().err


def test_components_may_be_fitted_on_other_images(tmp_path: Path) -> None:
    given = ["shapes:6:1", "--train", "shapes:9:2,shapes:9:3", "--kinds", "pca", "--n-components", "3"]
    assert descriptors.main([*given, "--size", "16", "-o", str(tmp_path)]) == 0
    assert xr.load_dataset(tmp_path / "descriptors.nc", engine="h5netcdf").pca.shape == (6, 3)


def fit_of(**given: Any) -> torch.Tensor:
    return descriptors.descriptor("pca", **{"images": IMAGES, "n_components": 2, **given}).features.components


def test_what_is_fitted_is_taken_up_where_it_was_fitted_on_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, fits = network._fitted, []

    def rounded_otherwise(train: Any, *how: Any) -> xr.Dataset:
        fits.append(train)
        return right(train, *how) * (1 + 1e-5 * len(fits))

    monkeypatch.setattr(network, "_fitted", rounded_otherwise)
    first = fit_of(store=tmp_path)
    assert torch.equal(first, fit_of(store=tmp_path))
    assert len(fits) == 1
    assert not torch.equal(first, fit_of())
    for n, other in enumerate(({"train": 0.9 * IMAGES}, {"seed": 1}, {"n_components": 3}), start=1):
        fit_of(store=tmp_path, **other)
        assert len(fits) == 2 * n + 1
        fit_of(store=tmp_path)
        assert len(fits) == 2 * n + 2
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"store='.*file' is no folder"):
        fit_of(store=tmp_path / "file")
