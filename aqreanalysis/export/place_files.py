"""Places as users have them: a text table read as observations are, Parquet, or a vector file of points."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from aqreanalysis.common.files import PLACES, check_given
from aqreanalysis.errors import ObservationsError, OutputError, in_one_line, nearest_hint
from aqreanalysis.export.vector_files import ENDINGS, POINTS, read_features, unique_ids
from aqreanalysis.observations.column_names import usual_column
from aqreanalysis.observations.files import PARQUET, Source, WrongEncodingError
from aqreanalysis.observations.parse_numbers import CellRules, to_numbers
from aqreanalysis.observations.places import exact_degrees
from aqreanalysis.observations.report import SENTENCES, QualityReport, Where, counted
from aqreanalysis.observations.table_blocks import inspect_csv, read_blocks

#: Columns that are taken for ids where none is named, the first that is there.
USUAL_IDS = ("place", "id", "station_id", "station", "name")
_LIMITS = {"lat": 90.0, "lon": 540.0}


@dataclass(frozen=True)
class Places:
    """Places to read the cube at.

    Attributes
    ----------
    frame : DataFrame
        ``place`` (text, each once), ``lat``, ``lon`` (float64 degrees) and, where the user named one, the id column as
        it is in the file.
    left_out : list of str
        Places without coordinates, with the reason.
    remarks : list of str
        What was chosen for the user.
    """

    frame: pd.DataFrame
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_places(path: str | Path, id_column: str | None = None, layer: str | None = None) -> Places:
    """Return the places of a file.

    A text table may part its columns by commas, semicolons, tabs or bars, has decimal commas where commas do not part
    the columns, and may begin with a byte order mark. Coordinates are in ``lat`` and ``lon`` or ``latitude`` and
    ``longitude``. Ids are texts: ``007`` stays so.

    Parameters
    ----------
    path : str or Path
        A text table (also ``.gz``), Parquet, or a vector file of points in any reference system.
    id_column : str, optional
        Column of ids, which is kept under its own name too; one of `USUAL_IDS` otherwise, else the number of the row.
    layer : str, optional
        Of a vector file, the layer.

    Raises
    ------
    OutputError
        If the file cannot be read, a column is missing, a coordinate is none, an id is missing or stands twice.
    """
    where = Path(path)
    check_given(where, PLACES)
    if where.suffix.lower() in ENDINGS:
        return _of_vector(where, id_column, layer)
    if layer is not None:
        raise OutputError(f"{where} is a table and has no layers; leave --layer {layer} out")
    try:
        return _of_table(where, id_column)
    except WrongEncodingError as error:  # a table of places has no settings of columns
        raise OutputError(
            f"{error.what}: save it as UTF-8{f'; it is perhaps {error.likely}' if error.likely else ''}"
        ) from None
    except ObservationsError as error:
        raise OutputError(str(error)) from None


def _of_vector(where: Path, id_column: str | None, layer: str | None) -> Places:
    features = read_features(where, POINTS, id_column, layer, USUAL_IDS)
    frame = pd.DataFrame(features.frame.drop(columns="geometry"))
    frame["lat"], frame["lon"] = features.frame.geometry.y.to_numpy(), features.frame.geometry.x.to_numpy()
    return Places(frame, features.left_out, features.remarks)


def _of_table(where: Path, id_column: str | None) -> Places:
    report = QualityReport(source=str(where))
    held, coordinates, own = (_parquet if where.suffix.lower() in PARQUET else _text)(where, id_column, report)
    if coordinates.empty:
        raise OutputError(f"{where} holds no place")
    remarks = list(report.notes)
    if lost := report.counts.get("broken_lines"):
        remarks.append(f"{where}: {counted(lost, SENTENCES['broken_lines'])}")
    if own is not None:
        own = own.reset_index(drop=True)
        # Spreadsheets save rows that were cleared, too.
        blank = coordinates.isna().all(axis=1) & (own.isna() | (own.astype(str).str.strip() == ""))
        if blank.any() and not blank.all():
            remarks.append(f"{where}: {int(blank.sum())} empty rows left out")
            own, coordinates = own[~blank], coordinates[~blank]
    if own is None:
        place = pd.Series([str(i + 1) for i in range(len(coordinates))])
        remarks.append(f"{where} has its places numbered by row; --id-column names them ({', '.join(held)})")
    else:
        place = unique_ids(own, where, "row")
    empty = coordinates.isna().any(axis=1)
    if empty.all():
        raise OutputError(f"{where} holds no place with coordinates; fill in lat and lon")
    for role, limit in _LIMITS.items():
        bad = ~empty & ~(coordinates[role].abs() <= limit)
        if bad.any():
            row = int(bad.index.to_numpy()[bad.to_numpy().argmax()])
            value = float(coordinates[role].to_numpy()[bad.to_numpy()][0])
            raise OutputError(
                f"{where}: {role} of row {row + 1}, {value:g}, is no coordinate in degrees; {_way_out(role, value)}"
            )
    frame = pd.DataFrame({"place": place})
    if own is not None and id_column is not None and id_column != "place":
        frame[id_column] = own.to_numpy()
    for role in _LIMITS:
        frame[role] = coordinates[role].to_numpy("float64")
    left_out = [f"{one} has no coordinates" for one in place[empty]]
    return Places(frame[~empty].reset_index(drop=True), left_out, remarks)


def _way_out(role: str, value: float) -> str:
    """Return what to do about a number that is no coordinate."""
    if abs(value) > _LIMITS["lon"]:
        return (
            "mend or drop the row, or give the places as a vector file of points if they are in a projection, which "
            "may be any there"
        )
    return "mend or drop the row" + ("; are lat and lon exchanged?" if role == "lat" and abs(value) <= 180 else "")


_Read = tuple[list[str], pd.DataFrame, pd.Series | None]


def _text(where: Path, id_column: str | None, report: QualityReport) -> _Read:
    """Return columns, coordinates and ids (None: there are none) of a text table, by the reader of observations."""
    table = inspect_csv(Source(where))
    roles, ids = _columns(table.names, where, id_column)
    wanted = [*roles.values(), *([] if ids is None else [ids])]
    blocks = list(read_blocks(table, list(dict.fromkeys(wanted)), report))
    if not blocks:
        return table.names, pd.DataFrame(columns=list(roles)), None
    rows = pa.concat_tables([block.rows for block in blocks])
    return table.names, _numbers(rows, roles, blocks[0].where, report, table.decimal_comma), _ids(rows, ids)


def _parquet(where: Path, id_column: str | None, report: QualityReport) -> _Read:
    try:
        frame = pd.read_parquet(where)
    except Exception as error:  # readers have many ways to fail
        raise OutputError(f"{where} cannot be read as a table of places: {in_one_line(error)}") from None
    names = [str(c) for c in frame.columns]
    roles, ids = _columns(names, where, id_column)
    rows = pa.Table.from_pandas(frame[list(roles.values())], preserve_index=False)
    return names, _numbers(rows, roles, Where(str(where)), report), None if ids is None else frame[ids]


def _columns(names: Sequence[str], where: Path, id_column: str | None) -> tuple[dict[str, str], str | None]:
    """Return the columns of the coordinates, and that of the ids; None if there is none."""
    roles = {}
    for role in _LIMITS:
        column = usual_column(role, names)
        if column is None:
            raise OutputError(f"{where} has no column {role} (there are: {', '.join(names)}); name it so")
        roles[role] = column
    if id_column is None:
        held = {name.strip().lower(): name for name in reversed(names)}
        return roles, next((held[name] for name in USUAL_IDS if name in held), None)
    if id_column not in names:
        raise OutputError(
            f"{where} has no column {id_column!r}{nearest_hint(id_column, names)}; there are {', '.join(names)}"
        )
    return roles, id_column


def _numbers(
    rows: pa.Table, roles: dict[str, str], where: Where, report: QualityReport, decimal_comma: bool = True
) -> pd.DataFrame:
    rules = CellRules(decimal_comma, otherwise="leave it empty where a coordinate is unknown")
    return pd.DataFrame(
        {
            role: exact_degrees(to_numbers(rows[column], f"column {column!r}", where, report, rules))
            for role, column in roles.items()
        }
    )


def _ids(rows: pa.Table, column: Hashable | None) -> pd.Series | None:
    return None if column is None else pd.Series(rows[column].to_pylist(), name=column, dtype=object)
