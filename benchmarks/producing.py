"""What the benchmarks of the engine share: a run of `produce` in a process of its own, timed inside and out.

    python benchmarks/producing.py '{"model": ..., "observations": ..., "grid": ..., "out": ...}'

is that process; it prints one line of JSON. It uses the public interface alone, so that another version of the program
can be timed by it (`produce_timed(tree=...)`). A model is one of `aqreanalysis train` (default config:
``aqreanalysis train --observations china_north_2019.parquet --config aqnet --out outputs/models/north``); for a quick
check any bundle does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import psutil

T = TypeVar("T")

RESULTS = Path(__file__).parent / "results"
#: What the benchmarks of the engine count: a month of PM2.5, in the short case two days.
MONTH, SHORT = ("2019-01-07", "2019-02-07"), ("2019-01-07", "2019-01-09")


@dataclass(frozen=True)
class Timing:
    """One run.

    Attributes
    ----------
    sweep_seconds : float
        From the first finished block to the cube under its name, closed, and the share of the blocks before it: what
        goes before, the start of a process, its inputs and workers, is none of the sweep's.
    seconds : float
        Of the whole process, from its start.
    processor_seconds : float
        Of the driving process, all its threads together, from the first hours that it lays out to be encoded, or from
        the first finished block where workers encode, to the closed cube.
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


def produce_timed(tree: Path | None = None, **job: Any) -> Timing:
    """Return the timing of a run in a process of its own; `job` is as of `run_job`, `tree` as of `package_tree`."""
    command = [sys.executable, __file__, json.dumps(job, default=str)]
    printed, seconds, peak = run_watched(command, tree=tree)
    figures = json.loads(printed.splitlines()[-1])
    return Timing(seconds=seconds, peak_bytes=peak, **figures)


def in_turns(cases: Mapping[str, Callable[[], T]], repeat: int) -> dict[str, list[T]]:
    """Return the results of each case; the cases take turns, so that what else the machine does meets all of them."""
    results: dict[str, list[T]] = {name: [] for name in cases}
    for _ in range(repeat):
        for name, case in cases.items():
            results[name].append(case())
    return results


def package_tree(checkout: Path, work: Path) -> Path:
    """Return a folder from which the package of another checkout can be imported.

    Parameters
    ----------
    checkout : Path
        The root of a checkout, whose package is put together in `work`, or a folder that holds the package as it is
        installed.
    work : Path
        Folder for it.
    """
    rooms = [checkout / room for room in ("cli", "grids", "configs")]
    if not all(room.is_dir() for room in rooms):
        if not (checkout / "aqreanalysis" / "cli").is_dir():
            raise SystemExit(f"{checkout} is no checkout of aqreanalysis and holds no installed package")
        return checkout.resolve()
    tree = work.resolve() / "other_tree"
    shutil.rmtree(tree, ignore_errors=True)
    package = shutil.copytree(checkout / "aqreanalysis", tree / "aqreanalysis")
    for room in rooms:
        shutil.copytree(room, package / room.name)
    return tree


def run_watched(
    command: Sequence[str], allowed: Sequence[int] = (0,), tree: Path | None = None
) -> tuple[str, float, int]:
    """Return what a command printed, its seconds, and the peak of the memory of it and its children in bytes.

    It must end with one of the `allowed` exit codes. A `tree` (`package_tree`) takes the place of the package here.
    """
    environment = {**os.environ, "PYTHONPATH": str(tree)} if tree is not None else None
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
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


def run_job(job: Mapping[str, Any]) -> dict[str, float]:
    """Produce in this process and return the figures of `Timing` that can be seen from inside.

    `job` has model, observations, grid, start, end, out and options of `ProduceOptions`, of which ``covariates`` is a
    path; ``events``, the path of a file, gets a line a finished block: the processor seconds of the process by then,
    the blocks done and all of them.
    """
    from aqreanalysis import load_predictor
    from aqreanalysis.configs import ProductionConfig
    from aqreanalysis.production import ProduceOptions, produce

    options = {k: v for k, v in job.items() if k not in ("model", "observations", "grid", "start", "end", "out")}
    if "covariates" in options:
        from aqreanalysis.covariates import Covariates

        options["covariates"] = Covariates.open(options["covariates"])
    production = ProductionConfig(**options.pop("production")) if "production" in options else None
    events = options.pop("events", None)
    blocks: list[tuple[float, float, int]] = []
    begun: list[float] = []
    # By the public name, which an older checkout has too.
    kind: Any = type(load_predictor(job["model"], "cpu", options.get("covariates")))

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            begun.append(time.process_time())
            return function(*given, **named)

        return call

    # Whichever is first: a run that goes on may find its hours encoded.
    for name in ("split_hours", "encode"):
        if hasattr(kind, name):
            setattr(kind, name, noted(getattr(kind, name)))

    def progress(done: int, total: int, note: str) -> None:
        blocks.append((time.perf_counter(), time.process_time(), done))
        if events is not None:
            with Path(events).open("a", encoding="utf-8") as file:
                file.write(f"{time.process_time()} {done} {total}\n")

    made = ProduceOptions(production=production, overwrite=True, progress=progress, **options)
    cube = produce(job["model"], job["observations"], job["grid"], job["start"], job["end"], job["out"], made)
    sizes = cube.sizes
    cube.close()
    # A run that was killed after its last block has none left.
    first, worked, done = blocks[0] if blocks else (time.perf_counter(), time.process_time(), 0)
    share = (blocks[-1][2] - done + 1) / max(blocks[-1][2] - done, 1) if blocks else 1.0
    return {
        "sweep_seconds": (time.perf_counter() - first) * share,
        "processor_seconds": time.process_time() - min([worked, *begun]),
        "cell_hours": sizes["time"] * sizes["lat"] * sizes["lon"],
    }


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
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=Path, required=True, help="a bundle of aqreanalysis train")
    options.add_argument("--data", type=Path, default=Path("../shared/data/china_north_2019.parquet"))
    options.add_argument("--work", type=Path, default=Path("outputs/benchmarks"))
    options.add_argument("--repeat", type=int, default=repeat, help="of which the median is printed")
    options.add_argument("--short", action="store_true", help="a small case, to see that it runs; nothing is recorded")
    return options


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
