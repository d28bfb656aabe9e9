"""A run killed at random moments and begun again, against one that was left alone: at most one block more.

    python benchmarks/resume.py --model outputs/models/north [--data ...] [--short] [--repeat 5]

Each repetition kills (SIGKILL) the run and all it started at a random block, begins it again, and adds up what both
parts took from the first hours that they lay out to be encoded, in seconds of processors, which others at work disturb
less than the clock. What comes before, the start of a process with its model and observations, is paid by any start. A
block is one of full size, by its share of the cells: those at the grid's edge are slivers. How to make a model: see
benchmarks/producing.py.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import producing
import psutil
import zarr
from producing import MONTH, machine, parser, produce_timed, record, table

from aqreanalysis.production.execute.schedule import default_threads


def killed_at(job: dict[str, Any], events: Path, block: int) -> float:
    """Start the run, kill it some moment after block `block`; return the processor seconds since its first block."""
    events.unlink(missing_ok=True)
    command = [sys.executable, producing.__file__, json.dumps({**job, "events": str(events)}, default=str)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and len(moments(events)) < block:
        time.sleep(0.02)
    time.sleep(random.random() * 0.1)
    if process.poll() is not None:
        raise SystemExit("the run ended before it was killed; take a larger case")
    times = psutil.Process(process.pid).cpu_times()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return float(times.user + times.system) - moments(events)[0]


def moments(events: Path) -> list[float]:
    """Return the processor time of the run at which each block ended."""
    return [float(line.split()[0]) for line in events.read_text().splitlines()] if events.exists() else []


def full_share(store: Path) -> float:
    """Return which share of a cube's cells and hours a block of full size has: a chunk."""
    array = zarr.open_group(store, mode="r")["pm2p5"]
    return float(np.prod(array.chunks) / np.prod(array.shape))


def main() -> None:
    """Run it all."""
    asked = parser(__doc__).parse_args()
    work = asked.work / "resume"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    grid, end = ("115,39,117,40@0.05", "2019-01-10") if asked.short else ("north-china-0.05", MONTH[1])
    job = {"model": asked.model, "observations": asked.data, "grid": grid, "start": MONTH[0], "end": end}
    job |= {"out": work / "cube.zarr", "species": ["pm25"], "device": "cpu"}
    job |= {"production": {"block_days": 1, "tile_rows": 20, "tile_columns": 20}} if asked.short else {}
    rows, extra, threads = [], [], default_threads()
    for _ in range(1 if asked.short else asked.repeat):
        events = work / "events.txt"
        events.unlink(missing_ok=True)
        whole = produce_timed(**job, events=events)
        ends, blocks = moments(events), len(moments(events))
        a_block = (ends[-1] - ends[0]) * full_share(work / "cube.zarr") * blocks / (blocks - 1)
        shutil.rmtree(job["out"])
        block = random.randrange(max(1, blocks // 10), max(2, blocks * 9 // 10))
        # The first block of a part is counted with what led to it, as in the run that was left alone.
        before = killed_at(job, events, block) + (whole.processor_seconds - (ends[-1] - ends[0]))
        done = len(moments(events))
        after = produce_timed(**job).processor_seconds
        # Each thread loses a block at most; the clock sees them lost side by side.
        extra.append((before + after - whole.processor_seconds) / a_block / threads)
        rows.append((f"after {done} of {blocks}", whole.processor_seconds, before, after, a_block, extra[-1]))
        shutil.rmtree(job["out"])
    lines = [
        "# Resuming",
        "",
        f"`benchmarks/resume.py`, {grid}, {end}. {machine()}. Bar: at most one block more; the second part also "
        f"makes the geometry of its tiles. Seconds of processors; a block more is one in each of {threads} "
        "threads.",
        "",
        *table(("killed", "whole, s", "first part, s", "second part, s", "a block, s", "blocks more"), rows),
        "",
        f"Median: {median(extra):.2f} blocks more.",
    ]
    record("resume", lines, {"blocks_more": extra, "rows": rows}, asked.short)


if __name__ == "__main__":
    main()
