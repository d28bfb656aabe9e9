"""Rows on their way into a file, kept on disk by blocks of time: memory never holds more than one of these."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from aqreanalysis.observations.merging import hours_of
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.species import SPECIES

# Rows that are gathered before they are written: some 200 MB.
GATHERED_ROWS = 2_000_000
_ROW = {"place": np.int32, "end": np.int32, "minutes": np.int16, "instrument": np.int64, "file": np.int32}


@dataclass
class TimePartitions:
    """`RawRecords` of many files by blocks of time.

    Attributes
    ----------
    beside : Path
        Folder to make the temporary folder in: that of the output, where there must be room anyway.
    block_hours : int
        Hours of a block; block b holds the stamps from ``b * block_hours`` on, in hours since 1970.
    """

    beside: Path
    block_hours: int
    keys: set[str] = field(default_factory=set)
    flagged: set[str] = field(default_factory=set)
    hours: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=".observations-", suffix=".partitions", dir=self.beside))
        self._waiting: list[pd.DataFrame] = []
        self._rows = 0
        self._parts = 0
        self._places: dict[tuple[object, ...], int] = {}
        self._since: dict[int, int] = {}
        self._of_file: dict[int, set[int]] = {}
        self._hours_of_file: dict[int, NDArray[np.int32]] = {}

    def __enter__(self) -> TimePartitions:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def append(self, number: int, records: RawRecords) -> None:
        """Take records of file `number`."""
        codes = self._codes(records.places)
        rows: dict[str, NDArray] = {
            "place": codes[records.station],
            "end": records.end,
            "minutes": np.full(len(records.end), records.minutes, np.int16),
            "instrument": np.zeros(len(records.end), np.int64) if records.instrument is None else records.instrument,
            "file": np.full(len(records.end), number, np.int32),
        }
        for key in SPECIES:
            rows[key] = records.values.get(key, np.full(len(records.end), np.nan, np.float32))
            rows[f"{key}_flag"] = records.flags.get(key, np.zeros(len(records.end), np.int8))
        frame = pd.DataFrame(rows)
        frame["block"] = hours_of(records) // np.int32(self.block_hours)
        self.keys |= set(records.values)
        self.flagged |= set(records.flags)
        used, first = np.unique(rows["place"], return_index=True)
        since = np.full(int(used.max(initial=0)) + 1, np.iinfo(np.int32).max, np.int32)
        np.minimum.at(since, rows["place"], records.end)
        for code in used[np.argsort(first)]:
            self._since[int(code)] = min(self._since.get(int(code), int(since[code])), int(since[code]))
        self._of_file.setdefault(number, set()).update(int(code) for code in used)
        before = self._hours_of_file.get(number, np.empty(0, np.int32))
        self._hours_of_file[number] = np.union1d(before, hours_of(records))
        self._waiting.append(frame)
        self._rows += len(frame)
        if self._rows >= GATHERED_ROWS:
            self._write()

    def commit_file(self, number: int) -> None:
        """Say that file `number` was read to its end: only then its hours and places count."""
        self.hours = np.union1d(self.hours, self._hours_of_file.pop(number, np.empty(0, np.int32)))

    def discard_file(self, number: int) -> None:
        """Forget the places and hours of a file that turned out broken; its rows are left out by `read_block`."""
        self._of_file.pop(number, None)
        self._hours_of_file.pop(number, None)

    def place_table(self) -> pd.DataFrame:
        """Return the places of all files that count, ``station`` None for those of no file, one row a code."""
        columns = ("station", "lat", "lon", "city", "name")
        frame = pd.DataFrame(list(self._places), columns=list(columns)).replace({np.nan: None})
        for role in ("lat", "lon"):
            frame[role] = frame[role].astype(np.float64)
        frame["since"] = [self._since.get(code, np.iinfo(np.int32).max) for code in range(len(frame))]
        counted = set().union(*self._of_file.values()) if self._of_file else set()
        gone = [code for code in range(len(frame)) if code in self._since and code not in counted]
        frame.loc[gone, ["station", "lat", "lon"]] = [None, np.nan, np.nan]
        return frame.drop(columns=[role for role in ("city", "name") if frame[role].isna().all()])

    def read_block(self, block: int, broken: set[int]) -> list[RawRecords]:
        """Return the rows of a block as records in the order of issue, without those of `broken` files."""
        self._write()
        folder = self._folder / str(block)
        files = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        frames = [pq.read_table(file, use_threads=False).to_pandas() for file in files]
        if not frames:
            return []
        frame = pd.concat(frames, ignore_index=True)
        frame = frame[~frame["file"].isin(broken)] if broken else frame
        batches = []
        # By file, as issued; within a file by period, which an hour's rows share.
        for (_, minutes), part in frame.groupby(["file", "minutes"], sort=True):
            several = bool((part["instrument"] != 0).any())
            values = {key: part[key].to_numpy() for key in SPECIES if key in self.keys}
            batches.append(
                RawRecords(
                    source="",
                    places=pd.DataFrame(),
                    station=part["place"].to_numpy(),
                    end=part["end"].to_numpy(),
                    minutes=int(minutes),
                    values=values,
                    flags={key: part[f"{key}_flag"].to_numpy() for key in values if key in self.flagged},
                    instrument=part["instrument"].to_numpy() if several else None,
                )
            )
        return batches

    def _codes(self, places: pd.DataFrame) -> NDArray[np.int32]:
        """Return the code of each place of a table; one for -1, a row without a place, stands last."""
        full = places.reindex(columns=["station", "lat", "lon", "city", "name"])
        texts = full[["station", "city", "name"]].astype(object).where(full[["station", "city", "name"]].notna(), None)
        numbers = full[["lat", "lon"]].astype(object).where(full[["lat", "lon"]].notna(), None)
        rows = zip(texts["station"], numbers["lat"], numbers["lon"], texts["city"], texts["name"], strict=True)
        return np.array([self._places.setdefault(row, len(self._places)) for row in rows] + [-1], dtype=np.int32)

    def _write(self) -> None:
        if not self._waiting:
            return
        frame = pd.concat(self._waiting, ignore_index=True)
        self._waiting, self._rows = [], 0
        self._parts += 1
        for block, part in frame.groupby("block", sort=False):
            folder = self._folder / str(block)
            folder.mkdir(exist_ok=True)
            table = pa.Table.from_pandas(part.drop(columns="block"), preserve_index=False)
            pq.write_table(table, folder / f"{self._parts:06d}.parquet", compression="zstd", use_dictionary=False)
