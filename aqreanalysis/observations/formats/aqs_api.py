"""US EPA Air Quality System, its API: JSON of ``sampleData`` (byState, byCounty, bySite, byBox, byCBSA).

Described at https://aqs.epa.gov/aqsweb/documents/data_api.html : ``Header`` and ``Data``, each row with state_code,
county_code, site_number, parameter_code, poc, latitude, longitude, date_gmt, time_gmt (the time of day that sampling
began), sample_measurement, units_of_measure, sample_duration ("1 HOUR"), detection_limit, qualifier and method. Rows of
longer samples are left out; a reading that the network took out is null. It is read as the hourly files are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.files import read_json
from aqreanalysis.observations.formats.aqs import aqs_records
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import TextBlock

# Columns of the hourly files -> fields of the API.
FIELDS = {
    "State Code": "state_code",
    "County Code": "county_code",
    "Site Num": "site_number",
    "Parameter Code": "parameter_code",
    "POC": "poc",
    "Latitude": "latitude",
    "Longitude": "longitude",
    "Date GMT": "date_gmt",
    "Time GMT": "time_gmt",
    "Sample Measurement": "sample_measurement",
    "Units of Measure": "units_of_measure",
    "MDL": "detection_limit",
}
# Rows that are made a table at a time.
BLOCK_ROWS = 200_000


def matches(head: FileHead) -> str | None:
    """Return why a file is an answer of the API."""
    if '"Header"' in head.text and '"state_code"' in head.text:
        return "it is JSON with Header and rows of state_code"
    return None


@station_format(
    name="aqs-api",
    title="US EPA AQS API, sampleData (JSON)",
    document="https://aqs.epa.gov/aqsweb/documents/data_api.html",
    matches=matches,
    texts_alone=True,
    temperature_celsius=25.0,
    periods_stated=True,
)
def read_aqs_api(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one answer."""
    rows = _rows(read_json(context.source), context.source.name)
    hourly = [row for row in rows if str(row.get("sample_duration", "1 HOUR")).upper() == "1 HOUR"]
    context.report.count("rows_not_hourly", len(rows) - len(hourly))
    for first in range(0, len(hourly), BLOCK_ROWS):
        where = Where(context.source.name, first + 1, "hourly row")
        part = hourly[first : first + BLOCK_ROWS]
        columns = {name: pa.array([_text(row, field, where) for row in part]) for name, field in FIELDS.items()}
        table = pa.table({name: column.cast(pa.string()) for name, column in columns.items()})
        yield from aqs_records(TextBlock(table, where), context)


def _rows(answer: object, name: str) -> list[dict[str, Any]]:
    """Return the rows of an answer.

    Raises
    ------
    ObservationsError
        It has none, or they are daily means.
    """
    rows = answer.get("Data", answer.get("Body")) if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ObservationsError(f"{name}: no list 'Data' of rows: give an answer of the API as it came")
    if rows and "arithmetic_mean" in rows[0]:
        raise ObservationsError(f"{name}: daily or yearly means of the API: ask it for sampleData instead")
    return rows


def _text(row: dict[str, Any], field: str, where: Where) -> str | None:
    if field not in row:
        raise ObservationsError(f"{where.source}: a row without {field}: give an answer of sampleData as it came")
    value = row[field]
    return None if value is None else str(value)
