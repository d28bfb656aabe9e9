"""The plan of a global hourly decade at 0.1 degree, by `produce --dry-run`; the evidence of docs/scale.md.

    python benchmarks/scale.py --model outputs/models/north [--data ../shared/data/china_north_2019.parquet] [--short]

Nobody has ten years of 2000 stations here, so a network is made up: 2000 places over the land's latitudes, each with
the 2019 record of a real station, ten times over and with a factor of its own. A dry run reads all of it, as the run
would, and tries one time block and two tiles. The figures are written to results/scale.md and .json.
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from producing import machine, parser, record, run_watched, table

from aqreanalysis.observations import Observations, StationPlaces, read_observations

STATIONS, FIRST, YEARS = 2000, 2010, 10
# Four weeks of 40 x 40 cells: the geometry of the globe fits no process, so it is made once a tile and time block;
# 1800 x 3600 cells are whole tiles, and a chunk of 4 MB serves maps and series.
BLOCKS = ("production.block_days=28", "production.tile_rows=40", "production.tile_columns=40")


def make_network(data: Path, path: Path, years: int) -> Path:
    """Write a network of synthetic places with the records of real ones; nothing if it is there."""
    if path.exists():
        return path
    real = read_observations(data).select(end="2020-01-01")
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-40, 65, STATIONS), rng.uniform(-180, 180, STATIONS)
    year = real.values("pm25")[:, rng.integers(len(real.stations), size=STATIONS)]
    year = year * rng.uniform(0.5, 1.5, STATIONS).astype(np.float32)
    times = pd.date_range(f"{FIRST}-01-01T01:00", f"{FIRST + years}-01-01T00:00", freq="h")
    values = year[np.arange(len(times)) % len(year)]
    places = StationPlaces([f"made-up-{i:04d}" for i in range(STATIONS)], lat, lon)
    attributes = {"synthetic": "records of real stations at made-up places, repeated year by year"}
    Observations.from_arrays(times, places, {"pm25": values}, attributes).to_netcdf(path)
    return path


def main() -> None:
    """Run it all."""
    asked = parser(__doc__).parse_args()
    work, years = asked.work / "scale", 1 if asked.short else YEARS
    work.mkdir(parents=True, exist_ok=True)
    network = make_network(asked.data, work / f"network_{years}.nc", years)
    command = [sys.executable, "-m", "aqreanalysis.cli", "produce", "--model", str(asked.model), "--device", "cpu"]
    command += ["--species", "pm25", "--observations", str(network), "--grid", "global-0.1"]
    command += ["--start", f"{FIRST}-01-01", "--end", f"{FIRST + years}-01-01", "--out", str(work / "decade.zarr")]
    command += [word for setting in BLOCKS for word in ("--set", setting)]
    # The plan is larger than this disk, which the dry run says after printing it, and ends with 2.
    printed, _, peak = run_watched([*command, "--dry-run", "--json"], allowed=(0, 2))
    plan = json.loads(printed)
    foretold, trial = plan["estimate"], plan["trial"]
    cells = plan["hours"] * plan["rows"] * plan["columns"]
    hours = foretold["processor_seconds"] / 3600
    rows = [
        ("cell-hours", f"{cells:.3g}"),
        ("blocks", f"{plan['blocks']:,} of {' x '.join(map(str, plan['block']))}"),
        ("layers before compression", f"{plan['raw_bytes'] / 1e12:.1f} TB"),
        ("layers compressed, by the trial", f"{foretold['cube_bytes'] / 1e12:.1f} TB"),
        ("processor hours of the sweep", f"{hours:,.0f}"),
        *((f"hours with {n} processors", f"{hours / n:.2g}") for n in (64, 256, 1024)),
        (
            "written a second by 256 processors",
            f"{256 * foretold['cube_bytes'] / foretold['processor_seconds'] / 1e6:.0f} MB",
        ),
        ("memory of a computing process", f"{foretold['worker_bytes'] / 1e9:.2f} GB"),
        ("memory of this process", f"{peak / 1e9:.2f} GB"),
        ("station states of a time block", f"{trial['encode_seconds']:.2f} s"),
        ("geometry of a cell", f"{1e6 * trial['geometry_seconds']:.1f} us"),
        ("a cell and hour", f"{1e9 * trial['sweep_seconds']:.0f} ns"),
        ("the trial took", f"{trial['seconds']:.1f} s"),
    ]
    lines = [
        "# A global hourly decade at 0.1 degree, foretold",
        "",
        f"`benchmarks/scale.py`: `produce --dry-run` on global-0.1, {years} years, {STATIONS} stations, PM2.5, "
        f"{' '.join(BLOCKS)}. {machine()}.",
        "",
        *table(("what", "figure"), rows),
    ]
    record("scale", lines, {"plan": plan, "peak_bytes": peak}, asked.short)


if __name__ == "__main__":
    main()
