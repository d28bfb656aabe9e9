"""Wide tables: one row an hour, one column a station (CSV or Parquet), placed by a station list.

Described in docs/observations.md of this program. The time column is ``columns.time``; every other column is a
station of the list, or a station and a pollutant joined by a colon (``1001A:pm25``) or ``__``. Where columns name
only stations the pollutant stands in the file's name (``pm25_2019.csv``) or is told: ``columns.species.pm25=*``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import plain, pollutant_and_unit
from aqreanalysis.observations.columns import time_columns
from aqreanalysis.observations.files import PARQUET
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.parse_numbers import Readings
from aqreanalysis.observations.raw_records import RawRecords, as_float32, drop_incomplete, station_table
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import parquet_schema, read_blocks, read_row_blocks
from aqreanalysis.observations.times import Clock, joined_stamps, stamped_rows, stamps_to_minutes
from aqreanalysis.observations.units import factor_of
from aqreanalysis.species import SPECIES, get_species

_BETWEEN = re.compile(r"[ _-]")
_JOINED = re.compile(r"^(.+?)(?::|__)(.+)$")


def matches(head: FileHead) -> str | None:
    """Return why a file is a wide table: its columns join stations with pollutants."""
    joined = [name for name in head.names if _split(name, head.stations)[1] is not None]
    if joined:
        return f"its columns join stations with pollutants ({', '.join(joined[:3])} ...)"
    listed = [name for name in head.names if name in head.stations]
    if listed and head.columns.station not in head.names and len(listed) >= len(head.names) // 2:
        return f"its columns are stations of the list ({', '.join(listed[:3])}{' ...' if listed[3:] else ''})"
    return None


@station_format(
    name="wide",
    title="wide table, one row an hour and one column a station (CSV, Parquet)",
    document="docs/observations.md of this program",
    matches=matches,
    repeats="refuse",
    needs_stations=True,
    rank=80,
)
def read_wide(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one table."""
    table = None if context.source.has_suffix(PARQUET) else context.table_of_readings()
    names = parquet_schema(context.source).names if table is None else table.names
    time = _time_columns(names, context)
    columns = _columns(names, time, context)
    if table is not None:
        for block in read_blocks(table, [*time, *columns], context.report):
            yield from _records(block.rows, (time, columns), context, block.where, table.decimal_comma)
        return
    for rows, where in read_row_blocks(context.source, [*time, *columns]):
        yield from _records(rows, (time, columns), context, where, False)


def _split(name: str, known: Collection[str] = ()) -> tuple[str, str | None, str | None]:
    """Return station, pollutant and unit of a column; pollutant and unit None where the column does not name one."""
    match = _JOINED.match(name)
    for station, text in () if match is None else (match.groups(), match.groups()[::-1]):
        try:
            return station.strip(), get_species(text).key, None
        except ObservationsError:
            key, unit = pollutant_and_unit(text.strip())
            if key is not None and station.strip() in known:
                return station.strip(), key, unit
    # "Graz-Nord NO2 [ppb]", "PM10 Graz-Nord": told apart by the stations that are known.
    for at in [match.start() for match in _BETWEEN.finditer(name)] if known else []:
        before, behind = name[:at].strip(" _-"), name[at:].strip(" _-")
        for station, text in ((before, behind), (behind, before)):
            key, unit = pollutant_and_unit(text)
            if key is not None and station in known:
                return station, key, unit
    return name, None, None


def _time_columns(names: Sequence[str], context: ReadContext) -> tuple[str, ...]:
    """Return the columns of the stamps: those that are told, or the usual one.

    Raises
    ------
    ObservationsError
        One is not there.
    """
    time = time_columns(names, context.columns)
    context.require(names, time)
    return time


def _columns(names: list[str], time: Sequence[str], context: ReadContext) -> dict[str, tuple[str, str, str | None]]:
    """Return which station and pollutant each column is.

    Raises
    ------
    ObservationsError
        No column is a station of the list, or the pollutant is not told.
    """
    known = context.stations.keys()
    configured = [get_species(key).key for key, column in context.columns.species.items() if column == "*"]
    named = pollutants_in_name(context.source.filename)
    meanings: dict[str, tuple[str, str, str | None]] = {}
    lost = 0
    for name in names:
        station, key, unit = _split(name, known)
        if name in time:
            continue
        if station not in known:
            lost += 1
            continue
        if key is None:
            if len(configured or named) != 1:
                raise ObservationsError(
                    f"{context.source.name}: column {name!r} names no pollutant: call it {name}:pm25, name the file "
                    "pm25_....csv, or set columns.species.pm25='*'"
                )
            key = (configured or named)[0]
        meanings[name] = (station, key, unit)
    context.report.count("stations_not_listed", lost)
    if not meanings:
        raise ObservationsError(f"{context.source.name}: none of its columns is a station of the station list")
    return meanings


def pollutants_in_name(filename: str) -> list[str]:
    """Return the pollutants that the name of a file names."""
    words = [plain(word) for word in re.split(r"[^A-Za-z0-9.]+", filename.rsplit(".", 1)[0])]
    return [key for key in SPECIES if key in words]


def _records(
    rows: pa.Table,
    roles: tuple[Sequence[str], dict[str, tuple[str, str, str | None]]],
    context: ReadContext,
    where: Where,
    decimal_comma: bool,
) -> Iterator[RawRecords]:
    time, columns = roles
    context.report.rows += rows.num_rows
    rows = stamped_rows(rows, time, context.report)
    clock = context.clock(Clock(column=", ".join(time), doubt="note"))
    end, minutes = stamps_to_minutes(joined_stamps(rows, time), clock, context.report, where)
    for key, unit in dict.fromkeys(what[1:] for what in columns.values()):
        chosen = {name: what[0] for name, what in columns.items() if what[1:] == (key, unit)}
        factor = factor_of(key, unit, context.columns, context.report, where.source)
        readings = [context.readings(rows, name, where, decimal_comma) for name in chosen]
        yield records_of_grid(key, list(chosen.values()), readings, factor, (end, int(minutes)), context, where)


def records_of_grid(
    key: str,
    stations: list[str],
    readings: Sequence[Readings],
    factor: float,
    times: tuple[NDArray[np.int32], int],
    context: ReadContext,
    where: Where,
) -> RawRecords:
    """Return columns of one pollutant, each of a station, as records.

    Parameters
    ----------
    key : str
        The pollutant.
    stations : list of str
        The station of each column.
    readings : sequence of Readings
        The columns.
    factor : float
        By what they are multiplied.
    times : (ndarray, int)
        End of each row's averaging period (int32, minutes since 1970), and its length: one series of stamps has one.
    context, where
        The file, and where the first row stands.
    """
    end, minutes = times
    flags = {}
    if any(each.flags is not None for each in readings):
        none = np.zeros(len(end), np.int8)
        flags = {key: np.stack([none if each.flags is None else each.flags for each in readings], axis=1).ravel()}
    records = RawRecords(
        where.source,
        station_table(stations),
        np.tile(np.arange(len(stations), dtype=np.int32), len(end)),
        np.repeat(end, len(stations)),
        minutes,
        {key: as_float32(np.stack([each.values for each in readings], axis=1).ravel(), factor)},
        flags,
    )
    return drop_incomplete(records, context.report)
