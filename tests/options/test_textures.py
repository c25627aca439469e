"""Bad options of everything public in textures: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import textures
from probekit import labels
from probekit.errors import InputError

PHOTOGRAPHS = np.random.default_rng(0).random((10, 1, 8, 16))


def phi(images: int = 40, *, each: int = 4, sigma: float = 0.1, block: str = "mid", first: int = 0) -> xr.Dataset:
    values = np.random.default_rng(0).normal(size=(images, 1, 3))
    return labels.representation(
        {"phi": values},
        ids=[str(first + k) for k in range(images)],
        labels=[f"photograph {k // each}" for k in range(images)],
        sigma=[sigma],
        channels={block: 3},
        attrs={},
    )


DATA = phi()
TWO = xr.concat([phi(block="x"), phi(block="y")], "channel")
ARRAY = xr.DataArray(np.ones((40, 2)), {"image": DATA.image}, ("image", "feature"))


def analyse(representations: Any = None, **options: Any) -> Callable[[], Any]:
    given = {"φ": DATA} if representations is None else representations
    return lambda: textures.analyse(given, **{"resamples": 100, **options})


def found() -> xr.Dataset:
    return analyse()()


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: textures.patches(PHOTOGRAPHS, size=0), "size=0: give a whole number ≥ 1"),
    (lambda: textures.patches(PHOTOGRAPHS, side=0), "side=0: give a whole number ≥ 1"),
    (lambda: textures.patches(PHOTOGRAPHS, side=10**9), "side=1000000000: .*give a smaller side"),
    (lambda: textures.patches(PHOTOGRAPHS, each=1), "each=1: give a whole number ≥ 2"),
    (lambda: textures.patches(PHOTOGRAPHS, bands=2), "bands=2: give 1 for luminance, 3 for RGB, or None"),
    (lambda: textures.patches(PHOTOGRAPHS.repeat(2, 1), bands=3), "bands=3 of images of 2 bands: give bands=None"),
    (lambda: textures.patches(Path("nowhere")), "nowhere does not exist"),
    (lambda: textures.equalised(PHOTOGRAPHS, sd=0), "sd=0: give a standard deviation"),
    (lambda: textures.equalised(PHOTOGRAPHS, bands=0), "bands=0: give a whole number"),
    (analyse({}), "representations is empty: give a mapping"),
    (analyse(DATA), r"representations is one Dataset: give a mapping .*such as {\"φ\": data}"),
    (analyse({"φ": 5}), r"representations\['φ'\] is a int: give what a tap returns, or an array"),
    (analyse({"a": ARRAY}), "the reference 'a' is an array: give φ as the reference"),
    (analyse(reference="b"), "reference='b': give one of φ"),
    (analyse(label="class"), "label='class' is no coordinate along image"),
    (analyse({"φ": phi(36)}), "9 .*10"),
    (analyse({"φ": phi(40, each=3)}), "1 photographs have one patch, such as photograph 13"),
    (
        analyse({"φ": DATA, "b": phi(first=1)}),
        r"representations\['b'\] is of other patches than the reference, such as 0",
    ),
    (analyse({"φ": DATA, "b": phi(sigma=0.2)}), r"representations\['b'\] has noise levels 0.2: give those .* 0.1"),
    (analyse({"φ": DATA, "b": phi(each=2)}), r"representations\['b'\] has patches of other photographs"),
    (analyse({"φ": DATA, "b": TWO}), r"representations\['b'\] has blocks x, y: give those of the reference, mid, or a"),
    (analyse({"φ": DATA, "b": DATA.drop_vars("phi")}), r"representations\['b'\]: .*phi"),
    (analyse(distances=["cosine"]), "distances='cosine': give one of euclidean, standardised"),
    (analyse(distances=[]), "distances is empty"),
    (analyse(resamples=9), "resamples=9"),
    (lambda: textures.curve({"φ": DATA}, over="time"), "over='time': give one of draws, patches"),
    (lambda: textures.curve({"φ": DATA}, counts=(2, 1)), r"counts=\(2, 1\): give whole numbers that rise"),
    (lambda: textures.curve({"φ": DATA}, counts=()), "counts"),
    (lambda: textures.curve({"φ": DATA}), r"representations\['φ'\] keeps 0 draws, of which 1 were asked"),
    (lambda: textures.curve({"φ": DATA}, over="patches", counts=(1, 2)), "counts.*give"),
    (lambda: textures.curve({"φ": DATA.drop_vars("label")}, over="patches", counts=(2,)), "lacks the coordinate"),
    (lambda: textures.best_block(xr.Dataset()), "the findings lack rate"),
    (lambda: textures.best_block(found(), distance="cosine"), "distance='cosine': give one of euclidean"),
    (lambda: textures.best_block(found(), sigma=0.5), "sigma=0.5: give one of the noise levels 0.1"),
    (lambda: textures.verdict(found(), "enc9"), "block='enc9': give one of mid"),
    (lambda: textures.verdict(found(), "mid", rivals=()), "rivals is empty"),
    (lambda: textures.verdict(found(), "mid", rivals=["untraned"]), "rivals='untraned': give one of"),
    (lambda: textures.Settings(each=1), "each=1: give a whole number ≥ 2"),
    (lambda: textures.Settings(sigma=-1), "sigma"),
    (lambda: textures.Settings(distance="cosine"), "distance='cosine'"),
    (
        lambda: textures.table(PHOTOGRAPHS[:3], settings=textures.Settings(size=8, side=None)),
        "3 photographs .* give 10",
    ),
    (lambda: textures.table(PHOTOGRAPHS, settings=5), "settings=5"),  # pyright: ignore[reportArgumentType]
    (
        lambda: textures.table(PHOTOGRAPHS, groups={"0": "a"}, settings=textures.Settings(size=8, side=None)),
        "groups lacks 1, 2, .*: give the group of every photograph",
    ),
    (lambda: textures.plot(found()), "the findings"),
    (lambda: textures.plot_curves(found()), "the findings lack"),
]


@pytest.mark.parametrize(("call", "said"), BAD, ids=[f"{k} {said[:40]}" for k, (_, said) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()


def test_an_option_that_there_is_none_of_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="has no option 'resample': give resamples"):
        textures.curve({"φ": DATA}, resample=3)  # pyright: ignore[reportCallIssue]
