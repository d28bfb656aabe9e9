"""The step test: a station whose level changes all at once, when its neighbours' does not, has another instrument."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.observations.flags import Series

# Days whose mean stands for the level before and after; readings that a day needs; neighbours that must be there.
LEVEL_DAYS = 3
DAY_READINGS = 12
NEIGHBOURS = 3
# Longest stretch that is flagged behind (or before) a step, in days.
LONGEST_DAYS = 30


def step_change(series: Series) -> NDArray[np.bool_]:
    """Return the readings on the odd side of a step of a station's level against its neighbours'.

    The level is the geometric mean of `LEVEL_DAYS` days; a step is a factor of more than ``limits.step_ratio`` between
    the days before and after one midnight, in the ratio to the neighbours' median. The side whose ratio is farther
    from 1 is the odd one, and is flagged for as long as the ratio stays there, at most `LONGEST_DAYS`.
    """
    days = len(series.values) // 24
    out = np.zeros(series.values.shape, dtype=bool)
    if days < 2 * LEVEL_DAYS:
        return out
    ratio = _log_ratio(series, days)
    before, after = _level(ratio, -1), _level(ratio, 1)
    jump = after - before
    bound = np.log(series.limits.step_ratio)
    with np.errstate(invalid="ignore"):
        days_of, stations_of = np.nonzero(np.abs(jump) > bound)
    for day, station in zip(days_of.tolist(), stations_of.tolist(), strict=True):
        near = jump[max(day - LEVEL_DAYS, 0) : day + LEVEL_DAYS + 1, station]
        if np.abs(jump[day, station]) < np.nanmax(np.abs(near)):
            continue  # a step is where the jump is largest
        middle = (before[day, station] + after[day, station]) / 2
        odd_after = abs(after[day, station]) > abs(before[day, station])
        column = ratio[:, station]
        side = column > middle if (after[day, station] > middle) == odd_after else column < middle
        order = (
            range(day, min(day + LONGEST_DAYS, days))
            if odd_after
            else range(day - 1, max(day - 1 - LONGEST_DAYS, -1), -1)
        )
        for other in order:
            if np.isfinite(column[other]) and not side[other]:
                break
            out[24 * other : 24 * other + 24, station] = True
    return out & np.isfinite(series.values)


def _log_ratio(series: Series, days: int) -> NDArray[np.float64]:
    """Return the log of each station's daily mean over the median of its neighbours' (day, station), NaN where few."""
    cut = series.values[: 24 * days].reshape(days, 24, -1)
    seen = np.isfinite(cut).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(cut, axis=1, dtype=np.float64) / seen
        level = np.log(np.where((seen >= DAY_READINGS) & (mean > 0), mean, np.nan))
    out = np.full(level.shape, np.nan)
    for station, near in enumerate(series.neighbours):
        if len(near) < NEIGHBOURS:
            continue
        others = level[:, near]
        enough = np.isfinite(others).sum(axis=1) >= NEIGHBOURS
        if enough.any():
            out[enough, station] = level[enough, station] - np.nanmedian(others[enough], axis=1)
    return out


def _level(ratio: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the mean of the `LEVEL_DAYS` days before (`side` -1) or from (1) each day on; NaN where one is missing."""
    out = np.full(ratio.shape, np.nan)
    parts = [ratio[i : len(ratio) - LEVEL_DAYS + 1 + i] for i in range(LEVEL_DAYS)]
    total = np.mean(parts, axis=0)
    if side > 0:
        out[: len(ratio) - LEVEL_DAYS + 1] = total
    else:
        out[LEVEL_DAYS:] = total[:-1]
    return out
