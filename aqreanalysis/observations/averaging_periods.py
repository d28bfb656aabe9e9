"""Averaging periods, by the stamps of each series: an hour, a regular or irregular part of one, or many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Minutes since 1970 of a row without a readable stamp.
NO_TIME = np.iinfo(np.int32).min
# Stray bad rows are counted and left out; more than this share of a file says that the file is read the wrong way.
STRAY_SHARE = 0.01
# Averages shorter than an hour that are recognised by their stamps, in minutes.
SHORT_STEPS = (30, 20, 15, 12, 10, 6, 5)
# Minutes of an hour at which the full hours of a zone end whose offset is no whole number of hours.
_ZONE_MINUTES = (15, 30, 45)
# Stamps of no step are averages of their usual distance where it is at most this, in minutes. Fewer stamps of a series
# than these tell nothing.
_LONGEST_IRREGULAR, _FEWEST_STAMPS = 30, 3
# A series is of averages longer than an hour if hardly a reading follows another by an hour and so many of its
# distances, in hours, are one and the same.
ADJACENT_SHARE, _REGULAR_SHARE = 0.02, 0.5


@dataclass(frozen=True)
class Periods:
    """What the stamps of rows tell.

    Attributes
    ----------
    end : ndarray
        int32 (row,), minutes since 1970-01-01 UTC at the end of each row's averaging period, `NO_TIME` where the row
        has no stamp or one off the steps of its series.
    minutes : ndarray
        int16 (row,), the averaging period.
    moved : int
        Rows of hours that end off the full hours of UTC, which were put on the nearest, half past on the next.
    """

    end: NDArray[np.int32]
    minutes: NDArray[np.int16]
    moved: int = 0


def periods_of(instant: NDArray[np.int32], series: NDArray[np.integer] | None, start: bool) -> Periods:
    """Return the averaging period of each row, told from the stamps of its series.

    Parameters
    ----------
    instant : ndarray
        int32 (row,), minutes since 1970-01-01 UTC of each stamp, `NO_TIME` where there is none.
    series : ndarray or None
        Integer (row,), rows of one number are of one instrument; None: all are.
    start : bool
        Whether stamps stand at the start of the period.
    """
    end = np.full(len(instant), NO_TIME, np.int32)
    minutes = np.full(len(instant), 60, np.int16)
    moved = 0
    pooled: int | None = None
    for rows in _groups(instant, series):
        own = instant[rows]
        if len(own) < _FEWEST_STAMPS:  # a row or two tell no step: that of the whole file
            pooled = series_step(np.sort(instant[instant != NO_TIME])) if pooled is None else pooled
            step = pooled
        else:
            step = series_step(own)
        minutes[rows] = step or 60
        if step == 0:  # neither hours nor a part of one: what stands on full hours is hours, and the rest is none
            hourly = own % 60 == 0
            end[rows[hourly]] = own[hourly] + 60 * start
            continue
        offset = int(np.bincount(own % 60, minlength=60).argmax()) if step == 60 else 0
        regular = own % step == offset if step in (*SHORT_STEPS, 60) and _fits(own, step, offset) else slice(None)
        ends = own + step * start
        if offset:
            # The hour of a zone with a half hour of offset, or one stamped at its middle.
            ends = (ends + 30) // 60 * 60
            moved += int(np.count_nonzero(own % 60 == offset))
        end[rows[regular]] = ends[regular]
    return Periods(end, minutes, moved)


def _groups(instant: NDArray[np.int32], series: NDArray[np.integer] | None) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each series that have a stamp, by its stamps."""
    timed = np.flatnonzero(instant != NO_TIME)
    if series is None:
        yield timed[np.argsort(instant[timed], kind="stable")] if len(timed) else timed
        return
    timed = timed[np.lexsort((instant[timed], series[timed]))]
    yield from np.split(timed, np.flatnonzero(np.diff(series[timed])) + 1)


def _fits(instant: NDArray[np.int32], step: int, offset: int) -> bool:
    """Return whether next to all stamps stand at full steps."""
    return bool(np.count_nonzero(instant % step == offset) >= (1 - STRAY_SHARE) * len(instant))


def series_step(instant: NDArray[np.int32]) -> int:
    """Return the averaging period of a series in minutes: 60, a part of it, or 0 where its stamps are none of that.

    Parameters
    ----------
    instant : ndarray
        int32, the stamps, sorted.
    """
    if len(instant) == 0 or _fits(instant, 60, 0):
        return 60
    step = find_step(instant)
    if step < 60:
        return step
    usual = int(np.bincount(instant % 60, minlength=60).argmax())
    if usual in _ZONE_MINUTES and _fits(instant, 60, usual):
        return 60
    distances = np.diff(np.unique(instant)).astype(np.float64)
    if len(distances) + 1 < _FEWEST_STAMPS:
        return 0
    median = float(np.median(distances))
    # Gaps are no distances: the mean of those up to twice the usual one, which seconds round up and down.
    mean = float(distances[distances <= 2 * median].mean())
    return max(round(mean), 1) if median <= _LONGEST_IRREGULAR else 0


def usual_distances(
    instant: NDArray[np.int32], series: NDArray[np.integer], longest: int, usual: int
) -> NDArray[np.int16]:
    """Return the usual distance of the stamps of each row's series, int16 (row,), in minutes.

    For sensors that report each in its own rhythm, thousands of them at once.

    Parameters
    ----------
    instant : ndarray
        int32 (row,), minutes since 1970, `NO_TIME` where there is none.
    series : ndarray
        Integer (row,).
    longest : int
        Distances beyond this are gaps.
    usual : int
        What is taken of a series that has no distance.
    """
    order = np.lexsort((instant, series))
    distance = np.diff(instant[order].astype(np.int64))
    near = (np.diff(series[order]) == 0) & (distance > 0) & (distance <= longest) & (instant[order][:-1] != NO_TIME)
    number, index = np.unique(series, return_inverse=True)
    of_series = index[order][1:][near]
    count = np.bincount(of_series, minlength=len(number))
    total = np.bincount(of_series, weights=distance[near], minlength=len(number))
    mean = np.where(count > 0, np.round(total / np.maximum(count, 1)), usual)
    return np.maximum(mean, 1).astype(np.int16)[index]


def find_step(minutes: NDArray[np.integer]) -> int:
    """Return 60, or the shorter step of `SHORT_STEPS` whose every place in the hour the stamps take.

    All stamps at half past are an hourly clock of a zone with half an hour of offset, and no half-hour means; a stray
    stamp or two make no step either.
    """
    per_minute = np.bincount(minutes % 60, minlength=60)
    total = len(minutes)
    for step in SHORT_STEPS:
        places = per_minute[::step]
        if places.sum() >= (1 - STRAY_SHARE) * total and places.min() >= max(0.5 * total * step / 60, 2):
            return step
    return 60


def nearest_hours(end: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the ends of hours on the nearest full hour of UTC, half past on the next; `NO_TIME` stays."""
    return np.where(end == NO_TIME, NO_TIME, (end + 30) // 60 * 60).astype(np.int32)


def usual_distance(hours: NDArray[np.integer]) -> int:
    """Return the hours from one reading of a series to the next if its averages are longer than an hour, else 1.

    Daily, weekly and yearly means stand beside hourly ones in the files of many networks. Two readings tell if they
    are whole days apart; one alone tells nothing.

    Parameters
    ----------
    hours : ndarray
        Distinct stamps of the series' readings in hours, sorted.
    """
    distances = np.diff(hours)
    if len(distances) == 0 or np.count_nonzero(distances == 1) > ADJACENT_SHARE * len(distances):
        return 1
    if len(distances) == 1:
        return int(distances[0]) if distances[0] % 24 == 0 else 1
    numbers, counts = np.unique(distances, return_counts=True)
    usual = int(numbers[counts.argmax()])
    # Months and years differ by a day or some.
    near = counts[np.abs(numbers - usual) <= 0.12 * usual].sum()
    return usual if usual > 1 and near >= _REGULAR_SHARE * len(distances) else 1
