"""Do the intervals of daily and monthly means hold at stations that the model never saw?

    python benchmarks/means.py --model outputs/north_china/model --data ../shared/data/china_north_2019.parquet

Takes the hours that training did not see and hides first the tenth of the stations, then the whole cities that neither
training nor calibration saw. Each observed mean (at least 75 % of its hours) stands beside the mean that a cube would
carry there, and beside what averaging the hourly best estimates and bounds would give. Prints a table and writes
benchmarks/results/means.md. Months are calendar months, and those cut by the unseen hours are left out.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aqreanalysis.evaluation.tables import aligned
from aqreanalysis.model import AnalysisPredictor, load_predictor
from aqreanalysis.model.distribution.period_means import (
    AccumulatedHours,
    MeanPredictive,
    accumulate_hours,
    mean_distance,
)
from aqreanalysis.observations import Observations, read_observations, window
from aqreanalysis.species import SPECIES
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH, Split
from aqreanalysis.training.calibrate_means import COMPLETE

RESULTS = Path(__file__).parent / "results" / "means.md"
COVERAGES = (0.5, 0.9, 0.95)
HEADER = ["hidden", "mean", "method", "n", "MAE", "bias", "R2", *(f"coverage {c:.0%}" for c in COVERAGES), "width 90%"]


@dataclass(frozen=True)
class Answer:
    """Estimates and bounds of means beside the observed ones, each (mean,); bounds by coverage."""

    best: np.ndarray
    bounds: dict[float, tuple[np.ndarray, np.ndarray]]
    observed: np.ndarray

    def row(self) -> list[str]:
        """Return the scores as texts."""
        known = np.isfinite(self.observed)
        error, observed = (self.best - self.observed)[known], self.observed[known]
        lower, upper = self.bounds[0.9]
        inside = [
            np.mean((b[0] <= self.observed)[known] & (self.observed <= b[1])[known]) for b in self.bounds.values()
        ]
        figures = (np.abs(error).mean(), error.mean(), 1 - (error**2).mean() / observed.var())
        return [
            str(known.sum()),
            *(f"{x:.2f}" for x in figures),
            *(f"{x:.3f}" for x in inside),
            f"{(upper - lower)[known].mean():.1f}",
        ]


@dataclass
class Period:
    """What has been seen of one period at the hidden stations of one protocol."""

    sums: AccumulatedHours | None = None
    best: np.ndarray | float = 0.0
    bounds: np.ndarray | float = 0.0
    observed: np.ndarray | float = 0.0
    count: np.ndarray | int = 0
    km: list[np.ndarray] = field(default_factory=list)


def days_of(observations: Observations, split: Split, last: str | None) -> range:
    """Return the UTC days (since 1970) that training did not see and that begin before the last reading."""
    end = int(observations.hours[-1] - 1) // 24 + 1
    if last is not None:
        end = min(end, int(np.datetime64(last, "D").astype(int)))
    return range(int(split.unseen_from.astype("datetime64[D]").astype(int)), end)


def periods_of(frequency: str, days: range) -> dict[int, int]:
    """Return day -> number of the period that holds it, for periods that lie wholly in `days`."""
    if frequency == "daily":
        return {day: day for day in days}
    month = {day: int(np.datetime64(day, "D").astype("datetime64[M]").astype(int)) for day in days}
    first_of = {m: int(np.datetime64(m, "M").astype("datetime64[D]").astype(int)) for m in {*month.values()}}
    return {
        day: m
        for day, m in month.items()
        if first_of[m] in days and int(np.datetime64(m + 1, "M").astype("datetime64[D]").astype(int)) - 1 in days
    }


def answer(
    predictor: AnalysisPredictor, observations: Observations, hidden: np.ndarray, days: range
) -> dict[str, dict[str, dict[int, Period]]]:
    """Return, by pollutant, frequency and period, what the model says at the hidden stations and what they observed."""
    visible = observations.select(stations=[s for s, h in zip(observations.stations, hidden, strict=True) if not h])
    places = predictor.geometry(visible.lat, visible.lon, observations.lat[hidden], observations.lon[hidden])
    before, after = predictor.history_hours, predictor.lookahead_hours
    grouping = {frequency: periods_of(frequency, days) for frequency in ("daily", "monthly")}
    answers: dict[str, dict[str, dict[int, Period]]] = {
        key: {frequency: {} for frequency in grouping} for key in predictor.species
    }
    probabilities = [(1 + sign * c) / 2 for c in COVERAGES for sign in (-1, 1)]
    for day in days:
        values, hours = window(visible, predictor.inputs, day * 24 + 1 - before, before + 24 + after)
        encoded = predictor.encode(values, hours, visible.lat, visible.lon)
        for key, hourly in predictor.predict(encoded, places).items():
            autocovariance = predictor.bundle.calibration_means[key].autocovariance
            sums = accumulate_hours(hourly.mean, hourly.standard_error, autocovariance)
            bounds = np.stack([hourly.quantile(p).sum(axis=0) for p in probabilities])
            observed = window(observations, [key], day * 24 + 1, 24)[0][:, hidden, 0]
            for frequency, group in grouping.items():
                if day not in group:
                    continue
                period = answers[key][frequency].setdefault(group[day], Period())
                period.sums = sums if period.sums is None else period.sums.joined(sums, autocovariance)
                period.best = period.best + hourly.best.sum(axis=0)
                period.bounds = period.bounds + bounds
                period.observed = period.observed + np.nansum(observed, axis=0, dtype=np.float64)
                period.count = period.count + np.isfinite(observed).sum(axis=0)
                period.km.append(mean_distance(hourly.reporting_km))
    return answers


def scored(of_periods: dict[int, Period], frequency: str, calibration) -> dict[str, Answer]:
    """Return the methods' answers over all periods."""
    ours, naive = [], []
    for period in of_periods.values():
        nearest = mean_distance(np.stack(period.km))
        hours = period.sums.hours
        enough = period.count >= COMPLETE * hours
        observed = np.where(enough, period.observed / np.maximum(period.count, 1), np.nan)
        predictive = MeanPredictive(period.sums, nearest, calibration, frequency)
        ours.append((predictive.best, *(b for c in COVERAGES for b in predictive.interval(c)), observed))
        naive.append((period.best / hours, *(period.bounds / hours), observed))
    answers = {}
    for name, rows in (("calibrated mean", ours), ("averaged hourly bounds", naive)):
        best, *bounds, observed = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        pairs = {c: (bounds[2 * i], bounds[2 * i + 1]) for i, c in enumerate(COVERAGES)}
        answers[name] = Answer(best, pairs, observed)
    return answers


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--end", help="leave out the days from this one on, for a quick look")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    predictor = load_predictor(options.model, options.device)
    observations = read_observations(options.data, predictor.config.columns)
    split = Split.of_bundle(predictor.bundle)
    days = days_of(observations, split, options.end)
    rows, notes = [], []
    for title, role in (("a tenth of the stations", HIDDEN_TENTH), ("whole cities", HIDDEN_CITY)):
        names = {s for s, r in zip(split.stations, split.role, strict=True) if r == role}
        hidden = np.array([s in names for s in observations.stations])
        for key, answers in answer(predictor, observations, hidden, days).items():
            calibration = predictor.bundle.calibration_means[key]
            for frequency, periods in answers.items():
                if periods:
                    for name, one in scored(periods, frequency, calibration).items():
                        label = f"{title}, {SPECIES[key].title} ({SPECIES[key].units})"
                        rows.append([label, frequency, name, *one.row()])
    for key in predictor.species:
        calibration = predictor.bundle.calibration_means[key]
        notes += [f"- {key}: {table.describe(f)}" for f, table in calibration.tables.items()]
        fitted = ", ".join(
            f"{w:.3f} at {h:g} h" for h, w in zip(*vars(calibration.autocovariance).values(), strict=True)
        )
        notes.append(f"- {key}: covariance of the standardised hourly error: {fitted}")
    text = [
        "# Means at hidden stations",
        "",
        f"`python benchmarks/means.py --model MODEL --data {options.data.name}`: model {predictor.digest[:12]}, "
        f"days {np.datetime64(days[0], 'D')} to {np.datetime64(days[-1], 'D')}, which training did not see. "
        "Bar: coverage of daily means 0.88 to 0.92.",
        "",
        f"| {' | '.join(HEADER)} |",
        "|---" * len(HEADER) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        *notes,
        "",
    ]
    options.results.write_text("\n".join(text), encoding="utf-8")
    print("\n".join([*aligned(HEADER, rows, left=3), *notes]))


if __name__ == "__main__":
    main()
