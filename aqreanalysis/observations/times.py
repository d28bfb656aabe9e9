"""The clock: stamps as people write them -> minutes since 1970-01-01 in UTC, at the end of the averaging period."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from enum import IntEnum
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.observations.averaging_periods import NO_TIME, STRAY_SHARE, nearest_hours, periods_of
from aqreanalysis.observations.report import QualityReport, Where

# Outside these years a stamp is a typing error, and one of them would stretch the timeline over centuries.
FIRST_YEAR, LAST_YEAR = 1950, 2100

# Ways to write a stamp that have names: dates of which the day or the month comes first, and seconds since 1970.
NAMED_PATTERNS = ("day-first", "month-first", "epoch", "epoch-ms")
_EPOCH_SECONDS = {"epoch": 1.0, "epoch-ms": 0.001}

_OFFSET = re.compile(r"^(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?$")
# An hour 24, with minutes, or alone where the pattern ends in the hour.
_HOUR_24, _HOUR_24_ALONE = re.compile(r"([T ])24(:00(?::00)?)$"), re.compile(r"([T ]|^\d{8})24()$")
# Names of columns in local time: "datetimeLocal", "Date (LT)".
_UTC = re.compile(r"utc|gmt", re.IGNORECASE)
_LOCAL = re.compile(r"local|[^a-z](?:lt|lst)[^a-z]*$", re.IGNORECASE)
# Stamps that are read one way only, beside ISO 8601: what they look like, and how pandas is told.
_PLAIN_WAYS = (
    (re.compile(r"^\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d\d$"), "%d.%m.%Y %H:%M"),
    (re.compile(r"^\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d\d:\d\d$"), "%d.%m.%Y %H:%M:%S"),
    (re.compile(r"^\d{1,2}\.\d{1,2}\.\d{4}$"), "%d.%m.%Y"),
    (re.compile(r"^\d{8} \d\d?:\d\d$"), "%Y%m%d %H:%M"),
    (re.compile(r"^\d{4}-\d\d?-\d\d? \d\d?:\d\d [AP]M$", re.IGNORECASE), "%Y-%m-%d %I:%M %p"),
    (re.compile(r"^\d{4}-\d\d?-\d\d? \d\d?:\d\d:\d\d [AP]M$", re.IGNORECASE), "%Y-%m-%d %I:%M:%S %p"),
)
# Others, of which one is named where it reads every stamp.
_OTHER_WAYS = (
    *("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y"),
    *("%d/%m/%Y %H", "%m/%d/%Y %H", "%d/%m/%Y %I:%M %p", "%m/%d/%Y %I:%M %p", "%d/%m/%Y %I:%M:%S %p"),
    *("%m/%d/%Y %I:%M:%S %p", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%d/%m/%Y %H.%M.%S", "%d/%m/%y %H:%M"),
    *("%m/%d/%y %H:%M", "%d-%b-%Y %H:%M", "%d-%b-%y %H:%M", "%Y%m%d%H", "%Y%m%d%H%M", "%d.%m.%y %H:%M", "epoch"),
)
# Parts of a pattern that are digits alone, and how many.
_WIDTHS = {"Y": 4, **dict.fromkeys("mdHMS", 2)}
# A date with the number of an hour behind it, whatever order it has.
_DATE_HOUR = re.compile(r"^(\d{1,4}[./-]\d{1,2}[./-]\d{1,4}) (\d{1,2})(?:\.0)?$")
# A date or an hour of one digit, and parts that are joined by blanks: year, month, day, hour; and what is not so.
_SHORT = re.compile(r"^(\d{4})[-/ ](\d{1,2})[-/ ](\d{1,2})(?:[ T](\d{1,2})(?:\.0)?(:\d\d.*)?)?$")
_FULL = re.compile(r"^\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d.*)?$")
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
        How the stamps are written: a pattern of `strptime`, a key of `NAMED_PATTERNS`; None for ISO 8601.
    column : str
        Name of the column, for messages.
    doubt : str or None
        What is done where nothing says which clock it is: ``note`` that UTC is assumed, and where the column says that
        it is a local one ``warn`` if the user named the column, ``refuse`` if it was found by its name.
    """

    zone: str = "UTC"
    stamp: Literal["end", "start"] = "end"
    pattern: str | None = None
    column: str = "time"
    doubt: Literal["note", "warn", "refuse"] | None = None

    @classmethod
    def of(cls, columns: ColumnsConfig, default: Clock | None = None) -> Clock:
        """Return the clock that `columns` tells, and of `default` (UTC, end of the hour) what it leaves open."""
        base = default or cls(column=", ".join(columns.time_columns))
        pattern = columns.time_format or base.pattern
        local = columns.time_zone is None and base.zone == "UTC" and any(map(_LOCAL.search, base.column.split(", ")))
        named = columns.time != type(columns).model_fields["time"].default
        doubt = base.doubt if columns.time_zone is None and not _UTC.search(base.column) else None
        if local:
            doubt = "warn" if named else "refuse"
        return cls(columns.time_zone or base.zone, columns.stamp or base.stamp, pattern, base.column, doubt)


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
    column: pa.ChunkedArray | pa.Array,
    clock: Clock,
    report: QualityReport,
    where: Where,
    series: NDArray[np.integer] | None = None,
) -> tuple[NDArray[np.int32], int | NDArray[np.int16]]:
    """Return, for each row, minutes since 1970-01-01 UTC of the END of its averaging period, and that period.

    Parameters
    ----------
    column : ChunkedArray or Array
        The stamps.
    clock : Clock
        How they are to be read.
    report : QualityReport
        Where rows without a time are counted.
    where : Where
        Where the first row stands.
    series : ndarray, optional
        Integer (row,): rows of one number are one station's, and of one pollutant where a row is a measurement. Each
        series has a step of its own; None: all rows are one.

    Returns
    -------
    end : ndarray
        int32 (row,); `NO_TIME` where a row has no readable stamp, or one that is off the period's full steps. Both are
        counted in `report`.
    minutes : int or ndarray
        60, or the step of shorter averages; int16 (row,) where it is not the same for all rows.

    Raises
    ------
    ObservationsError
        If more than one row in a hundred has no readable stamp or stands off the full hour, naming the first such
        stamp; if the column holds no times at all.
    """
    # A year of a network has millions of rows and thousands of distinct stamps: work on the distinct ones.
    codes, values = encoded(column)
    stamps = _distinct_stamps(values, clock, report, where)
    distinct = _instants(stamps)
    # One more at the end, so that code -1, a missing stamp, finds it.
    instant = np.append(distinct, np.int32(NO_TIME))[codes]
    reasons = np.append(stamps.reason, np.int8(_Reason.EMPTY))
    timed = distinct[stamps.reason == _Reason.NONE]
    if not (timed % 60).any():
        end = np.where(instant == NO_TIME, NO_TIME, instant + 60 * (clock.stamp == "start")).astype(np.int32)
        if (reasons[:-1] != _Reason.NONE).any() or len(codes) == 0 or codes.min() < 0:
            _count_lost(stamps, codes, reasons[codes], clock, report, where)
        return end, 60
    periods = periods_of(instant, series, clock.stamp == "start")
    per_row = reasons[codes]
    per_row[(per_row == _Reason.NONE) & (periods.end == NO_TIME)] = _Reason.OFF_HOUR
    _count_lost(stamps, codes, per_row, clock, report, where)
    report.count("hours_off_utc", periods.moved)
    step = int(periods.minutes[0]) if len(periods.minutes) else 60
    return periods.end, step if (periods.minutes == step).all() else periods.minutes


def stamps_to_instants(
    column: pa.ChunkedArray | pa.Array, clock: Clock, report: QualityReport, where: Where
) -> NDArray[np.int32]:
    """Return the minute (since 1970-01-01 UTC) of each stamp, int32 (row,), as it is, `NO_TIME` where it has none.

    For stamps whose averaging period is known otherwise; see `stamps_to_minutes` for the arguments and the errors.
    """
    codes, values = encoded(column)
    stamps = _distinct_stamps(values, clock, report, where)
    distinct = _instants(stamps)
    reasons = np.append(stamps.reason, np.int8(_Reason.EMPTY))
    _count_lost(stamps, codes, reasons[codes], clock, report, where)
    return np.append(distinct, np.int32(NO_TIME))[codes].astype(np.int32)


def ends_of_hours(
    dates: pa.ChunkedArray | pa.Array,
    hours: NDArray[np.floating],
    clock: Clock,
    report: QualityReport,
    where: Where,
) -> NDArray[np.int32]:
    """Return the minute (since 1970-01-01 UTC) at which hours end that are counted from 1 to 24, int32 (row,).

    Parameters
    ----------
    dates : ChunkedArray or Array
        The days.
    hours : ndarray
        Float (row,), NaN where missing.
    clock : Clock
        The clock of the days, and how they are written.
    report, where
        As of `stamps_to_minutes`, whose errors are raised.
    """
    day = stamps_to_instants(dates, Clock(day_zone(clock.zone), "end", clock.pattern, clock.column), report, where)
    there = (day != NO_TIME) & np.isfinite(hours) & (hours >= 0) & (hours <= 24)
    report.count("rows_without_time", int(np.count_nonzero((day != NO_TIME) & ~there)))
    ends = day.astype(np.int64) + 60 * np.where(there, hours, 0).astype(np.int64) + 60 * (clock.stamp == "start")
    return shown_to_utc(np.where(there, ends, NO_TIME).astype(np.int32), clock.zone, report)


def day_zone(zone: str) -> str:
    """Return the clock in which days are read whose hours follow: where it changes none, for `shown_to_utc`."""
    return "UTC" if isinstance(read_zone(zone), ZoneInfo) else zone


def shown_to_utc(minutes: NDArray[np.int32], zone: str, report: QualityReport) -> NDArray[np.int32]:
    """Return the minutes in UTC at which hours end that were counted from a midnight of `day_zone`, int32.

    A clock that changes shows an hour of a day later or earlier than so many hours after its midnight. What it never
    shows, or twice, is `NO_TIME`, and counted; the hours of a zone with half an hour of offset go to the nearest ones.
    """
    clock = read_zone(zone)
    if not isinstance(clock, ZoneInfo):
        return minutes
    shown, index = np.unique(minutes, return_inverse=True)
    local = pd.DatetimeIndex(np.where(shown == NO_TIME, np.datetime64("NaT"), shown.astype("M8[m]")).astype("M8[s]"))
    utc = local.tz_localize(clock, ambiguous="NaT", nonexistent="NaT").tz_convert("UTC").tz_localize(None)
    lost = np.asarray(utc.isna())
    ends = np.where(lost, NO_TIME, utc.to_numpy(dtype="M8[s]").astype(np.int64) // 60).astype(np.int32)[index]
    report.count("rows_in_clock_change", int(np.count_nonzero((ends == NO_TIME) & (minutes != NO_TIME))))
    full = nearest_hours(ends)
    report.count("hours_off_utc", int(np.count_nonzero(full != ends)))
    return full


def stamped_rows(rows: pa.Table, names: Sequence[str], report: QualityReport) -> pa.Table:
    """Return the rows whose stamp may be one: those without a digit in it are a table's footer (Minimum, Average ...).

    Where no row has a stamp all are returned: it is the wrong column, which is told.
    """
    texts = [rows[name] for name in names]
    if not all(pa.types.is_string(text.type) or pa.types.is_large_string(text.type) for text in texts):
        return rows
    keep = pc.fill_null(pc.match_substring_regex(texts[0], r"\d"), False)
    stamped = pc.sum(keep).as_py() or 0
    if not 0 < stamped < rows.num_rows:
        return rows
    report.count("rows_without_time", rows.num_rows - stamped)
    return rows.filter(keep)


def joined_stamps(rows: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Return the column of stamps, or the texts of several joined by a blank."""
    if len(names) == 1:
        return rows[names[0]]
    parts = [pc.cast(rows[name].combine_chunks(), pa.string()) for name in names]
    if len(parts) == 2 and pc.any(pc.match_substring_regex(parts[1], r"^\d{4}-\d\d-\d\d")).as_py():
        return rows[names[1]]  # a column `time` beside `date` may hold the whole stamp
    day = [pc.replace_substring_regex(part, r"[ T]0?0:00(:00(\.0+)?)?$", "") for part in parts[:1]]
    parts = [*day, *parts[1:]]  # spreadsheets write a date as its midnight
    return pa.chunked_array([pc.binary_join_element_wise(*parts, " ")])


def encoded(column: pa.ChunkedArray | pa.Array) -> tuple[NDArray[np.integer], pa.Array]:
    """Return a column as codes (-1 where missing) into its distinct values, and these."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # an empty one stays chunked
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.indices.fill_null(-1).to_numpy(zero_copy_only=False), array.dictionary


def _distinct_stamps(values: pa.Array, clock: Clock, report: QualityReport, where: Where) -> _Stamps:
    written = pd.Index(values.to_pandas())
    if pa.types.is_timestamp(values.type):
        parsed = pd.DatetimeIndex(written)
        aware = np.full(len(parsed), parsed.tz is not None)
        utc = parsed.tz_convert("UTC").tz_localize(None) if parsed.tz is not None else parsed
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        text = pd.Series(written, dtype="str").str.strip()
        aware = _looks(text, _AWARE) & (text.str.len() > len("2019-01-01")).to_numpy(dtype=bool)
        if clock.pattern is not None and clock.pattern not in NAMED_PATTERNS:
            aware[:] = "%z" in clock.pattern
        aware[:] |= clock.pattern in _EPOCH_SECONDS
        utc = _parse_text(text, aware, clock.pattern)
    elif clock.pattern in _EPOCH_SECONDS and (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        aware = np.ones(len(values), dtype=bool)
        utc = _from_epoch(pd.Series(written), clock.pattern)
    elif clock.pattern is not None and pa.types.is_integer(values.type):  # 2019013113 as a number
        return _distinct_stamps(pc.cast(values, pa.string()), clock, report, where)
    else:
        raise ObservationsError(
            f"column {clock.column!r} holds {values.type}, no times: write ISO 8601 such as 2019-01-31 13:00"
        )
    if clock.doubt and not aware.all():
        what = f"column {clock.column!r} holds local times"
        way = "say of which clock with columns.time_zone, such as Asia/Kolkata or +08:00"
        if clock.doubt == "refuse":
            raise ObservationsError(f"{where.source}: {what}: {way}")
        if clock.doubt == "warn":
            report.warn(f"{what}, taken as UTC: {way}")
        else:
            report.note("times state no clock, taken to be UTC (columns.time_zone)")
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


def _from_epoch(numbers: pd.Series, pattern: str) -> pd.DatetimeIndex:
    """Return the times of seconds or milliseconds since 1970, NaT beyond the years of records."""
    seconds = pd.to_numeric(numbers, errors="coerce").to_numpy(dtype=np.float64) * _EPOCH_SECONDS[pattern]
    good = np.abs(seconds) < (LAST_YEAR + 1 - 1970) * 366 * 86400.0
    times = np.where(good, seconds * 1000.0, 0).astype("M8[ms]")
    return pd.DatetimeIndex(np.where(good, times, np.datetime64("NaT")))


def _parse_text(text: pd.Series, aware: NDArray[np.bool_], pattern: str | None) -> pd.DatetimeIndex:
    out = np.full(len(text), np.datetime64("NaT"), dtype="M8[us]")
    if pattern in _EPOCH_SECONDS:
        return _from_epoch(text, pattern)
    # pandas knows these words, and a stamp that depends on the clock of the reader is none.
    text = text.mask(text.str.lower().isin(["now", "today"]))
    if pattern is None:
        text = _rewritten(text, _looks(text, _SHORT) & ~_looks(text, _FULL), _SHORT, _padded)
    elif pattern in NAMED_PATTERNS:
        text = _rewritten(text, _looks(text, _DATE_HOUR), _DATE_HOUR, r"\1 \2:00")
    # Hours are counted from 1 to 24 in many networks: 24:00 is the next day's 00:00.
    hour_24 = _HOUR_24_ALONE if pattern is not None and pattern.endswith("%H") else _HOUR_24
    midnight = _looks(text, hour_24)
    text = _rewritten(text, midnight, hour_24, r"\g<1>00\g<2>")
    how: dict[str, Any] = {"format": pattern or "ISO8601"}
    if pattern in NAMED_PATTERNS:
        how = {"format": "mixed", "dayfirst": pattern == "day-first"}
    if pattern is not None and pattern not in NAMED_PATTERNS:
        out = _in_iso_order(text, pattern)
    for own, utc in ((aware, True), (~aware, False)):
        mask = own & np.isnat(out)
        if mask.any():
            parsed = pd.DatetimeIndex(pd.to_datetime(text[mask], errors="coerce", utc=utc, **how))
            out[mask] = (parsed.tz_localize(None) if utc else parsed).to_numpy(dtype="M8[us]")
    if pattern is None and np.isnat(out).any():
        for looks, way in _PLAIN_WAYS:
            mask = np.isnat(out) & _looks(text, looks)
            if mask.any():
                out[mask] = pd.to_datetime(text[mask], errors="coerce", format=way).to_numpy(dtype="M8[us]")
    return pd.DatetimeIndex(np.where(midnight, out + np.timedelta64(1, "D"), out))


def _in_iso_order(text: pd.Series, pattern: str) -> NDArray[np.datetime64]:
    """Return the times of texts of two-digit parts, written in another order than ISO 8601, NaT of all others.

    pandas reads ISO 8601 twenty times as fast as by a pattern, and a folder has the stamps of a year in each file.
    """
    out = np.full(len(text), np.datetime64("NaT"), dtype="M8[us]")
    parts = re.findall(r"%(.)", pattern)
    if not {"Y", "m", "d"} <= set(parts) <= _WIDTHS.keys() or len(set(parts)) < len(parts):
        return out
    looks, place, at = "", {}, 0
    for piece in re.findall(r"%.|[^%]", pattern):
        width = _WIDTHS[piece[1]] if piece[0] == "%" else 1
        place[piece[-1]] = slice(at, at + width)
        looks += rf"\d{{{width}}}" if piece[0] == "%" else re.escape(piece)
        at += width
    strict = _looks(text, re.compile(f"^{looks}$"))
    texts = pa.array(text[strict], pa.string())
    held = [pc.utf8_slice_codeunits(texts, place[p].start, place[p].stop) if p in parts else "00" for p in "YmdHMS"]
    day, hour = pc.binary_join_element_wise(*held[:3], "-"), pc.binary_join_element_wise(*held[3:], ":")
    iso = day if isinstance(hour, pa.Scalar) else pc.binary_join_element_wise(day, hour, " ")
    out[strict] = pd.to_datetime(iso.to_pandas(), errors="coerce", format="ISO8601").to_numpy(dtype="M8[us]")
    return out


def _looks(text: pd.Series, pattern: re.Pattern[str]) -> NDArray[np.bool_]:
    """Return which texts hold a pattern, none of the missing ones; Arrow asks all of them at once."""
    held = pc.match_substring_regex(
        pa.array(text, pa.string()), pattern.pattern, ignore_case=bool(pattern.flags & re.IGNORECASE)
    )
    return pc.fill_null(held, False).to_numpy(zero_copy_only=False)


def _rewritten(
    text: pd.Series, which: NDArray[np.bool_], pattern: re.Pattern[str], by: str | Callable[[re.Match[str]], str]
) -> pd.Series:
    """Return texts, those of `which` with a pattern replaced; it costs a call each, so they should be few."""
    if not which.any():
        return text
    out = text.copy()
    out[which] = [pattern.sub(by, each) for each in text[which]]
    return out


def _padded(match: re.Match[str]) -> str:
    year, month, day, hour, rest = match.groups()
    clock = "" if hour is None else f" {int(hour):02d}{rest or ':00'}"
    return f"{year}-{int(month):02d}-{int(day):02d}{clock}"


def _ways_to_read(stamps: Sequence[str]) -> str:
    """Return the settings that read all of some stamps, for a message; examples where none does."""
    text = pd.Series(list(stamps), dtype="str").str.replace(re.compile(r"\b24([:.]00)"), r"00\1", regex=True)
    ways = [way for way in _OTHER_WAYS if not _parse_text(text, np.zeros(len(text), bool), way).isna().any()]
    quoted = [way if way == "epoch" else f"'{way}'" for way in ways[:2]]
    return " or ".join(quoted) if quoted else "'%d/%m/%Y %H:%M', day-first, epoch ..."


def _instants(stamps: _Stamps) -> NDArray[np.int32]:
    """Return the full minute of each distinct stamp; write into ``stamps.reason`` why one has none."""
    years = stamps.utc.year.to_numpy()
    readable = stamps.reason == _Reason.NONE
    stamps.reason[readable & ((years < FIRST_YEAR) | (years > LAST_YEAR))] = _Reason.YEAR
    readable = stamps.reason == _Reason.NONE
    seconds = np.where(readable, stamps.utc.to_numpy(dtype="M8[ms]").astype(np.int64), 0) / 1000.0
    return np.where(readable, np.round(seconds / 60.0), NO_TIME).astype(np.int32)


def _count_lost(
    stamps: _Stamps,
    codes: NDArray[np.integer],
    reasons: NDArray[np.int8],
    clock: Clock,
    report: QualityReport,
    where: Where,
) -> None:
    rows = max(len(reasons), 1)
    per_reason = np.bincount(reasons, minlength=len(_Reason))
    written = "an ISO 8601 time (2019-01-31 13:00)"
    if per_reason[_Reason.UNREADABLE] > STRAY_SHARE * rows:
        unread = np.unique(codes[reasons == _Reason.UNREADABLE])
        written += f": set columns.time_format={_ways_to_read([str(stamps.written[i]) for i in unread])}"
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
            at = int(np.argmax(reasons == reason))
            first = stamps.written[int(codes[at])]
            raise ObservationsError(f"{where.at(at)}: {lost} of {rows} stamps: {str(first)!r:.60} {rule}")
        report.count("rows_off_hour" if reason is _Reason.OFF_HOUR else "rows_without_time", lost)
    report.count("rows_in_clock_change", int(per_reason[_Reason.CLOCK_CHANGE]))
    report.count("rows_without_time", int(per_reason[_Reason.EMPTY]))
