"""From rates to seconds, bytes and memory: the arithmetic of `produce --dry-run`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from production_case import START, TILES, make_bundle, make_observations, small_grid

from aqreanalysis.errors import ConfigError
from aqreanalysis.production import ProduceOptions
from aqreanalysis.production.dry_run.estimate import (
    MeasuredRates,
    Workers,
    estimate,
    wanted_cells,
    workers_of,
)
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.sweep import GEOMETRY_BYTES

RATES = MeasuredRates(
    seconds=1.0,
    concurrency=2,
    warm_seconds=0.5,
    encode_seconds=0.1,
    geometry_seconds=1e-3,
    sweep_seconds=1e-5,
    mean_seconds={},
    disk_bytes_a_second=1e8,
    shares={"hourly": {"pm2p5": 0.5}},
    block_bytes=1_000_000,
    geometry_bytes=1000.0,
    process_bytes=400_000_000,
    observations_bytes=50_000_000,
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    model = make_bundle(tmp_path_factory.mktemp("model") / "bundle")
    options = ProduceOptions(production=TILES)
    return prepare(model, make_observations(), small_grid(mask=True), (START, "2019-01-07"), options)


def test_geometry_that_finds_no_room_is_made_again_in_each_time_block(prepared):
    cells, time_blocks = wanted_cells(prepared.grid), prepared.plan.counts[0]
    rates = replace(RATES, sweep_seconds=0.0, encode_seconds=0.0, geometry_bytes=GEOMETRY_BYTES / cells)
    once = estimate(prepared, rates, Workers(1), False, 0.0).processor_seconds
    assert once == pytest.approx(rates.geometry_seconds * cells)
    half = replace(rates, geometry_bytes=2 * rates.geometry_bytes)
    again = estimate(prepared, half, Workers(1), False, 0.0).processor_seconds
    assert time_blocks > 1 and again == pytest.approx(once * (1 + (time_blocks - 1) / 2))
    # Each process has a cache of its own, and tiles keep to theirs.
    shared = estimate(prepared, half, Workers(2, 2, workers=True, here=False), False, 0.0).processor_seconds
    assert shared == pytest.approx(once)


def test_two_threads_take_half_the_time_of_one_and_processors_bound_them(prepared, monkeypatch):
    monkeypatch.setattr("aqreanalysis.production.dry_run.estimate.default_threads", lambda: 2)
    one, two, many = (estimate(prepared, RATES, Workers(n), False, 3.0) for n in (1, 2, 12))
    assert one.start_seconds == 3.0 and one.seconds == one.start_seconds + one.sweep_seconds + one.finish_seconds
    assert (one.sweep_seconds - 0.5) == pytest.approx(2 * (two.sweep_seconds - 0.5), rel=1e-6)
    assert many.sweep_seconds == two.sweep_seconds
    assert many.memory_bytes > two.memory_bytes


def test_masked_cells_cost_no_time_and_no_room(prepared):
    cells = wanted_cells(prepared.grid)
    assert cells == np.count_nonzero(prepared.grid.mask) < prepared.grid.size
    found = estimate(prepared, RATES, Workers(1), False, 0.0)
    assert found.stored_bytes["hourly"]["pm2p5"] == cells * 96 * 4 // 2
    whole = replace(prepared, grid=small_grid())
    assert estimate(whole, RATES, Workers(1), False, 0.0).processor_seconds > found.processor_seconds


def test_the_last_round_of_blocks_counts_whole(prepared, monkeypatch):
    monkeypatch.setattr("aqreanalysis.production.dry_run.estimate.default_threads", lambda: 64)
    blocks = prepared.plan.blocks
    assert blocks == 36
    almost = estimate(prepared, replace(RATES, encode_seconds=0.0), Workers(35), False, 0.0)
    exact = estimate(prepared, replace(RATES, encode_seconds=0.0), Workers(18), False, 0.0)
    assert almost.sweep_seconds == pytest.approx(exact.sweep_seconds)


def test_a_netcdf_file_needs_room_for_its_chunks_and_itself_and_time_to_be_copied(prepared):
    zarr, netcdf = (estimate(prepared, RATES, Workers(1), kind, 0.0) for kind in (False, True))
    assert netcdf.disk_bytes - zarr.disk_bytes == zarr.cube_bytes
    # Beside the cube lies the geometry that is saved for a run that goes on.
    assert zarr.disk_bytes - zarr.cube_bytes == RATES.geometry_bytes * wanted_cells(prepared.grid)
    assert netcdf.finish_seconds > zarr.finish_seconds


def test_a_slow_disk_bounds_the_sweep(prepared):
    slow = replace(RATES, disk_bytes_a_second=1000.0)
    found = estimate(prepared, slow, Workers(1), False, 0.0)
    assert found.sweep_seconds == pytest.approx(RATES.warm_seconds + found.cube_bytes / 1000.0)


def test_each_worker_holds_a_process_of_its_own_and_the_driver_the_observations(prepared):
    threads = estimate(prepared, RATES, Workers(4), False, 0.0)
    workers = estimate(prepared, RATES, Workers(4, 4, workers=True), False, 0.0)
    assert threads.memory_bytes == threads.worker_bytes >= 450_000_000
    # The driver and the process that the workers are forked from.
    assert workers.memory_bytes == 4 * workers.worker_bytes + 450_000_000 + RATES.process_bytes
    elsewhere = estimate(prepared, RATES, Workers(4, 4, workers=True, here=False), False, 0.0)
    assert elsewhere.memory_bytes == 450_000_000 and elsewhere.worker_bytes == workers.worker_bytes


def test_workers_that_start_while_the_driver_reads_keep_nobody_waiting(prepared):
    rates = replace(RATES, worker_seconds=4.0)
    crew = Workers(2, 2, workers=True)
    at_once, later, elsewhere = (
        estimate(prepared, rates, crew, False, seconds).sweep_seconds
        for crew, seconds in ((crew, 0.0), (crew, 10.0), (replace(crew, here=False), 10.0))
    )
    assert at_once - later == pytest.approx(4.0) and elsewhere - later == pytest.approx(4.0)


def test_who_computes_follows_from_the_options():
    assert workers_of(ProduceOptions(threads=3)) == Workers(3)
    assert workers_of(ProduceOptions(workers=5)) == Workers(5, 5, workers=True)
    assert workers_of(ProduceOptions()).concurrency >= 1
    with pytest.raises(ConfigError):
        ProduceOptions(threads=0)
