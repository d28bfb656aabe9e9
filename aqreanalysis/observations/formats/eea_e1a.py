"""EEA time series of 2013 to 2023 (e-reporting flows E1a and E2a): ``XX_8_<station>_<year>_timeseries.csv``.

Described at https://www.eea.europa.eu/data-and-maps/data/aqereporting-9 : Countrycode, Namespace, AirQualityNetwork,
AirQualityStation, AirQualityStationEoICode, SamplingPoint, SamplingProcess, Sample, AirPollutant, AirPollutantCode (a
URL that ends in the id of the vocabulary), AveragingTime (hour, day, var), Concentration, UnitOfMeasurement,
DatetimeBegin, DatetimeEnd (with their offset), Validity and Verification as in the Parquet files that came after. The
files give no coordinates: the metadata CSV or a list of the stations' EoI codes does. Several sampling points of a
pollutant at a station are several instruments.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from aqreanalysis.observations.formats.eea import eea_flags
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, Texts, records_from_long
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.pollutant_codes import CODES
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.table_blocks import TextBlock, read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes

COLUMNS = (
    *("AirQualityStationEoICode", "SamplingPoint", "AirPollutantCode", "AveragingTime", "Concentration"),
    *("UnitOfMeasurement", "DatetimeEnd", "Validity"),
)


@station_format(
    name="eea-e1a",
    title="EEA time series of 2013 to 2023 (E1a, E2a: *_timeseries.csv)",
    document="https://www.eea.europa.eu/data-and-maps/data/aqereporting-9",
    columns=COLUMNS,
    needs_stations=True,
    periods_stated=True,
)
def read_eea_e1a(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the hourly readings of one file, a block at a time."""
    table = context.table()
    context.require(table.names, COLUMNS)
    for block in read_blocks(table, COLUMNS, context.report):
        yield from _records(block, context)


def _records(block: TextBlock, context: ReadContext) -> Iterator[RawRecords]:
    kinds, names = to_texts(block.rows["AveragingTime"])
    hourly = np.array([name == "hour" for name in names] + [False])[kinds]
    context.report.count("rows_not_hourly", int((~hourly).sum()))
    rows, where = block.rows.filter(pa.array(hourly)), block.where
    if rows.num_rows == 0:
        return
    clock = context.clock(Clock("+01:00", "end", None, "DatetimeEnd"))
    end, minutes = stamps_to_minutes(rows["DatetimeEnd"], clock, context.report, where)
    codes, points = to_texts(rows["SamplingPoint"])
    long_table = LongTable(
        station=_stations(rows, context),
        pollutant=_ids(to_texts(rows["AirPollutantCode"])),
        unit=to_texts(rows["UnitOfMeasurement"]),
        end=end,
        minutes=minutes,
        readings=context.readings(rows, "Concentration", where),
        instrument=np.array([*range(len(points)), 0], dtype=np.int64)[codes],
        flag=eea_flags(rows["Validity"], where, context),
    )
    yield from records_from_long(long_table, CODES["eea"], context, where)


def _ids(pollutant: Texts) -> Texts:
    """Return pollutants by the id at the end of their URL."""
    codes, names = pollutant
    return codes, [name.rstrip("/").rpartition("/")[2] for name in names]


def _stations(rows: pa.Table, context: ReadContext) -> Texts:
    """Return the stations' codes, or the sampling points where the list knows these."""
    points = to_texts(rows["SamplingPoint"])
    known = context.stations.keys()
    if known.intersection(points[1]):
        return points
    return to_texts(rows["AirQualityStationEoICode"])
