"""CSV of what openair's ``importUKAQ(..., meta = TRUE)`` returns: one row a site and hour, one column a pollutant.

Described in the manual of openair (https://cran.r-project.org/package=openair, importUKAQ): source, site, code,
date (GMT), nox, no2, no, o3, so2, co, pm10, pm2.5 ..., ws, wd, air_temp and with ``meta`` latitude, longitude,
site_type; ug/m3, CO in mg/m3. openair takes stamps for the START of the hour (issues 86 and 355 of
openair-project/openair). Without ``meta`` a station list places the codes.
"""

from __future__ import annotations

from collections.abc import Iterator

from aqreanalysis.observations.column_names import usual_column
from aqreanalysis.observations.columns import find_columns
from aqreanalysis.observations.formats.narrow import find_roles, records_of_measurements
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.tables import records_of_rows


@station_format(
    name="openair",
    title="CSV of openair's importUKAQ (AURN, AQE, SAQN, WAQN, NI, LAQN)",
    document="https://cran.r-project.org/package=openair",
    columns=("site", "code", "date"),
)
def read_openair(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file, a block at a time."""
    table = context.table()
    context.require(table.names, ("site", "code", "date"))
    own = {"station": "code", "time": "date", "lat": "latitude", "lon": "longitude", "city": None}
    own["stamp"] = context.columns.stamp or "start"
    columns = context.columns.model_copy(update=own)
    if all(usual_column(role, table.names) for role in ("parameter", "value")):  # importUKAQ(to_narrow = TRUE)
        context.columns = columns
        narrow = find_roles(table.names, context)
        for block in read_blocks(table, narrow.needed(), context.report):
            yield from records_of_measurements(block.rows, narrow, context, block.where)
        return
    roles = find_columns(table.names, columns, context.source.name, places_given=bool(context.stations))
    for block in read_blocks(table, roles.needed(), context.report):
        context.report.rows += block.rows.num_rows
        yield from records_of_rows(block.rows, roles, columns, context.report, block.where, table.decimal_comma)
