"""Which workers of a Dask cluster work is given to, and how."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from probekit import checks
from probekit.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["EXTRA", "Workers", "as_workers", "refuse_without"]

EXTRA = 'pip install "probekit-denoisers[distribute]"'
MOST_THREADS = 4096


@dataclass(frozen=True)
class Workers:
    """The workers of a Dask cluster, and how work is given to them; what ``client=`` takes, as it takes a client.

    Each worker measures one unit of a store at a time, and writes it. A unit of a worker that dies is given to another;
    so is one whose worker cannot write or has not enough memory, which gets no more, and one of which nothing has been
    heard for long.

    Attributes
    ----------
    client : distributed.Client
        Connected to the scheduler.
    network : str or None
        What workers load the network by: a bundled name, a path that all see, or ``"module:function"``. None takes
        what it was loaded by here.
    pickled : bool
        Whether the network travels as a pickle instead, once for each worker.
    threads : int or None
        Threads of the CPU, BLAS included, that a unit is measured with, ≥ 1; None for as many as Dask gives a worker
        (``threads_per_worker``). The last bits of sums may depend on it.
    patience : float or None
        Seconds after which a unit that is not done is given to another worker too, > 0; None for a minute, or twenty
        times as long as units take where that is longer.

    Raises
    ------
    InputError
        If `client` is none, or another value is out of its range.

    Examples
    --------
    >>> from distributed import Client  # doctest: +SKIP
    >>> tap(images, sigma=0.1, store="phi.zarr", client=Workers(Client("tcp://head:8786"), threads=4))  # doctest: +SKIP
    """

    client: Client
    _: KW_ONLY
    network: str | None = None
    pickled: bool = False
    threads: int | None = None
    patience: float | None = None

    def __post_init__(self) -> None:
        _check_client(self.client)
        checks.flag("pickled", self.pickled)
        if self.network is not None:
            checks.text("network", self.network, NETWORK)
        if self.threads is not None:
            checks.whole("threads", self.threads, least=1, most=MOST_THREADS)
        if self.patience is not None:
            checks.number("patience", self.patience, "a number of seconds > 0, or None", good=lambda s: s > 0)
        if self.network is not None and self.pickled:
            raise InputError(
                f"network={self.network!r}, pickled=True: a network travels by name or as a pickle, give one"
            )


NETWORK = 'a bundled name, the path of a .safetensors file, or "module:function", as text'


def as_workers(client: Any) -> Workers | None:
    """What is given as ``client=``: a client of Dask's, `Workers`, or None.

    Raises
    ------
    InputError
        If it is something else.
    """
    return client if client is None or isinstance(client, Workers) else Workers(client)


def refuse_without(what: str) -> None:
    """Refuse what needs Dask where it is not installed.

    Raises
    ------
    InputError
        Naming the extra.
    """
    try:
        import distributed  # noqa: F401  only whether it is there
    except ImportError as error:
        raise InputError(f"{what} needs Dask, which cannot be imported ({error}): {EXTRA}") from error


def _check_client(value: Any) -> None:
    refuse_without("client=")
    from distributed import Client

    if not isinstance(value, Client):
        raise InputError(
            f"{checks.given('client', value)}: give a distributed.Client, or probekit.Workers(client, …) for how it is "
            "used"
        )
    if value.asynchronous:
        raise InputError("client= is an asynchronous client: give distributed.Client(…, asynchronous=False)")
