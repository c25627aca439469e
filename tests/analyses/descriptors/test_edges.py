"""What descriptors accept and refuse, and how they are labelled."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import probekit
from analyses import descriptors
from analyses.descriptors.analyse import as_representation, descriptor
from probekit.errors import InputError

IMAGES = np.random.default_rng(0).random((5, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("kind", descriptors.KINDS)
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
    monkeypatch.setattr(descriptors, "BATCH", 2)
    xr.testing.assert_allclose(descriptors.gist(IMAGES), whole)


@pytest.mark.parametrize("batches", [False, True])
def test_components_that_training_images_do_not_have_are_0_for_all_images(
    batches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three different images span two directions about their mean.
    train = np.repeat(IMAGES[:3], 200, axis=0)
    if batches:
        monkeypatch.setattr(descriptors, "WHOLE", 0)
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
    data = as_representation(features, sigma=0.1)
    np.testing.assert_array_equal(data.phi.values[:, 0], features.values)
    assert (data.phi_se == 0).all()
    assert data.sigma.values.tolist() == [0.1]
    assert data.label.values.tolist() == list("xxyyy")


WRONG: list[tuple[Any, str]] = [
    (lambda: descriptor("wavelets", IMAGES), "kind='wavelets': give one of 'pixels', 'pca', 'colour', 'gist'"),
    (lambda: descriptor("pixels", IMAGES, bins=2), "pixels takes no bins"),
    (lambda: descriptors.colour(IMAGES, bins=1), "bins=1 for 3 bands: give at least 2"),
    (lambda: descriptors.colour(IMAGES, bins=100), "bins=100 for 3 bands"),
    (lambda: descriptors.gist(IMAGES, grid=9), "grid=9 on images of 8×8 pixels"),
    (lambda: descriptors.gist(IMAGES, scales=0), "scales=0: give a whole number ≥ 1"),
    (lambda: descriptors.pca(IMAGES, n_components=6), "n_components=6 of 5 training images"),
    (lambda: descriptors.pca(IMAGES, train=IMAGES[:, :1], n_components=2), "training images have shape (1, 8, 8)"),
    (lambda: as_representation(IMAGES), "features are ndarray"),  # type: ignore[arg-type]
    (lambda: as_representation(xr.DataArray(np.zeros((2, 2)), dims=("image", "feature"))), "features have no ids"),
    (lambda: as_representation(descriptors.pixels(IMAGES), sigma=-1), "sigma=-1: give a noise standard"),
    (lambda: as_representation(descriptors.pixels(IMAGES) * np.nan), "features hold NaN"),
    (lambda: as_representation(descriptors.pixels(IMAGES).isel(image=[0, 0])), "ids of images occur more than once"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_used_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert message in str(raised.value)
