"""Mexico City's RAMA: ``2019PM25.xls``, a column a station, and ``contaminantes_2019.csv``, a row a reading.

Layouts as http://www.aire.cdmx.gob.mx (open data) delivers them. The workbooks of a pollutant and year have ``FECHA``,
``HORA`` (1 to 24) and the stations' codes; the pollutant stands in the file's name. The long tables have some lines on
top, then ``date, id_station, id_parameter, value, unit`` with days first and unit 1 for ppb, 2 for ug/m3, 15 for ppm.
An hour is named by its end, the city's standard time all year (-06:00); -99 is missing. O3, NO2 and SO2 are in ppb, CO
in ppm, particles in ug/m3, at 25 degC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import plain, pollutant_of
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.formats.wide import records_of_grid
from aqreanalysis.observations.long_format import LongTable, records_from_long, series_of
from aqreanalysis.observations.parse_numbers import CellRules, Readings, to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext, find_header
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import TextTable, read_blocks
from aqreanalysis.observations.times import Clock, ends_of_hours, stamps_to_minutes
from aqreanalysis.observations.units import factor_of

ZONE = "-06:00"
LONG = ("date", "id_station", "id_parameter", "value", "unit")
UNIT_CODES = {"1": "ppb", "2": "ug/m3", "15": "ppm"}
_UNITS = {"o3": "ppb", "no2": "ppb", "so2": "ppb", "co": "ppm", "pm25": "ug/m3", "pm10": "ug/m3"}
_MISSING = (-99,)
_NAME = re.compile(r"^\d{4}[ _-]?([A-Za-z0-9.]+)$")


def _is_wide(names: Sequence[str]) -> bool:
    words = [plain(name) for name in names]
    codes = [name for name in names[2:] if re.fullmatch(r"[A-Z][A-Z0-9]{2}", name.strip())]
    return words[:2] == ["fecha", "hora"] and bool(codes)


def _is_long(names: Sequence[str]) -> bool:
    return [name.strip().lower() for name in names] == list(LONG)


def matches(head: FileHead) -> str | None:
    """Return why a file is of RAMA."""
    if _is_wide(head.names):
        return "it has FECHA, HORA and columns of stations"
    header = head.find_header(_is_long)
    return None if header is None else f"its line {header[0] + 1} is {', '.join(LONG)}"


@station_format(
    name="rama",
    title="Mexico City's RAMA (2019PM25.xls, contaminantes_2019.csv)",
    document="http://www.aire.cdmx.gob.mx",
    matches=matches,
    needs_stations=True,
    temperature_celsius=25.0,
    periods_stated=True,
)
def read_rama(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one file, a block at a time."""
    table = context.table()
    if _is_wide(table.names):
        yield from _wide(table, context)
        return
    header = find_header(context.source.head().decode(table.encoding, errors="replace"), _is_long)
    if header is None:
        raise ObservationsError(f"{context.source.name}: neither FECHA, HORA and stations nor {', '.join(LONG)}")
    for block in read_blocks(context.table_below(header[0]), LONG, context.report):
        yield from _long(block.rows, context, block.where)


def _wide(table: TextTable, context: ReadContext) -> Iterator[RawRecords]:
    match = _NAME.match(context.source.stem)
    key = pollutant_of(match.group(1)) if match is not None else None
    configured = [pollutant_of(name) for name, column in context.columns.species.items() if column == "*"]
    key = configured[0] if len(configured) == 1 else key
    if key is None and match is None:
        raise ObservationsError(
            f"{context.source.name}: no pollutant in its name: call it as the network does, 2019PM25.xls, or set "
            "columns.species.pm25='*'"
        )
    if key is None:
        context.report.note(f"{context.source.name}: of no pollutant of this program: left out")
        return
    date, hour, *others = table.names
    stations = [name for name in others if name]
    factor = factor_of(key, _UNITS[key], context.columns, context.report, context.source.name)
    for block in read_blocks(table, [date, hour, *stations], context.report):
        pattern = _pattern(block.rows[date], "")
        clock = context.clock(Clock(ZONE, "end", pattern, "FECHA"))
        hours = context.readings(block.rows, hour, block.where).values
        days = block.rows[date] if pattern else pc.utf8_slice_codeunits(block.rows[date], 0, 10)
        end = ends_of_hours(days, hours, clock, context.report, block.where)
        context.report.rows += block.rows.num_rows
        readings = [_readings(block.rows, name, context, block.where) for name in stations]
        yield records_of_grid(key, [n.strip() for n in stations], readings, factor, (end, 60), context, block.where)


def _readings(rows: pa.Table, name: str, context: ReadContext, where: Where) -> Readings:
    rules = CellRules(False, (*context.columns.missing, *_MISSING))
    return to_readings(rows[name], f"column {name!r}", where, context.report, rules)


def _pattern(column: pa.ChunkedArray, hours: str) -> str | None:
    """Return how dates are written, with `hours` behind: the day first, or None for ISO 8601."""
    first = next((text.strip() for text in column.slice(0, 20).to_pylist() if text), "")
    sign = re.match(r"^\d{1,2}([/-])", first)
    return None if sign is None else f"%d{sign.group(1)}%m{sign.group(1)}%Y{hours}"


def _long(rows: pa.Table, context: ReadContext, where: Where) -> Iterator[RawRecords]:
    station, parameter, unit = (to_texts(rows[name]) for name in ("id_station", "id_parameter", "unit"))
    clock = context.clock(Clock(ZONE, "end", _pattern(rows["date"], " %H:%M"), "date"))
    series = series_of(station[0], parameter[0])
    end, minutes = stamps_to_minutes(rows["date"], clock, context.report, where, series)
    readings = _readings(rows, "value", context, where)
    units = unit[0], [UNIT_CODES.get(text, text) for text in unit[1]]
    keys = {text: key for text in parameter[1] if (key := pollutant_of(text)) is not None}
    long_table = LongTable(station, parameter, units, end, minutes, readings)
    yield from records_from_long(long_table, keys, context, where)
