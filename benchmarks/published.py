"""Which claims hold in denoisers trained by others: measures, and writes the tables of docs/published.md.

``python benchmarks/published.py --weights FOLDER --photographs FOLDER -o results-published`` reads NAME.safetensors of
the networks below, and val.zip and train-0.zip; for claims 9 and 10 also unseen.zip and train.zip of ``--textures`` and
the file ``--cues``. Each part of each network is kept in its own folder, so that what is there already is not done
again; ``--networks`` and ``--parts`` choose some. The page is written from whatever is there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from published_networks import DnCNN, Flat, UNet
from published_page import written
from safetensors.torch import load_file
from torch import nn

import probekit
from analyses import claims
from analyses.report import Compared, Measured, Sampling, Told, run
from probekit import labels
from probekit.images import ImageSet
from probekit.machine.files import whole

PAGE = Path(__file__).parents[1] / "docs" / "published.md"
EVERY_CLASS = 10
SIGMA, PSNR_SIGMA = (0.1, 0.2, 0.5), (0.05, 0.1, 0.2, 0.5)
# Draws of all but φ.
DRAWS = 4


class Network(NamedTuple):
    """A published denoiser: how it is made, what it predicts, the tap that the claims are about, how much is measured.

    Attributes
    ----------
    images, draws
        Photographs and noise draws of φ, claims 1, 3, 4 and 12.
    compared
        Photographs, and as many to train on, of the table of controls, claims 5 and 8; 0 for none. Where there are
        some, images are found again among 1,000 others, claim 2.
    conditions
        Photographs that samples are made of, claims 6 and 7; 0 for none.
    textures
        Whether textures and cue-conflict images are measured, claims 9 and 10.
    """

    make: Callable[[], nn.Module]
    predicts: str
    block: str
    images: int
    draws: int
    compared: int = 0
    conditions: int = 0
    textures: bool = False


NETWORKS: Mapping[str, Network] = {
    "bsd-unet-free-100": Network(UNet, "clean", "mid", 1500, 20, 400, 24, textures=True),
    "bsd-unet-bias-100": Network(lambda: UNet(bias=True), "clean", "mid", 500, 4, 400, textures=True),
    "bsd-dncnn-free-100": Network(DnCNN, "clean", "layer10", 120, 4),
    "bsd-dncnn-bias-100": Network(lambda: DnCNN(bias=True), "clean", "layer10", 120, 4),
    "celeba-rf43": Network(lambda: Flat(43), "residual", "layer10", 120, 4),
    "celeba-rf13": Network(lambda: Flat(13), "residual", "layer10", 120, 4),
    "celeba-rf05": Network(lambda: Flat(5), "residual", "layer10", 120, 4),
}


class Place(NamedTuple):
    """Where things are: the photographs, textures and cue-conflict images, the network's denoiser, its folder."""

    photographs: Path
    textures: Path | None
    cues: Path | None
    denoiser: nn.Module
    network: Network
    folder: Path

    def spread(self, name: str, count: int) -> ImageSet:
        """Grey photographs evenly spread over a zip, hence over its classes."""
        every = probekit.images.load(self.photographs / name, bands=1)
        return every.subset([int(i) for i in np.linspace(0, len(every) - 1, count)])

    def of_classes(self, name: str, count: int) -> ImageSet:
        """The first grey photographs of every tenth class of a zip: so many in all."""
        every = probekit.images.load(self.photographs / name, bands=1)
        classes = labels.strings(every.labels or ())
        chosen = np.unique(classes)[::EVERY_CLASS]
        return every.subset(
            [i for one in chosen for i in np.flatnonzero(classes == one)[: count // len(chosen)].tolist()]
        )

    def judged(self, part: str, images: ImageSet, only: list[int], **options: object) -> None:
        """The claims that a part is about, judged by the report."""
        run(
            images,
            out=self.folder / part,
            denoiser=self.denoiser,
            only=only,
            told=Told(pictures=False, progress=False),
            **options,  # pyright: ignore[reportArgumentType]
        )


def denoiser_of(weights: Path, name: str) -> nn.Module:
    """The published network with its weights."""
    network = NETWORKS[name]
    module = network.make()
    module.load_state_dict(load_file(weights / f"{name}.safetensors"))
    return probekit.Denoiser(module.eval(), predicts=network.predicts, name=name)  # pyright: ignore[reportArgumentType]


def quality(place: Place) -> None:
    """PSNR on every 250th photograph in the archive's order."""
    every = probekit.images.load(place.photographs / "val.zip", bands=1)
    psnr = [float(_psnr(place.denoiser, _as_stored(every, 250), s).mean()) for s in PSNR_SIGMA]
    with whole(place.folder / "quality.json") as unfinished:
        unfinished.write_text(json.dumps({"psnr": psnr}, indent=1), encoding="utf-8")


def _as_stored(every: ImageSet, step: int) -> torch.Tensor:
    """Every so many of the images, by class and number of the photograph."""

    def place(i: int) -> tuple[str, int]:
        folder, _, file = every.ids[i].partition("/")
        return folder, int(file.removeprefix("val_").partition(".")[0])

    return every.read(sorted(range(len(every)), key=place)[::step])


def _psnr(denoiser: nn.Module, x: torch.Tensor, sigma: float) -> torch.Tensor:
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return -10 * ((denoiser(x + sigma * z, sigma) - x) ** 2).mean((1, 2, 3)).log10()


def phi(place: Place) -> None:
    """Claims 1, 3, 4 and 12 on φ."""
    network = place.network
    measured = Measured(sigma=SIGMA, draws=network.draws, block=network.block)
    place.judged("phi", place.spread("val.zip", network.images), [1, 3, 4, 12], measured=measured)


def noise(place: Place) -> None:
    """Claim 11 on 100 photographs, and along the sampler's path."""
    measured = Measured(sigma=SIGMA, block=place.network.block)
    place.judged("noise", place.spread("val.zip", 100), [11], measured=measured)


def textures(place: Place) -> None:
    """Claims 9 and 10."""
    if not place.network.textures or place.textures is None or place.cues is None:
        return
    further = Compared(
        textures=place.textures / "unseen.zip",
        textures_train=place.textures / "train.zip",
        cues=probekit.images.load(place.cues, bands=1),
    )
    measured = Measured(sigma=SIGMA, draws=DRAWS, block=place.network.block)
    place.judged("textures", place.spread("val.zip", 100), [9, 10], measured=measured, compared=further)


def stability(place: Place) -> None:
    """Claim 2."""
    network = place.network
    if network.compared:
        # By as many draws as the claim asks for, the report's default.
        measured = Measured(sigma=SIGMA, block=network.block)
        place.judged("stability", place.spread("val.zip", claims.AMONG), [2], measured=measured)


def compared(place: Place) -> None:
    """Claims 5 and 8 by a table of controls."""
    count = place.network.compared
    if count:
        images, training = (place.of_classes(name, count) for name in ("val.zip", "train-0.zip"))
        measured = Measured(sigma=SIGMA, draws=2, block=place.network.block)
        place.judged("compared", images, [5, 8], measured=measured, compared=Compared(train=training))


def samples(place: Place) -> None:
    """Claims 6 and 7 by samples, of photographs of half the size."""
    count = place.network.conditions
    if count:
        images = probekit.images.load(place.photographs / "val.zip", size=32, bands=1)
        images = images.subset([int(i) for i in np.linspace(0, len(images) - 1, 40)])
        measured = Measured(sigma=SIGMA, draws=2, block=place.network.block)
        sampling = Sampling(conditions=count, n_samples=8, levels=10)
        place.judged("samples", images, [6, 7], measured=measured, sampling=sampling)


PARTS: Mapping[str, Callable[[Place], None]] = {
    "quality": quality,
    "phi": phi,
    "noise": noise,
    "textures": textures,
    "stability": stability,
    "compared": compared,
    "samples": samples,
}


def main() -> None:
    """Measure what is asked for, and write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--weights", type=Path, required=True)
    options.add_argument("--photographs", type=Path, required=True)
    options.add_argument("--textures", type=Path)
    options.add_argument("--cues", type=Path)
    options.add_argument("-o", "--out", type=Path, default=Path("results-published"))
    options.add_argument("--networks", default=",".join(NETWORKS))
    options.add_argument("--parts", default="quality,phi,noise,textures,stability,compared")
    options.add_argument("--page", type=Path, default=PAGE)
    given = options.parse_args()
    for part in filter(None, given.parts.split(",")):
        for name in given.networks.split(","):
            began = time.process_time()
            folder = given.out / name
            folder.mkdir(parents=True, exist_ok=True)
            denoiser = denoiser_of(given.weights, name)
            PARTS[part](Place(given.photographs, given.textures, given.cues, denoiser, NETWORKS[name], folder))
            print(f"{name}, {part}: {time.process_time() - began:.0f} s", flush=True)
    given.page.write_text(written(given.page.read_text(encoding="utf-8"), given.out, NETWORKS), encoding="utf-8")


if __name__ == "__main__":
    main()
