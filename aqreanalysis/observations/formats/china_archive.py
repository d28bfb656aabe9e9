"""Archive of the Chinese national network: ``china_sites_YYYYMMDD.csv``, rows of hour and type, columns of stations.

Described at https://quotsoft.net/air/ : columns ``date`` (YYYYMMDD), ``hour`` (0 to 23, Beijing time), ``type``
(AQI, PM2.5, PM2.5_24h, PM10, PM10_24h, SO2, SO2_24h, NO2, NO2_24h, O3, O3_24h, O3_8h, O3_8h_24h, CO, CO_24h), then
one column a station under its code (1001A); ug/m3, CO in mg/m3; empty where missing. The network publishes the mean
of the hour before the stamp. The codes are placed by the archive's station list. Only the hourly types are read.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.formats.wide import records_of_grid
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.table_blocks import TextBlock, read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes

TYPES = {"PM2.5": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "O3": "o3", "CO": "co"}
FIXED = ("date", "hour", "type")


@station_format(
    name="china-archive",
    title="archive of the Chinese network (china_sites_YYYYMMDD.csv)",
    document="https://quotsoft.net/air/",
    columns=FIXED,
    filename=r"china_sites_\d{8}\.csv",
    needs_stations=True,
    periods_stated=True,
)
def read_china_archive(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the six hourly pollutants of one day's file, of the stations that the list knows."""
    table = context.table()
    context.require(table.names, FIXED)
    known = context.stations.keys()
    stations = [name for name in table.names if name not in FIXED and name in known]
    context.report.count("stations_not_listed", len(table.names) - len(FIXED) - len(stations))
    for block in read_blocks(table, [*FIXED, *stations], context.report):
        yield from _records(block, stations, context)


def _records(block: TextBlock, stations: list[str], context: ReadContext) -> Iterator[RawRecords]:
    context.report.rows += block.rows.num_rows
    clock = context.clock(Clock("Asia/Shanghai", "end", "%Y%m%d-%H", "date, hour"))
    stamps = pc.binary_join_element_wise(*(block.rows[name].combine_chunks() for name in FIXED[:2]), "-")
    end, minutes = stamps_to_minutes(pa.chunked_array([stamps]), clock, context.report, block.where)
    kinds, names = to_texts(block.rows["type"])
    columns = [context.readings(block.rows, station, block.where) for station in stations]
    for kind, name in enumerate(names if stations else ()):
        if name not in TYPES:
            continue
        of_kind = kinds == kind
        readings = [each.of_rows(of_kind) for each in columns]
        times = end[of_kind], int(minutes)
        yield records_of_grid(TYPES[name], stations, readings, 1.0, times, context, block.where)
