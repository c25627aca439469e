"""Every option of controls, given what it does not take: an error that says so, and no other."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import probekit
from analyses import controls
from probekit.errors import InputError
from probekit.images import ImageSet
from tests.odd import POOL


def images(count: int = 40, prefix: str = "a", **options: Any) -> ImageSet:
    values = np.random.default_rng(ord(prefix)).random((count, 3, 4, 4)).astype(np.float32)
    given = {"ids": [f"{prefix}{i}" for i in range(count)], "labels": [f"class {i % 2}" for i in range(count)]}
    return probekit.images.load(values, **{**given, **options})


def tabled(first: Any = None, settings: dict[str, Any] | None = None, **options: Any) -> xr.Dataset:
    made = controls.Settings(**{"resamples": 100, **(settings or {})})
    return controls.table(
        images() if first is None else first, **{"sigma": 0.1, "draws": 2, "untrained": 0, "settings": made, **options}
    )


# What of the pool each option takes, which a table would be measured for before it returns; all else it must refuse.
OPTIONS: dict[str, set[str]] = {
    "classes": {"None"},
    "denoiser": set(),
    "block": set(),
    "draws": set(),
    "untrained": set(),
    "further": {"an empty list"},
    "measures": {"None"},
    "n_images": {"None"},
    "n_train": {"None"},
    "settings": {"None"},
    "store": {"None", "a text"},
    "seed": set(),
}
SETTINGS: dict[str, set[str]] = {
    "statistic": set(),
    "among": set(),
    "pairs_images": set(),
    "n_clusters": {"None"},
    "penalties": set(),
    "tuning_images": set(),
    "resamples": set(),
    "level": set(),
}
EACH = [
    (name, said) for options in (OPTIONS, SETTINGS) for name in options for said in POOL if said not in options[name]
]


@pytest.mark.parametrize(("option", "said"), EACH, ids=[f"{option} {said}" for option, said in EACH])
def test_an_option_refuses_what_it_does_not_take_in_words(option: str, said: str) -> None:
    given = {option: POOL[said]}
    with pytest.raises(InputError) as refused:
        tabled(settings=given) if option in SETTINGS else controls.table(images(), **{"sigma": 0.1, **given})
    assert re.search(r"\b(give|keep|name|choose|make|start|add|drop)\b", str(refused.value))


@pytest.mark.parametrize("said", POOL)
def test_a_figure_is_drawn_of_its_own_findings_only(said: str) -> None:
    with pytest.raises(InputError, match=r"give what controls\.table returns"):
        controls.plot(POOL[said])


STRINGS = pd.DataFrame("far", index=["class 0", "class 1"], columns=["class 0", "class 1"])
OWN = controls.Source("gist", "descriptor", torch.nn.Identity(), ("layer",))
WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: tabled(np.zeros((50, 3, 8, 8), np.float32)), "has no classes"),
    (lambda: tabled(images(labels=["one"] * 40)), "are of class 'one': give two classes at least"),
    (lambda: tabled(train=images()), "40 ids are in both sets"),
    (lambda: tabled(train=images(prefix="b", labels=["class 0", "class 2"] * 20)), "classes class 1 are in no"),
    (lambda: tabled(train=np.zeros((5, 3, 8, 8), np.float32)), "train: ndarray of shape (5, 3, 8, 8) has no classes"),
    (lambda: tabled(images(30)), "30 images: give 40 at least"),
    (lambda: tabled(n_images=30), "30 images: give 40 at least"),
    (lambda: tabled(sigma=-1), "sigma holds [-1.0]"),
    (lambda: tabled(untrained=-1), "untrained=-1: give a whole number ≥ 0"),
    (lambda: tabled(reduce="median"), "reduce='median': give one of mean, relu_mean, max"),
    (lambda: tabled(settings={"resamples": 10}), "resamples=10"),
    (lambda: tabled(denoiser="photo32-dncnn"), "declares no block 'mid'"),
    (lambda: tabled(denoiser=5), "denoiser=5: give a bundled name"),
    (lambda: tabled(further=[OWN]), "two sources have one name"),
    (lambda: tabled(further=OWN), "give a list of controls.Source, or ()"),
    (lambda: tabled(measures=[]), "measures is empty: give some of stability, precision"),
    (lambda: tabled(measures=["nmi", "top1"]), "measures='top1': give one of stability, precision"),
    (lambda: tabled(measures=["nmi", "accuracy"]), "needs images to train on: give train="),
    (lambda: tabled(images(labels=None), measures=["stability", "nmi"]), "has no classes"),
    (lambda: tabled(classes=STRINGS), "the class table holds what is no number"),
    (lambda: tabled(classes=STRINGS.iloc[1:, 1:]), "the class table lacks class 'class 0'"),
    (lambda: tabled(settings={"n_clusters": 41}), "n_clusters=41 of 40 images: give 40 at most"),
    (lambda: tabled(store=5), "store=5: give the path of a folder"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_used_is_refused_by_name(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert message in str(raised.value)
