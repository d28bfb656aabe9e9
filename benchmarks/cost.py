"""Cost of a cell-hour as the grid gets finer (0.1 to 0.025 degree) and the network larger (100 to 2000 stations).

    python benchmarks/cost.py --model outputs/models/north [--data ...] [--short]

Bars: 1.2 times from 0.1 to 0.025 degree over the same region and hours; 1.5 times from 100 to 2000 stations of the
nature run on one grid. Any model does for both: its weights are those of geometry, not of a network. Seconds are from
the first block to the closed Zarr store, so that reading the network does not count; processor seconds over the same
time stand beside them, which others at work on the machine disturb less.
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from producing import Timing, machine, parser, produce_timed, record, table

DAYS = ("2019-01-07", "2019-01-14")
STEPS = (0.1, 0.025)
STATIONS = (100, 2000)
NATURE_DAYS = 12
HEAD = ("case", "million cell-hours", "seconds", "ns a cell-hour", "times the first")


def network(path: Path, stations: int) -> Path:
    """Return a file of a nature run of so many stations, all pollutants, made if it is not there."""
    if not path.exists():
        from aqreanalysis.nature import nature_run

        nature_run(days=NATURE_DAYS, stations=stations).observations.to_netcdf(path)
    return path


def median_rate(repeat: int, **job: Any) -> Timing:
    """Return the run of the median rate."""
    runs = [produce_timed(**job, species=["pm25"], device="cpu") for _ in range(repeat)]
    wanted = median(r.rate for r in runs)
    return min(runs, key=lambda r: abs(r.rate - wanted))


def main() -> None:
    """Run it all."""
    asked = parser(__doc__).parse_args()
    work, repeat = asked.work / "cost", 1 if asked.short else asked.repeat
    work.mkdir(parents=True, exist_ok=True)
    box = "116,39,117,40" if asked.short else "112,35,120,41"
    job = {"model": asked.model, "start": DAYS[0], "end": "2019-01-09" if asked.short else DAYS[1]}
    rows, figures = [], {}
    for name, cases in (
        ("degree", STEPS),
        ("stations", (100, 300) if asked.short else STATIONS),
    ):
        first = first_worked = None
        for case in cases:
            if name == "degree":
                more: dict[str, Any] = {"observations": asked.data, "grid": f"{box}@{case}"}
            else:
                file = network(work / f"nature_{case}.nc", case)
                more = {"observations": file, "grid": "nature-0.1" if asked.short else "10,46,16,50@0.05"}
                more |= {"start": "2001-03-03", "end": "2001-03-05" if asked.short else "2001-03-10"}
            run = median_rate(repeat, **{**job, **more, "out": work / "cube.zarr"})
            cost = 1e9 / run.rate
            first = first or cost
            worked = 1e9 * run.processor_seconds / run.cell_hours
            first_worked = first_worked or worked
            rows.append(
                (
                    f"{case} {name}",
                    run.cell_hours / 1e6,
                    run.sweep_seconds,
                    cost,
                    cost / first,
                    worked,
                    worked / first_worked,
                )
            )
            figures[f"{case} {name}"] = {"cell_hours": run.cell_hours, "seconds": run.sweep_seconds}
            figures[f"{case} {name}"] |= {"processor_seconds": run.processor_seconds}
    lines = [
        "# Cost of a cell-hour",
        "",
        f"`benchmarks/cost.py`, region {box}, then the nature run; medians of {repeat}. {machine()}.",
        "Bars: the finest grid at most 1.2 times, the largest network at most 1.5 times the first of its kind.",
        "",
        *table((*HEAD, "processor ns", "times the first"), rows),
    ]
    record("cost", lines, figures, asked.short)


if __name__ == "__main__":
    main()
