"""What the probe refuses of options and sets, in words that say how to mend it."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import probe
from probekit.errors import InputError
from tests.analyses.probe.test_edges import TEST, TRAIN, analysed

Y, NAMES = np.arange(40) % 4, np.array(list("abcd"))


def constant(data: xr.Dataset) -> xr.Dataset:
    return data.assign(phi=data.phi * 0 + 2)


WRONG: list[tuple[Any, str]] = [
    (lambda: analysed(TRAIN, TRAIN), "40 ids are in both sets, such as a0, a1, a10"),
    (lambda: analysed(TRAIN.drop_vars("label")), "label='label' is no coordinate along image of the train set"),
    (lambda: analysed(test=TEST.drop_vars("label")), "label='label' is no coordinate along image of the test set"),
    (lambda: analysed(TRAIN.isel(image=[0, 4, 8])), "label of the train set: all images are of class 'class 0'"),
    (lambda: analysed(TRAIN.isel(image=[0, 1, 4, 5])), "classes class 2, class 3 of the test set"),
    (lambda: analysed(test=TEST.isel(sigma=[0])), "sigma differs"),
    (lambda: analysed(test=TEST.isel(channel=slice(3))), "tap differs"),
    (lambda: analysed(constant(TRAIN)), "φ of enc1 at σ = 0.1 is the same for all training images"),
    (lambda: analysed(TRAIN.isel(image=[0, 0, 1, 2, 3])), "ids of the train set occur more than once"),
    (lambda: analysed(TRAIN, TEST.isel(image=[])), "the test set has sizes"),
    (lambda: analysed(TRAIN.phi), "the data is a DataArray"),  # type: ignore[arg-type]
    (lambda: analysed(protocol="svm"), "protocol='svm': give one of softmax, ddae"),
    (lambda: analysed(penalties=(0.0,)), "penalties=0.0: give a list of different positive numbers"),
    (lambda: analysed(penalties=()), "penalties=(): give a list of different positive numbers"),
    (lambda: analysed(sizes=[41]), "sizes=[41]: give a list of different numbers of training images, 1 to 40"),
    (lambda: analysed(top=0), "top=0: give a whole number ≥ 1"),
    (lambda: analysed(fit_images=2), "fit_images=2: give a whole number ≥ 3"),
    (lambda: analysed(tuning_images=2), "tuning_images=2: give a whole number ≥ 3"),
    (lambda: analysed(epochs=0), "epochs=0: give a whole number ≥ 1"),
    (lambda: analysed(label=3), "label=3: give the name of a coordinate along image of the train set"),
    (lambda: analysed(top=4), "top=4 of 4 classes is always right: give 3 at most"),
    (lambda: analysed(tuning_images=11), "tuning_images=11 for 4 classes: give 12 at least"),
    (lambda: analysed(TRAIN.isel(image=range(8))), "fewer than two classes have 3 training images"),
    (lambda: analysed(resamples=99), "resamples=99: give a whole number ≥ 100"),
    (lambda: analysed(level=1), "level=1: give the interval's coverage"),
    (lambda: analysed(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: analysed(TRAIN.astype(complex)), "phi is of type complex128: give real numbers"),
    (lambda: probe.penalties_of("0.1"), "penalties='0.1': give a list of different positive numbers"),
    (lambda: probe.check_tuning(Y, NAMES, 11, 0), "tuning_images=11 for 4 classes: give 12 at least"),
    (lambda: probe.compare(analysed(), analysed(), resamples=1), "resamples=1: give a whole number ≥ 100"),
    (lambda: probe.compare(analysed(), analysed(), level="x"), "level='x': give the interval's coverage"),
    (lambda: probe.compare(analysed(), analysed(), seed=0.5), "seed=0.5: give a whole number ≥ 0"),
    (lambda: probe.compare(TRAIN, TRAIN), "first: the findings lack correct"),
    (lambda: probe.compare(analysed(), None), "second: the findings are a NoneType"),  # type: ignore[arg-type]
    (lambda: probe.compare(analysed().isel(sigma=0), analysed()), "first: the findings have no dim sigma"),
    (lambda: probe.compare(*[analysed().isel(image=[0, 0])] * 2), "ids of first occur more than once"),
    (
        lambda: probe.compare(analysed(), analysed().assign_coords(label=TEST.label[::-1].variable)),
        "classes of 24 images differ between the two, such as b0, 'class 0' in the first and 'class 3' in the second",
    ),
    (lambda: probe.plot(TRAIN), "the findings lack chance, accuracy, accuracy_low"),
    (lambda: probe.plot(analysed().drop_attrs()), "the findings lost their attributes top"),
    (lambda: probe.compare(analysed(), analysed(test=TEST.isel(image=slice(12)))), "tested on different images"),
    (lambda: probe.compare(analysed(), analysed().assign_coords(sigma=[0.3, 0.4])), "noise levels"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_used_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert message in str(raised.value)
