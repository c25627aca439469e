"""What the probe accepts and refuses, its labels, its figure and its command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from analyses import probe
from analyses.probe import kernels
from probekit import labels
from probekit.errors import InputError


def dataset(prefix: str, images: int = 40, taps: tuple[str, ...] = ("enc1", "mid")) -> xr.Dataset:
    rng = np.random.default_rng(ord(prefix))
    y = np.arange(images) % 4
    phi = rng.normal(size=(images, 2, 3 * len(taps))) + y[:, None, None]
    return labels.representation(
        {"phi": phi},
        ids=[f"{prefix}{i}" for i in range(images)],
        labels=[f"class {k}" for k in y],
        sigma=[0.1, 0.2],
        channels=dict.fromkeys(taps, 3),
        attrs={"denoiser": "none", "image_source": prefix},
    )


TRAIN, TEST = dataset("a"), dataset("b", 24)


def analysed(train: xr.Dataset = TRAIN, test: xr.Dataset = TEST, **options: Any) -> xr.Dataset:
    return probe.analyse(train, test, **{"resamples": 100, "penalties": (0.1, 0.01), **options})


def test_findings_are_labelled_and_the_inputs_left_as_they_were() -> None:
    before = TRAIN.copy(deep=True), TEST.copy(deep=True)
    found = analysed(sizes=[20, 40])
    xr.testing.assert_identical(TRAIN, before[0])
    xr.testing.assert_identical(TEST, before[1])
    assert found.accuracy.dims == ("sigma", "block")
    assert found.correct.dims == ("image", "sigma", "block")
    assert found.curve.dims == ("size", "sigma", "block")
    assert found.block.values.tolist() == ["enc1", "mid"]
    assert found.attrs["train_source"] == "a"
    np.testing.assert_allclose(found.accuracy, found.correct.mean("image"))
    np.testing.assert_allclose(found.curve.isel(size=-1), found.accuracy)
    assert found.chance.item() == 0.25


def test_the_coefficients_act_on_phi_as_it_is() -> None:
    found = analysed()
    here = (TEST.tap == "mid").values
    phi, coefficient = TEST.phi.values[:, 1, here], found.coefficient.values[:, 1, here]
    logits = phi @ coefficient.T + found.intercept.sel(block="mid").values[:, 1]
    named = found["class"].values[logits.argmax(axis=1)]
    np.testing.assert_array_equal(named == TEST.label.values, found.correct.sel(block="mid").values[:, 1])


def test_a_constant_channel_is_left_out() -> None:
    train, test = TRAIN.copy(deep=True), TEST.copy(deep=True)
    train["phi"][:, :, 0] = 0.3
    assert (analysed(train, test).coefficient.isel(channel=0) == 0).all()


def test_classes_of_fewer_images_than_folds_have_no_say_in_the_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    rare = TRAIN.isel(image=[0, 4, *(i for i in range(40) if i % 4)])
    seen = []
    right = kernels.tuning_losses

    def watched(x: np.ndarray, y: np.ndarray, *rest: Any) -> Any:
        seen.append(np.bincount(y).tolist())
        return right(x, y, *rest)

    monkeypatch.setattr(kernels, "tuning_losses", watched)
    with pytest.warns(RuntimeWarning, match="1 classes, such as class 0, have fewer than 3 images"):
        found = analysed(rare)
    assert seen == [[10, 10, 10]] * 4
    assert found["class"].values.tolist() == [f"class {k}" for k in range(4)]
    # Chosen on classes that each fold knows: naming one of three at random loses log 3.
    assert (found.tuning_loss.min("choice") < np.log(3)).all()


def test_a_single_penalty_needs_no_images_to_be_chosen_on() -> None:
    assert (analysed(TRAIN.isel(image=range(8)), penalties=(0.1,)).penalty == 0.1).all()


def test_of_few_classes_fewer_may_be_named() -> None:
    assert analysed().attrs["top"] == 3
    two = [d.isel(image=np.isin(d.label, ["class 0", "class 1"])) for d in (TRAIN, TEST)]
    found = analysed(*two)
    assert found.attrs["top"] == 1
    xr.testing.assert_equal(found.top_accuracy.drop_attrs(), found.accuracy.drop_attrs())


def test_classes_may_be_under_another_name() -> None:
    renamed = [d.rename(label="kind") for d in (TRAIN, TEST)]
    xr.testing.assert_equal(analysed(*renamed, label="kind").accuracy, analysed().accuracy)


def test_findings_survive_a_file_and_are_drawn(tmp_path: Path) -> None:
    found = analysed(sizes=[20, 40])
    found.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    again = xr.load_dataset(tmp_path / "f.nc", engine="h5netcdf")
    xr.testing.assert_allclose(again.accuracy, found.accuracy)
    assert isinstance(probe.plot(again), Figure)
    assert len(probe.plot(analysed()).axes) == 2


def test_the_command_line_writes_findings_and_a_figure(tmp_path: Path) -> None:
    for name, data in (("train", TRAIN), ("test", TEST)):
        data.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
    given = [str(tmp_path / "test.nc"), "--train", str(tmp_path / "train.nc"), "-o", str(tmp_path / "out")]
    assert probe.main([*given, "--protocol", "ddae", "--sizes", "20,40", "--resamples", "100"]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["probe.nc", "probe.png"]
    written = xr.load_dataset(tmp_path / "out" / "probe.nc", engine="h5netcdf")
    assert written["size"].values.tolist() == [20, 40]
    assert probe.main([*given, "--penalties", "0.1", "--label", "kind"]) == 1
    assert probe.main([str(tmp_path / "train.nc"), "--train", str(tmp_path / "train.nc"), "-o", str(tmp_path)]) == 1


def test_one_noise_level_and_block_is_compared_with_all_of_the_first() -> None:
    found = probe.compare(analysed(), analysed().isel(sigma=[0], block=[1]), resamples=100)
    assert found.accuracy.dims == ("sigma", "block", "other_block")
    assert found.other_block.values.tolist() == ["mid"]
    assert found.accuracy.sel(sigma=0.1, block="mid").item() == 0
    assert found.attrs["analysis_seed"] == 0


@pytest.mark.parametrize("attr", ["weights_sha256", "reduce", "denoiser_settings", "taps"])
def test_sets_that_say_they_are_of_different_networks_are_refused(attr: str) -> None:
    train = TRAIN.assign_attrs({attr: "one"})
    with pytest.raises(InputError, match=rf"the training set and the test set are of .*{attr}.* del data.attrs"):
        analysed(train, TEST.assign_attrs({attr: "other"}))
    assert float(analysed(train, TEST).accuracy.max()) <= 1


def test_one_tap_of_several_is_tested_against_the_same_tap_alone() -> None:
    several, alone = (data.assign_attrs(taps=taps) for data, taps in ((TRAIN, "enc1=a, mid=b"), (TEST, "mid=b")))
    analysed(several.isel(channel=several.tap == "mid"), alone.isel(channel=alone.tap == "mid"))
