"""The one schedule of a run: which tasks there are, in which order, and what each waits for; whoever runs them.

Tasks are Dask's. Threads of this process, worker processes of this machine and a running cluster get the same ones, and
the same functions do them (`worker`). They differ in `Tasks`: how Dask is handed a task, where each may run, and
what may be done ahead.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from aqreanalysis.production.execute.worker import Job, Worker
from aqreanalysis.production.plan import Block, Plan
from aqreanalysis.production.stores.store import BlockResult

# Blocks a task, where each thread has many: driver and scheduler of a cluster take some 7 ms of a processor a task, a
# block 80 ms.
BLOCKS_A_TASK = 4

OnDone = Callable[[BlockResult | None], None]


class Executor(Protocol):
    """Who computes the blocks of a job."""

    def run(self, job: Job, done: set[int], on_done: OnDone, stop: threading.Event) -> None:
        """Compute and write the blocks that are not `done`.

        Parameters
        ----------
        job : Job
            What is computed, and where it goes.
        done : set of int
            Numbers to leave out.
        on_done : callable
            Called in this thread with each `BlockResult`; None is a block that was not begun.
        stop : threading.Event
            Once set, blocks in hand are finished and no other is begun.
        """


class Tasks(Protocol):
    """How an executor hands tasks to Dask.

    Attributes
    ----------
    tiles_ahead : int
        Tiles whose geometry is made while the first time block is encoded.
    blocks_a_task : int
        At the most.
    """

    tiles_ahead: int
    blocks_a_task: int

    def task(self, method: Callable[..., Any], *given: Any, address: str | None = None) -> Any:
        """Return a task that calls a method of `Worker` with what is given, tasks among it as their results.

        `address` is one of `addresses`, where it is wanted; another takes it where it has nothing else to do.
        """

    @property
    def addresses(self) -> Sequence[str]:
        """The address of each thread that works, that of its process; empty where they have none."""

    def parts(self, time: tuple[int, int]) -> Sequence[range]:
        """Return the hours of a time block that are encoded apart and then joined; empty: it is encoded at once."""


def sweep_tasks(job: Job, done: set[int], dask: Tasks) -> Iterator[Iterator[Any]]:
    """Yield the tasks of each time block, which share its station states; each gives a list of `BlockResult`."""
    plan = job.inputs.plan
    ahead = itertools.chain(itertools.repeat(True, dask.tiles_ahead), itertools.repeat(False))

    def block_tasks(time: tuple[int, int], blocks: list[Block]) -> Iterator[Any]:
        parts = [dask.task(Worker.encode_part, hours) for hours in dask.parts(time)]
        states = dask.task(Worker.encode, time, *parts)
        # Addresses are asked anew for each time block: workers of a cluster come and go.
        for address, some in share_blocks(blocks, dask.addresses, plan.tiles, dask.blocks_a_task):
            after = dask.task(Worker.make_geometry, some[0], address=address) if next(ahead) else None
            yield dask.task(Worker.run_blocks, states, some, after, address=address)

    for time, blocks in pending_blocks(plan, done):
        yield block_tasks(time, blocks)


def mean_tasks(job: Job, done: set[int], dask: Tasks) -> Iterator[Iterator[Any]]:
    """Yield the tasks of cubes of means, which read the sums that all blocks of the sweep have left."""
    number = job.inputs.plan.blocks
    # Blocks of all cubes are counted on from those of the sweep, so that one ledger holds them.
    for frequency, plan in (job.inputs.means.plans if job.inputs.means else {}).items():
        for place in range(plan.blocks):
            if number not in done:
                block = plan.get_block(place)
                yield iter([dask.task(Worker.aggregate_means, frequency, block, number)])
            number += 1


def share_blocks(
    blocks: list[Block], addresses: Sequence[str], tiles: int, most: int
) -> Iterator[tuple[str | None, list[Block]]]:
    """Yield the blocks of a time block a task at a time, and before them the address that each is wanted at.

    A tile belongs to one thread, whose process keeps its geometry from one time block to the next. Where threads have
    no address, tasks wait for any.

    Parameters
    ----------
    blocks : list of Block
        What is left of a time block.
    addresses : sequence of str
        As of `Tasks.addresses`.
    tiles : int
        Of a whole time block.
    most : int
        Blocks a task.
    """
    count = max(1, len(addresses))
    size = max(1, min(most, len(blocks) // (4 * count)))
    own = [[block for block in blocks if block.number % tiles % count == thread] for thread in range(count)]
    for begin in range(0, max(map(len, own)), size):
        for thread, mine in enumerate(own):
            some = mine[begin : begin + size]
            if some:
                yield addresses[thread] if addresses else None, some


def pending_blocks(plan: Plan, done: set[int]) -> Iterator[tuple[tuple[int, int], list[Block]]]:
    """Yield each time block that has blocks left to do, with them."""
    for index in range(plan.counts[0]):
        left = [block for block in plan.blocks_of(index) if block.number not in done]
        if left:
            yield plan.time_block(index), left


def default_threads() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
