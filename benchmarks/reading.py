"""A cube read beside one that another checkout makes: maps in a row, and a year at one cell, each from NetCDF and Zarr.

    python benchmarks/reading.py --model outputs/models/north --against ../other-checkout [--data RECORDS] [--short]

Both programs make the same two cubes of PM2.5: two weeks of north China at 0.1 degree (201 x 101 cells), and a year of
64 x 64 cells. Of the first the processor time of 24 maps one after the other, of the second that of all hours at one
cell, both of one layer of the opened cube, medians in turns; opening is not counted. How to make a model: see
benchmarks/producing.py.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import xarray as xr
from producing import SHORT, in_turns, machine, package_tree, parser, produce_timed, record, table

MAPS, LAYER = 24, "pm2p5"
#: What is read -> grid and span of its cube.
CUBES = {
    f"{MAPS} maps": ("north-china-0.1", "2019-01-07", "2019-01-21"),
    "all hours at a cell": ("115,38,118.15,41.15@0.05", "2019-01-01", "2020-01-01"),
}


def maps(layer: xr.DataArray) -> None:
    """Read maps one after the other."""
    for step in range(MAPS):
        layer.isel(time=step).values  # noqa: B018  # reading is what is timed


def series(layer: xr.DataArray) -> None:
    """Read all hours of one cell."""
    layer.isel(lat=layer.sizes["lat"] // 2, lon=layer.sizes["lon"] // 2).values  # noqa: B018


def processor_seconds(path: Path, what: str) -> float:
    """Return the processor seconds of a reading, all threads together."""
    with xr.open_dataset(path, engine="zarr" if path.is_dir() else "netcdf4") as cube:
        began = time.process_time()
        (maps if what.endswith("maps") else series)(cube[LAYER])
        return time.process_time() - began


def main() -> None:
    """Produce, read in turns and print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--against", type=Path, required=True, help="the other checkout")
    options = arguments.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    trees = {"here": None, "the other": package_tree(options.against, options.work)}
    figures: dict[str, Any] = {}
    rows = []
    for number, (what, (grid, *span)) in enumerate(CUBES.items()):
        start, end = SHORT if options.short else span
        for ending in ("nc", "zarr"):
            paths = {name: options.work / f"{number}_{name.split()[-1]}.{ending}" for name in trees}
            for name, path in paths.items():
                job = {"model": options.model, "observations": options.data, "grid": grid, "start": start, "end": end}
                produce_timed(tree=trees[name], **job, out=path)
            cases = {name: lambda path=path, what=what: processor_seconds(path, what) for name, path in paths.items()}
            seconds = {name: median(some) for name, some in in_turns(cases, options.repeat).items()}
            figures[f"{what}, {ending}"] = seconds
            rows.append((what, ending, *seconds.values(), seconds["here"] / seconds["the other"]))
    lines = ["# A cube read beside one of another checkout", "", f"Made by `benchmarks/reading.py` ({machine()}).", ""]
    lines += table(["what", "form", "here, s", "the other, s", "share"], rows)
    record("reading", lines, figures, options.short)


if __name__ == "__main__":
    main()
