"""`TimePartitions`: raw records of many files between reading and merging, in memory or on disk by blocks of time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from aqreanalysis.observations.places import LABELS
from aqreanalysis.observations.raw_records import NEVER, RawRecords, assign_stations
from aqreanalysis.species import in_order

# Rows that are gathered before they are written: some 200 MB.
GATHERED_ROWS = 2_000_000
_LOCK = "lock"
_PLACE = ("station", "lat", "lon", *LABELS)
_NOWHERE = pd.DataFrame(columns=list(_PLACE))


def _locked_folder(beside: Path) -> tuple[Path, FileLock]:
    """Return a fresh folder in another and its lock, which the system drops with this process; what processes that were
    killed have left there is removed."""
    for left in beside.glob(".observations-*.partitions"):
        lock = FileLock(left / _LOCK)
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError):  # somebody works there, or may not be asked
            continue
        shutil.rmtree(left, ignore_errors=True)
        lock.release()
    new = Path(tempfile.mkdtemp(prefix=".observations-", suffix=".new", dir=beside))
    lock = FileLock(new / _LOCK)
    lock.acquire()
    return new.rename(new.with_suffix(".partitions")), lock


class TimePartitions:
    """Raw records of many files, whose station codes are rows of one `station_table`.

    Used as a context, at whose end the folder on disk is removed.

    Parameters
    ----------
    beside : Path, optional
        Folder to make the temporary folder in: that of the output, where there must be room anyway. None to hold all
        rows in memory; else no more than `GATHERED_ROWS` are held.
    block_hours : int, optional
        Hours of a block; block b holds the stamps from ``b * block_hours`` on, in hours since 1970. None for one block
        of everything, number 0.
    """

    def __init__(self, beside: Path | None = None, block_hours: int | None = None) -> None:
        self._block_hours = block_hours
        self._folder: Path | None = None
        self._lock: FileLock | None = None
        if beside is not None:
            self._folder, self._lock = _locked_folder(beside)
        self._gathered: list[tuple[int, RawRecords]] = []
        self._rows = 0
        self._spilled: list[tuple[int, RawRecords]] = []  # file and form of each batch on disk, without its rows
        self._parts = 0
        self._places: dict[tuple[object, ...], int] = {}
        self._namer = np.empty(0, np.int32)  # the file that names each place
        self._last: tuple[pd.DataFrame, NDArray[np.int32]] | None = None
        self._discarded: list[int] = []

    def __enter__(self) -> TimePartitions:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._folder is not None and self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._lock.release()

    def append(self, file: int, records: RawRecords) -> None:
        """Take records of file number `file`, which come in the order of issue, a file after another."""
        codes = self._codes(records.places)
        self._namer = np.append(self._namer, np.full(len(self._places) - len(self._namer), file, np.int32))
        named = codes[:-1]
        self._namer[named] = np.where(np.isin(self._namer[named], self._discarded), file, self._namer[named])
        self._gathered.append((file, replace(records, station=codes[records.station], places=_NOWHERE)))
        self._rows += len(records.end)
        if self._folder is not None and self._rows >= GATHERED_ROWS:
            self._spill(self._folder)

    def discard_file(self, file: int) -> None:
        """Leave out the rows, places and pollutants of the last file, which turned out broken."""
        self._discarded.append(file)
        self._gathered = [(number, records) for number, records in self._gathered if number != file]

    def forms(self) -> Iterator[RawRecords]:
        """Yield the records that count, those on disk without their rows: what their pollutants and periods are."""
        yield from (records for file, records in self._spilled if file not in self._discarded)
        yield from (records for _, records in self._gathered)

    def station_table(self) -> pd.DataFrame:
        """Return the places of the files that count, one row a station code, as `resolve_stations` takes them.

        ``since`` is the first minute (since 1970-01-01 UTC) of a row there, `NEVER` where there is none; a place of
        a discarded file alone has no ``station``.
        """
        frame = pd.DataFrame(list(self._places), columns=list(_PLACE)).replace({np.nan: None})
        for role in ("lat", "lon"):
            frame[role] = frame[role].astype(np.float64)
        since = np.full(len(frame), NEVER, np.int32)
        for station, end in self._stamps():
            np.minimum.at(since, station, end)
        frame["since"] = since
        frame.loc[np.isin(self._namer, self._discarded), ["station", "lat", "lon"]] = [None, np.nan, np.nan]
        return frame.drop(columns=[role for role in LABELS if frame[role].isna().all()])

    def hours(self, index: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
        """Return the distinct hours, sorted, of the rows whose code has a station in `index` (not -1), and how many
        rows have none.
        """
        hours, unplaced = [np.empty(0, np.int32)], 0
        for station, end in self._stamps():
            placed = index[station] >= 0
            unplaced += len(end) - int(np.count_nonzero(placed))
            hours.append(pd.unique(-(-(end if placed.all() else end[placed]) // np.int32(60))))
        return np.unique(np.concatenate(hours)), unplaced

    def _stamps(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Yield station code and end of all rows that count."""
        broken = [batch for batch, (file, _) in enumerate(self._spilled) if file in self._discarded]
        for part in self._files():
            table = pq.read_table(part, columns=["batch", "station", "end"], use_threads=False)
            counts = ~np.isin(table["batch"].to_numpy(), broken)
            yield table["station"].to_numpy()[counts], table["end"].to_numpy()[counts]
        for _, records in self._gathered:
            yield records.station, records.end

    def blocks(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """Return the blocks between two stamps: number, first and last stamp of each."""
        if self._block_hours is None:
            return [(0, first, last)]
        size = self._block_hours
        numbers = range(first // size, last // size + 1)
        return [(number, max(number * size, first), min((number + 1) * size - 1, last)) for number in numbers]

    def read_block(self, number: int, index: NDArray[np.int32]) -> Iterator[RawRecords]:
        """Yield the records of a block in the order of issue, their codes put through `index` by `assign_stations`."""
        for part in self._files(number):
            yield from self._read_part(part, index)
        if self._block_hours is None:
            yield from (assign_stations(records, index) for _, records in self._gathered)
            return
        for _, records in self._gathered:
            here = records.where(records.hours // np.int32(self._block_hours) == number)
            if len(here.end):
                yield assign_stations(here, index)

    def _codes(self, places: pd.DataFrame) -> NDArray[np.int32]:
        """Return the code of each place of a table; one for -1, a row without a place, stands last."""
        if self._last is not None and self._last[0] is places:  # records of a table, a pollutant after another
            return self._last[1]
        columns = [_values(places[role]) if role in places else [None] * len(places) for role in _PLACE]
        rows = zip(*columns, strict=True)
        codes = np.array([self._places.setdefault(row, len(self._places)) for row in rows] + [-1], dtype=np.int32)
        self._last = (places, codes)
        return codes

    def _files(self, number: int | None = None) -> list[Path]:
        if self._folder is None:
            return []
        pattern = "*/*.parquet" if number is None else f"{number}/*.parquet"
        return sorted(self._folder.glob(pattern), key=lambda path: (path.name, path.parent.name))

    def _spill(self, folder: Path) -> None:
        """Write what was gathered to disk, a file a block."""
        batches = [records for _, records in self._gathered]
        number = np.arange(len(self._spilled), len(self._spilled) + len(batches), dtype=np.int32)
        rows = {"batch": np.repeat(number, [len(records.end) for records in batches])}
        rows["station"] = np.concatenate([records.station for records in batches])
        rows["end"] = np.concatenate([records.end for records in batches])
        rows["instrument"] = _joined([records.instrument for records in batches], batches, np.int64(0))
        for key in in_order({key for records in batches for key in records.values}):
            rows[key] = _joined([records.values.get(key) for records in batches], batches, np.float32(np.nan))
        for key in in_order({key for records in batches for key in records.flags}):
            rows[f"{key}_flag"] = _joined([records.flags.get(key) for records in batches], batches, np.int8(0))
        blocks = -(-rows["end"] // np.int32(60)) // np.int32(self._block_hours or NEVER)
        for block, part in pd.DataFrame(rows).groupby(blocks, sort=False):
            (folder / str(block)).mkdir(exist_ok=True)
            table = pa.Table.from_pandas(part, preserve_index=False)
            path = folder / str(block) / f"{self._parts:06d}.parquet"
            pq.write_table(table, path, compression="zstd", use_dictionary=False)
        self._spilled += [(file, records.where(np.zeros(len(records.end), bool))) for file, records in self._gathered]
        self._gathered, self._rows, self._parts = [], 0, self._parts + 1

    def _read_part(self, path: Path, index: NDArray[np.int32]) -> Iterator[RawRecords]:
        table = pq.read_table(path, use_threads=False)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        batch = columns["batch"]
        begins = np.flatnonzero(np.append(True, batch[1:] != batch[:-1]))
        for begin, end in zip(begins, [*begins[1:], len(batch)], strict=True):
            file, form = self._spilled[int(batch[begin])]
            if file in self._discarded:
                continue
            here = slice(begin, end)
            records = replace(
                form,
                station=columns["station"][here],
                end=columns["end"][here],
                values={key: columns[key][here] for key in form.values},
                flags={key: columns[f"{key}_flag"][here] for key in form.flags},
                instrument=None if form.instrument is None else columns["instrument"][here],
            )
            yield assign_stations(records, index)


def _values(column: pd.Series) -> list[object]:
    """Return a column's values, None where one is missing: NaN is not equal to itself, and would be another place."""
    values = np.array(column, dtype=object)
    values[column.isna().to_numpy()] = None
    return list(values)


def _joined(parts: list[NDArray | None], batches: list[RawRecords], fill: np.generic) -> NDArray:
    """Return a column of all batches, filled where a batch has none."""
    full = [
        np.full(len(records.end), fill) if part is None else part for part, records in zip(parts, batches, strict=True)
    ]
    return np.concatenate(full)
