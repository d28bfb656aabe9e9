"""Wide tables: one row an hour, one column a station (CSV or Parquet), placed by a station list.

Described in docs/observations.md of this program. The time column is ``columns.time``; every other column is a
station of the list, or a station and a pollutant joined by a colon (``1001A:pm25``) or ``__``. Where columns name
only stations the pollutant stands in the file's name (``pm25_2019.csv``) or is told: ``columns.species.pm25=*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.files import PARQUET
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.parse_numbers import to_numbers
from aqreanalysis.observations.raw_records import RawRecords, as_float32, drop_incomplete, station_table
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import parquet_schema, read_blocks, read_row_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes
from aqreanalysis.observations.units import conversion
from aqreanalysis.species import SPECIES, get_species

_JOINED = re.compile(r"^(.+?)(?::|__)(.+)$")


def matches(head: FileHead) -> str | None:
    """Return why a file is a wide table: its columns join stations with pollutants."""
    joined = [name for name in head.names if _split(name)[1] is not None]
    return f"its columns join stations with pollutants ({', '.join(joined[:3])} ...)" if joined else None


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
    context.require(names, [context.columns.time])
    columns = _columns(names, context)
    if table is not None:
        for block in read_blocks(table, [context.columns.time, *columns], context.report):
            yield from _records(block.rows, columns, context, block.where, table.decimal_comma)
        return
    for rows, where in read_row_blocks(context.source, [context.columns.time, *columns]):
        yield from _records(rows, columns, context, where, False)


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


def _columns(names: list[str], context: ReadContext) -> dict[str, tuple[str, str]]:
    """Return which station and pollutant each column is.

    Raises
    ------
    ObservationsError
        No column is a station of the list, or the pollutant is not told.
    """
    known = context.stations.keys()
    configured = [get_species(key).key for key, column in context.columns.species.items() if column == "*"]
    words = re.split(r"[^A-Za-z0-9.]+", context.source.filename.rsplit(".", 1)[0].lower())
    named = [key for key in SPECIES if key in words]
    meanings: dict[str, tuple[str, str]] = {}
    lost = 0
    for name in names:
        station, key = _split(name)
        if name == context.columns.time:
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


def _records(
    rows: pa.Table, columns: dict[str, tuple[str, str]], context: ReadContext, where: Where, decimal_comma: bool
) -> Iterator[RawRecords]:
    context.report.rows += rows.num_rows
    clock = context.clock(Clock(column=context.columns.time))
    end, minutes = stamps_to_minutes(rows[context.columns.time], clock, context.report, where)
    for key in dict.fromkeys(key for _, key in columns.values()):
        chosen = {name: station for name, (station, k) in columns.items() if k == key}
        unit = context.columns.units.get(key, SPECIES[key].units)
        factor = conversion(key, unit, context.columns, f"columns.units.{key}")
        grid = np.stack(
            [to_numbers(rows[n], f"column {n!r}", where, context.report, decimal_comma) for n in chosen], axis=1
        )
        records = RawRecords(
            where.source,
            station_table(list(chosen.values())),
            np.tile(np.arange(len(chosen), dtype=np.int32), len(end)),
            np.repeat(end, len(chosen)),
            minutes,
            {key: as_float32(grid.ravel(), factor)},
        )
        yield drop_incomplete(records, context.report)
