"""Is the clock UTC? Ozone peaks in the early afternoon by the sun, wherever a station stands; a wrong clock moves that.

Photochemistry and mixing put the daily maximum of ozone some two to four hours after solar noon. The first daily
harmonic of the mean day of each station gives the hour of its peak in UTC; adding lon / 15 h gives local solar time.
On a year of 467 Chinese stations it lies between 14.4 and 17.4 h at every one of them, on the network's median between
13.4 and 16.5 h in any 30 days of 4 to 5 years, between 11.4 and 16.6 h in any 10 days. NO2 peaks in the night on
most networks, but traffic can turn that round, so it is good for a warning and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.report import QualityReport

OZONE_PEAK = 15.3
NO2_PEAK = 1.0
# Hours by which the peak may be off, for short and for long records.
LONG_DAYS, LONG_TOLERANCE = 20, 4.0
SHORT_DAYS, SHORT_TOLERANCE = 5, 6.0
NO2_TOLERANCE = 7.0
# Readings that each hour of a station's mean day needs.
MIN_READINGS = 2
# A mean day flatter than this (amplitude over mean) tells no phase: mountain stations, polar winters.
MIN_AMPLITUDE = 0.1


@dataclass(frozen=True)
class DailyPeak:
    """Local solar hour of the daily peak (median over stations), over how many days and stations."""

    solar_hour: float
    days: float
    stations: int


def daily_peak(values: NDArray[np.float32], hours: NDArray[np.int64], lon: NDArray[np.float64]) -> DailyPeak | None:
    """Return when a pollutant peaks by local solar time, or None if the record is too short or too flat to tell.

    Parameters
    ----------
    values : ndarray
        float32 (time, station), NaN where missing.
    hours : ndarray
        Hours since 1970-01-01 UTC of each stamp (END of the averaging hour), without holes.
    lon : ndarray
        Degrees east, (station,).
    """
    first = -int(hours[0]) % 24
    days = (len(hours) - first) // 24
    if days < 1:
        return None
    whole = values[first : first + 24 * days].reshape(days, 24, -1)
    seen = np.isfinite(whole)
    per_hour = seen.sum(axis=0)
    sums: NDArray[np.float64] = np.asarray(np.nansum(whole, axis=0, dtype=np.float64))
    # The median, not the minimum: analysers calibrate at the same hour each night, which is then seldom there.
    station_days = np.median(per_hour, axis=0)
    usable = (station_days >= SHORT_DAYS) & (per_hour.min(axis=0) >= MIN_READINGS)
    if not usable.any():
        return None
    mean_day = sums[:, usable] / per_hour[:, usable]
    # The hour stamped 15:00 is the mean over 14:00..15:00, so its middle is half an hour earlier.
    angle = 2 * np.pi * (np.arange(24) - 0.5) / 24
    harmonic = (mean_day * np.exp(1j * angle)[:, None]).mean(axis=0)
    level = mean_day.mean(axis=0)
    clear = 2 * np.abs(harmonic) > MIN_AMPLITUDE * np.maximum(level, 1e-9)
    if not clear.any():
        return None
    solar = np.angle(harmonic[clear]) + 2 * np.pi * lon[usable][clear] / 360
    # Median on the circle: around the mean direction, so that 23 h and 1 h do not average to noon.
    centre = np.angle(np.exp(1j * solar).mean())
    middle = centre + np.median(np.angle(np.exp(1j * (solar - centre))))
    hour = float(middle * 24 / (2 * np.pi) % 24)
    return DailyPeak(hour, float(np.median(station_days[usable][clear])), int(clear.sum()))


def hours_off(measured: float, expected: float) -> float:
    """Return by how many hours `measured` is later than `expected` on the 24 h circle, -12..12."""
    return (measured - expected + 12.0) % 24.0 - 12.0


def check_clock(
    values: dict[str, NDArray[np.float32]], hours: NDArray[np.int64], lon: NDArray[np.float64], report: QualityReport
) -> None:
    """Refuse records whose ozone peaks at the wrong time of the solar day; note what was or was not checked.

    Raises
    ------
    ObservationsError
        If the clock cannot be UTC, with the offset that the sun suggests and the setting to change.
    """
    peak = daily_peak(values["o3"], hours, lon) if "o3" in values else None
    if peak is not None:
        off = hours_off(peak.solar_hour, OZONE_PEAK)
        tolerance = LONG_TOLERANCE if peak.days >= LONG_DAYS else SHORT_TOLERANCE
        if abs(off) > tolerance:
            raise ObservationsError(
                f"{report.source}: ozone peaks at {peak.solar_hour:.1f} h local solar time at {peak.stations} stations "
                f"over {peak.days:.0f} days, {abs(off):.0f} h from the afternoon where it belongs: the clock does not "
                f"look like UTC; set columns.time_zone (the sun suggests about UTC{off:+.0f}), or "
                "columns.check_clock=false if the times are right"
            )
        report.notes.append(f"clock: ozone peaks at {peak.solar_hour:.1f} h local solar time, as UTC would have it")
        return
    peak = daily_peak(values["no2"], hours, lon) if "no2" in values else None
    if peak is None or peak.days < LONG_DAYS:
        report.notes.append(f"clock: not checked (needs {SHORT_DAYS} days of o3, or {LONG_DAYS} days of no2)")
    elif abs(hours_off(peak.solar_hour, NO2_PEAK)) > NO2_TOLERANCE:
        off = hours_off(peak.solar_hour, NO2_PEAK)
        report.warnings.append(
            f"no2 peaks at {peak.solar_hour:.1f} h local solar time, where most networks see it at night: if the clock "
            f"is not UTC, set columns.time_zone (the sun suggests about UTC{off:+.0f})"
        )
    else:
        report.notes.append(f"clock: no2 peaks at {peak.solar_hour:.1f} h local solar time, as UTC would have it")
