"""Networks of 12 to 80 stations: AQ-Net trained anew against the best of four interpolations, at stations hidden.

    python benchmarks/small_networks.py [--stations 20 40 80] [--seeds 0 1 2] [--days 45] [--set training.epochs=6]

A network of so many stations on the nature run trains with the default settings and their split; a second network of 60
stations, drawn apart from the first in the same air, is hidden and scored, since the two or four stations that a split
of twenty hides say next to nothing. Every third hour of the days that training did not see; the best interpolation is
the one with the least MAE at those very stations, which favours it by a per cent. Writes
benchmarks/results/small_networks.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aqreanalysis import load_config, train
from aqreanalysis.evaluation.baselines import InverseDistance, OrdinaryKriging, SpaceTimeKriging
from aqreanalysis.evaluation.baselines.base import StationField, StationHistory
from aqreanalysis.evaluation.predict_at_stations import Targets, estimate
from aqreanalysis.model.bundle import read_bundle
from aqreanalysis.model.predictor import AnalysisPredictor
from aqreanalysis.nature import nature_run
from aqreanalysis.observations import Observations

RESULTS = Path(__file__).parent / "results"
KEY = "pm25"
HIDDEN = 60
EVERY = 3


@dataclass(frozen=True)
class Row:
    """What one network scored: MAE by method in ug m-3, what stayed of the head's departure, seconds of training."""

    stations: int
    seed: int
    mae: dict[str, float]
    departure: float
    seconds: float

    @property
    def best(self) -> str:
        """The interpolation with the least MAE."""
        return min((name for name in self.mae if name != "aq-net"), key=lambda name: self.mae[name])

    @property
    def ratio(self) -> float:
        """MAE of AQ-Net over that of the best interpolation."""
        return self.mae["aq-net"] / self.mae[self.best]


def measure(stations: int, seed: int, days: int, overrides: list[str]) -> Row:
    """Return the row of one network."""
    seen, hidden = (nature_run(seed, days, count, [KEY]).observations for count in (stations, HIDDEN))
    config = load_config("aqnet", [f"species=[{KEY}]", "model.geography=false", *overrides])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        bundle = read_bundle(train(seen, config, Path(folder) / "model", "cpu"))
        seconds = time.perf_counter() - began
    first = int(np.datetime64(str(bundle.provenance["unseen_from"]).removesuffix("Z"), "h").astype(np.int64))
    hours = seen.hours[(seen.hours >= first) & (seen.hours % EVERY == 0)]
    observed = hidden.values(KEY)[hours - hidden.first_hour]
    targets = Targets(hidden.lat, hidden.lon, hours, {KEY: observed})
    answers = {"aq-net": estimate(AnalysisPredictor(bundle, "cpu"), seen, targets)[KEY].best}
    answers |= interpolations(seen, hours, (hidden.lat, hidden.lon))
    known = np.isfinite(observed) & np.all([np.isfinite(answer) for answer in answers.values()], axis=0)
    mae = {name: float(np.abs(answer - observed)[known].mean()) for name, answer in answers.items()}
    return Row(stations, seed, mae, bundle.metrics["training"]["departure"][KEY], seconds)


def interpolations(
    seen: Observations, hours: np.ndarray, places: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the best estimates of the interpolations (hour, place), each tuned on the stations in sight."""
    history = StationHistory(seen.first_hour, seen.values(KEY))
    values = history.values[hours - history.first_hour].astype(np.float64)
    field = StationField(seen.lat, seen.lon, values, np.arange(len(seen.stations)), hours, history)
    answers = {}
    for baseline in (InverseDistance(), OrdinaryKriging("linear"), OrdinaryKriging("log"), SpaceTimeKriging()):
        baseline.tune(field)
        answers[baseline.name] = np.asarray(baseline.predict(field, *places).best)
    return answers


def table(rows: list[Row]) -> list[str]:
    """Return the rows as Markdown (MAE in ug m-3), and the mean of each size of network."""
    lines = [
        "| stations | seed | AQ-Net, MAE | best interpolation | its MAE | ratio | departure left | training, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.stations} | {r.seed} | {r.mae['aq-net']:.2f} | {r.best} | {r.mae[r.best]:.2f} | {r.ratio:.3f} | "
        f"{r.departure:.0%} | {r.seconds:.0f} |"
        for r in rows
    ]
    lines += ["", "| stations | mean ratio | spread | bar 1.00 |", "|---|---|---|---|"]
    for count in sorted({r.stations for r in rows}):
        ratios = np.array([r.ratio for r in rows if r.stations == count])
        met = "pass" if ratios.mean() <= 1.0 else "FAIL"
        lines.append(f"| {count} | {ratios.mean():.3f} | {ratios.min():.3f} to {ratios.max():.3f} | {met} |")
    return lines


def main() -> None:
    """Measure, and write the tables after each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", type=int, nargs="+", default=[20, 40, 80])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--days", type=int, default=45)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    rows: list[Row] = []
    for stations in given.stations:
        for seed in given.seeds:
            rows.append(measure(stations, seed, given.days, given.overrides))
            parts = ["python benchmarks/small_networks.py --stations", *map(str, given.stations)]
            parts += ["--seeds", *map(str, given.seeds), f"--days {given.days}"]
            parts += [f"--set {override}" for override in given.overrides]
            head = ["# Small networks, at stations hidden", "", f"`{' '.join(parts)}`", ""]
            (RESULTS / "small_networks.md").write_text("\n".join([*head, *table(rows)]) + "\n", encoding="utf-8")
            print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
