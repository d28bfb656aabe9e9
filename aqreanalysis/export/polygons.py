"""Means over polygons: area and population weights, and the uncertainty of the mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM
from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.points import TableReport, check_id_column, tidy
from aqreanalysis.export.population import people_in_cells
from aqreanalysis.export.rasters import frame_of
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.export.tidy_tables import SUFFIXES, TableWriter
from aqreanalysis.export.vector_files import AREAS, EXTRA, Features, read_features

ASSUMPTION = (
    "standard_error, lower and upper of a polygon are the weighted means of those of its cells: exact if the errors of "
    "its cells go wholly together, an upper bound of the spread otherwise (errors that are independent from cell to "
    "cell would give far less; neighbouring cells share their stations)"
)


@dataclass(frozen=True)
class PolygonOptions:
    """How polygons are averaged.

    Attributes
    ----------
    id_column : str or None
        Column of the vector file that names a polygon, and is carried along under its own name; None numbers them.
    population : str, Path or None
        Raster of counts (persons a pixel, any reference system): adds means weighted by them.
    overwrite : bool
        Replace a file that exists.
    layer : str or None
        Layer of the vector file; None takes the first that has polygons.
    """

    id_column: str | None = None
    population: str | Path | None = None
    overwrite: bool = False
    layer: str | None = None


@dataclass(frozen=True)
class Weights:
    """Weights of cells in polygons.

    Attributes
    ----------
    matrix : sparse (polygon, cell)
        Area of the part of the cell that lies in the polygon, or the population of that part.
    cells : int array
        Which cells (row * columns + column) stand in the columns of `matrix`.
    covered : float64 (polygon,)
        Share of the polygon's own area that lies in the grid.
    """

    matrix: Any
    cells: NDArray[np.intp]
    covered: NDArray[np.float64]


def read_polygons(path: str | Path, id_column: str | None = None, layer: str | None = None) -> Features:
    """Return the polygons of a vector file in WGS 84 with a column ``place``; see `read_features` for the rules."""
    return read_features(path, AREAS, check_id_column(id_column), layer)


def area_weights(source: CubeSource, polygons: Any) -> Weights:
    """Return the area of each cell in each polygon, km2 on the sphere of 6371 km, by exact coverage fractions.

    The coverage fractions are those of exactextract (Baston): the exact share of a cell's rectangle in degrees.
    """
    try:
        from exactextract import exact_extract
        from exactextract.raster import NumPyRasterSource
    except ImportError:
        raise OutputError(f"coverage fractions need exactextract; {EXTRA}") from None
    frame = frame_of(source)
    rows, columns = frame.shape
    west, north = frame.transform.c, frame.transform.f
    east, south = west + columns * frame.transform.a, north + rows * frame.transform.e
    raster = NumPyRasterSource(np.ones(frame.shape), west, south, east, north, srs_wkt=polygons.crs.to_wkt())
    fractions = exact_extract(raster, _in_range(polygons, west, east), ["cell_id", "coverage"], output="pandas")
    counts = [len(ids) for ids in fractions["cell_id"]]
    if not sum(counts):
        left, low, right, high = polygons.total_bounds
        raise OutputError(
            f"no polygon touches the cube, which spans {south:g}..{north:g} N, {west:g}..{east:g} E: they span "
            f"{low:.4g}..{high:.4g} N, {left:.4g}..{right:.4g} E; give those of that region, and their reference system"
        )
    ids = np.concatenate([np.asarray(x, dtype=np.intp) for x in fractions["cell_id"]])
    coverage = np.concatenate([np.asarray(x, dtype=np.float64) for x in fractions["coverage"]])
    # exactextract counts cells from the north; the cube's rows go as its latitude does.
    row, column = np.divmod(ids, columns)
    if source.dataset["lat"].values[0] < source.dataset["lat"].values[-1]:
        row = rows - 1 - row
    cell = row * columns + column
    area = _cell_areas(source)[row]
    cells, place = np.unique(cell, return_inverse=True)
    polygon = np.repeat(np.arange(len(polygons)), counts)
    matrix = sparse.csr_matrix((coverage * area, (polygon, place)), shape=(len(polygons), cells.size))
    return Weights(matrix, cells, _covered(polygons, (west, south, east, north)))


def _in_range(polygons: Any, west: float, east: float) -> Any:
    """Return the polygons, and beside each its copies a turn of the Earth to the west and east that meet the grid."""
    import geopandas
    import pandas

    shapes = polygons.geometry
    bounds = shapes.bounds
    for turn in (-360.0, 360.0):
        meets = ((bounds["minx"] + turn < east) & (bounds["maxx"] + turn > west)).to_numpy()
        if meets.any():
            moved = shapes.translate(xoff=turn)
            both = [a.union(b) if turned else a for a, b, turned in zip(shapes, moved, meets, strict=True)]
            shapes = geopandas.GeoSeries(pandas.Series(both, index=shapes.index), crs=4326)
    return polygons[["place", "geometry"]].set_geometry(shapes)


def _cell_areas(source: CubeSource) -> NDArray[np.float64]:
    """Return the area in km2 of a cell of each row."""
    edges = np.radians(source.edges("lat"))
    width = np.radians(np.diff(source.edges("lon"), axis=1).mean())
    return np.asarray(EARTH_RADIUS_KM**2 * width * np.abs(np.sin(edges[:, 1]) - np.sin(edges[:, 0])))


def _covered(polygons: Any, grid: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Return the share of each polygon that lies in the grid, by areas in an equal-area projection."""
    from shapely.geometry import box

    west, south, east, north = grid
    turned = _in_range(polygons, west, east).geometry
    inside = turned.intersection(box(west, max(south, -90.0), east, min(north, 90.0)))
    # Copies of a polygon stand beside each other; the whole is one of them.
    whole = polygons.geometry
    return np.asarray(_area(inside) / _area(whole)).clip(0.0, 1.0)


def _area(shapes: Any) -> NDArray[np.float64]:
    """Return areas on the sphere by Lambert's cylindrical projection, which longitudes past 180 do not tear."""
    from shapely import area, transform

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([np.radians(points[:, 0]), np.sin(np.radians(points[:, 1]))])

    return np.asarray(area(transform(shapes.to_numpy(), project)))


def population_weights(source: CubeSource, area: Weights, path: str | Path) -> Weights:
    """Return the population of each cell in each polygon: the cell's, by the share of its area that lies within.

    People are taken as spread evenly over a cell.

    Raises
    ------
    OutputError
        If the raster cannot be read, or has nobody in the polygons.
    """
    people = people_in_cells(source, path)
    rows = area.cells // people.shape[1]
    density = people.ravel()[area.cells] / _cell_areas(source)[rows]
    matrix = area.matrix.multiply(density[None, :]).tocsr()
    if not matrix.sum() > 0:
        raise OutputError(f"population raster {path} has nobody in the polygons; does it cover them?")
    return Weights(matrix, area.cells, area.covered)


def weighted_mean(weights: Weights, values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the mean over each polygon's known cells (time, polygon), and the share of the weight that is known.

    Parameters
    ----------
    weights : Weights
        Of the polygons.
    values : array (time, lat, lon)
        A layer; NaN where unknown.
    """
    cells = values.reshape(len(values), -1)[:, weights.cells].astype(np.float64)
    known = np.isfinite(cells)
    total = (weights.matrix @ np.where(known, cells, 0.0).T).T
    weight = (weights.matrix @ known.T.astype(np.float64)).T
    whole = np.asarray(weights.matrix.sum(axis=1)).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        return (total / weight).astype(np.float32), weight / whole


def export_polygons(
    source: CubeSource,
    vector: str | Path,
    out: str | Path,
    options: PolygonOptions | None = None,
    progress: Progress | None = None,
) -> TableReport:
    """Return the report of a table with a row a polygon, time and pollutant.

    Columns: ``place``, the user's own id column, ``covered area_in_grid_km2 time_start time_end time species value
    known standard_error lower upper extrapolated_share nearest_station_km extrapolation_km units``, with a population
    also ``population`` and ``population_weighted_`` value, standard_error, lower, upper. `covered` is the share of the
    polygon in the grid, `value` the mean of the expectations where the cube has them, `known` the share of the
    polygon's weight in cells with an estimate, see `ASSUMPTION`; `extrapolated_share` that of its area in cells that
    are farther than `extrapolation_km` from every station that reports, `nearest_station_km` the mean.

    Parameters
    ----------
    source : CubeSource
        The cube, restricted to the pollutants and hours wanted.
    vector : str or Path
        GeoPackage, Shapefile or GeoJSON.
    out : str or Path
        Table to write; ends in ``.csv`` or ``.parquet``.
    options : PolygonOptions, optional
        Column of names, raster of population.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    OutputError
        As of `read_polygons`, `area_weights` and `population_weights`.
    """
    options = options or PolygonOptions()
    features = read_polygons(vector, options.id_column, options.layer)
    polygons = features.frame
    area = area_weights(source, polygons)
    kinds = {"": area}
    if options.population is not None:
        kinds["population_weighted_"] = population_weights(source, area, options.population)
    touched = np.asarray(area.matrix.sum(axis=1)).ravel() > 0
    fixed = _fixed(polygons, kinds)[touched].reset_index(drop=True)
    slabs = list(source.slabs(6))
    note = "; ".join(text for text in (ASSUMPTION, source.medians_averaged) if text)
    with (
        whole_file(out, SUFFIXES, options.overwrite) as temporary,
        TableWriter(temporary, {"note": note}) as table,
    ):
        for number, slab in enumerate(slabs):
            for one in source.species.values():
                fields = {k: v[:, touched] for k, v in _fields(source, one, slab, kinds).items()}
                table.write(tidy(source, one, slab, fixed, fields, None))
            if progress is not None:
                progress(number + 1, len(slabs), "polygons")
    outside = polygons.loc[~touched, "place"].tolist()
    return TableReport(Path(out), table.rows, int(touched.sum()), outside, note, features.left_out, features.remarks)


def _fixed(polygons: Any, kinds: dict[str, Weights]) -> pd.DataFrame:
    area = kinds[""]
    table = {name: polygons[name].to_numpy() for name in polygons.columns if name != "geometry"}
    table["covered"] = area.covered
    table["area_in_grid_km2"] = np.asarray(area.matrix.sum(axis=1)).ravel()
    if "population_weighted_" in kinds:
        table["population"] = np.asarray(kinds["population_weighted_"].matrix.sum(axis=1)).ravel()
    return pd.DataFrame(table)


def _fields(source: CubeSource, one: SpeciesLayers, slab: slice, kinds: dict[str, Weights]) -> dict[str, NDArray[Any]]:
    fields: dict[str, NDArray[Any]] = {}
    # An average over cells is one of expectations, as one over hours is.
    layers = {"value": one.averaged, "standard_error": one.standard_error, "lower": one.lower, "upper": one.upper}
    for column, name in layers.items():
        if name is None:
            continue
        values = source.read(name, slab)
        for prefix, weights in kinds.items():
            mean, known = weighted_mean(weights, values)
            fields[prefix + column] = mean
            if column == "value" and not prefix:
                fields["known"] = known.astype(np.float32)
    flagged = None if one.flag is None else source.extrapolated(one, source.read(one.flag, slab))
    distance = None if one.distance is None else source.read(one.distance, slab)
    for column, layer in (("extrapolated_share", flagged), ("nearest_station_km", distance)):
        if layer is not None:
            fields[column] = weighted_mean(kinds[""], layer)[0]
    return fields
