"""Two worker processes against one on a large grid; bar 1.7 times faster.

    python benchmarks/workers.py --model outputs/models/north [--data ...] [--short]

A month at 0.025 degree, 240 million cell-hours. Seconds from the first finished block to the closed Zarr store.
Threads of one process stand beside the workers, and the limit of the machine: two runs of one thread each at the same
time, which know nothing of each other and share nothing but memory and caches.
The cases take turns, so that what else the machine does meets all of them.
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median

from producing import MONTH, SHORT, Timing, in_turns, machine, parser, produce_timed, record, table

#: Two runs at once, each with a cube of its own: the seconds of the slower one.
APART = "two runs apart"


def main() -> None:
    """Run it all."""
    asked = parser(__doc__, repeat=3).parse_args()
    work, repeat = asked.work / "workers", 1 if asked.short else asked.repeat
    work.mkdir(parents=True, exist_ok=True)
    grid, (start, end) = ("115,39,117,40@0.1", SHORT) if asked.short else ("north-china-0.025", MONTH)
    job = {"model": asked.model, "observations": asked.data, "grid": grid, "start": start, "end": end}
    job |= {"species": ["pm25"], "device": "cpu"}
    cases = {"one worker": {"workers": 1}, "two workers": {"workers": 2}}
    cases |= {"one thread": {"threads": 1}, "two threads": {"threads": 2}}

    def apart() -> Timing:
        with ThreadPoolExecutor(2) as pool:
            both = pool.map(lambda n: produce_timed(**job, out=work / f"apart-{n}.zarr", threads=1), range(2))
            return max(both, key=lambda run: run.sweep_seconds)

    turns = {n: partial(produce_timed, **job, out=work / "cube.zarr", **more) for n, more in cases.items()}
    runs = in_turns({**turns, APART: apart}, repeat)
    seconds = {name: median(r.sweep_seconds for r in some) for name, some in runs.items()}
    cells = runs["one worker"][0].cell_hours
    rows = [
        (n, s, (1 + (n == APART)) * cells / s / 1e6, _gain(n, seconds), runs[n][0].peak_bytes / 1e9)
        for n, s in seconds.items()
    ]
    lines = [
        "# Worker processes",
        "",
        f"`benchmarks/workers.py`, {grid}; medians of {repeat}. {machine()}. Bar: two workers 1.7 times as fast.",
        "",
        *table(("who", "seconds", "million cell-hours/s", "times one of them", "peak, GB"), rows),
    ]
    record("workers", lines, seconds, asked.short)


def _gain(name: str, seconds: dict[str, float]) -> float:
    """Return how many times as fast as one alone a case is: as one worker, or as one thread."""
    one = seconds["one worker" if "worker" in name else "one thread"]
    return (1 + (name == APART)) * one / seconds[name]


if __name__ == "__main__":
    main()
