"""Wide tables: one row an hour, one column a station (CSV or Parquet), placed by a station list.

Described in docs/observations.md of this program. The time column is ``columns.time``; every other column is a
station of the list, or a station and a pollutant joined by a colon (``1001A:pm25``) or ``__``. Where columns name
only stations the pollutant stands in the file's name (``pm25_2019.csv``) or is told: ``columns.species.pm25=*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import configured_or_usual, plain
from aqreanalysis.observations.files import PARQUET
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.parse_numbers import Readings
from aqreanalysis.observations.raw_records import RawRecords, as_float32, drop_incomplete, station_table
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import parquet_schema, read_blocks, read_row_blocks
from aqreanalysis.observations.times import Clock, joined_stamps, stamps_to_minutes
from aqreanalysis.observations.units import factor_of
from aqreanalysis.species import SPECIES, get_species

_JOINED = re.compile(r"^(.+?)(?::|__)(.+)$")


def matches(head: FileHead) -> str | None:
    """Return why a file is a wide table: its columns join stations with pollutants."""
    joined = [name for name in head.names if _split(name)[1] is not None]
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
    table = None if context.source.has_suffix(PARQUET) else context.table()
    names = parquet_schema(context.source).names if table is None else table.names
    time = _time_columns(names, context)
    columns = _columns(names, time, context)
    if table is not None:
        for block in read_blocks(table, [*time, *columns], context.report):
            yield from _records(block.rows, (time, columns), context, block.where, table.decimal_comma)
        return
    for rows, where in read_row_blocks(context.source, [*time, *columns]):
        yield from _records(rows, (time, columns), context, where, False)


def _split(name: str) -> tuple[str, str | None]:
    """Return station and pollutant of a column, the pollutant None where the column does not name one."""
    match = _JOINED.match(name)
    if match is None:
        return name, None
    for station, text in (match.groups(), match.groups()[::-1]):
        try:
            return station.strip(), get_species(text).key
        except ObservationsError:
            continue
    return name, None


def _time_columns(names: Sequence[str], context: ReadContext) -> tuple[str, ...]:
    """Return the columns of the stamps: those that are told, or the usual one.

    Raises
    ------
    ObservationsError
        One is not there.
    """
    time = context.columns.time_columns
    if time == ("time",) and "time" not in names:
        usual = configured_or_usual("time", names, context.columns)
        time = (usual,) if usual is not None and usual in names else time
    context.require(names, time)
    return time


def _columns(names: list[str], time: Sequence[str], context: ReadContext) -> dict[str, tuple[str, str]]:
    """Return which station and pollutant each column is.

    Raises
    ------
    ObservationsError
        No column is a station of the list, or the pollutant is not told.
    """
    known = context.stations.keys()
    configured = [get_species(key).key for key, column in context.columns.species.items() if column == "*"]
    named = pollutants_in_name(context.source.filename)
    meanings: dict[str, tuple[str, str]] = {}
    lost = 0
    for name in names:
        station, key = _split(name)
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
        meanings[name] = (station, key)
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
    roles: tuple[Sequence[str], dict[str, tuple[str, str]]],
    context: ReadContext,
    where: Where,
    decimal_comma: bool,
) -> Iterator[RawRecords]:
    time, columns = roles
    context.report.rows += rows.num_rows
    clock = context.clock(Clock(column=", ".join(time)))
    end, minutes = stamps_to_minutes(joined_stamps(rows, time), clock, context.report, where)
    for key in dict.fromkeys(key for _, key in columns.values()):
        chosen = {name: station for name, (station, k) in columns.items() if k == key}
        factor = factor_of(key, None, context.columns, context.report, where.source)
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
