"""AirNow's hourly observations with places: ``HourlyAQObs_YYYYMMDDHH.dat``, one row a site and hour.

Described in https://docs.airnowapi.org/docs/HourlyAQObsFactSheet.pdf : quoted CSV with a header, AQSID, SiteName,
Status, Latitude, Longitude, GMTOffset, ValidDate (MM/DD/YYYY) and ValidTime (HH:MM), both GMT, ``*_AQI`` and
``*_Measured``, and for each of PM25, PM10, OZONE, NO2, SO2 and CO a reading and its unit (UG/M3, PPB, PPM). The stamp
is taken as that of the files HourlyData of the same name, at the end of the hour; where that does not hold,
columns.stamp=start. Sites without one reading in an hour are left out of it. A later file of an hour counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import ColumnTable, PollutantColumns, in_own_units, records_from_columns
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, joined_stamps, stamps_to_minutes

COLUMNS = ("AQSID", "SiteName", "Latitude", "Longitude", "ValidDate", "ValidTime")
POLLUTANTS = {"PM25": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "OZONE": "o3", "CO": "co"}


@station_format(
    name="airnow-aqobs",
    title="AirNow hourly observations (HourlyAQObs_*.dat)",
    document="https://docs.airnowapi.org/docs/HourlyAQObsFactSheet.pdf",
    columns=(*COLUMNS, "GMTOffset", "DataSource"),
    filename=r"HourlyAQObs_\d{10}\.(dat|csv)",
    temperature_celsius=25.0,
    periods_stated=True,
)
def read_airnow_aqobs(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file, a block at a time."""
    context.encoding = "latin-1"
    table = context.table()
    context.require(table.names, COLUMNS)
    there = [name for name in POLLUTANTS if name in table.names and f"{name}_Unit" in table.names]
    if not there:
        context.require(table.names, ("PM25", "PM25_Unit"))
    wanted = [*COLUMNS, *there, *(f"{name}_Unit" for name in there)]
    for block in read_blocks(table, wanted, context.report):
        yield from _records(block.rows, there, context, block.where)


def _records(rows: pa.Table, there: list[str], context: ReadContext, where: Where) -> Iterator[RawRecords]:
    clock = context.clock(Clock("UTC", "end", "%m/%d/%Y %H:%M", "ValidDate, ValidTime"))
    end, _ = stamps_to_minutes(joined_stamps(rows, ("ValidDate", "ValidTime")), clock, context.report, where)
    measured = PollutantColumns()
    for name in there:
        readings, unit = context.readings(rows, name, where), to_texts(rows[f"{name}_Unit"])
        measured.values[POLLUTANTS[name]] = in_own_units(POLLUTANTS[name], readings, unit, context, where)
    lat, lon = (context.readings(rows, name, where).values for name in ("Latitude", "Longitude"))
    labels = {"name": to_texts(rows["SiteName"])}
    sites = ColumnTable(to_texts(rows["AQSID"]), end, 60, measured, lat, lon, labels)
    for records in records_from_columns(sites, context, where):
        yield records.where(np.any(np.isfinite(np.stack(list(records.values.values()))), axis=0, keepdims=True)[0])
