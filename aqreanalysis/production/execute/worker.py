"""How blocks get computed: a job, a process' side of it, and threads of this process; see `workers` for others."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import dask.threaded
from dask.callbacks import Callback

from aqreanalysis.common.library_threads import one_thread, threads_restored
from aqreanalysis.model import AnalysisPredictor, load_predictor
from aqreanalysis.production.period_means import day_block, mean_block, sums_name
from aqreanalysis.production.plan import Block, Plan
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
    split_time_block,
    sweep_block,
    tile_geometry,
    wanted_cells,
)

# Tiles whose geometry each further thread makes while the first encodes the first time block.
TILES_AHEAD = 8
# Time blocks joined into one Dask graph in threads, so that their seams do not idle a thread.
GRAPH_BLOCKS = 256


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


OnDone = Callable[[BlockResult | None], None]


class Worker:
    """One process' side of a job: the model and the geometry, kept from block to block."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.inputs = job.inputs
        if job.model_path is not None:
            device = device_of_worker(job.device)
            predictor = load_predictor(job.model_path, device, job.inputs.covariates)
            self.inputs = replace(job.inputs, predictor=predictor)
        self.cache = GeometryCache()
        self.stop = threading.Event()

    def encode(self, time_range: tuple[int, int], *parts: Any) -> BlockStates | None:
        """Return the station states of a time block, from the parts of `encode_part` if there are any; None if the run
        was asked to stop."""
        if self.stop.is_set() or any(part is None for part in parts):
            return None
        one_thread()
        return encode_time_block(self.inputs, time_range, parts or None)

    def encode_part(self, hours: range) -> Any:
        """Return what the stations say of a part of `split_time_block`; None if the run was asked to stop."""
        if self.stop.is_set():
            return None
        one_thread()
        return encode_part(self.inputs, hours)

    def prepare(self, block: Block) -> None:
        """Make the geometry of a block's tile beforehand, if a cell of it is wanted."""
        if not self.stop.is_set() and wanted_cells(self.inputs, block).any():
            one_thread()
            tile_geometry(self.inputs, block, self.cache)

    def run(self, states: BlockStates | None, block: Block, after: None = None) -> BlockResult | None:
        """Compute and write a block, `after` its geometry was made; None if the run was to stop before it was begun."""
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

    def join(self, frequency: str, block: Block, number: int) -> BlockResult | None:
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


def pending_blocks(plan: Plan, done: set[int]) -> Iterator[tuple[tuple[int, int], list[Block]]]:
    """Yield each time block that has blocks left to do, with them."""
    for index in range(plan.counts[0]):
        left = [block for block in plan.blocks_of(index) if block.number not in done]
        if left:
            yield plan.time_block(index), left


def pending_joins(job: Job, done: set[int]) -> Iterator[tuple[str, Block, int]]:
    """Yield frequency, block and number of each block of means that is left to do.

    Blocks of all cubes are counted on from those of the sweep, so that one ledger holds them.
    """
    number = job.inputs.plan.blocks
    for frequency, plan in (job.inputs.means.plans if job.inputs.means else {}).items():
        for place in range(plan.blocks):
            if number not in done:
                yield frequency, plan.get_block(place), number
            number += 1


def run_in_threads(job: Job, done: set[int], threads: int, on_done: OnDone, stop: threading.Event) -> None:
    """Compute the blocks that are not `done` with Dask's threaded scheduler, or on a GPU by the pipeline.

    Parameters
    ----------
    job : Job
        With its predictor.
    done : set of int
        Numbers to leave out.
    threads : int
        Blocks at a time.
    on_done : callable
        Called in this thread with each `BlockResult`.
    stop : threading.Event
        Once set, blocks in hand are finished and no other is begun.
    """
    worker = Worker(job)
    worker.stop = stop
    if is_for_gpu_pipeline(worker.inputs):
        from aqreanalysis.production.execute.gpu_pipeline import run_pipeline

        for one in run_pipeline(worker.inputs, done, worker.write_hours, threads, stop):
            on_done(one)
        return

    class Watch(Callback):
        def _posttask(self, key: Any, result: Any, *_: Any) -> None:
            if isinstance(result, BlockResult):
                on_done(result)

    # A fresh pool, so that leaving it waits for the blocks in hand even after an error.
    with threads_restored(), ThreadPoolExecutor(threads) as pool, Watch():
        tasks: list[Any] = []
        early = TILES_AHEAD * (threads - 1)
        for time_range, blocks in pending_blocks(job.inputs.plan, done):
            shared = split_time_block(worker.inputs, time_range, threads)
            parts = [
                dask.delayed(worker.encode_part, pure=False, traverse=False)(hours) for hours in shared[1:] and shared
            ]
            states = dask.delayed(worker.encode, pure=False, traverse=False)(time_range, *parts)
            for block in blocks:
                ready = dask.delayed(worker.prepare, pure=False, traverse=False)(block) if early > 0 else None
                tasks.append(dask.delayed(worker.run, pure=False, traverse=False)(states, block, ready))
                early -= 1
            if len(tasks) >= GRAPH_BLOCKS:
                _compute(tasks, pool)
                tasks = []
            if stop.is_set():
                return
        _compute(tasks, pool)
        # After the sweep: a block of means reads the sums of many.
        joins = list(pending_joins(job, done))
        for begin in range(0, len(joins), GRAPH_BLOCKS):
            if stop.is_set():
                return
            some = joins[begin : begin + GRAPH_BLOCKS]
            _compute([dask.delayed(worker.join, pure=False, traverse=False)(*join) for join in some], pool)


def is_for_gpu_pipeline(inputs: SweepInputs) -> bool:
    """Tell whether a sweep is for the pipeline: AQ-Net's on a GPU, hours and no means, whose sums the host makes."""
    predictor = inputs.predictor
    on_gpu = isinstance(predictor, AnalysisPredictor) and predictor.device.type == "cuda"
    return on_gpu and inputs.hourly and inputs.means is None


def default_threads() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _compute(tasks: list[Any], pool: ThreadPoolExecutor) -> None:
    if tasks:
        # Not by the name "threads", for which Dask loads distributed, to see whether a client is there: 0.1 s.
        dask.compute(*tasks, scheduler=dask.threaded.get, pool=pool, optimize_graph=False)
