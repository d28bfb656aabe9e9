"""One process' side of a run: the job, the worker that does it, and the tasks that Dask calls."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from aqreanalysis.common.library_threads import one_thread
from aqreanalysis.model import load_predictor
from aqreanalysis.model.protocol import EncodedStations
from aqreanalysis.production.day_sums import day_block, sums_name
from aqreanalysis.production.period_means import mean_block
from aqreanalysis.production.plan import Block
from aqreanalysis.production.plan.inputs import StagedWindow
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.plan.timeline import HOURLY
from aqreanalysis.production.stores.store import BlockResult, Store, Written
from aqreanalysis.production.stores.zarr import DaySums
from aqreanalysis.production.sweep import (
    BlockStates,
    GeometryCache,
    Layers,
    SweepInputs,
    encode_part,
    encode_time_block,
    sweep_block,
    tile_geometry,
    wanted_cells,
)


@dataclass(frozen=True)
class JobStores:
    """Where blocks are written.

    Attributes
    ----------
    cubes : mapping
        Frequency -> its store.
    sums : DaySums or None
        Those of days, where means are wanted.
    """

    cubes: Mapping[str, Store]
    sums: DaySums | None = None


@dataclass(frozen=True)
class Job:
    """What a worker needs to compute and write any block.

    Attributes
    ----------
    token : str
        Names the job; a worker keeps what it loaded under it.
    inputs : SweepInputs
        With ``predictor`` None where workers load the model themselves.
    model_path, device : str or None
        Where from, and onto what.
    stores : JobStores
        Where to.
    """

    token: str
    inputs: SweepInputs
    model_path: str | None
    device: str
    stores: JobStores


class Worker:
    """One process' side of a job: the model and the geometry, kept from block to block."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.inputs = job.inputs
        if job.model_path is not None:
            device = device_of_worker(job.device)
            predictor = load_predictor(job.model_path, device, job.inputs.covariates, job.inputs.static)
            self.inputs = replace(job.inputs, predictor=predictor)
        self.cache = GeometryCache()
        self.stop = threading.Event()

    def encode(self, time_range: tuple[int, int], *parts: EncodedStations | None) -> BlockStates | None:
        """Return the station states of a time block, from the parts of `encode_part` if there are any; None if the run
        was asked to stop."""
        encoded = [part for part in parts if part is not None]
        if self.stop.is_set() or len(encoded) < len(parts):
            return None
        one_thread()
        return encode_time_block(self.inputs, time_range, encoded or None)

    def encode_part(self, hours: range) -> EncodedStations | None:
        """Return what the stations say of a part of `split_time_block`; None if the run was asked to stop."""
        if self.stop.is_set():
            return None
        one_thread()
        return encode_part(self.inputs, hours)

    def make_geometry(self, block: Block) -> None:
        """Make the geometry of a block's tile beforehand, if a cell of it is wanted."""
        if not self.stop.is_set() and wanted_cells(self.inputs, block).any():
            one_thread()
            tile_geometry(self.inputs, block, self.cache)

    def run(self, states: BlockStates | None, block: Block) -> BlockResult | None:
        """Compute and write a block; None if the run was to stop before it was begun."""
        if states is None or self.stop.is_set():
            return None
        one_thread()
        begun = time.perf_counter()
        layers = sweep_block(self.inputs, states, block, self.cache)
        written: list[Written] = []
        if self.job.stores.sums is not None:
            sums = {name: layers.pop(name) for name in map(sums_name, self.inputs.species)}
            written.append(self.job.stores.sums.write(day_block(block), sums))
        if self.inputs.hourly:
            written.append(self.write_hours(block, layers))
        seconds = time.perf_counter() - begun
        return BlockResult(block.number, block.cell_hours, Written.joined(written), seconds)

    def aggregate_means(self, frequency: str, block: Block, number: int) -> BlockResult | None:
        """Compute and write a block of means from the sums of days; it is noted under `number`."""
        if self.stop.is_set():
            return None
        begun = time.perf_counter()
        sums = self.job.stores.sums
        assert sums is not None
        layers = mean_block(self.inputs, frequency, block, lambda key, days: sums.read(sums_name(key), days))
        written = self.job.stores.cubes[frequency].write(block, layers)
        return BlockResult(number, 0, written, time.perf_counter() - begun)

    def write_hours(self, block: Block, layers: Layers) -> Written:
        """Write hourly layers of a block."""
        return self.job.stores.cubes[HOURLY].write(block, layers)


def make_job(prepared: Prepared, window: StagedWindow, stores: JobStores, model: tuple[Path | None, str]) -> Job:
    """Return the job of a prepared run.

    Parameters
    ----------
    prepared : Prepared
        The run.
    window : StagedWindow
        Readings.
    stores : JobStores
        Where to.
    model : tuple
        The bundle, if workers are to load it themselves (None ships the predictor to them once), and onto what device.
    """
    model_path, device = model
    digest = hashlib.sha256(json.dumps(prepared.fingerprint, sort_keys=True).encode())
    digest.update(repr(stores).encode())
    inputs = prepared.sweep_inputs(replace(window, path=str(Path(window.path).resolve())))
    if model_path is not None:
        inputs = replace(inputs, predictor=None)  # type: ignore[arg-type]  # each worker puts its own there
    bundle = None if model_path is None else str(model_path.resolve())
    return Job(digest.hexdigest(), inputs, bundle, device, stores)


def device_of_worker(asked: str) -> str:
    """Return the device of this worker process: of several GPUs on a machine each of `--workers` takes its own.

    More workers than GPUs share them in turn. Workers of a cluster that was started elsewhere have names of any kind:
    whoever starts them says which GPU each sees (``CUDA_VISIBLE_DEVICES``, or dask-cuda, which sets it).
    """
    if asked not in ("auto", "cuda"):
        return asked
    import torch
    from distributed import get_worker

    gpus = torch.cuda.device_count()
    try:
        name = get_worker().name
    except ValueError:  # the threads of one process
        return asked
    return f"cuda:{name % gpus}" if gpus > 1 and isinstance(name, int) else asked


_WORKERS: dict[str, Worker] = {}
_WORKERS_LOCK = threading.Lock()


def worker_of(shared: Job | Worker) -> Worker:
    """Return the worker of this process: the driver's threads share theirs, another process makes one of the job."""
    if isinstance(shared, Worker):
        return shared
    with _WORKERS_LOCK:
        if shared.token not in _WORKERS:
            _WORKERS.clear()  # a worker of a long-lived cluster keeps one job only
            _WORKERS[shared.token] = Worker(shared)
            threadpool_limits(1, user_api="blas")  # once for this process: see `threads_restored`
        return _WORKERS[shared.token]


def share_job(shared: Job | Worker) -> Job | Worker:
    """Task: hand on what all others share."""
    return shared


def encode(shared: Job | Worker, time_range: tuple[int, int], *parts: EncodedStations | None) -> BlockStates | None:
    """Task: the station states of a time block."""
    return worker_of(shared).encode(time_range, *parts)


def encode_hours(shared: Job | Worker, hours: range) -> EncodedStations | None:
    """Task: what the stations say of some hours of a time block."""
    return worker_of(shared).encode_part(hours)


def make_geometry(shared: Job | Worker, block: Block) -> None:
    """Task: the geometry of a block's tile, beforehand."""
    worker_of(shared).make_geometry(block)


def run_blocks(
    shared: Job | Worker, states: BlockStates | None, blocks: list[Block], after: None = None
) -> list[BlockResult | None]:
    """Task: compute and write some blocks of a time block, `after` their geometry where it is made beforehand."""
    worker = worker_of(shared)
    return [worker.run(states, block) for block in blocks]


def aggregate_means(shared: Job | Worker, frequency: str, block: Block, number: int) -> list[BlockResult | None]:
    """Task: compute and write a block of means from the sums of days."""
    return [worker_of(shared).aggregate_means(frequency, block, number)]
