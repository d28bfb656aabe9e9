"""What `produce --dry-run` foretells against what the run takes: time within 1.5 times, size and memory beside it.

    python benchmarks/estimate.py --model outputs/models/north [--data ...] [--short]

Several small plans (grids, hours, threads and workers, Zarr and NetCDF, means), each first with --dry-run --json, then
for real; seconds are those of the whole command. How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from producing import machine, parser, record, run_watched, table

PLANS = {
    "0.1 degree, a week, Zarr": ("north-china-0.1", "2019-01-14", ".zarr", ()),
    "0.1 degree, four weeks, NetCDF": ("north-china-0.1", "2019-02-04", ".nc", ()),
    "0.05 degree, a week, two workers": ("north-china-0.05", "2019-01-14", ".zarr", ("--workers", "2")),
    "0.1 degree, two weeks, hours and days": (
        "north-china-0.1",
        "2019-01-21",
        ".zarr",
        ("--frequency", "hourly,daily"),
    ),
    "0.025 degree, a day, large tiles": (
        "114,36,118,40@0.025",
        "2019-01-08",
        ".nc",
        ("--set", "production.tile_rows=160"),
    ),
}
SMALL = {"0.1 degree, a day, NetCDF": ("115,39,117,41@0.1", "2019-01-08", ".nc", ())}


def stored(path: Path) -> int:
    """Return the bytes of a file or a folder."""
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return sum(f.stat().st_size for f in files)


def main() -> None:
    """Run it all."""
    asked = parser(__doc__).parse_args()
    work, rows, figures = asked.work / "estimate", [], {}
    for name, (grid, end, suffix, more) in (SMALL if asked.short else PLANS).items():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        command = [sys.executable, "-m", "aqreanalysis.cli", "produce", "--model", str(asked.model), "--device", "cpu"]
        command += ["--species", "pm25", "--observations", str(asked.data), "--grid", grid, "--start", "2019-01-07"]
        command += ["--end", end, "--out", str(work / f"cube{suffix}"), *more]
        printed, _, _ = run_watched([*command, "--dry-run", "--json"])
        plan = json.loads(printed)
        foretold = plan["estimate"]
        _, seconds, peak = run_watched(command)
        size = sum(stored(path) for path in work.iterdir())
        ratio = foretold["seconds"] / seconds
        memory = foretold["memory_bytes"] / peak
        trial = plan["trial"]["seconds"]
        rows.append((name, trial, foretold["seconds"], seconds, ratio, foretold["cube_bytes"] / size, memory))
        figures[name] = {"estimate": foretold["seconds"], "measured": seconds, "size": foretold["cube_bytes"] / size}
        figures[name] |= {"memory": memory, "trial": trial}
    head = ("plan", "trial, s", "foretold, s", "measured, s", "time ratio", "size ratio", "memory ratio")
    lines = [
        "# Foretold and measured",
        "",
        f"`benchmarks/estimate.py`. {machine()}. Ratios are foretold over measured; bar for time 0.67 to 1.5.",
        "",
        *table(head, rows),
    ]
    record("estimate", lines, figures, asked.short)


if __name__ == "__main__":
    main()
