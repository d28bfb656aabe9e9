"""The commands of docs/cluster.md, as they stand there: real Dask processes, and a server that speaks S3."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from production_case import END, GRID, START, make_bundle, make_observations
from s3_case import fresh_bucket, running_server

from aqreanalysis.production import ProduceOptions, open_cube, produce

PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"


def shell(script: str, folder: Path) -> str:
    """Run a script in a session of its own; return what it printed, or fail with it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_page_makes_reads_and_grows_a_cube_in_a_bucket_on_two_worker_processes(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # The environment's own Dask, whether its script is on the path or not.
    text = re.sub(r"^dask ", "python -m dask ", PAGE.read_text("utf-8").replace("8786", port), flags=re.MULTILINE)
    blocks = re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["bash", "bash", "bash", "bash", "python", "bash"]
    plan, cluster, made, read, opened, grown = (block for _, block in blocks)
    make_bundle(tmp_path / "model")
    observations = make_observations()
    observations.to_netcdf(tmp_path / "obs.nc")
    with running_server() as server:
        fresh_bucket(server, monkeypatch)
        assert "blocks" in shell(plan, tmp_path)
        shell(f"{cluster}\necho $(jobs -p) > pids.txt", tmp_path)
        try:
            shell(made, tmp_path)
            assert "2019-01-03" in shell(read, tmp_path) and (tmp_path / "noon.png").is_file()
            (tmp_path / "open.py").write_text(opened)
            assert float(shell(f"{sys.executable} open.py", tmp_path)) > 0
            shell(grown, tmp_path)
            workers = (tmp_path / "workers.log").read_text()
            assert workers.count("Start worker at") >= 2
            produce(tmp_path / "model", observations, GRID, START, END, tmp_path / "x.nc", ProduceOptions()).close()
            with open_cube("s3://cubes/january.zarr") as far, open_cube(tmp_path / "x.nc") as near:
                assert far.sizes["time"] == 96 and far.pm2p5.equals(near.pm2p5)
        finally:
            # The workers' own processes too, which are all of the shell's group.
            for pid in (tmp_path / "pids.txt").read_text().split():
                with suppress(ProcessLookupError):
                    os.killpg(os.getpgid(int(pid)), signal.SIGKILL)
