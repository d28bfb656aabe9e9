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
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from isal import isal_zlib
from numpy.typing import NDArray

from aqreanalysis.common.library_threads import threads_restored
from aqreanalysis.errors import OutputError
from aqreanalysis.model.distribution.external_drift import StaticSource
from aqreanalysis.model.network.scaling import FieldSource
from aqreanalysis.production.day_sums import sums_name, sums_width
from aqreanalysis.production.dry_run.estimate import SUMS, MeasuredRates
from aqreanalysis.production.execute import dask_workers
from aqreanalysis.production.execute.dask_cluster import cluster_client
from aqreanalysis.production.execute.worker import JobStores, Worker, make_job
from aqreanalysis.production.period_means import mean_block
from aqreanalysis.production.plan import HOURS_A_DAY, Block
from aqreanalysis.production.plan.inputs import HourSpan, span_of, stage_readings
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.plan.timeline import HOURLY
from aqreanalysis.production.stores.store import Store, Written
from aqreanalysis.production.stores.zarr import DaySums
from aqreanalysis.production.sweep import BlockStates, GeometryCache, sweep_block

# A block of the trial is cut to so many cell-hours: enough to run at a block's speed, few enough to take a second.
TRIAL_CELL_HOURS = 700_000
# Repetitions with the geometry known go on for so long, at least two of them.
REPEAT_SECONDS = 1.0
DISK_BYTES = 32_000_000
# Means are tried on so many rows of a block, over so many days at most.
JOIN_ROWS = 8
JOIN_DAYS = 62


@dataclass(frozen=True)
class Trial:
    """How to try a run.

    Attributes
    ----------
    prepared : Prepared
        The run.
    stores : mapping
        Frequency -> the store that it writes to; the trial writes to one like it.
    concurrency : int
        Blocks side by side; no more than there are processors or blocks make sense.
    folder : Path
        Where to write; on the disk of the output, so that its speed is measured.
    workers : bool
        Whether processes of their own compute; then one is started to see what that takes.
    """

    prepared: Prepared
    stores: Mapping[str, Store]
    concurrency: int
    folder: Path
    workers: bool = False


def measure_rates(trial: Trial) -> MeasuredRates:
    """Return what the trial measured; whatever it wrote is gone when it returns.

    Raises
    ------
    OutputError
        If its folder cannot be written.
    """
    begun = time.perf_counter()
    try:
        with threads_restored(), tempfile.TemporaryDirectory(prefix=".aqreanalysis-trial-", dir=trial.folder) as folder:
            rates = _Running(trial, Path(folder)).measure()
    except OSError as error:
        raise OutputError(
            f"no trial can be written under {trial.folder}: {error.strerror or error}; mend it, or leave the trial out "
            "with --no-calibration"
        ) from None
    if trial.workers:
        start, launch, size = measure_worker(
            trial.prepared.model_path, trial.prepared.predictor.covariates, trial.prepared.static
        )
        rates = replace(rates, worker_start_seconds=start, worker_launch_seconds=launch, process_bytes=size)
    return replace(rates, seconds=time.perf_counter() - begun)


def measure_worker(
    model_path: Path | None, covariates: FieldSource | None = None, static: StaticSource | None = None
) -> tuple[float, float, int]:
    """Return how long worker processes take to begin, and the memory of one.

    Returns
    -------
    start_seconds : float
        Until what all of them import is there; a run begins it while it still reads its inputs.
    launch_seconds : float
        From then until a worker is forked and has the model.
    process_bytes : int
        Of a worker before its first block.
    """
    seconds, size = [], 0
    for _ in range(2):  # the second finds the imports done
        begun = time.perf_counter()
        with cluster_client(1, None) as client:
            size = client.submit(dask_workers.memory_with_model, model_path, covariates, static, pure=False).result()
            seconds.append(time.perf_counter() - begun)
    return max(seconds[0] - seconds[1], 0.0), seconds[1], size


class _Running:
    """A trial on its way: the worker, the states of a time block, the blocks that are tried."""

    def __init__(self, trial: Trial, folder: Path) -> None:
        self.trial, self.prepared, self.folder = trial, trial.prepared, folder
        self.plan = self.prepared.plan
        self.time_index = (self.plan.counts[0] - 1) // 2
        self.time = self.plan.time_block(self.time_index)
        self.stores = self._create_stores()
        window = stage_readings(
            self.prepared.observations, tuple(self.prepared.predictor.inputs), self._span(), folder / "readings.npy"
        )
        self.worker = Worker(make_job(self.prepared, window, self.stores, (None, "cpu")))
        self.written: list[Written] = []
        self.blocks = self._choose_blocks()

    def _span(self) -> HourSpan:
        """Return the hours that the time block reads."""
        return span_of(self.plan, self.prepared.predictor, self.prepared.last_reading, self.time)

    def _create_stores(self) -> JobStores:
        prepared = self.prepared
        stores = {name: store.sample(self.folder) for name, store in self.trial.stores.items()}
        for name, store in stores.items():
            store.create(prepared.template(prepared.facts(), name))
        sums = None
        if (means := prepared.means()) is not None:
            sums = DaySums(self.folder / "sums.zarr")
            widths = {sums_name(key): sums_width(c.autocovariance) for key, c in means.calibrations.items()}
            sums.create(prepared.plan, widths, prepared.production.compression_level)
        return JobStores(stores, sums)

    def _choose_blocks(self) -> list[Block]:
        """Return blocks to try side by side, of tiles with most wanted cells, evenly over the grid, cut if large."""
        first = self.time_index * self.plan.tiles
        wanted = np.array([self._wanted(self.plan.get_block(first + tile)) for tile in range(self.plan.tiles)])
        full = np.flatnonzero(wanted >= wanted.max() / 2)
        places = full[np.linspace(0, full.size, self.trial.concurrency, endpoint=False).astype(int)]
        return [self._cut(self.plan.get_block(first + int(place))) for place in places]

    def _cut(self, block: Block) -> Block:
        hours = block.time[1] - block.time[0]
        columns = min(block.columns[1] - block.columns[0], max(1, TRIAL_CELL_HOURS // hours))
        rows = max(1, TRIAL_CELL_HOURS // (hours * columns))
        return replace(
            block,
            rows=(block.rows[0], min(block.rows[1], block.rows[0] + rows)),
            columns=(block.columns[0], block.columns[0] + columns),
        )

    def _wanted(self, block: Block) -> int:
        if self.prepared.grid.mask is None:
            return (block.rows[1] - block.rows[0]) * (block.columns[1] - block.columns[0])
        return int(np.count_nonzero(self.prepared.grid.mask[slice(*block.rows), slice(*block.columns)]))

    def measure(self) -> MeasuredRates:
        """Return the rates; `seconds` is left to the caller."""
        worker, concurrency, hours = self.worker, len(self.blocks), self.time[1] - self.time[0]
        observations = self._observations_bytes()
        first, encode, states = self._encode_twice()
        warm = first - encode + self._warm_up(states)
        cells = sum(self._wanted(block) for block in self.blocks)
        with PeakMemory() as memory, ThreadPoolExecutor(concurrency) as pool:
            fresh = self._round(pool, states)
            again = self._repeat(pool, states)
        geometry_bytes = worker.cache.bytes
        in_hand = max(memory.grown - geometry_bytes, 0) / (cells * hours)  # a cell and hour of a block
        shares, joins = self._outputs(states)
        return MeasuredRates(
            seconds=0.0,
            concurrency=concurrency,
            warm_seconds=max(warm, 0.0),
            encode_seconds=encode,
            geometry_seconds=concurrency * max(fresh - again, 0.0) / cells,
            sweep_seconds=concurrency * again / (cells * hours),
            join_seconds=joins,
            disk_bytes_a_second=self._disk_speed(),
            shares=shares,
            block_bytes=int(max(in_hand, self.plan.value_bytes) * np.prod(self.plan.block)),
            geometry_bytes=geometry_bytes / cells,
            process_bytes=max(memory.before - observations, 0),
            observations_bytes=observations,
        )

    def _observations_bytes(self) -> int:
        """Return the bytes of the readings."""
        return self.prepared.observations.held_bytes()

    def _encode_twice(self) -> tuple[float, float, BlockStates]:
        """Return the seconds of the first time, which loads what is loaded on first use, and of the second."""
        begun = time.perf_counter()
        self.worker.encode(self.time)
        between = time.perf_counter()
        states = self.worker.encode(self.time)
        assert states is not None  # nobody stops a trial
        return between - begun, time.perf_counter() - between, states

    def _warm_up(self, states: BlockStates) -> float:
        """Return the seconds of the first sweep of a process, of next to no cells."""
        rows, columns = (slice(*edges) for edges in self.blocks[0].tile)
        mask = self.prepared.grid.mask
        row, column = (0, 0) if mask is None else np.argwhere(mask[rows, columns])[0].tolist()
        place = (rows.start + row, rows.start + row + 1), (columns.start + column, columns.start + column + 1)
        begun = time.perf_counter()
        sweep_block(self.worker.inputs, states, Block(0, self.time, *place), GeometryCache())
        return time.perf_counter() - begun

    def _round(self, pool: ThreadPoolExecutor, states: BlockStates) -> float:
        """Return the seconds of all blocks side by side."""
        begun = time.perf_counter()
        done = list(pool.map(lambda block: self.worker.run(states, block), self.blocks))
        self.written = [one.written for one in done if one is not None]
        return time.perf_counter() - begun

    def _repeat(self, pool: ThreadPoolExecutor, states: BlockStates) -> float:
        """Return the median seconds of rounds with the geometry known."""
        rounds = [self._round(pool, states)]
        while len(rounds) < 2 or sum(rounds) < REPEAT_SECONDS:
            rounds.append(self._round(pool, states))
        return float(np.median(rounds))

    def _outputs(self, states: BlockStates) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """Return frequency -> layer -> stored bytes a raw byte, and frequency -> seconds of joining a cell and day."""
        shares: dict[str, dict[str, float]] = {}
        joins: dict[str, float] = {}
        raw = sum(self._wanted(block) for block in self.blocks) * (self.time[1] - self.time[0])
        if self.worker.inputs.hourly:
            layers = {x.name: np.dtype(x.dtype).itemsize for x in self.prepared.cubes[HOURLY].layers}
            shares[HOURLY] = {
                name: size / (bytes_ * raw)
                for name, bytes_ in layers.items()
                if (size := sum(one.chunks[name].size for one in self.written if name in one.chunks))
            }
        if (means := self.worker.inputs.means) is not None:
            sums = self._day_sums(states)
            shares[SUMS] = {SUMS: _share(next(iter(sums.values())))}
            for name in means.plans:
                joins[name], shares[name] = self._join(name, sums)
        return shares, joins

    def _day_sums(self, states: BlockStates) -> dict[str, NDArray[np.float32]]:
        """Return the sums of the first day of a narrow strip of a block, by pollutant, (day, row, column, value)."""
        block = self.blocks[0]
        strip = replace(block, rows=(block.rows[0], min(block.rows[1], block.rows[0] + JOIN_ROWS)))
        layers = sweep_block(self.worker.inputs, states, strip, GeometryCache())
        return {key: layers[sums_name(key)][:1] for key in self.worker.inputs.species}

    def _join(self, name: str, sums: dict[str, NDArray[np.float32]]) -> tuple[float, dict[str, float]]:
        """Return the seconds of a cell and day of joining a chunk of means, and what their layers compress to."""
        assert self.worker.inputs.means is not None
        plan = self.worker.inputs.means.plans[name]
        strip = self.blocks[0].rows[0], self.blocks[0].rows[0] + next(iter(sums.values())).shape[1]
        bounds = plan.bounds[: plan.block[0]]
        periods = max(1, min(len(bounds), JOIN_DAYS * HOURS_A_DAY // int(bounds[0, 1] - bounds[0, 0])))
        block = Block(0, (0, periods), strip, self.blocks[0].columns)

        def read(key: str, days: Block) -> NDArray[np.float32]:
            return np.repeat(sums[key], days.time[1] - days.time[0], axis=0)

        begun = time.perf_counter()
        layers = mean_block(self.worker.inputs, name, block, read)
        seconds = time.perf_counter() - begun
        days = int(bounds[periods - 1, 1] - bounds[0, 0]) // HOURS_A_DAY
        cells = int(np.isfinite(next(iter(sums.values()))[0, :, :, 0]).sum())
        # Of one period, because all have the same sums here.
        maps = {key: values[:1] if values.ndim == 3 else values for key, values in layers.items()}
        return seconds / (cells * days), {key: _share(values) for key, values in maps.items()}

    def _disk_speed(self) -> float:
        """Return the bytes a second that reach the disk."""
        data = np.random.default_rng(0).bytes(DISK_BYTES)
        begun = time.perf_counter()
        with (self.folder / "disk").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return DISK_BYTES / (time.perf_counter() - begun)


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
            lines = (line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
            self.peak = 1024 * int(next(lines).split()[1])
        else:
            self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    @property
    def grown(self) -> int:
        """By how many bytes."""
        return max(self.peak - self.before, 0)


def _share(values: NDArray[Any]) -> float:
    """Return the stored bytes a raw byte of an array, by a codec that comes close to that of either format."""
    shuffled = np.ascontiguousarray(values).reshape(-1).view(np.uint8).reshape(-1, values.itemsize).T.tobytes()
    return len(isal_zlib.compress(shuffled, 3)) / values.nbytes
