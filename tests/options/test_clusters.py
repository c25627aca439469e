"""Bad options of everything public in clusters: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analyses import clusters
from probekit.errors import InputError
from tests.analyses.clusters.test_edges import DATA, analysed, dataset

IMAGES = np.zeros((60, 3, 4, 4), np.float32)
FEW = DATA.isel(image=[0, 1, 2] * 20).assign_coords(image=[str(i) for i in range(60)])
RELABELLED = analysed(DATA.assign_coords(label=("image", [f"class {(k + 1) % 3}" for k in range(60)])))
BAD: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: analysed(DATA.drop_vars("label")),
        "label='label' is no coordinate along image of the data, which has image",
    ),
    (lambda: analysed(DATA.isel(image=np.arange(60) % 3 == 0)), "all images are of class 'class 0'"),
    (lambda: analysed(n_clusters=61), "61 clusters of 60 images: give 60 at most"),
    (lambda: analysed(n_clusters=(2, 31)), "31 clusters of 60 images: give 30 at most"),
    (lambda: analysed(n_clusters=0), "n_clusters=0: give a whole number ≥ 1"),
    (lambda: analysed(n_clusters=(2, 2)), "n_clusters=(2, 2): give a whole number"),
    (lambda: analysed(DATA * 0 + 0.3), "φ of enc1 at σ = 0.1 has 1 different images"),
    (lambda: analysed(FEW, n_clusters=4), "φ of enc1 at σ = 0.1 has 3 different images: 4 clusters"),
    (lambda: analysed(DATA.isel(image=slice(10))), "give 20 images at least"),
    (lambda: analysed(DATA.isel(image=[0] * 30)), "ids of images occur more than once"),
    (lambda: analysed(threshold=0.0), "threshold=0.0: give a prediction strength"),
    (lambda: analysed(splits=0), "splits=0: give a whole number ≥ 1"),
    (lambda: analysed(resamples=5), "resamples=5: give a whole number ≥ 100"),
    (lambda: clusters.compare(DATA, DATA), "first lacks `assignment`"),
    (lambda: clusters.compare(analysed(), analysed(dataset(30))), "the two are of different images"),
    (lambda: clusters.compare(analysed(), analysed().assign_coords(sigma=[0.3, 0.4])), "noise levels"),
    (
        lambda: clusters.embed(DATA, perplexity=60),
        "perplexity=60: give a positive number below that of images, which is 60",
    ),
    (lambda: clusters.embed(DATA * 0, perplexity=5), "φ of enc1 at σ = 0.1 is the same for all images"),
    (lambda: clusters.plot_embedding(clusters.embed(DATA, perplexity=5), analysed(dataset(30))), "are in no cluster"),
    (lambda: clusters.sheet(IMAGES, analysed(), 7), "cluster=7: mid has clusters 0 to 2"),
    (lambda: clusters.sheet(IMAGES, analysed(), 0, block="dec1"), "block='dec1'"),
    (lambda: clusters.sheet(IMAGES[:3], analysed(), 0), "has no image"),
    (lambda: analysed(3), "give the Dataset"),
    (lambda: analysed(n_clusters="3"), "n_clusters='3': give a whole number ≥ 1"),
    (lambda: analysed(n_clusters=True), "n_clusters=True"),
    (lambda: analysed(n_clusters=()), "n_clusters=()"),
    (lambda: analysed(n_clusters=(2, 2.5)), "n_clusters=2.5: give a whole number ≥ 1"),
    (lambda: analysed(threshold=1.1), "threshold=1.1"),
    (lambda: analysed(n_init=0), "n_init=0: give a whole number ≥ 1"),
    (lambda: analysed(selection_images=1), "selection_images=1: give a whole number ≥ 2"),
    (lambda: analysed(fit_images=19), "fit_images=19: give a whole number ≥ 20"),
    (lambda: analysed(fit_images=20, n_clusters=21), "21 clusters of 20 images: give 20 at most"),
    (lambda: clusters.separation(DATA, max_images=5), "max_images=5: give a whole number ≥ 6"),
    (lambda: analysed(permutations=98), "permutations=98: give a whole number ≥ 99"),
    (lambda: analysed(level=95), "level=95: give the interval's coverage"),
    (lambda: analysed(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: clusters.compare(3, analysed()), "first lacks `assignment`"),  # pyright: ignore[reportArgumentType]
    (lambda: clusters.compare(analysed(), analysed().isel(sigma=0)), "assignment of second has dims"),
    (lambda: clusters.compare(analysed(), analysed(), label="kind"), "label='kind' is no coordinate"),
    (lambda: clusters.compare(analysed(), analysed(), resamples=99), "resamples=99: give a whole number ≥ 100"),
    (lambda: clusters.compare(analysed(), analysed(), level=1), "level=1: give the interval's coverage"),
    (lambda: clusters.compare(analysed(), analysed(), seed=0.5), "seed=0.5: give a whole number"),  # pyright: ignore[reportArgumentType]
    (lambda: clusters.compare(analysed(), RELABELLED), "label of 60 images differs between the two, such as 0"),
    (lambda: clusters.embed(DATA, max_images=1), "max_images=1: give a whole number ≥ 2"),
    (lambda: clusters.embed(DATA, seed=-1), "seed=-1"),
    (lambda: clusters.plot(3), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: clusters.plot(DATA), "the findings lack size"),
    (lambda: clusters.plot_embedding(DATA, analysed()), "the findings lack embedding, block: give what clusters.embed"),
    (lambda: clusters.plot_embedding(clusters.embed(DATA, perplexity=5), DATA), "the findings lack assignment"),
    (
        lambda: clusters.plot_embedding(clusters.embed(DATA, perplexity=5), analysed(), label=3),  # pyright: ignore[reportArgumentType]
        "label=3: give the name of a coordinate",
    ),
    (lambda: clusters.sheet(IMAGES, DATA, 0), "the findings lack assignment"),
    (lambda: clusters.sheet(IMAGES, analysed(), -1), "cluster=-1: give a whole number ≥ 0"),
    (lambda: clusters.sheet(IMAGES, analysed(), 0, sigma=0.3), "sigma=0.3: give one of the noise levels 0.1, 0.2"),
    (lambda: clusters.sheet(IMAGES, analysed(), 0, n=0), "n=0: give a whole number ≥ 1"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert words in str(raised.value)
