"""One process' side of a run: the job, the worker that does it, and the tasks that Dask calls."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from threadpoolctl import threadpool_limits

from aqreanalysis.common.library_threads import one_thread
from aqreanalysis.model import load_predictor
from aqreanalysis.model.protocol import EncodedStations, PlaceGeometry
from aqreanalysis.production.day_sums import day_block, sums_name
from aqreanalysis.production.period_means import mean_block
from aqreanalysis.production.plan import HOURS_A_DAY, Block
from aqreanalysis.production.plan.inputs import StagedWindow
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.plan.timeline import HOURLY
from aqreanalysis.production.resume.ledger import boot_number
from aqreanalysis.production.resume.saved import SavedResults
from aqreanalysis.production.stores.store import BlockResult, Store, Written
from aqreanalysis.production.stores.zarr import DaySums
from aqreanalysis.production.sweep import (
    GEOMETRY_BYTES,
    BlockStates,
    GeometryCache,
    SweepInputs,
    encode_part,
    encode_time_block,
    sweep_block,
    tile_geometry,
    wanted_cells,
)

T = TypeVar("T")

# Time blocks whose states are saved at a time.
TIME_BLOCKS_SAVED = 4


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
    saved : SavedResults or None
        Where states and geometry are kept for a run that goes on; None keeps none.
    """

    token: str
    inputs: SweepInputs
    model_path: str | None
    device: str
    stores: JobStores
    saved: SavedResults | None = None


class Worker:
    """One process' side of a job: the model and the geometry, kept from block to block."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.inputs = job.inputs
        if job.model_path is not None:
            device = device_of_worker(job.device)
            predictor = load_predictor(job.model_path, device, job.inputs.covariates, job.inputs.static)
            self.inputs = replace(job.inputs, predictor=predictor)
        self.cache = GeometryCache(GEOMETRY_BYTES) if job.saved is None else SavedGeometry(job.saved)
        self.stop = threading.Event()

    def encode(self, time_range: tuple[int, int], *parts: EncodedStations | None) -> BlockStates | None:
        """Return the station states of a time block, from the parts of `encode_part` if there are any; None if the run
        was asked to stop."""
        encoded = [part for part in parts if part is not None]
        if self.stop.is_set() or len(encoded) < len(parts):
            return None
        if encoded or self.job.saved is None:
            return encode_time_block(self.inputs, time_range, encoded or None)
        return self._saved(self.job.saved, range(*time_range), lambda: encode_time_block(self.inputs, time_range))

    def encode_part(self, hours: range) -> EncodedStations | None:
        """Return what the stations say of some hours of a time block; None if the run was asked to stop."""
        if self.stop.is_set():
            return None
        if self.job.saved is None:
            return encode_part(self.inputs, hours)
        return self._saved(self.job.saved, hours, lambda: encode_part(self.inputs, hours))

    def _saved(self, saved: SavedResults, hours: range, encode: Callable[[], T]) -> T:
        """Return what a run before this one has encoded of some hours, or what is encoded now.

        Of the last few time blocks there are files: no more can be in hand at once.
        """
        days = TIME_BLOCKS_SAVED * self.inputs.plan.block[0] // HOURS_A_DAY
        return saved.get(f"states-{hours.start // HOURS_A_DAY % days}", str(hours), encode)

    def make_geometry(self, block: Block) -> None:
        """Make the geometry of a block's tile beforehand, if a cell of it is wanted."""
        if not self.stop.is_set() and wanted_cells(self.inputs, block).any():
            tile_geometry(self.inputs, block, self.cache)

    def run_blocks(
        self, states: BlockStates | None, blocks: list[Block], after: None = None
    ) -> list[BlockResult | None]:
        """Compute and write some blocks of a time block, `after` their geometry where it is made beforehand."""
        return [self.run(states, block) for block in blocks]

    def run(self, states: BlockStates | None, block: Block) -> BlockResult | None:
        """Compute and write a block; None if the run was to stop before it was begun."""
        if states is None or self.stop.is_set():
            return None
        begun = time.perf_counter()
        written: list[Written] = []
        try:
            layers = sweep_block(self.inputs, states, block, self.cache)
            if self.job.stores.sums is not None:
                sums = {name: layers.pop(name) for name in map(sums_name, self.inputs.species)}
                written.append(self.job.stores.sums.write(day_block(block), sums))
            if self.inputs.hourly:
                written.append(self.job.stores.cubes[HOURLY].write(block, layers))
        except Exception as error:
            error.add_note(f"block {block.number}: steps, rows, columns {block.region}")
            raise
        stored = written[0] if len(written) == 1 else Written.joined(written)
        seconds = time.perf_counter() - begun
        return BlockResult(block.number, block.cell_hours, stored, seconds)

    def aggregate_means(self, frequency: str, block: Block, number: int) -> list[BlockResult | None]:
        """Compute and write a block of means from the sums of days; it is noted under `number`."""
        if self.stop.is_set():
            return [None]
        begun = time.perf_counter()
        sums = self.job.stores.sums
        assert sums is not None
        layers = mean_block(self.inputs, frequency, block, lambda key, days: sums.read(sums_name(key), days))
        written = self.job.stores.cubes[frequency].write(block, layers)
        return [BlockResult(number, 0, written, time.perf_counter() - begun)]


class SavedGeometry(GeometryCache):
    """Geometry of tiles that is saved besides, by all processes of a run together.

    Parameters
    ----------
    saved : SavedResults
        Where it is saved, while it fits into memory too.
    """

    def __init__(self, saved: SavedResults) -> None:
        super().__init__(GEOMETRY_BYTES)
        self._saved = saved

    def get(self, key: Hashable, make: Callable[[], PlaceGeometry]) -> PlaceGeometry:
        """Return the geometry of a tile, that of an earlier run if there is one."""
        if self.bytes >= self.limit_bytes:
            return super().get(key, make)
        (rows, _), (columns, _) = cast("tuple[tuple[int, int], tuple[int, int]]", key)
        return super().get(key, lambda: self._saved.get(f"geometry-{rows}-{columns}", "", make))


def make_job(
    prepared: Prepared, window: StagedWindow, stores: JobStores, model: tuple[Path | None, str], saves: bool = False
) -> Job:
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
    saves : bool
        Keep states and geometry, beside the readings, for a run that goes on where this one was killed.
    """
    model_path, device = model
    digest = hashlib.sha256(json.dumps(prepared.fingerprint, sort_keys=True).encode())
    digest.update(repr(stores).encode())
    staged = Path(window.path).resolve()
    inputs = prepared.sweep_inputs(replace(window, path=str(staged)))
    if model_path is not None:
        inputs = replace(inputs, predictor=None)  # type: ignore[arg-type]  # each worker puts its own there
    bundle = None if model_path is None else str(model_path.resolve())
    saved = SavedResults(staged.parent, f"{digest.hexdigest()} {boot_number()}") if saves else None
    return Job(digest.hexdigest(), inputs, bundle, device, stores, saved)


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


def on_worker(shared: Job | Worker, method: Callable[..., T], *given: Any) -> T:
    """Task: call a method of `Worker` on the worker of this process.

    The driver's threads share theirs; another process makes one of the job.
    """
    if isinstance(shared, Job):
        with _WORKERS_LOCK:
            if shared.token not in _WORKERS:
                _WORKERS.clear()  # a worker of a long-lived cluster keeps one job only
                _WORKERS[shared.token] = Worker(shared)
                threadpool_limits(1, user_api="blas")  # once for this process: see `threads_restored`
            shared = _WORKERS[shared.token]
    one_thread()
    return method(shared, *given)
