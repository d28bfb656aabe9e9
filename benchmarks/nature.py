"""Time, memory and realism of the nature run; writes ``benchmarks/results/nature.md``.

    python benchmarks/nature.py [--repeat 3]

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

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "china_north_2019.parquet"
DISTANCES = ((0, 10), (10, 30), (30, 60), (60, 120), (120, 200), (200, 300), (300, 400))
LAGS = (1, 3, 6, 12, 24, 48)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    wall, cpu, runs = [], [], []
    for _ in range(repeat):
        start, start_cpu = time.perf_counter(), time.process_time()
        runs = [nature_run(seed=0, days=60)]
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
