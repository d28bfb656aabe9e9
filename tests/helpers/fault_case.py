"""What an unlucky machine does to a command: no room, no right to write, no memory; see `meet`."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

from attack_case import Assets
from kill_case import Job, digests, names, outputs, prepared, run_job

# Files may grow to a few kB: fewer than any output has, more than a lock or a record needs.
_FILE_BYTES = 6_000
_MEMORY_BYTES = 96 << 20
_NOBODY = 65534


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))


def _no_rights() -> None:
    if os.geteuid() == 0:  # root may write anywhere
        os.setegid(_NOBODY)
        os.seteuid(_NOBODY)


def _little_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + _MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


FAULTS: dict[str, Callable[[], None]] = {
    "file size limit": _small_files,
    "read-only": _no_rights,
    "little memory": _little_memory,
}


def meet(job: Job, assets: Assets, folder: Path, name: str) -> str:
    """Let a command meet a fault, then go on without it; return what is wrong with how it ends, or nothing."""
    whole = prepared(job, assets, folder / "whole")
    status, said = run_job(job, assets, whole)
    if status != 0:
        return f"does not run: {said[-200:]}"
    expected, expected_names = outputs(job, whole), names(whole)
    place = prepared(job, assets, folder / "place")
    older = {one: digests(place / one) for one in job.outputs if (place / one).exists()}
    (place).chmod(0o555 if name == "read-only" else 0o755)
    status, said = run_job(job, assets, place, limit=FAULTS[name])
    place.chmod(0o755)
    lines = [line for line in said.splitlines() if line.startswith("Error:")]
    if status not in (0, 2) or (status == 2 and len(lines) != 1) or "Traceback" in said:
        return f"{name}: status {status}: {said[-400:]}"
    if status == 0 and name == "read-only":
        return f"{name}: written all the same"
    for one, found in outputs(job, place).items():
        there = {one: digests(place / one)} if (place / one).exists() else {}
        if found and found != expected[one] and there.get(one) != older.get(one):
            return f"{name}: {one} looks whole and is not"
    if outputs(job, place) != expected:
        status, said = run_job(job, assets, place)
        if status != 0:
            return f"{name}: going on ended with {status}: {said[-300:]}"
    if outputs(job, place) != expected:
        return f"{name}: other bytes afterwards"
    left = sorted(set(names(place)) - set(expected_names))
    shutil.rmtree(folder, ignore_errors=True)
    return f"{name}: left behind {left[:4]}" if left else ""
