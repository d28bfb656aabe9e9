"""Blocks on worker processes of this machine or of a running cluster: what the driver submits, and what they do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from aqreanalysis.errors import OutputError
from aqreanalysis.model import load_predictor
from aqreanalysis.model.network.scaling import FieldSource
from aqreanalysis.production.execute.worker import Job, OnDone, Worker, pending_blocks, pending_joins
from aqreanalysis.production.plan import Block
from aqreanalysis.production.stores.store import BlockResult
from aqreanalysis.production.sweep import BlockStates

if TYPE_CHECKING:
    from distributed import Client

# Tasks submitted to a cluster at once, for each of its threads: enough that none waits for the driver, few enough
# that neither the scheduler nor the workers' memory grows with the cube.
IN_FLIGHT = 2
# Blocks a task, where each worker has many: driver and scheduler take some 7 ms of a processor a task, a block 80 ms.
BLOCKS_A_TASK = 4


def run_on_cluster(job: Job, done: set[int], client: Client, on_done: OnDone, stop: threading.Event) -> None:
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
    homes = _homes(client)
    tiles = job.inputs.plan.counts[1] * job.inputs.plan.counts[2]

    def sweeps() -> Iterator[Any]:
        for time_range, blocks in pending_blocks(job.inputs.plan, done):
            states = client.submit(_encode, shared, time_range, pure=False)
            homes[:] = _homes(client)  # anew for each time block: workers come and go
            for home, some in _share(blocks, tuple(homes), tiles):
                yield client.submit(_run, shared, states, some, pure=False, **home)

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
            while in_flight >= IN_FLIGHT * max(1, len(homes)):
                _tell(next(flowing), on_done)
                in_flight -= 1
        while in_flight:
            _tell(next(flowing), on_done)
            in_flight -= 1


def _homes(client: Any) -> list[str]:
    """Return the address of each worker, as often as it has threads."""
    return [address for address, threads in sorted(client.nthreads().items()) for _ in range(threads)]


def _share(blocks: list[Block], homes: Sequence[str], tiles: int) -> Iterator[tuple[dict[str, Any], list[Block]]]:
    """Yield the blocks of a time block a task at a time, and before them where each is to go, as Dask is told.

    A tile belongs to one worker, which keeps its geometry from one time block to the next; another takes the task where
    it has nothing else to do. Where no worker is there, tasks wait for any.
    """
    lanes = max(1, len(homes))
    size = max(1, min(BLOCKS_A_TASK, len(blocks) // (4 * lanes)))
    own = [[block for block in blocks if block.number % tiles % lanes == lane] for lane in range(lanes)]
    for begin in range(0, max(map(len, own)), size):
        for lane, mine in enumerate(own):
            some = mine[begin : begin + size]
            if some:
                yield {"workers": [homes[lane]], "allow_other_workers": True} if homes else {}, some


def load_and_weigh(model_path: Path | None, covariates: FieldSource | None = None) -> int:
    """Return the memory of a worker process that has loaded a model, with the covariates that it reads, if any."""
    import psutil

    if model_path is not None:
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


def _run(job: Job, states: BlockStates | None, blocks: list[Block]) -> list[BlockResult | None]:
    worker = _worker(job)
    return [worker.run(states, block) for block in blocks]


def _join(job: Job, frequency: str, block: Block, number: int) -> list[BlockResult | None]:
    return [_worker(job).join(frequency, block, number)]


def _tell(future: Any, on_done: OnDone) -> None:
    """Hand on what a finished task has done; raise what it raised."""
    from distributed import KilledWorker

    try:
        found: list[BlockResult | None] = future.result()
    except KilledWorker:
        raise OutputError(
            "a block was tried on several workers and each of them died, most likely for want of memory; lower "
            "production.tile_rows, production.tile_columns or the number of workers, and run the same command again"
        ) from None
    for done in found:
        on_done(done)
