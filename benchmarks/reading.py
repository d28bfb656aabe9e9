"""A cube read beside one that another checkout makes: maps in a row, and a year at one cell.

    python benchmarks/reading.py --model outputs/models/north --against ../other-checkout [--data RECORDS] [--short]

Both programs make the same two cubes of PM2.5, as NetCDF and as Zarr: two weeks of north China at 0.1 degree (201 x
101 cells), and a year of 64 x 64 cells; what lies in ``--work`` already is read as it is. Told are their sizes, of the
first the processor time of 24 maps one after the other, and of the second that of all hours at one cell, both of one
layer: by xarray from the opened cube with each library that reads it (opening is not counted), and maps by CDO too, its
start included. Medians in turns. The libraries keep chunks of different size: netCDF4's wheel 64 MB, h5py 1, Debian's
CDO 4. How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
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
READERS = {"netcdf4": ".nc", "h5netcdf": ".nc", "zarr": ".zarr", "cdo": ".nc"}


def maps(layer: xr.DataArray) -> None:
    """Read maps one after the other."""
    for step in range(MAPS):
        layer.isel(time=step).values  # noqa: B018  # reading is what is timed


def series(layer: xr.DataArray) -> None:
    """Read all hours of one cell."""
    layer.isel(lat=layer.sizes["lat"] // 2, lon=layer.sizes["lon"] // 2).values  # noqa: B018


def by_xarray(path: Path, engine: str, what: str) -> float:
    """Return the processor seconds of a reading, all threads together."""
    with xr.open_dataset(path, engine=engine) as cube:
        began = time.process_time()
        (maps if what.endswith("maps") else series)(cube[LAYER])
        return time.process_time() - began


def by_cdo(path: Path) -> float:
    """Return the processor seconds in which CDO reads maps, and writes them to nowhere."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["cdo", "-s", "info", f"-seltimestep,1/{MAPS}", f"-selname,{LAYER}", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def stored_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files)


def main() -> None:
    """Produce, read in turns and print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--against", type=Path, required=True, help="the other checkout")
    options = arguments.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    trees = {"here": None, "the other": package_tree(options.against, options.work)}
    figures: dict[str, Any] = {}
    rows, sizes = [], []
    for number, (what, (grid, *span)) in enumerate(CUBES.items()):
        start, end = SHORT if options.short else span
        job = {"model": options.model, "observations": options.data, "grid": grid, "start": start, "end": end}
        for reader, ending in READERS.items():
            if reader == "cdo" and (not what.endswith("maps") or shutil.which("cdo") is None):
                continue
            cases = {}
            for name, tree in trees.items():
                path = options.work / f"{number}_{name.split()[-1]}{ending}"
                if not path.exists():
                    produce_timed(tree=tree, **job, out=path)
                if reader == "cdo":
                    cases[name] = lambda path=path: by_cdo(path)
                else:
                    cases[name] = lambda path=path, reader=reader, what=what: by_xarray(path, reader, what)
            seconds = {name: median(some) for name, some in in_turns(cases, options.repeat).items()}
            figures[f"{what}, {reader}"] = seconds
            rows.append((what, reader, *seconds.values(), seconds["here"] / seconds["the other"]))
        for form in ("nc", "zarr"):
            here, other = (stored_bytes(options.work / f"{number}_{name.split()[-1]}.{form}") / 1e6 for name in trees)
            figures[f"{grid}, {form}"] = {"here": here, "the other": other}
            sizes.append((f"{grid}, {start} to {end}", form, here, other, here / other))
    lines = ["# A cube read beside one of another checkout", "", f"Made by `benchmarks/reading.py` ({machine()}).", ""]
    lines += table(["processor seconds of", "by", "here", "the other", "share"], rows)
    lines += ["", *table(["megabytes of", "form", "here", "the other", "share"], sizes)]
    record("reading", lines, figures, options.short)


if __name__ == "__main__":
    main()
