"""Every option of semantics, given what it does not take: an error that says so, and no other."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from analyses import semantics
from probekit import labels
from probekit.errors import InputError
from tests.odd import POOL
from tests.options.odd_analyses import dataset

DATA = dataset()[["phi"]]
DRAWN = dataset(draws=4)
GIST = xr.DataArray(
    np.random.default_rng(2).normal(size=(24, 3)), dims=("image", "feature"), coords={"image": DATA.image}
)
QUICK: dict[str, Any] = {"resamples": 100, "distances": ["euclidean"]}
STRINGS = pd.DataFrame("far", index=sorted(set(DATA.label.values)), columns=sorted(set(DATA.label.values)))
# A call that takes options, and what of the pool each option takes; everything else it must refuse.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, set[str]]]] = {
    "per_image": (
        lambda **given: semantics.per_image(DATA, **{"distances": ["euclidean"], "k": 3, **given}),
        {
            "reference": {"None"},
            "among": set(),
            "k": {"None"},
            "label": {"None"},
            "distances": {"None"},
            "noise_free": set(),
            "query_images": set(),
            "seed": set(),
        },
    ),
    "stability": (
        lambda **given: semantics.stability(DATA, **{**QUICK, **given}),
        {
            "reference": set(),
            "among": set(),
            "distances": {"None"},
            "noise_free": set(),
            "query_images": set(),
            "clusters": {"None"},
            "resamples": set(),
            "level": set(),
            "seed": set(),
        },
    ),
    "neighbours": (
        lambda **given: semantics.neighbours(DATA, **{**QUICK, "k": 3, **given}),
        {
            "k": set(),
            "label": {"None"},
            "distances": {"None"},
            "noise_free": set(),
            "query_images": set(),
            "clusters": {"None"},
            "resamples": set(),
            "level": set(),
            "seed": set(),
        },
    ),
    "correlate": (
        lambda **given: semantics.correlate(
            DATA, **{"others": {"label": "label"}, "distances": "euclidean", "statistics": "pearson", **given}
        ),
        {
            "others": set(),
            "given": {"an empty list"},
            "distances": {"None"},
            "statistics": {"None"},
            "controls": {"None", "an empty mapping"},
            "noise_free": set(),
            "clusters": {"None"},
            "permutations": set(),
            "max_images": set(),
            "level": set(),
            "seed": set(),
        },
    ),
    "reliability": (
        lambda **given: semantics.reliability(DRAWN, **{"distances": "euclidean", "splits": 1, **given}),
        {
            "distances": {"None"},
            "target": set(),
            "splits": set(),
            "clusters": {"None"},
            "max_images": set(),
            "level": set(),
            "seed": set(),
        },
    ),
    "analyse": (
        lambda **given: semantics.analyse(
            DATA, **{**QUICK, "k": 3, "permutations": 0, "statistics": "pearson", "others": {"gist": GIST}, **given}
        ),
        {
            "label": {"None"},
            "classes": {"None"},
            "others": {"None", "an empty mapping"},
            "given": {"None", "an empty list"},
            "distances": {"None"},
            "statistics": {"None"},
            "controls": {"None", "an empty mapping"},
            "clusters": {"None"},
            "k": set(),
            "reference": {"None"},
            "among": set(),
            "query_images": set(),
            "permutations": set(),
            "max_images": set(),
            "resamples": set(),
            "level": set(),
            "seed": set(),
        },
    ),
    "class_distances": (
        lambda **given: semantics.class_distances(
            **{"table": pd.DataFrame({"wnid": ["a", "b"], "hypernym_wnids": ["a", "a > b"]}), **given}
        ),
        {"table": set(), "separator": {"a text"}},
    ),
    "class_table": (
        lambda **given: semantics.class_table(**{"table": STRINGS, "classes": np.array(["class 0"]), **given}),
        {"table": set()},
    ),
}
EACH = [(name, option) for name, (_, options) in CALLS.items() for option in options]


@pytest.mark.parametrize(("name", "option"), EACH, ids=[f"{name} {option}" for name, option in EACH])
def test_an_option_takes_what_it_says_and_refuses_all_else_in_words(name: str, option: str) -> None:
    call, options = CALLS[name]
    for said, value in POOL.items():
        if said in options[option]:
            call(**{option: value})
            continue
        with pytest.raises(InputError) as refused:
            call(**{option: value})
        assert re.search(r"\b(give|keep|name|choose|make|start|add|drop)\b", str(refused.value)), said


@pytest.mark.parametrize("said", POOL)
def test_what_is_no_data_is_refused_by_every_analysis(said: str) -> None:
    value = POOL[said]
    for call in (
        semantics.analyse,
        semantics.stability,
        semantics.neighbours,
        semantics.per_image,
        semantics.reliability,
        lambda data: semantics.correlate(data, {"label": "label"}),
    ):
        with pytest.raises(InputError, match="give"):
            call(value)


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return semantics.analyse(DATA, k=3, permutations=0, statistics="pearson", **QUICK)


@pytest.mark.parametrize("said", [*POOL, "φ", "one level", "no attributes"])
def test_a_figure_is_drawn_of_its_own_findings_only(said: str, found: xr.Dataset) -> None:
    others = {"φ": DATA, "one level": found.isel(sigma=0), "no attributes": found.drop_attrs()}
    with pytest.raises(InputError, match=r"give what semantics\.|lost their attributes|no dim"):
        semantics.plot(others[said] if said in others else POOL[said])


TWICE = DATA.isel(image=[0, 0, *range(2, 24)])
MISSING = [
    DATA.assign_coords(label=("image", np.array([value, *DATA.label.values[1:]], object)))
    for value in (None, float("nan"), "")
]
FEW_WHOLE = DATA.assign_coords(source=("image", np.array([f"source {i // 2 % 11}" for i in range(24)], object)))
WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: semantics.analyse(TWICE), "ids of images occur more than once, such as a0"),
    (lambda: semantics.stability(TWICE), "ids of images occur more than once"),
    (lambda: semantics.per_image(TWICE), "ids of images occur more than once"),
    *[
        (partial(call, data), "label is missing for 1 images")
        for data in MISSING
        for call in (
            lambda d: semantics.neighbours(d, k=3),
            lambda d: semantics.per_image(d, k=3),
            lambda d: semantics.correlate(d, {"label": "label"}),
        )
    ],
    (lambda: semantics.correlate(DATA, {"t": STRINGS}), "the class table holds what is no number"),
    (lambda: semantics.correlate(DATA, {"p": DATA.isel(sigma=0)}), "others['p']: phi has dims image, channel"),
    (lambda: semantics.correlate(DATA, {"p": DATA.isel(sigma=[0]).drop_vars("tap")}), "others['p']: phi lacks"),
    (
        lambda: semantics.correlate(DATA, {"a": "label"}, controls={"c": DATA.isel(sigma=0)}),
        "controls['c']: phi has dims image, channel",
    ),
    (
        lambda: semantics.correlate(DATA, {"a": "label"}, controls={"c": DATA.drop_vars("tap")}),
        "controls['c']: phi lacks the coordinates tap",
    ),
    (lambda: semantics.correlate(DATA, {"a": "label"}, controls={"c": GIST.astype(str)}), "controls['c'] is of type"),
    (lambda: semantics.correlate(DATA, {"s": GIST.astype(str)}), "others['s'] is of type"),
    (lambda: semantics.correlate(DATA, {"s": GIST.isel(feature=0).astype(object)}), "objects that are no names"),
    (lambda: semantics.correlate(DATA, {"s": GIST.isel(feature=[])}), "others['s'] has no features"),
    (lambda: semantics.correlate(DATA, {"f": lambda ids: np.full((len(ids),) * 2, "a")}), "not all finite numbers"),
    (lambda: semantics.neighbours(DATA.assign(phi=DATA.phi.astype(str)), k=3), "phi is of type"),
    (lambda: semantics.neighbours(DATA, k=3, clusters="label"), "there are 3 different classes, and 10 at least"),
    (
        lambda: semantics.correlate(FEW_WHOLE, {"a": "label"}, clusters="source", max_images=20),
        "max_images=20 holds 9 groups whole: give more",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_used_is_refused_by_name(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert message in str(raised.value)


N = 30
CLASSES = [f"class {k}" for k in range(5)]


def of_30() -> xr.Dataset:
    """φ of 30 images of five classes, of two taps at 0.1 and 0.3."""
    phi = np.random.default_rng(0).gamma(0.6, size=(N, 2, 8))
    return labels.representation(
        {"phi": phi},
        ids=[f"{i}.png" for i in range(N)],
        labels=[CLASSES[i % 5] for i in range(N)],
        sigma=[0.1, 0.3],
        channels={"enc1": 4, "mid": 4},
        attrs={"denoiser": "none"},
    )


def descriptor(data: xr.Dataset) -> xr.DataArray:
    values = np.random.default_rng(1).normal(size=(data.sizes["image"], 3))
    return xr.DataArray(values, dims=("image", "feature"), coords={"image": data.image.values})


def table(names: list[str]) -> pd.DataFrame:
    place = np.arange(len(names), dtype=float)
    return pd.DataFrame(np.abs(place[:, None] - place), index=names, columns=names)


def changed(data: xr.Dataset, label: Any) -> xr.Dataset:
    return data.assign_coords(label=("image", np.array(label, dtype=object)))


REFUSED: dict[str, tuple[Callable[[xr.Dataset], object], str]] = {
    "k": (lambda d: semantics.neighbours(d, k=N), "k=30: give a whole number of neighbours between 1 and 29"),
    "k bool": (lambda d: semantics.neighbours(d, k=True), "k=True"),
    "no label": (lambda d: semantics.neighbours(d, label="word"), "'word' is no coordinate along image"),
    "one class": (lambda d: semantics.neighbours(changed(d, ["a"] * N)), "all images are of class 'a'"),
    "missing label": (lambda d: semantics.neighbours(changed(d, [None, *"ab" * 20][:N])), "missing for 1 images"),
    "distance": (lambda d: semantics.neighbours(d, distances=["manhattan"]), "'manhattan' was given: choose among"),
    "no distance": (lambda d: semantics.stability(d, distances=[]), "an empty list was given"),
    "statistic": (lambda d: semantics.correlate(d, {"a": "label"}, statistics="tau"), "statistics: 'tau'"),
    "reference": (lambda d: semantics.stability(d, reference=0.2), "0.2 is not among the noise levels 0.1, 0.3"),
    "among": (lambda d: semantics.stability(d, among=1), "among=1: give a whole number ≥ 2"),
    "level": (lambda d: semantics.correlate(d, {"a": "label"}, level=95), "level=95"),
    "no others": (lambda d: semantics.correlate(d, {}), "others is empty"),
    "name": (lambda d: semantics.correlate(d, {"a+b": "label"}), "stands for sets of names"),
    "given": (lambda d: semantics.correlate(d, {"a": "label"}, given=["b"]), "'b' is not among others"),
    "permutations": (lambda d: semantics.correlate(d, {"a": "label"}, permutations=50), "give 99 or more"),
    "max_images": (lambda d: semantics.correlate(d, {"a": "label"}, max_images=5), "max_images=5"),
    "few": (lambda d: semantics.correlate(d.isel(image=slice(10)), {"a": "label"}), "of 10 images: .* 20 at least"),
    "class lacking": (lambda d: semantics.correlate(d, {"a": table(CLASSES[:4])}), "lacks class 'class 4'"),
    "asymmetric": (lambda d: semantics.correlate(d, {"a": table(CLASSES) + np.eye(5)}), "no table of distances"),
    "image lacking": (lambda d: semantics.correlate(d, {"a": descriptor(d)[1:]}), "lacks image '0.png'"),
    "image count": (
        lambda d: semantics.correlate(d, {"a": descriptor(d)[1:].drop_vars("image")}),
        "29 images without ids and the data 30",
    ),
    "nan": (lambda d: semantics.correlate(d, {"a": descriptor(d) * np.nan}), r"others\['a'\] holds NaN"),
    "constant": (lambda d: semantics.correlate(d, {"a": 0 * descriptor(d)}), "the same for all pairs"),
    "type": (lambda d: semantics.correlate(d, {"a": 3}), "is a int: give a coordinate's name"),
    "function": (lambda d: semantics.correlate(d, {"a": lambda _: np.ones((2, 2))}), r"of shape \(2, 2\)"),
    "no distances": (lambda d: semantics.correlate(d, {"a": lambda ids: np.ones((len(ids),) * 2)}), "no distances"),
    "several levels": (lambda d: semantics.correlate(d, {"a": d}), "φ at 2 noise levels: select one"),
    "control": (
        lambda d: semantics.correlate(d, {"a": "label"}, controls={"c": d.isel(sigma=[0])}),
        r"controls\['c'\] lacks σ = 0.3",
    ),
    "taken": (lambda d: semantics.analyse(d, others={"label": descriptor(d)}, resamples=100), "taken by the labels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_what_to_do(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        call(of_30())
