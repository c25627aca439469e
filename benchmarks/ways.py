"""Ways to φ at blocks of the paper's UNet: this package, passes written by hand, and other tools as they advise.

Every way takes the same clean images and makes its own noise. TorchLens is used as its documentation has it for
tight loops (`tl.record`, stopped by `halt=` at the last block) and for whole sets of images (`tl.aggregate` with a
streaming statistic); nnsight with `tracer.stop()`; thingsvision with `batch_extraction`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from importlib.util import find_spec
from operator import or_
from typing import Any

import numpy as np
import torch
from by_hand import hooked, means_at
from torch import Tensor

import probekit
from probekit.machine.memory import keep_freed
from probekit.models.unet import UNet
from probekit.models.widening import widened

__all__ = ["FLOAT32", "TOOLS", "WAYS", "Way", "Work", "installed", "prepared"]


@dataclass(frozen=True)
class Work:
    """φ of so many random images of one size at blocks of a UNet, at noise levels, over draws, batch by batch.

    fewer and more say how many times fewer images are enough for ways that take long, and how many times more
    make the second or two in which a precision is chosen weigh as in a run of a minute.
    """

    channels: tuple[int, ...]
    size: int
    images: int
    batch: int
    blocks: tuple[str, ...] = ("mid",)
    sigma: tuple[float, ...] = (0.2,)
    draws: int = 1
    fewer: int = 1
    more: int = 8

    @property
    def noisy_images(self) -> int:
        return self.images * len(self.sigma) * self.draws

    def model(self) -> UNet:
        """photo32, each channel repeated, so that φ scatters over draws as a trained network's does; else random."""
        torch.manual_seed(0)
        trained = probekit.load("photo32")
        own: list[int] = trained.model.config["channels"]  # type: ignore[index, assignment]
        wider = len(own) == len(self.channels)
        if wider and not any(wide % narrow for wide, narrow in zip(self.channels, own, strict=True)):
            return widened(trained, self.channels).model  # type: ignore[return-value]
        scales = len(self.channels) - 1
        made = UNet(self.channels, encoder_convs=[2] * scales, decoder_convs=range(5, 5 + scales))
        return made.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def clean(self) -> Tensor:
        return torch.rand(self.images, 3, self.size, self.size, generator=torch.Generator().manual_seed(1))


# φ (image, sigma, channel) of clean images, and what there is to say of how it was found.
Phi = Callable[[Tensor], tuple[np.ndarray, dict[str, Any]]]
# Channel means of each batch of noisy images.
Means = Callable[[Iterable[Tensor]], Iterable[Tensor]]


@dataclass(frozen=True)
class Way:
    """A way to φ: how the page calls it, the package that it needs, and what makes it ready for a network and work."""

    name: str
    needs: str
    ready: Callable[[UNet, Work], Phi]


def through_probekit(model: UNet, work: Work, **options: Any) -> Phi:
    tap = probekit.tap(model, *work.blocks)

    def phi(x: Tensor) -> tuple[np.ndarray, dict[str, Any]]:
        data = tap(x, sigma=work.sigma, draws=work.draws, batch_size=work.batch, progress=False, **options)
        said = {key: data.attrs[key] for key in data.attrs if key.startswith("precision")}
        return data.phi.values, said

    return phi


def in_a_loop(means: Means, work: Work) -> Phi:
    """The loop over noise levels, draws and batches that one writes around a tool."""

    def noisy(x: Tensor) -> Iterator[Tensor]:
        for sigma in work.sigma:
            for _ in range(work.draws):
                for clean in x.split(work.batch):
                    yield clean + sigma * torch.randn_like(clean)

    def phi(x: Tensor) -> tuple[np.ndarray, dict[str, Any]]:
        with torch.no_grad():
            found = torch.cat(list(means(noisy(x)))).reshape(len(work.sigma), work.draws, len(x), -1)
            return found.mean(1).transpose(0, 1).numpy(), {}

    return phi


def paths_of(model: UNet, work: Work) -> list[str]:
    return [model.tap_aliases[block] for block in work.blocks]


def by_hand(model: UNet, work: Work) -> Phi:
    return in_a_loop(lambda batches: (means_at(model, y, work.blocks) for y in batches), work)


def by_hand_kept(model: UNet, work: Work) -> Phi:
    keep_freed()
    return by_hand(model, work)


def with_hooks(model: UNet, work: Work) -> Phi:
    return in_a_loop(partial(hooked, model, paths_of(model, work)), work)


def through_torchlens_record(model: UNet, work: Work) -> Phi:
    import torchlens as tl

    # The last operation of a block is its last ReLU; a module's selector alone matches on entering it.
    lasts = [f"{path}.{len(model.get_submodule(path)) - 1}" for path in paths_of(model, work)]  # type: ignore[arg-type]
    ends = [tl.func("relu") & tl.in_module(last) for last in lasts]

    def means(batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for y in batches:
            recorded = tl.record(model, y, save=reduce(or_, ends), halt=ends[-1])
            yield torch.cat([record.ram_payload.mean((2, 3)) for record in recorded], dim=1)

    return in_a_loop(means, work)


class MeansOfEach:
    """A streaming statistic for `tl.aggregate`: channel means of every image."""

    name = None

    def __init__(self) -> None:
        self.parts: list[Tensor] = []

    def update(self, value: Tensor) -> None:
        self.parts.append(value.mean((2, 3)))

    def result(self) -> Tensor:
        return torch.cat(self.parts)


def through_torchlens_aggregate(model: UNet, work: Work) -> Phi:
    import torchlens as tl

    def means(batches: Iterable[Tensor]) -> Iterator[Tensor]:
        metrics = {path: MeansOfEach() for path in paths_of(model, work)}
        yield torch.cat(list(tl.aggregate(model, batches, metrics=metrics).values()), dim=1)

    return in_a_loop(means, work)


def through_nnsight(model: UNet, work: Work) -> Phi:
    from nnsight import NNsight

    wrapped: Any = NNsight(model)
    places = [wrapped.get(path) for path in paths_of(model, work)]

    def means(batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for y in batches:
            with wrapped.trace(y) as tracer:
                means_here: Any = torch.cat([place.output.mean((2, 3)) for place in places], dim=1)
                found = means_here.save()
                tracer.stop()
            yield found

    return in_a_loop(means, work)


def through_thingsvision(model: UNet, work: Work) -> Phi:
    from thingsvision import get_extractor_from_model  # type: ignore[import-not-found]

    with contextlib.redirect_stdout(io.StringIO()):
        extractor = get_extractor_from_model(model=model, device="cpu", backend="pt")
    paths = paths_of(model, work)

    def means(batches: Iterable[Tensor]) -> Iterator[Tensor]:
        with extractor.batch_extraction(module_names=paths, output_type="tensor") as extraction:
            for y in batches:
                maps = extraction.extract_batch(batch=y, flatten_acts=False)
                yield torch.cat([maps[path].mean((2, 3)) for path in paths], dim=1)

    return in_a_loop(means, work)


FLOAT32, AUTO = "probekit", "auto"
WAYS = {
    FLOAT32: Way("probekit, float32", "probekit", through_probekit),
    AUTO: Way('probekit, `precision="auto"`', "probekit", partial(through_probekit, precision="auto")),
    "by hand": Way("written out by hand, stopped at the tap", "torch", by_hand),
    "kept": Way("the same, freed memory kept", "torch", by_hand_kept),
    "hook": Way("a forward hook on the whole pass", "torch", with_hooks),
    "record": Way("TorchLens, `tl.record` stopped by `halt=`", "torchlens", through_torchlens_record),
    "aggregate": Way("TorchLens, `tl.aggregate`", "torchlens", through_torchlens_aggregate),
    "nnsight": Way("nnsight, `tracer.stop()`", "nnsight", through_nnsight),
    "thingsvision": Way("thingsvision, `batch_extraction`", "thingsvision", through_thingsvision),
}
# Those of other packages.
TOOLS = ("record", "aggregate", "nnsight", "thingsvision")


def installed(key: str) -> bool:
    """Whether a way can be gone here."""
    return find_spec(WAYS[key].needs) is not None


def prepared(key: str, work: Work) -> Callable[[], dict[str, Any]]:
    """A function that does the work once in one way, and gives what there is to say of how."""
    phi, x = WAYS[key].ready(work.model(), work), work.clean()

    def run() -> dict[str, Any]:
        found, said = phi(x)
        expected = (work.images, len(work.sigma))
        if found.shape[:2] != expected or not np.isfinite(found).all():
            raise RuntimeError(f"{WAYS[key].name} gave φ of shape {found.shape}, not {expected} and finite")
        return said

    return run
