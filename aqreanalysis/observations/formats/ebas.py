"""EBAS NASA Ames (format 1001), ``.nas``: one file a station, instrument and set of components.

Described at https://ebas-submit.nilu.no/submit-data/data-reporting/templates and by Gaines and Hipskind (1998).
Line 1: header lines and 1001; line 7: reference and revision date; line 9: unit of time (days from the reference);
line 10: number n of dependent columns; lines 11 and 12: their factors and missing values; then n names (``end_time
of measurement, ...``, ``ozone, nmol/mol``, ``numflag ozone, no unit``), a number of special and one of normal
comment lines; the last header line names the columns (starttime, endtime, ...). Station code, latitude, longitude
(those of the measurement before those of the station) and Timezone (UTC) stand in the comments. A flag holds three
codes of three digits behind the point, of the list at https://projects.nilu.no/ccc/flags/flags.html : all that it calls
valid (V) are, 147, 780 and 781 are below the detection limit, M is missing, and 100 overrides what is invalid; codes
that the list does not have are invalid. No library on PyPI reads these files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.files import own_encoding, read_lines
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, records_from_long
from aqreanalysis.observations.parse_numbers import Readings
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.units import read_unit

COMPONENTS = {"ozone": "o3", "nitrogen_dioxide": "no2", "sulphur_dioxide": "so2", "sulfur_dioxide": "so2"}
COMPONENTS |= {"carbon_monoxide": "co", "pm10_mass": "pm10", "pm25_mass": "pm25"}
# Codes of the published list by what it says of them: V, with those below the detection limit apart, and M.
BELOW, OVERRIDES = (147, 780, 781), 100
VALID = (
    *(0, OVERRIDES, 101, 102, 103, 110, 111, 120, *range(185, 192), 210, 211, 220, 247, 248, 249, 250, 257, 258),
    *(275, 276, 298, 299, 370, 380, 382, 388, 390, 392, 394, 410, 411, 420, 440, 450, 457, 458, 470, 472, 475, 476),
    *(498, 499, 521, 531, 532, *range(555, 560), 630, 632, 640, 644, 645, *range(647, 658), 660, 662, 665, 668, 674),
    *(675, 676, *range(678, 681), 740, 741, 760, 770, 771, 782, 797, 798),
)
MISSING = (750, 783, 890, 899, 980, 990, 999)
FIXED_LINES = 12


def matches(head: FileHead) -> str | None:
    """Return why a file is of EBAS."""
    first = head.text.split("\n", 1)[0].split()
    if len(first) == 2 and first[1] == "1001" and "end_time of measurement" in head.text:
        return "its first line says NASA Ames 1001, and its first column is end_time of measurement"
    return None


@dataclass
class _Column:
    """One column of readings: where it stands, its pollutant and unit, its missing value, and where its flags are."""

    index: int
    key: str
    unit: str
    missing: float
    factor: float
    flag: int | None


@dataclass
class _Header:
    lines: int
    begin: pd.Timestamp
    width: int
    columns: list[_Column]
    code: str
    name: str
    lat: float
    lon: float


@station_format(
    name="ebas",
    title="EBAS NASA Ames 1001 (.nas)",
    document="https://ebas-submit.nilu.no/submit-data/data-reporting/templates",
    matches=matches,
    texts_alone=True,
    periods_stated=True,
)
def read_ebas(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the hourly readings of one file."""
    name = context.source.name
    encoding = own_encoding(context.source, context.columns.encoding)
    lines = list(read_lines(context.source, encoding))
    header = _header(lines, name)
    where = Where(name, header.lines + 1, "line")
    table = _numbers(lines[header.lines :], header.width, where)
    begin, end = (np.round(table[:, i] * 1440.0) for i in (0, 1))
    start = int(header.begin.timestamp() // 60)
    length = end - begin
    # 0.041667 days are 60 minutes and a rest of rounding.
    hourly = np.abs(length - 60) <= 1
    context.report.count("rows_not_hourly", int((~hourly).sum()))
    stamps = (start + np.round(end[hourly] / 60.0) * 60).astype(np.int32)
    n = len(stamps)
    for column in header.columns:
        value = table[hourly, column.index] * column.factor
        value[np.isclose(table[hourly, column.index], column.missing)] = np.nan
        flag = np.zeros(n, np.int8)
        if column.flag is not None:
            flag, gone = _flags(table[hourly, column.flag])
            value[gone] = np.nan
        long_table = LongTable(
            station=(np.zeros(n, np.int32), [header.code]),
            pollutant=(np.zeros(n, np.int32), [column.key]),
            unit=(np.zeros(n, np.int32), [column.unit]),
            end=stamps,
            minutes=60,
            readings=Readings(value),
            lat=np.full(n, header.lat),
            lon=np.full(n, header.lon),
            labels={"name": (np.zeros(n, np.int32), [header.name])},
            flag=flag,
        )
        yield from records_from_long(long_table, {column.key: column.key}, context, where)


def _header(lines: list[str], name: str) -> _Header:
    """Return what the header says.

    Raises
    ------
    ObservationsError
        A line of it is not as the format has it, naming the line.
    """
    at = 1
    try:
        count, form = (int(text) for text in lines[0].split())
        if form != 1001 or count > len(lines):
            raise ValueError(f"{count} header lines of format {form} in a file of {len(lines)} lines")
        at = 7
        year, month, day = (int(text) for text in lines[6].split()[:3])
        begin = pd.Timestamp(year, month, day)
        at = 9
        if not lines[8].strip().lower().startswith("days"):
            raise ValueError(f"unit of time {lines[8]!r:.40}, expected days")
        at = 10
        n = int(lines[9])
        at = 11
        factors = [float(text) for text in lines[10].split()]
        at = 12
        missing = [float(text) for text in lines[11].split()]
        names = lines[FIXED_LINES : FIXED_LINES + n]
        if not len(factors) == len(missing) == len(names) == n:
            raise ValueError(f"{len(missing)} missing values, expected {n}")
        at = FIXED_LINES + n + 1
        facts = dict(line.split(":", 1) for line in lines[FIXED_LINES + n : count] if ":" in line)
        facts = {key.strip().lower(): value.strip() for key, value in facts.items()}
        if facts.get("timezone", "UTC").upper() != "UTC":
            raise ValueError(f"timezone {facts['timezone']!r}, expected UTC")
        place = (_degrees(facts, "latitude"), _degrees(facts, "longitude"))
        code = facts["station code"]
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise ObservationsError(f"{name}, line {at}: not as NASA Ames 1001 of EBAS has it: {error!s:.160}") from None
    return _Header(
        count, begin, n + 1, _columns(names, factors, missing, name), code, facts.get("station name", ""), *place
    )


def _degrees(facts: dict[str, str], which: str) -> float:
    """Return where the measurement is made, by the measurement's own line or else by the station's."""
    return float(facts.get(f"measurement {which}") or facts[f"station {which}"])


def _columns(names: list[str], factors: list[float], missing: list[float], source: str) -> list[_Column]:
    """Return the columns of known components: means (or what says no statistics), with their flags.

    Raises
    ------
    ObservationsError
        A component has no column in a unit that is known, naming the line of the header.
    """
    variables: list[_Column] = []
    unknown: dict[str, str] = {}
    for i, text in enumerate(names):
        parts = [part.strip() for part in text.split(",")]
        key = COMPONENTS.get(parts[0].lower().replace(" ", "_"))
        statistics = next(
            (part for part in parts if part.lower().startswith("statistics=")), "statistics=arithmetic mean"
        )
        if key is None or len(parts) < 2 or "mean" not in statistics.lower():
            continue
        if any(column.key == key for column in variables):
            continue
        if read_unit(parts[1]) is None:
            unknown.setdefault(
                key,
                f"{source}, line {FIXED_LINES + i + 1}: unit {parts[1]!r:.40} of {key} is unknown: expected ug/m3 ...",
            )
            continue
        flag = next((j + 1 for j in range(i + 1, len(names)) if names[j].lower().startswith("numflag")), None)
        variables.append(_Column(i + 1, key, parts[1], missing[i], factors[i], flag))
    for key, complaint in unknown.items():
        if not any(column.key == key for column in variables):
            raise ObservationsError(complaint)
    return variables


def _numbers(lines: list[str], width: int, where: Where) -> NDArray[np.float64]:
    out = np.empty((len(lines), width))
    n = 0
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        fields = line.split()
        try:
            if len(fields) != width:
                raise ValueError(f"{len(fields)} numbers, expected {width}")
            out[n] = [float(text) for text in fields]
        except ValueError as error:
            raise ObservationsError(f"{where.at(i)}: {error}: is the file truncated?") from None
        n += 1
    return out[:n]


def _flags(numbers: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return the flag of each reading, and whether its flag says that it is missing."""
    digits = np.round((numbers % 1) * 1e9).astype(np.int64)
    codes = np.stack([digits // 10**6, digits // 10**3 % 1000, digits % 1000], axis=1)
    gone = np.asarray(np.isin(codes, MISSING).any(axis=1))
    bad = ~np.isin(codes, [*VALID, *BELOW]).all(axis=1) & ~(codes == OVERRIDES).any(axis=1)
    below = np.isin(codes, BELOW).any(axis=1)
    flag = np.where(below, np.int8(Flag.BELOW_DETECTION_LIMIT), np.int8(Flag.GOOD))
    flag[bad] = Flag.INVALID_AT_SOURCE
    return flag, gone
