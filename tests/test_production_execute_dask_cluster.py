"""Worker processes: forked from one that has imported what they need, in the environment of the moment."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import SimpleNamespace

import psutil
import pytest
from distributed import get_worker

from aqreanalysis.errors import OutputError
from aqreanalysis.model.kernels import warm_up
from aqreanalysis.production.execute.dask_cluster import cluster_client, prepare_workers
from aqreanalysis.production.execute.worker import device_of_worker


def look() -> dict[str, object]:
    """Return what a worker process finds when it begins."""
    return {
        "parent": psutil.Process().ppid(),
        "loaded": "aqreanalysis.production.execute.worker_preload" in sys.modules,
        "interrupt ignored": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "trims": os.environ.get("MALLOC_TRIM_THRESHOLD_"),
        "frozen": gc.isenabled() and gc.get_freeze_count(),
        "compiled": warm_up.cache_info().currsize,
        "threads of BLAS": os.environ.get("OPENBLAS_NUM_THREADS"),
        "told": os.environ.get("TOLD_LATER"),
        "name": get_worker().name,
    }


def test_workers_are_forked_with_all_imports_done_and_see_the_environment_of_the_moment(monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    prepare_workers()
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    for value in ("one", "two"):
        monkeypatch.setenv("TOLD_LATER", value)
        with cluster_client(2, None) as client:
            found = [client.submit(look, pure=False, workers=[w]).result() for w in client.nthreads()]
        for one in found:
            assert one["loaded"] and one["interrupt ignored"] and one["told"] == value
            assert one["frozen"] > 10_000 and one["compiled"] == 1 and one["trims"] is None
            assert one["threads of BLAS"] == "1" and one["parent"] != os.getpid()
        assert found[0]["parent"] == found[1]["parent"]
        # By these names each takes a GPU of its own.
        assert sorted(one["name"] for one in found) == [0, 1]


def test_driver_and_workers_listen_to_this_machine_alone():
    with cluster_client(2, None):
        listening = [
            connection.laddr.ip
            for process in (psutil.Process(), *psutil.Process().children(recursive=True))
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert len(listening) >= 4 and set(listening) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("asked", "gpus", "name", "device"),
    [
        ("cuda", 2, 0, "cuda:0"),
        ("auto", 2, 3, "cuda:1"),
        ("auto", 0, 3, "auto"),
        ("cuda", 1, 1, "cuda"),
        ("cuda:0", 4, 3, "cuda:0"),
        ("cpu", 4, 3, "cpu"),
        ("cuda", 4, "tcp://10.0.0.1:4321", "cuda"),
        ("cuda", 4, None, "cuda"),
    ],
)
def test_each_worker_of_this_machine_takes_the_next_gpu(asked, gpus, name, device, monkeypatch):
    def worker():
        if name is None:
            raise ValueError("no worker")
        return SimpleNamespace(name=name)

    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("distributed.get_worker", worker)
    assert device_of_worker(asked) == device


def test_workers_that_the_system_lets_none_start_are_one_line(monkeypatch):
    def refuse(**_):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.LocalCluster", refuse)
    with (
        pytest.raises(
            OutputError, match=r"2 worker processes could not be started: Nanny failed to start\. Ask for fewer"
        ),
        cluster_client(2, None),
    ):
        pytest.fail("it has started")
