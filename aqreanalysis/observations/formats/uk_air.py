"""UK-AIR (AURN and other networks of Defra): hourly CSV of its flat files, data selector and station pages.

Layouts as https://uk-air.defra.gov.uk/data delivers them. Lines on top ("Data supplied by UK-AIR ...", "All Data GMT
hour ending", "Status: R = Ratified ...", the names of the sites over their columns, or "Site Name,...", "Latitude,...")
stand before ``Date,time,Ozone,status,unit,...``; of the data selector a status holds the unit too ("V ugm-3 (TEOM
FDMS)"), and the file ends in ``End``. Hours 01:00 to 24:00 GMT are stamped at their end. R, V, P, P* and N are usable,
S is suspect. A site is known by the code before its file's name (``ABD_2021.csv``) or by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.observations.column_names import plain, pollutant_of
from aqreanalysis.observations.file_flags import combined_flags
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import (
    ColumnTable,
    PollutantColumns,
    Texts,
    in_own_units,
    one_text,
    records_from_columns,
)
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, FileStation, ReadContext, find_header
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import find_delimiter, numbered, parse_header, read_blocks
from aqreanalysis.observations.times import Clock, joined_stamps, stamps_to_minutes

_TAGS = re.compile(r"<[^>]+>")
# What stands behind a particle's name; a daily or volatile part of it is another quantity.
_HOURLY = re.compile(r"^(pm ?10|pm ?2\.5)(?: particulate matter)?(?: \(hourly measured\))?$", re.IGNORECASE)
_STATUS = re.compile(r"^([A-Z]\*?)(?:\s+(.*))?$")
_PATTERNS = (
    (re.compile(r"^\d{4}-\d\d-\d\d "), "%Y-%m-%d %H:%M"),
    (re.compile(r"^\d\d?/\d\d?/\d{4} "), "%d/%m/%Y %H:%M"),
    (re.compile(r"^\d\d?-\d\d?-\d{4} "), "%d-%m-%Y %H:%M"),
)
_SUSPECT = "S"


@dataclass(frozen=True)
class _Column:
    """A column of readings: its place, its pollutant, its site, and where status and unit stand."""

    at: int
    key: str
    site: str
    status: int | None
    unit: int | None

    @property
    def all(self) -> list[int]:
        """The columns to read."""
        return [at for at in (self.at, self.status, self.unit) if at is not None]


def _is_header(names: Sequence[str]) -> bool:
    words = [plain(name) for name in names]
    return words[:2] == ["date", "time"] and "status" in words


def matches(head: FileHead) -> str | None:
    """Return why a file is of UK-AIR."""
    header = head.find_header(_is_header)
    if header is None or not any(_pollutant(name) for name in header[1]):
        return None
    return f"its line {header[0] + 1} is Date, Time, pollutants and their status"


@station_format(
    name="uk-air",
    title="UK-AIR hourly CSV (AURN flat files, data selector)",
    document="https://uk-air.defra.gov.uk/data",
    matches=matches,
    texts_alone=True,
    periods_stated=True,
)
def read_uk_air(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the hours of one file, site by site, a block at a time."""
    encoding = context.table(1).encoding
    text = context.source.head().decode(encoding, errors="replace")
    header = find_header(text, _is_header)
    line, names = header if header is not None else (0, [])
    context.require([plain(name) for name in names], ("date", "time", "status"))
    top = [parse_header(each, find_delimiter(each)) for each in text.lstrip("\ufeff").splitlines()[:line]]
    columns = _find_columns(names, top)
    sites = {site: _station(site, top, len({c.site for c in columns}), context) for site in {c.site for c in columns}}
    table = replace(numbered(context.table_below(line)), closing=("End", "end"))
    wanted = sorted({0, 1, *(at for column in columns for at in column.all)})
    for block in read_blocks(table, [str(at) for at in wanted], context.report):
        end = _ends(block.rows, context, block.where)
        for site, station in sites.items():
            own = [column for column in columns if column.site == site]
            yield from _records(block.rows, own, station, end, context, block.where)


def _pollutant(name: str) -> str | None:
    text = _TAGS.sub("", name).strip()
    match = _HOURLY.match(text)
    return pollutant_of(match.group(1) if match is not None else text)


def _find_columns(names: Sequence[str], top: Sequence[Sequence[str]]) -> list[_Column]:
    """Return the columns of readings; the line over the header names the site from its column on."""
    over = list(top[-1]) if top else []
    over = over if sum(bool(cell) for cell in over) and not any(over[:2]) else []
    site = ""
    columns: list[_Column] = []
    words = [plain(name) for name in names]
    for at, name in enumerate(names):
        site = over[at] if at < len(over) and over[at] else site
        key = _pollutant(name)
        if key is None or any(column.key == key and column.site == site for column in columns):
            continue
        behind = words[at + 1 : at + 3]
        status = at + 1 if behind[:1] == ["status"] else None
        unit = at + 2 if behind[1:] in (["unit"], ["units"]) else None
        columns.append(_Column(at, key, site, status, unit))
    return columns


def _station(site: str, top: Sequence[Sequence[str]], sites: int, context: ReadContext) -> FileStation:
    """Return the station that a site of the file is: by its code in the file's name if it is the only one, its name."""
    said = {plain(cells[0]): cells[1] for cells in top if len(cells) > 1 and cells[0]}
    code = re.match(r"^(?:AURN[_-])?([A-Za-z0-9]+)[_-]\d{4}", context.source.filename)
    candidates = [code.group(1)] if code is not None and sites == 1 else []
    candidates += [text for text in (site, said.get("sitename", "")) if text]
    candidates += [context.source.stem]
    lat, lon = (_degrees(said.get(role, "")) for role in ("latitude", "longitude"))
    return context.one_station(candidates, lat, lon)


def _degrees(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _ends(rows: pa.Table, context: ReadContext, where: Where) -> NDArray[np.int32]:
    stamps = joined_stamps(rows, ("0", "1"))
    first = next((text for text in stamps.slice(0, 20).to_pylist() if text), "")
    pattern = next((pattern for looks, pattern in _PATTERNS if looks.match(first)), "%d/%m/%Y %H:%M")
    if first.count(":") == 2:
        pattern += ":%S"
    clock = context.clock(Clock("UTC", "end", pattern, "Date, Time"))
    return stamps_to_minutes(stamps, clock, context.report, where)[0]


def _records(
    rows: pa.Table,
    columns: Sequence[_Column],
    station: FileStation,
    end: NDArray[np.int32],
    context: ReadContext,
    where: Where,
) -> Iterator[RawRecords]:
    n = rows.num_rows
    measured = PollutantColumns()
    for column in columns:
        readings = context.readings(rows, str(column.at), where)
        unit, suspect = _status(rows, column)
        measured.values[column.key] = in_own_units(column.key, readings, unit, context, where)
        context.report.count("readings_of_bad_flags", int(suspect.sum()))
        said = np.where(suspect, np.int8(Flag.INVALID_AT_SOURCE), np.int8(Flag.GOOD))
        if readings.flags is not None or suspect.any():
            measured.flags[column.key] = combined_flags(readings.flags, said)
    places = np.full(n, station.lat), np.full(n, station.lon)
    yield from records_from_columns(ColumnTable(one_text(station.id, n), end, 60, measured, *places), context, where)


def _status(rows: pa.Table, column: _Column) -> tuple[Texts, NDArray[np.bool_]]:
    """Return the unit of each reading, and where its status is that it is suspect."""
    none: Texts = (np.full(rows.num_rows, -1, np.int32), [])
    status = none if column.status is None else to_texts(rows[str(column.status)])
    parts = [match.groups() if (match := _STATUS.match(text)) else ("", text) for text in status[1]]
    suspect = np.array([letter == _SUSPECT for letter, _ in parts] + [False])[status[0]]
    unit = (
        (status[0], [behind or "" for _, behind in parts]) if column.unit is None else to_texts(rows[str(column.unit)])
    )
    return (unit[0], [re.sub(r"\s*\(.*\)$", "", text) for text in unit[1]]), suspect
