"""People in the cells of a cube, from a raster of counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.warp import reproject

from aqreanalysis.errors import OutputError, in_one_line
from aqreanalysis.export.rasters import RasterFrame, frame_of
from aqreanalysis.export.source import CubeSource


def people_in_cells(source: CubeSource, path: str | Path) -> NDArray[np.float64]:
    """Return how many people live in each cell, float64 (row, column) in the order of the cube's rows.

    The counts are summed into the cells with their pixels' shares, so a raster of another resolution or reference
    system keeps its total, also where cube and raster count longitudes in different turns or a cell lies across the
    raster's edge. Pixels without a count, or with one below zero, hold nobody.

    Raises
    ------
    OutputError
        If the raster cannot be read.
    """
    frame = frame_of(source)
    people = np.zeros(frame.shape, dtype=np.float64)
    try:
        with rasterio.open(path) as raster:
            a, b, c, d, e, f = frame.transform[:6]
            for turn in _turns(frame, raster):
                counted = np.zeros(frame.shape, dtype=np.float64)
                reproject(
                    rasterio.band(raster, 1),
                    counted,
                    dst_transform=rasterio.Affine(a, b, c + turn, d, e, f),
                    dst_crs=frame.crs,
                    resampling=Resampling.sum,
                    dst_nodata=0,
                )
                people += np.where(np.isfinite(counted) & (counted > 0), counted, 0.0)
    except rasterio.errors.RasterioError as error:
        raise OutputError(f"population raster {path} cannot be used: {in_one_line(error, 200)}") from None
    lat = source.dataset["lat"].values
    return people[::-1] if lat[0] < lat[-1] else people


def _turns(frame: RasterFrame, raster: DatasetReader) -> list[float]:
    """Return the degrees by which the frame is to be turned to lie over the raster: GDAL takes 181 E for no 179 W."""
    rows, columns = frame.shape
    west, _, east, _ = array_bounds(rows, columns, frame.transform)
    in_degrees = raster.crs is not None and raster.crs.is_geographic
    first, last = (raster.bounds.left, raster.bounds.right) if in_degrees else (-180.0, 180.0)
    return [turn for turn in (-360.0, 0.0, 360.0) if west + turn < last and east + turn > first]
