"""Threads, worker processes and a cluster write the same cube; a worker that dies costs its blocks in hand only."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from distributed import get_task_stream
from production_case import END, GRID, START, TILES, make_observations

from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.model.predictor import load_predictor
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.production.plan import Plan
from aqreanalysis.production.plan.blocks import available_memory
from aqreanalysis.production.run.cluster import cluster_client
from aqreanalysis.production.run.engine import IN_FLIGHT, pending_blocks

BLOCKS = 4 * 3 * 3

pytestmark = pytest.mark.usefixtures("fixed_clock")


@pytest.fixture(scope="module")
def case(production_files, tmp_path_factory):
    out = tmp_path_factory.mktemp("threads") / "threads.zarr"
    produce(*production_files, GRID, START, END, out, options()).close()
    return *production_files, digest(out)


def options(**more) -> ProduceOptions:
    return ProduceOptions(production=TILES, **more)


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            total.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def test_one_thread_and_many_write_the_same_bytes(case, tmp_path):
    model, table, wanted = case
    for threads in (1, 5):
        out = tmp_path / f"{threads}.zarr"
        produce(model, table, GRID, START, END, out, options(threads=threads)).close()
        assert digest(out) == wanted


def test_two_worker_processes_write_the_same_bytes_as_threads(case, tmp_path):
    model, table, wanted = case
    produce(model, table, GRID, START, END, tmp_path / "w.zarr", options(workers=2)).close()
    assert digest(tmp_path / "w.zarr") == wanted


@pytest.mark.slow
def test_a_cluster_serves_a_model_in_memory_and_a_worker_killed_in_the_middle_is_made_good(case, tmp_path):
    model, _, wanted = case
    said: list[str] = []
    with cluster_client(2, None, said.append) as client, get_task_stream(client=client) as stream:
        assert len(said) == 1 and said[0].startswith(f"Dask dashboard: {client.dashboard_link}")
        limits = [worker["memory_limit"] for worker in client.scheduler_info()["workers"].values()]
        assert len(limits) == 2 and 0.3 < min(limits) / available_memory() < 0.7
        assert not any(client.run(lambda dask_worker: dask_worker.memory_manager.memory_pause_fraction).values())
        victim = next(iter(client.run(os.getpid).values()))

        def progress(done: int, total: int, note: str) -> None:
            if done == 4:
                os.kill(victim, signal.SIGKILL)

        told = options(scheduler=client.scheduler.address, progress=progress)
        predictor = load_predictor(model, "cpu")
        produce(predictor, make_observations(), GRID, START, END, tmp_path / "k.zarr", told).close()
        with pytest.raises(ProcessLookupError):
            os.kill(victim, 0)
    # What it had in hand and what nobody had asked it for yet, no more.
    runs = [task for task in stream.data if str(task["key"]).startswith("_run")]
    assert BLOCKS <= len(runs) <= BLOCKS + 2 * IN_FLIGHT, len(runs)
    assert digest(tmp_path / "k.zarr") == wanted


def test_an_address_without_a_scheduler_is_one_clear_line_and_the_run_can_go_on(case, tmp_path, monkeypatch):
    model, table, wanted = case
    monkeypatch.setattr("aqreanalysis.production.run.cluster.CONNECT_SECONDS", 0.5)
    with pytest.raises(OutputError, match=r"no Dask scheduler at tcp://127.0.0.1:9; .*|no Dask scheduler at"):
        produce(model, table, GRID, START, END, tmp_path / "x.zarr", options(scheduler="tcp://127.0.0.1:9"))
    produce(model, table, GRID, START, END, tmp_path / "x.zarr", options()).close()
    assert digest(tmp_path / "x.zarr") == wanted


def test_workers_and_scheduler_exclude_each_other():
    with pytest.raises(ConfigError, match="exclude each other"):
        ProduceOptions(workers=2, scheduler="tcp://host:1")
    with pytest.raises(ConfigError, match="at least 1"):
        ProduceOptions(workers=0)


def test_a_run_outside_the_main_thread_works(case, tmp_path):
    model, table, wanted = case
    failed: list[BaseException] = []

    def work() -> None:
        try:
            produce(model, table, GRID, START, END, tmp_path / "t.zarr", options()).close()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed and digest(tmp_path / "t.zarr") == wanted


def test_an_error_in_a_block_is_raised_after_the_blocks_in_hand(case, tmp_path, monkeypatch):
    model, table, wanted = case
    import aqreanalysis.production.run.engine as engine

    real = engine.sweep_block
    before = set(threading.enumerate())  # other tests of the same process may have pools of their own

    def failing(inputs, states, block, cache):
        if block.number == 7:
            raise FloatingPointError("block 7")
        return real(inputs, states, block, cache)

    with monkeypatch.context() as patch, pytest.raises(FloatingPointError, match="block 7"):
        patch.setattr(engine, "sweep_block", failing)
        produce(model, table, GRID, START, END, tmp_path / "e.zarr", options(threads=2))
    left = set(threading.enumerate()) - before
    assert not [t for t in left if t.name.startswith("ThreadPoolExecutor")]
    produce(model, table, GRID, START, END, tmp_path / "e.zarr", options()).close()
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
        "from aqreanalysis.production.run.engine import _compute\n"
        "found = []\n"
        "with ThreadPoolExecutor(1) as pool:\n"
        "    _compute([dask.delayed(found.append, pure=False)(1)], pool)\n"
        "assert found == [1] and 'distributed' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
