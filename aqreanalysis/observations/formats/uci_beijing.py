"""UCI 501, Beijing Multi-Site Air-Quality Data: ``PRSA_Data_<site>_20130301-20170228.csv``, one file a site.

Described at https://archive.ics.uci.edu/dataset/501 ("Additional variable information"): No, year, month, day,
hour, PM2.5, PM10, SO2, NO2, CO, O3 (all ug/m^3), TEMP, PRES, DEWP, RAIN, wd, WSPM, station; NA where missing. It
says neither clock nor stamp: the hours are Beijing time, as an independent UTC feed of the same stations shows, and
are taken for the end of the averaging hour. The files give no coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import PollutantColumns
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords, drop_incomplete, station_table
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes
from aqreanalysis.observations.units import factor_of

COLUMNS = {"PM2.5": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "CO": "co", "O3": "o3"}
STAMP = ("year", "month", "day", "hour")


@station_format(
    name="uci-beijing",
    title="UCI Beijing Multi-Site (PRSA_Data_*.csv)",
    document="https://archive.ics.uci.edu/dataset/501",
    columns=("No", *STAMP, *COLUMNS, "TEMP", "PRES", "DEWP", "RAIN", "wd", "WSPM", "station"),
    filename=r"PRSA_Data_.*\.csv",
    needs_stations=True,
    periods_stated=True,
)
def read_uci_beijing(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one site's file."""
    table = context.table()
    context.require(table.names, [*STAMP, *COLUMNS, "station"])
    clock = context.clock(Clock("Asia/Shanghai", "end", "%Y-%m-%d-%H", "year, month, day, hour"))
    for block in read_blocks(table, [*STAMP, *COLUMNS, "station"], context.report):
        context.report.rows += block.rows.num_rows
        stamps = pc.binary_join_element_wise(*(block.rows[name].combine_chunks() for name in STAMP), "-")
        end, minutes = stamps_to_minutes(pa.chunked_array([stamps]), clock, context.report, block.where)
        station, ids = to_texts(block.rows["station"])
        measured = PollutantColumns()
        for column, key in COLUMNS.items():
            readings = context.readings(block.rows, column, block.where)
            measured.add(key, readings, factor_of(key, "ug/m3", context.columns, context.report, column))
        at = np.asarray(station, np.int32)
        records = RawRecords(
            block.where.source, station_table(ids), at, end, int(minutes), measured.values, measured.flags
        )
        yield drop_incomplete(records, context.report)
