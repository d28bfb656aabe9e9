"""London Air Quality Network, its API (api.erg.ic.ac.uk): JSON of a site or a site and species, and CSV.

Layouts as https://api.erg.ic.ac.uk/AirQuality/help describes them: ``RawAQData`` or ``AirQualityData`` with @SiteCode,
perhaps @SpeciesCode, and ``Data``, rows of @MeasurementDateGMT, @Value and perhaps @SpeciesCode; CSV with the columns
MeasurementDateGMT and ``Site name: Pollutant (ug/m3)``, or with station_id and one column a pollutant, as collections
made of it have. GMT; an hour is stamped at its START, as in the network's other files. ug/m3, CO in mg/m3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import pollutant_and_unit, pollutant_of
from aqreanalysis.observations.columns import find_columns
from aqreanalysis.observations.files import is_json, read_json
from aqreanalysis.observations.formats.laqn import POLLUTANTS
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import (
    ColumnTable,
    LongTable,
    PollutantColumns,
    Texts,
    one_text,
    records_from_columns,
    records_from_long,
)
from aqreanalysis.observations.parse_numbers import CellRules, to_readings
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import TextTable, read_blocks
from aqreanalysis.observations.tables import records_of_rows
from aqreanalysis.observations.times import Clock, stamps_to_minutes
from aqreanalysis.observations.units import factor_of

TIME = "MeasurementDateGMT"
_MISSING = (-999,)


def matches(head: FileHead) -> str | None:
    """Return why a file is of London's API."""
    if re.search(rf'"@?{TIME}"\s*:', head.text):
        return f"it is JSON with @{TIME}"
    return f"it has the column {TIME}" if TIME in head.names else None


@station_format(
    name="laqn-api",
    title="London Air Quality Network, API (JSON, CSV)",
    document="https://api.erg.ic.ac.uk/AirQuality/help",
    matches=matches,
    needs_stations=True,
    periods_stated=True,
)
def read_laqn_api(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one file."""
    if is_json(context.source):
        yield from _json(context)
        return
    table = context.table()
    if "station_id" in table.names or context.columns.station in table.names:
        own = {"time": TIME, "stamp": context.columns.stamp or "start", "city": None}
        columns = context.columns.model_copy(update=own)
        roles = find_columns(table.names, columns, context.source.name, places_given=True)
        for block in read_blocks(table, roles.needed(), context.report):
            context.report.rows += block.rows.num_rows
            yield from records_of_rows(block.rows, roles, columns, context.report, block.where)
        return
    yield from _wide(table, context)


def _wide(table: TextTable, context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of a CSV whose columns name site and pollutant."""
    keys: dict[str, tuple[str, str, str | None]] = {}
    for name in table.names:
        site, _, quantity = name.rpartition(": ")
        key, unit = pollutant_and_unit(quantity.replace(" Particulate", ""))
        if site and key is not None:
            keys[name] = site, key, unit
    if not keys:
        raise ObservationsError(f"{context.source.name}: no column 'Site name: Pollutant (unit)' beside {TIME}")
    clock = context.clock(Clock("UTC", "start", None, TIME))
    rules = CellRules(False, (*context.columns.missing, *_MISSING))
    for block in read_blocks(table, [TIME, *keys], context.report):
        end, minutes = stamps_to_minutes(block.rows[TIME], clock, context.report, block.where)
        for site in dict.fromkeys(site for site, _, _ in keys.values()):
            measured = PollutantColumns()
            for name, (own, key, unit) in keys.items():
                if own == site:
                    readings = to_readings(block.rows[name], f"column {name!r}", block.where, context.report, rules)
                    factor = factor_of(key, unit, context.columns, context.report, block.where.source)
                    measured.add(key, readings, factor)
            station = one_text(context.one_station([site]).id, len(end))
            yield from records_from_columns(ColumnTable(station, end, minutes, measured), context, block.where)


def _json(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of an answer: of one site, of one species or several."""
    rows = list(_rows(read_json(context.source), "", ""))
    where = Where(context.source.name, 1, "row")
    if not rows:
        raise ObservationsError(f"{context.source.name}: no row of @{TIME} and @Value: give an answer as it came")
    frame = pd.DataFrame(rows, columns=["site", "species", "time", "value"])
    clock = context.clock(Clock("UTC", "start", None, f"@{TIME}"))
    station, species = (_texts(frame[name]) for name in ("site", "species"))
    end, minutes = stamps_to_minutes(pa.array(frame["time"], pa.string()), clock, context.report, where)
    rules = CellRules(False, (*context.columns.missing, *_MISSING))
    readings = to_readings(pa.array(frame["value"], pa.string()), "@Value", where, context.report, rules)
    none: Texts = (np.full(len(frame), -1, np.int32), [])
    long_table = LongTable(station, species, none, end, minutes, readings)
    known = POLLUTANTS | {name: key for name in species[1] if (key := pollutant_of(name)) is not None}
    yield from records_from_long(long_table, known, context, where)


def _rows(part: object, site: str, species: str) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield site, species, time and value of every row in an answer, whatever it is wrapped in."""
    if isinstance(part, list):
        for each in part:
            yield from _rows(each, site, species)
        return
    if not isinstance(part, dict):
        return
    site, species = _field(part, "SiteCode") or site, _field(part, "SpeciesCode") or species
    time = _field(part, TIME)
    if time is not None:
        yield site, species, time, _field(part, "Value") or None
    for value in part.values():
        yield from _rows(value, site, species)


def _field(part: dict[str, Any], name: str) -> str | None:
    value = part.get(f"@{name}", part.get(name))
    return None if value is None or isinstance(value, dict | list) else str(value)


def _texts(column: pd.Series) -> Texts:
    codes, distinct = pd.factorize(column)
    return codes, [str(text) for text in distinct]
