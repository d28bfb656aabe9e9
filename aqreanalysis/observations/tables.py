"""Tables -> `RawRecords`: rows of station, hour and readings; and a frame in memory straight to `Observations`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aqreanalysis.configs import ColumnsConfig, QualityConfig
from aqreanalysis.errors import ObservationsError, in_one_line, wrong_type
from aqreanalysis.observations.assemble import Assembly, assemble
from aqreanalysis.observations.columns import TableColumns, find_columns
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.file_flags import combined_flags, flags_of_rows
from aqreanalysis.observations.parse_numbers import CellRules, to_numbers, to_readings, to_texts
from aqreanalysis.observations.places import JITTER_DEGREES, exact_degrees
from aqreanalysis.observations.raw_records import RawRecords, as_float32, drop_incomplete
from aqreanalysis.observations.report import QualityReport, Where
from aqreanalysis.observations.time_partitions import TimePartitions
from aqreanalysis.observations.times import Clock, joined_stamps, stamps_to_minutes
from aqreanalysis.observations.units import factor_of


def from_frame(
    frame: pd.DataFrame,
    columns: ColumnsConfig | None = None,
    source: str = "frame",
    quality: QualityConfig | None = None,
) -> Observations:
    """Return the observations of a long table, one row a station and hour.

    Parameters
    ----------
    frame : DataFrame
        Columns as `columns` says; ``frame.attrs`` passes on ``title``, ``source``, ``synthetic``, ``comment`` ...
    columns : ColumnsConfig, optional
        Names of the columns, units, clock, and which end of the hour is stamped.
    source : str
        Name of the table, for messages and the report.
    quality : QualityConfig, optional
        Tests of quality control.

    Raises
    ------
    ObservationsError
        A column is missing, a station moves or is out of range, station-hours contradict each other, stamps are off
        the hour or not UTC, a unit is wrong, or no reading is left.

    Examples
    --------
    >>> import pandas as pd
    >>> import aqreanalysis as aq
    >>> rows = {"station_id": ["a", "a", "b"], "time": ["2019-01-01 01:00", "2019-01-01 02:00", "2019-01-01 01:00"]}
    >>> rows |= {"lat": [39.9, 39.9, 40.1], "lon": [116.4, 116.4, 116.2], "pm25": [35.0, 40.0, 28.0]}
    >>> aq.from_frame(pd.DataFrame(rows)).values("pm25")
    array([[35., 28.],
           [40., nan]], dtype=float32)
    """
    if not isinstance(frame, pd.DataFrame):
        raise wrong_type("frame", frame, "a DataFrame; files are read by read_observations", ObservationsError)
    chosen = ColumnsConfig() if columns is None else columns
    if not isinstance(chosen, ColumnsConfig):
        raise wrong_type("columns", chosen, "the section columns of a Config", ObservationsError)
    if not isinstance(source, str):
        raise wrong_type("source", source, "a name for messages", ObservationsError)
    if quality is not None and not isinstance(quality, QualityConfig):
        raise wrong_type("quality", quality, "the section quality of a Config", ObservationsError)
    report = QualityReport(source=source)
    roles = find_columns([str(c) for c in frame.columns], chosen, source)
    try:
        rows = pa.Table.from_pandas(frame[roles.needed()], preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ObservationsError(f"{source}: a column mixes kinds of values: {in_one_line(error)}") from None
    report.rows += rows.num_rows
    partitions = TimePartitions()
    for records in records_of_rows(rows, roles, chosen, report, Where(source)):
        partitions.append(0, records)
    attributes = {str(name): value for name, value in frame.attrs.items()}
    return assemble(partitions, Assembly(columns=chosen, quality=quality, attributes=attributes), report)


def records_of_rows(
    rows: pa.Table,
    roles: TableColumns,
    columns: ColumnsConfig,
    report: QualityReport,
    where: Where,
    decimal_comma: bool = False,
) -> Iterator[RawRecords]:
    """Yield the rows of a table, one a station and hour, as records; see `from_frame` for the rules and the errors.

    Parameters
    ----------
    rows : Table
        The columns of ``roles.needed()``.
    roles : TableColumns
        Which column is what.
    columns : ColumnsConfig
        Units and clock.
    report : QualityReport
        Where rows without a station or a time and cells that are no numbers are counted.
    where : Where
        Where the first row stands.
    decimal_comma : bool
        Whether ``12,5`` is a number.
    """
    if roles.station is None:
        codes, ids = np.zeros(rows.num_rows, np.int32), [str(columns.place and columns.place.station)]
    else:
        codes, ids = to_texts(rows[roles.station])
    clock = Clock.of(columns, Clock(column=", ".join(roles.time), doubt="note"))
    end, minutes = stamps_to_minutes(joined_stamps(rows, roles.time), clock, report, where, codes)
    table = _TableRows(rows, roles, report, where, CellRules(decimal_comma, tuple(columns.missing)))
    places, station = _places(table, codes, ids, columns)
    values, flags = {}, {}
    for key, column in roles.species.items():
        readings = to_readings(rows[column], f"column of {key}", where, report, table.rules)
        values[key] = as_float32(readings.values, factor_of(key, roles.units.get(key), columns, report, column))
        flag = flags_of_rows(rows, roles.flags.get(key), columns, report, where)
        if readings.flags is not None or flag is not None:
            flags[key] = combined_flags(readings.flags, flag)
    steps = [minutes] if isinstance(minutes, int) else [int(step) for step in np.unique(minutes)]
    for step in steps:
        records = RawRecords(where.source, places, station, end, step, values, flags)
        if not isinstance(minutes, int):
            records = records.where(minutes == step)
        yield drop_incomplete(records, report)


@dataclass(frozen=True)
class _TableRows:
    """A long table with what is known of it; see `records_of_rows`."""

    rows: pa.Table
    roles: TableColumns
    report: QualityReport
    where: Where
    rules: CellRules

    def numbers(self, column: str, what: str) -> NDArray[np.floating]:
        """Return a column as numbers, NaN where a cell is none; `what` names it in messages."""
        return to_numbers(self.rows[column], what, self.where, self.report, self.rules)


def _places(
    table: _TableRows, codes: NDArray[np.integer], ids: list[str], columns: ColumnsConfig
) -> tuple[pd.DataFrame, NDArray[np.int32]]:
    """Return the places of the rows, and the row of that table that each row stands at.

    A station has one code, and its other places (rounded otherwise, or spelled) stand behind without rows of their
    own; where stations may move and one does, each of its places has a code.
    """
    parts: dict[str, Any] = {"station": pa.array(codes)}
    for role in ("lat", "lon"):
        column = getattr(table.roles, role)
        if column is not None:
            parts[role] = pa.array(table.numbers(column, f"column {column!r}"))
    parts |= {role: pc.cast(table.rows[column], pa.string()) for role, column in table.roles.labels.items()}
    # `group_by` of Arrow takes a tenth of the time of pandas' drop_duplicates, and keeps strings out of Python.
    distinct = pa.table(parts).group_by(list(parts), use_threads=False).aggregate([]).to_pandas()
    distinct = distinct[distinct["station"] >= 0].sort_values(list(parts), ignore_index=True)
    for role in ("lat", "lon"):
        alone = np.nan if columns.place is None else getattr(columns.place, role)
        distinct[role] = exact_degrees(distinct[role].to_numpy()) if role in distinct else np.float64(alone)
    code = distinct["station"].to_numpy()
    distinct["station"] = np.array([*ids, None], dtype=object)[code]
    if columns.moved_stations == "split" and table.roles.lat is not None and _moves(distinct):
        return _places_by_row(parts, distinct, code)
    first = np.searchsorted(code, np.arange(len(ids)))
    return distinct, np.append(first, -1).astype(np.int32)[codes]


def _moves(distinct: pd.DataFrame) -> bool:
    groups = distinct.groupby("station")[["lat", "lon"]]
    return bool(((groups.max() - groups.min()) > JITTER_DEGREES).to_numpy().any())


def _places_by_row(
    parts: dict[str, Any], distinct: pd.DataFrame, code: NDArray[np.integer]
) -> tuple[pd.DataFrame, NDArray[np.int32]]:
    keys = pd.DataFrame({"station": code, "lat": distinct["lat"], "lon": distinct["lon"]})
    rows = pd.DataFrame({"station": parts["station"].to_numpy()})
    for role in ("lat", "lon"):
        rows[role] = exact_degrees(parts[role].to_numpy(zero_copy_only=False))
    keys = keys.drop_duplicates()
    index = pd.MultiIndex.from_frame(keys).get_indexer(pd.MultiIndex.from_frame(rows))
    return distinct, np.append(keys.index.to_numpy(), -1)[index].astype(np.int32)
