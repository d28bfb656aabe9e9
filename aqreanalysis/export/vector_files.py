"""Vector files: their features in WGS 84 under the user's ids; what cannot be used is left out by name."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.files import VECTOR, check_given
from aqreanalysis.common.proj_database import foreign_database
from aqreanalysis.errors import OutputError, in_one_line, nearest_hint

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

EXTRA = "install it with: pip install 'aqreanalysis[vector]'"
#: Endings of the files that are read as vector files.
ENDINGS = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".gml", ".gdb", ".zip")
# Of these one is a whole file, the likeliest first.
_SINGLE_FILES = (".gpkg", ".fgb", ".geojson", ".kml", ".gml", ".json")


@dataclass(frozen=True)
class ShapeKind:
    """What features are wanted.

    Attributes
    ----------
    types : tuple of str
        Geometries that are taken as they are.
    plural : str
        What they are called.
    hint : str
        What to do with a file that holds others.
    """

    types: tuple[str, ...]
    plural: str
    hint: str


AREAS = ShapeKind(("Polygon", "MultiPolygon"), "polygons", "for places give a CSV to export points")
SHAPES = ShapeKind(
    ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"),
    "points, lines or polygons",
    "give a file that has some",
)
POINTS = ShapeKind(("Point", "MultiPoint"), "points", "for areas take export polygons")


@dataclass(frozen=True)
class Features:
    """What is used of a vector file.

    Attributes
    ----------
    frame : GeoDataFrame
        WGS 84; column ``place`` (text, each once) and, where the user named one, the id column as it is in the file.
    left_out : list of str
        Features that could not be used, with the reason.
    remarks : list of str
        What was chosen for the user.
    """

    frame: GeoDataFrame
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_features(
    path: str | Path, kind: ShapeKind, id_column: str | None = None, layer: str | None = None, usual: Sequence[str] = ()
) -> Features:
    """Return the features of one layer of a vector file.

    A feature without a geometry, or with one of another kind, is left out by name; of a collection the parts of the
    kind are taken. Rings that cross themselves are mended.

    Parameters
    ----------
    path : str or Path
        GeoPackage, Shapefile, GeoJSON or another that GDAL reads.
    kind : ShapeKind
        `AREAS` or `POINTS`.
    id_column : str, optional
        Column of ids; ``fid`` is the feature's own number, of GeoJSON also ``id`` that of the feature.
    layer : str, optional
        Name of the layer; the first that has the kind otherwise.
    usual : sequence of str
        Columns that are taken for ids where none is named; the number of the feature otherwise.

    Raises
    ------
    OutputError
        If geopandas is not installed, the file cannot be read, has no reference system, an id is missing or stands
        twice, or no feature can be used.
    """
    where = Path(path)
    frame, remarks = _read_layer(where, kind, layer)
    frame, column = _with_ids(frame, where, id_column, usual)
    if frame.empty:
        raise OutputError(f"{where} holds nothing and {kind.plural} are needed; {kind.hint}")
    shapes, reasons = _usable(_in_wgs84(frame, where), kind)
    bad = np.array([reason != "" for reason in reasons])
    if bad.all():
        raise OutputError(f"{where} holds {_what(frame, kind)} and {kind.plural} are needed; {kind.hint}")
    if column is None:
        remarks.append(
            f"{where} has its features numbered in their order; --id-column names them"
            + (f" ({_columns(frame)})" if _columns(frame) else "")
        )
    left_out = [f"{place} {reason}" for place, reason in zip(frame["place"], reasons, strict=True) if reason]
    remarks.extend(_ambiguous(frame["place"], shapes))
    own = [column] if column is not None and id_column is not None and column != "place" else []
    ids = pd.DataFrame(frame)[["place", *own]][~bad].reset_index(drop=True)
    usable = [shape for shape, reason in zip(shapes, reasons, strict=True) if not reason]
    return Features(type(frame)(ids, geometry=usable, crs=4326), left_out, remarks)


def read_shapes(path: str | Path) -> list[Any]:
    """Return the shapes of a vector file's first layer with any, in degrees, flat and of any kind.

    Features without a geometry, or outside their reference system, are left out.

    Raises
    ------
    OutputError
        If geopandas is not installed, or the file cannot be read or has no reference system.
    """
    import shapely

    where = Path(path)
    frame, _ = _read_layer(where, SHAPES, None)
    shapes = (shape for shape in _in_wgs84(frame, where) if shape is not None and not shape.is_empty)
    return [shapely.force_2d(shape) for shape in shapes if np.isfinite(shape.bounds).all()]


def unique_ids(values: pd.Series, where: Path, what: str) -> pd.Series:
    """Return ids as texts: whole numbers that a file keeps as floats without their point.

    Parameters
    ----------
    values : Series
        Ids as they are in the file; its index counts rows from 0.
    where : Path
        The file.
    what : str
        What a row is called.

    Raises
    ------
    OutputError
        If one is missing or stands twice.
    """
    empty = values.isna() | (values.astype(str).str.strip() == "")
    if empty.any():
        row = int(empty.index.to_numpy()[empty.to_numpy().argmax()])
        raise OutputError(
            f"{where}: {what} {row + 1} has no id in column {values.name!r}; fill it in or choose another --id-column"
        )
    if pd.api.types.is_float_dtype(values) and (values == values.round()).all():
        values = values.astype("int64")
    texts = values.astype(str).str.strip()
    if texts.duplicated().any():
        twice = texts[texts.duplicated()].iloc[0]
        raise OutputError(
            f"{where}: {what} {twice!r} stands twice, and ids must differ; put them together or choose another "
            "--id-column"
        )
    return texts


def _read_layer(where: Path, kind: ShapeKind, layer: str | None) -> tuple[Any, list[str]]:
    try:
        import geopandas
        import pyogrio
    except ImportError:
        raise OutputError(f"vector files need geopandas; {EXTRA}") from None
    check_given(where, VECTOR)
    try:
        with warnings.catch_warnings():
            # What GDAL remarks of a file (rings that it closed, a layer that it chose) is told in words of our own.
            warnings.simplefilter("ignore")
            opened = _within_zip(where) if where.suffix.lower() == ".zip" else where
            layers = {str(name): str(shape) for name, shape in pyogrio.list_layers(opened)}
            chosen, remarks = _choose_layer(where, layers, kind, layer)
            # pyogrio itself takes the feature's own number as the index.
            frame = geopandas.read_file(opened, layer=chosen, engine="pyogrio", fid_as_index=True)
    except OutputError:
        raise
    except Exception as error:  # each GDAL driver has its own ways to fail
        # What GDAL advises (a prefix with the driver) is for programs that pass its own names of files.
        said = in_one_line(error, 200).partition("; It might help")[0].rstrip(".")
        raise OutputError(
            f"{where} cannot be read as a vector file: {said}; give {VECTOR[1]}{foreign_database()}"
        ) from None
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise OutputError(f"{where} holds a table without geometries and {kind.plural} are needed; {kind.hint}")
    if frame.crs is None:
        raise OutputError(f"{where} has no coordinate reference system; give it one (ogr2ogr -a_srs EPSG:4326 ...)")
    return frame, remarks


def _within_zip(where: Path) -> str:
    """Return GDAL's name of what is read of a zip archive: a file, or the folder of a Shapefile or geodatabase.

    GDAL itself finds nothing in an archive that holds a folder, as those of statistical offices do.
    """
    try:
        with zipfile.ZipFile(where) as archive:
            names = [PurePosixPath(name) for name in archive.namelist() if not name.startswith("__MACOSX")]
    except (zipfile.BadZipFile, OSError) as error:
        raise OutputError(f"{where} cannot be read as a zip archive: {in_one_line(error)}") from None
    databases = [folder for name in names for folder in name.parents if folder.suffix.lower() == ".gdb"]
    # Of a Shapefile the folder, in which each is a layer. Other files beside it (metadata.json) are none to read.
    of_kinds = [databases, [name.parent for name in names if name.suffix.lower() == ".shp"]]
    of_kinds += [[name for name in names if name.suffix.lower() == ending] for ending in _SINGLE_FILES]
    readable = list(dict.fromkeys(next(filter(None, of_kinds), [])))
    if not readable:
        raise OutputError(
            f"{where} holds no vector file ({', '.join(map(str, names[:5])) or 'nothing'}); unpack it where it holds "
            "a table"
        )
    if len(readable) > 1:
        raise OutputError(
            f"{where} holds {', '.join(map(str, readable[:5]))}, and one vector file is read: unpack it and give one"
        )
    return f"/vsizip/{where.absolute()}/{'' if str(readable[0]) == '.' else readable[0]}"


def _choose_layer(where: Path, layers: dict[str, str], kind: ShapeKind, layer: str | None) -> tuple[str, list[str]]:
    if layer is not None:
        if layer not in layers:
            raise OutputError(
                f"{where} has no layer {layer!r}{nearest_hint(layer, layers)}; it has {', '.join(layers) or 'none'}"
            )
        return layer, []
    if not layers:
        raise OutputError(f"{where} holds no layer; give a GeoPackage, Shapefile or GeoJSON of {kind.plural}")
    fitting = [name for name, shape in layers.items() if shape.removesuffix(" Z") in kind.types]
    chosen = (fitting or list(layers))[0]
    if len(layers) == 1:
        return chosen, []
    return chosen, [f"{where} has layers {', '.join(layers)}: {chosen} is taken; choose with --layer"]


def _with_ids(frame: Any, where: Path, id_column: str | None, usual: Sequence[str]) -> tuple[Any, str | None]:
    """Return the features with a column ``place``, and the column that it was made from; None if they are numbered."""
    frame = frame.copy()
    held = {str(c).strip().lower(): c for c in frame.columns if c != frame.geometry.name}
    column: Hashable | None = id_column
    if id_column is None:
        column = next((held[name] for name in usual if name in held), None)
    elif id_column not in frame.columns or id_column == frame.geometry.name:
        own = ("fid", "id") if where.suffix.lower() in (".geojson", ".json") else ("fid",)
        if id_column.lower() not in own:
            raise OutputError(
                f"{where} has no column {id_column!r}{nearest_hint(id_column, map(str, held.values()))}; there are "
                f"{_columns(frame) or 'none'}"
            )
        frame[id_column] = frame.index
    frame = frame.reset_index(drop=True)
    if column is None:
        frame["place"] = [str(i + 1) for i in range(len(frame))]
        return frame, None
    frame["place"] = unique_ids(frame[column], where, "feature")
    return frame, str(column)


def _columns(frame: Any) -> str:
    return ", ".join(str(c) for c in frame.columns if c not in ("place", frame.geometry.name))


def _in_wgs84(frame: Any, where: Path) -> Any:
    """Return the geometries in degrees; a shape that a projection cut at the antimeridian goes on past 180."""
    import shapely

    try:
        turned = frame.geometry.to_crs(4326)
    except Exception as error:  # pyproj has classes of its own
        said = in_one_line(error, 200)
        raise OutputError(f"{where} cannot be brought to degrees: {said}{foreign_database()}") from None
    bounds = turned.total_bounds
    if np.isfinite(bounds).all() and (np.abs(bounds[1::2]).max() > 90.001 or np.abs(bounds[::2]).max() > 540):
        raise OutputError(
            f"{where} has coordinates up to {np.abs(bounds).max():.6g}, which are no degrees, and says that it is in "
            f"{frame.crs.name}; give it the reference system that it is in (ogr2ogr -a_srs EPSG:... )"
        )
    if not frame.crs.is_projected:
        return turned
    return turned.set_axis(turned.index).map(
        lambda shape: shape if shape is None else shapely.transform(shape, _past_180) if _is_torn(shape) else shape
    )


def _is_torn(shape: Any) -> bool:
    """Return whether neighbouring corners lie on either side of the antimeridian."""
    from shapely import get_coordinates

    jumps = np.abs(np.diff(get_coordinates(shape)[:, 0]))
    # The very edge of a map of the world is no tear.
    return bool(((jumps > 180) & (jumps < 359.99)).any())


def _ambiguous(places: pd.Series, shapes: list[Any]) -> list[str]:
    """Return a remark if shapes have edges of more than half a turn: they mean the long way, or cross 180 degrees."""
    torn = [place for place, shape in zip(places, shapes, strict=True) if shape is not None and _is_torn(shape)]
    if not torn:
        return []
    return [
        f"{', '.join(torn[:3])}{' ...' if len(torn) > 3 else ''}: an edge goes more than half around the Earth and is "
        "taken so; if it is to cross the antimeridian, cut it there (ogr2ogr -wrapdateline)"
    ]


def _past_180(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.where(points[:, 0] < 0, points[:, 0] + 360.0, points[:, 0]), points[:, 1]])


def _usable(shapes: Any, kind: ShapeKind) -> tuple[list[Any], list[str]]:
    """Return of each geometry the part that can be used, and why there is none (empty if there is)."""
    usable, reasons = [], []
    for shape in shapes:
        part, reason = _part(shape, kind)
        usable.append(part)
        reasons.append(reason)
    return usable, reasons


def _part(shape: Any, kind: ShapeKind) -> tuple[Any, str]:
    import shapely

    if shape is None:
        return None, "has no geometry"
    if shape.is_empty:
        return None, "has an empty geometry"
    if not np.isfinite(shape.bounds).all():
        return None, "lies outside its reference system"
    flat = shapely.force_2d(shape)
    members = _members(flat)
    if not any(part.geom_type in kind.types for part in members):
        return None, f"is a {shape.geom_type}"
    if kind is POINTS:
        points = [part for part in members if part.geom_type in kind.types]
        return (points[0], "") if len(points) == 1 else (None, f"is {len(points)} points")
    if flat.geom_type in kind.types and flat.is_valid:
        areas = flat
    else:
        parts = [part for member in members for part in _members(shapely.make_valid(member))]
        areas = shapely.union_all([part for part in parts if part.geom_type in kind.types])
    return (areas, "") if areas.area > 0 else (None, "has no area")


def _members(shape: Any) -> list[Any]:
    """Return what a collection, or points in one geometry, hold; polygons in one geometry stay one."""
    if shape.geom_type not in ("GeometryCollection", "MultiPoint"):
        return [shape]
    return [part for member in shape.geoms for part in _members(member)]


def _what(frame: Any, kind: ShapeKind) -> str:
    """Return what a file holds that has nothing of a kind."""
    here = frame.geometry.notna() & ~frame.geometry.is_empty
    if not here.any():
        return "features without geometry"
    other = frame.geom_type[here & ~frame.geom_type.isin(kind.types)]
    return f"a {other.iloc[0]}" if len(other) else f"{kind.plural} without area" if kind is AREAS else "several a place"
