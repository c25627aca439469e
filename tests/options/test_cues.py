"""Bad options of everything public in cues: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr

import probekit
from analyses import cues
from probekit import labels
from probekit.errors import InputError
from probekit.images import ImageSet
from tests.analyses.cues.making import IDS, planted

MIXED = planted(1, 0.5, 0.5)
NAMED = cues.named(MIXED)


def images(**options: Any) -> ImageSet:
    values = np.random.default_rng(0).random((len(IDS), 1, 4, 4)).astype(np.float32)
    return probekit.images.load(values, **{"ids": IDS, **options})


def analyse(representations: Any = None, **options: Any) -> Callable[[], Any]:
    given = {"x": MIXED} if representations is None else representations
    return lambda: cues.analyse(given, **{"resamples": 100, **options})


def named(first: Any = MIXED, **options: Any) -> Callable[[], Any]:
    return lambda: cues.named(first, **options)


def table(first: Any = None, **options: Any) -> Callable[[], Any]:
    return lambda: cues.table(images() if first is None else first, **options)


@cache
def found() -> xr.Dataset:
    """Findings of `table`, made of those of `analyse`."""
    both = cues.analyse({"a": MIXED, "b": planted(0, 0, 1)}, resamples=100)
    names = [name for name in both.data_vars if both[name].dims]
    wide = both.assign({name: both[name].expand_dims(treatment=["as they are"]) for name in names})
    return wide.assign_coords(group=("representation", np.array(["trained", "untrained"], object)))


def like(**changed: Any) -> xr.DataArray:
    return MIXED.assign_coords(changed)


BAD: list[tuple[Callable[[], Any], str]] = [
    (named(5), "images"),
    (named(like(image=["a"] * len(IDS))), "ids of images occur more than once, such as a"),
    (
        named(like(image=[f"a{i}" for i in range(len(IDS))])),
        "'a0' does not name a shape and a texture: give .*SHAPEn-TEX",
    ),
    (named(np.zeros((1, 1, 2, 2))), "the id '0' does not name a shape and a texture"),
    (named(shape=["a1"] * len(IDS)), "shape and texture belong together: give both"),
    (named(shape=["a1"], texture=["b1"]), r"shape=\['a1'\], 1 of them: give the name of the exemplar of each of 192"),
    (named(shape=5, texture=5), "shape=5: give the name of the exemplar of each of 192 images"),
    (named(shape=IDS, texture=[1] * len(IDS)), "texture is a list, 192 of them: give the name"),
    (named(shape=IDS, texture=[" "] * len(IDS)), "texture is a list, 192 of them: give the name"),
    (analyse(5), "representations=5: give a mapping"),
    (analyse({}), "representations is empty: give a mapping"),
    (analyse({"x": 5}), r"representations\['x'\]: "),
    (analyse({"x": MIXED.rename(feature="f")}), r"representations\['x'\]: features are \('image', 'f'\)"),
    (analyse({"x": MIXED * np.nan}), r"representations\['x'\]: features hold NaN"),
    (
        analyse({"x": MIXED, "y": MIXED[1:]}),
        r"representations\['y'\] is of other images than the reference, such as cat",
    ),
    (analyse({"x": MIXED[:9], "y": MIXED}), r"representations\['y'\] is of other images than the reference"),
    (analyse(exemplars=5), "exemplars=5: give what cues.named returns, or None"),
    (analyse(exemplars=xr.Dataset()), "exemplars is a Dataset: give what cues.named returns"),
    (analyse(exemplars=NAMED.drop_vars("texture")), "exemplars is a Dataset: give what cues.named returns"),
    (analyse(exemplars=NAMED.isel(image=slice(9))), "exemplars lack 183 images, such as .*: give cues.named of all"),
    (analyse({"x": MIXED[:36]}), "3 exemplars of shape: intervals over them need 10 at least, give more"),
    (analyse({"x": MIXED[::13]}), "no two images share a .* alone: give several images of each exemplar"),
    (analyse(reference="y"), "reference='y'"),
    (analyse(distances=[]), r"distances=\[\]: give some of euclidean, standardised, cosine"),
    (analyse(distances="manhattan"), "distances='manhattan': give some of euclidean"),
    (analyse(resamples=3), "resamples=3: give a whole number ≥ 100"),
    (analyse(level=95), "level=95: give the interval's coverage"),
    (analyse(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (table(5), "images"),
    (table(images(ids=[f"a{i}" for i in range(len(IDS))])), "'a0' does not name a shape and a texture"),
    (table(denoiser=5), "denoiser=5: give a bundled name, a path or a module"),
    (table(settings=5), r"settings=5: give cues.Settings\(…\), or None"),
    (table(store=5), "store=5: give the path of a folder, or None"),
    (table(progress="no"), "progress='no': give True or False"),
    (lambda: cues.Settings(sigma=-1), "sigma holds"),
    (lambda: cues.Settings(draws=0), "draws=0: give a whole number ≥ 1"),
    (lambda: cues.Settings(reduce="median"), "reduce='median'"),
    (lambda: cues.Settings(n_images=0), "n_images=0: give a whole number ≥ 1"),
    (lambda: cues.Settings(distances="manhattan"), "distances='manhattan': give some of euclidean"),
    (lambda: cues.Settings(resamples=3), "resamples=3"),
    (lambda: cues.Settings(level=2), "level=2"),
    (lambda: cues.Settings(seed=-1), "seed=-1"),
    (
        lambda: cues.equalised(probekit.images.load(np.ones((2, 3, 4, 4)))),
        "0, 1 of .* have no contrast .*: leave",
    ),
    (lambda: cues.verdict(5), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: cues.verdict(xr.Dataset()), "the findings lack difference, .*give what cues.table returns"),
    (lambda: cues.verdict(found(), blocks=()), "blocks is empty: give names of blocks"),
    (lambda: cues.verdict(found()), "blocks='mid'"),
    (lambda: cues.verdict(found(), blocks="planted", distance="far"), "distance='far'"),
    (lambda: cues.verdict(found().drop_attrs(), blocks="planted"), "lost their attributes reference, level"),
    (lambda: cues.verdict(found().drop_vars("group"), blocks="planted"), "lost their coordinate group"),
    (lambda: cues.verdict(found().isel(representation=[0]), blocks="planted"), "have no untrained network"),
    (lambda: cues.plot(5), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: cues.plot(xr.Dataset()), "the findings lack texture, .*give what cues.table returns"),
    (lambda: cues.plot(found(), distance="far"), "distance='far'"),
    (lambda: cues.plot(found().drop_vars("group")), "lost their coordinate group"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_blocks_and_levels_that_the_reference_has_and_another_lacks_are_named() -> None:
    def phi(*taps: str, sigma: tuple[float, ...]) -> xr.Dataset:
        return labels.representation(
            {"phi": np.random.default_rng(0).random((len(IDS), len(sigma), 2 * len(taps)), np.float32)},
            ids=IDS,
            labels=None,
            sigma=list(sigma),
            channels=dict.fromkeys(taps, 2),
            attrs={},
        )

    first = phi("enc1", "mid", sigma=(0.1, 0.2))
    with pytest.raises(InputError, match=r"representations\['y'\] has no block mid of the reference"):
        analyse({"x": first, "y": phi("enc1", "enc2", sigma=(0.1, 0.2))})()
    with pytest.raises(InputError, match=r"representations\['y'\] has noise levels .*: give the same, or one"):
        analyse({"x": first, "y": phi("enc1", "mid", sigma=(0.1, 0.3))})()
