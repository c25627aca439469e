"""φ(x_σ) = E_z[ā(x + σz)]: taps read over images, noise levels and noise draws."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit import images as image_sources
from probekit import labels
from probekit.capture.hooks import editing, observing, reduction, setting
from probekit.capture.sites import Site, Visit, network_of, resolve, survey
from probekit.checks import whole
from probekit.denoising.denoiser import as_denoiser, clean_range, settings_shown
from probekit.denoising.inputs import check_batch, first
from probekit.errors import InputError, TapError
from probekit.images import ImageSet
from probekit.machine.memory import available_bytes, refuse_if_too_large
from probekit.machine.modes import evaluating
from probekit.machine.weights import WeightsHash
from probekit.noise import SOURCE, SOURCE_DEVICE
from probekit.phi.averages import clean_and_noise, noise_levels
from probekit.phi.measure import Job
from probekit.phi.store import planned

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float
    from torch import Tensor, nn

    from probekit.capture.hooks import Reduction

__all__ = ["Tap", "tap"]

# Elements of the largest activation in a batch: what a CPU's caches like, and what keeps a large GPU busy.
BATCH_ELEMENTS, BATCH_ELEMENTS_GPU = 2**22, 2**27
MAX_BATCH = 1024
# A forward pass that keeps no gradients holds a few activations at a time: input, output, skips.
LIVE_ACTIVATIONS = 6
REST_ID = "rest"


def tap(model: nn.Module, *names: str, reduce: str | Reduction = "mean") -> Tap:
    """Name places in a network, to be read as labelled arrays.

    Parameters
    ----------
    model
        A `probekit.Denoiser`, or a network: one whose ``forward`` takes ``(y, sigma)`` is used as it
        is, any other is taken as blind and predicting the clean image. It is not changed.
    names
        Aliases that the network declares (``tap_aliases``), such as "mid"; else exact module paths,
        with ``@k`` for the k-th call (from 0) of a module called several times in one pass and
        ``[i]`` for an item of a tuple or mapping output, e.g. "decoder.1@0[1]". On a network that
        declares no "mid", "mid" is found by trying one tiny image: the last block at the coarsest
        resolution.
    reduce
        What is made of a map (H, W): "mean" (the paper's), "max", "std", "energy" (mean of
        squares), or a function from maps (N, C, H, W) to (N, K).

    Returns
    -------
    Tap

    Raises
    ------
    TapError
        If a name is unknown, ambiguous or given twice, or the network is compiled or DataParallel.
    InputError
        If `reduce` is unknown.

    Examples
    --------
    >>> from probekit.models.unet import UNet
    >>> model = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    >>> data = tap(model, "enc1", "mid")(np.random.rand(2, 3, 8, 8), sigma=[0.1, 0.3], draws=4)
    >>> dict(data.phi.sizes)
    {'image': 2, 'sigma': 2, 'channel': 12}
    >>> data.tap.values[[0, -1]].tolist()
    ['enc1', 'mid']
    """
    denoiser = as_denoiser(model)
    name = reduce if isinstance(reduce, str) else getattr(reduce, "__qualname__", type(reduce).__name__)
    return Tap(denoiser, resolve(denoiser, names), reduction(reduce), name)


class Tap:
    """Named places in a denoiser; made by `probekit.tap`.

    Hooks exist only during a call. After any call, finished or failed, the network is as it was:
    hooks, training mode, ``requires_grad``, device, outputs. Calls run in evaluation mode.

    Attributes
    ----------
    denoiser : nn.Module
        What is called with (y, sigma).
    names : tuple[str, ...]
        What results call the taps.
    paths : dict[str, str]
        Module path of each tap.
    """

    def __init__(self, denoiser: nn.Module, sites: tuple[Site, ...], reduce: Reduction, reduce_name: str) -> None:
        self.denoiser = denoiser
        self.names = tuple(site.name for site in sites)
        self.paths = {site.name: site.path for site in sites}
        self._sites = sites
        self._reduce = reduce
        self._reduce_name = reduce_name
        self._network = network_of(denoiser)
        self._weights_sha256 = WeightsHash(self._network)
        self._surveyed: dict[tuple[int | str, ...], list[Visit]] = {}

    def __repr__(self) -> str:
        return f"tap({self._name}, {', '.join(map(repr, self.names))}, reduce={self._reduce_name!r})"

    def __call__(
        self,
        images: Any,
        *,
        sigma: float | Sequence[float],
        draws: int = 10,
        seed: int = 0,
        ids: Sequence[Any] | None = None,
        batch_size: int | None = None,
        keep_draws: bool = False,
        store: str | Path | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """The representation φ(x_σ) = E_z[ā(x + σz)] of images (arXiv:2506.01912).

        The same image id, draw and seed give the same z, whatever the batch, the order or the other
        images; one z serves all σ, so errors are correlated along σ.

        Parameters
        ----------
        images
            Clean images: anything that `probekit.images.load` takes.
        sigma
            Noise standard deviations in intensity units, ≥ 0 and each once; one number or several.
        draws
            Noise draws z to average over, ≥ 1. At σ = 0 nothing is random and one pass is made.
        seed
            Of the noise.
        ids
            Image ids, unique; they name the results and address the noise. Default: the source's.
        batch_size
            Noisy images in one forward pass; by default from the size of the activations.
        keep_draws
            Whether to return each draw too, as ``phi_draws``.
        store
            Folder of a Zarr store to stream results to, for sets whose results do not fit in memory
            or take long. If it exists, it must have been begun with the same arguments, and what it
            lacks is done: a call that was killed is finished by making it again.
        progress
            Whether to show a progress bar; by default only in a terminal.

        Returns
        -------
        Dataset
            float32 variables ``phi``, ``phi_se`` (image, sigma, channel), ``rest``, ``rest_se``
            (sigma, channel), and on request ``phi_draws`` (image, sigma, draw, channel). ``phi_se``
            is the standard error over draws: NaN for one draw, 0 at σ = 0. ``rest`` is the same for
            a constant image in the middle of the denoiser's range: what there is without an image.
            With `store` the numbers are the same, and are read from disk when they are used.

        Raises
        ------
        InputError
            If images, σ, draws or ids cannot be used, or the store was begun with another plan.
        TapError
            If a tap does not fire, fires more than once without ``@k``, or gives no map.
        CapacityError
            If results or a batch would not fit in memory, or the store cannot be written.
        """
        source = self._source(images, ids)
        levels = noise_levels(sigma)
        whole("draws", draws, least=1)
        visits = self._survey(source.shape)
        per_image = _work_bytes(visits, self._place().dtype)
        given = batch_size
        if given is None and store is not None:
            # A store is finished with the batch size that it was begun with.
            given = planned(store, "batch_size")
        size = self._batch_size(given, visits, per_image, len(source) * draws)
        job = Job(
            reading=lambda: self._observed(self._reduce),
            source=source,
            rest=self._rest_image(source.shape),
            levels=levels,
            draws=draws,
            seed=seed,
            keep_draws=keep_draws,
            batch=size,
            batch_bytes=size * per_image,
            channels=self._widths(visits),
            place=self._place(),
            attrs=self._provenance(self._reduce_name, draws, seed, source),
            progress=progress,
        )
        return job.in_memory() if store is None else job.into_store(store)

    def maps(
        self,
        images: Any,
        *,
        sigma: float | Sequence[float],
        draw: int = 0,
        seed: int = 0,
        ids: Sequence[Any] | None = None,
        batch_size: int | None = None,
    ) -> xr.DataArray:
        """Whole activation maps of one noise draw, at one tap.

        Parameters
        ----------
        images, sigma, seed, ids, batch_size
            As for calling the tap.
        draw
            Which noise draw, ≥ 0.

        Returns
        -------
        DataArray
            float32, dims (image, sigma, channel, row, col).

        Raises
        ------
        TapError
            If there are several taps, whose maps may differ in size; and as for calling the tap.
        InputError, CapacityError
            As for calling the tap.
        """
        site = self._only("maps are read")
        source = self._source(images, ids)
        levels = noise_levels(sigma)
        whole("draw", draw, least=0)
        visits = self._survey(source.shape)
        shape = self._output_shape(site, visits)
        if len(shape) != 4:
            raise TapError(f"tap {site.name!r} gives shape {shape}, which is no map (N, C, H, W): tap another module")
        per_image = _work_bytes(visits, self._place().dtype)
        size = self._batch_size(batch_size, visits, per_image, len(source))
        refuse_if_too_large(
            4 * len(source) * len(levels) * math.prod(shape[1:]),
            size * per_image,
            device=self._place().device,
            hint="give fewer images or noise levels at a time, or a smaller batch_size",
        )
        values = np.empty((len(source), len(levels), *shape[1:]), np.float32)
        # A copy, since on a CPU the map shares the memory that the network may go on to change.
        with self._observed(lambda a: a.detach().clone()) as read:
            for start in range(0, len(source), size):
                chosen = range(start, min(start + size, len(source)))
                x, z = clean_and_noise(source, chosen, [draw] * len(chosen), seed=seed, place=self._place())
                for s, level in enumerate(levels):
                    values[chosen, s] = read(x + level * z, level)[0].float().cpu().numpy()
        return labels.activation_maps(
            values,
            ids=source.ids,
            labels=source.labels,
            sigma=levels,
            tap=site.name,
            attrs=self._provenance("none", 1, seed, source) | {"draw": draw},
        )

    def features(
        self, y: Float[Tensor, "n band row col"], sigma: Any = None, **conditions: Any
    ) -> Float[Tensor, "n channel"]:
        """Reduced activations of noisy images as a tensor through which gradients flow back to `y`.

        The pass stops at the last tap, so neither it nor its gradient touches the rest of the network.

        Parameters
        ----------
        y
            Noisy images, float (N, C, H, W), of the network's type and on its device.
        sigma
            Their noise level, a number or (N,), where the denoiser needs it.
        conditions
            What else the network takes, by name; passed through unchanged.

        Returns
        -------
        Tensor
            (N, channels of all taps, in order), on the device of `y`.

        Raises
        ------
        InputError, TapError
            As for calling the tap.
        """
        check_batch(y, self._network)
        # One image stands for a batch, but which inputs belong to which image only the network knows.
        count = len(y) if conditions else 1
        self._survey(tuple(y.shape[1:]), first(sigma, count, of=len(y)), count, conditions)
        with evaluating(self.denoiser), observing(self._network, self._sites, self._reduce) as run:
            return torch.cat(run(lambda: self.denoiser(y, sigma, **conditions)), dim=1)

    def ablate(self, channels: int | Sequence[int]) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are 0 in every forward pass of the network."""
        return self.edit(setting(channels, lambda _: 0.0))

    def scale(self, channels: int | Sequence[int], factor: float) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are multiplied by `factor` in every forward pass."""
        return self.edit(setting(channels, lambda a: a * factor))

    def replace(self, channels: int | Sequence[int], value: Any) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are `value` in every forward pass.

        `value` is a number, or a tensor that broadcasts to (N, channels given, H, W).
        """
        return self.edit(setting(channels, lambda _: value))

    def edit(self, function: Callable[[Tensor], Tensor]) -> AbstractContextManager[None]:
        """A context in which every forward pass goes on with ``function(map)`` in place of the tap's map.

        Parameters
        ----------
        function
            From maps (N, C, H, W) to maps of the same shape; it must not change its argument.

        Returns
        -------
        context manager
            Edits nest, in the order in which they are entered; a tap read inside sees the edited map.

        Raises
        ------
        TapError
            If there are several taps; on a forward pass, if a channel does not exist or the shape changes.
        """
        return editing(self._network, self._only("edits are made"), function)

    def _only(self, what: str) -> Site:
        site, *others = self._sites
        if others:
            raise TapError(f"{what} at one tap at a time, not at {', '.join(self.names)}: make a tap for each")
        return site

    @property
    def _name(self) -> str:
        return str(getattr(self.denoiser, "name", type(self.denoiser).__name__))

    def _place(self) -> Tensor:
        """A tensor of the type and on the device in which the network computes."""
        return next(self._network.parameters(), torch.zeros(()))

    @contextmanager
    def _observed(self, read: Callable[[Tensor], Tensor]) -> Iterator[Callable[[Tensor, float], list[Tensor]]]:
        """A function (noisy batch, σ) → what `read` makes of each tap's output, while the block runs."""
        with torch.no_grad(), evaluating(self.denoiser), observing(self._network, self._sites, read) as run:
            yield lambda y, level: run(lambda: self.denoiser(y, level))

    def _survey(
        self, shape: tuple[int, ...], sigma: Any = 0.5, count: int = 1, conditions: Mapping[str, Any] | None = None
    ) -> list[Visit]:
        """The calls up to the last tap in a pass of images of this shape; taps must each fire once."""
        conditions = conditions or {}
        case = (*shape, *sorted(conditions))
        if case not in self._surveyed:
            place = self._place()
            y = torch.zeros((count, *shape), dtype=place.dtype, device=place.device)
            visits = survey(self.denoiser, y, sigma, **conditions)
            ends = [self._visited(site, visits) for site in self._sites]
            self._surveyed[case] = visits[: max(ends, default=0) + 1]
        return self._surveyed[case]

    def _visited(self, site: Site, visits: list[Visit]) -> int:
        """Position among the visits of the call that the site names."""
        module = self._network.get_submodule(site.path)
        calls = [i for i, v in enumerate(visits) if v.module is module]
        if not calls:
            raise TapError(
                f"tap {site.name!r} did not fire: {site.path} is not called in a forward pass; "
                "probekit.taps lists what is"
            )
        if len(calls) > 1 and site.call is None:
            raise TapError(
                f"{site.path!r} is called {len(calls)} times in one forward pass: say which, "
                f'"{site.path}@0" to "{site.path}@{len(calls) - 1}"'
            )
        if (site.call or 0) >= len(calls):
            raise TapError(f"tap {site.name!r}: {site.path} is called {len(calls)} times, counted from @0")
        return calls[site.call or 0]

    def _output_shape(self, site: Site, visits: list[Visit]) -> tuple[int, ...]:
        visit = visits[self._visited(site, visits)]
        if site.item not in visit.shapes:
            raise TapError(site.missing(visit.output, list(visit.shapes)))
        return visit.shapes[site.item]

    def _widths(self, visits: list[Visit]) -> dict[str, int]:
        """Number of values that each tap gives."""
        shapes = {site.name: self._output_shape(site, visits) for site in self._sites}
        return {name: self._reduce(torch.zeros(shape)).shape[1] for name, shape in shapes.items()}

    def _batch_size(self, given: int | None, visits: list[Visit], per_image: int, count: int) -> int:
        if given is not None:
            whole("batch_size", given, least=1)
            return given
        largest = max((math.prod(s) for v in visits for s in v.shapes.values()), default=1)
        elements = BATCH_ELEMENTS if self._place().device.type == "cpu" else BATCH_ELEMENTS_GPU
        size = min(count, MAX_BATCH, max(1, elements // largest))
        free = available_bytes(self._place().device)
        return size if free is None else max(1, min(size, free // (2 * per_image)))

    def _source(self, images: Any, ids: Sequence[Any] | None) -> ImageSet:
        """The images as a set of the network's channels that warns once of values outside the denoiser's range."""
        source = image_sources.load(images, ids=ids)
        expected = getattr(self._network, "image_channels", None)
        if isinstance(expected, int) and expected != source.shape[0]:
            raise InputError(
                f"the network takes images of {expected} channels and {source.name} has {source.shape[0]} "
                f"(shape {source.shape}): convert the images; channels come first, (C, H, W)"
            )
        bounds = clean_range(self.denoiser)
        return source if bounds is None else _watched(source, bounds, self._name)

    def _rest_image(self, shape: tuple[int, int, int]) -> ImageSet:
        bounds = clean_range(self.denoiser)
        middle = 0.0 if bounds is None else (bounds[0] + bounds[1]) / 2
        return image_sources.load(torch.full((1, *shape), middle), ids=[REST_ID])

    def _provenance(self, reduce: str, draws: int, seed: int, source: ImageSet) -> dict[str, str | int | float]:
        return labels.provenance(
            denoiser=self._name,
            settings=settings_shown(self.denoiser),
            weights_sha256=self._weights_sha256(),
            taps=self.paths,
            reduce=reduce,
            draws=draws,
            seed=seed,
            noise=SOURCE if self._place().device.type == "cpu" else SOURCE_DEVICE,
            images=source.name,
        )


def _watched(source: ImageSet, bounds: tuple[float, float], name: str) -> ImageSet:
    slack = 0.01 * (bounds[1] - bounds[0])
    warned = False

    def read(indices: Sequence[int]) -> Tensor:
        nonlocal warned
        batch = source.read(indices)
        low, high = float(batch.min()), float(batch.max())
        if not warned and (low < bounds[0] - slack or high > bounds[1] + slack):
            warned = True
            warnings.warn(
                f"images of {source.name} reach from {low:.3g} to {high:.3g}, and clean images for {name} "
                f"are {bounds[0]} to {bounds[1]}: rescale them, or declare Denoiser(model, data_range=None)",
                stacklevel=2,
            )
        return batch

    return replace(source, _read=read)


def _work_bytes(visits: list[Visit], dtype: torch.dtype) -> int:
    """About what one image takes of memory in a pass without gradients."""
    largest = max((math.prod(s) for v in visits for s in v.shapes.values()), default=1)
    return LIVE_ACTIVATIONS * largest * dtype.itemsize
