"""JSON of APIs whose answer is a list of rows: one a measurement, or one a station and hour.

Described in docs/observations.md of this program. Luchtmeetnet, OpenAQ's version 2 and the portals of open data
(Socrata, CKAN, Opendatasoft) answer so. Columns are found by their usual names or told, as of tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import configured_or_usual, pollutant_and_unit
from aqreanalysis.observations.columns import find_columns, time_columns
from aqreanalysis.observations.formats.narrow import find_roles, records_of_measurements
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.json_rows import json_table
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.tables import records_of_rows

_MEMBER = re.compile(r'"((?:[^"\\]|\\.){1,60})"\s*:')


def matches(head: FileHead) -> str | None:
    """Return why a file is such JSON: its members are named as columns of readings are."""
    if head.text.lstrip()[:1] not in ("{", "["):
        return None
    names = list(dict.fromkeys(_MEMBER.findall(head.text)))
    named = set(head.columns.species.values()) & set(names)
    if not set(time_columns(names, head.columns)) <= set(names):
        return None
    if not (_is_narrow(names, head.columns) or named or any(pollutant_and_unit(name)[0] for name in names)):
        return None
    return f"it is JSON with the members {', '.join(names[:8])}"


def _is_narrow(names: Sequence[str], columns: ColumnsConfig) -> bool:
    """Return whether rows are measurements, with a member that names the pollutant."""
    return all(configured_or_usual(role, names, columns) in names for role in ("parameter", "value"))


@station_format(
    name="json-records",
    title="JSON of an API with a list of rows (Luchtmeetnet, portals of open data)",
    document="docs/observations.md of this program",
    matches=matches,
    texts_alone=True,
    repeats="refuse",
    moved="refuse",
    rank=88,
)
def read_json_records(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of one file."""
    rows = json_table(context.source)
    where = Where(context.source.name, 1, "row")
    names = rows.column_names
    if _is_narrow(names, context.columns):
        yield from records_of_measurements(rows, find_roles(names, context), context, where)
        return
    roles = find_columns(names, context.columns, context.source.name, bool(context.stations))
    if not roles.species:
        raise ObservationsError(f"{context.source.name}: no member is a known pollutant: {', '.join(names):.200}")
    context.report.rows += rows.num_rows
    yield from records_of_rows(rows, roles, context.columns, context.report, where)
