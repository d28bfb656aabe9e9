"""Cells of a table as numbers: what is no number is counted where it is rare, and refused with its line where not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.report import QualityReport, Where
from aqreanalysis.observations.times import STRAY_SHARE, encoded

MISSING_TEXTS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "-", "--")
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+(?:[eE][+-]?\d+)?$")


def to_numbers(
    column: pa.ChunkedArray | pa.Array, what: str, where: Where, report: QualityReport, decimal_comma: bool = False
) -> NDArray[np.floating]:
    """Return a column as floats, NaN where empty.

    Parameters
    ----------
    column : ChunkedArray or Array
        Numbers, or texts.
    what : str
        Name of the column, for messages.
    where : Where
        Where its first row stands.
    report : QualityReport
        Texts that are no numbers are counted here, up to one in a hundred.
    decimal_comma : bool
        Whether ``12,5`` is a number (it is not where commas part the columns).

    Raises
    ------
    ObservationsError
        The column holds no numbers, naming the first cell that is none.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        return as_numpy(column)
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type) or pa.types.is_decimal(column.type):
        return as_numpy(pc.cast(column, pa.float64()))
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ObservationsError(f"{where.source}: {what} holds {column.type}, no numbers")
    return _texts_to_numbers(column, what, where, report, decimal_comma)


def as_numpy(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Return a column as numpy holds it, whichever of Arrow's two kinds it is; missing numbers are NaN."""
    return column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)


def _texts_to_numbers(
    column: pa.ChunkedArray | pa.Array, what: str, where: Where, report: QualityReport, decimal_comma: bool
) -> NDArray[np.floating]:
    codes, values = encoded(column)
    texts = pd.Series(values.to_pylist(), dtype=object).str.strip()
    if decimal_comma:
        with_comma = texts.str.match(_DECIMAL_COMMA).fillna(False).to_numpy(dtype=bool)
        if with_comma.any():
            texts = texts.where(~with_comma, texts.str.replace(",", ".", regex=False))
            report.note(f"{where.source}: decimal commas read as decimal points")
    # Python reads 1_000 as a number; no network means that.
    odd = texts.str.contains("_", regex=False).fillna(False).to_numpy(dtype=bool)
    numbers = pd.to_numeric(texts.where(~odd), errors="coerce").to_numpy(dtype=np.float64)
    bad = np.append(np.isnan(numbers) & ~texts.isin(MISSING_TEXTS).to_numpy(dtype=bool), False)
    if bad.any():
        _count_bad(texts, codes, bad, what, where, report)
    return np.append(numbers, np.nan)[codes]


def _count_bad(
    texts: pd.Series, codes: NDArray[np.integer], bad: NDArray[np.bool_], what: str, where: Where, report: QualityReport
) -> None:
    rows = bad[codes]
    lost = int(np.count_nonzero(rows))
    if lost > STRAY_SHARE * len(codes):
        first = int(np.argmax(rows))
        raise ObservationsError(
            f"{where.at(first)}: {what} holds {texts[int(codes[first])]!r:.60} ({lost} of {len(codes)} rows like it), "
            "no number: write a decimal point and leave missing readings empty"
        )
    report.count("text_values", lost)


def to_texts(column: pa.ChunkedArray | pa.Array) -> tuple[NDArray[np.integer], list[str]]:
    """Return a column as codes into a list of distinct texts without blanks around them; -1 where empty.

    Whole numbers that a table stores as floats (1001.0) are read as whole numbers.
    """
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.int64(), safe=False)
    codes, values = encoded(column)
    written = ["" if value is None else str(value).strip() for value in values.to_pylist()]
    distinct = sorted(set(written) - {""})
    place = {text: i for i, text in enumerate(distinct)}
    target = np.array([place.get(text, -1) for text in written] + [-1], dtype=np.int32)
    return target[codes], distinct
