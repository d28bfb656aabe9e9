"""Cells of a table as numbers: what is no number is counted where it is rare, and refused with its line where not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.averaging_periods import STRAY_SHARE
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.report import QualityReport, Where
from aqreanalysis.observations.times import encoded

# What Arrow takes for missing as it reads, in every column.
MISSING_TEXTS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "-", "--")
# What stands for a missing reading in the files of networks, in any case; signs alone (***, ##, ---) do too.
_MISSING_WORDS = {text.lower() for text in MISSING_TEXTS} | {
    "nd",
    "n.d.",
    "n.d",
    "nodata",
    "no data",
    "no_data",
    "n.a.",
    "missing",
    "miss",
    "s/d",
    "sd",
    "nil",
    "invalid",
    "invld",
    "nodt",
    "no dt",
    "blank",
    "#n/a",
    "#na",
    "#value!",
    "#div/0!",
    "#null!",
    "<na>",
    # How analysers and their loggers say that they do not measure.
    "<samp",
    "samp<",
    "calib",
    "zero",
    "span",
    "purge",
    "down",
    "offscan",
    "rs232",
    "maintain",
}
_SIGNS_ALONE = re.compile(r"^[-*#.?/_\s]+$")
_DECIMAL_COMMA = re.compile(r"^[<+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*[#*xX]?$")
# A reading below a limit is written "<3"; one that a check of the network found invalid carries a sign (18x, 18*, 18#),
# as in Taiwan's files.
_BELOW = re.compile(r"^<\s*(\d+(?:\.\d+)?)$")
_MARKED = re.compile(r"^([+-]?\d+(?:\.\d+)?)\s*[#*xX]$")
# Thousands that are parted: 1,234.5, and where commas are decimal ones 1.234,5.
_PARTED = re.compile(r"^[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?$")
_PARTED_BY_POINTS = re.compile(r"^[+-]?[1-9]\d{0,2}(?:\.\d{3})+,\d+$")
_THREE_DECIMALS, _WHOLE_HUNDREDS = re.compile(r"^\d{1,3}\.\d{3}$"), re.compile(r"^\d{3,}$")
# Of what is no number so many different texts are named at once.
NAMED_TEXTS = 6


@dataclass(frozen=True)
class CellRules:
    """How the cells of a column are read.

    Attributes
    ----------
    decimal_comma : bool
        Whether ``12,5`` is a number (it is not where commas part the columns).
    missing : tuple of str or number
        Codes of missing readings beside the usual texts.
    otherwise : str
        What is to be done with a text that is no number, if a decimal point does not mend it; ``{text}`` is the text.
    """

    decimal_comma: bool = False
    missing: tuple[str | int | float, ...] = ()
    otherwise: str = "say that it is a missing reading with columns.missing=[{text}]"

    @property
    def missing_texts(self) -> frozenset[str]:
        """The codes as texts, in small letters."""
        return frozenset(str(code).strip().lower() for code in self.missing)

    @property
    def missing_numbers(self) -> NDArray[np.float64]:
        """The codes that are numbers, each as a double and as a single holds it."""
        numbers = pd.to_numeric(pd.Series([str(code) for code in self.missing], dtype=object), errors="coerce").dropna()
        exact = numbers.to_numpy(dtype=np.float64)
        return np.concatenate([exact, exact.astype(np.float32).astype(np.float64)])


@dataclass(frozen=True)
class Readings:
    """A column of readings: float (row,), NaN where missing, and what their writing says, int8 (row,) or None."""

    values: NDArray[np.floating]
    flags: NDArray[np.int8] | None = None

    def of_rows(self, rows: NDArray[np.bool_]) -> Readings:
        """Return the readings of some rows."""
        return Readings(self.values[rows], None if self.flags is None else self.flags[rows])


PLAIN = CellRules()


def to_numbers(
    column: pa.ChunkedArray | pa.Array, what: str, where: Where, report: QualityReport, rules: CellRules = PLAIN
) -> NDArray[np.floating]:
    """Return a column as floats, NaN where empty; see `to_readings`."""
    return to_readings(column, what, where, report, rules).values


def to_readings(
    column: pa.ChunkedArray | pa.Array, what: str, where: Where, report: QualityReport, rules: CellRules = PLAIN
) -> Readings:
    """Return a column of readings: a text ``<3`` is half of it and flagged, ``18x`` is 18 and invalid at its source.

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
    rules : CellRules
        Decimal commas and codes of missing readings.

    Raises
    ------
    ObservationsError
        The column holds no numbers, naming the first cell that is none and the others of its kind.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        return Readings(_without_codes(as_numpy(column), rules))
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type) or pa.types.is_decimal(column.type):
        return Readings(_without_codes(as_numpy(pc.cast(column, pa.float64())), rules))
    if pa.types.is_null(column.type):
        return Readings(np.full(len(column), np.nan))
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ObservationsError(f"{where.source}: {what} holds {column.type}, no numbers")
    return _texts_to_readings(column, what, where, report, rules)


def _without_codes(values: NDArray[np.floating], rules: CellRules) -> NDArray[np.floating]:
    """Return `values`, NaN where they are a code of a missing reading."""
    if not rules.missing:
        return values
    return np.where(np.isin(values, rules.missing_numbers), np.nan, values).astype(values.dtype)


def as_numpy(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Return a column as numpy holds it, whichever of Arrow's two kinds it is; missing numbers are NaN."""
    return column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)


def _texts_to_readings(
    column: pa.ChunkedArray | pa.Array, what: str, where: Where, report: QualityReport, rules: CellRules
) -> Readings:
    codes, values = encoded(column)
    texts = pd.Series(values.to_pylist(), dtype=object).str.strip()
    if rules.decimal_comma:
        _warn_of_thousands(texts, what, where, report)
        with_comma = texts.str.match(_DECIMAL_COMMA).fillna(False).to_numpy(dtype=bool)
        if with_comma.any():
            texts = texts.where(~with_comma, texts.str.replace(",", ".", regex=False))
            report.note(f"{where.source}: decimal commas read as decimal points")
    else:
        texts = _joined_thousands(texts, where, report)
    # Python reads 1_000 as a number; no network means that.
    odd = texts.str.contains("_", regex=False).fillna(False).to_numpy(dtype=bool)
    numbers = pd.to_numeric(texts.where(~odd), errors="coerce").to_numpy(dtype=np.float64).copy()
    open_ = np.isnan(numbers) & texts.notna().to_numpy(dtype=bool)
    flags = np.zeros(len(numbers) + 1, dtype=np.int8)
    for pattern, share, flag in ((_BELOW, 0.5, Flag.BELOW_DETECTION_LIMIT), (_MARKED, 1.0, Flag.INVALID_AT_SOURCE)):
        for at in np.flatnonzero(open_):
            match = pattern.match(texts[at])
            if match is not None:
                numbers[at], flags[at], open_[at] = share * float(match.group(1)), flag, False
    small = texts.str.lower()
    known = small.isin(_MISSING_WORDS | rules.missing_texts) | small.str.match(_SIGNS_ALONE).fillna(False)
    bad = np.append(open_ & ~known.to_numpy(dtype=bool), False)
    if bad.any():
        _count_bad(texts, codes, bad, what, where, report, rules.otherwise)
    numbers = _without_codes(numbers, rules)
    if not flags.any():
        return Readings(np.append(numbers, np.nan)[codes])
    per_row = flags[codes]
    report.count("readings_below_limit", int(np.count_nonzero(per_row == Flag.BELOW_DETECTION_LIMIT)))
    report.count("readings_marked_invalid", int(np.count_nonzero(per_row == Flag.INVALID_AT_SOURCE)))
    return Readings(np.append(numbers, np.nan)[codes], per_row)


def _joined_thousands(texts: pd.Series, where: Where, report: QualityReport) -> pd.Series:
    """Return the texts without commas between thousands, where nothing else can be meant by them.

    ``1,234.5`` is read so; ``1,234`` may be a number below two, and is only where others of the column have a point.
    """
    parted = texts.str.match(_PARTED).fillna(False).to_numpy(dtype=bool)
    if not parted.any() or not texts.str.contains(".", regex=False).fillna(False).any():
        return texts
    report.note(f"{where.source}: commas between thousands ({texts[int(np.argmax(parted))]}) left out")
    return texts.where(~parted, texts.str.replace(",", "", regex=False))


def _warn_of_thousands(texts: pd.Series, what: str, where: Where, report: QualityReport) -> None:
    """Warn where commas may be decimal ones and a column holds both 820 and 1.234, which may be 1234."""
    dotted = texts.str.contains(".", regex=False).fillna(False)
    if not dotted.any() or not texts[dotted].str.match(_THREE_DECIMALS).all():
        return
    if texts[~dotted].str.match(_WHOLE_HUNDREDS).fillna(False).any():
        text = f"{where.source}: {what} holds {texts[dotted].iloc[0]!r} beside whole hundreds: read as a number below "
        text += "1000; if its point parts thousands, take it out of the file"
        if text not in report.warnings:
            report.warnings.append(text)


def _count_bad(
    texts: pd.Series,
    codes: NDArray[np.integer],
    bad: NDArray[np.bool_],
    what: str,
    where: Where,
    report: QualityReport,
    otherwise: str,
) -> None:
    """Count texts that are no numbers where they are rare; where not, refuse the column and say what to do."""
    rows = bad[codes]
    lost = int(np.count_nonzero(rows))
    if lost > STRAY_SHARE * len(codes):
        first = int(np.argmax(rows))
        counts = np.bincount(codes[rows], minlength=len(texts))
        counts[codes[first]] = 0
        others = [f"{texts[int(i)]!r:.40} ({counts[i]})" for i in np.argsort(-counts, kind="stable") if counts[i]]
        also = f", and {', '.join(others[:NAMED_TEXTS])}" if others else ""
        parted = any(form.match(str(texts[int(codes[first])])) for form in (_PARTED, _PARTED_BY_POINTS))
        thousands = " and nothing between thousands" if parted else ""
        also += f" and {len(others) - NAMED_TEXTS} more texts" if len(others) > NAMED_TEXTS else ""
        raise ObservationsError(
            f"{where.at(first)}: {what} holds {texts[int(codes[first])]!r:.60}{also} ({lost} of {len(codes)} rows), no "
            f"number: write a decimal point{thousands}, or {otherwise.format(text=f'{texts[int(codes[first])]!s:.60}')}"
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
