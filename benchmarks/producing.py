"""What the benchmarks of the engine share: a run of `produce` in a process of its own, timed inside and out.

    python benchmarks/producing.py '{"model": ..., "observations": ..., "grid": ..., "out": ...}'

is that process; it prints one line of JSON. A model is one of `aqreanalysis train` (default config:
``aqreanalysis train --observations china_north_2019.parquet --config aqnet --out outputs/models/north``); for a quick
check any bundle does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Timing:
    """One run.

    Attributes
    ----------
    sweep_seconds : float
        From the moment at which the first block may begin, and worker processes are called, to the cube under its name,
        closed.
    seconds : float
        Of the whole process, from its start.
    processor_seconds : float
        Of the driving process over the same time, all its threads together.
    peak_bytes : int
        The most memory of it and its children together.
    cell_hours : int
        Of the cube.
    """

    sweep_seconds: float
    seconds: float
    processor_seconds: float
    peak_bytes: int
    cell_hours: int

    @property
    def rate(self) -> float:
        """Cell-hours a second of the sweep."""
        return self.cell_hours / self.sweep_seconds


def produce_timed(**job: Any) -> Timing:
    """Return the timing of a run in a process of its own; `job` is as of `run_job`."""
    told, seconds, peak = run_watched([sys.executable, __file__, json.dumps(job, default=str)])
    found = json.loads(told.splitlines()[-1])
    return Timing(found["sweep_seconds"], seconds, found["processor_seconds"], peak, found["cell_hours"])


def run_watched(command: Sequence[str], allowed: Sequence[int] = (0,)) -> tuple[str, float, int]:
    """Return what a command printed, its seconds, and the peak of the memory of it and its children in bytes.

    It must end with one of the `allowed` exit codes.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        parent = psutil.Process(process.pid)
        while not done.wait(0.05):
            try:
                peak = max(peak, sum(p.memory_info().rss for p in (parent, *parent.children(recursive=True))))
            except psutil.Error:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    printed, _ = process.communicate()
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    if process.returncode not in allowed:
        raise SystemExit(f"{' '.join(command[:4])} ...: exit code {process.returncode}")
    return printed, seconds, peak


def run_job(job: dict[str, Any]) -> dict[str, float]:
    """Produce in this process; `job` has model, observations, grid, start, end, out and options of `ProduceOptions`."""
    from aqreanalysis.configs import ProductionConfig
    from aqreanalysis.production import ProduceOptions, produce
    from aqreanalysis.production import run as making

    begun: list[tuple[float, float]] = []

    def noting(real: Any) -> Any:
        def run(*given: Any) -> None:
            begun.append((time.perf_counter(), time.process_time()))
            real(*given)

        return run

    making._sweep = noting(making._sweep)
    asked = {k: v for k, v in job.items() if k not in ("model", "observations", "grid", "start", "end", "out")}
    production = ProductionConfig(**asked.pop("production")) if "production" in asked else None
    progress = _noting_blocks(asked.pop("events")) if "events" in asked else None
    options = ProduceOptions(production=production, overwrite=True, progress=progress, **asked)
    cube = produce(job["model"], job["observations"], job["grid"], job["start"], job["end"], job["out"], options)
    ended = time.perf_counter(), time.process_time()
    sizes = cube.sizes
    cube.close()
    return {
        "sweep_seconds": ended[0] - (begun or [ended])[0][0],
        "processor_seconds": ended[1] - (begun or [ended])[0][1],
        "cell_hours": sizes["time"] * sizes["lat"] * sizes["lon"],
    }


def _noting_blocks(path: str) -> Any:
    """Return a progress that appends the processor time of the process at each finished block to a file."""

    def progress(done: int, total: int, note: str) -> None:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{time.process_time()} {done} {total}\n")

    return progress


def timed(work: Any, repeat: int) -> float:
    """Return the median seconds of a callable."""
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def parser(description: str | None, repeat: int = 3) -> argparse.ArgumentParser:
    """Return the parser with what all benchmarks of the engine take; `repeat` is the default of ``--repeat``."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--model", type=Path, required=True, help="a bundle of aqreanalysis train")
    found.add_argument("--data", type=Path, default=Path("../shared/data/china_north_2019.parquet"))
    found.add_argument("--work", type=Path, default=Path("outputs/benchmarks"))
    found.add_argument("--repeat", type=int, default=repeat, help="of which the median is told")
    found.add_argument("--short", action="store_true", help="a small case, to see that it runs; nothing is recorded")
    return found


def machine() -> str:
    """Return where and when a benchmark ran."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    when = time.strftime("%Y-%m-%d")
    return (
        f"{cores} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f} at the end, Python "
        f"{platform.python_version()}, torch {torch.__version__}, {when}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return the lines of a Markdown table; floats get three digits."""

    def cell(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(map(cell, r))} |" for r in rows)]


def record(name: str, lines: Sequence[str], figures: dict[str, Any], short: bool) -> None:
    """Print the lines; keep them and the figures in ``results/<name>.md`` and ``.json`` unless the case was small."""
    print("\n".join(lines))
    if not short:
        (RESULTS / f"{name}.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
        (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    print(json.dumps(run_job(json.loads(sys.argv[1]))))
