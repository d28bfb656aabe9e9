"""Japan's Soramame-kun: preliminary hours of a station and month, ``202301_14209050.csv`` from its download page.

Layout as https://soramame.env.go.jp/download delivers it (Shift-JIS): ``日付`` (2023/01/01), ``時`` (1 to 24), then
SO2(ppm), NO(ppm), NO2(ppm), ..., Ox(ppm), SPM(mg/m3), PM2.5(μg/m3) and weather; perhaps ``測定局コード``, which else
stands in the file's name. An hour is named by its end, Japan's clock (+09:00). Photochemical oxidants (Ox) are taken as
ozone, which they are all but wholly; SPM (below 10 um, all of it) is no PM10 and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from aqreanalysis.observations.column_names import pollutant_and_unit, pollutant_of
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import ColumnTable, PollutantColumns, one_text, records_from_columns
from aqreanalysis.observations.parse_numbers import CellRules, to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, FileStation, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, ends_of_hours
from aqreanalysis.observations.units import factor_of

DATE, HOUR, STATION = "日付", "時", "測定局コード"
_OXIDANTS = re.compile(r"^ox\s*\(", re.IGNORECASE)
_MISSING = (9997, 9998, 9999, -99, -999)


def _pollutants(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return pollutant -> its column and unit."""
    columns: dict[str, tuple[str, str]] = {}
    for name in names:
        key, unit = pollutant_and_unit(_OXIDANTS.sub("O3(", name.strip()))
        if key is not None and unit is not None:
            columns[key] = name, unit
    return columns


def matches(head: FileHead) -> str | None:
    """Return why a file is of Soramame-kun."""
    names = head.names_in("cp932") if head.text else []
    return (
        f"it has {DATE}, {HOUR} and pollutants with units"
        if {DATE, HOUR} <= set(names) and _pollutants(names)
        else None
    )


@station_format(
    name="soramame",
    title="Japan's Soramame-kun, hours of a station and month (CSV, Shift-JIS)",
    document="https://soramame.env.go.jp/download",
    matches=matches,
    texts_alone=True,
    periods_stated=True,
)
def read_soramame(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file, a block at a time."""
    context.encoding = "cp932"
    table = context.table()
    context.require(table.names, (DATE, HOUR))
    columns = _pollutants(table.names)
    if "o3" in columns and pollutant_of(columns["o3"][0].partition("(")[0]) is None:
        context.report.note("o3: photochemical oxidants (Ox) taken as ozone")
    alone = STATION not in table.names or context.columns.place is not None
    station = _of_file(context) if alone else None
    wanted = [DATE, HOUR, *([] if alone else [STATION]), *(name for name, _ in columns.values())]
    for block in read_blocks(table, wanted, context.report):
        yield from _records(block.rows, columns, station, context, block.where)


def _of_file(context: ReadContext) -> FileStation:
    stem = context.source.stem
    code = re.search(r"(\d{8})$", stem) or re.search(r"(?<!\d)(\d{8})(?!\d)", stem)
    return context.one_station([code.group(1), stem] if code else [stem])


def _records(
    rows: pa.Table,
    columns: dict[str, tuple[str, str]],
    station: FileStation | None,
    context: ReadContext,
    where: Where,
) -> Iterator[RawRecords]:
    n = rows.num_rows
    first = next((text for text in rows[DATE].slice(0, 20).to_pylist() if text), "")
    clock = context.clock(Clock("+09:00", "end", "%Y/%m/%d" if "/" in first else None, DATE))
    end = ends_of_hours(rows[DATE], context.readings(rows, HOUR, where).values, clock, context.report, where)
    rules = CellRules(False, (*context.columns.missing, *_MISSING))
    measured = PollutantColumns()
    for key, (name, unit) in columns.items():
        readings = to_readings(rows[name], f"column {name!r}", where, context.report, rules)
        measured.add(key, readings, factor_of(key, unit, context.columns, context.report, where.source))
    ids = one_text(station.id, n) if station is not None else to_texts(rows[STATION])
    lat, lon = (None, None) if station is None else (np.full(n, station.lat), np.full(n, station.lon))
    yield from records_from_columns(ColumnTable(ids, end, 60, measured, lat, lon), context, where)
