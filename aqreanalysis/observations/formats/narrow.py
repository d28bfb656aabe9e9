"""Narrow tables: one row a measurement, with columns of pollutant and reading (CSV or Parquet).

Described in docs/observations.md of this program. Many portals export so: station, time, parameter, value, unit,
perhaps a flag and the averaging time. Columns are found by their usual names, or told: ``columns.station``, ``.time``,
``.parameter``, ``.value``, ``.unit``, ``.flag``, ``.lat``, ``.lon``; which flags are good by ``columns.good_flags``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.observations.column_names import configured_or_usual, pollutant_and_unit
from aqreanalysis.observations.columns import RowPlaces, find_row_places
from aqreanalysis.observations.file_flags import flags_of_rows
from aqreanalysis.observations.files import PARQUET
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, Texts, records_from_long, rows_of_known, series_of
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.pollutant_codes import keys_of_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import parquet_schema, read_blocks, read_row_blocks
from aqreanalysis.observations.times import Clock, joined_stamps, stamped_rows, stamps_to_minutes
from aqreanalysis.species import get_species

# Words of a column of averaging times that mean an hour.
_HOUR = {
    "hour",
    "hourly",
    "1h",
    "1 h",
    "1hour",
    "1 hour",
    "1-hour",
    "h",
    "60",
    "60 min",
    "pt1h",
    "1hr",
    "1 hr",
    "01:00:00",
}


def matches(head: FileHead) -> str | None:
    """Return why a file is a narrow table: it has columns of pollutants and of readings, and none of one pollutant."""
    names, columns = head.names, head.columns
    parameter, value = configured_or_usual("parameter", names, columns), configured_or_usual("value", names, columns)
    if parameter is None or value is None or parameter == value or not {parameter, value} <= set(names):
        return None
    if any(pollutant_and_unit(name)[0] is not None for name in names):
        return None
    return f"its column {parameter} names pollutants and its column {value} holds readings"


@station_format(
    name="narrow",
    title="narrow table, one row a measurement with its pollutant (CSV, Parquet)",
    document="docs/observations.md of this program",
    matches=matches,
    repeats="refuse",
    moved="refuse",
    rank=85,
)
def read_narrow(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of a narrow table, a block at a time."""
    if context.source.has_suffix(PARQUET):
        roles = find_roles(parquet_schema(context.source).names, context)
        for rows, where in read_row_blocks(context.source, roles.needed()):
            yield from records_of_measurements(rows, roles, context, where)
        return
    table = context.table_of_readings()
    roles = find_roles(table.names, context)
    for block in read_blocks(table, roles.needed(), context.report):
        yield from records_of_measurements(block.rows, roles, context, block.where, table.decimal_comma)


@dataclass(frozen=True)
class NarrowColumns:
    """Which column of a narrow table is what; None where there is none."""

    places: RowPlaces
    parameter: str
    value: str
    unit: str | None
    flag: str | None
    period: str | None
    only: frozenset[str] | None = None

    def needed(self) -> list[str]:
        """Return the columns to read, each once."""
        where = self.places
        fixed = (where.station, *where.time, where.lat, where.lon, *where.labels.values())
        more = (self.parameter, self.value, self.unit, self.flag, self.period)
        return list(dict.fromkeys(name for name in (*fixed, *more) if name is not None))


def find_roles(names: Sequence[str], context: ReadContext) -> NarrowColumns:
    """Return which column is what.

    Raises
    ------
    ObservationsError
        A column is missing, naming the nearest that is there.
    """
    columns = context.columns
    names_of = {
        role: configured_or_usual(role, names, columns) for role in ("parameter", "value", "unit", "flag", "period")
    }
    for role in ("parameter", "value"):
        if names_of[role] is None or names_of[role] not in names:
            wanted = names_of[role] or role
            raise ObservationsError(
                f"{context.source.name}: no column {wanted!r} for {role}{nearest_hint(wanted, names)} (there are: "
                f"{', '.join(names):.300}); set columns.{role} to the right one"
            )
    for role in ("unit", "flag"):
        if names_of[role] is not None and names_of[role] not in names:
            context.require(names, [str(names_of[role])])
    places = find_row_places(names, columns, context.source.name, bool(context.stations))
    taken = {places.station, *places.time, places.lat, places.lon}
    optional = {role: None if names_of[role] in taken else names_of[role] for role in ("unit", "flag", "period")}
    return NarrowColumns(
        places,
        str(names_of["parameter"]),
        str(names_of["value"]),
        **optional,
        only=_only(columns, str(names_of["value"])),
    )


def _only(columns: ColumnsConfig, value: str) -> frozenset[str] | None:
    """Return the pollutants that ``columns.species`` says the readings are, None where it says nothing of them."""
    keys = {get_species(name).key for name, column in columns.species.items() if column == value}
    return frozenset(keys) if keys else None


def records_of_measurements(
    rows: pa.Table, roles: NarrowColumns, context: ReadContext, where: Where, decimal_comma: bool = False
) -> Iterator[RawRecords]:
    """Yield rows of measurements, whose columns `find_roles` has told, as records."""
    rows = _hourly(stamped_rows(rows, roles.places.time, context.report), roles, context)
    pollutant = to_texts(rows[roles.parameter])
    keys = keys_of_texts(pollutant[1], roles.parameter, context.columns, where.source)
    if roles.only is not None:
        keys = {text: key for text, key in keys.items() if key in roles.only}
    rows, pollutant = rows_of_known(rows, pollutant, keys, context)
    if rows.num_rows == 0:
        return
    n = rows.num_rows
    place = context.columns.place
    station: Texts = (np.zeros(n, np.int32), [place.station if place is not None else ""])
    if roles.places.station is not None:
        station = to_texts(rows[roles.places.station])
    stamps = joined_stamps(rows, roles.places.time)
    series = series_of(station[0], pollutant[0])
    end, minutes = stamps_to_minutes(
        stamps, context.clock(Clock(column=", ".join(roles.places.time), doubt="note")), context.report, where, series
    )
    readings = context.readings(rows, roles.value, where, decimal_comma)
    flags = flags_of_rows(rows, roles.flag, context.columns, context.report, where)
    lat, lon = (_degrees(rows, role, roles, context, where) for role in ("lat", "lon"))
    long_table = LongTable(
        station=station,
        pollutant=pollutant,
        unit=_units(pollutant, roles) if roles.unit is None else to_texts(rows[roles.unit]),
        end=end,
        minutes=minutes,
        readings=readings,
        labels={role: to_texts(rows[column]) for role, column in roles.places.labels.items()},
        flag=flags,
        lat=lat,
        lon=lon,
    )
    yield from records_from_long(long_table, keys, context, where)


def _units(pollutant: Texts, roles: NarrowColumns) -> Texts:
    """Return the unit that the name of a row's pollutant states, or that of the column of readings; -1 for none."""
    stated = [pollutant_and_unit(text)[1] or pollutant_and_unit(roles.value)[1] or "" for text in pollutant[1]]
    return pollutant[0], stated


def _degrees(
    rows: pa.Table, role: str, roles: NarrowColumns, context: ReadContext, where: Where
) -> NDArray[np.floating] | None:
    """Return latitude or longitude of the rows, by their column or by the one place of the file; None where unknown."""
    column = getattr(roles.places, role)
    if column is not None:
        return context.readings(rows, column, where).values
    alone = None if context.columns.place is None else getattr(context.columns.place, role)
    return None if alone is None else np.full(rows.num_rows, float(alone))


def _hourly(rows: pa.Table, roles: NarrowColumns, context: ReadContext) -> pa.Table:
    """Return the rows whose averaging time is an hour, all where no column tells it; others are counted."""
    if roles.period is None:
        return rows
    codes, words = to_texts(rows[roles.period])
    # Of an address of the EEA's vocabulary (.../primaryObservation/hour) its end counts.
    hours = [word.lower().rpartition("primaryobservation/")[2] in _HOUR for word in words]
    if not any(hours):
        return rows  # it is a column of something else, or all averages are longer: the stamps will tell
    hourly = np.array([*hours, True])[codes]
    context.report.count("rows_not_hourly", int((~hourly).sum()))
    return rows.filter(pa.array(hourly))
