"""What a GPU needs once in a process, done while the readings are read.

Its libraries are loaded and their kernels sent to it when each is first called for, and memory is pinned at half a
second a GB: the first week of a process took 1.1 s longer than the second. So a strip of made-up readings of the run's
own shape is computed beside the reading of the observations.
"""

from __future__ import annotations

import contextlib
import threading

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.grids import Grid
from aqreanalysis.model import AnalysisPredictor, Predictor
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan import Plan
from aqreanalysis.production.plan.timeline import HOURLY

_THREADS = "_aqreanalysis_warming"


def begin_warm_up(predictor: Predictor, grid: Grid, plan: Plan, options: ProduceOptions) -> None:
    """Begin to make a predictor's GPU ready for a sweep of `plan` over `grid`, and return at once."""
    if predictor.device.type != "cuda" or predictor.covariates is not None:
        return
    if not isinstance(predictor, AnalysisPredictor):  # no other is swept by the pipeline
        return
    if options.workers is not None or options.scheduler is not None or tuple(options.frequencies) != (HOURLY,):
        return
    thread = threading.Thread(target=_quietly, args=(predictor, grid, plan), name="warm up")
    setattr(predictor, _THREADS, thread)
    thread.start()


def make_ready(predictor: Predictor) -> None:
    """Have all that the sweep would compile or load at its first block; wait for what was begun for the predictor."""
    thread = getattr(predictor, _THREADS, None)
    if thread is not None:
        thread.join()
        delattr(predictor, _THREADS)  # a predictor may be sent to workers, a thread cannot


def _quietly(predictor: AnalysisPredictor, grid: Grid, plan: Plan) -> None:
    with contextlib.suppress(Exception):  # what is wrong the run itself will say
        warm_up(predictor, grid, plan)


def warm_up(predictor: AnalysisPredictor, grid: Grid, plan: Plan) -> None:
    """Compute the first strip of made-up readings at the model's own stations."""
    import torch

    from aqreanalysis.production.execute.gpu_pipeline import pieces_of
    from aqreanalysis.production.execute.gpu_sweep import cut_strips, strip_cache, strip_size, sweep_strip
    from aqreanalysis.production.sweep import Reserves, SweepInputs, encode_time_block

    stations = predictor.bundle.stations
    species = predictor.species[:1]
    inputs = SweepInputs(
        predictor=predictor,
        window=lambda first, hours: _readings(hours, len(stations), len(predictor.inputs)),
        station_lat=stations["lat"].to_numpy(np.float64),
        station_lon=stations["lon"].to_numpy(np.float64),
        lat=grid.lat,
        lon=grid.lon,
        mask=grid.mask,
        plan=plan,
        species=species,
        coverage=0.9,
        thresholds={},
        reserves=Reserves(50.0, 4),
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


def _readings(hours: int, stations: int, inputs: int) -> NDArray[np.float32]:
    """Return readings (hour, station, input) that no place on Earth had."""
    return np.random.default_rng(0).lognormal(3.0, 0.5, (hours, stations, inputs)).astype(np.float32)
