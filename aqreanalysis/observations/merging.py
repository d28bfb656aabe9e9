"""`RawRecords` -> hourly grids: short averages made hours, repeated rows resolved, instruments of a site merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import USABLE, Flag
from aqreanalysis.observations.raw_records import RawRecords, Repeats
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.times import STRAY_SHARE, times_from_hours
from aqreanalysis.species import in_order

# A timeline this much longer than the hours that have rows comes from one wrong year, and would fill the memory.
LONGEST_EMPTY_HOURS = 10 * 366 * 24


@dataclass(frozen=True)
class MergeRules:
    """How rows of one station-hour become one reading: see `ColumnsConfig.repeats` and `ColumnsConfig.completeness`."""

    repeats: Repeats = "refuse"
    completeness: float = 0.75


@dataclass
class Hourly:
    """Hourly readings on a grid.

    Attributes
    ----------
    first_hour : int
        Stamp of the first row, hours since 1970-01-01 UTC.
    values : dict of str to ndarray
        Pollutant key -> float32 (time, station), NaN where missing.
    flags : dict of str to ndarray
        Pollutant key -> int8 (time, station), what the source says of it; absent where it says nothing.
    """

    first_hour: int
    values: dict[str, NDArray[np.float32]]
    flags: dict[str, NDArray[np.int8]] = field(default_factory=dict)


def timeline(batches: Sequence[RawRecords], report: QualityReport) -> tuple[int, int]:
    """Return the first stamp (hours since 1970) and the number of hours that the rows of `batches` span.

    Raises
    ------
    ObservationsError
        No two stamps are an hour apart, or next to none of a long timeline's hours has a row.
    """
    distinct = np.unique(np.concatenate([pd.unique(hours_of(records)) for records in batches]))
    check_timeline(distinct, report)
    first, length = int(distinct[0]), int(distinct[-1] - distinct[0]) + 1
    report.count("hours_without_rows", length - len(distinct))
    return first, length


def check_timeline(distinct: NDArray[np.integer], report: QualityReport) -> None:
    """Refuse hours that are not hourly, or that one wrong year stretches: see `timeline`."""
    steps = np.diff(distinct)
    if len(steps) >= 2 and steps.min() > 1:
        raise ObservationsError(
            f"{report.source}: the stamps are {int(np.median(steps))} h apart, never one: hourly means are needed"
        )
    length = int(distinct[-1] - distinct[0]) + 1
    if length > LONGEST_EMPTY_HOURS and len(distinct) < STRAY_SHARE * length:
        span = times_from_hours([int(distinct[0]), int(distinct[-1])])
        raise ObservationsError(
            f"{report.source}: the stamps run from {span[0]} to {span[1]}, and only {len(distinct)} of these {length} "
            "hours have rows: correct the stamp with the wrong year"
        )


def hours_of(records: RawRecords) -> NDArray[np.int32]:
    """Return the hour that each row belongs to, hours since 1970-01-01 UTC at its end."""
    return -(-records.end // np.int32(60))


def merge(
    batches: Sequence[RawRecords], ids: Sequence[str], span: tuple[int, int], rules: MergeRules, report: QualityReport
) -> Hourly:
    """Return the readings of `batches`, whose station codes are indices into `ids`, on one grid.

    Parameters
    ----------
    batches : sequence of RawRecords
        In the order of issue: where rows differ and ``rules.repeats`` is ``"last"``, the later wins.
    ids : sequence of str
        Stations, (station,).
    span : tuple of int
        First stamp in hours since 1970, number of hours; all rows lie in it.
    rules : Rules
        What is done with rows of one station-hour.
    report : QualityReport
        Where what was merged is counted.

    Raises
    ------
    ObservationsError
        Two rows of one station-hour hold different readings and ``rules.repeats`` is ``"refuse"``, naming the first.
    """
    keys = in_order({key for records in batches for key in records.values})
    if all(records.minutes == 60 and records.instrument is None and not records.flags for records in batches):
        return _merge_simple(batches, keys, ids, span, rules, report)
    counts: dict[str, list[int]] = {}
    hourly = Hourly(span[0], {})
    for key in keys:
        rows = _rows_of(batches, key)
        rows = _resolve_repeats(rows, key, ids, rules, report, counts)
        rows = _make_hours(rows, rules, counts)
        rows = _one_instrument(rows, counts)
        cell = (rows.hour - span[0]) * len(ids) + rows.station
        grid = np.full(span[1] * len(ids), np.nan, dtype=np.float32)
        grid[cell] = rows.value
        hourly.values[key] = grid.reshape(span[1], len(ids))
        if rows.flag.any():
            flags = np.zeros(span[1] * len(ids), dtype=np.int8)
            flags[cell] = rows.flag
            hourly.flags[key] = flags.reshape(span[1], len(ids))
    # A row of a wide table holds several pollutants and is one row all the same.
    wide = all(len(records.values) == len(keys) for records in batches)
    for case, numbers in counts.items():
        report.count(case, max(numbers) if wide else sum(numbers))
    return hourly


def _merge_simple(
    batches: Sequence[RawRecords],
    keys: Sequence[str],
    ids: Sequence[str],
    span: tuple[int, int],
    rules: MergeRules,
    report: QualityReport,
) -> Hourly:
    """Merge hourly rows of one instrument a site, which needs no sorting but where rows repeat a station-hour."""
    first, length = span
    width = len(ids)
    hour = np.concatenate([hours_of(records) - np.int32(first) for records in batches]).astype(np.int64)
    station = np.concatenate([records.station for records in batches])
    # Rows of a file go station by station or hour by hour: written in their own order they cost a third.
    by_station = bool(np.count_nonzero(station[1:] == station[:-1]) > len(station) // 2)
    cell = station * np.int64(length) + hour if by_station else hour * width + station
    repeated = _repeated(cell, length * width)
    hourly = Hourly(first, {})
    for key in keys:
        grid = np.full(length * width, np.nan, dtype=np.float32)
        begin = 0
        for records in batches:
            end = begin + len(records.end)
            if key in records.values:
                grid[cell[begin:end]] = records.values[key]
            begin = end
        shaped = grid.reshape(width, length).T if by_station else grid.reshape(length, width)
        hourly.values[key] = np.ascontiguousarray(shaped)
    if repeated is not None:
        _merge_repeated(batches, hourly, repeated, ids, rules, report)
    return hourly


def _repeated(cell: NDArray[np.int64], size: int) -> NDArray[np.bool_] | None:
    """Return which rows share their cell with another, None if no row does."""
    seen = np.zeros(size, dtype=bool)
    seen[cell] = True
    if int(np.count_nonzero(seen)) == len(cell):
        return None
    return np.asarray(np.bincount(cell, minlength=size)[cell] > 1)


def _merge_repeated(
    batches: Sequence[RawRecords],
    hourly: Hourly,
    repeated: NDArray[np.bool_],
    ids: Sequence[str],
    rules: MergeRules,
    report: QualityReport,
) -> None:
    """Resolve the rows that repeat a station-hour, in the grids of `hourly`."""
    begin, chosen, cells = 0, [], []
    for records in batches:
        end = begin + len(records.end)
        part = records.where(repeated[begin:end])
        chosen.append(part)
        cells.append((hours_of(part) - hourly.first_hour).astype(np.int64) * len(ids) + part.station)
        begin = end
    distinct = pd.unique(np.concatenate(cells))
    report.count("repeated_rows", int(repeated.sum()) - len(distinct))
    counts: dict[str, list[int]] = {}
    for key, grid in hourly.values.items():
        rows = _resolve_repeats(_rows_of(chosen, key), key, ids, rules, report, counts)
        grid.ravel()[distinct] = np.nan
        grid[rows.hour - hourly.first_hour, rows.station] = rows.value
    report.count("rows_reissued", max(counts.get("rows_reissued", [0])))


@dataclass
class _Rows:
    """Readings of one pollutant that are there, in the order of issue; arrays (row,)."""

    station: NDArray[np.int64]
    end: NDArray[np.int64]
    minutes: NDArray[np.int16]
    instrument: NDArray[np.int64]
    value: NDArray[np.float32]
    flag: NDArray[np.int8]

    @property
    def hour(self) -> NDArray[np.int64]:
        """Hour at whose end the row counts, hours since 1970."""
        return -(-self.end // 60)

    def take(self, index: NDArray[np.integer]) -> _Rows:
        """Return the rows at `index`."""
        return _Rows(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def _rows_of(batches: Sequence[RawRecords], key: str) -> _Rows:
    parts: dict[str, list[NDArray]] = {name: [] for name in _Rows.__dataclass_fields__}
    for records in batches:
        if key not in records.values:
            continue
        there = ~np.isnan(records.values[key])
        n = int(there.sum())
        parts["station"].append(records.station[there].astype(np.int64))
        parts["end"].append(records.end[there].astype(np.int64))
        parts["minutes"].append(np.full(n, records.minutes, np.int16))
        rank = np.zeros(n, np.int64) if records.instrument is None else records.instrument[there]
        parts["instrument"].append(rank)
        parts["value"].append(records.values[key][there])
        parts["flag"].append(records.flags[key][there] if key in records.flags else np.zeros(n, np.int8))
    return _Rows(**{name: np.concatenate(arrays) for name, arrays in parts.items()})


def _resolve_repeats(
    rows: _Rows, key: str, ids: Sequence[str], rules: MergeRules, report: QualityReport, counts: dict[str, list[int]]
) -> _Rows:
    """Return one row an instrument and period; equal ones are one, of different ones the rule says which counts."""
    rows = rows.take(np.lexsort((rows.end, rows.instrument, rows.station)))  # stable: the order of issue stays within
    same = (
        (rows.station[1:] == rows.station[:-1])
        & (rows.instrument[1:] == rows.instrument[:-1])
        & (rows.end[1:] == rows.end[:-1])
    )
    if not same.any():
        return rows
    begin = np.flatnonzero(np.append(True, ~same))
    low, high = np.minimum.reduceat(rows.value, begin), np.maximum.reduceat(rows.value, begin)
    differ = high > low
    if differ.any() and rules.repeats == "refuse":
        at = begin[differ][np.argmin(rows.end[begin[differ]])]
        group = int(np.searchsorted(begin, at, side="right")) - 1
        raise ObservationsError(
            f"{report.source}: station {ids[int(rows.station[at])]!r} has {key} {low[group]:g} and {high[group]:g} at "
            f"{pd.Timestamp(int(rows.end[at]) * 60, unit='s')} UTC ({int(differ.sum())} such station-hours): keep one "
            "row for a station and hour, or say which counts with columns.repeats (last, first, mean)"
        )
    size = np.diff(np.append(begin, len(rows.value)))
    counts.setdefault("repeated_rows", []).append(int((size - 1)[~differ].sum()))
    counts.setdefault("rows_reissued", []).append(int((size - 1)[differ].sum()))
    last = begin + size - 1
    chosen = rows.take(begin if rules.repeats == "first" else last)
    if rules.repeats == "mean":
        chosen.value = (np.add.reduceat(rows.value.astype(np.float64), begin) / size).astype(np.float32)
    return chosen


def _make_hours(rows: _Rows, rules: MergeRules, counts: dict[str, list[int]]) -> _Rows:
    """Return hourly rows: averages of less than an hour become hours, flagged where they cover too little of one."""
    if not (rows.minutes < 60).any():
        return rows
    hour = rows.hour
    # Sorted by station, instrument and end already, so that the rows of an hour stand together.
    new = (np.diff(rows.station) != 0) | (np.diff(rows.instrument) != 0) | (np.diff(hour) != 0)
    begin = np.flatnonzero(np.append(True, new))
    fine = rows.flag != Flag.INVALID_AT_SOURCE
    covered = np.add.reduceat(np.where(fine, rows.minutes, 0).astype(np.float64), begin)
    everything = np.add.reduceat(rows.minutes.astype(np.float64), begin)
    none_fine = covered == 0
    group = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(hour))))
    # Where the network calls every part invalid the mean of these is kept, with the network's flag.
    weight = np.where(fine | none_fine[group], rows.minutes, 0).astype(np.float64)
    mean = np.add.reduceat(weight * rows.value, begin) / np.where(none_fine, everything, covered)
    below = np.add.reduceat(((rows.flag == Flag.BELOW_DETECTION_LIMIT) * weight), begin) >= covered
    flag = np.where(below, np.int8(Flag.BELOW_DETECTION_LIMIT), np.int8(Flag.GOOD))
    flag[covered < 60 * rules.completeness - 1e-9] = Flag.TOO_LITTLE_DATA
    flag[none_fine] = Flag.INVALID_AT_SOURCE
    out = rows.take(begin)
    out.end, out.minutes = hour[begin] * 60, np.full(len(begin), 60, np.int16)
    out.value, out.flag = mean.astype(np.float32), flag
    counts.setdefault("hours_averaged", []).append(int((rows.minutes[begin] < 60).sum()))
    return out


def _one_instrument(rows: _Rows, counts: dict[str, list[int]]) -> _Rows:
    """Return one row a station and hour: the first instrument's, or the next one's where that has nothing usable."""
    if not (rows.instrument != rows.instrument[:1]).any():
        return rows
    unusable = ~np.isin(rows.flag, list(USABLE))
    rows = rows.take(np.lexsort((rows.instrument, unusable, rows.end, rows.station)))
    begin = np.append(True, (np.diff(rows.station) != 0) | (np.diff(rows.end) != 0))
    chosen = rows.take(np.flatnonzero(begin))
    main = np.full(int(rows.station.max()) + 1, np.iinfo(np.int64).max, np.int64)
    np.minimum.at(main, rows.station, rows.instrument)
    counts.setdefault("instruments_beside", []).append(int((~begin).sum()))
    counts.setdefault("gaps_filled_by_second", []).append(int((chosen.instrument > main[chosen.station]).sum()))
    return chosen


def assign_stations(records: RawRecords, index: NDArray[np.int32]) -> RawRecords:
    """Return `records` with its codes put through `index`; rows whose code comes out as -1 are left out."""
    station = index[records.station].astype(np.int32)
    return replace(records, station=station).where(station >= 0)


def is_all_missing(values: Mapping[str, NDArray[np.float32]]) -> bool:
    """Return whether not one reading is there."""
    return not any(np.isfinite(grid).any() for grid in values.values())
