"""Do the intervals hold at stations that fall silent, that lack the pollutant, and when nobody reports for weeks?

    python benchmarks/silent.py --model outputs/north_china/model --data ../shared/data/china_north_2019.parquet

Hides stations that training did not see (a tenth of all, and whole cities) in four ways over the same days: taken out
of the file; there, but silent in everything; there, measuring the other pollutants and never the one asked for; and
with every station silent. In the first three the interval must be equally right. Days are some of those that training
did not see. Prints a table and writes benchmarks/results/silent.md. Without the data it says so and does nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from aqreanalysis.evaluation.tables import aligned
from aqreanalysis.model import AnalysisPredictor
from aqreanalysis.model.distribution.period_means import MeanPredictive, accumulate_hours, mean_distance
from aqreanalysis.model.predictor import load_analysis
from aqreanalysis.observations import Observations, read_observations, window
from aqreanalysis.species import SPECIES
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH, Split
from aqreanalysis.training.calibrate_means import COMPLETE

RESULTS = Path(__file__).parent / "results" / "silent.md"
HEADER = ["pollutant", "stations", "n", "MAE", "coverage", "width", "distance km", "daily coverage", "daily width"]
KINDS = ("taken out", "silent", "without the pollutant", "nobody reports")


def hidden_readings(values: np.ndarray, hidden: np.ndarray, target: int, kind: str) -> np.ndarray:
    """Return readings (hour, station, input) with the hidden stations silent in one of `KINDS`."""
    left = values.copy()
    if kind == "nobody reports":
        left[:] = np.nan
    elif kind == "without the pollutant":
        left[:, hidden, target] = np.nan
    else:
        left[:, hidden] = np.nan
    return left


def score(
    predictor: AnalysisPredictor, observations: Observations, hidden: np.ndarray, days: range, asked: tuple[str, str]
) -> list[str]:
    """Return the scores of hours and of daily means as texts; `asked` is pollutant and kind."""
    key, kind = asked
    there = ~hidden if kind == "taken out" else np.ones(len(hidden), dtype=bool)
    stations = observations.lat[there], observations.lon[there]
    places = predictor.geometry(*stations, observations.lat[hidden], observations.lon[hidden])
    target = predictor.inputs.index(key)
    calibration = predictor.calibration_means[key]
    before, after = predictor.history_hours, predictor.lookahead_hours
    error, inside, width, distance, daily = [], [], [], [], []
    for day in days:
        values, hours = window(observations, predictor.inputs, day * 24 + 1 - before, before + 24 + after)
        readings = hidden_readings(values, hidden, target, kind)[:, there]
        hourly = predictor.predict(predictor.encode(readings, hours, *stations), places, [key])[key]
        observed = values[before : before + 24][:, hidden, target]
        lower, upper = hourly.interval(0.9)
        known = np.isfinite(observed)
        error.append(np.abs(hourly.best - observed)[known])
        inside.append(((lower <= observed) & (observed <= upper))[known])
        width.append((upper - lower)[known])
        distance.append(hourly.reporting_km[known])
        sums = accumulate_hours(hourly.mean, hourly.standard_error, calibration.autocovariance)
        mean = MeanPredictive(sums, mean_distance(hourly.reporting_km), calibration, "daily")
        low, high = mean.interval(0.9)
        complete = known.sum(axis=0) >= 24 * COMPLETE
        of_day = np.nanmean(np.where(complete, observed, np.nan)[:, complete], axis=0)
        daily.append(np.stack(((low[complete] <= of_day) & (of_day <= high[complete]), (high - low)[complete])))
    spans = np.concatenate(daily, axis=1)
    apart = np.concatenate(distance)
    middle = f"{np.median(apart):.1f}" if np.isfinite(apart).any() else "none"
    figures = np.concatenate(error).mean(), np.concatenate(inside).mean(), np.concatenate(width).mean()
    return [
        str(len(apart)),
        f"{figures[0]:.3g}",
        f"{figures[1]:.3f}",
        f"{figures[2]:.3g}",
        middle,
        f"{spans[0].mean():.3f}",
        f"{spans[1].mean():.3g}",
    ]


def main() -> None:
    """Score the model and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=3, help="take each so manieth unseen day")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not (options.data.exists() and options.model.exists()):
        print(f"{options.data} or {options.model} is not there: nothing is measured")
        return
    predictor = load_analysis(options.model, options.device)
    observations = read_observations(options.data, predictor.config.columns)
    split = Split.of_bundle(predictor.bundle)
    names = {s for s, r in zip(split.stations, split.role, strict=True) if r in (HIDDEN_TENTH, HIDDEN_CITY)}
    hidden = np.array([s in names for s in observations.stations])
    first = int(split.unseen_from.astype("datetime64[D]").astype(int)) + 2
    days = range(first, int(observations.hours[-1]) // 24 - 2, options.every)
    rows = [
        [SPECIES[key].title, kind, *score(predictor, observations, hidden, days, (key, kind))]
        for key in predictor.species
        for kind in KINDS
    ]
    title = (
        f"`python benchmarks/silent.py --model MODEL --data {options.data.name}`: model {predictor.digest[:12]}, "
        f"{hidden.sum()} stations, {len(days)} days from {np.datetime64(days[0], 'D')} to "
        f"{np.datetime64(days[-1], 'D')}, which training did not see. Bar: coverage 0.87 to 0.93."
    )
    table = [f"| {' | '.join(HEADER)} |", "|---" * len(HEADER) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    options.results.write_text("\n".join(["# Silent stations", "", title, "", *table, ""]), encoding="utf-8")
    print("\n".join(aligned(HEADER, rows, left=2)))


if __name__ == "__main__":
    main()
