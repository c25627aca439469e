"""Workers as the command line names them: some of this machine, or those of a scheduler that runs."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probekit.cli.checking import whole_of
from probekit.errors import CapacityError, InputError

if TYPE_CHECKING:
    from distributed import Client

    from probekit.distribute import Workers as Crew

__all__ = ["Pickled", "Scheduler", "Threads", "Workers", "cluster_called", "without_workers"]

# Seconds until a scheduler has answered, and until workers of this machine have come.
ANSWER, BEGIN = 20, 120
MOST_WORKERS, MOST_THREADS = 1024, 4096
NEEDS = "Needs the extra distribute."
Workers = Annotated[
    int | None,
    typer.Option(
        callback=whole_of(1, most=MOST_WORKERS),
        help=f"Processes of this machine that share the work, and write into a folder. {NEEDS}",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(help=f"Address of a running Dask scheduler, such as tcp://head:8786, whose workers share it. {NEEDS}"),
]
Threads = Annotated[
    int | None,
    typer.Option(
        callback=whole_of(1, most=MOST_THREADS),
        help="Threads of each worker; by default 1 of --workers, and of --scheduler what it gives them.",
    ),
]
Pickled = Annotated[
    bool, typer.Option("--pickled", help="Send workers the network as a pickle, not by its name or path.")
]


# What of a command's words says who works, and which of these are followed by a value.
FLAGS, VALUED = ("--pickled",), ("--workers", "--scheduler", "--threads")


def without_workers(words: Sequence[str]) -> list[str]:
    """The words of a command but those that say who works."""
    left, skipped = [], False
    for word in words:
        if not skipped and word not in (*FLAGS, *VALUED) and not word.startswith(tuple(f"{one}=" for one in VALUED)):
            left.append(word)
        skipped = not skipped and word in VALUED
    return left


@contextmanager
def cluster_called(
    workers: int | None, scheduler: str | None, threads: int | None = None, *, pickled: bool = False
) -> Iterator[Crew | None]:
    """The workers that are asked for, while the block runs; None where none are.

    Raises
    ------
    InputError
        If both kinds are asked for, Dask is not installed, or the address is none.
    CapacityError
        If no scheduler answers there, or workers do not start.
    """
    if workers is None and scheduler is None:
        if threads is not None or pickled:
            said = "--threads" if threads is not None else "--pickled"
            raise InputError(f"{said} is of workers: give --workers or --scheduler too, or leave it out")
        yield None
        return
    if workers is not None and scheduler is not None:
        raise InputError(
            f"--workers {workers} starts some here, and --scheduler {scheduler} takes those of a cluster: give one"
        )
    from probekit.distribute.workers import Workers as Crew
    from probekit.distribute.workers import refuse_without

    refuse_without("--workers" if workers is not None else "--scheduler")
    with ExitStack() as open_until_then:
        client = open_until_then.enter_context(_started(workers) if workers is not None else _connected(scheduler))
        yield Crew(client, threads=threads or (1 if workers is not None else None), pickled=pickled)


@contextmanager
def _started(count: int) -> Iterator[Client]:
    import logging

    from distributed import Client, LocalCluster

    from probekit.machine.memory import keeping_freed

    # No page to look at, on a port that is in no other's way; and the system tells when memory is short: a worker that
    # Dask kills for it would be started again and again.
    options: dict[str, Any] = {"memory_limit": 0, "dashboard_address": "127.0.0.1:0", "silence_logs": logging.ERROR}
    options |= {"scheduler_kwargs": {"dashboard": False}, "env": keeping_freed()}
    try:
        cluster = LocalCluster(n_workers=count, threads_per_worker=1, **options)
    except Exception as error:
        raise CapacityError(
            f"--workers {count}: they could not be started ({error}): give fewer, or leave it out"
        ) from error
    with cluster, Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=BEGIN)
        yield client


def _refuse_no_machine(address: str) -> None:
    """What no scheduler can be at is told at once, not after waiting for an answer."""
    from distributed.comm.addressing import get_address_host_port

    host, port = get_address_host_port(address)
    if not 0 < port < 2**16:
        raise ValueError(f"there is no port {port}")
    socket.getaddrinfo(host, port)


@contextmanager
def _connected(address: str | None) -> Iterator[Client]:
    from distributed import Client

    try:
        _refuse_no_machine(str(address))
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except (ValueError, TypeError, ImportError) as error:
        raise InputError(
            f"--scheduler {address} is no address ({error}): give one such as tcp://head:8786, which `dask scheduler` "
            "prints"
        ) from error
    except OSError as error:
        raise CapacityError(
            f"--scheduler {address}: no scheduler answers there ({error}): start one with `dask "
            "scheduler`, or give its address"
        ) from error
    with client:
        yield client
