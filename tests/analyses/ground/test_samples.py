"""How samples are made: what the settings refuse, before anything is sampled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analyses.ground import SampleSettings, drawn_images
from probekit import images
from probekit.errors import InputError


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"n_images": 0}, "n_images=0: give a whole number ≥ 1"),
        ({"n_samples": 0}, "n_samples=0: give a whole number ≥ 1"),
        ({"sigmas": "a"}, "sigma='a'"),
        ({"levels": 1}, "levels=1: give a whole number ≥ 2"),
        ({"draws": 0}, "draws=0: give a whole number ≥ 1"),
        ({"seed": -1}, "seed=-1: give a whole number ≥ 0"),
        ({"batch_size": 0}, "batch_size=0: give a whole number ≥ 1"),
        ({"store": 5}, "store=5: give the path of a folder"),
        ({"progress": "no"}, "progress='no': give True or False"),
    ],
)
def test_settings_out_of_range_are_refused(option: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SampleSettings(**{"n_images": 3, "n_samples": 2, **option})


def test_settings_in_range_are_kept_and_have_defaults(tmp_path: Path) -> None:
    kept = SampleSettings(n_images=None, n_samples=2, sigmas=[1, 0.1], batch_size=3, store=tmp_path, progress=False)
    assert (kept.n_images, kept.sigmas, kept.store, kept.progress) == (None, [1, 0.1], tmp_path, False)
    plain = SampleSettings(n_images=1, n_samples=1)
    assert (plain.levels, plain.draws, plain.seed, plain.batch_size, plain.store) == (20, 10, 0, None, None)


def test_a_seed_that_draws_no_images_is_refused() -> None:
    with pytest.raises(InputError, match="seed=-1"):
        drawn_images(images.load(np.zeros((2, 1, 4, 4), np.float32)), 1, -1)
