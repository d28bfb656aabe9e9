"""`RawRecords` -> hourly grids: short averages made hours, repeated rows resolved, instruments of a site merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import USABLE, Flag
from aqreanalysis.observations.raw_records import RawRecords, Repeats
from aqreanalysis.observations.report import QualityReport


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


def at_clock_changes(minutes: NDArray[np.integer]) -> bool:
    """Return whether all times (minutes since 1970) lie in the small hours of Sundays, one hour a year in autumn.

    So do the hours that a wall clock shows twice: of March to May in the south, September to November in the north.
    """
    times = pd.Series(np.unique(minutes).astype("M8[m]").astype("M8[s]"))
    small = (times.dt.dayofweek == 6) & (times.dt.hour <= 4) & times.dt.month.isin([3, 4, 5, 9, 10, 11])
    nights = times.dt.floor("h").drop_duplicates()
    return bool(small.all()) and not nights.dt.year.duplicated().any()


class Merger:
    """Makes hourly grids of raw records, a block of hours after another, and counts over all of them what it merged.

    Parameters
    ----------
    keys : sequence of str
        Pollutants of the whole record, in the order of `SPECIES`.
    ids : sequence of str
        Stations, (station,).
    rules : MergeRules
        What is done with rows of one station-hour.
    report : QualityReport
        Where `count` writes.
    hourly : bool
        Whether all records are hourly means of one instrument a site without flags, which need no sorting.
    """

    def __init__(
        self, keys: Sequence[str], ids: Sequence[str], rules: MergeRules, report: QualityReport, hourly: bool
    ) -> None:
        self._keys, self._ids, self._rules, self._report, self._hourly = keys, ids, rules, report, hourly
        self._counts: dict[str, dict[str, int]] = {}
        self._repeated = 0
        # Which instrument is a station's first only the whole record tells.
        self._first_instrument: dict[str, NDArray[np.int64]] = {}
        self._hours_of_instrument: dict[str, list[pd.Series]] = {}

    def merge(self, batches: Sequence[RawRecords], first_hour: int, hours: int) -> Hourly:
        """Return the readings of `batches`, whose station codes are indices into the ids, on one grid.

        Parameters
        ----------
        batches : sequence of RawRecords
            In the order of issue: where rows differ and the rule is ``"last"``, the later wins.
        first_hour, hours : int
            First stamp in hours since 1970, and how many; all rows lie in them.

        Raises
        ------
        ObservationsError
            Two rows of one station-hour hold different readings and the rule is ``"refuse"``, naming the first.
        """
        if self._hourly and batches:
            return self._merge_simple(batches, first_hour, hours)
        hourly = Hourly(first_hour, {})
        shape = hours, len(self._ids)
        for key in self._keys:
            hourly.values[key] = np.full(shape, np.nan, dtype=np.float32)
            rows = _rows_of(batches, key)
            if rows is None:
                continue
            rows = self._resolve_repeats(rows, key)
            rows = self._make_hours(rows, key)
            rows = self._one_instrument(rows, key)
            at = rows.hour - first_hour, rows.station
            hourly.values[key][at] = rows.value
            if rows.flag.any():
                hourly.flags[key] = np.zeros(shape, dtype=np.int8)
                hourly.flags[key][at] = rows.flag
        return hourly

    def count(self, wide: bool) -> None:
        """Write into the report what was merged; in a `wide` table a row holds several pollutants and is one row."""
        if self._hourly:
            self._report.count("repeated_rows", self._repeated)
            self._report.count("rows_reissued", max(self._counts.get("rows_reissued", {}).values(), default=0))
            return
        for key, parts in self._hours_of_instrument.items():
            hours = pd.concat(parts).reset_index()
            second = hours["instrument"].to_numpy() > self._first_instrument[key][hours["station"].to_numpy()]
            self._add("gaps_filled_by_second", key, int(hours.loc[second, "count"].sum()))
        for case, numbers in self._counts.items():
            self._report.count(case, max(numbers.values()) if wide else sum(numbers.values()))

    def _add(self, case: str, key: str, n: int) -> None:
        numbers = self._counts.setdefault(case, {})
        numbers[key] = numbers.get(key, 0) + n

    def _merge_simple(self, batches: Sequence[RawRecords], first_hour: int, hours: int) -> Hourly:
        """Merge hourly rows of one instrument a site, which needs no sorting but where rows repeat a station-hour."""
        width = len(self._ids)
        hour = np.concatenate([records.hours - np.int32(first_hour) for records in batches]).astype(np.int64)
        station = np.concatenate([records.station for records in batches])
        # Rows of a file go station by station or hour by hour: written in their own order they cost a third.
        by_station = bool(np.count_nonzero(station[1:] == station[:-1]) > len(station) // 2)
        cell = station * np.int64(hours) + hour if by_station else hour * width + station
        hourly = Hourly(first_hour, {})
        for key in self._keys:
            grid = np.full(hours * width, np.nan, dtype=np.float32)
            begin = 0
            for records in batches:
                end = begin + len(records.end)
                if key in records.values:
                    grid[cell[begin:end]] = records.values[key]
                begin = end
            shaped = grid.reshape(width, hours).T if by_station else grid.reshape(hours, width)
            hourly.values[key] = np.ascontiguousarray(shaped)
        for keys, members in _by_pollutants(batches):
            repeated = _repeated(cell[members], hours * width)
            if repeated is not None:
                chosen = np.zeros(len(cell), dtype=bool)
                chosen[members] = repeated
                self._merge_repeated(batches, hourly, chosen, keys)
        return hourly

    def _merge_repeated(
        self, batches: Sequence[RawRecords], hourly: Hourly, repeated: NDArray[np.bool_], keys: Sequence[str]
    ) -> None:
        """Resolve the rows of some pollutants that repeat a station-hour, in the grids of `hourly`."""
        begin, chosen, cells = 0, [], []
        for records in batches:
            end = begin + len(records.end)
            part = records.where(repeated[begin:end])
            chosen.append(part)
            cells.append((part.hours - hourly.first_hour).astype(np.int64) * len(self._ids) + part.station)
            begin = end
        distinct = pd.unique(np.concatenate(cells))
        self._repeated += int(repeated.sum()) - len(distinct)
        for key in keys:
            grid = hourly.values[key]
            grid.ravel()[distinct] = np.nan
            rows = _rows_of(chosen, key)
            if rows is not None:
                rows = self._resolve_repeats(rows, key)
                grid[rows.hour - hourly.first_hour, rows.station] = rows.value

    def _resolve_repeats(self, rows: _Measurements, key: str) -> _Measurements:
        """Return one row an instrument and period; equal ones are one, of different ones the rule says which counts."""
        # Stable: the order of issue stays within.
        rows = rows.take(np.lexsort((rows.end, rows.instrument, rows.station)))
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
        if differ.any() and self._rules.repeats == "refuse":
            at = begin[differ][np.argmin(rows.end[begin[differ]])]
            group = int(np.searchsorted(begin, at, side="right")) - 1
            stamp = pd.Timestamp(int(rows.end[at]) * 60, unit="s")
            if at_clock_changes(rows.end[begin[differ]]):
                raise ObservationsError(
                    f"{self._report.source}: station {self._ids[int(rows.station[at])]!r} has {key} {low[group]:g} and "
                    f"{high[group]:g} at {stamp} ({int(differ.sum())} such station-hours, all in the hour that a clock "
                    "change in autumn repeats): the stamps are a wall clock's; set columns.time_zone to it, such as "
                    "Europe/Madrid"
                )
            raise ObservationsError(
                f"{self._report.source}: station {self._ids[int(rows.station[at])]!r} has {key} {low[group]:g} and "
                f"{high[group]:g} at {stamp} UTC ({int(differ.sum())} such station-hours): keep one row for a station "
                "and hour, or say which counts with columns.repeats (last, first, mean)"
            )
        size = np.diff(np.append(begin, len(rows.value)))
        self._add("repeated_rows", key, int((size - 1)[~differ].sum()))
        self._add("rows_reissued", key, int((size - 1)[differ].sum()))
        last = begin + size - 1
        chosen = rows.take(begin if self._rules.repeats == "first" else last)
        if self._rules.repeats == "mean":
            chosen.value = (np.add.reduceat(rows.value.astype(np.float64), begin) / size).astype(np.float32)
        return chosen

    def _make_hours(self, rows: _Measurements, key: str) -> _Measurements:
        """Return hourly rows: shorter averages become hours, flagged where they cover too little of one."""
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
        flag[covered < 60 * self._rules.completeness - 1e-9] = Flag.TOO_LITTLE_DATA
        flag[none_fine] = Flag.INVALID_AT_SOURCE
        out = rows.take(begin)
        out.end, out.minutes = hour[begin] * 60, np.full(len(begin), 60, np.int16)
        out.value, out.flag = mean.astype(np.float32), flag
        self._add("hours_averaged", key, int((rows.minutes[begin] < 60).sum()))
        return out

    def _one_instrument(self, rows: _Measurements, key: str) -> _Measurements:
        """Return one row a station and hour: the first instrument's, or the next one's where that has none usable."""
        chosen = rows
        if (rows.instrument != rows.instrument[:1]).any():
            unusable = ~np.isin(rows.flag, list(USABLE))
            rows = rows.take(np.lexsort((rows.instrument, unusable, rows.end, rows.station)))
            begin = np.append(True, (np.diff(rows.station) != 0) | (np.diff(rows.end) != 0))
            chosen = rows.take(np.flatnonzero(begin))
            self._add("instruments_beside", key, int((~begin).sum()))
        first = self._first_instrument.setdefault(key, np.full(len(self._ids), np.iinfo(np.int64).max))
        np.minimum.at(first, rows.station, rows.instrument)
        if chosen.instrument.any():
            pairs = pd.DataFrame({"station": chosen.station, "instrument": chosen.instrument})
            self._hours_of_instrument.setdefault(key, []).append(pairs.value_counts())
        return chosen


@dataclass
class _Measurements:
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

    def take(self, index: NDArray[np.integer]) -> _Measurements:
        """Return the rows at `index`."""
        return _Measurements(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def _rows_of(batches: Sequence[RawRecords], key: str) -> _Measurements | None:
    """Return the readings of a pollutant that are there; None if no records come with it."""
    parts: dict[str, list[NDArray]] = {name: [] for name in _Measurements.__dataclass_fields__}
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
    return _Measurements(**{name: np.concatenate(arrays) for name, arrays in parts.items()}) if parts["end"] else None


def _by_pollutants(batches: Sequence[RawRecords]) -> list[tuple[list[str], slice | NDArray[np.bool_]]]:
    """Return which rows may repeat each other: all where a row holds every pollutant, else those of one pollutant."""
    keys = list(dict.fromkeys(key for records in batches for key in records.values))
    if all(len(records.values) == len(keys) for records in batches):
        return [(keys, slice(None))]
    sizes = [len(records.end) for records in batches]
    return [([key], np.repeat([key in records.values for records in batches], sizes)) for key in keys]


def _repeated(cell: NDArray[np.int64], size: int) -> NDArray[np.bool_] | None:
    """Return which rows share their cell with another, None if no row does."""
    seen = np.zeros(size, dtype=bool)
    seen[cell] = True
    if int(np.count_nonzero(seen)) == len(cell):
        return None
    return np.asarray(np.bincount(cell, minlength=size)[cell] > 1)
