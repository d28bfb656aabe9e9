"""From results to ``metrics.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.hours import stamp_text
from aqreanalysis.evaluation.bootstrap import BLOCK_DAYS, CONFIDENCE, DRAWS, SCORES, Sums, ratios
from aqreanalysis.evaluation.protocols import TaskResult
from aqreanalysis.evaluation.scores import coverage, mean_width, score, score_by, score_means
from aqreanalysis.evaluation.strata import (
    HOURS_OF_DAY,
    SEASONS,
    distance_classes,
    hour_of_day,
    level_terciles,
    season_of,
)
from aqreanalysis.model.bundle import MODEL

#: Raised when a key of ``metrics.json`` changes its meaning.
SCHEMA = 2
#: Methods whose predictive distribution the model's is held against by itself.
KRIGING = ("kriging", "log-kriging")


def score_task(result: TaskResult, every: int = 1, seed: int = 0) -> dict[str, Any]:
    """Return the scores of every method overall and by class, the ratios to the best baseline, and what they rest on.

    Parameters
    ----------
    result : TaskResult
        What was asked and answered.
    every : int
        Every n-th hour was asked for; daily and monthly means are scored where it is every hour.
    seed : int
        Of the bootstrap.
    """
    labels = _labels(result)
    methods: dict[str, Any] = {}
    sums: dict[str, Sums] = {}
    for name in result.estimates:
        sample = result.sample(name)
        sums[name] = Sums.of(sample, result.hours)
        methods[name] = {
            "title": result.titles[name],
            "overall": score(sample) | _calibrated(result, name),
            **{kind: score_by(sample, of, classes) for kind, (of, classes) in labels.items()},
            "by_level": score_by(sample, *level_terciles(sample.best)),
            "calibrated_level": result.levels.get(name),
            "unanswered": result.unanswered()[name],
            "tuned": result.tuned.get(name, {}),
        }
        if every == 1:
            methods[name]["means"] = score_means(sample.best, sample.observed, result.hours)
    against_best = ratios(sums, best_baselines(methods), seed)
    for name, against in against_best.items():
        methods[name]["against_best"] = against
    return {
        "title": result.protocol.title,
        "hours_choice": result.protocol.hours,
        "stations": len(result.stations),
        "hours": len(result.hours),
        "station_hours_observed": int(np.isfinite(result.observed).sum()),
        "station_hours_scored": int(result.answered.sum()),
        "median_nearest_km": float(np.median(result.nearest_km)),
        "first": stamp_text(result.hours[0]) + "Z",
        "last": stamp_text(result.hours[-1]) + "Z",
        "notes": result.notes,
        "methods": methods,
        "against_best_baseline": against_best[MODEL],
        "against_best_kriging": _against_kriging(methods, sums, seed),
        "bootstrap": {"draws": DRAWS, "seed": seed, "block_days": BLOCK_DAYS, "confidence": CONFIDENCE},
    }


def _labels(result: TaskResult) -> dict[str, tuple[npt.NDArray[np.int64], Sequence[str]]]:
    """Return, by kind of class, the class of each station-hour (of a shape that broadcasts) and the classes' names."""
    distance, classes = distance_classes(result.nearest_km)
    return {
        "by_distance": (distance[None, :], classes),
        "by_season": (season_of(result.hours)[:, None], SEASONS),
        "by_hour": (hour_of_day(result.hours, result.lon), HOURS_OF_DAY),
    }


def _calibrated(result: TaskResult, name: str) -> dict[str, float]:
    """Return coverage and width of the interval that covered what it should at left-out visible stations."""
    estimates, observed = result.estimates[name], np.where(result.answered, result.observed, np.nan)
    lower, upper = estimates.calibrated_lower, estimates.calibrated_upper
    return {
        "calibrated_coverage": coverage(lower, upper, observed),
        "calibrated_width": mean_width(lower, upper, observed),
    }


def best_baselines(methods: Mapping[str, Any], among: Sequence[str] | None = None) -> dict[str, str]:
    """Return, by score where less is better, the baseline (of `among`, or of all) that has the least."""
    names = [n for n in (methods if among is None else among) if n in methods and n != MODEL]
    best = {}
    for key in SCORES:
        finite = [n for n in names if math.isfinite(methods[n]["overall"][key])]
        if finite:
            best[key] = min(finite, key=lambda n: methods[n]["overall"][key])
    return best


def _against_kriging(methods: Mapping[str, Any], sums: Mapping[str, Sums], seed: int) -> dict[str, Any]:
    """Return the model's CRPS and calibrated width as shares of the better kriging's."""
    best = best_baselines(methods, KRIGING).get("crps")
    comparison: dict[str, Any] = {}
    if best is not None:
        comparison["crps"] = ratios({n: sums[n] for n in (MODEL, best)}, {"crps": best}, seed)[MODEL]["crps"]
    widths = {n: methods[n]["overall"]["calibrated_width"] for n in KRIGING if n in methods}
    widths = {n: w for n, w in widths.items() if math.isfinite(w)}
    own = methods[MODEL]["overall"]["calibrated_width"]
    if widths and math.isfinite(own):
        narrower = min(widths, key=lambda n: widths[n])
        comparison["width"] = {"ratio": own / widths[narrower], "best": narrower}
    return comparison
