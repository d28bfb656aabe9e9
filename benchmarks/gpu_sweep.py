"""The sweep on a GPU: north China at 0.05 degree, PM2.5 and all its layers, a month and a quarter, beside a CPU.

    python benchmarks/gpu_sweep.py --model outputs/models/north [--data china_north_2019.parquet] [--short]

Each run is a process of its own: the GPU is warmed up while the readings are read, as in every run of the command, and
the clock runs from the first finished block to the closed store. The store lies under ``--work``, which ought to be in
memory (``/dev/shm/sweep``): a quarter is 2 GB of files, for which a disk takes longer than the GPU; ``--disk`` names a
folder on one, for a row of its own. How busy the GPU is: the time during which a kernel ran, of one more run that is
profiled, over the seconds of the others.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

from producing import MONTH, SHORT, Timing, machine, parser, produce_timed, record, run_job, run_watched, table

SPANS = {"month": MONTH, "quarter": ("2019-01-07", "2019-04-07")}
BAR, BUSY_BAR = 100.0, 60.0


def kernel_seconds(job: dict[str, Any]) -> float:
    """Return during how many seconds of a run of `job` at least one kernel ran; copies do not count."""
    from torch.profiler import ProfilerActivity, profile

    on_gpu = job["device"] != "cpu"
    profiler = profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU])
    with profiler:
        run_job(job)
    kernels = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events() or ()
        if "CUDA" in str(event.device_type) and not event.name.startswith("Mem")
    ]
    busy, until = 0.0, 0.0
    for begin, end in sorted(kernels):
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy / 1e6


def gpu_name() -> str:
    """Return what the GPU calls itself."""
    command = [sys.executable, "-c", "import torch; print(torch.cuda.get_device_name())"]
    return run_watched(command)[0].strip()


def measure(job: dict[str, Any], work: Path, repeat: int) -> list[Timing]:
    """Return the timings of a job, its output deleted after each."""
    runs = []
    for _ in range(repeat):
        runs.append(produce_timed(**job, out=work / "cube.zarr"))
        shutil.rmtree(work / "cube.zarr")
    return runs


def main() -> None:
    """Run it all."""
    if len(sys.argv) == 3 and sys.argv[1] == "--kernels":
        print(kernel_seconds(json.loads(sys.argv[2])))
        return
    options = parser(__doc__)
    options.add_argument("--disk", type=Path, help="a folder on a disk, for a row of its own")
    options.add_argument("--device", default="cuda")
    asked = options.parse_args()
    work = asked.work / "gpu_sweep"
    work.mkdir(parents=True, exist_ok=True)
    spans, repeat = ({"two days": SHORT}, 1) if asked.short else (SPANS, asked.repeat)
    base = {"model": asked.model, "observations": asked.data, "grid": "north-china-0.05", "species": ["pm25"]}
    rows, figures = [], {}
    for name, (start, end) in spans.items():
        job = {**base, "start": start, "end": end, "device": asked.device}
        places = {"memory": work}
        if asked.disk and name == list(spans)[-1]:
            places["disk"] = asked.disk
        profiled = json.dumps({**job, "out": work / "busy.zarr"}, default=str)
        kernels = float(run_watched([sys.executable, __file__, "--kernels", profiled])[0].split()[-1])
        shutil.rmtree(work / "busy.zarr")
        for place, folder in places.items():
            runs = measure(job, folder, repeat)
            seconds = median(r.sweep_seconds for r in runs)
            rate, busy = runs[0].cell_hours / seconds / 1e6, 100 * kernels / seconds
            rows.append((f"{name}, {asked.device}, into {place}", seconds, rate, f"{busy:.0f} %"))
            figures[f"{name} {place}"] = {
                "seconds": [r.sweep_seconds for r in runs],
                "rate": rate,
                "kernel_seconds": kernels,
                "whole_process_seconds": median(r.seconds for r in runs),
                "processor_seconds": median(r.processor_seconds for r in runs),
                "peak_bytes": max(r.peak_bytes for r in runs),
            }
    name, (start, end) = next(iter(spans.items()))
    # The first compiles.
    runs = measure({**base, "start": start, "end": end, "device": "cpu"}, work, 2)[1:]
    rows.append((f"{name}, cpu, into memory", runs[0].sweep_seconds, runs[0].rate / 1e6, ""))
    figures[f"{name} cpu"] = {"seconds": runs[0].sweep_seconds, "rate": runs[0].rate / 1e6}
    card = gpu_name() if asked.device == "cuda" else "no GPU"
    lines = [
        "# The sweep on a GPU",
        "",
        f"`benchmarks/gpu_sweep.py`, north-china-0.05, PM2.5 with all layers, {card}; medians of {repeat} processes. "
        f"Bars: {BAR:.0f} million cell-hours a second, GPU busy {BUSY_BAR:.0f} %. {machine()}.",
        "",
        *table(("what", "seconds", "million cell-hours/s", "GPU busy"), rows),
    ]
    record("gpu_sweep", lines, figures, asked.short)


if __name__ == "__main__":
    main()
