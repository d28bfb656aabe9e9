"""Blocks in threads of this process, by Dask's threaded scheduler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dask
import dask.threaded
from dask.callbacks import Callback

from aqreanalysis.common.library_threads import threads_restored
from aqreanalysis.production.execute.schedule import OnDone, mean_tasks, sweep_tasks
from aqreanalysis.production.execute.worker import Job, Worker, on_worker
from aqreanalysis.production.sweep import block_window

# Tiles whose geometry each further thread makes while the first encodes the first time block.
TILES_AHEAD = 8
# Blocks joined into one Dask graph, so that the seams of time blocks do not idle a thread.
GRAPH_BLOCKS = 256


@dataclass(frozen=True)
class ThreadExecutor:
    """Threads of this process.

    Attributes
    ----------
    threads : int
        Blocks at a time.
    """

    threads: int

    def run(self, job: Job, done: set[int], on_done: OnDone, stop: threading.Event) -> None:
        """Compute and write the blocks that are not `done`; see `Executor`."""
        worker = Worker(job)
        worker.stop = stop
        tasks = DelayedTasks(worker, self.threads, TILES_AHEAD * (self.threads - 1))

        class Watch(Callback):
            def _posttask(self, key: Any, result: Any, *_: Any) -> None:
                for one in result if isinstance(result, list) else ():
                    on_done(one)

        # A fresh pool, so that leaving it waits for the blocks in hand even after an error. Means come after the sweep.
        with threads_restored(), ThreadPoolExecutor(self.threads) as pool, Watch():
            means = mean_tasks(job, done, tasks) if job.inputs.means is not None else ()
            for some in (sweep_tasks(job, done, tasks), means):
                for graph in _graphs(some):
                    if stop.is_set():
                        return
                    compute(graph, pool)


@dataclass
class DelayedTasks:
    """Tasks as delayed calls, which are computed some hundred at a time.

    Attributes
    ----------
    worker : Worker
        That all threads share.
    threads : int
        Of the pool.
    tiles_ahead, blocks_a_task, addresses
        See `Tasks`; threads take whatever comes next.
    """

    worker: Worker
    threads: int
    tiles_ahead: int
    blocks_a_task: int = 1
    addresses: Sequence[str] = ()

    def task(self, method: Callable[..., Any], *given: Any, address: str | None = None) -> Any:
        """Return a delayed call; see `Tasks`."""
        return dask.delayed(on_worker, pure=False, traverse=False)(self.worker, method, *given)

    def parts(self, time: tuple[int, int]) -> Sequence[range]:
        """Return the hours that each thread encodes, where several may."""
        inputs = self.worker.inputs
        shared = inputs.predictor.split_hours(block_window(inputs, time).estimated, self.threads)
        return shared if len(shared) > 1 else ()


def _graphs(tasks: Iterable[Iterator[Any]]) -> Iterator[list[Any]]:
    """Yield tasks enough for a graph, whole time blocks, whose states are then made once."""
    graph: list[Any] = []
    for some in tasks:
        graph.extend(some)
        if len(graph) >= GRAPH_BLOCKS:
            yield graph
            graph = []
    if graph:
        yield graph


def compute(tasks: list[Any], pool: ThreadPoolExecutor) -> None:
    """Compute delayed calls in a pool of threads."""
    # Not by the name "threads", for which Dask loads distributed, to see whether a client is there.
    dask.compute(*tasks, scheduler=dask.threaded.get, pool=pool, optimize_graph=False)
