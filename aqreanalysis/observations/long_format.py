"""Long tables -> `RawRecords`: a row is a measurement (station, time, pollutant, unit), as networks publish them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.observations.file_flags import combined_flags
from aqreanalysis.observations.parse_numbers import Readings
from aqreanalysis.observations.places import exact_degrees
from aqreanalysis.observations.raw_records import RawRecords, as_float32, drop_incomplete
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.units import factor_of

# Codes into distinct texts, -1 where empty: what `parse_numbers.to_texts` returns.
Texts = tuple[NDArray[np.integer], list[str]]


@dataclass
class LongTable:
    """Columns of a table with one row a measurement, each (row,).

    Attributes
    ----------
    station, pollutant, unit : tuple
        Ids, names and units as codes into texts.
    end : ndarray
        int32, minutes since 1970-01-01 UTC at the end of the averaging period, `NO_TIME` where unreadable.
    minutes : int or ndarray
        The averaging period, of each row int16 (row,) where it differs.
    readings : Readings
        In their units, NaN where missing, and what their writing says (``<3``, ``18x``).
    lat, lon : ndarray or None
        Degrees.
    labels : mapping
        What else is known of the stations, of `places.LABELS` -> codes into texts.
    instrument : ndarray or None
        int64, rank of the instrument at its site.
    flag : ndarray or None
        int8, what the network says of the reading.
    """

    station: Texts
    pollutant: Texts
    unit: Texts
    end: NDArray[np.int32]
    minutes: int | NDArray[np.int16]
    readings: Readings
    lat: NDArray[np.floating] | None = None
    lon: NDArray[np.floating] | None = None
    labels: Mapping[str, Texts] = field(default_factory=dict)
    instrument: NDArray[np.int64] | None = None
    flag: NDArray[np.int8] | None = None

    def flags(self) -> NDArray[np.int8] | None:
        """Return the worse of what is said of each reading by its writing and by the network; None where nothing is."""
        if self.readings.flags is None and self.flag is None:
            return None
        return combined_flags(self.readings.flags, self.flag)


def records_from_long(
    rows: LongTable, pollutants: Mapping[str, str], context: ReadContext, where: Where
) -> Iterator[RawRecords]:
    """Yield records for each pollutant and unit in `rows`; rows of other pollutants are counted.

    Parameters
    ----------
    rows : LongTable
        The table.
    pollutants : mapping of str to str
        What the network calls a pollutant -> its key.
    context : ReadContext
        The file, with settings and report.
    where : Where
        Where the first row stands.

    Raises
    ------
    ObservationsError
        A unit is unknown, naming the first row with it.
    """
    context.report.rows += len(rows.end)
    at_places, flags = _places(rows), rows.flags()
    codes, names = rows.pollutant
    keys = [pollutants.get(name) for name in names]
    other = np.isin(codes, [i for i, key in enumerate(keys) if key is None] + [-1])
    context.report.count("rows_of_other_pollutants", int(other.sum()))
    steps: list[int | None] = [None] if isinstance(rows.minutes, int) else [int(m) for m in np.unique(rows.minutes)]
    for code, key in enumerate(keys):
        if key is None:
            continue
        for unit_code, unit in [*enumerate(rows.unit[1]), (-1, "")]:
            of_unit = (codes == code) & (rows.unit[0] == unit_code)
            if not of_unit.any():
                continue
            at = where.at(int(np.argmax(of_unit)))
            factor = factor_of(key, unit, context.columns, context.report, at)
            for step in steps:
                mask = of_unit if step is None else of_unit & (rows.minutes == step)
                if mask.any():
                    records = _records(rows, mask, (key, factor, step, flags), at_places, where)
                    yield drop_incomplete(records, context.report)


def _records(
    rows: LongTable,
    mask: NDArray[np.bool_],
    what: tuple[str, float, int | None, NDArray[np.int8] | None],
    at: tuple[pd.DataFrame, NDArray[np.int32]],
    where: Where,
) -> RawRecords:
    """Return the rows of one pollutant, unit and averaging period (None: that of all), at their places."""
    (key, factor, step, flags), (places, station) = what, at
    return RawRecords(
        where.source,
        places,
        station[mask],
        rows.end[mask],
        rows.minutes if isinstance(rows.minutes, int) else int(step or 0),
        {key: as_float32(rows.readings.values[mask], factor)},
        {} if flags is None or not flags[mask].any() else {key: flags[mask]},
        None if rows.instrument is None else rows.instrument[mask],
    )


@dataclass
class PollutantColumns:
    """Readings of a table's pollutants.

    Attributes
    ----------
    values : dict of str to ndarray
        Pollutant key -> float32 (row,), in the units of `SPECIES`.
    flags : dict of str to ndarray
        Pollutant key -> int8 (row,), where something is said of its readings.
    """

    values: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    flags: dict[str, NDArray[np.int8]] = field(default_factory=dict)

    def add(self, key: str, readings: Readings, factor: float) -> None:
        """Add a pollutant's column of readings, times a factor."""
        self.values[key] = as_float32(readings.values, factor)
        if readings.flags is not None:
            self.flags[key] = readings.flags


@dataclass
class ColumnTable:
    """Columns of a table with one row a station and hour and a column a pollutant; see `LongTable` for the others."""

    station: Texts
    end: NDArray[np.int32]
    minutes: int | NDArray[np.int16]
    measured: PollutantColumns
    lat: NDArray[np.floating] | None = None
    lon: NDArray[np.floating] | None = None
    labels: Mapping[str, Texts] = field(default_factory=dict)


def one_text(text: str, rows: int) -> Texts:
    """Return a column that holds one text in every row."""
    return np.zeros(rows, np.int32), [text]


def records_from_columns(rows: ColumnTable, context: ReadContext, where: Where) -> Iterator[RawRecords]:
    """Yield the rows of a table as records, one for each averaging period in it."""
    context.report.rows += len(rows.end)
    places, station = _places(rows)
    steps = [rows.minutes] if isinstance(rows.minutes, int) else [int(step) for step in np.unique(rows.minutes)]
    for step in steps:
        records = RawRecords(where.source, places, station, rows.end, step, rows.measured.values, rows.measured.flags)
        if not isinstance(rows.minutes, int):
            records = records.where(rows.minutes == step)
        yield drop_incomplete(records, context.report)


def in_own_units(key: str, readings: Readings, unit: Texts, context: ReadContext, where: Where) -> NDArray[np.float32]:
    """Return a column of readings, of which each row states its unit, in the units of `SPECIES`, float32 (row,)."""
    codes, names = unit
    out = np.full(len(readings.values), np.nan, np.float32)
    there = np.isfinite(readings.values)
    for code, name in [*enumerate(names), (-1, "")]:
        rows = there & (codes == code)
        if rows.any():
            factor = factor_of(key, name, context.columns, context.report, where.at(int(np.argmax(rows))))
            out[rows] = as_float32(readings.values[rows], factor)
    return out


def rows_of_known(
    rows: pa.Table, pollutant: Texts, pollutants: Mapping[str, str], context: ReadContext
) -> tuple[pa.Table, Texts]:
    """Return the rows whose pollutant is a key of `pollutants`, so that no text in others is taken for a reading.

    Rows of others are counted; `pollutant` is the column that names it, as `to_texts` reads it, and is returned of the
    rows that stay.
    """
    codes, names = pollutant
    known = np.array([name in pollutants for name in names] + [False])[codes]
    if known.all():
        return rows, pollutant
    others = int(np.count_nonzero(~known))
    context.report.rows += others
    context.report.count("rows_of_other_pollutants", others)
    return rows.filter(pa.array(known)), (codes[known], names)


def series_of(*codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return one number for each combination of codes (-1 among them), of which each makes a series of stamps."""
    number = np.zeros(len(codes[0]), dtype=np.int64)
    for part in codes:
        number = number * (int(part.max(initial=0)) + 2) + part + 1
    return number


def _places(rows: LongTable | ColumnTable) -> tuple[pd.DataFrame, NDArray[np.int32]]:
    """Return the places of the rows, and which of them each row stands at."""
    frame = pd.DataFrame({"station": np.asarray(rows.station[0])})
    for role in ("lat", "lon"):
        given = getattr(rows, role)
        frame[role] = np.nan if given is None else exact_degrees(given)
    for role, texts in rows.labels.items():
        frame[role] = np.asarray(texts[0])
    # Groups of all columns, missing ones among them; their order does not matter. A file of one station has one.
    varying = [name for name in frame.columns if not _is_constant(frame[name].to_numpy())]
    code = np.zeros(len(frame), np.int64)
    if varying:
        code = np.asarray(frame.groupby(varying, sort=False, dropna=False).ngroup(), np.int64)
    places = frame.iloc[np.unique(code, return_index=True)[1]].reset_index(drop=True)
    nameless = places["station"] < 0
    places["station"] = np.array([*rows.station[1], None], dtype=object)[places["station"]]
    for role, texts in rows.labels.items():
        places[role] = np.array([*texts[1], None], dtype=object)[places[role]]
    return places, np.where(nameless.to_numpy()[code], -1, code).astype(np.int32)


def _is_constant(values: NDArray[np.generic]) -> bool:
    """Return whether a column holds one value in every row, which may be a missing one."""
    return bool((values == values[:1]).all() or pd.isna(values).all())
