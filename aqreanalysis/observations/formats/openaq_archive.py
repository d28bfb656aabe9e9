"""OpenAQ's archive on S3: ``location-<id>-YYYYMMDD.csv.gz``, a row a measurement.

Described at https://docs.openaq.org/aws/about : location_id, sensors_id, location, datetime (ISO 8601 with the
offset of the place), lat, lon, parameter, units, value. https://docs.openaq.org/using-the-api/dates-datetimes :
stamps are the END of the averaging period. Periods are not told and differ from sensor to sensor: that of a sensor
is taken from the distance of its stamps. Negative codes such as -999 stand as they came and are flagged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.averaging_periods import NO_TIME, STRAY_SHARE, periods_of
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, records_from_long
from aqreanalysis.observations.parse_numbers import to_numbers, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.report import QualityReport, Where
from aqreanalysis.observations.table_blocks import TextBlock, read_blocks
from aqreanalysis.observations.times import FIRST_YEAR, LAST_YEAR
from aqreanalysis.species import SPECIES

COLUMNS = ("location_id", "sensors_id", "location", "datetime", "lat", "lon", "parameter", "units", "value")
POLLUTANTS = {key: key for key in SPECIES}
# Averaging periods that divide an hour, in minutes.
PERIODS = np.array([1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60])


@station_format(
    name="openaq-archive",
    title="OpenAQ archive on S3 (location-*.csv.gz)",
    document="https://docs.openaq.org/aws/about",
    columns=COLUMNS,
    filename=r"location-\d+-\d{8}\.csv",
)
def read_openaq_archive(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one place and day."""
    table = context.table()
    context.require(table.names, COLUMNS)
    for block in read_blocks(table, COLUMNS, context.report):
        yield from _records(block, context)


def _records(block: TextBlock, context: ReadContext) -> Iterator[RawRecords]:
    rows, where, report = block.rows, block.where, context.report
    end = aware_minutes(pd.Series(rows["datetime"].to_pandas()), where, report)
    sensors, sensor_ids = to_texts(rows["sensors_id"])
    # An id of more digits than 64 bits hold is none of OpenAQ's, and its beginning ranks it as well.
    ranks = [int(text[:18]) if re.fullmatch("[0-9]+", text) else i for i, text in enumerate(sensor_ids)]
    rank = np.array([*ranks, -1], dtype=np.int64)
    readings = context.readings(rows, "value", where)
    lat, lon = (to_numbers(rows[name], f"column {name!r}", where, report) for name in ("lat", "lon"))
    texts = {name: to_texts(rows[name]) for name in ("location_id", "parameter", "units", "location")}
    end, minutes = _periods(sensors, end, report)
    long_table = LongTable(
        station=texts["location_id"],
        pollutant=texts["parameter"],
        unit=texts["units"],
        end=end,
        minutes=minutes,
        readings=readings,
        lat=lat,
        lon=lon,
        labels={"name": texts["location"]},
        instrument=rank[sensors],
    )
    yield from records_from_long(long_table, POLLUTANTS, context, where)


def _periods(
    sensors: NDArray[np.integer], instant: NDArray[np.int32], report: QualityReport
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Return end and length of the averaging period of each row, by the stamps of its sensor."""
    periods = periods_of(instant, sensors, start=False)
    report.count("hours_off_utc", periods.moved)
    # Hours that a sensor stamps at any minute belong to the hour that they fall into.
    loose = (periods.end == NO_TIME) & (instant != NO_TIME)
    return np.where(loose, on_periods(instant, 60), periods.end).astype(np.int32), periods.minutes


def aware_minutes(stamps: pd.Series, where: Where, report: QualityReport) -> NDArray[np.int32]:
    """Return minutes since 1970-01-01 UTC of stamps with an offset, rounded up; unreadable ones are counted.

    Raises
    ------
    ObservationsError
        More than one in a hundred is unreadable.
    """
    words = stamps.isin(["now", "today"])  # which pandas takes for the time of reading
    parsed = pd.to_datetime(stamps.mask(words), format="ISO8601", utc=True, errors="coerce")
    years = parsed.dt.year.to_numpy()
    bad = ~((years >= FIRST_YEAR) & (years <= LAST_YEAR))  # those of unreadable stamps are NaN
    if bad.sum() > STRAY_SHARE * len(bad):
        first = int(np.argmax(bad))
        raise ObservationsError(
            f"{where.at(first)}: {int(bad.sum())} of {len(bad)} stamps: {stamps.iloc[first]!r:.60} is no ISO 8601 time "
            f"of the years {FIRST_YEAR} to {LAST_YEAR}"
        )
    report.count("rows_without_time", int(bad.sum()))
    seconds = np.where(bad, 0, parsed.to_numpy(dtype="M8[s]").astype(np.int64))
    return np.where(bad, NO_TIME, -(-seconds // 60)).astype(np.int32)


def on_periods(end: NDArray[np.int32], minutes: int) -> NDArray[np.int32]:
    """Return the ends of periods that stamps fall into: one at 10:03 of five minutes belongs to that up to 10:05."""
    return np.where(end == NO_TIME, NO_TIME, -(-end // minutes) * minutes).astype(np.int32)
