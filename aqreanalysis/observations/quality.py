"""Quality control: a list of tests, each with its own flag. A reading that fails keeps its value beside its flag.

The tests of `qualitytests.TESTS` that the config names run in that order; a reading carries the flag of the first one
that it fails. None deletes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import points_within
from aqreanalysis.configs import QualityConfig
from aqreanalysis.errors import ConfigError, ObservationsError, nearest_hint
from aqreanalysis.observations.flags import USABLE, Flag
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.species import get_species


@dataclass(frozen=True)
class Screening:
    """How readings in memory are screened.

    Attributes
    ----------
    quality : QualityConfig, optional
        Which tests run, with which thresholds.
    source_flags : mapping, optional
        Pollutant key -> int8 (time, station), what the network says of its readings; see `Flag`.
    """

    quality: QualityConfig | None = None
    source_flags: Mapping[str, NDArray[np.int8]] | None = None


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
    neighbour_ratio : float
        A spike against neighbours stands so many times above the highest of them, by twice `spike`.
    pm10_ratio, pm10_excess : float
        PM2.5 that is so many times PM10 and larger by so much cannot be: the finer is part of the coarser.
    step_ratio : float
        A step of a station's level is by more than this factor, and its neighbours make none.
    window_readings : int
        Fewer readings than this in the 25 hours around one are too little to trust it.
    detection_limit : float
        Readings below it are flagged, and stay usable.
    """

    stuck_hours: int
    plateau: float
    plateau_hours: int
    spike: float
    neighbour_ratio: float = 8.0
    pm10_ratio: float = 2.0
    pm10_excess: float = 50.0
    step_ratio: float = 5.0
    window_readings: int = 6
    detection_limit: float = 0.0


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

# How far a look before and after a spike goes, and within which distance other stations confirm or contradict one.
SPIKE_HOURS = 3
CONFIRM_KM = 150.0

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
    limits: Limits
    beside: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def flag_readings(
    values: dict[str, NDArray[np.float32]],
    lat: NDArray[np.float64],
    lon: NDArray[np.float64],
    quality: QualityConfig | None = None,
    source_flags: Mapping[str, NDArray[np.int8]] | None = None,
) -> dict[str, NDArray[np.int8]]:
    """Return the flag of each reading, int8 (time, station) a pollutant; see `Flag`.

    Parameters
    ----------
    values : dict of str to ndarray
        Pollutant key -> float32 (time, station) in the units of `SPECIES`, NaN where missing, hours without holes.
    lat, lon : ndarray
        Degrees, float64 (station,).
    quality : QualityConfig, optional
        Which tests run, with which thresholds.
    source_flags : mapping, optional
        Pollutant key -> int8 (time, station), what the network says of its readings (`Flag.GOOD` where nothing).

    Raises
    ------
    ConfigError
        If `quality` names an unknown pollutant or threshold.
    """
    from aqreanalysis.observations.quality_tests import TESTS  # here, because the tests take `Series` from this module

    chosen = quality or QualityConfig()
    limits = limits_of(chosen)
    neighbours = points_within(lat, lon, CONFIRM_KM)
    flags = {}
    remaining = {}
    for key, readings in values.items():
        flags[key] = np.isnan(readings).astype(np.int8)  # Flag.GOOD is 0, Flag.MISSING is 1
        remaining[key] = readings
        if source_flags is not None and key in source_flags:
            said = (source_flags[key] != Flag.GOOD) & (flags[key] == Flag.GOOD)
            flags[key][said] = source_flags[key][said]
            remaining[key] = _without(readings, said & ~np.isin(source_flags[key], list(USABLE)))
    for flag, test in TESTS:
        if flag.name.lower() not in chosen.tests:
            continue
        # All pollutants before any is marked: a test that compares two of them must see both.
        found = {key: test(Series(key, remaining[key], neighbours, limits[key], remaining)) for key in values}
        for key, failed in found.items():
            if failed.any():
                flags[key][failed] = flag
                if flag not in USABLE:
                    # What one test has found must not mislead the next: a fault of 9999 is nobody's neighbour.
                    remaining[key] = _without(remaining[key], failed)
    return flags


def _without(readings: NDArray[np.float32], bad: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(bad, np.float32(np.nan), readings)


def limits_of(quality: QualityConfig) -> dict[str, Limits]:
    """Return the thresholds of each pollutant, those of `quality` over the built-in ones.

    Raises
    ------
    ConfigError
        If `quality` names an unknown pollutant or threshold.
    """
    out = dict(LIMITS)
    known = [each.name for each in fields(Limits)]
    for name, changes in quality.limits.items():
        key = get_species(name).key
        for threshold in changes:
            if threshold not in known:
                raise ConfigError(
                    f"quality.limits.{name}.{threshold}: no such threshold{nearest_hint(threshold, known)} "
                    f"(there are: {', '.join(known)})"
                )
        kinds = {name: type(getattr(out[key], name)) for name in changes}  # hours and counts are whole numbers
        out[key] = replace(out[key], **{name: kinds[name](value) for name, value in changes.items()})
    return out


def reach_hours(quality: QualityConfig | None = None) -> int:
    """Return how many hours before and after a reading its flag may depend on, for work in blocks of time.

    What one test takes out another no longer sees, so that the reaches of the tests add up.
    """
    chosen = quality or QualityConfig()
    longest = max(int(max(each.plateau_hours, each.stuck_hours)) for each in limits_of(chosen).values())
    reach = {"stuck": longest, "spike_in_time": SPIKE_HOURS + 1, "spike_against_neighbours": 3}
    reach |= {"step_change": 24 * 40, "too_little_data": 12}
    return sum(reach.get(name, 0) for name in chosen.tests)


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


def count_flags(per_key: Mapping[str, NDArray[np.integer]], report: QualityReport) -> None:
    """Write into `report` how many readings of each pollutant carry which flag, and warn where most do.

    Parameters
    ----------
    per_key : mapping of str to ndarray
        Pollutant key -> how many readings carry each flag, (flag,).
    report : QualityReport
        Where it is written.
    """
    for key, per_flag in per_key.items():
        readings = int(per_flag.sum() - per_flag[Flag.MISSING])
        report.readings[key] = readings
        report.flagged[key] = {
            flag.name.lower(): int(per_flag[flag]) for flag in Flag if flag not in (Flag.GOOD, Flag.MISSING)
        }
        bad = readings - sum(int(per_flag[flag]) for flag in USABLE)
        if readings and bad > 0.5 * readings:
            report.warnings.append(f"{bad} of {readings} readings of {key} are flagged: is its unit right?")
