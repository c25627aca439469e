"""Processor time of analyses beside the straightforward way, in one run, and how far the answers are apart.

The probe: one penalty on standardised pixels of images with correlated neighbours, against scikit-learn's
`LogisticRegression` on the pixels as they are, at the same precision of each entry of the gradient; wide (more pixels
than images) and tall, and of few uncorrelated channels. Gist: amplitudes of filtered images, against those of the whole
extended images, cut afterwards. Both ways take turns, and the median of the ratios counts.

Run: python benchmarks/analysis_times.py [--rounds 3] [--size 24] [--images 900]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import adaptive_avg_pool2d

from analyses.descriptors import kernels as descriptors
from analyses.probe.kernels_softmax import ITERATIONS, PRECISION, minimum

__all__ = ["main", "measured"]

CLASSES, PENALTY, SIDE = 40, 0.1, 32
Rows = list[tuple[str, float, str]]


def measured(*, rounds: int = 3, size: int = 24, images: int = 900) -> Rows:
    """What was measured: name, value, unit.

    Parameters
    ----------
    rounds
        How often both ways are timed in turn.
    size
        Side of the images in colour that the probe is fitted on.
    images
        Number of images of the wide case; three times as many are of the tall one.
    """
    drawn = pictures(3 * images, size)
    y = np.arange(3 * images) % CLASSES
    few = np.random.default_rng(1).normal(size=(3 * images, 64)).astype(np.float32)
    cases = {
        f"probe of {images} × {drawn.shape[1]} pixels": (drawn[:images], y[:images]),
        f"probe of {3 * images} × {drawn.shape[1]} pixels": (drawn, y),
        f"probe of {3 * images} × {few.shape[1]} channels": (few, y),
    }
    rows: Rows = []
    for name, (x, of) in cases.items():
        rows += compared(
            name, lambda x=x, of=of: minimum(x, of, CLASSES, PENALTY), lambda x=x, of=of: plain(x, of), rounds
        )
        ours, theirs = minimum(x, of, CLASSES, PENALTY), plain(x, of)
        shift = np.abs(probabilities(x, ours.coefficient, ours.intercept) - theirs.predict_proba(x)).max()
        rows.append((f"{name}: largest difference of a probability", float(shift), "1"))
        excess = loss(x, of, theirs.coef_, np.asarray(theirs.intercept_)) - loss(
            x, of, ours.coefficient, ours.intercept
        )
        rows.append((f"{name}: objective of scikit-learn's less ours", excess, "nat"))
    seen = torch.rand((64, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    options = {"scales": 4, "orientations": 8, "grid": 4}
    rows += compared("gist", lambda: descriptors.energies(seen, **options), lambda: uncut(seen, **options), rounds)
    apart = (descriptors.energies(seen, **options) - uncut(seen, **options)).abs().max().item()
    return [*rows, ("gist: largest difference of an amplitude", apart, "1")]


def compared(name: str, ours: Callable[[], Any], plainly: Callable[[], Any], rounds: int) -> Rows:
    """Median seconds of a processor, and the median of the ratios of both ways taking turns."""
    taken = [(timed(ours), timed(plainly)) for _ in range(rounds)]
    return [
        (name, statistics.median(one for one, _ in taken), "s of processor"),
        (f"{name}: straightforward / this", statistics.median(other / one for one, other in taken), "ratio"),
    ]


def timed(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def pictures(count: int, size: int) -> np.ndarray:
    """Standardised pixels (images, 3 · size²), float32, of noise whose neighbours and colours are alike."""
    noise = np.random.default_rng(0).normal(size=(count, 3, size, size))
    fine, coarse = (gaussian_filter(noise, (0, 0, width, width)) for width in (1, size / 6))
    x = (fine / fine.std() + 3 * coarse / coarse.std()).reshape(count, -1)
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)


def plain(x: np.ndarray, y: np.ndarray) -> LogisticRegression:
    """scikit-learn's fit of the same objective."""
    return LogisticRegression(C=1 / (len(y) * PENALTY), tol=PRECISION / np.sqrt(CLASSES), max_iter=ITERATIONS).fit(x, y)


def probabilities(x: np.ndarray, coefficient: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    logits = x.astype(np.float64) @ coefficient.T + intercept
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def loss(x: np.ndarray, y: np.ndarray, coefficient: np.ndarray, intercept: np.ndarray) -> float:
    """The objective, in double precision."""
    own = probabilities(x, coefficient, intercept)[np.arange(len(y)), y]
    return float(-np.log(own).mean() + PENALTY / 2 * (coefficient.astype(np.float64) ** 2).sum())


def uncut(images: torch.Tensor, *, scales: int, orientations: int, grid: int) -> torch.Tensor:
    """Gist by amplitudes of the whole extended images, cut afterwards."""
    rows, cols = images.shape[2:]
    whitened = descriptors.prefiltered(images, descriptors.CUTOFF * descriptors.frequencies(scales)[-1])
    bank = descriptors.filters(whitened.shape[1], whitened.shape[2], scales, orientations).to(images)
    spectrum, inside = torch.fft.fft2(whitened), (..., *(slice(n // 2, n // 2 + n) for n in (rows, cols)))
    parts = [adaptive_avg_pool2d(torch.fft.ifft2(spectrum[:, None] * one).abs()[inside], grid) for one in bank]
    return torch.stack(parts, dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--images", type=int, default=900)
    for name, value, unit in measured(**vars(parser.parse_args())):
        print(f"{name}: {value:.4g}{'' if unit in ('1', 'ratio') else f' {unit}'}")


if __name__ == "__main__":
    main()
