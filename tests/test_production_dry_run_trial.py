"""A trial of a run: real blocks, encoded and written, and nothing left behind."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import h5py
import pytest
from production_case import GRID, START, TILES, make_bundle, make_observations, small_grid
from threadpoolctl import threadpool_info, threadpool_limits

from aqreanalysis.errors import OutputError
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.production.dry_run.estimate import Workers, estimate
from aqreanalysis.production.dry_run.limits import check_estimate, check_limits, estimate_run, local_folder
from aqreanalysis.production.dry_run.trial import (
    PeakMemory,
    measure_rates,
    measure_worker,
)
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.stores.outputs import Outputs

END = "2019-01-07"


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr("aqreanalysis.production.dry_run.trial.DISK_BYTES", 1_000_000)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle")


def prepared_of(model, options: ProduceOptions, grid=GRID):
    return prepare(model, make_observations(), grid, (START, END), options)


def stores_of(out, options: ProduceOptions):
    return Outputs.of(str(out), tuple(options.frequencies)).open(options, 1)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_the_compressed_size_is_that_of_the_cube(suffix, model, tmp_path):
    options = ProduceOptions(production=TILES.model_copy(update={"tile_rows": 4, "tile_columns": 9}))
    prepared = prepared_of(model, options)
    out = tmp_path / f"x{suffix}"
    found, rates = estimate_run(prepared, options, stores_of(out, options))
    assert list(tmp_path.iterdir()) == [], "a trial leaves nothing"
    produce(model, make_observations(), GRID, START, END, out, options).close()
    layers = [layer.name for layer in prepared.cubes["hourly"].layers if layer.dims[0] == "time"]
    assert set(rates.shares["hourly"]) == set(layers)
    if suffix == ".zarr":
        real = {name: sum(f.stat().st_size for f in (out / name).glob("[0-9]*")) for name in layers}
    else:
        with h5py.File(out) as file:
            real = {name: file[name].id.get_storage_size() for name in layers}
    for name in ("pm2p5", "pm2p5_standard_error", "pm2p5_upper"):
        assert found.stored_bytes["hourly"][name] == pytest.approx(real[name], rel=0.15)
    assert found.sweep_seconds > 0 and rates.encode_seconds > 0 and rates.sweep_seconds > 0


def test_means_are_tried_too(model, tmp_path):
    options = ProduceOptions(production=TILES, frequencies=("hourly", "daily"), zarr_format=3, shards=True)
    prepared = prepared_of(model, options, small_grid(mask=True))
    rates = measure_rates(prepared, stores_of("x.zarr", options), tmp_path, 2)
    assert set(rates.mean_seconds) == {"daily"} and rates.mean_seconds["daily"] > 0
    found = estimate(prepared, rates, Workers(2), False, 0.0)
    assert set(found.stored_bytes) == {"hourly", "daily"}
    assert found.disk_bytes > found.cube_bytes, "the sums of days are there besides"
    assert list(tmp_path.iterdir()) == []


def test_a_trial_keeps_blas_to_one_thread_as_a_run_does(model, tmp_path, monkeypatch):
    threads = []

    def noting(worker, states, block):
        threads.extend(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")

    monkeypatch.setattr("aqreanalysis.production.execute.worker.Worker.run", noting)
    options = ProduceOptions(production=TILES)
    with threadpool_limits(2, user_api="blas"):
        measure_rates(prepared_of(model, options), stores_of("x.zarr", options), tmp_path, 1)
    assert threads and set(threads) == {1}


def test_a_trial_that_cannot_be_written_says_so(model, tmp_path):
    options = ProduceOptions(production=TILES)
    prepared = prepared_of(model, options)
    with pytest.raises(OutputError, match=r"no trial can be written.*another disk"):
        measure_rates(prepared, stores_of("x.zarr", options), tmp_path / "nowhere", 1)


def test_a_trial_is_written_beside_the_output_or_where_temporary_files_go(tmp_path):
    options = ProduceOptions()
    assert local_folder(stores_of(tmp_path / "x.zarr", options)) == tmp_path
    assert local_folder(stores_of(tmp_path / "new" / "newer" / "x.nc", options)) == tmp_path
    assert local_folder(stores_of("s3://bucket/x.zarr", options)) is None


def test_the_peak_of_memory_is_seen_and_an_older_one_is_not():
    def fill(count):
        # From the system itself: the allocator may have room left that is resident already.
        with mmap.mmap(-1, count) as room:
            for byte in range(0, count, 4096):
                room[byte] = 1

    fill(60_000_000)
    with PeakMemory() as memory:
        fill(30_000_000)
    if Path("/proc/self/clear_refs").exists() and os.access("/proc/self/clear_refs", os.W_OK):
        assert 25_000_000 < memory.grown < 55_000_000
    assert memory.peak >= memory.before > 0


def test_a_worker_process_takes_time_and_memory(model):
    seconds, size = measure_worker(prepared_of(model, ProduceOptions(production=TILES)))
    assert seconds > 0.1 and size > 50_000_000


def test_what_does_not_fit_is_refused_with_the_setting_to_change(model, tmp_path, monkeypatch):
    options = ProduceOptions(production=TILES, threads=2)
    prepared = prepared_of(model, options)
    out, part = stores_of(tmp_path / "x.nc", options), tmp_path / "x.nc.part"
    found, _ = estimate_run(prepared, options, out)
    tried: list[int] = []
    real = estimate_run

    def counted(*given, **more):
        tried.append(1)
        return real(*given, **more)

    monkeypatch.setattr("aqreanalysis.production.dry_run.limits.estimate_run", counted)
    check_limits(prepared, options, out, part)
    assert not tried, "no trial where arithmetic leaves no doubt"
    for free, fits in ((found.disk_bytes // 2, False), (found.disk_bytes * 11 // 10, True)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: Usage(free))
        if fits:
            check_limits(prepared, options, out, part)
        else:
            with pytest.raises(OutputError, match=r"by a trial, with the chunks that the NetCDF file is made of"):
                check_limits(prepared, options, out, part)
            check_estimate(found, Workers(2), out, present_bytes=found.disk_bytes * 2 // 3)
    assert len(tried) == 2
    monkeypatch.setattr("aqreanalysis.production.dry_run.limits.available_memory", lambda: found.memory_bytes // 2)
    with pytest.raises(OutputError, match=r"2 threads need .* lower production\.tile_rows"):
        check_estimate(found, Workers(2), out)
    with pytest.raises(OutputError, match="lower --workers"):
        check_estimate(found, Workers(2, 2, workers=True), out)


class Usage:
    """What `shutil.disk_usage` returns."""

    def __init__(self, free: int) -> None:
        self.free = free
