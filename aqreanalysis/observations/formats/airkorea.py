"""AirKorea: the finalised hours of the Korean network (CSV, XLSX), and Seoul's collection of them.

Layouts as https://www.airkorea.or.kr (finalised data) delivers them and as public readers show: region, network,
station code, station name, ``측정일시`` (2019010101 to 2019010124), SO2, CO, O3, NO2 in ppm, PM10, PM25 in ug/m3,
address; UTF-8 or cp949. An hour is stamped at its end, Korea's clock (+09:00); -999 and empty are missing. Seoul's
collection has ``Measurement date``, ``Station code``, places, and -1 where a reading is missing. Of the API
(getMsrstnAcctoRltmMesureDnsty) the JSON is read: ``dataTime`` (01:00 to 24:00), ``so2Value`` ..., ``-`` missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from aqreanalysis.observations.column_names import plain, pollutant_of
from aqreanalysis.observations.files import is_json
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.json_rows import json_table
from aqreanalysis.observations.long_format import ColumnTable, PollutantColumns, records_from_columns, series_of
from aqreanalysis.observations.parse_numbers import CellRules, to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes
from aqreanalysis.observations.units import factor_of
from aqreanalysis.species import SPECIES

# Names of the columns of station, time, latitude and longitude, as `plain` writes them.
_STATION, _TIME = ("측정소코드", "stationcode"), ("측정일시", "measurementdate")
_PLACE = {"lat": "latitude", "lon": "longitude"}
_MISSING = (-999, -1, -9)
_PPM = ("so2", "co", "o3", "no2")


def _roles(names: Sequence[str]) -> dict[str, str]:
    """Return which column is what: station, time, lat, lon, and the pollutants by their keys."""
    roles: dict[str, str] = {}
    for name in names:
        word = plain(name)
        if word in _STATION or word in _TIME:
            roles["station" if word in _STATION else "time"] = name
        key = pollutant_of(name) or next((role for role, alias in _PLACE.items() if alias == word), None)
        if key is not None:
            roles.setdefault(key, name)
    return roles


def matches(head: FileHead) -> str | None:
    """Return why a file is of AirKorea."""
    if head.text and '"dataTime"' in head.text and '"pm10Value"' in head.text:
        return 'it is JSON with the members "dataTime" and "pm10Value"'
    for names in (head.names, head.names_in("cp949") if head.text else []):
        roles = _roles(names)
        if {"station", "time", "so2"} <= set(roles):
            return f"it has the columns {roles['station']}, {roles['time']} and pollutants"
    return None


@station_format(
    name="airkorea",
    title="AirKorea finalised hours (CSV, XLSX) and API (JSON)",
    document="https://www.airkorea.or.kr",
    matches=matches,
    temperature_celsius=25.0,
    periods_stated=True,
)
def read_airkorea(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file, a block at a time."""
    if is_json(context.source):
        yield from _of_api(context)
        return
    context.encoding = "cp949"
    table = context.table()
    roles = _roles(table.names)
    context.require(list(roles), ("station", "time"))
    for block in read_blocks(table, list(roles.values()), context.report):
        yield from _records(block.rows, roles, context, block.where)


def _of_api(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of an answer of the API: of one station, which the file's name tells, unless rows name theirs."""
    rows = json_table(context.source)
    roles = {"time": "dataTime"} | {key: f"{key}Value" for key in SPECIES if f"{key}Value" in rows.column_names}
    roles["station"] = next((name for name in ("stationCode", "stationName") if name in rows.column_names), "station")
    if roles["station"] == "station":
        alone = context.one_station([context.source.stem]).id
        rows = rows.append_column("station", pa.array([alone] * rows.num_rows))
    context.require(rows.column_names, roles.values())
    yield from _records(rows, roles, context, Where(context.source.name, 1, "row"))


def _records(rows: pa.Table, roles: dict[str, str], context: ReadContext, where: Where) -> Iterator[RawRecords]:
    station = to_texts(rows[roles["station"]])
    texts = pc.utf8_trim_whitespace(rows[roles["time"]])
    first = next((text for text in texts.slice(0, 20).to_pylist() if text), "")
    if first.isdigit():  # of 201901010100 the minutes are always 00
        texts = pc.utf8_slice_codeunits(texts, 0, 10)
    clock = context.clock(Clock("+09:00", "end", "%Y%m%d%H" if first.isdigit() else None, roles["time"]))
    end, minutes = stamps_to_minutes(texts, clock, context.report, where, series_of(station[0]))
    rules = CellRules(False, (*context.columns.missing, *_MISSING))
    measured = PollutantColumns()
    for key, name in roles.items():
        if key in ("station", "time", *_PLACE):
            continue
        factor = factor_of(key, "ppm" if key in _PPM else "ug/m3", context.columns, context.report, where.source)
        readings = to_readings(rows[name], f"column {name!r}", where, context.report, rules)
        measured.add(key, readings, factor)
    lat, lon = (context.readings(rows, roles[r], where).values if r in roles else None for r in _PLACE)
    yield from records_from_columns(ColumnTable(station, end, minutes, measured, lat, lon), context, where)
