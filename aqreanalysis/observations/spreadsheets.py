"""Sheets of spreadsheet files (XLSX, XLS, XLSB, ODS) as CSV, so that every reader of a table reads them too.

Read by python-calamine, the extra ``aqreanalysis[xlsx]``: the one reader that knows all four kinds, and the quickest.
"""

from __future__ import annotations

import csv
import datetime
import io
from typing import TYPE_CHECKING

from aqreanalysis.errors import ObservationsError, in_one_line

if TYPE_CHECKING:
    import python_calamine


def sheets_with_rows(data: bytes, name: str) -> list[str]:
    """Return the names of the sheets that hold anything, in the order of the workbook.

    Raises
    ------
    ObservationsError
        The file is damaged, or its reader is not installed; `name` is that of the file.
    """
    book = _open(data, name)
    return [sheet for sheet in book.sheet_names if book.get_sheet_by_name(sheet).height > 0]


def sheet_as_csv(data: bytes, name: str, sheet: str | None = None) -> bytes:
    """Return a sheet as CSV in UTF-8, its rows all of one width: numbers as they are, times in ISO 8601.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for messages.
    sheet : str, optional
        The sheet; None for the first that holds anything.

    Raises
    ------
    ObservationsError
        The file is damaged or empty, or its reader is not installed.
    """
    book = _open(data, name)
    chosen = sheet or next((each for each in book.sheet_names if book.get_sheet_by_name(each).height > 0), None)
    if chosen is None:
        raise ObservationsError(f"{name}: a workbook without a row: give a file with readings")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in book.get_sheet_by_name(chosen).iter_rows():
        writer.writerow([_text(cell) for cell in row])
    return out.getvalue().encode("utf-8")


def _open(data: bytes, name: str) -> python_calamine.CalamineWorkbook:
    try:
        import python_calamine
    except ImportError:
        raise ObservationsError(
            f"{name}: spreadsheets are read by python-calamine, which is not installed: pip install "
            "python-calamine, or save the sheet as CSV"
        ) from None
    try:
        return python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    except (python_calamine.CalamineError, OSError) as error:
        reason = in_one_line(error, 160)
        raise ObservationsError(
            f"{name} is no readable spreadsheet ({reason}): is it truncated or of another kind?"
        ) from None


def _text(cell: object) -> str:
    """Return a cell as text: 1001.0 as 1001, a time to the second, a line break as a blank."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime.datetime):
        return (cell + datetime.timedelta(milliseconds=500)).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, datetime.timedelta):
        minutes = round(cell.total_seconds() / 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return " ".join(str(cell).split("\n")).replace("\r", " ")
