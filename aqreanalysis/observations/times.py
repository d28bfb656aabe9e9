"""The clock: stamps as people write them -> minutes since 1970-01-01 in UTC, at the end of the averaging period."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from enum import IntEnum
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.observations.report import QualityReport, Where

# Spreadsheets store 10:00 as 09:59:59.997: stamps this near to a full hour are that hour.
ROUNDING_SECONDS = 30
# Stray bad rows are counted and left out; more than this share of a file says that the file is read the wrong way.
STRAY_SHARE = 0.01
# Minutes since 1970 of a row without a readable stamp.
NO_TIME = np.iinfo(np.int32).min
# Outside these years a stamp is a typing error, and one of them would stretch the timeline over centuries.
FIRST_YEAR, LAST_YEAR = 1950, 2100
# Averages shorter than an hour that are recognised by their stamps, in minutes.
SHORT_STEPS = (30, 20, 15, 12, 10, 6, 5)

_OFFSET = re.compile(r"^(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?$")
_AWARE = re.compile(r"(?:Z|[+-]\d{2}:?\d{2}|[+-]\d{2})$", re.IGNORECASE)


def read_zone(text: str) -> tzinfo:
    """Return the clock called `text`: ``UTC``, an IANA name, or a fixed offset such as ``+08:00``.

    Raises
    ------
    ObservationsError
        If there is no such clock; the nearest IANA name is given.
    """
    name = text.strip()
    if name.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    match = _OFFSET.match(name)
    if match:
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if offset <= timedelta(hours=14):
            return timezone(-offset if sign == "-" else offset)
    elif name in available_timezones():
        return ZoneInfo(name)
    hint = nearest_hint(name, available_timezones())
    raise ObservationsError(
        f"columns.time_zone {text!r} is no clock: write UTC, an offset such as +08:00, or an IANA name{hint}"
    )


@dataclass(frozen=True)
class Clock:
    """How a column of stamps is to be read.

    Attributes
    ----------
    zone : str
        Clock of stamps without an offset of their own, see `read_zone`.
    stamp : str
        Which end of the averaging period is stamped.
    pattern : str or None
        How the stamps are written (`strptime`); None for ISO 8601.
    column : str
        Name of the column, for messages.
    """

    zone: str = "UTC"
    stamp: Literal["end", "start"] = "end"
    pattern: str | None = None
    column: str = "time"

    @classmethod
    def of(cls, columns: ColumnsConfig, default: Clock | None = None) -> Clock:
        """Return the clock that `columns` tells, and of `default` (UTC, end of the hour) what it leaves open."""
        base = default or cls(column=columns.time)
        return cls(columns.time_zone or base.zone, columns.stamp or base.stamp, base.pattern, base.column)


class _Reason(IntEnum):
    """Why a stamp has no time."""

    NONE = 0
    EMPTY = 1
    UNREADABLE = 2
    YEAR = 3
    OFF_HOUR = 4
    CLOCK_CHANGE = 5


@dataclass(frozen=True)
class _Stamps:
    """Distinct stamps of a column: as written, as naive UTC times (NaT where unreadable), and why one has no time."""

    written: pd.Index
    utc: pd.DatetimeIndex
    reason: NDArray[np.int8]


def stamps_to_minutes(
    column: pa.ChunkedArray | pa.Array, clock: Clock, report: QualityReport, where: Where
) -> tuple[NDArray[np.int32], int]:
    """Return, for each row, minutes since 1970-01-01 UTC of the END of its averaging period, and that period.

    Returns
    -------
    end : ndarray
        int32 (row,); `NO_TIME` where a row has no readable stamp, or one that is off the period's full steps. Both are
        counted in `report`.
    minutes : int
        60, or the step of shorter averages (of `SHORT_STEPS`) where the stamps stand at every step of the hour.

    Raises
    ------
    ObservationsError
        If more than one row in a hundred has no readable stamp or stands off the full hour, naming the first such
        stamp; if the column holds no times at all.
    """
    # A year of a network has millions of rows and thousands of distinct stamps: work on the distinct ones.
    codes, values = encoded(column)
    stamps = _distinct_stamps(values, clock)
    ends, step = _period_ends(stamps, clock)
    # One more at the end, so that code -1, a missing stamp, finds it.
    per_row = np.append(ends, np.int32(NO_TIME))[codes]
    if (stamps.reason != _Reason.NONE).any() or len(codes) == 0 or codes.min() < 0:
        _count_lost(stamps, np.append(stamps.reason, np.int8(_Reason.EMPTY))[codes], clock, report, where)
    return per_row, step


def encoded(column: pa.ChunkedArray | pa.Array) -> tuple[NDArray[np.integer], pa.Array]:
    """Return a column as codes (-1 where missing) into its distinct values, and these."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # an empty one stays chunked
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.indices.fill_null(-1).to_numpy(zero_copy_only=False), array.dictionary


def _distinct_stamps(values: pa.Array, clock: Clock) -> _Stamps:
    written = pd.Index(values.to_pandas())
    if pa.types.is_timestamp(values.type):
        parsed = pd.DatetimeIndex(written)
        aware = np.full(len(parsed), parsed.tz is not None)
        utc = parsed.tz_convert("UTC").tz_localize(None) if parsed.tz is not None else parsed
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        text = pd.Series(written, dtype="str").str.strip()
        aware = text.str.contains(_AWARE).to_numpy(dtype=bool) & (text.str.len() > len("2019-01-01")).to_numpy(
            dtype=bool
        )
        if clock.pattern is not None:
            aware[:] = False
        utc = _parse_text(text, aware, clock.pattern)
    else:
        raise ObservationsError(
            f"column {clock.column!r} holds {values.type}, no times: write ISO 8601 such as 2019-01-31 13:00"
        )
    reason = np.where(utc.isna(), _Reason.UNREADABLE, _Reason.NONE).astype(np.int8)
    zone = read_zone(clock.zone)
    if zone is not UTC and not aware.all():
        local = utc[~aware].tz_localize(zone, ambiguous="NaT", nonexistent="NaT").tz_convert("UTC").tz_localize(None)
        folded = np.zeros(len(utc), dtype=bool)
        folded[~aware] = np.asarray(local.isna()) & ~np.asarray(utc[~aware].isna())
        reason[folded] = _Reason.CLOCK_CHANGE
        # Milliseconds, not nanoseconds: those end in 2262, and a typing error of the year 2910 must reach its message.
        stamps = utc.to_numpy(dtype="M8[ms]").copy()
        stamps[~aware] = local.to_numpy(dtype="M8[ms]")
        utc = pd.DatetimeIndex(stamps)
    return _Stamps(written, utc, reason)


def _parse_text(text: pd.Series, aware: NDArray[np.bool_], pattern: str | None) -> pd.DatetimeIndex:
    out = np.full(len(text), np.datetime64("NaT"), dtype="M8[us]")
    # pandas knows these words, and a stamp that depends on the clock of the reader is none.
    text = text.mask(text.str.lower().isin(["now", "today"]))
    for mask, utc in ((aware, True), (~aware, False)):
        if mask.any():
            parsed = pd.DatetimeIndex(pd.to_datetime(text[mask], format=pattern or "ISO8601", errors="coerce", utc=utc))
            out[mask] = (parsed.tz_localize(None) if utc else parsed).to_numpy(dtype="M8[us]")
    return pd.DatetimeIndex(out)


def _period_ends(stamps: _Stamps, clock: Clock) -> tuple[NDArray[np.int32], int]:
    """Return the end of each distinct stamp's period and the period; write into ``stamps.reason`` why one has none."""
    years = stamps.utc.year.to_numpy()
    readable = stamps.reason == _Reason.NONE
    stamps.reason[readable & ((years < FIRST_YEAR) | (years > LAST_YEAR))] = _Reason.YEAR
    readable = stamps.reason == _Reason.NONE
    seconds = np.where(readable, stamps.utc.to_numpy(dtype="M8[ms]").astype(np.int64), 0) / 1000.0
    step = find_step(np.round(seconds[readable] / 60.0).astype(np.int64))
    steps = np.round(seconds / (60.0 * step)).astype(np.int64)
    stamps.reason[readable & (np.abs(seconds - steps * 60.0 * step) > ROUNDING_SECONDS)] = _Reason.OFF_HOUR
    ends = (steps + (clock.stamp == "start")) * step
    return np.where(stamps.reason == _Reason.NONE, ends, NO_TIME).astype(np.int32), step


def find_step(minutes: NDArray[np.int64]) -> int:
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


def _count_lost(stamps: _Stamps, reasons: NDArray[np.int8], clock: Clock, report: QualityReport, where: Where) -> None:
    rows = max(len(reasons), 1)
    per_reason = np.bincount(reasons, minlength=len(_Reason))
    written = "an ISO 8601 time: write 2019-01-31 13:00 or 2019-01-31T13:00:00Z"
    if clock.pattern is not None:
        written = f"written as {clock.pattern}"
    rules = {
        _Reason.UNREADABLE: f"is not {written}",
        _Reason.YEAR: f"lies outside the years {FIRST_YEAR} to {LAST_YEAR}: correct the column or columns.time",
        _Reason.OFF_HOUR: (
            f"is not on a full hour of UTC (clock {clock.zone}): average to full hours of UTC before reading"
        ),
    }
    for reason, rule in rules.items():
        lost = int(per_reason[reason])
        if lost > STRAY_SHARE * rows:
            first = stamps.written[int(np.argmax(stamps.reason == reason))]
            at = where.at(int(np.argmax(reasons == reason)))
            raise ObservationsError(f"{at}: {lost} of {rows} stamps: {str(first)!r:.60} {rule}")
        report.count("rows_off_hour" if reason is _Reason.OFF_HOUR else "rows_without_time", lost)
    report.count("rows_in_clock_change", int(per_reason[_Reason.CLOCK_CHANGE]))
    report.count("rows_without_time", int(per_reason[_Reason.EMPTY]))
