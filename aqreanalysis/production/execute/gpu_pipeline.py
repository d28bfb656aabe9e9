"""A sweep on a GPU as a pipeline: it computes strips, their bytes come over while it computes on, threads write.

Three things go on at once. This thread asks the device for strip after strip and never waits for it. Each block's bytes
are copied on a stream of their own into pinned memory, of which there are so many pieces and no more: when all are
full, this thread waits for the writers, so memory stays flat. A thread that has waited for a copy compresses and writes
half of its layers.

On the CPU the same runs without streams and pinned memory; tests look at it there.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.grids import Grid
from aqreanalysis.model import AnalysisPredictor, Predictor
from aqreanalysis.production.execute.gpu_sweep import (
    PackedBlock,
    PackedLayer,
    block_form,
    cut_strips,
    strip_cache,
    strip_size,
    sweep_strip,
)
from aqreanalysis.production.execute.schedule import OnDone
from aqreanalysis.production.execute.worker import Job, Worker
from aqreanalysis.production.layers import Extrapolation
from aqreanalysis.production.plan import Block, Plan
from aqreanalysis.production.plan.timeline import HOURLY
from aqreanalysis.production.stores.store import BlockResult, Written
from aqreanalysis.production.sweep import FlagThresholds, Layers, SweepInputs, encode_time_block

# Pieces of pinned memory, each of a block: a strip that is being copied while another is being written, within a limit.
MOST_PIECES = 16
PINNED_BYTES = 512_000_000

# A block is written by two threads: by more, each waits more often; by one, the last block of a run takes longer.
TASKS_A_BLOCK = 2

# What makes a predictor's GPU ready; not on the predictor, which may be sent to workers, as a thread may not.
_WARMUPS: WeakKeyDictionary[Predictor, threading.Thread] = WeakKeyDictionary()

Write = Callable[[Block, Layers], Written]


@dataclass(frozen=True)
class PipelineExecutor:
    """A GPU and the threads that write for it.

    Attributes
    ----------
    threads : int
        That drive the device and write.
    """

    threads: int

    def run(self, job: Job, done: set[int], on_done: OnDone, stop: threading.Event) -> None:
        """Compute and write the blocks that are not `done`; see `Executor`."""
        worker = Worker(job)
        await_warmup(worker.inputs.predictor)
        for result in run_pipeline(worker.inputs, done, job.stores.cubes[HOURLY].write, self.threads, stop):
            on_done(result)


def run_pipeline(
    inputs: SweepInputs, done: Iterable[int], write: Write, threads: int, stop: threading.Event
) -> Iterator[BlockResult]:
    """Yield each block that is not `done` once it is written.

    Parameters
    ----------
    inputs : SweepInputs
        With its predictor.
    done : iterable of int
        Numbers to leave out.
    write : callable
        ``write(block, layers)`` -> what was written; called in threads, with some of the layers at a time.
    threads : int
        That drive the device and write.
    stop : threading.Event
        Once set, blocks in hand are finished and no other is begun.
    """
    # One processor is this thread's, which no writer must keep from its GPU.
    with ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="write") as pool:
        writers = _Writers(inputs, write, pool)
        try:
            for packed in _computed(inputs, frozenset(done), stop):
                yield from writers.take(packed)
            yield from writers.rest()
        finally:
            writers.failed.set()  # what was not begun is not begun any more; nothing is left where all went well


def _computed(inputs: SweepInputs, done: frozenset[int], stop: threading.Event) -> Iterator[PackedBlock]:
    """Yield the blocks that are left, strip by strip; a strip of which anything is left is computed whole."""
    plan, device = inputs.plan, inputs.predictor.device
    cache = strip_cache(device)
    tiles = cut_strips(plan, strip_size(device, inputs.predictor.covariates is not None))
    for index in range(plan.counts[0]):
        states = None
        for numbers in tiles:
            blocks = [plan.get_block(index * plan.tiles + number) for number in numbers]
            if done.issuperset(block.number for block in blocks):
                continue
            if stop.is_set():
                return
            states = states or encode_time_block(inputs, plan.time_block(index))
            for packed in sweep_strip(inputs, states, blocks, cache):
                if stop.is_set():
                    return
                if packed.block.number not in done:
                    yield packed


@dataclass
class _InHand:
    """A block between the device and the disk."""

    packed: PackedBlock
    piece: Tensor
    arrived: Any
    left: int
    begun: float = field(default_factory=time.perf_counter)
    written: list[Written] = field(default_factory=list)


class _Writers:
    """Copies blocks into pinned memory and has them written, half a block a task."""

    def __init__(self, inputs: SweepInputs, write: Write, pool: ThreadPoolExecutor) -> None:
        self.write, self.pool = write, pool
        self.failed = threading.Event()
        self.copies = _Copies(inputs.predictor.device)
        self._pieces, self._size = pieces_of(inputs)
        self._free: list[Tensor] = []
        self._finished: SimpleQueue[_InHand | BaseException] = SimpleQueue()
        self._lock = threading.Lock()
        self._in_hand = 0

    def take(self, packed: PackedBlock) -> Iterator[BlockResult]:
        """Begin to copy and write a block; yield those that are finished meanwhile, waiting for one if need be."""
        while not self._finished.empty() or (not self._free and self._in_hand >= self._pieces):
            yield self._finish()
        piece = self._free.pop() if self._free else self.copies.piece(self._size)
        layers: list[tuple[str, PackedLayer | NDArray[Any]]] = [(layer.name, layer) for layer in packed.form]
        hand = _InHand(packed, piece, self.copies.fetch(packed.packed, piece), TASKS_A_BLOCK)
        self._in_hand += 1
        for first in range(TASKS_A_BLOCK):
            self.pool.submit(self._layers, hand, layers[first::TASKS_A_BLOCK])

    def rest(self) -> Iterator[BlockResult]:
        """Yield what is still in hand."""
        while self._in_hand:
            yield self._finish()

    def _finish(self) -> BlockResult:
        hand = self._finished.get()
        if isinstance(hand, BaseException):
            raise hand
        self._in_hand -= 1
        self._free.append(hand.piece)
        block = hand.packed.block
        return BlockResult(
            block.number, block.cell_hours, Written.joined(hand.written), time.perf_counter() - hand.begun
        )

    def _layers(self, hand: _InHand, layers: list[tuple[str, PackedLayer | NDArray[Any]]]) -> None:
        """Write some layers of a block, in a thread."""
        if self.failed.is_set():
            return
        try:
            if hand.arrived is not None:
                hand.arrived.synchronize()
            data = hand.piece.numpy()
            values = {name: layer if isinstance(layer, np.ndarray) else layer.view(data) for name, layer in layers}
            written = self.write(hand.packed.block, values)
        except BaseException as error:  # told to the thread that drives
            self._finished.put(error)
            return
        with self._lock:
            hand.written.append(written)
            hand.left -= 1
            last = hand.left == 0
        if last:
            self._finished.put(hand)


class _Copies:
    """The way from the device to the host: on a GPU a stream of its own, into pinned memory."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def piece(self, size: int) -> Tensor:
        """Return memory for a block, uint8 (size,)."""
        return torch.empty(size, dtype=torch.uint8, pin_memory=self.stream is not None)

    def fetch(self, packed: Tensor, piece: Tensor) -> Any:
        """Begin to copy the bytes of a block; return what to wait for, None where they have come."""
        if self.stream is None:
            piece[: len(packed)].copy_(packed)
            return None
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        # A thread that waits sleeps: sixteen that spin would take the processors from those that compress.
        arrived = torch.cuda.Event(blocking=True)
        with torch.cuda.stream(self.stream):
            piece[: len(packed)].copy_(packed, non_blocking=True)
            arrived.record(self.stream)
        packed.record_stream(self.stream)
        return arrived


def pieces_of(inputs: SweepInputs) -> tuple[int, int]:
    """Return how many pieces of memory a run has for its blocks in hand, and the bytes of each."""
    size = block_form(inputs, inputs.plan.get_block(0))[-1].end
    return max(2, min(MOST_PIECES, PINNED_BYTES // size)), size


def start_warmup(predictor: AnalysisPredictor, grid: Grid, plan: Plan) -> None:
    """Begin to make a predictor's GPU ready for a sweep of `plan` over `grid`, and return at once.

    Its libraries are loaded and their kernels sent to it when each is first called for, and memory is pinned at half a
    second a GB: the first week of a process took 1.1 s longer than the second. So a strip of made-up readings of the
    run's own shape is computed while the observations are read.
    """
    thread = threading.Thread(target=_warm_up_quietly, args=(predictor, grid, plan), name="GPU warm-up")
    _WARMUPS[predictor] = thread
    thread.start()


def await_warmup(predictor: Predictor) -> None:
    """Wait for what `start_warmup` began, if it did."""
    thread = _WARMUPS.pop(predictor, None)
    if thread is not None:
        thread.join()


def _warm_up_quietly(predictor: AnalysisPredictor, grid: Grid, plan: Plan) -> None:
    with contextlib.suppress(Exception):  # what is wrong the run itself will say
        warm_up(predictor, grid, plan)


def warm_up(predictor: AnalysisPredictor, grid: Grid, plan: Plan) -> None:
    """Compute the first strip of made-up readings at the model's own stations."""
    stations = predictor.bundle.stations
    species = predictor.species[:1]
    inputs = SweepInputs(
        predictor=predictor,
        window=lambda first, hours: _made_up_readings(hours, len(stations), len(predictor.inputs)),
        station_lat=stations["lat"].to_numpy(np.float64),
        station_lon=stations["lon"].to_numpy(np.float64),
        lat=grid.lat,
        lon=grid.lon,
        mask=grid.mask,
        plan=plan,
        species=species,
        coverage=0.9,
        thresholds={},
        flag_thresholds=FlagThresholds({key: Extrapolation(50.0, "made up") for key in species}, 4),
        last_observed=dict.fromkeys(species, plan.first_hour + plan.hours),
    )
    pieces, size = pieces_of(inputs)
    on_gpu = predictor.device.type == "cuda"
    held = [torch.empty(size, dtype=torch.uint8, pin_memory=on_gpu) for _ in range(pieces)]
    states = encode_time_block(inputs, plan.time_block(0))
    strip = cut_strips(plan, strip_size(predictor.device, False))[0]
    blocks = [plan.get_block(number) for number in strip]
    for packed in sweep_strip(inputs, states, blocks, strip_cache(predictor.device)):
        held[0][: len(packed.packed)].copy_(packed.packed, non_blocking=on_gpu)
    if on_gpu:
        torch.cuda.synchronize(predictor.device)


def _made_up_readings(hours: int, stations: int, inputs: int) -> NDArray[np.float32]:
    """Return readings (hour, station, input) that no place on Earth had."""
    return np.random.default_rng(0).lognormal(3.0, 0.5, (hours, stations, inputs)).astype(np.float32)
