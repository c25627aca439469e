"""A measurement as workers of a cluster do it: made once more from what can travel, and seen to be the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from probekit.denoising.denoiser import as_denoiser, network_inside
from probekit.distribute import Workers, as_workers
from probekit.errors import InputError
from probekit.models import zoo
from probekit.models.made import is_function, made_by, origin_of, remember
from probekit.phi.writing import unit_writer

if TYPE_CHECKING:
    import torch
    from distributed import Client
    from torch import nn

    from probekit.phi.measure import Measurement
    from probekit.phi.precision import Computation

__all__ = ["UnitsOfPhi", "beside", "made_at", "maker_of", "told_of", "units_of"]


@dataclass(frozen=True)
class UnitsOfPhi:
    """Units of a store of φ, each measured and written by whichever worker is given it.

    Attributes
    ----------
    path : Path
        Of the store, which all workers see.
    plan_sum : str
        Of the store's plan.
    network : callable
        Makes the denoiser.
    device, dtype
        Where it computes, "cpu" or another kind, and of what type its numbers are.
    measured : callable
        Makes of the denoiser what is measured.
    computation : Computation
        How passes are computed.
    """

    path: Path
    plan_sum: str
    _: KW_ONLY
    network: Callable[[], nn.Module]
    device: str
    dtype: torch.dtype
    measured: Callable[[nn.Module], Measurement]
    computation: Computation

    def ready(self) -> Callable[[range], None]:
        network = made_at(self.network, self.device, self.dtype)
        measurement = replace(self.measured(network).computed_as(self.computation), progress=False)
        return unit_writer(measurement, self.path, self.plan_sum)


def units_of(
    measurement: Measurement, network: Callable[[], nn.Module], measured: Callable[..., Measurement]
) -> Callable[[Path, str], UnitsOfPhi]:
    """What workers do of a measurement, once it is known where the store is and what its plan's sum is.

    Parameters
    ----------
    measurement
        As it was made here.
    network
        Makes the denoiser; see `maker_of`.
    measured
        Makes the measurement of a denoiser, what was asked for in order, and the options.
    """
    noising = measurement.noising
    options = {
        "ids": None,
        "batch_size": noising.batch,
        "keep_draws": measurement.keep_draws,
        "conditions": measurement.conditions,
    }
    asked = (measurement.source, list(noising.levels), noising.draws, noising.seed)
    return partial(
        UnitsOfPhi,
        network=network,
        device=measurement.place.device.type,
        dtype=measurement.place.dtype,
        measured=partial(measured, asked=asked, options=options),
        computation=measurement.computation,
    )


def maker_of(denoiser: nn.Module, workers: Workers) -> Callable[[], nn.Module]:
    """How workers make the network: what can be pickled.

    Raises
    ------
    InputError
        If it is not known how the network was made, and it may not be pickled.
    """
    if workers.pickled:
        return partial(_itself, denoiser)
    if workers.network is not None:
        return partial(_called, workers.network, str(Path.cwd()))
    made = origin_of(denoiser) or origin_of(network_inside(denoiser))
    if made is None:
        raise InputError(
            "it is not known how workers could load this network: give probekit.Workers(client, "
            'network="module:function") with a function that makes it, or a bundled name or path, or Workers(client, '
            "pickled=True) to send it as a pickle"
        )
    return made


def told_of(client: Client | Workers | None, denoiser: nn.Module) -> Workers | None:
    """Workers who from now on know how a network is made, whatever it is called: what is made of it they then know too.

    Raises
    ------
    InputError
        As for `maker_of`.
    """
    workers = as_workers(client)
    if workers is None or workers.pickled:
        return workers
    remember(denoiser, partial(_as_denoiser, maker_of(denoiser, workers)))
    return replace(workers, network=None)


def beside(client: Client | Workers | None, other: nn.Module) -> Workers | None:
    """The workers for another network than the one they were told of: by what made it, or else as a pickle."""
    workers = as_workers(client)
    if workers is None:
        return None
    known = origin_of(other) or origin_of(network_inside(other))
    return replace(workers, network=None, pickled=workers.pickled or known is None)


def made_at(make: Callable[[], nn.Module], device: str, dtype: torch.dtype) -> nn.Module:
    """A network made once more, on a device of this kind and of this type of numbers.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    network = make()
    try:
        return network.to(device=device, dtype=dtype)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"the network cannot be brought to {device} here ({error}): start workers where there is one, one for each"
        ) from error


def _as_denoiser(make: Callable[[], nn.Module]) -> nn.Module:
    return as_denoiser(make())


def _itself(denoiser: nn.Module) -> nn.Module:
    return denoiser


def _called(name: str, folder: str) -> nn.Module:
    return made_by(name, folder) if is_function(name) else zoo.load(name)
