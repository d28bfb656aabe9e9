"""EEA Air Quality Download Service: Parquet of one sampling point and pollutant, placed by the metadata CSV.

Described in the service's "How to download data" and table definitions
(https://eeadmz1-downloads-webapp.azurewebsites.net, https://www.eea.europa.eu/data-and-maps/data/aqereporting-9):
Samplingpoint (``AT/SPO...``), Pollutant (id of the vocabulary http://dd.eionet.europa.eu/vocabulary/aq/pollutant),
Start, End ("UTC+1 for hourly data"), Value, Unit (``ug.m-3``), AggType (hour, day, var), Validity (vocabulary
aq/observationvalidity: 1 valid, 2 and 3 below the detection limit, 4 valid ozone, -1 not valid, -99 maintenance or
calibration), Verification, ResultTime, DataCapture, FkObservationLog. The metadata gives the Sampling Point Id, the
Air Quality Station EoI Code, Longitude, Latitude; several sampling points of a pollutant at a station are several
instruments.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.averaging_periods import NO_TIME
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, records_from_long
from aqreanalysis.observations.parse_numbers import to_numbers, to_texts
from aqreanalysis.observations.pollutant_codes import CODES
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import parquet_schema, read_row_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes

COLUMNS = ("Samplingpoint", "Pollutant", "Start", "End", "Value", "Unit", "AggType", "Validity")
VALIDITY = {
    1: Flag.GOOD,
    2: Flag.BELOW_DETECTION_LIMIT,
    3: Flag.BELOW_DETECTION_LIMIT,
    4: Flag.GOOD,
    -1: Flag.INVALID_AT_SOURCE,
    -99: Flag.INVALID_AT_SOURCE,
}


@station_format(
    name="eea",
    title="EEA Air Quality Download Service (Parquet, with its metadata CSV)",
    document="https://www.eea.europa.eu/data-and-maps/data/aqereporting-9",
    columns=COLUMNS,
    needs_stations=True,
    periods_stated=True,
)
def read_eea(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the hourly readings of one file, a block at a time."""
    context.require(parquet_schema(context.source).names, COLUMNS)
    for rows, where in read_row_blocks(context.source, COLUMNS):
        yield from _records(rows, where, context)


def _records(rows: pa.Table, where: Where, context: ReadContext) -> Iterator[RawRecords]:
    kinds, names = to_texts(rows["AggType"])
    hourly = np.array([name == "hour" for name in names] + [False])[kinds]
    context.report.count("rows_not_hourly", int((~hourly).sum()))
    rows = rows.filter(pa.array(hourly))
    if rows.num_rows == 0:
        return
    clock = context.clock(Clock("+01:00", "end", None, "End"))
    end, _ = stamps_to_minutes(rows["End"], clock, context.report, where)
    begin, _ = stamps_to_minutes(rows["Start"], clock, context.report, where)
    odd = (end != NO_TIME) & (begin != NO_TIME) & (end - begin != 60)
    if odd.any():
        at = int(np.argmax(odd))
        raise ObservationsError(
            f"{where.at(at)}: AggType says hour, and Start and End are {int(end[at]) - int(begin[at])} minutes apart"
        )
    codes, ids = to_texts(rows["Samplingpoint"])
    points = [_sampling_point(text, context.stations.keys()) for text in ids]
    ranks = {point: i for i, point in enumerate(sorted(context.stations.keys()))}
    rank = np.array([ranks.get(point, len(ranks)) for point in points] + [0], dtype=np.int64)
    long_table = LongTable(
        station=(codes, points),
        pollutant=to_texts(rows["Pollutant"]),
        unit=to_texts(rows["Unit"]),
        end=end,
        minutes=60,
        readings=context.readings(rows, "Value", where),
        instrument=rank[codes],
        flag=eea_flags(rows["Validity"], where, context),
    )
    yield from records_from_long(long_table, CODES["eea"], context, where)


def _sampling_point(text: str, known: set[str]) -> str:
    """Return the id as the metadata writes it, without the country before the slash."""
    short = text.partition("/")[2]
    return short if text not in known and short in known else text


def eea_flags(column: pa.ChunkedArray, where: Where, context: ReadContext) -> NDArray[np.int8]:
    """Return what the vocabulary of validity says of each reading, as `Flag`, int8 (row,).

    Raises
    ------
    ObservationsError
        A code is none of the vocabulary's, naming the row.
    """
    numbers = to_numbers(column, "column 'Validity'", where, context.report)
    out = np.full(len(numbers), -1, dtype=np.int8)
    for code, flag in VALIDITY.items():
        out[numbers == code] = flag
    if (out < 0).any():
        at = int(np.argmax(out < 0))
        raise ObservationsError(
            f"{where.at(at)}: Validity {numbers[at]:g} is none of {', '.join(str(code) for code in VALIDITY)}"
        )
    return out
