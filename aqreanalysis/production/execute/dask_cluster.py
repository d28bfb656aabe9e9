"""The Dask cluster of a run: worker processes of this machine, or one that is running."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dask

from aqreanalysis.common.memory import available_memory
from aqreanalysis.errors import OutputError, in_one_line

if TYPE_CHECKING:
    from distributed import LocalCluster

CONNECT_SECONDS = 10.0
LOOPBACK = "127.0.0.1"
# Imports are nine tenths of a worker's start (4 s of a processor, of which torch takes half). So one process imports
# what all need, from the beginning of the command on, and workers are forked from it, also those that follow one that
# died. It has used neither threads nor a GPU by then. Where processes cannot be forked each imports for itself.
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_NURSERY = "aqreanalysis.production.execute.worker_preload"
# A worker's share of the memory is what is free now; Dask's own is by its share of the processors, next to nothing for
# two workers of a large machine. It holds no data worth spilling, and one that is paused at a limit while its caches
# fill the memory would wait for ever: over its share it ends, and its blocks go to another.
# Dask has its workers give every freed 64 KB back to the system, which hands them out again page by page: a third of
# their time, and no less memory, since a block takes what the one before has freed. None leaves that to the system.
_CONFIG: Any = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.worker.multiprocessing-method": _METHOD,
}


def prepare_workers() -> None:
    """Begin to load what worker processes will need, in a process beside this one, and return at once."""
    if _METHOD != "forkserver":
        return
    from multiprocessing import forkserver

    from distributed.utils import get_mp_context

    with dask.config.set(_CONFIG):
        get_mp_context().set_forkserver_preload([_NURSERY])
        # It must begin with what Dask gives its workers, such as a single thread of BLAS.
        early = dask.config.get("distributed.nanny.pre-spawn-environ")
        with _environment({k: str(v) for k, v in early.items() if v is not None and k not in os.environ}):
            forkserver.ensure_running()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)


@contextmanager
def cluster_client(
    workers: int | None, scheduler: str | None, say: Callable[[str], None] | None = None
) -> Iterator[Any]:
    """Yield a client of `workers` processes on this machine, or of the scheduler at an address.

    `say` is told where its dashboard is.

    Raises
    ------
    OutputError
        If the scheduler does not answer or has no worker.
    """
    from distributed import Client

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            raise OutputError(f"no Dask scheduler at {scheduler}: {in_one_line(error)}; check the address") from None
        try:
            if not client.nthreads():
                raise OutputError(
                    f"the Dask scheduler at {scheduler} has no worker; start one (dask worker {scheduler})"
                )
            _tell_dashboard(client, say)
            yield client
        finally:
            client.close()
        return
    prepare_workers()
    with (
        dask.config.set(_CONFIG),
        _local_cluster(workers or 1) as cluster,
        Client(cluster) as client,
    ):
        # Ctrl-C reaches the whole process group; the workers must finish the blocks that the driver waits for.
        client.run(_ignore_interrupt)
        _tell_dashboard(client, say)
        yield client


def _local_cluster(workers: int) -> LocalCluster:
    """Return a cluster of processes on this machine.

    Raises
    ------
    OutputError
        If the system lets none start, as where memory is limited.
    """
    from distributed import LocalCluster

    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host=LOOPBACK,  # nobody else on the network has a part in it
            dashboard_address=f"{LOOPBACK}:0",
            worker_dashboard_address=f"{LOOPBACK}:0",
            silence_logs=logging.ERROR,
            memory_limit=available_memory() // workers,
            env=dict(os.environ),  # theirs is of the moment at which the first was prepared
        )
    except RuntimeError as error:
        raise OutputError(
            f"{workers} worker processes could not be started: {in_one_line(error)} Ask for fewer (--workers) or for "
            "none, or let this process have more memory (ulimit -v)"
        ) from error


def _tell_dashboard(client: Any, say: Callable[[str], None] | None) -> None:
    if say is not None and client.dashboard_link:
        shown = importlib.util.find_spec("bokeh") is not None
        hint = "" if shown else " (its pictures need bokeh: pip install 'aqreanalysis[dashboard]')"
        say(f"Dask dashboard: {client.dashboard_link}{hint}")


def _ignore_interrupt() -> None:
    import signal

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
