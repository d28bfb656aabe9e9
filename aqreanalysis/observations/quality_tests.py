"""The tests of quality control, each of which says which readings fail it; their order, and their flags."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.observations.flags import SPIKE_HOURS, Flag, Series
from aqreanalysis.observations.step_test import step_change
from aqreanalysis.species import SPECIES

# A spike stands so many times above what the station read within SPIKE_HOURS before and after ...
SPIKE_RATIO = 4.0
# ... and no other station within CONFIRM_KM reached half of it within an hour: a dust front passes that test, a fault
# of one instrument does not.
CONFIRM_SHARE = 0.5
# A code of missing readings stands so many times above all else within so many hours before and after, and more than so
# many spikes above zero.
CODE_RATIO, CODE_HOURS, CODE_SPIKES = 4.0, 168, 1.5
# Numbers that are codes more often than readings.
NINES = np.array([99, 99.9, 99.99, 999, 999.9, 999.99, 9999, 9999.9], dtype=np.float32)
# Neighbours contradict a reading if so many of them have one, within so many hours before and after.
CONTRADICTING = 4
CONTRADICTING_HOURS = 2


def missing_code(series: Series) -> NDArray[np.bool_]:
    """Return where one extreme value comes back to the digit: a code such as 9999, 999 or 99.9.

    It is no code if the station read a quarter of it otherwise within `CODE_HOURS`, or a neighbour does in these hours:
    a storm takes instruments to the ends of their ranges.
    """
    values = series.values
    out = np.zeros(values.shape, dtype=bool)
    high = values > CODE_SPIKES * series.limits.spike
    some = np.flatnonzero(values > NINES[0] - 1)
    high.ravel()[some[np.isin(values.ravel()[some], NINES)]] = True
    for station in np.flatnonzero(np.count_nonzero(high, axis=0) > 1):
        column = values[:, station]
        candidates, counts = np.unique(column[high[:, station]], return_counts=True)
        for code in candidates[counts > 1]:
            for hour in np.flatnonzero(column == code):
                around = column[max(hour - CODE_HOURS, 0) : hour + CODE_HOURS + 1]
                if np.count_nonzero(around == code) < 2:
                    continue
                others = around[around < code]
                out[hour, station] = (
                    len(others) > 0
                    and code > CODE_RATIO * others.max()
                    and not _storm(values, int(hour), series.neighbours[station], code)
                )
    return out


def _storm(values: NDArray[np.float32], hour: int, near: NDArray[np.intp], code: np.float32) -> bool:
    """Return whether a neighbour reads a quarter of a value and more within `SPIKE_HOURS`, and not just that value."""
    others = values[max(hour - SPIKE_HOURS, 0) : hour + SPIKE_HOURS + 1, near]
    return bool(np.any((others > code / CODE_RATIO) & (others != code)))


def below_zero(series: Series) -> NDArray[np.bool_]:
    """Return where a reading is more negative than noise; missing-value codes such as -999 are among them."""
    return series.values < -series.limits.noise


def above_range(series: Series) -> NDArray[np.bool_]:
    """Return where a reading exceeds the plausible range of `SPECIES`."""
    return series.values > SPECIES[series.key].plausible_max


def stuck(series: Series) -> NDArray[np.bool_]:
    """Return where a reading is part of a run of equal ones that is too long for its level."""
    limits = series.limits
    values = series.values
    out = np.zeros(values.shape, dtype=bool)
    some = np.flatnonzero(_has_run(values, limits.stuck_hours))
    chosen = values[:, some]
    length = run_lengths(chosen)
    out[:, some] = (length >= limits.stuck_hours) & ((chosen > limits.plateau) | (length >= limits.plateau_hours))
    return out


def spike_in_time(series: Series) -> NDArray[np.bool_]:
    """Return where a reading stands far above those before and after it, and no neighbour confirms it."""
    values = series.values
    spike = series.limits.spike
    # Nearly all readings are out by a look at the hours next to them; the rest is looked at one by one.
    base = values - np.float32(spike)
    candidate = base > 0
    candidate[1:] &= ~(values[:-1] >= base[1:])
    candidate[:-1] &= ~(values[1:] >= base[:-1])
    hours, stations = np.nonzero(candidate)
    peak = values[hours, stations]
    around = np.fmax(
        _nearest_reading(values, hours, stations, step=-1), _nearest_reading(values, hours, stations, step=1)
    )
    # A reading alone in its hours is no spike: comparisons with NaN are false.
    high = (peak > SPIKE_RATIO * around) & (peak - around > spike)
    out = np.zeros(values.shape, dtype=bool)
    for hour, station in zip(hours[high], stations[high], strict=True):
        others = values[max(hour - 1, 0) : hour + 2, series.neighbours[station]]
        out[hour, station] = not np.any(others >= CONFIRM_SHARE * values[hour, station])
    return out


def spike_against_neighbours(series: Series) -> NDArray[np.bool_]:
    """Return where a reading stands far above those of all neighbours, four or more, in the hours around it."""
    values = series.values
    height = 2 * series.limits.spike
    out = np.zeros(values.shape, dtype=bool)
    # A look at the highest other station of the whole network in that hour would not do: storms pass elsewhere.
    hours, stations = np.nonzero(values > height)
    for hour, station in zip(hours, stations, strict=True):
        near = series.neighbours[station]
        if len(near) < CONTRADICTING:
            continue
        bound = values[hour, station] / series.limits.neighbour_ratio
        now = values[hour, near]
        if np.nanmax(now, initial=-np.inf) > bound:  # what most candidates fail, at a small price
            continue
        around = values[max(hour - CONTRADICTING_HOURS, 0) : hour + CONTRADICTING_HOURS + 1, near]
        seen = np.isfinite(around).any(axis=0)
        if np.count_nonzero(seen) >= CONTRADICTING:
            highest = np.nanmax(around[:, seen])
            out[hour, station] = highest < bound and values[hour, station] - highest > height
    return out


def pm25_above_pm10(series: Series) -> NDArray[np.bool_]:
    """Return where PM2.5 is far above PM10 of the same station and hour; which of the two is wrong is not known."""
    if series.key not in ("pm25", "pm10") or not {"pm25", "pm10"} <= set(series.beside):
        return np.zeros(series.values.shape, dtype=bool)
    fine, coarse = series.beside["pm25"], series.beside["pm10"]
    # The ratio of instruments that disagree by noise is large only at low levels: it must be large in mass too.
    return np.asarray(
        (fine > series.limits.pm10_ratio * coarse) & (fine - coarse > np.float32(series.limits.pm10_excess))
    )


def too_little_data(series: Series) -> NDArray[np.bool_]:
    """Return where a reading has too few others in the 25 hours around it: an instrument that is being set up."""
    there = np.isfinite(series.values)
    total = np.zeros((len(there) + 1, there.shape[1]), dtype=np.int32)
    np.cumsum(there, axis=0, out=total[1:])
    index = np.arange(len(there))
    around = total[np.minimum(index + 13, len(there))] - total[np.maximum(index - 12, 0)]
    return np.asarray(there & (around < series.limits.window_readings))


def below_detection_limit(series: Series) -> NDArray[np.bool_]:
    """Return where a reading lies below the detection limit."""
    return series.values < series.limits.detection_limit


# The order matters: a code of -999 that stands for days is negative, not stuck.
TESTS: tuple[tuple[Flag, Callable[[Series], NDArray[np.bool_]]], ...] = (
    (Flag.NEGATIVE, below_zero),
    (Flag.ABOVE_PLAUSIBLE_RANGE, above_range),
    (Flag.STUCK, stuck),
    (Flag.MISSING_CODE, missing_code),
    (Flag.SPIKE_IN_TIME, spike_in_time),
    (Flag.SPIKE_AGAINST_NEIGHBOURS, spike_against_neighbours),
    (Flag.PM25_ABOVE_PM10, pm25_above_pm10),
    (Flag.STEP_CHANGE, step_change),
    (Flag.TOO_LITTLE_DATA, too_little_data),
    (Flag.BELOW_DETECTION_LIMIT, below_detection_limit),
)


def run_lengths(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return for each reading how many equal ones stand in a row with it (itself included), int32 (time, station)."""
    hours, stations = values.shape
    if values.size == 0:
        return np.zeros(values.shape, dtype=np.int32)
    # Station by station in one long row, so that a run never crosses from one station to the next.
    flat = np.ascontiguousarray(values.T).ravel()
    starts = np.ones(flat.size, dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=starts[1:])
    starts[::hours] = True
    begin = np.flatnonzero(starts)
    lengths = np.diff(np.append(begin, flat.size)).astype(np.int32)
    return np.repeat(lengths, lengths).reshape(stations, hours).T


def _has_run(values: NDArray[np.float32], hours: int) -> NDArray[np.bool_]:
    """Return which stations have a run of at least `hours` equal readings; five times as fast as `run_lengths`."""
    alive = values[1:] == values[:-1]
    have = 1
    # alive[t] says that `have` steps from t on change nothing; two such stretches end to end make a longer one.
    while have < hours - 1 and len(alive):
        step = min(have, hours - 1 - have)
        alive = alive[step:] & alive[:-step] if step < len(alive) else alive[:0]
        have += step
    return np.asarray(alive.any(axis=0))


def _nearest_reading(
    values: NDArray[np.float32], hours: NDArray[np.intp], stations: NDArray[np.intp], step: int
) -> NDArray[np.float32]:
    """Return the nearest reading at most `SPIKE_HOURS` before (`step` -1) or after (1) each point; NaN where none."""
    out = np.full(len(hours), np.nan, dtype=np.float32)
    for distance in range(1, SPIKE_HOURS + 1):
        there = hours + step * distance
        open_ = np.isnan(out) & (there >= 0) & (there < len(values))
        out[open_] = values[there[open_], stations[open_]]
    return out
