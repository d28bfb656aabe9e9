"""Threads write the same cube however many they are; an error in a block loses none that was written."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from production_case import END, GRID, START, tiled
from production_processes import digest

from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.production.execute.schedule import pending_blocks
from aqreanalysis.production.plan import Plan

pytestmark = pytest.mark.usefixtures("fixed_clock")


def test_one_thread_and_many_write_the_same_bytes(swept, tmp_path):
    model, table, wanted = swept
    for threads in (1, 5):
        out = tmp_path / f"{threads}.zarr"
        produce(model, table, GRID, START, END, out, tiled(threads=threads)).close()
        assert digest(out) == wanted


def test_an_address_without_a_scheduler_is_one_clear_line_and_the_run_can_go_on(swept, tmp_path, monkeypatch):
    model, table, wanted = swept
    monkeypatch.setattr("aqreanalysis.production.execute.dask_cluster.CONNECT_SECONDS", 0.5)
    with pytest.raises(OutputError, match=r"no Dask scheduler at tcp://127.0.0.1:9; .*|no Dask scheduler at"):
        produce(model, table, GRID, START, END, tmp_path / "x.zarr", tiled(scheduler="tcp://127.0.0.1:9"))
    produce(model, table, GRID, START, END, tmp_path / "x.zarr", tiled()).close()
    assert digest(tmp_path / "x.zarr") == wanted


def test_workers_and_scheduler_exclude_each_other():
    with pytest.raises(ConfigError, match="exclude each other"):
        ProduceOptions(workers=2, scheduler="tcp://host:1")
    with pytest.raises(ConfigError, match="at least 1"):
        ProduceOptions(workers=0)


def test_a_run_outside_the_main_thread_works(swept, tmp_path):
    model, table, wanted = swept
    failed: list[BaseException] = []

    def work() -> None:
        try:
            produce(model, table, GRID, START, END, tmp_path / "t.zarr", tiled()).close()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed and digest(tmp_path / "t.zarr") == wanted


def test_an_error_in_a_block_is_raised_after_the_blocks_in_hand(swept, tmp_path, monkeypatch):
    model, table, wanted = swept
    import aqreanalysis.production.execute.worker as engine

    real = engine.sweep_block
    before = set(threading.enumerate())  # other tests of the same process may have pools of their own

    def failing(inputs, states, block, cache):
        if block.number == 7:
            raise FloatingPointError("block 7")
        return real(inputs, states, block, cache)

    with monkeypatch.context() as patch, pytest.raises(FloatingPointError, match="block 7"):
        patch.setattr(engine, "sweep_block", failing)
        produce(model, table, GRID, START, END, tmp_path / "e.zarr", tiled(threads=2))
    left = set(threading.enumerate()) - before
    assert not [t for t in left if t.name.startswith("ThreadPoolExecutor")]
    produce(model, table, GRID, START, END, tmp_path / "e.zarr", tiled()).close()
    assert digest(tmp_path / "e.zarr") == wanted


def test_pending_blocks_leave_out_what_is_done_and_time_blocks_that_are_whole():
    plan = Plan(1, 72, 4, 4, (24, 2, 4), 1)
    left = list(pending_blocks(plan, {0, 2, 3}))
    assert [(time, [b.number for b in blocks]) for time, blocks in left] == [((0, 24), [1]), ((48, 72), [4, 5])]
    assert np.prod(plan.counts) == plan.blocks == 6


def test_blocks_in_threads_load_nothing_of_clusters() -> None:
    script = (
        "import sys, dask\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from aqreanalysis.production.execute.threads import compute\n"
        "found = []\n"
        "with ThreadPoolExecutor(1) as pool:\n"
        "    compute([dask.delayed(found.append, pure=False)(1)], pool)\n"
        "assert found == [1] and 'distributed' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
