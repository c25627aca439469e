"""Options of concepts that make no sense, of every public function; each is refused before anything is sampled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import probekit
from analyses import concepts, sampling, selectivity
from probekit.errors import InputError
from probekit.synthetic.patch_model import PatchModel

SIGMA, N = 0.02, 20
MODEL = PatchModel([0.15, 0.85], [[0.4, 0.3, 0, 0.05], [0.4, 0, 0.3, 0.05]])
TAP = probekit.tap(MODEL, "mid")
IMAGES = probekit.images.load(MODEL.draw(N, rows=8, cols=8, seed=4).images)
DATA = TAP(IMAGES, sigma=[SIGMA, 0.2], draws=2)
TWO_TAPS = DATA.assign_coords(tap=("channel", np.array(["mid", "mid", "enc1", "enc1"], dtype=object)))
TYPES = selectivity.analyse(DATA, resamples=100)
CONDITION = MODEL.draw(2, rows=8, cols=8, seed=3).images
SAMPLES = CONDITION.expand_dims(sample=3)
NO_FINDINGS = xr.Dataset({"nearer": 0.0})


def analyse(images: Any = IMAGES, data: Any = DATA, **options: Any) -> Callable[[], Any]:
    given = {"denoiser": MODEL, "findings": TYPES, "channels": [1], "together": 1, "sigma": SIGMA, **options}
    return lambda: concepts.analyse(images, data, **given)


def most_selective(findings: Any = TYPES, **options: Any) -> Callable[[], Any]:
    return lambda: concepts.most_selective(findings, **{"sigma": SIGMA, **options})


def concept(held: Any = SAMPLES, free: Any = SAMPLES, condition: Any = CONDITION, **options: Any) -> Callable[[], Any]:
    given = {"channels": [1], "draws": 1, "permutations": 100, "resamples": 100, **options}
    return lambda: concepts.concept(TAP, held, free, condition, **given)


def hold_concept(condition: Any = CONDITION, **options: Any) -> Callable[[], Any]:
    given = {"channels": [1], "sampler": same_samples, "draws": 1, "permutations": 100, "resamples": 100, **options}
    return lambda: concepts.hold_concept(MODEL, TAP, condition, **given)


def same_samples(*_: Any, n_samples: int, **__: Any) -> xr.Dataset:
    return xr.Dataset({"samples": CONDITION.expand_dims(sample=n_samples)})


REFUSED = [
    (analyse(images=5), "images"),
    (analyse(images=IMAGES.subset(range(N - 1))), "data are of other images"),
    (analyse(data=5), "give the Dataset"),
    (analyse(data=TWO_TAPS), "data are of the taps mid, enc1: give φ of one"),
    (analyse(data=DATA.assign_attrs(weights_sha256="x")), r"another denoiser or tap .* \(weights_sha256 differ\)"),
    (analyse(data=DATA.assign_attrs(taps="enc1=encoder.0")), r"another denoiser or tap .* \(taps differ\)"),
    (analyse(denoiser=5), "denoiser=5: give a bundled name"),
    (analyse(findings=DATA), "findings lack type"),
    (analyse(findings=TYPES.isel(channel=[0, 1])), "findings of 2 channels and φ of 4"),
    (analyse(channels=[9]), r"channels \[9\] do not exist"),
    (analyse(channels=[]), "at least one channel"),
    (analyse(channels=5), "a list of channels"),
    (analyse(channels=[0.5]), "at least one channel"),
    (analyse(channels=[1, 1]), "names a channel twice"),
    (analyse(channels=None, n_channels=0), "n_channels=0"),
    (analyse(together=0), "together=0"),
    (analyse(together=6), "together=6"),
    (analyse(sigma=0.5), "give one of the data's noise levels"),
    (analyse(sigma="a"), "sigma='a'"),
    (analyse(n_images=0), "n_images=0"),
    (analyse(n_images=None), "n_images=None"),
    (analyse(n_images=N + 1), f"there are {N} images"),
    (analyse(n_samples=1), "n_samples=1"),
    (analyse(sigmas="a"), "sigma='a'"),
    (analyse(levels=1), "levels=1"),
    (analyse(draws=0), "draws=0"),
    (analyse(reduce="median"), "reduce='median': give one of mean, relu_mean, max"),
    (analyse(reduce="max"), "another denoiser or tap than .*reduce differ"),
    (analyse(permutations=10), "permutations=10"),
    (analyse(resamples=10), "resamples=10"),
    (analyse(level=2), "level=2"),
    (analyse(seed=-1), "seed=-1"),
    (analyse(batch_size=0), "batch_size=0"),
    (analyse(store=5), "store=5: give the path of a folder"),
    (analyse(progress="no"), "progress='no'"),
    (most_selective(findings=DATA), "findings lack type.*give what selectivity.analyse returns"),
    (most_selective(sigma=0.5), "give one of the data's noise levels"),
    (most_selective(n_channels=0), "n_channels=0"),
    (most_selective(least_active=1), "least_active=1"),
    (concept(held=CONDITION), "held: got"),
    (concept(held=SAMPLES[:1]), "held: sizes.*at least 2 samples"),
    (concept(free=SAMPLES[:, :1]), "free: sizes"),
    (concept(condition=5), "images"),
    (concept(channels=[4]), r"channels \[4\] do not exist"),
    (concept(channels=[0, 1, 2, 3]), "all channels are held"),
    (concept(sigma="a"), "sigma='a'"),
    (concept(draws=0), "draws=0"),
    (concept(classifier=lambda phi: phi[:, 0]), "the classifier made"),
    (concept(permutations=10), "permutations=10"),
    (concept(resamples=10), "resamples=10"),
    (concept(level=2), "level=2"),
    (concept(seed=-1), "seed=-1"),
    (hold_concept(condition=5), "images"),
    (hold_concept(channels=5), "channels=5: give a list of channels"),
    (hold_concept(channels=[4]), r"channels \[4\] do not exist"),
    (hold_concept(n_samples=1), "n_samples=1"),
    (hold_concept(sampler=5), "sampler=5: give a function"),
    (hold_concept(settings=5), "settings=5"),
    (hold_concept(seed=-1), "seed=-1"),
    (hold_concept(permutations=10), "permutations=10"),
    (lambda: concepts.plot(NO_FINDINGS), "the findings lack .*: give what concepts.analyse returns"),
    (lambda: concepts.plot(5), "the findings are a int: give what concepts.analyse returns"),
    (
        lambda: concepts.plot(NO_FINDINGS.assign_attrs(channels="1")),
        "the findings lack .*: give what concepts.concept returns",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_what_makes_no_sense_is_refused(call: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def sampled(*_: Any, **__: Any) -> None:
        raise AssertionError("a sample was begun")

    monkeypatch.setattr(sampling, "reconstruct", sampled)
    with pytest.raises(InputError, match=words):
        call()


def test_what_is_no_option_is_no_argument() -> None:
    for call in (analyse(n_image=3), concept(permutation=3), hold_concept(permutation=3)):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            call()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.zip"], "nowhere.zip"),
        (["samples", "--network", "nothing"], "nothing"),
        (["samples", "--block", "nowhere"], "'nowhere'"),
        (["samples", "--at", "-1"], "sigma"),
        (["samples", "--draws", "0"], "draws=0"),
        (["samples", "--n-images", "0"], "n_images=0"),
        (["samples", "--channels", "first"], "--channels: 'first' is not a list of numbers"),
        (["samples", "--n-channels", "0"], "n_channels=0"),
        (["samples", "--together", "0"], "together=0"),
        (["samples", "--exciting", "0"], "n_images=0"),
        (["samples", "--samples", "1"], "n_samples=1"),
        (["samples", "--levels", "1"], "levels=1"),
        (["samples", "--permutations", "10"], "permutations=10"),
        (["samples", "--resamples", "10"], "resamples=10"),
        (["samples", "--level", "2"], "level=2"),
        (["samples", "--seed", "-1"], "seed=-1"),
    ],
)
def test_the_command_says_what_is_wrong(
    words: list[str], said: str, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--size", "32", "--quiet", "-o", str(tmp_path)]
    if "--n-images" not in words:
        few += ["--n-images", "6"]
    if "--draws" not in words:
        few += ["--draws", "1"]
    assert concepts.main([*words, *few]) == 1
    assert said in capsys.readouterr().err
