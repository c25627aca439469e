"""Options of variants that make no sense, of every public function; each is refused before anything is sampled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import sampling, variants
from probekit.errors import ProbeError
from probekit.synthetic.patch_model import PatchModel

MODEL = PatchModel([1.0], [[0.2, 0.05, 0.1, 0.02]], pool=[[0, 1], [2, 3]])
IMAGES = MODEL.draw(2, rows=8, cols=8, seed=1).images
QUICK: dict[str, Any] = {"denoiser": MODEL, "sigmas": [1, 0.1], "held_out": (), "progress": False}
TWICE = variants.Variant("score", "", MODEL, "mid", "score")
NO_FINDINGS = xr.Dataset({"value": 0.0})


def table(images: Any = IMAGES, **options: Any) -> Callable[[], Any]:
    return lambda: variants.table(images, **{**QUICK, **options})


def laws(images: Any = IMAGES, **options: Any) -> Callable[[], Any]:
    return lambda: variants.laws(images, **{"denoiser": MODEL, "sigmas": [1, 0.1], **options})


def drawn() -> xr.Dataset:
    """Findings enough for a figure."""
    over, pixels = {"variant": 1, "measure": 1}, {"band": 1, "row": 2, "col": 2}
    sizes = {**over, "image": 1, "sample": 1, **pixels}
    names = {name: v.dims for name, v in variants.FINDINGS.variables.items()}
    names |= {"difference_low": names["difference"], "difference_high": names["difference"]}
    found = xr.Dataset({name: (dims, np.zeros([sizes[d] for d in dims])) for name, dims in names.items()})
    words = {name: ("variant", ["a"]) for name in ("variant", "what", "network")}
    return found.assign_coords(**words, image=["a"], measure=["error of φ"]).assign_attrs(level=0.95)


SETTINGS = [
    ({"n_images": 0}, "n_images=0"),
    ({"n_samples": 0}, "n_samples=0"),
    ({"sigmas": "a"}, "sigma='a'"),
    ({"sigmas": None, "levels": 1}, "levels=1"),
    ({"draws": 0}, "draws=0"),
    ({"reduce": "median"}, "reduce='median': give one of mean, relu_mean, max"),
    ({"reduce": None}, "reduce=None: give one of mean"),
    ({"seed": -1}, "seed=-1"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"store": 5}, "store=5: give the path of a folder"),
    ({"progress": "no"}, "progress='no'"),
]
REFUSED = [
    *((table(**options), words) for options, words in SETTINGS),
    *((laws(**options), words) for options, words in SETTINGS),
    (table(images=5), "images"),
    (table(denoiser=5), "denoiser=5: give a bundled name"),
    (table(block="enc2"), "declares the taps mid and no 'enc2'"),
    (table(held_out=["dec3"]), "there is no tap 'dec3' among mid"),
    (table(held_out=3), "held_out=3"),
    (table(sigma="a"), "sigma='a'"),
    (table(sigma=-1), "sigma=-1"),
    (table(reference=np.zeros((2, 1, 4, 4), np.float32)), r"references are \(1, 4, 4\) and images \(1, 8, 8\)"),
    (table(quantile=2), "quantile=2"),
    (table(options=5), "options=5"),
    (table(options={"nope": {}}), "method='nope'"),
    (table(options={"algorithm1": 5}), "options of 'algorithm1'=5"),
    (table(options={"algorithm1": {"lr": "a"}}), "lr='a'"),
    (table(further=["score"]), "further= holds what is no variant"),
    (table(further=5), "further=5"),
    (table(further=[TWICE]), "two variants have one name"),
    (table(resamples=3), "resamples=3"),
    (table(level=2), "level=2"),
    (laws(images=5), "images"),
    (laws(denoiser=5), "denoiser=5"),
    (laws(block="nowhere"), "has no tap 'nowhere'"),
    (laws(options={"step": "a"}), "step='a'"),
    (laws(sigma="a"), "sigma='a'"),
    (laws(method="nope"), "method='nope'"),
    (laws(options=5), "options=5"),
    (laws(n_samples=3), "n_samples=3: give a whole number ≥ 4"),
    (lambda: variants.plot(NO_FINDINGS), "the findings lack .*: give what variants.table returns"),
    (lambda: variants.plot(drawn().drop_attrs()), "lost their attributes level"),
    (lambda: variants.sheet(NO_FINDINGS), "the findings lack samples.*: give what variants.table returns"),
    (lambda: variants.sheet(drawn(), conditions=0), "conditions=0"),
    (lambda: variants.sheet(drawn(), samples=0), "samples=0"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_what_makes_no_sense_is_refused(call: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def sampled(*_: Any, **__: Any) -> None:
        raise AssertionError("a sample was begun")

    monkeypatch.setattr(sampling, "reconstruct", sampled)
    with pytest.raises(ProbeError, match=words):
        call()


def test_what_is_no_option_is_no_argument() -> None:
    for function in (variants.table, variants.laws):
        with pytest.raises(TypeError, match="unexpected keyword argument 'n_image'"):
            function(IMAGES, denoiser=MODEL, n_image=3)


def test_what_the_figures_take_is_drawn() -> None:
    assert variants.plot(drawn()).axes
    assert variants.sheet(drawn()).axes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.zip"], "nowhere.zip"),
        (["samples", "--network", "nothing"], "nothing"),
        (["samples", "--block", "nowhere"], "no 'nowhere'"),
        (["samples", "--held-out", "nowhere"], "no tap 'nowhere'"),
        (["samples", "--n-images", "0"], "n_images=0"),
        (["samples", "--samples", "0"], "n_samples=0"),
        (["samples", "--levels", "1"], "levels=1"),
        (["samples", "--at", "-1"], "sigma=-1"),
        (["samples", "--laws", "3"], "laws=3: give a whole number ≥ 4"),
        (["samples", "--draws", "0"], "draws=0"),
        (["samples", "--resamples", "10"], "resamples=10"),
        (["samples", "--level", "2"], "level=2"),
        (["samples", "--seed", "-1"], "seed=-1"),
        (["samples", "--reference", "nowhere.zip"], "nowhere.zip"),
        (["samples", "--reference", "samples", "--n-reference", "0"], "n_images=0"),
    ],
)
def test_the_command_says_what_is_wrong(
    words: list[str], said: str, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert variants.main([*words, "-o", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
