"""What is measured at hidden stations: errors of the best estimate, of hours and of means, and how true its spread is.

Every function takes arrays of one shape and skips the entries where one of them is NaN. Formulas as in Wilks,
*Statistical Methods in the Atmospheric Sciences* (4th ed., chapter 9), and Gneiting and Raftery (2007) for the CRPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

#: Share of the hours of a day or month that must be scored, as agencies ask of a daily or monthly mean.
ENOUGH = 0.75
FREQUENCIES = ("daily", "monthly")


def _pairs(estimate: Floats, observed: Floats) -> tuple[Floats, Floats]:
    estimate, observed = np.asarray(estimate, np.float64), np.asarray(observed, np.float64)
    if estimate.shape != observed.shape:
        raise ValueError(f"estimate {estimate.shape} and observed {observed.shape} must have one shape")
    both = np.isfinite(estimate) & np.isfinite(observed)
    return estimate[both], observed[both]


def mae(estimate: Floats, observed: Floats) -> float:
    """Return the mean absolute error, NaN without a pair."""
    e, o = _pairs(estimate, observed)
    return float(np.abs(e - o).mean()) if e.size else float("nan")


def rmse(estimate: Floats, observed: Floats) -> float:
    """Return the root of the mean squared error, NaN without a pair."""
    e, o = _pairs(estimate, observed)
    return float(np.sqrt(((e - o) ** 2).mean())) if e.size else float("nan")


def bias(estimate: Floats, observed: Floats) -> float:
    """Return the mean of estimate minus observed, NaN without a pair."""
    e, o = _pairs(estimate, observed)
    return float((e - o).mean()) if e.size else float("nan")


def r2(estimate: Floats, observed: Floats) -> float:
    """Return the coefficient of determination, 1 - SSE / SST about the observed mean; NaN if the observed are equal."""
    e, o = _pairs(estimate, observed)
    total = float(((o - o.mean()) ** 2).sum()) if o.size else 0.0
    return 1.0 - float(((e - o) ** 2).sum()) / total if total > 0 else float("nan")


def coverage(lower: Floats, upper: Floats, observed: Floats) -> float:
    """Return the share of the observed that lie in [lower, upper], NaN without a triple."""
    lo, up, ob = (np.asarray(a, np.float64) for a in (lower, upper, observed))
    known = np.isfinite(lo) & np.isfinite(up) & np.isfinite(ob)
    return float(((ob >= lo) & (ob <= up))[known].mean()) if known.any() else float("nan")


def mean_width(lower: Floats, upper: Floats, observed: Floats) -> float:
    """Return the mean of upper minus lower where something was observed, NaN elsewhere."""
    width = np.where(np.isfinite(observed), np.asarray(upper, np.float64) - np.asarray(lower, np.float64), np.nan)
    return float(np.nanmean(width)) if np.isfinite(width).any() else float("nan")


def mean_crps(crps: Floats) -> float:
    """Return the mean of the continuous ranked probability scores that are known."""
    crps = np.asarray(crps, np.float64)
    return float(np.nanmean(crps)) if np.isfinite(crps).any() else float("nan")


def central_coverage(pit: Floats, probability: float) -> float:
    """Return the share of the observed inside the central interval of `probability`, from the PIT values alone."""
    known = np.asarray(pit, np.float64)
    known = known[np.isfinite(known)]
    return float((np.abs(known - 0.5) <= probability / 2).mean()) if known.size else float("nan")


@dataclass(frozen=True)
class Sample:
    """Estimates beside what was observed, arrays of one shape; NaN where there is none.

    Attributes
    ----------
    best, standard_error, lower, upper : ndarray
        The estimate and its interval.
    crps, pit : ndarray
        CRPS and probability integral transform of the observed.
    observed : ndarray
        The readings.
    """

    best: Floats
    standard_error: Floats
    lower: Floats
    upper: Floats
    crps: Floats
    pit: Floats
    observed: Floats

    def where(self, mask: Bools) -> Sample:
        """Return the entries where `mask` (any shape that broadcasts) is True, the others as NaN."""
        return Sample(**{k: np.where(mask, getattr(self, k), np.nan) for k in self.__dataclass_fields__})

    @property
    def known(self) -> Bools:
        """Where something was observed and estimated."""
        return np.isfinite(self.observed) & np.isfinite(self.best)


def score(sample: Sample) -> dict[str, float]:
    """Return n, MAE, RMSE, R2, bias, CRPS, coverage and mean width of the interval, in units of the concentration."""
    observed = np.where(sample.known, sample.observed, np.nan)
    return {
        "n": int(sample.known.sum()),
        "mae": mae(sample.best, observed),
        "rmse": rmse(sample.best, observed),
        "r2": r2(sample.best, observed),
        "bias": bias(sample.best, observed),
        "crps": mean_crps(np.where(sample.known, sample.crps, np.nan)),
        "coverage": coverage(sample.lower, sample.upper, observed),
        "width": mean_width(sample.lower, sample.upper, observed),
        "coverage_50": central_coverage(np.where(sample.known, sample.pit, np.nan), 0.5),
        "coverage_95": central_coverage(np.where(sample.known, sample.pit, np.nan), 0.95),
    }


def score_weighted(sample: Sample, weight: Floats) -> dict[str, float]:
    """Return MAE, RMSE, R2, bias, CRPS and coverage with entries that count by `weight`, of a shape that broadcasts.

    NaN where no entry has any weight.
    """
    known = sample.known
    w = np.where(known, weight, 0.0).astype(np.float64)

    def mean(values: Floats) -> float:
        counted = np.isfinite(values) & (w > 0)
        return float(np.average(values[counted], weights=w[counted])) if counted.any() else float("nan")

    observed = np.asarray(sample.observed, np.float64)
    error = sample.best - observed
    square, total = mean(error**2), mean((observed - mean(np.where(known, observed, np.nan))) ** 2)
    held = np.isfinite(sample.lower) & np.isfinite(sample.upper)
    inside = np.where(held, (observed >= sample.lower) & (observed <= sample.upper), np.nan)
    return {
        "mae": mean(np.abs(error)),
        "rmse": float(np.sqrt(square)),
        "r2": 1.0 - square / total if total > 0 else float("nan"),
        "bias": mean(error),
        "crps": mean(np.asarray(sample.crps, np.float64)),
        "coverage": mean(inside),
    }


def score_by(sample: Sample, labels: npt.NDArray[np.integer[Any]], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the scores of each class that has an entry.

    Parameters
    ----------
    sample : Sample
        Arrays of shape (T, point).
    labels : ndarray of int
        Index into `names`, of a shape that broadcasts to (T, point); negative for none.
    names : sequence of str
        The classes.
    """
    # Flat and without the unknown: two dozen classes of millions of entries would each be gone through as a whole.
    known = sample.known
    labels = np.broadcast_to(labels, sample.observed.shape)[known]
    flat = {k: np.broadcast_to(getattr(sample, k), known.shape)[known] for k in sample.__dataclass_fields__}
    scores = {}
    for i, name in enumerate(names):
        inside = labels == i
        if inside.any():
            scores[name] = score(Sample(**{k: values[inside] for k, values in flat.items()}))
    return scores


def periods(hours: npt.NDArray[np.int64], frequency: str) -> npt.NDArray[np.int64]:
    """Return the UTC day or calendar month of stamps in hours since 1970, as a number; a stamp ends its hour."""
    begins = (np.asarray(hours, np.int64) - 1).astype("datetime64[h]")
    unit = {"daily": "D", "monthly": "M"}[frequency]
    return begins.astype(f"datetime64[{unit}]").astype(np.int64)


def hours_in(number: int, frequency: str) -> int:
    """Return how many hours a period of `periods` has."""
    if frequency == "daily":
        return 24
    first = np.datetime64(number, "M")
    return int(((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(int)) * 24


def period_means(values: Floats, hours: npt.NDArray[np.int64], frequency: str) -> Floats:
    """Return means over days or months, shape (period, point), NaN where fewer than `ENOUGH` of the hours are known."""
    label = periods(hours, frequency)
    rows = []
    for number in np.unique(label):
        part = np.asarray(values[label == number], np.float64)
        known = np.isfinite(part).sum(axis=0)
        total = np.nansum(part, axis=0)
        enough = known >= ENOUGH * hours_in(int(number), frequency)
        rows.append(np.where(enough, total / np.maximum(known, 1), np.nan))
    return np.array(rows)


def score_means(best: Floats, observed: Floats, hours: npt.NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    """Return n, MAE, RMSE, R2 and bias of daily and of monthly means, each over the hours that both sides have.

    Parameters
    ----------
    best, observed : ndarray, shape (T, point)
        Estimates and readings of every hour, NaN where missing.
    hours : ndarray of int64, shape (T,)
        Stamps, hours since 1970-01-01 00:00 UTC.
    """
    both = np.isfinite(best) & np.isfinite(observed)
    best, observed = np.where(both, best, np.nan), np.where(both, observed, np.nan)
    scores = {}
    for frequency in FREQUENCIES:
        e, o = (period_means(values, hours, frequency) for values in (best, observed))
        n = int(np.isfinite(e).sum())
        scores[frequency] = {"n": n, "mae": mae(e, o), "rmse": rmse(e, o), "r2": r2(e, o), "bias": bias(e, o)}
    return scores
