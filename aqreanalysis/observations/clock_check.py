"""Is the clock UTC? Ozone falls until the sun rises and peaks in the afternoon, wherever stations stand; a wrong clock
moves both.

Photochemistry and mixing put the daily maximum of ozone some three hours after solar noon and its minimum at sunrise,
in the warm half of the year at next to every place but kerbs. The mean day of the whole record tells both: the first
daily harmonic of each station the hour of its peak (the network's median counts), the network's mean curve the minimum.
Over the warm halves of 467 Chinese stations in 2019, of 35 and of 12 Beijing stations over four years and of nature
runs the peak lies between 15.2 and 15.7 h local solar time, the minimum 0.5 to 0.9 h after sunrise. In winter and at
kerbs traffic's NO decides, and ozone may peak at night: such records, and those of few stations, are warned of, never
refused, and no offset is read off them. NO2 is least in the early afternoon, but less surely: good for a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.report import QualityReport

# Where the peak of ozone stands, in local solar hours, and its minimum, in hours after sunrise.
OZONE_PEAK, OZONE_LOW = 15.4, 0.7
NO2_LOW = 14.1
# A record tells its clock with so many stations, days of the warm half, amplitude over mean, and hours between the
# stations' peaks (median deviation); and where peak and minimum are off by the same within so many hours.
MIN_STATIONS, MIN_DAYS, CLEAR_AMPLITUDE, MAX_SPREAD = 5, 10, 0.2, 1.0
AGREEMENT = 2.0
# So many hours off are refused, so many warned of; of a record that does not tell its clock so many.
REFUSED, WARNED, WEAKLY_WARNED = 2.5, 0.6, 4.0
# Each of the two must be off by this share of what is warned of.
BOTH_SHARE = 0.5
# Readings that each hour of a station's mean day needs, and days over which it must be had for any word.
MIN_READINGS, FEWEST_DAYS = 2, 5
# A mean day flatter than this (amplitude over mean) has no phase: mountain stations, polar winters.
MIN_AMPLITUDE = 0.1
# The warm half: the sun stands farther north (in the south: south) than this, degrees; from March to mid-October.
WARM_DECLINATION = -8.0
_HARMONICS = 6
_HOURS_OF_YEAR = 365.2425 * 24


@dataclass(frozen=True)
class Rhythm:
    """Mean day of a network: peak and minimum in local solar hours, and how far they can be trusted.

    Attributes
    ----------
    peak : float
        Median over stations of the hour of the first harmonic's maximum.
    low : float
        Hour at which the network's mean curve is lowest.
    sunrise : float
        Mean sunrise over the days and stations.
    stations : int
        Stations with a clear rhythm.
    days : float
        Days (median over stations).
    amplitude, spread : float
        Of the first harmonic over the mean (median), and how the stations' peaks differ (median deviation, h).
    """

    peak: float
    low: float
    sunrise: float
    stations: int
    days: float
    amplitude: float
    spread: float


class MeanDays:
    """Sums of readings by hour of the day, gathered block by block over the whole record, for both halves of the year.

    Parameters
    ----------
    stations : int
        Number of stations.
    """

    def __init__(self, stations: int) -> None:
        self._stations = stations
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._days = np.zeros(366, dtype=np.int64)

    def add(self, values: dict[str, NDArray[np.float32]], hours: NDArray[np.int64]) -> None:
        """Take in readings (time, station) a pollutant, NaN where missing, of stamps in hours since 1970 UTC (END)."""
        middle = hours - 0.5
        of_day = np.floor(middle % 24).astype(int)
        day = np.floor(middle % _HOURS_OF_YEAR / 24).astype(int)
        self._days += np.bincount(day, minlength=366)[:366]
        declination = solar_declination(day)
        for key in ("o3", "no2"):
            if key not in values:
                continue
            sums = self._sums.setdefault(key, np.zeros((3, 24, self._stations)))
            counts = self._counts.setdefault(key, np.zeros((3, 24, self._stations), dtype=np.int64))
            # 0: warm half of the north, 1: of the south, 2: the whole year.
            for half, chosen in enumerate(_halves(declination)):
                for hour in range(24):
                    part = values[key][chosen & (of_day == hour)]
                    sums[half, hour] += np.nansum(part, axis=0, dtype=np.float64)
                    counts[half, hour] += np.isfinite(part).sum(axis=0)

    def rhythm(self, key: str, lat: NDArray[np.float64], lon: NDArray[np.float64], warm: bool) -> Rhythm | None:
        """Return the rhythm of a pollutant in the warm half of the year or all of it; None if nothing tells it."""
        if key not in self._sums:
            return None
        half = np.where(lat >= 0, 0, 1) if warm else np.full(len(lat), 2)
        at = np.arange(len(lat))
        counts, sums = self._counts[key][half, :, at].T, self._sums[key][half, :, at].T
        # The median, not the minimum: analysers calibrate at the same hour each night, which is then seldom there.
        days = np.median(counts, axis=0)
        usable = (days >= FEWEST_DAYS) & (counts.min(axis=0) >= MIN_READINGS)
        if not usable.any():
            return None
        mean_day = sums[:, usable] / counts[:, usable]
        level = mean_day.mean(axis=0)
        solar = 2 * np.pi * (lon[usable] / 360 + self._equation_of_time(half[0]) / 24)
        # The hour stamped 15:00 is the mean over 14:00..15:00, so its middle is half an hour earlier.
        angle = 2 * np.pi * (np.arange(24) + 0.5) / 24
        number = np.arange(1, _HARMONICS + 1)[:, None]
        waves = np.exp(1j * number * angle) @ mean_day / 24 * np.exp(1j * number * solar) / np.maximum(level, 1e-9)
        amplitude = 2 * np.abs(waves[0])
        clear = amplitude > MIN_AMPLITUDE
        if not clear.any():
            return None
        phase = np.angle(waves[0, clear])
        # Median on the circle: around the mean direction, so that 23 h and 1 h do not average to noon.
        centre = np.angle(np.exp(1j * phase).mean())
        deviation = np.angle(np.exp(1j * (phase - centre)))
        grid = np.arange(0, 24, 0.1)
        curve = (waves[:, clear].mean(axis=1) @ np.exp(-1j * number * 2 * np.pi * grid / 24)).real
        return Rhythm(
            peak=float((centre + np.median(deviation)) * 24 / (2 * np.pi) % 24),
            low=float(grid[np.argmin(curve)]),
            sunrise=float(np.mean(self._sunrise(lat[usable][clear], half[usable][clear]))),
            stations=int(clear.sum()),
            days=float(np.median(days[usable][clear])),
            amplitude=float(np.median(amplitude[clear])),
            spread=float(np.median(np.abs(deviation - np.median(deviation)))) * 24 / (2 * np.pi),
        )

    def _weights(self, half: int) -> NDArray[np.float64]:
        """Return how much of the record each day of the year makes."""
        chosen = self._days * _halves(solar_declination(np.arange(366)))[half]
        return np.asarray(chosen / max(chosen.sum(), 1))

    def _equation_of_time(self, half: int) -> float:
        b = 2 * np.pi * (np.arange(366) - 80) / 365.0
        minutes = 9.87 * np.sin(2 * b) - 7.53 * np.cos(b) - 1.5 * np.sin(b)
        return float(self._weights(half) @ minutes) / 60.0

    def _sunrise(self, lat: NDArray[np.float64], half: NDArray[np.integer]) -> NDArray[np.float64]:
        declination = np.radians(solar_declination(np.arange(366)))
        cosine = -np.tan(np.radians(lat))[:, None] * np.tan(declination)
        length = 2 * np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))) / 15.0
        weights = np.stack([self._weights(int(each)) for each in half])
        return np.asarray(12.0 - (length * weights).sum(axis=1) / 2)


def solar_declination(day: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the sun's declination in degrees on a day of the year (0 is 1 January), to half a degree."""
    return -23.44 * np.cos(2 * np.pi * (np.asarray(day) + 10.5) / 365.25)


def _halves(declination: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where it is the warm half of the year in the north, in the south, and everywhere."""
    warm = declination > WARM_DECLINATION, -declination > WARM_DECLINATION
    return *warm, np.ones(len(declination), dtype=bool)


def hours_off(measured: float, expected: float) -> float:
    """Return by how many hours `measured` is later than `expected` on the 24 h circle, -12..12."""
    return (measured - expected + 12.0) % 24.0 - 12.0


def judge_clock(days: MeanDays, lat: NDArray[np.float64], lon: NDArray[np.float64], report: QualityReport) -> None:
    """Refuse a record whose ozone surely keeps another clock than the sun; note or warn of what is less sure.

    Parameters
    ----------
    days : MeanDays
        The whole record.
    lat, lon : ndarray
        Degrees, (station,).
    report : QualityReport
        Where it is noted what was checked.

    Raises
    ------
    ObservationsError
        If the clock cannot be UTC, with the offset that the sun suggests and the setting to change.
    """
    warm = days.rhythm("o3", lat, lon, warm=True)
    if warm is None or warm.days < MIN_DAYS:
        weak = days.rhythm("o3", lat, lon, warm=False)
        if weak is None:
            _judge_no2(days, lat, lon, report)
        else:
            _judge_weakly(weak, "few of the days are of the warm half of the year", report)
        return
    off_peak = hours_off(warm.peak, OZONE_PEAK)
    off_low = off_peak + hours_off(hours_off(warm.low, warm.sunrise + OZONE_LOW), off_peak)
    reason = _doubt(warm, off_peak - off_low)
    if reason is not None:
        _judge_weakly(warm, reason, report)
        return
    off = (off_peak + off_low) / 2
    seen = f"ozone peaks at {warm.peak:.1f} h local solar time at {warm.stations} stations over {warm.days:.0f} days"
    seen += f" and is least {hours_off(warm.low, warm.sunrise):+.1f} h from sunrise"
    if abs(off) >= REFUSED:
        raise ObservationsError(
            f"{report.source}: {seen}, {abs(off):.0f} h from the afternoon where it belongs: the clock does not look "
            f"like UTC; set columns.time_zone (the sun suggests about UTC{off:+.0f}), or columns.check_clock=false if "
            "the times are right"
        )
    if abs(off) > WARNED and min(off_peak * np.sign(off), off_low * np.sign(off)) > BOTH_SHARE * WARNED:
        report.warnings.append(
            f"{seen}, both about {max(abs(off), 1):.0f} h {'later' if off > 0 else 'earlier'} than in UTC: if the "
            "clock is another one, set columns.time_zone; the stamps may also stand at the other end of the hour "
            "(columns.stamp)"
        )
        return
    report.notes.append(f"clock: {seen}, as UTC would have it")


def _doubt(rhythm: Rhythm, disagreement: float) -> str | None:
    """Return why a rhythm does not tell the clock, None if it does."""
    if rhythm.stations < MIN_STATIONS:
        return f"{rhythm.stations} stations are few"
    if rhythm.amplitude < CLEAR_AMPLITUDE:
        return "the daily course is flat"
    if rhythm.spread > MAX_SPREAD:
        return "the stations differ"
    return "minimum and peak say different things" if abs(disagreement) > AGREEMENT else None


def _judge_weakly(rhythm: Rhythm, reason: str, report: QualityReport) -> None:
    """Warn of a peak far from the afternoon, without an offset; note one that is near."""
    seen = f"ozone peaks at {rhythm.peak:.1f} h local solar time"
    if abs(hours_off(rhythm.peak, OZONE_PEAK)) > WEAKLY_WARNED:
        report.warnings.append(
            f"{seen}, not in the afternoon; that alone tells no wrong clock ({reason}; in winter and beside roads "
            "it is so in UTC too): make sure that columns.time_zone is right"
        )
    else:
        report.notes.append(f"clock: {seen}, which says nothing against UTC ({reason})")


def _judge_no2(days: MeanDays, lat: NDArray[np.float64], lon: NDArray[np.float64], report: QualityReport) -> None:
    """Warn where NO2 is least far from the early afternoon at many stations; note what is had of it."""
    rhythm = days.rhythm("no2", lat, lon, warm=False)
    if rhythm is None or rhythm.days < MIN_DAYS or rhythm.stations < MIN_STATIONS:
        report.notes.append(
            f"clock: not checked (needs {FEWEST_DAYS} days of o3, or {MIN_DAYS} days of no2 at {MIN_STATIONS} stations)"
        )
    elif abs(hours_off(rhythm.low, NO2_LOW)) > WEAKLY_WARNED:
        report.warnings.append(
            f"no2 is least at {rhythm.low:.1f} h local solar time, where most networks see it in the early afternoon: "
            "make sure that columns.time_zone is right"
        )
    else:
        report.notes.append(f"clock: no2 is least at {rhythm.low:.1f} h local solar time, as UTC would have it")
