"""What a measurement decides by itself is logged, for those who listen."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import probekit
from probekit.models.unet import UNet
from probekit.phi import averages, store


def tap() -> probekit.Tap:
    torch.manual_seed(0)
    return probekit.tap(UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)), "enc1")


PICTURES = np.random.default_rng(0).random((10, 3, 8, 8), dtype=np.float32)


def test_batch_size_reach_mode_device_and_type_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="probekit")
    tap()(PICTURES, sigma=[0.1, 0.2], draws=3)
    (said,) = [r.getMessage() for r in caplog.records]
    assert "10 images at 2 noise levels, 3 draws: 30 noisy images in one forward pass (chosen)" in said
    assert "stops at the last tap, in evaluation mode, on cpu in torch.float32" in said
    caplog.clear()
    tap()(PICTURES, sigma=0.1, draws=1, batch_size=4)
    assert "4 noisy images in one forward pass (as given" in caplog.records[0].getMessage()


def test_units_that_are_taken_up_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 100)
    monkeypatch.setattr(averages, "GROUP", 1)
    options = {"sigma": 0.1, "draws": 1, "batch_size": 4, "store": tmp_path / "phi.zarr"}
    tap()(PICTURES, **options)
    (tmp_path / "phi.zarr/progress/done/c/1").unlink()
    caplog.set_level(logging.INFO, logger="probekit")
    tap()(PICTURES, **options)
    assert any("2 units are done, 1 to do" in r.getMessage() for r in caplog.records)


def test_nothing_is_said_to_those_who_do_not_listen(capsys: pytest.CaptureFixture[str]) -> None:
    tap()(PICTURES, sigma=0.1, draws=1)
    assert capsys.readouterr() == ("", "")
    assert [type(h) for h in logging.getLogger("probekit").handlers] == [logging.NullHandler]
