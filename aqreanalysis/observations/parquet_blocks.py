"""Parquet tables, streamed: blocks of rows, each with the row that it begins at, whatever the groups of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.files import Source, unreadable
from aqreanalysis.observations.report import Where

# Rows of a block: what most writers put into a group. Some write one group of all rows.
BLOCK_ROWS = 1 << 20


def read_row_blocks(
    source: Source, columns: Sequence[str], texts: Sequence[str] = ()
) -> Iterator[tuple[pa.Table, Where]]:
    """Yield the rows of some columns, and where the first of them stands; memory holds one block at a time.

    Parameters
    ----------
    source : Source
        The file.
    columns : sequence of str
        Columns to read; they are there.
    texts : sequence of str
        Those of them to read as dictionaries: four million strings would cost more than all the readings.

    Raises
    ------
    ObservationsError
        The file is damaged.
    """
    first = 1
    try:
        with source.open() as stream:
            file = pq.ParquetFile(stream, read_dictionary=list(texts), page_checksum_verification=True)
            for batch in file.iter_batches(BLOCK_ROWS, columns=list(columns), use_threads=False):
                yield pa.Table.from_batches([batch]), Where(source.name, first)
                first += batch.num_rows
    except ObservationsError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(source.name, "Parquet", error) from None
