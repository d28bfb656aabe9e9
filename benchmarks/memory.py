"""Peak memory of a long run beside a short one: a year against a month, 0.1 degree; at most 1.2 times and 2 GB.

    python benchmarks/memory.py --model outputs/models/north [--data ...] [--grid north-china-0.1] [--short]

Each run is the command that a user types; its memory is that of the process and its children. The observations are in
the driving process in both runs (the whole year is read either way), so the growth is the sweep's own. The region is
four tiles of 0.1 degree, in a year 72 million cell-hours in 53 time blocks; --grid takes another one.
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

import sys

from producing import MONTH, machine, parser, record, run_watched, table

YEAR, WEEK, TWO_WEEKS = ("2019-01-01", "2019-12-31"), ("2019-01-07", "2019-01-14"), ("2019-01-07", "2019-01-21")


def main() -> None:
    """Run it all."""
    options = parser(__doc__)
    options.add_argument("--grid", default="112,34,122,42@0.1")
    asked = options.parse_args()
    work = asked.work / "memory"
    work.mkdir(parents=True, exist_ok=True)
    spans = {"a week": WEEK, "two weeks": TWO_WEEKS} if asked.short else {"a month": MONTH, "a year": YEAR}
    grid = "115,39,117,40@0.1" if asked.short else asked.grid
    figures = {}
    for name, (start, end) in spans.items():
        command = [sys.executable, "-m", "aqreanalysis.cli", "produce", "--model", str(asked.model), "--device", "cpu"]
        command += ["--species", "pm25", "--observations", str(asked.data), "--grid", grid, "--start", start]
        command += ["--end", end, "--overwrite", "--out", str(work / "cube.zarr")]
        _, seconds, peak = run_watched(command)
        figures[name] = {"seconds": seconds, "peak_bytes": peak}
    peaks = [run["peak_bytes"] for run in figures.values()]
    rows = [(name, run["seconds"], run["peak_bytes"] / 1e9) for name, run in figures.items()]
    short, long = spans
    lines = [
        "# Memory",
        "",
        f"`benchmarks/memory.py`, {grid}. {machine()}.",
        "",
        *table(("run", "seconds", "peak, GB"), rows),
        "",
        f"{long}: {peaks[1] / peaks[0]:.2f} times the memory of {short} (bar 1.2), {peaks[1] / 1e9:.2f} GB (bar 2).",
    ]
    record("memory", lines, figures, asked.short)


if __name__ == "__main__":
    main()
