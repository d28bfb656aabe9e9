"""What a reader of a format works with: the beginning of a file, which tells its format, and its `ReadContext`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.observations.encodings import text_encoding
from aqreanalysis.observations.files import NETCDF, PARQUET, Source, own_encoding
from aqreanalysis.observations.headers import header_line, with_units
from aqreanalysis.observations.parse_numbers import CellRules, Readings, to_readings
from aqreanalysis.observations.report import QualityReport, Where
from aqreanalysis.observations.station_metadata import StationList
from aqreanalysis.observations.table_blocks import TextTable, find_delimiter, inspect_csv, parquet_schema, parse_header
from aqreanalysis.observations.times import Clock

# Lines among which the header of a file with lines on top is looked for.
HEADER_LINES = 60


def find_header(text: str, is_header: Callable[[list[str]], bool]) -> tuple[int, list[str]] | None:
    """Return at which line (from 0) of a text a header stands, and its columns; None if it has none."""
    for at, line in enumerate(text.lstrip("\ufeff").split("\n", HEADER_LINES)[:HEADER_LINES]):
        names = parse_header(line.rstrip("\r"), find_delimiter(line))
        if is_header(names):
            return at, names
    return None


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
    columns : ColumnsConfig
        What the user says of columns.
    stations : frozenset of str
        Ids that the station lists know.
    """

    source: Source
    names: tuple[str, ...]
    text: str
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    stations: frozenset[str] = frozenset()

    def names_in(self, encoding: str) -> list[str]:
        """Return the columns of the first line in an encoding, which the settings know nothing of."""
        try:
            line = self.source.head().decode("utf-8-sig", errors="strict").split("\n", 1)[0]
        except UnicodeDecodeError:
            line = self.source.head().decode(encoding, errors="replace").split("\n", 1)[0]
        return parse_header(line.rstrip("\r"), find_delimiter(line))

    def find_header(self, is_header: Callable[[list[str]], bool]) -> tuple[int, list[str]] | None:
        """Return at which line (from 0) of the first `HEADER_LINES` a header stands, and its columns; None if none."""
        return find_header(self.text, is_header)


@dataclass(frozen=True)
class FileStation:
    """The one station of a file: `id`, and where it stands (degrees, NaN where a station list says it)."""

    id: str
    lat: float
    lon: float


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
        configured = self.columns.encoding or self.encoding
        encoding = own_encoding(self.source, configured)
        if configured is not None and encoding != text_encoding(self.source.head(), configured):
            self.report.note(
                f"{self.source.name} is {encoding} and was read so, not as {configured} (columns.encoding)"
            )
        return inspect_csv(self.source, encoding, header_lines + self.columns.skip_lines)

    def table_of_readings(self) -> TextTable:
        """Return a file of no network's own format as a text table: its header found, a line of units made names."""
        table = self.table()
        text = self.source.head().decode(table.encoding, errors="replace")
        at = header_line(text, self.columns, self.stations.keys())
        if at != self.columns.skip_lines:
            table = self.table_below(at)
            self.report.note(f"{self.source.name}: its header stands in line {at + 1} (columns.skip_lines={at})")
        return with_units(table, text, self.columns)

    def table_below(self, line: int) -> TextTable:
        """Return the file as a text table whose names stand at a line (from 0)."""
        return self.table(line + 1 - self.columns.skip_lines)

    def one_station(self, candidates: Sequence[str], lat: float = np.nan, lon: float = np.nan) -> FileStation:
        """Return the one station of a file: the place that is told, or the first candidate that the list knows.

        Parameters
        ----------
        candidates : sequence of str
            What the file and its name call the station, the surest first.
        lat, lon : float
            Where the file says that it stands, NaN where it does not.

        Raises
        ------
        ObservationsError
            Nothing says where it stands.
        """
        place = self.columns.place
        if place is not None:
            lat, lon = (np.nan if given is None else float(given) for given in (place.lat, place.lon))
            return FileStation(place.station, lat, lon)
        known = self.stations.match(candidates)
        if known is None and np.isnan(lat) and not self.stations:
            raise ObservationsError(
                f"{self.source.name}: nothing says where its station {candidates[0]!r} stands: give a station list "
                f"with --stations, or columns.place={{station: {candidates[0]!r}, lat: ..., lon: ...}}"
            )
        return FileStation(known or candidates[0], lat, lon)

    def cells(self, decimal_comma: bool = False) -> CellRules:
        """Return how cells are read, by what the user says of missing ones."""
        return CellRules(decimal_comma, tuple(self.columns.missing))

    def readings(self, rows: pa.Table, name: str, where: Where, decimal_comma: bool = False) -> Readings:
        """Return a column of readings; see `to_readings`."""
        return to_readings(rows[name], f"column {name!r}", where, self.report, self.cells(decimal_comma))

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


def read_head(source: Source, columns: ColumnsConfig | None = None, stations: frozenset[str] = frozenset()) -> FileHead:
    """Return the beginning of a file.

    Raises
    ------
    ObservationsError
        The file is empty or damaged.
    """
    chosen = columns or ColumnsConfig()
    if source.has_suffix(PARQUET):
        return FileHead(source, tuple(parquet_schema(source).names), "", chosen, stations)
    start = source.head()
    if source.has_suffix(NETCDF):
        return FileHead(source, (), "", chosen, stations)
    # Whatever the encoding: what tells a format is ASCII, and reading will say what is not in its encoding.
    text = start.decode(own_encoding(source, chosen.encoding), errors="replace")
    if text.lstrip()[:1] in ("{", "["):
        return FileHead(source, (), text, chosen, stations)
    lines = text.lstrip("\ufeff").splitlines() or [""]
    header = lines[min(header_line(text, chosen, stations), len(lines) - 1)]
    return FileHead(source, tuple(parse_header(header, find_delimiter(header))), text, chosen, stations)
