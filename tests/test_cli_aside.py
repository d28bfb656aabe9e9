"""Tests of `aqreanalysis.cli.aside`, and of the command that reads its observations so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from production_case import END, GRID, START, make_frame

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are not copied")

BEGIN = (
    "import os, signal, sys, threading, time\n"
    "from aqreanalysis.cli.aside import Aside, can_stand_aside\n"
    "from aqreanalysis.errors import ObservationsError\n"
    "def refuse(): raise ObservationsError('no rows')\n"
)


def told(script: str) -> str:
    """Return what a process prints that runs a script and ends well."""
    done = subprocess.run([sys.executable, "-c", BEGIN + script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def test_the_answer_comes_from_another_process() -> None:
    here, there = told("print(os.getpid(), Aside(os.getpid).answer())").split()
    assert here != there


def test_what_the_call_refuses_is_refused_here() -> None:
    script = "try: Aside(refuse).answer()\nexcept ObservationsError as error: print('refused:', error)"
    assert told(script) == "refused: no rows\n"


@pytest.mark.parametrize("call", ["lambda: 1 / 0", "lambda: os.kill(os.getpid(), signal.SIGKILL)", "lambda: lambda: 0"])
def test_a_process_that_dies_or_cannot_answer_gives_none(call: str) -> None:
    assert told(f"print(Aside({call}).answer())") == "None\n"


def test_a_large_answer_is_whole() -> None:
    assert told("print(len(Aside(lambda: b'x' * 5_000_000).answer()))") == "5000000\n"


def test_a_closed_one_is_gone_at_once() -> None:
    script = (
        "begun = Aside(lambda: time.sleep(60))\nbegun.close()\nbegun.close()\n"
        "try: os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError: print('gone')"
    )
    assert told(script) == "gone\n"


def test_a_process_with_threads_is_not_copied() -> None:
    script = (
        "before = can_stand_aside()\nstop = threading.Event()\nthreading.Thread(target=stop.wait).start()\n"
        "print(before == (len(os.sched_getaffinity(0)) > 1), can_stand_aside())\nstop.set()"
    )
    assert told(script) == "True False\n"


def produce(case: tuple[Path, Path], out: Path, processors: set[int], **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command on some processors: on one it reads by itself."""
    asked = {"model": case[0], "observations": case[1], "grid": GRID, "start": START, "end": END, "out": out, **more}
    command = [sys.executable, "-m", "aqreanalysis.cli", "produce"]
    command += [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
    )


@pytest.fixture(scope="module")
def table(production_files, tmp_path_factory) -> tuple[Path, Path]:
    """The bundle, and the observations as a table."""
    path = tmp_path_factory.mktemp("table") / "obs.csv"
    make_frame().to_csv(path, index=False)
    return Path(production_files[0]), path


def test_a_command_that_reads_aside_makes_the_same_cube_and_says_the_same(table, tmp_path) -> None:
    every = os.sched_getaffinity(0)
    if len(every) < 2:
        pytest.skip("one processor reads by itself")
    aside = produce(table, tmp_path / "aside.nc", every)
    alone = produce(table, tmp_path / "alone.nc", {min(every)})
    assert (aside.returncode, alone.returncode) == (0, 0), aside.stderr + alone.stderr
    assert aside.stderr == alone.stderr and "rows read" in aside.stderr
    assert (tmp_path / "aside.nc").read_bytes() == (tmp_path / "alone.nc").read_bytes()


def test_observations_that_are_refused_are_one_line(table, tmp_path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("station_id,time,lat,lon,pm25\ns1,2019-01-03 01:00,95.0,116.0,3\n")
    done = produce((table[0], broken), tmp_path / "x.nc", os.sched_getaffinity(0))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("Error: ")
    assert not list(tmp_path.glob("x.nc*"))
