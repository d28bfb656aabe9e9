"""AirNow's hourly data files: ``HourlyData_YYYYMMDDHH.dat``, bar-separated, without a header.

Described in https://docs.airnowapi.org/docs/HourlyDataFactSheet.pdf : valid date (MM/DD/YY, GMT), valid time
(HH:MM, GMT), AQSID, site name, GMT offset, parameter name, reporting units, value, data source. The file is issued
again as late data arrive: the later file counts. Sites are placed by ``Monitoring_Site_Locations``
(MonitoringSiteFactSheet.pdf). An hour's value is of the hour before its stamp
(https://www.airnow.gov/about-the-data: "'1 pm EST' would have been measured from noon to 1 pm"); where that does
not hold, columns.stamp=start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, Texts, records_from_long
from aqreanalysis.observations.parse_numbers import to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.table_blocks import TextTable, read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes

FIELDS = ("date", "time", "AQSID", "site", "offset", "parameter", "units", "value", "source")
POLLUTANTS = {"PM2.5": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "OZONE": "o3", "CO": "co"}
_FIRST_LINE = re.compile(r"\d{2}/\d{2}/\d{2}\|\d{2}:\d{2}\|[^|]*\|[^|]*\|[^|]*\|[^|]*\|[^|]*\|[^|]*\|[^|]*$")


def matches(head: FileHead) -> str | None:
    """Return why a file is of AirNow's hourly files."""
    first = head.text.split("\n", 1)[0].strip("\r")
    return (
        "its lines are date|time|AQSID|site|offset|parameter|units|value|source" if _FIRST_LINE.match(first) else None
    )


@station_format(
    name="airnow",
    title="AirNow hourly data (HourlyData_*.dat)",
    document="https://docs.airnowapi.org/docs/HourlyDataFactSheet.pdf",
    matches=matches,
    texts_alone=True,
    needs_stations=True,
    temperature_celsius=25.0,
    periods_stated=True,
)
def read_airnow(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one file."""
    # Names of Mexican and Canadian sites are written in Latin-1.
    encoding = context.columns.encoding or "latin-1"
    table = TextTable(context.source, list(FIELDS), "|", encoding, 0)
    clock = context.clock(Clock("UTC", "end", "%m/%d/%y %H:%M", "valid date, valid time"))
    wanted = [name for name in FIELDS if name not in ("offset", "source")]
    for block in read_blocks(table, wanted, context.report):
        rows = block.rows.combine_chunks()
        stamps = pc.binary_join_element_wise(rows["date"].combine_chunks(), rows["time"].combine_chunks(), " ")
        end, minutes = stamps_to_minutes(pa.chunked_array([stamps]), clock, context.report, block.where)
        long_table = LongTable(
            station=_sites(to_texts(rows["AQSID"]), context.stations.keys()),
            pollutant=to_texts(rows["parameter"]),
            unit=to_texts(rows["units"]),
            end=end,
            minutes=minutes,
            readings=to_readings(rows["value"], "field 8, the value,", block.where, context.report, context.cells()),
            labels={"name": to_texts(rows["site"])},
        )
        yield from records_from_long(long_table, POLLUTANTS, context, block.where)


def _sites(ids: Texts, known: set[str]) -> Texts:
    """Return ids as the station list writes them: with or without the three digits of the country before nine."""
    with_country = {name[3:]: name for name in known if len(name) == 12 and name.isdigit()}
    codes, names = ids
    return codes, [_listed_id(name, known, with_country) for name in names]


def _listed_id(name: str, known: set[str], with_country: dict[str, str]) -> str:
    if name in known:
        return name
    short = name[3:] if len(name) == 12 and name.isdigit() else name
    return short if short in known else with_country.get(short, name)
