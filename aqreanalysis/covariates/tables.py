"""Tables of covariates, CSV or Parquet: opened, and their columns read as numbers, with the row named that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import CovariatesError, in_one_line

_PARQUET = (".parquet", ".pq")


def is_parquet(path: Path) -> bool:
    """Return whether the file is Parquet by its ending, in capitals too; every other table is CSV."""
    return path.suffix.lower() in _PARQUET


def read_table(path: Path) -> pd.DataFrame:
    """Return the table, its rows numbered from 0.

    Raises
    ------
    CovariatesError
        If it is no table.
    """
    try:
        # A column is typed as a whole: in parts, station 001 would be 1 in a part that has numbers alone.
        frame = pd.read_parquet(path) if is_parquet(path) else pd.read_csv(path, low_memory=False)
    except Exception as error:  # pyarrow and pandas each have their own
        reason = in_one_line(error, 160)
        raise CovariatesError(f"{path} is no table that can be read ({reason})") from None
    return frame.reset_index(drop=True)


def numbers_of(column: pd.Series, path: Path) -> NDArray[np.float64]:
    """Return a column, or rows of one, as numbers; NaN where it is empty.

    Raises
    ------
    CovariatesError
        If a cell holds something else; the row is counted from 1 in the table as read.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    words = numbers.isna() & column.notna()
    if words.any():
        row = int(np.flatnonzero(words)[0])
        raise CovariatesError(
            f"{path}, row {column.index[row] + 1}: {str(column.iloc[row])!r:.60} in column {str(column.name)!r} "
            "is no number"
        )
    return np.asarray(numbers, np.float64)
