"""London Air Quality Network, CSV of the download page of londonair.org.uk (``LaqnData.csv``).

Layout as the page delivers it and public readers of it show: Site, Species, ReadingDateTime (``01/01/2013 00:15``,
GMT), Value, Units (``ug m-3``, ``mg m-3``), Provisional or Ratified (P, R). A download of a day begins with the row
stamped 00:00, so that the stamp is the START of the period; quarters of an hour are averaged. The file gives no
coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator

from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, records_from_long, series_of
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes

COLUMNS = ("Site", "Species", "ReadingDateTime", "Value", "Units")
POLLUTANTS = {"PM2.5": "pm25", "PM25": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "O3": "o3", "CO": "co"}


@station_format(
    name="laqn",
    title="London Air Quality Network (LaqnData.csv)",
    document="https://www.londonair.org.uk/london/asp/datadownload.asp",
    columns=(*COLUMNS, "Provisional or Ratified"),
    filename=r"LaqnData.*\.csv",
    needs_stations=True,
)
def read_laqn(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one file, a block at a time."""
    table = context.table()
    context.require(table.names, COLUMNS)
    clock = context.clock(Clock("UTC", "start", "%d/%m/%Y %H:%M", "ReadingDateTime"))
    for block in read_blocks(table, COLUMNS, context.report):
        station, pollutant = to_texts(block.rows["Site"]), to_texts(block.rows["Species"])
        series = series_of(station[0], pollutant[0])
        end, minutes = stamps_to_minutes(block.rows["ReadingDateTime"], clock, context.report, block.where, series)
        readings = context.readings(block.rows, "Value", block.where)
        long_table = LongTable(
            station=station,
            pollutant=pollutant,
            unit=to_texts(block.rows["Units"]),
            end=end,
            minutes=minutes,
            readings=readings,
        )
        yield from records_from_long(long_table, POLLUTANTS, context, block.where)
