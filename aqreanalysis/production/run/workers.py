"""Blocks on worker processes of this machine or of a running cluster: what the driver submits, and what they do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from aqreanalysis.errors import OutputError
from aqreanalysis.production.plan import Block
from aqreanalysis.production.run.done import BlockDone
from aqreanalysis.production.run.engine import Job, OnDone, Worker, pending_blocks, pending_joins
from aqreanalysis.production.sweep import BlockStates

# Blocks submitted to a cluster at once, for each of its threads: enough that none waits for the driver, few enough
# that neither the scheduler nor the workers' memory grows with the cube.
IN_FLIGHT = 3


def run_on_cluster(job: Job, done: set[int], client: Any, on_done: OnDone, stop: threading.Event) -> None:
    """Compute the blocks that are not `done` on the workers of a Dask client.

    Blocks go out a few for each worker thread, so that memory stays flat. A worker that dies costs the blocks it had
    in hand: Dask computes them again elsewhere, and a chunk written twice is the same chunk.

    Parameters
    ----------
    job, done, on_done, stop
        As of `run_in_threads`.
    client : distributed.Client
        Its workers must see the staging store under the same path.

    Raises
    ------
    OutputError
        If a block killed every worker that it was given to.
    """
    from distributed import as_completed

    # As a task and not scattered: if every holder dies, the scheduler can make it again.
    shared = client.submit(_identity, job, key=f"job-{job.token}", pure=False)
    limit = IN_FLIGHT * max(1, sum(client.nthreads().values()))
    tiles = job.inputs.plan.counts[1] * job.inputs.plan.counts[2]

    def sweeps() -> Iterator[Any]:
        for time_range, blocks in pending_blocks(job.inputs.plan, done):
            states = client.submit(_encode, shared, time_range, pure=False)
            homes = sorted(client.nthreads())  # anew for each time block: workers come and go
            for block in blocks:
                home = _home(homes, block.number % tiles)
                yield client.submit(_run, shared, states, block, pure=False, **home)

    def joins() -> Iterator[Any]:
        for join in pending_joins(job, done):
            yield client.submit(_join, shared, *join, pure=False)

    for futures in (sweeps(), joins()):  # one after the other: a block of means reads the sums of many
        # By this client's loop: the caller may have another client, which is Dask's default.
        flowing = as_completed(loop=client.loop)
        in_flight = 0
        while not stop.is_set() and (future := next(futures, None)) is not None:
            flowing.add(future)
            in_flight += 1
            if in_flight >= limit:
                on_done(_result(next(flowing)))
                in_flight -= 1
        while in_flight:
            on_done(_result(next(flowing)))
            in_flight -= 1


def _home(homes: list[str], tile: int) -> dict[str, Any]:
    """Return which of the workers a tile belongs to, as Dask is told: it keeps the geometry from one time block to the
    next. Another takes the tile where it has nothing else to do."""
    return {"workers": [homes[tile % len(homes)]], "allow_other_workers": True} if homes else {}


def load_and_weigh(model_path: Path | None, covariates: Any = None) -> int:
    """Return the memory of a worker process that has loaded a model, with the covariates that it reads, if any."""
    import psutil

    if model_path is not None:
        from aqreanalysis.model.predictor import load_predictor

        load_predictor(model_path, "cpu", covariates)
    return int(psutil.Process().memory_info().rss)


_WORKERS: dict[str, Worker] = {}
_WORKERS_LOCK = threading.Lock()


def _worker(job: Job) -> Worker:
    with _WORKERS_LOCK:
        if job.token not in _WORKERS:
            _WORKERS.clear()  # a worker of a long-lived cluster keeps one job only
            _WORKERS[job.token] = Worker(job)
            threadpool_limits(1, user_api="blas")  # once for this process: see `threads_restored`
        return _WORKERS[job.token]


def _identity(job: Job) -> Job:
    return job


def _encode(job: Job, time_range: tuple[int, int]) -> BlockStates | None:
    return _worker(job).encode(time_range)


def _run(job: Job, states: BlockStates | None, block: Block) -> BlockDone | None:
    return _worker(job).run(states, block)


def _join(job: Job, frequency: str, block: Block, number: int) -> BlockDone | None:
    return _worker(job).join(frequency, block, number)


def _result(future: Any) -> BlockDone | None:
    from distributed import KilledWorker

    try:
        done: BlockDone | None = future.result()
    except KilledWorker:
        raise OutputError(
            "a block was tried on several workers and each of them died, most likely for want of memory; lower "
            "production.tile_rows, production.tile_columns or the number of workers, and run the same command again"
        ) from None
    return done
