"""Daily and monthly means at hidden stations: what many users want of a field of hours."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.evaluation.scores import Floats, bias, mae, r2, rmse

#: Share of the hours of a day or month that must be scored, as agencies ask of a daily or monthly mean.
ENOUGH = 0.75
FREQUENCIES = ("daily", "monthly")


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
    found = {}
    for frequency in FREQUENCIES:
        e, o = (period_means(values, hours, frequency) for values in (best, observed))
        n = int(np.isfinite(e).sum())
        found[frequency] = {"n": n, "mae": mae(e, o), "rmse": rmse(e, o), "r2": r2(e, o), "bias": bias(e, o)}
    return found
