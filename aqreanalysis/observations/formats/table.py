"""The project's own long table: one row a station and hour, one column a pollutant, CSV or Parquet.

Described in docs/observations.md, "Files". Names, units and clock of its columns are told by the config's `columns`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from aqreanalysis.observations.columns import find_columns
from aqreanalysis.observations.csv_blocks import read_blocks
from aqreanalysis.observations.files import PARQUET
from aqreanalysis.observations.formats.registry import ReadContext, parquet_schema, station_format
from aqreanalysis.observations.parquet_blocks import read_row_blocks
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.schema import KEPT_ATTRIBUTES
from aqreanalysis.observations.tables import records_of_rows


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
        found = find_columns(schema.names, context.columns, context.source.name, placed)
        context.attributes.update(_attributes(schema))
        for rows, where in read_row_blocks(context.source, found.needed(), [found.station]):
            context.report.rows += rows.num_rows
            yield records_of_rows(rows, found, context.columns, context.report, where)
        return
    table = context.table()
    found = find_columns(table.names, context.columns, context.source.name, placed)
    for block in read_blocks(table, found.needed(), context.report):
        context.report.rows += block.rows.num_rows
        yield records_of_rows(block.rows, found, context.columns, context.report, block.where, table.decimal_comma)


def _attributes(schema: pa.Schema) -> dict[str, Any]:
    """Return the attributes that a Parquet file carries: ``DataFrame.attrs`` as pandas writes them, or plain keys."""
    metadata = schema.metadata or {}
    found: dict[str, Any] = {}
    try:
        found.update(json.loads(metadata.get(b"pandas", b"{}")).get("attributes") or {})
        found.update({name: metadata[name.encode()].decode() for name in KEPT_ATTRIBUTES if name.encode() in metadata})
    except (ValueError, AttributeError):
        return {}
    return {name: value for name, value in found.items() if name in KEPT_ATTRIBUTES}
