"""A step of a cube as a raster: north-up, one band a layer, reprojected so that uncertainty stays what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject, transform

from aqreanalysis.common.proj_database import foreign_database, use_fitting_database
from aqreanalysis.errors import OutputError, in_one_line
from aqreanalysis.export.source import CubeSource
from aqreanalysis.production.layers import FILL

#: How estimates may be resampled; weights that are negative (cubic) would break a variance.
METHODS = {"nearest": Resampling.nearest, "bilinear": Resampling.bilinear, "average": Resampling.average}
# More pixels than that for a cell: the projection tears the region apart (a pole, the antimeridian).
_PIXELS_A_CELL = 25
# Neighbours so many times as far apart as usual: likewise.
_FAR = 50

# 256 pixels a tile: a province fits into one. Level 1 takes 0.84 of the time of level 6 for the same bytes. Overviews
# by nearest neighbour, because the flags in the same file cannot be averaged.
COG_PROFILE = {
    "driver": "COG",
    "compress": "DEFLATE",
    "level": 1,
    "predictor": "YES",
    "blocksize": 256,
    "resampling": "NEAREST",
}

Array = NDArray[np.float32]


@dataclass(frozen=True)
class RasterFrame:
    """Where the pixels of a raster lie: affine transform, shape (rows, columns), coordinate reference system."""

    transform: Any
    shape: tuple[int, int]
    crs: Any


def frame_of(source: CubeSource) -> RasterFrame:
    """Return the frame of the cube's own cells, north-up.

    Raises
    ------
    OutputError
        If rows or columns are not regular.
    """
    from rasterio.transform import from_bounds

    use_fitting_database()
    lat, lon = (np.sort(np.asarray(source.dataset[a].values, dtype=np.float64)) for a in ("lat", "lon"))
    steps = []
    for name, axis in (("lat", lat), ("lon", lon)):
        width = np.diff(axis) if axis.size > 1 else np.diff(source.edges(name)[0])
        if np.ptp(width) > 1e-6 * width.mean():
            raise OutputError(f"{source.path}: {name} is not regular, and a raster has equal cells")
        steps.append(float(width.mean()))
    # Half a cell around the centres, also at a pole, where the bounds of the cell end earlier.
    south, north = lat[0] - steps[0] / 2, lat[-1] + steps[0] / 2
    west, east = lon[0] - steps[1] / 2, lon[-1] + steps[1] / 2
    return RasterFrame(from_bounds(west, south, east, north, lon.size, lat.size), (lat.size, lon.size), "EPSG:4326")


def frame_in(epsg: int, own: RasterFrame) -> RasterFrame:
    """Return the frame that covers `own` in another reference system, with pixels of about the same size.

    Raises
    ------
    OutputError
        If the code is unknown, or the region does not fit into the projection.
    """
    try:
        CRS.from_epsg(epsg)
        crs = f"EPSG:{epsg}"
        rows, columns = own.shape
        bounds = _bounds(own)
        affine, width, height = calculate_default_transform(own.crs, crs, columns, rows, *bounds)
    except Exception as error:  # pyproj and GDAL have classes of their own for a code or a place that is none
        way_out = foreign_database() or f": {in_one_line(error, 120)}; see epsg.io for codes"
        raise OutputError(f"EPSG:{epsg} cannot be used here{way_out}") from None
    if width * height > _PIXELS_A_CELL * rows * columns or _is_torn(own, crs):
        raise OutputError(
            f"EPSG:{epsg}: the region does not fit into it (it is torn at a pole or the antimeridian); choose a system "
            "of that region, such as a UTM or polar one"
        )
    return RasterFrame(affine, (height, width), crs)


def _is_torn(own: RasterFrame, crs: str) -> bool:
    """Return whether cells that are neighbours lie far apart in the other system."""
    rows, columns = own.shape
    row, column = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    lon = own.transform.c + column * own.transform.a
    lat = own.transform.f + row * own.transform.e
    x, y = (np.reshape(v, own.shape) for v in transform(own.crs, crs, lon.ravel(), lat.ravel()))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return True
    steps = [np.hypot(np.diff(x, axis=axis), np.diff(y, axis=axis)) for axis in (0, 1)]
    return any(s.size and s.max() > _FAR * max(float(np.median(s)), 1e-9) for s in steps)


def _bounds(frame: RasterFrame) -> tuple[float, float, float, float]:
    from rasterio.transform import array_bounds

    west, south, east, north = array_bounds(*frame.shape, frame.transform)
    return west, south, east, north


@dataclass(frozen=True)
class Warp:
    """Resampling of the bands of one step.

    Each layer is resampled as what it is:

    * estimates, bounds, probabilities, distances: by `method`. For the bounds that is exact where the errors of the
      cells that a pixel mixes go together (they do: neighbouring cells read the same stations), and too wide otherwise.
    * standard errors: their squares by the same weights, then the root. Whatever the correlation of the errors, the
      standard error of a weighted mean is at most that (Jensen), so mixing never makes the map look surer than it is.
    * flags and counts: by nearest neighbour, since a mixture of bits means nothing.
    """

    own: RasterFrame
    target: RasterFrame
    method: str

    def __call__(self, name: str, attrs: Mapping[str, Any], values: Array) -> Array:
        """Return a band, north-up on the cube's cells, on the target's pixels; NaN where there is nothing."""
        kind = kind_of(name, attrs)
        if kind == "standard_error":
            return np.sqrt(self._mix(values**2, METHODS[self.method]))
        return self._mix(values, Resampling.nearest if kind == "class" else METHODS[self.method])

    def _mix(self, values: Array, method: Resampling) -> Array:
        out = np.full(self.target.shape, np.nan, dtype=np.float32)
        reproject(
            np.ascontiguousarray(values, dtype=np.float32),
            out,
            src_transform=self.own.transform,
            src_crs=self.own.crs,
            dst_transform=self.target.transform,
            dst_crs=self.target.crs,
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=method,
            num_threads=1,
        )
        return out


def kind_of(name: str, attrs: Mapping[str, Any]) -> str:
    """Return ``standard_error``, ``class`` (flags, counts) or ``value``."""
    standard = str(attrs.get("standard_name", ""))
    if standard.endswith(" standard_error") or name.endswith("_standard_error"):
        return "standard_error"
    if "flag_masks" in attrs or "flag_values" in attrs or standard in ("quality_flag", "number_of_observations"):
        return "class"
    return "value"


def write_raster(path: Path, bands: Sequence[Array], names: Sequence[str], frame: RasterFrame, tags: Tags) -> None:
    """Write bands as a cloud-optimised GeoTIFF.

    By rasterio, which rioxarray writes through, because rioxarray has no way to set the unit of a band.

    Parameters
    ----------
    path : Path
        Ends in ``.tif``.
    bands : sequence of float32 (row, column)
        North-up; NaN where nothing is known, -9999 in the file.
    names : sequence of str
        Descriptions of the bands.
    frame : RasterFrame
        Of the pixels.
    tags : Tags
        Of the file, and of each band; ``units`` of a band becomes its unit.
    """
    rows, columns = frame.shape
    profile = {"dtype": "float32", "count": len(bands), "height": rows, "width": columns, "nodata": FILL}
    data = np.stack(bands)
    np.copyto(data, np.float32(FILL), where=np.isnan(data))
    with rasterio.open(path, "w", crs=frame.crs, transform=frame.transform, **profile, **COG_PROFILE) as file:
        file.update_tags(**tags.file)
        file.descriptions = tuple(names)
        file.units = tuple(tags.bands[name].get("units", "") for name in names)
        for number, name in enumerate(names):
            file.update_tags(number + 1, **tags.bands[name])
        file.write(data)


@dataclass(frozen=True)
class Tags:
    """Metadata of a raster: of the file, and of each band by its name."""

    file: Mapping[str, str]
    bands: Mapping[str, Mapping[str, str]]
