"""Tidy tables written piece by piece: CSV or Parquet, one row a place, time and pollutant."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aqreanalysis.errors import OutputError

SUFFIXES = (".csv", ".parquet")


def read_places(path: str | Path) -> pd.DataFrame:
    """Return the places of a CSV or Parquet file: columns ``place`` (str), ``lat``, ``lon`` (float64 degrees).

    The id is the column ``place``, ``id``, ``station_id``, ``station`` or ``name``, else the number of the row; the
    coordinates are ``lat`` and ``lon`` or ``latitude`` and ``longitude``.

    Raises
    ------
    OutputError
        If the file cannot be read, a column is missing, a coordinate is none, or an id stands twice.
    """
    where = Path(path)
    if not where.is_file():
        raise OutputError(f"no places file {where}; give a CSV or Parquet with columns place, lat, lon")
    try:
        frame = pd.read_parquet(where) if where.suffix == ".parquet" else pd.read_csv(where)
    except Exception as error:  # readers have many ways to fail
        raise OutputError(f"{where} cannot be read as a table of places: {' '.join(str(error).split())}") from None
    columns = {str(c).strip().lower(): c for c in frame.columns}
    coordinates = {}
    for role, names in (("lat", ("lat", "latitude")), ("lon", ("lon", "longitude"))):
        held = [columns[n] for n in names if n in columns]
        if not held:
            raise OutputError(f"{where} has no column {names[0]} (there are: {', '.join(columns)}); name it so")
        coordinates[role] = pd.to_numeric(frame[held[0]], errors="coerce")
    for role, limit in (("lat", 90), ("lon", 540)):
        bad = ~(coordinates[role].abs() <= limit)
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise OutputError(f"{where}: {role} of row {row + 1} is no coordinate in degrees; mend or drop the row")
    ids = [columns[n] for n in ("place", "id", "station_id", "station", "name") if n in columns]
    place = frame[ids[0]].astype(str) if ids else pd.Series([str(i + 1) for i in range(len(frame))])
    if place.duplicated().any():
        raise OutputError(f"{where}: place {place[place.duplicated()].iloc[0]!r} stands twice; ids must differ")
    if frame.empty:
        raise OutputError(f"{where} holds no place")
    return pd.DataFrame(
        {
            "place": place.to_numpy(),
            "lat": coordinates["lat"].to_numpy("float64"),
            "lon": coordinates["lon"].to_numpy("float64"),
        }
    )


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
            frame.to_csv(
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
