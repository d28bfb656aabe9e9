"""Germany's Umweltbundesamt: CSV of its air data, ``Stationscode;Datum;"Ozon (O₃) Ein-Stunden-Mittelwert in µg/m³"``.

Layout as https://www.umweltbundesamt.de/daten/luft/luftdaten delivers it (UTF-8 or ISO 8859-1): codes of stations
(DENW074), ``'01.01.2020 01:00'`` perhaps in quotes, one column a pollutant whose name tells its average and unit; ``-``
is missing. An hour is stamped at its end, Central European Time all year (+01:00). Only one-hour means are read: PM10
and PM2.5 come as running means of 24 hours, from which hours cannot be had, and are left out with a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import pollutant_of
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import ColumnTable, PollutantColumns, records_from_columns, series_of
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, joined_stamps, stamps_to_minutes
from aqreanalysis.observations.units import factor_of

STATION, DATE, HOUR = "Stationscode", "Datum", "Uhrzeit"
# Name, formula in brackets, average, unit.
_COLUMN = re.compile(r"^.*?\(([^)]+)\)\s*(.*?)\s+in\s+(\S+)$")
_HOURLY = re.compile(r"^(?:Ein-?Stunden-?Mittelwert|Stundenmittel(?:wert)?|1SMW)", re.IGNORECASE)


def _columns(names: Sequence[str]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return pollutant -> column and unit of the hourly ones, and the columns of other averages."""
    hourly: dict[str, tuple[str, str]] = {}
    others = []
    for name in names:
        match = _COLUMN.match(name)
        key = pollutant_of(match.group(1)) if match is not None else None
        if match is None or key is None:
            continue
        if _HOURLY.match(match.group(2)):
            hourly[key] = name, match.group(3)
        else:
            others.append(name)
    return hourly, others


def matches(head: FileHead) -> str | None:
    """Return why a file is of the Umweltbundesamt."""
    names = head.names_in("cp1252") if STATION in head.names and head.text else []
    hourly, others = _columns(names)
    return f"it has {STATION}, {DATE} and means of pollutants" if DATE in names and (hourly or others) else None


@station_format(
    name="uba",
    title="Germany's Umweltbundesamt, air data (CSV)",
    document="https://www.umweltbundesamt.de/daten/luft/luftdaten",
    matches=matches,
    needs_stations=True,
    periods_stated=True,
)
def read_uba(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file, a block at a time."""
    context.encoding = "cp1252"
    table = replace(context.table(), closing=("Quelle", '"Quelle'))
    context.require(table.names, (STATION, DATE))
    hourly, others = _columns(table.names)
    for name in others:
        context.report.note(f"{name}: no mean of one hour: left out")
    if not hourly:
        raise ObservationsError(f"{context.source.name}: no column of one-hour means (Ein-Stunden-Mittelwert)")
    time = [DATE, HOUR] if HOUR in table.names else [DATE]
    for block in read_blocks(table, [STATION, *time, *(name for name, _ in hourly.values())], context.report):
        yield from _records(block.rows, hourly, time, context, block.where)


def _records(
    rows: pa.Table, hourly: dict[str, tuple[str, str]], time: Sequence[str], context: ReadContext, where: Where
) -> Iterator[RawRecords]:
    station = to_texts(rows[STATION])
    stamps = pc.replace_substring(joined_stamps(rows, time), "'", "")
    clock = context.clock(Clock("+01:00", "end", "%d.%m.%Y %H:%M", DATE))
    end, minutes = stamps_to_minutes(stamps, clock, context.report, where, series_of(station[0]))
    measured = PollutantColumns()
    for key, (name, unit) in hourly.items():
        factor = factor_of(key, unit, context.columns, context.report, where.source)
        measured.add(key, context.readings(rows, name, where, decimal_comma=True), factor)
    yield from records_from_columns(ColumnTable(station, end, minutes, measured), context, where)
