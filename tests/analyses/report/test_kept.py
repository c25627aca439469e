"""Parts of a report on images: taken up where all that they are made of is the same, else made again."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import xarray as xr

import probekit
from analyses import concepts, controls, cues, report, textures, variants
from analyses.report import Compared, Measured, Sampling, Told, parts, settings
from analyses.report.page import Shown
from analyses.report.settings import Study
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models.unet import UNet

NAMES = [f"n{k % 4}" for k in range(80)]


def drawn(seed: int, count: int = 80, *, side: int = 8, ids: str = "", labels: Any = None) -> ImageSet:
    values = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    named = [f"{ids}{k}" for k in range(count)]
    return probekit.images.load(values, ids=named, labels=labels)


def conflicts(seed: int) -> ImageSet:
    ids = tuple(f"shape{i % 10}/shape{i % 10}-texture{i // 10}.png" for i in range(100))
    return replace(drawn(seed, 100), ids=ids)


def small(seed: int = 0) -> probekit.Denoiser:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = UNet((3, 4, 6), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 1))
    return probekit.Denoiser(module, name="small")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    classes = tmp_path / "classes.csv"
    chains = [f"root > {kind} > {name}" for name, kind in zip(NAMES[:4], "xxyy", strict=True)]
    pd.DataFrame({"wnid": NAMES[:4], "hypernym_wnids": chains}).to_csv(classes, index=False)
    return Study(
        out=tmp_path / "out",
        network=small(),
        source=drawn(0, labels=NAMES),
        wanted=frozenset(range(1, 13)),
        measured=Measured(sigma=(0.1,), draws=2),
        compared=Compared(
            train=drawn(1, labels=NAMES, ids="train"),
            classes=classes,
            textures=drawn(2, 12, side=192, ids="a"),
            textures_train=drawn(3, 12, side=192, ids="b"),
            cues=conflicts(4),
        ),
        sampling=Sampling(conditions=2, levels=2),
        told=Told(say=print, progress=False),
    )


def measured(**other: Any) -> Callable[[Study], Study]:
    return lambda study: replace(study, measured=replace(study.measured, **other))


def compared(**other: Any) -> Callable[[Study], Study]:
    return lambda study: replace(study, compared=replace(study.compared, **other))


def sampled(**other: Any) -> Callable[[Study], Study]:
    return lambda study: replace(study, sampling=replace(study.sampling, **other))


def other_labels(study: Study) -> Study:
    return replace(study, source=replace(study.source, labels=tuple(NAMES[::-1])))


def other_hypernyms(study: Study) -> Study:
    assert study.compared is not None
    path = Path(str(study.compared.classes))
    path.write_text(path.read_text().replace("x > n1", "y > n1"))
    return study


OF_ANY: dict[str, Callable[[Study], Study]] = {
    "pixels": lambda study: replace(study, source=drawn(9, labels=NAMES)),
    "ids": lambda study: replace(study, source=drawn(0, labels=NAMES, ids="other")),
    "labels": other_labels,
    "network": lambda study: replace(study, network=small(1)),
    "seed": measured(seed=1),
    "reduce": measured(reduce="relu_mean"),
}
# What makes each part, in which module, and what else it is made of.
CASES: dict[str, tuple[Callable[[Study, Shown], Any], Any, str, dict[str, Callable[[Study], Study]]]] = {
    "stability": (parts.found_again, controls, "table", {"draws": measured(draws=3), "block": measured(block="enc2")}),
    "controls": (
        parts.compared_with_controls,
        controls,
        "table",
        {
            "sigma": measured(sigma=(0.2,)),
            "block": measured(block="enc2"),
            "draws": compared(draws=3),
            "train": compared(train=drawn(8, labels=NAMES, ids="train")),
            "classes of train": compared(train=drawn(1, labels=NAMES[::-1], ids="train")),
            "fewer": compared(n_images=79),
            "fewer to train on": compared(n_train=79),
            # Last, since it writes to the file.
            "hypernyms": other_hypernyms,
        },
    ),
    "variants": (
        parts.varied,
        variants,
        "table",
        {
            "block": measured(block="enc2"),
            "conditions": sampled(conditions=3),
            "levels": sampled(levels=3),
            "references": compared(train=drawn(8, labels=NAMES, ids="train")),
        },
    ),
    "concepts": (
        parts.concepts_held,
        concepts,
        "analyse",
        {
            "sigma": measured(sigma=(0.2,)),
            "draws": measured(draws=5),
            "block": measured(block="enc3"),
            "levels": sampled(levels=3),
        },
    ),
    "textures": (
        parts.of_textures,
        textures,
        "table",
        {
            "sigma": measured(sigma=(0.2,)),
            "draws": compared(draws=3),
            "photographs": compared(textures=drawn(8, 12, side=192, ids="a")),
            "names": compared(textures=drawn(2, 12, side=192, ids="c")),
            "to choose on": compared(textures_train=drawn(8, 12, side=192, ids="b")),
        },
    ),
    "cues": (
        parts.conflicting,
        cues,
        "table",
        {"sigma": measured(sigma=(0.2,)), "draws": compared(draws=3), "images": compared(cues=conflicts(8))},
    ),
}

DATA = xr.Dataset({"phi": ("image", [1.0, 2.0])})


class Stop(Exception):
    """The part is being made."""


def shown(made: Shown) -> list[Any]:
    return [made.of(claim) for claim in range(1, 13)]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.filterwarnings("ignore:descriptors vary in", "ignore:φ at the last noise level is 0")
@pytest.mark.parametrize("part", CASES)
def test_a_part_is_made_again_only_where_something_that_it_is_made_of_is_other(
    part: str, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, module, name, own = CASES[part]
    if part == "concepts":
        # Of random images no channel is selective.
        photographs = probekit.images.load("samples", size=32).subset(range(0, 357, 2))
        study = measured(draws=4)(replace(study, network=probekit.load("photo32"), source=photographs))
        monkeypatch.setattr(concepts, "analyse", partial(concepts.analyse, n_channels=2, n_images=2, n_samples=2))
    first, again = Shown(), Shown()
    make(study, first)
    written = (study.out / f"{part}.nc").read_bytes()

    def stopped(*_: Any, **__: Any) -> xr.Dataset:
        raise Stop

    # All by which it can be made is gone, and what is shown is the same to the letter.
    monkeypatch.setattr(module, name, stopped)
    make(study, again)
    assert shown(again) == shown(first) != shown(Shown())
    assert (study.out / f"{part}.nc").read_bytes() == written
    for what, change in {**OF_ANY, **own}.items():
        # Concepts are of φ, whose store refuses other images before.
        try:
            make(change(study), Shown())
        except Stop:
            continue
        except InputError:
            assert part == "concepts"
            continue
        pytest.fail(f"{part} is taken up although {what} is other")
    monkeypatch.setattr(settings, "code_sha256", lambda: "another")
    with pytest.raises(Stop):
        make(study, Shown())


def test_findings_of_phi_are_taken_up_where_data_options_and_code_are_the_same(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def analyse(data: xr.Dataset, **options: Any) -> xr.Dataset:
        made.append(options)
        return data[["phi"]].mean()

    def times(data: xr.Dataset = DATA, **options: Any) -> int:
        before = len(made)
        study.findings("found", analyse, data, options)
        return len(made) - before

    assert [times(), times()] == [1, 0]
    assert [times(other=1), times(other=1), times()] == [1, 0, 1]
    assert [times(DATA * 2), times()] == [1, 1]
    monkeypatch.setattr(settings, "code_sha256", lambda: "another")
    assert [times(), times()] == [1, 0]


def test_every_part_on_images_is_kept() -> None:
    made = {name for name, part in report.PARTS.items() if not isinstance(part, parts.OnPhi)}
    assert made - {"densities", "noise_level"} == CASES.keys() - {"concepts"}
