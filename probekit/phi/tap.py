"""φ(x_σ) = E_z[ā(x + σz)]: taps read over images, noise levels and noise draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from probekit import labels
from probekit.capture.names import TapPoint, resolve
from probekit.capture.observer import Observer, Reach
from probekit.capture.reductions import reduction
from probekit.checks import LARGEST_SEED, flag, noise_levels, seeded
from probekit.denoising.blame import first
from probekit.denoising.conditions import conditions_for
from probekit.denoising.denoiser import as_denoiser, settings_shown
from probekit.denoising.inputs import check_batch, check_sigma
from probekit.distribute import as_workers
from probekit.errors import InputError, TapError
from probekit.machine.identity import modules_of, named
from probekit.machine.storage import place
from probekit.machine.weights import UNKNOWN
from probekit.naming import in_a_line
from probekit.naming import named as listed
from probekit.noise import SOURCE, SOURCE_DEVICE
from probekit.phi.averages import Noising
from probekit.phi.edits import Edits
from probekit.phi.job import maker_of, units_of
from probekit.phi.layout import FOLDER
from probekit.phi.measure import Estimate, Measurement, batch_size_for, images_for, maps_of_one_draw, rest_image
from probekit.phi.precision import computed
from probekit.phi.precision import of_plan as precision_of_plan
from probekit.phi.reliability import draws_given, measured_with
from probekit.phi.reliability import of_plan as draws_of_plan
from probekit.phi.store import planned
from probekit.phi.writing import into_store

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client
    from jaxtyping import Float
    from torch import Tensor, nn

    from probekit.capture.reductions import Reduction
    from probekit.denoising.conditions import Conditions
    from probekit.distribute import Workers
    from probekit.images import ImageSet
    from probekit.machine.precision import Asked

__all__ = ["Tap", "tap"]


def tap(model: nn.Module, *names: str | Sequence[str], reduce: str | Reduction = "mean") -> Tap:
    """Name places in a network, to be read as labelled arrays.

    Parameters
    ----------
    model
        A `probekit.Denoiser`, or a network that predicts the clean image: one whose ``forward`` has a
        parameter ``sigma`` is told it, a tensor (N,), any other is taken as blind. It is not changed.
    names
        Aliases that the network declares (``tap_aliases``), such as "mid"; else exact module paths,
        with ``@k`` for the k-th call (from 0) of a module called several times in one pass (``@*``, for
        edits, every call) and ``[i]`` for an item of a tuple, mapping or dataclass output, e.g.
        "decoder.1@0[1]". Also lists of names. On a network that declares no "mid", "mid" is found by
        trying one tiny image, or where none will do when there are images: the last block at the
        coarsest resolution.
    reduce
        What is made of a map a (H, W): "mean" (the paper's, of a map after a ReLU), "relu_mean" (mean of
        max(a, 0): the same where the ReLU comes later or is none), "max", "std", "energy" (mean of a²), or a
        function from maps (N, C, H, W) to real numbers (N, K). All are in units of the activation, energy in their
        square. Complex maps have "energy", mean |a|², and "std", the root of mean |a − mean a|². "mean_inside" and
        so on leave out the outermost ring of positions, which zero padding reaches first; maps are then 3×3 at least.

    Returns
    -------
    Tap

    Raises
    ------
    TapError
        If a name is unknown, ambiguous or given twice, or lies in a scripted part, or the network is
        DataParallel or lazy.
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
    flat: list[Any] = [one for name in names for one in (name if isinstance(name, list | tuple) else [name])]
    return Tap(denoiser, resolve(denoiser, flat), reduce)


class Tap(Edits):
    """Named places in a denoiser; made by `probekit.tap`.

    Hooks exist only during a call. After any call, finished or failed, the network is as it was:
    hooks, training mode, ``requires_grad``, device, outputs. Calls run in evaluation mode.

    Attributes
    ----------
    denoiser : nn.Module
        What is called with (y, sigma).
    names : tuple[str, ...]
        What results call the taps.
    reduce : str or callable
        What is made of their maps, as it was given.
    """

    def __init__(self, denoiser: nn.Module, points: tuple[TapPoint, ...], reduce: str | Reduction) -> None:
        self.denoiser = denoiser
        self.names = tuple(point.name for point in points)
        self._observer = Observer(denoiser, points)
        self._reduce = reduction(reduce)
        self.reduce = reduce

    @property
    def _reduce_name(self) -> str:
        given = self.reduce
        return given if isinstance(given, str) else getattr(given, "__qualname__", type(given).__name__)

    @property
    def paths(self) -> dict[str, str]:
        """Module path of each tap; "" for a "mid" that is found once there are images."""
        return {point.name: point.path for point in self._observer.points}

    def __repr__(self) -> str:
        names, reduce = listed(list(map(repr, self.names))), in_a_line(self._reduce_name)
        return f"tap({in_a_line(self._observer.name)}, {names}, reduce={reduce!r})"

    def _repr_html_(self) -> str:
        from probekit.forms import html_of_tap

        return html_of_tap(self)

    def __call__(
        self,
        images: Any,
        *,
        sigma: float | Sequence[float],
        draws: int | Literal["auto"] = 10,
        seed: int = 0,
        ids: Sequence[Any] | None = None,
        batch_size: int | None = None,
        keep_draws: bool = False,
        store: str | Path | None = None,
        conditions: Mapping[str, Any] | Conditions | None = None,
        precision: Asked = "float32",
        client: Client | Workers | None = None,
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
            Noise draws z to average over, ≥ 1. At σ = 0 nothing is random and one pass is made. "auto" doubles them
            from 4 to at most 64 until squared distances between images are predicted to have a reliability of 0.95 at
            every tap and σ, on at most 256 images; attrs say ``draws_chosen`` and the least ``draws_reliability``.
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
            or take long, or a place that fsspec knows, such as ``s3://bucket/phi.zarr``. If it exists, it must have
            been begun with the same arguments, and what it lacks is done: a call that was killed is finished by making
            it again.
        conditions
            What else the network takes, by the names that its forward has. Each is an array, tensor,
            memory-mapped or Zarr array (image, …), one entry an image in their order; a DataArray
            with dim ``image``, or a mapping, that is matched to the images' ids; or one number,
            string, bool or None for all images. Floats are converted to the network's type, whole
            numbers to int64. A store was begun with the same content.
        precision
            In what convolutions and linear layers of a float32 network multiply. "float32" is exact on every
            device; "bfloat16", "bfloat16x2" (weights as sums of two) and "tf32" (NVIDIA's GPUs) are faster where the
            hardware has them. "auto" tries them for a second or two on some of the images, and takes the fastest whose
            error against float32 is below a tenth of phi_se, level by level (at σ = 0 always float32), and images
            channels last where that is faster and the network makes the same of them. Attrs say ``precision``,
            ``precision_gain`` (times as fast), ``precision_error`` (largest, in phi_se), the same relative to φ
            (``precision_phi_error``, ``precision_phi_se``) and what was tried (``precision_trial``). A store keeps
            what it was begun with.
        client
            With `store`: a ``distributed.Client``, or `probekit.Workers`, whose workers measure; each writes whole
            units, and the same numbers as this process with as many threads. They load the network by what it was
            loaded by here, see `probekit.Workers`, and see the same files.
        progress
            Whether to show a progress bar; by default only in a terminal.

        Returns
        -------
        Dataset
            float32 variables ``phi``, ``phi_se`` (image, sigma, channel), ``rest``, ``rest_se``
            (sigma, channel), and on request ``phi_draws`` (image, sigma, draw, channel). ``phi_se``
            is the standard error over draws: NaN for one draw, 0 at σ = 0. ``rest`` is the same for
            a constant image in the middle of the denoiser's range: what there is without an image;
            where images have conditions of their own, draw d is made under those of image d mod N,
            at σ = 0 too.
            With `store` the numbers are the same, and are read from disk when they are used. Where a map
            holds NaN or infinities, so does what is made of it: that channel of that image, and no other.

        Raises
        ------
        InputError
            If images, σ, draws, ids or conditions cannot be used, or the store was begun with another
            plan.
        TapError
            If a tap does not fire, fires more than once without ``@k``, or gives no map.
        CapacityError
            If results or a batch would not fit in memory, or the store cannot be written.

        Warns
        -----
        RuntimeWarning
            Where draws="auto" does not reach the reliability with the most draws, or the error of a precision that is
            asked for is no longer below a tenth of phi_se.
        """
        workers = as_workers(client)
        if workers is not None and store is None:
            raise InputError("client= needs store=, the folder that workers write to: give the path of one")
        store = None if store is None else place("store", store, FOLDER)
        if batch_size is None and store is not None:
            # A store is finished with the batch size that it was begun with.
            batch_size = planned(store, "batch_size")
        if store is not None:
            draws, precision = draws_of_plan(draws, store), precision_of_plan(precision, store)
        shown = None if progress is None else flag("progress", progress)
        options = {"ids": ids, "batch_size": batch_size, "keep_draws": keep_draws, "conditions": conditions}
        measured = self._measurement(images, sigma, draws, seed, **options)
        measurement = replace(self._computed(measured, precision, batch_given=batch_size is not None), progress=shown)
        if store is None:
            return measurement.in_memory()
        if measurement.attrs["weights_sha256"] == UNKNOWN:
            raise InputError(
                f"weights of {self._observer.name} are on the meta device, so that a store could not tell this network "
                "from another: load them onto a device, or measure without store="
            )
        again = partial(_measured_again, names=self.names, reduce=self.reduce)
        job = None if workers is None else units_of(measurement, maker_of(self.denoiser, workers), again)
        return into_store(measurement, store, workers, job)

    def estimate(
        self,
        images: Any,
        *,
        sigma: float | Sequence[float],
        draws: int | Literal["auto"] = 10,
        ids: Sequence[Any] | None = None,
        batch_size: int | None = None,
        keep_draws: bool = False,
        conditions: Mapping[str, Any] | Conditions | None = None,
        precision: Asked = "float32",
    ) -> Estimate:
        """What calling the tap would cost, in time, memory and disk; a few passes are made and nothing is kept.

        Parameters
        ----------
        images, sigma, draws, ids, batch_size, keep_draws, conditions, precision
            As for calling the tap.

        Returns
        -------
        Estimate

        Raises
        ------
        InputError, TapError, CapacityError
            As for calling the tap.
        """
        options = {"ids": ids, "batch_size": batch_size, "keep_draws": keep_draws, "conditions": conditions}
        measurement = self._measurement(images, sigma, draws, 0, **options)
        return self._computed(measurement, precision, batch_given=batch_size is not None).estimate()

    def maps(
        self,
        images: Any,
        *,
        sigma: float | Sequence[float],
        draw: int = 0,
        seed: int = 0,
        ids: Sequence[Any] | None = None,
        batch_size: int | None = None,
        conditions: Mapping[str, Any] | Conditions | None = None,
    ) -> xr.DataArray:
        """Whole activation maps of one noise draw, at one tap.

        Parameters
        ----------
        images, sigma, seed, ids, batch_size, conditions
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
        draw, seed = seeded(draw, "draw"), seeded(seed, least=-LARGEST_SEED)
        source, given, levels, reached = self._prepared(images, ids, sigma, conditions)
        self._observer.refuse_channels_last(reached)
        shape = reached.shape(point)
        if len(shape) != 4:
            raise TapError(f"tap {point.name!r} gives shape {shape}, which is no map (N, C, H, W): tap another module")
        batch = batch_size_for(self._observer, reached, len(source), given=batch_size)
        values = maps_of_one_draw(self._observer, source, given, levels, reached, draw=draw, seed=seed, batch=batch)
        attrs = self._provenance("none", 1, seed, source, given) | {"draw": draw}
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
        check_sigma(sigma, y)
        # One image stands for a batch, but which inputs belong to which image only the network knows.
        count = len(y) if conditions else 1
        reached = self._observer.reach(tuple(y.shape[1:]), first(sigma, count, of=len(y)), count, conditions)
        if isinstance(self.reduce, str):
            self._observer.refuse_channels_last(reached)
        with self._observer.running(self._reduce) as run:
            return torch.cat(self._observer.of_each(y, run(lambda: self.denoiser(y, sigma, **conditions))), dim=1)

    def _measurement(
        self,
        images: Any,
        sigma: Any,
        draws: Any,
        seed: Any,
        *,
        ids: Any,
        batch_size: Any,
        keep_draws: Any,
        conditions: Any,
    ) -> Measurement:
        draws, seed = draws_given(draws), seeded(seed, least=-LARGEST_SEED)
        source, given, levels, reached = self._prepared(images, ids, sigma, conditions)
        if isinstance(self.reduce, str):
            self._observer.refuse_channels_last(reached)

        def of(count: int) -> Measurement:
            batch = batch_size_for(self._observer, reached, len(source) * count, given=batch_size)
            return Measurement(
                observed=partial(self._observer.reading, self._reduce, plain=isinstance(self.reduce, str)),
                source=source,
                rest=rest_image(self.denoiser, source.shape),
                conditions=given,
                noising=Noising(levels, count, seed, batch),
                keep_draws=flag("keep_draws", keep_draws),
                batch_bytes=batch * self._observer.image_bytes(reached),
                channels=self._observer.widths(reached, self._reduce),
                place=self._observer.place,
                attrs=self._provenance(self._reduce_name, count, seed, source, given),
                identity=self.identity,
                progress=False,
            )

        return measured_with(draws, of)

    def _computed(self, measurement: Measurement, precision: Any, *, batch_given: bool) -> Measurement:
        """The measurement in the precision asked for, once the log says how it will be made."""
        found = computed(measurement, precision, self._observer.network)
        return found.logged(given=batch_given, to_the_end=self._observer.to_the_end)

    def _prepared(
        self, images: Any, ids: Any, sigma: Any, conditions: Any
    ) -> tuple[ImageSet, Conditions, list[float], Reach]:
        """The images as a set, their conditions, the noise levels, and how far a pass of such images must go."""
        source = images_for(self._observer, images, ids)
        known = conditions_for(self.denoiser, conditions, source)
        first_image = known.at([0], self._observer.place)
        levels = noise_levels(sigma)
        # At each level, since a network may go another way there: calls and shapes are seen, or refused.
        reaches = [self._observer.reach(source.shape, level, conditions=first_image) for level in levels]
        for point in self._observer.points:
            shapes = {reach.shape(point)[1:] for reach in reaches}
            if len(shapes) > 1:
                raise TapError(
                    f"tap {point.name!r} gives maps of {len(shapes)} shapes at these noise levels, {sorted(shapes)}: "
                    "measure those of one shape at a time"
                )
        return source, known, levels, reaches[0]

    @property
    def changes(self) -> tuple[str, ...]:
        """Names of what a pass changes in the network, as far as passes were seen: `identity` leaves it out."""
        return self._observer.changes

    def identity(self) -> dict[str, Any]:
        """What tells the network and the reduction apart from others, beside the weights, for results that are kept.

        Returns
        -------
        dict
            ``modules``: class and a hash of code, settings, hooks and edits of every module, by path; ``reduce``: the
            name, of a function with a hash of its code.

        Raises
        ------
        InputError
            If the reduction is a function without a name.
        """
        return {
            "modules": modules_of(self.denoiser, without=self._observer.changes),
            "reduce": self.reduce if isinstance(self.reduce, str) else named(self.reduce),
        }

    def _provenance(
        self, reduce: str, draws: int, seed: int, source: ImageSet, conditions: Conditions
    ) -> dict[str, str | int | float]:
        weights = self._observer.weights_sha256
        attrs = labels.provenance(
            denoiser=self._observer.name,
            settings=settings_shown(self.denoiser),
            weights_sha256=weights(),
            taps=self.paths,
            reduce=reduce,
            draws=draws,
            seed=seed,
            noise=SOURCE if self._observer.place.device.type == "cpu" else SOURCE_DEVICE,
            images=source.name,
        )
        told = {"conditions": ", ".join(conditions.names), "weights_left_out": ", ".join(weights.left_out)}
        return attrs | {name: text for name, text in told.items() if text}


def _measured_again(
    network: nn.Module, names: Sequence[str], reduce: str | Reduction, asked: Sequence[Any], options: Any
) -> Measurement:
    return tap(network, *names, reduce=reduce)._measurement(*asked, **options)
