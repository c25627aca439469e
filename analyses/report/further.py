"""Parts of a report on further images, and on the noise level: claims 9, 10 and 11."""

from __future__ import annotations

from dataclasses import asdict

import xarray as xr

from analyses import cues, noise_level, textures
from analyses.report.page import Shown
from analyses.report.settings import Study
from probekit.machine.modes import flushed_denormals

__all__ = ["conflicting", "noise_told", "of_textures"]

# Noise levels at which claim 11 is judged.
LEVELS = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0)


@flushed_denormals()
def of_textures(study: Study, shown: Shown) -> xr.Dataset:
    """Photographs of textures: patches of one photograph lie together."""
    assert study.compared is not None
    photographs, train = study.compared.textures, study.compared.textures_train
    how = textures.Settings(sigma=study.measured.sigma, draws=study.further_draws, reduce=study.measured.reduce)

    def made() -> xr.Dataset:
        return textures.table(
            photographs,
            denoiser=study.network,
            train=train,
            settings=how,
            store=study.out / "stores" / "textures",
            seed=study.measured.seed,
            client=study.workers,
            progress=study.told.progress,
        )

    with study.timed("textures"):
        of = (*map(textures.photographs_sha256, (photographs, train)), asdict(how), study.measured.seed)
        found = study.of_images("textures", made, *of)
    picture = study.draw("textures", textures.plot, found)
    caption = f"How often the nearest patch is of the same photograph; the claim is about {found.attrs['block']}"
    shown.picture(study.judging("textures"), picture, caption)
    return found


@flushed_denormals()
def conflicting(study: Study, shown: Shown) -> xr.Dataset:
    """Cue-conflict images: texture against shape."""
    assert study.compared is not None
    images = study.compared.cues
    how = cues.Settings(
        sigma=study.measured.sigma, draws=study.further_draws, reduce=study.measured.reduce, seed=study.measured.seed
    )

    def made() -> xr.Dataset:
        store, workers = study.out / "stores" / "cues", study.workers
        return cues.table(
            images, study.network, settings=how, store=store, client=workers, progress=study.told.progress
        )

    with study.timed("cue conflict"):
        found = study.of_images("cues", made, images, asdict(how))
    picture = study.draw("cues", cues.plot, found)
    shown.picture(study.judging("cues"), picture, "Which cue the nearest neighbour shares, at each block")
    return found


@flushed_denormals()
def noise_told(study: Study, shown: Shown) -> xr.Dataset:
    """What the residual says of the noise level, on images and along the sampler's path."""
    networks = {str(getattr(study.network, "name", type(study.network).__name__)): study.network}
    seed, progress = study.measured.seed, study.told.progress
    with study.timed("noise level"):
        images, names = study.independent, list(networks)

        def on_images() -> xr.Dataset:
            return noise_level.analyse(networks, images, sigma=LEVELS, seed=seed, progress=progress)

        def on_path() -> xr.Dataset:
            return noise_level.along(networks, images, seed=seed, progress=progress)

        found = study.of_images("noise_level", on_images, names, LEVELS, seed)
        path = study.of_images("noise_level-path", on_path, names, seed)
    picture = study.draw("noise_level", noise_level.plot, found, path)
    shown.picture(study.judging("noise_level"), picture, "σ̂, which the residual says, against σ")
    return noise_level.verdict(found, path)
