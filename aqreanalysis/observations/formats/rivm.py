"""The Netherlands' RIVM: CSV of data.rivm.nl, ``2023_NO2.csv``, hours of a component, a column a station.

Layout as the folder's description says (https://data.rivm.nl/data/luchtmeetnet): semicolons; some seven rows on top,
whose fifth column names what the columns of stations hold (code, name, latitude and longitude, area, instrument), then
``Component;Bep.periode;Eenheid;Begindatumtijd;Einddatumtijd`` and the stations' codes, then a row an hour, stamps as
``20230101 00:00``. Where the rows on top give both degrees of a station it stands there, else a list says it. The
description names no clock: UTC is assumed and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import plain, pollutant_of
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.formats.wide import records_of_grid
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext, find_header
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import parse_header, read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes
from aqreanalysis.observations.units import factor_of

COMPONENT, PERIOD, UNIT, BEGIN, END = "Component", "Bep.periode", "Eenheid", "Begindatumtijd", "Einddatumtijd"
COLUMNS = (COMPONENT, PERIOD, UNIT, BEGIN, END)
# Words of an hour, and the pattern of the stamps.
_HOUR, _PATTERN = ("uur", "hour"), "%Y%m%d %H:%M"
_DEGREES = re.compile(r"^\(?\s*(-?\d{1,2}\.\d+)\s*[,; ]\s*(-?\d{1,3}\.\d+)\s*\)?$")


def _is_header(names: list[str]) -> bool:
    return tuple(names[: len(COLUMNS)]) == COLUMNS


def matches(head: FileHead) -> str | None:
    """Return why a file is of RIVM."""
    header = head.find_header(_is_header)
    return None if header is None else f"its line {header[0] + 1} begins with {', '.join(COLUMNS)}"


@station_format(
    name="rivm",
    title="Netherlands' RIVM, hours of data.rivm.nl (2023_NO2.csv)",
    document="https://data.rivm.nl/data/luchtmeetnet",
    matches=matches,
    texts_alone=True,
    periods_stated=True,
)
def read_rivm(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file, a block at a time."""
    text = context.source.head().decode(context.table().encoding, errors="replace")
    header = find_header(text, _is_header)
    if header is None:
        raise ObservationsError(f"{context.source.name}: no row that begins with {', '.join(COLUMNS)}")
    table = context.table_below(header[0])
    stations = [name for name in table.names[len(COLUMNS) :] if name]
    places = _places(text.lstrip("\ufeff").splitlines()[: header[0]], table.names)
    for block in read_blocks(table, [*COLUMNS, *stations], context.report):
        for records in _records(block.rows, stations, context, block.where):
            degrees = [places.get(station, (np.nan, np.nan)) for station in records.places["station"]]
            known = records.places.assign(lat=[place[0] for place in degrees], lon=[place[1] for place in degrees])
            yield replace(records, places=known)


def _places(lines: Sequence[str], names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return station -> latitude and longitude by the rows on top: of a row with both, or of a row each."""
    rows = [parse_header(line, ";") for line in lines]
    rows = [row for row in rows if len(row) == len(names)]
    alone = {role: row for row in rows for role in ("lat", "lon") if plain(row[len(COLUMNS) - 1]).startswith(role)}
    out: dict[str, tuple[float, float]] = {}
    for at in range(len(COLUMNS), len(names)):
        both = next((match for row in rows if (match := _DEGREES.match(row[at])) is not None), None)
        degrees = both.groups() if both is not None else tuple(row[at] for row in alone.values())
        try:
            out[names[at]] = float(degrees[0]), float(degrees[1])
        except (ValueError, IndexError):
            continue
    return out


def _records(rows: pa.Table, stations: list[str], context: ReadContext, where: Where) -> Iterator[RawRecords]:
    """Yield the rows of each component and unit; means of other periods are counted."""
    context.report.rows += rows.num_rows
    codes, words = to_texts(rows[PERIOD])
    hourly = np.array([word.lower() in _HOUR for word in words] + [True])[codes]
    context.report.count("rows_not_hourly", int((~hourly).sum()))
    rows = rows.filter(pa.array(hourly))
    component, unit = to_texts(rows[COMPONENT]), to_texts(rows[UNIT])
    clock = context.clock(Clock("UTC", "end", _PATTERN, END, "note"))
    for code, name in enumerate(component[1]):
        key = pollutant_of(name)
        if key is None:
            context.report.count("rows_of_other_pollutants", int((component[0] == code).sum()))
            continue
        for of_unit, text in [*enumerate(unit[1]), (-1, "")]:
            mask = (component[0] == code) & (unit[0] == of_unit)
            if not mask.any():
                continue
            part = rows.filter(pa.array(mask))
            end, _ = stamps_to_minutes(part[END], clock, context.report, where)
            readings = [context.readings(part, station, where) for station in stations]
            factor = factor_of(key, text, context.columns, context.report, where.source)
            yield records_of_grid(key, stations, readings, factor, (end, 60), context, where)
