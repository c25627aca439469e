"""A set of images measured: φ into memory, or unit by unit into a store; whole maps of one draw."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit import images as image_sources
from probekit import labels
from probekit.capture.reductions import real_map
from probekit.checks import attribute, plain, whole
from probekit.denoising.denoiser import clean_range
from probekit.errors import InputError
from probekit.machine.memory import available_bytes, refuse_if_too_large, spoken
from probekit.machine.progress import Bar, bar, spoken_time
from probekit.phi import store
from probekit.phi.averages import Average, Noising, averaged, clean_and_noise, noisy_batches
from probekit.phi.precision import Computation

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor, nn

    from probekit.capture.observer import Observer, Reach
    from probekit.denoising.conditions import Conditions
    from probekit.images import ImageSet

    Read = Callable[[Tensor, float, Mapping[str, Any]], list[Tensor]]
    Observed = Callable[..., AbstractContextManager[Read]]

__all__ = ["Estimate", "Measurement", "batch_size_for", "busy_batch", "images_for", "maps_of_one_draw", "rest_image"]

LOG = logging.getLogger("probekit")
# Elements of the largest activation in a batch: what a CPU's caches like, and what keeps a large GPU busy.
BATCH_ELEMENTS, BATCH_ELEMENTS_GPU = 2**22, 2**27
MAX_BATCH = 1024
# Sizes of batches beyond any memory.
MOST_AT_ONCE = 2**31
REST_ID = "rest"
ESTIMATED_SECONDS = 2.0
# Attributes that decide no number: the images' content and ids do, wherever they come from.
NOTED = ("probekit_version", "image_source")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a measurement would cost.

    Attributes
    ----------
    images : int
        Number of images.
    noisy_images : int
        Noisy versions of them, and of the constant image, that the network is given.
    seconds : float
        Time that these take, from the speed of the first few on an otherwise idle machine.
    result_bytes : int
        Size of the results, in memory or, before compression, on disk.
    store_memory_bytes : int
        About what is in memory at a time while results go to a store.
    batch_size : int
        Noisy images in one forward pass.
    device : str
        Where the network computes.
    """

    images: int
    noisy_images: int
    seconds: float
    result_bytes: int
    store_memory_bytes: int
    batch_size: int
    device: str

    def __str__(self) -> str:
        return (
            f"{self.images:,} images, {self.noisy_images:,} noisy ones, {self.batch_size} in a pass, on {self.device}: "
            f"about {spoken_time(self.seconds)}; {spoken(self.result_bytes)} of results, and "
            f"{spoken(self.store_memory_bytes)} of memory where they go to a store"
        )


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What is to be measured, of which images, how.

    Attributes
    ----------
    observed : callable
        Opens the hooks, given the precision at each σ, whether images lie channels last, how many at most are in a pass
        and who is told of each; gives a function (noisy images, σ, conditions) → values at each tap, (n, channels).
    source, rest : ImageSet
        The images, and the constant one.
    conditions : Conditions
        What else the network is given of each image; of the constant one in rotation, draw d what the d-th image has.
    noising : Noising
        Noise levels, draws, and noisy images in one forward pass.
    keep_draws : bool
        Whether draws are kept.
    batch_bytes : int
        About what one such pass needs on the device.
    channels : Mapping[str, int]
        Number of values of each tap.
    place : Tensor
        A tensor of the type and on the device in which the network computes.
    attrs : Mapping[str, str | int | float]
        Provenance.
    identity : callable
        Gives what tells the network and the reduction apart from others, beside the weights.
    progress : bool or None
        Show a bar, show none, or show one in a terminal only.
    computation : Computation
        How passes are computed.
    """

    observed: Observed
    source: ImageSet
    rest: ImageSet
    conditions: Conditions
    noising: Noising
    keep_draws: bool
    batch_bytes: int
    channels: Mapping[str, int]
    place: Tensor
    attrs: Mapping[str, str | int | float]
    identity: Callable[[], Mapping[str, Any]]
    progress: bool | None
    computation: Computation = field(default_factory=Computation)

    def computed_as(self, computation: Computation) -> Measurement:
        """The same, computed in another way."""
        return replace(self, computation=computation, attrs={**self.attrs, **computation.attrs})

    def reading(self, bar: Bar | None = None) -> AbstractContextManager[Read]:
        """The hooks opened, for passes as they are computed here; a bar is told of each."""
        how = self.computation
        return self.observed(
            how.at, channels_last=how.channels_last, batch=self.noising.batch, done=(bar or Bar()).update
        )

    def in_memory(self) -> xr.Dataset:
        """Measure everything and return it."""
        count = len(self.source)
        self._refuse(
            count, "give fewer images or noise levels at a time, keep_draws=False, a smaller batch_size, or store="
        )
        arrays = self._empty(count)
        total = count * self.noising.versions + self._rest_noising.versions
        with self.bar(total) as bar, self.reading(bar) as read:
            arrays |= self.rest_of(read)
            for part in self.averages(read, self.source, self.noising):
                _put(arrays, part, 0)
        return self._labelled(arrays)

    def unit_of(self, read: Read, positions: range) -> dict[str, np.ndarray]:
        """What a store keeps of the images at these positions, measured."""
        arrays = self._empty(len(positions))
        for part in self.averages(read, self.source, self.noising, positions):
            _put(arrays, part, positions.start)
        return arrays

    @property
    def unit(self) -> int:
        """Images in a unit of a store."""
        together = self.noising.together(self.source)
        return store.unit_size(len(self.source), together, self._result_bytes(1), self.noising.versions)

    def refuse_unit(self) -> None:
        """Refuse units that would not fit in memory.

        Raises
        ------
        CapacityError
            Saying what would make them smaller.
        """
        self._refuse(self.unit, "give fewer noise levels at a time, keep_draws=False, or a smaller batch_size")

    def draws(self) -> np.ndarray:
        """Every draw of every image, (image, sigma, draw, channel), where draws are kept."""
        count = len(self.source)
        self._refuse(count, "give a number of draws, or fewer noise levels or taps at a time")
        arrays = self._empty(count)
        with self.bar(count * self.noising.versions) as bar, self.reading(bar) as read:
            for part in self.averages(read, self.source, self.noising):
                _put(arrays, part, 0)
        return arrays["phi_draws"]

    def rest_draws(self) -> np.ndarray:
        """Every draw of the constant image, (1, sigma, draw, channel)."""
        with self.reading() as read:
            return next(self.averages(read, self.rest, self._rest_noising)).phi_draws

    def logged(self, *, given: bool, to_the_end: bool) -> Measurement:
        """The measurement itself, once the log says how it will be made."""
        LOG.info(
            "φ of %d images at %d noise levels, %d draws: %d noisy images in one forward pass (%s), which %s, in "
            "evaluation mode, on %s in %s",
            len(self.source),
            len(self.noising.levels),
            self.noising.draws,
            self.noising.batch,
            "as given or begun with" if given else "chosen",
            "goes to its end" if to_the_end else "stops at the last tap",
            self.place.device,
            self.place.dtype,
        )
        if "precision_asked" in self.attrs:
            LOG.info(
                "layers multiply in %s, %.2f times as fast as in float32, φ off by %.2g of phi_se: %s",
                *(self.attrs[f"precision{part}"] for part in ("", "_gain", "_error", "_trial")),
            )
        return self

    def estimate(self) -> Estimate:
        """What measuring would cost: a few whole groups of images are measured, for about two seconds."""
        self._refuse(1, "give fewer noise levels at a time, keep_draws=False, or a smaller batch_size")
        count = len(self.source)
        rest = self._rest_noising.versions
        with self.reading() as read:
            next(self.averages(read, self.rest, replace(self._rest_noising, draws=1)))  # warms up
            start, measured = time.perf_counter(), 0
            for part in self.averages(read, self.source, self.noising):
                measured += len(part.positions) * self.noising.versions
                if time.perf_counter() - start > ESTIMATED_SECONDS:
                    break
            seconds = time.perf_counter() - start
        passes = count * self.noising.versions + rest
        return Estimate(
            images=count,
            noisy_images=passes,
            seconds=seconds / measured * passes,
            result_bytes=self._result_bytes(count),
            store_memory_bytes=self._result_bytes(min(self.unit, count)) + self.batch_bytes,
            batch_size=self.noising.batch,
            device=str(self.place.device),
        )

    def plan(self) -> dict[str, Any]:
        """Whatever decides the numbers and how they are labelled."""
        labelled = self.source.labels
        return {
            **{k: v for k, v in self.attrs.items() if k not in (*NOTED, *self.computation.attrs)},
            **self.computation.plan,
            **self.identity(),
            "sigma": list(self.noising.levels),
            "keep_draws": self.keep_draws,
            "image_shape": list(self.source.shape),
            "image_preparation": self.source.preparation,
            "images_sha256": self.source.fingerprint(),
            "labels_sha256": "none" if labelled is None else store.digest(labelled),
            "batch_size": self.noising.batch,
            "dtype": str(self.place.dtype),
            "device": self.place.device.type,
            **{f"condition {name!r}": sha256 for name, sha256 in self.conditions.fingerprints().items()},
        }

    def template(self) -> xr.Dataset:
        """The Dataset of all images before any is measured, and the constant image measured."""
        with self.bar(self._rest_noising.versions) as bar, self.reading(bar) as read:
            rest = self.rest_of(read)
        # Views of one number: a template of any size takes no memory.
        nan = np.float32("nan")
        empty = {name: np.broadcast_to(nan, shape) for name, shape in self._shapes(len(self.source)).items()}
        return self._labelled(empty | rest)

    def _labelled(self, arrays: Mapping[str, np.ndarray]) -> xr.Dataset:
        return labels.representation(
            arrays,
            ids=self.source.ids,
            labels=self.source.labels,
            sigma=self.noising.levels,
            channels=self.channels,
            attrs=self.attrs,
        )

    @property
    def _rest_noising(self) -> Noising:
        """How the constant image is looked at: if images have conditions of their own, under one of these a draw."""
        return replace(self.noising, rotating=self.conditions.vary)

    def averages(
        self, read: Read, source: ImageSet, noising: Noising, positions: range | None = None
    ) -> Iterator[Average]:
        """Averages over draws, a few images at a time."""

        def values() -> Iterator[tuple[Any, list[Tensor]]]:
            batches = noisy_batches(source, noising, place=self.place, conditions=self.conditions, positions=positions)
            for batch in batches:
                taps = read(batch.y, noising.levels[batch.level], batch.conditions)
                yield batch, taps

        return averaged(values(), noising)

    def rest_of(self, read: Read) -> dict[str, np.ndarray]:
        """The constant image measured."""
        average = next(self.averages(read, self.rest, self._rest_noising))
        return {"rest": average.phi[0], "rest_se": average.phi_se[0]}

    def _shapes(self, count: int) -> dict[str, tuple[int, ...]]:
        grid = (count, len(self.noising.levels), sum(self.channels.values()))
        kept = {"phi_draws": (*grid[:2], self.noising.draws, grid[2])} if self.keep_draws else {}
        return {"phi": grid, "phi_se": grid, **kept}

    def _empty(self, count: int) -> dict[str, np.ndarray]:
        return {name: np.empty(shape, np.float32) for name, shape in self._shapes(count).items()}

    def _result_bytes(self, count: int) -> int:
        return 4 * sum(map(math.prod, self._shapes(count).values()))

    def _refuse(self, count: int, hint: str) -> None:
        refuse_if_too_large(self._result_bytes(count), self.batch_bytes, device=self.place.device, hint=hint)

    def bar(self, total: int) -> Bar:
        """What shows how far work has come, of so many noisy images."""
        names = list(self.channels)
        where = ", ".join(names) if len(names) <= 3 else f"{len(names)} taps"
        return bar(total, "img", self.progress, f"φ at {where}")


def maps_of_one_draw(
    observer: Observer,
    source: ImageSet,
    conditions: Conditions,
    levels: Sequence[float],
    reached: Reach,
    *,
    draw: int,
    seed: int,
    batch: int,
) -> np.ndarray:
    """Activation maps (image, sigma, channel, row, col) of one noisy version of each image, float32.

    Raises
    ------
    TapError
        If they are complex.
    CapacityError
        If they, or a batch, would not fit in memory.
    """
    shape = reached.shape(observer.only("maps are read"))[1:]
    refuse_if_too_large(
        4 * len(source) * len(levels) * math.prod(shape),
        batch * observer.image_bytes(reached),
        device=observer.place.device,
        hint="give fewer images or noise levels at a time, or a smaller batch_size",
    )
    values = np.empty((len(source), len(levels), *shape), np.float32)
    with observer.reading(real_map, plain=True) as read:
        for start in range(0, len(source), batch):
            chosen = range(start, min(start + batch, len(source)))
            x, z = clean_and_noise(source, chosen, [draw] * len(chosen), seed=seed, place=observer.place)
            given = conditions.at(chosen, observer.place)
            for s, level in enumerate(levels):
                values[chosen, s] = read(x + level * z, level, given)[0].float().cpu().numpy()
    return values


def batch_size_for(observer: Observer, reached: Reach, count: int, *, given: int | None = None) -> int:
    """Noisy images in one forward pass: what is given, else as many as keep the device busy and fit.

    Raises
    ------
    InputError
        If what is given is no whole number ≥ 1.
    """
    if given is not None:
        return whole("batch_size", given, least=1, most=MOST_AT_ONCE)
    device = observer.place.device
    size = min(count, busy_batch(reached.largest, device))
    free = available_bytes(device)
    return size if free is None else max(1, min(size, free // (2 * observer.image_bytes(reached))))


def busy_batch(largest: int, device: torch.device) -> int:
    """Images that keep a device busy, of which the largest activation has so many elements."""
    elements = BATCH_ELEMENTS if device.type == "cpu" else BATCH_ELEMENTS_GPU
    return min(MAX_BATCH, max(1, elements // largest))


def images_for(observer: Observer, images: Any, ids: Sequence[Any] | None) -> ImageSet:
    """The images as a set of the network's channels that warns once of values outside the denoiser's range.

    Raises
    ------
    InputError
        If they have another number of channels, or are no images.
    """
    source = image_sources.load(images, ids=ids)
    expected = plain(attribute(observer.network, "image_channels"))
    if isinstance(expected, int) and expected != source.shape[0]:
        raise InputError(
            f"the network takes images of {expected} channels and {source.name} has {source.shape[0]} "
            f"(shape {source.shape}): convert the images; channels come first, (C, H, W)"
        )
    bounds = clean_range(observer.denoiser)
    return source if bounds is None else source.watched(_WarnOnce(source.name, bounds, observer.name))


def rest_image(denoiser: nn.Module, shape: tuple[int, int, int]) -> ImageSet:
    """One constant image in the middle of the denoiser's range: what there is without an image."""
    bounds = clean_range(denoiser)
    middle = 0.0 if bounds is None else (bounds[0] + bounds[1]) / 2
    return image_sources.load(torch.full((1, *shape), middle), ids=[REST_ID])


class _WarnOnce:
    """Looks at batches of images, and warns of the first that leaves the range of clean images."""

    def __init__(self, source: str, bounds: tuple[float, float], denoiser: str) -> None:
        self.source, self.bounds, self.denoiser = source, bounds, denoiser
        self.warned = False

    def __call__(self, batch: Tensor) -> None:
        if self.warned:
            return
        lowest, highest = self.bounds
        slack = 0.01 * (highest - lowest)
        low, high = map(float, torch.aminmax(batch))
        if low < lowest - slack or high > highest + slack:
            self.warned = True
            warnings.warn(
                f"images of {self.source} reach from {low:.3g} to {high:.3g}, and clean images for {self.denoiser} "
                f"are {lowest} to {highest}: rescale them, or declare Denoiser(model, data_range=None)",
                stacklevel=3,
            )


def _put(arrays: Mapping[str, np.ndarray], part: Average, start: int) -> None:
    chosen = slice(part.positions.start - start, part.positions.stop - start)
    for name in ("phi", "phi_se", "phi_draws"):
        if name in arrays:
            arrays[name][chosen] = getattr(part, name)
