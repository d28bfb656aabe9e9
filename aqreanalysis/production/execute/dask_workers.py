"""Blocks on the workers of a Dask client: processes of this machine, or a running cluster."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqreanalysis.errors import OutputError
from aqreanalysis.model import load_predictor
from aqreanalysis.model.distribution.external_drift import StaticSource
from aqreanalysis.model.network.scaling import FieldSource, Paths
from aqreanalysis.production.execute.schedule import BLOCKS_A_TASK, OnDone, mean_tasks, sweep_tasks
from aqreanalysis.production.execute.worker import Job, on_worker
from aqreanalysis.production.stores.store import BlockResult

if TYPE_CHECKING:
    from distributed import Client

# Tasks submitted at once for each thread of the workers: enough that none waits for the driver, few enough that neither
# the scheduler nor the workers' memory grows with the cube.
IN_FLIGHT = 2


class ClientExecutor:
    """The workers of a client, which must see the unfinished store under the same path.

    Tasks go out a few for each worker thread, so that memory stays flat. A worker that dies costs the blocks it had in
    hand: Dask computes them again elsewhere, and a chunk written twice is the same chunk.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def run(self, job: Job, done: set[int], on_done: OnDone, stop: threading.Event) -> None:
        """Compute and write the blocks that are not `done`; see `Executor`.

        Raises
        ------
        OutputError
            If a block killed every worker that it was given to.
        """
        from distributed import as_completed

        tasks = SubmittedTasks(self.client, job)
        # One after the other: a block of means reads the sums of many.
        for futures in map(chain.from_iterable, (sweep_tasks(job, done, tasks), mean_tasks(job, done, tasks))):
            # By this client's loop: the caller may have another client, which is Dask's default.
            flowing = as_completed(loop=self.client.loop)
            in_flight = 0
            while not stop.is_set() and (future := next(futures, None)) is not None:
                flowing.add(future)
                in_flight += 1
                while in_flight >= IN_FLIGHT * max(1, len(tasks.addresses)):
                    _hand_on(next(flowing), on_done)
                    in_flight -= 1
            while in_flight:
                _hand_on(next(flowing), on_done)
                in_flight -= 1


class SubmittedTasks:
    """Tasks as futures, each submitted when it is asked for.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    job : Job
        What all tasks share.
    """

    blocks_a_task = BLOCKS_A_TASK
    tiles_ahead = 0

    def __init__(self, client: Client, job: Job) -> None:
        self._client = client
        # A task and not scattered: if every holder dies, the scheduler can make it again.
        self._shared = client.submit(_hand_over, job, key=f"job-{job.token}")

    def task(self, method: Callable[..., Any], *given: Any, address: str | None = None) -> Any:
        """Return a future; see `Tasks`."""
        key = f"{method.__name__}-{uuid.uuid4().hex}"  # by which the dashboard names and colours it
        where: dict[str, Any] = {} if address is None else {"workers": [address], "allow_other_workers": True}
        return self._client.submit(on_worker, self._shared, method, *given, key=key, **where)

    @property
    def addresses(self) -> Sequence[str]:
        """The address of each worker, as often as it has threads."""
        return [address for address, threads in sorted(self._client.nthreads().items()) for _ in range(threads)]

    def parts(self, time: tuple[int, int]) -> Sequence[range]:
        """Return none: other workers have other time blocks to do meanwhile."""
        return ()


def memory_with_model(
    model_path: Path | None, covariates: FieldSource | None = None, static: StaticSource | Paths | None = None
) -> int:
    """Return the bytes of a worker process that has loaded a model, with what it reads beside stations, if any."""
    import psutil

    if model_path is not None:
        load_predictor(model_path, "cpu", covariates, static)
    return int(psutil.Process().memory_info().rss)


def _hand_over(job: Job) -> Job:
    """Task: what all others share."""
    return job


def _hand_on(future: Any, on_done: OnDone) -> None:
    """Hand on what a finished task has done; raise what it raised."""
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    try:
        results: list[BlockResult | None] = future.result()
    except KilledWorker:
        raise OutputError(
            "a block was tried on several workers and each of them died, most likely for want of memory; lower "
            "production.tile_rows, production.tile_columns or the number of workers, and run the same command again"
        ) from None
    except (CancelledError, CommClosedError):
        raise OutputError(
            "the Dask scheduler was lost, or it dropped the blocks in hand; those that are finished are kept: start it "
            "again and run the same command"
        ) from None
    for result in results:
        on_done(result)
