"""Reading meteorology for one block, tile by tile, with decoded maps kept and without.

    python benchmarks/grib_tiles.py [--rows 81] [--columns 161] [--tiles 5]

Writes a week of ERA5-like GRIB (a quarter of a degree, three fields) and asks `Covariates` for the cells of each of
``tiles x tiles`` tiles in turn, as the sweep of `produce` does. Writes results/grib_tiles.md. Processor seconds: others
may share the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from producing import machine, record, table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
from covariates_case import message, write_grib

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.covariates import Covariates, grib

HOURS = 168
LEVELS = {"t2m": 285.0, "u10": 3.0, "blh": 600.0}


def write_week(path: Path, rows: int, columns: int) -> Path:
    """Write the maps of a week."""
    rng = np.random.default_rng(0)
    lat, lon = 60 - 0.25 * np.arange(rows), 0.25 * np.arange(columns)
    stamps = pd.date_range("2019-01-01 01:00", periods=HOURS, freq="h")
    maps = (
        message(key, f"{stamp:%Y-%m-%dT%H:%M}", level + rng.normal(0, 1, (rows, columns)))
        for stamp in stamps
        for key, level in LEVELS.items()
    )
    return write_grib(path, maps, lat, lon)


def seconds_of(path: Path, places: list[tuple[np.ndarray, np.ndarray]], keep_bytes: int) -> tuple[float, float]:
    """Return processor seconds of all tiles in turn, and the sum of what they read (to see that it is the same)."""
    grib._MAPS = BoundedCache(keep_bytes, stale=4)
    covariates = Covariates.open(path)
    hours = covariates.hours("t2m")
    began, total = time.process_time(), 0.0
    for lat, lon in places:
        total += float(covariates.at(lat, lon, hours).sum(dtype=np.float64))
    return time.process_time() - began, total


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=81)
    parser.add_argument("--columns", type=int, default=161)
    parser.add_argument("--tiles", type=int, default=5, help="along each side")
    parser.add_argument("--short", action="store_true", help="nothing is recorded")
    asked = parser.parse_args()
    south, east = 60 - 0.25 * (asked.rows - 1), 0.25 * (asked.columns - 1)
    lats = np.array_split(np.arange(south, 60.01, 0.1), asked.tiles)
    lons = np.array_split(np.arange(0, east + 0.01, 0.1), asked.tiles)
    places = [tuple(a.ravel() for a in np.meshgrid(lat, lon, indexing="ij")) for lat in lats for lon in lons]
    with tempfile.TemporaryDirectory() as folder:
        path = write_week(Path(folder) / "week.grib", asked.rows, asked.columns)
        map_bytes = 4 * asked.rows * asked.columns
        whole = HOURS * len(LEVELS) * map_bytes
        caches = {"none": 0, "half of the week's": whole // 2, "all of the week's": whole}
        taken = {name: seconds_of(path, places, size) for name, size in caches.items()}
    assert len({total for _, total in taken.values()}) == 1
    rows = [
        (name, f"{caches[name] / 1e6:.0f}", seconds, seconds / taken["none"][0]) for name, (seconds, _) in taken.items()
    ]
    lines = [
        "# Meteorology for the tiles of a block",
        "",
        f"`{' '.join(['benchmarks/grib_tiles.py', *sys.argv[1:]])}`: {HOURS} hours of {len(LEVELS)} fields on "
        f"{asked.rows} x {asked.columns} points, {len(places)} tiles of {places[0][0].size} cells. {machine()}.",
        "",
        *table(("maps kept", "MB", "processor (s)", "of none kept"), rows),
        "",
        "By default covariates/grib.py holds 268 MB. The numbers read are the same.",
    ]
    record("grib_tiles", lines, {name: seconds for name, (seconds, _) in taken.items()}, asked.short)


if __name__ == "__main__":
    main()
