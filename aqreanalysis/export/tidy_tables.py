"""Tidy tables written piece by piece: CSV or Parquet, one row a place, time and pollutant."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

#: Column of the expectation, of a cube that has it beside the median.
EXPECTATION_COLUMN = "expectation"
SUFFIXES = (".csv", ".parquet")
# What a spreadsheet takes for the beginning of a formula, which it runs when the table is opened.
_FORMULA = r"^(?=[=+\-@\t\r])"


def _as_text(column: pd.Series) -> pd.Series:
    """Return a column of text in which no cell is a formula to a spreadsheet: an apostrophe stands before it."""
    return column.astype(object).where(column.isna(), column.astype(str).str.replace(_FORMULA, "'", regex=True))


class TableWriter:
    """Writes frames with the same columns one after the other into one file.

    Parameters
    ----------
    path : Path
        Ends in ``.csv`` or ``.parquet``.
    metadata : dict
        Text about the table; goes into a Parquet file's schema.
    """

    def __init__(self, path: Path, metadata: dict[str, str]) -> None:
        self._path, self._metadata = path, metadata
        self._parquet: pq.ParquetWriter | None = None
        self.rows = 0

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._parquet is not None:
            self._parquet.close()

    def write(self, frame: pd.DataFrame) -> None:
        """Append the rows of `frame`."""
        if self._path.suffix == ".csv":
            texts = {
                str(name): _as_text(column) for name, column in frame.items() if pd.api.types.is_string_dtype(column)
            }
            frame.assign(**texts).rename(columns=lambda name: re.sub(_FORMULA, "'", str(name))).to_csv(
                self._path,
                mode="a" if self.rows else "w",
                header=not self.rows,
                index=False,
                float_format="%.6g",
                date_format="%Y-%m-%dT%H:%M:%SZ",
            )
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if self._parquet is None:
                table = table.replace_schema_metadata({**(table.schema.metadata or {}), **self._metadata})
                self._parquet = pq.ParquetWriter(self._path, table.schema)
            self._parquet.write_table(table.cast(self._parquet.schema))
        self.rows += len(frame)
