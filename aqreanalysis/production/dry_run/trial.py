"""A short trial of a run on this machine: one time block encoded, a few blocks of it swept, compressed and written.

It is the run's own code on the run's own inputs, in a temporary folder, so that nothing need be known of processors,
codecs or disks.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
from numpy.typing import NDArray

from aqreanalysis.common.library_threads import threads_restored
from aqreanalysis.errors import OutputError
from aqreanalysis.production.day_sums import sums_name
from aqreanalysis.production.dry_run.estimate import MeasuredRates
from aqreanalysis.production.execute.dask_cluster import cluster_client
from aqreanalysis.production.execute.dask_workers import memory_with_model
from aqreanalysis.production.execute.worker import JobStores, Worker, make_job, on_worker
from aqreanalysis.production.period_means import mean_block
from aqreanalysis.production.plan import HOURS_A_DAY, Block
from aqreanalysis.production.plan.inputs import span_of, stage_readings
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.plan.timeline import HOURLY
from aqreanalysis.production.stores.store import Store, Written
from aqreanalysis.production.stores.zarr import DaySums
from aqreanalysis.production.sweep import GEOMETRY_BYTES, BlockStates, GeometryCache, sweep_block, wanted_cells

T = TypeVar("T")

# A block of the trial is cut to so many cell-hours: enough to run at a block's speed, few enough to take a second.
TRIAL_CELL_HOURS = 700_000
# Rounds with the geometry known, of which the median counts.
ROUNDS = 3
DISK_BYTES = 32_000_000
# Means are tried on so many rows of a block, over so many days at most.
MEAN_ROWS = 8
MEAN_DAYS = 62


def measure_rates(
    prepared: Prepared, stores: Mapping[str, Store], folder: Path, concurrency: int, workers: bool = False
) -> MeasuredRates:
    """Return what a trial of a run measured; whatever it wrote is gone when it returns.

    Parameters
    ----------
    prepared : Prepared
        The run.
    stores : mapping
        Frequency -> the store that it writes to; the trial writes to one like it.
    folder : Path
        Where to write; on the disk of the output, so that its speed is measured.
    concurrency : int
        Blocks side by side; no more than there are processors or blocks make sense.
    workers : bool
        Whether processes of their own compute; then one is started to see what that takes.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    begun = time.perf_counter()
    try:
        with threads_restored(), tempfile.TemporaryDirectory(prefix=".aqreanalysis-trial-", dir=folder) as temporary:
            rates = _Trial(prepared, stores, Path(temporary), concurrency).measure()
    except OSError as error:
        raise OutputError(
            f"no trial can be written under {folder}: {error.strerror or error}; free some space there, or write to "
            "another disk (--out)"
        ) from None
    if workers:
        seconds, size = measure_worker(prepared)
        rates = replace(rates, worker_seconds=seconds, process_bytes=size)
    return replace(rates, seconds=time.perf_counter() - begun)


def measure_worker(prepared: Prepared) -> tuple[float, int]:
    """Return the seconds until a worker process is there with the model of a run, and its bytes of memory by then."""
    begun = time.perf_counter()
    with cluster_client(1, None) as client:
        model = prepared.model_path, prepared.predictor.covariates, prepared.static
        size = client.submit(memory_with_model, *model, pure=False).result()
    return time.perf_counter() - begun, size


class _Trial:
    """The worker of a trial, and the blocks that it tries: of tiles with most wanted cells, evenly over the grid."""

    def __init__(self, prepared: Prepared, stores: Mapping[str, Store], folder: Path, concurrency: int) -> None:
        self.plan, self.folder, level = prepared.plan, folder, prepared.production.compression_level
        self.observations_bytes = prepared.observations.held_bytes()
        samples = {name: store.sample(folder) for name, store in stores.items()}
        for name, store in samples.items():
            store.create(prepared.template(prepared.facts(), name))
        sums = DaySums(folder / "sums.zarr") if prepared.sums_widths else None
        if sums is not None:
            sums.create(self.plan, prepared.sums_widths, level)
        index = (self.plan.counts[0] - 1) // 2
        self.time = self.plan.time_block(index)
        span = span_of(self.plan, prepared.predictor, prepared.last_reading, self.time)
        inputs = tuple(prepared.predictor.inputs)
        window = stage_readings(prepared.observations, inputs, span, folder / "readings.npy")
        self.worker = Worker(make_job(prepared, window, JobStores(samples, sums), (None, "cpu")))
        tiles = list(self.plan.blocks_of(index))
        wanted = np.array([self._wanted(tile) for tile in tiles])
        full = np.flatnonzero(wanted >= wanted.max() / 2)
        rows = max(1, TRIAL_CELL_HOURS // (self.plan.block[0] * self.plan.block[2]))
        places = full[np.linspace(0, full.size, concurrency, endpoint=False).astype(int)]
        self.blocks = [_first_rows(tiles[place], rows) for place in places]
        self.layers = prepared.cubes[HOURLY].layers if HOURLY in prepared.cubes else ()
        self.written: list[Written] = []

    def measure(self) -> MeasuredRates:
        """Return the rates; `seconds` is left to the caller."""
        worker, count = self.worker, len(self.blocks)
        cells = sum(self._wanted(block) for block in self.blocks)
        cell_hours = cells * (self.time[1] - self.time[0])
        with ThreadPoolExecutor(count) as pool:
            first, _ = _timed(lambda: worker.encode(self.time))
            encode, states = _timed(lambda: worker.encode(self.time))
            assert states is not None  # nobody stops a trial
            with PeakMemory() as memory:
                first += self._round(pool, states)
            worker.cache = GeometryCache(GEOMETRY_BYTES)
            fresh = self._round(pool, states)
            again = float(np.median([self._round(pool, states) for _ in range(ROUNDS)]))
        # Of a cell and hour of a block.
        in_hand = max(memory.grown - worker.cache.bytes, 0) / cell_hours
        return MeasuredRates(
            seconds=0.0,
            concurrency=count,
            warm_seconds=max(first - encode - fresh, 0.0),
            encode_seconds=encode,
            geometry_seconds=count * max(fresh - again, 0.0) / cells,
            sweep_seconds=count * again / cell_hours,
            mean_seconds=self._time_means(states),
            disk_bytes_a_second=self._disk_speed(),
            shares={HOURLY: self._shares(cell_hours)},
            block_bytes=int(max(in_hand, self.plan.value_bytes) * np.prod(self.plan.block)),
            geometry_bytes=worker.cache.bytes / cells,
            process_bytes=max(memory.before - self.observations_bytes, 0),
            observations_bytes=self.observations_bytes,
        )

    def _wanted(self, block: Block) -> int:
        return int(np.count_nonzero(wanted_cells(self.worker.inputs, block)))

    def _round(self, pool: ThreadPoolExecutor, states: BlockStates) -> float:
        """Return the seconds of all blocks side by side."""
        seconds, done = _timed(
            lambda: list(pool.map(lambda block: on_worker(self.worker, Worker.run, states, block), self.blocks))
        )
        self.written = [one.written for one in done if one is not None]
        return seconds

    def _shares(self, cell_hours: int) -> dict[str, float]:
        """Return hourly layer -> stored bytes a raw byte of a wanted cell."""
        shares: dict[str, float] = {}
        for layer in self.layers:
            size = sum(one.layers[layer.name].size for one in self.written if layer.name in one.layers)
            if size:
                shares[layer.name] = size / (np.dtype(layer.dtype).itemsize * cell_hours)
        return shares

    def _time_means(self, states: BlockStates) -> dict[str, float]:
        """Return frequency -> seconds of a cell and day of means; the first day of a few rows stands for all days."""
        inputs, seconds = self.worker.inputs, {}
        if inputs.means is None:
            return {}
        strip = _first_rows(self.blocks[0], MEAN_ROWS)
        layers = sweep_block(inputs, states, strip, GeometryCache(GEOMETRY_BYTES))

        def read(key: str, days: Block) -> NDArray[np.float32]:
            return np.repeat(layers[sums_name(key)][:1], days.time[1] - days.time[0], axis=0)

        for name, plan in inputs.means.plans.items():
            bounds = plan.bounds[: plan.block[0]]
            periods = max(1, min(len(bounds), MEAN_DAYS * HOURS_A_DAY // int(bounds[0, 1] - bounds[0, 0])))
            days = int(bounds[periods - 1, 1] - bounds[0, 0]) // HOURS_A_DAY
            begun = time.perf_counter()
            mean_block(inputs, name, replace(strip, time=(0, periods)), read)
            seconds[name] = (time.perf_counter() - begun) / (self._wanted(strip) * days)
        return seconds

    def _disk_speed(self) -> float:
        """Return the bytes a second that reach the disk."""
        data = np.random.default_rng(0).bytes(DISK_BYTES)

        def write() -> None:
            with (self.folder / "disk").open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        return DISK_BYTES / _timed(write)[0]


class PeakMemory:
    """How much the memory of this process grows in a ``with``.

    Attributes
    ----------
    before, peak : int
        Bytes at its beginning, and the most since. Where the system cannot forget an older peak, `peak` may be that.
    """

    def __enter__(self) -> PeakMemory:
        """Begin."""
        with contextlib.suppress(OSError):  # Linux alone can
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self.before = self.peak = psutil.Process().memory_info().rss
        return self

    def __exit__(self, *_: object) -> None:
        """Take the peak."""
        status = Path("/proc/self/status")
        if status.exists():
            self.peak = 1024 * int(status.read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0])
        else:
            self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    @property
    def grown(self) -> int:
        """By how many bytes."""
        return max(self.peak - self.before, 0)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds of a call, and what it returns."""
    begun = time.perf_counter()
    made = work()
    return time.perf_counter() - begun, made


def _first_rows(block: Block, rows: int) -> Block:
    """Return the first rows of a block."""
    return replace(block, rows=(block.rows[0], min(block.rows[1], block.rows[0] + rows)))
