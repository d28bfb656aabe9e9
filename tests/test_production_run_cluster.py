"""Worker processes: forked from one that has imported what they need, in the environment of the moment."""

from __future__ import annotations

import os
import signal
import sys

import psutil

from aqreanalysis.production.run.cluster import cluster_client, prepare_workers


def look() -> dict[str, object]:
    """Return what a worker process finds when it begins."""
    return {
        "parent": psutil.Process().ppid(),
        "loaded": "aqreanalysis.production.run.nursery" in sys.modules,
        "interrupt ignored": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "threads of BLAS": os.environ.get("OPENBLAS_NUM_THREADS"),
        "told": os.environ.get("TOLD_LATER"),
    }


def test_workers_are_forked_with_all_imports_done_and_see_the_environment_of_the_moment(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    prepare_workers()
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    for value in ("one", "two"):
        monkeypatch.setenv("TOLD_LATER", value)
        with cluster_client(2, None) as client:
            found = [client.submit(look, pure=False, workers=[w]).result() for w in client.nthreads()]
        for one in found:
            assert one["loaded"] and one["interrupt ignored"] and one["told"] == value
            assert one["threads of BLAS"] == "1" and one["parent"] != os.getpid()
        assert found[0]["parent"] == found[1]["parent"]
