"""Of two that would write the same output one does, and the other is refused in one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killed import die, killed

from aqreanalysis.common.sole_writer import sole_writer
from aqreanalysis.errors import OutputError


def test_a_second_one_is_refused_and_told_who_writes_and_nothing_is_left(tmp_path: Path) -> None:
    out = tmp_path / "x.nc"
    with sole_writer(out):
        who = rf"x.nc is being written by process {os.getpid()} on .*; wait for it"
        with pytest.raises(OutputError, match=who), sole_writer(tmp_path / "." / "x.nc"):
            raise AssertionError("both write")
        with sole_writer(tmp_path / "y.nc"):
            pass
    with sole_writer(out):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_stands_in_nobodys_way_and_its_file_goes_with_the_next(tmp_path: Path) -> None:
    def work() -> None:
        with sole_writer(tmp_path / "x.nc"):
            die()

    killed(work)
    assert [path.name for path in tmp_path.iterdir()] == [".x.nc.lock"]
    with sole_writer(tmp_path / "x.nc"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_many_processes_write_one_after_the_other(tmp_path: Path) -> None:
    # Each reads a number and writes the next: one that wrote beside another would lose a step.
    code = (
        "import sys, time; from pathlib import Path; from aqreanalysis.common.sole_writer import sole_writer\n"
        "out = Path(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    with sole_writer(out, wait_seconds=60):\n"
        "        number = int(out.read_text()); time.sleep(0.001); out.write_text(str(number + 1))"
    )
    out = tmp_path / "number"
    out.write_text("0")
    running = [subprocess.Popen([sys.executable, "-c", code, str(out)]) for _ in range(4)]
    assert [one.wait() for one in running] == [0] * 4
    assert out.read_text() == "80" and [path.name for path in tmp_path.iterdir()] == ["number"]


def test_one_who_waits_gets_it_when_the_other_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from aqreanalysis.common.sole_writer import sole_writer\n"
        "with sole_writer(Path(sys.argv[1])):\n    print('there', flush=True); time.sleep(0.3)"
    )
    out = tmp_path / "m"
    with subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        begun = time.monotonic()
        with sole_writer(out, wait_seconds=30):
            assert time.monotonic() - begun > 0.05


def test_where_the_file_system_knows_no_locks_there_is_none_and_other_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(number: int) -> None:
        def flock(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("fcntl.flock", flock)

    refuse(errno.ENOLCK)
    with sole_writer(tmp_path / "x.nc"):
        pass
    refuse(errno.EIO)
    with pytest.raises(OutputError, match=r"cannot write .*x.nc: Input/output error"), sole_writer(tmp_path / "x.nc"):
        pass
