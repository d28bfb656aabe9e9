"""Cost of a cell-hour as the grid gets finer (0.1 to 0.025 degree) and the network larger (100 to 2000 stations).

    python benchmarks/cost.py --model outputs/models/north [--data ...] [--short]

Bars: 1.2 times from 0.1 to 0.025 degree over the same region and hours; 1.5 times from 100 to 2000 stations of the
nature run on one grid. An hour of a station is encoded once, however many cells are made of it, so the second depends
on how many cells there are to a station. Two grids are measured: 0.05 degree, where 2000 stations have five cells each
and many a cell holds several of them; and 0.0125 degree, where they have 77 each, about as many as 100 stations have at
0.05 degree (98) and half as many as the network of north China has (173): the grid that such a network is asked for.
Any model does for both: its weights are those of geometry, not of a network. Seconds are from the first block to the
closed Zarr store, so that reading the network does not count; processor seconds over the same time stand beside them,
which others at work on the machine disturb less.
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from producing import MONTH, SHORT, Timing, in_turns, machine, parser, produce_timed, record, table

STEPS = (0.1, 0.025)
STATIONS = (100, 2000)
STATION_GRIDS = (0.05, 0.0125)
NATURE_BOX = "10,46,16,50"
NATURE_DAYS = 36
HEAD = ("case", "million cell-hours", "seconds", "ns a cell-hour", "times the first")


def network(path: Path, stations: int) -> Path:
    """Return a file of a nature run of so many stations, all pollutants, made if it is not there."""
    if not path.exists():
        from aqreanalysis.nature import nature_run

        nature_run(days=NATURE_DAYS, stations=stations).observations.to_netcdf(path)
    return path


def median_rates(repeat: int, compared: list[tuple[str, dict[str, Any]]], **job: Any) -> list[Timing]:
    """Return of each case the run of the median rate; the cases take turns, so that others at work meet all of them."""
    job |= {"species": ["pm25"], "device": "cpu"}
    runs = in_turns({name: partial(produce_timed, **job, **case) for name, case in compared}, repeat)
    wanted = {name: median(r.rate for r in some) for name, some in runs.items()}
    return [min(some, key=lambda r: abs(r.rate - wanted[name])) for name, some in runs.items()]


def cases(asked: Any, work: Path) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Yield the cases of each comparison: name, and what differs from one run to the next."""
    box = "116,39,117,40" if asked.short else "112,35,120,41"
    days = dict(zip(("start", "end"), SHORT if asked.short else MONTH, strict=True))
    yield [(f"{step} degree", {"observations": asked.data, "grid": f"{box}@{step}", **days}) for step in STEPS]
    days = {"start": "2001-03-03", "end": "2001-03-05" if asked.short else "2001-04-03"}
    for step in (0.1,) if asked.short else STATION_GRIDS:
        networks = (
            (n, network(work / f"nature_{n}_{NATURE_DAYS}.nc", n)) for n in ((100, 300) if asked.short else STATIONS)
        )
        yield [
            (f"{n} stations, {step} degree", {"observations": file, "grid": f"{NATURE_BOX}@{step}", **days})
            for n, file in networks
        ]


def main() -> None:
    """Run it all."""
    asked = parser(__doc__).parse_args()
    work, repeat = asked.work / "cost", 1 if asked.short else asked.repeat
    work.mkdir(parents=True, exist_ok=True)
    rows, figures = [], {}
    for compared in cases(asked, work):
        first = first_worked = None
        runs = median_rates(repeat, compared, model=asked.model, out=work / "cube.zarr")
        for (name, _), run in zip(compared, runs, strict=True):
            cost, worked = 1e9 / run.rate, 1e9 * run.processor_seconds / run.cell_hours
            first, first_worked = first or cost, first_worked or worked
            ratios = cost / first, worked / first_worked
            rows.append((name, run.cell_hours / 1e6, run.sweep_seconds, cost, ratios[0], worked, ratios[1]))
            figures[name] = {"cell_hours": run.cell_hours, "seconds": run.sweep_seconds}
            figures[name] |= {"processor_seconds": run.processor_seconds}
    lines = [
        "# Cost of a cell-hour",
        "",
        f"`benchmarks/cost.py`, region 112,35,120,41, then the nature run; medians of {repeat}. {machine()}.",
        "Bars: the finest grid at most 1.2 times, the largest network at most 1.5 times the first of its kind. Of 2000",
        "stations each has 5 cells at 0.05 degree and 77 at 0.0125; of 100 stations each has 98 at 0.05 degree.",
        "",
        *table((*HEAD, "processor ns", "times the first"), rows),
    ]
    record("cost", lines, figures, asked.short)


if __name__ == "__main__":
    main()
