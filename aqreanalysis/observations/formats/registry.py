"""The list of formats: a reader declares what its files look like; from that a file's format is guessed, with why."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict, Unpack

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, no_format
from aqreanalysis.observations.column_names import pollutant_and_unit
from aqreanalysis.observations.columns import time_columns
from aqreanalysis.observations.files import own_encoding
from aqreanalysis.observations.raw_records import RawRecords, Repeats
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.table_blocks import inspect_csv
from aqreanalysis.observations.units import TEMPERATURE_CELSIUS

Reader = Callable[[ReadContext], Iterator[RawRecords]]
# From this rank on formats are no network's own: tables whose columns are told or found by their usual names.
GENERIC_RANK = 70


@dataclass(frozen=True)
class StationFormat:
    """One format of station files.

    Attributes
    ----------
    name : str
        What ``--format`` calls it.
    title : str
        What it is, for people.
    document : str
        Where its layout is described.
    read : callable
        Yields the records of one file, a part at a time.
    columns : frozenset of str
        Columns that a table of this format has, every one.
    filename : str or None
        Pattern that the names of its files match.
    matches : callable or None
        Another way to know a file: returns the reason, or None.
    repeats : str
        What is done with rows of one station-hour that differ: see `ColumnsConfig.repeats`.
    moved : str
        What is done with a station at several places: see `ColumnsConfig.moved_stations`.
    needs_stations : bool
        Whether its files give no coordinates.
    temperature_celsius : float
        Temperature at which the network makes ppb and ppm mass.
    periods_stated : bool
        Whether its files say that their readings are hourly means, so that stamps need not tell it.
    texts_alone : bool
        Whether its files are texts, so that Parquet and the like need not be looked at.
    rank : int
        Guesses go from the lowest on: what is told apart surely comes before what is taken in want of better.
    """

    name: str
    title: str
    document: str
    read: Reader
    columns: frozenset[str] = frozenset()
    filename: str | None = None
    matches: Callable[[FileHead], str | None] | None = None
    repeats: Repeats = "last"
    moved: str = "split"
    needs_stations: bool = False
    temperature_celsius: float = TEMPERATURE_CELSIUS
    periods_stated: bool = False
    texts_alone: bool = False
    rank: int = 0

    def reason(self, head: FileHead) -> str | None:
        """Return why a file is of this format, or None if it does not look so."""
        if self.texts_alone and not head.text:
            return None
        if self.matches is not None:
            return self.matches(head)
        if not self.columns or not self.columns <= set(head.names):
            return None
        named = self.filename is not None and re.fullmatch(self.filename, head.source.filename, re.IGNORECASE)
        by_name = f" and is named like {head.source.filename}" if named else ""
        shown = ", ".join(name for name in head.names if name in self.columns)
        return f"it has the columns {shown}{by_name}"


_FORMATS: dict[str, StationFormat] = {}


class FormatTraits(TypedDict, total=False):
    """What a reader may say of its format beside its columns; see `StationFormat`."""

    filename: str
    matches: Callable[[FileHead], str | None]
    repeats: Repeats
    moved: str
    needs_stations: bool
    temperature_celsius: float
    periods_stated: bool
    texts_alone: bool
    rank: int


def station_format(
    name: str, title: str, document: str, columns: Iterable[str] = (), **traits: Unpack[FormatTraits]
) -> Callable[[Reader], Reader]:
    """Register the decorated function as the reader of a format; arguments as the attributes of `StationFormat`."""

    def register(read: Reader) -> Reader:
        _FORMATS[name] = StationFormat(name, title, document, read, frozenset(columns), **traits)
        return read

    return register


@cache
def _load() -> dict[str, StationFormat]:
    """Import every module of this folder once, so that each registers its format."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{package}.{module.name}")
    return dict(sorted(_FORMATS.items(), key=lambda item: (item[1].rank, item[0])))


def list_formats() -> list[StationFormat]:
    """Return the formats, in the order in which they are tried."""
    return list(_load().values())


def find_format(name: str) -> StationFormat:
    """Return the format called `name`.

    Raises
    ------
    ObservationsError
        If there is none; the nearest is named.
    """
    formats = _load()
    if name not in formats:
        raise no_format(name, formats)
    return formats[name]


def guess_format(head: FileHead, columns: ColumnsConfig) -> tuple[StationFormat, str]:
    """Return the format that a file looks like, and why; what looks like none is the project's own long table.

    Raises
    ------
    ObservationsError
        If it looks like none, and has not one column of the long table either.
    """
    for chosen in list_formats():
        reason = chosen.reason(head)
        if reason is not None:
            return chosen, reason
    own = {columns.station, *time_columns(head.names, columns), columns.lat, columns.lon, *columns.species.values()}
    there = [name for name in head.names if name in own or _is_pollutant(name)]
    if there:
        return find_format("table"), f"it has the columns {', '.join(there):.200}"
    if head.text:
        inspect_csv(head.source, own_encoding(head.source, columns.encoding))  # says so if it is not in its encoding
    shown = f"its columns are {', '.join(head.names):.200}" if head.names else f"it begins with {head.text[:60]!r}"
    raise ObservationsError(
        f"{head.source.name} looks like no known format ({shown}): name its columns (--set columns.station=... "
        "--set columns.species.pm25=...), or its format with --format ('aqreanalysis observations formats' lists them)"
    )


def _is_pollutant(name: str) -> bool:
    return pollutant_and_unit(name)[0] is not None
