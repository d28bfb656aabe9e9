"""Poland's GIOS: the archive's hours of a pollutant and year, ``2019_PM25_1g.xlsx``, a column a station.

Layout as https://powietrze.gios.gov.pl/pjp/archives delivers it: some rows on top, each named in its first cell
(``Nr``, ``Kod stacji``, ``Wskaźnik``, ``Czas uśredniania``, ``Jednostka``, ``Kod stanowiska``; older files have
fewer), then a row an hour. Stamps are Central European Time all year (+01:00), at the end of the hour; numbers may have
decimal commas. ug/m3, CO in mg/m3. ``1g`` columns are hours, ``24g`` ones days, which are refused. The archive's own
list ("Metadane ... .xlsx") places the stations, under their former codes too. Of the API (``data/getData``) the JSON of
a post's last days is read: ug/m3 throughout, by the clock of Poland (Europe/Warsaw), at the end of the hour.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import plain, pollutant_of
from aqreanalysis.observations.files import is_json, read_json, read_lines
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.formats.wide import pollutants_in_name, records_of_grid
from aqreanalysis.observations.json_rows import json_table
from aqreanalysis.observations.long_format import LongTable, Texts, one_text, records_from_long, series_of
from aqreanalysis.observations.parse_numbers import to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import HEADER_LINES, FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import TextTable, find_delimiter, read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes
from aqreanalysis.observations.units import factor_of, read_unit

_STATION, _POLLUTANT, _PERIOD, _UNIT = ("kodstacji",), ("wskaznik",), ("czasusredniania",), ("jednostka",)
# Members of rows in the answers of the API: of today's (v1), and of the one before 2025.
_API = (("Kod stanowiska", "Data"), ("key", "values", "date"))
_STAMP = re.compile(r"^\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")
_PATTERNS = (
    (re.compile(r"^\d{4}-\d\d-\d\d"), None),
    (re.compile(r"^\d{4}/"), "%Y/%m/%d %H:%M"),
    (re.compile(r"^\d{1,2}\."), "%d.%m.%Y %H:%M"),
    (re.compile(r"^\d{1,2}/"), "%d/%m/%Y %H:%M"),
)


@dataclass(frozen=True)
class _Top:
    """The rows on top: how many, the stations of the columns, and what else is said of these (empty where nothing)."""

    lines: int
    delimiter: str
    stations: list[str]
    pollutants: list[str]
    periods: list[str]
    units: list[str]


def matches(head: FileHead) -> str | None:
    """Return why a file is of GIOS."""
    if any(all(f'"{name}"' in head.text for name in names) for names in _API):
        return "it is JSON with the members of the API's data"
    header = head.find_header(lambda names: plain(names[0] if names else "") in _STATION)
    return None if header is None else f"its line {header[0] + 1} begins with Kod stacji"


@station_format(
    name="gios",
    title="Poland's GIOS, archive of hours (2019_PM25_1g.xlsx) and API (JSON)",
    document="https://powietrze.gios.gov.pl/pjp/archives",
    matches=matches,
    texts_alone=True,
    needs_stations=True,
    periods_stated=True,
)
def read_gios(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file, a pollutant and unit after another, a block at a time."""
    if is_json(context.source):
        yield from _of_api(context)
        return
    encoding = context.table().encoding
    top = _read_top(context, encoding)
    hourly = [at for at, period in enumerate(top.periods) if at and period.lower() in ("1g", "1h", "")]
    if not hourly:
        raise ObservationsError(f"{context.source.name}: means of {top.periods[1]}, no hours: take the file of 1g")
    names = [str(at) for at in range(len(top.stations))]
    table = TextTable(context.source, names, top.delimiter, encoding, top.lines)
    groups = _groups(top, hourly, context)
    wanted = sorted({at for columns in groups.values() for at in columns})
    for block in read_blocks(table, ["0", *(str(at) for at in wanted)], context.report):
        yield from _records(block.rows, top, groups, context, block.where)


def _of_api(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the hours of one answer of the API, in ug/m3 by the clock of Poland.

    A post's code holds station and pollutant (``MzWarAlNiepo-PM10-1g``); of the former API the file's name tells the
    station, and its ``key`` the pollutant.
    """
    rows, where = json_table(context.source), Where(context.source.name, 1, "row")
    names, n = rows.column_names, rows.num_rows
    if "Kod stanowiska" in names:
        codes, posts = to_texts(rows["Kod stanowiska"])
        parts = [post.split("-") for post in posts]
        station: Texts = (codes, [part[0] for part in parts])
        pollutant: Texts = (codes, [part[1] if len(part) > 1 else "" for part in parts])
        stamps, values = "Data", "Wartość"
    else:
        page = read_json(context.source)
        station = one_text(context.one_station([context.source.stem]).id, n)
        pollutant = one_text(str(page.get("key", "")) if isinstance(page, dict) else "", n)
        stamps, values = "date", "value"
    context.require(names, [stamps])
    clock = context.clock(Clock("Europe/Warsaw", "end", None, stamps))
    end, minutes = stamps_to_minutes(rows[stamps], clock, context.report, where, series_of(station[0], pollutant[0]))
    none = pa.chunked_array([pa.nulls(n, pa.string())])
    readings = to_readings(rows[values] if values in names else none, values, where, context.report, context.cells())
    table = LongTable(station, pollutant, one_text("ug/m3", n), end, minutes, readings)
    keys = {text: key for text in pollutant[1] if (key := pollutant_of(text)) is not None}
    yield from records_from_long(table, keys, context, where)


def _read_top(context: ReadContext, encoding: str) -> _Top:
    """Return the rows on top.

    Raises
    ------
    ObservationsError
        No row of station codes stands before the first stamp.
    """
    rows: dict[str, list[str]] = {}
    lines, delimiter = 0, ","
    for line in read_lines(context.source, encoding):
        delimiter = find_delimiter(line) if not rows else delimiter
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        if (cells and _STAMP.match(cells[0])) or lines > HEADER_LINES:
            break
        lines += 1
        rows[plain(cells[0].lstrip("\ufeff")) if cells else ""] = cells
    stations = next((rows[word] for word in _STATION if word in rows), None)
    if stations is None:
        raise ObservationsError(f"{context.source.name}: no row 'Kod stacji' before the first hour")
    none = [""] * len(stations)
    said = [next((rows[word] for word in words if word in rows), none) for words in (_POLLUTANT, _PERIOD, _UNIT)]
    padded = [(row + none)[: len(stations)] for row in said]
    return _Top(lines, delimiter, stations, padded[0], padded[1], padded[2])


def _groups(top: _Top, hourly: Sequence[int], context: ReadContext) -> dict[tuple[str, str], list[int]]:
    """Return pollutant and unit -> its columns; what is no pollutant of this program is counted."""
    by_name = pollutants_in_name(context.source.filename.replace("_", " "))
    groups: dict[tuple[str, str], list[int]] = {}
    for at in hourly:
        key = pollutant_of(top.pollutants[at]) if top.pollutants[at] else (by_name[0] if len(by_name) == 1 else None)
        if key is not None and top.stations[at]:
            unit = top.units[at] if read_unit(top.units[at]) is not None else ""
            groups.setdefault((key, unit), []).append(at)
    if not groups:
        named = ", ".join(sorted(set(top.pollutants[1:])))[:200]
        raise ObservationsError(f"{context.source.name}: no pollutant of this program among {named}")
    return groups


def _records(
    rows: pa.Table, top: _Top, groups: dict[tuple[str, str], list[int]], context: ReadContext, where: Where
) -> Iterator[RawRecords]:
    first = next((text.strip() for text in rows["0"].slice(0, 20).to_pylist() if text), "")
    pattern = next((pattern for looks, pattern in _PATTERNS if looks.match(first)), None)
    pattern = f"{pattern}:%S" if pattern is not None and first.count(":") == 2 else pattern
    clock = context.clock(Clock("+01:00", "end", pattern, "the first column"))
    end, minutes = stamps_to_minutes(rows["0"], clock, context.report, where)
    context.report.rows += rows.num_rows
    for (key, unit), columns in groups.items():
        factor = factor_of(key, unit, context.columns, context.report, where.source)
        readings = [context.readings(rows, str(at), where, decimal_comma=True) for at in columns]
        stations = [top.stations[at] for at in columns]
        yield records_of_grid(key, stations, readings, factor, (end, int(minutes)), context, where)
