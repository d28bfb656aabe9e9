"""Long tables -> `Observations`: rows of station, hour and readings, scattered onto (time, station) and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.clock import check_clock
from aqreanalysis.observations.columns import TableColumns, find_columns
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.places import Places, check_colocated, exact_degrees, places_of_rows
from aqreanalysis.observations.quality import check_units
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.times import NO_HOUR, STRAY_SHARE, stamps_to_hours, times_from_hours
from aqreanalysis.species import SPECIES, get_species

# A timeline this much longer than the hours that have rows comes from one wrong year, and would fill the memory.
LONGEST_EMPTY_HOURS = 10 * 366 * 24
MISSING_TEXTS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "-", "--")


@dataclass
class LongTable:
    """A table on its way in: the rows, what its columns are, its attributes, and the station list that goes with it."""

    rows: pa.Table
    found: TableColumns
    attributes: Mapping[str, Any] = field(default_factory=dict)
    listed: pd.DataFrame | None = None


def from_frame(frame: pd.DataFrame, columns: ColumnsConfig | None = None, source: str = "frame") -> Observations:
    """Return the observations of a long table, one row a station and hour.

    Parameters
    ----------
    frame : DataFrame
        Columns as `columns` says; ``frame.attrs`` passes on ``title``, ``source``, ``synthetic``, ``comment`` ...
    columns : ColumnsConfig, optional
        Names of the columns, units, clock, and which end of the hour is stamped.
    source : str
        Name of the table, for messages and the report.

    Raises
    ------
    ObservationsError
        A column is missing, a station moves or is out of range, station-hours contradict each other, stamps are off
        the hour or not UTC, a unit is wrong, or no reading is left.
    """
    chosen = columns or ColumnsConfig()
    found = find_columns([str(c) for c in frame.columns], chosen, source)
    try:
        rows = pa.Table.from_pandas(frame[found.needed()], preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ObservationsError(f"{source}: a column mixes kinds of values: {' '.join(str(error).split())}") from None
    return from_table(
        LongTable(rows, found, {str(name): value for name, value in frame.attrs.items()}),
        chosen,
        QualityReport(source=source),
    )


def from_table(table: LongTable, columns: ColumnsConfig, report: QualityReport) -> Observations:
    """Return the observations of an Arrow table; see `from_frame` for the rules and the errors."""
    rows = table.rows
    report.rows += rows.num_rows
    if rows.num_rows == 0:
        raise ObservationsError(f"{report.source}: holds no rows: give a file with readings")
    codes, ids = _stations(rows[table.found.station], report)
    places = _places(table, codes, ids, report)
    hours = stamps_to_hours(rows[table.found.time], columns, report)
    index = pd.Index(places.ids).get_indexer(pd.Index(ids))
    station = np.append(index, -1)[codes]
    report.count("rows_without_place", int(np.count_nonzero((station < 0) & (codes >= 0))))
    kept = (station >= 0) & (hours != NO_HOUR)
    if not kept.any():
        raise ObservationsError(
            f"{report.source}: no row has a station, a place and a time: {'; '.join(report.lines())}"
        )
    readings = {key: _readings(rows[column], key, columns, report) for key, column in table.found.species.items()}
    if not kept.all():
        station, hours = station[kept], hours[kept]
        readings = {key: values[kept] for key, values in readings.items()}
    places, station = _seen_places(places, station, report)
    grid = _scatter(station, hours, readings, places, report)
    first = int(hours.min())
    timeline = np.arange(first, int(hours.max()) + 1, dtype=np.int64)
    if not any(np.isfinite(values).any() for values in grid.values()):
        raise ObservationsError(f"{report.source}: not one reading of {', '.join(grid)}: the columns are empty")
    check_units(grid, report)
    observations = Observations.from_arrays(times_from_hours(timeline), places, grid, table.attributes, report)
    _check_whole(observations, places, columns, report)
    return observations


def _check_whole(observations: Observations, places: Places, columns: ColumnsConfig, report: QualityReport) -> None:
    """Run the checks that need the whole record, on usable readings."""
    usable = {key: observations.values(key) for key in observations.species}
    check_colocated(places, usable, report)
    if columns.check_clock:
        check_clock(usable, observations.hours, observations.lon, report)
    else:
        report.notes.append("clock: not checked (columns.check_clock=false)")
    silent = ~np.any([np.isfinite(values).any(axis=0) for values in usable.values()], axis=0)
    report.count("stations_without_readings", int(silent.sum()))


def _stations(column: pa.ChunkedArray, report: QualityReport) -> tuple[NDArray[np.int64], list[str]]:
    """Return for each row the index of its station (-1 where it has none) in the list of distinct ids."""
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.int64(), safe=False)
    encoded = column.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    written = ["" if s is None else str(s).strip() for s in encoded.dictionary.to_pylist()]
    ids = sorted(set(written) - {""})
    # Two spellings of one id (' 1001A') are one station; an empty one is none.
    target = np.array([ids.index(s) if s else -1 for s in written] + [-1], dtype=np.int64)
    out = target[codes]
    report.count("rows_without_station", int(np.count_nonzero(out < 0)))
    return out, ids


def _places(table: LongTable, codes: NDArray[np.int64], ids: list[str], report: QualityReport) -> Places:
    """Return the places of the stations from the rows and the station list, which must agree."""
    frames = [] if table.listed is None else [table.listed]
    if table.found.lat is not None:
        frames.append(_places_in_rows(table.rows, table.found, codes, ids, report))
    return places_of_rows(pd.concat(frames, ignore_index=True), report)


def _places_in_rows(
    rows: pa.Table, found: TableColumns, codes: NDArray[np.int64], ids: list[str], report: QualityReport
) -> pd.DataFrame:
    """Return the distinct combinations of station, coordinates and labels."""
    parts: dict[str, Any] = {"station": pa.array(codes)}
    for role in ("lat", "lon"):
        column = getattr(found, role)
        parts[role] = pa.array(_numbers(rows[column], f"column {column!r}", report))
    for role in ("city", "name"):
        column = getattr(found, role)
        if column is not None:
            parts[role] = pc.cast(rows[column], pa.string())
    # `group_by` of Arrow takes a tenth of the time of pandas' drop_duplicates, and keeps strings out of Python.
    distinct = pa.table(parts).group_by(list(parts), use_threads=False).aggregate([]).to_pandas()
    names = np.array([*ids, None], dtype=object)
    distinct["station"] = names[distinct["station"].to_numpy()]
    for role in ("lat", "lon"):
        distinct[role] = exact_degrees(distinct[role].to_numpy())
    return distinct


def read_listed(rows: pa.Table, found: TableColumns, report: QualityReport) -> pd.DataFrame:
    """Return the station list in `rows` with the columns ``station``, ``lat``, ``lon`` and, where there, labels."""
    codes, ids = _stations(rows[found.station], report)
    return _places_in_rows(rows, found, codes, ids, report)


def _numbers(column: pa.ChunkedArray, what: str, report: QualityReport) -> NDArray[np.floating]:
    """Return a column as floats, NaN where empty; texts that are no numbers are counted, many of them refused."""
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type) or pa.types.is_decimal(column.type):
        return pc.cast(column, pa.float64()).to_numpy()
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ObservationsError(f"{report.source}: {what} holds {column.type}, no numbers")
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    texts = pd.Series(encoded.dictionary.to_pylist(), dtype=object).str.strip()
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    bad = np.append(np.isnan(numbers) & ~texts.isin(MISSING_TEXTS).to_numpy(), False)
    lost = int(np.count_nonzero(bad[codes]))
    if lost > STRAY_SHARE * len(codes):
        raise ObservationsError(
            f"{report.source}: {what} holds {texts[int(np.argmax(bad))]!r:.60} ({lost} of {len(codes)} rows like it), "
            "no number: write a decimal point and leave missing readings empty"
        )
    report.count("text_values", lost)
    return np.append(numbers, np.nan)[codes]


def _readings(column: pa.ChunkedArray, key: str, columns: ColumnsConfig, report: QualityReport) -> NDArray[np.float32]:
    """Return a pollutant's column in the units of `SPECIES`, float32."""
    values = _numbers(column, f"column of {key}", report)
    wanted = SPECIES[key].units
    given = {get_species(name).key: unit for name, unit in columns.units.items()}.get(key, wanted)
    if given != wanted:
        values = values.astype(np.float64) * (1000.0 if given == "mg m-3" else 0.001)
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and quality control flags it
        return values.astype(np.float32)


def _seen_places(places: Places, station: NDArray[np.int64], report: QualityReport) -> tuple[Places, NDArray[np.int64]]:
    """Return the places that have rows, and the station index of each row among them."""
    seen = np.bincount(station, minlength=len(places.ids)) > 0
    if seen.all():
        return places, station
    report.count("listed_without_rows", int((~seen).sum()))
    keep = np.flatnonzero(seen)
    fewer = Places(
        ids=[places.ids[i] for i in keep],
        lat=places.lat[keep],
        lon=places.lon[keep],
        city=[places.city[i] for i in keep] if places.city is not None else None,
        name=[places.name[i] for i in keep] if places.name is not None else None,
    )
    return fewer, (np.cumsum(seen) - 1)[station]


def _scatter(
    station: NDArray[np.int64],
    hours: NDArray[np.int64],
    readings: Mapping[str, NDArray[np.float32]],
    places: Places,
    report: QualityReport,
) -> dict[str, NDArray[np.float32]]:
    """Return float32 (time, station) a pollutant, station-hours merged; `_merge` says what merging means."""
    first, last = int(hours.min()), int(hours.max())
    length, width = last - first + 1, len(places.ids)
    _check_step(hours, report)
    cell = (hours - first) * width + station
    per_cell = np.bincount(cell, minlength=length * width)
    report.count("hours_without_rows", int((per_cell.reshape(length, width).sum(axis=1) == 0).sum()))
    repeated = per_cell[cell] > 1
    out = {}
    for key, values in readings.items():
        grid = np.full(length * width, np.nan, dtype=np.float32)
        grid[cell] = values
        out[key] = grid.reshape(length, width)
    if repeated.any():
        _merge(out, cell[repeated], {key: values[repeated] for key, values in readings.items()}, places, first, report)
    return out


def _check_step(hours: NDArray[np.int64], report: QualityReport) -> None:
    """Refuse a timeline that is not hourly, or that one wrong year stretches.

    Raises
    ------
    ObservationsError
        No two stamps are an hour apart, or next to none of a long timeline's hours has a row.
    """
    distinct = np.sort(pd.Series(hours).unique())  # a hash of millions of rows, a sort of thousands of hours
    steps = np.diff(distinct)
    if len(steps) >= 2 and steps.min() > 1:
        raise ObservationsError(
            f"{report.source}: the stamps are {int(np.median(steps))} h apart, never one: hourly means are needed"
        )
    length = int(distinct[-1] - distinct[0]) + 1
    if length > LONGEST_EMPTY_HOURS and len(distinct) < STRAY_SHARE * length:
        span = times_from_hours([int(distinct[0]), int(distinct[-1])])
        raise ObservationsError(
            f"{report.source}: the stamps run from {span[0]} to {span[1]}, and only {len(distinct)} of these {length} "
            "hours have rows: correct the stamp with the wrong year"
        )


def _merge(
    grid: Mapping[str, NDArray[np.float32]],
    cell: NDArray[np.int64],
    readings: Mapping[str, NDArray[np.float32]],
    places: Places,
    first: int,
    report: QualityReport,
) -> None:
    """Merge rows of one station-hour into `grid`: equal readings are one, a missing one gives way to a present one.

    Raises
    ------
    ObservationsError
        Two rows of one station-hour hold different readings, naming the first in time.
    """
    distinct, group = np.unique(cell, return_inverse=True)
    report.count("repeated_rows", len(cell) - len(distinct))
    conflicts = []
    for key, values in readings.items():
        high = np.full(len(distinct), np.nan, dtype=np.float32)
        low = high.copy()
        np.fmax.at(high, group, values)
        np.fmin.at(low, group, values)
        differ = high > low
        if differ.any():
            at = int(np.argmax(differ))
            conflicts.append((int(distinct[at]), key, float(low[at]), float(high[at]), int(differ.sum())))
        grid[key].ravel()[distinct] = high
    if conflicts:
        where, key, low_value, high_value, n = min(conflicts)
        hour, station = divmod(where, len(places.ids))
        raise ObservationsError(
            f"{report.source}: station {places.ids[station]!r} has {key} {low_value:g} and {high_value:g} at "
            f"{times_from_hours([first + hour])[0]} UTC ({n} such station-hours): keep one row for a station and hour"
        )
