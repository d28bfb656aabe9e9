"""Rows in the JSON of an API, whatever they are wrapped in, as a table of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import USUAL_NAMES, plain
from aqreanalysis.observations.files import Source, read_json

# So deep are rows wrapped in an answer, at most.
_DEEPEST = 6
# What an object says of the rows in it, by the names of these roles; a page's own name or code is none of a station.
_HANDED_DOWN = {name for role in ("station", "lat", "lon", "parameter", "unit") for name in USUAL_NAMES[role]}
_OF_PAGES = {"name", "code", "id", "indicator", "variable"}

Row = Mapping[str, object]


def json_table(source: Source) -> pa.Table:
    """Return the rows of a JSON file as columns of texts, null where a row lacks one.

    Rows are its longest list of objects, or the objects of several lists that stand at one place (the hours of each
    station), which then have what the objects around them say of station, place, pollutant and unit. An object within a
    row gives its members as columns: ``date: {utc: ...}`` the column ``utc``. Lists of values beside a list of their
    names (``fields`` and ``data``) are rows too.

    Raises
    ------
    ObservationsError
        The file is no JSON, or has no list of rows.
    """
    lists: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for path, rows in _lists(read_json(source), (), {}, _DEEPEST):
        lists.setdefault(path, []).extend(rows)
    if not lists:
        raise ObservationsError(f"{source.name}: JSON without a list of rows: give an answer of the API as it came")
    rows = max(lists.values(), key=len)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def _lists(
    part: object, path: tuple[str, ...], around: Mapping[str, str], depth: int
) -> Iterator[tuple[tuple[str, ...], list[dict[str, str]]]]:
    """Yield the lists of rows in a page, outer ones first, each with its place; rows have what is said around them."""
    if depth == 0:
        return
    if isinstance(part, list):
        rows = [row for row in part if isinstance(row, dict)]
        if rows and len(rows) == len(part):
            yield path, [{**around, **_flat(row)} for row in rows]
        for child in part:
            if isinstance(child, dict):
                yield from _lists(child, path, {**around, **_said_of_rows(child, set())}, depth)
    elif isinstance(part, dict):
        rows = _of_columns(part)
        inner = around if path else {**around, **_said_of_rows(part, _OF_PAGES)}
        if rows:
            yield (*path, "data"), [{**inner, **row} for row in rows]
        for name, child in part.items():
            if isinstance(child, dict | list):
                yield from _lists(child, (*path, name), inner, depth - 1)


def _said_of_rows(part: Row, but: set[str]) -> dict[str, str]:
    """Return what an object says of the station, the place, the pollutant and the unit of rows in it."""
    named = {name: value for name, value in part.items() if plain(name) in _HANDED_DOWN - but}
    return {name: str(value) for name, value in named.items() if isinstance(value, str | int | float)}


def _of_columns(part: Row) -> list[dict[str, str]]:
    """Return the rows of an object that holds their names and, as lists, their values; none where it holds others."""
    names, data = part.get("fields") or part.get("columns"), part.get("data") or part.get("rows")
    if not (isinstance(names, list) and isinstance(data, list) and all(isinstance(name, str) for name in names)):
        return []
    rows = [row for row in data if isinstance(row, list) and len(row) == len(names)]
    if len(rows) != len(data):
        return []
    return [{name: str(value) for name, value in zip(names, row, strict=True) if value is not None} for row in rows]


def _flat(row: Row) -> dict[str, str]:
    """Return the members of a row as texts, those of objects in it by their own names; missing ones left out."""
    out: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            for inner, text in _flat(value).items():
                out.setdefault(inner, text)
        elif value is not None and not isinstance(value, list):
            out[name] = str(value)
    return out
