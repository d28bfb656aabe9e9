"""The frequencies of a cube: which periods a timeline holds, and which file each frequency goes to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from aqreanalysis.errors import ConfigError, OutputError, nearest_hint

HOURLY = "hourly"


@dataclass(frozen=True)
class Frequency:
    """One frequency of a cube.

    Attributes
    ----------
    name, period : str
        ``daily`` and ``day``, for people.
    resolution : str
        ISO 8601, for ``time_coverage_resolution``.
    chunk : int
        Periods in a chunk of the store: few enough for a map, enough for a time series.
    unit : str
        NumPy's name of the period.
    """

    name: str
    period: str
    resolution: str
    chunk: int
    unit: str


FREQUENCIES = {
    f.name: f
    for f in (
        Frequency(HOURLY, "hour", "PT1H", 24, "h"),
        Frequency("daily", "day", "P1D", 24, "D"),
        Frequency("monthly", "month", "P1M", 12, "M"),
        Frequency("annual", "year", "P1Y", 4, "Y"),
    )
}


def check_frequencies(names: Iterable[str]) -> tuple[str, ...]:
    """Return the frequencies, the shortest first, each once.

    Raises
    ------
    ConfigError
        If there is none, or one is unknown.
    """
    given = set(names)
    for name in given:
        if name not in FREQUENCIES:
            raise ConfigError(
                f"no frequency {name!r}: there are {', '.join(FREQUENCIES)}{nearest_hint(name, FREQUENCIES)}"
            )
    if not given:
        raise ConfigError(f"no frequency is asked for; give one or several of {', '.join(FREQUENCIES)}")
    return tuple(name for name in FREQUENCIES if name in given)


def period_edges(name: str, hours: tuple[int, int], utc_offset_hours: int = 0) -> tuple[int, ...]:
    """Return the edges of the periods of a timeline, hours since 1970-01-01 00:00 UTC; one more than periods.

    Parameters
    ----------
    name : str
        Frequency.
    hours : tuple of int
        First stamp (end of the averaging hour) and number of hours.
    utc_offset_hours : int
        Days, months and years begin at midnight of the clock that is so far ahead of UTC.

    Raises
    ------
    OutputError
        If start or end cuts a period: the mean over a part of it is another quantity, and would change with the
        timeline.
    """
    frequency = FREQUENCIES[name]
    begin, end = hours[0] - 1, hours[0] - 1 + hours[1]
    first = np.datetime64(begin + utc_offset_hours, "h").astype(f"M8[{frequency.unit}]")
    last = np.datetime64(end + utc_offset_hours - 1, "h").astype(f"M8[{frequency.unit}]") + 1
    local = np.arange(first, last + 1).astype("M8[h]").astype(np.int64)
    edges = tuple(int(edge) - utc_offset_hours for edge in local)
    for word, moment, cut in (("start", begin, edges[:2]), ("end", end, edges[-2:])):
        if moment not in cut:
            raise OutputError(
                f"{word} {_text(moment)} cuts a {frequency.period} in two, and a {name} mean is of a whole one "
                f"(UTC{utc_offset_hours:+d}): give --{word} {_text(cut[0])} or {_text(cut[1])}, or leave {name} out"
            )
    return edges


def _text(hour: int) -> str:
    return str(np.datetime64(hour, "h").astype("M8[m]"))
