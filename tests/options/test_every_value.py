"""Every option of clusters, probe and descriptors, given what it does not take: an error that says so, and no other."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import xarray as xr

import probekit
from analyses import clusters, descriptors, probe
from probekit.errors import InputError
from tests.odd import POOL
from tests.options.odd_analyses import dataset

DATA, TEST = dataset()[["phi"]], dataset("b")[["phi"]]
GIST = xr.DataArray(
    np.random.default_rng(2).normal(size=(24, 3)), dims=("image", "feature"), coords={"image": DATA.image}
)
IMAGES = probekit.images.load(
    np.random.default_rng(3).random((40, 3, 4, 4)).astype(np.float32), labels=[f"class {i % 2}" for i in range(40)]
)
CLUSTERED = clusters.analyse(DATA, n_clusters=(2, 3), splits=1, n_init=1, resamples=100, permutations=99)
MAP = clusters.embed(DATA, perplexity=3)
PROBED = probe.analyse(DATA, TEST, resamples=100, penalties=[0.1])

# A call that takes options, and what of the pool each option takes; everything else it must refuse.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, set[str]]]] = {
    "clusters": (
        lambda **given: clusters.analyse(
            DATA,
            **{"n_clusters": 3, "splits": 1, "n_init": 1, "resamples": 100, "permutations": 99, **given},
        ),
        {
            "label": {"None"},
            "n_clusters": {"None"},
            "threshold": set(),
            "splits": set(),
            "n_init": set(),
            "selection_images": set(),
            "fit_images": set(),
            "resamples": set(),
            "permutations": set(),
            "level": set(),
            "seed": set(),
        },
    ),
    "clusters.compare": (
        lambda **given: clusters.compare(**{"first": CLUSTERED, "second": CLUSTERED, "resamples": 100, **given}),
        {"first": set(), "second": set(), "label": set(), "resamples": set(), "level": set(), "seed": set()},
    ),
    "embed": (
        lambda **given: clusters.embed(DATA, **{"perplexity": 3, **given}),
        {"max_images": set(), "perplexity": {"1.5"}, "seed": set()},
    ),
    "plot_embedding": (
        lambda **given: clusters.plot_embedding(**{"embedding": MAP, "findings": CLUSTERED, **given}),
        {"embedding": set(), "findings": set(), "label": {"a text"}},
    ),
    "sheet": (
        lambda **given: clusters.sheet(
            **{
                "images": probekit.images.load(np.zeros((24, 1, 2, 2)), ids=DATA.image.values),
                "findings": CLUSTERED,
                "cluster": 0,
                **given,
            }
        ),
        {"findings": set(), "cluster": set(), "block": {"None"}, "sigma": {"None"}, "n": set()},
    ),
    "probe": (
        lambda **given: probe.analyse(DATA, TEST, **{"resamples": 100, "penalties": [0.1], **given}),
        {
            "label": set(),
            "protocol": set(),
            "penalties": set(),
            "tuning_images": set(),
            "fit_images": set(),
            "sizes": {"an empty list"},
            "top": {"None"},
            "epochs": set(),
            "resamples": set(),
            "level": set(),
            "seed": set(),
        },
    ),
    "probe.compare": (
        lambda **given: probe.compare(**{"first": PROBED, "second": PROBED, "resamples": 100, **given}),
        {"first": set(), "second": set(), "resamples": set(), "level": set(), "seed": set()},
    ),
    "descriptor": (
        lambda **given: descriptors.descriptor(**{"kind": "pca", "images": IMAGES, "n_components": 2, **given}),
        {"kind": set(), "n_components": set(), "seed": set()},
    ),
    "colour": (lambda **given: descriptors.colour(IMAGES, **given), {"bins": set()}),
    "gist": (
        lambda **given: descriptors.gist(IMAGES, **given),
        {"scales": set(), "orientations": set(), "grid": set()},
    ),
    "as_representation": (
        lambda **given: descriptors.as_representation(**{"features": GIST, **given}),
        {"features": set(), "sigma": {"1.5"}},
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
        lambda: clusters.analyse(value),
        lambda: clusters.embed(value),
        lambda: probe.analyse(value, TEST),
        lambda: probe.analyse(DATA, value),
    ):
        with pytest.raises(InputError, match="give"):
            call()


PLOTS = {
    "clusters": (clusters.plot, lambda: CLUSTERED),
    "probe": (probe.plot, lambda: PROBED),
}


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("said", [*POOL, "φ", "another's findings", "one level", "no attributes"])
def test_a_figure_is_drawn_of_its_own_findings_only(name: str, said: str) -> None:
    plot, made = PLOTS[name]
    found = made()
    others = {key: other for key, other in PLOTS.items() if key != name}
    given = {
        "φ": lambda: DATA,
        "another's findings": lambda: next(iter(others.values()))[1](),
        "one level": lambda: found.isel(sigma=0),
        "no attributes": lambda: found.drop_attrs(),
    }
    with pytest.raises(InputError, match=rf"give what {name}\.|lost their attributes|no dim"):
        plot(given[said]() if said in given else POOL[said])


TWICE = DATA.isel(image=[0, 0, *range(2, 24)])
MISSING = [
    DATA.assign_coords(label=("image", np.array([value, *DATA.label.values[1:]], object)))
    for value in (None, float("nan"), "")
]
WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: clusters.embed(TWICE, perplexity=3), "ids of images occur more than once"),
    (lambda: clusters.analyse(TWICE, n_clusters=2), "ids of images occur more than once"),
    (lambda: probe.analyse(TWICE, TEST), "ids of the train set occur more than once"),
    *[
        (partial(call, data), "label is missing for 1 images")
        for data in MISSING
        for call in (
            lambda d: clusters.analyse(d, n_clusters=2),
            lambda d: probe.analyse(d, TEST),
            lambda d: clusters.plot_embedding(MAP.assign_coords(label=d.label), CLUSTERED),
            lambda d: descriptors.as_representation(GIST.assign_coords(label=d.label)),
        )
    ],
    (
        lambda: clusters.compare(CLUSTERED, CLUSTERED.assign_coords(label=CLUSTERED.label[::-1].variable)),
        "label of 16 images differs between the two, such as a0, 'class 0' in the first and 'class 2' in the second",
    ),
    (
        lambda: clusters.compare(CLUSTERED, CLUSTERED.drop_vars("label")),
        "label='label' is no coordinate along image of second",
    ),
    (
        lambda: probe.compare(PROBED, PROBED.assign_coords(label=PROBED.label[::-1].variable)),
        "classes of 16 images differ between the two, such as b0",
    ),
    (lambda: probe.analyse(DATA, TEST, top=3), "top=3 of 3 classes is always right: give 2 at most"),
    (lambda: probe.analyse(DATA, TEST, tuning_images=8), "tuning_images=8 for 3 classes: give 9 at least"),
    (lambda: probe.analyse(DATA.isel(image=range(6)), TEST), "fewer than two classes have 3 training images"),
    (lambda: descriptors.pca(np.full((5, 1, 4, 4), 0.3), n_components=2), "the 5 training images are all the same"),
    (lambda: descriptors.pca(np.zeros((1, 1, 4, 4)), n_components=1), "the 1 training images are all the same"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_used_is_refused_by_name(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert message in str(raised.value)
