"""What a run will take, from what a short trial measured: seconds, bytes on the disk, memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aqreanalysis.grids import Grid
from aqreanalysis.production.execute.dask_cluster import cluster_client
from aqreanalysis.production.execute.schedule import default_threads
from aqreanalysis.production.layers import CUBE_DIMS
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan import HOURS_A_DAY
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.resume.ledger import SYNC_SECONDS
from aqreanalysis.production.sweep import GEOMETRY_BYTES

# At which finished chunks are copied where a store copies them, the disk left aside.
COPY_BYTES_A_SECOND = 500e6


@dataclass(frozen=True)
class MeasuredRates:
    """What a trial on this machine measured.

    Attributes
    ----------
    seconds : float
        That the trial took.
    concurrency : int
        Blocks that it computed side by side; the times of blocks are those of one among so many.
    warm_seconds : float
        That the first block of a process costs beyond the others.
    encode_seconds : float
        Station states of a whole time block, in one thread.
    geometry_seconds, sweep_seconds : float
        Geometry of a wanted cell; a wanted cell and hour, with compression and writing.
    mean_seconds : dict
        Frequency of means -> seconds of a wanted cell and day.
    disk_bytes_a_second : float
        That reach the disk.
    shares : dict
        Frequency -> layer -> stored bytes a raw byte of a wanted cell; what is not there counts whole.
    block_bytes, geometry_bytes : float
        Memory that one more block in hand takes; of the geometry of a wanted cell.
    process_bytes, observations_bytes : int
        Memory of a computing process before its first block; of the observations, which the driving process alone has.
    worker_seconds : float
        Until a worker process is there, which is begun while the driver reads.
    """

    seconds: float
    concurrency: int
    warm_seconds: float
    encode_seconds: float
    geometry_seconds: float
    sweep_seconds: float
    mean_seconds: Mapping[str, float]
    disk_bytes_a_second: float
    shares: Mapping[str, Mapping[str, float]]
    block_bytes: float
    geometry_bytes: float
    process_bytes: int
    observations_bytes: int
    worker_seconds: float = 0.0


@dataclass(frozen=True)
class Workers:
    """Who computes.

    Attributes
    ----------
    concurrency : int
        Blocks in hand at once.
    processes : int
        That share them; each keeps geometry of its own.
    workers : bool
        Whether they are worker processes beside the driving one.
    here : bool
        Whether they are on this machine, whose processors then bound how many get on.
    """

    concurrency: int
    processes: int = 1
    workers: bool = False
    here: bool = True

    @property
    def running(self) -> int:
        """Blocks in hand that have a processor."""
        return min(self.concurrency, default_threads()) if self.here else self.concurrency


def workers_of(options: ProduceOptions) -> Workers:
    """Return who computes by the options of a run.

    Raises
    ------
    OutputError
        If the scheduler does not answer.
    """
    if options.scheduler is not None:
        with cluster_client(None, options.scheduler) as client:
            threads = client.nthreads()
        return Workers(sum(threads.values()), len(threads), workers=True, here=False)
    if options.workers is not None:
        return Workers(options.workers, options.workers, workers=True)
    return Workers(options.threads or default_threads())


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes
    ----------
    start_seconds, sweep_seconds, finish_seconds : float
        Reading and loading; from the first block to the last; from there to the final name.
    processor_seconds : float
        Of the sweep, summed over all that compute.
    stored_bytes : dict
        Frequency -> layer -> bytes, compressed.
    disk_bytes : int
        On the disk at the fullest moment: stores, sums of days, saved geometry, and finished cubes beside the chunks
        that they are copied from.
    worker_bytes, memory_bytes : int
        Memory of one computing process at its peak, and of all on this machine.
    """

    start_seconds: float
    sweep_seconds: float
    finish_seconds: float
    processor_seconds: float
    stored_bytes: dict[str, dict[str, int]]
    disk_bytes: int
    worker_bytes: int
    memory_bytes: int

    @property
    def seconds(self) -> float:
        """From the command to the cube under its name."""
        return self.start_seconds + self.sweep_seconds + self.finish_seconds

    @property
    def cube_bytes(self) -> int:
        """Of all finished cubes."""
        return sum(sum(layers.values()) for layers in self.stored_bytes.values())


def estimate(prepared: Prepared, rates: MeasuredRates, crew: Workers, copies: bool, start_seconds: float) -> Estimate:
    """Return what a run will take.

    Parameters
    ----------
    prepared : Prepared
        The run.
    rates : MeasuredRates
        Of `trial.measure_rates` for this run.
    crew : Workers
        Who computes.
    copies : bool
        Whether the finished cubes are copied from their chunks at the end.
    start_seconds : float
        That reading and loading have taken.
    """
    plan, cells, at_once = prepared.plan, wanted_cells(prepared.grid), crew.running
    time_blocks = plan.counts[0]
    geometry = rates.geometry_bytes * cells
    # What finds no room in the caches is made again in each time block.
    missed = max(0.0, 1 - crew.processes * GEOMETRY_BYTES / geometry) if geometry else 0.0
    busy = (
        _whole_rounds(plan.blocks, at_once)
        * cells
        * (rates.geometry_seconds * (1 + missed * (time_blocks - 1)) + rates.sweep_seconds * plan.hours)
    )
    busy += rates.encode_seconds * time_blocks
    for name, seconds in rates.mean_seconds.items():
        rounds = _whole_rounds(prepared.cubes[name].plan.blocks, at_once)
        busy += rounds * seconds * cells * plan.hours / HOURS_A_DAY
    stored = stored_bytes(prepared, rates)
    cube_bytes = sum(sum(layers.values()) for layers in stored.values())
    sums_bytes = prepared.sums_bytes * cells // prepared.grid.size
    saved_bytes = int(min(geometry, GEOMETRY_BYTES)) if time_blocks > 1 and not crew.workers else 0
    to_disk = (cube_bytes + sums_bytes) / rates.disk_bytes_a_second
    waits = max(rates.worker_seconds - start_seconds * crew.here, 0.0)
    sweep = waits + rates.warm_seconds + max(busy / at_once, to_disk)
    # What the last minute wrote must reach the disk; what is copied is written once more, by one process.
    finish = min(to_disk, SYNC_SECONDS * to_disk / max(sweep, 1e-9))
    if copies:
        finish += cube_bytes * (1 / COPY_BYTES_A_SECOND + 1 / rates.disk_bytes_a_second)
    in_hand = min(math.ceil(crew.concurrency / crew.processes), plan.blocks) * rates.block_bytes
    worker = int(rates.process_bytes + in_hand + min(geometry, GEOMETRY_BYTES))
    # Beside the driver, the process that workers are forked from.
    driver = rates.process_bytes * (2 if crew.workers and crew.here else 1) + rates.observations_bytes
    worker += 0 if crew.workers else rates.observations_bytes
    return Estimate(
        start_seconds=start_seconds,
        sweep_seconds=sweep,
        finish_seconds=finish,
        processor_seconds=busy,
        stored_bytes=stored,
        disk_bytes=sums_bytes + saved_bytes + cube_bytes * (2 if copies else 1),
        worker_bytes=worker,
        memory_bytes=driver + worker * crew.processes * crew.here if crew.workers else worker,
    )


def wanted_cells(grid: Grid) -> int:
    """Return how many cells get values."""
    return int(grid.size if grid.mask is None else np.count_nonzero(grid.mask))


def stored_bytes(prepared: Prepared, rates: MeasuredRates) -> dict[str, dict[str, int]]:
    """Return frequency -> layer -> bytes on the disk; where nothing is wanted all values are one, which takes no
    room."""
    cells = wanted_cells(prepared.grid)
    return {
        name: {
            layer.name: int(
                cells
                * (cube.plan.steps if layer.dims == CUBE_DIMS else 1)
                * np.dtype(layer.dtype).itemsize
                * rates.shares.get(name, {}).get(layer.name, 1.0)
            )
            for layer in cube.layers
        }
        for name, cube in prepared.cubes.items()
    }


def _whole_rounds(blocks: int, at_once: int) -> float:
    """Return by how much the time of `blocks` grows because the last round is not full."""
    return math.ceil(blocks / at_once) * at_once / blocks
