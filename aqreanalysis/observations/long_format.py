"""Long tables -> `RawRecords`: a row is a measurement (station, time, pollutant, unit), as networks publish them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.observations.places import exact_degrees
from aqreanalysis.observations.raw_records import RawRecords, as_float32, drop_incomplete
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.units import conversion, note_conversion

# Codes into distinct texts, -1 where empty: what `cells.to_texts` returns.
Texts = tuple[NDArray[np.integer], list[str]]


@dataclass
class LongTable:
    """Columns of a table with one row a measurement, each (row,).

    Attributes
    ----------
    station, pollutant, unit : tuple
        Ids, names and units as codes into texts.
    end : ndarray
        int32, minutes since 1970-01-01 UTC at the end of the averaging period, `NO_TIME` where unreadable.
    minutes : int
        The averaging period.
    value : ndarray
        Readings in their units.
    lat, lon : ndarray or None
        Degrees.
    name : tuple or None
        Names of the stations, as codes into texts.
    instrument : ndarray or None
        int64, rank of the instrument at its site.
    flag : ndarray or None
        int8, what the network says of the reading.
    """

    station: Texts
    pollutant: Texts
    unit: Texts
    end: NDArray[np.int32]
    minutes: int
    value: NDArray[np.floating]
    lat: NDArray[np.floating] | None = None
    lon: NDArray[np.floating] | None = None
    name: Texts | None = None
    instrument: NDArray[np.int64] | None = None
    flag: NDArray[np.int8] | None = None


def records_from_long(
    rows: LongTable, pollutants: Mapping[str, str], context: ReadContext, where: Where
) -> Iterator[RawRecords]:
    """Yield records for each pollutant and unit in `rows`; rows of other pollutants are counted.

    Parameters
    ----------
    rows : LongTable
        The table.
    pollutants : mapping of str to str
        What the network calls a pollutant -> its key.
    context : ReadContext
        The file, with settings and report.
    where : Where
        Where the first row stands.

    Raises
    ------
    ObservationsError
        A unit is unknown, naming the first row with it.
    """
    context.report.rows += len(rows.end)
    places, station = _places(rows)
    codes, names = rows.pollutant
    keys = [pollutants.get(name) for name in names]
    other = np.isin(codes, [i for i, key in enumerate(keys) if key is None] + [-1])
    context.report.count("rows_of_other_pollutants", int(other.sum()))
    for code, key in enumerate(keys):
        if key is None:
            continue
        for unit_code, unit in [*enumerate(rows.unit[1]), (-1, "")]:
            mask = (codes == code) & (rows.unit[0] == unit_code)
            if not mask.any():
                continue
            factor = conversion(key, unit, context.columns, where.at(int(np.argmax(mask))))
            note_conversion(key, unit, context.columns, context.report)
            records = RawRecords(
                where.source,
                places,
                station[mask],
                rows.end[mask],
                rows.minutes,
                {key: as_float32(rows.value[mask], factor)},
                {} if rows.flag is None or not rows.flag[mask].any() else {key: rows.flag[mask]},
                None if rows.instrument is None else rows.instrument[mask],
            )
            yield drop_incomplete(records, context.report)


def _places(rows: LongTable) -> tuple[pd.DataFrame, NDArray[np.int32]]:
    """Return the places of the rows, and which of them each row stands at."""
    frame = pd.DataFrame({"station": np.asarray(rows.station[0])})
    for role in ("lat", "lon"):
        given = getattr(rows, role)
        frame[role] = np.nan if given is None else exact_degrees(given)
    if rows.name is not None:
        frame["name"] = np.asarray(rows.name[0])
    # Groups of all columns, missing ones among them; their order does not matter.
    code = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy()
    places = frame.iloc[np.unique(code, return_index=True)[1]].reset_index(drop=True)
    nameless = places["station"] < 0
    places["station"] = np.array([*rows.station[1], None], dtype=object)[places["station"]]
    if rows.name is not None:
        places["name"] = np.array([*rows.name[1], None], dtype=object)[places["name"]]
    return places, np.where(nameless.to_numpy()[code], -1, code).astype(np.int32)
