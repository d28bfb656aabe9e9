"""Sensor.Community (luftdaten.info), files of its archive: ``2020-01-01_sds011_sensor_140.csv``, months in a zip.

Layout as https://archive.sensor.community delivers it: ``sensor_id;sensor_type;location;lat;lon;timestamp;P1;durP1;
ratioP1;P2;durP2;ratioP2``, other sensors of particles with P0 and P4 beside them; P1 is PM10, P2 PM2.5, in ug/m3; UTC.
Sensors report every two or three minutes, each in its own rhythm: an hour is the mean of its reports, weighted by that
rhythm, and flagged where they cover less than ``columns.completeness`` of it. 999.9 and 1999.9 are where the SDS011
ends, no readings. Light scattering overestimates in damp air; no correction is applied, because humidity is in the file
of another sensor. Files of sensors of weather hold nothing for this program.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from aqreanalysis.observations.averaging_periods import usual_distances
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import ColumnTable, PollutantColumns, one_text, records_from_columns
from aqreanalysis.observations.parse_numbers import CellRules, to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_instants
from aqreanalysis.observations.units import factor_of

COLUMNS = ("sensor_id", "sensor_type", "lat", "lon", "timestamp")
POLLUTANTS = {"P1": "pm10", "P2": "pm25"}
# Where the scale of the SDS011 ends.
SATURATED = (999.9, 1999.9)
# Reports farther apart are a gap; a sensor of one report is taken to report every so many minutes, as most do.
LONGEST_MINUTES, USUAL_MINUTES = 30, 3


@station_format(
    name="sensor-community",
    title="Sensor.Community archive (2020-01-01_sds011_sensor_140.csv), low-cost sensors",
    document="https://archive.sensor.community",
    columns=COLUMNS,
    filename=r"\d{4}-\d\d(-\d\d)?_.*\.csv",
)
def read_sensor_community(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the reports of one file, a block at a time."""
    table = context.table()
    context.require(table.names, COLUMNS)
    readings = [name for name in POLLUTANTS if name in table.names]
    if not readings:
        context.report.note(f"{context.source.name}: a sensor of no particles (no P1, P2): left out")
        return
    context.report.note("Sensor.Community: low-cost sensors, as they report, not corrected for humidity")
    for block in read_blocks(table, [*COLUMNS, *readings], context.report):
        yield from _records(block.rows, readings, context, block.where)


def _records(rows: pa.Table, readings: list[str], context: ReadContext, where: Where) -> Iterator[RawRecords]:
    station = to_texts(rows["sensor_id"])
    end = stamps_to_instants(
        rows["timestamp"], context.clock(Clock("UTC", "end", None, "timestamp")), context.report, where
    )
    minutes = usual_distances(end, station[0], LONGEST_MINUTES, USUAL_MINUTES)
    rules = CellRules(False, (*context.columns.missing, *SATURATED, "unavailable", "unknown"))
    measured = PollutantColumns()
    for name in readings:
        key = POLLUTANTS[name]
        column = to_readings(rows[name], f"column {name!r}", where, context.report, rules)
        measured.add(key, column, factor_of(key, "ug/m3", context.columns, context.report, where.source))
    lat, lon = (context.readings(rows, name, where).values for name in ("lat", "lon"))
    labels = {"network": one_text("Sensor.Community", rows.num_rows)}
    yield from records_from_columns(ColumnTable(station, end, minutes, measured, lat, lon, labels), context, where)
