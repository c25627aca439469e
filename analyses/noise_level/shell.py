"""The command of noise_level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, run
from probekit.cli.arguments import (
    CHECK,
    Bands,
    Check,
    Crop,
    Images,
    Out,
    Quiet,
    Seed,
    Sigma,
    Size,
    images_called,
    network_called,
    numbers,
    words,
)
from probekit.cli.checking import whole_of
from probekit.cli.output import results_awaited
from probekit.errors import InputError

__all__ = ["command", "main"]

Networks = Annotated[
    str, typer.Option(help="Bundled denoisers, paths of .safetensors files, or module:function, comma-separated.")
]
Most = Annotated[int, typer.Option(callback=whole_of(1), help="At most so many images.")]
Samples = Annotated[int, typer.Option(callback=whole_of(1, "n_samples"), help="Samples along the sampler's path.")]


def command(
    images: Images,
    out: Out = OUT,
    network: Networks = "photo32,photo32-sigma",
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    sigma: Sigma = "0.05,0.1,0.2,0.3,0.5,0.8,1",
    n_images: Most = 256,
    samples: Samples = 16,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> list[Path]:
    """Whether a blind denoiser knows the noise level: its residual's against the true one, and along sampling."""
    from analyses.ground import saved
    from analyses.noise_level.analyse import along, analyse
    from analyses.noise_level.figure import plot
    from analyses.noise_level.verdict import verdict

    results_awaited(
        out, "noise_level.nc", "noise_level-path.nc", "noise_level-verdict.nc", "noise_level.png", images=images
    )
    known, given = numbers(sigma, float, "--sigma"), words(network) or []
    if not given:
        raise InputError(f"--network: {network!r} names no denoiser: give one, or several with commas between them")
    measured_on = images_called(images, size=size, crop=crop, bands=bands, check=check)
    denoisers = {name: network_called(name) for name in given}
    shown = False if quiet else None
    found = analyse(denoisers, measured_on, sigma=known, n_images=n_images, seed=seed, progress=shown)
    path = along(denoisers, measured_on, n_samples=samples, seed=seed, progress=shown)
    blind = not bool(found["told"].all()) and bool(((found["sigma"] >= 0.1) & (found["sigma"] <= 1)).any())
    judged = [("noise_level-verdict", verdict(found, path))] if blind else []
    figure = ("noise_level", plot(found, path))
    return saved(out, ("noise_level", found), ("noise_level-path", path), *judged, figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.noise_level val.zip --network photo32,photo32-sigma -o out/``."""
    return run(command, "noise_level", arguments)
