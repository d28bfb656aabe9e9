"""The project's own long table: one row a station and hour, one column a pollutant, CSV or Parquet.

Described in docs/observations.md, "Files". Names, units and clock of its columns are told by the config's `columns`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import configured_or_usual
from aqreanalysis.observations.columns import TableColumns, find_columns
from aqreanalysis.observations.files import PARQUET
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.schema import KEPT_ATTRIBUTES
from aqreanalysis.observations.table_blocks import parquet_schema, read_blocks, read_row_blocks
from aqreanalysis.observations.tables import records_of_rows
from aqreanalysis.observations.times import stamped_rows


@station_format(
    name="table",
    title="long table, one row a station and hour (CSV, Parquet)",
    document="docs/observations.md of this program",
    repeats="refuse",
    moved="refuse",
    rank=90,
)
def read_table(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the rows of a long table, a block at a time."""
    placed = bool(context.stations)
    if context.source.has_suffix(PARQUET):
        schema = parquet_schema(context.source)
        roles = find_columns(schema.names, context.columns, context.source.name, placed)
        context.attributes.update(_attributes(schema))
        _refuse_narrow(schema.names, roles, context)
        texts = [] if roles.station is None else [roles.station]
        for rows, where in read_row_blocks(context.source, roles.needed(), texts):
            context.report.rows += rows.num_rows
            yield from records_of_rows(rows, roles, context.columns, context.report, where)
        return
    table = context.table_of_readings()
    roles = find_columns(table.names, context.columns, context.source.name, placed)
    _refuse_narrow(table.names, roles, context)
    for block in read_blocks(table, roles.needed(), context.report):
        context.report.rows += block.rows.num_rows
        rows = stamped_rows(block.rows, roles.time, context.report)
        yield from records_of_rows(rows, roles, context.columns, context.report, block.where, table.decimal_comma)


def _refuse_narrow(names: Sequence[str], roles: TableColumns, context: ReadContext) -> None:
    """Refuse a table whose rows are measurements of one pollutant or another: their mean would be no pollutant's.

    Raises
    ------
    ObservationsError
        A column names pollutants, naming it.
    """
    parameter, value = (configured_or_usual(role, names, context.columns) for role in ("parameter", "value"))
    if parameter in names and value in roles.species.values():
        raise ObservationsError(
            f"{context.source.name}: its column {parameter!r} names pollutants, so that {value!r} is not of one: read "
            "it with --format narrow"
        )


def _attributes(schema: pa.Schema) -> dict[str, Any]:
    """Return the attributes that a Parquet file carries: ``DataFrame.attrs`` as pandas writes them, or plain keys."""
    metadata = schema.metadata or {}
    attributes: dict[str, Any] = {}
    try:
        # Where pandas keeps them, and where Arrow has kept them since its version 18.
        attributes.update(json.loads(metadata.get(b"PANDAS_ATTRS", b"{}")))
        attributes.update(json.loads(metadata.get(b"pandas", b"{}")).get("attributes") or {})
        attributes.update(
            {name: metadata[name.encode()].decode() for name in KEPT_ATTRIBUTES if name.encode() in metadata}
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: value for name, value in attributes.items() if name in KEPT_ATTRIBUTES}
