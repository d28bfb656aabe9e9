"""The pipeline of a sweep on a GPU, run on the CPU: the numbers, order, memory and failures of its blocks."""

from __future__ import annotations

import threading
import time

import numpy as np
import production_case
import pytest
import xarray as xr
from production_case import END, START, TILES

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.production.execute import executors
from aqreanalysis.production.execute import gpu_pipeline as pipeline
from aqreanalysis.production.stores.store import Written
from aqreanalysis.production.stores.zarr import ZarrStore


@pytest.fixture
def on_cpu(monkeypatch):
    begin(monkeypatch)


def begin(monkeypatch):
    monkeypatch.setattr(executors, "is_for_gpu_pipeline", lambda inputs: inputs.hourly and inputs.means is None)
    monkeypatch.setattr(pipeline, "strip_size", lambda device, many: 24 * 12 * 2)


def make(given, out, **options):
    # All bits: the last one that rounding leaves may differ where the two differ in their seventh digit.
    exact = TILES.model_copy(update={"keepbits": 0})
    return produce(*given, START, END, out, ProduceOptions(production=exact, device="cpu", **options))


@pytest.mark.parametrize("suffix", ["zarr", "nc"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_cube_is_that_of_the_threads(two_pollutants, masked, suffix, tmp_path, monkeypatch):
    given = *two_pollutants, production_case.small_grid(masked)
    options = {"thresholds": {"pm25": [35.0], "o3": [100.0, 120.0]}}
    here = make(given, tmp_path / f"threads.{suffix}", **options)
    begin(monkeypatch)
    there = make(given, tmp_path / f"pipeline.{suffix}", **options)
    assert set(here.variables) == set(there.variables)
    for name in here.variables:
        if here[name].dtype.kind == "f":
            np.testing.assert_allclose(there[name], here[name], rtol=1e-4, atol=1e-4)
        elif here[name].dtype.kind in "iu":
            np.testing.assert_array_equal(there[name], here[name])
    here.close(), there.close()


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(two_pollutants, on_cpu, tmp_path, monkeypatch):
    given = *two_pollutants, production_case.small_grid()
    whole, parts = tmp_path / "whole.zarr", tmp_path / "parts.zarr"
    make(given, whole).close()

    def progress(done, total, note):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(given, parts, progress=progress)
    assert not parts.exists()
    counted = []
    make(given, parts, progress=lambda done, total, note: counted.append(done)).close()
    assert counted[0] > 5
    first, second = (
        {str(f.relative_to(p)): f.read_bytes() for f in p.rglob("*") if f.is_file() and not f.name.startswith(".z")}
        for p in (whole, parts)
    )
    assert first == second


def test_a_failed_write_ends_the_run_with_its_error(two_pollutants, on_cpu, tmp_path, monkeypatch):
    def full(self, block, layers):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ZarrStore, "write", full)
    with pytest.raises(Exception, match="No space left"):
        make((*two_pollutants, production_case.small_grid()), tmp_path / "a.zarr")


class Slow:
    """Writes that take their time, and how many blocks are in hand."""

    def __init__(self):
        self.lock, self.begun, self.most = threading.Lock(), set(), 0

    def __call__(self, block, layers):
        with self.lock:
            self.begun.add(block.number)
        time.sleep(0.002)
        return Written(1, {})


def test_no_more_blocks_are_in_hand_than_there_are_pieces_of_memory(two_pollutants, on_cpu, monkeypatch):
    monkeypatch.setattr(pipeline, "MOST_PIECES", 3)
    inputs, slow = production_case.sweep_inputs(*two_pollutants), Slow()
    finished = 0
    for one in pipeline.run_pipeline(inputs, (), slow, 4, threading.Event()):
        finished += 1
        assert len(slow.begun) <= finished + 3
        assert one.written.raw_bytes > 0 and one.seconds > 0
    assert finished == inputs.plan.blocks


def test_a_run_that_is_told_to_stop_finishes_what_is_in_hand(two_pollutants, on_cpu):
    inputs, slow, stop = production_case.sweep_inputs(*two_pollutants), Slow(), threading.Event()
    finished = []
    for one in pipeline.run_pipeline(inputs, {0, 1}, slow, 2, stop):
        finished.append(one.number)
        stop.set()
    assert set(finished) == slow.begun and 0 not in slow.begun
    assert len(finished) < inputs.plan.blocks - 2


def test_an_output_of_the_pipeline_is_a_cube(two_pollutants, on_cpu, tmp_path):
    blocks = ProductionConfig(block_days=3, tile_rows=4, tile_columns=9)
    options = ProduceOptions(production=blocks, device="cpu", species=["pm25"])
    make_whole = produce(*two_pollutants, production_case.small_grid(), START, END, tmp_path / "a.zarr", options)
    with xr.open_zarr(tmp_path / "a.zarr") as cube:
        assert cube.sizes["time"] == 96 and np.isfinite(cube["pm2p5"]).all()
    make_whole.close()
