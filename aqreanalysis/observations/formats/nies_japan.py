"""Japan's validated hours of the National Institute for Environmental Studies: a row a day, 24 columns, by fiscal year.

Layout as its data base (https://tenbou.nies.go.jp/download) delivers it (``j13_2023``, Shift-JIS): ``測定年度`` (a
year from April on), ``測定局コード``, ``測定項目コード`` (PM25, PMFL, PMBH: PM2.5 by method; SO2, NO2, OX, CO ...),
``測定単位コード`` (PPB, 0.1PPM, UG/M3), ``測定月``, ``測定日`` and 24 hours, padded with blanks. An hour is named by
its end, Japan's clock (+09:00); 9997, 9998 and 9999 are missing. Oxidants (OX) are taken as ozone; SPM is no PM10 and
left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from aqreanalysis.observations.averaging_periods import NO_TIME
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, records_from_long
from aqreanalysis.observations.parse_numbers import CellRules, Readings, to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import TextTable, read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_instants

COLUMNS = ("測定年度", "測定局コード", "測定項目コード", "測定単位コード", "測定月", "測定日")
ITEMS = {"PM25": "pm25", "PMFL": "pm25", "PMBH": "pm25", "SO2": "so2", "NO2": "no2", "OX": "o3", "CO": "co"}
# A unit's factor and what it then is.
UNITS = {"PPB": (1.0, "ppb"), "0.1PPM": (0.1, "ppm"), "PPM": (1.0, "ppm"), "UG/M3": (1.0, "ug/m3")}
_HOUR = re.compile(r"^\s*(\d{1,2})\s*(?:時|h|H)?\s*$")
_MISSING = (9997, 9998, 9999)


def _hours(names: list[str]) -> dict[int, str]:
    hours = {int(match.group(1)): name for name in names if (match := _HOUR.match(name))}
    return hours if set(range(1, 25)) <= set(hours) else {}


def matches(head: FileHead) -> str | None:
    """Return why a file is of this data base."""
    names = head.names_in("cp932") if head.text else []
    return (
        f"it has the columns {', '.join(COLUMNS)} and 24 hours"
        if set(COLUMNS) <= set(names) and _hours(names)
        else None
    )


@station_format(
    name="nies-japan",
    title="Japan's validated hours (NIES, j13_2023, Shift-JIS)",
    document="https://tenbou.nies.go.jp/download",
    matches=matches,
    texts_alone=True,
    needs_stations=True,
    periods_stated=True,
)
def read_nies_japan(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the days of one file as hours, a block at a time."""
    context.encoding = "cp932"
    table = context.table()
    context.require(table.names, COLUMNS)
    hours = _hours(table.names)
    context.require([f"hour {hour}" for hour in hours], ("hour 1", "hour 24"))
    context.report.note("o3: photochemical oxidants (OX) taken as ozone")
    for block in read_blocks(table, [*COLUMNS, *hours.values()], context.report):
        yield from _records(block.rows, table, context, block.where)


def _records(rows: pa.Table, table: TextTable, context: ReadContext, where: Where) -> Iterator[RawRecords]:
    hours, n = _hours(table.names), rows.num_rows
    year, month, day = (context.readings(rows, name, where).values for name in ("測定年度", "測定月", "測定日"))
    calendar = np.nan_to_num(year + (month < 4)).astype(int)
    texts = [
        f"{y:04d}-{m:02.0f}-{d:02.0f}"
        for y, m, d in zip(calendar, np.nan_to_num(month), np.nan_to_num(day), strict=True)
    ]
    midnight = stamps_to_instants(
        pa.array(texts), context.clock(Clock("+09:00", "end", None, "測定日")), context.report, where
    )
    rules = CellRules(False, (*context.columns.missing, *_MISSING))
    units = to_texts(rows["測定単位コード"])
    factors = np.array([UNITS.get(text, (1.0, text))[0] for text in units[1]] + [1.0])[units[0]]
    names = [UNITS.get(text, (1.0, text))[1] for text in units[1]]
    station, item = to_texts(rows["測定局コード"]), to_texts(rows["測定項目コード"])
    readings = [to_readings(rows[name], f"column {name!r}", where, context.report, rules) for name in hours.values()]
    flags = [np.zeros(n, np.int8) if each.flags is None else each.flags for each in readings]
    ends = [np.where(midnight == NO_TIME, NO_TIME, midnight + 60 * hour) for hour in hours]
    count = len(hours)
    instrument = np.array([*range(len(item[1])), 0], dtype=np.int64)[item[0]]
    long_table = LongTable(
        station=(np.tile(station[0], count), station[1]),
        pollutant=(np.tile(item[0], count), item[1]),
        unit=(np.tile(units[0], count), names),
        end=np.concatenate(ends).astype(np.int32),
        minutes=60,
        readings=Readings(np.concatenate([each.values * factors for each in readings]), np.concatenate(flags)),
        instrument=np.tile(instrument, count),
    )
    yield from records_from_long(long_table, ITEMS, context, where)
