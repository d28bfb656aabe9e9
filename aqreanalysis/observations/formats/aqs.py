"""US EPA Air Quality System, pre-generated hourly files: ``hourly_<parameter>_<year>.csv``, in a zip of the same name.

Described at https://aqs.epa.gov/aqsweb/airdata/FileFormats.html, "Hourly Data Files": State Code, County Code, Site
Num, Parameter Code, POC, Latitude, Longitude, Datum, Parameter Name, Date Local, Time Local, Date GMT, Time GMT
("the time of day that sampling began"), Sample Measurement, Units of Measure, MDL (the method's detection limit),
Uncertainty, Qualifier, Method Type, Method Code, Method Name, State Name, County Name, Date of Last Change. The
occurrence code POC tells instruments of one pollutant at a site apart. PM2.5 of methods that are no reference
(88502) stands behind 88101.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, records_from_long
from aqreanalysis.observations.parse_numbers import to_numbers, to_texts
from aqreanalysis.observations.pollutant_codes import CODES
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.table_blocks import TextBlock, read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes

SITE = ("State Code", "County Code", "Site Num")
COLUMNS = (*SITE, "Parameter Code", "POC", "Latitude", "Longitude", "Date GMT", "Time GMT")
READINGS = ("Sample Measurement", "Units of Measure", "MDL")
# What tells a daily file.
DAILY = ("Sample Duration", "Date Local", "Arithmetic Mean")
# Ranks below every occurrence code that a reference method can have.
NO_REFERENCE = 1000


def matches(head: FileHead) -> str | None:
    """Return why a file is of the Air Quality System's hourly files, or of its daily ones, which are refused."""
    names = set(head.names)
    if {*COLUMNS, *READINGS} <= names:
        by_name = " and is named so" if re.fullmatch(r"hourly_\w+_\d{4}\.csv", head.source.filename) else ""
        return f"it has the columns {', '.join((*COLUMNS, *READINGS))}{by_name}"
    return "it has the columns of daily files, Date Local and Arithmetic Mean" if names >= {*SITE, *DAILY} else None


@station_format(
    name="aqs",
    title="US EPA AQS hourly files (hourly_88101_2019.csv, .zip)",
    document="https://aqs.epa.gov/aqsweb/airdata/FileFormats.html",
    matches=matches,
    temperature_celsius=25.0,
    periods_stated=True,
)
def read_aqs(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one file, a block at a time."""
    table = context.table()
    if set(DAILY) <= set(table.names):
        raise ObservationsError(
            f"{context.source.name}: daily means of US EPA AQS: hourly ones are needed, hourly_... instead of daily_..."
        )
    context.require(table.names, (*COLUMNS, *READINGS))
    for block in read_blocks(table, (*COLUMNS, *READINGS), context.report):
        yield from aqs_records(block, context)


def aqs_records(block: TextBlock, context: ReadContext) -> Iterator[RawRecords]:
    """Yield rows of the hourly files, every column as text."""
    rows, where, report = block.rows.combine_chunks(), block.where, context.report
    site = pc.binary_join_element_wise(*(rows[name].combine_chunks() for name in SITE), "-")
    stamps = pc.binary_join_element_wise(rows["Date GMT"].combine_chunks(), rows["Time GMT"].combine_chunks(), " ")
    clock = context.clock(Clock("UTC", "start", "%Y-%m-%d %H:%M", "Date GMT, Time GMT"))
    end, minutes = stamps_to_minutes(pa.chunked_array([stamps]), clock, report, where)
    numbers = {
        name: to_numbers(rows[name], f"column {name!r}", where, report, context.cells())
        for name in ("Latitude", "Longitude", "POC", "MDL")
    }
    readings = context.readings(rows, "Sample Measurement", where)
    pollutant = to_texts(rows["Parameter Code"])
    lesser = np.array([text == "88502" for text in pollutant[1]] + [False])[pollutant[0]]
    with np.errstate(invalid="ignore"):
        below = readings.values < numbers["MDL"]
    long_table = LongTable(
        station=to_texts(site),
        pollutant=pollutant,
        unit=to_texts(rows["Units of Measure"]),
        end=end,
        minutes=minutes,
        readings=readings,
        lat=numbers["Latitude"],
        lon=numbers["Longitude"],
        instrument=np.nan_to_num(numbers["POC"]).astype(np.int64) + NO_REFERENCE * lesser,
        flag=np.where(below, np.int8(Flag.BELOW_DETECTION_LIMIT), np.int8(Flag.GOOD)),
    )
    yield from records_from_long(long_table, CODES["aqs"], context, where)
