"""Runs of `produce` in processes of their own, for tests that kill them, and what their outputs come to."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import production_case

CASE = Path(production_case.__file__)
# Many small blocks, so that a kill meets the run between and within them; and a moment after each, or a run that takes
# a tenth of a second would be over before whoever is to kill it has looked.
FINE_ARGUMENTS = ("rows=3", "columns=3", "pause=0.02")


def digest(path: Path) -> str:
    """Return the sha256 over the names and bytes of a file or a folder."""
    total = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            total.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def start(case, out: Path, *more: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Begin a run of `case`, a model and a table, to `out`; `more` are arguments of `production_case.py`, and what
    stands `before` it those of Python."""
    command = [sys.executable, *before, str(CASE), str(case[0]), str(case[1]), str(out), *FINE_ARGUMENTS, *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, bufsize=1
    )


def wait_for_blocks(process: subprocess.Popen[str], out: Path, blocks: int) -> None:
    """Return once so many blocks are in the ledger."""
    ledger = out.with_name(out.name + ".part") / "ledger.jsonl"
    while process.poll() is None:
        if ledger.exists() and ledger.read_bytes().count(b'{"block":') >= max(blocks, 1):
            return
        time.sleep(0.002)
    raise AssertionError(f"ended before {blocks} blocks: {process.communicate()}")


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a run and all that it started, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
