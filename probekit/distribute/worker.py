"""What runs in a worker's process: a job unpacked once, and its units done one at a time."""

from __future__ import annotations

import pickle
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from probekit.errors import CapacityError, InputError
from probekit.machine.installed import installed_version
from probekit.machine.modes import flushed_denormals, threaded

__all__ = ["Done", "Job", "Parcel", "do", "unchanged", "versions"]

# Warnings that Python keeps from users unless they ask.
FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Job(Protocol):
    """What workers do: it travels as a pickle, once to each, and is made ready there."""

    def ready(self) -> Callable[[Any], Any]:
        """Everything that its units share, made once a worker; gives what does a unit."""
        ...


@dataclass(frozen=True, eq=False)
class Parcel:
    """A job on its way; Dask keeps one in each worker's process until nobody wants it any more.

    Attributes
    ----------
    job : bytes
        The job pickled.
    threads : int or None
        Threads of the CPU for a unit; None for those that Dask gives the worker.
    versions : Mapping[str, str]
        Of what decides numbers, which must be the worker's too.
    flushed : bool
        Whether numbers too small for full precision count as 0.
    """

    job: bytes
    threads: int | None
    versions: Mapping[str, str]
    flushed: bool = False


@dataclass(frozen=True)
class Done:
    """What became of a unit.

    Attributes
    ----------
    worker : str
        Address of the worker.
    result : Any
        Of the unit.
    failure : Exception or None
        What it ended with instead.
    here : bool
        Whether the failure is of this worker's machine, such as a full disk, and another may do better.
    heard : list of (category, text)
        Warnings.
    """

    worker: str
    result: Any = None
    failure: Exception | None = None
    here: bool = False
    heard: list[tuple[type[Warning], str]] = field(default_factory=list)


# Of the job at hand, as long as its parcel is there; a worker that is given another lets go of it.
_READY: WeakKeyDictionary[Parcel, Callable[[Any], Any]] = WeakKeyDictionary()
# Hooks of one network cannot serve two units at once, and a unit takes all threads.
_ONE_AT_A_TIME = threading.Lock()


def unchanged(parcel: Parcel) -> Parcel:
    """The parcel as a result of Dask's: made again wherever it is lost, sent to each worker once."""
    return parcel


def do(parcel: Parcel, unit: Any) -> Done:
    """One unit, or what came in its way."""
    from distributed import get_worker

    worker = get_worker()
    threads = _threads(parcel.threads or worker.state.nthreads)
    mode = flushed_denormals() if parcel.flushed else nullcontext()
    with _ONE_AT_A_TIME, threads, mode, warnings.catch_warnings(record=True) as caught:
        try:
            found: dict[str, Any] = {"result": _ready(parcel)(unit)}
        except Exception as error:
            found = {"failure": _portable(error), "here": _of_this_machine(error)}
    return Done(worker.address, **found, heard=_warned(caught))


def versions() -> dict[str, str]:
    """Of what decides numbers."""
    import torch

    return {"probekit": installed_version(), "torch": torch.__version__}


def _ready(parcel: Parcel) -> Callable[[Any], Any]:
    if parcel not in _READY:
        _READY.clear()
        own = versions()
        if own != parcel.versions:
            raise InputError(f"there it is {own}, and here {parcel.versions}: install the same on all machines")
        _READY[parcel] = _unpacked(parcel.job).ready()
    return _READY[parcel]


def _unpacked(job: bytes) -> Job:
    try:
        return pickle.loads(job)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"a function that the work needs cannot be had there ({error}): install the module that it is of on all "
            "workers, or start them where it can be imported"
        ) from error


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads of torch, OpenMP and BLAS in the block."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(count), threaded(count):
        yield


def _of_this_machine(error: Exception) -> bool:
    """Whether another machine may do better: there is no memory or no room left here."""
    import torch

    return isinstance(error, OSError | MemoryError | CapacityError | torch.OutOfMemoryError)


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same, if it cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _warned(caught: list[warnings.WarningMessage]) -> list[tuple[type[Warning], str]]:
    """Warnings that are for users, as Python's own classes, which any process knows."""
    told = [one for one in caught if not issubclass(one.category, FOR_DEVELOPERS)]
    found = [(next(c for c in one.category.__mro__ if c.__module__ == "builtins"), str(one.message)) for one in told]
    return list(dict.fromkeys(found))
