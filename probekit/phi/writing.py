"""A measurement written into a store, unit by unit, here or by the workers of a cluster."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit.errors import InputError
from probekit.machine.storage import is_remote
from probekit.phi import layout, store, stored

if TYPE_CHECKING:
    import xarray as xr

    from probekit.distribute.worker import Job
    from probekit.distribute.workers import Workers
    from probekit.phi.measure import Measurement, Read
    from probekit.phi.store import Store

__all__ = ["into_store", "unit_writer"]

LOG = logging.getLogger("probekit")
# Units of which the first image is measured again when a store is gone on with.
COMPARED = 3
# Times that what workers have written is looked through, and what is not whole given out again.
ROUNDS = 3


def into_store(
    measurement: Measurement,
    path: Path,
    workers: Workers | None = None,
    job: Callable[[Path, str], Job] | None = None,
) -> xr.Dataset:
    """Measure what the store at `path` lacks, and give the Dataset that reads it.

    Parameters
    ----------
    measurement
        What is measured.
    path
        Of the store, made if there is none.
    workers
        Who measures the units; None for this process.
    job
        Makes what the workers do of the absolute path of the store and the sum of its plan.

    Raises
    ------
    InputError, CapacityError
        As for `store.create_or_resume`, `distribute.run.each` and the measurement.
    """
    measurement.refuse_unit()
    # One that is there is gone on with as it was begun.
    unit = layout.plan_of(path, sealed=False)["unit"] if store.is_begun(path) else measurement.unit
    with store.create_or_resume(
        path, plan=measurement.plan(), template=measurement.template, ids=measurement.source.ids, unit=unit
    ) as writer:
        if writer.begun:
            with measurement.reading() as read:
                _refuse_other_numbers(measurement, writer, read, images=True)
        if workers is None or job is None:
            _here(measurement, writer)
        else:
            _by_workers(
                measurement, writer, workers, job(path if is_remote(path) else path.absolute(), layout.plan_sum(path))
            )
    return stored.open(path)


def unit_writer(measurement: Measurement, path: Path, plan_sum: str) -> Callable[[range], None]:
    """What measures a unit and writes it into a store that somebody else has begun and holds the lock of.

    Raises
    ------
    InputError
        If the store, or what would be measured here, is of another plan, or the network makes something else of the
        constant image.
    """
    unit = store.planned(path, "unit")
    plan = store.full_plan(measurement.plan(), measurement.source.ids, unit)
    if layout.plan_sum(path) != plan_sum:
        raise InputError(f"{path} is not the store that this work is for: give a folder that all workers see")
    store.refuse_another_plan(
        path, plan, mend="A worker makes the network as it was loaded: edits, hooks and changes of it do not travel"
    )
    writer = store.Store(path, layout.opened(path, writable=True), unit, begun=True)
    with measurement.reading() as read:
        _refuse_other_numbers(measurement, writer, read, images=False)

    def write(positions: range) -> None:
        with measurement.reading() as read:
            writer.write(positions, measurement.unit_of(read, positions))

    return write


def _here(measurement: Measurement, writer: Store) -> None:
    pending = writer.pending
    total = sum(map(len, pending)) * measurement.noising.versions
    with measurement.bar(total) as bar, measurement.reading(bar) as read:
        for positions in pending:
            writer.write(positions, measurement.unit_of(read, positions))


def _by_workers(measurement: Measurement, writer: Store, workers: Workers, job: Job) -> None:
    from probekit.distribute.run import each

    pending, versions = writer.pending, measurement.noising.versions
    for _ in range(ROUNDS if pending else 0):
        with measurement.bar(sum(map(len, pending)) * versions) as bar:
            for positions, _ in each(workers, job, pending, bar):
                bar.update(len(positions) * versions)
        # A worker that was thought dead may have written after another, with other last bits.
        pending = writer.not_whole(pending)
        if not pending:
            return
        LOG.info("%d units that workers wrote are not whole, and are measured again", len(pending))
    if pending:
        raise InputError(
            f"{writer.path}: {len(pending)} units are not whole after workers have written them {ROUNDS} times: give a "
            "folder that all workers see, on a file system that shows all of them the same"
        )


def _refuse_other_numbers(measurement: Measurement, writer: Store, read: Read, *, images: bool) -> None:
    """Compare what the network makes of a few images now with what it made of them when the store was written.

    That shows what no plan can: whatever a network reads from outside itself, in whatever way.
    """
    now: dict[str, tuple[Any, np.ndarray]] = {
        "the constant image": (writer.read("rest")[:], measurement.rest_of(read)["rest"])
    }
    done_units = writer.done if images else []
    spread = {round(k) for k in np.linspace(0, len(done_units) - 1, min(COMPARED, len(done_units)))}
    for done in (done_units[k] for k in sorted(spread)):
        first = range(done.start, done.start + 1)
        part = next(measurement.averages(read, measurement.source, measurement.noising, first))
        now[f"image {measurement.source.ids[done.start]!r}"] = writer.read("phi")[done.start], part.phi[0]
    rounding = _rounding(measurement)
    for what, (there, here) in now.items():
        start = 0
        for tap, width in measurement.channels.items():
            channels = slice(start, start + width)
            start += width
            off = _difference(np.asarray(there)[:, channels], here[:, channels])
            if off > rounding:
                raise InputError(
                    f"the network makes something else of {what} than is in {writer.path}: at tap {tap!r} it "
                    f"differs by {off:.1g} of the largest value, more than rounding does. Since the store was "
                    "begun, its code, an edit around the call, the images or what it reads from elsewhere has "
                    "changed: restore that, or give another path"
                )


def _rounding(measurement: Measurement) -> float:
    """Half of the digits that a pass keeps: more than the order of sums changes, less than another network."""
    return math.sqrt(max(2 * measurement.computation.rounding, torch.finfo(measurement.place.dtype).eps))


def _difference(there: np.ndarray, here: np.ndarray) -> float:
    """The largest difference of values, as a share of the largest; infinite where one is finite and the other not."""
    finite = np.isfinite(there)
    if (finite != np.isfinite(here)).any():
        return math.inf
    if not finite.any():
        return 0.0
    largest = max(float(np.abs(values[finite]).max()) for values in (there, here))
    return float(np.abs(there[finite] - here[finite]).max()) / largest if largest else 0.0
