"""Two worker processes against one on a large grid; bar 1.7 times faster.

    python benchmarks/workers.py --model outputs/models/north [--data ...] [--short]

Four weeks at 0.025 degree, 216 million cell-hours: a week takes two threads no longer than two processes take to start.
Seconds from the moment at which the workers are called, the inputs being read, to the closed Zarr store: their start
and the loading of the model are in them. Threads of one process stand beside them.
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

from statistics import median

from producing import machine, parser, produce_timed, record, table


def main() -> None:
    """Run it all."""
    asked = parser(__doc__, repeat=1).parse_args()
    work, repeat = asked.work / "workers", 1 if asked.short else asked.repeat
    work.mkdir(parents=True, exist_ok=True)
    grid, end = ("115,39,117,40@0.1", "2019-01-09") if asked.short else ("north-china-0.025", "2019-02-04")
    job = {"model": asked.model, "observations": asked.data, "grid": grid, "start": "2019-01-07", "end": end}
    job |= {"out": work / "cube.zarr", "species": ["pm25"], "device": "cpu"}
    cases = {"one worker": {"workers": 1}, "two workers": {"workers": 2}, "two threads": {"threads": 2}}
    runs = {name: [produce_timed(**job, **more) for _ in range(repeat)] for name, more in cases.items()}
    seconds = {name: median(r.sweep_seconds for r in some) for name, some in runs.items()}
    one = seconds["one worker"]
    rows = [(n, s, runs[n][0].cell_hours / s / 1e6, one / s, runs[n][0].peak_bytes / 1e9) for n, s in seconds.items()]
    lines = [
        "# Worker processes",
        "",
        f"`benchmarks/workers.py`, {grid}; medians of {repeat}. {machine()}. Bar: two workers 1.7 times as fast.",
        "",
        *table(("who", "seconds", "million cell-hours/s", "times one worker", "peak, GB"), rows),
    ]
    record("workers", lines, seconds, asked.short)


if __name__ == "__main__":
    main()
