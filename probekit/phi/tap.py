"""φ(x_σ) = E_z[ā(x + σz)]: taps read over images, noise levels and noise draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit import labels
from probekit.capture.hooks import editing, setting
from probekit.capture.names import TapPoint, resolve
from probekit.capture.observer import Observer, Reach
from probekit.capture.reductions import reduction
from probekit.checks import flag, given, noise_levels, number, whole
from probekit.denoising.denoiser import as_denoiser, settings_shown
from probekit.denoising.inputs import check_batch, first
from probekit.errors import InputError, TapError
from probekit.noise import SOURCE, SOURCE_DEVICE
from probekit.phi.averages import Noising
from probekit.phi.measure import Measurement, batch_size_for, images_for, maps_of_one_draw, rest_image
from probekit.phi.store import planned

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float
    from torch import Tensor, nn

    from probekit.capture.reductions import Reduction
    from probekit.images import ImageSet

__all__ = ["Tap", "tap"]


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
        What is made of a map a (H, W): "mean" (the paper's, of a map after a ReLU), "relu_mean" (mean of
        max(a, 0): the same where the ReLU comes later or is none), "max", "std", "energy" (mean of a²), or a
        function from maps (N, C, H, W) to real numbers (N, K). All are in units of the activation, energy in their
        square. Complex maps have "energy", mean |a|², and "std", the root of mean |a − mean a|².

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
    >>> data = tap(model, "enc1", "mid")(torch.rand(2, 3, 8, 8), sigma=[0.1, 0.3], draws=4)
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

    def __init__(self, denoiser: nn.Module, points: tuple[TapPoint, ...], reduce: Reduction, reduce_name: str) -> None:
        self.denoiser = denoiser
        self.names = tuple(point.name for point in points)
        self.paths = {point.name: point.path for point in points}
        self._observer = Observer(denoiser, points)
        self._reduce = reduce
        self._reduce_name = reduce_name

    def __repr__(self) -> str:
        return f"tap({self._observer.name}, {', '.join(map(repr, self.names))}, reduce={self._reduce_name!r})"

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
            With `store` the numbers are the same, and are read from disk when they are used. Where a map
            holds NaN or infinities, so does what is made of it: that channel of that image, and no other.

        Raises
        ------
        InputError
            If images, σ, draws or ids cannot be used, or the store was begun with another plan.
        TapError
            If a tap does not fire, fires more than once without ``@k``, or gives no map.
        CapacityError
            If results or a batch would not fit in memory, or the store cannot be written.
        """
        draws, seed = whole("draws", draws, least=1), whole("seed", seed)
        source, levels, reached = self._prepared(images, ids, sigma)
        if batch_size is None and store is not None:
            # A store is finished with the batch size that it was begun with.
            batch_size = planned(store, "batch_size")
        batch = batch_size_for(self._observer, reached, len(source) * draws, given=batch_size)
        measurement = Measurement(
            observed=partial(self._observer.reading, self._reduce),
            source=source,
            rest=rest_image(self.denoiser, source.shape),
            noising=Noising(levels, draws, seed, batch),
            keep_draws=flag("keep_draws", keep_draws),
            batch_bytes=batch * self._observer.image_bytes(reached),
            channels=self._observer.widths(reached, self._reduce),
            place=self._observer.place,
            attrs=self._provenance(self._reduce_name, draws, seed, source),
            progress=None if progress is None else flag("progress", progress),
        )
        return measurement.in_memory() if store is None else measurement.into_store(store)

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
            If there are several taps, whose maps may differ in size, or the maps are complex; and as for calling the
            tap.
        InputError, CapacityError
            As for calling the tap.
        """
        point = self._observer.only("maps are read")
        draw, seed = whole("draw", draw, least=0), whole("seed", seed)
        source, levels, reached = self._prepared(images, ids, sigma)
        shape = reached.shape(point)
        if len(shape) != 4:
            raise TapError(f"tap {point.name!r} gives shape {shape}, which is no map (N, C, H, W): tap another module")
        batch = batch_size_for(self._observer, reached, len(source), given=batch_size)
        values = maps_of_one_draw(self._observer, source, levels, reached, draw=draw, seed=seed, batch=batch)
        attrs = self._provenance("none", 1, seed, source) | {"draw": draw}
        return labels.activation_maps(
            values, ids=source.ids, labels=source.labels, sigma=levels, tap=point.name, attrs=attrs
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
        check_batch(y, self._observer.network)
        # One image stands for a batch, but which inputs belong to which image only the network knows.
        count = len(y) if conditions else 1
        self._observer.reach(tuple(y.shape[1:]), first(sigma, count, of=len(y)), count, conditions)
        with self._observer.running(self._reduce) as run:
            return torch.cat(run(lambda: self.denoiser(y, sigma, **conditions)), dim=1)

    def ablate(self, channels: int | Sequence[int]) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are 0 in every forward pass of the network."""
        return self.edit(setting(channels, lambda _: 0.0))

    def scale(self, channels: int | Sequence[int], factor: float) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are multiplied by `factor` in every forward pass."""
        number("factor", factor, "a finite number to multiply the channels by")
        return self.edit(setting(channels, lambda a: a * factor))

    def replace(self, channels: int | Sequence[int], value: Any) -> AbstractContextManager[None]:
        """A context in which these channels of the tap are `value` in every forward pass.

        `value` is a number, or a tensor that broadcasts to (N, channels given, H, W).
        """
        if not isinstance(value, torch.Tensor | np.ndarray):
            number("value", value, "a finite number, or a tensor that broadcasts to (N, channels, H, W)")
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
        InputError
            If `function` cannot be called.
        TapError
            If there are several taps; on a forward pass, if a channel does not exist or the shape changes.
        """
        if not callable(function):
            raise InputError(f"{given('function', function)}: give a function of the tap's maps (N, C, H, W)")
        return editing(self._observer.network, self._observer.only("edits are made"), function)

    def _prepared(self, images: Any, ids: Any, sigma: Any) -> tuple[ImageSet, list[float], Reach]:
        """The images as a set, the noise levels, and how far a pass of such images must go."""
        source = images_for(self._observer, images, ids)
        return source, noise_levels(sigma), self._observer.reach(source.shape)

    def _provenance(self, reduce: str, draws: int, seed: int, source: ImageSet) -> dict[str, str | int | float]:
        return labels.provenance(
            denoiser=self._observer.name,
            settings=settings_shown(self.denoiser),
            weights_sha256=self._observer.weights_sha256(),
            taps=self.paths,
            reduce=reduce,
            draws=draws,
            seed=seed,
            noise=SOURCE if self._observer.place.device.type == "cpu" else SOURCE_DEVICE,
            images=source.name,
        )
