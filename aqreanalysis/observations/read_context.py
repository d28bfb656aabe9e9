"""What a reader of a format works with: the beginning of a file, which tells its format, and its `ReadContext`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.observations.files import NETCDF, PARQUET, Source, text_encoding
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_metadata import StationList
from aqreanalysis.observations.table_blocks import TextTable, find_delimiter, inspect_csv, parquet_schema, parse_header
from aqreanalysis.observations.times import Clock


@dataclass(frozen=True)
class FileHead:
    """The beginning of a file, as far as guessing its format needs it.

    Attributes
    ----------
    source : Source
        The file.
    names : tuple of str
        Columns of a table (empty for what is none).
    text : str
        First characters of a text; empty for Parquet and NetCDF.
    """

    source: Source
    names: tuple[str, ...]
    text: str


@dataclass
class ReadContext:
    """What a reader works with: the file, what is told of its columns, the station list, and the report.

    Attributes
    ----------
    source : Source
        The file to read.
    columns : ColumnsConfig
        What the user says of columns, clock, units and oddities.
    stations : StationList
        Places of the stations, empty where none were given.
    report : QualityReport
        Where what is left out is counted.
    encoding : str or None
        Encoding of the format's texts, unless `columns` tells another; None for UTF-8.
    attributes : dict
        Attributes of the source that the reader finds.
    """

    source: Source
    columns: ColumnsConfig
    stations: StationList
    report: QualityReport
    encoding: str | None = None
    attributes: dict[str, object] = field(default_factory=dict)

    def table(self, header_lines: int = 1) -> TextTable:
        """Return the file as a text table, looked into."""
        return inspect_csv(self.source, self.columns.encoding or self.encoding, header_lines)

    def clock(self, default: Clock) -> Clock:
        """Return the clock of the format, changed by what the user says."""
        return Clock.of(self.columns, default)

    def require(self, names: Sequence[str], wanted: Iterable[str]) -> None:
        """Refuse a table that lacks a column of the format.

        Raises
        ------
        ObservationsError
            Naming the first column that is not there, and those that are.
        """
        missing = next((name for name in wanted if name not in names), None)
        if missing is not None:
            there = ", ".join(names)
            raise ObservationsError(
                f"{self.source.name}: no column {missing!r}{nearest_hint(missing, names)} (there are: {there:.300})"
            )


def read_head(source: Source, encoding: str | None = None) -> FileHead:
    """Return the beginning of a file.

    Raises
    ------
    ObservationsError
        The file is empty or damaged.
    """
    if source.has_suffix(PARQUET):
        return FileHead(source, tuple(parquet_schema(source).names), "")
    start = source.head()
    if source.has_suffix(NETCDF):
        return FileHead(source, (), "")
    # Whatever the encoding: what tells a format is ASCII, and reading will say what is not in its encoding.
    text = start.decode(text_encoding(start, encoding), errors="replace")
    if text.lstrip()[:1] in ("{", "["):
        return FileHead(source, (), text)
    header = text.lstrip("\ufeff").split("\n", 1)[0].rstrip("\r")
    return FileHead(source, tuple(parse_header(header, find_delimiter(header))), text)
