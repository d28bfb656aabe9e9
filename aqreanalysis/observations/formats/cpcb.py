"""India's Central Pollution Control Board: what its portals send, CSV and XLSX, and the two collections made of it.

Layouts as https://app.cpcbccr.com/ccr (tabular reports and the data repository) delivers them and as public readers of
them show. A report has lines on top (Station, AvgPeriod, From ...), then ``From Date, To Date, PM2.5 ...``, ``None``
where a reading is missing; of several stations one block follows another, each under a line with the station's name.
The repository's files (``Raw_data_1Hr_2023_site_5024_...csv``) begin with ``Timestamp, PM2.5 (µg/m³), ..., AT (°C)``
and stamp the start of the period. All clocks are India's (+05:30); ug/m3, CO in mg/m3. A file is of one station, named
by its lines on top or by its own name; ``station_hour.csv`` of the collection of 2015 to 2020 names it in StationId and
stamps the end.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import plain, pollutant_and_unit, pollutant_of
from aqreanalysis.observations.columns import find_columns
from aqreanalysis.observations.files import read_lines
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import ColumnTable, PollutantColumns, one_text, records_from_columns
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, FileStation, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import TextTable, numbered, read_blocks
from aqreanalysis.observations.tables import records_of_rows
from aqreanalysis.observations.times import Clock, encoded, stamps_to_minutes
from aqreanalysis.observations.units import factor_of, read_unit

ZONE = "+05:30"
_COLLECTION = ("StationId", "Datetime", "AQI_Bucket")
_WEATHER = re.compile(r"^(?:AT|RH|WS|WD|RF|TOT-RF|SR|BP|VWS|Temp)\b", re.IGNORECASE)
_SITE = re.compile(r"site_?(\d+)", re.IGNORECASE)
# How stamps are written, by what they look like.
_PATTERNS = (
    (re.compile(r"^\d{4}-\d\d-\d\d"), None),
    (re.compile(r"^\d\d-\d\d-\d{4} \d\d:\d\d:\d\d$"), "%d-%m-%Y %H:%M:%S"),
    (re.compile(r"^\d\d-\d\d-\d{4}"), "%d-%m-%Y %H:%M"),
    (re.compile(r"^\d\d/\d\d/\d{4}"), "%d/%m/%Y %H:%M"),
    (re.compile(r"^\d\d-[A-Za-z]{3}-\d{4} - "), "%d-%b-%Y - %H:%M"),
    (re.compile(r"^\d\d-[A-Za-z]{3}-\d{4}"), "%d-%b-%Y %H:%M"),
)
_STAMP = re.compile(r"^\d{2,4}[-/]")


def _is_report(names: Sequence[str]) -> bool:
    return [plain(name) for name in names[:2]] == ["fromdate", "todate"]


def _is_repository(names: Sequence[str]) -> bool:
    if not names or plain(names[0]) != "timestamp":
        return False
    return any(_pollutant(name)[0] for name in names) and any(_WEATHER.match(name) for name in names)


def matches(head: FileHead) -> str | None:
    """Return why a file is of India's network."""
    header = head.find_header(_is_report)
    if header is not None and any(_pollutant(name)[0] for name in header[1]):
        return f"its line {header[0] + 1} begins with From Date, To Date"
    if set(_COLLECTION) <= set(head.names):
        return f"it has the columns {', '.join(_COLLECTION)}"
    return "it has Timestamp, pollutants and weather as India's repository" if _is_repository(head.names) else None


@station_format(
    name="cpcb",
    title="India's CPCB: reports and repository (CSV, XLSX)",
    document="https://app.cpcbccr.com/ccr",
    matches=matches,
    temperature_celsius=25.0,
)
def read_cpcb(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file, a block at a time."""
    table = context.table()
    if set(_COLLECTION) <= set(table.names):
        yield from _collection(table, context)
    elif _is_repository(table.names):
        yield from _repository(table, context)
    else:
        yield from _report(context, table.encoding)


def _collection(table: TextTable, context: ReadContext) -> Iterator[RawRecords]:
    own = {"station": "StationId", "time": "Datetime", "time_zone": context.columns.time_zone or ZONE}
    columns = context.columns.model_copy(update=own | {"city": None})
    roles = find_columns(table.names, columns, context.source.name, places_given=bool(context.stations))
    for block in read_blocks(table, roles.needed(), context.report):
        context.report.rows += block.rows.num_rows
        yield from records_of_rows(block.rows, roles, columns, context.report, block.where)


def _repository(table: TextTable, context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of a file of the data repository: one station, stamps at the start."""
    site, stem = _SITE.search(context.source.filename), context.source.stem
    station = context.one_station([site.group(0), site.group(1), stem] if site else [stem])
    keys = _keys(table.names)
    ordered = numbered(table)
    clock = context.clock(Clock(ZONE, "start", None, "Timestamp"))
    for block in read_blocks(ordered, ["0", *(str(at) for at in keys)], context.report):
        end, minutes = stamps_to_minutes(block.rows["0"], clock, context.report, block.where)
        yield from _records(block.rows, keys, station, end, minutes, context, block.where)


def _report(context: ReadContext, encoding: str) -> Iterator[RawRecords]:
    """Yield the rows of a report: blocks of stations under their names, each with a header of its own."""
    top: list[list[str]] = []
    for line in read_lines(context.source, encoding):
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        top.append(cells)
        if _is_report(cells) or len(top) > 100:
            break
    if not top or not _is_report(top[-1]):
        raise ObservationsError(f"{context.source.name}: no line that begins with From Date, To Date")
    table = context.table_below(len(top) - 1)
    names, title = table.names, _title(top[:-1], context)
    period: int | None = None
    for block in read_blocks(numbered(table), [str(at) for at in range(len(names))], context.report):
        codes, first = to_texts(block.rows["0"])
        begins = np.array([text.lower() == "from date" for text in first] + [False])[codes]
        stamped = np.array([_STAMP.match(text) is not None for text in first] + [False])[codes]
        edges = [0, *np.flatnonzero(begins).tolist(), block.rows.num_rows]
        for lower, upper in pairwise(edges):
            if begins[lower : lower + 1].any():
                cells = _cells(block.rows, lower)
                names, title = cells, _last_title(block.rows, lower, stamped) or title
            inside = np.flatnonzero(stamped[lower:upper]) + lower
            if len(inside) == 0:
                continue
            rows = block.rows.take(pa.array(inside))
            where = Where(block.where.source, block.where.first + int(inside[0]), block.where.word)
            rows, period = _of_one_period(rows, period, context, where)
            yield from _station_rows(rows, names, title, context, where)


def _station_rows(
    rows: pa.Table, names: Sequence[str], title: str, context: ReadContext, where: Where
) -> Iterator[RawRecords]:
    stem = context.source.stem
    station = context.one_station([title, stem] if title else [stem])
    clock = context.clock(Clock(ZONE, "end", _pattern(rows["1"]), "To Date"))
    end, minutes = stamps_to_minutes(rows["1"], clock, context.report, where)
    yield from _records(rows, _keys(names), station, end, minutes, context, where)


def _records(
    rows: pa.Table,
    keys: dict[int, tuple[str, str | None]],
    station: FileStation,
    end: NDArray[np.int32],
    minutes: int | NDArray[np.int16],
    context: ReadContext,
    where: Where,
) -> Iterator[RawRecords]:
    """Yield the rows of one station."""
    measured = PollutantColumns()
    for column, (key, unit) in keys.items():
        factor = factor_of(key, unit, context.columns, context.report, where.source)
        measured.add(key, context.readings(rows, str(column), where), factor)
    n = rows.num_rows
    one = one_text(station.id, n)
    lat, lon = np.full(n, station.lat), np.full(n, station.lon)
    yield from records_from_columns(ColumnTable(one, end, minutes, measured, lat, lon), context, where)


def _keys(names: Sequence[str]) -> dict[int, tuple[str, str | None]]:
    """Return which column (by its place) is which pollutant, and the unit that it states; the first of each counts."""
    keys: dict[int, tuple[str, str | None]] = {}
    for at, name in enumerate(names):
        key, unit = _pollutant(name)
        if key is not None and key not in [known for known, _ in keys.values()]:
            keys[at] = key, unit
    return keys


def _pollutant(name: str) -> tuple[str | None, str | None]:
    """Return pollutant and unit of a column; a unit whose signs were spoiled on the way is the network's own."""
    key, unit = pollutant_and_unit(name)
    if key is None and "(" in name:
        text, _, behind = name.partition("(")
        key, unit = pollutant_of(text), behind.rstrip(") ")
        unit = unit if read_unit(unit) is not None else None
    return key, unit


def _title(top: Sequence[Sequence[str]], context: ReadContext) -> str:
    """Return the station that the lines on top name: the one over the table's columns, or the one of ``Station``."""
    for cells in reversed(top[-3:]):
        texts = [cell for cell in cells if cell]
        if cells and not cells[0] and len(texts) == 1:
            return texts[0]
    return next((cells[1] for cells in top if len(cells) > 1 and plain(cells[0]) == "station"), "")


def _last_title(rows: pa.Table, header: int, stamped: NDArray[np.bool_]) -> str:
    """Return the name of the station over a header in the table, empty if there is none."""
    for at in range(header - 1, max(header - 4, -1), -1):
        texts = [cell for cell in _cells(rows, at) if cell]
        if stamped[at]:
            break
        if len(texts) == 1:
            return texts[0]
    return ""


def _cells(rows: pa.Table, at: int) -> list[str]:
    return [str(rows[name][at].as_py() or "").strip() for name in rows.column_names]


def _pattern(column: pa.ChunkedArray) -> str | None:
    """Return how the stamps of a column are written."""
    first = next((str(text).strip() for text in column.slice(0, 10).to_pylist() if text), "")
    return next((pattern for looks, pattern in _PATTERNS if looks.match(first)), None)


def _of_one_period(rows: pa.Table, period: int | None, context: ReadContext, where: Where) -> tuple[pa.Table, int]:
    """Return the rows of the file's usual averaging period, and that in minutes.

    Raises
    ------
    ObservationsError
        It is longer than an hour.
    """
    pattern = _pattern(rows["0"]) or "ISO8601"
    begin, end = (_minutes(rows[name], pattern) for name in ("0", "1"))
    length = np.where(np.isfinite(begin) & np.isfinite(end), end - begin, np.nan)
    known = length[np.isfinite(length) & (length > 0)].astype(np.int64)
    if period is None:
        period = int(np.bincount(np.minimum(known, 60 * 24 * 366)).argmax()) if len(known) else 60
    if period > 60:
        raise ObservationsError(
            f"{where.at(0)}: From Date and To Date lie {period / 60:g} hours apart: hourly or shorter means are needed "
            "(Criteria: 1 Hour, or 15 minutes)"
        )
    # A stamp that cannot be read is counted where stamps are.
    usual = ~np.isfinite(length) | (length == period)
    context.report.count("rows_of_other_periods", int((~usual).sum()))
    return rows.filter(pa.array(usual)), period


def _minutes(column: pa.ChunkedArray, pattern: str) -> NDArray[np.float64]:
    """Return the minutes of stamps since 1970 in their own clock, NaN where unreadable."""
    codes, texts = encoded(column)
    parsed = pd.to_datetime(pd.Series(texts.to_pylist(), dtype="str").str.strip(), format=pattern, errors="coerce")
    minutes = parsed.to_numpy(dtype="M8[s]").astype(np.int64) / 60.0
    return np.append(np.where(parsed.isna(), np.nan, minutes), np.nan)[codes]
