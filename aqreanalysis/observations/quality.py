"""Quality control: a list of tests, each with its own flag. A reading that fails keeps its value beside its flag.

The tests run in the order of `TESTS`; a reading carries the flag of the first one that it fails. None deletes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.geometry import stations_within
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.species import SPECIES


class Flag(IntEnum):
    """Quality of one reading; every flag but `GOOD` makes it unusable."""

    GOOD = 0
    MISSING = 1
    NEGATIVE = 2
    ABOVE_PLAUSIBLE_RANGE = 3
    STUCK = 4
    SPIKE_IN_TIME = 5


FLAG_MEANINGS = " ".join(flag.name.lower() for flag in Flag)


@dataclass(frozen=True)
class Limits:
    """Thresholds of one pollutant, in its units.

    Attributes
    ----------
    stuck_hours : int
        Equal readings over at least so many hours in a row are a stuck instrument, above `plateau`.
    plateau : float
        At or below it equal readings are the detection limit or the resolution of the instrument ...
    plateau_hours : int
        ... unless they go on for so many hours.
    spike : float
        Least height of a spike over the readings before and after.
    """

    stuck_hours: int
    plateau: float
    plateau_hours: int
    spike: float


# Chosen on a year of 467 Chinese stations and on 35 + 12 stations of Beijing over 4 to 5 years. Particles are reported
# to 1 ug m-3 and hardly stand still for half a day; SO2 and CO move in steps of 1 ppb (2.86 ug m-3) and 0.1 mg m-3, so
# that days of one low value are ordinary: 150 thousand readings of SO2 in runs of 12 h and more in that year alone, and
# runs of 12 days at 2 ug m-3 in Beijing's summers. Some stations round CO to 1 mg m-3: 44 h at 2 is no fault there.
LIMITS: dict[str, Limits] = {
    "pm25": Limits(stuck_hours=12, plateau=6.0, plateau_hours=48, spike=100.0),
    "pm10": Limits(stuck_hours=12, plateau=10.0, plateau_hours=48, spike=200.0),
    "so2": Limits(stuck_hours=24, plateau=15.0, plateau_hours=720, spike=100.0),
    "no2": Limits(stuck_hours=12, plateau=10.0, plateau_hours=120, spike=100.0),
    "o3": Limits(stuck_hours=12, plateau=12.0, plateau_hours=120, spike=120.0),
    "co": Limits(stuck_hours=48, plateau=1.5, plateau_hours=168, spike=3.0),
}

# A spike stands so many times above what the station read within SPIKE_HOURS before and after ...
SPIKE_RATIO = 4.0
SPIKE_HOURS = 3
# ... and no other station within this distance reached half of it within an hour: a dust front passes that test, a
# fault of one instrument does not.
CONFIRM_KM = 150.0
CONFIRM_SHARE = 0.5

# Median of CO above which a file is taken to be in ug m-3 (the most polluted cities have hourly medians near 5 mg m-3),
# and median of the others below which it is taken to be in mg m-3.
CO_MEDIAN_MAX = 20.0
MEDIAN_MIN = 0.3


@dataclass(frozen=True)
class Series:
    """What a test sees: readings (time, station), float32, NaN where missing, and where the stations stand."""

    key: str
    values: NDArray[np.float32]
    neighbours: list[NDArray[np.intp]]


def below_zero(series: Series) -> NDArray[np.bool_]:
    """Return where a reading is negative; missing-value codes such as -999 are among them."""
    return series.values < 0


def above_range(series: Series) -> NDArray[np.bool_]:
    """Return where a reading exceeds the plausible range of `SPECIES`."""
    return series.values > SPECIES[series.key].plausible_max


def stuck(series: Series) -> NDArray[np.bool_]:
    """Return where a reading is part of a run of equal ones that is too long for its level."""
    limits = LIMITS[series.key]
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
    spike = LIMITS[series.key].spike
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


# The order matters: a code of -999 that stands for days is negative, not stuck.
TESTS: tuple[tuple[Flag, Callable[[Series], NDArray[np.bool_]]], ...] = (
    (Flag.NEGATIVE, below_zero),
    (Flag.ABOVE_PLAUSIBLE_RANGE, above_range),
    (Flag.STUCK, stuck),
    (Flag.SPIKE_IN_TIME, spike_in_time),
)


def flag_readings(
    values: dict[str, NDArray[np.float32]], lat: NDArray[np.float64], lon: NDArray[np.float64]
) -> dict[str, NDArray[np.int8]]:
    """Return the flag of each reading, int8 (time, station) a pollutant; see `Flag`.

    Parameters
    ----------
    values : dict of str to ndarray
        Pollutant key -> float32 (time, station) in the units of `SPECIES`, NaN where missing, hours without holes.
    lat, lon : ndarray
        Degrees, float64 (station,).
    """
    neighbours = stations_within(lat, lon, CONFIRM_KM)
    out = {}
    for key, readings in values.items():
        flags = np.where(np.isnan(readings), np.int8(Flag.MISSING), np.int8(Flag.GOOD))
        remaining = readings
        for flag, test in TESTS:
            failed = test(Series(key, remaining, neighbours))
            if failed.any():
                flags[failed] = flag
                # What one test has found must not mislead the next: a fault of 9999 is nobody's neighbour.
                remaining = np.where(failed, np.float32(np.nan), remaining)
        out[key] = flags
    return out


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


def check_units(values: dict[str, NDArray[np.float32]], report: QualityReport) -> None:
    """Refuse or warn where the level of a pollutant only makes sense in another unit.

    Raises
    ------
    ObservationsError
        If the median of CO lies above `CO_MEDIAN_MAX` mg m-3.
    """
    for key, readings in values.items():
        # A median of some hundred thousand readings tells a factor of a thousand as well as one of millions.
        sample = readings.ravel()[:: max(readings.size // 200_000, 1)]
        present = sample[np.isfinite(sample) & (sample >= 0)]
        if present.size < 24:
            continue
        median = float(np.median(present))
        if key == "co" and median > CO_MEDIAN_MAX:
            raise ObservationsError(
                f"{report.source}: the median of co is {median:g} mg m-3, above {CO_MEDIAN_MAX:g}: "
                "it looks like ug m-3; set columns.units.co to 'ug m-3'"
            )
        if key != "co" and 0 < median < MEDIAN_MIN:
            report.warnings.append(
                f"the median of {key} is {median:g} ug m-3, below {MEDIAN_MIN:g}: if the file is in mg m-3, "
                f"set columns.units.{key} to 'mg m-3'"
            )


def count_flags(flags: dict[str, NDArray[np.int8]], report: QualityReport) -> None:
    """Write into `report` how many readings of each pollutant carry which flag, and warn where most do."""
    for key, codes in flags.items():
        per_flag = np.bincount(codes.ravel(), minlength=len(Flag))
        readings = int(codes.size - per_flag[Flag.MISSING])
        report.readings[key] = readings
        report.flagged[key] = {
            flag.name.lower(): int(per_flag[flag]) for flag in Flag if flag not in (Flag.GOOD, Flag.MISSING)
        }
        bad = readings - int(per_flag[Flag.GOOD])
        if readings and bad > 0.5 * readings:
            report.warnings.append(f"{bad} of {readings} readings of {key} are flagged: is its unit right?")
