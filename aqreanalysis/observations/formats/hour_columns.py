"""Tables with a row a day and a column an hour: ``H01 ... H24``, ``00 ... 23`` (CSV), as many networks publish them.

Described in docs/observations.md of this program. Madrid (``H01``, with ``V01`` beside it that says whether the hour
is valid, and year, month and day in columns), Taiwan (``00`` to ``23`` behind station, date and pollutant) and Canada's
NAPS (``H01``) write so. Columns of the station, the date and the pollutant are found by their usual names or told
(``columns.station``, ``.time``, ``.parameter``); year, month and day by ``columns.time=[year, month, day]``. Hours
counted from 1 are stamped at their end, from 0 at their start, in the clock ``columns.time_zone``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.averaging_periods import NO_TIME
from aqreanalysis.observations.column_names import HOUR_COLUMN, configured_or_usual
from aqreanalysis.observations.columns import RowPlaces, find_row_places
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, Texts, records_from_long, rows_of_known
from aqreanalysis.observations.parse_numbers import Readings, to_texts
from aqreanalysis.observations.pollutant_codes import keys_of_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import TextBlock, read_blocks
from aqreanalysis.observations.times import Clock, day_zone, joined_stamps, shown_to_utc, stamps_to_minutes

_VALIDITY = re.compile(r"^v[ _]?(\d{1,2})$", re.IGNORECASE)


def hour_columns(names: Sequence[str]) -> dict[int, str]:
    """Return hour -> its column if a table has one for each of the 24 hours (from 0 or from 1 on), else nothing."""
    by_hour: dict[int, str] = {}
    for name in names:
        match = HOUR_COLUMN.match(name.strip())
        if match is not None:
            by_hour.setdefault(int(match.group(1)), name)
    for first in (1, 0):
        if all(hour in by_hour for hour in range(first, first + 24)):
            return {hour: by_hour[hour] for hour in range(first, first + 24)}
    return {}


def matches(head: FileHead) -> str | None:
    """Return why a file is such a table."""
    hours = hour_columns(head.names)
    if head.stations.issuperset(hours.values()):  # stations that are numbered, of a wide table
        return None
    return f"it has a column an hour, {hours[min(hours)]} to {hours[max(hours)]}" if hours else None


@station_format(
    name="hour-columns",
    title="a row a day and a column an hour (H01 to H24: Madrid, Taiwan, NAPS)",
    document="docs/observations.md of this program",
    matches=matches,
    repeats="refuse",
    moved="refuse",
    periods_stated=True,
    rank=70,
)
def read_hour_columns(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one file, a block at a time."""
    table = context.table_of_readings()
    hours = hour_columns(table.names)
    parameter = configured_or_usual("parameter", table.names, context.columns)
    if not hours or parameter is None or parameter not in table.names:
        missing = "24 columns of hours (H01 to H24, 00 to 23)" if not hours else "a column of pollutants"
        raise ObservationsError(
            f"{context.source.name}: without {missing} (there are: {', '.join(table.names):.200}); set "
            "columns.parameter"
        )
    places = find_row_places(table.names, context.columns, context.source.name, bool(context.stations))
    unit = configured_or_usual("unit", table.names, context.columns)
    valid = {int(m.group(1)): n for n in table.names if (m := _VALIDITY.match(n.strip())) is not None}
    wanted = [*places.time, places.station, places.lat, places.lon, parameter, unit, *hours.values(), *valid.values()]
    for block in read_blocks(table, list(dict.fromkeys(n for n in wanted if n is not None)), context.report):
        yield from _records(block, (places, parameter, unit), (hours, valid), context)


def _records(
    block: TextBlock,
    what: tuple[RowPlaces, str, str | None],
    columns: tuple[dict[int, str], dict[int, str]],
    context: ReadContext,
) -> Iterator[RawRecords]:
    """Yield a day's rows as rows of hours: the first hour of all rows, then the second ..."""
    (places, parameter, unit), (hours, valid), rows, where = what, columns, block.rows, block.where
    names = to_texts(rows[parameter])
    keys = keys_of_texts(names[1], parameter, context.columns, where.source, numbers="madrid")
    rows, names = rows_of_known(rows, names, keys, context)
    n, count, first = rows.num_rows, len(hours), min(hours)
    day, zone = _days(rows, places, context, where)
    readings = [context.readings(rows, name, where) for name in hours.values()]
    value = np.concatenate([each.values for each in readings]) if readings else np.empty(0)
    flags = [np.zeros(n, np.int8) if each.flags is None else each.flags for each in readings]
    for at, hour in enumerate(hours):
        if hour in valid:
            value[at * n : (at + 1) * n][_invalid(rows, valid[hour])] = np.nan
    ends = [np.where(day == NO_TIME, NO_TIME, day + 60 * (hour + (first == 0))) for hour in hours]
    station: Texts = (np.zeros(n, np.int32), [context.columns.place.station if context.columns.place else ""])
    if places.station is not None:
        station = to_texts(rows[places.station])
    units = (np.full(n, -1, np.int32), []) if unit is None else to_texts(rows[unit])
    lat, lon = (_degrees(rows, role, places, context, where) for role in ("lat", "lon"))
    long_table = LongTable(
        station=(np.tile(station[0], count), station[1]),
        pollutant=(np.tile(names[0], count), names[1]),
        unit=(np.tile(units[0], count), units[1]),
        end=shown_to_utc(np.concatenate(ends).astype(np.int32), zone, context.report),
        minutes=60,
        readings=Readings(value, np.concatenate(flags)),
        lat=None if lat is None else np.tile(lat, count),
        lon=None if lon is None else np.tile(lon, count),
    )
    yield from records_from_long(long_table, keys, context, where)


def _days(rows: pa.Table, places: RowPlaces, context: ReadContext, where: Where) -> tuple[NDArray[np.int32], str]:
    """Return the minute (since 1970) at which the day of each row begins, `NO_TIME` where it has none, in `day_zone` of
    the clock, and that clock."""
    clock = Clock.of(context.columns, Clock(column=", ".join(places.time), doubt="note"))
    # What is stamped is the day: whether hours stand at their start their numbers say.
    days = replace(clock, zone=day_zone(clock.zone), stamp="end")
    return stamps_to_minutes(joined_stamps(rows, places.time), days, context.report, where)[0], clock.zone


def _invalid(rows: pa.Table, column: str) -> NDArray[np.bool_]:
    """Return where a column of validity says that an hour is not valid: all but V, bool (row,)."""
    codes, words = to_texts(rows[column])
    return np.array([word.upper() != "V" for word in words] + [False])[codes]


def _degrees(
    rows: pa.Table, role: str, places: RowPlaces, context: ReadContext, where: Where
) -> NDArray[np.floating] | None:
    """Return latitude or longitude of the rows, None where a list gives them."""
    column, place = getattr(places, role), context.columns.place
    if column is not None:
        return context.readings(rows, column, where).values
    alone = None if place is None else getattr(place, role)
    return None if alone is None else np.full(rows.num_rows, float(alone))
