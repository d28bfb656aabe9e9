"""Worker processes and a cluster write the cube that threads write; one that dies costs its blocks in hand only."""

from __future__ import annotations

import os
import signal
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from distributed import Client, get_task_stream
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from fields_case import FIRST, network, trained, write_files
from production_case import END, GRID, START, make_observations, tiled
from production_processes import digest

from aqreanalysis.common.memory import available_memory
from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import OutputError
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.production import produce
from aqreanalysis.production.execute.dask_cluster import cluster_client
from aqreanalysis.production.execute.dask_workers import IN_FLIGHT, SubmittedTasks, _hand_on
from aqreanalysis.production.execute.schedule import BLOCKS_A_TASK, share_blocks
from aqreanalysis.production.plan import Plan

TIMES, ROWS, COLUMNS = 4, 3, 3
BLOCKS = TIMES * ROWS * COLUMNS

pytestmark = pytest.mark.usefixtures("fixed_clock")


def test_two_worker_processes_write_the_same_bytes_as_threads(swept, tmp_path):
    model, table, wanted = swept
    produce(model, table, GRID, START, END, tmp_path / "w.zarr", tiled(workers=2)).close()
    assert digest(tmp_path / "w.zarr") == wanted


def test_worker_processes_write_the_same_bytes_with_covariates_as_threads(tmp_path):
    covariates = Covariates.open(write_files(tmp_path))
    assert covariates.fields == ("u10", "v10", "blh", "works_upwind", "works")
    model = trained(tmp_path / "windy", covariates, "species=[pm25]", "training.learning_rate=0.1")
    start = np.datetime64(FIRST + 24 - 1, "h")
    job = network(), "114,38,117,40@0.5", str(start), str(start + np.timedelta64(72, "h"))
    digests = set()
    for workers in (None, 2):
        out = tmp_path / f"{workers}.zarr"
        with produce(model, *job, out, tiled(covariates=covariates, workers=workers)) as cube:
            assert np.isfinite(cube.pm2p5.values).all()
        digests.add(digest(out))
    assert len(digests) == 1


@pytest.mark.slow
def test_a_cluster_serves_a_model_in_memory_and_a_worker_killed_in_the_middle_is_made_good(
    swept, tmp_path, monkeypatch
):
    model, _, wanted = swept
    said: list[str] = []
    held: dict[str, int] = {}  # blocks of each task: with one worker left, tasks have more of them
    real = Client.submit

    def noting(self, function, *given, **how):
        future = real(self, function, *given, **how)
        if str(future.key).startswith("run_blocks"):
            held[str(future.key)] = len(given[3])
        return future

    monkeypatch.setattr(Client, "submit", noting)
    with cluster_client(2, None, said.append) as client, get_task_stream(client=client) as stream:
        assert len(said) == 1 and said[0].startswith(f"Dask dashboard: {client.dashboard_link}")
        limits = [worker["memory_limit"] for worker in client.scheduler_info()["workers"].values()]
        assert len(limits) == 2 and 0.3 < min(limits) / available_memory() < 0.7
        assert not any(client.run(lambda dask_worker: dask_worker.memory_manager.memory_pause_fraction).values())
        victim = next(iter(client.run(os.getpid).values()))

        def progress(done: int, total: int, note: str) -> None:
            if done == 4:
                os.kill(victim, signal.SIGKILL)

        told = tiled(scheduler=client.scheduler.address, progress=progress)
        predictor = load_predictor(model, "cpu")
        produce(predictor, make_observations(), GRID, START, END, tmp_path / "k.zarr", told).close()
        with pytest.raises(ProcessLookupError):
            os.kill(victim, 0)
    # What it had in hand and what nobody had asked it for yet, no more.
    runs = sum(held.get(str(task["key"]), 0) for task in stream.data)
    assert sum(held.values()) == BLOCKS <= runs <= BLOCKS + 2 * IN_FLIGHT * max(held.values()), (runs, held)
    assert digest(tmp_path / "k.zarr") == wanted


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_a_killed_worker_was_writing_is_not_in_the_cube(zarr_format, swept, tmp_path):
    model, table, _ = swept
    out = tmp_path / "p.zarr"

    def progress(done: int, total: int, note: str) -> None:
        if done == 4:
            chunk = next(
                p for p in out.with_name("p.zarr.part").rglob("pm2p5/**/*") if p.is_file() and p.name[0] != "."
            )
            chunk.with_name(f"{chunk.name}.1a2b.partial").write_bytes(b"half")
            left.append(chunk)

    left: list[Path] = []
    produce(model, table, GRID, START, END, out, tiled(zarr_format=zarr_format, progress=progress)).close()
    assert len(left) == 1 and not list(out.rglob("*.partial"))


def test_a_worker_of_many_threads_is_the_home_of_as_many_shares():
    client = SimpleNamespace(nthreads=lambda: {"tcp://b": 1, "tcp://a": 3}, submit=lambda *_, **__: None)
    homes = SubmittedTasks(client, SimpleNamespace(token="t")).addresses
    assert homes == ["tcp://a", "tcp://a", "tcp://a", "tcp://b"]
    blocks = list(Plan(1, 24, 8, 8, (24, 2, 2), 1).blocks_of(0))
    shared = list(share_blocks(blocks, homes, len(blocks), BLOCKS_A_TASK))
    # No thread waits for want of a task, where one worker's threads share the blocks.
    assert len(shared) >= 4 * len(homes) and sum(home == "tcp://b" for home, _ in shared) == len(shared) / 4


def test_where_tiles_are_many_a_task_has_several_blocks_and_each_block_one_task():
    plan, workers = Plan(1, 48, 20, 20, (24, 2, 2), 1), ["a", "b", "c"]
    tiles = plan.counts[1] * plan.counts[2]
    for index, few in ((0, None), (1, 7)):
        blocks = list(plan.blocks_of(index))[:few]
        shared = list(share_blocks(blocks, workers, tiles, BLOCKS_A_TASK))
        assert sorted(block.number for _, some in shared for block in some) == [block.number for block in blocks]
        assert max(len(some) for _, some in shared) == (BLOCKS_A_TASK if few is None else 1)
        # In turns, so that all have something to do from the first on.
        assert [home for home, _ in shared[:3]] == ["a", "b", "c"]
    assert all(home is None for home, _ in share_blocks(list(plan.blocks_of(0)), [], tiles, BLOCKS_A_TASK))


def test_a_tile_has_the_same_home_in_every_time_block_and_tiles_are_shared_evenly(swept, tmp_path, monkeypatch):
    model, table, wanted = swept
    homes: dict[tuple[int, int], set[str]] = {}
    with cluster_client(2, None) as client:
        real = type(client).submit

        def noting(self, function, *given, **how):
            if how["key"].startswith("run_blocks"):
                assert how["allow_other_workers"]  # a home is where a tile is wanted, not where it must wait
                for block in given[3]:
                    homes.setdefault(block.tile, set()).update(how["workers"])
            return real(self, function, *given, **how)

        monkeypatch.setattr(type(client), "submit", noting)
        produce(model, table, GRID, START, END, tmp_path / "h.zarr", tiled(scheduler=client.scheduler.address)).close()
        known = sorted(client.nthreads())
    assert len(homes) == ROWS * COLUMNS and all(len(home) == 1 for home in homes.values())
    counts = [sum(home == {worker} for home in homes.values()) for worker in known]
    assert sum(counts) == len(homes) and max(counts) - min(counts) <= 1
    assert digest(tmp_path / "h.zarr") == wanted


@pytest.mark.parametrize("lost", [CancelledError(), CommClosedError(), FutureCancelledError("k", "lost")])
def test_a_scheduler_that_was_lost_is_one_line_that_says_how_to_go_on(lost):
    class Future:
        def result(self):
            raise lost

    with pytest.raises(OutputError, match=r"the Dask scheduler was lost.*run the same command") as caught:
        _hand_on(Future(), lambda done: None)
    assert "\n" not in str(caught.value)
