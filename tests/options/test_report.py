"""Options of the report that make no sense; each is refused before anything is measured."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import claims, report
from analyses.report import demo
from probekit.errors import ProbeError

IMAGES = np.zeros((40, 3, 8, 8), np.float32)
FINDINGS = xr.Dataset({"number": ("x", [1.0])})


def run(images: Any = IMAGES, **options: Any) -> Callable[[], Any]:
    return lambda: report.run(images, **{"out": "nowhere", **options})


REFUSED = [
    (run(images=5), "images"),
    (run(images=IMAGES[:39]), "39 images: the claims need 40 at least"),
    (run(out=None), "out=None: give the path of a folder"),
    (run(out=5), "out=5: give the path of a folder"),
    (run(out=__file__), "is no folder"),
    (run(denoiser=5), "denoiser=5: give a bundled name"),
    (run(denoiser="photo33"), "no bundled denoiser 'photo33'"),
    (run(images="samples", size=0), "size=0"),
    (run(only=1), "only=1: give numbers of claims"),
    (run(only=[]), r"only=\[\]: give numbers of claims, from 1 to 12"),
    (run(only=[True]), r"only=\[True\]: give numbers of claims"),
    (run(only=[13]), r"only=\[13\]: give numbers of claims"),
    (run(only=[5]), "claim 5 needs images of the same classes"),
    (run(measured=report.Measured(block="enc9")), "declares the taps enc1, .* and no 'enc9'"),
    (run(measured=report.Measured(clusters="label")), "clusters='label' is no coordinate of these images: give one of"),
    (run(compared=report.Compared(train=5)), "images"),
    (run(sampling=report.Sampling(conditions=20)), "make 190 pairs, and claim 7 asks for 200"),
    (
        run(measured=report.Measured(block="enc1"), only=[1]),
        "claim 1 cannot be judged: 'enc1' is compared with another block",
    ),
    (lambda: report.Measured(sigma="a"), "sigma='a'"),  # pyright: ignore[reportArgumentType]
    (lambda: report.Measured(sigma=[0.1, 0.1]), "0.1"),
    (lambda: report.Measured(draws=0), "draws=0: give a whole number ≥ 1"),
    (lambda: report.Measured(seed=-1), "seed=-1"),
    (lambda: report.Measured(reduce="median"), "reduce='median': give one of mean, relu_mean, max"),
    (lambda: report.Measured(reduce=None), "reduce=None: give one of mean"),  # pyright: ignore[reportArgumentType]
    (lambda: demo.run("nowhere", reduce="median"), "reduce='median': give one of"),
    (lambda: report.Measured(block=""), "block='': give the name of a tap"),
    (lambda: report.Measured(clusters=""), "clusters='': give the name of a coordinate"),
    (lambda: report.Compared(), r"report\.Compared\(\) has no images: give train="),
    (lambda: report.Compared(textures=IMAGES), "textures and textures_train belong together"),
    (lambda: report.Compared(train=IMAGES, n_images=0), "n_images=0"),
    (lambda: report.Compared(train=IMAGES, n_train=0.5), "n_train=0.5"),  # pyright: ignore[reportArgumentType]
    (lambda: report.Compared(train=IMAGES, draws=0), "draws=0: give a whole number ≥ 1"),
    (lambda: report.Sampling(conditions=1), "conditions=1: give a whole number ≥ 2"),
    (lambda: report.Sampling(n_samples=3), "n_samples=3: give a whole number ≥ 4"),
    (run(sampling=report.Sampling(law_conditions=20)), "law_conditions=20 .* make 190 pairs, and claim 7 asks for 200"),
    (lambda: report.Sampling(law_conditions=1), "law_conditions=1: give a whole number ≥ 2"),
    (lambda: report.Sampling(levels=1), "levels=1: give a whole number ≥ 2"),
    (lambda: report.Told(pictures=1), "pictures=1: give True or False"),  # pyright: ignore[reportArgumentType]
    (lambda: report.Told(command=""), "command='': give a line of text"),
    (lambda: report.Told(say="print"), "say='print': give a function"),  # pyright: ignore[reportArgumentType]
    (lambda: report.Told(progress="no"), "progress='no'"),  # pyright: ignore[reportArgumentType]
    (lambda: claims.table({}, {}), "no findings to judge by: give sparsity, "),
    (lambda: claims.table({}, {}, paper_gains=3), "paper_gains=3: give findings by analysis, e.g. "),  # pyright: ignore
    (lambda: claims.table({}, "x"), "untrained='x': give findings by analysis, e.g. "),  # pyright: ignore
    (lambda: claims.table({}, {}, further=3), "further=3: give findings by analysis"),  # pyright: ignore
    (lambda: claims.table({}, {}, further={"gist": FINDINGS}), "further='gist': give one of stability, textures, cue"),
    (lambda: claims.table({}, {}, further={"stability": FINDINGS}), r'further\["stability"\] lacks value'),
    (lambda: claims.side_by_side({}), "judged is empty"),
    (lambda: claims.side_by_side({"mine": FINDINGS}), "what claims"),
    (lambda: claims.plot(FINDINGS), "side_by_side"),
    (lambda: demo.run("nowhere", network="photo33"), "no bundled denoiser 'photo33'"),
    (lambda: demo.run("nowhere", network="photo32-dncnn"), "declares the taps layer1, .* and no 'mid'"),
    (lambda: demo.run("nowhere", draws=0), "draws=0"),
    (lambda: demo.run("nowhere", seed=-1), "seed=-1"),
    (lambda: demo.run(5), "out=5"),  # pyright: ignore[reportArgumentType]
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_options_that_make_no_sense_are_one_clear_error(
    call: Callable[[], Any], words: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProbeError, match=words) as refused:
        call()
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.rglob("*.nc"))
