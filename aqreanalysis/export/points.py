"""The cube at places: a tidy table with the uncertainty of each value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.place_files import Places, read_places
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.export.tidy_tables import EXPECTATION_COLUMN, SUFFIXES, TableWriter

if TYPE_CHECKING:
    from aqreanalysis.export.street_values import StreetValues

_KINDS: dict[str, Literal["Int16", "Int32", "boolean"]] = {
    "quality_flag": "Int16",
    "observations_used": "Int32",  # as cubes of means count: those of a year are beyond 16 bits
    "extrapolated": "boolean",
}
FIELDS = ("value", "standard_error", "lower", "upper", "quality_flag", "observations_used")


@dataclass(frozen=True)
class TableReport:
    """What a table holds, and what was left out of it.

    Attributes
    ----------
    path : Path
        The table.
    rows, places : int
        Rows written; places with values.
    outside : list of str
        Places that lie outside the grid.
    note : str
        What is to be known of the numbers.
    left_out : list of str
        Places or features that could not be used, with the reason.
    remarks : list of str
        What was chosen for the user in reading them.
    """

    path: Path
    rows: int
    places: int
    outside: list[str]
    note: str = ""
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


#: Columns of tables, which an id column of the user's cannot have as its name.
_TAKEN = (
    *("lat", "lon", "cell_lat", "cell_lon", "covered", "area_in_grid_km2", "population", "known", "units"),
    *("time", "time_start", "time_end", "species", *FIELDS, EXPECTATION_COLUMN, "extrapolated"),
    *("extrapolated_share", "extrapolation_km", "nearest_station_km"),
)


def check_id_column(name: str | None) -> str | None:
    """Return the name of the user's id column if the table has no column of that name.

    Raises
    ------
    OutputError
        If it has.
    """
    if name in _TAKEN:
        raise OutputError(f"--id-column {name!r}: the table has a column of that name; rename yours")
    return name


def export_points(
    source: CubeSource,
    places: str | Path | pd.DataFrame | Places,
    out: str | Path,
    overwrite: bool = False,
    progress: Progress | None = None,
    street: StreetValues | None = None,
) -> TableReport:
    """Return the report of a table with a row a place, time and pollutant, at the cell that contains the place.

    Columns: ``place``, the user's own id column, ``lat lon cell_lat cell_lon time_start time_end time species value
    standard_error lower upper quality_flag observations_used extrapolated extrapolation_km nearest_station_km units``;
    `time` is the stamp of the step, and `extrapolated` whether every station that reports is farther than
    `extrapolation_km`. What the cube lacks is empty; expectations beside its medians give a column `expectation`.

    Parameters
    ----------
    source : CubeSource
        The cube.
    places : str, Path, Places or DataFrame
        A file or what `read_places` made of it, whose id column is carried along under its own name; or a frame with
        ``place``, ``lat``, ``lon``.
    out : str or Path
        Ends in ``.csv`` or ``.parquet``.
    overwrite : bool
        Replace a file that exists.
    progress : callable or None
        Told of each slab.
    street : StreetValues, optional
        The kind of site whose readings are wanted in place of background air; the table then has a column `kind`.

    Raises
    ------
    OutputError
        If no place lies in the grid, the file exists, or the places cannot be read.
    """
    places = _places(places)
    inside, cells = _cells(source, places.frame)
    fixed = _fixed(source, places.frame[inside].reset_index(drop=True), cells)
    if street is not None:
        fixed = fixed.rename(columns={"kind": "place_kind"}).assign(kind=street.kind)
    maps = [source.read(name, slice(0, 1))[cells] for name in source.maps]
    slabs = list(source.slabs(len(source.layers)))
    with (
        whole_file(out, SUFFIXES, overwrite) as temporary,
        TableWriter(temporary, {"source": str(source.dataset.attrs.get("title", source.path.name))}) as writer,
    ):
        for number, slab in enumerate(slabs):
            for one in source.species.values():
                fields = _fields(source, one, slab, cells)
                if street is not None:
                    fields = street.applied(one.species.key, fields)
                distance = None if one.distance is None else _at_cells(source, one.distance, slab, cells)
                if distance is None and maps:
                    distance = np.broadcast_to(maps[0], (slab.stop - slab.start, len(maps[0])))
                writer.write(tidy(source, one, slab, fixed, fields, distance))
            if progress is not None:
                progress(number + 1, len(slabs), "points")
    outside = places.frame.loc[~inside, "place"].tolist()
    return TableReport(Path(out), writer.rows, len(fixed), outside, left_out=places.left_out, remarks=places.remarks)


def _places(given: str | Path | pd.DataFrame | Places) -> Places:
    if isinstance(given, pd.DataFrame):
        return Places(given)
    return given if isinstance(given, Places) else read_places(given)


def _fixed(source: CubeSource, here: pd.DataFrame, cells: tuple[NDArray[np.intp], NDArray[np.intp]]) -> pd.DataFrame:
    """Return a row a place in the grid with what does not change with time: ids, coordinates, those of its cell."""
    own = [str(name) for name in here.columns if name not in ("place", "lat", "lon")]
    return here[["place", *(check_id_column(name) for name in own), "lat", "lon"]].assign(
        cell_lat=source.dataset["lat"].values[cells[0]], cell_lon=source.dataset["lon"].values[cells[1]]
    )


def _cells(
    source: CubeSource, table: pd.DataFrame
) -> tuple[NDArray[np.bool_], tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return which places lie in the grid (place,), and rows and columns of the cells of those that do.

    Raises
    ------
    OutputError
        If none does.
    """
    row = source.cell_of("lat", table["lat"].to_numpy(np.float64))
    column = source.cell_of("lon", table["lon"].to_numpy(np.float64))
    inside = (row >= 0) & (column >= 0)
    if not inside.any():
        lat, lon = source.edges("lat"), source.edges("lon")
        names = {"lat": "lon", "lon": "lat"}
        turned = [source.cell_of(axis, table[name].to_numpy(np.float64)) >= 0 for axis, name in names.items()]
        exchanged = bool((turned[0] & turned[1]).any())
        advice = "lat and lon are exchanged" if exchanged else "give places of that region"
        raise OutputError(
            f"none of the {len(table)} places lies in the cube, which spans {lat.min():g}..{lat.max():g} N, "
            f"{lon.min():g}..{lon.max():g} E: {advice}"
        )
    return inside, (row[inside], column[inside])


def _fields(
    source: CubeSource, one: SpeciesLayers, slab: slice, cells: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> dict[str, NDArray[Any]]:
    """Return the columns that change with time, each (time, place)."""
    names = one.best, one.standard_error, one.lower, one.upper, one.flag, one.used
    fields = {field: _at_cells(source, name, slab, cells) for field, name in zip(FIELDS, names, strict=True)}
    flagged = None if one.flag is None else source.extrapolated(one, fields["quality_flag"])
    fields["extrapolated"] = np.full_like(fields["value"], np.nan) if flagged is None else flagged
    if any(other.mean is not None for other in source.species.values()):
        fields[EXPECTATION_COLUMN] = _at_cells(source, one.mean, slab, cells)
    return fields


def _at_cells(
    source: CubeSource, name: str | None, slab: slice, cells: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> NDArray[Any]:
    """Return a layer at the cells (time, place); NaN if the cube has none."""
    if name is None:
        return np.full((slab.stop - slab.start, len(cells[0])), np.nan, dtype=np.float32)
    rows = slice(int(cells[0].min()), int(cells[0].max()) + 1)
    return source.read(name, slab, rows)[:, cells[0] - rows.start, cells[1]]


def tidy(
    source: CubeSource,
    one: SpeciesLayers,
    slab: slice,
    fixed: pd.DataFrame,
    fields: dict[str, NDArray[Any]],
    distance: NDArray[Any] | None,
) -> pd.DataFrame:
    """Return the rows of one pollutant and slab, time after time.

    Parameters
    ----------
    source : CubeSource
        The cube.
    one : SpeciesLayers
        The pollutant.
    slab : slice
        Steps.
    fixed : DataFrame
        A row a place, columns that do not change with time.
    fields : dict
        Column -> values (time, place).
    distance : array (time, place) or None
        Kilometres to the nearest station that reports.
    """
    hours, places = slab.stop - slab.start, len(fixed)
    rows = fixed.iloc[np.tile(np.arange(places), hours)].reset_index(drop=True)
    bounds = source.bounds[slab]
    rows["time_start"] = pd.DatetimeIndex(np.repeat(bounds[:, 0], places)).tz_localize("UTC")
    rows["time_end"] = pd.DatetimeIndex(np.repeat(bounds[:, 1], places)).tz_localize("UTC")
    rows["time"] = pd.DatetimeIndex(np.repeat(source.times[slab], places)).tz_localize("UTC")
    rows["species"] = one.species.layer
    for name, values in fields.items():
        kind = _KINDS.get(name)
        flat = np.asarray(values, dtype=np.float32 if kind is None else np.float64).ravel()
        rows[name] = flat if kind is None else pd.array(flat).astype(kind)
    km = source.extrapolation_km(one)
    rows["extrapolation_km"] = np.float32(np.nan if km is None else km)
    if distance is not None:
        rows["nearest_station_km"] = distance.astype(np.float32).ravel()
    rows["units"] = one.species.units
    return rows
