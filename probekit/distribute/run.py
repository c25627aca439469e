"""Units of work done by the workers of a Dask cluster, whatever becomes of single ones of them."""

from __future__ import annotations

import logging
import math
import queue
import statistics
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

from probekit.distribute.worker import Done, Job, Parcel, do, unchanged, versions
from probekit.errors import CapacityError, InputError
from probekit.machine.memory import spoken
from probekit.machine.modes import flushing_denormals
from probekit.machine.progress import Bar, spoken_time

if TYPE_CHECKING:
    from distributed import Client, Future

    from probekit.distribute.workers import Workers

__all__ = ["each"]

LOG = logging.getLogger("probekit")
# What a job may hold at most, such as images in memory: it is sent to every worker.
LARGEST_JOB = 2**28
# Seconds between looks at who is there, and until it is told that nobody is.
LOOK, ALONE = 1.0, 30.0
# A unit is late after so many seconds, or so many times as long as units take.
LATE, TIMES = 60.0, 20
# Units beyond those that can be done at once, so that no worker waits for the next.
AHEAD = 1
# Results of a unit are few numbers: a worker that does not give them within these seconds is gone. So many are awaited
# at once.
HANDED_OVER, HANDS = 20.0, 8


class _Flight(NamedTuple):
    """A unit that is with a worker."""

    unit: Any
    since: float
    # How often it was given to another before.
    again: int = 0


@dataclass
class _Crew:
    """Who is there to work, looked up now and then."""

    client: Client
    threads: dict[str, int] = field(default_factory=dict)
    looked: float = -math.inf
    alone_since: float | None = None
    told_alone: bool = False

    def look(self, bar: Bar) -> None:
        now = time.monotonic()
        if now - self.looked < LOOK:
            return
        self.threads, self.looked = _threads(self.client), now
        count = len(self.threads)
        bar.note(f"{count} worker{'s' * (count != 1)}")
        self.alone_since = None if self.threads else self.alone_since or now
        if self.alone_since and now - self.alone_since > ALONE and not self.told_alone:
            self.told_alone = True
            warnings.warn(
                f"there has been no worker for {ALONE:.0f} s: work goes on once there is one, and what is done is kept "
                "if it is stopped",
                RuntimeWarning,
                stacklevel=5,
            )


def each(workers: Workers, job: Job, units: Iterable[Any], bar: Bar) -> Iterator[tuple[Any, Any]]:
    """Do units of a job on the workers of a cluster, each at least once.

    A unit may be done twice, also at the same time: by a worker that was thought dead, and by another. Doing it again
    must do no harm.

    Parameters
    ----------
    workers
        Of which cluster, and how.
    job
        What is done. It travels as a pickle.
    units
        Which units; they can be hashed and pickled.
    bar
        Is told how many workers there are.

    Yields
    ------
    (unit, result)
        In the order in which they are done, each unit once.

    Raises
    ------
    InputError
        If the job cannot travel, or workers have another version of the package or of torch.
    CapacityError
        If the scheduler is lost, a unit takes one worker after the other with it, or no worker has room for it.
    Exception
        Whatever a unit raises, with a note of where.
    """
    client = workers.client
    _refuse_if_gone(client)
    yield from _Run(workers, _parcel(job, workers), bar).results(deque(units))


class _Run:
    """The state of one run: what waits, what is with workers, and which of them are given no more."""

    def __init__(self, workers: Workers, parcel: Parcel, bar: Bar) -> None:
        self._client, self._patience, self._bar = workers.client, workers.patience, bar
        # The parcel as a result on the cluster, which workers fetch from one another; the last of these is in use.
        self._parcel = parcel
        self._sent: list[Future[Parcel]] = []
        self._flights: dict[Future[Done], _Flight] = {}
        # Those that another worker has been given too, and that may come back all the same.
        self._given_up: dict[Future[Done], _Flight] = {}
        self._landed: queue.SimpleQueue[tuple[Future[Done], Done | BaseException]] = queue.SimpleQueue()
        self._hands = ThreadPoolExecutor(HANDS)
        # Workers that could not write or had no memory, with what they said; and those of which nothing is heard.
        self._failed: dict[str, Exception] = {}
        self._late: set[str] = set()
        self._took: deque[float] = deque(maxlen=100)
        self._heard: set[tuple[type[Warning], str]] = set()
        self._sent_out = 0
        self._crew = _Crew(workers.client)

    def results(self, waiting: deque[Any]) -> Iterator[tuple[Any, Any]]:
        left = set(waiting)
        try:
            self._send_parcel()
            while left:
                self._crew.look(self._bar)
                while waiting and len(self._flights) < self._room():
                    self._send(waiting.popleft())
                for future, landed in self._next():
                    flight = self._flights.pop(future, None) or self._given_up.pop(future, None)
                    if flight is None or flight.unit not in left:
                        continue
                    done = self._outcome(future, landed, flight)
                    if done is None or done.failure is not None:
                        if not self._is_with_another(flight.unit):
                            waiting.appendleft(flight.unit)
                        continue
                    left.remove(flight.unit)
                    self._recall(flight.unit)
                    yield flight.unit, done.result
                self._look_for_late(left)
        finally:
            self._recall(*{flight.unit for flight in self._all().values()})
            _cancelled(self._client, self._sent)
            self._hands.shutdown(wait=False, cancel_futures=True)
        if self._failed:
            said = "; ".join(f"{worker}: {error}" for worker, error in self._failed.items())
            warnings.warn(
                f"workers that had no room left were given no more, and others did their part: {said}",
                RuntimeWarning,
                stacklevel=5,
            )

    def _room(self) -> int:
        """How many units may be with workers."""
        usable = self._usable()
        return sum(usable.values()) + AHEAD * len(usable)

    def _usable(self) -> dict[str, int]:
        return {w: n for w, n in self._crew.threads.items() if w not in self._failed and w not in self._late}

    def _send_parcel(self, to: list[str] | None = None) -> None:
        from dask import config

        where: dict[str, Any] = {} if to is None else {"workers": to, "allow_other_workers": True}
        # That it may be large was looked at.
        with config.set({"distributed.admin.large-graph-warning-threshold": LARGEST_JOB * 2}):
            key = f"probekit-{token_hex(8)}"
            self._sent.append(self._client.submit(unchanged, self._parcel, key=key, pure=False, **where))

    def _send(self, unit: Any, to: list[str] | None = None, *, again: int = 0) -> None:
        if to is None and (self._failed or self._late):
            to = list(self._usable()) or None
        self._sent_out += 1
        # Others may do it where these have died meanwhile.
        where: dict[str, Any] = {} if to is None else {"workers": to, "allow_other_workers": True}
        future = self._client.submit(
            do, self._sent[-1], unit, key=f"{self._sent[0].key}-{self._sent_out}", pure=False, **where
        )
        self._flights[future] = _Flight(unit, time.monotonic(), again)
        future.add_done_callback(self._hand_over)

    def _hand_over(self, future: Future[Done]) -> None:
        """Have what a unit came to fetched from its worker, which may take a while."""

        def fetch() -> None:
            try:
                self._landed.put((future, future.result(timeout=HANDED_OVER)))
            except BaseException as error:
                self._landed.put((future, error))

        with suppress(RuntimeError):
            # All may be over.
            self._hands.submit(fetch)

    def _next(self) -> list[tuple[Future[Done], Done | BaseException]]:
        """What has come back; waits for a moment if nothing has."""
        found: list[tuple[Future[Done], Done | BaseException]] = []
        with suppress(queue.Empty):
            found.append(self._landed.get(timeout=LOOK))
            while True:
                found.append(self._landed.get_nowait())
        if not found:
            _refuse_if_gone(self._client)
            # Whatever was lost without a word.
            found = [(f, TimeoutError()) for f in self._all() if f.status in ("cancelled", "lost")]
        return found

    def _outcome(self, future: Future[Done], landed: Done | BaseException, flight: _Flight) -> Done | None:
        """What became of a unit; None where it is to be given out again.

        Raises
        ------
        CapacityError, Exception
            If that would be of no use.
        """
        from distributed import KilledWorker

        if isinstance(landed, KilledWorker):
            raise CapacityError(
                f"{_spoken(flight.unit)}: one worker after the other died at it ({landed}). Where they were killed for "
                "want of memory, give a smaller batch_size or fewer workers a machine; the same call goes on from "
                "what is done"
            ) from landed
        if isinstance(landed, BaseException):
            _refuse_if_gone(self._client, landed)
            if self._sent[-1].status == "cancelled":
                raise CapacityError(
                    "the cluster was restarted, and what it was at is lost: make the same call again, which goes on "
                    "from what is done"
                ) from landed
            if self._sent[-1].status == "lost":
                # With all workers that held it.
                self._send_parcel()
            if future.status == "error":
                # Not of the unit's own: it came back with what it raised.
                raise InputError(
                    f"a worker could not begin ({type(landed).__name__}: {landed}): install the same packages, this "
                    "one among them, on all workers"
                ) from landed
            LOG.info("%s was lost with its worker, and is given out again", _spoken(flight.unit))
            return None
        done = landed
        self._late.discard(done.worker)
        for category, said in done.heard:
            if (category, said) not in self._heard:
                self._heard.add((category, said))
                warnings.warn(said, category, stacklevel=6)
        if done.failure is None:
            self._took.append(time.monotonic() - flight.since)
            return done
        if done.here:
            self._failed[done.worker] = done.failure
            LOG.info("%s is given no more: %s", done.worker, done.failure)
            self._crew.threads = _threads(self._client)
            if any(worker not in self._failed for worker in self._crew.threads):
                return done
        done.failure.add_note(f"while worker {done.worker} was at {_spoken(flight.unit)}")
        raise done.failure

    def _look_for_late(self, left: set[Any]) -> None:
        """Give units of which nothing has been heard for long to other workers too."""
        now = time.monotonic()
        limit = self._patience
        if limit is None:
            limit = max(LATE, TIMES * statistics.median(self._took)) if self._took else LATE * TIMES
        # Each time it is waited for twice as long: perhaps workers are only slow.
        late = {f: flight for f, flight in self._flights.items() if now - flight.since > limit * 2**flight.again}
        if not late:
            return
        processing: Any = self._client.processing()
        with_whom = {key: worker for worker, keys in processing.items() for key in keys}
        sent_to: list[str] = []
        for future, flight in late.items():
            worker = with_whom.get(future.key)
            if worker is None or flight.unit not in left:
                continue
            self._late.add(worker)
            # Where all are late, one may be so for want of the parcel, which another holds that no longer answers.
            others = list(self._usable()) or [w for w in self._crew.threads if w != worker and w not in self._failed]
            if not others:
                self._late.discard(worker)
                continue
            LOG.warning(
                "nothing has been heard of %s for %s (worker %s): %s is given to another worker too",
                _spoken(flight.unit),
                spoken_time(now - flight.since),
                worker,
                _spoken(flight.unit),
            )
            if others != sent_to:
                # Others may wait for the parcel of one that no longer answers.
                self._send_parcel(others)
                sent_to = others
            self._given_up[future] = self._flights.pop(future)
            self._send(flight.unit, others, again=flight.again + 1)

    def _all(self) -> dict[Future[Done], _Flight]:
        return {**self._flights, **self._given_up}

    def _is_with_another(self, unit: Any) -> bool:
        return any(flight.unit == unit for flight in self._flights.values())

    def _recall(self, *units: Any) -> None:
        """Take back what is with workers of units that are done or no longer wanted; what is begun goes on."""
        found = [future for future, flight in self._all().items() if flight.unit in units]
        for future in found:
            self._flights.pop(future, None)
            self._given_up.pop(future, None)
        _cancelled(self._client, found)


def _threads(client: Client) -> dict[str, int]:
    """Threads of each worker, by its address; none where the scheduler does not answer."""
    found: Any = {}
    with suppress(Exception):
        found = client.nthreads()
    return dict(found)


def _cancelled(client: Client, futures: list[Future[Any]]) -> None:
    """Tell the scheduler that these are not wanted; where it is gone nobody waits for it."""
    if futures and client.status == "running":
        with suppress(Exception):
            client.cancel(futures)


def _refuse_if_gone(client: Client, error: BaseException | None = None) -> None:
    if client.status != "running":
        raise CapacityError(
            f"the scheduler of {client} is gone: start one, connect to it and make the same call again, which goes on "
            "from what is done"
        ) from error


def _parcel(job: Job, workers: Workers) -> Parcel:
    from distributed.protocol import pickle as distributed_pickle

    try:
        packed = distributed_pickle.dumps(job)
    except Exception as error:
        raise InputError(
            f"what workers would be given cannot be pickled ({type(error).__name__}: {error}): give images, conditions "
            "and functions that can, such as files and functions of a module"
        ) from error
    if len(packed) > LARGEST_JOB:
        raise InputError(
            f"what every worker would be sent takes {spoken(len(packed))}, and {spoken(LARGEST_JOB)} is the most: give "
            "images and conditions as files that all workers see (a folder, a zip, tars, a memory-mapped .npy), not in "
            "memory"
        )
    return Parcel(packed, workers.threads, versions(), flushing_denormals())


def _spoken(unit: Any) -> str:
    return f"images {unit.start} to {unit.stop - 1}" if isinstance(unit, range) else str(unit)
