"""Station files -> `Observations`: CSV, Parquet, and the NetCDF that this program writes; one file or several."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.observations.columns import find_columns, find_list_columns, is_station_list
from aqreanalysis.observations.dataset import KEPT_ATTRIBUTES, Observations
from aqreanalysis.observations.netcdf import read_netcdf
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.tables import MISSING_TEXTS, LongTable, from_table, read_listed
from aqreanalysis.observations.times import STRAY_SHARE

_CSV = (".csv", ".csv.gz", ".txt", ".tsv")
_PARQUET = (".parquet", ".pq")
_NETCDF = (".nc", ".nc4")
SUFFIXES = (*_CSV, *_PARQUET, *_NETCDF)

PathLike = str | Path


def read_observations(path: PathLike | Sequence[PathLike], columns: ColumnsConfig | None = None) -> Observations:
    """Return the validated observations in a file, in several, or in a folder of them.

    Parameters
    ----------
    path : str, Path or sequence of them
        CSV (``.csv``, ``.csv.gz``), Parquet, or a NetCDF file that this program wrote. Several tables are read as one;
        one of them may be a station list (ids, latitude, longitude, perhaps city and name, no times). A folder stands
        for the station files in it.
    columns : ColumnsConfig, optional
        Names of the columns of tables, their units and clock.

    Raises
    ------
    ObservationsError
        A file is missing, unreadable or truncated, or breaks a rule of `from_frame`.
    """
    chosen = columns or ColumnsConfig()
    files = _files(path)
    if all(_is(file, _NETCDF) for file in files):
        if len(files) > 1:
            raise ObservationsError(f"{len(files)} NetCDF files, the first {files[0]}: give one, or tables")
        return read_netcdf(files[0])
    for file in files:
        if _is(file, _NETCDF):
            raise ObservationsError(f"{file}: a NetCDF file cannot be read together with tables: give one or the other")
    source = files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
    return _read_tables(files, chosen, QualityReport(source=source))


def _read_tables(files: list[Path], columns: ColumnsConfig, report: QualityReport) -> Observations:
    names = {file: _names(file) for file in files}
    lists = [file for file in files if len(files) > 1 and is_station_list(names[file], columns)]
    listed = [_read_list(file, names[file], columns, report) for file in lists]
    tables, attributes = [], dict[str, Any]()
    for file in files:
        if file not in lists:
            found = find_columns(names[file], columns, str(file), places_given=bool(lists))
            texts = [found.station, str(found.time), *filter(None, (found.city, found.name))]
            tables.append((found, _read(file, found.needed(), texts, report)))
            attributes.update(_attributes(file))
    if not tables:
        raise ObservationsError(f"{report.source}: only station lists, no readings: give the table of readings too")
    first = tables[0][0]
    different = next((f for f, (found, _) in zip(files, tables, strict=False) if found != first), None)
    if different is not None:
        raise ObservationsError(
            f"{different} has other columns than {files[0]}: files read together need the same columns"
        )
    rows = tables[0][1] if len(tables) == 1 else _together([rows for _, rows in tables], report)
    frame = pd.concat(listed, ignore_index=True) if listed else None
    return from_table(LongTable(rows, first, attributes, frame), columns, report)


def _files(path: PathLike | Sequence[PathLike]) -> list[Path]:
    given = [Path(path)] if isinstance(path, (str, Path)) else [Path(p) for p in path]
    if not given:
        raise ObservationsError("no observations file given: name a CSV, Parquet or NetCDF file")
    files: list[Path] = []
    for item in given:
        if item.is_dir():
            inside = sorted(f for f in item.iterdir() if f.is_file() and _is(f, SUFFIXES) and f.name[0] != ".")
            if not inside:
                raise ObservationsError(f"the folder {item} holds no station file ({', '.join(SUFFIXES)})")
            files += inside
        elif item.exists():
            files.append(item)
        else:
            beside = [f.name for f in item.parent.iterdir()] if item.parent.is_dir() else []
            raise ObservationsError(f"no observations file {str(item)!r}{nearest_hint(item.name, beside)}")
    for file in files:
        if not _is(file, SUFFIXES):
            raise ObservationsError(f"{file}: unknown kind of file: known are {', '.join(SUFFIXES)}")
        try:
            with file.open("rb") as stream:
                if not stream.read(1):
                    raise ObservationsError(f"{file} is empty (0 bytes): give a file with readings")
        except OSError as error:
            raise ObservationsError(f"{file} cannot be read: {error.strerror or error}") from None
    return files


def _is(file: Path, suffixes: Sequence[str]) -> bool:
    return file.name.lower().endswith(tuple(suffixes))


def _names(file: Path) -> list[str]:
    """Return the columns of a table without reading its rows."""
    if _is(file, _PARQUET):
        try:
            return list(pq.read_schema(file).names)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _unreadable(file, "Parquet", error) from None
    header = _header(file)
    names = next(csv.reader([header], delimiter=_delimiter(header)), [])
    return [name.strip() for name in names]


def _header(file: Path) -> str:
    try:
        with _open_text(file) as stream:
            return stream.readline().rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(file, "UTF-8 CSV", error) from None


def _open_text(file: Path) -> TextIO:
    if _is(file, (".gz",)):
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _read(file: Path, needed: list[str], texts: list[str], report: QualityReport) -> pa.Table:
    """Return the needed columns of a table; `texts` are the columns that are no numbers."""
    if _is(file, _PARQUET):
        try:
            # Ids as dictionaries: four million strings would cost more than all the readings.
            return pq.read_table(file, columns=needed, read_dictionary=[texts[0]], page_checksum_verification=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _unreadable(file, "Parquet", error) from None
    return _read_csv(file, needed, texts, report)


def _read_csv(file: Path, needed: list[str], texts: list[str], report: QualityReport) -> pa.Table:
    # The header is read here (its names stripped of blanks), so that both readings find the same columns.
    read = pacsv.ReadOptions(column_names=_names(file), skip_rows=1)
    delimiter = _delimiter(_header(file))
    broken: list[str] = []

    def note(row: pacsv.InvalidRow) -> str:
        broken.append(f"{row.actual_columns} fields instead of {row.expected_columns}: {row.text!r:.60}")
        return "skip"

    def attempt(types: dict[str, pa.DataType], handler: Callable[[pacsv.InvalidRow], str] | None) -> pa.Table:
        broken.clear()
        parse = pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=handler)
        convert = pacsv.ConvertOptions(
            include_columns=needed, column_types=types, null_values=list(MISSING_TEXTS), strings_can_be_null=True
        )
        return pacsv.read_csv(file, read_options=read, parse_options=parse, convert_options=convert)

    numbers = {name: pa.string() if name in texts else pa.float64() for name in needed}
    try:
        try:
            rows = attempt(numbers, None)
        except pa.ArrowInvalid:
            # A short line, or a reading that is no number: read all as text, where such cells are counted or refused
            # by name. The handler must not meet bytes that are no UTF-8: it would fail with a traceback of its own.
            _check_utf8(file)
            rows = attempt({name: pa.string() for name in needed}, note)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(file, "UTF-8 CSV", error) from None
    if len(broken) > STRAY_SHARE * (rows.num_rows + len(broken)):
        raise ObservationsError(f"{file}: {len(broken)} lines have the wrong number of fields, the first {broken[0]}")
    report.count("broken_lines", len(broken))
    for name in rows.column_names:
        if pa.types.is_string(rows[name].type) and pc.any(pc.match_substring(rows[name], "\n")).as_py():
            raise ObservationsError(
                f"{file}: a cell of column {name!r} runs over several lines: a quotation mark is not closed; correct it"
            )
    return rows


def _check_utf8(file: Path) -> None:
    with _open_text(file) as stream:
        while stream.read(1 << 20):
            pass


def _unreadable(file: Path, kind: str, error: Exception) -> ObservationsError:
    reason = " ".join(str(error).split())[:160]
    return ObservationsError(f"{file} is no readable {kind} file ({reason}): is it truncated or of another kind?")


def _read_list(file: Path, names: list[str], columns: ColumnsConfig, report: QualityReport) -> pd.DataFrame:
    found = find_list_columns(names, columns)
    texts = [found.station, *filter(None, (found.city, found.name))]
    return read_listed(_read(file, found.needed(), texts, report), found, report)


def _attributes(file: Path) -> dict[str, Any]:
    """Return the attributes that a Parquet file carries: ``DataFrame.attrs`` as pandas writes them, or plain keys."""
    if not _is(file, _PARQUET):
        return {}
    metadata = pq.read_schema(file).metadata or {}
    found: dict[str, Any] = {}
    try:
        found.update(json.loads(metadata.get(b"pandas", b"{}")).get("attributes") or {})
        found.update({name: metadata[name.encode()].decode() for name in KEPT_ATTRIBUTES if name.encode() in metadata})
    except (ValueError, AttributeError):
        return {}
    return {name: value for name, value in found.items() if name in KEPT_ATTRIBUTES}


def _together(tables: list[pa.Table], report: QualityReport) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise ObservationsError(
            f"{report.source}: columns differ in kind between the files ({' '.join(str(error).split())[:160]}): "
            "write them alike"
        ) from None
