"""Rows in the JSON of an API, whatever they are wrapped in, as a table of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.files import Source, read_json

# So deep are rows wrapped in an answer, at most.
_DEEPEST = 6


def json_table(source: Source) -> pa.Table:
    """Return the rows of a JSON file as columns of texts, null where a row lacks one: its longest list of objects.

    An object within a row gives its members as columns: ``date: {utc: ...}`` the column ``utc``.

    Raises
    ------
    ObservationsError
        The file is no JSON, or has no list of objects.
    """
    lists = list(_lists(read_json(source), _DEEPEST))
    if not lists:
        raise ObservationsError(f"{source.name}: JSON without a list of rows: give an answer of the API as it came")
    rows = [_flat(row) for row in max(lists, key=len)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def _lists(part: object, depth: int) -> Iterator[Sequence[dict[str, object]]]:
    """Yield the lists of objects in a page, outer ones first."""
    if depth == 0:
        return
    if isinstance(part, list) and part and all(isinstance(row, dict) for row in part):
        yield part
    children = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for child in children:
        if isinstance(child, dict | list):
            yield from _lists(child, depth - 1)


def _flat(row: dict[str, object]) -> dict[str, str]:
    """Return the members of a row as texts, those of objects in it by their own names; missing ones left out."""
    out: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            for inner, text in _flat(value).items():
                out.setdefault(inner, text)
        elif value is not None and not isinstance(value, list):
            out[name] = str(value)
    return out
