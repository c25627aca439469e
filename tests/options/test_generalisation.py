"""Bad options of everything public in generalisation: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import xarray as xr

from analyses import generalisation
from probekit.errors import InputError, ModelError
from probekit.synthetic.patch_model import PatchModel

LAW = PatchModel([1.0], [[0.2, 0.05, 0, 0]])


def draws(n: int = 40, seed: int = 0, cols: int = 8) -> Any:
    return LAW.draw(n, rows=8, cols=cols, seed=seed).images


SEEN, UNSEEN = draws(), draws(seed=1)


def analyse(denoiser: Any = LAW, training: Any = SEEN, held_out: Any = UNSEEN, **options: Any) -> Callable[[], Any]:
    given = {"n_samples": 2, "share": 0.1, "sigma": (0.5,), "sigmas": (1.0, 0.1), "resamples": 100, **options}
    return lambda: generalisation.analyse(denoiser, training, held_out, **given)


@cache
def findings() -> xr.Dataset:
    return analyse()()


BAD: list[tuple[Callable[[], Any], str]] = [
    (analyse(training=5), "images"),
    (analyse(held_out=5), "images"),
    (analyse(held_out=draws(cols=10)), "training images are .* and held-out ones .*: bring them to one size"),
    (analyse(training=draws(2)), "2 training and 40 held-out images: give at least 3 and 2"),
    (analyse(held_out=draws(1)), "40 training and 1 held-out images"),
    (analyse(sigma=()), "sigma is empty"),
    (analyse(sigma="a"), "sigma='a'"),
    (analyse(n_samples=0), "n_samples=0: give a whole number ≥ 1"),
    (analyse(n_images=0), "n_images=0: give a whole number ≥ 1"),
    (analyse(share=0), "share=0: give the share of unseen images"),
    (analyse(share=0.001), "40 held-out images cannot tell .* give at least 999, or a larger share"),
    (analyse(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (analyse(sigmas="a"), "sigma"),
    (analyse(neighbours=1.5), "neighbours=1.5: give a whole number ≥ 1"),
    (analyse(resamples=3), "resamples=3: give a whole number ≥ 100"),
    (analyse(level=95), "level=95: give the interval's coverage"),
    (analyse(batch_size=0), "batch_size=0: give a whole number ≥ 1"),
    (lambda: generalisation.card_entry(xr.Dataset()), "the findings lack .*give what generalisation.analyse returns"),
    (lambda: generalisation.card_entry(5), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: generalisation.card_entry(findings().drop_attrs()), "lost their attributes training_images, .*, level"),
    (lambda: generalisation.plot(xr.Dataset()), "the findings lack .*give what generalisation.analyse returns"),
    (lambda: generalisation.plot(5), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: generalisation.plot(findings(), most=0), "most=0: give a whole number ≥ 1"),
    (lambda: generalisation.sheet(xr.Dataset()), "the findings lack .*give what generalisation.analyse returns"),
    (lambda: generalisation.sheet(findings(), columns=0), "columns=0: give a whole number ≥ 1"),
    (lambda: generalisation.sheet(findings().drop_attrs()), "the findings lost their attributes denoiser"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ModelError, match=r"a denoiser wraps a torch\.nn\.Module, not int"):
        analyse(denoiser=5)()


def test_an_option_that_there_is_none_of_is_refused_as_python_refuses_it() -> None:
    with pytest.raises(TypeError, match=r"analyse\(\) has no option 'neighbors': give neighbours"):
        analyse(neighbors=5)()
