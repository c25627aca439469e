"""How a report is made: what is measured, compared, sampled and told, and the study that holds all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

import probekit
from analyses import densities
from analyses.claims import CLAIMS
from analyses.ground import Kept, at_hand, block_names, code_sha256, drawn, repeats, saved
from probekit import checks
from probekit.capture.reductions import reduction
from probekit.distribute import as_workers
from probekit.errors import InputError
from probekit.machine.files import prepared, whole
from probekit.machine.identity import identity
from probekit.machine.modes import flushed_denormals
from probekit.machine.precision import ASKED
from probekit.phi.job import beside

if TYPE_CHECKING:
    from distributed import Client
    from matplotlib.figure import Figure
    from torch import nn

    from probekit.capture.reductions import Reduction
    from probekit.distribute import Workers
    from probekit.images import ImageSet
    from probekit.machine.precision import Asked

__all__ = ["DRAWS", "MIDDLE", "Compared", "Measured", "Results", "Sampling", "Study", "Told", "one_of_each"]

# As many draws as the authors took: with two, images are lost by the noise of φ alone.
SIGMA, DRAWS, MIDDLE = (0.1, 0.2, 0.5), 20, "mid"
# Packages whose modules do what their code, settings and weights say.
OWN = ("probekit", "torch")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How φ is measured, and what the claims are about.

    Attributes
    ----------
    sigma, draws, seed
        Noise levels, draws for each image and level, seed of the noise and of everything drawn.
    reduce
        What is made of maps, as for `probekit.tap`: "relu_mean" for taps before a ReLU.
    precision
        In what the network's layers multiply, as for calling a tap: "float32", "auto", …
    block
        The tap that the claims are about, and whose subspaces are looked for.
    clusters
        Coordinate along image whose groups are taken whole, where images are not independent: in claims 1, 3, 4 and
        12. Of groups there must be 20 for claims 3 and 4. All else is measured on one image of each group.
    client
        Whose workers measure φ and make samples, as for calling a tap; by default this process does. It decides no
        number, and nothing that is kept depends on it.
    """

    sigma: Sequence[float] = SIGMA
    draws: int = DRAWS
    reduce: str | Reduction = "mean"
    precision: Asked = "float32"
    seed: int = 0
    block: str = MIDDLE
    clusters: str | None = None
    client: Client | Workers | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        checks.settle(self)
        object.__setattr__(self, "sigma", tuple(checks.noise_levels(self.sigma)))
        repeats("draws", self.draws, least=1)
        reduction(self.reduce)
        checks.choice("precision", self.precision, ASKED)
        checks.seeded(self.seed)
        checks.text("block", self.block, "the name of a tap, such as 'mid'")
        if self.clusters is not None:
            checks.text("clusters", self.clusters, "the name of a coordinate along image, such as 'label'")
        object.__setattr__(self, "client", as_workers(self.client))


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Further images, for the claims that need them. Each is anything that `probekit.images.load` takes.

    Attributes
    ----------
    train
        Other images of the same classes, for the table of controls: claims 5 and 8.
    classes
        A CSV file of their hypernyms, as `controls.table` takes it.
    n_images, n_train
        Images and training images of the table, at most; None for all.
    textures, textures_train
        Photographs of textures for claim 9, and others on which its block is chosen; both or neither.
    cues
        Cue-conflict images whose ids name their exemplars, as `cues.named` reads them, for claim 10.
    draws
        Noise draws of each of them, and in the table of controls; by default as many as `Measured` has.
    """

    train: Any = None
    classes: str | Path | None = None
    n_images: int | None = 5000
    n_train: int | None = 12500
    textures: Any = None
    textures_train: Any = None
    cues: Any = None
    draws: int | None = None

    def __post_init__(self) -> None:
        checks.settle(self)
        if all(one is None for one in (self.train, self.textures, self.textures_train, self.cues)):
            raise InputError("report.Compared() has no images: give train=, textures= with textures_train=, or cues=")
        if (self.textures is None) != (self.textures_train is None):
            raise InputError(
                "textures and textures_train belong together: give both, photographs to be judged on and others on "
                "which the block is chosen, or neither"
            )
        if self.classes is not None:
            checks.path("classes", self.classes, "a CSV file of classes with columns wnid, hypernym_wnids")
        for name in ("n_images", "n_train"):
            if getattr(self, name) is not None:
                checks.whole(name, getattr(self, name), least=1)
        if self.draws is not None:
            repeats("draws", self.draws, least=1)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How samples are made.

    Attributes
    ----------
    conditions, n_samples
        Images conditioned on, evenly spread, and samples of each for claim 7, which asks for 200 pairs: 21 conditions.
    law_conditions
        Images conditioned on for claim 7; by default as many. Its intervals are over them, and wide below 50.
    levels
        Noise levels that samples go through.
    """

    conditions: int = 24
    n_samples: int = 8
    law_conditions: int | None = None
    levels: int = 20

    def __post_init__(self) -> None:
        checks.settle(self)
        for name, least in (("conditions", 2), ("n_samples", densities.LEAST_SAMPLES), ("levels", 2)):
            repeats(name, getattr(self, name), least=least)
        if self.law_conditions is not None:
            repeats("law_conditions", self.law_conditions, least=2)

    @property
    def of_laws(self) -> tuple[str, int]:
        """What says how many images are conditioned on for claim 7, and how many."""
        if self.law_conditions is None:
            return "conditions", self.conditions
        return "law_conditions", self.law_conditions


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is shown and told.

    Attributes
    ----------
    pictures
        Whether figures may show the images themselves, which others may own: if not, only built-in ones are shown.
    command
        Named in the report as what made it.
    say
        Where progress is told, line by line.
    progress
        Whether to show progress bars; by default only in a terminal.
    """

    pictures: bool = True
    command: str = "analyses.report.run"
    say: Callable[[str], object] = print
    progress: bool | None = None

    def __post_init__(self) -> None:
        checks.flag("pictures", self.pictures)
        checks.text("command", self.command, "a line of text")
        if not callable(self.say):
            raise InputError(f"{checks.given('say', self.say)}: give a function that takes a line of text")
        if self.progress is not None:
            checks.flag("progress", self.progress)


def one_of_each(images: ImageSet, clusters: str | None, seed: int) -> ImageSet:
    """One image of each group, drawn at random, by the ids of images; all where each is independent."""
    if clusters != "label" or images.labels is None:
        return images
    shuffled = np.random.default_rng(seed).permutation(sorted(range(len(images)), key=lambda i: images.ids[i]))
    first = {images.labels[i]: int(i) for i in shuffled[::-1]}
    return images.subset(sorted(first.values()))


@dataclass(frozen=True, kw_only=True)
class Results:
    """Where results of φ go, what they are to be judged for, and how all is done."""

    out: Path
    wanted: frozenset[int]
    measured: Measured = field(default_factory=Measured)
    told: Told = field(default_factory=Told)

    def judging(self, name: str) -> list[int]:
        """The claims wanted that need the findings of this name."""
        return sorted(number for number in self.wanted if CLAIMS[number].needs == name)

    def middle(self, data: xr.Dataset) -> xr.Dataset:
        """The part of φ that is of the block the claims are about."""
        return data.isel(channel=data["tap"].values == self.measured.block)

    def findings(
        self, name: str, analyse: Callable[..., xr.Dataset], data: xr.Dataset, options: Mapping[str, Any]
    ) -> xr.Dataset:
        """Findings of data from NAME.nc in the folder, if options and code are the same too, or made and kept there."""
        with self.timed(name):
            return Kept(self.out).made(name, lambda: analyse(data, **options), data, dict(options), code_sha256())

    def write(self, name: str, findings: xr.Dataset) -> None:
        """Findings into NAME.nc in the folder, whole or not at all."""
        saved(self.out, (name, findings))

    def text(self, name: str, text: str) -> None:
        """A text file in the folder, whole or not at all."""
        prepared(self.out)
        with whole(self.out / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")

    def draw(self, name: str, plot: Callable[..., Figure], *findings: xr.Dataset, **options: Any) -> Path:
        """A figure of findings, NAME.png in the folder of figures: as it is there, or drawn."""
        prepared(self.out / "figures")
        return drawn(self.out / "figures", name, plot, *findings, **options)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say how long something took."""
        began = time.monotonic()
        yield
        self.told.say(f"{what}: {time.monotonic() - began:.0f} s")


@dataclass(frozen=True, kw_only=True)
class Study(Results):
    """A network and images, by which everything is measured."""

    network: nn.Module
    source: ImageSet
    compared: Compared | None = None
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def further_draws(self) -> int:
        """Noise draws of further images."""
        asked = None if self.compared is None else self.compared.draws
        return self.measured.draws if asked is None else asked

    @property
    def workers(self) -> Workers | None:
        """Who measures φ and makes samples; None for this process."""
        return as_workers(self.measured.client)

    @property
    def independent(self) -> ImageSet:
        """The images, or one of each group where they are grouped, drawn at random."""
        return one_of_each(self.source, self.measured.clusters, self.measured.seed)

    def phi(self, model: nn.Module, role: str) -> xr.Dataset:
        """φ at every tap, every draw kept, from the store of this role or measured into it."""
        tap = probekit.tap(model, *block_names(model), reduce=self.measured.reduce)
        with self.timed(f"φ of {len(self.source)} images, {role}"), flushed_denormals():
            found = tap(
                self.source,
                sigma=self.measured.sigma,
                draws=self.measured.draws,
                seed=self.measured.seed,
                keep_draws=True,
                precision=self.measured.precision,
                store=self.out / "stores" / f"{role}.zarr",
                client=beside(self.workers, model),
                progress=self.told.progress,
            )
        # Several analyses read it: small φ once, large φ block by block.
        return at_hand(found)

    def of_images(self, name: str, make: Callable[[], xr.Dataset], *of: Any) -> xr.Dataset:
        """Findings that are made of the images by the network, from NAME.nc in the folder, or made and kept there.

        They are taken up where images, network, all else that they are made of (`of`) and the code are the same; those
        of a network of other packages' code, which may read what cannot be seen from outside, are always made.
        """
        if any(type(module).__module__.partition(".")[0] not in OWN for module in self.network.modules()):
            made = make()
            self.write(name, made)
            return made
        return Kept(self.out).made(name, make, self.independent, identity(self.network), code_sha256(), *of)
