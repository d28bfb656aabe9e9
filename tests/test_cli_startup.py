"""Tests of `aqreanalysis.cli.startup`: processes that begin and end without delay, and lose nothing by it."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from aqreanalysis.cli.startup import loading


def leave(body: str) -> tuple[int, str, str]:
    """Return status, output and errors of a process whose main function has this body."""
    script = (
        "import atexit, sys, threading, time\n"
        "from aqreanalysis.cli.startup import run_and_leave\n"
        "def main():\n" + "".join(f"    {line}\n" for line in body.splitlines()) + "run_and_leave(main)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("end", "status"),
    [("pass", 0), ("sys.exit()", 0), ("sys.exit(0)", 0), ("sys.exit(2)", 2), ("sys.exit(143)", 143), ("1 / 0", 1)],
)
def test_the_status_is_that_of_the_command(end: str, status: int) -> None:
    assert leave(end)[0] == status


def test_a_message_as_status_is_printed() -> None:
    assert leave("sys.exit('no way')") == (1, "", "no way\n")


def test_handlers_and_threads_end_before_and_no_line_is_lost() -> None:
    body = (
        "atexit.register(lambda: print('handler'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
        "sys.stdout.write('main\\n')"
    )
    assert leave(body) == (0, "main\nthread\nhandler\n", "")


def test_libraries_are_not_taken_apart() -> None:
    body = "global last\nclass Last:\n    def __del__(self): print('taken apart')\nlast = Last()"
    assert leave(body) == (0, "", "")


def test_the_collector_rests_while_a_command_loads() -> None:
    assert gc.isenabled()
    before = gc.get_freeze_count()
    try:
        with loading():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_a_collector_that_rests_already_is_left_so() -> None:
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()


def test_memory_that_is_kept_is_handed_out_again_without_the_system() -> None:
    body = (
        "import resource\n"
        "from aqreanalysis.cli.startup import keep_freed_memory\n"
        "import pyarrow as pa\n"
        "keep_freed_memory()\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "b'x' * 20_000_000\n"
        "before = faults()\n"
        "for _ in range(5): b'x' * 20_000_000\n"
        "print(pa.default_memory_pool().backend_name, faults() - before < 5_000)"
    )
    assert leave(body) == (0, "system True\n", "")
