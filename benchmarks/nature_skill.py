"""Skill where the truth is known at every cell: coverage, error against distance, and whether the field is too smooth.

    python benchmarks/nature_skill.py [--config demo] [--days 60] [--seed 0]

Runs the demo: trains on a nature run with its background, weather and static fields, and from stations alone,
sweeps its last week, and holds each cell and hour against the truth, beside kriging. Writes
benchmarks/results/nature_skill.md and, of seed 0, the picture of README (docs/side_by_side.png).

Smoothness: an estimate that is the conditional mean leaves an error that has nothing to do with it, so the variogram of
the truth is the sum of those of the estimate and of the error. Where the sum falls short of the truth's, the field is
smoother than the stations let it be; its variogram alone is always below the truth's, by that of the error.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.hours import step_ends
from aqreanalysis.demo import run_demo
from aqreanalysis.evaluation import score_against_truth, truth_table
from aqreanalysis.species import SPECIES

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "side_by_side.png"
LAGS = (1, 2, 4, 8, 16, 32)
FAR_KM = 50.0
KEY = "pm25"
LAYER = SPECIES[KEY].layer
Array = NDArray[np.float64]


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = run_demo(Path(folder) / "demo", config=given.config, seed=given.seed, days=given.days)
        [truth_file] = (Path(folder) / "demo" / "nature").glob("*truth*.nc")
        with xr.open_dataset(Path(folder) / "demo" / "cube" / "week.nc") as cube, xr.open_dataset(truth_file) as truth:
            table = truth_table(done.scores["truth"]).text()
            lines = ["```", *table.splitlines(), "```", "", "The cube of AQ-Net with all:", ""]
            lines += [*scores(done.scores["truth"][KEY], cube, truth), "", *variograms(cube, truth)]
        if given.seed == 0:
            shutil.copy(Path(folder) / "demo" / "pictures" / f"{LAYER}_side_by_side.png", PICTURE)
    command = f"python benchmarks/nature_skill.py --config {given.config} --days {given.days} --seed {given.seed}"
    text = "\n".join(("# Skill on the nature run, where the truth is known everywhere", "", f"`{command}`", "", *lines))
    (RESULTS / "nature_skill.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def scores(found: dict[str, Any], cube: xr.Dataset, truth: xr.Dataset) -> list[str]:
    """Return the table of the demo's scores by distance, with a row of all cells far from every station."""
    rows = {"all": found["overall"], f"beyond {FAR_KM:g} km": beyond(cube, truth), **found["by_distance"]}
    return [
        "| cells by distance to a station | cell-hours | MAE, ug m-3 | RMSE | bias | coverage of the 90 % interval |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {s['n']} | {s['mae']:.2f} | {s['rmse']:.2f} | {s['bias']:+.2f} | {s['coverage']:.3f} |"
            for name, s in rows.items()
        ),
        "",
        "Bar: coverage 0.88 to 0.92 over all cells; the interval is meant for a station's reading, which differs from",
        "the mean of its cell.",
    ]


def beyond(cube: xr.Dataset, truth: xr.Dataset) -> dict[str, Any]:
    """Return the scores over the cells farther than `FAR_KM` from every station."""
    far = cube["nearest_station_distance"] > FAR_KM
    names = (LAYER, f"{LAYER}_lower", f"{LAYER}_upper")
    kept = cube.assign({name: cube[name].where(far) for name in names})
    overall: dict[str, Any] = score_against_truth(kept, truth.rename({LAYER: KEY}))[KEY]["overall"]
    return overall


def variograms(cube: xr.Dataset, truth: xr.Dataset) -> list[str]:
    """Return the table of variograms of truth, estimate and error."""
    step = float(np.diff(cube["lat"].values).mean())
    known = truth[LAYER].sel(time=step_ends(cube))
    known = known.sel(lat=cube["lat"].values, lon=cube["lon"].values, method="nearest", tolerance=0.01 * step)
    log_true, log_best = (
        np.log(field.transpose("time", "lat", "lon").values.astype(np.float64) + 1) for field in (known, cube[LAYER])
    )
    lines = [
        f"Variograms of the logarithm, lags in cells of {step:.2g} degree:",
        "",
        "| lag | truth | estimate | error | (estimate + error) / truth |",
        "|---|---|---|---|---|",
    ]
    for lag in LAGS:
        parts = [variogram(field, lag) for field in (log_true, log_best, log_true - log_best)]
        lines.append(
            f"| {lag} | " + " | ".join(f"{p:.4f}" for p in parts) + f" | {(parts[1] + parts[2]) / parts[0]:.3f} |"
        )
    return [*lines, "", "Below one: smoother than the stations let it be. Above one: rougher than what they know."]


def variogram(field: Array, lag: int) -> float:
    """Return half the mean squared difference of cells `lag` apart along both axes, over all hours."""
    along = [field[:, lag:] - field[:, :-lag], field[:, :, lag:] - field[:, :, :-lag]]
    return float(0.5 * np.mean(np.concatenate([d.ravel() ** 2 for d in along])))


if __name__ == "__main__":
    main()
