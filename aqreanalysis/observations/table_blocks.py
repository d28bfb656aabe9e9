"""Tables, streamed: blocks of rows, of a text with the line and of a Parquet file with the row that each begins at."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.averaging_periods import STRAY_SHARE
from aqreanalysis.observations.encodings import text_encoding
from aqreanalysis.observations.files import DAMAGE, Source, Utf8Stream, read_lines, unreadable
from aqreanalysis.observations.parse_numbers import MISSING_TEXTS
from aqreanalysis.observations.report import QualityReport, Where

# Bytes of a block of a text, some hundred thousand rows: little memory, and few calls.
BLOCK_BYTES = 16 << 20
# Rows of a block of a Parquet file: what most writers put into a group. Some write one group of all rows.
BLOCK_ROWS = 1 << 20


@dataclass(frozen=True)
class TextTable:
    """A text table that has been looked into.

    Attributes
    ----------
    source : Source
        The file.
    names : list of str
        Its columns, without blanks around them.
    delimiter : str
        What parts the columns.
    encoding : str
        Its encoding.
    header_lines : int
        Lines before the first row.
    closing : tuple of str
        How lines begin that are no rows and are not told of, such as ``End``.
    """

    source: Source
    names: list[str]
    delimiter: str
    encoding: str
    header_lines: int = 1
    closing: tuple[str, ...] = ()

    @property
    def decimal_comma(self) -> bool:
        """Whether a comma may be a decimal comma: where it does not part the columns."""
        return self.delimiter != ","


@dataclass(frozen=True)
class TextBlock:
    """Rows of a text table, every column as text, and where the first of them stands."""

    rows: pa.Table
    where: Where


def inspect_csv(source: Source, encoding: str | None = None, header_lines: int = 1) -> TextTable:
    """Return the columns of a text table, whose names stand in the last of its `header_lines`.

    Raises
    ------
    ObservationsError
        The file is empty, damaged, or not in the encoding.
    """
    used = text_encoding(source.head(), encoding)
    lines = list(islice(read_lines(source, used), header_lines))
    header = lines[-1] if len(lines) == header_lines else ""
    delimiter = find_delimiter(header)
    return TextTable(source, parse_header(header, delimiter), delimiter, used, header_lines)


def numbered(table: TextTable) -> TextTable:
    """Return a table with its columns called 0, 1, 2 ... : of some formats several have one name, or none."""
    return replace(table, names=[str(i) for i in range(len(table.names))])


def parse_header(header: str, delimiter: str) -> list[str]:
    """Return the columns that a header names, without blanks around them; the header itself if it is no such line."""
    try:
        names = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:  # a lone carriage return, a field without end: it will be refused as of no known format
        names = [header[:100]]
    return [name.strip() for name in names]


def find_delimiter(header: str) -> str:
    """Return which of comma, semicolon, tab and bar parts the columns: the most frequent in the header."""
    return max(",;\t|", key=header.count)


def read_blocks(table: TextTable, wanted: Sequence[str], report: QualityReport) -> Iterator[TextBlock]:
    """Yield the rows of the `wanted` columns as texts, null where missing; memory holds one block at a time.

    Raises
    ------
    ObservationsError
        The file is damaged or not in its encoding, more than one line in a hundred has a wrong number of fields, or a
        quotation mark is not closed.
    """
    twice = next((name for name in wanted if table.names.count(name) > 1), None)
    if twice is not None:
        raise ObservationsError(f"{table.source.name}: column {twice!r} is there twice: name each column once")
    broken: list[str] = []

    def note(row: pacsv.InvalidRow) -> str:
        if table.closing and row.text.strip().startswith(table.closing):
            return "skip"
        at = f"line {row.number}: " if row.number else ""
        broken.append(f"{at}{row.actual_columns} fields instead of {row.expected_columns}: {row.text!r:.60}")
        return "skip"

    read = pacsv.ReadOptions(
        column_names=table.names, skip_rows=table.header_lines, block_size=BLOCK_BYTES, use_threads=False
    )
    parse = pacsv.ParseOptions(delimiter=table.delimiter, invalid_row_handler=note)
    convert = pacsv.ConvertOptions(
        include_columns=list(wanted),
        column_types={name: pa.string() for name in table.names},
        null_values=list(MISSING_TEXTS),
        strings_can_be_null=True,
    )
    seen = 0
    for batch in _batches(table, report, (read, parse, convert)):
        rows = pa.Table.from_batches([batch])
        _refuse_open_quotes(rows, table.source.name)
        yield TextBlock(rows, Where(table.source.name, table.header_lines + 1 + seen, "line"))
        seen += batch.num_rows
    # Lines that were left out are not numbered in what follows them; there are few, or the file is refused.
    if len(broken) > STRAY_SHARE * (seen + len(broken)):
        raise ObservationsError(
            f"{table.source.name}: {len(broken)} lines have the wrong number of fields, the first {broken[0]}"
        )
    report.count("broken_lines", len(broken))


def _batches(
    table: TextTable,
    report: QualityReport,
    options: tuple[pacsv.ReadOptions, pacsv.ParseOptions, pacsv.ConvertOptions],
) -> Iterator[pa.RecordBatch]:
    """Yield Arrow's batches; whatever a damaged file makes it raise becomes one error by name."""
    read, parse, convert = options
    try:
        with Utf8Stream(table.source, table.encoding) as stream:
            try:
                reader = pacsv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert)
            except pa.ArrowInvalid as error:
                if "Empty CSV file" in str(error):  # a header and nothing else
                    return
                raise
            while True:
                try:
                    yield reader.read_next_batch()
                except StopIteration:
                    # Many a whole file ends so, and one that is cut in its last number looks the same.
                    report.count("files_without_line_end", int(stream.cut))
                    return
    except ObservationsError:
        raise
    except (pa.ArrowException, *DAMAGE) as error:
        raise unreadable(table.source.name, "UTF-8 CSV", error) from None


def _refuse_open_quotes(rows: pa.Table, name: str) -> None:
    for column in rows.column_names:
        if pc.any(pc.match_substring(rows[column], "\n")).as_py():
            raise ObservationsError(
                f"{name}: a cell of column {column!r} runs over several lines: a quotation mark is not closed"
            )


def parquet_schema(source: Source) -> pa.Schema:
    """Return the schema of a Parquet file.

    Raises
    ------
    ObservationsError
        The file is empty or damaged.
    """
    if source.member is None and source.path.is_file() and source.path.stat().st_size == 0:
        source.head()  # says that it is empty
    try:
        with source.open() as stream:
            return pq.read_schema(stream if source.member is not None else source.path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(source.name, "Parquet", error) from None


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
