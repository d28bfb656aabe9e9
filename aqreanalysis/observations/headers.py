"""Where the header of a text table stands: under lines of notes, and perhaps over a line of units."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.observations.column_names import (
    HOUR_COLUMN,
    configured_or_usual,
    pollutant_and_unit,
    pollutant_of,
    usual_time,
)
from aqreanalysis.observations.table_blocks import TextTable, find_delimiter, parse_header
from aqreanalysis.observations.units import read_unit

# Lines among which the header is looked for.
HEADER_LINES = 40
ROLES = ("station", "time", "lat", "lon", "parameter", "value", "unit", "flag")
# So many usual names make a line a header for certain, and so few leave the first line in doubt.
_SURELY, _DOUBTFUL = 3, 2


def header_score(names: Sequence[str], stations: Collection[str] = ()) -> int:
    """Return how many of a line's fields are names that a header of readings has."""
    columns = ColumnsConfig()
    roles = sum(configured_or_usual(role, names, columns) in names for role in ROLES if role != "time")
    hours = sum(HOUR_COLUMN.match(name) is not None for name in names)
    listed = sum(name in stations for name in names)
    pollutants = sum(pollutant_and_unit(name)[0] is not None for name in names)
    return roles + (usual_time(names) is not None) + pollutants + min(listed, _SURELY) + _SURELY * (hours >= 24)


def header_line(text: str, columns: ColumnsConfig, stations: Collection[str] = ()) -> int:
    """Return at which line (from 0) the header of a table of readings stands.

    What ``columns.skip_lines`` says counts. Otherwise the first line, unless it has next to no name that a header of
    readings has and a line below has more; numbers are no names.

    Parameters
    ----------
    text : str
        The beginning of the file.
    columns : ColumnsConfig
        What the user says.
    stations : collection of str
        Ids that the station lists know, which may be names of columns.
    """
    lines = text.lstrip("\ufeff").splitlines()[:HEADER_LINES]
    if columns.skip_lines or not lines:
        return columns.skip_lines
    named: set[str | None] = {
        columns.station,
        *columns.time_columns,
        columns.lat,
        columns.lon,
        *columns.species.values(),
    }
    named |= {columns.parameter, columns.value}
    best, at = _DOUBTFUL - 1, 0
    for number, line in enumerate(lines):
        names = parse_header(line, find_delimiter(line))
        if number and (len(names) < 2 or _has_numbers(names)):
            continue
        score = max(header_score(names, stations), _SURELY * (len(named & set(names)) > 1))
        readings = usual_time(names) is not None or any(pollutant_and_unit(name)[0] for name in names)
        if number == 0 and score >= _DOUBTFUL and not _has_numbers(names) and (readings or len(named & set(names)) > 1):
            return 0
        if score > best and (number == 0 or score >= _SURELY or _like_the_next(lines, number)):
            best, at = score, number
    return at


def with_units(table: TextTable, text: str, columns: ColumnsConfig) -> TextTable:
    """Return a table whose line of units, if one stands below its names, is part of these: ``NO2`` and ``ppb``.

    Names that the user tells stay as they are.
    """
    lines = text.lstrip("\ufeff").splitlines()
    if len(lines) <= table.header_lines:
        return table
    units = [unit.strip("[] ") for unit in parse_header(lines[table.header_lines], table.delimiter)]
    known = [read_unit(unit) for unit in units]
    others = [unit for unit, each in zip(units, known, strict=True) if each is None]
    if not any(known) or any(c.isdigit() for unit in others for c in unit):
        return table
    named = {*columns.species.values(), *columns.flags.values()}
    names = [
        f"{name} ({unit})" if each and pollutant_of(name) is not None and name not in named else name
        for name, unit, each in zip(table.names, units, known, strict=False)
    ]
    names += table.names[len(names) :]
    return replace(table, names=names, header_lines=table.header_lines + 1)


def _like_the_next(lines: Sequence[str], number: int) -> bool:
    """Return whether a line has as many fields as the one below it, as a header has."""
    delimiter = find_delimiter(lines[number])
    below = lines[number + 1 : number + 2]
    return bool(below) and len(parse_header(below[0], delimiter)) == len(parse_header(lines[number], delimiter))


def _has_numbers(names: Sequence[str]) -> bool:
    """Return whether some fields of a line are numbers, which are no names of columns unless they count hours."""
    numbers = [name for name in names if re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?", name)]
    return bool(numbers) and sum(HOUR_COLUMN.match(name) is not None for name in names) < 24
