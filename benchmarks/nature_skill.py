"""Skill where the truth is known at every cell: coverage, error against distance, and whether the field is too smooth.

    python benchmarks/nature_skill.py [--config demo] [--days 60] [--seed 0]

Trains on a nature run's stations, sweeps its last week, and holds each cell and hour against the truth. Writes
benchmarks/results/nature_skill.md.

Smoothness: an estimate that is the conditional mean leaves an error that has nothing to do with it, so the variogram of
the truth is the sum of those of the estimate and of the error. Where the sum falls short of the truth's, the field is
smoother than the stations let it be; its variogram alone is always below the truth's, by that of the error.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.demo import run_demo
from aqreanalysis.evaluation.scores import distance_classes
from aqreanalysis.species import SPECIES

RESULTS = Path(__file__).parent / "results"
LAGS = (1, 2, 4, 8, 16, 32)
FAR_KM = 50.0
Array = NDArray[np.float64]


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder) / "demo", config=given.config, seed=given.seed, days=given.days)
        [truth_file] = (Path(folder) / "demo" / "nature").glob("*truth*.nc")
        with xr.open_dataset(Path(folder) / "demo" / "cube" / "week.nc") as cube, xr.open_dataset(truth_file) as truth:
            lines = report(cube.load(), truth.load())
    command = f"python benchmarks/nature_skill.py --config {given.config} --days {given.days} --seed {given.seed}"
    text = "\n".join(("# Skill on the nature run, where the truth is known everywhere", "", f"`{command}`", "", *lines))
    (RESULTS / "nature_skill.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def report(cube: xr.Dataset, truth: xr.Dataset) -> list[str]:
    """Return the lines of the page."""
    layer = SPECIES["pm25"].layer
    step = float(np.diff(cube["lat"].values).mean())
    known = truth[layer].sel(time=cube["time"].values)
    known = known.sel(lat=cube["lat"].values, lon=cube["lon"].values, method="nearest", tolerance=0.01 * step)
    true = known.transpose("time", "lat", "lon").values.astype(np.float64)
    best, lower, upper = (
        cube[name].transpose("time", "lat", "lon").values.astype(np.float64)
        for name in (layer, f"{layer}_lower", f"{layer}_upper")
    )
    near = cube["nearest_station_distance"].values.astype(np.float64)
    inside = (true >= lower) & (true <= upper)
    lines = [
        "| cells by distance to a station | cells | MAE, ug m-3 | RMSE | bias | coverage of the 90 % interval |",
        "|---|---|---|---|---|---|",
    ]
    labels, names = distance_classes(near)
    groups = {"all": near >= 0, f"beyond {FAR_KM:g} km": near > FAR_KM} | {
        name: labels == i for i, name in enumerate(names) if (labels == i).any()
    }
    for name, where in groups.items():
        error = (best - true)[:, where]
        lines.append(
            f"| {name} | {where.sum()} | {np.abs(error).mean():.2f} | {np.sqrt((error**2).mean()):.2f} "
            f"| {error.mean():+.2f} | {inside[:, where].mean():.3f} |"
        )
    lines += [
        "",
        "Bar: coverage 0.88 to 0.92 over all cells; the interval is meant for a station's reading, which differs from",
        "the mean of its cell.",
        "",
        f"Variograms of the logarithm, lags in cells of {step:.2g} degree:",
        "",
        "| lag | truth | estimate | error | (estimate + error) / truth |",
        "|---|---|---|---|---|",
    ]
    log_true, log_best = np.log(true + 1), np.log(best + 1)
    for lag in LAGS:
        parts = [variogram(field, lag) for field in (log_true, log_best, log_true - log_best)]
        lines.append(
            f"| {lag} | " + " | ".join(f"{p:.4f}" for p in parts) + f" | {(parts[1] + parts[2]) / parts[0]:.3f} |"
        )
    lines += ["", "Below one: smoother than the stations let it be. Above one: rougher than what they know."]
    return lines


def variogram(field: Array, lag: int) -> float:
    """Return half the mean squared difference of cells `lag` apart along both axes, over all hours."""
    along = [field[:, lag:] - field[:, :-lag], field[:, :, lag:] - field[:, :, :-lag]]
    return float(0.5 * np.mean(np.concatenate([d.ravel() ** 2 for d in along])))


if __name__ == "__main__":
    main()
