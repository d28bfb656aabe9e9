"""Time, memory and realism of the nature run, and how wrong its background is.

    python benchmarks/nature.py [--repeat 3] [--seeds 5] [--background-only]

Writes ``benchmarks/results/nature.md``, and the table of the background's errors into ``docs/nature.md``.

Real stations for comparison are read from ``../shared/data`` where that folder exists.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import distance_km
from aqreanalysis.nature import Nature, nature_run
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.species import SPECIES

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "china_north_2019.parquet"
DISTANCES = ((0, 10), (10, 30), (30, 60), (60, 120), (120, 200), (200, 300), (300, 400))
DAYS, HOURS = 60, 168
MARKS = "<!-- background errors: written by benchmarks/nature.py -->", "<!-- end of background errors -->"
LAGS = (1, 3, 6, 12, 24, 48)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--background-only", action="store_true", help="Nothing but the table in docs/nature.md.")
    given = parser.parse_args()
    _write_errors(background_errors(given.seeds))
    if given.background_only:
        return
    repeat = given.repeat
    wall, cpu, runs = [], [], []
    for _ in range(repeat):
        start, start_cpu = time.perf_counter(), time.process_time()
        runs = [nature_run(seed=0, days=DAYS)]
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    lines = [
        "# Nature run",
        "",
        f"60 days, 80 stations, seed 0, {os.cpu_count()} cores, median of {repeat}: "
        f"{statistics.median(wall):.1f} s wall, {statistics.median(cpu):.1f} s CPU, peak memory {peak:.2f} GB.",
        "",
        *_realism("Nature run, what its network reports", runs[0].observations),
    ]
    if REAL.exists():
        real = read_observations(REAL).select(start="2019-03-01", end="2019-05-01")
        lines += ["", *_realism("North China, March and April 2019", real)]
    lines += ["", *_coverage(runs[0])]
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "results" / "nature.md").write_text(text, encoding="utf-8")
    print(text)


def background_errors(seeds: int) -> list[str]:
    """Return a table of the background's own error at every cell and hour of the last week, a row a seed."""
    heads = [f"{SPECIES[key].title}, {SPECIES[key].units}" for key in SPECIES]
    lines = ["| seed | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for seed in range(seeds):
        run = nature_run(seed=seed, days=DAYS)
        cells = []
        for species in SPECIES.values():
            truth = run.truth[species.layer].values[-HOURS:]
            between = run.background[species.layer].interp(lat=run.grid.lat, lon=run.grid.lon)
            hourly = np.repeat(between.values, len(run.truth["time"]) // len(between), axis=0)[-HOURS:]
            error = hourly - truth
            r2 = 1 - np.mean(error**2) / truth.var()
            cells.append(f"{np.abs(error).mean():.3g} / {r2:.2f} / {error.mean():+.2g}")
        lines.append(f"| {seed} | " + " | ".join(cells) + " |")
    return lines


def _write_errors(lines: list[str]) -> None:
    """Put a table between the two marks of docs/nature.md."""
    path = ROOT / "docs" / "nature.md"
    before, begin, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        raise SystemExit(f"{path} lacks the marks {MARKS[0]} and {MARKS[1]}")
    path.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + after, encoding="utf-8")
    print("\n".join(lines))


def _realism(title: str, observations: Observations) -> list[str]:
    """Return a table: level, spread, correlation of the logarithm by distance (km) and by lag (h)."""
    heads = [f"{a}-{b} km" for a, b in DISTANCES] + [f"{lag} h" for lag in LAGS]
    lines = [f"## {title}", "", "| | mean | log-sd | " + " | ".join(heads) + " |", "|---" * (len(heads) + 3) + "|"]
    chosen = np.sort(np.random.default_rng(0).permutation(len(observations.stations))[:150])
    lat, lon = observations.lat[chosen], observations.lon[chosen]
    apart = np.stack([distance_km(lat[i], lon[i], lat, lon) for i in range(len(chosen))])
    pairs = np.triu_indices(len(chosen), 1)
    for key in observations.species:
        values = observations.values(key)[:, chosen]
        logs = pd.DataFrame(np.log(np.maximum(values, 0.05 if key == "co" else 1.0)))
        between = logs.corr(min_periods=200).to_numpy()[pairs]
        far = apart[pairs]
        cells = [_median(between[(far >= a) & (far < b)]) for a, b in DISTANCES]
        cells += [_median(np.array([logs[i].autocorr(lag) for i in logs])) for lag in LAGS]
        spread = float(np.nanstd(logs.to_numpy()))
        lines.append(f"| {key} | {np.nanmean(values):.3g} | {spread:.2f} | " + " | ".join(cells) + " |")
    return lines


def _median(values: NDArray[np.float64]) -> str:
    return f"{np.nanmedian(values):.2f}" if np.isfinite(values).any() else ""


def _coverage(run: Nature) -> list[str]:
    """Return how far the cells are from the network, and what the quality control makes of the known faults."""
    lat, lon = (axis.ravel() for axis in np.meshgrid(run.grid.lat, run.grid.lon, indexing="ij"))
    places = zip(run.observations.lat, run.observations.lon, strict=True)
    nearest = np.min([distance_km(a, b, lat, lon) for a, b in places], axis=0)
    lines = [f"Cells farther than 30 km from every station: {np.mean(nearest > 30):.0%}; than 50 km: "]
    lines[0] += f"{np.mean(nearest > 50):.0%}."
    lines += ["", "| | missing | stuck or spike | of these flagged | good but flagged |", "|---|---|---|---|---|"]
    for key in run.observations.species:
        flags, wrong = run.observations.flags(key), run.faulty[key]
        lines.append(
            f"| {key} | {np.mean(flags == 1):.1%} | {wrong.sum()} | {(flags[wrong] > 1).sum()} "
            f"| {(flags[~wrong] > 1).sum()} |"
        )
    return lines


if __name__ == "__main__":
    main()
